#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/config.h"
#include "policy/mistakes.h"
#include "policy/quantity.h"

static const char sample[] =
    "name: us-virginia\n"
    "place: US\n"
    "policy: policy.yaml\n"
    "credentials: credentials\n"
    "state: state\n"
    "run: /run/ringfence\n"
    "user: ringfence\n"
    "tls: {certificate: gw.crt, key: gw.key, client_ca: ca.crt}\n"
    "listen:\n"
    "  - {address: 127.0.0.1, port: 6432}\n"
    "  - {address: \"::1\", port: 6432, tls: optional}\n"
    "  - {address: 127.0.1.1, port: 6433, tls: off}\n"
    "  - {unix: run/.s.PGSQL.6432}\n"
    "databases:\n"
    "  us-virginia:\n"
    "    region: us-virginia\n"
    "    database: app\n"
    "    primary: [\"db1.example:5441\", \"[::1]:5442\", \"/run/pg:5443\"]\n"
    "    standby: [\"127.0.0.1:5444\"]\n"
    "    tls_ca: ca.crt\n"
    "    tls_certificate: gateway-db.crt\n"
    "    tls_key: gateway-db.key\n"
    "    pool: {mode: transaction, size: 7, idle: 90s}\n"
    "limits: {clients: 12, login: 5min, idle: 1d, statement: 8kB}\n"
    "workers: 2\n"
    "sandbox: seccomp\n"
    "log: debug\n";

static const char policy_text[] = "version: 1\n"
                                  "company: Clipstream\n"
                                  "jurisdictions: {US: [US], EU: [IE, DE]}\n"
                                  "regions:\n"
                                  "  us-virginia: {jurisdiction: US, place: US}\n"
                                  "  eu-dublin: {jurisdiction: EU, place: IE}\n"
                                  "entities: {clipstream-us: {country: US}}\n"
                                  "listeners:\n"
                                  "  main: {address: 127.0.0.1, place: identity}\n"
                                  "  six: {range: \"::1/128\", place: identity}\n"
                                  "  office: {range: 127.0.1.0/24, place: US}\n"
                                  "actors:\n"
                                  "  us_analyst: {kind: person, entity: clipstream-us, place: US}\n"
                                  "tables:\n"
                                  "  app.tags: {columns: {name: none}}\n";

static struct config *parse(const char *text, struct mistakes *m)
{
    struct config *c = NULL;
    mistakes_init(m);
    int rc = config_parse("/etc/rf/ringfence.yaml", text, strlen(text), &c, m);
    assert_true((rc == 0) == (c != NULL));
    if (rc != 0)
        assert_int_equal(rc, -RF_ECONFIG);
    return c;
}

/* SAMPLE with FIND, which must be in it, replaced; the caller frees. *RET_LINE: where FIND began.
 */
static char *edited(const char *find, const char *replace, unsigned *ret_line)
{
    const char *at = strstr(sample, find);
    char *out;
    if (at == NULL)
        fail_msg("\"%s\" is not in the sample", find);
    *ret_line = 1;
    for (const char *s = sample; s < at; s++)
        *ret_line += *s == '\n';
    assert_true(asprintf(&out, "%.*s%s%s", (int)(at - sample), sample, replace, at + strlen(find)) >
                0);
    return out;
}

static void every_key_lands_where_it_belongs(void **state)
{
    struct mistakes m;
    struct config *c = parse(sample, &m);
    (void)state;
    mistakes_print(&m, stderr);
    assert_non_null(c);
    assert_string_equal(c->path, "/etc/rf/ringfence.yaml");
    assert_string_equal(c->name, "us-virginia");
    assert_string_equal(c->place.code, "US");
    assert_string_equal(c->user, "ringfence");
    assert_int_equal(c->listen_count, 4);
    assert_string_equal(c->listen[0].address, "127.0.0.1");
    assert_int_equal(c->listen[0].port, 6432);
    assert_int_equal(c->listen[0].line, 10);
    assert_true(c->listen[0].tls_required && c->listen[0].tls_offered);
    assert_true(!c->listen[1].tls_required && c->listen[1].tls_offered);
    assert_true(!c->listen[2].tls_required && !c->listen[2].tls_offered);
    assert_true(!c->listen[3].tls_required && !c->listen[3].tls_offered);
    assert_null(c->listen[3].address);
    assert_int_equal(c->workers, 2);
    assert_int_equal(c->sandbox_floor, SANDBOX_SECCOMP);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(c->max_clients, 12);
    assert_int_equal(c->login_timeout_ms, 5 * 60 * 1000);
    assert_int_equal(c->idle_timeout_ms, 86400 * 1000);
    assert_int_equal(c->statement_max_bytes, 8192);
    config_free(c);
    mistakes_done(&m);
}

