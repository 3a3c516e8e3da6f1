"""Databases to which `ringfence apply` is run: a primary of its own, a database for each test."""

import copy
import os
import shutil
import subprocess
import tempfile

import psycopg
import yaml
from psycopg.pq import ExecStatus

from postgres import Cluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEMO = os.path.join(ROOT, "demo")
SAMPLE = os.path.join(ROOT, "tests", "support", "sample.sql")


def install_extension(build):
    """Extension ringfence for all servers of this machine; False where it was not built or we may not.
    In one step: a server may be running that has the library's file mapped."""
    library = os.path.join(build, "extension", "ringfence.so")
    if not os.path.exists(library) or os.geteuid() != 0:
        return False
    share = "/usr/share/postgresql/15/extension"
    for source, folder in ((library, "/usr/lib/postgresql/15/lib"),
                           (os.path.join(ROOT, "extension", "ringfence.control"), share),
                           (os.path.join(ROOT, "extension", "ringfence--1.sql"), share)):
        target = os.path.join(folder, os.path.basename(source))
        shutil.copy(source, f"{target}.{os.getpid()}")
        os.replace(f"{target}.{os.getpid()}", target)
    return True


class Server:
    """A primary of one region; databases are copies of one that holds the sample."""

    def __init__(self, folder, authority, build, region="us-virginia", place="US"):
        self.folder, self.build = folder, build
        self.region, self.place = region, place
        os.makedirs(folder, mode=0o755)
        self.cluster = Cluster(folder, "primary")
        self.cluster.create(authority)
        self.cluster.start()
        self.count = 0
        with open(f"{DEMO}/policy.yaml", encoding="utf-8") as f:
            self.policy = yaml.safe_load(f)
        self.policy["grants"] = {"opened_by": "administrator"}  # tests open them by SQL
        self.load("sample", f"{DEMO}/schema.sql", SAMPLE, f"{DEMO}/index.sql")

    def load(self, database, *paths):
        self.cluster.rows(f"CREATE DATABASE {database}", dbname="postgres")
        for path in paths:
            subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f",
                            path, self.cluster.dsn(database)], check=True, stdin=subprocess.DEVNULL)

    def new_database(self):
        self.count += 1
        name = f"app{self.count}"
        self.cluster.rows(f"CREATE DATABASE {name} TEMPLATE sample", dbname="postgres")
        return Region(self, name, copy.deepcopy(self.policy))


class Region:
    """A database, a policy that can be changed, and the commands on both."""

    def __init__(self, server, database, policy):
        self.server, self.database, self.policy = server, database, policy
        self.folder = os.path.join(server.folder, database)
        os.makedirs(self.folder)

    def write(self, name, content):
        """In one step: another command may be reading the file."""
        with tempfile.NamedTemporaryFile("w", dir=self.folder, encoding="utf-8",
                                         delete=False) as f:
            yaml.safe_dump(content, f, allow_unicode=True, sort_keys=False)
        os.replace(f.name, f"{self.folder}/{name}")

    def arguments(self, command, *more, dsn=None):
        """To run it; policy and configuration have been written."""
        self.write("policy.yaml", self.policy)
        config = {
            "name": self.server.region, "place": self.server.place, "policy": "policy.yaml",
            "credentials": "credentials", "state": "state", "run": "run",
            "listen": [{"unix": "run/.s.PGSQL.6432"}],
            "databases": {self.server.region: {
                "region": self.server.region, "database": self.database,
                "primary": [f"{self.server.cluster.sockets}:{self.server.cluster.port}"],
                "standby": [f"{self.server.cluster.sockets}:1"], "tls": "off"}},
        }
        self.write("ringfence.yaml", config)
        return [f"{self.server.build}/src/cmd/ringfence", "-c", f"{self.folder}/ringfence.yaml",
                command, "--dsn", dsn or self.server.cluster.dsn(self.database), *more]

    def command(self, *arguments, dsn=None):
        return subprocess.run(self.arguments(*arguments, dsn=dsn), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)

    def apply(self, *arguments):
        done = self.command("apply", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, status, *arguments):
        done = self.command("apply", *arguments)
        assert done.returncode == status, done.stdout + done.stderr
        line = done.stderr.splitlines()[0]
        assert line.startswith("ringfence apply: ")
        return line

    def rows(self, sql, role=None, options=""):
        dsn = self.server.cluster.dsn(self.database).replace("user=postgres",
                                                             f"user={role or 'postgres'}")
        with psycopg.connect(f"{dsn} {options}", autocommit=True) as connection:
            cursor = connection.execute(sql)
            # not cursor.description: a SELECT of no columns has none, and rows
            return cursor.fetchall() if cursor.pgresult.status == ExecStatus.TUPLES_OK else []

    def value(self, sql, role=None):
        return self.rows(sql, role)[0][0]

    def snapshot(self):
        """All that apply could change in this database, and the roles of the cluster."""
        return [self.rows(sql) for sql in (
            "SELECT oid, relname, relacl::text, relowner, reloptions::text FROM pg_class"
            " WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace"
            "  WHERE nspname IN ('pg_toast', 'pg_catalog')) ORDER BY 1",
            "SELECT oid, attrelid, attname, attacl::text FROM pg_attribute a, LATERAL"
            " (SELECT 1 AS oid) x WHERE attacl IS NOT NULL ORDER BY 2, 3",
            "SELECT oid, nspname, nspacl::text FROM pg_namespace ORDER BY 1",
            "SELECT oid, proname, proacl::text, prosrc FROM pg_proc ORDER BY 1",
            "SELECT oid, conname, convalidated FROM pg_constraint ORDER BY 1",
            "SELECT lanname, lanacl::text FROM pg_language ORDER BY 1",
            "SELECT datname, datacl::text FROM pg_database ORDER BY 1",
            "SELECT a.*, s.setconfig::text FROM pg_roles a LEFT JOIN pg_db_role_setting s"
            " ON s.setrole = a.oid ORDER BY a.oid",
            "SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2")]
