/* policy_read.c - the keys of a policy file, as tables for the walker of field.c. */
#include "policy/policy.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "policy/arena.h"
#include "policy/field.h"
#include "policy/mistakes.h"
#include "policy/policy_alerts.h"
#include "policy/policy_check.h"
#include "policy/policy_consents.h"
#include "policy/policy_grants.h"
#include "policy/policy_ingest.h"
#include "policy/policy_keys.h"
#include "policy/policy_publication.h"
#include "policy/policy_signers.h"

enum {
    MANY = 20000,
    SOME = 2000,
    FEW = 300,
    COLUMNS_MAX = 1600,
    TEXT_MAX = 100,
    VALUE_MAX = 200,
    EXPRESSION_MAX = 1000,
    SUBJECTS_MAX = 8,
    DAYS_MAX = 36500
};

/* The plain value and the memory behind it. */
struct policy_owned {
    struct policy policy;
    struct policy_grants grants;
    struct policy_alerts alerts;
    struct policy_consents consents;
    struct arena arena;
};

#define ARRAY_AT(type, member, count) FIELD_AT(type, member), .count_offset = offsetof(type, count)
#define FIELDS(table)                 .fields = table, .field_count = RF_COUNT(table)

/* -- words -- */

static const struct field_word kind_words[] = { { "person", ACTOR_PERSON },
                                                { "service", ACTOR_SERVICE },
                                                { NULL, 0 } };
static const struct field_word room_words[] = {
    { "masked", ROOM_MASKED }, { "stats", ROOM_STATS }, { "none", ROOM_NONE }, { NULL, 0 }
};
static const struct field_word truth_words[] = { { "true", 1 }, { "false", 0 }, { NULL, 0 } };
static const struct field_word function_words[] = { { "allowed", 0 },
                                                    { "listed", 1 },
                                                    { NULL, 0 } };
static const struct field_word accept_words[] = { { "accept", 1 }, { NULL, 0 } };
static const struct field_word access_words[] = { { "read", TABLE_READ },
                                                  { "write", TABLE_WRITE },
                                                  { NULL, 0 } };
static const struct field_word version_words[] = { { "1", 1 }, { NULL, 0 } };
static const struct field_word class_words[] = {
    { "none", CLASS_NOTHING },      { "identity", CLASS_IDENTITY },
    { "contact", CLASS_CONTACT },   { "location", CLASS_LOCATION },
    { "activity", CLASS_ACTIVITY }, { "graph", CLASS_GRAPH },
    { "content", CLASS_CONTENT },   { "payment", CLASS_PAYMENT },
    { "child", CLASS_CHILD },       { NULL, 0 }
};
static const struct field_word mask_words[] = { { "clear", MASK_CLEAR },
                                                { "pseudonym", MASK_PSEUDONYM },
                                                { "redact", MASK_REDACT },
                                                { "day", MASK_DAY },
                                                { "year", MASK_YEAR },
                                                { "coarse", MASK_COARSE },
                                                { "null", MASK_NULL },
                                                { "absent", MASK_ABSENT },
                                                { "month", MASK_MONTH },
                                                { "partial", MASK_PARTIAL },
                                                { "network", MASK_NETWORK },
                                                { "constant", MASK_CONSTANT },
                                                { "expression", MASK_EXPRESSION },
                                                { NULL, 0 } };
enum { CUT_MONTH = MASK_COUNT };
static const struct field_word cut_words[] = { { "day", MASK_DAY },
                                               { "month", CUT_MONTH },
                                               { "year", MASK_YEAR },
                                               { "coarse", MASK_COARSE },
                                               { NULL, 0 } };
static const struct field_word count_words[] = { { "count_rows", MEASURE_COUNT_ROWS },
                                                 { "count_subjects", MEASURE_COUNT_SUBJECTS },
                                                 { NULL, 0 } };
static const struct field_word purpose_words[] = {
    { "support_ticket", 0 },         { "abuse_report", 1 },         { "security_incident", 2 },
    { "legal_demand", 3 },           { "data_subject_request", 4 }, { "debugging", 5 },
    { "employee_investigation", 6 }, { "child_safety", 7 },         { NULL, 0 }
};

