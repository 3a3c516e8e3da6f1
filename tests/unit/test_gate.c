#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/expect.h"
#include "gate/names.h"
#include "gate/parameters.h"
#include "gate/pool.h"
#include "gate/prepared.h"
#include "gate/recorder.h"
#include "gate/settings.h"
#include "gate/step.h"

/* The whole table, written a second time: state by state, one letter a message of the order below.
   '.' refuses. */
static const struct {
    enum message message;
    const char *name;
} columns[] = {
    { MESSAGE_QUERY, "Q" },     { MESSAGE_PARSE, "P" },     { MESSAGE_BIND, "B" },
    { MESSAGE_DESCRIBE, "D" },  { MESSAGE_EXECUTE, "E" },   { MESSAGE_CLOSE, "C" },
    { MESSAGE_SYNC, "S" },      { MESSAGE_FLUSH, "H" },     { MESSAGE_FUNCTION_CALL, "F" },
    { MESSAGE_COPY_DATA, "d" }, { MESSAGE_COPY_DONE, "c" }, { MESSAGE_COPY_FAIL, "f" },
    { MESSAGE_PASSWORD, "p" },  { MESSAGE_TERMINATE, "X" },
};
static const char *const table[SESSION_STATE_COUNT] = {
    [SESSION_CLOSED] = "..............",    [SESSION_STARTUP] = "..............",
    [SESSION_TLS] = "..............",       [SESSION_SASL_FIRST] = "............1X",
    [SESSION_SASL_NEXT] = "............2X", [SESSION_ADMISSION] = "..............",
    [SESSION_SERVICE] = "QPBDECSHFddd.X",   [SESSION_PERSON] = "QPBDECSH-***.X",
    [SESSION_ENDING] = "**************",
};
static const char letters[STEP_COUNT] = {
    [STEP_REFUSE] = '.', [STEP_SASL_FIRST] = '1', [STEP_SASL_NEXT] = '2', [STEP_QUERY] = 'Q',
    [STEP_PARSE] = 'P',  [STEP_BIND] = 'B',       [STEP_DESCRIBE] = 'D',  [STEP_EXECUTE] = 'E',
    [STEP_CLOSE] = 'C',  [STEP_SYNC] = 'S',       [STEP_FLUSH] = 'H',     [STEP_CALL] = 'F',
    [STEP_COPY] = 'd',   [STEP_DENY] = '-',       [STEP_DROP] = '*',      [STEP_TERMINATE] = 'X',
};

static void every_state_knows_what_to_do_with_every_message(void **state)
{
    (void)state;
    for (int s = 0; s < SESSION_STATE_COUNT; s++) {
        for (int m = 0; m < MESSAGE_COUNT; m++) {
            char expected = '.'; /* messages of servers are refused everywhere */
            for (size_t c = 0; c < RF_COUNT(columns); c++)
                if (columns[c].message == (enum message)m)
                    expected = table[s][c];
            char found = letters[step_of((enum session_state)s, (enum message)m)];
            if (found != expected)
                fail_msg("%s × %s: expected %c, found %c", step_state_name((enum session_state)s),
                         message_name((enum message)m), expected, found);
        }
    }
}

static unsigned skipped_count;

static void count_skipped(const struct expect *e, void *arg)
{
    (void)e;
    (void)arg;
    skipped_count++;
}

static void answers_find_the_request_they_belong_to(void **state)
{
    struct expect_queue q = { 0 };
    (void)state;
    for (uint32_t i = 1; i <= 100; i++) {
        assert_int_equal(expect_push(&q, EXPECT_PARSE, EXPECT_FORWARD, i), 0);
        assert_int_equal(expect_push(&q, EXPECT_BIND, EXPECT_FORWARD, i), 0);
        assert_int_equal(expect_push(&q, EXPECT_DESCRIBE, EXPECT_FORWARD, i), 0);
        assert_int_equal(expect_push(&q, EXPECT_EXECUTE, EXPECT_FORWARD, i), 0);
        assert_int_equal(expect_push(&q, EXPECT_SYNC, EXPECT_FORWARD, i), 0);
        if (i % 2 == 0) /* let the ring turn */
            continue;
        assert_int_equal(expect_answer(&q, MESSAGE_PARSE_COMPLETE, NULL, NULL).kind, EXPECT_PARSE);
        assert_int_equal(expect_answer(&q, MESSAGE_BIND_COMPLETE, NULL, NULL).kind, EXPECT_BIND);
        assert_int_equal(expect_answer(&q, MESSAGE_PARAMETER_DESCRIPTION, NULL, NULL).kind,
                         EXPECT_NONE);
        assert_int_equal(expect_answer(&q, MESSAGE_ROW_DESCRIPTION, NULL, NULL).kind,
                         EXPECT_DESCRIBE);
        assert_int_equal(expect_answer(&q, MESSAGE_DATA_ROW, NULL, NULL).kind, EXPECT_NONE);
        struct expect e = expect_answer(&q, MESSAGE_COMMAND_COMPLETE, NULL, NULL);
        assert_int_equal(e.kind, EXPECT_EXECUTE);
        assert_int_equal(e.reference, (i + 1) / 2);
        assert_int_equal(expect_answer(&q, MESSAGE_READY_FOR_QUERY, NULL, NULL).kind, EXPECT_SYNC);
    }
    assert_int_equal(q.count, 50 * 5);
    expect_done(&q);
}

