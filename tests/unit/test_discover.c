#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/attr.h"
#include "discover/discover.h"
#include "discover/name.h"
#include "discover/value.h"

/* -- words -- */

static void a_name_is_cut_at_underscores_capitals_and_digits(void **state)
{
    static const struct {
        const char *name, *words;
    } names[] = {
        { "user_id", "user id" },
        { "userID", "user id" },
        { "HTTPServerName", "http server name" },
        { "line2", "line 2" },
        { "Stra\xc3\x9f"
          "e",
          "strasse" },
        { "gr\xc3\xb6\xc3\x9f"
          "e",
          "groesse" },
        { "__a--b c", "a b c" },
        { "", "" },
        { "___", "" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(names); i++) {
        struct name_words n;
        char joined[200] = "";
        name_split(&n, names[i].name);
        for (size_t k = 0; k < n.count; k++) {
            (void)strcat(joined, k > 0 ? " " : "");
            (void)strcat(joined, n.word[k]);
        }
        assert_string_equal(joined, names[i].words);
    }
}

static void a_name_of_any_length_is_cut_without_overrun(void **state)
{
    char name[4096];
    struct name_words n;
    char text[2 * NAME_WORD_SIZE];
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < sizeof(name) - 1; i++)
            name[i] = kind == 0 ? 'a' : kind == 1 ? (i % 2 == 0 ? 'a' : '_') : (char)0xc3;
        name[sizeof(name) - 1] = '\0';
        name_split(&n, name);
        assert_in_range(n.count, 1, NAME_WORDS_MAX - 1);
        assert_true(strlen(name_join(&n, 0, n.count - 1, text)) < sizeof(text));
    }
}

static void words_match_whole_or_by_their_end(void **state)
{
    (void)state;
    assert_int_equal(name_in("email|mail", "mail"), NAME_IS);
    assert_int_equal(name_in("email|*datum", "rechnungsdatum"), NAME_ENDS);
    assert_int_equal(name_in("email|*datum", "datum"), NAME_DIFFERS); /* compounds only */
    assert_int_equal(name_in("email|mail", "emai"), NAME_DIFFERS);
    assert_int_equal(name_in("email|mail", ""), NAME_DIFFERS);
    assert_int_equal(name_in("", "mail"), NAME_DIFFERS);
}

static void singular_and_plural_have_one_stem(void **state)
{
    static const char *const pairs[][2] = {
        { "users", "user" },
        { "Kunden", "Kunde" },
        { "categories", "category" },
        { "addresses", "address" },
    };
    char one[NAME_WORD_SIZE], other[NAME_WORD_SIZE];
    (void)state;
    for (size_t i = 0; i < RF_COUNT(pairs); i++)
        assert_string_equal(name_stem(pairs[i][0], one), name_stem(pairs[i][1], other));
}

/* -- values -- */

