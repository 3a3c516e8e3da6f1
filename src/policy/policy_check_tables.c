/* policy_check_tables.c - do classes, masks, keys and statistics of the tables fit together?
 *
 * The compiler of views trusts what passes here: a mask that discloses what its class must hide is
 * refused in this file or nowhere. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/arena.h"
#include "policy/field.h"
#include "policy/mistakes.h"
#include "policy/policy_check.h"

#define BIT(mask) (1U << (mask))

enum {
    HIDDEN = BIT(MASK_REDACT) | BIT(MASK_NULL) | BIT(MASK_ABSENT) | BIT(MASK_CONSTANT),
    TIMES = BIT(MASK_DAY) | BIT(MASK_MONTH) | BIT(MASK_YEAR),
    ANY = HIDDEN | TIMES | BIT(MASK_CLEAR) | BIT(MASK_PSEUDONYM) | BIT(MASK_COARSE) |
          BIT(MASK_PARTIAL) | BIT(MASK_NETWORK) | BIT(MASK_EXPRESSION),
    /* Two letters of some e-mail addresses are shared by many; three name one person in two. */
    PARTIAL_KEEP_MAX = 2,
    /* A /16 is the customers of a provider in a region; a /24 can be one house. */
    NETWORK_KEEP_MAX = 24,
    NETWORK_KEEP_MAX_OF_PERSONS = 16
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
    [CLASS_CONTACT] = { MASK_REDACT,
                        HIDDEN | BIT(MASK_PSEUDONYM) | BIT(MASK_PARTIAL) | BIT(MASK_EXPRESSION),
                        false },
    [CLASS_LOCATION] = { MASK_NULL, HIDDEN | BIT(MASK_NETWORK), false },
    [CLASS_ACTIVITY] = { MASK_DAY,
                         HIDDEN | TIMES | BIT(MASK_PSEUDONYM) | BIT(MASK_COARSE) |
                             BIT(MASK_EXPRESSION),
                         true },
    [CLASS_GRAPH] = { MASK_NULL, HIDDEN, false },
    [CLASS_CONTENT] = { MASK_NULL, HIDDEN, false },
    [CLASS_PAYMENT] = { MASK_NULL, HIDDEN | BIT(MASK_COARSE) | BIT(MASK_EXPRESSION), true },
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

/* The subject whose own key this column is, or NULL. */
static const struct policy_subject *subject_of(const struct policy_table *t,
                                               const struct policy_column *c)
{
    for (size_t i = 0; i < t->subject_count; i++)
        if (is(t->subjects[i].column, c->name) && t->subjects[i].through == NULL)
            return &t->subjects[i];
    return NULL;
}

static void complete_column(struct field_reader *r, const struct policy_table *t,
                            struct policy_column *c)
{
    c->table = t;
    if (c->mask == MASK_UNSET)
        c->mask = classes[c->class_id].usual;
    if (c->mask != MASK_PSEUDONYM || c->domain != NULL)
        return;
    c->domain = subject_of(t, c) != NULL
                    ? arena_printf(r->arena, "subject")
                    : arena_printf(r->arena, "%s.%s.%s", t->schema, t->name, c->name);
    if (c->domain == NULL)
        r->no_memory = true;
}

static void column_wrong(struct field_reader *r, const struct policy_column *c, const char *fmt,
                         ...) RF_PRINTF(3, 4);

static void column_wrong(struct field_reader *r, const struct policy_column *c, const char *fmt,
                         ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    field_wrong(r, NULL, c->line, "tables.%s.%s.columns.%s: %s", c->table->schema, c->table->name,
                c->name, text);
}

/* A birth date may show its year; everything else of class identity that is a date may not. */
static unsigned masks_of(const struct policy_column *c)
{
    return is(c->name, c->table->birthdate) ? HIDDEN | BIT(MASK_YEAR)
                                            : classes[c->class_id].allowed;
}

/* "pseudonym, redact, null" */
static const char *list_masks(unsigned masks, char out[200])
{
    size_t used = 0;
    out[0] = '\0';
    for (int mask = MASK_UNSET + 1; mask < MASK_COUNT; mask++) {
        if ((masks & BIT(mask)) == 0)
            continue;
        int n = snprintf(out + used, 200 - used, "%s%s", used > 0 ? ", " : "",
                         policy_mask_name((enum mask_id)mask));
        used += n > 0 && (size_t)n < 200 - used ? (size_t)n : 0;
    }
    return out;
}

