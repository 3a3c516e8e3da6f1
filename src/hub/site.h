/* site.h - what the hub answers to a request. Knows no HTTP library: http.h does the talking.
 *
 * The policy's profile says who may read the logs:
 *   public    everybody
 *   auditors  whoever shows a token of the list, over TLS or a unix socket. All others get 401 for
 *             whatever lies below /log/, there or not (403 in clear, so that no token is sent
 * there, 429 after too many wrong ones), and pages without figures of the logs internal  nobody:
 * each answer is that of a hub without logs
 *
 * Nothing is compressed: hashes, tags and commitments do not compress, leaves are short, and one
 * representation of each file means one ETag, one Content-Length and no work for the server. */
#ifndef RF_HUB_SITE_H
#define RF_HUB_SITE_H

#include <netinet/in.h>

#include "hub/crowd.h"
#include "hub/logs.h"
#include "hub/metrics.h"
#include "hub/post.h"
#include "hub/route.h"

struct auditors;
struct throttle;

struct site {
    const struct config_hub *hub; /* borrowed; with `logs` replaced at a reload */
    struct logs logs;
    enum publication_profile profile;
    const struct auditors *auditors; /* borrowed; NULL: there are none */
    struct throttle *throttle;       /* borrowed; of wrong tokens, by address */
    struct crowd crowd;
    struct metrics metrics;
    struct posts posts;
};

enum site_asks { SITE_TO_READ /* GET, HEAD */, SITE_TO_POST, SITE_OTHERWISE, SITE_MALFORMED };

enum site_channel { SITE_IN_CLEAR, SITE_IN_PRIVATE /* TLS, or within this host */ };

struct site_request {
    enum site_asks asks;
    enum site_channel channel;
    const struct in6_addr *address; /* NULL: has none */
    const struct route *route;
    const char *if_none_match, *authorization, *content_type; /* these headers, or NULL */
    int64_t now_ms;                                           /* monotonic */
};

enum answer_caching {
    ANSWER_NOT_STORED,
    ANSWER_CHECKED_AGAIN,
    ANSWER_FOR_AN_HOUR,
    ANSWER_FOR_EVER
};

struct answer {
    unsigned status;
    const char *type; /* of the body; NULL without one */
    enum answer_caching caching;
    bool is_private; /* may be for one reader alone: no cache keeps it, no foreign page reads it */
    const char *challenge; /* 401: for WWW-Authenticate */
    const char *location;  /* 307 */
    const char *allow;     /* 405 */
    char etag[64];         /* quoted; empty: none */
    uint64_t len;          /* of the body, which is one of: */
    int fd;                /*   a file */
    const char *at;        /*   text that stays */
    struct buf made;       /*   text of this answer alone */
};

/* The caller owns *RET: answer_done(). */
void site_answer(struct site *s, const struct site_request *request, struct answer *ret);

/* A command that is to come: *RET takes its body. False: it is refused, and *RET_ANSWER says how.
 */
RF_CHECK bool site_begin_post(struct site *s, const struct site_request *request, void *connection,
                              struct post **ret, struct answer *ret_answer);
/* The answer to POST, which borrows from it. */
void site_answer_post(struct site *s, const struct post *post, struct answer *ret);
void answer_done(struct answer *a);

#endif
