"""The life of a request in the region's database, without a registrar in front: its functions by the
login that it has. Every state and every event, two at a time, and what is left when one dies between."""

import hashlib
import itertools
import os
import secrets
import threading
import time

import psycopg
import pytest

from gateway import Gateway
from planted import found_in
from region import make_region
from waiting import wait_until

SUBJECT, OTHER, CHILD = "42", "43", "47"  # of tests/support/sample.sql; 47 is twelve years old
STEPS = {  # docs/decisions/0021
    ("asked", "logged"): "waiting", ("asked", "break"): "approved",
    ("waiting", "complete"): "approved", ("approved", "open"): "open",
    ("open", "expire"): "expired", ("open", "revoke"): "revoked", ("open", "use_up"): "used_up",
    **{(state, event): end for state in ("asked", "waiting", "approved")
       for event, end in (("deny", "denied"), ("withdraw", "withdrawn"), ("lapse", "lapsed"))}}
STATES = ["asked", "waiting", "approved", "open", "denied", "withdrawn", "lapsed", "expired", "revoked",
          "used_up"]
EVENTS = sorted({event for _, event in STEPS})
REQUEST = {"actor": "us_analyst", "rule": "support", "purpose": "support_ticket",
           "classes": ["contact", "identity"], "subjects": [SUBJECT], "seconds": 3600,
           "is_break_glass": False, "from_home": True, "command": "the text", "signature": "signed",
           "gateway": "gw-1", "unreviewed_max": 1000}


def nonce():
    return secrets.token_hex(16)


def login(server, role):
    return psycopg.connect(server.dsn().replace("user=postgres", f"user={role}"), autocommit=True)


class Registrar:
    """The functions, on one connection of rf_registrar."""

    def __init__(self, server):
        self.connection = login(server, "rf_registrar")

    def call(self, function, *values):
        marks = ", ".join(["%s"] * len(values))
        return self.connection.execute(f"SELECT * FROM ringfence.{function}({marks})", values).fetchone()

    def add(self, **changes):
        given = {**REQUEST, **changes}
        return self.connection.execute(
            "SELECT * FROM ringfence.request_add(%(actor)s, %(rule)s, %(purpose)s, %(classes)s::text[],"
            " %(subjects)s::text[], %(seconds)s, %(is_break_glass)s, %(from_home)s, %(command)s,"
            " %(signature)s, %(gateway)s, %(unreviewed_max)s)",
            given).fetchone()[0]

    def move(self, number, event, leaf="a leaf"):
        return self.call("request_move", number, event, leaf)[0]

    def use(self, used, expires="5 minutes"):
        self.connection.execute("SELECT ringfence.command_use(%s, now() + %s::interval)", (used, expires))

    def vote(self, number, actor="us_privacy_officer", approves=True):
        return self.connection.execute(
            "SELECT ringfence.approval_add(%s, %s, %s, true, 'his text', 'his signature', 'gw-1')",
            (number, actor, approves)).fetchone()[0]

    def logged(self, number, actor="us_privacy_officer", leaf="his leaf"):
        self.call("approval_logged", number, actor, leaf)

    def open(self, number, leaf="grant leaf"):
        return self.call("request_open", number, leaf)[0]

    def review(self, number, actor="us_security_officer", proper=True):
        return self.connection.execute(
            "SELECT ringfence.review_add(%s, %s, %s, 'text', 'signature')",
            (number, actor, proper)).fetchone()[0]

    def agreed(self, **changes):
        number = self.add(**changes)
        self.move(number, "logged")
        self.vote(number)
        self.logged(number)
        return number

    def request(self, state, **changes):
        """A request that has come to STATE."""
        if state in ("asked", "withdrawn", "lapsed"):
            number = self.add(**changes)
        else:
            number = self.agreed(**changes)
        if state in ("approved", "open", "expired", "revoked", "used_up"):
            self.move(number, "complete")
        if state in ("open", "expired", "revoked", "used_up"):
            self.open(number)
        for event, end in (("deny", "denied"), ("withdraw", "withdrawn"), ("lapse", "lapsed"),
                           ("revoke", "revoked"), ("use_up", "used_up")):
            if end == state:
                self.move(number, event)
        return number


@pytest.fixture(scope="module")
def region(scratch, authority, build):
    made = make_region(os.path.join(scratch, "requests"), authority, build, "full")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(region):
    return region.primary


@pytest.fixture
def registrar(server):
    made = Registrar(server)
    yield made
    made.connection.close()


@pytest.fixture
def second(server):
    made = Registrar(server)
    yield made
    made.connection.close()


def state_of(server, number):
    return server.value("SELECT state FROM ringfence.request WHERE id = %s", number)


def is_open(server, number):
    """Is there a role that sees somebody?"""
    return server.rows(
        'SELECT 1 FROM ringfence."grant" g JOIN ringfence.grant_subject s ON s.role = g.role JOIN pg_roles r'
        " ON r.rolname = g.role WHERE g.id = %s AND g.closed IS NULL AND r.rolcanlogin", number) != []


def end_now(server, number):
    """The grant's time is over."""
    server.rows('UPDATE ringfence."grant" SET ends = now() - interval \'1 second\' WHERE id = %s', number)


def request_expired(registrar, server):
    number = registrar.request("open")
    end_now(server, number)
    registrar.move(number, "expire")
    return number


def make(registrar, server, state):
    return request_expired(registrar, server) if state == "expired" else registrar.request(state)


def refused(sqlstate, function, *values, **named):
    with pytest.raises(psycopg.Error) as caught:
        function(*values, **named)
    assert caught.value.sqlstate == sqlstate, caught.value
    text = str(caught.value)
    assert not found_in(text) and "us_analyst" not in text and "4711" not in text, text
    return caught.value


# -- states and events --------------------------------------------------------------------------------

def test_the_steps_are_those_of_the_decision(server):
    assert {(s, e): n for s, e, n in server.rows("SELECT state, event, next FROM ringfence.request_step")} \
        == STEPS
    assert set(STATES) == {s for s, _ in STEPS} | set(STEPS.values())


@pytest.mark.parametrize("state", STATES)
def test_every_event_in_every_state(registrar, server, state):
    for event in EVENTS:
        number = make(registrar, server, state)
        if event == "expire" and state == "open":
            refused("55000", registrar.move, number, event)
            end_now(server, number)
        if event == "break" and state == "asked":
            refused("55000", registrar.move, number, event)
            number = registrar.add(is_break_glass=True)
        step = (lambda: registrar.open(number)) if event == "open" \
            else (lambda: registrar.move(number, event))
        if (state, event) in STEPS:
            step()
            assert state_of(server, number) == STEPS[state, event]
        else:
            refused("55000", step)
            assert state_of(server, number) == state
        assert is_open(server, number) == (state_of(server, number) == "open"), (state, event)
        assert (server.rows('SELECT 1 FROM ringfence."grant" WHERE id = %s', number) == []) \
            == (state_of(server, number) not in ("open", "expired", "revoked", "used_up"))


@pytest.mark.parametrize("event", ["", "LOGGED", "logged ", "open", None, "close"])
def test_an_event_that_is_none(registrar, server, event):
    number = registrar.request("approved")
    refused("22023" if event in ("open", None) else "55000", registrar.move, number, event)
    assert state_of(server, number) == "approved"


