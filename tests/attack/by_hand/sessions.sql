-- State that a session keeps: settings, roles, prepared statements, snapshots, cursors held.
SET search_path = app ;; SELECT * FROM users
SET LOCAL search_path = app; SELECT * FROM users
SELECT set_config('search_path', 'app', false) ;; SELECT * FROM users
SELECT U&"set\005fconfig"('search_path', 'app', false) ;; SELECT * FROM users
SET ROLE rf_view ;; TABLE app.users
SET LOCAL ROLE rf_view; TABLE app.users
SET SESSION AUTHORIZATION rf_owner ;; TABLE ringfence.pseudonym_key
SET SESSION AUTHORIZATION DEFAULT ;; RESET ROLE ;; TABLE users
SET ringfence.grant = '1' ;; SELECT * FROM users
SET standard_conforming_strings = off ;; SELECT '\', email, ' FROM app.users --'
SET standard_conforming_strings = off ;; SELECT '\'; TABLE app.users; --'
SET client_encoding = 'SJIS' ;; SELECT email FROM users
SET client_encoding = 'BIG5' ;; SELECT * FROM users WHERE handle = '\\'' OR true --'
SET row_security = off ;; SELECT * FROM users
SET client_min_messages = debug5 ;; SET debug_print_plan = on ;; SELECT * FROM users
SET default_transaction_read_only = off ;; UPDATE users SET handle = handle RETURNING *
BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE ;; SELECT * FROM users ;; ROLLBACK
BEGIN ;; SELECT * FROM app.users ;; SELECT * FROM users ;; ROLLBACK
BEGIN ;; SAVEPOINT a ;; SELECT * FROM app.users ;; ROLLBACK TO a ;; SELECT * FROM users ;; ROLLBACK
PREPARE x AS SELECT * FROM app.users ;; EXECUTE x
PREPARE x AS SELECT * FROM users ;; EXECUTE x ;; EXPLAIN VERBOSE EXECUTE x ;; DEALLOCATE x
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM users ;; FETCH ALL FROM c ;; CLOSE c
BEGIN ;; DECLARE c BINARY CURSOR FOR SELECT * FROM users ;; FETCH ALL FROM c ;; ROLLBACK
DISCARD ALL ;; SELECT * FROM users
RESET ALL ;; SELECT * FROM users
RESET search_path ;; SELECT * FROM users
LISTEN x ;; NOTIFY x, 'y'
CREATE TEMP TABLE users AS SELECT * FROM app.users ;; TABLE users
DO $$BEGIN RAISE NOTICE '%', (SELECT string_agg(email, ',') FROM users); END$$
SELECT ctid, xmin, tableoid FROM users
SELECT * FROM users FOR UPDATE
SELECT * INTO x FROM users ;; TABLE x
WITH x AS (DELETE FROM users RETURNING *) SELECT * FROM x
EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM users
EXPLAIN (VERBOSE, FORMAT JSON) SELECT * FROM users JOIN watch_events ON user_id = users.id
