"""A grant in a session: entering and leaving it, the record of what it disclosed, and its end."""

import signal
import struct
import time

import psycopg
import pytest

from gateway import client_name
from waiting import wait_until
from wire import Closed, ServerError, cstr, error_fields

PERSON, OTHER = "us_privacy_officer", "us_security_officer"
SUBJECT = 8  # an adult of tests/support/sample.sql
ENDED = "57P01"
SOON = 1.0  # seconds in which the end of a grant reaches its sessions
LONG = "select count(*) from generate_series(1, 100000000000)"


class Grants:
    """Opens grants in the region's database, as control's functions do, and ends them."""

    def __init__(self, pair):
        self.pair = pair
        self.opened = []

    def open(self, actor=PERSON, subjects=(SUBJECT,), classes=("identity", "contact"), seconds=600,
             purpose="support_ticket"):
        number = self.pair.primary.value(
            'SELECT coalesce(max(id), 30) + 1 FROM ringfence."grant"')
        self.pair.primary.value(
            "SELECT ringfence.grant_open(%s, %s, %s, clock_timestamp() + %s * interval '1 s',"
            " %s::text[], %s::text[])", number, actor, purpose, seconds, [str(s) for s in subjects], list(classes))
        self.opened.append(number)
        return number

    def role(self, number):
        return self.pair.primary.value('SELECT role FROM ringfence."grant" WHERE id = %s', number)

    def close(self, number):
        return self.pair.primary.value("SELECT ringfence.grant_close(%s)", number)

    def sessions(self, number):
        return sum(server.value("SELECT count(*) FROM pg_stat_activity WHERE usesysid ="
                                ' (SELECT role_id FROM ringfence."grant" WHERE id = %s)', number)
                   for server in (self.pair.primary, self.pair.standby))

    def is_reaped(self, number):
        return self.pair.primary.value(
            "SELECT NOT EXISTS (SELECT FROM ringfence.grants() g WHERE g.id = %s)", number)


@pytest.fixture
def grants(pair):
    made = Grants(pair)
    yield made
    for number in made.opened:
        made.close(number)


def enter(gateway, number, actor=PERSON, **options):
    return gateway.connect(actor, options=f"-cringfence.grant={number}", **options)


def enter_wire(gateway, number, actor=PERSON, **parameters):
    return gateway.login(actor, **{"ringfence.grant": str(number), **parameters})


def email_of(pair, subject=SUBJECT):
    return pair.primary.value("SELECT email FROM app.users WHERE id = %s", subject)


def refusal(gateway, number, actor=PERSON, **parameters):
    with pytest.raises(ServerError) as refused:
        enter_wire(gateway, number, actor, **parameters)
    return refused.value


# --- entering -------------------------------------------------------------------------------------


def test_a_grant_shows_its_subject_and_nobody_else(gateway, grants, pair):
    number = grants.open()
    with enter(gateway, number) as connection:
        rows = connection.execute("select id, email from users").fetchall()
        assert rows == [(SUBJECT, email_of(pair))]
        assert connection.execute("select session_user::text").fetchone()[0] == grants.role(number)
        client = client_name(connection)
    wait_until(lambda: gateway.journal(client=client, kind="session_close"), "no end of the session")
    opened = gateway.journal(client=client, kind="session_open")[0]
    assert (opened["grant"], opened["room"], opened["purpose"]) == (number, "granted",
                                                                   "support_ticket")


def test_every_record_of_the_session_names_the_grant(gateway, grants):
    number = grants.open()
    with enter(gateway, number) as connection:
        connection.execute("select handle from users").fetchall()
        client = client_name(connection)
    wait_until(lambda: gateway.journal(client=client, kind="session_close"), "no end of the session")
    records = gateway.journal(client=client)
    assert {r["grant"] for r in records} == {number}
    assert {r["kind"] for r in records} == {"session_open", "statement", "disclosure", "result",
                                            "session_close"}


def test_the_greeting_says_who_what_and_until_when(gateway, grants):
    number = grants.open(subjects=(8, 9))
    with enter_wire(gateway, number) as wire:
        text = wire.notices[0]["M"]
        assert text.startswith(f"grant {number} of {PERSON}: support_ticket, identity,contact of"
                               " 2 subjects, until 20")
        assert wire.notices[0]["S"] == "NOTICE"


