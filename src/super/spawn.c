#include "super/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "priv/sandbox.h"

enum {
    PROGRAM_FD = IMSG_CHILD_FD + 1,
    EXIT_CANNOT_START = 126, /* as shells say it */
    PARSER_STACK_MB = 512,   /* libpg_query recurses with the text's depth */
    PARSER_SPACE_MB = 2048,  /* stack, libraries and what the tree of 64 kB of SQL may take */
};

/* The only names that reach a child. */
static const char *const kept[] = {
    "PATH",         "TZ",
    "LANG",
#ifdef RF_FAULTS
    "RF_FAULT",
#endif
#ifdef SANDBOX_OFF
    "ASAN_OPTIONS", "UBSAN_OPTIONS",
    "TSAN_OPTIONS", "LSAN_OPTIONS",
#endif
};

int spawn_open_program(int *ret_fd, struct err *err)
{
    int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not open the running program");
    *ret_fd = fd;
    return 0;
}

static bool set_limit(__rlimit_resource_t what, rlim_t value)
{
    struct rlimit limit;
    if (getrlimit(what, &limit) < 0)
        return false;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < value)
        value = limit.rlim_max; /* the administrator's own, lower one holds */
    limit = (struct rlimit){ .rlim_cur = value, .rlim_max = value };
    return setrlimit(what, &limit) == 0;
}

static bool set_limits(enum imsg_role role)
{
    if (!set_limit(RLIMIT_CORE, 0))
        return false;
    if (role != ROLE_PARSER)
        return true;
#ifndef SANDBOX_OFF /* a sanitizer reserves terabytes of address space */
    if (!set_limit(RLIMIT_AS, (rlim_t)PARSER_SPACE_MB << 20))
        return false;
#endif
    return set_limit(RLIMIT_STACK, (rlim_t)PARSER_STACK_MB << 20);
}

/* Ignored SIGPIPE outlives exec, on purpose: a closed standard error must end nobody. */
static bool reset_signals(void)
{
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, sig == SIGPIPE ? SIG_IGN : SIG_DFL); /* fails for KILL, STOP: fixed */
    return sigemptyset(&none) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

/* 0 and 1 become /dev/null, 2 stays, 3 is the socket, 4 the program (closed by exec). Both are
   moved out of the way first: either may sit on the other's place. */
static bool place_descriptors(int program_fd, int imsg_fd)
{
    int null_fd = open("/dev/null", O_RDWR); /* may be 0 itself: no O_CLOEXEC */
    int high_program = fcntl(program_fd, F_DUPFD_CLOEXEC, PROGRAM_FD + 1);
    int high_imsg = fcntl(imsg_fd, F_DUPFD_CLOEXEC, PROGRAM_FD + 1);
    return null_fd >= 0 && high_program >= 0 && high_imsg >= 0 && dup2(null_fd, 0) == 0 &&
           dup2(null_fd, 1) == 1 && dup2(high_imsg, IMSG_CHILD_FD) == IMSG_CHILD_FD &&
           dup3(high_program, PROGRAM_FD, O_CLOEXEC) == PROGRAM_FD &&
           close_range(PROGRAM_FD + 1, ~0U, 0) == 0;
}

static void fill_environment(char *envp[RF_COUNT(kept) + 1], char lines[RF_COUNT(kept)][512])
{
    size_t count = 0;
    for (size_t i = 0; i < RF_COUNT(kept); i++) {
        const char *value = getenv(kept[i]);
        if (value == NULL)
            continue;
        int n = snprintf(lines[count], sizeof(lines[count]), "%s=%s", kept[i], value);
        if (n > 0 && n < (int)sizeof(lines[count])) {
            envp[count] = lines[count];
            count++;
        }
    }
    envp[count] = NULL;
}

RF_NORETURN static void run_child(int program_fd, enum imsg_role role, unsigned index, int imsg_fd,
                                  pid_t parent)
{
    char title[48], role_option[] = "--role", index_option[] = "--index", name[16], number[12];
    char *argv[] = { title, role_option, name, index_option, number, NULL };
    char *envp[RF_COUNT(kept) + 1], lines[RF_COUNT(kept)][512], empty[] = "";

    (void)snprintf(name, sizeof(name), "%s", imsg_role_name(role));
    (void)snprintf(number, sizeof(number), "%u", index);
    (void)snprintf(title, sizeof(title), "ringfenced: %s %u", name, index);
    fill_environment(envp, lines);
    bool ok = prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent &&
              setsid() >= 0 && place_descriptors(program_fd, imsg_fd) && set_limits(role) &&
              reset_signals();
    (void)umask(077);
    if (ok)
        (void)syscall(SYS_execveat, PROGRAM_FD, empty, argv, envp, AT_EMPTY_PATH);
    log_error("child-start-failed", "child=%s-%u reason=\"%s\"", name, index,
              strerrordesc_np(errno));
    _exit(EXIT_CANNOT_START);
}

int spawn_child(int program_fd, enum imsg_role role, unsigned index, int imsg_fd, pid_t *ret_pid,
                struct err *err)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return err_sys(err, "could not start %s %u", imsg_role_name(role), index);
    if (pid == 0)
        run_child(program_fd, role, index, imsg_fd, parent);
    *ret_pid = pid;
    return 0;
}
