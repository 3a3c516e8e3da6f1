"""Attacks that worked once, or were tried in earnest: by a person with a valid login, by a service, by
a stranger. Each test is the attack; it passes when the attack fails."""

import base64
import hashlib
import hmac
import os
import re
import socket
import struct

import psycopg
import pytest

from gateway import client_name, password_of
from planted import PLANTED, found_in
from waiting import wait_until
from wire import SSL_REQUEST, ServerError, Wire, cstr, data_row, error_fields

HOME, ABROAD = "us_analyst", "cn_engineer"

# --- children, by errors of conditions that run before their rows are left out --------------------

UNSEEN = "user_id NOT IN (SELECT id FROM users)"
BLABBING = [
    f"SELECT 1 FROM watch_events WHERE {UNSEEN}"
    " AND (user_id || ' ' || at || ' ' || video_id || ' ' || seconds)::int > 0",
    f"SELECT 1 FROM searches WHERE {UNSEEN} AND (user_id || ' ' || id || ' ' || at)::int > 0",
    f"SELECT 1 FROM purchases WHERE {UNSEEN} AND (user_id || ' ' || cents)::int > 0",
    f"SELECT 1 FROM locations WHERE {UNSEEN} AND user_id::text::int2 > 0",
    "SELECT 1 FROM users u JOIN watch_events w ON (w.user_id || 'x')::int = u.id"
    f" WHERE w.{UNSEEN}",
    "SELECT 1 FROM users WHERE birthdate > current_date - 6000 AND (residency || birthdate)::int > 0",
    "SELECT 1 FROM users WHERE 1 / (extract(year FROM birthdate) - extract(year FROM now()) + 12) > 9",
]


@pytest.mark.parametrize("sql", BLABBING, ids=range(len(BLABBING)))
def test_a_condition_cannot_print_a_childs_row(gateway, sql):
    with gateway.connect(HOME) as connection:
        assert connection.execute(sql).fetchall() == []


# --- the statement on record is the one that ran ---------------------------------------------------

CUT = "n" * 70  # the server looks at 63 bytes of it


def parse(wire, name, sql):
    wire.send("P", cstr(name) + cstr(sql) + struct.pack("!H", 0))


def execute(wire, portal="", limit=0):
    wire.send("E", cstr(portal) + struct.pack("!I", limit))


def prepare(wire, name, sql):
    parse(wire, name, sql)
    return wire.sync()


def query(wire, sql):
    """A simple query that may fail."""
    wire.send("Q", cstr(sql))
    return wire.until_ready()


def run_named(wire, name):
    wire.send_bind(name=name)
    execute(wire)
    return wire.sync()


def twice_the_same_name(wire):
    prepare(wire, "s", "select 'A'")
    prepare(wire, "s", "select 'B'")
    return run_named(wire, "s")


def twice_without_waiting(wire):
    """All in one go: the name is used before anybody can know what became of it."""
    parse(wire, "s", "select 'A'")
    wire.send("S")
    parse(wire, "s", "select 'B'")
    wire.send("S")
    wire.send_bind(name="s")
    execute(wire)
    wire.send("S")
    return wire.until_ready() + wire.until_ready() + wire.until_ready()


def close_behind_an_error_without_waiting(wire):
    parse(wire, "s", "select 'A'")
    wire.send("S")
    wire.send_extended("select 1/0")
    wire.send("C", b"Ss\0")
    parse(wire, "s", "select 'B'")
    wire.send("S")
    wire.send_bind(name="s")
    execute(wire)
    wire.send("S")
    return wire.until_ready() + wire.until_ready() + wire.until_ready()


def unnamed_that_fails_without_waiting(wire):
    parse(wire, "", "select 'A'")
    wire.send("S")
    wire.send_bind(name="nobody")
    parse(wire, "", "select 'B'")
    wire.send("S")
    wire.send_bind()
    execute(wire)
    wire.send("S")
    return wire.until_ready() + wire.until_ready() + wire.until_ready()


