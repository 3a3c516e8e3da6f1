/* Triggers of ours on the application's tables, and the functions behind them.
 *
 * A trigger's name begins with "~", which sorts behind every letter: PostgreSQL fires a table's row
 * triggers by name, so ours see what the application's have made of a row. They are ENABLE ALWAYS:
 * session_replication_role, which a superuser or a replication worker may set, does not skip them.
 * Only a table's owner can disable or drop one, and no actor of the policy owns anything. What each
 * was made from, and what the server made of it, stands in ringfence.object. */
#include <stdio.h>
#include <string.h>

#include "enforce/compiler.h"

static const struct catalog_object *function_there(const struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->object_count; i++)
        if (strcmp(c->objects[i].name, name) == 0)
            return &c->objects[i];
    return NULL;
}

static int record_function(struct compiler *k, const char *object, const char *arguments,
                           const char *name, const char *source)
{
    sql_add(&k->sql,
            "INSERT INTO ringfence.object (name, source, definition) SELECT %L, %L,"
            " pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n"
            " ON n.oid = p.pronamespace WHERE n.nspname = %L AND p.proname = %L"
            " AND oidvectortypes(p.proargtypes) = %L"
            " ON CONFLICT (name) DO UPDATE SET source = excluded.source,"
            " definition = excluded.definition",
            name, source, SCHEMA_OWN, object, arguments);
    return script_add(k->script, STEP_RECORD, &k->sql, k->err, "record of %s", name);
}

int compile_kept_function(struct compiler *k, const char *object, const char *arguments,
                          const char *source, bool *ret_made)
{
    char name[256];
    int len = snprintf(name, sizeof(name), "%s.%s(%s)", SCHEMA_OWN, object, arguments);
    const struct catalog_object *there = function_there(k->catalog, name);
    *ret_made = false;
    if (len < 0 || (size_t)len >= sizeof(name))
        return err_set(k->err, RF_ECONFIG, "the name of function %.80s is too long", object);
    if (there != NULL && there->source == NULL)
        return err_set(k->err, RF_EDATABASE, "\"%s\" is already there and not ringfence's", name);
    if (there != NULL && there->unchanged && strcmp(there->source, source) == 0 &&
        strcmp(there->owner, ROLE_NAME_OWNER) == 0)
        return 0;
    *ret_made = true;
    int rc = compile_plain(k, source, name);
    if (rc == 0) {
        sql_add(&k->sql, "ALTER FUNCTION %N(%S) OWNER TO %I", SCHEMA_OWN, object, arguments,
                ROLE_NAME_OWNER);
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "owner of %s", name);
    }
    if (rc == 0) {
        sql_add(&k->sql, "REVOKE ALL ON FUNCTION %N(%S) FROM PUBLIC", SCHEMA_OWN, object,
                arguments);
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "rights on %s", name);
    }
    return rc == 0 ? record_function(k, object, arguments, name, source) : rc;
}

static int drop_trigger(struct compiler *k, const struct catalog_trigger *there, const char *why)
{
    sql_add(&k->sql, "DROP TRIGGER %I ON %N", there->name, there->schema, there->table);
    return script_add(k->script, STEP_GUARD, &k->sql, k->err, "trigger %s of %s.%s: %s",
                      there->name, there->schema, there->table, why);
}

static int record_trigger(struct compiler *k, const struct policy_table *t, const char *name,
                          const char *source)
{
    sql_add(&k->sql,
            "INSERT INTO ringfence.object (name, source, definition)"
            " SELECT 'trigger ' || t.tgname || ' on ' || n.nspname || '.' || c.relname, %L,"
            " pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE t.tgname = %L AND n.nspname = %L AND c.relname = %L"
            " ON CONFLICT (name) DO UPDATE SET source = excluded.source,"
            " definition = excluded.definition",
            source, name, t->schema, t->name);
    return script_add(k->script, STEP_RECORD, &k->sql, k->err, "record of trigger %s of %s.%s",
                      name, t->schema, t->name);
}

static int make_trigger(struct compiler *k, const struct policy_table *t, const char *name,
                        const char *source)
{
    sql_add(&k->sql, "%S", source);
    int rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "trigger %s of %s.%s", name,
                        t->schema, t->name);
    if (rc == 0) {
        sql_add(&k->sql, "ALTER TABLE %N ENABLE ALWAYS TRIGGER %I", t->schema, t->name, name);
        rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "trigger %s of %s.%s: fires always",
                        name, t->schema, t->name);
    }
    return rc == 0 ? record_trigger(k, t, name, source) : rc;
}

int compile_trigger(struct compiler *k, const struct policy_table *t, const char *name,
                    const char *source, bool *ret_made)
{
    const struct catalog *c = k->catalog;
    *ret_made = false;
    if (k->trigger_wanted == NULL)
        k->trigger_wanted = arena_alloc(&k->script->arena, c->trigger_count + 1, sizeof(bool));
    if (k->trigger_wanted == NULL)
        return err_set(k->err, RF_ENOMEM, "out of memory while compiling triggers");
    for (size_t i = 0; i < c->trigger_count; i++) {
        const struct catalog_trigger *there = &c->triggers[i];
        if (strcmp(there->schema, t->schema) != 0 || strcmp(there->table, t->name) != 0 ||
            strcmp(there->name, name) != 0)
            continue;
        k->trigger_wanted[i] = true;
        if (there->source != NULL && there->unchanged && strcmp(there->source, source) == 0)
            return 0;
        int rc = drop_trigger(k, there, "to be made anew");
        if (rc < 0)
            return rc;
    }
    *ret_made = true;
    return make_trigger(k, t, name, source);
}

int compile_triggers_left(struct compiler *k)
{
    int rc = 0;
    for (size_t i = 0; i < k->catalog->trigger_count && rc == 0; i++)
        if (k->trigger_wanted == NULL || !k->trigger_wanted[i])
            rc = drop_trigger(k, &k->catalog->triggers[i], "no longer in the policy");
    return rc;
}
