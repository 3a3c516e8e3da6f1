/* How a request passes through libmicrohttpd (0.9.75):
 *
 *   http_take()                the crowd has room; on_connection(STARTED) ties visitor and
 * connection request line is complete   on_target(): the raw target, before the library cuts and
 * unescapes it headers are complete       on_request(), first call: a body, or another method, is
 * answered now, and the connection ends after it, so that no byte of a body is ever taken for a
 * request; else request is complete        on_request(), second call: the answer the reply is out
 * on_completed(); then the next request, or on_connection(CLOSED)
 *
 * What is no HTTP never gets here: the library answers it (400, 414, 431, 505) with fixed texts
 * that hold nothing of the request or of us, and closes. Its option "strict for client" is off:
 * with it, its refusal of a missing Host comes with two status lines. asks() looks for that
 * instead. */
#include "hub/http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

enum {
    MEMORY_PER_CONNECTION = 8 * 1024, /* request line and headers, and those of the reply */
    CONNECTIONS_NO_LIMIT = 100000,    /* the crowd has one */
    TLS_BLOCK = 32 * 1024,            /* of a file, in memory during its reply */
};

/* A request between its line and its answer. One a connection: pipelined ones wait. */
struct request {
    struct visitor *visitor; /* NULL: this slot is free */
    enum site_channel channel;
    bool has_address;
    struct in6_addr address; /* IPv4 mapped */
    const char *target;
    size_t target_len;
    bool has_query;
    bool is_complete; /* its headers were seen */
    struct in6_addr listener;
    struct post *post; /* a command that it brings; NULL: none */
    uint64_t reply_len;
};

struct http {
    struct site *site;
    struct MHD_Daemon *daemons[HTTP_POLLS]; /* plain, TLS */
    struct request *requests;               /* as the crowd's visitors */
    struct request arriving;                /* during http_take() */
    int64_t now_ms;
};

static struct request *request_of(struct http *h, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    (void)h;
    return info != NULL ? info->socket_context : NULL;
}

/* ---- replies -------------------------------------------------------------------------------- */

static bool add(struct MHD_Response *r, const char *name, const char *value)
{
    return MHD_add_response_header(r, name, value) == MHD_YES;
}

/* What is public is to be read by any page anywhere, 404s too: a verifier in a browser must see
   that a file is not there. What may be for one reader alone is for no page of others and no cache.
 */
static bool add_readers(struct MHD_Response *r, const struct answer *a, const char *caching)
{
    if (!a->is_private)
        return add(r, "Cache-Control", caching) && add(r, "Access-Control-Allow-Origin", "*");
    return add(r, "Cache-Control", "private, no-store") && add(r, "Vary", "Authorization") &&
           add(r, "Cross-Origin-Resource-Policy", "same-origin") &&
           (a->challenge == NULL || add(r, "WWW-Authenticate", a->challenge));
}

/* The headers of every reply. */
static bool add_headers(struct MHD_Response *r, const struct answer *a)
{
    static const char *const caching[] = {
        [ANSWER_NOT_STORED] = "no-store",
        [ANSWER_CHECKED_AGAIN] = "no-cache",
        [ANSWER_FOR_AN_HOUR] = "public, max-age=3600",
        [ANSWER_FOR_EVER] = "public, max-age=604800, immutable",
    };
    return add_readers(r, a, caching[a->caching]) &&
           (a->type == NULL || add(r, "Content-Type", a->type)) &&
           (a->etag[0] == '\0' || add(r, "ETag", a->etag)) &&
           (a->allow == NULL || add(r, "Allow", a->allow)) &&
           (a->location == NULL || add(r, "Location", a->location)) &&
           (a->status != 503 || add(r, "Retry-After", "5")) &&
           (a->status != 429 || add(r, "Retry-After", "60")) &&
           add(r, "X-Content-Type-Options", "nosniff") &&
           add(r, "Referrer-Policy", "no-referrer") &&
           add(r, "Content-Security-Policy",
               "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
               "frame-ancestors 'none'");
}

static ssize_t file_read(void *context, uint64_t at, char *to, size_t len)
{
    ssize_t n = pread((int)(intptr_t)context, to, len, (off_t)at);
    return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR; /* shorter than it was: no whole reply */
}

static void file_close(void *context)
{
    int fd = (int)(intptr_t)context;
    fd_close(&fd);
}

