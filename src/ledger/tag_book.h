/* tag_book.h - the numbers of one log: which appearance of a subject in this epoch is the next.
 *
 * Its state is the set of tags that stand in the log's leaves of the epoch, and nothing else: a
 * ledger that starts again gives it the tags of those leaves and goes on where it stopped. The next
 * number of a subject is the first whose tag is not there. digest_init() and sodium_init() first.
 *
 * Order of calls: tag_book_enter() an epoch; then tag_book_note() what its leaves have already;
 * then tag_book_take() what is written now, followed by tag_book_commit() when it is durable or
 * tag_book_undo() when it is not; at the epoch's end tag_book_seal(), then enter the next. */
#ifndef RF_LEDGER_TAG_BOOK_H
#define RF_LEDGER_TAG_BOOK_H

#include "base/buf.h"
#include "ledger/tag_set.h"

struct tag_book;

struct tag_book_options { /* borrowed during the call */
    const char *region;   /* a word */
    const char *origin;   /* of the log */
    struct tag_period period;
    uint8_t secret[VRF_SECRET_LEN];
};

/* -RF_EINVAL: the secret is none. */
RF_CHECK int tag_book_new(const struct tag_book_options *o, struct tag_book **ret, struct err *err);
void tag_book_free(struct tag_book *b); /* wipes */

/* Forget the tags of the epoch before and begin the one of MINUTE. Nothing is uncommitted. */
void tag_book_enter(struct tag_book *b, uint32_t minute);
/* The epoch that was entered, or "". */
const char *tag_book_epoch(const struct tag_book *b);
/* Does MINUTE lie in it? */
bool tag_book_covers(const struct tag_book *b, uint32_t minute);

/* A tag of a leaf that is durable. -RF_ETAMPER: it stands in another one of this epoch already. */
RF_CHECK int tag_book_note(struct tag_book *b, const uint8_t tag[TAG_LEN]);

/* One subject of a disclosure in the epoch that was entered: tag and commitment. -RF_EINVAL for
   what has no access (tag.h), -RF_ETOOBIG when the epoch is full: nothing more can be disclosed in
   it, -RF_ETAMPER when the tags that were noted have a gap. A failure changes nothing. */
RF_CHECK int tag_book_take(struct tag_book *b, const void *key, size_t key_len, const char *classes,
                           int64_t time_ms, uint8_t ret[TAG_ITEM_LEN]);

/* What was taken and not committed yet; as MARK it names a moment to go back to. */
size_t tag_book_pending(const struct tag_book *b);
/* Give the numbers taken since MARK back: their leaf was not written and never will be. */
void tag_book_undo(struct tag_book *b, size_t mark);
void tag_book_commit(struct tag_book *b); /* all of them are durable */

uint64_t tag_book_count(const struct tag_book *b); /* tags of the epoch */
/* Append all tags of the epoch: tag_book_note() takes them back. -RF_ENOMEM, -RF_ETOOBIG. */
RF_CHECK int tag_book_export(const struct tag_book *b, struct buf *to);

/* `tags` and `tags_root` of the epoch's seal. Nothing is uncommitted. */
RF_CHECK int tag_book_seal(const struct tag_book *b, uint8_t ret_root[DIGEST_LEN],
                           uint64_t *ret_count);

#endif
