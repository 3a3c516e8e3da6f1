"""The public log's writers in a real gateway: restarts, kills, folders that are not what they should
be, full disks. What an operator reads then, and who is still served."""

import os
import re
import shutil
import subprocess
import time

import pytest

from gateway import ROOT
from test_crash import Load, enters
from waiting import wait_until

pytestmark = pytest.mark.crashes
PERSON, SERVICE = "us_analyst", "app_us"
ORIGIN = "log.clipstream.example/us-virginia"


class LogGateway:
    """A gateway with a public log; FAULTS are armed in its processes."""

    def __init__(self, new_gateway, origin=ORIGIN, **more):
        ledger = {"origin": origin, "directory": "public", "key": "log.key", "vrf_key": "vrf.key",
                  "epoch": "1m", "rollup": "1min", "seal": "1min", "checkpoint": "100ms",
                  **more.pop("ledger", {})}
        config = {"ledger": ledger, "limits": {"ledger_wait": "2s"}, **more.pop("config", {})}
        self.gateway = new_gateway(start=False, config=config, **more)
        self.make_keys(origin)
        os.makedirs(self.gateway.path("public"))
        self.gateway.give(self.gateway.path("public"))

    def make_keys(self, origin):
        g = self.gateway
        made = g.command("key", "new", "log", "--origin", origin, "--out", g.path("log.key"))
        assert made.returncode == 0, made.stderr
        g.write("log.vkey", made.stdout, 0o644)
        made = g.command("key", "new", "vrf", "--region", "us-virginia", "--out",
                         g.path("vrf.key"))
        assert made.returncode == 0, made.stderr
        for name in ("log.key", "vrf.key"):
            g.give(g.path(name))

    def start(self):
        self.gateway.start()
        return self

    def size(self):
        """Of the published checkpoint; 0 when there is none."""
        try:
            with open(self.gateway.path("public/checkpoint"), encoding="utf-8") as note:
                return int(note.read().split("\n")[1])
        except FileNotFoundError:
            return 0

    def grow(self):
        """One more checkpoint is published."""
        before = self.size()
        self.gateway.reload()  # a leaf of its own
        wait_until(lambda: self.size() > before, "no new checkpoint is published",
                   timeout=20 * self.gateway.slow)

    def verify(self):
        return self.gateway.command("log", "verify", self.gateway.path("public"), "--key",
                                    self.gateway.path("log.vkey"), "--remember",
                                    self.gateway.path("remembered"))

    def assert_whole(self):
        """Stopped: every leaf of the journal is in the log, and a verifier finds nothing."""
        done = self.verify()
        assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: unwitnessed and the like
        check = self.gateway.command("log", "check", "--json")
        assert check.returncode == 0, check.stderr
        leaves = int(re.search(r'"leaves":(\d+)', check.stdout).group(1))
        assert self.size() == leaves

    def keep(self, name, as_name):
        target = self.gateway.path(as_name)
        if os.path.isdir(target):
            shutil.rmtree(target)
        subprocess.run(["cp", "-a", self.gateway.path(name), target], check=True)



@pytest.fixture
def new_log(new_gateway):
    return lambda **more: LogGateway(new_gateway, **more)


def test_a_log_is_whole_after_every_stop_and_start(new_log):
    log = new_log()
    last = 0
    for _ in range(3):
        log.start()
        assert enters(log.gateway, PERSON)
        log.grow()
        assert log.gateway.stop() == 0
        assert log.size() > last
        last = log.size()
        log.assert_whole()  # also what the ledger said last


def test_ledger_and_notary_killed_under_load(new_log):
    log = new_log().start()
    with Load(log.gateway, SERVICE, 2) as services, Load(log.gateway, PERSON, 2) as persons:
        for role in ("notary", "ledger", "notary", "ledger", "notary"):
            services.wait_for_statements(5)
            persons.wait_for_statements(5)
            pids = log.gateway.pids(role)
            log.gateway.kill_role(role)
            wait_until(lambda: log.gateway.pids(role) not in ([], pids), f"no new {role}",
                       timeout=30 * log.gateway.slow)
            log.grow()
    persons.check_journal()
    log.gateway.stop()
    log.assert_whole()


