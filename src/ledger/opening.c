#include "ledger/opening.h"

#include <string.h>

#include "ledger/json.h"

int opening_leaf(const struct frame_entry *entry, struct leaf *ret, struct err *err)
{
    struct leaf leaf;
    if (leaf_read(entry->leaf, entry->leaf_len, &leaf) < 0)
        return err_set(err, RF_ETAMPER, "public part is not canonical");
    if (leaf.minute != entry->minute)
        return err_set(err, RF_ETAMPER, "public part and entry name different minutes");
    *ret = leaf;
    return 0;
}

int opening_private(struct daykey_store *keys, const char *name, const struct frame_entry *entry,
                    const struct leaf *leaf, struct buf *to, struct err *err)
{
    const struct seal_context context = {
        .index = entry->index, .name = name, .leaf = entry->leaf, .leaf_len = entry->leaf_len
    };
    const uint8_t *key, *key_id;
    uint8_t commitment[DIGEST_LEN];
    int rc = daykey_find(keys, entry->minute, &key, &key_id, err);
    if (rc == -RF_ENOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    if (memcmp(key_id, entry->key_id, SEAL_KEY_ID_LEN) != 0)
        return 0; /* a key of that day, but not the one that sealed this */
    buf_clear(to);
    rc = seal_open(to, &context, key, entry->sealed, entry->sealed_len);
    if (rc == -RF_ETAMPER)
        return err_set(err, RF_ETAMPER, "private part does not open with its key");
    if (rc < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    const uint8_t *private_part = buf_at(to) + SEAL_SALT_LEN;
    size_t n = buf_len(to) - SEAL_SALT_LEN;
    seal_commitment(buf_at(to), private_part, n, commitment);
    if (memcmp(commitment, leaf->commitment, sizeof(commitment)) != 0)
        return err_set(err, RF_ETAMPER, "private part is not the one that the public part names");
    if (!json_is_canonical(private_part, n))
        return err_set(err, RF_ETAMPER, "private part is not canonical");
    return 1;
}
