"""Real programs, unmodified: each one is started and does what its users do with it."""

import os
import shutil
import subprocess

import pytest

from conftest import ROOT
from planted import found_in

CLIENTS = os.path.join(ROOT, "tests", "clients")
ACTORS = {"service": "app_us", "person": "us_analyst"}


def run(gateway, actor, *command, **environment):
    done = subprocess.run(command, env={**gateway.client_environment(actor), **environment},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ACTORS)
def test_psycopg3(gateway, kind):
    out = run(gateway, ACTORS[kind], "/usr/bin/python3", f"{CLIENTS}/psycopg3_client.py", kind)
    assert out.count("ok ") == {"service": 10, "person": 9}[kind]


@pytest.mark.parametrize("kind", ACTORS)
def test_psycopg2(gateway, kind):
    out = run(gateway, ACTORS[kind], "/usr/bin/python3", f"{CLIENTS}/psycopg2_client.py", kind)
    assert out.count("ok ") == {"service": 5, "person": 4}[kind]


@pytest.mark.parametrize("kind", ACTORS)
def test_jdbc(gateway, kind):
    jars = "/usr/share/java/postgresql.jar"
    out = run(gateway, ACTORS[kind], "java", "-cp", jars, f"{CLIENTS}/JdbcClient.java", kind)
    assert out.count("ok ") == {"service": 9, "person": 7}[kind]


@pytest.mark.parametrize("kind", ACTORS)
def test_node_postgres(gateway, kind):
    modules = [path for path in (os.path.join(ROOT, "build/node/node_modules"), "/usr/share/nodejs")
               if os.path.isdir(os.path.join(path, "pg"))]
    if not modules or shutil.which("node") is None:
        pytest.skip("node-postgres is neither in Debian's packages here nor could npm fetch it")
    out = run(gateway, ACTORS[kind], "node", f"{CLIENTS}/node_client.js", kind, NODE_PATH=modules[0])
    assert out.count("ok ") == {"service": 6, "person": 5}[kind]


def test_pg_dump_as_a_service(gateway, pair):
    out = run(gateway, "app_us", "pg_dump", "--schema=app")
    assert "CREATE TABLE app.users" in out
    assert "person1@mail.example" in out
    assert out.count("\nCOPY app.") == pair.primary.value(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'app'")


def test_pg_dump_as_a_person_gets_nothing(gateway):
    done = subprocess.run(["pg_dump", "--schema=app"], env=gateway.client_environment("us_analyst"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False)
    assert done.returncode != 0
    assert not found_in(done.stdout)


@pytest.fixture(scope="module")
def script(scratch):
    path = os.path.join(scratch, "look-up.sql")
    with open(path, "w", encoding="ascii") as out:
        out.write("\\set id random(1, 200)\nselect handle from users where id = :id;\n")
    return path


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("kind", ACTORS)
def test_pgbench(gateway, script, kind, mode):
    out = run(gateway, ACTORS[kind], "pgbench", "-n", "-M", mode, "-f", script, "-c", "8", "-j", "2",
              "-t", "100")
    assert "number of transactions actually processed: 800/800" in out
    assert "number of failed transactions: 0" in out


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_with_transaction_pooling(new_gateway, script, mode):
    gateway = new_gateway(config={"databases": {"us-virginia": {
        "pool": {"mode": "transaction", "size": 3}}}})
    out = run(gateway, "app_us", "pgbench", "-n", "-M", mode, "-f", script, "-c", "16", "-j", "2",
              "-t", "100")
    assert "number of transactions actually processed: 1600/1600" in out


def test_psql_scripts(gateway):
    done = gateway.psql("app_us", stdin="\\set ON_ERROR_STOP on\n\\dt app.*\n"
                        "begin;\ninsert into scratch(name) values ('psql');\n"
                        "\\copy scratch(name) to stdout\nrollback;\n\\conninfo\n")
    assert done.returncode == 0, done.stderr
    assert "psql" in done.stdout


def test_psql_as_a_person(gateway):
    done = gateway.psql("us_analyst", stdin="\\d\n\\d users\nselect * from users limit 3;\n\\x\n"
                        "select count(*) from watch_events;\n\\copy (select 1) to stdout\n")
    assert done.returncode == 0, done.stderr
    assert not found_in(done.stdout)
