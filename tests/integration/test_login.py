"""The way in: TLS, passwords, certificates, versions, limits, and what a stranger learns."""

import os
import pty
import ssl
import struct
import subprocess
import termios
import time

import psycopg
import pytest

from certificates import Authority
from gateway import password_of
from waiting import wait_until
from wire import (GSS_REQUEST, PROTOCOL_3_2, SSL_REQUEST, Closed, ServerError, Wire, cstr,
                  error_fields)

PERSON, SERVICE, DATABASE = "us_analyst", "app_us", "us-virginia"


def refusal(gateway, user, password="wrong", database=DATABASE, **parameters):
    """The error that a login ends in."""
    with gateway.wire() as wire:
        with pytest.raises(ServerError) as caught:
            wire.login(user, password, database, **parameters)
        assert wire.closed_by_peer()
        return caught.value


def enters(gateway, actor, **options):
    try:
        gateway.connect(actor, **options).close()
        return True
    except psycopg.OperationalError:
        return False


# --- passwords ------------------------------------------------------------------------------------


def test_wrong_password_and_unknown_user_look_the_same(gateway):
    known = refusal(gateway, PERSON)
    unknown = refusal(gateway, "us_nobody")
    assert known.sqlstate == unknown.sqlstate == "28P01"
    assert known.message == f'password authentication failed for user "{PERSON}"'
    assert unknown.message == 'password authentication failed for user "us_nobody"'
    assert set(known.fields) == set(unknown.fields)


def test_an_unknown_user_is_shown_a_salt_that_stays(gateway):
    def first_answer(user):
        with gateway.wire() as wire:
            wire.send_startup({"user": user, "database": DATABASE})
            assert wire.receive()[0] == "R"
            first = b"n,,n=,r=clientnonce"
            wire.send("p", cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first)
            fields = dict(part.split("=", 1) for part in wire.expect_sasl(11).split(","))
            return fields["s"], fields["i"]

    assert first_answer("us_nobody") == first_answer("us_nobody")
    assert first_answer("us_nobody") != first_answer("us_someone")
    assert len(first_answer("us_nobody")[0]) == len(first_answer(PERSON)[0])
    assert first_answer("us_nobody")[1] == first_answer(PERSON)[1]


def test_an_unknown_database_is_told_only_after_the_password(gateway):
    assert refusal(gateway, PERSON, "wrong", "nowhere").sqlstate == "28P01"
    error = refusal(gateway, PERSON, password_of(PERSON), "nowhere")
    assert error.sqlstate == "3D000" and "database" in error.message


def test_a_suspended_person_is_refused(gateway):
    assert refusal(gateway, "us_suspended", password_of("us_suspended")).sqlstate == "28000"


def test_too_many_wrong_passwords_close_the_door_for_that_address_only(new_gateway):
    gateway = new_gateway(config={"limits": {"login_failures": 3}, "workers": 1})
    for _ in range(3):
        assert refusal(gateway, PERSON).sqlstate == "28P01"
    refused = refusal(gateway, PERSON, password_of(PERSON))
    assert refused.sqlstate != "28P01"
    with Wire(gateway.host, gateway.port, source="127.0.0.77") as elsewhere:
        elsewhere.begin_tls(ca=gateway.ca).login(PERSON, password_of(PERSON), DATABASE)


@pytest.mark.parametrize("value", ["database", "true", "on", "1"])
def test_replication_connections_are_refused(gateway, value):
    error = refusal(gateway, SERVICE, password_of(SERVICE), replication=value)
    assert error.sqlstate in ("0A000", "28000")
    assert "replication" in error.message


@pytest.mark.parametrize("parameters", [
    {"database": DATABASE}, {"user": "", "database": DATABASE}, {"user": "x" * 200},
    {"user": 'a"b\'; --', "database": DATABASE}])
def test_odd_users_get_an_error_and_no_more(gateway, parameters):
    with gateway.wire() as wire:
        wire.send_startup(parameters)
        try:
            kind, body = wire.receive()
            if kind == "R":  # an unknown user like any other
                with pytest.raises(ServerError):
                    wire.scram("x", body[4:])
            else:
                assert kind == "E" and error_fields(body)["C"] in ("28000", "08P01", "28P01")
        finally:
            assert wire.closed_by_peer()


# --- TLS ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(gateway, version):
    with gateway.wire(version=version) as wire:
        wire.login(PERSON, password_of(PERSON), DATABASE)
        assert wire.socket.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2",
                                         ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


def test_direct_tls_needs_its_protocol_name(gateway):
    with gateway.wire(tls=False) as wire:
        wire.start_tls(ca=gateway.ca, alpn=["postgresql"])
        assert wire.socket.selected_alpn_protocol() == "postgresql"
        wire.login(PERSON, password_of(PERSON), DATABASE)
    for alpn in (None, ["http/1.1"]):
        with gateway.wire(tls=False) as wire:
            with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
                wire.start_tls(ca=gateway.ca, alpn=alpn)
                wire.login(PERSON, password_of(PERSON), DATABASE)


