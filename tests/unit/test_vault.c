/* test_vault.c - the private store: what it takes in, what it tells, and what becomes of one that
 * is damaged, foreign, or somebody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "ledger/reopen.h"
#include "ledger/vault.h"
#include "vault_house.h"

/* ---- taking in and telling ------------------------------------------------------------------ */

static void every_leaf_is_told_by_its_number_and_nothing_else(void **state)
{
    struct vault_house h;
    struct vault *v;
    struct frame_entry e;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 2);
    vault_fill(&h);
    assert_int_equal(vault_look(h.house.state, &v, &h.house.err), 0);
    assert_string_equal(vault_name(v), NAME);
    for (uint64_t leaf = 0; leaf < h.leaves; leaf++) {
        assert_int_equal(vault_read(v, leaf, &e, &h.house.err), 1);
        assert_int_equal(e.index, h.entry_of[leaf]);
        assert_true(vault_opens(&h, &e));
    }
    assert_int_equal(vault_read(v, h.leaves, &e, &h.house.err), 0);
    assert_int_equal(vault_read(v, UINT64_MAX, &e, &h.house.err), 0);
    assert_int_equal(vault_read(v, (uint64_t)INT64_MAX + 1, &e, &h.house.err), 0);
    vault_close(v);
    vault_house_done(&h);
}

static void it_goes_on_where_it_was(void **state)
{
    struct vault_house h;
    struct vault *v;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    assert_int_equal(vault_open(h.house.state, &v, &h.house.err), 0);
    assert_int_equal(vault_next(v), 0);
    assert_int_equal(vault_advance(v, 3, &h.house.err), 0);
    assert_int_equal(vault_next(v), 3);
    vault_close(v);
    assert_int_equal(vault_open(h.house.state, &v, &h.house.err), 0);
    assert_int_equal(vault_next(v), 3);
    assert_int_equal(vault_advance(v, 2, &h.house.err), 0); /* has it already */
    assert_int_equal(vault_advance(v, h.entries, &h.house.err), 0);
    assert_int_equal(vault_next(v), h.entries);
    vault_close(v);
    assert_int_equal(vault_rows(&h), h.leaves);
    vault_house_done(&h);
}

/* The process that signs the log asks for more as long as this is behind. */
static void more_than_the_journal_has_is_an_error_and_no_endless_round(void **state)
{
    struct vault_house h;
    struct vault *v;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    assert_int_equal(vault_open(h.house.state, &v, &h.house.err), 0);
    assert_int_equal(vault_advance(v, h.entries + 5, &h.house.err), 0);
    assert_int_equal(vault_next(v), h.entries);
    assert_int_equal(vault_advance(v, h.entries + 5, &h.house.err), -RF_EUNAVAIL);
    assert_non_null(strstr(h.house.err.line, "the journal ends"));
    vault_close(v);
    vault_house_done(&h);
}

static void the_writer_does_not_wait_for_whoever_locks_it(void **state)
{
    struct vault_house h;
    struct vault *v;
    sqlite3 *other;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    assert_int_equal(vault_open(h.house.state, &v, &h.house.err), 0);
    other = vault_database(&h);
    vault_sql(other, "BEGIN IMMEDIATE");
    int64_t before = clock_mono_ms();
    assert_int_equal(vault_advance(v, h.entries, &h.house.err), -RF_EUNAVAIL);
    assert_true(clock_mono_ms() - before < 1000);
    vault_close(v);
    vault_sql(other, "ROLLBACK");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    vault_fill(&h);
    assert_int_equal(vault_rows(&h), h.leaves);
    vault_house_done(&h);
}

static void a_state_folder_below_a_link_is_as_good(void **state)
{
    struct vault_house h;
    struct vault *v;
    char real[80], link[80];
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    (void)snprintf(real, sizeof(real), "%s", h.house.state);
    (void)snprintf(link, sizeof(link), "%s.link", h.house.state);
    assert_int_equal(symlink(real, link), 0);
    assert_int_equal(vault_open(link, &v, &h.house.err), 0);
    assert_int_equal(vault_advance(v, h.entries, &h.house.err), 0);
    vault_close(v);
    assert_int_equal(vault_look(link, &v, &h.house.err), 0);
    vault_close(v);
    assert_int_equal(unlink(link), 0);
    vault_house_done(&h);
}

