"""Sizes and counters: how long a value is, how large a table, how often it was read."""


def attack(g):
    table = g.table()
    clause, columns = g.scope(table)
    text, column = g.as_text(columns), g.column(columns)
    relation = g.one(f"'{table}'", f"'app.{table}'", f"'app.{table}_pkey'",
                     "'ringfence.pseudonym_key'", "c.oid")
    ask = g.one(f"pg_column_size({column})", f"octet_length({text})",
                f"pg_relation_size({relation}::regclass)", f"bit_length({text})",
                f"pg_total_relation_size({relation}::regclass)",
                f"pg_table_size({relation}::regclass)", "c.reltuples", "c.relpages",
                f"pg_stat_get_live_tuples({relation}::regclass)",
                f"pg_stat_get_tuples_inserted({relation}::regclass)",
                f"pg_column_compression({column})",
                f"pg_stat_get_numscans({relation}::regclass)",
                "pg_database_size(current_database())",
                f"pg_relation_filenode({relation}::regclass)",
                "pg_stat_get_xact_tuples_returned(c.oid)", "pg_stat_get_blocks_hit(c.oid)",
                "pg_stat_get_last_autoanalyze_time(c.oid)")
    return f"SELECT {ask}, {g.value(columns)} FROM pg_class c, {clause} WHERE c.relname = '{g.one(table, table + '_pkey')}'{g.limit()}"
