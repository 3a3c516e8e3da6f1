"""`ringfence plan` in words, and both commands over several regions."""

import copy
import json
import os
import subprocess

import pytest

from applied import Server


@pytest.fixture(scope="module")
def server(scratch, authority, build):
    made = Server(os.path.join(scratch, "plan"), authority, build)
    yield made
    made.cluster.stop()


@pytest.fixture(scope="module")
def region(server):
    made = server.new_database()
    made.apply()
    return made


@pytest.fixture(autouse=True)
def fresh_policy(server, region):
    region.policy = copy.deepcopy(server.policy)


def words(region):
    facts = json.loads(region.command("plan", "--json").stdout)
    return [(fact["change"], fact["words"]) for fact in facts["exposure"]]


def test_before_the_first_apply_everything_is_new(server):
    said = words(server.new_database())
    assert {change for change, words in said if "what is written" not in words} == {"widens"}
    text = "\n".join(words for _, words in said)
    assert "department analytics in US may enter room masked (from home)" in text
    assert "department engineering in CN may enter room stats" in text
    assert "engineering in CN may enter room masked" not in text
    assert "department internal-audit in CN: joined by cn_audit_manager" in text
    assert "department security in US gains contact: users.email (redact)" in text.replace(
        "department analytics in US, department audit in US, department privacy in US, ", "")


def test_the_applied_policy_has_nothing_to_say(region):
    assert words(region) == []
    region.policy["company"] = "Clipstream Ltd"
    assert words(region) == [] and "record of the policy applied" in region.command("plan").stdout


def masked(text):
    return ("department analytics in US, department audit in US, department privacy in US, "
            "department security in US " + text)


CHANGES = {
    "a column goes": (
        lambda p: p["tables"]["app.locations"]["columns"].pop("lat"),
        "narrows", masked("loses location: locations.lat (null)")),
    "a mask that shows less": (
        lambda p: p["tables"]["app.watch_events"]["columns"].update(at={"class": "activity",
                                                                        "mask": "year"}),
        "narrows", masked("sees activity otherwise: watch_events.at (day before, now year)")),
    "a mask that shows more": (
        lambda p: p["tables"]["app.users"]["columns"].update(created_at="activity"),
        "widens", masked("sees activity otherwise: users.created_at (year before, now day)")),
    "a step": (
        lambda p: p["tables"]["app.watch_events"]["columns"]["seconds"].update(step=5),
        "changes", masked("sees activity otherwise: watch_events.seconds (coarse by 10 before, now"
                          " coarse by 5)")),
    "a person joins": (
        lambda p: p["actors"].update(cn_intern=dict(p["actors"]["cn_engineer"], manager="cn_engineer")),
        "widens", "department engineering in CN: joined by cn_intern"),
    "a person is suspended": (
        lambda p: p["actors"]["us_privacy_officer"].update(suspended=True),
        "narrows", "department privacy in US: left by us_privacy_officer"),
    "everybody abroad sees rows": (
        lambda p: p["rooms"].update(abroad="masked"),
        "widens", "department engineering in CN may enter room masked"),
    "smaller groups": (
        lambda p: p["statistics"]["users_by_month"].update(minimum=10),
        "widens", "users_by_month (groups of 20 by residency clear, created_at month: users before,"
                  " now groups of 10 by residency clear, created_at month: users)"),
    "a service from elsewhere": (
        lambda p: p["actors"]["app_us"]["regions"]["us-virginia"].update({"from": ["US", "CN"]}),
        "widens", "service app_us may act from CN"),
    "a service that may read only": (
        lambda p: p["actors"]["app_us"]["regions"]["us-virginia"].update(tables="read"),
        "narrows", "service app_us has other rights: app.locations (to write before, now to read)"),
    "younger adults": (
        lambda p: p.update(adult_age=16),
        "widens", "the age of adults: 18 years before, now 16 years"),
    "an office abroad becomes home": (
        lambda p: p["listeners"]["office-cn"].update(place="US"),
        "changes", "where sessions come from: listener office-cn (::ffff:127.0.8.1/128, place CN"
                   " before, now ::ffff:127.0.8.1/128, place US)"),
    "another network": (
        lambda p: p["networks"].update(vpn={"range": "10.0.0.0/8", "place": "US"}),
        "widens", "sessions may come in by network vpn (::ffff:10.0.0.0/104, place US)"),
    "a purpose": (
        lambda p: p["purposes"].remove("debugging"),
        "narrows", "grants may no longer be for debugging"),
    "rows are kept no longer": (
        lambda p: p["tables"]["app.searches"].update(retention={"column": "at", "keep": "90 days"}),
        "narrows", "rows are DELETED: app.searches (at older than 90 days)"),
    "a precise place": (
        lambda p: p["tables"]["app.locations"]["ingest"].pop("lat"),
        "widens", "what is written is no longer held to: app.locations.lat (coarsen by 1/10)"),
}


