/* audit_signed.h - is what a leaf says of a request, vote, find or review what somebody signed?
 *
 * The text and its signature stand in the private part: once that is open, nobody's word is needed
 * (docs/formats/commands.md). Whose key it was the policy says, where there is one to ask; a key
 * that it does not list may be one that it listed then. */
#ifndef RF_CMD_AUDIT_SIGNED_H
#define RF_CMD_AUDIT_SIGNED_H

#include "ledger/logleaf.h"

struct policy;

struct audit_signed {
    const struct policy *policy; /* borrowed; NULL: there is none */
    uint64_t checked;            /* signatures that hold, and say what their leaf says */
    uint64_t unlisted;           /* of these: by a key that POLICY does not list for him */
};

/* 0: they agree, or LEAF is of a type that nobody signs; 1: WRONG says what does not. */
RF_CHECK int audit_signed_judge(struct audit_signed *a, const struct logleaf *leaf,
                                const void *private_part, size_t n, char wrong[200],
                                struct err *err);

#endif
