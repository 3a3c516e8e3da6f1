"""Other people's code reads our logs: golang.org/x/mod (sumdb/tlog and sumdb/note), which the Go
checksum database is built on, as Debian packages it."""

import os
import subprocess

import pytest

from conftest import BUILD, ROOT

TOOL = os.path.join(BUILD, "tests", "tlog_tool")
NAME = "log.example.com/ringfence"
WITNESS = "witness.example.com/w1"
SEED = bytes(range(32)).hex()


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    """tests/clients/tlog_check.go, compiled with nothing but Debian's packages."""
    folder = tmp_path_factory.mktemp("go")
    program = str(folder / "tlog_check")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                   "GOCACHE": str(folder / "cache"), "CGO_ENABLED": "0", "GOPROXY": "off"}
    done = subprocess.run(["go", "build", "-o", program, "tests/clients/tlog_check.go"], cwd=ROOT,
                          env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    return program


@pytest.fixture(scope="module")
def vkeys():
    return tool("key", NAME, 1, SEED).strip(), tool("key", WITNESS, 4, SEED).strip()


def check(checker, folder, vkeys, proofs=""):
    return subprocess.run([checker, str(folder), *vkeys], input=proofs, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=300, check=False)


def proofs_of(folder, size):
    """Proofs of ours, out of the folder's files: all of a small log, the interesting ones of a large."""
    if size <= 257:
        numbers = list(range(size))
    else:
        numbers = sorted({0, 1, 254, 255, 256, 257, size // 2, size - 2, size - 1} | set(range(7, size, 977))
                         | {n for n in (65534, 65535, 65536, 65537) if n < size})
    if not numbers:
        return "", 0
    text = tool("prove", folder, size, "inclusion", *numbers)
    # x/mod knows no proof from the empty log
    return text + tool("prove", folder, size, "consistency", *(n for n in numbers + [size] if n > 0)), \
        len(text.splitlines()) + len([n for n in numbers + [size] if n > 0])


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 1000, 65537, 70000])
def test_x_mod_accepts_our_log(checker, vkeys, size, tmp_path):
    tool("grow", tmp_path, NAME, SEED, 0, size)
    proofs, count = proofs_of(tmp_path, size)
    done = check(checker, tmp_path, vkeys, proofs)
    assert done.returncode == 0, done.stderr
    files = sum(len(names) for _, _, names in os.walk(tmp_path)) - 1
    assert done.stdout == f"ok size {size} files {files} proofs {count}\n"


def test_x_mod_accepts_a_log_that_grew_in_steps(checker, vkeys, tmp_path):
    sizes = [0, 1, 100, 255, 256, 300, 511, 513, 1000]
    for old, size in zip(sizes, sizes[1:]):
        tool("grow", tmp_path, NAME, SEED, old, size)
        done = check(checker, tmp_path, vkeys, proofs_of(tmp_path, size)[0])
        assert done.returncode == 0, done.stderr


def spoil(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize("name, at", [("checkpoint", 30), ("checkpoint", -20), ("tile/0/001", 700),
                                      ("tile/1/000.p/3", 64), ("tile/0/003.p/232", 31),
                                      ("tile/entries/001", 900), ("tile/entries/003.p/232", 5)])
def test_the_check_is_one(checker, vkeys, name, at, tmp_path):
    """A test of the test: what is spoilt is noticed."""
    tool("grow", tmp_path, NAME, SEED, 0, 1000)
    spoil(tmp_path / name, at)
    assert check(checker, tmp_path, vkeys).returncode == 1


def test_a_spoilt_proof_is_noticed(checker, vkeys, tmp_path):
    tool("grow", tmp_path, NAME, SEED, 0, 1000)
    for kind in ("inclusion", "consistency"):
        good = tool("prove", tmp_path, 1000, kind, 777)
        assert check(checker, tmp_path, vkeys, good).returncode == 0
        last = good.strip()[-1]
        assert check(checker, tmp_path, vkeys, good.strip()[:-1] + ("0" if last != "0" else "1")).returncode == 1
        assert check(checker, tmp_path, vkeys, good.rsplit(" ", 1)[0]).returncode == 1
        assert check(checker, tmp_path, vkeys, good.replace("777", "778")).returncode == 1


def test_the_keys_must_be_the_right_ones(checker, vkeys, tmp_path):
    tool("grow", tmp_path, NAME, SEED, 0, 2)
    other = bytes(range(1, 33)).hex()
    assert check(checker, tmp_path, (tool("key", NAME, 1, other).strip(), vkeys[1])).returncode == 1
    assert check(checker, tmp_path, (vkeys[0], tool("key", WITNESS, 4, other).strip())).returncode == 1
