/* sql.h - SQL text put together from names and values that nobody has to trust.
 *
 * The text grows in a caller-owned struct sql with a sticky failure; it is asked once, at the end.
 * Every name is quoted always, so keywords, capitals and spaces need no thought, and a name that
 * PostgreSQL would cut (more than 63 bytes) is refused: two long names must not become one. */
#ifndef RF_ENFORCE_SQL_H
#define RF_ENFORCE_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { SQL_NAME_MAX = 63, SQL_TEXT_MAX = 8 * 1024 * 1024 };

struct sql {
    struct buf text;
    bool bad;          /* too large, out of memory, or a name that cannot be quoted */
    char bad_name[80]; /* the name, clipped; empty when it was not a name */
};

void sql_init(struct sql *s);
void sql_done(struct sql *s);

/* Append FORMAT, in which
     %I  a name, quoted (one const char *)
     %N  a name with its schema, both quoted (two: schema, name)
     %L  a string, as a literal
     %S  text as it is: SQL of ours, never anything from outside
     %D  a whole number (int64_t)
   stand for the arguments, in this order. Everything else is copied; "%%" is a per cent sign. */
void sql_add(struct sql *s, const char *format, ...);

/* The finished text, NUL-terminated, valid until the next change; or an error: -RF_ECONFIG for a
   bad name, -RF_ETOOBIG. */
RF_CHECK int sql_text(struct sql *s, const char **ret_text, struct err *err);

#endif
