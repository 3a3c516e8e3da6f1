#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "enforce/expression.h"
#include "enforce/literal.h"

static struct policy_column columns[] = {
    { .name = (char *)"word", .class_id = CLASS_NOTHING },
    { .name = (char *)"small", .class_id = CLASS_NOTHING },
    { .name = (char *)"whole", .class_id = CLASS_NOTHING },
    { .name = (char *)"big", .class_id = CLASS_NOTHING },
    { .name = (char *)"real", .class_id = CLASS_NOTHING },
    { .name = (char *)"day", .class_id = CLASS_NOTHING },
    { .name = (char *)"yes", .class_id = CLASS_NOTHING },
    { .name = (char *)"address", .class_id = CLASS_NOTHING },
    { .name = (char *)"bytes", .class_id = CLASS_NOTHING },
    { .name = (char *)"email", .class_id = CLASS_CONTACT },
    { .name = (char *)"seconds", .class_id = CLASS_ACTIVITY },
    { .name = (char *)"handle", .class_id = CLASS_IDENTITY },
    { .name = (char *)"body", .class_id = CLASS_CONTENT },
};
static struct policy_table table = { .schema = (char *)"app",
                                     .name = (char *)"t",
                                     .columns = columns,
                                     .column_count = RF_COUNT(columns) };
static struct catalog_column facts[] = {
    { .name = "word", .type = "text", .kind = KIND_TEXT },
    { .name = "small", .type = "smallint", .kind = KIND_INT2 },
    { .name = "whole", .type = "integer", .kind = KIND_INT4 },
    { .name = "big", .type = "bigint", .kind = KIND_INT8 },
    { .name = "real", .type = "double precision", .kind = KIND_FLOAT8 },
    { .name = "day", .type = "date", .kind = KIND_DATE },
    { .name = "yes", .type = "boolean", .kind = KIND_BOOL },
    { .name = "address", .type = "inet", .kind = KIND_INET },
    { .name = "bytes", .type = "bytea", .kind = KIND_BYTEA },
    { .name = "email", .type = "text", .kind = KIND_TEXT },
    { .name = "seconds", .type = "integer", .kind = KIND_INT4 },
    { .name = "handle", .type = "text", .kind = KIND_TEXT },
    { .name = "body", .type = "text", .kind = KIND_TEXT },
    { .name = "unlisted", .type = "text", .kind = KIND_TEXT },
};
static const struct catalog_table catalog = {
    .found = true, .is_table = true, .columns = facts, .column_count = RF_COUNT(facts)
};

/* What the expression TEXT of column NAME becomes, or the mistake; the caller frees S. */
static const char *compiled(struct sql *s, const char *name, const char *text, struct err *err)
{
    const char *out = NULL;
    struct policy_column column = { .table = &table, .sql = (char *)(uintptr_t)text };
    sql_init(s);
    *err = (struct err){ 0 };
    if (expression_add(s, &column, &catalog, catalog_column_find(&catalog, name), "app.t.c", err) <
        0)
        return NULL;
    assert_int_equal(sql_text(s, &out, NULL), 0);
    return out;
}

