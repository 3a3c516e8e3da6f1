"""Room `masked` over every mask and every shape of table, against a real PostgreSQL: no mask fails for
any value, nothing keeps what it was to hide, and what does not fit is told before anything is
written, all at once."""

import copy
import os
import random
import re

import psycopg
import pytest

from applied import ROOT, Region, Server

PEOPLE = r"""
CREATE SCHEMA app AUTHORIZATION app_owner;
GRANT USAGE ON SCHEMA app TO app_owner;
CREATE COLLATION app.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE app.people (id bigint PRIMARY KEY, handle text NOT NULL, born date,
    home char(2) NOT NULL, joined timestamptz NOT NULL);
INSERT INTO app.people SELECT i, 'handle' || i, date '1980-01-01' + i, 'US', '2026-01-01'
    FROM generate_series(1, 200) i;
-- children: every tenth
UPDATE app.people SET born = current_date - 3000 WHERE id % 10 = 0;
"""

# -- shapes ---------------------------------------------------------------------------------------

SHAPES = PEOPLE + r"""
CREATE TABLE app.videos (id bigint PRIMARY KEY, owner bigint NOT NULL REFERENCES app.people,
    title text, made timestamptz NOT NULL, home char(2) NOT NULL);
INSERT INTO app.videos SELECT i, i, 'title' || i, '2026-02-03', 'US' FROM generate_series(1, 200) i;
CREATE TABLE app.comments (id bigint PRIMARY KEY, video_id bigint NOT NULL REFERENCES app.videos,
    body text);
INSERT INTO app.comments SELECT i, i, 'body' || i FROM generate_series(1, 200) i;
CREATE TABLE app.likes (id bigint PRIMARY KEY, comment_id bigint NOT NULL REFERENCES app.comments,
    at timestamptz);
INSERT INTO app.likes SELECT i, i, '2026-03-04' FROM generate_series(1, 200) i;
CREATE TABLE app.loose_notes (id bigint PRIMARY KEY, video bigint, home char(2) NOT NULL);
INSERT INTO app.loose_notes SELECT i, i, 'US' FROM generate_series(1, 300) i;
CREATE TABLE app.messages (id bigint PRIMARY KEY, sender bigint NOT NULL REFERENCES app.people,
    recipient bigint NOT NULL REFERENCES app.people, at timestamptz NOT NULL, body text,
    home char(2) NOT NULL);
INSERT INTO app.messages SELECT i, i, i % 200 + 1, now(), 'body' || i, 'US'
    FROM generate_series(1, 200) i;
CREATE SCHEMA part AUTHORIZATION app_owner;
CREATE TABLE app.events (id bigint, person bigint NOT NULL REFERENCES app.people,
    at timestamptz NOT NULL, what text, home char(2) NOT NULL, PRIMARY KEY (id, at))
    PARTITION BY RANGE (at);
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE part.events_2026 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO app.events SELECT i, i, timestamptz '2025-12-01' + i * interval '6 hours', 'what' || i,
    'US' FROM generate_series(1, 200) i;
GRANT USAGE ON SCHEMA part TO PUBLIC;
GRANT SELECT ON part.events_2026 TO PUBLIC;
GRANT ALL ON app.events_2025 TO PUBLIC;
CREATE TABLE app.visits (id bigint PRIMARY KEY, person bigint NOT NULL REFERENCES app.people,
    at timestamptz, day date, plain timestamp, home char(2) NOT NULL);
INSERT INTO app.visits SELECT i, 1, now() - i * interval '1 day' - interval '1 minute',
    current_date - i, localtimestamp - i * interval '1 day', 'US' FROM generate_series(0, 40) i;
INSERT INTO app.visits VALUES (1000, 1, NULL, NULL, NULL, 'US');
CREATE TABLE app.countries (code text PRIMARY KEY, name text, note text);
INSERT INTO app.countries VALUES ('US', 'United States', 'x');
CREATE VIEW app.early AS SELECT id, upper(handle) AS handle, date_trunc('year', joined) AS joined
    FROM app.people WHERE id < 100 AND handle LIKE 'handle%';
CREATE MATERIALIZED VIEW app.totals AS SELECT owner, count(*) AS videos, max(title)::text AS title,
    substr(max(title), 6)::int AS number FROM app.videos GROUP BY owner;
CREATE VIEW app.ratios AS SELECT id, 100 / (id - 7) AS ratio, home FROM app.people;
CREATE VIEW app.casts AS SELECT id, substr(handle, 7)::int AS number FROM app.people;
CREATE FUNCTION app.peek(t text) RETURNS text LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''seen %'', t; END';
CREATE VIEW app.calls AS SELECT id, app.peek(handle) AS handle FROM app.people;
CREATE VIEW app.over AS SELECT id, number FROM app.casts;
CREATE VIEW app.invoked WITH (security_invoker) AS SELECT id, handle FROM app.people;
"""

