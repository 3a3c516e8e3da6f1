/* ringfence.child: who is not an adult, for everything that has to know at little cost.
 *
 *   ringfence.child(subject of the key's type PRIMARY KEY, adult_on date NOT NULL)
 *
 * A row is a subject whose birth date, when it was last written, did not say "adult"; without a
 * birth date, or with one outside all reason, he never is one (adult_on is infinity). So
 *
 *   subject is a child now  <=>  row with adult_on > the day it is now, in UTC
 *
 * for every subject of the subjects' table; rows of subjects who have grown up meanwhile stay and
 * say nothing. Triggers on the subjects' table keep it true in the transaction that writes the
 * birth date; adults pay for a WHEN clause and no more. Making the triggers locks out writers until
 * the apply has committed, and the filling comes after them in the same transaction, so no row
 * slips through between.
 *
 * Whoever was born on 29 February is an adult on 1 March, as `birthdate <= now - interval 'N
 * years'` has it: adult_on is the first day D with birthdate <= D - N years. */
#include <string.h>

#include "enforce/compiler.h"
#include "enforce/subject.h"
#include "enforce/sweep.h"

#define NAME_KEEP     "child_keep"
#define NAME_TRUNCATE "child_truncate"

static const char truncate_source[] =
    "CREATE OR REPLACE FUNCTION ringfence.child_truncate() RETURNS trigger LANGUAGE plpgsql"
    " SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS "
    "'BEGIN DELETE FROM ringfence.child; RETURN NULL; END'";

struct child {
    struct compiler *k;
    const struct policy_table *subjects;
    const struct catalog_column *key;
    int64_t years;
    bool has_made; /* something was not as it should be: fill anew */
};

/* "(ROW.birthdate says adult) IS NOT TRUE" */
static void add_is_child(struct sql *s, const struct child *c, const char *row)
{
    sql_add(s,
            "((%S.%I <= CAST((statement_timestamp() AT TIME ZONE 'UTC') - interval '%D years' AS"
            " date)) IS NOT TRUE)",
            row, c->subjects->birthdate, c->years);
}

/* The day on which ROW's subject comes of age. */
static void add_adult_on(struct sql *s, const struct child *c, const char *row)
{
    const char *birth = c->subjects->birthdate;
    sql_add(s,
            "CASE WHEN %S.%I < '9000-01-01' THEN"
            " CAST(%S.%I + interval '%D years' AS date) + CASE WHEN"
            " CAST(%S.%I + interval '%D years' AS date) - interval '%D years' < %S.%I"
            " THEN 1 ELSE 0 END ELSE date 'infinity' END",
            row, birth, row, birth, c->years, row, birth, c->years, c->years, row, birth);
}

static int take_text(struct compiler *k, const char **ret)
{
    const char *text;
    int rc = sql_text(&k->sql, &text, k->err);
    if (rc == 0 && (*ret = arena_strndup(&k->script->arena, text, strlen(text))) == NULL)
        rc = err_set(k->err, RF_ENOMEM, "out of memory while compiling triggers");
    sql_done(&k->sql);
    sql_init(&k->sql);
    return rc;
}

static int compile_keep(struct child *c)
{
    struct sql *s = &c->k->sql;
    const char *key = c->subjects->subject, *source;
    bool made = false;
    sql_add(s,
            "CREATE OR REPLACE FUNCTION ringfence.child_keep() RETURNS trigger LANGUAGE plpgsql"
            " SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $keep$ BEGIN"
            " IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND OLD.%I IS DISTINCT FROM NEW.%I) THEN"
            " DELETE FROM ringfence.child WHERE subject = OLD.%I; END IF;"
            " IF TG_OP = 'DELETE' OR NEW.%I IS NULL THEN RETURN NULL; END IF;"
            " IF ",
            key, key, key, key);
    add_is_child(s, c, "NEW");
    sql_add(s, " THEN INSERT INTO ringfence.child (subject, adult_on) VALUES (NEW.%I, ", key);
    add_adult_on(s, c, "NEW");
    sql_add(s, ") ON CONFLICT (subject) DO UPDATE SET adult_on = excluded.adult_on;");
    sweep_add(s, c->k, c->subjects);
    sql_add(s,
            " ELSE DELETE FROM ringfence.child WHERE subject = NEW.%I; END IF;"
            " RETURN NULL; END $keep$",
            key);
    int rc = take_text(c->k, &source);
    if (rc == 0)
        rc = compile_kept_function(c->k, NAME_KEEP, "", source, &made);
    c->has_made |= rc == 0 && made;
    if (rc == 0)
        rc = compile_kept_function(c->k, NAME_TRUNCATE, "", truncate_source, &made);
    return rc;
}

static int compile_one_trigger(struct child *c, const char *name)
{
    const char *source;
    bool made = false;
    int rc = take_text(c->k, &source);
    if (rc == 0)
        rc = compile_trigger(c->k, c->subjects, name, source, &made);
    c->has_made |= rc == 0 && made;
    return rc;
}

