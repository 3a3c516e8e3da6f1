"""Files: all mistakes at once, and SIGHUP that changes the rules without dropping a session."""

import signal
import subprocess

import psycopg
import pytest

from gateway import credential, password_of
from waiting import wait_until
from wire import ServerError, Wire, error_fields


def enters(gateway, actor, **options):
    try:
        gateway.connect(actor, **options).close()
        return True
    except psycopg.OperationalError:
        return False


MISTAKES = """\
version: 1
company: Clipstream
jurisdictions:
  US: [US, usa]
regions:
  us-virginia: {jurisdiction: UX, place: US}
entities:
  clipstream-us: {country: US}
listeners:
  main: {address: 127.0.0.300, place: identity}
networks:
  loopback: {range: 127.0.0.0/8, place: identity}
actors:
  app_us:
    kind: servant
    entity: clipstream-us
    place: US
  us_analyst: {kind: person, entity: clipstream-xx, place: US}
tables:
  app.users:
    subject: id
    residency: residency
    columns:
      id: identityy
colour: green
"""


def test_check_finds_nothing_in_good_files(new_gateway):
    gateway = new_gateway(start=False)
    done = gateway.command("check")
    assert done.returncode == 0, done.stderr


def test_check_lists_every_mistake_with_its_line(new_gateway):
    gateway = new_gateway(start=False)
    gateway.write_policy(MISTAKES)
    done = gateway.command("check")
    assert done.returncode == 2
    said = done.stdout + done.stderr
    for line, seen in ((4, "usa"), (6, "UX"), (10, "127.0.0.300"), (15, "servant"),
                       (18, "clipstream-xx"), (24, "identityy"), (25, "colour")):
        assert any(f"policy.yaml:{line}:" in text and seen in text for text in said.splitlines()), \
            f"line {line} ({seen}) is not among:\n{said}"


ODD = {"blank": " ", "open": "{", "list": "- a\n- b\n", "control": "\0\1\2", "alias": "a: &x [*x]\n",
       "nested colon": "a: b: c\n", "version": "version: 99\n", "long": "x" * 100000,
       "deep": "[" * 5000}


@pytest.mark.parametrize("name", ODD)
def test_no_file_is_too_odd_for_check(new_gateway, name):
    gateway = new_gateway(start=False)
    gateway.write_policy(ODD[name])
    done = gateway.command("check")
    assert done.returncode in (2, 3)
    assert done.stderr or done.stdout