def test_everything_killed_at_once(new_log):
    log = new_log()
    for _ in range(3):
        log.start()
        with Load(log.gateway, PERSON, 2) as load:
            load.wait_for_statements(20)
            log.gateway.kill()
    log.start()
    log.grow()
    load.check_journal()
    log.gateway.stop()
    log.assert_whole()


def test_a_second_gateway_on_one_state_is_refused(new_log, new_gateway):
    log = new_log().start()
    second = LogGateway(new_gateway, config={"state": log.gateway.path("state")})
    second.gateway.start(wait=False)
    second.gateway.wait_for_log("journal-refused.*in use by another process")
    second.gateway.wait_for_log("start-failed.*is written by another process")
    assert enters(log.gateway, PERSON)
    log.grow()


def test_a_second_notary_on_one_folder_writes_nothing(new_log, new_gateway):
    log = new_log().start()
    log.grow()
    second = LogGateway(new_gateway, ledger={"directory": log.gateway.path("public")})
    second.gateway.start(wait=False)
    second.gateway.wait_for_log("is written by another process")
    log.grow()
    log.gateway.stop()
    log.assert_whole()


def test_a_journal_that_was_rolled_back_ends_the_log_and_persons_go_on(new_log):
    log = new_log().start()
    log.grow()
    log.gateway.stop()
    log.keep("state/journal", "journal.old")
    log.start()
    log.grow()
    log.gateway.stop()
    size = log.size()
    shutil.rmtree(log.gateway.path("state/journal"))
    log.keep("journal.old", "state/journal")
    log.start()
    log.gateway.wait_for_log('log-stopped.*(rolled back|not those that were signed for)')
    log.gateway.wait_for_log("nothing more is signed under this origin")
    assert enters(log.gateway, PERSON), "masked sessions need the journal alone"
    assert enters(log.gateway, SERVICE)
    assert log.size() == size


def test_an_older_state_under_a_newer_public_folder_signs_nothing(new_log):
    log = new_log().start()
    log.grow()
    log.gateway.stop()
    log.keep("state", "state.old")
    log.start()
    for _ in range(8):
        log.grow()
    log.gateway.stop()
    size = log.size()
    shutil.rmtree(log.gateway.path("state"))
    log.keep("state.old", "state")
    log.start()
    # or, when control told the database of few sizes, one that the journal reaches with other leaves
    log.gateway.wait_for_log("log-behind.*the journal was rolled back|log-stopped.*makes another tree")
    assert enters(log.gateway, PERSON)
    log.gateway.stop()
    assert log.size() == size
    assert log.verify().returncode in (0, 1), "the newer files are as they were"


def test_an_older_public_folder_is_brought_up_to_the_state(new_log):
    log = new_log().start()
    log.grow()
    log.gateway.stop()
    log.keep("public", "public.old")
    log.start()
    log.grow()
    log.gateway.stop()
    size = log.size()
    shutil.rmtree(log.gateway.path("public"))
    log.keep("public.old", "public")
    log.start()
    log.grow()
    log.gateway.stop()
    assert log.size() > size
    log.assert_whole()


def seen(pair):
    return pair.primary.value("SELECT coalesce(max(size), 0) FROM ringfence.log_size"
                              " WHERE origin = %s", ORIGIN)


def test_the_regions_database_knows_of_more_than_folders_that_were_rolled_back(new_log, pair):
    log = new_log().start()
    log.grow()
    wait_until(lambda: seen(pair) > 0, "the database does not learn how large the log is")
    log.gateway.stop()
    kept = log.size()
    for name in ("state", "public"):
        log.keep(name, f"{name}.old")
    log.start()
    log.grow()
    wait_until(lambda: seen(pair) > kept, "the database does not learn that the log has grown")
    log.gateway.stop()
    for name in ("state", "public"):  # nothing on this machine knows of it any more
        shutil.rmtree(log.gateway.path(name))
        log.keep(f"{name}.old", name)
    log.start()
    log.gateway.wait_for_log("log-behind.*was rolled back|log-stopped.*somebody has another tree"
                             "|log-stopped.*another tree")
    assert enters(log.gateway, PERSON)
    log.gateway.stop()
    assert log.size() == kept
    assert seen(pair) > kept


