#include "control/server.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "enforce/role.h"

enum { PORT_SIZE = 8 };

static void drop_notice(void *context RF_UNUSED, const char *message RF_UNUSED)
{
}

/* How a connection is called among the server's. */
static const char *application_of(const char *role)
{
    return strcmp(role, ROLE_NAME_CONTROL) == 0  ? "ringfence control"
           : strcmp(role, ROLE_NAME_HERALD) == 0 ? "ringfence herald"
                                                 : "ringfence registrar";
}

static const char *or_empty(const char *s)
{
    return s != NULL ? s : "";
}

PGconn *server_connect(const struct config_database *database, const struct config_host *host,
                       enum server_kind kind, const char *role)
{
    static const char *const modes[] = { [SERVER_TLS_OFF] = "disable",
                                         [SERVER_TLS_REQUIRE] = "require",
                                         [SERVER_TLS_VERIFY_FULL] = "verify-full" };
    static const char *const kinds[] = {
        [SERVER_ANY] = "any", [SERVER_PRIMARY] = "primary", [SERVER_STANDBY] = "standby"
    };
    char port[PORT_SIZE];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)host->port);
    const char *const keys[] = { "host",
                                 "port",
                                 "dbname",
                                 "user",
                                 "sslmode",
                                 "sslrootcert",
                                 "sslcert",
                                 "sslkey",
                                 "passfile",
                                 "gssencmode",
                                 "tcp_user_timeout",
                                 "application_name",
                                 "client_encoding",
                                 "target_session_attrs",
                                 "options",
                                 NULL };
    const char *const values[] = { host->host,
                                   port,
                                   database->dbname,
                                   role,
                                   modes[database->tls],
                                   or_empty(database->tls_ca),
                                   or_empty(database->tls_certificate),
                                   or_empty(database->tls_key),
                                   or_empty(database->passfile),
                                   "disable",
                                   "3000",
                                   application_of(role),
                                   "UTF8",
                                   kinds[kind],
                                   "-c jit=off", /* compiling would take longer than answering */
                                   NULL };
    PGconn *conn = PQconnectStartParams(keys, values, 0);
    if (conn != NULL)
        (void)PQsetNoticeProcessor(conn, drop_notice, NULL);
    return conn;
}
