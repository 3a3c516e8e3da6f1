"""Join what the policy took apart: on keys, on days, on anything of one type."""


def attack(g):
    if g.chance(0.15):
        left, right = g.table(), g.table()
        return f"SELECT * FROM {left} NATURAL {g.one('', 'LEFT', 'FULL')} JOIN {right}{g.limit()}"
    if g.chance(0.15):
        table = g.table()
        column = g.one(*g.tables[table])[0]
        return f"SELECT * FROM {table} a JOIN {table} b USING ({column}){g.limit()}"
    clause, columns = g.joined(g.one(2, 2, 3))
    return f"SELECT {g.values(columns, 1, 5)} FROM {clause}{g.where(columns, 0.3)}{g.limit()}"
