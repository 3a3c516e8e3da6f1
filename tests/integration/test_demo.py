"""The demonstration: one command starts the whole system, and what it prints works as it says."""

import os
import re
import subprocess
import sys
import time
import urllib.request

import pytest
import yaml

from conftest import BUILD, ROOT
from planted import found_in
from ports import free_port


def demo(folder, *arguments):
    return subprocess.run([sys.executable, os.path.join(ROOT, "demo", "demo.py"), "--build", BUILD,
                           "--dir", folder, *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                          check=False)


@pytest.fixture(scope="module")
def running(scratch, slow):
    """What `./dev demo --detach` printed, its folder, and how long it took."""
    folder = os.path.join(scratch, "demo")
    began = time.monotonic()
    done = demo(folder, "--detach", "--port", str(free_port()), "--hub-port", str(free_port()),
                "--hub-tls-port", str(free_port()))
    took = time.monotonic() - began
    try:
        assert done.returncode == 0, done.stdout
        assert took < 60 * slow, f"not ready within a minute: {took:.0f} s"
        yield done.stdout, folder
    finally:
        stopped = demo(folder, "--stop")
    assert stopped.returncode == 0, stopped.stdout


def shell(folder, command):
    return subprocess.run(["sh", "-c", f". {folder}/env\n{command}"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                          check=False)


def commands(printed):
    """The indented commands of the tour, continued lines joined, each with the text above it."""
    found, above = [], ""
    for line in printed.splitlines():
        if line.startswith(("  PGPASSWORD", "  $RF_BIN", "  psql")):
            found.append([above, line.strip()])
        elif line.startswith("    ") or (line.startswith("  ") and found):
            found[-1][1] += "\n" + line
        elif line:
            above = line
    return found


def test_every_command_of_the_tour_does_what_is_said(running):
    printed, folder = running
    tour = commands(printed)
    assert len(tour) >= 12, printed
    outcomes = []
    for above, command in tour:
        done = shell(folder, command)
        outcomes.append((done.returncode, above, command, done.stdout + done.stderr))
    refused = [o for o in outcomes if o[0] != 0]
    for _, above, command, output in refused:
        assert re.search(r"permission denied|does not exist|not serve|residency|no access|refused by rule",
                         output), output
        assert any(word in (above + command).lower() for word in
                   ("denied", "does not exist", "nowhere else", "foreign", "china", "numbers only", "refused")), \
            f"unexpectedly refused: {command}\n{output}"
    assert len(outcomes) - len(refused) >= 7, refused
    shown = "\n".join(output for *_, output in outcomes)
    assert re.search(r"38\.9 +\| -77 +\| 203\.0\.113\.0/24", shown) and "38.897663" not in shown
    assert "grant 1 of us_analyst: support_ticket" in shown and "@example.com" in shown
    assert '"grant":1,"subject":"42"' in shown, "no notice"
    assert "request 1 is open" in shown and shown.count("refused by rule") == 2
    assert "event=reload-refused" in shown and "would be refused: 0 of 2 signatures are valid" in shown


def test_a_command_for_the_other_region_finds_its_way(running):
    _, folder = running
    done = shell(folder, "$RF_BIN/ringfence request --hub $RF_HUB_TLS --ca $RF_CA --region eu-dublin"
                 " --actor eu_analyst --identity $RF_SSHKEY_EU_ANALYST --subject 1000042 --class contact"
                 " --purpose support_ticket --reference T-1 --for 10m")
    assert done.returncode == 0 and "request 1 waits" in done.stderr, done.stdout + done.stderr


def test_the_policy_of_the_demo_names_the_key_of_each_person_and_else_is_ours(running):
    _, folder = running
    env = dict(line.split("=", 1) for line in open(f"{folder}/env", encoding="utf-8").read().split())
    with open(env["RF_POLICY"], encoding="utf-8") as f:
        made = yaml.safe_load(f)
    with open(os.path.join(ROOT, "demo", "policy.yaml"), encoding="utf-8") as f:
        ours = yaml.safe_load(f)
    for name, actor in made["actors"].items():
        keys = actor.pop("keys", None)
        if actor["kind"] == "person":
            with open(env[f"RF_SSHKEY_{name.upper()}"] + ".pub", encoding="ascii") as f:
                assert keys == [f.read().strip()], name
        else:
            assert keys is None, name
    assert made.pop("signers") == {"quorum": 2, "wait": "5s",
                                   "actors": ["us_privacy_officer", "us_security_officer"]}
    assert made == ours


def test_an_analyst_of_the_demo_sees_nobody(running):
    _, folder = running
    done = shell(folder, 'PGPASSWORD=$RF_PASSWORD_US_ANALYST psql -X -At "host=127.0.0.1'
                 ' port=$RF_GATEWAY_PORT dbname=us-virginia user=us_analyst sslmode=verify-full'
                 ' sslrootcert=$RF_CA" -c "select * from users limit 5"')
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 5, done.stderr
    assert "@" not in done.stdout and not found_in(done.stdout)


def test_both_regions_hold_what_was_promised(running):
    _, folder = running
    for dsn, homes in (("RF_US_DSN", "US"), ("RF_EU_DSN", None)):
        done = shell(folder, f'psql -X -At "${dsn}" -c "select count(*), count(distinct residency)'
                     ' from app.users"')
        users, countries = (int(n) for n in done.stdout.strip().split("|"))
        assert users > 10_000 and (countries == 1) == (homes == "US")


def test_the_hub_of_the_demo_answers(running):
    printed, folder = running
    url = shell(folder, "printf %s $RF_HUB").stdout
    assert url.startswith("http://127.0.0.1:") and url + "/" in printed
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url + "/", timeout=20) as page:
        text = page.read().decode()
    assert "us-virginia" in text and "eu-dublin" in text


def test_the_demo_says_what_runs(running):
    _, folder = running
    done = demo(folder, "--status")
    assert done.returncode == 0 and "not running" not in done.stdout
    assert done.stdout.count("running, process") >= 6
