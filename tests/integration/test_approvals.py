"""The life of a grant from end to end: signed commands through the hub, approvals, the open grant, its
end; and everything that must not open one."""

import base64
import copy
import hashlib
import json
import os
import signal
import subprocess
import threading
import time

import psycopg
import pytest
import yaml

from commands import People, fields_of
from conftest import BUILD, ROOT, SANDBOX, SLOW, Gateways
from gateway import password_of
from ports import free_port
from public_log import PublicLog
from region import make_region
from test_hub import HUB_TLS, give_certificate
from waiting import wait_until
from wire import ServerError

ANALYST, PRIVACY, SECURITY = "us_analyst", "us_privacy_officer", "us_security_officer"
MANAGER, HIS_CHIEF = "cn_audit_manager", "cn_head_of_audit"
NAMES = (ANALYST, PRIVACY, SECURITY, MANAGER, HIS_CHIEF, "us_head_of_data", "auditor", "cn_engineer",
         "eu_analyst", "eu_privacy_officer")
SUBJECT, OTHER, CHILD = 8, 9, 3
# by hand, as the functions do it: the number is taken and used in one transaction, or control may miss it
CHANGED = "WITH c AS (UPDATE ringfence.grant_counter SET n = n + 1 RETURNING n) "


def demo_grants():
    with open(os.path.join(ROOT, "demo", "policy.yaml"), encoding="utf-8") as text:
        return yaml.safe_load(text)["grants"]


def register(*keys):
    """As `grants.sensitive` lists persons."""
    return [hashlib.sha256(f"ringfence-sensitive@1\nus-virginia\n{key}\n".encode()).hexdigest() for key in keys]


class Home:
    """A region, its gateway, its log, its people."""

    def __init__(self, folder, authority, request):
        self.people = People(os.path.join(folder, "people"), NAMES)
        self.pair = make_region(os.path.join(folder, "region"), authority, BUILD, SANDBOX, SLOW,
                                policy=self.set_policy)
        self.gateways = Gateways(folder, authority, request)
        self.authority = authority
        self.gateway, self.people.port = self.new_gateway()
        self.people.ca = self.gateway.ca

    def set_policy(self, policy):
        grants = policy["grants"] = demo_grants()
        grants["rules"]["staff"] = {**copy.deepcopy(grants["rules"]["support"]),
                                    "purposes": ["employee_investigation"]}
        grants["bound"] = {"employee_investigation": {"subjects": register(SUBJECT)}}
        for name in NAMES:
            policy["actors"][name]["keys"] = [self.people.public(name)]

    def new_gateway(self, policy=None):
        port = free_port()
        config = {"hub": {"listen": [{"address": "127.0.0.1", "port": port, "tls": "required"},
                                     {"unix": "run/hub.sock"}],
                          "tls": HUB_TLS}}

        def change(of):
            self.set_policy(of)
            if policy is not None:
                policy(of)

        gateway = self.gateways(self.pair, start=False, config=config, policy=change)
        give_certificate(gateway, self.authority)
        gateway.public_log = PublicLog(gateway)
        gateway.start()
        return gateway, port

    def state(self, number):
        return self.pair.primary.value("SELECT state FROM ringfence.request WHERE id = %s", number)

    def stop(self):
        self.gateway.public_log.witness.stop()
        self.gateways.finish()
        self.pair.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory, scratch, authority, request):
    folder = os.path.join(scratch, "home")
    os.makedirs(folder, mode=0o755)
    made = Home(folder, authority, request)
    yield made
    made.stop()


@pytest.fixture
def people(home):
    return home.people


def enter(home, number, actor=ANALYST):
    return home.gateway.connect(actor, options=f"-cringfence.grant={number}")


def open_request(people, **more):
    """A request of the analyst that both officers approve."""
    asked = people.ask(ANALYST, [SUBJECT], **more)
    assert asked.status == 200, asked
    number = asked.json["request"]
    assert people.vote(PRIVACY, number).json["state"] == "waiting"
    assert people.vote(SECURITY, number).json["state"] == "open"
    return number


