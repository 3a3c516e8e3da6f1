"""Messages in odd orders and forms: the gateway answers as PostgreSQL does, or with one clear error,
and everybody else goes on."""

import struct

import pytest

from gateway import password_of
from wire import Closed, ServerError, Wire, cstr, error_fields

PERSON, SERVICE, DATABASE = "us_analyst", "app_us", "us-virginia"


@pytest.fixture(autouse=True)
def nobody_else_notices(gateway):
    """Whatever a test sends: the processes stay the same, a session that was there stays, a new one
    can begin."""
    before = gateway.processes()
    with gateway.login(PERSON) as neighbour:
        yield
        assert neighbour.query("select 1") == [[b"1"]]
    assert gateway.processes() == before
    gateway.login(SERVICE).terminate()


# --- before a session -----------------------------------------------------------------------------


STARTUPS = {
    "length 0": struct.pack("!I", 0),
    "length 3": struct.pack("!I", 3),
    "length 7": struct.pack("!I", 7) + b"\0\3\0",
    "length 2^31-1": struct.pack("!II", 0x7fffffff, 3 << 16),
    "length 2^32-1": struct.pack("!II", 0xffffffff, 3 << 16),
    "length over the limit": struct.pack("!II", 10001, 3 << 16) + b"x" * 9993,
    "no terminator": struct.pack("!II", 14, 3 << 16) + b"user\0x",
    "name without value": struct.pack("!II", 14, 3 << 16) + b"user\0\0",
    "bytes after the end": struct.pack("!II", 19, 3 << 16) + b"user\0x\0\0abc",
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS garbage": b"\x16\x03\x01\xff\xff" + b"\xff" * 200,
    "cancel with a wrong key": struct.pack("!IIII", 16, 80877102, 1, 2),
    "cancel too short": struct.pack("!II", 8, 80877102),
    "cancel too long": struct.pack("!II", 8 + 300, 80877102) + b"k" * 300,
}


@pytest.mark.parametrize("name", STARTUPS)
def test_a_bad_beginning_ends_in_an_error_or_silence(gateway, name):
    with gateway.wire(tls=False) as wire:
        wire.send_bytes(STARTUPS[name])
        try:
            kind, body = wire.receive()
            assert kind == "E" and error_fields(body)["C"] in ("08P01", "0A000", "28000", "54000")
        except Closed:
            pass
        assert wire.closed_by_peer()


def test_a_connection_that_says_nothing_and_goes(gateway):
    for _ in range(50):
        gateway.wire(tls=False).close()


def test_messages_before_the_password(gateway):
    for message in (b"Q" + struct.pack("!I", 13) + b"select 1\0", b"p\0\0\0\3", b"X\0\0\0\4",
                    b"p" + struct.pack("!I", 0x7fffffff), b"\0" * 64):
        with gateway.wire() as wire:
            wire.send_startup({"user": SERVICE, "database": DATABASE})
            assert wire.receive()[0] == "R"
            wire.send_bytes(message)
            try:
                kind, _ = wire.receive()
                assert kind == "E"
            except Closed:
                pass
            assert wire.closed_by_peer()


@pytest.mark.parametrize("body", [
    b"", b"SCRAM-SHA-256\0", cstr("SCRAM-SHA-256") + struct.pack("!I", 99) + b"n,,n=,r=x",
    cstr("SCRAM-SHA-256") + struct.pack("!i", -1), cstr("PLAIN") + struct.pack("!I", 1) + b"x",
    cstr("SCRAM-SHA-256") + struct.pack("!I", 9) + b"y,,n=,r=x"[:9],
    cstr("SCRAM-SHA-256-PLUS") + struct.pack("!I", 9) + b"n,,n=,r=x"])
def test_malformed_passwords(gateway, body):
    with gateway.wire() as wire:
        wire.send_startup({"user": SERVICE, "database": DATABASE})
        assert wire.receive()[0] == "R"
        wire.send("p", body)
        try:
            kind, answer = wire.receive()
            if kind == "R":  # continued: the proof is wrong then
                wire.send("p", b"c=biws,r=x,p=eA==")
                kind, answer = wire.receive()
            assert kind == "E" and error_fields(answer)["C"] in ("28P01", "08P01", "28000")
        except Closed:
            pass
        assert wire.closed_by_peer()


# --- in a session ---------------------------------------------------------------------------------


