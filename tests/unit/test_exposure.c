#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enforce/exposure.h"
#include "policy/mistakes.h"

/* Keys that nobody has the other half of any more. */
#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAzwSHbIYc6oAwTLwnHKYsSG7Oqz7KDcfIp/xsXCFozY"
#define KEY_B "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILMq6G113oVlAt9VcPPhqmDYH7w0lFuAPiJuNW+ebCPS"
#define KEY_C "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILc8zVwMobFjH85S26piawWHHpNItel7qWx31KbxSBKF"
#define KEY_D "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAoCklt15u9Hqdujsz/wa+Vjs9dOO/kq9ivpmGs2sQem"
#define KEY_E "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILgiwCMUWE2xf3Wgei3ydvA+4PFHRltlu5xdvq+R8Fmp"

static const char sample[] =
    "version: 1\n"
    "company: Clipstream\n"
    "jurisdictions: {US: [US]}\n"
    "regions: {us: {jurisdiction: US, place: US}}\n"
    "entities: {us: {country: US}}\n"
    "purposes: [support_ticket, security_incident]\n"
    "actors:\n"
    "  analyst: {kind: person, entity: us, place: US, department: analytics, keys: [\"" KEY_A
    "\"]}\n"
    "  agent: {kind: person, entity: us, place: US, department: support, keys: [\"" KEY_B "\"]}\n"
    "  privacy: {kind: person, entity: us, place: US, department: privacy, keys: [\"" KEY_C "\"]}\n"
    "  security: {kind: person, entity: us, place: US, department: security, keys: [\"" KEY_D
    "\"]}\n"
    "tables:\n"
    "  app.users:\n"
    "    subject: id\n"
    "    residency: residency\n"
    "    columns: {id: identity, email: contact, phone: contact, residency: none}\n"
    "grants:\n"
    "  opened_by: signatures\n"
    "  request_age: 24h\n"
    "  approval_age: 1h\n"
    "  approvers: {from: home}\n"
    "  rules:\n"
    "    support:\n"
    "      purposes: [support_ticket]\n"
    "      classes: [identity]\n"
    "      ask: {departments: [analytics]}\n"
    "      subjects: 5\n"
    "      duration: 8h\n"
    "      minors: refused\n"
    "      approvers: [{count: 1, departments: [privacy]}, {departments: [security]}]\n"
    "    other: {purposes: [security_incident], classes: [contact], ask: {actors: [agent]},\n"
    "            subjects: 1, duration: 30min, approvers: [{departments: [privacy]}]}\n"
    "  break_glass: {purposes: [security_incident], classes: [identity],\n"
    "                ask: {actors: [security]}, reviewers: [{departments: [privacy]}]}\n"
    "  find: {by: {email: app.users.email}, per_day: 20}\n"
    "  refused_authorities: [A, B]\n"
    "  sensitive:\n"
    "    subjects: [0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef]\n"
    "    approvers: [{count: 1, actors: [security, privacy]}]\n"
    "  honey: [1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef]\n"
    "  denials: {per_day: 9}\n"
    "  marks: {times: on, per_day: 7}\n"
    "alerts:\n"
    "  repeated_subject: {looks: 3, days: 7, suspend: on}\n"
    "  hours: [{departments: [support], from: \"07:00\", until: \"20:00\", offset: \"-05:00\",\n"
    "           days: mon-tue}]\n";

#define W EXPOSURE_WIDENS
#define C EXPOSURE_CHANGES
#define N EXPOSURE_NARROWS

