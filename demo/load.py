#!/usr/bin/env python3
"""A little traffic of the application's services through the gateways, so that figures move.

usage: load.py SETTINGS.json     a list of {"dsn", "password", "first", "users"}
Starts one pgbench a service, four small transactions a second, again whenever it ends (a gateway
that is restarted ends it), until it gets SIGTERM."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

RATE = 4
PAUSE = 2


def start(pgbench, service, script):
    env = dict(os.environ, PGPASSWORD=service["password"])
    return subprocess.Popen(
        [pgbench, "-n", "-M", "extended", "-c", "1", "-R", str(RATE), "-T", "86400", "-f", script,
         "-D", f"first={service['first']}", "-D", f"users={service['users']}", service["dsn"]],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        settings = json.load(f)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.sql")
    pgbench = os.path.join(settings["programs"], "pgbench")
    if not os.path.exists(pgbench):
        pgbench = shutil.which("pgbench")
    running = [None] * len(settings["services"])
    ending = False

    def end(*_):
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    while not ending:
        for i, service in enumerate(settings["services"]):
            if running[i] is None or running[i].poll() is not None:
                running[i] = start(pgbench, service, script)
        time.sleep(PAUSE)
    for child in running:
        if child is not None:
            child.terminate()
            child.wait()


if __name__ == "__main__":
    main()
