#include "gate/person_inside.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/grant.h"
#include "wire/backend.h"

static uint8_t watched_of(enum message m, uint32_t body_len)
{
    return body_len <= PERSON_BODY_MAX &&
                   (m == MESSAGE_READY_FOR_QUERY || m == MESSAGE_COMMAND_COMPLETE ||
                    m == MESSAGE_ERROR_RESPONSE || m == MESSAGE_PARAMETER_STATUS ||
                    m == MESSAGE_NOTICE_RESPONSE)
               ? (uint8_t)m
               : 0;
}

/* Everything needs a record but the bare bytes of the protocol, and what release_outcome() puts on
   record itself. A ParameterStatus does: its value may come from a row. */
static bool is_news(enum message m)
{
    return m != MESSAGE_PARSE_COMPLETE && m != MESSAGE_BIND_COMPLETE &&
           m != MESSAGE_CLOSE_COMPLETE && m != MESSAGE_NO_DATA && m != MESSAGE_READY_FOR_QUERY &&
           m != MESSAGE_BACKEND_COPY_DONE && m != MESSAGE_EMPTY_QUERY &&
           m != MESSAGE_PORTAL_SUSPENDED;
}

static void on_skipped(const struct expect *e, void *arg)
{
    struct person *p = arg;
    if (e->action == EXPECT_REPLACE_ERROR)
        p->denying = false;
    if (e->reference == 0)
        return;
    if (e->kind == EXPECT_PARSE)
        names_remove(&p->prepared, e->reference);
    else if (e->kind == EXPECT_BIND)
        names_remove(&p->portals, e->reference);
}

/* The server has done what E asked for. */
static void on_answered(struct person *p, enum message m, const struct expect *e)
{
    if (m == MESSAGE_READY_FOR_QUERY)
        p->synced = e->reference;
    if (e->reference == 0)
        return;
    if (m == MESSAGE_PARSE_COMPLETE) {
        names_confirm(&p->prepared, e->reference);
    } else if (m == MESSAGE_BIND_COMPLETE) {
        names_confirm(&p->portals, e->reference);
    } else if (m == MESSAGE_CLOSE_COMPLETE) { /* numbers are unique over both */
        names_remove(&p->prepared, e->reference);
        names_remove(&p->portals, e->reference);
    }
}

static uint64_t running_statement(struct person *p)
{
    const struct expect *front = expect_front(&p->expect);
    return front != NULL && front->reference != 0 ? front->reference : p->release.statement;
}

void person_alarm(struct person *p, const char *rule, const char *reason)
{
    struct session *s = p->session;
    struct record r;
    struct err e;
    char address[64];
    if (s->state != SESSION_PERSON)
        return;
    /* whatever the message holds: nothing of it is written here */
    log_error("alert", "session=%u rule=%s room=%s reason=\"%s\"", s->slot, rule,
              policy_room_name(s->decision.room), reason);
    (void)err_set(&e, RF_EPRIV, "the session was ended: %s", reason);
    session_record(s, &r, RECORD_DENIAL, address);
    r.role = p->link->role;
    r.rule = rule;
    r.statement = p->release.statement;
    r.outcome = err_state_of(&e);
    r.detail = e.line;
    if (release_record(&p->release, &r) == 0)
        session_fatal(s, &e);
}

/* RF001: what the database shows next. False: the session has ended. */
static bool on_reveal(struct person *p, const char *text)
{
    struct session *s = p->session;
    struct reveal r;
    const char *wrong = NULL;
    bool readable = reveal_read(text, &r) == 0;
    if (s->grant == NULL)
        wrong = "a message about disclosures came without a grant";
    else if (!readable)
        wrong = "a message about disclosures is malformed";
    else if (!grant_table_token_is(s->worker->grants, s->grant->database, r.token))
        wrong = "a message about disclosures is a forgery";
    else if ((s->grant->entry.classes & 1u << r.class_id) == 0)
        wrong = "a class was disclosed that the grant does not name";
    bool ok = wrong == NULL && release_reveal(&p->release, r.class_id, r.subject) == 0;
    if (wrong != NULL)
        person_alarm(p, "reveal-forged", wrong);
    explicit_bzero(&r, sizeof(r));
    return ok;
}

