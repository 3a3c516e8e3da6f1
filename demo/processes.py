"""What the demonstration has started, remembered so that it stops that and nothing else.

A process is known by its number and the time it started: numbers are used again, both together are
not."""
import json
import os
import signal
import subprocess
import threading
import time


def started_at(pid):
    """Clock ticks since boot at which PID started, or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else int(fields[19])


class Processes:
    def __init__(self, path):
        self.path = path
        self.known = {}
        self.lock = threading.Lock()  # regions are started in parallel
        try:
            with open(path, encoding="utf-8") as f:
                self.known = json.load(f)
        except (OSError, ValueError):
            pass

    def _save(self):
        new = self.path + ".new"
        with open(new, "w", encoding="utf-8") as f:
            json.dump(self.known, f, indent=1)
        os.replace(new, self.path)

    def remember(self, name, pid):
        with self.lock:
            self.known[name] = {"pid": pid, "started": started_at(pid)}
            self._save()

    def forget(self, name):
        with self.lock:
            self.known.pop(name, None)
            self._save()

    def pid(self, name):
        """Its number while it runs, else None."""
        entry = self.known.get(name)
        if entry is None or entry["started"] is None:
            return None
        return entry["pid"] if started_at(entry["pid"]) == entry["started"] else None

    def start(self, name, command, log, env=None):
        """In a session of its own, so that Ctrl-C reaches us and not it."""
        with open(log, "ab") as out:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     start_new_session=True, env=env, cwd="/")
        self.remember(name, child.pid)
        return child

    def stop(self, name, how=signal.SIGTERM, patience=20):
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, how)
            if not self._gone(name, patience):
                os.kill(pid, signal.SIGKILL)
                self._gone(name, 5)
        self.forget(name)

    def _gone(self, name, patience):
        end = time.monotonic() + patience
        while self.pid(name) is not None:
            if time.monotonic() > end:
                return False
            try:  # our own child stays a zombie until somebody asks after it
                os.waitpid(self.known[name]["pid"], os.WNOHANG)
            except ChildProcessError:
                pass
            time.sleep(0.02)
        return True
