/* carrier.h - posts to witnesses, and what they are asked to show, over libcurl's multi interface,
 * at most one a witness.
 *
 * What a witness may do is bounded here: an answer has at most ERRAND_BODY_MAX bytes and its header
 * CARRIER_HEADER_MAX, all of it comes within the post's time limit, redirects are answers like
 * others, HTTP/1.1 and TLS 1.2 or later only, no proxy, no cookie, no password. Connections are
 * kept for the next post. */
#ifndef RF_COURIER_CARRIER_H
#define RF_COURIER_CARRIER_H

#include "ledger/errand.h"

enum {
    CARRIER_HEADER_MAX = 16 * 1024, /* with whatever comes before and behind the real one */
    CARRIER_CONNECT_MS = 5 * 1000,  /* name looked up, connected, TLS done */
};

/* Certificates of Debian's ca-certificates: what CA_PATH below is, unless SSL_CERT_FILE in the
   environment says otherwise, as for other programs on OpenSSL. */
#define CARRIER_CA "/etc/ssl/certs/ca-certificates.crt"

struct carrier;

/* ANSWER and its body live during the call. Called by carrier_turn(), carrier_post() and
   carrier_trust(). */
typedef void carrier_fn(void *context, const struct errand_answer *answer);

/* Reads OpenSSL's files and opens a socket pair: before the sandbox. One a process. CA_PATH
   (borrowed): whom https:// is believed. */
RF_CHECK int carrier_new(const char *ca_path, carrier_fn *on_answer, void *context,
                         struct carrier **ret, struct err *err);
void carrier_free(struct carrier *c); /* NULL is welcome */

/* From now on posts go to the witnesses of TRUST (copied). Checks every URL; on failure nothing
   has changed. What is under way is given up, and answered so. */
RF_CHECK int carrier_trust(struct carrier *c, const struct trust *trust, struct err *err);
/* Give up whatever is under way, without answers: there is nobody to hear them. */
void carrier_drop(struct carrier *c);

/* Start it; the answer may come at once when it cannot be carried. BODY is copied. */
void carrier_post(struct carrier *c, const struct errand_post *post);

/* Wait until something moves here, one of COUNT descriptors FDS is readable or broken, or
   TIMEOUT_MS is over; then go on with the posts. */
RF_CHECK int carrier_turn(struct carrier *c, const int *fds, unsigned count, int timeout_ms,
                          struct err *err);

#endif
