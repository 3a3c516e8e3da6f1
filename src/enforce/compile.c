#include "enforce/compile.h"

#include <stdio.h>
#include <string.h>

#include "enforce/compiler.h"
#include "enforce/exposure.h"
#include "enforce/fit.h"

#ifndef RF_VERSION
#    error "the build gives RF_VERSION"
#endif

/* Every mistake is in the script; the error tells the first. */
static int check_tables(struct compiler *k)
{
    struct mistakes *m = &k->script->mistakes;
    int rc = fit_check(k->policy, k->catalog, m, k->err);
    if (rc < 0 || !mistakes_any(m))
        return rc;
    if (m->count == 0)
        return err_set(k->err, RF_ENOMEM, "out of memory while comparing policy and tables");
    rc = err_set(k->err, RF_ECONFIG, "%.300s", m->list[0].text);
    err_hint(k->err, "%s:%u%s", m->list[0].file, m->list[0].line,
             m->count > 1 ? "; there are more mistakes than this one" : "");
    return rc;
}

static int check_database(struct compiler *k)
{
    const struct catalog *c = k->catalog;
    if (!c->is_utf8)
        return err_set(k->err, RF_EDATABASE, "database \"%s\" is not encoded in UTF8", c->database);
    if (c->server_version < 150000) {
        int rc = err_set(k->err, RF_EUNSUPP, "server version %d is too old", c->server_version);
        err_hint(k->err, "PostgreSQL 15 or newer");
        return rc;
    }
    if (c->applied_region != NULL && strcmp(c->applied_region, k->region->name) != 0) {
        int rc =
            err_set(k->err, RF_ECONFIG, "database \"%s\" is set up for region \"%s\", not \"%s\"",
                    c->database, c->applied_region, k->region->name);
        err_hint(k->err, "is the DSN the one of this region?");
        return rc;
    }
    return 0;
}

static void want_table(struct compiler *k, const char *role, size_t table, enum table_access access)
{
    static const char *const read[] = { "SELECT" };
    static const char *const write[] = { "SELECT", "INSERT", "UPDATE", "DELETE" };
    const struct policy_table *t = &k->policy->tables[table];
    const struct catalog_table *fact = &k->catalog->tables[table];
    if (t->is_view && access == TABLE_WRITE) /* "write" for all tables writes no view */
        access = TABLE_READ;
    const char *const *list = access == TABLE_WRITE ? write : read;
    size_t count = access == TABLE_WRITE ? RF_COUNT(write) : RF_COUNT(read);
    right_set_add(&k->rights, role, "USAGE", "SCHEMA", NULL, t->schema);
    for (size_t i = 0; i < count; i++)
        right_set_add(&k->rights, role, list[i], "TABLE", t->schema, t->name);
    /* SELECT lets pg_dump write down where a sequence stands */
    for (size_t i = 0; access == TABLE_WRITE && i < fact->sequence_count; i++) {
        right_set_add(&k->rights, role, "USAGE", "SEQUENCE", t->schema, fact->sequences[i]);
        right_set_add(&k->rights, role, "SELECT", "SEQUENCE", t->schema, fact->sequences[i]);
    }
}

static int want_service_tables(struct compiler *k, const struct policy_actor *actor)
{
    const struct policy_service_access *access = role_service_access(actor, k->region);
    if (access == NULL)
        return 0;
    for (size_t i = 0; access->all_tables != TABLE_NONE && i < k->policy->table_count; i++)
        want_table(k, actor->name, i, access->all_tables);
    for (size_t i = 0; i < access->table_count; i++) {
        const struct policy_service_table *named = &access->tables[i];
        const struct policy_table *t = policy_table_find(k->policy, named->schema, named->table);
        if (t == NULL)
            return err_set(k->err, RF_ECONFIG,
                           "service \"%s\" is given table %s.%s, which the policy does not list",
                           actor->name, named->schema, named->table);
        if (named->access != TABLE_NONE)
            want_table(k, actor->name, (size_t)(t - k->policy->tables), named->access);
    }
    return 0;
}