static int compile_child_triggers(struct child *c)
{
    struct sql *s = &c->k->sql;
    const struct policy_table *t = c->subjects;
    sql_add(s, "CREATE TRIGGER \"~ringfence_child_insert\" AFTER INSERT ON %N FOR EACH ROW WHEN (",
            t->schema, t->name);
    add_is_child(s, c, "NEW");
    sql_add(s, ") EXECUTE FUNCTION ringfence.child_keep()");
    int rc = compile_one_trigger(c, "~ringfence_child_insert");
    if (rc < 0)
        return rc;
    /* without OF: a trigger of the application may change the birth date unasked */
    sql_add(s,
            "CREATE TRIGGER \"~ringfence_child_update\" AFTER UPDATE ON %N FOR EACH ROW WHEN"
            " (OLD.%I IS DISTINCT FROM NEW.%I OR OLD.%I IS DISTINCT FROM NEW.%I)"
            " EXECUTE FUNCTION ringfence.child_keep()",
            t->schema, t->name, t->birthdate, t->birthdate, t->subject, t->subject);
    rc = compile_one_trigger(c, "~ringfence_child_update");
    if (rc < 0)
        return rc;
    sql_add(s, "CREATE TRIGGER \"~ringfence_child_delete\" AFTER DELETE ON %N FOR EACH ROW WHEN (",
            t->schema, t->name);
    add_is_child(s, c, "OLD");
    sql_add(s, ") EXECUTE FUNCTION ringfence.child_keep()");
    rc = compile_one_trigger(c, "~ringfence_child_delete");
    if (rc < 0)
        return rc;
    sql_add(s,
            "CREATE TRIGGER \"~ringfence_child_truncate\" AFTER TRUNCATE ON %N FOR EACH STATEMENT"
            " EXECUTE FUNCTION ringfence.child_truncate()",
            t->schema, t->name);
    return compile_one_trigger(c, "~ringfence_child_truncate");
}

static int fill(struct child *c)
{
    struct compiler *k = c->k;
    const struct policy_table *t = c->subjects;
    sql_add(&k->sql,
            "DELETE FROM ringfence.child c WHERE NOT EXISTS (SELECT FROM %N t"
            " WHERE t.%I = c.subject AND ",
            t->schema, t->name, t->subject);
    add_is_child(&k->sql, c, "t");
    sql_add(&k->sql, ")");
    int rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "children who are none any more");
    if (rc < 0)
        return rc;
    sql_add(&k->sql, "INSERT INTO ringfence.child AS c (subject, adult_on) SELECT t.%I, ",
            t->subject);
    add_adult_on(&k->sql, c, "t");
    sql_add(&k->sql, " FROM %N t WHERE t.%I IS NOT NULL AND ", t->schema, t->name, t->subject);
    add_is_child(&k->sql, c, "t");
    sql_add(&k->sql, " ON CONFLICT (subject) DO UPDATE SET adult_on = excluded.adult_on"
                     " WHERE c.adult_on <> excluded.adult_on");
    rc = script_add(k->script, STEP_GUARD, &k->sql, k->err, "who is a child");
    if (rc == 0)
        rc = compile_plain(k, "ANALYZE ringfence.child", "figures about who is a child");
    return rc;
}

/* The key's type can only have changed in a migration that dropped the views, which depend on it.
 */
static int compile_child_table(struct child *c)
{
    struct compiler *k = c->k;
    const char *source = "";
    bool is_there = catalog_has_own_table(k->catalog, "child");
    sql_add(&k->sql,
            "CREATE TABLE ringfence.child (subject %S PRIMARY KEY, adult_on date NOT NULL)",
            c->key->type);
    int rc = take_text(k, &source);
    if (rc < 0)
        return rc;
    bool is_same = is_there && k->catalog->child_key != NULL &&
                   strcmp(k->catalog->child_key, c->key->type) == 0;
    if (is_there && !is_same) {
        rc = compile_plain(k, "DROP TABLE ringfence.child", "children by keys of another type");
        is_there = false;
    }
    if (rc == 0 && !is_there) {
        c->has_made = true;
        rc = compile_plain(k, source, "who is a child: table");
        if (rc == 0)
            rc = compile_plain(k, "ALTER TABLE ringfence.child OWNER TO " ROLE_NAME_OWNER,
                               "owner of \"child\"");
    }
    if (rc == 0)
        right_set_add(&k->rights, ROLE_NAME_VIEW, "SELECT", "TABLE", SCHEMA_OWN, "child");
    return rc;
}

int compile_child(struct compiler *k)
{
    struct child c = { .k = k, .years = (int64_t)k->policy->adult_age };
    const struct policy *p = k->policy;
    for (size_t i = 0; i < p->table_count && c.subjects == NULL; i++)
        if (p->tables[i].birthdate != NULL && p->tables[i].subject != NULL) {
            c.subjects = &p->tables[i];
            c.key = catalog_column_find(&k->catalog->tables[i], c.subjects->subject);
        }
    if (c.subjects == NULL)
        return 0;
    if (c.key == NULL)
        return err_set(k->err, RF_ECONFIG, "table %s.%s has no subject column \"%s\"",
                       c.subjects->schema, c.subjects->name, c.subjects->subject);
    int rc = compile_child_table(&c);
    if (rc == 0)
        rc = compile_keep(&c);
    if (rc == 0)
        rc = compile_child_triggers(&c);
    return rc == 0 && c.has_made ? fill(&c) : rc;
}
