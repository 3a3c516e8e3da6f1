#include "enforce/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "enforce/role.h"
#include "enforce/sql.h"

/* One reading: the query being put together, its answer, and a sticky "out of memory". */
struct reader {
    struct database *db;
    const struct policy *policy;
    const struct policy_region *region;
    struct catalog *to;
    struct sql sql;
    PGresult *answer;
    bool no_memory;
    struct err *err;
};

static void begin(struct reader *r)
{
    PQclear(r->answer);
    r->answer = NULL;
    sql_done(&r->sql);
    sql_init(&r->sql);
}

/* Send what was put together; *RET_COUNT rows are in r->answer. */
static int ask(struct reader *r, size_t *ret_count)
{
    const char *text;
    int rc = sql_text(&r->sql, &text, r->err);
    if (rc == 0)
        rc = database_query(r->db, text, &r->answer, r->err);
    if (rc == 0)
        *ret_count = (size_t)PQntuples(r->answer);
    return rc;
}

/* A copy that lives as long as the catalog; NULL for NULL. */
static const char *text_at(struct reader *r, size_t row, int column)
{
    if (PQgetisnull(r->answer, (int)row, column))
        return NULL;
    const char *value = PQgetvalue(r->answer, (int)row, column);
    const char *copy = arena_strndup(&r->to->arena, value, strlen(value));
    if (copy == NULL)
        r->no_memory = true;
    return copy;
}

static bool true_at(struct reader *r, size_t row, int column)
{
    return database_true(r->answer, (int)row, column);
}

static int number_at(struct reader *r, size_t row, int column)
{
    return atoi(PQgetvalue(r->answer, (int)row, column));
}

static void *rows_for(struct reader *r, size_t count, size_t size)
{
    void *rows = arena_alloc(&r->to->arena, count > 0 ? count : 1, size);
    if (rows == NULL)
        r->no_memory = true;
    return rows;
}

static int finish(struct reader *r)
{
    return r->no_memory ? err_set(r->err, RF_ENOMEM, "out of memory while reading the catalog") : 0;
}

/* "wanted": the policy's tables with their place in the list. */
static void add_wanted(struct reader *r)
{
    sql_add(&r->sql, "wanted(i, s, t) AS (VALUES (-1, '', '')");
    for (size_t i = 0; i < r->policy->table_count; i++)
        sql_add(&r->sql, ", (%D, %L, %L)", (int64_t)i, r->policy->tables[i].schema,
                r->policy->tables[i].name);
    sql_add(&r->sql, "), found AS (SELECT w.i, w.s, w.t, c.oid, c.relkind, c.relnamespace"
                     " FROM wanted w JOIN pg_namespace n ON n.nspname = w.s"
                     " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.t)");
}

/* "managed": roles that are ours, bear a name of the policy, or are in one of our groups. Not those
   of grants: control makes and ends them, there may be very many, and the self-check looks at them.
   */
static void add_managed(struct reader *r)
{
    char name[ROLE_NAME_SIZE];
    sql_add(&r->sql,
            LASTING_ROLES ", managed AS (SELECT r.oid, r.rolname FROM pg_roles r WHERE r.rolname IN"
                          " (%L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L",
            ROLE_NAME_OWNER, ROLE_NAME_VIEW, ROLE_NAME_ADMIN, ROLE_NAME_MASKED, ROLE_NAME_STATS,
            ROLE_NAME_GRANTED, ROLE_NAME_PERSON, ROLE_NAME_SERVICE, ROLE_NAME_CONTROL,
            ROLE_NAME_REGISTRAR, ROLE_NAME_HERALD, ROLE_NAME_FUNCTION, ROLE_NAME_EVERYBODY);
    for (size_t i = 0; i < r->policy->actor_count; i++) {
        const struct policy_actor *actor = &r->policy->actors[i];
        if (actor->kind == ACTOR_SERVICE)
            sql_add(&r->sql, ", %L", actor->name);
        for (int room = ROOM_STATS; room <= ROOM_MASKED && actor->kind == ACTOR_PERSON; room++)
            sql_add(&r->sql, ", %L", role_of_person(name, actor->name, (enum room)room));
    }
    sql_add(&r->sql,
            ") OR (r.oid IN (SELECT oid FROM lasting) AND EXISTS (SELECT FROM pg_auth_members m"
            " JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid"
            " AND g.rolname IN (%L, %L))))",
            ROLE_NAME_PERSON, ROLE_NAME_SERVICE);
}