def test_a_request_that_is_none(registrar):
    for number in (None, 0, -1, 2**62):
        refused("02000", registrar.move, number, "logged")
        refused("02000", registrar.open, number)
        refused("02000", registrar.vote, number)
        refused("02000", registrar.logged, number)
        refused("02000", registrar.call, "request_revoke", number)
        refused("02000", registrar.review, number)


def test_a_step_without_its_leaf_is_none(registrar, server):
    asked, broken, ready = registrar.add(), registrar.add(is_break_glass=True), registrar.request("approved")
    for leaf in (None, "", "x" * 301):
        refused("22023", registrar.move, asked, "logged", leaf)
        refused("22023", registrar.move, broken, "break", leaf)
        refused("22023", registrar.open, ready, leaf)
    assert [state_of(server, n) for n in (asked, broken, ready)] == ["asked", "asked", "approved"]


@pytest.mark.parametrize("sql", [
    "UPDATE ringfence.request SET state = 'waiting' WHERE id = %s",
    "UPDATE ringfence.request SET state = 'open', leaf = 'l' WHERE id = %s",
    "UPDATE ringfence.request SET grant_leaf = 'l' WHERE id = %s",
    "UPDATE ringfence.request SET state = 'done' WHERE id = %s",
    "UPDATE ringfence.request SET keys = '{}' WHERE id = %s"])
def test_the_table_itself_refuses_a_state_without_its_leaf(registrar, server, sql):
    with pytest.raises(psycopg.errors.CheckViolation):
        server.rows(sql, registrar.add())


# -- asking -------------------------------------------------------------------------------------------

BAD = [
    ({"actor": None}, "22023"), ({"actor": ""}, "22023"), ({"actor": "cn_engineer"}, "22023"),
    ({"actor": "app_us"}, "22023"), ({"actor": "4711" * 20}, "22023"), ({"rule": None}, "22023"),
    ({"rule": ""}, "22023"), ({"purpose": None}, "22023"), ({"purpose": "fun"}, "22023"),
    ({"classes": None}, "22023"), ({"classes": []}, "22023"), ({"classes": ["none"]}, "22023"),
    ({"classes": ["contact", None]}, "22023"), ({"classes": ["everything"]}, "22023"),
    ({"subjects": None}, "22023"), ({"subjects": []}, "22023"), ({"subjects": ["1"] * 101}, "22023"),
    ({"subjects": [None]}, "02000"), ({"subjects": ["4711"]}, "02000"), ({"subjects": ["not a number"]}, "02000"),
    ({"subjects": ["h-" + "0" * 32]}, "02000"), ({"subjects": ["42", "9" * 40]}, "02000"),
    ({"seconds": None}, "22023"), ({"seconds": 59}, "22023"), ({"seconds": 2678401}, "22023"),
    ({"is_break_glass": None}, "22023"), ({"from_home": None}, "22023"), ({"command": None}, "22023"),
    ({"command": ""}, "22023"), ({"command": "4711" * 5000}, "22023"), ({"signature": None}, "22023"),
    ({"signature": "4711" * 5000}, "22023"), ({"gateway": None}, "22023"), ({"gateway": ""}, "22023"),
    ({"is_break_glass": True, "unreviewed_max": None}, "22023"),
    ({"is_break_glass": True, "unreviewed_max": 0}, "22023"),
]


@pytest.mark.parametrize("changes, sqlstate", BAD, ids=[str(c)[:60] for c, _ in BAD])
def test_bad_arguments_ask_nothing(registrar, server, changes, sqlstate):
    before = server.value("SELECT count(*) FROM ringfence.request")
    refused(sqlstate, registrar.add, **changes)
    assert server.value("SELECT count(*) FROM ringfence.request") == before


def test_what_was_asked_is_kept_as_it_was_signed(registrar, server):
    text, signature = "erste Zeile\nzweite Zeile 秘\n", "-----BEGIN SSH SIGNATURE-----\nAAAA\n"
    number = registrar.add(command=text, signature=signature, subjects=["042", CHILD])
    row, = server.rows("SELECT command, signature, subjects, keys, salts, state, gateway, leaf FROM"
                       " ringfence.request WHERE id = %s", number)
    assert row == (text, signature, ["042", CHILD], [SUBJECT, CHILD], ["", ""], "asked", "gw-1", None)


def facts(registrar, *subjects):
    """Keys, salts, how many are missing, how many are minors."""
    return registrar.call("request_facts", "us_analyst", list(subjects))


def test_facts_about_subjects(registrar):
    assert facts(registrar, SUBJECT) == ([SUBJECT], [""], 0, 0)
    assert facts(registrar, SUBJECT, " 42", OTHER, CHILD, "67") \
        == ([SUBJECT, SUBJECT, OTHER, CHILD, "67"], [""] * 5, 0, 2)
    assert facts(registrar, "4711", "not a number", "9" * 40, None, OTHER) \
        == ([None, None, None, None, OTHER], [""] * 5, 4, 0)
    assert facts(registrar, "h-" + "0" * 32)[2] == 1
    refused("22023", registrar.call, "request_facts", "us_analyst", [])
    refused("22023", registrar.call, "request_facts", "", [SUBJECT])
    refused("22023", registrar.call, "request_facts", None, [SUBJECT])
    refused("22023", registrar.call, "request_facts", "us_analyst", ["1"] * 101)


def test_whose_birth_date_is_not_known_is_a_minor(registrar, server):
    server.rows("ALTER TABLE app.users ALTER birthdate DROP NOT NULL")
    try:
        server.rows("UPDATE app.users SET birthdate = NULL WHERE id = 44")
        assert facts(registrar, "44", OTHER) == (["44", OTHER], ["", ""], 0, 1)
    finally:
        server.rows("UPDATE app.users SET birthdate = date '1970-01-01' + 44 * 50 WHERE id = 44")
        server.rows("ALTER TABLE app.users ALTER birthdate SET NOT NULL")


def test_a_birthday_makes_an_adult_on_that_day(registrar, server):
    try:
        for days, minors in ((0, 0), (1, 1), (-1, 0)):
            server.rows("UPDATE app.users SET birthdate = ((statement_timestamp() AT TIME ZONE 'UTC')"
                        " - interval '18 years')::date + %s WHERE id = 44", days)
            assert facts(registrar, "44")[3] == minors
    finally:
        server.rows("UPDATE app.users SET birthdate = date '1970-01-01' + 44 * 50 WHERE id = 44")


# -- commands are used once ----------------------------------------------------------------------------

def test_a_command_is_used_once(registrar):
    used = nonce()
    registrar.use(used)
    for expires in ("5 minutes", "59 minutes", "-30 seconds"):
        assert refused("23505", registrar.use, used, expires).diag.constraint_name == "command_nonce_pkey"
    registrar.use(nonce(), "-30 seconds")  # the clocks of a client and of the database differ


@pytest.mark.parametrize("used, expires", [
    (None, "5 minutes"), ("A" * 32, "5 minutes"), ("0" * 31, "5 minutes"), ("0" * 33, "5 minutes"),
    ("0" * 32, None), ("0" * 32, "-61 seconds"), ("0" * 32, "2 hours")])
