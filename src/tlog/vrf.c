#include "tlog/vrf.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

/* The construction of draft-irtf-cfrg-vrf-11, section 5, with the suite of c2sp.org/vrf-r255. Every
 * hash begins with the suite's name and a byte that says what it is for, so that no output of one
 * use can stand for another:
 *
 *     0x82  alpha to a group element H       0x02  the challenge c
 *     0x81  the nonce k                      0x03  the output
 *
 * libsodium's ristretto255 takes canonical encodings only and runs in constant time for the scalar;
 * its encoding of the identity is 32 zero bytes. Secret are x and k, and what they are made from:
 * those are wiped. H, Gamma and the output are the caller's business. */

static const uint8_t suite[] = "\xff"
                               "c2sp.org/vrf-r255";

enum {
    POINT_LEN = crypto_core_ristretto255_BYTES,
    SCALAR_LEN = crypto_core_ristretto255_SCALARBYTES,
    WIDE_LEN = crypto_core_ristretto255_NONREDUCEDSCALARBYTES,
    CHALLENGE_LEN = 16,
    SUITE_LEN = sizeof(suite) - 1
};

_Static_assert((int)VRF_SECRET_LEN == (int)SCALAR_LEN, "a secret is a scalar");
_Static_assert((int)VRF_PUBLIC_LEN == (int)POINT_LEN, "a public key is an element");
_Static_assert((int)VRF_PROOF_LEN == POINT_LEN + CHALLENGE_LEN + SCALAR_LEN, "Gamma, c, s");
_Static_assert(VRF_OUTPUT_LEN == crypto_hash_sha512_BYTES, "the output is a digest");
_Static_assert(WIDE_LEN == crypto_hash_sha512_BYTES, "a digest reduces to a scalar");

static void hash_begin(crypto_hash_sha512_state *h, uint8_t domain)
{
    crypto_hash_sha512_init(h);
    crypto_hash_sha512_update(h, suite, SUITE_LEN);
    crypto_hash_sha512_update(h, &domain, 1);
}

/* Is it the one encoding of a number 1..q-1? In constant time: it may be a secret. */
static bool is_scalar(const uint8_t scalar[SCALAR_LEN])
{
    uint8_t wide[WIDE_LEN] = { 0 }, reduced[SCALAR_LEN];
    memcpy(wide, scalar, SCALAR_LEN);
    crypto_core_ristretto255_scalar_reduce(reduced, wide);
    bool same = sodium_memcmp(reduced, scalar, SCALAR_LEN) == 0;
    bool zero = sodium_is_zero(scalar, SCALAR_LEN) == 1;
    sodium_memzero(wide, sizeof(wide));
    sodium_memzero(reduced, sizeof(reduced));
    return same && !zero;
}

/* Any element but the identity, in its one encoding. */
static bool is_element(const uint8_t point[POINT_LEN])
{
    return crypto_core_ristretto255_is_valid_point(point) == 1 &&
           sodium_is_zero(point, POINT_LEN) == 0;
}

/* encode_to_curve, salted with the public key. */
static void element_of(const uint8_t public[VRF_PUBLIC_LEN], const void *alpha, size_t n,
                       uint8_t ret[POINT_LEN])
{
    crypto_hash_sha512_state h;
    uint8_t digest[crypto_hash_sha512_BYTES];
    hash_begin(&h, 0x82);
    crypto_hash_sha512_update(&h, public, VRF_PUBLIC_LEN);
    crypto_hash_sha512_update(&h, alpha, n);
    crypto_hash_sha512_final(&h, digest);
    (void)crypto_core_ristretto255_from_hash(ret, digest); /* maps every digest */
}

static void nonce_of(const uint8_t secret[VRF_SECRET_LEN], const uint8_t element[POINT_LEN],
                     uint8_t ret[SCALAR_LEN])
{
    crypto_hash_sha512_state h;
    uint8_t digest[crypto_hash_sha512_BYTES];
    hash_begin(&h, 0x81);
    crypto_hash_sha512_update(&h, secret, VRF_SECRET_LEN);
    crypto_hash_sha512_update(&h, element, POINT_LEN);
    crypto_hash_sha512_final(&h, digest);
    crypto_core_ristretto255_scalar_reduce(ret, digest);
    sodium_memzero(&h, sizeof(h));
    sodium_memzero(digest, sizeof(digest));
}

/* Of five elements in this order: public key, H, Gamma, k*B, k*H. */
static void challenge_of(const uint8_t *const points[5], uint8_t ret[CHALLENGE_LEN])
{
    crypto_hash_sha512_state h;
    uint8_t digest[crypto_hash_sha512_BYTES];
    hash_begin(&h, 0x02);
    for (int i = 0; i < 5; i++)
        crypto_hash_sha512_update(&h, points[i], POINT_LEN);
    crypto_hash_sha512_update(&h, (const uint8_t *)"", 1);
    crypto_hash_sha512_final(&h, digest);
    memcpy(ret, digest, CHALLENGE_LEN);
}

