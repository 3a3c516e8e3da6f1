"""What is told to whom: the outbox, webhooks and commands that get it, and the persons' notices, which come
when a grant is over, or when a hold ends. With a real receiver that fails first, real commands, real grants."""

import base64
import datetime
import hashlib
import hmac
import http.server
import json
import os
import signal
import socket
import ssl
import threading
import time

import psycopg
import pytest

from commands import utc
from conftest import SLOW
from ports import free_port
from public_log import PublicLog
from test_approvals import ANALYST, CHANGED, PRIVACY, SECURITY, SUBJECT, Home, open_request
from test_hub import HUB_TLS, give_certificate
from waiting import wait_until

SECRET = b"thirty-two bytes of a secret ...", b"another secret, which is not it."
EVENTS = ["request", "denied", "opened", "ended", "broken_glass", "suspended", "notice"]
SUBJECT_KEY = str(SUBJECT)

# It does what a narrowed process may not: a thread is a call that no role of the gateway has.
PROGRAM = """#!/usr/bin/python3
import json, os, sys, threading
body = sys.stdin.read()
def keep():
    with open(os.path.join(sys.argv[1], "told"), "a", encoding="utf-8") as to:
        to.write(json.dumps({"environment": dict(os.environ), "body": json.loads(body)}) + "\\n")
thread = threading.Thread(target=keep)
thread.start()
thread.join()
"""


