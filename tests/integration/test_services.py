"""What a service may do: clear rows, from its places, to its region, and nothing elsewhere."""

import struct

import psycopg
import pytest

from waiting import wait_until
from wire import ServerError

SERVICE = "app_us"


@pytest.fixture
def app(gateway):
    with gateway.connect(SERVICE) as connection:
        yield connection


def test_reads_clear_rows_of_the_tables_by_their_names(app):
    row = app.execute("select handle, email from users where id = 1").fetchone()
    assert row == ("sécret_1", "person1@mail.example")


def test_writes_and_the_database_has_it(app, pair):
    app.execute("insert into scratch(name, value) values ('w', 'ü 日本')")
    assert pair.primary.value("SELECT value FROM app.scratch WHERE name = 'w'") == "ü 日本"
    app.execute("update scratch set value = 'v' where name = 'w'")
    assert app.execute("delete from scratch where name = 'w' returning value").fetchone() == ("v",)


def test_a_row_of_a_foreign_resident_is_refused_by_the_database(app):
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        app.execute("insert into users(handle, email, birthdate, residency)"
                    " values ('h', 'e', '1990-01-01', 'FR')")
    assert "residency" in caught.value.diag.constraint_name
    assert caught.value.diag.table_name == "users"


def test_transactions_roll_back(gateway):
    with gateway.connect(SERVICE, autocommit=False) as connection:
        connection.execute("insert into scratch(name) values ('rolled')")
        connection.rollback()
        assert connection.execute("select count(*) from scratch where name = 'rolled'") \
            .fetchone() == (0,)


@pytest.mark.parametrize("actor,host", [
    (SERVICE, "127.0.8.1"),    # its own key, used in the office in CN
    ("app_eu", "127.0.1.1")])  # may act from IE only
def test_is_refused_from_another_place(gateway, actor, host):
    with pytest.raises(ServerError) as caught:
        gateway.login(actor, host=host)
    assert caught.value.sqlstate == "28000" and "place" in caught.value.message


def test_is_refused_for_another_region(gateway):
    with pytest.raises(ServerError) as caught:
        gateway.login(SERVICE, database="eu-dublin")
    assert caught.value.sqlstate == "3D000"


