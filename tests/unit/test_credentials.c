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

#include "auth/credentials.h"
#include "policy/mistakes.h"

#define KEYS \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define ALICE "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEYS
#define BOB   "SCRAM-SHA-256$9000:FbULBZJBAOFD1SOokX8rbg==$" KEYS

static struct mistakes mistakes;

static struct credentials *parse(const char *text, size_t len)
{
    struct credentials *c = NULL;
    mistakes_done(&mistakes);
    mistakes_init(&mistakes);
    int rc = credentials_parse("credentials", text, len, &c, &mistakes);
    assert_int_equal(rc < 0, mistakes_any(&mistakes));
    assert_int_equal(rc < 0, c == NULL);
    return c;
}

static void names_are_found_whole(void **state)
{
    static const char text[] = "# who may log in\n\nbob:" BOB "\r\n  \t\nalice:" ALICE;
    struct credentials *c = parse(text, strlen(text));
    (void)state;
    assert_non_null(c);
    assert_int_equal(credentials_count(c), 2);
    assert_string_equal(credentials_find(c, "alice"), ALICE);
    assert_string_equal(credentials_find(c, "bob"), BOB);
    static const char *const others[] = { "",       "a",    "alic", "alice ", "Alice",
                                          "alice:", "bobb", "zed",  "#" };
    for (size_t i = 0; i < RF_COUNT(others); i++)
        assert_null(credentials_find(c, others[i]));
    credentials_free(c);
}

static void an_empty_file_knows_nobody(void **state)
{
    struct credentials *c = parse("", 0);
    (void)state;
    assert_non_null(c);
    assert_null(credentials_find(c, "alice"));
    assert_int_equal(credentials_mock(c)->iterations, SCRAM_ITERATIONS);
    credentials_free(c);
}

static void every_mistake_is_told_with_its_line_and_no_secret(void **state)
{
    static const char text[] = "alice:" ALICE "\n"
                               "no verifier\n"
                               ":" BOB "\n"
                               "carol:hunter2secret\n"
                               "dave:md5d41d8cd98f00b204e9800998ecf8427e\n"
                               " eve:" BOB "\n"
                               "frank:SCRAM-SHA-256$4096:W22Z\n"
                               "alice:" BOB "\n"
                               "gr\0ace:" BOB "\n"
                               "h\xc3\xa9l\xc3\xa8ne:" BOB "\n";
    static const unsigned lines[] = { 2, 3, 4, 5, 6, 7, 8, 9 };
    (void)state;
    assert_null(parse(text, sizeof(text) - 1));
    assert_int_equal(mistakes.count, RF_COUNT(lines));
    for (size_t i = 0; i < RF_COUNT(lines); i++) {
        assert_int_equal(mistakes.list[i].line, lines[i]);
        assert_null(strstr(mistakes.list[i].text, "hunter2secret"));
        assert_null(strstr(mistakes.list[i].text, "W22Z"));
        assert_null(strstr(mistakes.list[i].text, "d41d8"));
    }
    assert_non_null(strstr(mistakes.list[6].text, "already in line 1"));
}

static void a_name_has_at_most_63_bytes(void **state)
{
    char text[300];
    struct credentials *c;
    (void)state;
    for (int len = 62; len <= 65; len++) {
        int n = snprintf(text, sizeof(text), "%0*d:%s", len, 0, ALICE);
        c = parse(text, (size_t)n);
        assert_int_equal(c != NULL, len <= 63);
        credentials_free(c);
    }
}

static void the_mock_is_stable_and_looks_like_most_users(void **state)
{
    static const char one[] = "a:" ALICE "\nb:" BOB "\nc:" BOB "\n";
    static const char same[] = "# other order, other comments\nc:" BOB "\nb:" BOB "\na:" ALICE "\n";
    static const char other[] = "a:" ALICE "\n";
    struct credentials *x = parse(one, strlen(one)), *y = parse(same, strlen(same));
    struct credentials *z = parse(other, strlen(other)), *empty = parse("", 0);
    (void)state;
    assert_memory_equal(credentials_mock(x)->secret, credentials_mock(y)->secret, 32);
    assert_int_equal(credentials_mock(x)->iterations, 9000);
    assert_int_equal(credentials_mock(z)->iterations, 4096);
    assert_memory_not_equal(credentials_mock(z)->secret, credentials_mock(empty)->secret, 32);
    credentials_free(x);
    credentials_free(y);
    credentials_free(z);
    credentials_free(empty);
}

static void a_file_that_others_can_read_is_refused(void **state)
{
    char path[] = "/tmp/rf-credentials-XXXXXX";
    struct credentials *c = NULL;
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a:" ALICE "\n", strlen("a:" ALICE "\n")), strlen("a:" ALICE "\n"));
    assert_int_equal(close(fd), 0);
    mistakes_init(&mistakes);
    assert_int_equal(credentials_load(path, &c, &mistakes), 0);
    assert_non_null(credentials_find(c, "a"));
    credentials_free(c);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(credentials_load(path, &c, &mistakes), -RF_ECONFIG);
    assert_true(mistakes_any(&mistakes));
    mistakes_done(&mistakes);
    assert_int_equal(unlink(path), 0);
}

static int done(void **state)
{
    (void)state;
    mistakes_done(&mistakes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_whole),
        cmocka_unit_test(an_empty_file_knows_nobody),
        cmocka_unit_test(every_mistake_is_told_with_its_line_and_no_secret),
        cmocka_unit_test(a_name_has_at_most_63_bytes),
        cmocka_unit_test(the_mock_is_stable_and_looks_like_most_users),
        cmocka_unit_test(a_file_that_others_can_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