static void want_own_rights(struct compiler *k)
{
    static const struct {
        const char *role, *privilege, *kind, *schema, *name;
    } rights[] = {
        { ROLE_NAME_VIEW, "USAGE", "SCHEMA", NULL, SCHEMA_OWN },
        { ROLE_NAME_VIEW, "SELECT", "TABLE", SCHEMA_OWN, "pseudonym_key" },
        { ROLE_NAME_MASKED, "USAGE", "SCHEMA", NULL, SCHEMA_MASKED },
        { ROLE_NAME_MASKED, "USAGE", "SCHEMA", NULL, SCHEMA_STATS },
        { ROLE_NAME_STATS, "USAGE", "SCHEMA", NULL, SCHEMA_STATS },
        { ROLE_NAME_CONTROL, "USAGE", "SCHEMA", NULL, SCHEMA_OWN },
        { ROLE_NAME_REGISTRAR, "USAGE", "SCHEMA", NULL, SCHEMA_OWN },
        { ROLE_NAME_HERALD, "USAGE", "SCHEMA", NULL, SCHEMA_OWN },
        { ROLE_NAME_CONTROL, "SELECT", "TABLE", SCHEMA_OWN, "applied" },
        { ROLE_NAME_CONTROL, "SELECT", "TABLE", SCHEMA_OWN, "object" },
    };
    static const char *const may_connect[] = { ROLE_NAME_PERSON, ROLE_NAME_SERVICE,
                                               ROLE_NAME_CONTROL, ROLE_NAME_REGISTRAR,
                                               ROLE_NAME_HERALD };
    for (size_t i = 0; i < RF_COUNT(rights); i++)
        right_set_add(&k->rights, rights[i].role, rights[i].privilege, rights[i].kind,
                      rights[i].schema, rights[i].name);
    for (size_t i = 0; i < RF_COUNT(may_connect); i++)
        right_set_add(&k->rights, may_connect[i], "CONNECT", "DATABASE", NULL,
                      k->catalog->database);
    for (size_t i = 0; i < k->policy->table_count; i++)
        want_table(k, ROLE_NAME_VIEW, i, TABLE_READ);
}

/* Whoever reads a view must be allowed to execute what it calls. Persons cannot name these: they
   have no USAGE on the schema. */
static void want_native_rights(struct compiler *k)
{
    static const struct {
        const char *role, *function;
    } rights[] = {
#define NATIVE_FUNCTION(signature) { ROLE_NAME_PERSON, "FUNCTION " SCHEMA_NATIVE "." signature },
#define NATIVE_GRANTED(signature)  { ROLE_NAME_GRANTED, "FUNCTION " SCHEMA_NATIVE "." signature },
#include "enforce/tbl/native_function.def"
#undef NATIVE_FUNCTION
#undef NATIVE_GRANTED
    };
    for (size_t i = 0; k->catalog->has_native && i < RF_COUNT(rights); i++)
        right_set_add_quoted(&k->rights, rights[i].role, "EXECUTE", rights[i].function);
}

/* Compare what stands after the kind: a view's rights are on TABLE "masked"."users". */
static bool is_remade(void *context, const char *object)
{
    const struct compiler *k = context;
    const char *name = strchr(object, ' ');
    for (size_t i = 0; name != NULL && i < k->remade_count; i++) {
        const char *other = strchr(k->remade[i], ' ');
        if (other != NULL && strcmp(name, other) == 0)
            return true;
    }
    return false;
}

int compile_rights(struct compiler *k)
{
    int rc = 0;
    want_own_rights(k);
    want_native_rights(k);
    for (size_t i = 0; i < k->policy->actor_count && rc == 0; i++)
        rc = want_service_tables(k, &k->policy->actors[i]);
    if (rc == 0)
        rc = right_set_compile(&k->rights, k->catalog, is_remade, k, k->script, k->err);
    return rc;
}

/* "('US', 'CA')" */
static void add_home(struct sql *s, const struct policy_region *region)
{
    for (size_t i = 0; i < region->home->country_count; i++)
        sql_add(s, "%S%L", i == 0 ? "(" : ", ", region->home->countries[i].code);
    sql_add(s, ")");
}

static int record_residency(struct compiler *k, const struct policy_table *t, const char *rule)
{
    sql_add(
        &k->sql,
        "INSERT INTO ringfence.object (name, source, definition)"
        " SELECT 'residency of ' || n.nspname || '.' || c.relname, %L,"
        " pg_get_constraintdef(x.oid) FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %L AND c.relname = %L"
        " AND x.conname = 'ringfence_residency' ON CONFLICT (name) DO UPDATE SET"
        " source = excluded.source, definition = excluded.definition",
        rule, t->schema, t->name);
    return script_add(k->script, STEP_RECORD, &k->sql, k->err, "definition of residency of %s.%s",
                      t->schema, t->name);
}

