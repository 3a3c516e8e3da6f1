/* json.h - the canonical JSON of the journal (docs/formats/journal.md, section 3): one flat object
 * of text and integers, one way to write each value. */
#ifndef RF_LEDGER_JSON_H
#define RF_LEDGER_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct json_writer {
    struct buf *to;
    bool any;
    bool bad; /* out of room or memory, or an integer that JSON readers would round */
};

struct json_writer json_begin(struct buf *to);
/* Empty text and zero are left out by json_text(), json_number() and json_hex(). Text that is not
   UTF-8 is written as KEY_hex. KEY is a literal of ours. */
void json_text(struct json_writer *w, const char *key, const char *text, size_t len);
void json_number(struct json_writer *w, const char *key, uint64_t value);
void json_hex(struct json_writer *w, const char *key, const uint8_t *bytes, size_t n);
RF_CHECK bool json_end(struct json_writer *w);

/* Walks an object in place. */
struct json_reader {
    const char *at, *end;
    bool any;
};
struct json_field {
    const char *key,
        *value; /* not NUL-terminated; VALUE of text is what stands between the quotes */
    size_t key_len, value_len;
    bool is_text;
    uint64_t number;
};

/* BYTES must begin an object, else false. */
RF_CHECK bool json_open(struct json_reader *r, const void *bytes, size_t n);
/* 1 a field, 0 the object has ended with the last byte, -RF_EPROTO for what our writer would have
   written otherwise (keys' order and repetition are the caller's to judge). */
RF_CHECK int json_next(struct json_reader *r, struct json_field *ret);

/* All of BYTES is one canonical object without repeated keys. */
bool json_is_canonical(const void *bytes, size_t n);

/* How many bytes the UTF-8 sequence at TEXT has, 0 when it is none (RFC 3629: no surrogates, no
   overlong forms, nothing above U+10FFFF). */
size_t json_utf8_at(const uint8_t *text, size_t len);

#endif
