/* pool.h - server connections of one service in one database, lent to its sessions.
 *
 *   CONNECTING -> IDLE <-> LENT -> RESETTING -> IDLE        any -> closed
 *                            \---> COOLING (a cancel request is still on its way) -> RESETTING
 *   closed while a cancel request is on its way: GONE until that is over
 *
 * Only sessions of the same service share connections. A connection that is not clean at the end of
 * a loan is reset (DISCARD ALL) or closed before anybody else gets it. */
#ifndef RF_GATE_POOL_H
#define RF_GATE_POOL_H

#include "gate/link.h"

struct backend;
struct pool;

enum backend_state {
    BACKEND_CONNECTING,
    BACKEND_IDLE,
    BACKEND_LENT,
    BACKEND_RESETTING,
    BACKEND_COOLING,
    BACKEND_GONE
};

/* Whom a backend is lent to. */
struct borrower_ops {
    void (*on_data)(struct backend *b, const uint8_t *bytes, size_t n);
    void (*on_end)(struct backend *b, const char *why); /* the loan is over; the pool closes it */
    void (*on_drained)(struct backend *b);
    void (*on_ran)(struct backend *b, const struct err *why); /* link_run() ended */
};

struct backend {
    struct link link;
    struct pool *pool;
    struct backend *next, *before;
    enum backend_state state;
    int64_t idle_since_ms;
    unsigned cancels;               /* cancel requests on their way to this server */
    const struct borrower_ops *ops; /* LENT */
    void *borrower;
    /* Prepared statements that this server knows (prepared.h): ids, ascending. */
    uint64_t *known;
    uint32_t known_count, known_cap;
};

/* A place in the queue; lives in its owner. */
struct pool_wait {
    /* BACKEND is lent to the waiter, or NULL and WHY. Never from inside pool_borrow(). */
    void (*on_backend)(struct pool_wait *w, struct backend *b, const struct err *why);
    struct pool_wait *next;
    struct pool *pool; /* NULL: not waiting */
    int64_t since_ms;
};

/* The pool of ROLE in DATABASE, made when it is new. Ask again for each loan: an unused pool of an
   old generation goes away by itself. */
RF_CHECK int pool_get(struct snapshot *snapshot, struct loop *loop,
                      const struct snapshot_database *database, const char *role,
                      struct pool **ret_pool);

/* An idle connection at once, or NULL: W is in the queue, or *ERR says that the queue is full. */
struct backend *pool_borrow(struct pool *p, struct pool_wait *w, struct err *err);
void pool_forget(struct pool_wait *w); /* leave the queue */

enum backend_condition {
    BACKEND_CLEAN, /* owes nothing, in no transaction, session state untouched */
    BACKEND_DIRTY, /* the same, but session state may have changed: reset it */
    BACKEND_UNFIT  /* close it */
};

/* End the loan. */
void pool_return(struct backend *b, enum backend_condition condition);

/* A cancel request for B is on its way; it has been delivered or has failed. In between B stays
   where it is in memory, whatever becomes of its connection. */
void pool_cancel_begin(struct backend *b);
void pool_cancel_over(struct backend *b);

/* What a new server connection reported; NULL until there was one. */
const struct settings *pool_defaults(const struct pool *p);

/* Of those, the tracked ones (settings.h); empty until there was a connection. */
const struct settings *pool_tracked(const struct pool *p);

/* Close what nobody uses and open nothing more than waiting sessions need; the pool frees itself
   and lets go of its generation when the last loan and wait are over. */
void pool_retire(struct pool *p);

struct pool *pool_next(struct pool *p);

#endif