static int script_residency(struct compiler *k, const struct policy_table *t, bool is_there,
                            const char *rule)
{
    /* IS TRUE, because a CHECK lets NULL pass and nowhere is not at home */
    sql_add(&k->sql, "SELECT count(*) FROM %N WHERE (%I IN ", t->schema, t->name, t->residency);
    add_home(&k->sql, k->region);
    sql_add(&k->sql, ") IS NOT TRUE");
    int rc = script_add(k->script, STEP_ZERO_ROWS, &k->sql, k->err,
                        "rows of table %s.%s with a residency outside jurisdiction %s", t->schema,
                        t->name, k->region->home->name);
    if (rc == 0) {
        sql_add(&k->sql, "ALTER TABLE %N", t->schema, t->name);
        if (is_there)
            sql_add(&k->sql, " DROP CONSTRAINT ringfence_residency,");
        sql_add(&k->sql, " ADD CONSTRAINT ringfence_residency CHECK ((%I IN ", t->residency);
        add_home(&k->sql, k->region);
        sql_add(&k->sql, ") IS TRUE) NOT VALID");
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "residency of table %s.%s",
                        t->schema, t->name);
    }
    if (rc == 0) {
        sql_add(&k->sql, "ALTER TABLE %N VALIDATE CONSTRAINT ringfence_residency", t->schema,
                t->name);
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "residency of table %s.%s",
                        t->schema, t->name);
    }
    if (rc == 0) {
        sql_add(&k->sql, "COMMENT ON CONSTRAINT ringfence_residency ON %N IS %L", t->schema,
                t->name, rule);
        rc = script_add(k->script, STEP_RECORD, &k->sql, k->err, "record of residency of %s.%s",
                        t->schema, t->name);
    }
    return rc == 0 ? record_residency(k, t, rule) : rc;
}

/* The rule stands in the constraint's comment, which goes with the constraint; what the server made
   of it stands in ringfence.object. A table's owner can write any comment, but not there: so a
   constraint that was replaced is seen without parsing it. */
int compile_residency(struct compiler *k)
{
    int rc = 0;
    for (size_t i = 0; i < k->policy->table_count && rc == 0; i++) {
        const struct policy_table *t = &k->policy->tables[i];
        const struct catalog_table *fact = &k->catalog->tables[i];
        struct sql rule;
        const char *text = NULL;
        if (t->residency == NULL)
            continue;
        if (catalog_column_find(fact, t->residency) == NULL)
            return err_set(k->err, RF_ECONFIG, "table %s.%s has no residency column \"%s\"",
                           t->schema, t->name, t->residency);
        sql_init(&rule);
        sql_add(&rule, "ringfence: %I IN ", t->residency);
        add_home(&rule, k->region);
        rc = sql_text(&rule, &text, k->err);
        bool same = rc == 0 && fact->residency_rule != NULL && fact->residency_valid &&
                    strcmp(fact->residency_rule, text) == 0;
        if (rc == 0 && !same)
            rc = script_residency(k, t, fact->residency_rule != NULL, text);
        sql_done(&rule);
    }
    return rc;
}

/* What the policy shows to whom, for the next plan to compare with. */
static int record_exposures(struct compiler *k)
{
    struct exposures e;
    exposures_init(&e);
    int rc = exposures_of_policy(&e, k->policy, k->region, k->err);
    if (rc == 0) {
        exposures_add_delete(&k->sql);
        rc = script_add(k->script, STEP_RECORD, &k->sql, k->err, "record of what was shown before");
    }
    if (rc == 0) {
        exposures_add_insert(&k->sql, &e);
        rc = script_add(k->script, STEP_RECORD, &k->sql, k->err, "record of what is shown");
    }
    exposures_done(&e);
    return rc;
}

static int compile_applied(struct compiler *k)
{
    char digest[2 * sizeof(k->policy->digest) + 1];
    for (size_t i = 0; i < sizeof(k->policy->digest); i++)
        (void)snprintf(digest + 2 * i, 3, "%02x", k->policy->digest[i]);
    if (k->script->count == 0 && k->catalog->applied_digest != NULL &&
        strcmp(k->catalog->applied_digest, digest) == 0)
        return 0;
    sql_add(&k->sql,
            "INSERT INTO ringfence.applied (policy_digest, region, version, at)"
            " VALUES (%L, %L, %L, statement_timestamp()) ON CONFLICT (only_row) DO UPDATE SET"
            " policy_digest = excluded.policy_digest, region = excluded.region,"
            " version = excluded.version, at = excluded.at",
            digest, k->region->name, RF_VERSION);
    int rc = script_add(k->script, STEP_RECORD, &k->sql, k->err, "record of the policy applied");
    return rc == 0 ? record_exposures(k) : rc;
}

int compile_region(const struct policy *p, const struct policy_region *region,
                   const struct catalog *c, struct script *script, struct err *err)
{
    static int (*const parts[])(struct compiler *) = {
        check_database,    check_tables,     compile_role_list, compile_roles,   compile_objects,
        compile_grants,    compile_consents, compile_requests,  compile_alerts,  compile_outbox,
        compile_trace,     compile_ingest,   compile_expire,    compile_rights,  compile_builtins,
        compile_everybody, compile_retired,  compile_residency, compile_applied,
    };
    struct compiler k = {
        .policy = p, .region = region, .catalog = c, .script = script, .err = err
    };
    int rc = 0;
    sql_init(&k.sql);
    right_set_init(&k.rights);
    for (size_t i = 0; i < RF_COUNT(parts) && rc == 0; i++)
        rc = parts[i](&k);
    right_set_done(&k.rights);
    sql_done(&k.sql);
    return rc;
}
