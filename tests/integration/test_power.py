"""What each stolen credential could do: every sentence of docs/threat-model.md about them, tried."""

import os

import psycopg
import pytest

from planted import found_in
from waiting import wait_until

PERSON, ABROAD, SERVICE, CONTROL = "us_analyst.masked", "cn_engineer.stats", "app_us", "rf_control"
REGISTRAR, HERALD = "rf_registrar", "rf_herald"
ROLES = [CONTROL, REGISTRAR, HERALD, PERSON, ABROAD, SERVICE]


class Thief:
    """The gateway's client certificate and its key, used from elsewhere."""

    def __init__(self, pair, authority):
        self.pair, self.authority = pair, authority
        self.certificate, self.key = authority.issue("gateway", file="stolen")

    def connect(self, role, server="primary", certificate=None, **options):
        cluster = getattr(self.pair, server)
        certificate, key = certificate or (self.certificate, self.key)
        given = {"host": "127.0.0.1", "port": cluster.port, "dbname": "app", "user": role,
                 "sslmode": "verify-ca", "sslrootcert": self.authority.certificate,
                 "sslcert": certificate, "sslkey": key, "connect_timeout": 5, "autocommit": True}
        return psycopg.connect(**{**given, **options})


@pytest.fixture(scope="module")
def thief(pair, authority):
    return Thief(pair, authority)


# -- the door --------------------------------------------------------------------------------------

@pytest.mark.parametrize("server", ["primary", "standby"])
@pytest.mark.parametrize("role", ROLES)
def test_without_the_gateways_certificate_no_role_can_be_entered(thief, authority, role, server):
    own = authority.issue("us_analyst", file="own")
    for how in ({"certificate": ("/nowhere", "/nowhere")}, {"certificate": own},
                {"sslmode": "disable"}, {"password": "guess", "certificate": own}):
        with pytest.raises(psycopg.OperationalError):
            thief.connect(role, server, **how).close()


@pytest.mark.parametrize("role", ["postgres", "app_owner", "rf_view", "rf_owner", "rf_admin",
                                  "rf_person", "rf_function", "rf_everybody"])
def test_the_gateways_certificate_opens_nobody_who_has_more(thief, role):
    for server in ("primary", "standby"):
        with pytest.raises(psycopg.OperationalError):
            thief.connect(role, server).close()


def test_the_gateways_certificate_opens_no_replication(thief):
    for how in ({"replication": "true"}, {"replication": "database"}):
        with pytest.raises(psycopg.OperationalError):
            thief.connect(SERVICE, **how).close()


def test_no_login_of_the_gateway_has_a_power(pair):
    assert pair.primary.rows(
        "SELECT r.rolname FROM pg_roles r WHERE rolcanlogin AND (pg_has_role(oid, 'rf_person',"
        " 'MEMBER') OR pg_has_role(oid, 'rf_service', 'MEMBER') OR rolname IN"
        "  ('rf_control', 'rf_registrar', 'rf_herald')) AND"
        " NOT rolsuper AND (rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR EXISTS"
        "  (SELECT FROM pg_roles g WHERE (g.rolname LIKE 'pg\\_%' OR g.rolname IN ('rf_admin',"
        "   'rf_owner', 'rf_view')) AND pg_has_role(r.oid, g.oid, 'MEMBER')))") == []


# -- what no credential of the gateway can do -------------------------------------------------------

