"""A policy that names signers is followed only by one that they have signed: at a reload, at a start,
after crashes, and in the public log. ssh-keygen signs, as people do."""

import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from commands import People
from public_log import PublicLog
from waiting import wait_until

NAMESPACE = "ringfence-policy@1"
OFFICERS = ("us_privacy_officer", "us_security_officer")


def event_count(gateway):
    return len(re.findall(r"event=(?:reloaded|reload-refused) ", gateway.log()))


class Signed:
    """A gateway whose policy names the two officers, and what they have signed."""

    def __init__(self, gateway, people, wait="0s"):
        self.gateway, self.people = gateway, people
        for name in OFFICERS:
            gateway.policy["actors"][name]["keys"] = [people.public(name)]
        gateway.policy["signers"] = {"quorum": 2, "actors": list(OFFICERS), "wait": wait}
        self.write(OFFICERS)

    def text(self):
        with open(self.gateway.path("policy.yaml"), encoding="utf-8") as text:
            return text.read()

    def digest(self):
        return hashlib.sha256(self.text().encode()).hexdigest()

    def write(self, by=(), follows=None):
        """The gateway's policy as it is now; FOLLOWS is the digest of another."""
        if follows:
            self.gateway.policy["follows"] = follows
        self.gateway.write_policy()
        self.sign(by)

    def follow(self, by=(), change=None):
        """Another policy, which says that it comes after the one that lies there."""
        before = self.digest()
        if change is not None:
            change(self.gateway.policy)
        self.write(by, follows=before)

    def signature(self, name, text=None, namespace=NAMESPACE):
        return self.people.sign(text or self.text(), name, namespace)

    def sign(self, by):
        self.put("".join(self.signature(name) for name in by))

    def put(self, signatures):
        self.gateway.write("policy.yaml.sig", signatures, 0o644)

    def reload(self):
        """True: taken."""
        before = event_count(self.gateway)
        self.gateway.reload()
        wait_until(lambda: event_count(self.gateway) > before, "nothing became of the reload",
                   timeout=40 * self.gateway.slow)
        return re.findall(r"event=(reloaded|reload-refused) ", self.gateway.log())[before] == "reloaded"

    def ruling(self, name="ruling"):
        with open(self.gateway.path(f"state/policy/{name}"), encoding="utf-8") as text:
            return text.read()

    def check(self):
        done = self.gateway.command("check", "--json")
        return done.returncode, json.loads(done.stdout)["signed"]


@pytest.fixture
def signed(new_gateway, tmp_path):
    people = People(str(tmp_path / "people"), (*OFFICERS, "cn_audit_manager", "eu_analyst"))

    def make(start=True, log=False, **options):
        gateway = new_gateway(start=False)
        world = Signed(gateway, people, **options)
        if log:
            world.log = PublicLog(gateway, witness=False)
        if start:
            gateway.start()
        return world

    return make


def suspend(policy):
    policy["actors"]["us_analyst"]["suspended"] = True


def let_the_auditor_in(key):
    """Whoever edits the file and nothing else: his own key, and a place among the signers."""
    def change(policy):
        policy["actors"]["cn_audit_manager"]["keys"] = [key]
        policy["signers"]["actors"].append("cn_audit_manager")
    return change


def test_a_policy_that_its_signers_signed_rules_at_once_if_it_narrows(signed):
    world = signed(wait="1h")
    assert world.ruling() == world.text()
    assert world.check()[1] == {"standing": "rules"}
    world.follow(OFFICERS, suspend)
    status, said = world.check()
    assert status == 0 and said["standing"] == "accepted" and said["signatures"] == 2
    assert world.reload()
    assert world.ruling() == world.text()
    assert world.ruling("ruling.sig").count("BEGIN SSH SIGNATURE") == 2
    for name in ("ruling", "ruling.sig"):
        assert os.stat(world.gateway.path(f"state/policy/{name}")).st_mode & 0o777 == 0o600


def test_one_who_edits_the_policy_for_himself_is_refused(signed):
    """The known case: his own key is in the new policy only, and his signature counts for nothing."""
    world = signed()
    old = world.text()
    world.follow(("cn_audit_manager",),
                 let_the_auditor_in(world.people.public("cn_audit_manager")))
    assert not world.reload()
    assert world.ruling() == old
    world.gateway.wait_for_log("0 of 2 signatures are valid; not signed: us_privacy_officer, "
                               "us_security_officer; others than the signers have")
    assert world.check()[0] == 1
    world.sign(("cn_audit_manager", "us_privacy_officer"))  # with the help of one
    assert not world.reload()
    world.gateway.wait_for_log("1 of 2 signatures are valid; not signed: us_security_officer")


