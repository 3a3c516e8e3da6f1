#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_house.h"

static void what_was_committed_is_read_back(void **state)
{
    struct house h;
    struct scan *scan;
    struct frame_entry entry;
    struct daykey_store *keys;
    struct leaf leaf;
    struct buf plain;
    uint64_t offset;
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(h.found.entries, 0);
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_int_equal(house_put(&h, 77, seq), 0);
    assert_int_equal(journal_next_index(h.journal), 3);
    buf_init(&plain, FRAME_LENGTH_MAX);
    assert_int_equal(daykey_open(h.state, &keys, &h.err), 0);
    assert_int_equal(scan_open(h.folder, 0, &scan, &h.err), 0);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(scan_next(scan, &entry, &offset, &h.err), 1);
        assert_int_equal(entry.index, i);
        assert_int_equal(entry.instance, 77);
        assert_int_equal(entry.seq, i + 1);
        assert_int_equal(entry.minute, NOON / 60000);
        assert_int_equal(opening_leaf(&entry, &leaf, &h.err), 0);
        assert_int_equal(opening_private(keys, NAME, &entry, &leaf, &plain, &h.err), 1);
        assert_non_null(memmem(buf_at(&plain), buf_len(&plain), "\"rows\":5,", 9));
        assert_non_null(memmem(entry.leaf, entry.leaf_len, "\"rows\":5,", 9));
    }
    assert_int_equal(scan_next(scan, &entry, &offset, &h.err), 0);
    assert_int_equal(house_put(&h, 77, 4), 0); /* a reader at the end sees what comes */
    assert_int_equal(scan_next(scan, &entry, &offset, &h.err), 1);
    assert_int_equal(entry.index, 3);
    scan_close(scan);
    daykey_close(keys);
    buf_done(&plain);
    house_done(&h);
}

static void nothing_is_there_before_the_commit(void **state)
{
    struct house h;
    struct record r = house_record(1);
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(journal_append(h.journal, house_policy(), &r, 1, 1, NOON, &h.err), 0);
    assert_true(journal_pending(h.journal) > 0);
    assert_int_equal(house_count(&h, 0, NULL), 0);
    assert_int_equal(dedupe_find(journal_dedupe(h.journal), 1)->durable, 0);
    assert_int_equal(journal_commit(h.journal, &h.err), 0);
    assert_int_equal(house_count(&h, 0, NULL), 1);
    assert_int_equal(dedupe_find(journal_dedupe(h.journal), 1)->durable, 1);
    house_done(&h);
}

static void a_second_writer_is_refused(void **state)
{
    struct house h, other;
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    other = h;
    assert_int_equal(house_open(&other), -RF_EUNAVAIL);
    house_close(&h);
    assert_int_equal(house_open(&h), 0);
    house_done(&h);
}

static void the_journal_of_another_gateway_is_refused(void **state)
{
    struct house h;
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(house_put(&h, 1, 1), 0);
    house_close(&h);
    const struct journal_options options = { .state_dir = h.state, .name = "eu-dublin" };
    assert_int_equal(journal_open(&options, &h.journal, &h.found, &h.err), -RF_ECONFIG);
    house_done(&h);
}

static void a_torn_tail_is_cut_wherever_it_was_torn(void **state)
{
    struct house h;
    size_t len[4];
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        uint8_t *bytes = house_load(&h, 0, &len[seq]);
        mem_free(bytes);
        assert_int_equal(house_put(&h, 1, seq), 0);
    }
    house_close(&h);
    size_t whole;
    uint8_t *bytes = house_load(&h, 0, &whole);
    for (size_t n = len[3]; n < whole; n++) {
        house_store(&h, 0, bytes, n);
        assert_int_equal(house_open(&h), 0);
        assert_int_equal(h.found.entries, 2);
        assert_int_equal(h.found.cut_bytes, n - len[3]);
        if (n > len[3])
            assert_int_equal(h.found.cut_at, len[3]);
        house_close(&h);
    }
    /* The same with the missing bytes there and zero, as some file systems leave them. */
    for (size_t n = len[3]; n < whole; n += 7) {
        uint8_t *zeroed = mem_zalloc(1, whole);
        assert_non_null(zeroed);
        memcpy(zeroed, bytes, n);
        house_store(&h, 0, zeroed, whole);
        mem_free(zeroed);
        assert_int_equal(house_open(&h), 0);
        assert_int_equal(h.found.entries, 2);
        house_close(&h);
    }
    assert_int_equal(house_open(&h), 0); /* and the journal goes on */
    assert_int_equal(house_put(&h, 1, 3), 0);
    assert_int_equal(house_count(&h, 0, NULL), 3);
    mem_free(bytes);
    house_done(&h);
}

