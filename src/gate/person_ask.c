#include "gate/person_inside.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gate/grant.h"
#include "gate/parameters.h"
#include "wire/frontend.h"

/* Replaces a refused statement: no server accepts it. */
static const char refused_sql[] = "REFUSED BY RINGFENCE";

/* ---- to the server ---- */

static int to_server(struct person *p, const void *bytes, size_t n)
{
    return stream_write(&p->link->stream, bytes, n);
}

static int expect(struct person *p, enum expect_kind kind, enum expect_action action,
                  uint64_t statement)
{
    if (kind == EXPECT_SYNC)
        p->synced_out = p->statements;
    int rc = expect_push(&p->expect, kind, action, (uint32_t)statement);
    if (rc < 0)
        person_fail(p, RF_ENOMEM, "out of memory for requests under way");
    return rc;
}

/* Send what has been written into p->text. */
static int send_text(struct person *p, const struct wr *w)
{
    int rc = wr_done(w) ? to_server(p, buf_at(&p->text), buf_len(&p->text)) : -RF_ENOMEM;
    buf_wipe_done(&p->text);
    if (rc == -RF_ENOMEM)
        person_fail(p, RF_ENOMEM, "out of memory for a statement");
    return rc;
}

/* ---- records ---- */

static void fail_memory(struct person *p)
{
    person_fail(p, RF_ENOMEM, "out of memory for a statement");
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
    r.role = p->link->role;
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
    r.role = p->link->role;
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
    (void)err_set(&p->denial, RF_EPRIV, "%.*s%s%s", before, sentence, gap != NULL ? s->subject : "",
                  gap != NULL ? gap + 2 : "");
    err_sqlstate(&p->denial, guard_refusal_sqlstate(s->refusal));
    err_hint(&p->denial, "%s", guard_refusal_hint(s->refusal));
    p->denial_position = 0;
}

/* True when the report lets the text through; otherwise p->denial and *RET_RULE are set. */
static bool judge_report(struct person *p, const struct guard_report *report, const char **ret_rule)
{
    p->denial_position = 0;
    if (report->status != GUARD_PARSED) {
        bool syntax = report->status == GUARD_SYNTAX_ERROR;
        (void)err_set(&p->denial, syntax ? RF_ESYNTAX : RF_ETOOBIG, "%s",
                      report->message[0] != '\0' ? report->message : "statement is too complex");
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

/* A statement that the server will know by NAME; the record NUMBER has its text. Old ones make
   room, here and on the server. */
static int remember(struct person *p, const char *name, uint64_t number,
                    const struct person_statement *what)
{
    struct name facts = { .fingerprint = what->fingerprint };
    const struct name *old;
    (void)snprintf(facts.kind, sizeof(facts.kind), "%s", what->kind);
    int rc =
        names_add(&p->prepared, name, number, what->sql, what->sql_len, &facts, what->relations);
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
   and nothing on the wire says which name: what is executed by a name afterwards gets a record of
   its own, by that name. */
static void forget_portals(struct person *p, const char *kind)
{
    if (strcmp(kind, "DeclareCursorStmt") == 0)
        names_end_until(&p->portals, (uint32_t)p->statements);
}

/* IS_LAST: the Sync goes along, in the same packet: the server is woken up once. */
static int forward_statement(struct person *p, const char *sql, const struct guard_statement *s,
                             char *scratch, bool is_last)
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
        expect(p, EXPECT_EXECUTE, EXPECT_FORWARD, number) < 0 ||
        (is_last && expect(p, EXPECT_SYNC, EXPECT_FORWARD, number) < 0))
        return -RF_ENOMEM;
    if (is_last)
        frontend_write_bare(&w, 'S');
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
        rc = forward_statement(p, sql, &nothing, scratch, true);
    for (uint32_t i = 0; rc == 0 && i < report->count; i++)
        rc = forward_statement(p, sql, &report->statements[i], scratch, i + 1 == report->count);
    mem_free_secret(scratch, len + 1);
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
    struct person_statement what = {
        .sql = parse.query,
        .sql_len = parse.query_len,
        .kind = report->count > 0 ? report->statements[0].kind : "Empty",
        .relations = report->count > 0 ? report->statements[0].relations : "",
        .fingerprint = report->count > 0 ? report->statements[0].fingerprint : 0,
        .outcome = "prepare"
    };
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
        person_fail(p, RF_EPROTO, "malformed message from client");
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
        person_fail(p, RF_EPROTO, "malformed message from client");
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
        person_fail(p, RF_EPROTO, "malformed message from client");
        return;
    }
    const struct name *known =
        names_find(target.kind == 'P' ? &p->portals : &p->prepared, target.name);
    if (expect(p, step == STEP_CLOSE ? EXPECT_CLOSE : EXPECT_DESCRIBE, EXPECT_FORWARD,
               known != NULL ? known->number : 0) == 0)
        RF_NEGLECT(to_server(p, message, n)); /* a broken link ends by itself */
}

