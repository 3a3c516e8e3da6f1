/* who_looked.c - `ringfence who-looked`: the claim file for one person (docs/formats/claims.md).
 *
 * The gateway's own log and the others of its region are verified and searched in one pass each;
 * then the private parts that are here open what was found. The file is judged as its reader will
 * judge it before it gets its name. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cmd/logcommand.h"
#include "ledger/claim.h"
#include "ledger/claim_verify.h"
#include "ledger/frame.h"
#include "ledger/reopen.h"
#include "ledger/revealed.h"
#include "ledger/vrfkey.h"
#include "verify/looking.h"

enum { EPOCHS_MAX = 1000, STATES_MAX = LOG_SOURCES_MAX };

struct given_log {
    const char *where;
    struct source *source;
    bool is_read;
};

struct who_looked {
    const struct command_context *context;
    struct log_arguments shared; /* what log_verify_one() wants to know */
    const char *region, *subject, *out;
    const char *vrf_path; /* NULL: the configuration's */
    const char *epochs[EPOCHS_MAX], *states[STATES_MAX];
    size_t epoch_count, state_count;
    struct given_log logs[LOG_SOURCES_MAX];
    unsigned log_count;
    struct looking *looking;
    uint64_t told,
        searched;     /* accesses whose opening the private part told; that were found by trying */
    uint64_t *leaves; /* of the log whose private parts are being read */
    size_t *accesses; /* of looking_access(), beside them */
    size_t waiting;
    struct claim_result result;
    struct buf file;
};

static bool read_arguments(int argc, char **argv, struct who_looked *w, struct err *err)
{
    for (int i = 1; i < argc; i += 2) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        struct log_arguments *a = &w->shared;
        if (value == NULL)
            return false;
        if (strcmp(option, "--region") == 0 && w->region == NULL)
            w->region = value;
        else if (strcmp(option, "--subject") == 0 && w->subject == NULL)
            w->subject = value;
        else if (strcmp(option, "--out") == 0 && w->out == NULL)
            w->out = value;
        else if (strcmp(option, "--vrf-key") == 0 && w->vrf_path == NULL)
            w->vrf_path = value;
        else if (strcmp(option, "--remember") == 0 && a->remember == NULL)
            a->remember = value;
        else if (strcmp(option, "--log") == 0 && w->log_count < LOG_SOURCES_MAX)
            w->logs[w->log_count++].where = value;
        else if (strcmp(option, "--state") == 0 && w->state_count < STATES_MAX)
            w->states[w->state_count++] = value;
        else if (strcmp(option, "--epoch") == 0 && w->epoch_count < EPOCHS_MAX)
            w->epochs[w->epoch_count++] = value;
        else if (strcmp(option, "--key") != 0 || a->key_count == LOG_SOURCES_MAX ||
                 key_load(value, &a->keys[a->key_count++], err) < 0)
            return false;
    }
    return w->region != NULL && w->subject != NULL && w->out != NULL;
}

/* ---- the logs ------------------------------------------------------------------------------- */

/* A key that a log names, unless it was given or named before. */
static void add_key(struct log_arguments *a, const char *vkey)
{
    struct key key;
    struct err ignored;
    if (vkey[0] == '\0' || a->key_count == LOG_SOURCES_MAX ||
        key_read(vkey, strlen(vkey), &key, &ignored) < 0)
        return;
    for (unsigned i = 0; i < a->key_count; i++)
        if (strcmp(a->keys[i].name, key.name) == 0 &&
            memcmp(a->keys[i].public, key.public, sizeof(key.public)) == 0)
            return;
    a->keys[a->key_count++] = key;
}

/* Does its checkpoint call itself ORIGIN? Whether it is, its signature says. */
static bool is_of(struct source *source, const char *origin)
{
    static const struct tlog_path path = { .file = TLOG_FILE_CHECKPOINT };
    struct source_file file;
    size_t n = strlen(origin);
    return source_read(source, &path, &file, NULL) == 1 && file.len > n &&
           memcmp(file.bytes, origin, n) == 0 && file.bytes[n] == '\n';
}

