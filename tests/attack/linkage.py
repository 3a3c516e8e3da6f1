"""Linkage: who is it? An employee at home, without a grant, knows something about a person: a handle, a
video, a day, a message partner. Can he find the person's pseudonym, and with it everything that the
person did? Each attack gives a number: how many of how many people were found.

An attack knows what its docstring says and no more. The truth, which pseudonym is whose, is read by
a superuser to count hits."""

import collections
import hashlib
import json
import os
import random
import re
import struct
import subprocess

import psycopg
from gateway import ROOT, Gateway
from postgres import Pair
from region import apply_policy

VICTIMS = 30


class Result:
    """RIGHT of TRIED people were found; between LOW and HIGH of them is what docs/threat-model.md says."""

    def __init__(self, attack, right, tried, low, high):
        self.attack, self.right, self.tried = attack, right, tried
        self.low, self.high = low, high

    @property
    def share(self):
        return self.right / self.tried

    def is_as_documented(self):
        return self.low <= self.share <= self.high

    def __str__(self):
        return f"{self.attack:<28}{self.right:>6} of {self.tried:<6}{self.share:>8.1%}"


class Town:
    """A region with the demonstration's data for USERS people, and people who write to each other."""

    def __init__(self, folder, authority, build, sandbox, slow=1, users=2000, policy=None):
        region = os.path.join(folder, "region")
        os.makedirs(region, mode=0o755)
        self.users = users
        self.random = random.Random(7)
        self.pair = Pair(region, authority)
        try:
            self.fill(folder, authority, build, sandbox, slow, policy)
        except BaseException:
            self.pair.stop()
            raise

    def fill(self, folder, authority, build, sandbox, slow, policy):
        users = self.users
        self.pair.primary.rows("CREATE DATABASE app", dbname="postgres")
        demo = os.path.join(ROOT, "demo")
        self.run_file(f"{demo}/schema.sql")
        self.run_file(f"{demo}/data.sql", users=users, first=1, homes="{US}", south=25, north=48,
                      west=-122, east=-70)
        self.pair.primary.rows("CREATE TABLE app.scratch(id bigint PRIMARY KEY, name text, value text)")
        self.couples = self.converse()
        self.run_file(f"{demo}/index.sql")
        self.gateway = Gateway(os.path.join(folder, "gateway"), self.pair, authority, build,
                               sandbox, slow,
                               policy=policy)
        apply_policy(self.gateway)
        self.eye = self.connect(self.pair.standby, "us_analyst.masked")
        self.app = self.connect(self.pair.primary, "app_us")
        self.truth = self.pseudonyms()
        self.adults = sorted(self.truth)

    def close(self):
        self.eye.close()
        self.app.close()
        self.pair.stop()

    @staticmethod
    def connect(server, role):
        return psycopg.connect(server.dsn().replace("user=postgres", f"user={role}"),
                               autocommit=True,
                               options="-c jit=off")

    def run_file(self, path, **values):
        variables = [part for name, value in values.items() for part in ("-v", f"{name}={value}")]
        done = subprocess.run(["psql", "-X", "-q", "-o", "/dev/null", *variables, "-f", path,
                               self.pair.primary.dsn()], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout)

    def converse(self):
        """Fifty couples, each on five days, a few messages to and fro within the hour; all messages
        lie in the order of their times, as an application would have written them."""
        chosen = self.random.sample(range(1, self.users + 1), 100)
        couples = list(zip(chosen[::2], chosen[1::2]))
        said = []
        for one, other in couples:
            for day in self.random.sample(range(180), 5):
                minute = self.random.randrange(1300)
                for turn in range(self.random.choice((4, 6, 8))):
                    pair = (one, other) if turn % 2 == 0 else (other, one)
                    said.append((*pair, day, minute + turn * 3))
        with self.pair.primary.connect() as connection:
            connection.execute("CREATE TEMP TABLE said(a bigint, b bigint, day int, minute int)")
            with connection.cursor().copy("COPY said FROM STDIN") as copy:
                for row in said:
                    copy.write_row(row)
            connection.execute(
                "CREATE TEMP TABLE every AS SELECT sender_id, recipient_id, at, body, residency"
                " FROM app.messages UNION ALL SELECT a, b, '2026-05-01 00:00+00'::timestamptz"
                " + day * interval '1 day' + minute * interval '1 minute', 'words', 'US' FROM said")
            connection.execute("TRUNCATE app.messages RESTART IDENTITY")
            connection.execute("INSERT INTO app.messages(sender_id, recipient_id, at, body, residency)"
                               " SELECT * FROM every ORDER BY at")
        return couples

    def pseudonyms(self):
        """{real key: pseudonym} of the adults, by the view's own expression."""
        definition = self.pair.primary.value("SELECT pg_get_viewdef('masked.users'::regclass)")
        expression = re.match(r"\s*(?:WITH .*?\)\s*)?SELECT (.*?) AS id,\s", definition,
                              re.S).group(1)
        # of a view: extension ringfence answers nobody who calls its functions by hand
        self.pair.primary.rows(f"CREATE VIEW public.worked_out AS SELECT t.id, {expression} AS shown"
                               " FROM app.users t")
        real = dict(self.pair.primary.rows("SELECT id, shown FROM public.worked_out"))
        self.pair.primary.rows("DROP VIEW public.worked_out")
        shown = {value for (value,) in self.look("SELECT id FROM users")}
        assert shown <= set(real.values()), "the pseudonyms could not be worked out"
        return {key: value for key, value in real.items() if value in shown}

    # --- what an attacker has ---

    def look(self, sql, *values):
        """As the employee."""
        return self.eye.execute(sql, values or None).fetchall()

    def act(self, sql, *values):
        """As anybody with an account of the application; what he wrote has reached the standby."""
        rows = self.app.execute(sql, values or None).fetchall()
        self.pair.wait_for_standby()
        return rows

    def known(self, sql, *values):
        """What the world knows about people: read from the real tables."""
        return self.pair.primary.rows(sql, *values)

    def victims(self, count=VICTIMS, among=None):
        among = sorted(among if among is not None else self.adults)
        return self.random.sample(among, min(count, len(among)))


