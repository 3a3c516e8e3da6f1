/* Auditors: the file, the header, the token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auditors.h"
#include "base/digest.h"
#include "policy/mistakes.h"

#define ALICE_TOKEN "rfa_the-token-of-alice-0123456789"
/* Of no token that anybody knows. */
#define ALICE_HASH "a5f7ec4be7c8c37aa1ab7dbbd2da0d7a3f8b60b7e6a14a0cb2bd6c5c4f1e3a11"
#define BOB_HASH   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct mistakes mistakes;

static struct auditors *parse(const char *text, size_t len)
{
    struct auditors *a = NULL;
    mistakes_done(&mistakes);
    mistakes_init(&mistakes);
    char *exact = malloc(len > 0 ? len : 1); /* so that a read past its end is seen */
    memcpy(exact, text, len);
    int rc = auditors_parse("auditors", exact, len, &a, &mistakes);
    free(exact);
    assert_int_equal(rc < 0, mistakes_any(&mistakes));
    assert_int_equal(rc < 0, a == NULL);
    return a;
}

static const char *find(const struct auditors *a, const char *token, int64_t now_ms)
{
    return auditors_find(a, token, strlen(token), now_ms);
}

/* The file of one line that admits TOKEN until DAY. */
static struct auditors *one(const char *name, const char *token, const char *day)
{
    const struct iovec piece = digest_piece(token, strlen(token));
    uint8_t hash[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1], text[300];
    digest_pieces(&piece, 1, hash);
    digest_hex(hash, sizeof(hash), hex);
    (void)snprintf(text, sizeof(text), "%s\t%s  %s\r\n", name, hex, day);
    return parse(text, strlen(text));
}

static void a_token_is_known_by_its_hash_alone(void **state)
{
    struct auditors *a = one("alice", ALICE_TOKEN, "");
    (void)state;
    assert_non_null(a);
    assert_int_equal(auditors_count(a), 1);
    assert_string_equal(find(a, ALICE_TOKEN, 0), "alice");
    assert_string_equal(find(a, ALICE_TOKEN, INT64_MAX - 1), "alice");
    static const char *const others[] = { "", "alice", ALICE_TOKEN "x", "rfa_the-token-of-alice" };
    for (size_t i = 0; i < RF_COUNT(others); i++)
        assert_null(find(a, others[i], 0));
    auditors_free(a);
}

static void a_token_is_good_to_the_end_of_its_day(void **state)
{
    static const struct {
        const char *day;
        int64_t end_s;
    } rows[] = { { "1970-01-01", 86400 },
                 { "2024-02-29", 1709251200 },
                 { "2026-12-31", 1798761600 },
                 { "2100-02-28", 4107542400 } };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct auditors *a = one("alice", ALICE_TOKEN, rows[i].day);
        assert_non_null(a);
        assert_string_equal(find(a, ALICE_TOKEN, rows[i].end_s * 1000 - 1), "alice");
        assert_null(find(a, ALICE_TOKEN, rows[i].end_s * 1000));
        auditors_free(a);
    }
}

static void every_mistake_is_told_with_its_line_and_no_secret(void **state)
{
    static const char text[] =
        "# who may read\n\n"
        "alice " ALICE_HASH "\n"
        "bob\n"
        "carol hunter2secret\n"
        "dave " BOB_HASH " 2026-02-29\n"
        "dave " BOB_HASH " 2026-1-1\n"
        "dave " BOB_HASH " 2026-01-01 more\n"
        "a.b " BOB_HASH "\n"
        "erin A0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
        "alice " BOB_HASH "\n"
        "frank " ALICE_HASH "\n"
        "gr\0ace " BOB_HASH "\n"
        "bob " BOB_HASH "0\n"
        "bob " BOB_HASH " 1969-12-31\n";
    (void)state;
    assert_null(parse(text, sizeof(text) - 1));
    assert_int_equal(mistakes.count, 12);
    for (size_t i = 0; i < mistakes.count; i++) {
        assert_int_equal(mistakes.list[i].line, i + 4);
        assert_null(strstr(mistakes.list[i].text, "hunter2secret"));
        assert_null(strstr(mistakes.list[i].text, "00112233"));
        assert_null(strstr(mistakes.list[i].text, "a5f7ec"));
    }
    mistakes_done(&mistakes);
}

static void an_empty_file_admits_nobody(void **state)
{
    struct auditors *a = parse("# nobody yet", 12);
    (void)state;
    assert_non_null(a);
    assert_int_equal(auditors_count(a), 0);
    assert_null(find(a, ALICE_TOKEN, 0));
    auditors_free(a);
}