static void every_flipped_bit_is_found_or_cut(void **state)
{
    struct house h;
    size_t before_last, len;
    uint64_t torn;
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(house_put(&h, 1, 1), 0);
    mem_free(house_load(&h, 0, &before_last));
    assert_int_equal(house_put(&h, 1, 2), 0);
    house_close(&h);
    uint8_t *bytes = house_load(&h, 0, &len);
    char path[PATH_MAX];
    house_path(&h, 0, path);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        uint8_t flipped = (uint8_t)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)(bit / 8)), 1);
        int64_t rc = house_count(&h, 0, &torn);
        bool is_last = bit / 8 >= before_last;
        if (is_last ? rc != 1 || torn != len - before_last : rc != -RF_ETAMPER)
            fail_msg("bit %zu of byte %zu: %lld", bit % 8, bit / 8, (long long)rc);
        if (bit % 331 == 0) { /* the writer says the same, and touches nothing that is damaged */
            assert_int_equal(house_open(&h), is_last ? 0 : -RF_ETAMPER);
            house_close(&h);
            house_store(&h, 0, bytes, len);
        }
        assert_int_equal(pwrite(fd, &bytes[bit / 8], 1, (off_t)(bit / 8)), 1);
    }
    fd_close(&fd);
    assert_int_equal(house_count(&h, 0, &torn), 2);
    mem_free(bytes);
    house_done(&h);
}

/* Entries of equal length, so that they can be moved about. */
static void moving_entries_is_found(void **state)
{
    struct house h;
    size_t at[6], len;
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        mem_free(house_load(&h, 0, &at[seq - 1]));
        assert_int_equal(house_put(&h, 1, seq), 0);
    }
    house_close(&h);
    uint8_t *bytes = house_load(&h, 0, &len), *moved = mem_zalloc(2, len);
    assert_non_null(moved);
    size_t one = at[2] - at[1];
    assert_int_equal(at[1] - at[0], one);
    memcpy(moved, bytes, len); /* swapped */
    memcpy(moved + at[1], bytes + at[2], one);
    memcpy(moved + at[2], bytes + at[1], one);
    house_store(&h, 0, moved, len);
    assert_int_equal(house_open(&h), -RF_ETAMPER);
    memcpy(moved, bytes, len); /* dropped */
    memcpy(moved + at[1], bytes + at[2], len - at[2]);
    house_store(&h, 0, moved, len - one);
    assert_int_equal(house_open(&h), -RF_ETAMPER);
    memcpy(moved, bytes, len); /* the last one twice */
    memcpy(moved + len, bytes + at[4], one);
    house_store(&h, 0, moved, len + one);
    assert_int_equal(house_open(&h), -RF_ETAMPER);
    assert_non_null(strstr(h.err.line, "entry 5: index"));
    assert_non_null(strstr(h.err.hint, "ringfence log check"));
    house_store(&h, 0, bytes, len);
    assert_int_equal(house_open(&h), 0);
    mem_free(bytes);
    mem_free(moved);
    house_done(&h);
}