def test_two_officers_at_home_open_what_an_analyst_asks_for(home, people):
    began = time.monotonic()
    number = open_request(people, classes=("identity", "contact"))
    email = home.pair.primary.value("SELECT email FROM app.users WHERE id = %s", SUBJECT)
    with enter(home, number) as connection:
        assert connection.execute("select email from users").fetchall() == [(email,)]
    assert time.monotonic() - began < 30 * SLOW
    log = home.gateway.public_log
    grant = log.wait_for("the grant", type="grant", grant=number)[0]
    approvals = log.wait_for("approvals", type="approval", grant=number)
    assert [leaf["verdict"] for leaf in approvals] == ["approve", "approve"]
    leaves = log.leaves()
    request = next(leaf for leaf in leaves if leaf["type"] == "request" and leaf["grant"] == number)
    assert grant["request_ref"] == f"{leaves.index(request)} {log.origin}"
    assert grant["approval_refs"].split(",") == [f"{leaves.index(leaf)} {log.origin}" for leaf in approvals]
    log.wait_for("the disclosure", type="disclosure", grant=number)
    assert people.do(ANALYST, "revoke", request=number).json["state"] == "revoked"
    with pytest.raises(psycopg.OperationalError):
        enter(home, number).close()
    log.assert_holds()


def test_one_approval_is_not_enough_and_a_denial_ends_it(home, people):
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    assert people.vote(PRIVACY, number).json["state"] == "waiting"
    again = people.vote(PRIVACY, number)
    assert (again.status, again.rule) == (403, "approver-twice")
    assert people.vote(SECURITY, number, verb="deny", reason="no ticket").json["state"] == "denied"
    late = people.vote(SECURITY, number)
    assert late.status in (403, 409)
    assert home.state(number) == "denied"
    with pytest.raises(psycopg.OperationalError):
        enter(home, number).close()


def test_who_is_called_to_approve_is_not_blamed_for_what_others_did(home, people):
    primary = home.pair.primary
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    of = people.request_text(PRIVACY, number)
    primary.rows("SELECT ringfence.suspend(%s, 'denials', 'a leaf')", ANALYST)
    try:
        reply = people.vote(PRIVACY, number, of=of)
    finally:
        primary.rows("UPDATE ringfence.suspension SET lifted_at = now()")
    assert (reply.status, reply.rule) == (409, "requester-suspended"), reply  # 403 would count against him


def test_what_is_asked_must_be_allowed(people):
    for rule, asked in (
            ("no-rule", people.ask(ANALYST, [SUBJECT], classes=["location"])),
            ("too-long", people.ask(ANALYST, [SUBJECT], seconds=9 * 3600)),
            ("too-many-subjects", people.ask(ANALYST, [8, 9, 10, 11, 12, 13])),
            ("reference-missing", people.ask(ANALYST, [SUBJECT], reference=None)),
            ("purpose-unknown", people.ask(ANALYST, [SUBJECT], purpose="curiosity")),
            ("class-unknown", people.ask(ANALYST, [SUBJECT], classes=["everything"])),
            ("requester-not-listed", people.ask("us_head_of_data", [SUBJECT], purpose="legal_demand")),
            ("authority-refused", people.ask(ANALYST, [SUBJECT],
                                             authority="ministry of state security")),
            ("subject-unknown", people.ask(ANALYST, [123456789]))):
        assert asked.status in (403, 404) and asked.rule == rule, (rule, asked)


def test_a_minor_is_not_shown_where_the_rule_does_not_say_so(home, people):
    child = home.pair.primary.value("SELECT id FROM app.users WHERE birthdate > now() - interval '15 years'"
                                    " LIMIT 1")
    asked = people.ask(ANALYST, [child])
    assert (asked.status, asked.rule) == (403, "minor")


