/* facts.c - tables, columns, keys and foreign keys of the application, as facts. */
#include <stdlib.h>
#include <string.h>

#include "discover/discover.h"
#include "enforce/role.h"
#include "enforce/sql.h"
#include "policy/quantity.h"

/* One query's SQL and its answer. */
struct question {
    struct database *db;
    struct discovery *d;
    struct sql sql;
    PGresult *answer;
    int rows;
    bool no_memory;
    struct err *err;
};

static void question_begin(struct question *q, struct database *db, struct discovery *d,
                           struct err *err)
{
    *q = (struct question){ .db = db, .d = d, .err = err };
    sql_init(&q->sql);
}

static int question_ask(struct question *q)
{
    const char *text;
    int rc = sql_text(&q->sql, &text, q->err);
    if (rc == 0)
        rc = database_query(q->db, text, &q->answer, q->err);
    if (rc == 0)
        q->rows = PQntuples(q->answer);
    return rc;
}

static void question_end(struct question *q)
{
    PQclear(q->answer);
    sql_done(&q->sql);
}

static const char *text_at(struct question *q, int row, int column)
{
    const char *value = database_value(q->answer, row, column);
    const char *copy = arena_strndup(&q->d->arena, value, strlen(value));
    if (copy == NULL)
        q->no_memory = true;
    return copy != NULL ? copy : "";
}

static unsigned number_at(struct question *q, int row, int column)
{
    return (unsigned)strtoul(database_value(q->answer, row, column), NULL, 10);
}

static int no_memory(struct err *err)
{
    return err_set(err, RF_ENOMEM, "out of memory while reading the catalog");
}

/* "wanted": the application's own tables; partitions stand behind their parent. */
static void add_wanted(struct sql *s, const struct discover_options *options)
{
    sql_add(s,
            "wanted AS (SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpages FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT c.relispartition"
            " AND c.relpersistence <> 't' AND n.nspname NOT IN ('information_schema', %L, %L, %L,"
            " %L) AND n.nspname NOT LIKE 'pg\\_%%' AND NOT EXISTS (SELECT FROM pg_depend e"
            " WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')",
            SCHEMA_OWN, SCHEMA_MASKED, SCHEMA_STATS, SCHEMA_GRANTED);
    for (size_t i = 0; i < options->schema_count; i++)
        sql_add(s, "%S%L", i == 0 ? " AND n.nspname IN (" : ", ", options->schema[i]);
    sql_add(s, "%S)", options->schema_count > 0 ? ")" : "");
}

static int check_schemas(struct database *db, const struct discover_options *options,
                         struct discovery *d, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < options->schema_count && rc == 0; i++) {
        struct question q;
        question_begin(&q, db, d, err);
        sql_add(&q.sql, "SELECT FROM pg_namespace WHERE nspname = %L", options->schema[i]);
        rc = question_ask(&q);
        if (rc == 0 && q.rows == 0)
            rc = err_set(err, RF_ENOTFOUND, "there is no schema \"%s\"", options->schema[i]);
        question_end(&q);
    }
    return rc;
}

static int read_database(struct database *db, struct discovery *d, struct err *err)
{
    struct question q;
    question_begin(&q, db, d, err);
    sql_add(&q.sql, "SELECT current_database(), current_setting('server_encoding') = 'UTF8'");
    int rc = question_ask(&q);
    if (rc == 0) {
        d->database = text_at(&q, 0, 0);
        d->is_utf8 = database_true(q.answer, 0, 1);
    }
    question_end(&q);
    return rc;
}

