/* memlog.h - the files of a log in memory: made by logmaker, spoiled by tests, read by verify. */
#ifndef RF_TESTS_MEMLOG_H
#define RF_TESTS_MEMLOG_H

#include "verify/source.h"

struct memlog_file {
    char path[300];
    uint8_t *bytes; /* owned */
    size_t n;
};

struct memlog {
    struct memlog_file *files;
    size_t count, room;
};

void memlog_done(struct memlog *m);
/* Replaces what has that path. An on_file of logmaker: CONTEXT is the struct. */
int memlog_put(void *context, const char *path, const void *bytes, size_t n);
struct memlog_file *memlog_find(const struct memlog *m, const char *path);
void memlog_remove(struct memlog *m, const char *path);
void memlog_copy(const struct memlog *from, struct memlog *to); /* TO is empty or holds a log */

/* Borrows M. */
struct source *memlog_source(struct memlog *m);

#endif
