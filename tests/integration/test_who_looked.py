"""Who looked at me: two gateways of one region, several people and epochs, and claim files that tell
the truth about each, no more and no less."""

import base64
import json
import os
import random
import shutil
import time

import pytest

from conftest import Gateways
from public_log import PublicLog
from test_grants import PERSON, OTHER, Grants, enter
from waiting import wait_until

FIRST, SECOND = "log.example/us-1", "log.example/us-2"
SUBJECTS = ("8", "9", "10", "11", "12")
NOBODY = "7"  # in nobody's grant
SELECTS = {
    "select id, handle from users": "identity",
    "select id, email from users": "identity,contact",
}


def own(gateway):
    """What was written by us belongs to the user that the gateway becomes."""
    for folder, _, names in os.walk(gateway.path("state")):
        for name in ("", *names):
            gateway.give(os.path.join(folder, name))


class Held:
    """A gateway that keeps the purpose of what it discloses to itself for two minutes."""

    def __init__(self, new_gateway, grants):
        def hold(policy):
            policy["publication"] = {"held": {"support_ticket": "2min"}}

        self.gateway = new_gateway(start=False, policy=hold)
        self.log = PublicLog(self.gateway, witness=False)
        self.gateway.start()
        number = grants.open()
        with enter(self.gateway, number) as connection:
            connection.execute("select id, email from users").fetchall()
        grants.close(number)
        self.leaf = self.log.wait_for("the disclosure", type="disclosure", grant=number)[0]

    def claim(self, *arguments):
        return self.gateway.command(
            "who-looked", "--json", "--region", "us-virginia", "--subject", "8", "--out",
            self.gateway.path("claim"), "--remember", self.gateway.path("remembered"), *arguments)


