#!/usr/bin/python3
"""Writes the seeds of fuzz_session.c into FOLDER: scripts by name, so that fuzzing starts deep.

The orders and their arguments are those of take_order() in fuzz_session.c."""

import os
import struct
import sys

SESSION, TRANSACTION, PERSON = 1, 2, 3
(ROWS, ERROR, COPY_OUT, COPY_IN, EMPTY, BEGIN, COMMIT, SUSPENDED, FATAL, SET) = range(10)
SAME_TURN = 16


def head(*kinds, minor=0):
    who = 64 if minor == 2 else 0
    for i, kind in enumerate(kinds):
        who |= kind << (2 * i)
    return bytes([who])


def text(data):
    data = data.encode() if isinstance(data, str) else data
    return bytes([len(data)]) + data


def raw(data):
    return bytes([0]) + text(data)


def query(sql):
    return bytes([1]) + text(sql)


def parse(name, sql, shared=False, same=0):
    return bytes([2 + same, name | (16 if shared else 0)]) + text(sql)


def bind(portal, name, same=0):
    return bytes([3 + same, portal * 4 + name])


def describe(kind, name):
    return bytes([4, name | (32 if kind == "P" else 0)])


def close(kind, name):
    return bytes([4, name | 16 | (32 if kind == "P" else 0)])


def execute(portal, limit=0, same=0):
    return bytes([5 + same, portal | limit << 4])


def other(letter, data=None):
    return bytes([6, "SHScfdFX".index(letter)]) + (text(data) if data is not None else b"")


def statement(sql):
    return bytes([7]) + text(sql)


def client(i, how=0):
    return bytes([8, i | how << 4])


CONNECT_RAW, LOGIN_SESSION, LOGIN_TRANSACTION, LOGIN_PERSON, HANG_UP, HALF, DEAF = range(1, 8)


def server(i, how=0):
    return bytes([9, i | how << 4])


def server_raw(data):
    return bytes([10]) + text(data)


def answer(how=ROWS, rows=1, size=0, one=False):
    return bytes([11, how, (0x80 if one else 0) | size << 4 | rows])


def ledger(how, data=None):
    return bytes([13, how]) + (text(data) if data is not None else b"")


HOLD, GO, ACK, DIE, RETURN, REFUSE, LEDGER_SAYS, LEASE_OFF = 0, 1, 2, 3, 4, 5, 6, 15


def parser(how, data=None):
    return bytes([14, how]) + (text(data) if data is not None else b"")


def world(kind, n=0):
    return bytes([15, kind << 4 | n])


PASS, CANCEL, RELOAD, STOP, FAIL, TURNS = 0, 2, 4, 5, 6, 7


def startup(**parameters):
    body = struct.pack(">I", 196608)
    for name, value in parameters.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    body += b"\0"
    return struct.pack(">I", len(body) + 4) + body


def message(kind, body=b""):
    return kind.encode() + struct.pack(">I", len(body) + 4) + body


def notice(state, text_of_it):
    return message("N", b"SINFO\0VINFO\0C%s\0M%s\0\0" % (state.encode(), text_of_it.encode()))


