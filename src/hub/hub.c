/* The hub: public files over HTTP, read-only, in one loop.
 *
 *   SERVES  --STOP, or something that needs a new process-->  LEAVES  --replies are out-->  OVER
 *
 * It gets its sockets from the supervisor and reads its certificate while it still may, then
 * narrows to: accept, read the folders of the logs, answer. Whatever it cannot do any more (another
 * socket, certificate, limit, or a folder that was not there) it does by ending with status 0: the
 * supervisor starts it again with what is true then. Nobody is refused meanwhile: who comes waits
 * in the backlog of the supervisor's sockets. Connections that are open end, after their reply, and
 * clients open them again; and it depends on nobody, so its end, like its beginning, is of no
 * concern to the gateway. */
#include "hub/hub.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/auditors.h"
#include "auth/throttle.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "hub/http.h"
#include "policy/mistakes.h"
#include "priv/child.h"
#include "priv/sandbox.h"

enum {
    LOOK_MS = 1000,        /* at the folders */
    LEAVE_MS = 2000,       /* replies that are on their way get this long */
    ACCEPT_A_TURN = 32,    /* of one listener, before everybody else has a turn */
    ACCEPT_PAUSE_MS = 100, /* when there are no descriptors left */
    PEM_MAX = 1 << 20,
    ADDRESSES = 4096, /* of which wrong tokens are counted */
    OWN_POLLS = 2,    /* the supervisor, the registrar */
};

enum hub_state { HUB_SERVES, HUB_LEAVES, HUB_OVER };

/* Which file it was, to know whether it is another now. */
struct seen {
    dev_t dev;
    ino_t ino;
    struct timespec time;
};

struct hub {
    struct child child;
    struct site site;
    struct http *http;
    struct auditors *auditors;
    struct throttle *throttle;
    size_t socket_count; /* of its own, as it was made; see sockets() */
    bool is_tls[64];     /* of each */
    struct seen certificate, key;
    size_t clients, per_address; /* what the crowd was made for */
    struct pollfd *polls;
    enum hub_state state;
    struct child_retired kept; /* LEAVES: what `site` borrows from */
    int64_t leave_by_ms, look_ms, accept_ms;
};

/* ---- beginning ------------------------------------------------------------------------------ */

static struct seen see(const char *path)
{
    struct stat st;
    if (path == NULL || stat(path, &st) < 0)
        return (struct seen){ 0 };
    return (struct seen){ .dev = st.st_dev, .ino = st.st_ino, .time = st.st_mtim };
}

static bool is_same(struct seen a, struct seen b)
{
    return a.dev == b.dev && a.ino == b.ino && a.time.tv_sec == b.time.tv_sec &&
           a.time.tv_nsec == b.time.tv_nsec;
}

/* Who may read, by what the supervisor handed over last. Without memory it is nobody, and -1. */
static int take_readers(struct hub *x)
{
    struct mistakes mistakes;
    const struct child *c = &x->child;
    int rc = 0;
    auditors_free(x->auditors);
    x->auditors = NULL;
    mistakes_init(&mistakes);
    if (c->credentials != NULL && auditors_parse(c->config->hub.auditors_path, c->credentials,
                                                 c->credentials_len, &x->auditors, &mistakes) < 0)
        rc = -1; /* the supervisor has parsed it, too */
    mistakes_done(&mistakes);
    x->site.profile = c->policy->profile;
    x->site.auditors = x->auditors;
    throttle_set_rate(x->throttle, (uint32_t)c->config->login_failures_per_minute);
    return rc;
}

/* Whoever waits for the old one's answer hears that none came. */
static void link_registrar(struct hub *x)
{
    const struct child_peer *p = child_peer_of(&x->child, ROLE_REGISTRAR, 0);
    struct posts *posts = &x->site.posts;
    posts->relay_fd = p != NULL ? p->fd : -1;
    posts->hub = &x->child.config->hub;
    posts->databases = x->child.config->databases;
    posts->database_count = x->child.config->database_count;
}

