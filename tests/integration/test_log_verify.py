"""`ringfence log` on public logs: verify, show, tail, prove, export, claims, audit."""

import base64
import filecmp
import gzip
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import time

import pytest

from conftest import ROOT
from madelog import GRANT, LINES, MINUTE, ORIGIN, SHOWN, Key, World, served

LONG = LINES[:3] + [SHOWN + " classes=identity tags=1"] * 700 + ["seal of=interval"]


@pytest.fixture
def world(tmp_path, build):
    return World(build, tmp_path)


@pytest.fixture
def log(world):
    return world.make("log", witnesses=[0])


def findings(facts):
    return [f for log in facts["logs"] for f in log["findings"]] + facts["roster"]["findings"]


# --- verify ---------------------------------------------------------------------------------------


def test_an_honest_log_holds(world, log):
    one = world.facts(log)["logs"][0]
    assert (one["origin"], one["region"], one["size"]) == (ORIGIN, "us-virginia", len(LINES))
    assert one["verdict"] == "holds" and one["witnesses"]["verdict"] == "unwitnessed"
    assert one["types"] == {"genesis": 1, "start": 1, "grant": 1, "revoke": 1, "disclosure": 2,
                            "session": 1, "transfer": 1, "seal": 3}


def test_a_log_of_all_sizes_holds(world):
    for size in (1, 2, 255, 256, 257, 511, 512, 513, 700):
        lines = LONG[:size]
        assert world.facts(world.make(f"log-{size}", lines))["logs"][0]["size"] == size


def test_an_empty_log_holds(world):
    assert world.facts(world.make("empty", []))["logs"][0]["size"] == 0


def test_holds_are_opened(world):
    purpose, salt = b"abuse_report", hashlib.sha256(b"salt").digest()
    held = hashlib.sha256(b"ringfence-held@1\n" + salt + purpose).hexdigest()
    lines = LINES[:3] + [SHOWN.replace("purpose=abuse_report", f"held={held}") + " classes=identity tags=1",
                         "opened ref=3 purpose=abuse_report salt=salt"]
    world.facts(world.make("opened", lines))
    lines[4] = "opened ref=3 purpose=debugging salt=salt"
    assert findings(world.facts(world.make("wrong", lines), status=4))[0]["leaf"] == 4
    lines[4:] = ["opened ref=3 purpose=abuse_report salt=salt"] * 2
    assert findings(world.facts(world.make("twice", lines), status=4))[0]["leaf"] == 5


def held(purpose, salt="salt"):
    salt = hashlib.sha256(salt.encode()).digest()
    return hashlib.sha256(b"ringfence-held@1\n" + salt + purpose.encode()).hexdigest()


def says(line, purpose, is_held):
    return line.replace("purpose=abuse_report", f"held={held(purpose)}" if is_held else f"purpose={purpose}")


@pytest.mark.parametrize("shown_first", ["grant", "disclosure"])
@pytest.mark.parametrize("revoked", [False, True])
@pytest.mark.parametrize("held_grant, held_disclosure", [(True, True), (True, False), (False, True)])
def test_what_is_held_is_of_one_purpose(world, held_grant, held_disclosure, revoked, shown_first):
    for purpose, status in (("debugging", 0), ("legal_demand", 4)):
        opened = [line for line, is_held in (("opened ref=2 purpose=debugging salt=salt", held_grant),
                                             (f"opened ref=3 purpose={purpose} salt=salt", held_disclosure))
                  if is_held]
        lines = [*LINES[:2], says(GRANT, "debugging", held_grant),
                 says(SHOWN, purpose, held_disclosure) + " classes=identity tags=1",
                 *(["revoke grant=7 grant_ref=2 rule=revoked"] if revoked else []),
                 *(opened if shown_first == "grant" else opened[::-1])]
        found = findings(world.facts(world.make(f"log-{purpose}", lines), status=status))
        assert [f["leaf"] for f in found] == ([] if status == 0 else [len(lines) - 1])


def test_two_disclosures_of_a_held_grant_are_of_one_purpose(world):
    lines = [*LINES[:2], says(GRANT, "x", True), says(SHOWN, "debugging", False) + " classes=identity tags=1",
             says(SHOWN, "legal_demand", False) + " classes=identity tags=1"]
    assert findings(world.facts(world.make("two", lines), status=4))[0]["leaf"] == 4


def test_one_seal_stands_behind_a_pause(world):
    paused = [*LINES[:4], "seal of=interval minute=+50", "start"]
    world.facts(world.make("paused", paused))
    facts = world.facts(world.make("silent", paused[:4] + ["start minute=+50"]), status=4)
    assert findings(facts)[0]["leaf"] == 4 and "was due 47 minutes" in findings(facts)[0]["text"]


def test_a_grant_that_ended_is_not_granted_again(world):
    again = [*LINES[:4], "revoke grant=7 grant_ref=2 rule=revoked", GRANT.replace("minute=+1 ", "")]
    facts = world.facts(world.make("again", again), status=1)
    assert findings(facts)[0]["leaf"] == 5 and "granted again" in findings(facts)[0]["text"]
    # grants of another database of the region may have the same numbers
    again[5] = again[5].replace("until=29922600", "until=29922700")
    world.facts(world.make("another", again))


def test_words_meet_the_rules_of_their_time(world):
    other = SHOWN.replace("clipstream-us", "clipstream-uk") + " classes=identity tags=1"
    assert findings(world.facts(world.make("other", LINES[:3] + [other]), status=4))[0]["leaf"] == 3
    world.facts(world.make("moved", LINES[:3] + ["policy", other]))
    dropped = SHOWN.replace("abuse_report", "unlisted") + " classes=identity tags=1"
    assert findings(world.facts(world.make("dropped", LINES[:3] + [dropped]), status=4))[0]["leaf"] == 3
    world.facts(world.make("listed", LINES[:3] + ["policy", dropped]))


def test_a_log_cannot_starve_its_reader_with_words(world):
    lines = [*LINES[:2], *(GRANT.replace("minute=+1 ", "").replace("grant=7", f"grant={n}")
                           .replace("abuse_report", f"p{n}").replace("clipstream-us", f"e{n}")
                           for n in range(1, 70001))]
    path = world.make("many", lines)
    start = time.monotonic()
    world.facts(path)
    assert time.monotonic() - start < 60
    lines[2:] = [line.replace("identity,contact", f"c{n}") for n, line in enumerate(lines[2:300])]
    facts = world.facts(world.make("classes", lines), status=4)
    assert findings(facts)[0]["leaf"] == 2 and "classes" in findings(facts)[0]["text"]


