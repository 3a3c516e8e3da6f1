#!/usr/bin/python3
"""A second implementation of docs/formats/log.md (sections 5 to 8) and claims.md, made from those pages.

log-reader.py vectors               print log-v1.json
log-reader.py claim FILE VKEY...    verify a claim file; print what is in it as JSON
"""
import base64
import hashlib
import hmac
import json
import struct
import sys
from datetime import datetime, timezone

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Wrong(Exception):
    """What the file says is not so, or not written as it must be."""


def check(condition, what):
    if not condition:
        raise Wrong(what)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def sized(data):
    return struct.pack(">H", len(data)) + data


# --- ristretto255 (RFC 9496) ----------------------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def negative(x):
    return x % P & 1


def absolute(x):
    return -x % P if negative(x) else x % P


def sqrt_ratio(u, v):
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    good = v * r * r % P
    was_square = good in (u % P, -u % P)
    if good in (-u % P, -u * SQRT_M1 % P):
        r = r * SQRT_M1 % P
    return was_square, absolute(r)


INVSQRT_A_MINUS_D = sqrt_ratio(1, (-1 - D) % P)[1]
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
IDENTITY = (0, 1, 1, 0)


def decode(data):
    s = int.from_bytes(data, "little")
    check(len(data) == 32 and s < P and not negative(s), "not an element")
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, inverse = sqrt_ratio(1, v * u2 * u2)
    dx, dy = inverse * u2 % P, inverse * inverse * u2 * v % P
    x, y = absolute(2 * s * dx), u1 * dy % P
    check(square and not negative(x * y) and y != 0, "not an element")
    return x, y, 1, x * y % P


def encode(point):
    x, y, z, t = point
    u1, u2 = (z + y) * (z - y) % P, x * y % P
    inverse = sqrt_ratio(1, u1 * u2 * u2)[1]
    d1, d2 = inverse * u1 % P, inverse * u2 % P
    z_inverse = d1 * d2 * t % P
    if negative(t * z_inverse):
        x, y, d = y * SQRT_M1 % P, x * SQRT_M1 % P, d1 * INVSQRT_A_MINUS_D % P
    else:
        d = d2
    if negative(x * z_inverse):
        y = -y % P
    return absolute(d * (z - y)).to_bytes(32, "little")


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * D * p[3] * q[3] % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(n, point):
    total = IDENTITY
    for bit in bin(n % Q)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def minus(point):
    return -point[0] % P, point[1], point[2], -point[3] % P


def elligator(data):
    t = int.from_bytes(data, "little") % 2**255 % P
    r = SQRT_M1 * t * t % P
    u = (r + 1) * (1 - D * D) % P
    v = (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    c = P - 1
    if not square:
        s, c = -absolute(s * t) % P, r
    n = (c * (r - 1) * (D - 1) * (D - 1) - v) % P
    w0, w1 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P
    w2, w3 = (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


BASE_Y = 4 * pow(5, -1, P) % P
BASE_X = absolute(sqrt_ratio(BASE_Y * BASE_Y - 1, D * BASE_Y * BASE_Y + 1)[1])
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)

# --- the VRF (c2sp.org/vrf-r255) ------------------------------------------------------------------


def vrf_hash(domain, *parts):
    return hashlib.sha512(b"\xffc2sp.org/vrf-r255" + bytes([domain]) + b"".join(parts)).digest()


def scalar(data):
    return int.from_bytes(data, "little")


def vrf_element(public, alpha):
    digest = vrf_hash(0x82, public, alpha)
    return add(elligator(digest[:32]), elligator(digest[32:]))


def vrf_public(secret):
    return encode(multiply(scalar(secret), BASE))


def vrf_prove(secret, alpha):
    public, x = vrf_public(secret), scalar(secret)
    element = vrf_element(public, alpha)
    gamma = encode(multiply(x, element))
    k = scalar(vrf_hash(0x81, secret, encode(element))) % Q
    c = vrf_hash(0x02, public, encode(element), gamma, encode(multiply(k, BASE)),
                 encode(multiply(k, element)), b"\0")[:16]
    s = (k + scalar(c) * x) % Q
    return gamma + c + s.to_bytes(32, "little"), vrf_hash(0x03, gamma, b"\0")


def vrf_verify(public, alpha, proof):
    check(len(proof) == 80 and public != bytes(32), "no proof")
    y, gamma, c, s = decode(public), decode(proof[:32]), scalar(proof[32:48]), scalar(proof[48:])
    check(s < Q, "no proof")
    element = vrf_element(public, alpha)
    u = add(multiply(s, BASE), minus(multiply(c, y)))
    v = add(multiply(s, element), minus(multiply(c, gamma)))
    again = vrf_hash(0x02, public, encode(element), proof[:32], encode(u), encode(v), b"\0")[:16]
    check(again == proof[32:48], "K is not the VRF's output")
    return vrf_hash(0x03, proof[:32], b"\0")


# --- tags (log.md, sections 5 to 7) ---------------------------------------------------------------


def text_json(value):
    out = '"'
    for c in value:
        if c in '"\\':
            out += "\\" + c
        elif ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F:
            out += "\\u%04x" % ord(c)
        else:
            out += c
    return out + '"'


def canonical(pairs):
    return ("{" + ",".join(text_json(k) + ":" + (str(v) if isinstance(v, int) else text_json(v))
                           for k, v in pairs) + "}").encode()


def parse(data, what):
    try:
        pairs = json.loads(data.decode(), object_pairs_hook=list)
        check(canonical(pairs) == data and len({k for k, _ in pairs}) == len(pairs), what)
    except (ValueError, TypeError, AttributeError) as error:
        raise Wrong(what) from error
    return dict(pairs)


def minute_of(text):
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) // 60