/* -- jurisdictions, regions, entities, networks -- */

static const struct field country_fields[] = {
    { "country", FIELD_PLACE, .required = true, .width = sizeof(struct place) },
};
static const struct field_shape country_shape = { .what = "a country code",
                                                  .size = sizeof(struct place),
                                                  FIELDS(country_fields),
                                                  .short_form = "country",
                                                  .line_offset = FIELD_NO_LINE };

static const struct field jurisdiction_fields[] = {
    { "countries", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_jurisdiction, countries, country_count), .max = FEW,
      .shape = &country_shape },
};
static const struct field_shape jurisdiction_shape = {
    .what = "a jurisdiction",
    .size = sizeof(struct policy_jurisdiction),
    FIELDS(jurisdiction_fields),
    .short_form = "countries",
    .key_offset = offsetof(struct policy_jurisdiction, name),
    .line_offset = FIELD_NO_LINE,
};

static const struct field region_fields[] = {
    { "jurisdiction", FIELD_REFERENCE, .required = true, FIELD_AT(struct policy_region, home),
      .target = TARGET_JURISDICTION },
    { "place", FIELD_PLACE, .required = true, FIELD_AT(struct policy_region, place) },
    { "persons_on_primary", FIELD_WORD, FIELD_AT(struct policy_region, persons_on_primary),
      .words = accept_words },
    { "functions", FIELD_WORD, FIELD_AT(struct policy_region, functions_listed),
      .words = function_words },
};
static const struct field_shape region_shape = {
    .what = "a region",
    .size = sizeof(struct policy_region),
    FIELDS(region_fields),
    .key_offset = offsetof(struct policy_region, name),
    .line_offset = FIELD_NO_LINE,
};

static const struct field entity_fields[] = {
    { "country", FIELD_PLACE, .required = true, FIELD_AT(struct policy_entity, country) },
};
/* No short form: an entity will say more than its country. */
static const struct field_shape entity_shape = {
    .what = "an entity",
    .size = sizeof(struct policy_entity),
    FIELDS(entity_fields),
    .key_offset = offsetof(struct policy_entity, name),
    .line_offset = FIELD_NO_LINE,
};

static const struct field network_fields[] = {
    { "address", FIELD_ADDRESS, .one_of = true, FIELD_AT(struct policy_network, range) },
    { "range", FIELD_RANGE, .one_of = true, FIELD_AT(struct policy_network, range) },
    { "place", FIELD_PLACE_OR_IDENTITY, .required = true, FIELD_AT(struct policy_network, place) },
};
static const struct field_shape network_shape = {
    .what = "a range of addresses",
    .size = sizeof(struct policy_network),
    FIELDS(network_fields),
    .key_offset = offsetof(struct policy_network, name),
    .line_offset = FIELD_NO_LINE,
};

static const struct field room_fields[] = {
    { "home", FIELD_WORD, FIELD_AT(struct policy, room_home), .words = room_words },
    { "abroad", FIELD_WORD, FIELD_AT(struct policy, room_abroad), .words = room_words },
};
static const struct field_shape rooms_shape = { .what = "the rooms", FIELDS(room_fields) };

static void read_purpose(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    int64_t which;
    if (!field_read_word(r, at, purpose_words, node, &which))
        return;
    const char *word = purpose_words[which].word;
    char *kept = arena_strndup(r->arena, word, strlen(word));
    if (kept == NULL)
        r->no_memory = true;
    *(char **)record = kept;
}

static const struct field purpose_fields[] = {
    { "purpose", FIELD_OTHER, .required = true, .read = read_purpose },
};
static const struct field_shape purpose_shape = { .what = "a purpose",
                                                  .size = sizeof(char *),
                                                  FIELDS(purpose_fields),
                                                  .short_form = "purpose",
                                                  .line_offset = FIELD_NO_LINE };

/* -- actors -- */

