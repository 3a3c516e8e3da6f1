"""Real PostgreSQL servers below a scratch folder: a primary, its hot standby, and their keys."""

import os
import shutil
import signal
import subprocess
import time

import psycopg
from psycopg.pq import ExecStatus

from ports import free_port
from waiting import wait_until

BIN = "/usr/lib/postgresql/15/bin"

SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{sockets}'
ssl = on
ssl_cert_file = '{certificate}'
ssl_key_file = '{key}'
ssl_ca_file = '{ca}'
password_encryption = 'scram-sha-256'
max_connections = 250
shared_buffers = 64MB
wal_level = replica
max_wal_senders = 8
max_wal_size = 4GB
hot_standby = on
hot_standby_feedback = on
wal_receiver_status_interval = 1s
fsync = off                          # the tests kill processes, not the machine
timezone = 'UTC'
log_min_messages = warning
"""

# Superusers come over the unix socket, whose folder is closed to others. The gateway comes with its
# certificate, which pg_ident maps to the roles it may enter; roles of grants come and go, so for them
# the certificate alone counts; some services log in another way.
ACCESS = """
local  all all                       trust
local  replication all               trust
hostssl app   by_scram   127.0.0.1/32 scram-sha-256
hostssl app   by_md5     127.0.0.1/32 md5
host    app   by_clear   127.0.0.1/32 password
hostssl app   +rf_granted 127.0.0.1/32 trust clientcert=verify-ca
hostssl all   all        127.0.0.1/32 cert map=gateway
"""


def as_owner():
    """Arguments for subprocess: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


def run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, cwd="/", **as_owner(), **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout.decode(errors='replace')}")


class Cluster:
    """One server. FOLDER belongs to the user that runs it."""

    def __init__(self, folder, name):
        self.name = name
        self.folder = os.path.join(folder, name)
        self.data = os.path.join(self.folder, "data")
        self.sockets = os.path.join(self.folder, "socket")
        self.log = os.path.join(self.folder, "log")
        self.port = free_port()
        self.process = None
        for path in (self.folder, self.sockets):
            os.makedirs(path, mode=0o700)
            if os.geteuid() == 0:
                shutil.chown(path, "postgres", "postgres")

    def create(self, authority):
        run(f"{BIN}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync")
        self.configure(authority)

    def copy_of(self, primary, authority):
        """A hot standby of PRIMARY, which runs."""
        run(f"{BIN}/pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
            "-h", primary.sockets, "-p", str(primary.port), "-U", "postgres")
        self.configure(authority)

    def configure(self, authority):
        certificate, key = authority.issue(f"database {self.name}", addresses=["127.0.0.1"],
                                           names=["localhost"], file=f"database-{self.name}")
        mine = {}
        for what, path in (("certificate", certificate), ("key", key),
                           ("ca", authority.certificate)):
            mine[what] = os.path.join(self.folder, os.path.basename(path))
            shutil.copy(path, mine[what])
            os.chmod(mine[what], 0o600)
            if os.geteuid() == 0:
                shutil.chown(mine[what], "postgres", "postgres")
        self.write("postgresql.conf", SETTINGS.format(port=self.port, sockets=self.sockets, **mine))
        self.write("pg_hba.conf", ACCESS)

    def write(self, name, text):
        path = os.path.join(self.data, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")

    def let_gateway_enter(self, roles):
        """The certificate "gateway" may log in as any of ROLES (pg_ident.conf)."""
        self.write("pg_ident.conf", "".join(f'gateway gateway "{role}"\n' for role in roles))
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [f"{BIN}/postgres", "-D", self.data], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd="/", start_new_session=True, **as_owner())
        wait_until(self.answers, f"{self.name} does not answer, see {self.log}", timeout=60)

    def answers(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise RuntimeError(f"{self.name} ended: {log.read()[-2000:]}")
        try:
            self.connect(dbname="postgres").close()
            return True
        except psycopg.OperationalError:
            return False

    def stop(self):
        """Fast shut-down; at once when that takes too long."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(timeout=20)
        self.process = None

    def kill(self):
        """kill -9 of the postmaster and everything it started: the machine lost power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        # backends notice the lost postmaster at once; the shared memory must be free for the next
        time.sleep(0.2)

    def dsn(self, dbname="app"):
        return f"host={self.sockets} port={self.port} user=postgres dbname={dbname}"

    def connect(self, dbname="app", **options):
        return psycopg.connect(self.dsn(dbname), autocommit=True, connect_timeout=5, **options)

    def rows(self, sql, *values, dbname="app"):
        with self.connect(dbname) as connection:
            cursor = connection.execute(sql, values or None)
            # not cursor.description: a SELECT of no columns has none, and rows
            return cursor.fetchall() if cursor.pgresult.status == ExecStatus.TUPLES_OK else []

    def value(self, sql, *values, dbname="app"):
        return self.rows(sql, *values, dbname=dbname)[0][0]


class Pair:
    """A region's primary and its hot standby."""

    def __init__(self, folder, authority):
        self.primary = Cluster(folder, "primary")
        self.standby = Cluster(folder, "standby")
        self.primary.create(authority)
        self.primary.start()
        self.standby.copy_of(self.primary, authority)
        self.standby.start()

    def let_gateway_enter(self, roles):
        for server in (self.primary, self.standby):
            server.let_gateway_enter(roles)

    def wait_for_standby(self):
        """Until the standby has replayed all that the primary has written."""
        position = self.primary.value("SELECT pg_current_wal_lsn()::text")
        wait_until(lambda: self.standby.value(
            "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position),
            "the standby does not catch up", timeout=30, interval=0.02)

    def stop(self):
        self.standby.stop()
        self.primary.stop()
