/* dispatch.h - posts to webhooks: at most one at a time to each, all side by side, over libcurl.
 *
 * Keys and certificates are read here once, before the process is narrowed. Names are looked up as
 * the courier does it (courier/address.h). Nothing that a receiver answers is looked at but its
 * status. */
#ifndef RF_HERALD_DISPATCH_H
#define RF_HERALD_DISPATCH_H

#include "herald/outcome.h"
#include "policy/config.h"

enum { DISPATCH_LIMIT_MS = 15 * 1000, DISPATCH_CONNECT_MS = 5 * 1000 };

struct dispatch;

/* HOOK is an index of the configuration's. Called from dispatch_send() or dispatch_turn(). */
typedef void dispatch_fn(void *context, size_t hook, const struct outcome *outcome);

/* Copies what it needs of C. */
RF_CHECK int dispatch_new(const struct config *c, dispatch_fn *on_done, void *context,
                          struct dispatch **ret, struct err *err);
void dispatch_free(struct dispatch *p); /* NULL is welcome; drops what is under way */

/* Post BODY, whose id stays the same however often it is tried. */
void dispatch_send(struct dispatch *p, size_t hook, const char *id, const char *body);

/* Wait until something happens at COUNT descriptors or to a post, at most TIMEOUT_MS. */
RF_CHECK int dispatch_turn(struct dispatch *p, const int *fds, unsigned count, int timeout_ms,
                           struct err *err);

#endif
