/* link.h - one connection to a database server, from connect to the end.
 *
 *   CONNECTING -> TLS_ASKED -> TLS -> AUTH -> STARTING -> READY <-> RUNNING        any -> CLOSED
 *                 (only where the configuration wants TLS)      \-> CANCELLING (cancel requests)
 *
 * Until READY only the server's own words are believed, with every length checked; a server that
 * asks for an md5 or clear-text password is refused. The servers of a region are tried in order
 * until one is what was asked for: `in_hot_standby`, which servers report since PostgreSQL 14,
 * tells a primary from a standby without a query. In RUNNING the link runs one statement of the
 * gate's own and shows nobody the answer. */
#ifndef RF_GATE_LINK_H
#define RF_GATE_LINK_H

#include "gate/settings.h"
#include "gate/snapshot.h"
#include "io/stream.h"
#include "wire/backend.h"
#include "wire/message.h"

struct scram_client;
struct link;

enum link_state {
    LINK_CLOSED,
    LINK_CONNECTING,
    LINK_TLS_ASKED,
    LINK_TLS,
    LINK_AUTH,
    LINK_STARTING,
    LINK_READY,
    LINK_RUNNING,
    LINK_CANCELLING,
    LINK_STATE_COUNT
};

enum link_use { LINK_USE_PRIMARY, LINK_USE_STANDBY, LINK_USE_CANCEL };

struct link_ops {
    void (*on_ready)(struct link *l); /* connected; for a cancel request: delivered */
    void (*on_failed)(struct link *l, const struct err *why); /* never became ready; is closed */
    void (*on_data)(struct link *l, const uint8_t *bytes, size_t n); /* READY */
    void (*on_end)(struct link *l, const char *why); /* was ready; the owner closes */
    void (*on_drained)(struct link *l);
    void (*on_ran)(struct link *l, const struct err *why); /* link_run() ended; NULL: well */
};

struct link {
    struct stream stream;
    const struct link_ops *ops;
    struct snapshot *snapshot; /* held */
    const struct snapshot_database *database;
    enum link_state state;
    enum link_use use;
    const struct snapshot_address *hosts;
    size_t host_count, host_at;
    const struct snapshot_address *address; /* of the server connected to */
    char *role;
    struct settings wanted;     /* for the startup packet */
    struct settings parameters; /* as the server reports them */
    struct backend_key key;
    struct timer timer;
    struct buf in; /* a message in parts: start-up and RUNNING only */
    struct scram_client *scram;
    bool role_refused; /* a server did not let the role in (SQLSTATE class 28) */
    bool proven;       /* SCRAM: the server has proven itself, too */
    bool ran_badly;
    int64_t born_ms;
    struct err failure;
};

/* A link for ROLE (copied) in DATABASE; not connected yet. */
RF_CHECK int link_init(struct link *l, struct loop *loop, struct snapshot *snapshot,
                       const struct snapshot_database *database, enum link_use use,
                       const char *role, const struct link_ops *ops);

/* Start connecting; on_ready or on_failed follows, never from inside. Parameters for the startup
   packet are put into l->wanted before. */
void link_connect(struct link *l);

/* Deliver a cancel request to the server of TARGET; L was made with LINK_USE_CANCEL. */
void link_cancel(struct link *l, const struct link *target);

/* Run SQL (one simple query) of the gate's own on a READY link that owes no answer. */
void link_run(struct link *l, const char *sql);

/* Note a ParameterStatus that went by in READY. */
RF_CHECK int link_note_parameter(struct link *l, struct rd body);

void link_close(struct link *l); /* says Terminate if it can; frees what it holds; harmless twice */

#endif
