"""Our verifier of SSH signatures and OpenSSH's, side by side, over signatures that were spoiled."""

import base64
import concurrent.futures
import hashlib
import os
import random
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from conftest import BUILD

TOOL = os.path.join(BUILD, "tests/support/sign_tool")
SPACE = "ringfence-command@1"
MESSAGE = b"ringfence-command@1\nregion us-virginia\nactor us_analyst\nverb grants\n"
ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519
MUTATIONS = int(os.environ.get("RF_SIGN_MUTATIONS", "2000"))  # over all keys


def string(raw):
    return struct.pack(">I", len(raw)) + raw


def number(value):
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b"")


def armor(blob, width=70):
    text = base64.b64encode(blob).decode()
    lines = [text[i:i + width] for i in range(0, len(text), width)]
    return ("-----BEGIN SSH SIGNATURE-----\n" + "".join(line + "\n" for line in lines) +
            "-----END SSH SIGNATURE-----\n").encode()


def blob_of(armored):
    return base64.b64decode("".join(armored.decode().splitlines()[1:-1]))


class Forge:
    """A signature with its parts in the test's hands; a hardware key where there is an application."""

    def __init__(self, kind, key):
        self.kind, self.key = kind, key
        self.algorithm, self.space, self.reserved, self.hash = kind, SPACE, b"", "sha512"
        self.application = b"ssh:" if kind.startswith("sk-") else None
        self.flags, self.counter = 1, 7
        self.change = lambda raw: raw

    def public(self):
        out, public = string(self.kind.encode()), self.key.public_key()
        if isinstance(self.key, rsa.RSAPrivateKey):
            out += number(public.public_numbers().e) + number(public.public_numbers().n)
        elif isinstance(self.key, ec.EllipticCurvePrivateKey):
            curve = f"nistp{self.key.curve.key_size}".encode()
            out += string(curve) + string(public.public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint))
        else:
            out += string(public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))
        return out + (string(self.application) if self.application is not None else b"")

    def signed(self):
        digest = hashlib.new(self.hash, MESSAGE).digest()
        text = (b"SSHSIG" + string(self.space.encode()) + string(self.reserved) +
                string(self.hash.encode()) + string(digest))
        if self.application is None:
            return text
        return (hashlib.sha256(self.application).digest() + struct.pack(">BI", self.flags, self.counter) +
                hashlib.sha256(text).digest())

    def raw(self):
        text = self.signed()
        if isinstance(self.key, rsa.RSAPrivateKey):
            chosen = {"ssh-rsa": hashes.SHA1, "rsa-sha2-256": hashes.SHA256}.get(self.algorithm, hashes.SHA512)
            return self.key.sign(text, padding.PKCS1v15(), chosen())
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            chosen = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}[self.key.curve.key_size]
            first, second = utils.decode_dss_signature(self.key.sign(text, ec.ECDSA(chosen())))
            return number(first) + number(second)
        return self.key.sign(text)

    def blob(self):
        inner = string(self.algorithm.encode()) + string(self.change(self.raw()))
        if self.application is not None:
            inner += struct.pack(">BI", self.flags, self.counter)
        return (b"SSHSIG" + struct.pack(">I", 1) + string(self.public()) + string(self.space.encode()) +
                string(self.reserved) + string(self.hash.encode()) + string(inner))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sign")
    (folder / "message").write_bytes(MESSAGE)
    return folder


@pytest.fixture(scope="module")
def keys():
    return {"ed25519": ed25519.Ed25519PrivateKey.generate(),
            "p256": ec.generate_private_key(ec.SECP256R1()),
            "rsa": rsa.generate_private_key(65537, 3072),
            "weak": rsa.generate_private_key(65537, 2048)}


def ours(place, armored):
    given = b"".join(string(one) for one in armored)
    done = subprocess.run([TOOL, SPACE, str(place / "message")], input=given, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    answers = done.stdout.decode().splitlines()
    assert len(answers) == len(armored)
    return answers


def theirs(place, armored):
    """What ssh-keygen says of each: the fingerprint of the signer, or None."""
    def ask(numbered):
        index, one = numbered
        path = place / f"theirs-{index}"
        path.write_bytes(one)
        done = subprocess.run(["ssh-keygen", "-Y", "check-novalidate", "-n", SPACE, "-s", str(path)],
                              input=MESSAGE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                              check=False)
        path.unlink()
        return done.stdout.decode(errors="replace").split()[-1] if done.returncode == 0 else None

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(ask, enumerate(armored)))


def accepted(answer):
    return answer.split(" ", 1)[1] if answer.startswith("ok ") else None