static void segments_rotate_and_missing_ones_are_found(void **state)
{
    struct house h;
    struct segment_list list;
    char path[PATH_MAX], away[PATH_MAX];
    (void)state;
    house_init(&h);
    h.segment_max = 3000;
    assert_int_equal(house_open(&h), 0);
    for (uint64_t seq = 1; seq <= 20; seq++)
        assert_int_equal(house_put(&h, 1, seq), 0);
    house_close(&h);
    assert_int_equal(segment_list_read(h.folder, false, &list, &h.err), 0);
    assert_true(list.count >= 5);
    assert_int_equal(house_count(&h, 0, NULL), 20);
    assert_int_equal(house_count(&h, 20, NULL), 20 - (int64_t)list.first[list.count - 1]);
    for (size_t i = 0; i + 1 < list.count; i++) {
        house_path(&h, list.first[i], path);
        (void)snprintf(away, sizeof(away), "%s/away", h.state);
        assert_int_equal(rename(path, away), 0);
        assert_int_equal(house_count(&h, 0, NULL), -RF_ETAMPER);
        if (i == 0 || i + 2 >= list.count)
            assert_int_equal(house_open(&h), -RF_ETAMPER);
        assert_int_equal(rename(away, path), 0);
    }
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(h.found.entries, 20);
    assert_int_equal(h.found.checked, 2);
    house_close(&h);
    size_t len; /* a whole segment torn in the middle is no torn tail */
    uint8_t *bytes = house_load(&h, list.first[list.count - 2], &len);
    house_store(&h, list.first[list.count - 2], bytes, len - 1);
    assert_int_equal(house_open(&h), -RF_ETAMPER);
    house_store(&h, list.first[list.count - 2], bytes, len);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(house_put(&h, 1, 21), 0);
    mem_free(bytes);
    segment_list_done(&list);
    house_done(&h);
}

static void unfinished_files_are_removed_and_strange_ones_refused(void **state)
{
    struct house h;
    char path[PATH_MAX];
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(house_put(&h, 1, 1), 0);
    house_close(&h);
    segment_path(h.folder, 1, ".new", path);
    assert_int_equal(symlink("/nowhere", path), 0);
    assert_int_equal(house_open(&h), 0);
    house_close(&h);
    assert_int_equal(access(path, F_OK), -1);
    (void)snprintf(path, sizeof(path), "%.200s/00000000000000000000.journal.bak", h.folder);
    assert_int_equal(symlink("/nowhere", path), 0);
    assert_int_equal(house_open(&h), -RF_ETAMPER);
    house_done(&h);
}

static void acknowledged_messages_are_known_after_a_restart(void **state)
{
    struct house h;
    (void)state;
    house_init(&h);
    h.segment_max = 4000;
    assert_int_equal(house_open(&h), 0);
    for (uint64_t seq = 1; seq <= 9; seq++) {
        assert_int_equal(house_put(&h, 111, seq), 0);
        assert_int_equal(house_put(&h, 222, 10 * seq), 0);
    }
    assert_int_equal(house_put(&h, 0, 0), 0); /* the ledger's own counts for nobody */
    house_close(&h);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(dedupe_find(journal_dedupe(h.journal), 111)->durable, 9);
    assert_int_equal(dedupe_find(journal_dedupe(h.journal), 222)->durable, 90);
    assert_null(dedupe_find(journal_dedupe(h.journal), 333));
    house_done(&h);
}

static void the_instances_that_wrote_last_are_remembered(void **state)
{
    struct dedupe *d = mem_zalloc(1, sizeof(*d));
    (void)state;
    assert_non_null(d);
    dedupe_init(d);
    for (uint64_t i = 1; i <= DEDUPE_INSTANCES_MAX + 10; i++)
        dedupe_append(d, i, i, i);
    for (uint64_t i = 1; i <= 10; i++)
        assert_null(dedupe_find(d, i));
    assert_int_equal(dedupe_find(d, 11)->appended, 11);
    assert_int_equal(dedupe_find(d, DEDUPE_INSTANCES_MAX + 10)->appended,
                     DEDUPE_INSTANCES_MAX + 10);
    mem_free(d);
}

static void append_at(struct house *h, int64_t now_ms)
{
    struct record r = house_record(1);
    assert_int_equal(journal_append(h->journal, house_policy(), &r, 0, 0, now_ms, &h->err), 0);
    assert_int_equal(journal_commit(h->journal, &h->err), 0);
}

