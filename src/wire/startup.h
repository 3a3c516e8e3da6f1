/* startup.h - the first packet of a connection: no type byte, a length, a code, a body.
 *
 * PostgreSQL manual, "Message Flow / Start-up" and "Message Formats": StartupMessage, SSLRequest,
 * GSSENCRequest, CancelRequest, and the answer NegotiateProtocolVersion. Protocol 3.0 and 3.2 are
 * spoken; a newer minor version or a `_pq_.` option is negotiated away. */
#ifndef RF_WIRE_STARTUP_H
#define RF_WIRE_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    STARTUP_LENGTH_MIN = 8,
    STARTUP_LENGTH_MAX = 10000, /* PostgreSQL's MAX_STARTUP_PACKET_LENGTH */
    STARTUP_PARAMETERS_MAX = 64,
    STARTUP_PROTOCOL_OPTIONS_MAX = 16,
    STARTUP_MINOR_MAX = 2, /* the newest 3.x that we speak */
    STARTUP_CANCEL_KEY_MIN = 4,
    STARTUP_CANCEL_KEY_MAX = 256 /* before 3.2 it is always 4 */
};

enum startup_kind {
    STARTUP_NONE,
    STARTUP_SESSION,
    STARTUP_SSL,
    STARTUP_GSS,
    STARTUP_CANCEL,
    STARTUP_KIND_COUNT
};

struct startup_parameter {
    const char *name, *value;
};

/* All strings borrow from the packet or from `text`: use it in place, do not copy it. About 12 kB;
   it lives for the login only. */
struct startup {
    enum startup_kind kind;

    /* STARTUP_SESSION */
    uint16_t minor;               /* as the client asked */
    uint16_t minor_agreed;        /* at most STARTUP_MINOR_MAX */
    bool negotiate;               /* answer with startup_negotiate_write() before authentication */
    bool replication;             /* asks for a replication connection, in any truthy spelling */
    const char *user;             /* never empty */
    const char *database;         /* the user's name when absent or empty, as PostgreSQL does */
    const char *application_name; /* "" when absent; also among the parameters */
    /* What is to be SET: first from `options`, then by name, so that a later one of the same name
       (compared without case) has replaced the earlier one. Not user, database, options,
       replication, _pq_.*. */
    struct startup_parameter parameters[STARTUP_PARAMETERS_MAX];
    size_t parameter_count;
    const char *protocol_options[STARTUP_PROTOCOL_OPTIONS_MAX]; /* `_pq_.` names, none known */
    size_t protocol_option_count;

    /* STARTUP_CANCEL */
    uint32_t cancel_pid;
    const uint8_t *cancel_key;
    size_t cancel_key_len;

    char text[STARTUP_LENGTH_MAX]; /* the words of `options`, unescaped */
};

/* The whole packet's length from its first four bytes. -RF_EPROTO outside 8..10000. */
RF_CHECK int startup_length_read(const uint8_t head[4], size_t *ret_len);

/* Read a whole packet, LEN bytes with the length word. On failure *RET is undefined and ERR has
   what PostgreSQL would say, with its SQLSTATE. A second `user`, `database`, `options` or
   `replication` is refused: no client means it, and two readers may differ on which one counts. */
RF_CHECK int startup_read(const void *packet, size_t len, struct startup *ret, struct err *err);

/* NegotiateProtocolVersion ('v') for *S. */
RF_CHECK int startup_negotiate_write(struct buf *to, const struct startup *s);

/* The packets that a client sends; 0, -RF_ETOOBIG or -RF_ENOMEM. MINOR 0 or 2. */
RF_CHECK int startup_session_write(struct buf *to, uint16_t minor,
                                   const struct startup_parameter *parameters, size_t count);
RF_CHECK int startup_ssl_write(struct buf *to);
RF_CHECK int startup_gss_write(struct buf *to);
RF_CHECK int startup_cancel_write(struct buf *to, uint32_t pid, const uint8_t *key, size_t key_len);

#endif
