"""A session that runs many scripts in one go and keeps every byte of the answers.

Batches are pipelined: a statement costs the server's time and little of ours. An answer is cut at
ReadyForQuery, so each script is known by its own bytes."""

import struct

from wire import Wire, cstr, error_fields

RESULT_ROWS = 300   # of one statement in the extended protocol; it is suspended after that
FORGET = ["ROLLBACK", "DISCARD ALL"]


class Lost(Exception):
    """The server ended the session. SCRIPT is the index of the script that was running."""

    def __init__(self, script, answers, last):
        super().__init__(f"ended at script {script}: {last[-300:]!r}")
        self.script, self.answers, self.last = script, answers, last


def frame(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def simple(sql):
    return frame(b"Q", cstr(sql))


def extended(sql, binary):
    return (frame(b"P", b"\0" + cstr(sql) + b"\0\0")
            + frame(b"B", b"\0\0\0\0\0\0" + (b"\0\1\0\1" if binary else b"\0\0"))
            + frame(b"D", b"P\0") + frame(b"E", b"\0" + struct.pack("!I", RESULT_ROWS))
            + frame(b"S", b""))


class Script:
    """STATEMENTS of one session. HOW: "simple", "extended", "binary"."""

    def __init__(self, category, statements, how="simple"):
        self.category, self.statements, self.how = category, statements, how

    def text(self):
        return " ;; ".join(self.statements)

    def asks_for_binary(self):
        return self.how == "binary" or "binary" in self.text().lower()

    def frames(self, forget):
        """(bytes, number of ReadyForQuery that answer them)."""
        if self.how != "simple" and len(self.statements) == 1:
            return extended(self.statements[0], self.how == "binary"), 1
        after = FORGET if forget else ["ROLLBACK"] if len(self.statements) > 1 else []
        parts = [simple(sql) for sql in self.statements + after]
        return b"".join(parts), len(parts)


class Answer:
    """What came back for a script. DATA: all bytes, in order, but for disclosures."""

    def __init__(self, data, errors, disclosures):
        self.data, self.errors = data, errors
        self.disclosures = disclosures  # primary texts of notices with SQLSTATE RF001


class Session:
    def __init__(self, wire, forget=True):
        self.socket, self.forget = wire.socket, forget
        self.buffer, self.at = bytearray(), 0

    @classmethod
    def direct(cls, cluster, role, dbname="app", milliseconds=500, options=""):
        """As ROLE over the unix socket, with nothing between: what remains when the gateway, and
        with it the statement guard, is out of the way."""
        wire = Wire(f"{cluster.sockets}/.s.PGSQL.{cluster.port}", timeout=60)
        wire.login(role, "", dbname, options=f"-c statement_timeout={milliseconds} -c jit=off {options}")
        return cls(wire)

    @classmethod
    def through(cls, gateway, actor, milliseconds=500, **parameters):
        wire = gateway.login(actor, **parameters)
        wire.query(f"SET statement_timeout = {milliseconds}")
        wire.socket.settimeout(60)
        return cls(wire, forget=False)

    def close(self):
        self.socket.close()

    def run(self, scripts):
        """The Answers, one a script; raises Lost."""
        sent, counts = [], []
        for script in scripts:
            data, count = script.frames(self.forget and len(script.statements) > 1)
            sent.append(data)
            counts.append(count)
        answers = []
        try:
            self.socket.sendall(b"".join(sent))
            for count in counts:
                answers.append(self.answer(count))
        except (OSError, EOFError):
            last = bytes(self.buffer)
            raise Lost(len(answers), answers, last) from None
        return answers

    def answer(self, count):
        parts, start, errors, disclosures = [], self.at, [], []
        while count > 0:
            before = self.at
            kind, body_at, end = self.message()
            if kind == 0x5A:
                count -= 1
            elif kind == 0x45:
                errors.append(error_fields(bytes(self.buffer[body_at:end])))
            elif kind == 0x4E and b"\0CRF001\0" in self.buffer[body_at:end]:
                disclosures.append(error_fields(bytes(self.buffer[body_at:end]))["M"])
                parts.append(self.buffer[start:before])
                start = end
        parts.append(self.buffer[start:self.at])
        data = b"".join(parts)
        if self.at > 1 << 20:
            del self.buffer[:self.at]
            self.at = 0
        return Answer(data, errors, disclosures)

    def message(self):
        """(kind, where its body is, where it ends) of the next message."""
        self.need(5)
        length = int.from_bytes(self.buffer[self.at + 1:self.at + 5], "big")
        self.need(1 + length)
        kind, body_at = self.buffer[self.at], self.at + 5
        self.at += 1 + length
        return kind, body_at, self.at

    def need(self, count):
        while len(self.buffer) - self.at < count:
            part = self.socket.recv(1 << 18)
            if not part:
                raise EOFError
            self.buffer += part


def reason(last):
    """The last error in bytes that ended a session, or None: it ended without a word."""
    at = last.rfind(b"SFATAL\0")
    at = at if at >= 0 else last.rfind(b"SPANIC\0")
    return error_fields(last[at:]) if at >= 0 else None
