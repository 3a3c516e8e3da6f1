#include "gate/login.h"

#include <string.h>
#include <strings.h>

#include "auth/scram.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/grant.h"
#include "gate/person.h"
#include "gate/service.h"
#include "guard/guard.h"
#include "wire/backend.h"
#include "wire/frontend.h"

enum { TLS_RECORD_HANDSHAKE = 0x16, ADMISSION_TICK_MS = 50, LOGINS_MIN = 64 };

static void refuse(struct session *s, const struct err *e)
{
    session_fatal(s, e);
}

/* A login that was refused, for the record; it is not waited for: nothing is released by it. */
static void record_denial(struct session *s, const char *rule, const struct err *e)
{
    struct record r;
    char address[64];
    uint64_t seq = 0;
    const struct login *l = s->login;
    session_record(s, &r, RECORD_DENIAL, address);
    r.rule = rule;
    r.outcome = err_state_of(e);
    r.detail = e->line;
    if (l->has_startup) {
        r.actor = l->startup.user;
        r.database = l->startup.database;
    }
    if (session_put_record(s, &r, &seq, NULL) < 0)
        log_warn("denial_not_recorded", "rule=%s", rule);
}

static void deny(struct session *s, const char *rule, const struct err *e)
{
    record_denial(s, rule, e);
    log_info("login_denied", "session=%u rule=%s sqlstate=%s", s->slot, rule, err_state_of(e));
    refuse(s, e);
}

/* ---- admission: policy, lease, ledger ---- */

static struct decide_facts facts_of(const struct session *s, const struct policy_region *region)
{
    const struct policy *p = s->snapshot->policy;
    struct decide_facts f = {
        .actor = s->actor,
        .region = region,
        .gateway_place = s->snapshot->config->place,
        .has_client_address = !s->is_unix,
        .grant = grant_fact(s, s->grant_id, NULL),
        .is_suspended = grant_suspended(s) == GRANT_SUSPENDED_YES,
    };
    if (!s->is_unix) {
        f.network = policy_network_of(p->networks, p->network_count, &s->address);
        f.listener = policy_network_of(p->listeners, p->listener_count, &s->local_address);
    }
    return f;
}

struct decision login_decide(const struct session *s)
{
    const struct policy *p = s->snapshot->policy;
    const struct policy_region *region = policy_region_find(p, s->database->config->region);
    struct decide_facts f = facts_of(s, region);
    return decide_session(p, &f);
}

static void deny_decision(struct session *s)
{
    struct err e;
    (void)err_set(&e, s->decision.verdict == VERDICT_MISSING ? RF_EUNAVAIL : RF_EDENIED, "%s",
                  decide_rule_sentence(s->decision.rule));
    err_sqlstate(&e, decide_rule_sqlstate(s->decision.rule));
    deny(s, decide_rule_name(s->decision.rule), &e);
}

/* Persons may only set what the list allows, at login as later. */
static bool parameters_allowed(struct session *s)
{
    const struct startup *p = &s->login->startup;
    struct err e;
    for (size_t i = 0; i < p->parameter_count; i++) {
        const char *name = p->parameters[i].name;
        if (strcasecmp(name, GRANT_PARAMETER) == 0)
            continue; /* ours, and read already */
        if (guard_parameter_allowed(name) &&
            guard_parameter_value_allowed(name, p->parameters[i].value))
            continue;
        char quoted[80];
        (void)err_set(&e, RF_EPRIV, "parameter %s cannot be set so in this session",
                      log_quote(quoted, sizeof(quoted), name, strlen(name)));
        deny(s, "startup-parameter", &e);
        return false;
    }
    return true;
}

/* A grant that was opened a moment ago may not have come to us yet; so may the answer of control.
   Whoever names a grant that is not his waits as long. */
static bool grant_may_come(const struct session *s, int64_t now)
{
    const struct login *l = s->login;
    return (s->decision.rule == RULE_GRANT_MISSING && now < l->admission_until_ms) ||
           (s->decision.rule == RULE_GRANT_UNKNOWN && now < l->grant_until_ms);
}

