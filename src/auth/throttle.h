/* throttle.h - how many failed logins a minute one client address may have.
 *
 * A token bucket an address (IPv6: a /64, what one customer holds; IPv4 in ::ffff:0:0/96 whole),
 * holding at most one minute's allowance. Only failures take a token, so a busy application that
 * logs in correctly is never slowed. The table has a fixed size: a flood from many addresses grows
 * nothing, it evicts the bucket that failed longest ago. Time comes in as an argument. */
#ifndef RF_AUTH_THROTTLE_H
#define RF_AUTH_THROTTLE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct throttle;

/* PER_MINUTE 0: never throttles. ADDRESSES: how many buckets, fixed at the start (at least 1). */
RF_CHECK int throttle_new(uint32_t per_minute, size_t addresses, struct throttle **ret_throttle);
void throttle_free(struct throttle *t); /* NULL is welcome */

/* After a reload; buckets keep what they have, up to the new allowance. */
void throttle_set_rate(struct throttle *t, uint32_t per_minute);

/* May ADDRESS try to log in now? Takes nothing. NOW_MS is monotonic. */
bool throttle_allows(struct throttle *t, const struct in6_addr *address, int64_t now_ms);

/* A login from ADDRESS failed. */
void throttle_failed(struct throttle *t, const struct in6_addr *address, int64_t now_ms);

/* How long until it is allowed again; 0 when it is. */
int64_t throttle_wait_ms(struct throttle *t, const struct in6_addr *address, int64_t now_ms);

#endif
