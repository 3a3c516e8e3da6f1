"""SSH keys and signatures in memory (PROTOCOL.sshsig, Ed25519): for what needs thousands of them, where
`ssh-keygen` would take a process each."""

import base64
import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KIND = b"ssh-ed25519"
LINE = 70


def string(data):
    return struct.pack("!I", len(data)) + data


class Key:
    """The same for the same NAME."""

    def __init__(self, name):
        self.private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.blob = string(KIND) + string(raw)

    def public(self):
        """As a policy lists it."""
        return f"{KIND.decode()} {base64.b64encode(self.blob).decode()}"

    def sign(self, text, namespace=None):
        """The armored signature of TEXT, whose first line names the namespace."""
        space = (namespace or text.split("\n", 1)[0]).encode()
        digest = hashlib.sha512(text.encode()).digest()
        signed = b"SSHSIG" + string(space) + string(b"") + string(b"sha512") + string(digest)
        signature = string(KIND) + string(self.private.sign(signed))
        frame = (b"SSHSIG" + struct.pack("!I", 1) + string(self.blob) + string(space) + string(b"")
                 + string(b"sha512") + string(signature))
        text = base64.b64encode(frame).decode()
        lines = [text[at:at + LINE] for at in range(0, len(text), LINE)]
        return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])
