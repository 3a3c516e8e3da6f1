"""The commands that people sign, against a hub that is not ours: a small HTTPS server which knows the
format by docs/formats/commands.md alone and has signatures verified by ssh-keygen."""

import datetime
import hashlib
import http.server
import json
import os
import pty
import re
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from certificates import Authority
from conftest import BUILD

RINGFENCE = os.path.join(BUILD, "src/cmd/ringfence")
REGION = "us-virginia"
ASK = ["--subject", "1042", "h-0123456789abcdef0123456789abcdef", "--class", "contact,identity",
       "--purpose", "support_ticket", "--reference", "T-4711: Zoë asks", "--for", "30m"]


def lines_of(text):
    """[(key, value)] behind the first line."""
    assert text.endswith("\n")
    return [tuple(line.split(" ", 1)) for line in text[:-1].split("\n")[1:]]


class Hub:
    """Takes commands; `answers` come first, one for each post, then what the book says."""

    def __init__(self, folder, authority, name, keys, addresses=("127.0.0.1",)):
        self.folder, self.keys = str(folder), keys
        self.posts, self.answers, self.requests, self.on_post = [], [], {}, None
        certificate, key = authority.issue(name, addresses=addresses, file=name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer, headers = hub.take(self.path, self.headers, body)
                self.send_response(status)
                for field, value in headers.items():
                    self.send_header(field, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def verify(self, actor, space, text, signature):
        """What `ssh-keygen -Y verify` says."""
        signers, armored = f"{self.folder}/signers", f"{self.folder}/signature"
        with open(signers, "w", encoding="ascii") as out:
            for name, path in self.keys.items():
                with open(f"{path}.pub", encoding="ascii") as public:
                    out.write(f"{name} {' '.join(public.read().split()[:2])}\n")
        with open(armored, "w", encoding="ascii") as out:
            out.write(signature)
        return subprocess.run(["ssh-keygen", "-Y", "verify", "-f", signers, "-I", actor, "-n", space, "-s",
                               armored], input=text.encode(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    def take(self, path, headers, body):
        if self.on_post:
            self.on_post()
        if self.answers:
            status, answer, *more = self.answers.pop(0)
            if status is not None:
                raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                return status, raw, more[0] if more else {}
        assert path == "/api/v1/commands" and headers["Content-Type"] == "application/json"
        assert len(body) <= 32768
        said = json.loads(body)
        assert set(said) == {"command", "signature"}
        text, space = said["command"], said["command"].split("\n", 1)[0]
        fields = dict(lines_of(text))
        assert space == ("ringfence-approval@1" if fields["verb"] in ("approve", "deny")
                         else "ringfence-command@1")
        if not self.verify(fields["actor"], space, text, said["signature"]):
            return 401, error("signature", "the signature is wrong, or its key is unknown"), {}
        ahead = (datetime.datetime.strptime(fields["expires"], "%Y-%m-%dT%H:%M:%SZ") -
                 datetime.datetime.utcnow()).total_seconds()
        assert 0 < ahead <= 600 and re.fullmatch("[0-9a-f]{32}", fields["nonce"])
        assert all(text != before["command"] for before in self.posts)
        self.posts.append(said)
        return 200, json.dumps(self.do(fields, said)).encode(), {}

    def do(self, fields, said):
        verb, number = fields["verb"], int(fields.get("request", 0))
        if verb == "find":
            return {"handle": "h-" + hashlib.sha256(fields["value"].encode()).hexdigest()[:32]}
        if verb in ("request", "break-glass"):
            number = 31 + len(self.requests)
            self.requests[number] = {
                "request": number, "state": "waiting" if verb == "request" else "open", "as": "approver",
                "requester": fields["actor"], "purpose": fields["purpose"], "classes": ["identity"],
                "subjects": 2, "seconds": int(fields["seconds"]), "requested": 1796058300, "votes": 0,
                "wanted": True, "text": said["command"], "signature": said["signature"]}
        elif verb == "grants":
            return {"requests": [r for n, r in self.requests.items() if number in (0, n)]}
        elif verb == "review-alert":
            return {"alert": int(fields["alert"]), "verdict": fields["verdict"]}
        else:
            state = {"approve": "open", "deny": "denied", "revoke": "revoked", "review": "open"}[verb]
            self.requests[number]["state"] = state
        return {"request": number, "state": self.requests[number]["state"]}

    def verbs(self):
        return [dict(lines_of(post["command"]))["verb"] for post in self.posts]


def error(rule, message):
    return json.dumps({"error": {"rule": rule, "message": message}}).encode()


def make_key(path, *options, passphrase=""):
    subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-C", "", "-f", path, *(options or ["-t", "ed25519"])],
                   check=True)
    return str(path)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("hub-ca")))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {"us_analyst": make_key(folder / "analyst"),
            "us_privacy_officer": make_key(folder / "officer", "-t", "ecdsa", "-b", "384"),
            "us_security_officer": make_key(folder / "guard", "-t", "rsa", "-b", "3072")}


@pytest.fixture
def hub(tmp_path, trusted, keys):
    made = Hub(tmp_path, trusted, "hub", keys)
    yield made
    made.stop()


class Person:
    """Runs commands as one actor, in a world of his own."""

    def __init__(self, folder, hub, ca, actor, key):
        self.actor, self.key = actor, key
        self.runtime, self.home = folder / f"run-{actor}", folder / f"home-{actor}"
        self.runtime.mkdir()
        self.home.mkdir()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8",
                            "XDG_RUNTIME_DIR": str(self.runtime), "RF_HUB_TLS": hub.url, "RF_CA": ca,
                            "RF_REGION": REGION, "RF_CONFIG": "/nonexistent/ringfence.yaml"}
        for name in os.environ:
            if name.endswith("SAN_OPTIONS"):
                self.environment[name] = os.environ[name]

    def words(self, *words):
        as_whom = ["--actor", self.actor] + (["--identity", self.key] if self.key else [])
        return [RINGFENCE, *words, *as_whom]

    def run(self, *words, given="", expect=0, **environment):
        done = subprocess.run(self.words(*words), input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env=self.environment | environment, timeout=60, check=False)
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        assert list(self.runtime.iterdir()) == [], "something was left behind"
        return done

    def json(self, *words, **options):
        return json.loads(self.run(*words, "--json", **options).stdout)

    def talk(self, words, said, expect=0, **environment):
        """At a terminal: (what is waited for, what is typed then) in SAID; all that was shown."""
        master, slave = pty.openpty()
        child = subprocess.Popen(self.words(*words), stdin=slave, stdout=slave, stderr=slave,
                                 env=self.environment | environment, start_new_session=True,
                                 preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)))
        os.close(slave)
        shown, deadline = "", time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    read = os.read(master, 4096)
                except OSError:  # the terminal has no other end any more
                    break
                shown += read.decode()
            if said and said[0][0] in shown:
                os.write(master, said.pop(0)[1].encode())
        status = child.wait(10)
        os.close(master)
        assert status == expect, (status, shown)
        assert not said, ("never asked", said, shown)
        assert list(self.runtime.iterdir()) == []
        return shown


