#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "cmd/grantcommand.h"
#include "cmd/hubclient.h"
#include "cmd/signer.h"
#include "ledger/json.h"
#include "policy/mistakes.h"
#include "sign/sshsig.h"

enum {
    EXPIRES_S = 300, /* clocks may differ by as much on either side */
    BODY_MAX = 1 << 16,
    NONCE_BYTES = 16
};

/* ---- settling the arguments ----------------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The configuration is for what is LACKING; without that it may be anybody's, or not there. */
static int read_config(struct grant_session *s, bool lacking, struct err *err)
{
    const char *path = s->context->config_path;
    struct mistakes mistakes;
    if (access(path, R_OK) < 0)
        return 0;
    mistakes_init(&mistakes);
    int rc = config_load(path, &s->config, &mistakes);
    if (rc < 0 && lacking) {
        mistakes_print(&mistakes, stderr);
        rc = err_set(err, (enum err_code) - rc, "the configuration cannot be used");
        err_hint(err, "run: ringfence -c %s check", path);
    } else {
        rc = 0;
    }
    mistakes_done(&mistakes);
    return rc;
}

/* The only region of the configuration, or NULL. */
static const char *only_region(const struct config *c)
{
    const char *region = c != NULL && c->database_count > 0 ? c->databases[0].region : NULL;
    for (size_t i = 1; region != NULL && i < c->database_count; i++)
        if (strcmp(c->databases[i].region, region) != 0)
            region = NULL;
    return region;
}

static int settle_actor(struct grant_session *s, struct err *err)
{
    struct passwd *user = s->arguments.actor == NULL ? getpwuid(getuid()) : NULL;
    if (s->arguments.actor != NULL)
        return 0;
    if (user == NULL || strlen(user->pw_name) >= sizeof(s->login))
        return err_set(err, RF_EUSAGE, "who are you in the policy? say so with --actor NAME");
    memcpy(s->login, user->pw_name, strlen(user->pw_name) + 1);
    s->arguments.actor = s->login;
    return 0;
}

static int settle(struct grant_session *s, struct err *err)
{
    struct grant_arguments *a = &s->arguments;
    a->region = a->region != NULL ? a->region : environment("RF_REGION");
    a->hub = a->hub != NULL ? a->hub : environment("RF_HUB_TLS");
    a->ca = a->ca != NULL ? a->ca : environment("RF_CA");
    bool lacking = a->region == NULL || a->hub == NULL;
    int rc = lacking || a->ca == NULL ? read_config(s, lacking, err) : 0;
    if (rc < 0)
        return rc;
    a->region = a->region != NULL ? a->region : only_region(s->config);
    if (s->config != NULL) {
        a->hub = a->hub != NULL ? a->hub : s->config->hub.url;
        a->ca = a->ca != NULL ? a->ca : s->config->hub.ca;
    }
    if (a->region == NULL)
        return err_set(err, RF_EUSAGE, "which region? name it with --region REGION");
    if (a->hub == NULL) {
        rc = err_set(err, RF_EUSAGE, "which hub takes the command? name it with --hub URL");
        err_hint(err, "the environment variable RF_HUB_TLS, or hub.url in the configuration, says "
                      "so for all commands");
        return rc;
    }
    if (!hubclient_is_url(a->hub))
        return err_set(err, RF_EUSAGE,
                       "\"%.200s\" is no address of a hub: expected https://HOST or "
                       "https://HOST:PORT",
                       a->hub);
    return settle_actor(s, err);
}

/* ---- signing and posting -------------------------------------------------------------------- */

struct command grant_command(const struct grant_session *s, enum command_verb verb)
{
    return (
        struct command){ .verb = verb, .region = s->arguments.region, .actor = s->arguments.actor };
}

/* The body of the post. */
static int write_body(struct grant_session *s, struct command *c, struct buf *to, struct err *err)
{
    struct buf text, signature;
    struct ssh_key key;
    uint8_t bytes[NONCE_BYTES];
    char nonce[COMMAND_NONCE_SIZE];
    randombytes_buf(bytes, sizeof(bytes));
    digest_hex(bytes, sizeof(bytes), nonce);
    c->nonce = nonce;
    c->expires_s = clock_wall_ms() / 1000 + EXPIRES_S;
    buf_init(&text, COMMAND_MAX);
    buf_init(&signature, SSHSIG_MAX);
    int rc = command_write(&text, c, err);
    if (rc == 0)
        rc = signer_sign(s->arguments.identity, command_namespace(c->verb), buf_at(&text),
                         buf_len(&text), &signature, &key, err);
    if (rc == 0) {
        struct json_writer w = json_begin(to);
        json_text(&w, "command", (const char *)buf_at(&text), buf_len(&text));
        json_text(&w, "signature", (const char *)buf_at(&signature), buf_len(&signature));
        rc = json_end(&w) ? 0 : err_set(err, RF_ENOMEM, "out of memory for a command");
    }
    c->nonce = NULL;
    buf_done(&text);
    buf_done(&signature);
    return rc;
}

static const char *error_text(const json_t *answer, const char *key)
{
    return json_string_value(json_object_get(json_object_get(answer, "error"), key));
}

