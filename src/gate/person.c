#include "gate/person.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/cancel.h"
#include "gate/expect.h"
#include "gate/link.h"
#include "gate/names.h"
#include "gate/parameters.h"
#include "gate/release.h"
#include "wire/frontend.h"

enum {
    PERSON_BIND_MAX = 1024 * 1024,
    PERSON_PARSE_EXTRA = 64 * 1024, /* name and parameter types beside the statement */
    PERSON_PIPELINE_MAX = 5000,
    PERSON_BODY_MAX = 64 * 1024,
    PERSON_PARAMETERS_MAX = 8 * 1024
};

/* Replaces a refused statement: no server accepts it. */
static const char refused_sql[] = "REFUSED BY RINGFENCE";

struct person {
    struct session *session;
    struct link link;
    struct release release;
    struct recorder_wait open_wait;
    struct inspection inspection;
    struct expect_queue expect;
    struct walk server;
    struct buf body;             /* of a server message in parts that is looked at */
    struct buf text;             /* scratch for messages to the server */
    struct names prepared, portals;
    struct err denial;           /* stands in for the error of the statement that was replaced */
    uint32_t denial_position;
    uint64_t statements;         /* numbers given */
    uint64_t synced_out;         /* of those, up to the last Sync sent */
    uint32_t synced;             /* newest statement before the Sync that a 'Z' answers */
    struct timer timer;          /* how long the parser may take; before the greeting, the ledger */
    uint8_t watched;             /* enum message whose body is collected, or 0 */
    char status;
    bool denying, denial_synced; /* `denial` is unanswered; a Sync has gone out behind it */
    bool news;                   /* the server message being walked needs a record */
    bool swallowing, replacing;  /* the server message being walked */
    bool said_fatal, link_over;
};

static void process(struct person *p);

/* ---- to the server ---- */

static void fail(struct person *p, enum err_code code, const char *line)
{
    struct err e;
    (void)err_set(&e, code, "%s", line);
    session_fatal(p->session, &e);
}

static int to_server(struct person *p, const void *bytes, size_t n)
{
    return stream_write(&p->link.stream, bytes, n);
}

static int expect(struct person *p, enum expect_kind kind, enum expect_action action,
                  uint64_t statement)
{
    if (kind == EXPECT_SYNC)
        p->synced_out = p->statements;
    int rc = expect_push(&p->expect, kind, action, (uint32_t)statement);
    if (rc < 0)
        fail(p, RF_ENOMEM, "out of memory for requests under way");
    return rc;
}

/* Send what has been written into p->text. */
static int send_text(struct person *p, const struct wr *w)
{
    int rc = wr_done(w) ? to_server(p, buf_at(&p->text), buf_len(&p->text)) : -RF_ENOMEM;
    buf_wipe_done(&p->text);
    if (rc == -RF_ENOMEM)
        fail(p, RF_ENOMEM, "out of memory for a statement");
    return rc;
}

/* ---- records ---- */

static void fail_memory(struct person *p)
{
    fail(p, RF_ENOMEM, "out of memory for a statement");
}

struct person_statement {
    const char *sql, *kind, *relations, *outcome, *detail;
    size_t sql_len;
    uint64_t fingerprint;
};

/* Record a statement; its number, or 0 when the session has ended over it. */
static uint64_t record_statement(struct person *p, const struct person_statement *what)
{
    struct record r;
    char address[64];
    session_record(p->session, &r, RECORD_STATEMENT, address);
    r.role = p->link.role;
    r.statement = p->statements + 1;
    r.sql = what->sql;
    r.sql_len = what->sql_len;
    r.statement_kind = what->kind;
    r.relations = what->relations;
    r.fingerprint = what->fingerprint;
    r.outcome = what->outcome;
    r.detail = what->detail;
    if (release_record(&p->release, &r) < 0)
        return 0;
    p->release.all_statements++;
    return ++p->statements;
}

