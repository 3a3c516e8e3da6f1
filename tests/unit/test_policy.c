#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "policy/mistakes.h"
#include "policy/policy.h"

static const char sample[] =
    "version: 1\n"
    "company: Clipstream\n"
    "jurisdictions:\n"
    "  US: [US]\n"
    "  EU: [IE, DE]\n"
    "regions:\n"
    "  us-virginia: {jurisdiction: US, place: US}\n"
    "  eu-dublin: {jurisdiction: EU, place: IE, persons_on_primary: accept, "
    "functions: listed}\n"
    "entities:\n"
    "  clipstream-us: {country: US}\n"
    "listeners:\n"
    "  main: {address: 127.0.0.1, place: identity}\n"
    "networks:\n"
    "  office: {range: 10.0.0.0/8, place: US}\n"
    "  lab: {range: 10.9.0.0/16, place: CN}\n"
    "  six: {range: \"2001:db8::/33\", place: IE}\n"
    "actors:\n"
    "  boss: {kind: person, entity: clipstream-us, place: US}\n"
    "  us_analyst: {kind: person, entity: clipstream-us, place: US, department: analytics, "
    "manager: boss, certificate: analyst.crt}\n"
    "  app_us:\n"
    "    kind: service\n"
    "    entity: clipstream-us\n"
    "    place: US\n"
    "    regions:\n"
    "      us-virginia: {from: [US], tables: write}\n"
    "      eu-dublin: {from: [US, IE], tables: {app.users: read, app.tags: write}}\n"
    "tables:\n"
    "  app.users:\n"
    "    subject: id\n"
    "    residency: residency\n"
    "    birthdate: birthdate\n"
    "    columns:\n"
    "      id: identity\n"
    "      handle: identity\n"
    "      email: contact\n"
    "      birthdate: {class: identity, mask: year}\n"
    "      residency: none\n"
    "      created_at: activity\n"
    "      lat: location\n"
    "      title: content\n"
    "      friend: graph\n"
    "      cents: {class: payment, mask: coarse, step: 500}\n"
    "  app.tags:\n"
    "    columns: {name: none}\n"
    "statistics:\n"
    "  users_by_month:\n"
    "    table: app.users\n"
    "    dimensions: {residency: residency, month: {column: created_at, cut: month}, "
    "born: {column: birthdate, cut: year}}\n"
    "    measures: {users: count_subjects, rows: count_rows, spend: {sum: cents}}\n"
    "    minimum: 20\n";

static struct policy *parse(const char *text, size_t len, struct mistakes *m)
{
    struct policy *p = NULL;
    mistakes_init(m);
    int rc = policy_parse("policy.yaml", text, len, &p, m);
    assert_true((rc == 0) == (p != NULL));
    assert_true((rc == 0) == !mistakes_any(m));
    return p;
}

static struct policy *sample_policy(void)
{
    struct mistakes m;
    struct policy *p = parse(sample, strlen(sample), &m);
    mistakes_print(&m, stderr);
    assert_non_null(p);
    mistakes_done(&m);
    return p;
}

static void regions_know_their_home(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_region *us = policy_region_find(p, "us-virginia");
    const struct policy_region *eu = policy_region_find(p, "eu-dublin");
    (void)state;
    assert_string_equal(us->home->name, "US");
    assert_true(policy_is_home(us, (struct place){ "US" }));
    assert_false(policy_is_home(us, (struct place){ "IE" }));
    assert_false(policy_is_home(us, (struct place){ "" }));
    assert_false(policy_is_home(NULL, (struct place){ "US" }));
    assert_true(policy_is_home(eu, (struct place){ "DE" }));
    assert_false(us->persons_on_primary);
    assert_true(eu->persons_on_primary);
    assert_false(us->functions_listed);
    assert_true(eu->functions_listed);
    assert_null(policy_region_find(p, "us-virgini"));
    assert_null(policy_region_find(p, "us-virginia2"));
    policy_free(p);
}

