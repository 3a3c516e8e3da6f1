/* watch.h - one region's database for persons under control's eyes.
 *
 *   IDLE ──due──▶ CONNECTING ──▶ READY ──due──▶ ASKING ──answer──▶ READY
 *    ▲                │            │ self-check due: CHECKING         │
 *    └────────────────┴── error, time limit, wrong kind of server ◀───┘
 *
 * Nothing here blocks but the self-check, and that lends its waiting to the other watches. */
#ifndef RF_CONTROL_WATCH_H
#define RF_CONTROL_WATCH_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "enforce/database.h"
#include "policy/config.h"
#include "priv/lease.h"

enum {
    WATCH_PERIOD_MS = 1000,         /* between two looks at a standby */
    WATCH_RETRY_MS = 200,           /* the same while there is no lease */
    WATCH_LIMIT_MS = 3000,          /* for a connection, and for an answer */
    WATCH_DELAY_MAX_MS = 10 * 1000, /* replay further behind than this ends the lease */
    WATCH_CHECK_PERIOD_MS = 60 * 60 * 1000,
    WATCH_FAULT_PERIOD_MS = 5 * 1000, /* with faults: until they are gone */
    WATCH_CHECK_LIMIT_MS = 5000       /* for one query of the self-check */
};

enum watch_state { WATCH_IDLE, WATCH_CONNECTING, WATCH_READY, WATCH_ASKING, WATCH_CHECKING };

struct watch {
    enum watch_state state;
    unsigned index;                         /* of the lease */
    const struct config_database *database; /* borrowed until watch_done() */
    const struct policy_region *region;
    const struct policy *policy;
    struct lease *lease;
    PGconn *conn;
    size_t host;          /* the one in use, of the hosts for persons */
    short events;         /* that the connection waits for */
    int64_t due_ms;       /* next act, or the end of patience */
    int64_t check_due_ms; /* 0: none on this connection yet */
    int64_t leased_until_ms;
    int64_t fresh_ms;      /* when replay was last seen up to date; 0: never */
    bool is_known;         /* this connection's server has answered once */
    bool is_sound;         /* the last self-check, on this connection, found nothing */
    bool has_complained;   /* about the connection, since the last lease */
    enum lease_state said; /* last logged */
};

/* Borrows all arguments until watch_done(). */
void watch_init(struct watch *w, unsigned index, const struct config_database *database,
                const struct policy *policy, struct lease *lease);
void watch_done(struct watch *w);

/* The descriptor to poll for w->events, or -1; and when to call watch_turn() at the latest. */
int watch_fd(const struct watch *w);

/* Do what is due: IS_READY when the descriptor showed something. Never waits. */
void watch_turn(struct watch *w, bool is_ready);

/* True when the self-check is due and the connection is free for it. */
bool watch_wants_check(const struct watch *w);

/* Run it; waits by WAIT (database.h), which must not touch this watch. */
void watch_check(struct watch *w, database_wait_fn *wait, void *context);

#endif
