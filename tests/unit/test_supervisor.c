/* The whole supervisor with real processes, sockets, signals and sandboxes. The children are this
 * very program: like ringfenced it is started again with --role, and then plays a small part that
 * writes what it sees to the log (standard error, a file here) and obeys one letter a connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "priv/child.h"
#include "priv/sandbox.h"
#include "super/super.h"

enum { PATIENCE_MS = 20000 };

/* ---- the children's part -------------------------------------------------------------------- */

static struct child me;

/* "0,1,2,3": what this process was born with. */
static void log_birth(void)
{
    char open_fds[200] = "";
    struct rlimit core, stack;
    DIR *fds = opendir("/proc/self/fd");
    for (int fd = 0; fds != NULL && fd < 1000; fd++)
        if (fd != dirfd(fds) && fcntl(fd, F_GETFD) >= 0)
            (void)snprintf(open_fds + strlen(open_fds), sizeof(open_fds) - strlen(open_fds), "%s%d",
                           fd > 0 ? "," : "", fd);
    if (fds != NULL)
        (void)closedir(fds);
    (void)getrlimit(RLIMIT_CORE, &core);
    (void)getrlimit(RLIMIT_STACK, &stack);
    mode_t mask = umask(077);
    log_info("born",
             "fds=%s secret=%s path=%s umask=%03o core=%llu stack_mb=%llu ppid=%ld uid=%ld.",
             open_fds, getenv("RF_TEST_SECRET") != NULL ? "seen" : "none",
             getenv("PATH") != NULL ? "kept" : "lost", (unsigned)mask,
             (unsigned long long)core.rlim_cur, (unsigned long long)(stack.rlim_cur >> 20),
             (long)getppid(), (long)getuid());
}

static void greet(enum imsg_role role)
{
    char word[16];
    for (size_t i = 0; i < me.peer_count; i++) {
        (void)snprintf(word, sizeof(word), "hello");
        ssize_t n = send(me.peers[i].fd, word, 5, MSG_NOSIGNAL | MSG_DONTWAIT);
        log_info("greets", "peer=%s-%u sent=%zd from=%s", imsg_role_name(me.peers[i].role),
                 me.peers[i].index, n, imsg_role_name(role));
    }
}

/* A company of that name is one that no child of this test serves. */
static bool is_refused(void)
{
    return strcmp(me.policy->company, "Refused") == 0;
}

static void on_config(struct imsg *m)
{
    struct err err;
    if (child_take(&me, m, &err) == 0) {
        child_retired_done(&me.retired);
        log_info("by", "company=%s credentials=%s.", me.policy->company,
                 me.credentials != NULL ? "yes" : "no");
        if (!is_refused()) {
            if (child_ready(&me, "") < 0)
                _exit(9);
            return;
        }
        (void)err_set(&err, RF_ECONFIG, "this company is refused");
    }
    if (child_failed(&me, &err) < 0)
        _exit(9);
}

/* False at the end. */
static bool on_message(void)
{
    struct imsg m;
    struct err err;
    int rc = imsg_recv(me.imsg_fd, &m);
    if (rc < 0)
        return errno == EAGAIN;
    if (rc == 0)
        return false;
    switch (m.type) {
    case IMSG_CONFIG:
        on_config(&m);
        return true;
    case IMSG_PEER:
        if (child_take(&me, &m, &err) == 0)
            log_info("peer", "role=%s replaced=%s.", imsg_role_name((enum imsg_role)m.arg),
                     me.replaced_fd >= 0 ? "yes" : "no");
        if (me.replaced_fd >= 0)
            (void)close(me.replaced_fd);
        return true;
    case IMSG_LISTEN:
        if (child_take(&me, &m, &err) == 0)
            log_info("listens", "index=%u.", m.arg);
        return true;
    case IMSG_CANCEL:
        log_info("cancels", "key=%.*s.", (int)m.len, (const char *)m.payload);
        return true;
    case IMSG_STOP:
        log_info("ends", "role=told.");
        return false;
    default:
        return true;
    }
}

