/* config.h - how one gateway is run: addresses, files, limits (docs/man/ringfence.conf.5).
 *
 * The policy says what is right; the configuration says where things are. Keys, types, units,
 * defaults and ranges stand in tbl/config.def. Relative paths are relative to the file's folder and
 * come out absolute. */
#ifndef RF_POLICY_CONFIG_H
#define RF_POLICY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"

enum pool_mode { POOL_SESSION, POOL_TRANSACTION };
enum server_tls { SERVER_TLS_OFF, SERVER_TLS_REQUIRE, SERVER_TLS_VERIFY_FULL };
enum sandbox_floor { SANDBOX_NONE, SANDBOX_SECCOMP, SANDBOX_FULL /* seccomp and landlock */ };

struct config_listen {
    char *address; /* literal IPv4 or IPv6, or NULL */
    uint16_t port;
    char *unix_path;   /* socket file, or NULL */
    bool tls_required; /* refuse sessions without TLS; not for unix sockets; default true */
    bool tls_offered;  /* answer SSLRequest with yes; false for `tls: off` and unix sockets */
    unsigned line;
};

struct config_host {
    char *host; /* name or address, or folder of a unix socket when it starts with '/' */
    uint16_t port;
};

struct config_database {
    char *alias; /* what clients put into dbname */
    char *region;
    char *dbname;                /* in the region */
    struct config_host *primary; /* tried in order until one accepts writes */
    size_t primary_count;
    struct config_host *standby; /* tried in order until one is in recovery */
    size_t standby_count;
    enum server_tls tls;
    char *tls_ca, *tls_certificate, *tls_key; /* client certificate: cert login of any role */
    char *passfile;                           /* pgpass(5) format, for SCRAM logins; may be NULL */
    enum pool_mode pool_mode;                 /* services */
    int64_t pool_size;                        /* most server connections per service and worker */
    int64_t server_idle_ms;                   /* close an unused server connection after */
    int64_t server_lifetime_ms;               /* do not reuse a server connection older than */
    unsigned line;
};

/* The public log (docs/formats/log.md); without an origin there is none, only the journal. */
struct config_ledger {
    char *origin;         /* the log's name for ever; of its key, too */
    char *directory;      /* the public files */
    char *predecessor;    /* "INDEX ORIGIN" of the leaf that this log continues; may be NULL */
    char *key_path;       /* secret Ed25519 key of the log */
    char *vrf_path;       /* secret VRF key, the same for all gateways of the region */
    char *witnesses_path; /* C2SP tlog-policy file; NULL: no witness is asked */
    char *copy_path;      /* folder for a second, synchronous copy of the journal; may be NULL */
    char *epoch;          /* "month", or "Nm" */
    int64_t rollup_ms;    /* whole minutes: sums of sessions and refusals */
    int64_t seal_ms;      /* whole minutes: commitments to the journal */
    int64_t checkpoint_ms;
    unsigned line;
};

struct config_hub_log {
    char *region; /* served under /log/REGION/ */
    char *directory;
};

/* The hub of another gateway, where commands for that region are taken. */
struct config_hub_other {
    char *region;
    char *url; /* https://HOST[:PORT], without a slash at its end */
};

/* Public pages and files; without `listen` there is no hub process. */
struct config_hub {
    struct config_listen *listen;
    size_t listen_count;
    struct config_hub_log *logs;
    size_t log_count;
    struct config_hub_other *others;
    size_t other_count;
    char *tls_certificate, *tls_key; /* of this site; never the gateway's */
    char *url;                       /* under which people reach it; https; may be NULL */
    char *ca;                        /* by which they know it; NULL: by the system's */
    char *auditors_path;             /* NAME SHA256HEX [UNTIL] a line; may be NULL */
    int64_t clients;                 /* connections, in all */
    int64_t per_address;             /* from one address; /64 of IPv6 */
    int64_t stale_ms;                /* a checkpoint that is older is bad health */
};

enum config_event {
#define EVENT(id, name, sentence) EVENT_##id,
#include "policy/tbl/event.def"
#undef EVENT
    EVENT_COUNT
};

enum { CONFIG_HOOKS_MAX = 32, CONFIG_ARGUMENTS_MAX = 64 };

/* Who is told what: a webhook, or a program. */
struct config_hook {
    uint32_t events; /* bits 1 << enum config_event */
    char *url;       /* https; or NULL: */
    char **command;  /* absolute path and arguments */
    size_t command_count;
    char *key_path; /* of a webhook: the secret by which its posts are signed */
    char *ca_path;  /* of a webhook: by which its certificate is known; NULL: by the system's */
    unsigned line;
};

struct config {
    char *path;         /* the file */
    char *name;         /* of this gateway; log and record label */
    struct place place; /* of this host */
    char *policy_path;
    char *credentials_path; /* NAME:SCRAM-SHA-256$… a line */
    char *state_dir;        /* journal, day keys, the notary's state */
    char *run_dir;          /* pid file, control socket */
    char *user;             /* to become when started as root; may be NULL */
    char *tls_certificate, *tls_key, *tls_client_ca; /* towards clients */
    struct config_listen *listen;
    size_t listen_count;
    struct config_database *databases;
    size_t database_count;
    struct config_ledger ledger;
    struct config_hub hub;
    struct config_hook *hooks;
    size_t hook_count;
    int64_t workers;     /* 0: one a core */
    int64_t max_clients; /* per worker */
    int64_t max_waiting; /* sessions queued for a server connection, per worker */
    int64_t login_timeout_ms;
    int64_t idle_timeout_ms; /* 0: none */
    int64_t query_wait_timeout_ms;
    int64_t connect_timeout_ms;
    int64_t ledger_wait_ms;            /* how long a login waits for the ledger */
    int64_t login_failures_per_minute; /* per client address */
    int64_t statement_max_bytes;       /* persons */
    int64_t service_rollup_ms;
    int64_t shutdown_timeout_ms;
    enum sandbox_floor sandbox_floor;
    int log_level; /* enum log_level */
};

RF_CHECK int config_parse(const char *path, const char *text, size_t len,
                          struct config **ret_config, struct mistakes *mistakes);
RF_CHECK int config_load(const char *path, struct config **ret_config, struct mistakes *mistakes);
void config_free(struct config *c);

/* What only both files together show: regions that the policy does not know or whose home is
   elsewhere, listeners it does not name. 0, or -RF_ECONFIG with mistakes added. Whoever loads the
   two calls it before using them. */
RF_CHECK int config_check_policy(const struct config *c, const struct policy *p,
                                 struct mistakes *mistakes);
/* Where the policy waits for witnesses, the witnesses' file must say whose word counts. Reads that
   file, so it is for whoever can. 0, or -RF_ECONFIG with mistakes added. */
RF_CHECK int config_check_quorum(const struct config *c, const struct policy *p,
                                 struct mistakes *mistakes);

/* All listening sockets in one row: those of `listen`, then the hub's. */
size_t config_socket_count(const struct config *c);
const struct config_listen *config_socket(const struct config *c, size_t index);

const char *config_event_name(enum config_event event); /* "request", … */
bool config_has_commands(const struct config *c);       /* among its hooks */
bool config_same_hooks(const struct config *a, const struct config *b);

const struct config_database *config_database_find(const struct config *c, const char *alias);

#endif
