#include "gate/worker.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/grant.h"
#include "gate/listener.h"
#include "gate/pool.h"
#include "gate/session.h"
#include "priv/sandbox.h"
#include "wire/rd.h"
#include "wire/wr.h"

enum { THROTTLE_ADDRESSES = 4096, SLOTS_FIRST = 64 };

/* ---- sessions by slot ---- */

int worker_slot_take(struct worker *w, struct session *s, uint32_t *ret_slot)
{
    if (w->session_count == w->slot_cap) {
        uint32_t cap = w->slot_cap > 0 ? w->slot_cap * 2 : SLOTS_FIRST;
        /* twice as many as may log in: the rest are told that there are too many */
        if ((int64_t)w->session_count > 2 * w->current->config->max_clients + SLOTS_FIRST ||
            cap > WORKER_SLOTS_MAX)
            return -RF_ETOOMANY;
        struct session **slots = mem_realloc(w->slots, cap * sizeof(struct session *));
        if (slots == NULL)
            return -RF_ENOMEM;
        memset(slots + w->slot_cap, 0, (cap - w->slot_cap) * sizeof(struct session *));
        w->slots = slots;
        w->slot_cap = cap;
    }
    while (w->slots[w->slot_hint % w->slot_cap] != NULL)
        w->slot_hint++;
    *ret_slot = w->slot_hint++ % w->slot_cap;
    w->slots[*ret_slot] = s;
    w->session_count++;
    return 0;
}

static void stop_if_empty(struct worker *w)
{
    if (w->stopping && w->session_count == 0 && recorder_drained(w->recorder))
        loop_stop(w->loop);
    else if (w->stopping && w->session_count == 0)
        loop_timer(w->loop, &w->stop_timer, 20); /* the last records are on their way */
}

void worker_slot_free(struct worker *w, uint32_t slot)
{
    w->slots[slot] = NULL;
    w->session_count--;
    stop_if_empty(w);
}

static void each_session(struct worker *w, void (*fn)(struct session *s))
{
    for (uint32_t i = 0; i < w->slot_cap; i++)
        if (w->slots[i] != NULL)
            fn(w->slots[i]);
}

/* ---- the end ---- */

static void stop_session(struct session *s)
{
    session_stop(s, false);
}

static void stop_session_now(struct session *s)
{
    session_stop(s, true);
}

static void begin_stop(struct worker *w)
{
    if (w->stopping) { /* told twice: at once */
        each_session(w, stop_session_now);
        loop_timer(w->loop, &w->stop_timer, 100);
        return;
    }
    log_info("worker_stopping", "sessions=%u", w->session_count);
    w->stopping = true;
    listener_close_all(w);
    each_session(w, stop_session);
    loop_timer(w->loop, &w->stop_timer, w->current->config->shutdown_timeout_ms);
    stop_if_empty(w);
}

static void on_stop_timer(struct timer *t)
{
    struct worker *w = RF_OWNER(t, struct worker, stop_timer);
    if (w->session_count > 0) {
        each_session(w, stop_session_now);
        loop_timer(w->loop, t, 3000); /* time for last words */
        if (w->stopped_hard)
            loop_stop(w->loop);
        w->stopped_hard = true;
        return;
    }
    if (recorder_drained(w->recorder) || w->stopped_hard)
        loop_stop(w->loop);
    w->stopped_hard = true;
    loop_timer(w->loop, t, 1000);
}

/* ---- generations ---- */

static void retire_snapshot(struct snapshot *s)
{
    s->retired = true;
    for (struct pool *p = s->pools; p != NULL; p = pool_next(p))
        pool_retire(p);
    snapshot_release(s);
}

/* Listeners are numbered by their configuration: the old one comes back with its own list. A socket
   that was moved to the new list is still being listened to, under its old number. */
