"""Faults planted one by one: each question of src/enforce/tbl/check.def finds its own."""

import os
import re
import time

import psycopg
import pytest

from applied import ROOT, Server

PERSON, LEFT = '"us_analyst.masked"', '"left.masked"'
GRANT = "rf_g_0123456789abcdef"
COPY = "CREATE SCHEMA other; CREATE TABLE other.copy (n integer)"
LEAK = "LANGUAGE sql SECURITY DEFINER AS 'SELECT handle FROM app.users LIMIT 1'"
MAKE_GRANT = f"CREATE ROLE {GRANT} LOGIN CONNECTION LIMIT 4 IN ROLE rf_person, rf_granted"

# check, what plants it, what stands in the finding, what takes it away again (beside what was made)
FAULTS = [
    ("relation within reach of a person and not of his room",
     f"{COPY}; GRANT USAGE ON SCHEMA other TO PUBLIC; GRANT SELECT ON other.copy TO PUBLIC",
     "other.copy", "DROP SCHEMA other CASCADE"),
    ("relation within reach of a person and not of his room",
     f"{COPY}; GRANT USAGE ON SCHEMA other TO PUBLIC; GRANT SELECT (n) ON other.copy TO rf_person",
     "other.copy", "DROP SCHEMA other CASCADE"),
    ("sequence within reach of a person",
     "CREATE SCHEMA other; CREATE SEQUENCE other.s; GRANT USAGE ON SCHEMA other TO rf_person;"
     " GRANT SELECT ON other.s TO rf_person", "other.s", "DROP SCHEMA other CASCADE"),
    ("person with a power", f"ALTER ROLE {PERSON} CREATEDB", "us_analyst.masked",
     f"ALTER ROLE {PERSON} NOCREATEDB"),
    ("person in a group that is not his room's", f"GRANT pg_monitor TO {PERSON}", "pg_monitor",
     f"REVOKE pg_monitor FROM {PERSON}"),
    ("group of persons in another group", "GRANT pg_read_all_data TO rf_masked", "pg_read_all_data",
     "REVOKE pg_read_all_data FROM rf_masked"),
    ("group of persons in another group", "GRANT rf_function TO rf_person", "rf_function",
     "REVOKE rf_function FROM rf_person"),
    ("role that can act as the owner of the views", "GRANT rf_view TO app_us", "app_us",
     "REVOKE rf_view FROM app_us"),
    ("role that can act as the owner of the views", "GRANT rf_admin TO rf_control", "rf_control",
     "REVOKE rf_admin FROM rf_control"),
    ("owner of the views with a power or a login", "ALTER ROLE rf_owner LOGIN", "rf_owner",
     "ALTER ROLE rf_owner NOLOGIN"),
    ("object owned by a person", f"{COPY}; CREATE ROLE {LEFT} IN ROLE rf_person, rf_masked;"
     f" ALTER TABLE other.copy OWNER TO {LEFT}", "left.masked",
     f"DROP SCHEMA other CASCADE; DROP ROLE {LEFT}"),
    ("right of a person that no policy gives", f"{COPY}; GRANT SELECT ON other.copy TO {PERSON}",
     "us_analyst.masked", "DROP SCHEMA other CASCADE"),
    ("database open to everybody", "GRANT CONNECT ON DATABASE postgres TO PUBLIC", "postgres",
     "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC"),
    ("database in which a person may make objects",
     f"GRANT TEMPORARY ON DATABASE postgres TO {PERSON}", "postgres",
     f"REVOKE TEMPORARY ON DATABASE postgres FROM {PERSON}"),
    ("other database that a person or a service may connect to",
     f"GRANT CONNECT ON DATABASE postgres TO {PERSON}", "postgres",
     f"REVOKE CONNECT ON DATABASE postgres FROM {PERSON}"),
    ("other database that a person or a service may connect to",
     "GRANT CONNECT ON DATABASE postgres TO app_us", "app_us -> postgres",
     "REVOKE CONNECT ON DATABASE postgres FROM app_us"),
    ("schema in which a person may make objects", "GRANT CREATE ON SCHEMA public TO rf_stats",
     "public", "REVOKE CREATE ON SCHEMA public FROM rf_stats"),
    ("language that a person may program in", "GRANT USAGE ON LANGUAGE plpgsql TO rf_person",
     "plpgsql", "REVOKE USAGE ON LANGUAGE plpgsql FROM rf_person"),
    ("relation of a room that is not a view of rf_view", "ALTER VIEW masked.users OWNER TO postgres",
     "masked.users", "ALTER VIEW masked.users OWNER TO rf_view"),
    ("function with another's rights within reach of a person",
     f"CREATE FUNCTION pg_catalog.leak() RETURNS text {LEAK}", "leak()",
     "DROP FUNCTION pg_catalog.leak()"),
    ("function with another's rights within reach of a person",
     f"CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO rf_person;"
     f" CREATE FUNCTION other.leak() RETURNS text {LEAK}", "other.leak()",
     "DROP SCHEMA other CASCADE"),
    ("function within reach of a person that is not PostgreSQL's own",
     "CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO PUBLIC;"
     " CREATE EXTENSION pg_trgm SCHEMA other", "similarity", "DROP SCHEMA other CASCADE"),
    ("cast of PostgreSQL's own types that calls a function which is not",
     "CREATE FUNCTION app.odd(text) RETURNS interval LANGUAGE sql AS 'SELECT interval ''1 day''';"
     " CREATE CAST (text AS interval) WITH FUNCTION app.odd(text)", "app.odd",
     "DROP FUNCTION app.odd(text) CASCADE"),
    ("catalog of the system that was opened to everybody", "GRANT SELECT ON pg_statistic TO PUBLIC",
     "pg_statistic", "REVOKE SELECT ON pg_statistic FROM PUBLIC"),
    ("column of the system's catalogs that was opened to everybody",
     "GRANT SELECT (rolpassword) ON pg_authid TO PUBLIC", "pg_authid.rolpassword",
     "REVOKE SELECT (rolpassword) ON pg_authid FROM PUBLIC"),
    ("right on what is ringfence's own of a role that is not",
     "GRANT SELECT ON ringfence.pseudonym_key TO app_owner", "app_owner",
     "REVOKE SELECT ON ringfence.pseudonym_key FROM app_owner"),
    ("right on what is ringfence's own of a role that is not",
     "GRANT SELECT (id) ON masked.users TO app_owner", "app_owner -> masked.users.id",
     "REVOKE SELECT (id) ON masked.users FROM app_owner"),
    ("right on what is ringfence's own of a role that is not",
     "GRANT USAGE ON SCHEMA stats TO app_owner", "schema stats",
     "REVOKE USAGE ON SCHEMA stats FROM app_owner"),
    ("right on what is ringfence's own of a role that is not",
     "GRANT EXECUTE ON FUNCTION ringfence.sessions() TO app_owner", "ringfence.sessions()",
     "REVOKE EXECUTE ON FUNCTION ringfence.sessions() FROM app_owner"),
    ("foreign server or wrapper that a person may use",
     "CREATE EXTENSION postgres_fdw SCHEMA app; CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw;"
     " GRANT USAGE ON FOREIGN SERVER away TO rf_person", "away",
     "DROP EXTENSION postgres_fdw CASCADE"),
    ("foreign server or wrapper that a person may use",
     "CREATE EXTENSION postgres_fdw SCHEMA app;"
     " GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO PUBLIC", "postgres_fdw",
     "DROP EXTENSION postgres_fdw CASCADE"),
    ("user mapping of a person or of everybody",
     "CREATE EXTENSION postgres_fdw SCHEMA app; CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw;"
     " CREATE USER MAPPING FOR PUBLIC SERVER away OPTIONS (user 'x')", "PUBLIC -> away",
     "DROP EXTENSION postgres_fdw CASCADE"),
    ("parameter of the server that a person or a service may set",
     "GRANT SET ON PARAMETER log_statement TO app_us", "app_us -> log_statement",
     "REVOKE SET ON PARAMETER log_statement FROM app_us"),
    ("parameter of the server that a person or a service may set",
     "GRANT SET ON PARAMETER session_replication_role TO PUBLIC", "PUBLIC -> session_replication_role",
     "REVOKE SET ON PARAMETER session_replication_role FROM PUBLIC"),
    ("tablespace in which a person may make objects",
     "GRANT CREATE ON TABLESPACE pg_default TO rf_person", "pg_default",
     "REVOKE CREATE ON TABLESPACE pg_default FROM rf_person"),
    ("large object within reach of a person",
     "SELECT lo_create(4242); GRANT SELECT ON LARGE OBJECT 4242 TO PUBLIC", "4242",
     "SELECT lo_unlink(4242)"),
    ("maker of grants with a power it does not need", "ALTER ROLE rf_admin LOGIN", "rf_admin",
     "ALTER ROLE rf_admin NOLOGIN"),
    ("object of the maker of grants that is not one of its functions",
     f"{COPY}; ALTER TABLE other.copy OWNER TO rf_admin", "pg_class", "DROP SCHEMA other CASCADE"),
    ("role of a grant with a power", f"{MAKE_GRANT}; ALTER ROLE {GRANT} CREATEROLE", GRANT,
     f"DROP ROLE {GRANT}"),
    ("role of a grant in a group that is not its room's", f"{MAKE_GRANT}; GRANT rf_masked TO {GRANT}",
     "rf_masked", f"DROP ROLE {GRANT}"),
    ("somebody in the group of grants, or in a grant's role", f"GRANT rf_granted TO {PERSON}",
     "us_analyst.masked", f"REVOKE rf_granted FROM {PERSON}"),
    ("role of a grant with a right or an object of its own",
     f"{MAKE_GRANT}; GRANT SELECT ON app.users TO {GRANT}", GRANT,
     f"DROP OWNED BY {GRANT}; DROP ROLE {GRANT}"),
    ("setting of a grant's role that no grant has",
     f"{MAKE_GRANT}; ALTER ROLE {GRANT} SET search_path = app", "search_path", f"DROP ROLE {GRANT}"),
    ("grant and role that do not belong together", MAKE_GRANT, GRANT, f"DROP ROLE {GRANT}"),
    ("somebody else with a right on grants or in their room",
     "GRANT SELECT ON ringfence.reveal_token TO PUBLIC", "reveal_token",
     "REVOKE SELECT ON ringfence.reveal_token FROM PUBLIC"),
    ("somebody who may write down consents and is no service",
     "GRANT EXECUTE ON FUNCTION ringfence.consent_withdraw(text, text) TO rf_control", "rf_control",
     "REVOKE EXECUTE ON FUNCTION ringfence.consent_withdraw(text, text) FROM rf_control"),
]