/* The sample with a section `hub` at its end. */
static struct config *parse_hub(const char *section, struct mistakes *m)
{
    char text[8192];
    (void)snprintf(text, sizeof(text), "%s%s", sample, section);
    return parse(text, m);
}

static void a_hub_has_sockets_logs_and_limits(void **state)
{
    struct mistakes m;
    struct config *c = parse_hub("hub:\n"
                                 "  listen:\n"
                                 "    - {address: 127.0.0.1, port: 8080, tls: off}\n"
                                 "    - {address: 127.0.0.1, port: 8443}\n"
                                 "  tls: {certificate: hub.crt, key: hub.key}\n"
                                 "  logs: {us-virginia: public, eu-dublin: /srv/eu}\n"
                                 "  url: https://hub.example:8443\n"
                                 "  ca: hub-ca.crt\n"
                                 "  stale: 2min\n",
                                 &m);
    (void)state;
    assert_non_null(c);
    assert_string_equal(c->hub.url, "https://hub.example:8443");
    assert_string_equal(c->hub.ca, "/etc/rf/hub-ca.crt");
    assert_int_equal(c->hub.listen_count, 2);
    assert_true(!c->hub.listen[0].tls_required && c->hub.listen[1].tls_required);
    assert_int_equal(c->hub.log_count, 2);
    assert_string_equal(c->hub.logs[0].region, "us-virginia");
    assert_string_equal(c->hub.logs[0].directory, "/etc/rf/public");
    assert_string_equal(c->hub.logs[1].directory, "/srv/eu");
    assert_string_equal(c->hub.tls_key, "/etc/rf/hub.key");
    assert_int_equal(c->hub.clients, 1000);
    assert_int_equal(c->hub.per_address, 100);
    assert_int_equal(c->hub.stale_ms, 120000);
    config_free(c);
    mistakes_done(&m);
}

