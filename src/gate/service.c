#include "gate/service.h"

#include <string.h>

#include "base/mem.h"
#include "gate/cancel.h"
#include "gate/expect.h"
#include "gate/pool.h"
#include "wire/frontend.h"

/* COMMIT and friends leave the session as it was; anything not listed may have changed it. */
static const char *const clean_tags[] = {
    "SELECT",    "INSERT", "UPDATE",   "DELETE",    "MERGE",  "FETCH",   "MOVE",
    "COPY",      "BEGIN",  "COMMIT",   "ROLLBACK",  "SHOW",   "EXPLAIN", "SAVEPOINT",
    "RELEASE",   "START TRANSACTION",  "CLOSE CURSOR", "VALUES", "CALL", "ANALYZE",
    "CREATE INDEX", "TRUNCATE TABLE",  "VACUUM",
};

enum { SERVICE_NAMED_MAX = 1024 * 1024, SERVICE_BIND_NAMES_MAX = 1024, SERVICE_BODY_MAX = 65536 };

enum service_phase {
    SERVICE_DETACHED,  /* no server connection; transaction pooling */
    SERVICE_WAITING,   /* in the pool's queue */
    SERVICE_PREPARING, /* the connection is being set to the client's parameters */
    SERVICE_ATTACHED
};

struct service {
    struct session *session;
    struct pool_wait wait;
    struct backend *backend;
    struct settings settings;        /* what the client asked for or was told */
    struct expect_queue expect;      /* transaction pooling */
    struct prepared_names names;     /* transaction pooling */
    struct meter_slot *meter;
    struct walk server;
    struct buf body;                 /* of a server message in parts that is looked at */
    uint32_t client_left;            /* bytes of a client message that pass without a look */
    uint32_t owed;                   /* ReadyForQuery still to come */
    uint8_t phase;                   /* enum service_phase */
    char status;                     /* of the last ReadyForQuery */
    bool pooled;                     /* transaction pooling */
    uint32_t syncs;                  /* of those, for a Sync behind the last Query */
    bool unsynced;                   /* extended messages have gone out, and no Sync behind them */
    bool greeted, dirty;
    bool dropping;                   /* the client's message goes nowhere */
    bool copy_in;                    /* the server is taking COPY data */
    uint8_t watched;                 /* enum message whose body is collected, or 0 */
};

static void pump(struct service *v);

/* ---- attaching and detaching ---- */

static const struct borrower_ops service_ops;

static void say_code(struct service *v, enum err_code code, const char *line)
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
    int count = settings_write_difference(&v->settings, &b->link.parameters,
                                          pool_defaults(b->pool), &sql);
    if (count > 0 && buf_append(&sql, "", 1) < 0)
        count = -RF_ENOMEM;
    if (count > 0)
        link_run(&b->link, (const char *)buf_at(&sql));
    buf_done(&sql);
    if (count == 0)
        attached(v);
    if (count < 0)
        say_code(v, RF_ENOMEM, "out of memory for session parameters");
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
    pump(v);
}

static void on_ran(struct backend *b, const struct err *why)
{
    struct service *v = b->borrower;
    if (is_ending(v))
        return;
    if (why != NULL) {
        session_fatal(v->session, why);
    } else if (settings_adopt(&v->settings, &b->link.parameters) < 0) {
        say_code(v, RF_ENOMEM, "out of memory for session parameters");
    } else {
        attached(v);
        pump(v);
    }
}