BROKEN = {
    "unknown type": b"y\0\0\0\4",
    "type 0": b"\0\0\0\0\4",
    "length 0": b"Q\0\0\0\0",
    "length 3": b"Q\0\0\0\3",
    "length 2^32-1": b"Q\xff\xff\xff\xff",
    "length 2^31-1": b"P\x7f\xff\xff\xff",
    "sync with a body": b"S\0\0\0\5x",
    "describe over its limit": b"D" + struct.pack("!I", 1 << 24),
    "password in the middle": b"p\0\0\0\5\0",
}


@pytest.mark.parametrize("actor", [PERSON, SERVICE])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_ends_the_session(gateway, actor, name):
    with gateway.login(actor) as wire:
        wire.send_bytes(BROKEN[name])
        kind, body = wire.receive_answer()
        assert kind == "E" and error_fields(body)["C"] in ("08P01", "54000")
        assert wire.closed_by_peer()


MALFORMED = {
    "query without end": ("Q", b"select 1"),
    "query with a NUL inside": ("Q", b"select 1\0select 2\0"),
    "parse without count": ("P", b"\0select 1\0"),
    "parse with a lying count": ("P", b"\0select 1\0" + struct.pack("!H", 60000)),
    "bind cut short": ("B", b"\0\0\0\0\0\5"),
    "bind with a negative length": ("B", b"\0\0" + struct.pack("!HHiH", 0, 1, -7, 0)),
    "describe of nothing": ("D", b"Qx\0"),
    "execute without end": ("E", b"portal"),
    "close of nothing": ("C", b"Zx\0"),
}


@pytest.mark.parametrize("actor", [PERSON, SERVICE])
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_message_gets_an_error(gateway, actor, name):
    with gateway.login(actor) as wire:
        wire.send(*MALFORMED[name])
        wire.send("S")
        try:
            kind, body = wire.receive_answer()
            assert kind == "E" and error_fields(body)["C"] in ("08P01", "26000", "34000", "42601")
        except Closed:
            pytest.fail("no error was sent")


@pytest.mark.parametrize("actor", [PERSON, SERVICE])
def test_a_message_cut_off_by_a_dying_client(gateway, actor):
    for cut in range(1, 14):
        wire = gateway.login(actor)
        wire.send_bytes((b"Q" + struct.pack("!I", 13) + b"select 1\0")[:cut])
        wire.close()


def test_an_error_skips_to_the_next_sync(gateway):
    for actor in (PERSON, SERVICE):
        with gateway.login(actor) as wire:
            wire.send_extended("select 1/0")
            wire.send_extended("select 2")
            kinds = [kind for kind, _ in wire.sync()]
            assert kinds.count("E") == 1 and "C" not in kinds and kinds[-1] == "Z"
            wire.send_extended("select 3")
            assert [kind for kind, _ in wire.sync()] == ["1", "2", "T", "D", "C", "Z"]


# --- the same bytes as PostgreSQL itself ----------------------------------------------------------


def simple(text):
    return lambda wire: wire.send("Q", cstr(text))


def steps(*calls):
    def play(wire):
        for call in calls:
            call(wire)
    return play


def parse(sql, name=""):
    return lambda wire: wire.send("P", cstr(name) + cstr(sql) + b"\0\0")


def bind(*values, name="", portal="", formats=()):
    return lambda wire: wire.send_bind(values, name, portal, formats)


def message(kind, body=b""):
    return lambda wire: wire.send(kind, body)


def execute(portal="", limit=0):
    return message("E", cstr(portal) + struct.pack("!I", limit))


SYNC = message("S")
NUMBERS = "select * from (values (1,'a'),(2,'b'),(3,null)) v(n,t)"

