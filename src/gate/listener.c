#include "gate/listener.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/session.h"

enum { LISTENER_REST_MS = 100 };

static void on_timer(struct timer *t)
{
    struct listener *l = RF_OWNER(t, struct listener, timer);
    if (io_accept_start(&l->io) < 0)
        loop_timer(l->worker->loop, t, LISTENER_REST_MS);
}

static void on_accept(struct io *io, int fd)
{
    struct listener *l = RF_OWNER(io, struct listener, io);
    if (fd < 0) {
        log_warn("accept_failed", "reason=\"%s\"", strerrordesc_np(-fd));
        io_accept_stop(io);
        loop_timer(l->worker->loop, &l->timer, LISTENER_REST_MS);
        return;
    }
    session_accept(l->worker, fd, l->index);
}

static const struct io_ops listener_io_ops = { .on_accept = on_accept };

int listener_open_all(struct worker *w, struct err *err)
{
    size_t count = w->child.listen_count;
    listener_close_all(w);
    w->listeners = mem_zalloc(count > 0 ? count : 1, sizeof(*w->listeners));
    if (w->listeners == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for listeners");
    w->listener_count = count;
    for (size_t i = 0; i < count; i++) {
        struct listener *l = &w->listeners[i];
        io_init(&l->io, w->loop, &listener_io_ops);
        l->worker = w;
        l->index = i;
        l->timer.fn = on_timer;
        if (w->child.listen_fds[i] < 0)
            continue;
        /* a descriptor of our own, so that closing it never closes the child's */
        int fd = fcntl(w->child.listen_fds[i], F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return err_sys(err, "could not watch a listening socket");
        io_open(&l->io, fd);
        if (io_accept_start(&l->io) < 0)
            return err_set(err, RF_ESYS, "could not watch a listening socket");
    }
    return 0;
}

void listener_close_all(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        if (w->listeners[i].io.fd >= 0)
            io_accept_stop(
                &w->listeners[i].io); /* before closing: epoll forgets only the last copy */
        io_close(&w->listeners[i].io);
        loop_timer_stop(w->loop, &w->listeners[i].timer);
    }
    mem_free(w->listeners);
    w->listeners = NULL;
    w->listener_count = 0;
}