class Receiver:
    """An HTTPS server that says no to what comes first."""

    def __init__(self, authority, failures):
        self.posts, self.failures, receiver = [], failures, self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = 503 if len(receiver.posts) < receiver.failures else 204
                receiver.posts.append((status, dict(self.headers), body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        certificate, key = authority.issue("hook", addresses=["127.0.0.1"], file="hook")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/hook?for=tests"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, kind=None):
        """The bodies that were taken, each id once."""
        found = {}
        for status, headers, body in list(self.posts):
            if status == 204:
                found.setdefault(headers["webhook-id"], json.loads(body))
        return [body for body in found.values() if kind in (None, body["type"])]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class ToldHome(Home):
    """Three hooks: one gets everything over HTTPS, one by a command, and one hangs."""

    def __init__(self, folder, authority, request):
        self.receiver = Receiver(authority, failures=2)
        self.hanging = socket.create_server(("127.0.0.1", 0))
        self.folder = os.path.join(folder, "told")
        os.makedirs(self.folder, mode=0o777)
        os.chmod(self.folder, 0o777)
        self.program = os.path.join(folder, "tell")
        with open(self.program, "w", encoding="ascii") as program:
            program.write(PROGRAM)
        os.chmod(self.program, 0o755)
        super().__init__(folder, authority, request)

    def new_gateway(self, policy=None):
        port = free_port()
        hang = f"https://127.0.0.1:{self.hanging.getsockname()[1]}"
        config = {"hub": {"listen": [{"address": "127.0.0.1", "port": port, "tls": "required"}],
                          "tls": HUB_TLS},
                  "hooks": [{"events": ["denied"], "url": hang, "key": "hook.key", "ca": "ca.crt"},
                            {"events": list(EVENTS), "url": self.receiver.url, "key": "hook.key", "ca": "ca.crt"},
                            {"events": list(EVENTS), "command": [self.program, self.folder]}]}
        gateway = self.gateways(self.pair, start=False, config=config, policy=self.set_policy)
        gateway.write("hook.key", f"whsec_{base64.b64encode(SECRET[0]).decode()}\n", 0o600)
        give_certificate(gateway, self.authority)
        gateway.public_log = PublicLog(gateway)
        gateway.start()
        return gateway, port

    def commanded(self, kind=None):
        try:
            with open(os.path.join(self.folder, "told"), encoding="utf-8") as lines:
                found = [json.loads(line) for line in lines]
        except FileNotFoundError:
            return []
        return [one for one in found if kind in (None, one["body"]["type"])]

    def wait_for(self, kind, what, **wanted):
        """Both hooks have been told that."""
        def bodies(of):
            return [body for body in of if all(body["data"].get(k) == v for k, v in wanted.items())]

        wait_until(lambda: bodies(self.receiver.told(kind)), f"no post about {what}", timeout=20 * SLOW)
        wait_until(lambda: bodies(one["body"] for one in self.commanded(kind)), f"no command about {what}",
                   timeout=20 * SLOW)
        return bodies(self.receiver.told(kind))

    def stop(self):
        super().stop()
        self.receiver.stop()
        self.hanging.close()


@pytest.fixture(scope="module")
def home(scratch, authority, request):
    folder = os.path.join(scratch, "told")
    os.makedirs(folder, mode=0o755)
    made = ToldHome(folder, authority, request)
    yield made
    made.stop()


@pytest.fixture
def people(home):
    return home.people


def today():
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def hold(people, voter, number, until, reason="an investigation goes on"):
    return people.do(voter, "hold", request=number, until=until, reason=reason)


# --- events and notices ---------------------------------------------------------------------------------


def test_a_grant_is_told_from_its_request_to_the_persons_notice(home, people):
    number = people.ask(ANALYST, [SUBJECT], classes=("identity", "contact")).json["request"]
    first, = home.wait_for("request", "the request", request=number)
    assert {PRIVACY, SECURITY} <= set(first["data"]["approvers"]), first
    assert not {ANALYST, "us_head_of_data", "eu_privacy_officer", "auditor"} & set(first["data"]["approvers"])
    assert people.vote(PRIVACY, number).json["state"] == "waiting"
    second, = home.wait_for("request", "one approval", request=number, approvers=[SECURITY])
    assert second["data"]["requester"] == ANALYST and SUBJECT_KEY not in json.dumps(second["data"]["classes"])
    assert people.vote(SECURITY, number).json["state"] == "open"
    opened, = home.wait_for("opened", "the opening", request=number)
    assert opened["region"] == "us-virginia" and opened["data"]["until"] > utc(0), opened
    assert home.receiver.told("notice") == []
    assert people.do(ANALYST, "revoke", request=number).json["state"] == "revoked"
    home.wait_for("ended", "the end", request=number, state="revoked")
    notice, = home.wait_for("notice", "the notice", grant=number)
    assert notice["data"] == {"grant": number, "subject": SUBJECT_KEY, "date": today(), "ended": today(),
                              "entity": "clipstream-us", "place": "US", "purpose": "support_ticket",
                              "classes": ["identity", "contact"]}, notice
    wait_until(lambda: home.pair.primary.value("SELECT count(*) FROM ringfence.outbox WHERE kind = 'notice'") == 0,
               "a notice that was delivered stays", timeout=10 * SLOW)


def test_posts_are_signed_and_keep_their_id_when_they_are_tried_again(home):
    posts = list(home.receiver.posts)
    assert [status for status, _, _ in posts[:3]] == [503, 503, 204]
    assert len({headers["webhook-id"] for _, headers, _ in posts[:3]}) == 1
    for _, headers, body in posts:
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 120 * SLOW
        said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        good, bad = (base64.b64encode(hmac.digest(secret, said, hashlib.sha256)).decode() for secret in SECRET)
        assert headers["webhook-signature"] == f"v1,{good}" != f"v1,{bad}"
        assert headers["Content-Type"] == "application/json"
    ids = [headers["webhook-id"] for status, headers, _ in posts if status == 204]
    assert len(set(ids)) == len(ids), "delivered twice without a reason"


def test_a_command_gets_the_event_and_nothing_else(home):
    one = home.commanded("notice")[0]
    assert one["environment"].pop("PATH") and one["environment"].pop("LC_CTYPE", "C.UTF-8")  # Python's own
    assert one["environment"] == {"RF_EVENT": "notice"}
    assert home.gateway.pids("runner") and home.gateway.pids("herald")


def test_an_authority_that_was_cited_stands_in_the_notice(home, people):
    number = open_request(people, authority="District Court 7")
    assert people.do(ANALYST, "revoke", request=number).status == 200
    notice, = home.wait_for("notice", "the notice", grant=number)
    assert notice["data"]["authority"] == "District Court 7" and ANALYST not in json.dumps(notice)


def test_a_grant_that_control_ends_brings_its_notices_too(home, people):
    number = open_request(people)
    primary = home.pair.primary
    primary.rows(CHANGED + "UPDATE ringfence.\"grant\" SET ends = now() - interval '1 s', changed = c.n"
                 " FROM c WHERE id = %s", number)
    home.wait_for("notice", "the notice", grant=number, subject=SUBJECT_KEY)
    home.wait_for("ended", "the end", request=number, state="expired")


def test_a_grant_that_is_used_up_is_told_as_such(home, people):
    number = open_request(people)
    assert home.pair.primary.value("SELECT ringfence.grant_use_up(%s)", number) is True
    home.wait_for("ended", "the end", request=number, state="used_up")
    home.wait_for("notice", "the notice", grant=number)


def test_broken_glass_is_told_to_whom_may_review_it_and_a_suspension_is_told(home, people):
    number = people.ask(SECURITY, [SUBJECT], purpose="security_incident", verb="break-glass",
                        reason="an account was taken over").json["request"]
    glass, = home.wait_for("broken_glass", "the broken glass", request=number)
    assert PRIVACY in glass["data"]["reviewers"] and SECURITY not in glass["data"]["reviewers"], glass
    assert people.do(SECURITY, "revoke", request=number).status == 200
    home.wait_for("notice", "the notice", grant=number)
    home.pair.primary.rows("SELECT ringfence.suspend('cn_engineer', 'denials', 'a leaf')")
    home.pair.primary.rows("UPDATE ringfence.suspension SET lifted_at = now()")
    home.wait_for("suspended", "the suspension", person="cn_engineer", reason="denials")


def test_where_the_policy_says_so_nobody_is_told(home, people):
    gateway = home.gateway
    gateway.policy["grants"]["notices"] = {"to_subjects": "off"}
    gateway.write_policy()
    gateway.reload()
    gateway.wait_for_log("event=reloaded")
    number = open_request(people)
    del gateway.policy["grants"]["notices"]  # what held when it was opened is done
    gateway.write_policy()
    gateway.reload()
    wait_until(lambda: gateway.log().count("event=reloaded") == 2, "no second reload", timeout=20 * SLOW)
    assert people.do(ANALYST, "revoke", request=number).status == 200
    home.wait_for("ended", "the end", request=number)
    assert not [one for one in home.receiver.told("notice") if one["data"]["grant"] == number]


def test_other_hooks_and_bad_files_of_hooks_are_told(home):
    gateway = home.gateway
    kept = json.loads(json.dumps(gateway.config))
    try:
        gateway.config["hooks"].append({"events": ["denied"], "command": ["/nonexistent/tell"]})
        gateway.config["hooks"][0]["key"] = "ca.crt"
        gateway.write_config()
        done = gateway.command("check")
        assert "hooks[0].key" in done.stderr and "hooks[3].command: could not run" in done.stderr, done
        assert done.returncode == 3
        gateway.config["hooks"] = kept["hooks"][1:]
        gateway.write_config()
        gateway.reload()
        gateway.wait_for_log("hooks: cannot change while running, restart instead")
    finally:
        gateway.config = kept
        gateway.write_config()


def test_a_hook_that_hangs_keeps_no_other_waiting(home, people):
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    assert people.vote(PRIVACY, number, verb="deny", reason="no ticket").json["state"] == "denied"
    began = time.monotonic()
    home.wait_for("denied", "the denial", request=number)
    later = people.ask(ANALYST, [SUBJECT]).json["request"]
    home.wait_for("request", "a request", request=later)
    assert time.monotonic() - began < 10 * SLOW
    assert home.pair.primary.value("SELECT count(*) FROM ringfence.outbox WHERE kind = 'denied'") == 1


def test_what_a_dead_herald_had_in_hand_is_delivered_all_the_same(home, people):
    home.gateway.kill_role("herald")
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    home.wait_for("request", "a request", request=number)


# --- holds ----------------------------------------------------------------------------------------------


def test_a_notice_waits_for_the_end_of_a_hold_that_two_officers_signed(home, people):
    number = open_request(people)
    until, ends = utc(8 * SLOW), time.time() + 8 * SLOW
    for voter, when, rule in ((ANALYST, until, "approver-requester"), ("us_head_of_data", until, "approver-chain"),
                              ("eu_privacy_officer", until, "approver-abroad"),
                              ("auditor", until, "approver-not-listed"), (PRIVACY, utc(-5), "hold-over"),
                              (PRIVACY, utc(91 * 86400), "hold-too-long")):
        refused = hold(people, voter, number, when)
        assert refused.status in (400, 403) and refused.rule == rule, (voter, refused)
    assert hold(people, PRIVACY, number, until).json["state"] == "asked"
    assert hold(people, PRIVACY, number, until).rule == "approver-twice"
    shown = people.do(SECURITY, "grants", request=number).json["requests"][0]
    assert "held_until" not in shown and shown["hold_asked"] == pytest.approx(ends, abs=2 * SLOW), shown
    assert hold(people, SECURITY, number, utc(86400)).json["state"] == "asked", "another end is another hold"
    assert hold(people, SECURITY, number, until).json == {"request": number, "state": "held", "votes": 2,
                                                          "until": shown["hold_asked"]}
    shown = people.do(PRIVACY, "grants", request=number).json["requests"][0]
    assert shown["held_until"] == pytest.approx(ends, abs=2 * SLOW), shown
    assert people.do(ANALYST, "revoke", request=number).json["state"] == "revoked"
    home.wait_for("ended", "the end", request=number)
    assert not [one for one in home.receiver.told("notice") if one["data"]["grant"] == number]
    home.wait_for("notice", "the notice", grant=number)
    assert time.time() >= ends - 1.5, "it came before the hold had ended"
    records = home.gateway.journal(kind="hold")
    assert [r["actor"] for r in records] == [PRIVACY, SECURITY, SECURITY]
    assert all(f"request {number}\n" in r["text"] and r["grant"] == number for r in records)
    late = hold(people, PRIVACY, number, utc(3600))
    assert (late.status, late.rule) == (409, "state"), "there is nothing left to hold back"
    assert hold(people, PRIVACY, 123456, utc(3600)).status == 404


def test_a_hold_reaches_what_lies_there_already_and_is_not_renewed_for_ever(home, people):
    number = open_request(people)
    primary = home.pair.primary
    primary.rows("BEGIN; DELETE FROM ringfence.outbox_hook; COMMIT")  # nobody takes it meanwhile
    home.gateway.signal(home.gateway.pids("herald")[0], signal.SIGSTOP)
    assert people.do(ANALYST, "revoke", request=number).status == 200
    until = utc(3600)
    for voter in (PRIVACY, SECURITY):
        assert hold(people, voter, number, until).status == 200
    assert primary.value("SELECT due > now() + interval '50 min' FROM ringfence.outbox WHERE request = %s"
                         " AND kind = 'notice'", number)
    primary.rows("UPDATE ringfence.hold_vote SET at = at - interval '89 days' WHERE request = %s", number)
    longer = hold(people, PRIVACY, number, utc(2 * 86400))
    assert (longer.status, longer.rule) == (403, "not-possible"), longer
    primary.rows("UPDATE ringfence.outbox SET due = now() WHERE request = %s", number)
    home.gateway.kill_role("herald")  # the next one says again what hooks there are
    home.wait_for("notice", "the notice", grant=number)


def test_officers_hold_the_notices_of_somebody_who_was_suspended(home, people):
    number = open_request(people)
    primary = home.pair.primary
    home.gateway.signal(home.gateway.pids("herald")[0], signal.SIGSTOP)
    primary.rows("SELECT ringfence.suspend(%s, 'denials', 'a leaf')", ANALYST)
    wait_until(lambda: primary.value('SELECT closed IS NOT NULL FROM ringfence."grant" WHERE id = %s', number),
               "the grant is not closed", timeout=20 * SLOW)
    until = utc(3600)
    states = [hold(people, voter, number, until).json.get("state") for voter in (PRIVACY, SECURITY)]
    primary.rows("UPDATE ringfence.suspension SET lifted_at = now()")
    primary.rows("UPDATE ringfence.outbox SET due = now() WHERE request = %s", number)
    home.gateway.kill_role("herald")
    assert states == ["asked", "held"], states
    home.wait_for("notice", "the notice", grant=number)


# --- the outbox -----------------------------------------------------------------------------------------


def next_of(connection, *hooks):
    return {hook: (number, kind) for number, hook, _, kind, _ in connection.execute(
        "SELECT * FROM ringfence.outbox_next('elsewhere', %s, '60 s')", (list(hooks),))}


@pytest.fixture
def outbox(home):
    """Three events and two hooks of their own, in a transaction that is rolled back."""
    with psycopg.connect(home.pair.primary.dsn()) as connection:
        # what the gateway still has to tell of the tests before waits until these rows are gone again
        connection.execute("LOCK TABLE ringfence.outbox, ringfence.outbox_send, ringfence.outbox_hook")
        connection.execute("DELETE FROM ringfence.outbox_hook; DELETE FROM ringfence.outbox")
        connection.execute("SELECT ringfence.outbox_hooks('elsewhere', '{one,two}', '{suspended,suspended}', true)")
        for name in ("a", "b", "c"):
            connection.execute("SELECT ringfence.outbox_put('suspended', NULL, json_build_object('person', %s::text),"
                               " statement_timestamp())", (name,))
        yield connection
        connection.rollback()


def ids(connection):
    return [number for (number,) in connection.execute("SELECT id FROM ringfence.outbox ORDER BY id")]


def pass_time(connection, seconds):
    connection.execute("UPDATE ringfence.outbox_send SET due = due - %s * interval '1 s',"
                       " since = since - %s * interval '1 s'", (seconds, seconds))


def test_what_one_takes_nobody_else_gets_before_the_lease_is_over(outbox):
    first, second, third = ids(outbox)
    assert next_of(outbox, "one") == {"one": (first, "suspended")}
    assert next_of(outbox, "one", "two") == {"two": (first, "suspended")}, "hooks do not wait for each other"
    assert next_of(outbox, "one", "two") == {}
    pass_time(outbox, 61)
    assert next_of(outbox, "one") == {"one": (first, "suspended")}
    register = "SELECT ringfence.outbox_hooks(%s, '{one,two}', '{suspended,suspended}', %s)"
    for gateway, is_start in (("another", True), ("elsewhere", False)):
        outbox.execute(register, (gateway, is_start))
        assert "one" not in next_of(outbox, "one"), "somebody has it in hand"
    outbox.execute(register, ("elsewhere", True))
    assert next_of(outbox, "one") == {"one": (first, "suspended")}, "he started anew, and has nothing in hand"
    for hook in ("one", "two"):
        outbox.execute("SELECT ringfence.outbox_done(%s, %s)", (first, hook))
        assert (first in ids(outbox)) == (hook == "one"), "it goes when the last one has it"
    assert next_of(outbox, "two") == {"two": (second, "suspended")}
    assert third in ids(outbox)


def test_what_fails_is_tried_again_with_growing_pauses_and_in_order(outbox):
    first, second, third = ids(outbox)
    pauses = []
    for _ in range(15):
        assert next_of(outbox, "one") == {"one": (first, "suspended")}
        outbox.execute("SELECT ringfence.outbox_later(%s, 'one', 'status-503', false)", (first,))
        pauses.append(outbox.execute("SELECT round(extract(epoch FROM due - now())) FROM ringfence.outbox_send"
                                     " WHERE id = %s AND hook = 'one'", (first,)).fetchone()[0])
        assert next_of(outbox, "one") == {}, "the ones behind it wait"
        outbox.execute("UPDATE ringfence.outbox_send SET due = now() WHERE id = %s AND hook = 'one'", (first,))
    assert pauses[:4] == [1, 2, 4, 8] and pauses[-1] == 3600, pauses
    pass_time(outbox, 86401)
    assert next_of(outbox, "one") == {"one": (first, "suspended")}
    outbox.execute("SELECT ringfence.outbox_later(%s, 'one', 'status-503', false)", (first,))
    assert next_of(outbox, "one") == {"one": (second, "suspended")}, "after a day it lets others pass"
    outbox.execute("SELECT ringfence.outbox_done(%s, 'one')", (second,))
    outbox.execute("SELECT ringfence.outbox_hooks('another', '{one}', '{suspended}', true)")
    outbox.execute("SELECT ringfence.outbox_done(%s, 'one')", (third,))
    assert next_of(outbox, "one") == {"one": (first, "suspended")}, "a gateway that starts tries what failed at once"


def test_what_a_receiver_does_not_want_lets_others_pass_at_once(outbox):
    first, second, _ = ids(outbox)
    next_of(outbox, "one")
    outbox.execute("SELECT ringfence.outbox_later(%s, 'one', 'status-400', true)", (first,))
    assert next_of(outbox, "one") == {"one": (second, "suspended")}
    waiting = outbox.execute("SELECT waiting, error FROM ringfence.outbox_waiting() WHERE hook = 'one'").fetchone()
    assert waiting == (3, "status-400")


def test_what_nobody_takes_any_more_is_not_waited_for(outbox):
    first, *_ = ids(outbox)
    next_of(outbox, "one")
    outbox.execute("SELECT ringfence.outbox_done(%s, 'one')", (first,))
    outbox.execute("SELECT ringfence.outbox_hooks('elsewhere', '{one}', '{suspended}', false)")
    assert first not in ids(outbox) and len(ids(outbox)) == 2
    outbox.execute("UPDATE ringfence.outbox SET gone = now()")
    assert outbox.execute("SELECT ringfence.outbox_hooks('elsewhere', '{one}', '{suspended}', false)").fetchone() == (2,)
    assert ids(outbox) == []


def test_where_nobody_has_hooks_any_more_nothing_lies_longer_than_it_may(outbox):
    old = ids(outbox)
    outbox.execute("UPDATE ringfence.outbox_hook SET seen = now() - interval '3 days'")
    outbox.execute("UPDATE ringfence.outbox SET gone = now() - interval '25 hours'")
    outbox.execute("SELECT ringfence.request_sweep('1 day', '1 min')")  # which may tell of requests itself
    assert old and not set(old) & set(ids(outbox))
    assert outbox.execute("SELECT count(*) FROM ringfence.outbox_hook").fetchone() == (0,)


def test_a_hold_that_is_shortened_is_over_when_it_says(outbox):
    outbox.execute("DELETE FROM ringfence.outbox")
    outbox.execute("SELECT ringfence.outbox_put('suspended', NULL, '{}', now() + interval '30 days')")
    assert next_of(outbox, "one") == {}
    outbox.execute("UPDATE ringfence.outbox SET due = now()")  # as hold_add() does
    assert next_of(outbox, "one") == {"one": (ids(outbox)[0], "suspended")}


def test_the_herald_may_call_its_functions_and_nothing_else(home):
    callable_ = {name for (name,) in home.pair.primary.rows(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'ringfence'::regnamespace"
        " AND has_function_privilege('rf_herald', p.oid, 'EXECUTE')")}
    assert callable_ == {"outbox_hooks", "outbox_next", "outbox_done", "outbox_later", "outbox_waiting"}
    dsn = home.pair.primary.dsn().replace("user=postgres", "user=rf_herald")
    for sql in ("SELECT * FROM ringfence.outbox", "SELECT * FROM ringfence.request", "SELECT * FROM app.users",
                "SELECT ringfence.outbox_put('notice', 1, '{}', now())", "SET ROLE rf_admin",
                "SELECT * FROM ringfence.holds('1 h')", "SELECT * FROM masked.users"):
        with psycopg.connect(dsn, autocommit=True) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql)


def test_nothing_personal_is_in_the_gateways_log(home):
    log = home.gateway.log()
    assert "event=outbox-waits" in log or "event=child-ready child=herald-0" in log
    assert "District Court" not in log and "webhook-signature" not in log and "whsec_" not in log


def test_what_was_applied_is_no_drift(home):
    done = home.gateway.command("plan", "--check", "--dsn", home.pair.primary.dsn())
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_dead_runner_is_said_and_stops_no_webhook(home, people):
    """The last one: it is not started again while the gateway runs."""
    home.gateway.kill_role("runner")
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    wait_until(lambda: [one for one in home.receiver.told("request") if one["data"]["request"] == number],
               "no post", timeout=20 * SLOW)
    home.gateway.wait_for_log("event=runner-died")
    home.gateway.wait_for_log("event=runner-lost")
    assert not [one for one in home.commanded("request") if one["body"]["data"]["request"] == number]
    assert not home.gateway.pids("runner") and home.gateway.pids("herald")
