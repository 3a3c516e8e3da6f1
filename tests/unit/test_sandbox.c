/* Every role's narrowing is tried for real: a forked process enters it and makes one call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "priv/sandbox.h"

enum { NARROWED = 0, COULD_NOT_NARROW = 99 };

static char folder[] = "/tmp/rf-sandbox-XXXXXX";
static char inside[64], outside[64];
static int listener = -1;
static struct sockaddr_in listener_address;

/* Valgrind makes calls of its own inside the process, a sanitizer too (the build leaves the sandbox
   out then, and says so): nothing to try there. */
static bool is_instrumented(void)
{
    const char *preload = getenv("LD_PRELOAD");
    char report[128];
    struct err err;
    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        return true;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int rc = sandbox_enter(ROLE_PARSER, NULL, SANDBOX_NONE, report, sizeof(report), &err);
        _exit(rc == 0 && strstr(report, "sanitizer") == NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* Whether the process is narrowed to the supervisor's rights first, as a real child is. */
static bool below_supervisor;

/* The wait status of a process that narrows to ROLE, may write below `inside`, and runs CALL. */
static int status_of(enum imsg_role role, int (*call)(void))
{
    const char *const read_write[] = { inside, NULL };
    const struct sandbox_paths paths = { .read_write = read_write };
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char report[128];
        struct err err;
        if (below_supervisor &&
            sandbox_enter(ROLE_SUPERVISOR, &paths, SANDBOX_NONE, report, sizeof(report), &err) < 0)
            _exit(COULD_NOT_NARROW);
        if (sandbox_enter(role, &paths, SANDBOX_NONE, report, sizeof(report), &err) < 0)
            _exit(COULD_NOT_NARROW);
        _exit(call());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_killed(enum imsg_role role, int (*call)(void))
{
    int status = status_of(role, call);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
        print_error("%s: status %#x\n", imsg_role_name(role), (unsigned)status);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void assert_passes(enum imsg_role role, int (*call)(void))
{
    int status = status_of(role, call);
    if (status != 0)
        print_error("%s: status %#x\n", imsg_role_name(role), (unsigned)status);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static int call_exec(void)
{
    char program[] = "/bin/true", *const argv[] = { program, NULL }, *const envp[] = { NULL };
    execve(program, argv, envp);
    return 1;
}

static int call_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

static int call_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 1 : 2;
}

static int call_inet_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : 1;
}

/* Not even a socket of this host: a library is told that there is no such thing. */
static int call_no_neighbour(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT ? 0 : 1;
}

static int call_packet_socket(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0) >= 0 ? 0 : 1;
}

static int call_kill_parent(void)
{
    return kill(getppid(), 0) == 0 ? 1 : 2;
}

static int call_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) >= 0 ? 1 : 2;
}

static int call_open_write_inside(void)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/written", inside);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    return fd >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0 && unlink(path) == 0 ? 0 : 1;
}

static int call_open_write_outside(void)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/written", outside);
    return open(path, O_WRONLY | O_CREAT, 0600) < 0 ? 0 : 1; /* 0: landlock said no */
}

static int call_truncate_outside(void)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/there", outside);
    return open(path, O_RDONLY | O_TRUNC) < 0 ? 0 : 1;
}

static int call_read_outside(void)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/there", outside);
    return open(path, O_RDONLY) < 0 ? 0 : 1; /* 0: landlock said no */
}

static int call_read_etc(void)
{
    char byte;
    int fd = open("/etc/passwd", O_RDONLY);
    return fd >= 0 && read(fd, &byte, 1) == 1 ? 0 : 1;
}

static int call_read_rest_of_etc(void)
{
    return open("/etc/debian_version", O_RDONLY) < 0 && open("/etc/group", O_RDONLY) < 0 ? 0 : 1;
}

static int call_executable_memory(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 ? 0 : 1;
}

