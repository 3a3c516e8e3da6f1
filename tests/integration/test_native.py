"""Extension ringfence (extension/): what it makes of masked views, and its two walls."""

import hashlib
import os

import psycopg
import pytest

from applied import Server, install_extension

PERSON = "us_analyst.masked"


@pytest.fixture(scope="module")
def native(scratch, authority, build):
    """A database with the extension and the policy applied."""
    if not install_extension(build):
        pytest.skip("the extension is not built, or cannot be installed")
    server = Server(os.path.join(scratch, "native"), authority, build)
    region = server.new_database()
    region.rows("CREATE EXTENSION ringfence")
    region.apply()
    yield region
    server.cluster.stop()


def connect(native, role):
    dsn = native.server.cluster.dsn(native.database).replace("user=postgres", f"user={role}")
    return psycopg.connect(dsn, autocommit=True)


def person(native):
    return connect(native, PERSON)


def plan(connection, sql):
    return "\n".join(line for (line,) in connection.execute("EXPLAIN " + sql).fetchall())


def test_a_second_apply_changes_nothing(native):
    before = native.snapshot()
    native.apply()
    assert native.snapshot() == before


def test_a_row_is_found_by_its_pseudonym_through_the_index(native):
    with person(native) as connection:
        known = connection.execute("SELECT * FROM users ORDER BY id LIMIT 1 OFFSET 5").fetchone()
        connection.execute("SET enable_seqscan = off")
        sql = f"SELECT * FROM users WHERE id = {known[0]}"
        assert "users_pkey" in plan(connection, sql)
        assert connection.execute(sql).fetchall() == [known]
        for small in ("7", "7::smallint"):  # literals of smaller types
            assert "users_pkey" in plan(connection, f"SELECT * FROM users WHERE id = {small}")
        # not a condition of every row: no look-up, and the same answer
        assert "users_pkey" not in plan(connection, f"{sql} OR residency = 'US'")
        everybody = connection.execute("SELECT count(*) FROM users").fetchone()[0]
        assert connection.execute(
            f"SELECT count(*) FROM users WHERE NOT (id = {known[0]})").fetchone()[0] == everybody - 1


def test_a_plan_does_not_tell_where_among_the_partitions_a_key_lies(native):
    """Neither by the partitions that are left in it, nor by how many rows it expects there."""
    native.rows("CREATE TABLE app.trips (id bigserial, user_id bigint NOT NULL REFERENCES app.users, at"
                " timestamptz, residency text NOT NULL) PARTITION BY RANGE (user_id);"
                "CREATE INDEX ON app.trips (user_id);" + "".join(
                    f"CREATE TABLE app.trips_{low} PARTITION OF app.trips FOR VALUES FROM ({low}) TO"
                    f" ({low + 50});" for low in range(0, 400, 50))
                + "INSERT INTO app.trips (user_id, at, residency) SELECT u.id, now(), residency"
                " FROM app.users u, generate_series(1, 50); ANALYZE app.trips")
    native.policy["tables"]["app.trips"] = {
        "subject": "user_id", "residency": "residency",
        "columns": {"id": "identity", "user_id": "identity", "residency": "none"}}
    native.apply()
    with person(native) as connection:
        connection.execute("SET jit = off")
        known = [key for (key,) in connection.execute("SELECT DISTINCT user_id FROM trips").fetchall()]
        assert len(known) > 100
        plans = {plan(connection, f"SELECT * FROM trips WHERE user_id = {key}").replace(str(key), "P")
                 for key in known}
        assert len(plans) == 1 and "trips_0" in plans.pop()
        for setting in ("plan_cache_mode = force_generic_plan", "force_parallel_mode = on",
                        "enable_seqscan = off"):
            connection.execute(f"SET {setting}")
            for key in known[:3]:
                assert connection.execute("SELECT count(*) FROM trips WHERE user_id = %s", [key],
                                          prepare=True).fetchone() == (50,), setting
    del native.policy["tables"]["app.trips"]
    native.rows("DROP VIEW masked.trips, granted.trips; DROP TABLE app.trips")
    native.apply()