static int read_tables(struct database *db, const struct discover_options *options,
                       struct discovery *d, struct err *err)
{
    struct question q;
    question_begin(&q, db, d, err);
    sql_add(&q.sql, "WITH ");
    add_wanted(&q.sql, options);
    sql_add(&q.sql,
            " SELECT w.oid, w.nspname, w.relname, has_table_privilege(w.oid, 'SELECT') AND"
            " has_schema_privilege(w.nspname, 'USAGE'),"
            /* as the last ANALYZE knew it: to ask for the size now is to wait for a lock */
            " greatest(w.relpages, 0) + (SELECT coalesce(sum(greatest(p.relpages, 0)), 0)"
            "  FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid WHERE i.inhparent = w.oid)"
            " FROM wanted w WHERE w.relkind IN ('r', 'p') ORDER BY 2, 3 LIMIT %D",
            (int64_t)DISCOVER_TABLES_MAX + 1);
    int rc = question_ask(&q);
    if (rc == 0 && q.rows > DISCOVER_TABLES_MAX) {
        rc = err_set(err, RF_ETOOBIG, "more than %d tables", DISCOVER_TABLES_MAX);
        err_hint(err, "look at one schema at a time with --schema");
    }
    if (rc == 0) {
        d->tables = arena_alloc(&d->arena, (size_t)q.rows + 1, sizeof(*d->tables));
        rc = d->tables == NULL ? no_memory(err) : 0;
    }
    for (int row = 0; rc == 0 && row < q.rows; row++) {
        struct discover_table *t = &d->tables[d->table_count++];
        t->oid = number_at(&q, row, 0);
        t->schema = text_at(&q, row, 1);
        t->name = text_at(&q, row, 2);
        t->may_read = database_true(q.answer, row, 3);
        t->blocks = strtoll(database_value(q.answer, row, 4), NULL, 10);
    }
    if (rc == 0 && q.no_memory)
        rc = no_memory(err);
    question_end(&q);
    return rc;
}

/* Copies of rows that no policy names: said, and left alone. */
static int note_others(struct database *db, const struct discover_options *options,
                       struct discovery *d, struct err *err)
{
    struct question q;
    question_begin(&q, db, d, err);
    sql_add(&q.sql, "WITH ");
    add_wanted(&q.sql, options);
    sql_add(&q.sql,
            " SELECT CASE relkind WHEN 'm' THEN 'materialised view' ELSE 'foreign table' END,"
            " nspname, relname FROM wanted WHERE relkind IN ('m', 'f') ORDER BY 2, 3 LIMIT 200");
    int rc = question_ask(&q);
    for (int row = 0; rc == 0 && row < q.rows; row++) {
        const char *schema = discover_plain_name(d, database_value(q.answer, row, 1));
        discover_add_note(d, "%s %s.%s is not looked at and stays invisible",
                          database_value(q.answer, row, 0), schema,
                          discover_plain_name(d, database_value(q.answer, row, 2)));
    }
    question_end(&q);
    return rc;
}

static enum discover_type kind_of(const char *base, const char *type_kind)
{
    static const struct {
        const char *name;
        enum discover_type kind;
    } kinds[] = {
        { "text", DISCOVER_TEXT },
        { "varchar", DISCOVER_TEXT },
        { "bpchar", DISCOVER_TEXT },
        { "citext", DISCOVER_TEXT },
        { "name", DISCOVER_TEXT },
        { "char", DISCOVER_TEXT },
        { "xml", DISCOVER_TEXT },
        { "tsvector", DISCOVER_TEXT },
        { "int2", DISCOVER_INTEGER },
        { "int4", DISCOVER_INTEGER },
        { "int8", DISCOVER_INTEGER },
        { "oid", DISCOVER_INTEGER },
        { "numeric", DISCOVER_NUMERIC },
        { "float4", DISCOVER_NUMERIC },
        { "float8", DISCOVER_NUMERIC },
        { "money", DISCOVER_NUMERIC },
        { "bool", DISCOVER_BOOL },
        { "date", DISCOVER_DATE },
        { "timestamp", DISCOVER_TIMESTAMP },
        { "timestamptz", DISCOVER_TIMESTAMP },
        { "time", DISCOVER_TIME },
        { "timetz", DISCOVER_TIME },
        { "interval", DISCOVER_TIME },
        { "uuid", DISCOVER_UUID },
        { "inet", DISCOVER_NETWORK },
        { "cidr", DISCOVER_NETWORK },
        { "macaddr", DISCOVER_DEVICE },
        { "macaddr8", DISCOVER_DEVICE },
        { "point", DISCOVER_GEOMETRY },
        { "circle", DISCOVER_GEOMETRY },
        { "polygon", DISCOVER_GEOMETRY },
        { "path", DISCOVER_GEOMETRY },
        { "geometry", DISCOVER_GEOMETRY },
        { "geography", DISCOVER_GEOMETRY },
        { "json", DISCOVER_JSON },
        { "jsonb", DISCOVER_JSON },
        { "hstore", DISCOVER_JSON },
        { "bytea", DISCOVER_BYTES },
    };
    if (strcmp(type_kind, "e") == 0)
        return DISCOVER_ENUM;
    for (size_t i = 0; i < RF_COUNT(kinds); i++)
        if (strcmp(kinds[i].name, base) == 0)
            return kinds[i].kind;
    return DISCOVER_OTHER;
}

