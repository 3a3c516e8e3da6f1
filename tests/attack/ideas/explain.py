"""EXPLAIN in every format: estimates, filters and what a plan prints of constants."""


def attack(g):
    inner = g.one(lambda: g.select(g.one(1, 2)), lambda: g.texts(2),
                  lambda: f"SELECT {g.as_text(columns)} FROM {clause}")
    clause, columns = g.scope()
    key = g.random.choice(columns)
    text = g.one(inner(), inner(),
                 f"SELECT * FROM {clause} WHERE {key[0]} = (SELECT max({key[0]}) FROM {clause})",
                 f"SELECT * FROM {clause} WHERE {key[0]} {g.one('=', '<', '>')} {g.literal(key[1])}")
    options = ["FORMAT " + g.one("TEXT", "JSON", "XML", "YAML")]
    options += g.some(["VERBOSE", "COSTS off", "SETTINGS", "ANALYZE", "ANALYZE, BUFFERS",
                       "ANALYZE, TIMING off", "WAL, ANALYZE"], 0, 2)
    if g.chance(0.25):
        # a stable subquery in LIMIT or a constant folded from a table would be printed
        text = f"SELECT 1 FROM {clause} LIMIT (SELECT length(max({g.as_text(columns)})) FROM {clause})"
    explained = f"EXPLAIN ({', '.join(options)}) {text}"
    if g.chance(0.5):
        return explained
    # a function that claims never to change is folded into the plan, which then prints its value
    text = g.as_text(columns)
    return [f"CREATE FUNCTION pg_temp.fixed() RETURNS text LANGUAGE sql IMMUTABLE AS $f$ SELECT max({text}) FROM {clause} $f$",
            f"{explained} WHERE false" if "WHERE" not in explained else explained,
            f"EXPLAIN (VERBOSE, {options[0]}) SELECT * FROM {clause} WHERE {text} = pg_temp.fixed()",
            f"PREPARE p(text) AS SELECT * FROM {clause} WHERE {text} = $1",
            "SET plan_cache_mode = force_custom_plan",
            "EXPLAIN EXECUTE p(pg_temp.fixed())"]
