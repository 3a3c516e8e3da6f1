#include "super/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

struct outbox_message {
    struct outbox_message *next;
    enum imsg_type type;
    uint32_t arg;
    int fds[IMSG_FDS_MAX];
    size_t fd_count;
    size_t len;
    uint8_t payload[];
};

void outbox_init(struct outbox *o)
{
    *o = (struct outbox){ .first = NULL };
    o->last = &o->first;
}

static void message_free(struct outbox_message *m)
{
    for (size_t i = 0; i < m->fd_count; i++)
        fd_close(&m->fds[i]);
    mem_free(m);
}

static void drop_first(struct outbox *o)
{
    struct outbox_message *m = o->first;
    o->first = m->next;
    if (o->first == NULL)
        o->last = &o->first;
    o->count--;
    message_free(m);
}

void outbox_done(struct outbox *o)
{
    while (o->first != NULL)
        drop_first(o);
}

bool outbox_is_empty(const struct outbox *o)
{
    return o->first == NULL;
}

int outbox_add(struct outbox *o, enum imsg_type type, uint32_t arg, const void *payload, size_t len,
               const int *fds, size_t fd_count, struct err *err)
{
    if (o->count >= OUTBOX_MAX || len > IMSG_PAYLOAD_MAX || fd_count > IMSG_FDS_MAX)
        return err_set(err, RF_ETOOBIG, "too many messages wait");
    struct outbox_message *m = mem_zalloc(1, sizeof(*m) + len);
    if (m == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a message");
    m->type = type;
    m->arg = arg;
    m->len = len;
    if (len > 0)
        memcpy(m->payload, payload, len);
    for (; m->fd_count < fd_count; m->fd_count++) {
        m->fds[m->fd_count] = fcntl(fds[m->fd_count], F_DUPFD_CLOEXEC, 0);
        if (m->fds[m->fd_count] < 0) {
            int rc = err_sys(err, "could not duplicate a descriptor");
            message_free(m);
            return rc;
        }
    }
    *o->last = m;
    o->last = &m->next;
    o->count++;
    return 0;
}

int outbox_flush(struct outbox *o, int fd)
{
    while (o->first != NULL) {
        struct outbox_message *m = o->first;
        int rc = imsg_send(fd, m->type, m->arg, m->payload, m->len, m->fds, m->fd_count);
        if (rc == -RF_ESYS && (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS))
            return 0;
        if (rc < 0)
            return rc;
        drop_first(o);
    }
    return 0;
}
