"""PREPARE and EXECUTE: plans that are kept, generic and custom, and what they print."""


def attack(g):
    clause, columns = g.scope()
    expression, kind = g.random.choice(columns)
    text = g.as_text(columns)
    mode = g.one("auto", "force_generic_plan", "force_custom_plan")
    return ["PREPARE s(text) AS " + g.one(f"SELECT {g.values(columns)} FROM {clause} WHERE {text} > $1",
                                          f"SELECT $1 || {text} FROM {clause}",
                                          f"SELECT {text} FROM {clause} WHERE {text} LIKE '%' || $1 || '%'"),
            f"SET plan_cache_mode = {mode}",
            f"EXECUTE s({g.one(chr(39) * 2, 'NULL', chr(39) + 'a' + chr(39))})",
            g.one("EXPLAIN (VERBOSE) EXECUTE s('a')", "SELECT * FROM pg_prepared_statements",
                  f"EXECUTE s((SELECT max({text}) FROM {clause}))", f"EXECUTE s({expression})"),
            "RESET plan_cache_mode", "DEALLOCATE ALL"]