static void output_of(const uint8_t gamma[POINT_LEN], uint8_t ret[VRF_OUTPUT_LEN])
{
    crypto_hash_sha512_state h;
    hash_begin(&h, 0x03);
    crypto_hash_sha512_update(&h, gamma, POINT_LEN); /* the cofactor is 1 */
    crypto_hash_sha512_update(&h, (const uint8_t *)"", 1);
    crypto_hash_sha512_final(&h, ret);
}

/* SCALAR * POINT, and SCALAR * B. A product that is the identity is no failure here: libsodium
   leaves its encoding and says -1. POINT is an element. */
static void multiply(uint8_t ret[POINT_LEN], const uint8_t scalar[SCALAR_LEN],
                     const uint8_t point[POINT_LEN])
{
    memset(ret, 0, POINT_LEN);
    RF_NEGLECT(crypto_scalarmult_ristretto255(ret, scalar, point));
}

static void multiply_base(uint8_t ret[POINT_LEN], const uint8_t scalar[SCALAR_LEN])
{
    memset(ret, 0, POINT_LEN);
    RF_NEGLECT(crypto_scalarmult_ristretto255_base(ret, scalar));
}

int vrf_secret_make(uint8_t ret[VRF_SECRET_LEN])
{
    if (sodium_init() < 0)
        return -RF_EBUG;
    crypto_core_ristretto255_scalar_random(ret); /* 1..q-1 */
    return 0;
}

int vrf_public_of(const uint8_t secret[VRF_SECRET_LEN], uint8_t ret[VRF_PUBLIC_LEN])
{
    if (!is_scalar(secret))
        return -RF_EINVAL;
    multiply_base(ret, secret);
    return 0;
}

/* c and s of the proof that GAMMA = x * H for the x of PUBLIC. */
static void prove(const uint8_t secret[VRF_SECRET_LEN], const uint8_t public[VRF_PUBLIC_LEN],
                  const uint8_t element[POINT_LEN], const uint8_t gamma[POINT_LEN],
                  uint8_t ret_proof[VRF_PROOF_LEN])
{
    uint8_t nonce[SCALAR_LEN], c[SCALAR_LEN] = { 0 }, u[POINT_LEN], v[POINT_LEN], cx[SCALAR_LEN];
    nonce_of(secret, element, nonce);
    multiply_base(u, nonce);
    multiply(v, nonce, element);
    challenge_of((const uint8_t *const[]){ public, element, gamma, u, v }, c);
    crypto_core_ristretto255_scalar_mul(cx, c, secret);
    memcpy(ret_proof, gamma, POINT_LEN);
    memcpy(ret_proof + POINT_LEN, c, CHALLENGE_LEN);
    crypto_core_ristretto255_scalar_add(ret_proof + POINT_LEN + CHALLENGE_LEN, nonce, cx);
    sodium_memzero(nonce, sizeof(nonce));
    sodium_memzero(cx, sizeof(cx));
}

int vrf_prove(const uint8_t secret[VRF_SECRET_LEN], const void *alpha, size_t n,
              uint8_t ret_proof[VRF_PROOF_LEN], uint8_t ret_output[VRF_OUTPUT_LEN])
{
    uint8_t public[VRF_PUBLIC_LEN], element[POINT_LEN], gamma[POINT_LEN];
    if (vrf_public_of(secret, public) < 0)
        return -RF_EINVAL;
    element_of(public, alpha, n, element);
    multiply(gamma, secret, element);
    if (ret_proof != NULL)
        prove(secret, public, element, gamma, ret_proof);
    output_of(gamma, ret_output);
    sodium_memzero(gamma, sizeof(gamma)); /* whoever has it has the output */
    return 0;
}

int vrf_verify(const uint8_t public[VRF_PUBLIC_LEN], const void *alpha, size_t n,
               const uint8_t proof[VRF_PROOF_LEN], uint8_t ret_output[VRF_OUTPUT_LEN])
{
    const uint8_t *gamma = proof, *s = proof + POINT_LEN + CHALLENGE_LEN;
    uint8_t c[SCALAR_LEN] = { 0 }, element[POINT_LEN], u[POINT_LEN], v[POINT_LEN];
    uint8_t part[POINT_LEN], again[CHALLENGE_LEN];
    /* An identity as Gamma, or s = 0, comes out of an honest proof as often as a guessed key. */
    if (!is_element(public) || !is_element(gamma) || !is_scalar(s))
        return -RF_ETAMPER;
    memcpy(c, proof + POINT_LEN, CHALLENGE_LEN);
    element_of(public, alpha, n, element);
    multiply_base(u, s); /* U = s*B - c*Y */
    multiply(part, c, public);
    if (crypto_core_ristretto255_sub(u, u, part) != 0)
        return -RF_ETAMPER;
    multiply(v, s, element); /* V = s*H - c*Gamma */
    multiply(part, c, gamma);
    if (crypto_core_ristretto255_sub(v, v, part) != 0)
        return -RF_ETAMPER;
    challenge_of((const uint8_t *const[]){ public, element, gamma, u, v }, again);
    if (sodium_memcmp(again, c, CHALLENGE_LEN) != 0)
        return -RF_ETAMPER;
    output_of(gamma, ret_output);
    return 0;
}