@pytest.fixture
def analyst(tmp_path, hub, trusted, keys):
    return Person(tmp_path, hub, trusted.certificate, "us_analyst", keys["us_analyst"])


@pytest.fixture
def officer(tmp_path, hub, trusted, keys):
    return Person(tmp_path, hub, trusted.certificate, "us_privacy_officer", keys["us_privacy_officer"])


# --- asking ---------------------------------------------------------------------------------------


def test_a_request_is_signed_and_posted_as_the_format_says(hub, analyst):
    answer = analyst.json("request", *ASK)
    assert answer == {"request": 31, "state": "waiting"}
    text = hub.posts[0]["command"]
    fields = dict(lines_of(text))
    assert text == ("ringfence-command@1\nregion us-virginia\nactor us_analyst\nverb request\nsubject 1042\n"
                    "subject h-0123456789abcdef0123456789abcdef\nclass identity\nclass contact\n"
                    "purpose support_ticket\nreference T-4711: Zoë asks\nseconds 1800\n"
                    f"nonce {fields['nonce']}\nexpires {fields['expires']}\n")
    done = analyst.run("request", *ASK)
    assert done.stdout == '{"request":32}\n' and done.stderr == "request 32 waits for approvals\n"


def test_each_verb_posts_its_lines(hub, analyst):
    found = analyst.json("find", "--by", "email", "--value", "zoe@example.org", "--purpose", "support_ticket")
    assert found == {"handle": "h-" + hashlib.sha256(b"zoe@example.org").hexdigest()[:32]}
    opened = analyst.json("break-glass", "--subject", "7", "--subject", "8", "--class", "location", "--purpose",
                          "security_incident", "--for", "1h", "--reason", "the house burns")
    assert opened == {"request": 31, "state": "open"}
    assert analyst.json("review", "31", "--verdict", "improper", "--reason", "it did not") == opened
    assert analyst.json("revoke", "31", "--reason", "done") == {"request": 31, "state": "revoked"}
    listed = analyst.json("grants")
    assert [one["request"] for one in listed["requests"]] == [31]
    assert hub.verbs() == ["find", "break-glass", "review", "revoke", "grants"]
    fields = lines_of(hub.posts[1]["command"])
    assert [value for key, value in fields if key == "subject"] == ["7", "8"]
    assert ("seconds", "3600") in fields and ("reason", "the house burns") in fields
    assert [line.split("\t")[:3] for line in analyst.run("grants").stdout.splitlines()
            if line[0] != " "] == [["31", "revoked", "us_analyst"]]