/* From its descriptor by sendfile(2), which the library does by itself without TLS. With TLS it
   would read 4 KiB a turn of the loop. The reply owns the descriptor. */
static struct MHD_Response *response_of_file(struct answer *a, bool is_tls)
{
    struct MHD_Response *r =
        is_tls ? MHD_create_response_from_callback(a->len, TLS_BLOCK, file_read,
                                                   (void *)(intptr_t)a->fd, file_close)
               : MHD_create_response_from_fd64(a->len, a->fd);
    if (r != NULL)
        a->fd = -1;
    return r;
}

static struct MHD_Response *response_of(struct answer *a, bool is_tls, bool stays)
{
    char *copy = NULL; /* the library promises not to write to what stays */
    if (a->fd >= 0)
        return response_of_file(a, is_tls);
    memcpy(&copy, &a->at, sizeof(copy));
    return MHD_create_response_from_buffer((size_t)a->len, copy,
                                           stays ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result reply(struct http *h, struct MHD_Connection *connection,
                             struct request *request, struct answer *a, bool is_head)
{
    bool is_tls = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION) != NULL;
    bool stays = buf_len(&a->made) == 0 && request->post == NULL; /* its text */
    struct MHD_Response *r = response_of(a, is_tls, stays);
    enum MHD_Result result = MHD_NO; /* the connection ends */
    if (r != NULL && add_headers(r, a)) {
        request->reply_len = is_head ? 0 : a->len;
        crowd_reply(&h->site->crowd, request->visitor, request->reply_len, h->now_ms);
        result = MHD_queue_response(connection, a->status, r);
    }
    if (r != NULL)
        MHD_destroy_response(r); /* the connection has its own reference */
    return result;
}

/* ---- requests ------------------------------------------------------------------------------- */

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct request *request = request_of(context, connection);
    if (request == NULL)
        return NULL;
    const char *query = target != NULL ? strchr(target, '?') : NULL;
    request->target = target;
    request->target_len = target != NULL ? strlen(target) : 0;
    request->has_query = query != NULL;
    request->is_complete = false;
    request->post = NULL;
    request->reply_len = 0;
    return request;
}

/* The library hands targets over as C strings. The version stands right behind in the same buffer,
   so a NUL within the target, which would hide the rest of it, shows in the distance. */
