/* recorder.c
 *
 * `pending` holds the framed RECORD messages acked+1 … last, back to back. `sent` counts how many
 * of its bytes the current connection has been given. Sending happens once a turn of the loop, so
 * that the records of all sessions of that turn share one system call and one fdatasync.
 *
 * The ledger lets a statement wait for the record of its answer, so that one sync does for both
 * (docs/decisions/0020). Where somebody waits for a statement with nothing behind it, `hurry` says
 * so: `asked` is up to where the ledger knows that it is waited for.
 *
 *   DOWN    no connection            --recorder_connect-->  HELLO
 *   HELLO   said who we are          --WELCOME n-->         UP (pending up to n dropped, rest sent)
 *   UP      --ACK n-->               UP
 *   any     --REFUSED-->             REFUSED (until a new connection)      any --end--> DOWN
 *
 * A line that the ledger ends while it lives comes back when somebody asks for it:
 * recorder_complain_to(). */
#include "gate/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/stream.h"
#include "wire/rd.h"

#include <sodium.h>

enum recorder_state { RECORDER_DOWN, RECORDER_HELLO, RECORDER_UP, RECORDER_REFUSED };

struct recorder {
    enum recorder_state state;
    struct loop *loop;
    struct stream stream;
    bool open;
    char name[64];
    char why[256];
    uint64_t instance, last, asked;
    bool hurry;                           /* AWAITED is to be sent behind all that is pending */
    uint64_t reached[RECORD_LEVEL_COUNT]; /* of DURABLE: acknowledged, no longer in `pending` */
    struct buf pending, answers;
    size_t sent;
    struct task send_task;
    struct timer patience; /* while DOWN */
    void (*on_lost)(void *arg);
    void *lost_arg;
    struct {
        struct recorder_wait *first, *end;
    } waits[RECORD_LEVEL_COUNT];
};

static void send_awaited(struct recorder *r)
{
    struct buf message;
    buf_init(&message, 16);
    r->hurry = false;
    /* without memory for it the ledger's own patience ends the wait */
    if (record_awaited_write(&message) == 0)
        RF_NEGLECT(stream_write(&r->stream, buf_at(&message), buf_len(&message))); /* on_end */
    buf_done(&message);
}

static void send_pending(struct recorder *r)
{
    if (r->state != RECORDER_UP || stream_queued(&r->stream) > 0)
        return;
    size_t len = buf_len(&r->pending) - r->sent;
    if (len > LOOP_RECV_MAX)
        len = LOOP_RECV_MAX;
    if (len == 0) {
        if (r->hurry)
            send_awaited(r);
        return;
    }
    if (stream_write(&r->stream, buf_at(&r->pending) + r->sent, len) < 0)
        return; /* on_end follows */
    r->sent += len;
    if (buf_len(&r->pending) > r->sent || r->hurry)
        loop_task(r->loop, &r->send_task);
}

static void on_send_task(struct task *t)
{
    send_pending(RF_OWNER(t, struct recorder, send_task));
}

static void wake(struct recorder *r, enum record_level level)
{
    struct recorder_wait *w;
    while ((w = r->waits[level].first) != NULL && w->seq <= r->reached[level]) {
        recorder_forget(r, w);
        w->on_reached(w);
    }
}

/* All records up to SEQ are durable: forget their bytes, wake who waits. */
static void acknowledge(struct recorder *r, uint64_t seq)
{
    while (r->reached[RECORD_DURABLE] < seq && buf_len(&r->pending) >= 4) {
        struct rd head = rd_of(buf_at(&r->pending), 4);
        size_t len = 4 + (size_t)rd_u32(&head);
        RF_ASSERT(len <= buf_len(&r->pending));
        r->sent = r->sent > len ? r->sent - len : 0;
        buf_consume(&r->pending, len);
        r->reached[RECORD_DURABLE]++;
    }
    wake(r, RECORD_DURABLE);
}

static void refuse(struct recorder *r, const char *why, size_t len)
{
    r->state = RECORDER_REFUSED;
    (void)snprintf(r->why, sizeof(r->why), "%.*s", (int)(len < 200 ? len : 200), why);
    log_error("ledger_refused", "reason=\"%s\"", r->why);
}