static const struct field service_table_fields[] = {
    { "access", FIELD_WORD, .required = true, FIELD_AT(struct policy_service_table, access),
      .words = access_words },
};
static const struct field_shape service_table_shape = {
    .what = "a table of this policy",
    .size = sizeof(struct policy_service_table),
    FIELDS(service_table_fields),
    .short_form = "access",
    .key = KEY_TABLE,
    .key_offset = offsetof(struct policy_service_table, schema),
    .table_offset = offsetof(struct policy_service_table, table),
    .line_offset = FIELD_NO_LINE,
    .target = TARGET_TABLE,
};

static const struct field all_tables_field = { "tables", FIELD_WORD,
                                               FIELD_AT(struct policy_service_access, all_tables),
                                               .words = access_words };
static const struct field some_tables_field = {
    "tables", FIELD_MAP, ARRAY_AT(struct policy_service_access, tables, table_count), .max = SOME,
    .shape = &service_table_shape
};

/* `write` for all tables, or a map of tables. */
static void read_service_tables(struct field_reader *r, const struct field_at *at,
                                const struct yaml_node *node, void *record)
{
    field_read_value(r, at, node->kind == YAML_TEXT ? &all_tables_field : &some_tables_field, node,
                     record);
}

static const struct field access_fields[] = {
    { "from", FIELD_LIST, .required = true,
      ARRAY_AT(struct policy_service_access, from, from_count), .max = FEW,
      .shape = &country_shape },
    { "tables", FIELD_OTHER, .required = true, .read = read_service_tables },
};
static const struct field_shape access_shape = {
    .what = "a region that a service may use",
    .size = sizeof(struct policy_service_access),
    FIELDS(access_fields),
    .key = KEY_REFERENCE,
    .key_offset = offsetof(struct policy_service_access, region),
    .line_offset = FIELD_NO_LINE,
    .target = TARGET_REGION,
};

static const struct field actor_fields[] = {
    { "kind", FIELD_WORD, .required = true, FIELD_AT(struct policy_actor, kind),
      .words = kind_words },
    { "entity", FIELD_REFERENCE, .required = true, FIELD_AT(struct policy_actor, entity),
      .target = TARGET_ENTITY },
    { "place", FIELD_PLACE, .required = true, FIELD_AT(struct policy_actor, place) },
    { "department", FIELD_NAME, FIELD_AT(struct policy_actor, department) },
    { "manager", FIELD_REFERENCE_NAME, FIELD_AT(struct policy_actor, manager),
      .target = TARGET_ACTOR },
    { "certificate", FIELD_TEXT, FIELD_AT(struct policy_actor, certificate_cn), .max = 64 },
    { "suspended", FIELD_WORD, FIELD_AT(struct policy_actor, suspended), .words = truth_words },
    { "keys", FIELD_LIST, ARRAY_AT(struct policy_actor, keys, key_count), .max = POLICY_KEYS_MAX,
      .shape = &policy_key_shape },
    { "regions", FIELD_MAP, ARRAY_AT(struct policy_actor, access, access_count), .max = FEW,
      .shape = &access_shape },
};
static const struct field_shape actor_shape = {
    .what = "an actor",
    .size = sizeof(struct policy_actor),
    FIELDS(actor_fields),
    .key_offset = offsetof(struct policy_actor, name),
    .line_offset = FIELD_NO_LINE,
};

/* -- tables -- */

static const struct field keep_field = { "keep", FIELD_INTEGER,
                                         FIELD_AT(struct policy_column, keep), .min = 1,
                                         .max = 24 };
static const struct field_word domain_words[] = { { "domain", KEEP_DOMAIN }, { NULL, 0 } };

/* A number of characters or bits, or the word `domain`. */
static void read_keep(struct field_reader *r, const struct field_at *at,
                      const struct yaml_node *node, void *record)
{
    struct policy_column *c = record;
    bool is_number = node->kind == YAML_TEXT && node->text[0] >= '0' && node->text[0] <= '9';
    if (is_number)
        field_read_value(r, at, &keep_field, node, record);
    else
        (void)field_read_word(r, at, domain_words, node, &c->keep);
}