SHAPE_TABLES = {
    "app.people": {"subject": "id", "residency": "home", "birthdate": "born", "columns": {
        "id": "identity", "handle": "identity", "born": {"class": "identity", "mask": "year"},
        "home": "none", "joined": {"class": "activity", "mask": "month"}}},
    "app.videos": {"subject": "owner", "residency": "home", "columns": {
        "id": {"class": "identity", "domain": "video"}, "owner": "identity", "title": "content",
        "made": "activity", "home": "none"}},
    "app.comments": {"subject": {"column": "video_id", "through": "app.videos"}, "columns": {
        "id": {"class": "identity", "domain": "comment"},
        "video_id": {"class": "identity", "domain": "video"}, "body": "content"}},
    "app.likes": {"subject": {"column": "comment_id", "through": "app.comments"}, "columns": {
        "id": "identity", "comment_id": {"class": "identity", "domain": "comment"},
        "at": "activity"}},
    "app.loose_notes": {
        "subject": {"column": "video", "through": "app.videos", "key": "id"}, "residency": "home",
        "columns": {"id": "identity", "video": {"class": "identity", "domain": "video"},
                    "home": "none"}},
    "app.messages": {"subjects": ["sender", "recipient"], "residency": "home", "columns": {
        "id": "identity", "sender": "identity", "recipient": "graph", "at": "activity",
        "body": "content", "home": "none"}},
    "app.events": {"subject": "person", "residency": "home", "columns": {
        "id": "identity", "person": "identity", "at": "activity", "home": "none"}},
    "app.visits": {"subject": "person", "residency": "home",
                   "retention": {"column": "at", "keep": "30 days"}, "columns": {
                       "id": {"class": "identity", "mask": "redact"}, "person": "identity",
                       "at": "activity", "home": "none"}},
    "app.countries": {"columns": {"code": "none", "name": "none"}},
    "app.early": {"kind": "view", "subject": "id", "columns": {
        "id": "identity", "handle": "identity", "joined": "activity"}},
    "app.ratios": {"kind": "view", "subject": "id", "columns": {
        "id": "identity", "ratio": {"class": "activity", "mask": "coarse", "step": 10},
        "home": "none"}},
    "app.totals": {"kind": "view", "subject": "owner", "columns": {
        "owner": "identity", "videos": {"class": "activity", "mask": "coarse", "step": 10},
        "title": "content"}},
}

ROOT_POLICY = {
    "statistics": {"visits": {"table": "app.visits", "measures": {"n": "count_rows"}, "minimum": 5}},
}


def policy_for(server, tables, **more):
    policy = copy.deepcopy(server.policy)
    policy["actors"]["app_eu"]["regions"].pop("us-virginia", None)
    policy["tables"] = copy.deepcopy(tables)
    policy.pop("ingest", None)
    policy.pop("statistics", None)
    policy.update(copy.deepcopy(more))
    return policy


def load(server, database, sql):
    path = os.path.join(server.folder, f"{database}.sql")
    with open(path, "w", encoding="utf-8") as f:
        f.write(sql)
    server.load(database, path)


@pytest.fixture(scope="module")
def shapes_server(scratch, authority, build):
    server = Server(os.path.join(scratch, "shapes"), authority, build)
    load(server, "shapes", SHAPES)
    yield server
    server.cluster.stop()


@pytest.fixture(scope="module")
def shapes(shapes_server):
    region = Region(shapes_server, "shapes", policy_for(shapes_server, SHAPE_TABLES, **ROOT_POLICY))
    region.apply()
    assert "nothing to change" in region.apply()
    return region


PERSON = "us_analyst.masked"


def test_children_are_absent_in_every_shape(shapes):
    def masked(table):
        return shapes.value(f"SELECT count(*) FROM {table}", PERSON)
    assert masked("people") == 180
    assert masked("videos") == masked("events") == masked("comments") == masked("likes") == 180
    # rows that lead to nobody known are not shown either: 100 of these have no video
    assert masked("loose_notes") == 180
    assert masked("messages") == 160  # neither the sender nor the recipient
    assert masked("totals") == 180 and masked("early") == 90
    # and who grows up appears, without an apply
    shapes.rows("UPDATE app.people SET born = '1990-01-01' WHERE id = 10")
    try:
        assert masked("comments") == masked("likes") == masked("loose_notes") == 181
    finally:
        shapes.rows("UPDATE app.people SET born = current_date - 3000 WHERE id = 10")


def test_pseudonyms_join_across_shapes(shapes):
    assert shapes.value("SELECT count(*) FROM likes l JOIN comments c ON c.id = l.comment_id JOIN"
                        " videos v ON v.id = c.video_id JOIN people p ON p.id = v.owner",
                        PERSON) == 180
    assert shapes.value("SELECT count(*) FROM messages m JOIN people p ON p.id = m.sender",
                        PERSON) == 160
    assert shapes.value("SELECT count(*) FROM totals t JOIN people p ON p.id = t.owner", PERSON) == 180
    assert shapes.rows("SELECT DISTINCT recipient, body FROM messages", PERSON) == [(None, None)]
    assert shapes.value("SELECT count(DISTINCT joined) FROM people", PERSON) == 1


SETTINGS = ["", "SET enable_hashjoin = off; SET enable_nestloop = off",
            "SET enable_seqscan = off; SET enable_bitmapscan = off", "SET work_mem = '64kB'"]


