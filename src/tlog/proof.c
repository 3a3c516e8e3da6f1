#include "tlog/proof.h"

#include <string.h>

#include "tlog/line.h"
#include "tlog/tree.h"

/* Making a proof asks for perfect subtrees alone: node (height, j) is the root of the leaves
 * j·2^height up to (j+1)·2^height. Where they come from differs: tiles hold every eighth height, a
 * list of leaves holds height 0. The rest of an incomplete tree is put together from such nodes. */
struct nodes {
    int (*at)(void *context, unsigned height, uint64_t j, uint8_t ret[TLOG_HASH_LEN],
              struct err *err);
    void *context;
};

/* --- nodes out of tiles --- */

struct tiles {
    const struct tile_source *from;
    uint64_t size; /* of the tree the tiles belong to */
    bool have;     /* the tile that was read last: the next node is mostly in it too */
    unsigned level;
    uint64_t index;
    uint8_t hash[TLOG_TILE_WIDTH][TLOG_HASH_LEN];
};

static int tiles_node(void *context, unsigned height, uint64_t j, uint8_t ret[TLOG_HASH_LEN],
                      struct err *err)
{
    struct tiles *t = context;
    unsigned level = height / TLOG_TILE_HEIGHT, below = height % TLOG_TILE_HEIGHT;
    uint64_t at = j << below, index = at / TLOG_TILE_WIDTH;
    unsigned first = (unsigned)(at % TLOG_TILE_WIDTH), count = 1U << below;
    unsigned width = tlog_tile_width(t->size, level, index);
    RF_ASSERT(first + count <= width); /* the node is inside the tree */
    if (!t->have || t->level != level || t->index != index) {
        t->have = false;
        int rc = t->from->tile(t->from->context, level, index, width, t->hash, err);
        if (rc < 0)
            return rc;
        t->have = true;
        t->level = level;
        t->index = index;
    }
    tree_tile_root(t->hash + first, count, ret);
    return 0;
}

/* --- nodes out of all leaves --- */

union leaves { /* the context has no const form */
    const uint8_t (*in)[TLOG_HASH_LEN];
    void *out;
};

static int leaves_node(void *context, unsigned height, uint64_t j, uint8_t ret[TLOG_HASH_LEN],
                       struct err *err)
{
    union leaves leaves = { .out = context };
    (void)err;
    tree_root_of(leaves.in + (j << height), (size_t)1 << height, ret);
    return 0;
}

/* --- proofs out of nodes --- */

/* The root over the leaves A up to N, where A is a multiple of the smallest power of two that is
   not below N - A; A < N. */
static int range_root(const struct nodes *nodes, uint64_t a, uint64_t n, uint8_t ret[TLOG_HASH_LEN],
                      struct err *err)
{
    uint64_t left = n - a;
    bool have = false;
    for (uint64_t pos = n; left > 0; left &= left - 1) {
        unsigned height = (unsigned)__builtin_ctzll(left);
        uint8_t node[TLOG_HASH_LEN];
        pos -= UINT64_C(1) << height;
        int rc = nodes->at(nodes->context, height, pos >> height, node, err);
        if (rc < 0)
            return rc;
        if (have)
            tlog_node_hash(node, ret, ret);
        else
            memcpy(ret, node, sizeof(node));
        have = true;
    }
    return 0;
}

static uint8_t *next_hash(struct proof *p)
{
    return p->count < PROOF_MAX ? p->hash[p->count++] : NULL;
}

static int too_long(struct err *err)
{
    return err_set(err, RF_ETOOBIG, "proof has more than %d hashes", PROOF_MAX);
}

/* The siblings on the way from the node of height BOTTOM over leaf I up to the root of N leaves.
   Below the height at which I and the last leaf part ways, a sibling may end with the tree; above
   it, only siblings to the left are there. */
