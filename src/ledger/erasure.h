/* erasure.h - a day's private parts made unreadable for everybody, for ever
 * (docs/formats/journal.md, section 9). The journal and the public log stay as they are and stay
 * valid. */
#ifndef RF_LEDGER_ERASURE_H
#define RF_LEDGER_ERASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct erasure {
    uint64_t entries; /* of that day in the journal */
    bool had_key;     /* else it was erased before, or never was */
    uint64_t rows;    /* that the private store had of it */
};

/* Destroy the key of DAY ("2026-11-22") and what the private store below STATE_DIR has of it. May
   be repeated after a failure, also while the gateway runs. NOW_MS: wall clock. -RF_EUSAGE: no day.
   -RF_EDENIED: the day is not over, is listed in STATE_DIR/holds, has a purpose that only its key
   can open, or the ledger may still have its key in memory; nothing was changed. -RF_ECONFIG:
   STATE_DIR/holds cannot be understood. -RF_ETAMPER: the journal is damaged. -RF_ENOTFOUND: there
   is nothing of that day. -RF_EUNAVAIL: the key is gone, and somebody kept the private store from
   being overwritten, or it is damaged. Other failures of the store come after the key, too; the
   hint says so. */
RF_CHECK int erasure_run(const char *state_dir, const char *day, int64_t now_ms,
                         struct erasure *ret, struct err *err);

#endif
