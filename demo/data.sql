-- Seeded sample data: the same on every run. Nobody in it exists; addresses and numbers are from the
-- ranges set aside for examples (RFC 2606, RFC 5737, RFC 3849).
--   -v users=35000      how many persons; 20 events each
--   -v first=1          the first person's id
--   -v homes="{US}"     countries of residence
--   -v south= -v north= -v west= -v east=   where they are
\set ON_ERROR_STOP on
SET synchronous_commit = off;
SET max_parallel_workers_per_gather = 0;
SET TimeZone = 'UTC';

-- Where a person lives follows from the id, so that every table agrees.
SELECT format('CREATE FUNCTION pg_temp.home(id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS %L',
              format('SELECT (%L::text[])[1 + (id * 7919 %% 1009) %% %s]', :'homes',
                     cardinality(:'homes'::text[]))) \gexec
-- Any of N things, small numbers far more often.
CREATE FUNCTION pg_temp.popular(n bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT floor(power(random(), 3) * n)::bigint $$;

CREATE TEMP TABLE word (n int PRIMARY KEY, name text, title text, message text, search text);
INSERT INTO word VALUES
 (0, 'maya', 'My first week in the new city', 'see you at eight?', 'how to cook rice'),
 (1, 'zoë', 'Crème brûlée, étape par étape', 'déjà vu 😅', 'recette crêpes'),
 (2, 'łukasz', 'Zażółć gęślą jaźń — na głos', 'do zobaczenia!', 'pogoda kraków'),
 (3, 'jürgen', 'Straßenmusik für Anfänger', 'schöne Grüße', 'günstige Flüge'),
 (4, 'ирина', 'Как я научилась играть на гитаре', 'привет, как дела?', 'рецепт борща'),
 (5, 'ελένη', 'Μια μέρα στη θάλασσα', 'καλημέρα ☀️', 'παραλίες κρήτη'),
 (6, 'ليلى', 'رحلة إلى الجبال', 'صباح الخير', 'وصفات سهلة'),
 (7, 'נועה', 'בוקר של שבת', 'מה נשמע?', 'מתכון חלה'),
 (8, 'प्रिया', 'घर की चाय', 'कल मिलते हैं', 'मौसम आज'),
 (9, 'さくら', '猫と暮らす一日', 'お疲れさまです', '東京 カフェ'),
 (10, '민준', '오늘의 운동 루틴', '내일 봐요 👋', '서울 날씨'),
 (11, '小明', '一个人的旅行 ✈️', '吃饭了吗？', '上海 美食'),
 (12, 'dancer', '💃🏽🕺🏿 dance challenge 👨‍👩‍👧‍👦', '😂😂😂', '#dance'),
 (13, 'oʼbrien', 'It''s "quoted", with \ and % and ; in it', 'it''s fine', 'o''brien; --'),
 (14, 'nguyễn', 'Phở bò Hà Nội', 'hẹn gặp lại', 'phở ngon'),
 (15, 'sam', 'untitled', 'ok', 'x');
ANALYZE word;

\set events_from '''2026-05-01 00:00+00'''::timestamptz
\set events_for '''180 days'''::interval

SELECT setseed(0.11);
INSERT INTO app.users (id, handle, email, phone, birthdate, residency, created_at)
SELECT i, w.name || '_' || to_hex(i * 7919 % 1048573) || to_hex(i),
       'user' || i || '@example.' || (ARRAY['com', 'net', 'org'])[1 + i % 3],
       CASE WHEN random() < 0.7 THEN '+1555' || lpad((i * 104729 % 10000000)::text, 7, '0') END,
       date '1958-01-01' + floor(random() * 20000)::int,
       pg_temp.home(i),
       timestamptz '2024-01-01 00:00+00' + random() * interval '850 days'
FROM generate_series(:first::bigint, :first::bigint + :users - 1) i
JOIN word w ON w.n = i % 16 ORDER BY i;

SELECT setseed(0.12);
INSERT INTO app.videos (id, user_id, title, created_at, residency)
SELECT v.i, v.u,
       CASE WHEN v.i % 4999 = 0 THEN repeat(w.title || E'\n', 150) ELSE w.title || ' #' || v.i END,
       v.at, pg_temp.home(v.u)
FROM (SELECT i, :first::bigint + pg_temp.popular(:users) AS u,
             :events_from - random() * interval '400 days' AS at
      FROM generate_series(:first::bigint, :first::bigint + :users - 1) i) v
JOIN word w ON w.n = v.i % 16 ORDER BY v.i;

SELECT setseed(0.13);
INSERT INTO app.watch_events (id, user_id, video_id, at, seconds, residency)
SELECT i, u, video, at, seconds, pg_temp.home(u)
FROM (SELECT i, :first::bigint + floor(random() * :users)::bigint AS u,
             :first::bigint + pg_temp.popular(:users) AS video,
             :events_from + i * (:events_for / (:users * 14)) AS at,
             floor(random() * random() * 180)::int AS seconds
      FROM generate_series(1::bigint, :users * 14) i) e ORDER BY i;

SELECT setseed(0.14);
INSERT INTO app.searches (id, user_id, at, q, residency)
SELECT e.i, e.u, e.at, w.search || CASE WHEN e.i % 3 = 0 THEN ' ' || e.i ELSE '' END,
       pg_temp.home(e.u)
FROM (SELECT i, :first::bigint + floor(random() * :users)::bigint AS u,
             :events_from + i * (:events_for / (:users * 2)) AS at
      FROM generate_series(1::bigint, :users * 2) i) e
JOIN word w ON w.n = e.i * 31 % 16 ORDER BY e.i;

SELECT setseed(0.15);
INSERT INTO app.locations (id, user_id, at, lat, lon, ip, residency)
-- as coarse as the policy's ingest rules have it, and nothing of children
SELECT i, u, at, CASE WHEN child.id IS NULL THEN round(lat * 10) / 10 END,
       CASE WHEN child.id IS NULL THEN round(lon * 10) / 10 END,
       CASE WHEN i % 7 = 0 OR child.id IS NOT NULL THEN NULL
            WHEN i % 5 = 0 THEN ('2001:db8:' || to_hex(i % 65535) || '::/48')::inet
            ELSE ('203.0.' || i % 256 || '.0/24')::inet END,
       pg_temp.home(u)
FROM (SELECT i, :first::bigint + floor(random() * :users)::bigint AS u,
             :events_from + i * (:events_for / (:users * 2)) AS at,
             CASE WHEN i % 10 <> 0 THEN :south + random() * (:north - (:south)) END AS lat,
             CASE WHEN i % 10 <> 0 THEN :west + random() * (:east - (:west)) END AS lon
      FROM generate_series(1::bigint, :users * 2) i) e
LEFT JOIN app.users child ON child.id = u
     AND (child.birthdate <= current_date - interval '18 years') IS NOT TRUE
ORDER BY i;

SELECT setseed(0.16);
INSERT INTO app.messages (id, sender_id, recipient_id, at, body, residency)
SELECT e.i, e.u, e.v, e.at,
       CASE WHEN e.i % 3001 = 0 THEN repeat(w.message || ' ', 400) ELSE w.message END,
       pg_temp.home(e.u)
FROM (SELECT i, :first::bigint + floor(random() * :users)::bigint AS u,
             :first::bigint + floor(random() * :users)::bigint AS v,
             :events_from + i * (:events_for / (:users * 3 / 2)) AS at
      FROM generate_series(1::bigint, :users * 3 / 2) i) e
JOIN word w ON w.n = e.i * 7 % 16 ORDER BY e.i;

SELECT setseed(0.17);
INSERT INTO app.purchases (id, user_id, at, cents, card_last4, residency)
SELECT i, u, at, 99 + 100 * floor(random() * random() * 200)::int,
       CASE WHEN i % 9 <> 0 THEN lpad((i * 7919 % 10000)::text, 4, '0') END, pg_temp.home(u)
FROM (SELECT i, :first::bigint + floor(random() * :users)::bigint AS u,
             :events_from + i * (:events_for / (:users / 2)) AS at
      FROM generate_series(1::bigint, :users / 2) i) e ORDER BY i;