/* As a worker that was taken over: as much as the socket takes, again and again. */
static void flood(int count, enum imsg_type type, uint32_t arg)
{
    for (int i = 0; i < count; i++)
        while (imsg_send(me.imsg_fd, type, arg, "key", 3, NULL, 0) < 0) {
            struct pollfd p = { .fd = me.imsg_fd, .events = POLLOUT };
            if (errno != EAGAIN || poll(&p, 1, PATIENCE_MS) != 1)
                _exit(9);
        }
}

static void complain_of(enum imsg_role role)
{
    if (imsg_send(me.imsg_fd, IMSG_PEER_BAD, role, NULL, 0, NULL, 0) < 0)
        _exit(9);
}

static void on_client(int listen_fd)
{
    char letter = 0;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return; /* another worker was first */
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (poll(&p, 1, PATIENCE_MS) == 1 && recv(fd, &letter, 1, 0) == 1) {
        if (letter == 'x')
            abort();
        if (letter == 's')
            (void)socket(AF_PACKET, SOCK_RAW, 0); /* forbidden: the sandbox ends us */
        if (letter == 'c' &&
            imsg_send(me.imsg_fd, IMSG_CANCEL_FOR, me.index == 0 ? 1 : 0, "key", 3, NULL, 0) < 0)
            _exit(9);
        if (letter == 'm')
            flood(5000, IMSG_CANCEL_FOR, me.index == 0 ? 1 : 0);
        if (letter == 'e')
            flood(INT32_MAX, IMSG_READY, 0);
        if (letter == 'f')
            flood(2, IMSG_FAILED, 0);
        if (letter == 'p' || letter == 'l')
            complain_of(letter == 'p' ? ROLE_PARSER : ROLE_LEDGER);
        letter = (char)('0' + me.index);
        (void)send(fd, &letter, 1, MSG_NOSIGNAL);
    }
    (void)close(fd);
}

static const char *mapping_right(int fd)
{
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
    return flags < 0 ? "no" : (flags & O_ACCMODE) == O_RDONLY ? "read" : "write";
}

static int serve(enum imsg_role role)
{
    for (;;) {
        struct pollfd polls[16] = { { .fd = me.imsg_fd, .events = POLLIN } };
        nfds_t count = 1;
        for (size_t i = 0; i < me.listen_count && count < 16; i++)
            polls[count++] = (struct pollfd){ .fd = me.listen_fds[i], .events = POLLIN };
        if (poll(polls, count, -1) < 0)
            return 9;
        for (nfds_t i = 1; i < count; i++)
            if (role == ROLE_WORKER && (polls[i].revents & POLLIN) != 0)
                on_client(polls[i].fd);
        if (polls[0].revents != 0 && !on_message())
            return 0;
    }
}

static int play(const char *name, unsigned index)
{
    static char label[24];
    enum imsg_role role = ROLE_SUPERVISOR;
    char report[128];
    struct err err;
    while (role < ROLE_COUNT && strcmp(imsg_role_name(role), name) != 0)
        role++;
    (void)snprintf(label, sizeof(label), "%s-%u", name, index);
    log_open(label, LOG_LEVEL_INFO);
    log_birth();
    if (child_begin(IMSG_CHILD_FD, index, &me, &err) < 0)
        return 3;
    const char *const state[] = { me.config->state_dir, NULL };
    const struct sandbox_paths paths = { .read_write = role == ROLE_LEDGER ? state : NULL };
    int rc = sandbox_enter(role, &paths, me.config->sandbox_floor, report, sizeof(report), &err);
    if (rc == 0 && is_refused())
        rc = err_set(&err, RF_ECONFIG, "this company is refused");
    if (rc < 0) {
        return child_failed(&me, &err) < 0 ? 9 : 3;
    }
    greet(role);
    log_info("serves", "listeners=%zu lease=%s grants=%s credentials=%s workers=%u company=%s.",
             me.listen_count, mapping_right(me.lease_fd), mapping_right(me.grants_fd),
             me.credentials != NULL ? "yes" : "no", me.workers, me.policy->company);
    if (child_ready(&me, report) < 0)
        return 9;
    return serve(role);
}

/* ---- the test's part ------------------------------------------------------------------------ */

static char folder[64], log_path[96], notify_path[96];
static pid_t supervisor;

