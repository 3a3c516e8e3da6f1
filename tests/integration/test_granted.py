"""Room granted in the database itself, without a gateway in front: the grant's role straight at primary
and standby. What is seen, what is said about it, when it ends, and what it cannot be talked into."""

import os
import socket
import threading
import time

import psycopg
import pytest

from gateway import Gateway
from region import make_region
from waiting import wait_until

SUBJECT, OTHER, CHILD = 42, 43, 47  # of tests/support/sample.sql; 47 is twelve years old
HANDLES = {42: "秘密_42", 43: "тайна_43", 47: "тайна_47"}
ALL = ["identity", "contact", "location", "activity", "graph", "content", "payment"]
TABLES = ["users", "videos", "watch_events", "searches", "locations", "messages", "purchases"]


class Grants:
    """What control does, by the login that control has; opened they are by an administrator."""

    def __init__(self, pair, build):
        self.pair, self.build = pair, build
        self.last = 0
        self.token = self.call("SELECT ringfence.reveal_token_read()")

    def control(self, server=None):
        server = server or self.pair.primary
        return psycopg.connect(server.dsn().replace("user=postgres", "user=rf_control"),
                               autocommit=True)

    def call(self, sql, *values, server=None):
        with self.control(server) as connection:
            return connection.execute(sql, values or None).fetchone()[0]

    def administrator(self):
        return psycopg.connect(self.pair.primary.dsn(), autocommit=True)

    def call_open(self, sql, *values):
        with self.administrator() as connection:
            return connection.execute(sql, values or None).fetchone()[0]

    def open(self, subjects, classes, seconds=600):
        self.last += 1
        role = self.call_open(
            "SELECT ringfence.grant_open(%s, 'us_analyst', 'support_ticket',"
            " clock_timestamp() + %s * interval '1 second', %s::text[], %s::text[])",
            self.last, seconds, [str(s) for s in subjects], classes)
        self.pair.wait_for_standby()
        return Grant(self, self.last, role)

    def reap(self):
        while self.call("SELECT ringfence.grant_reap()") > 0:
            pass
        self.pair.wait_for_standby()


class Grant:
    def __init__(self, grants, number, role):
        self.grants, self.number, self.role = grants, number, role

    def connect(self, server=None, **options):
        server = server or self.grants.pair.standby
        connection = Session.connect(server.dsn().replace("user=postgres", f"user={self.role}"),
                                     **{"autocommit": True, "connect_timeout": 5, **options})
        connection.said = []
        connection.add_notice_handler(
            lambda d: connection.said.append((d.severity, d.sqlstate, d.message_primary)))
        connection.token = self.grants.token
        return connection

    def close(self):
        return self.grants.call("SELECT ringfence.grant_close(%s)", self.number)

    def signal(self, server):
        return self.grants.call("SELECT ringfence.grant_signal(%s)", self.number, server=server)

    def end(self):
        self.close()
        self.grants.pair.wait_for_standby()
        for server in (self.grants.pair.primary, self.grants.pair.standby):
            wait_until(lambda server=server: self.signal(server) == 0, "sessions do not end")


class Session(psycopg.Connection):
    def rows(self, sql, *values, **options):
        return self.execute(sql, values or None, **options).fetchall()

    def value(self, sql, *values):
        return self.rows(sql, *values)[0][0]

    def marks(self):
        """What was said since the last call: {(class, subject)}; every message is well-formed."""
        said, self.said[:] = list(self.said), []
        assert all(severity == "INFO" and state == "RF001" and text.split(" ", 2)[0] == self.token
                   for severity, state, text in said), said
        return {tuple(text.split(" ", 2)[1:]) for _, _, text in said}


@pytest.fixture(scope="module")
def region(scratch, authority, build):
    made = make_region(os.path.join(scratch, "granted"), authority, build, "full")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def grants(region, build):
    return Grants(region, build)


@pytest.fixture
def grant(grants):
    """grant(subjects, classes, seconds=600): ended and gone after the test."""
    made = []

    def make(subjects, classes, seconds=600):
        made.append(grants.open(subjects, classes, seconds))
        return made[-1]

    yield make
    for one in made:
        one.end()
    grants.reap()
    left = grants.pair.primary.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rf\\_g\\_%'")
    assert left == 0, "every role goes with its grant"


@pytest.fixture
def whole(grant):
    """A session on the standby that sees all there is about SUBJECT."""
    with grant([SUBJECT], ALL).connect() as connection:
        yield connection


# --- who is there, and what of him ----------------------------------------------------------------


@pytest.mark.parametrize("where", ["primary", "standby"])
def test_the_named_person_is_clear_and_nobody_else_is_there(grant, region, where):
    with grant([SUBJECT], ALL).connect(getattr(region, where)) as session:
        columns = "id, handle, email, phone, birthdate, residency, created_at"
        assert session.rows(f"SELECT {columns} FROM users") \
            == region.primary.rows(f"SELECT {columns} FROM app.users WHERE id = {SUBJECT}")
        for table in ("videos", "watch_events", "searches", "locations", "purchases"):
            assert session.rows(f"SELECT * FROM {table} ORDER BY id") == region.primary.rows(
                f"SELECT * FROM app.{table} WHERE user_id = {SUBJECT} ORDER BY id"), table
        for table in TABLES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(f"SELECT 1 FROM app.{table}")


