"""What a person sees: everyone as nobody at home, numbers only from abroad, nothing else."""

import datetime

import psycopg
import pytest

from planted import found_in
from wire import error_fields

HOME, ABROAD = "us_analyst", "cn_engineer"
ADULTS = 190  # of the 200 in tests/support/sample.sql
MASKED_TABLES = ["users", "videos", "watch_events", "searches", "locations", "messages", "purchases"]


@pytest.fixture(scope="module")
def analyst(gateway):
    with gateway.connect(HOME) as connection:
        yield connection


@pytest.fixture(scope="module")
def engineer(gateway):
    with gateway.connect(ABROAD) as connection:
        yield connection


def columns_of_table(pair, table):
    return pair.primary.rows(
        "SELECT attname, atttypid::int FROM pg_attribute WHERE attrelid = %s::regclass"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum", f"app.{table}")


def columns_of(cursor):
    return [(column.name, column.type_code) for column in cursor.description]


# --- at home: masked ------------------------------------------------------------------------------


def test_users_look_as_the_table_does_and_show_nobody(analyst, pair):
    cursor = analyst.execute("select * from users limit 5")
    assert columns_of(cursor) == columns_of_table(pair, "users")
    rows = cursor.fetchall()
    assert len(rows) == 5
    assert not found_in(rows)


@pytest.mark.parametrize("table", MASKED_TABLES)
def test_no_table_shows_a_person(analyst, pair, table):
    cursor = analyst.execute(f"select * from {table}")
    shown, real = columns_of(cursor), columns_of_table(pair, table)
    assert [column for column in real if column in shown] == shown, "other names, types or order"
    rows = cursor.fetchall()
    assert rows, "there is nothing to see, so nothing was tested"
    assert not found_in(rows)


def test_children_are_absent_with_all_that_is_theirs(analyst, pair):
    assert analyst.execute("select count(*) from users").fetchone()[0] == ADULTS
    for table, subject in (("watch_events", "user_id"), ("messages", "sender_id")):
        adults = pair.primary.value(
            f"SELECT count(*) FROM app.{table} t JOIN app.users u ON u.id = t.{subject}"
            " WHERE u.birthdate <= current_date - interval '18 years'")
        seen = analyst.execute(f"select count(*) from {table}").fetchone()[0]
        assert 0 < seen <= adults


def test_keys_are_pseudonyms_that_join_as_the_keys_do(analyst, pair):
    joined = analyst.execute("select count(*), count(distinct u.id) from users u"
                             " join watch_events w on w.user_id = u.id").fetchone()
    real = pair.primary.rows(
        "SELECT count(*), count(DISTINCT u.id) FROM app.users u JOIN app.watch_events w"
        " ON w.user_id = u.id WHERE u.birthdate <= current_date - interval '18 years'")[0]
    assert joined == real
    three = analyst.execute(
        "select count(*) from users u join watch_events w on w.user_id = u.id"
        " join videos v on v.id = w.video_id").fetchone()[0]
    assert three > 0


def test_who_made_a_public_video_does_not_lead_to_what_he_did(analyst):
    makers, = analyst.execute("select count(distinct user_id) from videos").fetchone()
    assert makers > 1
    for table in ("users", "watch_events", "searches", "purchases", "locations"):
        key = "id" if table == "users" else "user_id"
        assert analyst.execute(f"select count(*) from videos v join {table} t on t.{key} = v.user_id"
                               ).fetchone() == (0,)


def test_rows_of_persons_do_not_come_in_the_order_of_joining(analyst):
    shown = [row[0] for row in analyst.execute("select id from users")]
    assert shown == sorted(shown)
    assert [row[0] for row in analyst.execute("select id from users limit 5")] == shown[:5]


def test_pseudonyms_are_not_the_keys(analyst):
    seen = {row[0] for row in analyst.execute("select id from users")}
    assert len(seen) == ADULTS
    assert len(seen & set(range(1, 201))) < 5, "a pseudonym may hit a key by chance, not by rule"


def test_exact_times_are_cut(analyst):
    for (at,) in analyst.execute("select at from watch_events limit 50"):
        assert (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0)
    for (born,) in analyst.execute("select birthdate from users limit 50"):
        assert (born.month, born.day) == (1, 1)


def test_statements_run_on_the_standby_as_a_role_of_that_person(gateway, pair):
    with gateway.connect(HOME) as connection:
        assert connection.execute("select session_user, current_user").fetchone() \
            == (f"{HOME}.masked", f"{HOME}.masked")
        users = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        assert pair.standby.value(users, f"{HOME}.masked") >= 1
        assert pair.primary.value(users, f"{HOME}.masked") == 0


# --- the same by every way of asking --------------------------------------------------------------


def test_psql(gateway):
    done = gateway.psql(HOME, "-At", "-c", "select * from users limit 5")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5
    assert not found_in(done.stdout)


def test_psql_with_several_statements_in_one_message(gateway):
    done = gateway.psql(HOME, "-At", "-c", "select 1; select count(*) from users; select 2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", str(ADULTS), "2"]


def test_psql_describes_tables(gateway):
    done = gateway.psql(HOME, "-At", "-c", r"\d users")
    assert done.returncode == 0, done.stderr
    assert "birthdate|date" in done.stdout


def test_extended_protocol_with_parameters(analyst):
    rows = analyst.execute("select id, handle from users where residency = %s limit %s",
                           ("US", 7)).fetchall()
    assert len(rows) == 7 and not found_in(rows)


def test_binary_format(analyst):
    rows = analyst.execute("select id, birthdate, created_at from users limit 9",
                           binary=True).fetchall()
    assert len(rows) == 9
    assert isinstance(rows[0][0], int) and isinstance(rows[0][1], datetime.date)


def test_prepared_statement(analyst):
    for limit in (1, 2, 3):
        rows = analyst.execute("select handle from users limit %s", (limit,), prepare=True).fetchall()
        assert len(rows) == limit


def test_server_side_cursor(gateway):
    with gateway.connect(HOME, autocommit=False) as connection:
        with connection.cursor(name="c") as cursor:
            cursor.execute("select * from watch_events")
            first = cursor.fetchmany(10)
            rest = cursor.fetchall()
        assert len(first) == 10
        assert len(first) + len(rest) \
            == connection.execute("select count(*) from watch_events").fetchone()[0]


def test_copy_to_stdout(analyst):
    with analyst.cursor().copy("copy (select * from users) to stdout") as copy:
        rows = list(copy.rows())
    assert len(rows) == ADULTS and not found_in(rows)


def test_copy_to_stdout_in_binary(analyst):
    with analyst.cursor().copy("copy (select id from users) to stdout (format binary)") as copy:
        copy.set_types(["int8"])
        assert len(list(copy.rows())) == ADULTS


def test_pipeline(analyst):
    with analyst.pipeline():
        cursors = [analyst.execute("select count(*) + %s from users", (i,)) for i in range(20)]
        assert [c.fetchone()[0] for c in cursors] == [ADULTS + i for i in range(20)]


def test_transactions_and_savepoints(gateway):
    with gateway.connect(HOME, autocommit=False) as connection:
        connection.execute("select 1")
        with pytest.raises(psycopg.errors.DivisionByZero):
            with connection.transaction():
                connection.execute("select 1/0")
        assert connection.execute("select 2").fetchone() == (2,)


# --- what does not go -----------------------------------------------------------------------------


BASE_ATTEMPTS = [
    "select * from app.users",
    "table app.users",
    "select null::app.users",
    "select count(*) from app.users where handle like 'secret%'",
    "copy (select * from app.users) to stdout",
    "select * from users u, lateral (select * from app.users) x limit 1",
    "with x as (select * from app.messages) select * from x",
    "select (select handle from app.users limit 1)",
    "select query_to_xml('select * from app.users', true, true, '')",
    "select * from pg_catalog.pg_stats where schemaname = 'app'",
    "select * from pg_catalog.pg_statistic",
    "select pg_read_file('PG_VERSION')",
    "select * from pg_authid",
    "set role app_owner",
    "set role postgres",
    "set session authorization postgres",
    "select set_config('role', 'app_owner', false)",
    "set search_path = app; select * from users",
    "select * from ringfence.pseudonym_key",
    "select currval('app.users_id_seq')",
    "select last_value from app.users_id_seq",
    "select handle from users where handle like 'secret%' or handle::int = 1",
    "select lo_import('/etc/passwd')",
    "explain analyze select * from users",
]


@pytest.mark.parametrize("statement", BASE_ATTEMPTS)
def test_the_tables_themselves_are_out_of_reach(gateway, statement):
    with gateway.wire() as wire:
        wire.login(HOME, f"{HOME}-enters", "us-virginia")
        wire.send("Q", statement.encode() + b"\0")
        messages = wire.until_ready()
        if any(kind == "D" for kind, _ in messages):
            assert not any(found_in(body) for _, body in messages), statement
        else:
            assert any(kind in "EC" for kind, _ in messages)
        assert not any(found_in(notice) for notice in wire.notices)
        assert wire.query("select 1") == [[b"1"]], "the session goes on"


REFUSED = [
    "insert into users select * from users",
    "update users set handle = 'x'",
    "delete from users",
    "truncate users",
    "create table t(x int)",
    "create temp table t as select * from users",
    "select * into temp t from users",
    "create function f() returns int language sql as 'select 1'",
    "do $$ begin end $$",
    "listen x",
    "notify x, 'y'",
    "copy users from stdin",
    "copy users to '/tmp/x'",
    "copy users to program 'cat'",
    "declare c cursor with hold for select * from users",
    "prepare p as select 1",
    "alter role current_user password 'x'",
    "grant select on users to public",
    "lock table users",
    "vacuum",
    "checkpoint",
    "load 'x'",
    "call f()",
    "set session_preload_libraries = 'x'",
    "set log_statement = 'none'",
    "alter system set fsync = off",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_refused_with_an_error_and_the_session_goes_on(analyst, statement):
    with pytest.raises(psycopg.Error) as caught:
        analyst.execute(statement)
    assert caught.value.sqlstate in ("42501", "0A000", "25006"), caught.value
    assert analyst.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("statement", REFUSED[:4] + REFUSED[9:12])
def test_refused_in_the_extended_protocol_too(analyst, statement):
    with pytest.raises(psycopg.Error) as caught:
        analyst.execute(statement, prepare=True)
    assert caught.value.sqlstate in ("42501", "0A000", "25006")


def test_a_refusal_in_the_middle_stops_what_follows_it(gateway):
    with gateway.login(HOME) as wire:
        wire.send("Q", b"select 1; listen x; select 3\0")
        rows = [body for kind, body in wire.until_ready() if kind == "D"]
        assert len(rows) <= 1, "what follows a refused statement must not run"


def test_allowed_parameters_can_be_set(analyst):
    analyst.execute("set datestyle = 'SQL, DMY'")
    assert analyst.info.parameter_status("DateStyle") == "SQL, DMY"
    analyst.execute("reset datestyle")


def test_startup_options_pass_the_same_list(gateway):
    with gateway.connect(HOME, options="-c datestyle=German") as connection:
        assert connection.info.parameter_status("DateStyle").startswith("German")
    with pytest.raises(psycopg.OperationalError) as caught:
        gateway.connect(HOME, options="-c role=app_owner")
    assert "role" in str(caught.value)


def test_explain_shows_a_plan(analyst):
    assert analyst.execute("explain select count(*) from users").fetchall()


# --- errors as PostgreSQL gives them --------------------------------------------------------------


@pytest.mark.parametrize("statement", [
    "select 1 frm users", "select\n  *\nfrom users\nwhere (", "selec 1", "select 'é日本' frm x y",
    "select 'unfinished", "select 1; selec 2", ")", "select $1 +", "/* open"])
def test_syntax_errors_are_those_of_postgresql(gateway, pair, statement):
    def diagnosis(connection):
        with pytest.raises(psycopg.errors.SyntaxError) as caught:
            connection.execute(statement)
        diag = caught.value.diag
        return diag.sqlstate, diag.message_primary, diag.statement_position, diag.severity

    with pair.standby.connect() as direct, gateway.connect(HOME) as through:
        assert diagnosis(through) == diagnosis(direct)
        assert through.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("statement,sqlstate", [
    ("select 1/0", "22012"), ("select * from nowhere", "42P01"), ("select nothing from users", "42703"),
    ("select 'x'::int", "22P02"), ("select no_such_function()", "42883")])
def test_errors_of_the_database_pass(analyst, statement, sqlstate):
    with pytest.raises(psycopg.Error) as caught:
        analyst.execute(statement)
    assert caught.value.sqlstate == sqlstate


def test_an_empty_statement_is_empty(gateway):
    with gateway.login(HOME) as wire:
        for text in (b"", b";", b"  ;; ", b"-- nothing"):
            wire.send("Q", text + b"\0")
            kinds = [kind for kind, _ in wire.until_ready()]
            assert kinds == ["I", "Z"], text


def test_a_statement_that_is_too_long_is_refused_and_the_session_goes_on(analyst):
    for length in (70_000, 100_000, 20_000_000):
        with pytest.raises(psycopg.Error) as caught:
            analyst.execute("select '" + "x" * length + "'", prepare=False)
        assert caught.value.sqlstate == "54000"
        assert "longer" in caught.value.diag.message_primary
        assert caught.value.diag.severity == "ERROR"
        with pytest.raises(psycopg.Error) as caught:
            analyst.execute("select '" + "x" * length + "', %s", [1])
        assert caught.value.sqlstate == "54000"
        with pytest.raises(psycopg.Error) as caught:
            analyst.execute("select length(%s)", ["y" * (length + 1_000_000)])
        assert caught.value.sqlstate == "54000"
        assert analyst.execute("select 1").fetchone() == (1,)


def test_what_stands_behind_a_refusal_is_skipped_however_long(gateway):
    long = b"select '" + b"x" * 3_000_000 + b"'\0"
    with gateway.login(HOME) as wire:
        for query in (b"select 1 frm x\0", long):
            wire.send("P", b"\0" + query + b"\0\0")
            wire.send("P", b"\0" + long + b"\0\0")
            wire.send("B", b"\0\0" + b"\0\0" + b"\0\1" + b"\0\x2d\xc6\xc0" + b"z" * 3_000_000 + b"\0\0")
            wire.send("E", b"\0\0\0\0\0")
            wire.send("S")
            answers = wire.until_ready()
            assert [kind for kind, _ in answers] == ["E", "Z"]
            wire.send("Q", b"select 1\0")
            assert [kind for kind, _ in wire.until_ready()] == ["T", "D", "C", "Z"]
        wire.send("Q", long)
        wire.send("Q", b"select 2\0")
        answers = wire.until_ready()
        assert [kind for kind, _ in answers] == ["E", "Z"]
        assert error_fields(answers[0][1])["C"] == "54000"
        assert [kind for kind, _ in wire.until_ready()] == ["T", "D", "C", "Z"]


def test_a_deeply_nested_statement_harms_nobody(analyst):
    with pytest.raises(psycopg.Error):
        analyst.execute("select " + "(" * 20000 + "1" + ")" * 20000)
    assert analyst.execute("select 1").fetchone() == (1,)


# --- from abroad: stats ---------------------------------------------------------------------------


def test_abroad_there_are_the_declared_numbers(engineer):
    cursor = engineer.execute("select * from users_by_month")
    assert [column.name for column in cursor.description] == ["residency", "month", "users"]
    rows = cursor.fetchall()
    assert rows and all(row[2] >= 20 for row in rows)


@pytest.mark.parametrize("statement", [
    "select * from users", "select * from masked.users", "select * from app.users",
    "select * from masked.watch_events", "set search_path = masked; select * from users",
    "select count(*) from masked.messages", "copy masked.users to stdout"])
def test_abroad_there_is_nothing_else(gateway, statement):
    with gateway.login(ABROAD) as wire:
        wire.send("Q", statement.encode() + b"\0")
        messages = wire.until_ready()
        assert [kind for kind, _ in messages if kind in "DdH"] == []
        assert any(kind == "E" for kind, _ in messages)


def test_small_groups_are_left_out(engineer, pair):
    groups = pair.primary.rows(
        "SELECT count(DISTINCT user_id) FROM app.watch_events GROUP BY date_trunc('day', at)")
    shown = engineer.execute("select viewers from watch_by_day").fetchall()
    assert all(viewers >= 20 for (viewers,) in shown)
    assert len(shown) <= len([count for (count,) in groups if count >= 20])


@pytest.mark.parametrize("actor,host", [("us_analyst", "127.0.8.1"), ("eu_analyst", "127.0.0.1")])
def test_whoever_acts_from_abroad_gets_numbers_only(gateway, actor, host):
    with gateway.connect(actor, host=host) as connection:
        assert connection.execute("select count(*) from users_by_month").fetchone()[0] > 0
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("select * from users")
