#include "ledger/desk.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "ledger/tally.h"
#include "policy/alerts.h"
#include "wire/rd.h"
#include "wire/wr.h"

enum desk_state { DESK_CLOSED, DESK_NEW, DESK_OPEN, DESK_REFUSED, DESK_STATE_COUNT };

enum { DESK_IN_MAX = 4 * (RECORD_MAX + 4), DESK_OUT_MAX = 2048, DESK_MARKS_MAX = 256 };

/* Records up to SEQ are among the journal's first ENTRIES. */
struct desk_mark {
    uint64_t seq, entries;
};

struct desk {
    struct journal *journal;
    struct clerk *clerk;
    uint64_t reached[RECORD_LEVEL_COUNT]; /* entries of the journal */
    const struct policy *policy;
    struct tally *tally;
    /* The batch may wait => of what was appended since the last commit everything is a statement:
       `patient` of them. Whatever else anybody appends makes the journal count more. */
    uint64_t committed, patient;
    bool is_awaited;                              /* it may not: somebody waits, or will */
    int64_t due_ms;                               /* until when; 0: not asked yet */
    char reason[sizeof(((struct err *)0)->line)]; /* why everybody is refused; "" while alive */
    struct desk_worker *workers[DESK_WORKERS_MAX];
    size_t count;
};

/* What a registrar waits for. */
enum desk_ref {
    REF_NOT_DUE,
    REF_SOUGHT, /* said again: to be looked for in the journal, once that is committed */
    REF_KNOWN   /* goes out behind the acknowledgement */
};

struct desk_worker {
    struct desk *desk;
    enum desk_guest guest;
    enum desk_state state;
    uint64_t instance;
    char name[RECORD_WORD_MAX + 1];
    struct buf in, out;
    bool ack_due; /* after the next commit */
    bool ack_now; /* committed; goes out when the output is empty */
    enum desk_ref awaits;
    uint64_t ref_seq;
    char ref[RECORD_REF_SIZE];
    /* What is durable and not witnessed yet, oldest first; when there is no room the newest takes
       in more, which only delays. */
    struct desk_mark marks[DESK_MARKS_MAX];
    size_t mark_count;
    uint64_t reached[RECORD_LEVEL_COUNT], told[RECORD_LEVEL_COUNT]; /* seqs */
};

