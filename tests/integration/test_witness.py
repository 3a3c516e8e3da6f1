"""ringfence-witness over raw HTTP, and the courier with src/ledger/cosign.c against it and against
witnesses that mean no good."""

import base64
import concurrent.futures
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import yaml

from conftest import BUILD, ROOT, SANDBOX, SLOW
from notes import COSIGNATURE, ED25519, Key, Log, verify_cosignature
from ports import free_port
from waiting import wait_until

PROGRAM = os.path.join(BUILD, "src", "cmd", "ringfence-witness")
with open(os.path.join(ROOT, "tests", "vectors", "tlog-vectors.json"), encoding="utf-8") as text_file:
    VECTORS = json.load(text_file)
LOG_KEY = Key("log.example.com/ringfence", ED25519, bytes(range(32)))
WITNESS_KEY = Key("witness.example.com/w1", COSIGNATURE, bytes(range(32, 64)))
LOG = Log(LOG_KEY)
HEX = hashlib.sha256(LOG_KEY.name.encode()).hexdigest()
folders = itertools.count()


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)
    return path


class Witness:
    """One ringfence-witness, whose state outlives its processes."""

    def __init__(self, folder, key=WITNESS_KEY, log_key=LOG_KEY):
        os.makedirs(folder)
        self.folder, self.key = folder, key
        self.state = os.path.join(folder, "state")
        os.mkdir(self.state)
        self.key_path = write(f"{folder}/key", key.file_text, 0o600)
        self.log_path = write(f"{folder}/log.vkey", log_key.vkey + "\n")
        self.process, self.port = None, 0

    def command(self):
        return [PROGRAM, "--key", self.key_path, "--state", self.state, "--listen",
                f"127.0.0.1:{self.port}", "--log", self.log_path]

    def start(self, **environment):
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})
        said = self.process.stdout.readline()
        assert said.startswith("listening 127.0.0.1:"), said
        self.port = int(said.rsplit(":", 1)[1])
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(20 * SLOW)
        self.process.stdout.close()
        self.process = None
        return status

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10 * SLOW)

    def ask(self, method, path, body=None):
        """(status, content type, body)"""
        connection = self.connect()
        try:
            return ask_over(connection, method, path, body)
        finally:
            connection.close()

    def post(self, body):
        return self.ask("POST", "/add-checkpoint", body)

    def checkpoint(self):
        return self.ask("GET", f"/{HEX}/checkpoint")


def ask_over(connection, method, path, body=None):
    connection.request(method, path, body.encode() if isinstance(body, str) else body)
    answer = connection.getresponse()
    return answer.status, answer.getheader("Content-Type"), answer.read().decode()


@pytest.fixture
def folder(scratch):
    return os.path.join(scratch, f"witness-{next(folders)}")


@pytest.fixture
def witness(folder):
    one = Witness(folder).start()
    yield one
    one.stop()


def is_cosigned(answer, size, key=WITNESS_KEY, log=LOG):
    status, _, body = answer
    when = verify_cosignature(body, log.text(size), key.vkey)
    return status == 200 and when is not None and abs(when - time.time()) < 60 * SLOW


# --- the witness over HTTP ------------------------------------------------------------------------


def test_our_python_agrees_with_the_vectors():
    named = VECTORS["witness"]
    assert LOG_KEY.vkey == VECTORS["keys"]["log"]["vkey"]
    assert WITNESS_KEY.vkey == VECTORS["keys"]["witness"]["vkey"]
    a8 = VECTORS["checkpoints_signed"]["A8"].split("\n\n")[0] + "\n"
    assert WITNESS_KEY.cosign(a8, 1700000000) == named["response_200_for_A8"]
    assert verify_cosignature(named["response_200_for_A8"], a8, WITNESS_KEY.vkey) == 1700000000
    b = Log(LOG_KEY, 257)
    for size in (1, 256, 257):
        assert b.note(size) == VECTORS["checkpoints_signed"][f"B{size}"]