def test_where_tls_is_required_nothing_goes_without(new_gateway):
    gateway = new_gateway(start=False)
    for listener in gateway.config["listen"]:
        if "address" in listener:
            listener["tls"] = "required"
    gateway.write_config()
    gateway.start()
    with gateway.wire(tls=False) as wire:
        with pytest.raises(ServerError) as caught:
            wire.login(PERSON, password_of(PERSON), DATABASE)
        assert caught.value.sqlstate == "28000" and "TLS" in caught.value.message.upper()
    gateway.login(PERSON).terminate()


def test_channel_binding(gateway):
    """SCRAM-SHA-256-PLUS, checked by libpq on both sides."""
    with gateway.connect(PERSON, channel_binding="require") as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_bytes_smuggled_in_before_tls_are_not_believed(gateway):
    """CVE-2021-23214: what arrives in clear behind SSLRequest must not count as inside TLS."""
    with gateway.wire(tls=False) as wire:
        startup = struct.pack("!I", 3 << 16) + cstr("user") + cstr(PERSON) + b"\0"
        wire.send_bytes(struct.pack("!II", 8, SSL_REQUEST)
                        + struct.pack("!I", len(startup) + 4) + startup)
        with pytest.raises((ssl.SSLError, Closed, ConnectionError, AssertionError)):
            assert wire.read_bytes(1) == b"S"
            wire.start_tls(ca=gateway.ca)
            wire.receive()


def test_gss_encryption_is_declined_and_the_session_goes_on(gateway):
    with gateway.wire(tls=False) as wire:
        wire.send_bytes(struct.pack("!II", 8, GSS_REQUEST))
        assert wire.read_bytes(1) == b"N"
        wire.begin_tls(ca=gateway.ca).login(PERSON, password_of(PERSON), DATABASE)


@pytest.mark.parametrize("actor", [PERSON, SERVICE])
def test_a_client_certificate_is_enough(gateway, authority, actor):
    certificate, key = authority.issue(actor, file=f"client-{actor}")
    with gateway.connect(actor, password=None, sslcert=certificate, sslkey=key) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_certificate_is_good_for_its_own_actor_only(gateway, authority):
    certificate, key = authority.issue(PERSON, file="client-other")
    with pytest.raises(psycopg.OperationalError):
        gateway.connect("us_privacy_officer", password=None, sslcert=certificate, sslkey=key,
                        passfile="/nonexistent")


def test_a_certificate_of_another_authority_is_worth_nothing(gateway, scratch):
    stranger = Authority(os.path.join(scratch, "stranger"), "stranger")
    certificate, key = stranger.issue(PERSON)
    with pytest.raises(psycopg.OperationalError):
        gateway.connect(PERSON, password=None, sslcert=certificate, sslkey=key,
                        passfile="/nonexistent")


# --- versions of the protocol ---------------------------------------------------------------------


def test_protocol_3_2_has_a_long_cancel_key_or_is_negotiated_down(gateway):
    with gateway.wire() as wire:
        wire.login(PERSON, password_of(PERSON), DATABASE, protocol=PROTOCOL_3_2)
        assert wire.query("select 1") == [[b"1"]]
        if wire.negotiated is None:
            assert 4 < len(wire.cancel_key) - 4 <= 256
        else:
            assert len(wire.cancel_key) == 8


def test_a_later_version_and_unknown_options_are_negotiated(gateway):
    with gateway.wire() as wire:
        wire.login(PERSON, password_of(PERSON), DATABASE, protocol=(3 << 16) | 999,
                   **{"_pq_.strange": "1"})
        version, count = struct.unpack("!II", wire.negotiated[:8])
        assert version in (3 << 16, PROTOCOL_3_2) and count == 1
        assert wire.negotiated[8:] == b"_pq_.strange\0"
        assert wire.query("select 1") == [[b"1"]]


@pytest.mark.parametrize("protocol", [2 << 16, 4 << 16, 1])
def test_other_protocols_are_refused(gateway, protocol):
    with gateway.wire() as wire:
        wire.send_startup({"user": PERSON, "database": DATABASE}, protocol)
        kind, body = wire.receive()
        assert kind == "E" and error_fields(body)["C"] in ("0A000", "08P01")
        assert wire.closed_by_peer()


# --- limits ---------------------------------------------------------------------------------------


def test_a_login_has_its_time(new_gateway, slow):
    gateway = new_gateway(config={"limits": {"login": "1s"}})
    quiet, slowly, inside = gateway.wire(tls=False), gateway.wire(tls=False), gateway.wire()
    started = time.monotonic()
    inside.send_startup({"user": PERSON, "database": DATABASE})
    slowly.send_bytes(b"\0\0\0")
    for wire in (quiet, slowly, inside):
        assert wire.closed_by_peer()
    assert 0.5 < time.monotonic() - started < 6 * slow


