/* address.h - where a witness's URL leads: one host name and its addresses, kept for a while.
 *
 * libcurl resolves names in a thread, and a narrowed courier cannot start one (clone is not among
 * its calls). So names are looked up here, by getaddrinfo() in this process as control and the
 * workers do, and libcurl is handed the result. That blocks the other posts meanwhile; the bound is
 * address_init()'s: two seconds a name server, once. */
#ifndef RF_COURIER_ADDRESS_H
#define RF_COURIER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    ADDRESS_HOST_SIZE = 256,
    ADDRESS_LIST_MAX = 4,          /* of one name; the others are not tried */
    ADDRESS_KEPT_MS = 60 * 1000,   /* a name that was found */
    ADDRESS_MISSED_MS = 15 * 1000, /* one that was not */
};

struct address {
    char host[ADDRESS_HOST_SIZE];
    char port[8];
    bool is_literal; /* an address already: nothing to look up */
    bool found;
    int64_t until_ms;                                         /* 0: not looked up yet */
    char pin[ADDRESS_HOST_SIZE + 16 + ADDRESS_LIST_MAX * 48]; /* "HOST:PORT:ADDRESS,…" */
};

/* Once, before the first lookup and before threads there could be. */
void address_init(void);

/* Of URL (http or https, ASCII, a host, neither user nor password). -RF_ECONFIG. */
RF_CHECK int address_of_url(const char *url, struct address *ret, struct err *err);

/* Look the name up unless that was done a short while ago; true: `pin` is good. */
RF_CHECK bool address_find(struct address *a, int64_t now_ms);

#endif
