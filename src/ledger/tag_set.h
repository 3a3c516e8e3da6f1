/* tag_set.h - all tags of one epoch in one log: is this one there, and the root over them.
 *
 * Whoever writes tags does not choose where they land (a keyed hash with a key of this process), so
 * a set that is filled from somebody else's log stays fast too. digest_init() and sodium_init()
 * come first. */
#ifndef RF_LEDGER_TAG_SET_H
#define RF_LEDGER_TAG_SET_H

#include <stdbool.h>

#include "ledger/tag.h"

/* 16 million appearances of subjects: 512 MiB at the most, 24 bytes each on average. */
enum { TAG_SET_MAX = 1 << 24, TAG_SET_SEED_LEN = 16 };

struct tag_set {
    uint8_t (*slots)[TAG_LEN]; /* all zero: free. At most three quarters are used */
    size_t capacity;           /* 0, or a power of two */
    size_t count;
    uint8_t seed[TAG_SET_SEED_LEN];
};

void tag_set_init(struct tag_set *s);
void tag_set_done(struct tag_set *s); /* empties it; it may be used again */

/* 1: added; 0: was there; -RF_ENOMEM; -RF_ETOOBIG: the ceiling; -RF_EINVAL: 16 zero bytes, which no
   MAC will ever be. A failure changes nothing. */
RF_CHECK int tag_set_add(struct tag_set *s, const uint8_t tag[TAG_LEN]);
bool tag_set_contains(const struct tag_set *s, const uint8_t tag[TAG_LEN]);
void tag_set_remove(struct tag_set *s, const uint8_t tag[TAG_LEN]); /* it is there */

/* Its tags as bytes sort, COUNT of them; mem_free() them. NULL: out of memory (never for an empty
   set). */
RF_CHECK uint8_t (*tag_set_sorted(const struct tag_set *s))[TAG_LEN];
/* `tags_root` over tags that are sorted. */
void tag_set_root_of(const uint8_t (*sorted)[TAG_LEN], size_t count, uint8_t ret[DIGEST_LEN]);

#endif
