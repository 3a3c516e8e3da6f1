/* tree.h - a growing RFC 6962 tree over tiles: the right edge, and what files growth makes.
 *
 * Pure: files are the caller's. Sizes stay below 2^63. */
#ifndef RF_TLOG_TREE_H
#define RF_TLOG_TREE_H

#include "base/err.h"
#include "tlog/hash.h"
#include "tlog/path.h"

enum { TREE_LEVELS = 8 };

/* Per level the hashes of its last, incomplete tile. */
struct tree_edge {
    uint64_t size;
    unsigned width[TREE_LEVELS]; /* 0..255 */
    uint8_t hash[TREE_LEVELS][TLOG_TILE_WIDTH][TLOG_HASH_LEN];
};

void tree_edge_init(struct tree_edge *e);

/* A tile became whole: its 256 hashes, borrowed during the call. A failure ends tree_edge_add()
   with the same code, and the edge must not be used any more. */
typedef int tree_tile_fn(void *context, unsigned level, uint64_t index,
                         const uint8_t hashes[TLOG_TILE_WIDTH][TLOG_HASH_LEN]);

/* ON_TILE may be NULL. -RF_ETOOBIG at 2^63 - 1 leaves. */
RF_CHECK int tree_edge_add(struct tree_edge *e, const uint8_t leaf_hash[TLOG_HASH_LEN],
                           tree_tile_fn *on_tile, void *context);
void tree_edge_root(const struct tree_edge *e, uint8_t ret[TLOG_HASH_LEN]);

/* The root over COUNT hashes (1..256) of one tile, as a subtree of its own. */
void tree_tile_root(const uint8_t (*hashes)[TLOG_HASH_LEN], unsigned count,
                    uint8_t ret[TLOG_HASH_LEN]);

/* The root of LEAVES (hashes, COUNT of them, any number), computed at once; for small trees. */
void tree_root_of(const uint8_t (*leaves)[TLOG_HASH_LEN], size_t count, uint8_t ret[TLOG_HASH_LEN]);

#endif
