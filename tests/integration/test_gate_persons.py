"""Persons who try to have rows recorded under another text, and answers that end halfway."""

import ssl
import struct

import psycopg

from gateway import client_name, password_of
from waiting import wait_until
from wire import ServerError, cstr

PERSON = "us_analyst"


def statement_of_rows(gateway, client):
    """{SQL text: rows recorded under it}"""
    wait_until(lambda: gateway.journal(client=client, kind="session_close"), "no end of the session")
    records = gateway.journal(client=client)
    texts = {r["statement"]: r.get("sql", "") for r in records if r["kind"] == "statement"}
    rows = {}
    for record in records:
        if record["kind"] == "result" and record.get("rows", 0) > 0:
            text = texts[record["statement"]]
            rows[text] = rows.get(text, 0) + record["rows"]
    return rows


def parse(wire, name, sql):
    wire.send("P", cstr(name) + cstr(sql) + b"\0\0")


def run(wire, name=""):
    wire.send_bind((), name)
    wire.send("E", b"\0" * 5)
    wire.send("S")
    return wire.result()


def test_a_failed_parse_does_not_rename_a_statement(gateway):
    many = "select generate_series(1, 40)"
    with gateway.login(PERSON) as wire:
        client = client_name(wire)
        parse(wire, "s", many)
        wire.sync()
        parse(wire, "s", "select 1")
        assert "E" in [kind for kind, _ in wire.sync()]
        assert len(run(wire, "s")) == 40
    assert statement_of_rows(gateway, client) == {many: 40}


def test_what_a_name_means_is_settled_before_it_is_used(gateway):
    """All in one piece: the Bind is sent before the server has refused the second Parse."""
    many = "select generate_series(1, 44)"
    with gateway.login(PERSON) as wire:
        client = client_name(wire)
        parse(wire, "s", many)
        wire.sync()
        packet = b""
        for kind, body in (("P", cstr("s") + cstr("select 1") + b"\0\0"), ("S", b""),
                           ("B", cstr("") + cstr("s") + b"\0" * 6), ("E", b"\0" * 5), ("S", b"")):
            packet += kind.encode() + struct.pack("!I", len(body) + 4) + body
        wire.send_bytes(packet)
        assert "E" in [kind for kind, _ in wire.until_ready()]
        assert len(wire.result()) == 44
    assert statement_of_rows(gateway, client) == {many: 44}


def test_names_count_to_63_bytes(gateway):
    """The server cuts the names, so these are one and the same."""
    many = "select generate_series(1, 45)"
    stem = "n" * 63
    with gateway.login(PERSON) as wire:
        client = client_name(wire)
        parse(wire, stem + "a", "select 1")
        wire.sync()
        wire.send("C", b"S" + cstr(stem + "b"))
        parse(wire, stem + "c", many)
        wire.sync()
        assert len(run(wire, stem + "a")) == 45
    assert statement_of_rows(gateway, client) == {many: 45}


def test_a_skipped_close_does_not_hide_a_statement(gateway):
    many = "select generate_series(1, 41)"
    with gateway.login(PERSON) as wire:
        client = client_name(wire)
        parse(wire, "s", many)
        wire.sync()
        parse(wire, "", "select nothing from nowhere")
        wire.send("C", b"S" + cstr("s"))
        wire.sync()
        assert len(run(wire, "s")) == 41
    assert statement_of_rows(gateway, client) == {many: 41}


def test_the_statement_of_a_simple_query_is_not_taken_for_an_older_one(gateway):
    many = "select generate_series(1, 42)"
    with gateway.login(PERSON) as wire:
        client = client_name(wire)
        parse(wire, "", "select 1")
        wire.sync()
        assert len(wire.query(many)) == 42
        try:
            got = len(run(wire))
        except ServerError:
            got = 0
    assert statement_of_rows(gateway, client) == {many: 42 + got}


def test_rows_of_an_sql_cursor_fetched_by_message(gateway):
    with gateway.login(PERSON) as wire:
        client = client_name(wire)
        wire.query("begin")
        wire.query("declare c cursor for select generate_series(1, 43)")
        assert len(wire.query("select 1")) == 1
        wire.send("E", cstr("c") + struct.pack("!I", 0))
        wire.send("S")
        assert len(wire.result()) == 43
        wire.query("commit")
    rows = statement_of_rows(gateway, client)
    assert rows.pop("select 1") == 1
    assert list(rows.values()) == [43]


def test_portals_end_with_their_transaction(gateway):
    with gateway.login(PERSON) as wire:
        parse(wire, "s", "select 1")
        wire.sync()
        for number in range(450):
            wire.send_bind((), "s", portal=f"p{number}")
            wire.send("E", cstr(f"p{number}") + struct.pack("!I", 0))
            wire.send("S")
            assert len(wire.result()) == 1


def test_statements_that_a_client_deallocates_make_room(gateway):
    with gateway.connect(PERSON) as connection:
        connection.prepare_threshold = 0
        connection.prepared_max = 20
        for number in range(450):
            assert connection.execute(f"select {number}").fetchone() == (number,)


def test_a_client_may_have_many_statements(gateway):
    """The JDBC driver keeps 256."""
    with gateway.login(PERSON) as wire:
        for number in range(300):
            parse(wire, f"s{number}", f"select {number}")
        assert "E" not in [kind for kind, _ in wire.sync()]
        for number in (0, 150, 299):
            assert run(wire, f"s{number}") == [[str(number).encode()]]


def strict_tls(gateway, actor):
    """A client that takes an end without close_notify for an attack, as most libraries do."""
    wire = gateway.wire(tls=False)
    assert wire.ask_tls() == b"S"
    context = ssl.create_default_context(cafile=gateway.ca)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    wire.socket = context.wrap_socket(wire.socket, server_hostname="localhost",
                                      suppress_ragged_eofs=False)
    return wire.login(actor, password_of(actor), "us-virginia")


def test_the_last_words_of_the_server_arrive(gateway, pair):
    with strict_tls(gateway, PERSON) as wire:
        pid = int(wire.query("select pg_backend_pid()")[0][0])
        with psycopg.connect(pair.standby.dsn(), autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(%s)", (pid,))
        kind, body = wire.receive_answer()
        assert kind == "E" and b"57P01" in body
        assert wire.socket.recv(1) == b""


def test_an_error_text_ends_a_tls_session_properly(gateway):
    with strict_tls(gateway, "app_us") as wire:
        wire.send("Y", b"what is this")
        assert wire.receive_answer()[0] == "E"
        assert wire.socket.recv(1) == b""
