"""Rules for what may come in: children known in the same transaction, places coarsened, columns refused
or dropped, residency, retention; and that nobody can switch them off unseen."""

import os
import threading

import psycopg
import pytest

from applied import Server, install_extension
from region import apply_policy
from waiting import wait_until


@pytest.fixture(scope="module")
def server(scratch, authority, build):
    made = Server(os.path.join(scratch, "ingest"), authority, build)
    yield made
    made.cluster.stop()


@pytest.fixture
def region(server):
    made = server.new_database()
    yield made
    server.cluster.rows(f"DROP DATABASE {made.database} WITH (FORCE)", dbname="postgres")


# -- who is a child ---------------------------------------------------------------------------------

CHILDREN = """SELECT id FROM app.users
    WHERE (birthdate <= CAST((now() AT TIME ZONE 'UTC') - interval '18 years' AS date)) IS NOT TRUE"""
KNOWN = "SELECT subject FROM ringfence.child WHERE adult_on > (now() AT TIME ZONE 'UTC')::date"


def assert_children_known(region):
    assert sorted(region.rows(CHILDREN)) == sorted(region.rows(KNOWN))


def test_children_that_are_there_are_known_after_apply(region):
    region.apply()
    assert len(region.rows(CHILDREN)) > 5
    assert_children_known(region)


def test_children_stay_known_whatever_is_done_to_the_birth_dates(region):
    region.apply()
    person = ("INSERT INTO app.users (id, handle, email, birthdate, residency) VALUES"
              " ({id}, 'n{id}', 'n{id}', {birth}, 'US')")
    for statement in (
            person.format(id=1001, birth="current_date - 5000"),
            person.format(id=1002, birth="date '1980-02-03'"),
            person.format(id=1003, birth="date 'infinity'"),
            person.format(id=1004, birth="date '-infinity'"),
            "UPDATE app.users SET birthdate = current_date - 4000 WHERE id = 1002",
            "UPDATE app.users SET birthdate = date '1970-01-01' WHERE id = 1001",
            "UPDATE app.users SET id = 1012 WHERE id = 1002",
            "ALTER TABLE app.users ALTER birthdate DROP NOT NULL",
            "UPDATE app.users SET birthdate = NULL WHERE id = 1004",
            "DELETE FROM app.users WHERE id = 1003",
            "MERGE INTO app.users u USING (VALUES (1012, date '1999-01-01'),"
            " (1020, current_date - 10)) v(id, b) ON u.id = v.id WHEN MATCHED THEN UPDATE SET"
            " birthdate = v.b WHEN NOT MATCHED THEN INSERT (id, handle, email, birthdate, residency)"
            " VALUES (v.id, 'm', 'm', v.b, 'US')",
            "BEGIN; UPDATE app.users SET birthdate = current_date WHERE id < 50; ROLLBACK",
            "INSERT INTO app.users (id, handle, email, birthdate, residency) VALUES"
            " (1020, 'm', 'm2', '1985-01-01', 'US') ON CONFLICT (id) DO UPDATE SET"
            " birthdate = excluded.birthdate"):
        region.rows(statement)
        assert_children_known(region)
    region.rows("TRUNCATE app.users CASCADE")
    assert region.value("SELECT count(*) FROM ringfence.child") == 0


def test_the_day_of_coming_of_age_is_the_one_of_the_views(region):
    """Also for those born on 29 February, and around it."""
    region.apply()
    wrong = region.rows("""
        INSERT INTO app.users (id, handle, email, birthdate, residency)
        SELECT 5000 + i, 'd' || i, 'd' || i, d, 'US'
        FROM (SELECT row_number() OVER () AS i, d::date FROM generate_series(
              current_date - interval '17 years 11 months', current_date, interval '1 day') d) x;
        SELECT u.birthdate, c.adult_on FROM app.users u JOIN ringfence.child c ON c.subject = u.id
        WHERE NOT (u.birthdate <= (c.adult_on - interval '18 years')::date
                   AND u.birthdate > (c.adult_on - 1 - interval '18 years')::date)""")
    assert not wrong
    leap = region.rows("SELECT adult_on FROM ringfence.child c JOIN app.users u ON u.id = c.subject"
                       " WHERE birthdate = '2012-02-29'")
    assert [str(d[0]) for d in leap] == ["2030-03-01"]


def test_children_are_known_when_two_sessions_write_at_once(region):
    region.apply()
    failed = []

    def work(number):
        try:
            with psycopg.connect(region.server.cluster.dsn(region.database)) as connection:
                for turn in range(100):
                    key = 2000 + (turn * 7 + number) % 20
                    birth = "1980-01-01" if (turn + number) % 2 else "2020-01-01"
                    connection.execute(
                        "INSERT INTO app.users (id, handle, email, birthdate, residency) VALUES"
                        " (%s, %s, %s, %s, 'US') ON CONFLICT (id) DO UPDATE SET"
                        " birthdate = excluded.birthdate", (key, f"h{key}", f"e{key}", birth))
                    connection.commit()
        except psycopg.Error as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert_children_known(region)


@pytest.mark.parametrize("harm", [
    "ALTER TABLE app.users DISABLE TRIGGER \"~ringfence_child_insert\"",
    "ALTER TABLE app.users ENABLE TRIGGER \"~ringfence_child_update\"",
    "DROP TRIGGER \"~ringfence_child_update\" ON app.users",
    "DROP FUNCTION ringfence.child_keep() CASCADE",
    "CREATE OR REPLACE FUNCTION ringfence.child_keep() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NULL; END'",
    "ALTER FUNCTION ringfence.child_keep() SECURITY INVOKER",
])
def test_a_changed_trigger_is_found_and_set_right_with_what_it_missed(region, harm):
    region.apply()
    assert region.command("plan", "--check").returncode == 0
    region.rows(harm)
    region.rows("UPDATE app.users SET birthdate = current_date - 3000 WHERE id IN (30, 31);"
                "INSERT INTO app.users (id, handle, email, birthdate, residency) VALUES"
                " (1001, 'x', 'x', current_date - 3000, 'US')")
    assert region.command("plan", "--check").returncode == 1
    region.apply()
    assert_children_known(region)
    assert region.command("plan", "--check").returncode == 0


