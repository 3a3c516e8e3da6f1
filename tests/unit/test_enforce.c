#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enforce/compile.h"
#include "enforce/mask.h"
#include "enforce/pseudonym.h"
#include "enforce/role.h"
#include "enforce/sql.h"
#include "enforce/view.h"
#include "policy/mistakes.h"

/* -- quoting -- */

static const char *text_of(struct sql *s)
{
    const char *text = NULL;
    struct err err = { 0 };
    assert_int_equal(sql_text(s, &text, &err), 0);
    return text;
}

static void names_are_always_quoted(void **state)
{
    struct sql s;
    (void)state;
    sql_init(&s);
    sql_add(&s, "GRANT %S ON %N TO %I", "SELECT", "My \"Schema\"", "select",
            "naïve; DROP TABLE x--");
    assert_string_equal(text_of(&s), "GRANT SELECT ON \"My \"\"Schema\"\"\".\"select\" TO "
                                     "\"naïve; DROP TABLE x--\"");
    sql_done(&s);
}

static void literals_survive_quotes_and_backslashes(void **state)
{
    struct sql s;
    (void)state;
    sql_init(&s);
    sql_add(&s, "%L %L %L 100%% %D", "o'brien", "a\\'b", "日本 ''", INT64_MIN);
    assert_string_equal(text_of(&s),
                        "'o''brien'  E'a\\\\''b' '日本 ''''' 100% -9223372036854775808");
    sql_done(&s);
}

static void a_name_that_would_be_cut_is_refused(void **state)
{
    struct sql s;
    struct err err = { 0 };
    const char *text;
    char name[65];
    (void)state;
    memset(name, 'n', 64);
    name[64] = '\0';
    sql_init(&s);
    sql_add(&s, "%I", name);
    assert_int_equal(sql_text(&s, &text, &err), -RF_ECONFIG);
    assert_non_null(strstr(err.line, "nnnn"));
    sql_done(&s);
    sql_init(&s);
    sql_add(&s, "%I", name + 1);
    assert_int_equal(strlen(text_of(&s)), 65);
    sql_add(&s, "%I", "");
    assert_int_equal(sql_text(&s, &text, &err), -RF_ECONFIG);
    sql_done(&s);
}

/* -- masks -- */

static const char *mask_of(struct sql *s, enum mask_id mask, const struct catalog_column *fact)
{
    struct policy_column column = {
        .name = (char *)(uintptr_t)fact->name, .class_id = CLASS_CONTACT, .mask = mask, .step = 10
    };
    struct err err = { 0 };
    sql_done(s);
    sql_init(s);
    int rc = mask_add(s, &column, fact, pseudonym_digits(fact), "app.t.c", &err);
    return rc == 0 ? text_of(s) : NULL;
}

static void a_pseudonym_has_the_type_of_its_column(void **state)
{
    static const struct {
        struct catalog_column fact;
        const char *has, *ends;
    } cases[] = {
        { { .name = "c", .type = "bigint", .kind = KIND_INT8 },
          "9223372036854775807",
          " AS bigint)" },
        { { .name = "c", .type = "integer", .kind = KIND_INT4 }, "2147483647", " AS integer)" },
        { { .name = "c", .type = "uuid", .kind = KIND_UUID }, "uuid_send(t.\"c\"", " AS uuid)" },
        { { .name = "c", .type = "text", .kind = KIND_TEXT }, "'p_' || left(", " AS text)" },
        { { .name = "c", .type = "character varying(8)", .kind = KIND_TEXT, .width = 8 },
          "'p_' || left(",
          " AS character varying(8))" },
        { { .name = "c", .type = "character(4)", .kind = KIND_TEXT, .width = 4 },
          "'hex'), 4)",
          " AS character(4))" },
    };
    struct sql s = { 0 };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        const char *text = mask_of(&s, MASK_PSEUDONYM, &cases[i].fact);
        assert_non_null(text);
        assert_non_null(strstr(text, cases[i].has));
        assert_string_equal(text + strlen(text) - strlen(cases[i].ends), cases[i].ends);
        assert_non_null(strstr(text, "ringfence.pseudonym_key"));
    }
    sql_done(&s);
}