def test_the_vectors_of_the_specification(witness):
    named = VECTORS["witness"]
    a3, a8 = VECTORS["checkpoints_signed"]["A3"], VECTORS["checkpoints_signed"]["A8"]
    text = a8.split("\n\n")[0] + "\n"
    assert witness.ask("GET", "/" + named["monitoring_path"])[0] == 404
    assert witness.post(named["A3_to_A8"]) == (409, "text/x.tlog.size", "0\n")
    assert witness.post("old 0\n\n" + a3)[0] == 200
    assert witness.post(named["old0_to_A8"]) == (409, "text/x.tlog.size",
                                                 named["response_409_body_if_witness_is_at_3"])
    for name in ("A3_to_A8", "A8_to_A8_refresh"):
        status, _, line = witness.post(named[name])
        assert status == 200
        assert verify_cosignature(line, text, VECTORS["keys"]["witness"]["vkey"])
    status, kind, note = witness.ask("GET", "/" + named["monitoring_path"])
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert note == a8 + line
    assert witness.post(named["B256_to_B70000"]) == (409, "text/x.tlog.size", "8\n")


def test_malformed_requests_are_400(witness):
    good = LOG.request(0, 8)
    note = LOG.note(8)
    text = LOG.text(8)
    wrong = ["", "\n", "old\n\n" + note, "old 00\n\n" + note, "old +0\n\n" + note,
             "old 0 \n\n" + note, "old -1\n\n" + note, "old 9223372036854775808\n\n" + note,
             "old 0\n" + note, "old 0\n\n", good[:-1], good.replace("\n", "\r\n"), good + "x",
             good + "\n", good.replace("\u2014", "-"), "old 0\nAAAA\n\n" + note,
             "old 3\n" + ("A" * 43 + "=\n") * 64 + "\n" + note, "old 0\n\n" + text,
             "old 0\n\n" + text + "\n", "new 0\n\n" + note,
             good.replace("\n8\n", "\n08\n"), good.replace("\n8\n", "\n+8\n"),
             good.replace("\n8\n", "\n8\0\n"), LOG.request(9, 8)]  # old above size
    for body in wrong:
        assert witness.post(body)[0] == 400, body
    assert witness.post(b"\xff\xfe" * 50)[0] == 400
    assert witness.checkpoint()[0] == 404
    assert is_cosigned(witness.post(good), 8)


def test_signatures_that_do_not_count_are_403_and_unknown_logs_404(witness):
    other = Key("log.example.com/ringfence", ED25519, bytes(32))
    stranger = Log(Key("log.example.com/stranger", ED25519, bytes(range(32))))
    text = LOG.text(8)
    damaged = LOG_KEY.line(b"\0" * 64)
    cases = [(other.sign(text), 403), (damaged, 403), (other.sign(text) + damaged, 403),
             (WITNESS_KEY.cosign(text, 5), 403), (LOG_KEY.sign(LOG.text(9)), 403)]
    for lines, status in cases:
        assert witness.post(LOG.request(0, 8, note=text + "\n" + lines))[0] == status
    assert witness.post(stranger.request(0, 8))[0] == 404
    # unknown comes before wrongly signed, and that before a conflict
    assert witness.post(stranger.request(3, 8, note=stranger.text(8) + "\n" + damaged))[0] == 404
    assert witness.post(LOG.request(3, 8, note=text + "\n" + damaged))[0] == 403
    # a line of a key that nobody knows does no harm
    assert is_cosigned(
        witness.post(LOG.request(0, 8, note=text + "\n" + other.sign(text) + LOG_KEY.sign(text))), 8)


def test_another_history_is_422(witness):
    fork = Log(LOG_KEY, word="fork")
    empty = LOG.text(0, of_root=bytes(32))
    assert witness.post(LOG.request(0, 0, note=empty + "\n" + LOG_KEY.sign(empty)))[0] == 422
    assert witness.post(LOG.request(0, 8, proof=[bytes(32)]))[0] == 422  # proof with old 0
    assert is_cosigned(witness.post(LOG.request(0, 0)), 0)
    assert is_cosigned(witness.post(LOG.request(0, 8)), 8)
    proof = LOG.request(8, 20).split("\n\n")[0].split("\n")[1:]
    hashes = [base64.b64decode(line) for line in proof]
    wrong = [[], hashes[:-1], hashes + [bytes(32)], hashes[::-1], [bytes(32)] + hashes[1:]]
    for one in wrong:
        assert witness.post(LOG.request(8, 20, proof=one))[0] == 422
    assert witness.post(fork.request(8, 20))[0] == 422
    assert witness.post(fork.request(8, 8))[0] == 422  # same size, another root
    assert witness.post(LOG.request(8, 8, proof=[bytes(32)]))[0] == 422
    assert witness.checkpoint()[2].startswith(LOG.text(8))
    assert is_cosigned(witness.post(LOG.request(8, 20)), 20)


