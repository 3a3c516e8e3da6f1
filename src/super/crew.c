#include "super/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "super/spawn.h"

enum {
    LINK_BUFFER = 1 << 20,   /* room for several of the largest messages; the kernel may clip */
    AFTER_SILENCE_MS = 1000, /* between the end of a child's socket and its death */
    GIVE_UP_AFTER = 5,       /* deaths in a row before everybody was serving once */
    HEARD_A_TURN = 64,       /* messages of one child, before signals and the others' have theirs */
    CANCELS_WAITING_MAX = 64,
    RELINKS_MAX = 3, /* of one worker, until it has had none for: */
    RELINK_FORGET_MS = 10 * 60 * 1000,
};

/* Who talks to whom, and how. */
static const struct {
    enum imsg_role one, other;
    int socket_type;
} links[] = {
    { ROLE_WORKER, ROLE_LEDGER, SOCK_STREAM },     { ROLE_WORKER, ROLE_PARSER, SOCK_SEQPACKET },
    { ROLE_CONTROL, ROLE_LEDGER, SOCK_STREAM },    { ROLE_LEDGER, ROLE_NOTARY, SOCK_SEQPACKET },
    { ROLE_NOTARY, ROLE_COURIER, SOCK_SEQPACKET }, { ROLE_CONTROL, ROLE_NOTARY, SOCK_SEQPACKET },
    { ROLE_REGISTRAR, ROLE_LEDGER, SOCK_STREAM },  { ROLE_HUB, ROLE_REGISTRAR, SOCK_SEQPACKET },
};

static void add_member(struct crew *c, enum imsg_role role, unsigned index)
{
    struct crew_member *m = &c->members[c->count++];
    *m = (struct crew_member){ .role = role, .index = index, .fd = -1 };
    (void)snprintf(m->name, sizeof(m->name), "%s-%u", imsg_role_name(role), index);
    outbox_init(&m->out);
}

void crew_init(struct crew *c, unsigned workers)
{
    RF_ASSERT(workers >= 1 && workers <= CHILD_WORKERS_MAX);
    memset(c, 0, sizeof(*c));
    c->program_fd = c->meter_fd = c->lease_fd = c->lease_read_fd = -1;
    c->grants_fd = c->grants_read_fd = c->runner_fd = -1;
    c->given_fd = c->given_read_fd = c->asked_fd = -1;
    c->workers = workers;
    c->is_unrecorded = true;
    add_member(c, ROLE_LEDGER, 0);
    add_member(c, ROLE_PARSER, 0);
    add_member(c, ROLE_CONTROL, 0);
    for (unsigned i = 0; i < workers; i++)
        add_member(c, ROLE_WORKER, i);
    /* outboxes hold a pointer into themselves: members never move from here on */
}

void crew_add(struct crew *c, enum imsg_role role)
{
    RF_ASSERT(c->count < CREW_MAX);
    add_member(c, role, 0);
}