static void a_pseudonym_fits_into_a_short_column(void **state)
{
    struct catalog_column fact = { .name = "c", .type = "character varying(9)", .kind = KIND_TEXT };
    (void)state;
    for (fact.width = 1; fact.width < 40; fact.width++) {
        int digits = pseudonym_digits(&fact);
        int prefix = digits > 4 ? 2 : 0;
        assert_true(digits >= 1 && digits + prefix <= (fact.width > 22 ? 22 : fact.width));
    }
}

static void a_mask_that_does_not_fit_the_type_is_refused(void **state)
{
    static const struct {
        enum mask_id mask;
        enum column_kind kind;
    } cases[] = {
        { MASK_PSEUDONYM, KIND_INT2 }, { MASK_PSEUDONYM, KIND_BYTEA }, { MASK_DAY, KIND_TEXT },
        { MASK_YEAR, KIND_INT8 },      { MASK_COARSE, KIND_TEXT },     { MASK_REDACT, KIND_OTHER },
        { MASK_CLEAR, KIND_TEXT },     { MASK_UNSET, KIND_TEXT },      { MASK_ABSENT, KIND_TEXT },
    };
    struct sql s = { 0 };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct catalog_column fact = { .name = "c", .type = "x", .kind = cases[i].kind };
        assert_null(mask_of(&s, cases[i].mask, &fact));
    }
    sql_done(&s);
}

static void a_mask_keeps_a_collation_of_its_own(void **state)
{
    struct catalog_column fact = {
        .name = "c", .type = "text", .kind = KIND_TEXT, .collation = "pg_catalog.\"de-x-icu\""
    };
    struct sql s = { 0 };
    (void)state;
    assert_string_equal(mask_of(&s, MASK_NULL, &fact),
                        "CAST(NULL AS text) COLLATE pg_catalog.\"de-x-icu\"");
    sql_done(&s);
}

static void a_domain_that_refuses_null_cannot_be_null(void **state)
{
    struct catalog_column fact = {
        .name = "c", .type = "app.must", .kind = KIND_TEXT, .refuses_null = true
    };
    struct sql s = { 0 };
    (void)state;
    assert_null(mask_of(&s, MASK_NULL, &fact));
    sql_done(&s);
}

/* -- a region -- */

#define FACTS_OF_PEOPLE                                             \
    "version: 1\ncompany: X\njurisdictions: {US: [US], EU: [DE]}\n" \
    "regions: {r: {jurisdiction: US, place: US}}\n"                 \
    "entities: {x: {country: US}}\n"                                \
    "listeners: {main: {address: 127.0.0.1, place: identity}}\n"    \
    "networks: {any: {range: 0.0.0.0/0, place: identity}}\n"        \
    "rooms: {home: masked, abroad: stats}\n"                        \
    "purposes: [debugging]\n"

static const char usual[] = FACTS_OF_PEOPLE
    "actors:\n"
    "  shop: {kind: service, entity: x, place: US, regions: {r: {from: [US], tables: write}}}\n"
    "  ann: {kind: person, entity: x, place: US}\n"
    "  dieter: {kind: person, entity: x, place: DE}\n"
    "tables:\n"
    "  app.users:\n"
    "    subject: id\n    residency: home\n    birthdate: born\n"
    "    columns: {id: identity, born: {class: identity, mask: year}, home: none}\n"
    "  app.order:\n"
    "    subject: user_id\n    residency: home\n"
    "    columns: {id: identity, user_id: identity, home: none}\n"
    "  app.country:\n"
    "    columns: {code: none}\n"
    "statistics:\n"
    "  by_home: {table: app.users, dimensions: {home: home}, measures: {n: count_subjects},\n"
    "            minimum: 7}\n";

struct region {
    struct policy *policy;
    struct catalog catalog;
    struct catalog_table tables[3];
    struct script script;
    struct err err;
};

