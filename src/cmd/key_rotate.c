/* key_rotate.c - `ringfence key rotate` and `key member`: how logs of a region name each other
 * (docs/keys.md).
 *
 * The gateway is stopped. That is the safest way there is: the log's key is in one process at a
 * time, the last leaf of the old log is durable before anybody can begin the new one, and what a
 * gateway does is decided by its configuration alone. Services wait for a restart, as they do for
 * any other. Every step may be repeated after a failure. */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "cmd/keycommand.h"
#include "ledger/vrfkey.h"

struct rotate_options {
    const char *origin, *out, *vrf; /* of the next log; VRF may be NULL: the same as now */
    bool leave_held, without_database;
};

static bool read_options(int argc, char **argv, struct rotate_options *ret)
{
    *ret = (struct rotate_options){ 0 };
    for (int i = 2; i < argc; i++) {
        const char **to = strcmp(argv[i], "--origin") == 0    ? &ret->origin
                          : strcmp(argv[i], "--out") == 0     ? &ret->out
                          : strcmp(argv[i], "--new-vrf") == 0 ? &ret->vrf
                                                              : NULL;
        if (to != NULL && i + 1 < argc)
            *to = argv[++i];
        else if (strcmp(argv[i], "--leave-held") == 0)
            ret->leave_held = true;
        else if (strcmp(argv[i], "--without-database") == 0)
            ret->without_database = true;
        else
            return false;
    }
    return ret->origin != NULL && ret->out != NULL;
}

/* ---- the next log's keys -------------------------------------------------------------------- */

/* A file that root makes for the gateway is the gateway's. */
static int give(const struct config *config, const char *path, struct err *err)
{
    if (geteuid() != 0 || config->user == NULL)
        return 0;
    errno = 0;
    const struct passwd *user = getpwnam(config->user);
    if (user == NULL)
        return err_set(err, RF_ECONFIG, "user: there is no user \"%s\"", config->user);
    return lchown(path, user->pw_uid, user->pw_gid) < 0
               ? err_sys(err, "could not give \"%s\" to user \"%s\"", path, config->user)
               : 0;
}

/* Made now, or by an earlier run that did not come to its end. */
static int next_key(const struct config *config, const struct rotate_options *o, struct key *ret,
                    struct err *err)
{
    uint8_t seed[KEY_SEED_LEN];
    struct secret_key key = { 0 };
    int rc;
    if (access(o->out, F_OK) == 0) {
        rc = secret_key_load(o->out, KEY_ED25519, &key, err);
        if (rc == 0 && strcmp(key.key.name, o->origin) != 0)
            rc = err_set(err, RF_EINVAL, "\"%.200s\" is there, and is the key of \"%.100s\"",
                         o->out, key.key.name);
    } else {
        randombytes_buf(seed, sizeof(seed));
        rc = secret_key_make(o->origin, KEY_ED25519, seed, &key, err);
        sodium_memzero(seed, sizeof(seed));
        if (rc == 0)
            rc = secret_key_save(o->out, &key, err);
        if (rc == 0)
            rc = give(config, o->out, err);
    }
    *ret = key.key;
    secret_key_wipe(&key);
    return rc;
}

static int next_vrf(const struct config *config, const char *path, struct err *err)
{
    const char *region = config->databases[0].region;
    uint8_t secret[VRF_SECRET_LEN];
    int rc;
    if (access(path, F_OK) == 0) {
        rc = vrfkey_load(path, region, secret, err);
    } else {
        rc = vrf_secret_make(secret);
        if (rc < 0)
            rc = err_set(err, (enum err_code) - rc, "could not make a VRF key");
        if (rc == 0)
            rc = vrfkey_save(path, region, secret, err);
        if (rc == 0)
            rc = give(config, path, err);
    }
    sodium_memzero(secret, sizeof(secret));
    return rc;
}

/* ---- telling -------------------------------------------------------------------------------- */

static void print_json(const struct key_house *h, const struct rotate_options *o,
                       const struct clerk_end *end, const struct key_published *p, bool is_whole)
{
    char predecessor[KEY_NAME_MAX + 24], time[25];
    (void)snprintf(predecessor, sizeof(predecessor), "%" PRIu64 " %s", end->leaf,
                   h->config->ledger.origin);
    (void)fputs("{\"ended\":", stdout);
    command_print_json(h->config->ledger.origin);
    (void)fputs(",\"origin\":", stdout);
    command_print_json(end->origin);
    (void)fputs(",\"vkey\":", stdout);
    command_print_json(end->vkey);
    (void)fputs(",\"key\":", stdout);
    command_print_json(o->out);
    (void)fputs(",\"vrf_key\":", stdout);
    command_print_json(o->vrf != NULL ? o->vrf : h->config->ledger.vrf_path);
    (void)fputs(",\"predecessor\":", stdout);
    command_print_json(predecessor);
    (void)printf(",\"published\":%" PRIu64 ",\"witnesses\":%u,\"complete\":%s", p->leaves,
                 p->witnesses, is_whole ? "true" : "false");
    if (p->due_ms != 0) {
        clock_format(p->due_ms, time);
        (void)printf(",\"wait_until\":\"%.19sZ\"", time);
    }
    (void)fputs("}\n", stdout);
}

