#include "policy/policy_grants.h"

#include <stdio.h>
#include <string.h>

#include "policy/arena.h"
#include "policy/policy_check.h"
#include "policy/quantity.h"
#include "policy/seats.h"

enum {
    RULES_MAX = 200,
    PEOPLE_MAX = 300,
    AUTHORITIES_MAX = 300,
    AUTHORITY_MAX = 512, /* as long as a signed command can say it */
    SENSITIVE_MAX = 20000,
    HONEY_MAX = 1000,
    BOUND_MAX = 64, /* purposes; persons as many as are sensitive */
    HASH_LEN = 64,
    GLASS_SUBJECTS = 5,
    GLASS_OPEN_MAX = 100,
    BUDGET_BYTES_MIN = 1024,
    SUBJECTS_PER_DAY_MAX = 1000000,
    REQUEST_SUBJECTS = 100 /* as many as one request can name */
};

#define BUDGET_ROWS_MAX  INT64_C(1000000000000)
#define BUDGET_BYTES_MAX (INT64_C(1) << 50)

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define ARRAY_AT(type, member, count) FIELD_AT(type, member), .count_offset = offsetof(type, count)
#define FIELDS(table)                 .fields = table, .field_count = RF_COUNT(table)

static char break_glass_name[] = "break-glass";

const struct policy_grants policy_grants_initial = {
    .opened_by = GRANTS_BY_SIGNATURES,
    .request_age_ms = DAY,
    .approval_age_ms = HOUR,
    .break_glass = { .name = break_glass_name, .subjects = GLASS_SUBJECTS, .duration_ms = HOUR },
    .review_ms = DAY,
    .glass_open_at_most = 1,
    .finds_per_day = 20,
    .hold_ms = 90 * DAY,
    .traces_per_day = 20,
};

/* -- people -- */

static const struct field entity_fields[] = {
    { "entity", FIELD_REFERENCE, .required = true, .width = sizeof(struct policy_entity *),
      .target = TARGET_ENTITY },
};
const struct field_shape policy_entity_name_shape = { .what = "the name of an entity",
                                                      .size = sizeof(struct policy_entity *),
                                                      FIELDS(entity_fields),
                                                      .short_form = "entity",
                                                      .line_offset = FIELD_NO_LINE };

static const struct field department_fields[] = {
    { "department", FIELD_REFERENCE_NAME, .required = true, .width = sizeof(char *),
      .target = TARGET_DEPARTMENT },
};
const struct field_shape policy_department_name_shape = { .what = "the name of a department",
                                                          .size = sizeof(char *),
                                                          FIELDS(department_fields),
                                                          .short_form = "department",
                                                          .line_offset = FIELD_NO_LINE };

static const struct field actor_fields[] = {
    { "actor", FIELD_REFERENCE, .required = true, .width = sizeof(struct policy_actor *),
      .target = TARGET_ACTOR },
};
static const struct field_shape actor_shape = { .what = "the name of an actor",
                                                .size = sizeof(struct policy_actor *),
                                                FIELDS(actor_fields),
                                                .short_form = "actor",
                                                .line_offset = FIELD_NO_LINE };

/* The lists of a struct policy_people that is MEMBER of TYPE. */
#define PEOPLE(type, member)                                                     \
    {                                                                            \
        "entities",                                                              \
        FIELD_LIST,                                                              \
        ARRAY_AT(type, member.entities, member.entity_count),                    \
        .may_be_empty = true,                                                    \
        .max = PEOPLE_MAX,                                                       \
        .shape = &policy_entity_name_shape                                       \
    },                                                                           \
        { "departments",                                                         \
          FIELD_LIST,                                                            \
          ARRAY_AT(type, member.departments, member.department_count),           \
          .may_be_empty = true,                                                  \
          .max = PEOPLE_MAX,                                                     \
          .shape = &policy_department_name_shape },                              \
    {                                                                            \
        "actors", FIELD_LIST, ARRAY_AT(type, member.actors, member.actor_count), \
            .may_be_empty = true, .max = PEOPLE_MAX, .shape = &actor_shape       \
    }

static const struct field_word from_words[] = { { "home", 0 }, { "anywhere", 1 }, { NULL, 0 } };

