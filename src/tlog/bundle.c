#include "tlog/bundle.h"

int bundle_entry_write(struct buf *to, const void *entry, size_t len)
{
    if (len > BUNDLE_ENTRY_MAX)
        return -RF_ETOOBIG;
    uint8_t len16[2] = { (uint8_t)(len >> 8), (uint8_t)len };
    int rc = buf_ensure(to, sizeof(len16) + len); /* all of it or nothing */
    if (rc == 0)
        rc = buf_append(to, len16, sizeof(len16));
    return rc < 0 || len == 0 ? rc : buf_append(to, entry, len);
}

int bundle_read(const void *bytes, size_t n, unsigned count,
                struct bundle_entry ret[TLOG_TILE_WIDTH])
{
    const uint8_t *at = bytes;
    if (count > TLOG_TILE_WIDTH)
        return -RF_EPROTO;
    for (unsigned i = 0; i < count; i++) {
        if (n < 2)
            return -RF_EPROTO;
        size_t len = (size_t)at[0] << 8 | at[1];
        at += 2;
        n -= 2;
        if (len > n)
            return -RF_EPROTO;
        ret[i] = (struct bundle_entry){ .bytes = at, .len = len };
        at += len;
        n -= len;
    }
    return n == 0 ? 0 : -RF_EPROTO;
}
