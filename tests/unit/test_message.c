#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/message.h"

/* Two rows, a completion and a ReadyForQuery. */
static const uint8_t answer[] =
    "D\0\0\0\x0b\0\1\0\0\0\1xD\0\0\0\x0b\0\1\0\0\0\1yC\0\0\0\x0dSELECT 2\0Z\0\0\0\5I";
enum { ANSWER_LEN = sizeof(answer) - 1 };

static void count(struct walk *w, const uint8_t *bytes, size_t n, unsigned seen[MESSAGE_COUNT],
                  size_t *body)
{
    for (;;) {
        enum message m = MESSAGE_UNKNOWN;
        uint32_t len = 0;
        const uint8_t *before = bytes;
        enum walk_step step = walk_next(w, &bytes, &n, &m, &len);
        if (step == WALK_MORE)
            return;
        assert_int_not_equal(step, WALK_BAD);
        if (step == WALK_HEADER)
            seen[m]++;
        else
            *body += (size_t)(bytes - before);
    }
}

static void a_walk_sees_the_same_messages_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t first = 0; first <= ANSWER_LEN; first++)
        for (size_t second = first; second <= ANSWER_LEN; second++) {
            struct walk w = walk_of(MESSAGE_FROM_BACKEND);
            unsigned seen[MESSAGE_COUNT] = { 0 };
            size_t body = 0;
            count(&w, answer, first, seen, &body);
            count(&w, answer + first, second - first, seen, &body);
            count(&w, answer + second, ANSWER_LEN - second, seen, &body);
            assert_int_equal(seen[MESSAGE_DATA_ROW], 2);
            assert_int_equal(seen[MESSAGE_COMMAND_COMPLETE], 1);
            assert_int_equal(seen[MESSAGE_READY_FOR_QUERY], 1);
            assert_int_equal(body, ANSWER_LEN - 4 * MESSAGE_HEADER_LEN);
            assert_true(walk_at_boundary(&w));
        }
}

static void a_walk_stops_at_what_cannot_be(void **state)
{
    static const char *const bad[] = { "?\0\0\0\4", "Z\0\0\0\6xx", "Z\0\0\0\3", "D\x40\0\0\0",
                                       "D\xff\xff\xff\xff" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        struct walk w = walk_of(MESSAGE_FROM_BACKEND);
        const uint8_t *at = (const uint8_t *)bad[i];
        size_t n = MESSAGE_HEADER_LEN;
        enum message m;
        uint32_t len;
        assert_int_equal(walk_next(&w, &at, &n, &m, &len), WALK_BAD);
    }
}

static void every_byte_is_a_known_message_or_none(void **state)
{
    unsigned known[2] = { 0 };
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (int side = 0; side < 2; side++) {
            enum message m = message_of((enum message_side)side, (uint8_t)byte);
            if (m == MESSAGE_UNKNOWN)
                continue;
            known[side]++;
            assert_int_equal(message_byte(m), byte);
            assert_false(message_length_valid(m, 3)); /* a length counts itself */
            assert_false(message_length_valid(m, 0x40000000));
        }
    assert_int_equal(known[MESSAGE_FROM_FRONTEND] + known[MESSAGE_FROM_BACKEND], MESSAGE_COUNT - 1);
}

