#include "herald/webhook.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

enum { KEY_FILE_MAX = 256, HEAD_SIZE = 128 };

int webhook_key_parse(const char *text, size_t n, struct webhook_key *ret, struct err *err)
{
    static const char prefix[] = "whsec_";
    struct webhook_key key = { .len = 0 };
    size_t skip = sizeof(prefix) - 1;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    if (n < skip || memcmp(text, prefix, skip) != 0 ||
        base64_decode(text + skip, n - skip, key.bytes, sizeof(key.bytes), &key.len) < 0 ||
        key.len < WEBHOOK_KEY_MIN) {
        explicit_bzero(&key, sizeof(key));
        return err_set(err, RF_ECONFIG,
                       "a webhook's secret is \"whsec_\" and %d to %d bytes in base64",
                       (int)WEBHOOK_KEY_MIN, (int)WEBHOOK_KEY_MAX);
    }
    *ret = key;
    explicit_bzero(&key, sizeof(key));
    return 0;
}

int webhook_key_read(const char *path, struct webhook_key *ret, struct err *err)
{
    struct err why = { 0 };
    char *text = NULL;
    size_t n = 0;
    int rc = fd_read_secret(path, KEY_FILE_MAX, &text, &n, err);
    if (rc == 0 && (rc = webhook_key_parse(text, n, ret, &why)) < 0)
        rc = err_set(err, RF_ECONFIG, "\"%.200s\": %s", path, why.line);
    mem_free_secret(text, n);
    return rc;
}

int webhook_sign(const struct webhook_key *key, const char *id, int64_t timestamp_s,
                 const char *body, char ret[WEBHOOK_SIGNATURE_SIZE], struct err *err)
{
    char head[HEAD_SIZE];
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t n = 0;
    int len = snprintf(head, sizeof(head), "%s.%" PRId64 ".", id, timestamp_s);
    if (len < 0 || (size_t)len >= sizeof(head))
        return err_set(err, RF_EINVAL, "the id of a webhook is too long");
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *secret = EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, key->bytes, key->len);
    bool good = ctx != NULL && secret != NULL &&
                EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, secret) == 1 &&
                EVP_DigestSignUpdate(ctx, head, (size_t)len) == 1 &&
                EVP_DigestSignUpdate(ctx, body, strlen(body)) == 1 && (n = sizeof(digest)) > 0 &&
                EVP_DigestSignFinal(ctx, digest, &n) == 1 && n == 32;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(secret);
    if (!good)
        return err_set(err, RF_ESYS, "could not sign a webhook");
    memcpy(ret, "v1,", sizeof("v1,"));
    (void)base64_encode(digest, n, ret + 3);
    return 0;
}