WARNINGS = [
    ("table that inherits from one of the policy, past the rules for what comes in",
     "CREATE TABLE app.people_of_old () INHERITS (app.users)", "app.people_of_old of app.users",
     "DROP TABLE app.people_of_old"),
    ("functions of PostgreSQL that everybody may call, persons too",
     "GRANT EXECUTE ON FUNCTION md5(text) TO PUBLIC", "1",
     "REVOKE EXECUTE ON FUNCTION md5(text) FROM PUBLIC"),
    ("login that reads or writes past the policy",
     "CREATE ROLE backup LOGIN; GRANT pg_read_all_data TO backup", "backup", "DROP ROLE backup"),
    ("role that may copy the whole cluster", "CREATE ROLE copier REPLICATION", "copier",
     "DROP ROLE copier"),
    ("role that can make itself a member of others", "CREATE ROLE maker CREATEROLE", "maker",
     "DROP ROLE maker"),
    ("extension that opens files, connections or pages", "CREATE EXTENSION file_fdw SCHEMA app",
     "file_fdw", "DROP EXTENSION file_fdw"),
    ("language that leaves the database",
     "CREATE LANGUAGE plodd HANDLER plpgsql_call_handler", "plodd", "DROP LANGUAGE plodd"),
    ("foreign server", "CREATE EXTENSION postgres_fdw SCHEMA app;"
     " CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw", "away",
     "DROP EXTENSION postgres_fdw CASCADE"),
    ("publication, by which rows leave this server", "CREATE PUBLICATION everything FOR ALL TABLES",
     "everything", "DROP PUBLICATION everything"),
    ("subscription, by which rows come from another server",
     "CREATE SUBSCRIPTION gift CONNECTION 'host=/nowhere' PUBLICATION p"
     " WITH (connect = false, slot_name = NONE)", "gift", "DROP SUBSCRIPTION gift"),
    ("event trigger, which runs whenever somebody changes the database",
     "CREATE FUNCTION app.et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
     " CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION app.et()", "watcher",
     "DROP EVENT TRIGGER watcher; DROP FUNCTION app.et()"),
    ("large objects, which no policy rules", "SELECT lo_create(4243)", "1", "SELECT lo_unlink(4243)"),
    ("default right of everybody on what is made later",
     "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", "SELECT",
     "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC"),
    ("setting that puts values or statements into the server's log",
     "ALTER ROLE postgres SET log_statement = 'all'", "log_statement = all",
     "ALTER ROLE postgres RESET log_statement"),
]