static void mistakes_of_a_hub_are_told(void **state)
{
    static const struct {
        const char *section, *complaint;
    } rows[] = {
        { "hub: {listen: [{address: 127.0.0.1, port: 8080, tls: optional}]}\n",
          "hub.listen[0].tls: expected required or off" },
        { "hub: {listen: [{address: 127.0.0.1, port: 6432, tls: off}]}\n",
          "hub.listen[0]: the same socket as listen[0]" },
        { "hub: {listen: [{address: \"::1\", port: 1, tls: off}, {address: \"::1\", port: 1}]}\n",
          "hub.listen[1]: the same socket as hub.listen[0]" },
        { "hub: {logs: {us: x}}\n", "hub: \"listen\" is missing" },
        { "hub: {listen: [{unix: x}], per_address: 0}\n", "hub.per_address: expected" },
        { "hub: {listen: [{unix: x}], stale: 5}\n", "hub.stale: expected a time" },
        { "hub: {listen: [{address: \"::1\", port: 1}]}\n", "hub.listen[0]: TLS needs" },
        { "hub: {listen: [{unix: x}], tls: {certificate: a, key: gw.key}}\n",
          "hub.tls.key: this is the gateway's own" },
        { "hub: {listen: [{unix: x}], tls: {certificate: a}}\n", "hub.tls: \"key\" is missing" },
        { "hub: {listen: [{unix: x}], url: \"http://hub.example\"}\n", "hub.url: expected https" },
        { "hub: {listen: [{unix: x}], url: \"https://\"}\n", "hub.url: expected https" },
        { "hub: {listen: [{unix: x}], url: \"https://a@b\"}\n", "hub.url: expected https" },
        { "hub: {listen: [{unix: x}], url: \"https://hub.example/x\"}\n",
          "hub.url: expected https" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct mistakes m;
        assert_null(parse_hub(rows[i].section, &m));
        if (strstr(m.list[0].text, rows[i].complaint) == NULL)
            fail_msg("%s", m.list[0].text);
        mistakes_done(&m);
    }
}

static void hooks_are_webhooks_or_commands(void **state)
{
    struct mistakes m;
    struct config *c =
        parse_hub("hooks:\n"
                  "  - {events: [request, notice], url: \"https://mail.example:8443/x?y=1\",\n"
                  "     key: hook.key, ca: ca.pem}\n"
                  "  - {events: [broken_glass], command: [/usr/bin/tell, --all]}\n",
                  &m);
    (void)state;
    assert_non_null(c);
    assert_int_equal(c->hook_count, 2);
    assert_int_equal(c->hooks[0].events, 1U << EVENT_REQUEST | 1U << EVENT_NOTICE);
    assert_string_equal(c->hooks[0].url, "https://mail.example:8443/x?y=1");
    assert_string_equal(c->hooks[0].key_path, "/etc/rf/hook.key");
    assert_string_equal(c->hooks[0].ca_path, "/etc/rf/ca.pem");
    assert_int_equal(c->hooks[1].command_count, 2);
    assert_string_equal(c->hooks[1].command[1], "--all");
    assert_true(config_has_commands(c) && config_same_hooks(c, c));
    assert_string_equal(config_event_name(EVENT_BROKEN_GLASS), "broken_glass");
    config_free(c);
    mistakes_done(&m);
}

#define HOOK(text) "hooks: [{events: [notice], " text "}]\n"

static void mistakes_of_hooks_are_told(void **state)
{
    static const struct {
        const char *section, *complaint;
    } rows[] = {
        { "hooks: [{events: [notices], command: [/x]}]\n", "hooks[0].events[0]: expected one of" },
        { "hooks: [{events: [], command: [/x]}]\n", "hooks[0].events: expected a list of events" },
        { "hooks: [{command: [/x]}]\n", "hooks[0]: \"events\" is missing" },
        { "hooks: [{events: [notice]}]\n", "hooks[0]: expected" },
        { HOOK("url: \"https://a\", command: [/x], key: k"), "hooks[0]: expected" },
        { HOOK("url: \"http://a.example\", key: k"), "hooks[0].url: expected https://HOST" },
        { HOOK("url: \"https://\", key: k"), "hooks[0].url: expected https://HOST" },
        { HOOK("url: \"https://u@a.example\", key: k"), "hooks[0].url: expected https://HOST" },
        { HOOK("url: \"https://a.example\""), "hooks[0]: a webhook needs \"key\"" },
        { HOOK("command: [mail]"), "hooks[0].command: expected a program's absolute path" },
        { HOOK("command: [/x], key: k"), "hooks[0]: \"key\" and \"ca\" are for webhooks" },
        { "hooks: [{events: [notice], command: [/x]}, {events: [request], command: [/x]}]\n",
          "hooks[1]: the same as hooks[0]" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct mistakes m;
        assert_null(parse_hub(rows[i].section, &m));
        if (strstr(m.list[0].text, rows[i].complaint) == NULL || m.list[0].line == 0)
            fail_msg("%u: %s", m.list[0].line, m.list[0].text);
        mistakes_done(&m);
    }
}
#undef HOOK

static void logs_for_auditors_need_a_list_and_a_private_way(void **state)
{
    static const struct {
        const char *section, *complaint;
    } rows[] = {
        { "", NULL }, /* no hub, no question */
        { "hub: {listen: [{unix: x}]}\n", NULL },
        { "hub: {listen: [{unix: x}], logs: {us-virginia: a}, auditors: b}\n", NULL },
        { "hub: {listen: [{unix: x}], logs: {us-virginia: a}}\n", "hub.auditors: missing" },
        { "hub: {listen: [{address: \"::1\", port: 1, tls: off}], logs: {us-virginia: a}, "
          "auditors: "
          "b}\n",
          "hub.listen: auditors come by TLS" },
    };
    char text[sizeof(policy_text) + 100];
    struct policy *p = NULL;
    struct mistakes m;
    (void)state;
    (void)snprintf(text, sizeof(text), "%spublication: {profile: auditors}\n", policy_text);
    mistakes_init(&m);
    assert_int_equal(policy_parse("policy.yaml", text, strlen(text), &p, &m), 0);
    mistakes_done(&m);
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct config *c = parse_hub(rows[i].section, &m);
        assert_non_null(c);
        mistakes_done(&m);
        mistakes_init(&m);
        int rc = config_check_policy(c, p, &m);
        bool told = false;
        for (size_t k = 0; k < m.count && rows[i].complaint != NULL; k++)
            told |= strstr(m.list[k].text, rows[i].complaint) != NULL;
        if (told != (rows[i].complaint != NULL) || (told && rc == 0))
            fail_msg("row %zu", i);
        for (size_t k = 0; k < m.count && rows[i].complaint == NULL; k++)
            assert_null(strstr(m.list[k].text, "hub."));
        config_free(c);
        mistakes_done(&m);
    }
    policy_free(p);
}

static void a_database_has_hosts_tls_and_a_pool(void **state)
{
    struct mistakes m;
    struct config *c = parse(sample, &m);
    (void)state;
    assert_non_null(c);
    const struct config_database *d = config_database_find(c, "us-virginia");
    assert_non_null(d);
    assert_null(config_database_find(c, "us-virgini"));
    assert_string_equal(d->region, "us-virginia");
    assert_string_equal(d->dbname, "app");
    assert_int_equal(d->primary_count, 3);
    assert_string_equal(d->primary[0].host, "db1.example");
    assert_int_equal(d->primary[0].port, 5441);
    assert_string_equal(d->primary[1].host, "::1");
    assert_string_equal(d->primary[2].host, "/run/pg");
    assert_int_equal(d->standby_count, 1);
    assert_int_equal(d->tls, SERVER_TLS_VERIFY_FULL);
    assert_int_equal(d->pool_mode, POOL_TRANSACTION);
    assert_int_equal(d->pool_size, 7);
    assert_int_equal(d->server_idle_ms, 90 * 1000);
    assert_int_equal(d->server_lifetime_ms, 3600 * 1000);
    assert_null(d->passfile);
    config_free(c);
    mistakes_done(&m);
}

static void relative_paths_start_at_the_folder_of_the_file(void **state)
{
    struct mistakes m;
    struct config *c = parse(sample, &m);
    (void)state;
    assert_non_null(c);
    assert_string_equal(c->policy_path, "/etc/rf/policy.yaml");
    assert_string_equal(c->run_dir, "/run/ringfence");
    assert_string_equal(c->tls_key, "/etc/rf/gw.key");
    assert_string_equal(c->listen[3].unix_path, "/etc/rf/run/.s.PGSQL.6432");
    assert_string_equal(c->databases[0].tls_ca, "/etc/rf/ca.crt");
    config_free(c);
    mistakes_done(&m);
}

static void a_relative_file_is_made_absolute(void **state)
{
    struct mistakes m;
    struct config *c = NULL;
    char here[4096], expected[4200];
    (void)state;
    mistakes_init(&m);
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(config_parse("sub/rf.yaml", sample, strlen(sample), &c, &m), 0);
    (void)snprintf(expected, sizeof(expected), "%s/sub/policy.yaml", here);
    assert_string_equal(c->policy_path, expected);
    config_free(c);
    mistakes_done(&m);
}

static void what_is_not_said_has_the_default_of_the_table(void **state)
{
    unsigned line;
    char *text = edited("limits: {clients: 12, login: 5min, idle: 1d, statement: 8kB}\n"
                        "workers: 2\nsandbox: seccomp\nlog: debug\n",
                        "", &line);
    struct mistakes m;
    struct config *c = parse(text, &m);
    (void)state;
    assert_non_null(c);
#define LIMIT(key, member, type, least, most, default, reloadable, sentence) \
    assert_int_equal(c->member, default);                                    \
    assert_in_range(default, least, most);
#include "policy/tbl/config.def"
#undef LIMIT
    assert_int_equal(c->max_clients, 2000);
    assert_int_equal(c->login_timeout_ms, 15000);
    assert_int_equal(c->statement_max_bytes, 65536);
    assert_int_equal(c->sandbox_floor, SANDBOX_FULL);
    assert_int_equal(c->log_level, LOG_LEVEL_INFO);
    assert_int_equal(c->workers, 0);
    config_free(c);
    mistakes_done(&m);
    free(text);
}

static const struct {
    const char *find, *replace;
    unsigned lines_on; /* the mistake stands this many lines after the start of the edit */
    const char *says;
} wrong[] = {
    { "place: US", "place: usa", 0, "place: expected a country code such as US, found \"usa\"" },
    { "place: US", "place: UK", 0, "place: expected a country code such as US, found \"UK\"" },
    { "name: us-virginia", "name: 1st", 0, "name: expected a name" },
    { "policy: policy.yaml", "polcy: policy.yaml", 0,
      "unknown key \"polcy\"; did you mean \"policy\"?" },
    { "workers: 2", "workers: 65", 0,
      "workers: expected a whole number from 0 to 64, found \"65\"" },
    { "workers: 2", "workers: -1", 0, "workers: expected a whole number" },
    { "workers: 2", "workers: 02", 0, "workers: expected a whole number" },
    { "workers: 2", "workers: 99999999999999999999", 0, "workers: expected a whole number" },
    { "log: debug", "log: [debug]", 0, "log: expected one value, found a list" },
    { "log: debug", "log: loud", 0,
      "log: expected one of error, warn, info, debug, found \"loud\"" },
    { "log: debug", "log:", 0, "found nothing" },
    { "sandbox: seccomp", "sandbox: seccmp", 0, "did you mean \"seccomp\"?" },
    { "login: 5min", "login: 5", 0, "limits.login: expected a time such as 250ms" },
    { "login: 5min", "login: 11h", 0, "from 1s to 10min" },
    { "login: 5min", "login: 9999999999999999h", 0, "limits.login: expected a time" },
    { "statement: 8kB", "statement: 8KB", 0, "limits.statement: expected a size" },
    { "statement: 8kB", "statement: 65kB", 0, "from 1kB to 64kB" },
    { "clients: 12", "client: 12", 0, "limits: unknown key \"client\"; did you mean \"clients\"?" },
    { "address: 127.0.0.1", "address: localhost", 0, "listen[0].address: expected an address" },
    { "address: 127.0.0.1", "address: 127.0.0.1/8", 0, "listen[0].address: expected an address" },
    { "port: 6432}", "port: 0}", 0, "listen[0].port: expected a whole number from 1 to 65535" },
    { ", port: 6432}", "}", 0, "listen[0]: an address needs a \"port\"" },
    { "{unix: run/.s.PGSQL.6432}", "{unix: x, port: 1}", 0, "a unix socket has no \"port\"" },
    { "{unix: run/.s.PGSQL.6432}", "{unix: x, address: \"::2\", port: 1}", 0, "found both" },
    { "{unix: run/.s.PGSQL.6432}", "{tls: off}", 0,
      "listen[3]: expected \"address\" or \"unix\", found neither" },
    { "{unix: run/.s.PGSQL.6432}", "{address: 127.0.0.1, port: 6432}", 0,
      "the same socket as listen[0]" },
    { "unix: run/",
      "unix: "
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/",
      0, "longer than 107 bytes" },
    { "tls: off}", "tls: false}", 0, "listen[2].tls: expected one of required, optional, off" },
    { "tls: {certificate: gw.crt, key: gw.key, client_ca: ca.crt}\n", "", 1,
      "listen[0]: TLS needs \"certificate\" and \"key\"" },
    { "key: gw.key, ", "", 2, "listen[0]: TLS needs" },
    { "[\"db1.example:5441\", \"[::1]:5442\", \"/run/pg:5443\"]", "[]", 0,
      "primary: expected a list of 1 to 16, each HOST:PORT, found 0" },
    { "db1.example:5441", "db1.example", 0, "primary[0]: expected HOST:PORT" },
    { "db1.example:5441", "db1 port=1:5441", 0, "primary[0]: expected HOST:PORT" },
    { "[::1]:5442", "[::g]:5442", 0, "primary[1]: expected HOST:PORT" },
    { "    region: us-virginia\n", "", 0, "databases.us-virginia: \"region\" is missing" },
    { "    tls_ca: ca.crt\n", "", 0, "tls verify-full needs \"tls_ca\"" },
    { "    tls_key: gateway-db.key\n", "", 0, "go together" },
    { "    tls_ca: ca.crt", "    tls: off", 0, "a client certificate needs TLS" },
    { "mode: transaction", "mode: statement", 0,
      "pool.mode: expected one of session, transaction" },
    { "  us-virginia:\n    region", "  pgbouncer:\n    region", 0, "the gateway's own console" },
    { "name: us-virginia\n", "name: us-virginia\nname: b\n", 1, "key \"name\" is given twice" },
};

static void each_mistake_is_told_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(wrong); i++) {
        unsigned line;
        bool found = false;
        struct mistakes m;
        char *text = edited(wrong[i].find, wrong[i].replace, &line);
        struct config *c = parse(text, &m);
        for (size_t j = 0; j < m.count; j++)
            found |= strstr(m.list[j].text, wrong[i].says) != NULL && m.list[j].line > 0 &&
                     (m.list[j].line == line + wrong[i].lines_on ||
                      strncmp(m.list[j].text, "databases", 9) == 0);
        if (c != NULL || !found) {
            mistakes_print(&m, stderr);
            fail_msg("case %zu: expected %u: %s", i, line + wrong[i].lines_on, wrong[i].says);
        }
        mistakes_done(&m);
        free(text);
    }
}

