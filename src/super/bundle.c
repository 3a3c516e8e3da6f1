#include "super/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auth/auditors.h"
#include "auth/credentials.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "herald/hookfiles.h"
#include "priv/child.h"
#include "priv/lease.h"
#include "priv/news.h"
#include "tlog/trust.h"

#ifndef MFD_NOEXEC_SEAL
#    define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

enum { DESCRIPTORS_BASE = 256, FILE_BYTES_MAX = 16 * 1024 * 1024 };

/* Bytes of one file, between reading and sealing. */
struct text {
    char *bytes;
    size_t len;
};

/* A mistake that is a whole file's; keeps the worst code. Unreadable is worse than wrong. */
static void note(struct mistakes *mistakes, const char *path, const struct err *e, int *worst)
{
    mistakes_add(mistakes, path, 0, "%s%s%s", e->line, e->hint[0] != '\0' ? "; " : "", e->hint);
    if (*worst == 0 || e->code != RF_ECONFIG)
        *worst = -e->code;
}

static int absolute(const char *path, char **ret)
{
    char folder[PATH_MAX], whole[PATH_MAX * 2];
    if (path[0] == '/')
        *ret = mem_strdup(path);
    else if (getcwd(folder, sizeof(folder)) == NULL)
        return -RF_ESYS;
    else {
        (void)snprintf(whole, sizeof(whole), "%s/%s", folder, path);
        *ret = mem_strdup(whole);
    }
    return *ret == NULL ? -RF_ENOMEM : 0;
}

