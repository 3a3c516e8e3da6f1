/* Where a record went: what the registrar keeps, so that leaves can refer to each other. */
#include <inttypes.h>
#include <stdio.h>

#include "ledger/clerk_inside.h"
#include "ledger/opening.h"
#include "ledger/scan.h"

static void ref_write(uint64_t index, const char *origin, char ret[RECORD_REF_SIZE])
{
    (void)snprintf(ret, RECORD_REF_SIZE, "%" PRIu64 " %s", index, origin);
}

void clerk_ref_last(const struct clerk *c, const struct journal *journal, enum record_kind kind,
                    char ret[RECORD_REF_SIZE])
{
    if (c != NULL && record_is_leaf(kind))
        ref_write(c->leaves - 1, c->origin, ret);
    else
        ref_write(journal_next_index(journal) - 1, "journal", ret);
}

/* Leaves are not counted in entries: those from ENTRY on are, and the clerk knows how many there
   are in all. Reads up to a segment, and only for an answer that was lost. */
int clerk_ref_of(const struct clerk *c, const struct journal *journal, uint64_t entry,
                 char ret[RECORD_REF_SIZE], struct err *err)
{
    struct scan *scan = NULL;
    struct frame_entry at;
    struct leaf open;
    uint64_t offset, behind = 0;
    bool is_leaf = false;
    ref_write(entry, "journal", ret);
    if (c == NULL)
        return 0;
    int rc = scan_open(journal_folder(journal), entry, &scan, err);
    while (rc >= 0 && (rc = scan_next(scan, &at, &offset, err)) == 1) {
        if (at.index < entry)
            continue;
        rc = opening_leaf(&at, &open, err);
        if (rc < 0)
            break;
        behind += open.type != LEAF_NONE;
        if (at.index == entry)
            is_leaf = open.type != LEAF_NONE;
    }
    scan_close(scan);
    if (rc == 0 && is_leaf)
        ref_write(c->leaves - behind, c->origin, ret);
    return rc;
}