/* Ask for a connection; afterwards the phase tells whether there is one to go on with at once. */
static void attach(struct service *v)
{
    struct session *s = v->session;
    struct pool *pool = NULL;
    struct err e;
    if (pool_get(s->snapshot, s->worker->loop, s->database, s->actor->name, &pool) < 0) {
        say_code(v, RF_ENOMEM, "out of memory for a pool");
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

/* The server owes nothing, is in no transaction (an implicit one lasts until the Sync) and waits for
   the beginning of a message. */
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

/* ---- client to server ---- */

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
    char name[PREPARED_NAME_MAX];
    if (prepared_is_known(v->backend, p->id))
        return 0;
    int rc = prepared_learn(v->backend, p->id);
    if (rc == 0)
        rc = expect(v, EXPECT_PARSE, EXPECT_SWALLOW, p->id);
    if (rc < 0)
        return rc;
    prepared_server_name(p->id, name);
    frontend_write_parse(w, name, p->query, p->query_len, p->types, p->type_count);
    return 0;
}

/* A named Parse, whole in BODY. */
static int on_named_parse(struct service *v, struct rd body, struct wr *w)
{
    struct prepared_table *t = &v->session->worker->prepared;
    struct frontend_parse parse;
    struct prepared *p = NULL;
    char name[PREPARED_NAME_MAX];
    int rc = frontend_read_parse(body, &parse);
    if (rc == 0)
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
    prepared_server_name(p->id, name);
    frontend_write_parse(w, name, parse.query, parse.query_len, parse.types, parse.type_count);
    rc = prepared_learn(v->backend, p->id);
    return rc < 0 ? rc : expect(v, EXPECT_PARSE, EXPECT_FORWARD, p->id);
}

/* The entry behind a client's name; NULL: nobody prepared it here, so the name goes as it is and the
   server says what is wrong with it. */
static const struct prepared *find_name(const struct service *v, const char *name)
{
    return name[0] != '\0' ? prepared_names_find(&v->names, name) : NULL;
}

/* Describe and Close of a statement or portal. */
static int on_target(struct service *v, enum message m, struct rd body, struct wr *w)
{
    struct frontend_target target;
    char name[PREPARED_NAME_MAX];
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
        prepared_server_name(p->id, name);
        frontend_write_target(w, 'D', 'S', name);
    }
    return rc < 0 ? rc
                  : expect(v, m == MESSAGE_CLOSE ? EXPECT_CLOSE : EXPECT_DESCRIBE, EXPECT_FORWARD, 0);
}

/* The front of a Bind: both names. What follows them passes without a look. *RET_USED: bytes of the
   body that the rewritten front replaces. */
static int on_bind_front(struct service *v, struct rd body, uint32_t body_len, struct wr *w,
                         size_t *ret_used)
{
    size_t before = body.left;
    const char *portal = rd_cstr(&body), *statement = rd_cstr(&body);
    char name[PREPARED_NAME_MAX];
    if (body.bad)
        return -RF_EPROTO;
    const struct prepared *p = find_name(v, statement);
    if (p != NULL) {
        int rc = make_known(v, p, w);
        if (rc < 0)
            return rc;
        *ret_used = before - body.left;
        prepared_server_name(p->id, name);
        wr_u8(w, 'B');
        wr_u32(w, (uint32_t)(4 + strlen(portal) + 1 + strlen(name) + 1 + body_len - *ret_used));
        wr_cstr(w, portal);
        wr_cstr(w, name);
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
    say_code(v, RF_EPROTO, what);
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
        attach(v);
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
        violate(v, rc == -RF_EPROTO   ? "malformed message from client"
                   : rc == -RF_ETOOBIG ? "message with a prepared statement's name is too long"
                                       : err_sentence(rc));
        return -1;
    }
    return (ssize_t)f.at;
}

/* Use what has been received, as far as it goes. */
static void pump(struct service *v)
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
        pump(v);
    }
}

