#include "herald/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "herald/order.h"
#include "policy/mistakes.h"
#include "priv/imsg.h"
#include "priv/sandbox.h"

enum {
    LOOK_MS = 20, /* how often is asked whether what runs has ended */
    CONFIG_MAX = 16 * 1024 * 1024,
    EXIT_CANNOT_START = 126,
    DESCRIPTORS = 1024 /* for a program; the gateway's own limit is far above */
};

#define USUAL_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* One program that runs, of one hook: at most one each. */
struct run {
    pid_t pid; /* 0: none */
    uint64_t ticket;
    int64_t until_ms;
    bool is_killed;
};

struct runner {
    int fd;
    struct config *config;
    struct run runs[CONFIG_HOOKS_MAX];
    struct buf heard;
};

/* ---- one program ---------------------------------------------------------------------------- */

/* What it is to read, as a file: a program that does not read holds nobody up. */
static int body_file(const struct order *o)
{
    int fd = memfd_create("ringfence-event", MFD_CLOEXEC);
    if (fd >= 0 && (fd_write_all(fd, o->body, o->body_len) < 0 || lseek(fd, 0, SEEK_SET) < 0))
        fd_close(&fd);
    return fd;
}

static bool set_limits(void)
{
    const struct rlimit no_core = { 0 }, few = { .rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS };
    return setrlimit(RLIMIT_CORE, &no_core) == 0 && setrlimit(RLIMIT_NOFILE, &few) == 0;
}

/* Between fork and exec: nothing of ours but the text on standard input goes on. */
RF_NORETURN static void become(const struct config_hook *h, const struct order *o, int body)
{
    char *argv[CONFIG_ARGUMENTS_MAX + 1], *envp[3] = { NULL };
    char path[1024], event[ORDER_KIND_SIZE + 16];
    const char *own = getenv("PATH");
    sigset_t none;
    for (size_t i = 0; i < h->command_count; i++)
        argv[i] = h->command[i];
    argv[h->command_count] = NULL;
    (void)snprintf(path, sizeof(path), "PATH=%s", own != NULL ? own : USUAL_PATH);
    (void)snprintf(event, sizeof(event), "RF_EVENT=%s", o->kind);
    envp[0] = path;
    envp[1] = event;
    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_DFL); /* fails for KILL, STOP: fixed */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool ok = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && null >= 0 &&
              dup2(body, 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2 &&
              close_range(3, ~0U, 0) == 0 && chdir("/") == 0 && set_limits() &&
              sigemptyset(&none) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0;
    if (ok)
        (void)execve(argv[0], argv, envp);
    _exit(EXIT_CANNOT_START);
}

static void answer(struct runner *r, uint64_t ticket, enum order_result result, int status)
{
    const struct order_answer a = { .ticket = ticket, .result = result, .status = (uint8_t)status };
    int rc = order_answer_send(r->fd, &a);
    if (rc < 0) /* the herald takes it for lost after a while, and it is run again */
        log_warn("answer-lost", "reason=\"%s\"", err_sentence(rc));
}

static void run(struct runner *r, const struct order *o)
{
    const struct config_hook *h =
        o->hook < r->config->hook_count ? &r->config->hooks[o->hook] : NULL;
    if (h == NULL || h->command_count == 0 || r->runs[o->hook].pid != 0) {
        answer(r, o->ticket, ORDER_UNSTARTED, 0); /* or one of before a crash still runs */
        return;
    }
    int body = body_file(o);
    pid_t pid = body >= 0 ? fork() : -1;
    if (pid == 0)
        become(h, o, body);
    fd_close(&body);
    if (pid < 0) {
        log_warn("hook-not-started", "hook=%u reason=\"%s\"", o->hook, strerrordesc_np(errno));
        answer(r, o->ticket, ORDER_UNSTARTED, 0);
        return;
    }
    r->runs[o->hook] = (struct run){ .pid = pid,
                                     .ticket = o->ticket,
                                     .until_ms = clock_mono_ms() + RUNNER_LIMIT_MS };
}

