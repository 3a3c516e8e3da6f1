/* Messages with descriptors, and a child's start against a scripted supervisor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "priv/child.h"
#include "priv/imsg.h"

/* Descriptors that this process has open, so that none is lost on the way. */
static int open_count(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static int memory_of(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static void close_all(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
}

static bool is_same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* ---- messages ------------------------------------------------------------------------------- */

static void a_message_arrives_as_it_was_sent(void **state)
{
    int pair[2], fds[IMSG_FDS_MAX], before = open_count();
    uint8_t payload[IMSG_PAYLOAD_MAX];
    struct imsg m;
    (void)state;
    make_pair(pair);
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)i;
    for (size_t i = 0; i < IMSG_FDS_MAX; i++)
        fds[i] = memory_of("x");
    assert_int_equal(imsg_send(pair[0], IMSG_PEER, 0xdeadbeef, payload, sizeof(payload), fds,
                               IMSG_FDS_MAX),
                     0);
    assert_int_equal(imsg_recv(pair[1], &m), 1);
    assert_int_equal(m.type, IMSG_PEER);
    assert_int_equal(m.arg, 0xdeadbeef);
    assert_int_equal(m.len, sizeof(payload));
    assert_memory_equal(m.payload, payload, sizeof(payload));
    for (size_t i = 0; i < IMSG_FDS_MAX; i++) {
        assert_true(is_same_file(m.fds[i], fds[i]));
        assert_int_equal(fcntl(m.fds[i], F_GETFD), FD_CLOEXEC);
    }
    imsg_close_fds(&m);
    close_all(fds, IMSG_FDS_MAX);
    close_all(pair, 2);
    assert_int_equal(open_count(), before);
}

static void an_empty_message_has_no_descriptors(void **state)
{
    int pair[2];
    struct imsg m;
    (void)state;
    make_pair(pair);
    assert_int_equal(imsg_send(pair[0], IMSG_GO, 0, NULL, 0, NULL, 0), 0);
    assert_int_equal(imsg_recv(pair[1], &m), 1);
    assert_int_equal(m.type, IMSG_GO);
    assert_int_equal(m.len, 0);
    for (size_t i = 0; i < IMSG_FDS_MAX; i++)
        assert_int_equal(m.fds[i], -1);
    close_all(pair, 2);
}

static void nothing_there_is_not_the_end(void **state)
{
    int pair[2];
    struct imsg m;
    (void)state;
    make_pair(pair);
    assert_int_equal(imsg_recv(pair[1], &m),
                     -RF_ESYS); /* a blocking socket, and it does not block */
    assert_int_equal(errno, EAGAIN);
    (void)close(pair[0]);
    assert_int_equal(imsg_recv(pair[1], &m), 0);
    assert_int_equal(imsg_send(pair[1], IMSG_GO, 0, NULL, 0, NULL, 0), -RF_ESYS);
    assert_int_equal(errno, EPIPE);
    (void)close(pair[1]);
}

static void a_full_pipe_says_so(void **state)
{
    int pair[2], rc = 0, sent = 0;
    struct imsg m;
    (void)state;
    make_pair(pair);
    while ((rc = imsg_send(pair[0], IMSG_READY, 0, "x", 1, NULL, 0)) == 0)
        sent++;
    assert_int_equal(rc, -RF_ESYS);
    assert_int_equal(errno, EAGAIN);
    for (int i = 0; i < sent; i++)
        assert_int_equal(imsg_recv(pair[1], &m), 1);
    assert_int_equal(imsg_send(pair[0], IMSG_READY, 0, "x", 1, NULL, 0), 0);
    close_all(pair, 2);
}

static void what_no_message_may_hold_is_not_sent(void **state)
{
    uint8_t payload[IMSG_PAYLOAD_MAX + 1] = { 0 };
    int pair[2], fds[IMSG_FDS_MAX + 1] = { 0 };
    struct imsg m;
    (void)state;
    make_pair(pair);
    assert_int_equal(imsg_send(pair[0], IMSG_GO, 0, payload, sizeof(payload), NULL, 0), -RF_EINVAL);
    assert_int_equal(imsg_send(pair[0], IMSG_GO, 0, NULL, 0, fds, IMSG_FDS_MAX + 1), -RF_EINVAL);
    assert_int_equal(imsg_send(pair[0], IMSG_NONE, 0, NULL, 0, NULL, 0), -RF_EINVAL);
    assert_int_equal(imsg_send(pair[0], IMSG_TYPE_COUNT, 0, NULL, 0, NULL, 0), -RF_EINVAL);
    assert_int_equal(imsg_recv(pair[1], &m), -RF_ESYS);
    close_all(pair, 2);
}

/* A packet that imsg_send() would not make. */
static void send_raw(int fd, const void *bytes, size_t len, size_t fd_count, int some_fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * 64)];
    } control = { 0 };
    struct iovec iov = { .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    char copy[IMSG_PAYLOAD_MAX + 64];
    memcpy(copy, bytes, len);
    iov.iov_base = copy;
    if (fd_count > 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        for (size_t i = 0; i < fd_count; i++)
            memcpy(CMSG_DATA(head) + i * sizeof(int), &some_fd, sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &msg, 0), (ssize_t)len);
}

