/* test_looking.c - who looked at one person: found in all logs of a region, opened, and written
 * into a file that its reader takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "../support/lookmaker.h"
#include "base/digest.h"
#include "base/mem.h"
#include "ledger/claim.h"
#include "ledger/claim_verify.h"

#define FIRST  "5m-5984472" /* of logmaker's first minute */
#define SECOND "5m-5984473"

/* The first log names the second; LINES of each stand between genesis and seals. */
static struct lookmaker *two_logs(const char *one, const char *other)
{
    struct lookmaker *m = mem_zalloc(1, sizeof(*m));
    const uint8_t seed[KEY_SEED_LEN] = { 1, 1 };
    struct secret_key second;
    char text[4096], vkey[KEY_VKEY_SIZE];
    assert_non_null(m);
    assert_int_equal(secret_key_make("log.example/1", KEY_ED25519, seed, &second, NULL), 0);
    key_write(&second.key, vkey);
    int n = snprintf(text, sizeof(text),
                     "log\ngenesis epoch=5m\nmember origin=log.example/1 key=%s\n%s"
                     "log\ngenesis epoch=5m\n%s",
                     vkey, one, other);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    lookmaker_make(m, text, (size_t)n);
    assert_int_equal(m->count, 2);
    return m;
}

static void done(struct lookmaker *m, struct looking *l)
{
    looking_free(l);
    lookmaker_done(m);
    mem_free(m);
}

#define BOTH_SEALED \
    "seal of=epoch epoch=" FIRST " minute=+5\nseal of=epoch epoch=" SECOND " minute=+5\n"

static void open_all(struct lookmaker *m, struct looking *l)
{
    struct err err;
    for (size_t i = 0; i < looking_access_count(l); i++) {
        const struct lookmaker_look *truth = lookmaker_find(m, l, i);
        assert_non_null(truth);
        assert_int_equal(looking_open(l, i, truth->classes, truth->time_ms, &err), 1);
        assert_true(looking_access(l, i).is_open);
    }
}

/* The file, judged by its reader: how many accesses it has. */
static uint64_t write_and_verify(struct lookmaker *m, struct looking *l)
{
    struct claim_trust trust = { .keys = &m->logs[0].key.key, .key_count = 1 };
    struct claim_result result = { 0 };
    struct err err = { 0 };
    struct buf file;
    buf_init(&file, CLAIM_MAX);
    assert_int_equal(looking_write(l, &file, &err), 0);
    int rc = claim_verify(buf_at(&file), buf_len(&file), &trust, &result, &err);
    if (rc < 0)
        print_message("# %s\n", err.line);
    assert_int_equal(rc, 0);
    buf_wipe_done(&file);
    return result.access_count;
}

static void every_look_is_found_in_its_order_and_its_reader_takes_the_file(void **state)
{
    static const char *const origins[] = { "log.example/0", "log.example/0", "log.example/1",
                                           "log.example/1" };
    struct looking *l;
    struct err err;
    (void)state;
    struct lookmaker *m =
        two_logs("look identity\nlook identity,contact +1\ndisclosure room=granted "
                 "purpose=x classes=identity tags=3\n"
                 "seal of=epoch minute=+5\nseal of=epoch epoch=" SECOND " minute=+5\n",
                 "look contact\nseal of=epoch minute=+5\nlook identity\n"
                 "seal of=epoch minute=+5\n");
    int rc = lookmaker_look(m, NULL, 0, &l, &err);
    if (rc < 0)
        print_message("# %s\n", err.line);
    assert_int_equal(rc, 0);
    assert_int_equal(looking_log_count(l), 2);
    assert_int_equal(looking_epoch_count(l), 2);
    assert_int_equal(looking_access_count(l), 4);
    for (size_t i = 0; i < 4; i++) {
        struct looking_access a = looking_access(l, i);
        assert_string_equal(a.origin, origins[i]);
        assert_string_equal(a.epoch, i < 3 ? FIRST : SECOND);
        assert_false(a.is_open);
        assert_int_equal(a.position, 0);
        assert_true(a.len > 0 && a.bytes[0] == '{');
    }
    open_all(m, l);
    assert_int_equal(write_and_verify(m, l), 4);
    done(m, l);
}

