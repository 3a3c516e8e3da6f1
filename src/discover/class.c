/* class.c - what each column is proposed as.
 *
 * Keys and references first, because they say what a column is whatever it is called; then the
 * concept that most speaks for. In a table that leads to no person a name is a product's and an
 * address a machine's: its columns are harmless or, where something personal was seen in them, not
 * proposed. In a table of somebody's nothing is harmless but what is known to be. */
#include <stdio.h>
#include <string.h>

#include "discover/discover.h"
#include "discover/name.h"
#include "policy/quantity.h"

enum { STEP_AMOUNT = 10, STEP_CENTS = 500 };

static const double SURE_ENOUGH = 0.35; /* to propose a concept */

static void propose(struct discover_column *c, enum class_id class_id, enum mask_id mask,
                    double confidence, const char *reason)
{
    c->class_id = class_id;
    c->mask = mask;
    c->confidence = confidence;
    c->reason = reason;
}

/* -- masks -- */

static bool has_pseudonym(const struct discover_column *c)
{
    static const char *const bases[] = { "int8", "int4", "text", "varchar", "bpchar", "uuid" };
    for (size_t i = 0; i < RF_COUNT(bases) && !c->is_array; i++)
        if (strcmp(c->base, bases[i]) == 0)
            return true;
    return false;
}

/* Pseudonyms of these join: see pseudonym_family(). */
static bool joins(const struct discover_column *a, const struct discover_column *b)
{
    return has_pseudonym(a) && has_pseudonym(b) &&
           (a->kind == DISCOVER_TEXT ? b->kind == DISCOVER_TEXT : strcmp(a->base, b->base) == 0);
}

static bool is_amount(const struct discover_column *c)
{
    return !c->is_array && strcmp(c->base, "money") != 0 && strcmp(c->base, "oid") != 0 &&
           (c->kind == DISCOVER_INTEGER || c->kind == DISCOVER_NUMERIC);
}

static bool is_time(const struct discover_column *c)
{
    return !c->is_array && (c->kind == DISCOVER_DATE || c->kind == DISCOVER_TIMESTAMP);
}

/* No value at all, as this type can say it. */
static enum mask_id nothing_of(const struct discover_column *c)
{
    return c->refuses_null ? MASK_ABSENT : MASK_NULL;
}

static bool has_blank(const struct discover_column *c)
{
    return c->is_array ||
           (c->kind != DISCOVER_OTHER && c->kind != DISCOVER_ENUM && c->kind != DISCOVER_GEOMETRY &&
            c->kind != DISCOVER_DEVICE && strcmp(c->base, "citext") != 0 &&
            strcmp(c->base, "hstore") != 0 && strcmp(c->base, "xml") != 0 &&
            strcmp(c->base, "tsvector") != 0 && strcmp(c->base, "money") != 0 &&
            strcmp(c->base, "oid") != 0 && strcmp(c->base, "timetz") != 0);
}

/* The mask for a class on this type; MASK_UNSET where the class's usual one fits. */
static void choose_mask(struct discover_column *c)
{
    enum mask_id blank = has_blank(c) ? MASK_REDACT : nothing_of(c);
    c->mask = MASK_UNSET;
    switch (c->class_id) {
    case CLASS_IDENTITY:
        if (!has_pseudonym(c))
            c->mask = nothing_of(c);
        break;
    case CLASS_CONTACT:
        if (blank != MASK_REDACT)
            c->mask = blank;
        break;
    case CLASS_ACTIVITY:
        if (is_amount(c) && strcmp(c->base, "int2") != 0) {
            c->mask = MASK_COARSE;
            c->step = STEP_AMOUNT;
        } else if (!is_time(c)) {
            c->mask = blank;
        }
        break;
    case CLASS_PAYMENT:
        if (is_amount(c) && discover_strength(c, CONCEPT_MONEY) >= 0.4) {
            c->mask = MASK_COARSE;
            c->step = c->kind == DISCOVER_INTEGER && strcmp(c->base, "int2") != 0 ? STEP_CENTS
                                                                                  : STEP_AMOUNT;
        } else if (c->refuses_null) {
            c->mask = MASK_ABSENT;
        }
        break;
    case CLASS_NOTHING:
    case CLASS_UNSET:
        break;
    default:
        if (c->refuses_null)
            c->mask = MASK_ABSENT;
    }
}

