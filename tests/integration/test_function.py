"""Who may call PostgreSQL's own functions: persons what is listed, services all but the worst, every
other role of the cluster what it always could."""

import copy
import functools
import os
import re
import subprocess
import time

import psycopg
import pytest

from applied import ROOT, Server

PERSON = "us_analyst.masked"
ALLOWED_TO = "SELECT oid::regprocedure::text FROM pg_proc p WHERE" \
    " pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege('{}', oid, 'EXECUTE')"


@functools.cache
def listed(who):
    with open(f"{ROOT}/src/enforce/tbl/function.def", encoding="utf-8") as text:
        return re.findall(rf'^FUNCTION\("([^"]*)",\s*{who},', text.read(), re.M)


def fits(function, pattern):
    """FUNCTION: "name(types)"; PATTERN as it stands in the source, with two backslashes for one."""
    function, pattern = function.replace('"', ""), pattern.replace("\\\\_", "_")
    if "(" in pattern:
        return function == pattern.replace(", ", ",")
    return re.fullmatch(re.escape(pattern).replace("%", ".*"), function.split("(")[0])


def is_listed(function, who):
    return any(fits(function, pattern) for pattern in listed(who))


@pytest.fixture(scope="module")
def server(scratch, authority, build):
    made = Server(os.path.join(scratch, "function"), authority, build)
    made.cluster.rows("CREATE ROLE monitor LOGIN; CREATE ROLE standby LOGIN REPLICATION;"
                      " CREATE ROLE stubborn LOGIN NOINHERIT", dbname="postgres")
    made.cluster.rows("CREATE ROLE dba LOGIN; GRANT pg_monitor TO dba", dbname="postgres")
    yield made
    made.cluster.stop()


@pytest.fixture(scope="module")
def region(server):
    made = server.new_database()
    made.before = {name for (name,) in made.rows(ALLOWED_TO.format("public"))}
    began = time.monotonic()
    made.apply()
    print(f"\nthe first apply took {time.monotonic() - began:.2f} s")
    made.rows(f"GRANT CONNECT ON DATABASE {made.database} TO monitor, stubborn, dba")
    return made


def may_call(region, role):
    return {name for (name,) in region.rows(ALLOWED_TO.format(role))}


# -- who has what ----------------------------------------------------------------------------------

def test_everybody_has_nothing(region):
    assert may_call(region, "public") == set()
    assert len(region.before) > 3000


def test_a_person_has_a_short_list(region):
    allowed = may_call(region, PERSON)
    assert may_call(region, "cn_engineer.stats") == allowed
    assert allowed < region.before
    print(f"\npersons may call {len(allowed)} of {len(region.before)} functions")
    assert 600 < len(allowed) < 1300
    for who in ("SERVICE", "NOBODY"):
        assert {name for name in allowed if is_listed(name, who)} == set()
    hostile = re.compile(r'^"?(regexp_|ts_|xml|query_|lo_|pg_read|pg_ls|pg_stat_|pg_sleep|pg_adv|'
                         r"json_agg|jsonb_agg|row_to_json|to_json|md5|repeat|ascii|to_tsvector|"
                         r"pg_switch|pg_logical|pg_terminate|dblink|set_config|setseed|txid_|pg_lock)")
    assert {name for name in allowed if hostile.match(name)} == set()


def test_a_service_lost_the_worst_and_nothing_else(region):
    lost = region.before - may_call(region, "app_us")
    assert lost and {name for name in lost if not is_listed(name, "NOBODY")} == set()
    assert may_call(region, "rf_control") == may_call(region, "app_us")


@pytest.mark.parametrize("role", ["app_owner", "monitor", "standby", "stubborn"])
def test_other_roles_lost_nothing(region, role):
    assert may_call(region, role) >= region.before


def test_what_was_closed_stays_closed(region):
    for role in ("app_us", "monitor", PERSON):
        opened = may_call(region, role) - region.before
        assert opened == set(), role


def test_a_monitor_reads_its_views(region):
    """pg_stat_user_tables is made of functions that services and persons may not call."""
    assert region.rows("SELECT count(n_live_tup) FROM pg_stat_user_tables", "monitor")[0][0] >= 7
    assert region.rows("SELECT count(*) FROM pg_stat_activity", "dba")[0][0] >= 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        region.rows("SELECT count(n_live_tup) FROM pg_stat_user_tables", "app_us")


