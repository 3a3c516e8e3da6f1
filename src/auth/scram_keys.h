/* scram_keys.h - the arithmetic and the attribute lists of RFC 5802, shared by both sides. */
#ifndef RF_AUTH_SCRAM_KEYS_H
#define RF_AUTH_SCRAM_KEYS_H

#include "auth/scram.h"
#include "wire/rd.h"

/* 18 random bytes as text: 24 printable characters without a comma, as PostgreSQL makes them. */
enum { SCRAM_NONCE_RAW = 18, SCRAM_NONCE_LEN = 24 };

RF_CHECK int scram_keys_nonce(char ret[SCRAM_NONCE_LEN + 1]);

/* SaltedPassword := Hi(password, salt, i); ClientKey, ServerKey := HMAC(it, "Client Key"), … */
RF_CHECK int scram_keys_derive(const char *password, const uint8_t *salt, size_t salt_len,
                               uint32_t iterations, uint8_t ret_client_key[SCRAM_KEY_LEN],
                               uint8_t ret_server_key[SCRAM_KEY_LEN]);

RF_CHECK int scram_keys_hash(const uint8_t key[SCRAM_KEY_LEN], uint8_t ret[SCRAM_KEY_LEN]);
RF_CHECK int scram_keys_hmac(const uint8_t *key, size_t key_len, const void *bytes, size_t n,
                             uint8_t ret[SCRAM_KEY_LEN]);
void scram_keys_xor(const uint8_t a[SCRAM_KEY_LEN], const uint8_t b[SCRAM_KEY_LEN],
                    uint8_t ret[SCRAM_KEY_LEN]);
bool scram_keys_equal(const uint8_t a[SCRAM_KEY_LEN], const uint8_t b[SCRAM_KEY_LEN]);

/* The base64 of cbind-input: "n,,", "y,," or "p=tls-server-end-point,," and, for the last, the
   binding data. RET has room for SCRAM_BINDING_TEXT bytes. */
enum { SCRAM_BINDING_MAX = 64, SCRAM_BINDING_TEXT = 160 };
const char *scram_keys_gs2(char flag);
void scram_keys_binding(char flag, const uint8_t *binding, size_t binding_len,
                        char ret[SCRAM_BINDING_TEXT]);

/* One attribute `x=value` of a comma-separated list; the comma after it is consumed. VALUE borrows
   from the message. A malformed one makes the reader bad. Returns the letter, 0 when bad. */
char scram_keys_attribute(struct rd *message, const char **ret_value, size_t *ret_len);

#endif
