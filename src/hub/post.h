/* post.h - commands that people post, on their way to the registrar and back
 * (docs/formats/commands.md, section 4). Knows no HTTP library: http.h does the talking.
 *
 *   FREE --post_begin()--> READS --post_send()--> WAITS --the answer, or too late--> ANSWERED
 *                            └──── refused here ────────────────────────────────────────┘
 *   any --post_free()--> FREE
 *
 * The hub looks at the region and the form alone; it can neither make a command nor change one. */
#ifndef RF_HUB_POST_H
#define RF_HUB_POST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "policy/config.h"

enum {
    POST_BODY_MAX = 32768,
    POSTS_MAX = 1024,       /* coming: as many as a hub's clients are by default, so that the crowd
                               decides who makes room, and one address has not all places */
    POSTS_WAITING_MAX = 64, /* for the registrar */
    POST_WAIT_MS = 10 * 1000, /* clients wait a little longer (cmd/hubclient.c) */
    POST_LOCATION_SIZE = 300
};

enum post_state { POST_FREE, POST_READS, POST_WAITS, POST_ANSWERED };

struct post {
    enum post_state state;
    void *connection; /* the library's, of whoever waits */
    struct buf body;  /* what comes; then the answer */
    uint64_t id;
    int64_t due_ms;
    unsigned status;
    char location[POST_LOCATION_SIZE]; /* 307 */
};

struct posts {
    struct post list[POSTS_MAX];
    int relay_fd; /* borrowed; -1: there is no registrar */
    uint64_t last_id;
    const struct config_hub *hub;            /* borrowed */
    const struct config_database *databases; /* borrowed: whose regions are here */
    size_t database_count;
    struct buf heard;
};

void posts_init(struct posts *p);
void posts_done(struct posts *p);

/* NULL: too many are coming. */
RF_CHECK struct post *post_begin(struct posts *p, void *connection);
void post_free(struct post *post); /* NULL is welcome */

/* More of the body. What is too long or has no room is answered so in the end. */
void post_feed(struct post *post, const char *bytes, size_t n);

/* The body is whole: it goes to the registrar (WAITS), or its answer is here (ANSWERED). CLIENT and
   LISTENER: NULL for a unix socket. */
void post_send(struct posts *p, struct post *post, const struct in6_addr *client,
               const struct in6_addr *listener, int64_t now_ms);

/* Answer POST here, with the error RULE and MESSAGE. */
void post_refuse(struct post *post, unsigned status, const char *rule, const char *message);

/* Take an answer that has come, or give up whoever waited too long: a post that is ANSWERED now, or
   NULL when there is none (any more). */
struct post *posts_turn(struct posts *p, int64_t now_ms);

#endif