def test_a_region_that_grows_older_knows_more_children(region):
    region.apply()
    region.policy["adult_age"] = 25
    region.rows("UPDATE app.users SET birthdate = current_date - 21 * 365 WHERE id < 20")
    region.apply()
    assert {n for n, in region.rows(KNOWN)} == {n for n, in region.rows(CHILDREN.replace("18", "25"))}
    assert len(region.rows(KNOWN)) > 20


def test_replicated_rows_pass_the_triggers_too(region):
    region.apply()
    region.rows("SET session_replication_role = replica;"
                "UPDATE app.users SET birthdate = current_date - 3000 WHERE id = 30")
    assert_children_known(region)


# -- what comes in ----------------------------------------------------------------------------------

ADULT, CHILD = 1, 7  # of the sample


def with_rules(region, table="app.locations", columns="", **rules):
    """A table with more columns, and rules for them; applied."""
    region.rows(f"ALTER TABLE {table} {columns}" if columns else "SELECT 1")
    region.policy["tables"][table]["ingest"] = rules
    region.apply()
    return region


def insert(region, values, subject=ADULT, table="app.locations", role="app_us"):
    """Insert as the service, and say what came of it."""
    names = ", ".join(values)
    with psycopg.connect(f"{region.server.cluster.dsn(region.database)}", autocommit=True) as c:
        c.execute(f"SET SESSION AUTHORIZATION {role}")
        return c.execute(f"INSERT INTO {table} (user_id, residency, {names}) VALUES (%s, 'US', "
                         + ", ".join(["%s"] * len(values)) + f") RETURNING {names}",
                         (subject, *values.values())).fetchone()


def counts(region):
    with psycopg.connect(f"{region.server.cluster.dsn(region.database)}", autocommit=True) as c:
        c.execute("SET SESSION AUTHORIZATION rf_control")
        return {(relation, columns, rule): n for relation, columns, rule, n in c.execute(
            "SELECT * FROM ringfence.ingest_counts()")}


PLACE = {"lat": {"coarsen": 0.1}, "lon": {"coarsen": 0.1}, "ip": {"network": [24, 48]}}


def test_a_place_is_coarse_when_it_is_written_and_counted(either):
    with_rules(either, **PLACE)
    lat, lon, ip = insert(either, {"lat": 38.123456, "lon": -77.98765, "ip": "198.51.100.77"})
    assert (lat, lon, str(ip)) == (38.1, -78.0, "198.51.100.0/24")
    assert insert(either, {"ip": "2001:db8:1:2:3::4"})[0].__str__() == "2001:db8:1::/48"
    assert insert(either, {"lat": 38.1, "lon": None, "ip": "198.51.0.0/16"})[0] == 38.1
    assert insert(either, {"ip": "198.51.100.77/16"})[0].__str__() == "198.51.0.0/16"
    assert insert(either, {"ip": "2001:db8:1::ffff/40"})[0].__str__() == "2001:db8::/40"
    assert insert(either, {"ip": "10.1.2.3/0"})[0].__str__() == "0.0.0.0/0"
    found = counts(either)
    assert found["app.locations", "lat, lon", "multiple of 0.1"] == 1
    assert found["app.locations", "ip", "network /24 or /48"] == 5
    assert either.command("plan", "--check").returncode == 0


def test_every_way_of_writing_passes_the_rules(either):
    with_rules(either, **PLACE)
    either.rows("DELETE FROM app.locations")
    row = "(900001, 1, now(), 38.12345, -77.98765, '198.51.100.77', 'US')"
    names = "(id, user_id, at, lat, lon, ip, residency)"
    for statement in (
            f"INSERT INTO app.locations {names} VALUES {row}",
            "UPDATE app.locations SET lat = 12.3456, ip = '10.1.2.3'",
            f"INSERT INTO app.locations {names} VALUES {row} ON CONFLICT (id) DO UPDATE SET"
            " lat = excluded.lat + 0.017",
            f"MERGE INTO app.locations l USING (SELECT 1) s ON false WHEN NOT MATCHED THEN INSERT {names}"
            f" VALUES {row.replace('900001', '900002')}",
            "MERGE INTO app.locations l USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET"
            " lon = 7.77777",
            "SET session_replication_role = replica; UPDATE app.locations SET lat = 44.44444"):
        either.rows(statement)
        assert not either.rows("SELECT lat, lon, ip FROM app.locations WHERE lat <> round(lat * 10) / 10"
                               " OR lon <> round(lon * 10) / 10 OR masklen(ip) > 24"), statement
    with psycopg.connect(either.server.cluster.dsn(either.database)) as connection:
        with connection.cursor().copy(f"COPY app.locations {names} FROM STDIN") as copy:
            copy.write_row((900003, 1, "2026-03-01", 1.23456, 2.34567, "10.0.0.1", "US"))
    assert either.rows("SELECT lat, lon, host(ip) FROM app.locations WHERE id = 900003") == [
        (1.2, 2.3, "10.0.0.0")]


# Rules are made of plpgsql, or of the extension's trigger where it is installed: the same cases for both.
MODES = ["plpgsql", "extension"]


def choose(region, mode):
    if mode == "extension":
        if not install_extension(region.server.build):
            pytest.skip("the extension is not built, or cannot be installed")
        region.rows("CREATE EXTENSION ringfence")
    return region


@pytest.fixture(params=MODES)
def either(region, request):
    return choose(region, request.param)


def functions_of_rules(region, table="app.locations"):
    return [name for name, in region.rows(
        "SELECT DISTINCT tgfoid::regproc::text FROM pg_trigger WHERE tgname LIKE '~ringfence_ingest%'"
        f" AND tgrelid = '{table}'::regclass ORDER BY 1")]


