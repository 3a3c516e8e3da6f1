#include "ledger/notary.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/cosign.h"
#include "ledger/folder.h"
#include "ledger/progress.h"
#include "ledger/scribe.h"
#include "ledger/sight.h"
#include "ledger/vault.h"
#include "priv/child.h"
#include "priv/sandbox.h"

/* One turn: hear how far the journal is; when a checkpoint is due, work in what is new and sign;
 * show it to the witnesses; publish it once their quorum is there.
 *
 * A checkpoint that waits for its quorum holds the next one back, so that witnesses are asked for
 * few and each has a chance to be complete. Without witnesses (or with `quorum none`) a checkpoint
 * is published at once; cosignatures that come later are added.
 *
 * Beside that it keeps the private store up with the journal: a copy of what is sealed there, which
 * nothing waits for. When it cannot be written that is said, and tried again.
 *
 * The end of the log (another past, an alarm, a failed sync) is not the end of this process: it
 * stays and says so, because a new one would only find the same. A full disk is: the next one
 * tries. */

enum {
    LOCK_WAIT_MS = 3000,
    DATABASE_WAIT_MS = 5000, /* for what the region's database has seen, before we sign */
    STOP_WAIT_MS = 3000,     /* for the ledger's last word and the witnesses, when told to stop */
    COLLECT_MS = 30 * 1000,
    VAULT_MS = 200,             /* the private store may be that far behind */
    VAULT_AGAIN_MS = 30 * 1000, /* after a failure */
    NEVER_MS = 60 * 1000,
    DAY_MS = 24 * 60 * 60 * 1000,
    ANSWERS_A_TURN = 2 * TRUST_MAX, /* of the courier */
};

struct notary {
    struct child child;
    struct secret_key key;
    struct trust *trust; /* NULL: no witness is asked */
    struct scribe *scribe;
    struct cosign *cosign;
    struct vault *vault; /* NULL: not opened yet, or it failed */
    int64_t vault_at_ms;
    struct progress said;      /* to the ledger */
    uint64_t told_control;     /* size of a checkpoint */
    bool has_signed;           /* since its start: the one before has told of the others */
    int64_t database_until_ms; /* it is waited for; 0: not any more */
    uint64_t committed;
    uint64_t offered;       /* size that the witnesses were shown last */
    uint64_t lines_version; /* of the cosignatures that are published: cosign_version() */
    int64_t sign_at_ms, collect_at_ms;
    bool needs_quorum;
    bool is_over; /* nothing is signed any more */
    bool told_behind, told_doubt;
    bool told_lacking[TRUST_MAX]; /* of a witness */
    bool is_stopping;
    int status;
};

/* ---- the end of the log --------------------------------------------------------------------- */

static void end_log(struct notary *n, const struct err *why)
{
    if (n->is_over)
        return;
    n->is_over = true;
    log_err(LOG_LEVEL_ERROR, "log-stopped", why);
}

/* A failure of the scribe: full disks come and go, everything else is final. */
static void failed(struct notary *n, const struct err *why)
{
    if (why->code == RF_EDISKFULL || why->code == RF_ENOMEM) {
        log_err(LOG_LEVEL_ERROR, "log-paused", why);
        n->status = err_exit_status(why->code);
        n->is_stopping = true;
        n->is_over = true;
        return;
    }
    end_log(n, why);
}

static void behind(struct notary *n)
{
    uint64_t size, past;
    if (n->told_behind || scribe_next(n->scribe) < n->committed ||
        !scribe_is_behind(n->scribe, &size, &past))
        return;
    n->told_behind = true;
    log_error("log-behind",
              "leaves=%" PRIu64 " signed_before=%" PRIu64
              " reason=\"the journal was rolled back\" hint=\"%s\"",
              size, past, scribe_tamper_hint);
}

/* ---- witnesses ------------------------------------------------------------------------------ */

static int courier_fd(struct notary *n)
{
    const struct child_peer *p = child_peer_of(&n->child, ROLE_COURIER, 0);
    return p != NULL ? p->fd : -1;
}

