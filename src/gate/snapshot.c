#include "gate/snapshot.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/mem.h"
#include "policy/mistakes.h"

static int resolve_unix(const struct config_host *host, struct snapshot_address *a, struct err *err)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/.s.PGSQL.%u", host->host, host->port);
    if (n < 0 || (size_t)n >= sizeof(un.sun_path))
        return err_set(err, RF_ECONFIG, "socket path below \"%s\" is too long", host->host);
    memcpy(&a->address, &un, sizeof(un));
    a->len = sizeof(un);
    (void)snprintf(a->path, sizeof(a->path), "%s", un.sun_path);
    return 0;
}

static int resolve(const struct config_host *host, struct snapshot_address *a, struct err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    char port[8];
    a->host = host;
    if (host->host[0] == '/')
        return resolve_unix(host, a, err);
    (void)snprintf(port, sizeof(port), "%u", host->port);
    int rc = getaddrinfo(host->host, port, &hints, &list);
    if (rc != 0)
        return err_set(err, RF_ECONNECT, "could not resolve database host \"%s\": %s", host->host,
                       gai_strerror(rc));
    memcpy(&a->address, list->ai_addr, list->ai_addrlen);
    a->len = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

static int resolve_all(const struct config_host *hosts, size_t count, struct snapshot_address **ret,
                       size_t *ret_count, struct err *err)
{
    *ret = mem_zalloc(count > 0 ? count : 1, sizeof(**ret));
    if (*ret == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for addresses");
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        int rc = resolve(&hosts[i], &(*ret)[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int database_open(const struct config_database *c, unsigned index,
                         struct snapshot_database *d, struct err *err)
{
    d->config = c;
    d->index = index;
    int rc = resolve_all(c->primary, c->primary_count, &d->primary, &d->primary_count, err);
    if (rc == 0)
        rc = resolve_all(c->standby, c->standby_count, &d->standby, &d->standby_count, err);
    if (rc == 0 && c->tls != SERVER_TLS_OFF)
        rc = tls_client_new(c->tls == SERVER_TLS_VERIFY_FULL ? c->tls_ca : NULL, c->tls_certificate,
                            c->tls_key, &d->tls, err);
    if (rc == 0 && c->passfile != NULL) {
        struct mistakes mistakes;
        mistakes_init(&mistakes);
        rc = passfile_load(c->passfile, &d->passfile, &mistakes);
        if (rc < 0)
            rc = err_set(err, RF_ECONFIG, "%s",
                         mistakes.count > 0 ? mistakes.list[0].text : "could not read passfile");
        mistakes_done(&mistakes);
    }
    return rc;
}

static void free_all(struct snapshot *s)
{
    credentials_free(s->credentials);
    tls_context_free(s->tls);
    for (size_t i = 0; s->databases != NULL && i < s->config->database_count; i++) {
        struct snapshot_database *d = &s->databases[i];
        tls_context_free(d->tls);
        passfile_free(d->passfile);
        mem_free(d->primary);
        mem_free(d->standby);
    }
    mem_free(s->databases);
    mem_free(s);
}

int snapshot_new(struct config *config, struct policy *policy, const char *credentials,
                 size_t credentials_len, struct snapshot **ret, struct err *err)
{
    struct mistakes mistakes;
    struct snapshot *s = mem_zalloc(1, sizeof(*s));
    if (s == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a configuration");
    int rc = 0;
    s->references = 1;
    s->config = config;
    s->policy = policy;
    mistakes_init(&mistakes);
    s->databases =
        mem_zalloc(config->database_count > 0 ? config->database_count : 1, sizeof(*s->databases));
    if (s->databases == NULL)
        rc = err_set(err, RF_ENOMEM, "out of memory for a configuration");
    if (rc == 0 && credentials_parse(config->credentials_path, credentials, credentials_len,
                                     &s->credentials, &mistakes) < 0)
        rc = err_set(err, RF_ECONFIG, "%s",
                     mistakes.count > 0 ? mistakes.list[0].text : "credentials are malformed");
    if (rc == 0 && config->tls_certificate != NULL)
        rc = tls_server_new(config->tls_certificate, config->tls_key, config->tls_client_ca,
                            &s->tls, err);
    for (size_t i = 0; rc == 0 && i < config->database_count; i++)
        rc = database_open(&config->databases[i], (unsigned)i, &s->databases[i], err);
    mistakes_done(&mistakes);
    if (rc < 0) {
        free_all(s);
        return rc;
    }
    *ret = s;
    return 0;
}

struct snapshot *snapshot_share(struct snapshot *s)
{
    s->references++;
    return s;
}

void snapshot_release(struct snapshot *s)
{
    if (s == NULL || --s->references > 0)
        return;
    RF_ASSERT(s->pools == NULL); /* a pool holds its generation */
    struct config *config = s->config;
    struct policy *policy = s->policy;
    free_all(s);
    config_free(config);
    policy_free(policy);
}

const struct snapshot_database *snapshot_database_find(const struct snapshot *s, const char *alias)
{
    for (size_t i = 0; i < s->config->database_count; i++)
        if (strcmp(s->databases[i].config->alias, alias) == 0)
            return &s->databases[i];
    return NULL;
}
