/* crowd.h - who is connected: how many at all and from one address, and until when each may take.
 *
 * Every connection has a deadline, which its bytes do not move: for the request that is to come
 * (however slowly it comes), and for the reply to be taken (by its length). Past it the socket is
 * shut down, and so is the one that has waited longest for its request when there is no room for
 * somebody new: whoever opens connections and says nothing shuts nobody out.
 *
 * Addresses are counted, not kept: an IPv4 address, the /64 of an IPv6 one (whoever has one address
 * of it has all); unix sockets not at all, since one proxy stands for many. */
#ifndef RF_HUB_CROWD_H
#define RF_HUB_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

enum {
    CROWD_FIRST_MS = 15 * 1000, /* from the connection to the end of its first request */
    CROWD_NEXT_MS = 30 * 1000,  /* from a reply to the end of the next request */
    CROWD_REPLY_MS = 30 * 1000, /* for a reply, and more by this rate: */
    CROWD_REPLY_BYTES_PER_MS = 16,
    CROWD_SWEEP_MS = 500,
};

enum visitor_state { VISITOR_NONE, VISITOR_ASKS, VISITOR_TAKES };

struct visitor {
    enum visitor_state state;
    int fd; /* borrowed: whoever serves it closes it */
    bool is_ended;
    uint64_t address; /* 0: not counted */
    int64_t since_ms; /* in this state */
    int64_t due_ms;
};

struct crowd {
    struct visitor *list;
    size_t slots; /* more than `max`: those that were ended go a moment later */
    size_t max, max_per_address;
    size_t count;  /* not ended */
    size_t taking; /* a reply is on its way */
    int64_t sweep_ms;
    uint64_t refused, slow, displaced; /* for ever: no room; past a deadline; made room */
};

RF_CHECK int crowd_init(struct crowd *c, size_t max, size_t max_per_address, struct err *err);
void crowd_done(struct crowd *c);

/* A connection FD comes from ADDRESS: its visitor, or NULL: there is no room, close it. */
RF_CHECK struct visitor *crowd_enter(struct crowd *c, int fd, const struct sockaddr *address,
                                     int64_t now_ms);
void crowd_leave(struct crowd *c, struct visitor *v); /* before FD is closed */

/* A reply of LEN bytes begins; it was taken. */
void crowd_reply(struct crowd *c, struct visitor *v, uint64_t len, int64_t now_ms);
void crowd_taken(struct crowd *c, struct visitor *v, int64_t now_ms);

/* End all whose time is over, and those that have closed their side and ask nothing; cheap when it
   is not due. */
void crowd_sweep(struct crowd *c, int64_t now_ms);

#endif
