#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "priv/grant_table.h"

static int fd = -1;
static struct grant_table *control, *worker;

static int map_both(void **state)
{
    struct err err;
    (void)state;
    return grant_table_create(&fd, &err) < 0 ||
                   grant_table_map(fd, LEASE_WRITE, &control, &err) < 0 ||
                   grant_table_map(fd, LEASE_READ, &worker, &err) < 0
               ? -1
               : 0;
}

static int unmap_both(void **state)
{
    (void)state;
    grant_table_unmap(control);
    grant_table_unmap(worker);
    fd_close(&fd);
    return 0;
}

static unsigned claimed(const char *alias)
{
    unsigned database;
    assert_int_equal(grant_table_claim(control, alias, &database), 0);
    return database;
}

static struct grant_entry grant(uint64_t id)
{
    struct grant_entry e;
    memset(&e, 0, sizeof(e));
    e.id = id;
    e.ends_wall_ms = e.ends_mono_ms = 1000;
    e.subjects = 3;
    e.classes = 12;
    (void)snprintf(e.actor, sizeof(e.actor), "actor%llu", (unsigned long long)(id % 1000));
    (void)snprintf(e.role, sizeof(e.role), "rf_g_%016llx", (unsigned long long)id);
    (void)snprintf(e.purpose, sizeof(e.purpose), "support_ticket");
    return e;
}

static void put(unsigned database, struct grant_entry e)
{
    assert_int_equal(grant_table_put(control, database, &e), 0);
}

static void answer(unsigned database, uint64_t first, uint64_t last)
{
    grant_table_begin(control, database);
    for (uint64_t id = first; id <= last; id++)
        put(database, grant(id));
    grant_table_end(control, database);
}

static int look(unsigned database, uint64_t id)
{
    struct grant_entry e;
    int rc = grant_table_look(worker, database, id, &e);
    assert_true(rc != 1 || e.id == id);
    return rc;
}

static void a_new_table_knows_nothing(void **state)
{
    (void)state;
    assert_int_equal(grant_table_database(worker, "us"), -RF_ENOTFOUND);
    assert_int_equal(look(0, 1), 0);
    assert_int_equal(look(GRANT_TABLE_DATABASES, 1), 0);
    assert_false(grant_table_leased(worker, 0, 0));
    assert_false(grant_table_leased(worker, GRANT_TABLE_DATABASES, 0));
    char zeros[GRANT_TOKEN_LEN] = { 0 };
    assert_false(grant_table_token_is(worker, 0, zeros));
}

static void a_grant_is_found_as_it_was_put(void **state)
{
    struct grant_entry got;
    (void)state;
    unsigned us = claimed("us");
    assert_int_equal(grant_table_database(worker, "us"), us);
    answer(us, 31, 31);
    assert_int_equal(grant_table_look(worker, us, 31, &got), 1);
    assert_string_equal(got.actor, "actor31");
    assert_string_equal(got.role, "rf_g_000000000000001f");
    assert_string_equal(got.purpose, "support_ticket");
    assert_int_equal(got.subjects, 3);
    assert_int_equal(got.classes, 12);
    assert_false(grant_entry_is_over(&got, 999, 999));
    assert_true(grant_entry_is_over(&got, 1000, 0));
    assert_true(grant_entry_is_over(&got, 0, 1000));
    assert_int_equal(look(us, 30), 0);
    assert_int_equal(look(us, 32), 0);
}

static bool is_withheld(unsigned database, uint64_t id)
{
    struct grant_entry e;
    assert_int_equal(grant_table_look(worker, database, id, &e), 1);
    return e.withheld;
}

