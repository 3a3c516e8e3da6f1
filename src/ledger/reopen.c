#include "ledger/reopen.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ledger/opening.h"
#include "ledger/scan.h"
#include "ledger/segment.h"

struct reopening {
    struct scan *scan;
    struct daykey_store *keys;
    struct buf plain;
    uint64_t leaves; /* that went by */
};

static int open_one(struct reopening *r, const struct frame_entry *entry, const struct leaf *leaf,
                    reopen_fn *on_leaf, void *context, struct err *err)
{
    int rc =
        opening_private(r->keys, scan_state(r->scan)->header.name, entry, leaf, &r->plain, err);
    if (rc < 0)
        return rc;
    const uint8_t *private_part = rc == 1 ? buf_at(&r->plain) + SEAL_SALT_LEN : NULL;
    size_t n = rc == 1 ? buf_len(&r->plain) - SEAL_SALT_LEN : 0;
    return on_leaf(context, r->leaves, entry, private_part, n, err);
}

static int from_journal(struct reopening *r, const uint64_t *wanted, size_t count,
                        reopen_fn *on_leaf, void *context, struct err *err)
{
    struct frame_entry entry;
    struct leaf leaf;
    uint64_t offset;
    size_t next = 0;
    int rc = 1;
    while (rc >= 0 && next < count && (rc = scan_next(r->scan, &entry, &offset, err)) == 1) {
        rc = opening_leaf(&entry, &leaf, err);
        if (rc < 0 || leaf.type == LEAF_NONE)
            continue;
        if (r->leaves == wanted[next]) {
            rc = open_one(r, &entry, &leaf, on_leaf, context, err);
            next++;
        }
        r->leaves++;
    }
    return rc < 0 ? rc : 0;
}

int reopen_leaves(const char *state_dir, const uint64_t *wanted, size_t count, reopen_fn *on_leaf,
                  void *context, struct err *err)
{
    struct reopening r = { .scan = NULL };
    char folder[PATH_MAX];
    buf_init(&r.plain, FRAME_LENGTH_MAX);
    int rc = segment_folder(state_dir, folder, err);
    if (rc == 0)
        rc = daykey_open(state_dir, &r.keys, err);
    if (rc == 0)
        rc = scan_open(folder, 0, &r.scan, err);
    if (rc == 0)
        rc = from_journal(&r, wanted, count, on_leaf, context, err);
    scan_close(r.scan);
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
