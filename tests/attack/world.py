"""The world that is attacked: a region with the policy applied, people in it whose every protected
value is a canary, and beside it the same tables with nothing in front of them.

`app`   the protected database: primary, hot standby, and a gateway in front of both
`open`  the protected database with every other wall taken down: all functions allowed, also those of
        one's own, temporary objects too. What is left are the views, which must hold alone
`bare`  a copy made before the policy came, with a role that may read the tables: what the attacks
        would find if Ringfence were not there"""

import datetime
import itertools
import os
import subprocess

import psycopg
from canary import (DIGITS, KEYS, LETTERS, Canary, digits_form, float_forms, hash_forms,
                    integer_form, key_forms, text_forms, time_forms)
from gateway import ROOT, Gateway
from postgres import Pair
from region import apply_policy

HERE = os.path.dirname(os.path.abspath(__file__))
BARE, OPEN = "attack_bare", "attack_open"
PERSON = {"stats": "cn_engineer", "masked": "us_analyst"}
# others at the primary: the settings of a role travel to the standby
ON_PRIMARY = {"stats": "cn_head_of_engineering", "masked": "us_head_of_data"}

# Everybody who carries canaries. One of them is named by the grant of room `granted`.
STRANGER, NAMED, PARTNER, CHILD = "stranger", "named", "partner", "child"
GRANT = 4001
GRANTED_CLASSES = ["identity", "contact", "location"]


