#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "policy/consents.h"
#include "policy/mistakes.h"
#include "policy/policy.h"
#include "policy/policy_ingest.h"

static const char head[] =
    "version: 1\n"
    "company: Clipstream\n"
    "consents: {signed_by: {actors: [boss]}, purposes: {place: {version: 2,\n"
    "           valid: 90d}}}\n"
    "jurisdictions: {US: [US]}\n"
    "regions: {us-virginia: {jurisdiction: US, place: US}}\n"
    "entities: {clipstream-us: {country: US}}\n"
    "actors: {boss: {kind: person, entity: clipstream-us, place: US}}\n"
    "tables:\n"
    "  app.users:\n"
    "    subject: id\n"
    "    residency: residency\n"
    "    columns: {id: identity, residency: none, lat: location}\n";

static struct policy *parse(const char *rules, struct mistakes *mistakes)
{
    char text[2000];
    struct policy *p = NULL;
    (void)snprintf(text, sizeof(text), "%s    ingest: %s\n", head, rules);
    mistakes_init(mistakes);
    int rc = policy_parse("policy.yaml", text, strlen(text), &p, mistakes);
    assert_int_equal(rc == 0, p != NULL);
    return p;
}

static void a_step_is_kept_in_lowest_terms(void **state)
{
    static const struct {
        const char *step;
        int64_t part, whole;
    } steps[] = { { "0.1", 1, 10 }, { "0.25", 1, 4 },           { "500", 500, 1 },
                  { "2.50", 5, 2 }, { "0.000001", 1, 1000000 }, { "1000000", 1000000, 1 } };
    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct mistakes mistakes;
        char rules[80];
        (void)snprintf(rules, sizeof(rules), "{lat: {coarsen: %s}}", steps[i].step);
        struct policy *p = parse(rules, &mistakes);
        assert_non_null(p);
        const struct policy_ingest *rule = &p->tables[0].ingest[0];
        assert_int_equal(rule->rule, INGEST_COARSEN);
        assert_int_equal(rule->part, steps[i].part);
        assert_int_equal(rule->whole, steps[i].whole);
        policy_free(p);
        mistakes_done(&mistakes);
    }
}

static void every_kind_of_rule_is_read(void **state)
{
    struct mistakes mistakes;
    (void)state;
    struct policy *p =
        parse("{raw: refuse, note: null, ip: {network: [24, 48], finer: refuse}}", &mistakes);
    assert_non_null(p);
    const struct policy_ingest *rules = p->tables[0].ingest;
    assert_int_equal(p->tables[0].ingest_count, 3);
    assert_string_equal(rules[0].column, "raw");
    assert_int_equal(rules[0].rule, INGEST_REFUSE);
    assert_int_equal(rules[1].rule, INGEST_NULL);
    assert_int_equal(rules[2].rule, INGEST_NETWORK);
    assert_int_equal(rules[2].bits_v4, 24);
    assert_int_equal(rules[2].bits_v6, 48);
    assert_true(rules[2].is_finer_refused);
    assert_null(rules[2].consent);
    policy_free(p);
    mistakes_done(&mistakes);
}

static void a_rule_may_be_for_those_who_have_not_consented(void **state)
{
    struct mistakes mistakes;
    (void)state;
    struct policy *p = parse("{raw: {rule: refuse, unless_consent: place}, lat: {coarsen: 0.1,"
                             " unless_consent: place}}",
                             &mistakes);
    assert_non_null(p);
    for (size_t i = 0; i < 2; i++)
        assert_ptr_equal(p->tables[0].ingest[i].consent, policy_consent_find(p, "place"));
    assert_null(policy_consent_find(p, "plac"));
    policy_free(p);
    mistakes_done(&mistakes);
}

static void what_is_no_rule_is_refused(void **state)
{
    static const char *const wrong[] = {
        "{lat: {coarsen: 0}}",
        "{lat: {coarsen: 0.0}}",
        "{lat: {coarsen: -1}}",
        "{lat: {coarsen: 1e3}}",
        "{lat: {coarsen: 0.1234567}}",
        "{lat: {coarsen: 1000001}}",
        "{lat: {coarsen: .5}}",
        "{lat: {coarsen: 1.}}",
        "{lat: {coarsen: [1]}}",
        "{lat: {coarsen: 99999999999999999999}}",
        "{lat: {network: [24]}}",
        "{lat: {network: [32, 48]}}",
        "{lat: {network: [24, 128]}}",
        "{lat: {network: [a, 48]}}",
        "{lat: {network: 24}}",
        "{lat: {}}",
        "{lat: drop}",
        "{lat: {coarsen: 0.1, rule: refuse}}",
        "{lat: {rule: refuse, finer: refuse}}",
        "{lat: {coarsen: 0.1, coarser: 1}}",
        "{id: refuse}",
        "{residency: null}",
        "{lat: {unless_consent: place}}",
        "{lat: {coarsen: 0.1, unless_consent: places}}",
        "{lat: {coarsen: 0.1, unless_consent: [place]}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct mistakes mistakes;
        struct policy *p = parse(wrong[i], &mistakes);
        if (p != NULL)
            fail_msg("%s was taken", wrong[i]);
        mistakes_done(&mistakes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_kept_in_lowest_terms),
        cmocka_unit_test(every_kind_of_rule_is_read),
        cmocka_unit_test(a_rule_may_be_for_those_who_have_not_consented),
        cmocka_unit_test(what_is_no_rule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
