/* The keys of `ingest` below a table:
 *
 *     lat: {coarsen: 0.1}              made a multiple of 0.1
 *     lon: {coarsen: 0.1, finer: refuse}
 *     ip: {network: [24, 48]}          bits of IPv4, bits of IPv6
 *     gps_raw: refuse                  short for {rule: refuse}
 *     note: null
 *     lat: {coarsen: 0.1, unless_consent: precise_location}
 *                                      any of them, but for rows of those who have consented
 */
#include "policy/policy_ingest.h"

#include <stdio.h>
#include <string.h>

#include "policy/field.h"
#include "policy/policy_check.h"
#include "policy/quantity.h"

enum { STEP_DIGITS = 6, STEP_MAX = 1000000 };

static const struct field_word rule_words[] = { { "refuse", INGEST_REFUSE },
                                                { "null", INGEST_NULL },
                                                { NULL, 0 } };
static const struct field_word finer_words[] = { { "coarsen", 0 }, { "refuse", 1 }, { NULL, 0 } };

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* "0.25" is 25 / 100; at most six digits behind the point, so that both stay whole and small. */
static bool read_decimal(const char *text, int64_t *ret_part, int64_t *ret_whole)
{
    char before[16] = "";
    const char *point = strchr(text, '.');
    size_t len = point != NULL ? (size_t)(point - text) : strlen(text);
    int64_t part, whole = 1;
    if (len >= sizeof(before))
        return false;
    (void)snprintf(before, sizeof(before), "%.*s", (int)len, text);
    if (!quantity_integer(before, &part) || part > STEP_MAX)
        return false;
    if (point != NULL && (point[1] == '\0' || strlen(point + 1) > STEP_DIGITS))
        return false;
    for (const char *at = point != NULL ? point + 1 : ""; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        part = part * 10 + (*at - '0');
        whole *= 10;
    }
    if (part == 0)
        return false;
    int64_t divisor = common_divisor(part, whole);
    *ret_part = part / divisor;
    *ret_whole = whole / divisor;
    return true;
}

static void read_coarsen(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    struct policy_ingest *rule = record;
    char found[FIELD_FOUND_MAX];
    rule->rule = INGEST_COARSEN;
    if (node->kind != YAML_TEXT || !read_decimal(node->text, &rule->part, &rule->whole))
        field_wrong(r, at, node->line,
                    "expected a step such as 0.1 or 500, with at most %d digits behind the point,"
                    " found %s",
                    (int)STEP_DIGITS, field_found(node, found));
}

static void read_network(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    struct policy_ingest *rule = record;
    char found[FIELD_FOUND_MAX];
    rule->rule = INGEST_NETWORK;
    const struct yaml_node *v4 = node->kind == YAML_LIST && node->count == 2 ? node->first : NULL;
    const struct yaml_node *v6 = v4 != NULL ? v4->next : NULL;
    bool is_right = v6 != NULL && v4->kind == YAML_TEXT && v6->kind == YAML_TEXT &&
                    quantity_integer(v4->text, &rule->bits_v4) && rule->bits_v4 < 32 &&
                    quantity_integer(v6->text, &rule->bits_v6) && rule->bits_v6 < 128;
    if (!is_right)
        field_wrong(r, at, node->line,
                    "expected the bits that stay, of IPv4 and of IPv6, such as [24, 48], found %s",
                    field_found(node, found));
}

static const struct field ingest_fields[] = {
    { "coarsen", FIELD_OTHER, .one_of = true, .read = read_coarsen },
    { "network", FIELD_OTHER, .one_of = true, .read = read_network },
    { "rule", FIELD_WORD, .one_of = true, FIELD_AT(struct policy_ingest, rule),
      .words = rule_words },
    { "finer", FIELD_WORD, FIELD_AT(struct policy_ingest, is_finer_refused), .words = finer_words },
    { "unless_consent", FIELD_REFERENCE, FIELD_AT(struct policy_ingest, consent),
      .target = TARGET_CONSENT },
};
const struct field_shape policy_ingest_shape = {
    .what = "a rule for what may come in",
    .size = sizeof(struct policy_ingest),
    .fields = ingest_fields,
    .field_count = RF_COUNT(ingest_fields),
    .short_form = "rule",
    .key = KEY_SQL_NAME,
    .key_offset = offsetof(struct policy_ingest, column),
    .line_offset = offsetof(struct policy_ingest, line),
};

static bool is_key(const struct policy_table *t, const char *column)
{
    const char *const keys[] = { t->subject, t->residency, t->birthdate, t->retention_column };
    for (size_t i = 0; i < RF_COUNT(keys); i++)
        if (keys[i] != NULL && strcmp(keys[i], column) == 0)
            return true;
    return false;
}

static void check_table(struct field_reader *r, const struct policy_table *t)
{
    for (size_t i = 0; i < t->ingest_count; i++) {
        const struct policy_ingest *rule = &t->ingest[i];
        bool has_steps = rule->rule == INGEST_COARSEN || rule->rule == INGEST_NETWORK;
        if (t->is_view)
            field_wrong(r, NULL, rule->line, "tables.%s.%s.ingest.%s: nothing comes in by a view",
                        t->schema, t->name, rule->column);
        if (rule->is_finer_refused && !has_steps)
            field_wrong(r, NULL, rule->line,
                        "tables.%s.%s.ingest.%s: \"finer\" is for coarsen and network", t->schema,
                        t->name, rule->column);
        if (is_key(t, rule->column))
            field_wrong(r, NULL, rule->line,
                        "tables.%s.%s.ingest.%s: the rules of this table stand on this column",
                        t->schema, t->name, rule->column);
    }
}

void policy_check_ingest(struct field_reader *r, const struct policy *p)
{
    for (size_t i = 0; i < p->table_count; i++)
        check_table(r, &p->tables[i]);
}