# They look at the server's own version, which a test cannot make older.
OF_THE_VERSION = {"server without the fixes that count", "server of a version that was not tried"}


def names(kind):
    with open(f"{ROOT}/src/enforce/tbl/check.def", encoding="utf-8") as text:
        return set(re.findall(rf'^{kind}\("([^"]*)"', text.read(), re.M))


@pytest.fixture(scope="module")
def region(scratch, authority, build):
    server = Server(os.path.join(scratch, "selfcheck"), authority, build)
    server.cluster.rows("ALTER SYSTEM SET log_error_verbosity = terse", dbname="postgres")
    server.cluster.rows("ALTER SYSTEM SET log_min_error_statement = panic", dbname="postgres")
    server.cluster.rows("SELECT pg_reload_conf()", dbname="postgres")
    made = server.new_database()
    made.apply()
    yield made
    server.cluster.stop()


def findings(region, kind):
    done = region.command("plan", "--check")
    return done, {tuple(line.split(": ", 3)[2:]) for line in done.stderr.splitlines()
                  if line.split(": ")[1:2] == [kind]}


def test_every_question_has_a_fault_that_it_finds():
    assert names("CHECK") - OF_THE_VERSION == {check for check, *_ in FAULTS}
    assert names("WARNING") - OF_THE_VERSION == {check for check, *_ in WARNINGS}


