#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <sodium.h>

#include "log_house.h"

/* ---- help ----------------------------------------------------------------------------------- */

/* N leaves more: each minute of a session ends in a roll-up. */
static void grow(struct log_house *h, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(log_start(h, true), 0);
    assert_int_equal(log_commit(h), 0);
}

static void copy_folder(const char *from, const char *to)
{
    char command[600];
    (void)snprintf(command, sizeof(command), "rm -rf %s && cp -a %s %s", to, from, to);
    assert_int_equal(system(command), 0);
}

static void part(const struct log_house *h, const char *name, char ret[160])
{
    (void)snprintf(ret, 160, "%s/%s", h->house.state, name);
}

static void keep(struct log_house *h, const char *name, const char *as)
{
    char from[160], to[160];
    part(h, name, from);
    part(h, as, to);
    copy_folder(from, to);
}

static uint64_t present(struct log_house *h)
{
    size_t len;
    return scribe_note(h->scribe, &len) != NULL ? scribe_checkpoint(h->scribe)->size : 0;
}

/* ---- the way forward ------------------------------------------------------------------------ */

static void what_is_signed_is_what_a_verifier_accepts(void **state)
{
    struct log_house h;
    uint64_t leaves;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    for (unsigned n = 1; n < 700; n = n * 2 + 1) {
        grow(&h, n);
        assert_int_equal(log_scribe_go(&h), 0);
        assert_int_equal(log_verify(&h, &leaves), 0);
        assert_int_equal(leaves, scribe_published_size(h.scribe));
    }
    log_house_done(&h);
}

static void records_alone_make_no_checkpoint_but_are_covered(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    uint64_t size = present(&h), covered = scribe_covered(h.scribe);
    log_put(&h, RECORD_STATEMENT);
    assert_int_equal(log_commit(&h), 0);
    assert_int_equal(scribe_advance(h.scribe, covered + 1, NOON, &h.err), 0);
    assert_int_equal(present(&h), size);
    assert_int_equal(scribe_covered(h.scribe), covered + 1);
    log_house_done(&h);
}

static void a_scribe_that_starts_again_goes_on_where_it_stood(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(log_scribe_open(&h), 0);
        grow(&h, 37);
        assert_int_equal(log_scribe_go(&h), 0);
        assert_int_equal(log_verify(&h, NULL), 0);
        log_scribe_close(&h);
    }
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(present(&h), 20 * 37 + 2);
    log_house_done(&h);
}

static void young_leaves_wait_for_their_delay(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    scribe_set_delay(h.scribe, 10 * MINUTE);
    assert_int_equal(scribe_advance(h.scribe, 2, NOON + 9 * MINUTE, &h.err), 0);
    assert_int_equal(present(&h), 0);
    assert_true(scribe_due_ms(h.scribe) == NOON + 10 * MINUTE);
    assert_int_equal(scribe_advance(h.scribe, 2, NOON + 10 * MINUTE, &h.err), 1);
    assert_int_equal(present(&h), 2);
    assert_true(scribe_due_ms(h.scribe) == 0);
    log_house_done(&h);
}

static void what_is_not_committed_is_not_read(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 10);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(scribe_advance(h.scribe, 5, NOON, &h.err), 1);
    assert_int_equal(present(&h), 5);
    log_house_done(&h);
}

static void a_second_scribe_is_refused(void **state)
{
    struct log_house h, other;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    const struct scribe_options same = { .state_dir = h.house.state,
                                         .directory = h.directory,
                                         .key = &h.key };
    assert_int_equal(scribe_open(&same, &other.scribe, &h.err), -RF_EUNAVAIL);
    log_house_init(&other); /* another state, and the same public folder */
    const struct scribe_options public = { .state_dir = other.house.state,
                                           .directory = h.directory,
                                           .key = &h.key };
    assert_int_equal(scribe_open(&public, &other.scribe, &h.err), -RF_EUNAVAIL);
    other.scribe = NULL;
    log_house_done(&other);
    log_house_done(&h);
}

