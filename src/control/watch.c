#include "control/watch.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/server.h"
#include "enforce/apply.h"
#include "enforce/role.h"
#include "enforce/selfcheck.h"

enum { LINE_SIZE = 300, LOGGED_FAULTS = 20 };

/* -- what it says -- */

static void publish(struct watch *w, enum lease_state state)
{
    lease_publish(w->lease, w->index, w->leased_until_ms, state);
    if (state == w->said)
        return;
    w->said = state;
    log_event(state == LEASE_GOOD ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "lease",
              "database=%s region=%s state=\"%s\"", w->database->alias, w->database->region,
              lease_state_text(state));
}

/* The lease goes on when it is only that we could not look; it ends at once when we do not like
   what we saw. */
static void no_answer(struct watch *w)
{
    bool is_over = w->leased_until_ms <= clock_mono_ms();
    if (is_over)
        publish(w, LEASE_UNREACHABLE);
}

static void end_lease(struct watch *w, enum lease_state why)
{
    w->leased_until_ms = 0;
    publish(w, why);
}

static void renew(struct watch *w)
{
    w->has_complained = false;
    w->leased_until_ms = clock_mono_ms() + LEASE_LENGTH_MS;
    publish(w, LEASE_GOOD);
}

/* -- the connection -- */

/* Persons use the standbys; a region without one uses the primary if its policy accepts that. */
static bool uses_primary(const struct watch *w)
{
    return w->database->standby_count == 0 && w->region->persons_on_primary;
}

static const struct config_host *hosts(const struct watch *w, size_t *ret_count)
{
    bool primary = uses_primary(w);
    *ret_count = primary ? w->database->primary_count : w->database->standby_count;
    return primary ? w->database->primary : w->database->standby;
}

static void enter(struct watch *w, enum watch_state state, int64_t patience_ms)
{
    w->state = state;
    w->due_ms = clock_mono_ms() + patience_ms;
}

static void disconnect(struct watch *w)
{
    PQfinish(w->conn);
    w->conn = NULL;
    w->events = 0;
    w->fresh_ms = 0;
    w->is_known = w->is_sound = false; /* the next connection may lead to another server */
    w->check_due_ms = 0;
    enter(w, WATCH_IDLE, WATCH_PERIOD_MS);
}

/* Give up on this host; the next one is tried in a moment. */
static void give_up(struct watch *w, const char *why)
{
    char quoted[LINE_SIZE];
    const char *message = w->conn != NULL ? PQerrorMessage(w->conn) : "";
    if (!w->has_complained) /* once, not every second */
        log_warn("control-connection", "database=%s %s=%s", w->database->alias, why,
                 log_quote(quoted, sizeof(quoted), message, strlen(message)));
    w->has_complained = true;
    w->host++;
    disconnect(w);
    no_answer(w);
}

static void start(struct watch *w)
{
    size_t count;
    const struct config_host *list = hosts(w, &count);
    if (count == 0) {
        end_lease(w, LEASE_NOT_STANDBY);
        w->due_ms = clock_mono_ms() + WATCH_PERIOD_MS;
        return;
    }
    w->conn = server_connect(w->database, &list[w->host % count], SERVER_ANY, ROLE_NAME_CONTROL);
    if (w->conn == NULL || PQstatus(w->conn) == CONNECTION_BAD) {
        give_up(w, "refused");
        return;
    }
    w->events = POLLOUT;
    enter(w, WATCH_CONNECTING, WATCH_LIMIT_MS);
}

static void on_connecting(struct watch *w)
{
    switch (PQconnectPoll(w->conn)) {
    case PGRES_POLLING_READING:
        w->events = POLLIN;
        return;
    case PGRES_POLLING_WRITING:
        w->events = POLLOUT;
        return;
    case PGRES_POLLING_OK:
        w->events = POLLIN; /* to notice that it was closed */
        enter(w, WATCH_READY, 0);
        return;
    default:
        give_up(w, "refused");
    }
}

/* -- one look -- */

static void ask(struct watch *w)
{
    static const char question[] = "SELECT in_recovery, delay_ms FROM ringfence.standby()";
    if (PQsendQuery(w->conn, question) == 0) {
        give_up(w, "lost");
        return;
    }
    enter(w, WATCH_ASKING, WATCH_LIMIT_MS);
}

