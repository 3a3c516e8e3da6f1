#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "control/known.h"

static struct grant_entry grant(uint64_t id, uint64_t subjects)
{
    struct grant_entry e;
    memset(&e, 0, sizeof(e));
    e.id = id;
    e.subjects = subjects;
    memcpy(e.role, "rf_g_", sizeof("rf_g_"));
    return e;
}

static void put(struct known *k, uint64_t id, uint64_t subjects)
{
    struct grant_entry e = grant(id, subjects);
    assert_int_equal(known_put(k, &e), 0);
}

static void grants_come_in_any_order_and_stand_in_order(void **state)
{
    struct known k = { 0 };
    size_t at = 0;
    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        put(&k, 1 + i * 7 % 1000, i);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_int_equal(known_next(&k, &at)->id, id);
    assert_null(known_next(&k, &at));
    known_clear(&k);
}

static void what_is_put_again_replaces(void **state)
{
    struct known k = { 0 };
    (void)state;
    put(&k, 31, 1);
    put(&k, 31, 2);
    assert_int_equal(k.count, 1);
    assert_int_equal(known_find(&k, 31)->subjects, 2);
    known_clear(&k);
}

static void what_is_dropped_is_gone_and_the_others_stay(void **state)
{
    struct known k = { 0 };
    (void)state;
    for (uint64_t id = 1; id <= 1000; id++)
        put(&k, id, id);
    for (uint64_t id = 1; id <= 1000; id++)
        if (id % 10 != 0)
            known_drop(&k, id);
    known_drop(&k, 3);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_int_equal(known_find(&k, id) != NULL, id % 10 == 0);
    assert_true(k.count < 300); /* the holes do not stay */
    known_clear(&k);
}

static void a_number_comes_back_into_its_hole(void **state)
{
    struct known k = { 0 };
    size_t at = 0;
    (void)state;
    put(&k, 1, 1);
    put(&k, 2, 1);
    known_drop(&k, 1);
    put(&k, 1, 5);
    assert_int_equal(known_next(&k, &at)->subjects, 5);
    assert_int_equal(k.holes, 0);
    known_clear(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_come_in_any_order_and_stand_in_order),
        cmocka_unit_test(what_is_put_again_replaces),
        cmocka_unit_test(what_is_dropped_is_gone_and_the_others_stay),
        cmocka_unit_test(a_number_comes_back_into_its_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