static struct catalog_column users_columns[] = {
    { .name = "id", .type = "bigint", .kind = KIND_INT8, .not_null = true, .is_unique = true },
    { .name = "unnamed_column", .type = "text", .kind = KIND_TEXT },
    { .name = "born", .type = "date", .kind = KIND_DATE },
    { .name = "home", .type = "text", .kind = KIND_TEXT },
};
static struct catalog_column order_columns[] = {
    { .name = "id", .type = "bigint", .kind = KIND_INT8 },
    { .name = "user_id", .type = "bigint", .kind = KIND_INT8, .is_subject_key = true },
    { .name = "home", .type = "text", .kind = KIND_TEXT },
};
static struct catalog_column country_columns[] = {
    { .name = "code", .type = "text", .kind = KIND_TEXT },
};

static void region_init(struct region *r, const char *policy)
{
    struct mistakes mistakes;
    memset(r, 0, sizeof(*r));
    mistakes_init(&mistakes);
    int rc = policy_parse("test", policy, strlen(policy), &r->policy, &mistakes);
    if (rc < 0)
        mistakes_print(&mistakes, stderr);
    assert_int_equal(rc, 0);
    mistakes_done(&mistakes);
    r->tables[0] = (struct catalog_table){ .found = true,
                                           .is_table = true,
                                           .schema_quoted = "app",
                                           .columns = users_columns,
                                           .column_count = RF_COUNT(users_columns) };
    r->tables[1] = (struct catalog_table){ .found = true,
                                           .is_table = true,
                                           .schema_quoted = "app",
                                           .columns = order_columns,
                                           .column_count = RF_COUNT(order_columns) };
    r->tables[2] = (struct catalog_table){ .found = true,
                                           .is_table = true,
                                           .schema_quoted = "app",
                                           .columns = country_columns,
                                           .column_count = RF_COUNT(country_columns) };
    r->catalog = (struct catalog){
        .database = "db", .server_version = 150020, .is_utf8 = true, .tables = r->tables
    };
    script_init(&r->script);
}

static void region_done(struct region *r)
{
    script_done(&r->script);
    policy_free(r->policy);
}

static int compile(struct region *r)
{
    return compile_region(r->policy, &r->policy->regions[0], &r->catalog, &r->script, &r->err);
}

/* The first step whose SQL holds TEXT, or NULL. */
static const struct step *step_with(const struct region *r, const char *text)
{
    for (size_t i = 0; i < r->script.count; i++)
        if (strstr(r->script.steps[i].sql, text) != NULL)
            return &r->script.steps[i];
    return NULL;
}

static void a_fresh_database_gets_everything(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    assert_int_equal(compile(&r), 0);
    assert_non_null(step_with(&r, "CREATE ROLE \"ann.masked\" WITH LOGIN"));
    assert_non_null(step_with(&r, "CREATE ROLE \"ann.stats\" WITH LOGIN"));
    assert_non_null(step_with(&r, "CREATE ROLE \"dieter.stats\" WITH LOGIN"));
    assert_null(step_with(&r, "dieter.masked"));
    assert_non_null(step_with(&r, "ALTER ROLE \"ann.masked\" SET search_path = masked"));
    assert_non_null(step_with(&r, "ALTER ROLE \"shop\" SET search_path = \"app\""));
    assert_non_null(step_with(&r, "GRANT \"rf_stats\" TO \"ann.stats\""));
    assert_null(step_with(&r, "GRANT \"rf_masked\" TO \"ann.stats\""));
    assert_non_null(step_with(&r, "GRANT DELETE ON TABLE \"app\".\"order\" TO \"shop\""));
    assert_non_null(step_with(&r, "GRANT SELECT ON TABLE \"app\".\"users\" TO \"rf_view\""));
    assert_null(step_with(&r, "GRANT INSERT ON TABLE \"app\".\"users\" TO \"rf_view\""));
    assert_non_null(step_with(&r, "CHECK ((\"home\" IN ('US')) IS TRUE)"));
    region_done(&r);
}