class World:
    """Two gateways, one region; `truth` is what each person's claim file must say."""

    def __init__(self, new_gateway, pair):
        self.grants = Grants(pair)
        self.gateways = [new_gateway(start=False), new_gateway(start=False)]
        self.logs = [PublicLog(gateway, witness=False, origin=origin)
                     for gateway, origin in zip(self.gateways, (FIRST, SECOND))]
        self.gateways[1].copy(self.gateways[0].path("vrf.key"), "vrf.key", 0o600)
        self.truth = {subject: set() for subject in (*SUBJECTS, NOBODY)}
        self.gateways[1].start()
        self.gateways[0].start()
        self.gateways[0].stop()
        done = self.gateways[0].command("key", "member", "--log", self.logs[1].vkey)
        assert done.returncode == 0, done.stderr
        own(self.gateways[0])
        self.gateways[0].start()
        self.first, self.vkey = self.gateways[0], self.logs[0].vkey

    def look(self, dice):
        """One session under a grant, at one of the gateways, with a few statements."""
        which = dice.randrange(2)
        actor = dice.choice((PERSON, OTHER))
        subjects = dice.sample(SUBJECTS, dice.randint(1, 3))
        number = self.grants.open(actor=actor, subjects=subjects)
        with enter(self.gateways[which], number, actor) as connection:
            for _ in range(dice.randint(1, 3)):
                select, classes = dice.choice(list(SELECTS.items()))
                rows = connection.execute(select).fetchall()
                assert {str(row[0]) for row in rows} == set(subjects)
                for subject in subjects:
                    self.truth[subject] |= {(which, number, one) for one in classes.split(",")}
        self.grants.close(number)

    def disclosures(self):
        """What the journals' private parts say of each person, which the truth must agree with."""
        found = {subject: [] for subject in self.truth}
        for which, gateway in enumerate(self.gateways):
            for leaf in gateway.journal(type="disclosure"):
                words = leaf["revealed"].split(" ")
                for subject, classes in zip(words[::2], words[1::2]):
                    found[subject].append({"origin": (FIRST, SECOND)[which], "epoch": leaf["epoch"],
                                           "time": leaf["time"], "classes": classes,
                                           "entity": leaf["entity"], "place": leaf["place"],
                                           "purpose": leaf["purpose"], "held": False,
                                           "kind": "disclosure", "granted_by": "administrator",
                                           "approvals": 0})
        return found

    def who_looked(self, subject, *arguments, logs=None):
        out = self.first.path(f"claim-{subject}")
        if os.path.exists(out):
            os.unlink(out)
        given = [self.logs[1].folder] if logs is None else logs
        done = self.first.command(
            "who-looked", "--json", "--region", "us-virginia", "--subject", subject, "--out", out,
            "--remember", self.first.path("remembered"),
            *[part for log in given for part in ("--log", log)], *arguments)
        return done, out

    def claim(self, subject, *arguments):
        done, out = self.who_looked(subject, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout), out

    def verify(self, path, *arguments, key=None):
        return self.first.command("log", "verify-claim", path, "--key", key or self.vkey, *arguments)

    def accesses(self, path):
        done = self.verify(path, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def world(scratch, authority, pair, request):
    """Accesses before and behind the end of an epoch of a minute, then both epochs closed."""
    gateways = Gateways(scratch, authority, request)

    def new_gateway(**options):
        return gateways(pair, **options)

    made = World(new_gateway, pair)
    if time.time() % 60 > 40:  # so that the first epoch has something in it
        time.sleep(60 - time.time() % 60)
    made.held = Held(new_gateway, made.grants)
    dice, ends = random.Random(20261122), time.time() // 60 * 60 + 68
    while time.time() < ends:
        made.look(dice)
        time.sleep(dice.uniform(0.3, 2))
    made.held.log.wait_for("the first epoch's seal", type="seal", epoch=made.held.leaf["epoch"])
    made.held.refused = made.held.claim("--epoch", made.held.leaf["epoch"])
    for log in made.logs:
        log.wait_for("the last epoch's seal", timeout=90, type="seal", epoch=f"1m-{int(ends // 60)}")
    yield made
    for number in made.grants.opened:
        made.grants.close(number)
    gateways.finish()


def lines(path):
    with open(path, encoding="ascii") as text:
        return text.read().splitlines()


def write(path, changed):
    with open(path, "w", encoding="ascii") as out:
        out.write("".join(line + "\n" for line in changed))
    return path


def order(accesses):
    return sorted(accesses, key=lambda a: (a["origin"], a["time"], a["classes"]))


# --- the truth ------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [*SUBJECTS, NOBODY])
def test_a_claim_file_tells_each_access_and_no_other(world, subject):
    summary, path = world.claim(subject)
    told = world.accesses(path)
    # what the clients did: which class was shown to them where, under which grant
    leaves = [log.leaves() for log in world.logs]
    seen = set()
    for access in told["accesses"]:
        which = (FIRST, SECOND).index(access["origin"])
        grant = leaves[which][access["leaf"]]["grant"]
        seen |= {(which, grant, one) for one in access["classes"].split(",")}
    assert seen == world.truth[subject]
    # what the ledgers wrote down, to the millisecond
    assert order([{key: value for key, value in a.items() if key != "leaf"}
                  for a in told["accesses"]]) == order(world.disclosures()[subject])
    assert told["logs"] == [FIRST, SECOND] and told["verdict"] == "holds"
    assert len(told["epochs"]) >= 2
    assert told["epochs"] == sorted(told["epochs"])
    assert summary["accesses"] == told["access_count"] == len(told["accesses"])
    assert [e["epoch"] for e in summary["epochs"]] == told["epochs"]
    assert summary["told"] + summary["searched"] == summary["accesses"]
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_the_accesses_were_in_several_epochs_and_both_logs(world):
    everything = [a for found in world.disclosures().values() for a in found]
    assert len({a["epoch"] for a in everything}) >= 2
    assert {a["origin"] for a in everything} == {FIRST, SECOND}


def test_words_for_the_person_name_no_employee(world):
    summary, path = world.claim("8")
    done = world.verify(path)
    assert done.returncode == 0, done.stderr
    assert f"looked at in clear, {summary['accesses']} entries" in done.stdout
    for word in ("clipstream-us, from US", "support_ticket", "complete for these epochs", FIRST,
                 SECOND, "Unwitnessed"):
        assert word in done.stdout, word
    for name in (PERSON, OTHER):
        assert name not in done.stdout
    _, path = world.claim(NOBODY)
    assert "Nobody looked at your data in clear." in world.verify(path).stdout


def test_another_gateways_private_parts_open_it_to_the_same(world):
    found, path = world.claim("8")
    with open(path, "rb") as text:
        searched = text.read()
    told, path = world.claim("8", "--state", world.gateways[1].path("state"))
    assert told["searched"] == 0 and found["searched"] > 0
    with open(path, "rb") as text:
        opened = text.read()
    # checkpoints may have grown: the openings are the same
    assert [line.split()[-1] for line in searched.decode().splitlines() if line[:6] == "access"] == \
        [line.split()[-1] for line in opened.decode().splitlines() if line[:6] == "access"]


def test_one_epoch_can_be_asked_for(world):
    epochs = [e["epoch"] for e in world.claim("8")[0]["epochs"]]
    summary, path = world.claim("8", "--epoch", epochs[1])
    assert world.accesses(path)["epochs"] == [epochs[1]]
    assert summary["accesses"] == sum(a["epoch"] == epochs[1] for a in world.disclosures()["8"])


def test_an_epoch_that_goes_on_is_refused_by_name(world):
    for epoch, word in ((f"1m-{int(time.time() // 60)}", "has not ended|is in no log"),
                        ("1m-1", "is in no log")):
        done, out = world.who_looked("8", "--epoch", epoch)
        assert done.returncode == 1 and not os.path.exists(out)
        assert epoch in done.stderr and any(w in done.stderr for w in word.split("|")), done.stderr


def test_the_file_is_written_into_nobody_elses_hands(world):
    fresh = world.first.path("claim-8") + ".new"
    with open(fresh, "w", encoding="utf-8"):
        pass
    os.chmod(fresh, 0o666)
    with open(fresh, encoding="utf-8") as watched:  # whoever was quick enough to make it
        _, path = world.claim("8")
        assert watched.read() == ""
    assert os.stat(path).st_mode & 0o777 == 0o600 and not os.path.exists(fresh)
    assert world.verify(path).returncode == 0


def test_one_log_under_two_names_is_told(world):
    log = world.logs[1].folder
    done, out = world.who_looked("8", logs=[log, log + "/."])
    assert done.returncode == 2 and "are the same log" in done.stderr, done.stderr
    assert not os.path.exists(out)


# --- what is hidden is found ----------------------------------------------------------------------


def test_a_hidden_log_is_found_by_both(world):
    done, out = world.who_looked("8", logs=[])
    assert done.returncode == 1 and not os.path.exists(out)
    assert f'"{SECOND}" is in the roster of "{FIRST}" and was not given' in done.stderr
    _, path = world.claim("8")
    whole = lines(path)
    second = whole.index(f"log {SECOND}")
    rest = next(i for i in range(second + 1, len(whole)) if whole[i].split()[0] not in
                ("checkpoint", "genesis", "named"))
    assert world.verify(write(path + ".cut", whole[:second] + whole[rest:])).returncode == 4
    without = [line for line in whole[:second] if not line.startswith("named ")] + whole[rest:]
    assert world.verify(write(path + ".cut", without)).returncode == 4
    in_second = whole.index(f"in {SECOND}")
    end = next(i for i in range(in_second, len(whole)) if whole[i].split()[0] in ("absent", "none"))
    done = world.verify(write(path + ".cut", whole[:in_second] + whole[end + 1:]))
    assert done.returncode == 4 and SECOND in done.stderr, done.stderr


def hidden_access(whole):
    """Each way to leave one access out, the numbers of the others put right or not."""
    for i in [i for i, line in enumerate(whole) if line.startswith("access ")]:
        rest, n = whole[i + 1:], int(whole[i].split()[1])
        yield whole[:i] + rest
        again = list(rest)
        for k, line in enumerate(again):
            if not line.startswith("access "):
                break
            words = line.split()
            again[k] = " ".join([words[0], str(n + k), *words[2:]])
        yield whole[:i] + again


def test_a_hidden_access_is_found(world):
    _, path = world.claim("8")
    count = 0
    for changed in hidden_access(lines(path)):
        done = world.verify(write(path + ".cut", changed))
        assert done.returncode == 4, done.stdout + done.stderr
        count += 1
    assert count == 2 * len(world.disclosures()["8"])


def test_a_wrong_key_a_bad_file_and_a_missing_witness_each_have_their_status(world):
    _, path = world.claim("8")
    assert world.verify(path, key=world.logs[1].vkey).returncode == 4
    assert world.verify(path, "--key", world.logs[1].vkey).returncode == 0
    assert world.first.command("log", "verify-claim", path).returncode == 2
    assert world.verify(path + ".none").returncode == 3
    assert world.verify(write(path + ".cut", ["hello"])).returncode == 3
    assert world.verify(write(path + ".cut", lines(path)[:-1])).returncode == 3
    with open(world.vkey, encoding="ascii") as text:
        world.first.write("other.policy", f"log {text.read().strip()}\n"
                          "witness w1 w.example/w1+43dc7ed7+BO4KG90/IgO7INVLlfcF7R53tOAIFwLYB/oHFdvSYxT6\n"
                          "quorum w1\n", 0o644)
    done = world.verify(path, "--witnesses", world.first.path("other.policy"))
    assert done.returncode in (1, 2), done.stderr


def test_a_log_that_does_not_hold_gives_no_claim(world):
    """A copy of the second log in which one tag of a person is another one."""
    copy = world.first.path("copy")
    shutil.copytree(world.logs[1].folder, copy)
    wanted = next(leaf for leaf in world.logs[1].leaves() if leaf["type"] == "disclosure")
    old = wanted["tags"].encode()
    items = bytearray(base64.b64decode(old))
    items[0] ^= 1
    for folder, _, names in os.walk(os.path.join(copy, "tile/entries")):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data.replace(old, base64.b64encode(bytes(items))))
    done, out = world.who_looked("8", logs=[copy])
    assert done.returncode == 4 and not os.path.exists(out)
    assert "does not hold" in done.stderr


# --- holds ----------------------------------------------------------------------------------------


def test_an_epoch_with_a_held_access_is_refused_until_it_is_opened(world):
    held, refused = world.held, world.held.refused
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert held.leaf["epoch"] in refused.stderr and "still held" in refused.stderr
    assert "may come from 20" in refused.stderr and "support_ticket" not in refused.stderr
    ref = f"{held.log.leaves().index(held.leaf)} {held.log.origin}"
    held.log.wait_for("the opening", timeout=150, type="opened", ref=ref)
    done = held.claim("--epoch", held.leaf["epoch"])
    assert done.returncode == 0, done.stderr
    told = json.loads(held.gateway.command("log", "verify-claim", held.gateway.path("claim"), "--key",
                                           held.log.vkey, "--json").stdout)
    assert {a["held"] for a in told["accesses"]} == {True}
    words = held.gateway.command("log", "verify-claim", held.gateway.path("claim"), "--key",
                                 held.log.vkey).stdout
    # the file does not prove that it was opened: the reader is told where to look
    assert 'was held back; if the log shows it by now, its leaf "opened" names the leaf below' in words
    assert {one for a in told["accesses"] for one in a["classes"].split(",")} == \
        {"identity", "contact"}