/* -- names of domains -- */

/* All keys of one table share the table's name. */
static const char *domain_of(struct discovery *d, const struct discover_table *t)
{
    const char *name = arena_printf(&d->arena, "%s", t->name);
    if (name == NULL || !quantity_is_name(name) || strcmp(name, "subject") == 0)
        name = arena_printf(&d->arena, "key-%u", t->oid);
    return name;
}

/* -- the concept that most speaks for -- */

static enum discover_concept best_concept(const struct discover_column *c, double *ret_strength)
{
    enum discover_concept best = CONCEPT_NONE;
    *ret_strength = 0;
    for (int i = CONCEPT_NONE + 1; i < CONCEPT_COUNT; i++) {
        double strength = discover_strength(c, (enum discover_concept)i);
        if (strength > *ret_strength) {
            best = (enum discover_concept)i;
            *ret_strength = strength;
        }
    }
    return best;
}

/* What speaks for CONCEPT, strongest first, in one line. */
static const char *reason_of(struct discovery *d, const struct discover_column *c,
                             enum discover_concept concept)
{
    const char *text = "";
    for (size_t i = 0; i < c->fact_count && text != NULL; i++)
        if (c->facts[i].concept == concept)
            text = arena_printf(&d->arena, "%s%s%s", text, text[0] != '\0' ? ", " : "",
                                c->facts[i].text);
    return text;
}

/* "name" is a person's in a table of persons; elsewhere it is what somebody called something. */
static void weigh_plain_name(struct discovery *d, const struct discover_table *t,
                             struct discover_column *c)
{
    if (discover_strength(c, CONCEPT_PERSON) < 0.3 || c->kind != DISCOVER_TEXT)
        return;
    if (t->state == DISCOVER_PERSONS)
        discover_add_fact(d, c, CONCEPT_PERSON, 0.6, "in a table of persons");
    else if (c->seen >= 10 && !c->seen_as_person && discover_strength(c, CONCEPT_PERSON) < 0.9)
        discover_add_fact(d, c, CONCEPT_TEXT, 0.6, "a name of something of theirs");
}

/* "state" beside a street or a town is an area. */
static void weigh_state(struct discovery *d, const struct discover_table *t,
                        struct discover_column *c)
{
    bool beside = false;
    if (discover_strength(c, CONCEPT_PLACE) < 0.4)
        return;
    for (size_t i = 0; i < t->column_count; i++)
        beside |=
            &t->columns[i] != c && (discover_strength(&t->columns[i], CONCEPT_ADDRESS) >= 0.6 ||
                                    discover_strength(&t->columns[i], CONCEPT_PLACE) >= 0.6);
    if (beside)
        discover_add_fact(d, c, CONCEPT_PLACE, 0.6, "beside an address");
}

static void weigh(struct discovery *d, const struct discover_table *t, struct discover_column *c)
{
    weigh_plain_name(d, t, c);
    weigh_state(d, t, c);
}

static const char *unknown_reason(struct discovery *d, const struct discover_column *c)
{
    if (!c->is_nameable)
        return "its name cannot stand in a policy";
    if (c->seen > 0)
        return arena_printf(&d->arena, "nothing is known of it, and %u sampled values do not tell",
                            c->seen);
    return "nothing is known of it";
}

