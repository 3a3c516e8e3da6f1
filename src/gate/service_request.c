#include "gate/service_inside.h"

#include <string.h>

#include "wire/frontend.h"

static int to_server(struct service *v, const void *bytes, size_t n)
{
    struct link *l = &v->backend->link;
    int rc = n > 0 ? stream_write(&l->stream, bytes, n) : 0;
    if (stream_queued(&l->stream) > SESSION_QUEUE_HIGH)
        stream_pause(&v->session->stream);
    return rc;
}

static int expect(struct service *v, enum expect_kind kind, enum expect_action action, uint64_t id)
{
    return v->pooled ? expect_push(&v->expect, kind, action, (uint32_t)id) : 0;
}

/* ---- one turn's bytes: what passes as it is, and what was rewritten in between ---- */

/* Where feed() stands: [from, at) of BYTES passes as it is and has not been staged yet. What is
   staged goes out in one send at the end, so that a rewritten message costs no system call. */
struct feed {
    const uint8_t *bytes;
    size_t n, at, from;
};

enum feed_result { FEED_ON, FEED_WAIT, FEED_ENDED, FEED_FAILED };

static int stage(struct service *v, struct feed *f)
{
    int rc = buf_append(&v->session->worker->staged, f->bytes + f->from, f->at - f->from);
    f->from = f->at;
    return rc;
}

/* Send everything up to f->at. */
static int flush_feed(struct service *v, struct feed *f)
{
    struct buf *staged = &v->session->worker->staged;
    int rc = 0;
    if (buf_len(staged) == 0) {
        rc = f->at > f->from ? to_server(v, f->bytes + f->from, f->at - f->from) : 0;
        f->from = f->at;
        return rc;
    }
    rc = stage(v, f);
    if (rc == 0)
        rc = to_server(v, buf_at(staged), buf_len(staged));
    buf_clear(staged);
    return rc;
}

/* Parse a statement on this server that the client prepared on another one. */
static int make_known(struct service *v, const struct prepared *p, struct wr *w)
{
    if (prepared_is_known(v->backend, p->id))
        return 0;
    int rc = prepared_learn(v->backend, p->id);
    if (rc == 0)
        rc = expect(v, EXPECT_PARSE, EXPECT_SWALLOW, p->id);
    if (rc < 0)
        return rc;
    frontend_write_parse(w, p->name, p->query, p->query_len, p->types, p->type_count);
    return 0;
}

/* A named Parse, whole in BODY. */
static int on_named_parse(struct service *v, struct rd body, struct wr *w)
{
    struct prepared_table *t = &v->session->worker->prepared;
    struct frontend_parse parse;
    struct prepared *p = NULL;
    int rc = frontend_read_parse(body, &parse);
    if (rc < 0)
        return rc;
    rc = prepared_intern(t, &parse, &p);
    if (rc < 0)
        return rc;
    rc = prepared_names_put(&v->names, t, parse.name, p);
    if (rc < 0) {
        prepared_release(t, p);
        return rc;
    }
    if (prepared_is_known(v->backend, p->id)) {
        /* Already there: an answer is owed in its place in line, and only the server can give one.
           Closing a name that does not exist is no error and answers with five bytes, too. */
        frontend_write_target(w, 'C', 'S', "rf_none");
        return expect(v, EXPECT_CLOSE, EXPECT_AS_PARSE, 0);
    }
    frontend_write_parse(w, p->name, parse.query, parse.query_len, parse.types, parse.type_count);
    rc = prepared_learn(v->backend, p->id);
    return rc < 0 ? rc : expect(v, EXPECT_PARSE, EXPECT_FORWARD, p->id);
}

/* The entry behind a client's name; NULL: nobody prepared it here, so the name goes as it is and
   the server says what is wrong with it. */
static const struct prepared *find_name(const struct service *v, const char *name)
{
    return name[0] != '\0' ? prepared_names_find(&v->names, name) : NULL;
}