def test_alerts_are_listed_and_reviewed(hub, analyst):
    alert = {"alert": 3, "rule": "new_place", "person": "eve\x1b[2J", "since": 1796058300, "times": 2, "request": 31}
    for _ in range(2):
        hub.answers.append((200, {"requests": [], "alerts": [alert, {**alert, "alert": 4, "times": 1, "request": 0}]}))
    assert analyst.json("grants")["alerts"][0] == alert
    assert analyst.run("grants").stdout.splitlines()[1:] == [
        "alert 3: eveU+001B[2J, new_place, request 31, 2 times", "alert 4: eveU+001B[2J, new_place"]
    words = ["review-alert", "3", "--verdict", "proper", "--reason", "he was there"]
    assert analyst.json(*words) == {"alert": 3, "verdict": "proper"}
    assert [line for line in lines_of(hub.posts[-1]["command"]) if line[0] not in ("nonce", "expires")] == [
        ("region", "us-virginia"), ("actor", "us_analyst"), ("verb", "review-alert"), ("alert", "3"),
        ("verdict", "proper"), ("reason", "he was there")]
    assert analyst.run(*words).stdout == "alert 3 is closed: proper\n"


def test_what_is_left_of_a_budget_is_told(hub, analyst):
    analyst.json("request", *ASK)
    hub.requests[31]["budget"] = {"rows": 50, "bytes": 65536}
    assert ", at most 50 rows, at most 65536 bytes;" in analyst.run("grants").stdout
    hub.requests[31].update(state="open", wanted=False, left={"rows": 12, "bytes": 0})
    assert analyst.run("grants").stdout.splitlines()[0].endswith(", 12 of 50 rows left, 0 of 65536 bytes left")
    assert analyst.json("grants")["requests"][0]["left"] == {"rows": 12, "bytes": 0}


def test_what_is_looked_for_is_not_in_the_list_of_processes(hub, analyst):
    seen = []

    def look():
        for name in os.listdir("/proc"):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as line:
                    seen.append(line.read())
            except OSError:
                continue

    hub.on_post = look
    analyst.run("find", "--by", "email", "--value", "nobody.sees@example.org", "--purpose", "support_ticket")
    analyst.run("find", "--by", "email", "--value", "-", "--purpose", "support_ticket",
                given="from.input@example.org\n")
    analyst.run("request", "--subject", "key-nobody-sees", "--class", "identity", "--purpose", "support_ticket",
                "--for", "1h")
    mine = [line for line in seen if RINGFENCE.encode() in line and str(analyst.key).encode() in line]
    assert len(mine) == 3, "the commands were not seen at all"
    assert not [line for line in mine if b"sees" in line or b"from.input" in line]
    values = [dict(lines_of(post["command"])).get("value") for post in hub.posts]
    assert values == ["nobody.sees@example.org", "from.input@example.org", None]