static void actors_are_found_whole_and_byte_by_byte(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_actor *a = policy_actor_find(p, "us_analyst");
    (void)state;
    assert_int_equal(a->kind, ACTOR_PERSON);
    assert_string_equal(a->entity->name, "clipstream-us");
    assert_string_equal(a->place.code, "US");
    assert_string_equal(a->department, "analytics");
    assert_string_equal(a->manager, "boss");
    assert_false(a->suspended);
    assert_ptr_equal(policy_actor_by_cn(p, "analyst.crt"), a);
    assert_null(policy_actor_by_cn(p, "us_analyst"));
    assert_null(policy_actor_by_cn(p, ""));
    assert_null(policy_actor_find(p, "US_ANALYST"));
    assert_null(policy_actor_find(p, "us_analys"));
    assert_null(policy_actor_find(p, ""));
    policy_free(p);
}

static void a_service_lists_regions_places_and_tables(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_actor *a = policy_actor_find(p, "app_us");
    (void)state;
    assert_int_equal(a->access_count, 2);
    assert_ptr_equal(a->access[0].region, policy_region_find(p, "us-virginia"));
    assert_int_equal(a->access[0].all_tables, TABLE_WRITE);
    assert_int_equal(a->access[0].table_count, 0);
    assert_int_equal(a->access[1].all_tables, TABLE_NONE);
    assert_int_equal(a->access[1].from_count, 2);
    assert_string_equal(a->access[1].from[1].code, "IE");
    assert_int_equal(a->access[1].table_count, 2);
    assert_string_equal(a->access[1].tables[0].schema, "app");
    assert_string_equal(a->access[1].tables[0].table, "users");
    assert_int_equal(a->access[1].tables[0].access, TABLE_READ);
    assert_int_equal(a->access[1].tables[1].access, TABLE_WRITE);
    policy_free(p);
}

static const struct policy_column *column(const struct policy_table *t, const char *name)
{
    for (size_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    fail_msg("no column %s", name);
    return NULL;
}

static void columns_get_the_masks_of_their_classes(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_table *t = policy_table_find(p, "app", "users");
    (void)state;
    assert_non_null(t);
    assert_null(policy_table_find(p, "public", "users"));
    assert_int_equal(column(t, "id")->mask, MASK_PSEUDONYM);
    assert_string_equal(column(t, "id")->domain, "subject");
    assert_string_equal(column(t, "handle")->domain, "app.users.handle");
    assert_int_equal(column(t, "email")->mask, MASK_REDACT);
    assert_int_equal(column(t, "birthdate")->mask, MASK_YEAR);
    assert_int_equal(column(t, "residency")->mask, MASK_CLEAR);
    assert_int_equal(column(t, "created_at")->mask, MASK_DAY);
    assert_int_equal(column(t, "lat")->mask, MASK_NULL);
    assert_int_equal(column(t, "title")->mask, MASK_NULL);
    assert_int_equal(column(t, "friend")->mask, MASK_NULL);
    assert_int_equal(column(t, "cents")->mask, MASK_COARSE);
    assert_int_equal(column(t, "cents")->step, 500);
    assert_null(column(t, "email")->domain);
    assert_int_equal(column(t, "email")->line, 35);
    policy_free(p);
}

static void a_table_has_one_subject_several_or_one_through_another(void **state)
{
    static const char shapes[] =
        "  app.tags:\n"
        "    subjects: [a, {column: b, through: app.users}, c]\n"
        "    residency: home\n"
        "    retention: {column: at, keep: 30 days}\n"
        "    columns: {a: identity, b: activity, c: graph, home: none, at: activity}\n"
        "  app.seen:\n"
        "    kind: view\n"
        "    subject: {column: b, through: app.tags, key: k}\n"
        "    columns: {b: identity}\n"
        "statistics:\n";
    const char *tags = strstr(sample, "  app.tags:\n"), *rest = strstr(sample, "statistics:\n");
    char *text;
    struct mistakes m;
    (void)state;
    assert_true(asprintf(&text, "%.*s%s%s", (int)(tags - sample), sample, shapes,
                         rest + strlen("statistics:\n")) > 0);
    struct policy *p = parse(text, strlen(text), &m);
    mistakes_print(&m, stderr);
    assert_non_null(p);
    const struct policy_table *users = policy_table_find(p, "app", "users");
    const struct policy_table *t = policy_table_find(p, "app", "tags");
    assert_string_equal(p->file, "policy.yaml");
    assert_int_equal(users->subject_count, 1);
    assert_string_equal(users->subject, "id");
    assert_int_equal(users->retention_days, 0);
    assert_null(users->retention_column);
    assert_int_equal(t->subject_count, 3);
    assert_string_equal(t->subject, "a");
    assert_ptr_equal(t->subjects[1].through, users);
    assert_null(t->subjects[1].key);
    assert_string_equal(t->columns[0].domain, "subject");
    assert_int_equal(t->columns[2].mask, MASK_NULL);
    assert_ptr_equal(t->columns[2].table, t);
    assert_string_equal(t->retention_column, "at");
    assert_int_equal(t->retention_days, 30);
    const struct policy_table *seen = policy_table_find(p, "app", "seen");
    assert_true(seen->is_view && !t->is_view);
    assert_null(seen->subject);
    assert_string_equal(seen->subjects[0].key, "k");
    assert_ptr_equal(seen->subjects[0].through, t);
    policy_free(p);
    mistakes_done(&m);
    free(text);
}

static void a_service_cannot_be_given_a_view_to_write(void **state)
{
    const char *tags = strstr(sample, "    columns: {name: none}\n");
    char *text;
    struct mistakes m;
    (void)state;
    assert_true(asprintf(&text, "%.*s    kind: view\n%s", (int)(tags - sample), sample, tags) > 0);
    assert_null(parse(text, strlen(text), &m));
    assert_int_equal(m.count, 1);
    assert_non_null(strstr(m.list[0].text, "actors.app_us: app.tags is a view and read only"));
    assert_int_equal(m.list[0].line, 26);
    mistakes_done(&m);
    free(text);
}

static void statistics_have_dimensions_and_measures(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_statistic *s = &p->statistics[0];
    (void)state;
    assert_int_equal(p->statistic_count, 1);
    assert_ptr_equal(s->table, policy_table_find(p, "app", "users"));
    assert_int_equal(s->minimum, 20);
    assert_int_equal(s->dimension_count, 3);
    assert_int_equal(s->dimensions[0].mask, MASK_CLEAR);
    assert_true(s->dimensions[1].month);
    assert_string_equal(s->dimensions[1].column, "created_at");
    assert_string_equal(s->dimensions[1].name, "month");
    assert_int_equal(s->dimensions[2].mask, MASK_YEAR);
    assert_int_equal(s->measure_count, 3);
    assert_int_equal(s->measures[0].what, MEASURE_COUNT_SUBJECTS);
    assert_int_equal(s->measures[2].what, MEASURE_SUM);
    assert_string_equal(s->measures[2].column, "cents");
    policy_free(p);
}

static const char *network_of(const struct policy *p, const char *text)
{
    struct in6_addr address;
    char mapped[80];
    (void)snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') == NULL ? "::ffff:" : "",
                   text);
    assert_int_equal(inet_pton(AF_INET6, mapped, &address), 1);
    const struct policy_network *n = policy_network_of(p->networks, p->network_count, &address);
    return n != NULL ? n->name : "nothing";
}

