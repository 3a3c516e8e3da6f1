/* sight.h - what notary and control tell each other of the log's size: the notary, which checkpoint
 * it has signed last; control, which one the region's database has seen.
 *
 * One packet of their SOCK_SEQPACKET pair, always newer than the one before, so that any may be
 * skipped. */
#ifndef RF_LEDGER_SIGHT_H
#define RF_LEDGER_SIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

struct sight {
    bool is_answered; /* false, of control: the database could not be asked */
    uint64_t size;    /* 0: none */
    uint8_t root[DIGEST_LEN];
};

/* Newest first, as progress_hear() and progress_tell(). */
RF_CHECK int sight_hear(int fd, struct sight *ret);
RF_CHECK int sight_tell(int fd, const struct sight *sight);

#endif