/* False: not now, or not at all; then it has been seen to. */
static bool enter_grant(struct session *s, int64_t now)
{
    struct grant_entry entry;
    struct err e;
    s->decision = login_decide(s);
    if (grant_may_come(s, now)) {
        loop_timer(s->worker->loop, &s->timer, ADMISSION_TICK_MS);
        return false;
    }
    if (s->decision.verdict != VERDICT_ALLOW) {
        deny_decision(s);
        return false;
    }
    if (grant_fact(s, s->grant_id, &entry) == DECIDE_GRANT_OPEN && grant_enter(s, &entry) == 0)
        return true;
    (void)err_set(&e, RF_EUNAVAIL, "the grant cannot be entered now");
    deny(s, "grant-missing", &e);
    return false;
}

static void begin_person(struct session *s)
{
    struct err e;
    const char *why = NULL;
    int64_t now = loop_now_ms(s->worker->loop);
    bool ledger = recorder_available(s->worker->recorder, &why);
    bool leased = lease_valid(s->worker->lease, s->database->index, now);
    enum grant_suspended suspended = grant_suspended(s);
    if (suspended == GRANT_SUSPENDED_YES) { /* while it waited */
        s->decision = login_decide(s);
        deny_decision(s);
        return;
    }
    if (ledger && leased && suspended == GRANT_SUSPENDED_NO) {
        if (s->grant_id != 0 && !enter_grant(s, now))
            return;
        int rc = parameters_allowed(s) ? person_begin(s, &e) : 0;
        if (rc < 0)
            refuse(s, &e);
        return;
    }
    if (now < s->login->admission_until_ms) {
        loop_timer(s->worker->loop, &s->timer, ADMISSION_TICK_MS);
        return;
    }
    (void)err_set(&e, RF_EUNAVAIL, "persons cannot be served now: %s",
                  !ledger ? why
                  : leased
                      ? "who is suspended in the region is not known yet"
                      : lease_state_text(lease_state_of(s->worker->lease, s->database->index)));
    bool has_faults =
        ledger && lease_state_of(s->worker->lease, s->database->index) == LEASE_FAULTS;
    err_hint(&e, "%s",
             has_faults ? "ask the administrators: `ringfence plan --check` says what is wrong"
                        : "try again in a moment");
    deny(s, !ledger ? "ledger-available" : "region-lease", &e);
}

void login_on_timer(struct session *s)
{
    begin_person(s);
}

/* The grant that the startup packet names. False: not a grant's number; refused. */
static bool read_grant(struct session *s)
{
    const struct startup *p = &s->login->startup;
    struct err e;
    for (size_t i = 0; i < p->parameter_count; i++) {
        if (strcasecmp(p->parameters[i].name, GRANT_PARAMETER) != 0 ||
            grant_number_read(p->parameters[i].value, &s->grant_id))
            continue;
        (void)err_set(&e, RF_EINVAL, "parameter \"%s\" is the number of a grant", GRANT_PARAMETER);
        err_sqlstate(&e, "22023");
        deny(s, "startup-parameter", &e);
        return false;
    }
    return true;
}

static void admit(struct session *s)
{
    struct err e;
    struct login *l = s->login;
    s->state = SESSION_ADMISSION;
    stream_pause(&s->stream);
    s->database = snapshot_database_find(s->snapshot, l->startup.database);
    if (s->database == NULL) {
        char quoted[80];
        (void)err_set(&e, RF_ENOTFOUND, "database %s does not exist at this gateway",
                      log_quote(quoted, sizeof(quoted), l->startup.database,
                                strlen(l->startup.database)));
        deny(s, "database-known", &e);
        return;
    }
    if (!read_grant(s))
        return;
    int64_t now = loop_now_ms(s->worker->loop);
    l->admission_until_ms = now + s->snapshot->config->ledger_wait_ms;
    l->grant_until_ms = now + GRANT_NEW_MS;
    s->decision = login_decide(s);
    if (s->decision.verdict != VERDICT_ALLOW && !grant_may_come(s, now)) {
        deny_decision(s);
        return;
    }
    if (s->actor->kind == ACTOR_PERSON) {
        begin_person(s);
        return;
    }
    if (service_begin(s, &e) < 0)
        refuse(s, &e);
}

