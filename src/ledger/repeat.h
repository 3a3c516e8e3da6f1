/* repeat.h - what an hour's disclosures have shown already, so that the public log says it once.
 *
 * A disclosure's leaf stands for its hour (docs/formats/log.md, section 4): the same subject's same
 * classes, looked at again under the same grant from the same place, are a record of the journal
 * and no second leaf. Otherwise whoever holds a grant on one person could write in the log as fast
 * as he can ask.
 *
 * Memory only: after a start the first look has a leaf again, which is one too many and never one
 * too few. */
#ifndef RF_LEDGER_REPEAT_H
#define RF_LEDGER_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

enum { REPEAT_KEY_LEN = 16, REPEAT_MAX = 1 << 18, REPEAT_MINUTES = 60 };

struct repeat_slot {
    uint8_t key[REPEAT_KEY_LEN];
    uint32_t classes; /* 0: free */
};

struct repeat_set {
    struct repeat_slot *slots;
    size_t capacity, count;
    uint64_t period;
};

/* Who is looked at, by whom and from where: everything of a leaf but classes and numbers. Texts
   may be NULL. */
struct repeat_what {
    uint64_t grant;
    const char *database, *entity, *place, *room;
    const void *subject;
    size_t subject_len;
};

void repeat_done(struct repeat_set *s);
/* The time is MINUTE, in epoch number EPOCH: what an earlier hour or epoch showed is forgotten. */
void repeat_enter(struct repeat_set *s, uint32_t minute, uint64_t epoch);
void repeat_key_of(const struct repeat_what *what, uint8_t ret[REPEAT_KEY_LEN]);
/* Bits of the classes that were shown. */
uint32_t repeat_shown(const struct repeat_set *s, const uint8_t key[REPEAT_KEY_LEN]);
/* They are, now. What finds no room has a leaf next time, too. */
void repeat_note(struct repeat_set *s, const uint8_t key[REPEAT_KEY_LEN], uint32_t classes);

#endif
