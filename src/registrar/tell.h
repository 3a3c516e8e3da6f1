/* tell.h - what the database cannot know of a request and is to tell of it: who can approve it now,
 * who can review it, for whom its requester works (docs/decisions/0025). */
#ifndef RF_REGISTRAR_TELL_H
#define RF_REGISTRAR_TELL_H

#include "policy/approval.h"
#include "registrar/line.h"

/* A request as it is judged; all borrowed. */
struct tell {
    const struct policy *policy;
    const struct grant_ask *ask;
    const struct policy_grant_rule *rule;
    const struct grant_vote *votes;
    size_t vote_count;
    const char *const *suspended; /* actors of the region, at the moment */
    size_t suspended_count;
};

/* Leave it with REQUEST. Whoever waits for approval is told of there and then; else it is for what
   comes of the request next. Codes as line_ask(), -RF_ENOMEM. */
RF_CHECK int tell_request(const struct tell *t, struct line *line, uint64_t request,
                          struct err *err);

#endif
