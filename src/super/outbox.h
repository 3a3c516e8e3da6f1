/* outbox.h - messages to one child that its socket had no room for yet. */
#ifndef RF_SUPER_OUTBOX_H
#define RF_SUPER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "priv/imsg.h"

struct outbox_message;

struct outbox {
    struct outbox_message *first, **last;
    size_t count;
};

enum { OUTBOX_MAX = 2048 }; /* a child that leaves so many unread is as good as dead */

void outbox_init(struct outbox *o);
void outbox_done(struct outbox *o); /* drops what is left, closes its descriptors */
bool outbox_is_empty(const struct outbox *o);

/* Queue a message. The descriptors are duplicated: the caller keeps its own. */
RF_CHECK int outbox_add(struct outbox *o, enum imsg_type type, uint32_t arg, const void *payload,
                        size_t len, const int *fds, size_t fd_count, struct err *err);

/* Send as much as FD takes: 0, also when some is left, or -RF_ESYS. */
RF_CHECK int outbox_flush(struct outbox *o, int fd);

#endif