static void several_mistakes_are_told_at_once(void **state)
{
    struct mistakes m;
    struct config *c = parse("name: 1\nplace: x\nlisten: {}\nworkers: no\nfoo: 1\n", &m);
    (void)state;
    assert_null(c);
    assert_int_equal(m.count, 5 + 5); /* and policy, credentials, state, run, databases */
    mistakes_done(&m);
}

static void what_both_files_show_is_checked(void **state)
{
    struct mistakes m;
    struct policy *p = NULL;
    unsigned line;
    (void)state;
    mistakes_init(&m);
    assert_int_equal(policy_parse("p", policy_text, strlen(policy_text), &p, &m), 0);
    struct config *c = parse(sample, &m);
    assert_int_equal(config_check_policy(c, p, &m), 0);
    config_free(c);
    char *text = edited("region: us-virginia", "region: eu-dublin", &line);
    c = parse(text, &m);
    free(text);
    assert_int_equal(config_check_policy(c, p, &m), -RF_ECONFIG);
    assert_non_null(strstr(m.list[0].text, "a gateway in US does not serve region \"eu-dublin\""));
    config_free(c);
    mistakes_done(&m);
    text = edited("region: us-virginia", "region: nowhere", &line);
    c = parse(text, &m);
    free(text);
    assert_int_equal(config_check_policy(c, p, &m), -RF_ECONFIG);
    assert_non_null(strstr(m.list[0].text, "region \"nowhere\" is not in the policy"));
    config_free(c);
    mistakes_done(&m);
    text = edited("address: 127.0.1.1", "address: 127.0.2.1", &line);
    c = parse(text, &m);
    free(text);
    assert_int_equal(config_check_policy(c, p, &m), -RF_ECONFIG);
    assert_int_equal(m.list[0].line, 12);
    assert_non_null(strstr(m.list[0].text, "127.0.2.1 is not among the listeners"));
    config_free(c);
    mistakes_done(&m);
    policy_free(p);
}

