/* vault_house.h - a house (journal_house.h) whose journal has some days of records and leaves, and
 * the private store beside it. What each leaf says is known, so that whatever the store tells can
 * be compared with it. */
#ifndef RF_TESTS_VAULT_HOUSE_H
#define RF_TESTS_VAULT_HOUSE_H

#include <sodium.h>
#include <sqlite3.h>

#include "journal_house.h"
#include "ledger/vault.h"

enum { HOUSE_LEAVES = 32, HOUSE_DAY = 24 * 60 };

struct vault_house {
    struct house house;
    char path[PATH_MAX]; /* of the store's file */
    int64_t now_ms;
    uint32_t first_minute; /* of the first day */
    struct daykey_store *keys;
    struct buf plain;
    uint64_t entries, leaves;
    uint64_t entry_of[HOUSE_LEAVES]; /* of each leaf */
    uint32_t minute_of[HOUSE_LEAVES];
    uint8_t leaf_bytes[HOUSE_LEAVES][LEAF_MAX], sealed[HOUSE_LEAVES][512];
    size_t leaf_len[HOUSE_LEAVES], sealed_len[HOUSE_LEAVES];
    char text[HOUSE_LEAVES][200]; /* private part */
};

/* Does E open with its day's key? Its private part is then in h->plain, behind the salt. */
static inline bool vault_opens(struct vault_house *h, const struct frame_entry *e)
{
    struct leaf leaf;
    return opening_leaf(e, &leaf, &h->house.err) == 0 &&
           opening_private(h->keys, NAME, e, &leaf, &h->plain, &h->house.err) == 1;
}

static inline void house_learn(struct vault_house *h)
{
    struct scan *scan = NULL;
    struct frame_entry e;
    struct leaf leaf;
    uint64_t offset;
    h->entries = h->leaves = 0;
    assert_int_equal(scan_open(h->house.folder, 0, &scan, &h->house.err), 0);
    for (; scan_next(scan, &e, &offset, &h->house.err) == 1; h->entries++) {
        assert_int_equal(opening_leaf(&e, &leaf, &h->house.err), 0);
        if (leaf.type == LEAF_NONE)
            continue;
        uint64_t i = h->leaves++;
        assert_true(i < HOUSE_LEAVES && e.sealed_len <= sizeof(h->sealed[i]));
        h->entry_of[i] = e.index;
        h->minute_of[i] = e.minute;
        memcpy(h->leaf_bytes[i], e.leaf, h->leaf_len[i] = e.leaf_len);
        memcpy(h->sealed[i], e.sealed, h->sealed_len[i] = e.sealed_len);
        assert_true(vault_opens(h, &e));
        (void)snprintf(h->text[i], sizeof(h->text[i]), "%.*s",
                       (int)(buf_len(&h->plain) - SEAL_SALT_LEN),
                       (char *)buf_at(&h->plain) + SEAL_SALT_LEN);
    }
    scan_close(scan);
}

static inline void vault_house_init(struct vault_house *h)
{
    char folder[PATH_MAX];
    memset(h, 0, sizeof(*h));
    assert_true(sodium_init() >= 0);
    house_init(&h->house);
    buf_init(&h->plain, FRAME_LENGTH_MAX);
    h->now_ms = NOON;
    h->first_minute = (uint32_t)(NOON / FRAME_MINUTE_MS / HOUSE_DAY * HOUSE_DAY);
    assert_int_equal(house_open(&h->house), 0);
    assert_int_equal(daykey_open(h->house.state, &h->keys, &h->house.err), 0);
    (void)snprintf(folder, sizeof(folder), "%.3000s/vault", h->house.state);
    assert_int_equal(mkdir(folder, 0700), 0);
    (void)snprintf(h->path, sizeof(h->path), "%.3000s/private.db", folder);
}

static inline void vault_house_done(struct vault_house *h)
{
    daykey_close(h->keys);
    buf_wipe_done(&h->plain);
    house_done(&h->house);
}

static inline void vault_house_reopen(struct vault_house *h)
{
    house_close(&h->house);
    assert_int_equal(house_open(&h->house), 0);
    house_learn(h);
}