def test_who_may_read_the_logs_is_said_in_words(server):
    region = server.new_database()
    region.apply()
    region.policy = copy.deepcopy(server.policy)
    region.policy["publication"] = {"profile": "internal"}
    assert words(region) == [("narrows", "not everybody may read the logs (internal) any more")]
    region.apply()
    region.policy["publication"] = {"profile": "auditors"}
    assert words(region) == [("widens", "others may read the logs (internal before, now auditors)")]
    region.policy["publication"] = {"profile": "public"}
    assert words(region) == [("widens", "everybody may read what was kept back: the logs (internal)")]


@pytest.mark.parametrize("name", CHANGES)
def test_what_widens_and_narrows_is_said_in_words(region, name):
    change, verdict, sentence = CHANGES[name]
    change(region.policy)
    said = words(region)
    assert any(v == verdict and sentence in text for v, text in said), said
    if name != "everybody abroad sees rows":
        assert {v for v, _ in said} == {verdict}
    lines = region.command("plan").stdout.splitlines()
    assert any(line.startswith(f"{verdict}: ") and sentence in line for line in lines)


# -- several regions ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def dublin(scratch, authority, build):
    made = Server(os.path.join(scratch, "plan-eu"), authority, build, "eu-dublin", "IE")
    database = made.new_database()
    database.rows("SET session_replication_role = replica; "
                  + "; ".join(f"UPDATE {table} SET residency = 'IE'" for table in made.policy["tables"]))
    yield database
    made.cluster.stop()


def both(first, second, command, *arguments, second_dsn=None):
    def dsn(region):
        return region.server.cluster.dsn(region.database)
    first.command("plan")  # writes the policy and the configuration
    return subprocess.run(
        [f"{first.server.build}/src/cmd/ringfence", "-c", f"{first.folder}/ringfence.yaml", command,
         "--region", "us-virginia", "--dsn", dsn(first),
         "--region", "eu-dublin", "--dsn", second_dsn or dsn(second), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        check=False)


def test_several_regions_are_applied_to_in_one_go_and_taken_up_again(server, dublin):
    virginia = server.new_database()
    # One region cannot hold the policy: nothing is written anywhere.
    dublin.rows("ALTER TABLE app.searches RENAME TO quests")
    done = both(virginia, dublin, "apply")
    assert done.returncode == 2 and "app.searches" in done.stderr and done.stdout == ""
    assert virginia.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'masked'") == []
    dublin.rows("ALTER TABLE app.quests RENAME TO searches")
    # One region fails on the way: the first is done, the second as it was.
    dublin.rows("UPDATE app.users SET residency = 'US' WHERE id = (SELECT min(id) FROM app.users)")
    done = both(virginia, dublin, "apply")
    assert done.returncode == 1 and "app.users" in done.stderr
    assert done.stdout.startswith("us-virginia: applied") and "eu-dublin" not in done.stdout
    assert dublin.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'masked'") == []
    assert both(virginia, dublin, "plan", "--check").returncode == 1
    dublin.rows("UPDATE app.users SET residency = 'IE'")
    done = both(virginia, dublin, "apply")
    assert done.returncode == 0, done.stderr
    assert "us-virginia: nothing to change" in done.stdout and "eu-dublin: applied" in done.stdout
    assert both(virginia, dublin, "plan", "--check").returncode == 0


def test_regions_and_databases_must_be_clear(server, region, dublin):
    assert both(region, dublin, "apply", "--region", "us-virginia").returncode == 2
    assert both(region, dublin, "apply", "--dsn", "dbname=x").returncode == 2
    assert both(region, dublin, "apply", "--region", "us-virginia", "--dsn", "dbname=x").returncode != 0
    assert both(region, dublin, "plan", second_dsn="host=/nowhere").returncode == 3
