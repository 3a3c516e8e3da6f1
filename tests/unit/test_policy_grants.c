#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "policy/grants.h"
#include "policy/mistakes.h"
#include "sign/sshsig.h"

/* Keys that nobody has the other half of any more. */
#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAzwSHbIYc6oAwTLwnHKYsSG7Oqz7KDcfIp/xsXCFozY"
#define KEY_B "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILMq6G113oVlAt9VcPPhqmDYH7w0lFuAPiJuNW+ebCPS"
#define KEY_C "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILc8zVwMobFjH85S26piawWHHpNItel7qWx31KbxSBKF"

static const char sample[] =
    "version: 1\n"
    "company: Clipstream\n"
    "jurisdictions: {US: [US], EU: [IE]}\n"
    "regions: {us: {jurisdiction: US, place: US}, eu: {jurisdiction: EU, place: IE}}\n"
    "entities: {us: {country: US}, cn: {country: CN}}\n"
    "purposes: [support_ticket, security_incident, child_safety]\n"
    "actors:\n"
    "  head: {kind: person, entity: us, place: US, department: analytics}\n"
    "  analyst: {kind: person, entity: us, place: US, department: analytics, manager: head,\n"
    "            keys: [\"" KEY_A " analyst@laptop\"]}\n"
    "  privacy: {kind: person, entity: us, place: US, department: privacy,\n"
    "            keys: [\"" KEY_B "\"]}\n"
    "  security: {kind: person, entity: us, place: US, department: security,\n"
    "             keys: [\"" KEY_C "\"]}\n"
    "  spare: {kind: person, entity: us, place: US, department: spare}\n"
    "  away: {kind: person, entity: cn, place: CN, department: abroad}\n"
    "  app: {kind: service, entity: us, place: US, regions: {us: {from: [US], tables: read}}}\n"
    "tables:\n"
    "  app.users:\n"
    "    subject: id\n"
    "    residency: residency\n"
    "    columns: {id: identity, email: contact, residency: none}\n"
    "  app.tags: {columns: {name: none}}\n"
    "grants:\n"
    "  opened_by: signatures\n"
    "  request_age: 12h\n"
    "  approvers: {chain: allowed}\n"
    "  rules:\n"
    "    support:\n"
    "      purposes: [support_ticket]\n"
    "      classes: [identity, contact]\n"
    "      ask: {entities: [us], departments: [analytics], actors: []}\n"
    "      subjects: 5\n"
    "      duration: 8h\n"
    "      approvers:\n"
    "        - {departments: [privacy], entities: []}\n"
    "        - {count: 1, actors: [security]}\n"
    "  break_glass:\n"
    "    purposes: [security_incident]\n"
    "    classes: [location]\n"
    "    ask: {actors: [security]}\n"
    "    minors: allowed\n"
    "    reviewers: [{departments: [privacy]}]\n"
    "  find: {by: {email: app.users.email}, per_day: 7}\n"
    "  refused_authorities: [Ministry of State Security]\n"
    "  sensitive:\n"
    "    subjects: [0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef]\n"
    "    approvers: [{actors: [security]}]\n"
    "  bound: {security_incident: {subjects: ["
    "2123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef]}}\n"
    "  honey: [1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef]\n"
    "  denials: {per_day: 9}\n"
    "  notices: {to_subjects: off, hold: 30d}\n"
    "  marks: {times: on, per_day: 7}\n";

static struct policy *parse(const char *text, struct mistakes *m)
{
    struct policy *p = NULL;
    mistakes_init(m);
    int rc = policy_parse("policy.yaml", text, strlen(text), &p, m);
    assert_true((rc == 0) == (p != NULL));
    assert_true((rc == 0) == !mistakes_any(m));
    return p;
}

static struct policy *sample_policy(void)
{
    struct mistakes m;
    struct policy *p = parse(sample, &m);
    mistakes_print(&m, stderr);
    assert_non_null(p);
    mistakes_done(&m);
    return p;
}

