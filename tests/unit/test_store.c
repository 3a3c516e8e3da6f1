#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/store.h"
#include "ledger/treehead.h"

struct shelf {
    char folder[64], directory[80];
    struct store *store;
    struct treehead head; /* the same tree, made another way */
    struct err err;
};

static void shelf_init(struct shelf *s)
{
    *s = (struct shelf){ 0 };
    strcpy(s->folder, "/dev/shm/ringfence-store-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    (void)snprintf(s->directory, sizeof(s->directory), "%s/public", s->folder);
    assert_int_equal(digest_init(&s->err), 0);
    treehead_init(&s->head);
    assert_int_equal(store_open(s->directory, &s->store, &s->err), 0);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

static void shelf_done(struct shelf *s)
{
    store_close(s->store);
    assert_int_equal(nftw(s->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static size_t leaf_make(uint64_t i, char ret[64])
{
    return (size_t)snprintf(ret, 64, "leaf %llu", (unsigned long long)i);
}

static int put(struct shelf *s, uint64_t count)
{
    char leaf[64];
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        size_t n = leaf_make(store_size(s->store), leaf);
        rc = store_append(s->store, leaf, n, &s->err);
        if (rc == 0 && store_size(s->store) > s->head.size)
            treehead_add(&s->head, leaf, n);
    }
    return rc < 0 ? rc : store_sync(s->store, &s->err);
}

static void reopen(struct shelf *s)
{
    store_close(s->store);
    s->store = NULL;
    assert_int_equal(store_open(s->directory, &s->store, &s->err), 0);
}

static void assert_root(struct shelf *s)
{
    uint8_t root[DIGEST_LEN], wanted[DIGEST_LEN];
    store_root(s->store, root);
    treehead_root(&s->head, wanted);
    assert_memory_equal(root, wanted, sizeof(root));
}

static bool is_there(const struct shelf *s, const char *name)
{
    char path[200];
    (void)snprintf(path, sizeof(path), "%s/%s", s->directory, name);
    return access(path, F_OK) == 0;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void a_tree_of_any_size_is_taken_up_where_it_stood(void **state)
{
    struct shelf s;
    (void)state;
    shelf_init(&s);
    for (uint64_t step = 1; s.head.size < 1500; step = step * 3 % 101 + 1) {
        assert_int_equal(put(&s, step), 0);
        uint64_t size = store_size(s.store);
        assert_root(&s);
        reopen(&s);
        assert_int_equal(store_load(s.store, size, &s.err), 0);
        assert_root(&s);
    }
    shelf_done(&s);
}

static void files_stand_where_tlog_tiles_wants_them(void **state)
{
    struct shelf s;
    (void)state;
    shelf_init(&s);
    assert_int_equal(put(&s, 256 + 10), 0);
    assert_true(is_there(&s, "tile/0/000") && is_there(&s, "tile/0/001.p/10"));
    assert_true(is_there(&s, "tile/entries/000") && is_there(&s, "tile/entries/001.p/10"));
    assert_true(is_there(&s, "tile/1/000.p/1"));
    assert_false(is_there(&s, "tile/2"));
    shelf_done(&s);
}

static void a_second_writer_is_refused(void **state)
{
    struct shelf s;
    struct store *other = NULL;
    (void)state;
    shelf_init(&s);
    assert_int_equal(store_open(s.directory, &other, &s.err), -RF_EUNAVAIL);
    assert_non_null(strstr(s.err.line, "written by another process"));
    store_close(s.store);
    s.store = NULL;
    assert_int_equal(store_open(s.directory, &s.store, &s.err), 0);
    shelf_done(&s);
}

static void the_same_tree_is_written_over_itself_without_a_change(void **state)
{
    struct shelf s;
    (void)state;
    shelf_init(&s);
    assert_int_equal(put(&s, 600), 0);
    reopen(&s);
    assert_int_equal(put(&s, 300), 0); /* other partial tiles on the way: all of one tree */
    assert_int_equal(put(&s, 300), 0);
    assert_root(&s);
    shelf_done(&s);
}

static void another_tree_in_the_same_folder_is_refused(void **state)
{
    struct shelf s;
    (void)state;
    shelf_init(&s);
    assert_int_equal(put(&s, 20), 0);
    reopen(&s);
    assert_int_equal(store_append(s.store, "another", 7, &s.err), 0);
    char leaf[64];
    for (uint64_t i = 1; i < 20; i++)
        assert_int_equal(store_append(s.store, leaf, leaf_make(i, leaf), &s.err), 0);
    assert_int_equal(store_sync(s.store, &s.err), -RF_ETAMPER);
    assert_non_null(strstr(s.err.hint, "empty folder"));
    shelf_done(&s);
}

static void a_tree_of_which_anything_is_missing_or_damaged_is_not_taken_up(void **state)
{
    static const char *const files[] = { "tile/0/001.p/44", "tile/1/000.p/1",
                                         "tile/entries/001.p/44" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(files); i++)
        for (int how = 0; how < 2; how++) {
            struct shelf s;
            char path[200];
            shelf_init(&s);
            assert_int_equal(put(&s, 300), 0);
            reopen(&s);
            (void)snprintf(path, sizeof(path), "%s/%s", s.directory, files[i]);
            if (how == 0)
                assert_int_equal(unlink(path), 0);
            else
                assert_int_equal(truncate(path, 31), 0);
            assert_int_equal(store_load(s.store, 300, &s.err), -RF_ENOTFOUND);
            assert_int_equal(store_size(s.store), 0);
            if (how == 0) { /* made again */
                assert_int_equal(put(&s, 300), 0);
                assert_root(&s);
            }
            shelf_done(&s);
        }
}

static void the_checkpoint_is_replaced_whole(void **state)
{
    struct shelf s;
    struct buf got;
    (void)state;
    shelf_init(&s);
    for (int i = 1; i < 200; i += 33) {
        char note[200];
        memset(note, 'a' + i % 26, sizeof(note));
        assert_int_equal(store_publish(s.store, note, (size_t)i, &s.err), 0);
        buf_init(&got, 200 * 1024);
        assert_int_equal(store_published(s.store, &got, &s.err), 0);
        assert_int_equal(buf_len(&got), i);
        assert_memory_equal(buf_at(&got), note, (size_t)i);
        buf_done(&got);
    }
    assert_false(is_there(&s, "checkpoint.new"));
    shelf_done(&s);
}

static void nothing_published_is_no_bytes(void **state)
{
    struct shelf s;
    struct buf got;
    (void)state;
    shelf_init(&s);
    buf_init(&got, 200 * 1024);
    assert_int_equal(store_published(s.store, &got, &s.err), 0);
    assert_int_equal(buf_len(&got), 0);
    buf_done(&got);
    shelf_done(&s);
}

static void partial_tiles_go_when_the_whole_one_has_been_there_long_enough(void **state)
{
    struct shelf s;
    (void)state;
    shelf_init(&s);
    assert_int_equal(put(&s, 100), 0);
    assert_int_equal(put(&s, 200), 0);
    assert_true(is_there(&s, "tile/0/000.p/100"));
    store_collect(s.store, 1, 1000); /* too young */
    assert_true(is_there(&s, "tile/0/000.p/100"));
    store_collect(s.store, INT64_MAX / 2, 1000);
    assert_false(is_there(&s, "tile/0/000.p"));
    assert_false(is_there(&s, "tile/entries/000.p"));
    assert_true(is_there(&s, "tile/0/001.p/44") && is_there(&s, "tile/1/000.p/1"));
    shelf_done(&s);
}

static void everybody_may_read_what_is_public_whatever_the_umask(void **state)
{
    struct shelf s;
    struct stat st;
    char path[200];
    static const char *const names[] = { "tile", "tile/0", "tile/0/000.p" };
    (void)state;
    mode_t mask = umask(077);
    shelf_init(&s);
    assert_int_equal(put(&s, 3), 0);
    (void)umask(mask);
    for (size_t i = 0; i < RF_COUNT(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", s.directory, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0755);
    }
    (void)snprintf(path, sizeof(path), "%s/tile/0/000.p/3", s.directory);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    shelf_done(&s);
}

#ifdef RF_FAULTS
static void after_a_failure_the_same_way_is_gone_again(void **state)
{
    static const char *const points[] = { "store.write", "store.sync", "store.folder_sync" };
    (void)state;
    for (size_t p = 0; p < RF_COUNT(points); p++) {
        int rc = -1;
        for (unsigned n = 1; rc < 0; n++) {
            struct shelf s;
            char spec[64];
            shelf_init(&s);
            assert_int_equal(put(&s, 100), 0);
            (void)snprintf(spec, sizeof(spec), "%s:%u", points[p], n);
            fault_arm(spec);
            rc = put(&s, 500);
            fault_arm(NULL);
            reopen(&s);
            assert_int_equal(store_load(s.store, rc < 0 ? 100 : 600, &s.err), 0);
            if (rc < 0) {
                treehead_init(&s.head);
                char leaf[64];
                for (uint64_t i = 0; i < 100; i++)
                    treehead_add(&s.head, leaf, leaf_make(i, leaf));
                assert_int_equal(put(&s, 500), 0);
            }
            assert_root(&s);
            shelf_done(&s);
        }
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_of_any_size_is_taken_up_where_it_stood),
        cmocka_unit_test(files_stand_where_tlog_tiles_wants_them),
        cmocka_unit_test(a_second_writer_is_refused),
        cmocka_unit_test(the_same_tree_is_written_over_itself_without_a_change),
        cmocka_unit_test(another_tree_in_the_same_folder_is_refused),
        cmocka_unit_test(a_tree_of_which_anything_is_missing_or_damaged_is_not_taken_up),
        cmocka_unit_test(the_checkpoint_is_replaced_whole),
        cmocka_unit_test(nothing_published_is_no_bytes),
        cmocka_unit_test(partial_tiles_go_when_the_whole_one_has_been_there_long_enough),
        cmocka_unit_test(everybody_may_read_what_is_public_whatever_the_umask),
#ifdef RF_FAULTS
        cmocka_unit_test(after_a_failure_the_same_way_is_gone_again),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
