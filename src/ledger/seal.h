/* seal.h - sealing the private part of an entry, and opening it again (docs/formats/journal.md,
 * section 2.3). Pure: key, salt and nonce come in as arguments. sodium_init() comes first. */
#ifndef RF_LEDGER_SEAL_H
#define RF_LEDGER_SEAL_H

#include "base/buf.h"
#include "base/digest.h"

enum {
    SEAL_KEY_LEN = 32,
    SEAL_KEY_ID_LEN = 8,
    SEAL_SALT_LEN = 32,
    SEAL_NONCE_LEN = 24,
    SEAL_OVERHEAD = SEAL_NONCE_LEN + SEAL_SALT_LEN + 16
};

/* What the sealed bytes are bound to. */
struct seal_context {
    uint64_t index;
    const char *name;    /* of the gateway */
    const uint8_t *leaf; /* public part */
    size_t leaf_len;
};

void seal_key_id(const uint8_t key[SEAL_KEY_LEN], uint8_t ret[SEAL_KEY_ID_LEN]);

/* D, which the public part carries. */
void seal_commitment(const uint8_t salt[SEAL_SALT_LEN], const void *private_part, size_t n,
                     uint8_t ret[DIGEST_LEN]);

/* Append SEAL_OVERHEAD + N bytes to TO. */
RF_CHECK int seal_close(struct buf *to, const struct seal_context *context,
                        const uint8_t key[SEAL_KEY_LEN], const uint8_t nonce[SEAL_NONCE_LEN],
                        const uint8_t salt[SEAL_SALT_LEN], const void *private_part, size_t n);

/* Append salt and private part to TO: SEALED_LEN - SEAL_OVERHEAD + SEAL_SALT_LEN bytes. -RF_ETAMPER
   when the bytes, what they are bound to, or the key differ from what was sealed. */
RF_CHECK int seal_open(struct buf *to, const struct seal_context *context,
                       const uint8_t key[SEAL_KEY_LEN], const uint8_t *sealed, size_t sealed_len);

#endif