# -- what persons do with them ----------------------------------------------------------------------

ANALYSIS = """
SELECT count(*), count(DISTINCT residency), min(id), max(handle), sum(length(handle)) FROM users
SELECT date_trunc('month', created_at) AS month, count(*) FROM users GROUP BY 1 ORDER BY 1
SELECT extract(year FROM birthdate)::int AS born, count(*) FROM users GROUP BY 1 HAVING count(*) > 1
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), avg(seconds), stddev(seconds) FROM watch_events
SELECT user_id, rank() OVER (ORDER BY n DESC), lag(n) OVER (ORDER BY n), sum(n) OVER (), ntile(4) OVER (ORDER BY n) FROM (SELECT user_id, count(*) AS n FROM watch_events GROUP BY 1) x
SELECT coalesce(lower(handle), ''), upper(left(handle, 3)), substr(handle, 2, 3), substring(handle from 2 for 2) FROM users WHERE handle LIKE 'p%' AND handle ILIKE 'P%'
SELECT round(avg(cents)::numeric / 100, 2), width_bucket(avg(cents), 0, 10000, 10) FROM purchases
SELECT d::date, count(w.id) FROM generate_series('2026-01-01'::date, '2026-01-31', interval '1 day') d LEFT JOIN watch_events w ON w.at::date = d GROUP BY 1
SELECT string_agg(DISTINCT residency, ', ' ORDER BY residency), array_agg(DISTINCT residency) FROM users
SELECT now() - interval '1 day' < statement_timestamp(), age(now(), now() - interval '1 year'), now() AT TIME ZONE 'UTC'
SELECT CASE WHEN cents > 100 THEN 'much' ELSE 'little' END, count(*) FILTER (WHERE cents % 2 = 0) FROM purchases GROUP BY ROLLUP (1)
SELECT split_part('a/b/c', '/', 2), replace('abc', 'b', 'x'), trim('  x '), concat_ws('-', 1, 2), lpad(7::text, 3, '0'), position('b' in 'abc')
SELECT id FROM users WHERE id = ANY (ARRAY(SELECT user_id FROM watch_events)) AND residency IN ('US', 'CA') AND NOT id IS NULL
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t
SELECT '{"a": [1, 2]}'::jsonb -> 'a' ->> 0, jsonb_array_length('[1]'), ('{1,2}'::int[])[1], unnest(ARRAY[1, 2])
SELECT greatest(1, 2), nullif(1, 2), 1::text || 'x', '1'::int + 1, 2 ^ 3, @ -1, |/ 4, 7 / 2.0, 7 % 2, true AND NOT false
SELECT row(1, 2) < row(1, 3), (1, 'a') = (1, 'a'), '192.0.2.1'::inet << '192.0.2.0/24'::inet, host('192.0.2.1'::inet)
SELECT (DATE '2026-01-01', DATE '2026-02-01') OVERLAPS (DATE '2026-01-15', DATE '2026-03-01'), make_date(2026, 1, 1)
SELECT * FROM users TABLESAMPLE SYSTEM (100) LIMIT 0
SELECT * FROM pg_settings LIMIT 1
""".strip().splitlines()


@pytest.mark.parametrize("sql", [s for s in ANALYSIS if "TABLESAMPLE" not in s])
def test_an_analyst_can_work(region, sql):
    region.rows(sql, PERSON)


