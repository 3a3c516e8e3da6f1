/* route.h - what a request asks for: its target and the configuration decide, no file is looked at.
 *
 * Targets are compared as they came: nothing is unescaped, no slashes are merged, no dots resolved,
 * and a target with a query is nothing of ours. So each file has one name, and what a cache in
 * front keeps is what we sent. An absolute target (RFC 9112, 3.2.2) counts without scheme and host.
 */
#ifndef RF_HUB_ROUTE_H
#define RF_HUB_ROUTE_H

#include "policy/config.h"
#include "tlog/path.h"

enum route_kind {
    ROUTE_NONE, /* nothing is there */
    ROUTE_PAGE,
    ROUTE_STYLE,
    ROUTE_HEALTH,
    ROUTE_METRICS,
    ROUTE_COMMANDS,   /* the one place to post to: post.h */
    ROUTE_CHECKPOINT, /* the others have `log` and `file` */
    ROUTE_TILE,
    ROUTE_ENTRIES,
    ROUTE_COUNT
};

struct route {
    enum route_kind kind;
    bool is_log;               /* below /log/, whether something is there or not */
    size_t log;                /* index in hub->logs */
    char file[TLOG_PATH_SIZE]; /* below that log's folder; written by us, not by the client */
};

/* TARGET is that of the request line. */
void route_of(const char *target, size_t len, const struct config_hub *hub, struct route *ret);

const char *route_name(enum route_kind kind); /* "tile", for figures */

#endif
