/* fuzz_tlog_bundle.c - a count (one byte, plus one) and any bytes as an entry bundle: refused, or
 * entries that make up the whole of it. */
#include <stdint.h>
#include <string.h>

#include "tlog/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bundle_entry entries[TLOG_TILE_WIDTH], others[TLOG_TILE_WIDTH];
    struct buf b;
    if (size == 0)
        return 0;
    unsigned count = data[0] + 1U;
    data++;
    size--;
    if (bundle_read(data, size, count, entries) < 0)
        return 0;
    buf_init(&b, BUNDLE_MAX);
    for (unsigned i = 0; i < count; i++)
        RF_ASSERT(bundle_entry_write(&b, entries[i].bytes, entries[i].len) == 0);
    RF_ASSERT(buf_len(&b) == size && memcmp(buf_at(&b), data, size) == 0);
    buf_done(&b);
    /* and no other number of entries */
    RF_ASSERT(bundle_read(data, size, count - 1, others) < 0);
    RF_ASSERT(bundle_read(data, size, count + 1, others) < 0);
    return 0;
}
