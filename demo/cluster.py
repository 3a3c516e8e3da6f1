"""One region's PostgreSQL: a primary and its hot standby, made, loaded, started, stopped.

Nobody but the gateway can log in as a person, a service, rf_control, rf_registrar or rf_herald: only its client certificate
is signed by the authority that the servers trust for clients. (pg_ident.conf of PostgreSQL 15 cannot
map one certificate to every member of a group, so pg_hba.conf asks for the certificate and for the
group.) The superuser has no way in but the unix socket, in a folder that only the demo's user and
root can enter."""
import glob
import os
import pwd
import shutil
import subprocess


def find_programs():
    """PostgreSQL's server programs: the newest version from 15 that is installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"),
                   key=lambda p: -int(p.split("/")[4]))
    for path in found:
        if int(path.split("/")[4]) >= 15:
            return os.path.dirname(path)
    on_path = shutil.which("postgres")
    if on_path:
        return os.path.dirname(os.path.realpath(on_path))
    raise SystemExit("demo: PostgreSQL's server is not installed (Debian: postgresql)")


LOADING = """
listen_addresses = ''
wal_level = minimal
max_wal_senders = 0
fsync = off
full_page_writes = off
autovacuum = off
max_wal_size = 4GB
checkpoint_timeout = 1h
shared_buffers = 128MB
work_mem = 64MB
"""

SERVING = """
listen_addresses = '127.0.0.1'
ssl = on
ssl_cert_file = '{keys}/database.crt'
ssl_key_file = '{keys}/database.key'
ssl_ca_file = '{keys}/gateway-ca.crt'
wal_level = replica
max_wal_senders = 4
max_replication_slots = 4
wal_sender_timeout = 10s
wal_receiver_timeout = 10s
wal_receiver_status_interval = 1s
hot_standby = on
hot_standby_feedback = on
max_standby_streaming_delay = 5s
shared_buffers = 64MB
max_connections = 200
# What people wrote must not come to rest in a log.
log_error_verbosity = terse
log_min_error_statement = panic
log_min_duration_statement = -1
"""

HBA = """# TYPE  DATABASE     USER         ADDRESS       METHOD
local   all          postgres                   peer map=demo
local   replication  postgres                   peer map=demo
hostssl app          +rf_person   127.0.0.1/32  trust clientcert=verify-ca
hostssl app          +rf_service  127.0.0.1/32  trust clientcert=verify-ca
hostssl app          rf_control   127.0.0.1/32  trust clientcert=verify-ca
hostssl app          rf_registrar 127.0.0.1/32  trust clientcert=verify-ca
hostssl app          rf_herald    127.0.0.1/32  trust clientcert=verify-ca
"""


class Cluster:
    def __init__(self, base, region, sockets, port, standby_port, processes):
        self.region, self.sockets, self.processes = region, sockets, processes
        self.base = base
        self.keys = f"{base}/keys"
        self.ports = {"primary": port, "standby": standby_port}
        self.folders = {r: f"{base}/{region}/{r}" for r in self.ports}
        self.programs = find_programs()

    def dsn(self, role="primary", database="app"):
        """Without a character that a shell would take for its own."""
        return f"postgresql://postgres@{self.sockets.replace('/', '%2F')}:{self.ports[role]}/{database}"

    def name(self, role):
        return f"{self.region} {role}"

    def _run(self, program, *arguments, log=None):
        """LOG: the file whose last lines say why it failed."""
        done = subprocess.run([f"{self.programs}/{program}", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd="/")
        text = done.stdout.decode(errors="replace")
        if done.returncode != 0 and log is not None:
            with open(log, encoding="utf-8", errors="replace") as f:
                text += "".join(f.readlines()[-5:])
        if done.returncode != 0:
            raise SystemExit(f"demo: {program} for {self.region} failed:\n{text}")
        return text

    def _write(self, role, name, text):
        with open(f"{self.folders[role]}/{name}", "w", encoding="utf-8") as f:
            f.write(text)

    def _configure(self, role, settings):
        """Written anew for each start, so that ports and the folder may have changed meanwhile."""
        text = (f"port = {self.ports[role]}\nunix_socket_directories = '{self.sockets}'\n"
                f"unix_socket_permissions = 0700\ntimezone = 'UTC'\ncluster_name = '{self.name(role)}'\n"
                + settings)
        if role == "standby":
            text += (f"primary_conninfo = '{self.dsn('primary', 'postgres')}'\n"
                     "primary_slot_name = 'standby'\n")
        self._write(role, "postgresql.conf", text)

    def start(self, role, settings=None):
        self._configure(role, settings or SERVING.format(keys=self.keys))
        log = f"{self.base}/log/{self.region}-{role}.log"
        self._run("pg_ctl", "-D", self.folders[role], "-l", log, "-w", "-t", "60", "start", log=log)
        with open(f"{self.folders[role]}/postmaster.pid", encoding="ascii") as f:
            self.processes.remember(self.name(role), int(f.readline()))

    def stop(self, role):
        """Only when the server that we started is still the one that runs there."""
        if self.processes.pid(self.name(role)) is not None:
            self._run("pg_ctl", "-D", self.folders[role], "-w", "-m", "fast", "stop")
        self.processes.stop(self.name(role))

    def create(self):
        me = pwd.getpwuid(os.getuid()).pw_name
        self._run("initdb", "-D", self.folders["primary"], "-U", "postgres", "-E", "UTF8",
                  "--locale=C.UTF-8", "--auth=reject", "--no-sync", "--data-checksums")
        self._write("primary", "pg_hba.conf", HBA)
        who = sorted({me, "root"})
        self._write("primary", "pg_ident.conf", "".join(f"demo {w} postgres\n" for w in who))
        self.start("primary", LOADING)
        self.psql("-q", "-c", "CREATE DATABASE app", database="postgres")

    def psql(self, *arguments, role="primary", database="app"):
        return self._run("psql", "-X", "-v", "ON_ERROR_STOP=1", *arguments,
                         self.dsn(role, database))

    def load(self, folder, variables):
        """In one transaction: with wal_level minimal, what is filled where it was made needs no
        log."""
        options = [text for key, value in variables.items() for text in ("-v", f"{key}={value}")]
        self.psql("-q", "-1", "-o", "/dev/null", *options, "-f", f"{folder}/schema.sql", "-f",
                  f"{folder}/data.sql", "-f", f"{folder}/index.sql")

    def serve(self):
        """From loading to serving: everything is put on the disk, then the standby is a copy."""
        self.stop("primary")
        self._run("initdb", "--sync-only", "-D", self.folders["primary"])
        self.start("primary")
        self._run("pg_basebackup", "-D", self.folders["standby"], "-d",
                  self.dsn("primary", "postgres"), "-c", "fast", "-X", "stream", "-C", "-S",
                  "standby")
        with open(f"{self.folders['standby']}/standby.signal", "w", encoding="ascii"):
            pass
        self.start("standby")

    def stop_all(self):
        for role in ("standby", "primary"):
            self.stop(role)