def test_a_size_that_control_or_the_database_makes_up_ends_nothing(new_log, pair):
    log = new_log().start()
    log.grow()
    log.gateway.stop()
    size = log.size()
    for claimed in (2**62, max(1, size - 1)):  # a past that there is not, and another past
        pair.primary.rows("INSERT INTO ringfence.log_size AS l (origin, size, root, signature, at)"
                          " VALUES (%s, %s, sha256('x'), sha512('x'), now()) ON CONFLICT (origin) DO"
                          " UPDATE SET (size, root, signature) = (excluded.size, excluded.root,"
                          " excluded.signature)", ORIGIN, claimed)
        log.start()
        log.gateway.wait_for_log(f"log-size-unproved.*size={claimed} ")
        log.grow()
        log.gateway.stop()
        assert log.size() > size
        size = log.size()
    log.assert_whole()


def test_without_its_database_the_log_goes_on_after_a_while(new_log):
    log = new_log(config={"databases": {"us-virginia": {"primary": ["127.0.0.1:1"]}}}).start()
    log.gateway.wait_for_log("log-size-unknown")
    wait_until(lambda: log.size() > 0, "nothing is signed", timeout=30 * log.gateway.slow)


def test_the_database_keeps_the_largest_size_and_lets_control_alone_ask(pair):
    ask = ("SELECT held_size FROM ringfence.log_seen('log.test/sizes', %s, sha256(%s::text::bytea),"
           " sha512('s'))")
    with pair.primary.connect() as connection:
        for role in ("us_analyst.masked", "app_us", "rf_person", "rf_service"):
            assert connection.execute(
                "SELECT coalesce(bool_or(has_function_privilege(rolname, 'ringfence.log_seen(text,"
                "bigint,bytea,bytea)', 'EXECUTE') OR has_table_privilege(rolname, 'ringfence.log_size',"
                " 'SELECT, INSERT, UPDATE, DELETE')), false) FROM pg_roles WHERE rolname = %s",
                (role,)).fetchone() == (False,)
        assert connection.execute("SELECT has_table_privilege('rf_control', 'ringfence.log_size',"
                                  " 'SELECT, INSERT, UPDATE, DELETE')").fetchone() == (False,)
        connection.execute("SET ROLE rf_control")
        assert connection.execute(ask, (0, "x")).fetchall() == []
        for told, held in ((10, 10), (7, 10), (12, 12), (0, 12), (12, 12)):
            assert connection.execute(ask, (told, told)).fetchone() == (held,)
        connection.execute("RESET ROLE")
        connection.execute("DELETE FROM ringfence.log_size WHERE origin = 'log.test/sizes'")


def test_a_folder_of_another_log_is_refused(new_log, new_gateway):
    other = LogGateway(new_gateway, origin="log.clipstream.example/another").start()
    other.grow()
    other.gateway.stop()
    log = new_log()
    shutil.rmtree(log.gateway.path("public"))
    subprocess.run(["cp", "-a", other.gateway.path("public"), log.gateway.path("public")],
                   check=True)
    log.start()
    log.gateway.wait_for_log("log-stopped.*the published file is no checkpoint of this log")
    assert enters(log.gateway, PERSON)


def test_a_changed_tile_ends_the_log(new_log):
    log = new_log().start()
    log.grow()
    log.gateway.stop()
    size = log.size()
    path = log.gateway.path(f"public/tile/entries/000.p/{size}")
    with open(path, "r+b") as bundle:
        bundle.seek(60)
        byte = bundle.read(1)
        bundle.seek(60)
        bundle.write(bytes([byte[0] ^ 1]))
    log.start()
    log.gateway.wait_for_log("log-stopped.*is not what the journal makes of it")
    assert enters(log.gateway, PERSON)
    assert log.size() == size
    assert log.verify().returncode == 4


