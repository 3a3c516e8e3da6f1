/* crew.h - the children: who runs, who waits for a start, who talks to whom.
 *
 * A member goes DOWN -> STARTING (forked; told everything up to GO) -> SERVING (it said READY) ->
 * STOPPING (told to) -> DOWN. Whoever starts gets a fresh socket pair to each running process that
 * it is linked with, and that process gets the other end: one rule for the first start and for
 * every restart. Members that may not run yet, or not any more, stay DOWN.
 *
 *   before the first READY of the ledger  =>  no worker and no control runs
 *   a worker, or the hub, runs            =>  it holds its sockets of crew->listeners
 *   crew->hold                            =>  nobody is started
 *
 * The hub is nobody's business but its readers': it starts when it can, whether or not the ledger
 * does, completeness does not wait for it, and its failures are logged and tried again for ever. So
 * it is with the herald. The runner is no member: it starts once, before the supervisor is
 * narrowed, because what a narrowed process starts is narrowed too, and ends with it. */
#ifndef RF_SUPER_CREW_H
#define RF_SUPER_CREW_H

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

#include "priv/child.h"
#include "priv/listener.h"
#include "super/backoff.h"
#include "super/bundle.h"
#include "super/outbox.h"

enum { CREW_MAX = CHILD_WORKERS_MAX + 8, CREW_START_MS = 60 * 1000 };

enum crew_state { CREW_DOWN, CREW_STARTING, CREW_SERVING, CREW_STOPPING, CREW_STATE_COUNT };

struct crew_member {
    enum imsg_role role;
    unsigned index;
    char name[24]; /* "worker-0" */
    enum crew_state state;
    pid_t pid; /* 0: DOWN */
    int fd;    /* our end of its socket */
    struct outbox out;
    struct backoff backoff;
    int64_t started_ms;
    int64_t due_ms;      /* DOWN: start then */
    int64_t deadline_ms; /* STARTING, STOPPING, or asked: killed then; 0: none */
    bool asked;          /* owes an answer to a later CONFIG */
    bool gave_up;        /* said FAILED of itself: nothing but its end is expected */
    bool retired;        /* not to be started again */
    int64_t relinked_ms; /* a worker: when it was linked to the ledger anew last, and how often */
    unsigned relinks;
};

struct crew {
    const struct bundle *bundle; /* what new members are told; borrowed */
    struct listeners *listeners; /* borrowed; what the hub lacks is opened when it starts */
    int program_fd, meter_fd;
    int lease_fd, lease_read_fd;           /* of control, which grants; of workers, which may not */
    int grants_fd, grants_read_fd;         /* likewise */
    int given_fd, given_read_fd, asked_fd; /* of budgets: answers likewise, asking of both */
    pid_t runner_pid; /* 0: none. It runs the programs of hooks, and is not narrowed */
    int runner_fd;    /* given to each herald */
    unsigned workers;
    struct crew_member members[CREW_MAX];
    size_t count;
    struct clockwatch clock; /* the wall clock, as it was believed from our start on */
    bool ledger_was_ready;
    bool complete; /* everybody was serving at the same time once */
    bool hold;     /* a reload is under way: start nobody */
    bool failed;   /* a member could not start before the crew was complete */
    bool refused;  /* a member answered FAILED to a later CONFIG; reset by who asked */
    /* The ledger was told a policy, or started, and has not said that it stands on record. */
    bool is_unrecorded;
};

void crew_init(struct crew *c, unsigned workers);
/* One more member, of a role that not every gateway has; before anybody is started. */
void crew_add(struct crew *c, enum imsg_role role);
/* Start the one that runs hooks' programs; before the supervisor narrows itself. */
RF_CHECK int crew_start_runner(struct crew *c, struct err *err);
/* The time, as far as the wall clock is believed: what waits comes late rather than early. */
int64_t crew_wall_ms(struct crew *c);
void crew_done(struct crew *c); /* kills and reaps whoever still runs */

/* Start everybody who is due and may run; kill whoever let its deadline pass. */
void crew_tick(struct crew *c, int64_t now_ms);
int64_t crew_next_ms(const struct crew *c); /* when crew_tick() has something to do; -1: never */

/* One struct pollfd a member (fd -1 when DOWN); at least CREW_MAX at POLLS. */
void crew_poll_fill(const struct crew *c, struct pollfd *polls);
void crew_poll_take(struct crew *c, const struct pollfd *polls, int64_t now_ms);

/* Collect the dead (after SIGCHLD). */
void crew_reap(struct crew *c, int64_t now_ms);

/* Tell the configuration of BUNDLE (a reload) to everybody but the ledger, to the ledger, or to
   all. Each owes an answer by DEADLINE_MS. */
enum crew_some { CREW_OTHERS, CREW_LEDGER, CREW_ALL };
void crew_ask_config(struct crew *c, enum crew_some whom, const struct bundle *bundle,
                     int64_t deadline_ms);
/* Give every worker, and the hub, their listening sockets; those they have already stay. */
void crew_send_listeners(struct crew *c);
size_t crew_answers_due(const struct crew *c);

/* Orderly end of one role: told to stop, killed at DEADLINE_MS, not started again. */
void crew_stop(struct crew *c, enum imsg_role role, int64_t deadline_ms);
void crew_kill(struct crew *c, enum imsg_role role);
bool crew_is_gone(const struct crew *c, enum imsg_role role);
bool crew_is_starting(const struct crew *c);
size_t crew_serving(const struct crew *c, enum imsg_role role);

#endif
