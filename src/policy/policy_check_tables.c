/* policy_check_tables.c - do classes, masks, keys and statistics of the tables fit together?
 *
 * The compiler of views trusts what passes here: a mask that discloses what its class must hide is
 * refused in this file or nowhere. */
#include <string.h>

#include "policy/arena.h"
#include "policy/field.h"
#include "policy/mistakes.h"
#include "policy/policy_check.h"

#define BIT(mask) (1U << (mask))

enum {
    HIDDEN = BIT(MASK_REDACT) | BIT(MASK_NULL) | BIT(MASK_ABSENT),
    ANY = HIDDEN | BIT(MASK_CLEAR) | BIT(MASK_PSEUDONYM) | BIT(MASK_DAY) | BIT(MASK_YEAR) |
          BIT(MASK_COARSE)
};

/* What stands for a class in the masked rows unless a column says otherwise, what may, and what of
   it statistics may sum up. Who met whom, where, and what was said have no harmless remainder. */
static const struct {
    enum mask_id usual;
    unsigned allowed;
    bool summable;
} classes[CLASS_COUNT] = {
    [CLASS_NOTHING] = { MASK_CLEAR, ANY, true },
    [CLASS_IDENTITY] = { MASK_PSEUDONYM, HIDDEN | BIT(MASK_PSEUDONYM), false },
    [CLASS_CONTACT] = { MASK_REDACT, HIDDEN | BIT(MASK_PSEUDONYM), false },
    [CLASS_LOCATION] = { MASK_NULL, HIDDEN, false },
    [CLASS_ACTIVITY] = { MASK_DAY,
                         HIDDEN | BIT(MASK_PSEUDONYM) | BIT(MASK_DAY) | BIT(MASK_YEAR) |
                             BIT(MASK_COARSE),
                         true },
    [CLASS_GRAPH] = { MASK_NULL, HIDDEN, false },
    [CLASS_CONTENT] = { MASK_NULL, HIDDEN, false },
    [CLASS_PAYMENT] = { MASK_NULL, HIDDEN | BIT(MASK_COARSE), true },
    [CLASS_CHILD] = { MASK_NULL, HIDDEN, false },
};

static bool is(const char *one, const char *other)
{
    return one != NULL && other != NULL && strcmp(one, other) == 0;
}