static void what_is_understood_is_written_anew(void **state)
{
    static const struct {
        const char *column, *text, *sql;
    } cases[] = {
        { "word", "Lower( word )", "lower((CAST(t.\"word\" AS text) COLLATE pg_catalog.\"C\"))" },
        { "word", "'it''s'", "CAST('it''s' AS text)" },
        { "word", "\"word\"", "(CAST(t.\"word\" AS text) COLLATE pg_catalog.\"C\")" },
        { "big", "1+2*3", "(CAST('1' AS bigint) + (CAST('2' AS bigint) * CAST('3' AS bigint)))" },
        { "big", "big / 10 - -3",
          "(((CAST(t.\"big\" AS bigint)) / CAST('10' AS bigint)) - CAST('-3' AS bigint))" },
        { "yes", "day < date '2020-02-29'",
          "((CAST(t.\"day\" AS date)) < CAST('2020-02-29' AS date))" },
        { "yes", "not yes or yes is not null",
          "((NOT (CAST(t.\"yes\" AS boolean))) or ((CAST(t.\"yes\" AS boolean)) IS NOT NULL))" },
        { "word", "case when yes then 'a' end",
          "CASE WHEN (CAST(t.\"yes\" AS boolean)) THEN CAST('a' AS text) END" },
        { "yes", "small in (1, 2)",
          "((CAST(t.\"small\" AS bigint)) IN (CAST('1' AS bigint), CAST('2' AS bigint)))" },
        { "word", "host(address)", "host((CAST(t.\"address\" AS inet)))" },
        { "whole", "null", "NULL" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct sql s;
        struct err err;
        const char *sql = compiled(&s, cases[i].column, cases[i].text, &err);
        if (sql == NULL)
            fail_msg("%s: %s", cases[i].text, err.line);
        assert_string_equal(sql, cases[i].sql);
        sql_done(&s);
    }
}

static const struct {
    const char *column, *text, *says; /* NULL: allowed */
} cases[] = {
    /* other rows, other relations, other functions */
    { "word", "(select handle from app.people)", "no select" },
    { "word", "select 1", "no select" },
    { "big", "count(word)", "not among those" },
    { "word", "max(word)", "not among those" },
    { "big", "generate_series(1, 2)", "not among those" },
    { "word", "app.peek(word)", "\".\" is not understood" },
    { "word", "pg_read_file('x')", "not among those" },
    { "word", "current_user", "is no column" },
    { "word", "now()", "not among those" },
    { "word", "unlisted", "is no column" },
    { "word", "t.word", "is not understood" },
    { "word", "word; drop table x", "\";\" is not understood" },
    { "word", "word -- x", "comments" },
    { "word", "word /* x */", "expected a value" },
    { "word", "$1", "is not understood" },
    { "word", "E'x'", "is no column" },
    { "word", "'\\'", "backslash" },
    { "word", "word at", "is not understood here" },
    { "word", "", "expected a value" },
    { "word", "(word", "expected \")\"" },
    { "word", "'open", "is not closed" },
    /* what could fail */
    { "big", "word::bigint", "only cast" },
    { "big", "big + 1", "could overflow" },
    { "big", "big * 2", "could overflow" },
    { "big", "big / 2 + 1", "could overflow" },
    { "big", "big / 4 + 1", NULL },
    { "big", "whole * whole", "could overflow" }, /* 2^62, just above what is safe */
    { "big", "small * whole", NULL },
    { "whole", "whole + 1", "can be larger than type integer" },
    { "whole", "whole / 2 + 1", NULL },
    { "small", "whole % 100", NULL },
    { "small", "whole", "can be larger than type smallint" },
    { "big", "big / 0", "constant number from 1" },
    { "big", "big % whole", "constant number from 1" },
    { "big", "big / -1", "constant number from 1" },
    { "real", "real + 1", "takes a whole number" },
    { "word", "left(word, -1)", "constant number from 1" },
    { "word", "left(word, whole)", "constant number from 1" },
    { "word", "split_part(word, '', 1)", "constant text" },
    { "word", "split_part(word, 'x', 0)", "constant text" },
    { "yes", "word like word", "takes a constant" },
    { "yes", "word in (word)", "takes constants" },
    { "yes", "whole in (1,2,3,4,5,6,7,8,9)", "at most 8" },
    { "yes", "word in ('1','2','3','4','5','6','7','8','9')", NULL },
    { "yes", "day < date '2021-02-29'", "expected a date" },
    { "big", "99999999999", "larger than 2147483647" },
    { "big", "1.5", "not whole" },
    { "word", "bytes", "cannot be part" },
    /* types */
    { "word", "whole", "the result is a whole number" },
    { "whole", "word", "the result is a text" },
    { "yes", "word = whole", "cannot stand for one another" },
    { "yes", "real > 3", NULL },
    { "word", "coalesce(word, 1)", "cannot stand for one another" },
    { "word", "coalesce(word)", "takes 2 values" },
    { "word", "case when word then 'x' end", "when takes a truth value" },
    { "word", "word || whole", "|| takes a text" },
    { "word", "word || whole::text", NULL },
    { "word", "upper()", "expected a value" },
    /* what would show */
    { "email", "email", "it shows column email of class contact" },
    { "email", "lower(email) || 'x'", "it shows column email" },
    { "email", "split_part(email, '@', 2)", "it shows column email" },
    { "email", "left(email, 2)", NULL },
    { "email", "left(email, 3)", "it shows column email" },
    { "email", "left(email, 2) || right(email, 1)", "more than 2 characters" },
    { "email", "left(email, 1) || right(email, 1)", NULL },
    { "word", "email", "it shows column email" },
    { "yes", "email like '%@gmail.com'", NULL },
    { "yes", "email is null", NULL },
    { "whole", "length(email)", NULL },
    { "seconds", "seconds / 60", NULL },
    { "seconds", "seconds / 1", "it shows column seconds" },
    { "seconds", "seconds % 60", "it shows column seconds" },
    { "seconds", "case when seconds > 60 then 1 else 0 end", NULL },
    { "seconds", "case when seconds > 60 then seconds end", "it shows column seconds" },
    { "seconds", "least(seconds, 10)", "it shows column seconds" },
    { "yes", "handle = 'x'", "nothing may be told" },
    { "whole", "length(handle)", "nothing may be told" },
    { "word", "left(body, 1)", "nothing may be told" },
    { "word", "case when body is null then 'none' else 'some' end", NULL },
    { "word", "case when handle like 'a%' then 'x' end", "nothing may be told" },
    { "word", "coalesce(handle, 'x')", "nothing may be told" },
    { "word", "handle", "it shows column handle" },
};

static void what_could_fail_show_or_reach_elsewhere_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        struct sql s;
        struct err err;
        const char *sql = compiled(&s, cases[i].column, cases[i].text, &err);
        bool good = cases[i].says == NULL ? sql != NULL
                                          : sql == NULL && strstr(err.line, cases[i].says) != NULL;
        if (!good)
            fail_msg("\"%s\": %s", cases[i].text, sql != NULL ? sql : err.line);
        sql_done(&s);
    }
}

