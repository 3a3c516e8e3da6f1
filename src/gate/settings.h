/* settings.h - session parameters (GUCs) by name: what a server reported, what a client asked for.
 *
 * Names compare without case, as in PostgreSQL. Values are printable ASCII: in some client
 * encodings other bytes could end a quoted string. */
#ifndef RF_GATE_SETTINGS_H
#define RF_GATE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct setting {
    char *name, *value;
};

struct settings {
    struct setting *list;
    uint16_t count, cap;
};

enum { SETTINGS_MAX = 128 };

void settings_done(struct settings *s);
RF_CHECK int settings_put(struct settings *s, const char *name, const char *value);
const char *settings_get(const struct settings *s, const char *name); /* NULL: not there */

/* Parameters that a server reports by itself when they change and a session may set: the ones that
   can follow a client from server connection to server connection. */
bool settings_is_tracked(const char *name);

bool settings_value_valid(const char *value);

/* Append one statement that sets, in HAVE's session, every parameter of WANT whose value differs,
   and gives the tracked ones that WANT does not mention the value of DEFAULTS again; nothing when
   there is nothing to set. Returns how many, or negative. */
RF_CHECK int settings_write_difference(const struct settings *want, const struct settings *have,
                                       const struct settings *defaults, struct buf *sql);

/* After such a statement: take over what the server made of the values ("ISO" is reported as
   "ISO, MDY"), so that the next comparison finds them equal. */
RF_CHECK int settings_adopt(struct settings *want, const struct settings *have);

#endif