PLACES = [
    ("double precision", 0.1, "52.520008", "52.5"),
    ("double precision", 0.01, "0.29", "0.29"),
    ("double precision", 0.25, "-13.40", "-13.5"),
    ("double precision", 20, "149", "140"),
    ("double precision", 0.1, "NaN", "NaN"),
    ("double precision", 0.1, "Infinity", "Infinity"),
    ("real", 0.1, "52.520008", "52.5"),
    ("numeric(9,6)", 0.1, "52.520008", "52.500000"),
    ("numeric", 0.05, "-13.4123", "-13.4"),
    ("integer", 100000, "52520008", "52500000"),
    ("bigint", 100000, "-52520008", "-52500000"),
    ("bigint", 100000, "9223372036854775807", "9223372036854700000"),
    ("point", 0.1, "(52.520008,13.404954)", "(52.5,13.4)"),
    ("text", 0.1, "52.5200,13.4050", "52.5,13.4"),
    ("text", 0.1, " ( -52.5200 ; 13.4050 )", " ( -52.5 ; 13.4 )"),
    ("varchar(40)", 0.1, "52.520008", "52.5"),
    ("text", 0.1, "POINT(13.404954 52.520008)", "POINT(13.4 52.5)"),
    ("text", 0.1, "SRID=4326;LINESTRING(13.404954 52.520008, 13.5 52.61111)",
     "SRID=4326;LINESTRING(13.4 52.5, 13.5 52.6)"),
    ("text", 0.1, "geo:52.520008,13.404954;u=10", "geo:52.5,13.4"),
    ("text", 0.1, '{"lat": 52.520008}', '{"lat": 52.5}'),
    ("jsonb", 0.1, '{"a": [{"Lat": 52.520008, "lng": "13.404954", "n": 1.23456}]}',
     '{"a": [{"n": 1.23456, "Lat": 52.5, "lng": "13.4"}]}'),
    ("json", 0.1, '{"type": "Point", "coordinates": [13.404954, 52.520008]}',
     '{"type": "Point", "coordinates": [13.4, 52.5]}'),
    ("jsonb", 0.1, '{"at": 12.345, "note": "12.345,1.2345"}', '{"at": 12.345, "note": "12.345,1.2345"}'),
    ("jsonb", 0.1, "[13.404954, 52.520008]", "[13.4, 52.5]"),
    ("jsonb", 0.1, '"52.520008,13.404954"', '"52.5,13.4"'),
    ("jsonb", 0.1, '[[13.404954, "52.520008"], {"at": 1.25}]', '[[13.4, "52.5"], {"at": 1.25}]'),
    ("text", 0.1, '["52.520008,13.404954"]', '["52.5,13.4"]'),
    ("text", 1000, "SRID=3857;POINT(1492348 6894703)", "SRID=3857;POINT(1492000 6895000)"),
]
UNREADABLE = [
    ("text", "52°31'12 N"), ("text", "52 31 12"), ("text", "u33dc0"), ("text", "Invalidenstr. 1"),
    ("text", '{"lat": 52.5'), ("jsonb", '{"coordinates": {"deg": 52, "min": 31}}'),
    ("jsonb", '{"lat": "52 deg 31"}'), ("text", "geo:0,0?q=Platz der Republik"),
    ("jsonb", '["Platz der Republik"]'), ("text", "52520008,13404954"), ("jsonb", '{"lat": 525200080}'),
    ("text", "SRID=3857;POINT(1492348 6894703)"),
]


@pytest.fixture(scope="module")
def places(server):
    """A table with a column p0, p1 … for each of PLACES and each of UNREADABLE."""
    made = server.new_database()
    columns = [(column, step) for column, step, _, _ in PLACES] + [(c, 0.1) for c, _ in UNREADABLE]
    with_rules(made, columns=", ".join(f"ADD p{i} {column}" for i, (column, _) in enumerate(columns)),
               **{f"p{i}": {"coarsen": step} for i, (_, step) in enumerate(columns)})
    yield made
    server.cluster.rows(f"DROP DATABASE {made.database} WITH (FORCE)", dbname="postgres")


IN_C = [number for number, (column, *_) in enumerate(PLACES)
        if not column.startswith(("text", "varchar", "json"))]


@pytest.fixture(scope="module")
def native_places(server):
    """The same, of those types that the extension knows: a rule for a text would keep all in plpgsql."""
    made = choose(server.new_database(), "extension")
    with_rules(made, columns=", ".join(f"ADD p{i} {PLACES[i][0]}" for i in IN_C),
               **{f"p{i}": {"coarsen": PLACES[i][1]} for i in IN_C})
    assert functions_of_rules(made) == ["ringfence_native.ingest"]
    yield made
    server.cluster.rows(f"DROP DATABASE {made.database} WITH (FORCE)", dbname="postgres")


def assert_becomes_coarse(places, number):
    _, _, value, kept = PLACES[number]
    before = sum(counts(places).values())
    made, key = places.rows(f"INSERT INTO app.locations (user_id, residency, p{number}) VALUES (1, 'US',"
                            f" '{value}') RETURNING p{number}::text, id")[0]
    assert made == kept
    assert places.value(f"UPDATE app.locations SET p{number} = p{number} WHERE id = {key}"
                        f" RETURNING p{number}::text") == kept
    assert sum(counts(places).values()) - before == (value != kept)


@pytest.mark.parametrize("number", range(len(PLACES)), ids=lambda n: PLACES[n][0] + " " + PLACES[n][2])
def test_each_type_of_place_becomes_coarse_and_stays_so(places, number):
    assert_becomes_coarse(places, number)


@pytest.mark.parametrize("number", IN_C, ids=lambda n: PLACES[n][0] + " " + PLACES[n][2])
def test_each_type_of_place_becomes_coarse_by_the_extension(native_places, number):
    assert_becomes_coarse(native_places, number)


