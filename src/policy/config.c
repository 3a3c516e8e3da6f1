#include "policy/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/arena.h"
#include "policy/field.h"
#include "policy/mistakes.h"
#include "policy/quantity.h"
#include "tlog/key.h"
#include "tlog/trust.h"

enum {
    PATH_LEN_MAX = 1000,
    HOSTS_MAX = 16,
    LISTEN_MAX = 64,
    DATABASES_MAX = 200,
    HUB_URL_MAX = 250,
    HOOK_URL_MAX = 1000,
    ARGUMENT_MAX = 1000
};

/* A socket's name must fit into the kernel's sockaddr_un with its NUL. */
enum { UNIX_PATH_MAX_LEN = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

/* The plain value and the memory behind it. */
struct config_owned {
    struct config config;
    struct arena arena;
};

#define ARRAY_AT(type, member, count) FIELD_AT(type, member), .count_offset = offsetof(type, count)
#define FIELDS(table)                 .fields = table, .field_count = RF_COUNT(table)

/* -- listen -- */

enum { TLS_OFF, TLS_OPTIONAL, TLS_REQUIRED };
static const struct field_word listen_tls_words[] = {
    { "required", TLS_REQUIRED }, { "optional", TLS_OPTIONAL }, { "off", TLS_OFF }, { NULL, 0 }
};

static void read_listen_tls(struct field_reader *r, const struct field_at *at,
                            const struct yaml_node *node, void *record)
{
    struct config_listen *l = record;
    int64_t tls;
    if (!field_read_word(r, at, listen_tls_words, node, &tls))
        return;
    l->tls_required = tls == TLS_REQUIRED;
    l->tls_offered = tls != TLS_OFF;
}

/* Kept as the text of the file; FIELD_ADDRESS would keep the bits. */
static void read_address(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, void *record)
{
    struct config_listen *l = record;
    struct policy_range range;
    char found[FIELD_FOUND_MAX];
    if (node->kind != YAML_TEXT || strchr(node->text, '/') != NULL ||
        !quantity_range(node->text, &range)) {
        field_wrong(r, at, node->line, "expected an address such as 127.0.0.1 or ::1, found %s",
                    field_found(node, found));
        return;
    }
    l->address = arena_strndup(r->arena, node->text, strlen(node->text));
    if (l->address == NULL)
        r->no_memory = true;
}

static const struct field listen_fields[] = {
    { "address", FIELD_OTHER, .one_of = true, .read = read_address },
    { "port", FIELD_INTEGER, FIELD_AT(struct config_listen, port), .min = 1, .max = 65535 },
    { "unix", FIELD_PATH, .one_of = true, FIELD_AT(struct config_listen, unix_path),
      .max = UNIX_PATH_MAX_LEN },
    { "tls", FIELD_OTHER, .read = read_listen_tls },
};
static const struct config_listen listen_initial = { .tls_required = true, .tls_offered = true };
static const struct field_shape listen_shape = { .what = "a listening socket",
                                                 .size = sizeof(struct config_listen),
                                                 FIELDS(listen_fields),
                                                 .initial = &listen_initial,
                                                 .line_offset =
                                                     offsetof(struct config_listen, line) };

/* -- databases -- */

static void read_host(struct field_reader *r, const struct field_at *at,
                      const struct yaml_node *node, void *record)
{
    struct config_host *h = record;
    char found[FIELD_FOUND_MAX];
    const char *host;
    size_t len;
    if (node->kind != YAML_TEXT || !quantity_host_port(node->text, &host, &len, &h->port)) {
        field_wrong(r, at, node->line, "expected HOST:PORT, [V6]:PORT or /FOLDER:PORT, found %s",
                    field_found(node, found));
        return;
    }
    h->host = arena_strndup(r->arena, host, len);
    if (h->host == NULL)
        r->no_memory = true;
}

static const struct field host_fields[] = {
    { "host", FIELD_OTHER, .required = true, .read = read_host },
};
static const struct field_shape host_shape = { .what = "HOST:PORT",
                                               .size = sizeof(struct config_host),
                                               FIELDS(host_fields),
                                               .short_form = "host",
                                               .line_offset = FIELD_NO_LINE };

static const struct field_word server_tls_words[] = { { "verify-full", SERVER_TLS_VERIFY_FULL },
                                                      { "require", SERVER_TLS_REQUIRE },
                                                      { "off", SERVER_TLS_OFF },
                                                      { NULL, 0 } };
static const struct field_word pool_words[] = { { "session", POOL_SESSION },
                                                { "transaction", POOL_TRANSACTION },
                                                { NULL, 0 } };

enum { DEFAULT_POOL = 20, POOL_MOST = 10000 };
static const int64_t day_ms = 24 * 60 * 60 * 1000;

static const struct field pool_fields[] = {
    { "mode", FIELD_WORD, FIELD_AT(struct config_database, pool_mode), .words = pool_words },
    { "size", FIELD_INTEGER, FIELD_AT(struct config_database, pool_size), .min = 1,
      .max = POOL_MOST },
    { "idle", FIELD_DURATION, FIELD_AT(struct config_database, server_idle_ms), .min = 1000,
      .max = day_ms },
    { "lifetime", FIELD_DURATION, FIELD_AT(struct config_database, server_lifetime_ms), .min = 1000,
      .max = day_ms },
};
static const struct field_shape pool_shape = { .what = "the pool", FIELDS(pool_fields) };

#define DATABASE(member) FIELD_AT(struct config_database, member)
static const struct field database_fields[] = {
    { "region", FIELD_NAME, .required = true, DATABASE(region) },
    { "database", FIELD_TEXT, .required = true, DATABASE(dbname), .max = 63 },
    { "primary", FIELD_LIST, .required = true,
      ARRAY_AT(struct config_database, primary, primary_count), .max = HOSTS_MAX,
      .shape = &host_shape },
    { "standby", FIELD_LIST, ARRAY_AT(struct config_database, standby, standby_count),
      .max = HOSTS_MAX, .shape = &host_shape },
    { "tls", FIELD_WORD, DATABASE(tls), .words = server_tls_words },
    { "tls_ca", FIELD_PATH, DATABASE(tls_ca), .max = PATH_LEN_MAX },
    { "tls_certificate", FIELD_PATH, DATABASE(tls_certificate), .max = PATH_LEN_MAX },
    { "tls_key", FIELD_PATH, DATABASE(tls_key), .max = PATH_LEN_MAX },
    { "passfile", FIELD_PATH, DATABASE(passfile), .max = PATH_LEN_MAX },
    { "pool", FIELD_SECTION, .shape = &pool_shape },
};
static const struct config_database database_initial = { .tls = SERVER_TLS_VERIFY_FULL,
                                                         .pool_mode = POOL_SESSION,
                                                         .pool_size = DEFAULT_POOL,
                                                         .server_idle_ms = 10 * 60 * 1000,
                                                         .server_lifetime_ms = 60 * 60 * 1000 };
static const struct field_shape database_shape = { .what = "a database",
                                                   .size = sizeof(struct config_database),
                                                   FIELDS(database_fields),
                                                   .initial = &database_initial,
                                                   .key_offset =
                                                       offsetof(struct config_database, alias),
                                                   .line_offset =
                                                       offsetof(struct config_database, line) };

/* -- the public log and the hub -- */

static const int64_t minute_ms = 60 * 1000;

/* A time in whole minutes: minutes are all that the log knows. */
static void read_minutes(struct field_reader *r, const struct field_at *at,
                         const struct yaml_node *node, int64_t *to, int64_t least, int64_t most)
{
    const struct field plain = { at->key,      FIELD_DURATION, .offset = 0, .width = sizeof(*to),
                                 .min = least, .max = most };
    int64_t value = *to;
    field_read_value(r, at, &plain, node, &value);
    if (value % minute_ms != 0)
        field_wrong(r, at, node->line, "expected whole minutes");
    else
        *to = value;
}

static void read_rollup(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record)
{
    read_minutes(r, at, node, &((struct config *)record)->ledger.rollup_ms, minute_ms,
                 24 * 60 * minute_ms);
}

static void read_seal(struct field_reader *r, const struct field_at *at,
                      const struct yaml_node *node, void *record)
{
    read_minutes(r, at, node, &((struct config *)record)->ledger.seal_ms, minute_ms,
                 60 * minute_ms);
}

static void read_origin(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record)
{
    struct config *c = record;
    if (node->kind != YAML_TEXT || !key_is_name(node->text, strlen(node->text))) {
        char found[FIELD_FOUND_MAX];
        field_wrong(r, at, node->line,
                    "expected a name such as log.example/us-virginia, without blank and \"+\", "
                    "found %s",
                    field_found(node, found));
        return;
    }
    c->ledger.origin = arena_strndup(r->arena, node->text, strlen(node->text));
    c->ledger.line = node->line;
    if (c->ledger.origin == NULL)
        r->no_memory = true;
}

static void read_predecessor(struct field_reader *r, const struct field_at *at,
                             const struct yaml_node *node, void *record)
{
    struct config *c = record;
    const char *text = node->kind == YAML_TEXT ? node->text : "";
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 15 || (digits > 1 && text[0] == '0') || text[digits] != ' ' ||
        !key_is_name(text + digits + 1, strlen(text + digits + 1))) {
        char found[FIELD_FOUND_MAX];
        field_wrong(r, at, node->line,
                    "expected number and log of a successor leaf, as \"ringfence key rotate\" "
                    "prints them: \"1234 log.example/us-virginia\"; found %s",
                    field_found(node, found));
        return;
    }
    c->ledger.predecessor = arena_strndup(r->arena, text, strlen(text));
    if (c->ledger.predecessor == NULL)
        r->no_memory = true;
}

