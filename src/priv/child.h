/* child.h - a child's side of its start: what the supervisor handed over, and later changes of it.
 *
 * The supervisor reads configuration, policy and credentials once and passes the very bytes as
 * sealed memory files, so that all processes of one start hold the same validated values, whatever
 * happens to the files meanwhile. A role's main runs: child_begin(), open its own files, make its
 * loop, sandbox_enter(), child_ready(), serve; and calls child_take() for each later CONFIG, LISTEN
 * and PEER message. Not for threads. */
#ifndef RF_PRIV_CHILD_H
#define RF_PRIV_CHILD_H

#include "base/clockwatch.h"
#include "base/err.h"
#include "policy/config.h"
#include "policy/policy.h"
#include "priv/imsg.h"

enum { CHILD_WORKERS_MAX = 128, CHILD_PEERS_MAX = CHILD_WORKERS_MAX + 8 };

struct child_peer {
    enum imsg_role role;
    uint32_t index;
    int fd;
};

/* What the last reload replaced. Sessions may still borrow from the old configuration and policy,
   and an event loop may still watch the old listening sockets: whoever has such borrowers moves
   this struct out (and zeroes it) before the next CONFIG, and calls child_retired_done() when the
   last one is gone. What is left in struct child is released by the next CONFIG or child_done().
   A listening socket must leave its epoll set before it is closed: the supervisor may hold the same
   one open, and epoll forgets only what nobody holds. */
struct child_retired {
    struct config *config;
    struct policy *policy;
    int *listen_fds; /* those that the new configuration does not have */
    size_t listen_count;
};

struct child {
    int imsg_fd; /* never blocks: imsg_recv() says EAGAIN */
    unsigned index;
    unsigned workers; /* of this start */
    int meter_fd;
    int lease_fd;           /* workers and control, else -1; may be closed (and -1) once mapped */
    int grants_fd;          /* likewise: the table of grants */
    int given_fd, asked_fd; /* likewise: the tables of budgets */
    struct config *config;
    struct policy *policy;
    char *credentials; /* NUL-terminated; of a worker; of the hub the file of auditors, of notary
                          and courier that of witnesses, of the ledger priv/news.h; else NULL */
    size_t credentials_len;
    int *listen_fds;     /* by index of config_socket(), -1 where none (a worker has none of the
                            hub's, the hub has no others); not yet watched */
    size_t listen_count; /* = config_socket_count(config) */
    struct child_peer peers[CHILD_PEERS_MAX];
    size_t peer_count;
    struct child_retired retired;
    int replaced_fd;         /* by child_take(): see PEER there */
    struct clockwatch clock; /* what the supervisor believes of the wall clock; of ledger and notary
                                to go on with */
};

/* Receive everything up to IMSG_GO (blocks) and set the log level. On 0 *RET is filled and the
   caller owns it; on failure the supervisor was told why and the caller exits. */
RF_CHECK int child_begin(int imsg_fd, unsigned index, struct child *ret, struct err *err);
void child_done(struct child *c); /* closes and frees all of it but imsg_fd */

/* Work in a message that came after GO; M's descriptors are taken or closed in any case.
   CONFIG: parse and swap; the old values are in c->retired; sockets of listeners that stay keep
     their descriptors (their index may change). Nothing is changed on failure. The caller answers
     with child_ready() when it serves by the new values, else with child_failed().
   LISTEN: c->listen_fds[m->arg] is there now (one that was there already stays).
   PEER: the peer of that role and index has a new descriptor. The old one stays open, so that the
     loop can let go of it first; it is now the caller's to close: c->replaced_fd, -1 when there was
     none. Descriptors in c->peers belong to c otherwise.
   Other types: -RF_EPROTO. */
RF_CHECK int child_take(struct child *c, struct imsg *m, struct err *err);
void child_retired_done(struct child_retired *r);

/* The peer of that role and index, or NULL. */
struct child_peer *child_peer_of(struct child *c, enum imsg_role role, uint32_t index);

/* What a role with databases does about messages of the supervisor after its start. */
struct child_ear {
    /* A CONFIG comes: let go of what borrows from configuration and policy; then serve by those
       that hold now, whether they are new or, after a failure, the old ones. */
    void (*let_go)(void *context);
    void (*take_up)(void *context);
    void (*meet)(void *context, enum imsg_role peer); /* it has a new socket; may be NULL */
};

/* Work in, and answer, whatever the supervisor has said by now. False: it said stop, is gone, or
   speaks nonsense. */
RF_CHECK bool child_hear(struct child *c, const struct child_ear *ear, void *context);

/* sandbox_enter() for such a role: it may read the folders of the files that connections to the
   databases need, and nothing else. The folders, because a renewed certificate is a new file. */
RF_CHECK int child_narrow(const struct child *c, enum imsg_role role, char *report,
                          size_t report_len, struct err *err);

/* Tell the supervisor; all wait up to a second while its queue is full. REPORT: what
   sandbox_enter() gave, or "" after a reload. */
RF_CHECK int child_ready(struct child *c, const char *report);
RF_CHECK int child_failed(struct child *c, const struct err *why);
/* The ledger's, before child_ready(): its record of the policy stands. */
RF_CHECK int child_recorded(struct child *c);

#endif