/* A memory file that nobody can change any more, not even who made it. */
static int seal(const char *name, const struct text *t, int *ret_fd, struct err *err)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_sys(err, "could not make a memory file");
    if (fd_write_all(fd, t->bytes, t->len) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        int rc = err_sys(err, "could not fill a memory file");
        fd_close(&fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* ---- what the files say together ------------------------------------------------------------ */

static void check_readable(const char *path, const char *file, unsigned line,
                           struct mistakes *mistakes, int *worst)
{
    if (path == NULL || access(path, R_OK) == 0)
        return;
    mistakes_add(mistakes, file, line, "could not read \"%s\": %s", path, strerrordesc_np(errno));
    *worst = -RF_ESYS;
}

static void check_together(const struct bundle *b, struct mistakes *mistakes, int *worst)
{
    const struct config *c = b->config;
    check_readable(c->tls_certificate, b->path, 0, mistakes, worst);
    check_readable(c->tls_key, b->path, 0, mistakes, worst);
    check_readable(c->tls_client_ca, b->path, 0, mistakes, worst);
    check_readable(c->hub.tls_certificate, b->path, 0, mistakes, worst);
    check_readable(c->hub.tls_key, b->path, 0, mistakes, worst);
    if (c->database_count > LEASE_SLOTS)
        mistakes_add(mistakes, b->path, 0, "databases: at most %d, found %zu", (int)LEASE_SLOTS,
                     c->database_count);
    check_readable(c->ledger.key_path, b->path, c->ledger.line, mistakes, worst);
    check_readable(c->ledger.vrf_path, b->path, c->ledger.line, mistakes, worst);
    check_readable(c->ledger.witnesses_path, b->path, c->ledger.line, mistakes, worst);
    for (size_t i = 0; i < c->database_count; i++) {
        const struct config_database *d = &c->databases[i];
        check_readable(d->tls_ca, b->path, d->line, mistakes, worst);
        check_readable(d->tls_certificate, b->path, d->line, mistakes, worst);
        check_readable(d->tls_key, b->path, d->line, mistakes, worst);
        check_readable(d->passfile, b->path, d->line, mistakes, worst);
    }
    int hooks = hookfiles_check(c, b->path, mistakes);
    if (hooks < 0 && (*worst == 0 || hooks != -RF_ECONFIG))
        *worst = hooks;
    int rc = b->policy != NULL ? config_check_policy(c, b->policy, mistakes) : 0;
    if (rc == 0 && b->policy != NULL)
        rc = config_check_quorum(c, b->policy, mistakes);
    if (*worst == 0 && (rc < 0 || mistakes_any(mistakes)))
        *worst = -RF_ECONFIG;
}

/* ---- loading -------------------------------------------------------------------------------- */

static void load_config(struct bundle *b, struct mistakes *mistakes, int *worst)
{
    struct text t = { 0 };
    struct err err;
    if (fd_read_file(b->path, FILE_BYTES_MAX, &t.bytes, &t.len, &err) < 0) {
        note(mistakes, b->path, &err, worst);
        return;
    }
    int rc = config_parse(b->path, t.bytes, t.len, &b->config, mistakes);
    if (rc < 0)
        *worst = rc;
    else if (seal("ringfence-configuration", &t, &b->config_fd, &err) < 0)
        note(mistakes, b->path, &err, worst);
    mem_free(t.bytes);
}

/* ---- the policy ----------------------------------------------------------------------------- */

/* The policy that rules before these files do. */
static int read_ruling(const struct bundle *held, const struct config *c, struct ruling *owned,
                       struct policy_bytes *ret, struct err *err)
{
    if (held != NULL) {
        *ret = (struct policy_bytes){ held->policy, held->policy_text, held->policy_len };
        return 0;
    }
    int rc = ruling_read(c->state_dir, c->policy_path, owned, err);
    *ret = (struct policy_bytes){ owned->policy, owned->text, owned->len };
    return rc;
}

/* The file, its signatures, and its standing. */
static int judge_file(struct bundle *b, const struct policy_bytes *ruling, int64_t wall_ms,
                      struct mistakes *mistakes, int *worst)
{
    const char *path = b->config->policy_path;
    struct announced announced;
    struct err err;
    err_clear(&err);
    if (fd_read_file(path, FILE_BYTES_MAX, &b->policy_text, &b->policy_len, &err) < 0 ||
        signatures_read(path, &b->sigs, &b->sigs_len, &err) < 0 ||
        announced_read(b->config->state_dir, &announced, &err) < 0) {
        note(mistakes, path, &err, worst);
        return *worst;
    }
    int rc = policy_parse(path, b->policy_text, b->policy_len, &b->policy, mistakes);
    if (rc < 0) {
        *worst = *worst == 0 ? rc : *worst;
        return rc;
    }
    const struct policy_bytes next = { b->policy, b->policy_text, b->policy_len };
    rc = standing_judge(ruling, &next, b->sigs, b->sigs_len, &announced, wall_ms, &b->standing,
                        &err);
    if (rc < 0) {
        note(mistakes, path, &err, worst);
    } else if (b->standing.kind == STANDING_REFUSED) {
        rc = err_set(&err, RF_ECONFIG, "%.400s", b->standing.why);
        err_hint(&err, "%.250s", b->standing.hint);
        note(mistakes, path, &err, worst);
    }
    return rc;
}

static int keep_ruling(struct bundle *b, const struct policy_bytes *ruling,
                       struct mistakes *mistakes)
{
    char *text = mem_zalloc(ruling->len + 1, 1);
    policy_free(b->policy);
    mem_free(b->policy_text);
    b->policy = NULL;
    b->policy_text = text;
    b->policy_len = ruling->len;
    if (text == NULL)
        return -RF_ENOMEM;
    memcpy(text, ruling->text, ruling->len);
    return policy_parse(b->config->policy_path, text, ruling->len, &b->policy, mistakes);
}

/* At a start a file that may not rule is told, and the policy that was signed goes on. */
static void stand_in(struct bundle *b, const struct mistakes *of_file)
{
    if (b->standing.kind == STANDING_REFUSED)
        return;
    b->standing = (struct standing){ .kind = STANDING_REFUSED };
    (void)snprintf(b->standing.why, sizeof(b->standing.why), "line %u: %.300s",
                   of_file->count > 0 ? of_file->list[0].line : 0,
                   of_file->count > 0 ? of_file->list[0].text : "it cannot be used");
    (void)snprintf(b->standing.hint, sizeof(b->standing.hint), "ringfence check lists everything");
}

static void move_mistakes(const struct mistakes *from, struct mistakes *to)
{
    for (size_t i = 0; i < from->count; i++)
        mistakes_add(to, from->list[i].file, from->list[i].line, "%s", from->list[i].text);
}

static int seal_news(struct bundle *b, struct err *err)
{
    const struct standing *s = &b->standing;
    bool waits = s->kind == STANDING_WAITS;
    bool is_new = s->kind == STANDING_ACCEPTED || s->kind == STANDING_RULES;
    struct news news = { .is_counted = is_new && s->is_counted,
                         .valid = is_new ? s->valid : 0,
                         .announces = waits && !s->is_announced && !b->is_start };
    struct buf bytes;
    if (news.is_counted)
        memcpy(news.by, s->by, sizeof(news.by));
    if (news.announces) {
        memcpy(news.digest, s->digest, sizeof(news.digest));
        news.announced_valid = s->valid;
        news.from = (uint32_t)(s->from_ms / 60000);
    }
    news.sigs = (news.announces || news.is_counted) && b->sigs != NULL ? b->sigs : "";
    news.sigs_len = strlen(news.sigs);
    buf_init(&bytes, SIGNATURES_BYTES_MAX + 1024);
    int rc = news_write(&bytes, &news);
    if (rc < 0) {
        rc = err_set(err, (enum err_code) - rc, "could not make a memory file");
    } else {
        char *text = (char *)bytes.data + bytes.off;
        const struct text t = { text, buf_len(&bytes) };
        fd_close(&b->news_fd);
        rc = seal("ringfence-news", &t, &b->news_fd, err);
    }
    buf_done(&bytes);
    return rc;
}

/* At a start, for a log that has not heard how this policy came to rule. What cannot be recalled is
   said, and serving goes on: the ledger refuses where it would have needed it. */
static void recall(struct bundle *b)
{
    const struct policy_bytes rules = { b->policy, b->policy_text, b->policy_len };
    struct err err;
    char *sigs;
    size_t len;
    if (standing_recall(b->config->state_dir, b->config->policy_path, &rules, &b->standing, &sigs,
                        &len, &err) < 0)
        log_err(LOG_LEVEL_WARN, "policy-before-unknown", &err);
    if (sigs == NULL)
        return;
    mem_free(b->sigs);
    b->sigs = sigs;
    b->sigs_len = len;
}

static void load_policy(struct bundle *b, const struct bundle *held, int64_t wall_ms,
                        struct mistakes *mistakes, int *worst)
{
    const char *path = b->config->policy_path;
    struct ruling owned = { 0 };
    struct policy_bytes ruling;
    struct mistakes own;
    struct err err;
    int own_worst = 0;
    mistakes_init(&own);
    err_clear(&err);
    if (read_ruling(held, b->config, &owned, &ruling, &err) < 0) {
        note(mistakes, path, &err, worst);
        goto out;
    }
    int rc = judge_file(b, &ruling, wall_ms, &own, &own_worst);
    bool stands_in =
        rc < 0 && held == NULL && ruling.policy != NULL && policy_names_signers(ruling.policy);
    if (stands_in)
        stand_in(b, &own);
    else
        move_mistakes(&own, mistakes);
    if (rc < 0 && !stands_in) {
        *worst = *worst == 0 || rc != -RF_ECONFIG ? rc : *worst;
        goto out;
    }
    rc = stands_in || b->standing.kind == STANDING_WAITS ? keep_ruling(b, &ruling, mistakes) : 0;
    if (rc == 0 && held == NULL && b->standing.kind == STANDING_RULES)
        recall(b);
    const struct text t = { b->policy_text, b->policy_len };
    if (rc < 0)
        *worst = *worst == 0 ? rc : *worst;
    else if (seal("ringfence-policy", &t, &b->policy_fd, &err) < 0 || seal_news(b, &err) < 0)
        note(mistakes, path, &err, worst);
out:
    mistakes_done(&own);
    ruling_done(&owned);
}

int bundle_prepare_ruling(const struct bundle *b, struct err *err)
{
    const struct policy_bytes next = { b->policy, b->policy_text, b->policy_len };
    return b->standing.kind != STANDING_ACCEPTED
               ? 0
               : ruling_prepare(b->config->state_dir, &next, b->sigs, b->sigs_len, err);
}

/* Or remember what waits, for which the ledger has by now made a leaf: a ledger that starts anew
   must not say it twice. */
int bundle_commit_ruling(struct bundle *b, struct err *err)
{
    struct standing *s = &b->standing;
    if (s->kind == STANDING_WAITS && b->is_start)
        return 0;
    struct announced announced = { .from_ms = s->kind == STANDING_WAITS ? s->from_ms : 0 };
    memcpy(announced.digest, s->digest, sizeof(announced.digest));
    int rc = s->kind == STANDING_ACCEPTED ? ruling_commit(b->config->state_dir, err) : 0;
    if (rc == 0 && s->kind != STANDING_REFUSED)
        rc = ruling_announce(b->config->state_dir, &announced, err);
    if (rc == 0 && s->kind == STANDING_WAITS && !s->is_announced) {
        s->is_announced = true;
        rc = seal_news(b, err);
    }
    return rc;
}

/* The verifiers are parsed to find mistakes and forgotten: workers alone need them. */
static void load_credentials(struct bundle *b, struct mistakes *mistakes, int *worst)
{
    const char *path = b->config->credentials_path;
    struct credentials *parsed = NULL;
    struct text t = { 0 };
    struct err err;
    if (fd_read_secret(path, CREDENTIALS_BYTES_MAX, &t.bytes, &t.len, &err) < 0) {
        note(mistakes, path, &err, worst);
        return;
    }
    int rc = credentials_parse(path, t.bytes, t.len, &parsed, mistakes);
    if (rc < 0 && *worst == 0)
        *worst = rc;
    else if (rc == 0 && seal("ringfence-credentials", &t, &b->credentials_fd, &err) < 0)
        note(mistakes, path, &err, worst);
    credentials_free(parsed);
    mem_free_secret(t.bytes, t.len);
}

/* The same for the hub. */
static void load_auditors(struct bundle *b, struct mistakes *mistakes, int *worst)
{
    const char *path = b->config->hub.auditors_path;
    struct auditors *parsed = NULL;
    struct text t = { 0 };
    struct err err;
    if (path == NULL)
        return;
    if (fd_read_secret(path, AUDITORS_BYTES_MAX, &t.bytes, &t.len, &err) < 0) {
        note(mistakes, path, &err, worst);
        return;
    }
    int rc = auditors_parse(path, t.bytes, t.len, &parsed, mistakes);
    if (rc < 0 && *worst == 0)
        *worst = rc;
    else if (rc == 0 && seal("ringfence-auditors", &t, &b->auditors_fd, &err) < 0)
        note(mistakes, path, &err, worst);
    auditors_free(parsed);
    mem_free_secret(t.bytes, t.len);
}

/* Notary and courier hold the same ones, and need no right to read the folder in which this file
   lies: in many a house the keys lie there, too. */
static void load_witnesses(struct bundle *b, struct mistakes *mistakes, int *worst)
{
    const char *path = b->config->ledger.witnesses_path;
    struct trust *parsed = NULL;
    struct text t = { 0 };
    struct err err;
    if (path == NULL || b->config->ledger.origin == NULL)
        return;
    int rc = fd_read_file(path, TRUST_FILE_MAX, &t.bytes, &t.len, &err);
    if (rc == 0 && (parsed = mem_zalloc(1, sizeof(*parsed))) == NULL)
        rc = err_set(&err, RF_ENOMEM, "out of memory for the witnesses");
    if (rc == 0)
        rc = digest_init(&err); /* keys have digests */
    if (rc == 0)
        rc = trust_read(t.bytes, t.len, parsed, &err);
    if (rc == 0)
        rc = seal("ringfence-witnesses", &t, &b->witnesses_fd, &err);
    if (rc < 0)
        note(mistakes, path, &err, worst);
    mem_free(parsed);
    mem_free(t.bytes);
}

int bundle_load(const char *config_path, const struct bundle *held, int64_t wall_ms,
                struct bundle **ret, struct mistakes *mistakes)
{
    int worst = 0;
    struct bundle *b = mem_zalloc(1, sizeof(*b));
    if (b == NULL)
        return -RF_ENOMEM;
    b->config_fd = b->policy_fd = b->credentials_fd = b->auditors_fd = -1;
    b->witnesses_fd = b->news_fd = -1;
    b->is_start = held == NULL;
    worst = absolute(config_path, &b->path);
    if (worst < 0 || strlen(b->path) > IMSG_PAYLOAD_MAX) {
        mistakes_add(mistakes, config_path, 0, "cannot make an absolute path of this");
        worst = worst < 0 ? worst : -RF_ETOOBIG;
    }
    if (worst == 0)
        load_config(b, mistakes, &worst);
    if (b->config != NULL) {
        load_policy(b, held, wall_ms, mistakes, &worst);
        load_credentials(b, mistakes, &worst);
        load_auditors(b, mistakes, &worst);
        check_together(b, mistakes, &worst);
        if (worst == 0) /* else it said already what it has to say of this file */
            load_witnesses(b, mistakes, &worst);
    }
    if (worst < 0) {
        bundle_free(b);
        return worst;
    }
    *ret = b;
    return 0;
}

void bundle_free(struct bundle *b)
{
    if (b == NULL)
        return;
    fd_close(&b->config_fd);
    fd_close(&b->policy_fd);
    fd_close(&b->credentials_fd);
    fd_close(&b->auditors_fd);
    fd_close(&b->witnesses_fd);
    fd_close(&b->news_fd);
    config_free(b->config);
    policy_free(b->policy);
    mem_free(b->policy_text);
    mem_free(b->sigs);
    mem_free(b->path);
    mem_free(b);
}

/* ---- replacing ------------------------------------------------------------------------------ */

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_ledger(const struct config_ledger *a, const struct config_ledger *b)
{
    return same(a->origin, b->origin) && same(a->directory, b->directory) &&
           same(a->predecessor, b->predecessor) && same(a->key_path, b->key_path) &&
           same(a->vrf_path, b->vrf_path) && same(a->witnesses_path, b->witnesses_path) &&
           same(a->copy_path, b->copy_path) && same(a->epoch, b->epoch) &&
           a->rollup_ms == b->rollup_ms && a->seal_ms == b->seal_ms;
}

void bundle_compare(const struct bundle *old, const struct bundle *next, struct mistakes *mistakes)
{
    const struct config *a = old->config, *b = next->config;
    const struct {
        const char *key;
        bool stays;
    } rows[] = {
        { "name", same(a->name, b->name) },
        { "place", same(a->place.code, b->place.code) },
        { "state", same(a->state_dir, b->state_dir) },
        { "run", same(a->run_dir, b->run_dir) },
        { "user", same(a->user, b->user) },
        { "workers", a->workers == b->workers },
        { "ledger", same_ledger(&a->ledger, &b->ledger) },
        { "hub", (a->hub.listen_count > 0) == (b->hub.listen_count > 0) },
        { "hooks", config_same_hooks(a, b) },
        { "sandbox", a->sandbox_floor == b->sandbox_floor },
    };
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        if (!rows[i].stays)
            mistakes_add(mistakes, next->path, 0,
                         "%s: cannot change while running, restart instead", rows[i].key);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && bundle_descriptors_needed(b) > limit.rlim_cur)
        mistakes_add(mistakes, next->path, 0,
                     "limits: %llu open files are needed, this process may have %llu; restart",
                     (unsigned long long)bundle_descriptors_needed(b),
                     (unsigned long long)limit.rlim_cur);
}

uint64_t bundle_descriptors_needed(const struct config *c)
{
    /* each client, and at worst a server connection for each */
    uint64_t clients = (uint64_t)c->max_clients;
    uint64_t worker = clients * 2 + c->listen_count + DESCRIPTORS_BASE;
    /* each connection, and the file that it gets */
    uint64_t hub = c->hub.listen_count > 0 ? (uint64_t)c->hub.clients * 2 + c->hub.listen_count +
                                                 c->hub.log_count + DESCRIPTORS_BASE
                                           : 0;
    return hub > worker ? hub : worker;
}

unsigned bundle_workers(const struct config *c)
{
    if (c->workers > 0)
        return (unsigned)c->workers;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > CHILD_WORKERS_MAX ? CHILD_WORKERS_MAX : (unsigned)cores;
}
