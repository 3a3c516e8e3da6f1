"""Logs made to order with the program `logmaker` (tests/support/logmaker.h says how lines look)."""

import contextlib
import functools
import http.server
import json
import os
import subprocess
import threading

ORIGIN = "log.example.com/us-virginia"
MINUTE = 29922360  # 2026-11-22T10:00Z, where logs begin

GRANT = ("grant minute=+1 grant=7 entity=clipstream-us place=US purpose=abuse_report "
         "classes=identity,contact subjects=2 until=29922600 policy_ref=1")
SHOWN = "disclosure room=granted grant=7 grant_ref=2 entity=clipstream-us place=US purpose=abuse_report"

LINES = [
    "genesis epoch=60m rollup=5 seal=5",
    "start minute=+1",
    GRANT,
    SHOWN + " classes=identity tags=@a,@b",
    "session minute=+3 from=29922360 until=29922365 room=masked entity=clipstream-us place=US rows=512",
    "transfer from=29922360 until=29922365 room=masked entity=clipstream-cn place=CN rows=64",
    "seal of=interval",
    SHOWN + " minute=+1 classes=contact tags=@c",
    "revoke grant=7 grant_ref=2 rule=expired",
    "seal of=epoch minute=+60",
    "seal of=interval",
]


class Key:
    """A key in FOLDER: `file` is the secret one, `vkey` the public one."""

    def __init__(self, build, folder, name, word, cosignature=False):
        self.name = name
        base = os.path.join(str(folder), word)
        self.file, self.vkey_file = base + ".key", base + ".vkey"
        subprocess.run([program(build), "key", name, word, self.file, self.vkey_file,
                        *(["cosignature"] if cosignature else [])], check=True)
        with open(self.vkey_file, encoding="ascii") as text:
            self.vkey = text.read().strip()


def program(build):
    return os.path.join(build, "tests", "support", "logmaker")


class World:
    """A log's key, two witnesses, and `ringfence log` with a memory of its own."""

    def __init__(self, build, folder):
        self.build, self.folder = build, str(folder)
        self.key = Key(build, folder, ORIGIN, "log")
        self.witnesses = [Key(build, folder, "witness.example.net/w", "w1", True),
                          Key(build, folder, "witness.example.com/own", "w2", True)]
        self.policy = self.write("policy", "".join(f"witness w{i} {w.vkey}\n" for i, w in
                                                   enumerate(self.witnesses, 1))
                                 + "group some any w1 w2\nquorum some\n")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def make(self, name, lines=None, key=None, witnesses=(), minute=None):
        """The folder of a log of these lines; WITNESSES are indexes or (index, time)."""
        path = os.path.join(self.folder, name)
        options = ["--out", path, "--key", (key or self.key).file]
        for w in witnesses:
            index, time = w if isinstance(w, tuple) else (w, 0)
            options += ["--witness", self.witnesses[index].file + (f"@{time}" if time else "")]
        if minute:
            options += ["--minute", str(minute)]
        done = subprocess.run([program(self.build), *options], text=True, stderr=subprocess.PIPE,
                              input="\n".join(LINES if lines is None else lines) + "\n", check=False)
        assert done.returncode == 0, done.stderr
        return path

    def run(self, *arguments, key=None, remember=None):
        """`ringfence log …`; KEY False: none."""
        keys = [] if key is False else ["--key", (key or self.key).vkey_file]
        memory = remember or os.path.join(self.folder, "state")
        environment = {**os.environ, "XDG_STATE_HOME": memory}
        return subprocess.run([os.path.join(self.build, "src", "cmd", "ringfence"), "log",
                               *map(str, arguments), *keys], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120, env=environment,
                              check=False)

    def verify(self, path, *arguments, **options):
        """Of a log that nobody has seen before."""
        return self.run("verify", path, "--json", "--remember",
                        os.path.join(self.folder, "fresh", os.urandom(8).hex()), *arguments, **options)

    def facts(self, path, *arguments, status=0):
        done = self.verify(path, *arguments)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files as they are; `special` maps a path to (status, headers, body)."""
    protocol_version = "HTTP/1.1"
    special = {}

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path in self.server.special:
            status, headers, body = self.server.special[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder, special=None):
    """(URL, the paths that were asked for) while it lasts."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    server.asked, server.special, server.daemon_threads = [], special or {}, True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked
    finally:
        server.shutdown()
        server.server_close()