static int read_database(struct reader *r)
{
    size_t count;
    begin(r);
    sql_add(&r->sql,
            "SELECT current_database(), current_setting('server_version_num'),"
            " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),"
            " pg_is_in_recovery(), current_setting('server_encoding') = 'UTF8',"
            " EXISTS (SELECT FROM pg_extension e JOIN pg_namespace n ON"
            " n.oid = e.extnamespace WHERE e.extname = 'ringfence' AND n.nspname = %L),"
            " EXISTS (SELECT FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
            " JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid"
            " JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e'"
            /* by its parts: control may not name what is in that schema */
            " JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = %L AND p.proname = 'ingest' AND p.pronargs = 0"
            " AND e.extname = 'ringfence' AND l.lanname = 'c' AND p.prosrc = 'ringfence_ingest')",
            SCHEMA_NATIVE, SCHEMA_NATIVE);
    int rc = ask(r, &count);
    if (rc < 0)
        return rc;
    r->to->database = text_at(r, 0, 0);
    r->to->server_version = number_at(r, 0, 1);
    r->to->is_super = true_at(r, 0, 2);
    r->to->is_standby = true_at(r, 0, 3);
    r->to->is_utf8 = true_at(r, 0, 4);
    r->to->has_native = true_at(r, 0, 5);
    r->to->has_native_ingest = true_at(r, 0, 6);
    return finish(r);
}

static int read_own_tables(struct reader *r)
{
    begin(r);
    sql_add(&r->sql,
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %L AND c.relkind = 'r'",
            SCHEMA_OWN);
    int rc = ask(r, &r->to->own_table_count);
    if (rc == 0)
        r->to->own_tables = rows_for(r, r->to->own_table_count, sizeof(*r->to->own_tables));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->own_table_count; row++)
        r->to->own_tables[row] = text_at(r, row, 0);
    return rc == 0 ? finish(r) : rc;
}

static int read_applied(struct reader *r)
{
    size_t count;
    if (!catalog_has_own_table(r->to, "applied"))
        return 0;
    begin(r);
    sql_add(&r->sql, "SELECT policy_digest, region FROM ringfence.applied");
    int rc = ask(r, &count);
    if (rc == 0 && count > 0) {
        r->to->applied_digest = text_at(r, 0, 0);
        r->to->applied_region = text_at(r, 0, 1);
    }
    return rc == 0 ? finish(r) : rc;
}

static int read_tables(struct reader *r)
{
    size_t count;
    r->to->tables = rows_for(r, r->policy->table_count, sizeof(*r->to->tables));
    if (r->to->tables == NULL)
        return finish(r);
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_wanted(r);
    sql_add(&r->sql,
            " SELECT f.i, f.relkind IN ('r', 'p'), quote_ident(f.s),"
            " CASE WHEN k.oid IS NOT NULL THEN"
            "  coalesce(obj_description(k.oid, 'pg_constraint'), '') END,"
            " k.convalidated AND %S, f.relkind IN ('v', 'm')"
            " FROM found f LEFT JOIN pg_constraint k"
            "  ON k.conrelid = f.oid AND k.conname = 'ringfence_residency' AND k.contype = 'c'",
            catalog_has_own_table(r->to, "object")
                ? "EXISTS (SELECT FROM ringfence.object o"
                  " WHERE o.name = 'residency of ' || f.s || '.' || f.t"
                  " AND o.definition = pg_get_constraintdef(k.oid))"
                : "false");
    int rc = ask(r, &count);
    for (size_t row = 0; rc == 0 && row < count; row++) {
        struct catalog_table *t = &r->to->tables[number_at(r, row, 0)];
        t->found = true;
        t->is_table = true_at(r, row, 1);
        t->schema_quoted = text_at(r, row, 2);
        t->residency_rule = text_at(r, row, 3);
        t->residency_valid = true_at(r, row, 4);
        t->is_view = true_at(r, row, 5);
    }
    return rc == 0 ? finish(r) : rc;
}

static enum column_kind kind_of(const char *base_type)
{
    static const struct {
        const char *name;
        enum column_kind kind;
    } kinds[] = {
        { "int2", KIND_INT2 },           { "int4", KIND_INT4 },
        { "int8", KIND_INT8 },           { "float4", KIND_FLOAT4 },
        { "float8", KIND_FLOAT8 },       { "numeric", KIND_NUMERIC },
        { "text", KIND_TEXT },           { "varchar", KIND_TEXT },
        { "bpchar", KIND_TEXT },         { "uuid", KIND_UUID },
        { "bool", KIND_BOOL },           { "date", KIND_DATE },
        { "timestamp", KIND_TIMESTAMP }, { "timestamptz", KIND_TIMESTAMPTZ },
        { "interval", KIND_INTERVAL },   { "time", KIND_TIME },
        { "inet", KIND_INET },           { "cidr", KIND_CIDR },
        { "bytea", KIND_BYTEA },         { "json", KIND_JSON },
        { "jsonb", KIND_JSONB },         { "ARRAY", KIND_ARRAY },
    };
    for (size_t i = 0; i < RF_COUNT(kinds); i++)
        if (strcmp(kinds[i].name, base_type) == 0)
            return kinds[i].kind;
    return KIND_OTHER;
}

