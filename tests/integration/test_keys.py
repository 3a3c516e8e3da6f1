"""The keys of a gateway: loss, theft and rotation of each (docs/keys.md), with real gateways."""

import base64
import copy
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess

import pytest
import yaml

from conftest import BUILD
from gateway import client_name
from notes import COSIGNATURE, ED25519, Key, leaf_hash
from test_grants import Grants, enter
from test_witness import Witness
from waiting import wait_until

ORIGIN, NEXT = "log.test/us-virginia", "log.test/us-virginia/2"
PROGRAM = os.path.join(BUILD, "src", "cmd", "ringfence")


def ringfence(*arguments, **options):
    return subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120, check=False, **options)


class Logged:
    """A gateway with a public log, and what an operator has at hand."""

    def __init__(self, new_gateway, origin=ORIGIN, vrf=None, start=True, **options):
        ledger = {"origin": origin, "directory": "public", "key": "log.key", "vrf_key": "vrf.key",
                  "epoch": "60m", "rollup": "60min", "seal": "1min", "checkpoint": "50ms"}
        ledger.update(options.pop("ledger", {}))
        self.gateway = g = new_gateway(start=False, config={"ledger": ledger}, **options)
        self.origin = origin
        done = ringfence("key", "new", "log", "--origin", origin, "--out", g.path("log.key"))
        assert done.returncode == 0, done.stderr
        self.vkey = done.stdout.strip()
        g.write("log.vkey", self.vkey + "\n", 0o644)
        if vrf is None:
            done = ringfence("key", "new", "vrf", "--region", "us-virginia", "--out", g.path("vrf.key"))
            assert done.returncode == 0, done.stderr
        else:
            shutil.copy(vrf, g.path("vrf.key"))
        os.mkdir(g.path("public"))
        for name in ("log.key", "vrf.key", "public"):
            g.give(g.path(name))
        if start:
            g.start()

    def path(self, name):
        return self.gateway.path(name)

    def change(self, **changes):
        """The configuration of the next log in place of this one's, which is kept as old.yaml."""
        self.gateway.write("old.yaml", yaml.safe_dump(self.gateway.config, sort_keys=False), 0o644)
        config = copy.deepcopy(self.gateway.config)
        config["ledger"].update(changes.pop("ledger"))
        config.update(changes)
        self.gateway.config = config
        self.gateway.write_config()

    def rotate(self, *more, origin=NEXT, out="next.key", config="ringfence.yaml"):
        return ringfence("-c", self.path(config), "--json", "key", "rotate", "--origin", origin,
                         "--out", self.path(out), *more)

    def rotated(self, *more, **options):
        """Stop, rotate, take the new configuration, start: what the manual says."""
        self.gateway.stop()
        done = self.rotate(*more, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        facts = json.loads(done.stdout)
        os.mkdir(self.path("public-2"))
        self.gateway.give(self.path("public-2"))
        self.change(state="state-2", ledger={
            "origin": facts["origin"], "key": facts["key"], "vrf_key": facts["vrf_key"],
            "directory": "public-2", "predecessor": facts["predecessor"]})
        os.mkdir(self.path("state-2"), 0o700)
        self.gateway.give(self.path("state-2"))
        self.gateway.start()
        return facts

    def leaves(self, folder="public"):
        done = ringfence("--json", "log", "show", self.path(folder))
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def leaf(self, kind, folder="public"):
        found = [e for e in self.leaves(folder) if e.get("leaf", e.get("public", e))["type"] == kind]
        return found

    def wait_published(self, folder, kind):
        def there():
            return os.path.exists(self.path(f"{folder}/checkpoint")) and self.leaf(kind, folder)
        wait_until(there, f"no {kind} in {folder}")

    def verify(self, *folders, key=None, status=0):
        done = ringfence("--json", "log", "verify", *[self.path(f) for f in folders], "--key",
                         key or self.path("log.vkey"), "--forget",
                         env={**os.environ, "XDG_STATE_HOME": self.path("memory")})
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout)


def of(entry):
    """The leaf in one line of `log show --json`."""
    return entry.get("leaf") or entry.get("public") or entry


def busy(logged, pair, seconds=600):
    """A person looks, masked and under a grant."""
    grants = Grants(pair)
    number = grants.open(seconds=seconds)
    with enter(logged.gateway, number) as connection:
        connection.execute("select email from users").fetchall()
        client = client_name(connection)
    wait_until(lambda: logged.gateway.journal(client=client, kind="session_close"), "no end of the session")
    return grants, number