static const struct field column_fields[] = {
    { "class", FIELD_WORD, .required = true, FIELD_AT(struct policy_column, class_id),
      .words = class_words },
    { "mask", FIELD_WORD, FIELD_AT(struct policy_column, mask), .words = mask_words },
    { "domain", FIELD_NAME, FIELD_AT(struct policy_column, domain) },
    { "step", FIELD_INTEGER, FIELD_AT(struct policy_column, step), .min = 2, .max = 1000000000 },
    { "keep", FIELD_OTHER, .read = read_keep },
    { "value", FIELD_TEXT, FIELD_AT(struct policy_column, value), .max = VALUE_MAX },
    { "sql", FIELD_TEXT, FIELD_AT(struct policy_column, sql), .max = EXPRESSION_MAX },
};
static const struct field_shape column_shape = {
    .what = "a column",
    .size = sizeof(struct policy_column),
    FIELDS(column_fields),
    .short_form = "class",
    .key = KEY_SQL_NAME,
    .key_offset = offsetof(struct policy_column, name),
    .line_offset = offsetof(struct policy_column, line),
};

static const struct field subject_fields[] = {
    { "column", FIELD_SQL_NAME, .required = true, FIELD_AT(struct policy_subject, column) },
    { "through", FIELD_REFERENCE, FIELD_AT(struct policy_subject, through),
      .target = TARGET_TABLE },
    { "key", FIELD_SQL_NAME, FIELD_AT(struct policy_subject, key) },
};
static const struct field_shape subject_shape = {
    .what = "a subject",
    .size = sizeof(struct policy_subject),
    FIELDS(subject_fields),
    .short_form = "column",
    .line_offset = offsetof(struct policy_subject, line),
};
static const struct field one_subject_field = { "subject", FIELD_SECTION, .shape = &subject_shape };
static const struct field subjects_field = { "subjects", FIELD_LIST,
                                             ARRAY_AT(struct policy_table, subjects, subject_count),
                                             .max = SUBJECTS_MAX, .shape = &subject_shape };

static bool is_second_subject(struct field_reader *r, const struct field_at *at,
                              const struct yaml_node *node, const struct policy_table *t)
{
    if (t->subjects == NULL)
        return false;
    field_wrong(r, at, node->line,
                "expected \"subject\" or \"subjects\", found both; list all in \"subjects\"");
    return true;
}

static void read_subjects(struct field_reader *r, const struct field_at *at,
                          const struct yaml_node *node, void *record)
{
    if (!is_second_subject(r, at, node, record))
        field_read_value(r, at, &subjects_field, node, record);
}

/* The short form of a list of one. */
static void read_subject(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    struct policy_table *t = record;
    if (is_second_subject(r, at, node, t))
        return;
    t->subjects = arena_alloc(r->arena, 1, sizeof(*t->subjects));
    if (t->subjects == NULL) {
        r->no_memory = true;
        return;
    }
    t->subject_count = 1;
    t->subjects[0].line = node->line;
    field_read_value(r, at, &one_subject_field, node, &t->subjects[0]);
}

/* "90 days" or "90d": nothing shorter than a day, because midnight is all that a date tells. */
static void read_days(struct field_reader *r, const struct field_at *at,
                      const struct yaml_node *node, void *record)
{
    struct policy_table *t = record;
    char found[FIELD_FOUND_MAX], *end = NULL;
    long days = node->kind == YAML_TEXT && node->text[0] >= '1' && node->text[0] <= '9'
                    ? strtol(node->text, &end, 10)
                    : 0;
    bool has_unit = end != NULL && (strcmp(end, "d") == 0 || strcmp(end, " days") == 0 ||
                                    (days == 1 && strcmp(end, " day") == 0));
    if (has_unit && days >= 1 && days <= DAYS_MAX)
        t->retention_days = days;
    else
        field_wrong(r, at, node->line, "expected 1 to %d days, such as 90 days, found %s",
                    (int)DAYS_MAX, field_found(node, found));
}