def test_months_are_epochs(world):
    world.facts(world.make("months", [LINES[0].replace("60m", "month"), *LINES[1:4],
                                      "seal of=epoch minute=+20000",
                                      "seal of=interval", "policy"]))


def test_epochs_in_which_nothing_happened_are_sealed_too(world):
    lines = [*LINES[:4], "seal of=epoch minute=+240",
             *(f"seal of=epoch epoch=60m-{MINUTE // 60 + n}" for n in (1, 2, 3))]
    world.facts(world.make("quiet", lines + ["seal of=interval", "policy"]))
    assert findings(world.facts(world.make("gap", lines[:5] + lines[6:]), status=4))[0]["leaf"] == 5
    assert findings(world.facts(world.make("early", lines[:6] + ["policy"]), status=4))[0]["leaf"] == 6


@pytest.mark.parametrize("witnesses, options, verdict, status", [
    ([0], [], "witnessed", 0),
    ([0, 1], [], "witnessed", 0),
    ([1], [], "not independent", 0),  # its name is below the log's domain
    ([0], ["--own-witness", "w1"], "not independent", 0),
    ([0], ["--own-witness", "witness.example.net/w"], "not independent", 0),
    ([], [], "unwitnessed", 1),
    ([(0, 1700000000)], [], "stale", 1),
    ([(0, -600)], ["--max-age", "5min"], "stale", 1),
    ([(0, -600)], ["--max-age", "20min"], "witnessed", 0),
    ([(0, +10000)], [], "stale", 1),  # a time to come says nothing
])
def test_what_witnesses_are_worth(world, witnesses, options, verdict, status):
    """Small times are seconds from now: parameters are made long before a test runs."""
    now = int(time.time())
    path = world.make("log", witnesses=[
        (w[0], w[1] if w[1] > 1000000 else now + w[1]) if isinstance(w, tuple) else w for w in witnesses])
    facts = world.facts(path, "--witnesses", world.policy, *options, status=status)
    assert facts["logs"][0]["witnesses"]["verdict"] == verdict


def test_a_disclosure_that_names_no_grant_is_wanting(world):
    path = world.make("log", LINES[:3] + [SHOWN.replace(" grant_ref=2", "") + " classes=identity tags=1"])
    facts = world.facts(path, status=1)
    assert findings(facts)[0]["grade"] == "wanting" and findings(facts)[0]["leaf"] == 3


def test_a_log_that_was_seen_cannot_be_turned_back(world, log):
    assert world.run("verify", log).returncode == 0
    longer = world.make("longer", LINES + ["policy minute=+1"])
    assert world.run("verify", longer).returncode == 0
    back = world.run("verify", log)
    assert back.returncode == 4 and "seen before" in back.stderr and "/checkpoint:" in back.stderr
    fork = world.run("verify", world.make("fork", LINES + ["start minute=+1"]))
    assert fork.returncode == 4 and "contradicts" in fork.stderr
    longer_fork = world.run("verify", world.make("fork2", LINES + ["start", "start", "start"]))
    assert longer_fork.returncode == 4 and "contradicts" in longer_fork.stderr
    os.unlink(os.path.join(longer, "checkpoint"))
    assert world.run("verify", longer).returncode == 4
    assert world.run("verify", log, "--forget").returncode == 0
    assert world.run("verify", log).returncode == 0


def test_what_was_tampered_with_is_not_remembered(world, log):
    assert world.run("verify", log).returncode == 0
    bad = world.make("bad", LINES + ["policy minute=+1", "seal of=interval leaves=9"])
    assert world.run("verify", bad).returncode == 4
    assert world.run("verify", log).returncode == 0


def test_usage_and_what_cannot_be_read(world, log, tmp_path):
    assert world.run("verify", log, key=False).returncode == 2
    assert world.run("verify").returncode == 2
    assert world.run("verify", log, "--from", "3").returncode == 2
    assert world.run("verify", "ftp://example.com/log").returncode == 2
    assert world.run("verify", tmp_path / "nothing").returncode == 3
    (tmp_path / "empty").mkdir()
    assert world.run("verify", tmp_path / "empty").returncode == 3
    assert world.run("verify", "http://127.0.0.1:1").returncode == 3
    other = Key(world.build, tmp_path, "log.example.com/other", "other")
    wrong = world.run("verify", log, key=other)
    assert wrong.returncode == 4 and "not signed" in wrong.stderr


# --- a region's logs ------------------------------------------------------------------------------


@pytest.fixture
def region(world, tmp_path):
    """The first log, whose roster has a second one, and the second."""
    second = Key(world.build, tmp_path, "log.example.com/us-2", "second")
    member = f"member origin={second.name} key={second.vkey}"
    first = world.make("first", [LINES[0], member, "start", "seal of=interval"])
    return first, world.make("second", ["genesis epoch=60m", "start"], key=second), second


def test_the_first_logs_key_is_enough_for_a_region(world, region):
    first, second, _ = region
    facts = world.facts(first, second)
    assert [log["verdict"] for log in facts["logs"]] == ["holds", "holds"]
    assert facts["logs"][0]["members"] == ["log.example.com/us-2"]
    assert world.facts(first)["logs"][0]["members"] == ["log.example.com/us-2"]


def test_a_log_outside_the_roster_is_told(world, region, tmp_path):
    _, second, key = region
    hidden = world.make("hides-it", [LINES[0], "start", "seal of=interval"])
    for options in ([], ["--key", key.vkey_file]):
        facts = world.facts(hidden, second, *options, status=4)
        assert "roster" in facts["roster"]["findings"][0]["text"]


def test_a_member_that_is_not_given_is_told(world, region, tmp_path):
    first, second, _ = region
    third = Key(world.build, tmp_path, "log.example.com/us-3", "third")
    lines = [LINES[0], f"member origin={region[2].name} key={region[2].vkey}",
             f"member origin={third.name} key={third.vkey}"]
    facts = world.facts(world.make("three", lines), second, status=1)
    assert "us-3" in facts["roster"]["findings"][0]["text"]


CLAIM = """
claims:
  - {name: measured, sentence: s, leaf: disclosure, at_most: 9, grade: measured}
  - {name: declared, sentence: s, leaf: disclosure, at_most: 9, grade: declared}
"""


