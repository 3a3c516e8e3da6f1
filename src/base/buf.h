/* buf.h - a growable run of bytes with a named ceiling.
 *
 * Bytes are appended at the end and consumed from the front; `data + off` is the first unconsumed
 * byte. Growth beyond MAX or out of memory fails and leaves the contents as they were. */
#ifndef RF_BASE_BUF_H
#define RF_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct buf {
    uint8_t *data;
    size_t off; /* consumed */
    size_t end; /* used; off <= end <= cap */
    size_t cap;
    size_t max; /* most unconsumed bytes it may ever hold */
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);      /* frees; the buffer may be used again */
void buf_wipe_done(struct buf *b); /* the same after clearing the memory */

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->off;
}

static inline uint8_t *buf_at(struct buf *b)
{
    return b->data + b->off;
}

/* Room for N more bytes, so that appending them cannot fail: 0, -RF_ETOOBIG past the ceiling,
   -RF_ENOMEM. */
RF_CHECK int buf_ensure(struct buf *b, size_t n);

/* Room for N more bytes at the returned place (buf_grew() makes them count), or NULL. */
RF_CHECK uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);

/* 0, -RF_ETOOBIG past the ceiling, -RF_ENOMEM. */
RF_CHECK int buf_append(struct buf *b, const void *bytes, size_t n);

/* Drop N bytes from the front; an emptied buffer gives its memory back. */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b); /* consume everything, keep the memory */

#endif