static const struct field retention_fields[] = {
    { "column", FIELD_SQL_NAME, .required = true, FIELD_AT(struct policy_table, retention_column) },
    { "keep", FIELD_OTHER, .required = true, .read = read_days },
};
static const struct field_shape retention_shape = { .what = "a time to keep rows",
                                                    FIELDS(retention_fields) };
static const struct field_word kind_of_table_words[] = { { "table", 0 },
                                                         { "view", 1 },
                                                         { NULL, 0 } };

static const struct field table_fields[] = {
    { "kind", FIELD_WORD, FIELD_AT(struct policy_table, is_view), .words = kind_of_table_words },
    { "subject", FIELD_OTHER, .read = read_subject },
    { "subjects", FIELD_OTHER, .read = read_subjects },
    { "retention", FIELD_SECTION, .shape = &retention_shape },
    { "residency", FIELD_SQL_NAME, FIELD_AT(struct policy_table, residency) },
    { "birthdate", FIELD_SQL_NAME, FIELD_AT(struct policy_table, birthdate) },
    { "columns", FIELD_MAP, .required = true, ARRAY_AT(struct policy_table, columns, column_count),
      .max = COLUMNS_MAX, .shape = &column_shape },
    { "ingest", FIELD_MAP, ARRAY_AT(struct policy_table, ingest, ingest_count), .max = COLUMNS_MAX,
      .shape = &policy_ingest_shape },
};
static const struct field_shape table_shape = {
    .what = "a table",
    .size = sizeof(struct policy_table),
    FIELDS(table_fields),
    .key = KEY_TABLE,
    .key_offset = offsetof(struct policy_table, schema),
    .table_offset = offsetof(struct policy_table, name),
    .line_offset = offsetof(struct policy_table, line),
};

/* -- statistics -- */

static void read_cut(struct field_reader *r, const struct field_at *at,
                     const struct yaml_node *node, void *record)
{
    struct policy_dimension *d = record;
    int64_t cut;
    if (!field_read_word(r, at, cut_words, node, &cut))
        return;
    d->month = cut == CUT_MONTH;
    d->mask = d->month ? MASK_DAY : (enum mask_id)cut;
}

static const struct field dimension_fields[] = {
    { "column", FIELD_SQL_NAME, .required = true, FIELD_AT(struct policy_dimension, column) },
    { "cut", FIELD_OTHER, .read = read_cut },
    { "step", FIELD_INTEGER, FIELD_AT(struct policy_dimension, step), .min = 2, .max = 1000000000 },
};
static const struct policy_dimension dimension_initial = { .mask = MASK_CLEAR };
static const struct field_shape dimension_shape = {
    .what = "a dimension",
    .size = sizeof(struct policy_dimension),
    FIELDS(dimension_fields),
    .short_form = "column",
    .initial = &dimension_initial,
    .key = KEY_SQL_NAME,
    .key_offset = offsetof(struct policy_dimension, name),
    .line_offset = FIELD_NO_LINE,
};

static const struct field measure_column_field = { "column", FIELD_SQL_NAME,
                                                   FIELD_AT(struct policy_measure, column) };

/* `count_rows`, `count_subjects`, `{sum: COLUMN}` or `{avg: COLUMN}`. */
static void read_measure(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    struct policy_measure *m = record;
    int64_t what;
    if (node->kind == YAML_TEXT) {
        if (field_read_word(r, at, count_words, node, &what))
            m->what = (enum measure)what;
        return;
    }
    const struct yaml_node *column = node->kind == YAML_MAP ? node->first : NULL;
    bool sum = column != NULL && strcmp(column->key, "sum") == 0;
    bool avg = column != NULL && strcmp(column->key, "avg") == 0;
    if (node->count != 1 || (!sum && !avg)) {
        field_wrong(r, at, node->line,
                    "expected count_rows, count_subjects, {sum: COLUMN} or {avg: COLUMN}");
        return;
    }
    m->what = sum ? MEASURE_SUM : MEASURE_AVG;
    field_read_value(r, at, &measure_column_field, column, record);
}