/* Describe and Close of a statement or portal. */
static int on_target(struct service *v, enum message m, struct rd body, struct wr *w)
{
    struct frontend_target target;
    int rc = frontend_read_target(body, &target);
    if (rc < 0)
        return rc;
    const struct prepared *p = target.kind == 'S' ? find_name(v, target.name) : NULL;
    if (m == MESSAGE_CLOSE && target.kind == 'S' && target.name[0] != '\0') {
        /* never by its name: other clients may still use it on this server */
        prepared_names_drop(&v->names, &v->session->worker->prepared, target.name);
        frontend_write_target(w, 'C', 'S', "rf_none");
    } else if (p != NULL) {
        rc = make_known(v, p, w);
        frontend_write_target(w, 'D', 'S', p->name);
    }
    return rc < 0
               ? rc
               : expect(v, m == MESSAGE_CLOSE ? EXPECT_CLOSE : EXPECT_DESCRIBE, EXPECT_FORWARD, 0);
}

/* The front of a Bind: both names. What follows them passes without a look. *RET_USED: bytes of the
   body that the rewritten front replaces. */
static int on_bind_front(struct service *v, struct rd body, uint32_t body_len, struct wr *w,
                         size_t *ret_used)
{
    size_t before = body.left;
    const char *portal = rd_cstr(&body), *statement = rd_cstr(&body);
    if (body.bad)
        return -RF_EPROTO;
    const struct prepared *p = find_name(v, statement);
    if (p != NULL) {
        int rc = make_known(v, p, w);
        if (rc < 0)
            return rc;
        *ret_used = before - body.left;
        wr_u8(w, 'B');
        wr_u32(w, (uint32_t)(4 + strlen(portal) + 1 + strlen(p->name) + 1 + body_len - *ret_used));
        wr_cstr(w, portal);
        wr_cstr(w, p->name);
    }
    return expect(v, EXPECT_BIND, EXPECT_FORWARD, 0);
}

/* Does the message at BYTES (N there, header included) hold the name of a prepared statement, and
   how much of it must be there? 0: it passes as it is. */
static size_t wanted_of(const struct service *v, enum message m, const uint8_t *bytes, size_t n,
                        uint32_t body_len)
{
    const uint8_t *body = bytes + MESSAGE_HEADER_LEN;
    size_t have = n - MESSAGE_HEADER_LEN;
    if (!v->pooled)
        return 0;
    if (m == MESSAGE_DESCRIBE || m == MESSAGE_CLOSE)
        return body_len;
    if (m == MESSAGE_PARSE)
        return have == 0 ? 1 : body[0] == 0 ? 0 : body_len;
    if (m == MESSAGE_BIND) {
        size_t there = have < body_len ? have : body_len;
        struct rd r = rd_of(body, there);
        (void)rd_cstr(&r);
        (void)rd_cstr(&r);
        return !r.bad ? there - r.left : have < body_len ? have + 1 : body_len;
    }
    return 0;
}

static size_t wanted_max(enum message m)
{
    return m == MESSAGE_BIND ? SERVICE_BIND_NAMES_MAX : SERVICE_NAMED_MAX;
}

/* A message that may carry a statement's name; the WANTED front of its body is there. Where a name
   changes, a new front is staged; otherwise all of it passes as it is. */
static int rewrite(struct service *v, enum message m, struct feed *f, size_t wanted,
                   uint32_t body_len)
{
    struct buf *front = &v->session->worker->front;
    struct rd body = rd_of(f->bytes + f->at + MESSAGE_HEADER_LEN, wanted);
    size_t used = wanted;
    buf_clear(front);
    struct wr w = wr_to(front);
    int rc = m == MESSAGE_PARSE  ? on_named_parse(v, body, &w)
             : m == MESSAGE_BIND ? on_bind_front(v, body, body_len, &w, &used)
                                 : on_target(v, m, body, &w);
    if (rc == 0 && !wr_done(&w))
        rc = -RF_ENOMEM;
    if (rc == 0 && buf_len(front) == 0) { /* no name to change */
        v->client_left = body_len;
        f->at += MESSAGE_HEADER_LEN;
        return 0;
    }
    if (rc == 0)
        rc = stage(v, f);
    if (rc == 0)
        rc = buf_append(&v->session->worker->staged, buf_at(front), buf_len(front));
    f->at += MESSAGE_HEADER_LEN + used;
    f->from = f->at;
    v->client_left = body_len - (uint32_t)used;
    return rc;
}