static void restore_listeners(struct worker *w)
{
    struct child *c = &w->child;
    struct child_retired *old = &c->retired;
    for (size_t i = 0; i < c->listen_count; i++)
        fd_close(&c->listen_fds[i]);
    mem_free(c->listen_fds);
    for (size_t i = 0; i < old->listen_count && i < w->listener_count; i++)
        if (old->listen_fds[i] < 0 && w->listeners[i].io.fd >= 0)
            old->listen_fds[i] = fcntl(w->listeners[i].io.fd, F_DUPFD_CLOEXEC, 0);
    c->listen_fds = old->listen_fds;
    c->listen_count = old->listen_count;
    old->listen_fds = NULL;
    old->listen_count = 0;
}

/* The child has swapped in what it was sent; make a generation of it. */
static void on_config(struct worker *w, struct imsg *m)
{
    struct err e;
    struct snapshot *fresh = NULL;
    struct config *old_config = w->child.config;
    struct policy *old_policy = w->child.policy;
    int rc = child_take(&w->child, m, &e);
    if (rc == 0) {
        w->child.retired.config = NULL; /* the old generation owns both */
        w->child.retired.policy = NULL;
        rc = snapshot_new(w->child.config, w->child.policy, w->child.credentials,
                          w->child.credentials_len, &fresh, &e);
        if (rc < 0) { /* keep serving by the old one */
            config_free(w->child.config);
            policy_free(w->child.policy);
            w->child.config = old_config;
            w->child.policy = old_policy;
            restore_listeners(w);
        }
    }
    if (rc == 0) {
        struct snapshot *old = w->current;
        w->current = fresh;
        throttle_set_rate(w->throttle, (uint32_t)fresh->config->login_failures_per_minute);
        log_set_level((enum log_level)fresh->config->log_level);
        each_session(w, session_reconsider);
        retire_snapshot(old);
        rc = listener_open_all(w, &e);
    }
    child_retired_done(&w->child.retired);
    if (rc < 0) {
        log_err(LOG_LEVEL_ERROR, "reload_failed", &e);
        RF_NEGLECT(child_failed(&w->child, &e)); /* the supervisor notices silence, too */
        return;
    }
    RF_NEGLECT(child_ready(&w->child, "")); /* likewise */
}

/* ---- the supervisor ---- */

static void on_peer(struct worker *w, struct imsg *m)
{
    struct err e;
    uint32_t role = m->arg;
    if (child_take(&w->child, m, &e) < 0) {
        log_err(LOG_LEVEL_ERROR, "peer_failed", &e);
        return;
    }
    struct child_peer *p = child_peer_of(&w->child, (enum imsg_role)role, 0);
    if (p == NULL)
        return;
    int fd = p->fd;
    p->fd = -1; /* the line owns it */
    if (role == ROLE_LEDGER)
        recorder_connect(w->recorder, fd);
    else if (role == ROLE_PARSER)
        inspector_connect(w->inspector, fd);
}

static void on_cancel(struct worker *w, const struct imsg *m)
{
    struct rd r = rd_of(m->payload, m->len);
    uint32_t pid = rd_u32(&r);
    if (!r.bad)
        session_cancel(w, pid, r.at, r.left);
}

void worker_relay_cancel(struct worker *w, unsigned index, uint32_t pid, const uint8_t *key,
                         size_t key_len)
{
    struct buf b;
    buf_init(&b, IMSG_PAYLOAD_MAX);
    struct wr wr = wr_to(&b);
    wr_u32(&wr, pid);
    wr_bytes(&wr, key, key_len);
    if (!wr_done(&wr) ||
        imsg_send(w->child.imsg_fd, IMSG_CANCEL_FOR, index, buf_at(&b), buf_len(&b), NULL, 0) < 0)
        log_warn("cancel_not_relayed", "worker=%u", index);
    buf_wipe_done(&b);
}

static void on_imsg_message(struct worker *w, struct imsg *m)
{
    struct err e;
    switch (m->type) {
    case IMSG_CONFIG:
        on_config(w, m);
        break;
    case IMSG_LISTEN:
        if (child_take(&w->child, m, &e) < 0 || listener_open_all(w, &e) < 0)
            log_err(LOG_LEVEL_ERROR, "listen_failed", &e);
        break;
    case IMSG_PEER:
        on_peer(w, m);
        break;
    case IMSG_CANCEL:
        on_cancel(w, m);
        break;
    case IMSG_STOP:
        begin_stop(w);
        break;
    default:
        log_warn("imsg_unexpected", "type=%d", (int)m->type);
    }
}