static void read_epoch(struct field_reader *r, const struct field_at *at,
                       const struct yaml_node *node, void *record)
{
    struct config *c = record;
    char found[FIELD_FOUND_MAX], again[16];
    long n = node->kind == YAML_TEXT ? strtol(node->text, NULL, 10) : 0;
    (void)snprintf(again, sizeof(again), "%ldm", n);
    bool is_span = node->kind == YAML_TEXT && n >= 1 && n <= 1440 && strcmp(node->text, again) == 0;
    if (!is_span && (node->kind != YAML_TEXT || strcmp(node->text, "month") != 0)) {
        field_wrong(r, at, node->line, "expected month, or minutes such as 60m, found %s",
                    field_found(node, found));
        return;
    }
    c->ledger.epoch = arena_strndup(r->arena, node->text, strlen(node->text));
    if (c->ledger.epoch == NULL)
        r->no_memory = true;
}

#define LEDGER_PATH(member) FIELD_AT(struct config, ledger.member), .max = PATH_LEN_MAX
static const struct field ledger_fields[] = {
    { "origin", FIELD_OTHER, .required = true, .read = read_origin },
    { "directory", FIELD_PATH, .required = true, LEDGER_PATH(directory) },
    { "predecessor", FIELD_OTHER, .read = read_predecessor },
    { "key", FIELD_PATH, .required = true, LEDGER_PATH(key_path) },
    { "vrf_key", FIELD_PATH, .required = true, LEDGER_PATH(vrf_path) },
    { "witnesses", FIELD_PATH, LEDGER_PATH(witnesses_path) },
    { "copy", FIELD_PATH, LEDGER_PATH(copy_path) },
    { "epoch", FIELD_OTHER, .read = read_epoch },
    { "rollup", FIELD_OTHER, .read = read_rollup },
    { "seal", FIELD_OTHER, .read = read_seal },
    { "checkpoint", FIELD_DURATION, FIELD_AT(struct config, ledger.checkpoint_ms), .min = 10,
      .max = 60 * 1000 },
};
static const struct field_shape ledger_shape = { .what = "the public log", FIELDS(ledger_fields) };

