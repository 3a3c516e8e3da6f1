"""What masks cost PostgreSQL: the same statement as a superuser on the tables and as a person on the
masked views, backend CPU, within one run.

The portable form is what `ringfence apply` makes on any server; the native one where extension
ringfence is installed (extension/). Small statements are prepared, about the same person on both sides,
and measured in the two ways of backend.py; what it costs to plan them each time stands beside. Both
sides have parallel plans switched off, because CPU is summed anyway. Rows: 200,000 users, a million
events."""

import os
import statistics
import subprocess

import psycopg

from applied import install_extension
from backend import Backend
from certificates import Authority
from gateway import ROOT
from postgres import Cluster

PERSON = "us_analyst.masked"
ACCESS = "local all all trust\n"
SETTINGS = "autovacuum = off\nshared_buffers = 512MB\nmax_wal_size = 4GB\n"

CONFIG = """name: us-virginia
place: US
policy: {root}/demo/policy.yaml
credentials: {folder}/credentials
state: {folder}/state
run: {folder}/run
listen: [{{address: 127.0.0.1, port: 1, tls: off}}]
databases: {{us-virginia: {{region: us-virginia, database: app, primary: ["127.0.0.1:1"], tls: off}}}}
"""

# One user in twenty is a child.
DATA = """
SET TimeZone = 'UTC';
SET synchronous_commit = off;
SELECT setseed(0.1);
INSERT INTO app.users (id, handle, email, phone, birthdate, residency, created_at)
SELECT i, 'h_' || to_hex(i * 7919 % 1048573) || to_hex(i), 'user' || i || '@mail.example',
       '+1555' || lpad((i * 104729 % 10000000)::text, 7, '0'),
       CASE WHEN i % 20 = 7 THEN current_date - 3650 - (i % 1000)::int
            ELSE date '1960-01-01' + floor(random() * 16000)::int END,
       'US', timestamptz '2024-01-01 00:00+00' + random() * interval '850 days'
FROM generate_series(1::bigint, 200000) i;
INSERT INTO app.videos (id, user_id, title, created_at, residency)
SELECT i, 1 + floor(power(random(), 3) * 200000)::bigint, 'title ' || i,
       timestamptz '2025-01-01 00:00+00' + random() * interval '400 days', 'US'
FROM generate_series(1::bigint, 200000) i;
INSERT INTO app.watch_events (id, user_id, video_id, at, seconds, residency)
SELECT i, 1 + floor(random() * 200000)::bigint, 1 + floor(power(random(), 3) * 200000)::bigint,
       now() - interval '180 days' + i * interval '15 seconds',
       floor(random() * random() * 180)::int, 'US' FROM generate_series(1::bigint, 1000000) i;
INSERT INTO app.messages (sender_id, recipient_id, at, body, residency)
SELECT 1 + floor(random() * 200000)::bigint, 1 + floor(random() * 200000)::bigint,
       now() - interval '180 days' + i * interval '60 seconds', 'words ' || i, 'US'
FROM generate_series(1::bigint, 200000) i;
"""

# (name, how many for one figure, statement, the plain one where the mask is a rounding)
STATEMENTS = [
    ("look-up: a user by key", 200,
     "SELECT id, residency, birthdate FROM users WHERE id = $1"),
    ("look-up: all columns of a user", 200, "SELECT * FROM users WHERE id = $1"),
    ("look-up: events of a user", 200,
     "SELECT at, seconds, video_id FROM watch_events WHERE user_id = $1"),
    ("look-up: messages of a user", 200, "SELECT id, at FROM messages WHERE sender_id = $1"),
    ("join: a user and his events", 200,
     "SELECT u.id, u.residency, w.at, w.seconds FROM users u JOIN watch_events w ON w.user_id = u.id"
     " WHERE u.id = $1"),
    ("join: all users and events, grouped", 1,
     "SELECT u.residency, count(*), avg(w.seconds) FROM users u JOIN watch_events w"
     " ON w.user_id = u.id GROUP BY 1"),
    ("join: the ten longest events", 1,
     "SELECT u.residency, w.at, w.seconds FROM users u JOIN watch_events w ON w.user_id = u.id"
     " ORDER BY w.seconds DESC, w.at LIMIT 10"),
    ("join: any ten rows", 1,
     "SELECT u.residency, w.at FROM users u JOIN watch_events w ON w.user_id = u.id LIMIT 10"),
    ("million: count", 1, "SELECT count(*) FROM watch_events"),
    ("million: count and average", 1, "SELECT count(*), avg(seconds) FROM watch_events"),
    ("million: by day", 1, "SELECT at, count(*) FROM watch_events GROUP BY 1",
     "SELECT date_trunc('day', at), count(*) FROM watch_events GROUP BY 1"),
    ("million: by user", 1,
     "SELECT user_id, count(*), sum(seconds) FROM watch_events GROUP BY 1 ORDER BY 2 DESC LIMIT 10"),
    ("million: by video", 1,
     "SELECT video_id, count(*) FROM watch_events GROUP BY 1 ORDER BY 2 DESC LIMIT 10"),
    ("million: different users", 1, "SELECT count(DISTINCT user_id) FROM watch_events"),
]


