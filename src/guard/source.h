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

#endif