static const struct field hub_log_fields[] = {
    { "directory", FIELD_PATH, .required = true, FIELD_AT(struct config_hub_log, directory),
      .max = PATH_LEN_MAX },
};
static const struct field_shape hub_log_shape = { .what = "a log's folder",
                                                  .size = sizeof(struct config_hub_log),
                                                  FIELDS(hub_log_fields),
                                                  .short_form = "directory",
                                                  .key_offset =
                                                      offsetof(struct config_hub_log, region),
                                                  .line_offset = FIELD_NO_LINE };
static const struct field hub_other_fields[] = {
    { "url", FIELD_TEXT, .required = true, FIELD_AT(struct config_hub_other, url),
      .max = HUB_URL_MAX },
};
static const struct field_shape hub_other_shape = { .what = "a hub's address",
                                                    .size = sizeof(struct config_hub_other),
                                                    FIELDS(hub_other_fields),
                                                    .short_form = "url",
                                                    .key_offset =
                                                        offsetof(struct config_hub_other, region),
                                                    .line_offset = FIELD_NO_LINE };
static const struct field hub_tls_fields[] = {
    { "certificate", FIELD_PATH, .required = true, FIELD_AT(struct config, hub.tls_certificate),
      .max = PATH_LEN_MAX },
    { "key", FIELD_PATH, .required = true, FIELD_AT(struct config, hub.tls_key),
      .max = PATH_LEN_MAX },
};
static const struct field_shape hub_tls_shape = { .what = "the hub's TLS files",
                                                  FIELDS(hub_tls_fields) };
static const struct field hub_fields[] = {
    { "listen", FIELD_LIST, .required = true, ARRAY_AT(struct config, hub.listen, hub.listen_count),
      .max = LISTEN_MAX, .shape = &listen_shape },
    { "logs", FIELD_MAP, ARRAY_AT(struct config, hub.logs, hub.log_count), .max = DATABASES_MAX,
      .shape = &hub_log_shape },
    { "others", FIELD_MAP, ARRAY_AT(struct config, hub.others, hub.other_count),
      .max = DATABASES_MAX, .shape = &hub_other_shape },
    { "tls", FIELD_SECTION, .shape = &hub_tls_shape },
    { "url", FIELD_TEXT, FIELD_AT(struct config, hub.url), .max = HUB_URL_MAX },
    { "ca", FIELD_PATH, FIELD_AT(struct config, hub.ca), .max = PATH_LEN_MAX },
    { "auditors", FIELD_PATH, FIELD_AT(struct config, hub.auditors_path), .max = PATH_LEN_MAX },
    { "clients", FIELD_INTEGER, FIELD_AT(struct config, hub.clients), .min = 1, .max = 10000 },
    { "per_address", FIELD_INTEGER, FIELD_AT(struct config, hub.per_address), .min = 1,
      .max = 10000 },
    { "stale", FIELD_DURATION, FIELD_AT(struct config, hub.stale_ms), .min = 1000,
      .max = INT64_C(30) * 24 * 60 * 60 * 1000 },
};
static const struct field_shape hub_shape = { .what = "the hub", FIELDS(hub_fields) };