/* A message that passes as it is: what it makes the server owe. */
static int note_passing(struct service *v, enum step step, enum message m)
{
    switch (step) {
    case STEP_QUERY:
    case STEP_CALL:
        v->owed++;
        v->syncs = 0;
        v->unsynced = false;
        atomic_fetch_add_explicit(&v->meter->statements, 1, memory_order_relaxed);
        return expect(v, EXPECT_QUERY, EXPECT_FORWARD, 0);
    case STEP_SYNC:
        if (v->copy_in)
            return 0; /* ignored by the server, "55.2.6 COPY Operations" */
        v->owed++;
        v->syncs++;
        v->unsynced = false;
        return expect(v, EXPECT_SYNC, EXPECT_FORWARD, 0);
    case STEP_COPY:
        if (m != MESSAGE_COPY_DATA)
            v->copy_in = false;
        return 0;
    case STEP_EXECUTE:
        v->unsynced = true;
        atomic_fetch_add_explicit(&v->meter->statements, 1, memory_order_relaxed);
        return expect(v, EXPECT_EXECUTE, EXPECT_FORWARD, 0);
    case STEP_PARSE:
        v->unsynced = true;
        return expect(v, EXPECT_PARSE, EXPECT_FORWARD, 0);
    case STEP_BIND:
    case STEP_DESCRIBE:
    case STEP_CLOSE:
        v->unsynced = true; /* here under session pooling only: nothing is expected in order */
        return 0;
    default:
        return 0;
    }
}

static void violate(struct service *v, const char *what)
{
    service_fail(v, RF_EPROTO, what);
}

static void pass_body(struct service *v, struct feed *f)
{
    size_t part = f->n - f->at < v->client_left ? f->n - f->at : v->client_left;
    f->at += part;
    v->client_left -= (uint32_t)part;
}

/* No connection: get one, unless the message means nothing without one. */
static enum feed_result feed_detached(struct service *v, struct feed *f, enum step step,
                                      uint32_t length)
{
    if (step == STEP_COPY || step == STEP_FLUSH) {
        v->client_left = length - 4;
        v->dropping = true;
        f->at += MESSAGE_HEADER_LEN;
        f->from = f->at;
        return FEED_ON;
    }
    if (v->phase == SERVICE_DETACHED)
        service_attach(v);
    return v->session->state != SESSION_SERVICE ? FEED_ENDED
           : v->phase == SERVICE_ATTACHED       ? FEED_ON
                                                : FEED_WAIT;
}

/* One message whose header is there. *RC: an error code when FEED_FAILED. */
static enum feed_result feed_message(struct service *v, struct feed *f, int *rc)
{
    const uint8_t *head = f->bytes + f->at;
    size_t have = f->n - f->at;
    enum message m = message_of(MESSAGE_FROM_FRONTEND, head[0]);
    uint32_t length = message_length_at(head);
    enum step step = step_of(SESSION_SERVICE, m);
    *rc = -RF_EPROTO;
    if (!message_length_valid(m, length) || step == STEP_REFUSE)
        return FEED_FAILED;
    if (step == STEP_TERMINATE) {
        if (v->phase == SERVICE_ATTACHED)
            RF_NEGLECT(flush_feed(v, f)); /* the link's end is noticed by itself */
        session_close(v->session, "client terminated");
        return FEED_ENDED;
    }
    if (v->phase != SERVICE_ATTACHED) {
        enum feed_result r = feed_detached(v, f, step, length);
        if (r != FEED_ON || v->dropping)
            return r;
    }
    size_t wanted = wanted_of(v, m, head, have, length - 4);
    if (wanted > wanted_max(m)) {
        *rc = -RF_ETOOBIG;
        return FEED_FAILED;
    }
    if (wanted > have - MESSAGE_HEADER_LEN)
        return FEED_WAIT;
    if (wanted == 0) {
        *rc = note_passing(v, step, m);
        v->client_left = length - 4;
        f->at += MESSAGE_HEADER_LEN;
    } else {
        v->unsynced = true;
        *rc = rewrite(v, m, f, wanted, length - 4);
    }
    return *rc < 0 ? FEED_FAILED : FEED_ON;
}

