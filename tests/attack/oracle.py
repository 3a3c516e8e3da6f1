"""The differential oracle: change one hidden value, run the same statements again, compare.

In room `masked` an answer may depend on no hidden value: whatever a statement prints, counts, raises
or estimates must be the same whatever stands there. This sees what no canary shows, an answer that
is only a bit longer, slower to fail, or one row more.

In room `granted` an answer may depend on a value of a named subject, but then the disclosure of that
subject and class must have been announced, in both runs: up to the value they did the same."""

import datetime
import itertools
import json
import random
import re
import urllib.parse

from assault import Finding, Target, generated, subject_of
from gateway import client_name
from session import Lost, Script, Session
from waiting import wait_until
from world import GRANT, NAMED, STRANGER

ROUND = 24
# Statements of these ideas depend on the moment, the session or the load: they are left out.
FICKLE = {"settings", "temporary", "shadowing", "large_objects", "channels", "code"}
TIME_LIMIT = b"C57014\0"
MARK = re.compile(r"SELECT 'mark (\d+)'$")
GRANTS = itertools.count(GRANT + 1)
CLASSES = ["identity", "contact", "location", "activity", "graph", "content", "payment"]


class Change:
    """Of the one row of SUBJECT (a key) in TABLE: COLUMN becomes VALUE."""

    def __init__(self, subject, class_name, table, column, value):
        self.subject, self.class_name = subject, class_name
        self.table, self.column, self.value = table, column, value

    def __str__(self):
        return f"{self.table}.{self.column} of {self.subject}"

    def make(self, world, value):
        """Returns the value that was there. The table is written anew in the order of its keys, so
        that rows lie where they lay."""
        key = {"users": "id", "messages": "sender_id"}.get(self.table, "user_id")
        table = f"app.{self.table}"
        with world.pair.primary.connect() as connection:
            where = f"{key} = %s AND id = (SELECT min(id) FROM {table} WHERE {key} = %s)"
            before, = connection.execute(f"SELECT {self.column} FROM {table} WHERE {where}",
                                         [self.subject, self.subject]).fetchone()
            connection.execute(f"UPDATE {table} SET {self.column} = %s WHERE {where}",
                               [value, self.subject, self.subject])
            settle(connection, self.table)
        world.pair.wait_for_standby()
        return before


def settle(connection, table):
    connection.execute(f"CLUSTER app.{table} USING {table}_pkey")


def hidden_changes(subject):
    """Values of which the masks keep nothing: other texts, and other times of the same day, days of the
    same year, numbers of the same step."""
    moment = "2026-03-02 05:06:07.891+00"
    return [Change(subject, "contact", "users", "email", "other@example.org"),
            Change(subject, "contact", "users", "phone", "+100000000000000"),
            Change(subject, "identity", "users", "birthdate", datetime.date(1931, 2, 3)),
            Change(subject, "activity", "users", "created_at", "2026-11-12 01:02:03.4+00"),
            Change(subject, "content", "videos", "title", "x"),
            Change(subject, "activity", "watch_events", "at", moment),
            Change(subject, "activity", "watch_events", "seconds", 19),
            Change(subject, "content", "searches", "q", "something longer than before"),
            Change(subject, "location", "locations", "lat", -12.5),
            Change(subject, "location", "locations", "ip", "2001:db8::7"),
            Change(subject, "content", "messages", "body", ""),
            Change(subject, "payment", "purchases", "card_last4", "0000")]


def clear_changes(subject):
    """Values that a grant shows; of users, also those that are masked by a pseudonym."""
    return [Change(subject, "identity", "users", "handle",
                   "another_handle")] + hidden_changes(subject)


