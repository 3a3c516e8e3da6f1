"""Large objects: storage outside every table, and functions that read and write files."""


def attack(g):
    clause, columns = g.scope()
    text = g.as_text(columns)
    number = g.random.randint(70000, 70050)
    return g.one(
        [f"SELECT lo_from_bytea(0, convert_to({text}, 'UTF8')) FROM {clause} LIMIT 3",
         "SELECT lo_get(oid) FROM pg_largeobject_metadata LIMIT 50"],
        [f"SELECT lo_from_bytea({number}, string_agg({text}, ',')::bytea) FROM {clause}",
         f"SELECT lo_get({number})", f"SELECT lo_unlink({number})"],
        [f"SELECT lo_create({number})",
         f"SELECT lo_put({number}, 0, {text}::bytea) FROM {clause} LIMIT 1",
         f"SELECT convert_from(lo_get({number}), 'UTF8')"],
        ["BEGIN", f"SELECT lo_open({number}, 393216)",
         f"SELECT lowrite(0, max({text})::bytea) FROM {clause}", "SELECT lo_lseek(0, 0, 0)",
         "SELECT loread(0, 200)", "ROLLBACK"],
        [f"SELECT {text}, lo_creat(-1) FROM {clause} LIMIT 3",
         "SELECT lo_unlink(oid) FROM pg_largeobject_metadata"],
        ["SELECT data FROM pg_largeobject LIMIT 50"],
        [f"SELECT lo_export({number}, '/tmp/attack')"], ["SELECT lo_import('/etc/passwd')"],
        [f"SELECT {text}, lo_get({number}, 0, 10) FROM {clause} LIMIT 10"])
