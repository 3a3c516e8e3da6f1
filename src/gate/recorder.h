/* recorder.h - a worker's line to the ledger: put records, be told when they are durable.
 *
 * Every record has a sequence number; an acknowledgement covers all up to it. With a public log the
 * ledger also tells which of them are in a signed, and in a witnessed checkpoint. What has not been
 * acknowledged is kept and sent again to a new ledger process, which tells which of them the old
 * one had made durable: a killed ledger costs time, never a record. */
#ifndef RF_GATE_RECORDER_H
#define RF_GATE_RECORDER_H

#include <stdbool.h>

#include "io/loop.h"
#include "ledger/record.h"

struct recorder;

/* One thing waiting for one sequence number; lives in its owner. */
struct recorder_wait {
    void (*on_reached)(struct recorder_wait *w);
    uint64_t seq;
    enum record_level level;
    struct recorder_wait *next, *before;
    bool waiting;
};

enum { RECORDER_PENDING_MAX = 32 * 1024 * 1024, RECORDER_PATIENCE_MS = 2000 };

RF_CHECK int recorder_new(struct loop *l, const char *name, struct recorder **ret, struct err *err);
void recorder_free(struct recorder *r);

/* A (new) socket to the ledger, which the recorder owns from now on. */
void recorder_connect(struct recorder *r, int fd);

/* ON_LOST(ARG) is called when the line has been down for RECORDER_PATIENCE_MS, and again each time
   that this long has passed: a new process of the ledger would have come with a line of its own. */
void recorder_complain_to(struct recorder *r, void (*on_lost)(void *arg), void *arg);

/* Queue a record. 0 with its number in *RET_SEQ; -RF_EUNAVAIL when the ledger has refused or too
   much is pending: then nothing may be released that depends on it. */
RF_CHECK int recorder_put(struct recorder *r, const struct record *record, uint64_t *ret_seq,
                          struct err *err);

bool recorder_has_reached(const struct recorder *r, enum record_level level, uint64_t seq);

/* Call W->on_reached once SEQ has reached LEVEL; never from inside. Waits of one level are served
   in order of SEQ. The ledger, which may leave statements for a moment, hears that it must not. */
void recorder_await(struct recorder *r, struct recorder_wait *w, enum record_level level,
                    uint64_t seq);
void recorder_forget(struct recorder *r, struct recorder_wait *w);

/* Taking records now? Otherwise why not, in one line for operators and clients. */
bool recorder_available(const struct recorder *r, const char **ret_why);

/* Nothing is pending any more. */
bool recorder_drained(const struct recorder *r);

#endif
