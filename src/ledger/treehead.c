#include "ledger/treehead.h"

#include <string.h>

void treehead_init(struct treehead *t)
{
    t->size = 0;
}

static void node(const uint8_t left[DIGEST_LEN], const uint8_t right[DIGEST_LEN],
                 uint8_t ret[DIGEST_LEN])
{
    const struct iovec pieces[] = { digest_piece("\x01", 1), digest_piece(left, DIGEST_LEN),
                                    digest_piece(right, DIGEST_LEN) };
    digest_pieces(pieces, RF_COUNT(pieces), ret);
}

void treehead_add(struct treehead *t, const void *leaf, size_t n)
{
    const struct iovec pieces[] = { digest_piece("\x00", 1), digest_piece(leaf, n) };
    unsigned count = (unsigned)__builtin_popcountll(t->size);
    RF_ASSERT(t->size < UINT64_MAX); /* so that there is always room for one more peak */
    digest_pieces(pieces, RF_COUNT(pieces), t->peaks[count]);
    /* Like a carry: two subtrees of one size become one of the next. */
    for (uint64_t carry = t->size; (carry & 1) != 0; carry >>= 1, count--)
        node(t->peaks[count - 1], t->peaks[count], t->peaks[count - 1]);
    t->size++;
}

void treehead_root(const struct treehead *t, uint8_t ret[DIGEST_LEN])
{
    unsigned count = (unsigned)__builtin_popcountll(t->size);
    if (count == 0) {
        digest_pieces(NULL, 0, ret);
        return;
    }
    memcpy(ret, t->peaks[count - 1], DIGEST_LEN);
    while (--count > 0)
        node(t->peaks[count - 1], ret, ret);
}
