"""Room granted against the plain tables: what a look-up and a join cost the database.

CPU of the server's own process for each session (/proc/PID/schedstat), not of the client. The plain
query runs as a service, the same question under a grant as the grant's role; the two take turns in
short blocks within one run, and what counts is the ratio of neighbours. The number of open grants
grows meanwhile: their roles are put into the catalogs directly, because 100,000 calls of grant_open()
would take ten minutes and leave the same rows."""

import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import psycopg  # noqa: E402

from certificates import Authority  # noqa: E402
from gateway import Gateway  # noqa: E402
from postgres import Cluster  # noqa: E402

USERS = 35_000
SUBJECT = 4_242
BLOCK = 40
OPEN_GRANTS = (10, 1_000, 100_000)
CLASSES = ["identity", "contact", "location", "activity", "graph", "content", "payment"]

# name: the plain question, the same one under the grant, how often the subject stands in it
QUERIES = {
    "look-up by key": (
        "SELECT id, handle, email, phone FROM app.users WHERE id = %s",
        "SELECT id, handle, email, phone FROM users WHERE id = %s", 1),
    "look-up, all there is": (
        "SELECT id, handle, email, phone FROM app.users WHERE id = %s",
        "SELECT id, handle, email, phone FROM users", 0),
    "join with 14 events": (
        "SELECT u.handle, w.at, w.seconds FROM app.users u"
        " JOIN app.watch_events w ON w.user_id = u.id WHERE u.id = %s",
        "SELECT u.handle, w.at, w.seconds FROM users u"
        " JOIN watch_events w ON w.user_id = u.id WHERE u.id = %s", 1),
    "join of three": (
        "SELECT u.handle, w.at, s.q FROM app.users u JOIN app.watch_events w ON w.user_id = u.id"
        " JOIN app.searches s ON s.user_id = u.id WHERE u.id = %s",
        "SELECT u.handle, w.at, s.q FROM users u JOIN watch_events w ON w.user_id = u.id"
        " JOIN searches s ON s.user_id = u.id WHERE u.id = %s", 1),
    "messages of a person": (
        "SELECT sender_id, recipient_id, at, body FROM app.messages"
        " WHERE sender_id = %s OR recipient_id = %s",
        "SELECT sender_id, recipient_id, at, body FROM messages", 0),
}


class Session:
    """One connection and the CPU time of the process that serves it."""

    def __init__(self, cluster, user):
        self.connection = psycopg.connect(
            f"host={cluster.sockets} port={cluster.port} user={user} dbname=app", autocommit=True)
        self.clock = f"/proc/{self.connection.info.backend_pid}/schedstat"

    def cpu_us(self):
        with open(self.clock, encoding="ascii") as line:
            return int(line.read().split()[0]) / 1000

    def run(self, query, values, prepare, times):
        """CPU of one execution, in microseconds."""
        before = self.cpu_us()
        with self.connection.pipeline() as pipeline:  # or waking up for each is measured as well
            for _ in range(times):
                self.connection.execute(query, values, prepare=prepare)
                pipeline.sync()
        return (self.cpu_us() - before) / times


