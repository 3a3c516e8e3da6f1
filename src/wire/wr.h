/* wr.h - the only way to write bytes for a peer.
 *
 * A writer appends to a caller-owned struct buf with a sticky `bad` flag; it is asked once, at the
 * end. Messages are opened and closed: wr_close() fills the length word that wr_open() reserved. */
#ifndef RF_WIRE_WR_H
#define RF_WIRE_WR_H

#include "base/buf.h"

struct wr {
    struct buf *to;
    size_t open_at; /* offset from to->off of the reserved length word */
    bool is_open;
    bool bad;
};

struct wr wr_to(struct buf *to);

void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_u64(struct wr *w, uint64_t v);
void wr_bytes(struct wr *w, const void *bytes, size_t n);
void wr_cstr(struct wr *w, const char *s);                 /* with its NUL */
void wr_cstr_len(struct wr *w, const char *s, size_t len); /* bad when S holds a NUL */
void wr_str32(struct wr *w, const char *s, size_t len);    /* u32 length, bytes */

/* A message: TYPE byte (0: none, as in startup packets), length word counting itself, body. */
void wr_open(struct wr *w, char type);
void wr_close(struct wr *w);

/* True when everything was written and no message is open. */
RF_CHECK bool wr_done(const struct wr *w);

#endif
