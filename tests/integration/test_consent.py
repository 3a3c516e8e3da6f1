"""Consents in a region's database: who may write them down, what they are good for, and that rules for
what comes in and for grants look at them; one signed command through a gateway."""

import copy
import os

import psycopg
import pytest
import yaml

from applied import DEMO, Server, install_extension

ADULT, OTHER, CHILD = 42, 43, 47  # of tests/support/sample.sql; 47 is twelve years old
CONSENTS = {
    "recorded_by": ["app_us", "app_eu"],  # who reads videos here and writes nothing
    "signed_by": {"departments": ["privacy"]},
    "purposes": {
        "precise_location": {"version": "2026-03", "valid": "365d", "minors": "parental"},
        "support_access": {"version": "1", "valid": "30d"},
    },
}


def demo_grants():
    with open(f"{DEMO}/policy.yaml", encoding="utf-8") as f:
        return yaml.safe_load(f)["grants"]


@pytest.fixture(scope="module")
def server(scratch, authority, build):
    made = Server(os.path.join(scratch, "consent"), authority, build)
    made.policy["consents"] = CONSENTS
    location = made.policy["tables"]["app.locations"]["ingest"]
    location["lat"]["unless_consent"] = location["lon"]["unless_consent"] = "precise_location"
    location["ip"] = {"rule": "null", "unless_consent": "precise_location"}
    made.policy["tables"]["app.messages"]["ingest"] = {
        "body": {"rule": "refuse", "unless_consent": "support_access"}}
    made.policy["grants"] = demo_grants()
    made.policy["grants"]["rules"]["support"]["consent"] = "support_access"
    yield made
    made.cluster.stop()


@pytest.fixture(scope="module")
def shared(server):
    made = server.new_database()
    made.apply()
    yield made
    server.cluster.rows(f"DROP DATABASE {made.database} WITH (FORCE)", dbname="postgres")


@pytest.fixture
def region(shared):
    yield shared
    shared.rows("SELECT ringfence.request_revoke(id) FROM ringfence.request WHERE state = 'open'")
    shared.rows("DELETE FROM ringfence.consent; DELETE FROM ringfence.consent_event;"
                " DELETE FROM ringfence.consent_sum; DELETE FROM ringfence.consent_ended")


def give(region, subject=ADULT, purpose="precise_location", version="2026-03", parental=False,
         role="app_us"):
    return region.value(f"SELECT ringfence.consent_give('{subject}', '{purpose}', '{version}', {parental})",
                        role)


def withdraw(region, subject=ADULT, purpose="precise_location", role="app_us"):
    return region.value(f"SELECT ringfence.consent_withdraw('{subject}', '{purpose}')", role)


def current(region, subject=ADULT, purpose="precise_location"):
    return region.value(f"SELECT ringfence.consent_is_current('{subject}', '{purpose}')", "app_us")


def refused(sqlstate, function, *values, **named):
    with pytest.raises(psycopg.Error) as caught:
        function(*values, **named)
    assert caught.value.sqlstate == sqlstate, caught.value
    said = caught.value.diag.message_primary
    assert str(ADULT) not in said and str(CHILD) not in said
    return said


def let_expire(region, subject=ADULT):
    region.rows("UPDATE ringfence.consent SET given = given - interval '400 days',"
                f" until = now() - interval '1 second' WHERE subject = '{subject}'")


# -- giving and withdrawing ---------------------------------------------------------------------------

def test_a_consent_is_current_from_the_service_s_word_until_it_is_withdrawn(region):
    assert not current(region)
    give(region)
    assert current(region) and not current(region, OTHER) and not current(region, purpose="support_access")
    assert region.rows("SELECT subject, purpose, version, parental, source, withdrawn IS NULL,"
                       " until - given FROM ringfence.consent")[0][:6] == \
        (str(ADULT), "precise_location", "2026-03", False, "service app_us", True)
    assert region.value("SELECT until - given = interval '365 days' FROM ringfence.consent")
    assert withdraw(region) and not current(region)
    assert not withdraw(region)
    give(region)
    assert current(region)
    assert region.rows("SELECT withdrawn IS NULL, withdrawn_by FROM ringfence.consent ORDER BY given") == \
        [(False, "service app_us"), (True, None)]


