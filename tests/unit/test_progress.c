#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "ledger/newest.h"
#include "ledger/progress.h"
#include "ledger/sight.h"

struct pair {
    int ledger, notary;
};

static struct pair pair_make(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    return (struct pair){ fds[0], fds[1] };
}

static void pair_done(struct pair *p)
{
    fd_close(&p->ledger);
    fd_close(&p->notary);
}

static void what_was_told_is_heard(void **state)
{
    const struct progress said = { 1, UINT64_MAX, 0x0102030405060708 };
    struct progress heard = { 0 };
    struct pair p = pair_make();
    (void)state;
    assert_int_equal(progress_tell(p.ledger, &said), 0);
    assert_int_equal(progress_hear(p.notary, &heard), 1);
    assert_memory_equal(&said, &heard, sizeof(said));
    pair_done(&p);
}

static void nothing_told_is_no_news(void **state)
{
    struct progress heard = { 7, 7, 7 };
    struct pair p = pair_make();
    (void)state;
    assert_int_equal(progress_hear(p.notary, &heard), 0);
    assert_int_equal(heard.committed, 7);
    pair_done(&p);
}

static void only_the_newest_counts(void **state)
{
    struct progress heard;
    struct pair p = pair_make();
    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        const struct progress said = { i, i, i };
        assert_int_equal(progress_tell(p.ledger, &said), 0);
    }
    assert_int_equal(progress_hear(p.notary, &heard), 1);
    assert_int_equal(heard.committed, 5);
    assert_int_equal(progress_hear(p.notary, &heard), 0);
    pair_done(&p);
}

/* The ledger says how far it came and ends: without this its last entries waited for a restart. */
static void the_last_word_of_who_hung_up_is_heard_before_the_end(void **state)
{
    const struct progress said = { 12, 0, 0 };
    struct progress heard;
    struct pair p = pair_make();
    (void)state;
    assert_int_equal(progress_tell(p.ledger, &said), 0);
    fd_close(&p.ledger);
    assert_int_equal(progress_hear(p.notary, &heard), 1);
    assert_int_equal(heard.committed, 12);
    assert_int_equal(progress_hear(p.notary, &heard), -RF_EUNAVAIL);
    pair_done(&p);
}

static void packets_of_another_length_are_refused(void **state)
{
    uint8_t bytes[48] = { 0 };
    (void)state;
    for (size_t n = 1; n <= sizeof(bytes); n++) {
        struct progress heard = { 7, 7, 7 };
        struct pair p = pair_make();
        assert_int_equal(send(p.ledger, bytes, n, 0), (ssize_t)n);
        assert_int_equal(progress_hear(p.notary, &heard), n == 24 ? 1 : -RF_EPROTO);
        assert_int_equal(heard.committed, n == 24 ? 0 : 7);
        pair_done(&p);
    }
}

static void who_does_not_read_is_told_later(void **state)
{
    const struct progress said = { 1, 2, 3 };
    struct progress heard;
    struct pair p = pair_make();
    int rc = 0;
    (void)state;
    for (int i = 0; rc == 0 && i < 100000; i++)
        rc = progress_tell(p.ledger, &said);
    assert_int_equal(rc, -RF_ETIMEOUT);
    assert_int_equal(progress_hear(p.notary, &heard), 1);
    assert_int_equal(progress_tell(p.ledger, &said), 0);
    pair_done(&p);
}

static void telling_who_is_gone_says_so(void **state)
{
    const struct progress said = { 1, 2, 3 };
    struct pair p = pair_make();
    (void)state;
    fd_close(&p.notary);
    assert_int_equal(progress_tell(p.ledger, &said), -RF_EUNAVAIL);
    pair_done(&p);
}

/* ---- the same between notary and control ---- */

static void a_sight_is_heard_as_it_was_told_and_the_newest_counts(void **state)
{
    struct sight heard, said = { .is_answered = true, .size = 7, .root = { 1, 2, 3 } };
    struct pair p = pair_make();
    (void)state;
    assert_int_equal(sight_hear(p.notary, &heard), 0);
    assert_int_equal(sight_tell(p.ledger, &said), 0);
    said.size = UINT64_MAX;
    said.root[31] = 9;
    said.signature[63] = 8;
    assert_int_equal(sight_tell(p.ledger, &said), 0);
    fd_close(&p.ledger);
    assert_int_equal(sight_hear(p.notary, &heard), 1);
    assert_true(heard.is_answered && heard.size == UINT64_MAX);
    assert_memory_equal(heard.root, said.root, sizeof(said.root));
    assert_memory_equal(heard.signature, said.signature, sizeof(said.signature));
    assert_int_equal(sight_hear(p.notary, &heard), -RF_EUNAVAIL);
    pair_done(&p);
}

