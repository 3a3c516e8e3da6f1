#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "sign/command.h"

#define NONCE "00112233445566778899aabbccddeeff"
#define TAIL  "nonce " NONCE "\nexpires 2026-11-30T17:05:00Z\n"

static char copy[4 * COMMAND_MAX];

static const char request_text[] = "ringfence-command@1\n"
                                   "region us-virginia\n"
                                   "actor us_analyst\n"
                                   "verb request\n"
                                   "subject 1042\n"
                                   "subject h-0123456789abcdef0123456789abcdef\n"
                                   "class identity\n"
                                   "class contact\n"
                                   "purpose support_ticket\n"
                                   "reference T-4711: Zo\xc3\xab asks\n"
                                   "seconds 1800\n" TAIL;

static struct command request(void)
{
    return (struct command){ .verb = COMMAND_REQUEST,
                             .region = "us-virginia",
                             .actor = "us_analyst",
                             .subjects = { "1042", "h-0123456789abcdef0123456789abcdef" },
                             .subject_count = 2,
                             .classes = { "identity", "contact" },
                             .class_count = 2,
                             .purpose = "support_ticket",
                             .reference = "T-4711: Zo\xc3\xab asks",
                             .seconds = 1800,
                             .nonce = NONCE,
                             .expires_s = 1796058300 };
}

static int write_into(struct buf *b, const struct command *c, struct err *err)
{
    buf_init(b, 2 * COMMAND_MAX);
    err_clear(err);
    return command_write(b, c, err);
}

static void assert_written(const struct command *c, const char *text)
{
    struct buf b;
    struct err err;
    struct command again;
    int rc = write_into(&b, c, &err);
    assert_string_equal(err.line, "");
    assert_int_equal(rc, 0);
    assert_int_equal(buf_len(&b), strlen(text));
    assert_memory_equal(buf_at(&b), text, strlen(text));
    assert_int_equal(command_read(text, strlen(text), copy, &again, NULL), 0);
    assert_int_equal(again.verb, c->verb);
    buf_done(&b);
}

static void assert_unwritable(const struct command *c, const char *named)
{
    struct buf b;
    struct err err;
    assert_int_equal(write_into(&b, c, &err), -RF_EINVAL);
    assert_int_equal(buf_len(&b), 0);
    assert_non_null(strstr(err.line, named));
    buf_done(&b);
}

static int read_exactly(const char *text, size_t n, struct command *ret, struct err *err)
{
    char *in = malloc(n > 0 ? n : 1), *out = malloc(n + 1);
    assert_non_null(in);
    assert_non_null(out);
    memcpy(in, text, n);
    int rc = command_read(in, n, out, ret, err);
    memcpy(copy, out, rc == 0 ? n + 1 : 0);
    free(in);
    free(out);
    return rc;
}

static void assert_unreadable(const char *text, size_t n)
{
    struct command c = { .request = 77 };
    struct err err = { 0 };
    assert_int_equal(read_exactly(text, n, &c, &err), -RF_EPROTO);
    assert_int_equal(err.code, RF_EPROTO);
    assert_true(strlen(err.line) > 10);
    assert_int_equal(c.request, 77);
}

/* The request's text with the first FROM replaced by TO. */
static void assert_unreadable_with(const char *from, const char *to)
{
    char text[2048];
    const char *at = strstr(request_text, from);
    assert_non_null(at);
    int n = snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - request_text), request_text, to,
                     at + strlen(from));
    assert_unreadable(text, (size_t)n);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void a_request_is_written_and_read(void **state)
{
    struct command c = request(), r;
    (void)state;
    assert_written(&c, request_text);
    assert_int_equal(command_read(request_text, strlen(request_text), copy, &r, NULL), 0);
    assert_string_equal(r.region, "us-virginia");
    assert_string_equal(r.actor, "us_analyst");
    assert_int_equal(r.subject_count, 2);
    assert_string_equal(r.subjects[1], "h-0123456789abcdef0123456789abcdef");
    assert_int_equal(r.class_count, 2);
    assert_string_equal(r.classes[0], "identity");
    assert_string_equal(r.purpose, "support_ticket");
    assert_string_equal(r.reference, c.reference);
    assert_null(r.authority);
    assert_null(r.reason);
    assert_int_equal(r.request, 0);
    assert_int_equal(r.seconds, 1800);
    assert_string_equal(r.nonce, NONCE);
    assert_int_equal(r.expires_s, 1796058300);
}