/* Can the gateway not do without it? */
static bool is_essential(const struct crew_member *m)
{
    return m->role != ROLE_HUB && m->role != ROLE_HERALD;
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool is_running(const struct crew_member *m)
{
    return m->pid > 0 && m->fd >= 0;
}

static void kill_member(struct crew_member *m, const char *reason)
{
    if (m->pid <= 0)
        return;
    log_warn("child-killed", "child=%s pid=%ld reason=\"%s\"", m->name, (long)m->pid, reason);
    (void)kill(m->pid, SIGKILL); /* already dead: it is reaped soon */
    m->deadline_ms = 0;
}

/* A child that cannot be told something has lost its use. */
static void tell(struct crew_member *m, enum imsg_type type, uint32_t arg, const void *payload,
                 size_t len, const int *fds, size_t fd_count)
{
    struct err err;
    if (!is_running(m))
        return;
    int rc = outbox_add(&m->out, type, arg, payload, len, fds, fd_count, &err);
    if (rc < 0) {
        log_err(LOG_LEVEL_ERROR, "message-lost", &err);
        kill_member(m, "it could not be told");
        return;
    }
    if (outbox_flush(&m->out, m->fd) < 0 && errno != EPIPE && errno != ECONNRESET)
        kill_member(m, strerrordesc_np(errno)); /* a broken pipe: its death is on the way */
}

static void tell_config(struct crew_member *m, const struct bundle *b)
{
    int own_fd = m->role == ROLE_WORKER                              ? b->credentials_fd
                 : m->role == ROLE_HUB                               ? b->auditors_fd
                 : m->role == ROLE_LEDGER                            ? b->news_fd
                 : m->role == ROLE_NOTARY || m->role == ROLE_COURIER ? b->witnesses_fd
                                                                     : -1;
    const int fds[] = { b->config_fd, b->policy_fd, own_fd };
    tell(m, IMSG_CONFIG, 0, b->path, strlen(b->path), fds, own_fd >= 0 ? 3 : 2);
}

static void tell_listeners(const struct crew *c, struct crew_member *m)
{
    const struct listeners *l = c->listeners;
    size_t from = m->role == ROLE_HUB ? l->hub_from : 0;
    size_t until = m->role == ROLE_HUB ? l->count : m->role == ROLE_WORKER ? l->hub_from : 0;
    for (size_t i = from; i < until; i++)
        if (l->list[i].fd >= 0)
            tell(m, IMSG_LISTEN, (uint32_t)i, NULL, 0, &l->list[i].fd, 1);
}

static void tell_peer(struct crew_member *m, const struct crew_member *peer, int fd)
{
    const uint8_t index[4] = { (uint8_t)(peer->index >> 24), (uint8_t)(peer->index >> 16),
                               (uint8_t)(peer->index >> 8), (uint8_t)peer->index };
    tell(m, IMSG_PEER, (uint32_t)peer->role, index, sizeof(index), &fd, 1);
}

static void link_pair(struct crew_member *a, struct crew_member *b, int socket_type)
{
    int pair[2], room = LINK_BUFFER;
    if (socketpair(AF_UNIX, socket_type | SOCK_CLOEXEC, 0, pair) < 0) {
        log_error("link-failed", "child=%s peer=%s reason=\"%s\"", a->name, b->name,
                  strerrordesc_np(errno));
        kill_member(a, "it could not be linked"); /* it starts again after a while */
        return;
    }
    for (int i = 0; i < 2; i++) { /* the default is enough for one message: best effort */
        (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
        (void)setsockopt(pair[i], SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    }
    tell_peer(a, b, pair[0]);
    tell_peer(b, a, pair[1]);
    fd_close(&pair[0]);
    fd_close(&pair[1]);
}

static void link_member(struct crew *c, struct crew_member *m)
{
    for (size_t i = 0; i < c->count; i++)
        for (size_t l = 0; l < RF_COUNT(links); l++) {
            struct crew_member *peer = &c->members[i];
            bool linked = (links[l].one == m->role && links[l].other == peer->role) ||
                          (links[l].one == peer->role && links[l].other == m->role);
            if (linked && is_running(peer))
                link_pair(m, peer, links[l].socket_type);
        }
}

/* ---- starting ------------------------------------------------------------------------------- */

static bool may_start(const struct crew *c, const struct crew_member *m)
{
    bool in_turn =
        m->role == ROLE_LEDGER || m->role == ROLE_PARSER || !is_essential(m) || c->ledger_was_ready;
    return m->state == CREW_DOWN && !m->retired && !c->hold && in_turn;
}

/* The next start after a death. A crew that never was complete gives up: something is wrong with
   this host or this configuration, and whoever started us is still there to read it. */
static void back_off(struct crew *c, struct crew_member *m, int64_t now_ms)
{
    int64_t wait_ms = backoff_after_death(&m->backoff, m->role, m->started_ms, now_ms);
    m->due_ms = now_ms + wait_ms;
    if (!c->complete && is_essential(m) && m->backoff.quick_deaths >= GIVE_UP_AFTER)
        c->failed = true;
    else
        log_warn("child-restart", "child=%s in_ms=%lld quick_deaths=%u", m->name,
                 (long long)wait_ms, m->backoff.quick_deaths);
}

/* Small steps add up while we are awake; a jump is not believed, by whoever starts after it either:
   nobody but an operator, who starts us, can say that it is right. */
static void tell_go(struct crew *c, struct crew_member *m)
{
    uint8_t ahead[8];
    for (int i = 0; i < 8; i++)
        ahead[i] = (uint8_t)((uint64_t)c->clock.ahead_ms >> (56 - 8 * i));
    tell(m, IMSG_GO, 0, ahead, sizeof(ahead), NULL, 0);
}

int crew_start_runner(struct crew *c, struct err *err)
{
    const struct bundle *b = c->bundle;
    int pair[2] = { -1, -1 }, room = LINK_BUFFER;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "could not make a socket pair");
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)); /* best effort */
    int rc = spawn_child(c->program_fd, ROLE_RUNNER, 0, pair[1], &c->runner_pid, err);
    fd_close(&pair[1]);
    if (rc == 0 &&
        imsg_send(pair[0], IMSG_CONFIG, 0, b->path, strlen(b->path), &b->config_fd, 1) < 0)
        rc = err_sys(err, "could not tell the runner its programs");
    if (rc < 0) {
        fd_close(&pair[0]);
        return rc;
    }
    c->runner_fd = pair[0];
    log_info("child-started", "child=runner-0 pid=%ld", (long)c->runner_pid);
    return 0;
}