static void classify_personal(struct discovery *d, const struct discover_table *t,
                              struct discover_column *c)
{
    double strength;
    weigh(d, t, c);
    enum discover_concept concept = best_concept(c, &strength);
    enum class_id class_id = discover_concept_class(concept);
    if (concept == CONCEPT_NONE || strength < SURE_ENOUGH) {
        propose(c, CLASS_UNSET, MASK_UNSET, 0, unknown_reason(d, c));
        return;
    }
    if (class_id == CLASS_NOTHING) {
        bool named = false;
        for (size_t i = 0; i < c->fact_count; i++)
        named |= c->facts[i].concept == CONCEPT_NEUTRAL && c->facts[i].text[0] == 'n';
        if (!named) { /* few different values can be a religion as well as a state of an order */
            propose(c, CLASS_UNSET, MASK_UNSET, 0, unknown_reason(d, c));
            return;
        }
    }
    propose(c, class_id, MASK_UNSET, strength, reason_of(d, c, concept));
    choose_mask(c);
    if (concept == CONCEPT_SECRET) /* of no use to anybody who looks */
        c->mask = MASK_ABSENT;
    if (concept == CONCEPT_TRAIT && has_blank(c) && !is_amount(c))
        c->mask = MASK_REDACT;
}

/* -- tables that lead to nobody -- */

static bool is_harmless_type(const struct discover_column *c)
{
    return c->kind == DISCOVER_INTEGER || c->kind == DISCOVER_NUMERIC || c->kind == DISCOVER_BOOL ||
           c->kind == DISCOVER_DATE || c->kind == DISCOVER_TIMESTAMP || c->kind == DISCOVER_TIME ||
           c->kind == DISCOVER_ENUM || (c->kind == DISCOVER_UUID && c->is_key);
}

/* What would name or reach somebody wherever it stood. */
static double personal_strength(const struct discover_column *c, enum discover_concept *ret)
{
    static const enum discover_concept concepts[] = {
        CONCEPT_EMAIL,  CONCEPT_PHONE,   CONCEPT_BIRTH,      CONCEPT_REGISTER,   CONCEPT_CARD,
        CONCEPT_BANK,   CONCEPT_SECRET,  CONCEPT_ADDRESS_IP, CONCEPT_COORDINATE, CONCEPT_HANDLE,
        CONCEPT_DEVICE, CONCEPT_ADDRESS, CONCEPT_HEALTH,
    };
    double best = discover_strength(c, CONCEPT_PERSON);
    *ret = CONCEPT_PERSON;
    for (size_t i = 0; i < RF_COUNT(concepts); i++)
        if (discover_strength(c, concepts[i]) > best) {
            best = discover_strength(c, concepts[i]);
            *ret = concepts[i];
        }
    return best;
}

/* Two columns that would reach or name somebody: whose, no key tells. */
static bool looks_personal(const struct discover_table *t)
{
    size_t count = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        enum discover_concept concept;
        const struct discover_column *c = &t->columns[i];
        count += !is_harmless_type(c) && personal_strength(c, &concept) >= 0.6;
    }
    return count >= 2;
}

static void classify_plain(struct discovery *d, const struct discover_table *t,
                           struct discover_column *c)
{
    enum discover_concept concept;
    double personal = personal_strength(c, &concept);
    bool plain_text = c->kind == DISCOVER_TEXT && !c->is_array;
    if (!is_time(c) && personal < 0.6 && looks_personal(t)) {
        propose(c, CLASS_UNSET, MASK_UNSET, 0,
                "it stands beside what may be somebody's, and no key tells whose");
    } else if (personal >= 0.6 && !(is_harmless_type(c) && concept != CONCEPT_PHONE)) {
        propose(c, CLASS_UNSET, MASK_UNSET, personal,
                arena_printf(&d->arena, "it may hold %s (%s), and the table leads to no person",
                             discover_concept_sentence(concept), reason_of(d, c, concept)));
    } else if (is_harmless_type(c)) {
        propose(c, CLASS_NOTHING, MASK_UNSET, 0.8, "the table leads to no person");
    } else if (plain_text && c->seen >= 10 && !c->seen_as_person && !c->seen_as_prose) {
        propose(c, CLASS_NOTHING, MASK_UNSET, 0.7,
                arena_printf(&d->arena,
                             "the table leads to no person, %u sampled values name nobody",
                             c->seen));
    } else if (plain_text && c->seen == 0 && discover_strength(c, CONCEPT_NEUTRAL) >= 0.6) {
        propose(c, CLASS_NOTHING, MASK_UNSET, 0.6,
                arena_printf(&d->arena, "the table leads to no person, %s",
                             reason_of(d, c, CONCEPT_NEUTRAL)));
    } else {
        propose(c, CLASS_UNSET, MASK_UNSET, 0, unknown_reason(d, c));
    }
}