static void an_error_skips_to_the_sync_and_no_further(void **state)
{
    struct expect_queue q = { 0 };
    (void)state;
    for (uint32_t i = 1; i <= 2; i++) {
        assert_int_equal(expect_push(&q, EXPECT_PARSE, EXPECT_REPLACE_ERROR, i), 0);
        assert_int_equal(expect_push(&q, EXPECT_BIND, EXPECT_FORWARD, i), 0);
        assert_int_equal(expect_push(&q, EXPECT_EXECUTE, EXPECT_FORWARD, i), 0);
        assert_int_equal(expect_push(&q, EXPECT_SYNC, EXPECT_FORWARD, i), 0);
    }
    struct expect e = expect_answer(&q, MESSAGE_ERROR_RESPONSE, NULL, NULL);
    assert_int_equal(e.action, EXPECT_REPLACE_ERROR);
    assert_int_equal(e.reference, 1);
    skipped_count = 0;
    e = expect_answer(&q, MESSAGE_READY_FOR_QUERY, count_skipped, NULL);
    assert_int_equal(e.kind, EXPECT_SYNC);
    assert_int_equal(e.reference, 1);
    assert_int_equal(skipped_count, 3);
    assert_int_equal(q.count, 4);
    assert_int_equal(expect_front(&q)->reference, 2);
    expect_done(&q);
}

static void a_query_behind_an_error_is_skipped_with_the_rest(void **state)
{
    struct expect_queue q = { 0 };
    (void)state;
    assert_int_equal(expect_push(&q, EXPECT_PARSE, EXPECT_FORWARD, 1), 0);
    assert_int_equal(expect_push(&q, EXPECT_QUERY, EXPECT_FORWARD, 2), 0);
    assert_int_equal(expect_push(&q, EXPECT_SYNC, EXPECT_FORWARD, 3), 0);
    assert_int_equal(expect_push(&q, EXPECT_QUERY, EXPECT_FORWARD, 4), 0);
    assert_int_equal(expect_push(&q, EXPECT_QUERY, EXPECT_FORWARD, 5), 0);
    assert_int_equal(expect_answer(&q, MESSAGE_ERROR_RESPONSE, NULL, NULL).reference, 1);
    skipped_count = 0;
    struct expect e = expect_answer(&q, MESSAGE_READY_FOR_QUERY, count_skipped, NULL);
    assert_int_equal(e.reference, 3);
    assert_int_equal(skipped_count, 2);
    /* an error of a simple query ends with its own ReadyForQuery */
    assert_int_equal(expect_answer(&q, MESSAGE_ERROR_RESPONSE, NULL, NULL).reference, 4);
    assert_int_equal(expect_answer(&q, MESSAGE_READY_FOR_QUERY, NULL, NULL).reference, 4);
    assert_int_equal(q.count, 1);
    expect_done(&q);
}

static void a_name_means_what_the_server_took_last(void **state)
{
    struct names n = { 0 };
    (void)state;
    assert_int_equal(names_add(&n, "s", 1, "one", 3, NULL, NULL), 0);
    names_confirm(&n, 1);
    assert_int_equal(names_add(&n, "s", 2, "two", 3, NULL, NULL), 0);
    assert_int_equal(names_find(&n, "s")->number, 2);
    assert_false(names_is_open(&n, "s", 1)); /* no Sync behind it yet */
    assert_true(names_is_open(&n, "s", 2));
    names_remove(&n, 2); /* refused */
    assert_int_equal(names_find(&n, "s")->number, 1);
    assert_int_equal(names_add(&n, "s", 3, "three", 5, NULL, NULL), 0);
    names_confirm(&n, 3);
    assert_int_equal(n.count, 1);
    assert_int_equal(n.bytes, 5);
    assert_int_equal(names_find(&n, "s")->number, 3);
    assert_false(names_is_open(&n, "s", 9));
    assert_null(names_find(&n, "t"));
    names_done(&n);
}

