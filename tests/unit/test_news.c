#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "priv/news.h"

enum { NEWS_MAX = 4096, FIXED_SIZE = 83, COUNTED_AT = 1, ANNOUNCES_AT = 38, LENGTH_AT = 79 };

static const char sigs[] = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n";

/* A policy rules that two have signed; another one waits, which three have. */
static struct news both(void)
{
    struct news n = { .is_counted = true,
                      .valid = 2,
                      .announces = true,
                      .announced_valid = 0x01020304,
                      .from = 0xfffefdfc,
                      .sigs = sigs,
                      .sigs_len = sizeof(sigs) - 1 };
    for (unsigned i = 0; i < sizeof(n.digest); i++) {
        n.digest[i] = (uint8_t)(0xff - i);
        n.by[i] = (uint8_t)(0x40 + i);
    }
    return n;
}

static void write_to(struct buf *b, const struct news *n)
{
    buf_init(b, NEWS_MAX);
    assert_int_equal(news_write(b, n), 0);
}

/* The last N bytes before a page that cannot be read. */
static const uint8_t *at_the_edge(const void *bytes, size_t n)
{
    static uint8_t *pages;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (pages == NULL) {
        pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(pages != MAP_FAILED);
        assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    }
    assert_true(n <= page);
    memcpy(pages + page - n, bytes, n);
    return pages + page - n;
}

/* What is refused leaves what was there. */
static void assert_refused(const void *bytes, size_t n)
{
    struct news got, before;
    memset(&got, 0x5a, sizeof(got));
    memset(&before, 0x5a, sizeof(before));
    assert_int_equal(news_read(at_the_edge(bytes, n), n, &got), -RF_EPROTO);
    assert_memory_equal(&got, &before, sizeof(got));
}

static void assert_comes_back(const struct news *n)
{
    struct news got;
    struct buf b;
    write_to(&b, n);
    const uint8_t *bytes = at_the_edge(buf_at(&b), buf_len(&b));
    assert_int_equal(news_read(bytes, buf_len(&b), &got), 0);
    assert_int_equal(got.is_counted, n->is_counted);
    assert_memory_equal(got.by, n->by, sizeof(n->by));
    assert_int_equal(got.valid, n->valid);
    assert_int_equal(got.announces, n->announces);
    assert_memory_equal(got.digest, n->digest, sizeof(n->digest));
    assert_int_equal(got.announced_valid, n->announced_valid);
    assert_int_equal(got.from, n->from);
    assert_int_equal(got.sigs_len, n->sigs_len);
    assert_memory_equal(got.sigs, n->sigs_len > 0 ? n->sigs : "", n->sigs_len);
    /* borrowed from where it was read, not from where it was written */
    assert_ptr_equal(got.sigs, bytes + FIXED_SIZE);
    buf_done(&b);
}

static void news_read_as_they_were_written(void **state)
{
    struct news n = both();
    (void)state;
    assert_comes_back(&n);
    n.is_counted = false;
    assert_comes_back(&n);
    n.is_counted = true;
    n.announces = false;
    assert_comes_back(&n);
    n.sigs_len = 1;
    assert_comes_back(&n);
    assert_comes_back(&(struct news){ 0 }); /* no policy names signers: signatures NULL */
}

static void news_cut_anywhere_or_with_more_behind_are_refused(void **state)
{
    struct news n = both();
    struct buf b;
    (void)state;
    write_to(&b, &n);
    for (size_t len = 0; len < buf_len(&b); len++)
        assert_refused(buf_at(&b), len);
    assert_int_equal(buf_append(&b, "", 1), 0);
    assert_refused(buf_at(&b), buf_len(&b));
    buf_done(&b);
}

/* Every value of a byte: from FIRST to LAST they are read, the others are not. */
static void a_byte_has_no_other_meaning(size_t at, unsigned first, unsigned last)
{
    struct news n = both(), got;
    struct buf b;
    write_to(&b, &n);
    uint8_t *bytes = buf_at(&b);
    for (unsigned value = 0; value < 256; value++) {
        bytes[at] = (uint8_t)value;
        if (value < first || value > last)
            assert_refused(bytes, buf_len(&b));
        else
            assert_int_equal(news_read(bytes, buf_len(&b), &got), 0);
    }
    buf_done(&b);
}

static void another_version_is_refused(void **state)
{
    (void)state;
    a_byte_has_no_other_meaning(0, 2, 2);
}

static void an_answer_that_is_neither_yes_nor_no_is_refused(void **state)
{
    (void)state;
    a_byte_has_no_other_meaning(COUNTED_AT, 0, 1);
    a_byte_has_no_other_meaning(ANNOUNCES_AT, 0, 1);
}

static void signatures_that_are_longer_or_shorter_than_they_say_are_refused(void **state)
{
    static const int32_t offs[] = { -1, 1, INT32_MAX, INT32_MIN };
    struct news n = both();
    struct buf b;
    (void)state;
    write_to(&b, &n);
    for (size_t i = 0; i < RF_COUNT(offs); i++) {
        uint8_t bytes[NEWS_MAX];
        uint32_t said = (uint32_t)n.sigs_len + (uint32_t)offs[i];
        memcpy(bytes, buf_at(&b), buf_len(&b));
        for (unsigned k = 0; k < 4; k++)
            bytes[LENGTH_AT + k] = (uint8_t)(said >> (24 - 8 * k));
        assert_refused(bytes, buf_len(&b));
    }
    buf_done(&b);
}

static void what_has_no_room_is_not_written(void **state)
{
    struct news n = both();
    (void)state;
    for (size_t room = 1; room < FIXED_SIZE + n.sigs_len; room++) {
        struct buf b;
        buf_init(&b, room);
        assert_true(news_write(&b, &n) < 0);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_read_as_they_were_written),
        cmocka_unit_test(news_cut_anywhere_or_with_more_behind_are_refused),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(an_answer_that_is_neither_yes_nor_no_is_refused),
        cmocka_unit_test(signatures_that_are_longer_or_shorter_than_they_say_are_refused),
        cmocka_unit_test(what_has_no_room_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