REFUSED = """
SELECT regexp_replace('a', 'a', 'b')
SELECT regexp_match('a', 'a')
SELECT * FROM regexp_split_to_table('a', 'a')
SELECT to_char(1, '9')
SELECT to_date('2026', 'YYYY')
SELECT ascii('a')
SELECT md5('a')
SELECT repeat('a', 10)
SELECT to_tsvector('a')
SELECT 'a'::text @@ 'b'::text
SELECT json_agg(u) FROM users u
SELECT row_to_json(u) FROM users u
SELECT query_to_xml('select 1', true, true, '')
SELECT pg_sleep(0)
SELECT pg_notify('a', 'b')
SELECT pg_advisory_lock(1)
SELECT pg_advisory_xact_lock_shared(1)
SELECT set_config('work_mem', '1GB', false)
SELECT setseed(0.5)
SELECT pg_export_snapshot()
SELECT lo_create(0)
SELECT lo_get(1)
SELECT pg_read_file('PG_VERSION')
SELECT pg_stat_get_live_tuples('masked.users'::regclass)
SELECT * FROM pg_stat_activity
SELECT * FROM pg_stat_user_tables
SELECT * FROM pg_locks
SELECT * FROM pg_stats
SELECT * FROM pg_available_extensions
SELECT * FROM pg_timezone_names
SELECT pg_relation_size('masked.users'::regclass)
SELECT pg_current_wal_lsn()
SELECT txid_current()
SELECT pg_terminate_backend(pg_backend_pid())
SELECT pg_cancel_backend(pg_backend_pid())
SELECT currtid2('masked.users', '(0,1)')
SELECT pg_logical_emit_message(false, 'a', 'b')
SELECT pg_sequence_last_value(oid::regclass) FROM pg_class WHERE relkind = 'S'
SELECT '[1,2]'::int4range @> 1
SELECT pg_get_object_address('table', '{masked,users}', '{}')
""".strip().splitlines()


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_not_listed_is_refused(region, sql):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        region.rows(sql, PERSON)


PSQL = r"\d \d+ \d_users \d+_users \dt \dt_*.* \dv+ \dn+ \du \dg+ \df \df_lower \dT \dT+ \do \l \dp" \
    r" \ddp \dx \dx+ \des+ \dew+ \det+ \deu+ \db \dc \dC \dd \dD \dF \dFd \dFp \dFt \dL \dO \dP \dP+" \
    r" \dRp \dRs \dS_users \dy \dX \dconfig \drds \dA \dAc \dAo \dAf \dAp \di \di+ \dm \ds \dE" \
    r" \sf_lower(text) \sv_users \z \conninfo \dl"


