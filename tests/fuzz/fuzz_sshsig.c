/* fuzz_sshsig.c - any bytes as a signature or a key: refused, or one that reads the same when it is
 * written again. The first byte says what the others are: an armored signature, the same without
 * its armor (which nobody guesses), a line with a key, or what such a line holds in base64. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "sign/sshsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOB_MAX = 6000 };

/* Of tests/vectors/sshsig, so that signatures from there hold. */
static const char message[] = "ringfence-command@1\n"
                              "region us-virginia\n"
                              "actor us_analyst\n"
                              "verb request\n"
                              "subject 1042\n"
                              "subject h-0123456789abcdef0123456789abcdef\n"
                              "class identity\n"
                              "class contact\n"
                              "purpose support_ticket\n"
                              "reference T-4711: Zo\xc3\xab asks\n"
                              "seconds 1800\n"
                              "nonce 00112233445566778899aabbccddeeff\n"
                              "expires 2026-11-30T17:05:00Z\n";

static void check_key(const struct ssh_key *key)
{
    char line[sizeof("sk-ecdsa-sha2-nistp256@openssh.com ") + BASE64_LEN(SSH_KEY_BLOB_MAX)];
    char print[SSH_KEY_FINGERPRINT_SIZE];
    struct ssh_key again;
    uint32_t n = (uint32_t)key->blob[0] << 24 | (uint32_t)key->blob[1] << 16 |
                 (uint32_t)key->blob[2] << 8 | key->blob[3];
    RF_ASSERT(key->len > 4 && key->len <= SSH_KEY_BLOB_MAX && n < 40 && n < key->len - 4);
    int at = snprintf(line, sizeof(line), "%.*s ", (int)n, (const char *)key->blob + 4);
    (void)base64_encode(key->blob, key->len, line + at);
    RF_ASSERT(ssh_key_parse(line, &again, NULL) == 0 && ssh_key_equal(key, &again));
    ssh_key_fingerprint(key, print);
    RF_ASSERT(strlen(print) == SSH_KEY_FINGERPRINT_SIZE - 1);
}

static void check_signature(const char *text, size_t len)
{
    struct ssh_key key;
    struct err err;
    int rc =
        sshsig_verify(text, len, "ringfence-command@1", message, sizeof(message) - 1, &key, &err);
    RF_ASSERT(rc == 0 || rc == -RF_EPROTO || rc == -RF_EAUTH);
    if (rc < 0)
        return;
    check_key(&key);
    RF_ASSERT(sshsig_verify(text, len, "ringfence-approval@1", message, sizeof(message) - 1, &key,
                            &err) == -RF_EAUTH);
    RF_ASSERT(sshsig_verify(text, len, "ringfence-command@1", message, sizeof(message) - 2, &key,
                            &err) == -RF_EAUTH);
}

static void check_blob(const uint8_t *blob, size_t n)
{
    static char joined[BASE64_LEN(BLOB_MAX) + 1], text[2 * BASE64_LEN(BLOB_MAX)];
    if (n == 0 || n > BLOB_MAX)
        return;
    size_t len = base64_encode(blob, n, joined);
    int at = snprintf(text, sizeof(text), "-----BEGIN SSH SIGNATURE-----\n");
    for (size_t i = 0; i < len; i += 70)
        at += snprintf(text + at, sizeof(text) - (size_t)at, "%.70s\n", joined + i);
    at += snprintf(text + at, sizeof(text) - (size_t)at, "-----END SSH SIGNATURE-----\n");
    check_signature(text, (size_t)at);
}

static void check_line(const uint8_t *data, size_t size)
{
    char line[8192];
    struct ssh_key key;
    struct err err;
    if (size >= sizeof(line))
        return;
    memcpy(line, data, size);
    line[size] = '\0';
    if (ssh_key_parse(line, &key, &err) == 0)
        check_key(&key);
}

static void check_key_blob(const uint8_t *blob, size_t n)
{
    char line[8192] = "ssh-rsa ";
    struct ssh_key key;
    size_t at = 8;
    if (n > 4 && n < 4000 && blob[3] < 40 && blob[3] < n - 4)
        at = (size_t)snprintf(line, sizeof(line), "%.*s ", blob[3], (const char *)blob + 4);
    if (n == 0 || n >= 4000)
        return;
    (void)base64_encode(blob, n, line + at);
    if (ssh_key_parse(line, &key, NULL) == 0)
        check_key(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    RF_ASSERT(digest_init(&err) == 0);
    if (size == 0)
        return 0;
    switch (data[0]) {
    case 'a':
        check_signature((const char *)data + 1, size - 1);
        break;
    case 'b':
        check_blob(data + 1, size - 1);
        break;
    case 'l':
        check_line(data + 1, size - 1);
        break;
    default:
        check_key_blob(data + 1, size - 1);
    }
    return 0;
}