static const struct field approvers_fields[] = {
    { "count", FIELD_INTEGER, FIELD_AT(struct policy_approvers, count), .min = 1,
      .max = SEATS_COUNT_MAX },
    PEOPLE(struct policy_approvers, who),
};
static const struct policy_approvers approvers_initial = { .count = 1 };
static const struct field_shape approvers_shape = {
    .what = "a group of approvers",
    .size = sizeof(struct policy_approvers),
    FIELDS(approvers_fields),
    .initial = &approvers_initial,
    .line_offset = offsetof(struct policy_approvers, line),
};

/* Lists of people that stand in other parts of the file. */
struct people_alone {
    struct policy_people who;
};
static const struct field people_fields[] = { PEOPLE(struct people_alone, who) };
static const struct field_shape people_shape = { .what = "some of the persons",
                                                 FIELDS(people_fields) };
static const struct field people_field = { "people", FIELD_SECTION, .shape = &people_shape };

void policy_people_read(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, struct policy_people *ret)
{
    field_read_value(r, at, &people_field, node, ret); /* the only member of people_alone */
}

/* -- purposes and classes -- */

static const struct field purpose_fields[] = {
    { "purpose", FIELD_REFERENCE_NAME, .required = true, .width = sizeof(char *),
      .target = TARGET_PURPOSE },
};
static const struct field_shape purpose_shape = { .what = "a purpose",
                                                  .size = sizeof(char *),
                                                  FIELDS(purpose_fields),
                                                  .short_form = "purpose",
                                                  .line_offset = FIELD_NO_LINE };

static const struct field_word class_words[] = {
    { "identity", CLASS_IDENTITY }, { "contact", CLASS_CONTACT }, { "location", CLASS_LOCATION },
    { "activity", CLASS_ACTIVITY }, { "graph", CLASS_GRAPH },     { "content", CLASS_CONTENT },
    { "payment", CLASS_PAYMENT },   { "child", CLASS_CHILD },     { NULL, 0 }
};

static void add_classes(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, uint32_t *bits)
{
    char found[FIELD_FOUND_MAX];
    size_t index = 0;
    if (node->kind != YAML_LIST || node->count == 0) {
        field_wrong(r, at, node->line, "expected a list of classes, found %s",
                    node->kind == YAML_LIST ? "none" : field_found(node, found));
        return;
    }
    for (const struct yaml_node *one = node->first; one != NULL; one = one->next, index++) {
        struct field_at here = { .up = at, .index = index };
        int64_t which;
        if (one->kind != YAML_REFUSED && field_read_word(r, &here, class_words, one, &which))
            *bits |= 1U << which;
    }
}

static void read_classes(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    struct policy_grant_rule *rule = record;
    add_classes(r, at, node, &rule->classes);
}

/* -- rules -- */

static const struct field_word minors_words[] = { { "refused", 0 }, { "allowed", 1 }, { NULL, 0 } };
static const struct field_word reference_words[] = { { "required", 0 },
                                                     { "optional", 1 },
                                                     { NULL, 0 } };

static const struct field ask_fields[] = {
    PEOPLE(struct policy_grant_rule, ask),
    { "from", FIELD_WORD, FIELD_AT(struct policy_grant_rule, ask.anywhere), .words = from_words },
};
static const struct field_shape ask_shape = { .what = "who may ask", FIELDS(ask_fields) };

static const struct field budget_fields[] = {
    { "rows", FIELD_INTEGER, FIELD_AT(struct policy_grant_rule, budget_rows), .min = 1,
      .max = BUDGET_ROWS_MAX },
    { "bytes", FIELD_SIZE, FIELD_AT(struct policy_grant_rule, budget_bytes),
      .min = BUDGET_BYTES_MIN, .max = BUDGET_BYTES_MAX },
};
static const struct field_shape budget_shape = { .what = "what one grant may release",
                                                 FIELDS(budget_fields) };
static const struct field budget_field = { "budget", FIELD_SECTION, .shape = &budget_shape };

static void read_budget(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record)
{
    struct policy_grant_rule *rule = record;
    rule->budget_line = node->line;
    field_read_value(r, at, &budget_field, node, rule);
}

static void read_glass_budget(struct field_reader *r, const struct field_at *at,
                              const struct yaml_node *node, void *record)
{
    struct policy_grants *g = record;
    read_budget(r, at, node, &g->break_glass);
}