/* A ledger that started again begins at zero: what was reached stays reached. */
static bool on_reached(struct recorder *r, struct rd *body)
{
    uint64_t seq[RECORD_LEVEL_COUNT] = { 0 };
    for (int level = RECORD_SIGNED; level < RECORD_LEVEL_COUNT; level++)
        seq[level] = rd_u64(body);
    if (!rd_done(body) || r->state != RECORDER_UP)
        return false;
    for (int level = RECORD_SIGNED; level < RECORD_LEVEL_COUNT; level++) {
        if (seq[level] > r->last)
            return false;
        if (seq[level] > r->reached[level])
            r->reached[level] = seq[level];
    }
    for (int level = RECORD_SIGNED; level < RECORD_LEVEL_COUNT; level++)
        wake(r, (enum record_level)level);
    return true;
}

/* One answer of the ledger; false when it is not one. */
static bool on_answer(struct recorder *r, struct rd body)
{
    switch (rd_u8(&body)) {
    case RECORD_ANSWER_WELCOME: {
        uint64_t durable = rd_u64(&body);
        if (rd_done(&body) && durable == 0)
            durable = r->reached[RECORD_DURABLE]; /* it no longer knows us: our entries are in older
                                                     segments */
        if (!rd_done(&body) || r->state != RECORDER_HELLO || durable > r->last ||
            durable < r->reached[RECORD_DURABLE])
            return false;
        r->state = RECORDER_UP;
        acknowledge(r, durable);
        r->sent = 0;
        r->hurry = r->waits[RECORD_DURABLE].first != NULL;
        loop_task(r->loop, &r->send_task);
        return true;
    }
    case RECORD_ANSWER_ACK: {
        uint64_t seq = rd_u64(&body);
        if (!rd_done(&body) || r->state != RECORDER_UP || seq > r->last)
            return false;
        acknowledge(r, seq);
        return true;
    }
    case RECORD_ANSWER_REACHED:
        return on_reached(r, &body);
    case RECORD_ANSWER_REFUSED: {
        size_t len = 0;
        const char *why = rd_str32(&body, &len);
        if (!rd_done(&body))
            return false;
        refuse(r, why, len);
        return true;
    }
    default:
        return false;
    }
}

static void on_end(struct stream *s, const char *why)
{
    struct recorder *r = RF_OWNER(s, struct recorder, stream);
    log_warn("ledger_lost", "reason=\"%s\" pending=%zu", why, buf_len(&r->pending));
    stream_close(&r->stream);
    buf_done(&r->answers);
    r->open = false;
    r->state = RECORDER_DOWN;
    r->sent = 0;
    loop_timer(r->loop, &r->patience, RECORDER_PATIENCE_MS);
}

static void on_patience(struct timer *t)
{
    struct recorder *r = RF_OWNER(t, struct recorder, patience);
    loop_timer(r->loop, t, RECORDER_PATIENCE_MS);
    if (r->on_lost != NULL)
        r->on_lost(r->lost_arg);
}

static void on_data(struct stream *s, const uint8_t *bytes, size_t n)
{
    struct recorder *r = RF_OWNER(s, struct recorder, stream);
    if (buf_append(&r->answers, bytes, n) < 0) {
        on_end(s, "out of memory");
        return;
    }
    while (buf_len(&r->answers) >= 4) {
        struct rd in = rd_of(buf_at(&r->answers), buf_len(&r->answers));
        uint32_t len = rd_u32(&in);
        if (len > in.left) {
            if (len > RECORD_MAX)
                on_end(s, "malformed answer");
            return;
        }
        struct rd body = rd_of(in.at, len);
        if (!on_answer(r, body)) {
            on_end(s, "malformed answer");
            return;
        }
        buf_consume(&r->answers, 4 + (size_t)len);
    }
}

static void on_drained(struct stream *s)
{
    send_pending(RF_OWNER(s, struct recorder, stream));
}

static const struct stream_ops recorder_stream_ops = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drained = on_drained,
};

