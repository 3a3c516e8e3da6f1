/* check.c - `ringfence check`: every mistake of every file, at once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/auditors.h"
#include "auth/credentials.h"
#include "cmd/command.h"
#include "cmd/standing.h"
#include "herald/hookfiles.h"
#include "io/tls.h"
#include "policy/grants.h"
#include "policy/mistakes.h"

struct check {
    const char *config_path; /* NULL: --policy, there is no configuration */
    const char *policy_path; /* NULL: not known, the configuration is broken */
    struct config *config;
    struct policy *policy;
    struct credentials *credentials;
    struct auditors *auditors;
    struct mistakes mistakes;
    struct standing standing;
    bool has_standing;
    char no_standing[200]; /* why it is not known */
    int status;
};

/* A file that could not be read weighs more than one with mistakes. */
static void note(struct check *c, int rc)
{
    int status = rc < 0 ? err_exit_status(rc) : COMMAND_DONE;
    if (status > c->status)
        c->status = status;
}

static void check_readable(struct check *c, unsigned line, const char *what, const char *path)
{
    if (path == NULL || access(path, R_OK) == 0)
        return;
    mistakes_add(&c->mistakes, c->config_path, line, "%s: could not read file \"%s\": %s", what,
                 path, strerrordesc_np(errno) != NULL ? strerrordesc_np(errno) : "unknown error");
    note(c, -RF_ESYS);
}

/* Files that can be read may still be no certificates, or of two pairs. */
static void check_context(struct check *c, unsigned line, int rc, struct tls_context *made,
                          const struct err *err)
{
    if (rc < 0) {
        mistakes_add(&c->mistakes, c->config_path, line, "%s", err->line);
        note(c, rc);
    }
    tls_context_free(made);
}

static void check_database_files(struct check *c, const struct config_database *d)
{
    struct tls_context *made = NULL;
    struct err err = { 0 };
    int before = c->status;
    check_readable(c, d->line, "tls_ca", d->tls_ca);
    check_readable(c, d->line, "tls_certificate", d->tls_certificate);
    check_readable(c, d->line, "tls_key", d->tls_key);
    check_readable(c, d->line, "passfile", d->passfile);
    if (d->tls == SERVER_TLS_OFF || c->status != before)
        return;
    int rc = tls_client_new(d->tls_ca, d->tls_certificate, d->tls_key, &made, &err);
    check_context(c, d->line, rc, made, &err);
}

static void check_files(struct check *c)
{
    const struct config *config = c->config;
    struct tls_context *made = NULL;
    struct err err = { 0 };
    int before = c->status;
    check_readable(c, 0, "tls.certificate", config->tls_certificate);
    check_readable(c, 0, "tls.key", config->tls_key);
    check_readable(c, 0, "hub.tls.certificate", config->hub.tls_certificate);
    check_readable(c, 0, "hub.tls.key", config->hub.tls_key);
    check_readable(c, 0, "tls.client_ca", config->tls_client_ca);
    if (config->tls_certificate != NULL && config->tls_key != NULL && c->status == before) {
        int rc = tls_server_new(config->tls_certificate, config->tls_key, config->tls_client_ca,
                                &made, &err);
        check_context(c, 0, rc, made, &err);
    }
    for (size_t i = 0; i < config->database_count; i++)
        check_database_files(c, &config->databases[i]);
    note(c, hookfiles_check(config, c->config_path, &c->mistakes));
}

/* Whoever may not read the state folder learns everything else. */
static void check_standing(struct check *c)
{
    struct err err = { 0 };
    c->has_standing = command_standing(c->config, c->policy, &c->standing, &err) == 0;
    if (!c->has_standing)
        (void)snprintf(c->no_standing, sizeof(c->no_standing), "%.180s", err.line);
    else if (c->standing.kind == STANDING_REFUSED)
        note(c, -RF_EDENIED);
}

static void check_all(struct check *c)
{
    if (c->config_path != NULL) {
        note(c, config_load(c->config_path, &c->config, &c->mistakes));
        if (c->config == NULL)
            return;
        c->policy_path = c->config->policy_path;
    }
    note(c, policy_load(c->policy_path, &c->policy, &c->mistakes));
    if (c->config == NULL)
        return;
    if (c->policy != NULL)
        check_standing(c);
    if (c->policy != NULL)
        note(c, config_check_policy(c->config, c->policy, &c->mistakes));
    if (c->policy != NULL)
        note(c, config_check_quorum(c->config, c->policy, &c->mistakes));
    note(c, credentials_load(c->config->credentials_path, &c->credentials, &c->mistakes));
    if (c->config->hub.auditors_path != NULL)
        note(c, auditors_load(c->config->hub.auditors_path, &c->auditors, &c->mistakes));
    check_files(c);
}

static void digest_text(const struct policy *p, char out[65])
{
    for (size_t i = 0; i < sizeof(p->digest); i++)
        (void)snprintf(out + i * 2, 3, "%02x", p->digest[i]);
}

