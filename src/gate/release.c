#include "gate/release.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/grant.h"
#include "gate/person.h"

static void on_timer(struct timer *t)
{
    struct release *r = RF_OWNER(t, struct release, timer);
    struct err e;
    (void)err_set(&e, RF_EUNAVAIL, "the record of this access could not be made durable in time");
    err_hint(&e, "nothing was released; try again in a moment");
    session_fatal(r->session, &e);
}

/* The records that cover the first N bytes are durable. */
static void let_go(struct release *r, size_t n)
{
    const uint8_t *at = buf_at(&r->held);
    size_t left = n;
    enum message m;
    uint32_t body_len;
    enum walk_step step;
    do
        step = walk_next(&r->sent, &at, &left, &m, &body_len);
    while (step == WALK_HEADER || step == WALK_BODY);
    session_write(r->session, buf_at(&r->held), n);
    buf_consume(&r->held, n);
    r->mark = 0;
    r->whole = r->whole > n ? r->whole - n : 0;
}

/* May bytes leave now? Under a grant it is asked each time, at the last moment. */
static bool may_leave(struct release *r)
{
    enum grant_standing standing = grant_standing(r->session);
    if (standing == GRANT_OVER)
        grant_end(r->session);
    return standing == GRANT_GOOD; /* WAITING: the worker's tick comes back here */
}

/* The first level that the bytes up to the mark still wait for, or RECORD_LEVEL_COUNT. */
static enum record_level missing(const struct release *r)
{
    const struct recorder *recorder = r->session->worker->recorder;
    int level = RECORD_DURABLE;
    while (level < RECORD_LEVEL_COUNT &&
           recorder_has_reached(recorder, (enum record_level)level, r->mark_demand[level]))
        level++;
    return (enum record_level)level;
}

/* Wait for it; false when there is nothing to wait for. */
static bool await(struct release *r)
{
    struct session *s = r->session;
    enum record_level level = missing(r);
    if (level == RECORD_LEVEL_COUNT)
        return false;
    loop_timer(s->worker->loop, &r->timer, s->snapshot->config->ledger_wait_ms);
    recorder_await(s->worker->recorder, &r->wait, level, r->mark_demand[level]);
    return true;
}

static void on_reached(struct recorder_wait *w)
{
    struct release *r = RF_OWNER(w, struct release, wait);
    struct session *s = r->session;
    loop_timer_stop(s->worker->loop, &r->timer);
    if (s->state != SESSION_PERSON || await(r))
        return;
    if (may_leave(r))
        let_go(r, r->mark);
    release_kick(r);
    if (s->state == SESSION_PERSON)
        r->on_room(r);
}

void release_init(struct release *r, struct session *s, void (*on_room)(struct release *r))
{
    *r = (struct release){ .session = s, .on_room = on_room };
    r->sent = walk_of(MESSAGE_FROM_BACKEND);
    r->wait.on_reached = on_reached;
    r->timer.fn = on_timer;
    buf_init(&r->held, RELEASE_HELD_MAX);
}

void release_done(struct release *r)
{
    recorder_forget(r->session->worker->recorder, &r->wait);
    loop_timer_stop(r->session->worker->loop, &r->timer);
    buf_wipe_done(&r->held);
    reveal_set_done(&r->reveals);
}

int release_record(struct release *r, const struct record *record)
{
    struct err e;
    int rc = session_put_record(r->session, record, &r->last_seq, &e);
    if (rc < 0)
        session_fatal(r->session, &e);
    return rc;
}

/* How far the record of CLASSES must be before they leave. Without a public log nothing is ever
   signed: durable is all there is. */
static void demand_level(struct release *r, uint32_t classes)
{
    /* The newest policy: a session that goes on over a reload keeps its old snapshot. */
    const struct snapshot *now = r->session->worker->current;
    enum release_mode most = RELEASE_DURABLE;
    for (int i = 0; i < CLASS_COUNT; i++)
        if ((classes & (1U << i)) != 0 && now->policy->release[i] > most)
            most = now->policy->release[i];
    if (now->config->ledger.origin != NULL && most >= RELEASE_CHECKPOINTED)
        r->demand[RECORD_SIGNED] = r->last_seq;
    if (now->config->ledger.origin != NULL && most == RELEASE_WITNESSED)
        r->demand[RECORD_WITNESSED] = r->last_seq;
}

int release_disclose(struct release *r)
{
    struct record record;
    char address[64], classes[REVEAL_CLASSES_SIZE];
    if (!r->reveals.pending)
        return 0;
    char *text = mem_zalloc(1, REVEAL_TEXT_SIZE);
    if (text == NULL) {
        struct err e;
        int rc = err_set(&e, RF_ENOMEM, "out of memory for the record of a disclosure");
        session_fatal(r->session, &e);
        return rc;
    }
    session_record(r->session, &record, RECORD_DISCLOSURE, address);
    record.statement = r->statement;
    uint32_t class_bits = 0;
    record.subjects = reveal_set_take(&r->reveals, classes, text, &class_bits);
    record.classes = classes;
    record.revealed = text;
    int rc = release_record(r, &record);
    if (rc == 0)
        demand_level(r, class_bits);
    mem_free_secret(text, REVEAL_TEXT_SIZE);
    return rc;
}

int release_reveal(struct release *r, enum class_id class_id, const char *subject)
{
    int rc = reveal_set_add(&r->reveals, class_id, subject);
    if (rc == -RF_ETOOBIG) {
        rc = release_disclose(r);
        if (rc < 0)
            return rc;
        reveal_set_clear(&r->reveals);
        rc = reveal_set_add(&r->reveals, class_id, subject);
    }
    if (rc < 0) {
        struct err e;
        (void)err_set(&e, RF_ENOMEM, "out of memory for the record of a disclosure");
        session_fatal(r->session, &e);
    }
    return rc;
}