/* Every reader must refuse its message cut at any length and with a byte more. */
static void frontend_readers_want_the_whole_message(void **state)
{
    static const uint8_t parse[] = "s1\0select $1\0\0\1\0\0\0\x17";
    static const uint8_t bind[] = "p\0s1\0\0\0\0\1\0\0\0\1x\0\0";
    static const uint8_t execute[] = "p\0\0\0\0\5";
    static const uint8_t target[] = "Ss1";
    struct frontend_parse p;
    struct frontend_bind b;
    struct frontend_execute e;
    struct frontend_target t;
    (void)state;
    for (size_t n = 0; n < sizeof(parse) - 1; n++)
        assert_int_equal(frontend_read_parse(rd_of(parse, n), &p), -RF_EPROTO);
    assert_int_equal(frontend_read_parse(rd_of(parse, sizeof(parse) - 1), &p), 0);
    assert_string_equal(p.name, "s1");
    assert_int_equal(p.query_len, 9);
    assert_int_equal(p.type_count, 1);
    assert_int_equal(frontend_read_parse(rd_of(parse, sizeof(parse)), &p), -RF_EPROTO);
    for (size_t n = 0; n < 5; n++)
        assert_int_equal(frontend_read_bind(rd_of(bind, n), &b), -RF_EPROTO);
    assert_int_equal(frontend_read_bind(rd_of(bind, sizeof(bind) - 1), &b), 0);
    assert_string_equal(b.statement, "s1");
    assert_int_equal(b.rest_len, sizeof(bind) - 1 - 5);
    for (size_t n = 0; n < sizeof(execute) - 1; n++)
        assert_int_equal(frontend_read_execute(rd_of(execute, n), &e), -RF_EPROTO);
    assert_int_equal(frontend_read_execute(rd_of(execute, sizeof(execute) - 1), &e), 0);
    assert_int_equal(e.row_limit, 5);
    for (size_t n = 0; n < sizeof(target) - 1; n++)
        assert_int_equal(frontend_read_target(rd_of(target, n), &t), -RF_EPROTO);
    assert_int_equal(frontend_read_target(rd_of(target, sizeof(target)), &t), 0);
    assert_int_equal(frontend_read_target(rd_of("Xs", 3), &t), -RF_EPROTO);
}

static void a_written_message_reads_back(void **state)
{
    static const uint8_t types[] = { 0, 0, 0, 23 };
    struct frontend_parse p;
    struct backend_error e;
    struct buf b;
    struct err err;
    (void)state;
    buf_init(&b, 4096);
    struct wr w = wr_to(&b);
    frontend_write_parse(&w, "n", "select 1", 8, types, 1);
    assert_true(wr_done(&w));
    assert_int_equal(message_length_at(buf_at(&b)) + 1, buf_len(&b));
    assert_int_equal(frontend_read_parse(rd_of(buf_at(&b) + 5, buf_len(&b) - 5), &p), 0);
    assert_memory_equal(p.types, types, 4);
    buf_clear(&b);
    (void)err_set(&err, RF_EPRIV, "no \"x\"");
    err_hint(&err, "ask");
    err_detail(&err, "only for the operator");
    backend_write_error(&w, "ERROR", &err, 4012);
    assert_true(wr_done(&w));
    assert_int_equal(backend_read_error(rd_of(buf_at(&b) + 5, buf_len(&b) - 5), &e), 0);
    assert_string_equal(e.sqlstate, "42501");
    assert_string_equal(e.message, "no \"x\"");
    assert_string_equal(e.hint, "ask");
    assert_null(memmem(buf_at(&b), buf_len(&b), "operator", 8));
    assert_non_null(memmem(buf_at(&b), buf_len(&b), "P4012\0", 6));
    buf_done(&b);
}

static void a_statement_with_a_nul_is_not_written(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    struct wr w = wr_to(&b);
    frontend_write_parse(&w, "", "select\0x", 8, NULL, 0);
    assert_false(wr_done(&w));
    buf_done(&b);
}

static void a_key_is_four_to_256_bytes(void **state)
{
    uint8_t body[4 + 257] = { 0 };
    struct backend_key key;
    (void)state;
    for (size_t len = 0; len <= 257; len++)
        assert_int_equal(backend_read_key(rd_of(body, 4 + len), &key),
                         len >= 4 && len <= 256 ? 0 : -RF_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_sees_the_same_messages_however_they_are_cut),
        cmocka_unit_test(a_walk_stops_at_what_cannot_be),
        cmocka_unit_test(every_byte_is_a_known_message_or_none),
        cmocka_unit_test(frontend_readers_want_the_whole_message),
        cmocka_unit_test(a_written_message_reads_back),
        cmocka_unit_test(a_statement_with_a_nul_is_not_written),
        cmocka_unit_test(a_key_is_four_to_256_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