@pytest.mark.parametrize("number", range(len(UNREADABLE)), ids=lambda n: UNREADABLE[n][1])
def test_a_place_that_cannot_be_read_is_refused(places, number):
    column = f"p{len(PLACES) + number}"
    with pytest.raises(psycopg.errors.CheckViolation, match="cannot be read as a place"):
        insert(places, {column: UNREADABLE[number][1]})
    assert counts(places)["app.locations", column, "refused: unreadable"] == 1


def test_postgis_is_snapped_to_the_grid(region):
    if not region.rows("SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'"):
        pytest.skip("PostGIS is not installed (Debian: postgresql-15-postgis-3)")
    region.rows("CREATE EXTENSION postgis")
    with_rules(region, columns="ADD p geometry(Point, 4326), ADD q geography(Point, 4326)",
               p={"coarsen": 0.1}, q={"coarsen": 0.1})
    assert region.rows("INSERT INTO app.locations (user_id, residency, p, q) VALUES (1, 'US',"
                       " 'SRID=4326;POINT(13.404954 52.520008)', 'POINT(13.404954 52.520008)')"
                       " RETURNING ST_AsText(p), ST_AsText(q)") == [("POINT(13.4 52.5)",) * 2]


def test_a_refused_column_is_named_and_its_value_is_nowhere(either):
    """Neither in the error nor in the server's log, whichever way it came."""
    with_rules(either, columns="ADD gps_raw text, ADD note text", gps_raw="refuse", note="null")
    with psycopg.connect(either.server.cluster.dsn(either.database), autocommit=True) as connection:
        connection.execute("SET log_min_error_statement = 'panic'")
        secret = "52.520008-SECRET"
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            connection.execute("INSERT INTO app.locations (user_id, residency, gps_raw)"
                               " VALUES (1, 'US', %s)", (secret,))
        diagnostic = refused.value.diag
        assert diagnostic.sqlstate == "23514"
        assert (diagnostic.schema_name, diagnostic.table_name, diagnostic.column_name) == (
            "app", "locations", "gps_raw")
        assert "app.locations" in str(refused.value) and "gps_raw" in str(refused.value)
        assert diagnostic.message_hint and secret not in str(refused.value)
        with pytest.raises(psycopg.errors.CheckViolation):
            with connection.cursor().copy("COPY app.locations (user_id, residency, gps_raw)"
                                          " FROM STDIN") as copy:
                copy.write_row((1, "US", secret))
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE app.locations SET gps_raw = %s WHERE id = 1", (secret,))
        connection.execute("INSERT INTO app.locations (user_id, residency, note) VALUES (1, 'US', %s)",
                           (secret,))
    with open(either.server.cluster.log, encoding="utf-8", errors="replace") as log:
        assert secret not in log.read()
    assert not either.rows("SELECT 1 FROM app.locations WHERE gps_raw IS NOT NULL OR note IS NOT NULL")
    found = counts(either)
    assert found["app.locations", "gps_raw", "refused"] == 3  # though each was rolled back
    assert found["app.locations", "note", "dropped"] == 1


def test_an_application_that_delivers_coarse_values_may_be_held_to_it(either):
    with_rules(either, lat={"coarsen": 0.1, "finer": "refuse"}, ip={"network": [24, 48], "finer": "refuse"})
    assert insert(either, {"lat": 52.5, "ip": "10.0.0.0/24"})[0] == 52.5
    with pytest.raises(psycopg.errors.CheckViolation, match="finer than a multiple of 0.1"):
        insert(either, {"lat": 52.52})
    with pytest.raises(psycopg.errors.CheckViolation, match="network /24"):
        insert(either, {"ip": "10.0.0.1"})
    # rows from before the rule may be written again as long as that column stays
    either.rows("UPDATE app.locations SET at = now()")


@pytest.mark.parametrize("setting", ["extra_float_digits = -15", "extra_float_digits = 3"])
def test_how_a_session_writes_numbers_does_not_hide_that_a_place_has_changed(region, setting):
    with_rules(region, columns="ADD spot point", lat={"coarsen": 0.1, "finer": "refuse"},
               spot={"coarsen": 0.1, "finer": "refuse"}, lon={"coarsen": 1})
    insert(region, {"lat": 52.5, "spot": "(52.5,13.4)"})
    with psycopg.connect(region.server.cluster.dsn(region.database), autocommit=True) as connection:
        connection.execute("SET SESSION AUTHORIZATION app_us")
        connection.execute(f"SET {setting}")
        for place in ("lat = 52.4567", "spot = '(52.4567,13.4321)'"):
            with pytest.raises(psycopg.errors.CheckViolation, match="finer"):
                connection.execute(f"UPDATE app.locations SET {place} WHERE lat = 52.5")
        # a child's place from before there were rules may stay; it cannot be followed up by another
        region.rows("ALTER TABLE app.locations DISABLE TRIGGER ALL; INSERT INTO app.locations (user_id,"
                    f" lon, residency) VALUES ({CHILD}, 61, 'US'); ALTER TABLE app.locations ENABLE"
                    " TRIGGER ALL")
        connection.execute(f"UPDATE app.locations SET lon = 64 WHERE user_id = {CHILD} AND lon = 61")
        assert not connection.execute(f"SELECT 1 FROM app.locations WHERE user_id = {CHILD} AND lon = 64"
                                      ).fetchall()