/* Where the subjects' own table and key are, for the foreign keys that lead there. */
static void add_subjects(struct reader *r)
{
    const char *schema = "", *name = "", *key = "";
    for (size_t i = 0; i < r->policy->table_count; i++) {
        const struct policy_table *t = &r->policy->tables[i];
        if (t->birthdate != NULL && t->subject != NULL) {
            schema = t->schema;
            name = t->name;
            key = t->subject;
        }
    }
    sql_add(&r->sql,
            "subjects AS (SELECT a.attrelid, a.attnum FROM pg_attribute a"
            " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %L AND c.relname = %L AND a.attname = %L)",
            schema, name, key);
}

/* A domain stands for its base type; any domain on the way may refuse NULL. */
static const char columns_query[] =
    " SELECT f.i, a.attname, format_type(a.atttypid, a.atttypmod),"
    " CASE WHEN a.attcollation <> t.typcollation THEN"
    "  (SELECT quote_ident(n.nspname) || '.' || quote_ident(o.collname) FROM pg_collation o"
    "   JOIN pg_namespace n ON n.oid = o.collnamespace WHERE o.oid = a.attcollation) END,"
    " CASE WHEN bt.typcategory = 'A' THEN 'ARRAY'"
    "  WHEN bt.typnamespace = 'pg_catalog'::regnamespace THEN bt.typname::text ELSE '' END,"
    " CASE WHEN bt.typname IN ('varchar', 'bpchar') AND b.typmod > 4 THEN b.typmod - 4 ELSE 0 END,"
    " a.attnotnull OR b.refuses, b.refuses,"
    " EXISTS (SELECT FROM subjects s JOIN pg_constraint k ON k.conrelid = f.oid"
    "   AND k.contype = 'f' AND k.convalidated AND k.confrelid = s.attrelid,"
    "   unnest(k.conkey, k.confkey) AS u(mine, theirs)"
    "  WHERE u.mine = a.attnum AND u.theirs = s.attnum),"
    " EXISTS (SELECT FROM pg_index x WHERE x.indrelid = f.oid AND x.indisunique AND x.indisvalid"
    "  AND x.indimmediate AND x.indpred IS NULL AND x.indnkeyatts = 1 AND x.indkey[0] = a.attnum),"
    " b.checked, a.attgenerated <> ''"
    " FROM found f JOIN pg_attribute a ON a.attrelid = f.oid AND a.attnum > 0"
    "  AND NOT a.attisdropped"
    " JOIN pg_type t ON t.oid = a.atttypid"
    " CROSS JOIN LATERAL (WITH RECURSIVE d(oid, typmod, refuses, checked, depth) AS ("
    "   SELECT a.atttypid, a.atttypmod, false, false, 0"
    "   UNION ALL SELECT x.typbasetype, x.typtypmod, d.refuses OR x.typnotnull, d.checked OR"
    "    EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = x.oid), d.depth + 1"
    "   FROM d JOIN pg_type x ON x.oid = d.oid AND x.typtype = 'd')"
    "  SELECT oid, typmod, refuses, checked FROM d ORDER BY depth DESC LIMIT 1) b"
    " JOIN pg_type bt ON bt.oid = b.oid"
    " ORDER BY f.i, a.attnum";

static int read_columns(struct reader *r)
{
    size_t count;
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_wanted(r);
    sql_add(&r->sql, ", ");
    add_subjects(r);
    sql_add(&r->sql, "%S", columns_query);
    int rc = ask(r, &count);
    struct catalog_column *all = rc == 0 ? rows_for(r, count, sizeof(*all)) : NULL;
    for (size_t row = 0; all != NULL && row < count; row++) {
        struct catalog_table *t = &r->to->tables[number_at(r, row, 0)];
        if (t->column_count++ == 0)
            t->columns = &all[row]; /* rows come table by table */
        all[row] = (struct catalog_column){
            .name = text_at(r, row, 1),
            .type = text_at(r, row, 2),
            .collation = text_at(r, row, 3),
            .kind = kind_of(PQgetvalue(r->answer, (int)row, 4)),
            .width = number_at(r, row, 5),
            .not_null = true_at(r, row, 6),
            .refuses_null = true_at(r, row, 7),
            .is_subject_key = true_at(r, row, 8),
            .has_native = r->to->has_native,
            .is_unique = true_at(r, row, 9),
            .is_checked = true_at(r, row, 10),
            .is_generated = true_at(r, row, 11),
            .table = t,
        };
    }
    return rc == 0 ? finish(r) : rc;
}

/* What the rules of a view, and of the views that it reads, call and cast. A rule's tree is kept as
   text, in which functions are named by number; only a cast through text has a result type followed
   by a collation and a format. */
