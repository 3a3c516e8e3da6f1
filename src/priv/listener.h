/* listener.h - the listening sockets: the supervisor's alone, lent to every worker and to the hub.
 *
 * They outlive workers, hubs and reloads, so connections that wait in a backlog are never lost. A
 * set belongs to one configuration, in the order of config_socket(). Sockets come from systemd
 * (sd_listen_fds(3), matched by address), from the set before, or are opened here.
 *
 * The gateway's all are open, or there is no set. The hub's may be missing: it is nobody's business
 * but its readers', so a port that is taken keeps the gateway from nothing, and
 * listeners_complete() tries again before each start of the hub. */
#ifndef RF_SUPER_LISTENER_H
#define RF_SUPER_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "policy/config.h"

enum { LISTENER_BACKLOG = 1024, LISTENER_UNIX_MODE = 0777 };

struct listener {
    int fd;         /* -1: missing */
    int from;       /* index in the set before when it is shared with it, else -1 */
    bool made_here; /* a unix socket file of ours: removed with the socket */
    dev_t dev;      /* of that file, so that nobody else's is removed */
    ino_t ino;
    char *unix_path;
};

struct listeners {
    struct listener *list;
    size_t count;
    size_t hub_from; /* the hub's are from here on */
};

/* Sockets that systemd passed. */
struct activation {
    int *fds; /* -1: taken */
    size_t count;
};

/* Reads LISTEN_PID and LISTEN_FDS and takes them out of the environment. What is not a listening
   stream socket is closed with a warning. */
RF_CHECK int activation_open(struct activation *ret, struct err *err);
void activation_done(struct activation *a); /* closes what nobody took, with a warning */

/* Open what CONFIG lists. BEFORE (NULL: none) belongs to the configuration OLD and keeps its
   sockets until listeners_adopt(). ACTIVATION may be NULL. On failure nothing is left open. */
RF_CHECK int listeners_open(const struct config *config, struct activation *activation,
                            const struct listeners *before, const struct config *old,
                            struct listeners *ret, struct err *err);

/* Open what is missing of the hub's. CONFIG is that of the set. */
RF_CHECK int listeners_complete(const struct config *config, struct listeners *l, struct err *err);

/* NEXT replaces *L: shared sockets go over, the others of *L are closed and their files removed. */
void listeners_adopt(struct listeners *l, struct listeners *next);

/* Close those of the gateway: nobody new. The hub's stay. */
void listeners_close_gateway(struct listeners *l);

/* Close and free; sockets that are shared with the set before stay its own. */
void listeners_done(struct listeners *l);

#endif
