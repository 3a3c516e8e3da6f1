"""The public log of a real gateway: what is in it, what waits for it, and what it never holds."""

import json
import os
import re
import signal
import time

import psycopg
import pytest

from conftest import BUILD, Gateways
from public_log import PublicLog, tags_of
from test_grants import Grants, enter
from waiting import wait_until

PERSON, ABROAD = "us_privacy_officer", "cn_engineer"


def logged(new_gateway, policy=None, **options):
    gateway = new_gateway(start=False, policy=policy)
    log = PublicLog(gateway, **options)
    gateway.start()
    return gateway, log


@pytest.fixture
def world(new_gateway, pair):
    grants, made = Grants(pair), []

    def make(policy=None, **options):
        gateway, log = logged(new_gateway, policy, **options)
        made.append(log)
        return gateway, log, grants

    yield make
    for log in made:
        if log.witness is not None:
            log.witness.stop()
    for number in grants.opened:
        grants.close(number)


def disclose(gateway, number, sql="select id, email from users order by id"):
    with enter(gateway, number) as connection:
        return connection.execute(sql).fetchall()


def test_a_log_begins_with_genesis_and_start_and_anybody_can_verify_it(world):
    gateway, log, _ = world()
    log.wait_for("the start", type="start")
    leaves = log.leaves()
    assert [leaf["type"] for leaf in leaves[:2]] == ["genesis", "start"]
    assert leaves[0]["origin"] == log.origin and leaves[0]["region"] == "us-virginia"
    log.assert_holds()
    checked = json.loads(gateway.command("log", "check", "--json").stdout)
    wait_until(lambda: log.checkpoint()[0] >= checked["leaves"], "the journal's leaves are not out")


def test_a_disclosure_is_public_with_its_grant_and_no_name(world):
    gateway, log, grants = world()
    number = grants.open(subjects=(8, 9))
    rows = disclose(gateway, number)
    assert len(rows) == 2
    grant = log.wait_for("the grant", type="grant", grant=number)[0]
    found = log.wait_for("the disclosure", type="disclosure", grant=number)
    tags = [tag for leaf in found for tag in tags_of(leaf)]
    assert len(set(tags)) == len(tags) >= 2
    assert {leaf["grant_ref"] for leaf in found} == {f"{log.leaves().index(grant)} {log.origin}"}
    assert grant["classes"] == "identity,contact" and grant["subjects"] == 2
    grants.close(number)
    log.wait_for("the end of the grant", type="revoke", grant=number, rule="revoked")
    log.assert_holds()


def test_nothing_leaves_before_its_record_is_witnessed_where_the_class_demands_it(world):
    def demand(policy):
        policy["release"] = {"contact": "witnessed"}

    gateway, log, grants = world(policy=demand)
    number = grants.open()
    log.wait_for("the start", type="start")
    assert len(disclose(gateway, number)) == 1
    size = log.checkpoint()[0]
    assert log.leaves()[size - 1]["type"] in ("disclosure", "seal", "session")
    log.witness.stop()
    number = grants.open()  # under the other one these classes were witnessed, this hour
    began = time.monotonic()
    with enter(gateway, number) as connection:
        assert connection.execute("select id from users").fetchall()  # identity: durable is enough
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("select email from users").fetchall()
    assert time.monotonic() - began > 1
    assert "57P03" in str(refused.value.sqlstate) or refused.value.sqlstate is None
    log.witness.start()
    wait_until(lambda: len(disclose_or_none(gateway, number)) == 1, "nothing leaves any more",
               timeout=60 * gateway.slow)
    log.assert_holds()


def freeze(gateway):
    """The notary hangs: what undoes that."""
    gateway.signal(gateway.pids("notary")[0], signal.SIGSTOP)
    return lambda: gateway.signal(gateway.pids("notary")[0], signal.SIGCONT)


