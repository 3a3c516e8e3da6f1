/* dedupe.h - which messages of which worker process are in the journal already.
 *
 * Bounded: the instances that wrote longest ago are forgotten first. */
#ifndef RF_LEDGER_DEDUPE_H
#define RF_LEDGER_DEDUPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { DEDUPE_INSTANCES_MAX = 512 }; /* four times METER_WORKERS_MAX: the live ones always fit */

struct dedupe_instance {
    uint64_t instance; /* 0: free */
    uint64_t appended; /* last seq put into a batch */
    uint64_t durable;  /* last seq known to be on disk; never above `appended` */
    uint64_t entry;    /* of the journal, that holds the last one appended */
    uint64_t used;     /* when it was last looked at: a counter, not a time */
};

struct dedupe {
    struct dedupe_instance list[DEDUPE_INSTANCES_MAX];
    uint64_t tick;
    unsigned last; /* where the last look-up ended: runs of one worker are common */
};

void dedupe_init(struct dedupe *d);

/* The row of INSTANCE (not 0), or NULL when it is not known. */
struct dedupe_instance *dedupe_find(struct dedupe *d, uint64_t instance);

/* Put SEQ of INSTANCE down as appended, as ENTRY of the journal; the oldest row makes room. */
void dedupe_append(struct dedupe *d, uint64_t instance, uint64_t seq, uint64_t entry);

/* Everything appended is on disk. */
void dedupe_commit(struct dedupe *d);

#endif
