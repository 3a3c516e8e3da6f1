/* relay.h - what the hub hands to the registrar, and its answers: one packet each way, over a
 * SOCK_SEQPACKET pair.
 *
 * The hub vouches for nothing but the addresses: what counts in a command is its signature
 * (docs/formats/commands.md). Answers may come in any order; an id is the hub's own. */
#ifndef RF_PRIV_RELAY_H
#define RF_PRIV_RELAY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    RELAY_COMMAND_MAX = 16384,
    RELAY_SIGNATURE_MAX = 8192,
    RELAY_ANSWER_MAX = 128 * 1024, /* JSON; a packet must fit the kernel's buffer */
    RELAY_PACKET_MAX = RELAY_ANSWER_MAX + 64
};

struct relay_ask {
    uint64_t id;
    bool has_address;                 /* false: it came over a unix socket */
    struct in6_addr client, listener; /* of the connection; IPv4 mapped */
    const char *command, *signature;  /* borrowed, not NUL-terminated */
    size_t command_len, signature_len;
};

struct relay_answer {
    uint64_t id;
    uint16_t status; /* of HTTP */
    const char *json;
    size_t json_len;
};

/* 0; -RF_ETIMEOUT: the other side does not read at the moment; -RF_EUNAVAIL: it is gone;
   -RF_ETOOBIG. */
RF_CHECK int relay_ask_send(int fd, const struct relay_ask *ask);
RF_CHECK int relay_answer_send(int fd, const struct relay_answer *answer);

/* 1 and *RET, which borrows from BUF; 0: nothing is there; -RF_EUNAVAIL: the other side is gone;
   -RF_EPROTO. Never wait. */
RF_CHECK int relay_ask_receive(int fd, struct buf *buf, struct relay_ask *ret);
RF_CHECK int relay_answer_receive(int fd, struct buf *buf, struct relay_answer *ret);

#endif
