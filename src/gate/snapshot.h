/* snapshot.h - one generation of configuration, policy, credentials and TLS contexts.
 *
 * Sessions, links and pools hold the generation they began with; a reload makes a new one and the
 * old one goes when its last holder has gone. */
#ifndef RF_GATE_SNAPSHOT_H
#define RF_GATE_SNAPSHOT_H

#include <sys/socket.h>

#include "auth/credentials.h"
#include "auth/passfile.h"
#include "io/tls.h"
#include "policy/config.h"
#include "priv/child.h"

struct pool;

/* A server address, resolved when the generation was made (the event loop must not wait for DNS).
 */
struct snapshot_address {
    const struct config_host *host;
    struct sockaddr_storage address;
    socklen_t len;
    char path[256]; /* unix sockets: the socket's own path; "" otherwise */
};

struct snapshot_database {
    const struct config_database *config;
    unsigned index;          /* in the configuration; also of its lease */
    struct tls_context *tls; /* NULL: off */
    struct passfile *passfile;
    struct snapshot_address *primary, *standby;
    size_t primary_count, standby_count;
};

struct snapshot {
    unsigned references;
    struct config *config;
    struct policy *policy;
    struct credentials *credentials;
    struct tls_context *tls; /* towards clients; NULL when not configured */
    struct snapshot_database *databases;
    struct pool *pools;
    bool retired; /* a newer generation serves new sessions */
};

/* CONFIG and POLICY become the snapshot's on success. */
RF_CHECK int snapshot_new(struct config *config, struct policy *policy, const char *credentials,
                          size_t credentials_len, struct snapshot **ret, struct err *err);
struct snapshot *snapshot_share(struct snapshot *s);
void snapshot_release(struct snapshot *s); /* NULL is welcome */

const struct snapshot_database *snapshot_database_find(const struct snapshot *s, const char *alias);

#endif
