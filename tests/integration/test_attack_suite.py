"""The short form of `./dev attack` (tests/attack): the same statements, fewer of them."""

import contextlib
import os
import re
import sys

import pytest

from conftest import BUILD, ROOT, SANDBOX, SLOW

sys.path.insert(0, os.path.join(ROOT, "tests", "attack"))

import attack  # noqa: E402
import oracle  # noqa: E402
from assault import Assault, Target, generated, handwritten  # noqa: E402
from ideas import by_hand, ideas  # noqa: E402
from session import Script  # noqa: E402
from shrink import shrink  # noqa: E402
from world import CHILD, NAMED, STRANGER, World  # noqa: E402


@pytest.fixture(scope="module")
def world(scratch, authority):
    made = World(os.path.join(scratch, "attacked"), authority, BUILD, SANDBOX, SLOW)
    made.gateway.start()
    yield made
    made.close()


def described(tallies):
    return "\n".join(str(finding.as_dict()) for finding in attack.total(tallies).findings[:10])


def test_nothing_protected_comes_out(world):
    tallies = attack.run(world, statements=5000, seed="short", processes=2)
    assert attack.total(tallies).bites.total() == 0, described(tallies)
    for target, tally in tallies.items():
        # an attack of which everything is refused proves nothing about views
        answered = 1 - tally.errors.total() / tally.statements.total()
        assert answered > (0.05 if target[1] == "gateway" or target[0] == "stats" else 0.2), target


def test_every_kind_of_attack_finds_what_is_not_protected(world):
    tally = attack.total(attack.run(world, statements=4000, seed="bite", bite=True))
    categories = {"startup"} | set(ideas()) | {category for category, _ in by_hand()}
    assert {name for name in categories if tally.bites[name] == 0} == set()


LEAKING = {
    "the text itself": "SELECT email FROM users",
    "capitals": "SELECT upper(title) FROM videos",
    "backwards": "SELECT reverse(handle) FROM users",
    "hexadecimal": "SELECT encode(convert_to(upper(body), 'UTF8'), 'hex') FROM messages",
    "base64, not at its start": "SELECT encode(convert_to('xx' || q, 'UTF8'), 'base64') FROM searches",
    "letter by letter": "SELECT string_to_array(card_last4, NULL) FROM purchases",
    "a hash without a key": "SELECT md5(card_last4) FROM purchases",
    "a real key": "SELECT id FROM users",
    "a real key as bytes": "SELECT int8send(user_id) FROM watch_events",
    "a number of a telephone": "SELECT substr(phone, 3) FROM users",
    "a latitude": "SELECT lat FROM locations",
    "an address": "SELECT host(ip) FROM locations",
    "an exact time": "SELECT at FROM watch_events",
    "an exact time as a number": "SELECT extract(epoch FROM at) FROM searches",
    "a day of birth": "SELECT to_char(birthdate, 'DD.MM.YYYY') FROM users",
    "an amount": "SELECT cents FROM purchases",
    "a statistic": "SELECT histogram_bounds FROM pg_stats WHERE tablename = 'users'",
    "an error": "SELECT 1 FROM users ORDER BY email::int",
    "a notice": "DO $$ BEGIN RAISE NOTICE '%', (SELECT max(email) FROM users); END $$",
    "a plan": "CREATE FUNCTION pg_temp.f() RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT max(email)"
              " FROM users$$ ;; EXPLAIN SELECT 1 FROM users WHERE email = pg_temp.f()",
    "a notification": "LISTEN x ;; SELECT pg_notify('x', max(email)) FROM users",
    "a copy": "COPY (SELECT body FROM messages) TO STDOUT",
}


@pytest.mark.parametrize("how", ["simple", "extended", "binary"])
@pytest.mark.parametrize("form", LEAKING)
def test_the_watch_sees(world, form, how):
    """The judge is only as good as his eyes."""
    statements = LEAKING[form].split(" ;; ")
    tally = Assault(Target(world, "masked", "bare")).run([Script("eyes", statements, how)], 10 ** 9)
    assert tally.bites["eyes"] == 1


