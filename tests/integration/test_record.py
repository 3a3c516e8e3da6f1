"""The journal: every statement, row and refusal of a person is in it, and nothing personal in clear."""

import hashlib
import json
import os
import subprocess
import time

import psycopg
import pytest

from conftest import ROOT
from gateway import client_name, password_of
from waiting import wait_until
from wire import Closed, ServerError, send_cancel

PERSON, DATABASE = "us_analyst", "us-virginia"


def records_of(gateway, client, **wanted):
    return gateway.journal(client=client, **wanted)


def test_a_session_is_written_down_from_beginning_to_end(gateway):
    with gateway.connect(PERSON) as connection:
        client = client_name(connection)
        connection.execute("select handle from users limit 3").fetchall()
    wait_until(lambda: records_of(gateway, client, kind="session_close"), "no end of the session")
    records = records_of(gateway, client)
    kinds = [record["kind"] for record in records]
    assert kinds[0] == "session_open" and kinds[-1] == "session_close"
    statement = next(r for r in records if r["kind"] == "statement" and "handle" in r["sql"])
    assert (statement["actor"], statement["place"], statement["region"], statement["room"],
            statement["entity"]) == (PERSON, "US", DATABASE, "masked", "clipstream-us")
    assert statement["statement_kind"] == "SelectStmt"
    assert statement["relations"].split(".")[-1] == "users"
    assert len(statement["fingerprint"]) == 16
    results = [r for r in records if r["kind"] == "result"
               and r.get("statement") == statement["statement"]]
    assert sum(r.get("rows", 0) for r in results) == 3
    assert results[-1]["outcome"] == "SELECT 3"
    assert len({r["session"] for r in records}) == 1


def test_equal_statements_have_equal_fingerprints(gateway):
    with gateway.connect(PERSON) as connection:
        client = client_name(connection)
        for number in (1, 2):
            connection.execute(f"select count(*) from users where residency = '{number}'")
        connection.execute("select count(*) from videos")
    prints = [r["fingerprint"] for r in records_of(gateway, client, kind="statement")]
    assert prints[0] == prints[1] != prints[2]


def simple(connection, gateway):
    with gateway.login(PERSON) as wire:
        return client_name(wire), len(wire.query("select * from users; select 1"))


def extended(connection, gateway):
    return client_name(connection), len(connection.execute(
        "select * from users limit %s", (33,)).fetchall())


def prepared(connection, gateway):
    return client_name(connection), sum(len(connection.execute(
        "select * from users limit %s", (n,), prepare=True).fetchall()) for n in (1, 5, 9))


def pipeline(connection, gateway):
    with connection.pipeline():
        cursors = [connection.execute("select * from users limit %s", (n,)) for n in range(10)]
        return client_name(connection), sum(len(c.fetchall()) for c in cursors)


def cursor(connection, gateway):
    with connection.transaction():
        connection.execute("declare c cursor for select * from users")
        got = sum(len(connection.execute("fetch 30 from c").fetchall()) for _ in range(7))
    return client_name(connection), got


def portal(connection, gateway):
    with gateway.login(PERSON) as wire:
        rows = len(wire.query("begin"))
        wire.send_extended("select * from users", limit=50)
        for _ in range(3):
            wire.send("E", b"\0\0\0\0\x32")
        wire.send("S")
        rows += len(wire.result())
        return client_name(wire), rows


def copied(connection, gateway):
    with connection.cursor().copy("copy (select * from users) to stdout") as copy:
        return client_name(connection), len(list(copy.rows()))


def broken_off(connection, gateway):
    with gateway.login(PERSON) as wire:
        wire.send("Q", b"select 100/(100-n) from generate_series(1,200) n\0")
        return client_name(wire), len([k for k, _ in wire.until_ready() if k == "D"])


WAYS = [simple, extended, prepared, pipeline, cursor, portal, copied, broken_off]


@pytest.mark.parametrize("way", WAYS, ids=[w.__name__ for w in WAYS])
def test_every_row_is_counted(gateway, way):
    with gateway.connect(PERSON) as connection:
        client, received = way(connection, gateway)
    assert received > 0
    assert gateway.recorded_rows(client) == received


def test_rows_of_a_cancelled_statement_are_counted(gateway):
    with gateway.login(PERSON) as wire:
        wire.send("Q", b"select lpad('', 500, 'c') from generate_series(1, 3000000)\0")
        received = 0
        cancelled = False
        while True:
            kind, _ = wire.receive()
            received += kind == "D"
            if received == 1000 and not cancelled:
                cancelled = True
                send_cancel(gateway.host, gateway.port, wire.cancel_key)
            if kind == "Z":
                break
        assert received < 3_000_000
        assert gateway.recorded_rows(client_name(wire)) >= received


def test_rows_to_a_client_that_vanishes_are_counted(gateway):
    wire = gateway.login(PERSON)
    client = client_name(wire)
    wire.send("Q", b"select lpad('', 500, 'v') from generate_series(1, 3000000)\0")
    received = 0
    while received < 2000:
        received += wire.receive()[0] == "D"
    wire.close()
    wait_until(lambda: records_of(gateway, client, kind="session_close"), "no end of the session")
    assert gateway.recorded_rows(client) >= received


