#include "enforce/fit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "enforce/mask.h"
#include "enforce/pseudonym.h"
#include "enforce/sql.h"
#include "enforce/subject.h"
#include "enforce/view.h"
#include "policy/mistakes.h"

struct fit {
    const struct policy *policy;
    const struct catalog *catalog;
    struct mistakes *mistakes;
};

static void wrong(struct fit *f, const struct policy_table *t, const char *what, unsigned line,
                  const char *fmt, ...) RF_PRINTF(5, 6);

/* "tables.app.users.WHAT: …" */
static void wrong(struct fit *f, const struct policy_table *t, const char *what, unsigned line,
                  const char *fmt, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    mistakes_add(f->mistakes, f->policy->file, line, "tables.%s.%s%s%s: %s", t->schema, t->name,
                 what[0] != '\0' ? "." : "", what, text);
}

static void column_wrong(struct fit *f, const struct policy_column *column, const char *fmt, ...)
    RF_PRINTF(3, 4);

static void column_wrong(struct fit *f, const struct policy_column *column, const char *fmt, ...)
{
    char text[600], what[100];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)snprintf(what, sizeof(what), "columns.%s", column->name);
    wrong(f, column->table, what, column->line, "%s", text);
}

static const struct catalog_table *facts_of(const struct fit *f, const struct policy_table *t)
{
    return &f->catalog->tables[t - f->policy->tables];
}