static void a_column_that_the_policy_does_not_name_is_not_in_the_view(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    assert_int_equal(compile(&r), 0);
    assert_non_null(step_with(&r, "CREATE VIEW \"masked\".\"users\""));
    assert_null(step_with(&r, "unnamed_column"));
    region_done(&r);
}

static void children_are_left_out_by_birth_date_and_by_subject(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    assert_int_equal(compile(&r), 0);
    assert_non_null(step_with(&r, "FROM \"app\".\"users\" t WHERE t.\"born\" <= CAST("));
    assert_non_null(step_with(&r, "FROM \"app\".\"order\" t WHERE (EXISTS (SELECT FROM "
                                  "ringfence.child c WHERE c.subject = t.\"user_id\" AND "));
    assert_non_null(step_with(&r, "AS \"code\" FROM \"app\".\"country\" t"));
    const char *country = step_with(&r, "FROM \"app\".\"country\" t")->sql;
    assert_null(strstr(country, "WHERE"));
    region_done(&r);
}

static void a_view_that_leaves_rows_out_has_a_barrier_and_no_other(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    assert_int_equal(compile(&r), 0);
    assert_non_null(step_with(&r, "CREATE VIEW \"masked\".\"users\" WITH (security_barrier) AS"));
    assert_non_null(step_with(&r, "CREATE VIEW \"masked\".\"order\" WITH (security_barrier) AS"));
    assert_non_null(step_with(&r, "CREATE VIEW \"masked\".\"country\" AS"));
    region_done(&r);
}

static void a_subject_without_a_foreign_key_must_be_a_known_adult(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    order_columns[1].is_subject_key = false;
    int rc = compile(&r);
    order_columns[1].is_subject_key = true;
    assert_int_equal(rc, 0);
    assert_non_null(step_with(&r, "FROM \"app\".\"order\" t WHERE (EXISTS (SELECT FROM"));
    region_done(&r);
}

static void small_groups_are_suppressed_behind_a_barrier(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    assert_int_equal(compile(&r), 0);
    const struct step *step = step_with(&r, "CREATE VIEW \"stats\".\"by_home\"");
    assert_non_null(step);
    assert_non_null(strstr(step->sql, "WITH (security_barrier)"));
    assert_non_null(strstr(step->sql, "WHERE g.people >= 7 AND "));
    region_done(&r);
}

static void tricky_names_stay_names(void **state)
{
    static char schema[] = "a\"b", table[] = "Tàble; --", first[] = "sel'ect",
                second[] = "col\"umn";
    struct policy_column masks[] = {
        { .name = first, .class_id = CLASS_NOTHING, .mask = MASK_CLEAR },
        { .name = second, .class_id = CLASS_CONTACT, .mask = MASK_NULL },
    };
    struct policy_table named = {
        .schema = schema, .name = table, .columns = masks, .column_count = RF_COUNT(masks)
    };
    struct policy policy = { .tables = &named, .table_count = 1 };
    struct catalog_column columns[] = {
        { .name = second, .type = "\"My \"\"Type\"", .kind = KIND_OTHER },
        { .name = first, .type = "text", .kind = KIND_TEXT },
    };
    struct catalog_table fact = {
        .found = true, .is_table = true, .columns = columns, .column_count = RF_COUNT(columns)
    };
    struct catalog catalog = { .tables = &fact };
    struct err err = { 0 };
    struct sql s;
    bool is_empty = true;
    (void)state;
    sql_init(&s);
    assert_int_equal(view_add_masked(&s, &policy, &catalog, 0, &is_empty, &err), 0);
    assert_false(is_empty);
    assert_string_equal(text_of(&s),
                        "CREATE VIEW \"masked\".\"Tàble; --\" AS SELECT CAST(NULL AS \"My "
                        "\"\"Type\") AS \"col\"\"umn\", t.\"sel'ect\" AS \"sel'ect\" FROM "
                        "\"a\"\"b\".\"Tàble; --\" t");
    sql_done(&s);
}

