"""One real gateway: files from a template, `ringfenced -c FILE`, its log, its journal, its processes."""

import base64
import copy
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import psycopg
import yaml

from ports import free_port
from waiting import wait_until
from wire import Wire

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The user that the gateway becomes when the tests run as root.
DAEMON_USER = "nobody"

# Actors beside those of the demonstration: services that reach the database by other means than a
# certificate, and persons in states that the demonstration does not have.
EXTRA_ACTORS = {
    "by_scram": {"kind": "service", "entity": "clipstream-us", "place": "US",
                 "regions": {"us-virginia": {"from": ["US"], "tables": "write"}}},
    "by_md5": {"kind": "service", "entity": "clipstream-us", "place": "US",
               "regions": {"us-virginia": {"from": ["US"], "tables": "write"}}},
    "by_clear": {"kind": "service", "entity": "clipstream-us", "place": "US",
                 "regions": {"us-virginia": {"from": ["US"], "tables": "write"}}},
    "us_suspended": {"kind": "person", "entity": "clipstream-us", "place": "US",
                     "department": "analytics", "suspended": True},
}
EXTRA_TABLES = {
    "app.scratch": {"columns": {"id": "none", "name": "none", "value": "none"}},
}


def password_of(actor):
    return f"{actor}-enters"


def credential(actor):
    """The line of the credentials file: a SCRAM verifier, RFC 5803's fields as PostgreSQL has them."""
    salt = hashlib.sha256(actor.encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password_of(actor).encode(), salt, 4096)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"{actor}:SCRAM-SHA-256$4096:{text[0]}${text[1]}:{text[2]}\n"


def client_name(connection):
    """How the journal calls this client; CONNECTION is a socket, psycopg's connection or ours."""
    if isinstance(connection, psycopg.Connection):
        with socket.socket(fileno=os.dup(connection.fileno())) as copy_of_it:
            return client_name(copy_of_it)
    if not isinstance(connection, socket.socket):
        connection = connection.socket
    return "%s port %d" % connection.getsockname()


def policy_for_tests():
    """The demonstration's policy and what the tests need besides."""
    with open(os.path.join(ROOT, "demo", "policy.yaml"), encoding="utf-8") as text:
        policy = yaml.safe_load(text)
    policy["actors"].update(copy.deepcopy(EXTRA_ACTORS))
    policy["tables"].update(copy.deepcopy(EXTRA_TABLES))
    policy["grants"] = {"opened_by": "administrator"}  # tests open them by SQL
    return policy


def merge(base, changes):
    """BASE with CHANGES laid over it, tables into tables; None takes a key away."""
    for key, value in changes.items():
        if value is None:
            base.pop(key, None)
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)
    return base


