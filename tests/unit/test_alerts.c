#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "policy/alerts.h"
#include "policy/mistakes.h"

#define HEAD(opened_by)                                                                 \
    "version: 1\n"                                                                      \
    "company: Clipstream\n"                                                             \
    "jurisdictions: {US: [US]}\n"                                                       \
    "regions: {us: {jurisdiction: US, place: US}}\n"                                    \
    "entities: {us: {country: US}, cn: {country: CN}}\n"                                \
    "actors:\n"                                                                         \
    "  ann: {kind: person, entity: us, place: US, department: data}\n"                  \
    "tables:\n"                                                                         \
    "  app.users: {subject: id, residency: r, columns: {id: identity, r: none}}\n"      \
    "  app.notes: {subjects: [of, {column: user, through: app.users}], residency: r,\n" \
    "              columns: {of: identity, user: identity, r: none}}\n"                 \
    "grants: {opened_by: " opened_by "}\n"
#define MESSAGES                                                                               \
    "  app.messages: {subjects: [a, b], residency: r, columns: {a: identity, b: identity, r: " \
    "none}}\n"

static const char whole[] =
    HEAD("signatures") "alerts:\n"
                       "  repeated_subject: {looks: 3, days: 7, suspend: on}\n"
                       "  habit: {factor: 4, least: 20}\n"
                       "  hours:\n"
                       "    - {entities: [us], departments: [data], from: \"07:00\", until: "
                       "\"24:00\", offset: \"-05:30\",\n"
                       "       days: \"mon,wed,sat-mon\"}\n"
                       "    - {from: \"00:00\", until: \"00:01\", offset: \"+14:00\", days: tue, "
                       "suspend: on}\n"
                       "  new_place: {days: 28, suspend: off}\n"
                       "  denied: {per_day: 20}\n";

static struct policy *parse(const char *text, struct mistakes *m)
{
    struct policy *p = NULL;
    mistakes_init(m);
    int rc = policy_parse("policy.yaml", text, strlen(text), &p, m);
    assert_true((rc == 0) == (p != NULL));
    return p;
}

static struct policy *parse_good(const char *text)
{
    struct mistakes m;
    struct policy *p = parse(text, &m);
    mistakes_print(&m, stderr);
    assert_non_null(p);
    mistakes_done(&m);
    return p;
}

static void each_rule_is_there_by_itself(void **state)
{
    struct policy *p = parse_good(whole);
    const struct policy_alerts *a = p->alerts;
    (void)state;
    assert_int_equal(a->rules[ALERT_REPEATED_SUBJECT].count, 3);
    assert_int_equal(a->rules[ALERT_REPEATED_SUBJECT].days, 7);
    assert_true(a->rules[ALERT_REPEATED_SUBJECT].suspends);
    assert_int_equal(a->rules[ALERT_HABIT].factor, 4);
    assert_int_equal(a->rules[ALERT_HABIT].days, 28);
    assert_int_equal(a->rules[ALERT_HABIT].rows, 0);
    assert_false(a->rules[ALERT_HABIT].suspends || a->rules[ALERT_NEW_PLACE].suspends);
    assert_true(a->rules[ALERT_HONEY].suspends);
    assert_true(alerts_has(a, ALERT_HABIT) && alerts_has(a, ALERT_HOURS));
    assert_true(alerts_has(a, ALERT_NEW_PLACE) && alerts_has(a, ALERT_DENIED));
    assert_true(alerts_has(a, ALERT_FORGED_TOKEN) && alerts_has(a, ALERT_HONEY));
    assert_false(alerts_has(a, ALERT_LINKED_SUBJECTS));
    policy_free(p);
}

static void hours_are_days_and_minutes_ahead_of_utc(void **state)
{
    struct policy *p = parse_good(whole);
    const struct policy_hours *h = p->alerts->hours;
    (void)state;
    assert_int_equal(p->alerts->hours_count, 2);
    assert_int_equal(h[0].from, 7 * 60);
    assert_int_equal(h[0].until, 24 * 60);
    assert_int_equal(h[0].offset, -(5 * 60 + 30));
    assert_int_equal(h[0].days, 1U << 0 | 1U << 2 | 1U << 5 | 1U << 6);
    assert_string_equal(h[0].who.entities[0]->name, "us");
    assert_string_equal(h[0].who.departments[0], "data");
    assert_int_equal(h[1].offset, 14 * 60);
    assert_int_equal(h[1].days, 1U << 1);
    assert_true(h[1].suspends && !h[0].suspends);
    policy_free(p);
}

