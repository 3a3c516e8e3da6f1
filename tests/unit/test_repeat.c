/* test_repeat.c - what an hour has said already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "ledger/repeat.h"

static const struct repeat_what base = { .grant = 7,
                                         .database = "us",
                                         .entity = "clipstream-us",
                                         .place = "US",
                                         .room = "granted",
                                         .subject = "ann",
                                         .subject_len = 3 };

static void key_of(uint32_t n, uint8_t ret[REPEAT_KEY_LEN])
{
    struct repeat_what what = base;
    what.subject = &n;
    what.subject_len = sizeof(n);
    repeat_key_of(&what, ret);
}

/* Whatever of these is another makes another leaf. */
static void everything_but_classes_is_in_the_key(void **state)
{
    struct repeat_what other[] = { base, base, base, base, base, base, base, base, base };
    uint8_t keys[RF_COUNT(other) + 1][REPEAT_KEY_LEN];
    (void)state;
    other[0].grant = 8;
    other[1].database = "eu";
    other[2].entity = "clipstream-sg";
    other[3].place = "SG";
    other[4].room = "clear";
    other[5].subject = "bob";
    other[6].subject_len = 2;
    other[7].database = NULL;
    other[8].database = "usclipstream"; /* no two texts run into each other */
    other[8].entity = "-us";
    for (size_t i = 0; i < RF_COUNT(other); i++)
        repeat_key_of(&other[i], keys[i]);
    repeat_key_of(&base, keys[RF_COUNT(other)]);
    for (size_t i = 0; i < RF_COUNT(keys); i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(keys[i], keys[k], REPEAT_KEY_LEN);
    repeat_key_of(&base, keys[0]);
    assert_memory_equal(keys[0], keys[RF_COUNT(other)], REPEAT_KEY_LEN);
}

static void classes_add_up_within_the_hour_and_are_forgotten_behind_it(void **state)
{
    static const struct {
        uint32_t minute;
        uint64_t epoch;
        bool forgets;
    } steps[] = {
        { 600, 3, false }, { 659, 3, false }, { 660, 3, true }, { 660, 4, true },
        { 661, 4, false }, { 600, 4, true }, /* whatever a clock does, it is another hour */
    };
    struct repeat_set s = { .slots = NULL };
    uint8_t ann[REPEAT_KEY_LEN], bob[REPEAT_KEY_LEN];
    (void)state;
    key_of(1, ann);
    key_of(2, bob);
    repeat_enter(&s, 600, 3);
    assert_int_equal(repeat_shown(&s, ann), 0);
    for (size_t i = 0; i < RF_COUNT(steps); i++) {
        repeat_note(&s, ann, 1);
        repeat_note(&s, ann, 4);
        repeat_enter(&s, steps[i].minute, steps[i].epoch);
        assert_int_equal(repeat_shown(&s, ann), steps[i].forgets ? 0 : 5);
        assert_int_equal(repeat_shown(&s, bob), 0);
    }
    repeat_done(&s);
    assert_int_equal(repeat_shown(&s, ann), 0);
}

static void nothing_is_lost_while_it_grows(void **state)
{
    struct repeat_set s = { .slots = NULL };
    uint8_t key[REPEAT_KEY_LEN];
    (void)state;
    repeat_enter(&s, 600, 3);
    for (uint32_t i = 0; i < 5000; i++) {
        key_of(i, key);
        assert_int_equal(repeat_shown(&s, key), 0);
        repeat_note(&s, key, 1 + i % 7);
    }
    assert_int_equal(s.count, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        key_of(i, key);
        assert_int_equal(repeat_shown(&s, key), 1 + i % 7);
    }
    repeat_done(&s);
}

/* It has a ceiling, and at the ceiling it still knows whom it knows: another class of theirs is
   said once, too. */
static void whoever_has_room_keeps_it_when_there_is_no_more(void **state)
{
    struct repeat_set s = { .slots = NULL };
    uint8_t key[REPEAT_KEY_LEN];
    (void)state;
    repeat_enter(&s, 600, 3);
    for (uint32_t i = 0; i < REPEAT_MAX + 1000; i++) {
        key_of(i, key);
        repeat_note(&s, key, 1);
    }
    assert_int_equal(s.count, REPEAT_MAX);
    assert_int_equal(repeat_shown(&s, key), 0); /* the last found none */
    key_of(0, key);
    repeat_note(&s, key, 2);
    assert_int_equal(repeat_shown(&s, key), 3);
    assert_int_equal(s.count, REPEAT_MAX);
    repeat_done(&s);
}

#ifdef RF_FAULTS
static void without_memory_it_forgets_the_new_and_not_the_old(void **state)
{
    struct repeat_set s = { .slots = NULL };
    uint8_t key[REPEAT_KEY_LEN];
    (void)state;
    repeat_enter(&s, 600, 3);
    fault_arm("mem.alloc:1+");
    key_of(0, key);
    repeat_note(&s, key, 1);
    assert_int_equal(repeat_shown(&s, key), 0);
    fault_arm(NULL);
    for (uint32_t i = 0; i < 128; i++) { /* half of the first table */
        key_of(i, key);
        repeat_note(&s, key, 1);
    }
    fault_arm("mem.alloc:1+");
    key_of(128, key);
    repeat_note(&s, key, 1);
    assert_int_equal(repeat_shown(&s, key), 0);
    key_of(5, key);
    repeat_note(&s, key, 2);
    fault_arm(NULL);
    assert_int_equal(repeat_shown(&s, key), 3);
    repeat_done(&s);
}
#endif

static int begin(void **state)
{
    struct err err;
    (void)state;
    return digest_init(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_but_classes_is_in_the_key),
        cmocka_unit_test(classes_add_up_within_the_hour_and_are_forgotten_behind_it),
        cmocka_unit_test(nothing_is_lost_while_it_grows),
        cmocka_unit_test(whoever_has_room_keeps_it_when_there_is_no_more),
#ifdef RF_FAULTS
        cmocka_unit_test(without_memory_it_forgets_the_new_and_not_the_old),
#endif
    };
    return cmocka_run_group_tests_name("repeat", tests, begin, NULL);
}
