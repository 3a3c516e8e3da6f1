/* release.h - log before release: a person's answers are held until their record is durable.
 *
 * Bytes from the server are held in order; rows are counted when their header is seen, so that a
 * row is on record before its first byte leaves. What is held goes out in chunks: everything up to
 * a mark leaves when the records that cover it are durable. Nothing else writes database bytes to a
 * person's client. Chunks end between messages where they can, so that last words can be said.
 *
 * Under a grant, what was revealed is put on record before anything that the server sent after it
 * leaves (in a signed or witnessed checkpoint of the public log where the class demands it), and
 * nothing leaves while the grant is not known to be open (grant.h). Rows and bytes are taken off
 * the grant's budget before they are on record, where that is soon enough, and always before they
 * leave (budget.h); what has been put on record and then was not released is on record, too. */
#ifndef RF_GATE_RELEASE_H
#define RF_GATE_RELEASE_H

#include "gate/reveal.h"
#include "gate/session.h"
#include "wire/message.h"

enum { RELEASE_HELD_HIGH = 256 * 1024, RELEASE_HELD_MAX = 2 * 1024 * 1024 };

struct release {
    struct session *session;
    void (*on_room)(struct release *r); /* some of what was held has gone out */
    struct buf held;
    size_t mark;      /* bytes of `held` that the awaited record covers */
    size_t whole;     /* bytes of `held` up to the end of its last whole message */
    struct walk sent; /* over what has gone out: in the middle of a message? */
    struct recorder_wait wait;
    struct timer timer; /* how long a record may take */
    uint64_t last_seq;  /* of this session's newest record */
    /* Newest record that must reach a level before anything more leaves (as classes demand); and of
       those, what the bytes up to `mark` wait for. */
    uint64_t demand[RECORD_LEVEL_COUNT], mark_demand[RECORD_LEVEL_COUNT];
    uint64_t statement;          /* that `rows` and `bytes` belong to */
    uint64_t rows, bytes;        /* held and not yet on record */
    struct reveal_set reveals;   /* of that statement */
    bool news;                   /* something that needs a record before it leaves */
    struct budget_amount unpaid; /* held and not yet taken off the grant's budget */
    uint64_t paid_ahead;         /* bytes to come of the row that is coming: it is counted whole */
    uint64_t all_rows, all_bytes, all_statements;
};

void release_init(struct release *r, struct session *s, void (*on_room)(struct release *r));
void release_done(struct release *r);

/* Put a record of this session. Failure has ended the session. */
RF_CHECK int release_record(struct release *r, const struct record *record);

/* What comes next belongs to STATEMENT; what is held of another one is put on its record. */
RF_CHECK int release_enter(struct release *r, uint64_t statement);

/* N bytes for the client. NEWS: they tell the client something about data, so a record must cover
   them; protocol bytes wait in line but need none of their own. Failure has ended the session. */
RF_CHECK int release_hold(struct release *r, const void *bytes, size_t n, bool news);
/* A row begins, of LEN bytes in all. */
void release_count_row(struct release *r, uint64_t len);

/* What was held so far ends a message. */
void release_end_message(struct release *r);

/* Clear values of SUBJECT were evaluated. Failure has ended the session. */
RF_CHECK int release_reveal(struct release *r, enum class_id class_id, const char *subject);

/* Put what was revealed on record, if there is anything new. Failure has ended the session. */
RF_CHECK int release_disclose(struct release *r);

/* The statement is over: its record says how. */
RF_CHECK int release_outcome(struct release *r, const char *outcome);

/* The grant's budget was used up by others: what is held and waits for it is refused likewise.
   False: nothing waits. */
bool release_refuse(struct release *r);

/* Nothing more is coming right now: record what is held and send what is covered. */
void release_kick(struct release *r);

bool release_is_empty(const struct release *r);

#endif