static const struct field measure_fields[] = {
    { "measure", FIELD_OTHER, .required = true, .read = read_measure },
};
static const struct field_shape measure_shape = {
    .what = "a measure",
    .size = sizeof(struct policy_measure),
    FIELDS(measure_fields),
    .short_form = "measure",
    .key = KEY_SQL_NAME,
    .key_offset = offsetof(struct policy_measure, name),
    .line_offset = FIELD_NO_LINE,
};

static const struct field statistic_fields[] = {
    { "table", FIELD_REFERENCE, .required = true, FIELD_AT(struct policy_statistic, table),
      .target = TARGET_TABLE },
    { "dimensions", FIELD_MAP, ARRAY_AT(struct policy_statistic, dimensions, dimension_count),
      .max = 16, .shape = &dimension_shape },
    { "measures", FIELD_MAP, .required = true,
      ARRAY_AT(struct policy_statistic, measures, measure_count), .max = 64,
      .shape = &measure_shape },
    { "minimum", FIELD_INTEGER, .required = true, FIELD_AT(struct policy_statistic, minimum),
      .min = 5, .max = 1000000 },
};
static const struct field_shape statistic_shape = {
    .what = "a statistic",
    .size = sizeof(struct policy_statistic),
    FIELDS(statistic_fields),
    .key = KEY_SQL_NAME,
    .key_offset = offsetof(struct policy_statistic, name),
    .line_offset = offsetof(struct policy_statistic, line),
};

/* -- the file -- */

static void read_version(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    int64_t version;
    (void)record; /* there is one version; it says how to read the file, nothing about the rules */
    (void)field_read_word(r, at, version_words, node, &version);
}

static const struct field policy_fields[] = {
    { "version", FIELD_OTHER, .required = true, .read = read_version },
    { "company", FIELD_TEXT, .required = true, FIELD_AT(struct policy, company), .max = TEXT_MAX },
    { "adult_age", FIELD_INTEGER, FIELD_AT(struct policy, adult_age), .min = 13, .max = 25 },
    { "jurisdictions", FIELD_MAP, .required = true,
      ARRAY_AT(struct policy, jurisdictions, jurisdiction_count), .max = FEW,
      .shape = &jurisdiction_shape },
    { "regions", FIELD_MAP, .required = true, ARRAY_AT(struct policy, regions, region_count),
      .max = FEW, .shape = &region_shape },
    { "entities", FIELD_MAP, .required = true, ARRAY_AT(struct policy, entities, entity_count),
      .max = SOME, .shape = &entity_shape },
    { "listeners", FIELD_MAP, ARRAY_AT(struct policy, listeners, listener_count), .max = SOME,
      .shape = &network_shape },
    { "networks", FIELD_MAP, ARRAY_AT(struct policy, networks, network_count), .max = SOME,
      .shape = &network_shape },
    { "rooms", FIELD_SECTION, .shape = &rooms_shape },
    { "purposes", FIELD_LIST, ARRAY_AT(struct policy, purposes, purpose_count), .max = 64,
      .shape = &purpose_shape },
    { "actors", FIELD_MAP, .required = true, ARRAY_AT(struct policy, actors, actor_count),
      .max = MANY, .shape = &actor_shape },
    { "tables", FIELD_MAP, .required = true, ARRAY_AT(struct policy, tables, table_count),
      .max = SOME, .shape = &table_shape },
    { "statistics", FIELD_MAP, ARRAY_AT(struct policy, statistics, statistic_count), .max = SOME,
      .shape = &statistic_shape },
    { "publication", FIELD_SECTION, .shape = &publication_shape },
    { "release", FIELD_SECTION, .shape = &release_shape },
    { "grants", FIELD_OTHER, .read = policy_grants_read },
    { "alerts", FIELD_OTHER, .read = policy_alerts_read },
    { "signers", FIELD_SECTION, .shape = &policy_signers_shape },
    { "follows", FIELD_OTHER, .read = policy_follows_read },
    { "consents", FIELD_OTHER, .read = policy_consents_read },
};
static const struct field_shape policy_shape = { .what = "a policy", FIELDS(policy_fields) };
static const struct policy policy_initial = { .adult_age = 18,
                                              .room_home = ROOM_MASKED,
                                              .room_abroad = ROOM_STATS,
                                              .profile = PROFILE_PUBLIC,
                                              .signers = { .wait_ms =
                                                               INT64_C(24) * 60 * 60 * 1000 } };

