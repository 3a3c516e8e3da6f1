"""What somebody can write into the public log by choosing what he does: the calculation of
tests/attack/channel.py against a real gateway, with a sender who does it and a receiver who has public
files only."""

import math
import os
import random
import sys
import time

import psycopg
import pytest

from conftest import ROOT
from test_grants import enter
from test_public_log import PERSON, disclose, world  # noqa: F401 (a fixture)
from waiting import wait_until

sys.path.insert(0, os.path.join(ROOT, "tests", "attack"))
import channel  # noqa: E402

ENTITY = "clipstream-us"
REFUSED = ("delete from users", "create table t(i int)", "do $$begin end$$", "copy users to stdout",
           "set role postgres", "listen x", "vacuum", "select pg_sleep(1)")
ALPHABET = {"statements": range(4, 9), "rows": range(0, 12), "denials": range(0, 6)}


def test_a_person_writes_a_bit_an_hour_and_the_threat_model_says_so():
    with open(os.path.join(ROOT, "docs", "threat-model.md"), encoding="utf-8") as text:
        said = text.read()
    assert float(channel.person_bits(1440)) < 1.5
    for bits in (float(channel.person_bits(1440)), float(channel.person_bits(360)),
                 float(channel.person_bits(1)), channel.grant_bits(1440, 2), channel.grant_bits(1440, 8)):
        assert f"{bits:,.1f}" in said, bits


def test_the_outcomes_under_a_grant_are_counted_right():
    """By trying all sequences of disclosures, each of which shows a class that was not shown."""
    def count(classes, shown):
        found = [1]
        for what in range(1, 2 ** classes):
            if what & ~shown:
                for j, ways in enumerate(count(classes, shown | what)):
                    found += [0] * (j + 2 - len(found))
                    found[j + 1] += ways
        return found

    for classes in (1, 2, 3, 4):
        assert channel.chains(classes) == count(classes, 0)


def young_minute(log, slow):
    """This one or the next: its beginning is sealed, and time enough for a symbol is left of it."""
    def begun():
        minute = int(time.time()) // 60
        written = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(60 * minute))
        last = log.leaves()[-1]
        is_sealed = last["type"] == "seal" and last["minute"] == written
        return minute if is_sealed and time.time() % 60 < 15 else None

    return wait_until(begun, "no seal", timeout=130 * slow)


def send(gateway, symbol):
    """One symbol in one interval: the middle of each band, because a login costs a statement or two."""
    statements, rows, denials = (3 * 2 ** symbol[name] // 2 for name in ("statements", "rows", "denials"))
    with gateway.connect(PERSON) as connection:
        for i in range(denials):
            with pytest.raises(psycopg.Error):
                connection.execute(REFUSED[i % len(REFUSED)])
        connection.execute(f"select generate_series(1, {max(rows, 1)})").fetchall()
        for _ in range(statements - 1):
            connection.execute("select 1 where false").fetchall()


def receive(log, minute):
    """What the interval's roll-ups say."""
    start = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(60 * minute))
    found = [leaf for leaf in log.leaves() if leaf.get("from") == start and leaf.get("entity") == ENTITY]
    sessions = [leaf for leaf in found if leaf["type"] == "session" and leaf["room"] == "masked"]
    denials = [leaf for leaf in found if leaf["type"] == "denial"]
    return sessions, denials


def test_roll_ups_hold_what_was_calculated_and_nothing_comes_between_seals(world):  # noqa: F811
    gateway, log, _ = world(epoch="60m")
    log.wait_for("the start", type="start")
    message = random.Random(4)
    right, sent, symbols = 0, 0, math.prod(len(values) for values in ALPHABET.values())
    for _ in range(2):
        symbol = {name: message.choice(values) for name, values in ALPHABET.items()}
        minute = young_minute(log, gateway.slow)
        before = log.checkpoint()
        send(gateway, symbol)
        if int(time.time()) // 60 != minute:
            pytest.skip("the machine is too slow for a symbol a minute")
        assert log.checkpoint() == before  # statements, rows, refusals: nothing moves
        wait_until(lambda minute=minute: receive(log, minute)[0], "no roll-up", timeout=80 * gateway.slow)
        sessions, denials = receive(log, minute)
        assert len(sessions) == 1
        assert len(denials) == 1 and "rule" not in denials[0]
        heard = {"statements": sessions[0]["statements"], "rows": sessions[0]["rows"],
                 "denials": denials[0]["denials"]}
        sent += 1
        right += all(heard[name] == 2 ** symbol[name] for name in symbol)
    measured = math.log2(symbols) * right / sent
    assert right == sent, (symbol, heard)
    assert measured <= float(channel.person_bits(1)) / 60
    print(f"measured: {measured:.1f} bits an interval, of {float(channel.person_bits(1)) / 60:.1f} calculated")
    log.assert_holds()


def test_a_disclosure_that_is_repeated_within_the_hour_has_one_leaf_and_every_record(world):  # noqa: F811
    gateway, log, grants = world(epoch="60m", rollup="60min")
    number = grants.open(classes=("identity", "contact"))
    queries = ("select id from users", "select email from users", "select id, email from users")
    message = random.Random(7)
    with enter(gateway, number) as connection:
        for _ in range(60):
            assert len(connection.execute(message.choice(queries)).fetchall()) == 1
    for _ in range(5):  # another session is no way around it
        assert len(disclose(gateway, number)) == 1
    log.wait_for("the disclosure", type="disclosure", grant=number)
    recorded = gateway.journal(kind="disclosure")
    published = gateway.journal(type="disclosure")
    assert len(recorded) + len(published) >= 65
    for leaf in published + recorded:
        assert leaf["revealed"].startswith("8 ")
    hours = {}
    for leaf in log.wait_for("the disclosure", type="disclosure", grant=number):
        hours.setdefault(leaf["minute"][:13], []).append(set(leaf["classes"].split(",")))
    for leaves in hours.values():
        assert len(leaves) <= 2
        shown = set()
        for classes in leaves:
            assert classes - shown  # each says something new
            shown |= classes
    assert len(hours) <= 2
    log.assert_holds()
