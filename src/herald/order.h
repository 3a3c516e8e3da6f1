/* order.h - what the herald asks the runner to run, and its answers: one packet each way over a
 * SOCK_SEQPACKET pair. The program is named by the number of its hook, never by its path. */
#ifndef RF_HERALD_ORDER_H
#define RF_HERALD_ORDER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { ORDER_BODY_MAX = 96 * 1024, ORDER_PACKET_MAX = ORDER_BODY_MAX + 256, ORDER_KIND_SIZE = 32 };

struct order {
    uint64_t ticket;            /* the herald's own */
    uint32_t hook;              /* index of the configuration's */
    char kind[ORDER_KIND_SIZE]; /* of [a-z_] */
    const char *body;           /* borrowed, no NUL */
    size_t body_len;
};

enum order_result {
    ORDER_DONE,      /* exit status 0 */
    ORDER_FAILED,    /* another one: `status` */
    ORDER_KILLED,    /* it took too long, or died of a signal */
    ORDER_UNSTARTED, /* there is no such program, or none can be started now */
    ORDER_RESULT_COUNT
};

struct order_answer {
    uint64_t ticket;
    enum order_result result;
    uint8_t status;
};

/* 0; -RF_ETIMEOUT: the other side does not read at the moment; -RF_EUNAVAIL: it is gone;
   -RF_ETOOBIG; -RF_ENOMEM. Never wait. */
RF_CHECK int order_send(int fd, const struct order *o);
RF_CHECK int order_answer_send(int fd, const struct order_answer *a);

/* 1 and *RET, whose body lies in BUF; 0: nothing is there; -RF_EUNAVAIL: the other side is gone;
   -RF_EPROTO; -RF_ENOMEM. Never wait. */
RF_CHECK int order_receive(int fd, struct buf *buf, struct order *ret);
RF_CHECK int order_answer_receive(int fd, struct order_answer *ret);

#endif