static void names_are_cut_as_the_server_cuts_them(void **state)
{
    struct names n = { 0 };
    char one[80], other[80];
    (void)state;
    memset(one, 'n', sizeof(one));
    memset(other, 'n', sizeof(other));
    one[NAMES_LEN] = 'a';
    other[NAMES_LEN] = 'b';
    one[70] = other[70] = '\0';
    assert_int_equal(names_add(&n, one, 1, "one", 3, NULL, NULL), 0);
    assert_non_null(names_find(&n, other));
    other[NAMES_LEN - 1] = 'x';
    assert_null(names_find(&n, other));
    names_done(&n);
}

static void the_least_used_name_makes_room(void **state)
{
    struct names n = { 0 };
    char name[16];
    (void)state;
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(names_add(&n, name, i + 1, "x", 1, NULL, NULL), 0);
    }
    assert_null(names_excess(&n));
    assert_non_null(names_find(&n, "s0")); /* used just now */
    assert_int_equal(names_add(&n, "more", NAMES_MAX + 1, "x", 1, NULL, NULL), 0);
    assert_string_equal(names_excess(&n)->name, "s1");
    names_end_until(&n, NAMES_MAX);
    assert_int_equal(n.count, 1);
    names_done(&n);
}

static void the_queue_of_requests_has_a_ceiling(void **state)
{
    struct expect_queue q = { 0 };
    int rc = 0;
    (void)state;
    for (uint32_t i = 0; rc == 0 && i < 2 * EXPECT_QUEUE_MAX; i++)
        rc = expect_push(&q, EXPECT_PARSE, EXPECT_FORWARD, i);
    assert_int_equal(rc, -RF_ETOOBIG);
    expect_done(&q);
}

static void only_differing_parameters_are_set(void **state)
{
    struct settings want = { 0 }, have = { 0 }, defaults = { 0 };
    struct buf sql;
    (void)state;
    buf_init(&sql, 4096);
    assert_int_equal(settings_put(&have, "DateStyle", "ISO, MDY"), 0);
    assert_int_equal(settings_put(&have, "TimeZone", "UTC"), 0);
    assert_int_equal(settings_put(&want, "datestyle", "ISO, MDY"), 0);
    assert_int_equal(settings_write_difference(&want, &have, &defaults, &sql), 0);
    assert_int_equal(buf_len(&sql), 0);
    assert_int_equal(settings_put(&want, "timezone", "o'clock\\"), 0);
    assert_int_equal(settings_put(&want, "search_path", "a, b"), 0);
    assert_int_equal(settings_write_difference(&want, &have, &defaults, &sql), 2);
    static const char expected[] =
        "SELECT pg_catalog.set_config(E'timezone', E'o\\'clock\\\\', false), "
        "pg_catalog.set_config(E'search_path', E'a, b', false)";
    assert_int_equal(buf_len(&sql), sizeof(expected) - 1);
    assert_memory_equal(buf_at(&sql), expected, sizeof(expected) - 1);
    /* what another client left behind goes back to the server's own value */
    settings_done(&want);
    buf_clear(&sql);
    assert_int_equal(settings_put(&defaults, "TimeZone", "Etc/UTC"), 0);
    assert_int_equal(settings_put(&defaults, "server_version", "15"), 0);
    assert_int_equal(settings_write_difference(&want, &have, &defaults, &sql), 1);
    assert_non_null(memmem(buf_at(&sql), buf_len(&sql), "E'TimeZone', E'Etc/UTC'", 23));
    settings_done(&defaults);
    assert_int_equal(settings_put(&want, "timezone", "x"), 0);
    assert_int_equal(settings_adopt(&want, &have), 0);
    assert_string_equal(settings_get(&want, "TimeZone"), "UTC");
    settings_done(&want);
    settings_done(&have);
    buf_done(&sql);
}

static struct prepared *intern(struct prepared_table *t, const char *query)
{
    struct frontend_parse parse = { .name = "x", .query = query, .query_len = strlen(query) };
    struct prepared *p = NULL;
    assert_int_equal(prepared_intern(t, &parse, &p), 0);
    return p;
}

