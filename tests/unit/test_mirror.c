#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_house.h"

/* The copy through the journal that it belongs to. */

struct home {
    struct house house;
    char copy[96];
};

static void home_init(struct home *h)
{
    *h = (struct home){ 0 };
    house_init(&h->house);
    (void)snprintf(h->copy, sizeof(h->copy), "%s/copy", h->house.state);
    h->house.copy = h->copy;
    h->house.segment_max = 4096;
}

static void put(struct home *h, uint64_t from, uint64_t until)
{
    for (uint64_t seq = from; seq <= until; seq++)
        assert_int_equal(house_put(&h->house, 1, seq), 0);
}

static void fill(struct home *h, uint64_t count)
{
    assert_int_equal(house_open(&h->house), 0);
    put(h, 1, count);
    house_close(&h->house);
}

/* A shell command in the house's folder. */
static int run(const char *what, const struct home *h)
{
    char command[400];
    (void)snprintf(command, sizeof(command), "cd %s && %s", h->house.state, what);
    return system(command);
}

static void assert_same(const struct home *h)
{
    assert_int_equal(run("diff -r journal copy", h), 0);
}

static uint64_t last_segment(struct home *h, const char *folder)
{
    struct segment_list list;
    assert_int_equal(segment_list_read(folder, false, &list, &h->house.err), 0);
    assert_true(list.count > 1);
    uint64_t first = list.first[list.count - 1];
    segment_list_done(&list);
    return first;
}

static off_t shorten(struct home *h, const char *folder, off_t by)
{
    char path[PATH_MAX];
    struct stat st;
    segment_path(folder, last_segment(h, folder), "", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - by), 0);
    return st.st_size - by;
}

static void both_folders_hold_the_same_bytes(void **state)
{
    struct home h;
    (void)state;
    home_init(&h);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(house_open(&h.house), 0);
        put(&h, i * 10 + 1, i * 10 + 10);
        house_close(&h.house);
        assert_same(&h);
    }
    assert_true(last_segment(&h, h.copy) > 0);
    house_done(&h.house);
}

static void a_copy_that_was_lost_is_made_again(void **state)
{
    struct home h;
    (void)state;
    home_init(&h);
    fill(&h, 20);
    assert_int_equal(run("rm -rf copy", &h), 0);
    assert_int_equal(house_open(&h.house), 0);
    assert_int_equal(h.house.found.entries, 20);
    put(&h, 21, 22);
    house_close(&h.house);
    assert_same(&h);
    house_done(&h.house);
}

static void a_journal_that_was_lost_is_made_again_from_its_copy(void **state)
{
    struct home h;
    (void)state;
    home_init(&h);
    fill(&h, 20);
    assert_int_equal(run("rm -rf journal", &h), 0);
    assert_int_equal(house_open(&h.house), 0);
    assert_int_equal(h.house.found.entries, 20);
    put(&h, 21, 22);
    house_close(&h.house);
    assert_same(&h);
    house_done(&h.house);
}

/* What either lacks of the other's end: also whole segments, and also in the middle of an entry. */
static void the_shorter_one_is_completed_from_the_longer_one(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++)
        for (off_t by = 1; by < 700; by += 33) {
            struct home h;
            home_init(&h);
            fill(&h, 20);
            (void)shorten(&h, which == 0 ? h.house.folder : h.copy, by);
            assert_int_equal(house_open(&h.house), 0);
            assert_int_equal(h.house.found.entries, 20);
            house_close(&h.house);
            assert_same(&h);
            char path[PATH_MAX];
            const char *folder = which == 0 ? h.house.folder : h.copy;
            segment_path(folder, last_segment(&h, folder), "", path);
            assert_int_equal(unlink(path), 0);
            assert_int_equal(house_open(&h.house), 0);
            assert_int_equal(h.house.found.entries, 20);
            house_close(&h.house);
            assert_same(&h);
            house_done(&h.house);
        }
}

static void torn_tails_of_both_are_cut(void **state)
{
    struct home h;
    (void)state;
    home_init(&h);
    fill(&h, 20);
    (void)shorten(&h, h.house.folder, 10);
    (void)shorten(&h, h.copy, 50);
    assert_int_equal(house_open(&h.house), 0);
    assert_int_equal(h.house.found.entries, 19);
    assert_true(h.house.found.cut_bytes > 0);
    put(&h, 20, 21);
    house_close(&h.house);
    assert_same(&h);
    house_done(&h.house);
}

static void two_that_differ_are_refused_by_both_names_and_nothing_is_changed(void **state)
{
    struct home h;
    (void)state;
    home_init(&h);
    fill(&h, 20);
    assert_int_equal(run("cp -a journal was", &h), 0);
    assert_int_equal(run("rm -rf copy journal", &h), 0);
    fill(&h, 25); /* another journal, with another id */
    assert_int_equal(run("rm -rf copy", &h), 0);
    assert_int_equal(run("cp -a was copy", &h), 0);
    assert_int_equal(run("cp -a copy before", &h), 0);
    assert_int_equal(house_open(&h.house), -RF_ETAMPER);
    assert_non_null(strstr(h.house.err.line, h.house.folder));
    assert_non_null(strstr(h.house.err.line, h.copy));
    assert_non_null(strstr(h.house.err.hint, "log check"));
    assert_int_equal(run("diff -r before copy", &h), 0);
    house_done(&h.house);
}

