#include "ledger/erasure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "ledger/daykey.h"
#include "ledger/opening.h"
#include "ledger/scan.h"
#include "ledger/segment.h"
#include "ledger/tag.h"
#include "ledger/vault.h"

/* The key goes first: from then on the writer of the private store takes nothing of that day in,
 * and what is left in the store is noise to everybody. A failure behind it is made good by doing
 * the same again. Nothing waits for the gateway: its ledger has one day's key in memory, that of
 * the entry it wrote last, so that a key of today says that an older one is not there any more. The
 * journal of a log that has ended gets no other day: there it is enough that nobody writes. */

enum { MINUTES_A_DAY = 24 * 60, HOLDS_MAX = 1024 * 1024, DAY_LEN = 10 };

struct held { /* leaves of that day whose purposes only its key can open */
    uint64_t *leaf;
    size_t count, room;
};

struct run {
    const char *state_dir, *day;
    uint32_t from, until; /* minutes */
    uint32_t last;        /* of the journal's last entry */
    bool has_ended;       /* the log of this journal */
    int lock;             /* the journal's; -1: not held */
    uint64_t leaves;
    struct held held;
    struct daykey_store *keys;
    struct erasure result;
    struct err *err;
};

static bool day_read(const char *text, uint32_t *ret_from)
{
    char time[25], again[18];
    int64_t ms;
    if (strlen(text) != DAY_LEN)
        return false;
    (void)snprintf(time, sizeof(time), "%sT00:00:00.000Z", text);
    if (!tag_time_read(time, strlen(time), &ms))
        return false;
    *ret_from = (uint32_t)(ms / FRAME_MINUTE_MS);
    leaf_minute_format(*ret_from, again);
    return memcmp(again, text, DAY_LEN) == 0;
}

/* ---- what keeps a day ----------------------------------------------------------------------- */

/* One line of STATE/holds: `DAY REASON`. What is none keeps every day: a typing mistake must not
   let a day go that somebody wanted kept. */
static int judge_line(const struct run *r, const char *line, size_t n, unsigned number)
{
    char day[DAY_LEN + 1];
    uint32_t from;
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' '))
        n--;
    if (n == 0 || line[0] == '#')
        return 0;
    (void)snprintf(day, sizeof(day), "%.*s", (int)(n < DAY_LEN ? n : DAY_LEN), line);
    if (!day_read(day, &from) || n < DAY_LEN + 2 || line[DAY_LEN] != ' ')
        return err_set(
            r->err, RF_ECONFIG,
            "\"%.200s/holds\" line %u: expected a day and a reason, as \"2026-11-22 case "
            "417\"",
            r->state_dir, number);
    return from != r->from
               ? 0
               : err_set(r->err, RF_EDENIED, "%s is kept: %.*s", r->day,
                         (int)(n - DAY_LEN - 1 < 200 ? n - DAY_LEN - 1 : 200), line + DAY_LEN + 1);
}

static int judge_holds(const struct run *r)
{
    char path[PATH_MAX], *text = NULL;
    struct stat st;
    size_t len = 0;
    unsigned number = 0;
    if (snprintf(path, sizeof(path), "%s/holds", r->state_dir) >= (int)sizeof(path))
        return err_set(r->err, RF_ETOOBIG, "path \"%.100s…\" is too long", r->state_dir);
    if (lstat(path, &st) < 0 && errno == ENOENT)
        return 0;
    int rc = fd_read_file(path, HOLDS_MAX, &text, &len, r->err);
    for (size_t at = 0, n; rc == 0 && at < len; at += n + 1) {
        const char *end = memchr(text + at, '\n', len - at);
        n = end != NULL ? (size_t)(end - text) - at : len - at;
        rc = judge_line(r, text + at, n, ++number);
    }
    mem_free(text);
    return rc;
}

static int held_add(struct run *r)
{
    struct held *h = &r->held;
    if (h->count == h->room) {
        size_t room = h->room > 0 ? 2 * h->room : 64;
        uint64_t *wider = mem_realloc(h->leaf, room * sizeof(*wider));
        if (wider == NULL)
            return err_set(r->err, RF_ENOMEM, "out of memory");
        h->leaf = wider;
        h->room = room;
    }
    h->leaf[h->count++] = r->leaves;
    return 0;
}

static void held_remove(struct run *r, const struct logleaf *opened)
{
    const char *origin;
    uint64_t index;
    size_t len;
    if (!logleaf_ref(opened, LEAF_KEY_REF, &index, &origin, &len))
        return;
    for (size_t i = 0; i < r->held.count; i++)
        if (r->held.leaf[i] == index) {
            r->held.leaf[i] = r->held.leaf[--r->held.count];
            return;
        }
}