static void a_malformed_packet_is_refused_and_loses_no_descriptor(void **state)
{
    static const char go[8] = { 0, 0, 0, IMSG_GO, 0, 0, 0, 0 };
    static const char unknown[8] = { 0, 0, 0, IMSG_TYPE_COUNT, 0, 0, 0, 0 };
    static const char huge_type[8] = { (char)0xff, (char)0xff, (char)0xff, (char)0xff };
    static const char none[8] = { 0 };
    static const char too_long[IMSG_PAYLOAD_MAX + 9] = { 0, 0, 0, IMSG_GO };
    const struct {
        const char *bytes;
        size_t len, fd_count;
    } rows[] = {
        { go, 7, 0 },
        { go, 1, 1 },
        { unknown, 8, 0 },
        { none, 8, 1 },
        { huge_type, 8, 0 },
        { too_long, sizeof(too_long), 1 },
        { go, 8, IMSG_FDS_MAX + 1 },
        { go, 8, 40 },
    };
    int pair[2], some = memory_of("x");
    struct imsg m;
    (void)state;
    make_pair(pair);
    int before = open_count();
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        send_raw(pair[0], rows[i].bytes, rows[i].len, rows[i].fd_count, some);
        assert_int_equal(imsg_recv(pair[1], &m), -RF_EPROTO);
        for (size_t k = 0; k < IMSG_FDS_MAX; k++)
            assert_int_equal(m.fds[k], -1);
        assert_int_equal(open_count(), before);
    }
    assert_int_equal(imsg_send(pair[0], IMSG_GO, 0, NULL, 0, NULL, 0), 0);
    assert_int_equal(imsg_recv(pair[1], &m), 1); /* the next good one is not disturbed */
    (void)close(some);
    close_all(pair, 2);
}

static void every_role_has_a_name(void **state)
{
    (void)state;
    for (int role = 0; role < ROLE_COUNT; role++)
        assert_string_not_equal(imsg_role_name((enum imsg_role)role), "unknown");
    assert_string_equal(imsg_role_name(ROLE_COUNT), "unknown");
}

/* ---- a child's start ------------------------------------------------------------------------ */

static const char policy_text[] = "version: 1\n"
                                  "company: Clipstream\n"
                                  "jurisdictions:\n  US: [US]\n"
                                  "regions:\n  us-virginia: {jurisdiction: US, place: US}\n"
                                  "entities:\n  clipstream-us: {country: US}\n"
                                  "listeners:\n  main: {address: 127.0.0.1, place: identity}\n"
                                  "networks:\n  loopback: {range: 127.0.0.0/8, place: identity}\n"
                                  "purposes: [debugging]\n"
                                  "actors:\n"
                                  "  us_analyst: {kind: person, entity: clipstream-us, place: US,"
                                  " department: analytics}\n"
                                  "tables:\n"
                                  "  app.colours:\n    columns: {id: none, name: none}\n";