def test_what_the_grant_does_not_name_is_masked(grant, region):
    with grant([SUBJECT], ["contact"]).connect() as session:
        number, handle, email, phone, birthdate, created = session.rows(
            "SELECT id, handle, email, phone, birthdate, created_at FROM users")[0]
        assert (email, phone) == (f"person{SUBJECT}@mail.example", "+12025550042")
        assert number != SUBJECT and handle.startswith("p_")
        assert (birthdate.month, birthdate.day) == (1, 1) and created.hour == 0
        assert session.marks() == {("contact", str(SUBJECT))}
        assert {row for row in session.rows("SELECT lat, lon, ip FROM locations")} \
            == {(None, None, None)}
        assert session.rows("SELECT q FROM searches")[0] == (None,)
        assert session.marks() == set()
        # the person's pseudonym is one within the grant: joins hold
        assert session.value("SELECT count(*) FROM users u JOIN locations l ON l.user_id = u.id") \
            == region.primary.value(f"SELECT count(*) FROM app.locations WHERE user_id = {SUBJECT}")


def test_a_pseudonym_of_a_grant_leads_neither_to_room_masked_nor_to_another_grant(grant, region):
    seen = []
    for one in (grant([SUBJECT], ["contact"]), grant([SUBJECT], ["contact"])):
        with one.connect() as session:
            seen.append(session.value("SELECT id FROM users"))
    masked = {row[0] for row in region.primary.rows("SELECT id FROM masked.users")}
    assert seen[0] != seen[1] and not masked & set(seen)