static int call_everyday_work(void)
{
    int pair[2], ep = epoll_create1(EPOLL_CLOEXEC);
    char byte = 0;
    struct timespec now;
    if (ep < 0 || pipe2(pair, O_CLOEXEC) < 0 || clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        return 1;
    struct epoll_event e = { .events = EPOLLIN };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, pair[0], &e) < 0 || write(pair[1], "x", 1) != 1 ||
        epoll_wait(ep, &e, 1, 1000) != 1 || read(pair[0], &byte, 1) != 1 || byte != 'x')
        return 2;
    for (size_t n = 1; n < (64U << 20); n *= 4) { /* heap and mapping sizes */
        char *p = malloc(n);
        if (p == NULL)
            return 3;
        memset(p, 1, n);
        p = realloc(p, n * 2);
        free(p);
    }
    char line[64];
    (void)snprintf(line, sizeof(line), "%s", strerror(EACCES));
    log_info("everyday", "work=done"); /* dates: the first one looks for a time zone */
    return fprintf(stderr, "%s", "") == 0 ? 0 : 4;
}

static int call_abort(void)
{
    abort();
}

static int call_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 1;
    int rc = connect(fd, (struct sockaddr *)&listener_address, sizeof(listener_address));
    if (rc < 0 && errno != EINPROGRESS)
        return 2;
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int error = 0;
    socklen_t len = sizeof(error);
    return poll(&p, 1, 2000) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
                   error == 0
               ? 0
               : 3;
}

static int call_accept(void)
{
    int rc = call_connect();
    return rc != 0 ? rc : accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) >= 0 ? 0 : 4;
}

static int call_bind(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ? 1 : 2;
}

static int call_key_ring(void)
{
    return syscall(SYS_keyctl, 0, 0, 0, 0, 0) < 0 && errno == ENOSYS ? 0 : 1;
}

static int call_look_up_name(void)
{
    struct addrinfo *found = NULL, hints = { .ai_socktype = SOCK_STREAM };
    int rc = getaddrinfo("localhost", "5432", &hints, &found);
    if (rc == 0)
        freeaddrinfo(found);
    /* An unreachable name server is the network's affair; being killed would be ours. */
    (void)getaddrinfo("no-such-host.invalid", "5432", &hints, &found);
    return rc == 0 ? 0 : 1;
}

/* What openat2(2) gives for PATH in FOLDER; where landlock is not there it is not, either. */
static int try_openat2(const char *in, int flags)
{
    char path[96];
    const struct open_how how = { .flags = (uint64_t)flags,
                                  .mode = (flags & O_CREAT) != 0 ? 0600 : 0 };
    (void)snprintf(path, sizeof(path), "%s/there", in);
    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

static int call_serve_a_file(void)
{
    char path[96], byte;
    int pair[2];
    (void)snprintf(path, sizeof(path), "%s/there", inside);
    int fd = try_openat2(inside, O_RDONLY | O_NOFOLLOW);
    if (fd < 0 && errno == ENOSYS)
        fd = open(path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0 || pipe2(pair, O_CLOEXEC) < 0 || sendfile(pair[1], fd, NULL, 1) != 1)
        return 1;
    return read(pair[0], &byte, 1) == 1 && byte == 'x' ? 0 : 2;
}

static int call_openat2_write_outside(void)
{
    return try_openat2(outside, O_WRONLY) < 0 && try_openat2(outside, O_RDONLY | O_TRUNC) < 0 &&
                   (errno == EACCES || errno == ENOSYS)
               ? 0
               : 1;
}

static int call_accept_only(void)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* an earlier test may have connected */
    return fd >= 0 || errno == EAGAIN ? 0 : 1;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static const enum imsg_role children[] = { ROLE_WORKER,  ROLE_PARSER,  ROLE_LEDGER,
                                           ROLE_CONTROL, ROLE_COURIER, ROLE_HUB };

static void no_child_runs_a_program_or_makes_a_process(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(children); i++) {
        assert_killed(children[i], call_exec);
        assert_killed(children[i], call_fork);
    }
}

static void no_role_traces_another_process(void **state)
{
    (void)state;
    assert_killed(ROLE_SUPERVISOR, call_ptrace);
    for (size_t i = 0; i < RF_COUNT(children); i++)
        assert_killed(children[i], call_ptrace);
}

static void no_child_signals_another_process(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(children); i++)
        assert_killed(children[i], call_kill_parent);
}

static void no_role_uses_what_is_not_in_the_table(void **state)
{
    (void)state;
    assert_killed(ROLE_SUPERVISOR, call_io_uring);
    for (size_t i = 0; i < RF_COUNT(children); i++)
        assert_killed(children[i], call_io_uring);
}

