/* session.h - one client connection, from accept to close.
 *
 *   STARTUP <-> TLS          first packet, SSLRequest, direct TLS; nothing is believed
 *   STARTUP -> SASL_FIRST -> SASL_NEXT -> ADMISSION     who it is; a proof, not a claim
 *   ADMISSION -> SERVICE     decided by policy, server connection, greeting
 *   ADMISSION -> PERSON      the same, lease and durable record first
 *   any -> ENDING -> CLOSED  one last error is on its way out
 *
 * What each state does with each message stands in one table (step.c); an empty cell refuses. */
#ifndef RF_GATE_SESSION_H
#define RF_GATE_SESSION_H

#include <netinet/in.h>

#include "gate/settings.h"
#include "gate/step.h"
#include "gate/worker.h"
#include "io/stream.h"
#include "policy/decide.h"
#include "wire/startup.h"

struct grant;
struct login;
struct person;
struct service;

enum { SESSION_SECRET_LEN = 32, SESSION_IN_MAX = 2 * 1024 * 1024, SESSION_QUEUE_HIGH = 256 * 1024 };

struct session {
    struct stream stream;
    struct worker *worker;
    struct snapshot *snapshot; /* held */
    enum session_state state;
    struct timer timer;                        /* the time limit of the current state */
    struct task task;                          /* clearing up, from a fresh stack */
    int64_t active_ms;                         /* when bytes last came from or went to the client */
    struct buf in;                             /* bytes received and not yet used */
    struct login *login;                       /* until admitted */
    struct session *login_next, *login_before; /* among the worker's unfinished logins */
    struct person *person;
    struct service *service;
    const struct snapshot_database *database;
    const struct policy_actor *actor;
    struct decision decision;
    uint64_t grant_id;   /* that it asks for, or runs under; 0: none */
    struct grant *grant; /* NULL: it runs under none */
    uint8_t id[RECORD_SESSION_ID_LEN];
    uint32_t slot;
    uint16_t listen; /* index in config->listen, as of the accept */
    uint16_t port;
    struct in6_addr address;       /* of the client; :: for unix sockets */
    struct in6_addr local_address; /* that it connected to */
    uint8_t secret[SESSION_SECRET_LEN];
    uint8_t secret_len;
    bool is_unix, tls_tried, gss_tried;
};

/* The packet that began it; only until the greeting. */
const struct startup *session_startup(const struct session *s);

void session_accept(struct worker *w, int fd, size_t listen_index);

/* Say E to the client (severity FATAL) and close once it is out. Like session_close(), it frees
   nothing at once: S and what hangs on it stay valid until the callbacks of this turn are over. */
void session_fatal(struct session *s, const struct err *e);

/* Everything has been said: close once it is out. */
void session_finish(struct session *s, const char *why);

/* Close the connection now. */
void session_close(struct session *s, const char *why);

/* Admission is over, unless the session is ending or a reload no longer allows it:
 * AuthenticationOk, parameters, key, ReadyForQuery. OVERLAY replaces values. */
void session_greet(struct session *s, const struct settings *parameters,
                   const struct settings *overlay);

/* Bytes for the client; a broken connection ends the session by itself a turn later. */
void session_write(struct session *s, const void *bytes, size_t n);

/* A record about this session with the fields that all its records share. TEXT (at least 64 bytes)
   holds the client's address for as long as the record is used. */
void session_record(const struct session *s, struct record *ret, enum record_kind kind,
                    char text[64]);
RF_CHECK int session_put_record(struct session *s, const struct record *record, uint64_t *ret_seq,
                                struct err *err);

/* The key of a cancel request; a wrong one does nothing. */
void session_cancel(struct worker *w, uint32_t pid, const uint8_t *key, size_t key_len);

/* After a reload: still allowed, in the same room? Otherwise it ends. */
void session_reconsider(struct session *s);

/* If its actor is suspended now: the session ends, and what its client has not taken it does not
 * get. */
void session_heed_suspension(struct session *s);

/* The daemon stops: idle sessions end now, busy ones when they are idle. */
void session_stop(struct session *s, bool now);

#endif