static void a_header_has_a_token_or_none(void **state)
{
    char longest[AUDITORS_TOKEN_MAX + 10];
    const char *token;
    size_t len;
    static const char *const bad[] = {
        "",
        "Bearer",
        "Bearer ",
        "Bearer short",
        "Basic " ALICE_TOKEN,
        ALICE_TOKEN,
        "Bearer " ALICE_TOKEN " more",
        "Bearer " ALICE_TOKEN ",",
        "Bearer \"" ALICE_TOKEN "\"",
        "Bearer=" ALICE_TOKEN,
        "Bearer\t" ALICE_TOKEN,
        "Bearer rfa_the=token-of-alice-0123456789abcdef",
        "Bearer \xc3\xa9" ALICE_TOKEN,
        "Bearer ================================",
    };
    static const char *const good[] = { "Bearer " ALICE_TOKEN, "bearer   " ALICE_TOKEN,
                                        "BEARER " ALICE_TOKEN " \t" };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(bad); i++)
        if (auditors_bearer(bad[i], &token, &len))
            fail_msg("\"%s\" has one", bad[i]);
    for (size_t i = 0; i < RF_COUNT(good); i++) {
        assert_true(auditors_bearer(good[i], &token, &len));
        assert_int_equal(len, strlen(ALICE_TOKEN));
        assert_memory_equal(token, ALICE_TOKEN, len);
    }
    assert_true(auditors_bearer("Bearer abcdefghijklmnopqrstuvwxyz012345+/==", &token, &len));
    assert_int_equal(len, 36);
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "Bearer ", 7);
    longest[7 + AUDITORS_TOKEN_MAX] = '\0';
    assert_true(auditors_bearer(longest, &token, &len));
    longest[7 + AUDITORS_TOKEN_MAX] = 'a';
    longest[8 + AUDITORS_TOKEN_MAX] = '\0';
    assert_false(auditors_bearer(longest, &token, &len));
}

static void a_made_token_is_admitted_by_its_line(void **state)
{
    char token[AUDITORS_MADE_SIZE], again[AUDITORS_MADE_SIZE], line[AUDITORS_LINE_SIZE], header[99];
    const char *found;
    size_t len;
    struct err err;
    (void)state;
    assert_int_equal(auditors_make("alice", "2027-03-31", token, line, &err), 0);
    assert_null(strstr(line, token));
    struct auditors *a = parse(line, strlen(line));
    assert_non_null(a);
    (void)snprintf(header, sizeof(header), "Bearer %s", token);
    assert_true(auditors_bearer(header, &found, &len));
    assert_string_equal(auditors_find(a, found, len, 0), "alice");
    assert_int_equal(auditors_make("alice", NULL, again, line, &err), 0);
    assert_string_not_equal(token, again);
    assert_null(find(a, again, 0));
    auditors_free(a);
}

static void a_line_that_the_file_would_not_take_is_not_made(void **state)
{
    static const struct {
        const char *name, *until;
    } rows[] = { { "", NULL },
                 { "#alice", NULL },
                 { "a b", NULL },
                 { "a\nb", NULL },
                 { "alice", "soon" },
                 { "alice 2027-01-01", NULL },
                 /* two lines, of which one is none, are not one */
                 { "# x\nalice", NULL },
                 { "\nalice", NULL },
                 { "alice", "2027-01-01\n# x" },
                 { "alice", "2027-01-01\r" } };
    char token[AUDITORS_MADE_SIZE], line[AUDITORS_LINE_SIZE], endless[200];
    struct err err;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++)
        assert_int_equal(auditors_make(rows[i].name, rows[i].until, token, line, &err), -RF_EUSAGE);
    memset(endless, 'a', sizeof(endless));
    endless[sizeof(endless) - 1] = '\0';
    assert_int_equal(auditors_make(endless, NULL, token, line, &err), -RF_EUSAGE);
}

static void the_file_is_for_its_owner_alone(void **state)
{
    char path[] = "/tmp/rf-auditors-XXXXXX";
    struct auditors *a = NULL;
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "bob " BOB_HASH "\n", strlen(BOB_HASH) + 5), strlen(BOB_HASH) + 5);
    (void)close(fd);
    mistakes_init(&mistakes);
    assert_int_equal(auditors_load(path, &a, &mistakes), 0);
    auditors_free(a);
    assert_int_equal(chmod(path, 0640), 0);
    assert_true(auditors_load(path, &a, &mistakes) < 0);
    assert_true(mistakes_any(&mistakes));
    mistakes_done(&mistakes);
    assert_int_equal(unlink(path), 0);
}

static int get_ready(void **state)
{
    struct err err;
    (void)state;
    return digest_init(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_known_by_its_hash_alone),
        cmocka_unit_test(a_token_is_good_to_the_end_of_its_day),
        cmocka_unit_test(every_mistake_is_told_with_its_line_and_no_secret),
        cmocka_unit_test(an_empty_file_admits_nobody),
        cmocka_unit_test(a_header_has_a_token_or_none),
        cmocka_unit_test(a_made_token_is_admitted_by_its_line),
        cmocka_unit_test(a_line_that_the_file_would_not_take_is_not_made),
        cmocka_unit_test(the_file_is_for_its_owner_alone),
    };
    return cmocka_run_group_tests(tests, get_ready, NULL);
}