static void the_longest_range_says_where_an_address_is(void **state)
{
    struct policy *p = sample_policy();
    (void)state;
    assert_string_equal(network_of(p, "10.1.2.3"), "office");
    assert_string_equal(network_of(p, "10.9.255.255"), "lab");
    assert_string_equal(network_of(p, "10.10.0.0"), "office");
    assert_string_equal(network_of(p, "11.0.0.0"), "nothing");
    assert_string_equal(network_of(p, "2001:db8:7fff::1"), "six");
    assert_string_equal(network_of(p, "2001:db8:8000::1"), "nothing");
    assert_string_equal(network_of(p, "::a00:1"), "nothing"); /* 10.0.0.1, but not mapped */
    policy_free(p);
}

static void a_range_of_all_ipv6_holds_no_ipv4_address(void **state)
{
    struct policy_network all = { .name = (char *)"all" };
    struct policy p = { .networks = &all, .network_count = 1 };
    (void)state;
    assert_string_equal(network_of(&p, "2001:db8::1"), "all");
    assert_string_equal(network_of(&p, "203.0.113.9"), "nothing");
    all.range.address.s6_addr[10] = all.range.address.s6_addr[11] = 0xff;
    all.range.prefix_len = 96; /* 0.0.0.0/0 */
    assert_string_equal(network_of(&p, "2001:db8::1"), "nothing");
    assert_string_equal(network_of(&p, "203.0.113.9"), "all");
}