def test_a_plan_expects_the_same_of_every_pseudonym(native):
    """value_of() is computed for guesses, too: they would tell a rare key from a frequent one."""
    with person(native) as connection:
        connection.execute("SET jit = off")
        known = [key for (key,) in connection.execute("SELECT DISTINCT user_id FROM watch_events").fetchall()]
        plans = {plan(connection, f"SELECT * FROM watch_events WHERE user_id = {key}").replace(str(key), "P")
                 for key in known}
        assert len(plans) == 1


def test_pseudonyms_are_one_to_one_and_join(native):
    with person(native) as connection:
        assert connection.execute(
            "SELECT count(*) = count(DISTINCT id), bool_and(id >= 0) FROM users").fetchone() == (True, True)
        events = native.rows("SELECT count(*) FROM app.watch_events w JOIN app.users u ON u.id = w.user_id"
                             " WHERE u.birthdate <= current_date - interval '18 years'")[0][0]
        assert connection.execute("SELECT count(*) FROM watch_events w JOIN users u"
                                  " ON u.id = w.user_id").fetchone()[0] == events
        clear = {key for (key,) in native.rows("SELECT id FROM app.users")}
        assert not clear & {key for (key,) in connection.execute("SELECT id FROM users").fetchall()}


def test_children_are_absent_whichever_condition_is_taken(native):
    keys = [key for (key,) in native.rows(
        "SELECT id FROM app.users WHERE birthdate > current_date - interval '18 years'")]
    assert keys
    with connect(native, "postgres") as owner, person(native) as connection:
        # what a child's pseudonym would be, which no answer ever showed
        owner.execute("CREATE VIEW public.children AS SELECT ringfence_native.pseudonym(id, 'subject')"
                      f" AS id FROM app.users WHERE id = {keys[0]}")
        hidden = owner.execute("SELECT id FROM public.children").fetchone()[0]
        owner.execute("DROP VIEW public.children")
        assert owner.execute("SELECT count(*) FROM app.watch_events WHERE user_id = %s",
                             [keys[0]]).fetchone()[0] > 0
        for table, column in (("users", "id"), ("watch_events", "user_id"), ("messages", "sender_id")):
            assert connection.execute(f"SELECT count(*) FROM {table} WHERE {column} = {hidden}"
                                      ).fetchone()[0] == 0
            assert connection.execute(f"SELECT count(*) FROM (SELECT {column} AS k FROM {table}) x"
                                      f" WHERE k::text = '{hidden}'").fetchone()[0] == 0


@pytest.mark.parametrize("sql", [
    "SELECT 1 FROM watch_events WHERE user_id NOT IN (SELECT id FROM users)"
    " AND (user_id || ' ' || video_id || ' ' || at)::int > 0",
    "SELECT 1 FROM watch_events w JOIN users u ON (w.user_id || 'x')::int = u.id"
    " WHERE w.user_id NOT IN (SELECT id FROM users)",
    "SELECT 1 FROM searches WHERE user_id NOT IN (SELECT id FROM users) AND user_id::text::int2 > 0",
])
def test_a_condition_cannot_print_a_childs_row(native, sql):
    with person(native) as connection:
        assert connection.execute(sql).fetchall() == []


@pytest.mark.parametrize("sql", [
    "SELECT ringfence_native.pseudonym(8::bigint, 'subject')",
    "SELECT ringfence_native.value_of(8::bigint, 'subject')",
    "SELECT ringfence_native.seek(8)",
    "SELECT ringfence_native.is_child(8)",
    "SELECT ringfence_native.mark(8, 4, 'identity')",
    "SELECT * FROM ringfence_native.subjects()",
    "SELECT ringfence_native.time_under(now())",
    "SELECT key FROM ringfence.pseudonym_key",
])
def test_a_person_cannot_name_the_functions(native, sql):
    with person(native) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql)


