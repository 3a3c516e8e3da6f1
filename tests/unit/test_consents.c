#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/approval.h"
#include "policy/consents.h"
#include "policy/mistakes.h"

static const char head[] =
    "version: 1\n"
    "company: Clipstream\n"
    "jurisdictions: {US: [US], EU: [IE]}\n"
    "regions: {us: {jurisdiction: US, place: US}, eu: {jurisdiction: EU, place: IE}}\n"
    "entities: {us: {country: US}}\n"
    "purposes: [support_ticket]\n"
    "actors:\n"
    "  analyst: {kind: person, entity: us, place: US, department: analytics}\n"
    "  privacy: {kind: person, entity: us, place: US, department: privacy}\n"
    "  leaver: {kind: person, entity: us, place: US, department: gone, suspended: true}\n"
    "  app: {kind: service, entity: us, place: US, regions: {us: {from: [US], tables: write}}}\n"
    "tables:\n"
    "  app.users:\n"
    "    subject: id\n"
    "    residency: residency\n"
    "    columns: {id: identity, residency: none}\n"
    "  app.points:\n"
    "    subject: {column: user_row, through: app.users, key: id}\n"
    "    columns: {user_row: identity, lat: location}\n";

/* Line 20 of what is parsed. */
static const char whole[] =
    "consents:\n"
    "  recorded_by: [app]\n"
    "  signed_by: {departments: [privacy]}\n"
    "  purposes:\n"
    "    support_access: {version: 2026-03, valid: 365d, minors: parental}\n"
    "    ads: {version: 1, valid: 30d}\n";

static const char grants[] = "grants:\n"
                             "  rules:\n"
                             "    support:\n"
                             "      purposes: [support_ticket]\n"
                             "      classes: [identity]\n"
                             "      ask: {departments: [analytics]}\n"
                             "      subjects: 5\n"
                             "      duration: 8h\n"
                             "      reference: optional\n"
                             "      approvers: [{departments: [privacy]}]\n";

static struct policy *parse(const char *more, const char *last, struct mistakes *m)
{
    char text[4000];
    struct policy *p = NULL;
    (void)snprintf(text, sizeof(text), "%s%s%s", head, more, last);
    mistakes_init(m);
    int rc = policy_parse("policy.yaml", text, strlen(text), &p, m);
    assert_int_equal(rc == 0, p != NULL);
    return p;
}

static struct policy *good(const char *more, const char *last)
{
    struct mistakes m;
    struct policy *p = parse(more, last, &m);
    mistakes_print(&m, stderr);
    assert_non_null(p);
    mistakes_done(&m);
    return p;
}

static void what_the_file_says_is_kept(void **state)
{
    (void)state;
    struct policy *p = good(whole, "");
    const struct policy_consents *c = p->consents;
    assert_int_equal(c->purpose_count, 2);
    const struct policy_consent *support = policy_consent_find(p, "support_access");
    assert_ptr_equal(support, &c->purposes[0]);
    assert_string_equal(support->version, "2026-03");
    assert_int_equal(support->valid_ms / 1000, 365 * 24 * 60 * 60);
    assert_true(support->is_parental);
    assert_false(policy_consent_find(p, "ads")->is_parental); /* nobody can, unless it is said */
    assert_null(policy_consent_find(p, "support"));
    assert_int_equal(c->recorder_count, 1);
    assert_string_equal(c->recorders[0]->name, "app");
    policy_free(p);
    p = good("", "");
    assert_int_equal(p->consents->purpose_count, 0);
    assert_int_equal(p->consents->line, 0);
    policy_free(p);
}

static void whoever_signs_for_others_is_listed_and_at_home(void **state)
{
    (void)state;
    struct policy *p = good(whole, "");
    const struct policy_region *us = policy_region_find(p, "us"), *eu = policy_region_find(p, "eu");
    const struct policy_actor *privacy = policy_actor_find(p, "privacy");
    assert_true(policy_consent_signs(p, us, privacy, true));
    assert_false(policy_consent_signs(p, us, privacy, false));
    assert_false(policy_consent_signs(p, eu, privacy, true));
    assert_false(policy_consent_signs(p, us, policy_actor_find(p, "analyst"), true));
    assert_false(policy_consent_signs(p, us, policy_actor_find(p, "app"), true));
    assert_false(policy_consent_signs(p, us, NULL, true));
    policy_free(p);
    p = good("consents: {recorded_by: [app], purposes: {ads: {version: 1, valid: 30d}}}\n", "");
    assert_false(policy_consent_signs(p, us, policy_actor_find(p, "privacy"), true));
    policy_free(p);
}