static const char rules_part[] =
    ", rule(i, oid, tree) AS (SELECT DISTINCT x.i, x.oid, w.ev_action::text FROM ("
    "  WITH RECURSIVE v(i, oid) AS (SELECT f.i, f.oid FROM found f WHERE f.relkind = 'v'"
    "   UNION SELECT v.i, c.oid FROM v JOIN pg_rewrite w ON w.ev_class = v.oid"
    "   JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid"
    "    AND d.refclassid = 'pg_class'::regclass"
    "   JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'v') SELECT i, oid FROM v) x"
    "  JOIN pg_rewrite w ON w.ev_class = x.oid AND w.ev_type = '1')";

static const char obstacles_query[] =
    ", harmless(oid) AS (SELECT p.oid FROM pg_proc p JOIN quiet q ON q.name = p.proname"
    "   WHERE p.pronamespace = 'pg_catalog'::regnamespace"
    "  UNION SELECT o.oprcode FROM pg_amop a JOIN pg_operator o ON o.oid = a.amopopr"
    "   JOIN pg_proc p ON p.oid = o.oprcode AND p.pronamespace = 'pg_catalog'::regnamespace"
    "   JOIN pg_am m ON m.oid = a.amopmethod AND m.amname IN ('btree', 'hash')"
    "  UNION SELECT n.oprcode FROM pg_amop a JOIN pg_operator o ON o.oid = a.amopopr"
    "   JOIN pg_operator n ON n.oid = o.oprnegate"
    "   JOIN pg_proc p ON p.oid = n.oprcode AND p.pronamespace = 'pg_catalog'::regnamespace"
    "   JOIN pg_am m ON m.oid = a.amopmethod AND m.amname IN ('btree', 'hash'))"
    " SELECT DISTINCT ON (i) i, says FROM ("
    "  SELECT f.i, 'has security_invoker, so it would be read with the rights of the person' AS "
    "says"
    "   FROM rule f JOIN pg_class c ON c.oid = f.oid"
    "   WHERE array_to_string(c.reloptions, ' ') ~ 'security_invoker=(t|on|1|y)'"
    "  UNION ALL SELECT f.i, 'calls ' || m[1]::oid::regprocedure ||"
    "   ', whose errors could print what it read' FROM rule f,"
    "   regexp_matches(f.tree, ':(?:opfuncid|funcid|aggfnoid|winfnoid) ([1-9][0-9]*)', 'g') AS m"
    "   WHERE m[1]::oid NOT IN (SELECT oid FROM harmless)"
    "  UNION ALL SELECT f.i, 'casts a text to ' || format_type(m[1]::oid, NULL) ||"
    "   ', and the error would print it' FROM rule f, regexp_matches(f.tree,"
    "   ':resulttype ([0-9]+) :resultcollid [0-9]+ :coerceformat', 'g') AS m"
    "   WHERE m[1]::oid NOT IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)"
    "  UNION ALL SELECT f.i, 'has an XML expression, whose errors could print what it read'"
    "   FROM rule f WHERE f.tree ~ '{(XMLEXPR|TABLEFUNC) ') x ORDER BY i, says";

/* Whoever owns a view may replace it, with columns that mean something else. */
static int read_definitions(struct reader *r)
{
    size_t count;
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_wanted(r);
    sql_add(&r->sql,
            "%S SELECT i, left(encode(sha256(convert_to(string_agg(d, ' ' ORDER BY d), 'UTF8')),"
            " 'hex'), 32) FROM (SELECT f.i, pg_get_viewdef(f.oid) AS d FROM rule f) x GROUP BY i",
            rules_part);
    int rc = ask(r, &count);
    for (size_t row = 0; rc == 0 && row < count; row++)
        r->to->tables[number_at(r, row, 0)].definition = text_at(r, row, 1);
    return rc == 0 ? finish(r) : rc;
}

static int read_obstacles(struct reader *r)
{
    static const char *const quiet[] = {
#define VIEW_FUNCTION(name) name,
#include "enforce/tbl/view_function.def"
#undef VIEW_FUNCTION
    };
    size_t count = 0;
    for (size_t i = 0; i < r->policy->table_count; i++)
        count += r->to->tables[i].is_view;
    if (count == 0)
        return 0;
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_wanted(r);
    sql_add(&r->sql, ", quiet(name) AS (VALUES ");
    for (size_t i = 0; i < RF_COUNT(quiet); i++)
        sql_add(&r->sql, "%S(%L)", i == 0 ? "" : ", ", quiet[i]);
    sql_add(&r->sql, ")%S%S", rules_part, obstacles_query);
    int rc = ask(r, &count);
    for (size_t row = 0; rc == 0 && row < count; row++)
        r->to->tables[number_at(r, row, 0)].obstacle = text_at(r, row, 1);
    if (rc == 0)
        rc = finish(r);
    return rc == 0 ? read_definitions(r) : rc;
}

