/* Schemas, ringfence's own tables and functions, and the views of the rooms.
 *
 * ringfence.object holds for each view and function the text it was made from and the definition
 * that PostgreSQL made of it. An object is left alone when both are still the same, so that a
 * second apply takes no lock; any other is dropped and made anew, because a view's columns cannot
 * change in place. */
#include <stdio.h>
#include <string.h>

#include "enforce/compiler.h"
#include "enforce/granted.h"
#include "enforce/mask.h"
#include "enforce/pseudonym.h"
#include "enforce/statistic.h"
#include "enforce/view.h"

static const struct catalog_object *object_find(const struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->object_count; i++)
        if (strcmp(c->objects[i].name, name) == 0)
            return &c->objects[i];
    return NULL;
}

static int compile_schemas(struct compiler *k)
{
    static const char *const names[] = { SCHEMA_OWN, SCHEMA_MASKED, SCHEMA_STATS, SCHEMA_GRANTED };
    int rc = 0;
    for (size_t i = 0; i < RF_COUNT(names) && rc == 0; i++) {
        const struct catalog_schema *there = NULL;
        for (size_t s = 0; s < k->catalog->schema_count; s++)
            if (strcmp(k->catalog->schemas[s].name, names[i]) == 0)
                there = &k->catalog->schemas[s];
        if (there == NULL) {
            sql_add(&k->sql, "CREATE SCHEMA %I AUTHORIZATION %I", names[i], ROLE_NAME_OWNER);
            rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "schema \"%s\"", names[i]);
        } else if (strcmp(there->owner, ROLE_NAME_OWNER) != 0) {
            rc = err_set(k->err, RF_EDATABASE,
                         "schema \"%s\" is already there and belongs to \"%s\"", names[i],
                         there->owner);
            err_hint(k->err,
                     "ringfence needs the schemas ringfence, masked, granted and stats for itself");
        }
    }
    return rc;
}

int compile_plain(struct compiler *k, const char *text, const char *what)
{
    sql_add(&k->sql, "%S", text);
    return script_add(k->script, STEP_GUARD, &k->sql, k->err, "%s", what);
}

int compile_own_table(struct compiler *k, const char *name, const char *create)
{
    if (catalog_has_own_table(k->catalog, name))
        return 0;
    int rc = compile_plain(k, create, name);
    if (rc == 0) {
        sql_add(&k->sql, "ALTER TABLE %N OWNER TO %I", SCHEMA_OWN, name, ROLE_NAME_OWNER);
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "owner of \"%s\"", name);
    }
    return rc;
}

static int note_remade(struct compiler *k, const char *quoted)
{
    if (k->remade_count == k->remade_cap) {
        size_t cap = k->remade_cap > 0 ? k->remade_cap * 2 : 32;
        const char **more = arena_alloc(&k->script->arena, cap, sizeof(*more));
        if (more == NULL)
            return err_set(k->err, RF_ENOMEM, "out of memory while compiling views");
        if (k->remade_count > 0)
            memcpy(more, k->remade, k->remade_count * sizeof(*more));
        k->remade = more;
        k->remade_cap = cap;
    }
    k->remade[k->remade_count++] = quoted;
    return 0;
}

static int drop(struct compiler *k, const struct catalog_object *there, const char *why)
{
    sql_add(&k->sql, "DROP %S", there->quoted);
    int rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "%s: %s", there->name, why);
    return rc == 0 ? note_remade(k, there->quoted) : rc;
}

int compile_drop_former(struct compiler *k, const char *name, const char *why)
{
    const struct catalog_object *old = object_find(k->catalog, name);
    if (old == NULL)
        return 0;
    int rc = drop(k, old, why);
    if (rc < 0)
        return rc;
    sql_add(&k->sql, "DELETE FROM ringfence.object WHERE name = %L", name);
    return script_add(k->script, STEP_GUARD, &k->sql, k->err, "%s is gone", name);
}

/* A table of sizes that was made before it kept signatures: with the function of that time. */
static int compile_log_signature(struct compiler *k)
{
    static const char name[] = "ringfence.log_seen(text, bigint, bytea)";
    if (object_find(k->catalog, name) == NULL)
        return 0;
    int rc = compile_drop_former(k, name, "it kept no signatures");
    return rc == 0 ? compile_plain(k,
                                   "ALTER TABLE ringfence.log_size"
                                   " ADD signature bytea CHECK (length(signature) = 64)",
                                   "signatures of the sizes of logs")
                   : rc;
}

