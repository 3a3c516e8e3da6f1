/* Children. The subjects' own table shows a row only when its birth date says "adult" now; unknown
 * is not adult. Every other table drops rows of which any subject (its subjects in the policy,
 * columns of domain "subject", foreign keys to the subjects) is not an adult: a look-up in
 * ringfence.child (child.c) where a foreign key proves that the subject exists, else one among the
 * adults. The limit is an expression the planner can estimate, not a subselect: with one
 * it would believe that a third of all people are children.
 *
 * A subject that is reached through another table nests: "no row of that table with this key is
 * about a child" where a foreign key proves that the row is there, else "there is a row with this
 * key, and it is about adults alone". The policy has no circles, so the nesting ends.
 *
 * Rows that are kept no longer are left out by a comparison with the statement's day, in hours: a
 * day of an interval would be 23 or 25 hours long as the person's time zone pleases. */
#include "enforce/subject.h"

#include <stdio.h>
#include <string.h>

#include "enforce/role.h"

enum { HOURS_A_DAY = 24 };

struct paths {
    struct sql *sql;
    const struct policy *policy;
    const struct catalog *catalog;
    const struct policy_table *subjects; /* the one with birth dates */
    unsigned aliases;                    /* in use: p1, p2, … */
    bool hides_order; /* rows must not come by an index alone; done as soon as it is false */
};