static void in_a_new_era_everything_is_withheld_until_it_is_put_again(void **state)
{
    struct grant_entry e = grant(32), got;
    (void)state;
    unsigned us = claimed("us"), eu = claimed("eu");
    answer(us, 31, 33);
    answer(eu, 31, 31);
    assert_false(is_withheld(us, 31));
    uint64_t epoch = grant_table_epoch(worker, us);
    grant_table_new_era(control, us);
    assert_true(grant_table_epoch(worker, us) > epoch); /* workers look */
    assert_true(is_withheld(us, 31) && is_withheld(us, 33) && !is_withheld(eu, 31));
    put(us, grant(31));
    assert_true(!is_withheld(us, 31) && is_withheld(us, 32));
    (void)snprintf(e.ref, sizeof(e.ref), "7 example.com/log");
    put(us, e);
    e.ref[0] = '\0';
    e.closed = false;
    assert_int_equal(grant_table_withhold(control, us, &e), 0);
    assert_int_equal(grant_table_look(worker, us, 32, &got), 1);
    assert_true(got.withheld);
    assert_string_equal(got.ref, "7 example.com/log"); /* it stays on record where it was */
    grant_table_new_era_of_all(control);
    assert_true(is_withheld(us, 31) && is_withheld(eu, 31));
}

static void a_grant_that_an_answer_leaves_out_is_gone_and_the_epoch_says_so(void **state)
{
    (void)state;
    unsigned us = claimed("us");
    answer(us, 1, 3);
    uint64_t epoch = grant_table_epoch(worker, us);
    answer(us, 1, 3);
    assert_true(grant_table_epoch(worker, us) == epoch);
    grant_table_begin(control, us);
    put(us, grant(1));
    put(us, grant(3));
    grant_table_end(control, us);
    assert_true(grant_table_epoch(worker, us) != epoch);
    assert_int_equal(look(us, 1), 1);
    assert_int_equal(look(us, 2), 0);
    assert_int_equal(look(us, 3), 1);
}

static void an_end_only_comes_nearer_and_a_closing_stays(void **state)
{
    struct grant_entry e = grant(7), got;
    (void)state;
    unsigned us = claimed("us");
    grant_table_begin(control, us);
    put(us, e);
    e.ends_mono_ms = 5000;
    e.ends_wall_ms = 400;
    put(us, e);
    assert_int_equal(grant_table_look(worker, us, 7, &got), 1);
    assert_int_equal(got.ends_mono_ms, 1000);
    assert_int_equal(got.ends_wall_ms, 400);
    e.closed = true;
    put(us, e);
    e.closed = false;
    put(us, e);
    assert_int_equal(grant_table_look(worker, us, 7, &got), 1);
    assert_true(got.closed);
    assert_true(grant_entry_is_over(&got, 0, 0));
}

static void databases_do_not_see_each_others_grants(void **state)
{
    (void)state;
    unsigned us = claimed("us"), eu = claimed("eu");
    assert_int_not_equal(us, eu);
    assert_int_equal(claimed("us"), us);
    answer(us, 1, 2000);
    answer(eu, 1, 1);
    assert_int_equal(look(eu, 2), 0);
    assert_int_equal(look(us, 2), 1);
    /* the first slots of one database are the last ones of another: neither disturbs the other */
    uint64_t far = GRANT_TABLE_SLOTS / GRANT_TABLE_DATABASES;
    answer(us, far, far + 10);
    assert_int_equal(look(eu, 1), 1);
    answer(eu, 5, 5);
    for (uint64_t id = far; id <= far + 10; id++)
        assert_int_equal(look(us, id), 1);
}

static void a_database_that_is_no_longer_configured_is_forgotten(void **state)
{
    static const char *const left[] = { "eu" };
    (void)state;
    unsigned us = claimed("us"), eu = claimed("eu");
    answer(us, 1, 5);
    answer(eu, 1, 5);
    grant_table_lease(control, us, 100);
    grant_table_retain(control, left, 1);
    assert_int_equal(grant_table_database(worker, "us"), -RF_ENOTFOUND);
    assert_false(grant_table_leased(worker, us, 0));
    assert_int_equal(look(us, 1), 0);
    assert_int_equal(look(eu, 1), 1);
    assert_int_equal(claimed("eu"), eu);
    unsigned database;
    char longest[GRANT_ALIAS_SIZE + 1];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(grant_table_claim(control, longest, &database), -RF_ETOOBIG);
}