/* How many entries open with the keys that are there; -1 on damage. */
static int opened(struct house *h)
{
    struct scan *scan;
    struct frame_entry entry;
    struct daykey_store *keys;
    struct leaf leaf;
    struct buf plain;
    uint64_t offset;
    int count = 0, rc;
    buf_init(&plain, FRAME_LENGTH_MAX);
    assert_int_equal(daykey_open(h->state, &keys, &h->err), 0);
    assert_int_equal(scan_open(h->folder, 0, &scan, &h->err), 0);
    while ((rc = scan_next(scan, &entry, &offset, &h->err)) == 1) {
        rc = opening_leaf(&entry, &leaf, &h->err);
        if (rc == 0)
            rc = opening_private(keys, NAME, &entry, &leaf, &plain, &h->err);
        if (rc < 0)
            break;
        count += rc;
    }
    scan_close(scan);
    daykey_close(keys);
    buf_done(&plain);
    return rc < 0 ? -1 : count;
}

static void the_key_changes_at_midnight_and_a_day_can_be_erased(void **state)
{
    struct house h;
    char path[PATH_MAX];
    const int64_t midnight = NOON + 12 * 3600 * INT64_C(1000);
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    append_at(&h, midnight - 1);
    append_at(&h, midnight);
    append_at(&h, midnight - 60000); /* the clock steps back: entries keep their order, and day */
    assert_int_equal(opened(&h), 3);
    (void)snprintf(path, sizeof(path), "%s/keys/day/2026-11-27.key", h.state);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(opened(&h), 2);
    house_close(&h);
    assert_int_equal(house_open(&h), 0); /* the chain does not need the key */
    append_at(&h, midnight - 3600000);   /* nor does a restart let time run back */
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(opened(&h), 3);
    uint8_t wrong[32] = { 1 }; /* another key in its place opens nothing and is no damage */
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(fd_write_all(fd, wrong, sizeof(wrong)), 0);
    fd_close(&fd);
    assert_int_equal(opened(&h), 3);
    house_done(&h);
}

/* A kill at any moment leaves a prefix of what was written. */
static void every_prefix_holds_all_that_was_acknowledged(void **state)
{
    struct house h, prefix;
    size_t acknowledged[8][2], batches = 0, len, header;
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    mem_free(house_load(&h, 0, &header));
    for (uint64_t seq = 0; batches < 4; batches++) { /* batches of 1, 2, 3, 4 entries */
        for (size_t i = 0; i <= batches; i++) {
            struct record r = house_record(++seq);
            assert_int_equal(journal_append(h.journal, house_policy(), &r, 9, seq, NOON, &h.err),
                             0);
        }
        assert_int_equal(journal_commit(h.journal, &h.err), 0);
        mem_free(house_load(&h, 0, &acknowledged[batches][0]));
        acknowledged[batches][1] = seq;
    }
    house_close(&h);
    uint8_t *bytes = house_load(&h, 0, &len);
    house_init(&prefix);
    assert_int_equal(mkdir(prefix.folder, 0700), 0);
    for (size_t n = header; n <= len; n += n % 5 + 1) {
        size_t least = 0;
        for (size_t i = 0; i < batches; i++)
            if (acknowledged[i][0] <= n)
                least = acknowledged[i][1];
        house_store(&prefix, 0, bytes, n);
        int64_t count = house_count(&prefix, 0, NULL);
        assert_true(count >= (int64_t)least);
        if (n % 40 == 0 || n == len) { /* and the writer goes on exactly from there */
            assert_int_equal(house_open(&prefix), 0);
            assert_int_equal(prefix.found.entries, count);
            struct dedupe_instance *row = dedupe_find(journal_dedupe(prefix.journal), 9);
            assert_int_equal(row != NULL ? row->durable : 0, count);
            assert_int_equal(house_put(&prefix, 9, (uint64_t)count + 1), 0);
            assert_int_equal(house_count(&prefix, 0, NULL), count + 1);
            house_close(&prefix);
        }
    }
    mem_free(bytes);
    house_done(&prefix);
    house_done(&h);
}

