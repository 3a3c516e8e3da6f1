#!/usr/bin/python3
"""Ringfence, Debian's PgBouncer and PostgreSQL itself, side by side in one run.

    ./dev bench [throughput|idle|login|enforcement|granted|approvals|ingest|ledger|verify] [--seconds N] [--repeats N] [--clients 1,16,64]

Machines are noisy and shared: targets take turns within each repeat, the order is reversed every
second time, and what counts is the ratio of two targets inside one repeat. CPU is the proxy's own
(all its processes, from /proc/PID/task/*/schedstat), divided by the transactions of that cell. Both
proxies talk TCP without TLS on both sides here, with the same number of server connections; for
Ringfence, policy, metering and the service roll-up are on. Results: bench/results/TIME-NAME.json."""

import argparse
import glob
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

from approvals import approvals  # noqa: E402
from certificates import Authority  # noqa: E402
from enforcement import enforcement  # noqa: E402
from gateway import Gateway, credential, password_of  # noqa: E402
from granted import granted  # noqa: E402
from ingest import ingest  # noqa: E402
from ledger import ledger  # noqa: E402
from ports import free_port  # noqa: E402
from region import make_region  # noqa: E402
from waiting import wait_until  # noqa: E402
from wire import Wire  # noqa: E402

SERVICE = "app_us"
POOL = 16
ACCOUNTS = 100_000
ACCESS = "local all all trust\nhost all all 127.0.0.1/32 trust\n"
SCRIPTS = {
    "select 1": "select 1;\n",
    "look-up": f"\\set id random(1, {ACCOUNTS})\nselect value from bench_accounts where id = :id;\n",
}


# --- targets --------------------------------------------------------------------------------------


class Direct:
    """No proxy."""

    name = "direct"

    def __init__(self, pair):
        self.port = pair.primary.port

    def serves(self, mode):
        return True

    def pids(self):
        return []

    def stop(self):
        pass