static void each_verb_has_its_text(void **state)
{
    struct command c = { .verb = COMMAND_FIND,
                         .region = "r",
                         .actor = "a",
                         .by = "email",
                         .value = "zoe@example.org",
                         .purpose = "p",
                         .nonce = NONCE,
                         .expires_s = 1796058300 };
    (void)state;
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb find\nby email\n"
                       "value zoe@example.org\npurpose p\n" TAIL);
    c = (struct command){ .verb = COMMAND_REVIEW,
                          .region = "r",
                          .actor = "a",
                          .request = (UINT64_C(1) << 53) - 1,
                          .verdict = "improper",
                          .reason = "no",
                          .nonce = NONCE,
                          .expires_s = 1796058300 };
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb review\n"
                       "request 9007199254740991\nverdict improper\nreason no\n" TAIL);
    c.verdict = c.reason = NULL;
    c.verb = COMMAND_GRANTS;
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb grants\n"
                       "request 9007199254740991\n" TAIL);
    c.request = 0;
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb grants\n" TAIL);
    c.verb = COMMAND_REVOKE;
    c.request = 7;
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb revoke\nrequest 7\n" TAIL);
    c = (struct command){ .verb = COMMAND_LIFT,
                          .region = "r",
                          .actor = "a",
                          .person = "b",
                          .reason = "no",
                          .nonce = NONCE,
                          .expires_s = 1796058300 };
    assert_written(&c,
                   "ringfence-command@1\nregion r\nactor a\nverb lift\nperson b\nreason no\n" TAIL);
    c = (struct command){ .verb = COMMAND_REVIEW_ALERT,
                          .region = "r",
                          .actor = "a",
                          .alert = 7,
                          .verdict = "proper",
                          .reason = "no",
                          .nonce = NONCE,
                          .expires_s = 1796058300 };
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb review-alert\nalert 7\n"
                       "verdict proper\nreason no\n" TAIL);
    c.alert = UINT64_C(1) << 53;
    assert_unwritable(&c, "alert");
    c = (struct command){ .verb = COMMAND_HOLD,
                          .region = "r",
                          .actor = "a",
                          .request = 7,
                          .until_s = 1796058360,
                          .reason = "no",
                          .nonce = NONCE,
                          .expires_s = 1796058300 };
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb hold\nrequest 7\n"
                       "until 2026-11-30T17:06:00Z\nreason no\n" TAIL);
    c = (struct command){ .verb = COMMAND_TRACE,
                          .region = "r",
                          .actor = "a",
                          .leaked = { "p_1", "p_0" },
                          .leaked_count = 2,
                          .reason = "no",
                          .nonce = NONCE,
                          .expires_s = 1796058300 };
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb trace\n"
                       "leaked p_1\nleaked p_0\nreason no\n" TAIL);
    c = (struct command){ .verb = COMMAND_CONSENT_GIVE,
                          .region = "r",
                          .actor = "a",
                          .subjects = { "42" },
                          .subject_count = 1,
                          .purpose = "place",
                          .reference = "F-7",
                          .version = "2026-03",
                          .parental = "yes",
                          .nonce = NONCE,
                          .expires_s = 1796058300 };
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb consent-give\nsubject 42\n"
                       "purpose place\nreference F-7\nversion 2026-03\nparental yes\n" TAIL);
    c.parental = "no";
    assert_unwritable(&c, "\"parental\"");
    c.parental = c.version = NULL;
    assert_unwritable(&c, "\"version\"");
    c.verb = COMMAND_CONSENT_WITHDRAW;
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb consent-withdraw\nsubject 42\n"
                       "purpose place\nreference F-7\n" TAIL);
    c.verb = COMMAND_CONSENT_SHOW;
    assert_unwritable(&c, "\"purpose\"");
    c.purpose = NULL;
    assert_written(&c, "ringfence-command@1\nregion r\nactor a\nverb consent-show\nsubject 42\n"
                       "reference F-7\n" TAIL);
    c.reference = NULL;
    assert_unwritable(&c, "\"reference\"");
    assert_string_equal(command_namespace(COMMAND_DENY), "ringfence-approval@1");
    assert_string_equal(command_namespace(COMMAND_BREAK_GLASS), "ringfence-command@1");
    assert_string_equal(command_verb_name(COMMAND_BREAK_GLASS), "break-glass");
}