static void on_imsg(struct io *io)
{
    struct worker *w = RF_OWNER(io, struct worker, imsg);
    struct imsg m;
    int rc = imsg_recv(io->fd, &m);
    if (rc == 0) {
        log_error("supervisor_lost", "action=exit");
        loop_stop(w->loop);
    } else if (rc == 1) {
        on_imsg_message(w, &m);
        imsg_close_fds(&m);
    }
}

static const struct io_ops imsg_io_ops = { .on_readable = on_imsg };

static void on_parser_bad(void *arg)
{
    struct worker *w = arg;
    if (imsg_send(w->child.imsg_fd, IMSG_PEER_BAD, ROLE_PARSER, NULL, 0, NULL, 0) < 0)
        log_warn("parser_not_complained_of", "again_ms=%d", (int)INSPECTOR_PATIENCE_MS);
}

static void on_ledger_lost(void *arg)
{
    struct worker *w = arg;
    if (imsg_send(w->child.imsg_fd, IMSG_PEER_BAD, ROLE_LEDGER, NULL, 0, NULL, 0) < 0)
        log_warn("ledger_not_asked_for", "again_ms=%d", (int)RECORDER_PATIENCE_MS);
}

/* ---- the beginning ---- */

static int connect_peers(struct worker *w, struct err *err)
{
    struct child_peer *ledger = child_peer_of(&w->child, ROLE_LEDGER, 0);
    struct child_peer *parser = child_peer_of(&w->child, ROLE_PARSER, 0);
    if (ledger == NULL || parser == NULL)
        return err_set(err, RF_EBUG, "a worker needs a ledger and a parser");
    recorder_complain_to(w->recorder, on_ledger_lost, w);
    recorder_connect(w->recorder, ledger->fd);
    inspector_complain_to(w->inspector, on_parser_bad, w);
    inspector_connect(w->inspector, parser->fd);
    ledger->fd = parser->fd = -1; /* the lines own them */
    return 0;
}

static int open_worker(struct worker *w, struct err *err)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "worker-%u", w->child.index);
    buf_init(&w->staged, STREAM_QUEUE_MAX);
    buf_init(&w->front, STREAM_QUEUE_MAX);
    int rc = loop_new(&w->loop, err);
    if (rc == 0)
        rc = snapshot_new(w->child.config, w->child.policy, w->child.credentials,
                          w->child.credentials_len, &w->current, err);
    if (rc == 0)
        rc = recorder_new(w->loop, name, &w->recorder, err);
    if (rc == 0)
        rc = inspector_new(w->loop, &w->inspector, err);
    if (rc == 0)
        rc = meter_map(w->child.meter_fd, &w->meter, err);
    if (rc == 0)
        rc = lease_map(w->child.lease_fd, LEASE_READ, &w->lease, err);
    if (rc == 0)
        rc = grant_table_map(w->child.grants_fd, LEASE_READ, &w->grants, err);
    if (rc == 0)
        rc = budget_table_map_worker(w->child.given_fd, w->child.asked_fd, w->child.index,
                                     &w->budgets, err);
    if (rc == 0) { /* nobody who takes this process over gets at the others' part */
        fd_close(&w->child.asked_fd);
        budget_table_adopt(w->budgets, w->child.index);
    }
    if (rc == 0 && throttle_new((uint32_t)w->current->config->login_failures_per_minute,
                                THROTTLE_ADDRESSES, &w->throttle) < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory for the throttle");
    return rc;
}

/* The folders of the files that a reload reads again, not the files: a renewed certificate is a new
   file. /etc is for what OpenSSL and the resolver read of their own. */
struct readable {
    const char *list[4 * LEASE_SLOTS + 8];
    char *copies[4 * LEASE_SLOTS + 8];
    size_t count;
};

