"""Room granted against the plain tables: what a look-up and a join cost the database.

CPU of the server's own process for each session, in the ways of backend.py. The plain query runs as a
service, the same question under a grant as the grant's role; the two take turns in short blocks within
one run, and what counts is the ratio of neighbours. The number of open grants grows meanwhile: their
roles are put into the catalogs directly, because 100,000 calls of grant_open() would take ten minutes
and leave the same rows. First with extension ringfence, where it can be installed, then without."""

import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import psycopg  # noqa: E402

from applied import install_extension  # noqa: E402
from backend import Backend  # noqa: E402
from certificates import Authority  # noqa: E402
from gateway import Gateway  # noqa: E402
from postgres import Cluster  # noqa: E402

USERS = 35_000
SUBJECT = 4_242
BLOCK = 40
OPEN_GRANTS = (10, 1_000, 100_000)
CLASSES = ["identity", "contact", "location", "activity", "graph", "content", "payment"]

# name: the plain question about $1, the same one under the grant
QUERIES = {
    "look-up by key": (
        "SELECT id, handle, email, phone FROM app.users WHERE id = $1",
        "SELECT id, handle, email, phone FROM users WHERE id = $1"),
    "look-up, all there is": (
        "SELECT id, handle, email, phone FROM app.users WHERE id = $1",
        "SELECT id, handle, email, phone FROM users"),
    "join with 14 events": (
        "SELECT u.handle, w.at, w.seconds FROM app.users u"
        " JOIN app.watch_events w ON w.user_id = u.id WHERE u.id = $1",
        "SELECT u.handle, w.at, w.seconds FROM users u"
        " JOIN watch_events w ON w.user_id = u.id WHERE u.id = $1"),
    "join of three": (
        "SELECT u.handle, w.at, s.q FROM app.users u JOIN app.watch_events w ON w.user_id = u.id"
        " JOIN app.searches s ON s.user_id = u.id WHERE u.id = $1",
        "SELECT u.handle, w.at, s.q FROM users u JOIN watch_events w ON w.user_id = u.id"
        " JOIN searches s ON s.user_id = u.id WHERE u.id = $1"),
    "messages of a person": (
        "SELECT sender_id, recipient_id, at, body FROM app.messages"
        " WHERE sender_id = $1 OR recipient_id = $1",
        "SELECT sender_id, recipient_id, at, body FROM messages"),
}


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
    apply(gateway, cluster)
    return cluster, gateway


def apply(gateway, cluster, *how):
    done = gateway.command(*(how or ["apply"]), "--dsn", cluster.dsn())
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)


def use_extension(cluster, gateway, build):
    if not install_extension(build):
        return False
    cluster.rows("CREATE EXTENSION ringfence")
    apply(gateway, cluster)
    return True


def check_seconds(gateway, cluster):
    times = []
    for _ in range(3):
        before = time.monotonic()
        apply(gateway, cluster, "plan", "--check")
        times.append(time.monotonic() - before)
    return min(times)


def open_grant(cluster, number, subjects):
    with psycopg.connect(f"host={cluster.sockets} port={cluster.port} user=postgres dbname=app",
                         autocommit=True) as administrator:
        return administrator.execute(
            "SELECT ringfence.grant_open(%s, 'us_analyst', 'support_ticket', now() + interval '1 day',"
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
                "INSERT INTO ringfence.\"grant\" (id, actor, role, role_id, purpose, opened, ends,"
                " watermark) SELECT i, 'us_analyst', r.rolname, r.oid, 'support_ticket', now(), now() +"
                " interval '1 day', sha256(int8send(-i)) FROM generate_series(%s::bigint, %s) i"
                " JOIN pg_authid r ON r.oid = 1000000 + i", (first, last))
            connection.execute(
                "INSERT INTO ringfence.grant_subject (role, subject, classes, ends, label, token,"
                f" secret, watermark) SELECT g.role, 1 + g.id %% {USERS}, 1020, g.ends, 1 + g.id %% {USERS},"
                " ringfence.reveal_token_read(), sha256(int8send(g.id)), g.watermark"
                " FROM ringfence.\"grant\" g WHERE g.id BETWEEN %s AND %s", (first, last))
        for table in ("pg_authid", "pg_auth_members", 'ringfence."grant"',
                      "ringfence.grant_subject"):
            connection.execute(f"VACUUM ANALYZE {table}")


def measure(plain, granted, repeats):
    """{query: {way: [plain, granted, ratio]}}, medians."""
    ways = {"back to back": lambda side, *what: side.run(*what)[0],
            "one by one": lambda side, *what: side.run_one_by_one(*what)[0],
            "planned anew": lambda side, *what: side.run(*what, False)[0]}
    found = {}
    for name, texts in QUERIES.items():
        sides = [(side, text, [SUBJECT] if "$1" in text else [])
                 for side, text in zip((plain, granted), texts)]
        for way, run in ways.items():
            for what in sides:
                run(*what, 10)  # plans and caches are warm
            pairs = [[run(*what, BLOCK) for what in sides] for _ in range(repeats)]
            found.setdefault(name, {})[way] = [statistics.median(p for p, _ in pairs),
                                               statistics.median(g for _, g in pairs),
                                               statistics.median(g / p for p, g in pairs)]
    return found


def compare(cluster, role, count, form, repeats):
    sessions = [Backend(cluster.sockets, cluster.port, user) for user in ("app_us", role)]
    found = measure(*sessions, repeats)
    print(f"\n{form}, {count} open grants\n{'':39}{'plain us':>8}{'granted us':>12}{'ratio':>7}")
    for name, ways in found.items():
        for way, (ours, theirs, ratio) in ways.items():
            print(f"  {name:24} {way:12} {ours:8.1f}  {theirs:10.1f}  {ratio:5.2f}", flush=True)
    for session in sessions:
        session.close()
    return found


def granted(folder, options):
    cluster, gateway = make(folder, options.build)
    result = {}
    try:
        role = open_grant(cluster, 1, [SUBJECT])
        form = "native (extension ringfence)" if use_extension(cluster, gateway, options.build) else \
            "portable (SQL alone)"
        for opened, count in zip((1, *OPEN_GRANTS), OPEN_GRANTS):
            open_many(cluster, opened + 1, count)
            result[f"{form}, {count}"] = compare(cluster, role, count, form, options.repeats * 5)
        print(f"\nplan --check with {count} open grants: {check_seconds(gateway, cluster):.2f} s", flush=True)
        if form.startswith("native"):
            cluster.rows("DROP EXTENSION ringfence CASCADE")
            apply(gateway, cluster)
            result[f"portable, {count}"] = compare(cluster, role, count, "portable (SQL alone)",
                                                   options.repeats * 5)
    finally:
        cluster.stop()
    return {"granted": result}
