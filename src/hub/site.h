/* site.h - what the hub answers to a request. Knows no HTTP library: http.h does the talking.
 *
 * Nothing is compressed: hashes, tags and commitments do not compress, leaves are short, and one
 * representation of each file means one ETag, one Content-Length and no work for the server. */
#ifndef RF_HUB_SITE_H
#define RF_HUB_SITE_H

#include "hub/crowd.h"
#include "hub/logs.h"
#include "hub/metrics.h"
#include "hub/route.h"

struct site {
    const struct config_hub *hub; /* borrowed; with `logs` replaced at a reload */
    struct logs logs;
    struct crowd crowd;
    struct metrics metrics;
};

enum site_asks { SITE_TO_READ /* GET, HEAD */, SITE_OTHERWISE, SITE_MALFORMED };

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
    char etag[64];   /* quoted; empty: none */
    uint64_t len;    /* of the body, which is one of: */
    int fd;          /*   a file */
    const char *at;  /*   text that stays */
    struct buf made; /*   text of this answer alone */
};

/* IF_NONE_MATCH: that header, or NULL. The caller owns *RET: answer_done(). */
void site_answer(struct site *s, enum site_asks asks, const struct route *route,
                 const char *if_none_match, struct answer *ret);
void answer_done(struct answer *a);

#endif
