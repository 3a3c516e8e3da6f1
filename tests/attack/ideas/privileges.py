"""Privilege and existence oracles: functions that answer about what one may not read."""


def attack(g):
    table = g.table()
    column = g.one(*g.tables[table])[0]
    clause, columns = g.scope(table)
    ask = g.one(
        f"has_table_privilege('{g.one('app', 'masked', 'ringfence')}.{table}', 'SELECT')",
        f"has_column_privilege('app.{table}', '{column}', 'SELECT')",
        f"has_any_column_privilege(c.oid, 'SELECT')", "pg_has_role('rf_view', 'USAGE')",
        "has_schema_privilege('ringfence', 'USAGE')",
        f"to_regclass('app.{table}')", f"'app.{table}'::regclass::oid",
        f"row_security_active('{table}')", "has_function_privilege(65, 'EXECUTE')",
        "has_database_privilege('postgres', 'CONNECT')", "pg_get_userbyid(10)",
        "has_parameter_privilege('log_statement', 'SET')",
        f"col_description('app.{table}'::regclass, 1)",
        f"pg_get_viewdef('masked.{table}'::regclass, true)", "pg_get_constraintdef(c.oid)",
        f"pg_get_expr(c.relpartbound, c.oid)", "acldefault('r', 10)",
        f"pg_relation_is_updatable('{table}', true)", f"pg_identify_object(1259, c.oid, 0)")
    return f"SELECT {ask}, ({g.text(columns)})::text FROM pg_class c, {clause} WHERE c.relname = '{table}'{g.limit()}"
