/* test_erasure.c - a day made unreadable: when it is refused, and what is gone when it was done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/file.h>

#include "ledger/erasure.h"
#include "vault_house.h"

#define LATER (NOON + INT64_C(30) * HOUSE_DAY * FRAME_MINUTE_MS)

struct erasing {
    struct vault_house h;
    char day[20]; /* the first */
    struct erasure done;
};

static void erasing_init(struct erasing *e, int days)
{
    vault_house_init(&e->h);
    house_days(&e->h, days);
    leaf_minute_format(e->h.first_minute, e->day);
    e->day[10] = '\0';
}

static int erase(struct erasing *e)
{
    return erasure_run(e->h.house.state, e->day, LATER, &e->done, &e->h.house.err);
}

static bool has_key(struct erasing *e)
{
    return daykey_is_there(e->h.keys, e->h.first_minute);
}

/* Refused with a text that has WORD, and nothing is changed. */
static void refused(struct erasing *e, int code, const char *word)
{
    int rc = erase(e);
    if (rc != code || strstr(e->h.house.err.line, word) == NULL)
        print_message("# %d %s\n", rc, rc < 0 ? e->h.house.err.line : "");
    assert_int_equal(rc, code);
    assert_non_null(strstr(e->h.house.err.line, word));
    assert_true(has_key(e));
}

static void a_day_is_gone_for_everybody_and_the_others_are_not(void **state)
{
    static struct erasing e;
    struct frame_entry entry;
    struct vault *v;
    (void)state;
    erasing_init(&e, 3);
    vault_fill(&e.h);
    assert_int_equal(erase(&e), 0);
    assert_true(e.done.had_key);
    assert_int_equal(e.done.entries, 9);
    assert_int_equal(e.done.rows, 4);
    assert_false(has_key(&e));
    for (uint64_t leaf = 0; leaf < e.h.leaves; leaf++)
        assert_int_equal(vault_has_bytes(&e.h, leaf), leaf >= 4);
    assert_int_equal(vault_look(e.h.house.state, &v, &e.h.house.err), 0);
    assert_int_equal(vault_read(v, 0, &entry, &e.h.house.err), 0);
    assert_int_equal(vault_read(v, 4, &entry, &e.h.house.err), 1);
    assert_true(vault_opens(&e.h, &entry));
    vault_close(v);
    assert_int_equal(erase(&e), 0); /* once more */
    assert_false(e.done.had_key);
    assert_int_equal(e.done.rows, 0);
    vault_house_done(&e.h);
}

static void a_day_that_is_not_over_or_not_summed_up_is_refused(void **state)
{
    static struct erasing e;
    (void)state;
    erasing_init(&e, 1);
    refused(&e, -RF_EDENIED, "has written nothing since");
    assert_int_equal(erasure_run(e.h.house.state, e.day, NOON, &e.done, &e.h.house.err),
                     -RF_EDENIED);
    assert_non_null(strstr(e.h.house.err.line, "is not over"));
    vault_house_done(&e.h);
}

static void a_line_of_holds_that_is_none_keeps_every_day(void **state)
{
    static const char *const lines[] = {
        "yesterday case 1",   "2026-02-30 case 1",
        "2026-1-1 case 1",    "2020-01-01",
        "2020-01-01 ",        "2020-01-01\tcase",
        " 2020-01-01 case",   "2020-01-01case",
        "\xef\xbb\xbf# note", "\t",
        "2020-01-01x case",
    };
    static struct erasing e;
    char path[PATH_MAX];
    (void)state;
    erasing_init(&e, 2);
    (void)snprintf(path, sizeof(path), "%.3000s/holds", e.h.house.state);
    for (size_t i = 0; i < RF_COUNT(lines); i++) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fprintf(file, "# kept\n\n2020-02-29 case\r\n%s\n", lines[i]) > 0);
        assert_int_equal(fclose(file), 0);
        refused(&e, -RF_ECONFIG, "line 4");
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(erase(&e), 0);
    vault_house_done(&e.h);
}

/* ---- leaves that keep a day ----------------------------------------------------------------- */

static void put_leaf(struct erasing *e, struct logleaf *leaf)
{
    logleaf_text(leaf, LEAF_KEY_REGION, "us-virginia");
    assert_int_equal(house_leaf_append(&e->h, leaf, "somebody"), 0);
    assert_int_equal(journal_commit(e->h.house.journal, &e->h.house.err), 0);
}

static void put_held(struct erasing *e)
{
    static const uint8_t held[DIGEST_LEN] = { 9 };
    struct logleaf leaf = { .type = LEAF_GRANT };
    logleaf_text(&leaf, LEAF_KEY_ENTITY, "clipstream-us");
    logleaf_text(&leaf, LEAF_KEY_PLACE, "US");
    logleaf_bytes(&leaf, LEAF_KEY_HELD, held, sizeof(held));
    logleaf_number(&leaf, LEAF_KEY_GRANT, 7);
    logleaf_text(&leaf, LEAF_KEY_CLASSES, "identity");
    logleaf_number(&leaf, LEAF_KEY_SUBJECTS, 1);
    logleaf_number(&leaf, LEAF_KEY_UNTIL, e->h.first_minute + 2000);
    logleaf_text(&leaf, LEAF_KEY_POLICY_REF, "0 log.example/us");
    put_leaf(e, &leaf);
}

