#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "ledger/tally.h"

static struct tally *new_tally(void)
{
    struct tally *t;
    struct err err;
    assert_int_equal(tally_new(&t, &err), 0);
    return t;
}

static void note(struct tally *t, enum record_kind kind, const char *actor, uint64_t rows)
{
    const struct record r = { .kind = kind,
                              .region = "us",
                              .actor = actor,
                              .place = "US",
                              .rule = kind == RECORD_DENIAL ? "reveal-forged" : "",
                              .rows = rows };
    tally_note(t, &r);
}

static void assert_next(struct tally *t, uint64_t taken, uint64_t number, const char *actor,
                        enum record_news_kind kind, uint64_t count)
{
    struct record_news news;
    assert_true(tally_next(t, taken, &news));
    assert_int_equal(news.number, number);
    assert_string_equal(news.actor, actor);
    assert_string_equal(news.region, "us");
    assert_string_equal(news.place, "US");
    assert_int_equal(news.kind, kind);
    assert_int_equal(news.count, count);
}

static void a_piece_is_given_until_its_number_takes_it(void **state)
{
    struct tally *t = new_tally();
    struct record_news news;
    (void)state;
    assert_false(tally_next(t, 0, &news));
    note(t, RECORD_RESULT, "ann", 3);
    note(t, RECORD_RESULT, "ann", 4);
    assert_next(t, 0, 1, "ann", RECORD_NEWS_ROWS, 7);
    assert_next(t, 0, 2, "ann", RECORD_NEWS_ROWS, 7);
    note(t, RECORD_RESULT, "ann", 10);
    assert_next(t, 9, 3, "ann", RECORD_NEWS_ROWS, 17);
    assert_next(t, 2, 4, "ann", RECORD_NEWS_ROWS, 17); /* a number that is over takes nothing */
    note(t, RECORD_RESULT, "ann", 5);
    assert_next(t, 4, 5, "ann", RECORD_NEWS_ROWS, 5); /* what came meanwhile is the next */
    assert_false(tally_next(t, 5, &news));
    assert_false(tally_next(t, 5, &news));
    tally_free(t);
}

static void what_is_not_taken_holds_up_nobody(void **state)
{
    struct tally *t = new_tally();
    (void)state;
    note(t, RECORD_RESULT, "bob", 2);
    note(t, RECORD_RESULT, "ann", 3);
    assert_next(t, 0, 1, "ann", RECORD_NEWS_ROWS, 3); /* her region's database is away */
    assert_next(t, 0, 2, "bob", RECORD_NEWS_ROWS, 2);
    assert_next(t, 2, 3, "ann", RECORD_NEWS_ROWS, 3);
    assert_next(t, 2, 4, "ann", RECORD_NEWS_ROWS, 3);
    tally_free(t);
}

static void actors_and_kinds_are_apart_and_each_has_its_turn(void **state)
{
    struct tally *t = new_tally();
    unsigned seen = 0;
    (void)state;
    note(t, RECORD_RESULT, "ann", 1);
    note(t, RECORD_RESULT, "bob", 1);
    note(t, RECORD_DENIAL, "bob", 0);
    note(t, RECORD_STATEMENT, "eve", 5); /* says nothing of this */
    note(t, RECORD_RESULT, "", 5);
    for (uint64_t number = 1; number <= 3; number++) {
        struct record_news news;
        assert_true(tally_next(t, number - 1, &news));
        seen |= 1U << (news.kind == RECORD_NEWS_FORGED ? 2 : news.actor[0] == 'a' ? 0 : 1);
        note(t, RECORD_RESULT, "ann", 1); /* whoever goes on keeps nobody from his turn */
    }
    assert_int_equal(seen, 7);
    tally_free(t);
}

static void more_actors_than_there_is_room_for_are_left_out(void **state)
{
    struct tally *t = new_tally();
    char name[32];
    struct record_news news;
    uint64_t given = 0;
    (void)state;
    for (int i = 0; i < TALLY_MAX + 5; i++) {
        (void)snprintf(name, sizeof(name), "actor-%d", i);
        note(t, RECORD_RESULT, name, 1);
    }
    while (tally_next(t, given, &news))
        given = news.number;
    assert_int_equal(given, TALLY_MAX);
    tally_free(t);
}

static void a_place_whose_count_was_taken_is_free_for_others(void **state)
{
    struct tally *t = new_tally();
    char name[32];
    struct record_news news;
    uint64_t number = 0;
    (void)state;
    for (int i = 0; i < TALLY_MAX; i++) {
        (void)snprintf(name, sizeof(name), "actor-%d", i);
        note(t, RECORD_RESULT, name, 1);
    }
    note(t, RECORD_RESULT, "ann", 7); /* there is no room yet */
    while (tally_next(t, number, &news))
        number = news.number;
    for (int i = 0; i < TALLY_MAX; i++) { /* others, so that every chain is another one */
        (void)snprintf(name, sizeof(name), "other-%d", i);
        note(t, RECORD_DENIAL, name, 0);
    }
    for (int i = 0; i < TALLY_MAX; i++) {
        assert_true(tally_next(t, number, &news));
        assert_memory_equal(news.actor, "other-", 6);
        assert_int_equal(news.count, 1);
        number = news.number;
    }
    assert_false(tally_next(t, number, &news));
    note(t, RECORD_RESULT, "ann", 7);
    note(t, RECORD_RESULT, "ann", 1);
    assert_next(t, number, number + 1, "ann", RECORD_NEWS_ROWS, 8);
    tally_free(t);
}

static void what_is_written_is_read_and_nothing_else(void **state)
{
    const struct record_news news = { .number = 3,
                                      .kind = RECORD_NEWS_FORGED,
                                      .count = 2,
                                      .region = "us",
                                      .actor = "ann",
                                      .place = "IE" };
    struct record_news_copy copy;
    struct record_news read;
    struct buf b;
    (void)state;
    buf_init(&b, 1024);
    assert_int_equal(record_news_write(&b, &news), 0);
    const uint8_t *body = buf_at(&b) + 5;
    size_t n = buf_len(&b) - 5;
    assert_int_equal(record_news_read(body, n, &copy, &read), 1);
    assert_int_equal(read.number, 3);
    assert_int_equal(read.count, 2);
    assert_int_equal(read.kind, RECORD_NEWS_FORGED);
    assert_string_equal(read.actor, "ann");
    assert_string_equal(read.place, "IE");
    for (size_t len = 0; len < n; len++)
        assert_int_equal(record_news_read(body, len, &copy, &read), -RF_EPROTO);
    buf_clear(&b);
    assert_int_equal(record_news_write(&b, NULL), 0);
    assert_int_equal(record_news_read(buf_at(&b) + 5, buf_len(&b) - 5, &copy, &read), 0);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_is_given_until_its_number_takes_it),
        cmocka_unit_test(what_is_not_taken_holds_up_nobody),
        cmocka_unit_test(actors_and_kinds_are_apart_and_each_has_its_turn),
        cmocka_unit_test(more_actors_than_there_is_room_for_are_left_out),
        cmocka_unit_test(a_place_whose_count_was_taken_is_free_for_others),
        cmocka_unit_test(what_is_written_is_read_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
