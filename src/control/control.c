#include "control/control.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "control/grants.h"
#include "control/logsize.h"
#include "control/retention.h"
#include "control/watch.h"
#include "priv/child.h"

struct control {
    struct child child;
    struct lease *lease;
    struct watch watches[LEASE_SLOTS];
    struct grant_table *table;
    struct budget_table *budgets;
    struct grants grants[LEASE_SLOTS];
    struct retention retention[LEASE_SLOTS];
    size_t watch_count; /* and of grants */
    struct logsize logsize;
    bool is_stopping;
};

/* ---- the log's size ---- */

static int notary_fd(struct control *c)
{
    const struct child_peer *p = child_peer_of(&c->child, ROLE_NOTARY, 0);
    return p != NULL ? p->fd : -1;
}

static void hear_notary(struct control *c)
{
    struct sight heard;
    int rc = sight_hear(notary_fd(c), &heard);
    if (rc == 1 && c->logsize.signed_.size == 0)
        logsize_ask(&c->logsize); /* the first of this notary is kept at once */
    if (rc == 1)
        c->logsize.signed_ = heard;
    if (rc < 0) /* a new one comes with a new socket */
        fd_close(&child_peer_of(&c->child, ROLE_NOTARY, 0)->fd);
}

static void tell_notary(struct control *c)
{
    if (c->logsize.is_news && notary_fd(c) >= 0 &&
        sight_tell(notary_fd(c), &c->logsize.seen) != -RF_ETIMEOUT)
        c->logsize.is_news = false;
}

/* One poll for everything there is; FD (or -1) is somebody else's, with EVENTS and a time limit.
   Turns every watch but those that are being checked, and all grants. Returns true when FD is
   ready. */
static bool wait_once(struct control *c, int fd, short events, int timeout_ms)
{
    struct pollfd polled[LEASE_SLOTS * (2 + GRANTS_LINES) + 3];
    int64_t now = clock_mono_ms(), until = now + timeout_ms;
    for (size_t i = 0; i < c->watch_count; i++) {
        const struct watch *w = &c->watches[i];
        bool is_ours = w->state != WATCH_CHECKING; /* else it is FD */
        polled[i] = (struct pollfd){ .fd = is_ours ? watch_fd(w) : -1, .events = w->events };
        if (is_ours && w->due_ms < until)
            until = w->due_ms;
    }
    struct pollfd *other = &polled[c->watch_count], *lines = other + 1;
    *other = (struct pollfd){ .fd = fd, .events = events };
    for (size_t i = 0; i < c->watch_count; i++) {
        int64_t due = grants_due_ms(&c->grants[i]);
        until = due < until ? due : until;
        grants_poll(&c->grants[i], lines + i * GRANTS_LINES);
    }
    struct pollfd *old = lines + c->watch_count * GRANTS_LINES;
    for (size_t i = 0; i < c->watch_count; i++) {
        const struct retention *r = &c->retention[i];
        int64_t due = retention_due_ms(r);
        until = due < until ? due : until;
        old[i] = (struct pollfd){ .fd = retention_fd(r), .events = r->events };
    }
    struct pollfd *size = old + c->watch_count, *notary = size + 1;
    *size = (struct pollfd){ .fd = logsize_fd(&c->logsize), .events = c->logsize.events };
    *notary = (struct pollfd){ .fd = notary_fd(c), .events = POLLIN };
    until = logsize_due_ms(&c->logsize) < until ? logsize_due_ms(&c->logsize) : until;
    int left = until > now ? (int)(until - now) : 0;
    int n = poll(polled, (nfds_t)(c->watch_count * (2 + GRANTS_LINES) + 3), left);
    if (n > 0 && notary->revents != 0)
        hear_notary(c);
    logsize_turn(&c->logsize, n > 0 && size->revents != 0);
    tell_notary(c);
    for (size_t i = 0; i < c->watch_count; i++) {
        watch_turn(&c->watches[i], n > 0 && polled[i].revents != 0);
        grants_turn(&c->grants[i], lines + i * GRANTS_LINES, n > 0);
        retention_turn(&c->retention[i], n > 0 && old[i].revents != 0);
    }
    return n > 0 && other->revents != 0;
}