NOBODY_CAN = """
CREATE ROLE intruder LOGIN
ALTER ROLE app_owner LOGIN
ALTER ROLE "us_privacy_officer.masked" PASSWORD 'x'
GRANT rf_view TO CURRENT_USER
GRANT pg_read_all_data TO CURRENT_USER
SET ROLE rf_view
SET ROLE rf_owner
SET ROLE rf_admin
SET ROLE app_owner
SET ROLE postgres
SET SESSION AUTHORIZATION postgres
SELECT * FROM ringfence.pseudonym_key
SELECT * FROM ringfence.reveal_token
SELECT * FROM ringfence.grant_subject
SELECT * FROM granted.users
SELECT ringfence.reveal('x', 'contact', '1', 'x'::text)
INSERT INTO ringfence.grant_subject SELECT FROM ringfence.grant_subject
UPDATE ringfence."grant" SET ends = 'infinity'
SELECT ringfence.grant_open(900001, 'us_analyst', 'support_ticket', now() + '1 hour', '{1}', '{contact}')
SELECT ringfence.request_next(1, 'open')
SELECT * FROM ringfence.request
UPDATE ringfence.request SET state = 'approved'
DELETE FROM ringfence.approval
DELETE FROM ringfence.command_nonce
SELECT * FROM ringfence.found
CREATE OR REPLACE VIEW ringfence.request_step AS VALUES ('asked', 'open', 'open')
DELETE FROM ringfence.applied
UPDATE ringfence.object SET source = definition
COPY (SELECT 1) TO PROGRAM 'id'
COPY (SELECT 1) TO '/tmp/ringfence-power'
SELECT pg_read_file('PG_VERSION')
SELECT pg_ls_dir('.')
SELECT lo_import('/etc/passwd')
SELECT lo_create(0)
CREATE EXTENSION dblink
CREATE TABLE public.x (n integer)
CREATE TABLE app.x (n integer)
CREATE TEMP TABLE x (n integer)
CREATE SCHEMA x
CREATE DATABASE x
CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'
DO $$BEGIN END$$
ALTER SYSTEM SET fsync = off
LOAD 'auto_explain'
ALTER TABLE app.users DROP CONSTRAINT ringfence_residency
DROP VIEW masked.users
CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p
CREATE PUBLICATION p FOR TABLE app.users
SELECT pg_create_physical_replication_slot('x')
SELECT pg_terminate_backend(pid) FROM generate_series(1, 2) pid
SELECT * FROM pg_authid
SELECT * FROM pg_hba_file_rules
SELECT pg_logical_emit_message(false, 'a', 'b')
CHECKPOINT
""".strip().splitlines()


@pytest.mark.parametrize("server", ["primary", "standby"])
@pytest.mark.parametrize("role", ROLES)
def test_no_credential_of_the_gateway_can(thief, role, server):
    worked = []
    with thief.connect(role, server) as connection:
        for sql in NOBODY_CAN:
            try:
                connection.execute("SET default_transaction_read_only = off")
                connection.execute(sql)
                worked.append(sql)
            except psycopg.Error as error:
                if error.sqlstate not in ("42501", "25006", "0A000", "25001", "42704"):
                    worked.append(f"{sql}: {error.sqlstate} {error}")
                assert not found_in(str(error)), sql
    assert worked == []