def test_a_purpose_is_for_those_of_its_register(home, people):
    staff = {"purpose": "employee_investigation"}
    for subjects in ([OTHER], [SUBJECT, OTHER], [CHILD]):
        asked = people.ask(ANALYST, subjects, **staff)
        assert (asked.status, asked.rule) == (403, "purpose-bound"), asked
    assert home.gateway.journal(kind="denial")[-1]["rule"] == "purpose-bound"
    number = open_request(people, **staff)
    enter(home, number).close()
    gateway = home.gateway
    bound = gateway.policy["grants"]["bound"]["employee_investigation"]
    try:
        bound["subjects"] = register(OTHER)  # he is no employee any more
        gateway.write_policy()
        gateway.reload()
        wait_until(lambda: home.pair.primary.value(
            'SELECT closed IS NOT NULL FROM ringfence."grant" WHERE id = %s', number),
            "control shows somebody whom the purpose is not for", timeout=20 * SLOW)
    finally:
        bound["subjects"] = register(SUBJECT)
        gateway.write_policy()
        gateway.reload()


# --- the case that made headlines -----------------------------------------------------------------


def test_the_manager_abroad_is_refused_and_on_record(home, people):
    before = len(home.gateway.journal(kind="denial"))
    asked = people.ask(MANAGER, [SUBJECT, OTHER], classes=["location"], purpose="security_incident")
    assert asked.status == 403, asked
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    text = people.request_text(PRIVACY, number)
    for approver, rules in ((HIS_CHIEF, ("approver-abroad",)), (MANAGER, ("approver-abroad",)),
                            ("us_head_of_data", ("approver-chain",)), (ANALYST, ("approver-requester",)),
                            ("auditor", ("approver-not-listed",))):
        vote = people.vote(approver, number, of=text)
        assert vote.status == 403 and vote.rule in rules, (approver, vote)
    assert home.state(number) == "waiting"
    wait_until(lambda: len(home.gateway.journal(kind="denial")) >= before + 6, "refusals are not on record")
    glass = people.ask(MANAGER, [SUBJECT], classes=["location"], purpose="security_incident",
                       verb="break-glass", reason="hurry")
    assert glass.status == 403, glass


def test_forged_replayed_changed_and_expired_approvals_open_nothing(home, people):
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    of = people.request_text(PRIVACY, number)
    text = people.vote_text(PRIVACY, number, of)
    good = people.sign(text, PRIVACY)
    assert people.post(text, people.sign(text, ANALYST)).status == 401        # forged
    assert people.post(text.replace("seconds 600", "seconds 601"), good).status == 401
    assert people.post(text, good[:200] + good[-40:]).status == 401           # truncated
    assert people.post(text, people.sign(text, PRIVACY, "file")).status == 401
    command = text.replace("ringfence-approval@1", "ringfence-command@1")
    assert people.post(command, people.sign(command, PRIVACY)).status == 400
    other = people.ask(ANALYST, [OTHER]).json["request"]
    wrong = people.vote_text(PRIVACY, other, of)                              # another request's number
    assert people.post(wrong, people.sign(wrong, PRIVACY)).status == 400
    late = people.vote_text(PRIVACY, number, of, ahead=-60)
    assert people.post(late, people.sign(late, PRIVACY)).rule == "expired"
    far = people.vote_text(PRIVACY, number, of, ahead=3600)
    assert people.post(far, people.sign(far, PRIVACY)).rule == "expires-late"
    assert home.pair.primary.value("SELECT count(*) FROM ringfence.approval WHERE request IN (%s, %s)",
                                   number, other) == 0
    assert people.post(text, good).status == 200
    replayed = people.post(text, good)
    assert (replayed.status, replayed.rule) == (401, "used-before"), replayed
    assert home.state(number) == "waiting"


