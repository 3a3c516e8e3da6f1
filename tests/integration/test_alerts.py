"""Alerts: each rule raises one exactly at its bound and not below, by the functions that the policy becomes in a
region's database; what it leads to, through a real gateway: on record, suspended, reviewed by somebody else."""

import datetime
import hashlib
import os

import psycopg
import pytest

from conftest import SLOW
from test_approvals import ANALYST, HIS_CHIEF, PRIVACY, SECURITY, SUBJECT, Home, enter, open_request
from waiting import wait_until

HEAD, ENGINEER, HONEY = "us_head_of_data", "cn_engineer", 11
NOON = datetime.datetime(2026, 11, 25, 17, 0, tzinfo=datetime.timezone.utc)  # a Wednesday; noon in Virginia
DAY, SECOND = datetime.timedelta(days=1), datetime.timedelta(seconds=1)
ALERTS = {
    "repeated_subject": {"looks": 3, "days": 7, "suspend": "on"},
    "linked_subjects": {"persons": 3, "days": 7},
    "habit": {"factor": 4, "least": 5, "days": 28, "least_rows": 100},
    "hours": [{"departments": ["analytics"], "from": "07:00", "until": "20:00", "offset": "-05:00", "days": "mon-fri"},
              {"entities": ["clipstream-us"], "departments": ["analytics"], "from": "09:00", "until": "12:00",
               "offset": "-05:00", "days": "sat", "suspend": "on"}],
    "new_place": {"days": 28},
    "denied": {"per_day": 3},
    "forged_token": {"suspend": "on"},
}
FORGE = """CREATE FUNCTION pg_catalog.forge(message text) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER AS $$BEGIN RAISE INFO USING MESSAGE = message, ERRCODE = 'RF001'; RETURN 1; END$$;
GRANT EXECUTE ON FUNCTION pg_catalog.forge(text) TO PUBLIC"""


class AlertHome(Home):
    def set_policy(self, policy):
        super().set_policy(policy)
        policy["alerts"] = ALERTS
        text = f"ringfence-sensitive@1\nus-virginia\n{HONEY}\n"
        policy["grants"]["honey"] = [hashlib.sha256(text.encode()).hexdigest()]


@pytest.fixture(scope="module")
def home(scratch, authority, request):
    folder = os.path.join(scratch, "alerts")
    os.makedirs(folder, mode=0o755)
    made = AlertHome(folder, authority, request)
    yield made
    made.stop()


@pytest.fixture
def server(home):
    made = home.pair.primary
    made.rows("TRUNCATE ringfence.look, ringfence.actor_day, ringfence.alert, ringfence.refusal_day")
    made.rows("UPDATE ringfence.suspension SET lifted_at = now() WHERE lifted_at IS NULL")
    return made


@pytest.fixture
def people(home, server):
    return home.people


def look(server, key, at, actor="ann", department="analytics", place="US", is_request=True):
    server.rows("INSERT INTO ringfence.look VALUES (%s, 'clipstream-us', %s, %s, %s, %s, %s)",
                actor, department, place, key, is_request, at)


def judged(server, event="look", keys=(), actor="ann", department="analytics", place="US", at=NOON):
    """Rules that raise an alert, and whether each suspends."""
    return dict(server.rows("SELECT rule, suspends FROM ringfence.alert_judge(%s, %s, 'clipstream-us', %s, 'US', %s,"
                            " %s::text[], %s)", event, actor, department, place, list(keys), at))


def act(server, event, keys=(), actor="ann", rows=0):
    return server.rows("SELECT rule, suspends, is_new FROM ringfence.alert_act(%s, %s, 'clipstream-us', 'privacy', 'US',"
                       " 'US', %s::text[], %s)", event, actor, list(keys), rows)


def suspended(server):
    return server.rows("SELECT actor, reason FROM ringfence.suspensions()")


def open_alerts(server, actor=None):
    return [rule for rule, who in server.rows("SELECT rule, actor FROM ringfence.alert_list(NULL)")
            if actor in (None, who)]