static const struct {
    const char *find, *replace;
    enum exposure_change change;
    const char *words;         /* among the sentences */
    enum exposure_change back; /* what the way back is */
} edits[] = {
    { "classes: [identity]\n", "classes: [identity, location]\n", W,
      "rule support: grants may show location", N },
    { "purposes: [support_ticket]\n", "purposes: [support_ticket, security_incident]\n", W,
      "rule support: grants may be for security_incident", N },
    { "[analytics]}\n", "[analytics, support]}\n", W,
      "rule support: grants may be asked for by support of us in US", N },
    { "[analytics]}\n", "[analytics], from: anywhere}\n", W,
      "asked for by analytics of us in US (from anywhere)", N },
    { "subjects: 5", "subjects: 6", W, "limit of persons at once (5 before, now 6)", N },
    { "duration: 8h", "duration: 2d", W, "rule support: limit of time (8 h before, now 2 d)", N },
    { "duration: 8h", "duration: 8h\n      budget: {rows: 50}", N,
      "rule support: limit of rows of a grant (unlimited before, now 50)", W },
    { "per_day: 9}", "per_day: 9}\n  subjects_per_day: 70", N,
      "grants: limit of persons that one may name in a day (unlimited before, now 70)", W },
    { "minors: refused", "minors: allowed", W, "rule support: minors may be seen", N },
    { "minors: refused", "reference: optional", W, "no reference is needed", N },
    { ", {departments: [security]}]", "]", W,
      "rule support takes no approval any more by department security (1)", N },
    { "{count: 1, departments: [privacy]}", "{count: 1}", W,
      "rule support takes no approval any more by department privacy (1)", W },
    { "reviewers: [", "reviewers: [{actors: [agent]}, ", N, "break-glass is reviewed by agent (1)",
      W },
    { "    other:", "    another:", W, "rule another: grants may be for security_incident", W },
    { "from: home", "chain: allowed", W, "grants: the requester's chain of command may approve",
      N },
    { "from: home", "from: anywhere", W, "grants: approvers may be abroad", N },
    { "from: home", "department: any", W, "the requester's department may approve", N },
    { "approval_age: 1h", "approval_age: 90min", W, "age of approvals (1 h before, now 90 min)",
      N },
    { "keys: [\"" KEY_A "\"]", "keys: [\"" KEY_A "\", \"" KEY_E "\"]", W,
      "analyst may sign with the key SHA256:", N },
    { "email: app.users.email", "phone: app.users.phone, email: app.users.email", W,
      "persons may be found by phone (app.users.phone)", N },
    { "{email: app.users.email", "{email: app.users.phone", C,
      "persons are found otherwise by email (app.users.email before, now app.users.phone)", C },
    { "per_day: 20", "per_day: 30", W, "searches of a person and day (20 before, now 30)", N },
    { "[A, B]", "[A]", W, "grants may open on demand of B", N },
    { "[0123456789", "[0000000000", C, "the register changed: sensitive persons (1 in list ", C },
    { "[1123456789", "[1000000000", C,
      "what suspends has changed: a touch of a honey subject (1 in list ", C },
    { "  denials: {per_day: 9}\n", "", W,
      "nobody is suspended any more for too many refusals in a day (9)", N },
    { "  repeated_subject: {looks: 3, days: 7, suspend: on}\n", "", W,
      "no alert is raised any more by one person looked at again and again (3, within 7 d)", N },
    { "days: 7, suspend: on", "days: 7", W,
      "nobody is suspended any more for one person looked at again and again", N },
    { "looks: 3", "looks: 30", C, "(3, within 7 d before, now 30, within 7 d)", C },
    { "mon-tue", "tue", C,
      "what raises an alert has changed: an unusual hour (department support: Mon Tue 07:00-20:00 "
      "-05:00 before, now department support: Tue 07:00-20:00 -05:00)",
      C },
    { "per_day: 9", "per_day: 90", C, "too many refusals in a day (9 before, now 90)", C },
    { "  denials: {per_day: 9}\n", "  denials: {per_day: 9}\n  notices: {to_subjects: off}\n", W,
      "grants: persons are not told who looked at them", N },
    { "  denials: {per_day: 9}\n", "  denials: {per_day: 9}\n  notices: {hold: 100d}\n", W,
      "grants: limit of time that notices to persons may be held back (90 d before, now 100 d)",
      N },
    { "times: on", "times: off", W,
      "exact again, and not traced any more: clear times under grants", N },
    { "per_day: 7", "per_day: 70", W, "traces of a person and day (7 before, now 70)", N },
    { "actors: [security, privacy]", "actors: [security]", W,
      "whatever shows sensitive persons takes no more approval by security or privacy (1)", W },
    { "{count: 1, actors", "{count: 2, actors", N,
      "whatever shows sensitive persons takes more approval, by security or privacy (1 before, now "
      "2)",
      W },
};

static struct policy *parse(const char *text)
{
    struct mistakes m;
    struct policy *p = NULL;
    mistakes_init(&m);
    if (policy_parse("policy.yaml", text, strlen(text), &p, &m) < 0)
        mistakes_print(&m, stderr);
    assert_non_null(p);
    mistakes_done(&m);
    return p;
}

