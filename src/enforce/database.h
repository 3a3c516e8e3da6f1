/* database.h - a libpq connection whose calls end: every query has a time limit.
 *
 * Waiting can be lent out: control keeps renewing leases while a slow self-check waits for its
 * answer. */
#ifndef RF_ENFORCE_DATABASE_H
#define RF_ENFORCE_DATABASE_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/err.h"

/* Wait until FD shows one of EVENTS (poll.h) or TIMEOUT_MS have passed; 0, or a negative code that
   ends the query. May do other work meanwhile, but not on this database. */
typedef int database_wait_fn(void *context, int fd, short events, int timeout_ms);

struct database {
    PGconn *conn;
    int timeout_ms;         /* a query and its whole answer */
    database_wait_fn *wait; /* NULL: plain poll() */
    void *wait_context;
};

enum { DATABASE_CONNECT_SECONDS = 10 };

/* DSN: a libpq connection string, borrowed for the call. Errors: -RF_ECONNECT, without the DSN in
   the line (it may hold a password). */
RF_CHECK int database_open(struct database *db, const char *dsn, int timeout_ms, struct err *err);
void database_close(struct database *db); /* may be called twice */

/* Run SQL (one or several statements) and give the last result, which the caller clears; PQntuples
   is 0 for commands. Errors: -RF_EDATABASE with the server's primary line and its SQLSTATE,
   -RF_EPRIV, -RF_ETIMEOUT, -RF_ECONNECT. *RET is untouched on failure. */
RF_CHECK int database_query(struct database *db, const char *sql, PGresult **ret, struct err *err);

/* The same where the answer does not matter. */
RF_CHECK int database_run(struct database *db, const char *sql, struct err *err);

/* Of a result: "" for NULL. */
const char *database_value(const PGresult *r, int row, int column);
bool database_true(const PGresult *r, int row, int column);

#endif