# --- bounds -----------------------------------------------------------------------------------------------------


def test_the_same_person_looked_at_so_often_by_anybody(server):
    look(server, "901", NOON - 7 * DAY, actor="bob")  # seven days ago is not within them
    look(server, "901", NOON - DAY, actor="bob")
    look(server, "902", NOON)
    look(server, "901", NOON)
    assert "repeated_subject" not in judged(server, keys=["901", "902"])
    look(server, "901", NOON - 7 * DAY + SECOND, actor="carol")
    assert judged(server, keys=["901", "902"])["repeated_subject"] is True
    assert "repeated_subject" not in judged(server, keys=["902"])
    assert "repeated_subject" not in judged(server, keys=["901"], at=NOON - DAY - SECOND)  # what comes later is not known


def test_so_many_persons_who_are_linked_by_one_actor(server):
    server.rows("DELETE FROM app.messages")
    sender, *others = [str(key) for (key,) in server.rows(
        "SELECT id FROM app.users WHERE residency = 'US' ORDER BY id LIMIT 5")]
    for one, two in ((sender, others[0]), (others[1], others[0])):
        server.rows("INSERT INTO app.messages (sender_id, recipient_id, at, body, residency)"
                    " VALUES (%s::bigint, %s::bigint, now(), 'hello', 'US')", one, two)
    look(server, sender, NOON - DAY)
    look(server, others[2], NOON - DAY)  # linked with nobody
    look(server, others[3], NOON - DAY)
    look(server, others[1], NOON - DAY, actor="bob")
    look(server, others[0], NOON)
    assert "linked_subjects" not in judged(server, keys=[others[0]])
    look(server, others[1], NOON - 7 * DAY)
    assert "linked_subjects" not in judged(server, keys=[others[0]])
    look(server, others[1], NOON)
    for key in (sender, others[0], others[1]):
        assert judged(server, keys=[key])["linked_subjects"] is False
    assert "linked_subjects" not in judged(server, keys=[others[2], others[3]])
    assert "linked_subjects" not in judged(server, keys=["no number"])


def looks_of_days(server, counts, **more):
    """So many different persons on each of the days before today, the last one first."""
    for day, count in enumerate(counts, start=1):
        for n in range(count):
            look(server, f"{day}-{n}", NOON - day * DAY, **more)


def todays(server, count):
    server.rows("DELETE FROM ringfence.look WHERE at = %s", NOON)
    for n in range(count):
        look(server, f"today-{n}", NOON)
        look(server, f"today-{n}", NOON)  # the same person is one
    return "habit" in judged(server, keys=[f"today-{count - 1}"])


@pytest.mark.parametrize("own, peers, most", [
    ([], [], 4),                 # nobody has a habit: the floor
    ([1, 1, 1], [], 4),          # 4 times 1, and the floor
    ([2, 9, 2], [], 8),          # the median, not the mean
    ([], [3, 3], 12),            # a newcomer: his department's
    ([9, 9, 9], [2, 2], 8),      # whoever always looks at many is held to the others
    ([2], [9, 9], 8),
])
def test_more_persons_than_the_habit(server, own, peers, most):
    looks_of_days(server, own)
    looks_of_days(server, peers, actor="bob")
    looks_of_days(server, [1, 1, 1, 1], actor="eve", department="security")  # nobody's peer
    look(server, "long ago", NOON - 29 * DAY)
    assert not todays(server, most)
    assert todays(server, most + 1)


@pytest.mark.parametrize("own, peers, most", [([], [], 99), ([40], [], 160), ([], [50], 200), ([900], [30], 120)])
def test_more_rows_than_the_habit(server, own, peers, most):
    def fires(rows):
        server.rows("INSERT INTO ringfence.actor_day VALUES ('ann', %s, 'clipstream-us', 'analytics', %s)"
                    " ON CONFLICT ON CONSTRAINT actor_day_pkey DO UPDATE SET rows = excluded.rows", NOON.date(), rows)
        return judged(server, "rows") == {"habit": False}
    for actor, counts in (("ann", own), ("bob", peers)):
        for day, count in enumerate(counts, start=1):
            server.rows("INSERT INTO ringfence.actor_day VALUES (%s, %s, 'clipstream-us', 'analytics', %s)",
                        actor, (NOON - day * DAY).date(), count)
    assert not fires(most)
    assert fires(most + 1)


