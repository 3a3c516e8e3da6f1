"""The statement guard switched off: what it refuses, said straight to the standby, as a person's role
with the gateway's certificate. There is no switch for it in the gateway; going past is the test.

Everything that could change or take something is refused by PostgreSQL too. What PostgreSQL lets
through, and only the guard stops, stands in ONLY_THE_GUARD, each with what it can do; the list is
also in docs/threat-model.md."""

import re
import time

import psycopg
import pytest

from conftest import ROOT
from planted import found_in
from test_power import PERSON, Thief

# One statement for each kind in src/guard/tbl/statement.def that is refused as a whole.
REFUSED_KINDS = {
    "InsertStmt": "INSERT INTO users SELECT * FROM users",
    "UpdateStmt": "UPDATE users SET handle = 'x'",
    "DeleteStmt": "DELETE FROM users",
    "MergeStmt": "MERGE INTO users u USING users v ON u.id = v.id WHEN MATCHED THEN DELETE",
    "TruncateStmt": "TRUNCATE users",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW users",
    "ListenStmt": "LISTEN x",
    "NotifyStmt": "NOTIFY x",
    "DoStmt": "DO $$BEGIN END$$",
    "CallStmt": "CALL nothing()",
    "LoadStmt": "LOAD 'auto_explain'",
    "VacuumStmt": "VACUUM",
    "ClusterStmt": "CLUSTER",
    "ReindexStmt": "REINDEX TABLE users",
    "CheckPointStmt": "CHECKPOINT",
    "GrantStmt": "GRANT SELECT ON users TO PUBLIC",
    "GrantRoleStmt": "GRANT rf_view TO CURRENT_USER",
    "AlterDefaultPrivilegesStmt": "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "CommentStmt": "COMMENT ON VIEW users IS 'x'",
    "SecLabelStmt": "SECURITY LABEL ON VIEW users IS 'x'",
    "RenameStmt": "ALTER VIEW users RENAME TO x",
    "DropStmt": "DROP VIEW users",
    "DropdbStmt": "DROP DATABASE app",
    "DropOwnedStmt": "DROP OWNED BY CURRENT_USER",
    "DropRoleStmt": "DROP ROLE app_us",
    "DropSubscriptionStmt": "DROP SUBSCRIPTION x",
    "DropTableSpaceStmt": "DROP TABLESPACE x",
    "DropUserMappingStmt": "DROP USER MAPPING FOR CURRENT_USER SERVER x",
    "ReassignOwnedStmt": "REASSIGN OWNED BY app_owner TO CURRENT_USER",
    "ImportForeignSchemaStmt": "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z",
    "CreateStmt": "CREATE TABLE x (n integer)",
    "CreateTableAsStmt": "CREATE TABLE x AS SELECT 1",
    "ViewStmt": "CREATE TEMP VIEW x AS SELECT 1",
    "IndexStmt": "CREATE INDEX ON users (id)",
    "RuleStmt": "CREATE RULE x AS ON INSERT TO users DO NOTHING",
    "DefineStmt": "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
    "CompositeTypeStmt": "CREATE TYPE x AS (n integer)",
    "CreateEnumStmt": "CREATE TYPE x AS ENUM ('a')",
    "CreateRangeStmt": "CREATE TYPE x AS RANGE (subtype = float8)",
    "CreateAmStmt": "CREATE ACCESS METHOD x TYPE TABLE HANDLER heap_tableam_handler",
    "CreateCastStmt": "CREATE CAST (text AS integer) WITH INOUT",
    "CreateConversionStmt": "CREATE CONVERSION x FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1",
    "CreateDomainStmt": "CREATE DOMAIN x AS integer",
    "CreateEventTrigStmt": "CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION f()",
    "CreateExtensionStmt": "CREATE EXTENSION dblink",
    "CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER x",
    "CreateForeignServerStmt": "CREATE SERVER x FOREIGN DATA WRAPPER y",
    "CreateForeignTableStmt": "CREATE FOREIGN TABLE x (n integer) SERVER y",
    "CreateFunctionStmt": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CreateOpClassStmt": "CREATE OPERATOR CLASS x FOR TYPE int4 USING btree AS OPERATOR 1 <",
    "CreateOpFamilyStmt": "CREATE OPERATOR FAMILY x USING btree",
    "CreatePLangStmt": "CREATE LANGUAGE x HANDLER plpgsql_call_handler",
    "CreatePolicyStmt": "CREATE POLICY x ON users",
    "CreatePublicationStmt": "CREATE PUBLICATION x",
    "CreateRoleStmt": "CREATE ROLE x",
    "CreateSchemaStmt": "CREATE SCHEMA x",
    "CreateSeqStmt": "CREATE TEMP SEQUENCE x",
    "CreateStatsStmt": "CREATE STATISTICS x ON id, handle FROM users",
    "CreateSubscriptionStmt": "CREATE SUBSCRIPTION x CONNECTION 'host=127.0.0.1' PUBLICATION y",
    "CreateTableSpaceStmt": "CREATE TABLESPACE x LOCATION '/tmp'",
    "CreateTransformStmt": "CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION f(internal))",
    "CreateTrigStmt": "CREATE TRIGGER x BEFORE INSERT ON users EXECUTE FUNCTION f()",
    "CreateUserMappingStmt": "CREATE USER MAPPING FOR CURRENT_USER SERVER x",
    "CreatedbStmt": "CREATE DATABASE x",
    "AlterCollationStmt": 'ALTER COLLATION "C" REFRESH VERSION',
    "AlterDatabaseRefreshCollStmt": "ALTER DATABASE app REFRESH COLLATION VERSION",
    "AlterDatabaseSetStmt": "ALTER DATABASE app SET work_mem = '1GB'",
    "AlterDatabaseStmt": "ALTER DATABASE app CONNECTION LIMIT 1",
    "AlterDomainStmt": "ALTER DOMAIN x SET NOT NULL",
    "AlterEnumStmt": "ALTER TYPE x ADD VALUE 'b'",
    "AlterEventTrigStmt": "ALTER EVENT TRIGGER x DISABLE",
    "AlterExtensionContentsStmt": "ALTER EXTENSION plpgsql ADD VIEW users",
    "AlterExtensionStmt": "ALTER EXTENSION plpgsql UPDATE",
    "AlterFdwStmt": "ALTER FOREIGN DATA WRAPPER x NO HANDLER",
    "AlterForeignServerStmt": "ALTER SERVER x VERSION '1'",
    "AlterFunctionStmt": "ALTER FUNCTION lower(text) STRICT",
    "AlterObjectDependsStmt": "ALTER FUNCTION lower(text) DEPENDS ON EXTENSION plpgsql",
    "AlterObjectSchemaStmt": "ALTER VIEW users SET SCHEMA public",
    "AlterOpFamilyStmt": "ALTER OPERATOR FAMILY integer_ops USING btree ADD OPERATOR 1 < (int4, int4)",
    "AlterOperatorStmt": "ALTER OPERATOR = (int4, int4) SET (RESTRICT = NONE)",
    "AlterOwnerStmt": "ALTER VIEW users OWNER TO CURRENT_USER",
    "AlterPolicyStmt": "ALTER POLICY x ON users TO PUBLIC",
    "AlterPublicationStmt": "ALTER PUBLICATION x SET (publish = 'insert')",
    "AlterRoleSetStmt": "ALTER ROLE CURRENT_USER SET work_mem = '1GB'",
    "AlterRoleStmt": "ALTER ROLE CURRENT_USER PASSWORD 'x'",
    "AlterSeqStmt": "ALTER SEQUENCE x RESTART",
    "AlterStatsStmt": "ALTER STATISTICS x SET STATISTICS 10",
    "AlterSubscriptionStmt": "ALTER SUBSCRIPTION x DISABLE",
    "AlterSystemStmt": "ALTER SYSTEM SET fsync = off",
    "AlterTSConfigurationStmt": "ALTER TEXT SEARCH CONFIGURATION simple ALTER MAPPING REPLACE simple WITH simple",
    "AlterTSDictionaryStmt": "ALTER TEXT SEARCH DICTIONARY simple (stopwords)",
    "AlterTableMoveAllStmt": "ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE pg_default",
    "AlterTableSpaceOptionsStmt": "ALTER TABLESPACE pg_default RESET (seq_page_cost)",
    "AlterTableStmt": "ALTER VIEW users ALTER COLUMN id DROP DEFAULT",
    "AlterTypeStmt": "ALTER TYPE x SET (STORAGE = plain)",
    "AlterUserMappingStmt": "ALTER USER MAPPING FOR CURRENT_USER SERVER x OPTIONS (SET y 'z')",
}