/* ---- proof of identity ---- */

static void fail_proof(struct session *s, const struct err *e)
{
    throttle_failed(s->worker->throttle, &s->address, loop_now_ms(s->worker->loop));
    deny(s, "authentication", e);
}

/* A certificate that the client's TLS showed, verified, and that the policy gives to this actor. */
static bool certificate_proves(const struct session *s, const struct policy_actor *actor)
{
    char cn[128];
    stream_tls_peer_cn(&s->stream, cn, sizeof(cn));
    return actor != NULL && cn[0] != '\0' && actor->certificate_cn != NULL &&
           strcmp(actor->certificate_cn, cn) == 0;
}

static void ask_proof(struct session *s)
{
    struct login *l = s->login;
    const char *user = l->startup.user;
    const struct credentials *c = s->snapshot->credentials;
    const char *verifier = s->actor != NULL ? credentials_find(c, user) : NULL;
    uint8_t binding[64];
    size_t binding_len = stream_tls_binding(&s->stream, binding), offer_len = 0;
    struct buf b;
    struct err e;
    if (scram_server_new(verifier, user, credentials_mock(c), binding_len > 0 ? binding : NULL,
                         binding_len, &l->scram) < 0) {
        (void)err_set(&e, RF_ENOMEM, "out of memory for authentication");
        refuse(s, &e);
        return;
    }
    const char *offer = scram_server_offer(l->scram, &offer_len);
    buf_init(&b, SCRAM_MESSAGE_MAX);
    struct wr w = wr_to(&b);
    backend_write_auth(&w, BACKEND_AUTH_SASL, offer, offer_len);
    s->state = SESSION_SASL_FIRST;
    if (wr_done(&w))
        session_write(s, buf_at(&b), buf_len(&b));
    buf_done(&b);
}

static void on_sasl(struct session *s, struct rd body)
{
    struct login *l = s->login;
    const char *mechanism = NULL;
    const uint8_t *data = body.at;
    size_t len = body.left;
    struct buf out, packet;
    struct err e;
    if (s->state == SESSION_SASL_FIRST &&
        frontend_read_sasl_initial(body, &mechanism, &data, &len) < 0) {
        (void)err_set(&e, RF_EPROTO, "malformed authentication message");
        fail_proof(s, &e);
        return;
    }
    buf_init(&out, SCRAM_MESSAGE_MAX);
    buf_init(&packet, SCRAM_MESSAGE_MAX + 64);
    enum scram_step step = scram_server_step(l->scram, mechanism, data, len, &out, &e);
    struct wr w = wr_to(&packet);
    if (step != SCRAM_FAILED)
        backend_write_auth(&w,
                           step == SCRAM_DONE ? BACKEND_AUTH_SASL_FINAL
                                              : BACKEND_AUTH_SASL_CONTINUE,
                           buf_at(&out), buf_len(&out));
    if (step == SCRAM_FAILED) {
        if (e.code == RF_EAUTH) {
            char quoted[100];
            (void)err_set(&e, RF_EAUTH, "password authentication failed for user %s",
                          log_quote(quoted, sizeof(quoted), l->startup.user,
                                    strlen(l->startup.user)));
        }
        fail_proof(s, &e);
    } else if (wr_done(&w)) {
        session_write(s, buf_at(&packet), buf_len(&packet));
        s->state = SESSION_SASL_NEXT;
        if (step == SCRAM_DONE)
            admit(s);
    }
    buf_wipe_done(&out);
    buf_wipe_done(&packet);
}

/* ---- the first packet ---- */

