"""Grants by signatures under attack: each of these got something before it was mended, or is what holds."""

import http.client
import json
import os
import socket
import ssl
import time

import psycopg
import pytest

from conftest import SLOW
from test_approvals import ANALYST, MANAGER, NAMES, PRIVACY, SECURITY, SUBJECT, Home, enter, open_request
from commands import People, Reply
from waiting import wait_until

OTHER = 9
HIDDEN = "REF-7141-not-for-any-log"


@pytest.fixture(scope="module")
def home(scratch, authority, request):
    folder = os.path.join(scratch, "attacked-home")
    os.makedirs(folder, mode=0o755)
    made = Home(folder, authority, request)
    yield made
    made.stop()


@pytest.fixture
def people(home):
    return home.people


def is_closed(home, number):
    return home.pair.primary.value('SELECT closed IS NOT NULL FROM ringfence."grant" WHERE id = %s', number)


def assert_ends(home, number):
    wait_until(lambda: is_closed(home, number), "the grant is not closed", timeout=20 * SLOW)
    with pytest.raises(psycopg.OperationalError):
        enter(home, number).close()


def records(home, **wanted):
    return home.gateway.journal(**wanted)


# --- somebody who may edit rows -------------------------------------------------------------------


def test_a_person_who_is_exchanged_in_an_open_grant_ends_it(home, people):
    """No counter says so, and the grant still names as many."""
    number = open_request(people)
    enter(home, number).close()
    home.pair.primary.rows("UPDATE ringfence.grant_subject SET subject = %s, label = %s WHERE role ="
                           ' (SELECT role FROM ringfence."grant" WHERE id = %s)', str(OTHER), str(OTHER), number)
    assert_ends(home, number)
    assert f"grant={number} reason=\"the grant names other persons" in home.gateway.log()


@pytest.mark.parametrize("change", [
    "DELETE FROM ringfence.approval WHERE request = %s AND actor = 'us_privacy_officer'",
    "UPDATE ringfence.approval SET leaf = NULL WHERE request = %s AND actor = 'us_privacy_officer'",
    "UPDATE ringfence.approval SET from_home = false WHERE request = %s AND actor = 'us_privacy_officer'",
    "UPDATE ringfence.request SET keys = ARRAY['9'] WHERE id = %s",
    "UPDATE ringfence.request SET command = replace(command, 'subject 8', 'subject 9') WHERE id = %s",
])
def test_what_proves_an_open_grant_must_stay(home, people, change):
    number = open_request(people)
    home.pair.primary.rows(change, number)
    assert_ends(home, number)


def test_whoever_has_the_registrars_login_shows_nobody_anything(home):
    """All steps that its functions allow, by texts that nobody signed."""
    server = home.pair.primary
    with psycopg.connect(server.dsn().replace("user=postgres", "user=rf_registrar"), autocommit=True) as login:
        def call(sql, *values):
            return login.execute(sql, values).fetchone()[0]

        number = call("SELECT id FROM ringfence.request_add(%s, 'support', 'support_ticket', ARRAY['contact'],"
                      " ARRAY['8'], 600, false, true, 'text', 'signature', 'gw', 1)", ANALYST)
        call("SELECT ringfence.request_move(%s, 'logged', '1 log')", number)
        for officer in (PRIVACY, SECURITY):
            call("SELECT ringfence.approval_add(%s, %s, true, true, 'text', 'signature', 'gw')", number, officer)
            call("SELECT ringfence.approval_logged(%s, %s, '2 log')", number, officer)
        call("SELECT ringfence.request_move(%s, 'complete', NULL)", number)
        call("SELECT ringfence.request_open(%s, '3 log')", number)
    assert_ends(home, number)


# --- somebody who asks ----------------------------------------------------------------------------


def test_whoever_may_not_ask_learns_nothing_of_whom_he_names(home, people):
    child = home.pair.primary.value("SELECT id FROM app.users WHERE birthdate > now() - interval '15 years'"
                                    " LIMIT 1")
    for who, more in ((MANAGER, {}), ("us_head_of_data", {"purpose": "legal_demand"}),
                      (ANALYST, {"classes": ["location"]}), ("cn_engineer", {"purpose": "security_incident"})):
        answers = {(reply.status, reply.rule) for reply in (
            people.ask(who, [subject], **more) for subject in (SUBJECT, child, 123456789, "h-" + "0" * 32))}
        assert len(answers) == 1 and answers.pop()[0] == 403, (who, answers)


