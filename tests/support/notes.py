"""Transparency logs once more, in Python: trees, signed notes, cosignatures. What the tests hold the
C programs against; written from the specifications (C2SP signed-note, tlog-checkpoint,
tlog-cosignature, tlog-witness; RFC 6962), not from our sources."""

import base64
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519, COSIGNATURE = 1, 4
DASH = "\u2014 "


# --- trees ---


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(count):
    """The largest power of two below COUNT."""
    return 1 << (count - 1).bit_length() - 1


def root(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    cut = split(len(hashes))
    return node_hash(root(hashes[:cut]), root(hashes[cut:]))


def consistency(hashes, old, whole=True):
    """RFC 6962, section 2.1.2: SUBPROOF(old, hashes, whole)."""
    if old == len(hashes):
        return [] if whole else [root(hashes)]
    cut = split(len(hashes))
    if old <= cut:
        return consistency(hashes[:cut], old, whole) + [root(hashes[cut:])]
    return consistency(hashes[cut:], old - cut, False) + [root(hashes[:cut])]


# --- keys ---


class Key:
    def __init__(self, name, kind, seed):
        self.name, self.kind, self.seed = name, kind, seed
        self.private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = key_id(name, kind, self.public)

    @property
    def vkey(self):
        public = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{public}"

    @property
    def file_text(self):
        return f"ringfence-key@1 {self.name} {base64.b64encode(self.seed).decode()}\n"

    def line(self, blob):
        return f"{DASH}{self.name} {base64.b64encode(self.id + blob).decode()}\n"

    def sign(self, text):
        return self.line(self.private.sign(text.encode()))

    def cosign(self, text, time):
        signature = self.private.sign(cosigned_message(text, time))
        return self.line(time.to_bytes(8, "big") + signature)


def key_id(name, kind, public):
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def parse_vkey(vkey):
    """(name, id, kind, public) of a vkey whose id is right."""
    name, number, public = vkey.strip().split("+", 2)
    raw = base64.b64decode(public, validate=True)
    assert key_id(name, raw[0], raw[1:]).hex() == number
    return name, bytes.fromhex(number), raw[0], raw[1:]


def cosigned_message(text, time):
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def verify_cosignature(line, text, vkey):
    """The time of LINE, a cosignature/v1 by VKEY over TEXT; None when it is not."""
    name, number, kind, public = parse_vkey(vkey)
    assert kind == COSIGNATURE
    if not line.startswith(DASH + name + " ") or not line.endswith("\n"):
        return None
    blob = base64.b64decode(line[len(DASH + name + " "):-1], validate=True)
    if len(blob) != 4 + 8 + 64 or blob[:4] != number:
        return None
    time = int.from_bytes(blob[4:12], "big")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(blob[12:], cosigned_message(text, time))
    except InvalidSignature:
        return None
    return time


# --- a log ---


class Log:
    """Leaves `leaf-0`, `leaf-1`, …, as tests/support/scripted_notary.c has them."""

    def __init__(self, key, count=400, word="leaf"):
        self.key = key
        self.hashes = [leaf_hash(f"{word}-{i}".encode()) for i in range(count)]

    def text(self, size, of_root=None):
        hashed = base64.b64encode(of_root or root(self.hashes[:size])).decode()
        return f"{self.key.name}\n{size}\n{hashed}\n"

    def note(self, size):
        text = self.text(size)
        return text + "\n" + self.key.sign(text)

    def request(self, old, size, proof=None, note=None):
        if proof is None:
            proof = consistency(self.hashes[:size], old) if 0 < old < size else []
        lines = "".join(base64.b64encode(hashed).decode() + "\n" for hashed in proof)
        return f"old {old}\n{lines}\n{note or self.note(size)}"