static int planted_found;

static int look_for_planted(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    static const char *const planted[] = { "Zebulon Quimby", "zq@example.net", "198.51.100.23",
                                           "quimby_z", "deadbeefdeadbeefdeadbeefdeadbeef" };
    char *bytes;
    size_t len;
    struct err err;
    (void)st, (void)at;
    if (flag != FTW_F)
        return 0;
    assert_int_equal(fd_read_file(path, 1 << 20, &bytes, &len, &err), 0);
    for (size_t i = 0; i < RF_COUNT(planted); i++)
        if (memmem(bytes, len, planted[i], strlen(planted[i])) != NULL)
            planted_found++;
    mem_free(bytes);
    return 0;
}

static void personal_text_is_in_the_sealed_part_alone(void **state)
{
    struct house h;
    struct record r = house_record(1);
    struct scan *scan;
    struct frame_entry entry;
    struct daykey_store *keys;
    struct leaf leaf;
    struct buf plain;
    uint64_t offset;
    (void)state;
    r.sql = "select * from users where name = 'Zebulon Quimby' or email = 'zq@example.net'";
    r.sql_len = strlen(r.sql);
    r.actor = "quimby_z";
    r.client = "198.51.100.23:999";
    memset(r.session, 0, sizeof(r.session));
    for (int i = 0; i < 16; i++)
        r.session[i] = (uint8_t[]){ 0xde, 0xad, 0xbe, 0xef }[i % 4];
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(journal_append(h.journal, house_policy(), &r, 1, 1, NOON, &h.err), 0);
    assert_int_equal(journal_commit(h.journal, &h.err), 0);
    planted_found = 0;
    assert_int_equal(nftw(h.state, look_for_planted, 8, FTW_PHYS), 0);
    assert_int_equal(planted_found, 0);
    buf_init(&plain, FRAME_LENGTH_MAX);
    assert_int_equal(daykey_open(h.state, &keys, &h.err), 0);
    assert_int_equal(scan_open(h.folder, 0, &scan, &h.err), 0);
    assert_int_equal(scan_next(scan, &entry, &offset, &h.err), 1);
    assert_int_equal(opening_leaf(&entry, &leaf, &h.err), 0);
    assert_int_equal(opening_private(keys, NAME, &entry, &leaf, &plain, &h.err), 1);
    assert_non_null(memmem(buf_at(&plain), buf_len(&plain), "Zebulon Quimby", 14));
    assert_non_null(memmem(buf_at(&plain), buf_len(&plain), "zq@example.net", 14));
    assert_non_null(memmem(buf_at(&plain), buf_len(&plain), "198.51.100.23", 13));
    assert_non_null(memmem(buf_at(&plain), buf_len(&plain), "quimby_z", 8));
    scan_close(scan);
    daykey_close(keys);
    buf_done(&plain);
    house_done(&h);
}

static void the_largest_record_fits_an_entry(void **state)
{
    struct house h;
    struct record r = house_record(1);
    char *sql = mem_zalloc(1, RECORD_MAX); /* every byte becomes six */
    (void)state;
    assert_non_null(sql);
    r.sql = sql;
    r.sql_len = RECORD_MAX - 400;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(journal_append(h.journal, house_policy(), &r, 1, 1, NOON, &h.err), 0);
    assert_int_equal(journal_commit(h.journal, &h.err), 0);
    assert_int_equal(opened(&h), 1);
    mem_free(sql);
    house_done(&h);
}

