#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gate/reveal.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

static void a_message_is_token_class_and_subject(void **state)
{
    struct reveal r;
    (void)state;
    assert_int_equal(reveal_read(TOKEN " contact 42", &r), 0);
    assert_memory_equal(r.token, TOKEN, REVEAL_TOKEN_LEN);
    assert_int_equal(r.class_id, CLASS_CONTACT);
    assert_string_equal(r.subject, "42");
    assert_int_equal(reveal_read(TOKEN " child a%20b%25~!", &r), 0);
    assert_string_equal(r.subject, "a%20b%25~!");
    for (int i = CLASS_NOTHING + 1; i < CLASS_COUNT; i++) {
        char text[100];
        (void)snprintf(text, sizeof(text), TOKEN " %s x", policy_class_name((enum class_id)i));
        assert_int_equal(reveal_read(text, &r), 0);
        assert_int_equal(r.class_id, i);
    }
}

static void anything_else_is_refused_and_leaves_the_result_alone(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        TOKEN,
        TOKEN " ",
        TOKEN " contact",
        TOKEN " contact ",
        TOKEN "  contact 42",
        TOKEN " contact  42",
        TOKEN " contact 42 ",
        TOKEN " contact 4 2",
        TOKEN " Contact 42",
        TOKEN " contac 42",
        TOKEN " contacts 42",
        TOKEN " none 42",
        TOKEN " unset 42",
        TOKEN " contact 42\n",
        TOKEN " contact \xc3\xa9",
        TOKEN " contact 4%2",
        TOKEN " contact %",
        TOKEN " contact %2g",
        TOKEN " contact %c3",
        TOKEN "\tcontact 42",
        "0123456789ABCDEF0123456789ABCDEF contact 42",
        "0123456789abcdef0123456789abcde contact 42",
        "0" TOKEN " contact 42",
    };
    struct reveal r = { .class_id = CLASS_CHILD };
    char longest[REVEAL_SUBJECT_MAX + 60];
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (reveal_read(bad[i], &r) != -RF_EPROTO)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(r.class_id, CLASS_CHILD);
    int n = snprintf(longest, sizeof(longest), TOKEN " contact ");
    memset(longest + n, '7', REVEAL_SUBJECT_MAX + 1);
    longest[n + REVEAL_SUBJECT_MAX + 1] = '\0';
    assert_int_equal(reveal_read(longest, &r), -RF_EPROTO);
    longest[n + REVEAL_SUBJECT_MAX] = '\0';
    assert_int_equal(reveal_read(longest, &r), 0);
}

static void a_message_cut_anywhere_is_refused_or_shorter(void **state)
{
    static const char whole[] = TOKEN " contact 42%20";
    (void)state;
    for (size_t cut = 0; cut < sizeof(whole) - 1; cut++) {
        struct reveal r;
        char text[sizeof(whole)];
        memcpy(text, whole, cut);
        text[cut] = '\0';
        if (reveal_read(text, &r) == 0)
            assert_true(strlen(r.subject) == 1 || strlen(r.subject) == 2);
    }
}

static void any_flipped_bit_is_refused_or_changes_what_is_read(void **state)
{
    static const char whole[] = TOKEN " contact 42";
    (void)state;
    for (size_t bit = 0; bit < 8 * (sizeof(whole) - 1); bit++) {
        struct reveal r;
        char text[sizeof(whole)];
        memcpy(text, whole, sizeof(whole));
        text[bit / 8] ^= (char)(1 << bit % 8);
        if (reveal_read(text, &r) == 0)
            assert_true(memcmp(r.token, TOKEN, REVEAL_TOKEN_LEN) != 0 ||
                        strcmp(r.subject, "42") != 0);
    }
}

static char classes[REVEAL_CLASSES_SIZE], text[REVEAL_TEXT_SIZE];
uint32_t bits;

static void a_subject_is_told_once_a_class(void **state)
{
    struct reveal_set s = { 0 };
    (void)state;
    assert_int_equal(reveal_set_take(&s, classes, text, &bits), 0);
    assert_int_equal(reveal_set_add(&s, CLASS_CONTACT, "8"), 0);
    assert_int_equal(reveal_set_add(&s, CLASS_IDENTITY, "8"), 0);
    assert_int_equal(reveal_set_add(&s, CLASS_CONTACT, "8"), 0);
    assert_int_equal(reveal_set_add(&s, CLASS_CONTACT, "9"), 0);
    assert_true(s.pending);
    assert_int_equal(reveal_set_take(&s, classes, text, &bits), 2);
    assert_string_equal(classes, "identity,contact");
    assert_string_equal(text, "8 identity,contact 9 contact");
    assert_false(s.pending);
    assert_int_equal(reveal_set_add(&s, CLASS_CONTACT, "9"), 0);
    assert_false(s.pending); /* on record already */
    assert_int_equal(reveal_set_add(&s, CLASS_PAYMENT, "9"), 0);
    assert_true(s.pending);
    assert_int_equal(reveal_set_take(&s, classes, text, &bits), 1);
    assert_string_equal(text, "9 payment");
    reveal_set_clear(&s);
    assert_int_equal(reveal_set_add(&s, CLASS_CONTACT, "9"), 0);
    assert_true(s.pending); /* another statement */
    reveal_set_done(&s);
}

static void a_full_set_says_so_and_holds_the_longest_record(void **state)
{
    static const char *const all = "identity,contact,location,activity,graph,content,payment,child";
    struct reveal_set s = { 0 };
    char subject[REVEAL_SUBJECT_MAX + 1];
    (void)state;
    memset(subject, 'x', REVEAL_SUBJECT_MAX);
    subject[REVEAL_SUBJECT_MAX] = '\0';
    for (int i = 0; i < REVEAL_SET_MAX; i++)
        for (int c = CLASS_NOTHING + 1; c < CLASS_COUNT; c++) {
            (void)memcpy(subject, &(char[]){ (char)('0' + i / 10), (char)('0' + i % 10) }, 2);
            assert_int_equal(reveal_set_add(&s, (enum class_id)c, subject), 0);
        }
    assert_int_equal(reveal_set_add(&s, CLASS_CHILD, "other"), -RF_ETOOBIG);
    assert_int_equal(reveal_set_add(&s, CLASS_CHILD, subject), 0);
    assert_int_equal(reveal_set_take(&s, classes, text, &bits), REVEAL_SET_MAX);
    assert_string_equal(classes, all);
    assert_int_equal(strlen(text), REVEAL_SET_MAX * (REVEAL_SUBJECT_MAX + 1 + strlen(all) + 1) - 1);
    reveal_set_clear(&s);
    assert_int_equal(reveal_set_add(&s, CLASS_CHILD, "other"), 0);
    reveal_set_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_token_class_and_subject),
        cmocka_unit_test(anything_else_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(a_message_cut_anywhere_is_refused_or_shorter),
        cmocka_unit_test(any_flipped_bit_is_refused_or_changes_what_is_read),
        cmocka_unit_test(a_subject_is_told_once_a_class),
        cmocka_unit_test(a_full_set_says_so_and_holds_the_longest_record),
    };
    return cmocka_run_group_tests_name("reveal", tests, NULL, NULL);
}