static int record_denial(struct person *p, const char *rule, const char *sql, size_t sql_len)
{
    struct record r;
    char address[64];
    session_record(p->session, &r, RECORD_DENIAL, address);
    r.role = p->link.role;
    r.rule = rule;
    r.statement = ++p->statements;
    r.sql = sql;
    r.sql_len = sql_len;
    r.outcome = err_state_of(&p->denial);
    r.detail = p->denial.line;
    return release_record(&p->release, &r);
}

/* ---- refusals ---- */

/* p->denial has been set: let the server fail in this place, and answer with it. A simple query
   brings its own Sync. */
static void deny(struct person *p, const char *rule, const char *sql, size_t sql_len, bool simple)
{
    p->denying = true;
    p->denial_synced = simple;
    if (record_denial(p, rule, sql, sql_len) < 0)
        return;
    struct wr w = wr_to(&p->text);
    frontend_write_parse(&w, "", refused_sql, sizeof(refused_sql) - 1, NULL, 0);
    if (expect(p, EXPECT_PARSE, EXPECT_REPLACE_ERROR, 0) < 0)
        return;
    if (simple) {
        frontend_write_bare(&w, 'S');
        if (expect(p, EXPECT_SYNC, EXPECT_FORWARD, p->statements) < 0)
            return;
    }
    RF_NEGLECT(send_text(p, &w)); /* a broken link ends by itself */
}

static void set_refusal(struct person *p, const struct guard_statement *s)
{
    const char *sentence = guard_refusal_sentence(s->refusal);
    const char *gap = strstr(sentence, "%s");
    int before = gap != NULL ? (int)(gap - sentence) : (int)strlen(sentence);
    (void)err_set(&p->denial, RF_EPRIV, "%.*s%s%s", before, sentence,
                  gap != NULL ? s->subject : "", gap != NULL ? gap + 2 : "");
    err_sqlstate(&p->denial, guard_refusal_sqlstate(s->refusal));
    err_hint(&p->denial, "%s", guard_refusal_hint(s->refusal));
    p->denial_position = 0;
}

/* True when the report lets the text through; otherwise p->denial and *RET_RULE are set. */
static bool judge_report(struct person *p, const struct guard_report *report,
                         const char **ret_rule)
{
    p->denial_position = 0;
    if (report->status != GUARD_PARSED) {
        bool syntax = report->status == GUARD_SYNTAX_ERROR;
        (void)err_set(&p->denial, syntax ? RF_ESYNTAX : RF_ETOOBIG, "%s",
                      report->message[0] != '\0' ? report->message
                                                 : "statement is too complex");
        err_sqlstate(&p->denial, guard_report_sqlstate(report));
        p->denial_position = report->position;
        *ret_rule = syntax ? "statement-syntax" : "statement-complexity";
        return false;
    }
    for (uint32_t i = 0; i < report->count; i++)
        if (report->statements[i].refusal != GUARD_OK) {
            set_refusal(p, &report->statements[i]);
            *ret_rule = "statement-kind";
            return false;
        }
    return true;
}

/* ---- simple query ---- */

/* Statement I of SQL as a text of its own in which positions still count from the beginning of SQL:
   everything before it becomes one blank a character, line ends stay. */
static size_t isolate(const char *sql, const struct guard_statement *s, char *out)
{
    size_t o = 0;
    for (uint32_t i = 0; i < s->offset; i++) {
        unsigned char c = (unsigned char)sql[i];
        if ((c & 0xc0) != 0x80) /* the first byte of a character */
            out[o++] = c == '\n' || c == '\r' ? (char)c : ' ';
    }
    memcpy(out + o, sql + s->offset, s->len);
    return o + s->len;
}

/* A statement that the server will know by NAME; the record NUMBER has its text. Old ones make room,
   here and on the server. */