static void check_alarm(struct notary *n)
{
    const struct cosign_alarm *a = cosign_alarm(n->cosign);
    struct err why;
    if (a == NULL || n->is_over)
        return;
    (void)err_set(&why, RF_ETAMPER,
                  "witness \"%s\" shows our signature over %s of %" PRIu64
                  " leaves of this log, and here are %" PRIu64,
                  n->trust->witnesses[a->witness].name,
                  a->witness_size > a->our_size ? "a tree" : "another tree", a->witness_size,
                  a->our_size);
    err_hint(&why, "%s", scribe_tamper_hint);
    end_log(n, &why);
}

/* Who does not cosign is said once, and when he does again. The first failure is nothing: a
   connection that went to sleep. */
static void tell_of_witnesses(struct notary *n)
{
    for (unsigned i = 0; n->cosign != NULL && i < n->trust->witness_count; i++) {
        struct cosign_view v;
        const char *name = n->trust->witnesses[i].name;
        cosign_look(n->cosign, i, &v);
        bool lacks = v.failures >= 2 || (v.failures > 0 && v.last == COSIGN_DISPUTED);
        if (lacks && !n->told_lacking[i]) {
            n->told_lacking[i] = true;
            if (v.last == COSIGN_DISPUTED)
                log_error("witness-disputes",
                          "witness=%s hint=\"what it cosigned is no past of this log, or it lies: "
                          "compare its checkpoint with ours\"",
                          name);
            else
                log_warn("witness-lacking", "witness=%s last=%s", name,
                         cosign_outcome_name(v.last));
        } else if (v.failures == 0 && v.covers && n->told_lacking[i]) {
            n->told_lacking[i] = false;
            log_info("witness-back", "witness=%s", name);
        }
    }
}

static void remember_witnesses(struct notary *n)
{
    struct buf text;
    struct err err;
    buf_init(&text, COSIGN_STATE_MAX);
    if (cosign_export(n->cosign, &text) < 0 ||
        scribe_remember(n->scribe, "witnesses", buf_at(&text), buf_len(&text), &err) < 0)
        log_warn("witnesses-not-remembered", "hint=\"they are asked anew after a restart\"");
    buf_done(&text);
}