@pytest.mark.parametrize("words, said", [
    (["request"], "lacks its line \"subject\""),
    (["request", *ASK, "--for", "30"], "--for: expected a time"),
    (["request", *ASK, "--for", "30s"], "--for: expected a time"),
    (["request", *ASK, "--for", "32d"], "--for: expected a time"),
    (["request", *ASK, "--reason", "x"], "no option \"--reason\""),
    (["request", *ASK, "--class", "location"], "--class: expected one list"),
    (["request", *ASK, "31"], "unexpected argument"),
    (["request", *ASK, "--subject", "1042"], "the value of \"subject\""),
    (["request", *ASK, "--authority", "a\x1bb"], "the value of \"authority\""),
    (["request", *ASK, "--region"], "--region: its value is missing"),
    (["find", "--by", "name", "--value", "x", "--purpose", "p"], "the value of \"by\""),
    (["approve"], "which request"),
    (["approve", "0"], "no number of a request"),
    (["approve", "031", "--yes"], "no number of a request"),
    (["deny", "31", "--yes"], "--reason"),
    (["approve", "31"], "--yes"),
    (["review", "31", "--verdict", "fine", "--reason", "x"], "the value of \"verdict\""),
    (["review-alert", "--verdict", "proper", "--reason", "x"], "which alert"),
    (["review-alert", "3x", "--verdict", "proper", "--reason", "x"], "no number of an alert"),
    (["review-alert", "3", "--verdict", "proper"], "\"reason\""),
    (["grants", "--hub", "http://127.0.0.1"], "no address of a hub"),
    (["grants", "--hub", "https://127.0.0.1/x"], "no address of a hub"),
])
def test_wrong_usage_is_told_and_nothing_is_posted(hub, analyst, words, said):
    done = analyst.run(*words, expect=2)
    assert said in done.stderr and "usage: ringfence" in done.stderr, done.stderr
    assert not hub.posts


# --- waiting --------------------------------------------------------------------------------------


def test_waiting_ends_when_the_request_is_open(hub, analyst):
    def turn():
        if "grants" in hub.verbs():
            hub.requests[31]["state"] = "open"

    hub.on_post = turn
    hub.answers = [(None, None), (503, {"error": {"rule": "registrar-away", "message": "not now"}})]
    done = analyst.run("request", *ASK, "--wait", "--json")
    assert json.loads(done.stdout) == {"request": 31, "state": "open"}
    assert hub.verbs() == ["request", "grants", "grants"]


def test_waiting_ends_when_the_request_is_denied(hub, analyst):
    def turn():
        if hub.requests:
            hub.requests[31]["state"] = "denied"

    hub.on_post = turn
    assert "request 31 has been denied\n" in analyst.run("request", *ASK, "--wait", expect=1).stderr


# --- approving ------------------------------------------------------------------------------------


def test_an_approver_signs_the_request_that_he_was_shown(hub, analyst, officer):
    analyst.run("request", *ASK)
    done = officer.run("approve", "31", "--yes")
    assert done.stdout == "request 31 is open\n"
    for part in ("Request 31 in us-virginia, of us_analyst", "SHA256:", "to see     identity", "contact",
                 "of         1042", "h-0123456789abcdef0123456789abcdef", "for        support_ticket",
                 "reference  T-4711: Zoë asks", "during     30 minutes", "You, us_privacy_officer, approve this."):
        assert part in done.stderr, (part, done.stderr)
    assert hub.verbs() == ["request", "grants", "approve"]
    asked, signed = hub.posts[0]["command"], hub.posts[2]["command"]
    fields = dict(lines_of(signed))
    assert signed == ("ringfence-approval@1\nregion us-virginia\nactor us_privacy_officer\nverb approve\n"
                      "request 31\nrequester us_analyst\nsubject 1042\n"
                      "subject h-0123456789abcdef0123456789abcdef\nclass identity\nclass contact\n"
                      "purpose support_ticket\nreference T-4711: Zoë asks\nseconds 1800\n"
                      f"command {hashlib.sha256(asked.encode()).hexdigest()}\n"
                      f"nonce {fields['nonce']}\nexpires {fields['expires']}\n")


