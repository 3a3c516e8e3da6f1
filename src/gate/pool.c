#include "gate/pool.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum { POOL_TICK_MS = 250 };

struct pool {
    struct pool *next;
    struct snapshot *snapshot; /* held */
    const struct snapshot_database *database;
    struct loop *loop;
    char *role;
    struct backend *backends; /* all of them */
    unsigned count, connecting;
    struct pool_wait *first, **end;
    unsigned waiting;
    struct settings defaults, tracked;
    bool have_defaults, retired;
    int64_t failing_since_ms; /* 0: the last attempt went well */
    int64_t next_attempt_ms;
    struct err failure;
    struct timer timer;
    struct task task;
};

static void schedule(struct pool *p)
{
    if (p->first != NULL || p->count > 0)
        loop_timer(p->loop, &p->timer, p->first != NULL ? POOL_TICK_MS : 4 * POOL_TICK_MS);
}

/* ---- backends ---- */

static void backend_free(struct backend *b)
{
    struct pool *p = b->pool;
    if (b->state == BACKEND_CONNECTING)
        p->connecting--;
    link_close(&b->link);
    if (b->cancels > 0) {
        b->state = BACKEND_GONE;
        return;
    }
    if (b->before != NULL)
        b->before->next = b->next;
    else
        p->backends = b->next;
    if (b->next != NULL)
        b->next->before = b->before;
    p->count--;
    mem_free(b->known);
    mem_free(b);
    loop_task(p->loop, &p->task); /* a place is free, or the pool is empty */
}

static struct pool_wait *take_wait(struct pool *p)
{
    struct pool_wait *w = p->first;
    if (w == NULL)
        return NULL;
    p->first = w->next;
    if (p->first == NULL)
        p->end = &p->first;
    p->waiting--;
    w->pool = NULL;
    return w;
}

static void make_idle(struct backend *b)
{
    struct pool *p = b->pool;
    b->state = BACKEND_IDLE;
    b->ops = NULL;
    b->borrower = NULL;
    b->idle_since_ms = loop_now_ms(p->loop);
    loop_task(p->loop, &p->task);
}

static void on_ready(struct link *l)
{
    struct backend *b = RF_OWNER(l, struct backend, link);
    struct pool *p = b->pool;
    struct settings fresh = { 0 }, tracked = { 0 };
    int rc = 0;
    p->connecting--;
    p->failing_since_ms = 0;
    b->state = BACKEND_IDLE; /* no longer counted as connecting */
    for (size_t i = 0; rc == 0 && i < l->parameters.count; i++) {
        const struct setting *reported = &l->parameters.list[i];
        rc = settings_put(&fresh, reported->name, reported->value);
        if (rc == 0 && settings_is_tracked(reported->name))
            rc = settings_put(&tracked, reported->name, reported->value);
    }
    if (rc < 0) {
        settings_done(&fresh);
        settings_done(&tracked);
        backend_free(b);
        return;
    }
    settings_done(&p->defaults);
    settings_done(&p->tracked);
    p->defaults = fresh;
    p->tracked = tracked;
    p->have_defaults = true;
    make_idle(b);
}

static void on_failed(struct link *l, const struct err *why)
{
    struct backend *b = RF_OWNER(l, struct backend, link);
    struct pool *p = b->pool;
    int64_t now = loop_now_ms(p->loop);
    if (p->failing_since_ms == 0) {
        p->failing_since_ms = now;
        log_err(LOG_LEVEL_WARN, "database_unreachable", why);
    }
    p->failure = *why;
    p->next_attempt_ms = now + POOL_TICK_MS;
    backend_free(b);
}

static void on_data(struct link *l, const uint8_t *bytes, size_t n)
{
    struct backend *b = RF_OWNER(l, struct backend, link);
    if (b->state == BACKEND_LENT) {
        b->ops->on_data(b, bytes, n);
        return;
    }
    /* A server that owes nothing has nothing to say but farewell. Whatever it is must not become
       the beginning of the next client's answer. */
    log_debug("idle_server_spoke", "role=%s bytes=%zu", b->pool->role, n);
    backend_free(b);
}

static void on_end(struct link *l, const char *why)
{
    struct backend *b = RF_OWNER(l, struct backend, link);
    if (b->state == BACKEND_LENT)
        b->ops->on_end(b, why);
    backend_free(b);
}

