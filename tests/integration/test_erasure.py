"""The private store, and the erasing of a day: what a real gateway's files hold before and after."""

import datetime
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import time

import pytest

from conftest import BUILD
from public_log import PublicLog
from test_grants import Grants, enter
from waiting import wait_until

PLANTED = "planted-7c1e"
DAY = 24 * 60


def day_of(minute):
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(minutes=minute)).strftime("%Y-%m-%d")


TODAY = day_of(int(time.time() // 60))


class Kept:
    """A gateway whose journal began yesterday."""

    def __init__(self, new_gateway, policy=None):
        self.gateway = new_gateway(start=False, policy=policy)
        self.log = PublicLog(self.gateway, witness=False, epoch="month")
        done = subprocess.run([f"{BUILD}/tests/support/yesterday", self.gateway.config_path, "8",
                               PLANTED], stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for folder, _, names in os.walk(self.gateway.path("state")):
            for name in ("", *names):
                self.gateway.give(os.path.join(folder, name))
        self.day = day_of(self.entries()[0]["minute"])
        with open(self.state("keys/day", f"{self.day}.key"), "rb") as file:
            self.key = file.read()

    def state(self, *names):
        return os.path.join(self.gateway.path("state"), *names)

    def entries(self):
        """The journal's entries, as far as they are wanted here (docs/formats/journal.md, 2.2)."""
        data, found, at = self.gateway.journal_bytes(), [], 0
        while (at := data.find(b"RfJe", at)) >= 0:
            length, = struct.unpack(">I", data[at + 4:at + 8])
            open_len, = struct.unpack(">H", data[at + 48:at + 50])
            sealed_at = at + 50 + open_len
            sealed_len, = struct.unpack(">I", data[sealed_at:sealed_at + 4])
            text = data[at + 50:sealed_at]
            found.append({"minute": struct.unpack(">I", data[at + 20:at + 24])[0],
                          "is_leaf": text.startswith(b'{"v":1,"type":'),
                          "sealed": data[sealed_at + 4:sealed_at + 4 + sealed_len]})
            at += 12 + length
        return found

    def leaves(self, day=None):
        return [e for e in self.entries()
                if e["is_leaf"] and (day is None or day_of(e["minute"]) == day)]

    def rows(self):
        """How many leaves the private store has of each day."""
        try:
            database = sqlite3.connect(f"file:{self.state('vault/private.db')}?mode=ro", uri=True)
        except sqlite3.OperationalError:
            return {}
        found = {}
        try:
            for (minute,) in database.execute("SELECT minute FROM part"):
                found[day_of(minute)] = found.get(day_of(minute), 0) + 1
        except sqlite3.DatabaseError:
            pass  # it is being made anew
        finally:
            database.close()
        return found

    def wait_for_rows(self, **days):
        """The store is up with the journal, but for the days that it must not have."""
        def is_up():
            wanted = {}
            for leaf in self.leaves():
                wanted[day_of(leaf["minute"])] = wanted.get(day_of(leaf["minute"]), 0) + 1
            return self.rows() == {day: n for day, n in wanted.items() if days.get("without") != day}
        wait_until(is_up, "the private store is not up with the journal", timeout=45)

    def bytes(self, *folders):
        found = b""
        for name in folders:
            for folder, _, names in os.walk(self.gateway.path(name)):
                for file in sorted(names):
                    if os.path.isfile(os.path.join(folder, file)):
                        with open(os.path.join(folder, file), "rb") as data:
                            found += data.read()
        return found

    def run(self, *arguments, **options):
        return self.gateway.command("log", *arguments, **options)

    def erase(self, day=None):
        return self.run("erase", "--day", day or self.day, "--json")

    def write_holds(self, text):
        self.gateway.write("state/holds", text, 0o600)


@pytest.fixture
def kept(new_gateway):
    made = Kept(new_gateway)
    made.gateway.start()
    wait_until(lambda: sum(leaf["type"] == "start" for leaf in made.log.leaves()) == 2,
               "today's start is not out")
    return made


def shown(kept, leaf):
    done = kept.run("show", "--leaf", str(leaf), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- the store ------------------------------------------------------------------------------------


def test_each_leaf_can_be_opened_by_its_number(kept, pair):
    grants = Grants(pair)
    number = grants.open()
    with enter(kept.gateway, number) as connection:
        connection.execute("select id, email from users").fetchall()
    grants.close(number)
    kept.log.wait_for("the disclosure", type="disclosure", grant=number)
    kept.wait_for_rows()
    whole = [r for r in (json.loads(line) for line in kept.run("show", "--json").stdout.splitlines())
             if "type" in r["public"]]
    for leaf, entry in enumerate(whole):
        assert shown(kept, leaf) == entry
    assert any(r["private"].get("sql") == PLANTED for r in whole)
    assert kept.run("show", "--leaf", str(len(whole) + 50)).returncode == 1
    # what the store lacks is found in the journal
    kept.gateway.stop()
    shutil.rmtree(kept.state("vault"))
    assert shown(kept, 2) == whole[2]


@pytest.mark.crashes
def test_the_store_is_made_again_when_it_is_missing_damaged_or_behind(kept):
    kept.wait_for_rows()
    for damage in ("missing", "garbage", "killed", "torn"):
        kept.gateway.kill() if damage == "killed" else kept.gateway.stop()
        path = kept.state("vault/private.db")
        if damage == "missing":
            shutil.rmtree(kept.state("vault"))
        elif damage == "garbage":
            kept.gateway.write("state/vault/private.db", "no database at all" * 1000, 0o600)
        elif damage == "torn":
            with open(path, "r+b") as file:
                file.truncate(4096)
        kept.gateway.start()
        kept.wait_for_rows()
        assert os.stat(path).st_mode & 0o777 == 0o600
    kept.log.assert_holds()


@pytest.mark.crashes
def test_a_notary_that_dies_loses_nothing_of_the_store(kept):
    kept.wait_for_rows()
    for _ in range(3):
        kept.gateway.kill_role("notary")
        kept.gateway.reload()
        wait_until(lambda: len(kept.gateway.pids("notary")) == 1, "no notary")
    kept.wait_for_rows()


# --- erasing --------------------------------------------------------------------------------------


def test_after_erasing_a_day_nothing_of_it_can_be_read_and_everything_holds(kept):
    kept.wait_for_rows()
    sealed = [e["sealed"] for e in kept.leaves(kept.day)]
    before = kept.bytes("state/vault")
    assert len(sealed) >= 4 and all(part in before for part in sealed)
    for where in ("state", "public", "run"):
        assert PLANTED.encode() not in kept.bytes(where)
    assert shown(kept, 3)["private"]["sql"] == PLANTED
    checked = json.loads(kept.run("check", "--json").stdout)
    assert checked["sealed"] == 0

    done = kept.erase()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["key"] == "destroyed" and said["rows"] == len(sealed) and said["day"] == kept.day

    after = kept.bytes("state/vault")
    assert not any(part in after for part in sealed)  # nor a piece that is long enough to be one
    assert not any(part[:40] in after or part[-40:] in after for part in sealed)
    assert not os.path.exists(kept.state("keys/day", f"{kept.day}.key"))
    for where in ("state", "public", "run"):
        found = kept.bytes(where)
        assert kept.key not in found and PLANTED.encode() not in found
    assert kept.rows().keys() == {TODAY}
    assert shown(kept, 3)["private"] is None
    kept.log.assert_holds()
    again = json.loads(kept.run("check", "--json").stdout)
    assert again["sealed"] == said["entries"] and again["entries"] >= checked["entries"]
    audit = kept.run("audit", kept.log.folder, "--key", kept.log.vkey, "--seed", "1", "--count", "20",
                     "--json")
    assert audit.returncode == 0 and json.loads(audit.stdout)["sealed"] >= 1, audit.stderr

    once_more = json.loads(kept.erase().stdout)
    assert once_more["key"] == "gone before" and once_more["rows"] == 0


def test_an_erased_day_does_not_come_back(kept):
    kept.wait_for_rows()
    sealed = [e["sealed"] for e in kept.leaves(kept.day)]
    assert kept.erase().returncode == 0
    kept.gateway.stop()
    shutil.rmtree(kept.state("vault"))
    kept.gateway.start()
    kept.wait_for_rows(without=kept.day)
    found = kept.bytes("state/vault")
    assert not any(part in found for part in sealed)
    kept.log.assert_holds()


def test_a_day_whose_erasing_was_cut_short_is_finished_by_doing_it_again(kept):
    kept.wait_for_rows()
    os.unlink(kept.state("keys/day", f"{kept.day}.key"))
    said = json.loads(kept.erase().stdout)
    assert said["key"] == "gone before" and said["rows"] > 0
    assert kept.rows().keys() == {TODAY}


def test_what_reads_the_store_at_that_moment_makes_it_say_so(kept):
    kept.wait_for_rows()
    kept.gateway.process.send_signal(signal.SIGSTOP)
    reader = sqlite3.connect(kept.state("vault/private.db"), isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM part").fetchone()[0] > 0
    done = kept.erase()
    assert done.returncode == 3 and "run the same again" in done.stderr, done.stdout + done.stderr
    reader.close()
    assert kept.erase().returncode == 0
    kept.gateway.process.send_signal(signal.SIGCONT)


def test_days_that_are_needed_are_refused_and_nothing_changes(kept):
    kept.wait_for_rows()
    before = kept.rows()

    def refused(word, status=1, day=None):
        done = kept.erase(day)
        assert done.returncode == status and word in done.stderr, done.stdout + done.stderr
        assert kept.rows()[kept.day] == before[kept.day]  # today may get more meanwhile
        assert os.path.exists(kept.state("keys/day", f"{kept.day}.key"))

    refused("is not over", day=TODAY)
    refused("the journal has nothing of", day="2020-02-29")
    for wrong in ("2026-02-30", "yesterday", "2026-1-1", "2026-01-01x"):
        refused("is no day", status=2, day=wrong)
    kept.write_holds(f"# kept for courts\n\n2020-01-01 another\n{kept.day} case 417 of the county\n")
    refused("is kept: case 417 of the county")
    for wrong in (f"{kept.day}\n", f"{kept.day}x case\n", "22.11.2026 case\n", "case 417\n"):
        kept.write_holds(wrong)
        refused("line 1: expected a day and a reason", status=2)
    kept.write_holds("2020-01-01 another\n")
    assert kept.erase().returncode == 0


def test_a_day_that_was_not_summed_up_is_kept(new_gateway):
    kept = Kept(new_gateway)  # and has not written anything since
    done = kept.erase()
    assert done.returncode == 1 and "has written nothing since" in done.stderr, done.stderr


def test_a_day_with_a_held_purpose_is_kept(new_gateway):
    def hold(policy):
        policy["publication"] = {"held": {"support_ticket": "30d"}}

    kept = Kept(new_gateway, policy=hold)
    kept.gateway.start()
    kept.log.wait_for("the disclosure", type="disclosure")
    done = kept.erase()
    assert done.returncode == 1 and "is held, and only that day's key" in done.stderr, done.stderr