def test_a_childs_masked_row_would_be_seen(world):
    primary = world.pair.primary
    with primary.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("UPDATE app.users SET birthdate = '1950-01-01' WHERE id = %s",
                           [world.planted.keys[CHILD]])
        rows = connection.execute("SELECT * FROM masked.watch_events").fetchall()
    assert Target(world, "masked", "standby").watch().find(str(rows).encode())


@contextlib.contextmanager
def spoiled(world, view, there, instead):
    """VIEW with a part of its definition (a pattern) replaced, for as long as it takes."""
    primary = world.pair.primary
    good = primary.value("SELECT pg_get_viewdef(%s::regclass)", view)
    barrier = primary.value("SELECT coalesce(reloptions::text, '') FROM pg_class WHERE oid = %s::regclass",
                            view)
    how = " WITH (security_barrier)" if "barrier" in barrier else ""
    bad, count = re.subn(there, lambda _: instead, good)
    assert count == 1, f"{view} is not made the way this test spoils it: {good}"
    try:
        primary.rows(f"CREATE OR REPLACE VIEW {view}{how} AS {bad}")
        world.pair.wait_for_standby()
        yield
    finally:
        primary.rows(f"CREATE OR REPLACE VIEW {view}{how} AS {good}")
        world.pair.wait_for_standby()


def test_one_bad_column_is_found(world):
    """A view as a careless change would leave it: the mask of one column forgotten."""
    with spoiled(world, "masked.searches", r"(?:NULL|'\*\*\*')::text AS q", "t.q"):
        tallies = attack.run(world, statements=400, seed="spoiled", room="masked",
                             only=["plain", "documents"])
def test_the_same_seed_gives_the_same_statements(world):
    tables = Target(world, "masked", "standby").tables()

    def first(seed):
        stream = generated(seed, tables)
        return [next(stream).text() for _ in range(200)]

    assert first("a") == first("a")
    assert first("a") != first("b")
    assert len(list(handwritten(Target(world, "masked", "standby")))) > 300


# --- the differential oracle ----------------------------------------------------------------------


def told(findings):
    return "\n".join(str(finding.as_dict()) for finding in findings[:5])


def test_a_masked_answer_depends_on_no_hidden_value(world):
    run = oracle.over_masked(world, 150, "short")
    assert run.compared > 1000
    assert run.findings == [], told(run.findings)


def test_the_oracle_sees_a_mask_that_lets_a_little_through(world):
    """Not the value, only how long it is: no canary would show it."""
    with spoiled(world, "masked.users", r"'\*\*\*'::text AS email",
                 "(CASE WHEN length(t.email) > 20 THEN '****' ELSE '***' END) AS email"):
        email = [c for c in oracle.hidden_changes(world.planted.keys[STRANGER]) if c.column == "email"]
        assert oracle.over_masked(world, 120, "spoiled", email).findings


def test_what_depends_on_a_named_subject_was_announced(world):
    run = oracle.over_granted(world, 240, "short")
    assert run.different > 20, "the statements hardly look at the subjects"
    assert run.findings == [], told(run.findings)


def test_the_oracle_sees_a_value_that_is_not_announced(world):
    with spoiled(world, "granted.users", r"ringfence(?:\.reveal|_native\.mark)\([^()]*'contact'[^()]*\)",
                 "true"):
        email = [c for c in oracle.clear_changes(world.planted.keys[NAMED]) if c.column == "email"]
        findings = oracle.over_granted(world, 120, "spoiled", email).findings
        assert findings and all("users.email" in finding.what for finding in findings)


def test_what_depends_on_a_named_subject_is_on_record(world):
    run = oracle.over_gateway(world)
    assert run.different > 20
    assert run.findings == [], told(run.findings)