def test_at_a_terminal_the_approver_is_asked(hub, analyst, officer):
    analyst.run("request", *ASK)
    shown = officer.talk(["approve", "31"], [("Sign it? [y/N] ", "n\n")], expect=1)
    assert "nothing was signed" in shown
    officer.talk(["approve", "31"], [("Sign it? [y/N] ", "\n")], expect=1)
    assert "approve" not in hub.verbs()
    shown = officer.talk(["deny", "31", "--reason", "no ticket"], [("deny this: no ticket", ""),
                                                                   ("Sign it? [y/N] ", "y\n")])
    assert "request 31 has been denied" in shown
    assert ("reason", "no ticket") in lines_of(hub.posts[-1]["command"])


def test_a_terminal_is_not_turned_against_its_reader(hub, analyst, officer):
    analyst.run("request", *ASK[:-3], "for \u202e\u200bnobody\u2066", "--for", "30m")
    done = officer.run("approve", "31", "--yes")
    assert "reference  for U+202EU+200BnobodyU+2066\n" in done.stderr
    assert not set(done.stderr) & set("\u202e\u200b\u2066")
    hub.answers = [(403, {"error": {"rule": "a\u001b[2Jb", "message": "c\u0007\u202ed"}})]
    done = officer.run("grants", expect=1)
    assert "refused by rule \"aU+001B[2Jb\": cU+0007U+202Ed" in done.stderr


def test_a_value_is_not_drawn_out_to_look_like_another_row(hub, analyst, officer):
    """A terminal breaks a long line at its edge: what stands behind many blanks would begin one."""
    analyst.run("request", *ASK[:-3], "T-1" + 70 * " " + "of         99\u3000\u00a0x", "--for", "30m")
    done = officer.run("approve", "31", "--yes")
    row = next(line for line in done.stderr.splitlines() if "reference" in line)
    assert row == "  reference  T-1 " + 69 * "U+0020" + "of " + 8 * "U+0020" + "99U+3000U+00A0x"


def spoiled(hub, **changes):
    """The hub's request 31, with other words."""
    hub.requests[31] |= changes


@pytest.mark.parametrize("spoil", [
    lambda asked, other: {"text": asked["text"].replace("subject 1042", "subject 1043")},
    lambda asked, other: {"text": asked["text"].replace("region us-virginia", "region eu-dublin")},
    lambda asked, other: {"text": asked["text"].replace("seconds 1800", "seconds 01800")},
    lambda asked, other: {"text": asked["text"] + "reason none\n"},
    lambda asked, other: {"text": ""},
    lambda asked, other: {"text": "x" * 20000},
    lambda asked, other: {"signature": other["signature"]},
    lambda asked, other: {"signature": ""},
    lambda asked, other: {"text": other["text"], "signature": other["signature"]},  # another region's
])
def test_nobody_signs_what_the_requester_did_not(hub, analyst, officer, spoil):
    analyst.run("request", *ASK)
    analyst.run("request", *ASK, "--region", "eu-dublin")
    other = hub.requests.pop(32)
    hub.requests[31] |= spoil(hub.requests[31], other)
    done = officer.run("approve", "31", "--yes", expect=1)
    assert "what the hub shows is" in done.stderr
    assert "approve" not in hub.verbs()


def test_nobody_signs_what_is_no_request(hub, analyst, officer):
    analyst.run("request", *ASK)
    analyst.run("grants")
    hub.requests[31] |= {"text": hub.posts[1]["command"], "signature": hub.posts[1]["signature"]}
    assert "is no request, but \"grants\"" in officer.run("approve", "31", "--yes", expect=1).stderr
    hub.requests[31] |= {"request": 30}
    hub.answers = [(200, {"requests": [hub.requests[31]]})]
    assert "another request" in officer.run("approve", "31", "--yes", expect=3).stderr
    assert hub.verbs() == ["request", "grants", "grants"]


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status, code, exit_status", [
    (400, "EDENIED", 1), (401, "EAUTH", 1), (403, "EDENIED", 1), (404, "EDENIED", 1), (409, "EDENIED", 1),
    (413, "EDENIED", 1), (429, "EUNAVAIL", 3), (503, "EUNAVAIL", 3)])