static bool refuse_early(struct session *s)
{
    struct err e;
    const struct login *l = s->login;
    const struct config *c = s->snapshot->config;
    bool is_tls = stream_is_tls(&s->stream);
    if (!s->is_unix && !is_tls &&
        (s->listen >= c->listen_count || c->listen[s->listen].tls_required)) {
        (void)err_set(&e, RF_EDENIED, "this gateway requires TLS");
        err_hint(&e, "connect with sslmode=verify-full");
    } else if (l->startup.replication) {
        (void)err_set(&e, RF_EUNSUPP, "replication connections are not served");
        err_hint(&e, "connect to the region's database from its own hosts");
    } else if ((int64_t)(s->worker->session_count - s->worker->login_count) >= c->max_clients) {
        (void)err_set(&e, RF_ETOOMANY, "too many clients");
    } else if (!s->is_unix &&
               !throttle_allows(s->worker->throttle, &s->address, loop_now_ms(s->worker->loop))) {
        (void)err_set(&e, RF_EAUTH, "too many failed logins from this address");
        err_sqlstate(&e, "28000");
        err_hint(&e, "wait a minute");
    } else if (s->worker->stopping) {
        (void)err_set(&e, RF_EUNAVAIL, "the gateway is shutting down");
    } else {
        return false;
    }
    refuse(s, &e);
    return true;
}

static void on_session_packet(struct session *s)
{
    struct login *l = s->login;
    l->has_startup = true;
    if (refuse_early(s))
        return;
    if (l->startup.negotiate) {
        struct buf b;
        buf_init(&b, STARTUP_LENGTH_MAX + 64);
        if (startup_negotiate_write(&b, &l->startup) == 0)
            session_write(s, buf_at(&b), buf_len(&b));
        buf_done(&b);
    }
    s->secret_len = l->startup.minor_agreed >= 2 ? SESSION_SECRET_LEN : 4;
    s->actor = policy_actor_find(s->snapshot->policy, l->startup.user);
    if (certificate_proves(s, s->actor))
        admit(s);
    else
        ask_proof(s);
}

static void start_tls(struct session *s, const void *first, size_t n)
{
    struct err e;
    s->state = SESSION_TLS;
    s->tls_tried = true;
    if (stream_tls_accept(&s->stream, s->snapshot->tls, first, n, &e) < 0)
        session_close(s, "no memory for TLS");
}

static bool tls_offered(const struct session *s)
{
    const struct config *c = s->snapshot->config;
    return !s->is_unix && s->snapshot->tls != NULL && !s->tls_tried &&
           s->listen < c->listen_count && c->listen[s->listen].tls_offered;
}

/* SSLRequest and GSSENCRequest are answered by one byte; a client that has sent more already is
   trying to smuggle it past the handshake (CVE-2021-23214). */
static void on_request(struct session *s, bool is_tls)
{
    struct err e;
    bool again = is_tls ? s->tls_tried : s->gss_tried;
    if (buf_len(&s->in) > 0 || again) {
        (void)err_set(&e, RF_EPROTO, "unexpected data behind a negotiation request");
        refuse(s, &e);
        return;
    }
    if (is_tls && tls_offered(s)) {
        session_write(s, "S", 1);
        start_tls(s, NULL, 0);
        return;
    }
    if (is_tls)
        s->tls_tried = true;
    else
        s->gss_tried = true;
    session_write(s, "N", 1);
}

static void on_packet(struct session *s)
{
    struct login *l = s->login;
    struct err e;
    if (startup_read(l->packet, l->packet_len, &l->startup, &e) < 0) {
        refuse(s, &e);
        return;
    }
    switch (l->startup.kind) {
    case STARTUP_SSL:
    case STARTUP_GSS:
        on_request(s, l->startup.kind == STARTUP_SSL);
        return;
    case STARTUP_CANCEL:
        session_cancel(s->worker, l->startup.cancel_pid, l->startup.cancel_key,
                       l->startup.cancel_key_len);
        session_close(s, "cancel request");
        return;
    case STARTUP_SESSION:
        on_session_packet(s);
        return;
    default:
        session_close(s, "no such packet");
    }
}