def test_an_hour_that_no_entry_which_speaks_of_him_has(server):
    def at(day, hour, minute):  # local time in Virginia; the 23rd is a Monday
        return datetime.datetime(2026, 11, day, hour, minute, tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))
    for moment, is_usual in ((at(23, 7, 0), True), (at(23, 6, 59), False), (at(27, 19, 59), True), (at(27, 20, 0), False),
                             (at(28, 9, 0), True), (at(28, 8, 59), False), (at(28, 12, 0), False), (at(29, 12, 0), False)):
        assert ("hours" in judged(server, at=moment)) != is_usual, moment
        assert "hours" not in judged(server, at=moment, department="privacy"), moment
    assert judged(server, at=at(29, 12, 0))["hours"] is True  # one of the two suspends


def test_a_place_from_which_he_has_not_looked(server):
    assert "new_place" not in judged(server)  # where he is based
    assert judged(server, place="IE")["new_place"] is False
    look(server, None, NOON, place="IE")
    assert judged(server, place="IE")["new_place"] is False  # the look that is judged itself
    look(server, "9", NOON - 28 * DAY, place="IE")
    look(server, "9", NOON - DAY, place="IE", actor="bob")
    assert "new_place" in judged(server, place="IE")
    look(server, "9", NOON - 28 * DAY + SECOND, place="IE")
    assert "new_place" not in judged(server, place="IE")


def test_so_many_refusals_in_a_day(server):
    def refused(count, day=NOON.date()):
        server.rows("INSERT INTO ringfence.refusal_day VALUES ('ann', %s, %s) ON CONFLICT ON CONSTRAINT"
                    " refusal_day_pkey DO UPDATE SET count = excluded.count", day, count)
        return judged(server, "refusal")
    assert refused(9, (NOON - DAY).date()) == {}
    assert refused(2) == {}
    assert refused(3) == {"denied": False}


def test_forged_tokens_and_honey_always(server):
    assert judged(server, "forged") == {"forged_token": True}
    assert judged(server, "honey") == {"honey": True}


# --- what is kept -----------------------------------------------------------------------------------------------


def test_who_finds_somebody_and_then_asks_for_him_has_looked_once(server):
    act(server, "find", ["901"])
    act(server, "request", ["901"])
    assert server.rows("SELECT key, is_request FROM ringfence.look") == [("901", True)]
    act(server, "find")  # nobody was found: only from where is kept
    assert server.value("SELECT count(*) FROM ringfence.look WHERE key IS NULL AND place = 'US'") == 1
    look(server, "902", datetime.datetime.now(datetime.timezone.utc) - 30 * DAY)
    act(server, "find", ["901"])
    assert server.value("SELECT count(*) FROM ringfence.look WHERE key = '902'") == 0  # no rule asks for it any more


