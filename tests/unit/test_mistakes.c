#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "policy/mistakes.h"

static void nothing_added_is_no_mistake(void **state)
{
    struct mistakes m;
    (void)state;
    mistakes_init(&m);
    assert_false(mistakes_any(&m));
    mistakes_done(&m);
}

static void mistakes_of_one_file_stand_in_the_order_of_its_lines(void **state)
{
    struct mistakes m;
    (void)state;
    mistakes_init(&m);
    mistakes_add(&m, "a", 9, "later");
    mistakes_add(&m, "b", 5, "first");
    mistakes_add(&m, "b", 7, "third");
    mistakes_add(&m, "b", 5, "second");
    mistakes_add(&m, "b", 0, "whole file");
    assert_int_equal(m.count, 5);
    assert_string_equal(m.list[0].text, "later");
    assert_string_equal(m.list[1].text, "whole file");
    assert_string_equal(m.list[2].text, "first");
    assert_string_equal(m.list[3].text, "second");
    assert_string_equal(m.list[4].text, "third");
    mistakes_done(&m);
}

static void they_are_printed_as_file_line_text(void **state)
{
    struct mistakes m;
    char *out = NULL;
    size_t len = 0;
    (void)state;
    mistakes_init(&m);
    mistakes_add(&m, "policy.yaml", 3, "place: expected %s", "a country");
    mistakes_add(&m, "policy.yaml", 0, "could not open");
    FILE *to = open_memstream(&out, &len);
    assert_non_null(to);
    mistakes_print(&m, to);
    assert_int_equal(fclose(to), 0);
    assert_string_equal(out,
                        "policy.yaml: could not open\npolicy.yaml:3: place: expected a country\n");
    free(out);
    mistakes_done(&m);
}

static void a_text_cannot_give_orders_to_a_terminal(void **state)
{
    struct mistakes m;
    (void)state;
    mistakes_init(&m);
    mistakes_add(&m, "f", 1, "a\033[31mb\nc\xc2\x9b");
    assert_string_equal(m.list[0].text, "a?[31mb?c??");
    mistakes_done(&m);
}

static void more_than_the_maximum_are_counted_as_more(void **state)
{
    struct mistakes m;
    (void)state;
    mistakes_init(&m);
    for (unsigned i = 0; i < MISTAKES_MAX; i++)
        mistakes_add(&m, "f", i, "x");
    assert_false(m.overflowed);
    mistakes_add(&m, "f", 1, "one more");
    assert_true(m.overflowed);
    assert_int_equal(m.count, MISTAKES_MAX);
    mistakes_done(&m);
    assert_false(mistakes_any(&m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_added_is_no_mistake),
        cmocka_unit_test(mistakes_of_one_file_stand_in_the_order_of_its_lines),
        cmocka_unit_test(they_are_printed_as_file_line_text),
        cmocka_unit_test(a_text_cannot_give_orders_to_a_terminal),
        cmocka_unit_test(more_than_the_maximum_are_counted_as_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
