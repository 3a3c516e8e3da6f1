/* service_inside.h - what the three files of a service's session share.
 *
 *   service.c          beginning, end, loans of server connections
 *   service_request.c  from the client to the server
 *   service_answer.c   from the server to the client */
#ifndef RF_GATE_SERVICE_INSIDE_H
#define RF_GATE_SERVICE_INSIDE_H

#include "gate/expect.h"
#include "gate/pool.h"
#include "gate/prepared.h"
#include "gate/service.h"

enum { SERVICE_NAMED_MAX = 1024 * 1024, SERVICE_BIND_NAMES_MAX = 1024, SERVICE_BODY_MAX = 65536 };

enum service_phase {
    SERVICE_DETACHED,  /* no server connection; transaction pooling */
    SERVICE_WAITING,   /* in the pool's queue */
    SERVICE_PREPARING, /* the connection is being set to the client's parameters */
    SERVICE_ATTACHED
};

struct service {
    struct session *session;
    struct pool_wait wait;
    struct backend *backend;
    struct settings settings;    /* what the client asked for or was told */
    struct expect_queue expect;  /* transaction pooling */
    struct prepared_names names; /* transaction pooling */
    struct meter_slot *meter;
    struct walk server;
    struct buf body;      /* of a server message in parts that is looked at */
    uint32_t client_left; /* bytes of a client message that pass without a look */
    uint32_t owed;        /* ReadyForQuery still to come */
    uint8_t phase;        /* enum service_phase */
    char status;          /* of the last ReadyForQuery */
    bool pooled;          /* transaction pooling */
    uint32_t syncs;       /* of those, for a Sync behind the last Query */
    bool unsynced;        /* extended messages have gone out, and no Sync behind them */
    bool greeted, dirty;
    bool said_fatal; /* the server has told the client why it ends the session */
    bool dropping;   /* the client's message goes nowhere */
    bool copy_in;    /* the server is taking COPY data */
    uint8_t watched; /* enum message whose body is collected, or 0 */
};

/* End the session with this error. */
void service_fail(struct service *v, enum err_code code, const char *line);

/* Ask for a connection; afterwards the phase tells whether there is one to go on with at once. */
void service_attach(struct service *v);

/* Use what has been received, as far as it goes. */
void service_pump(struct service *v);

/* Pass N bytes of the server on. False: it broke the protocol. */
RF_CHECK bool service_relay(struct service *v, const uint8_t *bytes, size_t n);

#endif