class Oracle:
    """Runs SCRIPTS at TARGET for each of CHANGES."""

    def __init__(self, world, target, scripts):
        self.world, self.target, self.scripts = world, target, scripts
        self.compared = self.different = 0
        self.findings = []

    def answers(self):
        found = []
        for at in range(0, len(self.scripts), ROUND):
            session = self.target.session()
            found += [(answer.data, announced(answer))
                      for answer in session.run(self.scripts[at:at + ROUND])]
            session.close()
        return found

    def run(self, changes):
        with self.world.pair.primary.connect() as connection:
            for table in sorted({change.table for change in changes}):
                settle(connection, table)
        self.world.pair.wait_for_standby()
        before = self.answers()
        rounds = []
        for change in changes:
            old = change.make(self.world, change.value)
            try:
                rounds.append((change, self.answers()))
            finally:
                change.make(self.world, old)
        after = self.answers()
        for change, changed in rounds:
            for i, script in enumerate(self.scripts):
                if before[i][0] == after[i][0]:  # else it depends on the moment: it says nothing
                    self.judge(change, script, before[i], changed[i])

    def judge(self, change, script, one, other):
        if TIME_LIMIT in one[0] or TIME_LIMIT in other[0]:
            return  # how far it came depends on the load
        self.compared += 1
        if one[0] == other[0]:
            return
        self.different += 1
        wanted = (change.class_name, str(change.subject))
        if wanted not in one[1] or wanted not in other[1]:
            what = f"changes with {change}, of which nothing was announced"
            self.findings.append(Finding(script, str(self.target), what,
                                         difference(one[0], other[0])))


def announced(answer):
    """{(class, subject)} of the disclosures."""
    return {(text.split(" ", 2)[1], subject_of(text)) for text in answer.disclosures}


def difference(one, other, around=60):
    at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    return " / ".join(data[max(0, at - around):at + around].decode("utf-8", "backslashreplace")
                      for data in (one, other))


class Granted(Target):
    """At the standby, under a grant that names two subjects."""

    def __init__(self, world):
        super().__init__(world, "granted", "standby")
        self.role = world.open_grant(next(GRANTS), [NAMED, STRANGER], CLASSES)
        world.pair.wait_for_standby()

    def session(self):
        return Session.direct(self.world.pair.standby, self.role)


# For the gateway: each way in which an answer can depend on a value.
TELLING = """
SELECT email FROM users
SELECT count(*) FROM users WHERE email LIKE 'other%'
SELECT 1 FROM users WHERE email = 'other@example.org'
SELECT email::int FROM users
SELECT 1 FROM users ORDER BY phone::int
SELECT 1 / (length(handle) - length('another_handle')) FROM users
SELECT CASE WHEN handle > 'b' THEN 'x' END FROM users
SELECT handle FROM users UNION ALL SELECT residency FROM videos
SELECT min(phone), max(email), count(DISTINCT handle) FROM users
SELECT row_number() OVER (ORDER BY email), left(email, 1) FROM users
SELECT EXISTS (SELECT FROM users WHERE handle LIKE 'another%')
SELECT v.id FROM videos v JOIN users u ON u.id = v.user_id WHERE u.email > 'p'
WITH u AS MATERIALIZED (SELECT * FROM users) SELECT length(email) + length(phone) FROM u
SELECT u FROM users u
SELECT ARRAY(SELECT handle FROM users)
COPY (SELECT phone, handle FROM users) TO STDOUT
BEGIN ;; DECLARE c CURSOR FOR SELECT email, handle FROM users ;; FETCH 1 FROM c
SELECT residency FROM users LIMIT (SELECT length(email) - 17 FROM users)
SELECT handle IS NOT NULL, upper(handle) FROM users
SELECT count(*) FROM users GROUP BY email, phone HAVING max(handle) < 'b'
""".strip().splitlines()


def telling():
    return [Script("telling", line.split(" ;; ")) for line in TELLING]


class Recorded(Oracle):
    """Through the gateway, which takes the announcements out and writes records: those count."""

    def answers(self):
        """A session a script, so that its records are known by the client's address."""
        gateway = self.world.gateway
        begun = len(gateway.journal())
        data, clients = [], []
        for script in self.scripts:
            session = self.target.session()
            clients.append(client_name(session.socket))
            data.append(session.run([script])[0].data)
            session.close()
        wait_until(lambda: {r["client"] for r in gateway.journal(kind="session_close")
                            if r["index"] >= begun} >= set(clients), "not every session has ended")
        told = {client: set() for client in clients}
        for record in gateway.journal(kind="disclosure"):
            if record["index"] >= begun:
                told[record["client"]] |= recorded(record["revealed"])
        return [(part, told[client]) for part, client in zip(data, clients)]


