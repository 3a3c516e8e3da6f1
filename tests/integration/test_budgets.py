"""Budgets of grants: rows and bytes that stop before they leave, whatever way and however many sessions and
gateways; what ends when one is used up; and how many persons one may name in a day."""

import os
import signal
import threading
import time

import psycopg
import pytest

from conftest import SLOW
from test_approvals import ANALYST, PRIVACY, SECURITY, SUBJECT, Home, enter, open_request
from waiting import wait_until
from wire import cstr, error_fields

ROWS, BYTES, PER_DAY = 50, 64 * 1024, 8
MANY = "select u.email from users u, generate_series(1, {}) n"
INCIDENT = {"purpose": "security_incident", "classes": ("contact",)}


class BudgetHome(Home):
    def set_policy(self, policy):
        super().set_policy(policy)
        rules = policy["grants"]["rules"]
        rules["support"]["budget"] = {"rows": ROWS}
        rules["incident"]["budget"] = {"bytes": "64kB"}
        rules["demand"]["budget"] = {"rows": 10**6, "bytes": "4MB"}
        policy["grants"]["subjects_per_day"] = PER_DAY


@pytest.fixture(scope="module")
def home(scratch, authority, request):
    folder = os.path.join(scratch, "budgets")
    os.makedirs(folder, mode=0o755)
    made = BudgetHome(folder, authority, request)
    yield made
    made.stop()


@pytest.fixture
def people(home):
    return home.people


def is_over(home, number):
    return home.pair.primary.value('SELECT used_up FROM ringfence."grant" WHERE id = %s', number)


def refused(take):
    """It is refused for the budget; how many rows came before that."""
    with pytest.raises(psycopg.errors.ConfigurationLimitExceeded) as found:
        take()
    assert found.value.sqlstate == "53400", found.value
    assert "the budget of grant" in str(found.value), found.value


def test_fifty_rows_leave_by_every_way_together_and_not_one_more(home, people):
    number = open_request(people)
    first, second = enter(home, number), home.gateway.connect(ANALYST)
    notices = []
    second.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    second.execute(f"SET ringfence.grant = {number}")
    assert notices[0].endswith(f", at most {ROWS} rows in all"), notices
    assert len(first.execute(MANY.format(10)).fetchall()) == 10
    with second.cursor().copy(f"copy ({MANY.format(10)}) to stdout") as copy:
        assert len(list(copy.rows())) == 10
    with first.transaction():
        first.execute(f"declare reader cursor for {MANY.format(100)}")
        assert len(first.execute("fetch 10 from reader").fetchall()) == 10
    with home.gateway.login(ANALYST, options=f"-cringfence.grant={number}") as wire:
        wire.send_extended(MANY.format(100), limit=10)
        assert sum(kind == "D" for kind, _ in wire.sync()) == 10
    listed = people.do(ANALYST, "grants", request=number).json["requests"][0]
    assert listed["budget"] == {"rows": ROWS} and 0 <= listed["left"]["rows"] <= 10, listed
    refused(lambda: first.execute(MANY.format(11)).fetchall())
    began = time.monotonic()
    while True:
        try:
            second.execute("select 1")
        except psycopg.Error:
            break
        assert time.monotonic() - began < 1.5 * SLOW, "the other session goes on"
        time.sleep(0.02)
    wait_until(lambda: home.state(number) == "used_up", "the request is not used up", timeout=5 * SLOW)
    wait_until(lambda: is_over(home, number), "the grant goes on", timeout=5 * SLOW)
    with pytest.raises(psycopg.OperationalError):
        enter(home, number).close()
    leaf = home.gateway.public_log.wait_for("the end", type="revoke", grant=number)[0]
    assert leaf["rule"] == "used_up", leaf
    denials = home.gateway.journal(kind="denial", rule="grant-budget", grant=number)
    assert any("11 rows" in denial["detail"] for denial in denials), denials
    home.gateway.public_log.assert_holds()


