/* test_tlog.c - hashes, paths, trees, proofs and bundles of the public log: against vectors made
 * elsewhere, and against the recursive definitions of RFC 9162, section 2.1. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tlog/bundle.h"
#include "tlog/proof.h"
#include "tlog/tree.h"

enum { LEAVES = 70000, HEIGHTS = 17 };

typedef uint8_t hash_of[TLOG_HASH_LEN];

/* Every perfect subtree of the first LEAVES of set B (leaf i is `leaf-i`), by height and number. */
static hash_of *perfect[HEIGHTS];

static void assert_hash(const uint8_t hash[TLOG_HASH_LEN], const char *hex)
{
    char got[2 * TLOG_HASH_LEN + 1];
    digest_hex(hash, TLOG_HASH_LEN, got);
    assert_string_equal(got, hex);
}

static int grow_set_b(void **state)
{
    struct err err;
    (void)state;
    if (digest_init(&err) < 0)
        return -1;
    for (unsigned h = 0; h < HEIGHTS; h++) {
        perfect[h] = mem_zalloc((LEAVES >> h) + 1, TLOG_HASH_LEN);
        if (perfect[h] == NULL)
            return -1;
        for (unsigned i = 0; i < (unsigned)LEAVES >> h; i++) {
            char leaf[32];
            if (h == 0)
                tlog_leaf_hash(leaf, (size_t)snprintf(leaf, sizeof(leaf), "leaf-%u", i),
                               perfect[0][i]);
            else
                tlog_node_hash(perfect[h - 1][2 * i], perfect[h - 1][2 * i + 1], perfect[h][i]);
        }
    }
    return 0;
}

static int fell_set_b(void **state)
{
    (void)state;
    for (unsigned h = 0; h < HEIGHTS; h++)
        mem_free(perfect[h]);
    return 0;
}

/* --- the definitions --- */

/* The largest power of two below N > 1. */
static uint64_t split_of(uint64_t n)
{
    uint64_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

/* MTH(D[from:from + n]); what is perfect was computed by the same rule before. */
static void define_root(uint64_t from, uint64_t n, uint8_t ret[TLOG_HASH_LEN])
{
    hash_of left, right;
    if (n == 0) {
        tlog_empty_root(ret);
        return;
    }
    unsigned h = (unsigned)__builtin_ctzll(n);
    if ((n & (n - 1)) == 0 && from % n == 0 && h < HEIGHTS) {
        memcpy(ret, perfect[h][from >> h], TLOG_HASH_LEN);
        return;
    }
    uint64_t k = split_of(n);
    define_root(from, k, left);
    define_root(from + k, n - k, right);
    tlog_node_hash(left, right, ret);
}

/* PATH(m, D[from:from + n]) */
static void define_inclusion(uint64_t m, uint64_t from, uint64_t n, struct proof *ret)
{
    if (n == 1)
        return;
    uint64_t k = split_of(n);
    if (m < k) {
        define_inclusion(m, from, k, ret);
        define_root(from + k, n - k, ret->hash[ret->count++]);
    } else {
        define_inclusion(m - k, from + k, n - k, ret);
        define_root(from, k, ret->hash[ret->count++]);
    }
}

/* SUBPROOF(m, D[from:from + n], b) */
static void define_consistency(uint64_t m, uint64_t from, uint64_t n, bool known, struct proof *ret)
{
    if (m == n) {
        if (!known)
            define_root(from, n, ret->hash[ret->count++]);
        return;
    }
    uint64_t k = split_of(n);
    if (m <= k) {
        define_consistency(m, from, k, known, ret);
        define_root(from + k, n - k, ret->hash[ret->count++]);
    } else {
        define_consistency(m - k, from + k, n - k, false, ret);
        define_root(from, k, ret->hash[ret->count++]);
    }
}

/* --- tiles of set B --- */

/* CONTEXT is the size of the tree. What does not belong to the tile is spoilt. */
static int tile_of_set_b(void *context, unsigned level, uint64_t index, unsigned width,
                         uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *err)
{
    const uint64_t *size = context;
    (void)err;
    assert_int_equal(width, tlog_tile_width(*size, level, index));
    assert_in_range(width, 1, TLOG_TILE_WIDTH);
    assert_true(level * TLOG_TILE_HEIGHT < HEIGHTS);
    memset(ret, 0xee, TLOG_TILE_WIDTH * TLOG_HASH_LEN);
    memcpy(ret, perfect[level * TLOG_TILE_HEIGHT] + index * TLOG_TILE_WIDTH,
           (size_t)width * TLOG_HASH_LEN);
    return 0;
}

static int no_tile(void *context, unsigned level, uint64_t index, unsigned width,
                   uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *err)
{
    unsigned *left = context;
    (void)level;
    (void)index;
    (void)width;
    memset(ret, 0, TLOG_TILE_WIDTH * TLOG_HASH_LEN);
    return (*left)-- > 0 ? 0 : err_set(err, RF_EIO, "no tile");
}

static void assert_same_proof(const struct proof *a, const struct proof *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->hash, b->hash, a->count * TLOG_HASH_LEN);
}