static int compile_own_tables(struct compiler *k)
{
    /* Random bytes come from the server's generator, so that the key is in no script and no log. */
    static const char key[] = "CREATE TABLE ringfence.pseudonym_key ("
                              " only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),"
                              " key bytea NOT NULL CHECK (length(key) = 32))";
    static const char key_row[] =
        "INSERT INTO ringfence.pseudonym_key (key) SELECT sha256(uuid_send(gen_random_uuid()) ||"
        " uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))";
    static const char object[] =
        "CREATE TABLE ringfence.object (name text PRIMARY KEY, source text NOT NULL,"
        " definition text NOT NULL)";
    static const char applied[] =
        "CREATE TABLE ringfence.applied ("
        " only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),"
        " policy_digest text NOT NULL, region text NOT NULL, version text NOT NULL,"
        " at timestamptz NOT NULL)";
    static const char exposure[] =
        "CREATE TABLE ringfence.exposure (kind text, who text, object text, class text NOT NULL,"
        " shown text NOT NULL, level bigint NOT NULL, PRIMARY KEY (kind, who, object))";
    static const char log_size[] =
        "CREATE TABLE ringfence.log_size (origin text PRIMARY KEY CHECK (length(origin) <= 255),"
        " size bigint NOT NULL CHECK (size > 0), root bytea NOT NULL CHECK (length(root) = 32),"
        " signature bytea CHECK (length(signature) = 64), at timestamptz NOT NULL)";
    bool has_key = catalog_has_own_table(k->catalog, "pseudonym_key");
    int rc = compile_own_table(k, "pseudonym_key", key);
    if (rc == 0 && !has_key)
        rc = compile_plain(k, key_row, "a random key for pseudonyms");
    if (rc == 0)
        rc = compile_own_table(k, "object", object);
    if (rc == 0)
        rc = compile_own_table(k, "applied", applied);
    if (rc == 0)
        rc = compile_own_table(k, "exposure", exposure);
    if (rc == 0)
        rc = compile_own_table(k, "log_size", log_size);
    return rc == 0 ? compile_log_signature(k) : rc;
}

/* Later steps compare with what stands here; the text of a view without its name is enough to see
   any change of it. */
static int record(struct compiler *k, const struct wanted_object *o)
{
    sql_add(&k->sql, "INSERT INTO ringfence.object (name, source, definition) SELECT %L, %L, ",
            o->name, o->source);
    if (strcmp(o->kind, "VIEW") == 0)
        sql_add(&k->sql,
                "pg_get_viewdef(c.oid) || coalesce(c.reloptions::text, '') FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %L"
                " AND c.relname = %L",
                o->schema, o->object);
    else
        sql_add(&k->sql,
                "pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n"
                " ON n.oid = p.pronamespace WHERE n.nspname = %L AND p.proname = %L"
                " AND oidvectortypes(p.proargtypes) = %L",
                o->schema, o->object, o->arguments);
    sql_add(&k->sql, " ON CONFLICT (name) DO UPDATE SET source = excluded.source,"
                     " definition = excluded.definition");
    return script_add(k->script, STEP_RECORD, &k->sql, k->err, "record of %s", o->name);
}

bool compile_is_same(const struct compiler *k, const char *name, const char *owner,
                     const char *source)
{
    const struct catalog_object *there = object_find(k->catalog, name);
    return there != NULL && there->source != NULL && there->unchanged &&
           strcmp(there->source, source) == 0 && strcmp(there->owner, owner) == 0;
}

static bool is_dropped(const struct compiler *k, const struct catalog_object *there)
{
    for (size_t i = 0; i < k->remade_count; i++)
        if (strcmp(k->remade[i], there->quoted) == 0)
            return true;
    return false;
}

int compile_drop_schema(struct compiler *k, const char *schema, const char *why)
{
    size_t len = strlen(schema);
    int rc = 0;
    for (size_t i = 0; i < k->catalog->object_count && rc == 0; i++) {
        const struct catalog_object *o = &k->catalog->objects[i];
        if (o->source != NULL && strncmp(o->name, schema, len) == 0 && o->name[len] == '.' &&
            strncmp(o->quoted, "VIEW ", 5) == 0 && !is_dropped(k, o))
            rc = drop(k, o, why);
    }
    return rc;
}

