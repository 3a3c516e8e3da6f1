#include "gate/inspector.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

struct inspector {
    struct loop *loop;
    struct io io;
    struct task task;
    struct timer patience;
    void (*on_bad)(void *arg);
    void *bad_arg;
    struct inspection *first; /* asked first; in front is the one in flight */
    bool in_flight, orphaned; /* orphaned: whose question it was is gone */
    uint32_t id;
    struct guard_report report; /* 100 statements: too large for the stack */
};

static void pop(struct inspector *i, const struct guard_report *report)
{
    struct inspection *q = i->first;
    i->in_flight = false;
    if (i->orphaned || q == NULL) {
        i->orphaned = false;
        return;
    }
    i->first = q->next;
    q->waiting = false;
    mem_free_secret(q->sql, q->len);
    q->sql = NULL;
    q->on_report(q, report);
}

/* A parser that a hostile text has taken over may say anything: its statements must lie within the
   text that was asked about. */
static bool fits(const struct inspector *i)
{
    size_t len = i->first != NULL ? i->first->len : 0;
    for (uint32_t k = 0; !i->orphaned && k < i->report.count; k++) {
        const struct guard_statement *s = &i->report.statements[k];
        if (s->offset > len || s->len > len - s->offset)
            return false;
    }
    return true;
}

static void too_complex(struct inspector *i)
{
    i->report = (struct guard_report){ .id = i->id, .status = GUARD_TOO_COMPLEX };
    pop(i, &i->report);
}

/* There is no parser any more; the supervisor sends the next one. */
static void lose(struct inspector *i)
{
    io_close(&i->io);
    loop_timer(i->loop, &i->patience, INSPECTOR_PATIENCE_MS);
}

static void complain(struct inspector *i)
{
    if (i->on_bad != NULL)
        i->on_bad(i->bad_arg);
}

static void on_patience(struct timer *t)
{
    struct inspector *i = RF_OWNER(t, struct inspector, patience);
    loop_timer(i->loop, t, INSPECTOR_PATIENCE_MS);
    complain(i);
}

static void send_next(struct inspector *i)
{
    struct buf request;
    struct inspection *q = i->first;
    if (q == NULL || i->in_flight || i->io.fd < 0)
        return;
    buf_init(&request, GUARD_MESSAGE_MAX);
    i->in_flight = true;
    i->id++;
    int rc = guard_request_write(&request, i->id, q->sql, q->len);
    if (rc < 0) {
        too_complex(i);
        loop_task(i->loop, &i->task);
    } else {
        ssize_t n = io_send_now(&i->io, buf_at(&request), buf_len(&request));
        if (n != (ssize_t)buf_len(&request)) { /* packets go whole or not at all */
            log_warn("parser_lost", "reason=\"could not send\"");
            i->in_flight = false;
            lose(i);
        }
    }
    buf_wipe_done(&request);
}

static void on_task(struct task *t)
{
    send_next(RF_OWNER(t, struct inspector, task));
}

static void on_recv(struct io *io, const uint8_t *bytes, ssize_t n)
{
    struct inspector *i = RF_OWNER(io, struct inspector, io);
    if (n <= 0) {
        log_warn("parser_lost", "in_flight=%d", i->in_flight);
        lose(i);
        if (i->in_flight)
            too_complex(i); /* it died over this text */
        return;
    }
    loop_task(i->loop, &i->task);
    if (guard_report_read(bytes, (size_t)n, &i->report) < 0 || i->report.id != i->id ||
        !i->in_flight || !fits(i)) {
        log_error("parser_answer_malformed", "bytes=%zd", n);
        lose(i);
        complain(i);
        if (i->in_flight)
            too_complex(i);
        return;
    }
    pop(i, &i->report);
}

static const struct io_ops inspector_io_ops = { .on_recv = on_recv };

int inspector_new(struct loop *l, struct inspector **ret, struct err *err)
{
    struct inspector *i = mem_zalloc(1, sizeof(*i));
    if (i == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the inspector");
    i->loop = l;
    i->task.fn = on_task;
    i->patience.fn = on_patience;
    io_init(&i->io, l, &inspector_io_ops);
    *ret = i;
    return 0;
}

void inspector_free(struct inspector *i)
{
    if (i == NULL)
        return;
    loop_task_cancel(i->loop, &i->task);
    loop_timer_stop(i->loop, &i->patience);
    io_close(&i->io);
    mem_free(i);
}

void inspector_complain_to(struct inspector *i, void (*on_bad)(void *arg), void *arg)
{
    i->on_bad = on_bad;
    i->bad_arg = arg;
}

void inspector_connect(struct inspector *i, int fd)
{
    io_close(&i->io);
    loop_timer_stop(i->loop, &i->patience);
    if (i->in_flight)
        too_complex(i);
    io_open(&i->io, fd);
    if (io_recv_start(&i->io) < 0)
        lose(i);
    loop_task(i->loop, &i->task);
}

int inspector_ask(struct inspector *i, struct inspection *q, const char *sql, size_t len)
{
    RF_ASSERT(!q->waiting);
    if (len > GUARD_SQL_MAX)
        return -RF_ETOOBIG;
    q->sql = mem_strndup(sql, len);
    if (q->sql == NULL)
        return -RF_ENOMEM;
    q->len = len;
    q->next = NULL;
    q->waiting = true;
    struct inspection **at = &i->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = q;
    loop_task(i->loop, &i->task);
    return 0;
}

void inspector_forget(struct inspector *i, struct inspection *q)
{
    if (!q->waiting)
        return;
    if (i->first == q && i->in_flight)
        i->orphaned = true;
    for (struct inspection **at = &i->first; *at != NULL; at = &(*at)->next)
        if (*at == q) {
            *at = q->next;
            break;
        }
    mem_free_secret(q->sql, q->len);
    q->sql = NULL;
    q->waiting = false;
}