def test_refusals_name_the_rule_and_have_their_status(hub, analyst, status, code, exit_status):
    answer = {"error": {"rule": "approver-chain", "message": "approvers are outside the chain of command"}}
    hub.answers = [(status, answer)] * 2
    done = analyst.run("grants", expect=exit_status)
    assert "approvers are outside the chain of command" in done.stderr
    assert exit_status == 3 or "rule \"approver-chain\"" in done.stderr
    assert ("clock" in done.stderr) == (status == 401)
    told = analyst.json("grants", expect=exit_status)["error"]
    assert told["code"] == code and told.get("rule") == ("approver-chain" if exit_status == 1 else None)
    assert "approvers are outside" in told["line"]


@pytest.mark.parametrize("status, answer", [
    (200, b"<html>"), (200, b""), (200, b"[]"), (200, b'{"requests":1}'), (200, b'{"requests":[],"requests":[]}'),
    (404, b"not found\n"), (500, b"oh"), (302, b""), (204, b"")])
def test_answers_that_are_no_hubs_are_told(hub, analyst, status, answer):
    hub.answers = [(status, answer)]
    done = analyst.run("grants", expect=3)
    assert done.stderr.startswith("ringfence grants: the hub")


def test_an_endless_answer_ends(hub, analyst):
    hub.answers = [(200, b'{"requests":["' + b"x" * (9 << 20) + b'"]}')]
    assert "longer than a hub's can be" in analyst.run("grants", expect=3).stderr


# --- the way there --------------------------------------------------------------------------------


def test_certificates_are_verified(tmp_path, hub, analyst, trusted, keys):
    stranger = Authority(str(tmp_path / "stranger"))
    done = analyst.run("grants", "--ca", stranger.certificate, expect=3)
    assert "--ca FILE" in done.stderr
    assert "--ca FILE" in analyst.run("grants", RF_CA="", expect=3).stderr  # by the system's
    elsewhere = Hub(tmp_path, trusted, "elsewhere", keys, addresses=("127.0.0.2",))
    done = analyst.run("grants", "--hub", elsewhere.url, expect=3)
    elsewhere.stop()
    assert "--ca FILE" in done.stderr
    assert "could not read the certificates" in analyst.run("grants", "--ca", "/nonexistent", expect=3).stderr
    assert not hub.posts and not elsewhere.posts


def test_a_hub_that_is_away_or_silent_is_told(hub, analyst):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = analyst.run("grants", "--hub", f"https://127.0.0.1:{free.getsockname()[1]}", expect=3)
    assert "could not post" in done.stderr and "before you sign anew" in done.stderr
    hub.on_post = lambda: time.sleep(14)
    began = time.monotonic()
    assert "before you sign anew" in analyst.run("grants", expect=3).stderr
    assert 11 < time.monotonic() - began < 14


def test_one_redirect_to_another_hub_is_followed(tmp_path, hub, analyst, trusted, keys):
    other = Hub(tmp_path, trusted, "other", keys)
    there = {"Location": f"{other.url}/api/v1/commands"}
    hub.answers = [(307, b"", there)]
    assert analyst.json("grants") == {"requests": []}
    assert other.verbs() == ["grants"] and not hub.posts
    for status, headers in ((307, {"Location": f"{other.url.replace('https', 'http')}/api/v1/commands"}),
                            (307, {"Location": f"{other.url}/api/v1/other"}), (307, {}), (308, there),
                            (307, {"Location": "file:///etc/passwd"})):
        hub.answers = [(status, b"", headers)]
        done = analyst.run("grants", expect=3)
        assert ("no hub's" if status == 307 else f"answers {status}") in done.stderr
    hub.answers, other.answers = [(307, b"", there)], [(307, b"", {"Location": f"{hub.url}/api/v1/commands"})]
    assert "leads on" in analyst.run("grants", expect=3).stderr
    other.stop()
    assert len(other.posts) == 1 and not hub.posts


