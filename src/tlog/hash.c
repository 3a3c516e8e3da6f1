#include "tlog/hash.h"

/* The first byte keeps a leaf from being read as a node. */
static const uint8_t leaf_prefix = 0, node_prefix = 1;

void tlog_leaf_hash(const void *entry, size_t n, uint8_t ret[TLOG_HASH_LEN])
{
    const struct iovec pieces[] = { digest_piece(&leaf_prefix, 1), digest_piece(entry, n) };
    digest_pieces(pieces, RF_COUNT(pieces), ret);
}

void tlog_node_hash(const uint8_t left[TLOG_HASH_LEN], const uint8_t right[TLOG_HASH_LEN],
                    uint8_t ret[TLOG_HASH_LEN])
{
    const struct iovec pieces[] = {
        digest_piece(&node_prefix, 1),
        digest_piece(left, TLOG_HASH_LEN),
        digest_piece(right, TLOG_HASH_LEN),
    };
    digest_pieces(pieces, RF_COUNT(pieces), ret);
}

void tlog_empty_root(uint8_t ret[TLOG_HASH_LEN])
{
    digest_pieces(NULL, 0, ret);
}