static void without_alerts_no_rule_but_the_two_that_always_are(void **state)
{
    struct policy *p = parse_good(HEAD("administrator"));
    (void)state;
    for (int i = ALERT_NONE + 1; i < ALERT_RULE_COUNT; i++)
        assert_int_equal(alerts_has(p->alerts, (enum alert_rule)i),
                         i == ALERT_FORGED_TOKEN || i == ALERT_HONEY);
    policy_free(p);
}

static void two_keys_of_persons_in_a_row_link_them(void **state)
{
    struct policy *p = parse_good(
        "version: 1\ncompany: C\njurisdictions: {US: [US]}\nregions: {us: {jurisdiction: US, "
        "place: US}}\n"
        "entities: {us: {country: US}}\nactors:\n  ann: {kind: person, entity: us, place: "
        "US}\ntables:\n"
        "  app.users: {subject: id, residency: r, columns: {id: identity, r: none}}\n" MESSAGES
        "grants: {opened_by: signatures}\nalerts: {linked_subjects: {persons: 3, days: 7}}\n");
    (void)state;
    assert_int_equal(alerts_keys_of(policy_table_find(p, "app", "users")), 1);
    assert_int_equal(alerts_keys_of(policy_table_find(p, "app", "messages")), 2);
    policy_free(p);
}

static bool has_mistake(const struct mistakes *m, unsigned line, const char *text)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i].line == line && strstr(m->list[i].text, text) != NULL)
            return true;
    return false;
}

/* All of them at once; `alerts` is on line 13. */
static void every_mistake_names_its_line_and_what_was_expected(void **state)
{
    static const struct {
        const char *line, *told;
    } lines[] = {
        { "  repeated_subject: {looks: 1, days: 7}\n", "alerts.repeated_subject.looks" },
        { "  linked_subjects: {persons: 3, days: 7}\n", "name them in \"subjects\" of a table" },
        { "  habit: {factor: 4}\n", "least" },
        { "  new_place: {days: 91}\n", "alerts.new_place.days" },
        { "  denied: {per_day: 2, suspend: maybe}\n", "alerts.denied.suspend" },
        { "  forged_token: {}\n", "suspend" },
        { "  honey: {suspend: on}\n", "honey" },
        { "  hours:\n", "" },
        { "  - {from: \"7:00\", until: \"20:00\", offset: \"-05:00\", days: mon}\n",
          "from 00:00 to 24:00" },
        { "  - {from: \"07:00\", until: \"24:01\", offset: \"-05:00\", days: mon}\n",
          "from 00:00 to 24:00" },
        { "  - {from: \"07:00\", until: \"20:00\", offset: \"05:00\", days: mon}\n",
          "such as \"-05:00\"" },
        { "  - {from: \"07:00\", until: \"20:00\", offset: \"-15:00\", days: mon}\n",
          "such as \"-05:00\"" },
        { "  - {from: \"07:00\", until: \"20:00\", offset: \"-05:00\", days: mon-}\n",
          "such as mon-fri" },
        { "  - {from: \"07:00\", until: \"20:00\", offset: \"-05:00\", days: weekday}\n",
          "such as mon-fri" },
        { "  - {from: \"22:00\", until: \"06:00\", offset: \"-05:00\", days: mon}\n",
          "a night is two entries" },
        { "  - {from: \"22:00\", until: \"23:00\", offset: \"-05:00\", days: mon, departments: "
          "[nobody]}\n",
          "nobody" },
    };
    char text[8192] = HEAD("signatures") "alerts:\n";
    struct mistakes m;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(lines); i++)
        strcat(text, lines[i].line);
    assert_null(parse(text, &m));
    for (size_t i = 0; i < RF_COUNT(lines); i++)
        if (lines[i].told[0] != '\0' && !has_mistake(&m, 14 + (unsigned)i, lines[i].told)) {
            mistakes_print(&m, stdout);
            fail_msg("line %zu: nothing is told of \"%s\"", 14 + i, lines[i].told);
        }
    mistakes_done(&m);
}

static void where_an_administrator_opens_grants_nobody_raises_alerts(void **state)
{
    struct mistakes m;
    (void)state;
    assert_null(parse(HEAD("administrator") "alerts: {denied: {per_day: 2}}\n", &m));
    assert_true(has_mistake(&m, 13, "opened_by: signatures"));
    mistakes_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_is_there_by_itself),
        cmocka_unit_test(hours_are_days_and_minutes_ahead_of_utc),
        cmocka_unit_test(without_alerts_no_rule_but_the_two_that_always_are),
        cmocka_unit_test(two_keys_of_persons_in_a_row_link_them),
        cmocka_unit_test(every_mistake_names_its_line_and_what_was_expected),
        cmocka_unit_test(where_an_administrator_opens_grants_nobody_raises_alerts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
