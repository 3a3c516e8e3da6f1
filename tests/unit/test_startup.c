#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wire/startup.h"

static struct startup s; /* large */
static struct err err;

/* A session packet of N strings (names and values in turn), then read. */
static int read_strings(uint16_t minor, const char *const *strings, size_t n)
{
    static struct buf b;
    struct startup_parameter parameters[80];
    buf_done(&b); /* the previous packet: what was read borrowed from it */
    buf_init(&b, 20000);
    for (size_t i = 0; i + 1 < n; i += 2)
        parameters[i / 2] = (struct startup_parameter){ strings[i], strings[i + 1] };
    assert_int_equal(startup_session_write(&b, minor, parameters, n / 2), 0);
    err_clear(&err);
    return startup_read(buf_at(&b), buf_len(&b), &s, &err);
}

#define READ(minor, ...)                                      \
    read_strings(minor, (const char *const[]){ __VA_ARGS__ }, \
                 sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static const char *parameter(const char *name)
{
    for (size_t i = 0; i < s.parameter_count; i++) {
        if (strcmp(s.parameters[i].name, name) == 0)
            return s.parameters[i].value;
    }
    return NULL;
}

static void a_session_names_its_user_and_database(void **state)
{
    (void)state;
    assert_int_equal(READ(0, "user", "alice", "database", "us-virginia", "application_name", "psql",
                          "client_encoding", "UTF8"),
                     0);
    assert_int_equal(s.kind, STARTUP_SESSION);
    assert_string_equal(s.user, "alice");
    assert_string_equal(s.database, "us-virginia");
    assert_string_equal(s.application_name, "psql");
    assert_int_equal(s.parameter_count, 2);
    assert_string_equal(parameter("client_encoding"), "UTF8");
    assert_false(s.replication);
    assert_false(s.negotiate);
}

static void the_database_defaults_to_the_user(void **state)
{
    (void)state;
    assert_int_equal(READ(0, "user", "alice"), 0);
    assert_string_equal(s.database, "alice");
    assert_string_equal(s.application_name, "");
    assert_int_equal(READ(0, "database", "", "user", "alice"), 0);
    assert_string_equal(s.database, "alice");
}

static void a_session_without_a_user_is_refused(void **state)
{
    (void)state;
    assert_int_equal(READ(0, "database", "x"), -RF_EPROTO);
    assert_string_equal(err_state_of(&err), "28000");
    assert_int_equal(READ(0, "user", ""), -RF_EPROTO);
}

static void what_counts_once_comes_once(void **state)
{
    (void)state;
    assert_int_equal(READ(0, "user", "alice", "user", "bob"), -RF_EPROTO);
    assert_int_equal(READ(0, "user", "a", "database", "x", "database", "x"), -RF_EPROTO);
    assert_int_equal(READ(0, "user", "a", "options", "", "options", ""), -RF_EPROTO);
    assert_int_equal(READ(0, "user", "a", "replication", "0", "replication", "1"), -RF_EPROTO);
}

static void the_last_of_equal_parameters_counts(void **state)
{
    (void)state;
    assert_int_equal(READ(0, "user", "a", "TimeZone", "UTC", "timezone", "CET", "options",
                          "-c TIMEZONE=EST -c lock_timeout=1"),
                     0);
    assert_int_equal(s.parameter_count, 2);
    assert_string_equal(s.parameters[0].value, "CET"); /* by name beats `options` */
    assert_string_equal(parameter("lock_timeout"), "1");
}

static void options_are_split_as_the_server_does(void **state)
{
    (void)state;
    assert_int_equal(READ(0, "user", "a", "options",
                          " \t-c  a=1 -cb=2\n--c-d=3 -c e=x\\ y\\\\z -c f= -c g=h=i --j=\\"),
                     0);
    assert_int_equal(s.parameter_count, 7);
    assert_string_equal(parameter("a"), "1");
    assert_string_equal(parameter("b"), "2");
    assert_string_equal(parameter("c_d"), "3");
    assert_string_equal(parameter("e"), "x y\\z");
    assert_string_equal(parameter("f"), "");
    assert_string_equal(parameter("g"), "h=i");
    assert_string_equal(parameter("j"), "");
    assert_int_equal(READ(0, "user", "a", "options", ""), 0);
    assert_int_equal(s.parameter_count, 0);
}

static void anything_else_in_options_is_refused(void **state)
{
    static const char *const bad[] = {
        "-e",    "-S 10", "x",   "-c",          "-c x",           "--x", "--", "-",
        "-c =1", "--=1",  "-d5", "-c a=1 -B 3", "\\-c a=1\\ b c", "-P"
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        if (READ(0, "user", "a", "options", bad[i]) != -RF_EPROTO)
            fail_msg("\"%s\"", bad[i]);
        assert_string_equal(err_state_of(&err), "42601");
    }
}

static void replication_is_seen_in_all_its_spellings(void **state)
{
    static const char *const yes[] = { "database", "true", "t",  "TRUE", "tr",
                                       "yes",      "Y",    "on", "ON",   "1" };
    static const char *const no[] = { "false", "f", "FAL", "no", "n", "off", "of", "OFF", "0" };
    static const char *const bad[] = { "", "o", "2", "maybe", "truely", "onn", "Database", "10" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(yes); i++) {
        assert_int_equal(READ(0, "user", "a", "replication", yes[i]), 0);
        assert_true(s.replication);
    }
    for (size_t i = 0; i < RF_COUNT(no); i++) {
        assert_int_equal(READ(0, "user", "a", "replication", no[i]), 0);
        assert_false(s.replication);
    }
    for (size_t i = 0; i < RF_COUNT(bad); i++) {
        assert_int_equal(READ(0, "user", "a", "replication", bad[i]), -RF_EPROTO);
        assert_string_equal(err_state_of(&err), "22023");
    }
}

static void newer_versions_and_options_are_negotiated_away(void **state)
{
    static const uint8_t expected[] = "v\0\0\0\x1a\0\x03\0\x02\0\0\0\x01_pq_.new_thing";
    struct buf b;
    (void)state;
    assert_int_equal(READ(2, "user", "a"), 0);
    assert_false(s.negotiate);
    assert_int_equal(s.minor_agreed, 2);
    assert_int_equal(READ(0, "user", "a", "_pq_.x", "1"), 0);
    assert_true(s.negotiate);
    assert_int_equal(s.minor_agreed, 0);
    assert_int_equal(s.parameter_count, 0);
    assert_int_equal(READ(9999, "user", "a", "_pq_.new_thing", "1"), 0);
    assert_true(s.negotiate);
    assert_int_equal(s.minor, 9999);
    buf_init(&b, 100);
    assert_int_equal(startup_negotiate_write(&b, &s), 0);
    assert_int_equal(buf_len(&b), 1 + buf_at(&b)[4]);
    /* length: 4 + 4 + 4 + "_pq_.new_thing" and its NUL */
    assert_int_equal(buf_at(&b)[4], 27);
    assert_memory_equal(buf_at(&b) + 5, expected + 5, sizeof(expected) - 5);
    buf_done(&b);
}

static void other_major_versions_are_refused(void **state)
{
    static const uint8_t two[] = { 0, 0, 0, 9, 0, 2, 0, 0, 0 },
                         four[] = { 0, 0, 0, 9, 0, 4, 0, 0, 0 };
    static const uint8_t odd[] = { 0, 0, 0, 8, 4, 0xd2, 0x16, 0x31 }; /* 1234.5681 */
    (void)state;
    assert_int_equal(startup_read(two, sizeof(two), &s, &err), -RF_EUNSUPP);
    assert_string_equal(err.line, "unsupported frontend protocol 2.0: server supports 3.0 to 3.2");
    assert_int_equal(startup_read(four, sizeof(four), &s, &err), -RF_EUNSUPP);
    assert_int_equal(startup_read(odd, sizeof(odd), &s, &err), -RF_EUNSUPP);
}

static void the_length_word_is_checked(void **state)
{
    static const struct {
        uint8_t head[4];
        int rc;
    } rows[] = {
        { { 0, 0, 0, 0 }, -RF_EPROTO },
        { { 0, 0, 0, 7 }, -RF_EPROTO },
        { { 0, 0, 0, 8 }, 0 },
        { { 0, 0, 0x27, 0x10 }, 0 },
        { { 0, 0, 0x27, 0x11 }, -RF_EPROTO },
        { { 0xff, 0xff, 0xff, 0xff }, -RF_EPROTO },
        { { 'G', 'E', 'T', ' ' }, -RF_EPROTO },
    };
    size_t len;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        assert_int_equal(startup_length_read(rows[i].head, &len), rows[i].rc);
}

static void requests_for_encryption_have_no_body(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    assert_int_equal(startup_ssl_write(&b), 0);
    assert_memory_equal(buf_at(&b), "\0\0\0\x08\x04\xd2\x16\x2f", 8); /* 80877103 */
    assert_int_equal(startup_read(buf_at(&b), 8, &s, &err), 0);
    assert_int_equal(s.kind, STARTUP_SSL);
    buf_clear(&b);
    assert_int_equal(startup_gss_write(&b), 0);
    assert_memory_equal(buf_at(&b), "\0\0\0\x08\x04\xd2\x16\x30", 8); /* 80877104 */
    assert_int_equal(startup_read(buf_at(&b), 8, &s, &err), 0);
    assert_int_equal(s.kind, STARTUP_GSS);
    buf_at(&b)[3] = 9;
    assert_int_equal(buf_append(&b, "", 1), 0);
    assert_int_equal(startup_read(buf_at(&b), 9, &s, &err), -RF_EPROTO);
    buf_done(&b);
}

static void a_cancel_request_carries_a_key_of_4_to_256_bytes(void **state)
{
    uint8_t key[257];
    struct buf b;
    (void)state;
    memset(key, 0xab, sizeof(key));
    for (size_t len = 0; len <= sizeof(key); len++) {
        buf_init(&b, 1000);
        assert_int_equal(startup_cancel_write(&b, 0xfffffffe, key, len), 0);
        int rc = startup_read(buf_at(&b), buf_len(&b), &s, &err);
        assert_int_equal(rc, len >= 4 && len <= 256 ? 0 : -RF_EPROTO);
        if (rc == 0) {
            assert_int_equal(s.kind, STARTUP_CANCEL);
            assert_int_equal(s.cancel_pid, 0xfffffffe);
            assert_int_equal(s.cancel_key_len, len);
            assert_memory_equal(s.cancel_key, key, len);
        }
        buf_done(&b);
    }
}

static void parameters_have_a_ceiling(void **state)
{
    const char *strings[2 * 66];
    char names[66][4];
    (void)state;
    for (size_t i = 0; i < 66; i++) {
        names[i][0] = 'n';
        names[i][1] = (char)('0' + i / 10);
        names[i][2] = (char)('0' + i % 10);
        names[i][3] = '\0';
        strings[2 * i] = names[i];
        strings[2 * i + 1] = "v";
    }
    strings[0] = "user";
    assert_int_equal(read_strings(0, strings, 2 * 65), 0);
    assert_int_equal(s.parameter_count, STARTUP_PARAMETERS_MAX);
    assert_int_equal(read_strings(0, strings, 2 * 66), -RF_ETOOBIG);
}

/* LEN bytes that end at an unreadable page, with a length word that fits them. */
static int read_fenced(const uint8_t *packet, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
    uint8_t *at = map + page - len;
    memcpy(at, packet, len);
    if (len >= 4)
        at[3] = (uint8_t)len;
    int rc = startup_read(at, len, &s, &err);
    if (rc == 0 && s.kind == STARTUP_SESSION)
        assert_true(strlen(s.user) > 0 && strlen(s.database) > 0);
    assert_int_equal(munmap(map, 2 * page), 0);
    return rc;
}

static void a_packet_cut_or_flipped_is_never_half_read(void **state)
{
    static const struct startup_parameter parameters[] = { { "user", "alice" },
                                                           { "options", "-c a=b\\ c" },
                                                           { "replication", "off" } };
    struct buf b;
    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(startup_session_write(&b, 0, parameters, 3), 0);
    size_t len = buf_len(&b);
    assert_true(len < 256);
    for (size_t cut = 0; cut < len; cut++)
        assert_true(read_fenced(buf_at(&b), cut) < 0);
    assert_int_equal(read_fenced(buf_at(&b), len), 0);
    for (size_t bit = 64; bit < len * 8; bit++) {
        buf_at(&b)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        (void)!read_fenced(buf_at(&b), len);
        buf_at(&b)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* bytes after the terminator, and a length word that lies */
    assert_int_equal(buf_append(&b, "x", 1), 0);
    assert_int_equal(read_fenced(buf_at(&b), len + 1), -RF_EPROTO);
    assert_int_equal(startup_read(buf_at(&b), len - 1, &s, &err), -RF_EPROTO);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_names_its_user_and_database),
        cmocka_unit_test(the_database_defaults_to_the_user),
        cmocka_unit_test(a_session_without_a_user_is_refused),
        cmocka_unit_test(what_counts_once_comes_once),
        cmocka_unit_test(the_last_of_equal_parameters_counts),
        cmocka_unit_test(options_are_split_as_the_server_does),
        cmocka_unit_test(anything_else_in_options_is_refused),
        cmocka_unit_test(replication_is_seen_in_all_its_spellings),
        cmocka_unit_test(newer_versions_and_options_are_negotiated_away),
        cmocka_unit_test(other_major_versions_are_refused),
        cmocka_unit_test(the_length_word_is_checked),
        cmocka_unit_test(requests_for_encryption_have_no_body),
        cmocka_unit_test(a_cancel_request_carries_a_key_of_4_to_256_bytes),
        cmocka_unit_test(parameters_have_a_ceiling),
        cmocka_unit_test(a_packet_cut_or_flipped_is_never_half_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
