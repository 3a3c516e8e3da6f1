/* retention.h - control deletes what one region keeps no longer, on its primary, a few rows at a
 * time.
 *
 *   REST ──due──▶ CONNECTING ──▶ READY ──due──▶ BUSY ──answer──▶ READY … last table ──▶ REST
 *    ▲                │             │              │
 *    └────────────────┴─────────────┴── error, time limit
 *
 * A run goes through the policy's tables with a retention, each until a batch was not full; then it
 * writes one line to the log, hangs up, and rests. Nothing here blocks. */
#ifndef RF_CONTROL_RETENTION_H
#define RF_CONTROL_RETENTION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "policy/config.h"
#include "policy/policy.h"

enum {
    RETENTION_PERIOD_MS = 60 * 60 * 1000, /* between two runs */
    RETENTION_RETRY_MS = 60 * 1000,       /* after one that failed */
    RETENTION_PAUSE_MS = 50,              /* between two batches: others want to write, too */
    RETENTION_LIMIT_MS = 15 * 1000,       /* for a connection, and for a batch */
    RETENTION_BATCH = 500                 /* rows */
};

enum retention_state { RETENTION_REST, RETENTION_CONNECTING, RETENTION_READY, RETENTION_BUSY };

struct retention {
    enum retention_state state;
    const struct config_database *database; /* borrowed until retention_done() */
    const struct policy *policy;
    PGconn *conn;
    size_t host, table; /* the ones in use */
    short events;
    int64_t due_ms;
    bool is_prepared; /* the session has its time limits */
    bool is_batch;    /* what was asked for last is a batch */
    uint64_t deleted, blocked_tables;
    bool has_complained;
};

/* Borrows the arguments until retention_done(). */
void retention_init(struct retention *r, const struct config_database *database,
                    const struct policy *policy);
void retention_done(struct retention *r);

/* The descriptor to poll for r->events, or -1; and when to call retention_turn() at the latest. */
int retention_fd(const struct retention *r);
int64_t retention_due_ms(const struct retention *r);

/* Do what is due: IS_READY when the descriptor showed something. Never waits. */
void retention_turn(struct retention *r, bool is_ready);

#endif