/* ---- one message of the client ---- */

static size_t statement_max(const struct person *p)
{
    size_t n = (size_t)p->session->snapshot->config->statement_max_bytes;
    return n < GUARD_SQL_MAX ? n : GUARD_SQL_MAX;
}

static size_t limit_of(const struct person *p, enum step step)
{
    return step == STEP_QUERY   ? statement_max(p) + 5
           : step == STEP_PARSE ? statement_max(p) + PERSON_PARSE_EXTRA
                                : PERSON_BIND_MAX;
}

static void deny_length(struct person *p, enum step step)
{
    bool bind = step == STEP_BIND;
    (void)err_set(&p->denial, RF_ETOOBIG, "%s longer than a session of a person may send",
                  bind ? "parameters are" : "statement is");
    err_hint(&p->denial, "at most %zu bytes at a time",
             bind ? (size_t)PERSON_BIND_MAX : statement_max(p));
    p->denial_position = 0;
    deny(p, "statement-length", NULL, 0, step == STEP_QUERY);
}

/* Ask the parser process about the text of a Query or Parse, which stays in front of s->in. True
   when it was refused without asking. */
static bool ask(struct person *p, enum step step, struct rd body)
{
    const char *sql = NULL;
    size_t len = 0;
    struct frontend_parse parse;
    int rc = step == STEP_QUERY ? frontend_read_query(body, &sql, &len)
                                : frontend_read_parse(body, &parse);
    if (rc < 0) {
        person_fail(p, RF_EPROTO, "malformed message from client");
        return false;
    }
    if (step == STEP_PARSE) {
        sql = parse.query;
        len = parse.query_len;
    }
    if (len > statement_max(p)) {
        deny_length(p, step);
        return true;
    }
    if (inspector_ask(p->session->worker->inspector, &p->inspection, sql, len) < 0)
        fail_memory(p);
    else
        loop_timer(p->session->worker->loop, &p->timer,
                   p->session->snapshot->config->ledger_wait_ms);
    return false;
}