# --- attacks that should find nobody --------------------------------------------------------------


def known_values(town):
    """Knows handle, e-mail, telephone, real key, an address, a place and the words of a search, and
    asks for them in every table. Found: an answer of at most five people, the victim among them."""
    right = 0
    victims = town.victims()
    for victim in victims:
        (handle, email,
         phone), = town.known("SELECT handle, email, phone FROM app.users WHERE id = %s", victim)
        places = town.known("SELECT ip::text, lat, lon FROM app.locations WHERE user_id = %s LIMIT 1",
                            victim)
        words = town.known("SELECT q FROM app.searches WHERE user_id = %s LIMIT 1", victim)
        questions = [("SELECT id FROM users WHERE handle = %s", handle),
                     ("SELECT id FROM users WHERE email = %s", email),
                     ("SELECT id FROM users WHERE phone = %s", phone),
                     ("SELECT id FROM users WHERE id = %s", victim),
                     ("SELECT id FROM users WHERE handle LIKE left(%s, 4) || '%%'", handle)]
        questions += [(f"SELECT user_id FROM {table} WHERE user_id = %s", victim)
                      for table in ("watch_events", "searches", "locations", "purchases", "videos")]
        columns = columns_of(town, "locations")
        for ip, lat, lon in places:
            if "ip" in columns and ip:
                questions += [("SELECT user_id FROM locations WHERE ip <<= (%s::inet)", ip)]
            if "lat" in columns and lat:
                questions += [("SELECT user_id FROM locations WHERE abs(lat - %s) < 0.01", lat),
                              ("SELECT user_id FROM locations WHERE abs(lon - %s) < 0.01", lon)]
        for (q,) in words:
            if "q" in columns_of(town, "searches"):
                questions.append(("SELECT user_id FROM searches WHERE q = %s", q))
        for sql, value in questions:
            found = {row[0] for row in town.look(sql, value)}
            if len(found) <= 5 and town.truth[victim] in found:
                right += 1
                break
    return right, len(victims)


