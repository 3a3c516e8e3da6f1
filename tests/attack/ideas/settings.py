"""SET, SHOW, roles: settings that change what is shown, logged, planned or believed."""

SETTINGS = """row_security=off|client_min_messages=debug5|debug_print_plan=on|debug_print_parse=on|debug_print_rewritten=on
log_statement='all'|log_min_duration_statement=0|log_min_messages=debug5|track_activities=off|bytea_output=escape
standard_conforming_strings=off|backslash_quote=on|escape_string_warning=on|client_encoding='SQL_ASCII'|client_encoding='SJIS'
default_transaction_read_only=off|transaction_read_only=off|session_replication_role=replica|role='rf_view'|role=none
session_authorization='postgres'|datestyle='German, DMY'|intervalstyle='sql_standard'|timezone='Asia/Shanghai'|xmloption=document
extra_float_digits=3|enable_seqscan=off|enable_hashjoin=off|enable_nestloop=off|enable_material=off|jit=on|jit_above_cost=0
join_collapse_limit=1|from_collapse_limit=1|geqo_threshold=2|constraint_exclusion=on|force_parallel_mode=on|parallel_setup_cost=0
max_parallel_workers_per_gather=4|work_mem='64kB'|statement_timeout=0|allow_system_table_mods=on|local_preload_libraries='x'
session_preload_libraries='x'|dynamic_library_path='/tmp'|lo_compat_privileges=on|transform_null_equals=on|array_nulls=off
quote_all_identifiers=on|operator_precedence_warning=on|ringfence.grant='1'|ringfence.room='granted'|search_path=app""".replace("\n",
    "|").split("|")


def attack(g):
    chosen = g.some(SETTINGS, 1, 3)
    scope = g.one("", "", "SESSION ", "LOCAL ")
    sets = [f"SET {scope}{setting}" for setting in chosen]
    if g.chance(0.2):
        sets = [f"SELECT set_config('{setting.split('=')[0]}', {setting.split('=', 1)[1] if chr(39) in setting else chr(39) + setting.split('=', 1)[1] + chr(39)}, false)"
                for setting in chosen]
    if g.chance(0.15):
        sets = [g.one("SET ROLE rf_view", "SET ROLE rf_owner", "SET SESSION AUTHORIZATION app_us",
                      "SET ROLE app_owner", "RESET ROLE",
                      "RESET SESSION AUTHORIZATION", "SET ROLE pg_read_all_data",
                      "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'")]
    look = g.one(g.select(g.one(1, 2)), g.texts(2), g.select())
    name = chosen[0].split("=")[0]
    return [*sets, look + " LIMIT 200", g.one(f"SHOW {name}", "SHOW ALL",
                                              f"SELECT current_setting('{name}', true)"),
            "RESET ALL"]
