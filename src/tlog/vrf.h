/* vrf.h - ECVRF-RISTRETTO255-SHA512 (c2sp.org/vrf-r255, draft-irtf-cfrg-vrf-11) on libsodium.
 *
 * A keyed hash whose holder can prove that an output is the right one, the only one, for an input.
 * Proofs are deterministic. Secrets take the same time whatever they are. */
#ifndef RF_TLOG_VRF_H
#define RF_TLOG_VRF_H

#include <stdint.h>

#include "base/err.h"

enum { VRF_SECRET_LEN = 32, VRF_PUBLIC_LEN = 32, VRF_PROOF_LEN = 80, VRF_OUTPUT_LEN = 64 };

RF_CHECK int vrf_secret_make(uint8_t ret[VRF_SECRET_LEN]); /* at random */
/* -RF_EINVAL, here and below: SECRET is not a scalar 1..q-1 in its one encoding. */
RF_CHECK int vrf_public_of(const uint8_t secret[VRF_SECRET_LEN], uint8_t ret[VRF_PUBLIC_LEN]);
/* PROOF may be NULL: the output alone. */
RF_CHECK int vrf_prove(const uint8_t secret[VRF_SECRET_LEN], const void *alpha, size_t n,
                       uint8_t ret_proof[VRF_PROOF_LEN], uint8_t ret_output[VRF_OUTPUT_LEN]);
/* 0 and the output; -RF_ETAMPER: not a proof of that key and input. */
RF_CHECK int vrf_verify(const uint8_t public[VRF_PUBLIC_LEN], const void *alpha, size_t n,
                        const uint8_t proof[VRF_PROOF_LEN], uint8_t ret_output[VRF_OUTPUT_LEN]);

#endif
