#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/clockwatch.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/clerk.h"
#include "ledger/desk.h"
#include "ledger/libraries.h"
#include "ledger/progress.h"
#include "ledger/rollup.h"
#include "priv/child.h"
#include "priv/grant_table.h"
#include "priv/news.h"
#include "priv/sandbox.h"

/* One turn of the loop: wait; take everything that all workers have sent, until the batch is full;
 * one write and one sync; then the acknowledgements. While the disk is busy the next batch gathers
 * in the sockets, so batches grow with the load and nobody waits for a timer. A batch for which
 * nobody waits yet stays for a few turns more: desk_due_ms().
 *
 * A worker has a share of each turn, in bytes, so that nobody's flood keeps a turn from its end.
 *
 * A wall clock that jumps ahead is not believed: nothing is written with such a time, and persons
 * are refused. When the clock is back this process ends, so that a new one begins with everybody
 * anew.
 *
 * Back-pressure: a full batch stops the reading, the sockets fill, and the workers wait. */

enum {
    SEATS_MAX = DESK_WORKERS_MAX,
    LOCK_WAIT_MS = 3000,
    FLUSH_WAIT_MS = 1000,
    SEAT_TURN_MAX = 1024 * 1024, /* bytes of one worker a turn; a whole batch, if it is all new */
    DAY_MS = 24 * 60 * 60 * 1000,
    TICK_MS = 250, /* ends of grants; roll-ups and seals have minutes */
};

struct seat { /* one worker connection */
    struct desk_worker *worker;
    int fd;
    bool is_replaced; /* the descriptor is ours to close; else struct child owns it */
    bool is_empty;    /* the last read found nothing */
};

struct ledger {
    struct child child;
    struct journal *journal; /* NULL: could not be opened */
    struct clerk *clerk;     /* NULL: there is no public log, or no journal */
    struct grant_table *grants;
    uint64_t told_notary; /* entries that it knows to be durable */
    int64_t tick_at_ms;   /* monotonic: the clerk's */
    uint8_t binary_digest[DIGEST_LEN], libraries_digest[DIGEST_LEN];
    struct meter *meter;
    struct rollup *rollup;
    struct desk *desk;
    struct seat seats[SEATS_MAX];
    size_t seat_count;
    char binary[2 * DIGEST_LEN + 1];
    int64_t rollup_at_ms;           /* monotonic */
    int64_t commit_at_ms;           /* likewise; INT64_MAX: there is nothing */
    bool is_in_doubt;               /* what the wall clock said last is not believed */
    bool is_refused;                /* and everybody has heard so */
    bool is_stopping, is_cut_short; /* one STOP, two */
    bool death_is_logged;
};

/* ---- the time ------------------------------------------------------------------------------- */

/* The wall clock, if it is believed: nothing is appended otherwise. */
static bool now(struct ledger *l, int64_t *ret_ms)
{
    int64_t jump_ms;
    *ret_ms = clock_wall_ms();
    if (FAULT("ledger.clock"))
        *ret_ms += DAY_MS;
    bool is_good = clockwatch_believes(&l->child.clock, *ret_ms, clock_boot_ms(), &jump_ms);
    if (!is_good && !l->is_in_doubt)
        log_error("clock-jumped",
                  "ahead_ms=%" PRId64 " hint=\"nobody is recorded with such a time; set the clock "
                  "right, or restart the gateway if it is\"",
                  jump_ms);
    if (is_good && l->is_refused && !l->is_stopping) {
        log_warn("clock-back", "hint=\"the ledger starts anew\"");
        l->is_stopping = true;
    }
    l->is_in_doubt = !is_good;
    return is_good;
}

/* Of a journal that was opened: minutes do not go back, so its entries say the last one until the
   clock has got there. */
static void compare_with_journal(const struct ledger *l)
{
    int64_t last_ms = (int64_t)journal_minute(l->journal, 0) * 60000, wall_ms = clock_wall_ms();
    if (last_ms - wall_ms > DAY_MS)
        log_warn("clock-behind",
                 "hours=%" PRId64 " reason=\"the journal's last entry is of a later day\" "
                 "hint=\"is the clock right? entries keep that last minute until it has come\"",
                 (last_ms - wall_ms) / (60 * 60 * 1000));
}