/* database.h: lent waiting of a self-check. */
static int wait_for_check(void *context, int fd, short events, int timeout_ms)
{
    (void)wait_once(context, fd, events, timeout_ms); /* the caller looks for itself */
    return 0;
}

static void watch_all(struct control *c)
{
    const struct config *config = c->child.config;
    for (unsigned i = 0; i < LEASE_SLOTS; i++)
        lease_publish(c->lease, i, 0, LEASE_UNKNOWN);
    c->watch_count = config->database_count < LEASE_SLOTS ? config->database_count : LEASE_SLOTS;
    logsize_init(&c->logsize, config);
    const char *aliases[LEASE_SLOTS];
    for (size_t i = 0; i < c->watch_count; i++)
        aliases[i] = config->databases[i].alias;
    grant_table_retain(c->table, aliases, c->watch_count);
    grant_table_new_era_of_all(
        c->table); /* these rules may be others than those they stand under */
    for (size_t i = 0; i < c->watch_count; i++) {
        const struct config_database *d = &config->databases[i];
        watch_init(&c->watches[i], (unsigned)i, d, c->child.policy, c->lease);
        grants_init(&c->grants[i], d, c->child.policy,
                    policy_region_find(c->child.policy, d->region), c->table, c->budgets,
                    c->child.workers);
        retention_init(&c->retention[i], d, c->child.policy);
    }
}

static void forget_all(struct control *c)
{
    for (size_t i = 0; i < c->watch_count; i++) {
        watch_done(&c->watches[i]);
        grants_done(&c->grants[i]);
        retention_done(&c->retention[i]);
    }
    c->watch_count = 0;
    logsize_done(&c->logsize);
}

/* ---- the supervisor ---- */

static void let_go(void *context)
{
    forget_all(context);
}

static void take_up(void *context)
{
    watch_all(context);
}

static void meet(void *context, enum imsg_role peer)
{
    struct control *c = context;
    if (peer != ROLE_NOTARY)
        return;
    c->logsize.signed_ = (struct sight){ 0 }; /* only asked for, until it says more */
    logsize_ask(&c->logsize);
}

static const struct child_ear ear = { .let_go = let_go, .take_up = take_up, .meet = meet };

static int start(struct control *c, struct err *err)
{
    char report[200] = "";
    int rc = lease_map(c->child.lease_fd, LEASE_WRITE, &c->lease, err);
    if (rc == 0)
        rc = grant_table_map(c->child.grants_fd, LEASE_WRITE, &c->table, err);
    if (rc == 0)
        rc = budget_table_map_control(c->child.given_fd, c->child.asked_fd, &c->budgets, err);
    if (rc == 0) {
        grant_table_adopt(c->table);
        fd_close(&c->child.lease_fd);
        fd_close(&c->child.grants_fd);
        fd_close(&c->child.given_fd);
        fd_close(&c->child.asked_fd);
        fd_close(&c->child.meter_fd); /* not its business */
        watch_all(c);
        rc = child_narrow(&c->child, ROLE_CONTROL, report, sizeof(report), err);
    }
    if (rc == 0 && (rc = child_ready(&c->child, report)) < 0)
        rc = err_set(err, RF_ESYS, "could not reach the supervisor");
    return rc;
}

int control_main(int imsg_fd)
{
    static struct control c; /* large, and there is one */
    struct err err = { 0 };
    int status = 0;
    log_open("control", LOG_LEVEL_INFO);
    if (digest_init(&err) < 0 || child_begin(imsg_fd, 0, &c.child, &err) < 0)
        return err_exit_status(err.code);
    if (start(&c, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        if (child_failed(&c.child, &err) < 0)
            log_warn("supervisor-silent", "about=start");
        status = err_exit_status(err.code);
        c.is_stopping = true;
    }
    while (!c.is_stopping) {
        if (wait_once(&c, c.child.imsg_fd, POLLIN, WATCH_PERIOD_MS))
            c.is_stopping = !child_hear(&c.child, &ear, &c);
        for (size_t i = 0; i < c.watch_count && !c.is_stopping; i++)
            if (watch_wants_check(&c.watches[i]))
                watch_check(&c.watches[i], wait_for_check, &c);
    }
    forget_all(&c);
    lease_unmap(c.lease);
    grant_table_unmap(c.table);
    budget_table_unmap(c.budgets);
    child_done(&c.child);
    return status;
}
