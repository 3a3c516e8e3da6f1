/* progress.h - what ledger and notary tell each other: how far they are in the journal.
 *
 * One packet of their SOCK_SEQPACKET pair, always newer than the one before, so that any may be
 * skipped: counts of the journal's entries. */
#ifndef RF_LEDGER_PROGRESS_H
#define RF_LEDGER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct progress {
    uint64_t committed; /* ledger to notary: these are on stable storage */
    uint64_t signed_;   /* notary to ledger: a checkpoint that is kept covers these */
    uint64_t witnessed; /* and one that the quorum cosigned and that is published, these */
};

/* Newest first (newest.h): *RET is the last of what waits. 1 news, 0 none;
   -RF_EPROTO; -RF_EUNAVAIL: the other side is gone. */
RF_CHECK int progress_hear(int fd, struct progress *ret);
/* 0; -RF_EUNAVAIL: the other side is gone; -RF_ETIMEOUT: it does not read now, tell it later. */
RF_CHECK int progress_tell(int fd, const struct progress *progress);

#endif
