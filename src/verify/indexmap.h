/* indexmap.h - from a leaf's index to what has to be remembered of it, until it is forgotten. */
#ifndef RF_VERIFY_INDEXMAP_H
#define RF_VERIFY_INDEXMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct indexmap {
    uint8_t *place; /* u64 index + 1 (0: free), then the record */
    size_t places, count, record_len;
};

/* Records of RECORD_LEN bytes, a multiple of 8; a map of places up to two thirds full. */
void indexmap_init(struct indexmap *m, size_t record_len);
void indexmap_done(struct indexmap *m);

/* Room for the record of INDEX (fresh ones are zeroed), valid until the next call that adds or
   removes; NULL: out of memory. */
RF_CHECK void *indexmap_put(struct indexmap *m, uint64_t index);
/* NULL: it is not there. */
void *indexmap_find(const struct indexmap *m, uint64_t index);
void indexmap_remove(struct indexmap *m, uint64_t index);

#endif
