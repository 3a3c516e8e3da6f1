/* key.c - `ringfence key`: the keys of the public log (docs/keys.md), and who may read it. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "auth/auditors.h"
#include "base/digest.h"
#include "cmd/keycommand.h"
#include "ledger/vrfkey.h"
#include "tlog/key.h"

struct key_options {
    const char *kind, *name, *out, *until;
};

/* "new auditor NAME [--until DAY]" */
static bool read_auditor(int argc, char **argv, struct key_options *ret)
{
    ret->kind = argv[2];
    ret->name = argc >= 4 ? argv[3] : NULL;
    ret->until = argc == 6 && strcmp(argv[4], "--until") == 0 ? argv[5] : NULL;
    return argc == 4 || ret->until != NULL;
}

static bool read_new(int argc, char **argv, struct key_options *ret)
{
    if (argc < 3)
        return false;
    if (strcmp(argv[2], "auditor") == 0)
        return read_auditor(argc, argv, ret);
    bool is_log = strcmp(argv[2], "log") == 0;
    const char *named = is_log ? "--origin" : "--region";
    ret->kind = argv[2];
    if (!is_log && strcmp(argv[2], "vrf") != 0)
        return false;
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], named) == 0)
            ret->name = argv[i + 1];
        else if (strcmp(argv[i], "--out") == 0)
            ret->out = argv[i + 1];
        else
            return false;
    }
    return argc == 7 && ret->name != NULL && ret->out != NULL;
}

static void print(const struct command_context *context, const char *what, const char *text)
{
    if (!context->json) {
        (void)printf("%s\n", text);
        return;
    }
    (void)printf("{\"%s\":", what);
    command_print_json(text);
    (void)printf("}\n");
}

static void print_log(const struct command_context *context, const struct key *key)
{
    char vkey[KEY_VKEY_SIZE];
    key_write(key, vkey);
    print(context, "vkey", vkey);
}

static int new_log(const struct command_context *context, const struct key_options *o,
                   struct err *err)
{
    uint8_t seed[KEY_SEED_LEN];
    struct secret_key key;
    randombytes_buf(seed, sizeof(seed));
    int rc = secret_key_make(o->name, KEY_ED25519, seed, &key, err);
    sodium_memzero(seed, sizeof(seed));
    if (rc == 0)
        rc = secret_key_save(o->out, &key, err);
    if (rc == 0)
        print_log(context, &key.key);
    secret_key_wipe(&key);
    return rc;
}

static int new_vrf(const struct command_context *context, const struct key_options *o,
                   struct err *err)
{
    uint8_t secret[VRF_SECRET_LEN], public[VRF_PUBLIC_LEN];
    char hex[2 * VRF_PUBLIC_LEN + 1];
    int rc = vrf_secret_make(secret);
    if (rc == 0)
        rc = vrf_public_of(secret, public);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not make a VRF key");
    rc = vrfkey_save(o->out, o->name, secret, err);
    sodium_memzero(secret, sizeof(secret));
    if (rc < 0)
        return rc;
    digest_hex(public, sizeof(public), hex);
    print(context, "vrf", hex);
    return 0;
}

/* The token is printed and kept nowhere. */
static int new_auditor(const struct command_context *context, const struct key_options *o,
                       struct err *err)
{
    char token[AUDITORS_MADE_SIZE], line[AUDITORS_LINE_SIZE];
    int rc = auditors_make(o->name, o->until, token, line, err);
    if (rc == 0 && context->json)
        (void)printf("{\"token\":\"%s\",\"line\":\"%s\"}\n", token, line); /* no signs to escape */
    else if (rc == 0)
        (void)printf("%s\n%s\n", token, line);
    explicit_bzero(token, sizeof(token));
    return rc;
}

static int show(const struct command_context *context, const char *path, struct err *err)
{
    struct secret_key key;
    int rc = secret_key_load(path, KEY_ED25519, &key, err);
    if (rc == 0)
        print_log(context, &key.key);
    secret_key_wipe(&key);
    return rc;
}

static const struct {
    const char *name;
    key_verb_fn *run;
} verbs[] = {
    { "rotate", key_rotate },
    { "member", key_member },
    { "retire", key_retire },
};

int command_key(const struct command_context *context, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < RF_COUNT(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(context, argc, argv);
    struct key_options o = { 0 };
    struct err err;
    bool is_show = argc == 3 && strcmp(argv[1], "show") == 0;
    if (!is_show && (argc < 2 || strcmp(argv[1], "new") != 0 || !read_new(argc, argv, &o)))
        return command_usage(argv[0]);
    int rc = sodium_init() < 0 ? err_set(&err, RF_EBUG, "cannot initialise libsodium")
                               : digest_init(&err);
    if (rc == 0)
        rc = is_show                          ? show(context, argv[2], &err)
             : strcmp(o.kind, "log") == 0     ? new_log(context, &o, &err)
             : strcmp(o.kind, "auditor") == 0 ? new_auditor(context, &o, &err)
                                              : new_vrf(context, &o, &err);
    return rc < 0 ? command_fail(context, argv[0], &err) : COMMAND_DONE;
}
