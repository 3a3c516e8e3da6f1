/* bundle.h - configuration, policy, credentials, auditors and witnesses: read once, validated,
 * sealed for the children. */
#ifndef RF_SUPER_BUNDLE_H
#define RF_SUPER_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/mistakes.h"
#include "policy/policy.h"
#include "super/ruling.h"

struct bundle {
    char *path; /* of the configuration file, absolute */
    struct config *config;
    struct policy *policy; /* that rules by this bundle: the file's, or the one before (standing) */
    char *policy_text;     /* its bytes */
    size_t policy_len;
    bool is_start;            /* the first one: what it has to announce, a reload does */
    struct standing standing; /* of the file beside the policy that ruled before */
    char *sigs;               /* that lie beside the file; NULL: none */
    size_t sigs_len;
    /* sealed memory files of the bytes that were parsed, and the ledger's news; no auditors, no
       witnesses: -1 */
    int config_fd, policy_fd, credentials_fd, auditors_fd, witnesses_fd, news_fd;
};

/* Read and validate all these files and what they name. On 0 the caller owns *RET; otherwise
   MISTAKES holds every mistake of every file that could be read, and the code says whether
   something could not be read (RF_ESYS, RF_EIO …: exit status 3) or is wrong (RF_ECONFIG: 2).

   HELD is what is in force; NULL at a start, when the state folder says which policy rules. A
   policy that may not follow that one is a mistake. At a start, where the one that rules names
   signers, it is used instead, and the standing says why: the gateway serves by the rules that were
   signed, and a restart gives nobody what a reload refuses. WALL_MS: the time, for a policy that
   waits. */
RF_CHECK int bundle_load(const char *config_path, const struct bundle *held, int64_t wall_ms,
                         struct bundle **ret, struct mistakes *mistakes);

/* In two steps another policy comes to rule, or to be known as one that waits: before anybody is
   told, and when all have taken the bundle. Nothing is done where neither is the case. */
RF_CHECK int bundle_prepare_ruling(const struct bundle *b, struct err *err);
RF_CHECK int bundle_commit_ruling(struct bundle *b, struct err *err);
void bundle_free(struct bundle *b); /* NULL is welcome */

/* Mistakes of NEXT as a replacement of OLD while it runs: keys that need a restart. */
void bundle_compare(const struct bundle *old, const struct bundle *next, struct mistakes *mistakes);

/* Descriptors that the process which needs most has at these limits: a worker, or the hub. */
uint64_t bundle_descriptors_needed(const struct config *c);

/* config->workers, or one a core. */
unsigned bundle_workers(const struct config *c);

#endif
