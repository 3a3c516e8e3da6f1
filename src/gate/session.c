#include "gate/session.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/grant.h"
#include "gate/login.h"
#include "gate/person.h"
#include "gate/service.h"
#include "wire/backend.h"

enum { ENDING_MS = 2000, WORKER_SHIFT = 24, SLOT_MASK = (1 << WORKER_SHIFT) - 1 };

/* ---- the end ---- */

static void on_task(struct task *t)
{
    struct session *s = RF_OWNER(t, struct session, task);
    if (s->state == SESSION_SERVICE || s->state == SESSION_PERSON) {
        /* greeted: the client may have gone on without waiting for it */
        if (s->state == SESSION_SERVICE)
            service_resume(s);
        else
            person_on_data(s);
        return;
    }
    person_end(s);
    grant_leave(s);
    service_end(s);
    login_free(s);
    if (s->state != SESSION_CLOSED)
        return; /* ENDING: the last words are on their way */
    struct worker *w = s->worker;
    struct snapshot *snapshot = s->snapshot;
    uint32_t slot = s->slot;
    loop_timer_stop(w->loop, &s->timer);
    loop_task_cancel(w->loop, &s->task);
    stream_close(&s->stream);
    buf_wipe_done(&s->in);
    mem_free_secret(s, sizeof(*s));
    snapshot_release(snapshot);
    worker_slot_free(w, slot);
}

void session_close(struct session *s, const char *why)
{
    if (s->state == SESSION_CLOSED)
        return;
    log_debug("session_closed", "session=%u state=%s reason=\"%s\"", s->slot,
              step_state_name(s->state), why);
    s->state = SESSION_CLOSED;
    stream_close(&s->stream);
    loop_task(s->worker->loop, &s->task);
}

/* Give the client a little time to read what is on its way. */
static void begin_ending(struct session *s)
{
    s->state = SESSION_ENDING;
    loop_timer(s->worker->loop, &s->timer, ENDING_MS);
    loop_task(s->worker->loop, &s->task);
}

void session_finish(struct session *s, const char *why)
{
    if (s->state == SESSION_CLOSED || s->state == SESSION_ENDING)
        return;
    log_debug("session_finished", "session=%u state=%s reason=\"%s\"", s->slot,
              step_state_name(s->state), why);
    begin_ending(s);
    stream_finish(&s->stream);
    stream_resume(&s->stream); /* to see the client's end */
}

/* May an ErrorResponse be written now? Not into a handshake, and not into the middle of a message,
   where it would read as the rest of a row. */
static bool can_talk(const struct session *s)
{
    return s->state == SESSION_TLS       ? false
           : s->state == SESSION_SERVICE ? !service_is_mid_message(s)
           : s->state == SESSION_PERSON  ? !person_is_mid_message(s)
                                         : true;
}

void session_fatal(struct session *s, const struct err *e)
{
    struct buf b;
    if (s->state == SESSION_CLOSED || s->state == SESSION_ENDING)
        return;
    log_info("session_failed", "session=%u state=%s sqlstate=%s message=\"%s\" detail=\"%s\"",
             s->slot, step_state_name(s->state), err_state_of(e), e->line, e->detail);
    bool talks = can_talk(s);
    begin_ending(s);
    buf_init(&b, 4096);
    struct wr w = wr_to(&b);
    backend_write_error(&w, "FATAL", e, 0);
    if (!talks || !wr_done(&w) || stream_write(&s->stream, buf_at(&b), buf_len(&b)) < 0)
        session_close(s, "could not say why");
    else
        stream_finish(&s->stream);
    buf_done(&b);
    stream_resume(&s->stream); /* to see the client's end */
}

void session_write(struct session *s, const void *bytes, size_t n)
{
    if (s->state == SESSION_CLOSED)
        return;
    s->active_ms = loop_now_ms(s->worker->loop);
    RF_NEGLECT(stream_write(&s->stream, bytes, n)); /* a broken one ends by itself */
}

/* ---- events ---- */

