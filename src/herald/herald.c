/* One hook after the other, each in one of these states:
 *
 *   IDLE ──it is to get something──▶ BUSY ──an outcome──▶ SAYING ──the database has it──▶ IDLE
 *
 * The database is asked for all that are idle at once, and waited for: that is what everything here
 * comes from. Receivers and programs are not. */
#include "herald/herald.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "herald/box.h"
#include "herald/dispatch.h"
#include "herald/order.h"
#include "herald/runner.h"
#include "priv/child.h"
#include "registrar/office.h"

enum {
    ASK_MS = 500,                        /* between two questions while nothing is there */
    RUN_MS = RUNNER_LIMIT_MS + 5 * 1000, /* a runner that says nothing of it by then is gone */
};

#define BOX_NONE SIZE_MAX /* it is not among the databases any more */

enum slot_state { SLOT_IDLE, SLOT_BUSY, SLOT_SAYING };

struct slot {
    enum slot_state state;
    char name[BOX_HOOK_SIZE];
    size_t box;      /* from which it has what it has */
    int64_t id;      /* in that database */
    uint64_t ticket; /* of the runner; 0: a post */
    int64_t until_ms;
    struct outcome outcome;
};

struct herald {
    struct child child;
    struct dispatch *dispatch;
    struct box boxes[OFFICE_REGIONS_MAX];
    size_t box_count;
    struct slot slots[CONFIG_HOOKS_MAX];
    uint64_t last_ticket;
    int64_t ask_ms;
    bool is_runner_lost, is_stopping;
};

/* ---- outcomes ------------------------------------------------------------------------------- */

static void on_outcome(void *context, size_t hook, const struct outcome *outcome)
{
    struct herald *h = context;
    struct slot *s = &h->slots[hook];
    s->outcome = *outcome;
    s->state = SLOT_SAYING;
    s->ticket = 0;
    log_debug("delivered", "hook=%s done=%d result=%s", s->name, outcome->is_done, outcome->word);
}

static void fail(struct herald *h, size_t hook, const char *word, bool is_refused)
{
    struct outcome outcome = { .is_refused = is_refused };
    (void)snprintf(outcome.word, sizeof(outcome.word), "%s", word);
    on_outcome(h, hook, &outcome);
}

static void say_outcomes(struct herald *h)
{
    for (size_t i = 0; i < h->child.config->hook_count; i++) {
        struct slot *s = &h->slots[i];
        if (s->state == SLOT_SAYING && s->box == BOX_NONE)
            s->state = SLOT_IDLE;
        if (s->state != SLOT_SAYING || box_say(&h->boxes[s->box], s->id, s->name, &s->outcome) < 0)
            continue;
        s->state = SLOT_IDLE;
        h->ask_ms = 0; /* the next one may be there */
    }
}

/* ---- programs ------------------------------------------------------------------------------- */

static int *runner_fd(struct herald *h)
{
    struct child_peer *p = child_peer_of(&h->child, ROLE_RUNNER, 0);
    return p != NULL ? &p->fd : NULL;
}

/* It is not started again: what its programs were to get waits for a restart of the gateway. */
static void lose_runner(struct herald *h)
{
    int *fd = runner_fd(h);
    if (!h->is_runner_lost)
        log_error("runner-lost", "action=\"restart the service: command hooks wait\"");
    h->is_runner_lost = true;
    if (fd != NULL)
        fd_close(fd);
}

static void run(struct herald *h, size_t hook, const struct parcel *p)
{
    const int *fd = runner_fd(h);
    struct slot *s = &h->slots[hook];
    struct order o = { .ticket = ++h->last_ticket,
                       .hook = (uint32_t)hook,
                       .body = p->body,
                       .body_len = strlen(p->body) };
    (void)snprintf(o.kind, sizeof(o.kind), "%s", p->kind);
    int rc = fd != NULL && *fd >= 0 ? order_send(*fd, &o) : -RF_EUNAVAIL;
    s->ticket = o.ticket;
    s->until_ms = clock_mono_ms() + RUN_MS;
    if (rc == -RF_EUNAVAIL)
        lose_runner(h);
    if (rc < 0)
        fail(h, hook, rc == -RF_ETOOBIG ? "too-large" : "no-runner", rc == -RF_ETOOBIG);
}

