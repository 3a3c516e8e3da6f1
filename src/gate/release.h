/* release.h - log before release: a person's answers are held until their record is durable.
 *
 * Bytes from the server are held in order; rows are counted when their header is seen, so that a
 * row is on record before its first byte leaves. What is held goes out in chunks: everything up to
 * a mark leaves when the records that cover it are durable. Nothing else writes database bytes to a
 * person's client. */
#ifndef RF_GATE_RELEASE_H
#define RF_GATE_RELEASE_H

#include "gate/session.h"
#include "wire/message.h"

enum { RELEASE_HELD_HIGH = 256 * 1024, RELEASE_HELD_MAX = 2 * 1024 * 1024 };

struct release {
    struct session *session;
    void (*on_room)(struct release *r); /* some of what was held has gone out */
    struct buf held;
    size_t mark;      /* bytes of `held` that the awaited record covers */
    struct walk sent; /* over what has gone out: in the middle of a message? */
    struct recorder_wait wait;
    struct timer timer;   /* how long a record may take */
    uint64_t last_seq;    /* of this session's newest record */
    uint64_t statement;   /* that `rows` and `bytes` belong to */
    uint64_t rows, bytes; /* held and not yet on record */
    bool news;            /* something that needs a record before it leaves */
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
void release_count_row(struct release *r);

/* The statement is over: its record says how. */
RF_CHECK int release_outcome(struct release *r, const char *outcome);

/* Nothing more is coming right now: record what is held and send what is covered. */
void release_kick(struct release *r);

bool release_is_empty(const struct release *r);

#endif