@pytest.mark.parametrize("call", ["pseudonym(8::bigint, 'subject')", "value_of(8::bigint, 'subject')",
                                  "pseudonym('x', 'subject', 20)", "is_child(8)", "subject_keys()",
                                  "mark(8, 4, 'identity')", "mark_all(4, 'identity')",
                                  "has_class(8, 4)", "pseudonym_under(8::bigint, 'subject')",
                                  "time_under(now())"])
def test_not_even_a_superuser_runs_them_outside_of_views(native, call):
    """The second wall, for the day on which the first one has a hole."""
    with connect(native, "postgres") as owner:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only inside of views"):
            owner.execute(f"SELECT ringfence_native.{call}")


def test_a_grants_own_pseudonyms_are_not_keyed_with_the_regions_key(native):
    """It would let two grants be compared."""
    masked, granted = (native.value(f"SELECT pg_get_viewdef('{room}.watch_events'::regclass)")
                       for room in ("masked", "granted"))
    assert "ringfence_native.pseudonym(" in masked
    assert "ringfence_native.pseudonym(" not in granted
    assert "ringfence_native.pseudonym_under(" in granted


# --- room granted: the same as in SQL ---------------------------------------------------------------

GRANTED = [
    "SELECT * FROM users ORDER BY id", "SELECT id, handle FROM users ORDER BY id",
    "SELECT * FROM watch_events ORDER BY at, id", "SELECT count(*) FROM watch_events",
    "SELECT * FROM messages ORDER BY at, id", "SELECT body FROM messages ORDER BY at, body",
    "SELECT sender_id, recipient_id FROM messages ORDER BY at", "SELECT * FROM searches ORDER BY id",
    "SELECT u.handle, w.at FROM users u JOIN watch_events w ON w.user_id = u.id ORDER BY 2, 1",
    "SELECT * FROM locations ORDER BY at", "SELECT * FROM videos ORDER BY id",
    "SELECT email FROM users WHERE handle LIKE '%1%' ORDER BY 1",
    "SELECT 1 FROM users WHERE (email || 'x')::int = 1",
]


def answers(region, role, token):
    """What each statement shows, and which subjects and classes were said to be shown by it."""
    found = []
    with connect(region, role) as connection:
        said = []
        connection.add_notice_handler(lambda d: said.append((d.sqlstate, d.severity, d.message_primary)))
        for sql in GRANTED:
            said.clear()
            try:
                rows = sorted(connection.execute(sql).fetchall(), key=repr)
            except psycopg.Error as error:
                rows = str(error)
            assert all(state == "RF001" and severity == "INFO" and text.startswith(f"{token} ")
                       for state, severity, text in said), said
            found.append((sql, rows, {text.split(" ", 1)[1] for _, _, text in said}))
    return found


def grant(region, number, subjects, classes):
    with connect(region, "postgres") as administrator:
        return administrator.execute(
            "SELECT ringfence.grant_open(%s, 'us_analyst', 'support_ticket', now() + interval '1 hour',"
            " %s, %s)", [number, [str(s) for s in subjects], classes]).fetchone()[0]


@pytest.fixture(scope="module")
def both(native, scratch, authority, build):
    """The same data with the extension and without; and people to name: adults and a child."""
    server = Server(os.path.join(scratch, "without"), authority, build)
    plain = server.new_database()
    plain.apply()
    busy = [key for (key,) in native.rows(
        "SELECT u.id FROM app.users u JOIN app.messages m ON u.id IN (m.sender_id, m.recipient_id)"
        " WHERE u.birthdate < '2000-01-01' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 3")]
    child = native.value("SELECT subject FROM ringfence.child c JOIN app.watch_events w"
                         " ON w.user_id = c.subject WHERE adult_on > now() LIMIT 1")
    yield native, plain, busy, child
    server.cluster.stop()


@pytest.fixture(scope="module", params=["off", "on"])
def times(request, both):
    """Clear times with the watermark, or as they are."""
    for region in both[:2]:
        region.policy["grants"]["marks"] = {"times": request.param}
        region.apply()
    return request.param


