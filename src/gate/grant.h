/* grant.h - the grant under which a person's session runs, and its end.
 *
 * A session names a grant by its number, at login or later. What the grant is says the table that
 * control publishes (priv/grant_table.h), and it must be this actor's. From then on the session
 * hangs on it:
 *
 *   GOOD      bytes may be released
 *   WAITING   control has not confirmed the region's grants for GRANT_LEASE_MS, or not yet this one
 *             under new rules: nothing more leaves
 *   OVER      closed, gone, or its time has passed by either clock; or WAITING for too long
 *
 * It is asked before every release, and ten times a second for all sessions under a grant. */
#ifndef RF_GATE_GRANT_H
#define RF_GATE_GRANT_H

#include "gate/budget.h"
#include "policy/decide.h"
#include "priv/grant_table.h"

struct session;
struct worker;

#define GRANT_PARAMETER "ringfence.grant"

enum {
    GRANT_TICK_MS = 100,
    GRANT_PATIENCE_MS = 3000, /* without a lease, or withheld, before the session ends */
    GRANT_LINGER_MS = 300,    /* for what was released before, so that the last words reach it */
    GRANT_REFUSED_MS = 200,   /* between the error of the statement and the session's end */
    GRANT_HEARD_MS = 400,     /* in which control hears of an end that the database knows already */
    GRANT_NEW_MS = 1000       /* how long a login waits for a grant that is not known */
};

enum grant_standing { GRANT_GOOD, GRANT_WAITING, GRANT_OVER };

/* Lives in its session, from grant_enter() to grant_leave(). */
struct grant {
    unsigned database; /* its place in the table */
    uint64_t epoch;    /* of the table when ENTRY was read */
    struct grant_entry entry;
    int64_t waiting_since_ms;      /* 0: it is confirmed */
    int64_t over_since_ms;         /* 0: not told yet */
    int64_t refused_ms;            /* its budget was used up by this session; 0: it was not */
    struct budget *budget;         /* NULL: it has none, or not yet */
    struct session *next, *before; /* among the worker's sessions under grants */
    char why[16];                  /* OVER: "closed", "expired", "used-up", "unconfirmed" */
};

/* "31" as a number from 1 to 2^53 - 1 (what a record holds); false for anything else. */
bool grant_number_read(const char *text, uint64_t *ret);

/* What S, which asks for grant ID (0: none) or runs under it, may be told about it; when it is
   OPEN, *RET (may be NULL) is what is known. */
enum decide_grant grant_fact(const struct session *s, uint64_t id, struct grant_entry *ret);

/* Is the actor of S suspended in its region? NO where control looks after no grants. */
enum grant_suspended grant_suspended(const struct session *s);

/* S runs under that grant from now on. -RF_ENOMEM. */
RF_CHECK int grant_enter(struct session *s, const struct grant_entry *e);
void grant_leave(struct session *s); /* harmless without one */

/* A session without a grant is GOOD. */
enum grant_standing grant_standing(struct session *s);

/* The grant of S is over: its statement is cancelled, its client hears it if that takes nothing of
   what is held, and the connection ends, at the latest GRANT_LINGER_MS after the first call. To be
   called again until then; nothing is released meanwhile. */
void grant_end(struct session *s);

/* "grant 31 of A: support_ticket, identity of 1 subject, until 2026-11-23T04:00:00Z, at most 50
   rows in all" */
enum { GRANT_SENTENCE_SIZE = 400 };
void grant_describe(const struct grant_entry *e, char out[GRANT_SENTENCE_SIZE]);

/* The worker's timer. */
void grant_on_tick(struct worker *w);

#endif