def test_every_backslash_d_works(region):
    for role, view in ((PERSON, "users"), ("cn_engineer.stats", "users_by_month")):
        script = PSQL.replace(" ", "\n").replace("_users", f" {view}").replace("_", " ", 0)
        script = re.sub(r"^(\\\S+?)_", r"\1 ", script, flags=re.M) + "\n"
        done = subprocess.run(
            ["psql", "-X", "-d", region.server.cluster.dsn(region.database).replace(
                "user=postgres", f"user='{role}'")],
            input=script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        assert "ERROR" not in done.stderr and "invalid" not in done.stderr, done.stderr
        assert done.stdout.count("\n") > 500


def test_the_standard_catalog_can_be_read(region):
    """But for one view, which looks into triggers with a regular expression."""
    views = region.rows("SELECT table_name FROM information_schema.tables"
                        " WHERE table_schema = 'information_schema'", PERSON)
    assert len(views) > 60
    for (view,) in views:
        if view != "triggers":
            region.rows(f"SELECT * FROM information_schema.{view}", PERSON)


# -- life ---------------------------------------------------------------------------------------------

def test_a_second_apply_touches_no_function(region):
    rows = "SELECT xmin::text, proacl::text FROM pg_proc ORDER BY oid"
    before = region.rows(rows)
    assert "nothing to change" in region.apply()
    assert region.rows(rows) == before


def test_a_new_role_is_named_and_given_its_functions(region):
    region.rows(f"CREATE ROLE newcomer LOGIN; GRANT CONNECT ON DATABASE {region.database} TO newcomer")
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            region.rows("SELECT 1 + 1 = abs(2)", "newcomer")
        found = region.command("plan", "--check")
        assert found.returncode == 1 and 'as "newcomer"' in found.stdout
        region.apply()
        assert region.rows("SELECT 1 + 1 = abs(2)", "newcomer") == [(True,)]
        assert "nothing to change" in region.apply()
    finally:
        region.rows("DROP OWNED BY newcomer; DROP ROLE newcomer")


@pytest.mark.parametrize("sql, undo, said", [
    ("GRANT EXECUTE ON FUNCTION pg_sleep TO PUBLIC", None, "PUBLIC"),
    ("GRANT EXECUTE ON FUNCTION md5(text) TO rf_person", None, "rf_person"),
    ("REVOKE EXECUTE ON FUNCTION lower(text) FROM rf_person", None, "rf_person"),
    ("GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC", None, "PUBLIC"),
    ("GRANT EXECUTE ON FUNCTION pg_read_file(text) TO rf_function", None, "rf_function"),
    ("GRANT EXECUTE ON FUNCTION md5(text) TO \"us_analyst.masked\"", None, "us_analyst.masked"),
    ("GRANT rf_everybody TO \"us_analyst.masked\"", None, "rf_everybody"),
    ("REVOKE rf_function FROM rf_service", None, "rf_service"),
    ("CREATE EXTENSION adminpack", "DROP EXTENSION adminpack", "PUBLIC"),
    ("CREATE FUNCTION pg_catalog.added() RETURNS int LANGUAGE sql AS 'SELECT 1'",
     "DROP FUNCTION pg_catalog.added()", "PUBLIC"),
])
def test_a_difference_is_found_and_set_right(region, sql, undo, said):
    region.rows(sql)
    try:
        found = region.command("plan", "--check")
        if "adminpack" not in sql:  # its functions are closed from the beginning, but one
            assert found.returncode == 1 and said in found.stdout, found.stdout + found.stderr
        region.apply()
        assert region.command("plan", "--check").returncode == 0
        assert "pg_read_file(text)" not in may_call(region, "app_us")
        assert "added()" not in may_call(region, PERSON)
    finally:
        if undo is not None:
            region.rows(undo)


def test_functions_of_extensions_are_not_for_persons(region):
    region.rows("CREATE EXTENSION dblink SCHEMA public; CREATE EXTENSION citext SCHEMA pg_catalog")
    try:
        region.apply()
        assert region.rows("SELECT 1 FROM pg_proc p WHERE proname LIKE 'dblink%'"
                           f" AND (has_function_privilege('{PERSON}', oid, 'EXECUTE')"
                           "  OR has_function_privilege('app_us', oid, 'EXECUTE'))") == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            region.rows("SELECT 'a'::citext = 'A'::citext", PERSON)
        assert region.rows("SELECT 'a'::citext = 'A'::citext", "app_us") == [(True,)]
        assert region.rows("SELECT 'a'::citext = 'A'::citext", "monitor") == [(True,)]
        assert region.command("plan", "--check").returncode == 0
    finally:
        region.rows("DROP EXTENSION dblink; DROP EXTENSION citext")


def test_a_view_that_calls_what_persons_may_not_stops_the_apply(region):
    """The masks need sha256(); where an administrator has closed it, no view would open."""
    region.rows("REVOKE EXECUTE ON FUNCTION sha256(bytea) FROM PUBLIC, rf_function, rf_person;"
                " DROP VIEW masked.users")
    try:
        line = region.refused(1)
        assert "could not read a view" in line and "sha256" in line
    finally:
        region.rows("GRANT EXECUTE ON FUNCTION sha256(bytea) TO rf_function")
        region.apply()
    assert region.rows("SELECT count(*) > 0 FROM users", PERSON) == [(True,)]


def test_the_list_of_the_worst_alone_is_a_choice_and_the_way_back(server):
    region = server.new_database()
    acl = ("SELECT oid::regprocedure::text, has_function_privilege('public', oid, 'EXECUTE')"
           " FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace ORDER BY 1")
    before = dict(region.rows(acl))
    region.apply()
    policy = copy.deepcopy(region.policy)
    region.policy["regions"]["us-virginia"]["functions"] = "listed"
    region.apply()
    assert "nothing to change" in region.apply()
    after = dict(region.rows(acl))
    changed = {name for name in before if before[name] != after[name]}
    assert changed and all(is_listed(name, "NOBODY") or is_listed(name, "SERVICE")
                           for name in changed)
    assert region.rows("SELECT md5('a') IS NOT NULL, regexp_replace('a', 'a', 'b')", PERSON)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        region.rows("SELECT pg_sleep(0)", PERSON)
    region.rows("SELECT pg_sleep(0), set_config('work_mem', '1MB', false)", "app_us")
    region.policy = policy
    region.apply()
    assert may_call(region, "public") == set()