def test_an_idle_session_has_its_time(new_gateway):
    gateway = new_gateway(config={"limits": {"idle": "1s"}})
    for actor in (PERSON, SERVICE):
        with gateway.login(actor) as wire:
            kind, body = wire.receive_answer()
            assert kind == "E" and error_fields(body)["C"] == "57P05"
            assert wire.closed_by_peer()


def test_clients_are_limited(new_gateway):
    gateway = new_gateway(config={"limits": {"clients": 3}, "workers": 1})
    held = [gateway.login(SERVICE) for _ in range(3)]
    with gateway.wire(tls=False) as wire:
        try:
            wire.send_startup({"user": SERVICE, "database": DATABASE})
            kind, body = wire.receive()
            assert kind == "E" and error_fields(body)["C"] == "53300"
        except Closed:
            pytest.fail("the refused client was told nothing")
    held.pop().terminate()

    def enters():
        try:
            gateway.login(SERVICE).terminate()
            return True
        except (ServerError, Closed, AssertionError):
            return False
    wait_until(enters, "a place that became free is not given again")
    assert held[0].query("select 1") == [[b"1"]]


def test_a_slow_client_gets_in(gateway):
    """A start-up packet in single bytes."""
    with gateway.wire(tls=False) as wire:
        body = struct.pack("!I", 3 << 16)
        for text in ("user", SERVICE, "database", DATABASE):
            body += cstr(text)
        packet = struct.pack("!I", len(body) + 5) + body + b"\0"
        for i in range(len(packet)):
            wire.send_bytes(packet[i:i + 1])
        wire.authenticate(password_of(SERVICE))
        assert wire.query("select 1") == [[b"1"]]


def test_unix_socket(gateway):
    with Wire(gateway.path(f"run/.s.PGSQL.{gateway.port}")) as wire:
        wire.login(SERVICE, password_of(SERVICE), DATABASE)
        assert wire.query("select 1") == [[b"1"]]


def test_passwords_show_nowhere(gateway):
    refusal(gateway, PERSON, "a-very-special-guess")
    assert "special-guess" not in gateway.log()
    assert password_of(PERSON) not in gateway.log()
    for pid in gateway.processes():
        assert "enters" not in gateway.title(pid)
    done = subprocess.run(["grep", "-rl", password_of(PERSON), gateway.path("state")],
                          stdout=subprocess.PIPE, check=False)
    assert done.stdout == b""


def test_a_password_line_of_the_command_lets_its_owner_in(new_gateway):
    gateway = new_gateway()
    made = subprocess.run([gateway.program("ringfence"), "password", "us_analyst"],
                          input="quite another one\n", stdout=subprocess.PIPE, text=True, check=True)
    assert made.stdout.startswith("us_analyst:SCRAM-SHA-256$4096:") and "quite" not in made.stdout
    with open(gateway.path("credentials"), encoding="ascii") as lines:
        kept = [line for line in lines if not line.startswith("us_analyst:")]
    gateway.write("credentials", "".join(kept) + made.stdout, 0o600)
    gateway.reload()
    wait_until(lambda: enters(gateway, "us_analyst", password="quite another one"),
               "the new password does not count")
    assert not enters(gateway, "us_analyst")


def at_a_terminal(program, typed):
    """Runs it with a terminal of its own, and gives its exit status, what the terminal showed, and
    whether the terminal echoes at the end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(program, [program, "password", "us_analyst"])
    shown = b""
    for line in typed:
        while not shown.endswith(b": "):
            shown += os.read(terminal, 1000)
        wait_until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO, "it echoes")
        os.write(terminal, line)
        shown += b"|"
    try:
        while chunk := os.read(terminal, 1000):
            shown += chunk
    except OSError:
        pass  # the other end is closed
    echoes = bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown, echoes


def test_a_password_from_a_terminal_is_asked_twice_and_not_shown(build):
    program = os.path.join(build, "src/cmd/ringfence")
    status, shown, echoes = at_a_terminal(program, [b"one secret\n", b"one secret\n"])
    assert status == 0 and b"us_analyst:SCRAM-SHA-256$" in shown and b"one secret" not in shown
    assert echoes
    status, shown, echoes = at_a_terminal(program, [b"one secret\n", b"another\n"])
    assert status == 2 and b"twice" in shown and b"SCRAM" not in shown
    status, shown, echoes = at_a_terminal(program, [b"one sec\x03"])
    assert status != 0 and b"SCRAM" not in shown and echoes


@pytest.mark.parametrize("name", ["", "a:b", " a", "#a", "x" * 64])
def test_a_name_that_the_credentials_cannot_hold_gets_no_line(build, name):
    done = subprocess.run([os.path.join(build, "src/cmd/ringfence"), "password", name],
                          input="secret\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 2 and done.stdout == "" and "secret" not in done.stderr
