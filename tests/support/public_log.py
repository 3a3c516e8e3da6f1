"""What a gateway needs for a public log, and what a stranger does with one: keys, a witness, reading
leaves, `ringfence log verify`."""

import base64
import itertools
import json
import os
import signal
import struct
import subprocess

from ports import free_port
from waiting import wait_until

ITEM = 48  # a tag of 16 bytes, a commitment of 32
NAMES = (f"us-virginia-{os.getpid()}-{n}" for n in itertools.count())


class Witness:
    """One `ringfence-witness` for the logs whose vkey files are given."""

    def __init__(self, folder, program, vkeys):
        self.folder, self.program, self.vkeys = folder, program, vkeys
        self.port = free_port()
        os.makedirs(os.path.join(folder, "state"), mode=0o700, exist_ok=True)
        self.vkey = subprocess.run(
            [program, "--key", self.path("key"), "--new-key", "witness.example/w1"],
            stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self.process = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        logs = [part for vkey in self.vkeys for part in ("--log", vkey)]
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "--key", self.path("key"), "--state", self.path("state"), "--listen",
                 f"127.0.0.1:{self.port}", *logs], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=20)
            self.process = None


class PublicLog:
    """The log of a gateway that is not started yet: its section of the configuration, its files."""

    def __init__(self, gateway, witness=True, origin=None, **section):
        # The region's database remembers every origin's size: a log of another test is another log.
        origin = origin or f"log.example/{next(NAMES)}"
        self.gateway, self.origin = gateway, origin
        self.folder = gateway.path("public")
        self.vkey = gateway.path("log.vkey")
        if not os.path.exists(gateway.path("log.key")):
            self.make_keys()
        settings = {"origin": origin, "directory": "public", "key": "log.key", "vrf_key": "vrf.key",
                    "epoch": "1m", "rollup": "1min", "seal": "1min", "checkpoint": "20ms"}
        self.witness = None
        if witness:
            self.witness = Witness(gateway.path("witness"), gateway.program("ringfence-witness"),
                                   [self.vkey]).start()
            self.write_witnesses("quorum w1")
            settings["witnesses"] = "witnesses.policy"
        gateway.config["ledger"] = {**settings, **section}
        os.makedirs(self.folder, mode=0o755, exist_ok=True)
        gateway.give(self.folder)
        gateway.write_config()

    def make_keys(self):
        for arguments in (["log", "--origin", self.origin, "--out", self.gateway.path("log.key")],
                          ["vrf", "--region", "us-virginia", "--out", self.gateway.path("vrf.key")]):
            done = self.gateway.command("key", "new", *arguments)
            assert done.returncode == 0, done.stderr
            if arguments[0] == "log":
                self.gateway.write("log.vkey", done.stdout, 0o644)
            self.gateway.give(arguments[-1])

    def write_witnesses(self, quorum):
        with open(self.vkey, encoding="ascii") as text:
            vkey = text.read().strip()
        self.witnesses = self.gateway.path("witnesses.policy")
        self.gateway.write("witnesses.policy", f"log {vkey}\nwitness w1 {self.witness.vkey} "
                           f"http://127.0.0.1:{self.witness.port}\n{quorum}\n", 0o644)

    def checkpoint(self):
        """(size, root) that is published, or (0, b"")."""
        try:
            with open(os.path.join(self.folder, "checkpoint"), encoding="utf-8") as text:
                lines = text.read().split("\n")
        except FileNotFoundError:
            return 0, b""
        assert lines[0] == self.origin
        return int(lines[1]), base64.b64decode(lines[2])

    def leaves(self):
        """Every published leaf, in order."""
        size, found, bundle = self.checkpoint()[0], [], 0
        while len(found) < size:
            width = min(256, size - 256 * bundle)
            name = f"{bundle % 1000:03}" if bundle < 1000 else f"x{bundle // 1000:03}/{bundle % 1000:03}"
            path = os.path.join(self.folder, "tile/entries", name)
            if not os.path.exists(path):
                path += f".p/{width}"
            with open(path, "rb") as file:
                data = file.read()
            while data and len(found) < size:
                length = struct.unpack(">H", data[:2])[0]
                found.append(json.loads(data[2:2 + length]))
                data = data[2 + length:]
            bundle += 1
        return found

    def wait_for(self, what, timeout=20, **wanted):
        """The leaves that have these values, once there is one."""
        def matching():
            return [leaf for leaf in self.leaves()
                    if all(leaf.get(key) == value for key, value in wanted.items())]
        wait_until(matching, f"no leaf: {what}", timeout=timeout * self.gateway.slow)
        return matching()

    def verify(self, *arguments):
        trust = ["--witnesses", self.witnesses] if self.witness is not None else []
        return self.gateway.command("log", "verify", self.folder, "--key", self.vkey, *trust,
                                    "--remember", self.gateway.path("remembered"), *arguments)

    def assert_holds(self):
        """Verified, and the very tree that the journal makes."""
        done = self.verify()
        assert done.returncode == 0, done.stdout + done.stderr

    def bytes(self):
        """All that a stranger could ever fetch."""
        found = b""
        for folder, _, names in os.walk(self.folder):
            for name in sorted(names):
                with open(os.path.join(folder, name), "rb") as file:
                    found += file.read()
        return found


def tags_of(leaf):
    items = base64.b64decode(leaf["tags"])
    return [items[at:at + 16] for at in range(0, len(items), ITEM)]
