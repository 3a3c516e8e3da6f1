/* log_policies.h - `ringfence log verify --policies DIR`: each policy that a log says ruled, judged
 * by its file: signed by the quorum of the one before it, following it, and public for long enough
 * when it widened something. */
#ifndef RF_CMD_LOG_POLICIES_H
#define RF_CMD_LOG_POLICIES_H

#include "ledger/logleaf.h"
#include "verify/finding.h"

struct policies;

/* Read every policy in DIR: files NAME, with their signatures in NAME.sig. A file that is no policy
   is an error: an auditor wants to know. */
RF_CHECK int policies_open(const char *dir, struct policies **ret, struct err *err);
void policies_close(struct policies *p); /* NULL is welcome */

/* The leaves that come now are of another log. */
void policies_begin(struct policies *p);
/* Judge leaf INDEX, as far as it is about a policy. -RF_ENOMEM. */
RF_CHECK int policies_leaf(struct policies *p, uint64_t index, const struct logleaf *leaf,
                           struct findings *to, struct err *err);

#endif
