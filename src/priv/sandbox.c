/* What each role may still ask of the kernel, in one table.
 *
 * A child is narrowed twice: by the supervisor's filter, which it inherits through fork and exec
 * and which therefore has to allow whatever any role needs, and by its own. Filters only ever add
 * up.
 *
 *  - Landlock says which files may be opened; it comes first, since its calls are not in the filter
 *    of a child. A kernel without it is reported, never guessed: the configured floor decides.
 *  - Seccomp kills the process at anything that is not in the table (DESIGN 3: a worker's crash
 *    loses its sessions and nothing else). A few calls that libraries try and can do without get an
 *    error instead; those are rows with an errno.
 *
 * The hot calls (read, write, recvmsg, epoll_wait, …) have no argument rules, so that the kernel's
 * per-call allow bitmap answers them without running the filter. */
#include "priv/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* ---- the table ------------------------------------------------------------------------------ */

enum {
    SUP = 1 << ROLE_SUPERVISOR,
    WRK = 1 << ROLE_WORKER,
    PAR = 1 << ROLE_PARSER,
    LED = 1 << ROLE_LEDGER,
    CTL = 1 << ROLE_CONTROL,
    NOT = 1 << ROLE_NOTARY,
    COU = 1 << ROLE_COURIER,
    HUB = 1 << ROLE_HUB,
    REG = 1 << ROLE_REGISTRAR,
    HER = 1 << ROLE_HERALD,
    ALL = SUP | WRK | PAR | LED | CTL | NOT | COU | HUB | REG | HER,
};

/* Rows may overlap: a call is allowed when any row says so. What a child may do, the supervisor
   must be allowed too (SUP): its filter stays on in the children, and the stricter answer counts.
 */
static const struct {
    unsigned roles;
    const char *calls;
} allowed[] = {
    /* descriptors and memory that the process has, time, its own death */
    { ALL,
      "read readv pread64 preadv write writev close lseek fstat newfstatat fcntl dup dup2 dup3 "
      "munmap mremap madvise brk mlock mlock2 munlock membarrier futex set_robust_list rseq "
      "getrandom clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times "
      "getrusage sysinfo uname sched_yield sched_getaffinity getcpu restart_syscall "
      "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack "
      "getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid exit "
      "exit_group" },
    /* waiting and talking over the sockets it was given */
    { ALL, "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait "
           "epoll_pwait2 eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd4 pipe2 "
           "sendmsg sendto recvmsg recvfrom shutdown getsockopt setsockopt getsockname "
           "getpeername" },
    /* sessions: clients come, databases are called, names are looked up */
    { WRK | HUB | SUP, "accept accept4" },
    { WRK | CTL | REG | COU | HER | SUP,
      "connect sendmmsg recvmmsg stat lstat statx access faccessat faccessat2 "
      "readlink readlinkat getcwd" },
    /* public files of logs: looked at and sent (and see `watched`) */
    { HUB | SUP, "stat lstat statx sendfile" },
    /* the log and the private store: below the state folder, by landlock */
    { LED | NOT | SUP,
      "open openat stat lstat statx access faccessat faccessat2 readlink readlinkat "
      "getcwd getdents64 pwrite64 pwritev ftruncate fallocate fadvise64 fsync "
      "fdatasync sync_file_range flock mkdir mkdirat rename renameat renameat2 "
      "unlink unlinkat rmdir link linkat fchmod fchmodat fchown utimensat umask "
      "statfs fstatfs" },
    /* starting, hearing and ending processes, and what a fresh exec does before it narrows */
    { SUP,
      "clone fork vfork execveat execve wait4 waitid kill tgkill socket socketpair bind listen "
      "chmod close_range setsid setpgid getpgrp prctl arch_prctl set_tid_address prlimit64 "
      "getrlimit setrlimit memfd_create mmap mprotect ioctl seccomp landlock_create_ruleset "
      "landlock_add_rule landlock_restrict_self chdir capget getpriority sched_getparam "
      "sched_getscheduler mincore getgroups" },
};