REFUSED = {
    "nobody": lambda w: "",
    "one of two": lambda w: w.signature(OFFICERS[0]),
    "one twice": lambda w: w.signature(OFFICERS[0]) * 2,
    "of another text": lambda w: w.signature(OFFICERS[0]) + w.signature(OFFICERS[1], "other"),
    "for another purpose": lambda w: w.signature(OFFICERS[0])
    + w.signature(OFFICERS[1], namespace="ringfence-command@1"),
    "cut short": lambda w: (w.signature(OFFICERS[0]) + w.signature(OFFICERS[1]))[:-20],
    "a word before": lambda w: "x" + w.signature(OFFICERS[0]) + w.signature(OFFICERS[1]),
    "a word behind": lambda w: w.signature(OFFICERS[0]) + w.signature(OFFICERS[1]) + "x",
    "far too many": lambda w: (w.signature(OFFICERS[0]) + w.signature(OFFICERS[1])) * 40,
    "nonsense": lambda w: "\0\1\2" * 1000,
    "far too long": lambda w: "-----BEGIN SSH SIGNATURE-----\n" * 20000,
}


def test_signatures_that_are_not_enough_change_nothing(signed):
    world = signed()
    old = world.text()
    world.follow((), suspend)
    for name, make in REFUSED.items():
        world.put(make(world))
        assert not world.reload(), name
        assert world.ruling() == old, name
    os.unlink(world.gateway.path("policy.yaml.sig"))
    assert not world.reload()
    world.sign(OFFICERS)
    assert world.reload()


def test_a_start_with_a_policy_that_nobody_signed_serves_by_the_one_that_was(signed):
    world = signed()
    old = world.text()
    world.gateway.stop()
    world.follow((), suspend)
    world.gateway.start()
    world.gateway.wait_for_log("event=policy-refused .*0 of 2 signatures are valid")
    with world.gateway.connect("app_us") as service:
        assert service.execute("select 1").fetchone() == (1,)
    assert world.ruling() == old
    world.gateway.stop()
    world.gateway.write_policy("colour: green\n")  # nor does one with mistakes
    world.gateway.start()
    assert world.ruling() == old