static const struct policy_column *column_of(const struct policy_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

/* Is this column itself a subject's key? */
static bool leads_to_subject(const struct policy_table *t, const struct catalog_column *fact)
{
    const struct policy_column *column = column_of(t, fact->name);
    for (size_t i = 0; i < t->subject_count; i++)
        if (t->subjects[i].through == NULL && strcmp(t->subjects[i].column, fact->name) == 0)
            return true;
    if (column != NULL && column->domain != NULL && strcmp(column->domain, "subject") == 0)
        return true;
    return fact->is_subject_key;
}

static const struct policy_table *subjects_table(const struct policy *p, size_t *ret_index)
{
    for (size_t i = 0; i < p->table_count; i++)
        if (p->tables[i].birthdate != NULL && p->tables[i].subject != NULL) {
            *ret_index = i;
            return &p->tables[i];
        }
    return NULL;
}

const char *subject_through_key(const struct policy *p, const struct catalog *c,
                                const struct policy_table *t, const struct policy_subject *s,
                                bool *ret_proven)
{
    const struct catalog_table *fact = &c->tables[t - p->tables];
    const char *key = NULL;
    *ret_proven = false;
    for (size_t i = 0; i < fact->reference_count; i++) {
        const struct catalog_reference *f = &fact->references[i];
        if (strcmp(f->column, s->column) != 0 || f->table != (size_t)(s->through - p->tables))
            continue;
        if (s->key == NULL && key != NULL && strcmp(key, f->key) != 0)
            return NULL;
        *ret_proven |= s->key == NULL || strcmp(s->key, f->key) == 0;
        key = f->key;
    }
    return s->key != NULL ? s->key : key;
}

/* The day on which those were born who are YEARS old this day, in UTC; 0: this day. PostgreSQL
   computes it again for every row. */
static void add_birthday(struct sql *s, int64_t years)
{
    sql_add(s, "CAST((statement_timestamp() AT TIME ZONE 'UTC') - interval '%D years' AS date)",
            years);
}

void subject_add_adult(struct sql *s, const struct policy *p, const struct catalog *c,
                       const char *alias, const char *birthdate)
{
    if (c->has_native) {
        sql_add(s, SCHEMA_NATIVE ".is_adult(%S.%I, %D)", alias, birthdate, (int64_t)p->adult_age);
        return;
    }
    sql_add(s, "%S.%I <= ", alias, birthdate);
    add_birthday(s, (int64_t)p->adult_age);
}

static int check_birthdate(const struct policy_table *t, const struct catalog_table *fact,
                           struct err *err)
{
    const struct catalog_column *birthdate = catalog_column_find(fact, t->birthdate);
    if (birthdate == NULL)
        return err_set(err, RF_ECONFIG, "table %s.%s has no column \"%s\", which the policy names",
                       t->schema, t->name, t->birthdate);
    if (birthdate->kind != KIND_DATE && birthdate->kind != KIND_TIMESTAMP)
        return err_set(err, RF_ECONFIG, "birth date %s.%s.%s is of type %s, not date", t->schema,
                       t->name, t->birthdate, birthdate->type);
    return 0;
}

/* "EXISTS (…)": ALIAS.KEY is the key of a child. */
static void add_child_exists(struct paths *w, const char *alias, const struct catalog_column *key)
{
    sql_add(w->sql,
            "EXISTS (SELECT FROM ringfence.child c WHERE c.subject = %S.%I AND c.adult_on > ",
            alias, key->name);
    add_birthday(w->sql, 0);
    sql_add(w->sql, ")");
}

/* The extension looks up a few and collects all when there are many. Beside the first key of the
   view's own rows stands what keeps the planner from an index alone: as an alternative that no
   adult's row comes to, it costs nothing. */
static void add_native_child(struct paths *w, const char *alias, const struct catalog_column *key,
                             bool is_child)
{
    bool hides = w->hides_order && !is_child && strcmp(alias, "t") == 0;
    sql_add(w->sql, "%S%S" SCHEMA_NATIVE ".is_child(%S.%I::bigint)%S", hides ? "(" : "",
            is_child ? "" : "NOT ", alias, key->name, hides ? " OR t.tableoid IS NULL)" : "");
    if (hides)
        w->hides_order = false;
}

/* The subject whose key is in ALIAS.KEY: a child (IS_CHILD), or no child. Where nothing proves that
   the subject exists, only a known adult is none. IS TRUE keeps the planner from making a join of
   it: a merge join would return the rows in the order of the real keys, and hashed it costs the
   same. */
static void add_one_subject(struct paths *w, const char *alias, const struct catalog_column *key,
                            bool is_child)
{
    const struct policy_table *subjects = w->subjects;
    bool is_number = key->kind == KIND_INT8 || key->kind == KIND_INT4;
    if (key->is_subject_key && is_number && w->catalog->has_native) {
        add_native_child(w, alias, key, is_child);
    } else if (key->is_subject_key) {
        sql_add(w->sql, "(");
        add_child_exists(w, alias, key);
        sql_add(w->sql, is_child ? ") IS TRUE" : ") IS NOT TRUE");
    } else {
        sql_add(w->sql, "(EXISTS (SELECT FROM %N s WHERE s.%I = %S.%I AND ", subjects->schema,
                subjects->name, subjects->subject, alias, key->name);
        subject_add_adult(w->sql, w->policy, w->catalog, "s", subjects->birthdate);
        sql_add(w->sql, is_child ? ")) IS NOT TRUE" : ")) IS TRUE");
    }
}

static size_t add_about(struct paths *w, const struct policy_table *t, const char *alias,
                        bool is_child);

/* The subjects of the row of another table that ALIAS.column leads to. */
static void add_through(struct paths *w, const struct policy_table *t,
                        const struct policy_subject *s, const char *alias, bool is_child)
{
    bool is_proven;
    char next[16];
    const char *key = subject_through_key(w->policy, w->catalog, t, s, &is_proven);
    (void)snprintf(next, sizeof(next), "p%u", ++w->aliases);
    sql_add(w->sql, "(EXISTS (SELECT FROM %N %S WHERE %S.%I = %S.%I AND (", s->through->schema,
            s->through->name, next, next, key != NULL ? key : "", alias, s->column);
    if (add_about(w, s->through, next, is_proven) == 0) /* leads to nobody with a birth date */
        sql_add(w->sql, is_proven ? "false" : "true");
    sql_add(w->sql, "))) IS %STRUE", is_child != is_proven ? "NOT " : "");
}

/* Every way from row ALIAS of table T to a person: any is a child (IS_CHILD), or none is. Returns
   how many ways there are. */
static size_t add_about(struct paths *w, const struct policy_table *t, const char *alias,
                        bool is_child)
{
    const struct catalog_table *fact = &w->catalog->tables[t - w->policy->tables];
    const char *between = is_child ? " OR " : " AND ";
    size_t count = 0;
    if (t == w->subjects) {
        sql_add(w->sql, is_child ? "(" : "");
        subject_add_adult(w->sql, w->policy, w->catalog, alias, t->birthdate);
        sql_add(w->sql, is_child ? ") IS NOT TRUE" : "");
        return 1;
    }
    for (size_t i = 0; i < fact->column_count; i++) {
        if (!leads_to_subject(t, &fact->columns[i]))
            continue;
        sql_add(w->sql, "%S", count++ > 0 ? between : "");
        add_one_subject(w, alias, &fact->columns[i], is_child);
    }
    for (size_t i = 0; i < t->subject_count; i++) {
        if (t->subjects[i].through == NULL)
            continue;
        sql_add(w->sql, "%S", count++ > 0 ? between : "");
        add_through(w, t, &t->subjects[i], alias, is_child);
    }
    return count;
}

static bool leads_to_anybody(const struct policy *p, const struct catalog *c, size_t table)
{
    const struct policy_table *t = &p->tables[table];
    bool leads = t->subject_count > 0;
    for (size_t i = 0; i < c->tables[table].column_count && !leads; i++)
        leads = leads_to_subject(t, &c->tables[table].columns[i]);
    return leads;
}

bool subject_leaves_rows_out(const struct policy *p, const struct catalog *c, size_t table)
{
    size_t at;
    if (p->tables[table].retention_column != NULL)
        return true;
    return subjects_table(p, &at) != NULL && leads_to_anybody(p, c, table);
}

void subject_add_limit(struct sql *s, const struct catalog_column *fact, int64_t days)
{
    switch (fact->kind) {
    case KIND_TIMESTAMPTZ:
        sql_add(s, "statement_timestamp() - interval '%D hours'", days * HOURS_A_DAY);
        break;
    case KIND_DATE:
        sql_add(s, "CAST((statement_timestamp() AT TIME ZONE 'UTC') - interval '%D hours' AS date)",
                days * HOURS_A_DAY);
        break;
    default:
        sql_add(s, "(statement_timestamp() AT TIME ZONE 'UTC') - interval '%D hours'",
                days * HOURS_A_DAY);
    }
}

/* The same for views, but at midnight UTC, all that a row's last day would see: whoever looks again
   and again would learn the second at which each row leaves, which is its time. A date's limit
   moves at midnight anyway. */
static void add_limit_of_day(struct sql *s, const struct catalog_column *fact, int64_t days)
{
    if (fact->kind == KIND_DATE)
        subject_add_limit(s, fact, days);
    else
        sql_add(s, "date_trunc('day', statement_timestamp()%S 'UTC') - interval '%D hours'",
                fact->kind == KIND_TIMESTAMPTZ ? "," : " AT TIME ZONE",
                (days > 0 ? days - 1 : 0) * HOURS_A_DAY);
}

/* "t.created_at >= …", or nothing. */
static int add_retention(struct sql *s, const struct policy_table *t,
                         const struct catalog_table *fact, struct err *err)
{
    if (t->retention_column == NULL)
        return 0;
    const struct catalog_column *column = catalog_column_find(fact, t->retention_column);
    if (column == NULL)
        return err_set(err, RF_ECONFIG, "table %s.%s has no column \"%s\", which the policy names",
                       t->schema, t->name, t->retention_column);
    if (column->kind != KIND_DATE && column->kind != KIND_TIMESTAMP &&
        column->kind != KIND_TIMESTAMPTZ)
        return err_set(err, RF_ECONFIG, "retention column %s.%s.%s is of type %s, not a time",
                       t->schema, t->name, t->retention_column, column->type);
    sql_add(s, "t.%I >= ", column->name);
    add_limit_of_day(s, column, t->retention_days);
    return 1;
}

static int add_condition(struct sql *s, const struct policy *p, const struct catalog *c,
                         size_t table, bool hides_order, struct err *err)
{
    size_t at = 0;
    struct paths w = { .sql = s,
                       .policy = p,
                       .catalog = c,
                       .subjects = subjects_table(p, &at),
                       .hides_order = hides_order };
    const struct policy_table *t = &p->tables[table];
    if (!subject_leaves_rows_out(p, c, table))
        return 0;
    int rc = w.subjects != NULL ? check_birthdate(w.subjects, &c->tables[at], err) : 0;
    if (rc < 0)
        return rc;
    sql_add(s, " WHERE ");
    rc = add_retention(s, t, &c->tables[table], err);
    if (rc < 0)
        return rc;
    if (w.subjects != NULL && leads_to_anybody(p, c, table)) {
        sql_add(s, rc > 0 ? " AND " : "");
        (void)add_about(&w, t, "t", false);
    }
    if (w.hides_order)
        sql_add(s, " AND t.tableoid IS NOT NULL");
    return 0;
}

int subject_add_condition(struct sql *s, const struct policy *p, const struct catalog *c,
                          size_t table, struct err *err)
{
    return add_condition(s, p, c, table, false, err);
}

int subject_add_condition_unordered(struct sql *s, const struct policy *p, const struct catalog *c,
                                    size_t table, struct err *err)
{
    return add_condition(s, p, c, table, !p->tables[table].is_view, err);
}

bool subject_is_key(const struct policy_table *t, const struct catalog_column *fact)
{
    return leads_to_subject(t, fact);
}

const struct policy_table *subject_own_table(const struct policy *p)
{
    size_t at;
    return subjects_table(p, &at);
}

int subject_add_retention(struct sql *s, const struct policy_table *t,
                          const struct catalog_table *fact, struct err *err)
{
    return add_retention(s, t, fact, err);
}