def test_a_child_has_no_location_by_any_way(either):
    with_rules(either, **PLACE)
    here = "SELECT count(*) FROM app.locations WHERE user_id = 7 AND num_nonnulls(lat, lon, ip) > 0"
    either.rows("DELETE FROM app.locations")
    assert insert(either, {"lat": 38.1, "lon": 1.0, "ip": "10.0.0.0/24"}, CHILD) == (None, None, None)
    either.rows("UPDATE app.locations SET lat = 1.0 WHERE user_id = 7")
    assert either.value(here) == 0
    insert(either, {"lat": 38.1}, ADULT)
    either.rows("UPDATE app.locations SET user_id = 7")
    assert either.value(here) == 0
    either.rows("BEGIN; INSERT INTO app.users (id, handle, email, birthdate, residency) VALUES"
                " (1007, 'k', 'k', current_date - 10, 'US');"
                "INSERT INTO app.locations (user_id, lat, residency) VALUES (1007, 38.1, 'US'); COMMIT")
    assert either.rows("SELECT lat FROM app.locations WHERE user_id = 1007") == [(None,)]
    assert counts(either)["app.locations", "lat, lon, ip", "location of a child"] >= 4


def test_partitions_obey_the_rules_too(either):
    either.rows("CREATE TABLE app.trips (user_id bigint NOT NULL REFERENCES app.users, day date NOT NULL,"
                " lat float8, secret text, residency text NOT NULL) PARTITION BY RANGE (day);"
                "CREATE TABLE app.trips_1 PARTITION OF app.trips FOR VALUES FROM ('2026-01-01') TO"
                " ('2026-02-01')")
    either.policy["tables"]["app.trips"] = {
        "subject": "user_id", "residency": "residency",
        "columns": {"user_id": "identity", "lat": "location", "residency": "none", "day": "activity"},
        "ingest": {"lat": {"coarsen": 0.1}, "secret": "refuse"}}
    either.apply()
    either.rows("CREATE TABLE app.trips_2 PARTITION OF app.trips DEFAULT")
    for part in ("trips", "trips_1"):
        either.rows(f"INSERT INTO app.{part} VALUES (1, '2026-01-05', 1.2345, NULL, 'US'),"
                    " (7, '2026-01-06', 1.2345, NULL, 'US')")
        with pytest.raises(psycopg.errors.CheckViolation):
            either.rows(f"INSERT INTO app.{part} VALUES (1, '2026-01-05', 1, 'x', 'US')")
    either.rows("UPDATE app.trips SET day = '2027-01-01', lat = 3.4567 WHERE user_id = 1")
    assert sorted(either.rows("SELECT DISTINCT user_id, lat FROM app.trips")) == [(1, 3.5), (7, None)]
    for statement in ("INSERT INTO app.trips VALUES (1, '2026-01-05', 1, NULL, 'DE')",
                      "INSERT INTO app.trips_1 VALUES (1, '2026-01-05', 1, NULL, 'DE')",
                      "UPDATE app.trips SET residency = 'DE'"):
        with pytest.raises(psycopg.errors.CheckViolation, match="ringfence_residency"):
            either.rows(statement)
    either.rows("ALTER TABLE app.trips_1 DISABLE TRIGGER \"~ringfence_ingest_insert\"")
    assert either.command("plan", "--check").returncode == 1
    either.apply()
    either.rows("INSERT INTO app.trips_1 VALUES (1, '2026-01-05', 1.2345, NULL, 'US')")
    assert not either.rows("SELECT 1 FROM app.trips WHERE lat = 1.2345")


