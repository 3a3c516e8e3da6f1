/* tagset.h - a set of 16-byte words: the tags of one epoch, the groups of one interval.
 *
 * One table of 16 bytes a place, at most three quarters full and doubled when it is: 22 to 43 bytes
 * a tag, and half as much again for the moment of growing. Words are placed by a keyed hash,
 * because whoever writes a log chooses them. */
#ifndef RF_VERIFY_TAGSET_H
#define RF_VERIFY_TAGSET_H

#include <stdbool.h>

#include "ledger/logleaf.h"

struct tagset {
    uint8_t (*place)[LOGLEAF_TAG_LEN];
    size_t places, count; /* COUNT without the word of zeros, which marks a free place */
    bool has_zero;
    uint8_t key[16];
};

void tagset_init(struct tagset *s);
void tagset_done(struct tagset *s);
void tagset_clear(struct tagset *s); /* keeps memory of moderate size */
uint64_t tagset_count(const struct tagset *s);

/* 1: added. 0: it was there. -RF_ENOMEM. */
RF_CHECK int tagset_add(struct tagset *s, const uint8_t tag[LOGLEAF_TAG_LEN]);

/* The RFC 6962 root over all words, sorted; the set is empty afterwards. */
void tagset_root(struct tagset *s, uint8_t ret[DIGEST_LEN]);

#endif