static void an_unreadable_file_is_not_a_mistake_in_it(void **state)
{
    struct mistakes m;
    struct config *c = NULL;
    (void)state;
    mistakes_init(&m);
    int rc = config_load("/nonexistent/ringfence.yaml", &c, &m);
    assert_int_equal(rc, -RF_ESYS);
    assert_int_equal(err_exit_status(rc), 3);
    assert_int_equal(m.count, 1);
    mistakes_done(&m);
}

/* The example of a manual page, between .Bd -literal and .Ed; the caller frees. */
static char *manual_example(const char *page)
{
    char path[4200];
    struct err err;
    char *text;
    size_t len;
    const char *end = strstr(__FILE__, "tests/unit/");
    assert_non_null(end);
    (void)snprintf(path, sizeof(path), "%.*sdocs/man/%s", (int)(end - __FILE__), __FILE__, page);
    if (fd_read_file(path, 1024 * 1024, &text, &len, &err) != 0)
        fail_msg("%s", err.line);
    const char *from = strstr(text, ".Bd -literal\n");
    const char *to = from != NULL ? strstr(from, "\n.Ed\n") : NULL;
    assert_non_null(to);
    from += strlen(".Bd -literal\n");
    char *example = mem_strndup(from, (size_t)(to - from));
    mem_free(text);
    assert_non_null(example);
    return example;
}