#define OPEN_WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))
#define OWN_PID     UINT64_MAX /* stands for getpid() */

/* Calls that depend on one argument: (argument & mask) == value. An errno of 0 allows. */
static const struct {
    unsigned roles;
    const char *calls;
    int error;
    unsigned argument;
    uint64_t mask, value;
} conditional[] = {
    /* no new code: mapping something executable fails, as a library that probes for it expects */
    { ALL & ~SUP, "mmap mprotect", 0, 2, PROT_EXEC, 0 },
    { ALL & ~SUP, "mmap mprotect", EACCES, 2, PROT_EXEC, PROT_EXEC },
    /* reading only, where landlock lets it */
    { WRK | CTL | REG | COU | HUB | HER, "openat", 0, 2, OPEN_WRITES, 0 },
    { WRK | CTL | REG | COU | HUB | HER, "open", 0, 1, OPEN_WRITES, 0 },
    /* sockets of its own: to databases and name servers. getaddrinfo() can do without netlink. */
    { WRK | CTL | REG | HER, "socket", 0, 0, UINT32_MAX, AF_UNIX },
    { COU, "socket", EAFNOSUPPORT, 0, UINT32_MAX, AF_UNIX }, /* no neighbours: nscd, databases */
    { WRK | CTL | REG | COU | HER, "socket", 0, 0, UINT32_MAX, AF_INET },
    { WRK | CTL | REG | COU | HER, "socket", 0, 0, UINT32_MAX, AF_INET6 },
    { WRK | CTL | REG | COU | HER, "socket", EAFNOSUPPORT, 0, UINT32_MAX, AF_NETLINK },
    /* libpq's Kerberos looks for a key ring that nobody here uses */
    { CTL | REG | HER | SUP, "keyctl add_key request_key", ENOSYS, 0, 0, 0 },
    /* is standard error a terminal; how much is there to read */
    { ALL & ~SUP, "ioctl", 0, 1, UINT32_MAX, TCGETS },
    { ALL & ~SUP, "ioctl", 0, 1, UINT32_MAX, FIONREAD },
    { ALL & ~SUP, "ioctl", 0, 1, UINT32_MAX, FIONBIO },
    /* limits: its own */
    { ALL & ~SUP, "prlimit64", 0, 0, UINT32_MAX, 0 },
    { ALL & ~SUP, "prctl", 0, 0, UINT32_MAX, PR_SET_NAME },
    /* abort(), and nobody else */
    { ALL & ~SUP, "tgkill", 0, 0, UINT32_MAX, OWN_PID },
};

/* Calls whose flags lie in memory, where no filter sees them: allowed where landlock watches over
   what is written. Elsewhere it is as if the kernel did not have them, which callers can do
   without. */
static const struct {
    unsigned roles;
    const char *calls;
} watched[] = {
    { HUB | SUP, "openat2" },
};

/* What looking up a name reads (man 5 resolv.conf, nsswitch.conf, gai.conf), and whom TLS believes.
   Not all of /etc: keys and passwords of others lie there. Files are known by what they are when a
   process starts: one that is replaced later needs a restart, a folder does not. */
#define NAMES                                                                                  \
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf", \
        "/etc/services", "/etc/protocols", "/run/systemd/resolve", "/run/resolvconf",          \
        "/run/NetworkManager"
#define AUTHORITIES "/etc/ssl", "/etc/ca-certificates", "/etc/pki/tls/certs", "/usr/lib/ssl"
#define CLIENT      "/etc/passwd", "/etc/localtime", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom"

/* Landlock: rights that a role gives up unless a path gives them back. */
enum handled { HANDLED_WRITES /* reads stay as they are */, HANDLED_EVERYTHING };