/* What is looked for, and what else was told. */
struct told {
    enum exposure_change change;
    const char *words;
    bool is_found;
    size_t counts[EXPOSURE_NARROWS + 1];
    char all[4000];
};

static void hear(void *context, enum exposure_change change, const char *words)
{
    struct told *t = context;
    size_t used = strlen(t->all);
    t->counts[change]++;
    t->is_found = t->is_found || (change == t->change && strstr(words, t->words) != NULL);
    (void)snprintf(t->all + used, sizeof(t->all) - used, "%s: %s\n", exposure_change_name(change),
                   words);
}

static void compare(const struct policy *old, const struct policy *new, struct told *t)
{
    struct exposures before, now;
    struct err err;
    exposures_init(&before);
    exposures_init(&now);
    assert_int_equal(exposures_of_policy(&before, old, &old->regions[0], &err), 0);
    assert_int_equal(exposures_of_policy(&now, new, &new->regions[0], &err), 0);
    assert_int_equal(exposures_compare(&before, &now, hear, t, &err), 0);
    exposures_done(&before);
    exposures_done(&now);
}

static struct policy *edited(const char *find, const char *replace)
{
    char text[sizeof(sample) + 1000];
    const char *at = strstr(sample, find);
    if (at == NULL)
        fail_msg("\"%s\" is not in the sample", find);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - sample), sample, replace,
                   at + strlen(find));
    return parse(text);
}

static void a_change_of_grants_reads_as_what_it_is(void **state)
{
    struct policy *old = parse(sample);
    (void)state;
    for (size_t i = 0; i < RF_COUNT(edits); i++) {
        struct policy *new = edited(edits[i].find, edits[i].replace);
        struct told there = { .change = edits[i].change, .words = edits[i].words };
        struct told back = { .change = edits[i].back, .words = "" };
        compare(old, new, &there);
        compare(new, old, &back);
        if (!there.is_found || !back.is_found)
            fail_msg("\"%s\": %s: %s; told:\n%sback:\n%s", edits[i].replace,
                     exposure_change_name(edits[i].change), edits[i].words, there.all, back.all);
        policy_free(new);
    }
    policy_free(old);
}

static void the_same_policy_tells_nothing(void **state)
{
    struct policy *p = parse(sample);
    struct told t = { .words = "" };
    (void)state;
    compare(p, p, &t);
    assert_string_equal(t.all, "");
    policy_free(p);
}

static char *without_grants(const char *and)
{
    size_t len = (size_t)(strstr(sample, "grants:\n") - sample);
    char *text = malloc(len + strlen(and) + 1);
    assert_non_null(text);
    (void)sprintf(text, "%.*s%s", (int)len, sample, and);
    return text;
}

/* A rule that comes as a whole comes with its approvers: no part of it narrows anything. */
static void a_new_rule_only_widens_and_one_that_goes_only_narrows(void **state)
{
    struct policy *with = parse(sample);
    struct policy *fewer = edited("    other:", "    support2:");
    struct told t = { .change = EXPOSURE_WIDENS, .words = "rule support2 takes approval by" };
    (void)state;
    compare(with, fewer, &t);
    assert_true(t.is_found);
    assert_null(strstr(t.all, "narrows: rule support2"));
    assert_null(strstr(t.all, "widens: rule other"));
    assert_non_null(strstr(t.all, "narrows: rule other takes no approval any more by"));
    policy_free(fewer);
    policy_free(with);
}

static void an_administrator_who_may_open_grants_is_a_widening(void **state)
{
    char *none = without_grants(""), *all = without_grants("grants: {opened_by: administrator}\n");
    struct policy *old = parse(none), *new = parse(all);
    struct told t = { .change = EXPOSURE_WIDENS,
                      .words = "grants: an administrator opens them, without signatures" };
    (void)state;
    compare(old, new, &t);
    assert_true(t.is_found);
    assert_int_equal(t.counts[EXPOSURE_NARROWS], 0);
    policy_free(old);
    policy_free(new);
    free(none);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_of_grants_reads_as_what_it_is),
        cmocka_unit_test(the_same_policy_tells_nothing),
        cmocka_unit_test(a_new_rule_only_widens_and_one_that_goes_only_narrows),
        cmocka_unit_test(an_administrator_who_may_open_grants_is_a_widening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
