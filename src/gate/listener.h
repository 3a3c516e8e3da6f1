/* listener.h - the listening sockets of one worker; they belong to the supervisor. */
#ifndef RF_GATE_LISTENER_H
#define RF_GATE_LISTENER_H

#include "gate/worker.h"

struct listener {
    struct io io;
    struct timer timer; /* no descriptors: when to try again */
    struct worker *worker;
    size_t index; /* in the current configuration's list */
};

/* Watch what child->listen_fds holds now, and nothing else. */
RF_CHECK int listener_open_all(struct worker *w, struct err *err);
void listener_close_all(struct worker *w);

#endif
