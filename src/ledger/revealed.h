/* revealed.h - the subjects of a disclosure, as `revealed` of its private part lists them
 * (docs/formats/journal.md, section 3.2). */
#ifndef RF_LEDGER_REVEALED_H
#define RF_LEDGER_REVEALED_H

#include "ledger/record.h"
#include "ledger/tag.h"

/* One `KEY CLASSES` at AT, the key without its escapes: where the next one begins, or NULL at the
   end. *RET_LEN is 0 for what is none. */
const char *revealed_next(const char *at, uint8_t key[TAG_SUBJECT_MAX], size_t *ret_len,
                          char classes[RECORD_WORD_MAX + 1]);

/* Append `KEY CLASSES`, behind a blank where something stands already; no NUL. -RF_ENOMEM,
   -RF_ETOOBIG. */
RF_CHECK int revealed_put(struct buf *to, const void *key, size_t len, const char *classes);

/* Of the private part of a disclosure: subject number POSITION, and when it was. 1; 0: the private
   part has no such subject, or no time; -RF_ENOMEM, which says nothing about it. */
struct revealed {
    uint8_t key[TAG_SUBJECT_MAX];
    size_t key_len;
    char classes[RECORD_WORD_MAX + 1];
    int64_t time_ms;
};
RF_CHECK int revealed_read(const void *private_part, size_t n, unsigned position,
                           struct revealed *ret);

#endif
