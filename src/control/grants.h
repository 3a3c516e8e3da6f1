/* grants.h - the grants of one region under control's eyes: what is open is published to the
 * workers, what has ended is ended on its servers.
 *
 *   REST ──due──▶ ASK ──both have answered, published─┬─▶ USED ──▶ PROVE ⟲ ──▶ AGAIN ──▶ REST
 *                         something has ended           ▼             ▲
 *                                                     CLOSE ─▶ SIGNAL ─▶ REAP
 *
 * and between two rounds REST ──a worker wants, or gives back──▶ BUDGETS ──▶ REST (budgets.h).
 *
 * A line leads to the primary and one to the standby that persons use; a region without standbys
 * has the first one alone. A grant is open when both servers say so: one that the standby has not
 * replayed yet cannot be used, and one that the primary has closed is over at once. Every answer of
 * both renews the region's lease for grants, counted from the moment the older question was asked.
 *
 * A connection is asked for all grants once, and from then on for what has changed after the number
 * that the last answer gave (compile_grant.c numbers the changes in the order in which they become
 * visible). The number is read before the changes are, so one that comes between is told twice.
 * When a grant's time runs out is known here.
 *
 * What nobody has judged yet under the rules of now (proofs.h) is published as withheld: all of it
 * at first, after a reload, and when others are suspended. Then it is judged in batches, as many as
 * a round has time for, each published when it is there, so that the lease and the ends of grants
 * never wait for it: first the grants that have sessions, then what this round brought, then the
 * rest.
 *
 * Each answer says who is suspended, too. Workers hear it before anything else that came with it;
 * when it is others than before, every grant is judged anew, as that of a suspended person and what
 * he has approved is none: until then it is withheld.
 *
 * The end: close on the primary what has run out (rows deleted, no login), then signal its sessions
 * on both servers until neither has one, then let the primary drop its role. Workers do not wait
 * for any of it. */
#ifndef RF_CONTROL_GRANTS_H
#define RF_CONTROL_GRANTS_H

#include <jansson.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/budgets.h"
#include "control/known.h"
#include "control/proofs.h"
#include "control/server.h"
#include "policy/policy.h"
#include "priv/grant_table.h"

enum {
    GRANTS_PERIOD_MS = 200,   /* between two rounds */
    GRANTS_RETRY_MS = 500,    /* after a connection that failed */
    GRANTS_LIMIT_MS = 3000,   /* for a connection, and for an answer */
    GRANTS_REFUSED_MS = 2000, /* after an answer that is an error: apply has not been here yet */
    GRANTS_AT_ONCE = 25, /* ended in one round, with their notices; the rest in the next ones */
    GRANTS_SUSPENDED_MAX = GRANT_SUSPENDED_MAX + 1, /* of more it is enough to know that */
    GRANTS_LINES = 2
};

enum grants_phase {
    GRANTS_REST,
    GRANTS_ASK,
    GRANTS_USED,
    GRANTS_PROVE,
    GRANTS_PROVE_AGAIN,
    GRANTS_CLOSE,
    GRANTS_SIGNAL,
    GRANTS_REAP,
    GRANTS_BUDGETS
};

enum grants_line_state { GRANTS_DOWN, GRANTS_CONNECTING, GRANTS_READY, GRANTS_BUSY };

struct grants_line {
    enum grants_line_state state;
    enum server_kind kind;
    const struct config_host *hosts;
    size_t host_count, host; /* the one in use */
    PGconn *conn;
    short events;
    int64_t due_ms;       /* DOWN: try again; CONNECTING, BUSY: the end of patience */
    int64_t asked_ms;     /* when the question under way was sent */
    PGresult *last;       /* of the query under way: its last result */
    PGresult *changes;    /* of this round: what has changed, or all grants */
    int64_t list_ms;      /* when that was asked for; 0: not in this round */
    struct known known;   /* what it has told */
    bool is_known;        /* it has told all since it was connected */
    int64_t counter;      /* of the changes that it has told */
    int64_t next_counter; /* when the answer under way has been taken */
    char token[GRANT_TOKEN_LEN + 1];
    json_t *suspended; /* array of names; NULL: not told */
    bool has_complained;
};

struct grants {
    enum grants_phase phase;
    const struct config_database *config; /* borrowed until grants_done() */
    struct grant_table *table;
    unsigned database; /* its place in the table */
    struct grants_line lines[GRANTS_LINES];
    size_t line_count;
    int64_t next_ms;
    struct proofs proofs;
    struct budgets budgets;
    int64_t round_ms; /* when this round began */
    size_t unjudged;  /* of those that are known */
    PGresult
        *used; /* of this round: roles of grants that have sessions, in order; NULL: not asked */
    size_t used_at;     /* of all that are known, the next one to be looked for among these */
    int fresh_at;       /* of what this round brought, the next to be judged */
    size_t judge_at;    /* of all that are known; goes on over rounds */
    bool is_judge_done; /* for this round */
    size_t again_at;    /* of all that are known, the next to be judged again */
    int64_t again_ms;
    json_t *suspended; /* names that either server says; NULL: not known yet */
    const char *suspended_names[GRANTS_SUSPENDED_MAX]; /* of those */
    size_t suspended_count;
    uint64_t over[GRANTS_AT_ONCE]; /* being ended */
    size_t over_count;
    uint64_t behind[GRANTS_AT_ONCE]; /* the standby had them last time, the primary had not */
    size_t behind_count;
    uint64_t sessions; /* that the last signals found */
    bool is_stale;     /* the answers of a round were not published: do it with all of them */
    bool is_changed;   /* look through all grants again */
    int64_t soonest_mono_ms, soonest_wall_ms; /* the next end of a grant */
    size_t open, said_open, said_over;
    bool is_disabled; /* no place in the table, or no such region */
};

/* Borrows all arguments until grants_done(). */
void grants_init(struct grants *g, const struct config_database *database,
                 const struct policy *policy, const struct policy_region *region,
                 struct grant_table *table, struct budget_table *budgets, unsigned workers);
void grants_done(struct grants *g);

/* Fill GRANTS_LINES entries of POLLS, and later do what became possible. Never waits. */
void grants_poll(const struct grants *g, struct pollfd *polls);
void grants_turn(struct grants *g, const struct pollfd *polls, bool polled);

int64_t grants_due_ms(const struct grants *g); /* when grants_turn() has something to do */

#endif
