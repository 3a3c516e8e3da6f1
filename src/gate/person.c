#include "gate/person.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/cancel.h"
#include "gate/grant.h"
#include "gate/person_inside.h"
#include "wire/backend.h"

void person_fail(struct person *p, enum err_code code, const char *line)
{
    struct err e;
    (void)err_set(&e, code, "%s", line);
    session_fatal(p->session, &e);
}

static void on_link_data(struct link *l, const uint8_t *bytes, size_t n)
{
    struct person *p = person_of(l);
    struct session *s = p->session;
    if (!person_answer(p, bytes, n))
        person_fail(p, RF_ECONNECT, "the region's database broke the protocol");
    if (s->state != SESSION_PERSON)
        return;
    release_kick(&p->release);
    if (buf_len(&p->release.held) > RELEASE_HELD_HIGH)
        stream_pause(&p->link->stream);
    person_ask(p); /* a refusal or a full pipeline may have been in the way */
    if (s->state == SESSION_PERSON && s->worker->stopping)
        session_stop(s, false);
}

/* The link is gone and everything it said has been released. */
static void finish(struct person *p)
{
    struct err e;
    const struct grant *g = p->session->grant;
    if (g != NULL && g->refused_ms != 0)
        return; /* the worker's tick ends it when that has been heard */
    if (grant_standing(p->session) == GRANT_OVER) {
        grant_end(p->session);
        return;
    }
    if (p->said_fatal) {
        session_finish(p->session, "the server ended the session");
        return;
    }
    (void)err_set(&e, RF_ECONNECT, "the region's database closed the connection");
    session_fatal(p->session, &e);
}

static void on_room(struct release *r)
{
    struct person *p = RF_OWNER(r, struct person, release);
    if (buf_len(&r->held) <= RELEASE_HELD_HIGH)
        stream_resume(&p->link->stream);
    if (p->link_over && release_is_empty(r))
        finish(p);
    else
        person_switch_go(p); /* it may have waited for this */
}

static void on_link_end(struct link *l, const char *why)
{
    struct person *p = person_of(l);
    log_debug("person_link_ended", "session=%u reason=\"%s\"", p->session->slot, why);
    p->link_over = true;
    release_end_message(&p->release); /* what has come of the last one goes, too */
    if (p->session->state != SESSION_PERSON) {
        person_fail(p, RF_ECONNECT, "the region's database closed the connection");
        return;
    }
    release_kick(&p->release);
    if (release_is_empty(&p->release))
        finish(p);
}

static void on_link_drained(struct link *l)
{
    person_ask(person_of(l));
}

void person_on_drained(struct session *s)
{
    struct person *p = s->person;
    release_kick(&p->release);
    if (s->person != NULL)
        on_room(&p->release);
}

/* ---- beginning and end ---- */

static void on_open_recorded(struct recorder_wait *w)
{
    struct person *p = RF_OWNER(w, struct person, open_wait);
    struct session *s = p->session;
    loop_timer_stop(s->worker->loop, &p->timer);
    if (s->state != SESSION_ADMISSION)
        return;
    session_greet(s, &p->link->parameters, NULL);
    stream_resume(&p->link->stream);
}

static void on_link_ready(struct link *l)
{
    struct person *p = person_of(l);
    struct record r;
    char address[64];
    stream_pause(&l->stream); /* nobody to hear it before the greeting */
    session_record(p->session, &r, RECORD_SESSION_OPEN, address);
    r.role = l->role;
    r.detail = session_startup(p->session)->application_name;
    if (p->session->state != SESSION_ADMISSION || release_record(&p->release, &r) < 0)
        return;
    recorder_await(p->session->worker->recorder, &p->open_wait, RECORD_DURABLE,
                   p->release.last_seq);
    loop_timer(p->session->worker->loop, &p->timer, p->session->snapshot->config->ledger_wait_ms);
}

static void on_link_failed(struct link *l, const struct err *why)
{
    struct person *p = person_of(l);
    if (p->session->grant != NULL && l->role_refused)
        person_ask_again(p, why);
    else
        session_fatal(p->session, why);
}

void person_ask_again(struct person *p, const struct err *why)
{
    p->refusal = *why;
    p->refused = true;
    loop_timer(p->session->worker->loop, &p->timer, GRANT_HEARD_MS);
}

void person_refused(struct person *p)
{
    struct session *s = p->session;
    struct err e = p->refusal;
    p->refused = false;
    if (p->change != NULL) {
        if (s->state == SESSION_PERSON)
            person_switch_failed(p, &e);
        return;
    }
    if (grant_standing(s) == GRANT_OVER) {
        (void)err_set(&e, RF_EUNAVAIL, "grant %llu has ended", (unsigned long long)s->grant_id);
        err_sqlstate(&e, "57P01");
    }
    session_fatal(s, &e);
}

const struct link_ops person_link_ops = {
    .on_ready = on_link_ready,
    .on_failed = on_link_failed,
    .on_data = on_link_data,
    .on_end = on_link_end,
    .on_drained = on_link_drained,
};

/* The startup packet's parameters have passed the list (login.c); UTF-8 unless the client says
   otherwise, since text is judged as UTF-8. */
static int take_parameters(const struct session *s, struct settings *to)
{
    const struct startup *startup = session_startup(s);
    int rc = settings_put(to, "client_encoding", "UTF8");
    for (size_t i = 0; rc == 0 && i < startup->parameter_count; i++)
        if (strcasecmp(startup->parameters[i].name, GRANT_PARAMETER) != 0)
            rc = settings_put(to, startup->parameters[i].name, startup->parameters[i].value);
    return rc;
}