int compile_object(struct compiler *k, const struct wanted_object *o)
{
    const struct catalog_object *there = object_find(k->catalog, o->name);
    bool is_function = strcmp(o->kind, "FUNCTION") == 0;
    int rc = 0;
    /* not made by us, or replaced by something else: it is not ours to drop */
    if (there != NULL &&
        (there->source == NULL || strncmp(there->quoted, o->kind, strlen(o->kind)) != 0))
        return err_set(k->err, RF_EDATABASE, "\"%s\" is already there and not ringfence's",
                       o->name);
    bool dropped = there != NULL && is_dropped(k, there);
    if (!dropped && compile_is_same(k, o->name, o->owner, o->source))
        return 0;
    if (there != NULL && !dropped)
        rc = drop(k, there, "to be made anew");
    if (rc == 0)
        rc = compile_plain(k, o->source, o->name);
    if (rc == 0) {
        sql_add(&k->sql, "ALTER %S %N", o->kind, o->schema, o->object);
        if (is_function)
            sql_add(&k->sql, "(%S)", o->arguments);
        sql_add(&k->sql, " OWNER TO %I", o->owner);
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "owner of %s", o->name);
    }
    if (rc == 0 && is_function) { /* the only kind of object that starts open to everybody */
        sql_add(&k->sql, "REVOKE ALL ON FUNCTION %N(%S) FROM PUBLIC", o->schema, o->object,
                o->arguments);
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "rights on %s", o->name);
    }
    return rc == 0 ? record(k, o) : rc;
}

/* For control, which has no rights of its own: both are seen with rf_owner's eyes. */
/* How large each gateway's public log was when it was seen last. It only grows: whoever restores an
   older copy of a gateway's folders does not restore this. Of few logs, since control says which;
   what a size is worth, the log's signature beside it says. */
static const char log_seen_source[] =
    "CREATE FUNCTION ringfence.log_seen(log text, seen_size bigint, seen_root bytea,"
    " seen_signature bytea, OUT held_size bigint, OUT held_root bytea, OUT held_signature bytea)"
    " RETURNS SETOF record LANGUAGE sql VOLATILE"
    " SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS "
    "'INSERT INTO ringfence.log_size AS l (origin, size, root, signature, at)"
    " SELECT $1, $2, $3, $4, statement_timestamp() WHERE $2 > 0"
    " AND (EXISTS (SELECT FROM ringfence.log_size o WHERE o.origin = $1)"
    "  OR (SELECT count(*) FROM ringfence.log_size) < 1000)"
    " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root,"
    " signature = excluded.signature, at = excluded.at WHERE l.size < excluded.size;"
    " SELECT l.size, l.root, l.signature FROM ringfence.log_size l WHERE l.origin = $1'";

static const char sessions_source[] =
    "CREATE FUNCTION ringfence.sessions(OUT pid integer, OUT role name, OUT state text,"
    " OUT since timestamptz) RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER"
    " SET search_path = pg_catalog, pg_temp AS "
    "'SELECT a.pid, a.usename, a.state, a.backend_start FROM pg_stat_activity a"
    " JOIN pg_auth_members m ON m.member = a.usesysid"
    " WHERE m.roleid = (SELECT oid FROM pg_roles WHERE rolname = ''rf_person'')"
    " AND a.datname = current_database()'";

/* A standby that has replayed all it received is up to date as long as it is still being sent to;
   otherwise it is as old as the last transaction it replayed. */
static const char standby_source[] =
    "CREATE FUNCTION ringfence.standby(OUT in_recovery boolean, OUT delay_ms bigint)"
    " LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS "
    "'SELECT pg_is_in_recovery(), CASE WHEN NOT pg_is_in_recovery() THEN 0"
    " WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"
    " AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = ''streaming'') THEN 0"
    " ELSE (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())"
    " * 1000)::bigint END'";