def test_a_first_policy_that_names_signers_is_signed_by_them(signed):
    """So that nobody locks himself out."""
    world = signed(start=False)
    world.sign(OFFICERS[:1])
    done = subprocess.run([world.gateway.program("ringfenced"), "-c", world.gateway.config_path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "1 of 2 signatures are valid" in done.stdout
    world.sign(OFFICERS)
    world.gateway.start()


def test_a_policy_without_signers_is_followed_by_any(new_gateway):
    gateway = new_gateway()
    suspend(gateway.policy)
    gateway.write_policy()
    gateway.reload()
    gateway.wait_for_log("event=reloaded")
    with open(gateway.path("state/policy/ruling"), encoding="utf-8") as text:
        assert yaml.safe_load(text)["actors"]["us_analyst"]["suspended"]


def test_an_older_policy_that_was_signed_once_is_no_policy_now(signed):
    world = signed()
    world.follow(OFFICERS, suspend)
    first = world.text(), world.signature(OFFICERS[0]) + world.signature(OFFICERS[1])
    assert world.reload()
    world.follow(OFFICERS, lambda p: p["actors"]["eu_analyst"].update(suspended=True))
    assert world.reload()
    second = world.text()
    world.gateway.write_policy(first[0])
    world.put(first[1])
    assert not world.reload()
    world.gateway.wait_for_log("it follows policy .*, which does not rule here")
    assert world.ruling() == second
    del world.gateway.policy["follows"]
    world.write(OFFICERS)  # signed, and it could be used again and again
    assert not world.reload()
    world.gateway.wait_for_log("it does not say which policy it follows")


def widen(policy):
    policy["actors"]["us_analyst"]["department"] = "privacy"


def test_what_widens_waits_in_public_and_then_comes_by_itself(signed):
    world = signed(wait="4s", log=True)
    old = world.text()
    world.follow(OFFICERS, widen)
    new = world.text()
    assert world.check()[1]["standing"] == "waits"
    assert world.reload()  # the rest of the configuration is taken; the policy waits
    world.gateway.wait_for_log("event=policy-waits until=.*actors.us_analyst")
    assert world.ruling() == old
    leaf = world.log.wait_for("the announcement", type="policy", policy=world.digest())[0]
    assert leaf["from"] >= leaf["minute"] and leaf["signatures"] == 2
    assert world.reload() and world.ruling() == old  # asking again is of no use, and no news
    wait_until(lambda: world.ruling() == new, "the time has come and nothing happens", timeout=20)
    world.log.wait_for("that it rules", type="policy", policy=world.digest(), quorum=2)
    said = [leaf for leaf in world.log.leaves() if leaf.get("policy") == world.digest()]
    assert ["from" in leaf for leaf in said] == [True, False]
    assert said[1]["signatures"] == 2 and said[1]["quorum"] == 2
    world.log.assert_holds()


def test_a_wait_goes_on_over_a_start(signed):
    world = signed(wait="1h")
    old = world.text()
    world.gateway.stop()
    world.follow(OFFICERS, widen)
    world.gateway.start()
    world.gateway.wait_for_log("event=policy-waits")
    wait_until(lambda: os.path.exists(world.gateway.path("state/policy/announced")),
               "what waits is not remembered")
    announced = world.ruling("announced")
    world.gateway.stop()
    world.gateway.start()
    assert world.ruling() == old and world.ruling("announced") == announced
    assert world.check()[1]["announced"] is True


def test_new_signers_wait_and_then_sign(signed):
    world = signed(wait="2s")

    def hand_over(policy):
        policy["actors"]["eu_analyst"]["keys"] = [world.people.public("eu_analyst")]
        policy["signers"] = {"quorum": 1, "actors": ["eu_analyst"], "wait": "2s"}

    world.follow(OFFICERS, hand_over)
    new = world.text()
    assert world.reload() and world.ruling() != new
    wait_until(lambda: world.ruling() == new, "the new signers never come", timeout=20)
    world.follow(OFFICERS, suspend)
    assert not world.reload()  # those of before
    world.sign(("eu_analyst",))
    assert world.reload()


def test_a_crash_between_the_two_files_leaves_the_old_policy_or_the_new(signed):
    world = signed()
    state = world.gateway.path("state/policy")
    old = world.text()
    world.follow(OFFICERS, suspend)
    world.gateway.kill()
    # as ruling_commit() leaves it: the signatures are renamed, the policy is not
    for name, text in (("next", world.text()), ("ruling.sig", world.signature(OFFICERS[0]))):
        world.gateway.write(f"state/policy/{name}", text, 0o600)
    assert world.ruling() == old
    world.gateway.start()
    wait_until(lambda: world.ruling() == world.text(), "the new policy does not rule")
    assert sorted(os.listdir(state)) == ["before", "ruling", "ruling.sig"]


def test_a_ruling_policy_that_cannot_be_understood_is_not_forgotten(signed):
    world = signed()
    world.gateway.stop()
    world.gateway.write("state/policy/ruling", "version: 1\n", 0o600)
    done = subprocess.run([world.gateway.program("ringfenced"), "-c", world.gateway.config_path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "cannot understand the policy that rules" in done.stdout


def test_a_state_folder_that_was_put_back_does_not_unlock_the_policy(signed):
    """Without STATE/policy anything would be a first policy; the log knows better."""
    world = signed(log=True)
    world.log.wait_for("the start", type="start", quorum=2)
    signed_text, signatures = world.text(), world.signature(OFFICERS[0]) + world.signature(OFFICERS[1])
    world.gateway.stop()
    shutil.rmtree(world.gateway.path("state/policy"))
    del world.gateway.policy["signers"]
    key = world.people.public("cn_audit_manager")
    world.gateway.policy["actors"]["cn_audit_manager"]["keys"] = [key]
    world.write()
    world.gateway.start(wait=False)
    world.gateway.wait_for_log("the log says that policy .* rules, and this one has 0 of the 2")
    world.gateway.process.wait(timeout=60)
    world.gateway.process = None
    world.gateway.write_policy(signed_text)
    world.put(signatures)
    world.gateway.start()


def test_two_gateways_each_keep_their_own(signed):
    one, other = signed(), signed()
    for world in (one, other):
        world.follow(OFFICERS, suspend)
    assert one.reload()
    assert one.ruling() == one.text() and other.ruling() != other.text()
    assert other.reload()


def verify(world, *arguments):
    return world.gateway.command("log", "verify", world.log.folder, "--key", world.log.vkey,
                                 "--remember", world.gateway.path("remember"), "--json", *arguments)


def test_an_auditor_checks_each_policy_by_its_file(signed):
    world = signed(log=True)
    folder = world.gateway.path("policies")
    os.makedirs(folder)

    def keep(name):
        for suffix in ("", ".sig"):
            shutil.copy(world.gateway.path("policy.yaml" + suffix), f"{folder}/{name}{suffix}")

    keep("first.yaml")
    world.follow(OFFICERS, suspend)
    assert world.reload()
    world.log.wait_for("the second policy", type="policy", policy=world.digest())
    done = verify(world, "--policies", folder)
    assert done.returncode == 1 and "no file" in done.stdout, done.stdout + done.stderr
    keep("second.yaml")
    done = verify(world, "--policies", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copy(f"{folder}/first.yaml.sig", f"{folder}/second.yaml.sig")
    done = verify(world, "--policies", folder)
    assert done.returncode == 1 and "0 of 2 signatures" in done.stdout, done.stdout
    for path in glob.glob(f"{folder}/*"):
        os.unlink(path)


def test_a_policy_whose_time_has_come_is_tried_until_it_is_taken(signed):
    """Something else is wrong when it is due, and later is not; nobody asks for a reload."""
    world = signed(wait="2s")
    world.follow(OFFICERS, widen)
    new = world.text()
    assert world.reload() and world.ruling() != new
    credentials = world.gateway.path("credentials")
    os.chmod(credentials, 0o644)  # a mistake
    world.gateway.wait_for_log("event=policy-due ")
    refused = event_count(world.gateway)
    time.sleep(3)  # it is tried again meanwhile, and nothing is said
    assert world.ruling() != new and event_count(world.gateway) == refused
    os.chmod(credentials, 0o600)
    wait_until(lambda: world.ruling() == new, "it is never tried again", timeout=30)


def test_a_policy_is_remembered_behind_its_record(signed):
    """A ledger that cannot write lets services go on; it does not let a policy become the one before."""
    world = signed(log=True)
    old = world.text()
    world.gateway.stop()
    world.follow(OFFICERS, suspend)
    with open(world.gateway.path("state/journal/lock"), "rb") as other:  # another ledger; the notary only reads
        fcntl.flock(other, fcntl.LOCK_EX)
        world.gateway.start()
        world.gateway.wait_for_log("event=policy-not-on-record")
        assert world.ruling() == old
        world.gateway.stop()
    world.gateway.start()
    wait_until(lambda: world.ruling() == world.text(), "it is on record and not remembered")
    world.log.wait_for("the policy", type="start", policy=world.digest(), signatures=2)


def test_signatures_stand_once_in_the_log(signed):
    """Where the policy came to rule, and not again when the ledger starts again."""
    world = signed(log=True)
    world.follow(OFFICERS, suspend)
    assert world.reload()
    world.log.wait_for("the policy", type="policy", policy=world.digest(), signatures=2)
    os.kill(world.gateway.pids("ledger")[0], signal.SIGKILL)
    leaf = world.log.wait_for("the start", type="start", policy=world.digest())[0]
    assert "signatures" not in leaf and leaf["quorum"] == 2
    world.log.assert_holds()


def test_a_log_that_has_not_heard_of_the_policy_that_rules_hears_by_whom(signed):
    """The policy was remembered, and its record lost with the disk: its signatures lie beside it."""
    world = signed(log=True)
    world.log.wait_for("the start", type="start", quorum=2)
    first = world.text()
    world.gateway.stop()
    world.follow(OFFICERS, suspend)
    for name, text in (("before", first), ("ruling", world.text()),
                       ("ruling.sig", "".join(world.signature(name) for name in OFFICERS))):
        world.gateway.write(f"state/policy/{name}", text, 0o600)
    world.gateway.start()
    world.log.wait_for("the policy", type="start", policy=world.digest(), signatures=2)
    world.log.assert_holds()


def test_a_past_that_somebody_wrote_into_the_state_folder_counts_nothing(signed):
    """His own policy as the one that rules, which names him alone, and the next one signed by him."""
    world = signed(log=True)
    world.log.wait_for("the start", type="start", quorum=2)
    world.gateway.stop()
    him = "cn_audit_manager"

    def take_over(policy):
        policy["actors"][him]["keys"] = [world.people.public(him)]
        policy["signers"] = {"quorum": 1, "actors": [him], "wait": "0s"}

    take_over(world.gateway.policy)
    world.write()
    world.gateway.write("state/policy/ruling", world.text(), 0o600)
    world.follow((him,), suspend)
    world.gateway.start(wait=False)
    world.gateway.wait_for_log("the log says that policy .* rules, and this one has 0 of the 2")
    world.gateway.process.wait(timeout=60)
    world.gateway.process = None
