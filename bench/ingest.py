"""What rules for what comes in cost the database: the same rows into the same table with and without
them, one after the other in each repeat. CPU is that of the server process of the session
(/proc/PID/schedstat), a row."""

import os
import statistics
import sys

import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

from applied import Server, install_extension  # noqa: E402
from certificates import Authority  # noqa: E402

USERS = 20_000
RULES = {
    "finer, made coarse": {"lat": {"coarsen": 0.1}, "lon": {"coarsen": 0.1}, "ip": {"network": [24, 48]}},
    "coarse already": {"lat": {"coarsen": 0.1}, "lon": {"coarsen": 0.1}, "ip": {"network": [24, 48]}},
    "coarse already, finer refused": {"lat": {"coarsen": 0.1, "finer": "refuse"},
                                      "lon": {"coarsen": 0.1, "finer": "refuse"},
                                      "ip": {"network": [24, 48], "finer": "refuse"}},
    "no location": {"lat": {"coarsen": 0.1}, "lon": {"coarsen": 0.1}, "ip": {"network": [24, 48]}},
}
COLUMNS = "(user_id, lat, lon, ip, residency)"


def rows(case, count):
    for i in range(count):
        user = 1 + i * 7919 % USERS
        if case == "no location":
            yield user, None, None, None, "US"
        elif case == "finer, made coarse":
            yield user, 38.12345 + i % 90 * 0.01, -77.98765 + i % 70 * 0.01, f"198.51.100.{i % 250}", "US"
        else:
            yield user, (381 + i % 90) / 10, (-779 + i % 70) / 10, "198.51.100.0/24", "US"


def one_by_one(connection, table, values):
    for row in values:
        connection.execute(f"INSERT INTO {table} {COLUMNS} VALUES (%s, %s, %s, %s, %s)", row, prepare=True)


def many(connection, table, values):
    with connection.transaction():
        connection.cursor().executemany(f"INSERT INTO {table} {COLUMNS} VALUES (%s, %s, %s, %s, %s)", values)


def in_values(connection, table, values):
    for at in range(0, len(values), 500):
        listed = ", ".join("(%s, %s, %s, %s, 'US')" % tuple(
            "NULL" if v is None else f"'{v}'" for v in row[:4]) for row in values[at:at + 500])
        connection.execute(f"INSERT INTO {table} {COLUMNS} VALUES {listed}")


def copy(connection, table, values):
    with connection.cursor().copy(f"COPY {table} {COLUMNS} FROM STDIN") as stream:
        for row in values:
            stream.write_row(row)


WAYS = {"one by one": (one_by_one, 1000), "executemany": (many, 3000), "500 in one INSERT": (in_values, 5000),
        "COPY": (copy, 5000)}


def cpu_us(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
        return int(stat.read().split()[0]) / 1e3


def ingest(folder, options):
    server = Server(os.path.join(folder, "server"), Authority(os.path.join(folder, "ca")), options.build)
    result = {}
    try:
        region = server.new_database()
        region.rows(f"INSERT INTO app.users (id, handle, email, birthdate, residency) SELECT i, 'b' || i,"
                    " 'b' || i, CASE WHEN i % 20 = 0 THEN current_date - 4000 ELSE date '1980-01-01' END,"
                    f" 'US' FROM generate_series(201, {USERS}) i;"
                    "CREATE TABLE app.plain (LIKE app.locations INCLUDING ALL);"
                    "ALTER TABLE app.plain ADD FOREIGN KEY (user_id) REFERENCES app.users;"
                    "ALTER TABLE app.plain ADD CONSTRAINT same CHECK ((residency IN ('US')) IS TRUE)")
        modes = ["SQL alone", "extension"] if install_extension(options.build) else ["SQL alone"]
        for mode in modes:
            print(f" {mode}", flush=True)
            if mode == "extension":
                region.rows("CREATE EXTENSION ringfence")
            result[mode] = {}
            for case, rules in RULES.items():
                region.policy["tables"]["app.locations"]["ingest"] = rules
                region.apply()
                result[mode][case] = measure(region, case, options.repeats)
    finally:
        server.cluster.stop()
    return {"cpu_us_per_row": result}


def measure(region, case, repeats):
    tables = ["app.plain", "app.locations"]
    found = {}
    for way, (run, count) in WAYS.items():
        values = list(rows(case, count))
        used = {table: [] for table in tables}
        region.rows("TRUNCATE app.plain, app.locations")
        with psycopg.connect(region.server.cluster.dsn(region.database), autocommit=True) as connection:
            pid = connection.info.backend_pid
            for repeat in range(repeats + 1):
                for table in tables if repeat % 2 else tables[::-1]:
                    before = cpu_us(pid)
                    run(connection, table, values)
                    if repeat > 0:  # the first fills the caches
                        used[table].append((cpu_us(pid) - before) / count)
        ratio = statistics.median(b / a for a, b in zip(*used.values()))
        plain, ruled = (statistics.median(used[table]) for table in tables)
        print(f"  {case:30} {way:18} {plain:7.2f} us {ruled:7.2f} us  {ratio:5.2f}", flush=True)
        found[way] = {"plain": used[tables[0]], "ruled": used[tables[1]], "ratio": ratio}
    return found