static void on_answer(struct herald *h, const struct order_answer *a)
{
    static const char *const words[ORDER_RESULT_COUNT] = { [ORDER_DONE] = "exit-0",
                                                           [ORDER_FAILED] = "exit",
                                                           [ORDER_KILLED] = "killed",
                                                           [ORDER_UNSTARTED] = "not-started" };
    struct outcome outcome = { .is_done = a->result == ORDER_DONE };
    if (a->result == ORDER_FAILED)
        (void)snprintf(outcome.word, sizeof(outcome.word), "exit-%u", a->status);
    else
        (void)snprintf(outcome.word, sizeof(outcome.word), "%s", words[a->result]);
    for (size_t i = 0; i < h->child.config->hook_count; i++)
        if (h->slots[i].state == SLOT_BUSY && h->slots[i].ticket == a->ticket)
            on_outcome(h, i, &outcome); /* others: of a herald before this one */
}

static void hear_runner(struct herald *h)
{
    const int *fd = runner_fd(h);
    struct order_answer a;
    int rc = 0;
    while (fd != NULL && *fd >= 0 && (rc = order_answer_receive(*fd, &a)) == 1)
        on_answer(h, &a);
    if (rc == -RF_EUNAVAIL || rc == -RF_EPROTO)
        lose_runner(h);
    for (size_t i = 0; i < h->child.config->hook_count; i++)
        if (h->slots[i].state == SLOT_BUSY && h->slots[i].ticket != 0 &&
            (h->is_runner_lost || clock_mono_ms() >= h->slots[i].until_ms))
            fail(h, i, "no-runner", false);
}

/* ---- the outbox ----------------------------------------------------------------------------- */

static void deliver(struct herald *h, size_t box, const struct parcel *p)
{
    for (size_t i = 0; i < h->child.config->hook_count; i++) {
        struct slot *s = &h->slots[i];
        if (s->state != SLOT_IDLE || strcmp(s->name, p->hook) != 0)
            continue;
        s->state = SLOT_BUSY;
        s->box = box;
        s->id = p->id;
        s->ticket = 0;
        if (h->child.config->hooks[i].url != NULL)
            dispatch_send(h->dispatch, i, p->key, p->body);
        else
            run(h, i, p);
        return;
    }
}

static void ask_box(struct herald *h, size_t box)
{
    const char *idle[CONFIG_HOOKS_MAX];
    size_t count = 0;
    PGresult *r;
    for (size_t i = 0; i < h->child.config->hook_count; i++)
        if (h->slots[i].state == SLOT_IDLE)
            idle[count++] = h->slots[i].name;
    if (count == 0 || !box_ready(&h->boxes[box]) || box_next(&h->boxes[box], idle, count, &r) < 0)
        return;
    for (int row = 0; row < PQntuples(r); row++) {
        struct parcel p = box_parcel(r, row);
        deliver(h, box, &p);
    }
    PQclear(r);
}

static void ask_all(struct herald *h)
{
    if (clock_mono_ms() < h->ask_ms)
        return;
    for (size_t i = 0; i < h->box_count; i++)
        ask_box(h, i);
    h->ask_ms = clock_mono_ms() + ASK_MS;
}

/* ---- the supervisor ------------------------------------------------------------------------- */

/* Two aliases of one database have one outbox. */
static bool is_known(const struct config *c, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (c->databases[i].primary_count > 0 &&
            strcmp(c->databases[i].region, c->databases[index].region) == 0 &&
            strcmp(c->databases[i].dbname, c->databases[index].dbname) == 0)
            return true;
    return false;
}

/* They borrow from the configuration, and so another one makes them anew. Hooks do not change while
   this process runs. */
static void open_boxes(struct herald *h, bool has_begun)
{
    const struct config *c = h->child.config;
    h->box_count = 0;
    for (size_t i = 0; i < c->database_count && h->box_count < OFFICE_REGIONS_MAX; i++)
        if (c->databases[i].primary_count > 0 && !is_known(c, i))
            box_init(&h->boxes[h->box_count++], c, &c->databases[i], has_begun);
}