# Each is played to PostgreSQL directly and through the gateway; the answers must be equal, message
# by message, byte by byte.
CONVERSATIONS = {
    "one row": simple("select 1 as one, null as nothing, 'é' as text"),
    "several statements": simple("select 1; select 2, 3; select 4"),
    "no rows": simple("select 1 where false"),
    "nothing": simple(""),
    "an error": simple("select 1/0"),
    "an error after a result": simple("select 1; select 1/0; select 2"),
    "a transaction": steps(simple("begin"), simple("select 1"), simple("commit")),
    "a failed transaction": steps(simple("begin"), simple("select 1/0"), simple("select 1"),
                                  simple("rollback")),
    "a block that ends itself": simple("begin; select 1; commit; select 2"),
    "extended": steps(parse(NUMBERS), bind(), message("D", b"P\0"), execute(), SYNC),
    "extended with a parameter": steps(parse("select $1::int + 1"), bind(b"41"),
                                       message("D", b"P\0"), execute(), SYNC),
    "binary": steps(parse("select 258::int4, 'x'::text"), bind(formats=(1,)), execute(), SYNC),
    "a named statement": steps(parse("select $1::text", "s"), message("D", b"Ss\0"), SYNC,
                               bind(b"a", name="s"), execute(), SYNC,
                               bind(b"b", name="s"), execute(), message("C", b"Ss\0"), SYNC),
    "a portal in pieces": steps(simple("begin"), parse(NUMBERS), bind(portal="p"),
                                execute("p", 2), SYNC, execute("p", 2), SYNC, execute("p"),
                                message("C", b"Pp\0"), SYNC, simple("commit")),
    "flush": steps(parse("select 1"), message("H"), bind(), message("H"), execute(), SYNC),
    "describe without execute": steps(parse("select 1 as a, 2::text as b"), message("D", b"S\0"), SYNC),
    "a pipeline": steps(*[step for i in range(10) for step in
                          (parse(f"select {i}"), bind(), execute())], SYNC),
    "a pipeline with syncs": steps(*[step for i in range(10) for step in
                                     (parse(f"select {i}"), bind(), execute(), SYNC)]),
    "a pipeline with an error": steps(parse("select 1"), bind(), execute(), parse("select 1/0"),
                                      bind(), execute(), parse("select 3"), bind(), execute(), SYNC,
                                      parse("select 4"), bind(), execute(), SYNC),
    "an unknown statement": steps(bind(name="missing"), execute(), SYNC),
    "an unknown portal": steps(execute("missing"), SYNC),
    "syncs alone": steps(SYNC, SYNC, SYNC),
    "a statement twice": steps(parse("select 1", "t"), parse("select 2", "t"), SYNC,
                               message("C", b"St\0"), SYNC),
    "too few parameters": steps(parse("select $1::int, $2::int"), bind(b"1"), execute(), SYNC),
    "copy out": simple("copy (select * from (values (1,'a'),(2,null)) v) to stdout"),
    "simple after extended": steps(parse("select 1"), bind(), execute(), SYNC, simple("select 2")),
    "a syntax error": simple("select 1 frm"),
    "a syntax error, extended": steps(parse("select 1 frm"), bind(), execute(), SYNC),
    "a cursor": steps(simple("begin"), simple(f"declare c cursor for {NUMBERS}"),
                      simple("fetch 2 from c"), simple("fetch all from c"), simple("close c"),
                      simple("commit")),
    "null and empty": simple("select null::text, ''"),
    "show": simple("show standard_conforming_strings"),
}
SERVICE_CONVERSATIONS = {
    "copy in": steps(simple("begin; create temp table if not exists t_copy(n int)"),
                     simple("rollback")),
    "copy in that fails": steps(simple("copy scratch(id) from stdin"), message("d", b"x\n"),
                                message("c"), simple("select 1")),
    "copy done without copy": steps(message("c"), message("d", b"x"), simple("select 1")),
    "prepare in SQL": steps(simple("prepare q as select 1"), simple("execute q"),
                            simple("deallocate q")),
    "a notice and a warning": simple("drop table if exists not_there; select 1; rollback"),
}


def play(wire, conversation, marks):
    """All answers up to the one that a last statement of ours gives."""
    conversation(wire)
    wire.send("Q", cstr(f"select '{marks}'"))
    got = []
    while True:
        kind, body = wire.receive()
        got.append((kind, strip(kind, body)))
        if kind == "D" and marks.encode() in body:
            wire.receive()
            wire.receive()
            return got


def strip(kind, body):
    """Without what depends on the build of the server: file, line and routine of an error."""
    if kind in "EN":
        return {k: v for k, v in error_fields(body).items() if k not in "FLR"}
    return body


@pytest.mark.parametrize("actor,name", [(PERSON, n) for n in CONVERSATIONS]
                         + [(SERVICE, n) for n in {**CONVERSATIONS, **SERVICE_CONVERSATIONS}])
def test_a_conversation_is_that_of_postgresql(gateway, pair, actor, name):
    conversation = {**CONVERSATIONS, **SERVICE_CONVERSATIONS}[name]
    server, role = (pair.standby, f"{PERSON}.masked") if actor == PERSON else (pair.primary, SERVICE)
    with Wire(f"{server.sockets}/.s.PGSQL.{server.port}") as direct:
        direct.login(role, "", "app", client_encoding="UTF8")
        expected = play(direct, conversation, "the end")
    with gateway.login(actor, client_encoding="UTF8") as wire:
        assert play(wire, conversation, "the end") == expected


def test_what_a_failed_login_leaves_is_nothing(gateway):
    for _ in range(30):
        with gateway.wire() as wire:
            with pytest.raises(ServerError):
                wire.login(SERVICE, "wrong", DATABASE)
    assert password_of(SERVICE) not in gateway.log()
