"""Look, with every way to pick, order and shorten."""


def attack(g):
    clause, columns = g.joined(g.one(1, 1, 1, 2))
    shown = g.one("*", g.values(columns), g.values(columns, 1, 6))
    distinct = ""
    order = f" ORDER BY {g.value(columns)} {g.one('', 'DESC', 'NULLS FIRST', 'USING >')}"
    if g.chance(0.2):
        key = g.column(columns)
        distinct, order = f"DISTINCT ON ({key}) ", f" ORDER BY {key}"
    elif g.chance(0.5):
        order = ""
    cut = g.one("", g.limit(), " FETCH FIRST 3 ROWS WITH TIES" if order else "", " OFFSET 5")
    return f"SELECT {distinct}{shown} FROM {clause}{g.where(columns)}{order}{cut}"