/* The server says how old the last replayed transaction is, or 0 when it has replayed all it
   received. After a quiet hour the first new transaction makes that an hour; but the standby cannot
   be later than the last time that nothing was missing, so the best of all answers counts. */
static bool is_fresh(struct watch *w, const PGresult *r)
{
    int64_t now = clock_mono_ms();
    if (!PQgetisnull(r, 0, 1)) {
        int64_t delay_ms = strtoll(database_value(r, 0, 1), NULL, 10);
        int64_t as_of_ms = now - (delay_ms > 0 ? delay_ms : 0);
        w->fresh_ms = as_of_ms > w->fresh_ms ? as_of_ms : w->fresh_ms;
    }
    return w->fresh_ms > 0 && now - w->fresh_ms <= WATCH_DELAY_MAX_MS;
}

static void judge(struct watch *w, const PGresult *r)
{
    bool in_recovery = database_true(r, 0, 0);
    bool is_behind = in_recovery && !is_fresh(w, r);
    if (!in_recovery && !uses_primary(w)) {
        end_lease(w, LEASE_NOT_STANDBY);
        w->host++;
        disconnect(w);
    } else if (is_behind) {
        end_lease(w, LEASE_BEHIND);
    } else if (w->check_due_ms == 0) {
        return; /* checked next; a lease from before goes on as long as it would have anyway */
    } else if (!w->is_sound) {
        if (w->said != LEASE_FAULTS && w->said != LEASE_UNKNOWN)
            end_lease(w, LEASE_FAULTS);
    } else {
        renew(w);
    }
}

/* The function is not there, this database was never applied to; or the server ended the question
   for a reason of its own. The self-check knows better, and soon. */
static void on_refused(struct watch *w)
{
    int64_t soon_ms = clock_mono_ms() + WATCH_FAULT_PERIOD_MS;
    w->is_sound = false;
    if (w->check_due_ms > soon_ms)
        w->check_due_ms = soon_ms;
    end_lease(w, LEASE_FAULTS);
}

static void on_answer(struct watch *w)
{
    if (PQconsumeInput(w->conn) == 0) {
        give_up(w, "lost");
        return;
    }
    while (w->state == WATCH_ASKING && !PQisBusy(w->conn)) {
        PGresult *r = PQgetResult(w->conn);
        if (r == NULL) {
            bool is_leased = w->leased_until_ms > 0;
            enter(w, WATCH_READY, is_leased ? WATCH_PERIOD_MS : WATCH_RETRY_MS);
            return;
        }
        w->is_known = true;
        if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1) {
            judge(w, r);
        } else if (PQstatus(w->conn) == CONNECTION_BAD) {
            PQclear(r);
            give_up(w, "lost");
            return;
        } else {
            on_refused(w);
        }
        PQclear(r);
    }
}

/* -- the machine -- */

void watch_init(struct watch *w, unsigned index, const struct config_database *database,
                const struct policy *policy, struct lease *lease)
{
    *w = (struct watch){ .index = index,
                         .database = database,
                         .policy = policy,
                         .region = policy_region_find(policy, database->region),
                         .lease = lease };
    lease_publish(lease, index, 0, LEASE_UNKNOWN);
}

void watch_done(struct watch *w)
{
    PQfinish(w->conn);
    w->conn = NULL;
    w->state = WATCH_IDLE;
}

int watch_fd(const struct watch *w)
{
    return w->conn != NULL ? PQsocket(w->conn) : -1;
}

void watch_turn(struct watch *w, bool is_ready)
{
    bool is_due = clock_mono_ms() >= w->due_ms;
    if (w->region == NULL)
        return; /* config_check_policy() refuses such a configuration; without it there is no lease
                 */
    switch (w->state) {
    case WATCH_IDLE:
        if (is_due)
            start(w);
        break;
    case WATCH_CONNECTING:
        if (is_ready)
            on_connecting(w);
        else if (is_due)
            give_up(w, "too-slow");
        break;
    case WATCH_READY:
        if (is_ready && PQconsumeInput(w->conn) == 0)
            give_up(w, "lost");
        else if (is_due && !watch_wants_check(w))
            ask(w);
        break;
    case WATCH_ASKING:
        if (is_ready)
            on_answer(w);
        else if (is_due)
            give_up(w, "too-slow");
        break;
    case WATCH_CHECKING:
        break;
    }
}