static void tell_runner(const struct crew *c, struct crew_member *herald)
{
    static const uint8_t index[4];
    if (c->runner_fd >= 0)
        tell(herald, IMSG_PEER, ROLE_RUNNER, index, sizeof(index), &c->runner_fd, 1);
}

/* A new one would be narrowed like us, and its programs with it. */
static void lose_runner(struct crew *c)
{
    log_error("runner-died", "pid=%ld action=\"restart the service: command hooks wait\"",
              (long)c->runner_pid);
    c->runner_pid = 0;
    fd_close(&c->runner_fd);
}

static void start_member(struct crew *c, struct crew_member *m, int64_t now_ms)
{
    struct err err;
    int pair[2] = { -1, -1 };
    m->started_ms = now_ms;
    m->gave_up = false;
    if (m->role == ROLE_HUB && listeners_complete(c->bundle->config, c->listeners, &err) < 0)
        goto failed;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        (void)err_sys(&err, "could not make a socket pair");
        goto failed;
    }
    if (spawn_child(c->program_fd, m->role, m->index, pair[1], &m->pid, &err) < 0)
        goto failed;
    fd_close(&pair[1]);
    m->fd = pair[0];
    m->state = CREW_STARTING;
    m->deadline_ms = now_ms + CREW_START_MS;
    log_info("child-started", "child=%s pid=%ld", m->name, (long)m->pid);
    if (m->role == ROLE_LEDGER)
        c->is_unrecorded = true;
    tell_config(m, c->bundle);
    tell(m, IMSG_METER, c->workers, NULL, 0, &c->meter_fd, 1);
    if (m->role == ROLE_LEDGER && c->bundle->config->ledger.origin != NULL)
        tell(m, IMSG_GRANTS, 0, NULL, 0, &c->grants_read_fd, 1);
    if (m->role == ROLE_WORKER || m->role == ROLE_CONTROL) {
        bool writes = m->role == ROLE_CONTROL;
        tell(m, IMSG_LEASE, (uint32_t)c->bundle->config->database_count, NULL, 0,
             writes ? &c->lease_fd : &c->lease_read_fd, 1);
        tell(m, IMSG_GRANTS, 0, NULL, 0, writes ? &c->grants_fd : &c->grants_read_fd, 1);
        const int budgets[] = { writes ? c->given_fd : c->given_read_fd, c->asked_fd };
        tell(m, IMSG_BUDGETS, 0, NULL, 0, budgets, RF_COUNT(budgets));
    }
    tell_listeners(c, m);
    link_member(c, m);
    if (m->role == ROLE_HERALD)
        tell_runner(c, m);
    tell_go(c, m);
    return;
