#include "wire/message.h"

#include <string.h>

#define LONG 0x3fffffff

static const struct facts {
    const char *name;
    uint8_t byte;
    uint32_t shortest, longest;
} facts[MESSAGE_COUNT] = {
    [MESSAGE_UNKNOWN] = { "unknown", 0, 0, 0 },
#define FRONTEND(byte, name, shortest, longest) \
    [MESSAGE_##name] = { #name, byte, shortest, longest },
#define BACKEND(byte, name, shortest, longest) \
    [MESSAGE_##name] = { #name, byte, shortest, longest },
#include "wire/tbl/message.def"
#undef FRONTEND
#undef BACKEND
};

static const uint8_t by_byte[2][256] = {
    [MESSAGE_FROM_FRONTEND] = {
#define FRONTEND(byte, name, shortest, longest) [byte] = MESSAGE_##name,
#define BACKEND(byte, name, shortest, longest)
#include "wire/tbl/message.def"
#undef FRONTEND
#undef BACKEND
    },
    [MESSAGE_FROM_BACKEND] = {
#define FRONTEND(byte, name, shortest, longest)
#define BACKEND(byte, name, shortest, longest) [byte] = MESSAGE_##name,
#include "wire/tbl/message.def"
#undef FRONTEND
#undef BACKEND
    },
};

enum message message_of(enum message_side side, uint8_t byte)
{
    return (enum message)by_byte[side][byte];
}

const char *message_name(enum message m)
{
    return facts[m].name;
}

uint8_t message_byte(enum message m)
{
    return facts[m].byte;
}

bool message_length_valid(enum message m, uint32_t length)
{
    return m != MESSAGE_UNKNOWN && length >= facts[m].shortest && length <= facts[m].longest;
}

uint32_t message_length_at(const uint8_t *header)
{
    return (uint32_t)header[1] << 24 | (uint32_t)header[2] << 16 | (uint32_t)header[3] << 8 |
           (uint32_t)header[4];
}

struct walk walk_of(enum message_side side)
{
    return (struct walk){ .side = (uint8_t)side };
}

enum walk_step walk_next(struct walk *w, const uint8_t **at, size_t *n, enum message *ret_message,
                         uint32_t *ret_body_len)
{
    if (w->left > 0) {
        size_t part = *n < w->left ? *n : w->left;
        if (part == 0)
            return WALK_MORE;
        *at += part;
        *n -= part;
        w->left -= (uint32_t)part;
        return WALK_BODY;
    }
    const uint8_t *header = *at;
    if (w->have == 0 && *n >= MESSAGE_HEADER_LEN) {
        *at += MESSAGE_HEADER_LEN;
        *n -= MESSAGE_HEADER_LEN;
    } else {
        size_t want = MESSAGE_HEADER_LEN - (size_t)w->have;
        size_t part = *n < want ? *n : want;
        memcpy(w->header + w->have, *at, part);
        w->have = (uint8_t)(w->have + part);
        *at += part;
        *n -= part;
        if (w->have < MESSAGE_HEADER_LEN)
            return WALK_MORE;
        header = w->header;
        w->have = 0;
    }
    enum message m = message_of((enum message_side)w->side, header[0]);
    uint32_t length = message_length_at(header);
    if (!message_length_valid(m, length))
        return WALK_BAD;
    w->left = length - 4;
    *ret_message = m;
    *ret_body_len = w->left;
    return WALK_HEADER;
}
