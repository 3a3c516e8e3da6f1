#include "priv/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

enum { ACTIVATION_FIRST_FD = 3 }; /* sd_listen_fds(3): SD_LISTEN_FDS_START */

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

/* "127.0.0.1:6432", "[::1]:6432" or the path, for messages. */
static const char *listen_name(const struct config_listen *c, char *out, size_t len)
{
    if (c->unix_path != NULL)
        (void)snprintf(out, len, "%s", c->unix_path);
    else
        (void)snprintf(out, len, strchr(c->address, ':') != NULL ? "[%s]:%u" : "%s:%u", c->address,
                       c->port);
    return out;
}

static int address_of(const struct config_listen *c, union address *ret, socklen_t *ret_len,
                      struct err *err)
{
    memset(ret, 0, sizeof(*ret));
    if (c->unix_path != NULL) {
        size_t len = strlen(c->unix_path);
        if (len >= sizeof(ret->un.sun_path))
            return err_set(err, RF_ECONFIG, "the path of socket \"%s\" is longer than %zu bytes",
                           c->unix_path, sizeof(ret->un.sun_path) - 1);
        ret->un.sun_family = AF_UNIX;
        memcpy(ret->un.sun_path, c->unix_path, len);
        *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
        return 0;
    }
    if (inet_pton(AF_INET, c->address, &ret->in.sin_addr) == 1) {
        ret->in.sin_family = AF_INET;
        ret->in.sin_port = htons(c->port);
        *ret_len = sizeof(ret->in);
        return 0;
    }
    if (inet_pton(AF_INET6, c->address, &ret->in6.sin6_addr) == 1) {
        ret->in6.sin6_family = AF_INET6;
        ret->in6.sin6_port = htons(c->port);
        *ret_len = sizeof(ret->in6);
        return 0;
    }
    return err_set(err, RF_ECONFIG, "\"%s\" is not an IPv4 or IPv6 address", c->address);
}

static bool address_equal(const union address *a, const union address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    switch (a->any.sa_family) {
    case AF_INET:
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    case AF_INET6:
        return a->in6.sin6_port == b->in6.sin6_port &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
    case AF_UNIX:
        return strcmp(a->un.sun_path, b->un.sun_path) == 0;
    default:
        return false;
    }
}

/* ---- systemd -------------------------------------------------------------------------------- */

static bool is_listening_stream(int fd)
{
    int type = 0, listening = 0;
    socklen_t len = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening == 1;
}

int activation_open(struct activation *ret, struct err *err)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    long count = pid != NULL && fds != NULL && strtol(pid, NULL, 10) == (long)getpid()
                     ? strtol(fds, NULL, 10)
                     : 0;
    *ret = (struct activation){ 0 };
    (void)unsetenv("LISTEN_PID"); /* these cannot fail for well-formed names */
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    if (count <= 0 || count > 1024)
        return 0;
    ret->fds = mem_zalloc((size_t)count, sizeof(*ret->fds));
    if (ret->fds == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for %ld sockets", count);
    ret->count = (size_t)count;
    for (size_t i = 0; i < ret->count; i++) {
        ret->fds[i] = ACTIVATION_FIRST_FD + (int)i;
        if (fd_set_cloexec(ret->fds[i], 1) < 0 || fd_set_nonblock(ret->fds[i]) < 0 ||
            !is_listening_stream(ret->fds[i])) {
            log_warn("socket-refused", "fd=%d reason=\"not a listening stream socket\"",
                     ret->fds[i]);
            fd_close(&ret->fds[i]);
        }
    }
    return 0;
}

void activation_done(struct activation *a)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->fds[i] >= 0)
            log_warn("socket-refused", "fd=%d reason=\"its address is not in the configuration\"",
                     a->fds[i]);
        fd_close(&a->fds[i]);
    }
    mem_free(a->fds);
    *a = (struct activation){ 0 };
}

/* The passed socket that has this address, or -1. */
static int activation_take(struct activation *a, const union address *wanted)
{
    for (size_t i = 0; a != NULL && i < a->count; i++) {
        union address has = { 0 };
        socklen_t len = sizeof(has);
        if (a->fds[i] >= 0 && getsockname(a->fds[i], &has.any, &len) == 0 &&
            address_equal(&has, wanted)) {
            int fd = a->fds[i];
            a->fds[i] = -1;
            return fd;
        }
    }
    return -1;
}

/* ---- unix sockets --------------------------------------------------------------------------- */

/* Remove a socket file that nobody answers on any more. Anything else in its place is refused. */
static int remove_stale(const union address *a, socklen_t len, struct err *err)
{
    const char *path = a->un.sun_path;
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(err, "could not look at \"%s\"", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, RF_ECONFIG, "\"%s\" is there and is not a socket", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, "could not make a socket");
    int refused = connect(fd, &a->any, len) < 0 && errno == ECONNREFUSED;
    fd_close(&fd);
    if (!refused)
        return err_set(err, RF_EUNAVAIL, "another server answers on socket \"%s\"", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_sys(err, "could not remove the stale socket \"%s\"", path);
    log_info("stale-socket-removed", "path=%s", path);
    return 0;
}

/* Everybody may knock: who may enter is settled by the login, and by the folder's mode. */
static int finish_unix(struct listener *l, const struct config_listen *c, struct err *err)
{
    struct stat st;
    if (chmod(c->unix_path, LISTENER_UNIX_MODE) < 0 || lstat(c->unix_path, &st) < 0)
        return err_sys(err, "could not set the mode of socket \"%s\"", c->unix_path);
    l->unix_path = mem_strdup(c->unix_path);
    if (l->unix_path == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a listener");
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    l->made_here = true;
    return 0;
}

/* ---- one socket ----------------------------------------------------------------------------- */

static int set_tcp_options(int fd, int family)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 || /* accept() inherits it */
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
        return -1;
    /* "::" is IPv6 alone, so that it can stand beside "0.0.0.0" */
    return family == AF_INET6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) : 0;
}