/* Root's supervisor becomes this user, who therefore owns the files. */
static void give_away(int fd)
{
    const struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
    if (nobody != NULL)
        assert_int_equal(fchown(fd, nobody->pw_uid, (gid_t)-1), 0);
}

static void write_file(const char *name, mode_t mode, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    give_away(fd);
    (void)close(fd);
}

static void write_policy(const char *company)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "version: 1\ncompany: %s\njurisdictions:\n  US: [US]\n"
                   "regions:\n  us-virginia: {jurisdiction: US, place: US}\n"
                   "entities:\n  clipstream-us: {country: US}\n"
                   "listeners:\n  main: {address: 127.0.0.1, place: identity}\n"
                   "networks:\n  loopback: {range: 127.0.0.0/8, place: identity}\n"
                   "purposes: [debugging]\n"
                   "actors:\n  us_analyst: {kind: person, entity: clipstream-us, place: US,"
                   " department: analytics}\n"
                   "tables:\n  app.colours:\n    columns: {id: none, name: none}\n",
                   company);
    write_file("policy.yaml", 0644, text);
}

static unsigned worker_count = 2;

static void write_config(const char *listen, const char *more)
{
    char text[1024];
    const char *user = geteuid() == 0 ? "user: nobody\n" : "";
    (void)snprintf(text, sizeof(text),
                   "name: test\nplace: US\npolicy: policy.yaml\ncredentials: credentials\n"
                   "state: state\nrun: run\nworkers: %u\nsandbox: none\nlisten:\n%s"
                   "limits: {shutdown: 1s}\n"
                   "databases:\n  one: {region: us-virginia, database: app,"
                   " primary: [\"127.0.0.1:5432\"], standby: [\"127.0.0.1:5433\"], tls: off}\n%s%s",
                   worker_count, listen, more, user);
    write_file("ringfence.yaml", 0644, text);
}

static int make_files(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/rf-supervisor-XXXXXX");
    if (mkdtemp(folder) == NULL || chmod(folder, 0755) < 0)
        return -1;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    give_away(fd);
    (void)close(fd);
    (void)snprintf(log_path, sizeof(log_path), "%s/log", folder);
    (void)snprintf(notify_path, sizeof(notify_path), "%s/notify", folder);
    worker_count = 2;
    write_policy("Clipstream");
    write_config("  - {unix: run/s}\n", "");
    write_file("credentials", 0600, "# nobody yet\n");
    supervisor = 0;
    return 0;
}

