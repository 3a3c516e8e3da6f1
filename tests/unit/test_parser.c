/* The parser process itself, in its sandbox, against a scripted supervisor and scripted workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard/inspect.h"
#include "priv/imsg.h"

static const char policy_text[] = "version: 1\ncompany: Clipstream\nadult_age: 18\n"
                                  "jurisdictions:\n  US: [US]\n"
                                  "regions:\n  us-virginia: {jurisdiction: US, place: US}\n"
                                  "entities:\n  clipstream-us: {country: US}\n"
                                  "listeners:\n  main: {address: 127.0.0.1, place: identity}\n"
                                  "networks:\n"
                                  "  loopback: {range: 127.0.0.0/8, place: identity}\n"
                                  "rooms: {home: masked, abroad: stats}\n"
                                  "purposes: [support_ticket]\n"
                                  "actors:\n"
                                  "  us_analyst: {kind: person, entity: clipstream-us, place: US,"
                                  " department: analytics}\n"
                                  "tables:\n"
                                  "  app.colours:\n    columns: {id: none, name: none}\n";

static const char config_text[] =
    "name: test\nplace: US\npolicy: policy.yaml\ncredentials: credentials\n"
    "state: state\nrun: run\nsandbox: none\nlog: error\n"
    "listen:\n  - {unix: run/one}\n"
    "databases:\n"
    "  us-virginia: {region: us-virginia, database: app, primary: [\"127.0.0.1:5432\"],"
    " standby: [\"127.0.0.1:5433\"], tls: off}\n";

enum { WORKERS = 3, STACK_LEN = 64 * 1024 * 1024, PATIENCE_MS = 60000 };

/* Longer in builds that are slow, as tests/support/run.py says. */
static int patience_ms(void)
{
    const char *said = getenv("RF_SLOW");
    long n = said != NULL ? strtol(said, NULL, 10) : 1;
    return (int)(n > 1 && n <= 100 ? n * PATIENCE_MS : PATIENCE_MS);
}

static pid_t parser;
static int supervisor = -1, workers[WORKERS];
static struct guard_report report;
static uint8_t packet[GUARD_MESSAGE_MAX];