/* Reads, resolves, checks; what is wrong is in the mistakes. */
static int read_policy(const char *name, const char *text, size_t len, struct policy_owned *owned,
                       struct arena *scratch, struct mistakes *mistakes)
{
    struct field_reader r = {
        .file = name, .arena = &owned->arena, .scratch = scratch, .mistakes = mistakes
    };
    const struct yaml_node *root;
    int rc = yaml_tree_read(name, text, len, scratch, &root, mistakes);
    if (root == NULL)
        return rc;
    field_read_root(&r, &policy_shape, root, &owned->policy);
    if (!r.no_memory)
        policy_check(&r, &owned->policy);
    if (!r.no_memory)
        policy_publication_check(&r, &owned->policy);
    if (!r.no_memory)
        policy_keys_check(&r, &owned->policy);
    if (!r.no_memory)
        policy_signers_check(&r, &owned->policy);
    if (!r.no_memory)
        policy_grants_check(&r, &owned->policy);
    if (!r.no_memory)
        policy_alerts_check(&r, &owned->policy);
    if (!r.no_memory)
        policy_consents_check(&r, &owned->policy);
    if (r.no_memory)
        return -RF_ENOMEM;
    return r.wrong ? -RF_ECONFIG : rc;
}

static int digest(const char *text, size_t len, uint8_t out[32])
{
    unsigned out_len = 0;
    if (EVP_Digest(text, len, out, &out_len, EVP_sha256(), NULL) != 1 || out_len != 32)
        return -RF_ENOMEM;
    return 0;
}

int policy_parse(const char *name, const char *text, size_t len, struct policy **ret_policy,
                 struct mistakes *mistakes)
{
    struct arena scratch;
    struct policy_owned *owned = mem_zalloc(1, sizeof(*owned));
    int rc = -RF_ENOMEM;
    arena_init(&scratch);
    if (owned == NULL)
        goto out;
    arena_init(&owned->arena);
    owned->policy = policy_initial;
    owned->grants = policy_grants_initial;
    owned->policy.grants = &owned->grants;
    owned->alerts = policy_alerts_initial;
    owned->policy.alerts = &owned->alerts;
    owned->policy.consents = &owned->consents;
    owned->policy.file = arena_strndup(&owned->arena, name, strlen(name));
    if (owned->policy.file == NULL)
        goto out;
    rc = digest(text, len, owned->policy.digest);
    if (rc == 0)
        rc = read_policy(name, text, len, owned, &scratch, mistakes);
    if (rc < 0)
        goto out;
    *ret_policy = &owned->policy;
    owned = NULL;
out:
    if (rc == -RF_ENOMEM)
        mistakes_add(mistakes, name, 0, "out of memory");
    policy_free(owned != NULL ? &owned->policy : NULL);
    arena_done(&scratch);
    return rc;
}

int policy_load(const char *path, struct policy **ret_policy, struct mistakes *mistakes)
{
    struct err err;
    char *text;
    size_t len;
    int rc = fd_read_file(path, YAML_BYTES_MAX, &text, &len, &err);
    if (rc < 0) {
        mistakes_add(mistakes, path, 0, "%s", err.line);
        return rc;
    }
    rc = policy_parse(path, text, len, ret_policy, mistakes);
    mem_free(text);
    return rc;
}

void policy_free(struct policy *p)
{
    if (p == NULL)
        return;
    struct policy_owned *owned = RF_OWNER(p, struct policy_owned, policy);
    arena_done(&owned->arena);
    mem_free(owned);
}