static int remove_files(void **state)
{
    char command[128];
    (void)state;
    if (supervisor > 0) {
        (void)kill(supervisor, SIGKILL);
        (void)waitpid(supervisor, NULL, 0);
    }
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static void start(void)
{
    char config[128];
    (void)snprintf(config, sizeof(config), "%s/ringfence.yaml", folder);
    (void)setenv("RF_TEST_SECRET", "secret", 1);
    (void)setenv("NOTIFY_SOCKET", notify_path, 1);
    supervisor = fork();
    assert_true(supervisor >= 0);
    if (supervisor == 0) {
        int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
        if (log < 0 || dup2(log, STDERR_FILENO) < 0 || dup2(log, 77) < 0)
            _exit(9);
        _exit(super_main(config)); /* 77: a descriptor that no child may inherit */
    }
}

static char *read_log(void)
{
    static char text[256 * 1024];
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int times_in_log(const char *wanted)
{
    int count = 0;
    for (const char *at = read_log(); (at = strstr(at, wanted)) != NULL; at++)
        count++;
    return count;
}

static void wait_for(const char *wanted, int times)
{
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    while (times_in_log(wanted) < times) {
        siginfo_t ended = { 0 };
        (void)waitid(P_PID, (id_t)supervisor, &ended, WEXITED | WNOHANG | WNOWAIT);
        if (clock_mono_ms() > until_ms || ended.si_pid == supervisor) {
            print_error("the log never says \"%s\" %d times:\n%s\n", wanted, times, read_log());
            fail();
        }
        (void)poll(NULL, 0, 10);
    }
}

static int wait_for_end(void)
{
    int status = -1;
    for (int64_t until_ms = clock_mono_ms() + PATIENCE_MS; clock_mono_ms() < until_ms;) {
        if (waitpid(supervisor, &status, WNOHANG) == supervisor) {
            supervisor = 0;
            assert_true(WIFEXITED(status));
            return WEXITSTATUS(status);
        }
        (void)poll(NULL, 0, 10);
    }
    print_error("the supervisor does not end:\n%s\n", read_log());
    fail();
    return -1;
}

/* The pid of a child, from its last "child-started". */
static pid_t pid_of(const char *name)
{
    char wanted[64];
    const char *last = NULL;
    (void)snprintf(wanted, sizeof(wanted), "event=child-started child=%s pid=", name);
    for (const char *at = read_log(); (at = strstr(at, wanted)) != NULL; at++)
        last = at;
    assert_non_null(last);
    return (pid_t)strtol(last + strlen(wanted), NULL, 10);
}

static int connect_to(const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", folder, name);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* What a worker answers to LETTER: its digit, or 0 when it died of it. */
static char ask(const char *name, char letter)
{
    char answer = 0;
    int fd = connect_to(name);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, &letter, 1, MSG_NOSIGNAL), 1);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    if (recv(fd, &answer, 1, 0) != 1)
        answer = 0;
    (void)close(fd);
    return answer;
}

static void stop(void)
{
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    assert_int_equal(wait_for_end(), 0);
}

static bool comes_before(const char *one, const char *other)
{
    const char *log = read_log(), *a = strstr(log, one), *b = strstr(log, other);
    return a != NULL && b != NULL && a < b;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void all_start_in_order_with_what_they_need_and_nothing_else(void **state)
{
    char text[64];
    (void)state;
    start();
    wait_for("event=serving", 1);
    assert_true(
        comes_before("event=child-ready child=ledger-0", "event=child-started child=worker-0"));
    assert_true(
        comes_before("event=child-ready child=ledger-0", "event=child-started child=control-0"));
    assert_int_equal(times_in_log("event=child-ready"), 5);
    assert_int_equal(times_in_log("sandbox=\"seccomp="), 6); /* and the supervisor's own */
    assert_int_equal(times_in_log("fds=0,1,2,3 "), 5);
    assert_int_equal(times_in_log("secret=none path=kept umask=077 core=0"), 5);
    assert_int_equal(times_in_log("stack_mb=512"), 1);
    (void)snprintf(text, sizeof(text), "ppid=%ld ", (long)supervisor);
    assert_int_equal(times_in_log(text), 5);
    assert_int_equal(times_in_log("uid=0."), 0);
    assert_int_equal(times_in_log("listeners=1 lease=read grants=read credentials=yes workers=2"),
                     2);
    assert_int_equal(times_in_log("lease=write grants=write credentials=no"), 1); /* control */
    assert_int_equal(times_in_log("lease=no grants=no credentials=yes"), 1); /* ledger: its news */
    assert_int_equal(times_in_log("lease=no grants=no credentials=no"), 1);  /* parser */
    assert_int_equal(times_in_log("peer=ledger-0 sent=5 from=worker"), 2);
    assert_int_equal(times_in_log("peer=parser-0 sent=5 from=worker"), 2);
    stop();
}

static void the_supervisor_leaves_no_core(void **state)
{
    static const char wanted[] = "Max core file size";
    char path[64], text[4096] = "", soft[24] = "", hard[24] = "";
    (void)state;
    start();
    wait_for("event=serving", 1);
    (void)snprintf(path, sizeof(path), "/proc/%ld/limits", (long)supervisor);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    const char *line = strstr(text, wanted);
    assert_non_null(line);
    assert_int_equal(sscanf(line + strlen(wanted), "%23s %23s", soft, hard), 2);
    assert_string_equal(soft, "0");
    assert_string_equal(hard, "0");
    stop();
}

static void a_child_shows_its_role_and_no_secret_in_its_title(void **state)
{
    static const char expected[] = "ringfenced: worker 1\0--role\0worker\0--index\0"
                                   "1";
    char path[64], title[256];
    (void)state;
    start();
    wait_for("event=serving", 1);
    (void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid_of("worker-1"));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, title, sizeof(title)), sizeof(expected));
    assert_memory_equal(title, expected, sizeof(expected));
    (void)close(fd);
    stop();
}

