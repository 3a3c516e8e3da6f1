/* arena.h - memory that is taken piece by piece and given back all at once.
 *
 * A policy is hundreds of small strings and arrays with one life: the arena makes freeing a
 * half-built one as safe as freeing a whole one. */
#ifndef RF_POLICY_ARENA_H
#define RF_POLICY_ARENA_H

#include "base/attr.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
};

void arena_init(struct arena *a);
void arena_done(struct arena *a); /* everything taken from it is gone */

/* Zeroed memory for COUNT objects of SIZE bytes, fit for any type, or NULL. */
RF_CHECK void *arena_alloc(struct arena *a, size_t count, size_t size);
RF_CHECK char *arena_strndup(struct arena *a, const char *s, size_t len);
RF_CHECK char *arena_printf(struct arena *a, const char *fmt, ...) RF_PRINTF(2, 3);

#endif
