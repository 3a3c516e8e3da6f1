/* imsg.h - messages with descriptors between the supervisor and its children.
 *
 * One SOCK_SEQPACKET pair a child; the child's end is descriptor IMSG_CHILD_FD at its start. A
 * message is u32 type, u32 arg, payload, and at most IMSG_FDS_MAX descriptors. */
#ifndef RF_PRIV_IMSG_H
#define RF_PRIV_IMSG_H

#include <stdint.h>

#include "base/err.h"

enum { IMSG_CHILD_FD = 3, IMSG_FDS_MAX = 4, IMSG_PAYLOAD_MAX = 2048 };

enum imsg_type {
    IMSG_NONE,
    /* supervisor to child, in this order at the start */
    IMSG_CONFIG,  /* fds: memfd of configuration, policy and the role's own file (workers:
                     credentials; hub: auditors, notary and courier: witnesses, if any; ledger:
                     priv/news.h); payload: path of the configuration file.
                     Again on reload; a child answers READY or FAILED. */
    IMSG_METER,   /* fd: the counters' mapping; arg: number of workers */
    IMSG_LEASE,   /* fd: the lease mapping (priv/lease.h); arg: number of databases (workers and
                     control) */
    IMSG_GRANTS,  /* fd: the table of grants (priv/grant_table.h) (workers and control) */
    IMSG_BUDGETS, /* fds: the two tables of budgets (priv/budget_table.h), answers first (workers
                     and control) */
    IMSG_LISTEN,  /* fd: a listening socket; arg: its index, config_socket() (workers: those of
                     `listen`; the hub: its own) */
    IMSG_PEER,    /* fd: one end of a socket pair; arg: enum imsg_role of the other end;
                     payload: u32 index of the other end. A new one replaces the old one. */
    IMSG_GO,      /* everything was handed over: narrow your rights and serve; payload: i64, how far
                     the wall clock is ahead of clock_boot_ms(), as the supervisor believes it
                     (base/clockwatch.h), or nothing */
    IMSG_STOP,    /* orderly: no new work, finish, exit 0; a second one: at once */
    IMSG_CANCEL,  /* a cancel request that another worker received; payload: the key's bytes */
    /* child to supervisor */
    IMSG_READY,    /* serving (after GO), or reload done; payload: text of what the sandbox gave */
    IMSG_FAILED,   /* payload: one line why */
    IMSG_RECORDED, /* ledger, before READY: what the last CONFIG says of the policy is on disk */
    IMSG_CANCEL_FOR, /* arg: index of the worker that the key names; payload: the key's bytes */
    IMSG_PEER_BAD,   /* worker: that peer talks nonsense or hung up and nobody came in its place;
                        arg: its role. ROLE_PARSER: it is ended, and so replaced. ROLE_LEDGER: it
                        stays, and the two get a new link, a few times. */
    IMSG_TYPE_COUNT
};

enum imsg_role {
    ROLE_SUPERVISOR,
    ROLE_WORKER,
    ROLE_PARSER,
    ROLE_LEDGER,
    ROLE_CONTROL,
    ROLE_NOTARY,    /* makes the public log out of the journal and signs it */
    ROLE_COURIER,   /* talks to witnesses for it */
    ROLE_HUB,       /* serves the public files */
    ROLE_REGISTRAR, /* takes signed commands, moves grants */
    ROLE_HERALD,    /* tells hooks what has happened */
    ROLE_RUNNER,    /* runs their programs; not narrowed, docs/decisions/0025 */
    ROLE_COUNT
};

struct imsg {
    enum imsg_type type;
    uint32_t arg;
    size_t len;
    uint8_t payload[IMSG_PAYLOAD_MAX];
    int fds[IMSG_FDS_MAX]; /* owned by the receiver; unused ones are -1 */
};

/* Send; the descriptors stay the sender's. Never blocks, whatever the descriptor's mode: -RF_ESYS
   with errno EAGAIN when the pipe is full; -RF_EINVAL for what no message may hold. */
RF_CHECK int imsg_send(int fd, enum imsg_type type, uint32_t arg, const void *payload, size_t len,
                       const int *fds, size_t fd_count);

/* Receive one: 1 a message, 0 end of file, -RF_ESYS (errno EAGAIN: none now; never blocks),
   -RF_EPROTO. *RET holds no descriptors unless 1 is returned. */
RF_CHECK int imsg_recv(int fd, struct imsg *ret);
void imsg_close_fds(struct imsg *m);

const char *imsg_role_name(enum imsg_role role); /* "worker", … */

#endif
