/* line.h - one connection to a region's primary, as registrar or herald; waits, with a time limit.
 */
#ifndef RF_REGISTRAR_LINE_H
#define RF_REGISTRAR_LINE_H

#include <libpq-fe.h>

#include "policy/config.h"

enum { LINE_LIMIT_MS = 4000, LINE_VALUES_MAX = 16 };

struct line {
    const struct config_database *database; /* borrowed */
    const char *role;                       /* a literal of enforce/role.h; NULL: rf_registrar */
    PGconn *conn;
    size_t host;
};

/* A connection that answers: before the first statement of a command, so that none is lost on one
   that broke meanwhile. -RF_EUNAVAIL. */
RF_CHECK int line_ready(struct line *l, struct err *err);

/* One statement with COUNT text values (NULL: SQL's null). The caller clears *RET. -RF_EDATABASE
   with the server's SQLSTATE, and the constraint that was hurt in `detail`; -RF_EUNAVAIL, and then
   nobody knows whether it was done. */
RF_CHECK int line_ask(struct line *l, const char *sql, size_t count, const char *const *values,
                      PGresult **ret, struct err *err);

void line_close(struct line *l);

#endif
