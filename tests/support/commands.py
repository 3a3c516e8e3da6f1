"""What people tell Ringfence to do (docs/formats/commands.md): keys, texts, signatures, posts. Our own
program takes no part in it."""

import datetime
import hashlib
import http.client
import json
import os
import secrets
import ssl
import subprocess

from sshsig import Key

ORDER = ("region", "actor", "verb", "request", "alert", "requester", "person", "by", "value", "subject", "class",
         "leaked", "purpose", "reference", "authority", "seconds", "until", "verdict", "reason", "version", "parental",
         "command", "nonce", "expires")
APPROVALS = ("approve", "deny")


def utc(seconds_ahead):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_ahead)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def fields_of(text):
    found = {}
    for line in text.splitlines()[1:]:
        key, value = line.split(" ", 1)
        if key in ("subject", "class"):
            found.setdefault(key, []).append(value)
        else:
            found[key] = value
    return found


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None

    @property
    def rule(self):
        return self.json["error"]["rule"]

    def __repr__(self):
        return f"{self.status} {self.body!r}"


class People:
    """Each with an SSH key, and the hub's address."""

    def __init__(self, folder, names, region="us-virginia"):
        self.folder, self.region = folder, region
        self.port = self.ca = None
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for name in names:
            self.make_key(name)

    def make_key(self, name, kind="ed25519"):
        path = self.key(name)
        if not os.path.exists(path):
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", path],
                           stdin=subprocess.DEVNULL, check=True)
        return path

    def key(self, name):
        return os.path.join(self.folder, name)

    def public(self, name):
        with open(self.key(name) + ".pub", encoding="ascii") as text:
            return " ".join(text.read().split()[:2])

    def text(self, actor, verb, ahead=300, **fields):
        said = {"region": self.region, "actor": actor, "verb": verb, "nonce": secrets.token_hex(16),
                "expires": utc(ahead), **{key.rstrip("_"): value for key, value in fields.items()}}
        lines = ["ringfence-approval@1" if verb in APPROVALS else "ringfence-command@1"]
        for key in ORDER:
            value = said.get(key)
            values = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
            lines += [f"{key} {one}" for one in values]
        return "\n".join(lines) + "\n"

    def sign(self, text, name, namespace=None):
        done = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", namespace or text.split("\n")[0],
                               "-f", self.key(name)], input=text.encode(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=True)
        return done.stdout.decode()

    def send(self, body, method="POST", kind="application/json", path="/api/v1/commands"):
        context = ssl.create_default_context(cafile=self.ca)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def post(self, text, signature):
        return self.send(json.dumps({"command": text, "signature": signature}))

    def do(self, actor, verb, key=None, **fields):
        text = self.text(actor, verb, **fields)
        return self.post(text, self.sign(text, key or actor))

    def ask(self, actor, subjects, classes=("contact",), purpose="support_ticket", seconds=600,
            reference="T-1", verb="request", **more):
        return self.do(actor, verb, subject=[str(s) for s in subjects], class_=list(classes),
                       purpose=purpose, seconds=seconds, reference=reference, **more)

    def request_text(self, actor, number):
        reply = self.do(actor, "grants", request=number)
        assert reply.status == 200, reply
        return reply.json["requests"][0]["text"]

    def vote_text(self, actor, number, of, verb="approve", **more):
        """What ACTOR signs about the request whose text is OF."""
        asked = fields_of(of)
        fields = {key: asked[key] for key in ("subject", "class", "purpose", "reference", "authority",
                                              "seconds") if key in asked}
        return self.text(actor, verb, request=number, requester=asked["actor"],
                         command=hashlib.sha256(of.encode()).hexdigest(), **{**fields, **more})

    def vote(self, actor, number, verb="approve", of=None, key=None, **more):
        text = self.vote_text(actor, number, of or self.request_text(actor, number), verb, **more)
        return self.post(text, self.sign(text, key or actor))


class Signers(People):
    """People whose keys are made of their names and never touch a disk: signing takes no process."""

    def __init__(self, names, region="us-virginia"):  # pylint: disable=super-init-not-called
        self.region, self.port, self.ca = region, None, None
        self.keys = {name: Key(name) for name in names}

    def public(self, name):
        return self.keys[name].public()

    def sign(self, text, name, namespace=None):
        return self.keys[name].sign(text, namespace)