def end(gateway):
    """The notary signs nothing more, because its past does not hold: what undoes that."""
    head = gateway.path("state/notary/head")
    gateway.stop()
    with open(head, "rb") as memory:
        right = memory.read()
    with open(head, "wb") as memory:
        memory.write(b"damaged")
    gateway.start()
    gateway.wait_for_log("event=log-stopped")

    def undo():
        gateway.stop()
        with open(head, "wb") as memory:
            memory.write(right)
        gateway.start()
    return undo


@pytest.mark.parametrize("kill", [freeze, end])
@pytest.mark.parametrize("release", ["checkpointed", "witnessed"])
def test_without_a_notary_nothing_leaves_that_waits_for_its_signature(world, release, kill):
    def demand(policy):
        policy["release"] = {"contact": release}

    gateway, log, grants = world(policy=demand)
    log.wait_for("the start", type="start")
    first = grants.open()
    assert len(disclose(gateway, first)) == 1
    undo = kill(gateway)
    number = grants.open()  # under the other one this was said, this hour
    with enter(gateway, number) as connection:
        assert connection.execute("select id from users").fetchall()  # durable is enough
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("select email from users").fetchall()
        assert refused.value.sqlstate in ("57P03", None)
        assert "@" not in str(refused.value)
    undo()
    wait_until(lambda: len(disclose_or_none(gateway, number)) == 1, "nothing leaves any more",
               timeout=60 * gateway.slow)
    log.assert_holds()


def demand_witnesses(gateway, log):
    gateway.policy["release"] = {"contact": "witnessed", "identity": "witnessed"}
    gateway.write_policy()
    return gateway.command("check")


def test_a_reload_that_demands_witnesses_reaches_sessions_that_go_on(world):
    gateway, log, grants = world()
    number = grants.open()
    log.wait_for("the start", type="start")
    with enter(gateway, number) as old:
        assert old.execute("select email from users").fetchall()  # durable was enough
        assert demand_witnesses(gateway, log).returncode == 0
        gateway.reload()
        log.wait_for("the new policy", type="policy")
        log.witness.stop()
        with pytest.raises(psycopg.Error):
            old.execute("select id, email from users").fetchall()


def test_a_quorum_of_nobody_is_nobodys_witness(world):
    gateway, log, grants = world()
    gateway.stop()
    log.write_witnesses("quorum none")
    log.witness.stop()
    gateway.start()
    number = grants.open()
    assert len(disclose(gateway, number)) == 1  # durable is what the policy asks for
    done = demand_witnesses(gateway, log)
    assert done.returncode == 2 and "quorum" in done.stdout + done.stderr
    # The file is right now, and its witness does not answer: nothing is published that he has not seen.
    log.write_witnesses("quorum w1")
    assert gateway.command("check").returncode == 0
    size = log.checkpoint()[0]
    gateway.reload()
    wait_until(lambda: len(gateway.journal(type="policy")) == 1, "the new policy is not in the journal")
    with pytest.raises(psycopg.Error):
        disclose(gateway, number)
    assert log.checkpoint()[0] == size


def disclose_or_none(gateway, number):
    try:
        return disclose(gateway, number)
    except psycopg.Error:
        return []


def test_without_its_quorum_a_checkpoint_is_not_published_and_work_goes_on(world):
    gateway, log, grants = world()
    log.wait_for("the start", type="start")
    log.witness.stop()
    number = grants.open()
    assert len(disclose(gateway, number)) == 1  # durable is what the policy asks for
    size = log.checkpoint()[0]
    gateway.wait_for_log("event=witness-lacking witness=w1 last=unanswered")
    assert log.checkpoint()[0] == size
    log.witness.start()
    log.wait_for("the disclosure", timeout=60, type="disclosure", grant=number)
    gateway.wait_for_log("event=witness-back witness=w1")
    log.assert_holds()