static void on_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct session *s = RF_OWNER(stream, struct session, stream);
    s->active_ms = loop_now_ms(s->worker->loop);
    switch (s->state) {
    case SESSION_SERVICE:
        service_on_data(s, bytes, n);
        return;
    case SESSION_ENDING:
    case SESSION_CLOSED:
        return;
    default:
        break;
    }
    if (buf_append(&s->in, bytes, n) < 0) {
        struct err e;
        (void)err_set(&e, RF_ETOOBIG, "message from client is too long");
        session_fatal(s, &e);
        return;
    }
    if (s->state == SESSION_PERSON)
        person_on_data(s);
    else
        login_on_data(s);
}

static void on_end(struct stream *stream, const char *why)
{
    session_close(RF_OWNER(stream, struct session, stream), why);
}

static void on_drained(struct stream *stream)
{
    struct session *s = RF_OWNER(stream, struct session, stream);
    if (s->state == SESSION_SERVICE)
        service_on_drained(s);
    else if (s->state == SESSION_PERSON)
        person_on_drained(s);
}

static void on_connected(struct stream *stream)
{
    login_on_tls(RF_OWNER(stream, struct session, stream));
}

static const struct stream_ops session_stream_ops = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drained = on_drained,
    .on_connected = on_connected,
};

static bool is_idle(const struct session *s)
{
    return s->state == SESSION_SERVICE  ? service_is_idle(s)
           : s->state == SESSION_PERSON ? person_is_idle(s)
                                        : false;
}

static void on_idle_timer(struct session *s)
{
    struct err e;
    int64_t limit = s->snapshot->config->idle_timeout_ms;
    int64_t idle = loop_now_ms(s->worker->loop) - s->active_ms;
    if (!is_idle(s) || idle < limit) {
        loop_timer(s->worker->loop, &s->timer, is_idle(s) ? limit - idle : limit);
        return;
    }
    (void)err_set(&e, RF_ETIMEOUT, "terminating connection due to idle-session timeout");
    err_sqlstate(&e, "57P05");
    session_fatal(s, &e);
}

static void on_timer(struct timer *t)
{
    struct session *s = RF_OWNER(t, struct session, timer);
    struct err e;
    int64_t now = loop_now_ms(s->worker->loop);
    switch (s->state) {
    case SESSION_SERVICE:
    case SESSION_PERSON:
        on_idle_timer(s);
        return;
    case SESSION_ADMISSION:
        if (s->login != NULL && s->person == NULL && s->service == NULL) {
            login_on_timer(s);
            return;
        }
        RF_FALLTHROUGH;
    case SESSION_STARTUP:
    case SESSION_SASL_FIRST:
    case SESSION_SASL_NEXT:
        (void)err_set(&e, RF_ETIMEOUT, "login took too long");
        err_sqlstate(&e, "08006");
        log_info("login_timeout", "session=%u state=%s waited_ms=%lld", s->slot,
                 step_state_name(s->state), (long long)(now - s->active_ms));
        session_fatal(s, &e);
        return;
    default:
        session_close(s, "time limit reached");
    }
}

/* ---- the beginning ---- */

const struct startup *session_startup(const struct session *s)
{
    return &s->login->startup;
}

static struct in6_addr address_of(const struct sockaddr_storage *a, uint16_t *ret_port)
{
    struct in6_addr out = IN6ADDR_ANY_INIT;
    if (a->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, a, sizeof(in));
        out.s6_addr[10] = out.s6_addr[11] = 0xff;
        memcpy(out.s6_addr + 12, &in.sin_addr, 4);
        *ret_port = ntohs(in.sin_port);
    } else if (a->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, a, sizeof(in6));
        out = in6.sin6_addr;
        *ret_port = ntohs(in6.sin6_port);
    }
    return out;
}

static void learn_addresses(struct session *s, int fd)
{
    struct sockaddr_storage peer = { 0 }, local = { 0 };
    socklen_t peer_len = sizeof(peer), local_len = sizeof(local);
    uint16_t local_port = 0;
    int on = 1;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0 ||
        getsockname(fd, (struct sockaddr *)&local, &local_len) < 0)
        return; /* :: is in no network and no listener: refused by policy */
    s->is_unix = local.ss_family == AF_UNIX;
    s->address = address_of(&peer, &s->port);
    s->local_address = address_of(&local, &local_port);
    if (!s->is_unix) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
}

