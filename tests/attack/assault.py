"""One attacker: a session in a room, a stream of scripts, a watch over the answers."""

import collections
import random
import urllib.parse

from canary import Watch
from grammar import Grammar, tables_of
from ideas import by_hand, ideas
from session import Answer, Lost, Script, Session, reason
from wire import Closed, ServerError
from world import BARE, NAMED, OPEN, PERSON

BATCH = 24
RECONNECT = 400   # scripts; a session that lives long hides what a new one would show
CRASH = {"57P02", "XX001", "XX002"}


class Finding:
    def __init__(self, script, target, what, excerpt):
        self.script, self.target, self.what, self.excerpt = script, target, what, excerpt
        self.shrunk = None

    def as_dict(self):
        return {"category": self.script.category, "target": str(self.target), "what": self.what,
                "excerpt": self.excerpt, "statement": self.script.text(), "shrunk": self.shrunk}


class Target:
    """ROOM as it is met at PLACE: "standby", "primary", "gateway"; "open": the views alone, every
    other wall down; "bare": unprotected."""

    def __init__(self, world, room, place):
        self.world, self.room, self.place = world, room, place

    def __str__(self):
        return f"{self.room} at {self.place}"

    def session(self, options=""):
        """OPTIONS: what an attacker adds at the start of a session, as for PGOPTIONS."""
        world = self.world
        if self.place == "gateway":
            parameters = {"ringfence.grant": str(world.grant)} if self.room == "granted" else {}
            if options:
                parameters["options"] = options
            actor = PERSON["masked" if self.room == "granted" else self.room]
            return Session.through(world.gateway, actor, **parameters)
        if self.place in ("bare", "open"):
            role = BARE if self.place == "bare" else OPEN
            return Session.direct(world.pair.primary, role, self.place, options=options)
        server = getattr(world.pair, self.place)
        role = world.role(self.room, self.place == "primary")
        return Session.direct(server, role, options=options)

    def tables(self):
        """What the attacker sees; the bare tables have the names of the masked ones."""
        schema = "masked" if self.place == "bare" else self.room
        return tables_of(self.world.pair.primary, schema)

    def watch(self):
        return Watch(self.world.canaries, self.world.allowed(self.room))


def generated(seed, tables, only=None):
    """An endless stream of Scripts, the same for the same seed."""
    grammar = Grammar(random.Random(seed), tables)
    known = ideas()
    names = [name for name in known if only is None or name in only]
    while True:
        name = grammar.random.choice(names)
        made = known[name].attack(grammar)
        statements = [made] if isinstance(made, str) else list(made)
        how = grammar.random.choices(["simple", "extended", "binary"], [30, 58, 12])[0]
        yield Script(name, statements, how)


def handwritten(target):
    """Each script as it stands, and at the standby single statements in the extended protocol too."""
    for category, statements in by_hand():
        yield Script(category, statements)
        if len(statements) == 1 and target.place == "standby":
            yield Script(category, statements, "extended")
            yield Script(category, statements, "binary")


# What a session may be started with: each is tried, then the tables are looked at.
STARTUPS = """-c search_path=app
-c search_path=ringfence,app,masked
-c search_path=pg_temp,app
-c role=rf_view
-c role=rf_owner
-c session_authorization=postgres
-c row_security=off
-c default_transaction_read_only=off
-c session_replication_role=replica
-c client_min_messages=debug5 -c debug_print_plan=on
-c client_encoding=SQL_ASCII -c standard_conforming_strings=off
-c local_preload_libraries=auto_explain
-c session_preload_libraries=auto_explain
-c allow_system_table_mods=on
-c ringfence.room=granted
-c log_statement=all
--search_path=app
-c enable_seqscan=off -c enable_hashjoin=off
-P
-O
-S 64""".splitlines()


class Tally:
    def __init__(self):
        self.statements = collections.Counter()
        self.errors = collections.Counter()
        self.bites = collections.Counter()      # scripts with a finding
        self.codes = collections.Counter()      # SQLSTATEs
        self.findings = []

    def add(self, other):
        for name in ("statements", "errors", "bites", "codes"):
            getattr(self, name).update(getattr(other, name))
        self.findings += other.findings


