/* hash.h - the two hashes of RFC 6962, section 2.1. */
#ifndef RF_TLOG_HASH_H
#define RF_TLOG_HASH_H

#include "base/digest.h"

enum { TLOG_HASH_LEN = DIGEST_LEN };

/* digest_init() has succeeded before. */
void tlog_leaf_hash(const void *entry, size_t n, uint8_t ret[TLOG_HASH_LEN]);
/* RET may be LEFT or RIGHT. */
void tlog_node_hash(const uint8_t left[TLOG_HASH_LEN], const uint8_t right[TLOG_HASH_LEN],
                    uint8_t ret[TLOG_HASH_LEN]);
/* Root of the empty tree: SHA-256 of nothing. */
void tlog_empty_root(uint8_t ret[TLOG_HASH_LEN]);

#endif
