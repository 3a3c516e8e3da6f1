"""Tags and claim files: the program and the second implementation of the formats say the same."""

import importlib.util
import json
import os
import subprocess

import pytest

from conftest import BUILD, ROOT

VECTORS = os.path.join(ROOT, "tests", "vectors")
spec = importlib.util.spec_from_file_location("log_reader", os.path.join(VECTORS, "log-reader.py"))
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)


def stored():
    with open(os.path.join(VECTORS, "log-v1.json"), encoding="utf-8") as file:
        return json.load(file)


def test_the_vectors_are_what_the_second_implementation_makes():
    made = reader.vectors()
    assert {part: stored()[part] for part in made} == made


def test_the_second_implementation_has_the_vector_of_the_vrf():
    proof, output = reader.vrf_prove(reader.SECRET, b"c2sp.org/vrf-r255")
    assert reader.vrf_public(reader.SECRET).hex().startswith("54136cd90d99fbd1")
    assert proof.hex().endswith("1149d1312503b6441a47c940c") and output.hex().startswith("dd653f0879b48c3e")
    assert reader.vrf_verify(reader.vrf_public(reader.SECRET), b"c2sp.org/vrf-r255", proof) == output


def is_refused(data, vkeys):
    try:
        reader.verify_claim(data, vkeys)
    except (reader.Wrong, ValueError, KeyError):
        return True
    return False


def test_both_take_and_refuse_the_same_claim_files(tmp_path):
    done = subprocess.run([os.path.join(BUILD, "tests", "unit", "test_claim")],
                          env=dict(os.environ, RF_CLAIMS_OUT=str(tmp_path), RF_VECTORS=VECTORS),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    good, bad = sorted(tmp_path.glob("*.good")), sorted(tmp_path.glob("*.bad"))
    assert len(good) >= 20 and len(bad) >= 80
    for path in good:
        reader.verify_claim(path.read_bytes(), [path.with_suffix(".vkey").read_text()])
    for path in bad:
        assert is_refused(path.read_bytes(), [path.with_suffix(".vkey").read_text()]), path


@pytest.mark.parametrize("word", ["checkpoint", "genesis", "named", "k", "seal", "access", "absent", "end"])
def test_the_second_implementation_misses_each_line(word):
    claim = stored()["claim"]
    lines = claim["file"].splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.split()[0] == word)
    assert is_refused("".join(lines[:at] + lines[at + 1:]).encode(), [claim["vkey"]])
