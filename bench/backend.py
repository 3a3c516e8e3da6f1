"""The CPU of one server process for one prepared statement, in two ways.

One by one: the client sends a statement and waits for its answer, as clients do. Each of them makes the
server's process fall asleep and wake up again, which on a small virtual machine costs more than a look-up
does, and the more the busier the machine is.

Back to back: many statements are sent at once, each with a Sync of its own (so each is a transaction of
its own, and its answer is sent by itself), and nobody waits for the answers before all are there. Nothing
sleeps, so figures hardly differ from run to run; of the two it is the harder one for whoever is compared
with a small statement, as the cost of waking up is on both sides of the other."""

import os
import struct
import time

from wire import Wire, cstr


class Backend:
    """A session as ROLE, over the unix socket."""

    def __init__(self, sockets, port, role, options="", dbname="app"):
        self.wire = Wire(f"{sockets}/.s.PGSQL.{port}")
        self.wire.login(role, "", dbname, options=options)
        self.pid = struct.unpack("!I", self.wire.cancel_key[:4])[0]
        self.names = {}

    def close(self):
        self.wire.send("X")
        self.wire.close()

    def cpu_us(self):
        with open(f"/proc/{self.pid}/schedstat", encoding="ascii") as line:
            return int(line.read().split()[0]) / 1000

    def answers(self, count):
        """How many rows came; the first error raises."""
        rows = 0
        while count > 0:
            kind, body = self.wire.receive()
            if kind == "E":
                raise SystemExit(f"the server says: {body!r}")
            rows += kind == "D"
            count -= kind == "Z"
        return rows

    def prepare(self, sql, keys):
        if sql not in self.names:
            self.names[sql] = f"s{len(self.names)}"
            self.wire.send("P", cstr(self.names[sql]) + cstr(sql) + struct.pack("!H", keys)
                           + struct.pack("!I", 20) * keys)
            self.wire.send("S")
            self.answers(1)
        return self.names[sql]

    def run(self, sql, keys, count, is_prepared=True):
        """(microseconds of CPU, rows) of one of COUNT executions. KEYS: values of bigint parameters."""
        one = self.message(sql, keys, is_prepared)
        rows, before = 0, self.cpu_us()
        for done in range(0, count, 50):  # what is sent and answered fits into the socket's buffers
            some = min(50, count - done)
            self.wire.send_bytes(one * some)
            self.sleep_until_idle()
            rows += self.answers(some)
        return (self.cpu_us() - before) / count, rows / count

    def run_one_by_one(self, sql, keys, count):
        """The same, with the server's process and this one on a core each, where there are two."""
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(self.pid, cores[-1:])
        os.sched_setaffinity(0, cores[:1])
        one = self.message(sql, keys, True)
        rows, before = 0, self.cpu_us()
        for _ in range(count):
            self.wire.send_bytes(one)
            rows += self.answers(1)
        used = self.cpu_us() - before
        for process in (0, self.pid):
            os.sched_setaffinity(process, cores)
        return used / count, rows / count

    def message(self, sql, keys, is_prepared):
        """[Parse,] Bind, Execute, Sync."""
        values = b"".join(struct.pack("!i", len(str(key))) + str(key).encode() for key in keys)
        name = self.prepare(sql, len(keys)) if is_prepared else ""
        parse = b"" if is_prepared else message(
            "P", cstr("") + cstr(sql) + struct.pack("!H", len(keys)) + struct.pack("!I", 20) * len(keys))
        return (parse + message("B", cstr("") + cstr(name) + struct.pack("!HH", 0, len(keys)) + values
                                + struct.pack("!H", 0))
                + message("E", cstr("") + struct.pack("!I", 0)) + message("S", b""))

    def sleep_until_idle(self):
        """Nobody is woken by an answer, so the server goes on until all is done."""
        last = -1
        while last != (last := self.cpu_us()):
            time.sleep(0.002)


def message(kind, body):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body