static void a_rule_says_who_asks_for_what_and_who_approves(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_grants *g = p->grants;
    const struct policy_grant_rule *rule = &g->rules[0];
    (void)state;
    assert_int_equal(g->opened_by, GRANTS_BY_SIGNATURES);
    assert_int_equal(g->request_age_ms, 12 * 3600 * 1000);
    assert_int_equal(g->approval_age_ms, 3600 * 1000);
    assert_false(g->approvers_anywhere || g->department_any);
    assert_true(g->chain_allowed);
    assert_int_equal(g->rule_count, 1);
    assert_string_equal(rule->name, "support");
    assert_string_equal(rule->purposes[0], "support_ticket");
    assert_int_equal(rule->classes, 1U << CLASS_IDENTITY | 1U << CLASS_CONTACT);
    assert_ptr_equal(rule->ask.entities[0], &p->entities[0]);
    assert_string_equal(rule->ask.departments[0], "analytics");
    assert_int_equal(rule->ask.actor_count, 0);
    assert_false(rule->ask.anywhere || rule->minors_allowed || rule->reference_optional);
    assert_int_equal(rule->subjects, 5);
    assert_int_equal(rule->duration_ms, 8 * 3600 * 1000);
    assert_int_equal(rule->approver_count, 2);
    assert_int_equal(rule->approvers[0].count, 1);
    assert_string_equal(rule->approvers[0].who.departments[0], "privacy");
    assert_ptr_equal(rule->approvers[1].who.actors[0], policy_actor_find(p, "security"));
    policy_free(p);
}

static void the_rest_of_grants_is_read_too(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_grants *g = p->grants;
    (void)state;
    assert_true(g->has_break_glass);
    assert_string_equal(g->break_glass.name, "break-glass");
    assert_string_equal(g->break_glass.purposes[0], "security_incident");
    assert_int_equal(g->break_glass.classes, 1U << CLASS_LOCATION);
    assert_int_equal(g->break_glass.subjects, 5);
    assert_int_equal(g->break_glass.duration_ms, 3600 * 1000);
    assert_true(g->break_glass.minors_allowed);
    assert_int_equal(g->review_ms, 24 * 3600 * 1000);
    assert_int_equal(g->glass_open_at_most, 1);
    assert_int_equal(g->break_glass.approver_count, 1);
    assert_int_equal(g->finder_count, 1);
    assert_string_equal(g->finders[0].by, "email");
    assert_string_equal(g->finders[0].schema, "app");
    assert_string_equal(g->finders[0].table, "users");
    assert_string_equal(g->finders[0].column, "email");
    assert_int_equal(g->finds_per_day, 7);
    assert_string_equal(g->refused_authorities[0], "Ministry of State Security");
    assert_int_equal(g->sensitive_count, 1);
    assert_int_equal(g->sensitive_approver_count, 1);
    assert_int_equal(g->bound_count, 1);
    assert_string_equal(g->bound[0].purpose, "security_incident");
    assert_int_equal(g->bound[0].subject_count, 1);
    assert_int_equal(g->bound[0].subjects[0][0], '2');
    assert_int_equal(g->honey_count, 1);
    assert_int_equal(g->honey[0][0], '1');
    assert_int_equal(g->denials_per_day, 9);
    assert_true(g->is_silent);
    assert_int_equal(g->hold_ms, INT64_C(30) * 24 * 3600 * 1000);
    assert_true(g->marks_times);
    assert_int_equal(g->traces_per_day, 7);
    policy_free(p);
}

static void a_policy_that_says_nothing_of_grants_gives_none(void **state)
{
    struct mistakes m;
    char *text = strndup(sample, (size_t)(strstr(sample, "grants:\n") - sample));
    (void)state;
    assert_non_null(text);
    struct policy *p = parse(text, &m);
    assert_non_null(p);
    assert_non_null(p->grants);
    assert_int_equal(p->grants->opened_by, GRANTS_BY_SIGNATURES);
    assert_int_equal(p->grants->rule_count, 0);
    assert_false(p->grants->has_break_glass);
    assert_int_equal(p->grants->denials_per_day, 0); /* nobody is suspended for refusals */
    assert_false(p->grants->is_silent);              /* persons are told */
    assert_int_equal(p->grants->hold_ms, INT64_C(90) * 24 * 3600 * 1000);
    assert_false(p->grants->marks_times);
    assert_int_equal(p->grants->traces_per_day, 20);
    policy_free(p);
    mistakes_done(&m);
    free(text);
}