def parse_behind_an_error(wire):
    prepare(wire, "s", "select 'A'")
    wire.send_extended("select 1/0")
    wire.send("C", b"Ss\0")
    parse(wire, "s", "select 'B'")
    wire.sync()
    return run_named(wire, "s")


def unnamed_parse_behind_an_error(wire):
    prepare(wire, "", "select 'A'")
    wire.send_bind(name="nobody")
    parse(wire, "", "select 'B'")
    wire.sync()
    return run_named(wire, "")


def deallocate_that_did_not_run(wire):
    prepare(wire, "s", "select 'A'")
    query(wire, "begin; select 1/0; deallocate s")
    query(wire, "rollback")
    prepare(wire, "s", "select 'B'")
    return run_named(wire, "s")


def name_that_the_server_cuts(wire):
    prepare(wire, CUT + "1", "select 'A'")
    prepare(wire, CUT + "2", "select 'B'")
    return run_named(wire, CUT + "2")


def cut_name(wire):
    prepare(wire, CUT, "select 'A'")
    return run_named(wire, CUT[:63])


def simple_query_over_the_unnamed(wire):
    prepare(wire, "", "select 'A'")
    query(wire, "select 'B'")
    return run_named(wire, "")


def portal_behind_an_error(wire):
    query(wire, "begin")
    parse(wire, "a", "select 'A'")
    parse(wire, "b", "select 'B'")
    wire.send_bind(name="a", portal="p")
    wire.sync()
    query(wire, "savepoint q")
    parse(wire, "z", "select nothing_like_it")
    wire.send("C", b"Pp\0")
    wire.send_bind(name="b", portal="p")
    wire.sync()
    query(wire, "rollback to q")
    execute(wire, "p")
    return wire.sync()


def cursor_by_the_protocol(wire):
    query(wire, "begin; declare c cursor for select 'A'; select 'B'")
    execute(wire, "c")
    return wire.sync()


def cursor_in_the_place_of_a_portal(wire, what_ends_it):
    """The portal p of A ends by SQL, then DECLARE gives its name to B."""
    query(wire, "begin; savepoint q")
    parse(wire, "a", "select 'A'")
    wire.send_bind(name="a", portal="p")
    wire.sync()
    query(wire, what_ends_it)
    query(wire, "declare p cursor for select 'B'")
    execute(wire, "p")
    return wire.sync()


def cursor_behind_close(wire):
    return cursor_in_the_place_of_a_portal(wire, "close p")


def cursor_behind_close_all(wire):
    return cursor_in_the_place_of_a_portal(wire, "close all")


def cursor_behind_rollback_to(wire):
    return cursor_in_the_place_of_a_portal(wire, "rollback to q")


def cursor_behind_close_without_waiting(wire):
    query(wire, "begin")
    parse(wire, "a", "select 'A'")
    wire.send_bind(name="a", portal="p")
    wire.send_extended("close p")
    wire.send_extended("declare p cursor for select 'B'")
    execute(wire, "p")
    return wire.sync()


MIXTURES = [twice_the_same_name, twice_without_waiting, close_behind_an_error_without_waiting,
            unnamed_that_fails_without_waiting, parse_behind_an_error,
            unnamed_parse_behind_an_error, deallocate_that_did_not_run, name_that_the_server_cuts,
            cut_name, simple_query_over_the_unnamed, portal_behind_an_error, cursor_by_the_protocol,
            cursor_behind_close, cursor_behind_close_all, cursor_behind_rollback_to,
            cursor_behind_close_without_waiting]


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda m: m.__name__)
def test_the_record_names_the_statement_that_ran(gateway, mixture):
    """Whatever row the last step gets back stands in the SQL of the statement it is booked to; to
    get none, because the statement is not there any more, is as good."""
    with gateway.login(HOME) as wire:
        name = client_name(wire)
        got = [data_row(body)[0].decode() for kind, body in mixture(wire) if kind == "D"]
        wire.terminate()
    if not got:
        return
    closed = wait_until(lambda: gateway.journal(kind="session_close", client=name), "session closed")
    records = gateway.journal(session=closed[-1]["session"])
    result = [r for r in records if r["kind"] == "result" and r.get("rows")][-1]
    booked = next(r for r in records
                  if r["kind"] == "statement" and r["statement"] == result["statement"])
    assert len(got) == 1
    if booked.get("outcome") == "execute":  # a portal that SQL has made: its DECLARE is on record
        assert "sql" not in booked and any(
            f"declare {booked['detail']} cursor for select '{got[0]}'" == r.get("sql")
            for r in records), booked
    else:
        assert f"'{got[0]}'" in booked.get("sql", ""), booked


