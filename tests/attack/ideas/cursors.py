"""Cursors: by SQL, scrolling, kept over the end of a transaction, described and converted to XML."""


def attack(g):
    query = g.one(g.select(g.one(1, 2)), g.texts(2))
    name = g.one("c", '"C"', "portal")
    how = g.one("", "BINARY ", "SCROLL ", "NO SCROLL ", "INSENSITIVE ")
    fetch = [f"{g.one('FETCH', 'FETCH', 'MOVE')} {step} FROM {name}" for step in
             g.some(["10", "ALL", "NEXT", "FORWARD 3", "RELATIVE 0", "LAST", "BACKWARD ALL",
                     "ABSOLUTE 2", "FIRST"], 1, 3)]
    if g.chance(0.2):
        return [f"DECLARE {name} {how}CURSOR WITH HOLD FOR {query}", *fetch,
                "SELECT * FROM pg_cursors", "CLOSE ALL"]
    extra = g.one([], ["SELECT statement FROM pg_cursors"],
                  [f"SELECT cursor_to_xml('{name.strip(chr(34))}', 20, true, false, '')"],
                  ["SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s"])
    return ["BEGIN", f"DECLARE {name} {how}CURSOR FOR {query}", *extra, *fetch, "ROLLBACK"]
