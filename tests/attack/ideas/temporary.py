"""Temporary objects: take rows along into a table, view or sequence of one's own."""


def attack(g):
    clause, columns = g.scope()
    text = g.as_text(columns)
    table = g.table()
    return g.one(
        [f"CREATE TEMP TABLE mine AS SELECT {text} AS a FROM {clause}",
         "SELECT * FROM mine LIMIT 200"],
        [f"CREATE TEMP TABLE mine (LIKE {g.named(table)} INCLUDING ALL)",
         f"INSERT INTO mine SELECT * FROM {g.named(table)}", "TABLE mine"],
        [f"SELECT {text} AS a INTO TEMP mine FROM {clause}", "ANALYZE mine",
         "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'mine'"],
        [f"CREATE TEMP VIEW mine AS SELECT * FROM {g.named(table)}", "SELECT * FROM mine LIMIT 200",
         "EXPLAIN VERBOSE SELECT * FROM mine"],
        [f"CREATE TEMP TABLE mine(a text UNIQUE)", f"INSERT INTO mine SELECT {text} FROM {clause}",
         f"INSERT INTO mine SELECT {text} FROM {clause}"],
        [f"CREATE TEMP TABLE mine(a int CHECK (a IS NULL))",
         f"INSERT INTO mine SELECT length({text}) FROM {clause}"],
        [f"CREATE TEMP TABLE mine() INHERITS ({g.named(table)})",
         f"SELECT * FROM {g.named(table)} LIMIT 200"],
        [f"CREATE TABLE mine AS TABLE {g.named(table)}", "TABLE mine"],
        [f"CREATE MATERIALIZED VIEW mine AS SELECT {text} FROM {clause}", "TABLE mine"])