static void the_token_is_compared_and_never_empty(void **state)
{
    static const char token[] = "0123456789abcdef0123456789abcdef";
    char other[] = "0123456789abcdef0123456789abcdee";
    (void)state;
    unsigned us = claimed("us");
    assert_false(grant_table_token_is(worker, us, token));
    grant_table_set_token(control, us, token);
    assert_true(grant_table_token_is(worker, us, token));
    assert_false(grant_table_token_is(worker, us, other));
    assert_int_equal(grant_table_database(worker, "us"), us);
    grant_table_set_token(control, us, "short");
    assert_false(grant_table_token_is(worker, us, token));
    grant_table_set_token(control, us, token);
    grant_table_set_token(control, us, NULL);
    memset(other, 0, sizeof(other));
    assert_false(grant_table_token_is(worker, us, other));
}

static void a_lease_is_seen_until_its_time(void **state)
{
    (void)state;
    unsigned us = claimed("us");
    grant_table_lease(control, us, 1000);
    assert_true(grant_table_leased(worker, us, 999));
    assert_false(grant_table_leased(worker, us, 1000));
    grant_table_lease(control, us, 0);
    assert_false(grant_table_leased(worker, us, 0));
}

static void a_hundred_thousand_grants_come_and_go(void **state)
{
    enum { COUNT = 100000 };
    (void)state;
    unsigned us = claimed("us");
    for (uint64_t round = 0; round < 3; round++) {
        uint64_t first = 1 + round * 30000;
        answer(us, first, first + COUNT - 1);
        assert_int_equal(look(us, first - 1), 0);
        for (uint64_t id = first; id < first + COUNT; id++)
            assert_int_equal(look(us, id), 1);
        assert_int_equal(look(us, first + COUNT), 0);
    }
    answer(us, 1, 1);
    assert_int_equal(look(us, 1), 1);
    assert_int_equal(look(us, 2), 0);
    answer(us, 2, 1); /* nothing */
    assert_int_equal(look(us, 1), 0);
}

static void a_full_table_says_so_and_takes_no_more(void **state)
{
    (void)state;
    unsigned us = claimed("us");
    answer(us, 1, GRANT_TABLE_SLOTS / 2);
    struct grant_entry e = grant(GRANT_TABLE_SLOTS);
    assert_int_equal(grant_table_put(control, us, &e), -RF_ETOOBIG);
    assert_int_equal(look(us, GRANT_TABLE_SLOTS / 2), 1);
    assert_int_equal(look(us, GRANT_TABLE_SLOTS), 0);
}

static void what_is_left_of_a_killed_control_is_taken_over(void **state)
{
    (void)state;
    unsigned us = claimed("us");
    answer(us, 1, 10);
    grant_table_lease(control, us, 1000);
    grant_table_adopt(control);
    assert_false(grant_table_leased(worker, us, 0));
    for (uint64_t id = 1; id <= 10; id++)
        assert_int_equal(look(us, id), 1);
    assert_int_equal(grant_table_database(worker, "us"), us);
    answer(us, 5, 12);
    assert_int_equal(look(us, 4), 0);
    assert_int_equal(look(us, 12), 1);
}

static _Atomic bool is_over;

/* Every field of an entry says the same number. */
static void *keep_writing(void *arg)
{
    unsigned database = *(unsigned *)arg;
    for (uint64_t i = 0; !atomic_load(&is_over); i++) {
        struct grant_entry e = grant(9);
        e.subjects = i;
        e.classes = (uint32_t)i;
        (void)snprintf(e.purpose, sizeof(e.purpose), "%llu", (unsigned long long)i);
        grant_table_begin(control, database);
        if (i % 50 != 0 && grant_table_put(control, database, &e) < 0)
            break;
        grant_table_end(control, database);
    }
    return NULL;
}

static void a_reader_never_sees_half_of_a_change(void **state)
{
    pthread_t writer;
    uint64_t seen = 0, gone = 0;
    (void)state;
    unsigned us = claimed("us");
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&writer, NULL, keep_writing, &us), 0);
    for (int i = 0; i < 10000000 && (seen < 100000 || gone < 100); i++) {
        struct grant_entry e;
        char expected[GRANT_NAME_SIZE];
        int rc = grant_table_look(worker, us, 9, &e);
        gone += rc == 0;
        if (rc != 1)
            continue;
        seen++;
        (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)e.subjects);
        assert_string_equal(e.purpose, expected);
        assert_int_equal(e.classes, (uint32_t)e.subjects);
    }
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_true(seen > 0);
}

