"""Where a row lies: system columns, samples, row locks and functions that read by place."""


def attack(g):
    table = g.table()
    alias = g.alias()
    name = f"{g.named(table)} {alias}"
    column = g.one(*g.tables[table])[0]
    return g.one(
        f"SELECT {alias}.{g.one('ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid')}, {alias}.{column} FROM {name}{g.limit()}",
        f"SELECT tableoid::regclass, {column} FROM {name}{g.limit()}",
        f"SELECT * FROM {name} WHERE ctid = '(0,{g.random.randint(1, 90)})'",
        f"SELECT * FROM {g.named(table)} TABLESAMPLE {g.one('SYSTEM', 'BERNOULLI')} ({g.one(1, 30, 100)}) REPEATABLE (1){g.limit()}",
        f"SELECT {alias}.{column} FROM {name} FOR {g.one('UPDATE', 'SHARE', 'KEY SHARE', 'NO KEY UPDATE')} {g.one('', 'NOWAIT', 'SKIP LOCKED')}",
        f"SELECT currtid2('{g.one('app', 'masked')}.{table}', '(0,1)'::tid), max({column}::text) FROM {name}",
        f"SELECT xmin, {column} FROM {name} ORDER BY age(xmin){g.limit()}",
        f"SELECT {column}, row_number() OVER () FROM {name}{g.limit()}",
        f"SELECT min({column}::text), pg_relation_filepath('{table}') FROM {name}",
        f"LOCK TABLE {g.named(table)} IN {g.one('ACCESS SHARE', 'ACCESS EXCLUSIVE')} MODE NOWAIT; TABLE {table}",
        f"UPDATE {g.named(table)} SET {column} = {column} RETURNING *",
        f"DELETE FROM {g.named(table)} WHERE false RETURNING *",
        f"INSERT INTO {g.named(table)} TABLE {table} ON CONFLICT DO NOTHING RETURNING *")