def test_one_alert_of_a_rule_and_day_is_open_and_the_rest_are_counted(server):
    for n in range(2):
        assert act(server, "request", ["901"], actor="bob") == [], n
    assert act(server, "request", ["901"]) == [("repeated_subject", True, True)]
    number = server.value("SELECT ringfence.alert_add('repeated_subject', 'ann', 7, 'a leaf')")
    assert act(server, "request", ["901"]) == [("repeated_subject", True, False)]
    assert server.value("SELECT ringfence.alert_add('repeated_subject', 'ann', 8, 'a leaf')") == number
    assert server.rows("SELECT rule, actor, request, times FROM ringfence.alert_list(NULL)") == [
        ("repeated_subject", "ann", 7, 2)]
    review = "SELECT ringfence.alert_review(%s, %s, %s, 'text', 'signature', 'leaf')"
    for reviewer, of, state in (("ann", number, "22023"), ("carol", number + 1, "02000")):
        with pytest.raises(psycopg.Error) as refused:
            server.rows(review, of, reviewer, True)
        assert refused.value.sqlstate == state
    server.rows(review, number, "carol", False)
    with pytest.raises(psycopg.Error) as refused:
        server.rows(review, number, "carol", True)
    assert refused.value.sqlstate == "55000"
    assert act(server, "request", ["901"]) == [("repeated_subject", True, True)]  # it was not proper: it goes on counting
    number = server.value("SELECT ringfence.alert_add('repeated_subject', 'ann', 9, 'a leaf')")
    server.rows(review, number, "carol", True)
    assert act(server, "request", ["901"]) == []                                  # it was: he begins anew
    assert act(server, "request", ["901"], actor="bob") != []                     # he, not everybody


def test_rows_are_added_up(server):
    assert act(server, "rows", rows=60) == []
    assert act(server, "rows", rows=40) == [("habit", False, True)]


def test_nobody_but_the_registrar_reaches_any_of_it(server):
    roles = server.rows("SELECT rolname FROM pg_roles WHERE rolname ~ '\\.masked$' OR rolname IN ('rf_control', 'app_us')")
    assert len(roles) > 3
    for (role,) in roles + [("rf_registrar",)]:
        for table in ("look", "actor_day", "alert"):
            assert not server.value("SELECT has_table_privilege(%s, 'ringfence.' || %s, 'SELECT, INSERT')", role, table)
    for (role,) in roles:
        assert server.value("SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'ringfence'::regnamespace AND proname"
                            " LIKE 'alert%%' AND has_function_privilege(%s, p.oid, 'EXECUTE')", role) == 0, role


# --- through a gateway ------------------------------------------------------------------------------------------


def test_whoever_looks_at_somebody_too_often_is_suspended_and_reviewed(home, server, people):
    first = people.ask(HEAD, [SUBJECT])
    people.ask(ANALYST, [SUBJECT])
    assert suspended(server) == []
    third = people.ask(ANALYST, [SUBJECT])
    assert (third.status, set(third.json)) == (first.status, set(first.json))  # he is not told
    assert suspended(server) == [(ANALYST, "repeated_subject")]
    record = home.gateway.journal(kind="alert")[-1]
    assert (record["rule"], record["actor"], record["grant"]) == ("repeated_subject", ANALYST, third.json["request"])
    assert "text" not in record and "revealed" not in record
    kinds = [entry["kind"] for entry in home.gateway.journal() if entry.get("kind") in ("alert", "suspension")]
    assert kinds[-2:] == ["alert", "suspension"]

    for who in (ANALYST, HEAD, HIS_CHIEF):
        assert "repeated_subject" not in [a["rule"] for a in (people.do(who, "grants").json or {}).get("alerts", [])], who
    alert = next(a for a in people.do(PRIVACY, "grants").json["alerts"] if a["rule"] == "repeated_subject")
    assert (alert["person"], alert["request"], alert["times"]) == (ANALYST, third.json["request"], 1)

    def review(who, number=alert["alert"]):
        return people.do(who, "review-alert", alert=number, verdict="proper", reason="one ticket, three times")
    for who, rule in ((ANALYST, "approver-suspended"), (HEAD, "approver-chain"), (HIS_CHIEF, "approver-abroad")):
        assert review(who).rule == rule, who
    assert review(PRIVACY, 10000).rule == "not-found"
    assert review(PRIVACY).json == {"alert": alert["alert"], "verdict": "proper"}
    assert review(SECURITY).rule == "state"
    assert "repeated_subject" not in open_alerts(server, ANALYST)
    record = home.gateway.journal(kind="alert_review")[-1]
    assert (record["rule"], record["verdict"], record["detail"]) == ("repeated_subject", "proper", ANALYST)
    for voter in (PRIVACY, SECURITY):
        assert people.do(voter, "lift", person=ANALYST, reason="one ticket").status == 200
    assert people.ask(ANALYST, [SUBJECT]).status == 200
    assert suspended(server) == []


