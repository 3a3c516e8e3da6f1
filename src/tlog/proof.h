/* proof.h - inclusion and consistency (RFC 9162, section 2.1), from tiles and against roots. */
#ifndef RF_TLOG_PROOF_H
#define RF_TLOG_PROOF_H

#include "base/err.h"
#include "tlog/hash.h"
#include "tlog/path.h"

enum { PROOF_MAX = 63 };

struct proof {
    unsigned count;
    uint8_t hash[PROOF_MAX][TLOG_HASH_LEN]; /* the leaf's sibling first */
};

/* Where the hashes come from. The tile that LEVEL, INDEX has in a tree of the size asked about
   (WIDTH hashes) is put into RET; failures are passed through. Tiles are not checked here: whoever
   does not trust them verifies the proof that comes out. */
struct tile_source {
    int (*tile)(void *context, unsigned level, uint64_t index, unsigned width,
                uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *err);
    void *context;
};

/* -RF_EINVAL for an index or an old size that the tree does not have. Old size 0, and two equal
   sizes, have the empty proof. */
RF_CHECK int proof_inclusion(const struct tile_source *from, uint64_t index, uint64_t size,
                             struct proof *ret, struct err *err);
RF_CHECK int proof_consistency(const struct tile_source *from, uint64_t old_size, uint64_t size,
                               struct proof *ret, struct err *err);
/* Root of the first SIZE leaves, out of the tiles of a tree of TREE_SIZE. */
RF_CHECK int proof_root(const struct tile_source *from, uint64_t size, uint64_t tree_size,
                        uint8_t ret[TLOG_HASH_LEN], struct err *err);
/* The same two out of a list of all leaf hashes. */
RF_CHECK int proof_inclusion_of(const uint8_t (*leaves)[TLOG_HASH_LEN], uint64_t size,
                                uint64_t index, struct proof *ret);
RF_CHECK int proof_consistency_of(const uint8_t (*leaves)[TLOG_HASH_LEN], uint64_t size,
                                  uint64_t old_size, struct proof *ret);

bool proof_inclusion_holds(const struct proof *p, uint64_t index, uint64_t size,
                           const uint8_t leaf_hash[TLOG_HASH_LEN],
                           const uint8_t root[TLOG_HASH_LEN]);
bool proof_consistency_holds(const struct proof *p, uint64_t old_size, uint64_t size,
                             const uint8_t old_root[TLOG_HASH_LEN],
                             const uint8_t root[TLOG_HASH_LEN]);

#endif