/* ---- records of our own --------------------------------------------------------------------- */

static int binary_digest(struct ledger *l, struct err *err)
{
    int rc = digest_init(err);
    if (rc < 0)
        return rc;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not open the program's own file");
    if (digest_file(fd, l->binary_digest) < 0)
        rc = err_sys(err, "could not read the program's own file");
    else
        digest_hex(l->binary_digest, DIGEST_LEN, l->binary);
    fd_close(&fd);
    return rc < 0 ? rc : libraries_digest(l->libraries_digest, err);
}

/* What the supervisor says of the policy; a journal without a log keeps it in the private part. */
static void read_news(const struct ledger *l, struct news *ret)
{
    *ret = (struct news){ 0 };
    if (l->child.credentials != NULL &&
        news_read(l->child.credentials, l->child.credentials_len, ret) < 0)
        log_error("news-not-understood", "action=\"restart the service\"");
}

static int write_start(struct ledger *l, const struct clerk_start *start, int64_t now_ms,
                       struct err *err)
{
    if (l->clerk != NULL)
        return clerk_start(l->clerk, l->child.policy, start, now_ms, err);
    struct record record = { .kind = RECORD_START,
                             .wall_ms = now_ms,
                             .place = l->child.config->place.code,
                             .detail = start->detail,
                             .signature = start->signed_by };
    memcpy(record.session, start->session, sizeof(record.session));
    return journal_append(l->journal, l->child.policy, &record, 0, 0, now_ms, err);
}

/* Another policy waits: nothing but this is said, and it is on disk before it counts as public. */
static int announce(struct ledger *l, const struct news *news, struct err *err)
{
    char policy[2 * DIGEST_LEN + 1], detail[160];
    struct buf signed_by;
    int64_t now_ms;
    if (l->journal == NULL || journal_death(l->journal) != NULL || !now(l, &now_ms))
        return err_set(err, RF_EUNAVAIL, "nothing can be put on record now");
    digest_hex(news->digest, DIGEST_LEN, policy);
    (void)snprintf(detail, sizeof(detail), "waits=1 policy=%s", policy);
    buf_init(&signed_by, news->sigs_len + 1);
    int rc = buf_append(&signed_by, news->sigs, news->sigs_len);
    if (rc == 0)
        rc = buf_append(&signed_by, "", 1);
    const struct clerk_start start = { .detail = detail,
                                       .session = meter_start_id(l->meter),
                                       .signatures = news->announced_valid,
                                       .signed_by = (const char *)buf_at(&signed_by),
                                       .waits = news->digest,
                                       .from = news->from };
    rc = rc < 0 ? err_set(err, RF_ENOMEM, "out of memory") : write_start(l, &start, now_ms, err);
    buf_done(&signed_by);
    return rc < 0 ? rc : desk_commit(l->desk, err);
}

/* CUT_BYTES: of a torn tail that was removed. */
static int start_write(struct ledger *l, bool is_reload, uint64_t cut_bytes, struct err *err)
{
    char policy[2 * DIGEST_LEN + 1], detail[320], cut[40] = "";
    digest_hex(l->child.policy->digest, DIGEST_LEN, policy);
    if (cut_bytes > 0)
        (void)snprintf(cut, sizeof(cut), " cut_bytes=%" PRIu64, cut_bytes);
    (void)snprintf(detail, sizeof(detail), "%s binary=%s policy=%s%s",
                   is_reload ? "reload=1" : "start=1", l->binary, policy, cut);
    int64_t now_ms;
    if (!now(l, &now_ms))
        return err_set(err, RF_EUNAVAIL, "the clock has jumped ahead");
    struct news news;
    read_news(l, &news);
    char *signed_by = mem_strndup(news.sigs, news.is_counted ? news.sigs_len : 0);
    const struct clerk_start start = { .is_reload = is_reload,
                                       .binary = l->binary_digest,
                                       .libraries = l->libraries_digest,
                                       .detail = detail,
                                       .session = meter_start_id(l->meter),
                                       .signatures = news.is_counted ? news.valid : 0,
                                       .signed_by = signed_by };
    int rc = signed_by == NULL ? err_set(err, RF_ENOMEM, "out of memory")
             : l->clerk != NULL && !is_reload
                 ? clerk_may_rule(l->clerk, l->child.policy, news.by, start.signatures, err)
                 : 0;
    if (rc == 0)
        rc = write_start(l, &start, now_ms, err);
    mem_free(signed_by);
    return rc == 0 && news.announces ? announce(l, &news, err) : rc;
}

