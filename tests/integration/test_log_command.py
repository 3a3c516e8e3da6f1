"""`ringfence log` on journals that the second implementation of the format wrote (no gateway)."""

import fcntl
import importlib.util
import json
import os
import subprocess

import pytest

from gateway import ROOT

spec = importlib.util.spec_from_file_location(
    "journal_reader", os.path.join(ROOT, "tests", "vectors", "journal-reader.py"))
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)

NAME, JOURNAL_ID, KEY = b"us-virginia", bytes(range(16)), bytes(range(32))
MINUTE = 29929525  # 2026-11-27T09:25Z
ENTRIES = 12


class State:
    def __init__(self, folder, build):
        self.folder, self.program = str(folder), os.path.join(build, "src", "cmd", "ringfence")
        for name in ("journal", "keys/day"):
            os.makedirs(os.path.join(self.folder, name))
        self.key = os.path.join(self.folder, "keys/day/2026-11-27.key")
        self.segment = os.path.join(self.folder, "journal/%020d.journal" % 0)
        with open(os.open(self.key, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as key:
            key.write(KEY)
        chain = reader.first_chain(JOURNAL_ID, NAME)
        self.bytes = reader.header(0, JOURNAL_ID, chain, NAME)
        self.places = []
        for i in range(ENTRIES):
            self.places.append(len(self.bytes))
            framed, chain = self.entry(i, chain)
            self.bytes += framed
        self.write(self.bytes)

    def entry(self, i, chain, private=None, public_minute="2026-11-27T09:25Z"):
        salt = bytes([i]) * 32
        private = private or reader.canonical([("time", "2026-11-27T09:25:00.%03dZ" % i),
                                               ("actor", "us_analyst")])
        public = reader.canonical([("v", 1), ("kind", "statement"), ("minute", public_minute),
                                   ("id", "%032x" % i), ("place", "US"),
                                   ("d", reader.commitment(salt, private).hex())])
        return reader.entry(i, MINUTE, 7, i + 1, NAME, public, private, salt, bytes([i]) * 24, KEY,
                            chain)

    def write(self, data):
        with open(self.segment, "wb") as segment:
            segment.write(data)

    def run(self, *arguments):
        return subprocess.run([self.program, "log", *arguments, "--state", self.folder],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)


@pytest.fixture
def state(tmp_path, build):
    return State(tmp_path, build)


def test_show_prints_what_the_other_implementation_wrote(state):
    done = state.run("show", "--json", "--from", "3")
    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["index"] for e in entries] == list(range(3, ENTRIES))
    assert all(e["private"]["actor"] == "us_analyst" for e in entries)
    sealed = state.run("show", "--json", "--sealed").stdout.splitlines()
    assert len(sealed) == ENTRIES and all(json.loads(e)["private"] is None for e in sealed)
    assert len(state.run("tail").stdout.splitlines()) == 10


def test_check_counts_and_an_erased_day_stays_sealed(state):
    facts = json.loads(state.run("check", "--json").stdout)
    assert (facts["entries"], facts["opened"], facts["sealed"]) == (ENTRIES, ENTRIES, 0)
    os.unlink(state.key)
    done = state.run("check", "--json")
    assert done.returncode == 0, done.stderr
    erased = json.loads(done.stdout)
    assert (erased["opened"], erased["sealed"]) == (0, ENTRIES)
    assert erased["root"] == facts["root"]


@pytest.mark.parametrize("n", range(ENTRIES - 1))
def test_damage_is_found_with_its_place(state, n):
    place = state.places[n] + 100 * n // ENTRIES
    state.write(state.bytes[:place] + bytes([state.bytes[place] ^ 1]) + state.bytes[place + 1:])
    for verb in ("check", "show"):
        done = state.run(verb)
        assert done.returncode == 4
        assert f"at offset {state.places[n]}, entry {n}:" in done.stderr


def test_a_dropped_entry_is_found(state):
    state.write(state.bytes[:state.places[4]] + state.bytes[state.places[5]:])
    done = state.run("check")
    assert done.returncode == 4 and "entry 4: index" in done.stderr


def forged(state, **changes):
    """A journal whose frames are all in order, and whose last entry is not."""
    chain = state.bytes[state.places[-1] - 32:state.places[-1]]
    framed, _ = state.entry(ENTRIES - 1, chain, **changes)
    state.write(state.bytes[:state.places[-1]] + framed)
    return state.run("check")


def test_a_public_part_of_another_minute_is_found(state):
    done = forged(state, public_minute="2026-11-27T09:26Z")
    assert done.returncode == 4 and "minutes" in done.stderr


def test_a_private_part_that_is_not_canonical_is_found(state):
    done = forged(state, private=b'{"actor": "us_analyst"}')
    assert done.returncode == 4 and "private part is not canonical" in done.stderr


def test_a_key_in_anothers_place_opens_nothing_and_is_no_damage(state):
    with open(state.key, "wb") as key:
        key.write(b"\0" * 32)
    done = state.run("check", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["sealed"] == ENTRIES


def test_a_torn_end_is_told_and_a_living_writer_does_not_leave_one(state):
    state.write(state.bytes[:-5])
    done = state.run("check", "--json")
    assert done.returncode == 1
    assert f"from offset {state.places[-1]} on" in done.stderr + done.stdout
    assert state.run("show").returncode == 0
    with open(os.path.join(state.folder, "journal", "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = state.run("check")
    assert done.returncode == 4 and f"entry {ENTRIES - 1}:" in done.stderr


def test_what_is_not_there_or_not_known_is_refused(state):
    assert state.run("shw").returncode == 2
    assert state.run("show", "--from", "x").returncode == 2
    state.folder += "/nowhere"
    assert state.run("check").returncode == 3
