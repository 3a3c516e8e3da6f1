#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <string.h>

#include "tlog/vrf.h"

/* The vector of c2sp.org/vrf-r255. */
static const char spec_secret[] =
    "3431c2b03533e280b23232e280b34e2c3132c2b03238e280b23131e280b34500";
static const char spec_public[] =
    "54136cd90d99fbd1d4e855d9556efea87ba0337f2a6ce22028d0f5726fcb854e";
static const char spec_alpha[] = "633273702e6f72672f7672662d72323535";
static const char spec_proof[] =
    "0a97d961262fb549b4175c5117860f42ae44a123f93c476c439eddd1c0cff926"
    "5c805525233e2284dbed45e593b8eea31d5ca9734d72bcbba9738d5237f955f3b2422351149d1312503b6441a47c94"
    "0c";
static const char spec_output[] =
    "dd653f0879b48c3ef69e13551239bec4cbcc1c18fe8894de2e9e1c790e182736"
    "03bf1c6c25d7a797aeff3c43fd32b974d3fcbd4bcce916007097922a3ea3a794";

static uint8_t secret[VRF_SECRET_LEN], public[VRF_PUBLIC_LEN], alpha[17];
static uint8_t proof[VRF_PROOF_LEN], output[VRF_OUTPUT_LEN];

static void from_hex(const char *hex, uint8_t *ret, size_t n)
{
    size_t got;
    assert_int_equal(sodium_hex2bin(ret, n, hex, strlen(hex), NULL, &got, NULL), 0);
    assert_int_equal(got, n);
}

static int load(void **state)
{
    (void)state;
    if (sodium_init() < 0)
        return -1;
    from_hex(spec_secret, secret, sizeof(secret));
    from_hex(spec_public, public, sizeof(public));
    from_hex(spec_alpha, alpha, sizeof(alpha));
    from_hex(spec_proof, proof, sizeof(proof));
    from_hex(spec_output, output, sizeof(output));
    return 0;
}

static void assert_refused(const uint8_t *key, const void *input, size_t n, const uint8_t *p)
{
    uint8_t got[VRF_OUTPUT_LEN];
    assert_int_equal(vrf_verify(key, input, n, p, got), -RF_ETAMPER);
}

static void the_vector_of_the_specification_comes_out(void **state)
{
    uint8_t key[VRF_PUBLIC_LEN], p[VRF_PROOF_LEN], out[VRF_OUTPUT_LEN];
    (void)state;
    assert_int_equal(vrf_public_of(secret, key), 0);
    assert_memory_equal(key, public, sizeof(key));
    assert_int_equal(vrf_prove(secret, alpha, sizeof(alpha), p, out), 0);
    assert_memory_equal(p, proof, sizeof(p));
    assert_memory_equal(out, output, sizeof(out));
    memset(out, 0, sizeof(out));
    assert_int_equal(vrf_prove(secret, alpha, sizeof(alpha), NULL, out), 0);
    assert_memory_equal(out, output, sizeof(out));
    memset(out, 0, sizeof(out));
    assert_int_equal(vrf_verify(public, alpha, sizeof(alpha), proof, out), 0);
    assert_memory_equal(out, output, sizeof(out));
}

static void each_flipped_bit_of_proof_key_or_input_is_refused(void **state)
{
    uint8_t p[VRF_PROOF_LEN], key[VRF_PUBLIC_LEN], input[sizeof(alpha)];
    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof(p); bit++) {
        memcpy(p, proof, sizeof(p));
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_refused(public, alpha, sizeof(alpha), p);
    }
    for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
        memcpy(key, public, sizeof(key));
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_refused(key, alpha, sizeof(alpha), proof);
    }
    for (size_t bit = 0; bit < 8 * sizeof(input); bit++) {
        memcpy(input, alpha, sizeof(input));
        input[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_refused(public, input, sizeof(input), proof);
    }
    for (size_t n = 0; n < sizeof(alpha); n++)
        assert_refused(public, alpha, n, proof);
}