static void rollup_now(struct ledger *l)
{
    struct err err;
    int64_t now_ms;
    l->rollup_at_ms = clock_mono_ms() + l->child.config->service_rollup_ms;
    if (l->journal == NULL || journal_death(l->journal) != NULL || !now(l, &now_ms))
        return;
    if (rollup_write(l->rollup, l->journal, l->clerk, l->child.policy, now_ms, &err) < 0 &&
        journal_death(l->journal) == NULL)
        log_err(LOG_LEVEL_WARN, "rollup-failed", &err); /* the next one holds the same totals */
}

/* ---- seats ---------------------------------------------------------------------------------- */

static void seat_leave(struct ledger *l, size_t i)
{
    struct seat *s = &l->seats[i];
    desk_worker_free(s->worker);
    if (s->is_replaced)
        fd_close(&s->fd);
    else
        (void)shutdown(s->fd, SHUT_RDWR); /* the worker hears it; struct child closes */
    l->seats[i] = l->seats[--l->seat_count];
}

/* Of those who send records. */
static enum desk_guest guest_of(uint32_t role)
{
    return role == ROLE_WORKER ? DESK_WORKER : DESK_REGISTRAR;
}

static void seat_take(struct ledger *l, enum desk_guest guest, int fd)
{
    struct err err;
    struct desk_worker *worker = NULL;
    int rc = fd_set_nonblock(fd);
    if (rc < 0)
        (void)err_sys(&err, "could not set up a worker's socket");
    else
        rc = desk_worker_new(l->desk, guest, &worker, &err);
    if (rc < 0) {
        log_err(LOG_LEVEL_ERROR, "worker-refused", &err);
        (void)shutdown(fd, SHUT_RDWR);
        return;
    }
    l->seats[l->seat_count++] = (struct seat){ .worker = worker, .fd = fd };
}

/* A new socket took the place of FD: what the old worker sent is still read to its end. */
static void seat_replaced(struct ledger *l, int fd)
{
    for (size_t i = 0; i < l->seat_count; i++)
        if (l->seats[i].fd == fd && !l->seats[i].is_replaced) {
            l->seats[i].is_replaced = true;
            return;
        }
    fd_close(&fd);
}

/* Take what the worker has sent, as far as the batch has room, and no more than its share of a
   turn: what is sent again fills no batch, and whoever floods us with it must not keep the others
   from their commit. False: the seat was given up. */
