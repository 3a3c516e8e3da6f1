#include "gate/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/scram.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/frontend.h"
#include "wire/startup.h"

enum { LINK_IN_MAX = 256 * 1024, LINK_CANCEL_MS = 5000 };

static void try_host(struct link *l);

/* ---- ending ---- */

static void drop_connection(struct link *l)
{
    loop_timer_stop(l->stream.io.loop, &l->timer);
    stream_close(&l->stream);
    buf_wipe_done(&l->in);
    scram_client_free(l->scram);
    l->scram = NULL;
    l->proven = false;
}

/* This server will not do: remember why and try the next one. */
static void next_host(struct link *l)
{
    struct loop *loop = l->stream.io.loop;
    drop_connection(l);
    if (l->use != LINK_USE_CANCEL && ++l->host_at < l->host_count) {
        l->state = LINK_CONNECTING;
        loop_timer(loop, &l->timer, 0); /* from a fresh stack */
        return;
    }
    l->state = LINK_CLOSED;
    loop_timer(loop, &l->timer, 0); /* on_failed from a fresh stack: the owner will free us */
}

static void fail(struct link *l, enum err_code code, const char *line, const char *detail)
{
    (void)err_set(&l->failure, code, "%s", line);
    err_detail(&l->failure, "host=%s port=%u %s", l->address != NULL ? l->address->host->host : "-",
               l->address != NULL ? l->address->host->port : 0, detail);
    next_host(l);
}

static void broken(struct link *l, const char *why)
{
    switch (l->state) {
    case LINK_CLOSED:
        return;
    case LINK_READY:
        l->ops->on_end(l, why);
        return;
    case LINK_RUNNING: {
        struct err e;
        l->state = LINK_READY;
        (void)err_set(&e, RF_ECONNECT, "the database closed the connection");
        l->ops->on_ran(l, &e);
        return;
    }
    case LINK_CANCELLING: /* a server that got the request closes the connection */
        l->ops->on_ready(l);
        return;
    default:
        fail(l, RF_ECONNECT, "could not connect to the region's database", why);
    }
}

void link_close(struct link *l)
{
    static const uint8_t terminate[] = { 'X', 0, 0, 0, 4 };
    if (l->state == LINK_READY && l->stream.io.fd >= 0)
        RF_NEGLECT(stream_write(&l->stream, terminate, sizeof(terminate))); /* a courtesy */
    l->state = LINK_CLOSED;
    drop_connection(l);
    settings_done(&l->wanted);
    settings_done(&l->parameters);
    mem_free(l->role);
    l->role = NULL;
    explicit_bzero(&l->key, sizeof(l->key));
    snapshot_release(l->snapshot);
    l->snapshot = NULL;
}

/* ---- starting ---- */

static int send_buffer(struct link *l, struct buf *b, bool written)
{
    int rc = written ? stream_write(&l->stream, buf_at(b), buf_len(b)) : -RF_ENOMEM;
    buf_wipe_done(b);
    return rc;
}

static void send_startup(struct link *l)
{
    struct startup_parameter list[STARTUP_PARAMETERS_MAX];
    size_t count = 0;
    struct buf b;
    list[count++] = (struct startup_parameter){ "user", l->role };
    list[count++] = (struct startup_parameter){ "database", l->database->config->dbname };
    for (size_t i = 0; i < l->wanted.count && count < RF_COUNT(list); i++)
        list[count++] =
            (struct startup_parameter){ l->wanted.list[i].name, l->wanted.list[i].value };
    l->state = LINK_AUTH;
    buf_init(&b, STARTUP_LENGTH_MAX);
    int rc = startup_session_write(&b, 0, list, count);
    if (send_buffer(l, &b, rc == 0) < 0)
        fail(l, RF_ECONNECT, "could not connect to the region's database", "start-up not sent");
}