static int refused(struct grant_session *s, long status, const char *rule, const char *message,
                   struct err *err)
{
    char words[300];
    (void)grant_clean(rule, s->rule, sizeof(s->rule));
    int rc = err_set(err, status == 401 ? RF_EAUTH : RF_EDENIED, "refused by rule \"%s\": %s",
                     s->rule, grant_clean(message, words, sizeof(words)));
    if (status == 401)
        err_hint(err,
                 "the policy must list your key for \"%.60s\" (or say who you are with "
                 "--actor), and this machine's clock must be right",
                 s->arguments.actor);
    return rc;
}

/* What an answer that is not 200 means. */
static int judge(struct grant_session *s, long status, const json_t *answer, struct err *err)
{
    const char *rule = error_text(answer, "rule"), *message = error_text(answer, "message");
    char words[300];
    bool is_told = rule != NULL && message != NULL;
    if (is_told && status >= 400 && status < 500 && status != 429)
        return refused(s, status, rule, message, err);
    if (status == 429 || status >= 500) {
        s->is_away = true;
        int rc = err_set(err, RF_EUNAVAIL, "the hub answers %ld: %s", status,
                         is_told ? grant_clean(message, words, sizeof(words)) : "it cannot now");
        err_hint(err, "in a while ask `ringfence grants` what has arrived, before you sign anew");
        return rc;
    }
    int rc = err_set(err, RF_EPROTO, "the hub answers %ld to a command", status);
    err_hint(err, "is \"%.150s\" the address of a hub that takes commands?", s->arguments.hub);
    return rc;
}

int grant_send(struct grant_session *s, struct command *c, json_t **ret, struct err *err)
{
    struct buf body, answer;
    long status = 0;
    buf_init(&body, BODY_MAX);
    buf_init(&answer, HUBCLIENT_ANSWER_MAX);
    s->is_away = false;
    s->rule[0] = '\0';
    int rc = write_body(s, c, &body, err);
    if (rc == 0) {
        rc = hubclient_post(s->arguments.hub, s->arguments.ca, buf_at(&body), buf_len(&body),
                            &answer, &status, err);
        s->is_away = rc == -RF_ECONNECT || rc == -RF_ETIMEOUT;
    }
    json_t *root = rc == 0 && buf_len(&answer) > 0
                       ? json_loadb((const char *)buf_at(&answer), buf_len(&answer),
                                    JSON_REJECT_DUPLICATES, NULL)
                       : NULL;
    if (rc == 0 && status != 200)
        rc = judge(s, status, root, err);
    else if (rc == 0 && !json_is_object(root))
        rc = err_set(err, RF_EPROTO, "the hub's answer to a command is no object of JSON");
    if (rc == 0)
        *ret = root;
    else
        json_decref(root);
    buf_done(&body);
    buf_done(&answer);
    return rc;
}

int grant_look(struct grant_session *s, uint64_t n, json_t **ret_answer, json_t **ret,
               struct err *err)
{
    struct command c = grant_command(s, COMMAND_GRANTS);
    json_t *answer = NULL;
    c.request = n;
    int rc = grant_send(s, &c, &answer, err);
    if (rc < 0)
        return rc;
    const json_t *list = json_object_get(answer, "requests");
    json_t *one = json_array_get(list, 0);
    if (json_array_size(list) != 1 ||
        json_integer_value(json_object_get(one, "request")) != (json_int_t)n) {
        json_decref(answer);
        return err_set(err, RF_EPROTO, "the hub answers about another request");
    }
    *ret_answer = answer;
    *ret = one;
    return 0;
}

/* ---- running -------------------------------------------------------------------------------- */

/* Of the command as it is given: what is done to consents is its first argument. */
static const char *name_of(enum command_verb verb)
{
    const char *name = command_verb_name(verb);
    return strncmp(name, "consent-", strlen("consent-")) == 0 ? "consent" : name;
}

static int fail(const struct grant_session *s, const struct err *err)
{
    struct command_context plain = *s->context;
    const char *name = name_of(s->verb);
    plain.json = plain.json && s->rule[0] == '\0';
    int status = command_fail(&plain, name, err);
    if (s->context->json && s->rule[0] != '\0') {
        (void)printf("{\"error\":{\"code\":\"%s\",\"rule\":", err_name(err->code));
        command_print_json(s->rule);
        (void)fputs(",\"line\":", stdout);
        command_print_json(err->line);
        (void)fputs(",\"hint\":", stdout);
        command_print_json(err->hint);
        (void)fputs("}}\n", stdout);
    }
    if (err->code == RF_EUSAGE || err->code == RF_EINVAL)
        (void)command_usage(name);
    return status;
}

int grant_run(const struct command_context *context, enum command_verb verb, int argc, char **argv,
              grant_fn *fn)
{
    struct err err = { 0 };
    struct grant_session *s = mem_zalloc(1, sizeof(*s));
    if (s == NULL || sodium_init() < 0) {
        mem_free(s);
        (void)err_set(&err, RF_ENOMEM, "out of memory");
        return command_fail(context, argv[0], &err);
    }
    s->context = context;
    s->verb = verb;
    int rc = grant_read_arguments(verb, argc, argv, &s->arguments, &err);
    if (rc == 0)
        rc = digest_init(&err);
    if (rc == 0)
        rc = settle(s, &err);
    if (rc == 0)
        rc = fn(s, &err);
    if (rc < 0)
        rc = fail(s, &err);
    config_free(s->config);
    mem_free(s);
    return rc;
}