failed:
    log_err(LOG_LEVEL_ERROR, "child-start-failed", &err);
    fd_close(&pair[0]);
    fd_close(&pair[1]);
    back_off(c, m, now_ms);
}

int64_t crew_wall_ms(struct crew *c)
{
    return clockwatch_time_ms(&c->clock, clock_wall_ms(), clock_boot_ms());
}

void crew_tick(struct crew *c, int64_t now_ms)
{
    int64_t jump_ms;
    /* Small steps add up; a jump is not believed, by whoever starts after it either: nobody but an
       operator, who starts us, can say that it is right. */
    (void)clockwatch_believes(&c->clock, clock_wall_ms(), clock_boot_ms(), &jump_ms);
    for (size_t i = 0; i < c->count; i++) {
        struct crew_member *m = &c->members[i];
        if (may_start(c, m) && now_ms >= m->due_ms)
            start_member(c, m, now_ms);
        else if (m->deadline_ms != 0 && now_ms >= m->deadline_ms)
            kill_member(m, m->state == CREW_STOPPING ? "it did not stop in time"
                                                     : "no answer in time");
    }
}

int64_t crew_next_ms(const struct crew *c)
{
    int64_t next = -1;
    for (size_t i = 0; i < c->count; i++) {
        const struct crew_member *m = &c->members[i];
        int64_t at = may_start(c, m) ? m->due_ms : m->deadline_ms != 0 ? m->deadline_ms : -1;
        if (at >= 0 && (next < 0 || at < next))
            next = at;
    }
    return next;
}

/* ---- hearing -------------------------------------------------------------------------------- */

static void note_complete(struct crew *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].state != CREW_SERVING && is_essential(&c->members[i]))
            return;
    c->complete = true;
}

static void on_ready(struct crew *c, struct crew_member *m, const char *report)
{
    char quoted[256];
    if (m->state == CREW_STARTING) {
        m->state = CREW_SERVING;
        m->deadline_ms = 0;
        if (m->role == ROLE_LEDGER)
            c->ledger_was_ready = true;
        log_info("child-ready", "child=%s pid=%ld sandbox=%s", m->name, (long)m->pid,
                 log_quote(quoted, sizeof(quoted), report, strlen(report)));
        note_complete(c);
    } else if (m->asked) {
        m->asked = false;
        m->deadline_ms = 0;
        log_info("child-reloaded", "child=%s", m->name);
    }
}

/* False when it says so of itself a second time: whoever gave up ends, and fills no log. */
static bool on_failed(struct crew *c, struct crew_member *m, const char *why)
{
    char quoted[512];
    if (!m->asked && m->gave_up)
        return false;
    log_error("child-failed", "child=%s while=%s reason=%s", m->name,
              m->asked ? "reloading" : "starting",
              log_quote(quoted, sizeof(quoted), why, strlen(why)));
    if (m->asked) {
        m->asked = false;
        m->deadline_ms = 0;
        c->refused = true;
        return true;
    }
    m->gave_up = true;
    if (m->state == CREW_STARTING && !c->complete && is_essential(m))
        c->failed = true;
    return true;
}

/* A cancel request may get lost at any time. Here it does while the other worker does not read:
   a full outbox would be its end, and none of them may bring that about for another. */
static void on_cancel_for(struct crew *c, const struct imsg *msg)
{
    for (size_t i = 0; i < c->count; i++) {
        struct crew_member *to = &c->members[i];
        if (to->role == ROLE_WORKER && to->index == msg->arg && to->out.count < CANCELS_WAITING_MAX)
            tell(to, IMSG_CANCEL, 0, msg->payload, msg->len, NULL, 0);
    }
}

/* The ledger has ended a worker's conversation and lives. A new one costs the ledger a seat, so
   there are few: whoever cannot keep one is replaced whole. A dead ledger's successor brings links.
 */