static int read_log(struct who_looked *w, struct given_log *log, const struct key *key,
                    struct err *err)
{
    struct verify_options options = {
        .key = key, .on_leaf = looking_leaf, .on_progress = log_progress, .context = w->looking
    };
    struct verify_report *report = NULL;
    log->is_read = true;
    int rc = looking_log(w->looking, key, log->source, err);
    if (rc == 0)
        rc = verify_report_new(&report, err);
    if (rc == 0)
        rc = log_verify_one(&w->shared, log->source, &options, report, err);
    log_progress_end();
    if (rc == 0 && (report->findings.tampered > 0 || !report->is_whole)) {
        log_print_findings(log->where, &report->findings);
        rc = err_set(err, RF_ETAMPER, "log \"%.200s\" does not hold: no claim rests on it",
                     key->name);
    }
    if (rc == 0)
        rc = looking_log_end(w->looking, report, err);
    for (unsigned i = 0; rc == 0 && i <= report->facts.member_count; i++) {
        const struct rules_log *named =
            i < report->facts.member_count ? &report->facts.members[i] : &report->facts.successor;
        add_key(&w->shared, named->vkey);
    }
    verify_report_free(report);
    return rc;
}

/* The log of KEY's name. */
static int read_log_of(struct who_looked *w, const struct key *key, struct err *err)
{
    const char *where = NULL;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < w->log_count; i++) {
        struct given_log *log = &w->logs[i];
        if (log->is_read || !is_of(log->source, key->name))
            continue;
        rc = where != NULL
                 ? err_set(err, RF_EUSAGE, "\"%.150s\" and \"%.150s\" are the same log, \"%.100s\"",
                           where, log->where, key->name)
                 : read_log(w, log, key, err);
        where = log->where;
    }
    return rc;
}

/* Keys that were given, and then those that logs name, each for the log of its name. */
static int read_logs(struct who_looked *w, struct err *err)
{
    int rc = 0;
    for (unsigned k = 0; rc == 0 && k < w->shared.key_count; k++)
        rc = read_log_of(w, &w->shared.keys[k], err);
    for (unsigned i = 0; rc == 0 && i < w->log_count; i++)
        if (!w->logs[i].is_read) {
            rc = err_set(err, RF_ENOTFOUND,
                         "\"%.200s\" is no log yet, or one whose key is not known",
                         w->logs[i].where);
            err_hint(err, "name the file with its key: --key VKEYFILE");
        }
    return rc;
}

/* The gateway's own log is always among them. */
static int open_logs(struct who_looked *w, struct err *err)
{
    const struct config *config = w->context->config;
    struct secret_key own;
    int rc = 0;
    bool has_own = false;
    for (unsigned i = 0; i < w->log_count; i++)
        has_own = has_own || strcmp(w->logs[i].where, config->ledger.directory) == 0;
    if (!has_own && w->log_count == LOG_SOURCES_MAX)
        return err_set(err, RF_EUSAGE, "more than %d logs, with the gateway's own",
                       (int)LOG_SOURCES_MAX);
    if (!has_own)
        w->logs[w->log_count++].where = config->ledger.directory;
    for (unsigned i = 0; rc == 0 && i < w->log_count; i++)
        rc = source_open(w->logs[i].where, NULL, &w->logs[i].source, err);
    if (rc == 0)
        rc = secret_key_load(config->ledger.key_path, KEY_ED25519, &own, err);
    if (rc == 0 && w->shared.key_count == LOG_SOURCES_MAX)
        rc = err_set(err, RF_EUSAGE, "too many keys");
    if (rc == 0)
        w->shared.keys[w->shared.key_count++] = own.key;
    secret_key_wipe(&own);
    return rc;
}

/* ---- openings ------------------------------------------------------------------------------- */

static int on_private(void *context, uint64_t leaf, const struct frame_entry *entry,
                      const void *private_part, size_t n, struct err *err)
{
    struct who_looked *w = context;
    struct revealed *said = mem_zalloc(1, sizeof(*said));
    int rc = said == NULL ? err_set(err, RF_ENOMEM, "out of memory") : 0;
    (void)entry;
    for (size_t i = 0; rc == 0 && i < w->waiting && private_part != NULL; i++) {
        if (w->leaves[i] != leaf)
            continue;
        struct looking_access a = looking_access(w->looking, w->accesses[i]);
        rc = revealed_read(private_part, n, a.position, said);
        if (rc == 1)
            rc = looking_open(w->looking, w->accesses[i], said->classes, said->time_ms, err);
        else if (rc < 0)
            (void)err_set(err, RF_ENOMEM, "out of memory");
        if (rc == 0)
            rc = err_set(err, RF_ETAMPER,
                         "the private part of leaf %" PRIu64
                         " of log \"%.200s\" tells something else than the leaf commits to",
                         leaf, a.origin);
        else if (rc == 1)
            rc = 0;
        w->told += rc == 0;
    }
    mem_free_secret(said, sizeof(*said));
    return rc;
}

