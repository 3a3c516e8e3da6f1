/* frame.h - bytes of a segment's header and of an entry (docs/formats/journal.md, section 2). Pure:
 * no files, no clock, no randomness. */
#ifndef RF_LEDGER_FRAME_H
#define RF_LEDGER_FRAME_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/digest.h"

enum {
    FRAME_NAME_MAX = 255,
    FRAME_JOURNAL_ID_LEN = 16,
    FRAME_HEADER_MIN = 74,
    FRAME_HEADER_MAX = FRAME_HEADER_MIN + FRAME_NAME_MAX,
    FRAME_PREFIX_LEN = 12,         /* marker, length, CRC */
    FRAME_LENGTH_MAX = 640 * 1024, /* L */
    FRAME_ENTRY_MAX = FRAME_PREFIX_LEN + FRAME_LENGTH_MAX,
    FRAME_KEY_ID_LEN = 8,
    FRAME_MINUTE_MS = 60000
};

#define FRAME_MARKER "RfJe"

struct frame_header {
    uint64_t first;
    uint8_t journal_id[FRAME_JOURNAL_ID_LEN];
    uint8_t chain[DIGEST_LEN];     /* before the first entry */
    char name[FRAME_NAME_MAX + 1]; /* of the gateway */
};

/* Chain before entry 0. */
void frame_first_chain(const uint8_t journal_id[FRAME_JOURNAL_ID_LEN], const char *name,
                       uint8_t ret[DIGEST_LEN]);
RF_CHECK int frame_header_write(struct buf *to, const struct frame_header *header);
/* *RET_LEN: where the entries begin. -RF_EPROTO: no whole header, or a wrong CRC. */
RF_CHECK int frame_header_read(const void *bytes, size_t n, struct frame_header *ret,
                               size_t *ret_len);

struct frame_entry {
    uint64_t index;
    uint32_t minute;
    uint64_t instance, seq;
    uint8_t key_id[FRAME_KEY_ID_LEN];
    const uint8_t *leaf; /* public part; borrowed */
    size_t leaf_len;
    const uint8_t *sealed; /* borrowed */
    size_t sealed_len;
    uint8_t chain[DIGEST_LEN]; /* after this entry */
};

/* Append an entry. CHAIN is the value before it and becomes the one after it; ENTRY->chain is not
   read. On failure (-RF_ETOOBIG, -RF_ENOMEM) both are as they were. */
RF_CHECK int frame_entry_write(struct buf *to, const struct frame_entry *entry,
                               uint8_t chain[DIGEST_LEN]);

/* Read the entry at BYTES: its whole length, 0 when N bytes do not hold all of it yet, -RF_EPROTO
   for bytes that are no entry. Whether it continues the one before is for frame_entry_breaks(). */
RF_CHECK int64_t frame_entry_read(const void *bytes, size_t n, struct frame_entry *ret);

/* Index, minute and chain continue: INDEX, MINUTE (of the one before) and CHAIN are what is
   expected; NULL or what does not match ("chain value"). BYTES as given to frame_entry_read(). */
const char *frame_entry_breaks(const void *bytes, const struct frame_entry *entry, uint64_t index,
                               uint32_t minute, const uint8_t chain[DIGEST_LEN]);

#endif