static int readable_add(struct readable *r, const char *path)
{
    if (path == NULL || r->count + 1 >= RF_COUNT(r->list))
        return 0;
    char *copy = mem_strdup(path);
    if (copy == NULL)
        return -RF_ENOMEM;
    r->copies[r->count] = copy;
    r->list[r->count++] = dirname(copy);
    return 0;
}

static int readable_fill(struct readable *r, const struct config *c)
{
    int rc = readable_add(r, c->tls_certificate);
    if (rc == 0)
        rc = readable_add(r, c->tls_key);
    if (rc == 0)
        rc = readable_add(r, c->tls_client_ca);
    for (size_t i = 0; rc == 0 && i < c->database_count; i++) {
        const struct config_database *d = &c->databases[i];
        const char *const theirs[] = { d->tls_ca, d->tls_certificate, d->tls_key, d->passfile };
        for (size_t k = 0; rc == 0 && k < RF_COUNT(theirs); k++)
            rc = readable_add(r, theirs[k]);
    }
    return rc;
}

static int enter_sandbox(struct worker *w, char *report, size_t report_len, struct err *err)
{
    static const char *const none[] = { NULL };
    const struct config *c = w->current->config;
    struct readable *r = mem_zalloc(1, sizeof(*r));
    int rc = r != NULL ? readable_fill(r, c) : -RF_ENOMEM;
    if (rc < 0) {
        rc = err_set(err, RF_ENOMEM, "out of memory for the sandbox");
    } else {
        const struct sandbox_paths paths = { .read_only = r->list, .read_write = none };
        rc = sandbox_enter(ROLE_WORKER, &paths, c->sandbox_floor, report, report_len, err);
    }
    for (size_t i = 0; r != NULL && i < r->count; i++)
        mem_free(r->copies[i]);
    mem_free(r);
    return rc;
}

static int serve(struct worker *w, struct err *err)
{
    char report[128] = "";
    int rc = open_worker(w, err);
    if (rc == 0)
        rc = enter_sandbox(w, report, sizeof(report), err);
    if (rc == 0)
        rc = connect_peers(w, err);
    if (rc == 0)
        rc = listener_open_all(w, err);
    if (rc < 0)
        return rc;
    io_init(&w->imsg, w->loop, &imsg_io_ops);
    io_open(&w->imsg, w->child.imsg_fd);
    if (io_watch(&w->imsg) < 0)
        return err_set(err, RF_ESYS, "could not watch the supervisor");
    loop_timer(w->loop, &w->suspended_timer, GRANT_TICK_MS);
    rc = child_ready(&w->child, report);
    return rc < 0 ? err_set(err, RF_ESYS, "could not tell the supervisor") : loop_run(w->loop, err);
}

static void on_grant_timer(struct timer *t)
{
    grant_on_tick(RF_OWNER(t, struct worker, grant_timer));
}

/* Somebody was suspended: his sessions end. */
static void on_suspended_timer(struct timer *t)
{
    struct worker *w = RF_OWNER(t, struct worker, suspended_timer);
    uint64_t now = grant_table_suspensions(w->grants);
    if (now != w->suspensions)
        each_session(w, session_heed_suspension);
    w->suspensions = now;
    loop_timer(w->loop, t, GRANT_TICK_MS);
}

int worker_main(int imsg_fd, unsigned index)
{
    static struct worker worker; /* 128 peers: too large for the stack */
    struct err e;
    worker.stop_timer.fn = on_stop_timer;
    worker.grant_timer.fn = on_grant_timer;
    worker.suspended_timer.fn = on_suspended_timer;
    if (sodium_init() < 0) {
        log_error("worker_failed", "reason=\"no source of random numbers\"");
        return 1;
    }
    if (child_begin(imsg_fd, index, &worker.child, &e) < 0)
        return 1;
    if (serve(&worker, &e) < 0) {
        log_err(LOG_LEVEL_ERROR, "worker_failed", &e);
        RF_NEGLECT(child_failed(&worker.child, &e)); /* it sees us exit, too */
        return 1;
    }
    log_info("worker_stopped", "sessions=%u", worker.session_count);
    return 0;
}