/* What of ORIGIN's accesses lies in the journal below STATE_DIR. A leaf with several accesses of
   one person stands several times in the list, and is wanted once. */
static int open_from(struct who_looked *w, const char *state_dir, struct err *err)
{
    char origin[KEY_NAME_MAX + 1];
    size_t count = looking_access_count(w->looking), wanted = 0;
    int rc = reopen_origin(state_dir, origin, err);
    if (rc < 0)
        return rc;
    struct reopen_wanted *once = mem_zalloc(count + 1, sizeof(*once));
    w->waiting = 0;
    for (size_t i = 0; once != NULL && i < count; i++) {
        struct looking_access a = looking_access(w->looking, i);
        if (a.is_open || strcmp(a.origin, origin) != 0)
            continue;
        w->leaves[w->waiting] = a.leaf;
        w->accesses[w->waiting++] = i;
        if (wanted == 0 || once[wanted - 1].leaf < a.leaf)
            once[wanted++] = (struct reopen_wanted){ a.leaf, a.bytes, a.len };
    }
    rc = once == NULL  ? err_set(err, RF_ENOMEM, "out of memory")
         : wanted == 0 ? 0
                       : reopen_leaves(state_dir, once, wanted, on_private, w, err);
    mem_free(once);
    return rc;
}