def test_an_old_request_does_not_roll_it_back(witness):
    first = LOG.request(0, 8)
    assert is_cosigned(witness.post(first), 8)
    assert is_cosigned(witness.post(LOG.request(8, 20)), 20)
    for body in (first, LOG.request(8, 20), LOG.request(8, 8), LOG.request(0, 20)):
        assert witness.post(body) == (409, "text/x.tlog.size", "20\n")
    assert witness.post(LOG.request(20, 8))[0] == 400  # old above size
    assert witness.checkpoint()[2].startswith(LOG.text(20))


def test_other_methods_and_places(witness):
    assert witness.ask("GET", "/add-checkpoint")[0] == 405
    assert witness.ask("PUT", f"/{HEX}/checkpoint", b"x" * 100)[0] == 405
    for path in ("/", "/checkpoint", f"/{HEX}", f"/{HEX}/checkpoint/", f"/{'0' * 64}/checkpoint",
                 f"/{HEX.upper()}/checkpoint", "/../etc/passwd", f"//{HEX}/checkpoint"):
        assert witness.ask("GET", path)[0] == 404, path
    assert witness.ask("POST", "/add-checkpoint", b"x" * 16385)[0] == 413
    assert witness.ask("POST", "/add-checkpoint", b"x" * 16384)[0] == 400


def test_one_connection_serves_many_requests_and_sigterm_ends_it(witness):
    connection = witness.connect()
    for size in range(1, 30):
        answer = ask_over(connection, "POST", "/add-checkpoint", LOG.request(size - 1, size))
        assert is_cosigned(answer, size)
        assert ask_over(connection, "GET", f"/{HEX}/checkpoint")[2].startswith(LOG.text(size))
        assert ask_over(connection, "GET", "/nothing")[0] == 404
    assert connection.sock is not None  # never closed in between
    assert witness.stop() == 0


def test_bodies_without_end_and_silent_clients_hold_nobody_up(witness):
    silent = [socket.create_connection(("127.0.0.1", witness.port)) for _ in range(30)]
    for one in silent:
        one.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Le")
    endless = socket.create_connection(("127.0.0.1", witness.port))
    endless.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(OSError):
        endless.settimeout(10 * SLOW)
        for _ in range(100000):
            endless.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    assert is_cosigned(witness.post(LOG.request(0, 8)), 8)
    for one in silent + [endless]:
        one.close()


def test_concurrent_requests_make_one_history(witness):
    signed = []

    def push(number):
        connection, size = witness.connect(), 0
        for step in range(15):
            new = min(size + 1 + (number + step) % 5, 390)
            status, _, body = ask_over(connection, "POST", "/add-checkpoint", LOG.request(size, new))
            if status == 200:
                assert verify_cosignature(body, LOG.text(new), WITNESS_KEY.vkey)
                signed.append((size, new))
                size = new
            else:
                assert status == 409
                size = int(body)
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(push, number) for number in range(12)]:
            done.result()
    # each cosigned step begins where another ended: a chain, no fork
    steps = sorted(step for step in signed if step[0] != step[1])
    assert steps[0][0] == 0
    assert all(before[1] == after[0] for before, after in zip(steps, steps[1:]))
    assert witness.checkpoint()[2].startswith(LOG.text(steps[-1][1]))


@pytest.mark.skipif(BUILD.endswith("release"), reason="this build has no failure points")
def test_death_between_storing_and_answering_forgets_nothing(folder):
    one = Witness(folder).start()
    assert is_cosigned(one.post(LOG.request(0, 8)), 8)
    one.stop()
    one.start(RF_FAULT="witness.stored:1")
    with pytest.raises((OSError, http.client.HTTPException)):
        one.post(LOG.request(8, 20))
    assert one.process.wait(20 * SLOW) == -signal.SIGKILL
    one.start()
    assert one.post(LOG.request(8, 20)) == (409, "text/x.tlog.size", "20\n")
    assert one.checkpoint()[2].startswith(LOG.text(20))
    assert is_cosigned(one.post(LOG.request(20, 21)), 21)
    assert one.stop() == 0