static void listener_close(struct listener *l)
{
    struct stat st;
    if (l->from >= 0)
        l->fd = -1; /* the set before owns it */
    fd_close(&l->fd);
    if (l->made_here && lstat(l->unix_path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        (void)unlink(l->unix_path); /* one that stays is stale and removed at the next start */
    mem_free(l->unix_path);
    *l = (struct listener){ .fd = -1, .from = -1 };
}

static int open_one(const struct config_listen *c, struct activation *activation,
                    struct listener *ret, struct err *err)
{
    struct listener l = { .fd = -1, .from = -1 };
    union address a;
    socklen_t len = 0;
    char name[128];
    int rc = address_of(c, &a, &len, err);
    if (rc < 0)
        return rc;
    l.fd = activation_take(activation, &a);
    if (l.fd >= 0) {
        *ret = l;
        return 0;
    }
    if (c->unix_path != NULL && (rc = remove_stale(&a, len, err)) < 0)
        return rc;
    l.fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l.fd < 0 || (c->unix_path == NULL && set_tcp_options(l.fd, a.any.sa_family) < 0) ||
        bind(l.fd, &a.any, len) < 0)
        rc = err_sys(err, "could not open listener %s", listen_name(c, name, sizeof(name)));
    else if (c->unix_path != NULL)
        rc = finish_unix(&l, c, err);
    if (rc == 0 && listen(l.fd, LISTENER_BACKLOG) < 0)
        rc = err_sys(err, "could not listen on %s", listen_name(c, name, sizeof(name)));
    if (rc < 0)
        listener_close(&l);
    else
        *ret = l;
    return rc;
}

/* ---- the set -------------------------------------------------------------------------------- */

/* The socket that the set before has for the same address. */
static bool share_one(const struct config_listen *c, const struct listeners *before,
                      const struct config *old, struct listener *ret)
{
    union address wanted, has;
    socklen_t len;
    struct err ignored;
    if (before == NULL || address_of(c, &wanted, &len, &ignored) < 0)
        return false;
    for (size_t i = 0; i < before->count; i++)
        if (before->list[i].fd >= 0 &&
            address_of(config_socket(old, i), &has, &len, &ignored) == 0 &&
            address_equal(&has, &wanted)) {
            *ret = (struct listener){ .fd = before->list[i].fd, .from = (int)i };
            return true;
        }
    return false;
}

/* Has an earlier one of NEW the same socket of the set before? ::1 and 0:0:0:0:0:0:0:1 are one. */
static bool is_shared_twice(const struct listeners *new, const struct listener *one)
{
    for (size_t i = 0; i < new->count; i++)
        if (new->list[i].from == one->from)
            return true;
    return false;
}

static int refuse_twice(const struct config *config, size_t index, struct err *err)
{
    bool is_hub = index >= config->listen_count;
    return err_set(err, RF_ECONFIG, "%slisten[%zu]: the same socket as an earlier one",
                   is_hub ? "hub." : "", is_hub ? index - config->listen_count : index);
}

int listeners_open(const struct config *config, struct activation *activation,
                   const struct listeners *before, const struct config *old, struct listeners *ret,
                   struct err *err)
{
    size_t count = config_socket_count(config);
    struct listeners l = { .list = mem_zalloc(count + 1, sizeof(*l.list)),
                           .hub_from = config->listen_count };
    if (l.list == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for %zu listeners", count);
    for (; l.count < count; l.count++) {
        const struct config_listen *c = config_socket(config, l.count);
        struct listener *one = &l.list[l.count];
        bool shared = share_one(c, before, old, one);
        if (shared && !is_shared_twice(&l, one))
            continue;
        int rc = shared ? refuse_twice(config, l.count, err) : open_one(c, activation, one, err);
        if (rc < 0 && (shared || l.count < l.hub_from)) {
            listeners_done(&l);
            return rc;
        }
        if (rc < 0) /* told by listeners_complete() when it still is so */
            *one = (struct listener){ .fd = -1, .from = -1 };
    }
    *ret = l;
    return 0;
}

int listeners_complete(const struct config *config, struct listeners *l, struct err *err)
{
    int rc = 0;
    for (size_t i = l->hub_from; i < l->count && rc == 0; i++)
        if (l->list[i].fd < 0)
            rc = open_one(config_socket(config, i), NULL, &l->list[i], err);
    return rc;
}

void listeners_close_gateway(struct listeners *l)
{
    for (size_t i = 0; i < l->hub_from; i++)
        listener_close(&l->list[i]);
}

void listeners_adopt(struct listeners *l, struct listeners *next)
{
    for (size_t i = 0; i < next->count; i++) {
        struct listener *to = &next->list[i];
        if (to->from < 0)
            continue;
        struct listener *from = &l->list[to->from];
        *to = *from;
        to->from = -1;
        *from = (struct listener){ .fd = -1, .from = -1 };
    }
    listeners_done(l);
    *l = *next;
    *next = (struct listeners){ 0 };
}

void listeners_done(struct listeners *l)
{
    for (size_t i = 0; i < l->count; i++)
        listener_close(&l->list[i]);
    mem_free(l->list);
    *l = (struct listeners){ 0 };
}