static const char config_text[] =
    "name: test\nplace: US\npolicy: policy.yaml\ncredentials: credentials\n"
    "state: state\nrun: run\n"
    "listen:\n"
    "  - {unix: run/one}\n"
    "  - {unix: run/two}\n"
    "databases:\n"
    "  us-virginia: {region: us-virginia, database: app, primary: [\"127.0.0.1:5432\"],"
    " standby: [\"127.0.0.1:5433\"], tls: off}\n";

/* The same with the second listener first, and another in place of the first. */
static const char config_later[] =
    "name: test\nplace: US\npolicy: policy.yaml\ncredentials: credentials\n"
    "state: state\nrun: run\n"
    "listen:\n"
    "  - {unix: run/two}\n"
    "  - {unix: run/three}\n"
    "databases:\n"
    "  us-virginia: {region: us-virginia, database: app, primary: [\"127.0.0.1:5432\"],"
    " standby: [\"127.0.0.1:5433\"], tls: off}\n";

static void send_config(int fd, const char *config, const char *policy, bool with_credentials)
{
    static const char path[] = "/srv/test/ringfence.yaml";
    int fds[3] = { memory_of(config), memory_of(policy), memory_of("a:b\n") };
    assert_int_equal(imsg_send(fd, IMSG_CONFIG, 0, path, strlen(path), fds,
                               with_credentials ? 3 : 2),
                     0);
    close_all(fds, 3);
}

static void send_one(int fd, enum imsg_type type, uint32_t arg, const char *payload, size_t len)
{
    int sent = memory_of("x");
    assert_int_equal(imsg_send(fd, type, arg, payload, len, &sent, 1), 0);
    (void)close(sent);
}

static void send_whole_start(int fd)
{
    send_config(fd, config_text, policy_text, true);
    send_one(fd, IMSG_METER, 2, NULL, 0);
    send_one(fd, IMSG_LEASE, 1, NULL, 0);
    send_one(fd, IMSG_LISTEN, 0, NULL, 0);
    send_one(fd, IMSG_LISTEN, 1, NULL, 0);
    send_one(fd, IMSG_PEER, ROLE_LEDGER, "\0\0\0\0", 4);
    send_one(fd, IMSG_PEER, ROLE_PARSER, "\0\0\0\0", 4);
    assert_int_equal(imsg_send(fd, IMSG_GO, 0, NULL, 0, NULL, 0), 0);
}

static void a_child_has_all_that_it_was_handed(void **state)
{
    int pair[2], before = open_count();
    struct child c;
    struct err err;
    struct imsg m;
    (void)state;
    make_pair(pair);
    send_whole_start(pair[0]);
    assert_int_equal(child_begin(pair[1], 1, &c, &err), 0);
    assert_int_equal(c.index, 1);
    assert_int_equal(c.workers, 2);
    assert_true(c.meter_fd >= 0 && c.lease_fd >= 0);
    assert_string_equal(c.config->name, "test");
    assert_string_equal(c.config->policy_path, "/srv/test/policy.yaml");
    assert_string_equal(c.policy->company, "Clipstream");
    assert_string_equal(c.credentials, "a:b\n");
    assert_int_equal(c.credentials_len, 4);
    assert_int_equal(c.listen_count, 2);
    assert_true(c.listen_fds[0] >= 0 && c.listen_fds[1] >= 0);
    assert_int_equal(c.peer_count, 2);
    assert_true(child_peer_of(&c, ROLE_LEDGER, 0)->fd >= 0);
    assert_null(child_peer_of(&c, ROLE_WORKER, 0));
    assert_int_equal(child_ready(&c, "seccomp=yes"), 0);
    assert_int_equal(imsg_recv(pair[0], &m), 1);
    assert_int_equal(m.type, IMSG_READY);
    assert_memory_equal(m.payload, "seccomp=yes", 11);
    child_done(&c);
    close_all(pair, 2);
    assert_int_equal(open_count(), before);
}

