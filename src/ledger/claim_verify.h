/* claim_verify.h - is a claim file true and complete (docs/formats/claims.md, section 2)?
 *
 * Offline: the file and the keys that its reader trusts are all there is. What a file alone cannot
 * prove is listed in the same section. digest_init() and sodium_init() come first. */
#ifndef RF_LEDGER_CLAIM_VERIFY_H
#define RF_LEDGER_CLAIM_VERIFY_H

#include "base/err.h"
#include "tlog/key.h"
#include "tlog/trust.h"

struct claim_trust {        /* borrowed */
    const struct key *keys; /* of logs: the first log's first, at least one */
    size_t key_count;
    const struct trust *witnesses; /* whose quorum must have seen each checkpoint; NULL: nobody's */
};

struct claim_result {
    unsigned log_count, epoch_count;
    uint64_t access_count, find_count; /* of the accesses: those who only looked him up */
    unsigned unwitnessed;              /* logs whose checkpoint does not reach the quorum */
    unsigned elsewhere; /* logs that lived in the epochs and have another VRF key, one an epoch:
                           complete only with the claim file of that key */
};

/* 0: true and complete, but for what UNWITNESSED and ELSEWHERE say. -RF_ETAMPER: it contradicts
   itself, its proofs or the keys. -RF_EPROTO: no claim file. -RF_EINVAL: no key of a log was given.
   -RF_ENOMEM. ERR names the line. The lines themselves are for claim_read(), once this said 0. */
RF_CHECK int claim_verify(const void *bytes, size_t n, const struct claim_trust *trust,
                          struct claim_result *ret, struct err *err);

#endif
