#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/arena.h"
#include "policy/mistakes.h"
#include "policy/yaml_tree.h"

/* One file read; the arena is freed by done(). */
struct reading {
    struct arena arena;
    struct mistakes mistakes;
    const struct yaml_node *root;
    int rc;
};

static void read_bytes(struct reading *r, const char *text, size_t len)
{
    arena_init(&r->arena);
    mistakes_init(&r->mistakes);
    r->rc = yaml_tree_read("f", text, len, &r->arena, &r->root, &r->mistakes);
}

static void done(struct reading *r)
{
    mistakes_done(&r->mistakes);
    arena_done(&r->arena);
}

static void a_file_becomes_a_tree_with_lines(void **state)
{
    static const char text[] = "# comment\na: 1\nb:\n  - x\n  - {y: 'no'}\n";
    struct reading r;
    (void)state;
    read_bytes(&r, text, strlen(text));
    assert_int_equal(r.rc, 0);
    assert_int_equal(r.root->kind, YAML_MAP);
    assert_int_equal(r.root->count, 2);
    const struct yaml_node *a = r.root->first, *b = a->next;
    assert_string_equal(a->key, "a");
    assert_string_equal(a->text, "1");
    assert_int_equal(a->line, 2);
    assert_string_equal(b->key, "b");
    assert_int_equal(b->key_line, 3);
    assert_int_equal(b->kind, YAML_LIST);
    assert_int_equal(b->count, 2);
    assert_string_equal(b->first->text, "x");
    assert_int_equal(b->first->next->kind, YAML_MAP);
    assert_string_equal(b->first->next->first->text, "no");
    assert_int_equal(b->first->next->first->line, 5);
    done(&r);
}

static const struct {
    const char *text;
    size_t len; /* 0: strlen */
    unsigned line;
    const char *says;
} refused[] = {
    { "", 0, 1, "found an empty file" },
    { "# only a comment\n", 0, 1, "found an empty file" },
    { "a: 1\na: 2\n", 0, 2, "key \"a\" is given twice, first on line 1" },
    { "x:\n  k: 1\n  j: 2\n  k: 3\n", 0, 4, "key \"k\" is given twice, first on line 2" },
    { "a: &x 1\n", 0, 1, "anchors are not allowed" },
    { "a: &x 1\nb: *x\n", 0, 2, "aliases are not allowed" },
    { "? *x\n: 1\n", 0, 1, "aliases are not allowed" },
    { "a: !!str 1\n", 0, 1, "tags are not allowed" },
    { "a: !!map {b: 1}\n", 0, 1, "tags are not allowed" },
    { "a: 1\n---\nb: 2\n", 0, 2, "expected one document" },
    { "[a, b]: 1\n", 0, 1, "expected a key, found a list" },
    { "? {a: b}\n: 1\n", 0, 1, "expected a key, found a map" },
    { "a: [1, 2\n", 0, 2, "cannot be read as YAML" },
    { "a:\n\tb: 1\n", 0, 2, "cannot be read as YAML" },
    { "a: 1\0b: 2\n", 10, 1, "NUL byte" },
    { "a: 1\nb: \"x\\0y\"\n", 0, 2, "escaped NUL" },
    { "a: 1\nb: \xff\n", 0, 2, "expected UTF-8" },
    { "a: \xc0\xaf\n", 0, 1, "expected UTF-8" },     /* overlong */
    { "a: \xed\xa0\x80\n", 0, 1, "expected UTF-8" }, /* surrogate */
    { "a: \xf4\x90\x80\x80\n", 0, 1, "expected UTF-8" },
    { "a: \xe2\x82", 5, 1, "expected UTF-8" }, /* cut */
    { "\xff\xfe"
      "a\0:\0 \0b\0",
      12, 1, "expected UTF-8" }, /* UTF-16 */
    { "a: 1\n# \xe2\x80\xae hidden\n", 0, 2, "direction of writing" },
    { "a: 1\n# \xe2\x80\xa8x: 2\n", 0, 2, "ends the line unseen" },
    { "a: 1\n# \xe2\x80\xa9x: 2\n", 0, 2, "ends the line unseen" },
    { "a: 1\n# \xc2\x85x: 2\n", 0, 2, "ends the line unseen" },
    { "a: 1\r\n# \rx: 2\n", 0, 2, "ends the line unseen" },
    { "a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", 0, 1, "nested deeper" },
};

static void what_two_readers_could_read_differently_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct reading r;
        size_t len = refused[i].len != 0 ? refused[i].len : strlen(refused[i].text);
        bool found = false;
        read_bytes(&r, refused[i].text, len);
        assert_int_equal(r.rc, -RF_ECONFIG);
        for (size_t j = 0; j < r.mistakes.count; j++)
            found |= r.mistakes.list[j].line == refused[i].line &&
                     strstr(r.mistakes.list[j].text, refused[i].says) != NULL;
        if (!found) {
            mistakes_print(&r.mistakes, stderr);
            fail_msg("case %zu: expected line %u: %s", i, refused[i].line, refused[i].says);
        }
        done(&r);
    }
}

static void after_a_mistake_that_leaves_sense_the_rest_is_there(void **state)
{
    static const char text[] = "a: &x 1\nb: *x\na: 2\nc: !t 3\n";
    struct reading r;
    (void)state;
    read_bytes(&r, text, strlen(text));
    assert_int_equal(r.rc, -RF_ECONFIG);
    assert_int_equal(r.mistakes.count, 4);
    assert_non_null(r.root);
    assert_int_equal(r.root->count, 4);
    assert_int_equal(r.root->first->next->kind, YAML_REFUSED);
    done(&r);
}

static void size_and_number_of_values_have_ceilings(void **state)
{
    struct reading r;
    size_t len = YAML_BYTES_MAX + 1;
    char *text = malloc(len);
    (void)state;
    assert_non_null(text);
    memset(text, '#', len);
    read_bytes(&r, text, len);
    assert_int_equal(r.rc, -RF_ECONFIG);
    assert_non_null(strstr(r.mistakes.list[0].text, "larger than"));
    done(&r);
    size_t used = 0;
    text[used++] = '[';
    for (int i = 0; i < YAML_NODES_MAX; i++) {
        text[used++] = '1';
        text[used++] = ',';
    }
    text[used++] = ']';
    read_bytes(&r, text, used);
    assert_int_equal(r.rc, -RF_ECONFIG);
    assert_non_null(strstr(r.mistakes.list[0].text, "more than"));
    done(&r);
    free(text);
}

static void every_cut_of_a_file_is_read_or_refused(void **state)
{
    static const char text[] =
        "a: {b: [1, \"two\\n\"], c: 'x'}\nd: |\n  text\n  more\ne: \xc3\xa9\n";
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        struct reading r;
        char *copy = malloc(len + 1); /* exactly as long, so that ASan sees one byte too many */
        assert_non_null(copy);
        memcpy(copy, text, len);
        read_bytes(&r, copy, len);
        assert_true(r.rc == 0 ? r.root != NULL && r.mistakes.count == 0 : r.mistakes.count > 0);
        done(&r);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_becomes_a_tree_with_lines),
        cmocka_unit_test(what_two_readers_could_read_differently_is_refused),
        cmocka_unit_test(after_a_mistake_that_leaves_sense_the_rest_is_there),
        cmocka_unit_test(size_and_number_of_values_have_ceilings),
        cmocka_unit_test(every_cut_of_a_file_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