static void assert_start_fails(int pair[2], int code)
{
    struct child c;
    struct err err;
    struct imsg m;
    int before = open_count();
    assert_int_equal(child_begin(pair[1], 0, &c, &err), -code);
    assert_true(strlen(err.line) > 0);
    assert_int_equal(imsg_recv(pair[0], &m), 1);
    assert_int_equal(m.type, IMSG_FAILED); /* the supervisor knows why, in the same words */
    assert_int_equal(m.len, strlen(err.line));
    assert_memory_equal(m.payload, err.line, m.len);
    assert_int_equal(open_count(), before);
    close_all(pair, 2);
}

static void a_start_out_of_order_is_refused(void **state)
{
    int pair[2];
    (void)state;
    make_pair(pair);
    send_one(pair[0], IMSG_METER, 2, NULL, 0);
    assert_start_fails(pair, RF_EPROTO);
    make_pair(pair);
    assert_int_equal(imsg_send(pair[0], IMSG_GO, 0, NULL, 0, NULL, 0), 0);
    assert_start_fails(pair, RF_EPROTO);
    make_pair(pair);
    send_config(pair[0], config_text, policy_text, false);
    send_one(pair[0], IMSG_PEER, ROLE_LEDGER, "\0\0\0\0", 4);
    assert_start_fails(pair, RF_EPROTO);
    make_pair(pair);
    send_config(pair[0], config_text, policy_text, false);
    send_config(pair[0], config_text, policy_text, false);
    assert_start_fails(pair, RF_EPROTO);
    make_pair(pair);
    send_config(pair[0], config_text, policy_text, false);
    send_one(pair[0], IMSG_METER, 2, NULL, 0);
    send_one(pair[0], IMSG_METER, 2, NULL, 0);
    assert_start_fails(pair, RF_EPROTO);
}

static void a_start_with_wrong_numbers_is_refused(void **state)
{
    int pair[2];
    (void)state;
    make_pair(pair);
    send_config(pair[0], config_text, policy_text, false);
    send_one(pair[0], IMSG_METER, CHILD_WORKERS_MAX + 1, NULL, 0);
    assert_start_fails(pair, RF_EPROTO);
    make_pair(pair);
    send_config(pair[0], config_text, policy_text, false);
    send_one(pair[0], IMSG_METER, 1, NULL, 0);
    send_one(pair[0], IMSG_LISTEN, 2, NULL, 0);
    assert_start_fails(pair, RF_EPROTO);
    make_pair(pair);
    send_config(pair[0], config_text, policy_text, false);
    send_one(pair[0], IMSG_METER, 1, NULL, 0);
    send_one(pair[0], IMSG_PEER, ROLE_LEDGER, "\0\0\0", 3);
    assert_start_fails(pair, RF_EPROTO);
}

static void a_start_with_mistakes_in_the_files_is_refused(void **state)
{
    int pair[2];
    (void)state;
    make_pair(pair);
    send_config(pair[0], "colour: green\n", policy_text, false);
    assert_start_fails(pair, RF_ECONFIG);
    make_pair(pair);
    send_config(pair[0], config_text, "version: 99\n", false);
    assert_start_fails(pair, RF_ECONFIG);
}

static void a_stop_before_go_ends_the_start(void **state)
{
    int pair[2];
    (void)state;
    make_pair(pair);
    send_config(pair[0], config_text, policy_text, false);
    assert_int_equal(imsg_send(pair[0], IMSG_STOP, 0, NULL, 0, NULL, 0), 0);
    assert_start_fails(pair, RF_EUNAVAIL);
}