static int remember(struct person *p, const char *name, uint64_t number,
                    const struct person_statement *what)
{
    struct name facts = { .fingerprint = what->fingerprint };
    const struct name *old;
    (void)snprintf(facts.kind, sizeof(facts.kind), "%s", what->kind);
    int rc = names_add(&p->prepared, name, number, what->sql, what->sql_len, &facts,
                       what->relations);
    while (rc == 0 && (old = names_excess(&p->prepared)) != NULL) {
        struct wr w = wr_to(&p->text);
        frontend_write_target(&w, 'C', 'S', old->name);
        names_remove(&p->prepared, (uint32_t)old->number);
        rc = expect(p, EXPECT_CLOSE, EXPECT_SWALLOW, 0);
        if (rc == 0)
            rc = send_text(p, &w);
    }
    if (rc == -RF_ENOMEM)
        fail_memory(p);
    return rc;
}

/* DECLARE may give a cursor the name of a portal that SQL has ended meanwhile (CLOSE, ROLLBACK TO),
   and nothing on the wire says which name: what is executed by a name afterwards gets a record of its
   own, by that name. */
static void forget_portals(struct person *p, const char *kind)
{
    if (strcmp(kind, "DeclareCursorStmt") == 0)
        names_end_until(&p->portals, (uint32_t)p->statements);
}

static int forward_statement(struct person *p, const char *sql, const struct guard_statement *s,
                             char *scratch)
{
    struct person_statement what = { .sql = sql + s->offset,
                                     .sql_len = s->len,
                                     .kind = s->kind,
                                     .relations = s->relations,
                                     .fingerprint = s->fingerprint };
    uint64_t number = record_statement(p, &what);
    if (number == 0)
        return -RF_EUNAVAIL;
    forget_portals(p, s->kind);
    int rc = remember(p, "", number, &what);
    if (rc == 0)
        rc = names_add(&p->portals, "", number, NULL, 0, NULL, NULL);
    if (rc < 0) {
        fail_memory(p);
        return rc;
    }
    size_t len = isolate(sql, s, scratch);
    struct wr w = wr_to(&p->text);
    frontend_write_parse(&w, "", scratch, len, NULL, 0);
    frontend_write_bind_plain(&w, "", "");
    frontend_write_target(&w, 'D', 'P', "");
    frontend_write_execute(&w, "", 0);
    if (expect(p, EXPECT_PARSE, EXPECT_SWALLOW, number) < 0 ||
        expect(p, EXPECT_BIND, EXPECT_SWALLOW, number) < 0 ||
        expect(p, EXPECT_DESCRIBE, EXPECT_SWALLOW, number) < 0 ||
        expect(p, EXPECT_EXECUTE, EXPECT_FORWARD, number) < 0)
        return -RF_ENOMEM;
    return send_text(p, &w);
}

static void forward_query(struct person *p, const char *sql, size_t len,
                          const struct guard_report *report)
{
    static const struct guard_statement nothing = { .kind = "Empty", .relations = "" };
    char *scratch = mem_zalloc(len + 1, 1);
    int rc = scratch != NULL ? 0 : -RF_ENOMEM;
    if (rc < 0)
        fail_memory(p);
    if (rc == 0 && report->count == 0)
        rc = forward_statement(p, sql, &nothing, scratch);
    for (uint32_t i = 0; rc == 0 && i < report->count; i++)
        rc = forward_statement(p, sql, &report->statements[i], scratch);
    mem_free_secret(scratch, len + 1);
    if (rc < 0 || expect(p, EXPECT_SYNC, EXPECT_FORWARD, p->statements) < 0)
        return;
    struct wr w = wr_to(&p->text);
    frontend_write_bare(&w, 'S');
    RF_NEGLECT(send_text(p, &w)); /* a broken link ends by itself */
}

/* ---- extended query ---- */