def test_kills_at_any_time_never_lose_a_signature(folder):
    """Whoever holds a signature over size n finds the witness at n or above, ever after."""
    one = Witness(folder).start()
    held, asked = 0, 0
    for round_number in range(6):
        killer = threading.Timer(0.02 * (round_number + 1), one.process.kill)
        killer.start()
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = one.connect()
            while True:
                status, _, body = ask_over(connection, "POST", "/add-checkpoint",
                                           LOG.request(held, min(held + 1, 399)))
                if status == 200:
                    held = min(held + 1, 399)
                else:
                    asked = int(body)
                    assert asked >= held
                    held = asked
        killer.join()
        one.process.wait()
        one.start()
        note = one.checkpoint()
        stored = int(note[2].split("\n")[1]) if note[0] == 200 else 0
        assert stored in (held, held + 1)
        held = stored
    assert held > 0
    one.stop()


def test_what_cannot_be_stored_is_not_said(witness):
    assert is_cosigned(witness.post(LOG.request(0, 8)), 8)
    shutil.rmtree(witness.state)
    with pytest.raises((OSError, http.client.HTTPException)):
        witness.post(LOG.request(8, 20))
    assert witness.process.wait(20 * SLOW) == 3


def test_a_second_process_and_a_foreign_state_are_refused(witness, folder):
    refused = subprocess.run(witness.command(), stderr=subprocess.PIPE, text=True, check=False)
    assert refused.returncode == 3
    assert "another witness uses the folder" in refused.stderr
    assert is_cosigned(witness.post(LOG.request(0, 8)), 8)
    witness.stop()
    path = os.path.join(witness.state, HEX)
    with open(path, encoding="utf-8") as stored:
        text = stored.read()
    witness.port = 0
    for wrong in (text.replace("\n8\n", "\n7\n"), "", text[:-1], LOG.note(8)):
        write(path, wrong, 0o600)
        refused = subprocess.run(witness.command(), stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True, check=False)
        assert refused.returncode == 4, refused.stderr
    write(path, text, 0o600)
    witness.start()
    assert witness.post(LOG.request(0, 8))[0] == 409


def test_a_new_key_is_made_once_and_in_secret(folder):
    os.makedirs(folder)
    path = os.path.join(folder, "key")
    command = [PROGRAM, "--key", path, "--new-key", "witness.example.org/new"]
    made = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    name, _, public = made.stdout.strip().split("+", 2)
    assert name == "witness.example.org/new"
    assert base64.b64decode(public)[0] == COSIGNATURE
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="ascii") as text:
        mark, name, seed = text.read().split()
    assert mark == "ringfence-key@1"
    assert Key(name, COSIGNATURE, base64.b64decode(seed)).vkey == made.stdout.strip()
    assert subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False).returncode == 3
    for arguments in (["--nothing"], [], ["--key", path], ["--key", path, "more"]):
        assert subprocess.run([PROGRAM, *arguments], stderr=subprocess.PIPE,
                              check=False).returncode == 2


# --- the courier ----------------------------------------------------------------------------------