static void a_supervisor_that_is_gone_ends_the_start(void **state)
{
    int pair[2];
    struct child c;
    struct err err;
    (void)state;
    make_pair(pair);
    send_config(pair[0], config_text, policy_text, false);
    (void)close(pair[0]);
    assert_int_equal(child_begin(pair[1], 0, &c, &err), -RF_EUNAVAIL);
    (void)close(pair[1]);
}

/* ---- later changes -------------------------------------------------------------------------- */

/* A child that has begun, and the supervisor's end in *RET_FD. */
static void begin_child(struct child *c, int *ret_fd)
{
    int pair[2];
    struct err err;
    make_pair(pair);
    send_whole_start(pair[0]);
    assert_int_equal(child_begin(pair[1], 0, c, &err), 0);
    *ret_fd = pair[0];
}

static int take_next(struct child *c, struct err *err)
{
    struct imsg m;
    assert_int_equal(imsg_recv(c->imsg_fd, &m), 1);
    return child_take(c, &m, err);
}

static void end_child(struct child *c, int fd, int before)
{
    int imsg_fd = c->imsg_fd;
    child_done(c);
    (void)close(imsg_fd);
    (void)close(fd);
    assert_int_equal(open_count(), before);
}

static void a_new_configuration_keeps_the_sockets_that_stay(void **state)
{
    int fd, before = open_count();
    struct child c;
    struct err err;
    (void)state;
    begin_child(&c, &fd);
    struct policy *old = c.policy;
    int one = c.listen_fds[0], two = c.listen_fds[1];
    send_config(fd, config_later, policy_text, true);
    assert_int_equal(take_next(&c, &err), 0);
    assert_int_equal(c.listen_fds[0], two);
    assert_int_equal(c.listen_fds[1], -1);
    assert_ptr_equal(c.retired.policy, old);
    assert_ptr_not_equal(c.policy, old);
    assert_int_equal(c.retired.listen_count, 2);
    assert_int_equal(c.retired.listen_fds[0], one);
    assert_int_equal(c.retired.listen_fds[1], -1);
    send_one(fd, IMSG_LISTEN, 1, NULL, 0);
    assert_int_equal(take_next(&c, &err), 0);
    assert_true(c.listen_fds[1] >= 0);
    send_one(fd, IMSG_LISTEN, 0, NULL, 0); /* it has that one */
    assert_int_equal(take_next(&c, &err), 0);
    assert_int_equal(c.listen_fds[0], two);
    end_child(&c, fd, before);
}

static void a_bad_configuration_changes_nothing(void **state)
{
    int fd, before = open_count();
    struct child c;
    struct err err;
    (void)state;
    begin_child(&c, &fd);
    const struct child held = c;
    send_config(fd, config_later, "version: 99\n", true);
    assert_int_equal(take_next(&c, &err), -RF_ECONFIG);
    assert_ptr_equal(c.config, held.config);
    assert_ptr_equal(c.policy, held.policy);
    assert_ptr_equal(c.credentials, held.credentials);
    assert_ptr_equal(c.listen_fds, held.listen_fds);
    assert_null(c.retired.config);
    end_child(&c, fd, before);
}

#ifdef RF_FAULTS
/* Every allocation in turn fails: the child goes on by what it had. */
static void without_memory_a_new_configuration_changes_nothing(void **state)
{
    int fd, rc = -1, before = open_count();
    struct child c;
    struct err err;
    (void)state;
    begin_child(&c, &fd);
    const struct child held = c;
    for (unsigned n = 1; n < 2000 && rc < 0; n++) {
        char spec[40];
        (void)snprintf(spec, sizeof(spec), "mem.alloc:%u", n);
        send_config(fd, config_later, policy_text, true);
        fault_arm(spec);
        rc = take_next(&c, &err);
        fault_arm(NULL);
        if (rc < 0)
            assert_memory_equal(&c, &held, sizeof(c));
    }
    assert_int_equal(rc, 0);
    assert_ptr_equal(c.retired.config, held.config);
    end_child(&c, fd, before);
}
#endif