/* ---- what was lost, and is made again ------------------------------------------------------- */

static void public_files_that_were_lost_are_made_again_before_they_are_named(void **state)
{
    struct log_house h;
    size_t len;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 300);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    char command[200];
    (void)snprintf(command, sizeof(command), "rm -rf %s", h.directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_null(scribe_note(h.scribe, &len)); /* its tiles are not there */
    assert_int_equal(scribe_advance(h.scribe, 100, NOON, &h.err), 0);
    assert_null(scribe_note(h.scribe, &len));
    assert_int_equal(log_scribe_go(&h), 0);
    assert_non_null(scribe_note(h.scribe, &len));
    assert_int_equal(log_verify(&h, NULL), 0);
    log_house_done(&h);
}

static void an_older_public_folder_catches_up(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 300);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    keep(&h, "public", "public.old");
    grow(&h, 300);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    keep(&h, "public.old", "public");
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    assert_int_equal(scribe_published_size(h.scribe), 602);
    assert_int_equal(log_verify(&h, NULL), 0);
    log_house_done(&h);
}

static void without_its_memory_the_published_checkpoint_is_held(void **state)
{
    struct log_house h;
    char path[160];
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 300);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    part(&h, "notary/head", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(scribe_advance(h.scribe, 100, NOON, &h.err),
                     0); /* not below what was signed */
    assert_int_equal(log_scribe_go(&h), 0);
    assert_int_equal(present(&h), 302);
    log_house_done(&h);
}

/* ---- rolled back ---------------------------------------------------------------------------- */

/* The journal as it was behind its first entries; STATE/notary as it is. */
static void a_journal_that_was_rolled_back_is_the_end(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 10);
    keep(&h, "journal", "journal.old");
    grow(&h, 10);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    log_close(&h);
    keep(&h, "journal.old", "journal");
    assert_int_equal(log_scribe_open(&h), -RF_ETAMPER);
    assert_non_null(strstr(h.err.line, "rolled back"));
    /* also when it has grown past the place again */
    log_open(&h);
    grow(&h, 30);
    assert_int_equal(log_scribe_open(&h), -RF_ETAMPER);
    assert_non_null(strstr(h.err.line, "not those that were signed for"));
    log_house_done(&h);
}

static void a_journal_that_is_gone_is_the_end(void **state)
{
    struct log_house h;
    char command[200];
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    log_close(&h);
    (void)snprintf(command, sizeof(command), "rm -rf %s/journal", h.house.state);
    assert_int_equal(system(command), 0);
    assert_int_equal(log_scribe_open(&h), -RF_ETAMPER);
    log_open(&h); /* a new journal */
    grow(&h, 10);
    assert_int_equal(log_scribe_open(&h), -RF_ETAMPER);
    log_house_done(&h);
}

static void an_older_state_under_a_newer_public_folder_signs_nothing_else(void **state)
{
    struct log_house h;
    uint64_t size, past;
    size_t len;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 10);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    keep(&h, "journal", "journal.old");
    keep(&h, "notary", "notary.old");
    assert_int_equal(log_scribe_open(&h), 0);
    grow(&h, 10);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    log_close(&h);
    keep(&h, "journal.old", "journal");
    keep(&h, "notary.old", "notary");
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_true(scribe_is_behind(h.scribe, &size, &past));
    assert_int_equal(size, 12);
    assert_int_equal(past, 22);
    assert_int_equal(log_scribe_go(&h), 0);
    assert_null(scribe_note(h.scribe, &len));  /* the older one is not published again */
    assert_int_equal(log_verify(&h, NULL), 0); /* nor is anything left beside the newer files */
    /* where it is as large again, it is another tree */
    grow(&h, 20);
    assert_int_equal(log_scribe_go(&h), -RF_ETAMPER);
    assert_int_equal(scribe_advance(h.scribe, 1000, NOON, &h.err), -RF_ETAMPER);
    assert_int_equal(scribe_checkpoint(h.scribe)->size, 12);
    log_house_done(&h);
}