static int memory_of(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

/* A fresh socket to the parser in place of worker I's. */
static void worker_connect(uint8_t i)
{
    uint8_t index[4] = { 0, 0, 0, i };
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(imsg_send(supervisor, IMSG_PEER, ROLE_WORKER, index, 4, &pair[1], 1), 0);
    (void)close(pair[1]);
    workers[i] = pair[0];
}

static void supervisor_hears(enum imsg_type type)
{
    static struct imsg m;
    struct pollfd p = { .fd = supervisor, .events = POLLIN };
    assert_int_equal(poll(&p, 1, patience_ms()), 1);
    assert_int_equal(imsg_recv(supervisor, &m), 1);
    if (m.type != type)
        fail_msg("message %d: %.*s", m.type, (int)m.len, (const char *)m.payload);
    imsg_close_fds(&m);
}

static int start(void **state)
{
    static const char path[] = "/srv/test/ringfence.yaml";
    int pair[2];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    parser = fork();
    assert_true(parser >= 0);
    if (parser == 0) {
        /* as the supervisor does: the stack's room is laid out at exec */
        struct rlimit limit;
        if (getrlimit(RLIMIT_STACK, &limit) == 0) {
            limit.rlim_cur = STACK_LEN;
            (void)setrlimit(RLIMIT_STACK, &limit);
        }
        if (dup2(pair[1], IMSG_CHILD_FD) == IMSG_CHILD_FD)
            (void)execl("/proc/self/exe", "test_parser", "--parser", (char *)NULL);
        _exit(127);
    }
    (void)close(pair[1]);
    supervisor = pair[0];
    int fds[2] = { memory_of(config_text), memory_of(policy_text) }, meter = memory_of("x");
    assert_int_equal(imsg_send(supervisor, IMSG_CONFIG, 0, path, strlen(path), fds, 2), 0);
    assert_int_equal(imsg_send(supervisor, IMSG_METER, WORKERS, NULL, 0, &meter, 1), 0);
    for (uint8_t i = 0; i < WORKERS; i++)
        worker_connect(i);
    assert_int_equal(imsg_send(supervisor, IMSG_GO, 0, NULL, 0, NULL, 0), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)close(meter);
    supervisor_hears(IMSG_READY);
    return 0;
}

static int parser_status(void)
{
    int status = -1;
    assert_int_equal(waitpid(parser, &status, 0), parser);
    parser = 0;
    return status;
}

static int stop(void **state)
{
    (void)state;
    (void)close(supervisor);
    for (int i = 0; i < WORKERS; i++)
        (void)close(workers[i]);
    if (parser > 0) /* without a supervisor it ends on its own */
        assert_int_equal(parser_status(), 0);
    return 0;
}

static void ask(int worker, uint32_t id, const char *sql, size_t len)
{
    struct buf b;
    buf_init(&b, GUARD_MESSAGE_MAX);
    assert_int_equal(guard_request_write(&b, id, sql, len), 0);
    assert_int_equal(send(workers[worker], buf_at(&b), buf_len(&b), 0), (ssize_t)buf_len(&b));
    buf_done(&b);
}

static void hear(int worker, uint32_t id)
{
    struct pollfd p = { .fd = workers[worker], .events = POLLIN };
    assert_int_equal(poll(&p, 1, patience_ms()), 1);
    ssize_t n = recv(workers[worker], packet, sizeof(packet), 0);
    assert_true(n > 0);
    assert_int_equal(guard_report_read(packet, (size_t)n, &report), 0);
    assert_int_equal(report.id, id);
}

static void hear_end(int worker)
{
    struct pollfd p = { .fd = workers[worker], .events = POLLIN };
    assert_int_equal(poll(&p, 1, patience_ms()), 1);
    assert_true(recv(workers[worker], packet, sizeof(packet), 0) <= 0);
}

static void each_worker_gets_its_own_answers(void **state)
{
    (void)state;
    ask(0, 1, "select * from a", 15);
    ask(1, 2, "select * from b", 15);
    ask(0, 3, "selec", 5);
    ask(2, 4, "", 0);
    hear(0, 1);
    assert_string_equal(report.statements[0].relations, "a");
    hear(0, 3);
    assert_int_equal(report.status, GUARD_SYNTAX_ERROR);
    hear(1, 2);
    assert_string_equal(report.statements[0].relations, "b");
    hear(2, 4);
    assert_int_equal(report.count, 0);
}

/* HEAD, as many OPEN as leave room for as many CLOSE, MIDDLE, the CLOSE. */
static size_t nest(char *sql, const char *const parts[4])
{
    size_t open = strlen(parts[1]), close = strlen(parts[3]), at = strlen(parts[0]);
    size_t n = (GUARD_SQL_MAX - at - strlen(parts[2])) / (open + close);
    memcpy(sql, parts[0], at);
    for (size_t i = 0; i < n; i++, at += open)
        memcpy(sql + at, parts[1], open);
    memcpy(sql + at, parts[2], strlen(parts[2]));
    at += strlen(parts[2]);
    for (size_t i = 0; i < n; i++, at += close)
        memcpy(sql + at, parts[3], close);
    return at;
}

static void the_deepest_text_of_full_length_is_survived(void **state)
{
    static char sql[GUARD_SQL_MAX];
    static const char *const shapes[][4] = {
        { "select 1", "+1", "", "" },
        { "select 1", " union select 1", "", "" },
        { "select a", "::b", "", "" },
        { "select a", "[1]", "", "" },
        { "select a", ".b", "", "" },
        { "select ", "- ", "1", "" },
        { "select ", "not ", "true", "" },
        { "select ", "(", "1", ")" },
        { "", "(", "select 1", ")" },
        { "select ", "(select ", "1", ")" },
        { "select ", "array[", "1", "]" },
        { "select ", "f(", "1", ")" },
        { "select ", "case when a then ", "1", " end" },
        { "select * from ", "(a join ", "a", " using (b))" },
        { "select * from a", ", a", "", "" },
        { "select 1 from a where true", " and b", "", "" },
        { "select ", "/*", "1", "*/" },
        { "select ", "((", "1", "" },
    };
    (void)state;
    for (uint32_t i = 0; i < RF_COUNT(shapes); i++) {
        ask(0, i, sql, nest(sql, shapes[i]));
        hear(0, i);
        assert_true(report.status == GUARD_TOO_COMPLEX || report.status == GUARD_PARSED ||
                    (report.status == GUARD_SYNTAX_ERROR && i == RF_COUNT(shapes) - 1));
    }
    ask(1, 99, "select 1", 8);
    hear(1, 99);
    assert_int_equal(report.status, GUARD_PARSED);
}

static void a_worker_that_breaks_the_rules_loses_its_socket_only(void **state)
{
    (void)state;
    assert_int_equal(send(workers[0], "nonsense", 8, 0), 8);
    hear_end(0);
    ask(1, 1, "select 1", 8);
    hear(1, 1);
    /* and may come again */
    (void)close(workers[0]);
    worker_connect(0);
    ask(0, 2, "select 2", 8);
    hear(0, 2);
}

static void a_worker_that_does_not_listen_stops_nobody(void **state)
{
    char sql[20000];
    int asked = 0;
    struct buf b;
    (void)state;
    /* answers nearly as long as the questions, until neither direction takes more */
    memset(sql, ' ', sizeof(sql));
    memcpy(sql, "select 1 from \"", 15);
    memset(sql + 15, 'x', 400);
    sql[415] = '"';
    buf_init(&b, GUARD_MESSAGE_MAX);
    assert_int_equal(guard_request_write(&b, 7, sql, sizeof(sql)), 0);
    for (;;) {
        struct pollfd p = { .fd = workers[0], .events = POLLOUT };
        if (poll(&p, 1, 300) == 0)
            break;
        if (send(workers[0], buf_at(&b), buf_len(&b), MSG_DONTWAIT) > 0)
            asked++;
        assert_true(asked < 100000);
    }
    buf_done(&b);
    ask(1, 1, "select 1", 8);
    hear(1, 1);
    for (int i = 0; i < asked; i++)
        hear(0, 7); /* not one was lost */
}

static void a_new_socket_replaces_the_old_one(void **state)
{
    int old = workers[2];
    (void)state;
    worker_connect(2);
    ask(2, 1, "select 1", 8);
    hear(2, 1);
    struct pollfd p = { .fd = old, .events = POLLIN };
    assert_int_equal(poll(&p, 1, patience_ms()), 1);
    assert_int_equal(recv(old, packet, sizeof(packet), 0), 0);
    (void)close(old);
}

static void a_reload_is_answered(void **state)
{
    static const char path[] = "/srv/test/ringfence.yaml";
    int good[2] = { memory_of(config_text), memory_of(policy_text) };
    int bad[2] = { memory_of("name: 1\n"), memory_of(policy_text) };
    (void)state;
    assert_int_equal(imsg_send(supervisor, IMSG_CONFIG, 0, path, strlen(path), good, 2), 0);
    supervisor_hears(IMSG_READY);
    assert_int_equal(imsg_send(supervisor, IMSG_CONFIG, 0, path, strlen(path), bad, 2), 0);
    supervisor_hears(IMSG_FAILED);
    ask(0, 1, "select 1", 8);
    hear(0, 1);
    for (int i = 0; i < 2; i++) {
        (void)close(good[i]);
        (void)close(bad[i]);
    }
}

static void told_to_stop_it_stops(void **state)
{
    (void)state;
    assert_int_equal(imsg_send(supervisor, IMSG_STOP, 0, NULL, 0, NULL, 0), 0);
    assert_int_equal(parser_status(), 0);
}

int main(int argc, char **argv)
{
    const char *preload = getenv("LD_PRELOAD");
    if (argc > 1 && strcmp(argv[1], "--parser") == 0)
        return parser_main(IMSG_CHILD_FD);
    if (preload != NULL && strstr(preload, "vgpreload") != NULL) {
        (void)printf("1..0 # SKIP valgrind does not follow a program started by its descriptor\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_worker_gets_its_own_answers, start, stop),
        cmocka_unit_test_setup_teardown(the_deepest_text_of_full_length_is_survived, start, stop),
        cmocka_unit_test_setup_teardown(a_worker_that_breaks_the_rules_loses_its_socket_only, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_worker_that_does_not_listen_stops_nobody, start, stop),
        cmocka_unit_test_setup_teardown(a_new_socket_replaces_the_old_one, start, stop),
        cmocka_unit_test_setup_teardown(a_reload_is_answered, start, stop),
        cmocka_unit_test_setup_teardown(told_to_stop_it_stops, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
