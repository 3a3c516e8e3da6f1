/* A masked view that leaves rows out has security_barrier. Whatever a statement computes is
 * computed from masks, so for columns a plain view would do; but in a plain view the planner
 * evaluates a person's condition before it has dropped a child's row, and the error of that
 * condition tells the row's masks: one cast to integer in a WHERE prints the pseudonym, video and
 * day of a child. With the barrier such conditions come after the row has passed; comparisons that
 * cannot leak are still pushed down, and columns that nobody asked for are not computed. It takes
 * parallel plans away: on the sample data statements cost 1 to 7 times as much, which is the price
 * of this wall.
 *
 * Rows of the persons' own table come in the order of their pseudonyms. In the order in which they
 * lie, which is that of joining, whoever knows somebody's real key would find his row by its rank.
 * Rows of other tables come as they lie, and never in the order of an index on the real keys: no
 * index holds `tableoid`, so asking for it keeps the planner from reading an index alone.
 */
#include "enforce/view.h"

#include <stdio.h>
#include <string.h>

#include "enforce/mask.h"
#include "enforce/pseudonym.h"
#include "enforce/role.h"
#include "enforce/subject.h"

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
            int fits = pseudonym_digits(fact);
            digits = fits < digits ? fits : digits;
        }
    }
    return digits;
}

int view_add_mask(struct sql *s, const struct policy *p, const struct catalog *c, size_t table,
                  const struct policy_column *column, const struct catalog_column *fact,
                  const struct pseudonym_key *key, struct err *err)
{
    const struct policy_table *t = &p->tables[table];
    char name[WHERE_NAME_SIZE], domain[WHERE_NAME_SIZE];
    int digits = digits_of_domain(p, c, domain_of(t, column, domain));
    (void)where_name(name, t, column->name);
    if (key == NULL || column->mask != MASK_PSEUDONYM)
        return mask_add(s, column, fact, digits, name, err);
    sql_add(s, "CAST(");
    int rc = pseudonym_add_under(s, column, fact, digits, name, key, err);
    sql_add(s, " AS %S)", fact->type);
    if (fact->collation != NULL)
        sql_add(s, " COLLATE %S", fact->collation);
    return rc;
}

/* " ORDER BY …" where rows would else tell who joined when. VISIBLE_KEY: the place of the key among
   the view's columns, 0 when it is not there. */
static int add_order(struct sql *s, const struct policy *p, const struct catalog *c, size_t table,
                     size_t visible_key, struct err *err)
{
    const struct policy_table *t = &p->tables[table];
    const struct policy_column *key = t->subject != NULL ? column_of(t, t->subject) : NULL;
    if (t->birthdate == NULL || key == NULL)
        return 0;
    if (visible_key > 0 && key->mask == MASK_PSEUDONYM) {
        sql_add(s, " ORDER BY %D", (int64_t)visible_key);
        return 0;
    }
    struct policy_column shuffled = *key;
    shuffled.mask = MASK_PSEUDONYM;
    shuffled.domain = NULL;
    const struct catalog_column *fact = catalog_column_find(&c->tables[table], key->name);
    if (fact == NULL || pseudonym_family(fact->kind) == NULL)
        return 0; /* a key without pseudonyms: of no type that counts upwards */
    sql_add(s, " ORDER BY ");
    return view_add_mask(s, p, c, table, &shuffled, fact, NULL, err);
}

int view_add_masked(struct sql *s, const struct policy *p, const struct catalog *c, size_t table,
                    bool *ret_empty, struct err *err)
{
    const struct policy_table *t = &p->tables[table];
    const struct catalog_table *fact = &c->tables[table];
    bool any = false;
    size_t columns = 0, visible_key = 0;
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
                    subject_leaves_rows_out(p, c, table) ? " WITH (security_barrier)" : "");
        else
            sql_add(s, ", ");
        any = true;
        columns++;
        if (t->subject != NULL && strcmp(t->subject, column->name) == 0)
            visible_key = columns;
        rc = view_add_mask(s, p, c, table, column, &fact->columns[i], NULL, err);
        sql_add(s, " AS %I", column->name);
    }
    *ret_empty = !any;
    if (rc < 0 || !any)
        return rc;
    sql_add(s, " FROM %N t", t->schema, t->name);
    rc = subject_add_condition_unordered(s, p, c, table, err);
    pseudonym_add_lookups(s, t, fact, subject_leaves_rows_out(p, c, table) ? " AND " : " WHERE ");
    if (rc == 0)
        rc = add_order(s, p, c, table, visible_key, err);
    if (fact->definition !=
        NULL) /* another text, so another view: the masks were not made for it */
        sql_add(s, " /* of %S */", fact->definition);
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
            return pseudonym_family(fact->kind);
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
            const char *mine = pseudonym_family(fact->kind);
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
