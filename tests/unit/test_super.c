/* The parts of the supervisor, each by itself. test_supervisor.c runs the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "priv/listener.h"
#include "super/backoff.h"
#include "super/bundle.h"
#include "super/notify.h"
#include "super/outbox.h"
#include "super/pidfile.h"
#include "tlog/key.h"

static char folder[64];

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, mode_t mode, const char *text)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/rf-super-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* ---- backoff -------------------------------------------------------------------------------- */

static void deaths_in_a_row_wait_longer(void **state)
{
    /* at what time it started and died; how long until the next start */
    static const struct {
        enum imsg_role role;
        int64_t lived_ms[8], waits_ms[8];
    } rows[] = {
        { ROLE_WORKER, { 0, 0, 0, 0, 0, 0, 0, 0 }, { 0, 100, 500, 1500, 4000, 8000, 8000, 8000 } },
        { ROLE_LEDGER, { 9, 9, 9, 9, 9, 9, 9, 9 }, { 0, 100, 500, 1500, 4000, 8000, 8000, 8000 } },
        { ROLE_PARSER, { 0, 0, 0, 0, 0, 0, 0, 0 }, { 0, 100, 500, 500, 500, 500, 500, 500 } },
        { ROLE_WORKER,
          { 1, BACKOFF_CALM_MS - 1, 1, BACKOFF_CALM_MS, 1, 1, 1 << 30, 1 },
          { 0, 100, 500, 0, 100, 500, 0, 100 } },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct backoff b = { 0 };
        int64_t now_ms = 1000000;
        for (size_t k = 0; k < 8; k++) {
            int64_t died_ms = now_ms + rows[i].lived_ms[k];
            int64_t wait_ms = backoff_after_death(&b, rows[i].role, now_ms, died_ms);
            assert_int_equal(wait_ms, rows[i].waits_ms[k]);
            now_ms = died_ms + wait_ms;
        }
    }
}

/* ---- outbox --------------------------------------------------------------------------------- */

static void what_finds_no_room_is_sent_later_in_order(void **state)
{
    enum { MESSAGES = 1500 };
    char payload[500] = { 0 };
    int pair[2], pipe_fds[2];
    struct outbox o;
    struct imsg m;
    struct err err;
    uint32_t expected = 0;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    outbox_init(&o);
    for (uint32_t i = 0; i < MESSAGES; i++)
        assert_int_equal(outbox_add(&o, IMSG_LISTEN, i, payload, sizeof(payload), pipe_fds,
                                    i % 100 == 0 ? 2 : 0, &err),
                         0);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]); /* the box has its own */
    assert_int_equal(outbox_flush(&o, pair[0]), 0);
    assert_false(outbox_is_empty(&o));
    while (expected < MESSAGES) {
        while (imsg_recv(pair[1], &m) == 1) {
            assert_int_equal(m.arg, expected);
            assert_int_equal(m.fds[1] >= 0, expected % 100 == 0);
            imsg_close_fds(&m);
            expected++;
        }
        assert_int_equal(outbox_flush(&o, pair[0]), 0);
    }
    assert_true(outbox_is_empty(&o));
    (void)close(pair[0]);
    (void)close(pair[1]);
    outbox_done(&o);
}

static void an_outbox_has_a_ceiling(void **state)
{
    struct outbox o;
    struct err err;
    (void)state;
    outbox_init(&o);
    for (int i = 0; i < OUTBOX_MAX; i++)
        assert_int_equal(outbox_add(&o, IMSG_GO, 0, NULL, 0, NULL, 0, &err), 0);
    assert_int_equal(outbox_add(&o, IMSG_GO, 0, NULL, 0, NULL, 0, &err), -RF_ETOOBIG);
    outbox_done(&o);
    assert_true(outbox_is_empty(&o));
}

/* ---- pid file ------------------------------------------------------------------------------- */

