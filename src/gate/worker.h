/* worker.h - one worker process: its listeners, its lines to the other processes, its sessions. */
#ifndef RF_GATE_WORKER_H
#define RF_GATE_WORKER_H

#include "auth/throttle.h"
#include "gate/inspector.h"
#include "gate/prepared.h"
#include "gate/recorder.h"
#include "gate/snapshot.h"
#include "ledger/meter.h"
#include "priv/budget_table.h"
#include "priv/grant_table.h"
#include "priv/lease.h"

struct session;

enum { WORKER_SLOTS_MAX = 1 << 20 };

struct worker {
    struct child child;
    struct loop *loop;
    struct snapshot *current;
    struct recorder *recorder;
    struct inspector *inspector;
    struct meter *meter;
    struct lease *lease;
    struct grant_table *grants; /* NULL: no session runs under one */
    struct budget_table *budgets;
    struct budget *first_budget;   /* of this worker (budget.h) */
    struct session *first_granted; /* those that do (grant.h) */
    struct timer grant_timer;
    struct timer suspended_timer;
    uint64_t suspensions; /* grant_table_suspensions() when the sessions were looked at */
    struct throttle *throttle;
    struct prepared_table prepared;
    struct buf staged, front; /* scratch of service.c: one session's bytes on their way out */
    struct io imsg;
    struct listener *listeners;
    size_t listener_count;
    /* Sessions by slot, so that a cancel key finds its own; free slots are NULL. */
    struct session **slots;
    uint32_t slot_cap, slot_hint, session_count;
    /* Those that have not logged in yet, oldest first (login.c). */
    struct session *first_login, *last_login;
    uint32_t login_count;
    struct timer stop_timer;
    bool stopping, stopped_hard;
};

/* The process. Returns its exit status. */
int worker_main(int imsg_fd, unsigned index);

RF_CHECK int worker_slot_take(struct worker *w, struct session *s, uint32_t *ret_slot);
void worker_slot_free(struct worker *w, uint32_t slot); /* also: the session has gone */

/* Relay a cancel request that names another worker. */
void worker_relay_cancel(struct worker *w, unsigned index, uint32_t pid, const uint8_t *key,
                         size_t key_len);

#endif