# Parts of statements that are allowed otherwise.
REFUSED_PARTS = [
    "SELECT * INTO x FROM users",
    "SELECT * FROM users FOR UPDATE",
    "SELECT * FROM users FOR KEY SHARE",
    "WITH x AS (DELETE FROM users RETURNING *) SELECT * FROM x",
    "COPY users FROM STDIN",
    "COPY users TO '/tmp/ringfence-guard'",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "BEGIN READ WRITE",
    "SET transaction_read_only = off",
    "PREPARE TRANSACTION 'x'",
    "COMMIT PREPARED 'x'",
    "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '00000003-00000001-1'",
    "SET ROLE rf_view",
    "SET SESSION AUTHORIZATION postgres",
    "SET session_preload_libraries = 'auto_explain'",
    "SET log_statement = 'none'",
    "SET session_replication_role = replica",
    "SELECT set_config('search_path', 'app', false)",
    "SELECT * FROM ringfence.pseudonym_key",
    "SELECT ringfence.reveal('x', 'contact', '1', 'x'::text)",
    "LOCK TABLE users IN EXCLUSIVE MODE",
    "EXPLAIN ANALYZE DELETE FROM users",
    "SELECT to_tsvector('a')",
    "SELECT 'a'::tsvector @@ 'a'::tsquery",
]

