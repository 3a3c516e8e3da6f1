"""What somebody who may read the statistics, and nothing else, can find out about one person: by
subtracting views from one another, by asking again and again, and by what changes when one person's
rows do. The numbers are printed (pytest -s) and stand in docs/threat-model.md."""

import itertools
import os
import random

import pytest

from applied import Server

MINIMUM = 20
DAYS, USERS = 40, 3000

DATA = f"""
TRUNCATE app.users CASCADE;
INSERT INTO app.users (id, handle, email, birthdate, residency, created_at)
SELECT i, 'u' || i, 'u' || i, date '1950-01-01' + (i * 7919) % 18000, 'US',
       timestamptz '2026-01-01 00:00:00+00' + (i % 240) * interval '1 day'
FROM generate_series(1, {USERS}) i;
INSERT INTO app.videos (id, user_id, title, created_at, residency)
SELECT i, i, 't', timestamptz '2026-01-01 00:00:00+00', 'US' FROM generate_series(1, 100) i;
SELECT setseed(0.5);
INSERT INTO app.watch_events (user_id, video_id, at, seconds, residency)
SELECT 1 + floor(power(random(), 2) * {USERS})::bigint, 1 + floor(random() * 100)::bigint,
       timestamptz '2026-03-01 00:00:00+00' + random() * interval '{DAYS} days',
       floor(power(random(), 14) * 120)::int, 'US' FROM generate_series(1, 60000);
ANALYZE;
"""


@pytest.fixture(scope="module")
def region(scratch, authority, build):
    server = Server(os.path.join(scratch, "statistics"), authority, build)
    made = server.new_database()
    made.rows(DATA)
    made.policy["statistics"]["watch_by_day_and_length"] = {
        "table": "app.watch_events", "minimum": MINIMUM,
        "dimensions": {"residency": "residency", "day": {"column": "at", "cut": "day"},
                       "seconds_from": {"column": "seconds", "cut": "coarse", "step": 20}},
        "measures": {"views": "count_rows", "viewers": "count_subjects", "seconds": {"sum": "seconds"}}}
    made.apply()
    yield made
    server.cluster.stop()


def figures(region, view):
    """{dimensions: measures} as an analyst abroad sees them."""
    with_names = [name for name, in region.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " ORDER BY attnum".replace("%s", f"'stats.{view}'"))]
    count = len(region.policy["statistics"][view].get("dimensions", {}))
    rows = region.rows(f"SELECT {', '.join(with_names)} FROM stats.{view}", "us_analyst.stats")
    return {row[:count]: row[count:] for row in rows}


def truth(region, *dimensions):
    listed = ", ".join(("residency",) + dimensions)
    rows = region.rows(f"SELECT {listed}, count(*), count(DISTINCT user_id), sum(seconds)"
                       f" FROM app.watch_events GROUP BY {listed}")
    return {row[:-3]: row[-3:] for row in rows}


DAY = "date_trunc('day', at, 'UTC')"
LENGTH = "seconds - seconds % 20"


def test_figures_are_near_the_truth(region):
    """Else they would be of no use: within a few in a hundred where a group is large."""
    true, shown = truth(region, DAY), figures(region, "watch_by_day")
    assert len(shown) == len(true)
    errors = sorted(abs(shown[cell][0] - true[cell][0]) / true[cell][0] for cell in shown)
    people = sorted(abs(shown[cell][1] - true[cell][1]) / true[cell][1] for cell in shown)
    seconds = sorted(abs(shown[cell][2] - true[cell][2]) / true[cell][2] for cell in shown)
    print(f"\nmedian error by day: views {errors[20]:.2%}, viewers {people[20]:.2%}, seconds {seconds[20]:.2%}")
    assert errors[20] < 0.05 and people[20] < 0.02 and seconds[20] < 0.06  # the key is random


