/* The parser process: libpg_query lives and dies here, with no files, no network and no secrets.
 *
 * Workers each have one socket; a request is answered on the socket that it came from, in order.
 * Whoever does not fetch its answer is not asked for more, so one slow worker holds one message. A
 * text that crashes libpg_query takes this process along: the supervisor starts another and hands
 * new sockets to the workers, whose outstanding requests fail. */
#include "guard/inspect.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "priv/child.h"
#include "priv/sandbox.h"
#include "wire/rd.h"

struct parser {
    struct child child;
    struct buf answers[CHILD_PEERS_MAX]; /* by place in child.peers: an answer not yet taken */
    uint8_t *request;                    /* GUARD_MESSAGE_MAX bytes */
    bool stopping;
};

/* This worker is gone or broke the rules; the supervisor knows about the former. */
static void peer_close(struct parser *p, size_t i, const char *why)
{
    log_info("peer_closed", "role=%s index=%u why=\"%s\"", imsg_role_name(p->child.peers[i].role),
             p->child.peers[i].index, why);
    fd_close(&p->child.peers[i].fd);
    buf_done(&p->answers[i]);
}

/* Try to hand over the answer that is waiting. */
static void answer_send(struct parser *p, size_t i)
{
    struct buf *answer = &p->answers[i];
    ssize_t n =
        send(p->child.peers[i].fd, buf_at(answer), buf_len(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        buf_done(answer);
    else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
        peer_close(p, i, strerror(errno));
}

static void request_serve(struct parser *p, size_t i, const uint8_t *bytes, size_t n)
{
    static struct guard_report report; /* large, and one at a time */
    const char *sql;
    size_t len;
    uint32_t id;
    if (guard_request_read(bytes, n, &id, &sql, &len) < 0) {
        peer_close(p, i, "malformed request");
        return;
    }
    guard_inspect(sql, len, &report);
    report.id = id;
    int rc = guard_report_write(&p->answers[i], &report);
    guard_inspect_done(&report);
    if (rc < 0)
        peer_close(p, i, err_sentence(rc));
    else
        answer_send(p, i);
}

static void peer_read(struct parser *p, size_t i)
{
    ssize_t n = recv(p->child.peers[i].fd, p->request, GUARD_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        peer_close(p, i, n == 0 ? "end of file" : strerror(errno));
    else if (n > GUARD_MESSAGE_MAX)
        peer_close(p, i, "request is too long");
    else
        request_serve(p, i, p->request, (size_t)n);
}

/* A worker came (back): whatever was waiting for the old one is for nobody. */
static void peer_taken(struct parser *p, enum imsg_role role, uint32_t index)
{
    for (size_t i = 0; i < p->child.peer_count; i++) {
        if (p->child.peers[i].role == role && p->child.peers[i].index == index)
            buf_done(&p->answers[i]);
    }
    fd_close(&p->child.replaced_fd);
}

static void message_take(struct parser *p, struct imsg *m)
{
    struct err err = { 0 };
    enum imsg_type type = m->type;
    size_t peers_before = p->child.peer_count;
    uint32_t role = m->arg, index = UINT32_MAX;
    if (type == IMSG_PEER && m->len >= sizeof(index)) {
        struct rd in = rd_of(m->payload, m->len);
        index = rd_u32(&in);
    }
    int rc = child_take(&p->child, m, &err);
    if (rc < 0) {
        log_err(LOG_LEVEL_WARN, "message_refused", &err);
        if (type == IMSG_CONFIG && child_failed(&p->child, &err) < 0)
            p->stopping = true;
        return;
    }
    if (type == IMSG_PEER && p->child.peer_count == peers_before)
        peer_taken(p, (enum imsg_role)role, index);
    child_retired_done(&p->child.retired); /* nothing here borrows from the old values */
    if (type == IMSG_CONFIG && child_ready(&p->child, "") < 0)
        p->stopping = true;
}

static void supervisor_read(struct parser *p)
{
    static struct imsg m;
    int rc = imsg_recv(p->child.imsg_fd, &m);
    if (rc < 0 && errno == EAGAIN)
        return;
    if (rc <= 0) {
        p->stopping = true; /* without a supervisor there is nobody to serve */
    } else if (m.type == IMSG_STOP) {
        imsg_close_fds(&m);
        p->stopping = true; /* an answer is computed in one go: none is half done */
    } else {
        message_take(p, &m);
    }
}

/* Peers with an answer waiting are asked for room, the others for a request. */
static void round_serve(struct parser *p)
{
    struct pollfd fds[CHILD_PEERS_MAX + 1];
    size_t count = p->child.peer_count;
    fds[0] = (struct pollfd){ .fd = p->child.imsg_fd, .events = POLLIN };
    for (size_t i = 0; i < count; i++)
        fds[i + 1] = (struct pollfd){ .fd = p->child.peers[i].fd,
                                      .events = buf_len(&p->answers[i]) > 0 ? POLLOUT : POLLIN };
    if (poll(fds, count + 1, -1) < 0)
        return; /* EINTR; nothing else can happen to a valid array */
    for (size_t i = 0; i < count; i++) {
        if (fds[i + 1].revents == 0 || p->child.peers[i].fd != fds[i + 1].fd)
            continue;
        if (fds[i + 1].events == POLLOUT)
            answer_send(p, i);
        else
            peer_read(p, i);
    }
    if (fds[0].revents != 0)
        supervisor_read(p); /* last: it may change the list */
}

static int parser_start(struct parser *p, int imsg_fd, struct err *err)
{
    static const struct sandbox_paths nowhere = { 0 };
    char report[128] = "";
    int rc = child_begin(imsg_fd, 0, &p->child, err);
    if (rc < 0)
        return rc;                /* the supervisor was told */
    fd_close(&p->child.meter_fd); /* the counters are no business of whoever takes us over */
    rc = sandbox_enter(ROLE_PARSER, &nowhere, p->child.config->sandbox_floor, report,
                       sizeof(report), err);
    if (rc < 0) {
        if (child_failed(&p->child, err) < 0)
            err_detail(err, "the supervisor could not be told");
        return rc;
    }
    return child_ready(&p->child, report);
}

int parser_main(int imsg_fd)
{
    struct err err = { 0 };
    struct parser *p = mem_zalloc(1, sizeof(*p));
    int rc = -RF_ENOMEM;
    log_open("parser", LOG_LEVEL_INFO);
    if (p == NULL || (p->request = mem_zalloc(1, GUARD_MESSAGE_MAX)) == NULL) {
        rc = err_set(&err, RF_ENOMEM, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < CHILD_PEERS_MAX; i++)
        buf_init(&p->answers[i], GUARD_MESSAGE_MAX);
    rc = parser_start(p, imsg_fd, &err);
    if (rc < 0)
        goto out;
    while (!p->stopping)
        round_serve(p);
    for (size_t i = 0; i < CHILD_PEERS_MAX; i++)
        buf_done(&p->answers[i]);
    child_done(&p->child);
out:
    if (rc < 0)
        log_err(LOG_LEVEL_ERROR, "parser_failed", &err);
    if (p != NULL)
        mem_free(p->request);
    mem_free(p);
    return rc < 0 ? err_exit_status(rc) : 0;
}