static const struct {
    enum handled handled;
    bool connects;             /* TCP, to any port */
    bool binds;                /* TCP */
    const char *read_only[24]; /* besides the caller's; what is not there is left out */
    const char *read_write[2];
} files[ROLE_COUNT] = {
    /* reads configuration from wherever it is told to, and children start from libraries */
    [ROLE_SUPERVISOR] = { HANDLED_WRITES, true, true, { NULL }, { "/dev/null", NULL } },
    [ROLE_WORKER] = { HANDLED_EVERYTHING,
                      true,
                      false,
                      { NAMES, AUTHORITIES, CLIENT, NULL },
                      { NULL } },
    [ROLE_PARSER] = { HANDLED_EVERYTHING, false, false, { NULL }, { NULL } },
    [ROLE_LEDGER] = { HANDLED_EVERYTHING,
                      false,
                      false,
                      { "/usr/share/zoneinfo", "/dev/urandom", NULL },
                      { NULL } },
    [ROLE_CONTROL] = { HANDLED_EVERYTHING,
                       true,
                       false,
                       { NAMES, AUTHORITIES, CLIENT, NULL },
                       { NULL } },
    [ROLE_REGISTRAR] = { HANDLED_EVERYTHING,
                         true,
                         false,
                         { NAMES, AUTHORITIES, CLIENT, NULL },
                         { NULL } },
    [ROLE_HERALD] = { HANDLED_EVERYTHING, /* the keys and authorities of hooks are read before */
                      true,
                      false,
                      { NAMES, AUTHORITIES, CLIENT, NULL },
                      { NULL } },
    [ROLE_NOTARY] = { HANDLED_EVERYTHING,
                      false,
                      false,
                      { "/usr/share/zoneinfo", "/dev/urandom", NULL },
                      { NULL } },
    [ROLE_COURIER] = { HANDLED_EVERYTHING, /* names, and whom to believe: the witnesses' file too */
                       true,
                       false,
                       { NAMES, AUTHORITIES, NULL },
                       { NULL } },
    [ROLE_HUB] = { HANDLED_EVERYTHING, /* its sockets are handed to it */
                   false,
                   false,
                   { "/usr/share/zoneinfo", "/dev/urandom", NULL },
                   { NULL } },
};

/* ---- landlock ------------------------------------------------------------------------------- */

/* The kernel's interface as of ABI 6; the header of an older one lacks the later names. Sizes per
   ABI: 8 bytes until 3, 16 until 5, then 24. Documentation/userspace-api/landlock.rst. */
struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

enum {
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    NET_BIND_TCP = 1 << 0,  /* ABI 4 */
    NET_CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,
    ABI_KNOWN = 6,
    FS_ABI_1 = (1 << 13) - 1,
    FS_READS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    FS_OF_FILES = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                  LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};

static int landlock_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0)
        return 0; /* not built in, or not enabled at boot */
    return abi > ABI_KNOWN ? ABI_KNOWN : (int)abi;
}

