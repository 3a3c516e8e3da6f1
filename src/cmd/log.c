/* log.c - `ringfence log VERB …`: which verb, and its arguments. With a URL or a folder `show` and
 * `tail` look at a public log, without one at the gateway's journal. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "cmd/logcommand.h"
#include "policy/quantity.h"

enum { DAY_S = 86400, COUNT_DEFAULT = 20 };

/* What a verb takes. */
enum option_set {
    TAKES_FROM = 1,
    TAKES_TYPE = 2,
    TAKES_FOLLOW = 4,
    TAKES_TRUST = 8, /* --key and who witnesses */
    TAKES_OUT = 16,
    TAKES_CLAIMS = 32,
    TAKES_PROOF = 64,
    TAKES_SAMPLE = 128,
    TAKES_POLICIES = 256 /* all of them: how to be let in */
};

static const struct verb {
    const char *name;
    log_verb_fn *run;
    unsigned takes, words_min, words_max;
} verbs[] = {
    { "verify", log_verify, TAKES_TRUST | TAKES_CLAIMS | TAKES_POLICIES, 1, LOG_SOURCES_MAX },
    { "show", log_show_public, TAKES_FROM | TAKES_TYPE, 1, 1 },
    { "tail", log_tail_public, TAKES_FOLLOW | TAKES_TYPE, 1, 1 },
    { "prove", log_prove, TAKES_TRUST | TAKES_OUT | TAKES_PROOF, 0, 2 },
    { "export", log_export, TAKES_TRUST | TAKES_OUT, 1, 1 },
    { "claims", log_claims, TAKES_TRUST | TAKES_CLAIMS, 1, 1 },
    { "verify-claim", log_verify_claim, TAKES_TRUST, 1, 1 },
    { "audit", log_audit, TAKES_TRUST | TAKES_SAMPLE, 1, 1 },
};

static bool read_key(const char *path, struct log_arguments *a, struct err *err)
{
    if (a->key_count == LOG_SOURCES_MAX) {
        (void)err_set(err, RF_EUSAGE, "too many keys");
        return false;
    }
    if (key_load(path, &a->keys[a->key_count], err) < 0)
        return false;
    if (a->keys[a->key_count].type != KEY_ED25519) {
        (void)err_set(err, RF_EUSAGE, "the key in \"%.200s\" is not one that signs logs", path);
        return false;
    }
    a->key_count++;
    return true;
}

static bool read_age(const char *text, uint64_t *ret)
{
    int64_t ms;
    if (!quantity_duration_ms(text, &ms) || ms < 1000)
        return false;
    *ret = (uint64_t)ms / 1000;
    return true;
}

static bool read_number(const char *text, uint64_t *ret, bool *ret_has)
{
    int64_t value;
    if (!quantity_integer(text, &value))
        return false;
    *ret = (uint64_t)value;
    *ret_has = true;
    return true;
}

/* An option with a value, stored. False: no such option here, or a value that is none; with ERR
   set when there is more to say. */
static bool take_value(unsigned takes, const char *option, const char *value,
                       struct log_arguments *a, struct err *err)
{
    const struct {
        const char *option;
        unsigned takes;
        const char **to;
    } texts[] = {
        { "--witnesses", TAKES_TRUST, &a->witnesses },
        { "--remember", TAKES_TRUST, &a->remember },
        { "--claims", TAKES_CLAIMS, &a->claims },
        { "--policies", TAKES_POLICIES, &a->policies },
        { "--out", TAKES_OUT, &a->out },
        { "--entry", TAKES_PROOF, &a->entry },
        { "--check", TAKES_PROOF, &a->check },
        { "--type", TAKES_TYPE, &a->type },
        { "--seed", TAKES_SAMPLE, &a->seed },
        { "--state", TAKES_SAMPLE, &a->state_dir },
        { "--vrf-key", TAKES_SAMPLE, &a->vrf },
        { "--token-file", UINT_MAX, &a->token_file },
        { "--ca", UINT_MAX, &a->access.ca },
    };
    for (size_t i = 0; i < RF_COUNT(texts); i++)
        if ((takes & texts[i].takes) != 0 && strcmp(option, texts[i].option) == 0) {
            *texts[i].to = value;
            return true;
        }
    if ((takes & TAKES_TRUST) != 0 && strcmp(option, "--key") == 0)
        return read_key(value, a, err);
    if ((takes & TAKES_TRUST) != 0 && strcmp(option, "--max-age") == 0)
        return read_age(value, &a->max_age_s);
    if ((takes & TAKES_TRUST) != 0 && strcmp(option, "--own-witness") == 0 &&
        a->own_count < LOG_NAMES_MAX) {
        a->own[a->own_count++] = value;
        return true;
    }
    if ((takes & TAKES_FROM) != 0 && strcmp(option, "--from") == 0)
        return read_number(value, &a->from, &a->has_from);
    return (takes & TAKES_SAMPLE) != 0 && strcmp(option, "--count") == 0 &&
           read_number(value, &a->count, &a->has_count) && a->count > 0;
}