# --- clear values, other rooms, the key ------------------------------------------------------------

HOSTILE_SQL = """
TABLE app.users
SELECT email FROM app.users
SELECT * FROM ringfence.pseudonym_key
SELECT "key" FROM "ringfence" . "pseudonym_key"
SELECT * FROM U&"\\0061pp".users
SELECT set_config('search_path', 'app', false)
SELECT U&"set\\005fconfig"('search_path', 'app', false)
SELECT pg_catalog."set_config"('default_transaction_read_only', 'off', false)
SELECT query_to_xml('select * from app.users', true, true, '')
SELECT table_to_xml('masked.users', true, true, '')
SELECT * FROM ts_stat('select to_tsvector(email) from app.users')
SELECT pg_read_file('/etc/passwd')
SELECT lo_import('/etc/passwd')
SELECT pg_sequence_last_value(oid::regclass) FROM pg_class WHERE relkind = 'S'
SELECT 'app.users'::regclass
SELECT pg_stat_get_live_tuples(oid) FROM pg_class WHERE relname = 'users'
SELECT pg_stat_get_mod_since_analyze(oid) FROM pg_class WHERE relname = 'users'
SELECT pg_stat_get_ins_since_vacuum(oid) FROM pg_class WHERE relname = 'users'
SELECT pg_stat_get_xact_tuples_returned(oid) FROM pg_class WHERE relname = 'users'
SELECT pg_stat_get_numscans(oid) FROM pg_class WHERE relname = 'users_handle_key'
SELECT pg_stat_get_blocks_hit(oid) FROM pg_class WHERE relname = 'users_handle_key'
SELECT * FROM pg_authid
SELECT * FROM pg_statistic
SELECT * FROM pg_stats
SELECT * FROM pg_stats_ext
SELECT * FROM pg_stat_activity
SELECT * FROM pg_locks
SELECT row_to_json(u) FROM users u
SELECT json_agg(u) FROM users u
SELECT * FROM pg_hba_file_rules
SELECT ctid FROM users
SELECT xmin, tableoid FROM users
SET search_path = app
SET LOCAL role = rf_view
SET SESSION AUTHORIZATION rf_owner
SET standard_conforming_strings = off
SET client_encoding = SJIS
RESET ALL
DISCARD ALL
EXPLAIN (ANALYZE) SELECT * FROM users
COPY (SELECT 1) TO PROGRAM 'id'
COPY (SELECT 1) TO '/tmp/ringfence-attack'
DO $$BEGIN END$$
WITH x AS (DELETE FROM users RETURNING *) SELECT * FROM x
SELECT * FROM users FOR UPDATE
SELECT * INTO x FROM users
PREPARE x AS SELECT 1
DECLARE c CURSOR WITH HOLD FOR SELECT 1
LISTEN x
SELECT pg_notify('x', 'y')
SELECT pg_advisory_lock(1)
SELECT pg_sleep(1)
SELECT pg_terminate_backend(pg_backend_pid())
SELECT 1; TABLE app.users
SELECT $a$;$a$ /* /* */ ; */, E'\\';' ; TABLE app.users
""".strip().splitlines()


@pytest.mark.parametrize("sql", HOSTILE_SQL)
def test_no_statement_leads_out_of_the_room(gateway, sql):
    with gateway.connect(HOME) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(sql).fetchall()
    assert not found_in(str(caught.value))


