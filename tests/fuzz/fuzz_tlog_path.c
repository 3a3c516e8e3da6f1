/* fuzz_tlog_path.c - any text as the name of a log's file: refused, or the one name of that file.
 */
#include <stdint.h>
#include <string.h>

#include "tlog/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char again[TLOG_PATH_SIZE];
    struct tlog_path path;
    if (tlog_path_read((const char *)data, size, &path) < 0)
        return 0;
    RF_ASSERT(path.file != TLOG_FILE_NONE && path.level <= TLOG_LEVEL_MAX);
    RF_ASSERT(path.width <= TLOG_TILE_WIDTH && path.index <= (uint64_t)INT64_MAX);
    tlog_path_write(&path, again);
    RF_ASSERT(strlen(again) == size && memcmp(again, data, size) == 0);
    return 0;
}