class Marked(Recorded):
    """Many scripts a session: between two of them a statement that is on record, too, and says where in
    the session they are. A session that was ended goes on as another one."""

    def __init__(self, world, target, scripts):
        super().__init__(world, target, scripts)
        self.next_index = 0

    def answers(self):
        data, clients, at = [], {}, 0
        self.records()  # what was there before is not ours
        while at < len(self.scripts):
            session = self.target.session()
            client = client_name(session.socket)
            clients[client] = at
            part = self.run_some(session, at)
            data += part
            at += len(part)
            session.close()
        told = [set() for _ in self.scripts]
        for number, names in self.told(clients):
            told[number] |= names
        return list(zip(data, told))

    def run_some(self, session, at):
        """The answers to the next scripts, with those to their marks left out."""
        scripts = [(Script("mark", [f"SELECT 'mark {at + i}'"]), script)
                   for i, script in enumerate(self.scripts[at:at + ROUND])]
        try:
            return [answer.data for answer in session.run([one for two in scripts for one in two])[1::2]]
        except Lost as lost:
            return [answer.data for answer in lost.answers[1::2]] + [b"the session was ended"]

    def records(self):
        """What the journal has got since the last time."""
        done = self.world.gateway.command("log", "show", "--json", "--from", str(self.next_index))
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode != 0:
            raise RuntimeError(f"log show: {done.stderr}")
        self.next_index = max([self.next_index, *(entry["index"] + 1 for entry in entries)])
        return [{**entry["public"], **(entry["private"] or {})} for entry in entries]

    def told(self, clients):
        """(script, {(class, subject)}) of every disclosure to CLIENTS."""
        records = []

        def all_closed():
            records.extend(self.records())
            return {r["client"] for r in records if r.get("kind") == "session_close"} >= set(clients)
        wait_until(all_closed, "not every session has ended")
        marks = {client: [] for client in clients}
        for record in records:
            mark = MARK.match(record.get("sql") or "")
            if mark and record.get("client") in marks:
                marks[record["client"]].append((record["statement"], int(mark.group(1))))
        for record in records:
            if "revealed" in record and record.get("client") in marks:
                before = [script for statement, script in marks[record["client"]]
                          if statement < record["statement"]]
                yield max(before), recorded(record["revealed"])
        marked = {script for of_client in marks.values() for _, script in of_client}
        if len(marked) < len(self.scripts):
            raise RuntimeError("some marks are not on record")


def recorded(text):
    """{(class, subject)} of a disclosure record: `KEY CLASS,CLASS KEY CLASS`."""
    words = text.split(" ")
    return {(name, urllib.parse.unquote(key)) for key, names in zip(words[::2], words[1::2])
            for name in names.split(",")}


def statements(target, count, seed):
    stream = generated(f"oracle {seed}", target.tables())
    chosen = []
    while len(chosen) < count:
        script = next(stream)
        if script.category not in FICKLE and "ANALYZE" not in script.text():  # it prints times
            chosen.append(script)
    return chosen


def over_masked(world, count, seed, changes=None):
    """An Oracle that has run, over all that a masked answer must not depend on."""
    target = Target(world, "masked", "standby")
    oracle = Oracle(world, target, statements(target, count, seed))
    oracle.run(changes or hidden_changes(world.planted.keys[STRANGER]))
    return oracle


def over_granted(world, count, seed, changes=None):
    target = Granted(world)
    oracle = Oracle(world, target, statements(target, count, seed))
    both = [clear_changes(world.planted.keys[name]) for name in (NAMED, STRANGER)]
    some = random.Random(seed)
    oracle.run(changes or [some.choice(pair) for pair in zip(*both)])
    return oracle


def over_gateway(world, changes=None):
    """NAMED alone is in the grant that the gateway's sessions enter."""
    oracle = Recorded(world, Target(world, "granted", "gateway"), telling())
    some = [change for change in clear_changes(world.planted.keys[NAMED])
            if change.column in ("handle", "email", "phone")]
    oracle.run(changes or some)
    return oracle