static bool read_arguments(const struct verb *verb, int argc, char **argv, struct log_arguments *a,
                           struct err *err)
{
    for (int i = 2; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (a->word_count == verb->words_max)
                return false;
            a->words[a->word_count++] = argv[i];
        } else if ((verb->takes & TAKES_FOLLOW) != 0 && strcmp(argv[i], "-f") == 0) {
            a->follow = true;
        } else if ((verb->takes & TAKES_TRUST) != 0 && strcmp(argv[i], "--forget") == 0) {
            a->forget = true;
        } else if (i + 1 == argc || !take_value(verb->takes, argv[i], argv[i + 1], a, err)) {
            return false;
        } else {
            i++;
        }
    }
    return a->word_count >= verb->words_min;
}

/* The first line of the file. */
static int read_token(struct log_arguments *a, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    int rc = fd_read_secret(a->token_file, sizeof(a->token) + 1, &text, &len, err);
    if (rc < 0)
        return rc;
    size_t line = strcspn(text, "\r\n");
    if (line < AUDITORS_TOKEN_MIN || line > AUDITORS_TOKEN_MAX)
        rc = err_set(err, RF_EUSAGE, "there is no token in \"%.200s\"", a->token_file);
    else
        memcpy(a->token, text, line);
    a->access.token = a->token;
    mem_free_secret(text, len);
    return rc;
}

/* A token is for one server: it goes to no other that the same line names. */
static int check_places(const struct log_arguments *a, struct err *err)
{
    static const char https[] = "https://";
    const char *first = NULL;
    size_t len = 0;
    for (unsigned i = 0; i < a->word_count; i++) {
        const char *word = a->words[i];
        if (strncmp(word, https, strlen(https)) != 0)
            continue;
        size_t host = strlen(https) + strcspn(word + strlen(https), "/");
        if (first != NULL && (host != len || strncmp(first, word, len) != 0))
            return err_set(err, RF_EUSAGE, "one token is for one server, and two are named");
        first = word;
        len = host;
    }
    return first != NULL ? 0 : err_set(err, RF_EUSAGE, "a token is sent over https alone");
}

/* The journal's `show` and `tail` have no words but values of options. */
static bool is_of_journal(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "check") == 0)
        return true;
    if (strcmp(argv[1], "show") != 0 && strcmp(argv[1], "tail") != 0)
        return false;
    for (int i = 2; i < argc; i++) {
        if (argv[i][0] != '-')
            return false;
        if (strcmp(argv[i], "--from") == 0 || strcmp(argv[i], "--state") == 0 ||
            strcmp(argv[i], "--leaf") == 0 || strcmp(argv[i], "--type") == 0)
            i++;
    }
    return true;
}

int command_log(const struct command_context *context, int argc, char **argv)
{
    struct log_arguments a = { .max_age_s = DAY_S, .count = COUNT_DEFAULT };
    struct err err;
    err_clear(&err);
    if (argc >= 2 && strcmp(argv[1], "erase") == 0)
        return log_erase(context, argc, argv);
    if (is_of_journal(argc, argv))
        return log_journal(context, argc, argv);
    for (size_t i = 0; i < RF_COUNT(verbs); i++) {
        if (strcmp(verbs[i].name, argv[1]) != 0)
            continue;
        a.verb = argv[1];
        if (digest_init(&err) < 0)
            return command_fail(context, argv[0], &err);
        if (read_arguments(&verbs[i], argc, argv, &a, &err)) {
            if (a.token_file != NULL && (read_token(&a, &err) < 0 || check_places(&a, &err) < 0))
                return command_fail(context, argv[0], &err);
            int status = verbs[i].run(context, &a);
            explicit_bzero(a.token, sizeof(a.token));
            return status;
        }
        return err.code != RF_OK ? command_fail(context, argv[0], &err) : command_usage(argv[0]);
    }
    return command_usage(argv[0]);
}