#ifdef RF_FAULTS
/* A journal that fails at POINT is dead for good, and loses nothing it had acknowledged. */
static void dies_at(const char *point, int code)
{
    struct house h;
    house_init(&h);
    h.segment_max = strcmp(point, "journal.rotate") == 0 ? 1500 : 0;
    fault_arm(NULL);
    assert_int_equal(house_open(&h), 0);
    assert_int_equal(house_put(&h, 1, 1), 0);
    fault_arm(point);
    struct record r = house_record(2);
    int64_t now_ms = strcmp(point, "daykey.create") == 0 ? NOON + 86400000 : NOON;
    int rc = journal_append(h.journal, house_policy(), &r, 1, 2, now_ms, &h.err);
    if (rc == 0)
        rc = journal_commit(h.journal, &h.err);
    if (rc == 0 && h.segment_max > 0) /* the second may still have fitted */
        rc = house_put(&h, 1, 3);
    assert_int_equal(rc, -code);
    fault_arm(NULL); /* the disk is well again: too late */
    assert_non_null(journal_death(h.journal));
    size_t len, again;
    mem_free(house_load(&h, 0, &len));
    assert_int_equal(house_put(&h, 1, 9), -code);
    assert_int_equal(journal_commit(h.journal, &h.err), -code);
    mem_free(house_load(&h, 0, &again));
    assert_int_equal(len, again);
    house_close(&h);
    assert_int_equal(house_open(&h), 0);
    assert_true(h.found.entries >= 1);
    assert_true(dedupe_find(journal_dedupe(h.journal), 1)->durable >= 1);
    house_done(&h);
}
#endif

static void a_failed_write_or_sync_is_the_end_of_the_writer(void **state)
{
    (void)state;
#ifdef RF_FAULTS
    dies_at("journal.write", RF_EDISKFULL);
    dies_at("journal.sync", RF_ESYS);
    dies_at("journal.rotate", RF_EDISKFULL);
    dies_at("daykey.create", RF_EDISKFULL);
#else
    skip();
#endif
}

static void a_journal_that_cannot_be_opened_says_so(void **state)
{
    (void)state;
#ifdef RF_FAULTS
    static const char *const points[] = { "journal.open", "folder.sync", "journal.settle" };
    struct house h;
    house_init(&h);
    for (size_t i = 0; i < RF_COUNT(points); i++) {
        fault_arm(points[i]);
        assert_int_equal(house_open(&h), -RF_ESYS);
        fault_arm(NULL);
        assert_int_equal(house_open(&h), 0);
        house_close(&h);
    }
    house_done(&h);
#else
    skip();
#endif
}

static void running_out_of_memory_harms_nothing(void **state)
{
    (void)state;
#ifdef RF_FAULTS
    for (unsigned n = 1; n < 60; n++) {
        struct house h;
        char spec[32];
        int rc = -1;
        (void)snprintf(spec, sizeof(spec), "mem.alloc:%u", n);
        house_init(&h);
        fault_arm(spec);
        if (house_open(&h) == 0)
            rc = house_put(&h, 1, 1);
        fault_arm(NULL);
        house_close(&h);
        assert_int_equal(house_open(&h), 0);
        assert_true(rc < 0 || h.found.entries == 1);
        house_done(&h);
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_committed_is_read_back),
        cmocka_unit_test(nothing_is_there_before_the_commit),
        cmocka_unit_test(a_second_writer_is_refused),
        cmocka_unit_test(the_journal_of_another_gateway_is_refused),
        cmocka_unit_test(a_torn_tail_is_cut_wherever_it_was_torn),
        cmocka_unit_test(every_flipped_bit_is_found_or_cut),
        cmocka_unit_test(moving_entries_is_found),
        cmocka_unit_test(segments_rotate_and_missing_ones_are_found),
        cmocka_unit_test(unfinished_files_are_removed_and_strange_ones_refused),
        cmocka_unit_test(acknowledged_messages_are_known_after_a_restart),
        cmocka_unit_test(the_instances_that_wrote_last_are_remembered),
        cmocka_unit_test(the_key_changes_at_midnight_and_a_day_can_be_erased),
        cmocka_unit_test(every_prefix_holds_all_that_was_acknowledged),
        cmocka_unit_test(personal_text_is_in_the_sealed_part_alone),
        cmocka_unit_test(the_largest_record_fits_an_entry),
        cmocka_unit_test(a_failed_write_or_sync_is_the_end_of_the_writer),
        cmocka_unit_test(a_journal_that_cannot_be_opened_says_so),
        cmocka_unit_test(running_out_of_memory_harms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