@pytest.mark.crashes
@pytest.mark.parametrize("role", ["notary", "ledger", "courier"])
def test_a_killed_process_costs_time_and_no_leaf(world, role):
    gateway, log, grants = world()
    for _ in range(3):  # a grant each: within the hour one has one leaf
        number = grants.open()
        disclose(gateway, number)
        gateway.kill_role(role)
        wait_until(lambda: len(gateway.pids(role)) == 1, f"no {role}")
        wait_until(lambda: len(disclose_or_none(gateway, number)) == 1, "nobody is served",
                   timeout=30 * gateway.slow)
    disclosed = len(gateway.journal(type="disclosure"))
    assert disclosed >= 2  # and what the hour has said already is in the journal alone
    assert disclosed + len(gateway.journal(kind="disclosure")) >= 6
    wait_until(lambda: sum(leaf["type"] == "disclosure" for leaf in log.leaves()) >= disclosed,
               "a disclosure is not out", timeout=30 * gateway.slow)
    log.assert_holds()


@pytest.mark.crashes
def test_a_killed_gateway_goes_on_with_the_same_log(world):
    gateway, log, grants = world()
    for _ in range(3):
        number = grants.open()
        disclose(gateway, number)
        gateway.kill()
        gateway.start()
        wait_until(lambda: len(disclose_or_none(gateway, number)) == 1, "nobody is served",
                   timeout=30 * gateway.slow)
    leaves = log.leaves()
    assert sum(leaf["type"] == "genesis" for leaf in leaves) == 1
    disclosed = len(gateway.journal(type="disclosure"))
    wait_until(lambda: sum(leaf["type"] == "disclosure" for leaf in log.leaves()) >= disclosed,
               "a disclosure is not out", timeout=30 * gateway.slow)
    log.assert_holds()


# --- what takes minutes: one gateway for all of it, and one that publishes late ---------------------

PLANTED = "planted-9f2c"


@pytest.fixture(scope="module")
def slow_world(scratch, authority, pair, request):
    """Everything is done at once at the beginning; each test waits for what it is about."""
    gateways, grants = Gateways(scratch, authority, request), Grants(pair)

    def hold(policy):
        policy["publication"] = {"held": {"debugging": "1min"}}

    def late(policy):
        policy["publication"] = {"delay": "1min"}

    made = {}
    for name, change in (("usual", hold), ("late", late)):
        gateway = gateways(pair, start=False, policy=change)
        made[name] = PublicLog(gateway)
        gateway.start()
    usual = made["usual"].gateway
    made["held"] = grants.open(purpose="debugging")
    made["grant"] = grants.open(subjects=(8, 9))
    for number in (made["held"], made["grant"]):
        disclose(usual, number)
    disclose(made["late"].gateway, made["grant"])
    leave_traces(usual, made["grant"])
    yield made
    for name in ("usual", "late"):
        made[name].witness.stop()
    for number in grants.opened:
        grants.close(number)
    gateways.finish()


def leave_traces(gateway, number):
    """A person says and asks for what must not be found anywhere."""
    with enter(gateway, number) as connection:
        connection.execute(f"select email, handle, '{PLANTED}' from users").fetchall()
        with pytest.raises(psycopg.Error):
            connection.execute(f"select '{PLANTED}'::int from users")
    with pytest.raises(psycopg.Error):
        gateway.connect(PLANTED)
    with gateway.connect(PERSON) as connection:
        connection.execute(f"select count(*) from users where handle = '{PLANTED}'").fetchall()
        with pytest.raises(psycopg.Error):
            connection.execute(f"delete from users where handle = '{PLANTED}'")
    with gateway.connect(ABROAD) as connection:
        assert connection.execute("select * from users_by_month").fetchall()


def test_a_log_that_is_published_late_holds_its_newest_leaves_back(slow_world):
    log = slow_world["late"]
    assert log.checkpoint()[0] == 0
    log.wait_for("the disclosure", timeout=150, type="disclosure", grant=slow_world["grant"])
    log.assert_holds()


