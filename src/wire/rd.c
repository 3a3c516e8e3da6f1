#include "wire/rd.h"

#include <string.h>

struct rd rd_of(const void *bytes, size_t len)
{
    return (struct rd){ .at = bytes, .left = len };
}

static const uint8_t *take(struct rd *r, size_t n)
{
    static const uint8_t zeros[8]; /* what a getter of at most eight bytes reads when bad */
    if (r->bad || n > r->left) {   /* compare on the subtract side: it cannot wrap */
        r->bad = true;
        r->left = 0;
        return n <= sizeof(zeros) ? zeros : NULL;
    }
    const uint8_t *p = r->at;
    r->at += n;
    r->left -= n;
    return p;
}

uint8_t rd_u8(struct rd *r)
{
    return take(r, 1)[0];
}

uint16_t rd_u16(struct rd *r)
{
    const uint8_t *p = take(r, 2);
    return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t rd_u32(struct rd *r)
{
    const uint8_t *p = take(r, 4);
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

uint64_t rd_u64(struct rd *r)
{
    uint64_t high = rd_u32(r);
    return high << 32 | rd_u32(r);
}

const uint8_t *rd_bytes(struct rd *r, size_t n)
{
    if (r->bad || n > r->left) {
        r->bad = true;
        r->left = 0;
        return NULL;
    }
    return take(r, n);
}

const char *rd_cstr(struct rd *r)
{
    const uint8_t *nul = r->bad || r->left == 0 ? NULL : memchr(r->at, 0, r->left);
    if (nul == NULL) {
        r->bad = true;
        r->left = 0;
        return "";
    }
    return (const char *)take(r, (size_t)(nul - r->at) + 1);
}

const char *rd_str32(struct rd *r, size_t *ret_len)
{
    size_t len = rd_u32(r);
    const uint8_t *p = rd_bytes(r, len);
    *ret_len = p != NULL ? len : 0;
    return p != NULL ? (const char *)p : "";
}

bool rd_done(const struct rd *r)
{
    return !r->bad && r->left == 0;
}
