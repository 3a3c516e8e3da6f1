#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "ledger/json.h"
#include "ledger/leaf.h"
#include "ledger/logleaf.h"
#include "ledger/record.h"

static struct record full_record(void)
{
    return (struct record){ .kind = RECORD_RESULT,
                            .wall_ms = 1795780807123,
                            .session = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
                            .statement = 3,
                            .region = "us-virginia",
                            .entity = "clipstream-us",
                            .place = "US",
                            .room = "masked",
                            .purpose = "support_ticket",
                            .rule = "actor-known",
                            .actor_kind = "person",
                            .classes = "identity,contact",
                            .grant = 31,
                            .subjects = 2,
                            .revealed = "42 identity 43 identity,contact",
                            .rows = 5,
                            .bytes = 1234,
                            .statements = 9,
                            .actor = "us_analyst",
                            .client = "127.0.0.1:40000",
                            .listener = "127.0.0.1:6432",
                            .database = "us-virginia",
                            .role = "us_analyst.masked",
                            .sql = "select\0 1",
                            .sql_len = 9,
                            .statement_kind = "SelectStmt",
                            .fingerprint = 0x8877665544332211,
                            .relations = "app.users,app.videos",
                            .outcome = "SELECT 5",
                            .detail = "chunk" };
}

/* The last N bytes before a page that cannot be read. */
static uint8_t *at_the_edge(const void *bytes, size_t n)
{
    static uint8_t *pages;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 32 * page;
    if (pages == NULL) {
        pages = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(pages != MAP_FAILED);
        assert_int_equal(mprotect(pages + room, page, PROT_NONE), 0);
    }
    assert_true(n <= room);
    memcpy(pages + room - n, bytes, n);
    return pages + room - n;
}

static void a_record_reads_as_it_was_written(void **state)
{
    struct record r = full_record(), got;
    struct buf b;
    uint64_t seq;
    (void)state;
    buf_init(&b, RECORD_MAX + 4);
    assert_int_equal(record_write(&b, 42, &r), 0);
    size_t n = buf_len(&b) - 4;
    assert_int_equal(buf_at(&b)[2] << 8 | buf_at(&b)[3], n);
    assert_int_equal(record_read(buf_at(&b) + 4, n, &seq, &got), 0);
    assert_int_equal(seq, 42);
    assert_int_equal(got.kind, r.kind);
    assert_int_equal(got.wall_ms, r.wall_ms);
    assert_memory_equal(got.session, r.session, sizeof(r.session));
    assert_int_equal(got.statement, 3);
    assert_string_equal(got.region, r.region);
    assert_string_equal(got.entity, r.entity);
    assert_string_equal(got.place, r.place);
    assert_string_equal(got.room, r.room);
    assert_string_equal(got.purpose, r.purpose);
    assert_string_equal(got.rule, r.rule);
    assert_string_equal(got.actor_kind, r.actor_kind);
    assert_string_equal(got.classes, r.classes);
    assert_int_equal(got.grant, 31);
    assert_int_equal(got.subjects, 2);
    assert_string_equal(got.revealed, r.revealed);
    assert_int_equal(got.rows, 5);
    assert_int_equal(got.bytes, 1234);
    assert_int_equal(got.statements, 9);
    assert_string_equal(got.actor, r.actor);
    assert_string_equal(got.client, r.client);
    assert_string_equal(got.listener, r.listener);
    assert_string_equal(got.database, r.database);
    assert_string_equal(got.role, r.role);
    assert_int_equal(got.sql_len, 9);
    assert_memory_equal(got.sql, "select\0 1\0", 10);
    assert_string_equal(got.statement_kind, r.statement_kind);
    assert_true(got.fingerprint == r.fingerprint);
    assert_string_equal(got.relations, r.relations);
    assert_string_equal(got.outcome, r.outcome);
    assert_string_equal(got.detail, r.detail);
    buf_done(&b);
}

static void an_empty_record_reads_as_empty_strings(void **state)
{
    struct record r = { .kind = RECORD_SESSION_OPEN }, got;
    struct buf b;
    uint64_t seq;
    (void)state;
    buf_init(&b, RECORD_MAX + 4);
    assert_int_equal(record_write(&b, 1, &r), 0);
    assert_int_equal(record_read(buf_at(&b) + 4, buf_len(&b) - 4, &seq, &got), 0);
    assert_string_equal(got.region, "");
    assert_string_equal(got.sql, "");
    assert_int_equal(got.sql_len, 0);
    assert_string_equal(got.detail, "");
    buf_done(&b);
}

