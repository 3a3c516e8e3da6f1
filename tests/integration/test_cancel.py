"""Cancel requests: they find their session in whatever worker it lives, and no other."""

import threading
import time

import psycopg
import pytest

from wire import send_cancel

LONG = "select count(*) from watch_events a, watch_events b, watch_events c"


@pytest.mark.parametrize("actor", ["us_analyst", "app_us"])
def test_a_cancel_request_stops_the_statement_in_any_worker(gateway, actor):
    """Each request goes to whichever worker takes the connection: with two workers and ten sessions
    both the near and the far way are gone."""
    for _ in range(10):
        with gateway.connect(actor) as connection:
            timer = threading.Timer(0.2, connection.cancel)
            started = time.monotonic()
            timer.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute(LONG)
            timer.join()
            assert time.monotonic() - started < 10
            assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("actor", ["us_analyst", "app_us"])
def test_a_wrong_key_stops_nothing(gateway, actor):
    with gateway.login(actor) as wire:
        key = bytearray(wire.cancel_key)
        wire.send("Q", f"{LONG} where a.id < 20 and b.id < 200\0".encode())
        for at in range(len(key)):
            wrong = bytearray(key)
            wrong[at] ^= 1
            send_cancel(gateway.host, gateway.port, bytes(wrong))
        assert len(wire.result()) == 1


def test_keys_are_not_to_be_guessed(gateway):
    keys = set()
    for _ in range(20):
        with gateway.login("app_us") as wire:
            keys.add(wire.cancel_key[4:])
    assert len(keys) == 20


def test_a_cancel_inside_tls(gateway):
    with gateway.login("us_analyst") as wire:
        wire.send("Q", LONG.encode() + b"\0")
        time.sleep(0.3)
        send_cancel(gateway.host, gateway.port, wire.cancel_key, ca=gateway.ca)
        with pytest.raises(Exception) as caught:
            wire.result()
        assert caught.value.sqlstate == "57014"


def test_a_cancel_for_an_idle_session_harms_nobody(new_gateway):
    """With transaction pooling the server may meanwhile work for another client."""
    gateway = new_gateway(config={"databases": {"us-virginia": {
        "pool": {"mode": "transaction", "size": 1}}}, "workers": 1})
    with gateway.login("app_us") as idle, gateway.connect("app_us") as busy:
        idle.query("select 1")
        for _ in range(5):
            timer = threading.Timer(
                0.1, send_cancel, (gateway.host, gateway.port, idle.cancel_key))
            timer.start()
            busy.execute("select pg_sleep(0.4)")
            timer.join()
        assert idle.query("select 2") == [[b"2"]]


def test_a_cancel_while_waiting_for_a_server(new_gateway):
    gateway = new_gateway(config={"databases": {"us-virginia": {
        "pool": {"mode": "transaction", "size": 1}}}, "workers": 1})
    with gateway.connect("app_us") as holder, gateway.login("app_us") as waiting:
        with holder.transaction():
            holder.execute("select 1")
            waiting.send("Q", b"select 1\0")
            time.sleep(0.2)
            send_cancel(gateway.host, gateway.port, waiting.cancel_key)
            kind, _ = waiting.receive_answer()
            assert kind == "E"