struct link *person_line_new(struct person *p, const char *role, const struct link_ops *ops,
                             const struct settings *wanted)
{
    struct session *s = p->session;
    struct person_line *line = mem_zalloc(1, sizeof(*line));
    enum link_use use = s->database->standby_count > 0 ? LINK_USE_STANDBY : LINK_USE_PRIMARY;
    if (line == NULL)
        return NULL;
    line->person = p;
    if (link_init(&line->link, s->worker->loop, s->snapshot, s->database, use, role, ops) < 0) {
        mem_free(line);
        return NULL;
    }
    for (size_t i = 0; i < wanted->count; i++)
        if (settings_put(&line->link.wanted, wanted->list[i].name, wanted->list[i].value) < 0) {
            person_line_free(&line->link);
            return NULL;
        }
    return &line->link;
}

void person_line_free(struct link *l)
{
    if (l == NULL)
        return;
    link_close(l);
    mem_free(RF_OWNER(l, struct person_line, link));
}

int person_begin(struct session *s, struct err *err)
{
    char role[PERSON_ROLE_SIZE];
    struct settings wanted = { 0 };
    struct person *p = mem_zalloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a session");
    p->session = s;
    p->server = walk_of(MESSAGE_FROM_BACKEND);
    p->status = 'I';
    p->open_wait.on_reached = on_open_recorded;
    p->inspection.on_report = person_on_report;
    p->timer.fn = person_on_timer;
    buf_init(&p->body, PERSON_BODY_MAX);
    buf_init(&p->text, PERSON_BIND_MAX);
    release_init(&p->release, s, on_room);
    s->person = p;
    if (take_parameters(s, &wanted) == 0)
        p->link = person_line_new(p, person_role(s, role), &person_link_ops, &wanted);
    settings_done(&wanted);
    if (p->link == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a session");
    loop_timer(s->worker->loop, &s->timer, s->snapshot->config->login_timeout_ms);
    link_connect(p->link);
    return 0;
}

void person_cancel(struct session *s)
{
    struct person *p = s->person;
    if (p->link->state == LINK_READY && p->expect.count > 0)
        cancel_send(p->link, NULL);
}

bool person_refuse(struct session *s)
{
    return release_refuse(&s->person->release);
}

static bool owes_ready(const struct person *p)
{
    for (uint32_t i = 0; i < p->expect.count; i++) {
        uint8_t kind = p->expect.list[(p->expect.first + i) % p->expect.cap].kind;
        if (kind == EXPECT_SYNC || kind == EXPECT_QUERY)
            return true;
    }
    return false;
}

void person_say(struct session *s, const struct err *e, bool is_ready)
{
    struct person *p = s->person;
    struct wr w = wr_to(&p->text);
    log_info("statement_refused", "session=%u sqlstate=%s message=\"%s\"", s->slot, err_state_of(e),
             e->line);
    person_cancel(s);
    backend_write_error(&w, "ERROR", e, 0);
    if (is_ready || owes_ready(p))
        backend_write_ready(&w, p->status == 'I' ? 'I' : 'E');
    if (wr_done(&w))
        session_write(s, buf_at(&p->text), buf_len(&p->text));
    buf_wipe_done(&p->text);
}

const char *person_role(const struct session *s, char out[PERSON_ROLE_SIZE])
{
    if (s->grant != NULL)
        (void)snprintf(out, PERSON_ROLE_SIZE, "%s", s->grant->entry.role);
    else
        (void)snprintf(out, PERSON_ROLE_SIZE, "%s.%s", s->actor->name,
                       policy_room_name(s->decision.room));
    return out;
}

bool person_is_mid_message(const struct session *s)
{
    return !walk_at_boundary(&s->person->release.sent);
}

bool person_is_idle(const struct session *s)
{
    const struct person *p = s->person;
    return p->expect.count == 0 && p->status == 'I' && release_is_empty(&p->release) &&
           !p->inspection.waiting && p->change == NULL && buf_len(&s->in) == 0 && p->discard == 0;
}

static void record_close(struct person *p)
{
    struct record r;
    char address[64];
    uint64_t seq = 0;
    session_record(p->session, &r, RECORD_SESSION_CLOSE, address);
    r.role = p->link != NULL ? p->link->role : "";
    r.rows = p->release.all_rows;
    r.bytes = p->release.all_bytes;
    r.statements = p->release.all_statements;
    if (session_put_record(p->session, &r, &seq, NULL) < 0)
        log_warn("session_close_not_recorded", "session=%u", p->session->slot);
}

void person_end(struct session *s)
{
    struct person *p = s->person;
    if (p == NULL)
        return;
    s->person = NULL;
    RF_NEGLECT(release_disclose(&p->release)); /* evaluated, though it never left */
    if (p->release.last_seq > 0)
        record_close(p);
    if (p->link != NULL && p->link->state == LINK_READY && p->expect.count > 0)
        cancel_send(p->link, NULL); /* nobody waits for its answer any more */
    person_switch_end(p);
    loop_timer_stop(s->worker->loop, &p->timer);
    inspector_forget(s->worker->inspector, &p->inspection);
    recorder_forget(s->worker->recorder, &p->open_wait);
    release_done(&p->release);
    person_line_free(p->link);
    expect_done(&p->expect);
    names_done(&p->prepared);
    names_done(&p->portals);
    buf_wipe_done(&p->body);
    buf_wipe_done(&p->text);
    mem_free(p);
}