def spoiled(good):
    """Signatures that are none, each for another reason."""
    head, tail = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"
    frame = base64.b64decode("".join(good.split("\n")[1:-2]))

    def block(data, width=70):
        text = base64.b64encode(data).decode()
        return head + "".join(text[i:i + width] + "\n" for i in range(0, len(text), width)) + tail

    assert block(frame) == good, "what follows is one step away from a good one"
    return {"empty": "", "no block": "yes", "only marks": head + tail,
            "no end": good.replace(tail, ""), "no begin": good.replace(head, ""),
            "twice": good + good, "something before": "x\n" + good, "something behind": good + "x\n",
            "bare base64": base64.b64encode(frame).decode(), "PGP": good.replace("SSH SIGNATURE", "PGP SIGNATURE"),
            "no base64": head + "????\n" + tail, "loose padding": good.replace(tail, "====\n" + tail),
            "long lines": block(frame, 500), "carriage returns": good.replace("\n", "\r\n"),
            "other magic": block(b"SSHSIX" + frame[6:]), "version 2": block(frame[:9] + b"\x02" + frame[10:]),
            "cut in its middle": block(frame[:len(frame) // 2]), "more behind": block(frame + b"\0"),
            "endless length": block(frame[:10] + b"\xff\xff\xff\xff" + frame[14:]),
            "a bit of the signature": block(frame[:-1] + bytes([frame[-1] ^ 1])),
            "a bit of the key": block(frame[:40] + bytes([frame[40] ^ 1]) + frame[41:]),
            "zero": block(b"\0" * len(frame)), "a NUL": good.replace("\n", "\0", 1), "ten kilobytes": block(frame * 40)}


def test_a_malformed_signature_is_refused_plainly_and_leaves_nothing(home, people):
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    text = people.vote_text(PRIVACY, number, people.request_text(PRIVACY, number))
    good = people.sign(text, PRIVACY)
    for what, signature in spoiled(good).items():
        reply = people.post(text, signature)
        assert reply.status in (400, 401, 413) and reply.json["error"]["message"], (what, reply)
    for what, signature in {"a number": 7, "null": None, "a list": [good], "an object": {"s": good}}.items():
        reply = people.post(text, signature)
        assert reply.status == 400 and reply.json["error"]["message"], (what, reply)
    assert home.pair.primary.value("SELECT count(*) FROM ringfence.approval WHERE request = %s", number) == 0
    assert people.post(text, good).json["state"] == "waiting", "none of them has used up the command"
    assert home.state(number) == "waiting"


def test_a_service_password_that_was_stolen_is_of_no_use_on_a_laptop_abroad(home):
    """He who may not see the two asks the service's account instead, which sees everybody."""
    gateway, stolen = home.gateway, "app_us"
    before = len(gateway.journal(kind="denial"))
    for actor in (stolen, "app_eu"):
        with pytest.raises(ServerError) as refused:
            gateway.login(actor, host="127.0.8.1")
        assert refused.value.sqlstate == "28000" and "place" in refused.value.message
    for options in ({"options": "-cringfence.grant=1"}, {"options": f"-csession_authorization={ANALYST}"},
                    {"replication": "database"}):
        with pytest.raises(ServerError):
            gateway.login(stolen, host="127.0.8.1", **options)
    done = subprocess.run(["psql", "-XAtc", f"select email from users where id in ({SUBJECT}, {OTHER})"],
                          env=gateway.client_environment(stolen, host="127.0.8.1"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2 and not done.stdout, done
    wait_until(lambda: len(gateway.journal(kind="denial")) >= before + 3, "the attempts are not on record")
    mine = gateway.journal(kind="denial")[before:]
    assert {record["actor"] for record in mine} <= {stolen, "app_eu"}, mine


def test_rows_written_by_hand_are_no_grant(home, people):
    """Whoever administers the database can open a grant in it; no gateway shows it to anybody."""
    primary = home.pair.primary
    number = primary.value('SELECT coalesce(max(id), 100) + 1 FROM (SELECT id FROM ringfence."grant"'
                           " UNION ALL SELECT id FROM ringfence.request) x")
    primary.value("SELECT ringfence.grant_open(%s, %s, 'support_ticket', now() + interval '10 min',"
                  " ARRAY['8'], ARRAY['contact'])", number, ANALYST)
    wait_until(lambda: primary.value('SELECT closed IS NOT NULL FROM ringfence."grant" WHERE id = %s', number),
               "the false grant is not closed", timeout=20 * SLOW)
    with pytest.raises(psycopg.OperationalError):
        enter(home, number).close()
    assert "grant-not-shown" in home.gateway.log()


def test_an_open_grant_that_is_widened_by_hand_is_closed(home, people):
    number = open_request(people)
    primary = home.pair.primary
    enter(home, number).close()
    role = primary.value('SELECT role FROM ringfence."grant" WHERE id = %s', number)
    primary.rows("INSERT INTO ringfence.grant_subject (role, subject, classes, ends, label, token, secret,"
                 " watermark) SELECT role, '9', classes, ends, '9', token, secret, watermark FROM ringfence.grant_subject"
                 " WHERE role = %s", role)
    primary.rows(CHANGED + 'UPDATE ringfence."grant" SET classes = classes | 8, subjects = 2,'
                 " changed = c.n FROM c WHERE id = %s", number)
    wait_until(lambda: primary.value('SELECT closed IS NOT NULL FROM ringfence."grant" WHERE id = %s', number),
               "the widened grant is not closed", timeout=20 * SLOW)
    with pytest.raises(psycopg.OperationalError):
        enter(home, number).close()


# --- looking for somebody -------------------------------------------------------------------------


def test_a_handle_is_given_whether_there_is_somebody_or_not(home, people):
    email = home.pair.primary.value("SELECT email FROM app.users WHERE id = %s", SUBJECT)
    found = people.do(ANALYST, "find", by="email", value=email, purpose="support_ticket", reference="T-2")
    missed = people.do(ANALYST, "find", by="email", value="nobody@nowhere.example",
                       purpose="support_ticket", reference="T-2")
    for reply in (found, missed):
        assert reply.status == 200 and set(reply.json) == {"handle"}, reply
        assert len(reply.json["handle"]) == 34
    number = people.ask(ANALYST, [found.json["handle"]]).json["request"]
    for officer in (PRIVACY, SECURITY):
        last = people.vote(officer, number)
    assert last.json["state"] == "open", last
    with enter(home, number) as connection:
        assert connection.execute("select email from users").fetchall() == [(email,)]
    assert people.ask(ANALYST, [missed.json["handle"]]).rule == "subject-unknown"
    theirs = people.do("cn_engineer", "find", by="email", value=email, purpose="support_ticket", reference="T-2")
    assert theirs.status == 403, theirs
    home.gateway.public_log.wait_for("the find", type="find")


# --- breaking the glass ---------------------------------------------------------------------------


def test_glass_is_broken_by_whom_the_policy_lists_and_reviewed_by_others(home, people):
    opened = people.ask(SECURITY, [SUBJECT], classes=["contact"], purpose="security_incident",
                        verb="break-glass", reason="an account was taken over")
    assert opened.status == 200 and opened.json["state"] == "open", opened
    number = opened.json["request"]
    with enter(home, number, SECURITY) as connection:
        assert len(connection.execute("select email from users").fetchall()) == 1
    own = people.do(SECURITY, "review", request=number, verdict="proper", reason="I say so")
    assert own.status == 403, own
    second = {"purpose": "security_incident", "verb": "break-glass", "reason": "another account"}
    early = people.ask(SECURITY, [OTHER], **second)
    assert (early.status, early.rule) == (403, "review-missing"), early
    done = people.do(PRIVACY, "review", request=number, verdict="proper", reason="the case is open")
    assert done.status == 200, done
    assert people.ask(SECURITY, [OTHER], **second).json["state"] == "open"
    log = home.gateway.public_log
    log.wait_for("the broken glass", type="breakglass", grant=number)
    log.wait_for("the review", type="review", grant=number)
    log.assert_holds()


# --- the door -------------------------------------------------------------------------------------


def test_what_is_no_command_is_refused_plainly(people):
    text = people.text(ANALYST, "grants")
    signature = people.sign(text, ANALYST)
    assert people.send("", method="GET", kind=None).status == 405
    assert people.send("{}", kind="text/plain").status == 415
    assert people.send("{").status == 400
    assert people.send(json.dumps({"command": text})).status == 400
    assert people.send(json.dumps({"command": text, "signature": signature, "more": 1})).status == 400
    assert people.send("x" * 40000).status == 413
    assert people.post(text.replace("us-virginia", "mars"), signature).status == 404
    assert people.post(text + "\n", signature).status == 400
    assert people.post(text, "x").status == 401
    assert people.post(text, signature).status == 200
    assert people.post(text, signature).rule == "used-before"


def test_people_see_what_concerns_them(people):
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    mine = people.do(ANALYST, "grants").json["requests"]
    assert any(one["request"] == number and one["as"] == "requester" for one in mine)
    officer = people.do(PRIVACY, "grants", request=number).json["requests"][0]
    assert officer["wanted"] is True and fields_of(officer["text"])["subject"] == [str(SUBJECT)]
    assert people.do("cn_engineer", "grants").json["requests"] == []
    assert people.do("cn_engineer", "grants", request=number).status == 404


def test_a_vote_that_never_came_on_record_is_cast_again(home, people):
    """The registrar died between the database and the ledger: the vote counts for nothing, and no more
    stands in its voter's way."""
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    assert people.vote(PRIVACY, number).json["state"] == "waiting"
    home.pair.primary.rows("UPDATE ringfence.approval SET leaf = NULL WHERE request = %s", number)
    assert people.vote(PRIVACY, number).rule == "approver-twice"  # it may still be on its way
    home.pair.primary.rows("UPDATE ringfence.approval SET at = at - interval '1 min' WHERE request = %s", number)
    assert people.vote(SECURITY, number).json["state"] == "waiting"
    assert people.vote(PRIVACY, number).json["state"] == "open"
    again = people.vote(PRIVACY, number)
    assert again.status in (403, 409), again


def test_a_denial_that_never_came_on_record_stands_in_nobodys_way(home, people):
    number = people.ask(ANALYST, [SUBJECT]).json["request"]
    assert people.vote(PRIVACY, number).json["state"] == "waiting"
    home.pair.primary.rows(
        "INSERT INTO ringfence.approval SELECT request, 'us_head_of_data', false, from_home, command, signature,"
        " gateway, at, NULL FROM ringfence.approval WHERE request = %s", number)
    assert people.vote(SECURITY, number).json["state"] == "open"


def test_what_could_not_be_put_on_record_is_used_up(home, people):
    """The ledger does not answer: nothing has been done, and the text that was signed does nothing later."""
    text = people.text(ANALYST, "request", subject=[str(SUBJECT)], class_=["contact"], purpose="support_ticket",
                       reference="T-503", seconds=600)
    signature = people.sign(text, ANALYST)
    ledger, = home.gateway.pids("ledger")
    os.kill(ledger, signal.SIGSTOP)
    try:
        first = people.post(text, signature)
    finally:
        os.kill(ledger, signal.SIGCONT)
    assert (first.status, first.rule) == (503, "ledger"), first
    wait_until(lambda: people.do(ANALYST, "grants").status == 200, "the ledger does not come back",
               timeout=20 * SLOW)
    again = people.post(text, signature)
    assert (again.status, again.rule) == (401, "used-before"), again
    references = [one.get("reference") for one in people.do(ANALYST, "grants").json["requests"]
                  if one["state"] != "asked"]
    assert "T-503" not in references
    assert people.ask(ANALYST, [SUBJECT]).json["state"] == "waiting"  # signed anew


# --- what fails -----------------------------------------------------------------------------------


def test_another_policy_ends_what_it_does_not_allow(home, people):
    number = open_request(people)
    gateway = home.gateway
    with enter(home, number) as connection:
        assert len(connection.execute("select email from users").fetchall()) == 1
        before = gateway.policy["grants"]["rules"]["support"]["classes"]
        try:
            gateway.policy["grants"]["rules"]["support"]["classes"] = ["identity"]
            gateway.write_policy()
            gateway.reload()
            wait_until(lambda: home.pair.primary.value(
                'SELECT closed IS NOT NULL FROM ringfence."grant" WHERE id = %s', number),
                "the grant outlives its rule", timeout=20 * SLOW)
            with pytest.raises(psycopg.Error):
                for _ in range(100):
                    connection.execute("select email from users").fetchall()
                    time.sleep(0.1)
        finally:
            gateway.policy["grants"]["rules"]["support"]["classes"] = before
            gateway.write_policy()
            gateway.reload()
    wait_until(lambda: home.state(number) == "revoked", "the state is not what is true", timeout=20 * SLOW)


def test_a_grant_ends_by_itself(home, people):
    number = open_request(people, seconds=60)
    home.pair.primary.rows(CHANGED + 'UPDATE ringfence."grant" SET ends = now() + interval \'2 s\','
                           " changed = c.n FROM c WHERE id = %s", number)
    wait_until(lambda: home.state(number) == "expired", "it does not end", timeout=20 * SLOW)
    assert people.do(ANALYST, "revoke", request=number).status == 409


def test_two_gateways_move_one_grant(home, people):
    """Asked at one, approved at both, used at the second; each log alone holds, and refers to the other."""
    second, port = home.new_gateway()
    there = People(people.folder, NAMES)
    there.port, there.ca = port, people.ca
    try:
        number = people.ask(ANALYST, [SUBJECT]).json["request"]
        assert there.vote(PRIVACY, number).json["state"] == "waiting"
        assert people.vote(SECURITY, number).json["state"] == "open"
        with second.connect(ANALYST, options=f"-cringfence.grant={number}") as connection:
            assert len(connection.execute("select email from users").fetchall()) == 1
        first_log, second_log = home.gateway.public_log, second.public_log
        granted = first_log.wait_for("the grant", type="grant", grant=number)[0]
        assert any(ref.endswith(second_log.origin) for ref in granted["approval_refs"].split(","))
        again = second_log.wait_for("the grant there", type="grant", grant=number)[0]
        assert again["grant_ref"].endswith(first_log.origin)
        first_log.assert_holds()
        second_log.assert_holds()
    finally:
        second.public_log.witness.stop()


@pytest.mark.crashes
def test_a_registrar_that_dies_between_steps_leaves_nothing_half_open(home, people):
    """Killed again and again while requests are made and approved: whatever became of each, it is whole."""
    stop, killed = threading.Event(), []

    def kill():
        while not stop.is_set():
            time.sleep(0.3)
            for pid in home.gateway.pids("registrar"):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    numbers = []
    try:
        end = time.monotonic() + 60 * SLOW
        while (len(killed) < 3 or len(numbers) < 3) and time.monotonic() < end:
            try:
                asked = people.ask(ANALYST, [SUBJECT])
                if asked.status != 200:
                    time.sleep(0.02)
                    continue
                numbers.append(asked.json["request"])
                for officer in (PRIVACY, SECURITY):
                    people.vote(officer, numbers[-1])
            except (AssertionError, OSError):
                continue
    finally:
        stop.set()
        killer.join()
    wait_until(lambda: people.do(ANALYST, "grants").status == 200, "no registrar comes back",
               timeout=60 * SLOW)
    primary = home.pair.primary
    assert len(killed) >= 3 and len(numbers) >= 3, (killed, numbers)
    for number in numbers:
        state = home.state(number)
        assert state in ("waiting", "approved", "open"), state
        roles = primary.value('SELECT count(*) FROM ringfence."grant" WHERE id = %s', number)
        assert roles == (state == "open")
        if state == "open":
            assert primary.value("SELECT count(*) FROM ringfence.approval WHERE request = %s AND approves"
                                 " AND leaf IS NOT NULL", number) == 2
    home.gateway.public_log.assert_holds()


# --- a terminal under a grant ---------------------------------------------------------------------


def connect(home, *arguments, **environment):
    program = home.gateway.program("ringfence")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "RF_"))}
    return subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60 * SLOW, check=False,
                          env={**kept, "PGPASSWORD": password_of(ANALYST), "PGSSLCERT": "/nonexistent",
                               "PGSSLKEY": "/nonexistent", **environment})