@pytest.mark.skipif(BUILD.endswith("release"), reason="this build has no failure points")
@pytest.mark.parametrize("fault", ["notary.clock:3+", "notary.clock:1+"])
def test_a_clock_that_jumps_publishes_nothing_early(new_gateway, fault):
    """1+: the notary starts while the clock is wrong, and the supervisor knows better."""
    def late(policy):
        policy.setdefault("publication", {})["delay"] = "1h"
        policy.pop("release", None)

    gateway = new_gateway(start=False, policy=late, environment={"RF_FAULT": fault})
    log = PublicLog(gateway)
    try:
        gateway.start()
        gateway.reload()  # one leaf more
        gateway.wait_for_log("event=reloaded")
        wait_until(lambda: gateway.journal(type="policy"), "the reload is no leaf")
        time.sleep(3)  # long enough to sign it
        assert not os.path.exists(gateway.path("state/notary/head"))
    finally:
        log.witness.stop()


@pytest.mark.skipif(BUILD.endswith("release"), reason="this build has no failure points")
def test_a_ledger_that_starts_while_the_clock_is_wrong_does_not_believe_it(new_gateway):
    """The supervisor began when it was right. A ledger that was killed would believe what it finds."""
    gateway = new_gateway(start=False, environment={"RF_FAULT": "ledger.clock:1+"})
    log = PublicLog(gateway)
    try:
        gateway.start()
        for times in (1, 2):
            wait_until(lambda times=times: gateway.log().count("event=clock-jumped") == times,
                       "the clock is believed")
            with pytest.raises(psycopg.OperationalError, match="clock has jumped"):
                gateway.connect(PERSON)
            assert not gateway.journal()
            gateway.kill_role("ledger")
    finally:
        log.witness.stop()


def test_planted_words_are_in_nothing_that_is_public_or_unsealed(slow_world, pair):
    log = slow_world["usual"]
    log.wait_for("a roll-up", timeout=90, type="session", room="masked")
    log.wait_for("a roll-up", timeout=90, type="denial")
    email = pair.primary.value("SELECT email FROM app.users WHERE id = 8")
    handle = pair.primary.value("SELECT handle FROM app.users WHERE id = 8")
    for where, held in (("log", log.bytes()), ("journal", log.gateway.journal_bytes())):
        for planted in (PLANTED, email, handle, PERSON, "127.0.0.1", "select", "rf_g_"):
            assert planted.encode() not in held, (where, planted)
    log.assert_holds()


def test_who_looks_from_abroad_is_a_transfer(slow_world):
    seen = slow_world["usual"].wait_for("the transfer", timeout=90, type="transfer", place="CN")
    assert seen[0]["room"] == "stats" and seen[0]["rows"] >= 1


def test_a_purpose_that_is_held_is_opened_later(slow_world):
    log, number = slow_world["usual"], slow_world["held"]
    grant = log.wait_for("the grant", type="grant", grant=number)[0]
    seen = log.wait_for("the disclosure", type="disclosure", grant=number)[0]
    assert "purpose" not in grant and "purpose" not in seen and len(seen["held"]) == 64
    ref = f"{log.leaves().index(seen)} {log.origin}"
    opened = log.wait_for("the opening", timeout=150, type="opened", ref=ref)[0]
    assert opened["purpose"] == "debugging"
    log.assert_holds()


def test_stopping_publishes_what_was_written(world):
    gateway, log, grants = world()
    number = grants.open()
    disclose(gateway, number)
    assert gateway.stop() == 0
    assert any(leaf["type"] == "disclosure" for leaf in log.leaves())
    log.assert_holds()
    checked = json.loads(gateway.command("log", "check", "--json").stdout)
    assert checked["leaves"] == log.checkpoint()[0]
    assert checked["root"] == log.checkpoint()[1].hex()