def test_what_can_never_open_lapses_and_is_on_record_once_at_most(home, people):
    primary = home.pair.primary
    primary.rows("INSERT INTO app.users (id, handle, email, birthdate, residency)"
                 " VALUES (770001, 'leaver', 'leaver@example.com', '1980-01-01', 'US')")
    number = people.ask(ANALYST, [770001]).json["request"]
    assert people.vote(PRIVACY, number).json["state"] == "waiting"
    text = people.request_text(SECURITY, number)
    primary.rows("DELETE FROM app.users WHERE id = 770001")
    assert people.vote(SECURITY, number, of=text).json["state"] == "lapsed"
    assert home.state(number) == "lapsed"
    assert len(records(home, type="request", grant=number)) == 1
    assert len(records(home, type="grant", grant=number)) == 1  # it stood before the database refused


def test_many_requests_of_one_do_not_hide_those_of_another(home, people):
    primary = home.pair.primary
    theirs = people.ask(PRIVACY, [SUBJECT], purpose="legal_demand", reference="court order").json["request"]
    number = people.ask(ANALYST, [SUBJECT], reference="x" * 500).json["request"]
    primary.rows("INSERT INTO ringfence.request SELECT id + 100000 + n, actor, rule, purpose, classes, subjects,"
                 " keys, salts, seconds, is_break_glass, from_home, command, signature, gateway, at, state, leaf,"
                 " grant_leaf, end_leaf FROM ringfence.request, generate_series(1, 400) n WHERE id = %s", number)
    try:
        reply = people.do(SECURITY, "grants")
        assert reply.status == 200, reply
        assert theirs in [one["request"] for one in reply.json["requests"]]
    finally:
        primary.rows("UPDATE ringfence.request SET state = 'lapsed' WHERE id > %s", number + 100000)


# --- somebody who repeats -------------------------------------------------------------------------


def test_a_review_that_comes_again_is_not_on_record_again(home, people):
    opened = people.ask(SECURITY, [SUBJECT], purpose="security_incident", verb="break-glass", reason="taken over")
    number = opened.json["request"]
    text = people.text(PRIVACY, "review", request=number, verdict="proper", reason="I looked")
    signature = people.sign(text, PRIVACY)
    assert people.post(text, signature).status == 200
    again = [people.post(text, signature) for _ in range(3)]
    assert {reply.rule for reply in again} == {"used-before"}
    assert len(records(home, type="review", grant=number)) == 1


ASKED = {"subject": ["8"], "class_": ["contact"], "purpose": "support_ticket", "seconds": 60, "reference": "T-9"}
OF_ONE = {  # verb: who says it, how it is answered, what else is in it
    "find": (ANALYST, 200, {"by": "handle", "value": "nobody", "purpose": "support_ticket", "reference": "T-9"}),
    "request": (ANALYST, 200, ASKED), "break-glass": (ANALYST, 403, {**ASKED, "reason": "x"}),
    "approve": (PRIVACY, 200, {}), "deny": (PRIVACY, 200, {"reason": "x"}), "revoke": (ANALYST, 200, {}),
    "review": (PRIVACY, 409, {"verdict": "proper", "reason": "x"}), "grants": (ANALYST, 200, {}),
    "lift": (PRIVACY, 409, {"person": ANALYST, "reason": "x"})}


@pytest.mark.parametrize("verb", OF_ONE)
def test_a_command_that_comes_again_does_nothing_again(home, people, verb):
    """Done or refused, it was used before its verb ran; a false signature uses nothing."""
    actor, status, fields = OF_ONE[verb]
    if verb in ("approve", "deny", "revoke", "review"):
        fields = {**fields, "request": people.ask(ANALYST, [SUBJECT]).json["request"]}
    if verb in ("approve", "deny"):
        number = fields.pop("request")
        text = people.vote_text(actor, number, people.request_text(actor, number), verb, **fields)
    else:
        text = people.text(actor, verb, **fields)
    signature = people.sign(text, actor)
    assert people.post(text, people.sign(text, SECURITY)).status == 401
    first = people.post(text, signature)
    assert first.status == status, first
    before = [one.get("text") for one in records(home)].count(text)
    again = people.post(text, signature)
    assert (again.status, again.rule) == (401, "used-before"), again
    assert [one.get("text") for one in records(home)].count(text) == before


