/* The supervisor: one loop over a signal descriptor and the children's sockets.
 *
 * It reads no byte of any client or database: it owns listening sockets that it never accepts from,
 * and sealed files that it passes on. Its whole state is which child runs (crew.c), whether a
 * reload is under way (reload.c), and how far the end has come:
 *
 *   END_NONE -> END_WORKERS -> END_REGISTRAR -> END_HERALD -> END_CONTROL -> END_PARSER ->
 * END_LEDGER -> END_NOTARY
 *            -> END_COURIER -> END_HUB -> END_OVER
 *
 * Each stage tells one role to stop and waits until it is gone, so that the ledger has
 * recorded whatever the others still had to say, and the notary published what the ledger had.
 * Roles of later stages are restarted meanwhile as usual. */
#include "super/super.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/meter.h"
#include "priv/budget_table.h"
#include "priv/grant_table.h"
#include "priv/lease.h"
#include "priv/sandbox.h"
#include "super/crew.h"
#include "super/identity.h"
#include "super/notify.h"
#include "super/pidfile.h"
#include "super/reload.h"
#include "super/spawn.h"

_Static_assert((int)CHILD_WORKERS_MAX <= (int)METER_WORKERS_MAX, "every worker has a partition");

enum {
    WORKERS_GRACE_MS = 2000, /* beyond their own time limit */
    OTHERS_STOP_MS = 5000,
    LEDGER_STOP_MS = 20000, /* a slow disk may owe a last sync */
    AT_ONCE_MS = 2000,
    POLICY_RETRY_MS = 2000, /* doubled with each refusal, up to: */
    POLICY_RETRY_MAX_MS = 60 * 1000,
};

enum end_stage {
    END_NONE,
    END_WORKERS,
    END_REGISTRAR,
    END_HERALD,
    END_CONTROL,
    END_PARSER,
    END_LEDGER,
    END_NOTARY,
    END_COURIER,
    END_HUB,
    END_OVER
};

static const enum imsg_role stage_roles[END_OVER] = {
    [END_WORKERS] = ROLE_WORKER, [END_CONTROL] = ROLE_CONTROL,     [END_PARSER] = ROLE_PARSER,
    [END_LEDGER] = ROLE_LEDGER,  [END_NOTARY] = ROLE_NOTARY,       [END_COURIER] = ROLE_COURIER,
    [END_HUB] = ROLE_HUB,        [END_REGISTRAR] = ROLE_REGISTRAR, [END_HERALD] = ROLE_HERALD,
};

struct super {
    struct bundle *bundle;
    struct listeners listeners;
    struct activation activation;
    struct pidfile pidfile;
    struct notify notify;
    struct reload reload;
    struct crew crew;
    int signal_fd;
    enum end_stage end;
    bool at_once; /* a second signal came */
    bool was_ready;
    int64_t policy_due_ms;   /* wall clock: a policy that waits is taken then; 0: none waits */
    int64_t policy_retry_ms; /* after a refusal, how long until it is tried again; 0: none yet */
    bool ruling_is_due;      /* the bundle holds, and STATE/policy does not say so yet */
    bool said_unrecorded;
    int exit_status;
};

/* ---- starting ------------------------------------------------------------------------------- */

static int load(const char *config_path, struct bundle **ret)
{
    struct mistakes mistakes;
    mistakes_init(&mistakes);
    int rc = bundle_load(config_path, NULL, clock_wall_ms(), ret, &mistakes);
    mistakes_print(&mistakes, stderr);
    if (rc < 0 && mistakes.count == 0)
        (void)fprintf(stderr, "%s: %s\n", config_path, err_sentence(rc));
    mistakes_done(&mistakes);
    return rc;
}

/* Who we are decides what we can read: settle it first, by the configuration alone, and read all
   files again as that user, so that a reload will find what the start found. */
static int load_as_user(struct super *s, const char *config_path, struct err *err)
{
    struct mistakes mistakes;
    struct config *config = NULL;
    mistakes_init(&mistakes);
    int rc = config_load(config_path, &config, &mistakes);
    mistakes_done(&mistakes);
    if (rc == 0)
        rc = identity_settle(config, err);
    config_free(config);
    if (rc < 0 && err->code != RF_OK)
        return rc;
    rc = load(config_path, &s->bundle); /* mistakes of the configuration are printed here, once */
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "the files of \"%s\" cannot be used: see above",
                       config_path);
    log_set_level((enum log_level)s->bundle->config->log_level);
    return 0;
}

