/* news.h - how the policy came to rule, and which one waits: what the supervisor tells the ledger
 * with each configuration, so that it stands in the public log (docs/formats/log.md). */
#ifndef RF_PRIV_NEWS_H
#define RF_PRIV_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct news {
    bool is_counted; /* the policy before named signers: VALID of them have signed this one */
    uint8_t by[32];  /* digest of that policy */
    unsigned valid;
    bool announces; /* another policy waits: */
    uint8_t digest[32];
    unsigned announced_valid;
    uint32_t from;    /* minute since 1970: it rules then, not before */
    const char *sigs; /* of the one that waits, else of the one that rules; borrowed, no NUL */
    size_t sigs_len;
};

RF_CHECK int news_write(struct buf *to, const struct news *n);
/* RET borrows from BYTES. -RF_EPROTO for what news_write() would not write. */
RF_CHECK int news_read(const void *bytes, size_t len, struct news *ret);

#endif