static void a_file_with_an_access_that_is_not_open_is_not_written(void **state)
{
    struct looking *l;
    struct err err;
    struct buf file;
    (void)state;
    struct lookmaker *m = two_logs("look identity\n" BOTH_SEALED, BOTH_SEALED);
    assert_int_equal(lookmaker_look(m, NULL, 0, &l, &err), 0);
    buf_init(&file, CLAIM_MAX);
    assert_int_equal(looking_write(l, &file, &err), -RF_EINVAL);
    buf_wipe_done(&file);
    done(m, l);
}

static void only_the_truth_opens_and_trying_finds_it(void **state)
{
    struct looking *l;
    struct err err;
    (void)state;
    struct lookmaker *m =
        two_logs("look identity\nlook identity,contact +1\n" BOTH_SEALED, BOTH_SEALED);
    assert_int_equal(lookmaker_look(m, NULL, 0, &l, &err), 0);
    const struct lookmaker_look *truth = lookmaker_find(m, l, 0);
    assert_int_equal(looking_open(l, 0, "contact", truth->time_ms, &err), 0);
    assert_int_equal(looking_open(l, 0, truth->classes, truth->time_ms + 1, &err), 0);
    assert_int_equal(looking_open(l, 0, "no \"class\"", truth->time_ms, &err), 0);
    assert_int_equal(looking_open(l, 0, truth->classes, -1, &err), 0);
    assert_int_equal(looking_open(l, 0, truth->classes, INT64_MAX, &err), 0);
    assert_false(looking_access(l, 0).is_open);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(looking_search(l, i, &err), 1);
    assert_int_equal(write_and_verify(m, l), 2);
    done(m, l);
}

/* The verdict's log is the one because of which it is: not that of a purpose that is held beside.
 */
static void an_epoch_that_is_open_says_where(void **state)
{
    struct looking *l;
    struct err err;
    (void)state;
    struct lookmaker *m = two_logs("look identity held\n" BOTH_SEALED, "look contact\n");
    assert_int_equal(lookmaker_look(m, NULL, 0, &l, &err), 0);
    struct looking_epoch e = looking_epoch(l, 0);
    assert_string_equal(e.name, FIRST);
    assert_int_equal(e.verdict, LOOKING_OPEN);
    assert_string_equal(e.log, "log.example/1");
    assert_int_equal(looking_access_count(l), 0);
    done(m, l);
}

static void a_held_purpose_keeps_its_epoch_until_it_is_opened(void **state)
{
    static const char *const opened[] = { "", "opened ref=2 purpose=support_ticket salt=s\n" };
    struct looking *l;
    struct err err;
    (void)state;
    for (int i = 0; i < 2; i++) {
        char lines[1024];
        (void)snprintf(lines, sizeof(lines), "look identity held\nlook contact +1\n%s%s", opened[i],
                       BOTH_SEALED);
        struct lookmaker *m = two_logs(lines, BOTH_SEALED);
        assert_int_equal(lookmaker_look(m, NULL, 0, &l, &err), 0);
        struct looking_epoch e = looking_epoch(l, 0);
        assert_int_equal(e.verdict, i == 0 ? LOOKING_HELD : LOOKING_SHOWN);
        assert_string_equal(e.log, "log.example/0");
        assert_int_equal(e.held_from, i == 0 ? 29922360 : 0);
        assert_int_equal(looking_epoch(l, 1).verdict, LOOKING_SHOWN);
        assert_int_equal(looking_access_count(l), i == 0 ? 0 : 2);
        done(m, l);
    }
}

static void what_was_asked_for_by_name_is_all_that_comes(void **state)
{
    static const char *const asked[] = { SECOND, "5m-1" };
    struct looking *l;
    struct err err;
    (void)state;
    struct lookmaker *m = two_logs("look identity\nseal of=epoch minute=+5\nlook contact\n"
                                   "seal of=epoch minute=+5\n",
                                   BOTH_SEALED);
    assert_int_equal(lookmaker_look(m, asked, 2, &l, &err), 0);
    assert_int_equal(looking_epoch_count(l), 2);
    assert_string_equal(looking_epoch(l, 0).name, SECOND);
    assert_int_equal(looking_epoch(l, 0).verdict, LOOKING_SHOWN);
    assert_string_equal(looking_epoch(l, 1).name, "5m-1");
    assert_int_equal(looking_epoch(l, 1).verdict, LOOKING_UNKNOWN);
    assert_int_equal(looking_access_count(l), 1);
    open_all(m, l);
    assert_int_equal(write_and_verify(m, l), 1);
    done(m, l);
}