def test_what_is_no_nonce_or_no_end_is_not_used(registrar, server, used, expires):
    refused("22023", registrar.use, used, expires)
    assert server.rows("SELECT 1 FROM ringfence.command_nonce WHERE nonce = %s", used) == []


def test_a_nonce_is_kept_for_an_hour_after_its_command_has_ended(registrar, server):
    kept, gone = nonce(), nonce()
    for one in (kept, gone):
        registrar.call("command_use", one, time_from_now(60))
    server.rows("UPDATE ringfence.command_nonce SET expires = now() - interval '59 minutes' WHERE nonce = %s",
                kept)
    server.rows("UPDATE ringfence.command_nonce SET expires = now() - interval '61 minutes' WHERE nonce = %s",
                gone)
    registrar.call("command_use", nonce(), time_from_now(60))
    assert server.rows("SELECT nonce FROM ringfence.command_nonce WHERE nonce = ANY (%s)", [kept, gone]) \
        == [(kept,)]


def time_from_now(seconds):
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(time.time() + seconds))}+00"


# -- numbers ----------------------------------------------------------------------------------------------

OPEN = ("SELECT ringfence.grant_open(%s, 'us_analyst', 'support_ticket', now() + interval '5 minutes',"
        " '{42}', '{contact}')")


def next_number(server):
    return server.value("SELECT coalesce(max(id), 0) + 1 FROM ringfence.request")


def test_a_number_is_a_requests_or_an_administrators(registrar, server):
    taken = next_number(server)
    server.rows(OPEN, taken)
    number = registrar.add()
    assert number == taken + 1
    for state in ("asked", "waiting", "approved", "denied", "revoked"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            server.rows(OPEN, registrar.request(state))
    server.rows("SELECT ringfence.grant_close(%s)", taken)


@pytest.mark.parametrize("first", ["administrator", "registrar"])
def test_two_that_take_the_same_number_at_the_same_time(registrar, server, first):
    number = next_number(server)
    outcome = []

    def administrator(connection):
        try:
            connection.execute(OPEN, (number,))
            return number
        except psycopg.errors.UniqueViolation:
            return None

    with server.connect() as own:
        both = [lambda: administrator(own), registrar.add]
        if first == "registrar":
            both.reverse()
        leader = own if first == "administrator" else registrar.connection
        leader.execute("BEGIN")
        outcome.append(both[0]())
        follower = threading.Thread(target=lambda: outcome.append(both[1]()))
        follower.start()
        time.sleep(0.2)
        assert follower.is_alive(), "the second one did not wait for the first one's number"
        leader.execute("COMMIT")
        follower.join()
    assert outcome == ([number, number + 1] if first == "administrator" else [number, None])
    server.rows("SELECT ringfence.grant_close(%s)", number)


# -- approvals ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("state", [s for s in STATES if s != "waiting"])
def test_nobody_votes_on_what_does_not_wait(registrar, server, state):
    number = make(registrar, server, state)
    for approves in (True, False):
        refused("55000", registrar.vote, number, "us_security_officer", approves)


def test_nobody_votes_twice_or_on_his_own(registrar, server):
    number = registrar.agreed()
    for approves in (True, False):
        refused("22023", registrar.vote, number, "us_analyst", approves)
    for approves in (True, False):  # who has approved may still deny, once
        if not approves:
            registrar.vote(number, "us_privacy_officer", approves)
        assert refused("23505", registrar.vote, number, "us_privacy_officer", approves) \
            .diag.constraint_name == "approval_pkey"
    registrar.logged(number, leaf="leaf of the denial")
    assert server.rows("SELECT approves, leaf FROM ringfence.approval WHERE request = %s ORDER BY 1", number) \
        == [(False, "leaf of the denial"), (True, "his leaf")]


def test_votes_on_one_request_have_an_end(registrar, server):
    number = registrar.agreed()
    server.rows("INSERT INTO ringfence.approval SELECT request, 'person' || i, approves, from_home, command,"
                " signature, gateway, at, leaf FROM ringfence.approval, generate_series(1, 63) i"
                " WHERE request = %s", number)
    refused("53400", registrar.vote, number, "us_security_officer")


def test_bad_votes(registrar):
    number = registrar.agreed()
    refused("22023", registrar.vote, number, "")
    refused("22023", registrar.vote, number, None)
    refused("22023", registrar.vote, number, "us_security_officer", None)


def test_a_vote_counts_when_it_is_on_record(registrar, server):
    number = registrar.add()
    registrar.move(number, "logged")
    refused("55000", registrar.move, number, "complete")
    registrar.vote(number)
    refused("55000", registrar.move, number, "complete")
    for leaf in (None, ""):
        refused("22023", registrar.logged, number, leaf=leaf)
    registrar.logged(number)
    registrar.logged(number)  # once more after a crash
    refused("55000", registrar.logged, number, leaf="another")
    registrar.vote(number, "us_security_officer", False)
    registrar.logged(number, "us_security_officer")
    refused("55000", registrar.move, number, "complete")
    assert state_of(server, number) == "waiting"
    assert registrar.move(number, "deny") == "denied"
    number = registrar.agreed()
    registrar.vote(number, "us_security_officer", False)  # whoever took it died before it was on record
    assert registrar.move(number, "complete") == "approved"
    registrar.logged(number, "us_security_officer")       # or was only late
    refused("55000", registrar.open, number)
    assert not is_open(server, number)


def test_a_vote_of_somebody_who_is_suspended_counts_nothing_while_he_is(registrar, server):
    """As registrar and control judge it."""
    denied, approved = registrar.agreed(), registrar.agreed()
    registrar.vote(denied, "us_security_officer", False)
    registrar.logged(denied, "us_security_officer")
    refused("55000", registrar.move, denied, "complete")
    try:
        registrar.call("suspend", "us_security_officer", "honey", "leaf")
        assert registrar.move(denied, "complete") == "approved"
        server.rows("UPDATE ringfence.suspension SET lifted_at = now()")
        refused("55000", registrar.open, denied)
        registrar.call("suspend", "us_privacy_officer", "honey", "leaf")
        refused("55000", registrar.move, approved, "complete")
    finally:
        server.rows("UPDATE ringfence.suspension SET lifted_at = now()")
    assert registrar.move(approved, "complete") == "approved"


def test_no_grant_opens_without_an_approval_whatever_the_row_says(registrar, server):
    """The row was changed by hand; who is to read the signatures is somebody else."""
    number = registrar.add()
    server.rows("UPDATE ringfence.request SET state = 'approved', leaf = 'l' WHERE id = %s", number)
    refused("55000", registrar.open, number)
    denied = registrar.agreed()
    registrar.vote(denied, "us_security_officer", False)
    registrar.logged(denied, "us_security_officer")
    server.rows("UPDATE ringfence.request SET state = 'approved' WHERE id = %s", denied)
    refused("55000", registrar.open, denied)
    assert not is_open(server, number) and not is_open(server, denied)


# -- open and ended -----------------------------------------------------------------------------------------

def test_an_open_request_is_one_role_for_just_what_was_asked(registrar, server):
    number = registrar.request("approved", subjects=[SUBJECT, "043"], seconds=120)
    ends = registrar.open(number)
    row, = server.rows('SELECT id, actor, purpose, ends, subjects, classes, closed, extract(epoch FROM ends -'
                       ' opened)::int FROM ringfence."grant" WHERE id = %s', number)
    assert row == (number, "us_analyst", "support_ticket", ends, 2, 4 | 8, None, 120)
    assert server.rows('SELECT s.subject FROM ringfence.grant_subject s JOIN ringfence."grant" g USING (role)'
                       " WHERE g.id = %s ORDER BY 1", number) == [(SUBJECT,), (OTHER,)]
    refused("55000", registrar.open, number)
    assert registrar.call("request_revoke", number) == (True,)
    refused("55000", registrar.call, "request_revoke", number)
    assert not is_open(server, number) and state_of(server, number) == "revoked"


def test_the_longest_grant_is_31_days_in_every_time_zone(registrar):
    registrar.connection.execute("SET timezone = 'America/New_York'")
    number = registrar.request("approved", seconds=2678400)
    assert registrar.open(number) is not None
    registrar.call("request_revoke", number)


def test_revoking_what_was_closed_already(registrar, server):
    number = registrar.request("open")
    server.rows("SELECT ringfence.grant_close(%s)", number)
    assert registrar.call("request_revoke", number) == (False,)


def test_a_subject_that_is_gone_opens_nothing(registrar, server):
    server.rows("INSERT INTO app.users (id, handle, email, birthdate, residency, created_at)"
                " VALUES (999, 'brief', 'x@example.org', '1980-01-01', 'US', now())")
    number = registrar.request("approved", subjects=["999"])
    server.rows("DELETE FROM app.users WHERE id = 999")
    refused("02000", registrar.open, number)
    assert state_of(server, number) == "approved" and not is_open(server, number)


def lift(registrar, voter, actor="us_analyst"):
    return registrar.call("lift_add", actor, voter, "text", "signature", "leaf")[0]


def test_whoever_is_suspended_opens_nothing_until_two_others_lift_it(registrar, server):
    number = registrar.request("approved")
    refused("02000", lift, registrar, "us_privacy_officer")
    refused("22023", registrar.call, "suspend", "us_analyst", "out of spite", "leaf")
    refused("22023", registrar.call, "suspend", "us_analyst", "honey", None)
    assert registrar.call("suspend", "us_analyst", "honey", "leaf") == (True,)
    assert registrar.call("suspend", "us_analyst", "denials", "leaf") == (False,)
    refused("55000", registrar.open, number)
    refused("22023", lift, registrar, "us_analyst")
    assert lift(registrar, "us_privacy_officer") == 1
    assert refused("23505", lift, registrar, "us_privacy_officer").diag.constraint_name \
        == "suspension_vote_pkey"
    refused("55000", registrar.open, number)
    assert lift(registrar, "us_security_officer") == 2
    assert registrar.connection.execute("SELECT * FROM ringfence.suspensions()").fetchall() == []
    registrar.open(number)


def test_a_broken_glass_opens_without_approval_and_is_reviewed_by_somebody_else(registrar, server):
    due = lambda actor, age: registrar.call("reviews_due", actor, age)[0]  # noqa: E731
    number = registrar.add(is_break_glass=True, rule="break-glass", actor="us_security_officer")
    refused("55000", registrar.review, number, "us_privacy_officer")
    assert registrar.move(number, "break") == "approved"
    assert due("us_security_officer", "0") == 0
    registrar.open(number)
    assert due("us_security_officer", "0") == 1 and due("us_security_officer", "1 hour") == 0
    assert due("us_analyst", "0") == 0 and due(None, "0") >= 1
    registrar.call("request_revoke", number)
    assert due("us_security_officer", "0") == 1, "what was revoked was still done"
    refused("22023", registrar.review, number, "us_security_officer")
    refused("22023", registrar.review, number, "us_privacy_officer", None)
    registrar.review(number, "us_privacy_officer", False)
    assert refused("23505", registrar.review, number, "us_privacy_officer").diag.constraint_name \
        == "review_pkey"
    assert due("us_security_officer", "0") == 0
    refused("55000", registrar.review, registrar.request("open"))


def mend_glass(server, actor):
    """Nothing of ACTOR's waits for a review."""
    server.rows("UPDATE ringfence.request SET is_break_glass = false WHERE actor = %s", actor)


def test_the_glass_is_broken_no_more_often_than_somebody_looks(registrar, server):
    """What was opened or is about to be counts until its review; what came to nothing does not."""
    who = {"is_break_glass": True, "rule": "break-glass", "actor": "us_privacy_officer"}
    too_often = lambda most: refused("53400", registrar.add, **who, unreviewed_max=most)  # noqa: E731
    mend_glass(server, who["actor"])
    first = registrar.add(**who, unreviewed_max=1)
    assert too_often(1).diag.constraint_name == "break_glass_unreviewed"
    registrar.add(actor="us_privacy_officer")                                 # a request is something else
    registrar.add(**{**who, "actor": "us_security_officer"})                  # and so is somebody else's
    registrar.move(first, "break")
    registrar.open(first)
    registrar.call("request_revoke", first)
    too_often(1)
    second = registrar.add(**who, unreviewed_max=2)
    too_often(2)
    registrar.move(second, "withdraw")
    registrar.review(first)
    third = registrar.add(**who, unreviewed_max=1)
    registrar.move(third, "lapse")
    registrar.move(registrar.add(**who, unreviewed_max=1), "withdraw")


def test_glass_that_is_broken_twice_at_once_is_broken_once(race, server):
    who = {"is_break_glass": True, "rule": "break-glass", "actor": "us_privacy_officer"}
    mend_glass(server, who["actor"])
    assert race(lambda r: r.add(**who, unreviewed_max=1), lambda r: r.add(**who, unreviewed_max=1)) == "53400"


# -- evidence and lists -----------------------------------------------------------------------------------

def evidence(registrar, *numbers):
    cursor = registrar.connection.execute("SELECT * FROM ringfence.request_evidence(%s)", (list(numbers),))
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]


