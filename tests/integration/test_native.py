"""Extension ringfence (extension/): what it makes of masked views, and its two walls."""

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
    "SELECT ringfence_native.key_set(id) FROM users",
    "SELECT key FROM ringfence.pseudonym_key",
])
def test_a_person_cannot_name_the_functions(native, sql):
    with person(native) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql)


@pytest.mark.parametrize("call", ["pseudonym(8::bigint, 'subject')", "value_of(8::bigint, 'subject')",
                                  "pseudonym('x', 'subject', 20)"])
def test_not_even_a_superuser_runs_them_outside_of_views(native, call):
    """The second wall, for the day on which the first one has a hole."""
    with connect(native, "postgres") as owner:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only inside of views"):
            owner.execute(f"SELECT ringfence_native.{call}")


def test_the_extension_knows_nothing_of_a_grants_own_pseudonyms(native):
    """They are keyed with the grant's secret: the region's key would let two grants be compared."""
    masked, granted = (native.value(f"SELECT pg_get_viewdef('{room}.watch_events'::regclass)")
                       for room in ("masked", "granted"))
    assert "ringfence_native.pseudonym" in masked
    assert "ringfence_native.pseudonym" not in granted and ".secret" in granted


def test_a_new_key_makes_new_pseudonyms(native):
    with person(native) as connection:
        before = {key for (key,) in connection.execute("SELECT id FROM users").fetchall()}
    native.rows("UPDATE ringfence.pseudonym_key SET key = sha256(key)")
    with person(native) as connection:
        after = {key for (key,) in connection.execute("SELECT id FROM users").fetchall()}
    assert len(after) == len(before) and not after & before
