"""`ringfence log verify --policies`: each policy that a log says ruled, judged by its file. The logs are
made to order, so that they say what no gateway of ours would."""

import hashlib
import os

import pytest

from madelog import LINES, MINUTE, Key as LogKey, World
from sshsig import Key

NAMESPACE = "ringfence-policy@1"
WAIT = 60  # minutes, of every policy here
GENESIS = "genesis epoch=month rollup=60 seal=1440"

POLICY = """\
# {name}
version: 1
company: Clipstream
jurisdictions: {{US: [US]}}
regions: {{us-virginia: {{jurisdiction: US, place: US}}}}
entities: {{clip: {{country: US}}}}
actors:
  anna: {{kind: person, entity: clip, place: US, keys: ["{anna}"]}}
  bert: {{kind: person, entity: clip, place: US, keys: ["{bert}"]}}
  carl: {{kind: person, entity: clip, place: US, {carl}}}
tables: {{app.users: {{subject: id, residency: home, columns: {{id: identity, home: none}}}}}}
"""


class Written:
    """A policy and who has signed it, in FOLDER."""

    def __init__(self, folder, name, text, by=()):
        self.name, self.path = name, os.path.join(folder, name)
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)
        with open(self.path + ".sig", "w", encoding="ascii") as file:
            file.write("".join(Key(who).sign(text, NAMESPACE) for who in by))

    def rules(self, minute, signatures=None, quorum=2, kind="policy"):
        said = "" if signatures is None else f" signatures={signatures}"
        return f"{kind} minute={MINUTE + minute} policy={self.digest} quorum={quorum}{said}"

    def waits(self, minute, until):
        return (f"policy minute={MINUTE + minute} policy={self.digest} signatures=2"
                f" from={MINUTE + until}")


class Chain:
    """What is judged, the folder of policies, and the first of them, whose signers are anna and bert."""

    def __init__(self, world, folder):
        self.world, self.folder, self.count = world, folder, 0
        os.makedirs(folder)
        self.first = self.write("first", by=())
        self.start = self.first.rules(1, kind="start")

    def write(self, name, by=("anna", "bert"), follows=None, wait=WAIT, **carl):
        """Another policy. CARL suspended: it takes away; with a key, or in a department: it widens."""
        said = [f"suspended: {'true' if carl.get('suspended') else 'false'}",
                *([f'keys: ["{Key("carl").public()}"]'] if carl.get("key") else []),
                *(["department: privacy"] if carl.get("department") else [])]
        text = POLICY.format(name=name, anna=Key("anna").public(), bert=Key("bert").public(),
                             carl=", ".join(said))
        if wait is not None:
            text += f"signers: {{quorum: 2, actors: [anna, bert], wait: {wait}min}}\n"
        if follows is not None:
            text += f"follows: {follows.digest}\n"
        return Written(self.folder, name, text, by)

    def narrower(self, name="narrower", **options):
        return self.write(name, suspended=True, follows=options.pop("follows", self.first), **options)

    def wider(self, name="wider", **options):
        return self.write(name, key=True, follows=options.pop("follows", self.first), **options)

    def found(self, *lines, status):
        """What is found in a log with these lines behind its genesis: [(leaf, text)]."""
        self.count += 1
        log = self.world.make(f"log-{self.count}", [GENESIS, *lines])
        facts = self.world.facts(log, "--policies", self.folder, status=status)
        return [(f["leaf"], f["text"]) for f in facts["logs"][0]["findings"]]

    def finds(self, told, *lines, status=1):
        """One thing, about the last leaf."""
        found = self.found(*lines, status=status)
        assert len(found) == 1 and found[0][0] == len(lines) and told in found[0][1], found

    def holds(self, *lines):
        assert not self.found(*lines, status=0)


@pytest.fixture
def chain(build, tmp_path):
    return Chain(World(build, tmp_path), str(tmp_path / "policies"))


NOT_PUBLIC = "was not public for the time before"


def test_what_takes_away_rules_at_once_and_a_start_says_it_again(chain):
    narrower = chain.narrower()
    chain.holds(chain.start, narrower.rules(2, 2), narrower.rules(3, 2, kind="start"))


def test_what_widens_was_public_for_as_long_as_the_one_before_says(chain):
    wider = chain.wider()
    chain.finds(NOT_PUBLIC, chain.start, wider.rules(2, 2))
    for minutes, told in ((WAIT - 1, True), (WAIT, False), (WAIT + 500, False)):
        lines = chain.start, wider.waits(2, 2 + minutes), wider.rules(2 + minutes, 2)
        if told:
            chain.finds(NOT_PUBLIC, *lines)
        else:
            chain.holds(*lines)


