/* witnessing.h - what the cosignatures of a checkpoint are worth under a policy of trust.
 *
 * A witness is **the operator's own** when its key's name, or the name that the policy gives it,
 * was listed as such, or when the host in its key's name (what stands before the first `/`) and the
 * host in the log's origin end in the same two labels: `w1.example.org/x` for
 * `log.example.org/us`. Of hosts of one label the whole is compared. Two strangers below one public
 * suffix (`co.uk`) count as one that way: it errs on the side of doubt. */
#ifndef RF_VERIFY_WITNESSING_H
#define RF_VERIFY_WITNESSING_H

#include "tlog/trust.h"
#include "verify/finding.h"

enum witnessing {
    WITNESSING_NONE,            /* no policy, or its quorum is not reached */
    WITNESSING_NOT_INDEPENDENT, /* reached, but not without the operator's own */
    WITNESSING_STALE,           /* the newest of them is too old */
    WITNESSING_GOOD
};

struct witnessing_options {
    const struct trust *trust; /* NULL: none */
    const char *const *own;    /* names of the operator's witnesses */
    unsigned own_count;
    uint64_t now_s, max_age_s; /* POSIX time; 0: no limit of age */
};

struct witnessing_report {
    enum witnessing verdict;
    unsigned cosigned, independent; /* of the policy's witnesses */
    uint64_t newest_s;              /* 0: none */
};

enum { WITNESSING_SKEW_S = 300 }; /* how far ahead a witness's clock may be */

/* A cosignature of a listed witness that does not hold is tampering; a quorum that is asked for and
   not reached, and one that is stale, are wanting. */
void witnessing_judge(const struct note *note, const char *origin,
                      const struct witnessing_options *options, struct witnessing_report *ret,
                      struct findings *to);

bool witnessing_is_own(const char *origin, const struct trust_witness *w,
                       const struct witnessing_options *options);

const char *witnessing_name(enum witnessing verdict);

#endif
