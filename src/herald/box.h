/* box.h - the outbox of one database, as the herald uses it; waits, as line.h does. */
#ifndef RF_HERALD_BOX_H
#define RF_HERALD_BOX_H

#include "herald/outcome.h"
#include "registrar/line.h"

enum {
    BOX_HOOK_SIZE = 16 + 1, /* the name of a hook in the database: the same in every gateway */
    BOX_LEASE_S = 60,       /* longer than any delivery takes */
    BOX_AWAY_MS = 5000,     /* after a database that did not answer */
    BOX_HOOKS_MS = 10 * 60 * 1000,
    BOX_REPORT_MS = 60 * 1000
};

struct box {
    struct line line;
    const struct config *config;
    int64_t away_until_ms; /* not before: it did not answer */
    bool has_begun;        /* it knows that nothing of before our start is in hand */
    int64_t hooks_ms;      /* when it is told again what hooks there are */
    int64_t report_ms;     /* when it is asked again what waits */
};

/* Something that a hook is to get. Strings live as long as the result that it was read from. */
struct parcel {
    int64_t id;
    const char *hook, *key, *kind, *body;
};

/* The name of a hook: of what it leads to, so that two gateways which have it share its deliveries.
 */
void box_hook_name(const struct config_hook *h, char ret[BOX_HOOK_SIZE]);

/* HAS_BEGUN: what this gateway took before is still in hand. */
void box_init(struct box *b, const struct config *config, const struct config_database *database,
              bool has_begun);
void box_done(struct box *b);

/* Can it be asked now? Tells it about hooks when that is due, and logs what waits. */
RF_CHECK bool box_ready(struct box *b);

/* What the COUNT hooks of these names are to get now: *RET, one row each, at most; the caller
   clears it. -RF_EUNAVAIL and others: *RET is NULL, and the box is left alone for a while. */
RF_CHECK int box_next(struct box *b, const char *const *hooks, size_t count, PGresult **ret);
struct parcel box_parcel(const PGresult *r, int row);

/* What became of it. On failure it is said again, later. */
RF_CHECK int box_say(struct box *b, int64_t id, const char *hook, const struct outcome *outcome);

#endif