static void a_person_has_the_keys_of_his_list(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_actor *analyst = policy_actor_find(p, "analyst");
    struct ssh_key key;
    struct err err;
    (void)state;
    assert_int_equal(analyst->key_count, 1);
    assert_int_equal(ssh_key_parse(KEY_A, &key, &err), 0);
    assert_true(ssh_key_equal(&key, &analyst->keys[0]));
    assert_int_equal(policy_actor_find(p, "head")->key_count, 0);
    policy_free(p);
}

static void a_manager_is_found(void **state)
{
    struct policy *p = sample_policy();
    (void)state;
    assert_ptr_equal(policy_actor_find(p, "analyst")->superior, policy_actor_find(p, "head"));
    assert_null(policy_actor_find(p, "head")->superior);
    policy_free(p);
}

#define RULE_TWO                                                                            \
    "    second: {purposes: [support_ticket], classes: [identity], ask: {}, subjects: 1,\n" \
    "             duration: 1h, approvers: [{count: 1}]}\n  break_glass:\n"

static const struct {
    const char *find, *replace;
    const char *says; /* NULL: this is right */
} edits[] = {
    /* names */
    { "entities: [us]", "entities: [uk]",
      "grants.rules.support.ask.entities[0]: expected the name of an entity in this file" },
    { "departments: [analytics], a", "departments: [analytic], a", "did you mean \"analytics\"?" },
    { "{count: 1, actors: [security]}", "{count: 1, actors: [securty]}",
      "grants.rules.support.approvers[1].actors[0]: expected the name of an actor" },
    { "purposes: [support_ticket]", "purposes: [support_tickets]",
      "expected the name of a purpose in this file, found \"support_tickets\"; did you mean" },
    { "purposes: [support_ticket]", "purposes: [debugging]", "expected the name of a purpose" },
    { "classes: [identity, contact]", "classes: [identity, contacts]",
      "grants.rules.support.classes[1]: expected one of identity, contact" },
    { "classes: [identity, contact]", "classes: [none]", "classes[0]: expected one of" },
    { "classes: [identity, contact]", "classes: []", "expected a list of classes, found none" },
    { "classes: [location]", "classes: location", "expected a list of classes" },
    { "    support:", "    break-glass:", "grants.rules.break-glass: this name is reserved" },
    { "    support:", "    \"su pport\":", "as the name of a rule for grants" },
    { "{count: 1, actors: [security]}", "{count: 1, actors: [security, app]}",
      "grants.rules.support.approvers[1].actors: \"app\" is a service" },
    { "ask: {actors: [security]}", "ask: {actors: [app]}",
      "grants.break_glass.ask.actors: \"app\" is a service" },
    /* ranges */
    { "subjects: 5", "subjects: 0", "subjects: expected a whole number from 1 to 100" },
    { "subjects: 5", "subjects: 101", "subjects: expected a whole number from 1 to 100" },
    { "duration: 8h", "duration: 32d", "duration: expected a time" },
    { "count: 1", "count: 9", "count: expected a whole number from 1 to 8" },
    { "honey: [1123", "honey: [42, 1123", "grants.honey[0]: expected a SHA-256" },
    { "{per_day: 9}", "{per_day: 0}", "per_day: expected a whole number from 1 to 10000" },
    { "{per_day: 9}", "{}", "\"per_day\" is missing" },
    { "minors: allowed", "minors: allowed\n    duration: 2h", "from 1min to 1h" },
    { "minors: allowed", "minors: allowed\n    subjects: 6", "from 1 to 5" },
    { "minors: allowed", "minors: allowed\n    review: 25h", "from 1min to 1d" },
    { "minors: allowed", "minors: allowed\n    open_at_most: 0",
      "grants.break_glass.open_at_most: expected a whole number from 1 to 100" },
    { "minors: allowed", "minors: allowed\n    open_at_most: 100", NULL },
    { "{actors: [security]}\n    minors", "{actors: [security], from: anywhere}\n    minors",
      "grants.break_glass.ask: unknown key \"from\"" },
    { "      subjects: 5\n", "", "grants.rules.support: \"subjects\" is missing" },
    { "      duration: 8h\n", "", "\"duration\" is missing" },
    { "    reviewers: [{departments: [privacy]}]\n", "", "\"reviewers\" is missing" },
    /* budgets */
    { "      subjects: 5\n", "      subjects: 5\n      budget: {rows: 50, bytes: 10MB}\n", NULL },
    { "      subjects: 5\n", "      subjects: 5\n      budget: {bytes: 1kB}\n", NULL },
    { "      subjects: 5\n", "      subjects: 5\n      budget: {rows: 0}\n",
      "grants.rules.support.budget.rows: expected a whole number from 1 to" },
    { "      subjects: 5\n", "      subjects: 5\n      budget: {bytes: 1023}\n",
      "grants.rules.support.budget.bytes: expected a size" },
    { "      subjects: 5\n", "      subjects: 5\n      budget: {}\n",
      "grants.rules.support.budget: expected rows, bytes or both" },
    { "      subjects: 5\n", "      subjects: 5\n      budget: {row: 5}\n",
      "unknown key \"row\"; did you mean \"rows\"" },
    { "minors: allowed", "minors: allowed\n    budget: {}",
      "grants.break_glass.budget: expected rows, bytes or both" },
    { "minors: allowed", "minors: allowed\n    budget: {rows: 9}", NULL },
    { "{per_day: 9}", "{per_day: 9}\n  subjects_per_day: 5", NULL },
    { "{per_day: 9}", "{per_day: 9}\n  subjects_per_day: 4",
      "grants.subjects_per_day: expected at least 5, as many as one request may name by "
      "grants.rules.support, found 4" },
    { "{per_day: 9}", "{per_day: 9}\n  subjects_per_day: 0",
      "subjects_per_day: expected a whole number from 1 to" },
    { "opened_by: signatures", "opened_by: administrator\n  subjects_per_day: 9",
      "grants.subjects_per_day: nobody looks" },
    /* beside an administrator */
    { "opened_by: signatures", "opened_by: administrator",
      "grants.rules: nobody looks at it where grants are opened by an administrator" },
    { "opened_by: signatures", "opened_by: administrator", "grants.break_glass: nobody looks" },
    { "opened_by: signatures", "opened_by: administrator", "grants.sensitive: nobody looks" },
    { "opened_by: signatures", "opened_by: administrator", "grants.bound: nobody looks" },
    { "opened_by: signatures", "opened_by: administrator", "grants.honey: nobody looks" },
    { "opened_by: signatures", "opened_by: administrator", "grants.denials: nobody looks" },
    { "opened_by: signatures", "opened_by: administrator", "grants.notices: nobody looks" },
    { "to_subjects: off", "to_subjects: never", "to_subjects: expected one of on, off" },
    { "hold: 30d", "hold: 367d", "hold: expected a time" },
    { "hold: 30d", "held: 30d", "grants.notices: unknown key \"held\"" },
    { "opened_by: signatures", "opened_by: anybody", "expected one of signatures, administrator" },
    /* find */
    { "{email: app", "{mail: app", "grants.find.by: expected email, phone or handle" },
    { "app.users.email", "app.user.email", "app.user is not among the tables" },
    { "app.users.email", "app.users.mail", "table app.users has no column \"mail\"" },
    { "app.users.email", "app.tags.name", "does not say whose it is" },
    { "app.users.email", "users.email", "expected SCHEMA.TABLE.COLUMN, found \"users.email\"" },
    { "app.users.email", "app.users.email.x", "expected SCHEMA.TABLE.COLUMN" },
    /* marks */
    { "times: on", "times: yes", "grants.marks.times: expected one of off, on, found \"yes\"" },
    { "on, per_day: 7", "on, per_day: 0",
      "grants.marks.per_day: expected a whole number from 1 to 10000" },
    { "{times: on, ", "{columns: on, ", "grants.marks" },
    /* the register */
    { "[0123456789abcdef", "[42, 0123456789abcdef",
      "grants.sensitive.subjects[0]: expected a SHA-256 as 64 hexadecimal digits" },
    { "[0123456789abcdef", "[0123456789ABCDEF", "expected a SHA-256" },
    { "    approvers: [{actors: [security]}]\n", "", "grants.sensitive: \"approvers\" is missing" },
    { "[2123456789abcdef", "[42, 2123456789abcdef",
      "grants.bound.security_incident.subjects[0]: expected a SHA-256" },
    { "{subjects: [2", "{persons: [2", "grants.bound.security_incident: unknown key \"persons\"" },
    { "bound: {security_incident", "bound: {security_incidents",
      "grants.bound: \"security_incidents\" is not a purpose of this policy; did you mean "
      "\"security_incident\"?" },
    { "bound: {security_incident", "bound: {debugging", "\"debugging\" is not a purpose" },
    { "bound: {security_incident", "bound: {\"de bugging\"", "as the name of whom a purpose" },
    /* break-glass */
    { "purposes: [security_incident]", "purposes: [support_ticket]",
      "grants.break_glass.purposes: expected security_incident or child_safety" },
    { "purposes: [security_incident]", "purposes: [child_safety]", NULL },
    { "ask: {actors: [security]}", "ask: {}", "grants.break_glass.ask: expected entities" },
    /* keys */
    { "\"" KEY_B "\"", "\"" KEY_A "\"",
      "actors.privacy.keys: this is also a key of \"analyst\"; everybody has his own" },
    { "\"" KEY_B "\"", "\"" KEY_B "\", \"" KEY_B " twice\"", "this is also a key of \"privacy\"" },
    { "\"" KEY_B "\"", "\"ssh-ed25519 AAAA\"",
      "actors.privacy.keys[0]: expected a public key of SSH such as" },
    { "\"" KEY_B "\"", "{key: x}", "expected a public key of SSH such as" },
    { "\"" KEY_B "\"", "\"no-pty " KEY_B "\"", "expected a public key of SSH such as" },
    { "app: {kind: service, ", "app: {keys: [\"" KEY_B "\"], kind: service, ",
      "actors.app.keys: a service signs nothing; only persons have keys" },
    /* rules that overlap are fine */
    { "  break_glass:\n", RULE_TWO, NULL },
    /* what nobody could ever meet */
    { "ask: {entities: [us], departments: [analytics], actors: []}", "ask: {entities: [cn]}",
      "grants.rules.support.ask: nobody could ever meet it: 1 needed, and 0 who fit it have a "
      "key" },
    { "{departments: [privacy], entities: []}", "{departments: [privacy], entities: [cn]}",
      "grants.rules.support.approvers[0]: nobody could ever meet it: 1 needed, and 0 fit it" },
    { "{departments: [privacy], entities: []}", "{departments: [spare]}",
      "approvers[0]: nobody could ever meet it: 1 needed, and 0 who fit it have a key" },
    { "{departments: [privacy], entities: []}", "{count: 2, departments: [privacy]}",
      "approvers[0]: nobody could ever meet it: 2 needed, and 1 fit it" },
    { "department: privacy,\n", "department: privacy, suspended: true,\n",
      "approvers[0]: nobody could ever meet it: 1 needed, and 0 who fit it are not suspended" },
    { "privacy: {kind: person, entity: us, place: US",
      "privacy: {kind: person, entity: us, place: CN",
      "approvers[0]: nobody could ever meet it: 1 needed, and 0 who fit it, with a key, are "
      "based" },
    { "{departments: [privacy], entities: []}", "{departments: [analytics]}",
      "grants.rules.support.approvers[0]: nobody could ever meet it: when \"analyst\" asks in "
      "region \"us\", not enough approve for anybody; of those who fit this group: 1 it is "
      "himself" },
    { "{departments: [privacy], entities: []}", "{departments: [security]}",
      "of those who fit this group: 1 taken, here or in another group" },
    { "privacy: {kind: person, entity: us, place: US",
      "privacy: {kind: person, entity: us, place: IE",
      "of those who fit this group: 1 not at home there" },
    { "reviewers: [{departments: [privacy]}]", "reviewers: [{departments: [spare]}]",
      "grants.break_glass.reviewers[0]: nobody could ever meet it" },
    { "    approvers: [{actors: [security]}]\n", "    approvers: [{actors: [away]}]\n",
      "grants.sensitive.approvers[0]: nobody could ever meet it" },
};

