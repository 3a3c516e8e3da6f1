"""A PostgreSQL client that speaks bytes: for what libpq would never send, and for seeing exactly
what comes back. Blocking, with a time limit on every read."""

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = (3 << 16) | 2
SSL_REQUEST = (1234 << 16) | 5679
GSS_REQUEST = (1234 << 16) | 5680
CANCEL_REQUEST = (1234 << 16) | 5678


class ServerError(Exception):
    """An ErrorResponse; FIELDS by their one-letter codes."""

    def __init__(self, fields):
        self.fields = fields
        self.sqlstate = fields.get("C", "")
        self.message = fields.get("M", "")
        super().__init__(f"{self.sqlstate}: {self.message}")


class Closed(Exception):
    """The other side closed or reset the connection."""


def error_fields(body):
    fields = {}
    for part in body.rstrip(b"\0").split(b"\0"):
        if part:
            fields[chr(part[0])] = part[1:].decode("utf-8", "replace")
    return fields


def cstr(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


class Wire:
    """One connection. Nothing is sent unless a method is called for it."""

    def __init__(self, address, port=None, timeout=20, source=None):
        if port is None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(
                (address, port), timeout=timeout, source_address=(source, 0) if source else None)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address = address
        self.parameters = {}
        self.notices = []
        self.notifications = []
        self.cancel_key = None
        self.negotiated = None
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # --- bytes ---

    def send_bytes(self, data):
        self.socket.sendall(data)

    def read_bytes(self, count):
        parts = []
        while count > 0:
            try:
                part = self.socket.recv(min(count, 1 << 20))
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                raise Closed() from None
            if not part:
                raise Closed()
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def closed_by_peer(self):
        """True when the other side ends the connection (after any last messages)."""
        try:
            while self.socket.recv(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return True

    # --- messages ---

    def send(self, kind, body=b""):
        self.send_bytes(kind.encode() + struct.pack("!I", len(body) + 4) + body)

    def send_startup(self, parameters, protocol=PROTOCOL_3_0):
        body = struct.pack("!I", protocol)
        for name, value in parameters.items():
            body += cstr(name) + cstr(value)
        body += b"\0"
        self.send_bytes(struct.pack("!I", len(body) + 4) + body)

    def receive(self):
        """(kind, body), whatever it is; what is not an answer is also kept in its place."""
        head = self.read_bytes(5)
        kind = chr(head[0])
        body = self.read_bytes(struct.unpack("!I", head[1:])[0] - 4)
        if kind == "S":
            name, value = body.split(b"\0")[:2]
            self.parameters[name.decode()] = value.decode()
        elif kind == "N":
            self.notices.append(error_fields(body))
        elif kind == "A":
            self.notifications.append(body)
        elif kind == "K":
            self.cancel_key = body
        elif kind == "v":
            self.negotiated = body
        elif kind == "Z":
            self.status = body.decode()
        return kind, body

    def receive_answer(self):
        """The next message that is not asynchronous."""
        while True:
            kind, body = self.receive()
            if kind not in "NSA":
                return kind, body

    def until_ready(self):
        """All messages up to and with ReadyForQuery."""
        got = []
        while not got or got[-1][0] != "Z":
            got.append(self.receive())
        return got

    # --- start of a session ---

    def ask_tls(self):
        self.send_bytes(struct.pack("!II", 8, SSL_REQUEST))
        return self.read_bytes(1)

    def start_tls(self, ca=None, certificate=None, alpn=None, version=None, name="localhost"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        if alpn is not None:
            context.set_alpn_protocols(alpn)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        return self

    def begin_tls(self, **options):
        """SSLRequest, then the handshake."""
        answer = self.ask_tls()
        if answer != b"S":
            raise AssertionError(f"expected S for SSLRequest, got {answer!r}")
        return self.start_tls(**options)

    def login(self, user, password, database, protocol=PROTOCOL_3_0, **parameters):
        """Start-up, authentication, everything up to ReadyForQuery; raises ServerError."""
        self.send_startup({"user": user, "database": database, **parameters}, protocol)
        return self.authenticate(password)

    def authenticate(self, password):
        while True:
            kind, body = self.receive()
            if kind == "E":
                raise ServerError(error_fields(body))
            if kind == "R":
                code = struct.unpack("!I", body[:4])[0]
                if code == 10:
                    self.scram(password, body[4:])
            elif kind == "Z":
                return self

    def scram(self, password, mechanisms):
        """RFC 5802 without channel binding, by hand."""
        if b"SCRAM-SHA-256" not in mechanisms.split(b"\0"):
            raise AssertionError(f"no SCRAM-SHA-256 among {mechanisms!r}")
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n=,r={nonce}"
        first = b"n,," + bare.encode()
        self.send("p", cstr("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first)
        server_first = self.expect_sasl(11)
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(),
                                     base64.b64decode(fields["s"]), int(fields["i"]))
        final = f"c=biws,r={fields['r']}"
        message = f"{bare},{server_first},{final}".encode()
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.send("p", f"{final},p={base64.b64encode(proof).decode()}".encode())
        server_final = self.expect_sasl(12)
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        expected = base64.b64encode(hmac.digest(server_key, message, "sha256")).decode()
        if server_final != f"v={expected}":
            raise AssertionError("the server does not know the password either")

    def expect_sasl(self, wanted):
        kind, body = self.receive()
        if kind == "E":
            raise ServerError(error_fields(body))
        code = struct.unpack("!I", body[:4])[0]
        if kind != "R" or code != wanted:
            raise AssertionError(f"expected authentication {wanted}, got {kind} {code}")
        return body[4:].decode()

    # --- statements ---

    def query(self, sql):
        """Simple query: the rows of all results (values as bytes or None); raises ServerError."""
        self.send("Q", cstr(sql))
        return self.result()

    def result(self):
        rows, error = [], None
        for kind, body in self.until_ready():
            if kind == "D":
                rows.append(data_row(body))
            elif kind == "E":
                error = error or ServerError(error_fields(body))
        if error is not None:
            raise error
        return rows

    def send_extended(self, sql, values=(), name="", portal="", limit=0, formats=()):
        """Parse, Bind, Describe, Execute, without Sync."""
        self.send("P", cstr(name) + cstr(sql) + struct.pack("!H", 0))
        self.send_bind(values, name, portal, formats)
        self.send("D", b"P" + cstr(portal))
        self.send("E", cstr(portal) + struct.pack("!I", limit))

    def send_bind(self, values=(), name="", portal="", formats=()):
        body = cstr(portal) + cstr(name) + struct.pack("!H", 0) + struct.pack("!H", len(values))
        for value in values:
            if value is None:
                body += struct.pack("!i", -1)
            else:
                body += struct.pack("!i", len(value)) + value
        body += struct.pack("!H", len(formats))
        for code in formats:
            body += struct.pack("!H", code)
        self.send("B", body)

    def sync(self):
        self.send("S")
        return self.until_ready()

    def terminate(self):
        self.send("X")
        self.close()


def data_row(body):
    count = struct.unpack("!H", body[:2])[0]
    at, row = 2, []
    for _ in range(count):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        if length < 0:
            row.append(None)
        else:
            row.append(body[at:at + length])
            at += length
    return row


def send_cancel(address, port, key, ca=None):
    """A cancel request on a connection of its own; KEY is the body of BackendKeyData."""
    with Wire(address, port) as wire:
        if ca is not None:
            wire.begin_tls(ca=ca)
        wire.send_bytes(struct.pack("!II", 8 + len(key), CANCEL_REQUEST) + key)
        wire.closed_by_peer()
