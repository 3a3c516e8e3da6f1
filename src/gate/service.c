#include "gate/service.h"

#include <string.h>

#include "base/mem.h"
#include "gate/cancel.h"
#include "gate/service_inside.h"

/* ---- attaching and detaching ---- */

static const struct borrower_ops service_ops;

void service_fail(struct service *v, enum err_code code, const char *line)
{
    struct err e;
    (void)err_set(&e, code, "%s", line);
    session_fatal(v->session, &e);
}

/* The client has gone in this very turn of the loop; what hangs on the session goes at its end. */
static bool is_ending(const struct service *v)
{
    return v->session->state != SESSION_ADMISSION && v->session->state != SESSION_SERVICE;
}

static bool all_tracked(const struct settings *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!settings_is_tracked(s->list[i].name))
            return false;
    return true;
}

/* The first loan under transaction pooling only served to learn what the server reports. */
static void give_back_greeted(struct service *v)
{
    struct backend *b = v->backend;
    v->backend = NULL;
    v->phase = SERVICE_DETACHED;
    pool_return(b, v->dirty ? BACKEND_DIRTY : BACKEND_CLEAN);
}

static void attached(struct service *v)
{
    v->phase = SERVICE_ATTACHED;
    v->server = walk_of(MESSAGE_FROM_BACKEND);
    v->status = 'I';
    v->dirty = false;
    for (size_t i = 0; i < v->settings.count; i++)
        if (!settings_is_tracked(v->settings.list[i].name))
            v->dirty = true; /* a parameter that would stay behind */
    if (v->greeted)
        return;
    v->greeted = true;
    session_greet(v->session, &v->backend->link.parameters, NULL);
    if (v->pooled)
        give_back_greeted(v);
}

/* B is ours: set it to the client's parameters, or go on at once when it has them already. */
static void prepare(struct service *v, struct backend *b)
{
    struct buf sql;
    v->backend = b;
    b->ops = &service_ops;
    b->borrower = v;
    v->phase = SERVICE_PREPARING;
    buf_init(&sql, 256 * 1024);
    int count =
        settings_write_difference(&v->settings, &b->link.parameters, pool_tracked(b->pool), &sql);
    if (count > 0 && buf_append(&sql, "", 1) < 0)
        count = -RF_ENOMEM;
    if (count > 0)
        link_run(&b->link, (const char *)buf_at(&sql));
    buf_done(&sql);
    if (count == 0)
        attached(v);
    if (count < 0)
        service_fail(v, RF_ENOMEM, "out of memory for session parameters");
}

static void on_backend(struct pool_wait *w, struct backend *b, const struct err *why)
{
    struct service *v = RF_OWNER(w, struct service, wait);
    if (b != NULL && is_ending(v)) {
        v->phase = SERVICE_DETACHED;
        pool_return(b, BACKEND_CLEAN);
        return;
    }
    if (b == NULL) {
        v->phase = SERVICE_DETACHED;
        session_fatal(v->session, why);
        return;
    }
    prepare(v, b);
    service_pump(v);
}

static void on_ran(struct backend *b, const struct err *why)
{
    struct service *v = b->borrower;
    if (is_ending(v))
        return;
    if (why != NULL) {
        session_fatal(v->session, why);
    } else if (settings_adopt(&v->settings, &b->link.parameters) < 0) {
        service_fail(v, RF_ENOMEM, "out of memory for session parameters");
    } else {
        attached(v);
        service_pump(v);
    }
}

void service_attach(struct service *v)
{
    struct session *s = v->session;
    struct pool *pool = NULL;
    struct err e;
    if (pool_get(s->snapshot, s->worker->loop, s->database, s->actor->name, &pool) < 0) {
        service_fail(v, RF_ENOMEM, "out of memory for a pool");
        return;
    }
    if (!v->greeted && v->pooled && pool_defaults(pool) != NULL && all_tracked(&v->settings)) {
        v->greeted = true; /* what a server would report is known: no need to ask one */
        session_greet(s, pool_defaults(pool), &v->settings);
        return;
    }
    struct backend *b = pool_borrow(pool, &v->wait, &e);
    if (b != NULL)
        prepare(v, b);
    else if (e.code != RF_OK)
        session_fatal(s, &e);
    else
        v->phase = SERVICE_WAITING;
}

/* The server owes nothing, is in no transaction (an implicit one lasts until the Sync) and waits
   for the beginning of a message. */
static bool is_quiet(const struct service *v)
{
    return v->owed == 0 && v->status == 'I' && v->client_left == 0 && !v->unsynced && !v->copy_in &&
           walk_at_boundary(&v->server);
}

static void detach(struct service *v)
{
    struct backend *b = v->backend;
    bool crowded = b->known_count > PREPARED_PER_SERVER_MAX;
    if (v->expect.count > 0) { /* a quiet server owes nothing: client or server broke the rules */
        expect_done(&v->expect);
        v->dirty = true;
    }
    v->backend = NULL;
    v->phase = SERVICE_DETACHED;
    stream_resume(&v->session->stream);
    pool_return(b, v->dirty || crowded ? BACKEND_DIRTY : BACKEND_CLEAN);
}