def test_claims_are_about_all_logs_of_the_roster(world, region):
    first, second, _ = region
    claims = world.write("claims.yaml", CLAIM)
    facts = world.facts(first, second, "--claims", claims)
    assert [c["verdict"] for c in facts["claims"]] == ["TRUE", "TRUE"]
    facts = world.facts(first, "--claims", claims, status=1)
    assert [c["verdict"] for c in facts["claims"]] == ["FALSE", "FALSE"]
    assert "missing" in facts["claims"][0]["why"]


def test_a_log_that_was_not_given_is_told_in_the_verdict(world, region):
    first, second, _ = region
    done = world.run("verify", first)
    assert done.returncode == 0 and "member     log.example.com/us-2 (not given)" in done.stdout
    assert world.facts(first)["logs"][0]["not_given"] == ["log.example.com/us-2"]
    assert "not given" not in world.run("verify", first, second).stdout
    assert world.facts(first, second)["logs"][0]["not_given"] == []


def test_logs_of_two_regions_are_no_region(world, region):
    first, _, key = region
    other = world.make("eu", ["genesis region=eu-dublin epoch=60m"], key=key)
    assert world.facts(first, other, status=4)["roster"]["findings"]
    other = world.make("vrf", ["genesis vrf=another epoch=60m"], key=key)
    assert world.facts(first, other, status=4)["roster"]["findings"]


@pytest.mark.parametrize("grant, index, status", [(7, 3, 0), (7, 2, 4), (8, 3, 4), (7, 99, 4)])
def test_references_between_logs_are_followed(world, region, grant, index, status):
    _, _, key = region
    member = f"member origin={key.name} key={key.vkey}"
    first = world.make("with-grant", [LINES[0], member, "start", GRANT.replace("policy_ref=1", "policy_ref=2")])
    shown = SHOWN.replace("grant=7 ", f"grant={grant} ").replace("grant_ref=2", f"grant_ref={index}%20{ORIGIN}")
    second = world.make("refers", ["genesis epoch=60m", "start minute=+1", shown + " classes=identity tags=1"],
                        key=key)
    facts = world.facts(first, second, status=status)
    assert facts["logs"][1]["references_elsewhere"] == 1
    assert [f["leaf"] for f in facts["roster"]["findings"]] == ([] if status == 0 else [2])


def test_a_log_goes_on_in_its_successor(world, tmp_path):
    after = Key(world.build, tmp_path, "log.example.com/after", "after")
    old = world.make("old", [*LINES, f"successor origin={after.name} key={after.vkey}",
                             "seal of=interval"])
    new = world.make("new", [f"genesis epoch=60m predecessor={len(LINES)}%20{ORIGIN}"], key=after)
    assert [log["verdict"] for log in world.facts(old, new)["logs"]] == ["holds", "holds"]
    behind = world.make("behind", [*LINES, f"successor origin={after.name} key={after.vkey}", "policy"])
    assert findings(world.facts(behind, status=4))[0]["leaf"] == len(LINES) + 1
    stranger = world.make("stranger", [f"genesis epoch=60m predecessor=3%20{ORIGIN}"], key=after)
    assert world.facts(old, stranger, status=4)["roster"]["findings"]


# --- where files come from ------------------------------------------------------------------------


def test_a_log_behind_an_address(world):
    path = world.make("log", LONG)
    with served(path) as (url, asked):
        assert world.facts(url)["logs"][0]["size"] == len(LONG)
        assert world.facts(url + "/")["logs"][0]["size"] == len(LONG)
        assert "/checkpoint" in asked and all(".." not in path for path in asked)


def test_a_partial_tile_that_is_gone_is_read_from_the_whole_one(world):
    short = world.make("short", LONG[:300])
    whole = world.make("whole", LONG[:300] + ["publish"] + LONG[300:600])
    for name in ("tile/0/001.p", "tile/entries/001.p"):
        shutil.rmtree(os.path.join(whole, name))
    shutil.copy(os.path.join(short, "checkpoint"), os.path.join(whole, "checkpoint"))
    with served(whole) as (url, _):
        assert world.facts(url)["logs"][0]["size"] == 300


@pytest.mark.parametrize("answer, status", [
    ((404, {}, b"no"), 4),
    ((500, {}, b"sorry"), 3),
    ((403, {}, b"no"), 3),
    ((200, {}, b"x" * 3000000), 4),  # longer than any bundle
    ((302, {"Location": "file:///etc/passwd"}, b""), 3),
    ((302, {"Location": "ftp://127.0.0.1/x"}, b""), 3),
    ((200, {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * 50000000)), 4),
])
def test_what_servers_may_answer(world, log, answer, status):
    bundle = f"/tile/entries/000.p/{len(LINES)}"
    with served(log, {bundle: answer}) as (url, _):
        done = world.verify(url)
        assert done.returncode == status, done.stderr
        assert "tile/entries/000" in done.stdout + done.stderr
        assert "root:" not in done.stdout


def test_a_server_may_compress_and_send_elsewhere(world, log):
    bundle = f"/tile/entries/000.p/{len(LINES)}"
    with open(log + bundle, "rb") as file:
        packed = gzip.compress(file.read())
    special = {bundle: (200, {"Content-Encoding": "gzip"}, packed),
               "/checkpoint": (302, {"Location": "/elsewhere"}, b"")}
    shutil.copy(os.path.join(log, "checkpoint"), os.path.join(log, "elsewhere"))
    with served(log, special) as (url, _):
        world.facts(url)


# --- show, tail, prove, export --------------------------------------------------------------------


def test_show_prints_leaves(world, log):
    done = world.run("show", log, "--json", key=False)
    leaves = [json.loads(line) for line in done.stdout.splitlines()]
    assert [leaf["index"] for leaf in leaves] == list(range(len(LINES)))
    assert leaves[0]["leaf"]["type"] == "genesis"
    done = world.run("show", log, "--from", "4", "--type", "seal", key=False)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["6", "9", "10"]
    assert world.run("show", log, "--type", "nothing", key=False).returncode == 2
    assert len(world.run("tail", log, key=False).stdout.splitlines()) == 10


