#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "policy/decide.h"
#include "policy/mistakes.h"

static const char sample[] =
    "version: 1\n"
    "company: Clipstream\n"
    "jurisdictions: {US: [US], EU: [IE, DE]}\n"
    "regions:\n"
    "  us: {jurisdiction: US, place: US}\n"
    "  eu: {jurisdiction: EU, place: IE}\n"
    "entities: {clipstream: {country: US}}\n"
    "actors:\n"
    "  us_person: {kind: person, entity: clipstream, place: US}\n"
    "  ie_person: {kind: person, entity: clipstream, place: IE}\n"
    "  cn_person: {kind: person, entity: clipstream, place: CN}\n"
    "  suspended: {kind: person, entity: clipstream, place: US, suspended: true}\n"
    "  app_us:\n"
    "    {kind: service, entity: clipstream, place: US,\n"
    "     regions: {us: {from: [US], tables: write}}}\n"
    "  app_eu:\n"
    "    {kind: service, entity: clipstream, place: IE,\n"
    "     regions: {eu: {from: [IE, DE], tables: write}, us: {from: [IE], tables: read}}}\n"
    "tables:\n"
    "  app.tags: {columns: {name: none}}\n";

enum transport { TCP, UNIX };

/* Network and listener: a country; "." when it says `identity`; "-" when it is not in the policy.
   The rows hold every actor at home and abroad, through each kind of network and listener. */
