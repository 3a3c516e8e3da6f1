#include "ledger/vault.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "ledger/daykey.h"
#include "ledger/leaf.h"
#include "ledger/scan.h"
#include "ledger/segment.h"

/* Two tables. `state` has one row: which journal this is a copy of, which entry and which leaf come
 * next, and the chain value before that entry: of a journal there may be two pasts (one was
 * restored from a backup and went on), and what was copied from one is not to be shown as the
 * other's. `part` has a row a leaf:
 *
 *     leaf, entry   numbers in the log and in the journal
 *     minute, key   of the entry: whose key opens it
 *     open, sealed  the entry's two parts as they stand in the journal
 *
 * A round of entries and the row of `state` are one transaction, so that after whatever crash the
 * two agree.
 *
 * Whoever writes this file has no keys, and whoever reads it has them, and may be an administrator:
 * so the reader takes no schema but ours (no view that never ends, no trigger), no value of a
 * length or a type that ours cannot have, and believes a row only as far as its sealed part opens.
 */

enum {
    VERSION = 2,
    READER_WAIT_MS = 5000, /* for a lock */
    WRITER_WAIT_MS = 20,   /* the log waits as long: the same process signs it */
    MINUTES_A_DAY = 24 * 60
};

static const char
    *const schema[] = { /* in the order of their names */
                        "CREATE TABLE part (leaf INTEGER PRIMARY KEY, entry INTEGER NOT NULL, "
                        "minute INTEGER NOT NULL, "
                        "key BLOB NOT NULL, open BLOB NOT NULL, sealed BLOB NOT NULL)",
                        "CREATE INDEX part_minute ON part (minute)",
                        "CREATE TABLE state (version INTEGER, journal BLOB, next INTEGER, leaves "
                        "INTEGER, chain BLOB)"
    };

struct vault {
    sqlite3 *db;
    sqlite3_stmt *put, *mark, *get;
    char path[PATH_MAX], journal[PATH_MAX], name[FRAME_NAME_MAX + 1];
    uint8_t journal_id[FRAME_JOURNAL_ID_LEN];
    uint64_t next, leaves;
    uint8_t chain[DIGEST_LEN]; /* before entry NEXT */
    struct scan *scan;         /* stands before it, too */
    struct daykey_store *keys;
};

/* ---- SQLite --------------------------------------------------------------------------------- */

/* What a database answers that is not as we made it is no failure of the disk: it is begun anew. */
static enum err_code code_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return RF_ENOMEM;
    case SQLITE_FULL:
        return RF_EDISKFULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return RF_EUNAVAIL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return RF_ENOTFOUND;
    default:
        return RF_EIO;
    }
}

static int failed(const struct vault *v, int code, const char *what, struct err *err)
{
    return err_set(err, code_of(code), "could not %s \"%.200s\": %.100s", what, v->path,
                   v->db != NULL ? sqlite3_errmsg(v->db) : sqlite3_errstr(code));
}