TELLING_SQL = """
SELECT u, u::text FROM users u
SELECT * FROM users WHERE handle LIKE '%secret%' OR email LIKE 'person%' OR phone LIKE '+1%'
SELECT * FROM pg_db_role_setting
SELECT definition FROM pg_views WHERE schemaname IN ('masked', 'stats')
SELECT ev_action FROM pg_rewrite
EXPLAIN (VERBOSE, FORMAT JSON) SELECT * FROM users JOIN watch_events ON user_id = users.id
SELECT min(id), max(handle), string_agg(email, ','), array_agg(birthdate) FROM users
""".strip().splitlines()


@pytest.mark.parametrize("sql", TELLING_SQL)
def test_what_is_answered_holds_nobody_and_no_key(gateway, pair, sql):
    key = pair.primary.value("SELECT key FROM ringfence.pseudonym_key")
    with gateway.connect(HOME) as connection:
        rows = connection.execute(sql).fetchall()
    assert not found_in(rows)
    assert bytes(key).hex() not in str(rows)


STARTUP = [
    {"search_path": "app"}, {"role": "rf_view"}, {"session_authorization": "postgres"},
    {"ringfence.grant": "1"}, {"client_encoding": "SJIS"}, {"replication": "database"},
    {"options": "-c search_path=app"}, {"options": "--search_path=app"}, {"options": "-crole=rf_view"},
    {"options": "-c application_name=a -c search_path=app"}, {"options": "-d 5"},
    {"DateStyle": "ISO; SET ROLE rf_view"}, {"TimeZone": "UTC'; SET ROLE rf_view; --"},
]


@pytest.mark.parametrize("parameters", STARTUP, ids=lambda p: ",".join(p.values())[:40])
def test_no_startup_parameter_leads_out_of_the_room(gateway, parameters):
    with pytest.raises(ServerError):
        gateway.login(HOME, **parameters).close()


def test_a_space_inside_an_option_stays_inside_its_value(gateway):
    with gateway.login(HOME, options="-c application_name=a\\ -c\\ role=rf_view") as wire:
        assert wire.query("SELECT current_user, current_setting('application_name')") == [
            [b"us_analyst.masked", b"a -c role=rf_view"]]


def test_a_function_call_by_message_is_refused(gateway):
    with gateway.login(HOME) as wire:
        wire.send("F", struct.pack("!IHHH", 2078, 0, 0, 0))
        got = wire.until_ready()
    assert [kind for kind, _ in got if kind in "EV"] == ["E"]


# --- strangers ---------------------------------------------------------------------------------------


def test_half_open_connections_do_not_shut_out_others(new_gateway):
    gateway = new_gateway(config={"workers": 1, "limits": {"clients": 20}})
    silent = [socket.create_connection((gateway.host, gateway.port)) for _ in range(60)]
    for one in silent[::2]:  # half of them stop in the middle of TLS
        one.sendall(struct.pack("!II", 8, SSL_REQUEST))
    try:
        with gateway.connect(HOME) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        for one in silent:
            one.close()


def first_of_scram(wire, user, gs2):
    wire.send_startup({"user": user, "database": "us-virginia"})
    _, body = wire.receive()
    offered = body[4:].rstrip(b"\0").split(b"\0")
    first = gs2 + b"n=,r=abcdefghijklmnopqrstuvwx"
    wire.send("p", cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first)
    kind, body = wire.receive()
    return offered, kind, body


def test_a_man_in_the_middle_cannot_hide_channel_binding(gateway):
    """RFC 5802 §6: a client that could bind and was not offered it says `y`; we did offer it."""
    with gateway.wire() as wire:
        offered, kind, body = first_of_scram(wire, HOME, b"y,,")
        assert b"SCRAM-SHA-256-PLUS" in offered
        assert kind == "E", body


def test_an_unknown_login_looks_like_a_known_one(gateway):
    def looks(user):
        with gateway.wire() as wire:
            offered, kind, body = first_of_scram(wire, user, b"n,,")
            return offered, kind, re.sub(rb"(?<=[rs]=)[^,]*", lambda m: b"#" * len(m[0]), body), body

    known, unknown, again = looks(HOME), looks("nobody_at_all"), looks("nobody_at_all")
    assert known[:3] == unknown[:3]
    salt = re.compile(rb"s=([^,]*)")
    assert salt.search(unknown[3])[1] == salt.search(again[3])[1], "a salt that changes gives it away"