static void systemd_hears_of_start_reload_and_end(void **state)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    char all[2048] = "", one[512];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t n;
    (void)state;
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", notify_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(chmod(notify_path, 0777), 0);
    start();
    wait_for("event=serving", 1);
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reloaded", 1);
    stop();
    while ((n = recv(fd, one, sizeof(one) - 1, MSG_DONTWAIT)) > 0)
        (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%.*s|", (int)n, one);
    (void)close(fd);
    const char *ready = strstr(all, "READY=1"), *reloading = strstr(all, "RELOADING=1\nMONOTONIC_");
    assert_non_null(ready);
    assert_true(reloading > ready);
    assert_true(strstr(reloading, "|READY=1") != NULL);
    assert_true(strstr(all, "STOPPING=1") > reloading);
}

static void an_orderly_end_leaves_the_ledger_for_last_and_no_files(void **state)
{
    char path[128];
    (void)state;
    start();
    wait_for("event=serving", 1);
    stop();
    assert_int_equal(times_in_log("event=child-ended"), 5);
    assert_true(
        comes_before("event=child-ended child=worker-0", "event=child-ended child=control-0"));
    assert_true(
        comes_before("event=child-ended child=worker-1", "event=child-ended child=control-0"));
    assert_true(
        comes_before("event=child-ended child=control-0", "event=child-ended child=parser-0"));
    assert_true(
        comes_before("event=child-ended child=parser-0", "event=child-ended child=ledger-0"));
    (void)snprintf(path, sizeof(path), "%s/run/ringfenced.pid", folder);
    assert_int_equal(access(path, F_OK), -1);
    (void)snprintf(path, sizeof(path), "%s/run/s", folder);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_dead_worker_comes_back_at_once_with_fresh_lines(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    pid_t dead = pid_of("worker-0"), other = pid_of("worker-1");
    assert_int_equal(kill(dead, SIGKILL), 0);
    wait_for("event=child-ready child=worker-0", 2);
    assert_int_not_equal(pid_of("worker-0"), dead);
    assert_int_equal(pid_of("worker-1"), other);
    assert_int_equal(times_in_log("event=child-died child=worker-0"), 1);
    assert_int_equal(times_in_log("signal=SIGKILL"), 1);
    assert_int_equal(times_in_log("event=child-restart child=worker-0 in_ms=0"), 1);
    wait_for("role=worker replaced=yes", 2); /* ledger and parser */
    assert_int_equal(times_in_log("peer=ledger-0 sent=5 from=worker"), 3);
    stop();
}

static void connections_wait_while_all_workers_are_dead(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    assert_int_equal(kill(pid_of("worker-0"), SIGSTOP), 0);
    assert_int_equal(kill(pid_of("worker-1"), SIGSTOP), 0);
    int fd = connect_to("run/s");
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "w", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(kill(pid_of("worker-0"), SIGKILL), 0);
    assert_int_equal(kill(pid_of("worker-1"), SIGKILL), 0);
    char digit = 0;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_int_equal(recv(fd, &digit, 1, 0), 1); /* a successor answers the same connection */
    assert_true(digit == '0' || digit == '1');
    (void)close(fd);
    stop();
}

static void a_dead_ledger_or_parser_is_replaced_for_every_worker(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    assert_int_equal(kill(pid_of("ledger-0"), SIGKILL), 0);
    wait_for("event=child-ready child=ledger-0", 2);
    wait_for("event=peer role=ledger replaced=yes", 2);
    assert_int_equal(kill(pid_of("parser-0"), SIGKILL), 0);
    wait_for("event=child-ready child=parser-0", 2);
    wait_for("event=peer role=parser replaced=yes", 2);
    assert_int_equal(times_in_log("event=child-died child=worker"), 0);
    stop();
}

static void what_a_worker_died_of_is_in_the_log(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    assert_int_equal(ask("run/s", 'x'), 0);
    wait_for("signal=SIGABRT", 1);
    wait_for("event=child-ready", 6);
#ifndef SANDBOX_OFF
    assert_int_equal(ask("run/s", 's'), 0);
    wait_for("signal=SIGSYS", 1);
    wait_for("reason=\"it made a system call that its sandbox forbids\"", 1);
#endif
    assert_in_range(ask("run/s", 'w'), '0', '1');
    stop();
}

static void a_cancel_request_reaches_the_worker_that_it_names(void **state)
{
    char expected[64];
    (void)state;
    start();
    wait_for("event=serving", 1);
    char answered = ask("run/s", 'c');
    (void)snprintf(expected, sizeof(expected), "role=worker-%d event=cancels key=key.",
                   answered == '0' ? 1 : 0);
    wait_for(expected, 1);
    stop();
}

static void cancels_for_a_worker_that_does_not_read_are_dropped(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    pid_t deaf = pid_of("worker-1");
    assert_int_equal(kill(deaf, SIGSTOP), 0);
    assert_int_equal(ask("run/s", 'm'), '0');
    assert_int_equal(kill(deaf, SIGCONT), 0);
    wait_for("role=worker-1 event=cancels", 64);
    assert_int_equal(times_in_log("event=child-killed"), 0);
    stop();
}

static void a_child_that_never_stops_talking_holds_nothing_up(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    for (int i = 0; i < 2; i++) {
        int fd = connect_to("run/s");
        assert_true(fd >= 0);
        assert_int_equal(send(fd, "e", 1, MSG_NOSIGNAL), 1);
        (void)close(fd);
    }
    (void)poll(NULL, 0, 200);
    write_policy("Newstream");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("role=control-0 event=by company=Newstream", 1);
    stop();
}

static void a_worker_that_gives_up_twice_is_ended(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    (void)ask("run/s", 'f');
    wait_for("reason=\"it broke the protocol\"", 1);
    wait_for("event=child-ready", 6);
    stop();
}

static void a_parser_that_a_worker_complains_of_is_replaced(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    assert_in_range(ask("run/s", 'p'), '0', '1');
    wait_for("event=child-ready child=parser-0", 2);
    wait_for("event=peer role=parser replaced=yes", 2);
    assert_int_equal(times_in_log("event=child-died child=worker"), 0);
    stop();
}

static void a_worker_that_complains_of_the_ledger_gets_new_lines_and_then_its_end(void **state)
{
    static const char last[] = "the ledger ends every conversation with it";
    (void)state;
    start();
    wait_for("event=serving", 1);
    for (int i = 0; i < 7 && times_in_log(last) == 0; i++) { /* two workers, three lines each */
        (void)ask("run/s", 'l');
        wait_for("event=worker-relinked", i + 1);
    }
    wait_for(last, 1);
    wait_for("event=child-ready", 6);
    assert_int_equal(times_in_log("event=child-died child=ledger"), 0);
    stop();
}

static void a_reload_that_is_asked_for_during_another_follows_it(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    pid_t slow = pid_of("worker-1");
    assert_int_equal(kill(slow, SIGSTOP), 0);
    write_policy("Newstream");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=child-reloaded", 3); /* the ledger is told last */
    write_policy("Thirdstream");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    (void)poll(NULL, 0, 200); /* it is heard before the first one is over */
    assert_int_equal(kill(slow, SIGCONT), 0);
    wait_for("event=by company=Thirdstream", 5);
    wait_for("event=reloaded", 2);
    stop();
}

static void a_reload_reaches_everybody_and_restarts_nobody(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    write_policy("Newstream");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reloaded", 1);
    assert_int_equal(times_in_log("event=by company=Newstream credentials=yes."), 3);
    assert_int_equal(times_in_log("event=by company=Newstream credentials=no."), 2);
    assert_int_equal(times_in_log("event=child-started"), 5);
    assert_int_equal(kill(pid_of("worker-0"), SIGKILL), 0);
    wait_for("company=Newstream.", 1); /* so does whoever starts later */
    stop();
}

static void a_reload_with_mistakes_changes_nothing_and_lists_them(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    write_file("policy.yaml", 0644, "version: 1\ncolour: green\nshape: round\n");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reload-refused", 1);
    assert_true(times_in_log("policy.yaml:2") >= 1);
    assert_true(times_in_log("policy.yaml:3") >= 1);
    assert_int_equal(times_in_log("event=by"), 0);
    write_policy("Newstream");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reloaded", 1);
    stop();
}

static void a_reload_that_a_child_cannot_take_is_undone_for_all(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    write_policy("Refused");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reload-refused", 1);
    assert_int_equal(times_in_log("event=by company=Refused"), 4);    /* the ledger heard nothing */
    assert_int_equal(times_in_log("event=by company=Clipstream"), 4); /* told the old one again */
    assert_int_equal(times_in_log("event=child-started"), 5);
    assert_in_range(ask("run/s", 'w'), '0', '1');
    stop();
}

static void a_reload_opens_and_closes_listeners(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    write_config("  - {unix: run/t}\n  - {unix: run/s}\n", "");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=listens index=0", 2);
    assert_in_range(ask("run/t", 'w'), '0', '1');
    assert_in_range(ask("run/s", 'w'), '0', '1');
    write_config("  - {unix: run/t}\n", "");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reloaded", 2);
    assert_int_equal(connect_to("run/s"), -1);
    assert_in_range(ask("run/t", 'w'), '0', '1');
    stop();
}

static void a_listener_that_cannot_open_refuses_the_reload(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    write_config("  - {unix: no-such-folder/s}\n", "");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reload-refused", 1);
    assert_in_range(ask("run/s", 'w'), '0', '1');
    stop();
}

static void what_needs_a_restart_is_refused_by_a_reload(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    write_config("  - {unix: run/s}\n", "log: debug\n");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reloaded", 1);
    worker_count = 3;
    write_config("  - {unix: run/s}\n", "");
    assert_int_equal(kill(supervisor, SIGHUP), 0);
    wait_for("event=reload-refused", 1);
    assert_int_equal(times_in_log("workers: cannot change while running"), 1);
    stop();
}

static void a_child_that_cannot_start_ends_the_start(void **state)
{
    (void)state;
    write_policy("Refused");
    start();
    assert_int_equal(wait_for_end(), 3);
    assert_true(times_in_log("reason=\"this company is refused\"") >= 1);
    assert_int_equal(times_in_log("event=serving"), 0);
}

static void a_second_supervisor_is_refused(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    pid_t first = supervisor;
    start();
    assert_int_equal(wait_for_end(), 3);
    assert_int_equal(times_in_log("another ringfenced, process"), 1);
    supervisor = first;
    assert_in_range(ask("run/s", 'w'), '0', '1');
    stop();
}

static void children_do_not_outlive_the_supervisor(void **state)
{
    pid_t pids[3];
    (void)state;
    start();
    wait_for("event=serving", 1);
    pids[0] = pid_of("worker-0");
    pids[1] = pid_of("ledger-0");
    pids[2] = pid_of("parser-0");
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    assert_int_equal(waitpid(supervisor, NULL, 0), supervisor);
    supervisor = 0;
    for (size_t i = 0; i < RF_COUNT(pids); i++) {
        char path[64], state_text[256] = "", *paren;
        int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
        (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pids[i]);
        for (;;) { /* gone, or a zombie that this container's init has not collected */
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            ssize_t n = fd < 0 ? 0 : read(fd, state_text, sizeof(state_text) - 1);
            state_text[n > 0 ? n : 0] = '\0';
            if (fd >= 0)
                (void)close(fd);
            paren = strrchr(state_text, ')');
            if (paren == NULL || paren[2] == 'Z' || paren[2] == 'X')
                break;
            assert_true(clock_mono_ms() < until_ms);
            (void)poll(NULL, 0, 10);
        }
    }
}

static void a_stop_that_takes_too_long_is_cut_short(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    assert_int_equal(kill(pid_of("worker-0"), SIGSTOP), 0); /* limits.shutdown is a second */
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    assert_int_equal(wait_for_end(), 0);
    assert_int_equal(times_in_log("child=worker-0 pid="), 4); /* started, ready, killed, died */
    assert_int_equal(times_in_log("it did not stop in time"), 1);
    assert_int_equal(times_in_log("event=child-ended child=ledger-0"), 1);
}

static void a_second_signal_ends_at_once_and_the_ledger_still_in_order(void **state)
{
    (void)state;
    start();
    wait_for("event=serving", 1);
    int64_t began_ms = clock_mono_ms();
    assert_int_equal(kill(pid_of("worker-0"), SIGSTOP), 0);
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    wait_for("event=stopping", 1);
    assert_int_equal(kill(supervisor, SIGINT), 0);
    assert_int_equal(wait_for_end(), 0);
    assert_true(clock_mono_ms() - began_ms < 3000);
    assert_int_equal(times_in_log("event=child-ended child=ledger-0"), 1);
}

static void root_needs_somebody_to_become(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    char text[2048], *user;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/ringfence.yaml", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n] = '\0';
    user = strstr(text, "user: ");
    *user = '\0';
    write_file("ringfence.yaml", 0644, text);
    start();
    assert_int_equal(wait_for_end(), 2);
    assert_int_equal(times_in_log("ringfenced does not run as root"), 1);
    (void)snprintf(user, 16, "user: root\n");
    write_file("ringfence.yaml", 0644, text);
    start();
    assert_int_equal(wait_for_end(), 2);
    assert_int_equal(times_in_log("is root"), 1);
}

static void every_mistake_of_a_start_is_printed(void **state)
{
    (void)state;
    write_file("policy.yaml", 0644, "version: 1\ncolour: green\nshape: round\n");
    write_file("credentials", 0600, "nonsense\n");
    start();
    assert_int_equal(wait_for_end(), 2);
    assert_true(times_in_log("policy.yaml:2:") >= 1 && times_in_log("policy.yaml:3:") >= 1);
    assert_true(times_in_log("credentials:1:") >= 1);
    assert_int_equal(times_in_log("event=child-started"), 0);
}

#define supervised(test) cmocka_unit_test_setup_teardown(test, make_files, remove_files)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        supervised(all_start_in_order_with_what_they_need_and_nothing_else),
        supervised(the_supervisor_leaves_no_core),
        supervised(a_child_shows_its_role_and_no_secret_in_its_title),
        supervised(systemd_hears_of_start_reload_and_end),
        supervised(an_orderly_end_leaves_the_ledger_for_last_and_no_files),
        supervised(a_dead_worker_comes_back_at_once_with_fresh_lines),
        supervised(connections_wait_while_all_workers_are_dead),
        supervised(a_dead_ledger_or_parser_is_replaced_for_every_worker),
        supervised(what_a_worker_died_of_is_in_the_log),
        supervised(a_cancel_request_reaches_the_worker_that_it_names),
        supervised(cancels_for_a_worker_that_does_not_read_are_dropped),
        supervised(a_child_that_never_stops_talking_holds_nothing_up),
        supervised(a_worker_that_gives_up_twice_is_ended),
        supervised(a_parser_that_a_worker_complains_of_is_replaced),
        supervised(a_worker_that_complains_of_the_ledger_gets_new_lines_and_then_its_end),
        supervised(a_reload_that_is_asked_for_during_another_follows_it),
        supervised(a_reload_reaches_everybody_and_restarts_nobody),
        supervised(a_reload_with_mistakes_changes_nothing_and_lists_them),
        supervised(a_reload_that_a_child_cannot_take_is_undone_for_all),
        supervised(a_reload_opens_and_closes_listeners),
        supervised(a_listener_that_cannot_open_refuses_the_reload),
        supervised(what_needs_a_restart_is_refused_by_a_reload),
        supervised(a_child_that_cannot_start_ends_the_start),
        supervised(a_second_supervisor_is_refused),
        supervised(children_do_not_outlive_the_supervisor),
        supervised(a_stop_that_takes_too_long_is_cut_short),
        supervised(a_second_signal_ends_at_once_and_the_ledger_still_in_order),
        supervised(root_needs_somebody_to_become),
        supervised(every_mistake_of_a_start_is_printed),
    };
    const char *preload = getenv("LD_PRELOAD");
    if (argc == 5 && strcmp(argv[1], "--role") == 0)
        return play(argv[2], (unsigned)strtoul(argv[4], NULL, 10));
    if (preload != NULL && strstr(preload, "vgpreload") != NULL) {
        (void)printf("1..0 # SKIP valgrind does not follow a program started by its descriptor\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
