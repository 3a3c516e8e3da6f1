/* leaf.h - the two parts of an entry as JSON (docs/formats/journal.md, sections 3.1 and 3.2).
 *
 * The open part of a record stays in the journal; what the public log gets of it are sums
 * (clerk.h). Entries that are leaves of the public log have open parts of their own (logleaf.h). */
#ifndef RF_LEDGER_LEAF_H
#define RF_LEDGER_LEAF_H

#include "base/digest.h"
#include "ledger/logleaf.h"
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

/* What a reader needs of an open part; -RF_EPROTO unless leaf_write() or logleaf_write() could have
   written it. */
struct leaf_word {
    const char *text; /* borrowed, not NUL-terminated; "" when it is not there */
    size_t len;
};
struct leaf {
    enum logleaf_type type; /* LEAF_NONE: a record, and all but minute and commitment is its */
    enum record_kind kind;
    uint32_t minute;
    uint8_t commitment[DIGEST_LEN];
    struct leaf_word region, entity, place, room, purpose, rule, actor_kind, verdict;
    uint64_t grant, rows, bytes, statements, subjects, slot, start;
};
RF_CHECK int leaf_read(const void *bytes, size_t n, struct leaf *ret);

/* Append the private part. SAID is what the worker sent, PUBLISHED what leaf_publish() made of it.
 */
RF_CHECK int leaf_detail_write(struct buf *to, const struct record *said,
                               const struct record *published);

/* "2026-11-22T10:05Z"; RET has room for 18 bytes. */
void leaf_minute_format(uint32_t minute, char ret[18]);

#endif