static void a_proof_of_another_key_is_refused(void **state)
{
    uint8_t other[VRF_SECRET_LEN], key[VRF_PUBLIC_LEN], p[VRF_PROOF_LEN], out[VRF_OUTPUT_LEN];
    (void)state;
    assert_int_equal(vrf_secret_make(other), 0);
    assert_int_equal(vrf_public_of(other, key), 0);
    assert_int_equal(vrf_prove(other, alpha, sizeof(alpha), p, out), 0);
    assert_int_equal(vrf_verify(key, alpha, sizeof(alpha), p, out), 0);
    assert_refused(public, alpha, sizeof(alpha), p);
    assert_refused(key, alpha, sizeof(alpha), proof);
}

/* q, little-endian: s + q is the same number in another writing. */
static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                   0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                   0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10 };

static void only_one_encoding_of_each_number_and_element_is_taken(void **state)
{
    static const uint8_t identity[32] = { 0 };
    /* p + 1, p: the field elements 1 and 0 written a second time; and a negative one */
    uint8_t high[32], p[VRF_PROOF_LEN], out[VRF_OUTPUT_LEN], scalar[32];
    (void)state;
    assert_refused(identity, alpha, sizeof(alpha), proof);
    memset(high, 0xff, sizeof(high));
    high[0] = 0xed;
    high[31] = 0x7f;
    for (int i = 0; i < 3; i++, high[0]++) {
        assert_refused(high, alpha, sizeof(alpha), proof);
        memcpy(p, proof, sizeof(p));
        memcpy(p, high, 32);
        assert_refused(public, alpha, sizeof(alpha), p);
    }
    memcpy(p, proof, sizeof(p));
    memcpy(p, identity, 32);
    assert_refused(public, alpha, sizeof(alpha), p);
    memcpy(p, proof, sizeof(p));
    memset(p + 48, 0, 32);
    assert_refused(public, alpha, sizeof(alpha), p);
    memcpy(p, proof, sizeof(p));
    sodium_add(p + 48, order, 32);
    assert_refused(public, alpha, sizeof(alpha), p);
    memcpy(p, proof, sizeof(p));
    p[79] |= 0x80; /* a bit that scalar multiplication does not look at */
    assert_refused(public, alpha, sizeof(alpha), p);
    memcpy(scalar, secret, 32);
    sodium_add(scalar, order, 32);
    assert_int_equal(vrf_prove(scalar, alpha, sizeof(alpha), p, out), -RF_EINVAL);
    assert_int_equal(vrf_public_of(order, high), -RF_EINVAL);
    assert_int_equal(vrf_public_of(identity, high), -RF_EINVAL);
}

/* If x = 0 were a key, everybody could prove for it. */
static void nothing_can_be_proved_for_the_identity(void **state)
{
    uint8_t p[VRF_PROOF_LEN] = { 0 };
    static const uint8_t identity[32] = { 0 };
    (void)state;
    for (int i = 0; i < 1000; i++) {
        randombytes_buf(p + 32, 16);
        crypto_core_ristretto255_scalar_random(p + 48);
        assert_refused(identity, alpha, sizeof(alpha), p);
    }
}

static void proofs_of_any_length_of_input_hold(void **state)
{
    uint8_t input[600], p[VRF_PROOF_LEN], out[VRF_OUTPUT_LEN], again[VRF_OUTPUT_LEN];
    (void)state;
    randombytes_buf(input, sizeof(input));
    for (size_t n = 0; n <= sizeof(input); n += 1 + n / 3) {
        assert_int_equal(vrf_prove(secret, input, n, p, out), 0);
        assert_int_equal(vrf_verify(public, input, n, p, again), 0);
        assert_memory_equal(out, again, sizeof(out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_the_specification_comes_out),
        cmocka_unit_test(each_flipped_bit_of_proof_key_or_input_is_refused),
        cmocka_unit_test(a_proof_of_another_key_is_refused),
        cmocka_unit_test(only_one_encoding_of_each_number_and_element_is_taken),
        cmocka_unit_test(nothing_can_be_proved_for_the_identity),
        cmocka_unit_test(proofs_of_any_length_of_input_hold),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
