#include "gate/cancel.h"

#include "base/log.h"
#include "base/mem.h"
#include "gate/pool.h"

/* A pooled backend stays in memory until its canceller is done (pool_cancel_begin). A person's link
   may end first; nothing of it is used after link_cancel(). */
struct canceller {
    struct link link;
    struct backend *backend;
};

static void finish(struct link *l)
{
    struct canceller *c = RF_OWNER(l, struct canceller, link);
    struct backend *b = c->backend;
    link_close(&c->link);
    mem_free(c);
    if (b != NULL)
        pool_cancel_over(b);
}

static void on_failed(struct link *l, const struct err *why)
{
    log_err(LOG_LEVEL_WARN, "cancel_failed", why);
    finish(l);
}

static const struct link_ops cancel_link_ops = {
    .on_ready = finish,
    .on_failed = on_failed,
};

void cancel_send(struct link *target, struct backend *backend)
{
    struct canceller *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return; /* a cancel request is a wish */
    if (link_init(&c->link, target->stream.io.loop, target->snapshot, target->database,
                  LINK_USE_CANCEL, "", &cancel_link_ops) < 0) {
        mem_free(c);
        return;
    }
    c->backend = backend;
    if (backend != NULL)
        pool_cancel_begin(backend);
    link_cancel(&c->link, target);
}