SHOWS = ("--", "-XAtq", "-c", "select email from users")


def test_connect_begins_under_the_grant(home, people):
    number = open_request(people)
    email = home.pair.primary.value("SELECT email FROM app.users WHERE id = %s", SUBJECT)
    said = ("--grant", str(number), "--actor", ANALYST)
    by_arguments = connect(home, "-c", "/nonexistent", "connect", *said, "--region", "us-virginia", "--host",
                           "127.0.0.1", "--port", str(home.gateway.port), "--ca", home.gateway.ca, *SHOWS)
    assert (by_arguments.returncode, by_arguments.stdout) == (0, email + "\n"), by_arguments.stderr
    assert f"grant {number}" in by_arguments.stderr  # the gateway's notice
    by_configuration = connect(home, "-c", home.gateway.config_path, "connect", *said, *SHOWS,
                               RF_CA=home.gateway.ca)
    assert (by_configuration.returncode, by_configuration.stdout) == (0, email + "\n"), by_configuration.stderr
    by_environment = connect(home, "-c", "/nonexistent", "connect", *said, *SHOWS, RF_CA=home.gateway.ca,
                             RF_GATEWAY_HOST="127.0.0.1", RF_GATEWAY_PORT=str(home.gateway.port),
                             RF_REGION="us-virginia")
    assert (by_environment.returncode, by_environment.stdout) == (0, email + "\n"), by_environment.stderr


