/* epoll.c - the readiness engine behind loop.h.
 *
 * Level-triggered, one recv a wake-up into the loop's one buffer, sends tried at once: a forwarded
 * query costs two recv, two send and a share of one epoll_wait, which is what the best peers reach
 * with readiness. Interest changes only under back-pressure. */
#include "io/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

enum { EVENTS_MAX = 128, WAIT_MAX_MS = 60000 };

struct loop {
    int epoll_fd;
    bool stopping;
    int64_t now_ms;
    struct timer_heap timers;
    struct task *tasks, **tasks_end;
    struct epoll_event events[EVENTS_MAX];
    int event_at, event_count;
    uint8_t buffer[LOOP_RECV_MAX];
};

int loop_new(struct loop **ret_loop, struct err *err)
{
    struct loop *l = mem_zalloc(1, sizeof(*l));
    if (l == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the event loop");
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        mem_free(l);
        return err_sys(err, "could not make an epoll descriptor");
    }
    l->tasks_end = &l->tasks;
    l->now_ms = clock_mono_ms();
    *ret_loop = l;
    return 0;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    fd_close(&l->epoll_fd);
    mem_free_secret(l, sizeof(*l)); /* the buffer held rows */
}

int64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

void loop_task(struct loop *l, struct task *t)
{
    if (t->queued)
        return;
    t->queued = true;
    t->next = NULL;
    *l->tasks_end = t;
    l->tasks_end = &t->next;
}

void loop_task_cancel(struct loop *l, struct task *t)
{
    if (!t->queued)
        return;
    for (struct task **at = &l->tasks; *at != NULL; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            if (l->tasks_end == &t->next)
                l->tasks_end = at;
            break;
        }
    t->queued = false;
}

static void run_tasks(struct loop *l)
{
    while (l->tasks != NULL) {
        struct task *t = l->tasks;
        l->tasks = t->next;
        if (l->tasks == NULL)
            l->tasks_end = &l->tasks;
        t->queued = false;
        t->fn(t);
    }
}

void loop_timer(struct loop *l, struct timer *t, int64_t after_ms)
{
    timer_set(&l->timers, t, l->now_ms + after_ms);
}

void loop_timer_stop(struct loop *l, struct timer *t)
{
    timer_unset(&l->timers, t);
}

static void run_timers(struct loop *l)
{
    struct timer *t;
    while ((t = timer_take_due(&l->timers, l->now_ms)) != NULL)
        t->fn(t);
}

void io_init(struct io *io, struct loop *l, const struct io_ops *ops)
{
    *io = (struct io){ .fd = -1, .ops = ops, .loop = l };
}

void io_open(struct io *io, int fd)
{
    RF_ASSERT(io->fd < 0);
    io->fd = fd;
}

void io_close(struct io *io)
{
    if (io->fd < 0)
        return;
    struct loop *l = io->loop;
    for (int i = l->event_at; i < l->event_count; i++)
        if (l->events[i].data.ptr == io)
            l->events[i].data.ptr = NULL; /* an event of this turn that must not find it */
    fd_close(&io->fd);                    /* also leaves the epoll set */
    io_init(io, l, io->ops);
}

/* Tell the kernel what this io waits for, if that changed. */
static int update(struct io *io)
{
    uint32_t want = 0;
    if (io->receiving || io->accepting || io->watching)
        want |= EPOLLIN;
    if (io->sending || io->connecting)
        want |= EPOLLOUT;
    if (io->registered && io->interest == want)
        return 0;
    struct epoll_event e = { .events = want | (io->accepting ? EPOLLEXCLUSIVE : 0u),
                             .data.ptr = io };
    int op = io->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (io->registered && (io->accepting || want == 0)) {
        /* an exclusive entry cannot be modified, and an idle one would still report hang-ups */
        (void)epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
        io->registered = false;
        op = EPOLL_CTL_ADD;
    }
    io->interest = want;
    if (want == 0)
        return 0;
    if (epoll_ctl(io->loop->epoll_fd, op, io->fd, &e) < 0)
        return -errno;
    io->registered = true;
    return 0;
}

int io_recv_start(struct io *io)
{
    io->receiving = true;
    return update(io);
}

void io_recv_stop(struct io *io)
{
    io->receiving = false;
    (void)update(io); /* removing interest needs no memory */
}

