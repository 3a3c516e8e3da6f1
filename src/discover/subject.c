/* subject.c - whose data a table holds.
 *
 * Tables of persons are found first: by their name, by the names, addresses and birth dates in
 * them, and by how many tables lead to them. Every other table is somebody's when a foreign key of
 * its own leads to a table of persons, or one join away when it leads to such a table. Columns that
 * say who keyed a row in (created_by) do not make the row his. */
#include <string.h>

#include "discover/discover.h"
#include "discover/name.h"

/* -- tables of persons -- */

/* Kinds of own facts that make a row a person. */
static unsigned own_facts(const struct discover_table *t)
{
    static const enum discover_concept concepts[] = { CONCEPT_PERSON, CONCEPT_EMAIL,
                                                      CONCEPT_PHONE,  CONCEPT_BIRTH,
                                                      CONCEPT_HANDLE, CONCEPT_REGISTER,
                                                      CONCEPT_ADDRESS };
    unsigned count = 0;
    for (size_t i = 0; i < RF_COUNT(concepts); i++)
        for (size_t k = 0; k < t->column_count; k++)
            if (discover_strength(&t->columns[k], concepts[i]) >= 0.7) {
                count++;
                break;
            }
    return count;
}

static bool is_audit(const struct discover_column *c)
{
    static const char words[] = "createdby|updatedby|modifiedby|changedby|deletedby|approvedby|"
                                "createdbyid|updatedbyid|lastmodifiedby|lastchangedby|insertedby|"
                                "erstelltvon|angelegtvon|geaendertvon|bearbeitetvon|erfasstvon|"
                                "freigegebenvon|enteredby|uploadedby|importedby|editedby|"
                                "createdbyuserid|updatedbyuserid|maintainer|lasteditor";
    struct name_words n;
    char text[2 * NAME_WORD_SIZE];
    name_split(&n, c->name);
    return n.count > 0 && name_is_one_of(words, name_join(&n, 0, n.count - 1, text));
}

static bool leads(const struct discover_table *t, const struct discover_column *c,
                  const struct discover_table *other)
{
    return c->to_table == other && other != t && c->to_column == other->key && !is_audit(c);
}

static bool has_birth(const struct discover_table *t)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (discover_strength(&t->columns[i], CONCEPT_BIRTH) >= 0.7)
            return true;
    return false;
}

/* Each table counts once for another, however many of its columns lead there. */
static void count_leading(struct discovery *d)
{
    for (size_t i = 0; i < d->table_count; i++) {
        const struct discover_table *t = &d->tables[i];
        for (size_t k = 0; k < t->column_count; k++) {
            struct discover_table *other = t->columns[k].to_table;
            bool counted = other == NULL || !leads(t, &t->columns[k], other);
            for (size_t before = 0; before < k && !counted; before++)
                counted = leads(t, &t->columns[before], other);
            if (!counted)
                other->leading++;
        }
    }
}

/* Could a row be a person, from the table alone? */
static void find_candidates(struct discovery *d)
{
    for (size_t i = 0; i < d->table_count; i++) {
        struct discover_table *t = &d->tables[i];
        t->own = own_facts(t);
        t->is_candidate = t->key != NULL && t->word >= 0 &&
                          ((t->word >= 0.5 && (t->own >= 1 || t->leading >= 2)) || t->own >= 3 ||
                           (t->own >= 2 && t->word == 0 && has_birth(t)));
    }
}

/* A candidate that leads to another one is that one's detail (a profile, an address), unless its
   own name says that its rows are persons and no column says that they are the same persons. */
static bool is_detail(const struct discover_table *t, const struct discover_table *other)
{
    for (size_t i = 0; i < t->column_count; i++) {
        const struct discover_column *c = &t->columns[i];
        if (!leads(t, c, other))
            continue;
        if (c->is_unique || c == t->key || t->word < other->word || t->own == 0)
            return true;
    }
    return false;
}

static void find_persons(struct discovery *d)
{
    for (size_t i = 0; i < d->table_count; i++) {
        struct discover_table *t = &d->tables[i];
        bool detail = false;
        if (t->state == DISCOVER_UNFIT || !t->is_candidate)
            continue;
        for (size_t k = 0; k < d->table_count && !detail; k++)
            detail = &d->tables[k] != t && d->tables[k].is_candidate && is_detail(t, &d->tables[k]);
        if (detail)
            continue;
        t->state = DISCOVER_PERSONS;
        t->persons = t;
        t->subjects[0] = t->key;
        t->subject_count = 1;
        double doubt = (t->word >= 0.5 ? 1 - t->word : 1) * (t->own >= 2   ? 0.2
                                                             : t->own == 1 ? 0.5
                                                                           : 1);
        t->confidence = 1 - doubt * (t->leading >= 2 ? 0.4 : t->leading == 1 ? 0.7 : 1);
        t->reason = arena_printf(
            &d->arena,
            "a row a person:%s %u kinds of columns that persons have,%s %zu tables lead to it",
            t->word >= 0.5 ? " its name," : "", t->own, has_birth(t) ? " a birth date," : "",
            t->leading);
    }
}