/* But the file itself is not followed to where somebody may have put it. */
static void a_link_in_the_place_of_the_file_is_refused(void **state)
{
    struct vault_house h;
    struct vault *v;
    char elsewhere[PATH_MAX];
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    vault_fill(&h);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%.3000s/elsewhere.db", h.house.state);
    assert_int_equal(rename(h.path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, h.path), 0);
    assert_true(vault_look(h.house.state, &v, &h.house.err) < 0);
    assert_true(vault_open(h.house.state, &v, &h.house.err) < 0);
    vault_house_done(&h);
}

static void without_a_folder_or_a_file_there_is_none(void **state)
{
    struct vault_house h;
    struct vault *v;
    char folder[PATH_MAX];
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    assert_int_equal(vault_look(h.house.state, &v, &h.house.err), -RF_ENOTFOUND);
    (void)snprintf(folder, sizeof(folder), "%.3000s/vault", h.house.state);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(vault_look(h.house.state, &v, &h.house.err), -RF_ENOTFOUND);
    assert_int_equal(vault_open(h.house.state, &v, &h.house.err), -RF_ESYS);
    vault_house_done(&h);
}

/* ---- begun anew ----------------------------------------------------------------------------- */

/* What somebody did to the database with SQL: a reader takes nothing of it, a writer begins anew.
 */