def test_evidence_is_the_request_and_then_votes_in_their_order(registrar, server):
    number = registrar.add(subjects=[SUBJECT, CHILD])
    registrar.move(number, "logged", "leaf 1")
    registrar.vote(number, "us_security_officer")
    registrar.vote(number, "us_privacy_officer")
    registrar.logged(number, "us_privacy_officer", "leaf 2")
    first, *votes = evidence(registrar, number)
    assert (first["request"], first["state"], first["kind"], first["actor"], first["from_home"],
            first["command"], first["signature"], first["leaf"], first["rule"], first["is_break_glass"],
            first["keys"], first["salts"], first["minors"], first["grant_leaf"], first["grant_subjects"]) == \
        (number, "waiting", "request", "us_analyst", True, "the text", "signed", "leaf 1", "support", False,
         [SUBJECT, CHILD], ["", ""], 1, None, None)
    assert [(v["kind"], v["actor"], v["command"], v["leaf"]) for v in votes] == [
        ("approve", "us_security_officer", "his text", None), ("approve", "us_privacy_officer", "his text", "leaf 2")]
    registrar.logged(number, "us_security_officer", "leaf 3")
    registrar.move(number, "complete")
    registrar.open(number, "leaf 4")
    other = registrar.add()
    rows = evidence(registrar, other, number, 2**60)
    assert [(r["request"], r["kind"]) for r in rows] == [
        (number, "request"), (number, "approve"), (number, "approve"), (other, "request")]
    assert [rows[0][name] for name in ("state", "grant_leaf", "grant_actor", "grant_purpose", "grant_classes",
                                       "grant_subjects")] \
        == ["open", "leaf 4", "us_analyst", "support_ticket", 4 | 8, [SUBJECT, CHILD]]
    registrar.call("request_revoke", number)