static void parser_and_ledger_have_no_network(void **state)
{
    (void)state;
    assert_killed(ROLE_PARSER, call_inet_socket);
    assert_killed(ROLE_LEDGER, call_inet_socket);
}

static void a_worker_has_no_sockets_but_those_to_servers(void **state)
{
    (void)state;
    assert_passes(ROLE_WORKER, call_inet_socket);
    assert_killed(ROLE_WORKER, call_packet_socket);
    assert_killed(ROLE_WORKER, call_bind);
}

static void worker_and_control_open_nothing_for_writing(void **state)
{
    static const enum imsg_role readers[] = { ROLE_WORKER, ROLE_CONTROL };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(readers); i++) {
        assert_killed(readers[i], call_open_write_inside);
        assert_killed(readers[i], call_open_write_outside);
        assert_killed(readers[i], call_truncate_outside);
    }
}

static void the_parser_opens_no_file(void **state)
{
    (void)state;
    assert_killed(ROLE_PARSER, call_read_etc);
    assert_killed(ROLE_PARSER, call_open_write_inside);
}

static void the_ledger_writes_below_its_folder(void **state)
{
    (void)state;
    assert_passes(ROLE_LEDGER, call_open_write_inside);
}

static void nobody_opens_files_that_are_not_its_own(void **state)
{
    struct err err;
    char report[128];
    int status;
    (void)state;
    pid_t pid = fork(); /* does this kernel have landlock at all? */
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(sandbox_enter(ROLE_PARSER, NULL, SANDBOX_FULL, report, sizeof(report), &err) < 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        skip();
    assert_passes(ROLE_SUPERVISOR, call_open_write_outside);
    assert_passes(ROLE_LEDGER, call_open_write_outside);
    assert_passes(ROLE_LEDGER, call_read_outside);
    assert_passes(ROLE_CONTROL, call_read_outside);
    assert_passes(ROLE_WORKER, call_read_outside);
    assert_passes(ROLE_HUB, call_read_outside);
    assert_passes(ROLE_WORKER, call_read_rest_of_etc);
    assert_passes(ROLE_CONTROL, call_read_rest_of_etc);
    assert_passes(ROLE_COURIER, call_read_rest_of_etc);
}

static void memory_never_becomes_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(children); i++)
        assert_passes(children[i], call_executable_memory);
}

static void everyday_work_passes_in_every_role(void **state)
{
    (void)state;
    assert_passes(ROLE_SUPERVISOR, call_everyday_work);
    for (size_t i = 0; i < RF_COUNT(children); i++)
        assert_passes(children[i], call_everyday_work);
}

static void an_assertion_still_ends_in_abort(void **state)
{
    (void)state;
    for (size_t i = 0; i < RF_COUNT(children); i++) {
        int status = status_of(children[i], call_abort);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

static void a_worker_accepts_connects_and_looks_up_names(void **state)
{
    (void)state;
    assert_passes(ROLE_WORKER, call_accept);
    assert_passes(ROLE_WORKER, call_read_etc);
    assert_passes(ROLE_WORKER, call_look_up_name);
}

static void control_connects_and_looks_up_names(void **state)
{
    (void)state;
    assert_passes(ROLE_CONTROL, call_connect);
    assert_passes(ROLE_CONTROL, call_look_up_name);
    assert_passes(ROLE_COURIER, call_connect);
    assert_passes(ROLE_COURIER, call_look_up_name);
    assert_passes(ROLE_COURIER, call_no_neighbour);
    assert_killed(ROLE_COURIER, call_key_ring);
}

static void the_hub_accepts_and_sends_files_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < 2; i++) {
        below_supervisor = i == 1;
        assert_passes(ROLE_HUB, call_accept_only);
        assert_passes(ROLE_HUB, call_serve_a_file);
        assert_passes(ROLE_HUB, call_openat2_write_outside);
        assert_killed(ROLE_HUB, call_inet_socket);
        assert_killed(ROLE_HUB, call_connect);
        assert_killed(ROLE_HUB, call_bind);
        assert_killed(ROLE_HUB, call_open_write_inside);
        assert_killed(ROLE_HUB, call_truncate_outside);
    }
    below_supervisor = false;
    assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
}