static const struct field rule_fields[] = {
    { "purposes", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_grant_rule, purposes, purpose_count), .max = 64,
      .shape = &purpose_shape },
    { "classes", FIELD_OTHER, .required = true, .read = read_classes },
    { "ask", FIELD_SECTION, .required = true, .shape = &ask_shape },
    { "subjects", FIELD_INTEGER, .required = true, FIELD_AT(struct policy_grant_rule, subjects),
      .min = 1, .max = REQUEST_SUBJECTS },
    { "duration", FIELD_DURATION, .required = true, FIELD_AT(struct policy_grant_rule, duration_ms),
      .min = MINUTE, .max = 31 * DAY },
    { "minors", FIELD_WORD, FIELD_AT(struct policy_grant_rule, minors_allowed),
      .words = minors_words },
    { "reference", FIELD_WORD, FIELD_AT(struct policy_grant_rule, reference_optional),
      .words = reference_words },
    { "budget", FIELD_OTHER, .read = read_budget },
    { "approvers", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_grant_rule, approvers, approver_count), .max = SEATS_GROUPS_MAX,
      .shape = &approvers_shape },
    { "consent", FIELD_REFERENCE, FIELD_AT(struct policy_grant_rule, consent),
      .target = TARGET_CONSENT },
};
static const struct field_shape rule_shape = {
    .what = "a rule for grants",
    .size = sizeof(struct policy_grant_rule),
    FIELDS(rule_fields),
    .key_offset = offsetof(struct policy_grant_rule, name),
    .line_offset = offsetof(struct policy_grant_rule, line),
};

/* -- break-glass: narrower than any rule -- */

static void read_glass_classes(struct field_reader *r, const struct field_at *at,
                               const struct yaml_node *node, void *record)
{
    struct policy_grants *g = record;
    add_classes(r, at, node, &g->break_glass.classes);
}

static const struct field glass_ask_fields[] = {
    PEOPLE(struct policy_grants, break_glass.ask),
};
static const struct field_shape glass_ask_shape = { .what = "who may break the glass",
                                                    FIELDS(glass_ask_fields) };

static const struct field glass_fields[] = {
    { "purposes", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_grants, break_glass.purposes, break_glass.purpose_count), .max = 64,
      .shape = &purpose_shape },
    { "classes", FIELD_OTHER, .required = true, .read = read_glass_classes },
    { "ask", FIELD_SECTION, .required = true, .shape = &glass_ask_shape },
    { "subjects", FIELD_INTEGER, FIELD_AT(struct policy_grants, break_glass.subjects), .min = 1,
      .max = GLASS_SUBJECTS },
    { "duration", FIELD_DURATION, FIELD_AT(struct policy_grants, break_glass.duration_ms),
      .min = MINUTE, .max = HOUR },
    { "minors", FIELD_WORD, FIELD_AT(struct policy_grants, break_glass.minors_allowed),
      .words = minors_words },
    { "reference", FIELD_WORD, FIELD_AT(struct policy_grants, break_glass.reference_optional),
      .words = reference_words },
    { "budget", FIELD_OTHER, .read = read_glass_budget },
    { "review", FIELD_DURATION, FIELD_AT(struct policy_grants, review_ms), .min = MINUTE,
      .max = DAY },
    { "open_at_most", FIELD_INTEGER, FIELD_AT(struct policy_grants, glass_open_at_most), .min = 1,
      .max = GLASS_OPEN_MAX },
    { "reviewers", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_grants, break_glass.approvers, break_glass.approver_count),
      .max = SEATS_GROUPS_MAX, .shape = &approvers_shape },
};
static const struct field_shape glass_shape = { .what = "break-glass", FIELDS(glass_fields) };
static const struct field glass_field = { "break_glass", FIELD_SECTION, .shape = &glass_shape };

static void read_glass(struct field_reader *r, const struct field_at *at,
                       const struct yaml_node *node, void *record)
{
    struct policy_grants *g = record;
    g->has_break_glass = true;
    g->break_glass.line = node->line;
    field_read_value(r, at, &glass_field, node, g);
}

/* -- find -- */