static void pseudonyms_that_would_not_join_are_refused(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    order_columns[1].kind = KIND_UUID;
    int rc = compile(&r);
    order_columns[1].kind = KIND_INT8;
    assert_int_equal(rc, -RF_ECONFIG);
    assert_non_null(strstr(r.err.line, "tables.app.order.columns.user_id"));
    assert_int_equal(r.script.mistakes.count, 1);
    region_done(&r);
}

static void a_missing_table_or_column_is_named(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    r.tables[2].found = false;
    assert_int_equal(compile(&r), -RF_ECONFIG);
    assert_non_null(strstr(r.err.line, "app.country"));
    region_done(&r);
    region_init(&r, usual);
    r.tables[1].column_count = 1;
    assert_int_equal(compile(&r), -RF_ECONFIG);
    assert_non_null(strstr(r.err.line, "user_id"));
    region_done(&r);
}

static void every_mistake_is_told_with_its_line_and_no_step_is_made(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    users_columns[0].is_unique = false;
    r.tables[1].column_count = 1; /* neither user_id nor home */
    r.tables[2].is_table = false;
    int rc = compile(&r);
    users_columns[0].is_unique = true;
    assert_int_equal(rc, -RF_ECONFIG);
    assert_int_equal(r.script.count, 0);
    if (r.script.mistakes.count != 4)
        mistakes_print(&r.script.mistakes, stderr);
    assert_int_equal(r.script.mistakes.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(r.script.mistakes.list[i].file, "test");
        assert_true(r.script.mistakes.list[i].line > 10);
        assert_non_null(strchr(r.script.mistakes.list[i].text, '('));
    }
    region_done(&r);
}

static void another_regions_database_is_refused(void **state)
{
    struct region r;
    (void)state;
    region_init(&r, usual);
    r.catalog.applied_region = "elsewhere";
    assert_int_equal(compile(&r), -RF_ECONFIG);
    assert_non_null(strstr(r.err.line, "elsewhere"));
    region_done(&r);
}

static void a_superuser_or_owner_is_never_turned_into_an_actor(void **state)
{
    struct catalog_role roles[] = { { .name = "shop", .can_login = true, .is_super = true } };
    struct region r;
    (void)state;
    region_init(&r, usual);
    r.catalog.roles = roles;
    r.catalog.role_count = 1;
    assert_int_equal(compile(&r), -RF_ECONFIG);
    region_done(&r);
    region_init(&r, usual);
    roles[0] = (struct catalog_role){ .name = "shop", .can_login = true, .owns = "app.users" };
    r.catalog.roles = roles;
    r.catalog.role_count = 1;
    assert_int_equal(compile(&r), -RF_EDATABASE);
    assert_non_null(strstr(r.err.line, "app.users"));
    region_done(&r);
}

static void rights_that_nobody_gave_are_taken_away(void **state)
{
    struct catalog_right rights[] = {
        { .grantee = NULL, .object = "DATABASE \"db\"", .privilege = "CONNECT" },
        { .grantee = "shop", .object = "TABLE \"app\".\"order\"", .privilege = "TRUNCATE" },
        { .grantee = "shop", .object = "TABLE \"app\".\"order\"", .privilege = "SELECT" },
        { .grantee = "shop",
          .object = "TABLE \"app\".\"users\"",
          .privilege = "SELECT",
          .may_pass_on = true },
    };
    struct region r;
    (void)state;
    region_init(&r, usual);
    r.catalog.rights = rights;
    r.catalog.right_count = RF_COUNT(rights);
    assert_int_equal(compile(&r), 0);
    assert_non_null(step_with(&r, "REVOKE CONNECT ON DATABASE \"db\" FROM PUBLIC"));
    assert_non_null(step_with(&r, "REVOKE TRUNCATE ON TABLE \"app\".\"order\" FROM \"shop\""));
    assert_null(step_with(&r, "REVOKE SELECT ON TABLE \"app\".\"order\""));
    assert_null(step_with(&r, "GRANT SELECT ON TABLE \"app\".\"order\" TO \"shop\""));
    assert_non_null(step_with(
        &r, "REVOKE GRANT OPTION FOR SELECT ON TABLE \"app\".\"users\" FROM \"shop\" CASCADE"));
    region_done(&r);
}

