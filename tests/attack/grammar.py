"""Random SQL over the schema as the attacker sees it. Expressions know their types, so that most
statements run; each idea (ideas/*.py) builds its statements of these parts.

The same seed gives the same statements."""

NUMBER, FRACTION, TEXT, TIME, DAY, ADDRESS, TRUTH = "number fraction text time day address truth".split()

TYPES = {"int2": NUMBER, "int4": NUMBER, "int8": NUMBER, "float4": FRACTION, "float8": FRACTION,
         "numeric": FRACTION, "text": TEXT, "varchar": TEXT, "bpchar": TEXT, "timestamptz": TIME,
         "timestamp": TIME, "date": DAY, "inet": ADDRESS, "bool": TRUTH}

# Names that somebody who has read our documents would try.
GUESSED_SCHEMAS = ["app", "masked", "granted", "stats", "ringfence", "public", "pg_temp",
                   "pg_toast"]
GUESSED_RELATIONS = ["ringfence.pseudonym_key", "ringfence.reveal_token", "ringfence.grant_subject",
                     'ringfence."grant"', "ringfence.object", "ringfence.applied",
                     "pg_toast.pg_toast_1259", "app.users_pkey"]


def tables_of(cluster, schema, dbname="app"):
    """{table: [(column, type), …]} as the catalogs of SCHEMA tell it to everybody."""
    rows = cluster.rows(
        "SELECT c.relname::text, a.attname::text, t.typname::text FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE c.relnamespace = %s::text::regnamespace AND c.relkind IN ('r', 'v', 'p') AND a.attnum > 0"
        " AND NOT a.attisdropped ORDER BY c.relname, a.attnum", schema, dbname=dbname)
    tables = {}
    for table, column, kind in rows:
        tables.setdefault(table, []).append((column, TYPES.get(kind, TEXT)))
    tables.pop("scratch", None)
    return tables


