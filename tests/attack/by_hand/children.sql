-- Rows of children are absent: conditions that could speak of a row before it is left out.
SELECT 1 FROM watch_events WHERE user_id NOT IN (SELECT id FROM users) AND (user_id || ' ' || at || ' ' || video_id || ' ' || seconds)::int > 0
SELECT 1 FROM videos WHERE user_id NOT IN (SELECT id FROM users) AND (user_id || ' ' || id || ' ' || created_at)::int > 0
SELECT 1 FROM purchases WHERE user_id NOT IN (SELECT id FROM users) AND (user_id || ' ' || cents)::int > 0
SELECT 1 FROM messages WHERE sender_id NOT IN (SELECT id FROM users) AND sender_id::text::int2 > 0
SELECT 1 FROM users u JOIN watch_events w ON (w.user_id || 'x')::int = u.id WHERE w.user_id NOT IN (SELECT id FROM users)
SELECT 1 FROM users WHERE birthdate > current_date - 6000 AND (residency || birthdate)::int > 0
SELECT 1 FROM users WHERE 1 / (extract(year FROM birthdate) - extract(year FROM now()) + 12) > 9
SELECT id, handle, email FROM users WHERE birthdate > current_date - 6600
SELECT w.* FROM watch_events w LEFT JOIN users u ON u.id = w.user_id WHERE u.id IS NULL
SELECT user_id::text FROM watch_events EXCEPT SELECT id::text FROM users
SELECT DISTINCT user_id FROM (SELECT user_id FROM videos UNION SELECT user_id FROM searches UNION SELECT user_id FROM locations UNION SELECT user_id FROM purchases) s
SELECT recipient_id, sender_id FROM messages
SELECT count(*) FILTER (WHERE birthdate > current_date - 6600), max(birthdate), min(id) FROM users
EXPLAIN ANALYZE SELECT * FROM users WHERE birthdate > current_date - 6600
EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) SELECT * FROM watch_events
