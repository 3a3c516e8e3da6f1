/* hubclient.h - posting a signed command to a hub (docs/formats/commands.md, section 4): the one
 * file of the command line that knows libcurl. */
#ifndef RF_CMD_HUBCLIENT_H
#define RF_CMD_HUBCLIENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { HUBCLIENT_URL_MAX = 250, HUBCLIENT_ANSWER_MAX = 8 << 20 };

/* Is URL https://HOST or https://HOST:PORT, and nothing behind it but one slash? */
bool hubclient_is_url(const char *url);

/* Post N bytes of JSON to the hub at URL; its answer goes to TO, whose ceiling is
   HUBCLIENT_ANSWER_MAX, and its status to *RET_STATUS. Certificates are verified by the file CA, or
   with NULL by the system's. One redirect to the hub of another region is followed, over https.
   -RF_ECONNECT, -RF_ETIMEOUT, -RF_EPROTO: nobody knows whether the command arrived; -RF_ENOMEM. */
RF_CHECK int hubclient_post(const char *url, const char *ca, const void *body, size_t n,
                            struct buf *to, long *ret_status, struct err *err);

#endif