static void a_record_cut_at_any_length_is_refused(void **state)
{
    struct record r = full_record(), got;
    struct buf b;
    uint64_t seq;
    (void)state;
    buf_init(&b, RECORD_MAX + 4);
    assert_int_equal(record_write(&b, 1, &r), 0);
    size_t n = buf_len(&b) - 4;
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(record_read(at_the_edge(buf_at(&b) + 4, cut), cut, &seq, &got),
                         -RF_EPROTO);
    assert_int_equal(record_read(at_the_edge(buf_at(&b) + 4, n), n, &seq, &got), 0);
    assert_int_equal(buf_append(&b, "", 1), 0);
    assert_int_equal(record_read(buf_at(&b) + 4, n + 1, &seq, &got), -RF_EPROTO);
    buf_done(&b);
}

static size_t text_sum(const struct record *r)
{
    const char *const texts[] = { r->region,    r->entity,   r->place,      r->room,
                                  r->purpose,   r->rule,     r->actor_kind, r->actor,
                                  r->client,    r->listener, r->database,   r->role,
                                  r->relations, r->outcome,  r->detail,     r->statement_kind,
                                  r->classes,   r->revealed };
    size_t sum = 0;
    for (size_t i = 0; i < RF_COUNT(texts); i++)
        sum += strlen(texts[i]);
    for (size_t i = 0; i < r->sql_len; i++)
        sum += (uint8_t)r->sql[i];
    return sum + (size_t)r->sql[r->sql_len];
}

static void any_flipped_bit_stays_inside_the_message(void **state)
{
    struct record r = full_record(), got;
    struct buf b;
    uint64_t seq;
    size_t read = 0, refused = 0;
    (void)state;
    buf_init(&b, RECORD_MAX + 4);
    assert_int_equal(record_write(&b, 1, &r), 0);
    size_t n = buf_len(&b) - 4;
    for (size_t bit = 0; bit < n * 8; bit++) {
        uint8_t *m = at_the_edge(buf_at(&b) + 4, n);
        m[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (record_read(m, n, &seq, &got) == 0) {
            read++;
            assert_true(text_sum(&got) < 100000); /* touches every byte that was handed out */
            assert_int_equal(got.sql[got.sql_len], 0);
        } else {
            refused++;
        }
    }
    assert_true(read > 0 && refused > 0);
    buf_done(&b);
}

static void a_record_that_is_too_large_leaves_the_buffer_alone(void **state)
{
    struct record r = full_record();
    struct buf b;
    char *sql = mem_zalloc(1, RECORD_MAX + 1);
    (void)state;
    assert_non_null(sql);
    memset(sql, 'x', RECORD_MAX);
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_append(&b, "before", 6), 0);
    r.sql = sql;
    r.sql_len = RECORD_MAX;
    assert_int_equal(record_write(&b, 1, &r), -RF_ETOOBIG);
    r.sql_len = SIZE_MAX - 100;
    assert_int_equal(record_write(&b, 1, &r), -RF_ETOOBIG);
    assert_int_equal(buf_len(&b), 6);
    r.sql_len = 64 * 1024; /* the longest statement of the default configuration fits */
    assert_int_equal(record_write(&b, 1, &r), 0);
    mem_free(sql);
    buf_done(&b);
}

static void public_strings_must_be_words(void **state)
{
    static const char *const bad[] = {
        "a\"b",        "a\\b", "a\nb",
        "caf\xc3\xa9", "\x7f", "0123456789012345678901234567890123456789012345678901234567890123"
    };
    struct record r = full_record();
    struct buf b;
    (void)state;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        r.region = bad[i];
        assert_int_equal(record_write(&b, 1, &r), -RF_EINVAL);
        r = full_record();
        r.actor_kind = bad[i];
        assert_int_equal(record_write(&b, 1, &r), -RF_EINVAL);
        r = full_record();
    }
    r.place = "USA";
    assert_int_equal(record_write(&b, 1, &r), -RF_EINVAL);
    r.place = "us";
    assert_int_equal(record_write(&b, 1, &r), -RF_EINVAL);
    r.place = NULL;
    assert_int_equal(record_write(&b, 0, &r), -RF_EINVAL);
    r.rows = (uint64_t)RECORD_NUMBER_MAX + 1;
    assert_int_equal(record_write(&b, 1, &r), -RF_EINVAL);
    r.rows = (uint64_t)RECORD_NUMBER_MAX;
    assert_int_equal(record_write(&b, 1, &r), 0);
    buf_done(&b);
}

