/* mem.h - allocation that can be made to fail in tests, and secrets that are wiped. */
#ifndef RF_BASE_MEM_H
#define RF_BASE_MEM_H

#include "base/attr.h"

/* Zeroed memory for COUNT objects of SIZE bytes, or NULL (fault point "mem.alloc"). */
RF_CHECK void *mem_zalloc(size_t count, size_t size);
RF_CHECK void *mem_realloc(void *ptr, size_t size);
RF_CHECK char *mem_strdup(const char *s);
RF_CHECK char *mem_strndup(const char *s, size_t len); /* of no bytes S may be NULL */
void mem_free(void *ptr);

/* Wipe LEN bytes and free; NULL is welcome. */
void mem_free_secret(void *ptr, size_t len);
void mem_free_secret_str(char *s);

#endif
