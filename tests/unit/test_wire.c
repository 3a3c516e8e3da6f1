#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "wire/rd.h"
#include "wire/wr.h"

static void a_short_read_is_sticky(void **state)
{
    struct rd r = rd_of("\x00\x01\x02", 3);
    (void)state;
    assert_int_equal(rd_u16(&r), 1);
    assert_int_equal(rd_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(rd_u8(&r), 0);
    assert_string_equal(rd_cstr(&r), "");
    assert_false(rd_done(&r));
}

static void a_string_needs_its_nul(void **state)
{
    struct rd r = rd_of("abc", 3);
    (void)state;
    assert_string_equal(rd_cstr(&r), "");
    assert_true(r.bad);
    r = rd_of("abc\0d", 5);
    assert_string_equal(rd_cstr(&r), "abc");
    assert_int_equal(r.left, 1);
}

static void a_message_counts_its_own_length(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    struct wr w = wr_to(&b);
    wr_open(&w, 'Q');
    wr_cstr(&w, "select 1");
    wr_close(&w);
    assert_true(wr_done(&w));
    assert_memory_equal(buf_at(&b), "Q\0\0\0\x0dselect 1", 14);
    buf_done(&b);
}

static void a_writer_past_the_ceiling_is_bad(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4);
    struct wr w = wr_to(&b);
    wr_u32(&w, 1);
    wr_u8(&w, 1);
    assert_false(wr_done(&w));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_read_is_sticky),
        cmocka_unit_test(a_string_needs_its_nul),
        cmocka_unit_test(a_message_counts_its_own_length),
        cmocka_unit_test(a_writer_past_the_ceiling_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
