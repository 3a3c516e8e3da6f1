#include "ledger/vault.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "ledger/daykey.h"
#include "ledger/leaf.h"
#include "ledger/scan.h"
#include "ledger/segment.h"

/* Two tables. `state` has one row: which journal this is a copy of, which entry and which leaf come
 * next. `part` has a row a leaf:
 *
 *     leaf, entry   numbers in the log and in the journal
 *     minute, key   of the entry: whose key opens it
 *     open, sealed  the entry's two parts as they stand in the journal
 *
 * A round of entries and the row of `state` are one transaction, so that after whatever crash the
 * two agree. */

enum { VERSION = 1, BUSY_MS = 5000, MINUTES_A_DAY = 24 * 60 };

struct vault {
    sqlite3 *db;
    sqlite3_stmt *put, *mark, *get;
    char path[PATH_MAX], journal[PATH_MAX], name[FRAME_NAME_MAX + 1];
    uint8_t journal_id[FRAME_JOURNAL_ID_LEN];
    uint64_t next, leaves;
    uint64_t end; /* of the journal, when a writer opened this */
    struct scan *scan;
    struct daykey_store *keys;
};

/* ---- SQLite --------------------------------------------------------------------------------- */

static int failed(const struct vault *v, int code, const char *what, struct err *err)
{
    int primary = code & 0xff;
    enum err_code ours = primary == SQLITE_NOMEM                              ? RF_ENOMEM
                         : primary == SQLITE_FULL                             ? RF_EDISKFULL
                         : primary == SQLITE_BUSY || primary == SQLITE_LOCKED ? RF_EUNAVAIL
                         : primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB
                             ? RF_ENOTFOUND /* to be begun anew */
                             : RF_EIO;
    return err_set(err, ours, "could not %s \"%.200s\": %.100s", what, v->path,
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

static int path_of(const char *state_dir, char ret[PATH_MAX], struct err *err)
{
    if (snprintf(ret, PATH_MAX, "%s/vault/private.db", state_dir) >= PATH_MAX - 8)
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", state_dir);
    return 0;
}

/* No file is mapped but SQLite's index of what it wrote ahead; sorting needs no file. */
static int open_database(struct vault *v, int flags, struct err *err)
{
    int rc = sqlite3_open_v2(v->path, &v->db,
                             flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                                 SQLITE_OPEN_PRIVATECACHE,
                             NULL);
    if (rc != SQLITE_OK)
        return failed(v, rc, "open", err);
    (void)sqlite3_busy_timeout(v->db, BUSY_MS);
    (void)sqlite3_extended_result_codes(v->db, 1);
    return execute(v,
                   "PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
                   "PRAGMA synchronous=NORMAL; PRAGMA trusted_schema=OFF;",
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

enum reach { TO_HEADER, TO_END };

static int journal_of(struct vault *v, const char *state_dir, enum reach reach, struct err *err)
{
    struct scan *scan = NULL;
    struct frame_entry entry;
    uint64_t offset;
    int rc = segment_folder(state_dir, v->journal, err);
    if (rc == 0)
        rc = scan_open(v->journal, UINT64_MAX, &scan, err);
    if (rc == 0)
        rc = scan_next(scan, &entry, &offset, err); /* reads the header at the least */
    while (rc == 1 && reach == TO_END)
        rc = scan_next(scan, &entry, &offset, err);
    if (rc >= 0) {
        const struct frame_header *h = &scan_state(scan)->header;
        v->end = scan_state(scan)->index;
        memcpy(v->journal_id, h->journal_id, sizeof(v->journal_id));
        memcpy(v->name, h->name, sizeof(v->name));
    }
    scan_close(scan);
    return rc < 0 ? rc : 0;
}

/* -RF_ENOTFOUND: it is of another journal or version, damaged, or has no tables: to be begun anew.
   That it is busy is another matter. */
static int read_state(struct vault *v, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int code =
        sqlite3_prepare_v2(v->db, "SELECT version, journal, next, leaves FROM state", -1, &s, NULL);
    bool is_ours = false;
    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW && sqlite3_column_int(s, 0) == VERSION &&
        sqlite3_column_bytes(s, 1) == (int)sizeof(v->journal_id) &&
        memcmp(sqlite3_column_blob(s, 1), v->journal_id, sizeof(v->journal_id)) == 0) {
        v->next = (uint64_t)sqlite3_column_int64(s, 2);
        v->leaves = (uint64_t)sqlite3_column_int64(s, 3);
        is_ours = true;
    }
    (void)sqlite3_finalize(s);
    if (code != SQLITE_ROW && code != SQLITE_DONE &&
        code != SQLITE_ERROR) /* ERROR: no such table */
        return failed(v, code, "read", err);
    return is_ours ? 0 : err_set(err, RF_ENOTFOUND, "\"%.200s\" is not of this journal", v->path);
}

/* ---- opening -------------------------------------------------------------------------------- */

static int make_tables(struct vault *v, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = execute(v,
                     "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; BEGIN IMMEDIATE;"
                     "CREATE TABLE state (version INTEGER, journal BLOB, next INTEGER, leaves "
                     "INTEGER);"
                     "CREATE TABLE part (leaf INTEGER PRIMARY KEY, entry INTEGER NOT NULL,"
                     " minute INTEGER NOT NULL, key BLOB NOT NULL, open BLOB NOT NULL,"
                     " sealed BLOB NOT NULL);"
                     "CREATE INDEX part_minute ON part (minute);",
                     err);
    if (rc == 0)
        rc = prepare(v, "INSERT INTO state VALUES (1, ?1, 0, 0)", &s, err);
    if (rc == 0) {
        (void)sqlite3_bind_blob(s, 1, v->journal_id, sizeof(v->journal_id), SQLITE_STATIC);
        rc = run(v, s, err);
    }
    (void)sqlite3_finalize(s);
    v->next = v->leaves = 0;
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

static int open_writer(struct vault *v, struct err *err)
{
    int rc = open_database(v, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (rc == 0)
        rc = read_state(v, err);
    if (rc == 0 && v->next > v->end)
        rc = -RF_ENOTFOUND; /* the journal was rolled back */
    if (rc == -RF_ENOTFOUND) {
        close_database(v);
        remove_files(v);
        rc = open_database(v, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
        if (rc == 0)
            rc = make_tables(v, err);
    }
    if (rc == 0)
        rc =
            prepare(v, "INSERT OR REPLACE INTO part VALUES (?1, ?2, ?3, ?4, ?5, ?6)", &v->put, err);
    return rc == 0 ? prepare(v, "UPDATE state SET next = ?1, leaves = ?2", &v->mark, err) : rc;
}

int vault_open(const char *state_dir, struct vault **ret, struct err *err)
{
    struct vault *v = mem_zalloc(1, sizeof(*v));
    if (v == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    mode_t before = umask(0077); /* SQLite's own files, too */
    int rc = path_of(state_dir, v->path, err);
    if (rc == 0)
        rc = journal_of(v, state_dir, TO_END, err);
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
        while ((rc = scan_next(v->scan, &e, &offset, err)) == 1 && e.index < v->next)
            continue;
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
    }
    return rc < 0 ? rc : 0;
}

static int advance(struct vault *v, uint64_t committed, struct err *err)
{
    int rc = v->scan == NULL ? scan_open(v->journal, v->next, &v->scan, err) : 0;
    if (rc < 0 || v->next >= committed)
        return rc;
    rc = execute(v, "BEGIN IMMEDIATE", err);
    if (rc == 0)
        rc = take_in(v, committed, err);
    if (rc < 0)
        return rc; /* whoever closes the database undoes the transaction */
    (void)sqlite3_bind_int64(v->mark, 1, (int64_t)v->next);
    (void)sqlite3_bind_int64(v->mark, 2, (int64_t)v->leaves);
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
    if (rc == 0 && stat(v->path, &st) < 0)
        rc = errno == ENOENT ? err_set(err, RF_ENOTFOUND, "there is no private store")
                             : err_sys(err, "could not look at \"%.200s\"", v->path);
    if (rc == 0)
        rc = journal_of(v, state_dir, TO_HEADER, err);
    if (rc == 0)
        rc = open_database(v, SQLITE_OPEN_READWRITE, err);
    if (rc == 0)
        rc = read_state(v, err);
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

int vault_read(struct vault *v, uint64_t leaf, struct frame_entry *ret, struct err *err)
{
    (void)sqlite3_reset(v->get);
    (void)sqlite3_bind_int64(v->get, 1, (int64_t)leaf);
    int rc = sqlite3_step(v->get);
    if (rc == SQLITE_DONE)
        return 0;
    if (rc != SQLITE_ROW)
        return failed(v, rc, "read", err);
    if (sqlite3_column_bytes(v->get, 2) != FRAME_KEY_ID_LEN)
        return err_set(err, RF_ENOTFOUND, "\"%.200s\" is damaged", v->path);
    *ret = (struct frame_entry){ .index = (uint64_t)sqlite3_column_int64(v->get, 0),
                                 .minute = (uint32_t)sqlite3_column_int64(v->get, 1),
                                 .leaf = sqlite3_column_blob(v->get, 3),
                                 .leaf_len = (size_t)sqlite3_column_bytes(v->get, 3),
                                 .sealed = sqlite3_column_blob(v->get, 4),
                                 .sealed_len = (size_t)sqlite3_column_bytes(v->get, 4) };
    memcpy(ret->key_id, sqlite3_column_blob(v->get, 2), FRAME_KEY_ID_LEN);
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
    int step = sqlite3_step(s);
    bool is_busy = step != SQLITE_ROW || sqlite3_column_int(s, 0) != 0;
    (void)sqlite3_finalize(s);
    return !is_busy
               ? 0
               : err_set(err, RF_EUNAVAIL,
                         "\"%.200s\" is being read, and what was deleted is not overwritten yet",
                         v->path);
}

int vault_erase(struct vault *v, uint32_t from, uint32_t until, uint64_t *ret_rows, struct err *err)
{
    sqlite3_stmt *s = NULL;
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