@pytest.mark.parametrize("settings", SETTINGS)
def test_rows_never_come_in_the_order_of_the_real_keys(shapes, settings):
    """Whoever knows how many signed up before somebody would find his pseudonym by its rank."""
    shapes.rows("CREATE TABLE IF NOT EXISTS app.steps (person bigint NOT NULL REFERENCES app.people (id),"
                " who bigint NOT NULL, home text NOT NULL);"
                "CREATE INDEX IF NOT EXISTS steps_person ON app.steps (person);"
                "CREATE INDEX IF NOT EXISTS steps_who ON app.steps (who);"
                "INSERT INTO app.steps SELECT p.id, p.id, 'US' FROM app.people p, generate_series(1, 200)"
                " WHERE NOT EXISTS (SELECT FROM app.steps) ORDER BY sha256(int8send(p.id))")
    shapes.rows("VACUUM ANALYZE app.steps")  # or the index alone would not do
    shapes.policy["tables"]["app.steps"] = {
        "subjects": ["person", "who"], "residency": "home",
        "columns": {"person": {"class": "identity", "domain": "subject"},
                    "who": {"class": "identity", "domain": "subject"}, "home": "none"}}
    shapes.apply()
    dsn = shapes.server.cluster.dsn(shapes.database).replace("user=postgres", f"user={PERSON}")
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(settings or "SELECT 1")
            by_rank = {}
            for column in ("person", "who"):
                plan = connection.execute(f"EXPLAIN SELECT {column} FROM steps").fetchall()
                assert not [line for (line,) in plan if "Merge" in line or "Index Only" in line], plan
                keys = connection.execute(f"SELECT {column} FROM steps").fetchall()
                by_rank[column] = list(dict.fromkeys(key for (key,) in keys))
        # in the table's order, which here is no order of keys
        stored = [k for (k,) in shapes.rows("SELECT person FROM app.steps") if k]
        assert list(dict.fromkeys(stored)) != sorted(set(stored))
        assert len(by_rank["person"]) == 180 and by_rank["person"] == by_rank["who"]
    finally:
        del shapes.policy["tables"]["app.steps"]
        shapes.apply()


