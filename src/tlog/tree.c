#include "tlog/tree.h"

#include <string.h>

/* The highest level that a size below 2^63 reaches is 7, with at most 127 hashes: so the last row
 * of an edge never overflows. */
#define TREE_SIZE_MAX ((uint64_t)INT64_MAX)

void tree_edge_init(struct tree_edge *e)
{
    memset(e, 0, sizeof(*e));
}

int tree_edge_add(struct tree_edge *e, const uint8_t leaf_hash[TLOG_HASH_LEN],
                  tree_tile_fn *on_tile, void *context)
{
    uint8_t up[TLOG_HASH_LEN];
    if (e->size >= TREE_SIZE_MAX)
        return -RF_ETOOBIG;
    e->size++;
    memcpy(up, leaf_hash, sizeof(up));
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        memcpy(e->hash[level][e->width[level]++], up, sizeof(up));
        if (e->width[level] < TLOG_TILE_WIDTH)
            break;
        uint64_t index = tlog_level_count(e->size, level + 1) - 1;
        int rc = on_tile == NULL ? 0 : on_tile(context, level, index, e->hash[level]);
        if (rc < 0)
            return rc;
        tree_tile_root(e->hash[level], TLOG_TILE_WIDTH, up);
        e->width[level] = 0;
    }
    return 0;
}

/* A tree as the roots of its perfect subtrees, the largest (leftmost) first: one for each bit of
 * COUNT. Adding a hash closes as many of them as the count has ones at its end. */
struct ridge {
    uint8_t root[64][TLOG_HASH_LEN];
    unsigned roots;
    uint64_t count;
};

static void ridge_add(struct ridge *r, const uint8_t hash[TLOG_HASH_LEN])
{
    memcpy(r->root[r->roots++], hash, TLOG_HASH_LEN);
    for (uint64_t ones = r->count++; ones & 1; ones >>= 1) {
        r->roots--;
        tlog_node_hash(r->root[r->roots - 1], r->root[r->roots], r->root[r->roots - 1]);
    }
}

/* From the right: what is smaller hangs below what is larger. */
static void ridge_root(struct ridge *r, uint8_t ret[TLOG_HASH_LEN])
{
    if (r->roots == 0) {
        tlog_empty_root(ret);
        return;
    }
    memcpy(ret, r->root[r->roots - 1], TLOG_HASH_LEN);
    for (unsigned i = r->roots - 1; i-- > 0;)
        tlog_node_hash(r->root[i], ret, ret);
}

void tree_root_of(const uint8_t (*leaves)[TLOG_HASH_LEN], size_t count, uint8_t ret[TLOG_HASH_LEN])
{
    struct ridge ridge; /* its hashes are written before they are read */
    ridge.roots = 0;
    ridge.count = 0;
    for (size_t i = 0; i < count; i++)
        ridge_add(&ridge, leaves[i]);
    ridge_root(&ridge, ret);
}

void tree_tile_root(const uint8_t (*hashes)[TLOG_HASH_LEN], unsigned count,
                    uint8_t ret[TLOG_HASH_LEN])
{
    RF_ASSERT(count >= 1 && count <= TLOG_TILE_WIDTH);
    tree_root_of(hashes, count, ret);
}

void tree_edge_root(const struct tree_edge *e, uint8_t ret[TLOG_HASH_LEN])
{
    bool have = false;
    uint8_t root[TLOG_HASH_LEN];
    tlog_empty_root(root);
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        unsigned end = e->width[level];
        while (end > 0) {
            unsigned group = end & -end; /* its lowest bit: the perfect subtree at the right */
            uint8_t left[TLOG_HASH_LEN];
            end -= group;
            tree_tile_root(e->hash[level] + end, group, left);
            if (have)
                tlog_node_hash(left, root, root);
            else
                memcpy(root, left, sizeof(root));
            have = true;
        }
    }
    memcpy(ret, root, sizeof(root));
}
