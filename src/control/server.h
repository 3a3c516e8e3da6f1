/* server.h - how control, registrar and herald log in at a region's servers, without waiting. */
#ifndef RF_CONTROL_SERVER_H
#define RF_CONTROL_SERVER_H

#include <libpq-fe.h>

#include "policy/config.h"

/* What the server must be; another one fails like one that cannot be reached. */
enum server_kind { SERVER_ANY, SERVER_PRIMARY, SERVER_STANDBY };

/* Begin to connect as ROLE (a literal of enforce/role.h); PQconnectPoll() goes on. The caller owns
   what is returned, also when it is a connection that has failed; NULL: out of memory. Notices are
   dropped. */
PGconn *server_connect(const struct config_database *database, const struct config_host *host,
                       enum server_kind kind, const char *role);

#endif