def test_set_and_reset_move_a_running_session(gateway, grants, pair):
    number = grants.open()
    with gateway.connect(PERSON) as connection:
        notices = []
        connection.add_notice_handler(lambda d: notices.append(d.message_primary))
        masked = connection.execute("select email from users").fetchall()
        assert email_of(pair) not in [row[0] for row in masked]
        time.sleep(0.5)  # control has seen the new grant by now
        connection.execute("set timezone = 'Asia/Tokyo'")
        assert connection.execute(f"SET ringfence.grant = {number}").statusmessage == "SET"
        assert notices and notices[0].startswith(f"grant {number} of {PERSON}")
        assert connection.execute("select email from users").fetchall() == [(email_of(pair),)]
        assert connection.execute("show timezone").fetchone()[0] == "Asia/Tokyo"
        assert connection.execute("RESET ringfence.grant").statusmessage == "RESET"
        again = connection.execute("select email from users").fetchall()
        assert len(again) == len(masked)
        client = client_name(connection)
    wait_until(lambda: gateway.journal(client=client, kind="session_close"), "no end of the session")
    rooms = [(r["room"], r.get("grant")) for r in gateway.journal(client=client,
                                                                  kind="session_open")]
    assert rooms == [("masked", None), ("granted", number), ("masked", None)]
    wait_until(lambda: grants.sessions(number) == 0, "the grant's connection is left")


def test_prepared_statements_of_the_old_room_are_gone(gateway, grants):
    number = grants.open()
    with gateway.login(PERSON) as wire:
        wire.send("P", cstr("mine") + cstr("select email from users") + b"\0\0")
        wire.sync()
        time.sleep(0.5)
        wire.send("Q", cstr(f"set ringfence.grant to '{number}'"))
        assert [kind for kind, _ in wire.until_ready()][-2:] == ["C", "Z"]
        wire.send_bind((), "mine")
        wire.send("E", b"\0" * 5)
        error = next(error_fields(body) for kind, body in wire.sync() if kind == "E")
        assert error["C"] == "26000"


def test_a_grant_opened_a_moment_ago_is_waited_for_and_what_was_sent_behind_it_too(gateway, grants):
    with gateway.login(PERSON) as wire:
        for _ in range(5):
            number = grants.open()
            wire.send("Q", cstr(f"set ringfence.grant = {number}"))
            wire.send("Q", cstr("select email from users"))
            wire.send("Q", cstr("reset ringfence.grant"))
            for command in (b"SET\0", b"SELECT 1\0", b"RESET\0"):
                got = wire.until_ready()
                assert got[-2] == ("C", command), got
                rows = [body for kind, body in got if kind == "D"]
                assert len(rows) == (command[:6] == b"SELECT") and all(b"@" in row for row in rows)


def test_a_grant_is_left_when_the_answer_before_is_recorded_later_than_the_server_has_answered(
        gateway, grants, pair):
    """RESET waits for what was read under the grant, and that for the ledger."""
    masked = "select count(*) from pg_stat_activity where usename = %s"
    ledger = gateway.pids("ledger")[0]
    with gateway.login(PERSON) as wire:
        number = grants.open()
        wire.query(f"set ringfence.grant = {number}")
        before = pair.standby.value(masked, f"{PERSON}.masked")
        gateway.signal(ledger, signal.SIGSTOP)
        try:
            wire.send("Q", cstr("select email from users"))
            wire.send("Q", cstr("reset ringfence.grant"))
            wait_until(lambda: pair.standby.value(masked, f"{PERSON}.masked") > before,
                       "there is no connection for the room behind the grant")
            time.sleep(0.2)  # it is logged in, and the worker has heard so
        finally:
            gateway.signal(ledger, signal.SIGCONT)
        assert [wire.until_ready()[-2] for _ in range(2)] == [("C", b"SELECT 1\0"), ("C", b"RESET\0")]