static void damage_in_the_middle_of_one_is_refused(void **state)
{
    struct home h;
    char path[PATH_MAX];
    (void)state;
    home_init(&h);
    fill(&h, 20);
    segment_path(h.copy, last_segment(&h, h.copy), "", path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 200), 1);
    fd_close(&fd);
    assert_int_equal(house_open(&h.house), -RF_ETAMPER);
    assert_non_null(strstr(h.house.err.line, path));
    house_done(&h.house);
}

/* One went on alone in a segment that the other has closed already: more segments are not more of
   the same past. */
static void a_fork_behind_the_end_of_a_segment_is_refused_and_nothing_is_changed(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct home h;
        home_init(&h);
        h.house.segment_max = 0; /* all in one */
        fill(&h, 5);
        assert_int_equal(run("cp -r journal five", &h), 0);
        assert_int_equal(house_open(&h.house), 0);
        put(&h, 6, 12);
        house_close(&h.house);
        assert_int_equal(run("cp -r journal twelve && rm -r journal copy && mv five journal", &h),
                         0);
        h.house.segment_max = 1024; /* the sixth entry begins a segment */
        assert_int_equal(house_open(&h.house), 0);
        put(&h, 6, 6);
        house_close(&h.house);
        assert_true(last_segment(&h, h.house.folder) > 0);
        assert_int_equal(run(which == 0 ? "rm -r copy && mv twelve copy"
                                        : "rm -r journal && mv twelve journal",
                             &h),
                         0);
        assert_int_equal(run("cp -r journal journal.was && cp -r copy copy.was", &h), 0);
        assert_int_equal(house_open(&h.house), -RF_ETAMPER);
        assert_non_null(strstr(h.house.err.line, "differ"));
        assert_int_equal(run("diff -r journal journal.was && diff -r copy copy.was", &h), 0);
        house_done(&h.house);
    }
}

static void the_copy_of_another_gateway_is_refused(void **state)
{
    struct home h, other;
    (void)state;
    home_init(&h);
    home_init(&other);
    fill(&h, 5);
    const struct journal_options options = { .state_dir = other.house.state,
                                             .name = "eu-dublin",
                                             .copy_dir = h.copy };
    struct journal_found found;
    assert_int_equal(journal_open(&options, &other.house.journal, &found, &h.house.err),
                     -RF_ECONFIG);
    assert_non_null(strstr(h.house.err.line, h.copy));
    assert_int_equal(run("test ! -e journal/00000000000000000000.journal", &other), 0);
    house_done(&other.house);
    house_done(&h.house);
}

static void a_copy_has_one_writer(void **state)
{
    struct home h, other;
    (void)state;
    home_init(&h);
    home_init(&other);
    assert_int_equal(house_open(&h.house), 0);
    other.house.copy = h.copy;
    assert_int_equal(house_open(&other.house), -RF_EUNAVAIL);
    house_done(&other.house);
    house_done(&h.house);
}

#ifdef RF_FAULTS
static void a_failure_of_the_copy_is_the_end_of_the_journal(void **state)
{
    static const char *const points[] = { "mirror.write:1", "mirror.sync:1" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(points); i++) {
        struct home h;
        home_init(&h);
        assert_int_equal(house_open(&h.house), 0);
        put(&h, 1, 3);
        fault_arm(points[i]);
        assert_true(house_put(&h.house, 1, 4) < 0);
        fault_arm(NULL);
        assert_non_null(journal_death(h.house.journal));
        assert_non_null(strstr(journal_death(h.house.journal)->line, h.copy));
        assert_true(house_put(&h.house, 1, 4) < 0);
        house_close(&h.house);
        assert_int_equal(house_open(&h.house), 0);
        assert_true(h.house.found.entries >= 3);
        house_close(&h.house);
        assert_same(&h);
        house_done(&h.house);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_folders_hold_the_same_bytes),
        cmocka_unit_test(a_copy_that_was_lost_is_made_again),
        cmocka_unit_test(a_journal_that_was_lost_is_made_again_from_its_copy),
        cmocka_unit_test(the_shorter_one_is_completed_from_the_longer_one),
        cmocka_unit_test(torn_tails_of_both_are_cut),
        cmocka_unit_test(two_that_differ_are_refused_by_both_names_and_nothing_is_changed),
        cmocka_unit_test(damage_in_the_middle_of_one_is_refused),
        cmocka_unit_test(a_fork_behind_the_end_of_a_segment_is_refused_and_nothing_is_changed),
        cmocka_unit_test(the_copy_of_another_gateway_is_refused),
        cmocka_unit_test(a_copy_has_one_writer),
#ifdef RF_FAULTS
        cmocka_unit_test(a_failure_of_the_copy_is_the_end_of_the_journal),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
