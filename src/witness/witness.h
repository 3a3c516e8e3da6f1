/* witness.h - a small witness (C2SP tlog-witness): it cosigns a log's checkpoint only when that
 * continues the last one it cosigned, and remembers durably before it answers.
 *
 * One process, one thread: checking and storing cannot be torn apart. The state folder has one file
 * a log, named by the SHA-256 of its origin: the checkpoint with the log's line and our own. A lock
 * keeps a second process out. */
#ifndef RF_WITNESS_WITNESS_H
#define RF_WITNESS_WITNESS_H

#include "base/buf.h"
#include "tlog/key.h"

enum { WITNESS_LOGS_MAX = 64, WITNESS_HEX_LEN = 64, WITNESS_NOTE_MAX = 4096 };

struct witness;

/* KEY (type KEY_COSIGNATURE) is borrowed, LOGS copied: their origins are the keys' names. STATE is
   a folder of ours. -RF_EUNAVAIL: another process has it. -RF_ETAMPER: a file in it is not what
   this witness wrote about these logs. digest_init() has succeeded before. */
RF_CHECK int witness_open(const char *state, const struct secret_key *key, const struct key *logs,
                          unsigned log_count, struct witness **ret, struct err *err);
void witness_close(struct witness *w); /* NULL is welcome */

struct witness_answer {
    unsigned status; /* of HTTP: 200, 400, 403, 404, 409, 422 */
    bool is_size;    /* content type text/x.tlog.size */
    struct buf body;
};

void witness_answer_init(struct witness_answer *a);
void witness_answer_done(struct witness_answer *a);

/* Decide about the body of an add-checkpoint request at POSIX time NOW_S. Negative: what was signed
   could not be made durable; it must not be answered, and the process must end, since what is on
   disk is unknown. */
RF_CHECK int witness_add_checkpoint(struct witness *w, const void *request, size_t n,
                                    uint64_t now_s, struct witness_answer *ret, struct err *err);

/* The last cosigned checkpoint of the log whose origin has SHA-256 HEX, borrowed until the next
   call; NULL: none. */
const struct buf *witness_checkpoint(const struct witness *w, const char hex[WITNESS_HEX_LEN]);

#endif
