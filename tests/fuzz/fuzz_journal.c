/* fuzz_journal.c - any bytes as a segment's file, and as the JSON inside: what is taken as good
 * must be exactly what our own writers make. */
#include <stdint.h>
#include <string.h>

#include "ledger/frame.h"
#include "ledger/json.h"
#include "ledger/leaf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void entries(const uint8_t *data, size_t size, const struct frame_header *header)
{
    struct frame_entry entry;
    uint8_t chain[DIGEST_LEN];
    int64_t len;
    memcpy(chain, header->chain, sizeof(chain));
    for (uint64_t index = header->first; (len = frame_entry_read(data, size, &entry)) > 0;
         index++) {
        struct leaf leaf;
        struct buf again;
        RF_ASSERT((size_t)len <= size);
        if (frame_entry_breaks(data, &entry, index, 0, chain) != NULL)
            return;
        buf_init(&again, FRAME_ENTRY_MAX);
        RF_ASSERT(frame_entry_write(&again, &entry, chain) == 0);
        RF_ASSERT(buf_len(&again) == (size_t)len && memcmp(buf_at(&again), data, (size_t)len) == 0);
        buf_done(&again);
        if (leaf_read(entry.leaf, entry.leaf_len, &leaf) == 0)
            RF_ASSERT(json_is_canonical(entry.leaf, entry.leaf_len));
        data += len;
        size -= (size_t)len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_header header;
    struct leaf leaf;
    size_t len;
    if (digest_init(NULL) < 0)
        return 0;
    if (frame_header_read(data, size, &header, &len) == 0)
        entries(data + len, size - len, &header);
    if (leaf_read(data, size, &leaf) == 0)
        RF_ASSERT(json_is_canonical(data, size));
    (void)json_is_canonical(data, size);
    return 0;
}
