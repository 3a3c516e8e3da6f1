#include "verify/sample.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void big_endian(uint64_t value, size_t n, uint8_t *ret)
{
    for (size_t i = 0; i < n; i++)
        ret[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static uint64_t word(const struct checkpoint *c, const char *seed, uint64_t i)
{
    static const char domain[] = "ringfence-audit@1\n";
    uint8_t origin_len[2], size[8], seed_len[2], at[8], digest[DIGEST_LEN];
    uint64_t x = 0;
    big_endian(strlen(c->origin), sizeof(origin_len), origin_len);
    big_endian(c->size, sizeof(size), size);
    big_endian(strlen(seed), sizeof(seed_len), seed_len);
    big_endian(i, sizeof(at), at);
    const struct iovec pieces[] = {
        digest_piece(domain, sizeof(domain) - 1),   digest_piece(origin_len, sizeof(origin_len)),
        digest_piece(c->origin, strlen(c->origin)), digest_piece(size, sizeof(size)),
        digest_piece(c->root, sizeof(c->root)),     digest_piece(seed_len, sizeof(seed_len)),
        digest_piece(seed, strlen(seed)),           digest_piece(at, sizeof(at))
    };
    digest_pieces(pieces, RF_COUNT(pieces), digest);
    for (int k = 0; k < 8; k++)
        x = x << 8 | digest[k];
    return x;
}

/* Into the sorted list, unless it is there. */
static bool insert(uint64_t *list, size_t n, uint64_t value)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < n && list[low] == value)
        return false;
    memmove(list + low + 1, list + low, (n - low) * sizeof(*list));
    list[low] = value;
    return true;
}

size_t sample_pick(const struct checkpoint *c, const char *seed, size_t count, uint64_t *ret)
{
    size_t n = 0;
    if (c->size <= count) {
        for (; n < c->size; n++)
            ret[n] = n;
        return n;
    }
    uint64_t rest = (UINT64_MAX % c->size + 1) % c->size; /* 2^64 mod size */
    for (uint64_t i = 0; n < count; i++) {
        uint64_t x = word(c, seed, i);
        if (rest == 0 || x <= UINT64_MAX - rest)
            n += insert(ret, n, x % c->size);
    }
    return n;
}