/* It holds verifiers, and keys pass through it: no dump, whatever the limit of who started it. */
static void forbid_core(void)
{
    const struct rlimit none = { 0 };
    (void)setrlimit(RLIMIT_CORE, &none); /* lowering one's own limit cannot fail */
}

static int raise_descriptors(const struct config *c, struct err *err)
{
    struct rlimit limit;
    rlim_t needed = bundle_descriptors_needed(c);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return err_sys(err, "could not read the limit of open files");
    if (limit.rlim_max < needed) {
        int rc =
            err_set(err, RF_ECONFIG, "limits: %llu open files are needed, at most %llu are allowed",
                    (unsigned long long)needed, (unsigned long long)limit.rlim_max);
        err_hint(err, "raise the hard limit (LimitNOFILE= of the unit) or lower \"clients\"");
        return rc;
    }
    limit.rlim_cur = limit.rlim_max; /* a reload may raise "clients" that far */
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? err_sys(err, "could not raise open files") : 0;
}

static int make_folder(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return err_sys(err, "could not make folder \"%s\"", path);
    if (access(path, W_OK | X_OK) < 0)
        return err_sys(err, "could not write to folder \"%s\"", path);
    return 0;
}

static int open_signals(struct super *s, struct err *err)
{
    sigset_t set;
    (void)sigemptyset(&set); /* these cannot fail for signals that exist */
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGCHLD);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_sys(err, "could not block signals");
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd < 0 ? err_sys(err, "could not open a signal descriptor") : 0;
}

/* The folder of each unix listener, so that a reload can open and remove it. */
static void add_socket_folders(const struct config_listen *list, size_t listen_count,
                               char folders[][PATH_MAX], size_t *count, size_t max)
{
    for (size_t i = 0; i < listen_count && *count < max; i++) {
        const char *path = list[i].unix_path;
        const char *slash = path != NULL ? strrchr(path, '/') : NULL;
        if (slash != NULL && slash != path)
            (void)snprintf(folders[(*count)++], PATH_MAX, "%.*s", (int)(slash - path), path);
    }
}

static int narrow(const struct config *c, struct err *err)
{
    enum { FOLDERS_MAX = 16 };
    static char folders[FOLDERS_MAX][PATH_MAX];
    const char *read_write[FOLDERS_MAX + 1] = { NULL };
    char report[128];
    size_t count = 0;
    (void)snprintf(folders[count++], PATH_MAX, "%s", c->state_dir);
    (void)snprintf(folders[count++], PATH_MAX, "%s", c->run_dir);
    if (c->ledger.origin != NULL)
        (void)snprintf(folders[count++], PATH_MAX, "%s", c->ledger.directory);
    if (c->ledger.copy_path != NULL)
        (void)snprintf(folders[count++], PATH_MAX, "%s", c->ledger.copy_path);
    add_socket_folders(c->listen, c->listen_count, folders, &count, FOLDERS_MAX);
    add_socket_folders(c->hub.listen, c->hub.listen_count, folders, &count, FOLDERS_MAX);
    for (size_t i = 0; i < count; i++)
        read_write[i] = folders[i];
    const struct sandbox_paths paths = { .read_write = read_write };
    int rc = sandbox_enter(ROLE_SUPERVISOR, &paths, c->sandbox_floor, report, sizeof(report), err);
    if (rc == 0)
        log_info("narrowed", "sandbox=\"%s\"", report);
    return rc;
}