/* A whole notice, of which nothing is held yet. */
static bool on_notice(struct person *p, const uint8_t *body, size_t n)
{
    struct backend_error e = { "", "", "", "" };
    if (backend_read_error(rd_of(body, n), &e) < 0) {
        person_alarm(p, "reveal-forged", "a notice of the database is malformed");
        return false;
    }
    if (strcmp(e.sqlstate, REVEAL_SQLSTATE) == 0)
        return on_reveal(p, e.message);
    uint32_t length = (uint32_t)n + 4;
    uint8_t header[MESSAGE_HEADER_LEN] = { message_byte(MESSAGE_NOTICE_RESPONSE),
                                           (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                           (uint8_t)(length >> 8), (uint8_t)length };
    return release_hold(&p->release, header, sizeof(header), true) == 0 &&
           release_hold(&p->release, body, n, true) == 0;
}

/* A message begins. False: the session has ended. */
static bool on_header(struct person *p, enum message m, uint32_t body_len)
{
    if (m == MESSAGE_COPY_IN || m == MESSAGE_COPY_BOTH ||
        release_enter(&p->release, running_statement(p)) < 0)
        return false; /* persons send no data: nothing would ever end such a copy */
    struct expect e = expect_answer(&p->expect, m, on_skipped, p);
    on_answered(p, m, &e);
    p->replacing = m == MESSAGE_ERROR_RESPONSE && e.action == EXPECT_REPLACE_ERROR;
    p->noticing = m == MESSAGE_NOTICE_RESPONSE;
    if (p->noticing && body_len > PERSON_BODY_MAX) {
        person_alarm(p, "reveal-forged", "a notice of the database is longer than any should be");
        return false;
    }
    p->swallowing =
        p->noticing || p->replacing ||
        (e.action == EXPECT_SWALLOW && m != MESSAGE_ERROR_RESPONSE && m != MESSAGE_ROW_DESCRIPTION);
    p->watched = watched_of(m, body_len);
    p->news = is_news(m);
    buf_wipe_done(&p->body);
    if (m == MESSAGE_DATA_ROW || m == MESSAGE_BACKEND_COPY_DATA)
        release_count_row(&p->release, MESSAGE_HEADER_LEN + (uint64_t)body_len);
    if (m == MESSAGE_EMPTY_QUERY || m == MESSAGE_PORTAL_SUSPENDED)
        if (release_outcome(&p->release, m == MESSAGE_EMPTY_QUERY ? "EMPTY" : "SUSPENDED") < 0)
            return false;
    if (p->swallowing)
        return true;
    uint32_t length = body_len + 4;
    uint8_t header[MESSAGE_HEADER_LEN] = { message_byte(m), (uint8_t)(length >> 24),
                                           (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                                           (uint8_t)length };
    return release_hold(&p->release, header, sizeof(header), p->news) == 0;
}

static bool hold_denial(struct person *p)
{
    struct wr w = wr_to(&p->text);
    backend_write_error(&w, "ERROR", &p->denial, p->denial_position);
    bool ok =
        wr_done(&w) && release_hold(&p->release, buf_at(&p->text), buf_len(&p->text), false) == 0;
    buf_wipe_done(&p->text);
    return ok;
}

static bool on_error(struct person *p, struct rd r)
{
    struct backend_error e = { "", "", "", "" };
    if (backend_read_error(r, &e) < 0)
        return false;
    p->said_fatal = strcmp(e.severity, "FATAL") == 0 || strcmp(e.severity, "PANIC") == 0;
    return release_outcome(&p->release, e.sqlstate) == 0;
}

/* The whole body of a message that is looked at. False: malformed, or the session has ended. */
static bool on_watched(struct person *p, const uint8_t *body, size_t n)
{
    struct rd r = rd_of(body, n);
    switch ((enum message)p->watched) {
    case MESSAGE_READY_FOR_QUERY:
        p->status = (char)rd_u8(&r);
        if (p->status == 'I')
            names_end_until(&p->portals, p->synced); /* portals end with their transaction */
        return rd_done(&r);
    case MESSAGE_COMMAND_COMPLETE: {
        const char *tag = rd_cstr(&r);
        return rd_done(&r) && release_outcome(&p->release, tag) == 0;
    }
    case MESSAGE_ERROR_RESPONSE:
        return p->replacing ? hold_denial(p) : on_error(p, r);
    case MESSAGE_NOTICE_RESPONSE:
        return on_notice(p, body, n);
    case MESSAGE_PARAMETER_STATUS:
        return link_note_parameter(p->link, r) == 0;
    default:
        return true;
    }
}

static bool on_body(struct person *p, const uint8_t *piece, size_t n)
{
    if (!p->swallowing && release_hold(&p->release, piece, n, p->news) < 0)
        return false;
    if (p->watched == 0)
        return true;
    if (buf_len(&p->body) == 0 && p->server.left == 0)
        return on_watched(p, piece, n);
    if (buf_append(&p->body, piece, n) < 0)
        return false;
    if (p->server.left > 0)
        return true;
    bool ok = on_watched(p, buf_at(&p->body), buf_len(&p->body));
    buf_wipe_done(&p->body);
    return ok;
}

bool person_answer(struct person *p, const uint8_t *bytes, size_t n)
{
    bool ok = true;
    while (ok && p->session->state == SESSION_PERSON) {
        enum message m = MESSAGE_UNKNOWN;
        uint32_t body_len = 0;
        const uint8_t *piece = bytes;
        enum walk_step step = walk_next(&p->server, &bytes, &n, &m, &body_len);
        if (step == WALK_MORE)
            break;
        if (step == WALK_HEADER)
            ok = on_header(p, m, body_len);
        else if (step == WALK_BODY)
            ok = on_body(p, piece, (size_t)(bytes - piece));
        else
            ok = false;
        if (ok && p->server.left == 0)
            release_end_message(&p->release);
    }
    return ok;
}