static void deny_bind(struct person *p, const char *statement, bool known)
{
    if (known) {
        (void)err_set(&p->denial, RF_ETOOBIG, "too many portals in this session");
        err_hint(&p->denial, "close those that are no longer needed");
    } else if (statement[0] != '\0') {
        (void)err_set(&p->denial, RF_ENOTFOUND, "prepared statement \"%.200s\" does not exist",
                      statement);
        err_sqlstate(&p->denial, "26000");
    } else {
        (void)err_set(&p->denial, RF_ENOTFOUND, "unnamed prepared statement does not exist");
        err_sqlstate(&p->denial, "26000");
    }
    p->denial_position = 0;
    deny(p, known ? "session-limits" : "statement-known", NULL, 0, false);
}

static void forward_parse(struct person *p, const uint8_t *message, size_t n, struct rd body,
                          const struct guard_report *report)
{
    struct frontend_parse parse;
    if (frontend_read_parse(body, &parse) < 0)
        return; /* it was read before it was asked about */
    struct person_statement what = { .sql = parse.query,
                                     .sql_len = parse.query_len,
                                     .kind = report->count > 0 ? report->statements[0].kind : "Empty",
                                     .relations = report->count > 0
                                                      ? report->statements[0].relations
                                                      : "",
                                     .fingerprint =
                                         report->count > 0 ? report->statements[0].fingerprint : 0,
                                     .outcome = "prepare" };
    uint64_t number = record_statement(p, &what);
    if (number > 0 && remember(p, parse.name, number, &what) == 0 &&
        expect(p, EXPECT_PARSE, EXPECT_FORWARD, number) == 0)
        RF_NEGLECT(to_server(p, message, n)); /* a broken link ends by itself */
}

static void on_bind(struct person *p, const uint8_t *message, size_t n, struct rd body)
{
    struct frontend_bind bind;
    char parameters[PERSON_PARAMETERS_MAX];
    if (frontend_read_bind(body, &bind) < 0) {
        fail(p, RF_EPROTO, "malformed message from client");
        return;
    }
    const struct name *prepared = names_find(&p->prepared, bind.statement);
    if (prepared == NULL || names_excess(&p->portals) != NULL) {
        deny_bind(p, bind.statement, prepared != NULL);
        return;
    }
    parameters_print(parameters, sizeof(parameters), bind.rest, bind.rest_len);
    struct person_statement what = { .outcome = "bind",
                                     .detail = parameters,
                                     .sql = prepared->sql,
                                     .sql_len = prepared->sql_len,
                                     .kind = prepared->kind,
                                     .relations = prepared->relations,
                                     .fingerprint = prepared->fingerprint };
    struct name facts = { .number = 0 };
    (void)snprintf(facts.kind, sizeof(facts.kind), "%s", prepared->kind);
    uint64_t number = record_statement(p, &what);
    explicit_bzero(parameters, sizeof(parameters));
    if (number == 0)
        return;
    if (names_add(&p->portals, bind.portal, number, NULL, 0, &facts, NULL) < 0)
        fail_memory(p);
    else if (expect(p, EXPECT_BIND, EXPECT_FORWARD, number) == 0)
        RF_NEGLECT(to_server(p, message, n)); /* a broken link ends by itself */
}

/* Of a portal that no Bind has made, such as a cursor of DECLARE: a statement of its own. */
static uint64_t record_execute(struct person *p, const char *portal)
{
    struct person_statement what = { .kind = "Execute", .outcome = "execute", .detail = portal };
    return record_statement(p, &what);
}

static void on_execute(struct person *p, const uint8_t *message, size_t n, struct rd body)
{
    struct frontend_execute execute;
    if (frontend_read_execute(body, &execute) < 0) {
        fail(p, RF_EPROTO, "malformed message from client");
        return;
    }
    const struct name *portal = names_find(&p->portals, execute.portal);
    uint64_t number = portal != NULL ? portal->number : record_execute(p, execute.portal);
    if (portal != NULL) {
        char kind[sizeof(portal->kind)];
        memcpy(kind, portal->kind, sizeof(kind)); /* the entry itself may be forgotten */
        forget_portals(p, kind);
    }
    if (number > 0 && expect(p, EXPECT_EXECUTE, EXPECT_FORWARD, number) == 0)
        RF_NEGLECT(to_server(p, message, n)); /* a broken link ends by itself */
}

