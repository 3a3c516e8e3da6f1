#include "ledger/seal.h"

#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "ledger/frame.h"
#include "ledger/leaf.h"

/* XChaCha20-Poly1305 with random nonces: 192 bits never repeat in practice, so that no counter has
   to survive a crash. The cipher does not commit to its key; the commitment D in the additional
   data does that: opening with a second key would have to yield the same salt and private part. */

_Static_assert(SEAL_NONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(SEAL_KEY_LEN == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert(SEAL_OVERHEAD ==
                   SEAL_NONCE_LEN + SEAL_SALT_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "overhead");

static const char entry_domain[] = "ringfence-entry@1\n";

enum { ADDITIONAL_MAX = sizeof(entry_domain) + 8 + 2 + FRAME_NAME_MAX + LEAF_MAX };

void seal_key_id(const uint8_t key[SEAL_KEY_LEN], uint8_t ret[SEAL_KEY_ID_LEN])
{
    static const char domain[] = "ringfence-day-key@1\n";
    uint8_t digest[DIGEST_LEN];
    const struct iovec pieces[] = { digest_piece(domain, sizeof(domain) - 1),
                                    digest_piece(key, SEAL_KEY_LEN) };
    digest_pieces(pieces, RF_COUNT(pieces), digest);
    memcpy(ret, digest, SEAL_KEY_ID_LEN);
}

void seal_commitment(const uint8_t salt[SEAL_SALT_LEN], const void *private_part, size_t n,
                     uint8_t ret[DIGEST_LEN])
{
    static const char domain[] = "ringfence-private@1\n";
    const struct iovec pieces[] = { digest_piece(domain, sizeof(domain) - 1),
                                    digest_piece(salt, SEAL_SALT_LEN),
                                    digest_piece(private_part, n) };
    digest_pieces(pieces, RF_COUNT(pieces), ret);
}

/* Returns the length, or 0 when something is longer than an entry may have it. */
static size_t additional_of(const struct seal_context *c, uint8_t ret[ADDITIONAL_MAX])
{
    size_t name_len = strlen(c->name), at = sizeof(entry_domain) - 1;
    if (name_len > FRAME_NAME_MAX || c->leaf_len > LEAF_MAX)
        return 0;
    memcpy(ret, entry_domain, at);
    for (int shift = 56; shift >= 0; shift -= 8)
        ret[at++] = (uint8_t)(c->index >> shift);
    ret[at++] = (uint8_t)(name_len >> 8);
    ret[at++] = (uint8_t)name_len;
    memcpy(ret + at, c->name, name_len);
    memcpy(ret + at + name_len, c->leaf, c->leaf_len);
    return at + name_len + c->leaf_len;
}

int seal_close(struct buf *to, const struct seal_context *context, const uint8_t key[SEAL_KEY_LEN],
               const uint8_t nonce[SEAL_NONCE_LEN], const uint8_t salt[SEAL_SALT_LEN],
               const void *private_part, size_t n)
{
    uint8_t additional[ADDITIONAL_MAX];
    size_t additional_len = additional_of(context, additional);
    if (additional_len == 0 || n > FRAME_LENGTH_MAX)
        return -RF_ETOOBIG;
    uint8_t *at = buf_reserve(to, SEAL_OVERHEAD + n);
    if (at == NULL)
        return -RF_ENOMEM;
    memcpy(at, nonce, SEAL_NONCE_LEN);
    memcpy(at + SEAL_NONCE_LEN, salt, SEAL_SALT_LEN);
    memcpy(at + SEAL_NONCE_LEN + SEAL_SALT_LEN, private_part, n);
    /* In place, as libsodium allows; it cannot fail for lengths this small. */
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(at + SEAL_NONCE_LEN, NULL, at + SEAL_NONCE_LEN,
                                                     SEAL_SALT_LEN + n, additional, additional_len,
                                                     NULL, nonce, key);
    buf_grew(to, SEAL_OVERHEAD + n);
    return 0;
}

int seal_open(struct buf *to, const struct seal_context *context, const uint8_t key[SEAL_KEY_LEN],
              const uint8_t *sealed, size_t sealed_len)
{
    uint8_t additional[ADDITIONAL_MAX];
    size_t additional_len = additional_of(context, additional);
    if (additional_len == 0 || sealed_len < SEAL_OVERHEAD)
        return -RF_ETAMPER;
    size_t n = sealed_len - SEAL_OVERHEAD + SEAL_SALT_LEN;
    uint8_t *at = buf_reserve(to, n);
    if (at == NULL)
        return -RF_ENOMEM;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(at, NULL, NULL, sealed + SEAL_NONCE_LEN,
                                                   sealed_len - SEAL_NONCE_LEN, additional,
                                                   additional_len, sealed, key) != 0)
        return -RF_ETAMPER;
    buf_grew(to, n);
    return 0;
}