def spoil(rng, blob, other):
    """BLOB with one thing wrong, most of the time."""
    out, at = bytearray(blob), rng.randrange(len(blob))
    kind = rng.randrange(7)
    if kind == 0:
        out[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del out[at:at + rng.randrange(1, 9)]
    elif kind == 2:
        out[at:at] = rng.randbytes(rng.randrange(1, 9))
    elif kind == 3:
        del out[at:]
    elif kind == 4:
        out[at:at + 4] = struct.pack(">I", rng.choice([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, len(blob)]))
    elif kind == 5:
        end = min(len(blob), len(other), at + rng.randrange(1, 80))
        out[at:end] = other[at:end]
    else:
        out[at] = rng.randrange(256)
    return bytes(out)


def test_both_verifiers_say_the_same_of_spoiled_signatures(place, tmp_path):
    rng = random.Random(5)
    whole, spoiled = [], []
    for options in (["ed25519"], ["ecdsa", "-b", "256"], ["ecdsa", "-b", "384"], ["ecdsa", "-b", "521"],
                    ["rsa", "-b", "3072"]):
        path = tmp_path / f"{'-'.join(options)}"
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "", "-f", path, "-t", *options], check=True)
        for _ in range(2):
            done = subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-f", path, "-n", SPACE], input=MESSAGE,
                                  stdout=subprocess.PIPE, check=True)
            whole.append(done.stdout)
    hardware = [Forge("sk-ssh-ed25519@openssh.com", ed25519.Ed25519PrivateKey.generate()),
                Forge("sk-ecdsa-sha2-nistp256@openssh.com", ec.generate_private_key(ec.SECP256R1()))]
    whole += [armor(forge.blob()) for forge in hardware for _ in range(2)]
    for index in range(0, len(whole), 2):
        one, other = blob_of(whole[index]), blob_of(whole[index + 1])
        for _ in range(2 * MUTATIONS // len(whole)):
            spoiled.append(armor(spoil(rng, one, other)))
    mine, openssh = ours(place, whole + spoiled), theirs(place, whole + spoiled)
    assert all(openssh[:len(whole)]), "OpenSSH refuses what was not spoiled"
    wrong = [(answer, signer, one.decode()) for answer, signer, one in
             zip(mine, openssh, whole + spoiled) if accepted(answer) != signer]
    assert not wrong, wrong[:3]
    refused = [answer for answer in mine if not accepted(answer)]
    assert len(refused) > len(spoiled) * 8 // 10, "spoiling spoils nothing"
    assert any(answer.startswith("of-something-else") for answer in refused)


def test_armor_that_ours_takes_openssh_takes_too(place, keys):
    rng = random.Random(7)
    good = armor(Forge("ssh-ed25519", keys["ed25519"]).blob())
    cases = [armor(Forge("ssh-ed25519", keys["ed25519"]).blob(), width) for width in (1, 64, 76)] + [good[:-1]]
    for _ in range(300):
        at = rng.randrange(len(good))
        kind = rng.randrange(4)
        text = (good[:at] + bytes([rng.choice(b"\n\r \t=-A+/\0")]) + good[at:], good[:at] + good[at + 1:],
                good[:at], good[:at] + bytes([rng.randrange(256)]) + good[at + 1:])[kind]
        cases.append(text)
    mine, openssh = ours(place, cases), theirs(place, cases)
    assert all(accepted(answer) for answer in mine[:4])
    wrong = [(answer, one) for answer, signer, one in zip(mine, openssh, cases)
             if accepted(answer) and accepted(answer) != signer]
    assert not wrong, wrong[:3]


def longer(raw):
    """The first number of an ECDSA signature with a zero in front."""
    size = struct.unpack(">I", raw[:4])[0]
    return string(b"\0" + raw[4:4 + size]) + raw[4 + size:]


def plus_order(raw):
    return raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")


def test_where_ours_is_stricter_and_nowhere_else(place, keys):
    def forge(kind, key, **parts):
        made = Forge(kind, keys[key])
        for name, value in parts.items():
            setattr(made, name, value)
        return made

    # Each: what OpenSSH says, what we say.
    cases = {
        "as usual": (forge("ssh-ed25519", "ed25519"), True, "ok"),
        "RSA with SHA-256": (forge("ssh-rsa", "rsa", algorithm="rsa-sha2-256"), True, "ok"),
        "RSA with SHA-1": (forge("ssh-rsa", "rsa"), False, "malformed"),
        "weak RSA": (forge("ssh-rsa", "weak", algorithm="rsa-sha2-512"), True, "malformed"),
        "a zero in front": (forge("ecdsa-sha2-nistp256", "p256", change=longer), True, "malformed"),
        "the scalar and the order": (forge("ssh-ed25519", "ed25519", change=plus_order), None,
                                     "of-something-else"),
        "touched": (forge("sk-ssh-ed25519@openssh.com", "ed25519"), True, "ok"),
        "touched, ECDSA": (forge("sk-ecdsa-sha2-nistp256@openssh.com", "p256"), True, "ok"),
        "not touched": (forge("sk-ssh-ed25519@openssh.com", "ed25519", flags=0), True, "of-something-else"),
        "not touched, ECDSA": (forge("sk-ecdsa-sha2-nistp256@openssh.com", "p256", flags=4), True,
                               "of-something-else"),
        "another purpose": (forge("ssh-ed25519", "ed25519", space="git"), False, "of-something-else"),
    }
    armored = [armor(made.blob()) for made, _, _ in cases.values()]
    # `reserved` is in the signature's frame and, for OpenSSH, not in what is signed
    plain = Forge("ssh-ed25519", keys["ed25519"]).blob()
    frame = string(SPACE.encode()) + string(b"")
    assert frame in plain
    armored.append(armor(plain.replace(frame, string(SPACE.encode()) + string(b"x"))))
    expected = [*cases.items(), ("reserved", (None, True, "malformed"))]
    for (name, (_, openssh, mine)), signer, answer in zip(expected, theirs(place, armored),
                                                          ours(place, armored)):
        assert openssh is None or (signer is not None) == openssh, (name, signer)
        assert answer.split(" ")[0] == mine, (name, answer)
