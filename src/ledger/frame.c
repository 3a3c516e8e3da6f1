#include "ledger/frame.h"

#include <string.h>

#include "base/err.h"
#include "ledger/leaf.h"
#include "ledger/seal.h"
#include "wire/rd.h"
#include "wire/wr.h"

static const char header_magic[8] = "RFJRNL01";

void frame_first_chain(const uint8_t journal_id[FRAME_JOURNAL_ID_LEN], const char *name,
                       uint8_t ret[DIGEST_LEN])
{
    static const char domain[] = "ringfence-journal@1\n";
    size_t len = strlen(name);
    uint8_t len16[2] = { (uint8_t)(len >> 8), (uint8_t)len };
    const struct iovec pieces[] = {
        digest_piece(domain, sizeof(domain) - 1),
        digest_piece(journal_id, FRAME_JOURNAL_ID_LEN),
        digest_piece(len16, sizeof(len16)),
        digest_piece(name, len),
    };
    digest_pieces(pieces, RF_COUNT(pieces), ret);
}

int frame_header_write(struct buf *to, const struct frame_header *header)
{
    size_t name_len = strlen(header->name), len = FRAME_HEADER_MIN + name_len;
    if (name_len == 0)
        return -RF_EINVAL;
    if (buf_reserve(to, len) == NULL)
        return -RF_ENOMEM;
    size_t start = buf_len(to);
    struct wr w = wr_to(to);
    wr_bytes(&w, header_magic, sizeof(header_magic));
    wr_u32(&w, (uint32_t)len);
    wr_u64(&w, header->first);
    wr_bytes(&w, header->journal_id, sizeof(header->journal_id));
    wr_bytes(&w, header->chain, sizeof(header->chain));
    wr_u16(&w, (uint16_t)name_len);
    wr_bytes(&w, header->name, name_len);
    wr_u32(&w, digest_crc32c(0, buf_at(to) + start, len - 4));
    return wr_done(&w) ? 0 : -RF_EBUG;
}

int frame_header_read(const void *bytes, size_t n, struct frame_header *ret, size_t *ret_len)
{
    struct frame_header h = { 0 };
    struct rd r = rd_of(bytes, n);
    const uint8_t *magic = rd_bytes(&r, sizeof(header_magic));
    size_t len = rd_u32(&r);
    h.first = rd_u64(&r);
    const uint8_t *id = rd_bytes(&r, sizeof(h.journal_id));
    const uint8_t *chain = rd_bytes(&r, sizeof(h.chain));
    size_t name_len = rd_u16(&r);
    const uint8_t *name = rd_bytes(&r, name_len);
    uint32_t crc = rd_u32(&r);
    if (r.bad || memcmp(magic, header_magic, sizeof(header_magic)) != 0 || name_len == 0 ||
        name_len > FRAME_NAME_MAX || len != FRAME_HEADER_MIN + name_len ||
        memchr(name, 0, name_len) != NULL || crc != digest_crc32c(0, bytes, len - 4))
        return -RF_EPROTO;
    memcpy(h.journal_id, id, sizeof(h.journal_id));
    memcpy(h.chain, chain, sizeof(h.chain));
    memcpy(h.name, name, name_len);
    *ret = h;
    *ret_len = len;
    return 0;
}

static void chain_on(uint8_t chain[DIGEST_LEN], const void *body, size_t n)
{
    const struct iovec pieces[] = { digest_piece(chain, DIGEST_LEN), digest_piece(body, n) };
    digest_pieces(pieces, RF_COUNT(pieces), chain);
}

static uint32_t entry_crc(const uint8_t *entry, size_t length)
{
    uint32_t crc = digest_crc32c(0, entry + 4, 4);
    return digest_crc32c(crc, entry + FRAME_PREFIX_LEN, length);
}

