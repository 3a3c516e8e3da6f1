/* key_retire.c - `ringfence key retire`: the end of a secret key that nobody needs any more.
 *
 * What is destroyed must be proved to be useless first. Everything is read, nothing is written but
 * the key's own file; so it needs neither a stopped gateway nor the gateway's user. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cmd/keycommand.h"
#include "ledger/leaf.h"
#include "ledger/scan.h"
#include "ledger/segment.h"
#include "ledger/vrfkey.h"
#include "verify/verify.h"

struct retire_options {
    const char *path, *next;
    bool no_more_claims;
};

struct old_log {
    struct key key, next; /* of the log, and of the one that continues it */
    uint8_t vrf[VRF_PUBLIC_LEN];
    uint64_t leaves; /* in the journal */
    bool has_ended;
};

static bool read_options(int argc, char **argv, struct retire_options *ret)
{
    *ret = (struct retire_options){ 0 };
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--next") == 0 && i + 1 < argc)
            ret->next = argv[++i];
        else if (strcmp(argv[i], "--no-more-claims") == 0)
            ret->no_more_claims = true;
        else if (ret->path == NULL && argv[i][0] != '-')
            ret->path = argv[i];
        else
            return false;
    return ret->path != NULL;
}

/* ---- what the journal says ------------------------------------------------------------------ */

static int key_of(const struct logleaf *l, struct key *ret, struct err *err)
{
    const struct logleaf_value *v = &l->value[LEAF_KEY_KEY];
    return key_read(v->text, v->len, ret, err);
}

static int leaf_take(struct old_log *log, const struct frame_entry *entry, struct err *err)
{
    struct logleaf l;
    struct leaf record;
    if (leaf_read(entry->leaf, entry->leaf_len, &record) < 0)
        return err_set(err, RF_ETAMPER, "entry %" PRIu64 " of the journal is not canonical",
                       entry->index);
    if (record.type == LEAF_NONE)
        return 0;
    int rc = logleaf_read(entry->leaf, entry->leaf_len, &l);
    RF_ASSERT(rc == 0); /* leaf_read() read it, too */
    log->leaves++;
    if (l.type == LEAF_GENESIS) {
        logleaf_hash(&l, LEAF_KEY_VRF, log->vrf);
        rc = key_of(&l, &log->key, err);
    } else if (l.type == LEAF_SUCCESSOR) {
        log->has_ended = true;
        rc = key_of(&l, &log->next, err);
    }
    return rc;
}

static int read_journal(const struct config *config, struct old_log *ret, struct err *err)
{
    char folder[PATH_MAX];
    struct scan *scan = NULL;
    struct frame_entry entry;
    uint64_t offset;
    *ret = (struct old_log){ 0 };
    int rc = segment_folder(config->state_dir, folder, err);
    if (rc == 0)
        rc = scan_open(folder, 0, &scan, err);
    while (rc >= 0 && (rc = scan_next(scan, &entry, &offset, err)) == 1)
        rc = leaf_take(ret, &entry, err);
    scan_close(scan);
    if (rc == 0 && !ret->has_ended)
        rc = err_set(err, RF_EDENIED, "log \"%.100s\" has not ended: its keys are needed",
                     config->ledger.origin);
    return rc;
}

/* ---- what is public ------------------------------------------------------------------------- */

/* Verify the whole log at WHERE by KEY; the caller frees *RET. */
static int verify_public(const char *where, const struct key *key, struct verify_report **ret,
                         struct err *err)
{
    struct source *from = NULL;
    const struct verify_options options = { .key = key };
    int rc = verify_report_new(ret, err);
    if (rc == 0)
        rc = source_open(where, NULL, &from, err);
    if (rc == 0)
        rc = verify_log(from, &options, *ret, err);
    if (rc == 0 && (!(*ret)->is_whole || (*ret)->findings.tampered > 0))
        rc = err_set(err, RF_ETAMPER, "the log in \"%.200s\" does not hold", where);
    source_close(from);
    return rc;
}

/* All of the ended log is signed and published: its key has nothing left to sign. */
static int check_published(const struct config *config, const struct old_log *log, struct err *err)
{
    struct verify_report *report = NULL;
    int rc = verify_public(config->ledger.directory, &log->key, &report, err);
    if (rc == 0 && report->checkpoint.size != log->leaves) {
        (void)err_set(err, RF_EDENIED,
                      "%" PRIu64 " of %" PRIu64 " leaves of log \"%.100s\" are published",
                      report->checkpoint.size, log->leaves, log->key.name);
        err_hint(err, "run the same \"ringfence key rotate\" again: it signs and publishes the "
                      "rest");
        rc = -RF_EDENIED;
    }
    verify_report_free(report);
    return rc;
}