def test_a_row_that_is_longer_than_what_is_left_does_not_leave_in_part(home, people):
    number = open_request(people, **INCIDENT)
    connection = enter(home, number)
    assert len(connection.execute(f"select lpad(email, {BYTES // 2}) from users").fetchall()) == 1
    with home.gateway.login(ANALYST, options=f"-cringfence.grant={number}") as wire:
        wire.send("Q", cstr(f"select lpad(email, {40 * BYTES}) from users"))
        answer = wire.until_ready()
        assert [kind for kind, _ in answer] == ["T", "E", "Z"], [kind for kind, _ in answer]
        assert error_fields(answer[1][1])["C"] == "53400", answer
        kind, body = wire.receive_answer()
        assert kind == "E" and error_fields(body)["C"] == "57P01", (kind, body)
        assert "its budget is used up" in error_fields(body)["M"], body
    wait_until(lambda: is_over(home, number), "the grant goes on", timeout=5 * SLOW)


def test_a_long_answer_stops_where_the_budget_ends(home, people):
    number = people.ask(PRIVACY, [SUBJECT], purpose="legal_demand").json["request"]
    assert people.vote(SECURITY, number).json["state"] == "open"
    with home.gateway.login(PRIVACY, options=f"-cringfence.grant={number}") as wire:
        assert len(wire.query("select lpad(email, 1000) from users, generate_series(1, 1000)")) == 1000
        wire.send("Q", cstr("select lpad(email, 1000) from users, generate_series(1, 100000)"))
        answer = wire.until_ready()
        rows = sum(5 + len(body) for kind, body in answer if kind == "D")
    assert [kind for kind, _ in answer if kind != "D"] == ["T", "E", "Z"]
    assert error_fields(answer[-2][1])["C"] == "53400", answer[-2]
    # all but what does not make a part of an answer any more
    assert 2 * 2**20 < rows < 4 * 2**20 - 1000 * 1000, rows
    wait_until(lambda: is_over(home, number), "the grant goes on", timeout=5 * SLOW)


def told_budget(home, number):
    notices = []
    try:
        with home.gateway.connect(ANALYST) as connection:
            connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
            connection.execute(f"SET ringfence.grant = {number}")
    except psycopg.Error:  # a reload is under way
        return None
    return notices[0].split("at most ")[-1]


def test_a_smaller_budget_holds_for_open_grants(home, people):
    number, after = open_request(people), open_request(people)
    connection = enter(home, number)
    assert len(connection.execute(MANY.format(15)).fetchall()) == 15
    budget = home.gateway.policy["grants"]["rules"]["support"]["budget"]
    budget["rows"] = 20
    home.gateway.write_policy()
    home.gateway.reload()
    try:
        wait_until(lambda: told_budget(home, number) == "20 rows in all", "the old budget rules", timeout=20 * SLOW)
        assert people.do(ANALYST, "grants", request=number).json["requests"][0]["budget"] == {"rows": 20}
        refused(lambda: connection.execute(MANY.format(6)).fetchall())
    finally:
        budget["rows"] = ROWS
        home.gateway.write_policy()
        home.gateway.reload()
        wait_until(lambda: told_budget(home, after) == f"{ROWS} rows in all", "the budget stays small",
                   timeout=20 * SLOW)


class Reader(threading.Thread):
    """Reads one row after the other until it is refused."""

    def __init__(self, connect, step=1):
        super().__init__()
        self.connect, self.step, self.count, self.error = connect, step, 0, None

    def run(self):
        try:
            with self.connect() as connection:
                for _ in range(3 * ROWS):
                    self.count += len(connection.execute(MANY.format(self.step)).fetchall())
        except psycopg.Error as error:
            self.error = error


@pytest.fixture(scope="module")
def other(home):
    made = home.new_gateway()[0]
    yield made
    made.public_log.witness.stop()