static void the_digest_is_of_the_bytes(void **state)
{
    struct policy *p = sample_policy(), *q;
    struct mistakes m;
    char *text = malloc(sizeof(sample) + 8);
    (void)state;
    assert_non_null(text);
    (void)snprintf(text, sizeof(sample) + 8, "%s# x\n", sample);
    q = parse(text, strlen(text), &m);
    assert_non_null(q);
    assert_memory_not_equal(p->digest, q->digest, sizeof(p->digest));
    policy_free(q);
    q = sample_policy();
    assert_memory_equal(p->digest, q->digest, sizeof(p->digest));
    policy_free(q);
    policy_free(p);
    mistakes_done(&m);
    free(text);
}

static const struct {
    const char *find, *replace;
    const char *says; /* NULL: this is right */
} edits[] = {
    { "version: 1", "version: 2", "version: expected 1, found \"2\"" },
    { "version: 1\n", "", "\"version\" is missing" },
    { "company: Clipstream", "company: [x]", "company: expected one value, found a list" },
    { "company: Clipstream", "company: x\nadult_age: 12", "adult_age: expected a whole number" },
    { "company: Clipstream", "company: x\nadult_age: 21", NULL },
    { "company: Clipstream", "company: x\nrooms: {home: clear}", "rooms.home: expected one of" },
    { "company: Clipstream", "company: x\nrooms: {home: stats, abroad: none}", NULL },
    { "company: Clipstream", "company: x\npurposes: [debugging, fun]",
      "purposes[1]: expected one" },
    { "company: Clipstream", "company: x\npurposes: [debugging, debugging]", "is listed twice" },
    { "US: [US]", "US: [US, US]", "jurisdictions.US: country US is listed twice" },
    { "US: [US]", "US: []", "jurisdictions.US: expected a list of 1 to 300" },
    { "US: [US]", "US: [{country: US}]", "jurisdictions.US[0]: expected one value, found a map" },
    { "jurisdiction: US, ", "jurisdiction: UK, ", "expected the name of a jurisdiction" },
    { "jurisdiction: US, ", "", "regions.us-virginia: \"jurisdiction\" is missing" },
    { "place: US}\n  eu", "place: IE}\n  eu", "IE is not in jurisdiction \"US\"" },
    { "accept", "true", "persons_on_primary: expected accept" },
    { "functions: listed", "functions: all", "functions: expected one of allowed, listed" },
    { "clipstream-us: {country: US}", "clipstream-us: US", "entities.clipstream-us: expected an" },
    { "10.9.0.0/16", "10.0.0.0/8", "networks.lab: the same range as \"office\"" },
    { "10.9.0.0/16", "10.9.0.1/16", "networks.lab.range: expected a range" },
    { "10.9.0.0/16", "10.9.0.0/33", "networks.lab.range: expected a range" },
    { "place: CN}", "place: home}", "or identity, found \"home\"" },
    { "{address: 127.0.0.1,", "{address: 127.0.0.0/8,", "listeners.main.address: expected an" },
    { "{address: 127.0.0.1,", "{address: 127.0.0.1, range: 127.0.0.1/32,", "found both" },
    { "{address: 127.0.0.1,", "{", "listeners.main: expected \"address\" or \"range\"" },
    { "boss: {", "Boss: {", "names of actors are lower case" },
    { "boss: {", "pg_boss: {", "actors.pg_boss: this name is reserved" },
    { "boss: {", "postgres: {", "this name is reserved" },
    { "boss: {", "boss.x: {", "expected a letter, then letters" },
    { "boss: {kind: person, entity: clipstream-us", "boss: {kind: person",
      "actors.boss: \"entity\" is missing" },
    { "boss: {kind: person, entity: clipstream-us", "boss: {kind: person, entity: clipstream-uk",
      "did you mean \"clipstream-us\"?" },
    { "boss: {kind: person", "boss: {kind: person, manager: us_analyst", "chain of managers" },
    { "boss: {kind: person", "boss: {kind: person, manager: boss", "chain of managers" },
    { "boss: {kind: person", "boss: {kind: person, manager: nobody", "the name of an actor" },
    { "boss: {kind: person", "boss: {kind: person, manager: app_us", "\"app_us\" is a service" },
    { "boss: {kind: person", "boss: {kind: person, certificate: analyst.crt",
      "also the certificate of" },
    { "boss: {kind: person", "boss: {kind: person, suspended: yes", "suspended: expected one of" },
    { "boss: {kind: person", "boss: {kind: person, suspended: true", NULL },
    { "boss: {kind: person", "boss: {kind: service", "a service needs \"regions\"" },
    { "boss: {kind: person",
      "boss: {kind: person, regions: {eu-dublin: {from: [US], tables: read}}",
      "a person has no \"regions\"" },
    { "    kind: service\n", "    kind: service\n    department: x\n", "has no department" },
    { "      us-virginia: {from", "      us-verginia: {from", "did you mean \"us-virginia\"?" },
    { "{from: [US], tables: write}", "{from: [], tables: write}", "from: expected a list of 1" },
    { "{from: [US], tables: write}", "{from: [IE], tables: write}", "it could never connect" },
    { "{from: [US], tables: write}", "{from: [US, US], tables: write}", "is listed twice" },
    { "{from: [US], tables: write}", "{from: [US], tables: all}", "expected one of read, write" },
    { "{from: [US], tables: write}", "{from: [US]}", "\"tables\" is missing" },
    { "app.users: read", "app.user: read", "did you mean \"app.users\"?" },
    { "app.users: read", "users: read", "expected SCHEMA.TABLE" },
    { "  app.tags:\n", "  masked.tags:\n", "schema \"masked\" is not for tables" },
    { "  app.tags:\n", "  other.users:\n", "would be masked.users like table app.users" },
    { "  app.tags:\n", "  tags:\n", "expected SCHEMA.TABLE as the key of a table" },
    { "  app.tags:\n", "  app.tags.x:\n", "expected SCHEMA.TABLE as the key of a table" },
    { "{name: none}", "{name: identity}", "class identity, but the table has no \"subject\"" },
    { "{name: none}", "{name: none, \"a b\": none}", "expected letters, digits, _ and $" },
    { "subject: id\n", "subject: idd\n", "subject: \"idd\" is not among the columns" },
    { "residency: residency\n", "residency: country\n", "\"country\" is not among the columns" },
    { "birthdate: birthdate\n", "birthdate: born\n", "birthdate: \"born\" is not among" },
    { "    residency: residency\n", "", "a table with a subject needs a \"residency\"" },
    { "    subject: id\n", "", "a birth date without a \"subject\"" },
    { "id: identity\n", "id: none\n", "the subject's key has class identity, not none" },
    { "id: identity\n", "id: {class: identity, domain: user}\n", "themselves has domain subject" },
    { "id: identity\n", "id: {class: identity, mask: year}\n", "mask year does not hide" },
    { "handle: identity", "handle: {class: identity, mask: clear}", "mask clear does not hide" },
    { "handle: identity", "handle: {class: identity, mask: \"null\"}", NULL },
    { "handle: identity", "handle: {class: identity, mask: null}", NULL },
    { "handle: identity", "handle: {class: identity, mask: absent}", NULL },
    { "handle: identity", "handle: {mask: redact}", "columns.handle: \"class\" is missing" },
    { "handle: identity", "handle: identty", "did you mean \"identity\"?" },
    { "email: contact", "email: {class: contact, mask: day}", "does not hide class contact" },
    { "email: contact", "email: {class: contact, domain: mail}",
      "\"domain\" is for mask pseudonym" },
    { "mask: year}\n      r", "mask: clear}\n      r", "does not hide a birth date" },
    { "mask: year}\n      r", "mask: day}\n      r", "does not hide a birth date" },
    { "mask: year}\n      r", "mask: pseudonym}\n      r", "does not hide a birth date" },
    { "{class: identity, mask: year}", "{class: activity, mask: year}", "has class identity" },
    { "      residency: none", "      residency: location", "the residency has class none" },
    { "created_at: activity", "created_at: {class: activity, mask: clear}", "does not hide" },
    { "lat: location", "lat: {class: location, mask: coarse, step: 2}", "does not hide" },
    { "lat: location", "lat: {class: location, mask: pseudonym}", "does not hide" },
    { "title: content", "title: {class: content, mask: clear}", "does not hide" },
    { "friend: graph", "friend: {class: graph, mask: pseudonym}", "does not hide" },
    { "mask: coarse, step: 500", "mask: coarse", "mask coarse needs a \"step\"" },
    { "mask: coarse, step: 500", "step: 500", "\"step\" is for mask coarse, here it is null" },
    { "mask: coarse, step: 500", "mask: coarse, step: 1", "step: expected a whole number from 2" },
    { "email: contact", "email: {class: contact, mask: partial, keep: 2}",
      "beside the year of birth" },
    { "email: contact", "email: {class: contact, mask: partial, keep: domain}", NULL },
    { "email: contact", "email: {class: contact, mask: partial, keep: 3}", "would tell persons" },
    { "email: contact", "email: {class: contact, mask: partial}", "partial needs a \"keep\"" },
    { "email: contact", "email: {class: contact, mask: partial, keep: all}", "expected domain" },
    { "email: contact", "email: {class: contact, mask: redact, keep: 2}", "\"keep\" is for mask" },
    { "handle: identity", "handle: {class: identity, mask: partial, keep: 1}", "does not hide" },
    { "handle: identity", "handle: {class: identity, mask: constant, value: x}", NULL },
    { "handle: identity", "handle: {class: identity, mask: constant}", "needs a \"value\"" },
    { "handle: identity", "handle: {class: identity, mask: redact, value: x}",
      "is for mask constant" },
    { "handle: identity", "handle: {class: identity, mask: expression, sql: x}", "does not hide" },
    { "email: contact", "email: {class: contact, mask: expression}", "needs a \"sql\"" },
    { "email: contact", "email: {class: contact, mask: expression, sql: \"1 = 1\"}", NULL },
    { "email: contact", "email: {class: contact, mask: network, keep: 16}", "does not hide" },
    { "lat: location", "lat: {class: location, mask: network, keep: 16}", NULL },
    { "lat: location", "lat: {class: location, mask: network, keep: 17}", "tell persons apart" },
    { "lat: location", "lat: {class: location, mask: network, keep: domain}", "number of bits" },
    { "{name: none}", "{name: {class: none, mask: network, keep: 24}}", NULL },
    { "{name: none}", "{name: {class: none, mask: network, keep: 25}}", "a whole number from 1" },
    { "created_at: activity", "created_at: {class: activity, mask: month}", NULL },
    { "created_at: activity", "created_at: {class: activity, mask: partial, keep: 1}",
      "does not hide class activity (expected" },
    { "    subject: id\n", "    subject: id\n    subjects: [id]\n", "found both" },
    { "    subject: id\n", "    subjects: [id, id]\n", "\"id\" is listed twice" },
    { "    subject: id\n", "    subjects: [id, friend]\n", "one and no more" },
    { "    subject: id\n", "    subjects: []\n", "expected a list of 1 to 8" },
    { "    subject: id\n", "    subject: {column: id, key: id}\n", "\"key\" is for a subject" },
    { "    subject: id\n", "    subject: {through: app.tags}\n", "\"column\" is missing" },
    { "    columns: {name: none}",
      "    subject: {column: name, through: app.user}\n"
      "    columns: {name: identity}",
      "did you mean \"app.users\"?" },
    { "    columns: {name: none}",
      "    subject: {column: name, through: app.users}\n"
      "    columns: {name: identity}",
      NULL },
    { "    columns: {name: none}",
      "    subject: {column: name, through: app.users}\n"
      "    columns: {name: none}",
      "leads to a person" },
    { "    columns: {name: none}",
      "    subject: {column: name, through: app.tags}\n"
      "    columns: {name: identity}",
      "comes back to where it began" },
    { "    columns: {name: none}",
      "    subject: {column: name, through: app.a}\n"
      "    columns: {name: identity}\n  app.a:\n"
      "    subject: {column: b, through: app.tags}\n    columns: {b: identity}",
      "comes back to where it began" },
    { "    columns: {name: none}",
      "    subject: {column: name, through: app.a}\n"
      "    columns: {name: identity}\n  app.a:\n    columns: {b: none}",
      "so it leads to nobody" },
    { "    columns: {name: none}",
      "    retention: {column: name, keep: 90 days}\n"
      "    columns: {name: none}",
      NULL },
    { "    columns: {name: none}",
      "    retention: {column: at, keep: 90 days}\n"
      "    columns: {name: none}",
      "\"at\" is not among the columns" },
    { "    columns: {name: none}",
      "    retention: {column: name, keep: 90h}\n"
      "    columns: {name: none}",
      "expected 1 to 36500 days" },
    { "    columns: {name: none}",
      "    retention: {column: name, keep: 0 days}\n"
      "    columns: {name: none}",
      "expected 1 to 36500 days" },
    { "    columns: {name: none}", "    retention: {column: name}\n    columns: {name: none}",
      "\"keep\" is missing" },
    { "    columns: {name: none}", "    kind: matview\n    columns: {name: none}",
      "expected one of table, view" },
    { "    residency: residency\n", "    residency: residency\n    kind: view\n",
      "a view has no constraint" },
    { "table: app.users", "table: app.nothing", "expected the name of a table" },
    { "table: app.users", "table: app.tags", "has no key of a subject of its own" },
    { "residency: residency, m", "residency: country, m", "has no column \"country\"" },
    { "residency: residency, m", "name: handle, m", "groups by \"handle\" would disclose" },
    { "residency: residency, m", "mail: email, m", "would disclose class contact" },
    { "residency: residency, m", "lat: {column: lat, cut: coarse, step: 10}, m", "class location" },
    { "residency: residency, m", "at: created_at, m", "cut it: day, month, year or coarse" },
    { "cut: month", "cut: hour", "expected one of day, month, year, coarse" },
    { "cut: month", "cut: coarse", "cut coarse needs a \"step\"" },
    { "cut: month", "cut: day, step: 5", "\"step\" is for cut coarse" },
    { "cut: year", "cut: month", "would disclose class identity; cut it: year" },
    { "{sum: cents}", "{sum: lat}", "a sum of \"lat\" would disclose class location" },
    { "{sum: cents}", "{avg: id}", "would disclose class identity" },
    { "{sum: cents}", "{avg: cent}", "has no column \"cent\"" },
    { "{sum: cents}", "{max: cents}", "expected count_rows, count_subjects" },
    { "{sum: cents}", "{sum: cents, avg: cents}", "expected count_rows, count_subjects" },
    { "{sum: cents}", "count_all", "expected one of count_rows, count_subjects" },
    { "spend: {sum", "month: {sum", "measures.month: a dimension has this name" },
    { "minimum: 20", "minimum: 4", "minimum: expected a whole number from 5" },
    { "    minimum: 20\n", "", "\"minimum\" is missing" },
    { "statistics:", "statistics: &s", "anchors are not allowed" },
    { "      handle: identity\n", "      handle: identity\n      handle: contact\n",
      "given twice" },
};

