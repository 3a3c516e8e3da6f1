"""Consents through a gateway: written down by a service and by a signed command, on record, and what a
withdrawal ends. (How they become sums of the public log: tests/unit/test_clerk.c.)"""

import os
import subprocess
import time

import psycopg
import pytest

from commands import People
from conftest import BUILD, SLOW
from test_approvals import ANALYST, NAMES, PRIVACY, SECURITY, SUBJECT, Home, enter, open_request
from test_consent import CHILD, CONSENTS
from waiting import wait_until

PURPOSE = "support_access"


class ConsentHome(Home):
    def set_policy(self, policy):
        super().set_policy(policy)
        policy["consents"] = CONSENTS
        policy["grants"]["rules"]["support"]["consent"] = PURPOSE


@pytest.fixture(scope="module")
def home(scratch, authority, request):
    folder = os.path.join(scratch, "consents")
    os.makedirs(folder, mode=0o755)
    made = ConsentHome(folder, authority, request)
    yield made
    made.stop()


@pytest.fixture
def people(home):
    yield home.people
    home.pair.primary.rows("DELETE FROM ringfence.consent")


def service(home, function, *values):
    with home.gateway.connect("app_us") as connection:
        marks = ", ".join(["%s"] * len(values))
        return connection.execute(f"SELECT ringfence.{function}({marks})", values).fetchone()[0]


def give(people, subject=SUBJECT, actor=PRIVACY, purpose=PURPOSE, version="1", **more):
    return people.do(actor, "consent-give", subject=[str(subject)], purpose=purpose, version=version,
                     reference="form 7", **more)


def withdraw(people, actor=PRIVACY, purpose=PURPOSE):
    return people.do(actor, "consent-withdraw", subject=[str(SUBJECT)], purpose=purpose,
                     reference="letter 8")


def ended_after(connection, began):
    while True:
        try:
            connection.execute("SELECT 1")
        except psycopg.Error:
            return time.monotonic() - began
        assert time.monotonic() - began < 20 * SLOW, "the session goes on"
        time.sleep(0.02)


def test_a_grant_stands_and_falls_with_the_consent(home, people):
    asked = people.ask(ANALYST, [SUBJECT])
    assert (asked.status, asked.rule) == (403, "consent-missing"), asked
    assert asked.json["error"]["lacking"] == {PURPOSE: 1}
    assert home.gateway.journal(kind="denial")[-1]["rule"] == "consent-missing"
    given = give(people)
    assert given.status == 200 and given.json["state"] == "given", given
    number = open_request(people)
    granted = enter(home, number)
    assert len(granted.execute("SELECT email FROM users").fetchall()) == 1
    assert service(home, "consent_withdraw", str(SUBJECT), PURPOSE) is True
    took = ended_after(granted, time.monotonic())
    assert took < 2 * SLOW, took
    wait_until(lambda: home.state(number) == "revoked", "the request is not revoked", timeout=5 * SLOW)
    with pytest.raises(psycopg.OperationalError):
        enter(home, number).close()
    assert people.ask(ANALYST, [SUBJECT]).rule == "consent-missing"


def test_an_approved_request_does_not_open_after_a_withdrawal(home, people):
    assert give(people).status == 200
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    of = people.request_text(PRIVACY, number)
    assert people.vote(PRIVACY, number, of=of).json["state"] == "waiting"
    assert withdraw(people).json == {"purpose": PURPOSE, "state": "withdrawn", "version": "1"}
    people.vote(SECURITY, number, of=of)
    assert home.pair.primary.value('SELECT count(*) FROM ringfence."grant" WHERE id = %s', number) == 0


def test_only_those_whom_the_policy_names_write_down_what_is_one(home, people):
    for reply, rule in ((give(people, actor=SECURITY), "consent-signer"),
                        (give(people, actor="eu_privacy_officer"), "consent-signer"),
                        (give(people, version="0"), "consent-version"),
                        (give(people, purpose="marketing"), "consent-unknown"),
                        (give(people, CHILD), "consent-minor"),
                        (give(people, CHILD, purpose="precise_location", version="2026-03"),
                         "consent-parental"),
                        (give(people, parental="yes"), "consent-parental"),
                        (give(people, 987654321), "subject-unknown"),
                        (withdraw(people), "consent-not-given"),
                        (people.do(PRIVACY, "consent-give", subject=[str(SUBJECT), str(CHILD)],
                                   purpose=PURPOSE, version="1", reference="x"), "one-person")):
        assert reply.rule == rule, reply
    assert home.pair.primary.rows("SELECT 1 FROM ringfence.consent") == []
    assert give(people, CHILD, purpose="precise_location", version="2026-03", parental="yes").status == 200
    shown = people.do(PRIVACY, "consent-show", subject=[str(CHILD)], reference="letter 9")
    (one,) = shown.json["consents"]
    assert (one["purpose"], one["parental"], one["source"], one["current"]) == \
        ("precise_location", True, f"person {PRIVACY}", True)
    records = home.gateway.journal(kind="consent")[-2:]
    assert [r["verdict"] for r in records] == ["given", "shown"]
    assert all(r["revealed"] == f"{CHILD} consent" and "signature" in r for r in records)