/* Nothing on this machine knows; whoever does is asked before anything is signed. */
static void a_checkpoint_that_others_vouch_for_is_held(void **state)
{
    struct log_house h;
    uint64_t size, past;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 10);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    struct checkpoint told = *scribe_checkpoint(h.scribe);
    told.size += 5;
    assert_int_equal(scribe_must_hold(h.scribe, &told, &h.err), 0);
    assert_true(scribe_is_behind(h.scribe, &size, &past));
    grow(&h, 3);
    assert_int_equal(log_scribe_go(&h), 0);
    assert_int_equal(scribe_checkpoint(h.scribe)->size, 12); /* not on the way to it */
    grow(&h, 3);
    assert_int_equal(log_scribe_go(&h), -RF_ETAMPER); /* its root was made up */
    log_house_done(&h);
}

static void of_several_pasts_each_is_held_and_not_only_the_largest(void **state)
{
    struct log_house h;
    struct checkpoint right = { 0 };
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 20);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(scribe_advance(h.scribe, 18, NOON, &h.err), 1);
    right = *scribe_checkpoint(h.scribe);
    log_scribe_close(&h);
    char command[200];
    (void)snprintf(command, sizeof(command), "rm -rf %s %s/notary", h.directory, h.house.state);
    assert_int_equal(system(command), 0);
    assert_int_equal(log_scribe_open(&h), 0);
    struct checkpoint wrong = right;
    wrong.size = 15;
    assert_int_equal(scribe_must_hold(h.scribe, &right, &h.err), 0);
    assert_int_equal(scribe_must_hold(h.scribe, &wrong, &h.err), 0);
    assert_int_equal(log_scribe_go(&h), -RF_ETAMPER);
    log_house_done(&h);
}

static void a_checkpoint_of_the_past_is_compared_at_once(void **state)
{
    struct log_house h;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 300);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(scribe_advance(h.scribe, 100, NOON, &h.err), 1);
    struct checkpoint old = *scribe_checkpoint(h.scribe);
    assert_int_equal(log_scribe_go(&h), 0);
    assert_int_equal(scribe_must_hold(h.scribe, &old, &h.err), 0);
    old.root[5] ^= 1;
    assert_int_equal(scribe_must_hold(h.scribe, &old, &h.err), -RF_ETAMPER);
    assert_int_equal(scribe_advance(h.scribe, 1, NOON, &h.err), -RF_ETAMPER);
    log_house_done(&h);
}

/* ---- foreign, changed, damaged -------------------------------------------------------------- */

static void a_folder_of_another_log_is_refused(void **state)
{
    struct log_house h, other;
    (void)state;
    log_house_init(&h);
    log_house_init(&other);
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    log_open(&other);
    uint8_t seed[KEY_SEED_LEN] = { 9 };
    assert_int_equal(secret_key_make("log.example/other", KEY_ED25519, seed, &other.key, &h.err),
                     0);
    memcpy(other.directory, h.directory, sizeof(other.directory));
    assert_int_equal(log_scribe_open(&other), -RF_ETAMPER);
    assert_non_null(strstr(other.err.line, "the published file"));
    log_house_done(&other);
    log_house_done(&h);
}

static void a_folder_with_tiles_of_another_log_is_refused(void **state)
{
    struct log_house h, other;
    char path[160];
    (void)state;
    log_house_init(&h);
    log_house_init(&other);
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    (void)snprintf(path, sizeof(path), "%s/checkpoint", h.directory);
    assert_int_equal(unlink(path), 0);
    log_open(&other);
    memcpy(other.directory, h.directory, sizeof(other.directory));
    assert_int_equal(log_scribe_open(&other), 0);
    assert_int_equal(log_scribe_go(&other), -RF_ETAMPER);
    assert_non_null(strstr(other.err.line, "is not what the journal makes of it"));
    log_house_done(&other);
    log_house_done(&h);
}

