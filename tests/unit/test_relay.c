#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "priv/relay.h"

struct pair {
    int hub, registrar;
    struct buf heard;
};

static struct pair pair_make(void)
{
    struct pair p;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    p.hub = fds[0];
    p.registrar = fds[1];
    buf_init(&p.heard, RELAY_PACKET_MAX);
    return p;
}

static void pair_done(struct pair *p)
{
    fd_close(&p->hub);
    fd_close(&p->registrar);
    buf_done(&p->heard);
}

static struct relay_ask ask_of(const char *command, size_t command_len)
{
    struct relay_ask ask = { .id = UINT64_MAX,
                             .has_address = true,
                             .command = command,
                             .command_len = command_len,
                             .signature = "s",
                             .signature_len = 1 };
    ask.client.s6_addr[15] = 7;
    ask.listener.s6_addr[0] = 9;
    return ask;
}

static void what_is_asked_arrives(void **state)
{
    struct pair p = pair_make();
    const struct relay_ask said = ask_of("a\0b", 3);
    struct relay_ask heard;
    (void)state;
    assert_int_equal(relay_ask_receive(p.registrar, &p.heard, &heard), 0);
    assert_int_equal(relay_ask_send(p.hub, &said), 0);
    assert_int_equal(relay_ask_receive(p.registrar, &p.heard, &heard), 1);
    assert_true(heard.id == said.id && heard.has_address);
    assert_memory_equal(&heard.client, &said.client, sizeof(said.client));
    assert_memory_equal(&heard.listener, &said.listener, sizeof(said.listener));
    assert_int_equal(heard.command_len, 3);
    assert_memory_equal(heard.command, "a\0b", 3);
    assert_int_equal(heard.signature_len, 1);
    pair_done(&p);
}

static void what_is_answered_arrives(void **state)
{
    struct pair p = pair_make();
    const struct relay_answer said = { .id = 1, .status = 409, .json = "{}", .json_len = 2 };
    struct relay_answer heard;
    (void)state;
    assert_int_equal(relay_answer_send(p.registrar, &said), 0);
    assert_int_equal(relay_answer_receive(p.hub, &p.heard, &heard), 1);
    assert_true(heard.id == 1 && heard.status == 409 && heard.json_len == 2);
    fd_close(&p.registrar);
    assert_int_equal(relay_answer_receive(p.hub, &p.heard, &heard), -RF_EUNAVAIL);
    assert_int_equal(relay_ask_send(p.hub, &(struct relay_ask){ .command = "", .signature = "" }),
                     -RF_EUNAVAIL);
    pair_done(&p);
}

static void what_is_too_long_is_not_sent(void **state)
{
    static char much[RELAY_COMMAND_MAX + 1];
    struct pair p = pair_make();
    struct relay_ask ask = ask_of(much, sizeof(much)), heard;
    (void)state;
    assert_int_equal(relay_ask_send(p.hub, &ask), -RF_ETOOBIG);
    ask.command_len--;
    assert_int_equal(relay_ask_send(p.hub, &ask), 0);
    assert_int_equal(relay_ask_receive(p.registrar, &p.heard, &heard), 1);
    assert_int_equal(heard.command_len, RELAY_COMMAND_MAX);
    pair_done(&p);
}

/* Whoever does not read is told of nothing more; nobody waits for him. */
static void a_full_pipe_is_said(void **state)
{
    struct pair p = pair_make();
    const struct relay_ask ask = ask_of("x", 1);
    int rc = 0;
    (void)state;
    for (int i = 0; i < 100000 && rc == 0; i++)
        rc = relay_ask_send(p.hub, &ask);
    assert_int_equal(rc, -RF_ETIMEOUT);
    pair_done(&p);
}

static void anything_else_is_refused(void **state)
{
    uint8_t packet[64] = { 0 };
    struct pair p = pair_make();
    struct relay_ask ask;
    struct relay_answer answer;
    (void)state;
    for (size_t n = 1; n < 49; n++) { /* an empty ask has 49 bytes */
        assert_int_equal(send(p.hub, packet, n, 0), (ssize_t)n);
        assert_int_equal(relay_ask_receive(p.registrar, &p.heard, &ask), -RF_EPROTO);
    }
    assert_int_equal(send(p.hub, packet, 50, 0), 50);
    assert_int_equal(relay_ask_receive(p.registrar, &p.heard, &ask), -RF_EPROTO);
    packet[8] = 2; /* neither true nor false */
    assert_int_equal(send(p.hub, packet, 49, 0), 49);
    assert_int_equal(relay_ask_receive(p.registrar, &p.heard, &ask), -RF_EPROTO);
    memset(packet, 0, sizeof(packet)); /* no status of HTTP */
    assert_int_equal(send(p.registrar, packet, 14, 0), 14);
    assert_int_equal(relay_answer_receive(p.hub, &p.heard, &answer), -RF_EPROTO);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_arrives),        cmocka_unit_test(what_is_answered_arrives),
        cmocka_unit_test(what_is_too_long_is_not_sent), cmocka_unit_test(a_full_pipe_is_said),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