static void what_is_retired_may_outlive_the_next_reload(void **state)
{
    int fd, before = open_count();
    struct child c;
    struct err err;
    (void)state;
    begin_child(&c, &fd);
    send_config(fd, config_later, policy_text, true);
    assert_int_equal(take_next(&c, &err), 0);
    struct child_retired kept = c.retired;
    c.retired = (struct child_retired){ 0 };
    send_config(fd, config_text, policy_text, true);
    assert_int_equal(take_next(&c, &err), 0);
    assert_string_equal(kept.policy->company, "Clipstream"); /* still there to read */
    child_retired_done(&kept);
    end_child(&c, fd, before);
}

static void a_new_peer_replaces_the_old_one(void **state)
{
    int fd, before = open_count();
    struct child c;
    struct err err;
    (void)state;
    begin_child(&c, &fd);
    int old = child_peer_of(&c, ROLE_LEDGER, 0)->fd;
    send_one(fd, IMSG_PEER, ROLE_LEDGER, "\0\0\0\0", 4);
    assert_int_equal(take_next(&c, &err), 0);
    assert_int_equal(c.replaced_fd, old);
    assert_int_not_equal(child_peer_of(&c, ROLE_LEDGER, 0)->fd, old);
    assert_int_equal(c.peer_count, 2);
    assert_true(fcntl(old, F_GETFD) >= 0); /* open until its owner lets go */
    (void)close(old);
    send_one(fd, IMSG_PEER, ROLE_WORKER, "\0\0\0\1", 4);
    assert_int_equal(take_next(&c, &err), 0);
    assert_int_equal(c.replaced_fd, -1);
    assert_int_equal(c.peer_count, 3);
    end_child(&c, fd, before);
}

static void what_comes_once_cannot_come_later(void **state)
{
    static const enum imsg_type types[] = { IMSG_METER, IMSG_LEASE, IMSG_GO, IMSG_READY };
    int fd, before = open_count();
    struct child c;
    struct err err;
    (void)state;
    begin_child(&c, &fd);
    for (size_t i = 0; i < RF_COUNT(types); i++) {
        send_one(fd, types[i], 1, NULL, 0);
        assert_int_equal(take_next(&c, &err), -RF_EPROTO);
    }
    end_child(&c, fd, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_as_it_was_sent),
        cmocka_unit_test(an_empty_message_has_no_descriptors),
        cmocka_unit_test(nothing_there_is_not_the_end),
        cmocka_unit_test(a_full_pipe_says_so),
        cmocka_unit_test(what_no_message_may_hold_is_not_sent),
        cmocka_unit_test(a_malformed_packet_is_refused_and_loses_no_descriptor),
        cmocka_unit_test(every_role_has_a_name),
        cmocka_unit_test(a_child_has_all_that_it_was_handed),
        cmocka_unit_test(a_start_out_of_order_is_refused),
        cmocka_unit_test(a_start_with_wrong_numbers_is_refused),
        cmocka_unit_test(a_start_with_mistakes_in_the_files_is_refused),
        cmocka_unit_test(a_stop_before_go_ends_the_start),
        cmocka_unit_test(a_supervisor_that_is_gone_ends_the_start),
        cmocka_unit_test(a_new_configuration_keeps_the_sockets_that_stay),
        cmocka_unit_test(a_bad_configuration_changes_nothing),
#ifdef RF_FAULTS
        cmocka_unit_test(without_memory_a_new_configuration_changes_nothing),
#endif
        cmocka_unit_test(what_is_retired_may_outlive_the_next_reload),
        cmocka_unit_test(a_new_peer_replaces_the_old_one),
        cmocka_unit_test(what_comes_once_cannot_come_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