@pytest.mark.parametrize("classes", [
    ["identity"], ["identity", "contact"], ["activity", "graph"],
    ["identity", "contact", "location", "activity", "graph", "content", "payment"],
    ["identity", "contact", "activity", "graph", "content", "child"]])
@pytest.mark.parametrize("who", ["one", "three", "child"])
def test_a_grant_shows_and_says_the_same_as_without_the_extension(both, times, classes, who):
    native, plain, busy, child = both
    subjects = {"one": busy[:1], "three": busy, "child": [busy[0], child]}[who]
    number = abs(hash((times, tuple(classes), who))) % 10**9
    said = []
    for region in (native, plain):
        role = grant(region, number, subjects, classes)
        region.rows("UPDATE ringfence.grant_subject SET secret = sha256('1'), watermark = sha256('2')"
                    f" WHERE role = '{role}'")
        said.append(answers(region, role, region.value("SELECT ringfence.reveal_token_read()")))
    for (sql, rows, marks), (_, wanted_rows, wanted_marks) in zip(*said):
        assert rows == wanted_rows, sql
        assert marks == wanted_marks, sql
    assert any(marks for _, _, marks in said[0])


def test_watermarks_of_all_types_are_those_made_in_sql(both):
    native, plain, busy, _ = both
    columns = {"id": "uuid", "number": "integer", "short": "varchar(9)", "fits": "varchar(18)", "odd": "varchar(19)",
               "long": "text", "at": "timestamptz", "local": "timestamp", "ever": "timestamptz",
               "rounded": "timestamptz(3)"}
    shown, kinds = [], []
    for region in (native, plain):
        region.rows("CREATE TABLE app.types (" + ", ".join(f"{name} {kind}" for name, kind in columns.items())
                    + ", residency text DEFAULT 'US', user_id bigint REFERENCES app.users);"
                    "INSERT INTO app.types SELECT md5(n::text)::uuid, n, 'x' || n, 'y' || n, 'z' || n, repeat('é', n),"
                    " t, t::timestamp, CASE n % 3 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' END::timestamptz, t, 'US',"
                    f" {busy[0]} FROM (SELECT n, timestamptz '1999-12-31 23:59:59.9995+00' + (n - 20) *"
                    " interval '17 min 0.333333 s' AS t FROM generate_series(1, 40) n) x")
        region.policy["grants"]["marks"] = {"times": "on"}
        region.policy["tables"]["app.types"] = {
            "subject": "user_id", "residency": "residency", "columns": {
                **{name: {"class": "identity", "mask": "pseudonym"}
                   for name in ("id", "number", "short", "fits", "odd", "long")},
                **{name: "activity" for name in ("at", "local", "ever", "rounded")},
                "user_id": "identity", "residency": "none"}}
        region.apply()
        role = grant(region, 4711, busy[:1], ["activity"])
        region.rows("UPDATE ringfence.grant_subject SET secret = sha256('1'), watermark = sha256('2')"
                    f" WHERE role = '{role}'")
        with connect(region, role) as connection:
            shown.append(sorted(connection.execute("SELECT v::text FROM types v").fetchall()))
            rows = connection.execute("SELECT id::text, fits, odd, long, at::text, local::text, rounded FROM types"
                                      ).fetchall()
        kinds.append(rows)
        region.rows("DROP VIEW masked.types, granted.types; DROP TABLE app.types")
        del region.policy["tables"]["app.types"]
        region.apply()
    assert shown[0] == shown[1] and len(shown[0]) == 40
    key = hashlib.sha256(b"2").digest()
    for uuid, *texts, at, local, rounded in kinds[0]:
        for digits in (uuid.replace("-", ""), *(text[2:] for text in texts)):
            size = 6 + len(digits) % 2
            assert hashlib.sha256(key + bytes.fromhex(digits[:-size])).hexdigest()[:size] == digits[-size:], digits
        for time in (at.split("+")[0], local):
            minute, second = time.split(":")[1:]
            whole, _, rest = second.partition(".")
            us = int(rest.ljust(6, "0"))
            ms = int(minute) % 15 * 60000 + int(whole) * 1000 + us // 1000
            mark = int.from_bytes(hashlib.sha256(key + ms.to_bytes(4, "big")).digest()[:4], "big")
            assert mark % 1000 == us % 1000, time
        assert rounded.microsecond % 1000 == 0