class Planter:
    """Makes the rows of the people who carry canaries, and the list of their canaries."""

    def __init__(self):
        self.canaries = []
        self.keys = {}     # subject: the key of his row in users
        self.rows = []     # (table, {column: value}), in the order in which they go in
        self.count = itertools.count(1)

    def text(self, subject, class_name, place, behind=""):
        """A text that names its place by three letters, and what is common BEHIND it."""
        number = next(self.count)
        value = LETTERS + "".join(chr(97 + number // 26 ** i % 26) for i in range(3))
        forms = text_forms(value) + (hash_forms(value + behind) if behind else [])
        self.canaries.append(Canary(subject, class_name, place, value, forms))
        return value + behind

    def key(self, subject, place, class_name="identity"):
        value = KEYS + next(self.count)
        self.canaries.append(Canary(subject, class_name, place, value, key_forms(value)))
        return value

    def digits(self, subject, class_name, place, before=""):
        value = f"{before}{DIGITS}{next(self.count):05d}"
        self.canaries.append(Canary(subject, class_name, place, value,
                                    digits_form(value[len(before):])))
        return value

    def degrees(self, subject, place, whole):
        value = float(f"{whole}.{DIGITS}{next(self.count):04d}1")
        self.canaries.append(Canary(subject, "location", place, value, float_forms(value)))
        return value

    def moment(self, subject, place, day):
        fraction = f"{DIGITS}{next(self.count) % 10}"
        minutes, seconds = divmod(next(self.count), 60)
        value = f"{day} 17:{minutes:02d}:{seconds:02d}.{fraction}+00"
        tail = value[-15:-3]  # minutes, seconds and fraction, whatever the time zone
        whole = int(datetime.datetime.fromisoformat(value[:19] + "+00:00").timestamp())
        self.canaries.append(Canary(subject, "activity", place, value,
                                    time_forms(tail, f"{whole}.{fraction}")))
        return value

    def born(self, subject, date):
        stamp = int(datetime.datetime(date.year, date.month, date.day,
                                      tzinfo=datetime.timezone.utc).timestamp())
        forms = [date.isoformat(), date.strftime("%Y%m%d"), date.strftime("%m-%d-%Y"),
                 date.strftime("%m/%d/%Y"), date.strftime("%d.%m.%Y"), str(stamp)]
        self.canaries.append(Canary(subject, "identity", "users.birthdate", date,
                                    [form.encode() for form in forms]))
        return date

    def cents(self, subject):
        value = 1973100017 + 10013 * next(self.count)
        self.canaries.append(Canary(subject, "payment", "purchases.cents", value,
                                    integer_form(value)))
        return value

    def address(self, subject):
        value = f"203.0.113.{next(self.count) % 250}"
        self.canaries.append(Canary(subject, "location", "locations.ip", value, [value.encode()]))
        return value

    def add(self, table, **columns):
        self.rows.append((table, {**columns, "residency": "US"}))

    def person(self, subject, born):
        """One row in every table."""
        user = self.keys[subject] = self.key(subject, "users.id")
        self.add("users", id=user, handle=self.text(subject, "identity", "users.handle"),
                 email=self.text(subject, "contact", "users.email", "@nowhere.example"),
                 phone=self.digits(subject, "contact", "users.phone", "+1"),
                 birthdate=self.born(subject, born),
                 created_at=self.moment(subject, "users.created_at", "2026-01-06"))
        video = self.key(subject, "videos.id")
        self.add("videos", id=video, user_id=user,
                 title=self.text(subject, "content", "videos.title"),
                 created_at=self.moment(subject, "videos.created_at", "2026-02-03"))
        self.add("watch_events", id=self.key(subject, "watch_events.id"), user_id=user,
                 video_id=video, at=self.moment(subject, "watch_events.at", "2026-03-02"),
                 seconds=11)
        self.add("searches", id=self.key(subject, "searches.id"), user_id=user,
                 at=self.moment(subject, "searches.at", "2026-03-02"),
                 q=self.text(subject, "content", "searches.q"))
        self.add("locations", id=self.key(subject, "locations.id"), user_id=user,
                 at=self.moment(subject, "locations.at", "2026-03-02"),
                 lat=self.degrees(subject, "locations.lat", 38),
                 lon=self.degrees(subject, "locations.lon", -77), ip=self.address(subject))
        self.add("purchases", id=self.key(subject, "purchases.id"), user_id=user,
                 at=self.moment(subject, "purchases.at", "2026-03-02"), cents=self.cents(subject),
                 card_last4=self.text(subject, "payment", "purchases.card_last4"))

    def message(self, sender, recipient):
        """What two people share is in clear only for a grant that names both: it belongs to a
        subject that no grant names."""
        both = f"{sender} and {recipient}"
        self.add("messages", id=self.key(both, "messages.id"), sender_id=self.keys[sender],
                 recipient_id=self.keys[recipient],
                 at=self.moment(both, "messages.at", "2026-03-02"),
                 body=self.text(both, "content", "messages.body"))


def keep_searches(policy):
    policy["tables"]["app.searches"]["retention"] = {"column": "at", "keep": "1500 days"}


def populate():
    planter = Planter()
    today = datetime.date.today()
    planter.person(STRANGER, datetime.date(1931, 7, 23))
    planter.person(NAMED, datetime.date(1934, 10, 19))
    planter.person(PARTNER, datetime.date(1937, 5, 27))
    planter.person(CHILD, datetime.date(today.year - 12, 11, 21))
    for sender, recipient in ((STRANGER, PARTNER), (PARTNER, NAMED), (NAMED, PARTNER),
                              (CHILD, STRANGER), (PARTNER, CHILD)):
        planter.message(sender, recipient)
    old = planter.keys["old search"] = planter.key("old times", "searches.id")
    planter.add("searches", id=old, user_id=planter.keys[STRANGER], at="2019-03-04 05:06:07+00",
                q=planter.text("old times", "content", "searches.q"))
    return planter


def insert(connection, rows):
    for table, columns in rows:
        names = ", ".join(columns)
        marks = ", ".join(["%s"] * len(columns))
        connection.execute(f"INSERT INTO app.{table}({names}) VALUES ({marks})",
                           list(columns.values()))


class World:
    """Made below FOLDER; close() ends all its processes."""

    def __init__(self, folder, authority, build, sandbox, slow=1):
        region = os.path.join(folder, "region")
        os.makedirs(region, mode=0o755)
        self.pair = Pair(region, authority)
        self.planted = populate()
        self.canaries = self.planted.canaries
        self.colleagues = []
        try:
            self.fill(folder, authority, build, sandbox, slow)
        except BaseException:
            self.pair.stop()
            raise

    def fill(self, folder, authority, build, sandbox, slow):
        self.load()
        self.make_bare()
        self.gateway = Gateway(os.path.join(folder, "gateway"), self.pair, authority, build,
                               sandbox, slow, config=self.settings(), policy=self.change_policy)
        apply_policy(self.gateway)
        self.add_what_would_show(CHILD,
                                 "UPDATE app.users SET birthdate = '1950-01-01' WHERE id = %s",
                                 self.planted.keys[CHILD])
        self.add_what_would_show("old times", "UPDATE app.searches SET at = now() WHERE id = %s",
                                 self.planted.keys["old search"])
        self.make_open()
        self.grant, self.grant_role = self.open_first()
        self.add_keys()
        self.pair.wait_for_standby()
        self.colleagues = [self.work_as_a_service(server)
                           for server in (self.pair.primary, self.pair.standby)]

    def close(self):
        for connection in self.colleagues:
            connection.close()
        try:
            self.gateway.stop()
        finally:
            self.gateway.kill()
            self.pair.stop()

    def start(self):
        self.gateway.start()

    # --- how it is made ---

    def settings(self):
        """What the gateway's configuration has besides."""
        return {"limits": {"clients": 200}}

    def change_policy(self, policy):
        keep_searches(policy)

    def open_first(self):
        """(number, role) of the grant of room `granted`."""
        return GRANT, self.open_grant(GRANT, [NAMED], GRANTED_CLASSES)

    def load(self):
        primary = self.pair.primary
        primary.rows("CREATE DATABASE app", dbname="postgres")
        demo = os.path.join(ROOT, "demo")
        self.run_file(f"{demo}/schema.sql")
        # canaries first: an error stops a statement at its first row, so that should be one of theirs
        with primary.connect() as connection:
            insert(connection, self.planted.rows)
        self.run_file(f"{HERE}/crowd.sql")
        self.run_file(f"{demo}/index.sql")

    def run_file(self, path):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f",
                               path, self.pair.primary.dsn()], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout)

    def make_bare(self):
        primary = self.pair.primary
        primary.rows("CREATE DATABASE bare TEMPLATE app", dbname="postgres")
        primary.rows(f"CREATE ROLE {BARE} LOGIN", dbname="postgres")
        primary.rows(f"GRANT CONNECT, TEMPORARY ON DATABASE bare TO {BARE}", dbname="postgres")
        primary.rows(f"ALTER ROLE {BARE} SET search_path = app", dbname="postgres")
        primary.rows(f"GRANT USAGE ON SCHEMA app TO {BARE}", dbname="bare")
        primary.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA app TO {BARE}", dbname="bare")

    def make_open(self):
        """OPEN is no person's role, so the self-check of the real database has nothing to say."""
        primary = self.pair.primary
        primary.rows("CREATE DATABASE open TEMPLATE app", dbname="postgres")
        primary.rows("REVOKE ALL ON DATABASE open FROM PUBLIC", dbname="postgres")
        primary.rows(f"CREATE ROLE {OPEN} LOGIN", dbname="postgres")
        primary.rows(f"GRANT CONNECT, TEMPORARY ON DATABASE open TO {OPEN}", dbname="postgres")
        primary.rows(f"ALTER ROLE {OPEN} SET search_path = masked", dbname="postgres")
        for sql in (f"GRANT USAGE ON SCHEMA masked TO {OPEN}",
                    f"GRANT SELECT ON ALL TABLES IN SCHEMA masked TO {OPEN}",
                    f"GRANT USAGE ON LANGUAGE sql, plpgsql TO {OPEN}"):
            primary.rows(sql, dbname="open")
        # but those that PostgreSQL itself keeps from everybody: files, replication, other databases
        with primary.connect("open") as connection:
            connection.execute(
                f"DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT p.oid FROM pg_proc p"
                f" WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a', 'w')"
                f" AND NOT EXISTS (SELECT FROM pg_init_privs i WHERE i.objoid = p.oid"
                f"  AND i.classoid = 'pg_proc'::regclass)"
                f" LOOP EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO {OPEN}', f); END LOOP; END $$")

    def add_what_would_show(self, subject, change, key):
        """Rows of children, and rows that are kept no longer, are absent: their pseudonyms are
        canaries too. They are read where CHANGE has made the row one that shows."""
        with self.pair.primary.connect() as connection:
            before = self.masked_identities(connection)
            with connection.transaction(force_rollback=True):
                assert connection.execute(change, [key]).rowcount == 1
                pseudonyms = self.masked_identities(connection) - before
        assert pseudonyms, f"nothing of {subject} was absent"
        for value in sorted(pseudonyms):
            self.canaries.append(Canary(subject, "absent", "a masked row", value,
                                        digits_form(value)))

    @staticmethod
    def masked_identities(connection):
        """Every value of every masked key and handle, as text."""
        found = set()
        for table, column in (("users", "id"), ("users", "handle"), ("videos", "id"),
                              ("watch_events", "id"), ("searches", "id"), ("locations", "id"),
                              ("purchases", "id"), ("watch_events", "user_id")):
            rows = connection.execute(f"SELECT {column}::text FROM masked.{table}").fetchall()
            found |= {value for (value,) in rows}
        return found

    def add_keys(self):
        """What undoes pseudonyms or forges disclosures: every key, token and secret of ours."""
        places = self.pair.primary.rows(
            "SELECT attrelid::regclass::text, attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
            " WHERE relnamespace = 'ringfence'::regnamespace AND relkind = 'r'"
            " AND attname IN ('key', 'token', 'secret') AND atttypid IN ('text'::regtype, 'bytea'::regtype)")
        for table, column in places:
            for (value,) in self.pair.primary.rows(f"SELECT DISTINCT {column} FROM {table}"):
                text = value if isinstance(value, str) else bytes(value).hex()
                forms = text_forms(text) + ([] if isinstance(value, str) else [bytes(value)])
                self.canaries.append(Canary("the region", "key", f"{table}.{column}", text, forms))
        assert places, "the region has no key"

    def open_grant(self, number, subjects, classes):
        """The role of a grant, where the database knows grants."""
        primary = self.pair.primary
        if primary.value("SELECT to_regproc('ringfence.grant_open')") is None:
            return None
        return primary.value(
            "SELECT ringfence.grant_open(%s, %s, 'support_ticket', now() + interval '3 hours', %s, %s)",
            number, PERSON["masked"], [str(self.planted.keys[name]) for name in subjects], classes)

    def work_as_a_service(self, server):
        """A session of the application whose statement holds a canary: others' statements are not
        for persons either."""
        secret = f"{LETTERS}statement"
        if not any(canary.value == secret for canary in self.canaries):
            self.canaries.append(Canary("a service", "statement", "pg_stat_activity.query", secret,
                                        text_forms(secret)))
        connection = psycopg.connect(server.dsn().replace("user=postgres", "user=app_us"),
                                     autocommit=True)
        connection.execute(f"SELECT '{secret}', count(*) FROM app.users")
        return connection

    # --- who is who ---

    def allowed(self, room):
        """What a session in ROOM may see: under the grant, the named subject's granted classes."""
        if room == "granted":
            return lambda c: c.subject == NAMED and c.class_name in GRANTED_CLASSES
        return lambda c: False

    def has(self, room):
        """Whether the database knows this room."""
        return room != "granted" or self.grant_role is not None

    def role(self, room, primary=False):
        if room == "granted":
            return self.grant_role
        return f"{(ON_PRIMARY if primary else PERSON)[room]}.{room}"