def test_it_ends_with_its_time(region):
    give(region)
    let_expire(region)
    assert not current(region) and not withdraw(region)
    assert region.value("SELECT withdrawn IS NULL FROM ringfence.consent")


def test_what_is_no_consent_is_refused_and_names_nobody(region):
    assert "version" in refused("22023", give, region, version="2025-01")
    refused("22023", give, region, purpose="marketing")
    refused("02000", give, region, subject=987654321)
    refused("02000", give, region, subject="nobody at all")
    refused("22023", give, region, subject="")
    refused("22023", give, region, parental="NULL::boolean")
    assert region.rows("SELECT 1 FROM ringfence.consent") == []


def test_for_a_minor_a_parent_consents_where_the_policy_lets_him(region):
    assert "parent" in refused("22023", give, region, CHILD)
    give(region, CHILD, parental=True)
    assert current(region, CHILD)
    assert "minor" in refused("22023", give, region, CHILD, "support_access", "1", True)
    assert "minor" in refused("22023", give, region, CHILD, "support_access", "1", False)
    assert "minor" in refused("22023", give, region, ADULT, parental=True)


@pytest.mark.parametrize("role", ["app_eu", "us_analyst.masked", "rf_control", "rf_registrar"])
def test_nobody_else_writes_down_consents(region, role):
    for function in (give, withdraw):
        refused("42501", function, region, role=role)


@pytest.mark.parametrize("table", ["consent", "consent_event", "consent_sum", "consent_ended"])
def test_a_service_reaches_no_table_of_consents(region, table):
    for statement in (f"SELECT * FROM ringfence.{table}", f"DELETE FROM ringfence.{table}"):
        refused("42501", region.rows, statement, role="app_us")


# -- what comes in ------------------------------------------------------------------------------------

def locate(region, subject, role="app_us"):
    return region.rows(
        "INSERT INTO app.locations (user_id, at, lat, lon, ip, residency) VALUES"
        f" ({subject}, now(), 52.5236, 13.4114, '203.0.113.77', 'US') RETURNING lat, lon, ip::text",
        role)[0]


def counts(region):
    return {rule: count for rule, count in region.rows(
        "SELECT rule, count FROM ringfence.ingest_counts() WHERE relation IN ('app.locations',"
        " 'app.messages')")}


def test_a_place_is_precise_only_of_whoever_consents(region):
    before = counts(region)
    assert [float(v) if v and i < 2 else v for i, v in enumerate(locate(region, ADULT))] == \
        [52.5, 13.4, None]
    give(region)
    lat, lon, ip = locate(region, ADULT)
    assert (round(float(lat), 4), round(float(lon), 4), ip) == (52.5236, 13.4114, "203.0.113.77/32")
    assert float(locate(region, OTHER)[0]) == 52.5
    withdraw(region)
    assert float(locate(region, ADULT)[0]) == 52.5
    after = counts(region)
    coarse = [rule for rule in after if "multiple" in rule and "precise_location" in rule]
    assert len(coarse) == 1 and after[coarse[0]] - before[coarse[0]] == 3
    dropped = "dropped without consent to precise_location"
    assert after[dropped] - before[dropped] == 3


def test_a_place_of_a_child_does_not_come_in_whatever_a_parent_says(region):
    give(region, CHILD, parental=True)
    assert locate(region, CHILD)[:2] == (None, None)


def write_message(region, sender=ADULT, recipient=OTHER):
    region.rows("INSERT INTO app.messages (sender_id, recipient_id, at, body, residency) VALUES"
                f" ({sender}, {recipient}, now(), 'hello', 'US')", "app_us")