/* SCHEMA.TABLE.COLUMN. */
static void read_column(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record)
{
    struct policy_finder *f = record;
    char found[FIELD_FOUND_MAX];
    char *copy =
        node->kind == YAML_TEXT ? arena_strndup(r->arena, node->text, strlen(node->text)) : NULL;
    char *table = copy != NULL ? strchr(copy, '.') : NULL;
    char *column = table != NULL ? strchr(table + 1, '.') : NULL;
    r->no_memory |= node->kind == YAML_TEXT && copy == NULL;
    if (column != NULL) {
        *table++ = '\0';
        *column++ = '\0';
        if (quantity_is_sql_name(copy) && quantity_is_sql_name(table) &&
            quantity_is_sql_name(column)) {
            f->schema = copy;
            f->table = table;
            f->column = column;
            return;
        }
    }
    field_wrong(r, at, node->line, "expected SCHEMA.TABLE.COLUMN, found %s",
                field_found(node, found));
}

static const struct field finder_fields[] = {
    { "column", FIELD_OTHER, .required = true, .read = read_column },
};
static const struct field_shape finder_shape = {
    .what = "a column as SCHEMA.TABLE.COLUMN",
    .size = sizeof(struct policy_finder),
    FIELDS(finder_fields),
    .short_form = "column",
    .key_offset = offsetof(struct policy_finder, by),
    .line_offset = offsetof(struct policy_finder, line),
};

static const struct field find_fields[] = {
    { "by", FIELD_MAP, .required = true, ARRAY_AT(struct policy_grants, finders, finder_count),
      .max = 3, .shape = &finder_shape },
    { "per_day", FIELD_INTEGER, FIELD_AT(struct policy_grants, finds_per_day), .min = 1,
      .max = 10000 },
};
static const struct field_shape find_shape = { .what = "how persons are found",
                                               FIELDS(find_fields) };

/* -- sensitive persons, refused authorities -- */

static void read_hash(struct field_reader *r, const struct field_at *at,
                      const struct yaml_node *node, void *record)
{
    bool good = node->kind == YAML_TEXT && strlen(node->text) == HASH_LEN &&
                strspn(node->text, "0123456789abcdef") == HASH_LEN;
    char *kept = good ? arena_strndup(r->arena, node->text, HASH_LEN) : NULL;
    *(char **)record = kept;
    r->no_memory |= good && kept == NULL;
    if (!good) /* what was found is not repeated: it may be somebody's key, put here unhashed */
        field_wrong(r, at, node->line,
                    "expected a SHA-256 as 64 hexadecimal digits, in lower case");
}

static const struct field hash_fields[] = {
    { "hash", FIELD_OTHER, .required = true, .read = read_hash },
};
static const struct field_shape hash_shape = { .what = "a SHA-256",
                                               .size = sizeof(char *),
                                               FIELDS(hash_fields),
                                               .short_form = "hash",
                                               .line_offset = FIELD_NO_LINE };

static const struct field sensitive_fields[] = {
    { "subjects", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_grants, sensitive, sensitive_count), .max = SENSITIVE_MAX,
      .shape = &hash_shape },
    { "approvers", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_grants, sensitive_approvers, sensitive_approver_count),
      .max = SEATS_GROUPS_MAX, .shape = &approvers_shape },
};
static const struct field_shape sensitive_shape = { .what = "the register of sensitive persons",
                                                    FIELDS(sensitive_fields) };

static const struct field bound_fields[] = {
    { "subjects", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_bound, subjects, subject_count), .max = SENSITIVE_MAX,
      .shape = &hash_shape },
};
static const struct field_shape bound_shape = {
    .what = "whom a purpose is for",
    .size = sizeof(struct policy_bound),
    FIELDS(bound_fields),
    .key_offset = offsetof(struct policy_bound, purpose),
    .line_offset = offsetof(struct policy_bound, line),
};

static const struct field denials_fields[] = {
    { "per_day", FIELD_INTEGER, .required = true, FIELD_AT(struct policy_grants, denials_per_day),
      .min = 1, .max = 10000 },
};
static const struct field_shape denials_shape = { .what = "how many refusals suspend",
                                                  FIELDS(denials_fields) };

static const struct field_word told_words[] = { { "on", 0 }, { "off", 1 }, { NULL, 0 } };
static const struct field notices_fields[] = {
    { "to_subjects", FIELD_WORD, FIELD_AT(struct policy_grants, is_silent), .words = told_words },
    { "hold", FIELD_DURATION, FIELD_AT(struct policy_grants, hold_ms), .min = MINUTE,
      .max = 366 * DAY },
};
static const struct field_shape notices_shape = { .what = "what persons are told",
                                                  FIELDS(notices_fields) };
