"""The same sources and packages give the same programs, wherever, whenever and by whomever they are
built (docs/building.md)."""

import hashlib
import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT

PROGRAMS = ["src/cmd/ringfenced", "src/cmd/ringfence", "src/cmd/ringfence-witness"]
# what `./dev build` says, but that one of the two treats warnings as errors
OPTIONS = ["-Dbuildtype=release", "-Ddebug=true"]

pytestmark = pytest.mark.skipif(os.path.basename(BUILD) != "test",
                                reason="one build of the sources has two others made of it, and that is enough")


def copy_sources(to):
    def others(folder, names):
        top = os.path.samefile(folder, ROOT)
        return [name for name in names if name in (".git", "__pycache__", "node_modules", "corpus", "results")
                or (top and (name.startswith("build") or name == ".demo"))]
    shutil.copytree(ROOT, to, ignore=others, symlinks=True)
    return to


def build(sources, folder, *options, umask, **environment):
    """Digests of the programs; the folder is another one, and so are umask, locale, zone and user name."""
    for command in (["meson", "setup", folder, *OPTIONS, *options],
                    ["nice", "ninja", "-C", folder, "--quiet", *PROGRAMS]):
        done = subprocess.run(command, cwd=sources, umask=umask, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              env={**os.environ, **environment})
        assert done.returncode == 0, done.stdout
    found = {}
    for name in PROGRAMS:
        with open(os.path.join(folder, name), "rb") as program:
            found[name] = program.read()
    return found


def test_two_builds_in_two_folders_give_the_same_programs(tmp_path):
    one = build(copy_sources(tmp_path / "one"), tmp_path / "one" / "build" / "release", "-Dwerror=false", umask=0o022,
                LC_ALL="C.UTF-8", TZ="UTC", USER="auditor")
    sources = copy_sources(tmp_path / "a" / "longer" / "way" / "to" / "two")
    for folder, _, names in os.walk(sources):  # unpacked at another time
        for name in names:
            os.utime(os.path.join(folder, name), (10**9, 10**9))
    two = build(sources, tmp_path / "elsewhere", "-Dwerror=true", umask=0o077, LC_ALL="C", TZ="Asia/Tokyo",
                USER="operator")
    digests = [{name: hashlib.sha256(data).hexdigest() for name, data in made.items()} for made in (one, two)]
    assert digests[0] == digests[1]
    for name, data in one.items():
        where = re.findall(rb"[^\0]*" + str(tmp_path).encode() + rb"[^\0]*", data)
        assert not where, (name, where[:3])