def test_tail_follows(world, log, tmp_path):
    program = os.path.join(world.build, "src", "cmd", "ringfence")
    with subprocess.Popen([program, "log", "tail", log, "-f"], stdout=subprocess.PIPE,
                          text=True) as tail:
        try:
            assert [tail.stdout.readline() for _ in range(10)][-1].startswith(f"{len(LINES) - 1}\t")
            longer = world.make("longer", LINES + ["policy minute=+1"])
            shutil.copytree(longer, log, dirs_exist_ok=True)
            assert tail.stdout.readline().startswith(f"{len(LINES)}\t")
        finally:
            tail.terminate()


def test_a_proof_of_one_leaf(world):
    path = world.make("log", LONG, witnesses=[0])
    proof, entry = os.path.join(world.folder, "proof"), os.path.join(world.folder, "entry")
    for index in (0, 255, 256, len(LONG) - 1):
        done = world.run("prove", path, index, "--out", proof, "--entry", entry)
        assert done.returncode == 0, done.stderr
        with open(proof, encoding="utf-8") as text:
            assert text.readline() == "c2sp.org/tlog-proof@v1\n"
        done = world.run("prove", "--check", proof, "--entry", entry, "--witnesses", world.policy,
                         "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"origin": ORIGIN, "index": index, "size": len(LONG),
                                           "witnesses": "witnessed"}
    with open(entry, "ab") as file:
        file.write(b" ")
    assert world.run("prove", "--check", proof, "--entry", entry).returncode == 4
    assert world.run("prove", path, len(LONG), "--out", proof).returncode == 1
    assert world.run("prove", path, "--out", proof).returncode == 2
    assert world.run("prove", path, "x", "--out", proof).returncode == 2


def test_a_copy_is_the_log_and_can_be_resumed(world, tmp_path):
    path, copy = world.make("log", LONG), str(tmp_path / "copy")
    bundle = "/tile/entries/001"
    with served(path, {bundle: (500, {}, b"")}) as (url, asked):
        assert world.run("export", url, "--out", copy).returncode == 3
        assert not os.path.exists(os.path.join(copy, "checkpoint"))
        assert os.path.exists(os.path.join(copy, "tile/entries/000"))
    with served(path) as (url, asked):
        assert world.run("export", url, "--out", copy).returncode == 0
        assert bundle in asked and "/tile/entries/000" not in asked
    same = filecmp.dircmp(path, copy)
    assert not (same.left_only or same.right_only or same.diff_files)
    world.facts(copy)
    with open(os.path.join(path, "tile/0/001"), "r+b") as file:
        file.write(b"x")
    other = str(tmp_path / "other")
    assert world.run("export", path, "--out", other).returncode == 4
    assert not os.path.exists(os.path.join(other, "checkpoint"))


# --- claims ---------------------------------------------------------------------------------------


CLAIMS = """
home: [US]
claims:
  - {name: a, sentence: s, leaf: disclosure, at_home: no, at_most: 0}
  - {name: b, sentence: s, leaf: disclosure, at_most: 1}
  - {name: c, sentence: s, leaf: transfer, where: {place: CN}, sum: rows, at_most: 63}
  - {name: d, sentence: s, leaf: transfer, where: {place: [DE, CN]}, sum: rows, at_most: 64}
  - {name: e, sentence: s, leaf: transfer, sum: rows, at_most: 127}
  - {name: f, sentence: s, leaf: [disclosure, grant], where: {classes: contact}, at_least: 2}
  - {name: g, sentence: s, leaf: disclosure, unless: {purpose: [abuse_report]}, at_most: 0}
  - {name: h, sentence: s, leaf: disclosure, without: [grant_ref], at_most: 0}
  - {name: i, sentence: s, leaf: disclosure, epoch: 60m-498706, at_most: 2}
  - {name: j, sentence: s, leaf: disclosure, epoch: 60m-498707, at_most: 2}
  - {name: k, sentence: s, leaf: disclosure, from: "2026-11-22T10:00Z", until: "2026-11-22T10:04Z", at_most: 1, at_least: 1}
  - {name: l, sentence: s, leaf: transfer, from: "2026-11-22T10:00Z", until: "2026-11-22T10:03Z", sum: rows, at_most: 0}
  - {name: m, sentence: s, leaf: disclosure, from: "2026-11-22T10:00Z", until: "2027-11-22T10:03Z", at_most: 9}
"""
VERDICTS = {"a": "TRUE", "b": "FALSE", "c": "FALSE", "d": "UNKNOWN", "e": "TRUE", "f": "TRUE",
            "g": "TRUE", "h": "TRUE", "i": "TRUE", "j": "UNKNOWN", "k": "TRUE", "l": "UNKNOWN",
            "m": "UNKNOWN"}


def test_claims_are_decided(world, log):
    facts = world.facts(log, "--claims", world.write("claims.yaml", CLAIMS), status=1)
    assert {c["name"]: c["verdict"] for c in facts["claims"]} == VERDICTS
    decided = {c["name"]: [leaf["index"] for leaf in c["leaves"]] for c in facts["claims"]}
    assert decided["b"] == [3, 7] and decided["c"] == [5] and decided["a"] == []
    done = world.run("claims", log, "--claims", world.write("claims.yaml", CLAIMS))
    assert done.returncode == 1 and "FALSE    b: s" in done.stdout


def test_what_is_declared_is_no_plain_true(world, log):
    done = world.run("claims", log, "--claims", world.write("declared.yaml", CLAIM))
    assert "TRUE     measured: s" in done.stdout and "TRUE (declared)  declared: s" in done.stdout
    facts = world.facts(log, "--claims", world.write("declared.yaml", CLAIM))
    assert [(c["verdict"], c["grade"]) for c in facts["claims"]] == [("TRUE", "measured"), ("TRUE", "declared")]


NO_ROWS = """
home: [US]
claims:
  - {name: until, sentence: s, leaf: transfer, sum: rows, at_home: no, at_most: 0,
     from: "2026-11-22T10:00Z", until: "2026-11-22T10:30Z"}
  - {name: epoch, sentence: s, leaf: transfer, sum: rows, at_home: no, at_most: 0, epoch: 30m-997412}
"""
ABROAD = "transfer from=29922360 until=29922420 room=masked entity=clipstream-cn place=CN rows=64"