static void a_second_start_is_refused_while_the_first_lives(void **state)
{
    struct pidfile first, again;
    struct err err;
    char expected[64], text[32] = "";
    int status;
    (void)state;
    assert_int_equal(pidfile_open(folder, &first, &err), 0);
    pid_t pid = fork(); /* record locks are a process's own */
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)snprintf(expected, sizeof(expected), "process %ld,", (long)getppid());
        int rc = pidfile_open(folder, &again, &err);
        _exit(rc == -RF_EUNAVAIL && strstr(err.line, expected) != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    int fd = open(first.path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    (void)close(fd);
    assert_int_equal(strtol(text, NULL, 10), getpid());
    pidfile_remove(&first);
    assert_int_equal(access(path_of("ringfenced.pid"), F_OK), -1);
}

static void a_file_left_by_a_killed_supervisor_is_no_obstacle(void **state)
{
    struct pidfile p;
    struct err err;
    (void)state;
    write_file("ringfenced.pid", 0644, "1\n");
    assert_int_equal(pidfile_open(folder, &p, &err), 0);
    pidfile_remove(&p);
}

static void a_pid_file_that_is_a_link_is_refused(void **state)
{
    struct pidfile p;
    struct err err;
    (void)state;
    write_file("precious", 0644, "precious\n");
    assert_int_equal(symlink(path_of("precious"), path_of("ringfenced.pid")), 0);
    assert_int_equal(pidfile_open(folder, &p, &err), -RF_ESYS);
    assert_int_equal(unlink(path_of("ringfenced.pid")), 0);
}

/* ---- listeners ------------------------------------------------------------------------------ */

static int unix_socket(const char *path, bool listening)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    if (listening)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static bool answers(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_in_range(snprintf(a.sun_path, sizeof(a.sun_path), "%s", path), 1,
                    sizeof(a.sun_path) - 1);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    (void)close(fd);
    return ok;
}

static int option_of(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static void listeners_open_with_their_options_and_modes(void **state)
{
    char loopback4[] = "127.0.0.1", loopback6[] = "::1", path[128];
    struct config_listen list[] = { { .address = loopback4 },
                                    { .unix_path = path },
                                    { .address = loopback6 } };
    struct config config = { .listen = list, .listen_count = 3 };
    struct listeners l;
    struct err err;
    struct stat st;
    (void)state;
    (void)snprintf(path, sizeof(path), "%s", path_of("s"));
    int rc = listeners_open(&config, NULL, NULL, NULL, &l, &err);
    if (rc < 0 && strstr(err.line, "::1") != NULL) { /* a host without IPv6 */
        config.listen_count = 2;
        rc = listeners_open(&config, NULL, NULL, NULL, &l, &err);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(option_of(l.list[0].fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_int_equal(option_of(l.list[0].fd, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_true(option_of(l.list[0].fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_true((fcntl(l.list[0].fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(fcntl(l.list[0].fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, LISTENER_UNIX_MODE);
    assert_true(answers(path));
    listeners_done(&l);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_stale_socket_is_replaced_and_a_living_one_is_not(void **state)
{
    char path[128];
    struct config_listen one = { .unix_path = path };
    struct config config = { .listen = &one, .listen_count = 1 };
    struct listeners l;
    struct err err;
    (void)state;
    (void)snprintf(path, sizeof(path), "%s", path_of("stale"));
    (void)close(unix_socket(path, true)); /* its file stays, nobody answers */
    assert_int_equal(listeners_open(&config, NULL, NULL, NULL, &l, &err), 0);
    assert_true(answers(path));
    listeners_done(&l);

    int other = unix_socket(path, true);
    assert_int_equal(listeners_open(&config, NULL, NULL, NULL, &l, &err), -RF_EUNAVAIL);
    assert_true(answers(path));
    (void)close(other);
    assert_int_equal(unlink(path), 0);

    write_file("stale", 0644, "precious\n");
    assert_int_equal(listeners_open(&config, NULL, NULL, NULL, &l, &err), -RF_ECONFIG);
    assert_int_equal(access(path, F_OK), 0);
}

static void a_socket_file_of_somebody_else_is_left_alone(void **state)
{
    char path[128];
    struct config_listen one = { .unix_path = path };
    struct config config = { .listen = &one, .listen_count = 1 };
    struct listeners l;
    struct err err;
    (void)state;
    (void)snprintf(path, sizeof(path), "%s", path_of("taken"));
    assert_int_equal(listeners_open(&config, NULL, NULL, NULL, &l, &err), 0);
    assert_int_equal(unlink(path), 0);
    int other = unix_socket(path, true); /* a successor took the place */
    listeners_done(&l);
    assert_true(answers(path));
    (void)close(other);
}

static void a_taken_port_is_an_error_that_names_it(void **state)
{
    char address[] = "127.0.0.1", expected[32];
    struct config_listen one = { .address = address };
    struct config config = { .listen = &one, .listen_count = 1 };
    struct listeners l, again;
    struct err err;
    (void)state;
    assert_int_equal(listeners_open(&config, NULL, NULL, NULL, &l, &err), 0);
    one.port = port_of(l.list[0].fd);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u", one.port);
    assert_int_equal(listeners_open(&config, NULL, NULL, NULL, &again, &err), -RF_ESYS);
    assert_non_null(strstr(err.line, expected));
    listeners_done(&l);
}

static void a_reload_shares_what_stays_and_closes_the_rest(void **state)
{
    char a[128], b[128], c[128];
    struct config_listen first[] = { { .unix_path = a }, { .unix_path = b } };
    struct config_listen second[] = { { .unix_path = c }, { .unix_path = a } };
    struct config old = { .listen = first, .listen_count = 2 };
    struct config new = { .listen = second, .listen_count = 2 };
    struct listeners l, next;
    struct err err;
    (void)state;
    (void)snprintf(a, sizeof(a), "%s", path_of("a"));
    (void)snprintf(b, sizeof(b), "%s", path_of("b"));
    (void)snprintf(c, sizeof(c), "%s", path_of("c"));
    assert_int_equal(listeners_open(&old, NULL, NULL, NULL, &l, &err), 0);
    int kept = l.list[0].fd;

    assert_int_equal(listeners_open(&new, NULL, &l, &old, &next, &err), 0);
    assert_int_equal(next.list[1].fd, kept);
    listeners_done(&next); /* the reload was refused */
    assert_true(answers(a) && answers(b) && !answers(c));

    assert_int_equal(listeners_open(&new, NULL, &l, &old, &next, &err), 0);
    listeners_adopt(&l, &next);
    assert_int_equal(l.list[1].fd, kept);
    assert_true(answers(a) && answers(c) && !answers(b));
    assert_int_equal(access(b, F_OK), -1);
    listeners_done(&l);
    assert_int_equal(access(a, F_OK), -1);
}

static void a_reload_cannot_share_one_socket_twice(void **state)
{
    struct config_listen was = { .address = (char *)"::1", .port = 6432 };
    struct config_listen twice[] = { was, { .address = (char *)"0:0:0:0:0:0:0:1", .port = 6432 } };
    const struct config old = { .listen = &was, .listen_count = 1 };
    struct config next = { .listen = twice, .listen_count = 2 };
    struct listener held = { .fd = STDIN_FILENO, .from = -1 }; /* nothing is done to it */
    const struct listeners before = { .list = &held, .count = 1 };
    struct listeners opened = { 0 };
    struct err err;
    (void)state;
    assert_int_equal(listeners_open(&next, NULL, &before, &old, &opened, &err), -RF_ECONFIG);
    next.listen_count = 1;
    assert_int_equal(listeners_open(&next, NULL, &before, &old, &opened, &err), 0);
    assert_int_equal(opened.list[0].fd, STDIN_FILENO);
    listeners_done(&opened);
}

static void a_port_that_the_hub_lacks_keeps_nobody_from_anything(void **state)
{
    char address[] = "127.0.0.1", path[128];
    struct config_listen own = { .unix_path = path }, port = { .address = address };
    struct config config = { .listen = &own, .listen_count = 1 };
    struct config with_hub = config;
    struct listeners l, taken, next;
    struct err err;
    (void)state;
    (void)snprintf(path, sizeof(path), "%s", path_of("own"));
    const struct config other = { .listen = &port, .listen_count = 1 };
    assert_int_equal(listeners_open(&other, NULL, NULL, NULL, &taken, &err), 0);
    port.port = port_of(taken.list[0].fd);
    with_hub.hub = (struct config_hub){ .listen = &port, .listen_count = 1 };
    assert_int_equal(listeners_open(&with_hub, NULL, NULL, NULL, &l, &err), 0);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.hub_from, 1);
    assert_int_equal(l.list[1].fd, -1);
    assert_int_equal(listeners_complete(&with_hub, &l, &err), -RF_ESYS);
    assert_non_null(strstr(err.line, "could not open listener 127.0.0.1:"));

    listeners_done(&taken);
    assert_int_equal(listeners_complete(&with_hub, &l, &err), 0);
    int fd = l.list[1].fd;
    assert_true(fd >= 0);
    listeners_close_gateway(&l);
    assert_int_equal(listeners_complete(&with_hub, &l, &err), 0); /* the hub's alone */
    assert_int_equal(l.list[0].fd, -1);
    assert_int_equal(access(path, F_OK), -1);

    /* At a reload the same socket may become the gateway's. */
    assert_int_equal(listeners_open(&other, NULL, &l, &with_hub, &next, &err), 0);
    assert_int_equal(next.list[0].fd, fd);
    listeners_adopt(&l, &next);
    assert_int_equal(l.hub_from, 1);
    listeners_done(&l);
}

static void systemd_sockets_are_taken_by_their_address(void **state)
{
    /* In a process of its own: the descriptors are 3 and up, whatever sits there now. */
    int status;
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char path[128], number[16];
        struct config_listen one = { .unix_path = path };
        struct config config = { .listen = &one, .listen_count = 1 };
        struct activation a;
        struct listeners l;
        struct err err;
        (void)snprintf(path, sizeof(path), "%s", path_of("activated"));
        int wanted = fcntl(unix_socket(path, true), F_DUPFD, 50);
        int other = fcntl(unix_socket(path_of("unknown"), true), F_DUPFD, 50);
        int deaf = fcntl(unix_socket(path_of("deaf"), false), F_DUPFD, 50);
        (void)snprintf(number, sizeof(number), "%ld", (long)getpid());
        bool ok = dup2(deaf, 3) == 3 && dup2(other, 4) == 4 && dup2(wanted, 5) == 5 &&
                  setenv("LISTEN_PID", number, 1) == 0 && setenv("LISTEN_FDS", "3", 1) == 0 &&
                  activation_open(&a, &err) == 0 && a.count == 3 && a.fds[0] == -1 &&
                  getenv("LISTEN_FDS") == NULL &&
                  listeners_open(&config, &a, NULL, NULL, &l, &err) == 0 && l.list[0].fd == 5 &&
                  fcntl(5, F_GETFD) == FD_CLOEXEC;
        if (ok) {
            activation_done(&a);
            ok = fcntl(4, F_GETFD) < 0;
            listeners_done(&l);
            ok = ok && access(path, F_OK) == 0; /* systemd's file, not ours to remove */
        }
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void sockets_for_another_process_are_not_taken(void **state)
{
    struct activation a;
    struct err err;
    (void)state;
    assert_int_equal(setenv("LISTEN_PID", "1", 1), 0);
    assert_int_equal(setenv("LISTEN_FDS", "2", 1), 0);
    assert_int_equal(activation_open(&a, &err), 0);
    assert_int_equal(a.count, 0);
    assert_null(getenv("LISTEN_PID"));
}

/* ---- notify --------------------------------------------------------------------------------- */

static void the_service_manager_hears_at(const char *name, socklen_t len)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct notify n;
    char text[128] = "", number[16];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
    if (name[0] == '@')
        a.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    (void)snprintf(number, sizeof(number), "%ld", (long)getpid());
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "4000000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", number, 1), 0);
    notify_open(&n);
    assert_null(getenv("NOTIFY_SOCKET"));
    notify_send(&n, "READY=1\nSTATUS=serving with %d workers", 2);
    assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, "READY=1\nSTATUS=serving with 2 workers");
    assert_int_equal(notify_watchdog(&n, 10000), 2000); /* twice as often as asked */
    memset(text, 0, sizeof(text));
    assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, "WATCHDOG=1");
    assert_int_equal(notify_watchdog(&n, 10500), 1500);
    assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
    notify_close(&n);
    (void)close(fd);
}

static void systemd_is_told_over_a_path_and_an_abstract_name(void **state)
{
    char name[128];
    (void)state;
    the_service_manager_hears_at(path_of("notify"), sizeof(struct sockaddr_un));
    (void)snprintf(name, sizeof(name), "@rf-test-%ld", (long)getpid());
    the_service_manager_hears_at(name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                                                   strlen(name)));
}

static void without_a_service_manager_nothing_is_sent(void **state)
{
    struct notify n;
    (void)state;
    notify_open(&n);
    assert_int_equal(n.fd, -1);
    notify_send(&n, "READY=1");
    assert_int_equal(notify_watchdog(&n, 1), -1);
    notify_close(&n);
}

/* ---- bundle --------------------------------------------------------------------------------- */

static const char policy_text[] = "version: 1\n"
                                  "company: Clipstream\n"
                                  "jurisdictions:\n  US: [US]\n  EU: [IE]\n"
                                  "regions:\n"
                                  "  us-virginia: {jurisdiction: US, place: US}\n"
                                  "  eu-dublin: {jurisdiction: EU, place: IE}\n"
                                  "entities:\n  clipstream-us: {country: US}\n"
                                  "listeners:\n  main: {address: 127.0.0.1, place: identity}\n"
                                  "networks:\n  loopback: {range: 127.0.0.0/8, place: identity}\n"
                                  "purposes: [debugging]\n"
                                  "actors:\n"
                                  "  us_analyst: {kind: person, entity: clipstream-us, place: US,"
                                  " department: analytics}\n"
                                  "tables:\n"
                                  "  app.colours:\n    columns: {id: none, name: none}\n";

static void write_config(const char *place, const char *region, const char *more)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "name: test\nplace: %s\npolicy: policy.yaml\ncredentials: credentials\n"
                   "state: state\nrun: run\nlisten:\n  - {unix: run/s}\n"
                   "databases:\n"
                   "  one: {region: %s, database: app, primary: [\"127.0.0.1:5432\"],"
                   " standby: [\"127.0.0.1:5433\"], tls: off}\n%s",
                   place, region, more);
    write_file("ringfence.yaml", 0644, text);
}

static void write_good_files(void)
{
    write_config("US", "us-virginia", "");
    write_file("policy.yaml", 0644, policy_text);
    write_file("credentials", 0600, "# nobody yet\n");
}

static bool says(const struct mistakes *m, const char *text)
{
    for (size_t i = 0; i < m->count; i++)
        if (strstr(m->list[i].file, text) != NULL || strstr(m->list[i].text, text) != NULL)
            return true;
    return false;
}

static void good_files_are_sealed_for_the_children(void **state)
{
    static const char byte = 'x';
    struct bundle *b = NULL;
    struct mistakes m;
    char text[sizeof(policy_text)];
    (void)state;
    write_good_files();
    mistakes_init(&m);
    int rc = bundle_load(path_of("ringfence.yaml"), NULL, 0, &b, &m);
    mistakes_print(&m, stderr);
    assert_int_equal(rc, 0);
    assert_false(mistakes_any(&m));
    assert_int_equal(pread(b->policy_fd, text, sizeof(text), 0), strlen(policy_text));
    assert_memory_equal(text, policy_text, strlen(policy_text));
    const int fds[] = { b->config_fd, b->policy_fd, b->credentials_fd };
    for (size_t i = 0; i < RF_COUNT(fds); i++) {
        assert_int_equal(pwrite(fds[i], &byte, 1, 0), -1);
        assert_int_equal(ftruncate(fds[i], 0), -1);
        assert_int_equal(fcntl(fds[i], F_ADD_SEALS, F_SEAL_WRITE), -1);
    }
    bundle_free(b);
    mistakes_done(&m);
}

static void mistakes_of_all_files_come_at_once(void **state)
{
    struct bundle *b = NULL;
    struct mistakes m;
    (void)state;
    write_good_files();
    write_config("US", "eu-dublin", "");
    write_file("credentials", 0644, "us_analyst:secret\n");
    mistakes_init(&m);
    assert_int_equal(bundle_load(path_of("ringfence.yaml"), NULL, 0, &b, &m), -RF_ECONFIG);
    assert_true(says(&m, "credentials"));
    assert_true(m.count >= 2);
    mistakes_done(&m);

    write_config("US", "eu-dublin", "");
    write_file("credentials", 0600, "us_analyst:secret\nnobody\n");
    mistakes_init(&m);
    assert_int_equal(bundle_load(path_of("ringfence.yaml"), NULL, 0, &b, &m), -RF_ECONFIG);
    assert_true(says(&m, "eu-dublin"));
    assert_true(says(&m, "credentials"));
    assert_false(says(&m, "secret"));
    mistakes_done(&m);
    assert_null(b);
}

static void what_cannot_be_read_weighs_more_than_what_is_wrong(void **state)
{
    struct bundle *b = NULL;
    struct mistakes m;
    (void)state;
    write_good_files();
    write_file("credentials", 0600, "nonsense\n");
    assert_int_equal(unlink(path_of("policy.yaml")), 0);
    mistakes_init(&m);
    assert_int_equal(bundle_load(path_of("ringfence.yaml"), NULL, 0, &b, &m), -RF_ESYS);
    assert_true(says(&m, "policy.yaml") && says(&m, "credentials"));
    mistakes_done(&m);
    mistakes_init(&m);
    assert_int_equal(bundle_load(path_of("no-such-file"), NULL, 0, &b, &m), -RF_ESYS);
    assert_true(mistakes_any(&m));
    mistakes_done(&m);
}

static void files_that_are_named_must_be_readable(void **state)
{
    struct bundle *b = NULL;
    struct mistakes m;
    (void)state;
    write_good_files();
    write_config("US", "us-virginia", "tls: {certificate: no.crt, key: no.key}\n");
    mistakes_init(&m);
    assert_int_equal(bundle_load(path_of("ringfence.yaml"), NULL, 0, &b, &m), -RF_ESYS);
    assert_true(says(&m, "no.crt") && says(&m, "no.key"));
    mistakes_done(&m);
}

/* Whoever demands witnesses names whose word counts: a quorum of nobody would never be reached. */
static void what_waits_for_witnesses_needs_a_quorum(void **state)
{
    static const char *const quorums[] = { "none", "w1" };
    uint8_t seed[KEY_SEED_LEN] = { 3 };
    struct secret_key witness;
    char vkey[KEY_VKEY_SIZE], text[sizeof(policy_text) + 100], trust[KEY_VKEY_SIZE + 60];
    (void)state;
    assert_int_equal(digest_init(NULL), 0);
    assert_int_equal(secret_key_make("witness.example/w1", KEY_COSIGNATURE, seed, &witness, NULL),
                     0);
    key_write(&witness.key, vkey);
    secret_key_wipe(&witness);
    for (int is_demanded = 0; is_demanded < 2; is_demanded++)
        for (size_t i = 0; i < RF_COUNT(quorums); i++) {
            struct bundle *b = NULL;
            struct mistakes m;
            mistakes_init(&m);
            write_good_files();
            write_config("US", "us-virginia",
                         "ledger: {origin: log.example/us, directory: public, key: log.key,"
                         " vrf_key: vrf.key, witnesses: witnesses}\n");
            write_file("log.key", 0600, "");
            write_file("vrf.key", 0600, "");
            (void)snprintf(text, sizeof(text), "%s%s", policy_text,
                           is_demanded ? "release: {contact: witnessed}\n" : "");
            write_file("policy.yaml", 0644, text);
            (void)snprintf(trust, sizeof(trust), "witness w1 %s\nquorum %s\n", vkey, quorums[i]);
            write_file("witnesses", 0644, trust);
            int rc = bundle_load(path_of("ringfence.yaml"), NULL, 0, &b, &m);
            bool is_refused = is_demanded && i == 0;
            if (rc != (is_refused ? -RF_ECONFIG : 0))
                mistakes_print(&m, stderr);
            assert_int_equal(rc, is_refused ? -RF_ECONFIG : 0);
            assert_int_equal(says(&m, "quorum"), is_refused);
            bundle_free(b);
            mistakes_done(&m);
        }
}

static void what_needs_a_restart_is_a_mistake_in_a_reload(void **state)
{
    struct bundle *old = NULL, *next = NULL;
    struct mistakes m;
    (void)state;
    mistakes_init(&m);
    write_good_files();
    assert_int_equal(bundle_load(path_of("ringfence.yaml"), NULL, 0, &old, &m), 0);
    write_config("US", "us-virginia", "log: debug\n");
    assert_int_equal(bundle_load(path_of("ringfence.yaml"), NULL, 0, &next, &m), 0);
    bundle_compare(old, next, &m);
    assert_false(mistakes_any(&m));
    bundle_free(next);
    write_config("US", "us-virginia", "workers: 7\nsandbox: none\n");
    assert_int_equal(bundle_load(path_of("ringfence.yaml"), NULL, 0, &next, &m), 0);
    bundle_compare(old, next, &m);
    assert_true(says(&m, "workers:") && says(&m, "sandbox:") && m.count == 2);
    bundle_free(next);
    bundle_free(old);
    mistakes_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deaths_in_a_row_wait_longer),
        cmocka_unit_test(what_finds_no_room_is_sent_later_in_order),
        cmocka_unit_test(an_outbox_has_a_ceiling),
        cmocka_unit_test(a_second_start_is_refused_while_the_first_lives),
        cmocka_unit_test(a_file_left_by_a_killed_supervisor_is_no_obstacle),
        cmocka_unit_test(a_pid_file_that_is_a_link_is_refused),
        cmocka_unit_test(listeners_open_with_their_options_and_modes),
        cmocka_unit_test(a_stale_socket_is_replaced_and_a_living_one_is_not),
        cmocka_unit_test(a_socket_file_of_somebody_else_is_left_alone),
        cmocka_unit_test(a_taken_port_is_an_error_that_names_it),
        cmocka_unit_test(a_reload_shares_what_stays_and_closes_the_rest),
        cmocka_unit_test(a_reload_cannot_share_one_socket_twice),
        cmocka_unit_test(a_port_that_the_hub_lacks_keeps_nobody_from_anything),
        cmocka_unit_test(systemd_sockets_are_taken_by_their_address),
        cmocka_unit_test(sockets_for_another_process_are_not_taken),
        cmocka_unit_test(systemd_is_told_over_a_path_and_an_abstract_name),
        cmocka_unit_test(without_a_service_manager_nothing_is_sent),
        cmocka_unit_test(good_files_are_sealed_for_the_children),
        cmocka_unit_test(mistakes_of_all_files_come_at_once),
        cmocka_unit_test(what_cannot_be_read_weighs_more_than_what_is_wrong),
        cmocka_unit_test(files_that_are_named_must_be_readable),
        cmocka_unit_test(what_waits_for_witnesses_needs_a_quorum),
        cmocka_unit_test(what_needs_a_restart_is_a_mistake_in_a_reload),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