class PgBouncer:
    """Debian's package, one process."""

    def __init__(self, pair, folder, mode):
        self.mode = mode
        self.name = f"PgBouncer {mode}"
        self.port = free_port()
        # session pooling gives each client a server of its own: then 64 clients need 64
        size = POOL if mode == "transaction" else 100
        config = os.path.join(folder, f"pgbouncer-{mode}.ini")
        users = os.path.join(folder, "pgbouncer-users")
        with open(users, "w", encoding="ascii") as out:
            # the verifier, as Ringfence has it: from a password PgBouncer would derive it anew for
            # every login
            out.write(f'"{SERVICE}" "{credential(SERVICE).strip().split(":", 1)[1]}"\n')
        with open(config, "w", encoding="ascii") as out:
            out.write(f"[databases]\nus-virginia = host=127.0.0.1 port={pair.primary.port} dbname=app\n"
                      f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\n"
                      f"unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {users}\n"
                      f"pool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 3000\n"
                      "log_connections = 0\nlog_disconnections = 0\nlog_stats = 0\n"
                      "ignore_startup_parameters = extra_float_digits\n")
        for path in (config, users):
            if os.geteuid() == 0:
                shutil.chown(path, "postgres")
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} \
            if os.geteuid() == 0 else {}
        self.process = subprocess.Popen(["/usr/sbin/pgbouncer", "-q", config],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, cwd="/", **user)
        wait_until(lambda: self.logs_in() is not None, "PgBouncer does not answer")

    def logs_in(self):
        try:
            wire = Wire("127.0.0.1", self.port).login(SERVICE, password_of(SERVICE), "us-virginia")
            wire.close()
            return wire
        except OSError:
            return None

    def serves(self, mode):
        # 1.18 cannot map named statements over shared servers: it gets its session mode for them
        return (mode == "prepared") == (self.mode == "session")

    def pids(self):
        return [self.process.pid]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Ringfence:
    """All processes of one gateway, transaction pooling."""

    name = "Ringfence transaction"

    def __init__(self, pair, folder, authority, build, workers):
        self.gateway = Gateway(os.path.join(folder, "gateway"), pair, authority, build, "full",
                               config={"workers": workers, "log": "warn",
                                       "limits": {"clients": 3000}})
        config = self.gateway.config
        for listener in config["listen"]:
            if "address" in listener:
                listener["tls"] = "optional"
        config["databases"]["us-virginia"].update(
            tls="off", pool={"mode": "transaction", "size": POOL // max(workers, 1)})
        for key in ("tls_ca", "tls_certificate", "tls_key", "passfile"):
            config["databases"]["us-virginia"].pop(key)
        self.gateway.write_config()
        self.gateway.start()
        self.port = self.gateway.port

    def serves(self, mode):
        return True

    def pids(self):
        return [self.gateway.process.pid, *self.gateway.processes()]

    def stop(self):
        self.gateway.stop()


def cpu_seconds(pids):
    """CPU time that these processes have used, in all their threads."""
    total = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            try:
                with open(path, encoding="ascii") as stat:
                    total += int(stat.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return total / 1e9


def private_kilobytes(pids):
    """Resident and not shared with a file; the kernel's share of a connection is not in it."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm", encoding="ascii") as line:
            _, resident, shared = (int(word) for word in line.read().split()[:3])
            total += (resident - shared) * resource.getpagesize() // 1024
    return total


# --- throughput -----------------------------------------------------------------------------------


def pgbench(target, script, mode, clients, seconds, folder):
    """One cell: transactions a second, CPU a transaction (µs), 99th percentile (ms)."""
    for old in glob.glob(os.path.join(folder, "latency.*")):
        os.unlink(old)
    command = ["pgbench", "-n", "-M", mode, "-f", script, "-c", str(clients),
               "-j", str(min(clients, 2)), "-T", str(seconds), "-h", "127.0.0.1",
               "-p", str(target.port), "-U", SERVICE, "-l", "--sampling-rate=0.2",
               f"--log-prefix={folder}/latency", "app" if target.name == "direct" else "us-virginia"]
    environment = {**os.environ, "PGPASSWORD": password_of(SERVICE), "PGSSLMODE": "disable"}
    pids = target.pids()
    before = cpu_seconds(pids)
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    used = cpu_seconds(pids) - before
    if done.returncode != 0:
        raise SystemExit(f"{target.name}, {mode}, {clients} clients: {done.stderr}")
    number = int(field(done.stdout, "number of transactions actually processed: "))
    latencies = []
    for path in glob.glob(os.path.join(folder, "latency.*")):
        with open(path, encoding="ascii") as lines:
            latencies += [int(line.split()[2]) for line in lines]
    latencies.sort()
    return {"tps": float(field(done.stdout, "tps = ")),
            "cpu_us": used / number * 1e6 if pids else None,
            "p99_ms": latencies[len(latencies) * 99 // 100] / 1000 if latencies else None}


def field(text, label):
    return text.split(label, 1)[1].split()[0]


def throughput(place, options):
    """All cells; the result is {cell: {target: [one measurement a repeat]}}."""
    targets = [Direct(place.pair), PgBouncer(place.pair, place.folder, "transaction"),
               PgBouncer(place.pair, place.folder, "session"),
               Ringfence(place.pair, place.folder, place.authority, options.build, options.workers)]
    cells = {}
    try:
        for number, (what, text) in enumerate(SCRIPTS.items()):
            script = os.path.join(place.folder, f"script-{number}.sql")
            with open(script, "w", encoding="ascii") as out:
                out.write(text)
            for mode in ("simple", "extended", "prepared"):
                for clients in options.clients:
                    cell = f"{what}, {mode}, {clients} clients"
                    serving = [t for t in targets if t.serves(mode)]
                    found = cells[cell] = {t.name: [] for t in serving}
                    for repeat in range(options.repeats):
                        for target in (serving if repeat % 2 == 0 else serving[::-1]):
                            found[target.name].append(pgbench(target, script, mode, clients,
                                                              options.seconds, place.folder))
                    print_cell(cell, found)
    finally:
        for target in targets:
            target.stop()
    ratios = [ratio["median"] for found in cells.values() for ratio in [paired(found)]]
    print(f"\nCPU a transaction, Ringfence / PgBouncer: median over all cells "
          f"{statistics.median(ratios):.2f}, worst {max(ratios):.2f}")
    return {"cells": cells, "cpu_ratio": {cell: paired(found) for cell, found in cells.items()}}


def paired(found):
    """Ringfence's CPU a transaction by PgBouncer's, within each repeat."""
    peer = next(name for name in found if name.startswith("PgBouncer"))
    ratios = [ours["cpu_us"] / theirs["cpu_us"]
              for ours, theirs in zip(found[Ringfence.name], found[peer])]
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def print_cell(cell, found):
    print(f"\n{cell}")
    for name, runs in found.items():
        def middle(key, runs=runs):
            values = [run[key] for run in runs if run[key] is not None]
            return f"{statistics.median(values):10.1f}" if values else f"{'-':>10}"
        print(f"  {name:24} {middle('tps')} tps {middle('cpu_us')} us CPU {middle('p99_ms')} ms p99")
    ratio = paired(found)
    print(f"  Ringfence / PgBouncer    {ratio['median']:.2f} [{ratio['least']:.2f}-{ratio['most']:.2f}]"
          " in CPU a transaction", flush=True)


# --- idle clients ---------------------------------------------------------------------------------


def idle(place, options):
    """Private memory that a thousand idle clients add, after a first hundred have warmed it up."""
    more, result = 1000, {}
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    for make, tls in ((lambda: Ringfence(place.pair, place.folder, place.authority, options.build,
                                         options.workers), (False, True)),
                      (lambda: PgBouncer(place.pair, place.folder, "transaction"), (False,))):
        target = make()
        try:
            for inside in tls:
                held = [idle_client(target, inside, place) for _ in range(100)]
                before = private_kilobytes(target.pids())
                held += [idle_client(target, inside, place) for _ in range(more)]
                time.sleep(1)
                grown = private_kilobytes(target.pids()) - before
                label = f"{target.name}{' TLS' if inside else ''}"
                result[label] = grown / more
                print(f"{label:28} {grown / more:8.2f} kB an idle client", flush=True)
                for wire in held:
                    wire.close()
                time.sleep(1)
        finally:
            target.stop()
            shutil.rmtree(os.path.join(place.folder, "gateway"), ignore_errors=True)
    return {"kilobytes_per_idle_client": result}


def idle_client(target, inside, place):
    wire = Wire("127.0.0.1", target.port)
    if inside:
        wire.begin_tls(ca=place.authority.certificate)
    wire.login(SERVICE, password_of(SERVICE), "us-virginia")
    wire.query("select 1")
    return wire


# --- logins ---------------------------------------------------------------------------------------


def login(place, options):
    """CPU of the proxy for one login with SCRAM and one statement; the client's own share of SCRAM
    is the larger part of the time, so only CPU is shown."""
    targets = [PgBouncer(place.pair, place.folder, "transaction"),
               Ringfence(place.pair, place.folder, place.authority, options.build, options.workers)]
    count, result = 300, {target.name: [] for target in targets}
    try:
        for repeat in range(options.repeats):
            for target in (targets if repeat % 2 == 0 else targets[::-1]):
                before = cpu_seconds(target.pids())
                for _ in range(count):
                    idle_client(target, False, place).terminate()
                result[target.name].append((cpu_seconds(target.pids()) - before) / count * 1e6)
    finally:
        for target in targets:
            target.stop()
    for name, values in result.items():
        print(f"{name:28} {statistics.median(values):8.0f} us CPU a login", flush=True)
    return {"cpu_us_per_login": result}


# --- one run --------------------------------------------------------------------------------------


class Place:
    """A region, its accounts, and a folder; gone at the end."""

    def __init__(self, build):
        self.folder = tempfile.mkdtemp(prefix="ringfence-bench-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        self.authority = Authority(os.path.join(self.folder, "ca"))
        self.pair = make_region(os.path.join(self.folder, "region"), self.authority, build, "full")
        self.pair.primary.write("pg_hba.conf", ACCESS)
        for statement in (
                "CREATE TABLE app.bench_accounts(id bigint PRIMARY KEY, value int)",
                f"INSERT INTO app.bench_accounts SELECT i, i FROM generate_series(1, {ACCOUNTS}) i",
                f"GRANT SELECT ON app.bench_accounts TO {SERVICE}",
                f"ALTER ROLE {SERVICE} IN DATABASE app SET search_path = app",
                "VACUUM ANALYZE app.bench_accounts", "SELECT pg_reload_conf()"):
            self.pair.primary.rows(statement)
        self.pair.standby.stop()  # services do not need it, and it would take CPU

    def done(self):
        self.pair.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def save(name, options, result):
    folder = os.path.join(ROOT, "bench", "results")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{name}.json")
    versions = {
        "kernel": platform.release(),
        "postgresql": subprocess.run(["/usr/lib/postgresql/15/bin/postgres", "--version"],
                                     stdout=subprocess.PIPE, text=True, check=True).stdout.strip(),
        "pgbouncer": None}
    if os.path.exists("/usr/sbin/pgbouncer"):  # some benches need none
        versions["pgbouncer"] = subprocess.run(
            ["/usr/sbin/pgbouncer", "--version"], stdout=subprocess.PIPE, text=True,
            check=True).stdout.splitlines()[0]
    with open(path, "w", encoding="ascii") as out:
        json.dump({"name": name, "cores": os.cpu_count(), "seconds": options.seconds,
                   "repeats": options.repeats, "workers": options.workers, "pool": POOL,
                   "load": os.getloadavg(), "versions": versions, **result}, out, indent=1)
    print(f"\nwritten: {os.path.relpath(path, ROOT)}")


def verify(folder, options):
    """Verifying public logs, one process on one core: hashes alone, and with every rule."""
    subprocess.run(["ninja", "-C", options.build, "--quiet", "bench/verify_bench"], check=True)
    results = []
    for leaves in options.leaves:
        done = subprocess.run([os.path.join(options.build, "bench", "verify_bench"), folder, str(leaves)],
                              stdout=subprocess.PIPE, text=True, check=True)
        results.append(json.loads(done.stdout))
        shown = results[-1]
        print(f"{leaves:>10} leaves {shown['megabytes']:>7.1f} MB   hashes {shown['hashes_per_second']:>9.0f}/s"
              f"   all rules {shown['rules_per_second']:>9.0f}/s   peak {shown['peak_kilobytes'] / 1024:.1f} MB"
              f"   {shown['open_tags']} tags of one epoch", flush=True)
    return {"verify": results}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("name", nargs="?", choices=["throughput", "idle", "login", "enforcement", "granted",
                                                     "approvals", "ingest", "ledger", "verify"])
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clients", type=lambda text: [int(n) for n in text.split(",")],
                        default=[1, 16, 64])
    parser.add_argument("--leaves", type=lambda text: [int(n) for n in text.split(",")],
                        default=[10_000, 100_000, 1_000_000], help="of the logs that are verified")
    parser.add_argument("--entries", type=lambda text: [int(n) for n in text.split(",")],
                        default=[10_000, 100_000, 1_000_000], help="of the journals that are grown")
    parser.add_argument("--grants", type=lambda text: [int(n) for n in text.split(",")],
                        default=[0, 1_000, 10_000], help="that are open while others are opened")
    options = parser.parse_args()
    options.build = os.path.join(ROOT, options.build)
    alone = {"enforcement": enforcement, "granted": granted, "approvals": approvals, "ingest": ingest,
             "ledger": ledger, "verify": verify}
    for name, run in alone.items():
        if options.name in (None, name):
            print(f"\n== {name}", flush=True)
            with tempfile.TemporaryDirectory(prefix="ringfence-bench-", dir="/tmp") as folder:
                os.chmod(folder, 0o755)
                save(name, options, run(folder, options))
    if options.name in alone:
        return
    place = Place(options.build)
    try:
        for name, run in (("idle", idle), ("login", login), ("throughput", throughput)):
            if options.name in (None, name):
                print(f"\n== {name}", flush=True)
                save(name, options, run(place, options))
                shutil.rmtree(os.path.join(place.folder, "gateway"), ignore_errors=True)
    finally:
        place.done()


if __name__ == "__main__":
    main()
