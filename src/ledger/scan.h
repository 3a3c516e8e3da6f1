/* scan.h - reading the journal, entry by entry, with every check of docs/formats/journal.md that
 * needs no key. Also while a writer is at work. */
#ifndef RF_LEDGER_SCAN_H
#define RF_LEDGER_SCAN_H

#include <limits.h>

#include "ledger/frame.h"

struct scan;

/* Where reading stands: after the last entry that scan_next() gave. */
struct scan_state {
    struct frame_header header; /* of the present segment */
    char path[PATH_MAX];        /* its file */
    uint64_t offset;            /* end of the last good entry in it */
    uint64_t torn;              /* after scan_next() said 0: bytes behind that are no entry */
    uint64_t index;             /* of the next entry */
    uint32_t minute;            /* of the last one; 0 before the first */
    uint8_t chain[DIGEST_LEN];
    size_t segments; /* opened so far */
};

/* Begin with the segment that holds entry FROM (the last one when there is no such entry yet).
   -RF_ENOTFOUND: there is no segment at all. */
RF_CHECK int scan_open(const char *folder, uint64_t from, struct scan **ret, struct err *err);
void scan_close(struct scan *s);

/* 1: *RET is the next entry, borrowed until the next call; its first byte is at *RET_OFFSET of the
   file in scan_state(). 0: nothing more now; may be asked again. -RF_ETAMPER: damage, ERR names
   file, offset and index. Other codes: cannot be read. */
RF_CHECK int scan_next(struct scan *s, struct frame_entry *ret, uint64_t *ret_offset,
                       struct err *err);

const struct scan_state *scan_state(const struct scan *s);

#endif