/* The table with this oid; rows come table by table, so HINT is mostly right. */
static struct discover_table *table_find(struct discovery *d, unsigned oid,
                                         struct discover_table *hint)
{
    if (hint != NULL && hint->oid == oid)
        return hint;
    for (size_t i = 0; i < d->table_count; i++)
        if (d->tables[i].oid == oid)
            return &d->tables[i];
    return NULL;
}

static struct discover_column *column_find(struct discover_table *t, int number)
{
    for (size_t i = 0; t != NULL && i < t->column_count; i++)
        if (t->columns[i].number == number)
            return &t->columns[i];
    return NULL;
}

static void fill_column(struct question *q, int row, struct discover_column *c)
{
    c->number = (int)number_at(q, row, 1);
    c->name = text_at(q, row, 2);
    c->type = text_at(q, row, 3);
    c->base = text_at(q, row, 4);
    c->kind = kind_of(c->base, database_value(q->answer, row, 5));
    c->is_array = database_true(q->answer, row, 6);
    c->not_null = database_true(q->answer, row, 7);
    c->refuses_null = database_true(q->answer, row, 8);
    c->width = atoi(database_value(q->answer, row, 9));
    c->is_readable = database_true(q->answer, row, 10);
    c->is_nameable = quantity_is_sql_name(c->name);
}

/* Types are looked through: domains to what they are of, arrays to their elements. Only types that
   came with the server or an extension are read: the output function, or a cast, of anybody else's
   would be his code in the hands of the database administrator. */
static int read_columns(struct database *db, const struct discover_options *options,
                        struct discovery *d, struct err *err)
{
    struct question q;
    struct discover_table *t = NULL;
    question_begin(&q, db, d, err);
    sql_add(&q.sql, "WITH RECURSIVE ");
    add_wanted(&q.sql, options);
    sql_add(&q.sql,
            ", down(oid, base, refuses, is_array) AS (SELECT t.oid, t.oid, t.typnotnull, false"
            " FROM pg_type t WHERE t.oid IN (SELECT a.atttypid FROM pg_attribute a JOIN wanted w"
            "  ON w.oid = a.attrelid WHERE w.relkind IN ('r', 'p'))"
            " UNION SELECT d.oid, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,"
            "  d.refuses OR (t.typnotnull AND NOT d.is_array),"
            "  d.is_array OR t.typtype <> 'd' FROM down d JOIN pg_type t ON t.oid = d.base"
            "  WHERE t.typtype = 'd' OR (t.typelem <> 0 AND t.typlen = -1)),"
            " base AS (SELECT d.oid, t.typname, t.typtype, d.is_array, d.refuses,"
            "  n.nspname = 'pg_catalog' OR t.typtype = 'e' OR EXISTS (SELECT FROM pg_depend e"
            "   WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')"
            "   AS is_ours FROM down d JOIN pg_type t ON t.oid = d.base"
            "  JOIN pg_namespace n ON n.oid = t.typnamespace"
            "  WHERE NOT (t.typtype = 'd' OR (t.typelem <> 0 AND t.typlen = -1)))"
            " SELECT w.oid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), b.typname,"
            " b.typtype, b.is_array, a.attnotnull, b.refuses,"
            " CASE WHEN b.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4"
            "  THEN a.atttypmod - 4 ELSE 0 END, b.is_ours"
            " FROM wanted w JOIN pg_attribute a ON a.attrelid = w.oid JOIN base b"
            " ON b.oid = a.atttypid WHERE w.relkind IN ('r', 'p') AND a.attnum > 0"
            " AND NOT a.attisdropped ORDER BY w.nspname, w.relname, a.attnum");
    int rc = question_ask(&q);
    for (int row = 0; rc == 0 && row < q.rows; row++) {
        t = table_find(d, number_at(&q, row, 0), t);
        if (t != NULL && t->columns == NULL) {
            int last = row;
            while (last < q.rows && number_at(&q, last, 0) == t->oid)
                last++;
            t->columns = arena_alloc(&d->arena, (size_t)(last - row), sizeof(*t->columns));
            rc = t->columns == NULL ? no_memory(err) : 0;
        }
        if (rc == 0 && t != NULL)
            fill_column(&q, row, &t->columns[t->column_count++]);
    }
    if (rc == 0 && q.no_memory)
        rc = no_memory(err);
    question_end(&q);
    return rc;
}

