/* policy_change.h - may a change of the policy let anybody see or do more?
 *
 * What the rooms show to whom is compared elsewhere, in words (enforce/exposure.h); this is all the
 * rest: actors and their keys, who approves what, signers, networks, what columns and statistics
 * are about. A change is taken for one that widens unless it is one of the few that are known to
 * take away. Pure. */
#ifndef RF_POLICY_POLICY_CHANGE_H
#define RF_POLICY_POLICY_CHANGE_H

#include "policy/policy.h"

/* A policy and the bytes that it was read from. */
struct policy_bytes {
    const struct policy *policy;
    const char *text;
    size_t len;
};

enum { POLICY_CHANGE_SIZE = 200 };

/* 1: it may, and WHAT says where ("grants.approvers", "actors.us_analyst"); 0: it cannot;
   -RF_ENOMEM. */
RF_CHECK int policy_change_widens(const struct policy_bytes *old, const struct policy_bytes *new,
                                  char what[POLICY_CHANGE_SIZE]);

#endif