static char *edited(const char *find, const char *replace)
{
    const char *at = strstr(sample, find);
    char *out;
    if (at == NULL)
        fail_msg("\"%s\" is not in the sample", find);
    assert_true(asprintf(&out, "%.*s%s%s", (int)(at - sample), sample, replace, at + strlen(find)) >
                0);
    return out;
}

/* A line within two of the edit: records are told where they begin, values where they stand. */
static bool near_edit(const char *find, unsigned line)
{
    unsigned at = 1;
    for (const char *s = sample; s < strstr(sample, find); s++)
        at += *s == '\n';
    return line + 6 >= at && line <= at + 6;
}

static void each_contradiction_is_told_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(edits); i++) {
        struct mistakes m;
        char *text = edited(edits[i].find, edits[i].replace);
        struct policy *p = parse(text, strlen(text), &m);
        bool found = edits[i].says == NULL && p != NULL;
        for (size_t j = 0; j < m.count && edits[i].says != NULL; j++)
            found |= strstr(m.list[j].text, edits[i].says) != NULL && m.list[j].line > 0 &&
                     near_edit(edits[i].find, m.list[j].line);
        if (!found || (p != NULL && edits[i].says != NULL)) {
            mistakes_print(&m, stderr);
            fail_msg("case %zu: expected %s", i,
                     edits[i].says != NULL ? edits[i].says : "no mistake");
        }
        policy_free(p);
        mistakes_done(&m);
        free(text);
    }
}

