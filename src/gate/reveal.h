/* reveal.h - RF001: what the database says before it shows a subject's clear value.
 *
 * The views of room granted pass every clear value through ringfence.reveal(), which sends a
 * NoticeResponse with SQLSTATE RF001 and the primary text `TOKEN CLASS SUBJECT` before the value
 * can leave: 32 hex digits, a class of the policy, and the subject's key, in which bytes outside
 * 0x21 to 0x7e and `%` stand as `%XX`. Such a message never reaches a client. One that is not
 * exactly so is a forgery or a fault, and ends the session.
 *
 * What one statement reveals is gathered here until it is put on record: each subject once a class,
 * as long as there are no more than REVEAL_SET_MAX of them. */
#ifndef RF_GATE_REVEAL_H
#define RF_GATE_REVEAL_H

#include <stdbool.h>

#include "policy/policy.h"
#include "wire/rd.h"

#define REVEAL_SQLSTATE "RF001"

enum { REVEAL_TOKEN_LEN = 32, REVEAL_SUBJECT_MAX = 512, REVEAL_SET_MAX = 50 };

struct reveal {
    char token[REVEAL_TOKEN_LEN];
    enum class_id class_id;
    char subject[REVEAL_SUBJECT_MAX + 1];
};

/* Read the primary text; -RF_EPROTO for anything that is not exactly of that form. */
RF_CHECK int reveal_read(const char *text, struct reveal *ret);

struct reveal_item;

/* Zero is an empty set. */
struct reveal_set {
    struct reveal_item *list;
    unsigned count,
        last;     /* LAST: the one that was added to last; rows of one subject come together */
    bool pending; /* something in it is not on record */
};

void reveal_set_done(struct reveal_set *s);

/* Note one; nothing happens when it is there already. -RF_ETOOBIG: the set is full: put it on
   record, clear it, add again. -RF_ENOMEM. */
RF_CHECK int reveal_set_add(struct reveal_set *s, enum class_id class_id, const char *subject);

/* What is not on record yet, as docs/formats/journal.md has it: all classes into CLASSES (and as
   bits, 1 << enum class_id, into *RET_CLASSES), the list of subjects into TEXT. Returns how many
   subjects there are. What was written counts as recorded.
 */
enum { REVEAL_CLASSES_SIZE = 64, REVEAL_TEXT_SIZE = REVEAL_SET_MAX * (REVEAL_SUBJECT_MAX + 66) };
unsigned reveal_set_take(struct reveal_set *s, char classes[REVEAL_CLASSES_SIZE],
                         char text[REVEAL_TEXT_SIZE], uint32_t *ret_classes);

/* Forget all: another statement begins, or the set was full. */
void reveal_set_clear(struct reveal_set *s);

#endif
