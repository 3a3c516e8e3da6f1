"""No session ever sees another one's data, whatever happens to the sessions around it."""

import random
import threading
import time

import pytest

from wire import Closed, ServerError, send_cancel

SECONDS = 12


class Client(threading.Thread):
    """Asks for values that nobody else asks for, in random ways, and looks at every byte back."""

    def __init__(self, gateway, actor, number):
        super().__init__(daemon=True)
        self.gateway, self.actor, self.number = gateway, actor, number
        self.random = random.Random(number)
        self.tag = f"tag{number:04d}x"
        self.asked = 0
        self.wrong = []
        self.end = time.monotonic() + SECONDS

    def run(self):
        while time.monotonic() < self.end and not self.wrong:
            try:
                with self.gateway.login(self.actor) as wire:
                    for _ in range(self.random.randrange(1, 30)):
                        if not self.step(wire):
                            break
            except (Closed, OSError):
                pass
            except ServerError as error:
                if error.sqlstate not in ("57014", "53300", "57P03"):
                    self.wrong.append(str(error))

    def value(self):
        self.asked += 1
        return f"{self.tag}{self.asked}y"

    def look(self, messages, value):
        """Every row must hold the value just asked for, every error must be the one provoked."""
        for kind, body in messages:
            if kind == "D" and value.encode() not in body:
                self.wrong.append(f"{self.tag} asked for {value}, got {body!r}")
            if kind in "EN" and b"tag" in body and self.tag.encode() not in body:
                self.wrong.append(f"{self.tag} got another one's error {body!r}")

    def step(self, wire):
        """One thing; False when the connection is gone."""
        what = self.random.choice(["simple", "simple", "extended", "named", "error", "pipeline",
                                   "cancel", "vanish", "transaction", "many"])
        return getattr(self, what)(wire, self.value())

    def simple(self, wire, value):
        wire.send("Q", f"select '{value}'\0".encode())
        self.look(wire.until_ready(), value)
        return True

    def many(self, wire, value):
        wire.send("Q", f"select '{value}', n from generate_series(1, 2000) n\0".encode())
        self.look(wire.until_ready(), value)
        return True

    def extended(self, wire, value):
        wire.send_extended("select $1::text", (value.encode(),))
        self.look(wire.sync(), value)
        return True

    def named(self, wire, value):
        """Every client uses the same name for its own text."""
        wire.send("P", b"same\0" + f"select '{value}', $1::text\0".encode() + b"\0\0")
        wire.send_bind((b"p",), "same")
        wire.send("E", b"\0\0\0\0\0")
        wire.send("C", b"Ssame\0")
        self.look(wire.sync(), value)
        return True

    def error(self, wire, value):
        wire.send("Q", f"select '{value}'::int\0".encode())
        self.look(wire.until_ready(), value)
        return True

    def pipeline(self, wire, value):
        for i in range(5):
            wire.send_extended("select $1::text" if i != 3 else "select $1::text::int",
                               (value.encode(),))
        self.look(wire.sync(), value)
        return True

    def transaction(self, wire, value):
        wire.send("Q", f"begin; select '{value}'\0".encode())
        self.look(wire.until_ready(), value)
        wire.send("Q", f"select '{value}'\0".encode())
        self.look(wire.until_ready(), value)
        wire.send("Q", self.random.choice([b"commit\0", b"rollback\0"]))
        wire.until_ready()
        return True

    def cancel(self, wire, value):
        wire.send("Q", f"select '{value}', lpad('', 1000, 'x') from generate_series(1, 100000)\0".encode())
        wire.receive()
        send_cancel(self.gateway.host, self.gateway.port, wire.cancel_key)
        self.look([m for m in wire.until_ready()], value)
        return True

    def vanish(self, wire, value):
        wire.send("Q", f"begin; select '{value}', lpad('', 1000, 'y') from generate_series(1, 9999)\0"
                  .encode())
        for _ in range(self.random.randrange(5)):
            wire.receive()
        wire.close()
        return False


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_nobody_gets_what_another_asked_for(new_gateway, mode):
    gateway = new_gateway(config={"databases": {"us-virginia": {
        "pool": {"mode": mode, "size": 4 if mode == "transaction" else 20}}}})
    clients = [Client(gateway, ("app_us", "us_analyst")[n % 3 == 0], n) for n in range(24)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(SECONDS + 60)
        assert not client.is_alive(), f"{client.tag} hangs"
    wrong = [text for client in clients for text in client.wrong]
    assert not wrong, "\n".join(wrong[:5])
    assert sum(client.asked for client in clients) > 500
