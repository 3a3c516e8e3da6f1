#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "gate/inspector.h"

struct line {
    struct loop *loop;
    struct inspector *inspector;
    int parser_fd, complaints;
};

static void count_complaint(void *arg)
{
    struct line *l = arg;
    l->complaints++;
}

static void do_nothing(struct timer *t)
{
    (void)t;
}

static void give_parser(struct line *l)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    l->parser_fd = pair[0];
    inspector_connect(l->inspector, pair[1]);
}

static void hang_up(struct line *l)
{
    assert_int_equal(close(l->parser_fd), 0);
    l->parser_fd = -1;
}

static void turn_until(struct line *l, int complaints, int64_t patience_ms)
{
    struct err err;
    struct timer tick = { .fn = do_nothing };
    int64_t until_ms = clock_mono_ms() + patience_ms;
    while (l->complaints < complaints && clock_mono_ms() < until_ms) {
        loop_timer(l->loop, &tick, 20); /* so that every turn ends */
        assert_int_equal(loop_turn(l->loop, &err), 0);
    }
    loop_timer_stop(l->loop, &tick);
}

static int open_line(void **state)
{
    static struct line l;
    struct err err;
    l = (struct line){ .parser_fd = -1 };
    if (loop_new(&l.loop, &err) < 0 || inspector_new(l.loop, &l.inspector, &err) < 0)
        return -1;
    inspector_complain_to(l.inspector, count_complaint, &l);
    give_parser(&l);
    *state = &l;
    return 0;
}

static int close_line(void **state)
{
    struct line *l = *state;
    inspector_free(l->inspector);
    loop_free(l->loop);
    return l->parser_fd < 0 ? 0 : close(l->parser_fd);
}

static void a_parser_that_talks_nonsense_is_complained_of_at_once(void **state)
{
    struct line *l = *state;
    assert_int_equal(send(l->parser_fd, "nonsense", 8, MSG_NOSIGNAL), 8);
    turn_until(l, 1, INSPECTOR_PATIENCE_MS / 2);
    assert_int_equal(l->complaints, 1);
}

static void a_parser_that_hung_up_is_complained_of_if_no_other_comes(void **state)
{
    struct line *l = *state;
    hang_up(l);
    turn_until(l, 1, 200);
    give_parser(l); /* in time */
    turn_until(l, 1, INSPECTOR_PATIENCE_MS + 500);
    assert_int_equal(l->complaints, 0);
    hang_up(l);
    turn_until(l, 2, 3 * INSPECTOR_PATIENCE_MS);
    assert_int_equal(l->complaints, 2); /* again, in case the first one was lost */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_parser_that_talks_nonsense_is_complained_of_at_once,
                                        open_line, close_line),
        cmocka_unit_test_setup_teardown(a_parser_that_hung_up_is_complained_of_if_no_other_comes,
                                        open_line, close_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