static int open_accesses(struct who_looked *w, struct err *err)
{
    size_t count = looking_access_count(w->looking);
    w->leaves = mem_zalloc(count + 1, sizeof(*w->leaves));
    w->accesses = mem_zalloc(count + 1, sizeof(*w->accesses));
    if (w->leaves == NULL || w->accesses == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = open_from(w, w->context->config->state_dir, err);
    for (size_t i = 0; rc == 0 && i < w->state_count; i++)
        rc = open_from(w, w->states[i], err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct looking_access a = looking_access(w->looking, i);
        if (a.is_open)
            continue;
        rc = looking_search(w->looking, i, err);
        if (rc == 0) {
            (void)err_set(err, RF_ENOTFOUND,
                          "leaf %" PRIu64 " of log \"%.150s\", epoch \"%s\", cannot be opened: its "
                          "private part is not here",
                          a.leaf, a.origin, a.epoch);
            err_hint(err,
                     "name the state folder of that log's gateway with --state; a day that was "
                     "erased is gone: leave its epoch out");
            return -RF_ENOTFOUND;
        }
        w->searched += rc == 1;
        rc = rc == 1 ? 0 : rc;
    }
    return rc;
}

/* ---- which epochs --------------------------------------------------------------------------- */

/* No hold lasts longer than the policy's longest: the purpose itself stays out of it. */
static int64_t held_until_ms(const struct who_looked *w, uint32_t minute)
{
    const struct policy *policy = w->context->policy;
    int64_t longest = 0;
    for (size_t i = 0; i < policy->hold_count; i++)
        if (policy->holds[i].hold_ms > longest)
            longest = policy->holds[i].hold_ms;
    return (int64_t)minute * FRAME_MINUTE_MS + longest + 2 * (int64_t)FRAME_MINUTE_MS;
}

static void explain(const struct who_looked *w, const struct looking_epoch *e, char *ret,
                    size_t size)
{
    char until[25];
    switch (e->verdict) {
    case LOOKING_OPEN:
        (void)snprintf(ret, size, "epoch %s has not ended in log \"%.200s\"", e->name, e->log);
        return;
    case LOOKING_HELD:
        clock_format(held_until_ms(w, e->held_from), until);
        (void)
            snprintf(ret, size,
                     "epoch %s waits for a purpose that is still held; it may come from %.16sZ on",
                     e->name, until);
        return;
    case LOOKING_UNKNOWN:
        (void)snprintf(ret, size, "epoch %s is in no log of the region", e->name);
        return;
    case LOOKING_SHOWN:
        break;
    }
    ret[0] = '\0';
}

/* What was asked for by name must be shown; of all the others at least one. */
static int judge_epochs(const struct who_looked *w, struct err *err)
{
    char why[400];
    size_t shown = 0;
    for (size_t i = 0; i < looking_epoch_count(w->looking); i++) {
        struct looking_epoch e = looking_epoch(w->looking, i);
        shown += e.verdict == LOOKING_SHOWN;
        if (e.verdict == LOOKING_SHOWN)
            continue;
        explain(w, &e, why, sizeof(why));
        if (w->epoch_count > 0)
            return err_set(err, RF_EDENIED, "%.380s", why);
        if (!w->context->json)
            (void)fprintf(stderr, "left out: %s\n", why);
    }
    return shown > 0 ? 0 : err_set(err, RF_EDENIED, "no epoch can be shown yet");
}

/* ---- the file ------------------------------------------------------------------------------- */

/* As its reader will judge it. */
static int judge_file(struct who_looked *w, struct err *err)
{
    const struct config_ledger *ledger = &w->context->config->ledger;
    struct claim_trust trust = { .keys = looking_log_key(w->looking, 0), .key_count = 1 };
    struct trust *witnesses = NULL;
    struct err why;
    int rc = 0;
    if (ledger->witnesses_path != NULL) {
        witnesses = mem_zalloc(1, sizeof(*witnesses));
        rc = witnesses == NULL ? err_set(err, RF_ENOMEM, "out of memory")
                               : trust_load(ledger->witnesses_path, witnesses, err);
        trust.witnesses = witnesses;
    }
    err_clear(&why);
    if (rc == 0 && claim_verify(buf_at(&w->file), buf_len(&w->file), &trust, &w->result, &why) < 0)
        rc = err_set(err, why.code == RF_ENOMEM ? RF_ENOMEM : RF_ETAMPER,
                     "the claim file does not hold, and is not written: %.250s", why.line);
    mem_free(witnesses);
    return rc;
}

/* It has the person's K and is for him alone: what lies under that name already may be open in
   somebody else's hands, and is not written into. */
static int write_out(const char *path, const void *bytes, size_t n, struct err *err)
{
    char fresh[PATH_MAX];
    if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >= sizeof(fresh))
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", path);
    if (unlink(fresh) < 0 && errno != ENOENT)
        return err_sys(err, "could not remove \"%.200s\"", fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = fd < 0 || fchmod(fd, 0600) < 0 || fd_write_all(fd, bytes, n) < 0 || fsync(fd) < 0 ||
                     rename(fresh, path) < 0
                 ? err_sys(err, "could not write \"%.200s\"", path)
                 : 0;
    if (rc < 0 && fd >= 0)
        (void)unlink(fresh);
    fd_close(&fd);
    return rc;
}

static int run(struct who_looked *w, struct err *err)
{
    const struct config *config = w->context->config;
    struct looking_options options = { .region = w->region,
                                       .subject = w->subject,
                                       .subject_len = strlen(w->subject),
                                       .epochs = w->epochs,
                                       .epoch_count = w->epoch_count };
    if (config->ledger.origin == NULL)
        return err_set(err, RF_ECONFIG, "this gateway has no public log (section \"ledger\")");
    if (strcmp(config->databases[0].region, w->region) != 0)
        return err_set(err, RF_EUSAGE, "this gateway's log is of region \"%.60s\"",
                       config->databases[0].region);
    const char *vrf_path = w->vrf_path != NULL ? w->vrf_path : config->ledger.vrf_path;
    int rc = vrfkey_load(vrf_path, w->region, options.secret, err);
    if (rc == 0)
        rc = looking_new(&options, &w->looking, err);
    sodium_memzero(options.secret, sizeof(options.secret));
    if (rc == 0)
        rc = open_logs(w, err);
    if (rc == 0)
        rc = read_logs(w, err);
    if (rc == 0)
        rc = looking_settle(w->looking, err);
    if (rc == 0)
        rc = judge_epochs(w, err);
    if (rc == 0)
        rc = open_accesses(w, err);
    if (rc == 0)
        rc = looking_write(w->looking, &w->file, err);
    if (rc == 0)
        rc = judge_file(w, err);
    return rc == 0 ? write_out(w->out, buf_at(&w->file), buf_len(&w->file), err) : rc;
}

/* ---- telling -------------------------------------------------------------------------------- */

static void print_epochs_json(const struct who_looked *w, bool shown)
{
    char why[400];
    const char *comma = "";
    for (size_t i = 0; i < looking_epoch_count(w->looking); i++) {
        struct looking_epoch e = looking_epoch(w->looking, i);
        if ((e.verdict == LOOKING_SHOWN) != shown)
            continue;
        (void)printf("%s{\"epoch\":", comma);
        command_print_json(e.name);
        if (shown) {
            (void)printf(",\"accesses\":%" PRIu64 "}", e.accesses);
        } else {
            explain(w, &e, why, sizeof(why));
            (void)printf(",\"why\":\"%s\",\"line\":", e.verdict == LOOKING_HELD ? "held" : "open");
            command_print_json(why);
            (void)putchar('}');
        }
        comma = ",";
    }
}

static void print_json(const struct who_looked *w)
{
    (void)fputs("{\"file\":", stdout);
    command_print_json(w->out);
    (void)fputs(",\"region\":", stdout);
    command_print_json(w->region);
    (void)printf(",\"accesses\":%" PRIu64 ",\"finds\":%" PRIu64 ",\"told\":%" PRIu64
                 ",\"searched\":%" PRIu64 ",\"unwitnessed\":%u,\"elsewhere\":%u,\"logs\":[",
                 w->result.access_count, w->result.find_count, w->told, w->searched,
                 w->result.unwitnessed, w->result.elsewhere);
    for (size_t i = 0; i < looking_log_count(w->looking); i++) {
        (void)fputs(i > 0 ? "," : "", stdout);
        command_print_json(looking_log_key(w->looking, i)->name);
    }
    (void)fputs("],\"epochs\":[", stdout);
    print_epochs_json(w, true);
    (void)fputs("],\"left_out\":[", stdout);
    print_epochs_json(w, false);
    (void)fputs("]}\n", stdout);
}

static void print(const struct who_looked *w)
{
    (void)printf("%s: %" PRIu64 " accesses in %u epochs, over %u logs\n", w->out,
                 w->result.access_count, w->result.epoch_count, w->result.log_count);
    if (w->searched > 0)
        (void)printf("%" PRIu64 " of them lie on a day that was erased, or in another gateway's "
                     "journal: their private\nparts are not here, and time and classes were found "
                     "by trying\n",
                     w->searched);
    if (w->result.unwitnessed > 0)
        (void)printf("%u logs are not witnessed as the gateway's own file of witnesses asks for\n",
                     w->result.unwitnessed);
    if (w->result.elsewhere > 0)
        (void)printf(
            "in some of the epochs there were logs of another VRF key: a claim file of that one "
            "(--vrf-key) completes it\n");
    (void)printf("it holds the person's keys of these epochs: hand it to nobody else\n");
}

int command_who_looked(const struct command_context *context, int argc, char **argv)
{
    struct err err;
    struct who_looked *w = mem_zalloc(1, sizeof(*w));
    if (w == NULL) {
        (void)err_set(&err, RF_ENOMEM, "out of memory");
        return command_fail(context, argv[0], &err);
    }
    w->context = context;
    buf_init(&w->file, CLAIM_MAX);
    err_clear(&err);
    int rc = sodium_init() < 0 ? err_set(&err, RF_EBUG, "cannot initialise libsodium")
                               : digest_init(&err);
    int status = COMMAND_DONE;
    if (rc == 0 && !read_arguments(argc, argv, w, &err))
        status = err.code != RF_OK ? command_fail(context, argv[0], &err) : command_usage(argv[0]);
    else if (rc == 0 && (rc = run(w, &err)) == 0)
        (context->json ? print_json : print)(w);
    looking_free(w->looking);
    for (unsigned i = 0; i < w->log_count; i++)
        source_close(w->logs[i].source);
    buf_wipe_done(&w->file);
    mem_free(w->leaves);
    mem_free(w->accesses);
    mem_free(w);
    return rc < 0 ? command_fail(context, argv[0], &err) : status;
}