static void relink(struct crew *c, struct crew_member *worker)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < c->count; i++) {
        struct crew_member *ledger = &c->members[i];
        if (ledger->role != ROLE_LEDGER || ledger->state != CREW_SERVING)
            continue;
        if (now_ms - worker->relinked_ms > RELINK_FORGET_MS)
            worker->relinks = 0;
        worker->relinked_ms = now_ms;
        log_warn("worker-relinked", "child=%s times=%u", worker->name, worker->relinks);
        if (worker->relinks++ == RELINKS_MAX)
            kill_member(worker, "the ledger ends every conversation with it");
        else
            link_pair(worker, ledger, SOCK_STREAM);
        return;
    }
}

/* A worker cannot do without the parser, and a parser that hostile text has taken over does not end
   by itself. Only the parser is ended: a worker that lies here does no more than one hostile text
   could. */
static bool on_peer_bad(struct crew *c, struct crew_member *m, const struct imsg *msg)
{
    if (m->role != ROLE_WORKER || (msg->arg != ROLE_PARSER && msg->arg != ROLE_LEDGER))
        return false;
    if (msg->arg == ROLE_LEDGER) {
        relink(c, m);
        return true;
    }
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].role == ROLE_PARSER && c->members[i].state == CREW_SERVING) {
            log_warn("child-complained-of", "child=%s by=%s", c->members[i].name, m->name);
            kill_member(&c->members[i], "a worker cannot talk to it");
        }
    return true;
}

/* What a child may say. Everything else, and descriptors, end it: it is not itself any more. */
static bool hear_one(struct crew *c, struct crew_member *m, struct imsg *msg)
{
    char text[IMSG_PAYLOAD_MAX + 1];
    bool has_fds = msg->fds[0] >= 0;
    memcpy(text, msg->payload, msg->len);
    text[msg->len] = '\0';
    imsg_close_fds(msg);
    if (has_fds)
        return false;
    switch (msg->type) {
    case IMSG_READY:
        on_ready(c, m, text);
        return true;
    case IMSG_FAILED:
        return on_failed(c, m, text);
    case IMSG_RECORDED:
        if (m->role != ROLE_LEDGER)
            return false;
        c->is_unrecorded = false;
        return true;
    case IMSG_CANCEL_FOR:
        if (m->role != ROLE_WORKER)
            return false;
        on_cancel_for(c, msg);
        return true;
    case IMSG_PEER_BAD:
        return on_peer_bad(c, m, msg);
    default:
        return false;
    }
}

static void hear(struct crew *c, struct crew_member *m, int64_t now_ms)
{
    struct imsg msg;
    for (int heard = 0; m->fd >= 0 && heard < HEARD_A_TURN; heard++) {
        int rc = imsg_recv(m->fd, &msg);
        if (rc == -RF_ESYS && errno == EAGAIN)
            return;
        if (rc <= 0) { /* closed: it is dying, or ought to */
            fd_close(&m->fd);
            m->deadline_ms = now_ms + AFTER_SILENCE_MS;
            return;
        }
        if (!hear_one(c, m, &msg)) {
            kill_member(m, "it broke the protocol");
            return;
        }
    }
}

void crew_poll_fill(const struct crew *c, struct pollfd *polls)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct crew_member *m = &c->members[i];
        polls[i] = (struct pollfd){ .fd = m->fd, .events = POLLIN };
        if (!outbox_is_empty(&m->out))
            polls[i].events |= POLLOUT;
    }
}