class Gateway:
    """FOLDER is made; PAIR, AUTHORITY, BUILD are borrowed. CONFIG is laid over the template, POLICY
    is a function that changes the policy in place."""

    def __init__(self, folder, pair, authority, build, sandbox, slow=1, config=None, policy=None,
                 environment=None):
        self.folder = folder
        self.pair = pair
        self.authority = authority
        self.build = build
        self.slow = slow
        self.environment = environment or {}
        self.host = "127.0.0.1"
        self.port = free_port()
        self.ca = authority.certificate
        self.config_path = os.path.join(folder, "ringfence.yaml")
        self.log_path = os.path.join(folder, "log")
        self.process = None
        os.makedirs(folder, mode=0o755)
        self.config = merge(self.template(sandbox), config or {})
        self.policy = policy_for_tests()
        if policy is not None:
            policy(self.policy)
        self.write_files()

    # --- files ---

    def template(self, sandbox):
        addresses = ("127.0.0.1", "127.0.1.1", "127.0.8.1")
        config = {
            "name": "us-virginia",
            "place": "US",
            "policy": "policy.yaml",
            "credentials": "credentials",
            "state": "state",
            "run": "run",
            "tls": {"certificate": "gateway.crt", "key": "gateway.key", "client_ca": "ca.crt"},
            "listen": [{"address": a, "port": self.port, "tls": "optional"} for a in addresses]
            + [{"unix": f"run/.s.PGSQL.{self.port}"}],
            "databases": {
                "us-virginia": {
                    "region": "us-virginia",
                    "database": "app",
                    "primary": [f"127.0.0.1:{self.pair.primary.port}"],
                    "standby": [f"127.0.0.1:{self.pair.standby.port}"],
                    "tls": "verify-full",
                    "tls_ca": "ca.crt",
                    "tls_certificate": "database.crt",
                    "tls_key": "database.key",
                    "passfile": "pgpass",
                    "pool": {"mode": "session", "size": 20},
                },
            },
            # many wrong passwords in a minute: a test of its own sets this low
            "limits": {"login_failures": 1000},
            "workers": 2,
            "sandbox": sandbox,
            "log": "info",
        }
        if os.geteuid() == 0:
            config["user"] = DAEMON_USER
        return config

    def write_files(self):
        for name in ("state", "run"):
            path = os.path.join(self.folder, name)
            os.makedirs(path, mode=0o755 if name == "run" else 0o700, exist_ok=True)
            self.give(path)
        issued = {
            "gateway": self.authority.issue(
                "gateway", addresses=["127.0.0.1", "127.0.1.1", "127.0.8.1"], names=["localhost"],
                file="gateway-clients"),
            "database": self.authority.issue("gateway", file="gateway-database"),
        }
        for name, (certificate, key) in issued.items():
            self.copy(certificate, f"{name}.crt", 0o644)
            self.copy(key, f"{name}.key", 0o600)
        self.copy(self.ca, "ca.crt", 0o644)
        self.write("credentials", "".join(credential(a) for a in self.policy["actors"]), 0o600)
        self.write("pgpass", "".join(f"*:*:*:{a}:{password_of(a)}\n" for a in EXTRA_ACTORS), 0o600)
        self.write_policy()
        self.write_config()

    def write_policy(self, text=None):
        self.write("policy.yaml", text or yaml.safe_dump(self.policy, sort_keys=False), 0o644)

    def write_config(self, text=None):
        self.write("ringfence.yaml", text or yaml.safe_dump(self.config, sort_keys=False), 0o644)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)
        self.give(path)

    def copy(self, source, name, mode):
        shutil.copy(source, self.path(name))
        os.chmod(self.path(name), mode)
        self.give(self.path(name))

    def give(self, path):
        if os.geteuid() == 0:
            shutil.chown(path, DAEMON_USER)

    # --- life ---

    def program(self, name):
        return os.path.join(self.build, "src", "cmd", name)

    def start(self, wait=True):
        """Returns when the gateway says that it is ready (sd_notify)."""
        notify_path = os.path.join(self.folder, "notify")
        if os.path.exists(notify_path):
            os.unlink(notify_path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(notify_path)
        os.chmod(notify_path, 0o777)
        self.notify.settimeout(0.1)
        environment = {**os.environ, **self.environment, "NOTIFY_SOCKET": notify_path}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program("ringfenced"), "-c", self.config_path],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, cwd="/", start_new_session=True)
        if wait:
            wait_until(lambda: self.notified("READY=1"), "the gateway is not ready",
                       timeout=20 * self.slow)
        return self

    def notified(self, line):
        if self.process.poll() is not None:
            raise RuntimeError(f"ringfenced ended with {self.process.returncode}:\n{self.log()}")
        try:
            return line.encode() in self.notify.recv(4096)
        except socket.timeout:
            return False

    def stop(self, timeout=20):
        """Orderly; the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=timeout * self.slow)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the gateway did not stop in time") from None
        status = self.process.returncode
        self.process = None
        self.notify.close()
        return status

    def kill(self):
        """kill -9 of the supervisor and all its children; when it returns they hold no socket any more.
        The supervisor first: it would start new ones."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)
        children = self.processes()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.notify.close()
        for child in children:
            self.signal(child, signal.SIGKILL)
        wait_until(lambda: not any(os.path.exists(f"/proc/{child}/fd/0") for child in children),
                   "a child outlives kill -9", timeout=20 * self.slow)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    # --- processes ---

    def processes(self):
        """The pids of the supervisor's children."""
        found = []
        if self.process is None:
            return found
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                        fields = stat.read().rsplit(")", 1)[1].split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if int(fields[1]) == self.process.pid and fields[0] != "Z":
                    found.append(int(entry))
        return sorted(found)

    def title(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                return line.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def pids(self, role):
        """The processes of a role, by their titles ("ringfenced: worker 0"), in order."""
        titled = [(self.title(pid), pid) for pid in self.processes()]
        return [pid for title, pid in sorted(titled) if title.startswith(f"ringfenced: {role}")]

    @staticmethod
    def signal(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def kill_role(self, role, index=0):
        """kill -9 of one process of a role; its pid."""
        pid = self.pids(role)[index]
        self.signal(pid, signal.SIGKILL)
        return pid

    # --- log, journal, commands ---

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def log_contains(self, pattern):
        return re.search(pattern, self.log()) is not None

    def wait_for_log(self, pattern, timeout=20):
        wait_until(lambda: self.log_contains(pattern), f"the log never says {pattern!r}",
                   timeout=timeout * self.slow)

    def command(self, *arguments, **options):
        """`ringfence -c FILE ARGUMENT…`, finished."""
        return subprocess.run([self.program("ringfence"), "-c", self.config_path, *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120, **options)

    def journal(self, **wanted):
        """The records of `ringfence log show --json` whose fields are as WANTED; the public and the
        private part of each in one (docs/formats/journal.md), exact numbers where both have one."""
        done = self.command("log", "show", "--json")
        if done.returncode != 0:
            raise AssertionError(f"log show: {done.returncode}: {done.stderr}")
        records = []
        for line in done.stdout.splitlines():
            entry = json.loads(line)
            records.append({"index": entry["index"], **entry["public"], **(entry["private"] or {})})
        return [r for r in records if all(r.get(k) == v for k, v in wanted.items())]

    def journal_bytes(self):
        """All that lies in the journal's files."""
        found = b""
        for folder, _, names in os.walk(self.path("state/journal")):
            for name in sorted(names):
                with open(os.path.join(folder, name), "rb") as segment:
                    found += segment.read()
        return found

    def recorded_rows(self, client):
        """Rows that the journal says were released to CLIENT, as client_name() has it."""
        return sum(r.get("rows", 0) for r in self.journal(kind="result", client=client))

    # --- clients ---

    def dsn(self, actor, host=None, dbname="us-virginia", **options):
        values = {"host": host or self.host, "port": self.port, "dbname": dbname, "user": actor,
                  "password": password_of(actor), "sslmode": "verify-full", "sslrootcert": self.ca,
                  "connect_timeout": 20 * self.slow, "sslcert": "/nonexistent",
                  "sslkey": "/nonexistent"}
        values.update(options)
        return psycopg.conninfo.make_conninfo(**{k: v for k, v in values.items() if v is not None})

    def connect(self, actor, host=None, autocommit=True, dbname="us-virginia", factory=None,
                **options):
        connection = (factory or psycopg.Connection).connect(
            self.dsn(actor, host, dbname, **options), autocommit=autocommit)
        connection.prepare_threshold = None
        return connection

    def wire(self, host=None, tls=True, **options):
        """A raw client; inside TLS unless told otherwise."""
        wire = Wire(host or self.host, self.port, timeout=20 * self.slow)
        if tls:
            wire.begin_tls(ca=self.ca, **options)
        return wire

    def login(self, actor, database="us-virginia", host=None, tls=True, **parameters):
        """A raw client, logged in."""
        wire = self.wire(host, tls)
        try:
            return wire.login(actor, password_of(actor), database, **parameters)
        except BaseException:
            wire.close()
            raise

    def client_environment(self, actor, host=None, dbname="us-virginia"):
        """libpq's variables for a client program."""
        return {**os.environ, "PGHOST": host or self.host, "PGPORT": str(self.port),
                "PGUSER": actor, "PGPASSWORD": password_of(actor), "PGDATABASE": dbname,
                "PGSSLMODE": "verify-full", "PGSSLROOTCERT": self.ca, "PGCONNECT_TIMEOUT": "20",
                "PGSSLCERT": "/nonexistent", "PGSSLKEY": "/nonexistent"}

    def psql(self, actor, *arguments, host=None, dbname="us-virginia", stdin=None, **options):
        return subprocess.run(["psql", "-X", "-v", "ON_ERROR_STOP=1", *arguments],
                              env=self.client_environment(actor, host, dbname),
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120, **options)
