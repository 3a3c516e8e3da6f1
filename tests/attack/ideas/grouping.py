"""Aggregates: pull a table into one value, group on what is masked, take the extreme ones."""


def attack(g):
    clause, columns = g.joined(g.one(1, 1, 2))
    value, text = g.value(columns), g.as_text(columns)
    calls = [f"string_agg({text}, ',')", f"array_agg({value})",
             f"array_agg(DISTINCT {text} ORDER BY {text})",
             f"min({text})", f"max({text})", f"json_agg({value})",
             f"jsonb_object_agg({text}, {value})",
             f"mode() WITHIN GROUP (ORDER BY {value})", f"count(DISTINCT {value})",
             f"xmlagg(xmlelement(name a, {text}))",
             f"percentile_disc(0.9) WITHIN GROUP (ORDER BY {g.column(columns)})",
             f"max({text}) FILTER (WHERE {g.truth(columns, 0)})",
             f"bit_or({g.column(columns, 'number')})",
             f"avg({g.column(columns, 'fraction')})"]
    shown = ", ".join(g.some(calls, 1, 2))
    keys = [g.value(columns, 0) for _ in range(g.one(1, 2))]
    by = g.one("", f" GROUP BY {', '.join(keys)}", f" GROUP BY GROUPING SETS (({keys[0]}), ())",
               f" GROUP BY CUBE ({', '.join(keys)})", f" GROUP BY ROLLUP ({', '.join(keys)})")
    if by:
        shown = f"{keys[0]}, {shown}"
    having = g.one("", " HAVING count(*) = 1", f" HAVING min({text}) > 'a'") if by else ""
    return f"SELECT {shown} FROM {clause}{g.where(columns, 0.3)}{by}{having}{g.limit()}"