static void two_tables_cannot_both_tell_children(void **state)
{
    struct mistakes m;
    char *text = edited("  app.tags:\n    columns: {name: none}\n",
                        "  app.kids:\n    subject: id\n    residency: c\n    birthdate: b\n"
                        "    columns: {id: identity, c: none, b: {class: identity, mask: year}}\n"
                        "  app.tags:\n    columns: {name: none}\n");
    (void)state;
    assert_null(parse(text, strlen(text), &m));
    assert_int_equal(m.count, 1);
    assert_non_null(strstr(m.list[0].text, "table app.users has it already"));
    assert_int_equal(m.list[0].line, 46);
    mistakes_done(&m);
    free(text);
}

static void the_demonstration_is_a_policy_without_mistakes(void **state)
{
    char path[4200];
    struct mistakes m;
    struct policy *p = NULL;
    (void)state;
    const char *end = strstr(__FILE__, "tests/unit/");
    assert_non_null(end);
    (void)snprintf(path, sizeof(path), "%.*sdemo/policy.yaml", (int)(end - __FILE__), __FILE__);
    mistakes_init(&m);
    int rc = policy_load(path, &p, &m);
    mistakes_print(&m, stderr);
    assert_int_equal(rc, 0);
    static const char *const actors[] = { "app_us",
                                          "app_eu",
                                          "us_analyst",
                                          "us_privacy_officer",
                                          "us_security_officer",
                                          "eu_analyst",
                                          "cn_engineer",
                                          "cn_audit_manager",
                                          "auditor" };
    for (size_t i = 0; i < RF_COUNT(actors); i++)
        assert_non_null(policy_actor_find(p, actors[i]));
    assert_int_equal(p->jurisdictions[1].country_count, 27);
    assert_int_equal(p->table_count, 7);
    for (size_t i = 0; i < p->table_count; i++) /* no masked row may lead to a known person */
        for (size_t j = 0; j < p->tables[i].column_count; j++)
            assert_true(p->tables[i].columns[j].mask != MASK_CLEAR ||
                        p->tables[i].columns[j].class_id == CLASS_NOTHING);
    policy_free(p);
    mistakes_done(&m);
}

