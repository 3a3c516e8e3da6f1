/* mirror.h - a second, synchronous copy of the journal's segments in a folder of its own
 * (docs/formats/journal.md, section 4.1). The journal's own: nobody else calls this.
 *
 * Order of calls: mirror_open() makes both folders agree, before the journal is read; then
 * mirror_begin() or mirror_resume(), mirror_write() and mirror_sync() as the journal does the same
 * in its own folder. After any failure nothing more may be written to either. */
#ifndef RF_LEDGER_MIRROR_H
#define RF_LEDGER_MIRROR_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mirror;

/* Lock FOLDER (made when it is not there), cut torn tails off both, and complete the shorter of the
   two from the longer one. JOURNAL is the journal's folder, whose lock is held; NAME is the
   gateway's. *RET_CUT: bytes that were cut off the journal, in a tail that was never acknowledged.
   -RF_ETAMPER: neither is a beginning of the other; nothing was changed. -RF_ECONFIG: one is
   another gateway's. */
RF_CHECK int mirror_open(const char *folder, const char *journal, const char *name,
                         struct mirror **ret, uint64_t *ret_cut, struct err *err);
void mirror_close(struct mirror *m); /* NULL is welcome */

/* A new segment with these bytes, durable; or the last one that there is. */
RF_CHECK int mirror_begin(struct mirror *m, uint64_t first, const void *bytes, size_t n,
                          struct err *err);
RF_CHECK int mirror_resume(struct mirror *m, uint64_t first, struct err *err);
RF_CHECK int mirror_write(struct mirror *m, const void *bytes, size_t n, uint64_t offset,
                          struct err *err);
RF_CHECK int mirror_sync(struct mirror *m, struct err *err);

#endif
