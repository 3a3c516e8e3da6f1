#include "enforce/database.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Notices ("role already exists, skipping") are not facts: what matters comes as an error. */
static void drop_notice(void *context RF_UNUSED, const char *message RF_UNUSED)
{
}

/* libpq's messages end in a newline and may have several lines; ours have one. */
static const char *one_line(char *out, size_t out_len, const char *message)
{
    (void)snprintf(out, out_len, "%s", message);
    size_t len = strlen(out);
    while (len > 0 && out[len - 1] == '\n')
        out[--len] = '\0';
    for (char *at = out; *at != '\0'; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    return out;
}

int database_open(struct database *db, const char *dsn, int timeout_ms, struct err *err)
{
    /* What the DSN says wins over the first two and not over the last. */
    const char *const keys[] = { "connect_timeout", "application_name", "dbname", "client_encoding",
                                 NULL };
    const char *const values[] = { "10", "ringfence", dsn, "UTF8", NULL };
    *db = (struct database){ .timeout_ms = timeout_ms };
    db->conn = PQconnectdbParams(keys, values, 1);
    if (db->conn == NULL)
        return err_set(err, RF_ENOMEM, "out of memory while connecting");
    if (PQstatus(db->conn) != CONNECTION_OK) {
        char line[300];
        int rc = err_set(err, RF_ECONNECT, "could not connect to the database: %s",
                         one_line(line, sizeof(line), PQerrorMessage(db->conn)));
        database_close(db);
        return rc;
    }
    (void)PQsetNoticeProcessor(db->conn, drop_notice, NULL);
    return 0;
}

void database_close(struct database *db)
{
    PQfinish(db->conn);
    db->conn = NULL;
}

static int plain_wait(int fd, short events, int timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = events };
    return poll(&p, 1, timeout_ms) < 0 && errno != EINTR ? -RF_ESYS : 0;
}

static int lost(struct database *db, struct err *err)
{
    char line[300];
    return err_set(err, RF_ECONNECT, "lost the connection to the database: %s",
                   one_line(line, sizeof(line), PQerrorMessage(db->conn)));
}

/* Until an answer can be read without blocking, or DEADLINE_MS. */
static int await(struct database *db, int64_t deadline_ms, struct err *err)
{
    for (;;) {
        int unsent = PQflush(db->conn);
        if (unsent < 0)
            return lost(db, err);
        if (unsent == 0 && !PQisBusy(db->conn))
            return 0;
        int64_t left = deadline_ms - clock_mono_ms();
        if (left <= 0)
            return err_set(err, RF_ETIMEOUT, "the database did not answer within %d ms",
                           db->timeout_ms);
        short events = (short)(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
        int rc = db->wait != NULL
                     ? db->wait(db->wait_context, PQsocket(db->conn), events, (int)left)
                     : plain_wait(PQsocket(db->conn), events, (int)left);
        if (rc < 0)
            return err_set(err, (enum err_code) - rc, "waiting for the database was ended");
        if (PQconsumeInput(db->conn) == 0)
            return lost(db, err);
    }
}

static int refused(const PGresult *r, struct err *err)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *line = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);
    enum err_code code = RF_EDATABASE;
    if (state == NULL)
        state = "58000";
    if (strcmp(state, "42501") == 0)
        code = RF_EPRIV;
    else if (strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0)
        code = RF_ETIMEOUT;
    int rc = err_set(err, code, "%.300s (SQLSTATE %s)", line != NULL ? line : "no message", state);
    /* The server's DETAIL may print a row; it goes nowhere. */
    if (hint != NULL)
        err_hint(err, "%.290s", hint);
    err_sqlstate(err, state);
    return rc;
}

static bool is_good(const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

int database_query(struct database *db, const char *sql, PGresult **ret, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + db->timeout_ms;
    PGresult *kept = NULL;
    int rc = 0;
    if (db->conn == NULL || PQsendQuery(db->conn, sql) == 0)
        return db->conn == NULL ? err_set(err, RF_ECONNECT, "the database is not connected")
                                : lost(db, err);
    for (;;) {
        struct err *to = rc == 0 ? err : NULL; /* the first error is the one to tell */
        int waited = await(db, deadline_ms, to);
        if (waited < 0) {
            rc = rc == 0 ? waited : rc;
            database_close(db); /* it is in the middle of something: of no more use */
            break;
        }
        PGresult *r = PQgetResult(db->conn);
        if (r == NULL)
            break;
        if (is_good(r)) {
            PQclear(kept);
            kept = r;
            continue;
        }
        if (rc == 0)
            rc = PQstatus(db->conn) == CONNECTION_BAD ? lost(db, err) : refused(r, err);
        PQclear(r);
    }
    if (rc == 0 && kept == NULL)
        rc = err_set(err, RF_EDATABASE, "the database gave no answer");
    if (rc < 0)
        PQclear(kept);
    else
        *ret = kept;
    return rc;
}

int database_run(struct database *db, const char *sql, struct err *err)
{
    PGresult *r = NULL;
    int rc = database_query(db, sql, &r, err);
    PQclear(r);
    return rc;
}

const char *database_value(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column); /* libpq gives "" for NULL */
}

bool database_true(const PGresult *r, int row, int column)
{
    return strcmp(PQgetvalue(r, row, column), "t") == 0;
}