class Grammar:
    def __init__(self, random, tables):
        self.random, self.tables = random, tables
        self.names = sorted(tables)
        self.aliases = 0

    # --- choosing ---

    def one(self, *choices):
        return self.random.choice(choices)

    def chance(self, share):
        return self.random.random() < share

    def some(self, items, least=1, most=4):
        items = list(items)
        count = min(len(items), self.random.randint(least, most))
        return self.random.sample(items, count)

    def alias(self):
        self.aliases = self.aliases % 40 + 1
        return f"t{self.aliases}"

    # --- what is read from ---

    def table(self):
        return self.random.choice(self.names)

    def named(self, table):
        """The table as a statement may name it: mostly plainly, sometimes by a guess."""
        if self.chance(0.93):
            return table
        if self.chance(0.3):
            return self.random.choice(GUESSED_RELATIONS)
        return f"{self.random.choice(GUESSED_SCHEMAS)}.{table}"

    def scope(self, table=None):
        """(FROM item, [(expression, type), …]) of one table."""
        table = table or self.table()
        alias = self.alias()
        return (f"{self.named(table)} {alias}",
                [(f"{alias}.{column}", kind) for column, kind in self.tables[table]])

    def joined(self, count):
        """A FROM clause over COUNT tables and its columns."""
        clause, columns = self.scope()
        for _ in range(count - 1):
            item, more = self.scope()
            how = self.one("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN LATERAL")
            if how.startswith("CROSS"):
                inner = ", ".join(expression for expression, _ in more)
                names = [f"c{i}" for i in range(len(more))]
                alias = self.alias()
                item = (f"(SELECT {inner} FROM {item} WHERE {self.equal(columns, more)} LIMIT 5)"
                        f" {alias}({', '.join(names)})")
                clause = f"{clause} {how} {item}"
                more = [(f"{alias}.{name}", kind) for name, (_, kind) in zip(names, more)]
            else:
                clause = f"{clause} {how} {item} ON {self.equal(columns, more)}"
            columns = columns + more
        return clause, columns

    def equal(self, left, right):
        """A join condition between columns of one type: rarely the one that the schema means."""
        pairs = [(a, b) for a, kind in left for b, other in right if kind == other]
        keys = [(a, b) for a, b in pairs if a.endswith("id") and b.endswith("id")]
        if not pairs:
            return "true"
        a, b = self.random.choice(keys if keys and self.chance(0.7) else pairs)
        return f"{a} {self.one('=', '=', '=', 'IS NOT DISTINCT FROM')} {b}"

    # --- expressions ---

    def of(self, kind, columns):
        return [expression for expression, k in columns if k == kind]

    def column(self, columns, kind=None):
        fitting = self.of(kind, columns) if kind else [expression for expression, _ in columns]
        return self.random.choice(fitting) if fitting else self.literal(kind or NUMBER)

    def literal(self, kind):
        if kind == NUMBER:
            return str(self.one(0, 1, 2, 7, 18, 100, -1, 2147483647, 500))
        if kind == FRACTION:
            return self.one("0.5", "38.1", "-77.4", "'NaN'::float8", "1e10")
        if kind == TEXT:
            return self.one("'a'", "''", "'%'", "'US'", "'mail'", "'@'", "'***'", "E'\\\\x'", "'é'")
        if kind == TIME:
            return self.one("now()", "'2026-03-02'::timestamptz", "'-infinity'::timestamptz")
        if kind == DAY:
            return self.one("current_date", "'1970-01-01'::date", "'infinity'::date")
        if kind == ADDRESS:
            return self.one("'198.51.100.7'::inet", "'0.0.0.0/0'::inet")
        return self.one("true", "false", "NULL::boolean")

    def as_text(self, columns, depth=1):
        """Anything as text: the form in which most attacks want their prey."""
        expression, kind = self.random.choice(columns)
        if kind == TEXT:
            return expression if depth <= 0 or self.chance(0.5) else self.text(columns, depth)
        return self.one(f"{expression}::text", f"CAST({expression} AS varchar)",
                        f"concat({expression})", f"format('%s', {expression})",
                        f"quote_nullable({expression})", f"'' || {expression}")

    def text(self, columns, depth=1):
        if depth <= 0:
            return self.column(columns, TEXT)
        a = self.text(columns, depth - 1)
        return self.one(
            a, a, f"upper({a})", f"lower({a})", f"initcap({a})", f"reverse({a})", f"btrim({a})",
            f"left({a}, 20)", f"right({a}, 20)", f"substr({a}, 1, 16)", f"lpad({a}, 40, '.')",
            f"repeat({a}, 2)", f"replace({a}, '.', '-')", f"translate({a}, '*', '#')",
            f"encode({a}::bytea, 'hex')", f"encode(convert_to({a}, 'UTF8'), 'base64')",
            f"md5({a})", f"quote_literal({a})", f"coalesce({a}, {self.as_text(columns, 0)})",
            f"nullif({a}, 'x')", f"concat_ws('|', {a}, {self.as_text(columns, 0)})",
            f"greatest({a}, {self.column(columns, TEXT)})", f"overlay({a} placing '' from 40)",
            f"split_part({a}, '@', 1)", f"({a})::varchar(60)", f"({a})::name::text",
            f"normalize({a})", f"to_json({a})::text", f"convert_from({a}::bytea, 'UTF8')")

    def number(self, columns, depth=1):
        a = self.column(columns, NUMBER)
        if depth <= 0:
            return a
        b = self.number(columns, depth - 1)
        return self.one(a, a, f"({a} + {b} - {b})", f"abs({a})", f"({a} # 0)", f"({a} | 0)",
                        f"-({a})", f"length({self.as_text(columns, 0)})", f"({a})::numeric",
                        f"mod({a}, 9223372036854775807)", f"coalesce({a}, {b})",
                        f"extract(epoch FROM {self.column(columns, TIME)})",
                        f"ascii({self.column(columns, TEXT)})",
                        f"hashtext({self.as_text(columns, 0)})",
                        f"pg_column_size({self.as_text(columns, 0)})", f"greatest({a}, {b})")

    def value(self, columns, depth=1):
        """Any expression, mostly a column made to look like something else."""
        if self.chance(0.45):
            return self.random.choice(columns)[0]
        return self.one(self.text, self.text, self.number, self.as_text)(columns, depth)

    def truth(self, columns, depth=1):
        a, kind = self.random.choice(columns)
        compare = self.one("=", "<", ">", "<=", "<>", "IS DISTINCT FROM")
        simple = [f"{a} IS NOT NULL", f"{a} {compare} {self.literal(kind)}",
                  f"{a} {compare} {self.column(columns, kind)}",
                  f"{self.as_text(columns)} LIKE {self.one(chr(39) + '%a%' + chr(39), chr(39) + '_%' + chr(39))}",
                  f"length({self.as_text(columns)}) > {self.random.randint(0, 30)}",
                  f"{a} IN (SELECT {a} WHERE {a} IS NOT NULL)"]
        if depth <= 0:
            return self.random.choice(simple)
        left, right = self.truth(columns, depth - 1), self.truth(columns, depth - 1)
        return self.one(*simple, f"({left} AND {right})", f"({left} OR {right})", f"NOT ({left})",
                        f"CASE WHEN {left} THEN {right} ELSE true END",
                        f"EXISTS ({self.below(columns)})")

    def below(self, columns):
        """A correlated subquery."""
        item, more = self.scope()
        return f"SELECT 1 FROM {item} WHERE {self.equal(columns, more)}"

    # --- whole queries ---

    def values(self, columns, least=1, most=4, depth=1):
        return ", ".join(self.value(columns,
                                    depth) for _ in range(self.random.randint(least, most)))

    def where(self, columns, share=0.5):
        return f" WHERE {self.truth(columns)}" if self.chance(share) else ""

    def limit(self):
        return f" LIMIT {self.one(1, 10, 100, 400)}"

    def select(self, joins=1, most=4):
        """A query of its own over JOINS tables."""
        clause, columns = self.joined(joins)
        return f"SELECT {self.values(columns, 1, most)} FROM {clause}{self.where(columns)}"

    def texts(self, count=1):
        """(query, …): COUNT columns of text c0, c1, … over one table: what sets and CTEs combine."""
        item, columns = self.scope()
        shown = ", ".join(f"{self.as_text(columns)} AS c{i}" for i in range(count))
        return f"SELECT {shown} FROM {item}{self.where(columns, 0.3)}"