static bool hides_something(const struct request *request, const char *version)
{
    uintptr_t from = (uintptr_t)request->target, to = (uintptr_t)version;
    return to > from && to - from < MEMORY_PER_CONNECTION && to - from != request->target_len + 1;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *len = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return (len != NULL && strcmp(len, "0") != 0) ||
           header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static enum site_asks asks(struct MHD_Connection *connection, const struct request *request,
                           const char *method, const char *version)
{
    const char *host = header(connection, MHD_HTTP_HEADER_HOST);
    if (hides_something(request, version) ||
        (host == NULL && strcmp(version, MHD_HTTP_VERSION_1_1) == 0))
        return SITE_MALFORMED;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        return SITE_TO_READ;
    return strcmp(method, MHD_HTTP_METHOD_POST) == 0 ? SITE_TO_POST : SITE_OTHERWISE;
}

/* ---- commands ------------------------------------------------------------------------------- */

/* Its headers are here: does it bring a command? Else the answer is given now, and the connection
   ends behind it. */
static enum MHD_Result on_post_begins(struct http *h, struct MHD_Connection *connection,
                                      struct request *request, const struct site_request *q)
{
    struct answer a;
    request->is_complete = true;
    if (site_begin_post(h->site, q, connection, &request->post, &a))
        return MHD_YES;
    enum MHD_Result result = reply(h, connection, request, &a, false);
    answer_done(&a);
    return result;
}

/* A piece of the body, or its end, or (after it has waited) the answer. */
static enum MHD_Result on_post(struct http *h, struct MHD_Connection *connection,
                               struct request *request, const char *upload, size_t *upload_len)
{
    struct post *post = request->post;
    struct answer a;
    if (*upload_len > 0) {
        post_feed(post, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    if (post->state == POST_READS)
        post_send(&h->site->posts, post, request->has_address ? &request->address : NULL,
                  request->has_address ? &request->listener : NULL, h->now_ms);
    if (post->state == POST_WAITS) {
        crowd_reply(&h->site->crowd, request->visitor, 0, h->now_ms);
        MHD_suspend_connection(connection); /* http_turn() wakes it up */
        return MHD_YES;
    }
    site_answer_post(h->site, post, &a);
    enum MHD_Result result = reply(h, connection, request, &a, false);
    answer_done(&a);
    return result;
}

/* ---- requests, again ------------------------------------------------------------------------ */

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *target, const char *method, const char *version,
                                  const char *upload, size_t *upload_len, void **request_context)
{
    struct http *h = context;
    struct request *request = *request_context;
    struct route route = { .kind = ROUTE_NONE };
    struct answer a;
    if (request == NULL || request->visitor == NULL)
        return MHD_NO;
    if (request->post != NULL)
        return on_post(h, connection, request, upload, upload_len);
    enum site_asks what = asks(connection, request, method, version);
    if (!request->is_complete && what == SITE_TO_READ && !has_body(connection)) {
        request->is_complete = true;
        return MHD_YES;
    }
    if (!request->has_query)
        route_of(target, strlen(target), h->site->hub, &route);
    const struct site_request q = {
        .asks = what,
        .channel = request->channel,
        .address = request->has_address ? &request->address : NULL,
        .route = &route,
        .if_none_match = header(connection, MHD_HTTP_HEADER_IF_NONE_MATCH),
        .authorization = header(connection, MHD_HTTP_HEADER_AUTHORIZATION),
        .content_type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE),
        .now_ms = h->now_ms,
    };
    if (route.kind == ROUTE_COMMANDS && what == SITE_TO_POST)
        return on_post_begins(h, connection, request, &q);
    site_answer(h->site, &q, &a);
    enum MHD_Result result =
        reply(h, connection, request, &a, strcmp(method, MHD_HTTP_METHOD_HEAD) == 0);
    answer_done(&a);
    return result;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
    struct http *h = context;
    struct request *request = *request_context;
    (void)connection;
    if (request == NULL || request->visitor == NULL)
        return;
    post_free(request->post);
    request->post = NULL;
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        h->site->metrics.sent_bytes += request->reply_len;
    crowd_taken(&h->site->crowd, request->visitor, h->now_ms);
}

/* Nothing is unescaped: see route.h. */
static size_t unescape_nothing(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* ---- connections ---------------------------------------------------------------------------- */

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *h = context;
    struct request *request = *socket_context;
    (void)connection;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        request = &h->requests[h->arriving.visitor - h->site->crowd.list];
        *request = h->arriving;
        h->arriving.visitor = NULL;
        *socket_context = request;
    } else if (request != NULL) {
        post_free(request->post);
        request->post = NULL;
        crowd_leave(&h->site->crowd, request->visitor);
        request->visitor = NULL;
        *socket_context = NULL;
    }
}

/* Mapped; false: not of the Internet. */
static bool copy_address(const struct sockaddr *address, struct in6_addr *ret)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (address->sa_family == AF_INET) {
        memcpy(&in, address, sizeof(in));
        ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
        memcpy(&ret->s6_addr[12], &in.sin_addr, sizeof(in.sin_addr));
    } else if (address->sa_family == AF_INET6) {
        memcpy(&in6, address, sizeof(in6));
        *ret = in6.sin6_addr;
    }
    return address->sa_family == AF_INET || address->sa_family == AF_INET6;
}

/* Who comes, and to which of our addresses. */
static struct request arrival(struct visitor *v, int fd, const struct sockaddr *address,
                              bool is_tls)
{
    bool is_local = address->sa_family == AF_UNIX;
    struct request r = { .visitor = v,
                         .channel = is_tls || is_local ? SITE_IN_PRIVATE : SITE_IN_CLEAR };
    struct sockaddr_storage own = { 0 };
    socklen_t len = sizeof(own);
    r.has_address = copy_address(address, &r.address) &&
                    getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
                    copy_address((const struct sockaddr *)&own, &r.listener);
    return r;
}