/* Each key that only some masks have: there with these, and with no other. */
static void check_mask_keys(struct field_reader *r, const struct policy_column *c)
{
    const struct {
        const char *key, *example;
        bool given;
        unsigned masks, optional;
    } keys[] = {
        { "step", "100", c->step != 0, BIT(MASK_COARSE), 0 },
        { "domain", "video", c->domain != NULL, BIT(MASK_PSEUDONYM), BIT(MASK_PSEUDONYM) },
        { "keep", c->mask == MASK_PARTIAL ? "2, or domain" : "16", c->keep != 0,
          BIT(MASK_PARTIAL) | BIT(MASK_NETWORK), 0 },
        { "value", "unknown", c->value != NULL, BIT(MASK_CONSTANT), 0 },
        { "sql", "seconds / 60", c->sql != NULL, BIT(MASK_EXPRESSION), 0 },
    };
    char list[200];
    for (size_t i = 0; i < RF_COUNT(keys); i++) {
        bool fits = (keys[i].masks & BIT(c->mask)) != 0;
        if (fits && !keys[i].given && (keys[i].optional & BIT(c->mask)) == 0)
            column_wrong(r, c, "mask %s needs a \"%s\", such as %s", policy_mask_name(c->mask),
                         keys[i].key, keys[i].example);
        if (!fits && keys[i].given)
            column_wrong(r, c, "\"%s\" is for mask %s, here it is %s", keys[i].key,
                         list_masks(keys[i].masks, list), policy_mask_name(c->mask));
    }
}

static void check_keep(struct field_reader *r, const struct policy_column *c)
{
    int64_t max = c->class_id == CLASS_NOTHING ? NETWORK_KEEP_MAX : NETWORK_KEEP_MAX_OF_PERSONS;
    if (c->mask == MASK_PARTIAL && c->keep > PARTIAL_KEEP_MAX)
        column_wrong(r, c,
                     "%" PRId64 " characters would tell persons apart (expected at most %d,"
                     " or domain)",
                     c->keep, (int)PARTIAL_KEEP_MAX);
    if (c->mask == MASK_NETWORK && c->keep == KEEP_DOMAIN)
        column_wrong(r, c, "mask network keeps a number of bits, such as 16");
    if (c->mask == MASK_NETWORK && c->keep > max)
        column_wrong(r, c,
                     "%" PRId64 " bits of an address would tell %s apart (expected at most"
                     " %" PRId64 "; of IPv6 twice as many are kept)",
                     c->keep, c->class_id == CLASS_NOTHING ? "houses" : "persons", max);
}

static void check_column(struct field_reader *r, const struct policy_column *c)
{
    const struct policy_table *t = c->table;
    char list[200];
    if (c->class_id == CLASS_UNSET)
        return;
    const char *class = policy_class_name(c->class_id);
    if ((masks_of(c) & BIT(c->mask)) == 0)
        column_wrong(r, c, "mask %s does not hide %s %s (expected %s)", policy_mask_name(c->mask),
                     is(c->name, t->birthdate) ? "a birth date of class" : "class", class,
                     list_masks(masks_of(c), list));
    check_mask_keys(r, c);
    check_keep(r, c);
    if (t->subject_count == 0 && c->class_id != CLASS_NOTHING)
        column_wrong(r, c,
                     "class %s, but the table has no \"subject\" (name the column that leads to"
                     " the person)",
                     class);
}

/* What is known of a person from elsewhere adds up: the first letters of two addresses, or of one
   beside the year of birth, single out most of those who have them. */