def test_a_grant_that_is_not_mine_does_not_exist(gateway, grants):
    theirs = grants.open(actor=OTHER)
    told = [refusal(gateway, number) for number in (theirs, 999999999)]
    assert {(e.sqlstate, e.message, e.fields.get("H")) for e in told} == {
        ("42704", "there is no such grant for this login in this region", None)}
    with gateway.connect(PERSON) as connection:
        for number in (theirs, 999999999):
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(f"set ringfence.grant = {number}")
            assert refused.value.diag.message_primary == told[0].message
        assert connection.execute("select 1").fetchone()[0] == 1


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "1.5", "99999999999999999999", "31 "])
def test_what_is_no_number_is_refused(gateway, value):
    assert refusal(gateway, value).sqlstate == "22023"


def test_a_grant_that_has_ended_is_refused(gateway, grants):
    number = grants.open()
    grants.close(number)
    time.sleep(0.5)  # before control has heard of it, the database refuses the role's login
    assert refusal(gateway, number).sqlstate in (ENDED, "42704")


def test_a_grant_is_not_changed_inside_a_transaction(gateway, grants):
    number = grants.open()
    time.sleep(0.5)
    with gateway.connect(PERSON) as connection:
        connection.execute("begin")
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(f"set ringfence.grant = {number}")
        assert refused.value.sqlstate == "25001"
        connection.execute("rollback")
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(f"set ringfence.grant = {number}; select 1")
        assert refused.value.sqlstate == "0A000"
        connection.execute(f"set ringfence.grant = {number}")


def test_a_login_just_after_the_end_hears_of_the_end(gateway, grants):
    number = grants.open()
    time.sleep(0.6)  # control has published it
    with gateway.connect(PERSON) as connection:
        grants.close(number)
        grants.pair.wait_for_standby()
        said = refusal(gateway, number)
        assert (said.sqlstate, said.message.split(" ", 2)[2]) in (
            (ENDED, "has ended"), (ENDED, "grant has ended"), ("42704", "no such grant for this"
             " login in this region")), said
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(f"set ringfence.grant = {number}")
        assert refused.value.sqlstate in (ENDED, "42704")


def test_setting_a_grant_that_has_just_ended_says_so(gateway, grants):
    number = grants.open()
    time.sleep(0.6)
    with gateway.connect(PERSON) as connection:
        grants.close(number)
        grants.pair.wait_for_standby()
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(f"set ringfence.grant = {number}")
        assert refused.value.sqlstate in (ENDED, "42704"), refused.value
        assert connection.execute("select 1").fetchone()[0] == 1


def test_a_grant_is_for_persons_at_home(gateway, grants):
    number = grants.open()
    assert refusal(gateway, number, host="127.0.8.1").message == "a grant is used at home only"
    assert refusal(gateway, number, "app_us").message == "grants are for persons"
    for nobody in ("cn_engineer", "app_us", "nobody", ""):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="needs an actor"):
            grants.open(actor=nobody)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="needs a purpose"):
        grants.open(purpose="curiosity")


# --- disclosures ----------------------------------------------------------------------------------


def disclosures(gateway, client):
    wait_until(lambda: gateway.journal(client=client, kind="session_close"), "no end of the session")
    return gateway.journal(client=client, kind="disclosure")


def test_a_disclosure_names_subjects_and_classes_once_a_statement(gateway, grants):
    number = grants.open(subjects=(8, 9), classes=("identity", "contact", "activity"))
    with enter(gateway, number) as connection:
        connection.execute("select email from users").fetchall()
        connection.execute("select count(*) from users").fetchall()
        connection.execute("select w.at, u.handle from users u join watch_events w"
                           " on w.user_id = u.id where u.id = 9").fetchall()
        client = client_name(connection)
    found = disclosures(gateway, client)
    first = [r for r in found if r["statement"] == 1]
    words = " ".join(r["revealed"] for r in first).split(" ")
    assert sorted(zip(words[0::2], words[1::2])) == [("8", "contact"), ("9", "contact")]
    assert {r["classes"] for r in first} == {"contact"}
    assert sum(r["subjects"] for r in first) == 2
    last = [r for r in found if r["statement"] == 3]
    assert last and {w for r in last for w in r["revealed"].split(" ")[0::2]} >= {"9"}
    assert all("email" not in str(r) and "@" not in str(r) for r in found)


