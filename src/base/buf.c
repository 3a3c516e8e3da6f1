#include "base/buf.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){ .max = max };
}

void buf_done(struct buf *b)
{
    mem_free(b->data);
    buf_init(b, b->max);
}

void buf_wipe_done(struct buf *b)
{
    mem_free_secret(b->data, b->cap);
    buf_init(b, b->max);
}

/* Move the unconsumed bytes to the front. */
static void compact(struct buf *b)
{
    if (b->off == 0)
        return;
    memmove(b->data, b->data + b->off, buf_len(b));
    b->end -= b->off;
    b->off = 0;
}

int buf_ensure(struct buf *b, size_t n)
{
    size_t len = buf_len(b);
    if (n > b->max || len > b->max - n)
        return -RF_ETOOBIG;
    if (b->cap - b->end >= n)
        return 0;
    if (b->cap - len >= n && b->off >= b->cap / 2) {
        compact(b);
        return 0;
    }
    size_t cap = b->cap > 0 ? b->cap : BUF_FIRST;
    while (cap < len + n)
        cap *= 2; /* cannot wrap: len + n <= max, and max is far below half of SIZE_MAX */
    compact(b);
    uint8_t *grown = mem_realloc(b->data, cap);
    if (grown == NULL)
        return -RF_ENOMEM;
    b->data = grown;
    b->cap = cap;
    return 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    return buf_ensure(b, n) == 0 ? b->data + b->end : NULL;
}

void buf_grew(struct buf *b, size_t n)
{
    RF_ASSERT(n <= b->cap - b->end);
    b->end += n;
}

int buf_append(struct buf *b, const void *bytes, size_t n)
{
    if (n == 0)
        return 0;
    int rc = buf_ensure(b, n);
    if (rc < 0)
        return rc;
    memcpy(b->data + b->end, bytes, n);
    b->end += n;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    RF_ASSERT(n <= buf_len(b));
    b->off += n;
    if (b->off == b->end)
        buf_done(b);
}

void buf_clear(struct buf *b)
{
    b->off = b->end = 0;
}