def fill(cluster):
    cluster.rows("CREATE DATABASE app", dbname="postgres")
    demo = os.path.join(ROOT, "demo")
    done = subprocess.run(
        ["psql", "-X", "-q", "-1", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-v", f"users={USERS}",
         "-v", "first=1", "-v", "homes={US}", "-v", "south=25", "-v", "north=48", "-v", "west=-120",
         "-v", "east=-75", "-f", f"{demo}/schema.sql", "-f", f"{demo}/data.sql", "-f",
         f"{demo}/index.sql", cluster.dsn()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout)


class Alone:
    """A primary without a standby, as Gateway wants to see a region."""

    def __init__(self, cluster):
        self.primary = self.standby = cluster


def make(folder, build):
    authority = Authority(os.path.join(folder, "granted-ca"))
    cluster = Cluster(folder, "granted")
    cluster.create(authority)
    cluster.start()
    fill(cluster)
    gateway = Gateway(os.path.join(folder, "granted-gateway"), Alone(cluster), authority, build,
                      "full", policy=lambda policy: policy["tables"].pop("app.scratch"))
    done = gateway.command("apply", "--dsn", cluster.dsn())
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return cluster


def open_grant(cluster, number, subjects):
    with psycopg.connect(f"host={cluster.sockets} port={cluster.port} user=rf_control dbname=app",
                         autocommit=True) as control:
        return control.execute(
            "SELECT ringfence.grant_open(%s, 'bench', 'support_ticket', now() + interval '1 day',"
            " %s::text[], %s::text[])", (number, [str(s) for s in subjects], CLASSES)).fetchone()[0]


def open_many(cluster, first, last):
    """Grants of one subject each, numbered from FIRST to LAST."""
    with cluster.connect() as connection:
        connection.execute("SET allow_system_table_mods = on")
        with connection.transaction():
            connection.execute(
                "INSERT INTO pg_authid (oid, rolname, rolsuper, rolinherit, rolcreaterole,"
                " rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit)"
                " SELECT 1000000 + i, 'rf_g_' || substr(encode(sha256(int8send(i)), 'hex'), 1, 16),"
                " false, true, false, false, true, false, false, 4 FROM generate_series(%s::bigint,"
                " %s) i", (first, last))
            connection.execute(
                "INSERT INTO pg_auth_members (roleid, member, grantor, admin_option)"
                " SELECT g.oid, 1000000 + i, 10, false FROM generate_series(%s::bigint, %s) i,"
                " pg_authid g WHERE g.rolname IN ('rf_person', 'rf_granted')", (first, last))
            connection.execute(
                "INSERT INTO ringfence.\"grant\" (id, actor, role, role_id, purpose, opened, ends)"
                " SELECT i, 'bench', r.rolname, r.oid, 'support_ticket', now(), now() +"
                " interval '1 day' FROM generate_series(%s::bigint, %s) i"
                " JOIN pg_authid r ON r.oid = 1000000 + i", (first, last))
            connection.execute(
                "INSERT INTO ringfence.grant_subject (role, subject, classes, ends, label, token,"
                f" secret) SELECT g.role, 1 + g.id %% {USERS}, 1020, g.ends, 1 + g.id %% {USERS},"
                " ringfence.reveal_token_read(), sha256(int8send(g.id))"
                " FROM ringfence.\"grant\" g WHERE g.id BETWEEN %s AND %s", (first, last))
        for table in ("pg_authid", "pg_auth_members", 'ringfence."grant"',
                      "ringfence.grant_subject"):
            connection.execute(f"VACUUM ANALYZE {table}")


def measure(plain, granted, repeats):
    """{query: {how: [plain, granted, ratio]}}, medians."""
    found = {}
    for name, (ours, theirs, parameters) in QUERIES.items():
        values = [SUBJECT] * ours.count("%s")
        for prepare in (True, False):
            pairs = []
            for session, query, arguments in ((plain, ours, values),
                                              (granted, theirs, [SUBJECT] * parameters)):
                session.run(query, arguments, prepare, 10)  # plans and caches are warm
            for _ in range(repeats):
                pairs.append((plain.run(ours, values, prepare, BLOCK),
                              granted.run(theirs, [SUBJECT] * parameters, prepare, BLOCK)))
            found.setdefault(name, {})["prepared" if prepare else "planned anew"] = [
                statistics.median(p for p, _ in pairs), statistics.median(g for _, g in pairs),
                statistics.median(g / p for p, g in pairs)]
    return found


def per_mark(cluster, repeats):
    """What one call of reveal() costs, in microseconds."""
    token = cluster.value("SELECT ringfence.reveal_token_read()")
    calls = {"nothing": "i", "reveal()": f"ringfence.reveal('{token}', 'contact', '42', i)"}
    costs = {name: [] for name in calls}
    session = Session(cluster, "postgres")
    for _ in range(repeats):
        for name, call in calls.items():
            query = f"SELECT count({call}) FROM generate_series(1, 1000) i"
            costs[name].append(session.run(query, None, True, 1) / 1000)
    session.connection.close()
    return statistics.median(costs["reveal()"]) - statistics.median(costs["nothing"])


def granted(folder, options):
    cluster = make(folder, options.build)
    result = {}
    try:
        role = open_grant(cluster, 1, [SUBJECT])
        opened = 1
        for count in OPEN_GRANTS:
            open_many(cluster, opened + 1, count)
            opened = count
            sessions = Session(cluster, "app_us"), Session(cluster, role)
            found = result[count] = measure(*sessions, options.repeats * 10)
            print(f"\n{count} open grants{'':24}plain us  granted us  ratio")
            for name, ways in found.items():
                for way, (ours, theirs, ratio) in ways.items():
                    print(f"  {name:24} {way:12} {ours:8.1f}  {theirs:10.1f}  {ratio:5.2f}",
                          flush=True)
            for session in sessions:
                session.connection.close()
        mark = per_mark(cluster, options.repeats * 5)
        print(f"\nreveal(): {mark:.2f} us a call, once a subject, class and scan", flush=True)
    finally:
        cluster.stop()
    return {"granted": result, "us_a_mark": mark}