void service_resume(struct session *s)
{
    pump(s->service);
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

/* ---- server to client ---- */

static void to_client(struct service *v, const uint8_t *from, const uint8_t *to)
{
    if (to > from)
        session_write(v->session, from, (size_t)(to - from));
}

static void on_tag(struct service *v, const char *tag)
{
    if (strcmp(tag, "DISCARD ALL") == 0 || strcmp(tag, "DEALLOCATE ALL") == 0)
        v->backend->known_count = 0;
    for (size_t i = 0; i < RF_COUNT(clean_tags); i++)
        if (strncmp(tag, clean_tags[i], strlen(clean_tags[i])) == 0)
            return;
    v->dirty = true;
}

/* The whole body of a message that is looked at. False: malformed. */
static bool on_watched(struct service *v, enum message m, const uint8_t *body, size_t n)
{
    struct rd r = rd_of(body, n);
    const char *name = NULL, *value = NULL;
    switch (m) {
    case MESSAGE_READY_FOR_QUERY:
        v->status = (char)rd_u8(&r);
        if (v->owed > 0)
            v->owed--;
        else
            v->unsynced = false; /* a COPY failed before it read the Sync that was written off */
        if (v->syncs > v->owed)
            v->syncs = v->owed;
        return rd_done(&r);
    case MESSAGE_COMMAND_COMPLETE: {
        const char *tag = rd_cstr(&r);
        if (!rd_done(&r))
            return false;
        on_tag(v, tag);
        return true;
    }
    case MESSAGE_PARAMETER_STATUS:
        if (backend_read_parameter(r, &name, &value) < 0 ||
            link_note_parameter(&v->backend->link, r) < 0)
            return false;
        /* what the client changed by SET follows it; what it never mentioned need not */
        if (settings_is_tracked(name) && settings_value_valid(value))
            return settings_put(&v->settings, name, value) == 0;
        return true;
    default:
        return true;
    }
}

static void on_skipped(const struct expect *e, void *arg)
{
    struct service *v = arg;
    if (e->kind == EXPECT_PARSE && e->reference != 0)
        prepared_unlearn(v->backend, e->reference); /* the server never got to it */
    else if (e->kind == EXPECT_QUERY && v->owed > 0)
        v->owed--;
}

/* What happens to message M under transaction pooling: forwarded, swallowed, or replaced. */
static enum expect_action judge(struct service *v, enum message m)
{
    struct expect e = expect_answer(&v->expect, m, on_skipped, v);
    if (m == MESSAGE_ERROR_RESPONSE)
        return EXPECT_FORWARD; /* also one to a Parse of ours: the client's Bind has failed */
    return (enum expect_action)e.action;
}

/* COPY FROM STDIN began. A Sync that the client has already sent behind its Execute is read as part
   of the copy and never answered; another one will follow the copy. */
static void on_copy_in(struct service *v)
{
    v->copy_in = true;
    if (v->syncs > 0 && v->owed == v->syncs)
        v->unsynced = true;
    v->owed -= v->syncs;
    v->syncs = 0;
    while (v->expect.count > 0) {
        struct expect *last =
            &v->expect.list[(v->expect.first + v->expect.count - 1) % v->expect.cap];
        if (last->kind != EXPECT_SYNC)
            break;
        v->expect.count--;
    }
}

static uint8_t watched_of(const struct service *v, enum message m)
{
    return m == MESSAGE_READY_FOR_QUERY || m == MESSAGE_PARAMETER_STATUS ||
                   (m == MESSAGE_COMMAND_COMPLETE && v->pooled)
               ? (uint8_t)m
               : 0;
}

/* A header has been seen. *FROM is where unsent bytes start, HEAD where this message does (in the
   chunk, or NULL when its header came in two parts and stands in the walk). */
static void on_header(struct service *v, enum message m, const uint8_t **from,
                      const uint8_t *head, const uint8_t *at)
{
    static const uint8_t parse_complete[] = { '1', 0, 0, 0, 4 };
    enum expect_action action = v->pooled ? judge(v, m) : EXPECT_FORWARD;
    v->watched = watched_of(v, m);
    buf_done(&v->body);
    if (m == MESSAGE_COPY_IN)
        on_copy_in(v);
    else if (m == MESSAGE_ERROR_RESPONSE)
        v->copy_in = false;
    if (m == MESSAGE_DATA_ROW || m == MESSAGE_BACKEND_COPY_DATA)
        atomic_fetch_add_explicit(&v->meter->rows, 1, memory_order_relaxed);
    if (action != EXPECT_FORWARD) {
        if (head != NULL)
            to_client(v, *from, head);
        if (action == EXPECT_AS_PARSE)
            session_write(v->session, parse_complete, sizeof(parse_complete));
        *from = at + v->server.left; /* both messages are bare: nothing left, by the table */
    } else if (head == NULL) {
        session_write(v->session, v->server.header, MESSAGE_HEADER_LEN);
        *from = at;
    }
}

static bool collect(struct service *v, const uint8_t *piece, size_t n)
{
    if (buf_len(&v->body) == 0 && v->server.left == 0)
        return on_watched(v, (enum message)v->watched, piece, n);
    if (buf_len(&v->body) + n > SERVICE_BODY_MAX || buf_append(&v->body, piece, n) < 0)
        return false;
    if (v->server.left > 0)
        return true;
    bool ok = on_watched(v, (enum message)v->watched, buf_at(&v->body), buf_len(&v->body));
    buf_done(&v->body);
    return ok;
}

/* Walk a chunk from the server. False: the server broke the protocol. */
static bool relay(struct service *v, const uint8_t *bytes, size_t n)
{
    const uint8_t *at = bytes, *from = bytes, *piece;
    size_t left = n;
    for (;;) {
        enum message m = MESSAGE_UNKNOWN;
        uint32_t body_len = 0;
        bool was_split = v->server.have > 0;
        piece = at;
        switch (walk_next(&v->server, &at, &left, &m, &body_len)) {
        case WALK_MORE:
            /* bytes of a half header are kept in the walk until it is whole */
            if (!was_split || v->server.have == 0)
                to_client(v, from, at - v->server.have);
            return true;
        case WALK_HEADER:
            on_header(v, m, &from, was_split ? NULL : piece, at);
            break;
        case WALK_BODY:
            if (v->watched != 0 && !collect(v, piece, (size_t)(at - piece)))
                return false;
            break;
        case WALK_BAD:
        default:
            return false;
        }
    }
}

static void on_server_data(struct backend *b, const uint8_t *bytes, size_t n)
{
    struct service *v = b->borrower;
    struct session *s = v->session;
    if (s->state != SESSION_SERVICE)
        return; /* it is ending: nobody is left to read this */
    atomic_fetch_add_explicit(&v->meter->bytes_out, n, memory_order_relaxed);
    if (!relay(v, bytes, n)) {
        violate(v, "the region's database broke the protocol");
        return;
    }
    if (stream_queued(&s->stream) > SESSION_QUEUE_HIGH)
        stream_pause(&b->link.stream);
    if (v->pooled && is_quiet(v)) {
        detach(v);
        if (buf_len(&s->in) > 0)
            pump(v);
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
    (void)err_set(&e, RF_ECONNECT, "the region's database closed the connection");
    err_detail(&e, "%s", why);
    session_fatal(v->session, &e);
}

static void on_server_drained(struct backend *b)
{
    struct service *v = b->borrower;
    stream_resume(&v->session->stream);
    if (buf_len(&v->session->in) > 0)
        pump(v);
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
    v->meter = meter_slot_of(s->worker->meter, s->worker->child.index, s->actor->name,
                             s->database->config->region, s->actor->entity->name,
                             s->decision.place.code);
    s->service = v;
    int rc = take_parameters(v, session_startup(s), err);
    if (rc < 0)
        return rc;
    atomic_fetch_add_explicit(&v->meter->sessions, 1, memory_order_relaxed);
    attach(v); /* greets when it can; says why not otherwise */
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
        say_code(v, RF_ETIMEOUT, "canceling statement due to user request");
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
