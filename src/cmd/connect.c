/* connect.c - `ringfence connect --grant N`: psql, in a session that is under that grant from its
 * beginning.
 *
 * Nothing is decided here: the gateway asks for the password, and looks whether the grant is open
 * and his. This only spares people the connection string, and with it the wrong sslmode. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "policy/mistakes.h"
#include "tlog/line.h"

enum { CONNINFO_MAX = 16384, PORT_SIZE = 8, LOGIN_SIZE = 64, OPTIONS_SIZE = 64 };

#define CLIENT "psql"

/* NULL: not given. */
struct connect {
    const char *grant, *region, *database, *actor, *host, *port, *ca;
    char **arguments; /* of psql; ends with NULL */
    size_t argument_count;
    struct config *config; /* NULL: it was not needed, or is not there */
    char port_text[PORT_SIZE], login[LOGIN_SIZE], options[OPTIONS_SIZE];
};

/* ---- arguments ------------------------------------------------------------------------------ */

static const struct option {
    const char *name;
    size_t offset;
} options[] = {
    { "--grant", offsetof(struct connect, grant) },
    { "--region", offsetof(struct connect, region) },
    { "--database", offsetof(struct connect, database) },
    { "--actor", offsetof(struct connect, actor) },
    { "--host", offsetof(struct connect, host) },
    { "--port", offsetof(struct connect, port) },
    { "--ca", offsetof(struct connect, ca) },
};

static bool take_option(struct connect *c, const char *name, const char *value)
{
    for (size_t i = 0; i < RF_COUNT(options); i++)
        if (strcmp(options[i].name, name) == 0) {
            memcpy((char *)c + options[i].offset, &value, sizeof(value));
            return true;
        }
    return false;
}

/* False: wrong usage. */
static bool read_arguments(int argc, char **argv, struct connect *c)
{
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i += 2)
        if (i + 1 >= argc || !take_option(c, argv[i], argv[i + 1]))
            return false;
    c->arguments = &argv[i < argc ? i + 1 : argc];
    while (c->arguments[c->argument_count] != NULL)
        c->argument_count++;
    return c->grant != NULL;
}

/* ---- where to, and who ---------------------------------------------------------------------- */

static const char *first_of(const char *given, const char *variable)
{
    const char *value = given == NULL ? getenv(variable) : given;
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The configuration is for what is lacking; it may be readable by the gateway alone, or not there.
 */
static int read_config(const struct command_context *context, struct connect *c, struct err *err)
{
    struct mistakes mistakes;
    if (access(context->config_path, R_OK) < 0)
        return 0;
    mistakes_init(&mistakes);
    int rc = config_load(context->config_path, &c->config, &mistakes);
    if (rc < 0) {
        mistakes_print(&mistakes, stderr);
        rc = err_set(err, (enum err_code) - rc, "the configuration cannot be used");
        err_hint(err, "run: ringfence -c %s check", context->config_path);
    }
    mistakes_done(&mistakes);
    return rc;
}

/* The alias of the region's first database, or of the only one that there is. */
static const char *alias_of(const struct config *config, const char *region)
{
    for (size_t i = 0; region != NULL && i < config->database_count; i++)
        if (strcmp(config->databases[i].region, region) == 0)
            return config->databases[i].alias;
    return region == NULL && config->database_count == 1 ? config->databases[0].alias : NULL;
}

/* Where the gateway listens, as its own host reaches it. */
static void take_listener(struct connect *c, const struct config *config)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct config_listen *l = &config->listen[i];
        if (l->address == NULL)
            continue;
        bool is_any = strcmp(l->address, "0.0.0.0") == 0 || strcmp(l->address, "::") == 0;
        if (c->host == NULL)
            c->host = is_any ? "localhost" : l->address;
        if (c->port == NULL) {
            (void)snprintf(c->port_text, sizeof(c->port_text), "%u", l->port);
            c->port = c->port_text;
        }
        return;
    }
}

static int settle_actor(struct connect *c, struct err *err)
{
    struct passwd *user = c->actor == NULL ? getpwuid(getuid()) : NULL;
    if (c->actor != NULL)
        return 0;
    if (user == NULL || strlen(user->pw_name) >= sizeof(c->login))
        return err_set(err, RF_EUSAGE, "who are you in the policy? say so with --actor NAME");
    memcpy(c->login, user->pw_name, strlen(user->pw_name) + 1);
    c->actor = c->login;
    return 0;
}