def test_a_full_public_disk_pauses_the_log_until_there_is_room(new_log):
    log = new_log()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=755", "tmpfs",
                              log.gateway.path("public")], stderr=subprocess.PIPE, text=True,
                             check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        log.gateway.give(log.gateway.path("public"))
        log.start()
        log.grow()
        filler = log.gateway.path("public/filler")
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], stderr=subprocess.DEVNULL,
                       check=False)
        size = log.size()
        log.gateway.reload()
        log.gateway.wait_for_log("log-paused")
        assert enters(log.gateway, PERSON), "the journal is on another disk"
        assert log.size() == size
        os.unlink(filler)
        wait_until(lambda: log.size() > size, "the log does not go on",
                   timeout=60 * log.gateway.slow)
        log.grow()
        log.gateway.stop()
        log.assert_whole()
    finally:
        log.gateway.stop()
        subprocess.run(["umount", log.gateway.path("public")], check=True)


@pytest.mark.parametrize("point", ["store.sync:9+", "store.folder_sync:9+"])
def test_a_failed_sync_ends_the_log_until_the_next_start(new_log, point):
    log = new_log(environment={"RF_FAULT": point}).start()

    def stopped():  # a slow notary signs several leaves at once, and syncs once for them
        log.gateway.reload()
        return log.gateway.log_contains("log-stopped.*could not sync")
    wait_until(stopped, "the log goes on", timeout=20 * log.gateway.slow, interval=0.2)
    assert enters(log.gateway, PERSON)
    log.gateway.stop()
    log.gateway.environment = {}
    log.start()
    log.grow()  # what was signed before the end may be published now; the next is signed now
    log.grow()
    log.gateway.stop()
    log.assert_whole()


def test_a_key_of_another_origin_starts_nothing(new_log):
    log = new_log()
    os.unlink(log.gateway.path("log.key"))
    os.unlink(log.gateway.path("vrf.key"))
    log.make_keys("log.clipstream.example/somebody-else")
    log.gateway.start(wait=False)
    log.gateway.wait_for_log("is not of origin|is of \"log.clipstream.example/somebody-else\"")
    assert not os.path.exists(log.gateway.path("public/checkpoint"))


def test_a_configuration_that_differs_from_the_first_leaf_starts_nothing(new_log):
    log = new_log().start()
    log.grow()
    log.gateway.stop()
    size = log.size()
    log.gateway.config["ledger"]["epoch"] = "month"
    log.gateway.write_config()
    log.gateway.start(wait=False)
    log.gateway.wait_for_log("the log began with another epoch than the configuration's")
    log.gateway.wait_for_log("key rotate")
    log.gateway.stop()
    assert log.size() == size
    log.gateway.config["ledger"]["epoch"] = "1m"
    log.gateway.write_config()
    log.start()
    log.grow()


def test_the_tests_of_faults_stand_before_every_call_that_changes_files(build):
    """What tests/fault/disk.c does not wrap it cannot fail."""
    with open(os.path.join(ROOT, "tests/fault/meson.build"), encoding="utf-8") as text:
        wrapped = set(re.findall(r"'([a-z0-9]+)'", text.read().split("disk_link_args")[1]))
    called = set()
    for library in ("ledger/librf_ledger.a", "base/librf_base.a", "tlog/librf_tlog.a"):
        listed = subprocess.run(["nm", "-u", os.path.join(build, "src", library)],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                check=True)
        called |= set(re.findall(r"U (\w+)", listed.stdout))
    changing = re.compile(r"^(open|openat|creat|mkstemp|p?writev?|p?writev2?|fsync|fdatasync|"
                          r"sync_file_range|syncfs|rename|renameat2?|mkdir|mkdirat|rmdir|unlink|"
                          r"unlinkat|remove|link|linkat|symlink|symlinkat|f?truncate|fallocate|"
                          r"posix_fallocate|fchmod|chmod|fchmodat|fchown|chown|flock|lockf|fopen|"
                          r"copy_file_range|sendfile)(64)?$")
    assert {name for name in called if changing.match(name)} <= wrapped