def test_of_another_region_reads_what_the_policy_names_and_no_more(gateway):
    with gateway.connect("app_eu") as connection:
        assert connection.execute("select count(*) from videos").fetchone()[0] == 400
        for statement in ("select * from users", "insert into videos select * from videos",
                          "select * from app.messages"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_logs_in_to_the_database_with_scram(gateway):
    with gateway.connect("by_scram") as connection:
        assert connection.execute("select session_user").fetchone() == ("by_scram",)


@pytest.mark.parametrize("actor", ["by_md5", "by_clear"])
def test_weak_logins_to_the_database_are_refused(gateway, actor):
    with pytest.raises(psycopg.OperationalError):
        gateway.connect(actor)
    gateway.wait_for_log("(?i)md5|cleartext|password authentication|authentication method")


def test_notices_arrive(app):
    seen = []
    app.add_notice_handler(lambda diag: seen.append((diag.severity, diag.message_primary)))
    app.execute("drop table if exists not_there; rollback")
    assert seen == [("NOTICE", 'table "not_there" does not exist, skipping'),
                    ("WARNING", "there is no transaction in progress")]


def test_parameter_status_is_told(app):
    assert app.info.parameter_status("server_encoding") == "UTF8"
    assert app.info.server_version // 10000 == 15
    app.execute("set timezone = 'Asia/Tokyo'")
    assert app.info.parameter_status("TimeZone") == "Asia/Tokyo"
    app.execute("set application_name = 'renamed'")
    assert app.info.parameter_status("application_name") == "renamed"


def test_startup_parameters_reach_the_database(gateway):
    with gateway.connect(SERVICE, application_name="mine",
                         options="-c statement_timeout=1234ms") as connection:
        assert connection.execute("show application_name").fetchone() == ("mine",)
        assert connection.execute("show statement_timeout").fetchone() == ("1234ms",)


def test_listen_and_notify(gateway, app):
    with gateway.connect(SERVICE) as other:
        app.execute("listen news")
        other.execute("notify news, 'first'")
        other.execute("select pg_notify('news', 'second')")
        got = []
        for notification in app.notifies():
            got.append(notification.payload)
            if len(got) == 2:
                break
        assert got == ["first", "second"]


def test_a_notification_reaches_an_idle_client(gateway):
    with gateway.login(SERVICE) as wire, gateway.connect(SERVICE) as other:
        wire.query("listen quiet")
        other.execute("notify quiet, 'hello'")
        kind, body = wire.receive()
        assert kind == "A" and b"quiet\0hello\0" in body


def test_copy_in_and_out(app):
    with app.cursor().copy("copy scratch(name, value) from stdin") as copy:
        for i in range(1000):
            copy.write_row((f"copy{i}", "é" * (i % 50)))
    with app.cursor().copy("copy (select name, value from scratch where name like 'copy%'"
                           " order by id) to stdout") as copy:
        rows = list(copy.rows())
    assert rows[999] == ("copy999", "é" * 49) and len(rows) == 1000
    app.execute("delete from scratch where name like 'copy%'")


def test_copy_in_that_fails_leaves_the_session_usable(gateway, app):
    with pytest.raises(psycopg.errors.BadCopyFileFormat):
        with app.cursor().copy("copy scratch(id, name) from stdin") as copy:
            copy.write("1\ta\tb\tc\n")
    with gateway.login(SERVICE) as wire:
        wire.send("Q", b"copy scratch(name) from stdin\0")
        assert wire.receive_answer()[0] == "G"
        wire.send("f", b"changed my mind\0")
        kinds = [kind for kind, _ in wire.until_ready()]
        assert kinds == ["E", "Z"]
        assert wire.query("select 1") == [[b"1"]]


def test_function_call_message(gateway, pair):
    oid = pair.primary.value("SELECT 'pg_catalog.int4pl(int,int)'::regprocedure::oid::int")
    with gateway.login(SERVICE) as wire:
        wire.send("F", struct.pack("!IHHHi4si4sH", oid, 1, 1, 2, 4, struct.pack("!i", 40), 4,
                                   struct.pack("!i", 2), 1))
        answers = wire.until_ready()
        assert ("V", struct.pack("!ii", 4, 42)) in answers


def test_session_state_stays_with_the_session_and_goes_with_it(gateway):
    with gateway.connect(SERVICE) as first:
        backend = first.info.backend_pid
        pid = first.execute("select pg_backend_pid()").fetchone()[0]
        first.execute("set statement_timeout = '77s'")
        first.execute("prepare p as select 1")
        first.execute("select pg_advisory_lock(4711)")
        assert first.execute("show statement_timeout").fetchone() == ("77s",)
        assert backend
    for _ in range(6):  # more than the workers: somebody gets the same server connection
        with gateway.connect(SERVICE) as later:
            same = later.execute("select pg_backend_pid()").fetchone()[0] == pid
            assert later.execute("show statement_timeout").fetchone() == ("0",)
            assert later.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
            assert later.execute("select pg_try_advisory_lock(4711)").fetchone() == (True,)
            if same:
                return


def test_rows_and_bytes_of_services_are_counted(gateway):
    with gateway.connect(SERVICE) as connection:
        for _ in range(10):
            connection.execute("select * from users").fetchall()
    def counted():
        totals = {}
        for record in gateway.journal(kind="service", actor=SERVICE):
            slot = next(p for p in record["detail"].split() if p.startswith("slot="))
            totals[(record["session"], slot)] = record.get("rows", 0)
        return sum(totals.values()) >= 2000
    wait_until(counted, "the roll-up does not count the rows", timeout=30)