/* It, and what it has started and left in its group. */
static void kill_run(const struct run *run)
{
    if (kill(-run->pid, SIGKILL) < 0)
        (void)kill(run->pid, SIGKILL); /* it has not made its group yet; dead: it is reaped next */
}

static void end_run(struct runner *r, struct run *run, int status)
{
    bool died = WIFSIGNALED(status);
    enum order_result result = run->is_killed || died     ? ORDER_KILLED
                               : WEXITSTATUS(status) != 0 ? ORDER_FAILED
                                                          : ORDER_DONE;
    uint64_t ticket = run->ticket;
    (void)kill(-run->pid, SIGKILL); /* what it left behind: mostly nobody */
    *run = (struct run){ .pid = 0 };
    answer(r, ticket, result, died ? 0 : WEXITSTATUS(status));
}

/* True: something runs. */
static bool look_after(struct runner *r)
{
    bool is_busy = false;
    for (size_t i = 0; i < RF_COUNT(r->runs); i++) {
        struct run *run = &r->runs[i];
        int status;
        if (run->pid == 0)
            continue;
        if (waitpid(run->pid, &status, WNOHANG) == run->pid) {
            end_run(r, run, status);
            continue;
        }
        is_busy = true;
        if (!run->is_killed && clock_mono_ms() >= run->until_ms) {
            run->is_killed = true;
            kill_run(run);
        }
    }
    return is_busy;
}

/* ---- life ----------------------------------------------------------------------------------- */

static int parse(const struct imsg *m, struct config **ret, struct err *err)
{
    struct mistakes mistakes;
    struct stat st;
    char path[IMSG_PAYLOAD_MAX + 1];
    memcpy(path, m->payload, m->len);
    path[m->len] = '\0';
    if (m->type != IMSG_CONFIG || m->fds[0] < 0 || fstat(m->fds[0], &st) < 0 || st.st_size < 0 ||
        st.st_size > CONFIG_MAX)
        return err_set(err, RF_EPROTO, "the list of programs did not come");
    char *text = mem_zalloc((size_t)st.st_size + 1, 1);
    if (text == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the configuration");
    if (pread(m->fds[0], text, (size_t)st.st_size, 0) != st.st_size) { /* it lies in memory */
        mem_free(text);
        return err_sys(err, "could not read the configuration");
    }
    mistakes_init(&mistakes);
    int rc = config_parse(path, text, (size_t)st.st_size, ret, &mistakes);
    mistakes_done(&mistakes);
    mem_free(text);
    return rc < 0 ? err_set(err, (enum err_code) - rc, "could not parse the configuration") : 0;
}

static int take_config(struct runner *r, struct err *err)
{
    struct pollfd p = { .fd = r->fd, .events = POLLIN };
    struct imsg m;
    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        continue;
    if (imsg_recv(r->fd, &m) != 1)
        return err_set(err, RF_EUNAVAIL, "the supervisor is gone");
    int rc = parse(&m, &r->config, err);
    imsg_close_fds(&m);
    return rc;
}

/* False: nobody will give another order. */
static bool turn(struct runner *r)
{
    struct pollfd p = { .fd = r->fd, .events = POLLIN };
    struct order o;
    int rc;
    bool is_busy = look_after(r);
    (void)poll(&p, 1, is_busy ? LOOK_MS : -1);
    while ((rc = order_receive(r->fd, &r->heard, &o)) == 1)
        run(r, &o);
    if (rc == -RF_EPROTO)
        log_warn("order-refused", "reason=\"malformed\"");
    return rc != -RF_EUNAVAIL;
}

int runner_main(int fd)
{
    static struct runner r; /* large, and there is one */
    struct err err = { 0 };
    r.fd = fd;
    sandbox_hide();
    buf_init(&r.heard, ORDER_PACKET_MAX);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || take_config(&r, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "start-failed", &err);
        return err_exit_status(err.code);
    }
    log_set_level((enum log_level)r.config->log_level);
    while (turn(&r))
        continue;
    for (size_t i = 0; i < RF_COUNT(r.runs); i++)
        if (r.runs[i].pid != 0)
            kill_run(&r.runs[i]);
    buf_wipe_done(&r.heard);
    config_free(r.config);
    return 0;
}