static void a_file_that_was_changed_is_the_end_and_is_not_repaired(void **state)
{
    static const char *const files[] = { "tile/0/000", "tile/entries/000", "tile/0/001.p/46",
                                         "tile/entries/001.p/46" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(files); i++) {
        struct log_house h;
        char path[200];
        log_house_init(&h);
        log_open(&h);
        grow(&h, 300);
        assert_int_equal(log_scribe_open(&h), 0);
        assert_int_equal(log_scribe_go(&h), 0);
        log_scribe_close(&h);
        (void)snprintf(path, sizeof(path), "%s/%s", h.directory, files[i]);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, 40), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, 40), 1);
        fd_close(&fd);
        assert_int_equal(log_scribe_open(&h), 0);
        int rc = log_scribe_go(&h);
        if (i >= 2) /* the tree's edge is read at the start, and made again */
            assert_int_equal(rc, -RF_ETAMPER);
        log_house_done(&h);
    }
}

static void a_damaged_memory_is_the_end(void **state)
{
    struct log_house h;
    char path[160], *head;
    size_t len;
    (void)state;
    log_house_init(&h);
    log_open(&h);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    log_scribe_close(&h);
    part(&h, "notary/head", path);
    assert_int_equal(fd_read_file(path, 10000, &head, &len, &h.err), 0);
    for (size_t i = 0; i <= len; i++) { /* cut anywhere, then any bit */
        for (int bit = 0; bit < (i == len ? 1 : 8); bit += 3) {
            int fd = open(path, O_WRONLY | O_TRUNC);
            assert_true(fd >= 0);
            if (bit == 0 && i < len)
                assert_int_equal(fd_write_all(fd, head, i), 0);
            else {
                if (i < len)
                    head[i] = (char)(head[i] ^ 1 << bit);
                assert_int_equal(fd_write_all(fd, head, len), 0);
                if (i < len)
                    head[i] = (char)(head[i] ^ 1 << bit);
            }
            fd_close(&fd);
            int rc = log_scribe_open(&h);
            if (rc == 0) /* spaces and signs before a number, or nothing was changed */
                log_scribe_close(&h);
            if (i < len && rc != -RF_ETAMPER)
                fail_msg("byte %zu bit %d: %d", i, bit, rc);
            if (i == len)
                assert_int_equal(rc, 0);
        }
    }
    mem_free(head);
    log_house_done(&h);
}

/* ---- a writer that changes behind the scribe's back ----------------------------------------- */

/* A ledger was killed within a write, and the next one cut the rest off and wrote other bytes in
   its place, while the scribe had read ahead. */
static void a_tail_that_was_read_ahead_and_cut_off_is_read_again(void **state)
{
    struct log_house h;
    size_t len, after;
    uint64_t last = 0;
    (void)state;
    log_house_init(&h);
    h.house.segment_max = 0;
    log_open(&h);
    uint64_t entries = journal_next_index(h.house.journal);
    grow(&h, 1);
    uint8_t *bytes = house_load(&h.house, last, &len);
    log_close(&h);
    house_store(&h.house, last, bytes, len - 20); /* the last entry is torn */
    mem_free(bytes);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(scribe_advance(h.scribe, entries, NOON, &h.err), 1);
    log_open(&h); /* cuts the tail, and writes a start in its place */
    bytes = house_load(&h.house, last, &after);
    mem_free(bytes);
    assert_int_equal(scribe_advance(h.scribe, entries + 1, NOON, &h.err), 1);
    scribe_read_again(h.scribe);
    grow(&h, 5);
    assert_int_equal(log_scribe_go(&h), 0);
    assert_int_equal(log_verify(&h, NULL), 0);
    log_house_done(&h);
}

