/* base64.h - RFC 4648 section 4, strict: no blanks, full padding, spare bits zero, so that one
 * sequence of bytes has one text and comparing texts compares bytes. */
#ifndef RF_BASE_BASE64_H
#define RF_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Characters for N bytes, without a NUL. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* Write BASE64_LEN(N) characters and a NUL to OUT. Returns the number of characters. */
size_t base64_encode(const uint8_t *bytes, size_t n, char *out);

/* 0 and the bytes in OUT (at most MAX) with their number; -RF_EINVAL when TEXT is not base64 or
   does not fit. OUT may hold part of the bytes then. */
RF_CHECK int base64_decode(const char *text, size_t len, uint8_t *out, size_t max, size_t *ret_n);

#endif