void session_accept(struct worker *w, int fd, size_t listen_index)
{
    struct session *s = mem_zalloc(1, sizeof(*s));
    if (s == NULL || worker_slot_take(w, s, &s->slot) < 0) {
        mem_free(s);
        fd_close(&fd);
        log_warn("accept_failed", "reason=\"no room for a session\"");
        return;
    }
    s->worker = w;
    s->listen = (uint16_t)listen_index;
    s->snapshot = snapshot_share(w->current);
    s->timer.fn = on_timer;
    s->task.fn = on_task;
    s->active_ms = loop_now_ms(w->loop);
    buf_init(&s->in, SESSION_IN_MAX);
    randombytes_buf(s->id, sizeof(s->id));
    randombytes_buf(s->secret, sizeof(s->secret));
    learn_addresses(s, fd);
    s->state = SESSION_STARTUP;
    loop_timer(w->loop, &s->timer, s->snapshot->config->login_timeout_ms);
    stream_init(&s->stream, w->loop, &session_stream_ops);
    stream_open(&s->stream, fd);
    login_begin(s);
}

static void write_parameters(struct wr *w, const struct settings *parameters,
                             const struct settings *overlay)
{
    for (size_t i = 0; i < parameters->count; i++) {
        const char *name = parameters->list[i].name;
        const char *mine = overlay != NULL ? settings_get(overlay, name) : NULL;
        backend_write_parameter(w, name, mine != NULL ? mine : parameters->list[i].value);
    }
}

static bool is_suspended(const struct session *s, struct err *err)
{
    if (grant_suspended(s) != GRANT_SUSPENDED_YES)
        return false;
    (void)err_set(err, RF_EDENIED, "%s", decide_rule_sentence(RULE_ACTOR_SUSPENDED));
    err_sqlstate(err, decide_rule_sqlstate(RULE_ACTOR_SUSPENDED));
    return true;
}

/* Would the newest policy decide the same? */
static bool is_still_allowed(const struct session *s, struct err *err)
{
    const struct snapshot *now = s->worker->current;
    const struct policy_actor *actor = policy_actor_find(now->policy, s->actor->name);
    const struct snapshot_database *database =
        snapshot_database_find(now, s->database->config->alias);
    const struct session probe = { .snapshot = s->worker->current,
                                   .actor = actor,
                                   .database = database,
                                   .address = s->address,
                                   .local_address = s->local_address,
                                   .is_unix = s->is_unix,
                                   .worker = s->worker,
                                   .grant_id = s->grant_id,
                                   .grant = s->grant };
    if (actor != NULL && actor->kind == s->actor->kind && database != NULL) {
        struct decision d = login_decide(&probe);
        if (d.verdict == VERDICT_ALLOW && d.room == s->decision.room &&
            strcmp(d.place.code, s->decision.place.code) == 0)
            return true;
    }
    (void)err_set(err, RF_EDENIED, "the policy no longer allows this session");
    return false;
}

void session_greet(struct session *s, const struct settings *parameters,
                   const struct settings *overlay)
{
    struct buf b;
    struct err e;
    if (s->state != SESSION_ADMISSION)
        return;
    if (is_suspended(s, &e) || (s->snapshot != s->worker->current && !is_still_allowed(s, &e))) {
        session_fatal(s, &e);
        return;
    }
    /* never zero: drivers take that for "no key" */
    struct backend_key key = { .pid = s->worker->child.index << WORKER_SHIFT | (s->slot + 1) };
    key.secret_len = s->secret_len;
    memcpy(key.secret, s->secret, s->secret_len);
    buf_init(&b, 256 * 1024);
    struct wr w = wr_to(&b);
    backend_write_auth(&w, BACKEND_AUTH_OK, NULL, 0);
    write_parameters(&w, parameters, overlay);
    backend_write_key(&w, &key);
    if (s->grant != NULL) {
        char sentence[GRANT_SENTENCE_SIZE];
        grant_describe(&s->grant->entry, sentence);
        backend_write_notice(&w, sentence);
    }
    backend_write_ready(&w, 'I');
    s->state = s->actor->kind == ACTOR_PERSON ? SESSION_PERSON : SESSION_SERVICE;
    s->active_ms = loop_now_ms(s->worker->loop);
    if (wr_done(&w))
        session_write(s, buf_at(&b), buf_len(&b));
    else
        session_close(s, "out of memory for the greeting");
    buf_wipe_done(&b);
    login_free(s);
    loop_timer_stop(s->worker->loop, &s->timer);
    if (s->snapshot->config->idle_timeout_ms > 0)
        loop_timer(s->worker->loop, &s->timer, s->snapshot->config->idle_timeout_ms);
    log_debug("session_open", "session=%u room=%s place=%s", s->slot,
              policy_room_name(s->decision.room), s->decision.place.code);
    stream_resume(&s->stream);
    if (buf_len(&s->in) > 0)
        loop_task(s->worker->loop, &s->task);
}

