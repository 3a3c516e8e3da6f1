#include "auth/scram_keys.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/base64.h"

int scram_keys_nonce(char ret[SCRAM_NONCE_LEN + 1])
{
    uint8_t raw[SCRAM_NONCE_RAW];
    if (RAND_bytes(raw, sizeof(raw)) != 1)
        return -RF_ESYS;
    (void)base64_encode(raw, sizeof(raw), ret);
    return 0;
}

int scram_keys_hmac(const uint8_t *key, size_t key_len, const void *bytes, size_t n,
                    uint8_t ret[SCRAM_KEY_LEN])
{
    unsigned len = 0;
    if (HMAC(EVP_sha256(), key, (int)key_len, bytes, n, ret, &len) == NULL || len != SCRAM_KEY_LEN)
        return -RF_ENOMEM;
    return 0;
}

int scram_keys_hash(const uint8_t key[SCRAM_KEY_LEN], uint8_t ret[SCRAM_KEY_LEN])
{
    unsigned len = 0;
    if (EVP_Digest(key, SCRAM_KEY_LEN, ret, &len, EVP_sha256(), NULL) != 1)
        return -RF_ENOMEM;
    return 0;
}

int scram_keys_derive(const char *password, const uint8_t *salt, size_t salt_len,
                      uint32_t iterations, uint8_t ret_client_key[SCRAM_KEY_LEN],
                      uint8_t ret_server_key[SCRAM_KEY_LEN])
{
    uint8_t salted[SCRAM_KEY_LEN];
    int rc = -RF_ENOMEM;
    size_t len = strlen(password);
    if (len > INT32_MAX || iterations == 0 || iterations > SCRAM_ITERATIONS_MAX)
        return -RF_EINVAL;
    if (PKCS5_PBKDF2_HMAC(password, (int)len, salt, (int)salt_len, (int)iterations, EVP_sha256(),
                          SCRAM_KEY_LEN, salted) == 1)
        rc = scram_keys_hmac(salted, sizeof(salted), "Client Key", 10, ret_client_key);
    if (rc == 0)
        rc = scram_keys_hmac(salted, sizeof(salted), "Server Key", 10, ret_server_key);
    OPENSSL_cleanse(salted, sizeof(salted));
    return rc;
}

void scram_keys_xor(const uint8_t a[SCRAM_KEY_LEN], const uint8_t b[SCRAM_KEY_LEN],
                    uint8_t ret[SCRAM_KEY_LEN])
{
    for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
        ret[i] = a[i] ^ b[i];
}

bool scram_keys_equal(const uint8_t a[SCRAM_KEY_LEN], const uint8_t b[SCRAM_KEY_LEN])
{
    return CRYPTO_memcmp(a, b, SCRAM_KEY_LEN) == 0;
}

const char *scram_keys_gs2(char flag)
{
    return flag == 'p' ? "p=tls-server-end-point,," : flag == 'y' ? "y,," : "n,,";
}

void scram_keys_binding(char flag, const uint8_t *binding, size_t binding_len,
                        char ret[SCRAM_BINDING_TEXT])
{
    uint8_t input[32 + SCRAM_BINDING_MAX];
    size_t n = strlen(scram_keys_gs2(flag));
    memcpy(input, scram_keys_gs2(flag), n);
    if (flag == 'p') {
        RF_ASSERT(binding_len <= SCRAM_BINDING_MAX);
        memcpy(input + n, binding, binding_len);
        n += binding_len;
    }
    (void)base64_encode(input, n, ret);
}

char scram_keys_attribute(struct rd *message, const char **ret_value, size_t *ret_len)
{
    char name = (char)rd_u8(message);
    bool letter = (name >= 'a' && name <= 'z') || (name >= 'A' && name <= 'Z');
    *ret_value = "";
    *ret_len = 0;
    if (!letter || rd_u8(message) != '=') {
        message->bad = true;
        return 0;
    }
    const uint8_t *comma = message->left > 0 ? memchr(message->at, ',', message->left) : NULL;
    size_t len = comma != NULL ? (size_t)(comma - message->at) : message->left;
    *ret_value = (const char *)rd_bytes(message, len);
    *ret_len = len;
    if (comma != NULL) {
        (void)rd_u8(message);
        if (message->left == 0)
            message->bad = true; /* a comma promises one more */
    }
    return message->bad ? 0 : name;
}