int desk_new(struct journal *journal, struct clerk *clerk, const struct policy *policy,
             const char *reason, struct desk **ret, struct err *err)
{
    struct desk *d = mem_zalloc(1, sizeof(*d));
    if (d == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = tally_new(&d->tally, err);
    if (rc < 0) {
        mem_free(d);
        return rc;
    }
    d->journal = journal;
    d->clerk = clerk;
    d->policy = policy;
    if (journal != NULL)
        d->committed = journal_next_index(journal);
    else
        (void)snprintf(d->reason, sizeof(d->reason), "%s", reason);
    *ret = d;
    return 0;
}

void desk_free(struct desk *d)
{
    if (d == NULL)
        return;
    while (d->count > 0)
        desk_worker_free(d->workers[d->count - 1]);
    tally_free(d->tally);
    mem_free(d);
}

void desk_set_policy(struct desk *d, const struct policy *policy)
{
    d->policy = policy;
}

int desk_worker_new(struct desk *d, enum desk_guest guest, struct desk_worker **ret,
                    struct err *err)
{
    if (d->count == DESK_WORKERS_MAX)
        return err_set(err, RF_ETOOMANY, "more than %d connections of workers",
                       (int)DESK_WORKERS_MAX);
    struct desk_worker *w = mem_zalloc(1, sizeof(*w));
    if (w == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    w->desk = d;
    w->guest = guest;
    w->state = DESK_NEW;
    buf_init(&w->in, DESK_IN_MAX);
    buf_init(&w->out, DESK_OUT_MAX);
    d->workers[d->count++] = w;
    *ret = w;
    return 0;
}

void desk_worker_free(struct desk_worker *w)
{
    if (w == NULL)
        return;
    struct desk *d = w->desk;
    for (size_t i = 0; i < d->count; i++)
        if (d->workers[i] == w) {
            d->workers[i] = d->workers[--d->count];
            break;
        }
    buf_wipe_done(&w->in); /* statements of people */
    buf_done(&w->out);
    mem_free(w);
}

const char *desk_worker_name(const struct desk_worker *w)
{
    return w->name;
}

uint8_t *desk_room(struct desk_worker *w, size_t *ret_len)
{
    enum { PIECE = 64 * 1024 };
    size_t room = w->in.max - buf_len(&w->in);
    uint8_t *to = room > 0 ? buf_reserve(&w->in, room < PIECE ? room : PIECE) : NULL;
    *ret_len = to == NULL ? 0 : room < PIECE ? room : PIECE;
    return to;
}

void desk_fed(struct desk_worker *w, size_t n)
{
    buf_grew(&w->in, n);
}

bool desk_is_full(const struct desk *d)
{
    return d->journal != NULL && journal_pending(d->journal) >= JOURNAL_BATCH_MAX;
}

/* The whole message at the front: its length after the length word; 0 none yet. */
static int message_len(const struct desk_worker *w, size_t *ret)
{
    struct rd r =
        rd_of(w->in.data != NULL ? w->in.data + w->in.off : (uint8_t *)"", buf_len(&w->in));
    size_t len = rd_u32(&r);
    *ret = 0;
    if (r.bad)
        return 0;
    if (len == 0 || len > RECORD_MAX)
        return -RF_EPROTO;
    if (len <= r.left)
        *ret = len;
    return 0;
}

bool desk_has_message(const struct desk_worker *w)
{
    size_t len;
    return message_len(w, &len) < 0 || len > 0; /* a bad length is there to be complained about */
}

static void put_answer(struct desk_worker *w, enum record_answer type, uint64_t seq,
                       const char *reason)
{
    struct wr out = wr_to(&w->out);
    size_t reason_len = strlen(reason);
    wr_u32(&out, (uint32_t)(type == RECORD_ANSWER_REFUSED ? 1 + 4 + reason_len : 1 + 8));
    wr_u8(&out, (uint8_t)type);
    if (type == RECORD_ANSWER_REFUSED)
        wr_str32(&out, reason, reason_len);
    else
        wr_u64(&out, seq);
    if (!wr_done(&out)) /* no memory for a few bytes: the worker hears end of file instead */
        w->state = DESK_CLOSED;
}

static void put_leaf(struct desk_worker *w)
{
    struct wr out = wr_to(&w->out);
    size_t len = strlen(w->ref);
    wr_u32(&out, (uint32_t)(1 + 8 + 4 + len));
    wr_u8(&out, RECORD_ANSWER_LEAF);
    wr_u64(&out, w->ref_seq);
    wr_str32(&out, w->ref, len);
    w->awaits = REF_NOT_DUE;
    if (!wr_done(&out))
        w->state = DESK_CLOSED;
}

static void put_reached(struct desk_worker *w)
{
    struct wr out = wr_to(&w->out);
    wr_u32(&out, 1 + 8 + 8);
    wr_u8(&out, RECORD_ANSWER_REACHED);
    wr_u64(&out, w->reached[RECORD_SIGNED]);
    wr_u64(&out, w->reached[RECORD_WITNESSED]);
    memcpy(w->told, w->reached, sizeof(w->told));
    if (!wr_done(&out))
        w->state = DESK_CLOSED;
}

static void refuse(struct desk_worker *w)
{
    put_answer(w, RECORD_ANSWER_REFUSED, 0, w->desk->reason);
    w->ack_due = w->ack_now = false;
    w->awaits = REF_NOT_DUE;
    if (w->state != DESK_CLOSED)
        w->state = DESK_REFUSED;
}

/* ---- levels --------------------------------------------------------------------------------- */

static void mark_reached(struct desk_worker *w);

/* What is durable now is among the entries that the journal has. */
static void mark_durable(struct desk_worker *w)
{
    const struct dedupe_instance *row = dedupe_find(journal_dedupe(w->desk->journal), w->instance);
    struct desk_mark now = { row != NULL ? row->durable : 0, journal_next_index(w->desk->journal) };
    if (w->desk->clerk == NULL || now.seq == 0)
        return;
    /* Full: of each two the later one takes in the earlier. Giving up the newest would let the
       signed level starve while witnesses are away. */
    if (w->mark_count == DESK_MARKS_MAX) {
        w->mark_count /= 2;
        for (size_t i = 0; i < w->mark_count; i++)
            w->marks[i] = w->marks[2 * i + 1];
    }
    w->marks[w->mark_count++] = now;
    mark_reached(w); /* a worker that comes back may ask about what was reached long ago */
}

static void mark_reached(struct desk_worker *w)
{
    const uint64_t *entries = w->desk->reached;
    size_t done = 0;
    for (size_t i = 0; i < w->mark_count; i++)
        for (int level = RECORD_SIGNED; level < RECORD_LEVEL_COUNT; level++)
            if (w->marks[i].entries <= entries[level] && w->marks[i].seq > w->reached[level])
                w->reached[level] = w->marks[i].seq;
    while (done < w->mark_count && w->marks[done].entries <= entries[RECORD_WITNESSED])
        done++;
    w->mark_count -= done;
    memmove(w->marks, w->marks + done, w->mark_count * sizeof(w->marks[0]));
}

void desk_reached(struct desk *d, uint64_t signed_entries, uint64_t witnessed_entries)
{
    d->reached[RECORD_SIGNED] = signed_entries;
    d->reached[RECORD_WITNESSED] = witnessed_entries;
    for (size_t i = 0; i < d->count; i++)
        mark_reached(d->workers[i]);
}

/* ---- messages ------------------------------------------------------------------------------- */

void desk_refuse(struct desk *d, const struct err *why)
{
    if (d->reason[0] != '\0')
        return;
    (void)snprintf(d->reason, sizeof(d->reason), "%s", why->line);
    for (size_t i = 0; i < d->count; i++)
        if (d->workers[i]->state == DESK_OPEN)
            refuse(d->workers[i]);
}

typedef int message_fn(struct desk_worker *w, const uint8_t *bytes, size_t n, int64_t now_ms,
                       struct err *err);

static int on_hello(struct desk_worker *w, const uint8_t *bytes, size_t n, int64_t now_ms,
                    struct err *err)
{
    (void)now_ms;
    if (record_hello_read(bytes, n, &w->instance, w->name) < 0)
        return err_set(err, RF_EPROTO, "malformed greeting of a worker");
    if (w->desk->reason[0] != '\0') {
        refuse(w);
        return 0;
    }
    const struct dedupe_instance *row = dedupe_find(journal_dedupe(w->desk->journal), w->instance);
    w->state = DESK_OPEN;
    put_answer(w, RECORD_ANSWER_WELCOME, row != NULL ? row->durable : 0, "");
    mark_durable(w);
    return 0;
}

static bool may_say(const struct desk_worker *w, enum record_kind kind)
{
    if (w->guest == DESK_REGISTRAR)
        return record_is_of_registrar(kind) || kind == RECORD_DENIAL;
    return kind != RECORD_START && kind != RECORD_SERVICE && !record_is_of_registrar(kind);
}

/* Workers face the network: names that one of them invents must leave room for those that exist. */
static bool is_person_here(const struct policy *p, const struct record *record)
{
    if (record->actor == NULL || record->region == NULL ||
        policy_region_find(p, record->region) == NULL)
        return false;
    const struct policy_actor *a = policy_actor_find(p, record->actor);
    return a != NULL && a->kind == ACTOR_PERSON;
}

/* What a registrar will ask for. Rows are nobody's business where no rule asks for them. */
static void tell(struct desk *d, const struct record *record)
{
    const struct policy_alerts *a = d->policy->alerts;
    bool is_asked = record->kind == RECORD_RESULT ? a != NULL && a->rules[ALERT_HABIT].rows > 0
                                                  : record->kind == RECORD_DENIAL;
    if (is_asked && is_person_here(d->policy, record))
        tally_note(d->tally, record);
}

static int on_record(struct desk_worker *w, const uint8_t *bytes, size_t n, int64_t now_ms,
                     struct err *err)
{
    struct journal *journal = w->desk->journal;
    struct record record;
    uint64_t seq;
    if (record_read(bytes, n, &seq, &record) < 0)
        return err_set(err, RF_EPROTO, "malformed record of %s", w->name);
    if (!may_say(w, record.kind))
        return err_set(err, RF_EPROTO, "%s sent a record that is not his to send", w->name);
    if (w->awaits != REF_NOT_DUE)
        return err_set(err, RF_EPROTO, "%s did not wait for the answer to his record", w->name);
    const struct dedupe_instance *row = dedupe_find(journal_dedupe(journal), w->instance);
    w->ack_due = true;
    if (row != NULL && seq <= row->appended) { /* its acknowledgement was lost */
        w->ref_seq = seq;
        w->awaits = w->guest == DESK_REGISTRAR && seq == row->appended ? REF_SOUGHT : REF_NOT_DUE;
        return 0;
    }
    if (row != NULL && seq != row->appended + 1)
        return err_set(err, RF_EPROTO, "%s skipped from record %llu to %llu", w->name,
                       (unsigned long long)row->appended, (unsigned long long)seq);
    if (FAULT("desk.record"))
        return err_set(err, RF_ENOMEM, "out of memory for a record");
    int rc = clerk_append(w->desk->clerk, journal, w->desk->policy, &record, w->instance, seq,
                          now_ms, err);
    if (!record_is_patient(record.kind))
        w->desk->is_awaited = true;
    else if (rc == 0)
        w->desk->patient++;
    if (rc < 0 && journal_death(journal) != NULL)
        return 0; /* desk_commit() tells everybody */
    if (rc == 0 && w->guest == DESK_WORKER)
        tell(w->desk, &record);
    if (rc == 0 && w->guest == DESK_REGISTRAR) {
        clerk_ref_last(w->desk->clerk, journal, record.kind, w->ref);
        w->ref_seq = seq;
        w->awaits = REF_KNOWN;
    }
    return rc;
}

static int on_awaited(struct desk_worker *w, const uint8_t *bytes, size_t n, int64_t now_ms,
                      struct err *err)
{
    (void)bytes, (void)now_ms;
    if (n != 1)
        return err_set(err, RF_EPROTO, "malformed message of %s", w->name);
    w->desk->is_awaited = true;
    return 0;
}

static int on_news(struct desk_worker *w, const uint8_t *bytes, size_t n, int64_t now_ms,
                   struct err *err)
{
    struct record_news news;
    uint64_t taken;
    (void)now_ms;
    if (w->guest != DESK_REGISTRAR || w->awaits != REF_NOT_DUE ||
        record_news_asked(bytes, n, &taken) < 0)
        return err_set(err, RF_EPROTO, "malformed question of %s", w->name);
    bool is_any = tally_next(w->desk->tally, taken, &news);
    return record_news_write(&w->out, is_any ? &news : NULL) < 0
               ? err_set(err, RF_ENOMEM, "out of memory for what a registrar asks")
               : 0;
}

static int on_dropped(struct desk_worker *w, const uint8_t *bytes, size_t n, int64_t now_ms,
                      struct err *err)
{
    (void)w, (void)bytes, (void)n, (void)now_ms, (void)err;
    return 0;
}

/* An empty cell ends the conversation. */
static message_fn *const steps[DESK_STATE_COUNT][RECORD_MSG_COUNT] = {
    [DESK_NEW] = { [RECORD_MSG_HELLO] = on_hello },
    [DESK_OPEN] = { [RECORD_MSG_RECORD] = on_record,
                    [RECORD_MSG_AWAITED] = on_awaited,
                    [RECORD_MSG_NEWS] = on_news },
    [DESK_REFUSED] = { [RECORD_MSG_RECORD] = on_dropped,
                       [RECORD_MSG_AWAITED] = on_dropped,
                       [RECORD_MSG_NEWS] = on_dropped },
};

int desk_work(struct desk_worker *w, int64_t now_ms, struct err *err)
{
    size_t len;
    int rc = 0;
    while (rc == 0 && !desk_is_full(w->desk)) {
        if (message_len(w, &len) < 0) {
            rc = err_set(err, RF_EPROTO, "malformed length in a message of a worker");
            break;
        }
        if (len == 0)
            return 0;
        const uint8_t *message = buf_at(&w->in) + 4;
        message_fn *step = message[0] < RECORD_MSG_COUNT ? steps[w->state][message[0]] : NULL;
        rc = step != NULL ? step(w, message, len, now_ms, err)
                          : err_set(err, RF_EPROTO, "message %u of a worker is not expected now",
                                    message[0]);
        if (rc == 0)
            buf_consume(&w->in, 4 + len);
    }
    if (rc < 0)
        w->state = DESK_CLOSED;
    return rc;
}

/* Nothing is pending now. */
static void find_leaf(struct desk_worker *w)
{
    struct err err;
    const struct dedupe_instance *row = dedupe_find(journal_dedupe(w->desk->journal), w->instance);
    if (row == NULL || row->appended != w->ref_seq ||
        clerk_ref_of(w->desk->clerk, w->desk->journal, row->entry, w->ref, &err) < 0)
        w->state = DESK_CLOSED; /* what he says next ends it, and he begins anew */
    else
        w->awaits = REF_KNOWN;
}

int64_t desk_due_ms(struct desk *d, int64_t now_ms)
{
    bool may_wait = d->reason[0] == '\0' && !d->is_awaited && !desk_is_full(d) && d->patient > 0 &&
                    d->patient == journal_next_index(d->journal) - d->committed;
    if (!may_wait)
        return now_ms;
    if (d->due_ms == 0)
        d->due_ms = now_ms + DESK_PATIENCE_MS;
    return d->due_ms;
}

int desk_commit(struct desk *d, struct err *err)
{
    if (d->reason[0] != '\0')
        return err_set(err, RF_EUNAVAIL, "%s", d->reason);
    struct err why;
    int rc = journal_commit(d->journal, &why);
    d->committed = journal_next_index(d->journal);
    d->patient = 0;
    d->is_awaited = false;
    d->due_ms = 0;
    if (rc == 0)
        clerk_committed(d->clerk);
    if (rc < 0) {
        desk_refuse(d, &why);
        if (err != NULL)
            *err = why;
        return rc;
    }
    for (size_t i = 0; i < d->count; i++) {
        if (d->workers[i]->ack_due)
            mark_durable(d->workers[i]);
        if (d->workers[i]->awaits == REF_SOUGHT)
            find_leaf(d->workers[i]);
        d->workers[i]->ack_now |= d->workers[i]->ack_due;
        d->workers[i]->ack_due = false;
    }
    return 0;
}

struct buf *desk_answer(struct desk_worker *w)
{
    if (w->ack_now && w->state == DESK_OPEN && buf_len(&w->out) == 0) {
        const struct dedupe_instance *row =
            dedupe_find(journal_dedupe(w->desk->journal), w->instance);
        if (row != NULL)
            put_answer(w, RECORD_ANSWER_ACK, row->durable, "");
        w->ack_now = false;
        if (w->awaits == REF_KNOWN)
            put_leaf(w);
    }
    if (w->state == DESK_OPEN && buf_len(&w->out) == 0 &&
        memcmp(w->told, w->reached, sizeof(w->told)) != 0)
        put_reached(w);
    return &w->out;
}