int compile_function(struct compiler *k, const char *object, const char *arguments,
                     const char *owner, const char *who, const char *source)
{
    struct wanted_object o = { .kind = "FUNCTION",
                               .schema = SCHEMA_OWN,
                               .object = object,
                               .arguments = arguments,
                               .owner = owner,
                               .source = source };
    char quoted[sizeof(o.name) + 16];
    (void)snprintf(o.name, sizeof(o.name), "%s.%s(%s)", SCHEMA_OWN, object, arguments);
    (void)snprintf(quoted, sizeof(quoted), "FUNCTION %s.%s(", SCHEMA_OWN, object);
    int rc = compile_object(k, &o);
    for (const char *at = arguments; *at != '\0'; at++) { /* regprocedure writes "bigint,text" */
        size_t len = strlen(quoted);
        if (*at != ' ' || at == arguments || at[-1] != ',')
            (void)snprintf(quoted + len, sizeof(quoted) - len, "%c", *at);
    }
    size_t len = strlen(quoted);
    (void)snprintf(quoted + len, sizeof(quoted) - len, ")");
    if (who != NULL)
        right_set_add_quoted(&k->rights, who, "EXECUTE", quoted);
    return rc;
}

static int compile_functions(struct compiler *k)
{
    int rc =
        compile_function(k, "sessions", "", ROLE_NAME_OWNER, ROLE_NAME_CONTROL, sessions_source);
    if (rc == 0)
        rc = compile_function(k, "standby", "", ROLE_NAME_OWNER, ROLE_NAME_CONTROL, standby_source);
    if (rc == 0)
        rc = compile_function(k, "log_seen", "text, bigint, bytea, bytea", ROLE_NAME_OWNER,
                              ROLE_NAME_CONTROL, log_seen_source);
    return rc;
}

/* k->sql holds the CREATE VIEW. */
static int compile_view(struct compiler *k, const char *schema, const char *view)
{
    const char *text;
    int rc = sql_text(&k->sql, &text, k->err);
    if (rc < 0)
        return rc;
    struct wanted_object o = { .kind = "VIEW",
                               .schema = schema,
                               .object = view,
                               .owner = ROLE_NAME_VIEW,
                               .source = arena_strndup(&k->script->arena, text, strlen(text)) };
    (void)snprintf(o.name, sizeof(o.name), "%s.%s", schema, view);
    sql_done(&k->sql);
    sql_init(&k->sql);
    if (o.source == NULL)
        return err_set(k->err, RF_ENOMEM, "out of memory while compiling views");
    rc = compile_object(k, &o);
    if (strcmp(schema, SCHEMA_MASKED) == 0) {
        right_set_add(&k->rights, ROLE_NAME_MASKED, "SELECT", "TABLE", schema, view);
    } else {
        right_set_add(&k->rights, ROLE_NAME_STATS, "SELECT", "TABLE", schema, view);
        right_set_add(&k->rights, ROLE_NAME_MASKED, "SELECT", "TABLE", schema, view);
    }
    return rc;
}

static int check_view_names(struct compiler *k)
{
    const struct policy *p = k->policy;
    for (size_t i = 0; i < p->table_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(p->tables[i].name, p->tables[j].name) == 0)
                return err_set(k->err, RF_ECONFIG,
                               "tables %s.%s and %s.%s would share the view masked.%s",
                               p->tables[j].schema, p->tables[j].name, p->tables[i].schema,
                               p->tables[i].name, p->tables[i].name);
    return 0;
}

/* True when table I has a masked view: some column of it is visible. */
static bool has_view(const struct policy_table *t)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (t->columns[i].class_id != CLASS_UNSET && t->columns[i].mask != MASK_ABSENT)
            return true;
    return false;
}

