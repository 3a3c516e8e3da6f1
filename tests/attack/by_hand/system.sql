-- Past the rooms: files, programs, roles, other databases, the server's own notes.
SELECT * FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
SELECT * FROM pg_stats_ext
SELECT * FROM pg_stat_activity
SELECT query FROM pg_stat_activity WHERE usename LIKE 'app%'
SELECT pg_stat_get_backend_activity(s) FROM pg_stat_get_backend_idset() s
SELECT * FROM pg_db_role_setting
SELECT definition FROM pg_views WHERE schemaname IN ('masked', 'stats', 'granted')
SELECT ev_action FROM pg_rewrite
SELECT rolpassword FROM pg_authid
SELECT passwd FROM pg_shadow
SELECT most_common_vals::text || histogram_bounds::text FROM pg_stats WHERE tablename = 'users'
SELECT stavalues1, stavalues2 FROM pg_statistic
SELECT * FROM pg_hba_file_rules
SELECT pg_read_file('/etc/passwd')
SELECT pg_read_file('base/1/1259')
SELECT pg_read_binary_file(pg_relation_filepath('app.users'))
SELECT * FROM pg_ls_dir('.')
SELECT pg_relation_filepath('app.users')
COPY (SELECT 1) TO PROGRAM 'id'
COPY (SELECT * FROM users) TO '/tmp/ringfence-attack'
SELECT lo_import('/etc/passwd')
CREATE EXTENSION dblink ;; SELECT dblink_connect('dbname=app user=postgres')
CREATE EXTENSION pageinspect ;; SELECT get_raw_page('app.users', 0)
CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw
CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()
CREATE PUBLICATION p FOR TABLE app.users
SELECT pg_create_logical_replication_slot('s', 'test_decoding') ;; SELECT * FROM pg_logical_slot_get_changes('s', NULL, NULL)
SELECT pg_logical_slot_peek_changes('s', NULL, NULL)
ALTER ROLE CURRENT_USER SUPERUSER
ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'
GRANT rf_view TO CURRENT_USER ;; SET ROLE rf_view ;; TABLE app.users
ALTER VIEW masked.users OWNER TO CURRENT_USER
ALTER VIEW masked.users SET (security_invoker = true) ;; SELECT * FROM users
CREATE OR REPLACE VIEW masked.users AS SELECT * FROM app.users
DROP VIEW masked.users
CREATE SCHEMA mine
CREATE RULE r AS ON SELECT TO users DO INSTEAD SELECT * FROM app.users
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC
SECURITY LABEL ON TABLE app.users IS 'x'
COMMENT ON TABLE app.users IS 'x'
REINDEX TABLE app.users
VACUUM VERBOSE app.users
ANALYZE VERBOSE app.users
CLUSTER VERBOSE app.users
REFRESH MATERIALIZED VIEW masked.users
CALL pg_catalog.now()
IMPORT FOREIGN SCHEMA app FROM SERVER s INTO public
CHECKPOINT
SELECT pg_promote()
SELECT pg_switch_wal()
SELECT pg_reload_conf()
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app_us'
SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'app_us'
SELECT pg_log_backend_memory_contexts(pg_backend_pid())
SELECT * FROM pg_get_shmem_allocations()
SELECT inet_server_addr(), pg_conf_load_time(), pg_postmaster_start_time()
SELECT pg_current_logfile()
SELECT * FROM pg_walfile_name('0/0')
SELECT pg_control_system()
SELECT getdatabaseencoding(), pg_get_keywords()
