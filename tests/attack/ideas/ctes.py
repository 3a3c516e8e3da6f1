"""WITH: does a name of one's own, materialised or recursive, see more than the view?"""


def attack(g):
    if g.chance(0.4):
        start, step = g.texts(), g.scope()
        return (f"WITH RECURSIVE r(c0, n) AS ({start.replace(' AS c0', ' AS c0, 1', 1)}"
                f" UNION ALL SELECT {g.as_text(step[1])}, n + 1 FROM {step[0]}, r"
                f" WHERE n < 2 AND {g.truth(step[1], 0)})"
                f" SELECT * FROM r LIMIT 200")
    how = g.one("", "MATERIALIZED ", "NOT MATERIALIZED ")
    hidden = g.one("users", "watch_events", "w")  # a CTE may take the name of a table
    inner = g.texts(2)
    return (f"WITH {hidden} AS {how}({inner}), v AS (SELECT upper(c0) AS c0, c1 FROM {hidden})"
            f" SELECT {hidden}.c1, v.c0 FROM {hidden} JOIN v ON v.c1 = {hidden}.c1 LIMIT 200")