/* How much the tables are about these persons: most lead there, and those who work there come
   behind those they work for. */
static double standing_of(const struct discover_table *t)
{
    return (double)t->leading + t->word + (has_birth(t) ? 1.5 : 0) + (t->is_staff ? 0 : 4);
}

static void find_main(struct discovery *d)
{
    for (size_t i = 0; i < d->table_count; i++) {
        struct discover_table *t = &d->tables[i];
        if (t->state == DISCOVER_PERSONS &&
            (d->main == NULL || standing_of(t) > standing_of(d->main)))
            d->main = t;
    }
}

/* -- references by a role's name alone -- */

/* Without a foreign key, sender_id and owner_id of the key's type mean a person of the main
   table. */
static void imply_roles(struct discovery *d)
{
    static const char roles[] = "sender|recipient|receiver|owner|author|creator|buyer|seller|user|"
                                "member|customer|friend|follower|followee|followed|absender|"
                                "empfaenger|besitzer|autor|kaeufer|verkaeufer|freund|blocker|"
                                "blocked|reporter|reported|referrer|inviter|invited|from|to";
    for (size_t i = 0; d->main != NULL && i < d->table_count; i++)
        for (size_t k = 0; k < d->tables[i].column_count; k++) {
            struct discover_column *c = &d->tables[i].columns[k];
            struct name_words n;
            name_split(&n, c->name);
            if (c->to_table != NULL || c == d->tables[i].key || c->kind != d->main->key->kind ||
                c->is_array || n.count < 2 || strcmp(n.word[n.count - 1], "id") != 0 ||
                !name_is_one_of(roles, n.word[n.count - 2]))
                continue;
            c->to_table = d->main;
            c->to_column = d->main->key;
            c->is_implied = true;
        }
}

/* -- tables that lead to persons -- */

/* Which of several columns names the one whose row it is: less is better. */
static int rank_of(const struct discover_table *t, const struct discover_column *c)
{
    static const char *const words[] = {
        "user|customer|patient|member|person|kunde|kunden|benutzer|"
        "nutzer|mitglied|patienten|account|client",
        "owner|sender|author|creator|follower|buyer|from|besitzer|"
        "absender|autor|blocker|reporter"
    };
    struct name_words n;
    name_split(&n, c->name);
    int rank = (int)RF_COUNT(words);
    for (size_t i = RF_COUNT(words); i-- > 0;)
        for (size_t k = 0; k < n.count; k++)
            if (name_is_one_of(words[i], n.word[k]))
                rank = (int)i;
    return rank * 4 + (c->is_implied ? 2 : 0) + (c->not_null ? 0 : 1) + (c == t->key ? -1 : 0);
}

/* Somebody who works there and has to do with a row (a shop's manager, a product's editor) is not
   the one whose row it is: only the plain key of a table of staff makes a row theirs. */
static bool is_office(const struct discover_table *t, const struct discover_column *c,
                      const struct discover_table *persons)
{
    struct name_words name, table;
    char one[NAME_WORD_SIZE], other[NAME_WORD_SIZE];
    if (!persons->is_staff)
        return false;
    name_split(&name, c->name);
    name_split(&table, persons->name);
    return t->word < 0 || name.count == 0 || table.count == 0 ||
           strcmp(name_stem(name.word[0], one), name_stem(table.word[0], other)) != 0;
}

/* The columns of T that lead to PERSONS, the first named first. */
static void collect_subjects(struct discover_table *t, struct discover_table *persons)
{
    t->subject_count = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        struct discover_column *c = &t->columns[i];
        if (!leads(t, c, persons) || is_office(t, c, persons) ||
            t->subject_count == DISCOVER_SUBJECTS_MAX)
            continue;
        size_t at = t->subject_count++;
        while (at > 0 && rank_of(t, t->subjects[at - 1]) > rank_of(t, c)) {
            t->subjects[at] = t->subjects[at - 1];
            at--;
        }
        t->subjects[at] = c;
    }
}

static void lead_to_persons(struct discovery *d, struct discover_table *t,
                            struct discover_table *persons)
{
    if (t->state != DISCOVER_PLAIN)
        return;
    collect_subjects(t, persons);
    if (t->subject_count == 0)
        return;
    const struct discover_column *c = t->subjects[0];
    t->state = DISCOVER_PERSONAL;
    t->persons = persons;
    t->confidence = c->is_implied ? 0.65 : 0.97;
    t->reason =
        arena_printf(&d->arena, "%s \"%s\" leads to %s.%s",
                     c->is_implied ? "by its name alone" : "foreign key",
                     discover_plain_name(d, c->name), discover_plain_name(d, persons->schema),
                     discover_plain_name(d, persons->name));
}

