#include "registrar/line.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/server.h"
#include "enforce/role.h"

void line_close(struct line *l)
{
    PQfinish(l->conn);
    l->conn = NULL;
}

/* False: the time is over. */
static bool wait_for(const PGconn *conn, short events, int64_t until_ms)
{
    struct pollfd p = { .fd = PQsocket(conn), .events = events };
    int64_t left;
    while ((left = until_ms - clock_mono_ms()) > 0) {
        int n = poll(&p, 1, (int)left);
        if (n > 0)
            return true;
    }
    return false;
}

/* What the server says about a login names no secret, but a host; it is for the log. */
static int unavailable(struct line *l, struct err *err)
{
    (void)err_set(err, RF_EUNAVAIL, "the database of this region does not answer");
    err_detail(err, "%s", l->conn != NULL ? PQerrorMessage(l->conn) : "out of memory");
    line_close(l);
    return -RF_EUNAVAIL;
}

static int connect_host(struct line *l, size_t host, struct err *err)
{
    int64_t until_ms = clock_mono_ms() + LINE_LIMIT_MS;
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    l->conn = server_connect(l->database, &l->database->primary[host], SERVER_PRIMARY,
                             l->role != NULL ? l->role : ROLE_NAME_REGISTRAR);
    if (l->conn == NULL || PQstatus(l->conn) == CONNECTION_BAD)
        return unavailable(l, err);
    while (next != PGRES_POLLING_OK) {
        short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!wait_for(l->conn, events, until_ms))
            return unavailable(l, err);
        next = PQconnectPoll(l->conn);
        if (next == PGRES_POLLING_FAILED)
            return unavailable(l, err);
    }
    return 0;
}

static int take_result(struct line *l, PGresult *r, PGresult **ret, struct err *err)
{
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        *ret = r;
        return 0;
    }
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (state == NULL) { /* libpq's own: the connection */
        PQclear(r);
        return unavailable(l, err);
    }
    (void)err_set(err, RF_EDATABASE, "%s", message != NULL ? message : "the database refused");
    const char *constraint = PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME);
    err_sqlstate(err, state);
    err_detail(err, "%s", constraint != NULL ? constraint : "");
    PQclear(r);
    return -RF_EDATABASE;
}

int line_ask(struct line *l, const char *sql, size_t count, const char *const *values,
             PGresult **ret, struct err *err)
{
    int64_t until_ms = clock_mono_ms() + LINE_LIMIT_MS;
    PGresult *last = NULL, *r;
    if (l->conn == NULL ||
        PQsendQueryParams(l->conn, sql, (int)count, NULL, values, NULL, NULL, 0) == 0)
        return unavailable(l, err);
    for (;;) {
        while (PQisBusy(l->conn))
            if (!wait_for(l->conn, POLLIN, until_ms) || PQconsumeInput(l->conn) == 0) {
                PQclear(last);
                return unavailable(l, err);
            }
        r = PQgetResult(l->conn);
        if (r == NULL)
            break;
        PQclear(last);
        last = r;
    }
    return last != NULL ? take_result(l, last, ret, err) : unavailable(l, err);
}

int line_ready(struct line *l, struct err *err)
{
    PGresult *r;
    int rc = -RF_EUNAVAIL;
    if (l->conn != NULL && line_ask(l, "SELECT 1", 0, NULL, &r, err) == 0) {
        PQclear(r);
        return 0;
    }
    line_close(l);
    for (size_t i = 0; i < l->database->primary_count && rc < 0; i++) {
        rc = connect_host(l, l->host % l->database->primary_count, err);
        l->host += rc < 0;
    }
    return rc;
}
