"""Certificates, passwords and keys of the demonstration: made once, kept in its folder."""
import base64
import hashlib
import hmac
import os
import re
import secrets
import subprocess

ITERATIONS = 4096
DAYS = "825"


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise SystemExit(f"demo: {command[0]} failed: {done.stdout.decode(errors='replace')}")


def make_authority(folder, name, subject):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", DAYS, "-subj", f"/CN={subject}", "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt")


def make_certificate(folder, authority, name, subject, names=()):
    """NAMES ("DNS:…", "IP:…") make it a server's certificate, none a client's."""
    usage = "serverAuth" if names else "clientAuth"
    extensions = f"extendedKeyUsage={usage}\nkeyUsage=critical,digitalSignature\n"
    if names:
        extensions += "subjectAltName=" + ",".join(names) + "\n"
    with open(f"{folder}/{name}.ext", "w", encoding="ascii") as f:
        f.write(extensions)
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={subject}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
    run("openssl", "x509", "-req", "-in", f"{folder}/{name}.csr", "-days", DAYS,
        "-CA", f"{folder}/{authority}.crt", "-CAkey", f"{folder}/{authority}.key",
        "-CAcreateserial", "-extfile", f"{folder}/{name}.ext", "-out", f"{folder}/{name}.crt")
    os.remove(f"{folder}/{name}.csr")
    os.remove(f"{folder}/{name}.ext")


def make_certificates(folder):
    """Three authorities, so that no certificate opens a door it was not made for: `ca` for what
    clients see (gateways, hubs and clients' own), `database-ca` for the databases, and `gateway-ca` whose
    one certificate is the gateways' key to the databases."""
    gateway_names = ["IP:127.0.0.1", "IP:127.0.1.1", "IP:127.0.8.1", "DNS:localhost"]
    make_authority(folder, "ca", "Ringfence demo")
    make_authority(folder, "database-ca", "Ringfence demo databases")
    make_authority(folder, "gateway-ca", "Ringfence demo gateways")
    make_certificate(folder, "ca", "gateway", "ringfence-demo", gateway_names)
    make_certificate(folder, "database-ca", "database", "database", ["IP:127.0.0.1", "DNS:localhost"])
    make_certificate(folder, "ca", "hub", "ringfence-demo-hub", ["IP:127.0.0.1", "DNS:localhost"])
    make_certificate(folder, "gateway-ca", "gateway-client", "ringfence-gateway")
    for name in os.listdir(folder):
        os.chmod(f"{folder}/{name}", 0o600 if name.endswith(".key") else 0o644)


def actors_of(policy_path):
    """Names under `actors:`; the demo's policy writes one a line, two spaces in."""
    names, inside = [], False
    with open(policy_path, encoding="utf-8") as f:
        for line in f:
            if re.match(r"\S", line) and not line.startswith("#"):
                inside = line.startswith("actors:")
            found = re.match(r"  ([A-Za-z0-9_]+):", line)
            if inside and found:
                names.append(found.group(1))
    return names


def verifier(password):
    """RFC 5803, as PostgreSQL keeps it."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    text = [base64.b64encode(b).decode() for b in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{text[0]}${text[1]}:{text[2]}"


def make_credentials(path, actors):
    """A random password for each; the file has the verifiers, the caller the passwords."""
    passwords = {name: secrets.token_hex(16) for name in actors}
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="ascii") as f:
        for name, password in passwords.items():
            f.write(f"{name}:{verifier(password)}\n")
    return passwords


def make_ssh_keys(folder, actors):
    for name in actors:
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", f"{folder}/{name}")


def with_keys(policy_text, public_keys):
    """The policy in which each person of PUBLIC_KEYS has that key. Nothing else changes, comments and
    order neither: an actor is written in one line as {…}, or in several, four spaces in."""
    lines, wanted, inside = [], dict(public_keys), False
    for line in policy_text.splitlines():
        if re.match(r"\S", line) and not line.startswith("#"):
            inside = line.startswith("actors:")
        found = re.match(r"  ([A-Za-z0-9_]+):\s*(\{(.*)\})?\s*$", line) if inside else None
        key = wanted.pop(found.group(1), None) if found else None
        if key is None:
            lines.append(line)
        elif found.group(2):
            lines.append(f'  {found.group(1)}: {{{found.group(3)}, keys: ["{key}"]}}')
        else:
            lines += [line, f'    keys: ["{key}"]']
    if wanted:
        raise SystemExit(f"demo: the policy has no line for {', '.join(sorted(wanted))}")
    return "\n".join(lines) + "\n"


def add_signers(policy_path, names):
    """From here on the policy is followed only by one that these have signed."""
    with open(policy_path, "a", encoding="utf-8") as f:
        f.write(f"""
# Who signs the policy that comes after this one, and how long what widens is public before it rules.
signers:
  quorum: {len(names)}
  actors: [{', '.join(names)}]
  wait: 5s
""")


def sign_policy(policy_path, folder, names):
    """POLICY.sig: one block of each, as the gateway reads it."""
    signatures = b""
    for name in names:
        with open(policy_path, "rb") as f:
            done = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "ringfence-policy@1", "-f",
                                   f"{folder}/{name}"], stdin=f, stdout=subprocess.PIPE, check=True)
        signatures += done.stdout
    with open(f"{policy_path}.sig", "wb") as f:
        f.write(signatures)
    os.chmod(f"{policy_path}.sig", 0o644)


def persons_of(policy_path):
    """Actors that are persons: those who sign."""
    with open(policy_path, encoding="utf-8") as f:
        text = f.read()
    return [name for name in actors_of(policy_path)
            if re.search(rf"^  {name}:(\s*\{{|\n    )kind: person", text, re.MULTILINE)]


def write_keys(policy_path, folder):
    """The public keys of FOLDER, as make_ssh_keys() made them, into the policy at POLICY_PATH."""
    keys = {}
    for name in persons_of(policy_path):
        with open(f"{folder}/{name}.pub", encoding="ascii") as f:
            keys[name] = f.read().strip()
    with open(policy_path, encoding="utf-8") as f:
        text = with_keys(f.read(), keys)
    with open(policy_path, "w", encoding="utf-8") as f:
        f.write(text)
