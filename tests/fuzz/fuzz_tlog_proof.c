/* fuzz_tlog_proof.c - any bytes as a stand-alone proof and as a witness's request: refused, or
 * written back the same. The hashes of what was read are then tried as proofs over a small tree,
 * where nothing but the one right proof may hold. */
#include <stdint.h>
#include <string.h>

#include "tlog/prooffile.h"
#include "tlog/tree.h"
#include "tlog/witness_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEAVES = 37 };
static uint8_t leaves[LEAVES][TLOG_HASH_LEN], roots[LEAVES + 1][TLOG_HASH_LEN];

static void plant(void)
{
    struct err err;
    if (leaves[0][0] != 0 || leaves[0][1] != 0)
        return;
    RF_ASSERT(digest_init(&err) == 0);
    for (uint8_t i = 0; i < LEAVES; i++)
        tlog_leaf_hash(&i, 1, leaves[i]);
    for (unsigned n = 0; n <= LEAVES; n++)
        tree_root_of((const uint8_t(*)[TLOG_HASH_LEN])leaves, n, roots[n]);
}

static bool is_same(const struct proof *a, const struct proof *b)
{
    return a->count == b->count && memcmp(a->hash, b->hash, a->count * TLOG_HASH_LEN) == 0;
}

static void try_proof(const struct proof *p, uint64_t number, size_t other)
{
    const uint8_t(*all)[TLOG_HASH_LEN] = (const uint8_t(*)[TLOG_HASH_LEN])leaves;
    struct proof right;
    uint64_t size = 1 + other % LEAVES, index = number % size, old = number % (size + 1);
    RF_ASSERT(proof_inclusion_of(all, size, index, &right) == 0);
    RF_ASSERT(proof_inclusion_holds(&right, index, size, leaves[index], roots[size]));
    RF_ASSERT(proof_inclusion_holds(p, index, size, leaves[index], roots[size]) ==
              is_same(p, &right));
    RF_ASSERT(proof_consistency_of(all, size, old, &right) == 0);
    RF_ASSERT(proof_consistency_holds(&right, old, size, roots[old], roots[size]));
    RF_ASSERT(proof_consistency_holds(p, old, size, roots[old], roots[size]) == is_same(p, &right));
    /* sizes as they come: no loop without end, no shift too far */
    (void)proof_inclusion_holds(p, number, number + other, leaves[0], roots[1]);
    (void)proof_consistency_holds(p, other, number, roots[1], roots[2]);
}

static void check_same(struct buf *b, const uint8_t *data, size_t size)
{
    RF_ASSERT(buf_len(b) == size && memcmp(buf_at(b), data, size) == 0);
    buf_done(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct prooffile file;
    static struct witness_request request;
    struct err err;
    struct buf b;
    plant();
    buf_init(&b, PROOFFILE_MAX);
    if (prooffile_read((const char *)data, size, &file, &err) == 0) {
        RF_ASSERT(prooffile_write(&b, &file) == 0);
        check_same(&b, data, size);
        try_proof(&file.proof, file.index, file.checkpoint_len);
    }
    if (witness_request_read((const char *)data, size, &request, &err) == 0) {
        RF_ASSERT(witness_request_write(&b, &request) == 0);
        check_same(&b, data, size);
        try_proof(&request.proof, request.old_size, request.checkpoint_len);
    }
    return 0;
}
