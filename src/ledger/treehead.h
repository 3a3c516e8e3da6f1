/* treehead.h - the root of an RFC 6962 tree (section 2.1) over leaves that come one after another.
 */
#ifndef RF_LEDGER_TREEHEAD_H
#define RF_LEDGER_TREEHEAD_H

#include "base/digest.h"

/* Roots of the perfect subtrees that make up the tree, largest first: one for each set bit of SIZE.
 */
struct treehead {
    uint64_t size;
    uint8_t peaks[64][DIGEST_LEN];
};

void treehead_init(struct treehead *t);
void treehead_add(struct treehead *t, const void *leaf, size_t n);
void treehead_root(const struct treehead *t, uint8_t ret[DIGEST_LEN]);

#endif