static void on_server_data(struct backend *b, const uint8_t *bytes, size_t n)
{
    struct service *v = b->borrower;
    struct session *s = v->session;
    if (s->state != SESSION_SERVICE)
        return; /* it is ending: nobody is left to read this */
    atomic_fetch_add_explicit(&v->meter->bytes_out, n, memory_order_relaxed);
    if (!service_relay(v, bytes, n)) {
        service_fail(v, RF_EPROTO, "the region's database broke the protocol");
        return;
    }
    if (stream_queued(&s->stream) > SESSION_QUEUE_HIGH)
        stream_pause(&b->link.stream);
    if (v->pooled && is_quiet(v)) {
        detach(v);
        if (buf_len(&s->in) > 0)
            service_pump(v);
    }
    if (s->worker->stopping)
        session_stop(s, false);
}

static void on_server_end(struct backend *b, const char *why)
{
    struct service *v = b->borrower;
    struct err e;
    v->backend = NULL; /* the pool closes it */
    v->phase = SERVICE_DETACHED;
    if (v->said_fatal) {
        session_finish(v->session, "the server ended the session");
        return;
    }
    (void)err_set(&e, RF_ECONNECT, "the region's database closed the connection");
    err_detail(&e, "%s", why);
    session_fatal(v->session, &e);
}

static void on_server_drained(struct backend *b)
{
    struct service *v = b->borrower;
    stream_resume(&v->session->stream);
    if (buf_len(&v->session->in) > 0)
        service_pump(v);
}

static const struct borrower_ops service_ops = {
    .on_data = on_server_data,
    .on_end = on_server_end,
    .on_drained = on_server_drained,
    .on_ran = on_ran,
};

/* ---- the door ---- */

/* Parameters that the client asked for in its startup packet. */
static int take_parameters(struct service *v, const struct startup *startup, struct err *err)
{
    for (size_t i = 0; i < startup->parameter_count; i++) {
        const struct startup_parameter *p = &startup->parameters[i];
        if (!settings_value_valid(p->name) || !settings_value_valid(p->value)) {
            int rc = err_set(err, RF_EUNSUPP, "session parameters must be printable ASCII");
            err_hint(err, "set it after connecting");
            return rc;
        }
        if (settings_put(&v->settings, p->name, p->value) < 0)
            return err_set(err, RF_ENOMEM, "out of memory for session parameters");
    }
    return 0;
}

int service_begin(struct session *s, struct err *err)
{
    struct service *v = mem_zalloc(1, sizeof(*v));
    if (v == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a session");
    v->session = s;
    v->wait.on_backend = on_backend;
    v->pooled = s->database->config->pool_mode == POOL_TRANSACTION;
    v->server = walk_of(MESSAGE_FROM_BACKEND);
    v->status = 'I';
    buf_init(&v->body, SERVICE_BODY_MAX);
    v->meter =
        meter_slot_of(s->worker->meter, s->worker->child.index, s->actor->name,
                      s->database->config->region, s->actor->entity->name, s->decision.place.code);
    s->service = v;
    int rc = take_parameters(v, session_startup(s), err);
    if (rc < 0)
        return rc;
    atomic_fetch_add_explicit(&v->meter->sessions, 1, memory_order_relaxed);
    service_attach(v); /* greets when it can; says why not otherwise */
    return 0;
}

void service_cancel(struct session *s)
{
    struct service *v = s->service;
    if (v->phase == SERVICE_ATTACHED && v->owed > 0) {
        cancel_send(&v->backend->link, v->backend);
    } else if (v->phase == SERVICE_WAITING) {
        /* Nothing has been sent to a server yet, and nothing of it will be. */
        pool_forget(&v->wait);
        v->phase = SERVICE_DETACHED;
        service_fail(v, RF_ETIMEOUT, "canceling statement due to user request");
    }
}

bool service_is_idle(const struct session *s)
{
    const struct service *v = s->service;
    return v->phase == SERVICE_DETACHED || (v->phase == SERVICE_ATTACHED && is_quiet(v));
}

void service_end(struct session *s)
{
    struct service *v = s->service;
    if (v == NULL)
        return;
    s->service = NULL;
    pool_forget(&v->wait);
    if (v->backend != NULL) {
        struct backend *b = v->backend;
        bool quiet = v->phase == SERVICE_ATTACHED && is_quiet(v);
        if (v->phase == SERVICE_ATTACHED && v->owed > 0)
            cancel_send(&b->link, NULL); /* nobody waits for its answer any more */
        pool_return(b, !quiet                   ? BACKEND_UNFIT
                       : !v->pooled || v->dirty ? BACKEND_DIRTY
                                                : BACKEND_CLEAN);
    }
    settings_done(&v->settings);
    expect_done(&v->expect);
    prepared_names_done(&v->names, &s->worker->prepared);
    buf_done(&v->body);
    mem_free(v);
}