static void on_target(struct person *p, enum step step, const uint8_t *message, size_t n,
                      struct rd body)
{
    struct frontend_target target;
    if (frontend_read_target(body, &target) < 0) {
        fail(p, RF_EPROTO, "malformed message from client");
        return;
    }
    const struct name *known =
        names_find(target.kind == 'P' ? &p->portals : &p->prepared, target.name);
    if (expect(p, step == STEP_CLOSE ? EXPECT_CLOSE : EXPECT_DESCRIBE, EXPECT_FORWARD,
               known != NULL ? known->number : 0) == 0)
        RF_NEGLECT(to_server(p, message, n)); /* a broken link ends by itself */
}

/* ---- one message of the client ---- */

static size_t limit_of(const struct person *p, enum step step)
{
    size_t statement = (size_t)p->session->snapshot->config->statement_max_bytes;
    if (statement > GUARD_SQL_MAX)
        statement = GUARD_SQL_MAX;
    return step == STEP_QUERY   ? statement + 5
           : step == STEP_PARSE ? statement + PERSON_PARSE_EXTRA
                                : PERSON_BIND_MAX;
}

/* Ask the parser process about the text of a Query or Parse, which stays in front of s->in. */
static void ask(struct person *p, enum step step, struct rd body)
{
    const char *sql = NULL;
    size_t len = 0;
    struct frontend_parse parse;
    int rc = step == STEP_QUERY ? frontend_read_query(body, &sql, &len)
                                : frontend_read_parse(body, &parse);
    if (rc < 0) {
        fail(p, RF_EPROTO, "malformed message from client");
        return;
    }
    if (step == STEP_PARSE) {
        sql = parse.query;
        len = parse.query_len;
    }
    rc = inspector_ask(p->session->worker->inspector, &p->inspection, sql, len);
    if (rc < 0)
        fail(p, rc == -RF_ENOMEM ? RF_ENOMEM : RF_ETOOBIG, "statement is too long");
    else
        loop_timer(p->session->worker->loop, &p->timer,
                   p->session->snapshot->config->ledger_wait_ms);
}

static void on_timer(struct timer *t)
{
    struct person *p = RF_OWNER(t, struct person, timer);
    fail(p, RF_EUNAVAIL,
         p->session->state == SESSION_ADMISSION
             ? "persons cannot be served now: the record of this login is not durable in time"
             : "the statement could not be examined in time");
}

static void on_call(struct person *p)
{
    (void)err_set(&p->denial, RF_EPRIV, "function calls by protocol message are not available");
    err_hint(&p->denial, "use SELECT");
    p->denial_position = 0;
    deny(p, "statement-kind", NULL, 0, true);
}

/* Does it use a name of which only the server's next answer tells what it means? A malformed message
   does not; it is found out where it is used. */
static bool uses_open_name(const struct person *p, enum step step, struct rd body)
{
    struct frontend_bind bind;
    struct frontend_execute execute;
    if (step == STEP_BIND)
        return frontend_read_bind(body, &bind) == 0 &&
               names_is_open(&p->prepared, bind.statement, p->synced_out);
    return frontend_read_execute(body, &execute) == 0 &&
           names_is_open(&p->portals, execute.portal, p->synced_out);
}