/* Take a whole startup packet off s->in, if it is there. */
static void on_startup_bytes(struct session *s)
{
    struct login *l = s->login;
    struct err e;
    size_t len = 0;
    if (buf_at(&s->in)[0] == TLS_RECORD_HANDSHAKE && tls_offered(s)) {
        l->direct_tls = true;
        start_tls(s, buf_at(&s->in), buf_len(&s->in));
        buf_consume(&s->in, buf_len(&s->in));
        return;
    }
    if (buf_len(&s->in) < 4)
        return;
    if (startup_length_read(buf_at(&s->in), &len) < 0) {
        (void)err_set(&e, RF_EPROTO, "invalid length of startup packet");
        refuse(s, &e);
        return;
    }
    if (buf_len(&s->in) < len)
        return;
    memcpy(l->packet, buf_at(&s->in), len);
    l->packet_len = len;
    buf_consume(&s->in, len);
    on_packet(s);
}

static void on_sasl_bytes(struct session *s)
{
    struct err e;
    if (buf_len(&s->in) < MESSAGE_HEADER_LEN)
        return;
    enum message m = message_of(MESSAGE_FROM_FRONTEND, buf_at(&s->in)[0]);
    uint32_t length = message_length_at(buf_at(&s->in));
    enum step step = step_of(s->state, m);
    if (step == STEP_REFUSE || !message_length_valid(m, length) || length > SCRAM_MESSAGE_MAX) {
        (void)err_set(&e, RF_EPROTO, "expected a password message");
        refuse(s, &e);
        return;
    }
    if (step == STEP_TERMINATE) {
        session_close(s, "client terminated");
        return;
    }
    if (buf_len(&s->in) < (size_t)length + 1)
        return;
    uint8_t body[SCRAM_MESSAGE_MAX];
    memcpy(body, buf_at(&s->in) + MESSAGE_HEADER_LEN, length - 4);
    buf_consume(&s->in, (size_t)length + 1);
    on_sasl(s, rd_of(body, length - 4));
    explicit_bzero(body, sizeof(body));
}

void login_on_data(struct session *s)
{
    enum session_state before;
    size_t left;
    do {
        before = s->state;
        left = buf_len(&s->in);
        if (left == 0)
            return;
        if (s->state == SESSION_STARTUP)
            on_startup_bytes(s);
        else if (s->state == SESSION_SASL_FIRST || s->state == SESSION_SASL_NEXT)
            on_sasl_bytes(s);
    } while (s->state != before || buf_len(&s->in) != left);
}

void login_on_tls(struct session *s)
{
    if (s->login->direct_tls && !stream_tls_has_alpn(&s->stream)) {
        session_close(s, "direct TLS without ALPN");
        return;
    }
    s->state = SESSION_STARTUP;
}

/* Half of what may be logged in: enough for any rush, and little enough to keep in memory. */
static uint32_t unfinished_max(const struct worker *w)
{
    return (uint32_t)(w->current->config->max_clients / 2) + LOGINS_MIN;
}

void login_begin(struct session *s)
{
    struct worker *w = s->worker;
    s->login = mem_zalloc(1, sizeof(*s->login));
    if (s->login == NULL) {
        session_close(s, "no memory for a login");
        return;
    }
    s->login_before = w->last_login;
    if (w->last_login != NULL)
        w->last_login->login_next = s;
    else
        w->first_login = s;
    w->last_login = s;
    if (++w->login_count > unfinished_max(w)) {
        struct session *oldest = w->first_login;
        while (oldest->state == SESSION_ADMISSION || oldest->state == SESSION_CLOSED)
            oldest = oldest->login_next; /* known by name, or gone already; S itself is neither */
        session_close(oldest, "too many unfinished logins");
    }
}

static void leave_list(struct session *s)
{
    struct worker *w = s->worker;
    if (s->login_before != NULL)
        s->login_before->login_next = s->login_next;
    else
        w->first_login = s->login_next;
    if (s->login_next != NULL)
        s->login_next->login_before = s->login_before;
    else
        w->last_login = s->login_before;
    s->login_next = s->login_before = NULL;
    w->login_count--;
}

void login_free(struct session *s)
{
    struct login *l = s->login;
    if (l == NULL)
        return;
    s->login = NULL;
    leave_list(s);
    scram_server_free(l->scram);
    mem_free_secret(l, sizeof(*l));
}