static void on_drained(struct link *l)
{
    struct backend *b = RF_OWNER(l, struct backend, link);
    if (b->state == BACKEND_LENT)
        b->ops->on_drained(b);
}

static void on_ran(struct link *l, const struct err *why)
{
    struct backend *b = RF_OWNER(l, struct backend, link);
    if (b->state == BACKEND_LENT) {
        b->ops->on_ran(b, why);
        return;
    }
    if (why != NULL) {
        backend_free(b);
        return;
    }
    b->known_count = 0; /* DISCARD ALL forgets prepared statements */
    make_idle(b);
}

static const struct link_ops pool_link_ops = {
    .on_ready = on_ready,
    .on_failed = on_failed,
    .on_data = on_data,
    .on_end = on_end,
    .on_drained = on_drained,
    .on_ran = on_ran,
};

static void connect_one(struct pool *p)
{
    struct backend *b = mem_zalloc(1, sizeof(*b));
    if (b == NULL)
        return; /* the next tick tries again; waiters have their time limit */
    b->pool = p;
    b->state = BACKEND_CONNECTING;
    if (link_init(&b->link, p->loop, p->snapshot, p->database, LINK_USE_PRIMARY, p->role,
                  &pool_link_ops) < 0) {
        mem_free(b);
        return;
    }
    b->next = p->backends;
    if (b->next != NULL)
        b->next->before = b;
    p->backends = b;
    p->count++;
    p->connecting++;
    link_connect(&b->link);
}

/* ---- the queue ---- */

static struct backend *take_idle(struct pool *p)
{
    struct backend *best = NULL;
    for (struct backend *b = p->backends; b != NULL; b = b->next)
        if (b->state == BACKEND_IDLE && b->link.state == LINK_READY &&
            (best == NULL || b->idle_since_ms > best->idle_since_ms))
            best = b;
    if (best != NULL)
        best->state = BACKEND_LENT;
    return best;
}

static void fail_waits(struct pool *p, const struct err *why, int64_t since_limit_ms)
{
    while (p->first != NULL && p->first->since_ms <= since_limit_ms) {
        struct pool_wait *w = take_wait(p);
        w->on_backend(w, NULL, why);
    }
}

/* Hand out what is idle, connect what is missing, give up on what takes too long. */
static void serve(struct pool *p)
{
    int64_t now = loop_now_ms(p->loop);
    const struct config *c = p->snapshot->config;
    struct err late;
    while (p->first != NULL) {
        struct backend *b = take_idle(p);
        if (b == NULL)
            break;
        struct pool_wait *w = take_wait(p);
        w->on_backend(w, b, NULL);
    }
    if (p->failing_since_ms != 0 && now - p->failing_since_ms >= c->connect_timeout_ms)
        fail_waits(p, &p->failure, now);
    (void)err_set(&late, RF_EUNAVAIL, "no server connection became free in time");
    err_sqlstate(&late, "53300");
    fail_waits(p, &late, now - c->query_wait_timeout_ms);
    while (p->connecting < p->waiting && p->count < (unsigned)p->database->config->pool_size &&
           (p->failing_since_ms == 0 || now >= p->next_attempt_ms)) {
        unsigned before = p->count;
        connect_one(p);
        if (p->count == before || p->failing_since_ms != 0)
            break; /* while it fails, one attempt at a time */
    }
    if (p->waiting == 0)
        p->failing_since_ms = 0; /* nobody left who was told to wait: the next one starts afresh */
}

static void close_idle(struct pool *p)
{
    int64_t now = loop_now_ms(p->loop);
    const struct config_database *c = p->database->config;
    for (struct backend *b = p->backends, *next; b != NULL; b = next) {
        next = b->next;
        bool old = c->server_lifetime_ms > 0 && now - b->link.born_ms >= c->server_lifetime_ms;
        bool unused = c->server_idle_ms > 0 && now - b->idle_since_ms >= c->server_idle_ms;
        if (b->state == BACKEND_IDLE && (old || unused || p->retired))
            backend_free(b);
    }
}