static void send_cancel(struct link *l)
{
    struct buf b;
    l->state = LINK_CANCELLING;
    buf_init(&b, STARTUP_LENGTH_MAX);
    int rc = startup_cancel_write(&b, l->key.pid, l->key.secret, l->key.secret_len);
    if (send_buffer(l, &b, rc == 0) < 0)
        fail(l, RF_ECONNECT, "could not cancel", "request not sent");
}

static void greet(struct link *l)
{
    if (l->use == LINK_USE_CANCEL)
        send_cancel(l);
    else
        send_startup(l);
}

static void on_connected(struct stream *s)
{
    struct link *l = RF_OWNER(s, struct link, stream);
    if (l->state == LINK_TLS || l->database->tls == NULL || l->address->path[0] != '\0') {
        greet(l);
        return;
    }
    struct buf b;
    l->state = LINK_TLS_ASKED;
    buf_init(&b, 16);
    int rc = startup_ssl_write(&b);
    if (send_buffer(l, &b, rc == 0) < 0)
        fail(l, RF_ECONNECT, "could not connect to the region's database", "TLS not asked");
}

/* The one byte that answers an SSLRequest; anything behind it did not come through TLS and would be
   believed as if it had (CVE-2021-23214 and its kin). */
static void on_tls_answer(struct link *l, const uint8_t *bytes, size_t n)
{
    struct err err;
    if (n != 1 || bytes[0] != 'S') {
        fail(l, RF_ECONNECT, "the region's database does not offer TLS", "");
        return;
    }
    l->state = LINK_TLS;
    if (stream_tls_connect(&l->stream, l->database->tls, l->address->host->host, &err) < 0)
        fail(l, RF_ECONNECT, "could not start TLS towards the region's database", err.line);
}

static const char *password_of(const struct link *l)
{
    const struct snapshot_address *a = l->address;
    return l->database->passfile == NULL
               ? NULL
               : passfile_find(l->database->passfile, a->host->host, a->host->port,
                               l->database->config->dbname, l->role);
}

static enum scram_step sasl_start(struct link *l, struct rd data, struct buf *out,
                                  const char **ret_mechanism, struct err *err)
{
    uint8_t binding[64];
    size_t binding_len = stream_tls_binding(&l->stream, binding);
    const char *password = password_of(l);
    if (password == NULL) {
        (void)err_set(err, RF_EAUTH, "no password for the region's database");
        return SCRAM_FAILED;
    }
    if (l->scram != NULL || scram_client_new(password, binding_len > 0 ? binding : NULL,
                                             binding_len, NULL, &l->scram) < 0)
        return SCRAM_FAILED;
    return scram_client_start(l->scram, data.at, data.left, ret_mechanism, out, err);
}

static void on_sasl(struct link *l, uint32_t code, struct rd data)
{
    struct buf answer, packet;
    struct err err;
    const char *mechanism = NULL;
    enum scram_step step = SCRAM_FAILED;
    err_clear(&err);
    buf_init(&answer, SCRAM_MESSAGE_MAX);
    buf_init(&packet, SCRAM_MESSAGE_MAX + 128);
    if (code == BACKEND_AUTH_SASL)
        step = sasl_start(l, data, &answer, &mechanism, &err);
    else if (l->scram != NULL)
        step = scram_client_step(l->scram, data.at, data.left, &answer, &err);
    struct wr w = wr_to(&packet);
    if (mechanism != NULL)
        frontend_write_sasl_initial(&w, mechanism, buf_at(&answer), buf_len(&answer));
    else if (step == SCRAM_CONTINUE)
        frontend_write_password(&w, buf_at(&answer), buf_len(&answer));
    buf_wipe_done(&answer);
    if (step == SCRAM_DONE)
        l->proven = code == BACKEND_AUTH_SASL_FINAL;
    bool sent =
        step == SCRAM_DONE || (step == SCRAM_CONTINUE && wr_done(&w) &&
                               stream_write(&l->stream, buf_at(&packet), buf_len(&packet)) == 0);
    buf_wipe_done(&packet);
    if (!sent)
        fail(l, RF_ECONNECT, "could not log in to the region's database", err.line);
}