def test_a_value_is_refused_until_everybody_whom_the_row_is_about_consents(region):
    before = counts(region)
    give(region, ADULT, "support_access", "1")
    for people in ((ADULT, OTHER), (OTHER, ADULT)):
        with pytest.raises(psycopg.Error) as caught:
            write_message(region, *people)
        assert caught.value.sqlstate == "23514" and "support_access" in str(caught.value)
        assert "hello" not in str(caught.value)
        assert caught.value.diag.column_name == "body"
    give(region, OTHER, "support_access", "1")
    write_message(region)
    let_expire(region, OTHER)
    refused("23514", write_message, region)
    rule = "refused without consent to support_access"
    assert counts(region)[rule] - before[rule] == 3


# -- grants -------------------------------------------------------------------------------------------

def registrar(region, sql):
    return region.value(sql, "rf_registrar")


def ask(region, subjects, rule="support"):
    keys = "{" + ",".join(str(s) for s in subjects) + "}"
    number = registrar(
        region, "SELECT id FROM ringfence.request_add('us_analyst', '%s', 'support_ticket', '{contact}',"
        " '%s', 3600, false, true, 'text', 'signature', 'gw', 1)" % (rule, keys))
    registrar(region, f"SELECT ringfence.request_move({number}, 'logged', 'leaf')")
    registrar(region, f"SELECT ringfence.approval_add({number}, 'us_privacy_officer', true, true, 'text',"
              " 'signature', 'gw')")
    registrar(region, f"SELECT ringfence.approval_logged({number}, 'us_privacy_officer', 'leaf')")
    registrar(region, f"SELECT ringfence.request_move({number}, 'complete', NULL)")
    return number


def open_grant(region, subjects, **named):
    number = ask(region, subjects, **named)
    registrar(region, f"SELECT ringfence.request_open({number}, 'grant leaf')")
    return number


def state(region, number):
    return region.value("SELECT r.state || ' ' || (g.closed IS NULL) FROM ringfence.request r"
                        f' JOIN ringfence."grant" g ON g.id = r.id WHERE r.id = {number}')


def sweep(region):
    return registrar(region, "SELECT ringfence.consent_sweep()")


def test_what_registrar_and_control_hear_of_consents_is_a_number(region):
    give(region, ADULT, "support_access", "1")
    assert registrar(region, "SELECT ringfence.consent_lacking('{42,43,47}')") == {"support_access 1": 2}
    assert registrar(region, "SELECT ringfence.consent_lacking('{42,NULL}')") == {"support_access 1": 1}
    assert registrar(region, "SELECT ringfence.consent_lacking('{42}')") == {"support_access 1": 0}
    number = ask(region, [ADULT, OTHER])
    assert [row[0] for row in region.rows(
        f"SELECT lacking FROM ringfence.request_evidence('{{{number}}}')", "rf_registrar")] == \
        [{"support_access 1": 1}, None]


def test_a_grant_opens_only_for_those_who_consent(region):
    give(region, ADULT, "support_access", "1")
    refused("22023", open_grant, region, [ADULT, OTHER])
    give(region, OTHER, "support_access", "1")
    assert state(region, open_grant(region, [ADULT, OTHER])) == "open true"
    assert state(region, open_grant(region, [CHILD], rule="incident")) == "open true"  # asks for none


def test_a_withdrawal_ends_the_open_grants_that_stand_on_it_and_no_other(region):
    for subject in (ADULT, OTHER):
        give(region, subject, "support_access", "1")
    give(region)
    both, one = open_grant(region, [ADULT, OTHER]), open_grant(region, [OTHER])
    free = open_grant(region, [ADULT], rule="incident")
    withdraw(region)  # to something else
    assert sweep(region) == 0
    withdraw(region, purpose="support_access")
    assert state(region, both) == "open true"  # nobody waits for the service's transaction
    assert sweep(region) == 1
    assert [state(region, n) for n in (both, one, free)] == ["revoked false", "open true", "open true"]
    assert sweep(region) == 0 and region.value("SELECT count(*) FROM ringfence.consent_ended") == 1
    region.rows("UPDATE ringfence.consent_ended SET seen = now() - interval '2 minutes'")
    assert sweep(region) == 0 and region.value("SELECT count(*) FROM ringfence.consent_ended") == 0