static void close_boxes(struct herald *h)
{
    for (size_t i = 0; i < h->box_count; i++)
        box_done(&h->boxes[i]);
    h->box_count = 0;
}

static bool same_databases(const struct config *a, const struct config *b)
{
    bool same = a->database_count == b->database_count;
    for (size_t i = 0; same && i < a->database_count; i++)
        same = strcmp(a->databases[i].alias, b->databases[i].alias) == 0 &&
               strcmp(a->databases[i].region, b->databases[i].region) == 0 &&
               strcmp(a->databases[i].dbname, b->databases[i].dbname) == 0 &&
               (a->databases[i].primary_count > 0) == (b->databases[i].primary_count > 0);
    return same;
}

/* What is under way belongs to a place in the old list of databases: where that is another one, it
   is tried again when its lease is over. */
static void move_slots(struct herald *h, const struct config *before)
{
    for (size_t i = 0; !same_databases(before, h->child.config) && i < CONFIG_HOOKS_MAX; i++)
        h->slots[i].box = BOX_NONE;
}

static int open_dispatch(struct herald *h, struct err *err)
{
    const struct config *c = h->child.config;
    for (size_t i = 0; i < c->hook_count; i++)
        box_hook_name(&c->hooks[i], h->slots[i].name);
    return dispatch_new(c, on_outcome, h, &h->dispatch, err);
}

static void let_go(void *context)
{
    struct herald *h = context;
    close_boxes(h);
}

static void take_up(void *context)
{
    struct herald *h = context;
    if (h->child.retired.config != NULL) /* else the old one stays */
        move_slots(h, h->child.retired.config);
    open_boxes(h, true);
}

static const struct child_ear ear = { .let_go = let_go, .take_up = take_up };

/* ---- life ----------------------------------------------------------------------------------- */

static int start(struct herald *h, struct err *err)
{
    char report[200] = "";
    fd_close(&h->child.meter_fd);   /* not its business */
    (void)signal(SIGPIPE, SIG_IGN); /* a receiver that hangs up; fails for no real signal */
    int rc = digest_init(err);
    /* an answer to the herald before this one must not be taken for ours */
    if (rc == 0 && getrandom(&h->last_ticket, sizeof(h->last_ticket), 0) < 0)
        rc = err_sys(err, "could not get random bytes");
    h->last_ticket >>= 1; /* and never comes to 0 */
    if (rc == 0)
        rc = open_dispatch(h, err);
    if (rc == 0)
        rc = child_narrow(&h->child, ROLE_HERALD, report, sizeof(report), err);
    if (rc == 0 && child_ready(&h->child, report) < 0)
        rc = err_set(err, RF_ESYS, "could not reach the supervisor");
    open_boxes(h, false);
    return rc;
}

static void turn(struct herald *h)
{
    struct err err = { 0 };
    const int *runner = runner_fd(h);
    const int fds[] = { h->child.imsg_fd, runner != NULL ? *runner : -1 };
    int64_t left_ms = h->ask_ms - clock_mono_ms();
    if (dispatch_turn(h->dispatch, fds, fds[1] >= 0 ? 2 : 1, left_ms > 0 ? (int)left_ms : 0, &err) <
        0) {
        log_err(LOG_LEVEL_ERROR, "posts-failed", &err);
        h->is_stopping = true; /* it starts again */
        return;
    }
    h->is_stopping = !child_hear(&h->child, &ear, h);
    if (h->is_stopping)
        return;
    hear_runner(h);
    say_outcomes(h);
    ask_all(h);
}

int herald_main(int imsg_fd)
{
    static struct herald h; /* large, and there is one */
    struct err err = { 0 };
    int status = 0;
    log_open("herald", LOG_LEVEL_INFO);
    if (child_begin(imsg_fd, 0, &h.child, &err) < 0)
        return err_exit_status(err.code);
    if (start(&h, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        if (child_failed(&h.child, &err) < 0)
            log_warn("supervisor-silent", "about=start");
        status = err_exit_status(err.code);
        h.is_stopping = true;
    }
    while (!h.is_stopping)
        turn(&h);
    dispatch_free(h.dispatch);
    close_boxes(&h);
    child_done(&h.child);
    return status;
}