/* The hub's own, behind the gateway's, of which it has none. */
static int *sockets(const struct hub *x)
{
    return x->child.listen_fds + x->child.config->listen_count;
}

static int take_sockets(struct hub *x, struct err *err)
{
    const struct config_hub *hub = &x->child.config->hub;
    RF_ASSERT(hub->listen_count <= RF_COUNT(x->is_tls)); /* config.c has the same limit */
    for (size_t i = 0; i < hub->listen_count; i++) {
        if (sockets(x)[i] < 0)
            return err_set(err, RF_EPROTO, "hub.listen[%zu] was not handed over", i);
        x->is_tls[i] = hub->listen[i].tls_required;
    }
    x->socket_count = hub->listen_count;
    return 0;
}

static int open_http(struct hub *x, struct err *err)
{
    const struct config *c = x->child.config;
    char *certificate = NULL, *key = NULL;
    size_t certificate_len = 0, key_len = 0;
    bool wants_tls = false;
    int rc = 0;
    for (size_t i = 0; i < c->hub.listen_count; i++)
        wants_tls |= x->is_tls[i];
    if (wants_tls) {
        x->certificate = see(c->hub.tls_certificate);
        x->key = see(c->hub.tls_key);
        rc = fd_read_file(c->hub.tls_certificate, PEM_MAX, &certificate, &certificate_len, err);
        if (rc == 0)
            rc = fd_read_file(c->hub.tls_key, PEM_MAX, &key, &key_len, err);
    }
    const struct http_tls tls = { .certificate = certificate, .key = key };
    if (rc == 0)
        rc = http_new(&x->site, wants_tls ? &tls : NULL, &x->http, err);
    mem_free(certificate);
    mem_free_secret(key, key_len);
    return rc;
}