@pytest.mark.parametrize("first", [
    b"PROXY TCP4 127.0.1.1 127.0.1.1 1 2\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\x7f\0\1\1" * 2 + b"\0\1\0\2",
    b"GET / HTTP/1.1\r\n\r\n",
    struct.pack("!II", 8, SSL_REQUEST) * 2,
    struct.pack("!II", 8, SSL_REQUEST) + b"\x16\x03\x01",
    struct.pack("!II", 8, 2 << 16),
    struct.pack("!I", 0xFFFFFFFF) + b"\0" * 16,
    struct.pack("!I", 0) + b"\0" * 16,
], ids=["proxy-1", "proxy-2", "http", "twice", "smuggled", "protocol-2", "huge", "nothing"])
def test_what_is_no_startup_gets_an_error_and_an_end(gateway, first):
    with Wire(gateway.host, gateway.port) as wire:
        wire.send_bytes(first)
        kind, _ = wire.receive()
        assert kind == "E"
        assert wire.closed_by_peer()


def test_nobody_writes_lines_into_the_log(gateway):
    forged = "x\n2026-01-01T00:00:00Z level=error role=ledger event=forged"
    with pytest.raises(ServerError), gateway.wire() as wire:
        wire.login(forged, "x", forged)
    with gateway.login(HOME, application_name=forged):
        pass
    assert not [line for line in gateway.log().splitlines() if line.startswith("2026-01-01T")]


# --- services ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", [
    "SET ROLE app_eu", "SET ROLE rf_view", 'SET ROLE "us_analyst.masked"',
    "SET SESSION AUTHORIZATION app_eu", "SELECT * FROM ringfence.pseudonym_key",
    "CREATE ROLE other", "CREATE TABLE app.mine(a int)", "CREATE SCHEMA mine", "CREATE TEMP TABLE mine(a int)",
    "ALTER TABLE users DROP CONSTRAINT ringfence_residency", "SET session_replication_role = replica",
    "CREATE FUNCTION app.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DO $$BEGIN END$$",
    "COPY users TO PROGRAM 'id'", "SELECT pg_read_file('PG_VERSION')", "SELECT lo_create(0)",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"])
def test_a_service_stays_within_its_rights(gateway, sql):
    with gateway.connect("app_us") as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    assert caught.value.sqlstate == "42501", caught.value


# --- secrets -----------------------------------------------------------------------------------------


def test_nothing_that_was_asked_lies_about_in_clear(gateway):
    """Not in the log, the journal, titles or environments of processes."""
    word = "Planted" + os.urandom(6).hex()
    for actor in (HOME, "app_us"):
        with gateway.login(actor) as wire:
            for sql in (f"SELECT '{word}'", f"SELECT '{word}'::int", f"SELECT * FROM {word}"):
                query(wire, sql)
            wire.send_extended("SELECT $1::int", [word.encode()])
            wire.sync()
            wire.terminate()
    wait_until(lambda: [r for r in gateway.journal(kind="statement") if word in r.get("sql", "")],
               "the statement in the journal")
    assert word not in gateway.log()
    assert word.encode() not in gateway.journal_bytes()
    assert not PLANTED.search(gateway.log())
    for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as title, \
                    open(f"/proc/{pid}/environ", "rb") as environment:
                both = title.read() + environment.read()
        except OSError:
            continue
        if b"ringfenced" in both:
            assert word.encode() not in both
            assert password_of("us_analyst").encode() not in both


@pytest.mark.parametrize("role", ["parser", "control"])
def test_counters_are_out_of_reach_of_who_does_not_count(gateway, role):
    """Whoever takes such a process over could change what services are recorded to have read."""
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in gateway.pids(role)
            for fd in os.listdir(f"/proc/{pid}/fd")]
    assert held and not any("ringfence-meter" in name for name in held)