/* -- the self-check -- */

bool watch_wants_check(const struct watch *w)
{
    return w->state == WATCH_READY && w->is_known && clock_mono_ms() >= w->check_due_ms;
}

struct findings {
    const struct watch *watch;
    size_t faults, logged, warned;
};

static void log_fault(struct findings *f, const char *check, const char *object)
{
    char quoted[LINE_SIZE];
    f->faults++;
    if (f->logged++ < LOGGED_FAULTS)
        log_error("self-check-fault", "database=%s check=\"%s\" object=%s",
                  f->watch->database->alias, check,
                  log_quote(quoted, sizeof(quoted), object, strlen(object)));
}

static void on_fault(void *context, const char *check, const char *object)
{
    log_fault(context, check, object);
}

static void on_warning(void *context, const char *check, const char *object)
{
    struct findings *f = context;
    char quoted[LINE_SIZE];
    if (f->warned++ < LOGGED_FAULTS)
        log_warn("self-check-warning", "database=%s check=\"%s\" object=%s",
                 f->watch->database->alias, check,
                 log_quote(quoted, sizeof(quoted), object, strlen(object)));
}

/* A role too few or a record that names an older policy shows nobody anything; everything else that
   apply would still have to do means that the database does not hold the running policy. */
static int compare(struct watch *w, struct database *db, struct findings *f, struct err *err)
{
    struct script script;
    size_t waiting = 0;
    script_init(&script);
    int rc = apply_look(db, w->policy, w->region, &script, err);
    for (size_t i = 0; rc == 0 && i < script.count; i++) {
        enum step_kind kind = script.steps[i].kind;
        if (kind == STEP_ZERO_ROWS)
            continue; /* a question that goes with what has to be done next */
        if (kind == STEP_GUARD)
            log_fault(f, "the database does not hold the policy", script.steps[i].what);
        else
            waiting++;
    }
    if (rc == 0 && waiting > 0)
        log_warn("policy-not-applied", "database=%s changes=%zu hint=\"run ringfence apply\"",
                 w->database->alias, script.count);
    script_done(&script);
    return rc;
}

static int count_sessions(struct database *db, char *out, size_t out_len, struct err *err)
{
    PGresult *r = NULL;
    int rc = database_query(db, "SELECT count(*) FROM ringfence.sessions()", &r, err);
    if (rc == 0)
        (void)snprintf(out, out_len, "%s", database_value(r, 0, 0));
    PQclear(r);
    return rc;
}

void watch_check(struct watch *w, database_wait_fn *wait, void *context)
{
    struct database db = {
        .conn = w->conn, .timeout_ms = WATCH_CHECK_LIMIT_MS, .wait = wait, .wait_context = context
    };
    struct findings f = { .watch = w };
    struct err err = { 0 };
    char sessions[24] = "";
    size_t rows = 0;
    enter(w, WATCH_CHECKING, WATCH_CHECK_PERIOD_MS);
    int rc = compare(w, &db, &f, &err);
    if (rc == 0)
        rc = selfcheck_run(&db, on_fault, &f, &rows, &err);
    if (rc == 0)
        rc = selfcheck_warn(&db, on_warning, &f, &rows, &err);
    if (rc == 0)
        rc = count_sessions(&db, sessions, sizeof(sessions), &err);
    w->conn = db.conn; /* closed when a query ran out of time */
    w->is_sound = rc == 0 && f.faults == 0;
    w->check_due_ms =
        clock_mono_ms() + (w->is_sound ? WATCH_CHECK_PERIOD_MS : WATCH_FAULT_PERIOD_MS);
    if (rc < 0)
        log_err(LOG_LEVEL_ERROR, "self-check-failed", &err);
    else
        log_event(f.faults > 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "self-check",
                  "database=%s faults=%zu sessions=%s", w->database->alias, f.faults, sessions);
    if (!w->is_sound)
        end_lease(w, rc == -RF_ECONNECT || rc == -RF_ETIMEOUT ? LEASE_UNREACHABLE : LEASE_FAULTS);
    if (w->conn == NULL || PQstatus(w->conn) == CONNECTION_BAD)
        disconnect(w);
    else
        enter(w, WATCH_READY, 0);
}