/* The example of a manual page, between .Bd -literal and .Ed; the caller frees. */
static char *manual_example(const char *page)
{
    char path[4200];
    struct err err;
    char *text;
    size_t len;
    const char *end = strstr(__FILE__, "tests/unit/");
    assert_non_null(end);
    (void)snprintf(path, sizeof(path), "%.*sdocs/man/%s", (int)(end - __FILE__), __FILE__, page);
    if (fd_read_file(path, 1024 * 1024, &text, &len, &err) != 0)
        fail_msg("%s", err.line);
    const char *from = strstr(text, ".Bd -literal\n");
    const char *to = from != NULL ? strstr(from, "\n.Ed\n") : NULL;
    assert_non_null(to);
    from += strlen(".Bd -literal\n");
    char *example = mem_strndup(from, (size_t)(to - from));
    mem_free(text);
    assert_non_null(example);
    return example;
}

static void the_example_of_the_manual_is_a_policy(void **state)
{
    struct mistakes m;
    char *text = manual_example("ringfence-policy.5");
    struct policy *p = parse(text, strlen(text), &m);
    (void)state;
    mistakes_print(&m, stderr);
    assert_non_null(p);
    policy_free(p);
    mistakes_done(&m);
    mem_free(text);
}

static void every_cut_of_a_policy_is_read_or_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(sample); len += 3) {
        struct mistakes m;
        char *copy = malloc(len + 1); /* exactly as long, so that ASan sees one byte too many */
        assert_non_null(copy);
        memcpy(copy, sample, len);
        policy_free(parse(copy, len, &m));
        mistakes_done(&m);
        free(copy);
    }
}