def test_the_service_cannot_switch_a_rule_off(either):
    with_rules(either, gps_raw="refuse", columns="ADD gps_raw text", **PLACE)
    for statement in ("ALTER TABLE app.locations DISABLE TRIGGER ALL",
                      "DROP TRIGGER \"~ringfence_ingest_insert\" ON app.locations",
                      "SET session_replication_role = replica",
                      "SELECT ringfence.ingest_counts()", "DELETE FROM ringfence.child",
                      "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                      "ALTER TABLE app.locations DROP COLUMN lat"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            either.rows(f"SET SESSION AUTHORIZATION app_us; {statement}")


@pytest.mark.parametrize("harm", [
    "ALTER TABLE app.locations DISABLE TRIGGER \"~ringfence_ingest_insert\"",
    "DROP TRIGGER \"~ringfence_refuse_update\" ON app.locations",
    "CREATE OR REPLACE FUNCTION ringfence.\"ingest_app.locations\"() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NEW; END'",
    "DROP FUNCTION ringfence.\"refuse_app.locations\"() CASCADE",
    "CREATE TRIGGER \"~ringfence_zzz\" AFTER INSERT ON app.users EXECUTE FUNCTION"
    " ringfence.child_truncate()",
])
def test_a_changed_rule_is_found_and_set_right(region, harm):
    with_rules(region, gps_raw="refuse", columns="ADD gps_raw text", **PLACE)
    assert region.command("plan", "--check").returncode == 0
    region.rows(harm)
    assert region.command("plan", "--check").returncode == 1
    region.apply()
    assert region.command("plan", "--check").returncode == 0
    assert insert(region, {"lat": 1.2345})[0] == 1.2
    with pytest.raises(psycopg.errors.CheckViolation):
        region.rows("UPDATE app.locations SET gps_raw = 'x'")


def test_rules_that_leave_the_policy_leave_the_database(either):
    with_rules(either, gps_raw="refuse", columns="ADD gps_raw text", **PLACE)
    del either.policy["tables"]["app.locations"]["ingest"]
    for column in ("lat", "lon", "ip"):
        either.policy["tables"]["app.locations"]["columns"][column] = "payment"
    either.apply()
    assert insert(either, {"lat": 1.2345, "gps_raw": "x"}) == (1.2345, "x")
    assert not either.rows("SELECT 1 FROM pg_trigger WHERE tgname ~ 'ringfence_(ingest|refuse)'")
    assert not either.rows("SELECT 1 FROM pg_proc WHERE proname ~ '^(ingest|refuse)_app'")


@pytest.mark.parametrize("rules, says", [
    ({"nowhere": "refuse"}, "no column \"nowhere\""),
    ({"at": {"coarsen": 5}}, "cannot be coarsened"),
    ({"lat": {"network": [24, 48]}}, "cannot be cut to a network"),
    ({"lat": {"coarsen": 0}}, "expected a step"),
    ({"lat": {"coarsen": 0.1, "network": [24, 48]}}, "network"),
    ({"ip": {"network": [24, 200]}}, "expected the bits"),
    ({"id": "null"}, "NOT NULL"),
    ({"user_id": "null"}, "stand on this column"),
    ({"lat": {"rule": "null", "finer": "refuse"}}, "\"finer\" is for coarsen and network"),
])
def test_a_rule_that_cannot_be_is_refused_with_its_line(region, rules, says):
    before = region.snapshot()
    region.policy["tables"]["app.locations"]["ingest"] = rules
    done = region.command("apply")
    assert done.returncode != 0 and says in done.stdout + done.stderr, done.stdout + done.stderr
    assert region.snapshot() == before


# -- children that turn out to be some later, or at the same moment -----------------------------------

PERSON = ("INSERT INTO app.users (id, handle, email, birthdate, residency) VALUES"
          " ({id}, 'n{id}', 'n{id}', {birth}, 'US') RETURNING id")
PLACE_OF = "INSERT INTO app.locations (user_id, lat, lon, ip, residency) VALUES ({id}, 38.1, -77.9, '10.0.0.0/24', 'US')"
LEFT = "SELECT count(*) FROM app.locations WHERE user_id = {id} AND num_nonnulls(lat, lon, ip) > 0"
YOUNG, OLD = "current_date - 4000", "date '1980-01-01'"


def test_who_turns_out_to_be_a_child_loses_the_places_he_has_left(either):
    with_rules(either, **PLACE)
    either.rows(PERSON.format(id=1001, birth=OLD))
    for _ in range(3):
        either.rows(PLACE_OF.format(id=1001))
    others = either.value("SELECT count(lat) FROM app.locations")
    either.rows(f"BEGIN; UPDATE app.users SET birthdate = {YOUNG} WHERE id = 1001; ROLLBACK")
    assert either.value(LEFT.format(id=1001)) == 3
    either.rows(f"SET SESSION AUTHORIZATION app_us; UPDATE app.users SET birthdate = {YOUNG} WHERE id = 1001")
    assert either.value(LEFT.format(id=1001)) == 0
    assert either.value("SELECT count(lat) FROM app.locations") == others - 3


@pytest.mark.parametrize("statement", [
    "WITH u AS (" + PERSON + ") INSERT INTO app.locations (user_id, lat, residency) SELECT id, 38.1, 'US' FROM u",
    "WITH l AS (" + PLACE_OF + ") UPDATE app.users SET birthdate = {birth} WHERE id = 1",
    "BEGIN; SET CONSTRAINTS ALL DEFERRED; " + PLACE_OF + "; " + PERSON + "; COMMIT",
    "BEGIN; " + PERSON + "; " + PLACE_OF + "; COMMIT",
])
def test_birth_date_and_place_in_one_statement_or_transaction(either, statement):
    with_rules(either, **PLACE)
    either.rows("ALTER TABLE app.locations ALTER CONSTRAINT locations_user_id_fkey DEFERRABLE")
    who = 1 if "id = 1" in statement else 1001
    either.rows(statement.format(id=who, birth=YOUNG))
    assert either.value(f"SELECT count(*) FROM app.locations WHERE user_id = {who}") >= 1
    assert either.value(LEFT.format(id=who)) == 0


def test_a_place_that_another_transaction_has_just_written_is_waited_for(either):
    with_rules(either, **PLACE)
    either.rows(PERSON.format(id=1001, birth=OLD))
    dsn = either.server.cluster.dsn(either.database)
    with psycopg.connect(dsn) as writer, psycopg.connect(dsn, autocommit=True) as corrector:
        writer.execute(PLACE_OF.format(id=1001))
        worker = threading.Thread(target=lambda: corrector.execute(
            f"UPDATE app.users SET birthdate = {YOUNG} WHERE id = 1001"))
        worker.start()
        wait_until(lambda: either.value("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0,
                   "nobody waits for the writer")
        writer.commit()
        worker.join(timeout=30)
        assert not worker.is_alive()
    assert either.value(LEFT.format(id=1001)) == 0


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_the_extension_sees_who_is_being_made_a_child_at_this_moment(region, level):
    """Also a transaction that began long before, and whatever becomes of the other one."""
    with_rules(choose(region, "extension"), **PLACE)
    region.rows(PERSON.format(id=1001, birth=OLD))
    dsn = region.server.cluster.dsn(region.database)
    with psycopg.connect(dsn) as corrector, psycopg.connect(dsn) as writer:
        writer.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        writer.execute("SELECT count(*) FROM app.users")
        corrector.execute(f"UPDATE app.users SET birthdate = {YOUNG} WHERE id = 1001")
        worker = threading.Thread(target=lambda: (writer.execute(PLACE_OF.format(id=1001)), writer.commit()))
        worker.start()  # its foreign key waits
        wait_until(lambda: region.value("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0,
                   "nobody waits for the corrector")
        corrector.commit()
        worker.join(timeout=30)
        assert not worker.is_alive()
    assert region.rows("SELECT lat, lon, ip FROM app.locations WHERE user_id = 1001") == [(None,) * 3]


# -- by which means -----------------------------------------------------------------------------------


def test_installing_and_dropping_the_extension_changes_the_means_and_not_the_rules(region):
    with_rules(region, **PLACE)
    plain = functions_of_rules(region)
    assert "ringfence_native.ingest" not in plain
    choose(region, "extension")
    assert region.command("plan", "--check").returncode == 1
    region.apply()
    assert functions_of_rules(region) == ["ringfence_native.ingest"]
    assert not region.rows("SELECT 1 FROM pg_proc WHERE proname ~ '^(ingest|change)_app'")
    assert insert(region, {"lat": 1.2345})[0] == 1.2
    before = region.snapshot()
    region.apply()
    assert region.snapshot() == before
    region.rows("DROP EXTENSION ringfence CASCADE")
    assert region.command("plan", "--check").returncode == 1
    region.apply()
    assert functions_of_rules(region) == plain
    assert insert(region, {"lat": 1.2345})[0] == 1.2
    assert counts(region)["app.locations", "lat, lon", "multiple of 0.1"] == 2


def test_the_extension_refuses_without_a_second_trigger_but_what_is_computed_later(region):
    """A generated column has no value before the row is whole: then plpgsql refuses, afterwards."""
    with_rules(choose(region, "extension"), columns="ADD gps_raw text", gps_raw="refuse", **PLACE)
    second = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~ringfence_refuse%'"
    assert region.value(second) == 0
    with pytest.raises(psycopg.errors.CheckViolation, match="refuses column \"gps_raw\""):
        insert(region, {"gps_raw": "x"})
    region.rows("ALTER TABLE app.locations ADD exact text GENERATED ALWAYS AS ('x' || user_id) STORED")
    region.policy["tables"]["app.locations"]["ingest"]["exact"] = "refuse"
    region.apply()
    assert region.value(second) == 2 and functions_of_rules(region) == ["ringfence_native.ingest"]
    with pytest.raises(psycopg.errors.CheckViolation, match="refuses column \"exact\""):
        insert(region, {"lat": 1.2})


def test_partitions_may_number_their_columns_as_they_like(region):
    choose(region, "extension")
    region.rows("CREATE TABLE app.trips (user_id bigint NOT NULL REFERENCES app.users, day date NOT NULL,"
                " lat float8, residency text NOT NULL) PARTITION BY RANGE (day);"
                "CREATE TABLE app.trips_1 (gone int, residency text NOT NULL, lat float8, gone2 text,"
                " day date NOT NULL, user_id bigint NOT NULL);"
                "ALTER TABLE app.trips_1 DROP gone, DROP gone2;"
                "ALTER TABLE app.trips ATTACH PARTITION app.trips_1 DEFAULT")
    region.policy["tables"]["app.trips"] = {
        "subject": "user_id", "residency": "residency",
        "columns": {"user_id": "identity", "lat": "location", "residency": "none", "day": "activity"},
        "ingest": {"lat": {"coarsen": 0.1}}}
    region.apply()
    region.rows("INSERT INTO app.trips VALUES (1, '2026-01-05', 1.2345, 'US'), (7, '2026-01-06', 1.2, 'US');"
                "INSERT INTO app.trips_1 VALUES ('US', 2.3456, '2026-01-05', 1), ('US', 1.2, '2026-01-05', 7);"
                "WITH u AS (" + PERSON.format(id=1001, birth=YOUNG) + ") INSERT INTO app.trips"
                " SELECT id, '2026-01-05', 1.2, 'US' FROM u")
    assert sorted(region.rows("SELECT DISTINCT user_id, coalesce(lat, -1) FROM app.trips")) == [
        (1, 1.2), (1, 2.3), (7, -1), (1001, -1)]


@pytest.mark.parametrize("harm", [
    "CREATE OR REPLACE FUNCTION ringfence_native.ingest() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NEW; END'",
    "ALTER TABLE app.locations ENABLE REPLICA TRIGGER \"~ringfence_ingest_update\"",
    "DROP TRIGGER \"~ringfence_ingest_insert\" ON app.locations; CREATE TRIGGER \"~ringfence_ingest_insert\""
    " BEFORE INSERT ON app.locations FOR EACH ROW EXECUTE FUNCTION ringfence_native.ingest();"
    "ALTER TABLE app.locations ENABLE ALWAYS TRIGGER \"~ringfence_ingest_insert\"",
])
def test_a_changed_rule_of_the_extension_is_found_and_set_right(region, harm):
    with_rules(choose(region, "extension"), **PLACE)
    region.rows(harm)
    assert region.command("plan", "--check").returncode == 1
    region.apply()
    assert region.command("plan", "--check").returncode == 0
    assert insert(region, {"lat": 1.2345})[0] == 1.2
    assert insert(region, {"lat": 1.2345}, CHILD)[0] is None


ODD_ARGUMENTS = ["'child'", "'multiple', 'nowhere', '1', '10', '0', '1', 'lat'",
                 "'multiple', '{c}', '0', '0', '0', '1', 'lat'",
                 "'multiple', '{c}', '1', '10', '0', '9999999', 'lat'",
                 "'multiple', '{c}', '1', '10', '0', '-1', 'lat'",
                 "'multiple', '{c}', '1', '10', '0', '1', 'residency'",
                 "'network', '{c}', '24', '48', '0', '1', 'lat'",
                 "'child', '{c}', '0', '0', '1', '1', 'residency', 'lat'",
                 "'odd', '{c}', '0', '0', '0', '1', 'lat'",
                 "'multiple', '{c}', 'x', '10', '0', '1', 'lat'",
                 "'refuse', '{c}', '0', '0', '0', '1', 'lat'",
                 "'refuse', '{c}', '0', '0', '4', '1', 'a', 'b'",
                 "'multiple', '{c}', '1', '10', '0', '1', 'gone'"]


def test_arguments_that_nobody_should_write_end_in_an_error_and_not_in_a_crash(region):
    with_rules(choose(region, "extension"), **PLACE)
    counter = region.value("SELECT relname FROM pg_class WHERE relname LIKE 'ingest\\_%' AND relkind = 'S' LIMIT 1")
    region.rows("DROP TRIGGER \"~ringfence_ingest_insert\" ON app.locations")
    for arguments in ODD_ARGUMENTS:
        region.rows("CREATE OR REPLACE TRIGGER odd BEFORE INSERT ON app.locations FOR EACH ROW EXECUTE FUNCTION"
                    f" ringfence_native.ingest({arguments.format(c=counter)})")
        with pytest.raises(psycopg.Error) as refused:
            region.rows(PLACE_OF.format(id=1))
        assert not isinstance(refused.value, psycopg.OperationalError) and "38.1" not in str(refused.value)
    with pytest.raises(psycopg.Error, match="trigger"):
        region.rows("CREATE TRIGGER odd2 AFTER UPDATE ON app.locations FOR EACH ROW EXECUTE FUNCTION"
                    " ringfence_native.ingest(); UPDATE app.locations SET at = at")


# -- residency ----------------------------------------------------------------------------------------


def test_no_way_of_writing_brings_a_row_of_another_country(region):
    """Also not the ways on which no statement names the table: a foreign key that hands a change on."""
    region.rows("CREATE TABLE app.notes (id bigint PRIMARY KEY, user_id bigint NOT NULL, residency text NOT NULL);"
                "ALTER TABLE app.users ADD UNIQUE (id, residency);"
                "ALTER TABLE app.notes ADD FOREIGN KEY (user_id, residency) REFERENCES app.users (id, residency)"
                " ON UPDATE CASCADE; INSERT INTO app.notes VALUES (1, 1, 'US')")
    region.policy["tables"]["app.notes"] = {
        "subject": "user_id", "residency": "residency",
        "columns": {"id": "identity", "user_id": "identity", "residency": "none"}}
    region.apply()
    merge = "MERGE INTO app.notes n USING (SELECT 1 AS id) s ON n.id = s.id + {0} WHEN {1} MATCHED THEN {2}"
    for statement in (
            "INSERT INTO app.notes VALUES (2, 1, 'DE')", "INSERT INTO app.notes VALUES (2, 1, NULL)",
            "UPDATE app.notes SET residency = 'DE'", "UPDATE app.users SET residency = 'DE' WHERE id = 1",
            "INSERT INTO app.notes VALUES (1, 1, 'US') ON CONFLICT (id) DO UPDATE SET residency = 'DE'",
            merge.format(0, "", "UPDATE SET residency = 'DE'"), merge.format(7, "NOT", "INSERT VALUES (9, 1, 'DE')"),
            "SET session_replication_role = replica; UPDATE app.users SET residency = 'DE' WHERE id = 1",
            "SET session_replication_role = replica; INSERT INTO app.notes VALUES (2, 1, 'DE')"):
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation)):
            region.rows(statement)
    with psycopg.connect(region.server.cluster.dsn(region.database)) as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="ringfence_residency"):
            with connection.cursor().copy("COPY app.notes FROM STDIN") as copy:
                copy.write_row((2, 1, "DE"))
    # where the table that is referred to has no rule, the foreign key's own UPDATE meets the CHECK
    region.rows("ALTER TABLE app.users DROP CONSTRAINT ringfence_residency")
    with pytest.raises(psycopg.errors.CheckViolation, match="ringfence_residency"):
        region.rows("UPDATE app.users SET residency = 'DE' WHERE id = 1")
    assert region.rows("SELECT * FROM app.notes") == [(1, 1, "US")]