static void every_role_keeps_its_rights_below_the_supervisor(void **state)
{
    (void)state;
    below_supervisor = true;
    for (size_t i = 0; i < RF_COUNT(children); i++) {
        assert_passes(children[i], call_everyday_work);
        assert_passes(children[i], call_executable_memory);
        assert_killed(children[i], call_exec);
    }
    assert_passes(ROLE_WORKER, call_accept);
    assert_passes(ROLE_WORKER, call_look_up_name);
    assert_passes(ROLE_CONTROL, call_connect);
    assert_passes(ROLE_CONTROL, call_look_up_name);
    assert_passes(ROLE_CONTROL, call_key_ring);
    assert_passes(ROLE_COURIER, call_connect);
    assert_passes(ROLE_COURIER, call_look_up_name);
    assert_passes(ROLE_LEDGER, call_open_write_inside);
    below_supervisor = false;
}

static void the_supervisor_makes_processes_and_runs_programs(void **state)
{
    (void)state;
    assert_passes(ROLE_SUPERVISOR, call_fork);
    assert_passes(ROLE_SUPERVISOR, call_exec);
    assert_passes(ROLE_SUPERVISOR, call_open_write_inside);
}

static void the_report_says_what_was_got(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char report[128];
        struct err err;
        int rc = sandbox_enter(ROLE_WORKER, NULL, SANDBOX_SECCOMP, report, sizeof(report), &err);
        _exit(rc == 0 && strncmp(report, "seccomp=yes landlock=", 21) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int make_folders(void **state)
{
    char path[96], readable[96];
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(inside, sizeof(inside), "%s/inside", folder);
    (void)snprintf(outside, sizeof(outside), "%s/outside", folder);
    (void)snprintf(path, sizeof(path), "%s/there", outside);
    (void)snprintf(readable, sizeof(readable), "%s/there", inside);
    if (mkdir(inside, 0700) < 0 || mkdir(outside, 0700) < 0)
        return -1;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || close(fd) < 0)
        return -1;
    fd = open(readable, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || close(fd) < 0)
        return -1;
    socklen_t len = sizeof(listener_address);
    listener_address.sin_family = AF_INET;
    listener_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    return bind(listener, (struct sockaddr *)&listener_address, len) < 0 ||
                   listen(listener, 16) < 0 ||
                   getsockname(listener, (struct sockaddr *)&listener_address, &len) < 0
               ? -1
               : 0;
}

static int remove_folders(void **state)
{
    char path[96], readable[96];
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/there", outside);
    (void)snprintf(readable, sizeof(readable), "%s/there", inside);
    (void)close(listener);
    return unlink(path) < 0 || unlink(readable) < 0 || rmdir(inside) < 0 || rmdir(outside) < 0 ||
                   rmdir(folder) < 0
               ? -1
               : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_child_runs_a_program_or_makes_a_process),
        cmocka_unit_test(no_role_traces_another_process),
        cmocka_unit_test(no_child_signals_another_process),
        cmocka_unit_test(no_role_uses_what_is_not_in_the_table),
        cmocka_unit_test(parser_and_ledger_have_no_network),
        cmocka_unit_test(a_worker_has_no_sockets_but_those_to_servers),
        cmocka_unit_test(worker_and_control_open_nothing_for_writing),
        cmocka_unit_test(the_parser_opens_no_file),
        cmocka_unit_test(the_ledger_writes_below_its_folder),
        cmocka_unit_test(nobody_opens_files_that_are_not_its_own),
        cmocka_unit_test(memory_never_becomes_code),
        cmocka_unit_test(everyday_work_passes_in_every_role),
        cmocka_unit_test(an_assertion_still_ends_in_abort),
        cmocka_unit_test(a_worker_accepts_connects_and_looks_up_names),
        cmocka_unit_test(control_connects_and_looks_up_names),
        cmocka_unit_test(the_hub_accepts_and_sends_files_and_nothing_else),
        cmocka_unit_test(every_role_keeps_its_rights_below_the_supervisor),
        cmocka_unit_test(the_supervisor_makes_processes_and_runs_programs),
        cmocka_unit_test(the_report_says_what_was_got),
    };
    if (is_instrumented()) {
        (void)printf("1..0 # SKIP the sandbox is off under sanitizers and valgrind\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
