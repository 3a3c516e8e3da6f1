"""Catalogs and statistics views: what the server has noted about values, statements and objects."""

VIEWS = """pg_stats pg_statistic pg_stats_ext pg_stats_ext_exprs pg_statistic_ext_data pg_stat_activity
pg_stat_user_tables pg_stat_all_tables pg_stat_xact_all_tables pg_statio_all_tables pg_stat_user_indexes
pg_stat_user_functions pg_stat_replication pg_stat_wal_receiver pg_stat_ssl pg_stat_database
pg_stat_progress_vacuum pg_stat_statements pg_class pg_attribute pg_attrdef pg_constraint pg_index pg_proc
pg_rewrite pg_trigger pg_policy pg_depend pg_description pg_shdescription pg_roles pg_authid pg_shadow pg_user
pg_auth_members pg_db_role_setting pg_settings pg_file_settings pg_hba_file_rules pg_ident_file_mappings
pg_locks pg_cursors pg_prepared_statements pg_prepared_xacts pg_largeobject pg_largeobject_metadata pg_sequences
pg_sequence pg_subscription pg_publication pg_foreign_server pg_user_mappings pg_views pg_matviews pg_rules
pg_indexes pg_tables pg_config pg_shmem_allocations pg_backend_memory_contexts pg_replication_slots pg_range
pg_enum pg_seclabels pg_event_trigger pg_default_acl pg_init_privs pg_extension information_schema.columns
information_schema.tables information_schema.views information_schema.column_privileges
information_schema.check_constraints information_schema.element_types information_schema.user_mapping_options
information_schema.role_table_grants information_schema.sequences information_schema.routines""".split()


def attack(g):
    table = g.table()
    column = g.one(*g.tables[table])[0]
    if g.chance(0.35):
        shown = g.one("*", "most_common_vals", "histogram_bounds",
                      "most_common_vals::text, histogram_bounds::text",
                      "unnest(histogram_bounds::text::text[])",
                      "n_distinct, correlation, null_frac, most_common_vals",
                      "json_agg(s)", "(s.most_common_vals::text::text[])[1:5], histogram_bounds")
        where = g.one("true", f"tablename = '{table}'", f"attname = '{column}'",
                      "schemaname <> 'pg_catalog'",
                      f"schemaname = '{g.one('app', 'masked', 'stats', 'ringfence')}'")
        group = " LIMIT 400" if "json_agg" not in shown else ""
        return f"SELECT {shown} FROM pg_stats s WHERE {where}{group}"
    view = g.random.choice(VIEWS)
    if g.chance(0.3):
        # a catalog joined with a table: does the planner run things in a bad order?
        clause, columns = g.scope()
        return (f"SELECT v::text, {g.as_text(columns)} FROM {view} v, {clause}"
                f" WHERE v::text > {g.as_text(columns)} LIMIT 20")
    shown = g.one("*", "v", "v::text", "row_to_json(v)", "count(*)", "string_agg(v::text, ';')")
    where = g.one("", f" WHERE v::text LIKE '%{table}%'", f" WHERE v::text ~ '{column}'")
    return f"SELECT {shown} FROM {view} v{where}{g.limit()}"