def test_a_grants_end_ends_its_marks_in_an_open_cursor(native, both):
    _, _, busy, _ = both
    role = grant(native, 77, busy, ["identity", "contact"])
    with connect(native, role) as connection, connection.transaction():
        connection.execute("DECLARE c CURSOR FOR SELECT handle, email FROM users")
        assert "@" in connection.execute("FETCH 1 FROM c").fetchone()[1]
        native.rows(f"UPDATE ringfence.grant_subject SET ends = now() WHERE role = '{role}'")
        # as without the extension, what the open cursor saw is its own; a new statement sees nothing
        assert connection.execute("SELECT count(*) FROM users").fetchone()[0] == 0


def test_masks_are_those_made_in_sql(native, both):
    _, plain, busy, _ = both
    values = {
        "timestamptz": ["2024-03-05 23:59:59.999999+00", "1969-12-31 23:00:00-05", "infinity", "-infinity",
                        "4713-01-01 00:00+00 BC", "4700-01-01 00:00+00 BC", "4701-12-31 23:59+00 BC",
                        "0001-02-03 04:05+00 BC", "0001-01-01 00:00+00", "294000-05-05 00:00+00",
                        "289999-12-31 23:59:59+00", "1900-02-28 12:00+00", "2000-02-29 00:00+00"],
        "integer": ["0", "-1", "-10", "-11", "9", "10", "2147483647", "-2147483648", "-2147483639",
                    "-2147483638", "-2147483637"],
    }
    shown = []
    for region in (native, plain):
        region.rows("CREATE TABLE app.masks (id serial, birth date, at timestamptz, local timestamp,"
                    " small smallint, plain integer, big bigint, residency text DEFAULT 'US',"
                    f" user_id bigint DEFAULT {busy[0]} REFERENCES app.users)")
        for text in values["timestamptz"]:
            region.rows(f"INSERT INTO app.masks (at, local, birth) VALUES ('{text}',"
                        f" '{text}'::timestamptz AT TIME ZONE 'UTC', '{text.replace('+00', '')}'::timestamp::date)")
        for text in values["integer"]:
            region.rows(f"INSERT INTO app.masks (plain, big, small) VALUES ({text}, {text}::bigint * 4294967296,"
                        f" ({text}::bigint / 65536)::smallint), (NULL, -9223372036854775808, -32768)")
        found = []
        for unit in ("day", "month", "year"):
            cut = {"class": "activity", "mask": unit}
            coarse = {"class": "activity", "mask": "coarse", "step": 10}
            region.policy["tables"]["app.masks"] = {
                "subject": "user_id", "residency": "residency", "columns": {
                    **{name: dict(cut) for name in ("birth", "at", "local")},
                    **{name: dict(coarse) for name in ("small", "plain", "big")},
                    "user_id": {"class": "identity", "mask": "absent"}, "residency": "none"}}
            region.apply()
            found.append(region.rows("SELECT array_agg(x.v ORDER BY x.v)"
                                     " FROM (SELECT v::text FROM masked.masks v) x"))
        assert ("ringfence_native.year_of" in region.value("SELECT pg_get_viewdef('masked.masks'::regclass)")
                ) == (region is native)
        shown.append(found)
        del region.policy["tables"]["app.masks"]
        region.rows("DROP VIEW masked.masks, granted.masks; DROP TABLE app.masks")
        region.apply()
    assert shown[0] == shown[1]


def test_a_new_key_makes_new_pseudonyms(native):
    with person(native) as connection:
        before = {key for (key,) in connection.execute("SELECT id FROM users").fetchall()}
    native.rows("UPDATE ringfence.pseudonym_key SET key = sha256(key)")
    with person(native) as connection:
        after = {key for (key,) in connection.execute("SELECT id FROM users").fetchall()}
    assert len(after) == len(before) and not after & before
