"""What is found elsewhere is traced to the grant under which it was shown, and to no other: with real grants, real
results, real commands. That the extension's marks are the same ones, test_native.py shows."""

import csv
import datetime
import hashlib
import io
import json
import os
import random
import subprocess

import pytest

from commands import utc
from conftest import BUILD
from test_approvals import ANALYST, HIS_CHIEF, OTHER, PRIVACY, SECURITY, SUBJECT, Home, enter

HEAD = "us_head_of_data"
PER_DAY = 12
QUESTION = ("SELECT u.id, u.handle, u.email, w.id, w.at FROM users u JOIN watch_events w ON w.user_id = u.id"
            " ORDER BY w.at, w.id")


class MarkedHome(Home):
    def set_policy(self, policy):
        super().set_policy(policy)
        policy["grants"]["marks"] = {"times": "on", "per_day": PER_DAY}
        policy["grants"]["rules"]["support"]["classes"] = ["contact", "activity"]


@pytest.fixture(scope="module")
def home(scratch, authority, request):
    folder = os.path.join(scratch, "marked")
    os.makedirs(folder, mode=0o755)
    made = MarkedHome(folder, authority, request)
    yield made
    made.stop()


@pytest.fixture
def people(home):
    yield home.people
    home.pair.primary.rows("DELETE FROM ringfence.trace_day")


@pytest.fixture(scope="module")
def shown(home):
    """{grant: its rows} of two who ask the same about the same persons."""
    found = {}
    for who in (ANALYST, HEAD):
        asked = home.people.ask(who, [SUBJECT, OTHER], classes=("contact", "activity"))
        assert asked.status == 200, asked
        number = asked.json["request"]
        home.people.vote(PRIVACY, number)
        assert home.people.vote(SECURITY, number).json["state"] == "open"
        with enter(home, number, who) as connection:
            found[number] = connection.execute(QUESTION).fetchall()
        assert len(found[number]) > 10
    return found


def leak(folder, rows, seed):
    """A file of few of these rows, in no order."""
    rows = random.Random(seed).sample(rows, min(4, len(rows)))
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path = folder / f"leak{seed}.csv"
    path.write_text(text.getvalue())
    return str(path)