static int settle_place(const struct command_context *context, struct connect *c, struct err *err)
{
    c->region = first_of(c->region, "RF_REGION");
    c->host = first_of(c->host, "RF_GATEWAY_HOST");
    c->port = first_of(c->port, "RF_GATEWAY_PORT");
    c->ca = first_of(c->ca, "RF_CA");
    bool is_lacking =
        c->host == NULL || c->port == NULL || (c->database == NULL && c->region == NULL);
    int rc = is_lacking ? read_config(context, c, err) : 0;
    if (rc == 0 && c->config != NULL) {
        take_listener(c, c->config);
        if (c->database == NULL)
            c->database = alias_of(c->config, c->region);
    }
    return rc;
}

static int settle(const struct command_context *context, struct connect *c, struct err *err)
{
    uint64_t number;
    if (!line_number((struct line){ c->grant, strlen(c->grant) }, &number) || number == 0)
        return err_set(err, RF_EUSAGE, "\"%.40s\" is no grant: expected the number of its request",
                       c->grant);
    (void)snprintf(c->options, sizeof(c->options), "-cringfence.grant=%s", c->grant);
    int rc = settle_place(context, c, err);
    if (rc < 0)
        return rc;
    if (c->host == NULL)
        return err_set(err, RF_EUSAGE, "where is the gateway? name it with --host HOST");
    c->database = c->database != NULL ? c->database : c->region;
    if (c->database == NULL)
        return err_set(err, RF_EUSAGE, "which region? name it with --region REGION");
    return settle_actor(c, err);
}

/* ---- the connection string ------------------------------------------------------------------ */

/* KEY='VALUE' as PQconninfoParse() reads it. */
static int add_setting(struct buf *to, const char *key, const char *value)
{
    int rc = 0;
    if (value == NULL)
        return 0;
    if (buf_len(to) > 0)
        rc = buf_append(to, " ", 1);
    if (rc == 0)
        rc = buf_append(to, key, strlen(key));
    if (rc == 0)
        rc = buf_append(to, "='", 2);
    for (; rc == 0 && *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            rc = buf_append(to, "\\", 1);
        if (rc == 0)
            rc = buf_append(to, value, 1);
    }
    return rc == 0 ? buf_append(to, "'", 1) : rc;
}

static int write_conninfo(const struct connect *c, struct buf *to, struct err *err)
{
    const char *const settings[][2] = {
        { "host", c->host },       { "port", c->port },      { "dbname", c->database },
        { "user", c->actor },      { "sslrootcert", c->ca }, { "sslmode", "verify-full" },
        { "options", c->options },
    };
    int rc = 0;
    buf_init(to, CONNINFO_MAX);
    for (size_t i = 0; rc == 0 && i < RF_COUNT(settings); i++)
        rc = add_setting(to, settings[i][0], settings[i][1]);
    if (rc == 0)
        rc = buf_append(to, "", 1);
    return rc == 0 ? 0
                   : err_set(err, (enum err_code) - rc, "the connection's settings are too long");
}

/* Comes back only when it could not. */
static int become_client(const struct connect *c, struct buf *conninfo, struct err *err)
{
    static char client[] = CLIENT, dbname[] = "-d";
    char **argv = mem_zalloc(c->argument_count + 4, sizeof(*argv));
    if (argv == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    argv[0] = client;
    argv[1] = dbname;
    argv[2] = (char *)buf_at(conninfo);
    for (size_t i = 0; i < c->argument_count; i++)
        argv[3 + i] = c->arguments[i];
    (void)fflush(NULL);
    (void)execvp(CLIENT, argv);
    int rc = err_sys(err, "could not run " CLIENT);
    err_hint(err, "it is PostgreSQL's client, and must be in a folder of $PATH");
    mem_free(argv);
    return rc;
}

int command_connect(const struct command_context *context, int argc, char **argv)
{
    struct connect c = { 0 };
    struct buf conninfo = { 0 };
    struct err err = { 0 };
    if (!read_arguments(argc, argv, &c))
        return command_usage(argv[0]);
    int rc = settle(context, &c, &err);
    if (rc == 0)
        rc = write_conninfo(&c, &conninfo, &err);
    if (rc == 0)
        (void)become_client(&c, &conninfo, &err);
    buf_done(&conninfo);
    config_free(c.config);
    return command_fail(context, argv[0], &err);
}
