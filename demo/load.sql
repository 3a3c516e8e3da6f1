-- One small step of the application: somebody watches something and looks at what is next.
\set who random(:first, :first + :users - 1)
\set what random(:first, :first + :users - 1)
\set how_long random(1, 180)
INSERT INTO watch_events (user_id, video_id, seconds, residency)
SELECT u.id, :what, :how_long, u.residency FROM users u WHERE u.id = :who;
SELECT v.id, v.title FROM videos v WHERE v.user_id = :who ORDER BY v.created_at DESC LIMIT 5;