static void a_greeting_reads_as_it_was_written_and_not_when_cut(void **state)
{
    struct buf b;
    char name[RECORD_WORD_MAX + 1];
    uint64_t instance;
    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(record_hello_write(&b, 0x1122334455667788, "worker-0"), 0);
    size_t n = buf_len(&b) - 4;
    assert_int_equal(record_hello_read(buf_at(&b) + 4, n, &instance, name), 0);
    assert_true(instance == 0x1122334455667788);
    assert_string_equal(name, "worker-0");
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(record_hello_read(at_the_edge(buf_at(&b) + 4, cut), cut, &instance, name),
                         -RF_EPROTO);
    assert_int_equal(record_hello_write(&b, 0, "worker-0"), -RF_EINVAL);
    assert_int_equal(record_hello_write(&b, 1, ""), -RF_EINVAL);
    buf_done(&b);
}

static void text_has_one_way_to_be_written(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 1000);
    struct json_writer w = json_begin(&b);
    static const char text[] = "q\" b\\ n\n d\x7f c\xc2\x85 \xc3\xa9 \xe4\xb8\xad \xf0\x9f\x8e\xac";
    json_text(&w, "a", text, sizeof(text) - 1);
    json_text(&w, "none", "", 0);
    json_number(&w, "zero", 0);
    json_number(&w, "n", 9007199254740991);
    json_text(&w, "raw", "\xff\x00z", 3);
    assert_true(json_end(&w));
    static const char expected[] =
        "{\"a\":\"q\\\" b\\\\ n\\u000a d\\u007f c\\u0085 \xc3\xa9 \xe4\xb8\xad \xf0\x9f\x8e\xac\","
        "\"n\":9007199254740991,\"raw_hex\":\"ff007a\"}";
    assert_int_equal(buf_len(&b), sizeof(expected) - 1);
    assert_memory_equal(buf_at(&b), expected, sizeof(expected) - 1);
    assert_true(json_is_canonical(expected, sizeof(expected) - 1));
    buf_done(&b);
}

static void what_the_writer_would_not_write_is_not_canonical(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "{}x",
        "{ }",
        "{\"a\":1,}",
        "{\"a\": 1}",
        "{\"a\":01}",
        "{\"a\":0}",
        "{\"a\":-1}",
        "{\"a\":1.0}",
        "{\"a\":1e3}",
        "{\"a\":\"\"}",
        "{\"a\":null}",
        "{\"a\":true}",
        "{\"a\":{}}",
        "{\"a\":9007199254740992}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"\\n\"}",
        "{\"a\":\"\\u000A\"}",
        "{\"a\":\"\\u0041\"}",
        "{\"a\":\"\\/\"}",
        "{\"a\":\"\x01\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\xc0\x80\"}",
        "{\"a\":\"\xc2\x85\"}",
        "{a:1}",
        "{\"a\":1 }",
        "{\"a\":\"x}",
        "{\"a\"}",
        "[1]",
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (json_is_canonical(bad[i], strlen(bad[i])))
            fail_msg("taken as canonical: %s", bad[i]);
    assert_true(json_is_canonical("{}", 2));
    assert_true(json_is_canonical("{\"a\":\"\\u0000\"}", 14));
}

static void bands_are_powers_of_two(void **state)
{
    (void)state;
    assert_int_equal(logleaf_band(0), 0);
    assert_int_equal(logleaf_band(1), 1);
    assert_int_equal(logleaf_band(5), 4);
    assert_int_equal(logleaf_band(1024), 1024);
    assert_true(logleaf_band(UINT64_MAX) == UINT64_C(1) << 52);
}

static void crc32c_is_castagnoli_on_both_paths(void **state)
{
    uint8_t bytes[100];
    (void)state;
    assert_int_equal(digest_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(digest_crc32c_plain(0, "123456789", 9), 0xe3069283);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        uint32_t whole = digest_crc32c(0, bytes, n);
        assert_int_equal(whole, digest_crc32c_plain(0, bytes, n));
        assert_int_equal(whole,
                         digest_crc32c(digest_crc32c(0, bytes, n / 3), bytes + n / 3, n - n / 3));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_as_it_was_written),
        cmocka_unit_test(an_empty_record_reads_as_empty_strings),
        cmocka_unit_test(a_record_cut_at_any_length_is_refused),
        cmocka_unit_test(any_flipped_bit_stays_inside_the_message),
        cmocka_unit_test(a_record_that_is_too_large_leaves_the_buffer_alone),
        cmocka_unit_test(public_strings_must_be_words),
        cmocka_unit_test(a_greeting_reads_as_it_was_written_and_not_when_cut),
        cmocka_unit_test(text_has_one_way_to_be_written),
        cmocka_unit_test(what_the_writer_would_not_write_is_not_canonical),
        cmocka_unit_test(bands_are_powers_of_two),
        cmocka_unit_test(crc32c_is_castagnoli_on_both_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