class Server:
    """A server of its own with the data in it."""

    def __init__(self, folder, build):
        self.build = build
        self.cluster = Cluster(folder, "enforcement")
        self.cluster.create(Authority(os.path.join(folder, "ca")))
        self.cluster.write("pg_hba.conf", ACCESS)
        with open(os.path.join(self.cluster.data, "postgresql.conf"), "a", encoding="ascii") as out:
            out.write(SETTINGS)
        self.cluster.start()
        self.sockets, self.port = self.cluster.sockets, self.cluster.port
        self.config = os.path.join(folder, "ringfence.yaml")
        with open(self.config, "w", encoding="ascii") as out:
            out.write(CONFIG.format(root=ROOT, folder=folder))
        self.psql("-c", "CREATE DATABASE app", dbname="postgres")
        self.psql("-f", f"{ROOT}/demo/schema.sql")
        self.psql("-c", DATA)
        self.psql("-f", f"{ROOT}/demo/index.sql")
        self.psql("-c", "VACUUM ANALYZE")

    def dsn(self, dbname="app"):
        return f"host={self.sockets} port={self.port} user=postgres dbname={dbname}"

    def psql(self, *arguments, dbname="app"):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments,
                               self.dsn(dbname)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stdout)

    def apply(self):
        done = subprocess.run([f"{self.build}/src/cmd/ringfence", "-c", self.config, "apply", "--dsn",
                               self.dsn()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stdout)
        self.psql("-c", "VACUUM ANALYZE ringfence.child")

    def install(self):
        """Extension ringfence, from the build; False where it was not built or we may not."""
        if not install_extension(self.build):
            return False
        self.psql("-c", "CREATE EXTENSION ringfence")
        return True


def met(server, table, column, real):
    """The pseudonym of the real key in a masked view, as the analyst has met it in an earlier answer:
    the view's own text says what it is."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        text = connection.execute("SELECT pg_get_viewdef(%s::regclass)", [f"masked.{table}"]).fetchone()[0]
        text = text.strip().rstrip(";").split("ORDER BY")[0].replace(
            "SELECT ", f"SELECT t.{column} AS real_key, ", 1)
        connection.execute(f"CREATE VIEW public.met AS {text}")
        found = connection.execute(f"SELECT {column} FROM public.met WHERE real_key = {real}").fetchone()
        connection.execute("DROP VIEW public.met")
    return found[0]


def keys_of(server, sql):
    """For both sides, the same adult, who has events and messages."""
    with psycopg.connect(server.dsn()) as connection:
        real = connection.execute(
            "SELECT m.sender_id FROM app.messages m JOIN app.users u ON u.id = m.sender_id"
            " JOIN app.users r ON r.id = m.recipient_id JOIN app.watch_events w ON w.user_id = u.id"
            " WHERE greatest(u.birthdate, r.birthdate) < '2000-01-01' AND u.id > 4000"
            " GROUP BY 1 HAVING count(DISTINCT w.id) = 5 ORDER BY 1 LIMIT 1").fetchone()[0]
    if "$1" not in sql:
        return {"plain": [], "masked": []}
    table, column = ("messages", "sender_id") if "sender_id" in sql else ("users", "id")
    return {"plain": [real], "masked": [met(server, table, column, real)]}


def measure(server, repeats):
    """{statement: {"plain": [us], "masked": [us], "plain, one by one": …}}, taking turns."""
    options = "-c max_parallel_workers_per_gather=0 -c search_path="
    sides = {"plain": Backend(server.sockets, server.port, "postgres", f"{options}app"),
             "masked": Backend(server.sockets, server.port, PERSON, f"{options}masked")}
    found = {}
    for name, count, sql, *other in STATEMENTS:
        keys, cell = keys_of(server, sql), found.setdefault(name, {})
        texts = {"plain": other[0] if other else sql, "masked": sql}
        # the server tries five plans for given values before it settles
        first = {side: [backend.run(texts[side], keys[side], 1)
                        for _ in range(7 if count > 1 else 1)][-1] for side, backend in sides.items()}
        if "$1" in sql and first["plain"][1] != first["masked"][1]:
            raise SystemExit(f"{name}: {first['plain'][1]} rows, masked {first['masked'][1]}")
        is_small = count > 1 and first["masked"][0] < 5000
        for repeat in range(repeats if first["masked"][0] < 1500000 else 1):
            for side in (sides if repeat % 2 == 0 else reversed(sides)):
                run = (texts[side], keys[side], count if first[side][0] < 5000 else 1)
                cell.setdefault(side, []).append(sides[side].run(*run)[0])
                if is_small:
                    cell.setdefault(f"{side}, one by one", []).append(
                        sides[side].run_one_by_one(*run)[0])
                    cell.setdefault(f"{side}, planned each time", []).append(
                        sides[side].run(*run, False)[0])
    for backend in sides.values():
        backend.close()
    return found


def ratio(cell, suffix=""):
    """Of neighbours in time."""
    if f"masked{suffix}" not in cell:
        return None
    return statistics.median(m / p for m, p in zip(cell[f"masked{suffix}"], cell[f"plain{suffix}"]))


def show(form, found):
    print(f"\n{form}; us of CPU, back to back\n{'':38}{'plain':>10}{'masked':>11}{'ratio':>8}"
          f"{'one by one':>12}{'planned each time':>19}")
    for name, cell in found.items():
        more = [ratio(cell, f", {way}") for way in ("one by one", "planned each time")]
        print(f"{name:38}{statistics.median(cell['plain']):10.1f}"
              f"{statistics.median(cell['masked']):11.1f}{ratio(cell):8.2f}"
              + "".join(f"{f'{r:.2f}' if r else '':>{width}}" for r, width in zip(more, (12, 19))),
              flush=True)


def enforcement(folder, options):
    server = Server(folder, options.build)
    try:
        result = {}
        server.apply()
        result["portable"] = measure(server, options.repeats)
        show("portable (SQL alone)", result["portable"])
        if server.install():
            server.apply()
            result["native"] = measure(server, options.repeats)
            show("native (extension ringfence)", result["native"])
        else:
            print("\nnative: not measured, the extension is not built or this is not root")
        return {"enforcement": result, "ratio": {form: {name: ratio(cell) for name, cell in found.items()}
                                                 for form, found in result.items()}}
    finally:
        server.cluster.stop()