def test_a_person_and_a_service_cannot_open_grants(thief):
    for role in (PERSON, ABROAD, SERVICE):
        with thief.connect(role) as connection:
            for call in ("grants()", "grant_close(1)", "grant_signal(1)", "grant_reap()",
                         "reveal_token_read()", "sessions()", "grant_faults()", "request_open(1, 'x')",
                         "request_move(1, 'logged', 'x')", "request_evidence('{1}')",
                         "find_subject('us_analyst', 'email', 'x', 5)", "grant_use_up(1)",
                         "grant_budget_take(1, 1, 1, 1, 1)", "grant_budget_return(1, 1, 1)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"SELECT * FROM ringfence.{call}")


# -- what each of them can --------------------------------------------------------------------------

def reach(connection):
    """Relations and functions that are not PostgreSQL's own, as far as this role can use them."""
    own = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_' AND" \
        " has_schema_privilege(n.oid, 'USAGE')"
    relations = connection.execute(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE {own} AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND (has_table_privilege(c.oid,"
        " 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE') OR has_any_column_privilege(c.oid, 'SELECT'))")
    relations = {name for (name,) in relations.fetchall()}
    functions = connection.execute(
        f"SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {own}"
        " AND has_function_privilege(p.oid, 'EXECUTE')")
    return relations, {name for (name,) in functions.fetchall()}


def test_control_reads_its_records_and_calls_its_functions(thief):
    with thief.connect(CONTROL) as connection:
        relations, functions = reach(connection)
    assert {name for name in relations if not name.startswith("ringfence.")} == set()
    assert not relations & {"ringfence.pseudonym_key", "ringfence.reveal_token",
                            "ringfence.grant_subject", 'ringfence."grant"', "ringfence.child",
                            "ringfence.request", "ringfence.approval"}
    assert not functions & {"grant_open", "request_open", "request_open_within", "request_move", "request_add", "approval_add"}
    assert {"request_evidence", "grant_close", "grant_signal", "grant_reap", "grants", "sessions",
            "standby", "reveal_token_read"} <= functions
    assert not {name for name in functions if name in ("reveal", "grant_analyze")}


def logins(pair):
    return [name for (name,) in pair.primary.rows(
        "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper")]


def enter(thief, pair, role):
    """A session of a grant's role on the standby; pg_hba.conf of a real region names the group."""
    pair.let_gateway_enter(logins(pair))
    pair.wait_for_standby()

    def try_it():
        try:
            return thief.connect(role, "standby")
        except psycopg.OperationalError:
            return None
    return wait_until(try_it, "the role of the grant cannot be entered")


def test_the_registrar_takes_steps_of_requests_and_nothing_else(thief):
    with thief.connect(REGISTRAR) as connection:
        relations, functions = reach(connection)
    assert relations == set()
    assert functions == {
        "request_facts", "request_add", "request_move", "approval_add", "approval_logged", "request_open",
        "request_revoke", "request_evidence", "request_list", "command_use", "find_subject", "request_sweep",
        "requests_left", "review_add", "reviews_due",
        "suspend", "suspensions", "lift_add", "refusal_add", "trace",
        "alert_act", "alert_add", "alert_list", "alert_review",
        "request_tell", "hold_check", "hold_add", "holds",
        "subjects_of_day", "request_open_within", "grant_budget_read",
        "consent_add", "consent_check", "consent_end", "consent_history", "consent_lacking", "consent_said",
        "consent_sums", "consent_sweep"}


def test_the_herald_takes_what_is_to_be_told_and_nothing_else(thief):
    with thief.connect(HERALD) as connection:
        relations, functions = reach(connection)
    assert relations == set()
    assert functions == {"outbox_hooks", "outbox_next", "outbox_done", "outbox_later", "outbox_waiting"}


def ask_without_a_signature(connection):
    """The steps of a request, with texts that nobody signed."""
    def call(sql, *values):
        return connection.execute(f"SELECT * FROM ringfence.{sql}", values).fetchone()[0]

    number = call("request_add('us_analyst', 'support', 'support_ticket', '{contact}', '{1}', 300, false, true,"
                  " 'invented', 'invented', 'thief', 1)")
    call("request_move(%s, 'logged', 'invented')", number)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        call("request_move(%s, 'complete', NULL)", number)
    call("approval_add(%s, 'us_privacy_officer', true, true, 'invented', 'invented', 'thief')", number)
    call("approval_logged(%s, 'us_privacy_officer', 'invented')", number)
    call("request_move(%s, 'complete', NULL)", number)
    call("request_open(%s, 'invented')", number)
    return number


def test_the_registrars_login_is_worth_a_grant_at_the_database(thief, pair):
    """With the gateway's certificate, whose role can then be entered past the gateway:
    docs/threat-model.md says so. It stands in the database for those who look, with texts that nobody
    signed and that this login cannot remove, and its role has no more than a person's."""
    with thief.connect(REGISTRAR) as registrar, thief.connect(CONTROL) as connection:
        number = ask_without_a_signature(registrar)
        role = pair.primary.value('SELECT role FROM ringfence."grant" WHERE id = %s', number)
        try:
            powers = pair.primary.rows(
                "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,"
                " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g"
                "  ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1) FROM pg_roles r"
                " WHERE rolname = %s", role)
            assert powers == [(False, ["rf_granted", "rf_person"])]
            assert pair.primary.rows(
                'SELECT actor, purpose FROM ringfence."grant" WHERE role = %s', role) \
                == [("us_analyst", "support_ticket")]
            for login in (connection, registrar):
                with pytest.raises(psycopg.Error):
                    login.execute(f"SET ROLE {role}")
            assert connection.execute("SELECT command, signature FROM ringfence.request_evidence(%s)",
                                      ([number],)).fetchall() == [("invented", "invented")] * 2
            held = enter(thief, pair, role)
            assert found_in(held.execute("SELECT email FROM users").fetchall())
            held.execute("DECLARE c CURSOR WITH HOLD FOR SELECT email FROM users")
        finally:
            connection.execute("SELECT ringfence.grant_close(%s)", (number,))
            with thief.connect(CONTROL, "standby") as ender:
                while ender.execute("SELECT ringfence.grant_signal(%s)", (number,)).fetchone()[0] > 0:
                    pass
        with pytest.raises(psycopg.OperationalError):
            held.execute("FETCH ALL FROM c")
        while connection.execute("SELECT ringfence.grant_reap()").fetchone()[0] > 0:
            pass
    pair.let_gateway_enter(logins(pair))
    assert pair.primary.rows("SELECT 1 FROM pg_roles WHERE rolname = %s", role) == []


@pytest.mark.parametrize("server", ["primary", "standby"])
@pytest.mark.parametrize("role, schemas", [(PERSON, {"masked", "stats"}), (ABROAD, {"stats"})])
def test_a_persons_role_reads_its_room_on_either_server(thief, role, schemas, server):
    with thief.connect(role, server) as connection:
        relations, functions = reach(connection)
        assert functions == set()
        rows = [connection.execute(f"SELECT * FROM {name}").fetchall() for name in relations
                if "." in name or role == PERSON]
    seen = {name.split(".")[0] if "." in name else schema
            for name in relations for schema in [sorted(schemas)[0]]}
    assert seen == schemas
    assert not found_in(rows)


def test_a_services_role_reads_its_tables_in_clear(thief, pair):
    with thief.connect(SERVICE) as connection:
        relations, functions = reach(connection)
        assert {name for name in relations if "." in name} == set(), "the search path is app"
        assert functions == {"consent_give", "consent_withdraw", "consent_is_current"}  # the policy says so
        assert found_in(connection.execute("SELECT * FROM users").fetchall())
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE users SET residency = 'CN' WHERE id = 1")
    tables = pair.primary.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'app'")
    assert relations <= {name for (name,) in tables}


# What PostgreSQL lets every role do on a primary, whatever its rights.
EVERYBODYS = [
    "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
    "ALTER ROLE CURRENT_USER SET search_path = public",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "LISTEN whisper",
    "NOTIFY whisper, 'psst'",
]


@pytest.mark.parametrize("role", [PERSON, SERVICE, CONTROL, REGISTRAR, HERALD])
def test_on_a_primary_every_role_keeps_what_postgresql_gives_it(thief, pair, gateway, role):
    """Residual of `persons_on_primary: accept`, and of services. A standby has none of it; plan
    finds what it leaves behind, and a password opens no door that wants a certificate."""
    try:
        with thief.connect(role) as connection:
            connection.execute("SET default_transaction_read_only = off")
            for sql in EVERYBODYS:
                connection.execute(sql)
        found = gateway.command("plan", "--check", "--dsn", pair.primary.dsn())
        assert found.returncode == 1
        with pytest.raises(psycopg.OperationalError):
            thief.connect(role, certificate=("/nowhere", "/nowhere"), password="mine").close()
    finally:
        with pair.primary.connect() as connection:
            connection.execute(f'ALTER ROLE "{role}" PASSWORD NULL')
            connection.execute(f'ALTER DEFAULT PRIVILEGES FOR ROLE "{role}" REVOKE SELECT ON TABLES'
                               " FROM PUBLIC")
        assert gateway.command("apply", "--dsn", pair.primary.dsn()).returncode == 0
        pair.wait_for_standby()
    with thief.connect(PERSON, "standby") as connection:
        for sql in EVERYBODYS:
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(sql)
            assert caught.value.sqlstate == "25006", sql


def test_the_administrators_dsn_is_kept_nowhere(gateway, pair):
    secret = "very_secret_of_the_dba"
    for command in (["plan"], ["plan", "--check"], ["apply"]):
        done = gateway.command(*command, "--dsn", f"{pair.primary.dsn()} password={secret}")
        assert secret not in done.stdout + done.stderr
    for folder, _, files in os.walk(gateway.folder):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as kept:
                    assert secret.encode() not in kept.read(), name