static void equal_texts_share_one_statement(void **state)
{
    struct prepared_table t = { 0 };
    struct prepared_names names = { 0 };
    char query[32];
    (void)state;
    for (int i = 0; i < 300; i++) {
        (void)snprintf(query, sizeof(query), "select %d", i % 150);
        struct prepared *p = intern(&t, query);
        (void)snprintf(query, sizeof(query), "s%d", i);
        assert_int_equal(prepared_names_put(&names, &t, query, p), 0);
    }
    assert_int_equal(t.count, 150);
    assert_ptr_equal(prepared_names_find(&names, "s7"), prepared_names_find(&names, "s157"));
    assert_null(prepared_names_find(&names, "s300"));
    prepared_names_drop(&names, &t, "s7");
    assert_int_equal(t.count, 150);
    prepared_names_drop(&names, &t, "s157");
    assert_int_equal(t.count, 149);
    prepared_names_done(&names, &t);
    assert_int_equal(t.count, 0);
    prepared_table_done(&t);
}

static void a_server_knows_what_it_has_learned(void **state)
{
    struct backend b = { 0 };
    (void)state;
    for (uint64_t id = 1000; id > 0; id -= 2)
        assert_int_equal(prepared_learn(&b, id), 0);
    assert_int_equal(prepared_learn(&b, 500), 0);
    assert_int_equal(b.known_count, 500);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_int_equal(prepared_is_known(&b, id), id % 2 == 0);
    prepared_unlearn(&b, 500);
    prepared_unlearn(&b, 501);
    assert_false(prepared_is_known(&b, 500));
    assert_int_equal(b.known_count, 499);
    free(b.known);
}

static void parameters_print_as_text_hex_and_null(void **state)
{
    /* formats: text, binary, text; values: a'b, 01 02, NULL */
    static const uint8_t bind[] = "\0\3\0\0\0\1\0\0"
                                  "\0\3\0\0\0\3a'b\0\0\0\2\1\2\xff\xff\xff\xff\0\0";
    char out[200];
    (void)state;
    parameters_print(out, sizeof(out), bind, sizeof(bind) - 1);
    assert_string_equal(out, "$1='a\\'b', $2=\\x0102, $3=NULL");
    for (size_t n = 0; n < sizeof(bind); n++)
        parameters_print(out, sizeof(out), bind, n); /* any cut, no overrun */
}

static void parameters_that_do_not_fit_are_counted(void **state)
{
    uint8_t bind[4 + 4 + 500 + 2] = { 0, 0, 0, 1, 0, 0, 1, 0xf4 };
    char out[120];
    (void)state;
    memset(bind + 8, 'x', 500);
    parameters_print(out, sizeof(out), bind, sizeof(bind));
    assert_non_null(strstr(out, "bytes more"));
    assert_true(strlen(out) < sizeof(out));
}

/* Give the recorder an answer of the ledger's, type and number, and let it work. */
static void answer(struct loop *loop, int ledger, uint8_t type, uint8_t seq)
{
    const uint8_t bytes[] = { 0, 0, 0, 9, type, 0, 0, 0, 0, 0, 0, 0, seq };
    uint8_t asked[4096];
    assert_int_equal(write(ledger, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(loop_turn(loop, NULL), 0);
    (void)recv(ledger, asked, sizeof(asked), MSG_DONTWAIT);
}

static void a_ledger_that_forgot_an_idle_worker_is_believed(void **state)
{
    struct loop *loop;
    struct recorder *r;
    struct record record = { .kind = RECORD_STATEMENT, .wall_ms = 1 };
    uint64_t seq;
    int first[2], second[2];
    (void)state;
    assert_int_equal(loop_new(&loop, NULL), 0);
    assert_int_equal(recorder_new(loop, "worker-0", &r, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, first), 0);
    recorder_connect(r, first[0]);
    assert_int_equal(recorder_put(r, &record, &seq, NULL), 0);
    answer(loop, first[1], RECORD_ANSWER_WELCOME, 0);
    answer(loop, first[1], RECORD_ANSWER_ACK, 1);
    assert_true(recorder_has_reached(r, RECORD_DURABLE, seq));
    /* the ledger starts anew, and this worker's entries are in segments that it does not read */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, second), 0);
    recorder_connect(r, second[0]);
    assert_int_equal(recorder_put(r, &record, &seq, NULL), 0);
    answer(loop, second[1], RECORD_ANSWER_WELCOME, 0);
    assert_true(recorder_available(r, NULL));
    answer(loop, second[1], RECORD_ANSWER_ACK, 2);
    assert_true(recorder_has_reached(r, RECORD_DURABLE, seq));
    recorder_free(r);
    loop_free(loop);
    (void)close(first[1]);
    (void)close(second[1]);
}

