/* message.h - the message table, and walking headers without copying bodies.
 *
 * `struct walk` follows one direction of a connection over chunks of any size: a header may be cut
 * anywhere, a body may be larger than any buffer. */
#ifndef RF_WIRE_MESSAGE_H
#define RF_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum message {
    MESSAGE_UNKNOWN,
#define FRONTEND(byte, name, shortest, longest) MESSAGE_##name,
#define BACKEND(byte, name, shortest, longest)  MESSAGE_##name,
#include "wire/tbl/message.def"
#undef FRONTEND
#undef BACKEND
    MESSAGE_COUNT
};

enum { MESSAGE_HEADER_LEN = 5 };

enum message_side { MESSAGE_FROM_FRONTEND, MESSAGE_FROM_BACKEND };

/* The message that BYTE starts on that side; MESSAGE_UNKNOWN for every other byte. */
enum message message_of(enum message_side side, uint8_t byte);
const char *message_name(enum message m);
bool message_length_valid(enum message m, uint32_t length);
uint8_t message_byte(enum message m);

/* A length word is shared by both sides of the wire: counts itself, not the type byte. */
uint32_t message_length_at(const uint8_t *header);

struct walk {
    uint8_t header[MESSAGE_HEADER_LEN];
    uint8_t have;  /* bytes of the next header seen so far */
    uint8_t side;  /* enum message_side */
    uint32_t left; /* bytes of the current body still to come */
};

enum walk_step {
    WALK_MORE,   /* the chunk is used up */
    WALK_HEADER, /* a message begins: *RET_MESSAGE, *RET_BODY_LEN; its header is taken */
    WALK_BODY,   /* N bytes of its body were passed over; the body is complete when left == 0 */
    WALK_BAD     /* unknown type or unbelievable length: the connection cannot go on */
};

struct walk walk_of(enum message_side side);

/* Take the next piece from *AT (*N bytes), which are moved forward. */
enum walk_step walk_next(struct walk *w, const uint8_t **at, size_t *n, enum message *ret_message,
                         uint32_t *ret_body_len);

/* Between two messages? */
static inline bool walk_at_boundary(const struct walk *w)
{
    return w->have == 0 && w->left == 0;
}

#endif