# -- what is kept no longer -------------------------------------------------------------------------

def keep(policy, table, column, days):
    policy["tables"][table]["retention"] = {"column": column, "keep": f"{days} days"}


def expire(region, table, most=1000):
    with psycopg.connect(region.server.cluster.dsn(region.database), autocommit=True) as c:
        c.execute("SET SESSION AUTHORIZATION rf_control")
        return c.execute("SELECT deleted, blocked FROM ringfence.expire(%s, %s)", (table, most)).fetchone()


def test_only_what_is_old_can_be_deleted_and_only_from_listed_tables(region):
    keep(region.policy, "app.searches", "at", 30)
    region.apply()
    region.rows("INSERT INTO app.searches (user_id, at, q, residency)"
                " VALUES (1, now() - interval '29 days 23 hours', 'young', 'US')")
    old = region.value("SELECT count(*) FROM app.searches") - 1
    assert expire(region, "app.searches", 100) == (100, None)
    assert expire(region, "app.searches") == (old - 100, None)
    assert expire(region, "app.searches") == (0, None)
    assert region.rows("SELECT q FROM app.searches") == [("young",)]
    for table in ("app.messages", "pg_class", "app.searches; DROP TABLE app.users", None):
        with pytest.raises(psycopg.Error):
            expire(region, table)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        region.rows("SET SESSION AUTHORIZATION rf_control; DELETE FROM app.searches")
    assert region.rows("SELECT relation, rows FROM ringfence.expired") == [("app.searches", old)]


