/* webhook.h - signatures of webhooks, as Standard Webhooks has them
 * (https://www.standardwebhooks.com): HMAC-SHA256 over "ID.TIMESTAMP.BODY", written "v1,BASE64".
 * Pure, but for webhook_key_read(). */
#ifndef RF_HERALD_WEBHOOK_H
#define RF_HERALD_WEBHOOK_H

#include <stddef.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/err.h"

enum {
    WEBHOOK_KEY_MIN = 24,
    WEBHOOK_KEY_MAX = 64,
    WEBHOOK_SIGNATURE_SIZE = 3 + BASE64_LEN(32) + 1
};

struct webhook_key {
    uint8_t bytes[WEBHOOK_KEY_MAX];
    size_t len;
};

/* "whsec_" and 24 to 64 bytes in base64; blanks and line feeds behind it do not matter.
   -RF_ECONFIG. */
RF_CHECK int webhook_key_parse(const char *text, size_t n, struct webhook_key *ret,
                               struct err *err);
/* The same from a file that nobody else may read. Codes of fd_read_secret(), too. */
RF_CHECK int webhook_key_read(const char *path, struct webhook_key *ret, struct err *err);

/* -RF_ESYS: the library failed. */
RF_CHECK int webhook_sign(const struct webhook_key *key, const char *id, int64_t timestamp_s,
                          const char *body, char ret[WEBHOOK_SIGNATURE_SIZE], struct err *err);

#endif