def columns_of(town, table):
    return {name for (name,) in town.known(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
        f"masked.{table}")}


def dictionary(town):
    """Knows all real keys and handles, and tries them and every hash he can think of without the region's
    key: plain, with the month, with names of table and column."""
    shown = {str(value) for (value,) in town.look("SELECT id FROM users")}
    shown |= {handle.removeprefix("p_") for (handle,) in town.look("SELECT handle FROM users")}
    month = town.known("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')")[0][0]
    right, people = 0, town.known("SELECT id, handle FROM app.users")
    around = [b"", month.encode(), f"ringfence pseudonym 1 {month} subject".encode(),
              hashlib.sha256(f"ringfence pseudonym 1 {month} subject".encode()).digest(),
              b"app.users.id", b"subject"]
    for key, handle in people:
        values = [struct.pack("!q", key), str(key).encode(), handle.encode()]
        guesses = {str(key), handle}  # not hidden at all is what everybody tries first
        for value in values:
            for salt in around:
                for data in (salt + value, value + salt):
                    for name in ("md5", "sha1", "sha256", "sha512"):
                        digest = hashlib.new(name, data).digest()
                        number = int.from_bytes(digest[:8], "big")
                        guesses |= {digest.hex()[:20], digest.hex(), str(number & (1 << 63) - 1),
                                    str(number - (1 << 64) if number >> 63 else number)}
        right += bool(guesses & shown)
    # PostgreSQL's own hashes, worked out on a server of the attacker's
    for hashes in town.known("SELECT abs(hashint8(g)), hashint8(g), hashint8extended(g, 0), hashtext(g::text)"
                             " FROM generate_series(1, %s::bigint) g", len(people)):
        right += any(str(value) in shown for value in hashes)
    return right, len(people)


def planner(town):
    """Knows a value and asks the planner how many rows it expects of it, and of one that nobody has."""
    def estimate(sql, value):
        (text,), = town.look(f"EXPLAIN (FORMAT JSON) {sql}", value)
        plan = text if isinstance(text, list) else json.loads(text)
        return plan[0]["Plan"]["Plan Rows"], plan[0]["Plan"]["Total Cost"]

    right = 0
    victims = town.victims()
    for victim in victims:
        (handle, email,
         born), = town.known("SELECT handle, email, birthdate FROM app.users WHERE id = %s", victim)
        pairs = [("SELECT * FROM users WHERE handle = %s", handle, "nobody_at_all"),
                 ("SELECT * FROM users WHERE email = %s", email, "nobody@example.invalid"),
                 ("SELECT * FROM users WHERE id = %s", victim, 10 ** 15),
                 ("SELECT * FROM users WHERE birthdate = %s", born, "1871-01-02"),
                 ("SELECT * FROM watch_events WHERE user_id = %s", victim, 10 ** 15),
                 ("SELECT * FROM messages WHERE sender_id = %s", victim, 10 ** 15)]
        right += any(estimate(sql, there) != estimate(sql, nowhere) for sql, there,
                     nowhere in pairs)
    return right, len(victims)


# --- attacks that find some, or all ----------------------------------------------------------------


def rare_combination(town):
    """Knows country, day of birth and day of joining. Found: the only row that fits."""
    seen = collections.Counter(town.look("SELECT residency, birthdate, created_at FROM users"))
    return sum(count for count in seen.values() if count == 1), len(town.adults)