def test_more_subjects_than_a_record_holds_make_several(gateway, grants):
    adults = [i for i in range(1, 200) if i % 20 != 7][:120]
    number = grants.open(subjects=adults)
    with enter(gateway, number) as connection:
        assert len(connection.execute("select email from users").fetchall()) == 120
        client = client_name(connection)
    found = disclosures(gateway, client)
    assert all(r["subjects"] <= 50 for r in found)
    named = {word for r in found for word in r["revealed"].split(" ")[0::2]}
    assert named == {str(i) for i in adults}


def test_messages_about_disclosures_reach_no_client_and_no_log(gateway, grants, pair):
    number = grants.open()
    token = pair.primary.value("SELECT token FROM ringfence.reveal_token")
    with pair.primary.connect() as connection:  # whatever the role's own settings
        connection.execute(f'ALTER ROLE "{grants.role(number)}" SET client_min_messages = error')
    pair.wait_for_standby()
    with enter_wire(gateway, number) as wire:
        wire.query("select * from users")
        assert [n["C"] for n in wire.notices] == ["00000"]
        client = client_name(wire)
    assert disclosures(gateway, client)
    assert "RF001" not in gateway.log() and token not in gateway.log()
    assert token.encode() not in gateway.journal_bytes()


def test_no_byte_leaves_before_the_disclosure_is_durable(new_gateway, grants):
    gateway = new_gateway()
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        ledger = gateway.pids("ledger")[0]
        gateway.signal(ledger, signal.SIGSTOP)
        wire.send("Q", cstr("select email from users"))
        wire.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            wire.receive()
        gateway.signal(ledger, signal.SIGCONT)
        wire.socket.settimeout(20)
        assert "D" in [kind for kind, _ in wire.until_ready()]
        client = client_name(wire)
    records = gateway.journal(client=client)
    kinds = [r["kind"] for r in records if r.get("statement") == 1]
    assert kinds.index("disclosure") < kinds.index("result")


def test_leaving_a_grant_takes_nothing_that_is_held_past_its_end(new_gateway, grants):
    """What is read under a grant waits for its record; meanwhile the session leaves the grant, and
    the grant ends."""
    gateway = new_gateway()
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        ledger = gateway.pids("ledger")[0]
        gateway.signal(ledger, signal.SIGSTOP)
        try:
            wire.send("Q", cstr("select email from users"))
            time.sleep(0.4)  # it is held
            wire.send("Q", cstr("reset ringfence.grant"))
            time.sleep(0.6)  # the other connection is there
            grants.close(number)
            time.sleep(1)
        finally:
            gateway.signal(ledger, signal.SIGCONT)
        wire.socket.settimeout(10)
        kinds = []
        try:
            while not kinds or kinds[-1] != "Z" or kinds.count("Z") < 2:
                kinds.append(wire.receive()[0])
        except (Closed, TimeoutError):
            pass
        assert "D" not in kinds, kinds


FORGE = """CREATE FUNCTION pg_catalog.forge(message text) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER AS $$BEGIN RAISE INFO USING MESSAGE = replace(message, '@', repeat('8', 70000)), ERRCODE = 'RF001'; RETURN 1; END$$;
GRANT EXECUTE ON FUNCTION pg_catalog.forge(text) TO PUBLIC"""


@pytest.fixture
def forge(gateway, pair):
    gateway.wait_for_log("event=lease")  # the next self-check, in an hour, would find the function
    with pair.primary.connect() as connection:
        connection.execute(FORGE)
    pair.wait_for_standby()
    yield pair.primary.value("SELECT token FROM ringfence.reveal_token")
    with pair.primary.connect() as connection:
        connection.execute("DROP FUNCTION pg_catalog.forge(text)")
    pair.wait_for_standby()


def forged_end(gateway, wire, message):
    """What the client gets after a forged message: everything up to the end, as kinds."""
    wire.send("Q", cstr("select forge('%s'), '%s'" % (message, "x" * 1000)))
    got = []
    try:
        while not got or got[-1][0] != "Z":
            got.append(wire.receive())
        pytest.fail(f"the session goes on: {got}")
    except Closed:
        pass
    assert not [kind for kind, _ in got if kind in "TDCN"], got
    assert [error_fields(body)["C"] for kind, body in got if kind == "E"] == ["42501"]
    wait_until(lambda: gateway.log_contains(r"event=alert .*rule=reveal-forged"), "no alert")
    assert gateway.journal(rule="reveal-forged")