static bool seat_read(struct ledger *l, size_t i, int64_t now_ms)
{
    struct seat *s = &l->seats[i];
    struct err err;
    for (size_t taken = 0;;) {
        size_t room;
        if (desk_work(s->worker, now_ms, &err) < 0) {
            log_err(LOG_LEVEL_ERROR, "worker-ended", &err);
            seat_leave(l, i);
            return false;
        }
        if (desk_is_full(l->desk) || taken >= SEAT_TURN_MAX)
            return true; /* the rest is readable, so poll() comes back at once */
        uint8_t *to = desk_room(s->worker, &room);
        if (to == NULL) {
            log_error("worker-ended", "reason=memory worker=%s", desk_worker_name(s->worker));
            seat_leave(l, i);
            return false;
        }
        ssize_t n = recv(s->fd, to, room, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        s->is_empty = n < 0 && errno == EAGAIN;
        if (s->is_empty)
            return true;
        if (n <= 0) { /* end of file: everything whole was worked in above */
            log_debug("worker-left", "worker=%s", desk_worker_name(s->worker));
            seat_leave(l, i);
            return false;
        }
        desk_fed(s->worker, (size_t)n);
        taken += (size_t)n;
    }
}

static void seat_write(struct seat *s)
{
    struct buf *out = desk_answer(s->worker);
    while (buf_len(out) > 0) {
        ssize_t n = send(s->fd, buf_at(out), buf_len(out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        /* When the worker is gone nobody needs the answer, but what it sent may still wait to be
           read: its end of file ends the seat. */
        buf_consume(out, n < 0 ? buf_len(out) : (size_t)n);
        out = desk_answer(s->worker);
    }
}

static void seats_read(struct ledger *l)
{
    int64_t now_ms;
    if (!now(l, &now_ms) && !l->is_refused)
        return; /* commit() refuses them */
    for (size_t i = 0; i < l->seat_count;)
        i += seat_read(l, i, now_ms) ? 1 : 0;
    if (l->seat_count > 1 && desk_is_full(l->desk)) { /* whoever came first is last next time */
        struct seat first = l->seats[0];
        memmove(l->seats, l->seats + 1, (l->seat_count - 1) * sizeof(first));
        l->seats[l->seat_count - 1] = first;
    }
}

/* ---- the notary ----------------------------------------------------------------------------- */

static void tell_notary(struct ledger *l)
{
    struct child_peer *p = child_peer_of(&l->child, ROLE_NOTARY, 0);
    if (p == NULL || p->fd < 0 || l->clerk == NULL || journal_death(l->journal) != NULL)
        return;
    const struct progress now = { .committed = journal_next_index(l->journal) };
    if (now.committed != l->told_notary && progress_tell(p->fd, &now) == 0)
        l->told_notary = now.committed;
}

static void hear_notary(struct ledger *l)
{
    struct child_peer *p = child_peer_of(&l->child, ROLE_NOTARY, 0);
    struct progress heard;
    int rc = progress_hear(p->fd, &heard);
    if (rc == 1)
        desk_reached(l->desk, heard.signed_, heard.witnessed);
    if (rc < 0) /* a new one comes with a new socket */
        fd_close(&p->fd);
}

static void tick(struct ledger *l)
{
    struct err err;
    int64_t now_ms;
    l->tick_at_ms = clock_mono_ms() + TICK_MS;
    if (l->clerk == NULL || journal_death(l->journal) != NULL || !now(l, &now_ms))
        return;
    /* Seals and roll-ups come at their time to the millisecond, and not with the first record
       behind it: when they are published must not tell who was at work. */
    int64_t due_ms = clerk_due_ms(l->clerk) - now_ms;
    if (due_ms >= 0 && due_ms < TICK_MS)
        l->tick_at_ms = clock_mono_ms() + due_ms + 1;
    if (clerk_tick(l->clerk, l->child.policy, now_ms, &err) < 0 &&
        journal_death(l->journal) == NULL)
        log_err(LOG_LEVEL_WARN, "log-tick-failed", &err);
}

static void answer(struct ledger *l)
{
    for (size_t i = 0; i < l->seat_count; i++)
        seat_write(&l->seats[i]);
}

static void commit(struct ledger *l)
{
    struct err err;
    if (desk_commit(l->desk, &err) < 0 && !l->death_is_logged) {
        l->death_is_logged = true;
        log_err(LOG_LEVEL_ERROR, "journal-stopped", &err);
    }
    if (l->is_in_doubt && !l->is_refused) {
        l->is_refused = l->death_is_logged = true;
        (void)err_set(&err, RF_EUNAVAIL, "the gateway's clock has jumped ahead");
        desk_refuse(l->desk, &err);
    }
    l->commit_at_ms = INT64_MAX;
    answer(l);
    tell_notary(l);
}

static void commit_if_due(struct ledger *l)
{
    int64_t now_ms = clock_mono_ms();
    l->commit_at_ms = desk_due_ms(l->desk, now_ms);
    if (l->is_in_doubt || l->commit_at_ms <= now_ms)
        commit(l);
    else
        answer(l); /* greetings, and what has reached the public log */
}

/* ---- the supervisor ------------------------------------------------------------------------- */

/* The supervisor remembers a policy only behind its record. */
static void tell_recorded(struct ledger *l)
{
    if (l->journal != NULL && journal_death(l->journal) == NULL && child_recorded(&l->child) < 0)
        log_warn("supervisor-silent", "about=record");
}

static void reloaded(struct ledger *l)
{
    struct err err;
    desk_set_policy(l->desk, l->child.policy);
    child_retired_done(&l->child.retired); /* nothing here borrows from the old ones */
    struct news news;
    int rc = 0;
    read_news(l, &news);
    if (l->journal != NULL && journal_death(l->journal) == NULL)
        rc = start_write(l, true, 0, &err);
    else if (news.announces || news.is_counted)
        rc = err_set(&err, RF_EUNAVAIL, "nothing can be put on record now");
    if (rc == 0 && l->journal != NULL && journal_death(l->journal) == NULL)
        rc = desk_commit(l->desk, &err); /* before the supervisor goes by it */
    if (rc < 0)
        log_err(LOG_LEVEL_ERROR, "reload-not-recorded", &err); /* a dead journal says so itself */
    rollup_now(l);
    if (rc == 0)
        tell_recorded(l);
    /* Which policy rules, or waits, is on record, or nobody goes by it. */
    rc = rc < 0 ? child_failed(&l->child, &err) : child_ready(&l->child, "");
    if (rc < 0)
        log_warn("supervisor-silent", "about=reload");
}

/* Does such a peer send records? */
static bool speaks(uint32_t role)
{
    return role == ROLE_WORKER || role == ROLE_REGISTRAR;
}

static void on_message(struct ledger *l, struct imsg *m)
{
    struct err err;
    enum imsg_type type = m->type;
    uint32_t role = m->arg;
    int fd = type == IMSG_PEER ? m->fds[0] : -1;
    if (type == IMSG_STOP) {
        l->is_cut_short = l->is_stopping;
        l->is_stopping = true;
        imsg_close_fds(m);
        return;
    }
    if (child_take(&l->child, m, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "message-refused", &err);
        if (type == IMSG_CONFIG && child_failed(&l->child, &err) < 0)
            log_warn("supervisor-silent", "about=reload");
        return;
    }
    if (type == IMSG_CONFIG)
        reloaded(l);
    if (type != IMSG_PEER)
        return;
    if (role == ROLE_NOTARY)
        l->told_notary = 0;
    if (!speaks(role))
        fd_close(&l->child.replaced_fd);
    if (l->child.replaced_fd >= 0)
        seat_replaced(l, l->child.replaced_fd);
    if (speaks(role))
        seat_take(l, guest_of(role), fd);
}

static void supervisor_read(struct ledger *l)
{
    for (;;) {
        struct imsg m;
        int rc = imsg_recv(l->child.imsg_fd, &m);
        if (rc == 1) {
            on_message(l, &m);
            continue;
        }
        if (rc == -RF_ESYS && errno == EAGAIN)
            return;
        /* The end of the supervisor is the end of the gateway. */
        l->is_stopping = true;
        return;
    }
}

/* ---- the loop ------------------------------------------------------------------------------- */

static int wait_ms(const struct ledger *l)
{
    int64_t until =
        l->clerk != NULL && l->tick_at_ms < l->rollup_at_ms ? l->tick_at_ms : l->rollup_at_ms;
    if (l->commit_at_ms < until)
        until = l->commit_at_ms;
    int64_t left = until - clock_mono_ms();
    if (l->is_in_doubt) /* is it back? */
        return TICK_MS;
    if (desk_is_full(l->desk))
        return 0;
    for (size_t i = 0; i < l->seat_count; i++)
        if (desk_has_message(l->seats[i].worker))
            return 0;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void turn(struct ledger *l)
{
    struct pollfd p[SEATS_MAX + 2];
    nfds_t count = 0;
    const struct child_peer *notary = child_peer_of(&l->child, ROLE_NOTARY, 0);
    p[count++] = (struct pollfd){ .fd = l->child.imsg_fd, .events = POLLIN };
    p[count++] = (struct pollfd){ .fd = notary != NULL ? notary->fd : -1, .events = POLLIN };
    for (size_t i = 0; i < l->seat_count; i++) {
        short events = buf_len(desk_answer(l->seats[i].worker)) > 0 ? POLLIN | POLLOUT : POLLIN;
        p[count++] = (struct pollfd){ .fd = l->seats[i].fd, .events = events };
    }
    if (poll(p, count, wait_ms(l)) < 0 && errno != EINTR) {
        log_error("poll-failed", "errno=%d", errno);
        l->is_stopping = true;
        return;
    }
    if (p[1].revents != 0)
        hear_notary(l);
    if (p[0].revents != 0)
        supervisor_read(l);
    seats_read(l);
    if (clock_mono_ms() >= l->rollup_at_ms)
        rollup_now(l);
    if (clock_mono_ms() >= l->tick_at_ms)
        tick(l);
    commit_if_due(l);
}

static bool is_drained(const struct ledger *l)
{
    for (size_t i = 0; i < l->seat_count; i++)
        if (!l->seats[i].is_empty || desk_has_message(l->seats[i].worker))
            return false;
    return true;
}

/* Everything that workers had sent when we were told to stop is written; then the last totals. */
static void finish(struct ledger *l)
{
    int64_t until = clock_mono_ms() + l->child.config->shutdown_timeout_ms;
    do {
        for (size_t i = 0; i < l->seat_count; i++)
            l->seats[i].is_empty = false;
        seats_read(l);
        commit(l);
        supervisor_read(l);
    } while (!l->is_cut_short && !is_drained(l) && clock_mono_ms() < until);
    rollup_now(l);
    commit(l);
    clerk_snapshot(l->clerk);
    until = clock_mono_ms() + FLUSH_WAIT_MS;
    for (size_t i = 0; i < l->seat_count;) {
        struct pollfd p = { .fd = l->seats[i].fd, .events = POLLOUT };
        seat_write(&l->seats[i]);
        if (buf_len(desk_answer(l->seats[i].worker)) == 0 || clock_mono_ms() >= until)
            i++;
        else
            (void)poll(&p, 1, 10);
    }
    if (l->journal != NULL)
        log_info("stopped", "entries=%" PRIu64 " journal=%s", journal_next_index(l->journal),
                 journal_death(l->journal) == NULL ? "good" : "failed");
}

/* ---- starting ------------------------------------------------------------------------------- */

static int clerk_open(struct ledger *l, struct err *err)
{
    int rc = clerk_new(l->journal, l->child.config, l->grants, &l->clerk, err);
    if (rc == 0)
        rc = clerk_replay(l->clerk, l->child.policy, err);
    return rc < 0 ? rc : clerk_goes_on(l->clerk, err);
}

/* A journal that cannot be opened leaves a desk that refuses everybody for that reason. */
static int journal_start(struct ledger *l, struct journal_found *found, struct err *err)
{
    const struct config *config = l->child.config;
    const struct journal_options options = { .state_dir = config->state_dir,
                                             .name = config->name,
                                             .copy_dir = config->ledger.copy_path,
                                             .lock_wait_ms = LOCK_WAIT_MS };
    struct err why;
    if (journal_open(&options, &l->journal, found, &why) < 0) {
        l->journal = NULL;
        l->death_is_logged = true;
        log_err(LOG_LEVEL_ERROR, "journal-refused", &why);
        return desk_new(NULL, NULL, l->child.policy, why.line, &l->desk, err);
    }
    if (found->cut_bytes > 0)
        log_warn("journal-tail-cut", "file=%s offset=%" PRIu64 " bytes=%" PRIu64, found->cut_path,
                 found->cut_at, found->cut_bytes);
    if (!journal_keys_locked(l->journal))
        log_warn("keys-not-locked", "hint=\"raise RLIMIT_MEMLOCK: day keys may be swapped out\"");
    log_info("journal-open", "entries=%" PRIu64 " segments_checked=%zu", found->entries,
             found->checked);
    compare_with_journal(l);
    int rc = config->ledger.origin == NULL ? 0 : clerk_open(l, err);
    return rc < 0 ? rc : desk_new(l->journal, l->clerk, l->child.policy, NULL, &l->desk, err);
}

static int narrow(struct ledger *l, char *report, size_t report_len, struct err *err)
{
    char journal[PATH_MAX], keys[PATH_MAX], clerk[PATH_MAX];
    const char *read_write[5] = { journal, keys };
    size_t count = 2;
    if (l->clerk != NULL)
        read_write[count++] = clerk;
    read_write[count] = l->child.config->ledger.copy_path;
    (void)snprintf(journal, sizeof(journal), "%s/journal", l->child.config->state_dir);
    (void)snprintf(keys, sizeof(keys), "%s/keys/day", l->child.config->state_dir);
    (void)snprintf(clerk, sizeof(clerk), "%s/clerk", l->child.config->state_dir);
    const struct sandbox_paths paths = { .read_write = read_write };
    return sandbox_enter(ROLE_LEDGER, &paths, l->child.config->sandbox_floor, report, report_len,
                         err);
}

static int start(struct ledger *l, struct err *err)
{
    struct journal_found found = { 0 };
    char report[256];
    int rc = binary_digest(l, err);
    if (rc == 0)
        rc = meter_map(l->child.meter_fd, &l->meter, err);
    if (rc == 0)
        rc = rollup_new(l->meter, &l->rollup, err);
    if (rc == 0 && l->child.config->ledger.origin != NULL)
        rc = grant_table_map(l->child.grants_fd, LEASE_READ, &l->grants, err);
    if (rc == 0)
        rc = journal_start(l, &found, err);
    if (rc == 0)
        rc = narrow(l, report, sizeof(report), err);
    if (rc < 0)
        return rc;
    /* The first record of this start is on disk before anybody is served. Should that fail, the
       journal is dead and the desk says so, or the clock is not believed and nobody is served. */
    rc = l->journal != NULL ? start_write(l, false, found.cut_bytes, err) : -RF_EUNAVAIL;
    if (rc < 0 && l->journal != NULL && journal_death(l->journal) == NULL && !l->is_in_doubt)
        return -err->code;
    commit(l);
    if (rc == 0)
        tell_recorded(l);
    for (size_t i = 0; i < l->child.peer_count; i++)
        if (speaks((uint32_t)l->child.peers[i].role))
            seat_take(l, guest_of((uint32_t)l->child.peers[i].role), l->child.peers[i].fd);
    l->rollup_at_ms = clock_mono_ms() + l->child.config->service_rollup_ms;
    return child_ready(&l->child, report) < 0
               ? err_set(err, RF_EUNAVAIL, "the supervisor does not listen")
               : 0;
}

int ledger_main(int imsg_fd)
{
    static struct ledger l; /* large, and there is one */
    struct err err;
    int status = 0;
    if (child_begin(imsg_fd, 0, &l.child, &err) < 0)
        return err_exit_status(err.code);
    if (start(&l, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        if (child_failed(&l.child, &err) < 0)
            log_warn("supervisor-silent", "about=start");
        status = err_exit_status(err.code);
        goto out;
    }
    while (!l.is_stopping)
        turn(&l);
    finish(&l);
out:
    while (l.seat_count > 0)
        seat_leave(&l, l.seat_count - 1);
    desk_free(l.desk);
    rollup_free(l.rollup);
    meter_unmap(l.meter);
    clerk_free(l.clerk);
    grant_table_unmap(l.grants);
    journal_close(l.journal);
    child_done(&l.child);
    return status;
}