/* Pass N bytes at BYTES on; returns how many were used up. The rest is not whole enough to be used
   yet, or has to wait for a connection. -1: the session has ended. */
static ssize_t feed(struct service *v, const uint8_t *bytes, size_t n)
{
    struct feed f = { .bytes = bytes, .n = n };
    enum feed_result r = FEED_ON;
    int rc = 0;
    while (f.at < n && r == FEED_ON) {
        if (v->client_left > 0) {
            pass_body(v, &f);
            if (v->dropping)
                f.from = f.at;
        } else {
            v->dropping = false;
            r = n - f.at < MESSAGE_HEADER_LEN ? FEED_WAIT : feed_message(v, &f, &rc);
        }
    }
    if (r == FEED_ENDED) {
        buf_clear(&v->session->worker->staged);
        return -1;
    }
    if (r != FEED_FAILED && v->phase == SERVICE_ATTACHED && (rc = flush_feed(v, &f)) < 0)
        r = FEED_FAILED;
    buf_clear(&v->session->worker->staged);
    if (r == FEED_FAILED && rc != -RF_EIO) { /* EIO: the link's end is on its way */
        violate(v, rc == -RF_EPROTO    ? "malformed message from client"
                   : rc == -RF_ETOOBIG ? "message with a prepared statement's name is too long"
                                       : err_sentence(rc));
        return -1;
    }
    return (ssize_t)f.at;
}

void service_pump(struct service *v)
{
    struct session *s = v->session;
    while (buf_len(&s->in) > 0 && s->state == SESSION_SERVICE &&
           (v->phase == SERVICE_ATTACHED || v->phase == SERVICE_DETACHED)) {
        ssize_t used = feed(v, buf_at(&s->in), buf_len(&s->in));
        if (used < 0)
            return; /* the session, and V with it, may be gone */
        buf_consume(&s->in, (size_t)used);
        if (used == 0)
            break;
    }
    if (s->state == SESSION_SERVICE &&
        (v->phase == SERVICE_DETACHED ||
         (v->phase == SERVICE_ATTACHED &&
          stream_queued(&v->backend->link.stream) <= SESSION_QUEUE_HIGH)))
        stream_resume(&s->stream);
}

void service_on_data(struct session *s, const uint8_t *bytes, size_t n)
{
    struct service *v = s->service;
    atomic_fetch_add_explicit(&v->meter->bytes_in, n, memory_order_relaxed);
    if (buf_len(&s->in) == 0 && (v->phase == SERVICE_ATTACHED || v->phase == SERVICE_DETACHED)) {
        ssize_t used = feed(v, bytes, n);
        if (used < 0)
            return;
        bytes += used;
        n -= (size_t)used;
    }
    if (n > 0 && buf_append(&s->in, bytes, n) < 0) {
        violate(v, "too much sent while waiting");
        return;
    }
    if (v->phase == SERVICE_WAITING || v->phase == SERVICE_PREPARING) {
        if (buf_len(&s->in) > SESSION_QUEUE_HIGH)
            stream_pause(&s->stream);
    } else if (n > 0) {
        service_pump(v);
    }
}

void service_resume(struct session *s)
{
    service_pump(s->service);
}

bool service_is_mid_message(const struct session *s)
{
    return !walk_at_boundary(&s->service->server);
}

void service_on_drained(struct session *s)
{
    if (s->service->backend != NULL)
        stream_resume(&s->service->backend->link.stream);
}