static void the_example_of_the_manual_is_a_configuration(void **state)
{
    struct mistakes m;
    char *text = manual_example("ringfence.conf.5");
    struct config *c = parse(text, &m);
    (void)state;
    mistakes_print(&m, stderr);
    assert_non_null(c);
    config_free(c);
    mistakes_done(&m);
    mem_free(text);
}

/* The manual's list of limits: ".It Cm KEY" and the default in words. */
static void the_manual_lists_every_limit(void **state)
{
    static const char path[] = "docs/man/ringfence.conf.5";
    char whole[4200], item[80];
    struct err err;
    char *text;
    size_t len;
    (void)state;
    const char *end = strstr(__FILE__, "tests/unit/");
    assert_non_null(end);
    (void)snprintf(whole, sizeof(whole), "%.*s%s", (int)(end - __FILE__), __FILE__, path);
    if (fd_read_file(whole, 1024 * 1024, &text, &len, &err) != 0)
        fail_msg("%s", err.line);
#define LIMIT(key, member, type, least, most, default, reloadable, sentence) \
    (void)snprintf(item, sizeof(item), "\n.It Cm %s ", key);                 \
    if (strstr(text, item) == NULL)                                          \
        fail_msg("limit %s is not in the manual", key);                      \
    if (strstr(text, sentence) == NULL)                                      \
        fail_msg("the manual does not say: %s", sentence);
#include "policy/tbl/config.def"
#undef LIMIT
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_lands_where_it_belongs),
        cmocka_unit_test(a_hub_has_sockets_logs_and_limits),
        cmocka_unit_test(mistakes_of_a_hub_are_told),
        cmocka_unit_test(hooks_are_webhooks_or_commands),
        cmocka_unit_test(mistakes_of_hooks_are_told),
        cmocka_unit_test(logs_for_auditors_need_a_list_and_a_private_way),
        cmocka_unit_test(a_database_has_hosts_tls_and_a_pool),
        cmocka_unit_test(relative_paths_start_at_the_folder_of_the_file),
        cmocka_unit_test(a_relative_file_is_made_absolute),
        cmocka_unit_test(what_is_not_said_has_the_default_of_the_table),
        cmocka_unit_test(each_mistake_is_told_with_its_line),
        cmocka_unit_test(several_mistakes_are_told_at_once),
        cmocka_unit_test(what_both_files_show_is_checked),
        cmocka_unit_test(an_unreadable_file_is_not_a_mistake_in_it),
        cmocka_unit_test(the_example_of_the_manual_is_a_configuration),
        cmocka_unit_test(the_manual_lists_every_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
