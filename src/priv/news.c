#include "priv/news.h"

#include <stdio.h>
#include <string.h>

#include "wire/rd.h"
#include "wire/wr.h"

/* u8 version 2, u8 is_counted, 32 bytes, u32 valid, u8 announces, 32 bytes, u32 valid, u32 from,
   str32 signatures */
enum { VERSION = 2, DIGEST_SIZE = 32 };

int news_write(struct buf *to, const struct news *n)
{
    struct wr w = wr_to(to);
    wr_u8(&w, VERSION);
    wr_u8(&w, n->is_counted);
    wr_bytes(&w, n->by, DIGEST_SIZE);
    wr_u32(&w, n->valid);
    wr_u8(&w, n->announces);
    wr_bytes(&w, n->digest, DIGEST_SIZE);
    wr_u32(&w, n->announced_valid);
    wr_u32(&w, n->from);
    wr_str32(&w, n->sigs_len > 0 ? n->sigs : "", n->sigs_len);
    return wr_done(&w) ? 0 : -RF_ENOMEM;
}

int news_read(const void *bytes, size_t len, struct news *ret)
{
    struct rd r = rd_of(bytes, len);
    struct news n = { 0 };
    uint8_t version = rd_u8(&r), is_counted = rd_u8(&r);
    const uint8_t *by = rd_bytes(&r, DIGEST_SIZE);
    n.valid = rd_u32(&r);
    uint8_t announces = rd_u8(&r);
    const uint8_t *digest = rd_bytes(&r, DIGEST_SIZE);
    n.announced_valid = rd_u32(&r);
    n.from = rd_u32(&r);
    n.sigs = rd_str32(&r, &n.sigs_len);
    if (!rd_done(&r) || version != VERSION || is_counted > 1 || announces > 1)
        return -RF_EPROTO;
    n.is_counted = is_counted == 1;
    n.announces = announces == 1;
    memcpy(n.by, by, DIGEST_SIZE);
    memcpy(n.digest, digest, DIGEST_SIZE);
    *ret = n;
    return 0;
}
