/* errand.h - what the notary sends the courier for, and what the courier brings back.
 *
 * One message a packet of their SOCK_SEQPACKET pair. The notary has the log's key and no network,
 * the courier the network and no key: it posts BODY to a witness and hands the raw answer over,
 * believing nothing of it. Every post is answered once, unless one of the two ends or does not read
 * what the other says; a ticket is never reused, and an answer that nobody waits for is dropped. */
#ifndef RF_LEDGER_ERRAND_H
#define RF_LEDGER_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "tlog/trust.h"
#include "tlog/witness_request.h"

enum {
    ERRAND_BODY_MAX = WITNESS_REQUEST_MAX,
    ERRAND_MESSAGE_MAX = ERRAND_BODY_MAX + 64, /* of any packet in either direction */
    ERRAND_LIMIT_MAX_MS = 60 * 1000,
    ERRAND_PATH_MAX = 100, /* of a fetch */
};

/* NOTARY to COURIER: a post of BODY to add-checkpoint, or a fetch of what BODY names. */
struct errand_post {
    uint32_t witness;    /* index in the trust file, < TRUST_MAX */
    uint32_t key_id;     /* of that witness's key: the two may have read different files */
    uint64_t ticket;     /* not 0 */
    uint32_t limit_ms;   /* for all of it, 1..ERRAND_LIMIT_MAX_MS */
    bool is_fetch;       /* GET of the path BODY below the witness's prefix, "/…" */
    const uint8_t *body; /* borrowed; at least one byte */
    size_t body_len;
};

enum errand_failure {
    ERRAND_REACHED,   /* there is a status */
    ERRAND_UNREACHED, /* no address, no connection, no TLS, no HTTP */
    ERRAND_TIMEOUT,
    ERRAND_TOO_LARGE, /* the answer, or its header */
    ERRAND_REFUSED,   /* by the courier: no such witness, no URL, or one post is under way */
    ERRAND_FAILURE_COUNT
};

/* COURIER to NOTARY. */
struct errand_answer {
    uint32_t witness;
    uint64_t ticket;
    unsigned status; /* of HTTP, 100..599; 0: FAILURE says why, and there is no body */
    enum errand_failure failure;
    bool is_size;        /* the content type is text/x.tlog.size */
    const uint8_t *body; /* borrowed; may be empty */
    size_t body_len;
};

/* Append one message. 0, or with TO as it was: -RF_EINVAL for a value that the rules above refuse,
   -RF_ETOOBIG, -RF_ENOMEM. */
RF_CHECK int errand_post_write(struct buf *to, const struct errand_post *post);
RF_CHECK int errand_answer_write(struct buf *to, const struct errand_answer *answer);

/* Of one whole packet, which the bodies borrow from. -RF_EPROTO for anything that the writers above
   do not make; *RET is as it was then. */
RF_CHECK int errand_post_read(const void *packet, size_t n, struct errand_post *ret);
RF_CHECK int errand_answer_read(const void *packet, size_t n, struct errand_answer *ret);

const char *errand_failure_name(enum errand_failure failure); /* "reached", "timeout", … */

#endif
