-- Straight at the clear rows. One script a line; ` ;; ` stands between the statements of one session.
TABLE app.users
SELECT * FROM app.users
SELECT email FROM app.users
SELECT email, phone, handle FROM ONLY app.users
SELECT * FROM users
SELECT * FROM videos
SELECT * FROM watch_events
SELECT * FROM searches
SELECT * FROM locations
SELECT * FROM messages
SELECT * FROM purchases
SELECT u.*, l.*, m.* FROM users u LEFT JOIN locations l ON l.user_id = u.id LEFT JOIN messages m ON m.sender_id = u.id
SELECT NULL::app.users
SELECT (SELECT u FROM app.users u LIMIT 1)
SELECT * FROM ringfence.pseudonym_key
SELECT "key" FROM "ringfence" . "pseudonym_key"
SELECT token FROM ringfence.reveal_token
SELECT * FROM ringfence.grant_subject
SELECT * FROM U&"\0061pp".users
SELECT $a$;$a$ /* /* */ ; */, E'\\';' ; TABLE app.users
SELECT 1; TABLE app.users
SELECT * FROM users WHERE email LIKE '%@nowhere.example'
SELECT * FROM users WHERE phone LIKE '+1%' OR birthdate < '1940-01-01'
SELECT min(id), max(handle), string_agg(email, ','), array_agg(birthdate) FROM users
SELECT lat, lon, ip FROM locations ORDER BY at DESC
SELECT encode(convert_to(email, 'UTF8'), 'base64'), md5(email), sha256(email::bytea), reverse(email) FROM users
SELECT upper(body), encode(body::bytea, 'hex'), encode(body::bytea, 'escape') FROM messages
SELECT float8send(lat), int8send(user_id), timestamptz_send(at) FROM locations
SELECT to_char(at, 'US MS SS'), extract(epoch FROM at), at::text FROM watch_events
SELECT to_hex(id), id::text::bytea, id % 100000000 FROM users