SEEDS = {
    "startup-raw": head() + client(0, CONNECT_RAW) + raw(struct.pack(">II", 8, 80877103)) +
    raw(startup(user="svc", database="ses")) +
    raw(message("p", b"SCRAM-SHA-256\0" + struct.pack(">I", 20) + b"n,,n=,r=abcdefghijkl")) +
    raw(message("p", b"c=biws,r=x,p=AAAA")) + world(TURNS, 3),
    "startup-refused": head() + client(0, CONNECT_RAW) +
    raw(startup(user="svc", database="ses", replication="database")) + client(1, CONNECT_RAW) +
    raw(struct.pack(">II", 16, 80877102) + b"\0\0\0\1\1\2\3\4") + client(2, CONNECT_RAW) +
    raw(startup(user="x", database="y", options="-c a=b")) + client(3, CONNECT_RAW) +
    raw(b"\0\0\0\4") + world(PASS, 7),
    "session-simple": head(SESSION, SESSION) + query("select 1") + answer(ROWS, 3) +
    client(1) + query("insert") + answer(ERROR) + client(0) + query("begin") + answer(BEGIN) +
    query("x") + answer(ERROR) + query("rollback") + answer(COMMIT) + other("X"),
    "session-copy": head(SESSION) + query("copy in") + answer(COPY_IN) + other("d", "1\n") +
    other("c") + answer() + query("copy out") + answer(COPY_OUT, 3, 2) + query("copy") +
    answer(COPY_IN) + other("f", "no") + answer() + other("F") + answer(),
    "session-waiting": head(SESSION, SESSION, SESSION) + client(3, LOGIN_SESSION) +
    world(CANCEL, 3) + client(0, HANG_UP) + world(TURNS, 8) + answer() + world(PASS, 5) +
    client(3) + query("x") + answer() + world(PASS, 7) + world(PASS, 7),
    "transaction-prepared": head(TRANSACTION, TRANSACTION) +
    parse(1, "select $1", shared=True) + other("S") + answer() + bind(0, 1) + execute(0) +
    other("S") + answer(ROWS, 2) + client(1) + parse(1, "select $1", shared=True) +
    describe("S", 1) + bind(0, 1) + execute(0) + other("S") + answer(ROWS, 1) + close("S", 1) +
    other("S") + answer() + bind(1, 2) + other("S") + answer(ERROR) + query("discard all") +
    answer(SET),
    "transaction-shared": head(TRANSACTION, TRANSACTION) + parse(1, "select $1", shared=True) +
    other("S") + answer() + query("begin") + answer(BEGIN) + client(1) +
    parse(2, "select $1", shared=True) + other("S") + answer() + query("begin") + answer(BEGIN) +
    client(0) + query("commit") + answer(COMMIT) + bind(0, 1) + describe("S", 1) + execute(0) +
    other("S") + answer(ROWS, 1) + client(1) + query("commit") + answer(COMMIT) + bind(1, 2) +
    execute(1) + close("S", 2) + other("S") + answer(ROWS, 2) + query("x") + answer(SET),
    "transaction-mixed": head(TRANSACTION, TRANSACTION, TRANSACTION) + query("begin") +
    answer(BEGIN) + client(1) + query("begin") + answer(BEGIN) + client(2) + query("select") +
    world(CANCEL, 2) + client(0) + query("commit") + answer(COMMIT) + answer(COMMIT) +
    statement("select 2") + world(CANCEL, 0) + answer(ROWS, 2) + world(TURNS, 5) + answer() +
    client(1) + server(0, 4) + server(0, 5) + query("set timezone") + answer(SET),
    "transaction-copy-sync": head(TRANSACTION) + statement("copy x from stdin") +
    answer(COPY_IN, one=True) + answer(COPY_IN) + other("d", "row") + other("c") + other("S") +
    answer() + query("select 1") + answer(ROWS, 1),
    "transaction-left-behind": head(TRANSACTION) + query("select slow") + world(TURNS, 3) +
    client(0, HANG_UP) + world(TURNS, 3) + client(1, LOGIN_TRANSACTION) + query("select 1") +
    world(TURNS, 3) + answer(ROWS, 1) + world(TURNS, 3) + answer(ROWS, 1),
    "transaction-half-answered": head(TRANSACTION, TRANSACTION) + query("select 1") +
    query("select 2") + world(TURNS, 2) + answer(ROWS, 1, one=True) + client(1) +
    query("select 3") + world(TURNS, 2) + answer(ROWS, 2),
    "person-simple": head(PERSON) + query("select * from users") + answer(ROWS, 3) +
    query("select 1; select 2") + answer(ROWS, 2, 1) + query("drop table x") + answer() +
    query("selec") + answer() + query("") + answer(EMPTY) + other("X"),
    "person-held": head(PERSON, PERSON) + query("select 1") + ledger(HOLD) + answer(ROWS, 3, 2) +
    world(TURNS, 3) + ledger(ACK) + ledger(ACK | 8) + client(1) + query("select 2") +
    answer(ROWS, 1) + ledger(DIE) + world(PASS, 2) + ledger(RETURN) + world(TURNS, 4) +
    ledger(GO) + client(0, HANG_UP) + world(TURNS, 4),
    "person-extended": head(PERSON, minor=2) + parse(1, "select $1") + bind(1, 1) +
    describe("P", 1) + execute(1, 2) + other("S") + answer(SUSPENDED, 2) + execute(1) +
    other("S") + answer(ROWS, 1) + close("P", 1) + close("S", 1) + other("H") + other("S") +
    answer() + parse(2, "!\x40") + other("S") + answer() + other("F") + answer(),
    "person-pipeline": head(PERSON) + b"".join(
        parse(0, "select %d" % i, same=SAME_TURN) + bind(0, 0, SAME_TURN) +
        execute(0, same=SAME_TURN) for i in range(3)) + other("S") + world(TURNS, 6) +
    answer(ROWS, 1, one=True) + answer(ERROR, one=True) + answer() + statement("copy (x) to stdout") +
    answer(COPY_OUT, 2),
    "person-large": head(PERSON) + client(0, DEAF) + query("select big") + answer(64 * 3 + 8, 3, 3) +
    world(TURNS, 9) + answer(64 * 3 + 8, 3, 3) + world(TURNS, 9) + client(0, DEAF) +
    world(TURNS, 9) + world(PASS, 4) + query("!P") + answer(),
    "person-ledger-refuses": head(PERSON) + query("select 1") + ledger(REFUSE) + answer(ROWS, 2) +
    world(TURNS, 2) + client(1, LOGIN_PERSON) + world(PASS, 5) + ledger(RETURN) + world(TURNS, 3) +
    client(2, LOGIN_PERSON) + query("select 1") + answer() + ledger(HOLD) + query("x") +
    answer(ROWS, 1) + world(PASS, 5),
    "person-parser-dies": head(PERSON, PERSON) + parser(0) + query("select 1") + client(1) +
    query("select 2") + world(TURNS, 2) + parser(3) + world(TURNS, 2) + parser(4) + parser(1) +
    world(TURNS, 3) + answer(ROWS, 1) + parser(5, "\0\0\0\1\0\0\0\0") + parser(0) + query("x") +
    world(PASS, 5),
    "person-server-ends": head(PERSON, PERSON, PERSON) + query("select 1") + world(TURNS, 2) +
    answer(FATAL) + client(1) + query("select") + answer(ROWS, 2) + server(1, 1) + client(2) +
    query("x") + world(CANCEL, 2) + server(2, 1) + world(TURNS, 4) + server(0, 2) +
    client(0, LOGIN_PERSON) + server_raw("R\0\0\0\x08\0\0\0\x05") + world(PASS, 5),
    "server-raw": head(PERSON, SESSION, TRANSACTION) + query("select 1") + world(TURNS, 2) +
    server_raw(message("D", b"\0\1\0\0\0\1x")) + server_raw(b"D\0\0") + server_raw(b"\0\x07\0\0\1") +
    server(1) + server_raw(message("Z", b"I")) + client(1) + query("x") + server_raw("Z\0\0\0\5") +
    server_raw("I") + server(2) + server_raw(b"?????") + world(TURNS, 3),
    "person-forged-reveal": head(PERSON, PERSON) + query("select 1") + world(TURNS, 2) +
    server_raw(notice("RF001", "0" * 32 + " identity 8")) + world(TURNS, 3) + client(1) +
    query("select 2") + world(TURNS, 2) + server(1) + server_raw(notice("00000", "of no matter")[:9]) +
    world(TURNS, 2) + server_raw(notice("00000", "of no matter")[9:]) + answer(ROWS, 1) +
    query("select 3") + world(TURNS, 2) + server_raw(notice("RF001", "short")[:20]) +
    server_raw(notice("RF001", "short")[20:]) + world(TURNS, 3),
    "reload-and-stop": head(PERSON, SESSION, TRANSACTION) + query("select 1") + world(RELOAD, 0) +
    world(TURNS, 5) + answer() + client(1) + query("x") + answer() + world(RELOAD, 1) +
    client(3, LOGIN_PERSON) + world(STOP, 1) + answer() + world(STOP, 0) + world(TURNS, 9),
    "memory": head(PERSON, TRANSACTION) + world(FAIL, 5) + query("select 1") + answer(ROWS, 2) +
    client(1) + world(FAIL, 1) + parse(1, "x") + other("S") + answer() + client(2, LOGIN_SESSION) +
    world(FAIL, 9) + query("y") + answer(),
    "databases-lie": head() + server(0, 3) + client(0, LOGIN_PERSON) + client(1, LOGIN_TRANSACTION) +
    world(PASS, 4) + server(0, 3) + world(PASS, 3) + client(1, LOGIN_TRANSACTION) + query("x") +
    answer(), "lease-and-idle": head(SESSION, PERSON) + ledger(LEASE_OFF) + client(2, LOGIN_PERSON) +
    world(PASS, 2) + ledger(7) + world(TURNS, 9) + world(PASS, 7) + client(0, HALF) + world(PASS, 7),
}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, script in SEEDS.items():
        with open(os.path.join(folder, name), "wb") as out:
            out.write(script)


main()