def test_evidence_shows_what_was_changed_by_hand(registrar, server):
    number = registrar.request("open")
    server.rows("INSERT INTO ringfence.grant_subject SELECT role, '77', classes, ends, '77', token, secret, s.watermark"
                " FROM ringfence.grant_subject s JOIN ringfence.\"grant\" g USING (role) WHERE g.id = %s"
                .replace("SELECT role, '77', classes, ends", "SELECT role, '77', g.classes, g.ends"), number)
    server.rows('UPDATE ringfence."grant" SET actor = \'us_security_officer\', classes = 255 WHERE id = %s', number)
    row = evidence(registrar, number)[0]
    assert (row["actor"], row["grant_actor"], row["grant_classes"], row["keys"], row["grant_subjects"]) \
        == ("us_analyst", "us_security_officer", 255, [SUBJECT], [SUBJECT, "77"])
    registrar.call("request_revoke", number)


def test_control_reads_the_evidence_on_primary_and_standby(registrar, region):
    number = registrar.request("open")
    region.wait_for_standby()
    for server in (region.primary, region.standby):
        with login(server, "rf_control") as control:
            assert control.execute("SELECT count(*) FROM ringfence.request_evidence(%s)",
                                   ([number],)).fetchone() == (2,)
    registrar.call("request_revoke", number)


def listed(registrar, actor, is_approver=False, only=None):
    return {row[0]: row for row in registrar.connection.execute(
        "SELECT request, state, requester, approvals, denials, has_voted, command, signature, subject_count,"
        " ends FROM ringfence.request_list(%s, %s, %s)", (actor, is_approver, only)).fetchall()}


def test_who_may_know_of_which_requests(registrar, server):
    mine, waiting = registrar.add(), registrar.agreed(actor="us_security_officer")
    asked, denied = (registrar.add(actor="us_security_officer") for _ in range(2))
    registrar.move(denied, "deny")
    own = listed(registrar, "us_analyst")
    assert mine in own and not {waiting, asked, denied} & set(own)
    assert own[mine][1:] == ("asked", "us_analyst", 0, 0, False, "the text", "signed", 1, None)
    seen = listed(registrar, "us_legal", True)
    assert waiting in seen and not {asked, denied, mine} & set(seen)
    assert seen[waiting][3:6] == (1, 0, False)
    assert listed(registrar, "us_privacy_officer", True)[waiting][5] is True
    assert set(listed(registrar, "us_legal", True, waiting)) == {waiting}
    assert listed(registrar, "us_analyst", False, waiting) == {}
    registrar.move(waiting, "deny")
    assert waiting in listed(registrar, "us_privacy_officer", True), "he has had a say in it"
    assert waiting not in listed(registrar, "us_legal", True)


# -- what waited too long -----------------------------------------------------------------------------------

def age(server, number, interval):
    server.rows("UPDATE ringfence.request SET at = at - %s::interval WHERE id = %s", interval, number)


def sweep(registrar):
    total = 0
    while (done := registrar.call("request_sweep", "1 day", "10 minutes")[0]) > 0:
        assert done <= 100
        total += done
    return total


def test_the_sweep_ends_what_waited_and_nothing_else(registrar, server):
    sweep(registrar)
    requests = {state: make(registrar, server, state) for state in STATES}
    old = {state: make(registrar, server, state) for state in STATES}
    for number in old.values():
        age(server, number, "1 day 1 second")
    young = registrar.add()
    age(server, young, "9 minutes 50 seconds")
    assert sweep(registrar) == 3
    for state in STATES:
        assert state_of(server, requests[state]) == state
        assert state_of(server, old[state]) == ("lapsed" if state in ("asked", "waiting", "approved") else state)
    assert state_of(server, young) == "asked"
    age(server, young, "11 seconds")
    assert sweep(registrar) == 1 and state_of(server, young) == "lapsed"
    for bad in (("0", "1 day"), ("1 day", "-1 day"), (None, "1 day"), ("1 day", None)):
        refused("22023", registrar.call, "request_sweep", *bad)


def test_the_sweep_says_what_became_of_closed_grants(registrar, server):
    expired, closed, running = (registrar.request("open") for _ in range(3))
    end_now(server, expired)
    server.rows("SELECT ringfence.grant_close(%s)", closed)
    with login(server, "rf_control") as control:
        while control.execute("SELECT ringfence.grant_reap()").fetchone()[0] > 0:
            pass
    assert sweep(registrar) == 2
    assert [state_of(server, n) for n in (expired, closed, running)] == ["expired", "revoked", "open"]
    registrar.call("request_revoke", running)


def test_the_sweep_takes_a_hundred_at_a_time(registrar, server):
    sweep(registrar)
    first = registrar.add()
    server.rows("INSERT INTO ringfence.request SELECT id + i, actor, rule, purpose, classes, subjects, keys,"
                " salts, seconds, is_break_glass, from_home, command, signature, gateway, at, state"
                " FROM ringfence.request, generate_series(1, 149) i WHERE id = %s", first)
    server.rows("UPDATE ringfence.request SET at = at - interval '1 hour' WHERE id >= %s", first)
    assert [registrar.call("request_sweep", "1 day", "10 minutes")[0] for _ in range(3)] == [100, 50, 0]


def test_what_was_approved_and_not_opened_is_found_behind_a_thousand_others(registrar, server):
    sweep(registrar)
    waiting, left, young = registrar.request("waiting"), registrar.request("approved"), registrar.request("approved")
    running = registrar.request("open")
    server.rows("INSERT INTO ringfence.request SELECT id + i, actor, rule, purpose, classes, subjects, keys,"
                " salts, seconds, is_break_glass, from_home, command, signature, gateway, at, state, leaf"
                " FROM ringfence.request, generate_series(1000, 2100) i WHERE id = %s", waiting)
    for number in (waiting, left, running):
        age(server, number, "1 minute")
    found = server.rows("SELECT ringfence.requests_left('15 s')")
    # the list that people are shown ends after a thousand
    assert (left,) not in server.rows("SELECT request FROM ringfence.request_list('-', true, NULL)")
    assert (left,) in found and not {(waiting,), (young,), (running,)} & set(found)
    server.rows("DELETE FROM ringfence.request WHERE id >= %s", waiting + 1000)
    for number in (left, young):
        registrar.move(number, "withdraw")
    registrar.call("request_revoke", running)


# -- two at once ----------------------------------------------------------------------------------------------

class Race:
    """FIRST inside a transaction; SECOND begins, must wait for it, and goes on after COMMIT."""

    def __init__(self, registrar, second, server):
        self.registrar, self.second, self.server = registrar, second, server

    def __call__(self, first, then, waits=True):
        self.registrar.connection.execute("BEGIN")
        first(self.registrar)
        outcome = []

        def run():
            try:
                outcome.append(then(self.second))
            except psycopg.Error as error:
                outcome.append(error.sqlstate)

        thread = threading.Thread(target=run)
        thread.start()
        if waits:
            wait_until(lambda: self.server.rows(
                "SELECT 1 FROM pg_stat_activity WHERE usename = 'rf_registrar' AND wait_event_type = 'Lock'"),
                "the second one does not wait", timeout=5)
        else:
            thread.join(5)
            assert not thread.is_alive(), "the second one waits"
        self.registrar.connection.execute("COMMIT")
        thread.join(10)
        assert not thread.is_alive()
        return outcome[0]