static void the_writer_begins_anew_after(const char *sql)
{
    struct vault_house h;
    struct vault *v;
    vault_house_init(&h);
    house_days(&h, 1);
    vault_fill(&h);
    sqlite3 *db = vault_database(&h);
    vault_sql(db, sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    int rc = vault_look(h.house.state, &v, &h.house.err);
    if (rc != -RF_ENOTFOUND)
        print_message("# %s: %d %s\n", sql, rc, rc < 0 ? h.house.err.line : "taken");
    assert_int_equal(rc, -RF_ENOTFOUND);
    vault_fill(&h);
    assert_int_equal(vault_rows(&h), h.leaves);
    vault_house_done(&h);
}

static void a_store_that_is_not_as_it_was_made_is_begun_anew(void **state)
{
    static const char *const spoiled[] = {
        "DROP TABLE part",
        "DROP TABLE state",
        "DROP INDEX part_minute",
        "DELETE FROM state",
        "UPDATE state SET version = 1",
        "UPDATE state SET journal = x'00'",
        "UPDATE state SET journal = zeroblob(16)",
        "UPDATE state SET next = 1000",
        "UPDATE state SET next = -1",
        "UPDATE state SET leaves = -1",
        "UPDATE state SET leaves = next + 1",
        "UPDATE state SET next = next - 1", /* its chain value is another entry's */
        "UPDATE state SET chain = zeroblob(32)",
        "UPDATE state SET chain = NULL",
        "ALTER TABLE part ADD COLUMN more",
        "CREATE TABLE other (a)",
        "CREATE TRIGGER t AFTER DELETE ON part BEGIN SELECT 1; END",
        "CREATE TRIGGER t AFTER INSERT ON part BEGIN DELETE FROM part; END",
        /* a view that ends never, in the place of the table */
        "DROP TABLE part; CREATE VIEW part AS WITH RECURSIVE r(leaf) AS (SELECT 0 UNION ALL SELECT "
        "leaf + 1 FROM r) SELECT -1 AS leaf, 0 AS entry, 0 AS minute, x'' AS key, x'' AS open, x'' "
        "AS sealed FROM r WHERE leaf < 0",
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(spoiled); i++)
        the_writer_begins_anew_after(spoiled[i]);
}

static void bytes_that_are_no_database_are_begun_anew(void **state)
{
    struct vault_house h;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    for (size_t n = 0; n <= 8192; n = n == 0 ? 1 : 2 * n) {
        vault_file(&h, "no database at all", n);
        vault_fill(&h);
        assert_int_equal(vault_rows(&h), h.leaves);
    }
    vault_house_done(&h);
}

/* The journal was restored from a backup and went on: the same id, the same numbers, another past.
   Only the chain value tells them apart. */
static void a_copy_of_another_past_is_begun_anew(void **state)
{
    struct vault_house h;
    struct vault *v;
    struct frame_entry e;
    size_t n;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    uint8_t *backup = house_load(&h.house, 0, &n);
    house_leaf(&h, "what one past says");
    house_leaf(&h, "and more of it");
    vault_fill(&h);
    uint64_t last = h.leaves - 1, entries = h.entries;
    house_close(&h.house);
    house_store(&h.house, 0, backup, n);
    mem_free(backup);
    vault_house_reopen(&h);
    while (h.entries < entries + 2)
        house_leaf(&h, "what the other says");
    assert_int_equal(vault_look(h.house.state, &v, &h.house.err), -RF_ENOTFOUND);
    vault_fill(&h);
    assert_int_equal(vault_look(h.house.state, &v, &h.house.err), 0);
    assert_int_equal(vault_read(v, last, &e, &h.house.err), 1);
    assert_true(vault_opens(&h, &e));
    assert_non_null(memmem(buf_at(&h.plain), buf_len(&h.plain), "the other", 9));
    vault_close(v);
    vault_house_done(&h);
}

/* ---- rows that somebody wrote --------------------------------------------------------------- */

static int take_text(void *context, uint64_t leaf, const struct frame_entry *entry,
                     const void *private_part, size_t n, struct err *err)
{
    char *text = context;
    (void)leaf, (void)entry, (void)err;
    (void)snprintf(text, 200, "%.*s", (int)n,
                   private_part != NULL ? (const char *)private_part : "");
    return 0;
}

/* Whatever the row of leaf 1 is made into, its private part is told as the journal has it. */
static void the_journal_decides_after(const char *sql, bool knows_leaf)
{
    struct vault_house h;
    char text[200] = "";
    vault_house_init(&h);
    house_days(&h, 1);
    vault_fill(&h);
    sqlite3 *db = vault_database(&h);
    vault_sql(db, sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    struct reopen_wanted wanted = { .leaf = 1 };
    if (knows_leaf) {
        wanted.bytes = h.leaf_bytes[1];
        wanted.len = h.leaf_len[1];
    }
    int rc = reopen_leaves(h.house.state, &wanted, 1, take_text, text, &h.house.err);
    if (rc < 0 || strcmp(text, h.text[1]) != 0)
        print_message("# %s: %d \"%s\" for \"%s\"\n", sql, rc, text, h.text[1]);
    assert_int_equal(rc, 0);
    assert_string_equal(text, h.text[1]);
    vault_house_done(&h);
}

static void a_row_that_does_not_hold_is_not_there(void **state)
{
    static const char *const spoiled[] = {
        "SELECT 1",
        "DELETE FROM part WHERE leaf = 1",
        "UPDATE part SET key = x'0000000000000000' WHERE leaf = 1",
        "UPDATE part SET key = 'textual!' WHERE leaf = 1",
        "UPDATE part SET key = x'00' WHERE leaf = 1",
        "UPDATE part SET open = x'' WHERE leaf = 1",
        "UPDATE part SET open = 1 WHERE leaf = 1",
        "UPDATE part SET open = zeroblob(5000) WHERE leaf = 1",
        "UPDATE part SET open = CAST(open AS TEXT) WHERE leaf = 1",
        "UPDATE part SET sealed = x'' WHERE leaf = 1",
        "UPDATE part SET sealed = zeroblob(700000) WHERE leaf = 1",
        "UPDATE part SET sealed = zeroblob(200) WHERE leaf = 1",
        "UPDATE part SET entry = -1 WHERE leaf = 1",
        "UPDATE part SET entry = entry + 1 WHERE leaf = 1",
        "UPDATE part SET entry = 'first' WHERE leaf = 1",
        "UPDATE part SET minute = minute + 4294967296 WHERE leaf = 1",
        "UPDATE part SET minute = minute + 1440 WHERE leaf = 1",
        "UPDATE part SET minute = -1 WHERE leaf = 1",
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(spoiled); i++)
        the_journal_decides_after(spoiled[i], false);
}

/* A whole row of another leaf opens well: only who knows the leaf can tell. */
static void a_row_under_another_number_is_found_out_by_the_leaf(void **state)
{
    (void)state;
    the_journal_decides_after("DELETE FROM part WHERE leaf = 1;"
                              "UPDATE part SET leaf = 1 WHERE leaf = 2",
                              true);
}

/* And when the journal itself has another leaf there than the public log, that is told. */
static void a_leaf_that_the_journal_has_not_is_tampering(void **state)
{
    struct vault_house h;
    char text[200];
    (void)state;
    vault_house_init(&h);
    house_days(&h, 1);
    const struct reopen_wanted wanted = { .leaf = 1,
                                          .bytes = h.leaf_bytes[2],
                                          .len = h.leaf_len[2] };
    assert_int_equal(reopen_leaves(h.house.state, &wanted, 1, take_text, text, &h.house.err),
                     -RF_ETAMPER);
    assert_non_null(strstr(h.house.err.line, "leaf 1"));
    vault_house_done(&h);
}

/* ---- erasing -------------------------------------------------------------------------------- */

static void no_byte_of_an_erased_day_is_left_in_the_files(void **state)
{
    struct vault_house h;
    struct vault *v;
    uint64_t rows;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 3);
    vault_fill(&h);
    for (uint64_t leaf = 0; leaf < h.leaves; leaf++)
        assert_true(vault_has_bytes(&h, leaf));
    assert_int_equal(vault_look(h.house.state, &v, &h.house.err), 0);
    uint32_t from = h.first_minute + 1440;
    assert_int_equal(vault_erase(v, from, from + 1440, &rows, &h.house.err), 0);
    vault_close(v);
    uint64_t gone = 0;
    for (uint64_t leaf = 0; leaf < h.leaves; leaf++) {
        bool is_of_day = h.minute_of[leaf] >= from && h.minute_of[leaf] < from + 1440;
        assert_int_equal(vault_has_bytes(&h, leaf), !is_of_day);
        gone += is_of_day;
    }
    assert_true(gone > 0);
    assert_int_equal(rows, gone);
    vault_house_done(&h);
}

static void a_day_without_its_key_is_not_taken_in(void **state)
{
    struct vault_house h;
    struct daykey_store *keys;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 2);
    assert_int_equal(daykey_open(h.house.state, &keys, &h.house.err), 0);
    assert_int_equal(daykey_destroy(keys, h.first_minute, &h.house.err), 1);
    daykey_close(keys);
    vault_fill(&h);
    for (uint64_t leaf = 0; leaf < h.leaves; leaf++)
        assert_int_equal(vault_has_bytes(&h, leaf), h.minute_of[leaf] >= h.first_minute + 1440);
    vault_house_done(&h);
}