def test_no_figure_is_exact_and_none_is_of_a_small_group(region):
    true, shown = truth(region, DAY, LENGTH), figures(region, "watch_by_day_and_length")
    assert shown and len(shown) < len(true)
    assert all(true[cell][1] >= MINIMUM for cell in shown)
    kept = sum(1 for cell in true if true[cell][1] >= MINIMUM)
    exact = sum(1 for cell in shown if shown[cell][1] == true[cell][1])
    print(f"\n{len(shown)} of {kept} groups of at least {MINIMUM} shown, {exact} with the exact number")
    assert len(shown) > 0.8 * kept
    assert exact < len(shown) / 4  # a multiple of five is right by chance in one of nine


def test_subtracting_any_two_views_does_not_find_a_small_group(region):
    """The attack of the threat model: totals of one view, less all groups that another shows."""
    by_day, finer = figures(region, "watch_by_day"), figures(region, "watch_by_day_and_length")
    true, fine = truth(region, DAY), truth(region, DAY, LENGTH)
    hits, small = 0, []
    for cell in by_day:
        hidden = [fine[k][0] for k in fine if k[:2] == cell and k not in finer]
        guess = by_day[cell][0] - sum(v[0] for k, v in finer.items() if k[:2] == cell)
        if 0 < sum(hidden) < MINIMUM:
            small.append(guess - sum(hidden))
            hits += abs(guess - sum(hidden)) < 1
        assert true[cell]
    spread = sorted(abs(error) for error in small)[len(small) // 2]
    print(f"\n{len(small)} hidden groups of fewer than {MINIMUM} views: {hits} guessed right,"
          f" median error of the difference {spread} views")
    assert len(small) >= 3
    assert hits <= max(2, len(small) / 5) and spread >= 3


def test_polling_shows_nothing_until_the_period_is_over(region):
    views = region.policy["statistics"]
    before = {view: figures(region, view) for view in views}
    try:
        region.rows("INSERT INTO app.users (id, handle, email, birthdate, residency) SELECT 90000 + i,"
                    " 'p' || i, 'p' || i, '1980-01-01', 'US' FROM generate_series(1, 50) i")
        region.rows("INSERT INTO app.watch_events (user_id, video_id, at, seconds, residency)"
                    " SELECT 90000 + i, 1, now(), 7, 'US' FROM generate_series(1, 50) i")
        assert {view: figures(region, view) for view in views} == before
    finally:
        region.rows("DELETE FROM app.watch_events WHERE user_id > 90000;"
                    "DELETE FROM app.users WHERE id > 90000")


def test_asking_again_and_in_other_words_gives_the_same_figures(region):
    first = figures(region, "watch_by_day")
    assert all(figures(region, "watch_by_day") == first for _ in range(3))
    whole = region.rows("SELECT day, viewers FROM stats.watch_by_day WHERE residency = 'US'"
                        " AND day > '2026-03-01' ORDER BY 1", "us_analyst.stats")
    assert whole == sorted((day, value[1]) for (_, day), value in first.items()
                           if str(day) > "2026-03-01 01")


def test_one_person_more_or_less_in_a_closed_period_is_not_told(region):
    """A row is added to a closed day, or taken away: from the change of its figures, guess which."""
    chance = random.Random(7)
    right = tried = 0
    for turn in range(20):
        day = f"2026-03-{turn % 28 + 1:02d} 12:00:00+00"
        newcomer = 1 + turn * 41 % USERS
        row = (f"INSERT INTO app.watch_events (id, user_id, video_id, at, seconds, residency) VALUES"
               f" (800000, {newcomer}, 1, '{day}', 30, 'US')")
        cell = [k for k in figures(region, "watch_by_day") if str(k[1]).startswith(day[:10])][0]
        with_row = chance.random() < 0.5
        without = figures(region, "watch_by_day")[cell]
        region.rows(row)
        having = figures(region, "watch_by_day")[cell]
        region.rows("DELETE FROM app.watch_events WHERE id = 800000")
        before, after = (without, having) if with_row else (having, without)
        difference = after[0] - before[0]
        guess = difference > 0 if difference != 0 else chance.random() < 0.5
        right += guess == with_row
        tried += 1
    print(f"\nadded or removed, guessed right in {right} of {tried}")
    assert right <= tried * 0.8


def test_a_person_who_makes_most_of_a_figure_hides_it(region):
    cell = "2026-03-05 13:00:00+00"
    region.rows(f"INSERT INTO app.watch_events (id, user_id, video_id, at, seconds, residency)"
                f" SELECT 900000 + i, 5, 1, '{cell}', 119, 'US' FROM generate_series(1, 1500) i")
    try:
        shown = {str(k[1])[:10]: v for k, v in figures(region, "watch_by_day").items()}
        views, viewers, seconds = shown["2026-03-05"]
        assert views is None and seconds is None and viewers is not None
        assert shown["2026-03-06"][0] is not None
    finally:
        region.rows("DELETE FROM app.watch_events WHERE id > 900000")


@pytest.mark.parametrize("amount", ["1.2345e-330", "1.2345e310", "'NaN'"])
def test_a_number_that_does_not_fit_is_in_no_error(region, amount):
    region.rows("CREATE TABLE app.pays (user_id bigint REFERENCES app.users, at timestamptz, amount numeric,"
                " residency text); INSERT INTO app.pays SELECT id, '2026-03-01', 10, 'US' FROM app.users;"
                f"UPDATE app.pays SET amount = {amount} WHERE user_id = 5")
    try:
        region.policy["tables"]["app.pays"] = {
            "subject": "user_id", "residency": "residency", "columns": {
                "user_id": "identity", "at": "activity", "amount": "payment", "residency": "none"}}
        region.policy["statistics"]["pays"] = {
            "table": "app.pays", "dimensions": {"residency": "residency"}, "minimum": MINIMUM,
            "measures": {"sum": {"sum": "amount"}, "mean": {"avg": "amount"}}}
        region.apply()
        (_, total, _), = region.rows("SELECT * FROM pays", "us_analyst.stats")
        assert (total is not None) == (amount == "1.2345e-330")
    finally:
        del region.policy["tables"]["app.pays"], region.policy["statistics"]["pays"]
        region.rows("DROP TABLE app.pays CASCADE")
        region.apply()


def test_types_are_those_of_plain_aggregates(region):
    types = dict(region.rows("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                             " WHERE attrelid = 'stats.watch_by_length'::regclass AND attnum > 0"))
    assert types["views"] == types["viewers"] == "bigint" and types["average_seconds"] == "numeric"
    assert dict(region.rows(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid ="
        " 'stats.watch_by_day'::regclass AND attnum > 0"))["seconds"] == "bigint"


def test_the_noise_cannot_be_asked_for(region):
    for statement in ("SELECT ringfence.statistic_figure(1, 'x', 1, 1, 1)",
                      "SELECT * FROM ringfence.pseudonym_key"):
        with pytest.raises(Exception, match="permission denied"):
            region.rows(statement, "us_analyst.stats")


def test_a_changed_figure_function_is_set_right(region):
    assert region.command("plan", "--check").returncode == 0
    region.rows("ALTER FUNCTION ringfence.statistic_figure(bigint, text, double precision,"
                " double precision, double precision) SECURITY INVOKER")
    assert region.command("plan", "--check").returncode == 1
    region.apply()
    assert region.command("plan", "--check").returncode == 0
    assert figures(region, "watch_by_day")


def test_every_pair_of_views_of_a_table(region):
    """No two views of one table give the same total: what is between them is noise."""
    views = [v for v, s in region.policy["statistics"].items() if s["table"] == "app.watch_events"]
    for one, other in itertools.combinations(views, 2):
        sums = [sum(v[0] for v in figures(region, view).values() if v[0] is not None)
                for view in (one, other)]
        assert sums[0] != sums[1], (one, other)