def test_the_wait_is_that_of_the_policy_before_and_not_of_the_new_one(chain):
    hasty = chain.wider(wait=0)
    chain.finds(NOT_PUBLIC, chain.start, hasty.waits(2, 3), hasty.rules(3, 2))
    lines = chain.start, hasty.waits(2, 2 + WAIT), hasty.rules(2 + WAIT, 2)
    chain.holds(*lines)
    third = chain.wider("third", follows=hasty, department=True)  # hasty demands no wait
    chain.holds(*lines, third.rules(3 + WAIT, 2))


def test_a_public_time_counts_for_the_policy_that_was_public_then(chain):
    wider, other = chain.wider(), chain.wider("other", wait=WAIT + 1)
    chain.finds(NOT_PUBLIC, chain.start, other.waits(2, 2 + WAIT), wider.rules(2 + WAIT, 2))
    # what was announced last is what waits
    chain.finds(NOT_PUBLIC, chain.start, wider.waits(2, 2 + WAIT), other.waits(3, 3 + WAIT),
                wider.rules(2 + WAIT, 2))


def test_a_policy_says_which_one_it_follows(chain):
    narrower = chain.narrower()
    text = "does not say that it follows the one that ruled before"
    lines = chain.start, narrower.rules(2, 2)
    chain.finds(text, chain.start, chain.write("silent", suspended=True).rules(2, 2), status=4)
    chain.finds(text, *lines, chain.narrower("again").rules(3, 2), status=4)
    # and there is no way back to what was signed once
    found = chain.found(*lines, chain.first.rules(3, 2), status=4)
    assert any(leaf == 3 and text in told for leaf, told in found), found


@pytest.mark.parametrize("by, told", [
    ((), "0 of 2 signatures of this policy are valid; not signed: anna, bert"),
    (("bert",), "1 of 2 signatures of this policy are valid; not signed: anna"),
    (("anna", "anna"), "1 of 2 signatures of this policy are valid; not signed: bert"),
    (("anna", "carl"), "1 of 2 signatures of this policy are valid; not signed: bert"),
])
def test_what_a_leaf_counts_is_counted_again(chain, by, told):
    chain.finds(told, chain.start, chain.narrower(by=by).rules(2, 2))


def test_a_leaf_says_the_quorum_that_stands_in_the_file(chain):
    text = "demands another quorum than the leaf says"
    chain.finds(text, chain.first.rules(1, kind="start", quorum=1), status=4)
    chain.finds(text, chain.start, chain.narrower().rules(2, 2, quorum=3), status=4)
    nobody = chain.write("nobody", wait=None)  # names no signers
    chain.finds(text, nobody.rules(1, kind="start"), status=4)


def test_a_policy_without_signers_is_followed_by_any(chain):
    nobody = chain.write("nobody", wait=None, by=())
    chain.holds(nobody.rules(1, kind="start", quorum=0), chain.first.rules(2),
                chain.narrower().rules(3, 2))


def test_a_policy_without_a_file_is_told_and_what_follows_it_cannot_be_judged(chain):
    narrower = chain.narrower()
    lines = chain.start, narrower.rules(2, 2), chain.wider("third", follows=narrower).rules(3, 2)
    chain.finds(NOT_PUBLIC, *lines)
    os.unlink(narrower.path)
    found = chain.found(*lines, status=1)
    assert found == [(2, f"there is no file of policy {narrower.digest}")], found


def test_each_log_begins_with_a_first_policy(chain, build, tmp_path):
    narrower = chain.narrower()
    second = LogKey(build, tmp_path, "log.example.com/us-2", "second")
    one = chain.world.make("one", [GENESIS, f"member origin={second.name} key={second.vkey}", chain.start,
                                   narrower.rules(2, 2)])
    two = chain.world.make("two", [GENESIS, chain.start], key=second)
    chain.world.facts(one, two, "--policies", chain.folder)
    ahead = chain.world.make("ahead", [GENESIS, chain.start, chain.wider().rules(2, 2)], key=second)
    facts = chain.world.facts(one, ahead, "--policies", chain.folder, status=1)
    assert [len(log["findings"]) for log in facts["logs"]] == [0, 1], facts


def test_a_folder_that_cannot_be_read_as_policies_is_no_verdict(chain):
    log = chain.world.make("log", LINES)

    def refused(told, status=3):
        done = chain.world.verify(log, "--policies", chain.folder)
        assert done.returncode == status and told in done.stderr, (done.returncode, done.stderr)

    with open(os.path.join(chain.folder, ".hidden"), "w", encoding="ascii") as file:
        file.write("no policy, and nobody's business")
    chain.holds(chain.start)
    path = os.path.join(chain.folder, "draft")
    with open(path, "w", encoding="ascii") as file:
        file.write("version: 1\n")
    refused(f'"{path}" is no policy: line')
    os.unlink(path)
    os.mkdir(path)
    refused(path, status=2)
    chain.folder = os.path.join(chain.folder, "none")
    refused(f'could not open folder "{chain.folder}"')
