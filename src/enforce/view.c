/* A masked view that leaves rows out has security_barrier. Whatever a statement computes is
 * computed from masks, so for columns a plain view would do; but in a plain view the planner
 * evaluates a person's condition before it has dropped a child's row, and the error of that
 * condition tells the row's masks: one cast to integer in a WHERE prints the pseudonym, video and
 * day of a child. With the barrier such conditions come after the row has passed; comparisons that
 * cannot leak are still pushed down, and columns that nobody asked for are not computed. It takes
 * parallel plans away: on the sample data statements cost 1 to 7 times as much, which is the price
 * of this wall.
 *
 * The statistics are walls for rows (small groups are left out), so they do have security_barrier:
 * without it a condition on a dimension is pushed below the grouping, where a division by zero
 * tells of a group that was to stay unseen. They aggregate everything anyway, so it costs nothing.
 *
 * Children. The subjects' own table shows a row only when its birth date says "adult" now; unknown
 * is not adult. Every other table drops rows of which any subject (its subject column, columns of
 * domain "subject", foreign keys to the subjects) is not an adult: an anti join over the few
 * children where a foreign key proves that the subject exists, else a semi join over the adults.
 * The limit is an expression the planner can estimate, not a subselect: with one it would believe
 * that a third of all people are children. */
#include "enforce/view.h"

#include <stdio.h>
#include <string.h>

#include "enforce/mask.h"
#include "enforce/role.h"

enum { WHERE_NAME_SIZE = 256 };

static const char *where_name(char out[WHERE_NAME_SIZE], const struct policy_table *t,
                              const char *column)
{
    (void)snprintf(out, WHERE_NAME_SIZE, "%s.%s.%s", t->schema, t->name, column);
    return out;
}

static int find_fact(const struct policy_table *t, const struct catalog_table *fact,
                     const char *column, const struct catalog_column **ret, struct err *err)
{
    *ret = catalog_column_find(fact, column);
    if (*ret == NULL)
        return err_set(err, RF_ECONFIG, "table %s.%s has no column \"%s\", which the policy names",
                       t->schema, t->name, column);
    return 0;
}

