"""UNION, INTERSECT, EXCEPT: compare tables with each other and with guesses."""


def attack(g):
    count = g.one(1, 2)
    query = g.texts(count)
    for _ in range(g.one(1, 1, 2)):
        query = f"({query}) {g.one('UNION', 'UNION ALL', 'EXCEPT', 'EXCEPT ALL', 'INTERSECT')} ({g.texts(count)})"
    if g.chance(0.2):
        query = f"({query}) EXCEPT VALUES ({', '.join(['NULL::text'] * count)})"
    return f"SELECT * FROM ({query}) q ORDER BY {g.one('1', 'c0 DESC', 'length(c0)')} LIMIT 300"