static void who_is_suspended_is_unknown_until_it_is_said(void **state)
{
    static const char *const names[] = { "zoe", "ann" };
    (void)state;
    unsigned us = claimed("us"), eu = claimed("eu");
    assert_int_equal(grant_table_suspended(worker, us, "zoe"), GRANT_SUSPENDED_UNKNOWN);
    grant_table_suspend(control, us, names, 2);
    uint64_t then = grant_table_suspensions(worker);
    assert_int_equal(grant_table_suspended(worker, us, "zoe"), GRANT_SUSPENDED_YES);
    assert_int_equal(grant_table_suspended(worker, us, "ann"), GRANT_SUSPENDED_YES);
    assert_int_equal(grant_table_suspended(worker, us, "an"), GRANT_SUSPENDED_NO);
    assert_int_equal(grant_table_suspended(worker, us, ""), GRANT_SUSPENDED_NO);
    assert_int_equal(grant_table_suspended(worker, eu, "zoe"), GRANT_SUSPENDED_UNKNOWN);
    grant_table_suspend(control, us, names, 2);
    assert_int_equal(grant_table_suspensions(worker), then); /* no news */
    grant_table_suspend(control, us, names, 1);
    assert_int_not_equal(grant_table_suspensions(worker), then);
    assert_int_equal(grant_table_suspended(worker, us, "ann"), GRANT_SUSPENDED_NO);
    grant_table_adopt(control); /* a new control takes it over */
    assert_int_equal(grant_table_suspended(worker, us, "zoe"), GRANT_SUSPENDED_YES);
    grant_table_retain(control, NULL, 0);
    assert_int_equal(grant_table_suspended(worker, us, "zoe"), GRANT_SUSPENDED_UNKNOWN);
}

static void of_more_than_there_is_room_for_everybody_is_suspended(void **state)
{
    static char names[GRANT_SUSPENDED_MAX + 1][GRANT_NAME_SIZE];
    const char *list[GRANT_SUSPENDED_MAX + 1];
    (void)state;
    unsigned us = claimed("us");
    for (size_t i = 0; i < RF_COUNT(list); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "actor%zu", i);
        list[i] = names[i];
    }
    grant_table_suspend(control, us, list, GRANT_SUSPENDED_MAX);
    assert_int_equal(grant_table_suspended(worker, us, "actor255"), GRANT_SUSPENDED_YES);
    assert_int_equal(grant_table_suspended(worker, us, "actor256"), GRANT_SUSPENDED_NO);
    grant_table_suspend(control, us, list, RF_COUNT(list));
    assert_int_equal(grant_table_suspended(worker, us, "actor256"), GRANT_SUSPENDED_YES);
    assert_int_equal(grant_table_suspended(worker, us, "somebody"), GRANT_SUSPENDED_YES);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, map_both, unmap_both)
    const struct CMUnitTest tests[] = {
        ONE(a_new_table_knows_nothing),
        ONE(a_grant_is_found_as_it_was_put),
        ONE(a_grant_that_an_answer_leaves_out_is_gone_and_the_epoch_says_so),
        ONE(in_a_new_era_everything_is_withheld_until_it_is_put_again),
        ONE(an_end_only_comes_nearer_and_a_closing_stays),
        ONE(databases_do_not_see_each_others_grants),
        ONE(a_database_that_is_no_longer_configured_is_forgotten),
        ONE(the_token_is_compared_and_never_empty),
        ONE(a_lease_is_seen_until_its_time),
        ONE(who_is_suspended_is_unknown_until_it_is_said),
        ONE(of_more_than_there_is_room_for_everybody_is_suspended),
        ONE(a_hundred_thousand_grants_come_and_go),
        ONE(a_full_table_says_so_and_takes_no_more),
        ONE(what_is_left_of_a_killed_control_is_taken_over),
        ONE(a_reader_never_sees_half_of_a_change),
    };
    return cmocka_run_group_tests_name("grant_table", tests, NULL, NULL);
}
