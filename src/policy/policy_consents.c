#include "policy/policy_consents.h"

#include <string.h>

#include "policy/arena.h"
#include "policy/policy_check.h"
#include "policy/policy_grants.h"
#include "policy/policy_ingest.h"
#include "policy/seats.h"

enum { RECORDERS_MAX = 300, WORD_MAX = 63 /* of a word in the public log */ };

#define DAY INT64_C(86400000)

#define ARRAY_AT(type, member, count) FIELD_AT(type, member), .count_offset = offsetof(type, count)
#define FIELDS(table)                 .fields = table, .field_count = RF_COUNT(table)

/* -- keys -- */

static const struct field_word minors_words[] = { { "refused", 0 },
                                                  { "parental", 1 },
                                                  { NULL, 0 } };

static const struct field purpose_fields[] = {
    { "version", FIELD_TEXT, .required = true, FIELD_AT(struct policy_consent, version),
      .max = WORD_MAX },
    { "valid", FIELD_DURATION, .required = true, FIELD_AT(struct policy_consent, valid_ms),
      .min = 60 * 1000, .max = 3650 * DAY },
    { "minors", FIELD_WORD, FIELD_AT(struct policy_consent, is_parental), .words = minors_words },
};
static const struct field_shape purpose_shape = {
    .what = "a purpose of consent",
    .size = sizeof(struct policy_consent),
    FIELDS(purpose_fields),
    .key_offset = offsetof(struct policy_consent, name),
    .line_offset = offsetof(struct policy_consent, line),
};

static const struct field recorder_fields[] = {
    { "service", FIELD_REFERENCE, .required = true, .width = sizeof(struct policy_actor *),
      .target = TARGET_ACTOR },
};
static const struct field_shape recorder_shape = { .what = "the name of a service",
                                                   .size = sizeof(struct policy_actor *),
                                                   FIELDS(recorder_fields),
                                                   .short_form = "service",
                                                   .line_offset = FIELD_NO_LINE };

static void read_signers(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    struct policy_consents *c = record;
    c->has_signers = true;
    policy_people_read(r, at, node, &c->signers);
}

static const struct field consents_fields[] = {
    { "recorded_by", FIELD_LIST, ARRAY_AT(struct policy_consents, recorders, recorder_count),
      .may_be_empty = true, .max = RECORDERS_MAX, .shape = &recorder_shape },
    { "signed_by", FIELD_OTHER, .read = read_signers },
    { "purposes", FIELD_MAP, .required = true,
      ARRAY_AT(struct policy_consents, purposes, purpose_count), .max = CONSENT_PURPOSES_MAX,
      .shape = &purpose_shape },
};
static const struct field_shape consents_shape = { .what = "what persons may consent to",
                                                   FIELDS(consents_fields) };
static const struct field consents_field = { "consents", FIELD_SECTION, .shape = &consents_shape };

void policy_consents_read(struct field_reader *r, const struct field_at *at,
                          const struct yaml_node *node, void *record)
{
    struct policy *p = record;
    p->consents->line = node->line;
    field_read_value(r, at, &consents_field, node, p->consents);
}

/* -- names -- */

void policy_consents_resolve(struct field_reader *r, const struct policy *p)
{
    const struct policy_consents *c = p->consents;
    const char **names = arena_alloc(r->scratch, c->purpose_count + 1, sizeof(*names));
    if (names == NULL) {
        r->no_memory = true;
        return;
    }
    for (size_t i = 0; i < c->purpose_count; i++)
        names[i] = c->purposes[i].name;
    field_resolve(r, TARGET_CONSENT, "a purpose of consent", names, c->purpose_count, c->purposes,
                  sizeof(*c->purposes));
}

/* -- together -- */

/* It stands in the public log. */
static void check_version(struct field_reader *r, const struct policy_consent *c)
{
    for (const char *at = c->version != NULL ? c->version : ""; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~' || *at == '"' || *at == '\\') {
            field_wrong(r, NULL, field_line_of(r, &c->version),
                        "consents.purposes.%s.version: expected printable ASCII without blanks, "
                        "quotes and backslashes, such as 2026-03",
                        c->name);
            return;
        }
}

