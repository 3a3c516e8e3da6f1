"""kill -9, full disks and lost databases: what DESIGN says happens, no hang, no unrecorded row."""

import concurrent.futures
import os
import re
import signal
import subprocess
import threading
import time

import psycopg
import pytest

from gateway import client_name
from waiting import wait_until
from wire import Closed, ServerError, error_fields

pytestmark = pytest.mark.crashes
PERSON, SERVICE = "us_analyst", "app_us"


def enters(gateway, actor):
    try:
        with gateway.connect(actor) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def alive(wire):
    try:
        return wire.query("select 1") == [[b"1"]]
    except (Closed, ServerError, OSError):
        return False


class Load:
    """Clients that ask for rows with values of their own and count what they get, also what they
    got of a statement that broke off."""

    def __init__(self, gateway, actor, count):
        self.gateway, self.actor = gateway, actor
        self.received = {}  # client address -> rows
        self.wrong = []
        self.statements = 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True)
                        for n in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        assert not self.wrong, self.wrong[:5]

    def run(self, number):
        while not self.over.is_set():
            try:
                wire = self.gateway.login(self.actor)
            except (Closed, ServerError, OSError, AssertionError):
                time.sleep(0.05)
                continue
            name = client_name(wire)
            self.received[name] = 0
            try:
                while not self.over.is_set():
                    self.ask(wire, name, f"{number}-{self.statements}")
                    self.statements += 1
            except (Closed, OSError):
                pass
            finally:
                wire.close()

    def ask(self, wire, name, value):
        wire.send("Q", f"select '{value}', n from generate_series(1, 300) n\0".encode())
        while True:
            kind, body = wire.receive()
            if kind == "D":
                self.received[name] += 1
                if value.encode() not in body:
                    self.wrong.append(f"{value}: {body!r}")
            elif kind == "Z":
                return

    def wait_for_statements(self, count):
        target = self.statements + count
        wait_until(lambda: self.statements >= target, "the load does not go on", timeout=60)

    def check_journal(self):
        """Every row that a client got is in the journal under its address, behind its statement."""
        recorded, statements = {}, set()
        for record in self.gateway.journal():
            client, which = record.get("client"), (record.get("session"), record.get("statement"))
            if record.get("kind") == "statement":
                statements.add(which)
            elif record.get("kind") == "result":
                recorded[client] = recorded.get(client, 0) + record.get("rows", 0)
                assert which in statements, f"a result without its statement: {record}"
        assert sum(self.received.values()) > 1000, "too little happened to prove anything"
        for name, rows in self.received.items():
            assert recorded.get(name, 0) >= rows, \
                f"{name} received {rows} rows, the journal knows of {recorded.get(name, 0)}"


# --- our own processes ----------------------------------------------------------------------------


def test_a_killed_worker_takes_its_sessions_and_nothing_else(new_gateway):
    gateway = new_gateway(config={"databases": {"us-virginia": {"pool": {"size": 60}}}})
    with concurrent.futures.ThreadPoolExecutor(10) as pool:  # at once, so that both workers get some
        sessions = list(pool.map(lambda _: gateway.login(SERVICE), range(60)))
    killed = gateway.kill_role("worker")
    wait_until(lambda: len(gateway.pids("worker")) == 2 and killed not in gateway.pids("worker"),
               "no new worker is started")
    left = [wire for wire in sessions if alive(wire)]
    assert 0 < len(left) < 60
    for _ in range(10):
        gateway.login(PERSON).terminate()
    assert all(alive(wire) for wire in left)


def test_worker_killed_under_load(new_gateway):
    gateway = new_gateway()
    with Load(gateway, PERSON, 6) as load:
        for _ in range(4):
            load.wait_for_statements(60)
            gateway.kill_role("worker", 0)
            wait_until(lambda: len(gateway.pids("worker")) == 2, "no new worker")
        load.wait_for_statements(60)
    load.check_journal()


def test_what_was_forwarded_is_recorded_though_the_worker_died_over_it(new_gateway, pair):
    """The worker is gone before the ledger has looked at what it sent, and there is no answer yet."""
    gateway = new_gateway(config={"workers": 1})
    wire = gateway.login(PERSON)
    client = client_name(wire)
    text = f"select count(*) from generate_series(1, 30000000) -- {time.monotonic_ns()}"
    ledger = gateway.pids("ledger")[0]
    gateway.signal(ledger, signal.SIGSTOP)
    wire.send("Q", text.encode() + b"\0")
    wait_until(lambda: pair.standby.value("select count(*) from pg_stat_activity where query like %s",
                                          "%" + text + "%"), "the statement does not run")
    gateway.kill_role("worker")
    gateway.signal(ledger, signal.SIGCONT)
    wait_until(lambda: [r for r in gateway.journal(kind="statement", client=client)
                        if r["sql"] == text], "the statement is not recorded")
    assert gateway.recorded_rows(client) == 0
    wire.close()