def test_refusals_raise_an_alert_and_no_suspension(home, server, people):
    for count in range(3):
        assert "denied" not in open_alerts(server), count
        assert people.ask(ENGINEER, [SUBJECT]).status == 403
    assert open_alerts(server, ENGINEER) == ["denied"]
    assert people.ask(ENGINEER, [SUBJECT]).status == 403
    assert suspended(server) == []
    assert len(home.gateway.journal(kind="alert", rule="denied")) == 1


def test_a_touch_of_a_honey_subject_is_an_alert_before_it_suspends(home, server, people):
    assert people.ask(HEAD, [HONEY]).rule == "subject-unknown"
    assert suspended(server) == [(HEAD, "honey")]
    assert open_alerts(server, HEAD) == ["honey"]
    kinds = [entry["kind"] for entry in home.gateway.journal() if entry.get("kind") in ("alert", "suspension")]
    assert kinds[-2:] == ["alert", "suspension"]


def test_rows_that_were_released_are_added_up_and_judged(home, server, people):
    with home.gateway.connect(PRIVACY) as connection:
        assert connection.execute("SELECT generate_series(1, 120)").rowcount == 120
    wait_until(lambda: "habit" in open_alerts(server, PRIVACY), "no alert", timeout=20 * SLOW)
    assert server.value("SELECT rows FROM ringfence.actor_day WHERE actor = %s", PRIVACY) >= 120


def test_rows_are_counted_once_while_their_alert_cannot_be_entered(home, server, people):
    """It is said once, too: the next rows enter it under the record that it has."""
    def released():
        return sum(record["rows"] for record in home.gateway.journal(kind="result") if record["actor"] == PRIVACY)

    def counted():
        return server.value("SELECT coalesce(sum(rows), 0)::bigint FROM ringfence.actor_day WHERE actor = %s", PRIVACY)

    def release(count):
        with home.gateway.connect(PRIVACY) as connection:
            assert connection.execute(f"SELECT generate_series(1, {count})").rowcount == count
        wait_until(lambda: counted() >= released() - before, "rows are not counted", timeout=20 * SLOW)
        assert counted() == released() - before

    before = released()
    alerts = len(home.gateway.journal(kind="alert", rule="habit"))
    server.rows("INSERT INTO ringfence.alert (id, rule, actor, at, day, leaf) VALUES (9223372036854775807, 'hours',"
                " 'nobody', now(), now()::date, '7 journal')")  # there is no number after it
    try:
        for count in (120, 10, 10):
            release(count)
    finally:
        server.rows("DELETE FROM ringfence.alert WHERE actor = 'nobody'")
    assert "habit" not in open_alerts(server, PRIVACY)
    release(1)
    wait_until(lambda: "habit" in open_alerts(server, PRIVACY), "no alert", timeout=20 * SLOW)
    assert len(home.gateway.journal(kind="alert", rule="habit")) == alerts + 1


def test_a_forged_token_suspends(home, server, people):
    number = open_request(people)
    home.gateway.wait_for_log("event=lease")  # the next self-check, in an hour, would find the function
    enter(home, number).close()
    with server.connect() as connection:
        connection.execute(FORGE)
    try:
        home.pair.wait_for_standby()
        with enter(home, number) as connection, pytest.raises(psycopg.Error):
            connection.execute(f"SELECT forge('{'0' * 32} identity {SUBJECT}')")
        wait_until(lambda: suspended(server) == [(ANALYST, "forged_token")], "he is not suspended", timeout=20 * SLOW)
    finally:
        server.rows("DROP FUNCTION pg_catalog.forge(text)")
        home.pair.wait_for_standby()
    assert "forged_token" in open_alerts(server, ANALYST)
    kinds = [entry["kind"] for entry in home.gateway.journal() if entry.get("kind") in ("alert", "suspension")]
    assert kinds[-2:] == ["alert", "suspension"]