static int read_references(struct reader *r)
{
    size_t count;
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_wanted(r);
    sql_add(&r->sql,
            " SELECT f.i, a.attname, o.i, b.attname FROM found f"
            " JOIN pg_constraint k ON k.conrelid = f.oid AND k.contype = 'f' AND k.convalidated"
            "  AND cardinality(k.conkey) = 1"
            " JOIN found o ON o.oid = k.confrelid"
            " JOIN pg_attribute a ON a.attrelid = f.oid AND a.attnum = k.conkey[1]"
            " JOIN pg_attribute b ON b.attrelid = o.oid AND b.attnum = k.confkey[1]"
            " ORDER BY f.i, a.attnum, o.i, b.attnum");
    int rc = ask(r, &count);
    struct catalog_reference *all = rc == 0 ? rows_for(r, count, sizeof(*all)) : NULL;
    for (size_t row = 0; all != NULL && row < count; row++) {
        struct catalog_table *t = &r->to->tables[number_at(r, row, 0)];
        if (t->reference_count++ == 0)
            t->references = &all[row];
        all[row] = (struct catalog_reference){ .column = text_at(r, row, 1),
                                               .table = (size_t)number_at(r, row, 2),
                                               .key = text_at(r, row, 3) };
    }
    return rc == 0 ? finish(r) : rc;
}

static int read_sequences(struct reader *r)
{
    size_t count;
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_wanted(r);
    sql_add(&r->sql,
            " SELECT f.i, q.relname FROM found f JOIN pg_depend d ON d.refobjid = f.oid"
            "  AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass"
            "  AND d.deptype IN ('a', 'i')"
            " JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S'"
            "  AND q.relnamespace = f.relnamespace ORDER BY f.i, q.relname");
    int rc = ask(r, &count);
    const char **all = rc == 0 ? rows_for(r, count, sizeof(*all)) : NULL;
    for (size_t row = 0; all != NULL && row < count; row++) {
        struct catalog_table *t = &r->to->tables[number_at(r, row, 0)];
        if (t->sequence_count++ == 0)
            t->sequences = &all[row];
        all[row] = text_at(r, row, 1);
    }
    return rc == 0 ? finish(r) : rc;
}

static int read_schemas(struct reader *r)
{
    begin(r);
    sql_add(&r->sql,
            "SELECT n.nspname, pg_get_userbyid(n.nspowner) FROM pg_namespace n"
            " WHERE n.nspname IN (%L, %L, %L, %L)",
            SCHEMA_OWN, SCHEMA_MASKED, SCHEMA_STATS, SCHEMA_GRANTED);
    int rc = ask(r, &r->to->schema_count);
    if (rc == 0)
        r->to->schemas = rows_for(r, r->to->schema_count, sizeof(*r->to->schemas));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->schema_count; row++)
        r->to->schemas[row] =
            (struct catalog_schema){ .name = text_at(r, row, 0), .owner = text_at(r, row, 1) };
    return rc == 0 ? finish(r) : rc;
}

static int read_roles(struct reader *r)
{
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_managed(r);
    /* pg_shdepend 'o': every owned object of the cluster, named where it is a relation of here; but
       for default privileges, which every role may set for what it makes, and ours make nothing */
    sql_add(&r->sql,
            " SELECT a.rolname, a.rolcanlogin, a.rolinherit, a.rolsuper OR a.rolcreatedb OR"
            "  a.rolreplication OR a.rolbypassrls, a.rolsuper, %S, a.rolcreaterole,"
            "  a.rolconnlimit, (SELECT coalesce(max(CASE WHEN d.classid = 'pg_class'::regclass"
            "    AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
            "    THEN d.objid::regclass::text END), 'an object')"
            "   FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass"
            "    AND d.refobjid = a.oid AND d.deptype = 'o'"
            "    AND d.classid <> 'pg_default_acl'::regclass HAVING count(*) > 0)"
            " FROM managed m JOIN %S a ON a.oid = m.oid",
            r->to->is_super ? "a.rolpassword IS NOT NULL" : "false",
            r->to->is_super ? "pg_authid" : "pg_roles");
    int rc = ask(r, &r->to->role_count);
    if (rc == 0)
        r->to->roles = rows_for(r, r->to->role_count, sizeof(*r->to->roles));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->role_count; row++)
        r->to->roles[row] = (struct catalog_role){
            .name = text_at(r, row, 0),
            .can_login = true_at(r, row, 1),
            .inherits = true_at(r, row, 2),
            .has_power = true_at(r, row, 3),
            .is_super = true_at(r, row, 4),
            .has_password = true_at(r, row, 5),
            .makes_roles = true_at(r, row, 6),
            .connection_limit = number_at(r, row, 7),
            .owns = text_at(r, row, 8),
        };
    return rc == 0 ? finish(r) : rc;
}