#ifdef RF_FAULTS
/* Every allocation in turn fails: a clean refusal, never a leak or half a policy. */
static void without_memory_there_is_no_policy(void **state)
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
        cmocka_unit_test(regions_know_their_home),
        cmocka_unit_test(actors_are_found_whole_and_byte_by_byte),
        cmocka_unit_test(a_service_lists_regions_places_and_tables),
        cmocka_unit_test(columns_get_the_masks_of_their_classes),
        cmocka_unit_test(a_table_has_one_subject_several_or_one_through_another),
        cmocka_unit_test(a_service_cannot_be_given_a_view_to_write),
        cmocka_unit_test(statistics_have_dimensions_and_measures),
        cmocka_unit_test(the_longest_range_says_where_an_address_is),
        cmocka_unit_test(a_range_of_all_ipv6_holds_no_ipv4_address),
        cmocka_unit_test(the_digest_is_of_the_bytes),
        cmocka_unit_test(each_contradiction_is_told_with_its_line),
        cmocka_unit_test(two_tables_cannot_both_tell_children),
        cmocka_unit_test(the_demonstration_is_a_policy_without_mistakes),
        cmocka_unit_test(the_example_of_the_manual_is_a_policy),
        cmocka_unit_test(every_cut_of_a_policy_is_read_or_refused),
#ifdef RF_FAULTS
        cmocka_unit_test(without_memory_there_is_no_policy),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