static int execute(const struct vault *v, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(v->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : failed(v, rc, "write", err);
}

static int prepare(const struct vault *v, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    int rc = sqlite3_prepare_v3(v->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    return rc == SQLITE_OK ? 0 : failed(v, rc, "read", err);
}

/* One step of a statement that returns no row. */
static int run(const struct vault *v, sqlite3_stmt *s, struct err *err)
{
    int rc = sqlite3_step(s);
    (void)sqlite3_reset(s); /* says the same again */
    return rc == SQLITE_DONE ? 0 : failed(v, rc, "write", err);
}

/* SQLite follows no link anywhere in a path when it is to follow none at its end. So links above
   the folder are resolved here; the file itself must not be one. */
static int path_of(const char *state_dir, char ret[PATH_MAX], struct err *err)
{
    char folder[PATH_MAX], real[PATH_MAX];
    if (snprintf(folder, sizeof(folder), "%s/vault", state_dir) >= PATH_MAX - 32)
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", state_dir);
    if (realpath(folder, real) == NULL)
        return err_sys(err, "could not find folder \"%.200s\"", folder);
    if (snprintf(ret, PATH_MAX, "%s/private.db", real) >= PATH_MAX - 8)
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", real);
    return 0;
}

/* No file is mapped but SQLite's index of what it wrote ahead; sorting needs no file. */
static int open_database(struct vault *v, int flags, int wait_ms, struct err *err)
{
    int rc = sqlite3_open_v2(v->path, &v->db,
                             flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                                 SQLITE_OPEN_PRIVATECACHE,
                             NULL);
    if (rc != SQLITE_OK)
        return failed(v, rc, "open", err);
    (void)sqlite3_busy_timeout(v->db, wait_ms);
    (void)sqlite3_extended_result_codes(v->db, 1);
    (void)sqlite3_limit(v->db, SQLITE_LIMIT_LENGTH, 2 * FRAME_ENTRY_MAX);
    return execute(
        v,
        "PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
        "PRAGMA synchronous=NORMAL; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;",
        err);
}

static void close_database(struct vault *v)
{
    (void)sqlite3_finalize(v->put);
    (void)sqlite3_finalize(v->mark);
    (void)sqlite3_finalize(v->get);
    (void)sqlite3_close(v->db);
    v->put = v->mark = v->get = NULL;
    v->db = NULL;
}

/* ---- which journal -------------------------------------------------------------------------- */

static int journal_of(struct vault *v, const char *state_dir, struct err *err)
{
    struct scan *scan = NULL;
    int rc = segment_folder(state_dir, v->journal, err);
    if (rc == 0)
        rc = scan_open(v->journal, UINT64_MAX, &scan, err);
    if (rc == 0) {
        const struct frame_header *h = &scan_state(scan)->header;
        memcpy(v->journal_id, h->journal_id, sizeof(v->journal_id));
        memcpy(v->name, h->name, sizeof(v->name));
    }
    scan_close(scan);
    return rc;
}

static int not_ours(const struct vault *v, struct err *err)
{
    return err_set(err, RF_ENOTFOUND, "\"%.200s\" is not of this journal", v->path);
}

/* -RF_ENOTFOUND: it is of another journal or version, damaged, or has no tables: to be begun anew.
   That it is busy is another matter. */
static int read_schema(struct vault *v, struct err *err)
{
    sqlite3_stmt *s = NULL;
    size_t i = 0;
    bool is_ours = true;
    int rc = prepare(v, "SELECT sql FROM sqlite_schema ORDER BY name", &s, err);
    int code = rc == 0 ? sqlite3_step(s) : SQLITE_DONE;
    for (; code == SQLITE_ROW && is_ours; i++) {
        const char *sql = (const char *)sqlite3_column_text(s, 0);
        is_ours = i < RF_COUNT(schema) && sql != NULL && strcmp(sql, schema[i]) == 0;
        code = sqlite3_step(s);
    }
    (void)sqlite3_finalize(s);
    if (rc < 0)
        return rc;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return failed(v, code, "read", err);
    return is_ours && i == RF_COUNT(schema) ? 0 : not_ours(v, err);
}

/* Is the value in COLUMN a blob of N bytes? Then it is in RET. */
static bool blob_of(sqlite3_stmt *s, int column, void *ret, size_t n)
{
    const void *bytes =
        sqlite3_column_type(s, column) == SQLITE_BLOB ? sqlite3_column_blob(s, column) : NULL;
    if (bytes == NULL || sqlite3_column_bytes(s, column) != (int)n)
        return false;
    memcpy(ret, bytes, n);
    return true;
}

static bool state_of(struct vault *v, sqlite3_stmt *s)
{
    uint8_t journal[FRAME_JOURNAL_ID_LEN];
    int64_t next = sqlite3_column_int64(s, 2), leaves = sqlite3_column_int64(s, 3);
    if (sqlite3_column_int64(s, 0) != VERSION || !blob_of(s, 1, journal, sizeof(journal)) ||
        memcmp(journal, v->journal_id, sizeof(journal)) != 0 || leaves < 0 || next < leaves ||
        !blob_of(s, 4, v->chain, sizeof(v->chain)))
        return false;
    v->next = (uint64_t)next;
    v->leaves = (uint64_t)leaves;
    return true;
}

static int read_state(struct vault *v, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = read_schema(v, err);
    if (rc == 0)
        rc = prepare(v, "SELECT version, journal, next, leaves, chain FROM state", &s, err);
    if (rc < 0)
        return rc;
    int code = sqlite3_step(s);
    bool is_ours = code == SQLITE_ROW && state_of(v, s);
    (void)sqlite3_finalize(s);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return failed(v, code, "read", err);
    return is_ours ? 0 : not_ours(v, err);
}

/* Go to the place in the journal up to which this is a copy. -RF_ENOTFOUND: the journal ends
   before, or has another past. */
static int find_place(struct vault *v, struct err *err)
{
    struct frame_entry entry;
    uint64_t offset;
    scan_close(v->scan);
    v->scan = NULL;
    int rc = scan_open(v->journal, v->next, &v->scan, err);
    while (rc == 0 && scan_state(v->scan)->index < v->next) {
        rc = scan_next(v->scan, &entry, &offset, err);
        if (rc == 0)
            return err_set(err, RF_ENOTFOUND, "\"%.200s\" is ahead of the journal", v->path);
        rc = rc == 1 ? 0 : rc;
    }
    if (rc == 0 && memcmp(scan_state(v->scan)->chain, v->chain, sizeof(v->chain)) != 0)
        rc = err_set(err, RF_ENOTFOUND, "\"%.200s\" is of another past of this journal", v->path);
    return rc;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int put_state(struct vault *v, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = prepare(v, "INSERT INTO state VALUES (?1, ?2, 0, 0, ?3)", &s, err);
    v->next = v->leaves = 0;
    frame_first_chain(v->journal_id, v->name, v->chain);
    if (rc == 0) {
        (void)sqlite3_bind_int(s, 1, VERSION);
        (void)sqlite3_bind_blob(s, 2, v->journal_id, sizeof(v->journal_id), SQLITE_STATIC);
        (void)sqlite3_bind_blob(s, 3, v->chain, sizeof(v->chain), SQLITE_STATIC);
        rc = run(v, s, err);
    }
    (void)sqlite3_finalize(s);
    return rc;
}

static int make_tables(struct vault *v, struct err *err)
{
    int rc =
        execute(v, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; BEGIN IMMEDIATE", err);
    for (size_t i = 0; rc == 0 && i < RF_COUNT(schema); i++)
        rc = execute(v, schema[i], err);
    if (rc == 0)
        rc = put_state(v, err);
    return rc == 0 ? execute(v, "COMMIT", err) : rc;
}

/* Sealed bytes are all that is in these files: what is thrown away needs no overwriting. */
static void remove_files(const struct vault *v)
{
    char path[PATH_MAX + 8];
    static const char *const endings[] = { "", "-wal", "-shm", "-journal" };
    for (size_t i = 0; i < RF_COUNT(endings); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", v->path, endings[i]);
        (void)unlink(path);
    }
}

static int open_as_it_is(struct vault *v, struct err *err)
{
    int rc = open_database(v, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, WRITER_WAIT_MS, err);
    if (rc == 0)
        rc = read_state(v, err);
    return rc == 0 ? find_place(v, err) : rc;
}

static int begin_anew(struct vault *v, struct err *err)
{
    close_database(v);
    remove_files(v);
    int rc = open_database(v, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, WRITER_WAIT_MS, err);
    if (rc == 0)
        rc = make_tables(v, err);
    return rc == 0 ? find_place(v, err) : rc;
}

static int open_writer(struct vault *v, struct err *err)
{
    int rc = open_as_it_is(v, err);
    if (rc == -RF_ENOTFOUND)
        rc = begin_anew(v, err);
    if (rc == 0)
        rc =
            prepare(v, "INSERT OR REPLACE INTO part VALUES (?1, ?2, ?3, ?4, ?5, ?6)", &v->put, err);
    return rc == 0
               ? prepare(v, "UPDATE state SET next = ?1, leaves = ?2, chain = ?3", &v->mark, err)
               : rc;
}

int vault_open(const char *state_dir, struct vault **ret, struct err *err)
{
    struct vault *v = mem_zalloc(1, sizeof(*v));
    if (v == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    mode_t before = umask(0077); /* SQLite's own files, too */
    int rc = path_of(state_dir, v->path, err);
    if (rc == 0)
        rc = journal_of(v, state_dir, err);
    if (rc == 0)
        rc = daykey_open(state_dir, &v->keys, err);
    if (rc == 0)
        rc = open_writer(v, err);
    (void)umask(before);
    if (rc < 0) {
        vault_close(v);
        return rc;
    }
    *ret = v;
    return 0;
}

/* ---- going on ------------------------------------------------------------------------------- */

static int put(struct vault *v, const struct frame_entry *e, struct err *err)
{
    sqlite3_stmt *s = v->put;
    (void)sqlite3_bind_int64(s, 1, (int64_t)v->leaves);
    (void)sqlite3_bind_int64(s, 2, (int64_t)e->index);
    (void)sqlite3_bind_int64(s, 3, (int64_t)e->minute);
    (void)sqlite3_bind_blob(s, 4, e->key_id, sizeof(e->key_id), SQLITE_STATIC);
    (void)sqlite3_bind_blob(s, 5, e->leaf, (int)e->leaf_len, SQLITE_STATIC);
    (void)sqlite3_bind_blob(s, 6, e->sealed, (int)e->sealed_len, SQLITE_STATIC);
    return run(v, s, err);
}

/* Up to a round of entries, within a transaction. An entry's key was there before the entry was: a
   day without one was erased. */
static int take_in(struct vault *v, uint64_t committed, struct err *err)
{
    struct frame_entry e;
    struct leaf leaf;
    uint64_t offset;
    int64_t day = -1;
    bool is_erased = false;
    int rc = 1;
    for (int i = 0; i < VAULT_ROUND && v->next < committed; i++) {
        rc = scan_next(v->scan, &e, &offset, err);
        if (rc != 1)
            break;
        if (leaf_read(e.leaf, e.leaf_len, &leaf) < 0)
            return err_set(err, RF_ETAMPER, "entry %" PRIu64 " of the journal is not canonical",
                           e.index);
        if ((int64_t)e.minute / MINUTES_A_DAY != day) {
            day = (int64_t)e.minute / MINUTES_A_DAY;
            is_erased = !daykey_is_there(v->keys, e.minute);
        }
        if (leaf.type != LEAF_NONE && !is_erased && (rc = put(v, &e, err)) < 0)
            return rc;
        v->leaves += leaf.type != LEAF_NONE;
        v->next++;
        memcpy(v->chain, e.chain, sizeof(v->chain));
    }
    return rc < 0 ? rc : 0;
}

static int advance(struct vault *v, uint64_t committed, struct err *err)
{
    uint64_t before = v->next;
    if (before >= committed)
        return 0;
    int rc = execute(v, "BEGIN IMMEDIATE", err);
    if (rc == 0)
        rc = take_in(v, committed, err);
    if (rc == 0 && v->next == before) /* else whoever asks again at once would ask for ever */
        rc =
            err_set(err, RF_EUNAVAIL,
                    "the journal ends at entry %" PRIu64 ", and %" PRIu64 " are said to be durable",
                    before, committed);
    if (rc < 0)
        return rc; /* whoever closes the database undoes the transaction */
    (void)sqlite3_bind_int64(v->mark, 1, (int64_t)v->next);
    (void)sqlite3_bind_int64(v->mark, 2, (int64_t)v->leaves);
    (void)sqlite3_bind_blob(v->mark, 3, v->chain, sizeof(v->chain), SQLITE_STATIC);
    rc = run(v, v->mark, err);
    return rc == 0 ? execute(v, "COMMIT", err) : rc;
}

int vault_advance(struct vault *v, uint64_t committed, struct err *err)
{
    int rc = advance(v, committed, err);
    if (rc == -RF_ENOTFOUND) { /* damaged pages: the next one begins with none */
        close_database(v);
        remove_files(v);
    }
    return rc;
}

uint64_t vault_next(const struct vault *v)
{
    return v->next;
}

void vault_close(struct vault *v)
{
    if (v == NULL)
        return;
    close_database(v);
    scan_close(v->scan);
    daykey_close(v->keys);
    mem_free(v);
}

/* ---- readers -------------------------------------------------------------------------------- */

int vault_look(const char *state_dir, struct vault **ret, struct err *err)
{
    struct stat st;
    struct vault *v = mem_zalloc(1, sizeof(*v));
    if (v == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = path_of(state_dir, v->path, err);
    if (rc == 0 && lstat(v->path, &st) < 0)
        rc = err_sys(err, "could not look at \"%.200s\"", v->path);
    if (rc == -RF_ESYS && errno == ENOENT)
        rc = err_set(err, RF_ENOTFOUND, "there is no private store");
    if (rc == 0)
        rc = journal_of(v, state_dir, err);
    if (rc == 0)
        rc = open_database(v, SQLITE_OPEN_READWRITE, READER_WAIT_MS, err);
    if (rc == 0)
        rc = read_state(v, err);
    if (rc == 0)
        rc = find_place(v, err);
    if (rc == 0)
        rc = prepare(v, "SELECT entry, minute, key, open, sealed FROM part WHERE leaf = ?1",
                     &v->get, err);
    if (rc < 0) {
        vault_close(v);
        return rc;
    }
    *ret = v;
    return 0;
}

/* A value that ours may be: 1..MAX bytes. */
static bool part_of(sqlite3_stmt *s, int column, size_t max, const uint8_t **ret, size_t *ret_len)
{
    if (sqlite3_column_type(s, column) != SQLITE_BLOB)
        return false;
    *ret = sqlite3_column_blob(s, column); /* before its length, as SQLite wants it */
    *ret_len = (size_t)sqlite3_column_bytes(s, column);
    return *ret != NULL && *ret_len <= max;
}

int vault_read(struct vault *v, uint64_t leaf, struct frame_entry *ret, struct err *err)
{
    struct frame_entry e = { 0 };
    sqlite3_stmt *s = v->get;
    (void)sqlite3_reset(s);
    if (leaf > INT64_MAX)
        return 0;
    (void)sqlite3_bind_int64(s, 1, (int64_t)leaf);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_DONE)
        return 0;
    if (rc != SQLITE_ROW)
        return failed(v, rc, "read", err);
    int64_t entry = sqlite3_column_int64(s, 0), minute = sqlite3_column_int64(s, 1);
    if (entry < (int64_t)leaf || minute < 0 || minute > UINT32_MAX ||
        !blob_of(s, 2, e.key_id, sizeof(e.key_id)) ||
        !part_of(s, 3, LEAF_MAX, &e.leaf, &e.leaf_len) ||
        !part_of(s, 4, FRAME_LENGTH_MAX, &e.sealed, &e.sealed_len))
        return err_set(err, RF_ENOTFOUND, "row %" PRIu64 " of \"%.200s\" is damaged", leaf,
                       v->path);
    e.index = (uint64_t)entry;
    e.minute = (uint32_t)minute;
    *ret = e;
    return 1;
}

const char *vault_name(const struct vault *v)
{
    return v->name;
}

/* ---- erasing -------------------------------------------------------------------------------- */

/* What was written ahead goes into the pages and its file becomes empty; -RF_EUNAVAIL while
   somebody reads an older state. */
static int empty_wal(struct vault *v, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = prepare(v, "PRAGMA wal_checkpoint(TRUNCATE)", &s, err);
    if (rc < 0)
        return rc;
    int code = sqlite3_step(s);
    bool is_busy = (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED ||
                   (code == SQLITE_ROW && sqlite3_column_int(s, 0) != 0);
    if (is_busy)
        rc = err_set(err, RF_EUNAVAIL,
                     "\"%.200s\" is being read, and what was deleted is not overwritten yet",
                     v->path);
    else if (code != SQLITE_ROW)
        rc = failed(v, code, "overwrite what was deleted in", err);
    (void)sqlite3_finalize(s);
    return rc;
}

int vault_erase(struct vault *v, uint32_t from, uint32_t until, uint64_t *ret_rows, struct err *err)
{
    sqlite3_stmt *s = NULL;
    (void)sqlite3_reset(v->get); /* what was read last is given up, or we were in our own way */
    int rc = execute(v, "PRAGMA synchronous=FULL; BEGIN IMMEDIATE", err);
    if (rc == 0)
        rc = prepare(v, "DELETE FROM part WHERE minute >= ?1 AND minute < ?2", &s, err);
    if (rc == 0) {
        (void)sqlite3_bind_int64(s, 1, from);
        (void)sqlite3_bind_int64(s, 2, until);
        rc = run(v, s, err);
    }
    (void)sqlite3_finalize(s);
    if (rc == 0) {
        *ret_rows = (uint64_t)sqlite3_changes64(v->db);
        rc = execute(v, "COMMIT", err);
    }
    if (rc == 0)
        rc = execute(v, "PRAGMA incremental_vacuum", err);
    return rc == 0 ? empty_wal(v, err) : rc;
}