/* Cut anywhere, an expression is read or refused; what is read never holds a mark of its own. */
static void every_cut_of_an_expression_is_read_or_refused(void **state)
{
    static const char whole[] =
        "case when lower(\"word\") in ('a', 'b''c') and not (small between 1 and 2 or yes) then"
        " left(word, 2) || '''' else coalesce(btrim(word), nullif(word, '')) end";
    (void)state;
    for (size_t len = 0; len < sizeof(whole); len++) {
        char text[sizeof(whole)];
        struct sql s;
        struct err err;
        memcpy(text, whole, len);
        text[len] = '\0';
        const char *sql = compiled(&s, "word", text, &err);
        assert_true(sql != NULL || err.line[0] != '\0');
        assert_true(len + 1 < sizeof(whole) || sql != NULL);
        sql_done(&s);
    }
}

static void deep_nesting_and_length_end(void **state)
{
    char text[1001];
    struct sql s;
    struct err err;
    (void)state;
    memset(text, '(', 1000);
    text[1000] = '\0';
    assert_null(compiled(&s, "word", text, &err));
    assert_non_null(strstr(err.line, "nested too deeply"));
    sql_done(&s);
    for (size_t i = 0; i < 250; i++)
        memcpy(text + 4 * i, "not ", 4);
    assert_null(compiled(&s, "yes", text, &err));
    assert_non_null(strstr(err.line, "nested too deeply"));
    sql_done(&s);
    for (size_t i = 0; i + 1 < 500; i++)
        memcpy(text + 2 * i, "1+", 2);
    text[998] = '1';
    text[999] = '\0';
    (void)compiled(&s, "big", text, &err); /* read, or too long; no crash */
    sql_done(&s);
}