void crew_poll_take(struct crew *c, const struct pollfd *polls, int64_t now_ms)
{
    for (size_t i = 0; i < c->count; i++) {
        struct crew_member *m = &c->members[i];
        if (m->fd < 0 || polls[i].fd != m->fd)
            continue;
        bool ended = (polls[i].revents & POLLOUT) != 0 && outbox_flush(&m->out, m->fd) < 0;
        if (ended || (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            hear(c, m, now_ms);
    }
}

/* ---- the dead ------------------------------------------------------------------------------- */

static void log_death(const struct crew_member *m, int status, int64_t lived_ms, bool expected)
{
    const char *hint = "";
    char how[48];
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        (void)snprintf(how, sizeof(how), "signal=SIG%s", name != NULL ? name : "?");
        if (WTERMSIG(status) == SIGSYS)
            hint = " reason=\"it made a system call that its sandbox forbids\"";
    } else {
        (void)snprintf(how, sizeof(how), "status=%d", WEXITSTATUS(status));
    }
    log_event(expected ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, expected ? "child-ended" : "child-died",
              "child=%s pid=%ld %s lived_ms=%lld%s", m->name, (long)m->pid, how,
              (long long)lived_ms, hint);
}

static void bury(struct crew *c, struct crew_member *m, int status, int64_t now_ms)
{
    bool told = m->state == CREW_STOPPING || m->role == ROLE_HUB; /* hub/hub.c: it makes way */
    bool expected = told && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (m->fd >= 0)
        hear(c, m, now_ms); /* its last words may say why */
    log_death(m, status, now_ms - m->started_ms, expected);
    fd_close(&m->fd);
    outbox_done(&m->out);
    m->pid = 0;
    m->state = CREW_DOWN;
    m->asked = false;
    m->deadline_ms = 0;
    if (!m->retired)
        back_off(c, m, now_ms);
}

void crew_reap(struct crew *c, int64_t now_ms)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == c->runner_pid)
            lose_runner(c);
        for (size_t i = 0; i < c->count; i++)
            if (c->members[i].pid == pid) {
                bury(c, &c->members[i], status, now_ms);
                break;
            }
    }
}

void crew_done(struct crew *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct crew_member *m = &c->members[i];
        if (m->pid > 0) {
            (void)kill(m->pid, SIGKILL);
            while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        }
        fd_close(&m->fd);
        outbox_done(&m->out);
    }
    fd_close(&c->runner_fd); /* it ends of that */
    c->count = 0;
}

/* ---- reload and end ------------------------------------------------------------------------- */

void crew_ask_config(struct crew *c, enum crew_some whom, const struct bundle *bundle,
                     int64_t deadline_ms)
{
    if (whom != CREW_OTHERS)
        c->is_unrecorded = true; /* also when it does not run: it will start by this */
    for (size_t i = 0; i < c->count; i++) {
        struct crew_member *m = &c->members[i];
        if (m->state != CREW_SERVING || !is_running(m) ||
            (whom != CREW_ALL && (whom == CREW_LEDGER) != (m->role == ROLE_LEDGER)))
            continue;
        m->asked = true;
        m->deadline_ms = deadline_ms;
        tell_config(m, bundle);
    }
}

void crew_send_listeners(struct crew *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (is_running(&c->members[i]))
            tell_listeners(c, &c->members[i]);
}

size_t crew_answers_due(const struct crew *c)
{
    size_t due = 0;
    for (size_t i = 0; i < c->count; i++)
        due += c->members[i].asked;
    return due;
}

void crew_stop(struct crew *c, enum imsg_role role, int64_t deadline_ms)
{
    for (size_t i = 0; i < c->count; i++) {
        struct crew_member *m = &c->members[i];
        if (m->role != role)
            continue;
        m->retired = true;
        if (m->pid <= 0)
            continue;
        tell(m, IMSG_STOP, 0, NULL, 0, NULL, 0);
        m->state = CREW_STOPPING;
        m->asked = false;
        m->deadline_ms = deadline_ms;
    }
}

void crew_kill(struct crew *c, enum imsg_role role)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].role == role) {
            c->members[i].retired = true;
            kill_member(&c->members[i], "told to end at once");
        }
}

bool crew_is_gone(const struct crew *c, enum imsg_role role)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].role == role && c->members[i].pid > 0)
            return false;
    return true;
}

bool crew_is_starting(const struct crew *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->members[i].state == CREW_STARTING)
            return true;
    return false;
}

size_t crew_serving(const struct crew *c, enum imsg_role role)
{
    size_t serving = 0;
    for (size_t i = 0; i < c->count; i++)
        serving += c->members[i].role == role && c->members[i].state == CREW_SERVING;
    return serving;
}