# --- rotation of the log key ----------------------------------------------------------------------


def test_a_rotated_log_is_continued_by_the_next_and_both_hold(new_gateway, pair):
    old = Logged(new_gateway)
    grants, number = busy(old, pair)
    facts = old.rotated()
    assert (facts["ended"], facts["origin"], facts["complete"]) == (ORIGIN, NEXT, True)
    with enter(old.gateway, number) as connection:
        connection.execute("select handle from users").fetchall()
    old.wait_published("public-2", "disclosure")
    grants.close(number)
    kinds = [of(e)["type"] for e in old.leaves()]
    at = kinds.index("successor")
    assert kinds[at + 1:] == ["seal", "seal"] and "session" in kinds[:at]
    assert facts["predecessor"] == f"{at} {ORIGIN}"
    genesis = of(old.leaf("genesis", "public-2")[0])
    assert genesis["predecessor"] == facts["predecessor"] and genesis["key"] == facts["vkey"]
    assert of(old.leaf("grant", "public-2")[0])["grant"] == number  # the next log has its own
    old.gateway.stop()
    verdict = old.verify("public", "public-2")
    assert [log["verdict"] for log in verdict["logs"]] == ["holds", "holds"]
    assert verdict["logs"][0]["successor"] == {"origin": NEXT, "leaf": at}
    assert verdict["logs"][1]["predecessor"] == {"origin": ORIGIN, "leaf": at}
    # in any order, and each one alone
    old.verify("public-2", "public")
    old.verify("public")


def test_an_ended_log_is_not_gone_on_with(new_gateway):
    old = Logged(new_gateway)
    old.gateway.stop()
    assert old.rotate().returncode == 0
    before = old.leaves()
    with pytest.raises(RuntimeError):
        old.gateway.start()
    assert old.gateway.log_contains(rf"{ORIGIN}.{{1,3}} has ended with leaf")
    again = old.rotate()  # says the same again, and changes nothing
    assert again.returncode == 0, again.stderr
    other = old.rotate(origin="log.test/elsewhere", out="other.key")
    assert other.returncode == 2 and "has ended already" in other.stderr
    done = ringfence("-c", old.path("ringfence.yaml"), "key", "member", "--log", old.path("log.vkey"))
    assert done.returncode == 2
    assert old.leaves() == before


def test_a_running_gateway_is_not_rotated(new_gateway):
    old = Logged(new_gateway)
    done = old.rotate()
    assert done.returncode == 3 and "stop the gateway first" in done.stderr
    old.gateway.stop()
    assert json.loads(old.rotate().stdout)["complete"]
    old.verify("public")