/* --- hashes --- */

static void hashes_are_those_of_rfc_6962(void **state)
{
    hash_of empty, leaf, node;
    (void)state;
    tlog_empty_root(empty);
    assert_hash(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    tlog_leaf_hash("", 1, leaf);
    assert_hash(leaf, "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7");
    tlog_leaf_hash(NULL, 0, leaf);
    assert_hash(leaf, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    tlog_node_hash(leaf, leaf, node);
    assert_hash(node, "fe43d66afa4a9a5c4f9c9da89f4ffb52635c8f342e7ffb731d68e36c5982072a");
    tlog_node_hash(leaf, leaf, leaf); /* in place */
    assert_memory_equal(leaf, node, sizeof(node));
}

/* --- paths --- */

static void paths_are_written_and_read(void **state)
{
    static const struct {
        struct tlog_path path;
        const char *text;
    } cases[] = {
        { { TLOG_FILE_CHECKPOINT, 0, 0, 0 }, "checkpoint" },
        { { TLOG_FILE_TILE, 0, 0, 256 }, "tile/0/000" },
        { { TLOG_FILE_TILE, 0, 999, 256 }, "tile/0/999" },
        { { TLOG_FILE_TILE, 0, 1000, 256 }, "tile/0/x001/000" },
        { { TLOG_FILE_TILE, 0, 999999, 1 }, "tile/0/x999/999.p/1" },
        { { TLOG_FILE_TILE, 3, 1234067, 8 }, "tile/3/x001/x234/067.p/8" },
        { { TLOG_FILE_TILE, 63, 1000000, 255 }, "tile/63/x001/x000/000.p/255" },
        { { TLOG_FILE_ENTRIES, 0, 273, 112 }, "tile/entries/273.p/112" },
        { { TLOG_FILE_ENTRIES, 0, 4294967296, 256 }, "tile/entries/x004/x294/x967/296" },
        { { TLOG_FILE_ENTRIES, 0, INT64_MAX, 255 },
          "tile/entries/x009/x223/x372/x036/x854/x775/807.p/255" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        char text[TLOG_PATH_SIZE];
        struct tlog_path got;
        tlog_path_write(&cases[i].path, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(tlog_path_read(text, strlen(text), &got), 0);
        assert_int_equal(got.file, cases[i].path.file);
        assert_int_equal(got.level, cases[i].path.level);
        assert_true(got.index == cases[i].path.index);
        assert_int_equal(got.width, cases[i].path.width);
    }
}

static void what_the_writer_would_not_write_is_no_path(void **state)
{
    static const char *const bad[] = {
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/0/x000/001",
        "tile/0/001/x234",
        "tile/0/x001",
        "tile/0/1000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/8/0/000",
        "tile/data/000",
        "tile/entries/x1/000",
        "tile/0/../0/000",
        "tile/0/000/",
        "tile/0//000",
        "",
        "/checkpoint",
        "checkpoint/",
        "tile",
        "tile/",
        "tile/entries",
        "tile/entries/",
        "tile/entries/000.p/1/",
        "tile/0/x001/x000/x000/000.P/1",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/x001/x000/x000/x000/x000/x000/x000/x000/x000/000",
    };
    struct tlog_path got;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (tlog_path_read(bad[i], strlen(bad[i]), &got) != -RF_EINVAL)
            fail_msg("taken as a path: %s", bad[i]);
    assert_int_equal(tlog_path_read("checkpoint\0", 11, &got), -RF_EINVAL);
    assert_int_equal(tlog_path_read(NULL, 0, &got), -RF_EINVAL);
}

/* Whatever is read is what would be written: by cutting and by flipping bits. */
static void a_spoilt_path_is_refused_or_is_another_path(void **state)
{
    static const char *const good[] = { "tile/3/x001/x234/067.p/8", "tile/entries/x001/000",
                                        "checkpoint" };
    unsigned read = 0;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(good); i++) {
        size_t len = strlen(good[i]);
        for (size_t bit = 0; bit < 9 * len; bit++) {
            char text[TLOG_PATH_SIZE], again[TLOG_PATH_SIZE];
            size_t n = bit < 8 * len ? len : bit - 8 * len;
            struct tlog_path got;
            memcpy(text, good[i], len + 1);
            if (bit < 8 * len)
                text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
            if (tlog_path_read(text, n, &got) < 0)
                continue;
            read++;
            tlog_path_write(&got, again);
            assert_int_equal(strlen(again), n);
            assert_memory_equal(text, again, n);
        }
    }
    assert_true(read > 10);
}

static void widths_follow_from_the_size(void **state)
{
    (void)state;
    assert_int_equal(tlog_tile_width(0, 0, 0), 0);
    assert_int_equal(tlog_tile_width(70000, 0, 0), 256);
    assert_int_equal(tlog_tile_width(70000, 0, 273), 112);
    assert_int_equal(tlog_tile_width(70000, 0, 274), 0);
    assert_int_equal(tlog_tile_width(70000, 1, 1), 17);
    assert_int_equal(tlog_tile_width(70000, 2, 0), 1);
    assert_int_equal(tlog_tile_width(70000, 3, 0), 0);
    assert_int_equal(tlog_tile_width(256, 0, 1), 0);
    assert_int_equal(tlog_tile_width(256, 1, 0), 1);
    assert_int_equal(tlog_tile_width(INT64_MAX, 7, 0), 127);
    assert_int_equal(tlog_tile_width(INT64_MAX, 8, 0), 0);
    assert_int_equal(tlog_tile_width(INT64_MAX, 63, 0), 0);
    assert_true(tlog_level_count(INT64_MAX, 0) == INT64_MAX);
    assert_int_equal(tlog_level_count(70000, 1), 273);
    assert_int_equal(tlog_level_count(UINT64_MAX, 64), 0);
}

/* --- trees --- */

struct growth {
    unsigned tiles[TREE_LEVELS];
    int fail_at; /* the tile at which to fail, or negative */
};

static int tile_became_whole(void *context, unsigned level, uint64_t index,
                             const uint8_t hashes[TLOG_TILE_WIDTH][TLOG_HASH_LEN])
{
    struct growth *g = context;
    if (g->fail_at >= 0 && g->fail_at-- == 0)
        return -RF_EDISKFULL;
    assert_int_equal(index, g->tiles[level]++);
    assert_memory_equal(hashes, perfect[level * TLOG_TILE_HEIGHT] + index * TLOG_TILE_WIDTH,
                        TLOG_TILE_WIDTH * TLOG_HASH_LEN);
    return 0;
}

static struct tree_edge *fresh_edge(void)
{
    struct tree_edge *e = mem_zalloc(1, sizeof(*e));
    assert_non_null(e);
    tree_edge_init(e);
    return e;
}

static void an_edge_has_the_root_of_every_size(void **state)
{
    struct tree_edge *e = fresh_edge();
    struct growth g = { .fail_at = -1 };
    hash_of root, wanted;
    (void)state;
    for (unsigned size = 0;; size++) {
        if (size < 700 || size % 997 < 2 || size + 3 > LEAVES || (size > 65500 && size < 65600)) {
            tree_edge_root(e, root);
            define_root(0, size, wanted);
            assert_memory_equal(root, wanted, sizeof(root));
        }
        if (size < 700) {
            tree_root_of((const hash_of *)perfect[0], size, root);
            assert_memory_equal(root, wanted, sizeof(root));
        }
        assert_true(e->size == size);
        if (size == LEAVES)
            break;
        assert_int_equal(tree_edge_add(e, perfect[0][size], tile_became_whole, &g), 0);
    }
    assert_hash(root, "881c2f4c7c3b60c864d574aab91746a167220c520a2f833d86eee6dfefb9accb");
    assert_int_equal(g.tiles[0], 273);
    assert_int_equal(g.tiles[1], 1);
    assert_int_equal(g.tiles[2], 0);
    assert_int_equal(e->width[0], 112);
    assert_int_equal(e->width[1], 17);
    assert_int_equal(e->width[2], 1);
    mem_free(e);
}

static void roots_are_those_of_the_vectors(void **state)
{
    static const struct {
        unsigned size;
        const char *root;
    } cases[] = {
        { 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { 1, "305df59f9590c3c9ac63d2b2743c388e3792449078cebf7fb3dbe6471643b2b7" },
        { 2, "60a53eed0de87a90c8e59427c59c46253c33a76a09502a51801300927b7e6bdc" },
        { 255, "3de22a1a5c13f8ad7c6fdf034305190d870b7a72b99cf69e9cdd6f7e5430c136" },
        { 256, "f7ed5eb44be61908cdf66bb316813dc75442aa2a5b307177c06c728271356c91" },
        { 257, "45d7e207b9bd948a0b1e55162edc386453c8a9853b5f3c457e25716c0be98ec2" },
        { 65535, "5ac7f6db62a0c709e2e133684ac16bb8553dc3d8751d6c0da8cb16f8d3e283a3" },
        { 65536, "ec5508a6afc734d23d4d0bac34186d37dc19de90e5327c19ec0389fa8aac59d3" },
        { 65537, "4af169ab552f4387985b7a50005e99a33ec8ae521eeb8ed4f5baef6982748585" },
        { 70000, "881c2f4c7c3b60c864d574aab91746a167220c520a2f833d86eee6dfefb9accb" },
    };
    struct err err;
    uint64_t tree_size = LEAVES;
    const struct tile_source tiles = { tile_of_set_b, &tree_size };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(cases); i++) {
        hash_of root;
        define_root(0, cases[i].size, root);
        assert_hash(root, cases[i].root);
        tree_root_of((const hash_of *)perfect[0], cases[i].size, root);
        assert_hash(root, cases[i].root);
        assert_int_equal(proof_root(&tiles, cases[i].size, tree_size, root, &err), 0);
        assert_hash(root, cases[i].root);
    }
}

static void a_failure_to_keep_a_tile_ends_the_growth(void **state)
{
    struct tree_edge *e = fresh_edge();
    struct growth g = { .fail_at = 0 };
    (void)state;
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(tree_edge_add(e, perfect[0][i], tile_became_whole, &g), 0);
    assert_int_equal(tree_edge_add(e, perfect[0][255], tile_became_whole, &g), -RF_EDISKFULL);
    mem_free(e);
}

static void an_edge_is_full_before_sizes_turn_negative_elsewhere(void **state)
{
    struct tree_edge *e = fresh_edge();
    (void)state;
    e->size = (uint64_t)INT64_MAX - 1;
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        e->width[level] = level == 7 ? 127 : level == 0 ? 254 : 255;
    assert_int_equal(tree_edge_add(e, perfect[0][0], NULL, NULL), 0);
    assert_int_equal(tree_edge_add(e, perfect[0][0], NULL, NULL), -RF_ETOOBIG);
    mem_free(e);
}

/* --- proofs --- */

static void check_inclusion(uint64_t index, uint64_t size, const hash_of root, bool from_list)
{
    const struct tile_source tiles = { tile_of_set_b, &size };
    struct proof wanted = { 0 }, got;
    struct err err;
    define_inclusion(index, 0, size, &wanted);
    assert_int_equal(proof_inclusion(&tiles, index, size, &got, &err), 0);
    assert_same_proof(&got, &wanted);
    assert_true(proof_inclusion_holds(&got, index, size, perfect[0][index], root));
    if (!from_list)
        return;
    assert_int_equal(proof_inclusion_of((const hash_of *)perfect[0], size, index, &got), 0);
    assert_same_proof(&got, &wanted);
}

static void check_consistency(uint64_t old_size, uint64_t size, const hash_of root, bool from_list)
{
    const struct tile_source tiles = { tile_of_set_b, &size };
    struct proof wanted = { 0 }, got;
    struct err err;
    hash_of old_root;
    define_root(0, old_size, old_root);
    if (old_size > 0)
        define_consistency(old_size, 0, size, true, &wanted);
    assert_int_equal(proof_consistency(&tiles, old_size, size, &got, &err), 0);
    assert_same_proof(&got, &wanted);
    assert_true(proof_consistency_holds(&got, old_size, size, old_root, root));
    if (!from_list)
        return;
    assert_int_equal(proof_consistency_of((const hash_of *)perfect[0], size, old_size, &got), 0);
    assert_same_proof(&got, &wanted);
}

static void every_proof_of_small_trees_follows_the_definition(void **state)
{
    (void)state;
    for (uint64_t size = 0; size <= 257; size = size == 129 ? 255 : size + 1) {
        hash_of root;
        define_root(0, size, root);
        for (uint64_t i = 0; i <= size; i++) {
            if (i < size)
                check_inclusion(i, size, root, true);
            check_consistency(i, size, root, true);
        }
    }
}

static void proofs_of_large_trees_follow_the_definition(void **state)
{
    static const uint64_t sizes[] = { 65535, 65536, 65537, 70000 };
    (void)state;
    for (size_t s = 0; s < RF_COUNT(sizes); s++) {
        uint64_t size = sizes[s];
        hash_of root;
        define_root(0, size, root);
        for (uint64_t i = 0; i < size; i++) {
            bool edge = i < 3 || size - i < 4 || (i >= 65534 && i <= 65538) || i % 256 == 255;
            if (i % 509 != 0 && !edge)
                continue;
            check_inclusion(i, size, root, false);
            check_consistency(i, size, root, false);
        }
        check_consistency(size, size, root, false);
    }
}

static void spoilt_inclusion_proofs_do_not_hold(void **state)
{
    (void)state;
    for (uint64_t size = 1; size < 40; size++) {
        hash_of root;
        define_root(0, size, root);
        for (uint64_t i = 0; i < size; i++) {
            struct proof p, bad;
            const uint8_t *leaf = perfect[0][i];
            assert_int_equal(proof_inclusion_of((const hash_of *)perfect[0], size, i, &p), 0);
            assert_true(proof_inclusion_holds(&p, i, size, leaf, root));
            for (unsigned at = 0; at < p.count; at++) {
                bad = p; /* a bit flipped */
                bad.hash[at][i % 32] ^= (uint8_t)(1 << at % 8);
                assert_false(proof_inclusion_holds(&bad, i, size, leaf, root));
                bad = p; /* a hash removed */
                memmove(bad.hash[at], bad.hash[at + 1], (p.count - at - 1) * TLOG_HASH_LEN);
                bad.count--;
                assert_false(proof_inclusion_holds(&bad, i, size, leaf, root));
            }
            for (unsigned at = 0; at <= p.count; at++) { /* one added */
                bad = p;
                memmove(bad.hash[at + 1], bad.hash[at], (p.count - at) * TLOG_HASH_LEN);
                bad.count++;
                assert_false(proof_inclusion_holds(&bad, i, size, leaf, root));
            }
            for (uint64_t other = 0; other < size + 2; other++)
                if (other != i)
                    assert_false(proof_inclusion_holds(&p, other, size, leaf, root));
            assert_false(proof_inclusion_holds(&p, i, size, perfect[0][i + 1], root));
            assert_false(proof_inclusion_holds(&p, i, size, leaf, leaf) && size > 1);
            assert_false(proof_inclusion_holds(&p, i, UINT64_MAX, leaf, root));
            assert_false(proof_inclusion_holds(&p, i, 0, leaf, root));
            bad = p;
            bad.count = PROOF_MAX + 1;
            assert_false(proof_inclusion_holds(&bad, i, size, leaf, root));
        }
    }
}

static void spoilt_consistency_proofs_do_not_hold(void **state)
{
    (void)state;
    for (uint64_t size = 0; size < 40; size++) {
        hash_of root, old_root;
        define_root(0, size, root);
        for (uint64_t old = 0; old <= size; old++) {
            struct proof p, bad;
            define_root(0, old, old_root);
            assert_int_equal(proof_consistency_of((const hash_of *)perfect[0], size, old, &p), 0);
            assert_true(proof_consistency_holds(&p, old, size, old_root, root));
            for (unsigned at = 0; at < p.count; at++) {
                bad = p;
                bad.hash[at][old % 32] ^= (uint8_t)(1 << at % 8);
                assert_false(proof_consistency_holds(&bad, old, size, old_root, root));
                bad = p;
                memmove(bad.hash[at], bad.hash[at + 1], (p.count - at - 1) * TLOG_HASH_LEN);
                bad.count--;
                assert_false(proof_consistency_holds(&bad, old, size, old_root, root));
            }
            for (unsigned at = 0; at <= p.count; at++) {
                bad = p;
                memmove(bad.hash[at + 1], bad.hash[at], (p.count - at) * TLOG_HASH_LEN);
                memcpy(bad.hash[at], root, sizeof(root));
                bad.count++;
                assert_false(proof_consistency_holds(&bad, old, size, old_root, root));
            }
            if (old > 0 && old < size) {
                bad = (struct proof){ 0 };
                assert_false(proof_consistency_holds(&bad, old, size, old_root, root));
                assert_false(proof_consistency_holds(&p, old, size, root, root));
                assert_false(proof_consistency_holds(&p, old, size, old_root, old_root));
            }
            assert_false(proof_consistency_holds(&p, size + 1, size, root, root));
            assert_false(proof_consistency_holds(&p, 0, size, perfect[0][7], root));
            assert_false(proof_consistency_holds(&p, old, UINT64_MAX, old_root, root));
        }
    }
}

/* A root of another shape than its size has: the hashes would fit, the way up would be too long. */
static void a_proof_longer_than_its_tree_is_high_does_not_hold(void **state)
{
    struct proof p = { .count = 1 };
    hash_of root, higher;
    (void)state;
    memcpy(p.hash[0], perfect[0][1], TLOG_HASH_LEN);
    tlog_node_hash(p.hash[0], perfect[0][0], root);
    assert_false(proof_inclusion_holds(&p, 0, 1, perfect[0][0], root));
    tlog_node_hash(perfect[0][0], p.hash[0], root);
    assert_false(proof_inclusion_holds(&p, 0, 1, perfect[0][0], root));
    assert_true(proof_inclusion_holds(&p, 0, 2, perfect[0][0], root));
    p.count = 2;
    memcpy(p.hash[1], perfect[0][2], TLOG_HASH_LEN);
    tlog_node_hash(p.hash[1], root, higher);
    assert_false(proof_inclusion_holds(&p, 0, 2, perfect[0][0], higher));
    hash_of old_root;
    assert_int_equal(proof_consistency_of((const hash_of *)perfect[0], 4, 3, &p), 0);
    define_root(0, 3, old_root);
    define_root(0, 4, root);
    assert_true(proof_consistency_holds(&p, 3, 4, old_root, root));
    memcpy(p.hash[p.count++], perfect[0][5], TLOG_HASH_LEN);
    tlog_node_hash(perfect[0][5], old_root, old_root);
    tlog_node_hash(perfect[0][5], root, root);
    assert_false(proof_consistency_holds(&p, 3, 4, old_root, root));
}

static void proofs_of_what_is_not_there_are_not_made(void **state)
{
    uint64_t size = 1000;
    const struct tile_source tiles = { tile_of_set_b, &size };
    const hash_of *leaves = (const hash_of *)perfect[0];
    struct proof p;
    struct err err;
    hash_of root;
    (void)state;
    assert_int_equal(proof_inclusion(&tiles, 1000, 1000, &p, &err), -RF_EINVAL);
    assert_int_equal(proof_inclusion(&tiles, 0, 0, &p, &err), -RF_EINVAL);
    assert_int_equal(proof_inclusion(&tiles, 0, UINT64_MAX, &p, &err), -RF_EINVAL);
    assert_int_equal(proof_consistency(&tiles, 1001, 1000, &p, &err), -RF_EINVAL);
    assert_int_equal(proof_consistency(&tiles, 1, UINT64_MAX, &p, &err), -RF_EINVAL);
    assert_int_equal(proof_root(&tiles, 1001, 1000, root, &err), -RF_EINVAL);
    assert_int_equal(proof_inclusion_of(leaves, 10, 10, &p), -RF_EINVAL);
    assert_int_equal(proof_consistency_of(leaves, 10, 11, &p), -RF_EINVAL);
}

static void a_tile_that_cannot_be_read_ends_the_proof(void **state)
{
    (void)state;
    for (unsigned good = 0; good < 3; good++) {
        unsigned left = good;
        const struct tile_source tiles = { no_tile, &left };
        struct err err = { 0 };
        struct proof p;
        hash_of root;
        assert_int_equal(proof_inclusion(&tiles, 65536, 70000, &p, &err), -RF_EIO);
        assert_string_equal(err.line, "no tile");
        left = good;
        assert_int_equal(proof_consistency(&tiles, 66001, 70000, &p, &err), -RF_EIO);
        left = good;
        assert_int_equal(proof_root(&tiles, 70000, 70000, root, &err), -RF_EIO);
    }
}

/* The largest trees: only the shape can be checked, with tiles of zeros. */
static void proofs_of_the_largest_trees_stay_within_bounds(void **state)
{
    uint64_t size = INT64_MAX;
    struct proof p;
    struct err err;
    unsigned many = 1000;
    const struct tile_source tiles = { no_tile, &many };
    (void)state;
    assert_int_equal(proof_inclusion(&tiles, 0, size, &p, &err), 0);
    assert_int_equal(p.count, 63);
    assert_int_equal(proof_inclusion(&tiles, size - 1, size, &p, &err), 0);
    assert_int_equal(p.count, 62);
    assert_int_equal(proof_consistency(&tiles, size - 1, size, &p, &err), 0);
    many = 1000;
    assert_int_equal(proof_consistency(&tiles, 3, size, &p, &err), -RF_ETOOBIG);
}

/* --- bundles --- */

static void a_bundle_reads_as_it_was_written(void **state)
{
    static const uint8_t zeros[300];
    struct bundle_entry got[TLOG_TILE_WIDTH];
    struct buf b;
    hash_of digest;
    char *large = mem_zalloc(1, BUNDLE_ENTRY_MAX + 1);
    (void)state;
    assert_non_null(large);
    memset(large, 'x', BUNDLE_ENTRY_MAX + 1);
    buf_init(&b, BUNDLE_MAX);
    assert_int_equal(bundle_entry_write(&b, NULL, 0), 0);
    assert_int_equal(bundle_entry_write(&b, "a", 1), 0);
    assert_int_equal(bundle_entry_write(&b, zeros, sizeof(zeros)), 0);
    assert_int_equal(bundle_entry_write(&b, large, BUNDLE_ENTRY_MAX), 0);
    assert_int_equal(bundle_entry_write(&b, large, BUNDLE_ENTRY_MAX + 1), -RF_ETOOBIG);
    assert_int_equal(buf_len(&b), 65844);
    struct iovec piece = digest_piece(buf_at(&b), buf_len(&b));
    digest_pieces(&piece, 1, digest);
    assert_hash(digest, "e3e2f467cbc7c077b263fbd3410b6ac6cb8e078c756876d05ff23b9f9e32ed86");
    assert_int_equal(bundle_read(buf_at(&b), buf_len(&b), 4, got), 0);
    assert_int_equal(got[0].len, 0);
    assert_int_equal(got[1].len, 1);
    assert_memory_equal(got[1].bytes, "a", 1);
    assert_int_equal(got[2].len, 300);
    assert_int_equal(got[3].len, BUNDLE_ENTRY_MAX);
    assert_memory_equal(got[3].bytes, large, BUNDLE_ENTRY_MAX);
    assert_int_equal(bundle_read(buf_at(&b), buf_len(&b), 3, got), -RF_EPROTO);
    assert_int_equal(bundle_read(buf_at(&b), buf_len(&b), 5, got), -RF_EPROTO);
    assert_int_equal(bundle_read(buf_at(&b), buf_len(&b), 257, got), -RF_EPROTO);
    assert_int_equal(bundle_read(NULL, 0, 0, got), 0);
    buf_done(&b);
    buf_init(&b, 10); /* too small for the second: it is left out whole */
    assert_int_equal(bundle_entry_write(&b, "leaf-0", 6), 0);
    assert_int_equal(bundle_entry_write(&b, "leaf-1", 6), -RF_ETOOBIG);
    assert_int_equal(buf_len(&b), 8);
    buf_done(&b);
    mem_free(large);
}

static void a_bundle_cut_at_any_length_is_refused(void **state)
{
    struct bundle_entry got[TLOG_TILE_WIDTH];
    static const char two[] = "\0\6leaf-0\0\6leaf-1";
    (void)state;
    for (size_t cut = 0; cut < sizeof(two) - 1; cut++) {
        uint8_t *bytes = mem_zalloc(1, cut + 1); /* its end is guarded under ASan */
        assert_non_null(bytes);
        memcpy(bytes + 1, two, cut);
        assert_int_equal(bundle_read(bytes + 1, cut, 2, got), -RF_EPROTO);
        mem_free(bytes);
    }
    assert_int_equal(bundle_read(two, sizeof(two) - 1, 2, got), 0);
    assert_int_equal(bundle_read(two, sizeof(two), 2, got), -RF_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_rfc_6962),
        cmocka_unit_test(paths_are_written_and_read),
        cmocka_unit_test(what_the_writer_would_not_write_is_no_path),
        cmocka_unit_test(a_spoilt_path_is_refused_or_is_another_path),
        cmocka_unit_test(widths_follow_from_the_size),
        cmocka_unit_test(an_edge_has_the_root_of_every_size),
        cmocka_unit_test(roots_are_those_of_the_vectors),
        cmocka_unit_test(a_failure_to_keep_a_tile_ends_the_growth),
        cmocka_unit_test(an_edge_is_full_before_sizes_turn_negative_elsewhere),
        cmocka_unit_test(every_proof_of_small_trees_follows_the_definition),
        cmocka_unit_test(proofs_of_large_trees_follow_the_definition),
        cmocka_unit_test(spoilt_inclusion_proofs_do_not_hold),
        cmocka_unit_test(spoilt_consistency_proofs_do_not_hold),
        cmocka_unit_test(a_proof_longer_than_its_tree_is_high_does_not_hold),
        cmocka_unit_test(proofs_of_what_is_not_there_are_not_made),
        cmocka_unit_test(a_tile_that_cannot_be_read_ends_the_proof),
        cmocka_unit_test(proofs_of_the_largest_trees_stay_within_bounds),
        cmocka_unit_test(a_bundle_reads_as_it_was_written),
        cmocka_unit_test(a_bundle_cut_at_any_length_is_refused),
    };
    return cmocka_run_group_tests(tests, grow_set_b, fell_set_b);
}
