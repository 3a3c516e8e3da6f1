"""`ringfence apply` and `ringfence plan` against a real PostgreSQL: what is made, who can reach what,
and that a failed apply leaves no trace."""

import copy
import json
import os
import subprocess
import threading
import time

import psycopg
import pytest

from applied import Region, Server
from waiting import wait_until

TABLES = ["users", "videos", "watch_events", "searches", "locations", "messages", "purchases"]


@pytest.fixture(scope="module")
def server(scratch, authority, build):
    made = Server(os.path.join(scratch, "apply"), authority, build)
    yield made
    made.cluster.stop()


@pytest.fixture(scope="module")
def applied_once(server):
    return server.new_database()


@pytest.fixture
def applied(applied_once):
    """For tests that only look. Applied again each time, because the groups may connect to one
    database of a server only, the one that was applied to last."""
    applied_once.apply()
    return applied_once


@pytest.fixture
def region(server):
    """For tests that change something. Roles belong to all databases of the server, so the test
    leaves them as the policy has them."""
    made = server.new_database()
    yield made
    made.policy = copy.deepcopy(server.policy)


# -- applying ---------------------------------------------------------------------------------------

def test_a_second_apply_changes_nothing(region):
    assert "changes" in region.apply()
    before = region.snapshot()
    assert "nothing to change" in region.apply()
    assert region.snapshot() == before
    assert region.command("plan", "--check").returncode == 0


def test_a_database_from_before_the_signatures_of_sizes_gets_their_column(region):
    region.apply()
    region.rows("DROP FUNCTION ringfence.log_seen(text, bigint, bytea, bytea);"
                "ALTER TABLE ringfence.log_size DROP COLUMN signature;"
                "CREATE FUNCTION ringfence.log_seen(log text, seen_size bigint, seen_root bytea)"
                " RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';"
                "UPDATE ringfence.object SET name = 'ringfence.log_seen(text, bigint, bytea)'"
                " WHERE name = 'ringfence.log_seen(text, bigint, bytea, bytea)'")
    region.apply()
    assert region.value("SELECT count(*) FROM pg_proc WHERE proname = 'log_seen'") == 1
    assert region.value("SELECT held_size FROM ringfence.log_seen('log.test/a', 7, sha256('x'),"
                        " sha512('y'))") == 7
    assert "nothing to change" in region.apply()


def test_plan_and_print_change_nothing_and_say_what_would(region):
    before = region.snapshot()
    plan = region.command("plan", "--check")
    assert plan.returncode == 1
    assert "masked.users" in plan.stdout
    facts = json.loads(region.command("plan", "--json").stdout)
    assert facts["region"] == "us-virginia" and "masked.users" in facts["changes"]
    assert region.apply("--print").startswith("BEGIN;")
    assert region.snapshot() == before


def test_the_printed_sql_does_what_apply_does(region):
    script = region.apply("--print")
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null",
                    region.server.cluster.dsn(region.database)], input=script, text=True, check=True)
    assert region.command("plan", "--check").returncode == 0


def test_columns_have_the_names_types_and_order_of_the_table(applied):
    columns = ("SELECT attname, format_type(atttypid, atttypmod), attcollation FROM pg_attribute"
               " WHERE attrelid = '{}.{}'::regclass AND attnum > 0 AND NOT attisdropped"
               " ORDER BY attnum")
    for table in TABLES:
        names = applied.policy["tables"][f"app.{table}"]["columns"]
        real = [c for c in applied.rows(columns.format("app", table)) if c[0] in names]
        masked = applied.rows(columns.format("masked", table))
        missing = [c for c in real if c not in masked]
        assert masked == [c for c in real if c in masked] and masked
        # what is not there is what the policy says is absent, today nothing
        assert not missing


def test_a_column_that_is_absent_or_not_named_is_not_there(region):
    del region.policy["tables"]["app.users"]["columns"]["phone"]
    region.policy["tables"]["app.users"]["columns"]["email"] = {"class": "contact", "mask": "absent"}
    region.apply()
    names = [c for (c,) in region.rows("SELECT attname FROM pg_attribute WHERE attrelid ="
                                       " 'masked.users'::regclass AND attnum > 0")]
    assert names == ["id", "handle", "birthdate", "residency", "created_at"]


# -- what the masked rows say ----------------------------------------------------------------------

ADULT = "birthdate <= ((statement_timestamp() AT TIME ZONE 'UTC') - interval '18 years')::date"


def test_pseudonyms_join_as_the_keys_do(applied):
    real = applied.rows(
        "SELECT count(*) AS n FROM app.users u JOIN app.watch_events w ON w.user_id = u.id WHERE u."
        + ADULT + " GROUP BY u.id ORDER BY 1")
    masked = applied.rows(
        "SELECT count(*) AS n FROM users u JOIN watch_events w ON w.user_id = u.id GROUP BY u.id"
        " ORDER BY 1", "us_analyst.masked")
    assert masked == real and len(real) > 100
    assert applied.value("SELECT count(DISTINCT v.id) FROM videos v JOIN watch_events w"
                         " ON w.video_id = v.id", "us_analyst.masked") > 100


def test_a_pseudonym_is_keyed_and_differs_between_domains(region):
    region.apply()
    first = set(region.rows("SELECT id FROM masked.users"))
    assert not first & set(region.rows("SELECT id FROM app.users"))
    assert all(0 <= i < 2 ** 63 for (i,) in first)
    assert region.value("SELECT count(*) FROM masked.users u JOIN masked.videos v ON v.id = u.id") == 0
    assert region.value("SELECT length(key) FROM ringfence.pseudonym_key") == 32
    region.rows("UPDATE ringfence.pseudonym_key SET key = sha256('another')")
    assert not first & set(region.rows("SELECT id FROM masked.users"))