static void every_mistake_is_told_with_its_line_and_what_to_do(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *words;
    } wrong[] = {
        { "consents: {purposes: {ads: {version: 1, valid: 30d}}}\n", 20,
          "nobody could ever record one: name services" },
        { "consents: {recorded_by: [privacy], purposes: {ads: {version: 1, valid: 30d}}}\n", 20,
          "\"privacy\" is no service" },
        { "consents: {recorded_by: [nobody], purposes: {ads: {version: 1, valid: 30d}}}\n", 20,
          "nobody" },
        { "consents: {recorded_by: [app], purposes: {ads: {valid: 30d}}}\n", 20, "version" },
        { "consents: {recorded_by: [app], purposes: {ads: {version: 1}}}\n", 20, "valid" },
        { "consents: {recorded_by: [app], purposes: {ads: {version: 1, valid: 30s}}}\n", 20,
          "valid" },
        { "consents:\n  recorded_by: [app]\n  purposes:\n    ads: {version: \"a b\", valid: 30d}\n",
          23, "without blanks, quotes and backslashes" },
        { "consents: {recorded_by: [app], purposes: {ads: {version: 1, valid: 30d, minors: "
          "yes}}}\n",
          20, "minors" },
        { "consents: {recorded_by: [app], purposes: {ads: {version: 1, valid: 30d, for: us}}}\n",
          20, "for" },
        { "consents: {recorded_by: [app]}\n", 20, "purposes" },
        { "consents: {signed_by: {}, purposes: {ads: {version: 1, valid: 30d}}}\n", 20,
          "expected entities, departments or actors" },
        { "consents: {signed_by: {actors: [app]}, purposes: {ads: {version: 1, valid: 30d}}}\n", 20,
          "\"app\" is a service; name it in \"recorded_by\"" },
        { "consents: {signed_by: {actors: [leaver]}, purposes: {ads: {version: 1, valid: 30d}}}\n",
          20, "nobody fits it who is not suspended" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct mistakes m;
        assert_null(parse(wrong[i].text, "", &m));
        if (m.count == 0 || m.list[0].line != wrong[i].line ||
            strstr(m.list[0].text, wrong[i].words) == NULL)
            fail_msg("%s: line %u: %s", wrong[i].text, m.count > 0 ? m.list[0].line : 0,
                     m.count > 0 ? m.list[0].text : "");
        mistakes_done(&m);
    }
}

static void several_mistakes_are_told_at_once(void **state)
{
    struct mistakes m;
    (void)state;
    assert_null(parse("consents:\n  recorded_by: [privacy]\n  purposes: {ads: {version: \"\\\"\", "
                      "valid: 30d}}\n  signed_by: {actors: [app]}\n",
                      "", &m));
    assert_int_equal(m.count, 3);
    mistakes_done(&m);
}

static void a_row_must_say_by_itself_whose_consent_is_meant(void **state)
{
    struct mistakes m;
    (void)state;
    char text[1000];
    (void)snprintf(text, sizeof(text), "    ingest: {lat: {coarsen: 0.1, unless_consent: ads}}\n%s",
                   whole);
    assert_null(parse(text, "", &m));
    assert_int_equal(m.count, 1);
    assert_int_equal(m.list[0].line, 20);
    assert_non_null(strstr(m.list[0].text, "tables.app.points.ingest.lat"));
    mistakes_done(&m);
}

static struct grant_ask ask_of(const struct policy *p)
{
    return (struct grant_ask){ .region = policy_region_find(p, "us"),
                               .actor = policy_actor_find(p, "analyst"),
                               .is_from_home = true,
                               .classes = 1U << CLASS_IDENTITY,
                               .purpose = "support_ticket",
                               .subject_count = 1,
                               .seconds = 60 };
}

static void a_rule_for_grants_asks_for_its_consent_and_no_other(void **state)
{
    static const char *const others[] = { "ads 1", "support_access 2026-02", "support_access",
                                          "support_access2026-03", "support 2026-03" };
    static const char *const both[] = { "ads 1", "support_access 2026-03" };
    const struct policy_grant_rule *rule = NULL;
    char last[1000];
    struct mistakes m;
    (void)state;
    (void)snprintf(last, sizeof(last), "%s      consent: support_access\n", grants);
    struct policy *p = good(whole, last);
    struct grant_ask ask = ask_of(p);
    assert_ptr_equal(p->grants->rules[0].consent, policy_consent_find(p, "support_access"));
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_CONSENT_MISSING);
    ask.consented = others;
    ask.consented_count = sizeof(others) / sizeof(others[0]);
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_CONSENT_MISSING);
    ask.consented = both;
    ask.consented_count = 2;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    policy_free(p);
    p = good(whole, grants); /* a rule that asks for none */
    ask.region = policy_region_find(p, "us");
    ask.actor = policy_actor_find(p, "analyst");
    ask.consented_count = 0;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    policy_free(p);
    (void)snprintf(last, sizeof(last), "%s      consent: support\n", grants);
    assert_null(parse(whole, last, &m));
    assert_non_null(strstr(m.list[0].text, "consent"));
    mistakes_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_file_says_is_kept),
        cmocka_unit_test(whoever_signs_for_others_is_listed_and_at_home),
        cmocka_unit_test(every_mistake_is_told_with_its_line_and_what_to_do),
        cmocka_unit_test(several_mistakes_are_told_at_once),
        cmocka_unit_test(a_row_must_say_by_itself_whose_consent_is_meant),
        cmocka_unit_test(a_rule_for_grants_asks_for_its_consent_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