static const struct policy_column *column_of(const struct policy_table *t, const char *name)
{
    for (size_t i = 0; name != NULL && i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

static unsigned line_of(const struct policy_table *t, const char *column)
{
    const struct policy_column *c = column_of(t, column);
    return c != NULL ? c->line : t->line;
}

/* -- tables -- */

static bool check_found(struct fit *f, const struct policy_table *t)
{
    const struct catalog_table *fact = facts_of(f, t);
    if (!fact->found)
        wrong(f, t, "", t->line,
              "is not in database \"%s\" (expected the name of a table that is there; create it, or"
              " take it out of the policy)",
              f->catalog->database);
    else if (t->is_view && !fact->is_view)
        wrong(f, t, "", t->line, "is not a view (leave out \"kind: view\")");
    else if (!t->is_view && fact->is_view)
        wrong(f, t, "", t->line, "is a view (say \"kind: view\"; it has no residency of its own)");
    else if (!fact->is_table && !fact->is_view)
        wrong(f, t, "", t->line,
              "is neither a table nor a view (rows that another server or a program holds cannot be"
              " kept at home)");
    else if (fact->obstacle != NULL)
        wrong(f, t, "", t->line, "the view %s (make it a materialized view, or change it)",
              fact->obstacle);
    return fact->found;
}

/* -- columns -- */

/* A made-up value is known to pass a domain's CHECK only when it is the same for all rows: then the
   apply tries it. */
static bool is_the_same_for_all(enum mask_id mask)
{
    return mask == MASK_NULL || mask == MASK_REDACT || mask == MASK_CONSTANT || mask == MASK_CLEAR;
}

static int check_mask(struct fit *f, const struct policy_column *column,
                      const struct catalog_column *fact, struct err *err)
{
    struct sql scratch;
    struct err why = { 0 };
    sql_init(&scratch);
    int rc = view_add_mask(&scratch, f->policy, f->catalog,
                           (size_t)(column->table - f->policy->tables), column, fact, NULL, &why);
    sql_done(&scratch);
    if (rc == -RF_ECONFIG)
        column_wrong(f, column, "%s%s%s%s", why.line, why.hint[0] != '\0' ? " (" : "", why.hint,
                     why.hint[0] != '\0' ? ")" : "");
    else if (rc < 0)
        return err_set(err, (enum err_code) - rc, "%s", why.line);
    else if (fact->is_checked && !is_the_same_for_all(column->mask))
        column_wrong(f, column,
                     "domain %s has a CHECK that what mask %s makes may not pass (use mask null,"
                     " redact, constant or absent)",
                     fact->type, policy_mask_name(column->mask));
    return 0;
}

/* The first pseudonym column of the same domain, in the order of the file. */
static const struct policy_column *first_of_domain(const struct fit *f,
                                                   const struct policy_column *column)
{
    for (size_t i = 0; i < f->policy->table_count; i++) {
        const struct policy_table *t = &f->policy->tables[i];
        for (size_t k = 0; k < t->column_count; k++)
            if (t->columns[k].mask == MASK_PSEUDONYM && t->columns[k].domain != NULL &&
                strcmp(t->columns[k].domain, column->domain) == 0 &&
                catalog_column_find(facts_of(f, t), t->columns[k].name) != NULL)
                return &t->columns[k];
    }
    return column;
}

static void check_domain(struct fit *f, const struct policy_column *column,
                         const struct catalog_column *fact)
{
    if (column->mask != MASK_PSEUDONYM || column->domain == NULL)
        return;
    const struct policy_column *first = first_of_domain(f, column);
    const char *mine = pseudonym_family(fact->kind);
    const char *theirs =
        pseudonym_family(catalog_column_find(facts_of(f, first->table), first->name)->kind);
    if (mine != NULL && theirs != NULL && strcmp(mine, theirs) != 0)
        column_wrong(f, column,
                     "pseudonyms of domain \"%s\" would not join: %s.%s.%s is %s, this is %s (give"
                     " one of them another domain)",
                     column->domain, first->table->schema, first->table->name, first->name, theirs,
                     mine);
}

static int check_columns(struct fit *f, const struct policy_table *t, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < t->column_count && rc == 0; i++) {
        const struct policy_column *column = &t->columns[i];
        const struct catalog_column *fact = catalog_column_find(facts_of(f, t), column->name);
        if (fact == NULL) {
            column_wrong(f, column,
                         "table %s.%s has no column \"%s\", which the policy names (expected a"
                         " column that is there; add it, or take it out of the policy)",
                         t->schema, t->name, column->name);
            continue;
        }
        if (column->class_id == CLASS_UNSET || column->mask == MASK_ABSENT)
            continue;
        check_domain(f, column, fact);
        rc = check_mask(f, column, fact, err);
    }
    return rc;
}

/* -- keys -- */

static bool is_date(const struct catalog_column *fact)
{
    return fact->kind == KIND_DATE || fact->kind == KIND_TIMESTAMP;
}

static void check_times(struct fit *f, const struct policy_table *t)
{
    const struct catalog_table *facts = facts_of(f, t);
    const struct catalog_column *birth =
        t->birthdate != NULL ? catalog_column_find(facts, t->birthdate) : NULL;
    const struct catalog_column *kept =
        t->retention_column != NULL ? catalog_column_find(facts, t->retention_column) : NULL;
    if (birth != NULL && !is_date(birth))
        wrong(f, t, "birthdate", line_of(t, t->birthdate),
              "column \"%s\" has type %s (expected date or timestamp)", birth->name, birth->type);
    if (kept != NULL && !is_date(kept) && kept->kind != KIND_TIMESTAMPTZ)
        wrong(f, t, "retention", line_of(t, t->retention_column),
              "column \"%s\" has type %s (expected date, timestamp or timestamptz)", kept->name,
              kept->type);
}

/* One key, one person: or a grant for one shows the rows of another. */
static void check_subject_is_one(struct fit *f, const struct policy_table *t)
{
    const struct catalog_column *key = t->birthdate != NULL && t->subject != NULL
                                           ? catalog_column_find(facts_of(f, t), t->subject)
                                           : NULL;
    if (key != NULL && !key->is_unique)
        wrong(
            f, t, "subject", line_of(t, t->subject),
            "column \"%s\" is not unique, so one key could mean several persons (add a primary key"
            " or a unique index on it alone)",
            key->name);
}

/* *RET_PROVEN: each row is known to have its row in the other table. */
static void check_through(struct fit *f, const struct policy_table *t,
                          const struct policy_subject *s, bool *ret_proven)
{
    const struct catalog_table *theirs = facts_of(f, s->through);
    const struct catalog_column *mine = catalog_column_find(facts_of(f, t), s->column);
    bool is_reference = false;
    const char *name = subject_through_key(f->policy, f->catalog, t, s, &is_reference);
    *ret_proven = is_reference && mine != NULL && mine->not_null;
    if (!theirs->found || mine == NULL)
        return; /* told where they are named */
    if (name == NULL) {
        wrong(f, t, "subject", s->line,
              "it is not clear which row of %s.%s \"%s\" leads to (expected one foreign key of that"
              " column alone; add it, or name the column with \"key\")",
              s->through->schema, s->through->name, s->column);
        return;
    }
    const struct catalog_column *key = catalog_column_find(theirs, name);
    if (key == NULL)
        wrong(f, t, "subject", s->line, "table %s.%s has no column \"%s\"", s->through->schema,
              s->through->name, name);
    else if (!is_reference && !key->is_unique)
        wrong(f, t, "subject", s->line,
              "column %s.%s.%s is not unique, so a row would lead to several persons (expected a"
              " foreign key, or a unique index on it alone)",
              s->through->schema, s->through->name, name);
    else if (!is_reference && key->kind != mine->kind)
        wrong(f, t, "subject", s->line,
              "column \"%s\" of type %s cannot be compared with %s.%s.%s"
              " of type %s",
              s->column, mine->type, s->through->schema, s->through->name, name, key->type);
}

/* Without a residency of its own, a table's rows are at home because the rows they belong to are.
 */
static void check_home(struct fit *f, const struct policy_table *t)
{
    bool all_proven = t->subject_count > 0;
    for (size_t i = 0; i < t->subject_count; i++) {
        bool proven = false;
        if (t->subjects[i].through != NULL)
            check_through(f, t, &t->subjects[i], &proven);
        all_proven &= proven;
    }
    if (t->subject_count > 0 && !t->is_view && t->residency == NULL && !all_proven)
        wrong(
            f, t, "", t->line,
            "nothing keeps its rows at home (expected a \"residency\", or a foreign key of columns"
            " that are not null to a table that has one)");
    const struct catalog_column *home =
        t->residency != NULL ? catalog_column_find(facts_of(f, t), t->residency) : NULL;
    if (home != NULL && home->kind != KIND_TEXT && home->kind != KIND_OTHER)
        wrong(f, t, "residency", line_of(t, t->residency),
              "column \"%s\" has type %s (expected a text with country codes such as US)",
              home->name, home->type);
}

/* -- statistics -- */

static void check_statistic(struct fit *f, const struct policy_statistic *st)
{
    const struct catalog_table *facts = facts_of(f, st->table);
    struct sql scratch;
    struct err why = { 0 };
    sql_init(&scratch);
    for (size_t i = 0; i < st->dimension_count; i++) {
        const struct catalog_column *fact = catalog_column_find(facts, st->dimensions[i].column);
        if (fact != NULL && mask_add_dimension(&scratch, &st->dimensions[i], fact,
                                               st->dimensions[i].column, &why) < 0)
            mistakes_add(f->mistakes, f->policy->file, st->line, "statistics.%s.dimensions.%s: %s",
                         st->name, st->dimensions[i].name, why.line);
    }
    for (size_t i = 0; i < st->measure_count; i++) {
        const struct catalog_column *fact = st->measures[i].column != NULL
                                                ? catalog_column_find(facts, st->measures[i].column)
                                                : NULL;
        bool is_number = fact == NULL || (fact->kind >= KIND_INT2 && fact->kind <= KIND_NUMERIC);
        if (!is_number && fact->kind != KIND_INTERVAL)
            mistakes_add(f->mistakes, f->policy->file, st->line,
                         "statistics.%s.measures.%s: column \"%s\" has type %s (expected a number)",
                         st->name, st->measures[i].name, fact->name, fact->type);
    }
    sql_done(&scratch);
}

int fit_check(const struct policy *p, const struct catalog *c, struct mistakes *mistakes,
              struct err *err)
{
    struct fit f = { .policy = p, .catalog = c, .mistakes = mistakes };
    int rc = 0;
    for (size_t i = 0; i < p->table_count && rc == 0; i++) {
        const struct policy_table *t = &p->tables[i];
        if (!check_found(&f, t))
            continue;
        check_times(&f, t);
        check_subject_is_one(&f, t);
        check_home(&f, t);
        rc = check_columns(&f, t, err);
    }
    for (size_t i = 0; i < p->statistic_count && rc == 0; i++)
        if (p->statistics[i].table != NULL)
            check_statistic(&f, &p->statistics[i]);
    return rc;
}