def test_what_another_row_refers_to_stays_and_the_constraint_is_told(region):
    keep(region.policy, "app.videos", "created_at", 30)
    region.apply()
    region.rows("INSERT INTO app.videos (id, user_id, title, created_at, residency)"
                " VALUES (9001, 1, 't', '2026-01-01', 'US'), (9002, 1, 't', '2026-01-01', 'US')")
    deleted, blocked = expire(region, "app.videos")
    assert deleted >= 2 and blocked == "watch_events_video_id_fkey"
    assert not region.rows("SELECT 1 FROM app.videos WHERE id > 9000")
    assert region.value("SELECT count(*) FROM app.videos") > 0


def test_control_deletes_what_is_old(own_pair, new_gateway):
    def policy(p):
        keep(p, "app.searches", "at", 30)
        keep(p, "app.watch_events", "at", 30)

    gateway = new_gateway(region=own_pair, policy=policy, start=False)
    apply_policy(gateway)
    own_pair.primary.rows("UPDATE app.searches SET at = now() WHERE id % 2 = 0")
    gateway.start()
    wait_until(lambda: own_pair.primary.value("SELECT count(*) FROM app.watch_events") == 0,
               "control does not delete")
    wait_until(lambda: own_pair.primary.value("SELECT count(*) FROM app.searches") == 250,
               "control does not delete the next table")
    wait_until(lambda: "event=retention database=us-virginia rows=4250" in gateway.log(),
               "control says nothing")
