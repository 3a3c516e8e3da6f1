#include "priv/child.h"

#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/arena.h"
#include "policy/mistakes.h"
#include "priv/lease.h"
#include "priv/sandbox.h"
#include "wire/rd.h"

/* The same ceilings as the supervisor's when it reads the files: super/bundle.h. */
enum { BUNDLE_MAX = 16 * 1024 * 1024, ANSWER_WAIT_MS = 1000 };

/* A memory file whole, as a string. The offset is shared by all children, so it is not used. */
static int read_memory(int fd, const char *what, char **ret_text, size_t *ret_len, struct err *err)
{
    struct stat st;
    size_t len = 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, "could not look at the %s", what);
    if (st.st_size < 0 || st.st_size > BUNDLE_MAX)
        return err_set(err, RF_ETOOBIG, "the %s is larger than %d bytes", what, (int)BUNDLE_MAX);
    char *text = mem_zalloc((size_t)st.st_size + 1, 1);
    if (text == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the %s", what);
    while (len < (size_t)st.st_size) {
        ssize_t n = pread(fd, text + len, (size_t)st.st_size - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) { /* sealed against shrinking: an early end is an error too */
            mem_free_secret(text, len);
            return err_sys(err, "could not read the %s", what);
        }
        len += (size_t)n;
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}

/* The supervisor has printed every mistake already; the first one is enough here. */
static int first_mistake(const struct mistakes *m, const char *what, struct err *err)
{
    if (m->count == 0)
        return err_set(err, RF_ENOMEM, "could not parse the %s", what);
    return err_set(err, RF_ECONFIG, "%s:%u: %s", m->list[0].file, m->list[0].line, m->list[0].text);
}

struct handed { /* what one CONFIG message holds */
    struct config *config;
    struct policy *policy;
    char *credentials;
    size_t credentials_len;
};

static void handed_done(struct handed *h)
{
    config_free(h->config);
    policy_free(h->policy);
    mem_free_secret(h->credentials, h->credentials_len);
    *h = (struct handed){ 0 };
}

static int handed_read(const struct imsg *m, struct handed *ret, struct err *err)
{
    struct handed h = { 0 };
    struct mistakes mistakes;
    char path[IMSG_PAYLOAD_MAX + 1];
    char *config = NULL, *policy = NULL;
    size_t config_len = 0, policy_len = 0;
    int rc;

    mistakes_init(&mistakes);
    memcpy(path, m->payload, m->len);
    path[m->len] = '\0';
    rc = read_memory(m->fds[0], "configuration", &config, &config_len, err);
    if (rc < 0)
        goto out;
    rc = read_memory(m->fds[1], "policy", &policy, &policy_len, err);
    if (rc < 0)
        goto out;
    if (m->fds[2] >= 0) {
        rc = read_memory(m->fds[2], "credentials", &h.credentials, &h.credentials_len, err);
        if (rc < 0)
            goto out;
    }
    if (config_parse(path, config, config_len, &h.config, &mistakes) < 0) {
        rc = first_mistake(&mistakes, "configuration", err);
        goto out;
    }
    if (policy_parse(h.config->policy_path, policy, policy_len, &h.policy, &mistakes) < 0) {
        rc = first_mistake(&mistakes, "policy", err);
        goto out;
    }
    *ret = h;
    h = (struct handed){ 0 }; /* handed over: forget it */
    rc = 0;
out:
    handed_done(&h);
    mistakes_done(&mistakes);
    mem_free(config);
    mem_free(policy);
    return rc;
}

static int *new_listen_fds(size_t count)
{
    int *fds = mem_zalloc(count + 1, sizeof(*fds)); /* + 1: none is no failure */
    for (size_t i = 0; fds != NULL && i < count; i++)
        fds[i] = -1;
    return fds;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Do two configurations mean the same socket? */
static bool same_listener(const struct config_listen *a, const struct config_listen *b)
{
    return same_text(a->address, b->address) && a->port == b->port &&
           same_text(a->unix_path, b->unix_path);
}

/* Sockets of listeners that stay move from c->listen_fds to TO. One that goes from the gateway to
   the hub, or back, does not stay: another process is to have it. */
static void keep_listeners(struct child *c, const struct config *now, int *to)
{
    size_t was_gateways = c->config != NULL ? c->config->listen_count : 0; /* the first: none */
    for (size_t i = 0; i < config_socket_count(now); i++)
        for (size_t j = 0; j < c->listen_count; j++)
            if ((i < now->listen_count) == (j < was_gateways) && to[i] < 0 &&
                same_listener(config_socket(now, i), config_socket(c->config, j))) {
                to[i] = c->listen_fds[j];
                c->listen_fds[j] = -1;
            }
}

static int take_config(struct child *c, const struct imsg *m, struct err *err)
{
    struct handed h = { 0 };
    int rc = handed_read(m, &h, err);
    if (rc < 0)
        return rc;
    size_t listen_count = config_socket_count(h.config);
    int *listen_fds = new_listen_fds(listen_count);
    if (listen_fds == NULL) {
        handed_done(&h);
        return err_set(err, RF_ENOMEM, "out of memory for %zu listeners", listen_count);
    }
    keep_listeners(c, h.config, listen_fds);
    child_retired_done(&c->retired);
    c->retired = (struct child_retired){ .config = c->config,
                                         .policy = c->policy,
                                         .listen_fds = c->listen_fds,
                                         .listen_count = c->listen_count };
    mem_free_secret(c->credentials, c->credentials_len);
    c->config = h.config;
    c->policy = h.policy;
    c->credentials = h.credentials;
    c->credentials_len = h.credentials_len;
    c->listen_fds = listen_fds;
    c->listen_count = listen_count;
    log_set_level((enum log_level)c->config->log_level);
    return 0;
}

/* Takes descriptor I out of the message. */
static int take_fd(struct imsg *m, size_t i)
{
    int fd = m->fds[i];
    m->fds[i] = -1;
    return fd;
}

static int take_listen(struct child *c, struct imsg *m, struct err *err)
{
    if (m->arg >= c->listen_count || m->fds[0] < 0)
        return err_set(err, RF_EPROTO, "listener %u is not in the configuration", m->arg);
    if (c->listen_fds[m->arg] < 0)
        c->listen_fds[m->arg] = take_fd(m, 0);
    return 0;
}

static int take_peer(struct child *c, struct imsg *m, struct err *err)
{
    struct rd r = rd_of(m->payload, m->len);
    uint32_t index = rd_u32(&r);
    if (!rd_done(&r) || m->fds[0] < 0 || m->arg >= ROLE_COUNT)
        return err_set(err, RF_EPROTO, "malformed message about another process");
    struct child_peer *peer = child_peer_of(c, (enum imsg_role)m->arg, index);
    if (peer != NULL) {
        c->replaced_fd = peer->fd;
        peer->fd = take_fd(m, 0);
        return 0;
    }
    if (c->peer_count == CHILD_PEERS_MAX)
        return err_set(err, RF_ETOOBIG, "more than %d other processes", (int)CHILD_PEERS_MAX);
    c->peers[c->peer_count++] =
        (struct child_peer){ .role = (enum imsg_role)m->arg, .index = index, .fd = take_fd(m, 0) };
    return 0;
}

int child_take(struct child *c, struct imsg *m, struct err *err)
{
    int rc;
    c->replaced_fd = -1;
    switch (m->type) {
    case IMSG_CONFIG:
        rc = take_config(c, m, err);
        break;
    case IMSG_LISTEN:
        rc = take_listen(c, m, err);
        break;
    case IMSG_PEER:
        rc = take_peer(c, m, err);
        break;
    default:
        rc = err_set(err, RF_EPROTO, "message %d is not expected now", (int)m->type);
    }
    imsg_close_fds(m);
    return rc;
}

static int take_meter(struct child *c, struct imsg *m, struct err *err)
{
    if (m->fds[0] < 0 || m->arg == 0 || m->arg > CHILD_WORKERS_MAX)
        return err_set(err, RF_EPROTO, "malformed message about the counters");
    c->meter_fd = take_fd(m, 0);
    c->workers = m->arg;
    return 0;
}

/* The mapping of leases, or of grants, into *FD. */
static int take_mapping(int *fd, struct imsg *m, struct err *err)
{
    if (m->fds[0] < 0 || *fd >= 0)
        return err_set(err, RF_EPROTO, "malformed message about leases or grants");
    *fd = take_fd(m, 0);
    return 0;
}

static int take_budgets(struct child *c, struct imsg *m, struct err *err)
{
    if (m->fds[1] < 0 || c->asked_fd >= 0)
        return err_set(err, RF_EPROTO, "malformed message about budgets");
    int rc = take_mapping(&c->given_fd, m, err);
    if (rc == 0)
        c->asked_fd = take_fd(m, 1);
    return rc;
}

/* One message of the start. CONFIG and METER are legal once, all else after them only. */
static int take_first(struct child *c, struct imsg *m, struct err *err)
{
    bool in_order = m->type == IMSG_CONFIG  ? c->config == NULL
                    : m->type == IMSG_METER ? c->config != NULL && c->meter_fd < 0
                                            : c->config != NULL && c->meter_fd >= 0;
    int rc;
    if (m->type == IMSG_STOP)
        rc = err_set(err, RF_EUNAVAIL, "told to stop before the start was complete");
    else if (!in_order)
        rc = err_set(err, RF_EPROTO, "message %d out of order at the start", (int)m->type);
    else if (m->type == IMSG_METER)
        rc = take_meter(c, m, err);
    else if (m->type == IMSG_LEASE)
        rc = take_mapping(&c->lease_fd, m, err);
    else if (m->type == IMSG_GRANTS)
        rc = take_mapping(&c->grants_fd, m, err);
    else if (m->type == IMSG_BUDGETS)
        rc = take_budgets(c, m, err);
    else
        rc = m->type == IMSG_GO ? 0 : child_take(c, m, err);
    imsg_close_fds(m);
    return rc;
}

static int take_clock(struct child *c, const struct imsg *m, struct err *err)
{
    struct rd r = rd_of(m->payload, m->len);
    if (m->len == 0)
        return 0;
    c->clock = (struct clockwatch){ .has_begun = true, .ahead_ms = (int64_t)rd_u64(&r) };
    return rd_done(&r) ? 0 : err_set(err, RF_EPROTO, "malformed message about the clock");
}

static int receive_start(struct child *c, struct err *err)
{
    for (;;) {
        struct imsg m;
        int rc = imsg_recv(c->imsg_fd, &m);
        if (rc == 0)
            return err_set(err, RF_EUNAVAIL, "the supervisor is gone");
        if (rc == -RF_ESYS && errno == EAGAIN) {
            struct pollfd p = { .fd = c->imsg_fd, .events = POLLIN };
            if (poll(&p, 1, -1) < 0 && errno != EINTR)
                return err_sys(err, "could not wait for the supervisor");
            continue;
        }
        if (rc == -RF_ESYS)
            return err_sys(err, "could not hear the supervisor");
        if (rc < 0)
            return err_set(err, RF_EPROTO, "malformed message of the supervisor");
        rc = take_first(c, &m, err);
        if (rc < 0)
            return rc;
        if (m.type == IMSG_GO)
            return take_clock(c, &m, err);
    }
}

int child_begin(int imsg_fd, unsigned index, struct child *ret, struct err *err)
{
    struct err why;
    memset(ret, 0, sizeof(*ret));
    ret->imsg_fd = imsg_fd;
    ret->index = index;
    ret->meter_fd = ret->lease_fd = ret->grants_fd = ret->replaced_fd = -1;
    ret->given_fd = ret->asked_fd = -1;
    sandbox_hide(); /* credentials are about to come in */
    int rc = receive_start(ret, &why);
    if (rc < 0) {
        if (child_failed(ret, &why) < 0)
            log_err(LOG_LEVEL_ERROR, "start-failed", &why); /* then nobody else will say it */
        child_done(ret);
        if (err != NULL)
            *err = why;
    }
    return rc;
}

void child_done(struct child *c)
{
    child_retired_done(&c->retired);
    for (size_t i = 0; i < c->listen_count; i++)
        fd_close(&c->listen_fds[i]);
    mem_free(c->listen_fds);
    for (size_t i = 0; i < c->peer_count; i++)
        fd_close(&c->peers[i].fd);
    fd_close(&c->meter_fd);
    fd_close(&c->lease_fd);
    fd_close(&c->grants_fd);
    fd_close(&c->given_fd);
    fd_close(&c->asked_fd);
    config_free(c->config);
    policy_free(c->policy);
    mem_free_secret(c->credentials, c->credentials_len);
    *c = (struct child){ .imsg_fd = c->imsg_fd,
                         .meter_fd = -1,
                         .lease_fd = -1,
                         .grants_fd = -1,
                         .given_fd = -1,
                         .asked_fd = -1,
                         .replaced_fd = -1 };
}

void child_retired_done(struct child_retired *r)
{
    for (size_t i = 0; i < r->listen_count; i++)
        fd_close(&r->listen_fds[i]);
    mem_free(r->listen_fds);
    config_free(r->config);
    policy_free(r->policy);
    *r = (struct child_retired){ 0 };
}

struct child_peer *child_peer_of(struct child *c, enum imsg_role role, uint32_t index)
{
    for (size_t i = 0; i < c->peer_count; i++)
        if (c->peers[i].role == role && c->peers[i].index == index)
            return &c->peers[i];
    return NULL;
}

static int answer(struct child *c, enum imsg_type type, const char *text)
{
    size_t len = strlen(text);
    if (len > IMSG_PAYLOAD_MAX)
        len = IMSG_PAYLOAD_MAX;
    for (int tries = 0; tries < 2; tries++) {
        int rc = imsg_send(c->imsg_fd, type, 0, text, len, NULL, 0);
        if (rc == 0 || errno != EAGAIN)
            return rc;
        struct pollfd p = { .fd = c->imsg_fd, .events = POLLOUT };
        (void)poll(&p, 1, ANSWER_WAIT_MS); /* the next attempt says what came of it */
    }
    return -RF_ETIMEOUT;
}

int child_ready(struct child *c, const char *report)
{
    return answer(c, IMSG_READY, report);
}

int child_failed(struct child *c, const struct err *why)
{
    return answer(c, IMSG_FAILED, why->line);
}

int child_recorded(struct child *c)
{
    return answer(c, IMSG_RECORDED, "");
}

/* ---- a role with databases ------------------------------------------------------------------ */

static void hear_one(struct child *c, const struct child_ear *ear, void *context, struct imsg *m)
{
    struct err err = { 0 };
    bool is_reload = m->type == IMSG_CONFIG;
    bool is_peer = m->type == IMSG_PEER;
    uint32_t role = m->arg;
    if (is_reload)
        ear->let_go(context);
    int rc = child_take(c, m, &err);
    if (rc < 0)
        log_err(LOG_LEVEL_ERROR, "message-refused", &err);
    if (rc == 0 && is_peer && ear->meet != NULL)
        ear->meet(context, (enum imsg_role)role);
    fd_close(&c->replaced_fd);
    if (!is_reload)
        return;
    ear->take_up(context);
    child_retired_done(&c->retired);
    rc = rc < 0 ? child_failed(c, &err) : child_ready(c, "");
    if (rc < 0)
        log_warn("supervisor-silent", "about=reload");
}

bool child_hear(struct child *c, const struct child_ear *ear, void *context)
{
    for (;;) {
        struct imsg m;
        int rc = imsg_recv(c->imsg_fd, &m);
        if (rc != 1)
            return rc == -RF_ESYS && (errno == EAGAIN || errno == EINTR);
        if (m.type == IMSG_STOP) {
            imsg_close_fds(&m);
            return false;
        }
        hear_one(c, ear, context, &m);
    }
}

static const char *folder_of(struct arena *arena, const char *file)
{
    char *copy = arena_strndup(arena, file, strlen(file));
    return copy != NULL ? dirname(copy) : NULL;
}

int child_narrow(const struct child *c, enum imsg_role role, char *report, size_t report_len,
                 struct err *err)
{
    enum { FILES = 4 };
    static const char *folders[FILES * LEASE_SLOTS + 1], *nothing[] = { NULL };
    size_t count = 0;
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < c->config->database_count && i < LEASE_SLOTS; i++) {
        const struct config_database *d = &c->config->databases[i];
        const char *files[FILES] = { d->tls_ca, d->tls_certificate, d->tls_key, d->passfile };
        for (size_t f = 0; f < FILES; f++) {
            if (files[f] == NULL)
                continue;
            folders[count] = folder_of(&arena, files[f]);
            if (folders[count++] == NULL) {
                arena_done(&arena);
                return err_set(err, RF_ENOMEM, "out of memory for the folders of the databases");
            }
        }
    }
    folders[count] = NULL;
    struct sandbox_paths paths = { .read_only = folders, .read_write = nothing };
    int rc = sandbox_enter(role, &paths, c->config->sandbox_floor, report, report_len, err);
    arena_done(&arena);
    return rc;
}