void http_take(struct http *h, int fd, const struct sockaddr *address, socklen_t len, bool is_tls,
               int64_t now_ms)
{
    struct MHD_Daemon *daemon = h->daemons[is_tls];
    struct visitor *v = daemon != NULL ? crowd_enter(&h->site->crowd, fd, address, now_ms) : NULL;
    if (v == NULL) {
        fd_close(&fd);
        return;
    }
    h->arriving = arrival(v, fd, address, is_tls);
    h->now_ms = now_ms;
    if (MHD_add_connection(daemon, fd, address, len) != MHD_YES) { /* and closed it */
        h->arriving.visitor = NULL;
        if (v->state != VISITOR_NONE) /* not through on_connection() */
            crowd_leave(&h->site->crowd, v);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static struct MHD_Daemon *start(struct http *h, const struct http_tls *tls)
{
    char *certificate = NULL, *key = NULL; /* only read */
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                     (tls != NULL ? MHD_USE_TLS : 0);
    if (tls != NULL) {
        memcpy(&certificate, &tls->certificate, sizeof(certificate));
        memcpy(&key, &tls->key, sizeof(key));
    }
    const struct MHD_OptionItem with_tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, certificate },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, key },
        { MHD_OPTION_HTTPS_PRIORITIES, 0,
          (char[]){ "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" } },
        { MHD_OPTION_END, 0, NULL },
    };
    const struct MHD_OptionItem plain[] = { { MHD_OPTION_END, 0, NULL } };
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_NO_LIMIT, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)MEMORY_PER_CONNECTION, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
                            1, /* ignored: else sendfile(2) would not be used */
                            MHD_OPTION_URI_LOG_CALLBACK, on_target, h, MHD_OPTION_UNESCAPE_CALLBACK,
                            unescape_nothing, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_ARRAY,
                            tls != NULL ? with_tls : plain, MHD_OPTION_END);
}

int http_new(struct site *site, const struct http_tls *tls, struct http **ret, struct err *err)
{
    struct http *h = mem_zalloc(1, sizeof(*h));
    if (h == NULL || (h->requests = mem_zalloc(site->crowd.slots, sizeof(*h->requests))) == NULL) {
        http_free(h);
        return err_set(err, RF_ENOMEM, "out of memory for %zu connections", site->crowd.slots);
    }
    h->site = site;
    h->daemons[0] = start(h, NULL);
    if (h->daemons[0] == NULL) {
        http_free(h);
        return err_set(err, RF_ENOMEM, "could not start HTTP");
    }
    if (tls != NULL && (h->daemons[1] = start(h, tls)) == NULL) {
        http_free(h);
        return err_set(err, RF_ECONFIG, "could not start HTTPS with this certificate and key");
    }
    *ret = h;
    return 0;
}

static void wake_all(struct http *h)
{
    for (size_t i = 0; i < POSTS_MAX; i++) {
        struct post *post = &h->site->posts.list[i];
        if (post->state != POST_WAITS)
            continue;
        post_refuse(post, 503, "ending", "the hub ends: ask `grants` what became of it");
        MHD_resume_connection(post->connection);
    }
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    if (h->site != NULL)
        wake_all(h); /* the library stops nothing that sleeps */
    for (size_t i = 0; i < HTTP_POLLS; i++)
        if (h->daemons[i] != NULL)
            MHD_stop_daemon(h->daemons[i]);
    mem_free(h->requests);
    mem_free(h);
}

int http_poll(struct http *h, struct pollfd *polls)
{
    int64_t least = -1;
    for (size_t i = 0; i < HTTP_POLLS; i++) {
        MHD_UNSIGNED_LONG_LONG wait_ms;
        const union MHD_DaemonInfo *info =
            h->daemons[i] != NULL ? MHD_get_daemon_info(h->daemons[i], MHD_DAEMON_INFO_EPOLL_FD)
                                  : NULL;
        polls[i] = (struct pollfd){ .fd = info != NULL ? info->epoll_fd : -1, .events = POLLIN };
        if (h->daemons[i] != NULL && MHD_get_timeout(h->daemons[i], &wait_ms) == MHD_YES &&
            (least < 0 || (int64_t)wait_ms < least))
            least = wait_ms > INT32_MAX ? INT32_MAX : (int64_t)wait_ms;
    }
    return (int)least;
}

void http_turn(struct http *h, int64_t now_ms)
{
    h->now_ms = now_ms;
    crowd_sweep(&h->site->crowd, now_ms);
    for (struct post *post; (post = posts_turn(&h->site->posts, now_ms)) != NULL;)
        MHD_resume_connection(post->connection);
    for (size_t i = 0; i < HTTP_POLLS; i++)
        if (h->daemons[i] != NULL)
            (void)MHD_run(h->daemons[i]); /* fails when it is being stopped alone */
}
