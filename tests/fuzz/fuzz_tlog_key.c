/* fuzz_tlog_key.c - any text as a verifier key: refused, or the one way to write that key. */
#include <stdint.h>
#include <string.h>

#include "base/digest.h"
#include "tlog/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char again[KEY_VKEY_SIZE];
    struct key key;
    struct err err;
    RF_ASSERT(digest_init(&err) == 0);
    if (key_read((const char *)data, size, &key, &err) < 0)
        return 0;
    RF_ASSERT(key_is_name(key.name, strlen(key.name)));
    RF_ASSERT(key.type == KEY_ED25519 || key.type == KEY_COSIGNATURE);
    key_write(&key, again);
    RF_ASSERT(strlen(again) == size && memcmp(again, data, size) == 0);
    return 0;
}
