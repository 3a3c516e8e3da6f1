#include "witness/serve.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "tlog/witness_request.h"

enum {
    CONNECTIONS_MAX = 256,
    CONNECTIONS_PER_ADDRESS = 64,
    CONNECTION_MEMORY = 32 * 1024,
    IDLE_S = 120, /* longer than clients keep a connection they do not use */
    STATUS_TOO_LARGE = 413,
    STATUS_METHOD = 405,
};

static const char post_path[] = "/add-checkpoint";
static const char checkpoint_path[] = "/checkpoint"; /* behind the hash of an origin */

struct server {
    struct witness *witness;
    struct err why; /* code 0: all is well */
};

struct request { /* whose body is coming in */
    struct buf body;
};

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, const char *type,
                             const void *bytes, size_t n, const char *allow)
{
    union {
        const void *in;
        void *out; /* copied, so never written; the library has no const form */
    } body = { .in = bytes };
    struct MHD_Response *r = MHD_create_response_from_buffer(n, body.out, MHD_RESPMEM_MUST_COPY);
    if (r == NULL)
        return MHD_NO;
    enum MHD_Result rc = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (rc == MHD_YES && allow != NULL)
        rc = MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow);
    if (rc == MHD_YES)
        rc = MHD_queue_response(connection, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text,
                              const char *allow)
{
    return reply(connection, status, "text/plain; charset=utf-8", text, strlen(text), allow);
}

static enum MHD_Result answer_post(struct server *s, struct MHD_Connection *connection,
                                   struct request *r)
{
    struct witness_answer a;
    enum MHD_Result rc = MHD_NO;
    uint64_t now_s = (uint64_t)(clock_wall_ms() / 1000);
    witness_answer_init(&a);
    int done =
        witness_add_checkpoint(s->witness, buf_at(&r->body), buf_len(&r->body), now_s, &a, &s->why);
    if (done == 0) {
        rc = reply(connection, a.status,
                   a.is_size ? "text/x.tlog.size" : "text/plain; charset=utf-8", buf_at(&a.body),
                   buf_len(&a.body), NULL);
        log_debug("answered", "status=%u", a.status);
    } else if (s->why.code == 0) { /* the process ends; the peer hears nothing */
        (void)err_set(&s->why, (enum err_code) - done, "could not answer");
    }
    witness_answer_done(&a);
    return rc;
}

/* Larger by its own word: refused before it is read. */
static bool is_too_large(struct MHD_Connection *connection)
{
    const char *text =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text != NULL && (strlen(text) > 5 || strtoul(text, NULL, 10) > WITNESS_REQUEST_MAX);
}

static enum MHD_Result on_get(struct server *s, struct MHD_Connection *connection, const char *path)
{
    if (strlen(path) != 1 + WITNESS_HEX_LEN + strlen(checkpoint_path) ||
        strcmp(path + 1 + WITNESS_HEX_LEN, checkpoint_path) != 0)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "nothing here\n", NULL);
    const struct buf *note = witness_checkpoint(s->witness, path + 1);
    if (note == NULL)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "no such log, or no checkpoint yet\n", NULL);
    return reply(connection, MHD_HTTP_OK, "text/plain; charset=utf-8", note->data + note->off,
                 buf_len(note), NULL);
}

static enum MHD_Result begin(void **state)
{
    struct request *r = mem_zalloc(1, sizeof(*r));
    if (r == NULL)
        return MHD_NO;
    buf_init(&r->body, WITNESS_REQUEST_MAX);
    *state = r;
    return MHD_YES;
}

/* Called with the header, with each piece of the body, and when all is there. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *bytes, size_t *n, void **state)
{
    struct server *s = context;
    struct request *r = *state;
    size_t len = *n;
    (void)version;
    if (s->why.code != 0)
        return MHD_NO;
    if (r == NULL) /* an answer now would end the connection, which is meant for the first only */
        return is_too_large(connection) ? refuse(connection, STATUS_TOO_LARGE, "too large\n", NULL)
                                        : begin(state);
    *n = 0;
    if (len > 0)
        return buf_append(&r->body, bytes, len) == 0 ? MHD_YES : MHD_NO; /* hangs up */
    if (strcmp(path, post_path) == 0)
        return strcmp(method, MHD_HTTP_METHOD_POST) == 0
                   ? answer_post(s, connection, r)
                   : refuse(connection, STATUS_METHOD, "POST only\n", "POST");
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0
               ? on_get(s, connection, path)
               : refuse(connection, STATUS_METHOD, "GET only\n", "GET, HEAD");
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct request *r = *state;
    (void)context;
    (void)connection;
    (void)why;
    if (r != NULL)
        buf_done(&r->body);
    mem_free(r);
    *state = NULL;
}