def test_a_grant_that_was_being_opened_meanwhile_is_found_afterwards(region):
    give(region, ADULT, "support_access", "1")
    number = ask(region, [ADULT])
    dsn = region.server.cluster.dsn(region.database).replace("user=postgres", "user=rf_registrar")
    with psycopg.connect(dsn) as opening:
        opening.execute("SELECT ringfence.request_open(%s, 'grant leaf')", (number,))
        withdraw(region, purpose="support_access")
        assert sweep(region) == 0
        opening.commit()
    assert sweep(region) == 1
    assert state(region, number) == "revoked false"


def test_a_consent_that_is_over_ends_the_grant_too(region):
    give(region, ADULT, "support_access", "1")
    number = open_grant(region, [ADULT])
    let_expire(region)
    assert sweep(region) == 1 and state(region, number) == "revoked false"


# -- on the way to a log ------------------------------------------------------------------------------

def sums(region, gateway="gw-1"):
    return region.rows("SELECT id, purpose, version, is_given, count FROM"
                       f" ringfence.consent_sums('{gateway}')", "rf_registrar")


def test_what_services_wrote_down_is_handed_on_once(region):
    give(region)
    give(region, OTHER)
    give(region, ADULT, "support_access", "1")
    withdraw(region)
    first = sums(region)
    assert [row[1:] for row in first] == [("precise_location", "2026-03", False, 1),
                                          ("precise_location", "2026-03", True, 2),
                                          ("support_access", "1", True, 1)]
    give(region, OTHER, "support_access", "1")
    assert sums(region) == first and sums(region, "gw-2")[0][1:] == ("support_access", "1", True, 1)
    for row in first:
        registrar(region, f"SELECT ringfence.consent_said('{row[0]}')")
    assert sums(region) == []
    region.rows("UPDATE ringfence.consent_sum SET taken = now() - interval '1 hour'")
    assert [row[1:] for row in sums(region)] == [("support_access", "1", True, 1)]  # gw-2 is gone


def test_the_database_is_as_the_policy_says(region):
    done = region.command("plan", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_where_the_extension_is_a_consent_counts_as_well(region):
    if not install_extension(region.server.build):
        pytest.skip("the extension is not built, or cannot be installed")
    region.rows("CREATE EXTENSION ringfence")
    region.apply()
    assert float(locate(region, ADULT)[0]) == 52.5
    give(region)
    assert round(float(locate(region, ADULT)[0]), 4) == 52.5236
    assert "ringfence_native" not in region.value(
        "SELECT string_agg(pg_get_triggerdef(oid), ' ') FROM pg_trigger"
        " WHERE tgrelid = 'app.locations'::regclass AND NOT tgisinternal")
    region.rows("DROP EXTENSION ringfence CASCADE")
    region.apply()


def test_another_version_ends_those_before_and_less_policy_takes_the_rights(region):
    """The last one: the policy stays as it is left here."""
    give(region)
    region.policy["consents"] = copy.deepcopy(CONSENTS)
    region.policy["consents"]["purposes"]["precise_location"]["version"] = "2026-09"
    region.apply()
    assert not current(region)
    refused("22023", give, region)
    give(region, version="2026-09")
    assert current(region)
    region.policy["consents"]["recorded_by"] = []
    region.apply()
    refused("42501", give, region, version="2026-09")
    region.rows(f"UPDATE app.users SET birthdate = birthdate WHERE id = {ADULT}")
    assert region.value("SELECT count(*) FROM ringfence.consent") == 2