/* A whole message of N bytes. True when it is done with and can be taken off. */
static bool on_message(struct person *p, enum step step, const uint8_t *message, size_t n)
{
    struct rd body = rd_of(message + MESSAGE_HEADER_LEN, n - MESSAGE_HEADER_LEN);
    switch (step) {
    case STEP_QUERY:
    case STEP_PARSE:
        ask(p, step, body);
        return false;
    case STEP_BIND:
    case STEP_EXECUTE:
        if (uses_open_name(p, step, body))
            return false;
        if (step == STEP_BIND)
            on_bind(p, message, n, body);
        else
            on_execute(p, message, n, body);
        return true;
    case STEP_DESCRIBE:
    case STEP_CLOSE:
        on_target(p, step, message, n, body);
        return true;
    case STEP_SYNC:
        if (expect(p, EXPECT_SYNC, EXPECT_FORWARD, p->statements) < 0)
            return true;
        p->denial_synced = p->denying;
        RF_FALLTHROUGH;
    case STEP_FLUSH:
        RF_NEGLECT(to_server(p, message, n)); /* a broken link ends by itself */
        return true;
    case STEP_DENY:
        on_call(p);
        return true;
    case STEP_TERMINATE:
        session_close(p->session, "client terminated");
        return true;
    default:
        return true;
    }
}

static bool must_wait(const struct person *p)
{
    return p->inspection.waiting || (p->denying && p->denial_synced) ||
           p->expect.count > PERSON_PIPELINE_MAX ||
           stream_queued(&p->link.stream) > SESSION_QUEUE_HIGH;
}

/* Behind a refusal the server skips everything up to the next Sync; so do we. */
static bool is_skipped(const struct person *p, enum step step)
{
    return p->denying && !p->denial_synced && step != STEP_SYNC && step != STEP_TERMINATE;
}

/* Work through what the client has sent, as far as it goes. */
static void process(struct person *p)
{
    struct session *s = p->session;
    while (s->state == SESSION_PERSON && buf_len(&s->in) >= MESSAGE_HEADER_LEN) {
        const uint8_t *message = buf_at(&s->in);
        enum message m = message_of(MESSAGE_FROM_FRONTEND, message[0]);
        uint32_t length = message_length_at(message);
        enum step step = step_of(s->state, m);
        if (!message_length_valid(m, length) || step == STEP_REFUSE) {
            fail(p, RF_EPROTO, "malformed message from client");
            return;
        }
        if (length > limit_of(p, step)) {
            fail(p, RF_ETOOBIG, "message from client is longer than this session may send");
            return;
        }
        if (buf_len(&s->in) < (size_t)length + 1)
            break;
        if (must_wait(p))
            break;
        if (!is_skipped(p, step) && !on_message(p, step, message, (size_t)length + 1))
            break;
        if (s->state == SESSION_PERSON)
            buf_consume(&s->in, (size_t)length + 1);
    }
    if (s->state != SESSION_PERSON)
        return;
    if (buf_len(&s->in) > SESSION_IN_MAX / 2)
        stream_pause(&s->stream);
    else
        stream_resume(&s->stream);
}

static void on_report(struct inspection *q, const struct guard_report *report)
{
    struct person *p = RF_OWNER(q, struct person, inspection);
    struct session *s = p->session;
    const char *rule = NULL, *sql = NULL;
    size_t len = 0;
    struct frontend_parse parse;
    loop_timer_stop(s->worker->loop, &p->timer);
    if (s->state != SESSION_PERSON)
        return;
    const uint8_t *message = buf_at(&s->in);
    size_t n = (size_t)message_length_at(message) + 1;
    bool simple = message[0] == 'Q';
    struct rd body = rd_of(message + MESSAGE_HEADER_LEN, n - MESSAGE_HEADER_LEN);
    if (simple) {
        RF_NEGLECT(frontend_read_query(body, &sql, &len)); /* was read when it was asked about */
    } else if (frontend_read_parse(body, &parse) == 0) {
        sql = parse.query;
        len = parse.query_len;
    }
    if (!judge_report(p, report, &rule)) {
        deny(p, rule, sql, len, simple);
    } else if (simple) {
        forward_query(p, sql, len, report);
    } else if (report->count > 1) {
        (void)err_set(&p->denial, RF_ESYNTAX,
                      "cannot insert multiple commands into a prepared statement");
        p->denial_position = 0;
        deny(p, "statement-count", sql, len, false);
    } else {
        forward_parse(p, message, n, body, report);
    }
    if (s->state == SESSION_PERSON) {
        buf_consume(&s->in, n);
        process(p);
    }
}