static void a_verb_has_the_lines_it_must_and_may_have(void **state)
{
    struct command c = request();
    (void)state;
    c.reason = "why";
    assert_unwritable(&c, "\"reason\"");
    c.verb = COMMAND_BREAK_GLASS;
    c.reason = NULL;
    assert_unwritable(&c, "\"reason\"");
    c = request();
    c.request = 1;
    assert_unwritable(&c, "\"request\"");
    c = request();
    c.subject_count = 0;
    assert_unwritable(&c, "\"subject\"");
    c = request();
    c.class_count = 0;
    assert_unwritable(&c, "\"class\"");
    c = request();
    c.purpose = NULL;
    assert_unwritable(&c, "\"purpose\"");
    c = request();
    c.seconds = 0;
    assert_unwritable(&c, "\"seconds\"");
    c = request();
    c.nonce = NULL;
    assert_unwritable(&c, "\"nonce\"");
    c = request();
    c.expires_s = 0;
    assert_unwritable(&c, "\"expires\"");
    c = request();
    c.verb = COMMAND_NONE;
    assert_unwritable(&c, "verb");
    c.verb = COMMAND_VERB_COUNT;
    assert_unwritable(&c, "verb");
    c = request();
    c.verb = COMMAND_APPROVE;
    assert_unwritable(&c, "\"request\"");
}

static void values_are_well_formed(void **state)
{
    static const char *const wrong[] = { "",         " a",       "a ",           "a\nb",     "a\tb",
                                         "a\rb",     "\x1b[1m",  "a\x7f",        "\xc2\x85", "\xff",
                                         "\xc0\xaf", "\xe2\x82", "\xed\xa0\x80", NULL };
    static char long_value[COMMAND_VALUE_MAX + 2];
    (void)state;
    struct command c = request();
    for (size_t i = 0; wrong[i] != NULL; i++) {
        c.reference = wrong[i];
        assert_unwritable(&c, "\"reference\"");
    }
    memset(long_value, 'x', COMMAND_VALUE_MAX + 1);
    c.reference = long_value;
    assert_unwritable(&c, "\"reference\"");
    long_value[COMMAND_VALUE_MAX] = '\0';
    struct buf b;
    assert_int_equal(write_into(&b, &c, NULL), 0);
    buf_done(&b);
    c = request();
    c.subjects[1] = c.subjects[0];
    assert_unwritable(&c, "\"subject\"");
    c = request();
    c.classes[0] = NULL;
    assert_unwritable(&c, "\"class\"");
    c = request();
    c.seconds = 59;
    assert_unwritable(&c, "\"seconds\"");
    c.seconds = 2678401;
    assert_unwritable(&c, "\"seconds\"");
    c.seconds = -60;
    assert_unwritable(&c, "\"seconds\"");
    c = request();
    c.nonce = "00112233445566778899AABBCCDDEEFF";
    assert_unwritable(&c, "\"nonce\"");
    c.nonce = NONCE "0";
    assert_unwritable(&c, "\"nonce\"");
    c = request();
    c.expires_s = INT64_C(253402300800);
    assert_unwritable(&c, "\"expires\"");
    c.expires_s = -1;
    assert_unwritable(&c, "\"expires\"");
    c = (struct command){ .verb = COMMAND_REVOKE,
                          .region = "r",
                          .actor = "a",
                          .request = UINT64_C(1) << 53,
                          .nonce = NONCE,
                          .expires_s = 1 };
    assert_unwritable(&c, "\"request\"");
    c = request();
    c.verb = COMMAND_FIND;
    c.subject_count = c.class_count = 0;
    c.seconds = 0;
    c.by = "name";
    c.value = "x";
    assert_unwritable(&c, "\"by\"");
}

static void a_text_may_be_too_long_as_a_whole(void **state)
{
    static char values[COMMAND_LIST_MAX][COMMAND_VALUE_MAX + 1];
    struct command c = request();
    struct err err;
    struct buf b;
    (void)state;
    for (size_t i = 0; i < COMMAND_LIST_MAX; i++) {
        (void)snprintf(values[i], sizeof(values[i]), "%0500zu", i);
        c.subjects[i] = values[i];
    }
    c.subject_count = COMMAND_LIST_MAX;
    assert_int_equal(write_into(&b, &c, &err), -RF_ETOOBIG);
    assert_int_equal(buf_len(&b), 0);
    buf_done(&b);
    buf_init(&b, 10);
    c = request();
    assert_int_equal(command_write(&b, &c, &err), -RF_ETOOBIG);
    buf_done(&b);
}