/* -- hooks -- */

static const struct field_word event_words[] = {
#define EVENT(id, name, sentence) { name, EVENT_##id },
#include "policy/tbl/event.def"
#undef EVENT
    { NULL, 0 }
};

static void read_events(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record)
{
    struct config_hook *hook = record;
    char found[FIELD_FOUND_MAX];
    size_t index = 0;
    if (node->kind != YAML_LIST || node->count == 0) {
        field_wrong(r, at, node->line, "expected a list of events, found %s",
                    node->kind == YAML_LIST ? "none" : field_found(node, found));
        return;
    }
    for (const struct yaml_node *one = node->first; one != NULL; one = one->next, index++) {
        struct field_at here = { .up = at, .index = index };
        int64_t which;
        if (one->kind != YAML_REFUSED && field_read_word(r, &here, event_words, one, &which))
            hook->events |= 1U << which;
    }
}

static const struct field argument_fields[] = {
    { "argument", FIELD_TEXT, .required = true, .width = sizeof(char *), .max = ARGUMENT_MAX },
};
static const struct field_shape argument_shape = { .what = "an argument",
                                                   .size = sizeof(char *),
                                                   FIELDS(argument_fields),
                                                   .short_form = "argument",
                                                   .line_offset = FIELD_NO_LINE };
static const struct field hook_fields[] = {
    { "events", FIELD_OTHER, .required = true, .read = read_events },
    { "url", FIELD_TEXT, .one_of = true, FIELD_AT(struct config_hook, url), .max = HOOK_URL_MAX },
    { "command", FIELD_LIST, .one_of = true, ARRAY_AT(struct config_hook, command, command_count),
      .max = CONFIG_ARGUMENTS_MAX, .shape = &argument_shape },
    { "key", FIELD_PATH, FIELD_AT(struct config_hook, key_path), .max = PATH_LEN_MAX },
    { "ca", FIELD_PATH, FIELD_AT(struct config_hook, ca_path), .max = PATH_LEN_MAX },
};
static const struct field_shape hook_shape = { .what = "a hook",
                                               .size = sizeof(struct config_hook),
                                               FIELDS(hook_fields),
                                               .line_offset = offsetof(struct config_hook, line) };

/* -- the file -- */

static const struct field tls_fields[] = {
    { "certificate", FIELD_PATH, FIELD_AT(struct config, tls_certificate), .max = PATH_LEN_MAX },
    { "key", FIELD_PATH, FIELD_AT(struct config, tls_key), .max = PATH_LEN_MAX },
    { "client_ca", FIELD_PATH, FIELD_AT(struct config, tls_client_ca), .max = PATH_LEN_MAX },
};
static const struct field_shape tls_shape = { .what = "the TLS files", FIELDS(tls_fields) };

