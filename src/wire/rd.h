/* rd.h - the only way to read bytes that came from outside.
 *
 * A reader is a value over borrowed bytes with a sticky `bad` flag: after the first short read
 * every getter yields zero or "", so a message function is straight-line. It ends with rd_done().
 * Integers are big-endian, as in the PostgreSQL protocol ("54.7. Message Formats"). */
#ifndef RF_WIRE_RD_H
#define RF_WIRE_RD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct rd {
    const uint8_t *at;
    size_t left;
    bool bad;
};

struct rd rd_of(const void *bytes, size_t len);

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);

/* N bytes in place, or NULL (and bad). A zero N yields a valid pointer. */
const uint8_t *rd_bytes(struct rd *r, size_t n);

/* A NUL-terminated string in place; "" (and bad) when no NUL is left. */
const char *rd_cstr(struct rd *r);

/* A u32 length and that many bytes: the form our own processes use. *RET_LEN is 0 when bad. */
const char *rd_str32(struct rd *r, size_t *ret_len);

/* True when nothing failed and nothing is left over. */
RF_CHECK bool rd_done(const struct rd *r);

#endif