/* Primary keys and unique indexes of single columns. */
static int read_keys(struct database *db, const struct discover_options *options,
                     struct discovery *d, struct err *err)
{
    struct question q;
    struct discover_table *t = NULL;
    question_begin(&q, db, d, err);
    sql_add(&q.sql, "WITH ");
    add_wanted(&q.sql, options);
    sql_add(&q.sql, " SELECT w.oid, i.indisprimary, i.indnkeyatts, k.attnum FROM wanted w"
                    " JOIN pg_index i ON i.indrelid = w.oid CROSS JOIN LATERAL"
                    " unnest(i.indkey[0:i.indnkeyatts - 1]) k(attnum)"
                    " WHERE i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL"
                    " AND (i.indisprimary OR i.indnkeyatts = 1)"
                    " ORDER BY w.nspname, w.relname, i.indisprimary DESC, k.attnum");
    int rc = question_ask(&q);
    for (int row = 0; rc == 0 && row < q.rows; row++) {
        bool is_primary = database_true(q.answer, row, 1);
        bool is_alone = number_at(&q, row, 2) == 1;
        t = table_find(d, number_at(&q, row, 0), t);
        struct discover_column *c = column_find(t, (int)number_at(&q, row, 3));
        if (c == NULL)
            continue;
        c->in_key |= is_primary;
        c->is_unique |= is_alone;
        if (is_alone && t->key == NULL && (is_primary || c->not_null))
            t->key = c;
    }
    question_end(&q);
    return rc;
}

static int read_references(struct database *db, const struct discover_options *options,
                           struct discovery *d, struct err *err)
{
    struct question q;
    struct discover_table *t = NULL;
    question_begin(&q, db, d, err);
    sql_add(&q.sql, "WITH ");
    add_wanted(&q.sql, options);
    sql_add(&q.sql,
            " SELECT w.oid, k.mine, x.confrelid, k.theirs FROM wanted w JOIN pg_constraint x"
            " ON x.conrelid = w.oid AND x.contype = 'f' AND x.conparentid = 0"
            " CROSS JOIN LATERAL unnest(x.conkey, x.confkey) k(mine, theirs)"
            " ORDER BY w.nspname, w.relname, cardinality(x.conkey), x.conname");
    int rc = question_ask(&q);
    for (int row = 0; rc == 0 && row < q.rows; row++) {
        t = table_find(d, number_at(&q, row, 0), t);
        struct discover_table *other = table_find(d, number_at(&q, row, 2), NULL);
        struct discover_column *mine = column_find(t, (int)number_at(&q, row, 1));
        struct discover_column *theirs = column_find(other, (int)number_at(&q, row, 3));
        if (mine == NULL || theirs == NULL || mine->to_table != NULL)
            continue;
        mine->to_table = other;
        mine->to_column = theirs;
    }
    question_end(&q);
    return rc;
}

/* Where no column is the key alone: of a composite one (tenant, id) the column that leads nowhere
   else and is called so, when something leads to it. */
static void find_composite_keys(struct discovery *d)
{
    for (size_t i = 0; i < d->table_count; i++)
        for (size_t k = 0; k < d->tables[i].column_count; k++) {
            struct discover_column *c = &d->tables[i].columns[k];
            struct discover_table *other = c->to_table;
            if (other != NULL && other->key == NULL && c->to_column->to_table == NULL)
                other->key = c->to_column;
        }
    for (size_t i = 0; i < d->table_count; i++)
        if (d->tables[i].key != NULL)
            d->tables[i].key->is_key = true;
}

int discover_read_catalog(struct database *db, const struct discover_options *options,
                          struct discovery *d, struct err *err)
{
    static int (*const parts[])(struct database *, const struct discover_options *,
                                struct discovery *, struct err *) = {
        check_schemas, read_tables, note_others, read_columns, read_keys, read_references,
    };
    int rc = read_database(db, d, err);
    for (size_t i = 0; i < RF_COUNT(parts) && rc == 0; i++)
        rc = parts[i](db, options, d, err);
    if (rc == 0)
        find_composite_keys(d);
    return rc;
}
