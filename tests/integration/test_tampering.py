"""Whoever spoils a public log is noticed, and the place is named."""

import base64
import json
import os
import subprocess

import pytest

from madelog import LINES, World


@pytest.fixture
def world(tmp_path, build):
    return World(build, tmp_path)


def test_thousands_of_ways_to_spoil_a_log_are_noticed(build, slow):
    done = subprocess.run([os.path.join(build, "tests", "support", "tamper")], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=200 * slow, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert sum(counts.values()) > 10000 and counts["flip"] > 5000
    assert counts["lie of the key's holder"] > 50 and counts["leaf spelled otherwise"] > 300


def change(path, what):
    with open(path, "r+b") as file:
        data = what(file.read())
        file.seek(0)
        file.truncate()
        file.write(data)


N = len(LINES)


@pytest.mark.parametrize("file, what, place", [
    (f"tile/entries/000.p/{N}", lambda d: d[:100] + bytes([d[100] ^ 1]) + d[101:], f"/tile/0/000.p/{N}, leaf 0"),
    (f"tile/entries/000.p/{N}", lambda d: d[:-1], f"/tile/entries/000.p/{N}:"),
    (f"tile/0/000.p/{N}", lambda d: d[:64] + bytes(32) + d[96:], f"/tile/0/000.p/{N}, leaf 2"),
    (f"tile/0/000.p/{N}", lambda d: d + b"x", f"/tile/0/000.p/{N}:"),
    ("checkpoint", lambda d: d.replace(b"\n%d\n" % N, b"\n%d\n" % (N - 1)), "/checkpoint:"),
    ("checkpoint", lambda d: d[:-4] + b"AA==", "/checkpoint:"),
    ("checkpoint", lambda d: b"<html>not here</html>", "/checkpoint:"),
])
def test_a_file_that_was_changed_is_named(world, file, what, place):
    path = world.make("log")
    change(os.path.join(path, file), what)
    done = world.run("verify", path)
    assert done.returncode == 4, done.stderr
    assert place in done.stderr and "tampering" in done.stderr


@pytest.mark.parametrize("file", [f"tile/entries/000.p/{N}", f"tile/0/000.p/{N}"])
def test_a_file_that_is_gone_is_named(world, file):
    path = world.make("log")
    os.unlink(os.path.join(path, file))
    done = world.run("verify", path)
    assert done.returncode == 4 and f"/{file}: is not there" in done.stderr


@pytest.mark.parametrize("name", ["tile/0/001", "tile/entries/000.p/200", "tile/0/notes.txt", "tile/x"])
def test_what_should_not_be_there_is_named(world, name):
    path = world.make("log")
    os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
    with open(os.path.join(path, name), "w", encoding="ascii") as file:
        file.write("x")
    done = world.run("verify", path)
    assert done.returncode == 4 and f"/{name}:" in done.stderr


def test_a_link_in_the_place_of_a_file_is_named(world):
    path = world.make("log")
    os.symlink("/etc/passwd", os.path.join(path, "tile", "0", "001"))
    done = world.run("verify", path)
    assert done.returncode == 4 and "/tile/0/001:" in done.stderr


def test_names_of_files_cannot_speak_to_the_terminal(world):
    path = world.make("log")
    with open(os.path.join(path, "tile", "\x1b[2Jok"), "w", encoding="ascii"):
        pass
    done = world.run("verify", path)
    assert done.returncode == 4 and "\x1b" not in done.stderr and "\\x1b[2Jok" in done.stderr


def test_a_liar_with_the_key_is_named_by_leaf(world):
    lines = list(LINES)
    lines[7] = lines[7].replace("grant_ref=2", "grant_ref=1")
    done = world.run("verify", world.make("orphan", lines))
    assert done.returncode == 4 and "/tile/entries/000, leaf 7: grant_ref names leaf 1" in done.stderr
    lines = list(LINES)
    lines[9] += " tags=2"
    done = world.run("verify", world.make("hidden", lines))
    assert done.returncode == 4 and "leaf 9: counts 2 tags" in done.stderr


def test_a_witness_that_signed_something_else_is_named(world):
    path = world.make("log", witnesses=[0])
    other = world.make("other", LINES[:5], witnesses=[0])
    with open(os.path.join(other, "checkpoint"), encoding="utf-8") as file:
        foreign = file.read().splitlines()[-1]
    change(os.path.join(path, "checkpoint"),
           lambda d: "\n".join(d.decode().splitlines()[:-1] + [foreign, ""]).encode())
    done = world.run("verify", path, "--witnesses", world.policy)
    assert done.returncode == 4 and "witness.example.net/w" in done.stderr
    assert base64.b64decode(foreign.split()[-1])