static const struct field_word times_words[] = { { "off", 0 }, { "on", 1 }, { NULL, 0 } };
static const struct field marks_fields[] = {
    { "times", FIELD_WORD, FIELD_AT(struct policy_grants, marks_times), .words = times_words },
    { "per_day", FIELD_INTEGER, FIELD_AT(struct policy_grants, traces_per_day), .min = 1,
      .max = 10000 },
};
static const struct field_shape marks_shape = { .what = "what of a grant's values can be traced",
                                                FIELDS(marks_fields) };

static const struct field authority_fields[] = {
    { "authority", FIELD_TEXT, .required = true, .width = sizeof(char *), .max = AUTHORITY_MAX },
};
static const struct field_shape authority_shape = { .what = "the name of an authority",
                                                    .size = sizeof(char *),
                                                    FIELDS(authority_fields),
                                                    .short_form = "authority",
                                                    .line_offset = FIELD_NO_LINE };

/* -- the whole -- */

static const struct field_word opened_by_words[] = { { "signatures", GRANTS_BY_SIGNATURES },
                                                     { "administrator", GRANTS_BY_ADMINISTRATOR },
                                                     { NULL, 0 } };
static const struct field_word chain_words[] = { { "excluded", 0 }, { "allowed", 1 }, { NULL, 0 } };
static const struct field_word department_words[] = { { "other", 0 }, { "any", 1 }, { NULL, 0 } };

static const struct field approving_fields[] = {
    { "from", FIELD_WORD, FIELD_AT(struct policy_grants, approvers_anywhere), .words = from_words },
    { "chain", FIELD_WORD, FIELD_AT(struct policy_grants, chain_allowed), .words = chain_words },
    { "department", FIELD_WORD, FIELD_AT(struct policy_grants, department_any),
      .words = department_words },
};
static const struct field_shape approving_shape = { .what = "what holds for every approver",
                                                    FIELDS(approving_fields) };

static const struct field grants_fields[] = {
    { "opened_by", FIELD_WORD, FIELD_AT(struct policy_grants, opened_by),
      .words = opened_by_words },
    { "request_age", FIELD_DURATION, FIELD_AT(struct policy_grants, request_age_ms), .min = MINUTE,
      .max = 31 * DAY },
    { "approval_age", FIELD_DURATION, FIELD_AT(struct policy_grants, approval_age_ms),
      .min = MINUTE, .max = 31 * DAY },
    { "approvers", FIELD_SECTION, .shape = &approving_shape },
    { "rules", FIELD_MAP, ARRAY_AT(struct policy_grants, rules, rule_count), .max = RULES_MAX,
      .shape = &rule_shape },
    { "break_glass", FIELD_OTHER, .read = read_glass },
    { "find", FIELD_SECTION, .shape = &find_shape },
    { "refused_authorities", FIELD_LIST,
      ARRAY_AT(struct policy_grants, refused_authorities, refused_authority_count),
      .may_be_empty = true, .max = AUTHORITIES_MAX, .shape = &authority_shape },
    { "sensitive", FIELD_SECTION, .shape = &sensitive_shape },
    { "bound", FIELD_MAP, ARRAY_AT(struct policy_grants, bound, bound_count), .may_be_empty = true,
      .max = BOUND_MAX, .shape = &bound_shape },
    { "honey", FIELD_LIST, ARRAY_AT(struct policy_grants, honey, honey_count), .may_be_empty = true,
      .max = HONEY_MAX, .shape = &hash_shape },
    { "denials", FIELD_SECTION, .shape = &denials_shape },
    { "notices", FIELD_SECTION, .shape = &notices_shape },
    { "marks", FIELD_SECTION, .shape = &marks_shape },
    { "subjects_per_day", FIELD_INTEGER, FIELD_AT(struct policy_grants, subjects_per_day), .min = 1,
      .max = SUBJECTS_PER_DAY_MAX },
};
static const struct field_shape grants_shape = { .what = "who may see somebody by name",
                                                 FIELDS(grants_fields) };
static const struct field grants_field = { "grants", FIELD_SECTION, .shape = &grants_shape };

void policy_grants_read(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record)
{
    struct policy *p = record;
    field_read_value(r, at, &grants_field, node, p->grants);
}