def test_hub_and_region_come_from_the_configuration(tmp_path, hub, analyst, trusted):
    config = tmp_path / "ringfence.yaml"
    config.write_text(f"""name: gateway
place: US
policy: policy.yaml
credentials: credentials
state: state
run: run
listen: [{{unix: run/.s.PGSQL.6432}}]
databases:
  app: {{region: {REGION}, database: app, primary: ["/run/pg:5432"], standby: ["/run/pg:5433"], tls: off}}
hub: {{listen: [{{unix: run/hub}}], url: "{hub.url}", ca: {trusted.certificate}}}
""")
    bare = {"RF_HUB_TLS": "", "RF_CA": "", "RF_REGION": "", "RF_CONFIG": str(config)}
    assert analyst.json("grants", **bare) == {"requests": []}
    assert ("region", REGION) in lines_of(hub.posts[0]["command"])
    config.write_text("name: 1\n")
    assert "ringfence.yaml:1" in analyst.run("grants", **bare, expect=2).stderr
    assert analyst.json("grants", RF_CONFIG=str(config), RF_CA=trusted.certificate) == {"requests": []}
    nowhere = bare | {"RF_CONFIG": "/nonexistent"}
    assert "which region" in analyst.run("grants", **nowhere, expect=2).stderr
    assert "which hub" in analyst.run("grants", **nowhere | {"RF_REGION": REGION}, expect=2).stderr


# --- keys -----------------------------------------------------------------------------------------


def test_the_key_below_home_is_taken(hub, analyst, keys):
    analyst.key = None
    assert "there is no SSH key" in analyst.run("grants", expect=2).stderr
    (analyst.home / ".ssh").mkdir()
    shutil.copy(keys["us_analyst"], analyst.home / ".ssh/id_ed25519")
    analyst.run("grants")
    assert hub.verbs() == ["grants"]


def test_an_agent_signs(tmp_path, hub, analyst, officer, keys):
    path = str(tmp_path / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(path):
            time.sleep(0.01)
        there = {"SSH_AUTH_SOCK": path}
        analyst.key = None
        assert "there is no SSH key" in analyst.run("grants", **there, expect=2).stderr
        for name in ("us_analyst", "us_privacy_officer"):
            subprocess.run(["ssh-add", "-q", keys[name]], env=os.environ | there, check=True)
            if name == "us_analyst":
                analyst.run("grants", **there)
        assert "holds several keys" in analyst.run("grants", **there, expect=2).stderr
        public = tmp_path / "only.pub"
        shutil.copy(keys["us_privacy_officer"] + ".pub", public)
        officer.key = str(public)
        officer.run("grants", **there)
        done = officer.run("grants", expect=1)
        assert "did not sign" in done.stderr
    finally:
        agent.terminate()
        agent.wait()
    assert hub.verbs() == ["grants", "grants"]


def test_a_passphrase_is_asked_for_at_the_terminal(tmp_path, hub, analyst):
    analyst.key = hub.keys["us_other"] = make_key(tmp_path / "locked", passphrase="correct horse")
    analyst.actor = "us_other"
    shown = analyst.talk(["grants"], [("passphrase", "correct horse\n")])
    assert "no requests" in shown and "horse" not in shown
    assert hub.verbs() == ["grants"]


def test_keys_that_nobody_accepts_are_told_before_anything_is_sent(tmp_path, hub, analyst):
    analyst.key = make_key(tmp_path / "weak", "-t", "rsa", "-b", "2048")
    assert "2048 bits" in analyst.run("grants", expect=2).stderr
    analyst.key = str(tmp_path / "missing")
    assert "could not read identity file" in analyst.run("grants", expect=3).stderr
    assert not hub.posts


def test_without_ssh_keygen_its_package_is_named(tmp_path, analyst):
    done = analyst.run("grants", expect=3, PATH=str(tmp_path))
    assert "openssh-client" in done.stderr


def test_another_key_than_the_policys_is_refused(tmp_path, hub, analyst):
    analyst.key = make_key(tmp_path / "unlisted")
    assert "must list your key" in analyst.run("grants", expect=1).stderr
    assert not hub.posts