/* ---- listening ------------------------------------------------------------------------------ */

/* "HOST:PORT" or "[HOST]:PORT". The caller frees *RET. */
static int resolve(const char *address, struct addrinfo **ret, struct err *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    char host[256];
    const char *colon = strrchr(address, ':');
    size_t len = colon != NULL ? (size_t)(colon - address) : 0;
    const char *from = address;
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        from++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(host) || colon[1] == '\0')
        return err_set(err, RF_EUSAGE, "\"%.100s\" is not ADDRESS:PORT", address);
    memcpy(host, from, len);
    host[len] = '\0';
    int rc = getaddrinfo(host, colon + 1, &hints, ret);
    return rc == 0 ? 0
                   : err_set(err, RF_ECONNECT, "could not resolve \"%.100s\": %s", address,
                             gai_strerror(rc));
}

static int start(struct server *s, const char *address, struct MHD_Daemon **ret, struct err *err)
{
    struct addrinfo *at = NULL;
    int rc = resolve(address, &at, err);
    if (rc < 0)
        return rc;
    unsigned flags = MHD_USE_EPOLL | (at->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    *ret = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, at->ai_addr,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CONNECTIONS_PER_ADDRESS,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (*ret == NULL)
        rc = err_sys(err, "could not listen on \"%.100s\"", address);
    freeaddrinfo(at);
    return rc;
}

static int signals_open(struct err *err)
{
    sigset_t set;
    int fd = -1;
    (void)signal(SIGPIPE, SIG_IGN); /* fails for no real signal */
    if (sigemptyset(&set) == 0 && sigaddset(&set, SIGTERM) == 0 && sigaddset(&set, SIGINT) == 0 &&
        sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : err_sys(err, "could not wait for signals");
}

/* ADDRESS with the port that the kernel chose. */
static int say_where(struct MHD_Daemon *daemon, const char *address, struct err *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    const char *colon = strrchr(address, ':');
    if (info == NULL ||
        printf("listening %.*s:%u\n", (int)(colon - address), address, (unsigned)info->port) < 0 ||
        fflush(stdout) != 0)
        return err_sys(err, "could not say where the witness listens");
    return 0;
}

/* Until a signal, or until the witness cannot be durable any more. */
static int loop(struct server *s, struct MHD_Daemon *daemon, int signal_fd, struct err *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        return err_set(err, RF_ESYS, "libmicrohttpd has no epoll here");
    struct pollfd fds[] = { { .fd = info->epoll_fd, .events = POLLIN },
                            { .fd = signal_fd, .events = POLLIN } };
    for (;;) {
        MHD_UNSIGNED_LONG_LONG limit_ms;
        int wait_ms = -1;
        if (MHD_get_timeout(daemon, &limit_ms) == MHD_YES)
            wait_ms = limit_ms < 60000 ? (int)limit_ms : 60000;
        if (poll(fds, RF_COUNT(fds), wait_ms) < 0 && errno != EINTR)
            return err_sys(err, "could not wait for requests");
        if (fds[1].revents != 0)
            return 0;
        if (MHD_run(daemon) != MHD_YES)
            return err_set(err, RF_ESYS, "could not serve requests");
        if (s->why.code != 0) {
            *err = s->why;
            return -s->why.code;
        }
    }
}

int serve(struct witness *w, const char *address, struct err *err)
{
    static struct server s; /* outlives every connection */
    struct MHD_Daemon *daemon = NULL;
    s = (struct server){ .witness = w };
    int signal_fd = signals_open(err);
    if (signal_fd < 0)
        return signal_fd;
    int rc = start(&s, address, &daemon, err);
    if (rc == 0)
        rc = say_where(daemon, address, err);
    if (rc == 0)
        rc = loop(&s, daemon, signal_fd, err);
    if (daemon != NULL)
        MHD_stop_daemon(daemon);
    fd_close(&signal_fd);
    return rc;
}