# What PostgreSQL lets a person do on a standby, and only the guard refuses.
ONLY_THE_GUARD = {
    "EXPLAIN ANALYZE": "EXPLAIN (ANALYZE, TIMING OFF) SELECT * FROM users",
    "WITH HOLD": "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM users",
    "PREPARE": "PREPARE p AS SELECT * FROM users",
    "UNLISTEN": "UNLISTEN x",
    "DISCARD": "DISCARD ALL",
    "LOCK": "BEGIN; LOCK TABLE users IN ACCESS SHARE MODE",
    "SET CONSTRAINTS": "BEGIN; SET CONSTRAINTS ALL DEFERRED",
    "SET of planning and memory": "SET work_mem = '2GB'",
    "SET search_path": "SET search_path = stats",
    "SET standard_conforming_strings": "SET standard_conforming_strings = off",
    "SET client_encoding": "SET client_encoding = 'SJIS'",
    "SET row_security": "SET row_security = off",
    "SET SESSION ROLE to one's own group": "SET ROLE rf_masked",
    "RESET ALL": "RESET ALL",
    "a parameter of one's own": "SET my.channel = 'x'",
    "text read as tsvector": "SELECT 'a b'::tsvector",
    "text read as jsonpath": "SELECT '$.a'::jsonpath",
    "expressions of XML": "SELECT xmlelement(name a, 'b')",
    "XMLTABLE": "SELECT * FROM xmltable('/a' PASSING ('<a>1</a>'::xml) COLUMNS n int PATH '.')",
}


@pytest.fixture(scope="module")
def thief(pair, authority):
    return Thief(pair, authority)


@pytest.fixture
def person(thief):
    with thief.connect(PERSON, "standby") as connection:
        yield connection


def run(connection, sql):
    for part in re.split(r"; (?=[A-Z])", sql):
        connection.execute(part)


def test_every_kind_that_is_refused_is_tried():
    with open(f"{ROOT}/src/guard/tbl/statement.def", encoding="utf-8") as text:
        kinds = set(re.findall(r"^STATEMENT\((\w+),\s*REFUSED", text.read(), re.M))
    elsewhere = {"UnlistenStmt", "PrepareStmt", "ExecuteStmt", "LockStmt", "DiscardStmt", "ConstraintsSetStmt"}
    assert kinds == set(REFUSED_KINDS) | elsewhere


