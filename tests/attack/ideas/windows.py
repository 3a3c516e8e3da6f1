"""Window functions: neighbours, firsts and lasts of an order."""


def attack(g):
    clause, columns = g.joined(g.one(1, 1, 2))
    value = g.value(columns)
    call = g.one(f"first_value({value})", f"last_value({value})", f"lag({value})",
                 f"lead({value}, 2)",
                 f"nth_value({value}, 3)", f"string_agg({g.as_text(columns)}, ',')",
                 f"max({g.as_text(columns)})",
                 f"array_agg({value})", "row_number()", "ntile(5)")
    frame = g.one("", "", " ROWS BETWEEN 3 PRECEDING AND CURRENT ROW", " RANGE UNBOUNDED PRECEDING",
                  " GROUPS 1 PRECEDING EXCLUDE TIES")
    return (f"SELECT {g.value(columns)}, {call} OVER (PARTITION BY {g.value(columns, 0)}"
            f" ORDER BY {g.value(columns, 0)}{frame}) FROM {clause}{g.where(columns, 0.3)}{g.limit()}")
