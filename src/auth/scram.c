#include "auth/scram.h"

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "auth/scram_keys.h"
#include "base/base64.h"

static const char prefix[] = SCRAM_MECHANISM "$";

/* The bytes up to the first STOP, or to the end when STOP is 0; the stop is consumed. */
static const char *part(struct rd *text, char stop, size_t *ret_len)
{
    size_t len = text->left;
    if (stop != 0) {
        const uint8_t *at = len > 0 ? memchr(text->at, stop, len) : NULL;
        if (at == NULL)
            text->bad = true;
        else
            len = (size_t)(at - text->at);
    }
    const char *bytes = (const char *)rd_bytes(text, len);
    if (bytes == NULL)
        len = 0;
    if (stop != 0)
        (void)rd_u8(text);
    *ret_len = len;
    return bytes != NULL ? bytes : "";
}

/* Digits alone, no leading zero; 0 is not a count. */
static bool read_count(const char *text, size_t len, uint32_t *ret)
{
    uint32_t n = 0;
    if (len == 0 || len > 7 || text[0] == '0')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(text[i] - '0');
    }
    *ret = n;
    return n <= SCRAM_ITERATIONS_MAX;
}

static bool read_key(const char *text, size_t len, uint8_t ret[SCRAM_KEY_LEN])
{
    size_t n = 0;
    return base64_decode(text, len, ret, SCRAM_KEY_LEN, &n) == 0 && n == SCRAM_KEY_LEN;
}

int scram_verifier_parse(const char *text, size_t len, struct scram_verifier *ret)
{
    struct rd in = rd_of(text, len);
    struct scram_verifier v = { 0 };
    size_t count_len, salt_len, stored_len, server_len;
    const uint8_t *scheme = rd_bytes(&in, sizeof(prefix) - 1);
    if (scheme == NULL || memcmp(scheme, prefix, sizeof(prefix) - 1) != 0)
        return -RF_EINVAL;
    const char *count = part(&in, ':', &count_len);
    const char *salt = part(&in, '$', &salt_len);
    const char *stored = part(&in, ':', &stored_len);
    const char *server = part(&in, 0, &server_len);
    if (!rd_done(&in) || !read_count(count, count_len, &v.iterations) ||
        base64_decode(salt, salt_len, v.salt, sizeof(v.salt), &v.salt_len) < 0 || v.salt_len == 0 ||
        !read_key(stored, stored_len, v.stored_key) || !read_key(server, server_len, v.server_key))
        return -RF_EINVAL;
    *ret = v;
    return 0;
}

static void verifier_print(const struct scram_verifier *v, char ret[SCRAM_VERIFIER_MAX])
{
    char salt[BASE64_LEN(SCRAM_SALT_MAX) + 1];
    char stored[BASE64_LEN(SCRAM_KEY_LEN) + 1], server[BASE64_LEN(SCRAM_KEY_LEN) + 1];
    (void)base64_encode(v->salt, v->salt_len, salt);
    (void)base64_encode(v->stored_key, SCRAM_KEY_LEN, stored);
    (void)base64_encode(v->server_key, SCRAM_KEY_LEN, server);
    int n = snprintf(ret, SCRAM_VERIFIER_MAX, "%s%u:%s$%s:%s", prefix, v->iterations, salt, stored,
                     server);
    RF_ASSERT(n > 0 && n < SCRAM_VERIFIER_MAX);
}

int scram_verifier_make(const char *password, uint32_t iterations, char ret[SCRAM_VERIFIER_MAX],
                        struct err *err)
{
    struct scram_verifier v = { .salt_len = SCRAM_SALT_LEN };
    uint8_t client_key[SCRAM_KEY_LEN];
    v.iterations = iterations != 0 ? iterations : SCRAM_ITERATIONS;
    if (v.iterations > SCRAM_ITERATIONS_MAX)
        return err_set(err, RF_EINVAL, "%u iterations are more than %d", v.iterations,
                       SCRAM_ITERATIONS_MAX);
    if (RAND_bytes(v.salt, SCRAM_SALT_LEN) != 1)
        return err_set(err, RF_ESYS, "could not get random bytes");
    int rc =
        scram_keys_derive(password, v.salt, v.salt_len, v.iterations, client_key, v.server_key);
    if (rc == 0)
        rc = scram_keys_hash(client_key, v.stored_key);
    explicit_bzero(client_key, sizeof(client_key));
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not compute a password verifier");
    verifier_print(&v, ret);
    return 0;
}

void scram_cache_done(struct scram_cache *cache)
{
    explicit_bzero(cache, sizeof(*cache));
}