/* A leaf with TEXT in its private part. */
static inline int house_leaf_append(struct vault_house *h, struct logleaf *leaf, const char *text)
{
    char detail[200];
    int n = snprintf(detail, sizeof(detail), "{\"actor\":\"%s\"}", text);
    return journal_append_leaf(h->house.journal, leaf, detail, (size_t)n, 0, 0, h->now_ms,
                               &h->house.err);
}

static inline void house_leaf(struct vault_house *h, const char *text)
{
    static const uint8_t digest[DIGEST_LEN] = { 3 };
    struct logleaf leaf = { .type = LEAF_POLICY };
    logleaf_text(&leaf, LEAF_KEY_REGION, "us-virginia");
    logleaf_bytes(&leaf, LEAF_KEY_POLICY, digest, sizeof(digest));
    assert_int_equal(house_leaf_append(h, &leaf, text), 0);
    assert_int_equal(journal_commit(h->house.journal, &h->house.err), 0);
    house_learn(h);
}

static inline void house_say(struct vault_house *h)
{
    struct record r = house_record(1);
    assert_int_equal(journal_append(h->house.journal, house_policy(), &r, 0, 0, h->now_ms,
                                    &h->house.err),
                     0);
    assert_int_equal(journal_commit(h->house.journal, &h->house.err), 0);
}

/* COUNT days, each with leaves between records. */
static inline void house_days(struct vault_house *h, int count)
{
    char text[40];
    for (int day = 0; day < count; day++) {
        for (int i = 0; i < 4; i++) {
            (void)snprintf(text, sizeof(text), "leaf %d of day %d", i, day);
            house_say(h);
            house_leaf(h, text);
        }
        house_say(h);
        h->now_ms += (int64_t)HOUSE_DAY * FRAME_MINUTE_MS;
    }
    house_learn(h);
}

/* ---- the store ---- */

static inline int vault_go(struct vault_house *h)
{
    struct vault *v = NULL;
    int rc = vault_open(h->house.state, &v, &h->house.err);
    while (rc == 0 && vault_next(v) < h->entries)
        rc = vault_advance(v, h->entries, &h->house.err);
    vault_close(v);
    return rc;
}

/* As the notary does it: what is found damaged on the way is begun anew by the next attempt. */
static inline void vault_fill(struct vault_house *h)
{
    int rc = vault_go(h);
    if (rc == -RF_ENOTFOUND)
        rc = vault_go(h);
    assert_int_equal(rc, 0);
}

static inline sqlite3 *vault_database(const struct vault_house *h)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(h->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    return db;
}

static inline void vault_sql(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static inline uint64_t vault_rows(const struct vault_house *h)
{
    sqlite3 *db = vault_database(h);
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM part", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    uint64_t rows = (uint64_t)sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
    return rows;
}

/* Are the sealed bytes of LEAF anywhere in the store's files? */
static inline bool vault_has_bytes(struct vault_house *h, uint64_t leaf)
{
    static const char *const endings[] = { "", "-wal", "-journal" };
    bool found = false;
    for (size_t i = 0; i < RF_COUNT(endings); i++) {
        char path[PATH_MAX + 16], *bytes = NULL;
        size_t n = 0;
        (void)snprintf(path, sizeof(path), "%s%s", h->path, endings[i]);
        if (access(path, F_OK) < 0)
            continue;
        assert_int_equal(fd_read_file(path, 64 << 20, &bytes, &n, &h->house.err), 0);
        found = found || memmem(bytes, n, h->sealed[leaf] + 40, 32) != NULL;
        mem_free(bytes);
    }
    return found;
}

/* N bytes in the place of the store. */
static inline void vault_file(const struct vault_house *h, const char *text, size_t n)
{
    char path[PATH_MAX + 16];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", h->path,
                       (const char *[]){ "", "-wal", "-shm" }[i]);
        (void)unlink(path);
    }
    FILE *file = fopen(h->path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < n; i++)
        assert_true(fputc(text[i % strlen(text)], file) != EOF);
    assert_int_equal(fclose(file), 0);
}

#endif
