/* source.h - the text of SQL itself, where libpg_query says too little about it. */
#ifndef RF_GUARD_SOURCE_H
#define RF_GUARD_SOURCE_H

#include <stdint.h>

#include "base/attr.h"

/* Leave out what stands before a statement (blanks, comments) and the blanks after it. */
void source_trim(const char *sql, uint32_t *offset, uint32_t *len);

/* 0 when all LEN bytes are UTF-8 as PostgreSQL's pg_utf8_islegal() takes it; otherwise the number
   of offending bytes (what its message shows) with their place in *RET_AT. */
size_t source_bad_bytes(const char *sql, size_t len, size_t *ret_at);

/* The longest run of operator characters, wherever it stands. PostgreSQL's lexer takes a whole run,
   gives back all but its beginning and starts again ("++++…", "slash star slash star…"): quadratic,
   seconds for 64 kB. More than SOURCE_RUN_MAX is not worth looking at. */
enum { SOURCE_RUN_MAX = 1024 };
size_t source_operator_run(const char *sql, size_t len);

/* GRANT is a keyword that PostgreSQL's grammar takes for no parameter's name: a text that sets
   ringfence.grant is a syntax error. Here each SOURCE_GRANT in TEXT, whatever its case, becomes the
   stand-in, which is as long and a name like any other. Returns how many there were. */
#define SOURCE_GRANT          "ringfence.grant"
#define SOURCE_GRANT_STAND_IN "ringfence.gr$nt"
size_t source_stand_in(char *text);

#endif