static const struct policy_column *column_find(const struct policy_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (is(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

/* -- columns -- */

static void complete_column(struct field_reader *r, const struct policy_table *t,
                            struct policy_column *c)
{
    if (c->mask == MASK_UNSET)
        c->mask = classes[c->class_id].usual;
    if (c->mask != MASK_PSEUDONYM || c->domain != NULL)
        return;
    c->domain = is(c->name, t->subject)
                    ? arena_printf(r->arena, "subject")
                    : arena_printf(r->arena, "%s.%s.%s", t->schema, t->name, c->name);
    if (c->domain == NULL)
        r->no_memory = true;
}

/* A birth date may show its year; everything else of class identity that is a date may not. */
static bool mask_fits(const struct policy_table *t, const struct policy_column *c)
{
    if (is(c->name, t->birthdate))
        return ((HIDDEN | BIT(MASK_YEAR)) & BIT(c->mask)) != 0;
    return (classes[c->class_id].allowed & BIT(c->mask)) != 0;
}

static void check_column(struct field_reader *r, const struct policy_table *t,
                         const struct policy_column *c)
{
    if (c->class_id == CLASS_UNSET)
        return;
    const char *class = policy_class_name(c->class_id), *mask = policy_mask_name(c->mask);
    if (!mask_fits(t, c))
        field_wrong(r, NULL, c->line, "tables.%s.%s.columns.%s: mask %s does not hide %s %s",
                    t->schema, t->name, c->name, mask,
                    is(c->name, t->birthdate) ? "a birth date of class" : "class", class);
    if (c->mask == MASK_COARSE && c->step == 0)
        field_wrong(r, NULL, c->line, "tables.%s.%s.columns.%s: mask coarse needs a \"step\"",
                    t->schema, t->name, c->name);
    if (c->mask != MASK_COARSE && c->step != 0)
        field_wrong(r, NULL, c->line,
                    "tables.%s.%s.columns.%s: \"step\" is for mask coarse, here it is %s",
                    t->schema, t->name, c->name, mask);
    if (c->mask != MASK_PSEUDONYM && c->domain != NULL)
        field_wrong(r, NULL, c->line,
                    "tables.%s.%s.columns.%s: \"domain\" is for mask pseudonym, here it is %s",
                    t->schema, t->name, c->name, mask);
    if (t->subject == NULL && c->class_id != CLASS_NOTHING)
        field_wrong(r, NULL, c->line,
                    "tables.%s.%s.columns.%s: class %s, but the table has no \"subject\"",
                    t->schema, t->name, c->name, class);
}

/* -- keys of a table -- */

static const struct policy_column *key_column(struct field_reader *r, const struct policy_table *t,
                                              char *const *name, const char *what)
{
    const struct policy_column *c = *name != NULL ? column_find(t, *name) : NULL;
    if (*name != NULL && c == NULL)
        field_wrong(r, NULL, field_line_of(r, name),
                    "tables.%s.%s.%s: \"%s\" is not among the columns", t->schema, t->name, what,
                    *name);
    return c != NULL && c->class_id != CLASS_UNSET ? c : NULL;
}

static void check_keys(struct field_reader *r, const struct policy_table *t)
{
    const struct policy_column *subject = key_column(r, t, &t->subject, "subject");
    const struct policy_column *residency = key_column(r, t, &t->residency, "residency");
    const struct policy_column *birthdate = key_column(r, t, &t->birthdate, "birthdate");
    if (subject != NULL && subject->class_id != CLASS_IDENTITY)
        field_wrong(r, NULL, subject->line,
                    "tables.%s.%s.columns.%s: the subject's key has class identity, not %s",
                    t->schema, t->name, subject->name, policy_class_name(subject->class_id));
    if (subject != NULL && subject->mask == MASK_PSEUDONYM && !is(subject->domain, "subject"))
        field_wrong(r, NULL, subject->line,
                    "tables.%s.%s.columns.%s: the subject's key has domain subject", t->schema,
                    t->name, subject->name);
    if (residency != NULL && residency->class_id != CLASS_NOTHING)
        field_wrong(r, NULL, residency->line,
                    "tables.%s.%s.columns.%s: the residency has class none, not %s", t->schema,
                    t->name, residency->name, policy_class_name(residency->class_id));
    if (birthdate != NULL && birthdate->class_id != CLASS_IDENTITY)
        field_wrong(r, NULL, birthdate->line,
                    "tables.%s.%s.columns.%s: the birth date has class identity, not %s", t->schema,
                    t->name, birthdate->name, policy_class_name(birthdate->class_id));
    if (t->subject != NULL && t->residency == NULL)
        field_wrong(r, NULL, t->line, "tables.%s.%s: a table with a subject needs a \"residency\"",
                    t->schema, t->name);
    if (t->birthdate != NULL && t->subject == NULL)
        field_wrong(r, NULL, t->line, "tables.%s.%s: a birth date without a \"subject\"", t->schema,
                    t->name);
}

/* -- tables -- */

static bool is_reserved_schema(const char *schema)
{
    static const char *const whole[] = { "stats", "masked", "granted", "ringfence",
                                         "information_schema" };
    for (size_t i = 0; i < RF_COUNT(whole); i++)
        if (strcmp(schema, whole[i]) == 0)
            return true;
    return strncmp(schema, "pg_", 3) == 0;
}

static void check_table(struct field_reader *r, const struct policy *p, size_t index)
{
    struct policy_table *t = &p->tables[index];
    for (size_t i = 0; i < t->column_count && !r->mistakes->overflowed; i++) {
        complete_column(r, t, &t->columns[i]);
        check_column(r, t, &t->columns[i]);
    }
    check_keys(r, t);
    if (is_reserved_schema(t->schema))
        field_wrong(r, NULL, t->line, "tables.%s.%s: schema \"%s\" is not for tables", t->schema,
                    t->name, t->schema);
    for (size_t i = 0; i < index; i++) {
        const struct policy_table *other = &p->tables[i];
        if (is(other->name, t->name) && !is(other->schema, t->schema))
            field_wrong(r, NULL, t->line, "tables.%s.%s: would be masked.%s like table %s.%s",
                        t->schema, t->name, t->name, other->schema, other->name);
        if (t->birthdate != NULL && other->birthdate != NULL)
            field_wrong(r, NULL, field_line_of(r, &t->birthdate),
                        "tables.%s.%s.birthdate: table %s.%s has it already", t->schema, t->name,
                        other->schema, other->name);
    }
}

/* -- statistics -- */

/* May groups be formed by this? Identity only as the year of birth; what was done only in steps. */
static bool dimension_fits(const struct policy_table *t, const struct policy_column *c,
                           const struct policy_dimension *d)
{
    switch (c->class_id) {
    case CLASS_NOTHING:
        return true;
    case CLASS_ACTIVITY:
        return d->mask == MASK_DAY || d->mask == MASK_YEAR || d->mask == MASK_COARSE;
    case CLASS_IDENTITY:
        return is(c->name, t->birthdate) && d->mask == MASK_YEAR;
    default:
        return false;
    }
}

static void check_dimension(struct field_reader *r, const struct policy_statistic *s,
                            const struct policy_dimension *d)
{
    const struct policy_column *c = column_find(s->table, d->column);
    unsigned line = field_line_of(r, d);
    if (d->mask == MASK_COARSE && d->step == 0)
        field_wrong(r, NULL, line, "statistics.%s.dimensions.%s: cut coarse needs a \"step\"",
                    s->name, d->name);
    if (d->mask != MASK_COARSE && d->step != 0)
        field_wrong(r, NULL, line, "statistics.%s.dimensions.%s: \"step\" is for cut coarse",
                    s->name, d->name);
    if (d->column == NULL)
        return;
    if (c == NULL)
        field_wrong(r, NULL, line, "statistics.%s.dimensions.%s: table %s.%s has no column \"%s\"",
                    s->name, d->name, s->table->schema, s->table->name, d->column);
    else if (c->class_id != CLASS_UNSET && !dimension_fits(s->table, c, d))
        field_wrong(r, NULL, line,
                    "statistics.%s.dimensions.%s: groups by \"%s\" would disclose class %s%s",
                    s->name, d->name, c->name, policy_class_name(c->class_id),
                    c->class_id == CLASS_ACTIVITY      ? "; cut it: day, month, year or coarse"
                    : is(c->name, s->table->birthdate) ? "; cut it: year"
                                                       : "");
}

static void check_measure(struct field_reader *r, const struct policy_statistic *s,
                          const struct policy_measure *m)
{
    unsigned line = field_line_of(r, m);
    for (size_t i = 0; i < s->dimension_count; i++)
        if (is(s->dimensions[i].name, m->name))
            field_wrong(r, NULL, line, "statistics.%s.measures.%s: a dimension has this name",
                        s->name, m->name);
    if (m->column == NULL)
        return;
    const struct policy_column *c = column_find(s->table, m->column);
    if (c == NULL)
        field_wrong(r, NULL, line, "statistics.%s.measures.%s: table %s.%s has no column \"%s\"",
                    s->name, m->name, s->table->schema, s->table->name, m->column);
    else if (c->class_id != CLASS_UNSET && !classes[c->class_id].summable)
        field_wrong(r, NULL, line,
                    "statistics.%s.measures.%s: a sum of \"%s\" would disclose class %s", s->name,
                    m->name, c->name, policy_class_name(c->class_id));
}

static void check_statistic(struct field_reader *r, const struct policy_statistic *s)
{
    if (s->table == NULL)
        return;
    if (s->table->subject == NULL)
        field_wrong(r, NULL, s->line,
                    "statistics.%s: table %s.%s has no subject, so no group can be told small",
                    s->name, s->table->schema, s->table->name);
    for (size_t i = 0; i < s->dimension_count; i++)
        check_dimension(r, s, &s->dimensions[i]);
    for (size_t i = 0; i < s->measure_count; i++)
        check_measure(r, s, &s->measures[i]);
}

void policy_check_tables(struct field_reader *r, struct policy *p)
{
    for (size_t i = 0; i < p->table_count && !r->mistakes->overflowed; i++)
        check_table(r, p, i);
    for (size_t i = 0; i < p->statistic_count && !r->mistakes->overflowed; i++)
        check_statistic(r, &p->statistics[i]);
}