def test_a_killed_parser_is_replaced_and_sessions_stay(new_gateway):
    gateway = new_gateway()
    with gateway.connect(PERSON) as connection:
        connection.execute("select 1")
        for _ in range(3):
            killed = gateway.kill_role("parser")
            wait_until(lambda killed=killed: gateway.pids("parser")
                       and killed not in gateway.pids("parser"), "no new parser")
            wait_until(lambda: works(connection), "the session does not get over it")


def works(connection):
    try:
        return connection.execute("select 41 + 1").fetchone() == (42,)
    except psycopg.errors.Error as error:
        assert not isinstance(error, psycopg.OperationalError) or error.sqlstate, "session lost"
        return False


def test_ledger_killed_under_load(new_gateway):
    gateway = new_gateway()
    with Load(gateway, PERSON, 6) as load:
        for _ in range(4):
            load.wait_for_statements(60)
            killed = gateway.kill_role("ledger")
            wait_until(lambda killed=killed: gateway.pids("ledger")
                       and killed not in gateway.pids("ledger"), "no new ledger")
        load.wait_for_statements(60)
    load.check_journal()
    assert gateway.stop() == 0
    assert gateway.command("log", "check").returncode == 0


def test_everything_killed_at_once_under_load(new_gateway):
    gateway = new_gateway()
    load = Load(gateway, PERSON, 6)
    with load:
        load.wait_for_statements(100)
        gateway.kill()
        gateway.start()
        load.wait_for_statements(60)
    load.check_journal()


def test_without_the_ledger_nothing_reaches_persons_and_services_go_on(new_gateway, slow):
    gateway = new_gateway(config={"limits": {"ledger_wait": "3s"}})
    with gateway.login(PERSON) as person, gateway.connect(SERVICE) as service:
        ledger = gateway.pids("ledger")[0]
        person.socket.settimeout(1)
        os.kill(ledger, signal.SIGSTOP)
        try:
            person.send("Q", b"select 'held back' from users\0")
            with pytest.raises(TimeoutError):
                pytest.fail(f"a byte was released: {person.receive()}")
        finally:
            os.kill(ledger, signal.SIGCONT)
        person.socket.settimeout(20 * slow)
        assert len(person.result()) == 190, "it comes as soon as the record is durable"
        os.kill(ledger, signal.SIGSTOP)
        try:
            person.send("Q", b"select 'held back' from users\0")
            with pytest.raises(ServerError) as caught:
                gateway.login(PERSON)
            assert caught.value.sqlstate == "57P03"
            kind, body = person.receive_answer()
            assert kind == "E" and error_fields(body)["C"] == "57P03"
            assert service.execute("select count(*) from users").fetchone() == (200,)
            assert enters(gateway, SERVICE)
        finally:
            os.kill(ledger, signal.SIGCONT)
        wait_until(lambda: enters(gateway, PERSON), "persons are not let in again")


def test_a_failing_sync_stops_persons_with_a_clear_error(new_gateway):
    """journal.sync fails from its twentieth time on: the records until then are safe."""
    gateway = new_gateway(environment={"RF_FAULT": "journal.sync:20+"},
                          config={"limits": {"ledger_wait": "1s"}})
    states = set()
    for _ in range(30):
        try:
            with gateway.login(PERSON) as wire:
                wire.query("select 1")
        except ServerError as error:
            states.add(error.sqlstate)
        except Closed:
            states.add("closed")
    assert "57P03" in states
    assert enters(gateway, SERVICE), "services go on"
    gateway.wait_for_log("(?i)sync")
    gateway.stop()
    gateway.environment = {}
    gateway.start()
    assert enters(gateway, PERSON), "a new start begins anew"
    assert gateway.command("log", "check").returncode == 0


def test_a_conversation_that_the_ledger_ends_begins_again(new_gateway):
    """One worker's record finds no memory; the ledger lives, and so does the worker."""
    gateway = new_gateway(environment={"RF_FAULT": "desk.record:5"},
                          config={"limits": {"ledger_wait": "1s"}})
    before = gateway.pids("worker"), gateway.pids("ledger")
    for _ in range(6):
        enters(gateway, PERSON)
    gateway.wait_for_log("worker-relinked")
    wait_until(lambda: enters(gateway, PERSON), "persons are not let in again")
    assert (gateway.pids("worker"), gateway.pids("ledger")) == before
    assert gateway.command("log", "check").returncode == 0


