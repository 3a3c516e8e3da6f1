"""Grants that people sign for, while many are open: opening, statements, control and registrar.

A region with its standby, a gateway with a public log and a hub, and 1,000 persons in the policy. At
each number of open grants:

  opening     the second officer's approval is posted, the hub answers "open"; then a session that
              waits for it sees the first row under the grant (control looks every 200 ms, the standby
              must have replayed it, and control must have proven it)
  statements  a masked statement, and one under a grant, beside the same question of a service, which
              no grant concerns: they take turns in short blocks, ABBA, and what counts is the ratio
              of neighbours; and the CPU of all that a person's statement keeps busy
  control     from the gateway's start until it shows all of them, which it has verified by then; its
              CPU and its database's at rest
  registrar   its CPU and its database's a command, and at rest

The many grants are put in by the functions that the registrar calls, with texts that were really
signed: each is verified by control as any other."""

import collections
import http.client
import json
import os
import re
import ssl
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import psycopg  # noqa: E402
import yaml  # noqa: E402

from certificates import Authority  # noqa: E402
from commands import Signers  # noqa: E402
from crowd import open_many  # noqa: E402
from gateway import Gateway  # noqa: E402
from ports import free_port  # noqa: E402
from public_log import PublicLog  # noqa: E402
from region import make_region  # noqa: E402
from waiting import wait_until  # noqa: E402

REGION, SERVICE = "us-virginia", "app_us"
ANALYST, PRIVACY, SECURITY = "us_analyst", "us_privacy_officer", "us_security_officer"
OFFICERS = (PRIVACY, SECURITY)
CLASSES = ["identity", "contact"]
PERSONS = 1_000
SUBJECTS = [n for n in range(1, 200) if n % 20 != 7]  # not the children of sample.sql
BLOCK = 20        # statements
REST_S = 5
AIM_MS = 50

# (what, the service's question, the person's)
STATEMENTS = {
    "masked": ("SELECT id, handle, email FROM users WHERE residency = 'US' LIMIT 5",
               "SELECT id, handle, email FROM users WHERE residency = 'US' LIMIT 5"),
    "granted": ("SELECT id, handle, email FROM users WHERE id = 8",
                "SELECT id, handle, email FROM users"),
}