static int read_settings(struct reader *r)
{
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_managed(r);
    sql_add(&r->sql, " SELECT m.rolname, u.text, s.setdatabase <> 0 FROM pg_db_role_setting s"
                     " JOIN managed m ON m.oid = s.setrole, unnest(s.setconfig) AS u(text)"
                     " WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database"
                     "  WHERE datname = current_database()))");
    int rc = ask(r, &r->to->setting_count);
    if (rc == 0)
        r->to->settings = rows_for(r, r->to->setting_count, sizeof(*r->to->settings));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->setting_count; row++)
        r->to->settings[row] = (struct catalog_setting){ .role = text_at(r, row, 0),
                                                         .text = text_at(r, row, 1),
                                                         .in_database = true_at(r, row, 2) };
    return rc == 0 ? finish(r) : rc;
}

static int read_members(struct reader *r)
{
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_managed(r);
    sql_add(
        &r->sql,
        " SELECT u.rolname, g.rolname FROM pg_auth_members x"
        " JOIN pg_roles u ON u.oid = x.member JOIN pg_roles g ON g.oid = x.roleid"
        " WHERE (x.member IN (SELECT oid FROM managed) OR x.roleid IN (SELECT oid FROM managed))"
        " AND x.member IN (SELECT oid FROM lasting) AND x.roleid IN (SELECT oid FROM lasting)");
    int rc = ask(r, &r->to->member_count);
    if (rc == 0)
        r->to->members = rows_for(r, r->to->member_count, sizeof(*r->to->members));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->member_count; row++)
        r->to->members[row] =
            (struct catalog_member){ .member = text_at(r, row, 0), .group = text_at(r, row, 1) };
    return rc == 0 ? finish(r) : rc;
}

/* Names always quoted, as sql.h does it, so that both sides can be compared as text. */
#define QUOTED(name)            "'\"' || replace(" name ", '\"', '\"\"') || '\"'"
#define QUALIFIED(schema, name) QUOTED(schema) " || '.' || " QUOTED(name)

/* Every grant on anything that can be named in this database, to our roles; and to PUBLIC (0) on
   databases, the policy's schemas and what is in them, languages, and the functions of the list. A
   view or partition beside a table of the policy shows its rows to every service that may use the
   schema; what came with an extension stays as the extension wants it. (Laid out by hand, both: the
   formatter takes the macros for something else.) */
/* clang-format off */
static const char rights_query[] =
    ", closed AS (SELECT x.oid FROM (WITH RECURSIVE part(oid) AS (SELECT oid FROM found"
    "   UNION SELECT i.inhrelid FROM pg_inherits i JOIN part ON part.oid = i.inhparent)"
    "  SELECT oid FROM part) x UNION SELECT c.oid FROM pg_class c"
    "  JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE n.nspname IN ('ringfence', 'masked', 'granted', 'stats') OR (n.nspname IN (SELECT s FROM wanted)"
    "   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
    "    AND d.objid = c.oid AND d.deptype = 'e')))"
    ", functions AS (SELECT p.oid, p.proowner, p.proacl,"
    "   CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END ||"
    "   p.oid::regprocedure::text AS object,"
    "   p.pronamespace = to_regnamespace('ringfence') AS is_ours,"
    "   p.pronamespace = 'pg_catalog'::regnamespace OR p.proname LIKE 'dblink%' AS is_builtin"
    "  FROM pg_proc p)"
    ", acl(grantee, object, privilege, grantable) AS ("
    " SELECT x.grantee, CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || "
    QUALIFIED("n.nspname", "c.relname") ", x.privilege_type, x.is_grantable"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) x"
    " WHERE x.grantee <> c.relowner AND (x.grantee <> 0 OR c.oid IN (SELECT oid FROM closed))"
    " UNION ALL SELECT x.grantee, 'TABLE ' || " QUALIFIED("n.nspname", "c.relname")
    ", x.privilege_type || ' (' || " QUOTED("a.attname") " || ')', x.is_grantable"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(a.attacl) x"
    " WHERE x.grantee <> c.relowner AND (x.grantee <> 0 OR c.oid IN (SELECT oid FROM closed))"
    " UNION ALL SELECT x.grantee, 'SCHEMA ' || " QUOTED("n.nspname") ", x.privilege_type,"
    "  x.is_grantable FROM pg_namespace n,"
    "  aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x"
    " WHERE x.grantee <> n.nspowner AND (x.grantee <> 0 OR n.nspname IN"
    "  ('public', 'ringfence', 'masked', 'granted', 'stats') OR n.nspname IN (SELECT s FROM wanted))"
    " UNION ALL SELECT x.grantee, 'DATABASE ' || " QUOTED("d.datname") ", x.privilege_type,"
    "  x.is_grantable FROM pg_database d,"
    "  aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) x"
    " WHERE x.grantee <> d.datdba AND d.datname <> 'template0'"
    " UNION ALL SELECT x.grantee, f.object, x.privilege_type, x.is_grantable"
    " FROM functions f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) x"
    " WHERE x.grantee <> f.proowner AND (f.is_ours OR x.grantee <> 0"
    "  AND NOT (f.is_builtin AND x.grantee IN (SELECT oid FROM pg_roles WHERE rolname IN ('"
    ROLE_NAME_FUNCTION "', '" ROLE_NAME_EVERYBODY "', '" ROLE_NAME_PERSON "'))))" /* builtin.h */
    " UNION ALL SELECT x.grantee, 'LANGUAGE ' || " QUOTED("l.lanname") ", x.privilege_type,"
    "  x.is_grantable FROM pg_language l,"
    "  aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) x"
    " WHERE x.grantee <> l.lanowner AND l.lanpltrusted)"
    " SELECT m.rolname, a.object, a.privilege, a.grantable"
    " FROM acl a LEFT JOIN managed m ON m.oid = a.grantee"
    " WHERE a.grantee = 0 OR m.oid IS NOT NULL";