def test_without_the_key_there_are_no_pseudonyms(region):
    region.apply()
    region.rows("DELETE FROM ringfence.pseudonym_key")
    assert region.rows("SELECT DISTINCT id, handle FROM masked.users") == [(None, None)]


def test_values_are_masked_and_null_stays_null(applied):
    assert applied.rows("SELECT DISTINCT email FROM users", "us_analyst.masked") == [("***",)]
    phones = applied.rows("SELECT phone, count(*) FROM users GROUP BY 1 ORDER BY 2",
                          "us_analyst.masked")
    assert {p for p, _ in phones} == {"***", None}
    assert applied.value("SELECT count(*) FROM app.users WHERE phone IS NULL AND "
                         + ADULT) == dict((p, n) for p, n in phones)[None]
    assert applied.value("SELECT bool_and(at = date_trunc('day', at, 'UTC')) FROM watch_events",
                         "us_analyst.masked")
    assert applied.value("SELECT bool_and(extract(month FROM birthdate) = 1 AND"
                         " extract(day FROM birthdate) = 1) FROM users", "us_analyst.masked")
    assert applied.value("SELECT bool_and(seconds % 10 = 0) FROM watch_events", "us_analyst.masked")
    for sql in ("SELECT count(body) + count(recipient_id) FROM messages",
                "SELECT count(lat) + count(lon) + count(ip) FROM locations",
                "SELECT count(card_last4) FROM purchases WHERE card_last4 <> '***'"):
        assert applied.value(sql, "us_analyst.masked") == 0


def test_a_time_zone_does_not_move_a_mask(applied):
    sql = "SELECT md5(string_agg(extract(epoch FROM at)::text, ',' ORDER BY id)) FROM masked.searches"
    assert (applied.rows("SET TimeZone = 'Asia/Tokyo'; " + sql)
            == applied.rows("SET TimeZone = 'America/Lima'; " + sql))


def test_children_are_absent_everywhere(applied):
    children = f"(SELECT id FROM app.users WHERE NOT ({ADULT}))"
    assert applied.value(f"SELECT count(*) FROM {children} c") > 5
    for table in TABLES:
        who = {"users": ["id"], "messages": ["sender_id", "recipient_id"]}.get(table, ["user_id"])
        keep = " AND ".join(f"{column} NOT IN {children}" for column in who)
        real = applied.value(f"SELECT count(*) FROM app.{table} WHERE {keep}")
        every = applied.value(f"SELECT count(*) FROM app.{table}")
        assert applied.value(f"SELECT count(*) FROM {table}", "us_analyst.masked") == real < every


def test_a_birthday_is_enough_to_appear(region):
    region.apply()
    region.rows("INSERT INTO app.users (id, handle, email, birthdate, residency) VALUES"
                " (900, 'yesterday', 'a', (current_date - interval '18 years' + interval '2 days')::date, 'US'),"
                " (901, 'today', 'b', (current_date - interval '18 years')::date, 'US')")
    before = region.value("SELECT count(*) FROM masked.users")
    region.rows("UPDATE app.users SET birthdate = birthdate - 2 WHERE id = 900")
    assert region.value("SELECT count(*) FROM masked.users") == before + 1


def test_a_subject_without_foreign_key_must_be_known_as_adult(region):
    region.rows("ALTER TABLE app.searches DROP CONSTRAINT searches_user_id_fkey")
    region.rows("INSERT INTO app.searches (user_id, q, residency) VALUES (77777, 'orphan', 'US')")
    region.apply()
    joined = region.value(f"SELECT count(*) FROM app.searches s JOIN app.users u ON u.id = s.user_id"
                          f" WHERE u.{ADULT}")
    assert region.value("SELECT count(*) FROM masked.searches") == joined


# -- what persons cannot reach -------------------------------------------------------------------