static int narrow(const struct hub *x, char *report, size_t report_len, struct err *err)
{
    const struct config *c = x->child.config;
    const char **folders = mem_zalloc(c->hub.log_count + 1, sizeof(*folders));
    if (folders == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the sandbox");
    for (size_t i = 0; i < c->hub.log_count; i++)
        folders[i] = c->hub.logs[i].directory;
    const struct sandbox_paths paths = { .read_only = folders };
    int rc = sandbox_enter(ROLE_HUB, &paths, c->sandbox_floor, report, report_len, err);
    mem_free(folders);
    return rc;
}

static int start(struct hub *x, struct err *err)
{
    const struct config_hub *hub = &x->child.config->hub;
    char report[200] = "";
    fd_close(&x->child.meter_fd); /* not its business */
    (void)signal(SIGPIPE, SIG_IGN);
    x->site.hub = hub;
    x->site.metrics.started_ms = clock_wall_ms();
    x->clients = (size_t)hub->clients;
    x->per_address = (size_t)hub->per_address;
    int rc = crowd_init(&x->site.crowd, x->clients, x->per_address, err);
    if (rc == 0 && (throttle_new(0, ADDRESSES, &x->throttle) < 0 || take_readers(x) < 0))
        rc = err_set(err, RF_ENOMEM, "out of memory for auditors");
    x->site.throttle = x->throttle;
    posts_init(&x->site.posts);
    link_registrar(x);
    if (rc < 0 || (rc = take_sockets(x, err)) < 0 ||
        (rc = logs_open(hub, &x->site.logs, err)) < 0 || (rc = open_http(x, err)) < 0)
        return rc;
    x->polls = mem_zalloc(OWN_POLLS + HTTP_POLLS + x->socket_count, sizeof(*x->polls));
    if (x->polls == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for %zu listeners", x->socket_count);
    rc = narrow(x, report, sizeof(report), err);
    if (rc == 0 && child_ready(&x->child, report) < 0)
        rc = err_set(err, RF_ESYS, "could not reach the supervisor");
    return rc;
}

/* ---- ending --------------------------------------------------------------------------------- */

/* Our copies: the supervisor has the same ones open. */
static void close_sockets(struct hub *x)
{
    for (size_t i = 0; i < x->child.listen_count; i++)
        fd_close(&x->child.listen_fds[i]);
    for (size_t i = 0; i < x->kept.listen_count; i++)
        fd_close(&x->kept.listen_fds[i]);
}

static void leave(struct hub *x, const char *reason)
{
    if (x->state != HUB_SERVES)
        return;
    log_info("leaving", "reason=\"%s\" replies=%zu", reason, x->site.crowd.taking);
    close_sockets(x);
    x->state = HUB_LEAVES;
    x->leave_by_ms = clock_mono_ms() + LEAVE_MS;
}

static void hub_done(struct hub *x)
{
    http_free(x->http);
    posts_done(&x->site.posts);
    logs_done(&x->site.logs);
    auditors_free(x->auditors);
    throttle_free(x->throttle);
    crowd_done(&x->site.crowd);
    mem_free(x->polls);
    child_retired_done(&x->kept);
    child_done(&x->child);
}

/* ---- the supervisor ------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_listeners(const struct config_hub *a, const struct config_hub *b)
{
    if (a->listen_count != b->listen_count)
        return false;
    for (size_t i = 0; i < a->listen_count; i++)
        if (!same_text(a->listen[i].address, b->listen[i].address) ||
            !same_text(a->listen[i].unix_path, b->listen[i].unix_path) ||
            a->listen[i].port != b->listen[i].port ||
            a->listen[i].tls_required != b->listen[i].tls_required)
            return false;
    return true;
}

static bool same_certificate(const struct hub *x, const struct config *c)
{
    return x->certificate.ino == 0 || (is_same(x->certificate, see(c->hub.tls_certificate)) &&
                                       is_same(x->key, see(c->hub.tls_key)));
}

/* What a new configuration needs a new process for; NULL: nothing. */
static const char *why_leave(struct hub *x, const struct config *old, const struct config *new)
{
    struct err err;
    if (!same_listeners(&old->hub, &new->hub))
        return "other sockets";
    if (!same_certificate(x, new))
        return "another certificate";
    if (x->clients != (size_t) new->hub.clients || x->per_address != (size_t) new->hub.per_address)
        return "other limits";
    return logs_replace(&x->site.logs, &new->hub, &err) < 0 ? "another folder" : NULL;
}

/* In any case this is READY: a new process has the new configuration, too. Whoever leaves answers
   what still comes by the old one, but to nobody who may not read any more. */
static void reloaded(struct hub *x)
{
    const struct config *new = x->child.config;
    bool has_readers = take_readers(x) == 0;
    const char *reason = x->state != HUB_SERVES ? "is leaving"
                         : has_readers          ? why_leave(x, x->child.retired.config, new)
                                                : "out of memory";
    if (reason == NULL) {
        x->site.hub = &new->hub;
    } else if (x->kept.config == NULL) {
        x->kept = x->child.retired;
        x->child.retired = (struct child_retired){ 0 };
        leave(x, reason);
    }
    child_retired_done(&x->child.retired);
    if (child_ready(&x->child, "") < 0)
        log_warn("supervisor-silent", "about=reload");
}

static void take(struct hub *x, struct imsg *m)
{
    struct err err;
    bool is_reload = m->type == IMSG_CONFIG;
    if (m->type == IMSG_STOP) {
        imsg_close_fds(m);
        if (x->state == HUB_LEAVES) /* told twice */
            x->state = HUB_OVER;
        leave(x, "told to stop");
        return;
    }
    if (child_take(&x->child, m, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "message-refused", &err);
        if (is_reload && child_failed(&x->child, &err) < 0)
            log_warn("supervisor-silent", "about=reload");
    } else if (is_reload) {
        reloaded(x);
    }
    fd_close(&x->child.replaced_fd);
    link_registrar(x);
}

static void read_messages(struct hub *x)
{
    struct imsg m;
    int rc;
    while ((rc = imsg_recv(x->child.imsg_fd, &m)) == 1)
        take(x, &m);
    if (rc == 0 || (errno != EAGAIN && errno != EINTR))
        x->state = HUB_OVER; /* the supervisor is gone, or speaks nonsense */
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void accept_some(struct hub *x, size_t index, int64_t now_ms)
{
    for (int i = 0; i < ACCEPT_A_TURN; i++) {
        struct sockaddr_storage address = { 0 };
        socklen_t len = sizeof(address);
        int fd = accept4(sockets(x)[index], (struct sockaddr *)&address, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            if (errno != EAGAIN)
                x->accept_ms = now_ms + ACCEPT_PAUSE_MS;
            return;
        }
        http_take(x->http, fd, (struct sockaddr *)&address, len, x->is_tls[index], now_ms);
    }
}

static int wait_ms(const struct hub *x, int http_ms, int64_t now_ms)
{
    int64_t until = x->state == HUB_LEAVES ? x->leave_by_ms : x->look_ms;
    if (now_ms < x->accept_ms && x->accept_ms < until)
        until = x->accept_ms;
    int64_t left = until > now_ms ? until - now_ms : 0;
    if (left > CROWD_SWEEP_MS && x->site.crowd.count > 0)
        left = CROWD_SWEEP_MS;
    return http_ms >= 0 && http_ms < left ? http_ms : (int)left;
}

static void turn(struct hub *x)
{
    struct pollfd *http = x->polls + OWN_POLLS, *listeners = http + HTTP_POLLS;
    int64_t now_ms = clock_mono_ms();
    x->polls[0] = (struct pollfd){ .fd = x->child.imsg_fd, .events = POLLIN };
    x->polls[1] = (struct pollfd){ .fd = x->site.posts.relay_fd, .events = POLLIN };
    int http_ms = http_poll(x->http, http);
    for (size_t i = 0; i < x->socket_count; i++) {
        bool accepts = x->state == HUB_SERVES && now_ms >= x->accept_ms;
        listeners[i] = (struct pollfd){ .fd = accepts ? sockets(x)[i] : -1, .events = POLLIN };
    }
    int ready = poll(x->polls, (nfds_t)(OWN_POLLS + HTTP_POLLS + x->socket_count),
                     wait_ms(x, http_ms, now_ms));
    now_ms = clock_mono_ms();
    if (ready > 0 && x->polls[0].revents != 0)
        read_messages(x);
    for (size_t i = 0; ready > 0 && i < x->socket_count && x->state == HUB_SERVES; i++)
        if (listeners[i].revents != 0)
            accept_some(x, i, now_ms);
    http_turn(x->http, now_ms);
    if (x->state == HUB_SERVES && now_ms >= x->look_ms) {
        x->look_ms = now_ms + LOOK_MS;
        if (logs_look(&x->site.logs))
            leave(x, "another folder");
    }
    if (x->state == HUB_LEAVES && (x->site.crowd.taking == 0 || now_ms >= x->leave_by_ms))
        x->state = HUB_OVER;
}

int hub_main(int imsg_fd)
{
    static struct hub x; /* there is one */
    struct err err = { 0 };
    int status = 0;
    log_open("hub", LOG_LEVEL_INFO);
    if (child_begin(imsg_fd, 0, &x.child, &err) < 0)
        return err_exit_status(err.code);
    if (start(&x, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        if (child_failed(&x.child, &err) < 0)
            log_warn("supervisor-silent", "about=start");
        status = err_exit_status(err.code);
        x.state = HUB_OVER;
    }
    while (x.state != HUB_OVER)
        turn(&x);
    hub_done(&x);
    return status;
}
