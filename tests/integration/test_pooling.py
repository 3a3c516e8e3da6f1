"""Server connections shared by services: sizes, queues, named statements, and no state that leaks."""

import threading
import time

import psycopg
import pytest

from conftest import Gateways
from wire import ServerError, error_fields

SERVICE = "app_us"


def pool(mode, size, workers=1, **limits):
    return {"databases": {"us-virginia": {"pool": {"mode": mode, "size": size}}},
            "workers": workers, "limits": limits}


@pytest.fixture(scope="module")
def shared(scratch, authority, pair, request):
    """Transaction pooling over two server connections, one worker."""
    gateways = Gateways(scratch, authority, request)
    yield gateways(pair, config=pool("transaction", 2))
    gateways.finish()


def backend(connection):
    return connection.execute("select pg_backend_pid()").fetchone()[0]


def test_many_clients_share_few_servers(shared):
    clients = [shared.connect(SERVICE) for _ in range(12)]
    pids = set()
    for _ in range(4):
        for client in clients:
            pids.add(backend(client))
    assert len(pids) <= 2
    for client in clients:
        client.close()


def test_a_transaction_keeps_its_server(shared):
    with shared.connect(SERVICE) as one, shared.connect(SERVICE) as other:
        with one.transaction():
            pid = backend(one)
            for _ in range(20):
                assert backend(other) != pid
                assert backend(one) == pid


@pytest.mark.parametrize("binary", [False, True])
def test_named_statements_work_whatever_server_they_meet(shared, binary):
    clients = [shared.connect(SERVICE) for _ in range(6)]
    for client in clients:
        client.prepare_threshold = 0
    for turn in range(5):
        with clients[turn].transaction():  # keeps one server busy, the others meet the second
            backend(clients[turn])
            for number, client in enumerate(clients):
                if number != turn:
                    got = client.execute("select %s::int + 1, handle from users where id = %s",
                                         (number, number + 1), binary=binary).fetchone()
                    assert got[0] == number + 1
    for client in clients:
        client.close()


def test_the_same_name_means_something_else_to_each_client(shared):
    with shared.login(SERVICE) as one, shared.login(SERVICE) as other:
        for wire, value in ((one, 1), (other, 2)):
            wire.send("P", f"same\0select {value}\0".encode() + b"\0\0")
            wire.sync()
        for _ in range(5):
            for wire, value in ((one, b"1"), (other, b"2")):
                wire.send_bind((), "same")
                wire.send("E", b"\0\0\0\0\0")
                wire.send("S")
                assert wire.result() == [[value]]


def test_a_closed_statement_is_gone(shared):
    with shared.login(SERVICE) as wire:
        wire.send("P", b"gone\0select 1\0\0\0")
        wire.send("C", b"Sgone\0")
        wire.sync()
        wire.send_bind((), "gone")
        wire.send("S")
        with pytest.raises(ServerError) as caught:
            wire.result()
        assert caught.value.sqlstate == "26000"


def test_settings_do_not_pass_from_one_client_to_another(shared):
    with shared.connect(SERVICE) as one, shared.connect(SERVICE) as other:
        one.execute("set application_name = 'mine alone'")
        for _ in range(10):
            assert other.execute("show application_name").fetchone() != ("mine alone",)


def test_startup_parameters_follow_their_client(shared):
    with shared.connect(SERVICE, application_name="one", options="-c datestyle=German") as one, \
            shared.connect(SERVICE, application_name="two") as other:
        for _ in range(5):
            assert one.execute("show application_name").fetchone() == ("one",)
            assert other.execute("show application_name").fetchone() == ("two",)
            assert one.execute("show datestyle").fetchone()[0].startswith("German")
            assert other.execute("show datestyle").fetchone()[0].startswith("ISO")


def test_a_failed_transaction_does_not_reach_the_next_client(shared):
    with shared.connect(SERVICE, autocommit=False) as one:
        with pytest.raises(psycopg.errors.DivisionByZero):
            one.execute("select 1/0")
        one.close()
    for _ in range(4):
        with shared.connect(SERVICE) as next_one:
            assert next_one.execute("select 1").fetchone() == (1,)


def test_a_client_that_dies_in_a_transaction_leaves_no_lock(shared):
    wire = shared.login(SERVICE)
    wire.query("begin; lock table scratch in access exclusive mode")
    wire.close()
    with shared.connect(SERVICE, options="-c statement_timeout=10s") as other:
        other.execute("select count(*) from scratch")


def test_clients_wait_their_turn_and_not_for_ever(new_gateway):
    gateway = new_gateway(config=pool("transaction", 1, query_wait="1s"))
    with gateway.connect(SERVICE) as holder, gateway.login(SERVICE) as waiting:
        with holder.transaction():
            holder.execute("select 1")
            started = time.monotonic()
            waiting.send("Q", b"select 1\0")
            kind, body = waiting.receive_answer()
            assert kind == "E" and error_fields(body)["C"].startswith(("57", "53"))
            assert time.monotonic() - started > 0.7
        assert holder.execute("select 2").fetchone() == (2,)


def test_a_waiting_client_is_served_as_soon_as_a_server_is_free(new_gateway):
    gateway = new_gateway(config=pool("transaction", 1))
    with gateway.connect(SERVICE) as holder, gateway.connect(SERVICE) as waiting:
        answers = []
        with holder.transaction():
            holder.execute("select 1")
            thread = threading.Thread(
                target=lambda: answers.append(waiting.execute("select 7").fetchone()))
            thread.start()
            time.sleep(0.3)
            assert answers == []
        thread.join(10)
        assert answers == [(7,)]


def test_the_queue_has_an_end(new_gateway):
    gateway = new_gateway(config=pool("transaction", 1, waiting=2))
    clients = [gateway.login(SERVICE) for _ in range(4)]
    clients[0].query("begin")
    for client in clients[1:3]:
        client.send("Q", b"select 1\0")
    time.sleep(0.3)
    clients[3].send("Q", b"select 1\0")
    kind, body = clients[3].receive_answer()
    assert kind == "E" and error_fields(body)["C"] == "53300"
    clients[0].query("commit")
    for client in clients[1:3]:
        assert client.result() == [[b"1"]]


def test_persons_never_share_a_server(new_gateway):
    gateway = new_gateway(config=pool("transaction", 1))
    with gateway.connect("us_analyst") as one, gateway.connect("us_analyst") as other:
        assert backend(one) != backend(other)
        assert backend(one) == backend(one)