def test_two_gateways_release_no_more_than_one_budget(home, other, people):
    number = open_request(people)
    options = f"-cringfence.grant={number}"
    readers = [Reader(lambda g=gateway: g.connect(ANALYST, options=options), step)
               for gateway in (home.gateway, other) for step in (1, 2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert all(reader.error is not None for reader in readers)
    assert "53400" in {reader.error.sqlstate for reader in readers}, [r.error for r in readers]
    # nothing idled: all of it but what the last ones could not use
    assert ROWS - 2 <= sum(reader.count for reader in readers) <= ROWS, [r.count for r in readers]
    wait_until(lambda: is_over(home, number), "the grant goes on", timeout=5 * SLOW)
    for gateway in (home.gateway, other):
        leaf = gateway.public_log.wait_for("the end", type="revoke", grant=number)[0]
        assert leaf["rule"] == "used_up", leaf


def test_processes_that_die_release_no_more(home, people):
    number = open_request(people)
    got = 0
    for role in ("control", "worker", "control", "worker"):
        connection = wait_until(lambda: try_enter(home, number), "the grant does not come back",
                                timeout=20 * SLOW)
        got += len(connection.execute(MANY.format(5)).fetchall())
        for pid in home.gateway.pids(role):
            home.gateway.signal(pid, signal.SIGKILL)
        try:
            got += len(connection.execute(MANY.format(5)).fetchall())
        except psycopg.Error:
            pass
    connection = wait_until(lambda: try_enter(home, number), "the grant does not come back", timeout=20 * SLOW)
    try:
        for _ in range(ROWS):
            with connection.cursor().copy(f"copy ({MANY.format(2)}) to stdout") as copy:
                got += len(list(copy.rows()))
    except psycopg.Error as error:
        assert error.sqlstate == "53400" or "its budget is used up" in str(error), error
    assert ROWS // 2 <= got <= ROWS, got
    wait_until(lambda: is_over(home, number), "the grant goes on", timeout=5 * SLOW)


def try_enter(home, number):
    try:
        connection = enter(home, number)
        connection.execute("select 1 where false")
        return connection
    except psycopg.OperationalError:
        return None


def test_a_day_has_no_more_persons_than_the_policy_allows(home, people):
    home.pair.primary.rows("DELETE FROM ringfence.grant_subject")
    home.pair.primary.rows('UPDATE ringfence."grant" SET opened = opened - interval \'2 days\'')
    # all may be asked for as long as none is open; of what is approved then only the first two open
    asked = [people.ask(ANALYST, subjects).json["request"]
             for subjects in ([8, 9, 10, 11], [10, 11, 12, 13], [13, 14, 15, 16])]
    states = []
    for number in asked:
        assert people.vote(PRIVACY, number).json["state"] == "waiting"
        states.append(people.vote(SECURITY, number).json["state"])
    assert states == ["open", "open", "lapsed"], states
    again = people.ask(ANALYST, [14, 15, 16])
    assert (again.status, again.rule) == (429, "subjects-per-day"), again
    assert people.ask(ANALYST, [SUBJECT, 13]).status == 200       # persons that he has grants for already


def test_of_two_openings_at_once_the_second_one_sees_the_first(home, people):
    home.pair.primary.rows('UPDATE ringfence."grant" SET opened = opened - interval \'2 days\'')
    numbers = [people.ask(ANALYST, subjects).json["request"]
               for subjects in ([8, 9, 10, 11, 12], [13, 14, 15, 16, 17])]
    for number in numbers:
        people.vote(PRIVACY, number)
        home.pair.primary.rows("UPDATE ringfence.request SET state = 'approved' WHERE id = %s", number)
    outcomes = []

    def open_it(number):
        with psycopg.connect(home.pair.primary.dsn(), autocommit=True) as connection:
            try:
                connection.execute("SELECT ringfence.request_open_within(%s, 'a leaf', %s)", (number, PER_DAY))
                outcomes.append("open")
            except psycopg.Error as error:
                outcomes.append(error.sqlstate)

    threads = [threading.Thread(target=open_it, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["53400", "open"], outcomes