/* What a view or function is now, as text; options count, because security_barrier is one. */
static const char objects_query[] =
    "WITH here AS ("
    " SELECT n.nspname || '.' || c.relname AS name,"
    "  CASE c.relkind WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW '"
    "   WHEN 'S' THEN 'SEQUENCE ' WHEN 'f' THEN 'FOREIGN TABLE ' ELSE 'TABLE ' END || "
    QUALIFIED("n.nspname", "c.relname") " AS quoted,"
    "  pg_get_userbyid(c.relowner) AS owner,"
    "  CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) || coalesce(c.reloptions::text, '')"
    "  END AS definition"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname IN ('masked', 'granted', 'stats') AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')"
    "  OR n.nspname = 'ringfence' AND c.relkind = 'v'"
    " UNION ALL SELECT n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')',"
    "  'FUNCTION ' || p.oid::regprocedure::text, pg_get_userbyid(p.proowner),"
    "  pg_get_functiondef(p.oid)"
    " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
    " WHERE n.nspname IN ('ringfence', 'masked', 'granted', 'stats') AND p.prokind = 'f')";
/* clang-format on */

static int read_rights(struct reader *r)
{
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_wanted(r);
    sql_add(&r->sql, ", ");
    add_managed(r);
    sql_add(&r->sql, "%S", rights_query);
    int rc = ask(r, &r->to->right_count);
    if (rc == 0)
        r->to->rights = rows_for(r, r->to->right_count, sizeof(*r->to->rights));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->right_count; row++)
        r->to->rights[row] = (struct catalog_right){ .grantee = text_at(r, row, 0),
                                                     .object = text_at(r, row, 1),
                                                     .privilege = text_at(r, row, 2),
                                                     .may_pass_on = true_at(r, row, 3) };
    return rc == 0 ? finish(r) : rc;
}

static int read_builtins(struct reader *r)
{
    return builtin_read(r->db, r->region->functions_listed ? BUILTIN_LISTED : BUILTIN_ALLOWED,
                        &r->to->arena, &r->to->builtins, &r->to->builtin_count, r->err);
}

/* PostgreSQL's own roles have no login, and are given to roles that are looked at here. */
static int read_other_roles(struct reader *r)
{
    begin(r);
    sql_add(&r->sql, "WITH ");
    add_managed(r);
    sql_add(&r->sql,
            " SELECT r.rolname FROM pg_roles r WHERE NOT r.rolsuper AND r.rolname !~ '^pg_'"
            " AND r.oid IN (SELECT oid FROM lasting) AND r.oid NOT IN (SELECT oid FROM managed)"
            " AND NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid"
            "  AND m.roleid = to_regrole(%L)) ORDER BY 1",
            ROLE_NAME_EVERYBODY);
    int rc = ask(r, &r->to->other_role_count);
    if (rc == 0)
        r->to->other_roles = rows_for(r, r->to->other_role_count, sizeof(*r->to->other_roles));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->other_role_count; row++)
        r->to->other_roles[row] = text_at(r, row, 0);
    return rc == 0 ? finish(r) : rc;
}

static int read_objects(struct reader *r)
{
    bool has_objects = catalog_has_own_table(r->to, "object");
    begin(r);
    sql_add(&r->sql, "%S SELECT h.name, h.quoted, h.owner, %S FROM here h %S ORDER BY 1",
            objects_query, has_objects ? "o.source, o.definition = h.definition" : "NULL, false",
            has_objects ? "LEFT JOIN ringfence.object o ON o.name = h.name" : "");
    int rc = ask(r, &r->to->object_count);
    if (rc == 0)
        r->to->objects = rows_for(r, r->to->object_count, sizeof(*r->to->objects));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->object_count; row++)
        r->to->objects[row] = (struct catalog_object){ .name = text_at(r, row, 0),
                                                       .quoted = text_at(r, row, 1),
                                                       .owner = text_at(r, row, 2),
                                                       .source = text_at(r, row, 3),
                                                       .unchanged = true_at(r, row, 4) };
    return rc == 0 ? finish(r) : rc;
}

