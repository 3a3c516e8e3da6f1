/* expect.h - which answer a server owes for which request, in order.
 *
 * Extended-protocol requests are answered in the order they were sent; after an error the server
 * skips to the next Sync. With one entry a request, each answer finds the request it belongs to:
 * who executed, what is to be swallowed because the gate sent it, whose error text is replaced.
 *
 *   request          entry            answered by
 *   Parse            EXPECT_PARSE     '1'
 *   Bind             EXPECT_BIND      '2'
 *   Describe         EXPECT_DESCRIBE  'T' or 'n' (a 't' before it does not end it)
 *   Close            EXPECT_CLOSE     '3'
 *   Execute          EXPECT_EXECUTE   'C', 'I' or 's'
 *   Sync, Query      EXPECT_SYNC, EXPECT_QUERY   'Z'
 *
 * An 'E' belongs to the entry in front, which stays until its 'Z' clears everything before it. When
 * that entry is of the extended protocol, the server skips to the next Sync: a Query or
 * FunctionCall on the way is never answered. */
#ifndef RF_GATE_EXPECT_H
#define RF_GATE_EXPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/message.h"

enum expect_kind {
    EXPECT_NONE,
    EXPECT_PARSE,
    EXPECT_BIND,
    EXPECT_DESCRIBE,
    EXPECT_CLOSE,
    EXPECT_EXECUTE,
    EXPECT_SYNC,
    EXPECT_QUERY,
    EXPECT_KIND_COUNT
};

enum expect_action {
    EXPECT_FORWARD,
    EXPECT_SWALLOW,      /* the client did not ask for it */
    EXPECT_AS_PARSE,     /* the answer to a Close stands in for a ParseComplete */
    EXPECT_REPLACE_ERROR /* fails on purpose; the client gets our error */
};

struct expect {
    uint8_t kind, action;
    bool failed;        /* an 'E' has answered it */
    uint32_t reference; /* statement number or prepared statement, as the owner likes */
};

enum { EXPECT_QUEUE_MAX = 100000 };

struct expect_queue {
    struct expect *list;
    uint32_t first, count, cap; /* a ring */
};

void expect_done(struct expect_queue *q);

/* -RF_ETOOBIG past EXPECT_QUEUE_MAX, -RF_ENOMEM. */
RF_CHECK int expect_push(struct expect_queue *q, enum expect_kind kind, enum expect_action action,
                         uint32_t reference);
struct expect *expect_front(struct expect_queue *q); /* NULL when empty */

/* The server sent M. Returns the entry it answers, by value (kind NONE: it answers none, such as a
   notice or a row); entries that it completes are taken off. For READY_FOR_QUERY every entry that
   was skipped on the way to its Sync is passed to ON_SKIPPED (may be NULL) with ARG first. */
struct expect expect_answer(struct expect_queue *q, enum message m,
                            void (*on_skipped)(const struct expect *e, void *arg), void *arg);

#endif
