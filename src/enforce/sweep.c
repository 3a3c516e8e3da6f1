#include "enforce/sweep.h"

#include <string.h>

#include "enforce/subject.h"

static const struct policy_column *location_of(const struct policy_table *t,
                                               const struct catalog_column *fact)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (t->columns[i].class_id == CLASS_LOCATION && strcmp(t->columns[i].name, fact->name) == 0)
            return &t->columns[i];
    return NULL;
}

/* One that can be NULL, in the table of somebody else's. */
static bool can_go(const struct policy_table *t, const struct catalog_column *fact)
{
    return location_of(t, fact) != NULL && !subject_is_key(t, fact) && !fact->not_null &&
           !fact->refuses_null;
}

static bool has_locations(const struct compiler *k, size_t table,
                          const struct policy_table *subjects)
{
    const struct policy_table *t = &k->policy->tables[table];
    const struct catalog_table *facts = &k->catalog->tables[table];
    bool has_key = false, has_location = false;
    for (size_t i = 0; i < facts->column_count; i++) {
        has_key |= subject_is_key(t, &facts->columns[i]);
        has_location |= can_go(t, &facts->columns[i]);
    }
    return t != subjects && !t->is_view && has_key && has_location;
}

/* Is there any reason to look? After an UPDATE always. A new subject can have rows only from this
   very transaction, and the statistics know whether it has written to the table. */
static void add_is_worth_it(struct sql *s, const struct policy_table *t)
{
    sql_add(s,
            " IF TG_OP = 'UPDATE' OR current_setting('track_counts') <> 'on' OR EXISTS (SELECT"
            " FROM (SELECT CAST(format('%%I.%%I', %L, %L) AS regclass) AS oid) t,"
            " LATERAL (SELECT t.oid UNION SELECT p.relid FROM pg_partition_tree(t.oid) p) p"
            " WHERE pg_stat_get_xact_tuples_inserted(p.oid)"
            " + pg_stat_get_xact_tuples_updated(p.oid) > 0) THEN",
            t->schema, t->name);
}

static void add_table(struct sql *s, const struct compiler *k, size_t table,
                      const struct policy_table *subjects)
{
    const struct policy_table *t = &k->policy->tables[table];
    const struct catalog_table *facts = &k->catalog->tables[table];
    const char *between = "";
    add_is_worth_it(s, t);
    sql_add(s, " UPDATE %N t SET ", t->schema, t->name);
    for (size_t i = 0; i < facts->column_count; i++)
        if (can_go(t, &facts->columns[i])) {
            sql_add(s, "%S%I = NULL", between, facts->columns[i].name);
            between = ", ";
        }
    sql_add(s, " WHERE (");
    between = "";
    for (size_t i = 0; i < facts->column_count; i++)
        if (subject_is_key(t, &facts->columns[i])) {
            const char *cast = facts->columns[i].kind == KIND_OTHER ? "::text" : "";
            sql_add(s, "%St.%I%S = NEW.%I%S", between, facts->columns[i].name, cast,
                    subjects->subject, cast);
            between = " OR ";
        }
    sql_add(s, ") AND (");
    between = "";
    for (size_t i = 0; i < facts->column_count; i++)
        if (can_go(t, &facts->columns[i])) {
            sql_add(s, "%St.%I IS NOT NULL", between, facts->columns[i].name);
            between = " OR ";
        }
    sql_add(s, "); END IF;");
}

static void want(struct compiler *k, const struct policy_table *t)
{
    right_set_add(&k->rights, ROLE_NAME_OWNER, "USAGE", "SCHEMA", NULL, t->schema);
    right_set_add(&k->rights, ROLE_NAME_OWNER, "SELECT", "TABLE", t->schema, t->name);
    right_set_add(&k->rights, ROLE_NAME_OWNER, "UPDATE", "TABLE", t->schema, t->name);
}

void sweep_add(struct sql *s, struct compiler *k, const struct policy_table *subjects)
{
    static const char *const functions[] = { "FUNCTION pg_stat_get_xact_tuples_inserted(oid)",
                                             "FUNCTION pg_stat_get_xact_tuples_updated(oid)" };
    bool any = false;
    for (size_t i = 0; i < k->policy->table_count; i++) {
        if (!has_locations(k, i, subjects))
            continue;
        if (!any) {
            want(k, subjects); /* for the lock */
            for (size_t f = 0; f < RF_COUNT(functions); f++)
                right_set_add_quoted(&k->rights, ROLE_NAME_OWNER, "EXECUTE", functions[f]);
            sql_add(s,
                    " IF TG_OP = 'UPDATE' THEN PERFORM FROM %N s WHERE s.%I = NEW.%I FOR UPDATE;"
                    " END IF;",
                    subjects->schema, subjects->name, subjects->subject, subjects->subject);
        }
        any = true;
        want(k, &k->policy->tables[i]);
        add_table(s, k, i, subjects);
    }
}
