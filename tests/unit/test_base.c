#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

static void a_buffer_keeps_to_its_ceiling(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, "0123456789", 10), 0);
    assert_int_equal(buf_append(&b, "x", 1), -RF_ETOOBIG);
    assert_int_equal(buf_len(&b), 10);
    buf_consume(&b, 4);
    assert_int_equal(buf_append(&b, "abcd", 4), 0);
    assert_memory_equal(buf_at(&b), "456789abcd", 10);
    buf_done(&b);
}

static void an_emptied_buffer_gives_its_memory_back(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    assert_int_equal(buf_append(&b, "abc", 3), 0);
    buf_consume(&b, 3);
    assert_null(b.data);
    assert_int_equal(b.cap, 0);
}

static void every_error_has_a_state_and_a_sentence(void **state)
{
    (void)state;
    for (int code = 1; code < RF_ERROR_COUNT; code++) {
        struct err e;
        assert_int_equal(err_set(&e, (enum err_code)code, "x"), -code);
        assert_int_equal(strlen(err_state_of(&e)), 5);
        assert_true(strlen(err_sentence(code)) > 3);
        assert_in_range(err_exit_status(code), 1, 4);
    }
}

static void what_a_peer_sent_is_escaped_and_clipped(void **state)
{
    char out[32];
    (void)state;
    assert_string_equal(log_quote(out, sizeof(out), "a\"\n\xff", 4), "\"a\\\"\\x0a\\xff\"");
    const char *clipped =
        log_quote(out, sizeof(out), "0123456789012345678901234567890123456789", 40);
    assert_true(strlen(clipped) < sizeof(out));
    assert_non_null(strstr(clipped, "..\""));
}

static void time_is_printed_in_utc(void **state)
{
    char out[25];
    (void)state;
    clock_format(1700000000123, out);
    assert_string_equal(out, "2023-11-14T22:13:20.123Z");
}

static void a_file_may_be_as_long_as_the_limit_and_no_longer(void **state)
{
    static const size_t limits[] = { 1, 4095, 4096, 4097, 8192, 10000, 65536 };
    static char zeros[65537];
    char path[] = "/tmp/test_base.XXXXXX", *bytes;
    struct err err;
    size_t len;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < RF_COUNT(limits); i++) {
        assert_int_equal(pwrite(fd, zeros, limits[i], 0), limits[i]);
        assert_int_equal(fd_read_file(path, limits[i], &bytes, &len, &err), 0);
        assert_int_equal(len, limits[i]);
        mem_free(bytes);
        assert_int_equal(pwrite(fd, zeros, limits[i] + 1, 0), limits[i] + 1);
        assert_int_equal(fd_read_file(path, limits[i], &bytes, &len, &err), -RF_ETOOBIG);
    }
    fd_close(&fd);
    assert_int_equal(unlink(path), 0);
}

static void a_copy_of_nothing_is_an_empty_string(void **state)
{
    (void)state;
    char *copy = mem_strndup(NULL, 0); /* under UndefinedBehaviorSanitizer this ends a program */
    assert_non_null(copy);
    assert_string_equal(copy, "");
    mem_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_keeps_to_its_ceiling),
        cmocka_unit_test(an_emptied_buffer_gives_its_memory_back),
        cmocka_unit_test(every_error_has_a_state_and_a_sentence),
        cmocka_unit_test(what_a_peer_sent_is_escaped_and_clipped),
        cmocka_unit_test(time_is_printed_in_utc),
        cmocka_unit_test(a_file_may_be_as_long_as_the_limit_and_no_longer),
        cmocka_unit_test(a_copy_of_nothing_is_an_empty_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