/* The log that continues this one names another VRF key. */
static int check_next(const struct old_log *log, const char *where, struct err *err)
{
    struct verify_report *report = NULL;
    int rc = verify_public(where, &log->next, &report, err);
    if (rc == 0 && (strcmp(report->facts.predecessor.origin, log->key.name) != 0 ||
                    memcmp(report->facts.vrf, log->vrf, sizeof(log->vrf)) == 0))
        rc = err_set(err, RF_EDENIED,
                     "\"%.200s\" does not continue log \"%.100s\" with another VRF key", where,
                     log->key.name);
    verify_report_free(report);
    return rc;
}

/* ---- the file ------------------------------------------------------------------------------- */

static int overwrite(int fd, const char *path, struct err *err)
{
    uint8_t noise[4096];
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, "could not look at \"%s\"", path);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return err_set(err, RF_EDENIED, "\"%.200s\" is not one file: it has %ju names", path,
                       (uintmax_t)st.st_nlink);
    if (st.st_size > (off_t)sizeof(noise))
        return err_set(err, RF_ETOOBIG, "\"%.200s\" is too long for a key", path);
    randombytes_buf(noise, sizeof(noise));
    if (pwrite(fd, noise, (size_t)st.st_size, 0) != (ssize_t)st.st_size || fsync(fd) < 0)
        return err_sys(err, "could not overwrite \"%s\"", path);
    return 0;
}

static int destroy(const char *path, struct err *err)
{
    char copy[PATH_MAX];
    int folder = -1, fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not open \"%s\"", path);
    int rc = overwrite(fd, path, err);
    fd_close(&fd);
    if (rc == 0 && (size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
        rc = err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", path);
    if (rc < 0)
        return rc;
    if (unlink(path) < 0)
        return err_sys(err, "could not remove \"%s\"", path);
    folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) < 0)
        rc = err_sys(err, "could not sync the folder of \"%s\"", path);
    fd_close(&folder);
    return rc;
}

/* ---- retire --------------------------------------------------------------------------------- */

/* Which of the log's keys is it? *RET_VRF. -RF_EDENIED: none of them. */
static int recognise(const struct config *config, const struct retire_options *o,
                     const struct old_log *log, bool *ret_vrf, struct err *err)
{
    struct secret_key key;
    uint8_t secret[VRF_SECRET_LEN], public[VRF_PUBLIC_LEN];
    bool is_log = false;
    struct err ignored;
    *ret_vrf = false;
    if (secret_key_load(o->path, KEY_ED25519, &key, &ignored) == 0) {
        is_log = memcmp(key.key.public, log->key.public, sizeof(key.key.public)) == 0;
    } else {
        int rc = vrfkey_load(o->path, config->databases[0].region, secret, err);
        if (rc < 0)
            return rc;
        *ret_vrf =
            vrf_public_of(secret, public) == 0 && memcmp(public, log->vrf, sizeof(public)) == 0;
    }
    secret_key_wipe(&key);
    sodium_memzero(secret, sizeof(secret));
    return is_log || *ret_vrf ? 0
                              : err_set(err, RF_EDENIED, "\"%.200s\" is no key of log \"%.100s\"",
                                        o->path, log->key.name);
}

static int check_vrf(const struct retire_options *o, const struct old_log *log, struct err *err)
{
    if (o->no_more_claims && o->next != NULL)
        return check_next(log, o->next, err);
    (void)err_set(err, RF_EDENIED,
                  "without this VRF key nobody can be told who looked at him in "
                  "the epochs of log \"%.100s\"",
                  log->key.name);
    err_hint(err, "if that is meant: --no-more-claims --next DIR, the next log, which has another "
                  "VRF key");
    return -RF_EDENIED;
}

static int retire(const struct key_house *h, const struct retire_options *o, struct err *err)
{
    struct old_log log;
    bool is_vrf;
    int rc =
        sodium_init() < 0 ? err_set(err, RF_EBUG, "cannot initialise libsodium") : digest_init(err);
    if (rc == 0)
        rc = read_journal(h->config, &log, err);
    if (rc == 0)
        rc = recognise(h->config, o, &log, &is_vrf, err);
    if (rc == 0)
        rc = check_published(h->config, &log, err);
    if (rc == 0 && is_vrf)
        rc = check_vrf(o, &log, err);
    return rc < 0 ? rc : destroy(o->path, err);
}

int key_retire(const struct command_context *context, int argc, char **argv)
{
    struct retire_options o;
    struct key_house house;
    struct err err;
    int status = COMMAND_DONE;
    if (!read_options(argc, argv, &o))
        return command_usage(argv[0]);
    int rc = key_house_find(context, &house, &err);
    if (rc == 0)
        rc = retire(&house, &o, &err);
    if (rc < 0) {
        status = command_fail(context, argv[0], &err);
    } else if (context->json) {
        (void)fputs("{\"retired\":", stdout);
        command_print_json(o.path);
        (void)puts("}");
    } else {
        (void)printf("%s is destroyed; destroy its backups, too\n", o.path);
    }
    key_house_close(&house);
    return status;
}