def test_the_gateway_does_not_start_with_bad_files(new_gateway):
    gateway = new_gateway(start=False)
    gateway.write_policy(MISTAKES)
    done = subprocess.run([gateway.program("ringfenced"), "-c", gateway.config_path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout.count("policy.yaml") >= 7


def test_a_file_that_is_not_there(new_gateway):
    gateway = new_gateway(start=False)
    done = subprocess.run([gateway.program("ringfence"), "-c", "/nonexistent/x.yaml", "check"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3 and "/nonexistent/x.yaml" in done.stderr


def test_secrets_that_others_can_read_are_refused(new_gateway):
    gateway = new_gateway(start=False)
    gateway.write("credentials", credential("app_us"), 0o644)
    done = gateway.command("check")
    assert done.returncode == 2 and "credentials" in done.stdout + done.stderr


def test_a_new_policy_counts_at_once_and_ends_only_what_it_forbids(new_gateway):
    """One address moves abroad: the service's session from there ends, all others stay."""
    gateway = new_gateway()
    abroad = "127.0.0.77"

    def from_abroad():
        wire = Wire(gateway.host, gateway.port, source=abroad).begin_tls(ca=gateway.ca)
        return wire.login("app_us", password_of("app_us"), "us-virginia")

    with gateway.connect("us_analyst") as person, gateway.connect("app_us") as service, \
            from_abroad() as moved:
        processes = gateway.processes()
        gateway.policy["networks"]["moved"] = {"range": f"{abroad}/32", "place": "CN"}
        gateway.write_policy()
        gateway.reload()
        kind, body = moved.receive_answer()
        assert kind == "E" and error_fields(body)["C"] == "28000"
        assert moved.closed_by_peer()
        with pytest.raises(ServerError) as caught:
            from_abroad()
        assert caught.value.sqlstate == "28000"
        assert service.execute("select count(*) from users").fetchone() == (200,)
        assert person.execute("select count(*) from users").fetchone() == (190,)
        assert gateway.processes() == processes


def test_a_policy_that_the_database_does_not_hold_yet_stops_persons_only(new_gateway):
    """Until `ringfence apply` has run, a view may show more than the policy says."""
    gateway = new_gateway()
    gateway.policy["tables"]["app.users"]["columns"]["handle"] = {"class": "identity",
                                                                  "mask": "redact"}
    gateway.write_policy()
    gateway.reload()
    gateway.wait_for_log("policy-not-applied|self-check-fault")
    wait_until(lambda: not enters(gateway, "us_privacy_officer"), "persons are still let in")
    assert enters(gateway, "app_us")


def test_a_new_connection_of_control_is_checked_before_it_counts(new_gateway, own_pair):
    """It may lead to another server than the one that was checked."""
    gateway = new_gateway(own_pair)
    gateway.wait_for_log("self-check .*faults=0")
    own_pair.primary.rows("GRANT SELECT ON app.users TO rf_masked")
    own_pair.wait_for_standby()
    own_pair.standby.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                          " WHERE application_name = 'ringfence control'")
    gateway.wait_for_log("self-check-fault")


def test_a_question_that_fails_once_does_not_shut_persons_out_for_long(new_gateway, own_pair):
    gateway = new_gateway(own_pair)
    assert enters(gateway, "us_analyst")
    own_pair.primary.rows("REVOKE EXECUTE ON FUNCTION ringfence.standby() FROM rf_control")
    wait_until(lambda: not enters(gateway, "us_analyst"), "persons are still let in")
    own_pair.primary.rows("GRANT EXECUTE ON FUNCTION ringfence.standby() TO rf_control")
    wait_until(lambda: enters(gateway, "us_analyst"), "persons stay shut out")


def test_a_suspension_counts_at_once_and_stops_nobody_else(new_gateway):
    """Before anybody runs apply: the login that is left in the database opens nothing."""
    gateway = new_gateway()
    with gateway.login("us_analyst") as suspended, \
            gateway.connect("us_privacy_officer") as officer:
        gateway.policy["actors"]["us_analyst"]["suspended"] = True
        gateway.write_policy()
        gateway.reload()
        kind, body = suspended.receive_answer()
        assert kind == "E" and error_fields(body)["C"] == "28000"
        gateway.wait_for_log("policy-not-applied")
        assert not enters(gateway, "us_analyst")
        assert officer.execute("select 1").fetchone() == (1,)
        assert enters(gateway, "us_privacy_officer") and enters(gateway, "app_us")


def test_a_bad_policy_changes_nothing_and_says_why(new_gateway):
    gateway = new_gateway()
    with gateway.connect("us_analyst") as connection:
        gateway.write_policy(MISTAKES)
        gateway.reload()
        gateway.wait_for_log("policy.yaml:25")
        gateway.wait_for_log("policy.yaml:4")
        assert connection.execute("select 1").fetchone() == (1,)
    assert enters(gateway, "us_analyst") and enters(gateway, "app_us")


def test_new_passwords_count_after_a_reload(new_gateway):
    gateway = new_gateway()
    assert not enters(gateway, "us_analyst", password="us_privacy_officer-enters")
    taken = credential("us_privacy_officer").split(":", 1)[1]
    with open(gateway.path("credentials"), encoding="ascii") as lines:
        kept = [line for line in lines if not line.startswith("us_analyst:")]
    gateway.write("credentials", "".join(kept) + f"us_analyst:{taken}", 0o600)
    gateway.reload()
    wait_until(lambda: enters(gateway, "us_analyst", password="us_privacy_officer-enters"),
               "the new password does not count")
    assert not enters(gateway, "us_analyst")


def test_many_reloads_under_load_drop_nothing(new_gateway):
    gateway = new_gateway()
    with gateway.connect("app_us") as service, gateway.connect("us_analyst") as person:
        for turn in range(10):
            gateway.reload()
            for _ in range(5):
                assert service.execute("select %s::int", (turn,)).fetchone() == (turn,)
                assert person.execute("select %s::int", (turn,)).fetchone() == (turn,)


def test_an_orderly_stop(new_gateway):
    gateway = new_gateway(config={"limits": {"shutdown": "2s"}})
    with gateway.connect("app_us") as connection:
        connection.execute("select 1")
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(timeout=20)
        with pytest.raises(psycopg.OperationalError):
            for _ in range(100):
                connection.execute("select 1")
    assert gateway.stop() == 0
    assert gateway.processes() == []


def test_two_gateways_do_not_share_a_journal(new_gateway):
    first = new_gateway()
    done = subprocess.run([first.program("ringfenced"), "-c", first.config_path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)
    assert done.returncode != 0
    assert enters(first, "us_analyst")