static int open_everything(struct super *s, struct err *err)
{
    const struct config *c = s->bundle->config;
    unsigned workers = bundle_workers(c);
    int rc = raise_descriptors(c, err);
    (void)umask(077);
    if (rc < 0 || (rc = make_folder(c->run_dir, 0755, err)) < 0 ||
        (rc = make_folder(c->state_dir, 0700, err)) < 0 ||
        (c->ledger.origin != NULL && (rc = make_folder(c->ledger.directory, 0755, err)) < 0) ||
        (c->ledger.copy_path != NULL && (rc = make_folder(c->ledger.copy_path, 0700, err)) < 0) ||
        (rc = pidfile_open(c->run_dir, &s->pidfile, err)) < 0 ||
        (rc = activation_open(&s->activation, err)) < 0 ||
        (rc = listeners_open(c, &s->activation, NULL, NULL, &s->listeners, err)) < 0)
        return rc;
    activation_done(&s->activation);
    if ((rc = bundle_prepare_ruling(s->bundle, err)) < 0)
        return rc;
    crew_init(&s->crew, workers);
    if (c->ledger.origin != NULL)
        crew_add(&s->crew, ROLE_NOTARY);
    if (c->ledger.origin != NULL && c->ledger.witnesses_path != NULL)
        crew_add(&s->crew, ROLE_COURIER);
    if (c->hub.listen_count > 0) {
        crew_add(&s->crew, ROLE_HUB);
        crew_add(&s->crew, ROLE_REGISTRAR);
    }
    if (c->hook_count > 0)
        crew_add(&s->crew, ROLE_HERALD);
    s->crew.bundle = s->bundle;
    s->crew.listeners = &s->listeners;
    if ((rc = open_signals(s, err)) < 0 ||
        (rc = meter_create(workers, &s->crew.meter_fd, err)) < 0 ||
        (rc = lease_create((unsigned)c->database_count, &s->crew.lease_fd, err)) < 0 ||
        (rc = lease_open_read(s->crew.lease_fd, &s->crew.lease_read_fd, err)) < 0 ||
        (rc = grant_table_create(&s->crew.grants_fd, err)) < 0 ||
        (rc = lease_open_read(s->crew.grants_fd, &s->crew.grants_read_fd, err)) < 0 ||
        (rc = budget_table_create(&s->crew.given_fd, &s->crew.asked_fd, err)) < 0 ||
        (rc = lease_open_read(s->crew.given_fd, &s->crew.given_read_fd, err)) < 0 ||
        (rc = spawn_open_program(&s->crew.program_fd, err)) < 0 ||
        (config_has_commands(c) && (rc = crew_start_runner(&s->crew, err)) < 0))
        return rc;
    notify_open(&s->notify);
    return chdir("/") < 0 ? err_sys(err, "could not change folder") : narrow(c, err);
}

/* ---- ending --------------------------------------------------------------------------------- */

static int64_t stage_deadline(const struct super *s, int64_t now_ms)
{
    if (s->at_once)
        return now_ms + AT_ONCE_MS;
    switch (s->end) {
    case END_WORKERS:
        return now_ms + s->bundle->config->shutdown_timeout_ms + WORKERS_GRACE_MS;
    case END_LEDGER:
        return now_ms + LEDGER_STOP_MS;
    default:
        return now_ms + OTHERS_STOP_MS;
    }
}

static void end_begin(struct super *s, int64_t now_ms)
{
    log_info("stopping", "sessions_may_take_ms=%lld",
             (long long)s->bundle->config->shutdown_timeout_ms);
    notify_send(&s->notify, "STOPPING=1\nSTATUS=finishing what runs");
    reload_done(&s->reload);
    s->reload.wanted = false;
    s->crew.hold = false;
    s->end = END_WORKERS;
    listeners_close_gateway(&s->listeners); /* nobody new; workers close theirs when told */
    crew_stop(&s->crew, ROLE_WORKER, stage_deadline(s, now_ms));
}

/* The ledger still gets its order and its moment: what was said is recorded. */
static void end_at_once(struct super *s, int64_t now_ms)
{
    log_warn("stopping-at-once", "reason=\"a second signal\"");
    if (s->at_once || s->end >= END_LEDGER) {
        crew_kill(&s->crew, ROLE_LEDGER);
        crew_kill(&s->crew, ROLE_NOTARY);
    }
    s->at_once = true;
    crew_kill(&s->crew, ROLE_WORKER);
    crew_kill(&s->crew, ROLE_REGISTRAR);
    crew_kill(&s->crew, ROLE_HERALD);
    crew_kill(&s->crew, ROLE_CONTROL);
    crew_kill(&s->crew, ROLE_PARSER);
    crew_kill(&s->crew, ROLE_COURIER);
    crew_kill(&s->crew, ROLE_HUB);
    (void)now_ms;
}