@pytest.fixture
def race(registrar, second, server):
    return Race(registrar, second, server)


def step(event, number):
    return lambda r: r.open(number) and "open" if event == "open" else r.move(number, event)


@pytest.mark.parametrize("state", ["asked", "waiting", "approved", "open"])
def test_of_two_steps_at_once_the_second_finds_what_the_first_left(race, registrar, server, state):
    """Every pair of events that each could happen in STATE, on two connections."""
    events = [event for (s, event) in STEPS if s == state]
    for one, other in itertools.product(events, events):
        number = registrar.request(state, is_break_glass=state == "asked")
        if state == "open" and "expire" in (one, other):
            end_now(server, number)
        after = STEPS[state, one]
        outcome = race(step(one, number), step(other, number))
        if (after, other) in STEPS:
            assert outcome == STEPS[after, other], (one, other)
        else:
            assert outcome == "55000", (one, other)
        assert is_open(server, number) == (state_of(server, number) == "open"), (one, other)


def test_denied_while_it_is_completed(race, registrar, server):
    number = registrar.agreed()
    registrar.vote(number, "us_security_officer", False)
    assert race(lambda r: r.logged(number, "us_security_officer"),
                lambda r: r.move(number, "complete")) == "55000"
    assert state_of(server, number) == "waiting"
    number = registrar.agreed()
    assert race(lambda r: r.move(number, "complete"),
                lambda r: r.vote(number, "us_security_officer", False)) == "55000"
    assert race(lambda r: r.move(number, "deny"), lambda r: r.open(number)) == "55000"
    assert not is_open(server, number)


def test_two_approvals_at_once(race, registrar, server):
    number = registrar.add()
    registrar.move(number, "logged")
    assert race(lambda r: r.vote(number, "us_security_officer"), lambda r: r.vote(number)) not in ("23505", "55000")
    assert race(lambda r: r.vote(number, "us_legal"), lambda r: r.vote(number, "us_legal")) == "23505"
    assert server.value("SELECT count(*) FROM ringfence.approval WHERE request = %s", number) == 3


def test_one_command_twice_at_once(race):
    used = nonce()
    assert race(lambda r: r.use(used), lambda r: r.use(used)) == "23505"


def test_opened_twice_at_once_is_one_role(race, registrar, server):
    number = registrar.request("approved")
    assert race(lambda r: r.open(number), lambda r: r.open(number)) == "55000"
    assert server.value('SELECT count(*) FROM ringfence."grant" WHERE id = %s', number) == 1


def test_opened_and_revoked_at_once(race, registrar, server):
    number = registrar.request("approved")
    assert race(lambda r: r.open(number), lambda r: r.call("request_revoke", number)) == (True,)
    assert not is_open(server, number) and state_of(server, number) == "revoked"


def test_swept_while_it_is_opened(race, registrar, server):
    sweep(registrar)
    number = registrar.request("approved")
    age(server, number, "2 days")
    assert race(lambda r: r.open(number), lambda r: r.call("request_sweep", "1 day", "1 day"), waits=False) == (0,)
    assert is_open(server, number)
    registrar.call("request_revoke", number)
    number = registrar.request("approved")
    age(server, number, "2 days")
    assert race(lambda r: r.call("request_sweep", "1 day", "1 day"), lambda r: r.open(number)) == "55000"
    assert not is_open(server, number) and state_of(server, number) == "lapsed"