static uint64_t fs_rights_of(int abi)
{
    uint64_t rights = FS_ABI_1;
    if (abi >= 2)
        rights |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        rights |= FS_TRUNCATE;
    if (abi >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

static struct ruleset_attr ruleset_of(enum imsg_role role, int abi)
{
    struct ruleset_attr a = { .handled_access_fs = fs_rights_of(abi) };
    if (files[role].handled == HANDLED_WRITES)
        a.handled_access_fs &= ~(uint64_t)(FS_READS | LANDLOCK_ACCESS_FS_EXECUTE | FS_IOCTL_DEV);
    if (abi >= 4)
        a.handled_access_net =
            (files[role].binds ? 0 : NET_BIND_TCP) | (files[role].connects ? 0 : NET_CONNECT_TCP);
    if (abi >= 6) /* the supervisor's notify socket may be an abstract one */
        a.scoped = SCOPE_SIGNAL | (role == ROLE_SUPERVISOR ? 0 : SCOPE_ABSTRACT_UNIX_SOCKET);
    return a;
}

/* Give the rights back below PATH. What is not there cannot be opened anyhow. */
static int allow_path(int ruleset, const char *path, uint64_t rights, struct err *err)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = rights };
    struct stat st;
    int rc = 0, fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES
                   ? 0
                   : err_sys(err, "could not open \"%s\"", path);
    if (fstat(fd, &st) < 0) {
        rc = err_sys(err, "could not look at \"%s\"", path);
        goto out;
    }
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= FS_OF_FILES;
    rule.parent_fd = fd;
    if (rule.allowed_access != 0 &&
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        rc = err_sys(err, "could not add a landlock rule for \"%s\"", path);
out:
    fd_close(&fd);
    return rc;
}

static int allow_paths(int ruleset, const char *const *paths, uint64_t rights, struct err *err)
{
    for (; paths != NULL && *paths != NULL; paths++) {
        int rc = allow_path(ruleset, *paths, rights, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* *RET_ABI is 0 on a kernel without landlock, which is no error here. */
RF_UNUSED static int landlock_enter(enum imsg_role role, const struct sandbox_paths *paths,
                                    int *ret_abi, struct err *err)
{
    int abi = landlock_abi();
    *ret_abi = 0;
    if (abi == 0)
        return 0;
    struct ruleset_attr a = ruleset_of(role, abi);
    size_t size = abi < 4 ? 8 : abi < 6 ? 16 : 24;
    uint64_t reads = a.handled_access_fs & FS_READS;
    uint64_t writes = a.handled_access_fs & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | FS_IOCTL_DEV);
    int rc, ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
    if (ruleset < 0)
        return err_sys(err, "could not make a landlock ruleset");
    rc = allow_paths(ruleset, files[role].read_only, reads, err);
    if (rc == 0)
        rc = allow_paths(ruleset, files[role].read_write, writes, err);
    if (rc == 0 && paths != NULL)
        rc = allow_paths(ruleset, paths->read_only, reads, err);
    if (rc == 0 && paths != NULL)
        rc = allow_paths(ruleset, paths->read_write, writes, err);
    if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        rc = err_sys(err, "could not enter the landlock ruleset");
    if (rc == 0)
        *ret_abi = abi;
    fd_close(&ruleset);
    return rc;
}

/* ---- seccomp -------------------------------------------------------------------------------- */

/* The next word of *LIST as a system call's number in this architecture; false at the end. */
static bool next_call(const char **list, int *ret_number, char *name, size_t name_len)
{
    *list += strspn(*list, " ");
    size_t len = strcspn(*list, " ");
    if (len == 0)
        return false;
    RF_ASSERT(len < name_len);
    memcpy(name, *list, len);
    name[len] = '\0';
    *list += len;
    *ret_number = seccomp_syscall_resolve_name(name);
    return true;
}

/* A negative number is a call that this architecture never had (open, fork, … on arm64) or that an
   older libseccomp does not know: it stays forbidden. */
static int allow_call(scmp_filter_ctx filter, int number, uint32_t action, unsigned arg_count,
                      const struct scmp_arg_cmp *args)
{
    int rc = number < 0 ? 0 : seccomp_rule_add_array(filter, action, number, arg_count, args);
    return rc == -EEXIST ? 0 : rc;
}

static int fill_filter(scmp_filter_ctx filter, unsigned role_bit, bool has_landlock,
                       struct err *err)
{
    char name[32] = "";
    int number, rc = 0;
    for (size_t i = 0; i < RF_COUNT(watched) && rc == 0; i++) {
        const char *list = watched[i].calls;
        while ((watched[i].roles & role_bit) != 0 && rc == 0 &&
               next_call(&list, &number, name, sizeof(name)))
            rc = allow_call(filter, number, has_landlock ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS),
                            0, NULL);
    }
    for (size_t i = 0; i < RF_COUNT(allowed) && rc == 0; i++) {
        const char *list = allowed[i].calls;
        while ((allowed[i].roles & role_bit) != 0 && rc == 0 &&
               next_call(&list, &number, name, sizeof(name)))
            rc = allow_call(filter, number, SCMP_ACT_ALLOW, 0, NULL);
    }
    for (size_t i = 0; i < RF_COUNT(conditional) && rc == 0; i++) {
        const char *list = conditional[i].calls;
        uint64_t value =
            conditional[i].value == OWN_PID ? (uint64_t)getpid() : conditional[i].value;
        struct scmp_arg_cmp cmp =
            SCMP_CMP64(conditional[i].argument, SCMP_CMP_MASKED_EQ, conditional[i].mask, value);
        uint32_t action = conditional[i].error == 0
                              ? SCMP_ACT_ALLOW
                              : SCMP_ACT_ERRNO((uint16_t)conditional[i].error);
        while ((conditional[i].roles & role_bit) != 0 && rc == 0 &&
               next_call(&list, &number, name, sizeof(name)))
            rc = allow_call(filter, number, action, conditional[i].mask != 0 ? 1 : 0, &cmp);
    }
    errno = -rc;
    return rc == 0 ? 0 : err_sys(err, "could not add \"%s\" to the seccomp filter", name);
}

/* *RET_ENTERED is false on a kernel without seccomp filters, which is no error here. */
RF_UNUSED static int seccomp_enter(enum imsg_role role, bool has_landlock, bool *ret_entered,
                                   struct err *err)
{
    *ret_entered = false;
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        return 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL)
        return err_set(err, RF_ENOMEM, "could not make a seccomp filter");
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* older library: a longer walk */
    int rc = fill_filter(filter, 1U << role, has_landlock, err);
    if (rc == 0) {
        int loaded = seccomp_load(filter);
        errno = -loaded;
        if (loaded < 0 && errno != EINVAL && errno != ENOSYS)
            rc = err_sys(err, "could not load the seccomp filter");
        *ret_entered = loaded == 0;
    }
    seccomp_release(filter);
    return rc;
}

/* ---- both ----------------------------------------------------------------------------------- */

void sandbox_hide(void)
{
#ifndef SANDBOX_OFF                           /* a leak checker traces its own process */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* cannot fail for 0 and 1 */
#endif
}

#ifdef SANDBOX_OFF
int sandbox_enter(enum imsg_role role, const struct sandbox_paths *paths, enum sandbox_floor floor,
                  char *report, size_t report_len, struct err *err)
{
    /* The sanitizers' own runtime forks, traces, maps and opens what no role may. */
    (void)snprintf(report, report_len, "seccomp=off(sanitizer) landlock=off(sanitizer)");
    log_warn("sandbox-off",
             "role=%s reason=\"compiled with a sanitizer: the floor is not enforced, "
             "never run this build with anybody's data\"",
             imsg_role_name(role));
    (void)paths;
    (void)floor;
    (void)err;
    return 0;
}
#else
int sandbox_enter(enum imsg_role role, const struct sandbox_paths *paths, enum sandbox_floor floor,
                  char *report, size_t report_len, struct err *err)
{
    int abi = 0;
    bool filtered = false;
    RF_ASSERT(role < ROLE_COUNT);
    tzset(); /* reads /etc/localtime once, or the first line of the log would do so later */
    sandbox_hide();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(err, "could not give up new privileges");
    int rc = landlock_enter(role, paths, &abi, err);
    if (rc < 0)
        return rc;
    rc = seccomp_enter(role, abi > 0, &filtered, err);
    if (rc < 0)
        return rc;
    char landlock[16] = "no";
    if (abi > 0)
        (void)snprintf(landlock, sizeof(landlock), "%d", abi);
    (void)snprintf(report, report_len, "seccomp=%s landlock=%s", filtered ? "yes" : "no", landlock);
    if ((floor >= SANDBOX_SECCOMP && !filtered) || (floor >= SANDBOX_FULL && abi == 0)) {
        rc = err_set(err, RF_EUNSUPP, "the sandbox of the %s got only %s", imsg_role_name(role),
                     report);
        err_hint(err, "a kernel with seccomp and landlock (lsm=landlock,… at boot) gives both; the "
                      "configuration's \"sandbox\" sets what is required");
        return rc;
    }
    return 0;
}
#endif