static void put_opened(struct erasing *e, uint64_t of)
{
    static const uint8_t salt[DIGEST_LEN] = { 9 };
    struct logleaf leaf = { .type = LEAF_OPENED };
    char ref[40];
    (void)snprintf(ref, sizeof(ref), "%llu log.example/us", (unsigned long long)of);
    logleaf_text(&leaf, LEAF_KEY_REF, ref);
    logleaf_text(&leaf, LEAF_KEY_PURPOSE, "support_ticket");
    logleaf_bytes(&leaf, LEAF_KEY_SALT, salt, sizeof(salt));
    put_leaf(e, &leaf);
}

static void a_purpose_that_only_its_key_can_open_keeps_its_day(void **state)
{
    static struct erasing e;
    (void)state;
    erasing_init(&e, 0);
    put_held(&e); /* leaves 0 and 1 */
    put_held(&e);
    e.h.now_ms += (int64_t)HOUSE_DAY * FRAME_MINUTE_MS;
    put_opened(&e, 1);
    refused(&e, -RF_EDENIED, "leaf 0 is held");
    put_opened(&e, 0);
    assert_int_equal(erase(&e), 0);
    assert_int_equal(e.done.entries, 2);
    vault_house_done(&e.h);
}

static void put_successor(struct erasing *e)
{
    static const uint8_t signature[64] = { 1 };
    struct logleaf leaf = { .type = LEAF_SUCCESSOR };
    logleaf_text(&leaf, LEAF_KEY_ORIGIN, "log.example/next");
    logleaf_text(&leaf, LEAF_KEY_KEY,
                 "log.example/next+a79321b0+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c");
    logleaf_bytes(&leaf, LEAF_KEY_SIGNATURE, signature, sizeof(signature));
    put_leaf(e, &leaf);
}

/* It gets no later entry, ever: its last day would be kept for ever. */
static void the_last_day_of_an_ended_log_goes_when_nobody_writes(void **state)
{
    static struct erasing e;
    (void)state;
    erasing_init(&e, 0);
    house_leaf(&e.h, "somebody");
    put_successor(&e);
    refused(&e, -RF_EDENIED, "its journal is in use");
    house_close(&e.h.house);
    assert_int_equal(erase(&e), 0);
    assert_int_equal(e.done.entries, 2);
    assert_false(has_key(&e));
    assert_int_equal(house_open(&e.h.house), 0); /* and the lock was given back */
    vault_house_done(&e.h);
}

/* An entry that no reader takes may be a held purpose: nobody can say that it is none. */
static void an_entry_that_is_not_canonical_is_damage(void **state)
{
    static const char open[] = "{\"v\":1,\"type\":\"grant\",\"held\":1}";
    static const uint8_t sealed[SEAL_OVERHEAD] = { 0 };
    static struct erasing e;
    struct scan *scan = NULL;
    struct frame_entry entry;
    uint64_t offset;
    size_t n;
    (void)state;
    erasing_init(&e, 2);
    assert_int_equal(scan_open(e.h.house.folder, 0, &scan, &e.h.house.err), 0);
    while (scan_next(scan, &entry, &offset, &e.h.house.err) == 1)
        continue;
    struct scan_state at = *scan_state(scan);
    scan_close(scan);
    house_close(&e.h.house);
    struct frame_entry bad = { .index = at.index,
                               .minute = at.minute,
                               .leaf = (const uint8_t *)open,
                               .leaf_len = sizeof(open) - 1,
                               .sealed = sealed,
                               .sealed_len = sizeof(sealed) };
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    uint8_t *before = house_load(&e.h.house, 0, &n);
    assert_int_equal(buf_append(&bytes, before, n), 0);
    mem_free(before);
    assert_int_equal(frame_entry_write(&bytes, &bad, at.chain), 0);
    house_store(&e.h.house, 0, buf_at(&bytes), buf_len(&bytes));
    buf_done(&bytes);
    refused(&e, -RF_ETAMPER, "entry 18 of the journal: public part is not canonical");
    vault_house_done(&e.h);
}

/* ---- when the store cannot be cleared ------------------------------------------------------- */

static void a_store_that_is_damaged_is_told_with_what_to_do(void **state)
{
    static struct erasing e;
    (void)state;
    erasing_init(&e, 2);
    vault_file(&e.h, "no database at all", 5000);
    assert_int_equal(erase(&e), -RF_EUNAVAIL);
    assert_non_null(strstr(e.h.house.err.line, "private store cannot be cleared"));
    assert_non_null(strstr(e.h.house.err.hint, "anew"));
    assert_false(has_key(&e)); /* which went first */
    vault_fill(&e.h);          /* the gateway begins */
    assert_int_equal(erase(&e), 0);
    assert_false(vault_has_bytes(&e.h, 0));
    assert_true(vault_has_bytes(&e.h, 5));
    vault_house_done(&e.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_is_gone_for_everybody_and_the_others_are_not),
        cmocka_unit_test(a_day_that_is_not_over_or_not_summed_up_is_refused),
        cmocka_unit_test(a_line_of_holds_that_is_none_keeps_every_day),
        cmocka_unit_test(a_purpose_that_only_its_key_can_open_keeps_its_day),
        cmocka_unit_test(the_last_day_of_an_ended_log_goes_when_nobody_writes),
        cmocka_unit_test(an_entry_that_is_not_canonical_is_damage),
        cmocka_unit_test(a_store_that_is_damaged_is_told_with_what_to_do),
    };
    return cmocka_run_group_tests_name("erasure", tests, NULL, NULL);
}
