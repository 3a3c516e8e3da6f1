#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"
#include "io/stream.h"
#include "io/timer.h"

static void never(struct timer *t)
{
    (void)t;
}

static void timers_come_in_order_whatever_is_moved_or_removed(void **state)
{
    enum { COUNT = 500 };
    static struct timer timers[COUNT];
    struct timer_heap heap = { 0 };
    unsigned seed = 7;
    (void)state;
    for (int round = 0; round < 20; round++) {
        int running = 0;
        memset(timers, 0, sizeof(timers));
        for (int i = 0; i < COUNT; i++) {
            timers[i].fn = never;
            timer_set(&heap, &timers[i], rand_r(&seed) % 1000);
        }
        for (int i = 0; i < COUNT; i++) {
            if (i % 3 == 0)
                timer_unset(&heap, &timers[i]);
            else if (i % 3 == 1)
                timer_set(&heap, &timers[i], rand_r(&seed) % 1000);
            running += timers[i].running;
        }
        int64_t last = -1;
        struct timer *t;
        while ((t = timer_take_due(&heap, 500)) != NULL) {
            assert_true(t->at_ms >= last && t->at_ms <= 500);
            last = t->at_ms;
            running--;
        }
        assert_true(timer_next_ms(&heap) == -1 || timer_next_ms(&heap) > 500);
        while (timer_take_due(&heap, INT64_MAX) != NULL)
            running--;
        assert_int_equal(running, 0);
        assert_int_equal(timer_next_ms(&heap), -1);
    }
}

struct end {
    struct stream stream;
    struct loop *loop;
    size_t got;
    uint8_t sum;
    bool ended, pausing;
};

static void on_data(struct stream *s, const uint8_t *bytes, size_t n)
{
    struct end *e = RF_OWNER(s, struct end, stream);
    e->got += n;
    for (size_t i = 0; i < n; i++)
        e->sum = (uint8_t)(e->sum * 31 + bytes[i]);
    if (e->pausing)
        stream_pause(s);
}

static void on_end(struct stream *s, const char *why)
{
    struct end *e = RF_OWNER(s, struct end, stream);
    (void)why;
    e->ended = true;
    stream_close(s);
    loop_stop(e->loop);
}

static const struct stream_ops ops = { .on_data = on_data, .on_end = on_end };

struct alarm {
    struct timer timer;
    struct loop *loop;
    struct end *resume;
    int left;
};

/* Wakes a paused receiver a few bytes at a time, then lets it run. */
static void on_alarm(struct timer *t)
{
    struct alarm *a = RF_OWNER(t, struct alarm, timer);
    a->resume->pausing = --a->left > 0;
    stream_resume(&a->resume->stream);
    if (a->left > 0)
        loop_timer(a->loop, t, 1);
}

static void a_slow_receiver_loses_nothing(void **state)
{
    enum { TOTAL = 8 * 1024 * 1024 };
    struct loop *loop;
    struct end a = { 0 }, b = { .pausing = true };
    int pair[2];
    uint8_t *bytes = malloc(TOTAL), sum = 0;
    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < TOTAL; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
        sum = (uint8_t)(sum * 31 + bytes[i]);
    }
    assert_int_equal(loop_new(&loop, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    a.loop = b.loop = loop;
    stream_init(&a.stream, loop, &ops);
    stream_init(&b.stream, loop, &ops);
    stream_open(&a.stream, pair[0]);
    stream_open(&b.stream, pair[1]);
    struct alarm alarm = { .timer.fn = on_alarm, .loop = loop, .resume = &b, .left = 20 };
    loop_timer(loop, &alarm.timer, 1);
    for (size_t at = 0; at < TOTAL; at += 100000)
        assert_int_equal(stream_write(&a.stream, bytes + at,
                                      TOTAL - at < 100000 ? TOTAL - at : 100000),
                         0);
    assert_true(stream_queued(&a.stream) > 0);
    /* the end is seen behind all bytes: stop when they are there */
    struct timer closer = { .fn = never };
    loop_timer(loop, &closer, 60000);
    while (b.got < TOTAL) {
        assert_int_equal(loop_turn(loop, NULL), 0);
    }
    assert_int_equal(b.got, TOTAL);
    assert_int_equal(b.sum, sum);
    assert_int_equal(stream_queued(&a.stream), 0);
    stream_close(&a.stream);
    while (!b.ended)
        assert_int_equal(loop_turn(loop, NULL), 0);
    loop_timer_stop(loop, &closer);
    loop_free(loop);
    free(bytes);
}

static void writing_to_a_dead_peer_ends_the_stream_once(void **state)
{
    struct loop *loop;
    struct end a = { 0 };
    int pair[2];
    uint8_t bytes[1000] = { 0 };
    (void)state;
    assert_int_equal(loop_new(&loop, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    a.loop = loop;
    stream_init(&a.stream, loop, &ops);
    stream_open(&a.stream, pair[0]);
    close(pair[1]);
    assert_true(stream_write(&a.stream, bytes, sizeof(bytes)) < 0);
    assert_false(a.ended); /* never from inside */
    while (!a.ended)
        assert_int_equal(loop_turn(loop, NULL), 0);
    loop_free(loop);
}

static int accepted, refused, why_refused;

static void on_accept(struct io *io, int fd)
{
    if (fd >= 0) {
        accepted++;
        (void)close(fd);
        return;
    }
    refused++;
    why_refused = fd;
    io_accept_stop(io);
}

static const struct io_ops accept_ops = { .on_accept = on_accept };

/* Readiness is level-triggered: a loop that goes on trying spins until somebody closes something.
 */
static void accepting_without_descriptors_is_told_once(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
    socklen_t len = sizeof(address);
    struct timer soon = { .fn = never };
    struct loop *loop = NULL;
    struct rlimit before, tight;
    struct io io;
    (void)state;
    assert_int_equal(loop_new(&loop, NULL), 0);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int clients[2] = { socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0) };
    assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listening, 5), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(connect(clients[0], (struct sockaddr *)&address, len), 0);
    io_init(&io, loop, &accept_ops);
    io_open(&io, listening);
    assert_int_equal(io_accept_start(&io), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    assert_int_equal(loop_turn(loop, NULL), 0);
    loop_timer(loop, &soon, 1);
    assert_int_equal(loop_turn(loop, NULL), 0); /* the first is still waiting: not told again */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(refused, 1);
    assert_int_equal(why_refused, -EMFILE);
    assert_int_equal(accepted, 0);
    /* The kernel kept the first connection; valgrind's limit, made by itself, has dropped it. */
    assert_int_equal(connect(clients[1], (struct sockaddr *)&address, len), 0);
    assert_int_equal(io_accept_start(&io), 0);
    assert_int_equal(loop_turn(loop, NULL), 0);
    assert_true(accepted > 0);
    assert_int_equal(refused, 1);
    (void)close(clients[0]);
    (void)close(clients[1]);
    io_close(&io);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_come_in_order_whatever_is_moved_or_removed),
        cmocka_unit_test(a_slow_receiver_loses_nothing),
        cmocka_unit_test(writing_to_a_dead_peer_ends_the_stream_once),
        cmocka_unit_test(accepting_without_descriptors_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