static void pool_free(struct pool *p)
{
    struct snapshot *snapshot = p->snapshot;
    for (struct pool **at = &snapshot->pools; *at != NULL; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    loop_timer_stop(p->loop, &p->timer);
    loop_task_cancel(p->loop, &p->task);
    settings_done(&p->defaults);
    settings_done(&p->tracked);
    mem_free(p->role);
    mem_free(p);
    snapshot_release(snapshot);
}

static void on_task(struct task *t)
{
    struct pool *p = RF_OWNER(t, struct pool, task);
    serve(p);
    if (p->retired) {
        close_idle(p);
        loop_task_cancel(p->loop, &p->task); /* closing queued us again */
        if (p->count == 0 && p->waiting == 0) {
            pool_free(p);
            return;
        }
    }
    schedule(p);
}

static void on_timer(struct timer *t)
{
    struct pool *p = RF_OWNER(t, struct pool, timer);
    close_idle(p);
    loop_task(p->loop, &p->task);
}

/* ---- the door ---- */

int pool_get(struct snapshot *snapshot, struct loop *loop, const struct snapshot_database *database,
             const char *role, struct pool **ret_pool)
{
    for (struct pool *p = snapshot->pools; p != NULL; p = p->next)
        if (p->database == database && strcmp(p->role, role) == 0) {
            *ret_pool = p;
            return 0;
        }
    struct pool *p = mem_zalloc(1, sizeof(*p));
    if (p == NULL)
        return -RF_ENOMEM;
    p->role = mem_strdup(role);
    if (p->role == NULL) {
        mem_free(p);
        return -RF_ENOMEM;
    }
    p->snapshot = snapshot_share(snapshot);
    p->database = database;
    p->loop = loop;
    p->end = &p->first;
    p->timer.fn = on_timer;
    p->task.fn = on_task;
    p->next = snapshot->pools;
    snapshot->pools = p;
    if (snapshot->retired)
        pool_retire(p); /* for as long as sessions of the old generation need it */
    *ret_pool = p;
    return 0;
}

static unsigned waiting_in_all(const struct snapshot *s)
{
    unsigned n = 0;
    for (const struct pool *p = s->pools; p != NULL; p = p->next)
        n += p->waiting;
    return n;
}

struct backend *pool_borrow(struct pool *p, struct pool_wait *w, struct err *err)
{
    RF_ASSERT(w->pool == NULL);
    err_clear(err);
    if (p->first == NULL) {
        struct backend *b = take_idle(p);
        if (b != NULL)
            return b;
    }
    if ((int64_t)waiting_in_all(p->snapshot) >= p->snapshot->config->max_waiting) {
        (void)err_set(err, RF_ETOOMANY, "too many sessions wait for a server connection");
        return NULL;
    }
    w->next = NULL;
    w->pool = p;
    w->since_ms = loop_now_ms(p->loop);
    *p->end = w;
    p->end = &w->next;
    p->waiting++;
    loop_task(p->loop, &p->task);
    return NULL;
}

void pool_forget(struct pool_wait *w)
{
    struct pool *p = w->pool;
    if (p == NULL)
        return;
    for (struct pool_wait **at = &p->first; *at != NULL; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            if (p->end == &w->next)
                p->end = at;
            p->waiting--;
            break;
        }
    w->pool = NULL;
    loop_task(p->loop, &p->task);
}

static void reset(struct backend *b)
{
    b->state = BACKEND_RESETTING;
    link_run(&b->link, "DISCARD ALL");
}

void pool_return(struct backend *b, enum backend_condition condition)
{
    b->ops = NULL;
    b->borrower = NULL;
    stream_resume(&b->link.stream);
    if (condition == BACKEND_UNFIT || b->link.state != LINK_READY) {
        backend_free(b);
    } else if (b->cancels > 0) {
        b->state = BACKEND_COOLING;
    } else if (condition == BACKEND_DIRTY) {
        reset(b);
    } else {
        make_idle(b);
    }
}

void pool_cancel_begin(struct backend *b)
{
    b->cancels++;
}

void pool_cancel_over(struct backend *b)
{
    if (--b->cancels > 0)
        return;
    if (b->state == BACKEND_GONE)
        backend_free(b);
    else if (b->state == BACKEND_COOLING)
        reset(b); /* a cancel that arrives late hits the next statement: let it hit ours */
}

const struct settings *pool_tracked(const struct pool *p)
{
    return &p->tracked;
}

const struct settings *pool_defaults(const struct pool *p)
{
    return p->have_defaults ? &p->defaults : NULL;
}

void pool_retire(struct pool *p)
{
    p->retired = true;
    loop_task(p->loop, &p->task);
}

struct pool *pool_next(struct pool *p)
{
    return p->next;
}