static int record_result(struct release *r, const char *outcome)
{
    struct record record;
    char address[64];
    session_record(r->session, &record, RECORD_RESULT, address);
    record.statement = r->statement;
    record.rows = r->rows;
    record.bytes = r->bytes;
    record.outcome = outcome;
    r->all_rows += r->rows;
    r->all_bytes += r->bytes;
    r->rows = r->bytes = 0;
    r->news = false;
    return release_record(r, &record);
}

int release_hold(struct release *r, const void *bytes, size_t n, bool news)
{
    struct err e;
    int rc = buf_append(&r->held, bytes, n);
    if (rc < 0) {
        (void)err_set(&e, RF_ENOMEM, "out of memory for the answer");
        session_fatal(r->session, &e);
        return rc;
    }
    r->bytes += n;
    r->news = r->news || news;
    uint64_t ahead = r->paid_ahead < n ? r->paid_ahead : n;
    r->paid_ahead -= ahead;
    if (news && r->session->grant != NULL)
        r->unpaid.bytes += n - ahead;
    return 0;
}

int release_enter(struct release *r, uint64_t statement)
{
    if (statement == r->statement)
        return 0;
    int rc = release_disclose(r);
    if (rc == 0 && r->news)
        rc = record_result(r, "");
    reveal_set_clear(&r->reveals);
    r->statement = statement;
    return rc;
}

void release_count_row(struct release *r, uint64_t len)
{
    r->rows++;
    r->news = true;
    if (r->session->grant == NULL)
        return;
    r->unpaid.rows++;
    r->unpaid.bytes += len;
    r->paid_ahead = len;
}

void release_end_message(struct release *r)
{
    r->whole = buf_len(&r->held);
}

int release_outcome(struct release *r, const char *outcome)
{
    int rc = release_disclose(r);
    return rc < 0 ? rc : record_result(r, outcome);
}

static bool holds(struct release *r, enum message wanted)
{
    struct walk walk = walk_of(MESSAGE_FROM_BACKEND);
    const uint8_t *at = buf_at(&r->held);
    size_t left = buf_len(&r->held);
    enum message m;
    uint32_t body_len;
    enum walk_step step;
    do
        step = walk_next(&walk, &at, &left, &m, &body_len);
    while ((step == WALK_HEADER && m != wanted) || step == WALK_BODY);
    return step == WALK_HEADER;
}

/* On record: what stands there as this session's last rows and bytes never left. The statement ends
   with an error, and a moment later the session, with its grant: a client that heard both at once
   would lose the first. */
static void refuse_budget(struct release *r)
{
    struct session *s = r->session;
    struct record record;
    struct err e;
    char address[64];
    budget_error(s, r->unpaid, &e);
    session_record(s, &record, RECORD_DENIAL, address);
    record.statement = r->statement;
    record.rule = "grant-budget";
    record.outcome = err_state_of(&e);
    record.detail = e.line;
    if (release_record(r, &record) < 0)
        return;
    s->grant->refused_ms = clock_mono_ms();
    if (!walk_at_boundary(&r->sent)) {
        session_fatal(s, &e);
        return;
    }
    bool is_ready = holds(r, MESSAGE_READY_FOR_QUERY);
    buf_wipe_done(&r->held);
    r->whole = 0;
    r->rows = r->bytes = 0; /* of the last result, if it is not on record yet */
    r->news = false;
    person_say(s, &e, is_ready);
}

bool release_refuse(struct release *r)
{
    const struct grant *g = r->session->grant;
    if (g == NULL || g->refused_ms != 0 || r->unpaid.rows + r->unpaid.bytes == 0)
        return false;
    refuse_budget(r);
    return true;
}

/* Is there enough left of the grant's budget for all that is held? */
static bool pay(struct release *r)
{
    static const struct budget_amount nothing;
    if (r->session->grant != NULL && r->session->grant->refused_ms != 0)
        return false;
    if (r->unpaid.rows == 0 && r->unpaid.bytes == 0)
        return true;
    enum budget_answer answer = budget_take(r->session, r->unpaid);
    if (answer == BUDGET_GOOD)
        r->unpaid = nothing;
    else if (answer == BUDGET_USED_UP)
        refuse_budget(r);
    return answer == BUDGET_GOOD; /* WAITING: the worker's tick comes back here */
}

void release_kick(struct release *r)
{
    struct session *s = r->session;
    while (!r->wait.waiting && buf_len(&r->held) > 0 && s->state == SESSION_PERSON) {
        if (stream_queued(&s->stream) > SESSION_QUEUE_HIGH)
            return; /* the client is slow; on_drained comes back here */
        if (!pay(r) || release_disclose(r) < 0 || (r->news && record_result(r, "") < 0))
            return;
        /* a message longer than all that may be held goes in parts */
        r->mark = r->whole > 0                            ? r->whole
                  : buf_len(&r->held) > RELEASE_HELD_HIGH ? buf_len(&r->held)
                                                          : 0;
        if (r->mark == 0)
            return; /* the rest of the message comes back here */
        r->demand[RECORD_DURABLE] = r->last_seq;
        memcpy(r->mark_demand, r->demand, sizeof(r->mark_demand));
        if (await(r))
            return;
        if (!may_leave(r))
            return;
        let_go(r, r->mark);
    }
}

bool release_is_empty(const struct release *r)
{
    return buf_len(&r->held) == 0;
}