def test_another_grant_sees_nothing_of_it(grant):
    first, second = grant([SUBJECT], ALL), grant([OTHER], ALL)
    with first.connect() as one, second.connect() as two:
        assert one.rows("SELECT handle FROM users") == [(HANDLES[SUBJECT],)]
        assert two.rows("SELECT handle FROM users") == [(HANDLES[OTHER],)]
        assert two.rows("SELECT 1 FROM users WHERE id = %s", SUBJECT) == []
        for statement in (f"SET SESSION AUTHORIZATION {first.role}", f"SET ROLE {first.role}",
                          "SET ROLE rf_view", "SET ROLE rf_masked"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                two.execute(statement)
        two.execute("SET ROLE rf_granted")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            two.execute("SELECT handle FROM users")  # the group may not even call functions


def test_a_child_is_there_only_with_class_child(grant):
    with grant([CHILD], ALL).connect() as session:
        for table in TABLES:
            assert session.rows(f"SELECT * FROM {table}") == [], table
    with grant([CHILD], [*ALL, "child"]).connect() as session:
        assert session.rows("SELECT handle FROM users") == [(HANDLES[CHILD],)]
        assert session.value("SELECT count(*) FROM watch_events") > 0
        assert session.value("SELECT count(*) FROM purchases") > 0


def test_rows_about_two_are_clear_only_where_both_are_named(grant, region):
    sender, recipient, body = region.primary.rows(
        "SELECT sender_id, recipient_id, body FROM app.messages WHERE sender_id % 20 <> 7"
        " AND recipient_id % 20 <> 7 AND sender_id <> recipient_id ORDER BY id LIMIT 1")[0]
    query = "SELECT sender_id, recipient_id, body FROM messages"
    with grant([sender], ALL).connect() as session:
        rows = session.rows(query)
        assert rows and all(text is None for _, _, text in rows)
        assert all(sender in row[:2] for row in rows), "every row is about the named person"
        people = {key for row in rows for key in row[:2]}
        assert len(people) > 1 and people & set(range(1, 201)) == {sender}, "strangers stay unknown"
        assert all(row[0].hour == 0 for row in session.rows("SELECT at FROM messages"))
        assert session.rows(f"{query} WHERE body = %s", body) == []
    with grant([recipient], ["content"]).connect() as session:
        assert {key for row in session.rows(query) for key in row[:2] if key} \
            & set(range(1, 201)) == set()
    with grant([sender, recipient], ALL).connect() as session:
        assert (sender, recipient, body) in session.rows(query)
        assert {("content", str(sender)), ("content", str(recipient))} <= session.marks()
        for one, two, text in session.rows(query):
            assert (text is not None) == ({one, two} <= {sender, recipient})


def test_a_message_with_a_child_who_is_not_named_is_absent(grant, region):
    sender = region.primary.value(
        "SELECT sender_id FROM app.messages WHERE recipient_id % 20 = 7 AND sender_id % 20 <> 7"
        " ORDER BY id LIMIT 1")
    real = region.primary.value(
        "SELECT count(*) FROM app.messages WHERE %s IN (sender_id, recipient_id)"
        " AND sender_id %% 20 <> 7 AND recipient_id %% 20 <> 7", sender)
    with grant([sender], [*ALL, "child"]).connect() as session:
        assert session.value("SELECT count(*) FROM messages") == real


def test_numbers_and_tables_without_persons_are_as_in_room_masked(whole, region):
    assert whole.rows("SELECT * FROM stats.users_by_month ORDER BY 1, 2") \
        == region.primary.rows("SELECT * FROM stats.users_by_month ORDER BY 1, 2")
    assert whole.value("SELECT count(*) FROM scratch") \
        == region.primary.value("SELECT count(*) FROM app.scratch")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        whole.execute("SELECT count(*) FROM masked.users")


# --- what is said about it ------------------------------------------------------------------------


MARKED = [
    ("SELECT email FROM users", {"contact"}),
    ("SELECT email FROM users LIMIT 1", {"contact"}),
    ("SELECT 1 FROM users WHERE email LIKE 'p%'", {"contact"}),
    ("SELECT count(*) FROM users WHERE email LIKE 'x%'", {"contact"}),
    ("SELECT 1 FROM users ORDER BY email", {"contact"}),
    ("SELECT count(email) FROM users", {"contact"}),
    ("SELECT max(length(email)) FROM users GROUP BY handle", {"contact", "identity"}),
    ("SELECT users FROM users", {"contact", "identity", "activity"}),
    ("SELECT DISTINCT lat FROM locations", {"location"}),
    ("SELECT CASE WHEN q LIKE 's%' THEN 1 END FROM searches", {"content"}),
    ("WITH x AS MATERIALIZED (SELECT email FROM users) SELECT 1 FROM x", {"contact"}),
    ("SELECT (SELECT email FROM users)", {"contact"}),
    ("SELECT rank() OVER (ORDER BY email) FROM users", {"contact"}),
    ("SELECT u.handle, w.seconds FROM users u JOIN watch_events w ON w.user_id = u.id",
     {"identity", "activity"}),
    ("COPY (SELECT email FROM users) TO STDOUT", {"contact"}),
    ("SELECT 1 FROM users", set()),
    ("SELECT count(*) FROM users", set()),
    ("SELECT residency FROM users", set()),
    ("SELECT email FROM users LIMIT 0", set()),
    ("SELECT 1 FROM messages", set()),
]


@pytest.mark.parametrize("statement,classes", MARKED, ids=[s for s, _ in MARKED])
def test_what_a_statement_looks_at_is_said(whole, statement, classes):
    for setting in ("error", "notice"):
        whole.execute(f"SET client_min_messages = {setting}")
        if statement.startswith("COPY"):
            with whole.cursor().copy(statement) as copy:
                assert list(copy)
        else:
            whole.execute(statement)
        assert whole.marks() == {(name, str(SUBJECT)) for name in classes}


def test_it_is_said_once_for_many_rows(whole):
    assert len(whole.rows("SELECT user_id, at, seconds FROM watch_events")) == 20
    assert len(whole.said) == 2
    assert whole.marks() == {("identity", str(SUBJECT)), ("activity", str(SUBJECT))}


def test_nobody_is_marked_whom_a_limit_kept_out(grant):
    with grant([SUBJECT, OTHER, 44, 45], ALL).connect() as session:
        # from the grant's subjects to the rows; a plan that goes the other way marks all of them at once
        session.execute("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;"
                        "SET enable_material = off")
        (handle,), = session.rows("SELECT handle FROM users LIMIT 1")
        assert len(session.said) == 1
        (_, subject), = session.marks()
        assert session.value("SELECT id FROM users WHERE handle = %s", handle) == int(subject)


@pytest.mark.parametrize("statement", [
    "SELECT email::int FROM users", "SELECT 1 FROM users WHERE (handle || email)::int = 1",
    "SELECT 1 / (length(phone) - length(phone)) FROM users"])
def test_an_error_that_tells_a_value_comes_after_what_is_said(whole, statement):
    order = []
    whole.add_notice_handler(lambda d: order.append("mark"))
    with pytest.raises(psycopg.Error) as caught:
        whole.execute(statement)
    assert caught.value.sqlstate in ("22P02", "22012")
    assert order and ("contact", str(SUBJECT)) in whole.marks()


def test_the_mark_is_on_the_wire_before_the_row(grant, region):
    """The bytes themselves: NoticeResponse, then DataRow, in one statement."""
    one = grant([SUBJECT], ["contact"])
    with Bytes(f"{region.standby.sockets}/.s.PGSQL.{region.standby.port}") as wire:
        kinds = wire.kinds(one.role, b"SELECT email FROM users")
    assert kinds.index(b"N") < kinds.index(b"D")


class Bytes:
    """Startup without a password, one simple query, and the types of the messages that come."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.left = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def message(self):
        while len(self.left) < 5 or len(self.left) < 1 + int.from_bytes(self.left[1:5], "big"):
            more = self.socket.recv(65536)
            assert more, "the server hung up"
            self.left += more
        size = 1 + int.from_bytes(self.left[1:5], "big")
        kind, self.left = self.left[:1], self.left[size:]
        return kind

    def kinds(self, role, query):
        start = b"\0\3\0\0user\0" + role.encode() + b"\0database\0app\0\0"
        self.socket.sendall((len(start) + 4).to_bytes(4, "big") + start)
        while self.message() != b"Z":
            pass
        self.socket.sendall(b"Q" + (len(query) + 5).to_bytes(4, "big") + query + b"\0")
        seen = []
        while not seen or seen[-1] != b"Z":
            seen.append(self.message())
        return seen


def test_subjects_that_are_no_plain_word_are_percent_encoded(region):
    """A key with spaces, signs and letters of all scripts: text keys are in other applications."""
    with region.primary.connect() as owner:
        source = owner.execute(
            "SELECT prosrc FROM pg_proc WHERE proname = 'grant_open'").fetchone()[0]
        start = source.index("CASE WHEN u.key ~")
        label = source[start:source.index(", ", source.index(") b) END", start))]
        for key in ("42", "a b", "ä%b", "秘密\n1", "~!", "a-b_C"):
            got = owner.execute(f"SELECT {label} FROM (SELECT '{key}' AS key) u").fetchone()
            expected = "".join(chr(b) if 0x21 <= b <= 0x7e and b != 0x25 else f"%{b:02X}"
                               for b in key.encode())
            assert got[0] == expected


# --- what it cannot be talked into ----------------------------------------------------------------


@pytest.mark.parametrize("statement", [
    "SELECT ringfence.reveal('x', 'contact', '1', 1)",
    "SELECT * FROM ringfence.grant_subject",
    'SELECT * FROM ringfence."grant"',
    "SELECT * FROM ringfence.reveal_token",
    "SELECT ringfence.reveal_token_read()",
    "SELECT ringfence.grant_close(1)",
    "SELECT ringfence.grants()",
    "SELECT * FROM ringfence.pseudonym_key",
    "DO $$ BEGIN RAISE INFO USING MESSAGE = 'x', ERRCODE = 'RF001'; END $$",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT pg_terminate_backend(1)",
    "SELECT set_config('search_path', 'app', false)",
])
def test_out_of_reach_under_a_grant(grant, region, statement):
    one = grant([SUBJECT], ALL)
    for server in (region.primary, region.standby):
        with one.connect(server, options="-c default_transaction_read_only=off") as session:
            with pytest.raises((psycopg.errors.InsufficientPrivilege,
                                psycopg.errors.ReadOnlySqlTransaction,
                                psycopg.errors.UndefinedFunction)):
                session.execute(statement)
            assert session.marks() == set()


def test_the_token_is_in_no_catalog_plan_or_error(whole, region):
    shown = []
    for statement in (
            "SELECT pg_get_viewdef('granted.users'::regclass)",
            "SELECT definition FROM pg_views WHERE schemaname = 'granted'",
            "SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%reveal%'",
            "SELECT * FROM pg_stats", "SELECT * FROM pg_stat_activity", "SELECT * FROM pg_settings",
            "EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM users",
            "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM users WHERE email = 'x'",
            "EXPLAIN (VERBOSE, SETTINGS, FORMAT JSON) SELECT * FROM messages",
            "SELECT users::text FROM users", "SELECT users::text::int FROM users",
            "SELECT * FROM users WHERE users IS NULL", "SELECT * FROM pg_roles",
            "SELECT * FROM pg_prepared_statements", "SELECT nope FROM users"):
        try:
            shown.append(str(whole.rows(statement)))
        except psycopg.Error as error:
            shown.append(str(error) + str(error.diag.message_detail) + str(error.diag.context))
    token = whole.token
    secret = region.primary.value("SELECT encode(secret, 'hex') FROM ringfence.grant_subject LIMIT 1")
    assert len(token) == 32 and token not in "".join(shown) and secret not in "".join(shown)


def test_what_a_person_adds_never_meets_a_row_of_another(whole, region):
    """A condition that fails tells of whom it met: among 200 people it meets one."""
    for column in ("residency", "handle", "id::text", "created_at::text"):
        with pytest.raises(psycopg.Error) as caught:
            whole.execute(f"SELECT 1 FROM users WHERE ({column} || '!')::int = 1")
        assert caught.value.sqlstate == "22P02"
        text = str(caught.value)
        others = region.primary.rows(f"SELECT handle FROM app.users WHERE id <> {SUBJECT}")
        assert not any(handle in text for (handle,) in others)
    assert whole.value("SELECT count(*) FROM users WHERE residency IS NOT NULL") == 1


def test_rows_are_found_by_the_tables_own_index(grant, region):
    one = grant([SUBJECT], ALL)
    with region.primary.connect() as owner:
        owner.execute(f"SET SESSION AUTHORIZATION {one.role}")
        owner.execute("SET enable_seqscan = off")  # 200 people are soon read: can it be done at all?
        for query, big in (
                ("SELECT * FROM granted.users", "users"),
                ("SELECT handle FROM granted.users WHERE id = 42", "users"),
                ("SELECT * FROM granted.watch_events", "watch_events"),
                ("SELECT seconds FROM granted.watch_events WHERE user_id = 42", "watch_events"),
                ("SELECT body FROM granted.messages", "messages"),
                ("SELECT * FROM granted.users u JOIN granted.watch_events w ON w.user_id = u.id",
                 "watch_events")):
            for mode in ("force_custom_plan", "force_generic_plan"):
                owner.execute(f"SET plan_cache_mode = {mode}")
                owner.execute(f"PREPARE p AS {query}")
                plan = "\n".join(row[0] for row in owner.execute("EXPLAIN (COSTS OFF) EXECUTE p"))
                assert f"Seq Scan on {big} t" not in plan, plan
                assert f"using {big}_" in plan or f"Bitmap Index Scan on {big}_" in plan, plan
                owner.execute("DEALLOCATE p")


# --- the end --------------------------------------------------------------------------------------


def test_after_its_time_there_is_nothing_whoever_forgot_to_close_it(grant):
    with grant([SUBJECT], ALL, seconds=1.5).connect() as session, session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert session.value("SELECT count(*) FROM users") == 1
        session.execute("PREPARE p AS SELECT handle FROM users")
        time.sleep(1.6)
        for statement in ("SELECT handle FROM users", "EXECUTE p", "SELECT 1 FROM messages",
                          "SELECT 1 FROM locations"):
            session.marks()
            assert session.rows(statement) == []
            assert session.marks() == set()


@pytest.mark.parametrize("where", ["primary", "standby"])
def test_closing_ends_what_is_open_within_a_second(grant, region, where):
    """Open transactions with old snapshots, cursors, prepared statements, running statements."""
    server = getattr(region, where)
    one = grant([SUBJECT], ALL)
    old, cursor, running = (one.connect(server, autocommit=False) for _ in range(3))
    old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    assert old.rows("SELECT handle FROM users", prepare=True)
    cursor.execute("DECLARE c CURSOR FOR SELECT at, generate_series(1, 100000) FROM watch_events")
    assert cursor.rows("FETCH 1 FROM c")
    failed = []

    def run():
        try:
            running.execute("SELECT count(*) FROM watch_events, generate_series(1, 400000000)")
        except psycopg.Error as error:
            failed.append((time.monotonic(), error))

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    assert one.close() is True
    began = time.monotonic()
    region.wait_for_standby()
    assert old.rows("SELECT handle FROM users", prepare=True), "only the signal ends an old snapshot"
    assert one.signal(server) == 3
    wait_until(lambda: one.signal(server) == 0, "sessions go on", timeout=5, interval=0.02)
    assert time.monotonic() - began < 1
    thread.join(5)
    assert failed and failed[0][0] - began < 1
    for connection in (old, cursor):
        with pytest.raises(psycopg.OperationalError):
            connection.execute("FETCH 1 FROM c")
    with pytest.raises(psycopg.OperationalError):
        one.connect(server)
    assert one.close() is False, "once"


def test_a_session_whose_role_is_dropped_can_still_be_ended(grant, grants, region):
    one = grant([SUBJECT], ALL)
    with one.connect(region.standby) as session:
        assert session.value("SELECT count(*) FROM users") == 1
        one.close()
        grants.reap()
        assert region.standby.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", one.role) == 0
        assert one.signal(region.standby) == 1
        wait_until(lambda: one.signal(region.standby) == 0, "the session goes on")
        with pytest.raises(psycopg.Error):
            session.execute("SELECT 1")


def test_reaping_closes_what_has_ended_and_drops_few_roles_at_a_time(grants, region):
    opened = [grants.open([SUBJECT], ["contact"], seconds=1) for _ in range(25)]
    longer = grants.open([SUBJECT], ["contact"])
    time.sleep(1.1)
    steps = []
    while not steps or steps[-1] > 0:
        steps.append(grants.call("SELECT ringfence.grant_reap()"))
    assert steps == [20, 5, 20, 5, 0]
    with grants.control() as control:
        left = control.execute("SELECT id, closed, subjects FROM ringfence.grants()").fetchall()
    assert left == [(longer.number, False, 1)]
    assert region.primary.value("SELECT count(*) FROM ringfence.grant_subject") == 1
    assert opened[0].close() is False
    longer.end()
    grants.reap()


def test_a_role_with_a_session_is_not_dropped(grant, grants, region):
    one = grant([SUBJECT], ALL)
    with one.connect(region.primary) as session:
        one.close()
        assert grants.call("SELECT ringfence.grant_reap()") == 0
        assert session.rows("SELECT 1")
    wait_until(lambda: one.signal(region.primary) == 0, "the session goes on")
    grants.reap()
    assert region.primary.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", one.role) == 0


# --- opening --------------------------------------------------------------------------------------


GOOD = {"id": 900000, "actor": "us_analyst", "purpose": "support_ticket", "ends": "1 hour",
        "subjects": ["42"], "classes": ["contact"]}
BAD = [
    ({"id": None}, "22023"), ({"id": 0}, "22023"), ({"id": -1}, "22023"),
    ({"actor": None}, "22023"), ({"actor": ""}, "22023"), ({"actor": "x" * 300}, "22023"),
    ({"purpose": None}, "22023"), ({"purpose": ""}, "22023"),
    ({"ends": None}, "22023"), ({"ends": "-1 second"}, "22023"), ({"ends": "0"}, "22023"),
    ({"ends": "32 days"}, "22023"),
    ({"subjects": None}, "22023"), ({"subjects": []}, "22023"),
    ({"subjects": [None]}, "02000"), ({"subjects": ["42", None]}, "02000"),
    ({"subjects": ["4711"]}, "02000"), ({"subjects": ["42", "4711"]}, "02000"),
    ({"subjects": ["not a number"]}, "02000"), ({"subjects": ["99999999999999999999"]}, "02000"),
    ({"subjects": [str(i) for i in range(100001)]}, "22023"),
    ({"classes": None}, "22023"), ({"classes": []}, "22023"), ({"classes": [None]}, "22023"),
    ({"classes": ["contact", "none"]}, "22023"), ({"classes": ["everything"]}, "22023"),
    ({"classes": ["contact", None]}, "22023"), ({"classes": [""]}, "22023"),
]


OPEN = ("SELECT ringfence.grant_open(%s::bigint, %s::text, %s::text, now() + %s::interval,"
        " %s::text[], %s::text[])")


def open_with(grants, **arguments):
    return grants.call_open(OPEN, *{**GOOD, **arguments}.values())


@pytest.mark.parametrize("arguments,sqlstate", BAD)
def test_bad_arguments_open_nothing(grants, region, arguments, sqlstate):
    with pytest.raises(psycopg.Error) as caught:
        open_with(grants, **arguments)
    assert caught.value.sqlstate == sqlstate, caught.value
    assert "4711" not in str(caught.value) and "not a number" not in str(caught.value)
    assert region.primary.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rf\\_g\\_%'") == 0
    assert region.primary.value('SELECT count(*) FROM ringfence."grant" WHERE id = 900000') == 0
    assert region.primary.value("SELECT count(*) FROM ringfence.grant_subject") == 0


def test_infinity_is_no_end(grants):
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        grants.call_open("SELECT ringfence.grant_open(900001, 'a', 'b', 'infinity', '{42}', '{contact}')")


def test_numbers_and_names_never_come_back(grants, grant):
    one = grant([SUBJECT, SUBJECT], ["contact", "contact"])
    for state in ("open", "closed", "gone"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            open_with(grants, id=one.number)
        if state == "open":
            one.end()
        else:
            grants.reap()
    two = grant([SUBJECT], ["contact"])
    assert two.role != one.role and len(two.role) == len("rf_g_") + 16
    with pytest.raises(psycopg.errors.CheckViolation):
        grants.pair.primary.rows(
            'UPDATE ringfence."grant" SET role = \'rf_control\' WHERE id = %s', two.number)


def test_the_same_number_at_the_same_time_opens_once(grants, region):
    outcomes = []

    def attempt():
        try:
            outcomes.append(open_with(grants, id=777777))
        except psycopg.errors.UniqueViolation:
            outcomes.append(None)

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([role for role in outcomes if role]) == 1
    assert region.primary.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rf\\_g\\_%'") == 1
    Grant(grants, 777777, next(role for role in outcomes if role)).end()
    grants.reap()


class Follower:
    """What control does: the number first, then what has changed after the one before."""

    def __init__(self, grants, server):
        self.connection = grants.control(server)
        self.number = self.read()
        self.open = {row[0] for row in self.connection.execute(
            "SELECT id FROM ringfence.grants() WHERE NOT closed")}

    def read(self):
        return self.connection.execute("SELECT ringfence.grant_counter_read()").fetchone()[0]

    def look(self):
        number = self.read()
        for row in self.connection.execute(
                "SELECT id, closed FROM ringfence.grant_changes(%s)", (self.number,)).fetchall():
            (self.open.discard if row[1] else self.open.add)(row[0])
        self.number = number
        return self.open


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_no_change_is_missed_that_was_begun_early_and_committed_late(grants, region, end):
    followers = [Follower(grants, server) for server in (region.primary, region.standby)]
    late = 800100 if end == "COMMIT" else 800200
    with grants.administrator() as slow:
        slow.execute("BEGIN")
        slow.execute(OPEN, list({**GOOD, "id": late}.values()))
        quick = threading.Thread(target=lambda: open_with(grants, id=late + 1))
        quick.start()
        for _ in range(5):
            for follower in followers:
                assert not {late, late + 1} & follower.look()
            time.sleep(0.05)
        assert quick.is_alive(), "two changes have the same place in the order"
        slow.execute(end)
        quick.join()
    region.wait_for_standby()
    wanted = {late, late + 1} if end == "COMMIT" else {late + 1}
    for follower in followers:
        assert {late, late + 1} & follower.look() == wanted
    for number in wanted:
        assert grants.call("SELECT ringfence.grant_close(%s)", number)
    region.wait_for_standby()
    for follower in followers:
        assert not wanted & follower.look()
    grants.reap()


def test_following_the_changes_ends_where_the_list_does(grants, region):
    followers = [Follower(grants, server) for server in (region.primary, region.standby)]
    done = threading.Event()

    def change(first):
        for number in range(first, first + 12):
            open_with(grants, id=number)
            if number % 2:
                grants.call("SELECT ringfence.grant_close(%s)", number)
            grants.call("SELECT ringfence.grant_reap()") if number % 5 == 0 else None

    def follow(follower):
        while not done.is_set():
            follower.look()

    threads = [threading.Thread(target=change, args=(810000 + 100 * i,)) for i in range(3)]
    watching = [threading.Thread(target=follow, args=(follower,)) for follower in followers]
    for thread in threads + watching:
        thread.start()
    for thread in threads:
        thread.join()
    region.wait_for_standby()
    done.set()
    for thread in watching:
        thread.join()
    there = {row[0] for row in region.primary.rows(
        'SELECT id FROM ringfence."grant" WHERE closed IS NULL')}
    assert len([number for number in there if number >= 810000]) == 18
    for follower in followers:
        assert follower.look() == there
    for number in there:
        grants.call("SELECT ringfence.grant_close(%s)", number)
    grants.reap()


def test_a_subject_is_written_as_its_own_row_writes_it(grant, region):
    grant(["042", " 42", "+42"], ["contact"])
    assert region.primary.rows("SELECT subject, label FROM ringfence.grant_subject") == [("42", "42")]


def test_many_subjects_and_figures_about_them(grant, region):
    one = grant(range(1, 201), ALL)
    assert region.primary.value(
        "SELECT reltuples FROM pg_class WHERE oid = 'ringfence.grant_subject'::regclass") == 200
    with one.connect() as session:
        assert session.value("SELECT count(*) FROM users") == 190, "children stay away"
        assert session.value("SELECT count(DISTINCT user_id) FROM watch_events") > 100
        assert session.value("SELECT count(body) FROM messages") == region.primary.value(
            "SELECT count(*) FROM app.messages WHERE sender_id % 20 <> 7 AND recipient_id % 20 <> 7")


# --- what control can do with it ------------------------------------------------------------------


@pytest.mark.parametrize("statement", [
    "CREATE ROLE x", "ALTER ROLE app_us NOLOGIN", "DROP ROLE rf_person", "GRANT rf_view TO rf_control",
    "SET ROLE rf_admin", "SELECT * FROM ringfence.grant_subject", 'SELECT * FROM ringfence."grant"',
    'INSERT INTO ringfence."grant" VALUES (1, \'a\', \'app_us\', 10, \'p\', now(), now(), NULL)',
    "UPDATE ringfence.\"grant\" SET role = 'app_us'", "SELECT token FROM ringfence.reveal_token",
    "SELECT * FROM app.users", "SELECT * FROM granted.users", "SELECT pg_terminate_backend(1)",
    "SELECT ringfence.grant_analyze()", "SELECT ringfence.reveal('a', 'b', 'c', 1)",
    "SELECT ringfence.grant_open(1, 'us_analyst', 'support_ticket', now() + '1 hour', '{42}', '{contact}')",
    "SELECT ringfence.request_open(1, 'leaf')", "SELECT * FROM ringfence.request",
    "ALTER FUNCTION ringfence.grant_close(bigint) OWNER TO rf_control"])
def test_control_has_nothing_but_the_functions(grants, statement):
    with grants.control() as control, pytest.raises(psycopg.errors.InsufficientPrivilege):
        control.execute(statement)


def test_functions_end_only_the_roles_of_grants(grants, region):
    """Whatever number is given: no other role, no other session."""
    before = region.primary.rows("SELECT rolname, rolcanlogin FROM pg_roles ORDER BY 1")
    with psycopg.connect(region.primary.dsn().replace("user=postgres", "user=app_us")) as service:
        for number in (None, 0, -1, 2**62, 424242):
            assert grants.call("SELECT ringfence.grant_close(%s::bigint)", number) is False
            assert grants.call("SELECT ringfence.grant_signal(%s::bigint)", number) == 0
        assert service.execute("SELECT 1").fetchone() == (1,)
    assert region.primary.rows("SELECT rolname, rolcanlogin FROM pg_roles ORDER BY 1") == before


def test_the_list_says_what_is_open_here_and_on_the_standby(grant, grants, region):
    one = grant([SUBJECT, OTHER], ["contact", "identity"])
    for server in (region.primary, region.standby):
        with grants.control(server) as control:
            row, = control.execute("SELECT id, actor, role, purpose, closed, subjects, classes"
                                   " FROM ringfence.grants()").fetchall()
        assert row == (one.number, "us_analyst", one.role, "support_ticket", False, 2, 4 | 8)
        assert grants.call("SELECT ringfence.reveal_token_read()", server=server) == grants.token


# --- apply and self-check -------------------------------------------------------------------------


@pytest.fixture
def command(scratch, authority, build, region):
    """ringfence COMMAND on this region, with a policy that can be changed."""
    def run(*arguments, policy=None):
        folder = os.path.join(scratch, f"granted-{time.monotonic_ns()}")
        gateway = Gateway(folder, region, authority, build, "full", policy=policy)
        return gateway.command(*arguments, "--dsn", region.primary.dsn())
    return run


def test_grants_are_no_drift_and_survive_an_apply(grant, command):
    with grant([SUBJECT], ALL).connect() as session:
        assert session.value("SELECT count(*) FROM users") == 1
        done = command("apply")
        assert done.returncode == 0 and "nothing to change" in done.stdout, done.stdout + done.stderr
        done = command("plan", "--check")
        assert done.returncode == 0, done.stdout + done.stderr

        def without_phone(policy):
            del policy["tables"]["app.users"]["columns"]["phone"]

        done = command("apply", policy=without_phone)
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: "phone" not in [c.name for c in session.execute(
            "SELECT * FROM users").description], "the view is the old one")
        assert session.value("SELECT handle FROM users") == HANDLES[SUBJECT]
        assert command("apply").returncode == 0
    assert command("apply").stdout.count("nothing to change") == 1


FAULTS = [
    ("CREATE ROLE rf_g_0123456789abcdef LOGIN CONNECTION LIMIT 4",
     "DROP ROLE rf_g_0123456789abcdef", "no grant has this role"),
    ("ALTER ROLE {role} CREATEDB", "ALTER ROLE {role} NOCREATEDB", "with a power"),
    ("ALTER ROLE {role} CONNECTION LIMIT -1", "ALTER ROLE {role} CONNECTION LIMIT 4", "with a power"),
    ("GRANT rf_masked TO {role}", "REVOKE rf_masked FROM {role}", "group that is not"),
    ("GRANT {role} TO app_us", "REVOKE {role} FROM app_us", "in a grant's role"),
    ("GRANT rf_granted TO app_owner", "REVOKE rf_granted FROM app_owner", None),
    ("GRANT SELECT ON app.users TO {role}", "REVOKE SELECT ON app.users FROM {role}",
     "right of a person that no policy gives"),
    ("ALTER ROLE {role} SET search_path = app", "ALTER ROLE {role} SET search_path = granted",
     "setting of a grant's role"),
    ("GRANT SELECT ON ringfence.reveal_token TO app_owner",
     "REVOKE SELECT ON ringfence.reveal_token FROM app_owner", "right on grants"),
    ("GRANT SELECT ON granted.users TO app_owner", "REVOKE SELECT ON granted.users FROM app_owner",
     "right on grants"),
    ("GRANT EXECUTE ON FUNCTION ringfence.grant_close(bigint) TO app_owner",
     "REVOKE EXECUTE ON FUNCTION ringfence.grant_close(bigint) FROM app_owner", "right on grants"),
    ("GRANT rf_admin TO app_owner", "REVOKE rf_admin FROM app_owner", None),
    ("INSERT INTO ringfence.grant_subject SELECT 'rf_g_00000000000000ff', '42', 4,"
     " now() + interval '1 day', '42', token, '', '' FROM ringfence.reveal_token",
     "DELETE FROM ringfence.grant_subject WHERE role = 'rf_g_00000000000000ff'",
     "without an open grant"),
    ("UPDATE ringfence.grant_subject SET ends = ends + interval '1 day'",
     "UPDATE ringfence.grant_subject SET ends = ends - interval '1 day'", "beyond the end"),
    ("UPDATE ringfence.grant_subject SET token = repeat('0', 32)",
     "UPDATE ringfence.grant_subject SET token = (SELECT token FROM ringfence.reveal_token)",
     "not the present one"),
]


@pytest.mark.parametrize("plant,remove,said", FAULTS, ids=[f[0][:45] for f in FAULTS])
def test_the_self_check_finds(grant, region, command, plant, remove, said):
    one = grant([SUBJECT], ["contact"])
    region.primary.rows(plant.format(role=one.role))
    try:
        done = command("plan", "--check")
        found = done.stdout + done.stderr
        if said is None:
            assert done.returncode != 0, found
        else:
            done = command("apply")
            assert done.returncode == 1 and said in done.stderr, done.stdout + done.stderr
    finally:
        region.primary.rows(remove.format(role=one.role))



# --- other shapes ---------------------------------------------------------------------------------


OTHER_TABLES = """
CREATE TABLE app.comments(id bigint PRIMARY KEY, video_id bigint NOT NULL REFERENCES app.videos,
                          words text NOT NULL);
CREATE TABLE app.replies(id integer PRIMARY KEY, comment_id bigint NOT NULL REFERENCES app.comments,
                         user_id bigint NOT NULL REFERENCES app.users, words varchar(40) NOT NULL,
                         residency text NOT NULL);
INSERT INTO app.comments SELECT i, i, 'comment ' || i FROM generate_series(1, 400) i;
INSERT INTO app.replies SELECT i, 1 + (i * 7) % 400, 1 + (i * 13) % 200, 'reply ' || i, 'US'
FROM generate_series(1, 2000) i;
CREATE INDEX ON app.comments (video_id);
CREATE INDEX ON app.replies (comment_id);
CREATE INDEX ON app.replies (user_id);
ANALYZE app.comments, app.replies;
"""


def with_other_tables(policy):
    policy["tables"]["app.comments"] = {
        "subject": {"column": "video_id", "through": "app.videos"},
        "columns": {"id": "identity", "video_id": {"class": "identity", "domain": "video"},
                    "words": "content"}}
    policy["tables"]["app.replies"] = {
        "subjects": ["user_id", {"column": "comment_id", "through": "app.comments"}],
        "residency": "residency",
        "columns": {"id": "identity", "comment_id": "identity", "user_id": "identity",
                    "words": "content", "residency": "none"}}


def test_rows_that_lead_to_a_person_through_other_tables(grant, region, command):
    region.primary.rows(OTHER_TABLES)
    done = command("apply", policy=with_other_tables)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        one = grant([SUBJECT], ALL)
        mine = {row[0] for row in region.primary.rows(
            f"SELECT id FROM app.videos WHERE user_id = {SUBJECT}")}
        with one.connect() as session:
            assert {row for row in session.rows("SELECT video_id, words FROM comments")} \
                == {(video, f"comment {video}") for video in mine}
            assert session.marks() == {("identity", str(SUBJECT)), ("content", str(SUBJECT))}
            rows = session.rows("SELECT user_id, words FROM replies")
            both = region.primary.rows(
                "SELECT count(*), count(*) FILTER (WHERE r.user_id = v.user_id) FROM app.replies r"
                " JOIN app.videos v ON v.id = r.comment_id"
                f" WHERE {SUBJECT} IN (r.user_id, v.user_id) AND r.user_id % 20 <> 7"
                " AND v.user_id % 20 <> 7")[0]
            assert len(rows) == both[0] > 0
            assert len([words for _, words in rows if words is not None]) == both[1]
            assert {key for key, _ in rows} & set(range(1, 201)) <= {SUBJECT}
        everybody = grant(range(1, 201), [*ALL, "child"])
        with everybody.connect() as session:
            assert session.rows("SELECT id, user_id, words FROM replies ORDER BY 1") \
                == region.primary.rows("SELECT id, user_id, words FROM app.replies ORDER BY 1")
        with region.primary.connect() as owner:
            owner.execute(f"SET SESSION AUTHORIZATION {one.role}")
            plan = "\n".join(row[0] for row in owner.execute(
                "EXPLAIN (COSTS OFF) SELECT words FROM granted.replies"))
            assert "Seq Scan on replies" not in plan, plan
    finally:
        assert command("apply").returncode == 0