FORBIDDEN = [
    "SELECT * FROM app.users",
    "SELECT email FROM app.users WHERE id = 1",
    "TABLE app.messages",
    "SELECT NULL::app.users IS NULL, * FROM app.users",
    "SELECT count(*) FROM app.locations",
    "SELECT * FROM app.users_id_seq",
    "SELECT nextval('app.users_id_seq')",
    "SELECT currval('app.users_id_seq')",
    "SELECT setval('app.users_id_seq', 1)",
    "SELECT * FROM ringfence.pseudonym_key",
    "SELECT key FROM ringfence.pseudonym_key",
    "SELECT * FROM ringfence.object",
    "SELECT * FROM ringfence.applied",
    "SELECT * FROM ringfence.sessions()",
    "SELECT * FROM ringfence.standby()",
    "INSERT INTO masked.users (id) VALUES (1)",
    "UPDATE masked.users SET email = 'x'",
    "DELETE FROM masked.users",
    "TRUNCATE masked.users",
    "SELECT * FROM masked.users FOR UPDATE",
    "LOCK TABLE masked.users IN EXCLUSIVE MODE",
    "LOCK TABLE app.users IN ACCESS SHARE MODE",
    "DROP VIEW masked.users",
    "ALTER VIEW masked.users OWNER TO CURRENT_USER",
    "CREATE OR REPLACE VIEW masked.users AS SELECT 1",
    "CREATE VIEW masked.mine AS SELECT 1",
    "CREATE TABLE masked.mine (x int)",
    "CREATE TABLE public.mine (x int)",
    "CREATE TABLE app.mine (x int)",
    "CREATE TEMP TABLE mine (x int)",
    "CREATE TEMP VIEW mine AS SELECT * FROM masked.users",
    "SELECT 1 AS x INTO TEMP mine",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION masked.leak(text) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    "CREATE FUNCTION pg_temp.leak(x text) RETURNS bool LANGUAGE plpgsql AS"
    " 'BEGIN RAISE NOTICE ''%'', x; RETURN true; END'",
    "DO 'BEGIN RAISE NOTICE ''x''; END'",
    "DO LANGUAGE sql 'SELECT 1'",
    "SET ROLE rf_view",
    "SET ROLE rf_owner",
    "SET ROLE app_us",
    "SET ROLE postgres",
    "SET ROLE \"us_head_of_data.masked\"",
    "SET SESSION AUTHORIZATION postgres",
    "SET SESSION AUTHORIZATION \"app_us\"",
    "SELECT set_config('search_path', 'app', false)",
    "SELECT pg_notify('x', 'y')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_sleep(0.01)",
    "SELECT pg_export_snapshot()",
    "SELECT pg_logical_emit_message(false, 'x', 'y')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT query_to_xml('SELECT * FROM app.users', true, true, '')",
    "SELECT table_to_xml('app.users', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT currtid2('app.users', '(0,1)')",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
    "SELECT setseed(0.5)",
    "SELECT * FROM ts_stat('SELECT to_tsvector(email) FROM app.users')",
    "COPY app.users TO STDOUT",
    "COPY (SELECT * FROM app.users) TO STDOUT",
    "COPY (SELECT 1) TO '/tmp/leak'",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "COPY masked.users FROM STDIN",
    "CREATE EXTENSION dblink",
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw",
    "CREATE PUBLICATION p FOR ALL TABLES",
    "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION x()",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "ALTER ROLE app_us PASSWORD 'x'",
    "ALTER ROLE \"us_head_of_data.masked\" SET search_path = app",
    "GRANT rf_view TO CURRENT_USER",
    "GRANT SELECT ON app.users TO CURRENT_USER",
    "ALTER SYSTEM SET log_statement = 'all'",
    "SET log_statement = 'all'",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_statistic",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_reload_conf()",
    "VACUUM app.users",
    "CLUSTER app.users",
    "REINDEX TABLE app.users",
    "REFRESH MATERIALIZED VIEW app.x",
    "COMMENT ON TABLE app.users IS 'x'",
    "SECURITY LABEL ON TABLE app.users IS 'x'",
    "CHECKPOINT",
    "LOAD 'dblink'",
]


@pytest.mark.parametrize("role", ["us_analyst.masked", "us_analyst.stats"])
def test_no_statement_of_a_person_reaches_what_is_not_in_the_room(applied, role):
    dsn = applied.server.cluster.dsn(applied.database).replace("user=postgres", f"user={role}")
    went = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        # the role's own default of read only is a help, not the wall
        connection.execute("SET default_transaction_read_only = off")
        for sql in FORBIDDEN:
            try:
                connection.execute(sql)
                went.append(sql)
            except psycopg.Error as error:
                assert "secret_" not in str(error) and "@mail.example" not in str(error), sql
                # a typo of the test's would be a pass that says nothing
                assert error.sqlstate not in ("42601", None), f"{sql}: {error}"
        assert connection.execute("SELECT current_user").fetchone() == (role,)
    assert went == []


def test_no_catalog_shows_a_value_of_a_table(applied):
    applied.rows("ANALYZE")
    for sql in ("SELECT * FROM pg_stats WHERE schemaname = 'app'",
                "SELECT * FROM pg_stats_ext", "SELECT * FROM pg_sequences WHERE last_value > 0",
                "SELECT query FROM pg_stat_activity WHERE query NOT LIKE '<insufficient%'"
                " AND usename <> current_user AND query <> ''"):
        try:
            assert applied.rows(sql, "us_analyst.masked") == []
        except psycopg.errors.InsufficientPrivilege:
            pass  # better still


def test_conditions_and_errors_meet_masked_values_only(applied):
    for sql in ("SELECT 1 FROM users WHERE email::int = 1", "SELECT handle::int FROM users",
                "SELECT 1/length(email) - 1/(length(email) - 3) FROM users",
                "SELECT body::int FROM messages WHERE body IS NOT NULL UNION SELECT email::int FROM users"):
        with pytest.raises(psycopg.Error) as caught:
            applied.rows(sql, "us_analyst.masked")
        assert not any(word in str(caught.value) for word in ("secret", "秘密", "person", "private"))
    assert applied.rows("SELECT 1 FROM users WHERE email LIKE 'person%' OR handle LIKE '%secret%'",
                        "us_analyst.masked") == []


def test_a_room_reads_its_own_views_only(applied):
    assert applied.value("SELECT count(*) FROM users_by_month", "us_analyst.stats") > 0
    for role in ("us_analyst.stats", "cn_engineer.stats"):
        for table in TABLES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                applied.rows(f"SELECT 1 FROM masked.{table}", role)
            with pytest.raises(psycopg.errors.UndefinedTable):
                applied.rows(f"SELECT 1 FROM {table}", role)
    # at home the statistics are there too, by their full name
    assert applied.value("SELECT count(*) FROM stats.users_by_month", "us_analyst.masked") > 0