static void partial_files_of_a_crash_do_not_stay_for_ever(void **state)
{
    struct log_house h;
    char path[200];
    (void)state;
    log_house_init(&h);
    log_open(&h);
    grow(&h, 100);
    assert_int_equal(log_scribe_open(&h), 0);
    assert_int_equal(log_scribe_go(&h), 0);
    (void)snprintf(path, sizeof(path), "%s/tile/entries/000.p/103.new", h.directory);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    fd_close(&fd);
    grow(&h, 300);
    assert_int_equal(log_scribe_go(&h), 0);
    scribe_collect(h.scribe, INT64_MAX / 2);
    *strrchr(path, '/') = '\0';
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(log_verify(&h, NULL), 0);
    log_house_done(&h);
}

#ifdef RF_FAULTS
/* Each place in its turn: what was signed before and after is one log. */
static void after_any_failure_the_next_start_goes_on(void **state)
{
    static const char *const points[] = { "store.write", "store.sync", "store.folder_sync",
                                          "folder.sync" };
    unsigned positions = 0;
    (void)state;
    for (size_t p = 0; p < RF_COUNT(points); p++) {
        int rc = -1;
        for (unsigned n = 1; rc < 0; n++) {
            struct log_house h;
            char spec[64];
            log_house_init(&h);
            log_open(&h);
            grow(&h, 260);
            assert_int_equal(log_scribe_open(&h), 0);
            assert_int_equal(scribe_advance(h.scribe, 200, NOON, &h.err), 1);
            assert_int_equal(scribe_publish(h.scribe, "", 0, &h.err), 0);
            (void)snprintf(spec, sizeof(spec), "%s:%u", points[p], n);
            fault_arm(spec);
            rc = log_scribe_go(&h);
            fault_arm(NULL);
            log_scribe_close(&h);
            assert_int_equal(log_scribe_open(&h), 0);
            assert_int_equal(log_scribe_go(&h), 0);
            assert_int_equal(log_verify(&h, NULL), 0);
            log_house_done(&h);
            positions++;
        }
    }
    print_message("# %u positions\n", positions);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_is_what_a_verifier_accepts),
        cmocka_unit_test(records_alone_make_no_checkpoint_but_are_covered),
        cmocka_unit_test(a_scribe_that_starts_again_goes_on_where_it_stood),
        cmocka_unit_test(young_leaves_wait_for_their_delay),
        cmocka_unit_test(what_is_not_committed_is_not_read),
        cmocka_unit_test(a_second_scribe_is_refused),
        cmocka_unit_test(public_files_that_were_lost_are_made_again_before_they_are_named),
        cmocka_unit_test(an_older_public_folder_catches_up),
        cmocka_unit_test(without_its_memory_the_published_checkpoint_is_held),
        cmocka_unit_test(a_journal_that_was_rolled_back_is_the_end),
        cmocka_unit_test(a_journal_that_is_gone_is_the_end),
        cmocka_unit_test(an_older_state_under_a_newer_public_folder_signs_nothing_else),
        cmocka_unit_test(a_checkpoint_that_others_vouch_for_is_held),
        cmocka_unit_test(of_several_pasts_each_is_held_and_not_only_the_largest),
        cmocka_unit_test(a_checkpoint_of_the_past_is_compared_at_once),
        cmocka_unit_test(a_folder_of_another_log_is_refused),
        cmocka_unit_test(a_folder_with_tiles_of_another_log_is_refused),
        cmocka_unit_test(a_file_that_was_changed_is_the_end_and_is_not_repaired),
        cmocka_unit_test(a_damaged_memory_is_the_end),
        cmocka_unit_test(a_tail_that_was_read_ahead_and_cut_off_is_read_again),
        cmocka_unit_test(partial_files_of_a_crash_do_not_stay_for_ever),
#ifdef RF_FAULTS
        cmocka_unit_test(after_any_failure_the_next_start_goes_on),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