/* True when it does so only now. */
static bool lead_through(struct discovery *d, struct discover_table *t)
{
    struct discover_column *best = NULL;
    if (t->state != DISCOVER_PLAIN)
        return false;
    for (size_t i = 0; i < t->column_count; i++) {
        struct discover_column *c = &t->columns[i];
        if (c->to_table == NULL || c->to_table == t || c->to_column != c->to_table->key ||
            (c->to_table->state != DISCOVER_PERSONAL && c->to_table->state != DISCOVER_THROUGH))
            continue;
        if (best == NULL || (best->is_implied && !c->is_implied) ||
            (!best->not_null && c->not_null))
            best = c;
    }
    if (best == NULL)
        return false;
    t->state = DISCOVER_THROUGH;
    t->link = best;
    t->through = best->to_table;
    t->persons = t->through->persons;
    t->confidence = best->is_implied ? 0.55 : 0.9;
    t->reason =
        arena_printf(&d->arena, "\"%s\" leads to %s.%s, which leads to %s.%s",
                     discover_plain_name(d, best->name), discover_plain_name(d, t->through->schema),
                     discover_plain_name(d, t->through->name),
                     discover_plain_name(d, t->persons->schema),
                     discover_plain_name(d, t->persons->name));
    return true;
}

/* -- columns with a part of their own -- */

/* How likely this is the country where the row's person lives. */
static double residency_of(const struct discover_column *c)
{
    static const char sure[] = "residency|residence|residencecountry|countryofresidence|wohnsitz|"
                               "wohnsitzland|wohnland";
    static const char likely[] = "country|countrycode|countryiso|land|landcode|laendercode|"
                                 "laenderkuerzel|homecountry|pays|pais";
    if (c->words == NULL || c->is_array || c->to_table != NULL ||
        (c->kind != DISCOVER_TEXT && c->kind != DISCOVER_ENUM))
        return 0;
    double name = name_is_one_of(sure, c->words) ? 0.9 : name_is_one_of(likely, c->words) ? 0.6 : 0;
    if (name == 0 || (c->seen > 0 && !c->seen_as_country))
        return 0;
    if (c->seen > 0)
        return name > 0.85 ? 0.98 : 0.9;
    return c->width == 2 && name < 0.7 ? 0.75 : name;
}

static void find_own_columns(struct discover_table *t)
{
    double best = 0, born = 0.7;
    for (size_t i = 0; i < t->column_count; i++) {
        struct discover_column *c = &t->columns[i];
        if (c->is_nameable && residency_of(c) > best) {
            best = residency_of(c);
            t->residency = c;
            c->confidence = best;
        }
        double strength = discover_strength(c, CONCEPT_BIRTH);
        if (c->is_nameable && !c->is_array && strength > born &&
            (strcmp(c->base, "date") == 0 || strcmp(c->base, "timestamp") == 0)) {
            born = strength;
            t->birthdate = c;
        }
    }
}

bool discover_lacks_residency(const struct discover_table *t)
{
    bool tied = t->state == DISCOVER_THROUGH && t->link->not_null && !t->link->is_implied;
    for (size_t i = 0; i < t->subject_count && t->state == DISCOVER_PERSONAL; i++)
        tied |= t->subjects[i]->not_null && !t->subjects[i]->is_implied;
    return t->residency == NULL && t->state != DISCOVER_PLAIN && t->state != DISCOVER_UNFIT &&
           !tied;
}

bool discover_has_own_subject(const struct discover_table *t)
{
    return t->state == DISCOVER_PERSONS ||
           (t->state == DISCOVER_PERSONAL && (t->residency != NULL || discover_lacks_residency(t)));
}

void discover_subjects(struct discovery *d)
{
    count_leading(d);
    find_candidates(d);
    find_persons(d);
    find_main(d);
    imply_roles(d);
    for (size_t i = 0; d->main != NULL && i < d->table_count; i++)
        lead_to_persons(d, &d->tables[i], d->main);
    for (size_t k = 0; k < d->table_count; k++) /* persons of another kind */
        for (size_t i = 0; i < d->table_count && d->tables[k].state == DISCOVER_PERSONS; i++)
            lead_to_persons(d, &d->tables[i], &d->tables[k]);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < d->table_count; i++)
            more |= lead_through(d, &d->tables[i]);
    }
    for (size_t i = 0; i < d->table_count; i++)
        if (d->tables[i].state != DISCOVER_UNFIT && d->tables[i].state != DISCOVER_PLAIN)
            find_own_columns(&d->tables[i]);
}
