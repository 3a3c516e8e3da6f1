#include "courier/courier.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "courier/carrier.h"
#include "ledger/errand.h"
#include "priv/child.h"
#include "priv/sandbox.h"

enum { WAIT_MS = 60 * 1000 /* everything that happens wakes it */, POSTS_A_TURN = 2 * TRUST_MAX };

struct courier {
    struct child child;
    struct carrier *carrier;
    bool is_stopping;
};

/* ---- towards the notary --------------------------------------------------------------------- */

static int *notary_fd(struct courier *x)
{
    struct child_peer *peer = child_peer_of(&x->child, ROLE_NOTARY, 0);
    return peer != NULL ? &peer->fd : NULL;
}

/* An answer that does not go out is lost: the notary has a limit of its own. */
static void on_answer(void *context, const struct errand_answer *answer)
{
    struct courier *x = context;
    const int *fd = notary_fd(x);
    struct buf b;
    buf_init(&b, ERRAND_MESSAGE_MAX);
    if (errand_answer_write(&b, answer) < 0 || fd == NULL || *fd < 0 ||
        send(*fd, buf_at(&b), buf_len(&b), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_warn("answer-lost", "witness=%u", answer->witness);
    buf_done(&b);
}

/* Without a notary nobody waits for what is under way; the supervisor hands over a new one. */
static void notary_lost(struct courier *x, const char *why)
{
    log_warn("notary-lost", "reason=\"%s\"", why);
    carrier_drop(x->carrier);
    int *fd = notary_fd(x);
    if (fd != NULL)
        fd_close(fd);
}

static void notary_read(struct courier *x)
{
    static uint8_t packet[ERRAND_MESSAGE_MAX + 1]; /* one more: longer ones are seen */
    for (unsigned i = 0; i < POSTS_A_TURN; i++) {
        const int *fd = notary_fd(x);
        struct errand_post post;
        if (fd == NULL || *fd < 0)
            return;
        ssize_t n = recv(*fd, packet, sizeof(packet), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            notary_lost(x, n == 0 ? "it hung up" : strerrordesc_np(errno));
            return;
        }
        if (errand_post_read(packet, (size_t)n, &post) < 0) {
            notary_lost(x, "malformed message");
            return;
        }
        carrier_post(x->carrier, &post);
    }
}

/* ---- towards the supervisor ----------------------------------------------------------------- */

/* The witnesses that were handed over; whom there were before stays on failure. */
static int read_witnesses(struct courier *x, struct err *err)
{
    struct trust *t = mem_zalloc(1, sizeof(*t));
    int rc = 0;
    if (t == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the witnesses");
    if (x->child.credentials != NULL)
        rc = trust_read(x->child.credentials, x->child.credentials_len, t, err);
    if (rc == 0)
        rc = carrier_trust(x->carrier, t, err);
    mem_free(t);
    return rc;
}

static void take(struct courier *x, struct imsg *m)
{
    struct err err = { 0 };
    bool is_reload = m->type == IMSG_CONFIG;
    int rc = child_take(&x->child, m, &err);
    if (rc == 0 && is_reload)
        rc = read_witnesses(x, &err);
    if (rc < 0)
        log_err(LOG_LEVEL_ERROR, "message-refused", &err);
    if (is_reload && (rc < 0 ? child_failed(&x->child, &err) : child_ready(&x->child, "")) < 0)
        log_warn("supervisor-silent", "about=reload");
    child_retired_done(&x->child.retired);
    if (x->child.replaced_fd >= 0)
        carrier_drop(x->carrier); /* asked by the notary before this one */
    fd_close(&x->child.replaced_fd);
}

static void supervisor_read(struct courier *x)
{
    struct imsg m;
    int rc;
    while ((rc = imsg_recv(x->child.imsg_fd, &m)) == 1) {
        if (m.type == IMSG_STOP) {
            imsg_close_fds(&m);
            x->is_stopping = true;
            return;
        }
        take(x, &m);
    }
    if (rc == 0 || (errno != EAGAIN && errno != EINTR))
        x->is_stopping = true; /* the supervisor is gone, or speaks nonsense */
}

/* Nothing of the gateway's own files: the witnesses were handed over. CA: of who runs us by hand,
   or NULL. */
static int enter_sandbox(struct courier *x, const char *ca, char *report, size_t report_len,
                         struct err *err)
{
    const char *read_only[] = { ca, NULL }, *nothing[] = { NULL };
    const struct sandbox_paths paths = { .read_only = read_only, .read_write = nothing };
    return sandbox_enter(ROLE_COURIER, &paths, x->child.config->sandbox_floor, report, report_len,
                         err);
}

static int begin(struct courier *x, struct err *err)
{
    char report[200] = "";
    const char *ca = getenv("SSL_CERT_FILE"); /* the supervisor hands none on */
    fd_close(&x->child.meter_fd);             /* not its business */
    (void)signal(SIGPIPE, SIG_IGN); /* a witness that hangs up; fails for no real signal */
    int rc = digest_init(err);
    if (rc == 0)
        rc = carrier_new(ca != NULL ? ca : CARRIER_CA, on_answer, x, &x->carrier, err);
    if (rc == 0)
        rc = read_witnesses(x, err);
    if (rc == 0)
        rc = enter_sandbox(x, ca, report, sizeof(report), err);
    if (rc == 0 && child_ready(&x->child, report) < 0)
        rc = err_set(err, RF_ESYS, "could not reach the supervisor");
    return rc;
}

static void turn(struct courier *x)
{
    struct err err = { 0 };
    const int *notary = notary_fd(x);
    const int fds[] = { x->child.imsg_fd, notary != NULL ? *notary : -1 };
    if (carrier_turn(x->carrier, fds, fds[1] >= 0 ? 2 : 1, WAIT_MS, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "posts-failed", &err);
        x->is_stopping = true; /* it starts again */
        return;
    }
    supervisor_read(x);
    notary_read(x);
}

int courier_main(int imsg_fd)
{
    static struct courier x; /* large, and there is one */
    struct err err = { 0 };
    int status = 0;
    if (child_begin(imsg_fd, 0, &x.child, &err) < 0)
        return err_exit_status(err.code);
    if (begin(&x, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        if (child_failed(&x.child, &err) < 0)
            log_warn("supervisor-silent", "about=start");
        status = err_exit_status(err.code);
        x.is_stopping = true;
    }
    while (!x.is_stopping)
        turn(&x);
    carrier_free(x.carrier);
    child_done(&x.child);
    return status;
}