void person_on_timer(struct timer *t)
{
    struct person *p = RF_OWNER(t, struct person, timer);
    if (p->refused) {
        person_refused(p);
        return;
    }
    if (p->awaits_grant) {
        p->awaits_grant = false;
        person_ask(p);
        return;
    }
    person_fail(
        p, RF_EUNAVAIL,
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

/* Does it use a name of which only the server's next answer tells what it means? A malformed
   message does not; it is found out where it is used. */
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
        return ask(p, step, body);
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
    return p->inspection.waiting || p->awaits_grant || p->change != NULL ||
           (p->awaits_sync && p->expect.count > 0) || (p->denying && p->denial_synced) ||
           p->expect.count > PERSON_PIPELINE_MAX ||
           stream_queued(&p->link->stream) > SESSION_QUEUE_HIGH;
}

/* Behind a refusal the server skips everything up to the next Sync; so do we. */
static bool is_skipped(const struct person *p, enum step step)
{
    return p->denying && !p->denial_synced && step != STEP_SYNC && step != STEP_TERMINATE;
}

/* Take off the rest of a message that was refused unseen. */
static void discard(struct person *p)
{
    struct buf *in = &p->session->in;
    size_t n = buf_len(in) < p->discard ? buf_len(in) : p->discard;
    buf_consume(in, n);
    p->discard -= n;
}

/* The message in front, as far as it has come. True when it is done with and the next one may be
   looked at. */
static bool take_message(struct person *p)
{
    struct session *s = p->session;
    const uint8_t *message = buf_at(&s->in);
    enum message m = message_of(MESSAGE_FROM_FRONTEND, message[0]);
    uint32_t length = message_length_at(message);
    enum step step = step_of(s->state, m);
    size_t limit = limit_of(p, step);
    bool may_be_long = step == STEP_QUERY || step == STEP_PARSE || step == STEP_BIND;
    if (!message_length_valid(m, length) || step == STEP_REFUSE ||
        (length > limit && !may_be_long && !is_skipped(p, step))) {
        person_fail(p, RF_EPROTO, "malformed message from client");
        return false;
    }
    bool whole = buf_len(&s->in) >= (size_t)length + 1;
    if ((!whole && length <= limit) || must_wait(p))
        return false;
    if (length > limit) { /* not looked at: refused, or skipped as the server would */
        if (!is_skipped(p, step))
            deny_length(p, step);
        p->discard = (size_t)length + 1;
        return true;
    }
    if (!is_skipped(p, step) && !on_message(p, step, message, (size_t)length + 1))
        return false;
    if (s->state == SESSION_PERSON)
        buf_consume(&s->in, (size_t)length + 1);
    return true;
}

/* Work through what the client has sent, as far as it goes. */
void person_ask(struct person *p)
{
    struct session *s = p->session;
    do
        discard(p);
    while (p->discard == 0 && buf_len(&s->in) >= MESSAGE_HEADER_LEN && take_message(p) &&
           s->state == SESSION_PERSON);
    if (s->state != SESSION_PERSON)
        return;
    if (buf_len(&s->in) > SESSION_IN_MAX / 2)
        stream_pause(&s->stream);
    else
        stream_resume(&s->stream);
}

/* SET ringfence.grant, by itself. */
static bool is_switch(const struct guard_report *report)
{
    return report->status == GUARD_PARSED && report->count == 1 &&
           report->statements[0].refusal == GUARD_GRANT;
}

/* What was sent before will all be answered without another word of the client. */
static bool ends_with_sync(const struct expect_queue *q)
{
    const struct expect *last = &q->list[(q->first + q->count - 1) % q->cap];
    return last->kind == EXPECT_SYNC || last->kind == EXPECT_QUERY;
}

/* A room is changed between two statements, so one that was sent behind another waits for its
   answer. And a grant that was opened a moment ago may not have come to us yet: as at a login, it
   is looked for again until GRANT_NEW_MS have passed, and as long for one that is not his. True:
   the message stays in front, and is looked at anew. */
static bool wait_for_grant(struct person *p, const struct guard_statement *s)
{
    struct loop *loop = p->session->worker->loop;
    int64_t now = loop_now_ms(loop);
    uint64_t id = 0;
    p->awaits_sync = p->expect.count > 0 && ends_with_sync(&p->expect);
    if (p->awaits_sync)
        return true;
    bool may_come = p->status == 'I' && p->expect.count == 0 &&
                    grant_number_read(s->subject, &id) && person_switch_may_come(p, id);
    if (may_come && p->grant_until_ms == 0)
        p->grant_until_ms = now + GRANT_NEW_MS;
    p->awaits_grant = may_come && now < p->grant_until_ms;
    if (p->awaits_grant)
        loop_timer(loop, &p->timer, GRANT_TICK_MS);
    else
        p->grant_until_ms = 0;
    return p->awaits_grant;
}

/* False: refused, p->denial and *RET_RULE say why. */
static bool begin_switch(struct person *p, const char *sql, size_t len,
                         const struct guard_statement *s, const char **ret_rule)
{
    uint64_t id = 0;
    struct person_statement what = {
        .sql = sql, .sql_len = len, .kind = s->kind, .relations = "", .outcome = "grant"
    };
    p->denial_position = 0;
    if (s->subject[0] != '\0' && !grant_number_read(s->subject, &id)) {
        (void)err_set(&p->denial, RF_EINVAL,
                      "parameter \"%s\" takes the number of a grant, for the whole session",
                      GRANT_PARAMETER);
        err_sqlstate(&p->denial, "22023");
        *ret_rule = "statement-parameter";
        return false;
    }
    if (p->status != 'I' || p->expect.count > 0) {
        (void)err_set(&p->denial, RF_EINVAL, "%s can only be changed between transactions",
                      GRANT_PARAMETER);
        err_sqlstate(&p->denial, "25001");
        *ret_rule = "grant-in-transaction";
        return false;
    }
    if (!person_switch_begin(p, id, &p->denial, ret_rule))
        return false;
    (void)record_statement(p, &what); /* 0: the session has ended */
    return true;
}

void person_on_report(struct inspection *q, const struct guard_report *report)
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
    if (simple && is_switch(report)) {
        if (wait_for_grant(p, &report->statements[0]))
            return;
        if (!begin_switch(p, sql, len, &report->statements[0], &rule))
            deny(p, rule, sql, len, true);
    } else if (!judge_report(p, report, &rule)) {
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
        person_ask(p);
    }
}

void person_on_data(struct session *s)
{
    person_ask(s->person);
}
