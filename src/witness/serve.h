/* serve.h - the witness over HTTP: one thread, libmicrohttpd on its own epoll descriptor. */
#ifndef RF_WITNESS_SERVE_H
#define RF_WITNESS_SERVE_H

#include "witness/witness.h"

/* Listen on ADDRESS ("127.0.0.1:8090", "[::1]:8090"; port 0: any), print `listening ADDRESS`, and
   serve until SIGTERM or SIGINT. Negative also when W cannot be durable any more. */
RF_CHECK int serve(struct witness *w, const char *address, struct err *err);

#endif