static int read_triggers(struct reader *r)
{
    bool has_objects = catalog_has_own_table(r->to, "object");
    begin(r);
    sql_add(&r->sql,
            "WITH RECURSIVE ours AS (SELECT t.oid, t.tgrelid, t.tgname, t.tgenabled,"
            "  pg_get_triggerdef(t.oid) AS definition FROM pg_trigger t"
            "  WHERE t.tgname ~ '^~ringfence' AND t.tgparentid = 0 AND NOT t.tgisinternal),"
            " clone(root, oid, tgenabled) AS (SELECT oid, oid, tgenabled FROM ours"
            "  UNION ALL SELECT c.root, t.oid, t.tgenabled FROM clone c"
            "  JOIN pg_trigger t ON t.tgparentid = c.oid)"
            " SELECT n.nspname, c.relname, t.tgname, %S FROM ours t"
            " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " %S ORDER BY 1, 2, 3",
            has_objects ? "o.source, o.definition = t.definition AND NOT EXISTS"
                          " (SELECT FROM clone x WHERE x.root = t.oid AND x.tgenabled <> 'A')"
                        : "NULL, false",
            has_objects ? "LEFT JOIN ringfence.object o ON o.name ="
                          " 'trigger ' || t.tgname || ' on ' || n.nspname || '.' || c.relname"
                        : "");
    int rc = ask(r, &r->to->trigger_count);
    if (rc == 0)
        r->to->triggers = rows_for(r, r->to->trigger_count, sizeof(*r->to->triggers));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->trigger_count; row++)
        r->to->triggers[row] = (struct catalog_trigger){ .schema = text_at(r, row, 0),
                                                         .table = text_at(r, row, 1),
                                                         .name = text_at(r, row, 2),
                                                         .source = text_at(r, row, 3),
                                                         .unchanged = true_at(r, row, 4) };
    return rc == 0 ? finish(r) : rc;
}

static int read_child_key(struct reader *r)
{
    size_t count;
    begin(r);
    sql_add(&r->sql, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid ="
                     " to_regclass('ringfence.child') AND attname = 'subject'");
    int rc = ask(r, &count);
    if (rc == 0 && count > 0)
        r->to->child_key = text_at(r, 0, 0);
    return rc == 0 ? finish(r) : rc;
}

static int read_own_sequences(struct reader *r)
{
    begin(r);
    sql_add(&r->sql,
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %L AND c.relkind = 'S'",
            SCHEMA_OWN);
    int rc = ask(r, &r->to->sequence_count);
    if (rc == 0)
        r->to->sequences = rows_for(r, r->to->sequence_count, sizeof(*r->to->sequences));
    for (size_t row = 0; rc == 0 && !r->no_memory && row < r->to->sequence_count; row++)
        r->to->sequences[row] = text_at(r, row, 0);
    return rc == 0 ? finish(r) : rc;
}

int catalog_read(struct database *db, const struct policy *policy,
                 const struct policy_region *region, struct catalog **ret, struct err *err)
{
    static int (*const parts[])(struct reader *) = {
        read_database,   read_own_tables, read_applied,       read_tables,    read_columns,
        read_references, read_obstacles,  read_sequences,     read_schemas,   read_roles,
        read_settings,   read_members,    read_rights,        read_builtins,  read_other_roles,
        read_objects,    read_triggers,   read_own_sequences, read_child_key,
    };
    struct reader r = { .db = db, .policy = policy, .region = region, .err = err };
    r.to = mem_zalloc(1, sizeof(*r.to));
    if (r.to == NULL)
        return err_set(err, RF_ENOMEM, "out of memory while reading the catalog");
    arena_init(&r.to->arena);
    sql_init(&r.sql);
    /* names that are not of pg_catalog come out with their schema */
    /* compiling these queries to machine code would take longer than running them */
    int rc = database_run(db, "SET search_path = pg_catalog; SET jit = off", err);
    for (size_t i = 0; rc == 0 && i < RF_COUNT(parts); i++)
        rc = parts[i](&r);
    PQclear(r.answer);
    sql_done(&r.sql);
    if (rc < 0)
        catalog_free(r.to);
    else
        *ret = r.to;
    return rc;
}

void catalog_free(struct catalog *c)
{
    if (c == NULL)
        return;
    arena_done(&c->arena);
    mem_free(c);
}

bool catalog_has_own_table(const struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->own_table_count; i++)
        if (strcmp(c->own_tables[i], name) == 0)
            return true;
    return false;
}

const struct catalog_role *catalog_role_find(const struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->role_count; i++)
        if (strcmp(c->roles[i].name, name) == 0)
            return &c->roles[i];
    return NULL;
}

const struct catalog_column *catalog_column_find(const struct catalog_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}
