#include "wire/wr.h"

#include <string.h>

struct wr wr_to(struct buf *to)
{
    return (struct wr){ .to = to };
}

void wr_bytes(struct wr *w, const void *bytes, size_t n)
{
    if (!w->bad && buf_append(w->to, bytes, n) < 0)
        w->bad = true;
}

void wr_u8(struct wr *w, uint8_t v)
{
    wr_bytes(w, &v, 1);
}

void wr_u16(struct wr *w, uint16_t v)
{
    uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };
    wr_bytes(w, b, sizeof(b));
}

void wr_u32(struct wr *w, uint32_t v)
{
    uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
    wr_bytes(w, b, sizeof(b));
}

void wr_u64(struct wr *w, uint64_t v)
{
    wr_u32(w, (uint32_t)(v >> 32));
    wr_u32(w, (uint32_t)v);
}

void wr_cstr(struct wr *w, const char *s)
{
    wr_bytes(w, s, strlen(s) + 1);
}

void wr_cstr_len(struct wr *w, const char *s, size_t len)
{
    if (len > 0 && memchr(s, 0, len) != NULL)
        w->bad = true;
    wr_bytes(w, s, len);
    wr_u8(w, 0);
}

void wr_str32(struct wr *w, const char *s, size_t len)
{
    if (len > UINT32_MAX)
        w->bad = true;
    wr_u32(w, (uint32_t)len);
    wr_bytes(w, s, len);
}

void wr_open(struct wr *w, char type)
{
    RF_ASSERT(!w->is_open);
    if (type != 0)
        wr_u8(w, (uint8_t)type);
    w->open_at = buf_len(w->to); /* counted from the front: appending may move the bytes */
    w->is_open = true;
    wr_u32(w, 0);
}

void wr_close(struct wr *w)
{
    RF_ASSERT(w->is_open);
    w->is_open = false;
    if (w->bad)
        return;
    size_t len = buf_len(w->to) - w->open_at;
    if (len > INT32_MAX) {
        w->bad = true;
        return;
    }
    uint8_t *at = buf_at(w->to) + w->open_at;
    at[0] = (uint8_t)(len >> 24);
    at[1] = (uint8_t)(len >> 16);
    at[2] = (uint8_t)(len >> 8);
    at[3] = (uint8_t)len;
}

bool wr_done(const struct wr *w)
{
    return !w->bad && !w->is_open;
}
