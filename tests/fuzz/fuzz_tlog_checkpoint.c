/* fuzz_tlog_checkpoint.c - any bytes as the text of a checkpoint: refused, or written back the same
 * but for the lines of extensions. */
#include <stdint.h>
#include <string.h>

#include "tlog/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char again[CHECKPOINT_TEXT_SIZE];
    struct checkpoint c;
    struct err err;
    RF_ASSERT(digest_init(&err) == 0);
    if (checkpoint_read((const char *)data, size, &c, &err) < 0)
        return 0;
    RF_ASSERT(key_is_name(c.origin, strlen(c.origin)) && c.size <= (uint64_t)INT64_MAX);
    size_t len = checkpoint_write(&c, again);
    RF_ASSERT(len <= size && memcmp(again, data, len) == 0);
    RF_ASSERT(len == size || (data[len] != '\n' && data[size - 1] == '\n'));
    return 0;
}