def test_only_persons_at_home_have_the_room_at_home(applied):
    roles = {r for (r,) in applied.rows("SELECT rolname FROM pg_roles WHERE rolname LIKE '%.%'")}
    assert {"us_analyst.masked", "us_analyst.stats", "cn_engineer.stats", "auditor.masked",
            "eu_analyst.stats"} <= roles
    assert not {"cn_engineer.masked", "cn_audit_manager.masked", "eu_analyst.masked"} & roles


def test_psql_shows_the_views_and_their_columns(applied):
    dsn = applied.server.cluster.dsn(applied.database).replace("user=postgres",
                                                               "user=us_analyst.masked")
    done = subprocess.run(["psql", "-X", dsn, "-c", r"\d", "-c", r"\d users", "-c", r"\dt", "-c",
                           r"\dv", "-c", r"\dn", "-c", r"\du", "-c", r"\l"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "watch_events" in done.stdout and "created_at" in done.stdout
    assert "ERROR" not in done.stderr


# -- statistics --------------------------------------------------------------------------------------

def stats_policy(region):
    region.policy["statistics"] = {"by_day": {
        "table": "app.users", "dimensions": {"day": {"column": "created_at", "cut": "day"}},
        "measures": {"n": "count_subjects"}, "minimum": 5}}


def test_small_groups_are_left_out(region):
    stats_policy(region)
    region.rows("UPDATE app.users SET birthdate = '1990-01-01' WHERE id BETWEEN 30 AND 89")
    region.rows("UPDATE app.users SET created_at = '2026-02-01' WHERE id BETWEEN 30 AND 69")
    region.rows("UPDATE app.users SET created_at = '2026-02-02' WHERE id BETWEEN 80 AND 83")
    region.apply()
    days = {str(day)[:10]: n for day, n in region.rows("SELECT * FROM by_day", "us_analyst.stats")}
    assert 35 <= days["2026-02-01"] <= 45 and "2026-02-02" not in days
    # children do not lift a group over the line
    region.rows("UPDATE app.users SET created_at = '2026-02-02', birthdate = current_date - 3000"
                " WHERE id BETWEEN 30 AND 69")
    days = {str(day)[:10] for day, _ in region.rows("SELECT * FROM by_day", "us_analyst.stats")}
    assert "2026-02-02" not in days


def test_a_condition_cannot_feel_for_a_group_that_was_left_out(region):
    stats_policy(region)
    region.rows("UPDATE app.users SET created_at = '1999-09-09', birthdate = '1990-01-01' WHERE id = 1")
    region.apply()
    probe = "SELECT * FROM by_day WHERE 1 / (CASE WHEN day < '2000-01-01' THEN 0 ELSE 1 END) = 1"
    assert len(region.rows(probe, "us_analyst.stats")) > 0  # no division by zero


# -- residency -----------------------------------------------------------------------------------------

def test_a_foreign_resident_is_refused_by_the_database(applied):
    with pytest.raises(psycopg.errors.CheckViolation, match="ringfence_residency"):
        applied.rows("INSERT INTO app.users (handle, email, birthdate, residency)"
                     " VALUES ('h', 'h@example.de', '1990-01-01', 'DE')", "app_us")
    with pytest.raises(psycopg.errors.CheckViolation, match="ringfence_residency"):
        applied.rows("UPDATE app.searches SET residency = 'CN' WHERE id = 1", "app_us")


def test_rows_of_foreign_residents_stop_the_apply_and_nothing_is_changed(region):
    region.rows("INSERT INTO app.users (handle, email, birthdate, residency) VALUES"
                " ('a', 'a', '1990-01-01', 'DE'), ('b', 'b', '1990-01-01', 'FR')")
    before = region.snapshot()
    line = region.refused(1)
    assert "2 rows of table app.users" in line and "US" in line and "23514" in line
    assert region.snapshot() == before
    assert region.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'ringfence'") == []


def test_a_row_without_residency_is_foreign(region):
    region.rows("ALTER TABLE app.searches ALTER residency DROP NOT NULL")
    region.rows("INSERT INTO app.searches (user_id, q, residency) VALUES (1, 'x', NULL)")
    assert "1 rows of table app.searches" in region.refused(1)


def test_the_constraint_follows_the_jurisdiction(region):
    region.apply()
    region.policy["jurisdictions"]["US"] = ["US", "CA"]
    region.apply()
    insert = ("INSERT INTO app.users (handle, email, birthdate, residency)"
              " VALUES ('{0}', '{0}', '1990-01-01', '{0}')")
    region.rows(insert.format("CA"))
    region.policy["jurisdictions"]["US"] = ["US"]
    assert "1 rows of table app.users" in region.refused(1)
    region.rows("DELETE FROM app.users WHERE residency = 'CA'")
    region.apply()
    with pytest.raises(psycopg.errors.CheckViolation):
        region.rows(insert.format("CA"))


# -- services -----------------------------------------------------------------------------------------

def rights_of(region, role):
    return {(r, p) for r, p in region.rows(
        f"SELECT c.oid::regclass::text, p FROM pg_class c JOIN pg_namespace n ON n.oid ="
        f" c.relnamespace, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE',"
        f" 'REFERENCES', 'TRIGGER']) p WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')"
        f" AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'v', 'm', 'p', 'f')"
        f" AND has_table_privilege('{role}', c.oid, p)")}


def test_services_have_exactly_the_rights_of_the_policy(applied):
    assert rights_of(applied, "app_us") == {
        (f"app.{t}", p) for t in TABLES for p in ("SELECT", "INSERT", "UPDATE", "DELETE")}
    assert rights_of(applied, "app_eu") == {("app.videos", "SELECT")}
    assert rights_of(applied, "rf_view") - {(v, "SELECT") for v, in applied.rows(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE relowner = 'rf_view'::regrole")} >= {
        (f"app.{t}", "SELECT") for t in TABLES}
    assert rights_of(applied, "rf_control") == {("ringfence.object", "SELECT"),
                                                ("ringfence.expired", "SELECT"),
                                                ("ringfence.applied", "SELECT")}
    assert rights_of(applied, "rf_registrar") == set()
    assert rights_of(applied, "rf_herald") == set()


def test_a_service_works_by_table_names_without_schema(applied):
    assert applied.value("SELECT handle FROM users WHERE id = 1", "app_us").startswith("sécret_")
    applied.rows("INSERT INTO searches (user_id, q, residency) VALUES (1, 'again', 'US')", "app_us")
    assert applied.rows("SELECT set_config('application_name', 'x', false), pg_advisory_lock(7)",
                        "app_us")
    for sql in ("CREATE TABLE app.mine (x int)", "CREATE TEMP TABLE mine (x int)", "TRUNCATE users",
                "SELECT * FROM masked.users", "SELECT * FROM ringfence.pseudonym_key",
                "SELECT lo_create(0)", "DO 'BEGIN END'", "SET ROLE rf_view"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            applied.rows(sql, "app_us")


def test_pg_dump_works_as_a_service(applied):
    dsn = applied.server.cluster.dsn(applied.database).replace("user=postgres", "user=app_us")
    # a service that may read every table of the schema but the tests' own scratch table
    done = subprocess.run(["/usr/lib/postgresql/15/bin/pg_dump", "--schema=app",
                           "--exclude-table=app.scratch", "--exclude-table=app.scratch_id_seq", dsn],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "COPY app.users" in done.stdout


def test_a_service_that_loses_a_table_or_the_region_loses_the_rights(region):
    region.apply()
    region.policy["actors"]["app_us"]["regions"]["us-virginia"]["tables"] = {"app.videos": "write"}
    del region.policy["actors"]["app_eu"]["regions"]["us-virginia"]
    region.apply()
    assert {t for t, _ in rights_of(region, "app_us")} == {"app.videos"}
    assert rights_of(region, "app_eu") == set()
    assert region.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app_eu'") is False
    region.policy = copy.deepcopy(region.server.policy)
    region.apply()
    assert rights_of(region, "app_eu") == {("app.videos", "SELECT")}


# -- everybody -------------------------------------------------------------------------------------

def test_nothing_is_left_to_everybody(applied):
    assert applied.rows("SELECT datname FROM pg_database d, aclexplode(coalesce(datacl,"
                        " acldefault('d', datdba))) x WHERE x.grantee = 0"
                        " AND datname NOT IN ('template0')") == []
    assert applied.rows("SELECT nspname FROM pg_namespace, aclexplode(nspacl) x WHERE x.grantee = 0"
                        " AND nspname IN ('public', 'app', 'masked', 'stats', 'ringfence')") == []
    assert applied.rows("SELECT lanname FROM pg_language, aclexplode(coalesce(lanacl,"
                        " acldefault('l', lanowner))) x WHERE x.grantee = 0 AND lanpltrusted") == []
    for database in ("postgres", "template1", "sample"):
        dsn = applied.server.cluster.dsn(database).replace("user=postgres", "user=us_analyst.masked")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(dsn)


def test_nobody_of_ours_has_a_password_or_a_power(applied):
    assert applied.rows(
        "SELECT rolname FROM pg_authid WHERE (rolname LIKE 'rf\\_%' OR rolname LIKE '%.masked' OR"
        " rolname LIKE '%.stats') AND (rolpassword IS NOT NULL OR rolsuper OR rolcreatedb OR"
        " rolreplication OR rolbypassrls OR rolcreaterole AND rolname <> 'rf_admin')") == []
    assert {r for (r,) in applied.rows(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'rf\\_%' AND rolcanlogin")} == \
        {"rf_control", "rf_registrar", "rf_herald"}


# -- drift ---------------------------------------------------------------------------------------------

DRIFT = [
    "GRANT SELECT ON app.users TO rf_masked",
    "GRANT SELECT (email) ON app.users TO rf_stats",
    "GRANT USAGE ON SCHEMA app TO PUBLIC; GRANT SELECT ON app.users TO PUBLIC",
    "GRANT SELECT ON masked.users TO rf_stats",
    "GRANT UPDATE ON masked.users TO rf_masked",
    "GRANT rf_view TO \"us_analyst.masked\"",
    "GRANT rf_masked TO \"us_analyst.stats\"",
    "GRANT app_us TO \"us_analyst.masked\"",
    "GRANT pg_read_all_data TO rf_person",
    "ALTER ROLE \"us_analyst.masked\" CREATEROLE",
    "ALTER ROLE \"us_analyst.stats\" PASSWORD 'x'",
    "ALTER ROLE \"us_analyst.stats\" SET search_path = masked",
    "ALTER ROLE app_us SET search_path = public, app",
    "ALTER ROLE rf_view LOGIN",
    "GRANT TRUNCATE ON app.users TO app_us",
    "REVOKE SELECT ON app.users FROM app_us",
    "REVOKE SELECT ON app.users FROM rf_view",
    "CREATE OR REPLACE VIEW masked.users AS SELECT id, handle, email, phone, birthdate, residency,"
    " created_at FROM app.users",
    "ALTER VIEW stats.users_by_month SET (security_barrier = false)",
    "ALTER VIEW masked.users OWNER TO postgres",
    "DROP VIEW masked.locations",
    "ALTER TABLE app.users DROP CONSTRAINT ringfence_residency",
    "ALTER TABLE app.users DROP CONSTRAINT ringfence_residency,"
    " ADD CONSTRAINT ringfence_residency CHECK (true)",
    # a table's owner can write any comment
    "ALTER TABLE app.users DROP CONSTRAINT ringfence_residency,"
    " ADD CONSTRAINT ringfence_residency CHECK (true);"
    " COMMENT ON CONSTRAINT ringfence_residency ON app.users IS"
    " 'ringfence: \"residency\" IN (''US'')'",
    "CREATE VIEW app.beside AS SELECT * FROM app.users; GRANT SELECT ON app.beside TO PUBLIC",
    "CREATE TABLE app.part (n integer); GRANT SELECT (n) ON app.part TO PUBLIC",
    "GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC",
    "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
    "GRANT CREATE ON SCHEMA public TO PUBLIC",
    "GRANT TEMPORARY ON DATABASE postgres TO PUBLIC",
    "CREATE OR REPLACE FUNCTION ringfence.sessions(OUT pid integer, OUT role name, OUT state text,"
    " OUT since timestamptz) RETURNS SETOF record LANGUAGE sql AS"
    " 'SELECT 1, NULL::name, NULL::text, now()'",
]


def test_drift_is_found_and_set_right(region):
    region.apply()
    for sql in DRIFT:
        region.rows(sql)
        found = region.command("plan", "--check")
        assert found.returncode == 1 and found.stdout, f"not found: {sql}: {found.stderr}"
        region.apply()
        assert region.command("plan", "--check").returncode == 0, f"not set right: {sql}"


def test_default_privileges_do_not_open_new_views(region):
    region.rows("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
    region.apply()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        region.rows("SELECT 1 FROM masked.users", "us_analyst.stats")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        region.rows("SELECT 1 FROM ringfence.pseudonym_key", "us_analyst.stats")


def test_what_the_policy_does_not_know_of_but_persons_can_reach_stops_the_apply(region):
    region.rows("CREATE SCHEMA other; CREATE TABLE other.copy AS SELECT * FROM app.users;"
                " GRANT USAGE ON SCHEMA other TO PUBLIC; GRANT SELECT ON other.copy TO PUBLIC")
    before = region.snapshot()
    assert "other.copy" in region.refused(1)
    assert region.snapshot() == before


@pytest.mark.parametrize("sql, name", [
    ("CREATE FUNCTION pg_catalog.leak() RETURNS SETOF app.users LANGUAGE sql SECURITY DEFINER AS"
     " 'SELECT * FROM app.users'", "leak()"),
    ("CREATE VIEW information_schema.beside AS SELECT * FROM app.users;"
     " GRANT SELECT ON information_schema.beside TO PUBLIC", "beside"),
    ("GRANT SELECT ON pg_statistic TO PUBLIC", "pg_statistic")])
def test_a_door_in_the_catalog_of_the_system_stops_the_apply(region, sql, name):
    region.apply()
    region.rows(sql)
    assert name in region.refused(1)


def test_apply_writes_where_transactions_begin_read_only(region):
    region.rows(f"ALTER DATABASE {region.database} SET default_transaction_read_only = on")
    region.apply()
    assert "nothing to change" in region.apply()


def test_another_policy_replaces_only_what_it_changes(region):
    region.apply()
    oids = dict(region.rows("SELECT oid::regclass::text, oid::int8 FROM pg_class WHERE relkind = 'v'"
                            " AND relnamespace IN ('masked'::regnamespace, 'stats'::regnamespace)"))
    key = region.value("SELECT key FROM ringfence.pseudonym_key")
    region.policy["tables"]["app.users"]["columns"]["email"] = {"class": "contact", "mask": "null"}
    del region.policy["statistics"]["users_by_month"]
    del region.policy["actors"]["cn_engineer"]
    region.apply()
    after = dict(region.rows("SELECT oid::regclass::text, oid::int8 FROM pg_class WHERE relkind = 'v'"
                             " AND relnamespace IN ('masked'::regnamespace, 'stats'::regnamespace)"))
    changed = {name for name in oids if after.get(name) != oids[name]}
    assert changed == {"masked.users", "stats.users_by_month"} and "masked.users" in after
    assert region.rows("SELECT DISTINCT email FROM users", "us_analyst.masked") == [(None,)]
    assert region.value("SELECT key FROM ringfence.pseudonym_key") == key
    assert region.rows("SELECT 1 FROM pg_roles WHERE rolname = 'cn_engineer.stats'") == []
    region.policy = copy.deepcopy(region.server.policy)
    region.apply()


# -- refusals ------------------------------------------------------------------------------------------

def test_two_applies_do_not_mix(region):
    results = []
    threads = [threading.Thread(target=lambda: results.append(region.command("apply")))
               for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.returncode for r in results] == [0, 0, 0], [r.stderr for r in results]
    assert sum("nothing to change" in r.stdout for r in results) == 2


def test_an_apply_that_is_interrupted_anywhere_leaves_the_old_or_the_new(region):
    """Killed, or its server process ended, at moments spread over a whole run: in the first apply to
    a database, and in one that changes much."""
    def interrupted(end, moment):
        running = subprocess.Popen(region.arguments("apply"), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # how long a program takes to start is the machine's affair
        wait_until(lambda: running.poll() is not None or region.rows(
            "SELECT FROM pg_stat_activity WHERE application_name = 'ringfence'"),
            "apply does not come to the database", interval=0.005)
        time.sleep(moment)
        end(running)
        running.wait()
        wait_until(lambda: region.rows("SELECT 1 FROM pg_stat_activity WHERE application_name ="
                                       " 'ringfence'") == [], "the server goes on with it")

    def kill(running):
        running.kill()

    def end_backend(_):
        region.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'ringfence'")

    def is_new():
        return region.command("plan", "--check").returncode == 0

    seen = set()
    for change in (lambda: None,
                   lambda: region.policy["tables"]["app.users"]["columns"].pop("phone"),
                   lambda: region.policy["actors"].pop("cn_engineer")):
        change()
        for at in range(8):
            before = region.snapshot()
            began = time.monotonic()
            interrupted(kill if at % 2 else end_backend, 0.02 * 1.6 ** at)
            after = region.snapshot()
            new = is_new()
            assert new or after == before, f"neither old nor new after {time.monotonic() - began} s"
            seen.add(new)
            if new:
                break
        region.apply()
        assert is_new()
    assert False in seen, "nothing was interrupted"
    region.policy = copy.deepcopy(region.server.policy)
    region.apply()


def test_an_apply_waits_for_another_one_only_so_long(region):
    dsn = region.server.cluster.dsn(region.database)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(1919510113, 1)")
        line = region.refused(3)
    assert "another apply" in line and "55P03" in line


def test_refusals_say_why(region):
    cluster = region.server.cluster
    assert region.command("apply", dsn="host=/nowhere").returncode == 3
    assert "secret" not in region.command("apply", dsn="host=/nowhere password=secret").stderr
    region.rows("CREATE ROLE weak LOGIN; GRANT CONNECT ON DATABASE " + region.database + " TO weak")
    weak = cluster.dsn(region.database).replace("user=postgres", "user=weak")
    done = region.command("apply", dsn=weak)
    assert done.returncode == 1 and "superuser" in done.stderr
    region.rows("DROP OWNED BY weak; DROP ROLE weak")
    assert region.command("apply", "--region", "mars").returncode == 1
    assert region.command("apply", "--nonsense").returncode == 2
    done = region.command("apply", dsn=cluster.dsn("postgres"))
    assert done.returncode == 2 and "app.users" in done.stderr


def test_a_database_of_another_region_is_refused(region):
    region.apply()
    line = region.refused(2, "--region", "eu-dublin")
    assert "us-virginia" in line and "eu-dublin" in line


def test_a_table_or_schema_in_the_way_is_not_touched(region):
    region.rows("CREATE SCHEMA masked; CREATE TABLE masked.users AS SELECT 1 AS precious")
    assert "masked" in region.refused(3)
    assert region.value("SELECT precious FROM masked.users") == 1


def test_a_service_must_own_nothing(region):
    region.apply()
    region.rows("ALTER TABLE app.scratch OWNER TO app_us")
    assert "app.scratch" in region.refused(3)
    region.rows("ALTER TABLE app.scratch OWNER TO app_owner")
    region.apply()


@pytest.mark.parametrize("group", ["rf_service", "rf_control", "rf_registrar", "rf_herald", "rf_person"])
def test_a_group_must_own_nothing(region, group):
    region.apply()
    region.rows(f"ALTER TABLE app.scratch OWNER TO {group}")
    try:
        assert region.command("plan", "--check").returncode != 0
        assert "app.scratch" in region.refused(3)
    finally:
        region.rows("ALTER TABLE app.scratch OWNER TO app_owner")
    region.apply()


# -- types ---------------------------------------------------------------------------------------------

ODD = r'''
CREATE SCHEMA "My$Schema";
CREATE DOMAIN "My$Schema".short AS varchar(12) CHECK (value <> '');
CREATE TYPE "My$Schema".mood AS ENUM ('sad', 'ok');
CREATE TABLE "My$Schema".people (
    "Gr$SSe" uuid PRIMARY KEY, born date, "land" char(2) NOT NULL);
CREATE TABLE "My$Schema"."Order$table" (
    "order" integer PRIMARY KEY, who uuid NOT NULL REFERENCES "My$Schema".people,
    land char(2) NOT NULL,
    v varchar(9), v5 varchar(5), v1 char(1), d "My$Schema".short, txt text COLLATE "C",
    m "My$Schema".mood, n numeric(10,2), i2 smallint, i8 bigint, f4 real, f8 double precision,
    ts timestamp(3), tstz timestamptz(0), day date, b boolean, j jsonb, a int[], ip inet, by bytea,
    iv interval, "select" text);
INSERT INTO "My$Schema".people VALUES
    ('11111111-1111-1111-1111-111111111111', '1980-05-06', 'US'),
    ('22222222-2222-2222-2222-222222222222', NULL, 'US');
INSERT INTO "My$Schema"."Order$table" VALUES
    (1, '11111111-1111-1111-1111-111111111111', 'US', 'abc', 'abcde', 'x', 'dom', 'txt', 'sad',
     -99999999.99, -32768, -9223372036854775808, '-3.4e38', '-1.7e308', '4713-11-24 00:00 BC',
     '4713-11-24 00:00+00 BC', '4713-11-24 BC', true, '{"a":1}', '{1,2}', '192.0.2.1', '\x01',
     '1 day', 'it''s'),
    (2, '11111111-1111-1111-1111-111111111111', 'US', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, '11111111-1111-1111-1111-111111111111', 'US', 'z', 'y', 'w', 'v', 'u', 'ok', 99999999.99,
     32767, 9223372036854775807, 'Infinity', 'NaN', 'infinity', '-infinity', '5874897-12-31',
     false, '[]', '{}', '::1', '', '-1 day', 'x'),
    (4, '22222222-2222-2222-2222-222222222222', 'US', 'z', 'y', 'w', 'v', 'u', 'ok', 1, 1, 1, 1, 1,
     '2026-01-01', '2026-01-01', '2026-01-01', false, '[]', '{}', '::1', '', '-1 day', 'x');
'''

MASKS = {
    "order": "pseudonym", "who": "pseudonym", "v": "pseudonym", "v5": "pseudonym",
    "v1": "redact", "d": "redact", "txt": "pseudonym", "m": "null",
    "n": ("coarse", 7), "i2": ("coarse", 1000), "i8": ("coarse", 1000), "f4": ("coarse", 3),
    "f8": ("coarse", 3), "ts": "year", "tstz": "year", "day": "year", "b": "redact", "j": "redact",
    "a": "redact", "ip": "redact", "by": "redact", "iv": "redact", "select": "redact",
}


@pytest.fixture(scope="module")
def odd(scratch, authority, build):
    """Names and types that applications have and samples have not, on a server of its own."""
    server = Server(os.path.join(scratch, "apply-odd"), authority, build)
    path = os.path.join(server.folder, "odd.sql")
    with open(path, "w", encoding="utf-8") as f:
        f.write(ODD)
    server.load("odd", path)
    policy = copy.deepcopy(server.policy)
    columns = {"land": "none"}
    for name, mask in MASKS.items():
        column = {"class": "contact", "mask": mask}
        if isinstance(mask, tuple):
            column = {"class": "payment", "mask": mask[0], "step": mask[1]}
        elif mask == "year":
            column["class"] = "activity"
        columns[name] = column
    columns["who"] = {"class": "identity", "mask": "pseudonym"}
    policy["actors"]["app_eu"]["regions"].pop("us-virginia")
    policy["tables"] = {
        'My$Schema.people': {
            "subject": "Gr$SSe", "residency": "land", "birthdate": "born",
            "columns": {"Gr$SSe": "identity", "born": {"class": "identity", "mask": "year"},
                        "land": "none"}},
        'My$Schema.Order$table': {"subject": "who", "residency": "land", "columns": columns},
    }
    policy["statistics"] = {"people": {
        "table": "My$Schema.people", "dimensions": {"land": "land"},
        "measures": {"n": "count_subjects"}, "minimum": 5}}
    region = Region(server, "odd", policy)
    yield region
    server.cluster.stop()


def test_odd_names_and_types_keep_type_modifier_and_collation(odd):
    odd.apply()
    assert "nothing to change" in odd.apply()
    columns = ("SELECT attname, format_type(atttypid, atttypmod), attcollation FROM pg_attribute"
               " WHERE attrelid = '{}'::regclass AND attnum > 0 ORDER BY attnum")
    for table in ('people', '"Order$table"'):
        assert (odd.rows(columns.format(f'"My$Schema".{table}'))
                == odd.rows(columns.format(f"masked.{table}")))


def test_no_mask_fails_on_an_extreme_value_and_null_stays_null(odd):
    odd.apply()
    with psycopg.connect(odd.server.cluster.dsn("odd")) as connection:
        cursor = connection.execute(
            'SELECT row_to_json(t)::jsonb FROM masked."Order$table" t ORDER BY v IS NULL, b DESC')
        rows = [row for (row,) in cursor.fetchall()]
    assert len(rows) == 3  # the one whose subject's age is not known is absent
    full, other, empty = rows
    assert all(empty[name] is None for name in MASKS if name not in ("order", "who"))
    assert full["who"] == other["who"] != "11111111-1111-1111-1111-111111111111"
    assert len(full["v"]) == 9 and full["v"].startswith("p_") and len(full["v5"]) == 4
    assert full["v1"] == "*" and full["d"] == "***" and full["m"] is None
    assert full["n"] == -99999998 and full["i8"] == -9223372036854774808 and full["i2"] == -31768
    assert full["day"] == other["day"] == "infinity" and full["ts"] == "infinity"
    assert full["j"] == {} and full["a"] == [] and full["b"] is False
    with psycopg.connect(odd.server.cluster.dsn("odd")) as connection:
        assert connection.execute(
            'SELECT count(*) FROM masked.people p JOIN masked."Order$table" t'
            ' ON t.who = p."Gr$SSe"').fetchone() == (3,)


def test_a_service_finds_tables_in_a_schema_with_an_odd_name(odd):
    odd.apply()
    assert odd.value("SELECT count(*) FROM people", "app_us") == 2


def test_a_mask_that_does_not_fit_is_named(odd):
    good = copy.deepcopy(odd.policy)
    columns = odd.policy["tables"]['My$Schema.Order$table']["columns"]
    columns["m"] = {"class": "contact", "mask": "pseudonym"}
    line = odd.refused(2)
    assert "Order$table" in line and ".m " in line and "pseudonym" in line
    odd.policy = good