static void check_signers(struct field_reader *r, const struct policy *p)
{
    const struct policy_people *who = &p->consents->signers;
    size_t listed = who->entity_count + who->department_count + who->actor_count, signing = 0;
    for (size_t i = 0; i < who->actor_count; i++)
        if (who->actors[i] != NULL && who->actors[i]->kind == ACTOR_SERVICE)
            field_wrong(
                r, NULL, field_line_of(r, &who->actors[i]),
                "consents.signed_by.actors: \"%s\" is a service; name it in \"recorded_by\"",
                who->actors[i]->name);
    if (listed == 0)
        field_wrong(r, NULL, p->consents->line,
                    "consents.signed_by: expected entities, departments or actors: not everybody "
                    "may say that somebody has consented");
    if (listed == 0 || r->wrong)
        return;
    for (size_t i = 0; i < p->actor_count; i++)
        signing += p->actors[i].kind == ACTOR_PERSON && !p->actors[i].suspended &&
                   seats_fit(who, &p->actors[i]);
    if (signing == 0)
        field_wrong(r, NULL, p->consents->line,
                    "consents.signed_by: nobody fits it who is not suspended");
}

static void check_ingest(struct field_reader *r, const struct policy_table *t)
{
    for (size_t i = 0; i < t->ingest_count; i++) {
        const struct policy_ingest *rule = &t->ingest[i];
        bool names_persons = t->subject_count > 0;
        for (size_t k = 0; k < t->subject_count; k++)
            names_persons = names_persons && t->subjects[k].through == NULL;
        if (rule->consent != NULL && !names_persons)
            field_wrong(r, NULL, rule->line,
                        "tables.%s.%s.ingest.%s: a row does not say by a key of its own whose "
                        "consent is meant: leave \"unless_consent\" out, or let \"subject\" name a "
                        "column of this table",
                        t->schema, t->name, rule->column);
    }
}

void policy_consents_check(struct field_reader *r, const struct policy *p)
{
    const struct policy_consents *c = p->consents;
    for (size_t i = 0; i < c->recorder_count; i++)
        if (c->recorders[i] != NULL && c->recorders[i]->kind != ACTOR_SERVICE)
            field_wrong(
                r, NULL, field_line_of(r, &c->recorders[i]),
                "consents.recorded_by: \"%s\" is no service; persons stand in \"signed_by\"",
                c->recorders[i]->name);
    if (c->line != 0 && c->recorder_count == 0 && !c->has_signers)
        field_wrong(r, NULL, c->line,
                    "consents: nobody could ever record one: name services in \"recorded_by\" or "
                    "persons in \"signed_by\"");
    for (size_t i = 0; i < c->purpose_count; i++)
        check_version(r, &c->purposes[i]);
    if (c->has_signers)
        check_signers(r, p);
    for (size_t i = 0; i < p->table_count; i++)
        check_ingest(r, &p->tables[i]);
}

/* -- look-ups -- */

bool policy_consent_is(const struct policy_consent *c, const char *text)
{
    size_t len = strlen(c->name);
    return strncmp(text, c->name, len) == 0 && text[len] == ' ' &&
           strcmp(text + len + 1, c->version) == 0;
}

const struct policy_consent *policy_consent_find(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->consents->purpose_count; i++)
        if (strcmp(p->consents->purposes[i].name, name) == 0)
            return &p->consents->purposes[i];
    return NULL;
}

bool policy_consent_signs(const struct policy *p, const struct policy_region *region,
                          const struct policy_actor *actor, bool is_from_home)
{
    return p->consents->has_signers && actor != NULL && actor->kind == ACTOR_PERSON &&
           !actor->suspended && is_from_home && policy_is_home(region, actor->place) &&
           seats_fit(&p->consents->signers, actor);
}
