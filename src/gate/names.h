/* names.h - prepared statements and portals of a person's client: under which statement's number
 * and text what they produce is recorded.
 *
 * An entry is made when its message is sent on, before the server has answered. Until it has, an
 * older entry of the same name stays behind it: when the server refuses or skips the message, the
 * older one is what the name means again. So the list always holds what the server knows, and
 * perhaps more; what is not in it the server does not know. Names count to 63 bytes, as they do at
 * the server (NAMEDATALEN). */
#ifndef RF_GATE_NAMES_H
#define RF_GATE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { NAMES_LEN = 63, NAMES_MAX = 1000, NAMES_BYTES_MAX = 8 * 1024 * 1024 };

struct name {
    char *name;
    char *sql; /* prepared statements */
    size_t sql_len;
    char kind[40];
    char *relations;
    uint64_t fingerprint;
    uint64_t number; /* of the statement's record */
    bool confirmed;  /* the server has it */
};

struct names {
    struct name **list; /* least recently used first */
    uint32_t count, cap;
    size_t bytes; /* of SQL texts */
};

void names_done(struct names *n);

/* What NAME means in the next message; NULL: nothing. It counts as used. */
const struct name *names_find(struct names *n, const char *name);

/* Is it open what NAME will mean: the older entry, or the newer one that the server has not
   answered yet? Only when a Sync has gone out behind the newer one (made under a number up to
   SYNCED): before that, a failure would skip whoever uses the name. */
bool names_is_open(const struct names *n, const char *name, uint64_t synced);

/* An entry NAME under NUMBER. SQL and RELATIONS (may be NULL) are copied. */
RF_CHECK int names_add(struct names *n, const char *name, uint64_t number, const char *sql,
                       size_t sql_len, const struct name *facts, const char *relations);

/* The least recently used entry when there are too many of them or of their bytes, or NULL. */
const struct name *names_excess(const struct names *n);

/* The server has taken the entry NUMBER: older ones of its name are gone. */
void names_confirm(struct names *n, uint32_t number);
/* The server has closed it, or never knew it. */
void names_remove(struct names *n, uint32_t number);
/* Every entry up to NUMBER has ended. */
void names_end_until(struct names *n, uint32_t number);

#endif