def epoch_of(period, minute):
    if period == "month":
        return datetime.fromtimestamp(minute * 60, timezone.utc).strftime("%Y-%m")
    return "%s-%d" % (period, minute // int(period[:-1]))


def epoch_number(period, epoch):
    try:
        if period == "month":
            year, month = epoch.split("-")
            number = int(year) * 12 + int(month) - 1
            again = "%04d-%02d" % (number // 12, number % 12 + 1)
        else:
            number = int(epoch.split("-")[1])
            again = "%s-%d" % (period, number)
    except (ValueError, IndexError) as error:
        raise Wrong("no epoch") from error
    check(again == epoch, "no epoch")
    return number


def alpha_of(region, epoch, subject):
    return b"ringfence-subject@1\n" + sized(region.encode()) + sized(epoch.encode()) + sized(subject)


def mac(k, domain, origin, n):
    return hmac.new(k, domain + sized(origin.encode()) + struct.pack(">Q", n), "sha256").digest()


def tag_of(k, origin, n):
    return mac(k, b"ringfence-tag@1\n", origin, n)[:16]


def salt_of(k, origin, n):
    return mac(k, b"ringfence-salt@1\n", origin, n)


def access_of(subject, classes, time):
    try:
        who = ("subject", subject.decode())
    except UnicodeDecodeError:
        who = ("subject_hex", subject.hex())
    return canonical([("v", 1), who, ("classes", classes), ("time", time)])


def commitment_of(salt, access):
    return sha256(b"ringfence-access@1\n", salt, access)


def held_of(salt, purpose):
    return sha256(b"ringfence-held@1\n", salt, purpose.encode())


# --- trees (RFC 6962) and notes -------------------------------------------------------------------


def leaf_hash(data):
    return sha256(b"\0", data)


def node(left, right):
    return sha256(b"\1", left, right)


def split(n):
    return 1 << (n - 1).bit_length() - 1


def root_of(hashes):
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256()
    k = split(len(hashes))
    return node(root_of(hashes[:k]), root_of(hashes[k:]))


def path_of(index, hashes):
    if len(hashes) < 2:
        return []
    k = split(len(hashes))
    if index < k:
        return path_of(index, hashes[:k]) + [root_of(hashes[k:])]
    return path_of(index - k, hashes[k:]) + [root_of(hashes[:k])]


def root_from(index, size, digest, path):
    check(index < size, "index outside the tree")
    if size == 1:
        check(not path, "proof too long")
        return digest
    check(path, "proof too short")
    k = split(size)
    if index < k:
        return node(root_from(index, k, digest, path[:-1]), path[-1])
    return node(path[-1], root_from(index - k, size - k, digest, path[:-1]))


def unbase64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Wrong("not base64") from error
    check(base64.b64encode(data).decode() == text, "not base64")
    return data


def unhex(text, n):
    check(len(text) == 2 * n and set(text) <= set("0123456789abcdef"), "not hex")
    return bytes.fromhex(text)


def key_id(name, kind, public):
    return sha256(name.encode(), b"\n", kind, public)[:4]


def vkey_of(name, public):
    return "%s+%s+%s" % (name, key_id(name, b"\1", public).hex(), base64.b64encode(b"\1" + public).decode())


def read_vkey(vkey):
    name, ident, key = vkey.split("+", 2)
    key = unbase64(key)
    check(len(key) == 33 and key[:1] == b"\1" and key_id(name, b"\1", key[1:]).hex() == ident, "not a vkey")
    return name, key[1:]


def signed_by(public, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def read_checkpoint(note, vkey):
    """(size, root) of a checkpoint that the key of VKEY has signed."""
    name, public = read_vkey(vkey)
    text, found, lines = note.decode().rpartition("\n\n")
    check(found and lines.endswith("\n"), "no note")
    text = text + "\n"
    signed = 0
    for line in lines[:-1].split("\n"):
        dash, signer, blob = line.split(" ")
        blob = unbase64(blob)
        check(dash == "\u2014", "no signature line")
        if signer == name and blob[:4] == key_id(name, b"\1", public):
            check(signed_by(public, text.encode(), blob[4:]), "signature does not hold")
            signed += 1
    check(signed == 1, "not signed by %s" % name)
    origin, size, root = text[:-1].split("\n")[:3]
    check(origin == name and str(int(size)) == size, "not a checkpoint of %s" % name)
    return int(size), unbase64(root)


# --- claim files (claims.md) ----------------------------------------------------------------------


class Log:
    def __init__(self, vkey, region):
        self.vkey, self.origin, self.region = vkey, vkey.split("+")[0], region
        self.named_by = None  # (origin, index) of the leaf, when it is a successor
        self.named_in = None  # the log that names it
        self.covered = False  # its VRF key is the file's
        self.old_signature = None
        self.first_line = False  # the first log, or one that continues it
        self.ends = None

    def leaf(self, index, path, data):
        root = root_from(index, self.size, leaf_hash(data), path)
        check(root == self.root, "leaf %d is not in the tree of %s" % (index, self.origin))
        leaf = parse(data, "leaf is not canonical")
        check(leaf["region"] == self.region, "leaf of another region")
        return leaf


class Claim:
    def __init__(self, data):
        check(data.endswith(b"\n"), "last line has no end")
        try:
            self.lines = [line.split(" ") for line in data.decode("ascii")[:-1].split("\n")]
        except UnicodeDecodeError as error:
            raise Wrong("not ASCII") from error
        self.at = 0

    def peek(self):
        check(self.at < len(self.lines), "the file ends early")
        return self.lines[self.at][0]

    def take(self, word, count):
        check(self.peek() == word, 'line %d: "%s" expected' % (self.at + 1, word))
        fields = self.lines[self.at][1:]
        check(len(fields) == count, "line %d: number of fields" % (self.at + 1))
        self.at += 1
        return fields[0] if count == 1 else fields


def read_number(text):
    check(text.isdigit() and str(int(text)) == text and int(text) < 2**63, "not a number")
    return int(text)


def read_path(text):
    path = [] if text == "-" else [unbase64(part) for part in text.split(",")]
    check(all(len(part) == 32 for part in path) and len(path) < 64, "not a proof")
    return path


def successor_message(old, new, vkey, size):
    return (b"ringfence-successor@1\n" + sized(old.encode()) + sized(new.encode()) + vkey.encode() + b"\n"
            + struct.pack(">Q", size))


def read_named(claim, log, roster, period, before):
    number, path, data = claim.take("named", 3)
    index, data = read_number(number), unbase64(data)
    check(index > before and log.ends is None, "order of named leaves")
    leaf = log.leaf(index, read_path(path), data)
    check(leaf["type"] in ("member", "successor"), "names no log")
    new = Log(leaf["key"], log.region)
    new.named_in = log
    read_vkey(leaf["key"])
    check(new.origin == leaf["origin"] and new.origin not in [o.origin for o in roster], "named twice")
    if leaf["type"] == "successor":
        new.named_by, new.first_line = (log.origin, index), log.first_line
        new.old_signature = unbase64(leaf["signature"])
        message = successor_message(log.origin, new.origin, new.vkey, index)
        check(signed_by(read_vkey(log.vkey)[1], message, new.old_signature), "successor's signature")
        log.ends = epoch_number(period, epoch_of(period, minute_of(leaf["minute"])))
    else:
        check(log.first_line, "a member named by a member")
    roster.append(new)
    return index


def read_log(claim, log, roster, vrf, period):
    check(claim.take("log", 1) == log.origin, "not the next log of the roster")
    log.size, log.root = read_checkpoint(unbase64(claim.take("checkpoint", 1)), log.vkey)
    path, data = claim.take("genesis", 2)
    leaf = log.leaf(0, read_path(path), unbase64(data))
    check((leaf["type"], leaf["origin"], leaf["key"]) == ("genesis", log.origin, log.vkey), "not this log's genesis")
    log.vrf, log.covered = leaf["vrf"], leaf["vrf"] == vrf.hex()
    if log.named_in and not log.named_by:
        check(log.vrf == log.named_in.vrf, "a member with another VRF key")
    period = period or leaf["epoch"]
    check(leaf["epoch"] == period, "another kind of epochs")
    log.begins = epoch_number(period, epoch_of(period, minute_of(leaf["minute"])))
    check(("predecessor" in leaf) == (log.named_by is not None), "predecessor")
    if log.named_by:
        origin, index = log.named_by
        check(leaf["predecessor"] == "%d %s" % (index, origin), "predecessor")
        message = successor_message(origin, log.origin, log.vkey, index)
        check(signed_by(read_vkey(log.vkey)[1], message, unbase64(leaf["signature"])), "signature")
    before = 0
    while claim.peek() == "named":
        before = read_named(claim, log, roster, period, before)
    return period


def read_neighbour(text, count, root):
    if text == "-":
        return None
    rank, tag, path = text.split(":")
    rank, tag = read_number(rank), unhex(tag, 16)
    check(root_from(rank, count, leaf_hash(tag), read_path(path)) == root, "neighbour is not in the tree")
    return rank, tag


def read_end(claim, seal, absent, accesses):
    count, root = seal.get("tags", 0), unhex(seal["tags_root"], 32)
    if claim.peek() == "none":
        claim.take("none", 0)
        check(count == 0 and root == sha256() and accesses == 0, "there are tags")
        return
    left, right = claim.take("absent", 2)
    left, right = read_neighbour(left, count, root), read_neighbour(right, count, root)
    check(count > 0 and (left or right), "no neighbours")
    check(left is None or left[1] < absent, "left is not below")
    check(right is None or absent < right[1], "right is not above")
    check((right[0] if right else count) == (left[0] + 1 if left else 0), "not neighbours")


def read_grants(claim, log):
    """Indexes of the grants that are shown, in their order."""
    shown = []
    while claim.peek() == "grant":
        number, path, data = claim.take("grant", 3)
        index = read_number(number)
        check(not shown or shown[-1] < index, "order of grants")
        check(log.leaf(index, read_path(path), unbase64(data))["type"] == "grant", "no grant")
        shown.append(index)
    return shown


def read_epoch_log(claim, log, epoch, k, subject):
    check(claim.take("in", 1) == log.origin, "not the next log of the epoch")
    number, path, data = claim.take("seal", 3)
    seal_index, found, before = read_number(number), [], 0
    seal = log.leaf(seal_index, read_path(path), unbase64(data))
    check((seal["type"], seal.get("of"), seal.get("epoch")) == ("seal", "epoch", epoch), "another seal")
    grants = read_grants(claim, log)
    while claim.peek() == "access":
        n, number, path, data, access = claim.take("access", 5)
        index, access = read_number(number), unbase64(access)
        check(read_number(n) == len(found) and before <= index < seal_index, "order of accesses")
        leaf = log.leaf(index, read_path(path), unbase64(data))
        check(leaf["type"] in ("disclosure", "find") and leaf["epoch"] == epoch, "another leaf")
        named, _, origin = leaf.get("grant_ref", "").partition(" ")
        check(not grants or origin != log.origin or int(named) in grants, "a grant that is not shown")
        tags = unbase64(leaf["tags"])
        item = tag_of(k, log.origin, len(found)) + commitment_of(salt_of(k, log.origin, len(found)), access)
        check(item in [tags[i:i + 48] for i in range(0, len(tags), 48)], "not in its leaf")
        fields = parse(access, "access is not canonical")
        check(access == access_of(subject, fields["classes"], fields["time"]), "access")
        check((leaf["type"] == "find") == (fields["classes"] == "find"), "a find and its access")
        found.append({"epoch": epoch, "log": log.origin, "n": len(found), "index": index,
                      "classes": fields["classes"], "time": fields["time"]})
        before = index
    read_end(claim, seal, tag_of(k, log.origin, len(found)), len(found))
    return found


def verify_claim(data, vkeys):
    claim = Claim(data)
    claim.take("ringfence-claim@1", 0)
    region, subject = claim.take("region", 1), unbase64(claim.take("subject", 1))
    vrf = unhex(claim.take("vrf", 1), 32)
    roster, at, period, found, last = [Log(vkeys[0], region)], 0, None, [], -1
    roster[0].first_line = True
    while at < len(roster):
        period = read_log(claim, roster[at], roster, vrf, period)
        at += 1
    check(set(vkeys) <= {log.vkey for log in roster}, "a trusted log is not in the roster")
    check(any(log.covered for log in roster), "no log has this VRF key")
    while claim.peek() == "epoch":
        epoch = claim.take("epoch", 1)
        number = epoch_number(period, epoch)
        check(number > last, "order of epochs")
        last = number
        k, proof = claim.take("k", 2)
        output = vrf_verify(vrf, alpha_of(region, epoch, subject), unhex(proof, 80))
        check(output[:32] == unhex(k, 32), "K is not the VRF's output")
        for log in roster:
            if log.covered and log.begins <= number and (log.ends is None or number <= log.ends):
                found += read_epoch_log(claim, log, epoch, output[:32], subject)
    check(last >= 0, "no epoch")
    claim.take("end", 0)
    check(claim.at == len(claim.lines), "something behind the end")
    return {"region": region, "subject": subject.hex(), "logs": [log.origin for log in roster],
            "accesses": found}


# --- vectors --------------------------------------------------------------------------------------

SECRET = bytes.fromhex("3431c2b03533e280b23232e280b34e2c3132c2b03238e280b23131e280b34500")
REGION, SUBJECT, MINUTE = "us-virginia", "Zo\u00eb \u4e2d\u0085\\\"".encode(), 29929525  # 2026-11-27T09:25Z


def tag_vectors():
    origin = "log.example.com/us-virginia"
    out = {"vrf_secret": SECRET.hex(), "vrf_public": vrf_public(SECRET).hex(), "region": REGION,
           "origin": origin, "subject": SUBJECT.hex(), "subject_not_utf8": b"caf\xe9".hex(),
           "minute": MINUTE}
    for name, period in (("month", "month"), ("trial", "5m")):
        epoch = epoch_of(period, MINUTE)
        proof, output = vrf_prove(SECRET, alpha_of(REGION, epoch, SUBJECT))
        check(vrf_verify(vrf_public(SECRET), alpha_of(REGION, epoch, SUBJECT), proof) == output, "VRF")
        k = output[:32]
        out |= {name + "_period": period, name + "_epoch": epoch, name + "_k": k.hex(),
                name + "_proof": proof.hex()}
        for n in (0, 1, 4294967296):
            access = access_of(SUBJECT, "identity,contact", "2026-11-27T09:25:07.%03dZ" % (n % 1000))
            salt = salt_of(k, origin, n)
            out |= {"%s_tag_%d" % (name, n): tag_of(k, origin, n).hex(),
                    "%s_salt_%d" % (name, n): salt.hex(),
                    "%s_access_%d" % (name, n): access.hex(),
                    "%s_commitment_%d" % (name, n): commitment_of(salt, access).hex()}
        tags = [tag_of(k, origin, n) for n in range(1000)]
        for size in (0, 1, 2, 3, 50, 257, 1000):
            root = root_of([leaf_hash(tag) for tag in sorted(tags[:size])])
            out["%s_tags_root_%d" % (name, size)] = root.hex()
    out["access_not_utf8"] = access_of(b"caf\xe9", "identity", "1970-01-01T00:00:00.000Z").hex()
    out["held_salt"] = bytes(range(32)).hex()
    out["held_purpose"] = "legal_demand"
    out["held"] = held_of(bytes(range(32)), "legal_demand").hex()
    return out


class Writer:
    """A log in memory, with only what a claim needs."""

    def __init__(self, origin, seed):
        self.origin, self.secret, self.leaves = origin, Ed25519PrivateKey.from_private_bytes(seed), []
        self.public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.vkey = vkey_of(origin, self.public)
        self.tags, self.counts, self.sealed_leaves, self.disclosures = [], {}, 0, 0

    def add(self, kind, minute, *pairs):
        when = datetime.fromtimestamp(minute * 60, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")
        index = len(self.leaves)
        ident, d = sha256(self.origin.encode(), bytes([index]))[:16], sha256(b"d", bytes([index]))
        self.leaves.append(canonical([("v", 1), ("type", kind), ("minute", when), ("id", ident.hex())]
                                     + list(pairs) + [("d", d.hex())]))
        return index

    def genesis(self, minute, *more):
        self.add("genesis", minute, ("region", REGION), ("origin", self.origin), ("key", self.vkey),
                 ("vrf", vrf_public(SECRET).hex()), *more, ("epoch", "5m"), ("rollup", 5), ("seal", 5))

    def disclose(self, minute, subjects, keys, accesses):
        items, period = b"", "5m"
        self.disclosures += 1
        for subject in subjects:
            n = self.counts.get(subject, 0)
            self.counts[subject] = n + 1
            time = "%s:%02d.000Z" % (datetime.fromtimestamp(minute * 60, timezone.utc)
                                     .strftime("%Y-%m-%dT%H:%M"), n)
            access = access_of(subject, "identity", time)
            tag = tag_of(keys[subject], self.origin, n)
            self.tags.append(tag)
            items += tag + commitment_of(salt_of(keys[subject], self.origin, n), access)
            accesses.append((subject, self, n, len(self.leaves), access))
        self.add("disclosure", minute, ("region", REGION), ("entity", "clipstream-us"), ("place", "US"),
                 ("room", "granted"), ("purpose", "support_ticket"), ("grant", 7), ("grant_ref", "1 " + self.origin),
                 ("classes", "identity"), ("epoch", epoch_of(period, minute)),
                 ("tags", base64.b64encode(items).decode()))

    def seal(self, minute, epoch):
        numbers = [("disclosures", self.disclosures), ("leaves", len(self.leaves) - self.sealed_leaves),
                   ("tags", len(self.tags))]
        root = root_of([leaf_hash(tag) for tag in sorted(self.tags)])
        index = self.add("seal", minute, ("region", REGION), ("of", "epoch"), ("epoch", epoch),
                         *[pair for pair in numbers if pair[1] > 0], ("tags_root", root.hex()))
        sealed, self.tags, self.counts = sorted(self.tags), [], {}
        self.sealed_leaves, self.disclosures = len(self.leaves), 0
        return index, sealed

    def checkpoint(self):
        root = root_of([leaf_hash(leaf) for leaf in self.leaves])
        text = "%s\n%d\n%s\n" % (self.origin, len(self.leaves), base64.b64encode(root).decode())
        blob = key_id(self.origin, b"\1", self.public) + self.secret.sign(text.encode())
        return ("%s\n\u2014 %s %s\n" % (text, self.origin, base64.b64encode(blob).decode())).encode()

    def proof(self, index):
        path = path_of(index, [leaf_hash(leaf) for leaf in self.leaves])
        return ",".join(base64.b64encode(part).decode() for part in path) or "-"

    def shown(self, index):
        return "%s %s" % (self.proof(index), base64.b64encode(self.leaves[index]).decode())


def neighbours(tags, absent):
    rank = sum(tag < absent for tag in tags)
    hashes = [leaf_hash(tag) for tag in tags]

    def show(i):
        path = ",".join(base64.b64encode(part).decode() for part in path_of(i, hashes)) or "-"
        return "%d:%s:%s" % (i, tags[i].hex(), path)
    return "%s %s" % (show(rank - 1) if rank > 0 else "-", show(rank) if rank < len(tags) else "-")


def claim_vector():
    """Two logs and the first one's successor; three epochs, the person not in all of them."""
    first, second, third = (Writer("log.example.com/" + name, bytes([seed] * 32))
                            for name, seed in (("one", 1), ("two", 2), ("three", 3)))
    subjects = [SUBJECT, b"42", b"43", b"44"]
    epochs = [epoch_of("5m", MINUTE + 5 * i) for i in range(3)]
    ks = {(s, e): vrf_prove(SECRET, alpha_of(REGION, e, s)) for s in subjects for e in epochs}
    keys = [{s: ks[s, e][1][:32] for s in subjects} for e in epochs]
    accesses, seals, named = [[], [], []], {}, {}
    first.genesis(MINUTE)
    named[first] = [first.add("member", MINUTE + 1, ("region", REGION), ("origin", second.origin),
                              ("key", second.vkey))]
    first.disclose(MINUTE + 1, [b"42", SUBJECT], keys[0], accesses[0])
    first.disclose(MINUTE + 2, [SUBJECT, b"43", b"44"], keys[0], accesses[0])
    seals[first, 0] = first.seal(MINUTE + 5, epochs[0])
    second.genesis(MINUTE + 5)
    second.disclose(MINUTE + 6, [b"43", SUBJECT], keys[1], accesses[1])
    message = successor_message(first.origin, third.origin, third.vkey, len(first.leaves))
    named[first].append(first.add("successor", MINUTE + 7, ("region", REGION), ("origin", third.origin), ("key", third.vkey),
                                  ("signature", base64.b64encode(first.secret.sign(message)).decode())))
    third.genesis(MINUTE + 8, ("predecessor", "%d %s" % (named[first][1], first.origin)),
                  ("signature", base64.b64encode(third.secret.sign(message)).decode()))
    third.disclose(MINUTE + 8, [b"42"], keys[1], accesses[1])
    for log in (first, second, third):
        seals[log, 1] = log.seal(MINUTE + 10, epochs[1])
    second.disclose(MINUTE + 11, [b"44", b"42"], keys[2], accesses[2])
    third.disclose(MINUTE + 12, [SUBJECT], keys[2], accesses[2])
    for log in (second, third):
        seals[log, 2] = log.seal(MINUTE + 15, epochs[2])
    lines = ["ringfence-claim@1", "region " + REGION, "subject " + base64.b64encode(SUBJECT).decode(),
             "vrf " + vrf_public(SECRET).hex()]
    for log in (first, second, third):
        lines += ["log " + log.origin, "checkpoint " + base64.b64encode(log.checkpoint()).decode(),
                  "genesis " + log.shown(0)]
        lines += ["named %d %s" % (i, log.shown(i)) for i in named.get(log, [])]
    for i, epoch in enumerate(epochs):
        proof, output = ks[SUBJECT, epoch]
        lines += ["epoch " + epoch, "k %s %s" % (output[:32].hex(), proof.hex())]
        for log in (first, second, third):
            if (log, i) not in seals:
                continue
            index, tags = seals[log, i]
            lines += ["in " + log.origin, "seal %d %s" % (index, log.shown(index))]
            mine = [a for a in accesses[i] if a[0] == SUBJECT and a[1] is log]
            lines += ["access %d %d %s %s" % (n, at, log.shown(at), base64.b64encode(access).decode())
                      for _, _, n, at, access in mine]
            absent = tag_of(output[:32], log.origin, len(mine))
            lines.append("absent " + neighbours(tags, absent) if tags else "none")
    return "\n".join(lines + ["end", ""]), first.vkey


def vectors():
    claim, vkey = claim_vector()
    return {"_about": "docs/formats/log.md and claims.md, version 1; made by log-reader.py. Bytes are hex.",
            "tags": tag_vectors(),
            "claim": {"vkey": vkey, "file": claim, "holds": verify_claim(claim.encode(), [vkey])}}


def main(argv):
    if argv[1:] == ["vectors"]:
        print(json.dumps(vectors(), indent=1))
    elif len(argv) >= 4 and argv[1] == "claim":
        try:
            with open(argv[2], "rb") as file:
                print(json.dumps(verify_claim(file.read(), argv[3:])))
        except (Wrong, ValueError, KeyError) as error:
            sys.exit("%s: %r" % (argv[2], error))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv)
