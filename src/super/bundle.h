/* bundle.h - configuration, policy, credentials, auditors and witnesses: read once, validated,
 * sealed for the children. */
#ifndef RF_SUPER_BUNDLE_H
#define RF_SUPER_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/mistakes.h"
#include "policy/policy.h"

struct bundle {
    char *path; /* of the configuration file, absolute */
    struct config *config;
    struct policy *policy;
    /* sealed memory files of the bytes that were parsed; no auditors, no witnesses: -1 */
    int config_fd, policy_fd, credentials_fd, auditors_fd, witnesses_fd;
};

/* Read and validate all these files and what they name. On 0 the caller owns *RET; otherwise
   MISTAKES holds every mistake of every file that could be read, and the code says whether
   something could not be read (RF_ESYS, RF_EIO …: exit status 3) or is wrong (RF_ECONFIG: 2). */
RF_CHECK int bundle_load(const char *config_path, struct bundle **ret, struct mistakes *mistakes);
void bundle_free(struct bundle *b); /* NULL is welcome */

/* Mistakes of NEXT as a replacement of OLD while it runs: keys that need a restart. */
void bundle_compare(const struct bundle *old, const struct bundle *next, struct mistakes *mistakes);

/* Descriptors that the process which needs most has at these limits: a worker, or the hub. */
uint64_t bundle_descriptors_needed(const struct config *c);

/* config->workers, or one a core. */
unsigned bundle_workers(const struct config *c);

#endif