int recorder_new(struct loop *l, const char *name, struct recorder **ret, struct err *err)
{
    struct recorder *r = mem_zalloc(1, sizeof(*r));
    if (r == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the recorder");
    r->loop = l;
    r->send_task.fn = on_send_task;
    r->patience.fn = on_patience;
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    randombytes_buf(&r->instance, sizeof(r->instance));
    buf_init(&r->pending, RECORDER_PENDING_MAX);
    buf_init(&r->answers, RECORD_MAX + 16);
    *ret = r;
    return 0;
}

void recorder_free(struct recorder *r)
{
    if (r == NULL)
        return;
    loop_task_cancel(r->loop, &r->send_task);
    loop_timer_stop(r->loop, &r->patience);
    if (r->open)
        stream_close(&r->stream);
    buf_wipe_done(&r->pending);
    buf_done(&r->answers);
    mem_free(r);
}

void recorder_complain_to(struct recorder *r, void (*on_lost)(void *arg), void *arg)
{
    r->on_lost = on_lost;
    r->lost_arg = arg;
}

void recorder_connect(struct recorder *r, int fd)
{
    struct buf hello;
    loop_timer_stop(r->loop, &r->patience);
    if (r->open)
        stream_close(&r->stream);
    stream_init(&r->stream, r->loop, &recorder_stream_ops);
    stream_open(&r->stream, fd);
    r->open = true;
    r->state = RECORDER_HELLO;
    r->sent = 0;
    buf_done(&r->answers);
    buf_init(&hello, 256);
    if (record_hello_write(&hello, r->instance, r->name) < 0 ||
        stream_write(&r->stream, buf_at(&hello), buf_len(&hello)) < 0)
        on_end(&r->stream, "could not greet the ledger");
    buf_done(&hello);
}

int recorder_put(struct recorder *r, const struct record *record, uint64_t *ret_seq,
                 struct err *err)
{
    if (r->state == RECORDER_REFUSED)
        return err_set(err, RF_EUNAVAIL, "the record of access cannot be written: %s", r->why);
    size_t before = buf_len(&r->pending);
    int rc = record_write(&r->pending, r->last + 1, record);
    if (rc < 0) {
        r->pending.end -= buf_len(&r->pending) - before; /* nothing half-written stays */
        return err_set(err, RF_EUNAVAIL, "the record of access cannot be queued");
    }
    *ret_seq = ++r->last;
    if (!record_is_patient(record->kind))
        r->asked = r->last;
    loop_task(r->loop, &r->send_task);
    return 0;
}

bool recorder_has_reached(const struct recorder *r, enum record_level level, uint64_t seq)
{
    return seq <= r->reached[level];
}

void recorder_await(struct recorder *r, struct recorder_wait *w, enum record_level level,
                    uint64_t seq)
{
    RF_ASSERT(!w->waiting);
    struct recorder_wait *after =
        r->waits[level].end; /* numbers grow: the right place is at or near the end */
    while (after != NULL && after->seq > seq)
        after = after->before;
    w->seq = seq;
    w->level = level;
    w->waiting = true;
    w->before = after;
    w->next = after != NULL ? after->next : r->waits[level].first;
    if (w->next != NULL)
        w->next->before = w;
    else
        r->waits[level].end = w;
    if (after != NULL)
        after->next = w;
    else
        r->waits[level].first = w;
    if (seq > r->asked) {
        r->asked = seq;
        r->hurry = true;
        loop_task(r->loop, &r->send_task);
    }
}

void recorder_forget(struct recorder *r, struct recorder_wait *w)
{
    if (!w->waiting)
        return;
    if (w->before != NULL)
        w->before->next = w->next;
    else
        r->waits[w->level].first = w->next;
    if (w->next != NULL)
        w->next->before = w->before;
    else
        r->waits[w->level].end = w->before;
    w->next = w->before = NULL;
    w->waiting = false;
}

bool recorder_available(const struct recorder *r, const char **ret_why)
{
    if (r->state == RECORDER_UP)
        return true;
    if (ret_why != NULL)
        *ret_why = r->state == RECORDER_REFUSED ? r->why : "the ledger does not answer";
    return false;
}

bool recorder_drained(const struct recorder *r)
{
    return r->reached[RECORD_DURABLE] == r->last;
}
