/* siphash.h - SipHash-2-4, a keyed function of short inputs (Aumasson and Bernstein, 2012).
 *
 * Without the key its values cannot be told from random ones, however many pairs of input and
 * output somebody has seen or chosen. */
#ifndef RINGFENCE_SIPHASH_H
#define RINGFENCE_SIPHASH_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct siphash_key {
    uint64_t k0, k1;
};

struct siphash {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t siphash_turn(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void siphash_rounds(struct siphash *s, int count)
{
    while (count-- > 0) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = siphash_turn(s->v1, 13) ^ s->v0;
        s->v3 = siphash_turn(s->v3, 16) ^ s->v2;
        s->v0 = siphash_turn(s->v0, 32) + s->v3;
        s->v2 += s->v1;
        s->v3 = siphash_turn(s->v3, 21) ^ s->v0;
        s->v1 = siphash_turn(s->v1, 17) ^ s->v2;
        s->v2 = siphash_turn(s->v2, 32);
    }
}

static inline void siphash_word(struct siphash *s, uint64_t word)
{
    s->v3 ^= word;
    siphash_rounds(s, 2);
    s->v0 ^= word;
}

static inline struct siphash siphash_begin(struct siphash_key key)
{
    return (struct siphash){ key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d,
                             key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573 };
}

static inline uint64_t siphash_end(struct siphash *s)
{
    s->v2 ^= 0xff;
    siphash_rounds(s, 4);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Of the 8 bytes of A, or of the 16 of A and B, in little-endian order. */
static inline uint64_t siphash_of_one(struct siphash_key key, uint64_t a)
{
    struct siphash s = siphash_begin(key);
    siphash_word(&s, a);
    siphash_word(&s, (uint64_t)8 << 56);
    return siphash_end(&s);
}

static inline uint64_t siphash_of_two(struct siphash_key key, uint64_t a, uint64_t b)
{
    struct siphash s = siphash_begin(key);
    siphash_word(&s, a);
    siphash_word(&s, b);
    siphash_word(&s, (uint64_t)16 << 56);
    return siphash_end(&s);
}

/* The variant with 128 bits, of any bytes. */
static inline void siphash_of_bytes(struct siphash_key key, const void *bytes, size_t len,
                                    uint8_t ret[16])
{
    const uint8_t *at = bytes;
    struct siphash s = siphash_begin(key);
    uint64_t word, half;
    s.v1 ^= 0xee;
    for (size_t left = len; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        siphash_word(&s, le64toh(word));
    }
    word = (uint64_t)len << 56;
    for (size_t i = 0; i < len % 8; i++)
        word |= (uint64_t)at[i] << (8 * i);
    siphash_word(&s, word);
    s.v2 ^= 0xee;
    siphash_rounds(&s, 4);
    half = htole64(s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
    memcpy(ret, &half, 8);
    s.v1 ^= 0xdd;
    siphash_rounds(&s, 4);
    half = htole64(s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
    memcpy(ret + 8, &half, 8);
}

#endif