static void whoever_reads_keeps_it_from_being_overwritten_and_that_is_told(void **state)
{
    struct vault_house h;
    struct vault *v;
    uint64_t rows;
    (void)state;
    vault_house_init(&h);
    house_days(&h, 2);
    vault_fill(&h);
    assert_int_equal(vault_look(h.house.state, &v, &h.house.err), 0);
    sqlite3 *reader = vault_database(&h);
    vault_sql(reader, "BEGIN; SELECT count(*) FROM part");
    assert_int_equal(vault_erase(v, h.first_minute, h.first_minute + 1440, &rows, &h.house.err),
                     -RF_EUNAVAIL);
    assert_non_null(strstr(h.house.err.line, "is being read"));
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    assert_int_equal(vault_erase(v, h.first_minute, h.first_minute + 1440, &rows, &h.house.err), 0);
    vault_close(v);
    assert_false(vault_has_bytes(&h, 0));
    vault_house_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_leaf_is_told_by_its_number_and_nothing_else),
        cmocka_unit_test(it_goes_on_where_it_was),
        cmocka_unit_test(more_than_the_journal_has_is_an_error_and_no_endless_round),
        cmocka_unit_test(the_writer_does_not_wait_for_whoever_locks_it),
        cmocka_unit_test(a_state_folder_below_a_link_is_as_good),
        cmocka_unit_test(a_link_in_the_place_of_the_file_is_refused),
        cmocka_unit_test(without_a_folder_or_a_file_there_is_none),
        cmocka_unit_test(a_store_that_is_not_as_it_was_made_is_begun_anew),
        cmocka_unit_test(bytes_that_are_no_database_are_begun_anew),
        cmocka_unit_test(a_copy_of_another_past_is_begun_anew),
        cmocka_unit_test(a_row_that_does_not_hold_is_not_there),
        cmocka_unit_test(a_row_under_another_number_is_found_out_by_the_leaf),
        cmocka_unit_test(a_leaf_that_the_journal_has_not_is_tampering),
        cmocka_unit_test(no_byte_of_an_erased_day_is_left_in_the_files),
        cmocka_unit_test(a_day_without_its_key_is_not_taken_in),
        cmocka_unit_test(whoever_reads_keeps_it_from_being_overwritten_and_that_is_told),
    };
    return cmocka_run_group_tests_name("vault", tests, NULL, NULL);
}