@pytest.mark.parametrize("more, verdicts, status", [
    (["start minute=+31"], ["UNKNOWN", "UNKNOWN"], 0),  # roll-ups come at 11:00
    (["seal of=epoch minute=+30"], ["UNKNOWN", "UNKNOWN"], 0),
    (["seal of=epoch minute=+30", "seal of=epoch minute=+30 epoch=30m-997413"], ["UNKNOWN", "UNKNOWN"], 0),
    (["seal of=epoch minute=+30", "seal of=epoch minute=+30 epoch=30m-997413",
      ABROAD.replace("CN", "US")], ["UNKNOWN", "UNKNOWN"], 0),
    (["seal of=epoch minute=+30", "seal of=epoch minute=+30 epoch=30m-997413",
      "seal of=interval"], ["TRUE", "TRUE"], 0),
    (["seal of=epoch minute=+30", "seal of=epoch minute=+30 epoch=30m-997413",
      ABROAD, "seal of=interval"], ["UNKNOWN", "UNKNOWN"], 0),  # when in that hour?
])
def test_claims_wait_for_roll_ups(world, more, verdicts, status):
    lines = ["genesis epoch=30m rollup=60 seal=60", *more]
    if more[0].startswith("start"):
        lines = ["genesis epoch=30m rollup=60 seal=60", "seal of=epoch minute=+31", "start"]
    facts = world.facts(world.make("log", lines), "--claims", world.write("claims.yaml", NO_ROWS), status=status)
    assert [c["verdict"] for c in facts["claims"]] == verdicts


def test_claims_about_a_log_that_ended_or_began_later_are_decided(world, tmp_path):
    after = Key(world.build, tmp_path, "log.example.com/after", "after")
    old = world.make("old", ["genesis epoch=30m rollup=60 seal=60",
                             f"successor origin={after.name} key={after.vkey}", "seal of=epoch", "seal of=interval"])
    new = world.make("new", [f"genesis epoch=30m rollup=60 seal=60 minute=+90 predecessor=1%20{ORIGIN}"], key=after)
    facts = world.facts(old, new, "--claims", world.write("claims.yaml", NO_ROWS))
    assert [c["verdict"] for c in facts["claims"]] == ["TRUE", "TRUE"]


def test_claims_about_held_purposes_wait_for_the_end_of_the_hold(world):
    salt = hashlib.sha256(b"salt").digest()
    held = hashlib.sha256(b"ringfence-held@1\n" + salt + b"legal_demand").hexdigest()
    lines = [LINES[0], LINES[1], GRANT.replace("purpose=abuse_report", "held=x"),
             SHOWN.replace("purpose=abuse_report", f"held={held}") + " classes=identity tags=1"]
    claims = world.write("claims.yaml", """
claims:
  - {name: none, sentence: s, leaf: disclosure, where: {purpose: legal_demand}, at_most: 0}
  - {name: other, sentence: s, leaf: disclosure, where: {purpose: debugging}, at_most: 0}
""")

    def verdicts(name, status):
        facts = world.facts(world.make(name, lines), "--claims", claims, status=status)
        return [c["verdict"] for c in facts["claims"]]
    assert verdicts("held", 0) == ["UNKNOWN", "UNKNOWN"]
    lines.append("opened ref=3 purpose=legal_demand salt=salt")
    assert verdicts("opened", 1) == ["FALSE", "TRUE"]


def test_claims_over_a_log_that_does_not_hold_are_false(world):
    path = world.make("log", LINES + ["seal of=interval leaves=7"])
    facts = world.facts(path, "--claims", world.write("claims.yaml", CLAIMS), status=4)
    assert {c["verdict"] for c in facts["claims"]} == {"FALSE"}


def test_mistakes_in_claims_are_told_with_their_lines(world, log):
    bad = world.write("bad.yaml", """claims:
  - {name: a, sentence: s, leaf: nothing, at_most: 0}
  - {name: b, sentence: s, leaf: disclosure}
  - {name: b, sentence: s, leaf: disclosure, at_most: x}
  - {name: c, sentence: s, leaf: disclosure, sum: place, at_most: 0}
  - {name: d, sentence: s, leaf: disclosure, where: {nokey: 1}, at_most: 0}
  - {name: e, sentence: s, leaf: disclosure, at_home: yes, at_most: 0}
  - {name: f, sentence: s, leaf: disclosure, strange: yes, at_most: 0}
""")
    done = world.run("claims", log, "--claims", bad)
    assert done.returncode == 2
    for line in range(2, 9):
        assert f"bad.yaml:{line}:" in done.stderr, done.stderr


def test_the_seed_file_of_claims_is_decided(world, log):
    facts = world.facts(log, "--claims", os.path.join(ROOT, "demo", "claims.yaml"), status=1)
    assert len(facts["claims"]) >= 4
    assert {c["name"] for c in facts["claims"] if c["verdict"] == "FALSE"} == {
        "no-rows-to-cn", "grants-by-signature", "disclosures-approved-by-two"}


# --- requests, approvals, grants ------------------------------------------------------------------

ASKED = "entity=clipstream-us place=US purpose=abuse_report classes=identity,contact subjects=2 policy_ref=1"
REQUEST = "request minute=+1 grant=9 rule=support " + ASKED
BROKEN = "breakglass minute=+1 grant=9 rule=break-glass " + ASKED
YES = "approval grant=9 request_ref=2 verdict=approve entity=clipstream-us place=US"
NO = YES.replace("approve", "deny")
SIGNED = "grant grant=9 until=29922600 request_ref=2 approval_refs=3,4 " + ASKED
SEEN = ("disclosure room=granted grant=9 entity=clipstream-us place=US purpose=abuse_report classes=identity "
        "tags=1 grant_ref=")
REVIEW = "review grant=9 request_ref=2 verdict=improper"
BEGIN = ["genesis epoch=60m rollup=60 seal=60", "start"]
STORY = BEGIN + [REQUEST, YES, YES, SIGNED, SEEN + "5"]


def test_a_story_of_signatures_holds_and_is_told(world):
    path = world.make("signed", BEGIN + [REQUEST, YES, YES, SIGNED, SEEN + "5", "find " + ASKED.split(" classes")[0]])
    one = world.facts(path)["logs"][0]
    assert one["verdict"] == "holds" and one["grants_by"] == {"signatures": 1}
    assert "grants     1 by signatures" in world.run("verify", path).stdout
    path = world.make("broken", BEGIN + [BROKEN, SIGNED.replace("approval_refs=3,4 ", ""), SEEN + "3"])
    one = world.facts(path)["logs"][0]
    assert one["grants_by"] == {"breakglass": 1} and one["reviews_missing"] == 1
    done = world.run("verify", path)
    assert "1 by breaking the glass" in done.stdout and "reviews    1 missing" in done.stdout
    path = world.make("reviewed", BEGIN + [BROKEN, SIGNED.replace("approval_refs=3,4 ", ""), REVIEW, REVIEW])
    assert world.facts(path)["logs"][0]["reviews_missing"] == 0
    path = world.make("administrator", BEGIN + [GRANT])
    assert world.facts(path)["logs"][0]["grants_by"] == {"administrator": 1}
    assert "grants     1 by an administrator" in world.run("verify", path).stdout