def test_whoever_has_voted_votes_no_second_time_in_another_way(home, people):
    """Another text, the other form of a signature, another hub: one person fills one place."""
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    text = people.request_text(PRIVACY, number)
    assert people.vote(PRIVACY, number, of=text).json["state"] == "waiting"
    for more in ({}, {"reason": "again"}, {"reason": "and again"}):
        assert people.vote(PRIVACY, number, **more).rule == "approver-twice"
    home.pair.primary.rows(
        "INSERT INTO ringfence.approval SELECT request, 'us_security_officer', approves, from_home, command,"
        " signature, gateway, at, leaf FROM ringfence.approval WHERE request = %s", number)
    third = people.vote(SECURITY, number, of=text)
    assert (third.status, third.rule) == (409, "evidence-false"), third
    assert home.state(number) == "waiting"


# --- from where -----------------------------------------------------------------------------------


def test_an_officer_who_travels_neither_asks_nor_approves(home, people):
    """At home by identity, abroad by the network he comes from: at a gateway that says so."""
    def abroad(policy):
        policy["networks"] = {"loopback": {"range": "127.0.0.0/8", "place": "CN"}}

    second, port = home.new_gateway(abroad)
    there = People(people.folder, NAMES)
    there.port, there.ca = port, people.ca
    try:
        number = people.ask(ANALYST, [SUBJECT]).json["request"]
        text = people.request_text(PRIVACY, number)
        assert there.vote(PRIVACY, number, of=text).rule == "approver-abroad"
        assert number not in [one["request"] for one in there.do(PRIVACY, "grants").json["requests"]]
        assert there.ask(ANALYST, [SUBJECT]).rule == "requester-abroad"
        assert home.state(number) == "waiting"
    finally:
        second.public_log.witness.stop()


def post_by_socket(home, text, signature):
    connection = http.client.HTTPConnection("hub", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(home.gateway.path("run/hub.sock"))
    connection.request("POST", "/api/v1/commands", json.dumps({"command": text, "signature": signature}),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return Reply(answer.status, dict(answer.getheaders()), answer.read())


def test_behind_a_proxy_nobody_is_at_home(home, people):
    """Its unix socket says nothing of where somebody comes from."""
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    vote = people.vote_text(PRIVACY, number, people.request_text(PRIVACY, number))
    assert post_by_socket(home, vote, people.sign(vote, PRIVACY)).rule == "approver-abroad"
    text = people.text(ANALYST, "request", subject=["8"], class_=["contact"], purpose="support_ticket", seconds=60,
                       reference="T-1")
    assert post_by_socket(home, text, people.sign(text, ANALYST)).rule == "requester-abroad"
    assert home.state(number) == "waiting"


# --- strangers ------------------------------------------------------------------------------------


def test_posts_that_never_end_shut_nobody_out(people):
    context = ssl.create_default_context(cafile=people.ca)
    held = []
    try:
        for _ in range(90):
            raw = socket.create_connection(("127.0.0.1", people.port), timeout=30)
            held.append(context.wrap_socket(raw, server_hostname="127.0.0.1"))
            held[-1].sendall(b"POST /api/v1/commands HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
                             b"Content-Length: 30000\r\n\r\n{")
        assert people.do(ANALYST, "grants").status == 200
    finally:
        for one in held:
            one.close()


def test_a_key_that_nobody_knows_costs_nothing_and_is_not_answered_otherwise(people):
    people.make_key("stranger")
    text = people.text(ANALYST, "grants")
    wrong = people.post(text, people.sign(text, "stranger"))
    false = people.post(text, people.sign(text + "x", ANALYST))
    assert (wrong.status, wrong.body) == (401, false.body)


# --- what is left behind --------------------------------------------------------------------------


def test_no_log_says_who_was_meant_or_why(home, people):
    email = home.pair.primary.value("SELECT email FROM app.users WHERE id = %s", SUBJECT)
    people.do(ANALYST, "find", by="email", value=email, purpose="support_ticket", reference=HIDDEN)
    people.do(ANALYST, "find", by="phone", value=email, purpose="support_ticket", reference=HIDDEN)
    handle = "h-" + "5" * 32
    number = people.ask(ANALYST, [handle], reference=HIDDEN)
    assert number.status == 404
    number = people.ask(ANALYST, [SUBJECT], reference=HIDDEN).json["request"]
    people.vote(PRIVACY, number, verb="deny", reason=HIDDEN)
    time.sleep(1)
    logs = home.gateway.log()
    for server in (home.pair.primary, home.pair.standby):
        with open(server.log, encoding="utf-8", errors="replace") as text:
            logs += text.read()
    assert "database system is ready" in logs
    for secret in (HIDDEN, email, handle, "BEGIN SSH SIGNATURE"):
        assert secret not in logs, secret
    assert HIDDEN not in json.dumps(home.gateway.public_log.leaves())