static void formats_take_what_they_are_for_and_nothing_near_it(void **state)
{
    static const struct {
        enum value_format format;
        enum value_kind kind;
        bool has;
        const char *value;
    } cases[] = {
        { FORMAT_email, VALUE_TEXT, true, "a.b@mail.example" },
        { FORMAT_email, VALUE_TEXT, false, "a@b" },
        { FORMAT_email, VALUE_TEXT, false, "@mail.example" },
        { FORMAT_email, VALUE_TEXT, false, "write to a@mail.example" },
        { FORMAT_phone, VALUE_TEXT, true, "+49 30 1234567" },
        { FORMAT_phone, VALUE_TEXT, true, "(415) 555-0134" },
        { FORMAT_phone, VALUE_TEXT, false, "2026-11-23" },
        { FORMAT_phone, VALUE_TEXT, false, "0.12345678" },
        { FORMAT_phone, VALUE_TEXT, false, "202600000017" },
        { FORMAT_phone, VALUE_TEXT, false, "+49 30 12a4567" },
        { FORMAT_card, VALUE_TEXT, true, "4111 1111 1111 1111" },
        { FORMAT_card, VALUE_TEXT, false, "4111 1111 1111 1112" },
        { FORMAT_card, VALUE_NUMBER, true, "4111111111111111" },
        { FORMAT_iban, VALUE_TEXT, true, "DE89 3704 0044 0532 0130 00" },
        { FORMAT_iban, VALUE_TEXT, false, "DE88 3704 0044 0532 0130 00" },
        { FORMAT_iban, VALUE_TEXT, true, "GB82WEST12345698765432" },
        { FORMAT_ip, VALUE_TEXT, true, "203.0.113.7" },
        { FORMAT_ip, VALUE_TEXT, true, "2001:db8::1" },
        { FORMAT_ip, VALUE_TEXT, false, "1.2.3" },
        { FORMAT_ip, VALUE_TEXT, false, "::" },
        { FORMAT_mac, VALUE_TEXT, true, "00:1a:2b:3c:4d:5e" },
        { FORMAT_uuid, VALUE_TEXT, true, "123e4567-e89b-12d3-a456-426614174000" },
        { FORMAT_uuid, VALUE_TEXT, false, "123e4567-e89b-12d3-a456-42661417400" },
        { FORMAT_coordinates, VALUE_TEXT, true, "48.1374,11.5755" },
        { FORMAT_coordinates, VALUE_TEXT, true, "POINT(11.5755 48.1374)" },
        { FORMAT_coordinates, VALUE_TEXT, false, "12,13" },
        { FORMAT_degrees, VALUE_NUMBER, true, "-77.43921" },
        { FORMAT_degrees, VALUE_NUMBER, false, "0.43921" },
        { FORMAT_country, VALUE_TEXT, true, "DE" },
        { FORMAT_country, VALUE_TEXT, false, "UK" },
        { FORMAT_person, VALUE_TEXT, true, "Karl-Heinz M\xc3\xbcller" },
        { FORMAT_person, VALUE_TEXT, false, "trail shoe" },
        { FORMAT_person, VALUE_TEXT, false, "Anna: 3 reasons" },
        { FORMAT_street, VALUE_TEXT, true,
          "Lindenstra\xc3\x9f"
          "e 12" },
        { FORMAT_street, VALUE_TEXT, true, "221 Baker Street" },
        { FORMAT_street, VALUE_TEXT, false, "Desk 4" },
        { FORMAT_secret, VALUE_TEXT, true, "$2b$12$abcdefghijklmnopqrstuv" },
        { FORMAT_hash, VALUE_TEXT, true, "d41d8cd98f00b204e9800998ecf8427e" },
        { FORMAT_prose, VALUE_TEXT, true, "please ring at the neighbours next time" },
        { FORMAT_prose, VALUE_TEXT, false, "SKU-123456" },
        { FORMAT_keyed, VALUE_JSON, true, "{\"a\": 1, \"userEmail\": \"x\"" },
        { FORMAT_keyed, VALUE_JSON, false, "{\"a\": \"email\"}" },
        { FORMAT_keyed, VALUE_JSON, false, "{\"a\\" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++)
        if (value_has_format(cases[i].format, cases[i].kind, cases[i].value) != cases[i].has)
            fail_msg("case %zu: %s", i, cases[i].value);
}

/* Whatever bytes a table holds: each value cut at every length, and with every byte changed. */
static void any_bytes_can_be_looked_at(void **state)
{
    static const char *const values[] = {
        "+49 30 1234567",
        "DE89 3704 0044 0532 0130 00",
        "POINT(11.5755 48.1374)",
        "{\"a\": {\"userEmail\": \"x\\\"y\"}, \"ip\" => 1}",
        "Lindenstra\xc3\x9f"
        "e 12",
        "2001:db8::1/64",
        "4111 1111 1111 1111",
        "2026-11-23 10:11:12+00",
    };
    struct value_tally tally = { 0 };
    char value[100];
    (void)state;
    for (size_t i = 0; i < RF_COUNT(values); i++)
        for (size_t at = 0; at < strlen(values[i]); at++)
            for (int byte = 0; byte < 256; byte += 5) {
                (void)strcpy(value, values[i]);
                value[at] = (char)byte;
                for (int kind = VALUE_TEXT; kind <= VALUE_JSON; kind++)
                    value_look(&tally, (enum value_kind)kind, value);
            }
    assert_int_equal(tally.distinct, VALUE_DISTINCT_MAX);
}

static void empty_values_do_not_count_and_equal_ones_count_once(void **state)
{
    struct value_tally tally = { 0 };
    (void)state;
    value_look(&tally, VALUE_TEXT, "");
    value_look(&tally, VALUE_TEXT, "   ");
    value_look(&tally, VALUE_TEXT, "a");
    value_look(&tally, VALUE_TEXT, "a");
    value_look(&tally, VALUE_TEXT, "b");
    assert_int_equal(tally.seen, 3);
    assert_int_equal(tally.distinct, 2);
}

/* -- facts -- */

static void facts_leave_a_part_of_the_doubt_each(void **state)
{
    struct discovery d = { 0 };
    struct discover_column c = { 0 };
    (void)state;
    arena_init(&d.arena);
    discover_add_fact(&d, &c, CONCEPT_EMAIL, 0.5, "a");
    discover_add_fact(&d, &c, CONCEPT_EMAIL, 0.5, "b");
    discover_add_fact(&d, &c, CONCEPT_PHONE, 0.9, "c");
    assert_true(discover_strength(&c, CONCEPT_EMAIL) > 0.749);
    assert_true(discover_strength(&c, CONCEPT_EMAIL) < 0.751);
    assert_true(discover_strength(&c, CONCEPT_BIRTH) < 0.001);
    for (int i = 0; i < 100; i++) /* more than there is room for */
        discover_add_fact(&d, &c, CONCEPT_BIRTH, 0.5, "%d", i);
    assert_int_equal(c.fact_count, DISCOVER_FACTS_MAX);
    arena_done(&d.arena);
}

static void names_in_comments_end_no_line(void **state)
{
    struct discovery d = { 0 };
    (void)state;
    arena_init(&d.arena);
    assert_string_equal(discover_plain_name(&d, "users"), "users");
    assert_string_equal(discover_plain_name(&d, "a\nb\"c\\"), "a\\u{a}b\\u{22}c\\u{5c}");
    assert_string_equal(discover_plain_name(&d, "na\xc3\xafve"), "na\xc3\xafve");
    assert_string_equal(discover_plain_name(&d, "\xe2\x80\xae"), "\\u{202e}");
    assert_string_equal(discover_plain_name(&d, "\xc2\x85"), "\\u{85}");
    assert_string_equal(discover_plain_name(&d, "\xff\xe2\x80"), "\\u{ff}\\u{e2}\\u{80}");
    arena_done(&d.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_cut_at_underscores_capitals_and_digits),
        cmocka_unit_test(a_name_of_any_length_is_cut_without_overrun),
        cmocka_unit_test(words_match_whole_or_by_their_end),
        cmocka_unit_test(singular_and_plural_have_one_stem),
        cmocka_unit_test(formats_take_what_they_are_for_and_nothing_near_it),
        cmocka_unit_test(any_bytes_can_be_looked_at),
        cmocka_unit_test(empty_values_do_not_count_and_equal_ones_count_once),
        cmocka_unit_test(facts_leave_a_part_of_the_doubt_each),
        cmocka_unit_test(names_in_comments_end_no_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
