"""Every vector of tests/vectors/tlog-vectors.json, asked of src/tlog through tests/support/tlog_tool.c."""

import base64
import hashlib
import json
import os
import subprocess

import pytest

from conftest import BUILD, ROOT

TOOL = os.path.join(BUILD, "tests", "tlog_tool")

with open(os.path.join(ROOT, "tests/vectors/tlog-vectors.json"), encoding="utf-8") as vectors_file:
    VECTORS = json.load(vectors_file)

SETS = {"A": "".join(leaf + "," for leaf in VECTORS["set_A"]["leaves_hex"]), "B": "B"}


def ask(*arguments, given=b""):
    """The tool's answer, as bytes."""
    if isinstance(given, str):
        given = given.encode()
    done = subprocess.run([TOOL, *map(str, arguments)], input=given, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def lines(*arguments, given=b""):
    return ask(*arguments, given=given).decode().splitlines()


def root_of(name, size):
    if name == "A":
        return VECTORS["set_A"]["roots_size_0_to_8"][size]
    return VECTORS["set_B"]["roots"].get(str(size)) or defined_root(0, size).hex()


def defined_root(start, end):
    """RFC 9162, section 2.1.1, of set B."""
    if end - start == 1:
        return bytes.fromhex(leaf_hash("B", start))
    half = 1 << (end - start - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + defined_root(start, start + half) +
                          defined_root(start + half, end)).digest()


def leaf_hash(name, index):
    leaf = bytes.fromhex(VECTORS["set_A"]["leaves_hex"][index]) if name == "A" else b"leaf-%d" % index
    return hashlib.sha256(b"\0" + leaf).hexdigest()


def flipped(text, at=0):
    """The hash TEXT with one bit flipped."""
    raw = bytearray(bytes.fromhex(text))
    raw[at % len(raw)] ^= 1 << at % 8
    return raw.hex()


# --- hashes, trees, proofs ------------------------------------------------------------------------


def test_hashes():
    hashing = VECTORS["hashing"]
    empty = hashing["leaf_hash_of_empty_string"]
    assert lines("leaf", "") == [empty]
    assert lines("leaf", "00") == [hashing["leaf_hash_of_00"]]
    assert lines("node", empty, empty) == [hashing["node_hash_of_two_empty_leaves"]]
    assert lines("root", "B", 0) == [hashing["empty_tree_root"]]
    for leaf, wanted in zip(VECTORS["set_A"]["leaves_hex"], VECTORS["set_A"]["leaf_hashes"]):
        assert lines("leaf", leaf) == [wanted]


def test_roots():
    assert len(VECTORS["set_A"]["roots_size_0_to_8"]) == 9 and len(VECTORS["set_B"]["roots"]) == 22
    for size, root in enumerate(VECTORS["set_A"]["roots_size_0_to_8"]):
        assert lines("root", SETS["A"], size) == [root], size
    for size, root in VECTORS["set_B"]["roots"].items():
        assert lines("root", "B", size) == [root], size


class Questions:
    """Proofs to be judged, in one call of the tool: `good` must hold, `bad` must not."""

    def __init__(self, kind):
        self.kind, self.asked, self.wanted = kind, [], []

    def good(self, *words):
        self.asked.append(" ".join(map(str, (self.kind, *words))))
        self.wanted.append("yes")

    def bad(self, *words):
        self.good(*words)
        self.wanted[-1] = "no"

    def settle(self):
        answers = lines("holds", given="".join(line + "\n" for line in self.asked))
        assert len(answers) == len(self.asked) > 0
        wrong = [line for line, wanted, got in zip(self.asked, self.wanted, answers) if wanted != got]
        assert not wrong, wrong[0]


def spoilt(proof):
    """PROOF without each hash, and with a bit of each flipped."""
    for at, wrong in enumerate(proof):
        yield proof[:at] + proof[at + 1:]
        yield proof[:at] + [flipped(wrong, at)] + proof[at + 1:]


def test_inclusion_proofs():
    assert len(VECTORS["inclusion_proofs"]) == 45
    judge = Questions("inclusion")
    for case in VECTORS["inclusion_proofs"]:
        name, index, size, proof = case["set"], case["index"], case["size"], case["proof"]
        assert lines("inclusion", SETS[name], index, size) == proof, case
        leaf, root = leaf_hash(name, index), root_of(name, size)
        judge.good(index, size, leaf, root, *proof)
        judge.bad(size, size, leaf, root, *proof)
        judge.bad(index, size, flipped(leaf), root, *proof)
        judge.bad(index, size, leaf, flipped(root), *proof)
        judge.bad(index, size, leaf, root, *proof, root)
        for other in spoilt(proof):
            judge.bad(index, size, leaf, root, *other)
    judge.settle()


def test_consistency_proofs():
    assert len(VECTORS["consistency_proofs"]) == 46
    judge = Questions("consistency")
    for case in VECTORS["consistency_proofs"]:
        name, old, size, proof = case["set"], case["old"], case["new"], case["proof"]
        assert lines("consistency", SETS[name], old, size) == proof, case
        old_root, root = root_of(name, old), root_of(name, size)
        judge.good(old, size, old_root, root, *proof)
        judge.bad(size + 1, size, old_root, root, *proof)
        judge.bad(old, size, flipped(old_root), root, *proof)
        judge.bad(old, size, old_root, flipped(root), *proof)
        judge.bad(old, size, old_root, root, *proof, root)
        (judge.good if old == size else judge.bad)(old, size, old_root, root)
        for other in spoilt(proof):
            judge.bad(old, size, old_root, root, *other)
    judge.settle()


# --- files ----------------------------------------------------------------------------------------


def test_paths():
    paths = VECTORS["paths"]
    for index, text in paths["index_encoding"].items():
        assert lines("path-of", 2, 5, index, 256) == ["tile/5/" + text]
        assert lines("path", "tile/5/" + text) == [f"2 5 {index} 256"]
        assert lines("path", "tile/entries/" + text + ".p/7") == [f"3 0 {index} 7"]
    for text in paths["examples"]:
        assert not lines("path", text)[0].startswith("refused"), text
    assert len(paths["must_reject"]) == 21
    for text in paths["must_reject"]:
        assert lines("path", text)[0].startswith("refused"), text


KEY = VECTORS["keys"]["log"]


def files_below(folder):
    found = []
    for place, _, names in os.walk(os.path.join(folder, "tile")):
        found += [os.path.relpath(os.path.join(place, name), folder) for name in names]
    return sorted(found)


@pytest.mark.parametrize("size", VECTORS["tiles_set_B"]["by_size"])
def test_a_log_has_exactly_the_files_of_its_size(size, tmp_path):
    wanted = VECTORS["tiles_set_B"]["by_size"][size]
    lines("grow", tmp_path, KEY["name"], KEY["seed"], 0, size)
    manifest, total = "", 0
    for name in files_below(tmp_path):
        content = (tmp_path / name).read_bytes()
        total += len(content)
        manifest += f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        if name in wanted["selected"]:
            assert {"len": len(content), "sha256": hashlib.sha256(content).hexdigest()} == \
                {key: wanted["selected"][name][key] for key in ("len", "sha256")}
    assert set(wanted["selected"]) <= set(files_below(tmp_path))
    assert (len(files_below(tmp_path)), total) == (wanted["files"], wanted["bytes"])
    assert hashlib.sha256(manifest.encode()).hexdigest() == wanted["manifest_sha256"]


@pytest.mark.parametrize("growth", VECTORS["tiles_set_B"]["written_when_growing"])
def test_growth_writes_what_changed(growth, tmp_path):
    old, size = growth.split("->")
    written = lines("grow", tmp_path, KEY["name"], KEY["seed"], old, size)
    assert sorted(name for name in written if name.startswith("tile/") and "entries" not in name) == \
        VECTORS["tiles_set_B"]["written_when_growing"][growth]


def test_a_log_that_grew_in_steps_has_the_files_of_one_that_grew_at_once(tmp_path):
    steps, at_once = tmp_path / "steps", tmp_path / "at_once"
    steps.mkdir()
    at_once.mkdir()
    sizes = [0, 1, 3, 250, 260, 513, 66000]
    for old, size in zip(sizes, sizes[1:]):
        lines("grow", steps, KEY["name"], KEY["seed"], old, size)
    lines("grow", at_once, KEY["name"], KEY["seed"], 0, sizes[-1])
    assert set(files_below(at_once)) <= set(files_below(steps))
    for name in files_below(at_once):
        assert (steps / name).read_bytes() == (at_once / name).read_bytes(), name


def test_entry_bundles():
    wanted = VECTORS["entry_bundle"]
    bundle = ask("bundle-of", "", "61", "300*00", "65535*78")
    assert len(bundle) == wanted["len"] and bundle[:8].hex() == wanted["first_8_bytes"]
    assert hashlib.sha256(bundle).hexdigest() == wanted["sha256"]
    assert lines("bundle", 4, given=bundle) == wanted["leaf_hashes"]
    for count, given in ((3, bundle), (5, bundle), (4, bundle[:-1]), (4, bundle + b"\0")):
        assert lines("bundle", count, given=given)[0].startswith("refused")


# --- keys and notes -------------------------------------------------------------------------------


def test_keys():
    keys = VECTORS["keys"]
    for key, kind in ((keys["log"], 1), (keys["witness"], 4)):
        assert lines("key", key["name"], kind, key["seed"]) == [key["vkey"]]
        key_id = key[f"key_id_0{kind}"]
        assert lines("vkey", key["vkey"]) == [f"{key['name']} {kind} {key_id} {key['public']}"]
        assert lines("vkey", key["vkey"].replace(key_id, "00000000"))[0].startswith("refused")
    mistaken = lines("key", keys["witness"]["name"], 1, keys["witness"]["seed"])[0]
    assert mistaken.split("+")[1] == keys["witness"]["key_id_if_type_01"]


def text_of(note):
    return note[:note.rindex("\n\n") + 1]


def test_signed_checkpoints():
    for name, note in VECTORS["checkpoints_signed"].items():
        text = text_of(note)
        assert ask("sign", KEY["name"], KEY["seed"], given=text).decode() == note
        assert ask("note", KEY["vkey"], given=note).decode() == "holds 0\n" + text
        size = name[1:]
        assert lines("checkpoint", given=text) == [f"{KEY['name']} {size} {root_of(name[0], int(size))}"]


def test_the_checkpoint_of_somebody_elses_log():
    case = VECTORS["external_c2sp_issue_99"]
    text = text_of(case["note"])
    name = text.splitlines()[0]
    vkey = lines("key", name, 1, case["seed"])[0]
    assert ask("sign", name, case["seed"], given=text).decode() == case["note"]
    assert lines("note", vkey, given=case["note"])[0] == "holds 0"


def test_cosignatures():
    case, witness = VECTORS["cosignature_v1"], VECTORS["keys"]["witness"]
    text = text_of(VECTORS["checkpoints_signed"]["A8"])
    line = ask("sign", witness["name"], witness["seed"], case["timestamp"], given=text).decode()
    assert line == case["signature_line"] == VECTORS["witness"]["response_200_for_A8"]
    cosigned = case["cosigned_checkpoint"]
    assert VECTORS["checkpoints_signed"]["A8"] + line == cosigned
    assert case["signed_message"].endswith(text)
    assert lines("note", KEY["vkey"], witness["vkey"], given=cosigned)[:2] == \
        ["holds 0", f"holds {case['timestamp']}"]
    other = cosigned.replace("\n8\n", "\n9\n")
    assert lines("note", KEY["vkey"], witness["vkey"], given=other)[:2] == ["ETAMPER 0", "ETAMPER 0"]


def test_lines_by_newer_algorithms_are_passed_over():
    note = VECTORS["cosignature_v1"]["cosigned_checkpoint"] + \
        VECTORS["cosignature_mldsa44"]["one_signature_line_randomised"]
    assert len(note) > 3000
    assert lines("note", KEY["vkey"], VECTORS["keys"]["witness"]["vkey"], given=note)[:2] == \
        ["holds 0", f"holds {VECTORS['cosignature_v1']['timestamp']}"]


# --- requests and proof files ---------------------------------------------------------------------


def hashes_in(part):
    return [base64.b64decode(line).hex() for line in part.splitlines() if len(line) == 44]


@pytest.mark.parametrize("name", ["old0_to_A8", "A3_to_A8", "A8_to_A8_refresh", "B256_to_B70000"])
def test_witness_requests(name):
    given = VECTORS["witness"][name]
    head, checkpoint = given.split("\n\n", 1)
    answer = ask("request", given=given).decode()
    old, proof = int(head.splitlines()[0].split()[1]), hashes_in(head)
    assert answer == "\n".join([str(old), *proof, checkpoint])
    whose, size = ("B", 70000) if "B" in name else ("A", 8)
    if old:
        assert lines("consistency", SETS[whose], old, size) == proof
        judge = Questions("consistency")
        judge.good(old, size, root_of(whose, old), root_of(whose, size), *proof)
        judge.settle()
    assert lines("note", KEY["vkey"], given=checkpoint)[0] == "holds 0"


@pytest.mark.parametrize("name", VECTORS["tlog_proof"])
def test_proof_files(name):
    given = VECTORS["tlog_proof"][name]
    head, checkpoint = given.split("\n\n", 1)
    index = int(head.split("\nindex ")[1].split("\n")[0])
    extra = head.split("\nextra ")[1].split("\n")[0] if "\nextra " in head else ""
    proof = hashes_in(head.split("\nindex ")[1])
    assert ask("prooffile", given=given).decode() == "\n".join([f"{index} {extra}", *proof, checkpoint])
    size = int(checkpoint.splitlines()[1])
    judge = Questions("inclusion")
    judge.good(index, size, leaf_hash(name[0], index), root_of(name[0], size), *proof)
    judge.settle()
    assert lines("note", KEY["vkey"], given=checkpoint)[0] == "holds 0"


def test_every_vector_is_used():
    """A part that is added to the file is a part that this test does not know."""
    assert set(VECTORS) == {"_about", "hashing", "set_A", "set_B", "inclusion_proofs",
                            "consistency_proofs", "paths", "tiles_set_B", "entry_bundle", "keys",
                            "external_c2sp_issue_99", "checkpoints_signed", "cosignature_v1",
                            "cosignature_mldsa44", "witness", "tlog_proof"}