int io_watch(struct io *io)
{
    io->watching = true;
    return update(io);
}

int io_accept_start(struct io *io)
{
    io->accepting = true;
    return update(io);
}

void io_accept_stop(struct io *io)
{
    if (io->registered)
        (void)epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    io->registered = io->accepting = false;
}

ssize_t io_send_now(struct io *io, const void *bytes, size_t len)
{
    RF_ASSERT(!io->sending);
    for (;;) {
        ssize_t n = send(io->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    }
}

ssize_t io_send(struct io *io, const void *bytes, size_t len)
{
    ssize_t n = io_send_now(io, bytes, len);
    if (n < 0 || (size_t)n == len)
        return n;
    io->send_at = (const uint8_t *)bytes + n;
    io->send_left = len - (size_t)n;
    io->sending = true;
    int rc = update(io);
    return rc < 0 ? rc : 0;
}

int io_connect(struct io *io, const struct sockaddr *address, socklen_t len)
{
    if (connect(io->fd, address, len) < 0 && errno != EINPROGRESS)
        return -errno; /* EAGAIN: a unix socket whose backlog is full, no attempt is under way */
    io->connecting =
        true; /* also when it is connected already: EPOLLOUT says so on the next turn */
    return update(io);
}

static void on_connect_event(struct io *io)
{
    int failure = 0;
    socklen_t len = sizeof(failure);
    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
        failure = errno;
    io->connecting = false;
    (void)update(io);
    io->ops->on_connected(io, -failure);
}

static void on_send_event(struct io *io)
{
    io->sending = false;
    ssize_t n = io_send_now(io, io->send_at, io->send_left);
    if (n >= 0 && (size_t)n < io->send_left) {
        io->send_at += n;
        io->send_left -= (size_t)n;
        io->sending = true;
        return;
    }
    (void)update(io);
    io->ops->on_sent(io, n < 0 ? (int)n : 0);
}

static void on_recv_event(struct io *io)
{
    ssize_t n;
    do
        n = recv(io->fd, io->loop->buffer, LOOP_RECV_MAX, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    io->ops->on_recv(io, io->loop->buffer, n < 0 ? -errno : n);
}

static void on_accept_event(struct io *io)
{
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        io->ops->on_accept(io, fd);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        io->ops->on_accept(io,
                           -errno); /* readiness is level-triggered: it would come at once again */
    /* otherwise another process was faster, or the client has gone already */
}

static void dispatch(struct loop *l, int i)
{
    uint32_t happened = l->events[i].events;
    struct io *io = l->events[i].data.ptr;
    if (io == NULL)
        return;
    if (io->connecting) {
        on_connect_event(io);
        return; /* what else there is comes again */
    }
    if (io->accepting) {
        on_accept_event(io);
        return;
    }
    if (io->watching) {
        io->ops->on_readable(io);
        return;
    }
    if (io->sending && (happened & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
        on_send_event(io);
        if (l->events[i].data.ptr == NULL)
            return; /* the callback closed it */
    }
    if (io->receiving && (happened & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0)
        on_recv_event(io);
}

static int wait_ms(struct loop *l)
{
    if (l->tasks != NULL)
        return 0;
    int64_t next = timer_next_ms(&l->timers), wait = WAIT_MAX_MS;
    if (next >= 0)
        wait = next - clock_mono_ms();
    return wait < 0 ? 0 : wait > WAIT_MAX_MS ? WAIT_MAX_MS : (int)wait;
}

int loop_turn(struct loop *l, struct err *err)
{
    int n = epoll_wait(l->epoll_fd, l->events, EVENTS_MAX, wait_ms(l));
    if (n < 0 && errno != EINTR)
        return err_sys(err, "could not wait for events");
    l->now_ms = clock_mono_ms();
    l->event_count = n > 0 ? n : 0;
    for (l->event_at = 0; l->event_at < l->event_count; l->event_at++)
        dispatch(l, l->event_at);
    l->event_at = l->event_count = 0;
    run_timers(l);
    run_tasks(l);
    return 0;
}

int loop_run(struct loop *l, struct err *err)
{
    int rc = 0;
    while (rc == 0 && !l->stopping)
        rc = loop_turn(l, err);
    return rc;
}