static void on_auth(struct link *l, struct rd body)
{
    uint32_t code = 0;
    struct rd data;
    if (backend_read_auth(body, &code, &data) < 0) {
        fail(l, RF_ECONNECT, "the region's database broke the protocol", "authentication");
        return;
    }
    switch (code) {
    case BACKEND_AUTH_OK:
        if (l->scram != NULL && !l->proven) {
            fail(l, RF_ECONNECT, "the region's database did not prove its identity", "");
            return;
        }
        l->state = LINK_STARTING;
        return;
    case BACKEND_AUTH_SASL:
    case BACKEND_AUTH_SASL_CONTINUE:
    case BACKEND_AUTH_SASL_FINAL:
        on_sasl(l, code, data);
        return;
    default:
        fail(l, RF_ECONNECT, "the region's database asks for a login that is not safe",
             code == BACKEND_AUTH_MD5 ? "md5" : "method not supported");
    }
}

static void on_startup_error(struct link *l, struct rd body)
{
    struct backend_error e = { "", "", "", "" };
    char detail[300];
    if (backend_read_error(body, &e) < 0) {
        fail(l, RF_ECONNECT, "the region's database broke the protocol", "error");
        return;
    }
    (void)snprintf(detail, sizeof(detail), "sqlstate=%s said=\"%s\"", e.sqlstate, e.message);
    /* starting up, shutting down and too many connections pass; the rest is between us and it */
    bool passing = strncmp(e.sqlstate, "57P", 3) == 0 || strcmp(e.sqlstate, "53300") == 0;
    l->role_refused = strncmp(e.sqlstate, "28", 2) == 0;
    char state[6];
    (void)snprintf(state, sizeof(state), "%.5s", passing ? e.sqlstate : "08006");
    (void)err_set(&l->failure, RF_ECONNECT, "%s",
                  passing ? "the region's database does not take connections now"
                          : "could not log in to the region's database");
    err_sqlstate(&l->failure, state);
    err_detail(&l->failure, "host=%s %s", l->address->host->host, detail);
    next_host(l);
}

static void on_started(struct link *l)
{
    const char *standby = settings_get(&l->parameters, "in_hot_standby");
    bool is_standby = standby != NULL && strcmp(standby, "on") == 0;
    if (standby == NULL) {
        fail(l, RF_ECONNECT, "the region's database is older than PostgreSQL 14", "");
        return;
    }
    if (is_standby != (l->use == LINK_USE_STANDBY)) {
        settings_done(&l->parameters);
        fail(l, RF_ECONNECT,
             l->use == LINK_USE_STANDBY ? "no standby of the region answers"
                                        : "no server of the region accepts writes",
             is_standby ? "it is a standby" : "it is a primary");
        return;
    }
    loop_timer_stop(l->stream.io.loop, &l->timer);
    buf_done(&l->in);
    l->state = LINK_READY;
    l->born_ms = loop_now_ms(l->stream.io.loop);
    l->ops->on_ready(l);
}

static void on_startup_message(struct link *l, enum message m, struct rd body)
{
    int rc = 0;
    if (m == MESSAGE_ERROR_RESPONSE) {
        on_startup_error(l, body);
    } else if (m == MESSAGE_AUTHENTICATION && l->state == LINK_AUTH) {
        on_auth(l, body);
    } else if (l->state == LINK_STARTING && m == MESSAGE_READY_FOR_QUERY) {
        on_started(l);
    } else {
        if (l->state == LINK_STARTING && m == MESSAGE_PARAMETER_STATUS)
            rc = link_note_parameter(l, body);
        else if (l->state == LINK_STARTING && m == MESSAGE_BACKEND_KEY_DATA)
            rc = backend_read_key(body, &l->key);
        else if (m != MESSAGE_NOTICE_RESPONSE && m != MESSAGE_NEGOTIATE_VERSION)
            rc = -RF_EPROTO;
        if (rc < 0)
            fail(l, RF_ECONNECT, "the region's database broke the protocol", message_name(m));
    }
}