/* What the ledger hears next: the kinds of messages in their order, as digits. */
static const char *heard(struct loop *loop, int ledger, char text[64])
{
    uint8_t bytes[4096];
    size_t count = 0;
    ssize_t n = 0, got;
    assert_int_equal(loop_turn(loop, NULL), 0);
    while ((got = recv(ledger, bytes + n, sizeof(bytes) - (size_t)n, MSG_DONTWAIT)) > 0)
        n += got;
    for (ssize_t at = 0; at < n; at += 4 + (bytes[at + 2] << 8) + bytes[at + 3])
        text[count++] = (char)('0' + bytes[at + 4]);
    text[count] = '\0';
    return text;
}

static void never_reached(struct recorder_wait *w)
{
    (void)w;
    fail_msg("nothing was acknowledged");
}

static void tick(struct timer *t)
{
    (void)t; /* only ends a turn of the loop */
}

static void the_ledger_is_told_when_a_statement_alone_is_waited_for(void **state)
{
    struct loop *loop;
    struct recorder *r;
    struct record statement = { .kind = RECORD_STATEMENT, .wall_ms = 1 };
    struct record result = { .kind = RECORD_RESULT, .wall_ms = 1 };
    struct recorder_wait wait = { .on_reached = never_reached }, other = wait;
    struct timer soon = { .fn = tick };
    uint64_t seq;
    int first[2], second[2];
    char text[64];
    (void)state;
    assert_int_equal(loop_new(&loop, NULL), 0);
    assert_int_equal(recorder_new(loop, "worker-0", &r, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, first), 0);
    recorder_connect(r, first[0]);
    answer(loop, first[1], RECORD_ANSWER_WELCOME, 0);
    assert_int_equal(recorder_put(r, &statement, &seq, NULL), 0);
    assert_string_equal(heard(loop, first[1], text), "2"); /* the answer is still to come */
    assert_int_equal(recorder_put(r, &result, &seq, NULL), 0);
    recorder_await(r, &wait, RECORD_DURABLE, seq);
    assert_string_equal(heard(loop, first[1], text), "2"); /* a result says it by itself */
    recorder_forget(r, &wait);
    assert_int_equal(recorder_put(r, &statement, &seq, NULL), 0);
    recorder_await(r, &wait, RECORD_DURABLE, seq);
    assert_string_equal(heard(loop, first[1], text), "23");
    recorder_await(r, &other, RECORD_DURABLE, seq);
    loop_timer(loop, &soon, 0);
    assert_string_equal(heard(loop, first[1], text), ""); /* once */
    recorder_forget(r, &other);
    /* a new ledger knows nothing of that */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, second), 0);
    recorder_connect(r, second[0]);
    const uint8_t welcome[] = { 0, 0, 0, 9, RECORD_ANSWER_WELCOME, 0, 0, 0, 0, 0, 0, 0, 2 };
    assert_int_equal(write(second[1], welcome, sizeof(welcome)), sizeof(welcome));
    assert_string_equal(heard(loop, second[1], text), "123");
    recorder_forget(r, &wait);
    recorder_free(r);
    loop_free(loop);
    (void)close(first[1]);
    (void)close(second[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_knows_what_to_do_with_every_message),
        cmocka_unit_test(answers_find_the_request_they_belong_to),
        cmocka_unit_test(an_error_skips_to_the_sync_and_no_further),
        cmocka_unit_test(a_query_behind_an_error_is_skipped_with_the_rest),
        cmocka_unit_test(a_name_means_what_the_server_took_last),
        cmocka_unit_test(names_are_cut_as_the_server_cuts_them),
        cmocka_unit_test(the_least_used_name_makes_room),
        cmocka_unit_test(the_queue_of_requests_has_a_ceiling),
        cmocka_unit_test(only_differing_parameters_are_set),
        cmocka_unit_test(equal_texts_share_one_statement),
        cmocka_unit_test(a_server_knows_what_it_has_learned),
        cmocka_unit_test(parameters_print_as_text_hex_and_null),
        cmocka_unit_test(parameters_that_do_not_fit_are_counted),
        cmocka_unit_test(a_ledger_that_forgot_an_idle_worker_is_believed),
        cmocka_unit_test(the_ledger_is_told_when_a_statement_alone_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