/* The log that continues the first has another VRF key: the file covers the logs of one, and its
   reader is told that it is not alone. */
static void a_file_is_of_the_logs_of_one_vrf_key(void **state)
{
    struct lookmaker *m = mem_zalloc(1, sizeof(*m));
    const uint8_t seed[KEY_SEED_LEN] = { 1, 1 };
    struct secret_key second;
    char text[2048], vkey[KEY_VKEY_SIZE];
    struct claim_result result = { 0 };
    struct looking *l;
    struct err err;
    struct buf file;
    (void)state;
    assert_non_null(m);
    assert_int_equal(secret_key_make("log.example/1", KEY_ED25519, seed, &second, NULL), 0);
    key_write(&second.key, vkey);
    int n = snprintf(text, sizeof(text),
                     "log\ngenesis epoch=5m\nlook identity\nsuccessor origin=log.example/1 key=%s\n"
                     "seal of=epoch\nlog\ngenesis epoch=5m vrf=another "
                     "predecessor=2%%20log.example/0\ndisclosure room=granted purpose=x "
                     "classes=identity tags=2\nseal of=epoch minute=+5\n",
                     vkey);
    lookmaker_make(m, text, (size_t)n);
    int rc = lookmaker_look(m, NULL, 0, &l, &err);
    if (rc < 0)
        print_message("# %s\n", err.line);
    assert_int_equal(rc, 0);
    assert_int_equal(looking_log_count(l), 2);
    assert_int_equal(looking_access_count(l), 1);
    open_all(m, l);
    struct claim_trust trust = { .keys = &m->logs[0].key.key, .key_count = 1 };
    buf_init(&file, CLAIM_MAX);
    assert_int_equal(looking_write(l, &file, &err), 0);
    assert_int_equal(claim_verify(buf_at(&file), buf_len(&file), &trust, &result, &err), 0);
    assert_int_equal(result.access_count, 1);
    assert_int_equal(result.elsewhere, 1);
    buf_wipe_done(&file);
    done(m, l);
}

static void a_roster_that_is_not_whole_is_refused(void **state)
{
    struct looking *l;
    struct err err;
    (void)state;
    struct lookmaker *m = two_logs("look identity\n" BOTH_SEALED, BOTH_SEALED);
    m->count = 1; /* the second is not given */
    assert_int_equal(lookmaker_look(m, NULL, 0, &l, &err), -RF_ENOTFOUND);
    assert_non_null(strstr(err.line, "was not given"));
    looking_free(l);
    m->count = 2;
    done(m, NULL);
    m = mem_zalloc(1, sizeof(*m));
    assert_non_null(m);
    static const char strangers[] = "log\ngenesis epoch=5m\nlog\ngenesis epoch=5m\n";
    lookmaker_make(m, strangers, strlen(strangers));
    assert_int_equal(lookmaker_look(m, NULL, 0, &l, &err), -RF_ENOTFOUND);
    assert_non_null(strstr(err.line, "is not in the roster"));
    done(m, l);
}

static int begin(void **state)
{
    struct err err;
    (void)state;
    return sodium_init() < 0 ? -1 : digest_init(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_look_is_found_in_its_order_and_its_reader_takes_the_file),
        cmocka_unit_test(a_file_with_an_access_that_is_not_open_is_not_written),
        cmocka_unit_test(only_the_truth_opens_and_trying_finds_it),
        cmocka_unit_test(an_epoch_that_is_open_says_where),
        cmocka_unit_test(a_held_purpose_keeps_its_epoch_until_it_is_opened),
        cmocka_unit_test(what_was_asked_for_by_name_is_all_that_comes),
        cmocka_unit_test(a_file_is_of_the_logs_of_one_vrf_key),
        cmocka_unit_test(a_roster_that_is_not_whole_is_refused),
    };
    return cmocka_run_group_tests_name("looking", tests, begin, NULL);
}
