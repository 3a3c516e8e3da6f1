"""`ringfence migrate -- COMMAND` against a real PostgreSQL: migrations that views are in the way of, by
psql and by Alembic; and that no failure and no kill leaves a database that shows persons more."""

import concurrent.futures
import copy
import os
import signal
import subprocess
import sys
import textwrap
import time

import psycopg
import pytest

from applied import Server
from region import apply_policy
from waiting import wait_until

RETYPE = ("BEGIN; ALTER TABLE app.watch_events ALTER seconds TYPE bigint;"
          " ALTER TABLE app.users DROP COLUMN phone;"
          " ALTER TABLE app.users ADD COLUMN nickname text; COMMIT")


@pytest.fixture(scope="module")
def server(scratch, authority, build):
    made = Server(os.path.join(scratch, "migrate"), authority, build)
    yield made
    made.cluster.stop()


@pytest.fixture
def region(server):
    made = server.new_database()
    made.apply()
    yield made
    server.cluster.rows(f"DROP DATABASE {made.database} WITH (FORCE)", dbname="postgres")


def psql(region, sql):
    return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-c", sql,
            region.server.cluster.dsn(region.database)]


def without_phone(region):
    del region.policy["tables"]["app.users"]["columns"]["phone"]


def start(region, *command):
    """A migrate that is under way; the configuration is there from the apply before."""
    region.write("policy.yaml", region.policy)
    return subprocess.Popen(
        [f"{region.server.build}/src/cmd/ringfence", "-c", f"{region.folder}/ringfence.yaml",
         "migrate", "--dsn", region.server.cluster.dsn(region.database), "--", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def holds(region):
    return region.command("plan", "--check").returncode == 0


def views(region):
    return [name for (name,) in region.rows(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.relkind = 'v' AND n.nspname IN"
        " ('masked', 'stats', 'granted') ORDER BY 1")]


def persons_are_out(region):
    """No view, no connection, and nothing by which a gateway could take the server for good."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        region.rows("SELECT 1", "us_analyst.masked")
    return (views(region) == []
            and region.value("SELECT to_regprocedure('ringfence.standby()') IS NULL"))


def test_views_are_in_the_way_without_it(region):
    before = views(region)
    assert "masked.users" in before
    for sql in ("ALTER TABLE app.watch_events ALTER seconds TYPE bigint",
                "ALTER TABLE app.users DROP COLUMN phone"):
        with pytest.raises(psycopg.Error, match="view|depend"):
            region.rows(sql)


def test_psql_retypes_and_drops_columns(region):
    without_phone(region)
    done = region.command("migrate", "--", *psql(region, RETYPE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert holds(region) and "masked.users" in views(region)
    columns = [c for (c,) in region.rows("SELECT attname FROM pg_attribute WHERE attnum > 0"
                                         " AND attrelid = 'masked.users'::regclass")]
    assert "phone" not in columns and "nickname" not in columns  # not named: not visible
    assert region.value("SELECT pg_typeof(seconds)::text FROM watch_events LIMIT 1",
                        "us_analyst.masked") == "bigint"


def test_a_birth_date_can_be_retyped_too(region):
    sql = "ALTER TABLE app.users ALTER birthdate TYPE timestamp"
    done = region.command("migrate", "--", *psql(region, sql))
    assert done.returncode == 0, done.stdout + done.stderr
    assert holds(region)
    assert region.value("SELECT count(*) FROM users", "us_analyst.masked") > 100


def test_the_status_of_the_command_is_passed_on_and_everything_is_back(region):
    before = views(region)
    for command, status in ((["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137),
                            (psql(region, "BEGIN; DROP TABLE app.users CASCADE; SELECT 1/0"), 1)):
        done = region.command("migrate", "--", *command)
        assert done.returncode == status, done.stdout + done.stderr
        assert holds(region) and views(region) == before
    assert region.value("SELECT count(*) FROM users", "us_analyst.masked") > 100


def test_what_cannot_begin_changes_nothing(region):
    before = region.snapshot()
    for command, status in ((["/nonexistent/program"], 2), (["no-such-program"], 2), ([], 2)):
        done = region.command("migrate", "--", *command)
        assert done.returncode == status, done.stdout + done.stderr
    nobody = region.server.cluster.dsn(region.database) + " user=us_analyst.masked"
    assert region.command("migrate", "--", "true", dsn=nobody).returncode != 0
    assert region.snapshot() == before


def test_what_depends_on_our_views_stops_it_before_anything_is_changed(region):
    region.rows("CREATE VIEW app.copy AS SELECT * FROM masked.videos")
    before = region.snapshot()
    done = region.command("migrate", "--", "touch", f"{region.folder}/ran")
    assert done.returncode == 3 and "depends on ringfence's views" in done.stderr
    assert not os.path.exists(f"{region.folder}/ran")
    assert region.snapshot() == before


def test_persons_are_out_while_the_command_runs(region):
    with psycopg.connect(region.server.cluster.dsn(region.database).replace(
            "user=postgres", "user=us_analyst.masked"), autocommit=True) as open_before:
        assert open_before.execute("SELECT count(*) FROM users").fetchone()[0] > 0
        running = start(region, "sleep", "600")
        wait_until(lambda: views(region) == [], "the views are not dropped", timeout=20)
        wait_until(lambda: open_before.closed or not alive(open_before),
                   "an open session of a person goes on", timeout=20)
        assert persons_are_out(region)
        # a migration may be careless
        region.rows("CREATE TABLE public.copy AS SELECT * FROM app.users;"
                    " GRANT SELECT ON public.copy TO PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC")
        assert persons_are_out(region)
        running.send_signal(signal.SIGTERM)  # to the command, which ends
        out, err = running.communicate(timeout=30)
    assert running.returncode != 0
    # and apply does not let persons in to what was left behind
    if holds(region):
        with pytest.raises(psycopg.Error, match="permission denied"):
            region.rows("SELECT * FROM public.copy", "us_analyst.masked")
    else:
        assert persons_are_out(region), out + err


def alive(connection):
    try:
        connection.execute("SELECT 1")
        return True
    except psycopg.Error:
        return False


def test_a_dropped_column_that_the_policy_names_keeps_persons_out_and_says_where(region):
    done = region.command("migrate", "--", *psql(region, RETYPE))
    assert done.returncode == 2, done.stdout + done.stderr
    line = next(number for number, text in enumerate(open(f"{region.folder}/policy.yaml",
                                                          encoding="utf-8"), 1)
                if text.strip().startswith("phone:"))
    assert f"policy.yaml:{line}:" in done.stderr and "phone" in done.stderr
    assert "persons stay out" in done.stderr and "ringfence apply --region" in done.stderr
    assert persons_are_out(region)
    assert region.command("apply").returncode == 2
    assert persons_are_out(region)
    without_phone(region)
    region.apply()
    assert holds(region)
    assert region.value("SELECT count(*) FROM users", "us_analyst.masked") > 100


def test_killed_in_the_middle_of_the_command(region):
    without_phone(region)
    running = start(region, "sleep", "601")
    wait_until(lambda: views(region) == [], "the views are not dropped", timeout=20)
    wait_until(lambda: sleeping("601"), "the command does not run", timeout=20)
    running.kill()
    running.communicate()
    wait_until(lambda: not sleeping("601"), "the command goes on alone", timeout=10)
    assert persons_are_out(region)
    done = region.command("migrate", "--", *psql(region, RETYPE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert holds(region)


def sleeping(seconds):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                if line.read() == f"sleep\0{seconds}\0".encode():
                    return True
        except OSError:
            continue
    return False


def test_killed_at_any_moment(region):
    """As before, or nobody in: never views over a database that does not hold the policy."""
    seen = set()
    for step in range(6):
        running = start(region, "sleep", "0.05")
        time.sleep(0.02 + step * 0.08)
        running.kill()
        running.communicate()
        # the server notices at the end of its statement; the lock tells
        region.rows("SELECT pg_advisory_lock(1919510113, 1), pg_advisory_unlock(1919510113, 1)")
        as_before = holds(region)
        assert as_before or persons_are_out(region)
        seen.add(as_before)
    assert False in seen, "no kill came in the middle"
    done = region.command("apply")
    assert done.returncode == 0 and holds(region)
    assert region.value("SELECT count(*) FROM users", "us_analyst.masked") > 100


def test_two_at_once_do_not_mix(region):
    running = start(region, "sleep", "602")
    try:
        wait_until(lambda: views(region) == [], "the views are not dropped", timeout=20)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in pool.map(lambda command: region.command(*command),
                                 (["apply"], ["migrate", "--", "true"])):
                assert done.returncode == 3 and "is at work on this database" in done.stderr
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
    assert holds(region)


def test_a_gateway_lets_nobody_in_meanwhile_and_everybody_afterwards(own_pair, new_gateway):
    """Sessions of persons live on the standby, where nothing can be dropped: the gateway ends them."""
    gateway = new_gateway(region=own_pair)
    apply_policy(gateway)
    wait_until(lambda: enters(gateway), "persons do not get in", timeout=30)
    with gateway.connect("us_analyst") as before, gateway.connect("app_us") as service:
        assert before.execute("select count(*) from users").fetchone()[0] > 0
        running = subprocess.Popen(
            [f"{gateway.build}/src/cmd/ringfence", "-c", gateway.config_path, "migrate", "--dsn",
             own_pair.primary.dsn(), "--standby", own_pair.standby.dsn(), "--", "sleep", "603"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: sleeping("603"), "the command does not run", timeout=40)
            # whoever is asked after the command began
            assert not alive(before) and not enters(gateway)
            assert service.execute("select count(*) from app.users").fetchone()[0] > 0
        finally:
            running.send_signal(signal.SIGTERM)
            out, err = running.communicate(timeout=60)
        assert running.returncode == 143, out + err
    wait_until(lambda: enters(gateway), "persons do not get in again", timeout=60)


def enters(gateway):
    try:
        with gateway.connect("us_analyst") as connection:
            return connection.execute("select count(*) from users").fetchone()[0] > 0
    except psycopg.Error:
        return False


ALEMBIC_ENV = """
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection, version_table_schema="app")
    with context.begin_transaction():
        context.run_migrations()
"""

ALEMBIC_STEP = """
import sqlalchemy
from alembic import op
revision = "0001"
down_revision = None

def upgrade():
    op.alter_column("watch_events", "seconds", type_=sqlalchemy.BigInteger, schema="app")
    op.drop_column("users", "phone", schema="app")
    op.add_column("users", sqlalchemy.Column("nickname", sqlalchemy.Text), schema="app")

def downgrade():
    op.drop_column("users", "nickname", schema="app")
    op.add_column("users", sqlalchemy.Column("phone", sqlalchemy.Text), schema="app")
    op.alter_column("watch_events", "seconds", type_=sqlalchemy.Integer, schema="app")
"""


def test_alembic(region):
    folder = f"{region.folder}/alembic"
    os.makedirs(f"{folder}/versions")
    cluster = region.server.cluster
    files = {"env.py": ALEMBIC_ENV, "versions/step.py": ALEMBIC_STEP, "alembic.ini": textwrap.dedent(f"""
        [alembic]
        script_location = {folder}
        sqlalchemy.url = postgresql+psycopg2://postgres@/{region.database}?host={cluster.sockets}&port={cluster.port}
        """)}
    for name, text in files.items():
        with open(f"{folder}/{name}", "w", encoding="utf-8") as out:
            out.write(text)
    alembic = [sys.executable, "-m", "alembic.config", "-c", f"{folder}/alembic.ini"]
    alone = subprocess.run([*alembic, "upgrade", "head"], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
    assert alone.returncode != 0 and "view" in alone.stdout

    with_phone = copy.deepcopy(region.policy)
    without_phone(region)
    done = region.command("migrate", "--", *alembic, "upgrade", "head")
    assert done.returncode == 0, done.stdout + done.stderr
    assert holds(region)
    assert region.value("SELECT version_num FROM app.alembic_version") == "0001"
    region.policy = with_phone
    done = region.command("migrate", "--", *alembic, "downgrade", "base")
    assert done.returncode == 0, done.stdout + done.stderr
    assert holds(region) and region.value("SELECT count(phone) FROM masked.users") == 0