static const struct policy_column *column_of(const struct policy_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

static bool is_visible(const struct policy_column *column)
{
    return column != NULL && column->class_id != CLASS_UNSET && column->mask != MASK_ABSENT;
}

static const char *domain_of(const struct policy_table *t, const struct policy_column *column,
                             char out[WHERE_NAME_SIZE])
{
    return column->domain != NULL ? column->domain : where_name(out, t, column->name);
}

/* The smallest number of digits that fits every text column of this domain. */
static int digits_of_domain(const struct policy *p, const struct catalog *c, const char *domain)
{
    int digits = PSEUDONYM_DIGITS_MAX;
    for (size_t i = 0; i < p->table_count; i++) {
        const struct policy_table *t = &p->tables[i];
        for (size_t k = 0; k < t->column_count; k++) {
            char name[WHERE_NAME_SIZE];
            const struct catalog_column *fact =
                catalog_column_find(&c->tables[i], t->columns[k].name);
            if (fact == NULL || t->columns[k].mask != MASK_PSEUDONYM ||
                strcmp(domain_of(t, &t->columns[k], name), domain) != 0)
                continue;
            int fits = mask_pseudonym_digits(fact);
            digits = fits < digits ? fits : digits;
        }
    }
    return digits;
}

/* Is this column a subject's key? */
static bool leads_to_subject(const struct policy_table *t, const struct catalog_column *fact)
{
    const struct policy_column *column = column_of(t, fact->name);
    if (t->subject != NULL && strcmp(t->subject, fact->name) == 0)
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

/* "ALIAS.birthdate is at most the day on which today's new adults were born". */
static void add_adult(struct sql *s, const struct policy *p, const char *alias,
                      const char *birthdate)
{
    sql_add(s,
            "%S.%I <= CAST((statement_timestamp() AT TIME ZONE 'UTC') - interval '%D years' AS"
            " date)",
            alias, birthdate, (int64_t)p->adult_age);
}

static int check_birthdate(const struct policy_table *t, const struct catalog_table *fact,
                           struct err *err)
{
    const struct catalog_column *birthdate;
    int rc = find_fact(t, fact, t->birthdate, &birthdate, err);
    if (rc == 0 && birthdate->kind != KIND_DATE && birthdate->kind != KIND_TIMESTAMP)
        rc = err_set(err, RF_ECONFIG, "birth date %s.%s.%s is of type %s, not date", t->schema,
                     t->name, t->birthdate, birthdate->type);
    return rc;
}

/* One subject of rows `t`: no child, and where nothing proves that the subject exists, an adult. */
static void add_subject_condition(struct sql *s, const struct policy *p,
                                  const struct policy_table *subjects,
                                  const struct catalog_column *key)
{
    if (key->is_subject_key) {
        sql_add(s, "NOT EXISTS (SELECT FROM %N s WHERE s.%I = t.%I AND (", subjects->schema,
                subjects->name, subjects->subject, key->name);
        add_adult(s, p, "s", subjects->birthdate);
        sql_add(s, ") IS NOT TRUE)");
        return;
    }
    sql_add(s, "EXISTS (SELECT FROM %N s WHERE s.%I = t.%I AND ", subjects->schema, subjects->name,
            subjects->subject, key->name);
    add_adult(s, p, "s", subjects->birthdate);
    sql_add(s, ")");
}

/* Whether the masked view of a table leaves out rows: does it lead to subjects with a birth date?
 */
static bool leaves_rows_out(const struct policy *p, const struct catalog *c, size_t table)
{
    size_t at;
    const struct policy_table *subjects = subjects_table(p, &at);
    bool leads = subjects == &p->tables[table];
    for (size_t i = 0; i < c->tables[table].column_count && !leads; i++)
        leads = leads_to_subject(&p->tables[table], &c->tables[table].columns[i]);
    return subjects != NULL && leads;
}

/* " WHERE …" that leaves children's rows out, or nothing where there are none. */
static int add_adults_only(struct sql *s, const struct policy *p, const struct catalog *c,
                           size_t table, struct err *err)
{
    const struct policy_table *t = &p->tables[table];
    const char *before = " WHERE ";
    size_t at;
    const struct policy_table *subjects = subjects_table(p, &at);
    if (subjects == NULL)
        return 0;
    int rc = check_birthdate(subjects, &c->tables[at], err);
    if (rc < 0)
        return rc;
    if (t == subjects) {
        sql_add(s, "%S", before);
        add_adult(s, p, "t", t->birthdate);
        return 0;
    }
    for (size_t i = 0; i < c->tables[table].column_count; i++) {
        const struct catalog_column *key = &c->tables[table].columns[i];
        if (!leads_to_subject(t, key))
            continue;
        sql_add(s, "%S", before);
        add_subject_condition(s, p, subjects, key);
        before = " AND ";
    }
    return 0;
}

int view_add_masked(struct sql *s, const struct policy *p, const struct catalog *c, size_t table,
                    bool *ret_empty, struct err *err)
{
    const struct policy_table *t = &p->tables[table];
    const struct catalog_table *fact = &c->tables[table];
    char name[WHERE_NAME_SIZE], domain[WHERE_NAME_SIZE];
    bool any = false;
    int rc = 0;
    for (size_t i = 0; i < t->column_count && rc == 0; i++) {
        const struct catalog_column *unused;
        rc = find_fact(t, fact, t->columns[i].name, &unused, err);
    }
    for (size_t i = 0; i < fact->column_count && rc == 0; i++) {
        const struct policy_column *column = column_of(t, fact->columns[i].name);
        if (!is_visible(column))
            continue;
        if (!any)
            sql_add(s, "CREATE VIEW %N%S AS SELECT ", SCHEMA_MASKED, t->name,
                    leaves_rows_out(p, c, table) ? " WITH (security_barrier)" : "");
        else
            sql_add(s, ", ");
        any = true;
        int digits = digits_of_domain(p, c, domain_of(t, column, domain));
        rc = mask_add(s, column, &fact->columns[i], digits, where_name(name, t, column->name), err);
        sql_add(s, " AS %I", column->name);
    }
    *ret_empty = !any;
    if (rc < 0 || !any)
        return rc;
    sql_add(s, " FROM %N t", t->schema, t->name);
    return add_adults_only(s, p, c, table, err);
}

static int add_measure(struct sql *s, const struct policy_table *t,
                       const struct catalog_table *fact, const struct policy_measure *m,
                       struct err *err)
{
    const struct catalog_column *column;
    int rc = 0;
    switch (m->what) {
    case MEASURE_COUNT_ROWS:
        sql_add(s, "count(*)");
        break;
    case MEASURE_COUNT_SUBJECTS:
        if (t->subject == NULL)
            return err_set(err, RF_ECONFIG, "table %s.%s has no subjects to count", t->schema,
                           t->name);
        sql_add(s, "count(DISTINCT t.%I)", t->subject);
        break;
    case MEASURE_SUM:
    case MEASURE_AVG:
        rc = find_fact(t, fact, m->column, &column, err);
        sql_add(s, "%S(t.%I)", m->what == MEASURE_SUM ? "sum" : "avg", m->column);
        break;
    }
    sql_add(s, " AS %I", m->name);
    return rc;
}

int view_add_statistic(struct sql *s, const struct policy *p, const struct catalog *c,
                       size_t statistic, struct err *err)
{
    const struct policy_statistic *st = &p->statistics[statistic];
    const struct policy_table *t = st->table;
    size_t table = (size_t)(t - p->tables);
    const struct catalog_table *fact = &c->tables[table];
    char name[WHERE_NAME_SIZE];
    int rc = 0;
    sql_add(s, "CREATE VIEW %N WITH (security_barrier) AS SELECT ", SCHEMA_STATS, st->name);
    for (size_t i = 0; i < st->dimension_count && rc == 0; i++) {
        const struct catalog_column *column;
        rc = find_fact(t, fact, st->dimensions[i].column, &column, err);
        if (rc == 0)
            rc = mask_add_dimension(s, &st->dimensions[i], column,
                                    where_name(name, t, column->name), err);
        sql_add(s, " AS %I, ", st->dimensions[i].name);
    }
    for (size_t i = 0; i < st->measure_count && rc == 0; i++) {
        sql_add(s, "%S", i == 0 ? "" : ", ");
        rc = add_measure(s, t, fact, &st->measures[i], err);
    }
    sql_add(s, " FROM %N t", t->schema, t->name);
    if (rc == 0)
        rc = add_adults_only(s, p, c, table, err);
    for (size_t i = 0; i < st->dimension_count; i++)
        sql_add(s, "%S%D", i == 0 ? " GROUP BY " : ", ", (int64_t)i + 1);
    if (t->subject != NULL)
        sql_add(s, " HAVING count(DISTINCT t.%I) >= %D", t->subject, st->minimum);
    else
        sql_add(s, " HAVING count(*) >= %D", st->minimum);
    return rc;
}

/* The first pseudonym column of DOMAIN before column K of table I, as its family of types. */
static const char *family_before(const struct policy *p, const struct catalog *c,
                                 const char *domain, size_t table, size_t column,
                                 char ret_where[WHERE_NAME_SIZE])
{
    for (size_t i = 0; i <= table; i++) {
        const struct policy_table *t = &p->tables[i];
        for (size_t k = 0; k < (i == table ? column : t->column_count); k++) {
            char name[WHERE_NAME_SIZE];
            const struct catalog_column *fact =
                catalog_column_find(&c->tables[i], t->columns[k].name);
            if (fact == NULL || t->columns[k].mask != MASK_PSEUDONYM ||
                strcmp(domain_of(t, &t->columns[k], name), domain) != 0)
                continue;
            (void)where_name(ret_where, t, fact->name);
            return mask_pseudonym_family(fact->kind);
        }
    }
    return NULL;
}

int view_check_domains(const struct policy *p, const struct catalog *c, struct err *err)
{
    for (size_t i = 0; i < p->table_count; i++) {
        const struct policy_table *t = &p->tables[i];
        for (size_t k = 0; k < t->column_count; k++) {
            char name[WHERE_NAME_SIZE], other[WHERE_NAME_SIZE];
            const struct catalog_column *fact =
                catalog_column_find(&c->tables[i], t->columns[k].name);
            if (fact == NULL || t->columns[k].mask != MASK_PSEUDONYM)
                continue;
            const char *mine = mask_pseudonym_family(fact->kind);
            const char *domain = domain_of(t, &t->columns[k], name);
            const char *theirs = family_before(p, c, domain, i, k, other);
            if (mine != NULL && theirs != NULL && strcmp(mine, theirs) != 0)
                return err_set(err, RF_ECONFIG,
                               "pseudonyms of domain \"%s\" would not join: %s is %s, %s.%s.%s is"
                               " %s",
                               domain, other, theirs, t->schema, t->name, fact->name, mine);
        }
    }
    return 0;
}