static void a_hundred_subjects_and_no_more(void **state)
{
    static char text[3 * COMMAND_MAX];
    struct command c;
    (void)state;
    for (size_t count = COMMAND_LIST_MAX; count <= COMMAND_LIST_MAX + 3; count++) {
        size_t at = (size_t)sprintf(text, "ringfence-command@1\nregion r\nactor a\nverb request\n");
        for (size_t i = 0; i < count; i++)
            at += (size_t)sprintf(text + at, "subject %zu\n", i);
        at += (size_t)sprintf(text + at, "class identity\npurpose p\nseconds 60\n" TAIL);
        if (count > COMMAND_LIST_MAX) {
            assert_unreadable(text, at);
        } else {
            assert_int_equal(read_exactly(text, at, &c, NULL), 0);
            assert_int_equal(c.subject_count, count);
        }
    }
    size_t at = strlen(text);
    memset(text + at, 'x', sizeof(text) - at);
    assert_unreadable(text, sizeof(text));
}

static void a_text_that_would_be_written_otherwise_is_refused(void **state)
{
    static const char *const changes[][2] = {
        { "command@1", "command@2" },
        { "ringfence-command@1", "ringfence-approval@1" },
        { "ringfence-command@1\n", "" },
        { "ringfence-command@1\n", "ringfence-command@1 \n" },
        { "ringfence-command@1\n", "\nringfence-command@1\n" },
        { "region us-virginia\nactor us_analyst\n", "actor us_analyst\nregion us-virginia\n" },
        { "verb request\n", "" },
        { "verb request\n", "verb request\nverb request\n" },
        { "verb request\n", "verb revoke\n" },
        { "verb request\n", "verb rule\n" },
        { "verb request\n", "verb \n" },
        { "verb request\n", "verb\n" },
        { "verb request\n", "verb  request\n" },
        { "verb request\n", "verb\trequest\n" },
        { "verb request\n", "verb request\n\n" },
        { "verb request\n", "verb request\r\n" },
        { "verb request\n", "Verb request\n" },
        { "verb request\n", "verb request\nrequest 1\n" },
        { "verb request\n", "verb request\ncolour blue\n" },
        { "subject 1042\n", "subject 1042\nsubject 1042\n" },
        { "subject 1042\n", "subject 1042 \n" },
        { "class identity\n", "class identity\nsubject 7\n" },
        { "seconds 1800", "seconds 01800" },
        { "seconds 1800", "seconds +1800" },
        { "seconds 1800", "seconds 1800s" },
        { "seconds 1800", "seconds 59" },
        { "seconds 1800", "seconds 0" },
        { "seconds 1800", "seconds 18446744073709551616" },
        { "seconds 1800", "seconds 9223372036854775807" },
        { "nonce 0", "nonce 00" },
        { "nonce 0", "nonce " },
        { "aabbcc", "AABBCC" },
        { "2026-11-30T17:05:00Z\n", "2026-11-30T17:05:00Z" },
        { "2026-11-30T17:05:00Z", "2026-11-30 17:05:00Z" },
        { "2026-11-30T17:05:00Z", "2026-11-30T17:05:00" },
        { "2026-11-30T17:05:00Z", "2026-11-30T17:05:00.0Z" },
        { "2026-11-30T17:05:00Z", "2026-11-31T17:05:00Z" },
        { "2026-11-30T17:05:00Z", "2026-11-30T17:05:60Z" },
        { "2026-11-30T17:05:00Z", "2026-11-30T24:00:00Z" },
        { "2026-11-30T17:05:00Z", "2026-11-30T17:5:00Z" },
        { "2026-11-30T17:05:00Z", "1969-11-30T17:05:00Z" },
        { "2026-11-30T17:05:00Z", "02026-11-30T17:05:00Z" },
        { "17:05:00Z\n", "17:05:00Z\nreason late\n" },
        { "17:05:00Z\n", "17:05:00Z\n\n" },
        { "\xc3\xab", "\xc3" },
        { "\xc3\xab", "\x1b[2J" },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(changes); i++)
        assert_unreadable_with(changes[i][0], changes[i][1]);
}

static void every_cut_and_every_zero_is_refused(void **state)
{
    char text[sizeof(request_text)];
    (void)state;
    for (size_t n = 0; n < strlen(request_text); n++) {
        assert_unreadable(request_text, n);
        memcpy(text, request_text, sizeof(text));
        text[n] = '\0';
        assert_unreadable(text, strlen(request_text));
    }
    assert_unreadable(request_text, strlen(request_text) + 1);
}

