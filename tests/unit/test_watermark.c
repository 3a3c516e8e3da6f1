/* Watermarks: which words of a file could bear one, and how much so many fits prove. The hash is
   the database's; tests/integration/test_trace.py has it from both of its makers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/watermark.h"

static enum watermark_kind read(const char *text, struct watermark *w)
{
    return watermark_read(text, strlen(text), w);
}

static void a_pseudonym_is_read_as_hexadecimal_digits(void **state)
{
    static const struct {
        const char *text, *digits;
    } rows[] = {
        { "9223372036854775807", "7fffffffffffffff" },
        { "1234567890123456789", "112210f47de98115" },
        { "100000000000000", "00005af3107a4000" },
        { "p_0123456789abcdef0123", "0123456789abcdef0123" },
        { "p_0123456789ABCDEF", "0123456789abcdef" },
        { "01234567-89ab-cdef-0123-456789ABCDEF", "0123456789abcdef0123456789abcdef" },
        { "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct watermark w;
        assert_int_equal(read(rows[i].text, &w), WATERMARK_PSEUDONYM);
        assert_int_equal(w.kind, WATERMARK_PSEUDONYM);
        assert_string_equal(w.digits, rows[i].digits);
    }
}

static void a_time_is_read_whatever_day_hour_and_zone_it_has(void **state)
{
    static const char *const same[] = { "2026-11-30T17:20:01.023456Z", "17:20:01.023456-05",
                                        "05:01.023456", "2026-11-30T04:35:01.023456+05:30",
                                        "50:01.023456" };
    struct watermark w;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(same); i++) {
        assert_int_equal(read(same[i], &w), WATERMARK_TIME);
        assert_int_equal(w.ms, 5 * 60000 + 1023);
        assert_int_equal(w.us, 456);
    }
    assert_int_equal(read("17:14:59.9", &w), WATERMARK_TIME); /* zeros at the end are not written */
    assert_int_equal(w.ms, 14 * 60000 + 59900);
    assert_int_equal(w.us, 0);
    assert_int_equal(read("00:00.000001", &w), WATERMARK_TIME);
    assert_int_equal(w.us, 1);
}

static void other_words_are_left_alone(void **state)
{
    static const char *const others[] = {
        "",
        "42",
        "99999999999999",       /* 14 digits */
        "9223372036854775808",  /* no bigint */
        "12345678901234567890", /* 20 digits */
        "012345678901234567",
        "-1234567890123456789",
        "1.5",
        "p_0123456789abcde",       /* 15 digits: too short for one */
        "p_0123456789abcdef01234", /* 21: there is none */
        "p_0123456789abcdeg0",
        "0123456789abcdef0123456789abcde",
        "01234567-89ab-cdef-0123-456789abcde-",
        "person@mail.example",
        "17:05:00",
        "17:65:00.123456", /* no minute */
        "17:05:60.123456",
        "05:00.1234567",
        "05:00.",
        "5:00.123456",
        "ab:cd.123456",
        ".123456",
    };
    struct watermark w;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(others); i++) {
        if (read(others[i], &w) != WATERMARK_NONE)
            print_message("taken: \"%s\"\n", others[i]);
        assert_int_equal(w.kind, WATERMARK_NONE);
    }
}

static void what_is_cut_is_never_read_beyond_its_end(void **state)
{
    static const char text[] = "01234567-89ab-cdef-0123-456789abcdef";
    struct watermark w;
    (void)state;
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(watermark_read(text, n, &w), WATERMARK_NONE);
    for (size_t n = 0; n <= strlen("17:05:00.1"); n++)
        assert_int_equal(watermark_read("17:05:00.123456", n, &w),
                         n == strlen("17:05:00.1") ? WATERMARK_TIME : WATERMARK_NONE);
}

static double chance(size_t digits, size_t digits_fit, size_t times, size_t times_fit,
                     size_t grants)
{
    const size_t tried[WATERMARK_KIND_COUNT] = { 0, digits, times };
    const size_t fit[WATERMARK_KIND_COUNT] = { 0, digits_fit, times_fit };
    return watermark_chance(tried, fit, grants);
}

static void assert_near(double is, double wanted)
{
    assert_true(is > wanted * 0.99 && is < wanted * 1.01);
}

static void accidents_are_counted_over_all_grants_and_choices(void **state)
{
    (void)state;
    assert_near(chance(1, 1, 0, 0, 1), 1 / 16777216.0);
    assert_near(chance(1, 1, 0, 0, 1000), 1000 / 16777216.0);
    assert_near(chance(24, 1, 0, 0, 1), 24 / 16777216.0);
    assert_near(chance(24, 2, 0, 0, 1), 276 / 16777216.0 / 16777216.0);
    assert_near(chance(0, 0, 16, 3, 100), 100 * 560 * 1e-9);
    assert_near(chance(2, 2, 3, 3, 10), 10 / 16777216.0 / 16777216.0 * 1e-9);
    assert_near(chance(24, 0, 16, 1, 1000), 1); /* one time of sixteen is nothing */
    assert_near(chance(0, 0, 0, 0, 5), 1);
    assert_true(chance(40, 40, 0, 0, 20000) > 0); /* a number still, and not nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pseudonym_is_read_as_hexadecimal_digits),
        cmocka_unit_test(a_time_is_read_whatever_day_hour_and_zone_it_has),
        cmocka_unit_test(other_words_are_left_alone),
        cmocka_unit_test(what_is_cut_is_never_read_beyond_its_end),
        cmocka_unit_test(accidents_are_counted_over_all_grants_and_choices),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
