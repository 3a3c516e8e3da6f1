"""Suspension: whoever touches a honey subject, or is refused too often, may do nothing more in the region until
two others say so. With real commands, a real region, real sessions."""

import hashlib
import os
import time

import psycopg
import pytest

from conftest import SLOW
from test_approvals import ANALYST, HIS_CHIEF, PRIVACY, SECURITY, SUBJECT, Home, enter, open_request
from waiting import wait_until

HONEY, ENGINEER, HEAD = 11, "cn_engineer", "us_head_of_data"
REFUSALS = 8


class HoneyHome(Home):
    def set_policy(self, policy):
        super().set_policy(policy)
        text = f"ringfence-sensitive@1\nus-virginia\n{HONEY}\n"
        policy["grants"]["honey"] = [hashlib.sha256(text.encode()).hexdigest()]
        policy["grants"]["denials"] = {"per_day": REFUSALS}


@pytest.fixture(scope="module")
def home(scratch, authority, request):
    folder = os.path.join(scratch, "honey")
    os.makedirs(folder, mode=0o755)
    made = HoneyHome(folder, authority, request)
    yield made
    made.stop()


@pytest.fixture
def people(home):
    yield home.people
    home.pair.primary.rows("UPDATE ringfence.suspension SET lifted_at = now() WHERE lifted_at IS NULL")
    home.pair.primary.rows("DELETE FROM ringfence.refusal_day")


def suspended(home):
    return [actor for (actor,) in home.pair.primary.rows("SELECT actor FROM ringfence.suspensions()")]


def lift(people, voter, person):
    return people.do(voter, "lift", person=person, reason="it was an exercise")


def is_closed(home, number):
    return home.pair.primary.value('SELECT closed IS NOT NULL FROM ringfence."grant" WHERE id = %s', number)


def wait_for_login(home, actor):
    def try_it():
        try:
            home.gateway.connect(actor).close()
        except psycopg.OperationalError:
            return False
        return True
    wait_until(try_it, f"{actor} cannot log in", timeout=20 * SLOW)


def ended_after(connection, began):
    while True:
        try:
            connection.execute("SELECT 1")
        except psycopg.Error as error:
            return time.monotonic() - began, error
        assert time.monotonic() - began < 20 * SLOW, "the session goes on"
        time.sleep(0.05)


def test_a_touch_ends_everything_at_once_and_two_others_lift_it(home, people):
    wait_for_login(home, ANALYST)
    number = open_request(people)
    nobody = people.ask(ANALYST, [123456789])
    granted, masked = enter(home, number), home.gateway.connect(ANALYST)
    others = home.gateway.connect(PRIVACY)
    assert len(granted.execute("select email from users").fetchall()) == 1
    touched = people.ask(ANALYST, [SUBJECT, HONEY])
    began = time.monotonic()
    assert (touched.status, touched.json) == (nobody.status, nobody.json), touched   # the answer does not tell
    for connection in (granted, masked):
        took, error = ended_after(connection, began)
        assert took < 1.5 * SLOW, (took, error)
    wait_until(lambda: is_closed(home, number), "his grant stays open", timeout=5 * SLOW)
    with pytest.raises(psycopg.OperationalError, match="this login is suspended"):
        home.gateway.connect(ANALYST).close()
    for refused in (people.ask(ANALYST, [SUBJECT]), people.do(ANALYST, "grants"),
                    people.do(ANALYST, "revoke", request=number)):
        assert (refused.status, refused.rule) == (403, "requester-suspended"), refused
    others.execute("SELECT count(*) FROM users")                                     # nobody else is
    others.close()
    record = home.gateway.journal(kind="suspension")[-1]
    assert record["rule"] == "honey" and f"subject {HONEY}\n" in record["text"], record
    assert not any("honey" in str(leaf) for leaf in home.gateway.public_log.leaves())

    for voter, rule in ((ANALYST, "approver-suspended"), (HEAD, "approver-chain"),
                        (HIS_CHIEF, "approver-abroad"), ("eu_privacy_officer", "approver-abroad")):
        vote = lift(people, voter, ANALYST)
        assert (vote.status, vote.rule) == (403, rule), (voter, vote)
    assert lift(people, PRIVACY, SECURITY).rule == "not-suspended"
    assert people.do(PRIVACY, "grants").json["suspended"][0]["person"] == ANALYST
    assert lift(people, PRIVACY, ANALYST).json == {"person": ANALYST, "state": "suspended", "votes": 1}
    assert lift(people, PRIVACY, ANALYST).rule == "approver-twice"
    assert suspended(home) == [ANALYST]
    assert lift(people, SECURITY, ANALYST).json == {"person": ANALYST, "state": "lifted", "votes": 2}
    assert suspended(home) == []
    assert len(home.gateway.journal(kind="lifting")) == 2
    wait_for_login(home, ANALYST)
    assert people.ask(ANALYST, [SUBJECT]).status == 200
    assert is_closed(home, number)                                                   # what ended stays so


def test_what_a_suspended_approver_approved_counts_nothing(home, people):
    opened = open_request(people)
    enter(home, opened).close()
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    of = people.request_text(PRIVACY, number)
    assert people.vote(SECURITY, number, of=of).json["state"] == "waiting"
    glass = people.ask(SECURITY, [HONEY], purpose="security_incident", verb="break-glass", reason="a look")
    assert (glass.status, glass.rule) == (404, "subject-unknown"), glass
    assert people.vote(PRIVACY, number, of=of).json["state"] == "waiting"
    assert people.vote(SECURITY, number, verb="deny", of=of, reason="x").rule == "approver-suspended"
    wait_until(lambda: is_closed(home, opened), "a grant that he approved stays open", timeout=5 * SLOW)
    with pytest.raises(psycopg.OperationalError):
        enter(home, opened).close()
    assert home.pair.primary.value('SELECT count(*) FROM ringfence."grant" WHERE id = %s', number) == 0