static void a_constant_fits_its_column(void **state)
{
    static const struct {
        struct catalog_column fact;
        const char *value;
        bool good;
    } constants[] = {
        { { .type = "smallint", .kind = KIND_INT2 }, "-32768", true },
        { { .type = "smallint", .kind = KIND_INT2 }, "32768", false },
        { { .type = "bigint", .kind = KIND_INT8 }, "9223372036854775807", true },
        { { .type = "bigint", .kind = KIND_INT8 }, "9223372036854775808", false },
        { { .type = "bigint", .kind = KIND_INT8 }, " 1", false },
        { { .type = "bigint", .kind = KIND_INT8 }, "1e3", false },
        { { .type = "numeric(4,2)", .kind = KIND_NUMERIC }, "99.99", true },
        { { .type = "numeric(4,2)", .kind = KIND_NUMERIC }, "100", false },
        { { .type = "numeric(4,2)", .kind = KIND_NUMERIC }, "0.001", false },
        { { .type = "numeric", .kind = KIND_NUMERIC }, "-12345678901234567890.5", true },
        { { .type = "app.amount", .kind = KIND_NUMERIC }, "1", false },
        { { .type = "real", .kind = KIND_FLOAT4 }, "1.5", true },
        { { .type = "real", .kind = KIND_FLOAT4 },
          "1000000000000000000000000000000000000000",
          false },
        { { .type = "real", .kind = KIND_FLOAT4 }, "NaN", false },
        { { .type = "date", .kind = KIND_DATE }, "2024-02-29", true },
        { { .type = "date", .kind = KIND_DATE }, "2026-02-29", false },
        { { .type = "date", .kind = KIND_DATE }, "today", false },
        { { .type = "date", .kind = KIND_DATE }, "0000-01-01", false },
        { { .type = "timestamp with time zone", .kind = KIND_TIMESTAMPTZ },
          "2026-01-31 23:59:59",
          true },
        { { .type = "timestamp with time zone", .kind = KIND_TIMESTAMPTZ },
          "2026-01-31 24:00:00",
          false },
        { { .type = "boolean", .kind = KIND_BOOL }, "true", true },
        { { .type = "boolean", .kind = KIND_BOOL }, "yes", false },
        { { .type = "uuid", .kind = KIND_UUID }, "12345678-1234-1234-1234-123456789abc", true },
        { { .type = "uuid", .kind = KIND_UUID }, "12345678-1234-1234-1234-123456789ab", false },
        { { .type = "uuid", .kind = KIND_UUID }, "", false },
        { { .type = "inet", .kind = KIND_INET }, "2001:db8::1", true },
        { { .type = "inet", .kind = KIND_INET }, "1.2.3", false },
        { { .type = "character varying(3)", .kind = KIND_TEXT, .width = 3 }, "äöü", true },
        { { .type = "character varying(3)", .kind = KIND_TEXT, .width = 3 }, "abcd", false },
        { { .type = "jsonb", .kind = KIND_JSONB }, "{}", false },
        { { .type = "integer[]", .kind = KIND_ARRAY }, "{}", false },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(constants); i++) {
        struct sql s;
        struct err err = { 0 };
        sql_init(&s);
        int rc = literal_add(&s, constants[i].value, &constants[i].fact, "app.t.c", &err);
        if ((rc == 0) != constants[i].good)
            fail_msg("%s as %s: %s", constants[i].value, constants[i].fact.type, err.line);
        sql_done(&s);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_understood_is_written_anew),
        cmocka_unit_test(what_could_fail_show_or_reach_elsewhere_is_refused),
        cmocka_unit_test(every_cut_of_an_expression_is_read_or_refused),
        cmocka_unit_test(deep_nesting_and_length_end),
        cmocka_unit_test(a_constant_fits_its_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
