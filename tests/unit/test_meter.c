#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "journal_house.h"
#include "ledger/meter.h"
#include "ledger/rollup.h"

static struct meter *map_new(unsigned workers, int *ret_fd)
{
    struct meter *m;
    struct err err;
    assert_int_equal(meter_create(workers, ret_fd, &err), 0);
    assert_int_equal(meter_map(*ret_fd, &m, &err), 0);
    return m;
}

static void a_killed_process_loses_no_count(void **state)
{
    int fd, status;
    struct meter *m = map_new(2, &fd);
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct meter_slot *s = meter_slot_of(m, 1, "app_us", "us-virginia", "clipstream-us", "US");
        atomic_fetch_add(&s->rows, 41);
        atomic_fetch_add(&s->rows, 1);
        _exit(9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    const struct meter_slot *s = meter_slot_at(m, METER_SLOTS_PER_WORKER);
    assert_non_null(s);
    assert_string_equal(s->actor, "app_us");
    assert_string_equal(s->place, "US");
    assert_int_equal(atomic_load(&s->rows), 42);
    assert_null(meter_slot_at(m, 0));
    assert_null(meter_slot_at(m, meter_slot_count(m)));
    assert_int_equal(meter_slot_count(m), 2 * METER_SLOTS_PER_WORKER);
    meter_unmap(m);
    fd_close(&fd);
}

static void names_have_one_slot_each_and_the_last_takes_the_rest(void **state)
{
    int fd;
    struct meter *m = map_new(1, &fd);
    char name[32];
    (void)state;
    struct meter_slot *a = meter_slot_of(m, 0, "a", "r", "e", "US");
    assert_ptr_equal(a, meter_slot_of(m, 0, "a", "r", "e", "US"));
    assert_ptr_not_equal(a, meter_slot_of(m, 0, "a", "r", "e", "IE"));
    assert_ptr_not_equal(a, meter_slot_of(m, 0, "a", "r2", "e", "US"));
    for (int i = 0; i < 2 * METER_SLOTS_PER_WORKER; i++) {
        (void)snprintf(name, sizeof(name), "actor-%d", i);
        assert_non_null(meter_slot_of(m, 0, name, "r", "e", "US"));
    }
    struct meter_slot *other = meter_slot_of(m, 0, "one more", "r", "e", "US");
    assert_string_equal(other->actor, "other");
    assert_ptr_equal(other, meter_slot_of(m, 0, "yet another", "r", "e", "US"));
    assert_ptr_equal(a, meter_slot_of(m, 0, "a", "r", "e", "US"));
    meter_unmap(m);
    fd_close(&fd);
}

static void only_our_mapping_is_mapped(void **state)
{
    struct meter *m;
    struct err err;
    (void)state;
    int fd = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_int_equal(meter_map(fd, &m, &err), -RF_EPROTO);
    fd_close(&fd);
    assert_int_equal(meter_create(0, &fd, &err), -RF_EINVAL);
    assert_int_equal(meter_create(METER_WORKERS_MAX + 1, &fd, &err), -RF_EINVAL);
}

/* The private part of entry INDEX. */
static void private_of(struct house *h, uint64_t index, char *ret, size_t max)
{
    struct scan *scan;
    struct frame_entry entry;
    struct daykey_store *keys;
    struct leaf leaf;
    struct buf plain;
    uint64_t offset;
    buf_init(&plain, FRAME_LENGTH_MAX);
    assert_int_equal(daykey_open(h->state, &keys, &h->err), 0);
    assert_int_equal(scan_open(h->folder, index, &scan, &h->err), 0);
    do
        assert_int_equal(scan_next(scan, &entry, &offset, &h->err), 1);
    while (entry.index < index);
    assert_int_equal(opening_leaf(&entry, &leaf, &h->err), 0);
    assert_int_equal(leaf.kind, RECORD_SERVICE);
    assert_int_equal(opening_private(keys, NAME, &entry, &leaf, &plain, &h->err), 1);
    size_t n = buf_len(&plain) - SEAL_SALT_LEN;
    assert_true(n < max);
    memcpy(ret, buf_at(&plain) + SEAL_SALT_LEN, n);
    ret[n] = '\0';
    scan_close(scan);
    daykey_close(keys);
    buf_done(&plain);
}

static void totals_are_written_when_they_change_and_run_on_over_a_restart(void **state)
{
    int fd;
    struct house h;
    struct rollup *rollup;
    struct meter *m = map_new(2, &fd);
    char first[1000], again[1000], session[64];
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    struct meter_slot *s = meter_slot_of(m, 1, "app_us", "us-virginia", "clipstream-us", "US");
    assert_int_equal(rollup_new(m, &rollup, &h.err), 0);
    assert_int_equal(rollup_write(rollup, h.journal, NULL, house_policy(), NOON, &h.err), 0);
    assert_int_equal(journal_commit(h.journal, &h.err), 0);
    assert_int_equal(house_count(&h, 0, NULL), 0); /* nothing but zeros yet */
    atomic_fetch_add(&s->rows, 10);
    atomic_fetch_add(&s->bytes_out, 1000);
    atomic_fetch_add(&s->sessions, 1);
    for (int i = 0; i < 3; i++) { /* the second and third time nothing has changed */
        assert_int_equal(rollup_write(rollup, h.journal, NULL, house_policy(), NOON, &h.err), 0);
        assert_int_equal(journal_commit(h.journal, &h.err), 0);
    }
    assert_int_equal(house_count(&h, 0, NULL), 1);
    private_of(&h, 0, first, sizeof(first));
    assert_non_null(strstr(first, "\"actor\":\"app_us\""));
    assert_non_null(strstr(first, "\"rows\":10,\"bytes\":1000,"));
    assert_non_null(strstr(first, "\"detail\":\"slot=256 sessions=1 bytes_in=0 denials=0\""));
    rollup_free(rollup); /* the ledger dies; the mapping lives on */
    house_close(&h);
    assert_int_equal(house_open(&h), 0);
    atomic_fetch_add(&s->rows, 5);
    assert_int_equal(rollup_new(m, &rollup, &h.err), 0);
    assert_int_equal(rollup_write(rollup, h.journal, NULL, house_policy(), NOON, &h.err), 0);
    assert_int_equal(journal_commit(h.journal, &h.err), 0);
    private_of(&h, 1, again, sizeof(again));
    assert_non_null(strstr(again, "\"rows\":15,\"bytes\":1000,"));
    memcpy(session, strstr(first, "\"session\":"), 44);
    session[44] = '\0';
    assert_non_null(strstr(again, session)); /* the same start */
    rollup_free(rollup);
    meter_unmap(m);
    fd_close(&fd);
    house_done(&h);
}

static void junk_in_the_mapping_stays_out_of_the_public_part(void **state)
{
    int fd;
    struct house h;
    struct rollup *rollup;
    struct meter *m = map_new(1, &fd);
    struct scan *scan;
    struct frame_entry entry;
    struct leaf leaf;
    uint64_t offset;
    (void)state;
    house_init(&h);
    assert_int_equal(house_open(&h), 0);
    struct meter_slot *s = meter_slot_of(m, 0, "app_us", "us-virginia", "clipstream-us", "US");
    memset(s->actor, 'A', sizeof(s->actor));
    memset(s->region, '"', sizeof(s->region));
    memset(s->entity, 0xff, sizeof(s->entity));
    memset(s->place, '"', sizeof(s->place));
    atomic_store(&s->rows, UINT64_MAX);
    assert_int_equal(rollup_new(m, &rollup, &h.err), 0);
    assert_int_equal(rollup_write(rollup, h.journal, NULL, house_policy(), NOON, &h.err), 0);
    assert_int_equal(journal_commit(h.journal, &h.err), 0);
    assert_int_equal(scan_open(h.folder, 0, &scan, &h.err), 0);
    assert_int_equal(scan_next(scan, &entry, &offset, &h.err), 1);
    assert_int_equal(opening_leaf(&entry, &leaf, &h.err), 0);
    assert_non_null(memmem(entry.leaf, entry.leaf_len, "\"region\":\"unlisted\"", 19));
    assert_non_null(memmem(entry.leaf, entry.leaf_len, "\"entity\":\"unlisted\"", 19));
    assert_null(memmem(entry.leaf, entry.leaf_len, "place", 5));
    scan_close(scan);
    rollup_free(rollup);
    meter_unmap(m);
    fd_close(&fd);
    house_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_process_loses_no_count),
        cmocka_unit_test(names_have_one_slot_each_and_the_last_takes_the_rest),
        cmocka_unit_test(only_our_mapping_is_mapped),
        cmocka_unit_test(totals_are_written_when_they_change_and_run_on_over_a_restart),
        cmocka_unit_test(junk_in_the_mapping_stays_out_of_the_public_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