/* Views of ours that the policy no longer has; anything else in our schemas is in the way. */
static int compile_strangers(struct compiler *k)
{
    int rc = 0;
    for (size_t i = 0; i < k->catalog->object_count && rc == 0; i++) {
        const struct catalog_object *o = &k->catalog->objects[i];
        const char *name = strchr(o->name, '.') + 1;
        bool wanted = false;
        if (strncmp(o->name, "ringfence.", 10) == 0)
            wanted = o->source != NULL;
        for (size_t t = 0; t < k->policy->table_count && !wanted; t++)
            wanted = strncmp(o->name, "masked.", 7) == 0 && has_view(&k->policy->tables[t]) &&
                     strcmp(k->policy->tables[t].name, name) == 0;
        for (size_t t = 0; t < k->policy->table_count && !wanted; t++)
            wanted = strncmp(o->name, "granted.", 8) == 0 &&
                     granted_has_view(&k->policy->tables[t]) &&
                     strcmp(k->policy->tables[t].name, name) == 0;
        for (size_t s = 0; s < k->policy->statistic_count && !wanted; s++)
            wanted = strncmp(o->name, "stats.", 6) == 0 &&
                     strcmp(k->policy->statistics[s].name, name) == 0;
        if (wanted)
            continue;
        if (o->source == NULL) {
            rc = err_set(k->err, RF_EDATABASE,
                         "\"%s\" is in a schema of ringfence's and not made by it", o->name);
            err_hint(k->err, "move it to another schema or drop it");
        } else {
            rc = drop(k, o, "no longer in the policy");
        }
    }
    return rc;
}

/* What the masks of a view that is being made put in place of all values of a domain with a CHECK
   must pass it; else nobody could read the view. */
static int try_masks(struct compiler *k, size_t table)
{
    const struct policy_table *t = &k->policy->tables[table];
    int rc = 0;
    for (size_t i = 0; i < t->column_count && rc == 0; i++) {
        const struct policy_column *column = &t->columns[i];
        const struct catalog_column *fact =
            catalog_column_find(&k->catalog->tables[table], column->name);
        bool is_made_up = column->mask == MASK_NULL || column->mask == MASK_REDACT ||
                          column->mask == MASK_CONSTANT;
        if (fact == NULL || !fact->is_checked || !is_made_up || column->class_id == CLASS_UNSET)
            continue;
        struct catalog_column full = *fact; /* as if no value were NULL: no look at a row */
        full.not_null = true;
        sql_add(&k->sql, "SELECT ");
        rc = mask_add(&k->sql, column, &full, PSEUDONYM_DIGITS_MAX, column->name, k->err);
        if (rc == 0)
            rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "mask %s of column %s.%s.%s",
                            policy_mask_name(column->mask), t->schema, t->name, column->name);
    }
    return rc;
}

static int compile_masked(struct compiler *k, size_t table)
{
    bool is_empty;
    size_t before = k->script->count;
    int rc = view_add_masked(&k->sql, k->policy, k->catalog, table, &is_empty, k->err);
    if (rc == 0 && !is_empty)
        rc = compile_view(k, SCHEMA_MASKED, k->policy->tables[table].name);
    return rc == 0 && k->script->count > before ? try_masks(k, table) : rc;
}

/* What every statistic calls, with the rights of who reads it. */
static int compile_figure(struct compiler *k)
{
    static const char *const readers[] = { ROLE_NAME_STATS, ROLE_NAME_MASKED, ROLE_NAME_GRANTED };
    bool made;
    for (size_t i = 0; i < RF_COUNT(readers); i++)
        right_set_add_quoted(&k->rights, readers[i], "EXECUTE",
                             "FUNCTION ringfence.statistic_figure(bigint,text,double precision,"
                             "double precision,double precision)");
    return compile_kept_function(k, "statistic_figure", STATISTIC_FIGURE_ARGUMENTS,
                                 statistic_figure_source, &made);
}

int compile_objects(struct compiler *k)
{
    int rc = check_view_names(k);
    if (rc == 0)
        rc = view_check_domains(k->policy, k->catalog, k->err);
    if (rc == 0)
        rc = compile_schemas(k);
    if (rc == 0)
        rc = compile_own_tables(k);
    if (rc == 0)
        rc = compile_functions(k);
    if (rc == 0)
        rc = compile_child(k);
    if (rc == 0)
        rc = compile_figure(k);
    if (rc == 0)
        rc = compile_strangers(k);
    for (size_t i = 0; i < k->policy->table_count && rc == 0; i++)
        rc = compile_masked(k, i);
    for (size_t i = 0; i < k->policy->statistic_count && rc == 0; i++) {
        rc = statistic_add_view(&k->sql, k->policy, k->catalog, i, k->err);
        if (rc == 0)
            rc = compile_view(k, SCHEMA_STATS, k->policy->statistics[i].name);
    }
    return rc;
}
