#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/passfile.h"
#include "policy/mistakes.h"

static struct mistakes mistakes;

static struct passfile *parse(const char *text, size_t len)
{
    struct passfile *p = NULL;
    mistakes_done(&mistakes);
    mistakes_init(&mistakes);
    int rc = passfile_parse("pgpass", text, len, &p, &mistakes);
    assert_int_equal(rc < 0, mistakes_any(&mistakes));
    return p;
}

static void the_first_match_counts(void **state)
{
    static const char text[] = "# comment\n"
                               "db1:5432:app:alice:one\n"
                               "db1:*:app:alice:two\r\n"
                               "*:*:*:alice:three\n"
                               "\n"
                               "*:5433:*:*:four";
    struct passfile *p = parse(text, strlen(text));
    (void)state;
    assert_non_null(p);
    assert_string_equal(passfile_find(p, "db1", 5432, "app", "alice"), "one");
    assert_string_equal(passfile_find(p, "db1", 5433, "app", "alice"), "two");
    assert_string_equal(passfile_find(p, "db2", 5432, "app", "alice"), "three");
    assert_string_equal(passfile_find(p, "db1", 5433, "x", "bob"), "four");
    assert_null(passfile_find(p, "db1", 5432, "app", "bob"));
    passfile_free(p);
}

static void a_backslash_escapes(void **state)
{
    static const char text[] = "\\:\\:1:5432:a\\\\b:\\*:p\\:q\\\\r:s*\n";
    struct passfile *p = parse(text, strlen(text));
    (void)state;
    assert_non_null(p);
    assert_string_equal(passfile_find(p, "::1", 5432, "a\\b", "*"), "p:q\\r:s*");
    assert_null(passfile_find(p, "::1", 5432, "a\\b", "anybody")); /* an escaped star is a star */
    passfile_free(p);
}

static void a_socket_folder_goes_by_its_name_or_as_localhost(void **state)
{
    static const char text[] = "/srv/sockets:5432:*:*:one\nlocalhost:5432:*:*:two\n";
    struct passfile *p = parse(text, strlen(text));
    (void)state;
    assert_string_equal(passfile_find(p, "/srv/sockets", 5432, "d", "u"), "one");
    assert_string_equal(passfile_find(p, "/run/postgresql", 5432, "d", "u"), "two");
    assert_string_equal(passfile_find(p, "localhost", 5432, "d", "u"), "two");
    assert_null(passfile_find(p, "/srv/other", 5432, "d", "u"));
    passfile_free(p);
}

static void every_mistake_is_told_with_its_line_and_no_secret(void **state)
{
    static const char text[] = "db1:5432:app:alice:fine\n"
                               "secret1\n"
                               "db1:5432:app:secret2\n"
                               "db1:port:app:alice:secret3\n"
                               "db1:70000:app:alice:secret4\n"
                               "db1:5432:app:alice:\n"
                               "db1:54\0:app:alice:secret5\n"
                               "db1:99999999999999999999:app:alice:secret6\n"
                               "db1:5432:app:alice\\:secret7\n";
    (void)state;
    assert_null(parse(text, sizeof(text) - 1));
    assert_int_equal(mistakes.count, 8);
    for (size_t i = 0; i < mistakes.count; i++) {
        assert_int_equal(mistakes.list[i].line, i + 2);
        assert_null(strstr(mistakes.list[i].text, "secret"));
    }
}

static void any_cut_of_a_file_is_read_or_refused(void **state)
{
    static const char text[] = "\\:\\:1:5432:a\\\\b:\\*:p\\:q\\\\r:s*\nx:*:*:*:y\n";
    (void)state;
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        char *exact = malloc(cut + 1); /* no byte after the end for a sanitizer to miss */
        assert_non_null(exact);
        memcpy(exact, text, cut);
        struct passfile *p = parse(exact, cut);
        if (p != NULL)
            (void)passfile_find(p, "x", 1, "d", "u");
        passfile_free(p);
        free(exact);
    }
}

static void a_file_that_others_can_read_is_refused(void **state)
{
    char path[] = "/tmp/rf-passfile-XXXXXX";
    struct passfile *p = NULL;
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "*:*:*:*:x\n", 10), 10);
    assert_int_equal(close(fd), 0);
    mistakes_init(&mistakes);
    assert_int_equal(passfile_load(path, &p, &mistakes), 0);
    passfile_free(p);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(passfile_load(path, &p, &mistakes), -RF_ECONFIG);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(passfile_load(path, &p, &mistakes), -RF_ESYS);
    assert_int_equal(mistakes.count, 2);
    mistakes_done(&mistakes);
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
        cmocka_unit_test(the_first_match_counts),
        cmocka_unit_test(a_backslash_escapes),
        cmocka_unit_test(a_socket_folder_goes_by_its_name_or_as_localhost),
        cmocka_unit_test(every_mistake_is_told_with_its_line_and_no_secret),
        cmocka_unit_test(any_cut_of_a_file_is_read_or_refused),
        cmocka_unit_test(a_file_that_others_can_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