def test_a_log_is_not_ended_while_its_notary_runs_or_its_past_does_not_hold(new_gateway):
    """What would keep the last leaves from being signed is found before the log is ended."""
    old = Logged(new_gateway)
    old.wait_published("public", "start")
    old.gateway.stop()
    entries = old.gateway.journal()
    with open(old.path("state/notary/lock"), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = old.rotate()
        assert done.returncode == 3 and "stop the gateway first" in done.stderr, done.stderr
    assert old.gateway.journal() == entries
    head = old.path("state/notary/head")
    with open(head, "r+b") as memory:
        text = memory.read()
        memory.seek(0)
        memory.write(text.replace(b"journal ", b"journal 9"))
    done = old.rotate()
    assert done.returncode == 4 and "rolled back" in done.stderr, done.stderr
    assert old.gateway.journal() == entries
    with open(head, "wb") as memory:
        memory.write(text)
    done = old.rotate()
    assert done.returncode == 0, done.stderr
    assert old.leaf("successor")


def seen(pair, origin=ORIGIN):
    return pair.primary.value("SELECT coalesce(max(size), 0) FROM ringfence.log_size"
                              " WHERE origin = %s", origin)


def test_a_log_that_was_rolled_back_is_not_ended(new_gateway, pair):
    """State and public folder both: nothing on this machine knows of it any more, the database does."""
    old = Logged(new_gateway)

    def keep(name, as_name):
        shutil.rmtree(old.path(as_name), ignore_errors=True)
        subprocess.run(["cp", "-a", old.path(name), old.path(as_name)], check=True)

    wait_until(lambda: seen(pair) > 0, "the database does not learn how large the log is")
    old.gateway.stop()
    size = seen(pair)
    for name in ("state", "public"):
        keep(name, f"{name}.older")
    for _ in range(2):
        before = seen(pair)
        old.gateway.start()
        wait_until(lambda: seen(pair) > before, "the database does not learn that the log has grown")
        old.gateway.stop()
    for name in ("state", "public"):
        keep(name, f"{name}.whole")
        keep(f"{name}.older", name)
    entries = old.gateway.journal()
    done = old.rotate()
    assert done.returncode == 4 and "were signed before" in done.stderr, done.stdout + done.stderr
    assert "the region's database has seen it" in done.stderr
    assert old.gateway.journal() == entries
    # a leaf that waits for the policy's delay is in no tree, and does not hide that others are missing
    old.gateway.policy["publication"] = {"delay": "1h"}
    old.gateway.write_policy()
    made = ringfence("key", "new", "log", "--origin", "log.test/other", "--out", old.path("other.key"))
    old.gateway.write("other.vkey", made.stdout, 0o644)
    done = old.gateway.command("key", "member", "--log", old.path("other.vkey"))
    assert done.returncode == 0, done.stderr
    done = old.rotate()
    assert done.returncode == 4 and "were signed before" in done.stderr, done.stdout + done.stderr
    del old.gateway.policy["publication"]
    old.gateway.write_policy()
    for name in ("state", "public"):
        keep(f"{name}.whole", name)

    entries = old.gateway.journal()
    config = copy.deepcopy(old.gateway.config)
    config["databases"]["us-virginia"]["primary"] = ["127.0.0.1:1"]
    old.gateway.write("alone.yaml", yaml.safe_dump(config, sort_keys=False), 0o644)
    done = old.rotate(config="alone.yaml")
    assert done.returncode == 3 and "--without-database" in done.stderr, done.stdout + done.stderr
    size = seen(pair)
    pair.primary.rows("UPDATE ringfence.log_size SET size = %s WHERE origin = %s", 2**62, ORIGIN)
    done = old.rotate()
    assert done.returncode == 1 and "has not signed" in done.stderr, done.stdout + done.stderr
    assert old.gateway.journal() == entries
    pair.primary.rows("UPDATE ringfence.log_size SET size = %s WHERE origin = %s", size, ORIGIN)

    done = old.rotate()
    assert done.returncode == 0, done.stdout + done.stderr
    assert seen(pair) == json.loads(done.stdout)["published"] > size  # nor is the end rolled back
    done = old.rotate("--without-database", config="alone.yaml")
    assert done.returncode == 0 and json.loads(done.stdout)["published"] == seen(pair), done.stderr


def test_the_copy_of_the_journal_has_the_end_of_the_log(new_gateway):
    old = Logged(new_gateway, start=False, ledger={"copy": "copy"})
    os.mkdir(old.path("copy"), 0o700)
    old.gateway.give(old.path("copy"))
    old.gateway.start()
    old.gateway.stop()
    done = old.rotate()
    assert done.returncode == 0, done.stderr
    same = subprocess.run(["diff", "-r", old.path("state/journal"), old.path("copy")], check=False)
    assert same.returncode == 0


def test_without_its_predecessor_the_next_log_is_found_out(new_gateway):
    """The operator forgets the line, or leaves it out."""
    old = Logged(new_gateway)
    old.gateway.stop()
    assert old.rotate().returncode == 0
    for name in ("public-2", "state-2"):
        os.mkdir(old.path(name), 0o755 if name == "public-2" else 0o700)
        old.gateway.give(old.path(name))
    old.change(state="state-2", ledger={"origin": NEXT, "key": "next.key", "directory": "public-2"})
    old.gateway.start()
    old.wait_published("public-2", "start")
    old.gateway.stop()
    verdict = old.verify("public", "public-2", status=4)
    assert "its genesis says otherwise" in json.dumps(verdict["roster"])


def stolen_key(logged):
    """The log's key, as whoever can read the file has it."""
    with open(logged.path("log.key"), encoding="ascii") as text:
        return Key(logged.origin, ED25519, base64.b64decode(text.read().split()[2]))


def test_a_rotation_with_witnesses_is_cosigned_or_waits(new_gateway, scratch):
    old = Logged(new_gateway, start=False, ledger={"witnesses": "witnesses"})
    witness = Witness(os.path.join(scratch, "witness-of-keys"), log_key=stolen_key(old)).start()
    try:
        old.gateway.write("witnesses", f"witness w1 {witness.key.vkey} {witness.url}\nquorum w1\n", 0o644)
        old.gateway.start()
        old.wait_published("public", "start")
        old.gateway.stop()
        witness.stop()
        done = old.rotate()
        facts = json.loads(done.stdout)
        assert done.returncode == 3 and not facts["complete"]
        assert not old.leaf("successor")  # what no quorum has seen is not published
        witness.start()
        done = old.rotate()
        facts = json.loads(done.stdout)
        assert done.returncode == 0 and facts["complete"] and facts["witnesses"] == 1, done.stderr
    finally:
        witness.stop()
    assert old.leaf("successor")


def test_other_witnesses_count_after_a_reload_and_nobody_reads_their_file_but_the_supervisor(
        new_gateway, scratch):
    """Witness 1 does not answer any more; its place is taken by another one."""
    log = Logged(new_gateway, start=False, ledger={"witnesses": "witnesses"})
    witness = Witness(os.path.join(scratch, "witness-of-reload"), log_key=stolen_key(log)).start()
    other = Key("witness.example.com/w0", COSIGNATURE, bytes(range(1, 33)))
    g = log.gateway
    try:
        dead = f"witness w0 {other.vkey} http://127.0.0.1:1/"
        g.write("witnesses", f"{dead}\nquorum w0\n", 0o644)
        g.start()
        wait_until(lambda: os.path.exists(log.path("state/notary/head")), "nothing is signed")
        assert not os.path.exists(log.path("public/checkpoint"))
        g.write("witnesses", f"{dead}\nwitness w1 {witness.key.vkey} {witness.url}\nquorum w1\n", 0o644)
        g.reload()
        g.wait_for_log("event=reloaded")
        log.wait_published("public", "start")
        with open(log.path("public/checkpoint"), encoding="utf-8") as note:
            assert witness.key.name in note.read()
        right = log.path("witnesses")
        os.rename(right, f"{right}.away")  # whoever starts again was handed what counts
        for role in ("notary", "courier"):
            g.kill_role(role)
            wait_until(lambda role=role: len(re.findall(f"child-ready child={role}-0", g.log())) == 2,
                       f"no other {role}")
        os.rename(f"{right}.away", right)
        published = len(log.leaves())
        g.reload()
        wait_until(lambda: len(log.leaves()) > published, "nothing is cosigned any more")
    finally:
        witness.stop()


def test_the_end_of_a_log_waits_for_the_policys_delay(new_gateway):
    def late(policy):
        policy.setdefault("publication", {})["delay"] = "1h"
        policy.pop("release", None)

    old = Logged(new_gateway, policy=late)
    old.gateway.stop()
    done = old.rotate()
    facts = json.loads(done.stdout)
    assert done.returncode == 1 and not facts["complete"] and "wait_until" in facts
    assert not os.path.exists(old.path("public/checkpoint"))
    retire = ringfence("-c", old.path("ringfence.yaml"), "key", "retire", old.path("log.key"))
    assert retire.returncode != 0 and os.path.exists(old.path("log.key"))


# --- members --------------------------------------------------------------------------------------


def test_a_second_gateways_log_becomes_a_member_of_the_roster(new_gateway):
    first = Logged(new_gateway)
    second = Logged(new_gateway, origin="log.test/us-virginia/b", vrf=first.path("vrf.key"))
    second.wait_published("public", "start")  # one that stops at once may leave that to its next start
    first.gateway.stop()
    second.gateway.stop()
    both = [first.path("public"), second.path("public")]
    unknown = ringfence("log", "verify", *both, "--key", first.path("log.vkey"), "--key",
                        second.path("log.vkey"), "--remember", first.path("memory"))
    assert unknown.returncode == 4 and "is not in the roster" in unknown.stderr
    member = ["-c", first.path("ringfence.yaml"), "key", "member", "--log"]
    done = ringfence(*member, second.path("log.vkey"))
    assert done.returncode == 0, done.stderr
    for vkey in (first, second):  # itself, and one that is there already
        again = ringfence(*member, vkey.path("log.vkey"))
        assert again.returncode == 2 and "in the roster already" in again.stderr
    first.gateway.start()
    first.wait_published("public", "member")
    first.gateway.stop()
    shutil.copytree(second.path("public"), first.path("public-b"))
    verdict = first.verify("public", "public-b")
    assert verdict["logs"][0]["members"] == ["log.test/us-virginia/b"]


def test_a_member_with_a_vrf_key_of_its_own_is_found_out(new_gateway):
    """Two keys for one person: his list would be complete under each, and neither is."""
    first = Logged(new_gateway)
    second = Logged(new_gateway, origin="log.test/us-virginia/b")
    second.wait_published("public", "start")
    second.gateway.stop()
    first.gateway.stop()
    done = ringfence("-c", first.path("ringfence.yaml"), "key", "member", "--log", second.path("log.vkey"))
    assert done.returncode == 0, done.stderr
    first.gateway.start()
    first.wait_published("public", "member")
    first.gateway.stop()
    shutil.copytree(second.path("public"), first.path("public-b"))
    verdict = first.verify("public", "public-b", status=4)
    assert "another VRF key" in json.dumps(verdict["roster"])


# --- VRF key --------------------------------------------------------------------------------------


def test_a_vrf_key_is_rotated_with_its_log_and_retired_after_it(new_gateway, pair):
    old = Logged(new_gateway)
    grants, number = busy(old, pair)
    facts = old.rotated("--new-vrf", old.path("next-vrf.key"))
    grants.close(number)
    old.wait_published("public-2", "start")
    genesis = [of(old.leaf("genesis", folder)[0]) for folder in ("public", "public-2")]
    assert genesis[0]["vrf"] != genesis[1]["vrf"]
    assert facts["vrf_key"] == old.path("next-vrf.key")
    old.gateway.stop()
    old.verify("public", "public-2")
    retire = ["-c", old.path("old.yaml"), "key", "retire", old.path("vrf.key")]
    for more in ([], ["--no-more-claims"], ["--next", old.path("public-2")],
                 ["--no-more-claims", "--next", old.path("public")]):
        done = ringfence(*retire, *more)
        assert done.returncode != 0 and os.path.exists(old.path("vrf.key")), more
    done = ringfence(*retire, "--no-more-claims", "--next", old.path("public-2"))
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(old.path("vrf.key"))


def test_another_vrf_key_under_the_same_log_is_refused(new_gateway):
    """Loss: a new key in the old one's place. The log cannot go on with it."""
    old = Logged(new_gateway)
    old.gateway.stop()
    os.unlink(old.path("vrf.key"))
    with pytest.raises(RuntimeError):
        old.gateway.start()
    done = ringfence("key", "new", "vrf", "--region", "us-virginia", "--out", old.path("vrf.key"))
    assert done.returncode == 0
    old.gateway.give(old.path("vrf.key"))
    with pytest.raises(RuntimeError):
        old.gateway.start()
    assert "the log began with another VRF key than the configuration's" in old.gateway.log()


# --- loss and theft of the log key ----------------------------------------------------------------


def test_a_lost_log_key_stops_the_log_and_another_is_no_substitute(new_gateway):
    old = Logged(new_gateway)
    old.wait_published("public", "start")
    old.gateway.stop()
    published = open(old.path("public/checkpoint"), "rb").read()
    os.unlink(old.path("log.key"))
    with pytest.raises(RuntimeError):
        old.gateway.start()
    done = ringfence("key", "new", "log", "--origin", ORIGIN, "--out", old.path("log.key"))
    assert done.returncode == 0
    old.gateway.give(old.path("log.key"))
    with pytest.raises(RuntimeError):
        old.gateway.start()
    assert "the log began with another key than the configuration's" in old.gateway.log()
    assert old.rotate().returncode != 0
    assert open(old.path("public/checkpoint"), "rb").read() == published
    old.verify("public")  # what was signed stays good without the key


def forge(key, size, root):
    text = f"{key.name}\n{size}\n{base64.b64encode(root).decode()}\n"
    return (text + "\n" + key.sign(text)).encode()


def test_whoever_steals_the_log_key_cannot_rewrite_what_was_seen(new_gateway):
    """He signs a shorter past, and another one of the same length: whoever has seen the log says so."""
    old = Logged(new_gateway)
    old.wait_published("public", "start")
    old.gateway.stop()
    memory = {**os.environ, "XDG_STATE_HOME": old.path("memory")}
    verify = ["log", "verify", old.path("public"), "--key", old.path("log.vkey"), "--remember", old.path("memory")]
    done = ringfence(*verify, env=memory)
    assert done.returncode == 0, done.stderr
    with open(old.path("public/checkpoint"), encoding="utf-8") as text:
        size = int(text.read().splitlines()[1])
    key = stolen_key(old)
    for forged in (forge(key, size - 1, hashlib.sha256(b"shorter").digest()),
                   forge(key, size, hashlib.sha256(b"another").digest())):
        with open(old.path("public/checkpoint"), "wb") as out:
            out.write(forged)
        assert ringfence(*verify, env=memory).returncode == 4


def test_a_log_does_not_go_on_beside_one_that_a_thief_has_signed(new_gateway):
    """What the thief published in the log's own folder is larger: the log signs nothing any more."""
    old = Logged(new_gateway)
    old.wait_published("public", "start")
    old.gateway.stop()
    forged = forge(stolen_key(old), 10**6, hashlib.sha256(b"more").digest())
    with open(old.path("public/checkpoint"), "wb") as out:
        out.write(forged)
    old.gateway.start()
    old.gateway.wait_for_log("docs/keys.md|behind")
    old.gateway.stop()
    with open(old.path("public/checkpoint"), "rb") as text:
        assert text.read() == forged  # nothing was published in its place


# --- retiring -------------------------------------------------------------------------------------


def test_a_key_is_retired_only_when_its_log_has_ended(new_gateway):
    old = Logged(new_gateway)
    old.wait_published("public", "start")
    retire = ["-c", old.path("ringfence.yaml"), "key", "retire"]
    done = ringfence(*retire, old.path("log.key"))
    assert done.returncode == 1 and "has not ended" in done.stderr
    old.gateway.stop()
    assert old.rotate().returncode == 0
    done = ringfence(*retire, old.path("next.key"))
    assert done.returncode == 1 and "is no key of log" in done.stderr
    os.link(old.path("log.key"), old.path("copy.key"))
    done = ringfence(*retire, old.path("log.key"))
    assert done.returncode == 1 and "2 names" in done.stderr
    os.unlink(old.path("copy.key"))
    with open(old.path("log.key"), "rb") as watched:
        before = watched.read()
        done = ringfence(*retire, old.path("log.key"))
        assert done.returncode == 0, done.stderr
        watched.seek(0)
        after = watched.read()  # the blocks, by the descriptor that is still open
    assert not os.path.exists(old.path("log.key"))
    assert len(after) == len(before) and before.split()[2] not in after
    old.verify("public")
    assert os.path.exists(old.path("next.key"))
    assert stat.S_IMODE(os.stat(old.path("next.key")).st_mode) == 0o600


# --- code -----------------------------------------------------------------------------------------


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def test_start_leaves_say_which_code_runs_before_anybody_is_served(new_gateway):
    logged = Logged(new_gateway)
    with logged.gateway.connect("us_analyst") as connection:
        connection.execute("select 1").fetchall()
    logged.wait_published("public", "start")
    leaves = [of(e) for e in logged.leaves()]
    assert [leaf["type"] for leaf in leaves[:2]] == ["genesis", "start"]
    program = logged.gateway.program("ringfenced")
    listed = subprocess.run([program, "--libraries"], stdout=subprocess.PIPE, check=True).stdout
    start = leaves[1]
    assert start["binary"] == sha256_of(program)
    assert start["libraries"] == hashlib.sha256(listed).hexdigest()
    assert start["policy"] == sha256_of(logged.path("policy.yaml"))
    # the list names the files that are loaded
    lines = [line.split("  ") for line in listed.decode().splitlines()]
    loaded = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    paths = {os.path.basename(p): p for p in loaded.split() if p.startswith("/")}
    assert lines == sorted(lines) and {name for _, name in lines} == set(paths)
    assert all(digest == sha256_of(paths[name]) for digest, name in lines)


def test_leaf_hashes_agree_with_another_implementation(new_gateway):
    """The successor's bytes are canonical: what is shown hashes to what is in the tile."""
    old = Logged(new_gateway)
    old.gateway.stop()
    assert old.rotate().returncode == 0
    with open(old.path("public/checkpoint"), encoding="utf-8") as text:
        size = int(text.read().splitlines()[1])
    folder = old.path("public/tile")
    with open(f"{folder}/entries/000.p/{size}", "rb") as bundle, \
            open(f"{folder}/0/000.p/{size}", "rb") as tile:
        data, hashes = bundle.read(), tile.read()
    at, i = 0, 0
    while at < len(data):
        n = int.from_bytes(data[at:at + 2], "big")
        assert leaf_hash(data[at + 2:at + 2 + n]) == hashes[32 * i:32 * i + 32]
        at, i = at + 2 + n, i + 1
    assert i == size