/* ---- a statement of our own ---- */

void link_run(struct link *l, const char *sql)
{
    struct buf b;
    RF_ASSERT(l->state == LINK_READY);
    l->state = LINK_RUNNING;
    l->ran_badly = false;
    err_clear(&l->failure);
    buf_init(&b, STREAM_QUEUE_MAX);
    struct wr w = wr_to(&b);
    frontend_write_query(&w, sql);
    loop_timer(l->stream.io.loop, &l->timer, l->snapshot->config->connect_timeout_ms);
    if (send_buffer(l, &b, wr_done(&w)) < 0)
        stream_break(&l->stream); /* on_end follows; until then nothing else happens here */
}

static void on_running_message(struct link *l, enum message m, struct rd body)
{
    if (m == MESSAGE_PARAMETER_STATUS) {
        if (link_note_parameter(l, body) < 0)
            l->ran_badly = true;
    } else if (m == MESSAGE_ERROR_RESPONSE) {
        struct backend_error e = { "", "", "", "" };
        l->ran_badly = true;
        RF_NEGLECT(backend_read_error(body, &e)); /* what is malformed stays empty */
        (void)err_set(&l->failure, RF_EDATABASE, "%s", e.message);
        err_sqlstate(&l->failure, e.sqlstate[0] != '\0' ? e.sqlstate : "XX000");
    } else if (m == MESSAGE_READY_FOR_QUERY) {
        loop_timer_stop(l->stream.io.loop, &l->timer);
        buf_done(&l->in);
        l->state = LINK_READY;
        l->ops->on_ran(l, l->ran_badly ? &l->failure : NULL);
    }
}

/* ---- events ---- */

/* Take the next whole message off l->in. 1: one, 0: not there yet, negative: malformed. */
static int next_message(struct link *l, enum message *ret_message, struct rd *ret_body)
{
    if (buf_len(&l->in) < MESSAGE_HEADER_LEN)
        return 0;
    const uint8_t *header = buf_at(&l->in);
    enum message m = message_of(MESSAGE_FROM_BACKEND, header[0]);
    uint32_t length = message_length_at(header);
    if (!message_length_valid(m, length) || length > LINK_IN_MAX - 1)
        return -RF_EPROTO;
    if (buf_len(&l->in) < (size_t)length + 1)
        return 0;
    *ret_message = m;
    *ret_body = rd_of(header + MESSAGE_HEADER_LEN, length - 4);
    return 1;
}

static bool is_reading(const struct link *l)
{
    return l->state == LINK_AUTH || l->state == LINK_STARTING || l->state == LINK_RUNNING;
}

static void take_messages(struct link *l, const uint8_t *bytes, size_t n)
{
    enum message m = MESSAGE_UNKNOWN;
    struct rd body;
    int rc = buf_append(&l->in, bytes, n);
    while (rc == 0 && is_reading(l) && (rc = next_message(l, &m, &body)) == 1) {
        uint32_t length = (uint32_t)body.left + MESSAGE_HEADER_LEN;
        /* the callee may close the link or start another host: keep the bytes elsewhere */
        uint8_t *copy = mem_zalloc(length, 1);
        if (copy == NULL) {
            rc = -RF_ENOMEM;
            break;
        }
        memcpy(copy, body.at, body.left);
        body.at = copy;
        buf_consume(&l->in, length);
        if (l->state == LINK_RUNNING)
            on_running_message(l, m, body);
        else
            on_startup_message(l, m, body);
        mem_free_secret(copy, length);
        if (m == MESSAGE_READY_FOR_QUERY)
            return; /* the owner has been called: L may be gone, and nothing is owed after 'Z' */
        rc = 0;
    }
    if (rc < 0 && l->state == LINK_RUNNING)
        broken(l, "protocol violation");
    else if (rc < 0)
        fail(l, RF_ECONNECT, "the region's database broke the protocol", "");
}

