/* http.h - HTTP for the site: libmicrohttpd, and nothing else in this program knows it.
 *
 * Without threads and without listening sockets of its own: connections are accepted by the caller,
 * and its poll says when there is something to do. Deadlines and numbers of connections are the
 * crowd's; the library only ever closes what is over. */
#ifndef RF_HUB_HTTP_H
#define RF_HUB_HTTP_H

#include <poll.h>

#include "hub/site.h"

enum { HTTP_POLLS = 2 };

/* Certificate chain and key in PEM for HTTPS; NULL: none is spoken. */
struct http_tls {
    const char *certificate, *key;
};

struct http;

/* Before narrowing. SITE is borrowed, and stays. */
RF_CHECK int http_new(struct site *site, const struct http_tls *tls, struct http **ret,
                      struct err *err);
void http_free(struct http *h); /* closes all connections */

/* A connection that was accepted; FD is the callee's in any case. */
void http_take(struct http *h, int fd, const struct sockaddr *address, socklen_t len, bool is_tls,
               int64_t now_ms);

/* Fills HTTP_POLLS of them. The answer: milliseconds until http_turn() has something to do though
   none of them is ready, -1: never. */
int http_poll(struct http *h, struct pollfd *polls);
void http_turn(struct http *h, int64_t now_ms);

#endif
