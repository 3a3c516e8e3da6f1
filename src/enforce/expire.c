/* Rows that the policy keeps no longer, deleted by control through ringfence.expire(), which can
 * delete them and nothing else: from tables with a `retention`, older than that, a few at a time.
 *
 * A row that another one still refers to stays: the batch is then tried row by row, and the
 * constraint in the way is told by its name. Rows whose time is NULL are not shown to persons, but
 * nobody knows how old they are, so they are never deleted. What was deleted is added up in
 * ringfence.expired. */
#include <string.h>

#include "enforce/compiler.h"
#include "enforce/subject.h"

static const char expired_source[] =
    "CREATE TABLE ringfence.expired (relation text PRIMARY KEY, rows bigint NOT NULL,"
    " last timestamptz NOT NULL)";

static bool expires(const struct policy_table *t, const struct catalog_column *fact)
{
    return t->retention_days > 0 && !t->is_view && fact != NULL;
}

/* "WHERE" of the rows that are kept no longer. A row named by ctid alone may be another by the time
   it is deleted (or another partition's), so the condition stands there, too. */
static void add_table(struct sql *s, const struct policy_table *t,
                      const struct catalog_column *fact)
{
    struct sql old;
    const char *condition = "false";
    sql_init(&old);
    sql_add(&old, "t.%I < ", fact->name);
    subject_add_limit(&old, fact, t->retention_days);
    if (sql_text(&old, &condition, NULL) < 0)
        condition = "false";
    sql_add(s, "    WHEN %L || '.' || %L THEN\n", t->schema, t->name);
    sql_add(s, "        place := ARRAY(SELECT t.ctid FROM %N t WHERE %S LIMIT most);\n", t->schema,
            t->name, condition);
    sql_add(s,
            "        BEGIN\n"
            "            DELETE FROM %N t WHERE t.ctid = ANY (place) AND %S;\n"
            "            GET DIAGNOSTICS deleted = ROW_COUNT;\n"
            "        EXCEPTION WHEN foreign_key_violation THEN\n"
            "            deleted := 0;\n"
            "            FOREACH one IN ARRAY place LOOP\n"
            "                BEGIN\n"
            "                    DELETE FROM %N t WHERE t.ctid = one AND %S;\n",
            t->schema, t->name, condition, t->schema, t->name, condition);
    sql_add(s, "                    GET DIAGNOSTICS here = ROW_COUNT;\n"
               "                    deleted := deleted + here;\n"
               "                EXCEPTION WHEN foreign_key_violation THEN\n"
               "                    GET STACKED DIAGNOSTICS blocked = CONSTRAINT_NAME;\n"
               "                END;\n"
               "            END LOOP;\n"
               "        END;\n");
    sql_done(&old);
}

static int add_function(struct compiler *k, struct sql *s)
{
    bool any = false;
    sql_add(s, "CREATE OR REPLACE FUNCTION ringfence.expire(relation text, most integer,"
               " OUT deleted bigint, OUT blocked text) LANGUAGE plpgsql SECURITY DEFINER"
               " SET search_path = pg_catalog, pg_temp AS $expire$\n"
               "DECLARE\n"
               "    place tid[];\n"
               "    one tid;\n"
               "    here bigint;\n"
               "BEGIN\n"
               "    CASE relation\n");
    for (size_t i = 0; i < k->policy->table_count; i++) {
        const struct policy_table *t = &k->policy->tables[i];
        const struct catalog_column *fact =
            t->retention_column != NULL
                ? catalog_column_find(&k->catalog->tables[i], t->retention_column)
                : NULL;
        if (!expires(t, fact))
            continue;
        any = true;
        add_table(s, t, fact);
        right_set_add(&k->rights, ROLE_NAME_OWNER, "USAGE", "SCHEMA", NULL, t->schema);
        right_set_add(&k->rights, ROLE_NAME_OWNER, "SELECT", "TABLE", t->schema, t->name);
        right_set_add(&k->rights, ROLE_NAME_OWNER, "DELETE", "TABLE", t->schema, t->name);
    }
    if (!any)
        sql_add(s, "    WHEN NULL THEN\n        deleted := 0;\n");
    sql_add(s, "    ELSE\n"
               "        RAISE EXCEPTION 'table \"%%\" has no retention', relation"
               " USING ERRCODE = 'undefined_object';\n"
               "    END CASE;\n"
               "    INSERT INTO ringfence.expired AS e VALUES (relation, deleted,"
               " statement_timestamp()) ON CONFLICT ON CONSTRAINT expired_pkey DO UPDATE SET"
               " rows = e.rows + excluded.rows, last = excluded.last;\n"
               "END $expire$");
    return 0;
}

int compile_expire(struct compiler *k)
{
    struct sql s;
    const char *source;
    bool made;
    int rc = compile_own_table(k, "expired", expired_source);
    sql_init(&s);
    if (rc == 0)
        rc = add_function(k, &s);
    if (rc == 0)
        rc = sql_text(&s, &source, k->err);
    if (rc == 0)
        rc = compile_kept_function(k, "expire", "text, integer", source, &made);
    right_set_add_quoted(&k->rights, ROLE_NAME_CONTROL, "EXECUTE",
                         "FUNCTION ringfence.expire(text,integer)");
    right_set_add(&k->rights, ROLE_NAME_CONTROL, "SELECT", "TABLE", SCHEMA_OWN, "expired");
    sql_done(&s);
    return rc;
}