class Employees(Signers):
    """The people of the policy; their posts go over a connection that may be there already."""

    connection = None

    def ask_text(self, subject, seconds=28_800):
        return self.text(ANALYST, "request", subject=[str(subject)], class_=CLASSES,
                         purpose="support_ticket", reference="T-1", seconds=seconds)

    def connect(self):
        """A connection to the hub whose handshake is done."""
        self.connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=ssl.create_default_context(cafile=self.ca), timeout=30)
        self.connection.connect()

    def say(self, text, name):
        body = json.dumps({"command": text, "signature": self.sign(text, name)})
        if self.connection is None:
            self.connect()
        self.connection.request("POST", "/api/v1/commands", body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        said = json.loads(answer.read())
        self.connection.close()
        self.connection = None
        if answer.status != 200:
            raise SystemExit(f"{name}: {answer.status} {said}")
        return said


class Place:
    """The region, its gateway, its people."""

    def __init__(self, folder, build):
        names = [ANALYST, *OFFICERS]
        self.people = Employees(names + [f"person_{n:04}" for n in range(PERSONS)])
        with open(os.path.join(ROOT, "demo", "policy.yaml"), encoding="utf-8") as text:
            self.grants = yaml.safe_load(text)["grants"]
        self.grants["rules"].pop("support-dublin")  # nobody of Dublin has a key here
        authority = Authority(os.path.join(folder, "ca"))
        self.pair = make_region(os.path.join(folder, "region"), authority, build, "full",
                                policy=self.set_policy)
        self.people.port = free_port()
        hub = {"listen": [{"address": "127.0.0.1", "port": self.people.port, "tls": "required"}],
               "tls": {"certificate": "hub.crt", "key": "hub.key"}}
        self.gateway = Gateway(os.path.join(folder, "gateway"), self.pair, authority, build, "full",
                               config={"hub": hub}, policy=self.set_policy)
        certificate, key = authority.issue("hub", addresses=["127.0.0.1"], names=["localhost"])
        self.gateway.copy(certificate, "hub.crt", 0o644)
        self.gateway.copy(key, "hub.key", 0o600)
        self.log = PublicLog(self.gateway)
        self.people.ca = self.gateway.ca

    def set_policy(self, policy):
        policy["grants"] = self.grants
        actors = policy["actors"]
        for name in self.people.keys:
            actors.setdefault(name, {**actors[ANALYST], "certificate": name})
            actors[name]["keys"] = [self.people.public(name)]

    def stop(self):
        self.gateway.stop()
        self.log.witness.stop()
        self.pair.stop()

    # --- grants ---

    def open_grants(self):
        return self.pair.primary.value("SELECT count(*) FROM ringfence.request WHERE state = 'open'")

    def open_many(self, count):
        begun = time.monotonic()
        if count > 0:
            open_many(self.pair, self.people, self.log.origin, count, CLASSES)
        return time.monotonic() - begun


# --- CPU ------------------------------------------------------------------------------------------


def cpu_ms(pids):
    """What processes have used so far; what has ended counts nothing."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / 1e6


def sets_of(place):
    """{name: pids}: the processes, and the database's for them."""
    backends = {name: [] for name in ("rf_control", "rf_registrar")}
    for server in (place.pair.primary, place.pair.standby):
        for name, pid in server.rows("SELECT usename, pid FROM pg_stat_activity WHERE usename IN"
                                     " ('rf_control', 'rf_registrar')"):
            backends[name].append(pid)
    return {"control": place.gateway.pids("control"), "control's database": backends["rf_control"],
            "registrar": place.gateway.pids("registrar"),
            "registrar's database": backends["rf_registrar"]}


def at_rest(place):
    """{name: CPU in ms a second}."""
    sets = sets_of(place)
    before, begun = {name: cpu_ms(pids) for name, pids in sets.items()}, time.monotonic()
    time.sleep(REST_S)
    seconds = time.monotonic() - begun
    return {name: (cpu_ms(pids) - before[name]) / seconds for name, pids in sets.items()}


# --- what is measured -----------------------------------------------------------------------------


def start(place, count):
    """Seconds from the gateway's start until control shows COUNT grants, and its CPU by then."""
    where = len(place.gateway.log())
    begun = time.monotonic()
    place.gateway.start()

    def all_shown():
        said = re.findall(r"event=grants .*open=(\d+)", place.gateway.log()[where:])
        return count == 0 or said and int(said[-1]) >= count
    wait_until(all_shown, "the grants are not shown", timeout=300)
    found = {"seconds": time.monotonic() - begun, "cpu_ms": cpu_ms(place.gateway.pids("control"))}
    if "grant-not-proven" in place.gateway.log()[where:]:
        raise SystemExit("a grant was not proven:\n" + place.gateway.log()[where:][:2000])
    return found


def first_row(session, number, begun, limit_s=20):
    """Milliseconds until SESSION, which is masked, reads a row under the grant."""
    while time.monotonic() - begun < limit_s:
        try:
            session.execute(f"SET ringfence.grant = {number}")
            if session.execute("SELECT email FROM users").fetchone() is not None:
                found = (time.monotonic() - begun) * 1e3
                session.execute("RESET ringfence.grant")
                return found
        except psycopg.Error:
            time.sleep(0.005)
    raise SystemExit(f"no row under grant {number}")


def open_some(place, repeats):
    """[(ms until "open", ms until the first row)] and the CPU of one command by place."""
    people, times = place.people, []
    sets = sets_of(place)
    rest = at_rest(place)
    before, begun, commands = {name: cpu_ms(pids) for name, pids in sets.items()}, time.monotonic(), 0
    with place.gateway.connect(ANALYST) as session:
        for i in range(repeats):
            asked = people.ask_text(SUBJECTS[i % len(SUBJECTS)])
            number = people.say(asked, ANALYST)["request"]
            people.say(people.vote_text(PRIVACY, number, asked), PRIVACY)
            last = people.vote_text(SECURITY, number, asked)
            people.connect()
            at = time.monotonic()
            if people.say(last, SECURITY)["state"] != "open":
                raise SystemExit(f"request {number} is not open")
            opened = (time.monotonic() - at) * 1e3
            times.append((opened, first_row(session, number, at)))
            people.say(people.text(ANALYST, "revoke", request=number), ANALYST)
            commands += 4
    seconds = time.monotonic() - begun
    used = {name: (cpu_ms(pids) - before[name] - rest[name] * seconds) / commands
            for name, pids in sets.items() if name.startswith("registrar")}
    return times, used, rest


def open_one(place):
    people = place.people
    asked = people.ask_text(8)
    number = people.say(asked, ANALYST)["request"]
    for officer in OFFICERS:
        people.say(people.vote_text(officer, number, asked), officer)
    return number


def block(session, text):
    begun = time.monotonic()
    for _ in range(BLOCK):
        session.execute(text).fetchall()
    return (time.monotonic() - begun) / BLOCK * 1e6


def behind(place, room):
    """The processes that a person's statement keeps busy: workers, parser, ledger, his backend."""
    where = "usename = 'us_analyst.masked'" if room == "masked" else "usename LIKE 'rf\\_g\\_%'"
    backends = place.pair.standby.rows(f"SELECT pid FROM pg_stat_activity WHERE {where}")
    return [pid for role in ("worker", "parser", "ledger") for pid in place.gateway.pids(role)] \
        + [pid for (pid,) in backends]


def statements(place, repeats):
    """{room: {service_us, person_us, ratio, cpu_us}}, medians. CPU is that of the person's statements:
    a machine that others use, too, leaves it more alone than the time that they take."""
    number, found = open_one(place), {}
    gateway = place.gateway
    with gateway.connect(SERVICE) as service, gateway.connect(ANALYST) as person:
        for room, (plain, text) in STATEMENTS.items():
            if room == "granted":
                first_row(person, number, time.monotonic())
                person.execute(f"SET ringfence.grant = {number}")
            pairs = []
            for session, words in ((service, plain), (person, text)):
                block(session, words)  # plans and caches are warm
            for _ in range(repeats):
                a, b, b2, a2 = (block(service, plain), block(person, text), block(person, text),
                                block(service, plain))
                pairs += [(a, b), (a2, b2)]
            pids = behind(place, room)
            used = []
            for _ in range(repeats):
                before = cpu_ms(pids)
                block(person, text)
                used.append((cpu_ms(pids) - before) / BLOCK * 1e3)
            found[room] = {"cpu_us": statistics.median(used), "service_us": statistics.median(a for a, _ in pairs),
                           "person_us": statistics.median(b for _, b in pairs),
                           "ratio": statistics.median(b / a for a, b in pairs)}
    place.people.say(place.people.text(ANALYST, "revoke", request=number), ANALYST)
    return found


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def measure(place, count, options):
    filled = place.open_many(count - place.open_grants())
    started = start(place, count)
    times, used, rest = open_some(place, options.repeats * 10)
    found = {"open": place.open_grants(), "put_in_s": filled, "start": started, "at_rest_ms_per_s": rest,
             "command_cpu_ms": used, "statements": statements(place, options.repeats * 10),
             "load": os.getloadavg()[0]}
    for name, values in (("opening_ms", [a for a, _ in times]), ("first_row_ms", [b for _, b in times])):
        found[name] = {"p50": statistics.median(values), "p99": share(values, .99),
                       "least": min(values), "count": len(values)}
    place.gateway.stop()
    return found


def show(count, found):
    print(f"\n{count:,} open grants, {PERSONS:,} persons (load {found['load']:.0f})")
    for name, label in (("opening_ms", "last approval to \"open\""), ("first_row_ms", "… to the first row")):
        one = found[name]
        print(f"  {label:34} p50 {one['p50']:7.1f} ms   p99 {one['p99']:7.1f} ms   least"
              f" {one['least']:7.1f} ms   of {one['count']}")
    for room, one in found["statements"].items():
        print(f"  statement, {room:23} {one['person_us']:7.0f} us   service {one['service_us']:6.0f} us"
              f"   ratio {one['ratio']:.2f}   CPU {one['cpu_us']:5.0f} us")
    started = found["start"]
    print(f"  start until all are proven         {started['seconds']:7.2f} s    control's CPU"
          f" {started['cpu_ms']:.0f} ms")
    for name, value in found["at_rest_ms_per_s"].items():
        print(f"  at rest, {name:25} {value:7.1f} ms CPU a second")
    for name, value in found["command_cpu_ms"].items():
        print(f"  a command, {name:23} {value:7.1f} ms CPU", flush=True)


def approvals(folder, options):
    place, result = Place(folder, options.build), collections.OrderedDict()
    try:
        for count in options.grants:
            result[str(count)] = measure(place, count, options)
            show(count, result[str(count)])
    finally:
        place.stop()
    first = next(iter(result.values()))["statements"]
    for room in STATEMENTS:
        grown = [f"{one['statements'][room]['ratio'] / first[room]['ratio']:.2f} (CPU"
                 f" {one['statements'][room]['cpu_us'] / first[room]['cpu_us']:.2f})" for one in result.values()]
        print(f"\nstatement, {room}, against {next(iter(result))} open grants: {', '.join(grown)}")
    late = [count for count, found in result.items() if found["opening_ms"]["p50"] > AIM_MS]
    print(f"opening within {AIM_MS} ms (median): {'no, with ' + ', '.join(late) if late else 'yes'}")
    return {"approvals": result, "persons": PERSONS}
