"""Transaction pooling where a client's work and its Sync do not come in one piece, and loans that end
at awkward moments."""

import struct
import time

import pytest

from conftest import Gateways
from wire import ServerError, Wire, cstr, error_fields, send_cancel
from gateway import password_of

SERVICE = "app_us"


def pool(mode, size):
    return {"databases": {"us-virginia": {"pool": {"mode": mode, "size": size}}}, "workers": 1}


@pytest.fixture(scope="module")
def shared(scratch, authority, pair, request):
    gateways = Gateways(scratch, authority, request)
    yield gateways(pair, config=pool("transaction", 2))
    gateways.finish()


@pytest.fixture(scope="module")
def single(scratch, authority, pair, request):
    gateways = Gateways(scratch, authority, request)
    yield gateways(pair, config=pool("transaction", 1))
    gateways.finish()


def kinds_until(wire, last):
    got = []
    while not got or got[-1] != last:
        got.append(wire.receive_answer()[0])
    return "".join(got)


def test_a_server_stays_with_its_client_until_the_sync(shared):
    """After a Flush everything is answered, but the implicit transaction is open."""
    with shared.login(SERVICE) as one, shared.login(SERVICE) as other:
        one.send_extended("select pg_backend_pid()")
        one.send("H")
        assert kinds_until(one, "C").endswith("DC")
        pids = {other.query("select pg_backend_pid()")[0][0] for _ in range(5)}
        one.send_extended("select pg_backend_pid()")
        one.send("S")
        assert one.result()[0][0] not in pids


def test_a_large_answer_before_the_sync_keeps_the_server(single):
    """More than the server's output buffer: rows come before the client has said Sync."""
    with single.login(SERVICE) as one, single.login(SERVICE) as other:
        one.send_extended("select lpad('', 1000, 'x') from generate_series(1, 200)")
        assert one.receive_answer()[0] == "1"
        other.send("Q", cstr("select 5"))
        time.sleep(0.3)
        one.send("S")
        assert kinds_until(one, "Z").count("D") == 200
        assert other.result() == [[b"5"]]


def test_copy_in_by_the_extended_protocol(shared):
    """libpq sends its Sync together with the Execute of a COPY; the server reads it as part of the
    copy, so another one follows behind CopyDone."""
    with shared.login(SERVICE) as wire:
        for _ in range(3):
            wire.send_extended("copy scratch (value) from stdin")
            wire.send("S")
            assert kinds_until(wire, "G") in ("12nG", "12G")
            wire.send("d", b"1\n2\n")
            time.sleep(0.1)
            wire.send("d", b"3\n")
            wire.send("c")
            time.sleep(0.1)
            wire.send("S")
            assert kinds_until(wire, "Z") == "CZ"
            assert wire.query("delete from scratch where value in ('1', '2', '3') returning value") \
                == [[b"1"], [b"2"], [b"3"]]


def test_copy_in_by_the_extended_protocol_that_the_client_fails(single):
    with single.login(SERVICE) as wire, single.login(SERVICE) as other:
        wire.send_extended("copy scratch (value) from stdin")
        wire.send("S")
        assert kinds_until(wire, "G") in ("12nG", "12G")
        other.send("Q", cstr("select 5"))
        time.sleep(0.3)
        wire.send("f", cstr("changed my mind"))
        time.sleep(0.2)
        wire.send("S")
        assert kinds_until(wire, "Z") == "EZ"
        assert other.result() == [[b"5"]]
        assert wire.query("select 6") == [[b"6"]]


def test_a_long_pipeline_in_one_piece(shared):
    """What follows a Bind in the same packet says nothing about the length of its names."""
    with shared.login(SERVICE) as wire:
        packet = b""
        for number in range(200):
            for kind, body in (("P", cstr(f"s{number}") + cstr(f"select {number}") + b"\0\0"),
                               ("B", cstr("") + cstr(f"s{number}") + b"\0" * 6),
                               ("E", b"\0" * 5)):
                packet += kind.encode() + struct.pack("!I", len(body) + 4) + body
        wire.send_bytes(packet + b"S\0\0\0\4")
        assert wire.result() == [[str(number).encode()] for number in range(200)]


def test_a_query_behind_an_error_waits_for_the_sync(shared):
    """A server skips everything up to Sync, also simple queries."""
    with shared.login(SERVICE) as wire:
        wire.send_extended("select 1/0")
        wire.send("Q", cstr("select 1"))
        wire.send("S")
        with pytest.raises(ServerError):
            wire.result()
        for number in range(3):
            wire.send("P", cstr("again") + cstr(f"select {number}") + b"\0\0")
            wire.send_bind((), "again")
            wire.send("E", b"\0" * 5)
            wire.send("C", b"S" + cstr("again"))
            wire.send("S")
            assert wire.result() == [[str(number).encode()]]


def test_a_client_that_cancels_and_leaves_harms_nobody(single):
    """The cancel request is on its way when its server connection is thrown away."""
    for _ in range(10):
        with single.login(SERVICE) as wire:
            wire.send("Q", cstr("select pg_sleep(30)"))
            time.sleep(0.05)
            with Wire(single.host, single.port) as cancel:
                cancel.send_bytes(struct.pack("!II", 8 + len(wire.cancel_key), 1234 << 16 | 5678)
                                  + wire.cancel_key)
                wire.close()
                cancel.closed_by_peer()
    with single.connect(SERVICE) as after:
        assert after.execute("select 1").fetchone() == (1,)


def test_keys_of_sessions_are_never_zero(single):
    """Some drivers take a zero for "no key" and never cancel."""
    with single.login(SERVICE) as wire:
        assert struct.unpack("!I", wire.cancel_key[:4])[0] != 0


def test_a_client_that_does_not_wait_for_its_greeting_is_served(single):
    """Everything in one packet behind the last word of the login."""
    with single.login(SERVICE) as first:
        first.query("select 1")
    for actor in (SERVICE, "us_analyst"):
        wire = single.wire()
        send = wire.send

        def send_more(kind, body=b"", wire=wire, send=send):
            if kind == "p" and b",p=" in body:
                packet = b"p" + struct.pack("!I", len(body) + 4) + body
                query = cstr("select 1")
                packet += b"Q" + struct.pack("!I", len(query) + 4) + query
                wire.send_bytes(packet)
            else:
                send(kind, body)

        wire.send = send_more
        wire.login(actor, password_of(actor), "us-virginia")
        assert wire.result() == [[b"1"]]
        wire.close()


def test_a_server_that_ends_a_session_says_so_once(shared, pair):
    """Its own FATAL is the last word; a second one would be about nothing."""
    with shared.login(SERVICE) as wire:
        wire.query("begin")
        pid = int(wire.query("select pg_backend_pid()")[0][0])
        pair.primary.value("SELECT pg_terminate_backend(%s)", pid)
        kind, body = wire.receive_answer()
        assert kind == "E" and error_fields(body)["C"] == "57P01"
        assert wire.closed_by_peer()