static void sights_of_another_form_are_refused(void **state)
{
    uint8_t bytes[140] = { 0 };
    struct sight heard;
    (void)state;
    for (size_t n = 1; n <= sizeof(bytes); n++)
        for (bytes[0] = 0; bytes[0] < 3; bytes[0]++) {
            struct pair p = pair_make();
            assert_int_equal(send(p.ledger, bytes, n, 0), (ssize_t)n);
            assert_int_equal(sight_hear(p.notary, &heard),
                             n == 105 && bytes[0] < 2 ? 1 : -RF_EPROTO);
            pair_done(&p);
        }
}

/* What control claims, and cannot sign, is no checkpoint: whichever byte it changes. */
static void a_sight_holds_only_with_the_logs_signature(void **state)
{
    struct checkpoint c = { .origin = "log.test/a", .size = 1000, .root = { 1, 2, 3 } }, held;
    struct secret_key key, other;
    struct sight s;
    struct err err;
    (void)state;
    assert_int_equal(digest_init(&err), 0);
    assert_int_equal(secret_key_make("log.test/a", KEY_ED25519, c.root, &key, &err), 0);
    assert_int_equal(secret_key_make("log.test/a", KEY_ED25519, (uint8_t[32]){ 9 }, &other, &err),
                     0);
    assert_int_equal(sight_sign(&c, &key, &s), 0);
    assert_true(sight_holds(&s, &key.key, &held));
    assert_memory_equal(&held, &c, sizeof(c));
    assert_false(sight_holds(&s, &other.key, &held));
    for (size_t i = 0; i < sizeof(s.root) + sizeof(s.signature); i++) {
        uint8_t *byte = i < sizeof(s.root) ? &s.root[i] : &s.signature[i - sizeof(s.root)];
        *byte ^= 1;
        assert_false(sight_holds(&s, &key.key, &held));
        *byte ^= 1;
    }
    s.size = UINT64_C(1) << 62;
    assert_false(sight_holds(&s, &key.key, &held));
    secret_key_wipe(&key);
    secret_key_wipe(&other);
}

/* ---- who says too much ---- */

static void *flood(void *context)
{
    const struct pair *p = context;
    const struct progress said = { 1, 2, 3 };
    for (int rc = 0; rc != -RF_EUNAVAIL;)
        rc = progress_tell(p->ledger, &said);
    return NULL;
}

/* However fast the other side talks, a call comes to its end. */
static void a_flood_of_news_keeps_nobody_from_his_work(void **state)
{
    struct pair p = pair_make();
    const struct progress said = { 1, 2, 3 };
    struct progress heard;
    pthread_t thread;
    unsigned calls = 0;
    (void)state;
    int most = 0;
    while (progress_tell(p.ledger, &said) == 0)
        most++;
    for (int rc = 1; rc == 1; calls++)
        rc = progress_hear(p.notary, &heard);
    assert_int_equal(calls, (unsigned)(most + NEWEST_A_CALL - 1) / NEWEST_A_CALL + 1);
    assert_int_equal(pthread_create(&thread, NULL, flood, &p), 0);
    for (int i = 0; i < 1000; i++)
        assert_true(progress_hear(p.notary, &heard) >= 0);
    fd_close(&p.notary);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_told_is_heard),
        cmocka_unit_test(nothing_told_is_no_news),
        cmocka_unit_test(only_the_newest_counts),
        cmocka_unit_test(the_last_word_of_who_hung_up_is_heard_before_the_end),
        cmocka_unit_test(packets_of_another_length_are_refused),
        cmocka_unit_test(who_does_not_read_is_told_later),
        cmocka_unit_test(telling_who_is_gone_says_so),
        cmocka_unit_test(a_sight_is_heard_as_it_was_told_and_the_newest_counts),
        cmocka_unit_test(sights_of_another_form_are_refused),
        cmocka_unit_test(a_sight_holds_only_with_the_logs_signature),
        cmocka_unit_test(a_flood_of_news_keeps_nobody_from_his_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