/* ---- records ---- */

void session_record(const struct session *s, struct record *ret, enum record_kind kind,
                    char text[64])
{
    char address[INET6_ADDRSTRLEN] = "unix";
    if (!s->is_unix) {
        bool is_v4 = IN6_IS_ADDR_V4MAPPED(&s->address);
        (void)inet_ntop(is_v4 ? AF_INET : AF_INET6,
                        is_v4 ? (const void *)(s->address.s6_addr + 12) : &s->address, address,
                        sizeof(address));
        (void)snprintf(text, 64, "%.46s port %u", address, s->port);
    } else {
        (void)snprintf(text, 64, "unix");
    }
    *ret = (struct record){ .kind = kind, .wall_ms = clock_wall_ms(), .client = text };
    memcpy(ret->session, s->id, sizeof(ret->session));
    ret->actor_kind = "unknown";
    if (s->grant != NULL) {
        ret->grant = s->grant->entry.id;
        ret->purpose = s->grant->entry.purpose;
    }
    if (s->database != NULL) {
        ret->region = s->database->config->region;
        ret->database = s->database->config->alias;
    }
    if (s->decision.place.code[0] != '\0')
        ret->place = s->decision.place.code;
    if (s->decision.room != ROOM_NONE)
        ret->room = policy_room_name(s->decision.room);
    if (s->actor != NULL) {
        ret->actor = s->actor->name;
        ret->actor_kind = s->actor->kind == ACTOR_PERSON ? "person" : "service";
        ret->entity = s->actor->entity->name;
    }
    const struct config *c = s->snapshot->config;
    if (s->listen < c->listen_count)
        ret->listener = s->is_unix ? c->listen[s->listen].unix_path : c->listen[s->listen].address;
}

int session_put_record(struct session *s, const struct record *record, uint64_t *ret_seq,
                       struct err *err)
{
    return recorder_put(s->worker->recorder, record, ret_seq, err);
}

/* ---- from elsewhere ---- */

void session_cancel(struct worker *w, uint32_t pid, const uint8_t *key, size_t key_len)
{
    uint32_t index = pid >> WORKER_SHIFT, slot = (pid & SLOT_MASK) - 1;
    if (index != w->child.index) {
        if (index < w->child.workers)
            worker_relay_cancel(w, index, pid, key, key_len);
        return;
    }
    struct session *s = slot < w->slot_cap ? w->slots[slot] : NULL;
    if (s == NULL || s->secret_len != key_len || CRYPTO_memcmp(s->secret, key, key_len) != 0)
        return;
    if (s->state == SESSION_SERVICE)
        service_cancel(s);
    else if (s->state == SESSION_PERSON)
        person_cancel(s);
}

void session_reconsider(struct session *s)
{
    struct err e;
    if ((s->state == SESSION_SERVICE || s->state == SESSION_PERSON) && !is_still_allowed(s, &e))
        session_fatal(s, &e);
}

void session_heed_suspension(struct session *s)
{
    struct err e;
    if ((s->state != SESSION_SERVICE && s->state != SESSION_PERSON) || !is_suspended(s, &e))
        return;
    if (s->state == SESSION_PERSON)
        person_cancel(s);
    if (stream_queued(&s->stream) == 0) {
        session_fatal(s, &e);
        return;
    }
    stream_abort(&s->stream);
    session_close(s, "its actor is suspended");
}

void session_stop(struct session *s, bool now)
{
    struct err e;
    bool busy = (s->state == SESSION_SERVICE || s->state == SESSION_PERSON) && !is_idle(s);
    if (busy && !now)
        return;
    (void)err_set(&e, RF_EUNAVAIL, "terminating connection due to administrator command");
    err_sqlstate(&e, "57P01");
    session_fatal(s, &e);
}