def trace(home, *words, who=PRIVACY, status=0):
    done = subprocess.run(
        [f"{BUILD}/src/cmd/ringfence", "trace", *words, "--reason", "found on a fair", "--region", "us-virginia",
         "--actor", who, "--identity", home.people.key(who), "--hub", f"https://127.0.0.1:{home.people.port}",
         "--ca", home.people.ca, "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def grants(answer):
    return [one["request"] for one in answer["grants"]]


def test_a_few_shuffled_rows_are_traced_to_their_grant_alone(home, people, shown, tmp_path):
    for number, rows in shown.items():
        pseudonyms = trace(home, leak(tmp_path, [row[:4] for row in rows], number))
        assert grants(pseudonyms) == [number], pseudonyms
        assert pseudonyms["grants"][0]["pseudonyms"] >= 4 and pseudonyms["grants"][0]["one_in"] == 10**15
        times = trace(home, leak(tmp_path, [row[2::2] for row in rows], number + 100))
        assert grants(times) == [number] and times["pseudonyms"] == 0, times
        assert times["grants"][0]["times"] == times["times"] == 4
    one, two = shown
    together = leak(tmp_path, shown[one], 1), leak(tmp_path, shown[two], 2)
    assert set(grants(trace(home, *together))) == {one, two}


def test_one_value_is_traced_too(home, people, shown):
    for number, rows in shown.items():
        for value in (str(rows[0][0]), rows[0][1], str(rows[0][3])):
            answer = trace(home, value)
            assert grants(answer) == [number] and answer["pseudonyms"] == 1, answer
    assert grants(trace(home, rows[0][1][:-1] + ("0" if rows[0][1][-1] != "0" else "1"))) == []


def test_the_masked_room_and_the_tables_are_traced_to_no_grant(home, people, shown, tmp_path):
    with home.gateway.connect(ANALYST) as connection:
        masked = connection.execute("SELECT id, handle, created_at FROM users LIMIT 30").fetchall()
    clear = home.pair.primary.rows("SELECT id, at + id * interval '12.345678 s' FROM app.watch_events ORDER BY at"
                                   " LIMIT 50")
    for rows in (masked, clear):
        path = tmp_path / "rows.csv"
        path.write_text("\n".join(",".join(map(str, row)) for row in rows))
        answer = trace(home, str(path))
        assert answer["grants"] == [] and answer["tried"] >= 2, answer


def test_the_mark_is_what_the_format_says(home, shown):
    """By docs/formats/watermark.md alone."""
    for number, rows in shown.items():
        key = bytes(home.pair.primary.value('SELECT watermark FROM ringfence."grant" WHERE id = %s', number))
        for user, handle, _, event, at in rows:
            for digits in (f"{user:016x}", handle[2:], f"{event:016x}"):
                assert hashlib.sha256(key + bytes.fromhex(digits[:-6])).hexdigest()[:6] == digits[-6:]
            ms = at.minute % 15 * 60000 + at.second * 1000 + at.microsecond // 1000
            mark = hashlib.sha256(key + ms.to_bytes(4, "big")).digest()[:4]
            assert int.from_bytes(mark, "big") % 1000 == at.microsecond % 1000


def test_times_stay_in_their_millisecond_and_in_order(home, shown):
    true = [at for (at,) in home.pair.primary.rows(
        "SELECT at FROM app.watch_events WHERE user_id IN (%s, %s) ORDER BY at, id", SUBJECT, OTHER)]
    for rows in shown.values():
        marked = [row[4] for row in rows]
        assert marked == sorted(marked) and len(marked) == len(true)
        for one, other in zip(true, marked):
            assert abs(one - other) < datetime.timedelta(milliseconds=1)
            assert one.microsecond // 1000 == other.microsecond // 1000
    first, second = shown.values()
    assert sum(a[4] == b[4] for a, b in zip(first, second)) < len(first) / 4


def test_a_grant_is_traced_when_it_has_ended_and_its_secret_is_gone(home, people, shown):
    number, rows = next(iter(shown.items()))
    assert people.do(SECURITY, "revoke", request=number, reason="done").json["state"] == "revoked"
    assert home.pair.primary.value(
        'SELECT count(*) FROM ringfence.grant_subject JOIN ringfence."grant" USING (role) WHERE id = %s', number) == 0
    assert grants(trace(home, rows[0][1])) == [number]


def test_a_grant_with_thousands_behind_it_is_traced(home, people, shown):
    number, rows = next(iter(shown.items()))
    home.pair.primary.rows(
        'INSERT INTO ringfence."grant" (id, actor, role, role_id, purpose, opened, ends, closed, gone, watermark)'
        " SELECT n, 'us_analyst', 'rf_g_' || lpad(n::text, 16, '0'), n, 'support_ticket', now(), now(), now(), true,"
        " sha256(int8send(n)) FROM generate_series(1000000, 1002600) n")
    answer = trace(home, rows[0][1])
    home.pair.primary.rows('DELETE FROM ringfence."grant" WHERE id >= 1000000')
    assert grants(answer) == [number] and answer["tried"] > 2600, answer


def test_it_is_on_record_what_was_traced_and_found(home, people, shown):
    number, rows = next(iter(shown.items()))
    trace(home, rows[0][1])
    record = home.gateway.journal(kind="trace")[-1]
    assert record["actor"] == PRIVACY and record["detail"] == f"grants={number}"
    assert f"leaked {rows[0][1]}\nreason found on a fair\n" in record["text"]
    assert not any(leaf["type"] == "trace" for leaf in home.gateway.public_log.leaves())


def test_nothing_but_what_could_bear_a_mark_leaves_the_file(home, people, shown, tmp_path):
    path = tmp_path / "leak.json"
    path.write_text(json.dumps([{"id": user, "email": email, "handle": "Zoë", "at": str(at)}
                                for user, _, email, _, at in next(iter(shown.values()))]))
    assert len(grants(trace(home, str(path)))) == 1
    text = home.gateway.journal(kind="trace")[-1]["text"]
    leaked = [line.split(" ", 1)[1] for line in text.splitlines() if line.startswith("leaked ")]
    assert 2 < len(leaked) <= 40 and not any("@" in one or "Zo" in one or "-" in one for one in leaked)


def test_approvers_at_home_may_and_nobody_else(home, people, shown):
    value = next(iter(shown.values()))[0][1]
    for who, rule in ((ANALYST, "tracer-not-listed"), (HIS_CHIEF, "approver-abroad"),
                      ("eu_privacy_officer", "approver-abroad"), ("cn_engineer", "approver-abroad")):
        refused = people.do(who, "trace", leaked=[value], reason="x")
        assert (refused.status, refused.rule) == (403, rule), (who, refused)
    for leaked, rule in ((["nothing of ours"], "nothing-to-trace"),
                         ([f"p_{n:020x}" for n in range(41)], "too-many-values")):
        refused = people.do(PRIVACY, "trace", leaked=leaked, reason="x")
        assert (refused.status, refused.rule) == (400, rule), refused
    text = people.text(PRIVACY, "trace", leaked=[value], reason="x", expires=utc(60))
    signature = people.sign(text, PRIVACY)
    assert people.post(text, signature).status == 200
    assert people.post(text, signature).rule == "used-before"


def test_so_many_in_a_day(home, people, shown):
    value = next(iter(shown.values()))[0][1]
    for _ in range(PER_DAY):
        assert people.do(SECURITY, "trace", leaked=[value], reason="x").status == 200
    refused = people.do(SECURITY, "trace", leaked=[value], reason="x")
    assert (refused.status, refused.rule) == (429, "too-many"), refused
    assert people.do(PRIVACY, "trace", leaked=[value], reason="x").status == 200