def test_nothing_is_found_after_apply(region):
    done, faults = findings(region, "fault")
    assert (done.returncode, faults, done.stderr) == (0, set(), ""), done.stdout


def plant(region, sql):
    with psycopg.connect(region.server.cluster.dsn(region.database), autocommit=True) as connection:
        for statement in sql.split("; "):
            connection.execute(statement)


@pytest.mark.parametrize("check, sql, found, undo", FAULTS, ids=range(len(FAULTS)))
def test_a_planted_fault_is_found(region, check, sql, found, undo):
    plant(region, sql)
    try:
        done, faults = findings(region, "fault")
    finally:
        plant(region, undo)
    assert done.returncode == 1, done.stderr
    assert any(name == check and found in thing for name, thing in faults), faults


@pytest.mark.parametrize("check, sql, found, undo", WARNINGS, ids=range(len(WARNINGS)))
def test_a_way_round_is_said_and_stops_nothing(region, check, sql, found, undo):
    plant(region, sql)
    try:
        _, warnings = findings(region, "warning")
        region.apply()
    finally:
        plant(region, undo)
    assert any(name == check and found in thing for name, thing in warnings), warnings


def test_all_is_as_it_was(region):
    """What was planted is gone, or the next test would stand on it."""
    region.apply()
    done, faults = findings(region, "fault")
    assert (done.returncode, faults, done.stderr) == (0, set(), ""), done.stdout


def test_an_old_server_is_a_fault(region):
    """The comparison itself, with the numbers of other servers in the place of this one's."""
    with open(f"{ROOT}/src/enforce/tbl/check.def", encoding="utf-8") as text:
        part = text.read().split('CHECK("server without the fixes that count"')[1].split("CHECK(")[0]
    part = part.split('WARNING("server of a version')[0]
    query = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', part))
    for number, is_old in ((150019, True), (150020, False), (160015, True), (160016, False),
                           (170011, True), (180005, True), (180006, False), (190000, False)):
        asked = query.replace("current_setting('server_version_num')", f"'{number}'")
        assert bool(region.rows(asked)) == is_old, number


def test_thousands_of_persons_are_asked_like_one(region, slow):
    """Roles that can do the same are looked at once: the hourly look has five seconds a query."""
    region.rows("DO $$ BEGIN FOR i IN 1..3000 LOOP EXECUTE format('CREATE ROLE %I IN ROLE"
                " rf_person, rf_masked', 'many' || i || '.masked'); END LOOP; END $$")
    try:
        began = time.monotonic()
        done = region.command("plan", "--check")
        took = time.monotonic() - began
    finally:
        region.rows("DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname"
                    " LIKE 'many%' LOOP EXECUTE format('DROP ROLE %I', r); END LOOP; END $$")
    assert "fault" not in done.stderr, done.stderr
    assert took < 5 * slow, took