def test_many_at_once_neither_block_each_other_for_ever_nor_open_more_than_was_agreed(server, registrar):
    """Openings, revocations, sweeps, new requests and control's reaping, all at once: no deadlock."""
    numbers = [registrar.request("approved") for _ in range(12)]
    for number in numbers[:4]:
        age(server, number, "2 days")
    problems = []

    def work(seed):
        mine = Registrar(server)
        for turn in range(12):
            number = numbers[(seed * 5 + turn * 7) % len(numbers)]
            for act in (lambda: mine.open(number), lambda: mine.call("request_revoke", number), mine.add,
                        lambda: mine.call("request_sweep", "1 day", "1 day")):
                try:
                    act()
                except psycopg.Error as error:
                    if error.sqlstate != "55000":
                        problems.append(str(error))
        mine.connection.close()

    def reap():
        with login(server, "rf_control") as control:
            for _ in range(30):
                control.execute("SELECT ringfence.grant_reap()")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)] + [threading.Thread(target=reap)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for number in numbers:
        assert is_open(server, number) == (state_of(server, number) == "open")


# -- one dies between -----------------------------------------------------------------------------------------

def has_ended(connection):
    """A server that lost a backend ends all others, and recovers."""
    try:
        connection.execute("SELECT 1")
        return False
    except psycopg.OperationalError:
        return True


def test_what_a_killed_backend_had_not_committed_has_not_happened(own_pair):
    server = own_pair.primary
    registrar = Registrar(server)
    number = registrar.request("approved")
    voted = registrar.add()
    registrar.move(voted, "logged")
    doing = [lambda r: r.open(number), lambda r: r.move(number, "deny"), lambda r: r.vote(voted),
             lambda r: r.add()]
    for act in doing:
        registrar, watch = Registrar(server), server.connect()
        before = server.rows("SELECT id, state, grant_leaf FROM ringfence.request ORDER BY 1")
        pid = registrar.connection.info.backend_pid
        registrar.connection.execute("BEGIN")
        act(registrar)
        os.kill(pid, 9)
        with pytest.raises(psycopg.OperationalError):
            registrar.connection.execute("COMMIT")
        wait_until(lambda: has_ended(watch), "the server does not end its other sessions")
        wait_until(server.answers, "the server does not come back", timeout=30)
        assert server.rows("SELECT id, state, grant_leaf FROM ringfence.request ORDER BY 1") == before
        assert server.value("SELECT count(*) FROM ringfence.approval WHERE request = %s", voted) == 0
        assert server.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rf\\_g\\_%'") == 0
    registrar = Registrar(server)
    registrar.open(number)
    assert is_open(server, number)


def test_a_standby_answers_questions_and_takes_no_step(registrar, region):
    number, waiting = registrar.request("approved"), registrar.agreed()
    registrar.vote(waiting, "us_security_officer")
    region.wait_for_standby()
    there = Registrar(region.standby)
    assert [r["kind"] for r in evidence(there, number)] == ["request", "approve"]
    assert listed(there, "us_analyst")[number][1] == "approved"
    for act in (there.add, lambda: there.move(number, "deny"), lambda: there.open(number),
                lambda: there.vote(waiting, "us_legal"), lambda: there.logged(waiting, "us_security_officer"),
                lambda: there.call("request_revoke", number), lambda: there.call("command_use", nonce(),
                                                                                 time_from_now(60)),
                lambda: there.call("request_sweep", "1 day", "1 day")):
        with pytest.raises(psycopg.Error) as caught:
            act()
        assert caught.value.sqlstate == "25006", caught.value
    there.connection.close()


# -- rights and drift ----------------------------------------------------------------------------------------

FUNCTIONS = {"request_facts", "request_add", "request_move", "approval_add", "approval_logged",
             "request_open", "request_revoke", "request_evidence", "request_list", "command_use",
             "find_subject", "request_sweep", "requests_left", "review_add", "reviews_due", "suspend",
             "suspensions", "lift_add", "refusal_add", "request_tell", "hold_check", "hold_add", "holds", "trace",
             "subjects_of_day", "request_open_within", "grant_budget_read",
             "consent_add", "consent_check", "consent_end", "consent_history", "consent_lacking", "consent_said",
             "consent_sums", "consent_sweep", "alert_act", "alert_add", "alert_list", "alert_review"}


def callable_by(server, role):
    return {name for (name,) in server.rows(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'ringfence'::regnamespace"
        " AND has_function_privilege(%s, p.oid, 'EXECUTE')", role)}


def test_the_registrar_may_call_its_functions_and_nothing_else(server):
    assert callable_by(server, "rf_registrar") == FUNCTIONS
    assert callable_by(server, "rf_control") & (FUNCTIONS | {"grant_open", "request_next"}) \
        == {"request_evidence", "suspensions"}
    for role in ("us_analyst.masked", "app_us", "rf_everybody", "rf_view"):
        assert not callable_by(server, role) & (FUNCTIONS | {"grant_open"}), role


@pytest.mark.parametrize("statement", [
    *(f"SELECT * FROM ringfence.{t}" for t in ("request", "approval", "request_step", "command_nonce", "found",
                                               "review", "suspension", "suspension_vote", "refusal_day", "request_fact", "hold", "hold_vote", "outbox", "grant_budget", '"grant"', "grant_subject", "reveal_token", "object",
                                               "applied", "pseudonym_key", "consent", "consent_event",
                                               "consent_sum", "consent_ended")),
    "UPDATE ringfence.request SET state = 'approved'", "DELETE FROM ringfence.approval",
    "INSERT INTO ringfence.command_nonce VALUES ('x', now())", "SELECT ringfence.request_next(1, 'open')",
    "SELECT ringfence.grant_open(1, 'us_analyst', 'support_ticket', now() + '1 hour', '{42}', '{contact}')",
    "SELECT ringfence.grant_close(1)", "SELECT ringfence.grants()", "SELECT ringfence.reveal_token_read()",
    "SELECT * FROM app.users", "SELECT * FROM masked.users", "SELECT * FROM granted.users", "SET ROLE rf_admin",
    "CREATE ROLE x", "CREATE TEMP TABLE x (n integer)", "SELECT pg_terminate_backend(1)",
    "ALTER FUNCTION ringfence.request_open(bigint, text) OWNER TO rf_registrar"])
def test_the_registrar_has_nothing_but_the_functions(registrar, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        registrar.connection.execute(statement)


@pytest.fixture
def command(scratch, authority, build, region):
    """ringfence COMMAND on this region, with a policy that can be changed."""
    def run(*arguments, policy=None):
        folder = os.path.join(scratch, f"requests-{time.monotonic_ns()}")
        gateway = Gateway(folder, region, authority, build, "full", policy=policy)
        return gateway.command(*arguments, "--dsn", region.primary.dsn())
    return run


def test_requests_are_no_drift_and_survive_an_apply(registrar, server, command):
    number = registrar.request("open")
    done = command("plan", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert command("apply").returncode == 0
    assert is_open(server, number) and state_of(server, number) == "open"
    registrar.call("request_revoke", number)


@pytest.mark.parametrize("sql, undo", [
    ("CREATE OR REPLACE VIEW ringfence.request_step (state, event, next) AS VALUES ('asked'::text,"
     " 'lapse'::text, 'open'::text)", None),
    ("ALTER VIEW ringfence.request_step OWNER TO app_owner", None),
    ("GRANT EXECUTE ON FUNCTION ringfence.grant_open(bigint, text, text, timestamptz, text[], text[])"
     " TO rf_control", None),
    ("GRANT SELECT ON ringfence.request TO rf_registrar", None),
    ("GRANT UPDATE ON ringfence.approval TO app_us", "REVOKE ALL ON ringfence.approval FROM app_us"),
    ("GRANT rf_admin TO rf_registrar", None),
    # of an apply before commands were used in one place
    ("CREATE FUNCTION ringfence.lift_add(actor text, voter text, command text, signature text, nonce text,"
     " expires timestamptz, leaf text) RETURNS integer LANGUAGE sql AS 'SELECT 2'; INSERT INTO ringfence.object"
     " (name, source, definition) SELECT 'ringfence.lift_add(' || oidvectortypes(p.proargtypes) || ')', 'x',"
     " pg_get_functiondef(p.oid) FROM pg_proc p WHERE proname = 'lift_add' AND pronargs = 7", None),
    ("ALTER ROLE rf_registrar PASSWORD 'x'", None), ("ALTER ROLE rf_registrar CREATEDB", None)])
def test_what_was_changed_by_hand_is_found_and_set_right(server, command, sql, undo):
    server.rows(sql)
    try:
        assert command("plan", "--check").returncode == 1
    finally:
        if undo:
            server.rows(undo)
        assert command("apply").returncode == 0
    done = command("plan", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {(s, e): n for s, e, n in server.rows("SELECT * FROM ringfence.request_step")} == STEPS
    assert server.value("SELECT count(*) FROM pg_proc WHERE proname = 'lift_add'") == 1


# -- finding ------------------------------------------------------------------------------------------------

FIND = {"email": "app.users.email", "handle": "app.users.handle", "phone": "app.users.phone"}


@pytest.fixture(scope="module")
def finding(region, scratch, authority, build):
    """The policy lets persons be found. These tests are the last of the module, and it ends as it began."""
    def add(policy):
        policy["grants"] = {**policy.get("grants", {}), "find": {"by": FIND, "per_day": 5}}

    gateways = [Gateway(os.path.join(scratch, f"finding-{name}"), region, authority, build, "full", policy=how)
                for name, how in (("with", add), ("without", None))]
    done = gateways[0].command("apply", "--dsn", region.primary.dsn())
    assert done.returncode == 0, done.stdout + done.stderr
    yield
    assert gateways[1].command("apply", "--dsn", region.primary.dsn()).returncode == 0


def find(registrar, by, value, actor="us_analyst", per_day=1000):
    return registrar.call("find_subject", actor, by, value, per_day)


def handle_of(key, salt):
    """As src/policy/evidence.h has it."""
    return "h-" + hashlib.sha256(f"ringfence-handle@1\n{key}\n{salt}".encode()).hexdigest()[:32]


def test_where_the_policy_has_no_way_nobody_is_found(registrar):
    refused("22023", find, registrar, "name", "x")


@pytest.mark.parametrize("by, value", [("email", "person42@mail.example"), ("handle", "秘密_42"),
                                       ("phone", "+12025550043")])
def test_a_handle_stands_for_one_person_and_for_who_has_found_him(finding, registrar, server, by, value):
    handle, key = find(registrar, by, value)
    assert key == ("43" if by == "phone" else SUBJECT)
    salt = server.value("SELECT salt FROM ringfence.found WHERE handle = %s", handle)
    assert handle == handle_of(key, salt) and len(salt) == 64
    assert facts(registrar, handle, CHILD) == ([key, CHILD], [salt, ""], 0, 1)
    assert registrar.call("request_facts", "us_security_officer", [handle])[2] == 1, "it is not his"
    number = registrar.add(subjects=[handle])
    row = evidence(registrar, number)[0]
    assert (row["keys"], row["salts"]) == ([key], [salt])
    server.rows("UPDATE ringfence.found SET at = at - interval '1 day' WHERE handle = %s", handle)
    assert facts(registrar, handle)[2] == 1, "a day is over"
    registrar.move(number, "logged")
    registrar.vote(number)
    registrar.logged(number)
    registrar.move(number, "complete")
    registrar.open(number)
    assert evidence(registrar, number)[0]["grant_subjects"] == [key]
    registrar.call("request_revoke", number)


@pytest.mark.parametrize("by, value", [
    ("email", "nobody@mail.example"), ("email", "PERSON42@mail.example"), ("email", "person42@mail.exampl_"),
    ("email", "%"), ("phone", "' OR true --"), ("handle", " 秘密_42")])
def test_a_miss_looks_like_a_hit(finding, registrar, server, by, value):
    first, second = find(registrar, by, value), find(registrar, by, value)
    assert first[1] is None and second[1] is None and first[0] != second[0]
    assert first[0].startswith("h-") and len(first[0]) == 34
    assert facts(registrar, first[0])[2] == 1
    refused("02000", registrar.add, subjects=[first[0]])
    assert server.value("SELECT count(*) FROM ringfence.found WHERE handle = %s AND key IS NULL", first[0]) == 1


def test_what_two_persons_share_finds_nobody(finding, registrar, server):
    server.rows("UPDATE app.users SET phone = '+1 000' WHERE id IN (42, 43)")
    assert find(registrar, "phone", "+1 000")[1] is None
    server.rows("UPDATE app.users SET phone = '+1202555' || lpad(id::text, 4, '0') WHERE id IN (42, 43)")


def test_hit_and_miss_read_as_much(finding, registrar, server):
    """Timing is the sum of what is read: the same plan, the same table to its end, the same row written."""
    source = server.value("SELECT prosrc FROM pg_proc WHERE proname = 'find_subject'")
    assert source.count("min(x.key)") == len(FIND) and "LIMIT" not in source and "EXISTS" not in source


def test_nobody_looks_for_more_than_he_may_in_a_day(finding, registrar, second, server):
    who = "us_security_officer"
    for turn in range(5):
        find(registrar, "email", f"person{turn}@mail.example" if turn % 2 else "nobody", who, 5)
    for value in ("person42@mail.example", "nobody"):
        refused("53400", find, registrar, "email", value, who, 5)
    find(registrar, "email", "nobody", "us_privacy_officer", 5)
    server.rows("UPDATE ringfence.found SET at = at - interval '1 day' WHERE actor = %s", who)
    find(registrar, "email", "nobody", who, 5)
    assert server.value("SELECT count(*) FROM ringfence.found WHERE actor = %s", who) == 1


def test_two_at_once_are_not_both_the_last_one(finding, race, server):
    who = "us_legal"
    assert race(lambda r: find(r, "email", "nobody", who, 3), lambda r: find(r, "email", "x", who, 3))[1] is None
    assert race(lambda r: find(r, "email", "nobody", who, 3), lambda r: find(r, "email", "x", who, 3)) == "53400"


@pytest.mark.parametrize("arguments", [
    ("", "email", "x", 5), (None, "email", "x", 5), ("us_analyst", None, "x", 5), ("us_analyst", "Email", "x", 5),
    ("us_analyst", "email", "", 5), ("us_analyst", "email", None, 5), ("us_analyst", "email", "4711" * 200, 5),
    ("us_analyst", "email", "x", 0), ("us_analyst", "email", "x", None)])
def test_bad_arguments_find_nobody(finding, registrar, server, arguments):
    before = server.value("SELECT count(*) FROM ringfence.found")
    refused("22023", registrar.call, "find_subject", *arguments)
    assert server.value("SELECT count(*) FROM ringfence.found") == before


def test_a_way_to_find_that_leads_to_no_column_is_refused(command):
    for where in ("app.users.nothing", "app.nothing.email"):
        def add(policy, where=where):
            policy["grants"] = {"find": {"by": {"email": where}, "per_day": 5}}
        done = command("plan", policy=add)
        assert done.returncode not in (0, 1) and where.split(".")[-1] in done.stderr, done.stderr


# -- budgets -------------------------------------------------------------------------------------------------

@pytest.fixture
def control(server):
    with login(server, "rf_control") as connection:
        yield lambda sql, *values: connection.execute(f"SELECT * FROM ringfence.{sql}", values).fetchall()


def test_what_is_taken_of_a_budget_is_counted_once_for_all(registrar, control):
    number = registrar.request("open")
    take = "grant_budget_take(%s, %s, %s, %s, %s)"
    assert control(take, number, 50, None, 10, 0) == [(12, 0, 38, None)]     # and a sixteenth of the other 40
    assert control(take, number, 50, None, 39, 0) == [(0, 0, 38, None)]      # all or nothing
    assert control(take, number, 50, None, 38, 0) == [(38, 0, 0, None)]
    assert control(take, number, 50, None, 1, 0) == [(0, 0, 0, None)]
    assert control(take, number, 20, None, 1, 0) == [(0, 0, 0, None)]        # the policy has a smaller one now
    control("grant_budget_return(%s, %s, %s)", number, 5, 0)
    assert registrar.call("grant_budget_read", [number]) == (number, 45, 0)
    assert control(take, number, 50, 4096, 5, 4000) == [(5, 4006, 0, 90)]    # both, or none of them
    assert control(take, number, 60, 4096, 5, 100) == [(0, 0, 10, 90)]
    control("grant_budget_return(%s, %s, %s)", number, 2**40, 2**40)         # never below nothing
    assert registrar.call("grant_budget_read", [number]) == (number, 0, 0)
    for wrong in ((number, 50, 50, -1, 0), (number, 50, 50, None, 0), (number, -1, 50, 1, 0)):
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            control(take, *wrong)
    assert control(take, 424242, 50, 50, 1, 1) == []


def test_a_grant_that_is_used_up_is_closed_once_and_for_that_reason(registrar, control, server):
    number = registrar.request("open")
    assert control("grant_use_up(%s)", number) == [(True,)]
    assert control("grant_use_up(%s)", number) == [(False,)]
    assert control("grant_budget_take(%s, 50, 50, 1, 1)", number) == []
    assert state_of(server, number) == "used_up"
    assert [row[-1] for row in control("grants()") if row[0] == number] == [True]
    revoked = registrar.request("revoked")
    assert control("grant_use_up(%s)", revoked) == [(False,)]
    assert state_of(server, revoked) == "revoked"
    assert [row[-1] for row in control("grants()") if row[0] == revoked] in ([False], [])


def test_the_sweep_tells_a_request_whose_grant_was_used_up(registrar, server):
    number = registrar.request("open")
    server.rows("SELECT ringfence.grant_close(%s)", number)
    server.rows('UPDATE ringfence."grant" SET used_up = true WHERE id = %s', number)
    registrar.call("request_sweep", "1 day", "1 day")
    assert state_of(server, number) == "used_up"