static int chain(const struct nodes *nodes, uint64_t i, unsigned bottom, uint64_t n,
                 struct proof *p, struct err *err)
{
    uint64_t apart = i ^ (n - 1);
    unsigned meet = apart == 0 ? 0 : 64 - (unsigned)__builtin_clzll(apart);
    for (unsigned height = bottom; height < 63; height++) {
        uint64_t sibling = (i >> height) ^ 1;
        if (height >= meet && (i >> height & 1) == 0)
            continue;
        uint8_t *to = next_hash(p);
        if (to == NULL)
            return too_long(err);
        uint64_t from = sibling << height, end = (sibling + 1) << height;
        int rc = range_root(nodes, from, end < n ? end : n, to, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int inclusion(const struct nodes *nodes, uint64_t index, uint64_t size, struct proof *ret,
                     struct err *err)
{
    ret->count = 0;
    if (index >= size || size > LINE_NUMBER_MAX)
        return err_set(err, RF_EINVAL, "a tree of %llu entries has no entry %llu",
                       (unsigned long long)size, (unsigned long long)index);
    return chain(nodes, index, 0, size, ret, err);
}

static int consistency(const struct nodes *nodes, uint64_t old_size, uint64_t size,
                       struct proof *ret, struct err *err)
{
    ret->count = 0;
    if (old_size > size || size > LINE_NUMBER_MAX)
        return err_set(err, RF_EINVAL, "a tree of %llu entries was never one of %llu",
                       (unsigned long long)size, (unsigned long long)old_size);
    if (old_size == 0 || old_size == size)
        return 0;
    unsigned height = (unsigned)__builtin_ctzll(old_size);
    uint64_t last = (old_size >> height) - 1;
    if (last != 0) { /* else the old tree is that node, and its root is known */
        int rc = nodes->at(nodes->context, height, last, next_hash(ret), err);
        if (rc < 0)
            return rc;
    }
    return chain(nodes, old_size - 1, height, size, ret, err);
}

int proof_inclusion(const struct tile_source *from, uint64_t index, uint64_t size,
                    struct proof *ret, struct err *err)
{
    struct tiles tiles = { .from = from, .size = size, .have = false };
    const struct nodes nodes = { .at = tiles_node, .context = &tiles };
    return inclusion(&nodes, index, size, ret, err);
}

int proof_consistency(const struct tile_source *from, uint64_t old_size, uint64_t size,
                      struct proof *ret, struct err *err)
{
    struct tiles tiles = { .from = from, .size = size, .have = false };
    const struct nodes nodes = { .at = tiles_node, .context = &tiles };
    return consistency(&nodes, old_size, size, ret, err);
}

int proof_root(const struct tile_source *from, uint64_t size, uint64_t tree_size,
               uint8_t ret[TLOG_HASH_LEN], struct err *err)
{
    struct tiles tiles = { .from = from, .size = tree_size, .have = false };
    const struct nodes nodes = { .at = tiles_node, .context = &tiles };
    if (size > tree_size || tree_size > LINE_NUMBER_MAX)
        return err_set(err, RF_EINVAL, "a tree of %llu entries was never one of %llu",
                       (unsigned long long)tree_size, (unsigned long long)size);
    if (size == 0) {
        tlog_empty_root(ret);
        return 0;
    }
    return range_root(&nodes, 0, size, ret, err);
}

int proof_inclusion_of(const uint8_t (*leaves)[TLOG_HASH_LEN], uint64_t size, uint64_t index,
                       struct proof *ret)
{
    union leaves all = { .in = leaves };
    const struct nodes nodes = { .at = leaves_node, .context = all.out };
    return inclusion(&nodes, index, size, ret, NULL);
}

int proof_consistency_of(const uint8_t (*leaves)[TLOG_HASH_LEN], uint64_t size, uint64_t old_size,
                         struct proof *ret)
{
    union leaves all = { .in = leaves };
    const struct nodes nodes = { .at = leaves_node, .context = all.out };
    return consistency(&nodes, old_size, size, ret, NULL);
}

/* --- checking: RFC 9162, sections 2.1.3.2 and 2.1.4.2 --- */

/* The way up from a node of which INDEX is the number at its height and LAST that of the last one
   there. */
struct climb {
    uint64_t index, last;
};

/* Is the sibling that comes next on the left? */
static bool climb_left(const struct climb *c)
{
    return (c->index & 1) != 0 || c->index == c->last;
}

static void climb_on(struct climb *c)
{
    /* Heights at which the last node has no sibling are passed over: it is promoted as it is. */
    if (climb_left(c))
        while (c->index != 0 && (c->index & 1) == 0) {
            c->index >>= 1;
            c->last >>= 1;
        }
    c->index >>= 1;
    c->last >>= 1;
}

bool proof_inclusion_holds(const struct proof *p, uint64_t index, uint64_t size,
                           const uint8_t leaf_hash[TLOG_HASH_LEN],
                           const uint8_t root[TLOG_HASH_LEN])
{
    uint8_t got[TLOG_HASH_LEN];
    if (index >= size || size > LINE_NUMBER_MAX || p->count > PROOF_MAX)
        return false;
    struct climb climb = { .index = index, .last = size - 1 };
    memcpy(got, leaf_hash, sizeof(got));
    for (unsigned i = 0; i < p->count; i++) {
        if (climb.last == 0)
            return false;
        if (climb_left(&climb))
            tlog_node_hash(p->hash[i], got, got);
        else
            tlog_node_hash(got, p->hash[i], got);
        climb_on(&climb);
    }
    return climb.last == 0 && memcmp(got, root, sizeof(got)) == 0;
}

/* 0 < OLD_SIZE < SIZE. FIRST and REST: the node over the end of the old tree, and what follows. */
static bool both_roots_follow(const uint8_t first[TLOG_HASH_LEN], const struct proof *p,
                              unsigned rest, uint64_t old_size, uint64_t size,
                              const uint8_t old_root[TLOG_HASH_LEN],
                              const uint8_t root[TLOG_HASH_LEN])
{
    uint8_t old_got[TLOG_HASH_LEN], got[TLOG_HASH_LEN];
    unsigned height = (unsigned)__builtin_ctzll(old_size);
    struct climb climb = { .index = (old_size - 1) >> height, .last = (size - 1) >> height };
    memcpy(old_got, first, sizeof(old_got));
    memcpy(got, first, sizeof(got));
    for (unsigned i = rest; i < p->count; i++) {
        if (climb.last == 0)
            return false;
        if (climb_left(&climb)) {
            tlog_node_hash(p->hash[i], old_got, old_got);
            tlog_node_hash(p->hash[i], got, got);
        } else {
            tlog_node_hash(got, p->hash[i], got);
        }
        climb_on(&climb);
    }
    return climb.last == 0 && memcmp(old_got, old_root, sizeof(old_got)) == 0 &&
           memcmp(got, root, sizeof(got)) == 0;
}

bool proof_consistency_holds(const struct proof *p, uint64_t old_size, uint64_t size,
                             const uint8_t old_root[TLOG_HASH_LEN],
                             const uint8_t root[TLOG_HASH_LEN])
{
    uint8_t empty[TLOG_HASH_LEN];
    if (old_size > size || size > LINE_NUMBER_MAX || p->count > PROOF_MAX)
        return false;
    tlog_empty_root(empty);
    if (old_size == 0 && memcmp(old_root, empty, sizeof(empty)) != 0)
        return false;
    if (old_size == size)
        return p->count == 0 && memcmp(old_root, root, sizeof(empty)) == 0;
    if (old_size == 0)
        return p->count == 0; /* every tree continues the empty one */
    if (p->count == 0)
        return false;
    if ((old_size & (old_size - 1)) == 0) /* the old tree is perfect: its root starts the way */
        return both_roots_follow(old_root, p, 0, old_size, size, old_root, root);
    return both_roots_follow(p->hash[0], p, 1, old_size, size, old_root, root);
}