@pytest.mark.parametrize("message", [
    "{other} identity 8", "{token}", "{token} identity", "{token} identity ", "{token} nothing 8",
    "{token} identity a b", "{token} identity %zz", "{upper} identity 8", "{token}  identity 8",
    "{token} location 8", "", "{token} identity " + "8" * 600, "{token} identity @"],
    ids=lambda message: message[:30])
def test_a_forged_message_ends_the_session(gateway, grants, forge, message):
    number = grants.open()
    text = message.format(token=forge, other="0" * 32, upper=forge.upper())
    with enter_wire(gateway, number) as wire:
        forged_end(gateway, wire, text)
    assert forge not in gateway.log()


def test_without_a_grant_even_a_true_message_is_a_forgery(gateway, forge):
    with gateway.login(PERSON) as wire:
        forged_end(gateway, wire, f"{forge} identity 8")


def test_a_true_message_of_the_database_is_put_on_record(gateway, grants, forge):
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        wire.query(f"select forge('{forge} contact 8%2F%C3%A9')")
        client = client_name(wire)
    assert [r["revealed"] for r in disclosures(gateway, client)] == ["8%2F%C3%A9 contact"]


# --- the end --------------------------------------------------------------------------------------


def idle(wire):
    wire.query("select 1")


def open_transaction(wire):
    wire.query("begin; select email from users")


def repeatable_read(wire):
    wire.query("begin isolation level repeatable read; select email from users")


def cursor(wire):
    wire.query("begin; declare c cursor for select email, g from users, generate_series(1, 100000) g")
    wire.query("fetch 10 from c")


def portal(wire):
    wire.send("Q", cstr("begin"))
    wire.until_ready()
    wire.send_extended("select email, g from users, generate_series(1, 100000) g", limit=10)
    wire.send("H")
    while wire.receive()[0] != "s":
        pass


def running_query(wire):
    wire.send("Q", cstr(LONG))


def pipeline(wire):
    wire.send_extended("select email from users")
    wire.send_extended(LONG)
    wire.send_extended("select email from users")
    wire.send("S")


SITUATIONS = [idle, open_transaction, repeatable_read, cursor, portal, running_query, pipeline]


def read_end(wire, patience=15):
    """Reads on until the connection ends: the moment, and the last error."""
    last = None
    wire.socket.settimeout(patience)
    try:
        while True:
            kind, body = wire.receive()
            if kind == "E":
                last = error_fields(body)
    except Closed:
        return time.monotonic(), last


def ends_well(gateway, grants, number, wire, since, within, *others):
    """OTHERS: what a client may hear where another gateway may be first to end the grant."""
    ended, error = read_end(wire)
    assert ended - since < within * gateway.slow, f"after {ended - since:.2f} s"
    assert error is not None and error["C"] == ENDED
    assert error["M"] in (f"grant {number} has ended", *others)
    wait_until(lambda: grants.sessions(number) == 0, "a session is left at the database",
               timeout=5 * gateway.slow)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.__name__)
def test_closing_a_grant_ends_its_sessions(gateway, grants, situation):
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        situation(wire)
        since = time.monotonic()
        grants.close(number)
        ends_well(gateway, grants, number, wire, since, SOON)


@pytest.mark.parametrize("situation", [idle, cursor, repeatable_read, running_query],
                         ids=lambda s: s.__name__)
def test_a_grant_ends_when_its_time_has_passed(gateway, grants, situation):
    opened = time.monotonic()
    number = grants.open(seconds=2.5)
    with enter_wire(gateway, number) as wire:
        situation(wire)
        ends_well(gateway, grants, number, wire, opened + 2.5, SOON)
        assert time.monotonic() - opened > 2.4
    wait_until(lambda: grants.is_reaped(number), "the role of the grant is left")


