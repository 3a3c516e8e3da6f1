/* line.h - what the text formats of the log share: lines that end in one line feed, numbers without
 * leading zeros, hashes in base64, and what may stand in text at all. Nothing here allocates. */
#ifndef RF_TLOG_LINE_H
#define RF_TLOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlog/hash.h"

enum {
    LINE_NUMBER_SIZE = 20, /* the longest number and a NUL */
    LINE_HASH_LEN = 44
};

/* All sizes and indexes: other readers keep them in a signed integer. */
#define LINE_NUMBER_MAX ((uint64_t)INT64_MAX)

struct line { /* borrowed */
    const char *at;
    size_t len;
};

/* Cut the first line off REST; *RET is without its line end. False, and nothing changed: REST has
   no line end any more. */
bool line_cut(struct line *rest, struct line *ret);

bool line_is(struct line line, const char *word);
/* LINE begins with PREFIX, which is cut off; or false and nothing changed. */
bool line_skip(struct line *line, const char *prefix);

/* The whole of TEXT is a decimal number of at most LINE_NUMBER_MAX in its only spelling. */
bool line_number(struct line text, uint64_t *ret);
bool line_hash(struct line text, uint8_t ret[TLOG_HASH_LEN]);

/* UTF-8 (RFC 3629: shortest form, no surrogates) in which nothing below 0x20 stands but line
   feeds. */
bool line_is_text(struct line text);

/* The code point at the start of TEXT, which has at least one byte, and its length in bytes in
 *RET_LEN; -1: not UTF-8. */
int32_t line_code_point(struct line text, size_t *ret_len);

#endif