def test_a_full_disk_stops_persons_with_a_clear_error(new_gateway):
    gateway = new_gateway(start=False, config={"limits": {"ledger_wait": "1s"}})
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs",
                              gateway.path("state")], stderr=subprocess.PIPE, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        gateway.give(gateway.path("state"))
        gateway.start()
        refused = None
        received = 0
        client = None
        for _ in range(3000):
            try:
                with gateway.login(PERSON) as wire:
                    client = client_name(wire)
                    received = 0
                    for _ in range(100):
                        received += len(wire.query(f"select '{'x' * 900}' from users limit 3"))
            except (ServerError, Closed) as error:
                refused = error
                break
        assert refused is not None, "the disk never became full"
        wait_until(lambda: login_error(gateway) == "57P03", "persons are not told why")
        assert enters(gateway, SERVICE), "services go on"
        assert gateway.recorded_rows(client) >= received
    finally:
        gateway.stop()
        subprocess.run(["umount", gateway.path("state")], check=True)


def login_error(gateway):
    try:
        gateway.login(PERSON).close()
        return None
    except ServerError as error:
        return error.sqlstate
    except Closed:
        return "closed"


# --- the database ---------------------------------------------------------------------------------


@pytest.mark.parametrize("which,actor", [("primary", SERVICE), ("standby", PERSON)])
def test_database_killed_under_load(new_gateway, own_pair, which, actor):
    gateway = new_gateway(region=own_pair, config={"limits": {"connect": "2s"}})
    server = getattr(own_pair, which)
    with Load(gateway, actor, 6) as load:
        load.wait_for_statements(60)
        server.kill()
        wait_until(lambda: not enters(gateway, actor), "nobody noticed")
        server.start()
        wait_until(lambda: enters(gateway, actor), "the gateway does not find it again", timeout=30)
        load.wait_for_statements(60)
    if actor == PERSON:
        load.check_journal()


def test_a_session_is_told_that_its_database_went_away(new_gateway, own_pair):
    gateway = new_gateway(region=own_pair)
    with gateway.connect(SERVICE) as connection:
        pid = connection.execute("select pg_backend_pid()").fetchone()[0]
        own_pair.primary.value("SELECT pg_terminate_backend(%s)", pid)
        with pytest.raises(psycopg.OperationalError):
            for _ in range(20):
                connection.execute("select 1")
                time.sleep(0.05)
        assert connection.closed
    assert enters(gateway, SERVICE)


def test_an_unreachable_database_is_one_clear_error(new_gateway):
    gateway = new_gateway(config={"limits": {"connect": "1s", "query_wait": "3s"}, "databases": {
        "us-virginia": {"primary": ["127.0.0.1:1"], "standby": ["127.0.0.1:1"]}}})
    for actor in (SERVICE, PERSON):
        with pytest.raises((ServerError, Closed)) as caught:
            with gateway.login(actor) as wire:
                wire.query("select 1")
        assert caught.type is ServerError
        assert re.fullmatch("08006|08001|57P03", caught.value.sqlstate)


def test_the_next_host_is_taken_when_the_first_does_not_answer(new_gateway, pair):
    gateway = new_gateway(config={"databases": {"us-virginia": {
        "primary": ["127.0.0.1:1", f"127.0.0.1:{pair.standby.port}",
                    f"127.0.0.1:{pair.primary.port}"],
        "standby": ["127.0.0.1:1", f"127.0.0.1:{pair.primary.port}",
                    f"127.0.0.1:{pair.standby.port}"]}}})
    with gateway.connect(SERVICE) as connection:
        assert connection.execute("show transaction_read_only").fetchone() == ("off",)
    with gateway.connect(PERSON) as connection:
        assert connection.execute("show transaction_read_only").fetchone() == ("on",)


def test_the_standby_becomes_the_primary(new_gateway, own_pair):
    hosts = [f"127.0.0.1:{own_pair.primary.port}", f"127.0.0.1:{own_pair.standby.port}"]
    gateway = new_gateway(region=own_pair, config={
        "databases": {"us-virginia": {"primary": hosts, "standby": hosts}},
        "limits": {"connect": "2s"}})
    assert enters(gateway, SERVICE) and enters(gateway, PERSON)
    own_pair.primary.kill()
    own_pair.standby.value("SELECT pg_promote()")
    wait_until(lambda: enters(gateway, SERVICE), "the new primary is not found", timeout=30)
    assert not enters(gateway, PERSON), "without a standby persons are refused"