def story(**changes):
    """The story with some of its lines replaced, by their place: None leaves one out."""
    return [changes.get(f"at{i}", line) for i, line in enumerate(STORY) if changes.get(f"at{i}", line) is not None]


GRANTED_ONCE_MORE = story() + ["revoke grant=9 grant_ref=5 rule=revoked", SIGNED.replace("29922600", "29922700")]


@pytest.mark.parametrize("lines, status, leaf, text", [
    # nothing that makes it true
    (BEGIN + [GRANT + " by="], 1, 2, "without a request"),
    (BEGIN + [REQUEST, SIGNED.replace("approval_refs=3,4 ", "")], 1, 3, "nobody approved"),
    (BEGIN + [GRANT + " by=me"], 4, 2, "administrator"),
    (story(at5=SIGNED + " by=administrator"), 4, 5, "more than one"),
    (story(at5=SIGNED.replace("request_ref=2 ", "") + " by="), 4, 5, "approvals without a request"),
    # approvals that are none, or of something else
    (story(at5=SIGNED.replace("3,4", "3,3")), 4, 5, "twice"),
    (story(at5=SIGNED.replace("3,4", "3,1")), 4, 5, "approves nothing"),
    (story(at5=SIGNED.replace("3,4", "3,2")), 4, 5, "approves nothing"),
    (story(at5=SIGNED.replace("3,4", "3,9")), 4, 5, "does not stand before"),
    (story(at4=NO), 4, 5, "approves nothing"),
    (story(at4=NO, at5=SIGNED.replace("3,4", "3")), 1, 5, "denied"),
    (story(at4=YES.replace("grant=9", "grant=8")), 4, 4, "is request 9 and not 8"),
    (story(at4=YES.replace("request_ref=2", "request_ref=1")), 4, 4, "is no request"),
    (story(at4=YES.replace("approve", "perhaps")), 4, 4, "something else"),
    (story() + [YES], 1, 7, "behind its grant"),
    (BEGIN + [REQUEST, REQUEST, YES.replace("=2", "=3"), SIGNED.replace("3,4", "4")], 4, 5, "another request"),
    (GRANTED_ONCE_MORE, 1, 8, "once more"),
    # another grant than was asked for
    (story(at5=SIGNED.replace("subjects=2", "subjects=4")), 4, 5, "asked for"),
    (story(at5=SIGNED.replace("identity,contact", "identity,contact,content")), 4, 5, "asked for"),
    (story(at5=SIGNED.replace("clipstream-us", "clipstream-cn")), 4, 5, "another entity"),
    (story(at5=SIGNED.replace("abuse_report", "debugging"), at6=None), 4, 5, "another purpose"),
    (story(at5=SIGNED.replace("request_ref=2", "request_ref=3")), 4, 5, "is no request"),
    (story(at2=REQUEST.replace("rule=support ", "")), 4, 2, "names the rule"),
    (story(at2=REQUEST.replace("policy_ref=1", "policy_ref=0")), 4, 2, "neither a start nor a policy"),
    # the glass
    (story(at2=BROKEN), 4, 3, "broke the glass"),
    (BEGIN + [REQUEST, REVIEW], 4, 3, "broke no glass"),
    (BEGIN + [BROKEN, REVIEW.replace("improper", "fine")], 4, 3, "something else"),
    # a tag is one person's once, in a find, too
    (BEGIN + ["find tags=@a " + ASKED.split(" classes")[0]] * 2, 4, 3, "already"),
    (BEGIN + ["find epoch=60m-1 " + ASKED.split(" classes")[0]], 4, 2, "epoch"),
])
def test_what_contradicts_its_request_is_noticed(world, lines, status, leaf, text):
    facts = world.facts(world.make("log", lines), status=status)
    assert any(f["leaf"] == leaf and text in f["text"] for f in findings(facts)), findings(facts)


def test_a_policy_between_request_and_grant_may_name_an_entity_anew(world):
    lines = story(at5=SIGNED.replace("clipstream-us", "clipstream-usa"), at6=None)
    assert world.facts(world.make("without", lines), status=4)
    lines.insert(5, "policy")
    assert world.facts(world.make("with", lines))["logs"][0]["verdict"] == "holds"


@pytest.mark.parametrize("shown_first", ["request", "grant"])
@pytest.mark.parametrize("purpose, status", [("abuse_report", 0), ("debugging", 4)])
def test_what_a_request_holds_is_what_its_grant_shows(world, purpose, status, shown_first):
    lines = story(at2=says(REQUEST, "abuse_report", True).replace("rule=support ", ""),
                  at5=says(SIGNED, purpose, True), at6=None)
    opened = {"request": "opened ref=2 purpose=abuse_report salt=salt",
              "grant": f"opened ref=5 purpose={purpose} salt=salt"}
    second = "grant" if shown_first == "request" else "request"
    lines += [opened[shown_first], opened[second]]
    facts = world.facts(world.make("log", lines), status=status)
    assert len(findings(facts)) == (0 if status == 0 else 1)


@pytest.mark.parametrize("request_line, grant, approval, status", [
    (REQUEST, SIGNED, YES, 0),
    (REQUEST.replace("subjects=2", "subjects=8"), SIGNED, YES, 4),
    (REQUEST.replace("grant=9", "grant=8"), SIGNED, YES.replace("grant=9", "grant=8"), 4),
    (REQUEST, SIGNED, NO, 4),
    (BROKEN, SIGNED, YES, 4),
])
def test_a_grant_of_what_another_log_was_asked_is_compared_with_it(world, region, request_line, grant, approval,
                                                                   status):
    _, _, key = region
    first = world.make("asked", BEGIN + [request_line.replace("policy_ref=1", "policy_ref=1"), approval, approval,
                                         f"member origin={key.name} key={key.vkey}"])
    there = f"%20{ORIGIN}"
    grant = grant.replace("request_ref=2", "request_ref=2" + there)
    grant = grant.replace("approval_refs=3,4", f"approval_refs=3{there},4{there}")
    second = world.make("granted", ["genesis epoch=60m", "start minute=+1", grant], key=key)
    facts = world.facts(first, second, status=status)
    assert facts["logs"][1]["references_elsewhere"] == 3
    assert bool(facts["roster"]["findings"]) == (status == 4)