@pytest.mark.parametrize("name,attempt", {
    "wrong password": lambda g: g.wire().login(PERSON, "wrong", DATABASE),
    "unknown user": lambda g: g.wire().login("us_nobody", "wrong", DATABASE),
    "unknown database": lambda g: g.login(PERSON, database="nowhere"),
    "suspended": lambda g: g.login("us_suspended"),
    "another place": lambda g: g.login("app_us", host="127.0.8.1"),
}.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_refused_logins_are_written_down(gateway, name, attempt):
    before = len(gateway.journal(kind="denial"))
    with pytest.raises((ServerError, Closed)):
        attempt(gateway)
    wait_until(lambda: len(gateway.journal(kind="denial")) == before + 1, f"no denial for {name}")
    denial = gateway.journal(kind="denial")[-1]
    assert denial["rule"] and denial["client"].startswith("127.0.0.1 port ")


def test_refused_statements_are_written_down(gateway):
    with gateway.connect(PERSON) as connection:
        client = client_name(connection)
        with pytest.raises(psycopg.Error):
            connection.execute("notify covert, 'word'")
        with pytest.raises(psycopg.Error):
            connection.execute("set log_statement = 'all'")
    assert len(records_of(gateway, client, kind="denial")) == 2


def test_nothing_personal_is_in_the_journal_in_clear(gateway):
    with gateway.connect(PERSON, application_name="planted-application") as connection:
        client = client_name(connection)
        connection.execute("select 'planted-literal', count(*) from users where handle = %s",
                           ("planted-parameter",))
    with pytest.raises(ServerError):
        gateway.wire().login("planted-user", "planted-password", DATABASE)
    wait_until(lambda: gateway.journal(actor="planted-user"), "the denial is not there")
    on_disk = gateway.journal_bytes()
    assert len(on_disk) > 1000
    for planted in ("planted", PERSON, client, "select", "clear", "127.0.0.1", "masked."):
        assert planted.encode() not in on_disk, planted


def test_open_parts_have_numbers_without_opening_anything(gateway):
    with gateway.connect(PERSON) as connection:
        connection.execute("select * from users limit 100").fetchall()
    lines = gateway.command("log", "show", "--json", "--sealed").stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    assert all(entry["private"] is None for entry in entries)
    assert sum(entry["public"].get("rows", 0) for entry in entries) > 0


def test_the_journal_holds_together(gateway):
    done = gateway.command("log", "check", "--json")
    assert done.returncode == 0, done.stderr


def test_a_statement_without_rows_is_there_too(gateway):
    with gateway.connect(PERSON) as connection:
        client = client_name(connection)
        connection.execute("set datestyle = 'ISO, MDY'")
        connection.execute("select 1 where false").fetchall()
    assert len(records_of(gateway, client, kind="statement")) == 2


def writes_of(pid):
    """How often a process has written to a file: the ledger does once a commit, just before its sync."""
    with open(f"/proc/{pid}/io", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("syscw:"))


def test_a_query_costs_one_sync(gateway):
    """Its statement's record waits for that of its rows. The least of some rounds: a roll-up, another
    session or a pause of 5 ms on a busy machine each cost one more."""
    ledger, rounds, queries = gateway.pids("ledger")[0], [], 20
    with gateway.login(PERSON) as wire:
        client = client_name(wire)
        for _ in range(10):
            before = writes_of(ledger)
            for _ in range(queries):
                assert wire.query("select 1") == [[b"1"]]
            rounds.append(writes_of(ledger) - before)
    assert queries <= min(rounds) < queries * 1.25, rounds
    kinds = [r["kind"] for r in records_of(gateway, client)]
    assert kinds.count("statement") == kinds.count("result") == 10 * queries


def test_an_answer_of_bare_words_does_not_wait_for_another_record(gateway):
    """ParseComplete has no record of its own: the statement's is made durable for it, and not only when
    the ledger has waited 5 ms for something to go with it. A query has one sync, too, on the same disk."""
    prepared, queried = [], []
    with gateway.login(PERSON) as wire:
        for number in range(60):
            start = time.perf_counter()
            wire.send("P", b"p%d\0select %d\0\0\0" % (number, number))
            assert [kind for kind, _ in wire.sync()] == ["1", "Z"]
            middle = time.perf_counter()
            wire.query("select 1")
            prepared.append(middle - start)
            queried.append(time.perf_counter() - middle)
    assert sorted(prepared)[20] < sorted(queried)[20] + 0.003


def test_the_start_says_what_runs(gateway):
    start = gateway.journal(kind="start")[-1]
    with open(gateway.program("ringfenced"), "rb") as binary:
        assert f"binary={hashlib.sha256(binary.read()).hexdigest()}" in start["detail"]
    with open(gateway.path("policy.yaml"), "rb") as policy:
        assert f"policy={hashlib.sha256(policy.read()).hexdigest()}" in start["detail"]


def test_password_is_no_record(gateway):
    assert password_of(PERSON).encode() not in gateway.journal_bytes()
    assert password_of(PERSON) not in gateway.command("log", "show", "--json").stdout


READER = os.path.join(ROOT, "tests", "vectors", "journal-reader.py")


def test_a_second_reader_made_from_the_page_alone_agrees(gateway):
    """docs/formats/journal.md is enough: another program reads the same journal, byte for byte."""
    with gateway.connect(PERSON) as connection:
        connection.execute("select 'é', count(*) from users").fetchall()
    ours = gateway.command("log", "show", "--json").stdout.splitlines()
    theirs = subprocess.run(["/usr/bin/python3", READER, "check", gateway.path("state")],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert theirs.returncode == 0, theirs.stderr
    assert theirs.stdout.splitlines()[:len(ours)] == ours and len(ours) > 3


def test_the_vectors_are_those_of_the_page():
    made = subprocess.run(["/usr/bin/python3", READER, "vectors"], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    with open(os.path.join(ROOT, "tests", "vectors", "journal-v1.txt"), encoding="ascii") as kept:
        assert made == kept.read()