def row_order(town):
    """Knows the victim's real key from an address, and has two accounts of his own, made just before
    and just after. Found: the row between theirs, when the table is read without ORDER BY."""
    order = [pseudonym for (pseudonym,) in town.look("SELECT id FROM users")]
    place = {pseudonym: at for at, pseudonym in enumerate(order)}
    tried = right = 0
    for victim in town.adults:
        before, after = town.truth.get(victim - 1), town.truth.get(victim + 1)
        if before is None or after is None:
            continue
        tried += 1
        at = place[before] + 1
        right += at < len(order) and order[at] == town.truth[victim]
    return right, tried


def public_counters(town):
    """Knows of each video its day and how often it was seen, as the site tells everybody. Found: the
    maker's pseudonym, when the videos of a day are put in the order of their views."""
    public, masked = collections.defaultdict(list), collections.defaultdict(list)
    for day, maker, views in town.known(
            "SELECT v.created_at::date, v.user_id, count(w.id) FROM app.videos v"
            " LEFT JOIN app.watch_events w ON w.video_id = v.id GROUP BY v.id"):
        if maker in town.truth:
            public[day].append((views, maker))
    for day, maker, views in town.look(
            "SELECT v.created_at::date, v.user_id, count(w.id) FROM videos v"
            " LEFT JOIN watch_events w ON w.video_id = v.id GROUP BY v.id, v.created_at, v.user_id"):
        masked[day].append((views, maker))
    right = collections.Counter()
    makers = {maker for day in public.values() for _, maker in day}
    for day, videos in public.items():
        guesses = sorted(masked[day], key=lambda video: -video[0])
        for (_, maker), (_, guess) in zip(sorted(videos, key=lambda video: -video[0]), guesses):
            right[maker] += 1 if town.truth[maker] == guess else -1
    return sum(count > 0 for count in right.values()), len(makers)


def known_days(town):
    """Knows on which days the victim published something. Found: the only maker with these days."""
    days = collections.defaultdict(set)
    for maker, day in town.look("SELECT user_id, created_at FROM videos"):
        days[maker].add(day)
    same = collections.Counter(frozenset(those) for those in days.values())
    joinable = {pseudonym for (pseudonym,) in town.look("SELECT id FROM users")}
    return sum(same[frozenset(those)] == 1 for maker,
               those in days.items() if maker in joinable), len(days)


def own_view(town):
    """Has an account, watches the victim's newest video for a length that nobody else has, and looks
    whose video his own row names. Others watch at the same moment."""
    makers = town.known("SELECT DISTINCT ON (user_id) user_id, id FROM app.videos ORDER BY user_id, id DESC")
    makers = dict(row for row in makers if row[0] in town.truth)
    victims = town.victims(among=makers)
    right = 0
    for victim in victims:
        before = {row[0] for row in town.look("SELECT id FROM watch_events")}
        town.act("INSERT INTO watch_events(user_id, video_id, seconds, residency)"
                 " SELECT u, v, s, 'US' FROM (VALUES (%s::bigint, %s::bigint, 990), (%s, %s, 20), (%s, %s, 30)) x(u, v, s)"
                 " RETURNING id", town.adults[0], makers[victim],
                 *[key for _ in range(2) for key in (town.random.choice(town.adults),
                                                     makers[town.random.choice(victims)])])
        rows = town.look("SELECT w.id, v.user_id FROM watch_events w JOIN videos v ON v.id = w.video_id"
                         " WHERE w.seconds = 990")
        guess = [maker for event, maker in rows if event not in before]
        right += guess == [town.truth[victim]]
    return right, len(victims)


def lure(town):
    """Has an account and a video that nobody knows, and sends its address to the victim, who looks.
    His own look at it, of a length that nobody else has, tells him its pseudonym."""
    victims = town.victims()
    right = 0
    me = town.adults[0]
    for victim in victims:
        before = {row[0] for row in town.look("SELECT id FROM watch_events")}
        town.act("WITH v AS (INSERT INTO videos(user_id, title, residency) VALUES (%s, 'lure', 'US') RETURNING id)"
                 " INSERT INTO watch_events(user_id, video_id, seconds, residency)"
                 " SELECT u, v.id, s, 'US' FROM v, (VALUES (%s::bigint, 770), (%s, 20)) x(u, s) RETURNING id",
                 me, me, victim)
        rows = town.look("SELECT id, user_id, video_id FROM watch_events WHERE seconds = 770")
        new = [row for row in rows if row[0] not in before]
        if len(new) == 1 and new[0][2] is not None:
            found = town.look("SELECT user_id FROM watch_events WHERE video_id = %s AND user_id <> %s",
                              new[0][2], new[0][1])
            right += found == [(town.truth[victim],)]
    return right, len(victims)