static void check_together(struct field_reader *r, const struct policy_table *t)
{
    const struct policy_column *first = NULL, *birthdate = t->birthdate != NULL
                                                               ? column_find(t, t->birthdate)
                                                               : NULL;
    for (size_t i = 0; i < t->column_count; i++) {
        const struct policy_column *c = &t->columns[i];
        if (c->mask != MASK_PARTIAL || c->class_id == CLASS_NOTHING || c->keep == KEEP_DOMAIN)
            continue;
        if (birthdate != NULL && birthdate->mask == MASK_YEAR)
            column_wrong(r, c,
                         "mask partial beside the year of birth in \"%s\" would single persons out"
                         " (mask one of them redact)",
                         birthdate->name);
        if (first != NULL)
            column_wrong(r, c,
                         "mask partial beside that of \"%s\" would single persons out (mask one of"
                         " them redact)",
                         first->name);
        first = c;
    }
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

/* A column that is itself a subject's key. Of several, those beside the first may be hidden as who
   with whom: class graph. Where what stands in a table is public, a domain of its own keeps it from
   leading to the rows of the same person elsewhere; the table of the persons themselves gives the
   domain its name. */
static void check_own_key(struct field_reader *r, const struct policy_table *t,
                          const struct policy_column *c)
{
    bool of_several = t->subject_count > 1;
    bool fits = c->class_id == CLASS_IDENTITY || (of_several && c->class_id == CLASS_GRAPH);
    if (!fits)
        column_wrong(r, c, "the subject's key has class identity%s, not %s",
                     of_several ? " or graph" : "", policy_class_name(c->class_id));
    if (c->mask == MASK_PSEUDONYM && t->birthdate != NULL && !is(c->domain, "subject"))
        column_wrong(r, c, "the key of the persons themselves has domain subject");
}

static void check_through(struct field_reader *r, const struct policy_table *t,
                          const struct policy_subject *s, const struct policy_column *c)
{
    if (c != NULL && c->class_id == CLASS_NOTHING)
        column_wrong(r, c,
                     "it leads to a person through %s.%s, so it has class identity, activity or"
                     " graph, not none",
                     s->through->schema, s->through->name);
    if (s->through->subject_count == 0)
        field_wrong(r, NULL, s->line,
                    "tables.%s.%s.subject: table %s.%s has no \"subject\", so it leads to nobody",
                    t->schema, t->name, s->through->schema, s->through->name);
}

static void check_subjects(struct field_reader *r, const struct policy_table *t)
{
    for (size_t i = 0; i < t->subject_count; i++) {
        const struct policy_subject *s = &t->subjects[i];
        const struct policy_column *c = key_column(r, t, &s->column, "subject");
        for (size_t k = 0; k < i; k++)
            if (is(t->subjects[k].column, s->column))
                field_wrong(r, NULL, s->line,
                            "tables.%s.%s.subjects: \"%s\" is listed twice, so it is not clear"
                            " where it leads",
                            t->schema, t->name, s->column);
        if (s->through == NULL && s->key != NULL)
            field_wrong(r, NULL, s->line,
                        "tables.%s.%s.subject: \"key\" is for a subject with \"through\"",
                        t->schema, t->name);
        if (s->through != NULL)
            check_through(r, t, s, c);
        else if (c != NULL)
            check_own_key(r, t, c);
    }
}

static void check_residency(struct field_reader *r, const struct policy_table *t)
{
    const struct policy_column *residency = key_column(r, t, &t->residency, "residency");
    if (residency != NULL && residency->class_id != CLASS_NOTHING)
        column_wrong(r, residency, "the residency has class none, not %s",
                     policy_class_name(residency->class_id));
    if (t->is_view && t->residency != NULL)
        field_wrong(r, NULL, field_line_of(r, &t->residency),
                    "tables.%s.%s.residency: a view has no constraint (name the residency at the"
                    " tables it reads)",
                    t->schema, t->name);
    if (!t->is_view && t->subject != NULL && t->residency == NULL)
        field_wrong(r, NULL, t->line, "tables.%s.%s: a table with a subject needs a \"residency\"",
                    t->schema, t->name);
}

static void check_birthdate(struct field_reader *r, const struct policy_table *t)
{
    const struct policy_column *birthdate = key_column(r, t, &t->birthdate, "birthdate");
    if (birthdate != NULL && birthdate->class_id != CLASS_IDENTITY)
        column_wrong(r, birthdate, "the birth date has class identity, not %s",
                     policy_class_name(birthdate->class_id));
    if (t->birthdate != NULL && (t->subject == NULL || t->subject_count != 1))
        field_wrong(r, NULL, t->line,
                    "tables.%s.%s: a birth date without a \"subject\" of its own, one and no more",
                    t->schema, t->name);
    if (t->birthdate != NULL && t->is_view)
        field_wrong(r, NULL, field_line_of(r, &t->birthdate),
                    "tables.%s.%s.birthdate: the subjects' own table is a table, not a view",
                    t->schema, t->name);
}

static void check_keys(struct field_reader *r, const struct policy_table *t)
{
    check_subjects(r, t);
    check_residency(r, t);
    check_birthdate(r, t);
    (void)key_column(r, t, &t->retention_column, "retention.column");
}

/* -- paths to subjects -- */

enum walk { WALK_NEW, WALK_ON, WALK_DONE };

/* Depth first over `through`; a table met again while its own walk is on closes a circle. */
static void walk_subjects(struct field_reader *r, const struct policy *p,
                          const struct policy_table *t, enum walk *state)
{
    enum walk *mine = &state[t - p->tables];
    *mine = WALK_ON;
    for (size_t i = 0; i < t->subject_count; i++) {
        const struct policy_table *next = t->subjects[i].through;
        if (next == NULL || state[next - p->tables] == WALK_DONE)
            continue;
        if (state[next - p->tables] == WALK_ON)
            field_wrong(r, NULL, t->subjects[i].line,
                        "tables.%s.%s.subject: the way through %s.%s comes back to where it began,"
                        " and never to a person (let one of these tables name the column with the"
                        " person's key)",
                        t->schema, t->name, next->schema, next->name);
        else
            walk_subjects(r, p, next, state);
    }
    *mine = WALK_DONE;
}

static void check_paths(struct field_reader *r, const struct policy *p)
{
    enum walk *state = arena_alloc(r->scratch, p->table_count + 1, sizeof(*state));
    if (state == NULL) {
        r->no_memory = true;
        return;
    }
    for (size_t i = 0; i < p->table_count; i++)
        if (state[i] == WALK_NEW)
            walk_subjects(r, p, &p->tables[i], state);
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
        check_column(r, &t->columns[i]);
    }
    check_together(r, t);
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
        field_wrong(
            r, NULL, s->line,
            "statistics.%s: table %s.%s has no key of a subject of its own%s, so no group can"
            " be told small",
            s->name, s->table->schema, s->table->name,
            s->table->subject_count > 0 ? " (only one through another table)" : "");
    for (size_t i = 0; i < s->dimension_count; i++)
        check_dimension(r, s, &s->dimensions[i]);
    for (size_t i = 0; i < s->measure_count; i++)
        check_measure(r, s, &s->measures[i]);
}

