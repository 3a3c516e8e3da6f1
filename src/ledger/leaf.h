/* leaf.h - the two parts of an entry as JSON (docs/formats/journal.md, sections 3.1 and 3.2).
 *
 * The public part is the future leaf of the transparency log; the private part is what it commits
 * to and what gets sealed. */
#ifndef RF_LEDGER_LEAF_H
#define RF_LEDGER_LEAF_H

#include "base/digest.h"
#include "ledger/record.h"

struct policy;

enum { LEAF_MAX = 4096, LEAF_ID_LEN = 16, LEAF_DETAIL_MAX = 512 * 1024 };

/* The record as the public may see it: words that POLICY does not list become "unlisted", so that
   nothing a worker says stands in the public part but what the policy's reviewers wrote. `rule` is
   not in any one list; its shape is all that is checked. *RET borrows from SAID. */
void leaf_publish(const struct policy *policy, const struct record *said, struct record *ret);

/* Append the public part. MINUTE: since 1970. */
RF_CHECK int leaf_write(struct buf *to, const struct record *published, uint32_t minute,
                        const uint8_t id[LEAF_ID_LEN], const uint8_t commitment[DIGEST_LEN]);

/* What a reader needs of a public part; -RF_EPROTO unless leaf_write() could have written it. */
struct leaf {
    enum record_kind kind;
    uint32_t minute;
    uint8_t commitment[DIGEST_LEN];
};
RF_CHECK int leaf_read(const void *bytes, size_t n, struct leaf *ret);

/* Append the private part. SAID is what the worker sent, PUBLISHED what leaf_publish() made of it.
 */
RF_CHECK int leaf_detail_write(struct buf *to, const struct record *said,
                               const struct record *published);

/* The largest power of two that is not above N (at most 2^52), 0 for 0. */
uint64_t leaf_band(uint64_t n);

/* "2026-11-22T10:05Z"; RET has room for 18 bytes. */
void leaf_minute_format(uint32_t minute, char ret[18]);

#endif