/* -- keys and references -- */

static bool is_subject(const struct discover_table *t, const struct discover_column *c)
{
    for (size_t i = 0; i < t->subject_count; i++)
        if (t->subjects[i] == c)
            return true;
    return false;
}

static const char *reference_reason(struct discovery *d, const struct discover_column *c)
{
    return arena_printf(&d->arena, "%s %s.%s(%s)",
                        c->is_implied ? "its name says that it leads to" : "foreign key to",
                        discover_plain_name(d, c->to_table->schema),
                        discover_plain_name(d, c->to_table->name),
                        discover_plain_name(d, c->to_column->name));
}

static bool is_persons_key(const struct discover_column *c)
{
    return c->to_table != NULL && c->to_table->state == DISCOVER_PERSONS &&
           c->to_column == c->to_table->key;
}

/* Whether C's pseudonyms can be those of the key that it leads to. */
static void join_with(struct discovery *d, struct discover_column *c,
                      const struct discover_table *t, const struct discover_column *key)
{
    if (joins(c, key)) {
        c->mask = MASK_PSEUDONYM;
        c->domain = domain_of(d, t);
    } else {
        c->mask = nothing_of(c);
    }
}

static void classify_subject(struct discovery *d, const struct discover_table *t,
                             struct discover_column *c)
{
    double confidence = t->confidence;
    if (t->state == DISCOVER_PERSONS) {
        propose(c, CLASS_IDENTITY, MASK_UNSET, confidence, "the key of its table of persons");
        if (!joins(c, d->main->key))
            c->mask = nothing_of(c);
        return;
    }
    propose(c, c == t->subjects[0] ? CLASS_IDENTITY : CLASS_GRAPH, MASK_UNSET,
            c->is_implied ? 0.65 : 0.97, reference_reason(d, c));
    if (c->class_id == CLASS_GRAPH)
        choose_mask(c);
    else if (!joins(c, d->main->key))
        c->mask = nothing_of(c);
    else if (!discover_has_own_subject(t)) { /* a row that leads through its persons' table */
        c->mask = MASK_PSEUDONYM;
        c->domain = "subject";
    }
}

/* A foreign key, or what is one by its name. */
static void classify_reference(struct discovery *d, const struct discover_table *t,
                               struct discover_column *c)
{
    bool personal = t->state != DISCOVER_PLAIN;
    double confidence = c->is_implied ? 0.55 : 0.9;
    const char *reason = reference_reason(d, c);
    if (is_persons_key(c)) {
        if (personal)
            propose(c, CLASS_GRAPH, MASK_UNSET, confidence, reason);
        else
            propose(c, CLASS_UNSET, MASK_UNSET, confidence,
                    arena_printf(&d->arena, "%s, which is no reason to take the row for theirs",
                                 reason));
        choose_mask(c);
        return;
    }
    if (personal && discover_strength(c, CONCEPT_NEUTRAL) >= 0.6) {
        propose(c, CLASS_NOTHING, MASK_UNSET, confidence, reason_of(d, c, CONCEPT_NEUTRAL));
        return;
    }
    enum class_id class_id = !personal                              ? CLASS_NOTHING
                             : c == t->link                         ? CLASS_IDENTITY
                             : c->to_table->state == DISCOVER_PLAIN ? CLASS_ACTIVITY
                                                                    : CLASS_IDENTITY;
    propose(c, class_id, MASK_UNSET, confidence, reason);
    join_with(d, c, c->to_table, c->to_column);
}