def test_connect_passes_on_how_psql_ended(home, people):
    number = open_request(people)
    to = ("--actor", ANALYST, "--region", "us-virginia", "--host", "127.0.0.1", "--port",
          str(home.gateway.port))
    known = ("--ca", home.gateway.ca)
    wrong = connect(home, "connect", "--grant", str(number), *to, *known, "--", "-Xc", "select nothing")
    assert wrong.returncode == 1, wrong.stderr
    unknown = connect(home, "connect", "--grant", str(number + 1000), *to, *known, *SHOWS)
    assert unknown.returncode == 2 and "no such grant" in unknown.stderr, unknown.stderr
    # whoever cannot show a certificate of that authority gets no password
    stranger = connect(home, "connect", "--grant", str(number), *to, "--ca", "/nonexistent", *SHOWS)
    assert stranger.returncode == 2 and "/nonexistent" in stranger.stderr, stranger.stderr


@pytest.mark.parametrize("words, said", [
    ((), "usage: "), (("--grant",), "usage: "), (("--grant", "1", "select 1"), "usage: "),
    (("--grant", "1; select"), '"1; select" is no grant'), (("--grant", "01"), '"01" is no grant'),
    (("--grant", "1", "--region", "us-virginia"), "where is the gateway?"),
    (("--grant", "1", "--host", "127.0.0.1"), "which region?")], ids=range(7))
def test_connect_tells_wrong_usage(home, words, said):
    done = connect(home, "-c", "/nonexistent", "connect", *words)
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_connect_says_when_there_is_no_psql(home):
    done = connect(home, "-c", "/nonexistent", "connect", "--grant", "1", "--host", "a", "--region", "r",
                   PATH="/nonexistent")
    assert done.returncode == 3 and "psql" in done.stderr and "$PATH" in done.stderr, done.stderr