def test_the_vote_of_one_who_is_suspended_meanwhile_lifts_nothing(home, people):
    assert people.ask(ANALYST, [HONEY]).status == 404
    assert lift(people, SECURITY, ANALYST).json["votes"] == 1
    assert people.ask(SECURITY, [HONEY], purpose="security_incident", verb="break-glass",
                      reason="a look").status == 404
    assert lift(people, PRIVACY, ANALYST).json == {"person": ANALYST, "state": "suspended", "votes": 1}
    assert suspended(home) == [ANALYST, SECURITY]


def test_whoever_finds_a_honey_subject_gets_a_handle_like_any_other(home, people):
    email = home.pair.primary.value("SELECT email FROM app.users WHERE id = %s", HONEY)
    found = people.do(ANALYST, "find", by="email", value=email, purpose="support_ticket", reference="T-3")
    assert found.status == 200 and set(found.json) == {"handle"} and len(found.json["handle"]) == 34
    assert people.ask(ANALYST, [found.json["handle"]]).rule == "requester-suspended"


def test_so_many_refusals_in_a_day_suspend(home, people):
    for i in range(REFUSALS):
        assert suspended(home) == [], i
        refused = people.ask(ENGINEER, [SUBJECT])
        assert refused.status == 403 and refused.rule != "requester-suspended", refused
    assert suspended(home) == [ENGINEER]
    assert people.ask(ENGINEER, [SUBJECT]).rule == "requester-suspended"
    assert home.gateway.journal(kind="suspension")[-1]["rule"] == "denials"


def test_a_refused_look_at_grants_is_a_refusal_like_others(home, people):
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    for _ in range(REFUSALS):
        assert people.do(ENGINEER, "grants").status == 200
        assert suspended(home) == []
        assert people.do(ENGINEER, "grants", request=number).status == 404
    assert suspended(home) == [ENGINEER]


def test_a_lift_that_comes_again_is_not_on_record_again(home, people):
    """Neither while the suspension lasts nor in the next one."""
    assert people.ask(ANALYST, [HONEY]).status == 404
    text = people.text(PRIVACY, "lift", person=ANALYST, reason="it was an exercise")
    signature = people.sign(text, PRIVACY)
    before = len(home.gateway.journal(kind="lifting"))
    assert people.post(text, signature).json["votes"] == 1
    assert people.post(text, signature).rule == "used-before"
    assert lift(people, SECURITY, ANALYST).json["state"] == "lifted"
    assert people.ask(ANALYST, [HONEY]).status == 404
    again = people.post(text, signature)
    assert (again.status, again.rule) == (401, "used-before"), again
    assert suspended(home) == [ANALYST]
    assert len(home.gateway.journal(kind="lifting")) == before + 2


def test_of_more_than_are_counted_everybody_is_suspended_and_can_still_lift(home, people):
    home.pair.primary.rows("INSERT INTO ringfence.suspension SELECT 'leaver' || n, now(), 'denials', 'leaf', NULL"
                           " FROM generate_series(1, 256) n")
    number = people.ask(SECURITY, [SUBJECT], purpose="security_incident", verb="break-glass", reason="now")
    assert number.json["state"] == "open", number                                    # 256 are only themselves
    assert people.ask(ANALYST, [HONEY]).status == 404
    for actor, rule, refused in (
            (ENGINEER, "requester-suspended", people.ask(ENGINEER, [SUBJECT])),
            (PRIVACY, "approver-suspended", people.do(PRIVACY, "review", request=number.json["request"],
                                                      verdict="proper", reason="x")),
            (ANALYST, "requester-suspended", people.do(ANALYST, "grants"))):
        assert (refused.status, refused.rule) == (403, rule), (actor, refused)
    assert home.pair.primary.rows("SELECT 1 FROM ringfence.refusal_day WHERE actor = %s", ENGINEER) == []
    assert [one["person"] for one in people.do(PRIVACY, "grants").json["suspended"]] == [ANALYST]
    assert lift(people, PRIVACY, ANALYST).json["votes"] == 1
    assert lift(people, SECURITY, ANALYST).json["state"] == "lifted"
    assert people.ask(ANALYST, [SUBJECT]).status == 200


def test_whoever_may_not_ask_at_all_is_suspended_for_naming_one(home, people):
    """His refusal is that of everybody who may not ask."""
    said = people.ask(ENGINEER, [SUBJECT])
    assert said.status == 403
    named = people.ask(ENGINEER, [HONEY])
    assert (named.status, named.rule) == (403, said.rule)
    assert suspended(home) == [ENGINEER]


def test_whoever_posts_what_somebody_else_signed_again_suspends_nobody(home, people):
    text = people.text(ANALYST, "request", subject=["123456789"], class_=["contact"], purpose="support_ticket",
                       reference="T-1", seconds=600)
    signature = people.sign(text, ANALYST)
    assert people.post(text, signature).status == 404
    for _ in range(REFUSALS + 2):
        assert people.post(text, signature).rule == "used-before"
    assert suspended(home) == []
    assert home.pair.primary.value("SELECT count FROM ringfence.refusal_day WHERE actor = %s", ANALYST) == 1


def test_a_gateway_that_starts_knows_who_is_suspended(home, people):
    assert people.ask(ANALYST, [HONEY]).status == 404
    home.gateway.stop()
    home.gateway.start()
    with pytest.raises(psycopg.OperationalError, match="this login is suspended"):
        home.gateway.connect(ANALYST).close()
    wait_for_login(home, PRIVACY)