class Assault:
    """Runs scripts at TARGET and keeps a Tally. KEEP: how many findings a category remembers."""

    def __init__(self, target, keep=3):
        self.target, self.keep = target, keep
        self.watch = target.watch()
        self.tally = Tally()
        self.session, self.used = None, 0
        self.named = str(target.world.planted.keys[NAMED])

    def start_sessions(self):
        """With every hostile option; a refusal is an error like any other."""
        look = Script("startup", [f"SELECT * FROM {name}" for name in self.target.tables()])
        for options in STARTUPS:
            script = Script("startup", [f"(session started with {options})", *look.statements])
            try:
                session = self.target.session(options)
            except (ServerError, Closed) as refused:
                self.judge_all([script], [Answer(str(refused).encode(), [{"C": "refused"}], [])])
                continue
            self.judge_all([script], session.run([look]))
            session.close()
        return self.tally

    def run(self, scripts, count):
        """At least COUNT statements of SCRIPTS, or all of them."""
        batch, done = [], 0
        for script in scripts:
            batch.append(script)
            done += len(script.statements)
            if len(batch) == BATCH or done >= count:
                self.run_batch(batch)
                batch = []
            if done >= count:
                break
        if batch:
            self.run_batch(batch)
        self.close()
        return self.tally

    def close(self):
        if self.session is not None:
            self.session.close()
            self.session = None

    def run_batch(self, batch):
        while batch:
            if self.session is None or self.used > RECONNECT:
                self.close()
                self.session, self.used = self.target.session(), 0
            self.used += len(batch)
            try:
                answers = self.session.run(batch)
            except Lost as lost:
                self.close()
                answers = lost.answers
                self.judge_end(batch[lost.script], lost)
            self.judge_all(batch, answers)
            batch = batch[len(answers) + (self.session is None):]

    # --- judging ---

    def judge_end(self, script, lost):
        """A session may be ended with a reason. A server that crashed, or hung up without a word,
        is a finding."""
        self.count(script, 1)
        error = reason(lost.last)
        if error is None or error.get("C") in CRASH:
            self.note(script, "the server ended the session", str(lost))
        if self.watch.find(lost.last, True):
            self.note(script, "a canary in the last words", str(lost))

    def judge_all(self, batch, answers):
        """All answers at once first: nearly always there is nothing."""
        for script, answer in zip(batch, answers):
            self.count(script, len(answer.errors))
            self.tally.codes.update(error.get("C") for error in answer.errors)
        data = [self.seen(script, answer) for script, answer in zip(batch, answers)]
        if not self.watch.find(b"\n".join(data), any(script.asks_for_binary() for script in batch)):
            return
        for script, part in zip(batch, data):
            found = self.watch.find(part, script.asks_for_binary())
            if found:
                self.note(script, ", ".join(sorted({str(canary) for canary, _ in found})[:6]),
                          excerpt(part, found[0][1]))

    def count(self, script, errors):
        self.tally.statements[script.category] += len(script.statements)
        self.tally.errors[script.category] += errors

    def note(self, script, what, text):
        self.tally.bites[script.category] += 1
        if self.tally.bites[script.category] <= self.keep:
            self.tally.findings.append(Finding(script, str(self.target), what, text))

    def seen(self, script, answer):
        """The bytes that a client gets. Straight at the database, disclosures are there for the
        gateway, which takes them out; they may name nobody but the subject of the grant. A client of
        the gateway never gets one."""
        for text in answer.disclosures:
            if self.target.place == "gateway":
                self.note(script, "a disclosure that reached the client", text)
            elif subject_of(text) != self.named:
                self.note(script, "a disclosure of somebody whom the grant does not name", text)
        return answer.data


def subject_of(disclosure):
    return urllib.parse.unquote(disclosure.split(" ", 2)[2])


def excerpt(data, form, around=120):
    at = data.find(form)
    at = at if at >= 0 else data.lower().find(form)
    return data[max(0, at - around):at + len(form) + around].decode("utf-8", "backslashreplace")