/* A view is read only, whoever asks; to be given more is a mistake, not a wish to be trimmed. */
static void check_views_are_read_only(struct field_reader *r, const struct policy *p,
                                      const struct policy_actor *a)
{
    for (size_t i = 0; i < a->access_count; i++) {
        for (size_t k = 0; k < a->access[i].table_count; k++) {
            const struct policy_service_table *named = &a->access[i].tables[k];
            const struct policy_table *t = policy_table_find(p, named->schema, named->table);
            if (t != NULL && t->is_view && named->access == TABLE_WRITE)
                field_wrong(r, NULL, field_line_of(r, named),
                            "actors.%s: %s.%s is a view and read only (expected read)", a->name,
                            named->schema, named->table);
        }
    }
}

void policy_check_tables(struct field_reader *r, struct policy *p)
{
    for (size_t i = 0; i < p->table_count; i++) {
        struct policy_table *t = &p->tables[i];
        for (size_t k = t->subject_count; k > 0; k--)
            if (t->subjects[k - 1].through == NULL)
                t->subject = t->subjects[k - 1].column;
    }
    for (size_t i = 0; i < p->actor_count && !r->mistakes->overflowed; i++)
        check_views_are_read_only(r, p, &p->actors[i]);
    check_paths(r, p);
    for (size_t i = 0; i < p->table_count && !r->mistakes->overflowed; i++)
        check_table(r, p, i);
    for (size_t i = 0; i < p->statistic_count && !r->mistakes->overflowed; i++)
        check_statistic(r, &p->statistics[i]);
}
