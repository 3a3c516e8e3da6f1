/* logsize.h - the region's primary remembers how large the gateway's public log was: whoever rolls
 * the gateway's folders back does not roll back that.
 *
 *   REST ──due──▶ CONNECTING ──▶ BUSY ──answer──▶ REST
 *
 * About once a minute the last signed checkpoint is shown to ringfence.log_seen(), which keeps the
 * largest and says which that is. Nothing here blocks. */
#ifndef RF_CONTROL_LOGSIZE_H
#define RF_CONTROL_LOGSIZE_H

#include <libpq-fe.h>

#include "ledger/sight.h"
#include "policy/config.h"

enum {
    LOGSIZE_PERIOD_MS = 60 * 1000,
    LOGSIZE_RETRY_MS = 5 * 1000, /* after a failure */
    LOGSIZE_LIMIT_MS = 3 * 1000  /* for a connection, and for an answer */
};

enum logsize_state { LOGSIZE_REST, LOGSIZE_CONNECTING, LOGSIZE_BUSY };

struct logsize {
    enum logsize_state state;
    const struct config_database *database; /* borrowed until logsize_done() */
    const char *origin;                     /* the same; NULL: there is no log */
    PGconn *conn;
    size_t host;
    short events;
    int64_t due_ms;
    struct sight signed_; /* what the notary told last */
    struct sight seen;    /* what the database says */
    bool is_news;         /* the notary has not heard that */
    bool has_complained;
};

/* Borrows CONFIG until logsize_done(). */
void logsize_init(struct logsize *l, const struct config *config);
void logsize_done(struct logsize *l);

/* A new notary waits for the answer. */
void logsize_ask(struct logsize *l);

/* The descriptor to poll for l->events, or -1; and when to call logsize_turn() at the latest. */
int logsize_fd(const struct logsize *l);
int64_t logsize_due_ms(const struct logsize *l);
void logsize_turn(struct logsize *l, bool is_ready);

#endif
