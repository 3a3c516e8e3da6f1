#include "ledger/reopen.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ledger/opening.h"
#include "ledger/scan.h"
#include "ledger/segment.h"
#include "ledger/vault.h"

/* The private store has most of them; what it lacks (it may be a moment behind, or an older
 * gateway's, or a day's that was erased) the journal has, for the price of reading it from its
 * beginning. */

struct reopening {
    reopen_fn *on_leaf;
    void *context;
    struct daykey_store *keys;
    struct buf plain;
    struct err *err;
};

/* OPENED: what opening_private() said of it. */
static int tell(struct reopening *r, uint64_t number, const struct frame_entry *entry, int opened)
{
    const uint8_t *private_part = opened == 1 ? buf_at(&r->plain) + SEAL_SALT_LEN : NULL;
    size_t n = opened == 1 ? buf_len(&r->plain) - SEAL_SALT_LEN : 0;
    return r->on_leaf(r->context, number, entry, private_part, n, r->err);
}

static bool is_wanted(const struct reopen_wanted *w, const struct frame_entry *entry)
{
    return w->len == 0 || (entry->leaf_len == w->len && memcmp(entry->leaf, w->bytes, w->len) == 0);
}

/* 1: E is what W wants, and its private part is in the buffer. */
static int judge_row(struct reopening *r, const char *name, const struct reopen_wanted *w,
                     const struct frame_entry *e)
{
    struct leaf leaf;
    struct err ignored;
    int rc = is_wanted(w, e) ? opening_leaf(e, &leaf, &ignored) : -RF_ETAMPER;
    return rc < 0 ? rc : opening_private(r->keys, name, e, &leaf, &r->plain, &ignored);
}

/* How many of WANTED were there before the first that was not. What cannot be read, or does not
   open, is not there: the journal decides. */
static int from_vault(struct reopening *r, const char *state_dir,
                      const struct reopen_wanted *wanted, size_t count, size_t *ret_done)
{
    struct vault *v = NULL;
    struct frame_entry entry;
    struct err ignored;
    int rc = 0;
    *ret_done = 0;
    if (vault_look(state_dir, &v, &ignored) < 0)
        return 0;
    while (rc == 0 && *ret_done < count &&
           vault_read(v, wanted[*ret_done].leaf, &entry, &ignored) == 1 &&
           judge_row(r, vault_name(v), &wanted[*ret_done], &entry) == 1) {
        rc = tell(r, wanted[*ret_done].leaf, &entry, 1);
        *ret_done += rc == 0;
    }
    vault_close(v);
    return rc;
}

/* Say of which entry ERR tells. */
static int at_entry(struct err *err, int rc, const struct frame_entry *entry)
{
    struct err why = *err;
    if (rc < 0) {
        (void)err_set(err, (enum err_code) - rc, "entry %" PRIu64 " of the journal: %.300s",
                      entry->index, why.line);
        err_hint(err, "%s", why.hint);
    }
    return rc;
}

/* ENTRY of the journal is the leaf of the number that W wants. */
static int open_entry(struct reopening *r, const char *name, const struct reopen_wanted *w,
                      const struct frame_entry *entry, const struct leaf *leaf)
{
    if (!is_wanted(w, entry))
        return err_set(r->err, RF_ETAMPER,
                       "leaf %" PRIu64 " is another one in the journal, entry %" PRIu64
                       ", than in the public log",
                       w->leaf, entry->index);
    int rc = opening_private(r->keys, name, entry, leaf, &r->plain, r->err);
    return rc < 0 ? at_entry(r->err, rc, entry) : tell(r, w->leaf, entry, rc);
}

static int from_journal(struct reopening *r, const char *state_dir,
                        const struct reopen_wanted *wanted, size_t count)
{
    struct scan *scan = NULL;
    struct frame_entry entry;
    struct leaf leaf;
    char folder[PATH_MAX];
    uint64_t offset, leaves = 0;
    size_t next = 0;
    int rc = segment_folder(state_dir, folder, r->err);
    if (rc == 0)
        rc = scan_open(folder, 0, &scan, r->err);
    while (rc >= 0 && next < count && (rc = scan_next(scan, &entry, &offset, r->err)) == 1) {
        rc = at_entry(r->err, opening_leaf(&entry, &leaf, r->err), &entry);
        if (rc < 0 || leaf.type == LEAF_NONE)
            continue;
        if (leaves++ == wanted[next].leaf)
            rc = open_entry(r, scan_state(scan)->header.name, &wanted[next++], &entry, &leaf);
    }
    scan_close(scan);
    return rc < 0 ? rc : 0;
}

int reopen_leaves(const char *state_dir, const struct reopen_wanted *wanted, size_t count,
                  reopen_fn *on_leaf, void *context, struct err *err)
{
    struct reopening r = { .on_leaf = on_leaf, .context = context, .err = err };
    size_t done = 0;
    buf_init(&r.plain, FRAME_LENGTH_MAX);
    int rc = daykey_open(state_dir, &r.keys, err);
    if (rc == 0)
        rc = from_vault(&r, state_dir, wanted, count, &done);
    if (rc == 0 && done < count)
        rc = from_journal(&r, state_dir, wanted + done, count - done);
    daykey_close(r.keys);
    buf_wipe_done(&r.plain);
    return rc;
}

int reopen_origin(const char *state_dir, char ret[KEY_NAME_MAX + 1], struct err *err)
{
    struct frame_entry entry;
    struct logleaf leaf;
    struct scan *scan = NULL;
    char folder[PATH_MAX];
    uint64_t offset;
    ret[0] = '\0';
    int rc = segment_folder(state_dir, folder, err);
    if (rc == 0)
        rc = scan_open(folder, 0, &scan, err);
    while (rc >= 0 && ret[0] == '\0' && (rc = scan_next(scan, &entry, &offset, err)) == 1)
        if (logleaf_read(entry.leaf, entry.leaf_len, &leaf) == 0 && leaf.type == LEAF_GENESIS)
            (void)snprintf(ret, KEY_NAME_MAX + 1, "%.*s", (int)leaf.value[LEAF_KEY_ORIGIN].len,
                           leaf.value[LEAF_KEY_ORIGIN].text);
    scan_close(scan);
    return rc < 0 ? rc : 0;
}
