"""COPY: out in every format, from a query or a name; in, where the error quotes the line."""


def attack(g):
    clause, columns = g.scope()
    options = g.one("", " WITH (FORMAT csv, HEADER)", " WITH (FORMAT binary)",
                    " WITH (FORMAT csv, FORCE_QUOTE *)",
                    " WITH (DELIMITER '|', NULL 'none')", " WITH (ENCODING 'LATIN1')")
    table = g.named(g.table())
    return g.one(f"COPY (SELECT {g.values(columns)} FROM {clause}{g.where(columns)}) TO STDOUT{options}",
                 f"COPY ({g.texts(2)}) TO STDOUT{options}",
                 f"COPY (TABLE {table}) TO STDOUT{options}",
                 f"COPY {table} TO STDOUT{options}",
                 f"COPY (SELECT * FROM {clause} ORDER BY {g.value(columns)}) TO STDOUT",
                 f"COPY (SELECT {g.values(columns)} FROM {clause}) TO '/tmp/attack'",
                 f"COPY ({g.texts()}) TO PROGRAM 'cat'",
                 f"COPY (WITH x AS (DELETE FROM {table} RETURNING *) SELECT * FROM x) TO STDOUT")