static const struct row {
    const char *actor, *region, *gateway, *network, *listener;
    enum transport transport;
    enum rule rule;
    enum room room;
    const char *place; /* recorded */
} rows[] = {
    /* clang-format off */
    { "us_person", "us", "US", ".", ".", TCP, RULE_PERSON_AT_HOME, ROOM_MASKED, "US" },
    { "us_person", "us", "US", ".", "US", TCP, RULE_PERSON_AT_HOME, ROOM_MASKED, "US" },
    { "us_person", "us", "US", ".", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "us_person", "us", "US", ".", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "US" },
    { "us_person", "us", "US", "US", ".", TCP, RULE_PERSON_AT_HOME, ROOM_MASKED, "US" },
    { "us_person", "us", "US", "US", "US", TCP, RULE_PERSON_AT_HOME, ROOM_MASKED, "US" },
    { "us_person", "us", "US", "US", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "us_person", "us", "US", "US", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "US" },
    { "us_person", "us", "US", "IE", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "us_person", "us", "US", "IE", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "us_person", "us", "US", "IE", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "us_person", "us", "US", "IE", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "IE" },
    { "us_person", "us", "US", "CN", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "us_person", "us", "US", "CN", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "us_person", "us", "US", "CN", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "us_person", "us", "US", "CN", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "CN" },
    { "us_person", "us", "US", "-", ".", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "US" },
    { "us_person", "us", "US", "-", "US", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "US" },
    { "us_person", "us", "US", "-", "CN", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "CN" },
    { "us_person", "us", "US", "-", "-", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "US" },
    { "ie_person", "us", "US", ".", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", ".", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", ".", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", ".", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "IE" },
    { "ie_person", "us", "US", "US", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", "US", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", "US", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "ie_person", "us", "US", "US", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "IE" },
    { "ie_person", "us", "US", "IE", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", "IE", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", "IE", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", "IE", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "IE" },
    { "ie_person", "us", "US", "CN", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "ie_person", "us", "US", "CN", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "ie_person", "us", "US", "CN", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "ie_person", "us", "US", "CN", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "CN" },
    { "ie_person", "us", "US", "-", ".", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "ie_person", "us", "US", "-", "US", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "ie_person", "us", "US", "-", "CN", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "CN" },
    { "ie_person", "us", "US", "-", "-", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "cn_person", "us", "US", ".", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", ".", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", ".", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", ".", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "CN" },
    { "cn_person", "us", "US", "US", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", "US", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", "US", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", "US", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "CN" },
    { "cn_person", "us", "US", "CN", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", "CN", "US", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", "CN", "CN", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", "CN", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "CN" },
    { "app_us", "us", "US", ".", ".", TCP, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "US" },
    { "app_us", "us", "US", ".", "US", TCP, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "US" },
    { "app_us", "us", "US", ".", "CN", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "CN" },
    { "app_us", "us", "US", ".", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "US" },
    { "app_us", "us", "US", "US", ".", TCP, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "US" },
    { "app_us", "us", "US", "US", "US", TCP, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "US" },
    { "app_us", "us", "US", "US", "CN", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "CN" },
    { "app_us", "us", "US", "US", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "US" },
    { "app_us", "us", "US", "IE", ".", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "IE" },
    { "app_us", "us", "US", "IE", "US", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "IE" },
    { "app_us", "us", "US", "IE", "CN", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "IE" },
    { "app_us", "us", "US", "IE", "-", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "IE" },
    { "app_us", "us", "US", "CN", ".", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_us", "us", "US", "CN", "US", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_us", "us", "US", "CN", "CN", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_us", "us", "US", "CN", "-", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_us", "us", "US", "-", ".", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "US" },
    { "app_us", "us", "US", "-", "US", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "US" },
    { "app_us", "us", "US", "-", "CN", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "CN" },
    { "app_us", "us", "US", "-", "-", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "US" },
    { "app_eu", "us", "US", ".", ".", TCP, RULE_SERVICE_ABROAD, ROOM_CLEAR, "IE" },
    { "app_eu", "us", "US", ".", "US", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", ".", "CN", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", ".", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "US", ".", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "US", "US", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "US", "CN", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "us", "US", "US", "-", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "IE", ".", TCP, RULE_SERVICE_ABROAD, ROOM_CLEAR, "IE" },
    { "app_eu", "us", "US", "IE", "US", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "IE", "CN", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "IE", "-", TCP, RULE_LISTENER_MISSING, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "CN", ".", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "us", "US", "CN", "US", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "us", "US", "CN", "CN", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "us", "US", "CN", "-", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "us", "US", "-", ".", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "-", "US", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "-", "CN", TCP, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "us", "US", "-", "-", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "us_person", "eu", "IE", ".", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "us_person", "eu", "IE", ".", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "us_person", "eu", "IE", "US", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "us_person", "eu", "IE", "US", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "us_person", "eu", "IE", "IE", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "us_person", "eu", "IE", "IE", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "us_person", "eu", "IE", "CN", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "us_person", "eu", "IE", "CN", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "us_person", "eu", "IE", "-", ".", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "US" },
    { "us_person", "eu", "IE", "-", "DE", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "US" },
    { "ie_person", "eu", "IE", ".", ".", TCP, RULE_PERSON_AT_HOME, ROOM_MASKED, "IE" },
    { "ie_person", "eu", "IE", ".", "DE", TCP, RULE_PERSON_AT_HOME, ROOM_MASKED, "IE" },
    { "ie_person", "eu", "IE", "US", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "ie_person", "eu", "IE", "US", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "ie_person", "eu", "IE", "IE", ".", TCP, RULE_PERSON_AT_HOME, ROOM_MASKED, "IE" },
    { "ie_person", "eu", "IE", "IE", "DE", TCP, RULE_PERSON_AT_HOME, ROOM_MASKED, "IE" },
    { "ie_person", "eu", "IE", "CN", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "ie_person", "eu", "IE", "CN", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "ie_person", "eu", "IE", "-", ".", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "ie_person", "eu", "IE", "-", "DE", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "cn_person", "eu", "IE", ".", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "eu", "IE", ".", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "eu", "IE", "US", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "cn_person", "eu", "IE", "US", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "US" },
    { "cn_person", "eu", "IE", "CN", ".", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "eu", "IE", "CN", "DE", TCP, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "app_us", "eu", "IE", ".", ".", TCP, RULE_SERVICE_REGION, ROOM_NONE, "US" },
    { "app_us", "eu", "IE", ".", "DE", TCP, RULE_SERVICE_REGION, ROOM_NONE, "US" },
    { "app_us", "eu", "IE", "US", ".", TCP, RULE_SERVICE_REGION, ROOM_NONE, "US" },
    { "app_us", "eu", "IE", "US", "DE", TCP, RULE_SERVICE_REGION, ROOM_NONE, "US" },
    { "app_us", "eu", "IE", "IE", ".", TCP, RULE_SERVICE_REGION, ROOM_NONE, "US" },
    { "app_us", "eu", "IE", "IE", "DE", TCP, RULE_SERVICE_REGION, ROOM_NONE, "US" },
    { "app_us", "eu", "IE", "CN", ".", TCP, RULE_SERVICE_REGION, ROOM_NONE, "CN" },
    { "app_us", "eu", "IE", "CN", "DE", TCP, RULE_SERVICE_REGION, ROOM_NONE, "CN" },
    { "app_us", "eu", "IE", "-", ".", TCP, RULE_SERVICE_REGION, ROOM_NONE, "US" },
    { "app_us", "eu", "IE", "-", "DE", TCP, RULE_SERVICE_REGION, ROOM_NONE, "US" },
    { "app_eu", "eu", "IE", ".", ".", TCP, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "IE" },
    { "app_eu", "eu", "IE", ".", "DE", TCP, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "IE" },
    { "app_eu", "eu", "IE", "US", ".", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "US" },
    { "app_eu", "eu", "IE", "US", "DE", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "US" },
    { "app_eu", "eu", "IE", "IE", ".", TCP, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "IE" },
    { "app_eu", "eu", "IE", "IE", "DE", TCP, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "IE" },
    { "app_eu", "eu", "IE", "CN", ".", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "eu", "IE", "CN", "DE", TCP, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "eu", "IE", "-", ".", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "app_eu", "eu", "IE", "-", "DE", TCP, RULE_NETWORK_MISSING, ROOM_NONE, "IE" },
    { "us_person", "us", "US", "-", "-", UNIX, RULE_PERSON_AT_HOME, ROOM_MASKED, "US" },
    { "us_person", "us", "US", "-", "CN", UNIX, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "ie_person", "us", "US", "-", "-", UNIX, RULE_PERSON_ABROAD, ROOM_STATS, "IE" },
    { "ie_person", "us", "US", "-", "CN", UNIX, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", "-", "-", UNIX, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "cn_person", "us", "US", "-", "CN", UNIX, RULE_PERSON_ABROAD, ROOM_STATS, "CN" },
    { "app_us", "us", "US", "-", "-", UNIX, RULE_SERVICE_AT_HOME, ROOM_CLEAR, "US" },
    { "app_us", "us", "US", "-", "CN", UNIX, RULE_SERVICE_LISTENER_PLACE, ROOM_NONE, "CN" },
    { "app_eu", "us", "US", "-", "-", UNIX, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "IE" },
    { "app_eu", "us", "US", "-", "CN", UNIX, RULE_SERVICE_NETWORK_PLACE, ROOM_NONE, "CN" },
    { "us_person", "us", "IE", ".", ".", TCP, RULE_REGION_NOT_HERE, ROOM_NONE, "US" },
    { "app_us", "us", "IE", ".", ".", TCP, RULE_REGION_NOT_HERE, ROOM_NONE, "US" },
    { "us_person", "eu", "US", ".", ".", TCP, RULE_REGION_NOT_HERE, ROOM_NONE, "US" },
    { "app_us", "eu", "US", ".", ".", TCP, RULE_REGION_NOT_HERE, ROOM_NONE, "US" },
    { "us_person", "us", "CN", ".", ".", TCP, RULE_REGION_NOT_HERE, ROOM_NONE, "US" },
    { "app_us", "us", "CN", ".", ".", TCP, RULE_REGION_NOT_HERE, ROOM_NONE, "US" },
    /* clang-format on */
};

static struct policy *policy;

static int setup(void **state)
{
    struct mistakes m;
    (void)state;
    mistakes_init(&m);
    int rc = policy_parse("policy", sample, strlen(sample), &policy, &m);
    mistakes_print(&m, stderr);
    mistakes_done(&m);
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    policy_free(policy);
    return 0;
}

static struct place place_of(const char *code)
{
    struct place p = { "" };
    (void)snprintf(p.code, sizeof(p.code), "%.2s", code);
    return p;
}

static const struct policy_network *says(const char *code, struct policy_network *storage)
{
    if (strcmp(code, "-") == 0)
        return NULL;
    *storage = (struct policy_network){ .place = place_of(code[0] == '.' ? "" : code) };
    return storage;
}

static struct decision decide_row(const struct row *row)
{
    struct policy_network network, listener;
    struct decide_facts facts = {
        .actor = policy_actor_find(policy, row->actor),
        .region = policy_region_find(policy, row->region),
        .gateway_place = place_of(row->gateway),
        .network = says(row->network, &network),
        .listener = says(row->listener, &listener),
        .has_client_address = row->transport == TCP,
    };
    return decide_session(policy, &facts);
}

static void every_row_is_decided_by_its_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        struct decision d = decide_row(row);
        if (d.rule != row->rule || d.room != row->room || strcmp(d.place.code, row->place) != 0)
            fail_msg("row %zu (%s to %s): %s, room %s, place \"%s\"; expected %s", i, row->actor,
                     row->region, decide_rule_name(d.rule), policy_room_name(d.room), d.place.code,
                     decide_rule_name(row->rule));
        assert_int_equal(d.verdict, decide_rule_verdict(d.rule));
        assert_true((d.verdict == VERDICT_ALLOW) == (d.room != ROOM_NONE));
        assert_true((d.access != NULL) == (d.room == ROOM_CLEAR));
    }
}

static void a_person_never_sees_clear_rows_and_abroad_never_masked_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct decision d = decide_row(&rows[i]);
        bool service = strncmp(rows[i].actor, "app_", 4) == 0;
        assert_true(service || d.room != ROOM_CLEAR);
        assert_true(d.room != ROOM_MASKED || d.at_home);
        assert_true(!d.at_home ||
                    policy_is_home(policy_region_find(policy, rows[i].region), d.place));
    }
}

static struct decide_facts good_facts(void)
{
    static struct policy_network nowhere;
    return (struct decide_facts){ .actor = policy_actor_find(policy, "us_person"),
                                  .region = policy_region_find(policy, "us"),
                                  .gateway_place = { "US" },
                                  .network = &nowhere,
                                  .listener = &nowhere,
                                  .has_client_address = true };
}

static void nothing_known_is_a_denial(void **state)
{
    struct decide_facts facts = { 0 };
    (void)state;
    struct decision d = decide_session(policy, &facts);
    assert_int_equal(d.rule, RULE_ACTOR_UNKNOWN);
    assert_int_equal(d.verdict, VERDICT_DENY);
    assert_int_equal(d.room, ROOM_NONE);
    assert_string_equal(d.place.code, "");
    assert_false(d.at_home);
}

static void an_unknown_actor_is_recorded_with_the_place_of_its_network(void **state)
{
    struct decide_facts facts = good_facts();
    struct policy_network cn = { .place = { "CN" } };
    (void)state;
    facts.actor = NULL;
    facts.network = &cn;
    struct decision d = decide_session(policy, &facts);
    assert_int_equal(d.rule, RULE_ACTOR_UNKNOWN);
    assert_string_equal(decide_rule_sqlstate(d.rule), "28000");
    assert_string_equal(d.place.code, "CN");
}

static void a_suspended_actor_is_refused_everywhere(void **state)
{
    struct decide_facts facts = good_facts();
    (void)state;
    facts.actor = policy_actor_find(policy, "suspended");
    assert_int_equal(decide_session(policy, &facts).rule, RULE_ACTOR_SUSPENDED);
    facts.region = NULL;
    assert_int_equal(decide_session(policy, &facts).rule, RULE_ACTOR_SUSPENDED);
    facts = good_facts();
    assert_int_equal(decide_session(policy, &facts).verdict, VERDICT_ALLOW);
    facts.is_suspended = true; /* not by the policy, but in the region */
    assert_int_equal(decide_session(policy, &facts).rule, RULE_ACTOR_SUSPENDED);
}

static void a_region_that_is_not_served_has_its_own_state(void **state)
{
    struct decide_facts facts = good_facts();
    (void)state;
    facts.region = NULL;
    struct decision d = decide_session(policy, &facts);
    assert_int_equal(d.rule, RULE_REGION_UNKNOWN);
    assert_string_equal(decide_rule_sqlstate(d.rule), "3D000");
    assert_false(d.at_home);
}

static void a_gateway_without_a_place_serves_nobody(void **state)
{
    struct decide_facts facts = good_facts();
    (void)state;
    facts.gateway_place = (struct place){ "" };
    struct decision d = decide_session(policy, &facts);
    assert_int_equal(d.rule, RULE_GATEWAY_PLACE_MISSING);
    assert_int_equal(d.verdict, VERDICT_MISSING);
    assert_int_equal(d.room, ROOM_NONE);
}

static void an_actor_without_a_place_or_kind_is_refused(void **state)
{
    struct decide_facts facts = good_facts();
    struct policy_actor actor = *facts.actor;
    (void)state;
    facts.actor = &actor;
    actor.place = (struct place){ "" };
    struct decision d = decide_session(policy, &facts);
    assert_int_equal(d.verdict, VERDICT_MISSING);
    actor = *policy_actor_find(policy, "us_person");
    actor.kind = ACTOR_NONE;
    assert_int_equal(decide_session(policy, &facts).rule, RULE_POLICY_BROKEN);
}

static void rooms_follow_the_policy_and_never_open_clear_rows(void **state)
{
    struct decide_facts facts = good_facts();
    struct policy other = *policy;
    struct policy_network cn = { .place = { "CN" } };
    (void)state;
    other.room_home = ROOM_STATS;
    other.room_abroad = ROOM_NONE;
    struct decision d = decide_session(&other, &facts);
    assert_int_equal(d.room, ROOM_STATS);
    assert_int_equal(d.rule, RULE_PERSON_AT_HOME);
    facts.listener = &cn;
    d = decide_session(&other, &facts);
    assert_int_equal(d.rule, RULE_PERSON_NO_ROOM);
    assert_int_equal(d.verdict, VERDICT_DENY);
    other.room_abroad = ROOM_CLEAR;
    d = decide_session(&other, &facts);
    assert_int_equal(d.rule, RULE_POLICY_BROKEN);
    assert_int_equal(d.room, ROOM_NONE);
}

static void a_grant_is_for_a_person_at_home_whose_room_is_masked(void **state)
{
    static struct policy_network cn = { .place = { "CN" } };
    static const struct {
        const char *actor;
        enum decide_grant grant;
        bool from_abroad;
        enum rule rule;
        enum room room;
    } cases[] = {
        { "us_person", DECIDE_GRANT_NONE, false, RULE_PERSON_AT_HOME, ROOM_MASKED },
        { "us_person", DECIDE_GRANT_OPEN, false, RULE_PERSON_GRANTED, ROOM_GRANTED },
        { "us_person", DECIDE_GRANT_UNKNOWN, false, RULE_GRANT_UNKNOWN, ROOM_NONE },
        { "us_person", DECIDE_GRANT_ENDED, false, RULE_GRANT_ENDED, ROOM_NONE },
        { "us_person", DECIDE_GRANT_MISSING, false, RULE_GRANT_MISSING, ROOM_NONE },
        { "us_person", DECIDE_GRANT_OPEN, true, RULE_GRANT_AT_HOME_ONLY, ROOM_NONE },
        { "us_person", DECIDE_GRANT_UNKNOWN, true, RULE_GRANT_AT_HOME_ONLY, ROOM_NONE },
        { "us_person", DECIDE_GRANT_MISSING, true, RULE_GRANT_AT_HOME_ONLY, ROOM_NONE },
        { "ie_person", DECIDE_GRANT_OPEN, false, RULE_GRANT_AT_HOME_ONLY, ROOM_NONE },
        { "suspended", DECIDE_GRANT_OPEN, false, RULE_ACTOR_SUSPENDED, ROOM_NONE },
        { "app_us", DECIDE_GRANT_NONE, false, RULE_SERVICE_AT_HOME, ROOM_CLEAR },
        { "app_us", DECIDE_GRANT_OPEN, false, RULE_GRANT_PERSONS_ONLY, ROOM_NONE },
        { "nobody", DECIDE_GRANT_OPEN, false, RULE_ACTOR_UNKNOWN, ROOM_NONE },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct decide_facts facts = good_facts();
        facts.actor = policy_actor_find(policy, cases[i].actor);
        facts.grant = cases[i].grant;
        if (cases[i].from_abroad)
            facts.listener = &cn;
        struct decision d = decide_session(policy, &facts);
        if (d.rule != cases[i].rule || d.room != cases[i].room)
            fail_msg("case %zu: %s, room %s", i, decide_rule_name(d.rule),
                     policy_room_name(d.room));
    }
}

static void a_policy_that_shows_no_masked_rows_opens_no_grant(void **state)
{
    struct decide_facts facts = good_facts();
    struct policy other = *policy;
    (void)state;
    other.room_home = ROOM_STATS;
    facts.grant = DECIDE_GRANT_OPEN;
    assert_int_equal(decide_session(&other, &facts).rule, RULE_GRANT_ROOM);
    facts.listener = NULL;
    assert_int_equal(decide_session(policy, &facts).rule, RULE_LISTENER_MISSING);
}

static void every_rule_has_a_name_a_state_and_a_sentence(void **state)
{
    (void)state;
    for (int one = 0; one < RULE_COUNT; one++) {
        enum rule rule = (enum rule)one;
        assert_int_equal(strlen(decide_rule_sqlstate(rule)), 5);
        assert_true(strlen(decide_rule_sentence(rule)) > 10);
        assert_true((strcmp(decide_rule_sqlstate(rule), "00000") == 0) ==
                    (decide_rule_verdict(rule) == VERDICT_ALLOW));
        assert_int_equal(strspn(decide_rule_name(rule), "abcdefghijklmnopqrstuvwxyz-"),
                         strlen(decide_rule_name(rule)));
        for (int other = 0; other < one; other++)
            assert_string_not_equal(decide_rule_name(rule), decide_rule_name((enum rule)other));
    }
    assert_string_equal(decide_rule_name((enum rule)(RULE_COUNT + 5)), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_decided_by_its_rule),
        cmocka_unit_test(a_person_never_sees_clear_rows_and_abroad_never_masked_ones),
        cmocka_unit_test(nothing_known_is_a_denial),
        cmocka_unit_test(an_unknown_actor_is_recorded_with_the_place_of_its_network),
        cmocka_unit_test(a_suspended_actor_is_refused_everywhere),
        cmocka_unit_test(a_region_that_is_not_served_has_its_own_state),
        cmocka_unit_test(a_gateway_without_a_place_serves_nobody),
        cmocka_unit_test(an_actor_without_a_place_or_kind_is_refused),
        cmocka_unit_test(rooms_follow_the_policy_and_never_open_clear_rows),
        cmocka_unit_test(a_grant_is_for_a_person_at_home_whose_room_is_masked),
        cmocka_unit_test(a_policy_that_shows_no_masked_rows_opens_no_grant),
        cmocka_unit_test(every_rule_has_a_name_a_state_and_a_sentence),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