static void end_tick(struct super *s, int64_t now_ms)
{
    while (s->end != END_NONE && s->end != END_OVER &&
           crew_is_gone(&s->crew, stage_roles[s->end])) {
        s->end++;
        if (s->end == END_HUB)
            listeners_done(&s->listeners);
        if (s->end != END_OVER)
            crew_stop(&s->crew, stage_roles[s->end], stage_deadline(s, now_ms));
    }
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void on_signal(struct super *s, int number, int64_t now_ms)
{
    switch (number) {
    case SIGCHLD:
        crew_reap(&s->crew, now_ms);
        break;
    case SIGHUP:
        if (s->end != END_NONE)
            break;
        s->reload.wanted = true;
        s->reload.is_retry = false;
        notify_send(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
        break;
    default:
        if (s->end == END_NONE)
            end_begin(s, now_ms);
        else
            end_at_once(s, now_ms);
    }
}

static void take_signals(struct super *s, int64_t now_ms)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        on_signal(s, (int)info.ssi_signo, now_ms);
}

/* Everybody has taken the bundle: its policy rules, and is remembered when it is on record. Should
   we die before that, it is judged anew, by the one before and its signatures. */
static void keep_ruling(struct super *s)
{
    struct err err;
    bool was_late = s->said_unrecorded;
    int rc = 0;
    if (!s->ruling_is_due || s->reload.phase != RELOAD_IDLE)
        return;
    if (s->crew.is_unrecorded) {
        if (!s->said_unrecorded && s->bundle->standing.kind != STANDING_RULES)
            log_warn("policy-not-on-record",
                     "hint=\"it rules; a start goes by the one before until the ledger has written "
                     "it down\"");
        s->said_unrecorded = true;
        return;
    }
    s->ruling_is_due = s->said_unrecorded = false;
    if (was_late) /* a reload that was refused meanwhile may have prepared its own */
        rc = bundle_prepare_ruling(s->bundle, &err);
    if (rc == 0)
        rc = bundle_commit_ruling(s->bundle, &err);
    if (rc < 0) /* it was prepared: hardly ever */
        log_err(LOG_LEVEL_ERROR, "policy-not-kept", &err);
}

static void await_policy(struct super *s)
{
    const struct standing *standing = &s->bundle->standing;
    s->policy_due_ms = standing->kind == STANDING_WAITS ? standing->from_ms : 0;
    s->policy_retry_ms = 0;
}

/* The time of a policy that waits has come, and the reload was refused for another reason. */
static void await_policy_again(struct super *s)
{
    int64_t wall_ms = crew_wall_ms(&s->crew), retry_ms = s->policy_retry_ms * 2;
    const struct standing *standing = &s->bundle->standing;
    if (standing->kind != STANDING_WAITS || wall_ms < standing->from_ms)
        return;
    if (s->policy_retry_ms == 0)
        log_warn(
            "policy-due",
            "hint=\"its time has come, and the reload was refused: see above; it is tried again "
            "until it is taken\"");
    s->policy_retry_ms = retry_ms == 0                    ? POLICY_RETRY_MS
                         : retry_ms > POLICY_RETRY_MAX_MS ? POLICY_RETRY_MAX_MS
                                                          : retry_ms;
    s->policy_due_ms = wall_ms + s->policy_retry_ms;
}

static void report_progress(struct super *s, int64_t now_ms)
{
    if (s->crew.failed && s->end == END_NONE) {
        s->exit_status = err_exit_status(RF_EUNAVAIL);
        log_error("start-failed", "reason=\"a child could not start\"");
        end_begin(s, now_ms);
    }
    if (s->crew.complete && !s->was_ready) {
        s->was_ready = s->ruling_is_due = true;
        keep_ruling(s);
        reload_log_standing(s->bundle);
        await_policy(s);
        s->reload.wanted = s->bundle->standing.kind == STANDING_WAITS;
        log_info("serving", "workers=%u listeners=%zu", s->crew.workers, s->listeners.count);
        notify_send(&s->notify, "READY=1\nSTATUS=serving with %u workers", s->crew.workers);
    }
    keep_ruling(s);
}

static void tick_reload(struct super *s, int64_t now_ms)
{
    if (s->end != END_NONE)
        return;
    if (s->policy_due_ms > 0 && crew_wall_ms(&s->crew) >= s->policy_due_ms) {
        s->policy_due_ms = 0;
        s->reload.is_retry = !s->reload.wanted && s->policy_retry_ms > 0;
        s->reload.wanted = true;
    }
    for (;;) /* on after an end, too: a SIGHUP that came meanwhile wants the next one now */
        switch (reload_tick(&s->reload, &s->crew, &s->bundle, &s->listeners, now_ms)) {
        case RELOAD_DONE:
            s->ruling_is_due = true;
            s->said_unrecorded = false;
            keep_ruling(s);
            log_info("reloaded", "configuration=%s listeners=%zu", s->bundle->path,
                     s->listeners.count);
            reload_log_standing(s->bundle);
            await_policy(s);
            notify_send(&s->notify, "READY=1\nSTATUS=serving by the new configuration");
            break;
        case RELOAD_REFUSED:
            await_policy_again(s);
            notify_send(&s->notify,
                        "READY=1\nSTATUS=reload refused, serving by the configuration before");
            break;
        case RELOAD_GOES_ON:
            break;
        case RELOAD_WAITS:
            return;
        }
}

/* Milliseconds until something is due by itself; -1: never. */
static int wait_ms(struct super *s, int64_t now_ms)
{
    int64_t next = crew_next_ms(&s->crew), sign = notify_watchdog(&s->notify, now_ms);
    int64_t left = next < 0 ? -1 : next <= now_ms ? 0 : next - now_ms;
    if (sign >= 0 && (left < 0 || sign < left))
        left = sign;
    if (s->policy_due_ms > 0) {
        int64_t until = s->policy_due_ms - crew_wall_ms(&s->crew);
        left = until < 0 ? 0 : left < 0 || until < left ? until : left;
    }
    return left > 60000 ? 60000 : (int)left;
}

static void loop(struct super *s)
{
    struct pollfd polls[CREW_MAX + 1];
    while (s->end != END_OVER) {
        int64_t now_ms = clock_mono_ms();
        tick_reload(s, now_ms);
        crew_tick(&s->crew, now_ms);
        crew_poll_fill(&s->crew, polls);
        polls[s->crew.count] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };
        int ready = poll(polls, s->crew.count + 1, wait_ms(s, now_ms));
        now_ms = clock_mono_ms();
        if (ready > 0) {
            crew_poll_take(&s->crew, polls, now_ms);
            take_signals(s, now_ms);
        }
        report_progress(s, now_ms);
        end_tick(s, now_ms);
    }
}