def test_a_slow_reader_gets_little_more_than_it_had(gateway, grants):
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        wire.send("Q", cstr(f"select u.email, '{'x' * 1000}' from users u,"
                            " generate_series(1, 200000) g"))
        assert wire.receive()[0] == "T"
        time.sleep(1)  # every buffer on the way is full now
        grants.close(number)
        wait_until(lambda: grants.sessions(number) == 0, "the session goes on", timeout=5)
        time.sleep(0.5)
        got = 0
        try:
            while True:
                got += len(wire.receive()[1])
        except Closed:
            pass
        assert got < 20_000_000, f"{got} bytes of 200 MB"
    wait_until(lambda: grants.is_reaped(number), "the role of the grant is left")


def test_a_reading_client_is_told_between_two_messages(gateway, grants):
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        wire.send("Q", cstr(f"select u.email, '{'x' * 5000}' from users u,"
                            " generate_series(1, 20000000) g"))
        for _ in range(1000):
            wire.receive()
        since = time.monotonic()
        grants.close(number)
        ends_well(gateway, grants, number, wire, since, SOON + 0.5)


def test_other_sessions_do_not_notice(gateway, grants):
    mine, other = grants.open(), grants.open()
    with enter(gateway, other) as stays, enter_wire(gateway, mine) as wire, \
            gateway.connect(PERSON) as masked:
        since = time.monotonic()
        grants.close(mine)
        ends_well(gateway, grants, mine, wire, since, SOON)
        assert len(stays.execute("select email from users").fetchall()) == 1
        assert masked.execute("select count(*) from users").fetchone()[0] > 1


def test_an_ended_grant_is_gone_from_the_database(gateway, grants, pair):
    number = grants.open()
    role = grants.role(number)
    with enter(gateway, number):
        grants.close(number)
        wait_until(lambda: grants.is_reaped(number), "the role of the grant is left")
    assert not pair.primary.value("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", role)
    assert refusal(gateway, number).sqlstate in (ENDED, "42704")


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
@pytest.mark.crashes
def test_without_control_nothing_more_leaves(new_gateway, grants, how):
    gateway = new_gateway()
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        wire.query("select email from users")
        if how == signal.SIGKILL:  # the next one is there at once, and does not get far
            killed = gateway.kill_role("control")
            wait_until(lambda: gateway.pids("control") not in ([], [killed]), "no other control")
        control = gateway.pids("control")[0]
        gateway.signal(control, signal.SIGSTOP)
        time.sleep(1.2)
        wire.send("Q", cstr("select email from users"))
        wire.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            wire.receive()
        assert refusal(gateway, number).sqlstate == "57P03"
        ended, error = read_end(wire)
        assert error["M"] == f"grant {number} has ended"
        gateway.signal(control, signal.SIGCONT)
    with enter(gateway, number) as connection:  # the grant itself is as good as before
        assert len(connection.execute("select email from users").fetchall()) == 1


@pytest.mark.crashes
def test_a_short_absence_of_control_ends_no_session(new_gateway, grants):
    gateway = new_gateway()
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        control = gateway.pids("control")[0]
        gateway.signal(control, signal.SIGSTOP)
        time.sleep(1.5)
        wire.send("Q", cstr("select email from users"))
        time.sleep(0.5)
        gateway.signal(control, signal.SIGCONT)
        assert len(wire.result()) == 1


def test_a_standby_that_has_not_heard_of_the_end_does_not_help(gateway, grants, pair):
    number = grants.open()
    pair.wait_for_standby()
    with enter_wire(gateway, number) as wire:
        wire.query("begin isolation level repeatable read; select email from users")
        pair.standby.rows("SELECT pg_wal_replay_pause()")
        try:
            since = time.monotonic()
            grants.close(number)
            ends_well(gateway, grants, number, wire, since, SOON)
            assert refusal(gateway, number).sqlstate in (ENDED, "42704")
        finally:
            pair.standby.rows("SELECT pg_wal_replay_resume()")


def test_a_grant_survives_a_reload_and_ends_after_it(new_gateway, grants):
    gateway = new_gateway()
    number = grants.open()
    with enter_wire(gateway, number) as wire:
        gateway.reload()
        gateway.wait_for_log("event=reload")
        time.sleep(0.5)
        assert len(wire.query("select email from users")) == 1
        since = time.monotonic()
        grants.close(number)
        ends_well(gateway, grants, number, wire, since, SOON,
                  "terminating connection due to administrator command")
