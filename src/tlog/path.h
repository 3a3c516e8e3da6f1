/* path.h - names of a log's files below its prefix (C2SP tlog-tiles): `checkpoint`,
 * `tile/L/N[.p/W]`, `tile/entries/N[.p/W]`. One strict parser for writer, server and verifier. */
#ifndef RF_TLOG_PATH_H
#define RF_TLOG_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum { TLOG_TILE_HEIGHT = 8, TLOG_TILE_WIDTH = 256, TLOG_LEVEL_MAX = 63, TLOG_PATH_SIZE = 64 };

enum tlog_file { TLOG_FILE_NONE, TLOG_FILE_CHECKPOINT, TLOG_FILE_TILE, TLOG_FILE_ENTRIES };

struct tlog_path {
    enum tlog_file file;
    unsigned level; /* TILE */
    uint64_t index; /* N */
    unsigned width; /* 1..255 partial, 256 whole */
};

/* TEXT without a leading slash. Any index below 2^63 is a path's: ask tlog_tile_width() before
   making entry numbers of it. -RF_EINVAL for all that the writer below does not make. */
RF_CHECK int tlog_path_read(const char *text, size_t len, struct tlog_path *ret);
void tlog_path_write(const struct tlog_path *path, char ret[TLOG_PATH_SIZE]);

/* How many hashes LEVEL of a tree of SIZE has (0 above its height), and the width that tile INDEX
   of that level has in it: 0 none. */
uint64_t tlog_level_count(uint64_t size, unsigned level);
unsigned tlog_tile_width(uint64_t size, unsigned level, uint64_t index);

#endif