int frame_entry_write(struct buf *to, const struct frame_entry *entry, uint8_t chain[DIGEST_LEN])
{
    size_t length = 74 + entry->leaf_len + entry->sealed_len;
    if (entry->leaf_len == 0 || entry->leaf_len > LEAF_MAX || entry->sealed_len < SEAL_OVERHEAD ||
        entry->sealed_len > FRAME_LENGTH_MAX || length > FRAME_LENGTH_MAX)
        return -RF_ETOOBIG;
    if (buf_reserve(to, FRAME_PREFIX_LEN + length) == NULL)
        return -RF_ENOMEM;
    size_t start = buf_len(to);
    struct wr w = wr_to(to);
    wr_bytes(&w, FRAME_MARKER, 4);
    wr_u32(&w, (uint32_t)length);
    wr_u32(&w, 0);
    wr_u64(&w, entry->index);
    wr_u32(&w, entry->minute);
    wr_u64(&w, entry->instance);
    wr_u64(&w, entry->seq);
    wr_bytes(&w, entry->key_id, sizeof(entry->key_id));
    wr_u16(&w, (uint16_t)entry->leaf_len);
    wr_bytes(&w, entry->leaf, entry->leaf_len);
    wr_u32(&w, (uint32_t)entry->sealed_len);
    wr_bytes(&w, entry->sealed, entry->sealed_len);
    chain_on(chain, buf_at(to) + start + FRAME_PREFIX_LEN, length - DIGEST_LEN);
    wr_bytes(&w, chain, DIGEST_LEN);
    RF_ASSERT(wr_done(&w)); /* the room was reserved */
    uint8_t *at = buf_at(to) + start;
    uint32_t crc = entry_crc(at, length);
    for (int i = 0; i < 4; i++)
        at[8 + i] = (uint8_t)(crc >> (24 - 8 * i));
    return 0;
}

int64_t frame_entry_read(const void *bytes, size_t n, struct frame_entry *ret)
{
    struct frame_entry e = { 0 };
    const uint8_t *at = bytes;
    size_t marker = n < 4 ? n : 4;
    if (memcmp(at, FRAME_MARKER, marker) != 0)
        return -RF_EPROTO;
    if (n < FRAME_PREFIX_LEN)
        return 0;
    struct rd r = rd_of(at + 4, n - 4);
    size_t length = rd_u32(&r);
    uint32_t crc = rd_u32(&r);
    if (length > FRAME_LENGTH_MAX || length < 74 + 1 + SEAL_OVERHEAD)
        return -RF_EPROTO;
    if (length > n - FRAME_PREFIX_LEN)
        return 0;
    if (crc != entry_crc(at, length))
        return -RF_EPROTO;
    r = rd_of(at + FRAME_PREFIX_LEN, length);
    e.index = rd_u64(&r);
    e.minute = rd_u32(&r);
    e.instance = rd_u64(&r);
    e.seq = rd_u64(&r);
    const uint8_t *key_id = rd_bytes(&r, sizeof(e.key_id));
    e.leaf_len = rd_u16(&r);
    e.leaf = rd_bytes(&r, e.leaf_len);
    e.sealed_len = rd_u32(&r);
    e.sealed = rd_bytes(&r, e.sealed_len);
    const uint8_t *chain = rd_bytes(&r, sizeof(e.chain));
    if (!rd_done(&r) || e.leaf_len == 0 || e.leaf_len > LEAF_MAX || e.sealed_len < SEAL_OVERHEAD)
        return -RF_EPROTO;
    memcpy(e.key_id, key_id, sizeof(e.key_id));
    memcpy(e.chain, chain, sizeof(e.chain));
    *ret = e;
    return (int64_t)(FRAME_PREFIX_LEN + length);
}

const char *frame_entry_breaks(const void *bytes, const struct frame_entry *entry, uint64_t index,
                               uint32_t minute, const uint8_t chain[DIGEST_LEN])
{
    const uint8_t *body = (const uint8_t *)bytes + FRAME_PREFIX_LEN;
    uint8_t after[DIGEST_LEN];
    if (entry->index != index)
        return "index";
    memcpy(after, chain, sizeof(after));
    chain_on(after, body, 74 + entry->leaf_len + entry->sealed_len - DIGEST_LEN);
    if (memcmp(after, entry->chain, sizeof(after)) != 0)
        return "chain value";
    return entry->minute < minute ? "minute" : NULL;
}
