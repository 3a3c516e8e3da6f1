/* audit_tags.h - are the tags of a disclosure those of the subjects that its private part names?
 *
 * For whoever has the region's VRF key (docs/formats/log.md, section 6): a tag that is nobody's
 * would keep an access out of the list of the person whom it concerns, and no public file can show
 * it. Leaves come as in their log, from the first on. */
#ifndef RF_CMD_AUDIT_TAGS_H
#define RF_CMD_AUDIT_TAGS_H

#include "ledger/logleaf.h"
#include "ledger/tag.h"
#include "tlog/key.h"

struct audit_tags {
    const char *path; /* of the VRF key, borrowed; NULL: there is none */
    bool has_key;
    uint8_t secret[VRF_SECRET_LEN];
    char region[64], origin[KEY_NAME_MAX + 1], epoch[TAG_EPOCH_SIZE];
    uint64_t in_epoch; /* tags of that epoch so far: no subject has appeared more often */
    uint64_t checked;
};

void audit_tags_init(struct audit_tags *a, const char *path);
void audit_tags_done(struct audit_tags *a); /* wipes the key */

/* Every leaf. The first one says whose key it must be: fails when that at PATH is another. */
RF_CHECK int audit_tags_leaf(struct audit_tags *a, const struct logleaf *leaf, struct err *err);

/* Compare the tags of LEAF, a disclosure that audit_tags_leaf() has seen last, with its PRIVATE
   part. 0: they agree, or there is no key; 1: WRONG says what does not. */
RF_CHECK int audit_tags_judge(struct audit_tags *a, const struct logleaf *leaf,
                              const void *private_part, size_t n, char wrong[200], struct err *err);

#endif