def test_a_grant_told_in_two_logs_is_one_and_its_review_is_found(world, region):
    _, _, key = region
    first = world.make("has-it", BEGIN + [BROKEN, SIGNED.replace("approval_refs=3,4 ", ""),
                                          f"member origin={key.name} key={key.vkey}"])
    there = f"%20{ORIGIN}"
    told = SIGNED.replace("request_ref=2 approval_refs=3,4", f"grant_ref=3{there}")
    lines = ["genesis epoch=60m", "start minute=+1", told, REVIEW.replace("request_ref=2", "request_ref=2" + there)]
    facts = world.facts(first, world.make("tells", lines, key=key))
    assert facts["logs"][1]["grants_by"] == {"elsewhere": 1} and facts["logs"][0]["reviews_missing"] == 0
    lines[2] = told.replace("subjects=2", "subjects=16")
    facts = world.facts(first, world.make("lies", lines, key=key), status=4)
    assert "number of subjects" in facts["roster"]["findings"][0]["text"]


APPROVED = """
home: [US]
claims:
  - {name: two, sentence: s, leaf: disclosure, fewer_approvals_than: 2, at_most: 0}
  - {name: three, sentence: s, leaf: [grant, disclosure], fewer_approvals_than: 3, at_most: 0}
  - {name: home, sentence: s, leaf: approval, where: {verdict: approve}, at_home: no, at_most: 0}
"""


def test_claims_count_the_approvals_behind_a_disclosure(world):
    claims = world.write("approved.yaml", APPROVED)
    facts = world.facts(world.make("log", STORY), "--claims", claims, status=1)
    assert [c["verdict"] for c in facts["claims"]] == ["TRUE", "FALSE", "TRUE"]
    assert [leaf["index"] for leaf in facts["claims"][1]["leaves"]] == [5, 6]
    lines = story(at4=YES.replace("place=US", "place=CN"))
    facts = world.facts(world.make("abroad", lines), "--claims", claims, status=1)
    assert [c["verdict"] for c in facts["claims"]] == ["TRUE", "FALSE", "FALSE"]


# --- audit ----------------------------------------------------------------------------------------

spec = importlib.util.spec_from_file_location(
    "journal_reader", os.path.join(ROOT, "tests", "vectors", "journal-reader.py"))
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)


spec = importlib.util.spec_from_file_location(
    "log_reader", os.path.join(ROOT, "tests", "vectors", "log-reader.py"))
tags = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tags)


class Audited:
    """A log and the journal that it was made of, by the second implementation of the journal."""

    name, key, journal_id = b"us-virginia", bytes(range(32)), bytes(range(16))
    revealed, private = {}, {}

    def __init__(self, world, tmp_path, lines=None, private=None):
        self.private = private or {}
        self.world, self.state = world, str(tmp_path / "gateway-state")
        for name in ("journal", "keys/day"):
            os.makedirs(os.path.join(self.state, name))
        self.day = os.path.join(self.state, "keys/day/2026-11-22.key")
        with open(os.open(self.day, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(self.key)
        shown = world.run("show", world.make("draft", lines), key=False).stdout.splitlines()
        self.leaves = [line.split("\t", 1)[1] for line in shown]
        self.log = world.make("audited", self.journal(self.leaves))

    def journal(self, leaves, spoil=None):
        """Writes the journal, with a record of no leaf between all of them; the leaves as they came out."""
        chain = reader.first_chain(self.journal_id, self.name)
        data, written, index = reader.header(0, self.journal_id, chain, self.name), [], 0
        for i, leaf in enumerate(leaves):
            salt, fields = bytes([i]) * 32, json.loads(leaf)
            private = [("time", "2026-11-22T10:05:00.%03dZ" % i)]
            if i in self.revealed:
                private.append(("revealed", self.revealed[i]))
            private = reader.canonical(private + self.private.get(i, []))
            if fields["type"] == "seal" and "chain" in fields:
                leaf = leaf.replace(fields["chain"], chain.hex())
            leaf = leaf.replace(fields["d"], reader.commitment(salt, private).hex())
            written.append(leaf)
            day, clock = fields["minute"].rstrip("Z").split("T")
            minute = MINUTE - 600 + int(clock[:2]) * 60 + int(clock[3:])
            assert day == "2026-11-22"
            public = (spoil(i, leaf) if spoil else leaf).encode()
            framed, chain = reader.entry(index, minute, 7, index + 1, self.name, public, private, salt,
                                         bytes([i]) * 24, self.key, chain)
            data, index = data + framed, index + 1
        with open(os.path.join(self.state, "journal/%020d.journal" % 0), "wb") as segment:
            segment.write(data)
        return written

    def disclose(self, tmp_path, spoil_tag=False, spoil_classes=False, revealed="alice identity bob identity,contact"):
        """The same log with the tags of two subjects, by the second implementation; the VRF key's file."""
        secret, time_of = bytes(range(7, 38)) + b"\x01", lambda i: "2026-11-22T10:05:00.%03dZ" % i
        file = str(tmp_path / "vrf.key")
        with open(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as to:
            to.write(f"ringfence-vrf@1 us-virginia {base64.b64encode(secret).decode()}\n")
        self.leaves[0] = re.sub('"vrf":"[0-9a-f]+"', f'"vrf":"{tags.vrf_public(secret).hex()}"', self.leaves[0])
        seen, items = {}, b""
        for who, classes in (("alice", "identity"), ("bob", "identity,contact")):
            k = tags.vrf_prove(secret, tags.alpha_of("us-virginia", f"60m-{MINUTE // 60}", who.encode()))[1][:32]
            n = seen.setdefault(who, 0)
            access = tags.access_of(who.encode(), "contact" if spoil_classes else classes, time_of(3))
            tag = tags.tag_of(k, ORIGIN, n)
            items += (bytes(16) + tag)[spoil_tag * 5:][:16] if spoil_tag else tag
            items += tags.commitment_of(tags.salt_of(k, ORIGIN, n), access)
        self.leaves[3] = re.sub('"tags":"[^"]+"', f'"tags":"{base64.b64encode(items).decode()}"', self.leaves[3])
        self.revealed = {3: revealed}
        self.log = self.world.make("disclosed", self.journal(self.leaves))
        return file

    def audit(self, *options):
        return self.world.run("audit", self.log, "--state", self.state, "--json", *options)


def picks(size, root, seed, count):
    """As src/verify/sample.h has it."""
    found, i = set(), 0
    while len(found) < count:
        x = int.from_bytes(hashlib.sha256(
            b"ringfence-audit@1\n" + len(ORIGIN).to_bytes(2, "big") + ORIGIN.encode()
            + size.to_bytes(8, "big") + bytes.fromhex(root) + len(seed).to_bytes(2, "big") + seed
            + i.to_bytes(8, "big")).digest()[:8], "big")
        if x < 2**64 - 2**64 % size:
            found.add(x % size)
        i += 1
    return sorted(found)


def test_an_audit_opens_what_chance_picks(world, tmp_path):
    audited = Audited(world, tmp_path)
    world.facts(audited.log)
    for seed in ("beacon 1", "beacon 2"):
        done = audited.audit("--seed", seed, "--count", "4")
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        assert facts["picked"] == picks(len(LINES), facts["root"], seed.encode(), 4)
        assert (facts["opened"], facts["sealed"], facts["seals"]) == (4, 0, 2)
    os.unlink(audited.day)
    facts = json.loads(audited.audit("--seed", "x", "--count", "50").stdout)
    assert (facts["opened"], facts["sealed"]) == (0, len(LINES))


@pytest.mark.parametrize("spoil, text", [
    ({}, None),
    ({"spoil_tag": True}, "tag 0 is not one of the subject"),
    ({"spoil_classes": True}, "commitment 0 is not to the access"),
    ({"revealed": "alice identity carol identity,contact"}, "tag 1 is not one of the subject"),
    ({"revealed": "alice identity"}, "names no subject for tag 1"),
    ({"revealed": "alice identity bob identity,contact eve identity"}, "names more subjects"),
])
def test_an_audit_makes_the_tags_again(world, tmp_path, spoil, text):
    audited = Audited(world, tmp_path)
    vrf = audited.disclose(tmp_path, **spoil)
    blind = json.loads(audited.audit("--seed", "x", "--count", "4").stdout)
    assert blind["tags_checked"] is None and blind["findings"] == []
    picked = next(f"beacon {i}" for i in range(1000)
                  if 3 in (found := picks(len(LINES), blind["root"], f"beacon {i}".encode(), 4)) and 7 not in found)
    done = audited.audit("--seed", picked, "--count", "4", "--vrf-key", vrf)
    facts = json.loads(done.stdout)
    assert done.returncode == (4 if text else 0), done.stderr
    assert [f["leaf"] for f in facts["findings"]] == ([3] if text else [])
    assert facts["tags_checked"] == 2 if text is None else text in done.stderr


TEXT = """ringfence-command@1
region us-virginia
actor us_analyst
verb request
subject 8
subject Zo\u00eb "9" \\
class identity
class contact
purpose abuse_report
reference case 1
seconds 3600
nonce 00112233445566778899aabbccddeeff
expires 2026-11-22T10:10:00Z
"""


def sign(tmp_path, text, namespace="ringfence-command@1"):
    key = tmp_path / "someone"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key)], input=text.encode(),
                          stdout=subprocess.PIPE, check=True).stdout.decode()


