#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ledger/errand.h"

static uint8_t large[ERRAND_BODY_MAX + 1];

static struct errand_post a_post(void)
{
    return (struct errand_post){ .witness = 3,
                                 .key_id = 0x969980cf,
                                 .ticket = 0x8877665544332211,
                                 .limit_ms = 5000,
                                 .body = (const uint8_t *)"old 0\n\nnote",
                                 .body_len = 11 };
}

static struct errand_answer an_answer(void)
{
    return (struct errand_answer){ .witness = 3,
                                   .ticket = 0x8877665544332211,
                                   .status = 409,
                                   .is_size = true,
                                   .body = (const uint8_t *)"17\n",
                                   .body_len = 3 };
}

/* The last N bytes before a page that cannot be read. */
static const uint8_t *at_the_edge(const void *bytes, size_t n)
{
    static uint8_t *pages;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 8 * page;
    if (pages == NULL) {
        pages = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(pages != MAP_FAILED);
        assert_int_equal(mprotect(pages + room, page, PROT_NONE), 0);
    }
    assert_true(n <= room);
    memcpy(pages + room - n, bytes, n);
    return pages + room - n;
}

static void both_read_as_they_were_written(void **state)
{
    struct errand_post p = a_post(), got_post;
    struct errand_answer a = an_answer(), got;
    struct buf b;
    (void)state;
    buf_init(&b, ERRAND_MESSAGE_MAX);
    assert_int_equal(errand_post_write(&b, &p), 0);
    assert_int_equal(errand_post_read(buf_at(&b), buf_len(&b), &got_post), 0);
    assert_int_equal(got_post.witness, p.witness);
    assert_int_equal(got_post.key_id, p.key_id);
    assert_int_equal(got_post.ticket, p.ticket);
    assert_int_equal(got_post.limit_ms, p.limit_ms);
    assert_int_equal(got_post.body_len, p.body_len);
    assert_memory_equal(got_post.body, p.body, p.body_len);
    assert_int_equal(errand_answer_read(buf_at(&b), buf_len(&b), &got), -RF_EPROTO);
    buf_clear(&b);
    assert_int_equal(errand_answer_write(&b, &a), 0);
    assert_int_equal(errand_answer_read(buf_at(&b), buf_len(&b), &got), 0);
    assert_int_equal(got.witness, a.witness);
    assert_int_equal(got.ticket, a.ticket);
    assert_int_equal(got.status, 409);
    assert_int_equal(got.failure, ERRAND_REACHED);
    assert_true(got.is_size);
    assert_int_equal(got.body_len, 3);
    assert_memory_equal(got.body, "17\n", 3);
    buf_done(&b);
}

static void the_largest_fit_a_packet_and_larger_ones_are_refused(void **state)
{
    struct errand_post p = a_post();
    struct errand_answer a = an_answer();
    struct buf b;
    (void)state;
    buf_init(&b, ERRAND_MESSAGE_MAX);
    p.body = a.body = large;
    p.body_len = a.body_len = ERRAND_BODY_MAX;
    assert_int_equal(errand_post_write(&b, &p), 0);
    assert_int_equal(errand_post_read(buf_at(&b), buf_len(&b), &p), 0);
    assert_int_equal(errand_answer_write(&b, &a), -RF_ETOOBIG);
    buf_clear(&b);
    assert_int_equal(errand_answer_write(&b, &a), 0);
    assert_int_equal(errand_answer_read(buf_at(&b), buf_len(&b), &a), 0);
    buf_clear(&b);
    p.body = a.body = large;
    p.body_len = a.body_len = ERRAND_BODY_MAX + 1;
    assert_int_equal(errand_post_write(&b, &p), -RF_EINVAL);
    assert_int_equal(errand_answer_write(&b, &a), -RF_EINVAL);
    assert_int_equal(buf_len(&b), 0);
    buf_done(&b);
}

static void a_fetch_names_a_path_and_nothing_else(void **state)
{
    static const char *const bad[] = { "", "checkpoint", "/..", "/a?b", "/a b", "/\n", "//A" };
    struct errand_post p = a_post(), got;
    struct buf b;
    (void)state;
    buf_init(&b, ERRAND_MESSAGE_MAX);
    p.is_fetch = true;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        p.body = (const uint8_t *)bad[i];
        p.body_len = strlen(bad[i]);
        assert_int_equal(errand_post_write(&b, &p), -RF_EINVAL);
    }
    p.body = (const uint8_t *)"/0123456789abcdef/checkpoint";
    p.body_len = 28;
    assert_int_equal(errand_post_write(&b, &p), 0);
    assert_int_equal(errand_post_read(buf_at(&b), buf_len(&b), &got), 0);
    assert_true(got.is_fetch);
    assert_int_equal(got.body_len, 28);
    buf_done(&b);
}