static void on_data(struct stream *s, const uint8_t *bytes, size_t n)
{
    struct link *l = RF_OWNER(s, struct link, stream);
    if (l->state == LINK_READY)
        l->ops->on_data(l, bytes, n);
    else if (l->state == LINK_TLS_ASKED)
        on_tls_answer(l, bytes, n);
    else if (is_reading(l))
        take_messages(l, bytes, n);
}

static void on_stream_end(struct stream *s, const char *why)
{
    broken(RF_OWNER(s, struct link, stream), why);
}

static void on_drained(struct stream *s)
{
    struct link *l = RF_OWNER(s, struct link, stream);
    if (l->state == LINK_READY && l->ops->on_drained != NULL)
        l->ops->on_drained(l);
}

static const struct stream_ops link_stream_ops = {
    .on_data = on_data,
    .on_end = on_stream_end,
    .on_drained = on_drained,
    .on_connected = on_connected,
};

static void on_timer(struct timer *t)
{
    struct link *l = RF_OWNER(t, struct link, timer);
    if (l->state == LINK_CLOSED)
        l->ops->on_failed(l, &l->failure);
    else if (l->state == LINK_CONNECTING && l->stream.io.fd < 0)
        try_host(l);
    else
        broken(l, "time limit reached");
}

/* ---- connecting ---- */

static void try_host(struct link *l)
{
    struct loop *loop = l->stream.io.loop;
    int on = 1;
    if (l->use != LINK_USE_CANCEL)
        l->address = &l->hosts[l->host_at];
    stream_init(&l->stream, loop, &link_stream_ops);
    int fd = socket(l->address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail(l, RF_ECONNECT, "could not connect to the region's database", "no socket");
        return;
    }
    if (l->address->path[0] == '\0') {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    l->state = LINK_CONNECTING;
    loop_timer(loop, &l->timer,
               l->use == LINK_USE_CANCEL ? LINK_CANCEL_MS
                                         : l->snapshot->config->connect_timeout_ms);
    int rc = stream_connect(&l->stream, fd, (const struct sockaddr *)&l->address->address,
                            l->address->len);
    if (rc < 0)
        fail(l, RF_ECONNECT, "could not connect to the region's database",
             strerrordesc_np(-rc) != NULL ? strerrordesc_np(-rc) : "connect");
}

int link_init(struct link *l, struct loop *loop, struct snapshot *snapshot,
              const struct snapshot_database *database, enum link_use use, const char *role,
              const struct link_ops *ops)
{
    *l = (struct link){ .ops = ops, .database = database, .use = use, .timer.fn = on_timer };
    stream_init(&l->stream, loop, &link_stream_ops);
    buf_init(&l->in, LINK_IN_MAX);
    l->role = mem_strdup(role);
    if (l->role == NULL)
        return -RF_ENOMEM;
    l->snapshot = snapshot_share(snapshot);
    bool standby = use == LINK_USE_STANDBY;
    l->hosts = standby ? database->standby : database->primary;
    l->host_count = standby ? database->standby_count : database->primary_count;
    return 0;
}

void link_connect(struct link *l)
{
    l->state = LINK_CONNECTING;
    l->host_at = 0;
    if (l->host_count == 0) {
        (void)err_set(&l->failure, RF_EUNAVAIL, "the region has no such server");
        l->state = LINK_CLOSED;
    }
    loop_timer(l->stream.io.loop, &l->timer, 0);
}

void link_cancel(struct link *l, const struct link *target)
{
    l->address = target->address;
    l->key = target->key;
    l->state = LINK_CONNECTING;
    loop_timer(l->stream.io.loop, &l->timer, 0);
}

int link_note_parameter(struct link *l, struct rd body)
{
    const char *name = NULL, *value = NULL;
    int rc = backend_read_parameter(body, &name, &value);
    return rc < 0 ? rc : settings_put(&l->parameters, name, value);
}