/* Of records nothing is needed: every sum of those is made of open parts. */
static int judge_entry(struct run *r, const struct frame_entry *entry)
{
    struct leaf open;
    struct logleaf leaf;
    struct err why;
    bool is_of_day = entry->minute >= r->from && entry->minute < r->until;
    int rc = opening_leaf(entry, &open, &why);
    if (rc < 0)
        return err_set(r->err, RF_ETAMPER, "entry %" PRIu64 " of the journal: %.200s", entry->index,
                       why.line);
    r->last = entry->minute;
    r->result.entries += is_of_day;
    if (open.type == LEAF_NONE)
        return 0;
    rc = logleaf_read(entry->leaf, entry->leaf_len, &leaf);
    RF_ASSERT(rc == 0); /* opening_leaf() read it, too */
    r->has_ended = r->has_ended || leaf.type == LEAF_SUCCESSOR;
    if (is_of_day && logleaf_has(&leaf, LEAF_KEY_HELD))
        rc = held_add(r);
    else if (leaf.type == LEAF_OPENED)
        held_remove(r, &leaf);
    r->leaves++;
    return rc;
}

static int judge_journal(struct run *r)
{
    struct scan *scan = NULL;
    struct frame_entry entry;
    char folder[PATH_MAX];
    uint64_t offset;
    int rc = segment_folder(r->state_dir, folder, r->err);
    if (rc == 0)
        rc = scan_open(folder, 0, &scan, r->err);
    while (rc >= 0 && (rc = scan_next(scan, &entry, &offset, r->err)) == 1)
        rc = judge_entry(r, &entry);
    scan_close(scan);
    if (rc < 0)
        return rc;
    if (r->result.entries == 0)
        return err_set(r->err, RF_ENOTFOUND, "the journal has nothing of %s", r->day);
    if (r->held.count > 0)
        return err_set(r->err, RF_EDENIED,
                       "%s is needed: the purpose of leaf %" PRIu64
                       " is held, and only that day's key can open it",
                       r->day, r->held.leaf[0]);
    return 0;
}

/* ---- the gateway ---------------------------------------------------------------------------- */

/* Nobody writes in the journal, and nobody begins to until this is over. */
static int hold_journal(struct run *r)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.*s/journal/lock", PATH_MAX - 32, r->state_dir);
    r->lock = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (r->lock < 0)
        return err_sys(r->err, "could not open \"%.200s\"", path);
    if (flock(r->lock, LOCK_SH | LOCK_NB) == 0)
        return 0;
    return errno != EWOULDBLOCK ? err_sys(r->err, "could not lock \"%.200s\"", path)
                                : err_set(r->err, RF_EDENIED,
                                          "%s is the last day of a log that has ended, and its "
                                          "journal is in use: stop whoever uses it",
                                          r->day);
}

/* Sums and seals of the day are made, and the ledger has another key in memory: both are so once it
   has written an entry of a later day, or has ended its log and itself. */
static int judge_time(struct run *r, int64_t now_ms)
{
    if (now_ms / FRAME_MINUTE_MS < (int64_t)r->until)
        return err_set(r->err, RF_EDENIED, "%s (UTC) is not over", r->day);
    if (r->last < r->until && r->has_ended)
        return hold_journal(r);
    if (r->last < r->until) {
        (void)err_set(r->err, RF_EDENIED, "the ledger has written nothing since %s", r->day);
        err_hint(r->err, "it sums that day up, and forgets its key, with the next entry");
        return -RF_EDENIED;
    }
    return 0;
}

/* ---- the doing ------------------------------------------------------------------------------ */

static int erase_rows(struct run *r)
{
    struct vault *v = NULL;
    char path[PATH_MAX];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%.*s/vault/private.db", PATH_MAX - 32, r->state_dir);
    if (lstat(path, &st) < 0 && errno == ENOENT)
        return 0;
    int rc = vault_look(r->state_dir, &v, r->err);
    if (rc == 0)
        rc = vault_erase(v, r->from, r->until, &r->result.rows, r->err);
    vault_close(v);
    if (rc == -RF_ENOTFOUND) { /* a code that says something else about a day */
        struct err why = *r->err;
        rc = err_set(r->err, RF_EUNAVAIL, "the private store cannot be cleared: %.300s", why.line);
        err_hint(r->err,
                 "the day's key is destroyed; the gateway makes the store anew when it "
                 "starts: start it, or remove the folder \"vault\", and run the same again");
    } else if (rc < 0) {
        err_hint(r->err,
                 "the day's key is destroyed; run the same again to clear the private store");
    }
    return rc;
}

static int run(struct run *r, int64_t now_ms)
{
    int rc = daykey_open(r->state_dir, &r->keys, r->err);
    if (rc == 0)
        rc = judge_holds(r);
    if (rc == 0)
        rc = judge_journal(r);
    if (rc == 0)
        rc = judge_time(r, now_ms);
    if (rc == 0)
        rc = daykey_destroy(r->keys, r->from, r->err);
    r->result.had_key = rc == 1;
    return rc < 0 ? rc : erase_rows(r);
}

int erasure_run(const char *state_dir, const char *day, int64_t now_ms, struct erasure *ret,
                struct err *err)
{
    struct run r = { .state_dir = state_dir, .day = day, .lock = -1, .err = err };
    if (!day_read(day, &r.from))
        return err_set(err, RF_EUSAGE, "\"%.40s\" is no day as 2026-11-22", day);
    r.until = r.from + MINUTES_A_DAY;
    int rc = run(&r, now_ms);
    fd_close(&r.lock);
    daykey_close(r.keys);
    mem_free(r.held.leaf);
    if (rc == 0)
        *ret = r.result;
    return rc;
}