def test_postgresql_refuses_what_the_guard_refuses(thief):
    worked = []
    for sql in list(REFUSED_KINDS.values()) + REFUSED_PARTS:
        with thief.connect(PERSON, "standby") as connection:
            try:
                run(connection, sql)
                worked.append(sql)
            except psycopg.Error as error:
                if error.sqlstate[:2] not in ("25", "42", "0A", "55", "22"):
                    worked.append(f"{sql}: {error.sqlstate} {error}")
                assert not found_in(str(error)), sql
    assert worked == []


@pytest.mark.parametrize("what", ONLY_THE_GUARD)
def test_only_the_guard_refuses(thief, gateway, what):
    """The list stays true: PostgreSQL does it, the gateway does not. And nobody is shown by it."""
    with thief.connect(PERSON, "standby") as connection:
        run(connection, ONLY_THE_GUARD[what])
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
            pytest.fail("refused by the server")
    with gateway.connect("us_analyst") as connection:
        with pytest.raises(psycopg.Error) as caught:
            run(connection, ONLY_THE_GUARD[what])
        assert caught.value.sqlstate in ("42501", "0A000", "22023"), caught.value


# -- and what each of them is good for --------------------------------------------------------------

def test_explain_analyze_counts_rows_that_are_left_out(person):
    """Why the guard refuses it: the plan says how many rows of children there are."""
    plan = "\n".join(row[0] for row in person.execute(
        "EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) SELECT * FROM users").fetchall())
    assert "Rows Removed by" in plan
    assert not found_in(plan)


def test_a_held_cursor_has_masked_rows_only(person):
    person.execute("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM users")
    assert not found_in(person.execute("FETCH ALL FROM c").fetchall())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        person.execute("DECLARE d CURSOR WITH HOLD FOR SELECT * FROM app.users")


def test_a_prepared_statement_asks_for_rights_when_it_runs(person):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        person.execute("PREPARE p AS SELECT * FROM app.users")
        person.execute("EXECUTE p")
    person.execute("PREPARE q AS SELECT * FROM masked.users")
    assert not found_in(person.execute("EXECUTE q").fetchall())


def test_no_setting_opens_anything(person):
    for setting in ("search_path = app", "row_security = off", "work_mem = '2GB'",
                    "standard_conforming_strings = off", "default_transaction_read_only = off"):
        person.execute(f"SET {setting}")
    for sql in ("SELECT * FROM app.users", "SELECT * FROM ringfence.pseudonym_key",
                "INSERT INTO masked.users SELECT * FROM masked.users"):
        with pytest.raises(psycopg.Error):
            person.execute(sql)
    person.execute("SET search_path = masked")
    assert not found_in(person.execute("SELECT * FROM users").fetchall())


def test_the_own_group_is_no_more_than_the_room(person):
    person.execute("SET ROLE rf_masked")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        person.execute("SELECT * FROM app.users")


def test_a_lock_holds_no_service_up(person, thief):
    """ACCESS SHARE on the standby: writers on the primary do not notice."""
    with person.transaction():
        person.execute("LOCK TABLE masked.users IN ACCESS SHARE MODE")
        with thief.connect("app_us") as service:
            began = time.monotonic()
            service.execute("UPDATE users SET handle = handle WHERE id = 1")
            assert time.monotonic() - began < 5


def test_a_text_of_another_type_shows_what_was_written(person):
    """The code that reads them runs, and that is all: their functions are closed."""
    assert person.execute("SELECT 'b a'::tsvector").fetchone() == ("'a' 'b'",)
    for sql in ("SELECT 'a b'::tsvector::text", "SELECT 'a'::tsvector || 'b'::tsvector", "SELECT length('a b'::tsvector)",
                "SELECT xpath('/a', '<a/>')", "SELECT jsonb_path_query('{}', '$')",
                "SELECT '{}'::jsonb @? '$.a'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            person.execute(sql)


def test_masked_rows_as_xml_are_masked_rows(person):
    assert not found_in(person.execute(
        "SELECT xmlforest(handle, email, phone) FROM users").fetchall())
    read = person.execute("SELECT xmlparse(document '<!DOCTYPE a [<!ENTITY x SYSTEM"
                          " \"file:///etc/passwd\">]><a>&x;</a>')").fetchone()
    assert "root:" not in str(read)