def test_a_refusal_is_on_record_whatever_was_called_a_purpose(home, people):
    before = len(home.gateway.journal(kind="denial"))
    for purpose in ('say "so"', "zu früh", "x" * 200):
        reply = withdraw(people, purpose=purpose)
        assert reply.rule == "consent-not-given", reply
    denials = home.gateway.journal(kind="denial")[before:]
    assert [(d["rule"], d["actor"], d.get("purpose")) for d in denials] == \
        [("consent-not-given", PRIVACY, None)] * 3, denials


def test_many_consents_to_one_thing_do_not_hide_that_to_another(home, people):
    assert give(people).status == 200
    home.pair.primary.rows("INSERT INTO ringfence.consent (subject, purpose, version, given, until, parental, source)"
                           " SELECT %s, 'precise_location', '2026-03', now() + i * interval '1 s',"
                           " now() + interval '1 day', false, 'service app_us' FROM generate_series(1, 300) i",
                           str(SUBJECT))
    assert withdraw(people).json["state"] == "withdrawn"


def test_a_command_counts_once(home, people):
    text = people.text(PRIVACY, "consent-give", subject=[str(SUBJECT)], purpose=PURPOSE, version="1",
                       reference="form 7")
    signature = people.sign(text, PRIVACY)
    assert people.post(text, signature).status == 200
    assert people.post(text, signature).rule == "used-before"
    assert home.pair.primary.value("SELECT count(*) FROM ringfence.consent") == 1


def test_where_an_administrator_opens_grants_a_refusal_uses_a_command_up(home, people):
    def by_administrator(policy):
        policy["grants"] = {"opened_by": "administrator"}

    second, port = home.new_gateway(by_administrator)
    there = People(people.folder, NAMES)
    there.port, there.ca = port, people.ca
    try:
        text = there.text(ANALYST, "grants")
        signature = there.sign(text, ANALYST)
        assert there.post(text, signature).rule == "opened-by-administrator"
        for _ in range(2):  # by anybody who has seen it: that says nothing against its signer
            assert there.post(text, signature).rule == "used-before"
        assert len(second.journal(kind="denial", rule="opened-by-administrator")) == 1
    finally:
        second.public_log.witness.stop()


def run(people, *words):
    return subprocess.run(
        [f"{BUILD}/src/cmd/ringfence", "--json", "consent", *words, "--region", "us-virginia", "--actor",
         PRIVACY, "--identity", people.key(PRIVACY), "--hub", f"https://127.0.0.1:{people.port}", "--ca",
         people.ca], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        check=False)


def test_the_command_line_signs_it(home, people):  # pylint: disable=unused-argument
    about = ["--subject", str(SUBJECT), "--reference", "form 7"]
    done = run(people, "give", *about, "--purpose", PURPOSE, "--version", "1")
    assert done.returncode == 0 and '"state":"given"' in done.stdout, done
    done = run(people, "show", *about)
    assert done.returncode == 0 and '"current":true' in done.stdout, done
    assert run(people, "withdraw", *about, "--purpose", PURPOSE).returncode == 0
    done = run(people, "withdraw", *about, "--purpose", PURPOSE)
    assert done.returncode == 1 and '"rule":"consent-not-given"' in done.stdout, done
    assert run(people, "give", *about, "--purpose", PURPOSE).returncode == 2
    assert run(people, "keep", *about).returncode == 2


def test_what_services_write_down_is_put_on_record_in_sums(home, people):  # pylint: disable=unused-argument
    for (subject,) in home.pair.primary.rows("SELECT id FROM app.users WHERE birthdate < '2000-01-01'"
                                             " ORDER BY id LIMIT 7"):
        service(home, "consent_give", str(subject), PURPOSE, "1", False)

    def records():
        return [r for r in home.gateway.journal(kind="consent") if r.get("actor_kind") == "service"]
    wait_until(lambda: sum(r["subjects"] for r in records() if r["verdict"] == "given") >= 7,
               "the consents are not on record", timeout=15 * SLOW)
    assert home.pair.primary.value("SELECT count(*) FROM ringfence.consent_sum") == 0
    assert all(r["purpose"] == PURPOSE and "revealed" not in r for r in records())