class Notary:
    """scripted_notary.c with a real courier. WITNESSES: (key, url); all are needed."""

    def __init__(self, folder, witnesses, quorum="all", environment=None, ca=None):
        os.makedirs(folder)
        self.folder = folder
        shutil.copy(os.path.join(ROOT, "demo", "policy.yaml"), folder)
        for name in ("state", "run"):
            os.mkdir(os.path.join(folder, name))
        config = {
            "name": "us-virginia", "place": "US", "policy": "policy.yaml",
            "credentials": "credentials", "state": "state", "run": "run",
            "tls": {"certificate": "gateway.crt", "key": "gateway.key", "client_ca": "ca.crt"},
            "listen": [{"address": "127.0.0.1", "port": 6432, "tls": "optional"}],
            "databases": {"us-virginia": {"region": "us-virginia", "database": "app", "tls": "off",
                                          "primary": ["127.0.0.1:5432"],
                                          "standby": ["127.0.0.1:5433"]}},
            "ledger": {"origin": LOG_KEY.name, "directory": "log", "key": "log.key",
                       "vrf_key": "vrf.key", "witnesses": "witnesses"},
            "sandbox": SANDBOX, "log": "debug"}
        self.config = write(f"{folder}/ringfence.yaml", yaml.safe_dump(config, sort_keys=False))
        self.key_path = write(f"{folder}/log.key", LOG_KEY.file_text, 0o600)
        self.trust(witnesses, quorum)
        environment = {**os.environ, **(environment or {})}
        if ca is not None:  # beside the witnesses' file, where the courier may read
            environment["SSL_CERT_FILE"] = shutil.copy(ca, folder)
        self.log = open(f"{folder}/log.txt", "wb")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests", "support", "scripted_notary"),
             os.path.join(BUILD, "src", "cmd", "ringfenced"), self.config, f"{folder}/policy.yaml",
             f"{folder}/witnesses", self.key_path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
            env=environment)
        self.buffer = b""
        self.ready = self.expect("ready")

    def trust(self, witnesses, quorum="all"):
        lines = [f"log {LOG_KEY.vkey}"]
        lines += [f"witness w{i} {key.vkey} {url}".rstrip() for i, (key, url) in enumerate(witnesses)]
        names = " ".join(f"w{i}" for i in range(len(witnesses)))
        lines += [f"group all-of-them {quorum} {names}", "quorum all-of-them"]
        write(os.path.join(self.folder, "witnesses"), "\n".join(lines) + "\n")

    def tell(self, *commands):
        self.process.stdin.write("".join(f"{command}\n" for command in commands).encode())
        self.process.stdin.flush()

    def line(self, timeout):
        end = time.monotonic() + timeout * SLOW
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError(f"nothing was said: {self.text()}")
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                raise AssertionError(f"it ended: {self.text()}")
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def expect(self, *begin, timeout=20):
        """The next line that begins with one of BEGIN; others are passed over."""
        while True:
            line = self.line(timeout)
            if line.startswith(begin):
                return line

    def block(self, command):
        self.tell(command)
        lines = []
        while True:
            line = self.line(10)
            if line == "end":
                return lines
            if not line.startswith(("answer", "outcome", "ready")):
                lines.append(line)

    def outcome(self, timeout=20):
        return self.expect("outcome", "refused", timeout=timeout).split(maxsplit=2)[2]

    def post(self, limit_ms=1500, witness=0, length=100, timeout=20):
        """Status, failure, is_size and length, of a post that cosign knows nothing of."""
        self.tell(f"post {witness} {limit_ms} {length}")
        return self.expect(f"answer {witness}", timeout=timeout).split()[2:]

    def courier(self):
        """Its process id."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as children:
            return int(children.read().split()[0])

    def text(self):
        with open(f"{self.folder}/log.txt", encoding="utf-8", errors="replace") as text:
            return text.read()

    def close(self):
        self.process.stdin.close()
        try:
            status = self.process.wait(20 * SLOW)
        finally:
            self.process.kill()
            self.log.close()
        said = self.text()
        assert "Sanitizer" not in said and "assertion" not in said, said
        assert status == 0, said


@pytest.fixture
def make(scratch):
    """Makes witnesses and notaries, and ends them in the right order."""
    made = []

    class Make:
        @staticmethod
        def witness(number=1):
            key = Key(f"witness.example.com/w{number}", COSIGNATURE, bytes([number]) * 32)
            one = Witness(os.path.join(scratch, f"witness-{next(folders)}"), key).start()
            made.insert(0, one.stop)
            return one

        @staticmethod
        def notary(witnesses, **options):
            witnesses = [(one.key, one.url) if hasattr(one, "key") else one for one in witnesses]
            one = Notary(os.path.join(scratch, f"notary-{next(folders)}"), witnesses, **options)
            made.append(one.close)
            return one

        @staticmethod
        def hostile(behave, **options):
            one = Hostile(behave, **options)
            made.insert(0, one.close)
            return one

    yield Make
    for end in reversed(made):
        end()


def test_two_witnesses_cosign_what_grows(make):
    witnesses = [make.witness(1), make.witness(2)]
    notary = make.notary(witnesses)
    if SANDBOX != "none":
        assert "seccomp=yes" in notary.ready
    for size in (1, 2, 255, 256, 300):
        notary.tell(f"offer {size}")
        outcomes = sorted(notary.outcome() for _ in witnesses)
        assert outcomes == ["covered 0 0", "covered 1 0"]
        lines = notary.block("lines")
        for line, one in zip(lines, witnesses, strict=True):
            assert verify_cosignature(line + "\n", LOG.text(size), one.key.vkey)
            assert one.checkpoint()[2].startswith(LOG.text(size))
    state = notary.block("state")
    assert state == ["ringfence-witnesses@1"] + [
        f"{one.key.name} {one.key.id.hex()} 300" for one in witnesses]


def test_a_witness_that_is_behind_is_asked_from_there(make):
    one = make.witness()
    assert one.post(LOG.request(0, 100))[0] == 200
    notary = make.notary([one])
    notary.tell("offer 290")
    assert notary.outcome() == "behind 0 0"
    assert notary.outcome() == "covered 1 0"


def test_a_witness_that_is_ahead_stops_the_log(make):
    one = make.witness()
    assert one.post(LOG.request(0, 100))[0] == 200
    notary = make.notary([one])
    notary.tell("offer 99")
    assert notary.outcome() == "claimed 0 0"
    assert notary.outcome() == "alarm 0 100"  # it has shown our own signature
    notary.tell("offer 101")
    assert "it was rolled back" in notary.expect("refused")


def test_a_remembered_size_stops_the_log_before_anybody_is_asked(make):
    one = make.witness()
    notary = make.notary([one])
    notary.tell("import", "ringfence-witnesses@1", f"{one.key.name} {one.key.id.hex()} 50", "end",
                "offer 49")
    assert "it was rolled back" in notary.expect("refused")
    assert one.checkpoint()[0] == 404


def test_a_witness_with_another_history_disputes(make):
    one = make.witness()
    fork = Log(LOG_KEY, word="fork")
    assert one.post(fork.request(0, 7))[0] == 200
    notary = make.notary([one])
    notary.tell("offer 9")
    assert notary.outcome() == "behind 0 0"
    assert notary.outcome() == "disputed 0 0"


def test_a_witness_comes_back(make):
    one = make.witness()
    one.stop()
    notary = make.notary([one])
    notary.tell("offer 5")
    assert notary.outcome().startswith("unanswered")
    one.start()
    while notary.outcome() != "covered 1 0":
        pass


# --- witnesses that mean no good ---


class Hostile:
    """A listening socket; BEHAVE gets each connection after its request, in a thread."""

    def __init__(self, behave, context=None, reads=True):
        self.behave, self.context, self.reads = behave, context, reads
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.key = Key("witness.example.com/hostile", COSIGNATURE, b"h" * 32)
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.context else 'http'}://localhost:{self.port}"

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.serve, args=(one,), daemon=True).start()

    def serve(self, one):
        with contextlib.suppress(OSError), one:
            if self.context:
                one = self.context.wrap_socket(one, server_side=True)
            while not self.reads or read_request(one) is not None:
                if self.behave(one) is not True:
                    return

    def close(self):
        self.listener.close()


def read_request(connection):
    text = b""
    while b"\r\n\r\n" not in text:
        got = connection.recv(65536)
        if not got:
            return None
        text += got
    head, body = text.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return head, body


def answering(status, body=b"", *headers):
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *headers, "", ""]
    text = "\r\n".join(lines).encode() + body

    def behave(connection):
        connection.sendall(text)
        return True
    return behave


def endless(piece, head=b"HTTP/1.1 200 OK\r\n\r\n", pause=0.0):
    def behave(connection):
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(pause)
    return behave


def drip(connection):
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def silent(connection):
    time.sleep(60)


def hang_up(connection):
    return None


def say(text):
    def behave(connection):
        connection.sendall(text)
    return behave


GZIP = b"\x1f\x8b\x08\x00" + b"\x00" * 2000

HOSTILE = [
    ("endless body", endless(b"x" * 65536), {"too-large"}),
    ("endless chunks", endless(b"1000\r\n" + b"x" * 4096 + b"\r\n",
                               b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
     {"too-large"}),
    ("slow drip", drip, {"timeout"}),
    ("slow header", endless(b"X-Y: z\r\n", b"HTTP/1.1 200 OK\r\n", 0.05), {"timeout"}),
    ("silence", silent, {"timeout"}),
    ("closes before", hang_up, {"unreached"}),
    ("closes within the header", say(b"HTTP/1.1 200 OK\r\nCont"), {"unreached", "reached"}),
    ("closes within the body", say(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc"),
     {"unreached"}),
    ("garbage", say(b"\x00\xff\x80SSH-2.0-x\r\n\r\n" * 100), {"unreached"}),
    ("HTTP/0.9", say(b"hello\n"), {"unreached"}),
    ("huge header", endless(b"X" * 65536, b"HTTP/1.1 200 OK\r\nX: "), {"too-large", "unreached"}),
    ("many headers", endless(b"X-Y: z\r\n", b"HTTP/1.1 200 OK\r\n"), {"too-large"}),
    ("endless continue", endless(b"HTTP/1.1 100 Continue\r\n\r\n", b""), {"too-large"}),
    ("body that is announced too large", answering(200, b"x" * 16385), {"too-large"}),
    ("largest body", answering(200, b"x" * 16384), {"reached"}),
    ("negative length", say(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
     {"unreached", "too-large"}),
    ("status without sense", say(b"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n"), {"unreached"}),
    ("redirect to a file", answering(302, b"", "Location: file:///etc/passwd"), {"reached"}),
    ("redirect elsewhere", answering(307, b"", "Location: http://127.0.0.1:9/"), {"reached"}),
    ("asks for a password", answering(401, b"", 'WWW-Authenticate: Basic realm="x"'), {"reached"}),
    ("compressed", answering(200, GZIP, "Content-Encoding: gzip"), {"reached"}),
    ("switches protocols", say(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n"),
     {"unreached", "reached", "too-large", "timeout"}),
]


@pytest.mark.parametrize("behave,failures", [case[1:] for case in HOSTILE],
                         ids=[case[0] for case in HOSTILE])
def test_a_hostile_witness_costs_nothing_but_time(make, behave, failures):
    hostile, good = make.hostile(behave), make.witness()
    notary = make.notary([hostile, good])
    began = time.monotonic()
    status, failure, is_size, length = notary.post(limit_ms=1500)
    assert time.monotonic() - began < 1.5 + 3 * SLOW
    assert failure in failures
    assert int(length) <= 16384
    if failure == "reached":
        assert is_size == "0"
    else:
        assert status == "0"
    # and the others are served as before
    assert notary.post(witness=1)[:2] == ["400", "reached"]
    with open(f"/proc/{notary.courier()}/status", encoding="ascii") as text:
        peak = next(int(line.split()[1]) for line in text if line.startswith("VmHWM"))
    assert SANDBOX == "none" or peak < 100 * 1024


ANSWERS = [
    ("a larger size that is only said",
     answering(409, b"1000000\n", "Content-Type: text/x.tlog.size"), "claimed 0 0"),
    ("conflict without its content type", answering(409, b"3\n", "Content-Type: text/plain"),
     "refused 0 0"),
    ("conflict of another content type",
     answering(409, b"3\n", "Content-Type: text/x.tlog.sizes"), "refused 0 0"),
    ("conflict that is no number",
     answering(409, b"three\n", "Content-Type: text/x.tlog.size"), "refused 0 0"),
    ("no signature", answering(200, b""), "refused 0 0"),
    ("a stranger's signature", answering(200, WITNESS_KEY.cosign(LOG.text(9), 5).encode()),
     "refused 0 0"),
    ("its signature over another size",
     answering(200, Key("witness.example.com/hostile", COSIGNATURE, b"h" * 32)
               .cosign(LOG.text(8), 5).encode()), "refused 0 0"),
    ("its signature", answering(200, Key("witness.example.com/hostile", COSIGNATURE, b"h" * 32)
                                .cosign(LOG.text(9), 5).encode()), "covered 1 0"),
    ("not found", answering(404, b"x"), "refused 0 0"),
]


@pytest.mark.parametrize("behave,outcome", [case[1:] for case in ANSWERS],
                         ids=[case[0] for case in ANSWERS])
def test_what_answers_are_worth(make, behave, outcome):
    notary = make.notary([make.hostile(behave)])
    notary.tell("offer 9")
    assert notary.outcome() == outcome


def test_a_connection_is_kept_and_a_witness_asked_for_one_thing_at_a_time(make):
    def slow_answer(connection):
        time.sleep(0.3)
        return answering(404, b"x")(connection)

    hostile = make.hostile(slow_answer)
    notary = make.notary([hostile])
    notary.tell("post 0 1500 10", "post 0 1500 10")
    assert notary.expect("answer").split()[2:4] == ["0", "not-carried"]
    assert notary.expect("answer").split()[2:4] == ["404", "reached"]
    for _ in range(3):
        assert notary.post()[0] == "404"
    assert hostile.connections == 1


def test_the_environment_names_no_proxy(make):
    dead = f"http://127.0.0.1:{free_port()}"
    notary = make.notary([make.witness()],
                         environment={"http_proxy": dead, "ALL_PROXY": dead, "HTTP_PROXY": dead})
    assert notary.post()[:2] == ["400", "reached"]


def test_places_that_nobody_is_at(make):
    keys = [Key(f"witness.example.com/{i}", COSIGNATURE, bytes([i]) * 32) for i in range(5)]
    notary = make.notary([(keys[0], "http://nobody.invalid"),
                          (keys[1], f"http://127.0.0.1:{free_port()}"),
                          (keys[2], f"http://[::1]:{free_port()}"), (keys[3], "")], quorum="any")
    assert notary.post(witness=0, timeout=40)[:2] == ["0", "unreached"]
    assert notary.post(witness=1)[:2] == ["0", "unreached"]
    assert notary.post(witness=2)[:2] == ["0", "unreached"]
    assert notary.post(witness=3)[:2] == ["0", "not-carried"]
    assert notary.post(witness=9)[:2] == ["0", "not-carried"]


def server_context(authority, name, *, addresses=(), names=()):
    certificate, key = authority.issue(name, addresses=addresses, names=names, file=name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_https_believes_the_right_certificate_only(make, authority):
    right = make.hostile(answering(404, b"x"),
                         context=server_context(authority, "witness-right", names=["localhost"]))
    wrong = make.hostile(answering(404, b"x"),
                         context=server_context(authority, "witness-wrong", names=["example.com"]))
    plain = make.hostile(answering(404, b"x"))
    plain_url = plain.url.replace("http:", "https:")
    witnesses = [(Key(f"w/{i}", COSIGNATURE, bytes([i]) * 32), url)
                 for i, url in enumerate([right.url, wrong.url, plain_url])]
    notary = make.notary(witnesses, ca=authority.certificate)
    for _ in range(2):
        assert notary.post(witness=0)[:2] == ["404", "reached"]
    assert right.connections == 1
    assert notary.post(witness=1)[:2] == ["0", "unreached"]
    assert notary.post(witness=2)[0] == "0"  # speaks no TLS
    stranger = make.notary(witnesses)  # Debian's certificates do not know ours
    assert stranger.post(witness=0)[:2] == ["0", "unreached"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(make, authority):
    context = server_context(authority, "witness-old", names=["localhost"])
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    old = make.hostile(answering(404, b"x"), context=context)
    notary = make.notary([old], ca=authority.certificate)
    assert notary.post()[:2] == ["0", "unreached"]


def test_a_reload_reads_the_witnesses_again(make):
    first, second = make.witness(1), make.witness(2)
    notary = make.notary([first])
    assert notary.post()[0] == "400"
    notary.trust([(first.key, second.url)])
    first.stop()
    notary.tell("reload")
    notary.expect("ready")
    assert notary.post()[:2] == ["400", "reached"]
    for wrong in ("ftp://127.0.0.1", "file:///etc/passwd", "http://user:secret@127.0.0.1", "nonsense",
                  "http://", "http://127.0.0.1/?x=y"):
        notary.trust([(first.key, wrong)])
        notary.tell("reload")
        assert "witness" in notary.expect("failed"), wrong
        assert notary.post()[:2] == ["400", "reached"]  # who was there before stays


def test_a_reload_answers_what_was_under_way(make):
    hostile, good = make.hostile(silent), make.witness()
    notary = make.notary([hostile, good])
    notary.tell("post 0 20000 10")
    wait_until(lambda: hostile.connections == 1, "the post is under way")
    notary.tell("reload")
    assert notary.expect("answer").split()[2:4] == ["0", "unreached"]
    assert notary.post(witness=1)[:2] == ["400", "reached"]


def test_another_notary_hears_nothing_of_what_the_last_one_asked(make):
    hostile = make.hostile(silent)
    notary = make.notary([hostile])
    notary.tell("post 0 20000 10")
    wait_until(lambda: hostile.connections == 1, "the post is under way")
    notary.tell("peer")
    assert notary.post(limit_ms=300)[:2] == ["0", "timeout"]  # of its own, and the slot was free


def test_a_notary_that_talks_nonsense_is_hung_up_on_until_another_comes(make):
    notary = make.notary([make.witness()])
    notary.tell("nonsense")
    notary.expect("gone")
    notary.tell("peer")
    assert notary.post()[:2] == ["400", "reached"]
    wait_until(lambda: "malformed message" in notary.text(), "the log says why")
