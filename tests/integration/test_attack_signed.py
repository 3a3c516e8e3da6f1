"""The short form of `./dev attack --signed`: at the gateway, under a grant of one subject that two
officers signed for. Most of its time it waits for the end of an epoch."""

import os
import sys

import pytest

from conftest import BUILD, ROOT, SANDBOX, SLOW

sys.path.insert(0, os.path.join(ROOT, "tests", "attack"))

import attack  # noqa: E402
import oracle  # noqa: E402
import signed  # noqa: E402
from test_attack_suite import described, spoiled, told  # noqa: E402
from world import NAMED  # noqa: E402


@pytest.fixture(scope="module")
def world(scratch, authority):
    made = signed.SignedWorld(os.path.join(scratch, "attacked-signed"), authority, BUILD, SANDBOX, SLOW)
    yield made
    made.close()


def test_nothing_of_anybody_else_comes_out_under_signatures(world):
    tallies = attack.run(world, statements=1000, seed="short")
    assert list(tallies) == [("granted", "gateway")]
    assert attack.total(tallies).bites.total() == 0, described(tallies)


def test_under_signatures_each_difference_is_on_record(world):
    run = signed.over_record(world, 96, "short")
    assert run.compared > 500 and run.different > 10
    assert run.findings == [], told(run.findings)


def test_marks_find_the_statement_that_was_not_announced(world):
    with spoiled(world, "granted.users", r"ringfence(?:\.reveal|_native\.mark)\([^()]*'contact'[^()]*\)",
                 "true"):
        email = [c for c in oracle.clear_changes(world.planted.keys[NAMED]) if c.column == "email"]
        findings = signed.over_record(world, 72, "spoiled", email).findings
    assert findings and all("users.email" in finding.what for finding in findings)


def test_the_lists_of_who_looked_are_what_was_looked_up(world):
    looked = signed.LookUps(world, 60, "short")
    assert looked.found > 20 and looked.exact > 0
    assert looked.compare() == {}
    looked.shown[looked.nobody].add((1, "contact"))  # what nobody did is missed
    assert set(looked.compare()) == {looked.nobody}