static void classify_key(struct discovery *d, const struct discover_table *t,
                         struct discover_column *c)
{
    bool personal = t->state != DISCOVER_PLAIN;
    propose(c, personal ? CLASS_IDENTITY : CLASS_NOTHING, MASK_UNSET, personal ? 0.95 : 0.8,
            personal ? "the key of somebody's row" : "a key, and the table leads to no person");
    if (c->is_referenced && has_pseudonym(c)) {
        c->mask = MASK_PSEUDONYM;
        c->domain = domain_of(d, t);
    } else {
        choose_mask(c);
    }
}

static void classify_column(struct discovery *d, struct discover_table *t,
                            struct discover_column *c)
{
    if (c->is_nameable && t->state == DISCOVER_PLAIN && !c->is_key && !is_time(c) &&
        looks_personal(t))
        classify_plain(d, t, c);
    else if (!c->is_nameable)
        propose(c, CLASS_UNSET, MASK_UNSET, 0, unknown_reason(d, c));
    else if (is_subject(t, c))
        classify_subject(d, t, c);
    else if (c == t->residency)
        propose(c, CLASS_NOTHING, MASK_UNSET, c->confidence, "the country of the row's person");
    else if (c == t->birthdate)
        propose(c, CLASS_IDENTITY, t == d->main ? MASK_YEAR : nothing_of(c),
                discover_strength(c, CONCEPT_BIRTH), reason_of(d, c, CONCEPT_BIRTH));
    else if (c->to_table != NULL && !(c->is_implied && c == t->key))
        classify_reference(d, t, c);
    else if (c->is_key || (c->in_key && (c->kind == DISCOVER_INTEGER || c->kind == DISCOVER_UUID)))
        classify_key(d, t, c);
    else if (t->state == DISCOVER_PLAIN)
        classify_plain(d, t, c);
    else
        classify_personal(d, t, c);
}

/* Keys with which a pseudonym elsewhere has to join. */
static void find_referenced(struct discovery *d)
{
    for (size_t i = 0; i < d->table_count; i++)
        for (size_t k = 0; k < d->tables[i].column_count; k++) {
            struct discover_column *c = &d->tables[i].columns[k];
            if (c->to_table != NULL && !is_persons_key(c) && joins(c, c->to_column))
                c->to_column->is_referenced = true;
        }
}

/* An address that persons lead to, and not it to them: no column of its own says whose it is. */
static void find_shared(struct discovery *d)
{
    for (size_t i = 0; i < d->table_count; i++)
        for (size_t k = 0; k < d->tables[i].column_count; k++) {
            const struct discover_table *t = &d->tables[i];
            struct discover_table *other = t->columns[k].to_table;
            if (t->state == DISCOVER_PERSONS && other != NULL && other->state == DISCOVER_PLAIN &&
                looks_personal(other))
                other->reason = arena_printf(
                    &d->arena,
                    "%s.%s leads here by \"%s\", and a policy can follow that only where"
                    " the column is unique",
                    t->schema, t->name, discover_plain_name(d, t->columns[k].name));
        }
}

void discover_classes(struct discovery *d)
{
    find_referenced(d);
    find_shared(d);
    for (size_t i = 0; i < d->table_count; i++)
        for (size_t k = 0; k < d->tables[i].column_count; k++)
            if (d->tables[i].state != DISCOVER_UNFIT)
                classify_column(d, &d->tables[i], &d->tables[i].columns[k]);
}