@pytest.mark.parametrize("private, text", [
    ({}, None),
    ({"text": None}, "no signed text"),
    ({"text": "ringfence-command@1\nhello\n"}, "no command"),
    ({"text": TEXT.replace("3600", "3601")}, "signature does not hold"),
    ({"namespace": "file"}, "signature does not hold"),
    ({"actor": "cn_engineer"}, "another actor"),
    ({"signed": TEXT.replace("class contact\n", "")}, "another classes"),
    ({"signed": TEXT.replace("abuse_report", "debugging")}, "another purpose"),
    ({"signed": TEXT.replace("subject 8\n", "")}, "another number of subjects"),
    ({"signed": TEXT.replace("us-virginia", "eu-dublin")}, "another region"),
])
def test_an_audit_checks_what_was_signed(world, tmp_path, private, text):
    signed = private.get("signed", TEXT)
    fields = [("actor", private.get("actor", "us_analyst"))]
    if private.get("text", signed) is not None:
        fields += [("text", private.get("text", signed)),
                   ("signature", sign(tmp_path, signed, private.get("namespace", "ringfence-command@1")))]
    audited = Audited(world, tmp_path, BEGIN + [REQUEST], {2: fields})
    done = audited.audit("--seed", "x", "--count", "3")
    facts = json.loads(done.stdout)
    assert done.returncode == (4 if text else 0), done.stderr
    assert facts["signatures_checked"] == (0 if text else 1)
    assert [f["leaf"] for f in facts["findings"]] == ([2] if text else [])
    assert text is None or text in facts["findings"][0]["text"]


def test_an_audit_wants_the_logs_own_vrf_key(world, tmp_path):
    audited = Audited(world, tmp_path)
    vrf = audited.disclose(tmp_path)
    audited.leaves[0] = re.sub('"vrf":"[0-9a-f]+"', f'"vrf":"{"1" * 64}"', audited.leaves[0])
    audited.log = world.make("foreign", audited.journal(audited.leaves))
    done = audited.audit("--seed", "x", "--vrf-key", vrf)
    assert done.returncode in (2, 3) and "is not the one of this log" in done.stderr


def test_an_audit_finds_a_journal_that_is_not_the_logs(world, tmp_path):
    audited = Audited(world, tmp_path)
    audited.journal(audited.leaves[:-1])
    done = audited.audit("--seed", "x")
    assert done.returncode == 4 and "journal ends" in done.stderr
    audited.journal(audited.leaves, lambda i, leaf: leaf.replace("clipstream-cn", "clipstream-us"))
    done = audited.audit("--seed", "x", "--count", "50")
    assert done.returncode == 4 and "another one in the journal" in done.stderr
    audited.journal(audited.leaves, lambda i, leaf: re.sub('"chain":"[0-9a-f]+"', f'"chain":"{"0" * 64}"', leaf))
    done = audited.audit("--seed", "x")
    assert done.returncode == 4 and "another chain value" in done.stderr
    assert audited.audit().returncode == 2