static void errors_do_not_repeat_what_was_looked_for(void **state)
{
    struct command c = { .verb = COMMAND_FIND,
                         .region = "r",
                         .actor = "a",
                         .by = "email",
                         .value = "secret\x01value",
                         .purpose = "p",
                         .nonce = NONCE,
                         .expires_s = 1 };
    struct err err;
    struct buf b;
    static const char text[] = "ringfence-command@1\nregion r\nactor a\nverb find\nby email\n"
                               "value secret\x01value\npurpose p\n" TAIL;
    (void)state;
    assert_int_equal(write_into(&b, &c, &err), -RF_EINVAL);
    assert_null(strstr(err.line, "secret"));
    assert_int_equal(command_read(text, strlen(text), copy, &c, &err), -RF_EPROTO);
    assert_null(strstr(err.line, "secret"));
    buf_done(&b);
}

static void an_approval_repeats_the_request(void **state)
{
    static const char wanted[] = "ringfence-approval@1\n"
                                 "region us-virginia\n"
                                 "actor us_privacy_officer\n"
                                 "verb approve\n"
                                 "request 31\n"
                                 "requester us_analyst\n"
                                 "subject 1042\n"
                                 "subject h-0123456789abcdef0123456789abcdef\n"
                                 "class identity\n"
                                 "class contact\n"
                                 "purpose support_ticket\n"
                                 "reference T-4711: Zo\xc3\xab asks\n"
                                 "seconds 1800\n"
                                 "command %s\n" TAIL;
    struct command c, a;
    char digest[65], text[2048];
    uint8_t hash[DIGEST_LEN];
    const struct iovec piece = digest_piece(request_text, strlen(request_text));
    (void)state;
    assert_int_equal(command_read(request_text, strlen(request_text), copy, &c, NULL), 0);
    command_answer(&c, request_text, strlen(request_text), COMMAND_APPROVE, "us_privacy_officer",
                   digest, &a);
    a.request = 31;
    a.nonce = NONCE;
    a.expires_s = 1796058300;
    digest_pieces(&piece, 1, hash);
    char hex[65];
    digest_hex(hash, sizeof(hash), hex);
    assert_string_equal(digest, hex);
    (void)snprintf(text, sizeof(text), wanted, hex);
    static char second[2048];
    struct buf b;
    assert_int_equal(write_into(&b, &a, NULL), 0);
    assert_int_equal(buf_len(&b), strlen(text));
    assert_memory_equal(buf_at(&b), text, strlen(text));
    assert_int_equal(command_read(text, strlen(text), second, &a, NULL), 0);
    assert_true(command_is_about(&a, &c, hex));
    buf_done(&b);
}

static void an_approval_is_about_one_request(void **state)
{
    struct command c = request(), a, b;
    char digest[65], other[65];
    (void)state;
    command_answer(&c, request_text, strlen(request_text), COMMAND_DENY, "x", digest, &a);
    assert_true(command_is_about(&a, &c, digest));
    memcpy(other, digest, sizeof(other));
    other[63] = (char)(other[63] == '0' ? '1' : '0');
    assert_false(command_is_about(&a, &c, other));
#define DIFFERS(member, value) \
    b = a;                     \
    b.member = (value);        \
    assert_false(command_is_about(&b, &c, digest))
    DIFFERS(verb, COMMAND_REVOKE);
    DIFFERS(region, "eu-dublin");
    DIFFERS(requester, "x");
    DIFFERS(requester, NULL);
    DIFFERS(subjects[1], "7");
    DIFFERS(subject_count, 1);
    DIFFERS(classes[0], "location");
    DIFFERS(class_count, 1);
    DIFFERS(purpose, "debugging");
    DIFFERS(reference, NULL);
    DIFFERS(authority, "court");
    DIFFERS(seconds, 1801);
    DIFFERS(digest, NULL);
    DIFFERS(digest, other);
#undef DIFFERS
    c.verb = COMMAND_REVOKE;
    assert_false(command_is_about(&a, &c, digest));
}

static int start(void **state)
{
    struct err err;
    (void)state;
    return digest_init(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_written_and_read),
        cmocka_unit_test(each_verb_has_its_text),
        cmocka_unit_test(a_verb_has_the_lines_it_must_and_may_have),
        cmocka_unit_test(values_are_well_formed),
        cmocka_unit_test(a_text_may_be_too_long_as_a_whole),
        cmocka_unit_test(a_hundred_subjects_and_no_more),
        cmocka_unit_test(a_text_that_would_be_written_otherwise_is_refused),
        cmocka_unit_test(every_cut_and_every_zero_is_refused),
        cmocka_unit_test(errors_do_not_repeat_what_was_looked_for),
        cmocka_unit_test(an_approval_repeats_the_request),
        cmocka_unit_test(an_approval_is_about_one_request),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
