"""Makes tests/vectors/sshsig: for each type of key a public key, its fingerprint, and the signature
that ssh-keygen makes of the text in `message`, which is there already. The secret keys are thrown away.

    python3 tests/vectors/sshsig-maker.py tests/vectors/sshsig
"""

import os
import subprocess
import sys
import tempfile

NAMESPACE = "ringfence-command@1"
KEYS = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa521": ["-t", "ecdsa", "-b", "521"],
    "rsa3072": ["-t", "rsa", "-b", "3072"],
    "rsa4096": ["-t", "rsa", "-b", "4096"],
    "rsa2048": ["-t", "rsa", "-b", "2048"],  # too weak here
}
# name: key, namespace, options
SIGNATURES = {name: (name, NAMESPACE, []) for name in KEYS} | {
    "ed25519-sha256": ("ed25519", NAMESPACE, ["-O", "hashalg=sha256"]),
    "ed25519-approval": ("ed25519", "ringfence-approval@1", []),
}


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout


def main(folder):
    message = os.path.join(folder, "message")
    with tempfile.TemporaryDirectory() as scratch:
        for name, options in KEYS.items():
            run("ssh-keygen", "-q", "-N", "", "-C", "vector", "-f", f"{scratch}/{name}", *options)
            os.replace(f"{scratch}/{name}.pub", f"{folder}/{name}.pub")
            with open(f"{folder}/{name}.fingerprint", "w", encoding="ascii") as to:
                to.write(run("ssh-keygen", "-l", "-f", f"{folder}/{name}.pub").split()[1])
        for name, (key, namespace, options) in SIGNATURES.items():
            if os.path.exists(f"{message}.sig"):
                os.remove(f"{message}.sig")
            run("ssh-keygen", "-Y", "sign", "-f", f"{scratch}/{key}", "-n", namespace, *options, message)
            os.replace(f"{message}.sig", f"{folder}/{name}.sig")


main(sys.argv[1])