static char *edited(const char *text, const char *find, const char *replace)
{
    size_t room = strlen(text) + strlen(replace) + 1;
    const char *at = strstr(text, find);
    char *out = malloc(room);
    if (at == NULL)
        fail_msg("\"%s\" is not in the sample", find);
    assert_non_null(out);
    (void)snprintf(out, room, "%.*s%s%s", (int)(at - text), text, replace, at + strlen(find));
    return out;
}

static bool is_told(const struct mistakes *m, const char *says)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i].line > 0 && strstr(m->list[i].text, says) != NULL)
            return true;
    return false;
}

static void every_mistake_is_told_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(edits); i++) {
        struct mistakes m;
        char *text = edited(sample, edits[i].find, edits[i].replace);
        struct policy *p = parse(text, &m);
        bool is_right = edits[i].says == NULL ? p != NULL : is_told(&m, edits[i].says);
        if (!is_right) {
            mistakes_print(&m, stderr);
            fail_msg("\"%s\" for \"%s\": expected %s", edits[i].replace, edits[i].find,
                     edits[i].says != NULL ? edits[i].says : "no mistake");
        }
        policy_free(p);
        mistakes_done(&m);
        free(text);
    }
}

static void the_chain_of_command_is_counted_when_a_rule_could_be_met(void **state)
{
    struct mistakes m;
    char *chain = edited(sample, "department: privacy,", "department: privacy, manager: analyst,");
    char *excluded = edited(chain, "chain: allowed", "chain: excluded");
    (void)state;
    struct policy *p = parse(chain, &m);
    assert_non_null(p);
    policy_free(p);
    mistakes_done(&m);
    assert_null(parse(excluded, &m));
    assert_int_equal(m.count, 1);
    assert_true(is_told(&m, "of those who fit this group: 1 in his chain of command"));
    mistakes_done(&m);
    free(chain);
    free(excluded);
}

