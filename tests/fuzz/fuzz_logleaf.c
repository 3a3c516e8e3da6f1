/* fuzz_logleaf.c - any bytes as a leaf of the public log: refused, or exactly what its writer would
 * have written. */
#include <stdint.h>
#include <string.h>

#include "base/base64.h"
#include "ledger/logleaf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_hex(enum logleaf_key key)
{
    return key == LEAF_KEY_VRF || key == LEAF_KEY_TAGS_ROOT || key == LEAF_KEY_CHAIN ||
           key == LEAF_KEY_BINARY || key == LEAF_KEY_LIBRARIES || key == LEAF_KEY_POLICY ||
           key == LEAF_KEY_HELD || key == LEAF_KEY_SALT;
}

/* Values that are written from bytes are read as text: turned back, the leaf is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[LEAF_KEY_COUNT][LOGLEAF_ITEMS_MAX * LOGLEAF_ITEM_LEN];
    struct logleaf leaf;
    struct buf again;
    if (logleaf_read(data, size, &leaf) < 0)
        return 0;
    RF_ASSERT(leaf.type > LEAF_NONE && leaf.type < LEAF_TYPE_COUNT);
    for (int i = 0; i < LEAF_KEY_COUNT; i++) {
        enum logleaf_key key = (enum logleaf_key)i;
        size_t n = DIGEST_LEN;
        if (leaf.value[i].text == NULL)
            continue;
        if (is_hex(key))
            logleaf_hash(&leaf, key, bytes[i]);
        else if (key == LEAF_KEY_TAGS || key == LEAF_KEY_SIGNATURE)
            RF_ASSERT(base64_decode(leaf.value[i].text, leaf.value[i].len, bytes[i],
                                    sizeof(bytes[i]), &n) == 0);
        else
            continue;
        logleaf_bytes(&leaf, key, bytes[i], n);
    }
    buf_init(&again, LOGLEAF_MAX);
    RF_ASSERT(logleaf_write(&again, &leaf) == 0);
    RF_ASSERT(buf_len(&again) == size && memcmp(buf_at(&again), data, size) == 0);
    buf_done(&again);
    return 0;
}
