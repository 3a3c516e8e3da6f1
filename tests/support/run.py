#!/usr/bin/python3
"""Runs the tests of one build folder and ends with one plain line: N passed, N failed, N skipped.

Unit tests and fuzz corpora are meson's (TAP: every case counts), the rest is pytest's."""

import argparse
import json
import os
import subprocess
import sys
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VALGRIND_SLOW = 40  # how many times as long a program takes under it, at most


class Count:
    def __init__(self):
        self.passed = self.failed = 0
        self.skipped = []  # a line each

    def tap(self, name, text, result):
        """The cases of one TAP stream; a stream that broke off is one failure more."""
        seen = bad = 0
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("1..0 # SKIP"):  # the whole program, with its reason
                self.skipped.append(f"{name}: {line.split('#', 1)[1].strip()}")
            if not line.startswith(("ok ", "not ok ")):
                continue
            seen += 1
            if "# SKIP" in line.upper():
                self.skipped.append(f"{name}: {line.split('#', 1)[1].strip()}")
            elif line.startswith("ok "):
                self.passed += 1
            else:
                bad += 1
                print(f"FAILED {name}: {line}")
        if result not in ("OK", "SKIP") and bad == 0:
            bad = 1
            print(f"FAILED {name}: {result} after {seen} cases")
        self.failed += bad
        return bad == 0

    def junit(self, path):
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
            elif skipped is not None:
                self.skipped.append(f"{name}: {skipped.get('message')}")
            else:
                self.passed += 1


def meson_names(build):
    done = subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--list"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return [line.split(" / ")[-1].split(":")[-1].strip() for line in done.stdout.splitlines()]


def run_meson(build, names, valgrind, slow, count):
    command = ["meson", "test", "-C", build, "--no-rebuild", "--timeout-multiplier", str(slow)]
    environment = {**os.environ, "RF_SLOW": str(VALGRIND_SLOW if valgrind else slow)}
    if valgrind:
        environment["RF_LEAN"] = "7"  # see tests/fault/fault_session.c
        command += ["--wrapper", "valgrind --quiet --error-exitcode=99 --leak-check=full "
                    "--errors-for-leak-kinds=definite,possible --trace-children=no",
                    "--timeout-multiplier", str(VALGRIND_SLOW)]
    log = os.path.join(build, "meson-logs",
                       "testlog-valgrind.json" if valgrind else "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    subprocess.run(command + names, env=environment, stdin=subprocess.DEVNULL, check=False)
    if not os.path.exists(log):
        count.failed += 1
        print("FAILED: meson test did not run")
        return
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            test = json.loads(line)
            if not count.tap(test["name"], test.get("stdout") or "", test["result"]):
                print(test.get("stdout") or "", test.get("stderr") or "", sep="\n")


# Modules that mostly wait (for the minutes of a public log, for witnesses, for builds): where all are
# run, these run beside the others, in a region of their own.
WAITING = ["approvals", "approvals_attack", "attack_signed", "commands_client", "covert", "erasure", "hub", "keys",
           "log_writer", "notices", "policy_signed", "public_log", "reproducible", "requests", "suspension", "who_looked"]


class Pytest:
    """One run of pytest; started at once, its output shown when it is waited for."""

    def __init__(self, build, name, arguments, options, shown):
        self.report = os.path.join(build, f"{name}.xml")
        self.output = None if shown else os.path.join(build, f"{name}.out")
        if os.path.exists(self.report):
            os.unlink(self.report)
        environment = {**os.environ, "RF_BUILD": os.path.relpath(build, ROOT),
                       "RF_SANDBOX": options.sandbox, "RF_SLOW": str(options.slow),
                       "PYTHONDONTWRITEBYTECODE": "1"}
        out = None if shown else open(self.output, "wb")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q",
             "-o", "xfail_strict=true", "--tb=short", "--durations=10",
             f"--junitxml={self.report}", *arguments], cwd=ROOT, env=environment,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def wait(self, count):
        status = self.process.wait()
        if self.output is not None:
            with open(self.output, encoding="utf-8", errors="replace") as text:
                print(text.read(), flush=True)
        if os.path.exists(self.report):
            count.junit(self.report)
        if status not in (0, 1, 5) or not os.path.exists(self.report):
            count.failed += 1
            print(f"FAILED: pytest ended with {status}")


def run_pytest(build, arguments, options, count):
    Pytest(build, "pytest", arguments, options, True).wait(count)


def run_all(build, options, count):
    waiting = [f"tests/integration/test_{name}.py" for name in WAITING]
    beside = Pytest(build, "pytest-waiting", waiting, options, False)
    others = ["tests/integration", *[f"--ignore={path}" for path in waiting]]
    Pytest(build, "pytest", others, options, True).wait(count)
    beside.wait(count)


def main():
    parser = argparse.ArgumentParser(prog="./dev test")
    parser.add_argument("name", nargs="*", help="a unit test, or part of an integration test's name")
    parser.add_argument("--build", required=True)
    parser.add_argument("--only", choices=["unit", "house"])
    parser.add_argument("--valgrind", action="store_true")
    parser.add_argument("--sandbox", default="full", choices=["none", "seccomp", "full"])
    parser.add_argument("--slow", type=int, default=1, help="how much patience this build needs")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    count = Count()

    units = [n for n in options.name if n in meson_names(build)]
    others = [n for n in options.name if n not in units]
    if options.only != "house" and (units or not others):
        run_meson(build, units, options.valgrind, options.slow, count)
    if options.only == "house":
        run_pytest(build, ["tests/integration/test_house.py"], options, count)
    elif options.only is None and (others or not units):
        if others:
            run_pytest(build, ["tests/integration", "-k", " or ".join(others)], options, count)
        else:
            run_all(build, options, count)

    for line in count.skipped:
        print(f"skipped {line}")
    print(f"{count.passed} passed, {count.failed} failed, {len(count.skipped)} skipped")
    nothing = count.passed + count.failed == 0
    if nothing:
        print(f"no test is called {' '.join(options.name)}", file=sys.stderr)
    return 1 if count.failed or nothing else 0


if __name__ == "__main__":
    sys.exit(main())
