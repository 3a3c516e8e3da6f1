#include "tlog/path.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tlog/line.h"

/* An index is cut into groups of three digits, of which every one but the last is a folder whose
 * name begins with `x`: 1234067 is `x001/x234/067`. So a folder never has the name of a file, and
 * no folder has more than 1000 of each. */

static bool digits_read(struct line *text, uint64_t *number)
{
    if (text->len < 3)
        return false;
    for (size_t i = 0; i < 3; i++) {
        char c = text->at[i];
        if (c < '0' || c > '9' || *number > (LINE_NUMBER_MAX - (uint64_t)(c - '0')) / 10)
            return false;
        *number = *number * 10 + (uint64_t)(c - '0');
    }
    text->at += 3;
    text->len -= 3;
    return true;
}

static bool index_read(struct line *text, uint64_t *ret)
{
    uint64_t number = 0;
    while (line_skip(text, "x"))
        /* a first group of zeros would be a second spelling */
        if (!digits_read(text, &number) || number == 0 || !line_skip(text, "/"))
            return false;
    if (!digits_read(text, &number))
        return false;
    *ret = number;
    return true;
}

/* What is left behind the index: nothing, or `.p/W`. */
static bool width_read(struct line text, unsigned *ret)
{
    uint64_t width = TLOG_TILE_WIDTH;
    if (text.len > 0 && (!line_skip(&text, ".p/") || !line_number(text, &width) || width == 0 ||
                         width >= TLOG_TILE_WIDTH))
        return false;
    *ret = (unsigned)width;
    return true;
}

static bool level_read(struct line *text, unsigned *ret)
{
    const char *slash = text->len == 0 ? NULL : memchr(text->at, '/', text->len);
    uint64_t level;
    if (slash == NULL)
        return false;
    size_t len = (size_t)(slash - text->at);
    if (!line_number((struct line){ text->at, len }, &level) || level > TLOG_LEVEL_MAX)
        return false;
    text->at += len + 1;
    text->len -= len + 1;
    *ret = (unsigned)level;
    return true;
}

int tlog_path_read(const char *text, size_t len, struct tlog_path *ret)
{
    struct line rest = { text, len };
    struct tlog_path path = { 0 };
    if (line_is(rest, "checkpoint")) {
        path.file = TLOG_FILE_CHECKPOINT;
    } else {
        if (line_skip(&rest, "tile/entries/"))
            path.file = TLOG_FILE_ENTRIES;
        else if (line_skip(&rest, "tile/") && level_read(&rest, &path.level))
            path.file = TLOG_FILE_TILE;
        else
            return -RF_EINVAL;
        if (!index_read(&rest, &path.index) || !width_read(rest, &path.width))
            return -RF_EINVAL;
    }
    *ret = path;
    return 0;
}

static size_t index_write(uint64_t index, char *to, size_t size)
{
    unsigned groups[7], count = 0;
    size_t at = 0;
    do {
        groups[count++] = (unsigned)(index % 1000);
        index /= 1000;
    } while (index > 0);
    while (count-- > 0)
        at += (size_t)snprintf(to + at, size - at, count > 0 ? "x%03u/" : "%03u", groups[count]);
    return at;
}

void tlog_path_write(const struct tlog_path *path, char ret[TLOG_PATH_SIZE])
{
    size_t at;
    RF_ASSERT(path->file != TLOG_FILE_NONE);
    if (path->file == TLOG_FILE_CHECKPOINT) {
        (void)snprintf(ret, TLOG_PATH_SIZE, "checkpoint");
        return;
    }
    RF_ASSERT(path->index <= LINE_NUMBER_MAX && path->level <= TLOG_LEVEL_MAX);
    RF_ASSERT(path->width >= 1 && path->width <= TLOG_TILE_WIDTH);
    if (path->file == TLOG_FILE_ENTRIES)
        at = (size_t)snprintf(ret, TLOG_PATH_SIZE, "tile/entries/");
    else
        at = (size_t)snprintf(ret, TLOG_PATH_SIZE, "tile/%u/", path->level);
    at += index_write(path->index, ret + at, TLOG_PATH_SIZE - at);
    if (path->width < TLOG_TILE_WIDTH)
        (void)snprintf(ret + at, TLOG_PATH_SIZE - at, ".p/%u", path->width);
}

uint64_t tlog_level_count(uint64_t size, unsigned level)
{
    return level < 64 / TLOG_TILE_HEIGHT ? size >> (TLOG_TILE_HEIGHT * level) : 0;
}

unsigned tlog_tile_width(uint64_t size, unsigned level, uint64_t index)
{
    uint64_t count = tlog_level_count(size, level), whole = count / TLOG_TILE_WIDTH;
    if (index < whole)
        return TLOG_TILE_WIDTH;
    return index == whole ? (unsigned)(count % TLOG_TILE_WIDTH) : 0;
}