static void values_without_sense_are_not_written(void **state)
{
    struct errand_post posts[] = { a_post(), a_post(), a_post(), a_post(), a_post() };
    struct errand_answer answers[] = { an_answer(), an_answer(), an_answer(), an_answer(),
                                       an_answer(), an_answer(), an_answer(), an_answer() };
    struct buf b;
    (void)state;
    buf_init(&b, ERRAND_MESSAGE_MAX);
    posts[0].witness = TRUST_MAX;
    posts[1].ticket = 0;
    posts[2].limit_ms = 0;
    posts[3].limit_ms = ERRAND_LIMIT_MAX_MS + 1;
    posts[4].body_len = 0;
    for (size_t i = 0; i < RF_COUNT(posts); i++)
        assert_int_equal(errand_post_write(&b, &posts[i]), -RF_EINVAL);
    answers[0].witness = TRUST_MAX;
    answers[1].ticket = 0;
    answers[2].status = 99;
    answers[3].status = 600;
    answers[4].status = 0;
    answers[5].failure = ERRAND_TIMEOUT; /* and a status */
    answers[6].failure = ERRAND_FAILURE_COUNT;
    answers[7].status = 0;
    answers[7].failure = ERRAND_TIMEOUT; /* and a body */
    for (size_t i = 0; i < RF_COUNT(answers); i++)
        assert_int_equal(errand_answer_write(&b, &answers[i]), -RF_EINVAL);
    assert_int_equal(buf_len(&b), 0);
    buf_done(&b);
}

static void cut_or_lengthened_messages_are_refused(void **state)
{
    struct errand_post p = a_post(), got_post;
    struct errand_answer a = an_answer(), got;
    struct buf b;
    (void)state;
    buf_init(&b, ERRAND_MESSAGE_MAX);
    assert_int_equal(errand_post_write(&b, &p), 0);
    for (size_t n = 0; n < buf_len(&b); n++)
        assert_int_equal(errand_post_read(at_the_edge(buf_at(&b), n), n, &got_post), -RF_EPROTO);
    assert_int_equal(buf_append(&b, "x", 1), 0);
    assert_int_equal(errand_post_read(buf_at(&b), buf_len(&b), &got_post), -RF_EPROTO);
    buf_clear(&b);
    assert_int_equal(errand_answer_write(&b, &a), 0);
    for (size_t n = 0; n < buf_len(&b); n++)
        assert_int_equal(errand_answer_read(at_the_edge(buf_at(&b), n), n, &got), -RF_EPROTO);
    assert_int_equal(buf_append(&b, "x", 1), 0);
    assert_int_equal(errand_answer_read(buf_at(&b), buf_len(&b), &got), -RF_EPROTO);
    buf_done(&b);
}

/* What is read after a bit was turned is something that could have been written, and was. */
static void a_turned_bit_is_refused_or_means_what_it_says(void **state)
{
    struct errand_answer a = an_answer(), got;
    struct buf b, again;
    (void)state;
    buf_init(&b, ERRAND_MESSAGE_MAX);
    buf_init(&again, ERRAND_MESSAGE_MAX);
    assert_int_equal(errand_answer_write(&b, &a), 0);
    for (size_t bit = 0; bit < 8 * buf_len(&b); bit++) {
        buf_at(&b)[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (errand_answer_read(buf_at(&b), buf_len(&b), &got) == 0) {
            buf_clear(&again);
            assert_int_equal(errand_answer_write(&again, &got), 0);
            assert_int_equal(buf_len(&again), buf_len(&b));
            assert_memory_equal(buf_at(&again), buf_at(&b), buf_len(&b));
        }
        buf_at(&b)[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buf_done(&b);
    buf_done(&again);
}

static void every_failure_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < ERRAND_FAILURE_COUNT; i++)
        assert_non_null(errand_failure_name((enum errand_failure)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_read_as_they_were_written),
        cmocka_unit_test(the_largest_fit_a_packet_and_larger_ones_are_refused),
        cmocka_unit_test(a_fetch_names_a_path_and_nothing_else),
        cmocka_unit_test(values_without_sense_are_not_written),
        cmocka_unit_test(cut_or_lengthened_messages_are_refused),
        cmocka_unit_test(a_turned_bit_is_refused_or_means_what_it_says),
        cmocka_unit_test(every_failure_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
