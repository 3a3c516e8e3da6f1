"""Make the server say a value in an error: casts that fail, divisions, patterns that do not parse,
functions that print what they were given."""


TYPES = """int bigint numeric date timestamptz interval uuid inet cidr macaddr json jsonb xml point box
bool float8 money bit(8) regclass regproc regtype regrole regnamespace regconfig oid pg_lsn tsquery tid xid
int4range tsrange int[] jsonpath bytea""".split()


def attack(g):
    clause, columns = g.joined(g.one(1, 1, 2))
    # a letter in front, so that a number fails too; without one where the value should survive
    text = g.one(f"({g.as_text(columns)})", f"('x' || {g.as_text(columns)})")
    failing = g.one(
        f"{text}::{g.random.choice(TYPES)}",
        f"to_date({text}, 'YYYY')", f"to_timestamp({text}, 'YYYY-MM-DD')",
        f"to_number({text}, '9')",
        f"'abc' ~ ('(' || {text})", f"'abc' LIKE ({text} || E'\\\\') ESCAPE '!'",
        f"decode({text}, 'hex')",
        f"decode({text}, {text})", f"convert_to('a', {text})",
        f"extract({g.one('epoch', 'year')} FROM {text}::timestamp)",
        f"date_trunc({text}, now())", f"now() AT TIME ZONE {text}", f"current_setting({text})",
        f"format({text} || '%z')", f"substring('abc' FROM {text} || '(')", f"pg_size_bytes({text})",
        f"xpath({text}, '<a/>'::xml)", f"xmlparse(document {text})",
        f"jsonb_path_query('{{}}', ({text})::jsonpath)",
        f"lo_get(length({text})::oid)", f"nextval({text})",
        f"set_byte(''::bytea, 1, length({text}))",
        f"to_tsquery({text} || ' & &')", f"to_regclass({text})::text::int",
        f"1 / (length({text}) - length({text}))",
        f"(ARRAY[1])[{text}::int]", f"make_date(length({text}), 13, 1)",
        f"chr(length({text}) + 2000000)",
        f"array_fill({text}, ARRAY[-1])", f"row({text})::{g.table()}",
        f"json_populate_record(NULL::{g.table()}, to_json({text}))",
        f"sqrt(-length({text}))", f"repeat({text}, 1000000000)", f"pg_get_viewdef({text})",
        f"has_table_privilege({text}, 'SELECT')")
    place = g.one("SELECT {0} FROM {1}{2}", "SELECT 1 FROM {1} WHERE ({0}) IS NOT NULL",
                  "SELECT 1 FROM {1} ORDER BY {0}",
                  "SELECT count(*) FROM {1} GROUP BY {0}",
                  "SELECT CASE WHEN {3} THEN ({0})::text END FROM {1}",
                  "SELECT max(({0})::text) FROM {1}",
                  "SELECT 1 FROM {1} WHERE {3} AND ({0})::text > ''")
    return place.format(failing, clause, g.where(columns, 0.3), g.truth(columns, 0))
