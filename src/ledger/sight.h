/* sight.h - what notary and control tell each other of the log's size: the notary, which checkpoint
 * it has signed last; control, which one the region's database has seen.
 *
 * A checkpoint comes with the log's signature. Control carries it to the database and back and
 * cannot make one: a size that it (or whoever writes in the database) only claims ends nothing.
 *
 * One packet of their SOCK_SEQPACKET pair, always newer than the one before, so that any may be
 * skipped. */
#ifndef RF_LEDGER_SIGHT_H
#define RF_LEDGER_SIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "tlog/checkpoint.h"
#include "tlog/key.h"

struct sight {
    bool is_answered; /* false, of control: the database could not be asked */
    uint64_t size;    /* 0: none */
    uint8_t root[DIGEST_LEN];
    uint8_t signature[KEY_SIGNATURE_LEN]; /* zeros: the database has none */
};

/* Newest first, as newest_hear() and newest_tell(); -RF_EPROTO also for what sight_tell() does not
   make. */
RF_CHECK int sight_hear(int fd, struct sight *ret);
RF_CHECK int sight_tell(int fd, const struct sight *sight);

/* Of a checkpoint that KEY has signed. Ed25519 signs the same text in the same way each time, so
   this is the signature of its note. */
RF_CHECK int sight_sign(const struct checkpoint *c, const struct secret_key *key,
                        struct sight *ret);
/* Has KEY signed it? Then *RET is that checkpoint. */
bool sight_holds(const struct sight *sight, const struct key *key, struct checkpoint *ret);

#endif
