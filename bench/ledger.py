"""The ledger: records that are durable, what waiting for them adds to a person's query, and how soon a
record stands in a published checkpoint.

Three parts. The inside of the ledger's and the notary's process without sockets (bench/ledger_bench.c),
beside SQLite in WAL mode with synchronous=FULL: what is usually taken for an audit trail that must be
durable, and in Debian. (auditd, journald and rsyslog do not answer that a line is on disk; rsyslog with a
sync a line is the row "1 a commit".) Then a real gateway: there is no switch for "unlogged", so a person's
query is compared with the same one by a service through the same gateway, which waits for nothing, and with
a person's through a gateway whose state lies in memory, where a sync is free: the first difference is all
that a person's way adds (the guard's parser, records, waiting), the second is the disk. Then disclosures,
with a witness: from the row in the client's hand, which is after the record is durable, to the file."""

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from certificates import Authority  # noqa: E402
from gateway import Gateway, password_of  # noqa: E402
from public_log import PublicLog  # noqa: E402
from region import make_region  # noqa: E402
from waiting import wait_until  # noqa: E402
from wire import Wire  # noqa: E402

PERSON, SERVICE = "us_privacy_officer", "app_us"
AGES = ((1, "journal"), (10, "journal"), (1, "log"), (10, "log"), (10, "mixed"), (10, "disclosures"))
ROW_BYTES = 930  # of an entry, as ledger_bench makes them
BLOCK, ROUNDS = 200, 10


# --- inside ---------------------------------------------------------------------------------------