/* A demonstration's policy, or one that is being written: keys come later. */
static void without_any_key_a_rule_is_looked_at_as_if_all_had_one(void **state)
{
    struct mistakes m;
    static const char *const keys[] = { "keys: [\"" KEY_A " analyst@laptop\"]",
                                        "keys: [\"" KEY_B "\"]", "keys: [\"" KEY_C "\"]" };
    char *text = strdup(sample);
    (void)state;
    for (size_t i = 0; i < RF_COUNT(keys); i++) {
        char *next = edited(text, keys[i], "suspended: false");
        free(text);
        text = next;
    }
    struct policy *p = parse(text, &m);
    mistakes_print(&m, stderr);
    assert_non_null(p);
    policy_free(p);
    mistakes_done(&m);
    free(text);
}

static void an_administrator_needs_no_rules(void **state)
{
    struct mistakes m;
    char *cut = strndup(sample, (size_t)(strstr(sample, "  request_age") - sample));
    char *text = edited(cut, "opened_by: signatures", "opened_by: administrator");
    struct policy *p = parse(text, &m);
    (void)state;
    assert_non_null(p);
    assert_int_equal(p->grants->opened_by, GRANTS_BY_ADMINISTRATOR);
    policy_free(p);
    mistakes_done(&m);
    free(cut);
    free(text);
}

