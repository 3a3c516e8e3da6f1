"""Given what the world knows about a person, how many are found in the masked rows? The attacks, and
the shares that the threat model admits, are in tests/attack/linkage.py."""

import os
import sys

import pytest

from conftest import BUILD, ROOT, SANDBOX, SLOW

sys.path.insert(0, os.path.join(ROOT, "tests", "attack"))

import linkage  # noqa: E402


@pytest.fixture(scope="module")
def town(scratch, authority):
    folder = os.path.join(scratch, "town")
    os.makedirs(folder, mode=0o755)
    made = linkage.Town(folder, authority, BUILD, SANDBOX, SLOW)
    yield made
    made.close()


@pytest.mark.parametrize("attack", linkage.ATTACKS, ids=lambda a: a[0].__name__)
def test_as_many_people_are_found_as_the_threat_model_says(town, attack):
    result = linkage.run(town, attack)
    assert result.tried >= 30
    assert result.is_as_documented(), f"{result}; docs/threat-model.md says {result.low} to {result.high}"


def test_the_attacks_would_find_people_in_clear_rows(town):
    """The same questions at the real tables: an attack that never finds anybody proves nothing."""
    class Clear(linkage.Town):
        def __init__(self, other):
            self.__dict__.update(other.__dict__)
            self.eye = other.connect(other.pair.primary, "postgres")
            self.eye.execute("SET search_path = app")
            self.truth = {key: key for key in other.truth}

    clear = Clear(town)
    # the planner knows the frequent values of a column only: a few people have one
    for attack, least in ((linkage.known_values, 0.9), (linkage.dictionary, 0.9),
                          (linkage.planner, 0.01)):
        right, tried = attack(clear)
        assert right >= tried * least, attack.__name__
    clear.eye.close()