def public_moment(town):
    """Sees that the victim publishes something now, and asks before and after; one other person
    publishes in the same moment, so a guess is right half of the time."""
    victims = town.victims()
    right = 0
    for victim in victims:
        before = {row[0] for row in town.look("SELECT id FROM videos")}
        two = [victim, town.random.choice(town.adults)]
        town.random.shuffle(two)
        town.act("INSERT INTO videos(user_id, title, residency) VALUES (%s, 'a', 'US'), (%s, 'b', 'US') RETURNING id",
                 *two)
        new = sorted(maker for video,
                     maker in town.look("SELECT id, user_id FROM videos") if video not in before)
        right += bool(new) and town.random.choice(new) == town.truth[victim]
    return right, len(victims)


def partner_by_days(town):
    """Knows the pseudonym of one of two who write to each other. Found: the sender whose days fit best."""
    days = collections.defaultdict(set)
    for sender, day in town.look("SELECT sender_id, at FROM messages"):
        days[sender].add(day)
    return partners(town, lambda one: max(
        (other for other in days if other != one),
        key=lambda other: len(days.get(one, set()) & days[other]) / (3 + len(days[other])),
        default=None))


def partner_by_order(town):
    """The same, by which senders' rows come next to his in the order of the table."""
    order = [sender for (sender,) in town.look("SELECT sender_id FROM messages")]
    beside = collections.defaultdict(collections.Counter)
    for at, sender in enumerate(order):
        for near in order[max(0, at - 2):at] + order[at + 1:at + 3]:
            if near != sender:
                beside[sender][near] += 1
    return partners(town, lambda one: (beside[one].most_common(1) or [(None, 0)])[0][0])


def partners(town, guess):
    couples = [(a, b) for a, b in town.couples if a in town.truth and b in town.truth]
    right = sum(guess(town.truth[a]) == town.truth[b] for a, b in couples)
    return right, len(couples)


def place_and_day(town):
    """Knows that the victim was at a certain place on a certain day. Found by guessing among those
    who have any place of that day."""
    at = collections.defaultdict(list)
    for user, day in town.look("SELECT user_id, at FROM locations"):
        at[day.date()].append(user)
    right = 0
    rows = [row for row in town.known("SELECT user_id, (at AT TIME ZONE 'UTC')::date FROM app.locations")
            if row[0] in town.truth]
    for victim, day in town.random.sample(rows, 400):
        right += bool(at[day]) and town.random.choice(at[day]) == town.truth[victim]
    return right, 400


# attack, and between which shares it succeeds among 2,000 people: docs/threat-model.md says the same
ATTACKS = [
    (known_values, 0, 0), (dictionary, 0, 0), (planner, 0, 0), (rare_combination, 0, 0.03),
    (place_and_day, 0.01, 0.12), (known_days, 0, 0), (public_counters, 0, 0), (public_moment, 0, 0),
    (partner_by_days, 0, 0), (partner_by_order, 0, 0), (row_order, 0, 0.01), (own_view, 0, 0),
    (lure, 0.9, 1),
]


def run(town, attack):
    """The Result of one of ATTACKS. A column that the policy hides altogether helps nobody."""
    function, low, high = attack
    try:
        right, tried = function(town)
    except psycopg.errors.UndefinedColumn:
        right, tried = 0, len(town.adults)
    return Result(function.__name__.replace("_", " "), right, tried, low, high)
