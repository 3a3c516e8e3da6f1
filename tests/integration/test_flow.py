"""Much data, few bytes held: big results and copies in constant memory, big rows, clients that do
not read."""

import resource
import struct
import threading
import time

import psycopg
import pytest

from waiting import wait_until
from wire import Wire

MEGABYTE = 1 << 20


def private_bytes(pids):
    """Memory that is these processes' own. Their smaps are for root alone (they are not dumpable),
    so it is what is resident and not shared with a file."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm", encoding="ascii") as line:
            _, resident, shared = (int(word) for word in line.read().split()[:3])
            total += (resident - shared) * resource.getpagesize()
    return total


class Watch(threading.Thread):
    """The most memory that the workers had while something went on."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        # a sanitiser keeps freed blocks for a while, and shadows of all
        self.limit = 24 * MEGABYTE * (1 if gateway.slow == 1 else 4)
        self.pids = gateway.pids("worker")
        assert self.pids, "no process is titled as a worker"
        self.before = self.most = private_bytes(self.pids)
        self.over = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, private_bytes(self.pids))

    @property
    def grown(self):
        return self.most - self.before


@pytest.fixture(scope="module")
def amount(slow):
    """Bytes for a large transfer; sanitisers get less, the limit on memory stays."""
    return 1024 * MEGABYTE // (1 if slow == 1 else 16)


@pytest.fixture(scope="module")
def warm(gateway):
    """Every worker has served once, so that growth is not first use."""
    for _ in range(8):
        for actor in ("app_us", "us_analyst"):
            with gateway.connect(actor) as connection:
                connection.execute("select * from videos").fetchall()


def test_copy_out_in_constant_memory(gateway, amount, warm):
    rows = amount // 1000
    seen = 0
    with gateway.connect("app_us") as connection, Watch(gateway) as watch:
        with connection.cursor().copy(
                f"copy (select lpad('', 999, 'x') from generate_series(1, {rows})) to stdout") as copy:
            for data in copy:
                seen += len(data)
    assert seen == rows * 1000
    assert watch.grown < watch.limit, f"{watch.grown} bytes more for {seen}"


def test_copy_in_in_constant_memory(gateway, amount, warm):
    block = (b"x" * 998 + b"\n") * 500
    with gateway.connect("app_us", autocommit=False) as connection, Watch(gateway) as watch:
        with connection.cursor().copy("copy scratch(value) from stdin") as copy:
            for _ in range(amount // len(block)):
                copy.write(block)
        count = connection.execute("select count(*) from scratch").fetchone()[0]
        connection.rollback()
    assert count == amount // len(block) * 500
    assert watch.grown < watch.limit, f"{watch.grown} bytes more"


@pytest.mark.parametrize("actor", ["app_us", "us_analyst"])
def test_a_large_result_in_constant_memory(gateway, amount, warm, actor):
    rows = amount // 4000
    seen = 0
    with gateway.login(actor) as wire, Watch(gateway) as watch:
        wire.send("Q", f"select lpad('', 3990, 'y') from generate_series(1, {rows})\0".encode())
        while True:
            kind, body = wire.receive()
            assert kind != "E", body
            seen += kind == "D"
            if kind == "Z":
                break
    assert seen == rows
    assert watch.grown < watch.limit, f"{watch.grown} bytes more"


@pytest.mark.parametrize("actor", ["app_us", "us_analyst"])
def test_one_row_of_fifty_megabytes(gateway, warm, actor):
    with gateway.connect(actor) as connection, Watch(gateway) as watch:
        value = connection.execute("select lpad('', 50000000, 'z')").fetchone()[0]
    assert len(value) == 50_000_000 and value.strip("z") == ""
    assert watch.grown < watch.limit, f"{watch.grown} bytes more"


def test_one_parameter_of_fifty_megabytes(gateway, warm):
    with gateway.connect("app_us") as connection, Watch(gateway) as watch:
        length = connection.execute("select length(%s::text)", ("z" * 50_000_000,)).fetchone()[0]
    assert length == 50_000_000
    assert watch.grown < watch.limit, f"{watch.grown} bytes more"


@pytest.mark.parametrize("actor", ["app_us", "us_analyst"])
def test_a_client_that_does_not_read_holds_back_the_server_not_the_others(gateway, warm, actor):
    with gateway.login(actor) as deaf, Watch(gateway) as watch:
        deaf.send("Q", b"select lpad('', 1000, 'd') from generate_series(1, 1000000)\0")
        time.sleep(1)
        with gateway.connect(actor) as other:
            started = time.monotonic()
            for _ in range(50):
                other.execute("select 1").fetchone()
            assert time.monotonic() - started < 10
        kinds = set()
        for _ in range(10_000):  # it reads on, and gets its rows
            kinds.add(deaf.receive()[0])
        assert kinds == {"T", "D"}
    assert watch.grown < watch.limit, f"{watch.grown} bytes more"


def test_a_client_that_never_stops_sending_is_held_back(gateway, warm):
    """A pipeline without a read: the answers fill up, so the gateway stops reading statements."""
    with gateway.login("app_us") as wire, Watch(gateway) as watch:
        wire.socket.settimeout(3)
        block = b""
        for _ in range(200):
            sql = b"\0select lpad('', 10000, 'p')\0\0\0"
            block += b"P" + struct.pack("!I", len(sql) + 4) + sql
            block += b"B" + struct.pack("!I", 12) + b"\0\0\0\0\0\0\0\0"
            block += b"E" + struct.pack("!I", 9) + b"\0\0\0\0\0"
        with pytest.raises(TimeoutError):
            for _ in range(2000):
                wire.send_bytes(block)
    assert watch.grown < watch.limit, f"{watch.grown} bytes more"


def test_a_client_that_dies_in_the_middle_frees_its_server(gateway, pair, warm):
    busy = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            " AND query LIKE '%%dying%%' AND pid <> pg_backend_pid()")
    for actor, server in (("app_us", pair.primary), ("us_analyst", pair.standby)):
        wire = gateway.login(actor)
        wire.send("Q", b"select lpad('', 1000, 'dying') from generate_series(1, 100000000)\0")
        wire.receive()
        wait_until(lambda server=server: server.value(busy) == 1, "the statement does not run")
        wire.close()
        wait_until(lambda server=server: server.value(busy) == 0,
                   "the statement of a dead client still runs")


def test_a_half_closed_client_gets_its_answer(gateway):
    """The client says that it will send no more, and still reads."""
    wire = Wire(gateway.host, gateway.port)
    wire.login("app_us", "app_us-enters", "us-virginia")
    wire.send("Q", b"select 1\0")
    wire.socket.shutdown(1)
    kinds = []
    try:
        while True:
            kinds.append(wire.receive()[0])
    except Exception:  # noqa: BLE001 - whatever ends the connection
        pass
    assert kinds in ([], ["T", "D", "C", "Z"]), "half an answer"


def test_many_small_statements_leave_nothing_behind(gateway, warm):
    def some(count):
        with gateway.connect("us_analyst") as connection:
            for i in range(count):
                try:
                    connection.execute("select 1/%s", (i % 7,)).fetchall()
                except psycopg.errors.DivisionByZero:
                    pass
    some(50)
    with Watch(gateway) as watch:
        some(500)
    assert watch.grown < watch.limit / 12, f"{watch.grown} bytes more"