static void send_posts(struct notary *n)
{
    struct errand_post post;
    struct err err;
    int fd = courier_fd(n), rc = 1;
    while (fd >= 0 && !n->is_over && rc != 0) {
        struct buf packet;
        rc = cosign_next(n->cosign, clock_mono_ms(), &post, &err);
        if (rc < 0) {
            log_err(LOG_LEVEL_WARN, "witness-not-asked", &err);
            continue; /* that one is put off */
        }
        if (rc == 0)
            return;
        buf_init(&packet, ERRAND_MESSAGE_MAX);
        if (errand_post_write(&packet, &post) < 0 ||
            send(fd, buf_at(&packet), buf_len(&packet), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            log_debug("courier-deaf", "errno=%d", errno); /* its time limit passes */
        buf_done(&packet);
    }
}

static void hear_courier(struct notary *n)
{
    uint8_t packet[ERRAND_MESSAGE_MAX + 1];
    int fd = courier_fd(n);
    /* so many are asked for; whoever says more must not keep us from signing */
    for (unsigned i = 0; i < ANSWERS_A_TURN; i++) {
        ssize_t got = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        struct errand_answer answer;
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) { /* a new one comes with a new socket */
            cosign_lost(n->cosign, clock_mono_ms());
            fd_close(&child_peer_of(&n->child, ROLE_COURIER, 0)->fd);
            return;
        }
        if (errand_answer_read(packet, (size_t)got, &answer) < 0) {
            log_error("courier-nonsense", "bytes=%zd", got);
            continue;
        }
        enum cosign_outcome what = cosign_answer(n->cosign, &answer, clock_mono_ms());
        log_debug("witness-answered", "witness=%u outcome=%s status=%u", answer.witness,
                  cosign_outcome_name(what), answer.status);
        if (what == COSIGN_CLAIMED)
            log_warn("witness-claims-more",
                     "witness=%u hint=\"it is asked to show our signature; unless it does, this is "
                     "its word or that of whoever sits between\"",
                     answer.witness);
        check_alarm(n);
    }
}

/* ---- publishing ----------------------------------------------------------------------------- */

static bool may_publish(const struct notary *n)
{
    return !n->needs_quorum || cosign_is_met(n->cosign, NULL);
}

/* `quorum none` lets anything be published, and is nobody's word for it. */
static bool is_witnessed(const struct notary *n)
{
    return n->needs_quorum && cosign_is_met(n->cosign, NULL);
}

/* The present checkpoint, when it is new or has more cosignatures than the published one. */
static void publish(struct notary *n)
{
    struct buf lines;
    struct err err;
    size_t len;
    uint64_t held, past;
    if (n->is_over || scribe_note(n->scribe, &len) == NULL || !may_publish(n))
        return;
    if (scribe_is_behind(n->scribe, &held, &past)) /* a larger one was published, by whomever */
        return;
    buf_init(&lines, NOTE_MAX);
    int rc = n->cosign != NULL ? cosign_lines(n->cosign, &lines) : 0;
    uint64_t size = scribe_checkpoint(n->scribe)->size;
    uint64_t version = n->cosign != NULL ? cosign_version(n->cosign) : 0;
    if (rc == 0 && (scribe_published_size(n->scribe) != size || version != n->lines_version)) {
        rc = scribe_publish(n->scribe, buf_at(&lines), buf_len(&lines), &err);
        if (rc < 0) {
            failed(n, &err);
        } else {
            n->lines_version = version;
            log_debug("published", "size=%" PRIu64, size);
            if (n->cosign != NULL)
                remember_witnesses(n);
        }
    }
    buf_done(&lines);
}

/* ---- signing -------------------------------------------------------------------------------- */

static void offer(struct notary *n)
{
    struct tile_source tiles = scribe_source(n->scribe);
    struct err err;
    size_t len;
    const char *note = scribe_note(n->scribe, &len);
    if (n->cosign == NULL || note == NULL)
        return;
    n->offered = scribe_checkpoint(n->scribe)->size;
    if (cosign_offer(n->cosign, note, len, &tiles, clock_mono_ms(), &err) < 0)
        log_err(LOG_LEVEL_ERROR, "witnesses-not-asked", &err);
    check_alarm(n);
}

/* The region's database may know of more than our folders do. Without it we go on after a while:
   witnesses guard, too. */
static bool is_database_heard(struct notary *n, int64_t now_ms)
{
    if (n->database_until_ms != 0 && now_ms >= n->database_until_ms) {
        n->database_until_ms = 0;
        log_warn("log-size-unknown",
                 "hint=\"the region's database did not say how large the log was: a roll-back of "
                 "both folders would be seen by witnesses alone\"");
    }
    return n->database_until_ms == 0;
}

/* What the policy publishes late must not come early because a clock jumps. */
static int64_t wall_ms(struct notary *n)
{
    int64_t ms = clock_wall_ms();
    if (FAULT("notary.clock"))
        ms += DAY_MS;
    return clockwatch_time_ms(&n->child.clock, ms, clock_boot_ms());
}

static bool may_sign(struct notary *n, int64_t now_ms)
{
    bool waits = n->cosign != NULL && n->needs_quorum && cosign_is_waiting(n->cosign);
    bool is_due = scribe_due_ms(n->scribe) != 0 && wall_ms(n) >= scribe_due_ms(n->scribe);
    return !n->is_over && now_ms >= n->sign_at_ms && !waits &&
           (scribe_next(n->scribe) < n->committed) && (scribe_due_ms(n->scribe) == 0 || is_due);
}

static void advance(struct notary *n)
{
    struct err err;
    int64_t now_ms = clock_mono_ms();
    if (!is_database_heard(n, now_ms) || !may_sign(n, now_ms))
        return;
    int rc = scribe_advance(n->scribe, n->committed, wall_ms(n), &err);
    if (rc < 0) {
        failed(n, &err);
        return;
    }
    /* Records without a leaf move nothing: when a checkpoint comes must not depend on them. */
    if (rc == 1 && scribe_next(n->scribe) >= n->committed)
        n->sign_at_ms = now_ms + n->child.config->ledger.checkpoint_ms;
    behind(n);
    n->has_signed = n->has_signed || rc == 1;
    if (rc == 1 || n->offered != scribe_checkpoint(n->scribe)->size) /* made again by now */
        offer(n);
}

/* ---- the private store ---------------------------------------------------------------------- */

static bool is_vault_behind(const struct notary *n)
{
    return n->committed > (n->vault != NULL ? vault_next(n->vault) : 0);
}

/* A round of it. */
static void keep_vault(struct notary *n)
{
    struct err err;
    int64_t now_ms = clock_mono_ms();
    if (!is_vault_behind(n) || now_ms < n->vault_at_ms)
        return;
    int rc = n->vault == NULL ? vault_open(n->child.config->state_dir, &n->vault, &err) : 0;
    if (rc == 0)
        rc = vault_advance(n->vault, n->committed, &err);
    if (rc < 0) {
        log_err(LOG_LEVEL_WARN, "private-store-behind", &err);
        vault_close(n->vault);
        n->vault = NULL;
    }
    n->vault_at_ms = now_ms + (rc == -RF_ENOTFOUND  ? VAULT_MS
                               : rc < 0             ? VAULT_AGAIN_MS
                               : is_vault_behind(n) ? 0
                                                    : VAULT_MS);
}

/* How far everything is, when that is news. */
static void tell_ledger(struct notary *n)
{
    struct child_peer *p = child_peer_of(&n->child, ROLE_LEDGER, 0);
    struct progress now = { .signed_ = scribe_covered(n->scribe), .witnessed = n->said.witnessed };
    size_t len;
    if (scribe_note(n->scribe, &len) == NULL || n->is_over)
        return;
    if (scribe_published_size(n->scribe) == scribe_checkpoint(n->scribe)->size && is_witnessed(n))
        now.witnessed = now.signed_;
    if (p == NULL || p->fd < 0 ||
        (now.signed_ == n->said.signed_ && now.witnessed == n->said.witnessed))
        return;
    if (progress_tell(p->fd, &now) == 0)
        n->said = now;
}

/* ---- the others ----------------------------------------------------------------------------- */

static void hear_ledger(struct notary *n)
{
    struct child_peer *p = child_peer_of(&n->child, ROLE_LEDGER, 0);
    struct progress heard;
    int rc = progress_hear(p->fd, &heard);
    if (rc == 1 && heard.committed > n->committed)
        n->committed = heard.committed;
    if (rc < 0) { /* a new ledger comes with a new socket, and is told everything again */
        fd_close(&p->fd);
        n->said = (struct progress){ 0 };
    }
}

/* Whoever is control, or writes in the database, can say any size, and our signature he does not
   have: his word ends nothing. */
static void doubt_database(struct notary *n, uint64_t size)
{
    if (n->told_doubt)
        return;
    n->told_doubt = true;
    log_error("log-size-unproved",
              "size=%" PRIu64 " reason=\"the region's database names a checkpoint without our "
              "signature\" hint=\"see who wrote it; once that is known, delete the log's row in "
              "ringfence.log_size\"",
              size);
}

static void hear_control(struct notary *n)
{
    struct child_peer *p = child_peer_of(&n->child, ROLE_CONTROL, 0);
    struct sight seen;
    struct checkpoint c;
    struct err err;
    int rc = sight_hear(p->fd, &seen);
    if (rc < 0) {
        fd_close(&p->fd);
        n->told_control = 0;
    }
    if (rc != 1 || n->is_over)
        return;
    bool is_proved = seen.is_answered && (seen.size == 0 || sight_holds(&seen, &n->key.key, &c));
    if (!is_proved) {
        if (seen.is_answered)
            doubt_database(n, seen.size);
        if (n->database_until_ms != 0)
            n->database_until_ms = 1; /* it will not, soon */
        return;
    }
    n->database_until_ms = 0;
    if (seen.size == 0)
        return;
    rc = scribe_must_hold(n->scribe, &c, &err);
    if (rc == -RF_ETAMPER) {
        err_hint(&err, "the region's database has seen it; %s", scribe_tamper_hint);
        end_log(n, &err);
    } else if (rc < 0) {
        log_err(LOG_LEVEL_WARN, "log-size-not-compared", &err);
    }
    behind(n);
}

static void tell_control(struct notary *n)
{
    const struct child_peer *p = child_peer_of(&n->child, ROLE_CONTROL, 0);
    struct sight now;
    size_t len;
    if (p == NULL || p->fd < 0 || n->is_over || !n->has_signed ||
        scribe_note(n->scribe, &len) == NULL)
        return;
    const struct checkpoint *c = scribe_checkpoint(n->scribe);
    if (c->size != n->told_control && sight_sign(c, &n->key, &now) == 0 &&
        sight_tell(p->fd, &now) == 0)
        n->told_control = c->size;
}

/* The witnesses that were handed over; NULL: there are none. The caller frees *RET. */
static int read_witnesses(const struct notary *n, struct trust **ret, struct err *err)
{
    *ret = NULL;
    if (n->child.credentials == NULL)
        return 0;
    struct trust *t = mem_zalloc(1, sizeof(*t));
    int rc = t == NULL ? err_set(err, RF_ENOMEM, "out of memory for the witnesses")
                       : trust_read(n->child.credentials, n->child.credentials_len, t, err);
    if (rc < 0)
        mem_free(t);
    else
        *ret = t;
    return rc;
}

/* Whether there are any is the configuration's, which needs a restart for that. */
static int change_witnesses(struct notary *n, struct err *err)
{
    struct trust *t = NULL;
    if (n->cosign == NULL || n->is_over)
        return 0;
    int rc = read_witnesses(n, &t, err);
    if (rc < 0 || t == NULL)
        return rc;
    rc = cosign_retrust(n->cosign, t, clock_mono_ms(), err);
    if (rc < 0) {
        mem_free(t);
        return rc;
    }
    mem_free(n->trust);
    n->trust = t;
    n->needs_quorum = t->quorum >= 0;
    memset(n->told_lacking, 0, sizeof(n->told_lacking));
    return 0;
}

static void reloaded(struct notary *n)
{
    struct err err;
    child_retired_done(&n->child.retired);
    if (n->scribe != NULL)
        scribe_set_delay(n->scribe, n->child.policy->publication_delay_ms);
    int rc = change_witnesses(n, &err);
    if (rc < 0)
        log_err(LOG_LEVEL_ERROR, "witnesses-refused", &err);
    if ((rc < 0 ? child_failed(&n->child, &err) : child_ready(&n->child, "")) < 0)
        log_warn("supervisor-silent", "about=reload");
}

static void on_message(struct notary *n, struct imsg *m)
{
    struct err err;
    enum imsg_type type = m->type;
    uint32_t role = m->arg;
    if (type == IMSG_STOP) {
        imsg_close_fds(m);
        n->is_stopping = true;
        return;
    }
    if (child_take(&n->child, m, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "message-refused", &err);
        if (type == IMSG_CONFIG && child_failed(&n->child, &err) < 0)
            log_warn("supervisor-silent", "about=reload");
        return;
    }
    if (type == IMSG_CONFIG)
        reloaded(n);
    if (type == IMSG_PEER && role == ROLE_LEDGER) {
        n->said = (struct progress){ 0 };
        if (n->scribe != NULL)
            scribe_read_again(n->scribe);
    }
    if (type == IMSG_PEER && role == ROLE_CONTROL)
        n->told_control = 0;
    if (type == IMSG_PEER && role == ROLE_COURIER && n->cosign != NULL)
        cosign_lost(n->cosign, clock_mono_ms());
    fd_close(&n->child.replaced_fd);
}

static void supervisor_read(struct notary *n)
{
    struct imsg m;
    int rc;
    while ((rc = imsg_recv(n->child.imsg_fd, &m)) == 1)
        on_message(n, &m);
    if (rc == 0 || errno != EAGAIN)
        n->is_stopping = true;
}

static int peer_fd(struct notary *n, enum imsg_role role)
{
    const struct child_peer *p = child_peer_of(&n->child, role, 0);
    return p != NULL ? p->fd : -1;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static int wait_ms(struct notary *n)
{
    int64_t now_ms = clock_mono_ms(), until = now_ms + NEVER_MS;
    if (n->is_over)
        return NEVER_MS;
    if (n->collect_at_ms < until)
        until = n->collect_at_ms;
    if (n->database_until_ms != 0)
        return n->database_until_ms > now_ms ? (int)(n->database_until_ms - now_ms) : 0;
    if (scribe_next(n->scribe) < n->committed && scribe_due_ms(n->scribe) == 0 &&
        n->sign_at_ms < until)
        until = n->sign_at_ms;
    if (is_vault_behind(n) && n->vault_at_ms < until)
        until = n->vault_at_ms;
    if (scribe_due_ms(n->scribe) != 0) {
        int64_t due = now_ms + scribe_due_ms(n->scribe) - wall_ms(n);
        until = due < until ? due : until;
    }
    if (n->cosign != NULL && cosign_due_ms(n->cosign) >= 0 && cosign_due_ms(n->cosign) < until)
        until = cosign_due_ms(n->cosign);
    int64_t left = until - now_ms;
    bool has_work = may_sign(n, now_ms) || (is_vault_behind(n) && n->vault_at_ms <= now_ms);
    /* a due signature that waits for witnesses must not spin */
    return left <= 0 ? (has_work ? 0 : 10) : (int)left;
}

static void turn(struct notary *n, int most_ms)
{
    struct pollfd p[] = { { .fd = n->child.imsg_fd, .events = POLLIN },
                          { .fd = peer_fd(n, ROLE_LEDGER), .events = POLLIN },
                          { .fd = peer_fd(n, ROLE_COURIER), .events = POLLIN },
                          { .fd = peer_fd(n, ROLE_CONTROL), .events = POLLIN } };
    int ms = wait_ms(n);
    if (poll(p, RF_COUNT(p), ms < most_ms ? ms : most_ms) < 0 && errno != EINTR) {
        log_error("poll-failed", "errno=%d", errno);
        n->is_stopping = true;
        return;
    }
    if (p[1].revents != 0)
        hear_ledger(n);
    if (p[2].revents != 0 && n->cosign != NULL)
        hear_courier(n);
    if (p[3].revents != 0)
        hear_control(n);
    if (p[0].revents != 0)
        supervisor_read(n);
    advance(n);
    if (n->cosign != NULL)
        send_posts(n);
    tell_of_witnesses(n);
    publish(n);
    tell_ledger(n);
    keep_vault(n);
    tell_control(n);
    if (clock_mono_ms() >= n->collect_at_ms) {
        scribe_collect(n->scribe, clock_mono_ms());
        n->collect_at_ms = clock_mono_ms() + COLLECT_MS;
    }
}

/* The ledger has written its last entry and hung up: sign and publish what there is. */
static void finish(struct notary *n)
{
    int64_t until = clock_mono_ms() + STOP_WAIT_MS;
    n->sign_at_ms = 0;
    while (!n->is_over && clock_mono_ms() < until) {
        bool is_done = peer_fd(n, ROLE_LEDGER) < 0 && scribe_next(n->scribe) >= n->committed &&
                       (scribe_published_size(n->scribe) == scribe_checkpoint(n->scribe)->size);
        if (is_done || scribe_due_ms(n->scribe) != 0)
            break;
        turn(n, 50);
        n->sign_at_ms = 0;
    }
    while (is_vault_behind(n) && n->vault != NULL && clock_mono_ms() < until) {
        n->vault_at_ms = 0;
        keep_vault(n);
    }
    log_info("stopped", "signed=%" PRIu64 " published=%" PRIu64, scribe_checkpoint(n->scribe)->size,
             scribe_published_size(n->scribe));
}

/* ---- starting ------------------------------------------------------------------------------- */

static int start_witnesses(struct notary *n, struct err *err)
{
    char path[PATH_MAX], *text;
    size_t len;
    const struct config *c = n->child.config;
    int rc = read_witnesses(n, &n->trust, err);
    if (rc < 0 || n->trust == NULL)
        return rc;
    n->needs_quorum = n->trust->quorum >= 0;
    rc = cosign_new(n->trust, c->ledger.origin, &n->key.key, randombytes_random(), &n->cosign, err);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), "%.*s/notary/witnesses", PATH_MAX - 24, c->state_dir);
    if (access(path, F_OK) < 0)
        return 0;
    rc = fd_read_file(path, COSIGN_STATE_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    struct err why;
    if (cosign_import(n->cosign, text, len, &why) < 0)
        log_err(LOG_LEVEL_WARN, "witnesses-forgotten", &why); /* they are asked for their sizes */
    mem_free(text);
    return 0;
}

static int narrow(struct notary *n, char *report, size_t report_len, struct err *err)
{
    char journal[PATH_MAX], memory[PATH_MAX], vault[PATH_MAX];
    const struct config *c = n->child.config;
    const char *read_only[] = { journal, NULL };
    const char *read_write[] = { memory, vault, c->ledger.directory, NULL };
    (void)snprintf(journal, sizeof(journal), "%.*s/journal", PATH_MAX - 16, c->state_dir);
    (void)snprintf(memory, sizeof(memory), "%.*s/notary", PATH_MAX - 16, c->state_dir);
    (void)snprintf(vault, sizeof(vault), "%.*s/vault", PATH_MAX - 16, c->state_dir);
    const struct sandbox_paths paths = { .read_only = read_only, .read_write = read_write };
    return sandbox_enter(ROLE_NOTARY, &paths, c->sandbox_floor, report, report_len, err);
}

/* A hand-over between two starts of the daemon may overlap a little: the locks are waited for. */
static int open_log(struct notary *n, const struct scribe_options *options, struct err *err)
{
    const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
    int64_t until = clock_mono_ms() + LOCK_WAIT_MS;
    int rc;
    while ((rc = scribe_open(options, &n->scribe, err)) == -RF_EUNAVAIL && clock_mono_ms() < until)
        (void)nanosleep(&pause, NULL);
    return rc;
}

/* A past that contradicts itself leaves a notary that signs nothing and says why. */
static int start(struct notary *n, struct err *err)
{
    char report[256] = "";
    const struct config *c = n->child.config;
    const struct scribe_options options = { .state_dir = c->state_dir,
                                            .directory = c->ledger.directory,
                                            .key = &n->key,
                                            .delay_ms = n->child.policy->publication_delay_ms };
    if (sodium_init() < 0)
        return err_set(err, RF_EBUG, "cannot initialise libsodium");
    int rc = digest_init(err);
    if (rc == 0)
        rc = secret_key_load(c->ledger.key_path, KEY_ED25519, &n->key, err);
    if (rc == 0 && strcmp(n->key.key.name, c->ledger.origin) != 0)
        rc = err_set(err, RF_ECONFIG,
                     "the key in \"%.200s\" is of \"%.100s\", and the log is \"%.100s\"",
                     c->ledger.key_path, n->key.key.name, c->ledger.origin);
    if (rc == 0)
        rc = start_witnesses(n, err);
    if (rc == 0)
        rc = open_log(n, &options, err);
    if (rc == -RF_ETAMPER) {
        err_hint(err, "%s", scribe_tamper_hint);
        end_log(n, err);
        rc = 0;
    }
    if (rc == 0)
        rc = folder_make(c->state_dir, "vault", err);
    if (rc == 0)
        rc = narrow(n, report, sizeof(report), err);
    if (rc < 0)
        return rc;
    if (n->scribe != NULL) {
        log_info("log-open", "origin=%s size=%" PRIu64, c->ledger.origin,
                 scribe_checkpoint(n->scribe)->size);
        offer(n); /* what was signed before the stop may lack its quorum */
    }
    n->collect_at_ms = clock_mono_ms() + COLLECT_MS;
    n->database_until_ms = clock_mono_ms() + DATABASE_WAIT_MS;
    return child_ready(&n->child, report) < 0
               ? err_set(err, RF_EUNAVAIL, "the supervisor does not listen")
               : 0;
}

/* A log that is over: only the supervisor is heard. */
static void stand_still(struct notary *n)
{
    while (!n->is_stopping) {
        struct pollfd p = { .fd = n->child.imsg_fd, .events = POLLIN };
        if (poll(&p, 1, -1) > 0)
            supervisor_read(n);
    }
}

int notary_main(int imsg_fd)
{
    static struct notary n; /* large, and there is one */
    struct err err;
    if (child_begin(imsg_fd, 0, &n.child, &err) < 0)
        return err_exit_status(err.code);
    if (start(&n, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        if (child_failed(&n.child, &err) < 0)
            log_warn("supervisor-silent", "about=start");
        n.status = err_exit_status(err.code);
        goto out;
    }
    while (!n.is_stopping && !n.is_over)
        turn(&n, NEVER_MS);
    if (n.is_over)
        stand_still(&n);
    else
        finish(&n);
out:
    cosign_free(n.cosign);
    vault_close(n.vault);
    scribe_close(n.scribe);
    mem_free(n.trust);
    secret_key_wipe(&n.key);
    child_done(&n.child);
    return n.status;
}
