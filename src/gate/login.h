/* login.h - the part of a session before admission: first packet, TLS, proof of identity, decision.
 */
#ifndef RF_GATE_LOGIN_H
#define RF_GATE_LOGIN_H

#include "gate/session.h"

struct scram_server;

/* Lives until the greeting or the end. */
struct login {
    size_t packet_len;
    uint8_t packet[STARTUP_LENGTH_MAX];
    struct startup startup;
    struct scram_server *scram;
    bool has_startup; /* the session packet has been read */
    bool direct_tls;
    int64_t admission_until_ms;
    int64_t grant_until_ms; /* how long an unknown grant may yet come */
};

/* S has been accepted. Where too many logins are unfinished, the oldest of them makes room: an
   honest one takes a fraction of a second and is never the oldest for long. */
void login_begin(struct session *s);
/* Bytes from a client that is not admitted yet have been put into s->in. */
void login_on_data(struct session *s);
void login_on_tls(struct session *s);   /* the handshake is done */
void login_on_timer(struct session *s); /* ADMISSION: look again */
void login_free(struct session *s);

/* What the policy says of this session as it stands (actor, database, addresses). */
struct decision login_decide(const struct session *s);

#endif