/* TELL every limit that the policy does not set and could. */
static void each_unlimited(const struct policy *p, void (*tell)(const char *who, const char *what))
{
    const struct policy_grants *g = p->grants;
    char who[64];
    for (size_t i = 0; i < g->rule_count + g->has_break_glass; i++) {
        const struct policy_grant_rule *rule = i < g->rule_count ? &g->rules[i] : &g->break_glass;
        (void)snprintf(who, sizeof(who), i < g->rule_count ? "rule %s" : "%s", rule->name);
        if (rule->budget_rows == 0)
            tell(who, "rows of a grant");
        if (rule->budget_bytes == 0)
            tell(who, "bytes of a grant");
    }
    if (g->subjects_per_day == 0 && g->rule_count + g->has_break_glass > 0)
        tell("grants", "persons that one may name in a day");
}

static void print_unlimited(const char *who, const char *what)
{
    (void)printf("  %s: %s are unlimited\n", who, what);
}

static bool has_comma; /* of the list that is being printed */

static void print_unlimited_json(const char *who, const char *what)
{
    char text[160];
    (void)snprintf(text, sizeof(text), "%s: %s", who, what);
    (void)fputs(has_comma ? "," : "", stdout);
    command_print_json(text);
    has_comma = true;
}

static void print_json(const struct check *c)
{
    char digest[65];
    (void)printf("{\"ok\":%s", c->status == COMMAND_DONE ? "true" : "false");
    if (c->config_path != NULL) {
        (void)fputs(",\"configuration\":", stdout);
        command_print_json(c->config_path);
    }
    if (c->policy != NULL) {
        digest_text(c->policy, digest);
        (void)fputs(",\"policy\":{\"file\":", stdout);
        command_print_json(c->policy_path);
        (void)printf(",\"sha256\":\"%s\",\"actors\":%zu,\"tables\":%zu,\"statistics\":%zu,"
                     "\"unlimited\":[",
                     digest, c->policy->actor_count, c->policy->table_count,
                     c->policy->statistic_count);
        each_unlimited(c->policy, print_unlimited_json);
        (void)fputs("]}", stdout);
    }
    if (c->has_standing) {
        (void)fputs(",\"signed\":", stdout);
        command_print_standing_json(&c->standing);
    }
    if (c->credentials != NULL)
        (void)printf(",\"credentials\":%zu", credentials_count(c->credentials));
    if (c->auditors != NULL)
        (void)printf(",\"auditors\":%zu", auditors_count(c->auditors));
    (void)fputs(",\"mistakes\":[", stdout);
    for (size_t i = 0; i < c->mistakes.count; i++) {
        (void)printf("%s{\"file\":", i > 0 ? "," : "");
        command_print_json(c->mistakes.list[i].file);
        (void)printf(",\"line\":%u,\"text\":", c->mistakes.list[i].line);
        command_print_json(c->mistakes.list[i].text);
        (void)putchar('}');
    }
    (void)printf("],\"more\":%s}\n", c->mistakes.overflowed ? "true" : "false");
}

static void print_text(const struct check *c)
{
    char digest[65];
    mistakes_print(&c->mistakes, stderr);
    if (c->has_standing)
        command_print_standing(c->standing.kind == STANDING_REFUSED ? stderr : stdout,
                               c->policy_path, &c->standing);
    else if (c->no_standing[0] != '\0')
        (void)fprintf(stderr, "%s: whether it may rule is not known: %s\n", c->policy_path,
                      c->no_standing);
    if (c->status != COMMAND_DONE)
        return;
    if (c->config != NULL)
        (void)printf("%s: listening sockets %zu, databases %zu\n", c->config_path,
                     c->config->listen_count, c->config->database_count);
    digest_text(c->policy, digest);
    (void)printf("%s: actors %zu, tables %zu, statistics %zu, sha256 %s\n", c->policy_path,
                 c->policy->actor_count, c->policy->table_count, c->policy->statistic_count,
                 digest);
    each_unlimited(c->policy, print_unlimited);
    if (c->config != NULL && c->credentials != NULL)
        (void)printf("%s: logins %zu\n", c->config->credentials_path,
                     credentials_count(c->credentials));
    if (c->config != NULL && c->auditors != NULL)
        (void)printf("%s: auditors %zu\n", c->config->hub.auditors_path,
                     auditors_count(c->auditors));
}

int command_check(const struct command_context *context, int argc, char **argv)
{
    struct check c = { .config_path = context->config_path };
    if (argc == 3 && strcmp(argv[1], "--policy") == 0) {
        c.config_path = NULL;
        c.policy_path = argv[2];
    } else if (argc != 1) {
        return command_usage(argv[0]);
    }
    mistakes_init(&c.mistakes);
    check_all(&c);
    if (context->json)
        print_json(&c);
    else
        print_text(&c);
    mistakes_done(&c.mistakes);
    credentials_free(c.credentials);
    auditors_free(c.auditors);
    policy_free(c.policy);
    config_free(c.config);
    return c.status;
}