/* ---- doors ---------------------------------------------------------------------------------- */

static void super_done(struct super *s)
{
    crew_done(&s->crew);
    fd_close(&s->crew.program_fd);
    fd_close(&s->crew.meter_fd);
    fd_close(&s->crew.lease_fd);
    fd_close(&s->crew.lease_read_fd);
    fd_close(&s->crew.grants_fd);
    fd_close(&s->crew.grants_read_fd);
    fd_close(&s->crew.given_fd);
    fd_close(&s->crew.given_read_fd);
    fd_close(&s->crew.asked_fd);
    reload_done(&s->reload);
    activation_done(&s->activation);
    listeners_done(&s->listeners);
    pidfile_remove(&s->pidfile);
    notify_close(&s->notify);
    fd_close(&s->signal_fd);
    bundle_free(s->bundle);
    mem_free(s);
}

int super_main(const char *config_path)
{
    struct err err;
    struct super *s = mem_zalloc(1, sizeof(*s));
    log_open("supervisor", LOG_LEVEL_INFO);
    sandbox_hide();
    forbid_core();
    if (s == NULL)
        return err_exit_status(RF_ENOMEM);
    s->signal_fd = s->pidfile.fd = s->notify.fd = -1;
    s->crew.program_fd = s->crew.meter_fd = s->crew.lease_fd = s->crew.lease_read_fd = -1;
    s->crew.grants_fd = s->crew.grants_read_fd = s->crew.runner_fd = -1;
    s->crew.given_fd = s->crew.given_read_fd = s->crew.asked_fd = -1;
    err_clear(&err);
    int status, rc = load_as_user(s, config_path, &err);
    if (rc == 0)
        rc = open_everything(s, &err);
    if (rc < 0) {
        char hint[sizeof(err.hint) + 16];
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        if (err.hint[0] != '\0')
            log_error("start-failed", "hint=%s",
                      log_quote(hint, sizeof(hint), err.hint, strlen(err.hint)));
        status = err_exit_status(rc);
    } else {
        log_info("started", "pid=%ld configuration=%s", (long)getpid(), s->bundle->path);
        loop(s);
        log_info("stopped", "status=%d", s->exit_status);
        status = s->exit_status;
    }
    super_done(s);
    return status;
}

int super_test(const char *config_path)
{
    struct bundle *bundle = NULL;
    int rc = load(config_path, &bundle);
    if (rc == 0 && bundle->standing.kind == STANDING_REFUSED)
        (void)fprintf(stderr, "%s: the policy that was signed rules: %s; %s\n",
                      bundle->config->policy_path, bundle->standing.why, bundle->standing.hint);
    if (rc == 0)
        (void)fprintf(stderr, "%s: no mistakes\n", bundle->path);
    bundle_free(bundle);
    return rc < 0 ? err_exit_status(rc) : 0;
}