void person_on_data(struct session *s)
{
    process(s->person);
}

/* ---- from the server ---- */

static uint8_t watched_of(enum message m, uint32_t body_len)
{
    return body_len <= PERSON_BODY_MAX &&
                   (m == MESSAGE_READY_FOR_QUERY || m == MESSAGE_COMMAND_COMPLETE ||
                    m == MESSAGE_ERROR_RESPONSE || m == MESSAGE_PARAMETER_STATUS)
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

/* A message begins. False: the session has ended. */
static bool on_header(struct person *p, enum message m, uint32_t body_len)
{
    if (m == MESSAGE_COPY_IN || m == MESSAGE_COPY_BOTH ||
        release_enter(&p->release, running_statement(p)) < 0)
        return false; /* persons send no data: nothing would ever end such a copy */
    struct expect e = expect_answer(&p->expect, m, on_skipped, p);
    on_answered(p, m, &e);
    p->replacing = m == MESSAGE_ERROR_RESPONSE && e.action == EXPECT_REPLACE_ERROR;
    p->swallowing = p->replacing || (e.action == EXPECT_SWALLOW && m != MESSAGE_ERROR_RESPONSE &&
                                     m != MESSAGE_ROW_DESCRIPTION);
    p->watched = watched_of(m, body_len);
    p->news = is_news(m);
    buf_wipe_done(&p->body);
    if (m == MESSAGE_DATA_ROW || m == MESSAGE_BACKEND_COPY_DATA)
        release_count_row(&p->release);
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
    bool ok = wr_done(&w) &&
              release_hold(&p->release, buf_at(&p->text), buf_len(&p->text), false) == 0;
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
    case MESSAGE_PARAMETER_STATUS:
        return link_note_parameter(&p->link, r) == 0;
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

static void on_link_data(struct link *l, const uint8_t *bytes, size_t n)
{
    struct person *p = RF_OWNER(l, struct person, link);
    struct session *s = p->session;
    bool ok = true;
    while (ok && s->state == SESSION_PERSON) {
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
    }
    if (!ok)
        fail(p, RF_ECONNECT, "the region's database broke the protocol");
    if (s->state != SESSION_PERSON)
        return;
    release_kick(&p->release);
    if (buf_len(&p->release.held) > RELEASE_HELD_HIGH)
        stream_pause(&p->link.stream);
    process(p); /* a refusal or a full pipeline may have been in the way */
    if (s->state == SESSION_PERSON && s->worker->stopping)
        session_stop(s, false);
}

/* The link is gone and everything it said has been released. */
static void finish(struct person *p)
{
    struct err e;
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
        stream_resume(&p->link.stream);
    if (p->link_over && release_is_empty(r))
        finish(p);
}

static void on_link_end(struct link *l, const char *why)
{
    struct person *p = RF_OWNER(l, struct person, link);
    log_debug("person_link_ended", "session=%u reason=\"%s\"", p->session->slot, why);
    p->link_over = true;
    if (p->session->state != SESSION_PERSON) {
        fail(p, RF_ECONNECT, "the region's database closed the connection");
        return;
    }
    release_kick(&p->release);
    if (release_is_empty(&p->release))
        finish(p);
}

static void on_link_drained(struct link *l)
{
    process(RF_OWNER(l, struct person, link));
}

void person_on_drained(struct session *s)
{
    struct person *p = s->person;
    release_kick(&p->release);
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
    session_greet(s, &p->link.parameters, NULL);
    stream_resume(&p->link.stream);
}

static void on_link_ready(struct link *l)
{
    struct person *p = RF_OWNER(l, struct person, link);
    struct record r;
    char address[64];
    stream_pause(&l->stream); /* nobody to hear it before the greeting */
    session_record(p->session, &r, RECORD_SESSION_OPEN, address);
    r.role = l->role;
    r.detail = session_startup(p->session)->application_name;
    if (p->session->state != SESSION_ADMISSION || release_record(&p->release, &r) < 0)
        return;
    recorder_await(p->session->worker->recorder, &p->open_wait, p->release.last_seq);
    loop_timer(p->session->worker->loop, &p->timer,
               p->session->snapshot->config->ledger_wait_ms);
}

static void on_link_failed(struct link *l, const struct err *why)
{
    session_fatal(RF_OWNER(l, struct person, link)->session, why);
}

static const struct link_ops person_link_ops = {
    .on_ready = on_link_ready,
    .on_failed = on_link_failed,
    .on_data = on_link_data,
    .on_end = on_link_end,
    .on_drained = on_link_drained,
};

/* The startup packet's parameters have passed the list (login.c); UTF-8 unless the client says
   otherwise, since text is judged as UTF-8. */
static int take_parameters(struct person *p)
{
    const struct startup *startup = session_startup(p->session);
    int rc = settings_put(&p->link.wanted, "client_encoding", "UTF8");
    for (size_t i = 0; rc == 0 && i < startup->parameter_count; i++)
        rc = settings_put(&p->link.wanted, startup->parameters[i].name,
                          startup->parameters[i].value);
    return rc;
}

int person_begin(struct session *s, struct err *err)
{
    char role[160];
    struct person *p = mem_zalloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a session");
    p->session = s;
    p->server = walk_of(MESSAGE_FROM_BACKEND);
    p->status = 'I';
    p->open_wait.on_durable = on_open_recorded;
    p->inspection.on_report = on_report;
    p->timer.fn = on_timer;
    buf_init(&p->body, PERSON_BODY_MAX);
    buf_init(&p->text, PERSON_BIND_MAX);
    release_init(&p->release, s, on_room);
    (void)snprintf(role, sizeof(role), "%s.%s", s->actor->name,
                   policy_room_name(s->decision.room));
    s->person = p;
    enum link_use use = s->database->standby_count > 0 ? LINK_USE_STANDBY : LINK_USE_PRIMARY;
    if (link_init(&p->link, s->worker->loop, s->snapshot, s->database, use, role,
                  &person_link_ops) < 0 ||
        take_parameters(p) < 0)
        return err_set(err, RF_ENOMEM, "out of memory for a session");
    loop_timer(s->worker->loop, &s->timer, s->snapshot->config->login_timeout_ms);
    link_connect(&p->link);
    return 0;
}

void person_cancel(struct session *s)
{
    struct person *p = s->person;
    if (p->link.state == LINK_READY && p->expect.count > 0)
        cancel_send(&p->link, NULL);
}

bool person_is_mid_message(const struct session *s)
{
    return !walk_at_boundary(&s->person->release.sent);
}

bool person_is_idle(const struct session *s)
{
    const struct person *p = s->person;
    return p->expect.count == 0 && p->status == 'I' && release_is_empty(&p->release) &&
           !p->inspection.waiting && buf_len(&s->in) == 0;
}

static void record_close(struct person *p)
{
    struct record r;
    char address[64];
    uint64_t seq = 0;
    session_record(p->session, &r, RECORD_SESSION_CLOSE, address);
    r.role = p->link.role;
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
    if (p->release.last_seq > 0)
        record_close(p);
    if (p->link.state == LINK_READY && p->expect.count > 0)
        cancel_send(&p->link, NULL); /* nobody waits for its answer any more */
    loop_timer_stop(s->worker->loop, &p->timer);
    inspector_forget(s->worker->inspector, &p->inspection);
    recorder_forget(s->worker->recorder, &p->open_wait);
    release_done(&p->release);
    if (p->link.snapshot != NULL)
        link_close(&p->link);
    expect_done(&p->expect);
    names_done(&p->prepared);
    names_done(&p->portals);
    buf_wipe_done(&p->body);
    buf_wipe_done(&p->text);
    mem_free(p);
}