#define LIMIT(key, member, type, least, most, default, reloadable, sentence) \
    { key, FIELD_##type, FIELD_AT(struct config, member), .min = least, .max = most },
static const struct field limit_fields[] = {
#include "policy/tbl/config.def"
};
#undef LIMIT
static const struct field_shape limits_shape = { .what = "the limits", FIELDS(limit_fields) };

static const struct field_word sandbox_words[] = {
    { "full", SANDBOX_FULL }, { "seccomp", SANDBOX_SECCOMP }, { "none", SANDBOX_NONE }, { NULL, 0 }
};
static const struct field_word log_words[] = { { "error", LOG_LEVEL_ERROR },
                                               { "warn", LOG_LEVEL_WARN },
                                               { "info", LOG_LEVEL_INFO },
                                               { "debug", LOG_LEVEL_DEBUG },
                                               { NULL, 0 } };

#define CONFIG_PATH(member) FIELD_AT(struct config, member), .max = PATH_LEN_MAX
static const struct field config_fields[] = {
    { "name", FIELD_NAME, .required = true, FIELD_AT(struct config, name) },
    { "place", FIELD_PLACE, .required = true, FIELD_AT(struct config, place) },
    { "policy", FIELD_PATH, .required = true, CONFIG_PATH(policy_path) },
    { "credentials", FIELD_PATH, .required = true, CONFIG_PATH(credentials_path) },
    { "state", FIELD_PATH, .required = true, CONFIG_PATH(state_dir) },
    { "run", FIELD_PATH, .required = true, CONFIG_PATH(run_dir) },
    { "user", FIELD_NAME, FIELD_AT(struct config, user) },
    { "tls", FIELD_SECTION, .shape = &tls_shape },
    { "listen", FIELD_LIST, .required = true, ARRAY_AT(struct config, listen, listen_count),
      .max = LISTEN_MAX, .shape = &listen_shape },
    { "databases", FIELD_MAP, .required = true, ARRAY_AT(struct config, databases, database_count),
      .max = DATABASES_MAX, .shape = &database_shape },
    { "ledger", FIELD_SECTION, .shape = &ledger_shape },
    { "hub", FIELD_SECTION, .shape = &hub_shape },
    { "hooks", FIELD_LIST, ARRAY_AT(struct config, hooks, hook_count), .may_be_empty = true,
      .max = CONFIG_HOOKS_MAX, .shape = &hook_shape },
    { "limits", FIELD_SECTION, .shape = &limits_shape },
    { "workers", FIELD_INTEGER, FIELD_AT(struct config, workers), .min = 0, .max = 64 },
    { "sandbox", FIELD_WORD, FIELD_AT(struct config, sandbox_floor), .words = sandbox_words },
    { "log", FIELD_WORD, FIELD_AT(struct config, log_level), .words = log_words },
};
static const struct field_shape config_shape = { .what = "a configuration", FIELDS(config_fields) };

static const struct config config_initial = {
#define LIMIT(key, member, type, least, most, default, reloadable, sentence) .member = default,
#include "policy/tbl/config.def"
#undef LIMIT
    .ledger = { .rollup_ms = 24 * 60 * 60 * 1000, .seal_ms = 60 * 1000, .checkpoint_ms = 500 },
    .hub = { .clients = 1000, .per_address = 100, .stale_ms = 10 * 60 * 1000 },
    .sandbox_floor = SANDBOX_FULL,
    .log_level = LOG_LEVEL_INFO,
};

/* -- what no single key shows -- */

static bool same_socket(const struct config_listen *a, const struct config_listen *b)
{
    if (a->unix_path != NULL && b->unix_path != NULL)
        return strcmp(a->unix_path, b->unix_path) == 0;
    if (a->address != NULL && b->address != NULL)
        return a->port == b->port && strcmp(a->address, b->address) == 0;
    return false;
}

/* Alone, and against those before it in the list WHAT. */
static void check_listen(struct field_reader *r, const char *what, struct config_listen *list,
                         size_t index)
{
    struct config_listen *l = &list[index];
    if (l->unix_path != NULL) {
        if (l->port != 0)
            field_wrong(r, NULL, l->line, "%s[%zu]: a unix socket has no \"port\"", what, index);
        l->tls_required = l->tls_offered = false; /* the kernel vouches for both ends */
    }
    if (l->address != NULL && l->port == 0)
        field_wrong(r, NULL, l->line, "%s[%zu]: an address needs a \"port\"", what, index);
    for (size_t i = 0; i < index; i++)
        if (same_socket(&list[i], l))
            field_wrong(r, NULL, l->line, "%s[%zu]: the same socket as %s[%zu]", what, index, what,
                        i);
}

static void check_tls(struct field_reader *r, const struct config *c, const struct config_listen *l,
                      size_t index)
{
    if (l->tls_offered && (c->tls_certificate == NULL || c->tls_key == NULL))
        field_wrong(r, NULL, l->line,
                    "listen[%zu]: TLS needs \"certificate\" and \"key\" under \"tls\"", index);
}

/* The hub talks to the whole world: what it can lose must not be the key that persons and services
   know the gateway by. */
static void check_hub_tls(struct field_reader *r, const struct config *c,
                          const struct config_listen *l, size_t index)
{
    if (l->tls_offered && (c->hub.tls_certificate == NULL || c->hub.tls_key == NULL))
        field_wrong(r, NULL, l->line,
                    "hub.listen[%zu]: TLS needs \"certificate\" and \"key\" under \"hub.tls\"; the "
                    "hub does not get those of the gateway",
                    index);
}

/* Where people post what they sign. */
static bool is_hub_url(const char *url)
{
    static const char scheme[] = "https://";
    const char *host = url + sizeof(scheme) - 1;
    return strncmp(url, scheme, sizeof(scheme) - 1) == 0 && *host != '\0' &&
           strpbrk(host, "/?#@ \"\\") == NULL;
}

static void check_hub_urls(struct field_reader *r, const struct config *c)
{
    static const char expected[] = "expected https://HOST or https://HOST:PORT";
    if (c->hub.url != NULL && !is_hub_url(c->hub.url))
        field_wrong(r, NULL, field_line_of(r, &c->hub.url), "hub.url: %s", expected);
    for (size_t i = 0; i < c->hub.other_count; i++)
        if (!is_hub_url(c->hub.others[i].url))
            field_wrong(r, NULL, field_line_of(r, &c->hub.others[i].url), "hub.others.%s: %s",
                        c->hub.others[i].region, expected);
}

static void check_hub(struct field_reader *r, const struct config *c)
{
    check_hub_urls(r, c);
    if (c->hub.tls_key != NULL && c->tls_key != NULL && strcmp(c->hub.tls_key, c->tls_key) == 0)
        field_wrong(r, NULL, field_line_of(r, &c->hub.tls_key),
                    "hub.tls.key: this is the gateway's own; the hub needs another");
    for (size_t i = 0; i < c->hub.listen_count; i++) {
        const struct config_listen *l = &c->hub.listen[i];
        check_listen(r, "hub.listen", c->hub.listen, i);
        if (l->tls_offered && !l->tls_required)
            field_wrong(r, NULL, l->line,
                        "hub.listen[%zu].tls: expected required or off: HTTP has no way to begin "
                        "TLS later",
                        i);
        for (size_t k = 0; k < c->listen_count; k++)
            if (same_socket(&c->listen[k], l))
                field_wrong(r, NULL, l->line, "hub.listen[%zu]: the same socket as listen[%zu]", i,
                            k);
        check_hub_tls(r, c, l, i);
    }
}

/* A query may hold a receiver's token; nothing else that could lead somewhere else is there. */
static bool is_hook_url(const char *url)
{
    static const char scheme[] = "https://";
    const char *host = url + sizeof(scheme) - 1;
    return strncmp(url, scheme, sizeof(scheme) - 1) == 0 && strcspn(host, "/?:") > 0 &&
           strpbrk(host, "#@ \"\\") == NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Both would deliver the same under one name. */
static bool same_target(const struct config_hook *a, const struct config_hook *b)
{
    if (!same_text(a->url, b->url) || a->command_count != b->command_count)
        return false;
    for (size_t i = 0; i < a->command_count; i++)
        if (!same_text(a->command[i], b->command[i]))
            return false;
    return true;
}

static void check_webhook(struct field_reader *r, const struct config_hook *h, size_t index)
{
    if (!is_hook_url(h->url))
        field_wrong(r, NULL, h->line,
                    "hooks[%zu].url: expected https://HOST…, without user, \"#\" and blanks",
                    index);
    if (h->key_path == NULL)
        field_wrong(r, NULL, h->line,
                    "hooks[%zu]: a webhook needs \"key\", the file of the secret that signs its "
                    "posts",
                    index);
}

static void check_hook(struct field_reader *r, const struct config *c, size_t index)
{
    const struct config_hook *h = &c->hooks[index];
    if (h->url != NULL) {
        check_webhook(r, h, index);
    } else {
        if (h->command_count > 0 && h->command[0] != NULL && h->command[0][0] != '/')
            field_wrong(r, NULL, h->line,
                        "hooks[%zu].command: expected a program's absolute path first", index);
        if (h->key_path != NULL || h->ca_path != NULL)
            field_wrong(r, NULL, h->line,
                        "hooks[%zu]: \"key\" and \"ca\" are for webhooks; a command has neither",
                        index);
    }
    for (size_t i = 0; i < index; i++)
        if (same_target(&c->hooks[i], h))
            field_wrong(r, NULL, h->line,
                        "hooks[%zu]: the same as hooks[%zu]; name all its events there", index, i);
}

static void check_database(struct field_reader *r, const struct config_database *d)
{
    if (strcmp(d->alias, "pgbouncer") == 0 || strcmp(d->alias, "ringfence") == 0)
        field_wrong(r, NULL, d->line, "databases.%s: this name is the gateway's own console",
                    d->alias);
    if (d->tls == SERVER_TLS_VERIFY_FULL && d->tls_ca == NULL)
        field_wrong(r, NULL, d->line, "databases.%s: tls verify-full needs \"tls_ca\"", d->alias);
    if ((d->tls_certificate == NULL) != (d->tls_key == NULL))
        field_wrong(r, NULL, d->line,
                    "databases.%s: \"tls_certificate\" and \"tls_key\" go together", d->alias);
    if (d->tls == SERVER_TLS_OFF && d->tls_certificate != NULL)
        field_wrong(r, NULL, d->line, "databases.%s: a client certificate needs TLS", d->alias);
}

/* One log is one region's, and continues another one. */
static void check_ledger(struct field_reader *r, const struct config *c)
{
    const char *before = c->ledger.predecessor;
    if (before != NULL && c->ledger.origin != NULL &&
        strcmp(strchr(before, ' ') + 1, c->ledger.origin) == 0)
        field_wrong(r, NULL, c->ledger.line, "ledger.predecessor: a log does not continue itself");
    for (size_t i = 1; c->ledger.origin != NULL && i < c->database_count; i++)
        if (strcmp(c->databases[i].region, c->databases[0].region) != 0)
            field_wrong(r, NULL, c->databases[i].line,
                        "databases.%s: a gateway with a public log serves one region, and "
                        "databases.%s is of region \"%s\"",
                        c->databases[i].alias, c->databases[0].alias, c->databases[0].region);
}

static void check(struct field_reader *r, struct config *c)
{
    static char month[] = "month";
    if (c->ledger.epoch == NULL)
        c->ledger.epoch = month;
    check_ledger(r, c);
    if ((c->tls_certificate == NULL) != (c->tls_key == NULL))
        field_wrong(r, NULL, 0, "tls: \"certificate\" and \"key\" go together");
    for (size_t i = 0; i < c->listen_count; i++) {
        check_listen(r, "listen", c->listen, i);
        check_tls(r, c, &c->listen[i], i);
    }
    check_hub(r, c);
    for (size_t i = 0; i < c->database_count; i++)
        check_database(r, &c->databases[i]);
    for (size_t i = 0; i < c->hook_count; i++)
        check_hook(r, c, i);
}

/* -- parse and load -- */

/* PATH made absolute; its folder is where relative paths of the file start. */
static int set_path(struct config_owned *owned, const char *path, char **ret_folder)
{
    char here[PATH_LEN_MAX + 1];
    if (path[0] == '/')
        owned->config.path = arena_strndup(&owned->arena, path, strlen(path));
    else if (getcwd(here, sizeof(here)) != NULL)
        owned->config.path = arena_printf(&owned->arena, "%s/%s", here, path);
    if (owned->config.path == NULL)
        return -RF_ENOMEM;
    size_t len = (size_t)(strrchr(owned->config.path, '/') - owned->config.path);
    *ret_folder = arena_strndup(&owned->arena, owned->config.path, len);
    return *ret_folder == NULL ? -RF_ENOMEM : 0;
}

static int read_config(const char *path, const char *text, size_t len, struct config_owned *owned,
                       struct arena *scratch, struct mistakes *mistakes)
{
    char *folder;
    const struct yaml_node *root;
    int rc = set_path(owned, path, &folder);
    if (rc < 0)
        return rc;
    struct field_reader r = { .file = path,
                              .folder = folder,
                              .arena = &owned->arena,
                              .scratch = scratch,
                              .mistakes = mistakes };
    rc = yaml_tree_read(path, text, len, scratch, &root, mistakes);
    if (root == NULL)
        return rc;
    field_read_root(&r, &config_shape, root, &owned->config);
    if (r.no_memory)
        return -RF_ENOMEM;
    check(&r, &owned->config);
    return r.wrong ? -RF_ECONFIG : rc;
}

int config_parse(const char *path, const char *text, size_t len, struct config **ret_config,
                 struct mistakes *mistakes)
{
    struct arena scratch;
    struct config_owned *owned = mem_zalloc(1, sizeof(*owned));
    int rc = -RF_ENOMEM;
    arena_init(&scratch);
    if (owned == NULL)
        goto out;
    arena_init(&owned->arena);
    owned->config = config_initial;
    rc = read_config(path, text, len, owned, &scratch, mistakes);
    if (rc < 0)
        goto out;
    *ret_config = &owned->config;
    owned = NULL;
out:
    if (rc == -RF_ENOMEM)
        mistakes_add(mistakes, path, 0, "out of memory");
    config_free(owned != NULL ? &owned->config : NULL);
    arena_done(&scratch);
    return rc;
}

int config_load(const char *path, struct config **ret_config, struct mistakes *mistakes)
{
    struct err err;
    char *text;
    size_t len;
    int rc = fd_read_file(path, YAML_BYTES_MAX, &text, &len, &err);
    if (rc < 0) {
        mistakes_add(mistakes, path, 0, "%s", err.line);
        return rc;
    }
    rc = config_parse(path, text, len, ret_config, mistakes);
    mem_free(text);
    return rc;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    struct config_owned *owned = RF_OWNER(c, struct config_owned, config);
    arena_done(&owned->arena);
    mem_free(owned);
}

size_t config_socket_count(const struct config *c)
{
    return c->listen_count + c->hub.listen_count;
}

const struct config_listen *config_socket(const struct config *c, size_t index)
{
    return index < c->listen_count ? &c->listen[index] : &c->hub.listen[index - c->listen_count];
}

const char *config_event_name(enum config_event event)
{
    return event_words[event < EVENT_COUNT ? event : 0].word;
}

bool config_has_commands(const struct config *c)
{
    for (size_t i = 0; i < c->hook_count; i++)
        if (c->hooks[i].command_count > 0)
            return true;
    return false;
}

bool config_same_hooks(const struct config *a, const struct config *b)
{
    if (a->hook_count != b->hook_count)
        return false;
    for (size_t i = 0; i < a->hook_count; i++) {
        const struct config_hook *x = &a->hooks[i], *y = &b->hooks[i];
        if (x->events != y->events || !same_target(x, y) || !same_text(x->key_path, y->key_path) ||
            !same_text(x->ca_path, y->ca_path))
            return false;
    }
    return true;
}

const struct config_database *config_database_find(const struct config *c, const char *alias)
{
    for (size_t i = 0; i < c->database_count; i++)
        if (strcmp(c->databases[i].alias, alias) == 0)
            return &c->databases[i];
    return NULL;
}

/* -- against the policy -- */

static bool is_any(const struct in6_addr *address)
{
    static const struct in6_addr any4 = { { { [10] = 0xff, [11] = 0xff } } };
    return IN6_IS_ADDR_UNSPECIFIED(address) || memcmp(address, &any4, sizeof(any4)) == 0;
}

static bool listens_in_policy(const struct config_listen *l, const struct policy *p)
{
    struct policy_range range;
    if (l->address == NULL || !quantity_range(l->address, &range) || is_any(&range.address))
        return true; /* unix, or any address: the session's own will be looked up */
    return policy_network_of(p->listeners, p->listener_count, &range.address) != NULL;
}

/* What the policy demands of the log, the log must be able to give. */
static int check_release(const struct config *c, const struct policy *p, struct mistakes *mistakes)
{
    int rc = 0;
    for (int i = 0; i < CLASS_COUNT; i++) {
        const char *lacks = p->release[i] >= RELEASE_CHECKPOINTED && c->ledger.origin == NULL
                                ? "ledger"
                            : p->release[i] == RELEASE_WITNESSED && c->ledger.witnesses_path == NULL
                                ? "ledger.witnesses"
                                : NULL;
        if (lacks == NULL)
            continue;
        mistakes_add(mistakes, c->path, c->ledger.line,
                     "%s: missing, and the policy releases class %s only when it is in a %s "
                     "checkpoint",
                     lacks, policy_class_name((enum class_id)i),
                     p->release[i] == RELEASE_WITNESSED ? "witnessed" : "signed");
        rc = -RF_ECONFIG;
    }
    return rc;
}

/* Whom the policy lets in, the hub must be able to know, and over a wire that nobody reads. */
static int check_profile(const struct config *c, const struct policy *p, struct mistakes *mistakes)
{
    bool is_private = false;
    if (p->profile != PROFILE_AUDITORS || c->hub.listen_count == 0 || c->hub.log_count == 0)
        return 0;
    for (size_t i = 0; i < c->hub.listen_count; i++)
        is_private |= c->hub.listen[i].tls_required || c->hub.listen[i].unix_path != NULL;
    if (c->hub.auditors_path == NULL)
        mistakes_add(mistakes, c->path, 0,
                     "hub.auditors: missing, and the policy shows the logs to auditors alone");
    if (!is_private)
        mistakes_add(mistakes, c->path, 0,
                     "hub.listen: auditors come by TLS or a unix socket, and neither is here");
    return c->hub.auditors_path == NULL || !is_private ? -RF_ECONFIG : 0;
}

int config_check_policy(const struct config *c, const struct policy *p, struct mistakes *mistakes)
{
    int rc = check_release(c, p, mistakes);
    if (check_profile(c, p, mistakes) < 0)
        rc = -RF_ECONFIG;
    for (size_t i = 0; i < c->listen_count; i++) {
        if (listens_in_policy(&c->listen[i], p))
            continue;
        mistakes_add(mistakes, c->path, c->listen[i].line,
                     "listen[%zu]: address %s is not among the listeners of the policy", i,
                     c->listen[i].address);
        rc = -RF_ECONFIG;
    }
    for (size_t i = 0; i < c->database_count; i++) {
        const struct config_database *d = &c->databases[i];
        const struct policy_region *region = policy_region_find(p, d->region);
        if (region != NULL && policy_is_home(region, c->place))
            continue;
        if (region == NULL)
            mistakes_add(mistakes, c->path, d->line,
                         "databases.%s: region \"%s\" is not in the policy", d->alias, d->region);
        else
            mistakes_add(mistakes, c->path, d->line,
                         "databases.%s: a gateway in %s does not serve region \"%s\", whose home "
                         "is %s",
                         d->alias, c->place.code, d->region, region->home->name);
        rc = -RF_ECONFIG;
    }
    return rc;
}

static bool demands_witnesses(const struct policy *p)
{
    for (int i = 0; i < CLASS_COUNT; i++)
        if (p->release[i] == RELEASE_WITNESSED)
            return true;
    return false;
}

int config_check_quorum(const struct config *c, const struct policy *p, struct mistakes *mistakes)
{
    const char *path = c->ledger.witnesses_path;
    struct err err;
    if (path == NULL || c->ledger.origin == NULL || !demands_witnesses(p))
        return 0;
    struct trust *trust = mem_zalloc(1, sizeof(*trust));
    int rc = trust == NULL ? err_set(&err, RF_ENOMEM, "out of memory") : digest_init(&err);
    if (rc == 0)
        rc = trust_load(path, trust, &err); /* whose keys have digests */
    if (rc < 0)
        mistakes_add(mistakes, path, 0, "%s", err.line);
    else if (trust->quorum < 0)
        mistakes_add(mistakes, path, 0,
                     "quorum: found \"none\", and the policy releases classes only when they are "
                     "witnessed; name whose signatures are needed");
    bool is_good = rc == 0 && trust->quorum >= 0;
    mem_free(trust);
    return is_good ? 0 : -RF_ECONFIG;
}
