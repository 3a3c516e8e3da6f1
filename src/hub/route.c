#include "hub/route.h"

#include <string.h>
#include <strings.h>

/* What is left of a text that is being read. */
struct rest {
    const char *at;
    size_t len;
};

static bool is(struct rest r, const char *text)
{
    return r.len == strlen(text) && memcmp(r.at, text, r.len) == 0;
}

static bool skip(struct rest *r, const char *text, size_t len)
{
    if (r->len < len || memcmp(r->at, text, len) != 0)
        return false;
    r->at += len;
    r->len -= len;
    return true;
}

/* "http://host/path" is "/path". Which host does not matter: there is one site here. */
static bool skip_host(struct rest *r)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < RF_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (r->len < len || strncasecmp(r->at, schemes[i], len) != 0)
            continue;
        const char *slash = memchr(r->at + len, '/', r->len - len);
        if (slash == NULL || slash == r->at + len)
            return false;
        r->len -= (size_t)(slash - r->at);
        r->at = slash;
        return true;
    }
    return true;
}

/* A file of a log, by its path below the log's folder. */
static bool route_file(struct rest r, size_t log, struct route *ret)
{
    static const enum route_kind kinds[] = { [TLOG_FILE_NONE] = ROUTE_NONE,
                                             [TLOG_FILE_CHECKPOINT] = ROUTE_CHECKPOINT,
                                             [TLOG_FILE_TILE] = ROUTE_TILE,
                                             [TLOG_FILE_ENTRIES] = ROUTE_ENTRIES };
    struct tlog_path path;
    if (tlog_path_read(r.at, r.len, &path) < 0)
        return false;
    ret->kind = kinds[path.file];
    ret->log = log;
    tlog_path_write(&path, ret->file);
    return true;
}

/* Behind "/log/": REGION/PATH, or PATH alone for the first log. A region that is called `tile`
   hides nothing: no path of a log goes on like one. */
static void route_log(struct rest r, const struct config_hub *hub, struct route *ret)
{
    if (hub->log_count > 0 && route_file(r, 0, ret))
        return;
    for (size_t i = 0; i < hub->log_count; i++) {
        struct rest below = r;
        if (skip(&below, hub->logs[i].region, strlen(hub->logs[i].region)) &&
            skip(&below, "/", 1) && route_file(below, i, ret))
            return;
    }
}

void route_of(const char *target, size_t len, const struct config_hub *hub, struct route *ret)
{
    static const struct {
        const char *path;
        enum route_kind kind;
    } pages[] = {
        { "/", ROUTE_PAGE },
        { "/style.css", ROUTE_STYLE },
        { "/healthz", ROUTE_HEALTH },
        { "/metrics", ROUTE_METRICS },
        { "/api/v1/commands", ROUTE_COMMANDS },
    };
    struct rest r = { target, len };
    *ret = (struct route){ .kind = ROUTE_NONE };
    if (!skip_host(&r))
        return;
    for (size_t i = 0; i < RF_COUNT(pages); i++)
        if (is(r, pages[i].path))
            ret->kind = pages[i].kind;
    if (ret->kind == ROUTE_NONE && skip(&r, "/log/", 5)) {
        ret->is_log = true;
        route_log(r, hub, ret);
    }
}

const char *route_name(enum route_kind kind)
{
    static const char *const names[ROUTE_COUNT] = {
        [ROUTE_NONE] = "other",    [ROUTE_PAGE] = "page",       [ROUTE_STYLE] = "style",
        [ROUTE_HEALTH] = "health", [ROUTE_METRICS] = "metrics", [ROUTE_CHECKPOINT] = "checkpoint",
        [ROUTE_TILE] = "tile",     [ROUTE_ENTRIES] = "entries", [ROUTE_COMMANDS] = "commands",
    };
    return names[kind];
}
