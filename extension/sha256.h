/* sha256.h - SHA-256 (FIPS 180-4) of a few short pieces, for which PostgreSQL's own takes an object
 * from OpenSSL each time, three times as dear as the hash itself. */
#ifndef RINGFENCE_SHA256_H
#define RINGFENCE_SHA256_H

#include "postgres.h"

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

enum { SHA256_LENGTH = 32, SHA256_BLOCK = 64 };

struct sha256 {
    uint32 state[8];
    uint64 len; /* bytes so far */
    uint8 block[SHA256_BLOCK];
};

static inline uint32 sha256_near(uint32 word, int a, int b, int shift)
{
    return pg_rotate_right32(word, a) ^ pg_rotate_right32(word, b) ^ word >> shift;
}

static inline uint32 sha256_far(uint32 word, int a, int b, int c)
{
    return pg_rotate_right32(word, a) ^ pg_rotate_right32(word, b) ^ pg_rotate_right32(word, c);
}

static inline void sha256_block(uint32 state[8], const uint8 *block)
{
    static const uint32 k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2
    };
    uint32 w[64], s[8];

    for (int i = 0; i < 16; i++) {
        memcpy(&w[i], block + 4 * i, 4);
        w[i] = pg_ntoh32(w[i]);
    }
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + sha256_near(w[i - 15], 7, 18, 3) +
               sha256_near(w[i - 2], 17, 19, 10);
    memcpy(s, state, sizeof(s));
    for (int i = 0; i < 64; i += 8) {
        /* The letters move on, not the values: the eighth round is as the first. Unrolled, all of
           them stay in registers, which is a third of the time. */
#pragma GCC unroll 8
        for (int n = 0; n < 8; n++) {
            uint32 a = s[-n & 7], b = s[(1 - n) & 7], c = s[(2 - n) & 7], e = s[(4 - n) & 7];
            uint32 one = s[(7 - n) & 7] + k[i + n] + w[i + n] +
                         ((e & s[(5 - n) & 7]) ^ (~e & s[(6 - n) & 7])) + sha256_far(e, 6, 11, 25);
            s[(3 - n) & 7] += one;
            s[(7 - n) & 7] = one + ((a & b) ^ (a & c) ^ (b & c)) + sha256_far(a, 2, 13, 22);
        }
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static inline void sha256_begin(struct sha256 *hash)
{
    static const uint32 first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

    memcpy(hash->state, first, sizeof(first));
    hash->len = 0;
}

static inline void sha256_add(struct sha256 *hash, const void *piece, Size len)
{
    const uint8 *at = piece;

    while (len > 0) {
        Size have = hash->len % SHA256_BLOCK, some = Min(len, SHA256_BLOCK - have);
        memcpy(hash->block + have, at, some);
        hash->len += some;
        at += some;
        len -= some;
        if (have + some == SHA256_BLOCK)
            sha256_block(hash->state, hash->block);
    }
}

static inline void sha256_end(struct sha256 *hash, uint8 ret[SHA256_LENGTH])
{
    static const uint8 padding[SHA256_BLOCK] = { 0x80 };
    uint64 bits = pg_hton64(hash->len * 8);
    Size have = hash->len % SHA256_BLOCK;

    sha256_add(hash, padding, (have < 56 ? 56 : 120) - have);
    sha256_add(hash, &bits, sizeof(bits));
    for (int i = 0; i < 8; i++) {
        uint32 word = pg_hton32(hash->state[i]);
        memcpy(ret + 4 * i, &word, sizeof(word));
    }
}

#endif