#ifdef RF_FAULTS
/* Every allocation in turn fails: a clean refusal, never a leak or half a policy. */
static void without_memory_there_are_no_grants(void **state)
{
    bool whole = false;
    (void)state;
    for (unsigned n = 1; n < 2000 && !whole; n++) {
        char spec[40];
        struct mistakes m;
        struct policy *p = NULL;
        (void)snprintf(spec, sizeof(spec), "mem.alloc:%u", n);
        mistakes_init(&m);
        fault_arm(spec);
        int rc = policy_parse("p", sample, strlen(sample), &p, &m);
        fault_arm(NULL);
        whole = rc == 0 && !mistakes_any(&m);
        assert_true(whole || (p == NULL && rc < 0 && mistakes_any(&m)));
        policy_free(p);
        mistakes_done(&m);
    }
    assert_true(whole);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_says_who_asks_for_what_and_who_approves),
        cmocka_unit_test(the_rest_of_grants_is_read_too),
        cmocka_unit_test(a_policy_that_says_nothing_of_grants_gives_none),
        cmocka_unit_test(a_person_has_the_keys_of_his_list),
        cmocka_unit_test(a_manager_is_found),
        cmocka_unit_test(every_mistake_is_told_with_its_line),
        cmocka_unit_test(the_chain_of_command_is_counted_when_a_rule_could_be_met),
        cmocka_unit_test(without_any_key_a_rule_is_looked_at_as_if_all_had_one),
        cmocka_unit_test(an_administrator_needs_no_rules),
#ifdef RF_FAULTS
        cmocka_unit_test(without_memory_there_are_no_grants),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