static void a_stranger_in_a_room_is_in_the_way_and_not_dropped(void **state)
{
    struct catalog_object objects[] = {
        { .name = "masked.users", .quoted = "TABLE \"masked\".\"users\"", .owner = "dba" },
    };
    struct region r;
    (void)state;
    region_init(&r, usual);
    r.catalog.objects = objects;
    r.catalog.object_count = 1;
    assert_int_equal(compile(&r), -RF_EDATABASE);
    assert_null(step_with(&r, "DROP"));
    region_done(&r);
    region_init(&r, usual);
    objects[0].source = "CREATE VIEW …"; /* it was ours once; now a table stands there */
    r.catalog.objects = objects;
    r.catalog.object_count = 1;
    assert_int_equal(compile(&r), -RF_EDATABASE);
    assert_null(step_with(&r, "DROP"));
    region_done(&r);
}

static void reserved_names_are_no_actors(void **state)
{
    (void)state;
    assert_false(role_name_is_free("rf_view"));
    assert_false(role_name_is_free("pg_read_all_data"));
    assert_false(role_name_is_free("public"));
    assert_true(role_name_is_free("app_us"));
}

static void the_printed_script_is_one_transaction(void **state)
{
    struct region r;
    char *text = NULL;
    size_t len = 0;
    (void)state;
    region_init(&r, usual);
    assert_int_equal(compile(&r), 0);
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    script_print(&r.script, to);
    (void)fclose(to);
    assert_int_equal(strncmp(text, "BEGIN;\n", 7), 0);
    assert_string_equal(text + len - 8, "COMMIT;\n");
    free(text);
    region_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_always_quoted),
        cmocka_unit_test(literals_survive_quotes_and_backslashes),
        cmocka_unit_test(a_name_that_would_be_cut_is_refused),
        cmocka_unit_test(a_pseudonym_has_the_type_of_its_column),
        cmocka_unit_test(a_pseudonym_fits_into_a_short_column),
        cmocka_unit_test(a_mask_that_does_not_fit_the_type_is_refused),
        cmocka_unit_test(a_mask_keeps_a_collation_of_its_own),
        cmocka_unit_test(a_domain_that_refuses_null_cannot_be_null),
        cmocka_unit_test(a_fresh_database_gets_everything),
        cmocka_unit_test(a_column_that_the_policy_does_not_name_is_not_in_the_view),
        cmocka_unit_test(children_are_left_out_by_birth_date_and_by_subject),
        cmocka_unit_test(a_view_that_leaves_rows_out_has_a_barrier_and_no_other),
        cmocka_unit_test(a_subject_without_a_foreign_key_must_be_a_known_adult),
        cmocka_unit_test(small_groups_are_suppressed_behind_a_barrier),
        cmocka_unit_test(tricky_names_stay_names),
        cmocka_unit_test(pseudonyms_that_would_not_join_are_refused),
        cmocka_unit_test(a_missing_table_or_column_is_named),
        cmocka_unit_test(every_mistake_is_told_with_its_line_and_no_step_is_made),
        cmocka_unit_test(another_regions_database_is_refused),
        cmocka_unit_test(a_superuser_or_owner_is_never_turned_into_an_actor),
        cmocka_unit_test(rights_that_nobody_gave_are_taken_away),
        cmocka_unit_test(a_stranger_in_a_room_is_in_the_way_and_not_dropped),
        cmocka_unit_test(reserved_names_are_no_actors),
        cmocka_unit_test(the_printed_script_is_one_transaction),
    };
    return cmocka_run_group_tests_name("enforce", tests, NULL, NULL);
}
