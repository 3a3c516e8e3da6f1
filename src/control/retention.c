#include "control/retention.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/server.h"
#include "enforce/role.h"

enum { LINE_SIZE = 400, NAME_SIZE = 160 };

static bool has_retention(const struct policy_table *t)
{
    return t->retention_days > 0 && !t->is_view;
}

/* The first table with a retention from FROM on, or their number. */
static size_t next_table(const struct policy *p, size_t from)
{
    while (from < p->table_count && !has_retention(&p->tables[from]))
        from++;
    return from;
}

static void enter(struct retention *r, enum retention_state state, int64_t in_ms)
{
    r->state = state;
    r->due_ms = clock_mono_ms() + in_ms;
}

static void hang_up(struct retention *r, int64_t rest_ms)
{
    PQfinish(r->conn);
    r->conn = NULL;
    r->is_prepared = false;
    r->table = next_table(r->policy, 0);
    enter(r, RETENTION_REST, rest_ms);
}

/* The next host is tried in a while; a run goes on where rows are left, so nothing is lost. */
static void give_up(struct retention *r, const char *why)
{
    char quoted[LINE_SIZE];
    const char *message = r->conn != NULL ? PQerrorMessage(r->conn) : "";
    if (!r->has_complained)
        log_warn("retention-stopped", "database=%s %s=%s", r->database->alias, why,
                 log_quote(quoted, sizeof(quoted), message, strlen(message)));
    r->has_complained = true;
    r->host++;
    hang_up(r, RETENTION_RETRY_MS);
}

static void start(struct retention *r)
{
    r->deleted = r->blocked_tables = 0;
    r->conn = r->database->primary_count > 0
                  ? server_connect(r->database,
                                   &r->database->primary[r->host % r->database->primary_count],
                                   SERVER_PRIMARY, ROLE_NAME_CONTROL)
                  : NULL;
    if (r->conn == NULL || PQstatus(r->conn) == CONNECTION_BAD) {
        give_up(r, "refused");
        return;
    }
    r->events = POLLOUT;
    enter(r, RETENTION_CONNECTING, RETENTION_LIMIT_MS);
}

static void on_connecting(struct retention *r)
{
    switch (PQconnectPoll(r->conn)) {
    case PGRES_POLLING_READING:
        r->events = POLLIN;
        return;
    case PGRES_POLLING_WRITING:
        r->events = POLLOUT;
        return;
    case PGRES_POLLING_OK:
        r->events = POLLIN;
        enter(r, RETENTION_READY, 0);
        return;
    default:
        give_up(r, "refused");
    }
}

/* A batch that meets a lock or takes too long ends by the server's own limits, before ours. */
static void ask(struct retention *r)
{
    static const char limits[] = "SET statement_timeout = '10s'; SET lock_timeout = '1s'";
    static const char question[] = "SELECT deleted, blocked FROM ringfence.expire($1, $2)";
    char name[NAME_SIZE], batch[16];
    int sent;
    r->is_batch = r->is_prepared;
    if (r->is_batch) {
        const struct policy_table *t = &r->policy->tables[r->table];
        (void)snprintf(name, sizeof(name), "%s.%s", t->schema, t->name);
        (void)snprintf(batch, sizeof(batch), "%d", (int)RETENTION_BATCH);
        const char *const values[] = { name, batch };
        sent = PQsendQueryParams(r->conn, question, 2, NULL, values, NULL, NULL, 0);
    } else {
        sent = PQsendQuery(r->conn, limits);
    }
    if (sent == 0)
        give_up(r, "lost");
    else
        enter(r, RETENTION_BUSY, RETENTION_LIMIT_MS);
}

static void finish(struct retention *r)
{
    if (r->deleted > 0)
        log_info("retention", "database=%s rows=%" PRIu64 " blocked-tables=%" PRIu64,
                 r->database->alias, r->deleted, r->blocked_tables);
    r->has_complained = false;
    hang_up(r, RETENTION_PERIOD_MS);
}

static void take_batch(struct retention *r, const PGresult *answer)
{
    const struct policy_table *t = &r->policy->tables[r->table];
    char quoted[LINE_SIZE];
    int64_t deleted = strtoll(PQgetvalue(answer, 0, 0), NULL, 10);
    bool is_blocked = !PQgetisnull(answer, 0, 1);
    r->deleted += deleted > 0 ? (uint64_t)deleted : 0;
    if (is_blocked) {
        const char *constraint = PQgetvalue(answer, 0, 1);
        r->blocked_tables++;
        log_warn("retention-blocked", "database=%s table=%s.%s constraint=%s", r->database->alias,
                 t->schema, t->name,
                 log_quote(quoted, sizeof(quoted), constraint, strlen(constraint)));
    }
    if (deleted < RETENTION_BATCH)
        r->table = next_table(r->policy, r->table + 1);
}

/* False: the answer is an error. */
static bool take(struct retention *r, const PGresult *answer)
{
    if (!r->is_batch) {
        r->is_prepared = PQresultStatus(answer) == PGRES_COMMAND_OK;
        return r->is_prepared;
    }
    if (PQresultStatus(answer) != PGRES_TUPLES_OK || PQntuples(answer) != 1)
        return false;
    take_batch(r, answer);
    return true;
}

static void on_answer(struct retention *r)
{
    bool is_right = true;
    if (PQconsumeInput(r->conn) == 0) {
        give_up(r, "lost");
        return;
    }
    while (!PQisBusy(r->conn)) {
        PGresult *answer = PQgetResult(r->conn);
        if (answer == NULL) {
            enter(r, RETENTION_READY, RETENTION_PAUSE_MS);
            return;
        }
        is_right = take(r, answer);
        PQclear(answer);
        if (!is_right) {
            give_up(r, "refused");
            return;
        }
    }
}

void retention_init(struct retention *r, const struct config_database *database,
                    const struct policy *policy)
{
    *r = (struct retention){ .database = database, .policy = policy };
    r->table = next_table(policy, 0);
    enter(r, RETENTION_REST, 0);
}

void retention_done(struct retention *r)
{
    PQfinish(r->conn);
    r->conn = NULL;
    r->state = RETENTION_REST;
}

int retention_fd(const struct retention *r)
{
    return r->conn != NULL ? PQsocket(r->conn) : -1;
}

int64_t retention_due_ms(const struct retention *r)
{
    bool is_idle = r->policy == NULL || next_table(r->policy, 0) == r->policy->table_count;
    return is_idle ? INT64_MAX : r->due_ms;
}

void retention_turn(struct retention *r, bool is_ready)
{
    bool is_due = clock_mono_ms() >= retention_due_ms(r);
    switch (r->state) {
    case RETENTION_REST:
        if (is_due)
            start(r);
        break;
    case RETENTION_CONNECTING:
        if (is_ready)
            on_connecting(r);
        else if (is_due)
            give_up(r, "too-slow");
        break;
    case RETENTION_READY:
        if (is_ready && PQconsumeInput(r->conn) == 0)
            give_up(r, "lost");
        else if (is_due && r->table == r->policy->table_count)
            finish(r);
        else if (is_due)
            ask(r);
        break;
    case RETENTION_BUSY:
        if (is_ready)
            on_answer(r);
        else if (is_due)
            give_up(r, "too-slow");
        break;
    }
}