def test_a_partition_is_reached_through_its_table_only(shapes):
    shapes.apply()
    for role in (PERSON, "us_analyst.stats", "app_us"):
        for partition in ("app.events_2025", "part.events_2026"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                shapes.rows(f"SELECT 1 FROM {partition}", role)
    assert shapes.value("SELECT count(*) FROM events", "app_us") == 200
    with pytest.raises(psycopg.errors.CheckViolation):
        shapes.rows("INSERT INTO events VALUES (999, 1, '2026-05-05', 'x', 'CN')", "app_us")
    # a partition that comes later has the constraint, and its rows are in the view at once
    shapes.rows("CREATE TABLE app.events_2027 PARTITION OF app.events"
                " FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');"
                "INSERT INTO app.events VALUES (998, 1, '2027-05-05', 'x', 'US')")
    try:
        assert shapes.value("SELECT count(*) FROM events", PERSON) == 181
        with pytest.raises(psycopg.errors.CheckViolation):
            shapes.rows("INSERT INTO app.events_2027 VALUES (997, 1, '2027-05-05', 'x', 'CN')")
        assert shapes.command("plan", "--check").returncode == 0
    finally:
        shapes.rows("DROP TABLE app.events_2027")


def test_a_partition_that_was_opened_is_found(shapes):
    shapes.apply()
    for sql in ("GRANT SELECT ON part.events_2026 TO PUBLIC", "GRANT SELECT ON part.events_2026 TO app_us",
                "GRANT SELECT (what) ON app.events_2025 TO rf_service"):
        shapes.rows(sql)
        assert shapes.command("plan", "--check").returncode == 1, sql
        shapes.apply()
        assert shapes.command("plan", "--check").returncode == 0, sql


def test_a_new_column_is_not_visible_until_it_is_named(shapes):
    before = shapes.rows("SELECT * FROM countries", PERSON)
    shapes.rows("ALTER TABLE app.people ADD COLUMN passport text DEFAULT 'P-SECRET'")
    try:
        assert shapes.command("plan", "--check").returncode == 0
        shapes.apply()
        assert "P-SECRET" not in str(shapes.rows("SELECT * FROM people", PERSON))
        with pytest.raises(psycopg.errors.UndefinedColumn):
            shapes.rows("SELECT passport FROM people", PERSON)
    finally:
        shapes.rows("ALTER TABLE app.people DROP COLUMN passport")
    assert before == [("US", "United States")]


@pytest.mark.parametrize("column, left", [("at", 30), ("plain", 30), ("day", 31)])
def test_rows_that_are_kept_no_longer_are_absent(shapes, column, left):
    good = copy.deepcopy(shapes.policy)
    try:
        table = shapes.policy["tables"]["app.visits"]
        table["retention"]["column"] = column
        table["columns"][column] = "activity"
        shapes.apply()
        for zone in ("UTC", "Pacific/Kiritimati", "America/New_York"):
            options = f"options='-c timezone={zone}'"
            (count,), = shapes.rows("SELECT count(*) FROM visits", PERSON, options)
            # around midnight in UTC the day of the server and the day of the sample may differ
            assert count == left if column != "day" else abs(count - left) <= 1
            assert shapes.rows("SELECT n FROM stats.visits", "us_analyst.stats", options) in (
                [], [(count,)])
    finally:
        shapes.policy = good
        shapes.apply()


@pytest.mark.parametrize("column, type", [("at", "timestamptz"), ("plain", "timestamp")])
def test_rows_leave_at_midnight_so_that_nobody_sees_when_they_came(shapes, column, type):
    midnight = "(date_trunc('day', now() AT TIME ZONE 'UTC') - interval '29 days')"
    cast = f"({midnight} AT TIME ZONE 'UTC')" if type == "timestamptz" else midnight
    good = copy.deepcopy(shapes.policy)
    try:
        table = shapes.policy["tables"]["app.visits"]
        table["retention"]["column"] = column
        table["columns"][column] = "activity"
        shapes.apply()
        before = shapes.value("SELECT count(*) FROM visits", PERSON)
        shapes.rows(f"INSERT INTO app.visits (id, person, home, {column}) SELECT 2001 + n, 1, 'US', {cast}"
                    " + n * interval '1 second' FROM generate_series(-1, 1) n")
        assert shapes.value("SELECT count(*) FROM visits", PERSON) == before + 2
    finally:
        shapes.rows("DELETE FROM app.visits WHERE id >= 2000")
        shapes.policy = good
        shapes.apply()


def test_a_statement_cannot_look_behind_an_expired_row(shapes):
    """Errors of a person's condition tell nothing of rows that the view leaves out."""
    shapes.apply()
    for condition in ("1 / (id - id) > 0", "(home || at::text)::int > 0"):
        with pytest.raises(psycopg.Error):
            shapes.rows(f"SELECT 1 FROM visits WHERE {condition}", PERSON)
    assert shapes.rows("SELECT 1 FROM visits WHERE at < now() - interval '32 days'"
                       " AND 1 / (id - id) > 0", PERSON) == []


@pytest.mark.parametrize("view", ["early", "under"])
def test_a_view_of_the_application_that_was_replaced_is_found(shapes, view):
    """Its owner may put another column behind a name; also in a view that it reads."""
    shapes.rows("CREATE VIEW app.under AS SELECT id, handle, joined FROM app.people;"
                "CREATE OR REPLACE VIEW app.early AS SELECT id, upper(handle) AS handle,"
                " date_trunc('year', joined) AS joined FROM app.under WHERE id < 100")
    shapes.apply()
    assert shapes.command("plan", "--check").returncode == 0
    if view == "early":
        shapes.rows("CREATE OR REPLACE VIEW app.early AS SELECT id, lower(handle) AS handle,"
                    " date_trunc('year', joined) AS joined FROM app.under WHERE id < 100")
    else:
        shapes.rows("CREATE OR REPLACE VIEW app.under AS SELECT id, lower(handle) AS handle, joined"
                    " FROM app.people")
    done = shapes.command("plan", "--check")
    assert done.returncode == 1 and "masked.early" in done.stdout
    shapes.rows("CREATE OR REPLACE VIEW app.early AS SELECT id, upper(handle) AS handle,"
                " date_trunc('year', joined) AS joined FROM app.people WHERE id < 100 AND handle LIKE"
                " 'handle%'; DROP VIEW app.under")
    shapes.apply()
    assert shapes.command("plan", "--check").returncode == 0


def test_views_of_the_application_are_read_only(shapes):
    shapes.apply()
    assert shapes.value("SELECT count(*) FROM early", "app_us") == 99
    for sql in ("DELETE FROM early", "REFRESH MATERIALIZED VIEW totals"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shapes.rows(sql, "app_us")
    handles = {h for (h,) in shapes.rows("SELECT handle FROM early", PERSON)}
    assert len(handles) == 90 and all(h.startswith("p_") for h in handles)


def test_a_view_of_the_application_may_fail_but_prints_nothing(shapes):
    """The residual of docs/threat-model.md: that some row fails is told, and nothing of the row."""
    shapes.apply()
    with pytest.raises(psycopg.errors.DivisionByZero) as failed:
        shapes.rows("SELECT ratio FROM ratios", PERSON)
    assert str(failed.value).splitlines() == ["division by zero"]
    assert shapes.value("SELECT count(*) FROM ratios", PERSON) == 180


# -- what does not fit ------------------------------------------------------------------------------

def test_all_mistakes_are_told_at_once_and_nothing_is_written(shapes):
    shapes.apply()
    good = copy.deepcopy(shapes.policy)
    tables = shapes.policy["tables"]
    tables["app.nowhere"] = {"columns": {"a": "none"}}
    tables["app.people"]["columns"]["shoe"] = "none"
    tables["app.totals"]["columns"]["title"] = {"class": "contact", "mask": "pseudonym",
                                                "domain": "video"}
    tables["app.people"]["columns"]["joined"] = {"class": "activity", "mask": "coarse", "step": 10}
    tables["app.comments"]["columns"]["body"] = {"class": "contact", "mask": "expression",
                                                 "sql": "(select handle from people)"}
    tables["app.likes"]["columns"]["at"] = {"class": "activity", "mask": "constant",
                                            "value": "2026-02-30"}
    tables["app.loose_notes"]["subject"].pop("key")
    tables["app.early"].pop("kind")
    tables["app.early"].pop("subject")
    tables["app.early"]["columns"] = {"id": "none"}
    tables["app.casts"] = {"kind": "view", "subject": "id", "columns": {"id": "identity"}}
    tables["app.over"] = {"kind": "view", "subject": "id", "columns": {"id": "identity"}}
    tables["app.calls"] = {"kind": "view", "subject": "id", "columns": {"id": "identity"}}
    tables["app.invoked"] = {"kind": "view", "subject": "id", "columns": {"id": "identity"}}
    before = shapes.snapshot()
    expected = {
        "tables.app.nowhere": "is not in database",
        "tables.app.people.columns.shoe": "has no column \"shoe\"",
        "tables.app.totals.columns.title": "would not join",
        "tables.app.people.columns.joined": "cannot have mask \"coarse\"",
        "tables.app.comments.columns.body": "no select",
        "tables.app.likes.columns.at": "does not fit",
        "tables.app.loose_notes.subject": "expected one foreign key",
        "tables.app.early": "say \"kind: view\"",
        "tables.app.casts": "casts a text to integer",
        "tables.app.over": "casts a text to integer",
        "tables.app.calls": "calls app.peek(text)",
        "tables.app.invoked": "security_invoker",
    }
    try:
        for command in ("plan", "apply"):
            done = shapes.command(command)
            assert done.returncode == 2, done.stderr
            with open(f"{shapes.folder}/policy.yaml", encoding="utf-8") as f:
                lines = f.read().splitlines()
            told = {}
            for path, line, where, text in re.findall(
                    r"^(\S*policy\.yaml):(\d+): (tables\.\S+): (.*)$", done.stderr, re.M):
                assert path == f"{shapes.folder}/policy.yaml"
                told[where] = (int(line), text)
            for where, text in expected.items():
                assert where in told, (where, done.stderr)
                line, said = told[where]
                assert text in said, said
                name = where.split(".")[-1]
                near = lines[max(0, line - 2):line + 1]
                assert name == "subject" or any(name in x for x in near), (where, line, near)
            assert len(told) == len(expected), done.stderr
        assert shapes.snapshot() == before
    finally:
        shapes.policy = good


# -- masks over extreme values ---------------------------------------------------------------------

LONG = "x" * 5000
TEXTS = ["", " ", "a", "ab", "abc", "abcdef", "ABCDEF", "secret@gmail.com", "S@GMAIL.COM", "a@b@c", "@",
         "@gmail.com", "@@@@@@", "1.2.3.4", "203.0.113.77", "999.999.999.999", "1.2.3.4.5", "...",
         "....", "1234.1.1.1", "::1", "%_%", "'", "\"", "日本語のテキスト", "\U0001F600\U0001F600\U0001F600"
         "\U0001F600\U0001F600\U0001F600", "e\u0301e\u0301e\u0301e\u0301", "-1", "NaN", "\t\n", "\\"]
NUMBERS = ["0", "-0.0", "NaN", "Infinity", "-Infinity", "0.001", "-0.001", "12345.678"]
TIMES = ["infinity", "-infinity", "0001-01-01", "2024-02-29", "4713-11-25 BC", "4700-01-01 BC",
         "4701-12-31 BC", "1999-12-31", "289999-12-31", "290000-01-01"]

KINDS = {  # type: values, masks by class
    "smallint": (["-32768", "32767", "0", "-1", "1"], ["int"]),
    "integer": (["-2147483648", "2147483647", "0", "-1"], ["int", "key"]),
    "bigint": (["-9223372036854775808", "9223372036854775807", "0", "-1"], ["int", "key"]),
    "real": (NUMBERS + ["3.4e38", "-3.4e38", "1e-45", "-1e-45"], ["number"]),
    "double precision": (NUMBERS + ["1.7e308", "-1.7e308", "4.9e-324", "-4.9e-324"], ["number"]),
    "numeric": (NUMBERS + ["1e500", "-1e500", "1e-400", "-1e-400", "1e15", "999999999999999.9"],
                ["number"]),
    "numeric(10,2)": (["0", "99999999.99", "-99999999.99", "NaN", "0.01"], ["number"]),
    "date": (TIMES + ["5874897-12-31", "4714-11-24 BC"], ["time"]),
    "timestamp": (TIMES + ["294276-12-31 23:59:59.999999", "4714-11-24 BC"], ["time"]),
    "timestamp(3) with time zone": (TIMES + ["294276-12-31 23:59:59.99+00", "4714-11-24 00:00+00 BC"],
                                    ["time"]),
    "text": (TEXTS + [LONG], ["text", "key", "address"]),
    "character varying(40)": (TEXTS, ["text", "key", "address"]),
    "character(20)": (TEXTS, ["text", "key", "address"]),
    "character varying(5)": (["", "abcde"], ["key"]),
    "text COLLATE \"C\"": (TEXTS, ["text", "key", "address"]),
    "text COLLATE app.loose": (TEXTS, ["text", "key", "address"]),
    "app.mail": (["a@b", "secret@gmail.com"], ["checked"]),
    "inet": (["0.0.0.0", "255.255.255.255/0", "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
              "10.1.2.3/8", "::ffff:1.2.3.4", "203.0.113.77", "2001:db8:1:2::3"], ["net"]),
    "cidr": (["0.0.0.0/0", "203.0.113.77/32", "::/0", "10.0.0.0/8", "2001:db8::/127"], ["net"]),
    "uuid": (["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
             ["key", "uuid"]),
    "boolean": (["true", "false"], ["truth"]),
    "jsonb": (["null", "{}", "[1e400]"], ["plain"]),
    "json": (["null", "{\"a\": 1}"], ["plain"]),
    "integer[]": (["{}", "{1,NULL}"], ["plain"]),
    "bytea": (["\\x", "\\xff"], ["plain"]),
    "interval": (["178000000 years", "-178000000 years", "1 second"], ["plain"]),
    "time": (["24:00:00", "00:00:00"], ["plain"]),
}


def contact(mask, **more):
    return {"class": "contact", "mask": mask, **more}


def activity(mask, **more):
    return {"class": "activity", "mask": mask, **more}


PLAIN = [contact("redact"), contact("null")]
SETS = {
    "plain": [],
    "key": [contact("pseudonym")],
    "int": [activity("coarse", step=7), contact("constant", value="7"),
            activity("expression", sql="{0} / 2"), activity("expression", sql="{0} % 10 / 5 - 3")],
    "number": [activity("coarse", step=3), contact("constant", value="-7.25")],
    "time": [activity("day"), activity("month"), activity("year"),
             contact("constant", value="2026-02-28"),
             activity("expression", sql="case when {0} is null then null end")],
    "text": [contact("partial", keep=1), contact("partial", keep=2), contact("partial", keep="domain"),
             contact("constant", value="o'brien \\ ünïcode"[:18]),
             contact("expression", sql="upper(left({0}, 2)) || '-' || length({0})::text"),
             contact("expression", sql="case when {0} like '%@gmail.com' then 'gmail' else 'x' end"),
             contact("expression", sql="case when split_part({0}, '@', 2) in ('b', '日本') or "
                                       "starts_with({0}, 'a') then left(btrim({0}), 1) end")],
    "address": [{"class": "location", "mask": "network", "keep": 16},
                {"class": "location", "mask": "network", "keep": 8}],
    "net": [{"class": "location", "mask": "network", "keep": 16},
            {"class": "location", "mask": "network", "keep": 5},
            contact("constant", value="192.0.2.1")],
    "uuid": [contact("constant", value="12345678-1234-1234-1234-123456789abc")],
    "truth": [contact("constant", value="true"), contact("expression", sql="{0} is null or {0} is not null")],
    "checked": [contact("constant", value="x@y")],
}


def zoo():
    """A table for each type with a column for each mask, and the policy for it; each value is a row, and
    one row is NULL throughout."""
    sql, tables = [PEOPLE, "CREATE DOMAIN app.mail AS text CHECK (value ~ '@');"], {}
    tables["app.people"] = SHAPE_TABLES["app.people"]
    for number, (kind, (values, sets)) in enumerate(KINDS.items()):
        masks = [m for s in sets for m in SETS[s]] + PLAIN
        if "checked" in sets:
            masks.remove(PLAIN[0])
        name = f"zoo{number}"
        columns = {f"c{i}": copy.deepcopy(m) for i, m in enumerate(masks)}
        for c, m in columns.items():
            if "sql" in m:
                m["sql"] = m["sql"].format(c)
        sql.append(f"CREATE TABLE app.{name} (n integer PRIMARY KEY, who bigint NOT NULL REFERENCES"
                   f" app.people, home char(2) NOT NULL, "
                   + ", ".join(f"{c} {kind}" for c in columns) + ");")
        for i, value in enumerate(values):
            literal = "'" + value.replace("'", "''") + "'"
            if "character" in kind and len(value) > 20:
                continue
            sql.append(f"INSERT INTO app.{name} VALUES ({i}, 1, 'US', "
                       + ", ".join([literal] * len(columns)) + ");")
        sql.append(f"INSERT INTO app.{name} (n, who, home) VALUES (-1, 1, 'US');")
        shows = [c for c, m in columns.items() if m["mask"] == "partial" and m["keep"] != "domain"]
        for c in shows[1:]:  # one column a table may show characters
            columns[c]["keep"] = "domain"
        tables[f"app.{name}"] = {"subject": "who", "residency": "home",
                                 "columns": {"n": "none", "who": "identity", "home": "none",
                                             **columns}}
    return "\n".join(sql), tables


@pytest.fixture(scope="module")
def animals(scratch, authority, build):
    server = Server(os.path.join(scratch, "zoo"), authority, build)
    sql, tables = zoo()
    load(server, "zoo", sql)
    region = Region(server, "zoo", policy_for(server, tables))
    region.apply()
    assert "nothing to change" in region.apply()
    yield region
    server.cluster.stop()


def test_no_mask_fails_and_null_stays_null_and_types_are_kept(animals):
    columns = ("SELECT attname, format_type(atttypid, atttypmod), attcollation FROM pg_attribute"
               " WHERE attrelid = '{}'::regclass AND attnum > 0 ORDER BY attnum")
    checked = 0
    for number, (kind, (values, _)) in enumerate(KINDS.items()):
        name = f"zoo{number}"
        assert (animals.rows(columns.format(f"app.{name}"))
                == animals.rows(columns.format(f"masked.{name}"))), kind
        names = [c for c, *_ in animals.rows(columns.format(f"app.{name}")) if c[0] == "c"]
        texts = ", ".join(f"{c}::text" for c in names)
        for zone in ("UTC", "Asia/Tokyo"):
            rows = dict((n, row) for n, *row in animals.rows(
                f"SELECT n, {texts} FROM {name}", PERSON, f"options='-c timezone={zone}'"))
            assert all(v is None for v in rows.pop(-1)), kind
            assert rows
            checked += len(rows) * len(names)
            for n, row in rows.items():
                for c, shown in zip(names, row):
                    mask = animals.policy["tables"][f"app.{name}"]["columns"][c]
                    if mask["mask"] not in ("null", "expression"):
                        assert shown is not None, (kind, c, values[n], mask)
    assert checked > 1000


def test_masks_hide_what_they_are_there_to_hide(animals):
    for number, (kind, (values, _)) in enumerate(KINDS.items()):
        table = animals.policy["tables"][f"app.zoo{number}"]["columns"]
        for c, m in table.items():
            if not isinstance(m, dict) or m["mask"] not in ("partial", "network", "pseudonym"):
                continue
            rows = animals.rows(f"SELECT n, {c}::text FROM zoo{number} WHERE n >= 0", PERSON)
            for n, shown in rows:
                value = values[n].strip()
                if m["mask"] == "partial":
                    assert "secret" not in shown and "日" not in shown and "\U0001F600" not in shown
                    if m["keep"] == "domain":
                        assert shown.strip() in ("***", "***@gmail.com"), shown
                    else:
                        assert re.fullmatch(r"[A-Za-z0-9+]{0,%d}\*\*\*" % m["keep"],
                                            shown.strip()), shown
                elif m["mask"] == "network":
                    # a network that was wider already stays
                    assert shown.strip() != value or value.endswith(("/0", "/8")), (kind, value)
                elif len(value) > 4:
                    assert value not in shown, (kind, value, shown)
    number = list(KINDS).index("inet")
    rows = dict(animals.rows(f"SELECT n, c0::text FROM zoo{number} WHERE n >= 0", PERSON))
    shown = {v: rows[i] for i, v in enumerate(KINDS["inet"][0])}
    assert shown["203.0.113.77"] == "203.0.0.0/16" and shown["10.1.2.3/8"] == "10.0.0.0/8"
    assert shown["2001:db8:1:2::3"] == "2001:db8::/32" and shown["255.255.255.255/0"] == "0.0.0.0/0"
    number = list(KINDS).index("text")
    rows = animals.rows(f"SELECT n, {columns_of(animals, number, 'network')[0]} FROM zoo{number}"
                        " WHERE n >= 0", PERSON)
    shown = {KINDS["text"][0][n]: v for n, v in rows}
    assert shown["203.0.113.77"] == "203.0.0.0/16" and shown["1.2.3.4.5"] == shown["1234.1.1.1"] == "***"


def columns_of(region, number, mask):
    return [c for c, m in region.policy["tables"][f"app.zoo{number}"]["columns"].items()
            if isinstance(m, dict) and m["mask"] == mask]


def test_a_mask_that_a_domain_would_refuse_is_refused(animals):
    good = copy.deepcopy(animals.policy)
    number = list(KINDS).index("app.mail")
    before = animals.snapshot()
    column = columns_of(animals, number, "constant")[0]
    try:
        for mask, says in (({"class": "contact", "mask": "pseudonym"}, "has a CHECK"),
                           ({"class": "contact", "mask": "redact"}, "check constraint")):
            animals.policy["tables"][f"app.zoo{number}"]["columns"][column] = mask
            assert says in animals.command("apply").stderr
            assert animals.snapshot() == before
    finally:
        animals.policy = good


# -- expressions ---------------------------------------------------------------------------------------

EXPRESSIONS = r"""
CREATE TABLE app.words (n integer PRIMARY KEY, who bigint NOT NULL REFERENCES app.people,
    home char(2) NOT NULL, a text, b text COLLATE app.loose, i integer, k bigint, s smallint,
    f double precision, d date, x boolean, u uuid, ip inet, g text {columns});
"""


class Speaker:
    """Random expressions of the grammar; the compiler decides which of them are allowed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self, depth):
        r = self.random
        if depth == 0:
            return r.choice(["a", "b", "'x'", "''", "'it''s'", "a", "b", "null"])
        return r.choice([
            lambda: f"{r.choice(['lower', 'upper', 'btrim'])}({self.text(depth - 1)})",
            lambda: f"{r.choice(['left', 'right'])}({self.text(depth - 1)}, {r.randint(0, 4)})",
            lambda: f"split_part({self.text(depth - 1)}, {r.choice(['@', '.', 'a b', ''])!r}, "
                    f"{r.randint(0, 3)})",
            lambda: f"{self.text(depth - 1)} || {self.text(depth - 1)}",
            lambda: f"coalesce({self.text(depth - 1)}, {self.text(depth - 1)})",
            lambda: f"nullif({self.text(depth - 1)}, {self.text(depth - 1)})",
            lambda: f"greatest({self.text(depth - 1)}, {self.text(depth - 1)})",
            lambda: f"({self.number(depth - 1)})::text", lambda: "host(ip)", lambda: "u::text",
            lambda: f"case when {self.truth(depth - 1)} then {self.text(depth - 1)} else "
                    f"{self.text(depth - 1)} end"])()

    def number(self, depth):
        r = self.random
        if depth == 0:
            return r.choice(["i", "k", "s", "7", "-3", "0", "2147483647"])
        return r.choice([
            lambda: f"{self.number(depth - 1)} {r.choice('+-*')} {self.number(depth - 1)}",
            lambda: f"{self.number(depth - 1)} {r.choice('/%')} {r.choice([0, 1, 2, 1000, -1])}",
            lambda: f"length({self.text(depth - 1)})",
            lambda: f"strpos({self.text(depth - 1)}, {r.choice(['', 'a', '@'])!r})",
            lambda: "family(ip)", lambda: f"least({self.number(depth - 1)}, {self.number(depth - 1)})",
            lambda: f"({self.number(depth - 1)})"])()

    def truth(self, depth):
        r = self.random
        if depth == 0:
            return r.choice(["x", "true", "i > 3", "a is null", "f >= 0", "d < date '2000-01-01'",
                             "u = u", "ip is not null"])
        return r.choice([
            lambda: f"{self.text(depth - 1)} {r.choice(['=', '<>', '<', '>='])} {self.text(depth - 1)}",
            lambda: f"{self.number(depth - 1)} {r.choice(['=', '<', '>'])} {self.number(depth - 1)}",
            lambda: f"{self.text(depth - 1)} like {r.choice(['%a%', '_', '', '%'])!r}",
            lambda: f"{self.number(depth - 1)} between {self.number(depth - 1)} and 10",
            lambda: f"{self.text(depth - 1)} not in ('a', 'b')",
            lambda: f"not ({self.truth(depth - 1)})",
            lambda: f"({self.truth(depth - 1)} {r.choice(['and', 'or'])} {self.truth(depth - 1)})"])()


def test_no_expression_that_is_allowed_can_fail(scratch, authority, build):
    """Random expressions over rows of extreme values. Those that the compiler lets pass are computed
    for all combinations; any error would print what a row holds."""
    server = Server(os.path.join(scratch, "words"), authority, build)
    try:
        speaker, count = Speaker(20260517), 400
        texts = [speaker.text(speaker.random.randint(1, 3)) for _ in range(count)]
        sql = PEOPLE + EXPRESSIONS.format(columns="".join(f", e{i} text" for i in range(count)))
        marks = ["", " ", "a", "a@b.c", "日本", "%", "\\", "'", LONG, "\U0001F600", None]
        rows = []
        for n, value in enumerate(marks):
            quoted = "NULL" if value is None else "E'" + value.replace("\\", "\\\\").replace(
                "'", "''") + "'"
            i, k, s = [("2147483647", "9223372036854775807", "32767"),
                       ("-2147483648", "-9223372036854775808", "-32768"), ("0", "0", "0"),
                       ("NULL", "NULL", "NULL")][n % 4]
            rows.append(f"INSERT INTO app.words VALUES ({n}, 1, 'US', {quoted}, {quoted}, {i}, {k}, {s},"
                        f" {['NULL', chr(39) + 'NaN' + chr(39), '1.7e308', '4.9e-324'][n % 4]},"
                        f" {['NULL', 'date ' + chr(39) + 'infinity' + chr(39)][n % 2]},"
                        f" {['true', 'false', 'NULL'][n % 3]}, gen_random_uuid(),"
                        f" {['NULL', chr(39) + '::1' + chr(39)][n % 2]}, 'g'"
                        + ", 'y'" * count + ");")
        load(server, "words", sql + "\n".join(rows))
        columns = {c: "none" for c in ("n", "home", "a", "b", "i", "k", "s", "f", "d", "x", "u", "ip")}
        for i, text in enumerate(texts):
            columns[f"e{i}"] = {"class": "none", "mask": "expression", "sql": text}
        tables = {"app.people": SHAPE_TABLES["app.people"],
                  "app.words": {"subject": "who", "residency": "home",
                                "columns": {"who": "identity", **columns}}}
        region = Region(server, "words", policy_for(server, tables))
        refused = {}
        while True:  # at most a hundred mistakes are told at a time
            done = region.command("plan")
            told = re.findall(r"tables\.app\.words\.columns\.(e\d+): (.*)", done.stderr)
            if done.returncode == 0:
                break
            assert told, done.stderr
            for name, why in told:
                refused[name] = why
                columns_now = region.policy["tables"]["app.words"]["columns"]
                columns_now.pop(name, None)
        allowed = [c for c in region.policy["tables"]["app.words"]["columns"] if c[0] == "e"]
        assert len(allowed) > 100 and len(refused) > 50, (len(allowed), len(refused))
        region.apply()
        try:
            region.rows(f"SELECT {', '.join(allowed)} FROM words ORDER BY n", PERSON)
        except psycopg.Error:
            for name in allowed:
                try:
                    region.rows(f"SELECT {name} FROM words ORDER BY n", PERSON)
                except psycopg.Error as e:
                    pytest.fail(f"{texts[int(name[1:])]}: {e}")
            raise
    finally:
        server.cluster.stop()


def test_the_functions_of_masks_are_listed(shapes, animals):
    """src/enforce/tbl/mask_function.def names what persons must be able to call beside operators and
    casts, and nothing that could do harm."""
    with open(f"{ROOT}/src/enforce/tbl/mask_function.def", encoding="utf-8") as f:
        listed = set(re.findall(r'^MASK_FUNCTION\("([^"]+)"', f.read(), re.M))
    used = set()
    for region in (shapes, animals):
        used |= {name for (name,) in region.rows(
            "SELECT DISTINCT p.proname || '(' || oidvectortypes(p.proargtypes) || ')' FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_rewrite w ON w.ev_class = c.oid,"
            " regexp_matches(w.ev_action::text, ':(?:opfuncid|funcid) ([1-9][0-9]*)', 'g') m"
            " JOIN pg_proc p ON p.oid = m[1]::oid WHERE n.nspname = 'masked'"
            " AND p.oid NOT IN (SELECT oprcode FROM pg_operator)"
            " AND (p.proargtypes[0] = 'bit'::regtype OR p.oid NOT IN (SELECT castfunc FROM pg_cast))")}
    assert used - listed == set()
    known = {name for (name,) in animals.rows(
        "SELECT p.proname || '(' || oidvectortypes(p.proargtypes) || ')' FROM pg_proc p"
        " WHERE p.oid < 16384 AND p.provolatile <> 'v' AND NOT p.prosecdef AND p.prokind = 'f'"
        " AND p.pronamespace = 'pg_catalog'::regnamespace")}
    assert listed - known == set()
