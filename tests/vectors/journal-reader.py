#!/usr/bin/python3
"""A second implementation of docs/formats/journal.md, made from that page alone.

journal-reader.py vectors        print journal-v1.txt
journal-reader.py check STATE    read STATE/journal with STATE/keys/day, print entries as JSON lines
"""
import hashlib
import json
import os
import struct
import sys
from datetime import datetime, timezone

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hchacha20(key, nonce):
    """draft-irtf-cfrg-xchacha-03, section 2.2."""
    s = list(struct.unpack("<4I8I4I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = s[x] + s[y] & 0xFFFFFFFF
            s[z] ^= s[x]
            s[z] = (s[z] << turn | s[z] >> 32 - turn) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        quarter(0, 5, 10, 15)
        quarter(1, 6, 11, 12)
        quarter(2, 7, 8, 13)
        quarter(3, 4, 9, 14)
    return struct.pack("<8I", *(s[:4] + s[12:]))


def xchacha(key, nonce):
    return ChaCha20Poly1305(hchacha20(key, nonce[:16])), bytes(4) + nonce[16:]


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


def round_trips(data):
    pairs = json.loads(data.decode(), object_pairs_hook=list)
    return canonical(pairs) == data and len({k for k, _ in pairs}) == len(pairs)


def key_id(key):
    return sha256(b"ringfence-day-key@1\n", key)[:8]


def commitment(salt, private):
    return sha256(b"ringfence-private@1\n", salt, private)


def additional(index, name, public):
    return b"ringfence-entry@1\n" + struct.pack(">QH", index, len(name)) + name + public


def header(first, journal_id, chain, name):
    head = b"RFJRNL01" + struct.pack(">IQ", 74 + len(name), first) + journal_id + chain
    head += struct.pack(">H", len(name)) + name
    return head + struct.pack(">I", crc32c(head))


def first_chain(journal_id, name):
    return sha256(b"ringfence-journal@1\n", journal_id, struct.pack(">H", len(name)), name)


def entry(index, minute, instance, seq, name, public, private, salt, nonce, key, chain):
    aead, short = xchacha(key, nonce)
    sealed = nonce + aead.encrypt(short, salt + private, additional(index, name, public))
    body = struct.pack(">QIQQ", index, minute, instance, seq) + key_id(key)
    body += struct.pack(">H", len(public)) + public + struct.pack(">I", len(sealed)) + sealed
    chain = sha256(chain, body)
    body += chain
    length = struct.pack(">I", len(body))
    return b"RfJe" + length + struct.pack(">I", crc32c(length + body)) + body, chain


def vectors():
    say = lambda key, value: print("%s: %s" % (key, value.hex() if isinstance(value, bytes) else value))
    run = lambda start, n: bytes(range(start, start + n))
    name, journal_id, key = b"us-virginia", run(0xA0, 16), run(0x40, 32)
    print("# docs/formats/journal.md, version 1; made by journal-reader.py. Bytes are hex.")
    say("crc32c_123456789", struct.pack(">I", crc32c(b"123456789")))
    say("name", name)
    say("journal_id", journal_id)
    say("day_key", key)
    say("day_key_id", key_id(key))
    chain = first_chain(journal_id, name)
    say("chain_before", chain)
    say("header", header(0, journal_id, chain, name))
    session, minute = run(1, 16), 29929525  # 2026-11-27T09:25Z
    common = [("region", "us-virginia"), ("entity", "clipstream-us"), ("place", "US"),
              ("room", "masked")]
    privates = [
        [("time", "2026-11-27T09:25:07.123Z"), ("session", session.hex()), ("statement", 1),
         ("actor", "us_analyst"), ("client", "127.0.0.1:40000"), ("listener", "127.0.0.1:6432"),
         ("database", "us-virginia"), ("role", "us_analyst.masked"),
         ("statement_kind", "SelectStmt"), ("fingerprint", "00ab00000000cdef"),
         ("relations", "app.users"),
         ("sql", "select \"id\" from users\n-- Zo\u00eb \u4e2d\u0085\\\u007f")],
        [("time", "2026-11-27T09:25:07.456Z"), ("session", session.hex()), ("statement", 1),
         ("actor", "us_analyst"), ("sql_hex", b"caf\xe9\x00".hex()), ("rows", 5), ("bytes", 1234),
         ("outcome", "SELECT 5")],
    ]
    numbers = [[], [("rows", 5), ("bytes", 1234)]]
    kinds = ["statement", "result"]
    for i in range(2):
        salt, nonce, ident = run(0x60 + i, 32), run(0x80 + i, 24), run(0x10 + i, 16)
        private = canonical(privates[i])
        pairs = [("v", 1), ("kind", kinds[i]), ("minute", "2026-11-27T09:25Z"), ("id", ident.hex())]
        pairs += common + [("actor_kind", "person")] + numbers[i]
        public = canonical(pairs + [("d", commitment(salt, private).hex())])
        framed, chain = entry(i, minute, 0x1122334455667788, i + 1, name, public, private, salt,
                              nonce, key, chain)
        say("entry%d_salt" % i, salt)
        say("entry%d_nonce" % i, nonce)
        say("entry%d_id" % i, ident)
        say("entry%d_private" % i, private)
        say("entry%d_public" % i, public)
        say("entry%d_leaf_hash" % i, sha256(b"\0", public))
        say("entry%d_chain_after" % i, chain)
        say("entry%d_bytes" % i, framed)


def fail(path, offset, what):
    sys.exit("%s:%d: %s" % (path, offset, what))


def read_segment(state, path, expected):
    data = open(path, "rb").read()
    if data[:8] != b"RFJRNL01":
        fail(path, 0, "no segment")
    length, first = struct.unpack(">IQ", data[8:20])
    n = struct.unpack(">H", data[68:70])[0]
    name, chain = data[70:70 + n], data[36:68]
    if data[:length] != header(first, data[20:36], chain, name):
        fail(path, 0, "bad header")
    index = expected["index"] if expected else first
    before = expected["chain"] if expected else first_chain(data[20:36], name)
    if first != index or chain != before:
        fail(path, 0, "does not continue the one before")
    at = length
    while at < len(data):
        if data[at:at + 4] != b"RfJe":
            fail(path, at, "no entry")
        size, crc = struct.unpack(">II", data[at + 4:at + 12])
        body = data[at + 12:at + 12 + size]
        if crc != crc32c(data[at + 4:at + 8] + body):
            fail(path, at, "wrong CRC")
        got, minute, instance, seq = struct.unpack(">QIQQ", body[:28])
        public_len = struct.unpack(">H", body[36:38])[0]
        public = body[38:38 + public_len]
        sealed = body[42 + public_len:-32]
        if struct.unpack(">I", body[38 + public_len:42 + public_len])[0] != len(sealed):
            fail(path, at, "wrong lengths")
        chain = sha256(chain, body[:-32])
        if got != index or chain != body[-32:]:
            fail(path, at, "wrong index or chain")
        yield_entry(state, path, at, name, index, minute, body[28:36], public, sealed)
        index, at = index + 1, at + 12 + size
    return {"index": index, "chain": chain}


def yield_entry(state, path, at, name, index, minute, ident, public, sealed):
    moment = datetime.fromtimestamp(minute * 60, timezone.utc)
    if not round_trips(public) or json.loads(public)["minute"] != moment.strftime("%Y-%m-%dT%H:%MZ"):
        fail(path, at, "public part is not canonical")
    key_path = os.path.join(state, "keys/day", moment.strftime("%Y-%m-%d") + ".key")
    key = open(key_path, "rb").read() if os.path.exists(key_path) else b""
    private = None
    if key_id(key) == ident:
        aead, short = xchacha(key, sealed[:24])
        try:
            plain = aead.decrypt(short, sealed[24:], additional(index, name, public))
        except InvalidTag:
            fail(path, at, "private part does not open")
        private = plain[32:]
        if commitment(plain[:32], private).hex() != json.loads(public)["d"]:
            fail(path, at, "private part is not the committed one")
        if not round_trips(private):
            fail(path, at, "private part is not canonical")
    print('{"index":%d,"public":%s,"private":%s}' % (
        index, public.decode(), private.decode() if private is not None else "null"))


def main(argv):
    if argv[1:] == ["vectors"]:
        vectors()
    elif len(argv) == 3 and argv[1] == "check":
        folder, expected = os.path.join(argv[2], "journal"), None
        for name in sorted(n for n in os.listdir(folder) if n.endswith(".journal")):
            expected = read_segment(argv[2], os.path.join(folder, name), expected)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv)