static void print_text(const struct key_house *h, const struct rotate_options *o,
                       const struct clerk_end *end, const struct key_published *p)
{
    char time[25];
    const struct config_ledger *l = &h->config->ledger;
    (void)printf("%s\n  has ended with leaf %" PRIu64 "; %" PRIu64
                 " leaves are published, %u witnesses cosigned\n%s\n  continues it\n\n",
                 l->origin, end->leaf, p->leaves, p->witnesses, end->vkey);
    if (p->due_ms != 0) {
        clock_format(p->due_ms, time);
        (void)printf("Its last leaves wait for the policy's delay: run this again at %.19sZ.\n\n",
                     time);
    }
    if (p->lacks_quorum)
        (void)puts("Its last leaves wait for witnesses: run this again when they answer.\n");
    (void)printf("Now change in %s, and start the gateway:\n\n"
                 "state: a new folder, beside %s\n"
                 "ledger:\n"
                 "  origin: %s\n"
                 "  directory: a new folder, beside %s\n"
                 "  key: %s\n"
                 "  predecessor: %" PRIu64 " %s\n",
                 h->config->path, h->config->state_dir, end->origin, l->directory, o->out,
                 end->leaf, l->origin);
    if (o->vrf != NULL)
        (void)printf("  vrf_key: %s\n", o->vrf);
    (void)puts("\nKeep the old configuration, state and folder: the old log stays public, and what "
               "it\nsays of people is proved with them. See docs/keys.md.");
}

/* ---- rotate --------------------------------------------------------------------------------- */

static int check_held(const struct key_house *h, const struct rotate_options *o, struct err *err)
{
    size_t held = clerk_held(h->clerk);
    if (held == 0 || o->leave_held || clerk_ended(h->clerk) != NULL)
        return 0;
    (void)err_set(err, RF_EDENIED, "purposes of %zu leaves of this log are held", held);
    err_hint(err, "a log that has ended opens none: the people concerned would never get those "
                  "epochs. Wait, or say --leave-held when the key was stolen");
    return -RF_EDENIED;
}

static int rotate(struct key_house *h, const struct rotate_options *o, struct key_published *ret,
                  struct err *err)
{
    struct key next;
    struct key_publishing *publishing = NULL;
    int rc =
        sodium_init() < 0 ? err_set(err, RF_EBUG, "cannot initialise libsodium") : digest_init(err);
    if (rc == 0 && strcmp(o->origin, h->config->ledger.origin) == 0)
        rc =
            err_set(err, RF_EINVAL, "the next log needs another origin than \"%.100s\"", o->origin);
    if (rc == 0)
        rc = next_key(h->config, o, &next, err);
    if (rc == 0 && o->vrf != NULL)
        rc = next_vrf(h->config, o->vrf, err);
    if (rc == 0)
        rc = key_house_enter(h, err);
    if (rc == 0)
        rc = check_held(h, o, err);
    if (rc == 0)
        rc = key_publishing_begin(h, &publishing, err);
    if (rc == 0 && !o->without_database)
        rc = key_publishing_compare(publishing, h, err);
    if (rc == 0)
        rc = clerk_end_log(h->clerk, h->policy, key_publishing_key(publishing), &next,
                           clock_wall_ms(), err);
    if (rc == 0)
        rc = key_publish(publishing, h, ret, err);
    /* That the log has ended is not to be rolled back, either. */
    if (rc == 0 && !o->without_database)
        rc = key_publishing_compare(publishing, h, err);
    key_publishing_end(publishing);
    return rc;
}

int key_rotate(const struct command_context *context, int argc, char **argv)
{
    struct rotate_options o;
    struct key_published published = { 0 };
    struct key_house house;
    struct err err;
    int status = COMMAND_DONE;
    if (!read_options(argc, argv, &o))
        return command_usage(argv[0]);
    int rc = key_house_find(context, &house, &err);
    if (rc == 0)
        rc = rotate(&house, &o, &published, &err);
    if (rc < 0) {
        status = command_fail(context, argv[0], &err);
    } else {
        const struct clerk_end *end = clerk_ended(house.clerk);
        status = published.lacks_quorum  ? COMMAND_UNREADABLE
                 : published.due_ms != 0 ? COMMAND_REFUSED
                                         : COMMAND_DONE;
        if (context->json)
            print_json(&house, &o, end, &published, status == COMMAND_DONE);
        else
            print_text(&house, &o, end, &published);
    }
    key_house_close(&house);
    return status;
}

/* ---- member --------------------------------------------------------------------------------- */

int key_member(const struct command_context *context, int argc, char **argv)
{
    struct key_house house;
    struct key member;
    struct err err;
    int status = COMMAND_DONE;
    if (argc != 4 || strcmp(argv[2], "--log") != 0)
        return command_usage(argv[0]);
    int rc = digest_init(&err);
    if (rc == 0)
        rc = key_load(argv[3], &member, &err);
    if (rc < 0)
        return command_fail(context, argv[0], &err);
    rc = key_house_find(context, &house, &err);
    if (rc == 0)
        rc = key_house_enter(&house, &err);
    if (rc == 0)
        rc = clerk_member(house.clerk, house.policy, &member, clock_wall_ms(), &err);
    if (rc < 0) {
        status = command_fail(context, argv[0], &err);
    } else if (context->json) {
        (void)fputs("{\"member\":", stdout);
        command_print_json(member.name);
        (void)puts("}");
    } else {
        (void)printf("%s\n  is a member of the roster of %s; the gateway signs it when it starts\n",
                     member.name, house.config->ledger.origin);
    }
    key_house_close(&house);
    return status;
}