def inside(folder, options):
    def bench(*arguments):
        done = subprocess.run([os.path.join(options.build, "bench", "ledger_bench"), folder,
                               *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)

    result = {"sync": "one write and one fdatasync a batch", "batch": {}, "age": {}, "sqlite": {}, "grow": []}
    print("durable records, one fdatasync a batch       records/s   us CPU   ms a commit   records a commit")
    for size in (1, 16, 256, 1024):
        found = result["batch"][size] = bench("batch", options.seconds, size)
        print_row(f"journal, {size} a commit", found["records_per_second"], found["cpu_us"],
                  found["commit_us"] / 1000, size)
        found = result["sqlite"][size] = sqlite(folder, options.seconds, size)
        print_row(f"SQLite WAL FULL, {size} a commit", found["records_per_second"], found["cpu_us"],
                  found["commit_us"] / 1000, size)
    for ms, kind in AGES:
        runs = [bench("age", options.seconds, ms, kind) for _ in range(options.repeats)]
        found = sorted(runs, key=lambda run: run["records_per_second"])[len(runs) // 2]
        result["age"][f"{kind}, {ms} ms"] = runs
        print_row(f"{kind}, {ms} ms a batch", found["records_per_second"], found["cpu_us"],
                  found["commit_us"] / 1000, found["records_per_commit"])
    print("\ngrowth      entries     leaves   us/entry  us/leaf scribed   checkpoint ms    start s   replay s    peak MB")
    for count in options.entries:
        found = bench("grow", count)
        result["grow"].append(found)
        print(f"{found['entries']:>19} {found['leaves']:>10} {found['write_cpu_us']:>10.2f}"
              f" {found['scribe_cpu_us']:>17.2f} {found['checkpoint_us'] / 1000:>15.2f}"
              f" {found['start_s']:>10.2f} {found['replay_s']:>10.2f} {found['peak_kilobytes'] / 1024:>10.1f}", flush=True)
    return result


def print_row(name, rate, cpu, commit_ms, size):
    print(f"  {name:<40} {rate:>11,.0f} {cpu:>8.2f} {commit_ms:>13.2f} {size:>18,.0f}", flush=True)


def sqlite(folder, seconds, size):
    """Rows of the same length, SIZE a transaction. The CPU is this process's, Python's share of some
    tenths of a microsecond a row included."""
    path = os.path.join(folder, "peer.db")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE record (id INTEGER PRIMARY KEY, at INTEGER, body BLOB)")
    rows = [(1, os.urandom(ROW_BYTES))] * size
    count, cpu, start = 0, time.process_time(), time.monotonic()
    while time.monotonic() - start < seconds:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO record (at, body) VALUES (?, ?)", rows)
        connection.execute("COMMIT")
        count += size
    took, cpu = time.monotonic() - start, time.process_time() - cpu
    connection.close()
    for name in (path, path + "-wal", path + "-shm"):
        if os.path.exists(name):
            os.remove(name)
    return {"records_per_second": count / took, "cpu_us": cpu / count * 1e6,
            "commit_us": took / (count / size) * 1e6}


# --- a gateway ------------------------------------------------------------------------------------


class Target:
    """One gateway and a session of one actor through it."""

    def __init__(self, name, gateway, actor):
        self.name, self.times = name, []
        self.wire = Wire("127.0.0.1", gateway.port)
        self.wire.login(actor, password_of(actor), "us-virginia")

    def block(self, sql):
        for _ in range(BLOCK):
            start = time.perf_counter_ns()
            self.wire.query(sql)
            self.times.append((time.perf_counter_ns() - start) / 1000)


def latency(gateways):
    targets = [Target("service, waits for nothing", gateways["disk"], SERVICE),
               Target("person, state in memory", gateways["memory"], PERSON),
               Target("person, on disk", gateways["disk"], PERSON),
               Target("person, on disk, public log", gateways["log"], PERSON)]
    for target in targets:
        target.block("select 1")
        target.times.clear()
    for turn in range(ROUNDS):
        for target in targets if turn % 2 == 0 else targets[::-1]:
            target.block("select 1")
    base = statistics.median(targets[0].times)
    print("\nselect 1 through a gateway, one client          p50 us     p99 us   added p50 us")
    result = {}
    for target in targets:
        cuts = statistics.quantiles(target.times, n=100)
        result[target.name] = {"p50_us": cuts[49], "p99_us": cuts[98], "added_p50_us": cuts[49] - base}
        print(f"  {target.name:<40} {cuts[49]:>11.0f} {cuts[98]:>10.0f} {cuts[49] - base:>14.0f}", flush=True)
        target.wire.close()
    return result


def published(log, pair, checkpoint, count=25):
    """Milliseconds from a disclosed row in the client's hand to a checkpoint that holds its leaf."""
    from test_grants import Grants, enter
    grants, times = Grants(pair), []
    for _ in range(count):
        number = grants.open()
        wait_until(lambda number=number: enters(log.gateway, number, enter), "the grant is not known")
        time.sleep(0.05)
        with enter(log.gateway, number) as connection:
            size = log.checkpoint()[0]
            assert connection.execute("select email from users").fetchall()
            start = time.perf_counter()
            while True:
                now = log.checkpoint()[0]
                if now > size and any(leaf.get("grant") == number and leaf["type"] == "disclosure"
                                      for leaf in log.leaves()[-8:]):
                    break
                time.sleep(0.001)
            times.append((time.perf_counter() - start) * 1000)
        grants.close(number)
    times.sort()
    result = {"checkpoint_ms": checkpoint, "p50_ms": statistics.median(times),
              "p99_ms": times[min(len(times) - 1, int(len(times) * 0.99))], "count": count}
    print(f"disclosed row to published, cosigned checkpoint, checkpoint: {checkpoint}ms"
          f"{result['p50_ms']:>10.0f} ms p50 {result['p99_ms']:>8.0f} ms p99 of {count}", flush=True)
    return result


def enters(gateway, number, enter):
    try:
        enter(gateway, number).close()
        return True
    except Exception:  # whatever says that it is not known yet
        return False


def through_gateways(folder, options):
    authority = Authority(os.path.join(folder, "ca"))
    pair = make_region(os.path.join(folder, "region"), authority, options.build, "full")
    memory = tempfile.mkdtemp(prefix="ringfence-bench-", dir="/dev/shm")
    os.chmod(memory, 0o755)
    places = {"disk": folder, "memory": memory, "log": folder, "slow": folder}
    gateways, logs, result = {}, {}, {}
    try:
        for name, place in places.items():
            gateways[name] = Gateway(os.path.join(place, f"gateway-{name}"), pair, authority, options.build,
                                     "full", config={"workers": 1, "log": "warn"})
            if name in ("log", "slow"):
                logs[name] = PublicLog(gateways[name], origin=f"log.example/{name}", epoch="1440m",
                                       rollup="1440min", checkpoint="20ms" if name == "log" else "500ms")
            gateways[name].start()
        result["latency"] = latency(gateways)
        print()
        result["published"] = [published(logs["log"], pair, 20), published(logs["slow"], pair, 500)]
    finally:
        for gateway in gateways.values():
            gateway.stop()
        for log in logs.values():
            log.witness.stop()
        pair.stop()
        shutil.rmtree(memory, ignore_errors=True)
    return result


def ledger(folder, options):
    subprocess.run(["ninja", "-C", options.build, "--quiet", "bench/ledger_bench"], check=True)
    return {**inside(folder, options), **through_gateways(folder, options)}
