#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"
#include "enforce/widening.h"
#include "policy/mistakes.h"
#include "policy/policy_signers.h"

/* Signatures that ssh-keygen made are in tests/vectors/policy-signed: `next` follows `ruling`,
 * whose signers are anna and bert, two of two; in `next` carl is one, too. */

static char *vector(const char *name, size_t *ret_len)
{
    char path[4200];
    struct err err;
    char *text;
    (void)snprintf(path, sizeof(path), "%s/policy-signed/%s", getenv("RF_VECTORS"), name);
    if (fd_read_file(path, 1024 * 1024, &text, ret_len, &err) < 0)
        fail_msg("%s", err.line);
    return text;
}

static struct policy *parse(const char *text, size_t len)
{
    struct policy *p = NULL;
    struct mistakes m;
    mistakes_init(&m);
    if (policy_parse("policy", text, len, &p, &m) < 0)
        fail_msg("line %u: %s", m.list[0].line, m.list[0].text);
    mistakes_done(&m);
    return p;
}

struct world {
    char *ruling_text, *next_text;
    size_t ruling_len, next_len;
    struct policy *ruling, *next;
};

static int set_up(void **state)
{
    static struct world w;
    struct err err;
    assert_int_equal(digest_init(&err), 0);
    w.ruling_text = vector("ruling.yaml", &w.ruling_len);
    w.next_text = vector("next.yaml", &w.next_len);
    w.ruling = parse(w.ruling_text, w.ruling_len);
    w.next = parse(w.next_text, w.next_len);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    policy_free(w->ruling);
    policy_free(w->next);
    mem_free(w->ruling_text);
    mem_free(w->next_text);
    return 0;
}

/* The files of NAMES (blanks between), one after another. */
static char *joined(const char *names, size_t *ret_len)
{
    char list[200], *rest = list, *name;
    char *all = calloc(1, SIGNATURES_BYTES_MAX);
    size_t len;
    *ret_len = 0;
    (void)snprintf(list, sizeof(list), "%s", names);
    while ((name = strtok_r(rest, " ", &rest)) != NULL) {
        char *one = vector(name, &len);
        memcpy(all + *ret_len, one, len);
        *ret_len += len;
        mem_free(one);
    }
    return all;
}

static struct policy_signed count(const struct world *w, const struct policy *by, const char *names)
{
    struct policy_signed s;
    size_t len;
    char *sigs = joined(names, &len);
    policy_count_signatures(by, w->next_text, w->next_len, sigs, len, &s);
    free(sigs);
    return s;
}

static void signatures_count_once_each_with_the_keys_of_the_policy_before(void **state)
{
    static const struct {
        const char *files;
        unsigned valid, others, spoiled;
    } rows[] = {
        { "", 0, 0, 0 },
        { "next.anna.sig next.bert.sig", 2, 0, 0 },
        { "next.bert.sig", 1, 0, 0 },
        { "next.bert.sig next.bert.sig", 1, 0, 0 },
        { "next.anna.sig next.carl.sig", 1, 1, 0 }, /* carl is a signer of the new one alone */
        { "next.anna.sig ruling.bert.sig", 1, 0, 1 },
        { "next.anna.sig next.bert.command.sig", 1, 0, 1 },
        { "ruling.bert.sig next.carl.sig next.anna.sig next.bert.sig", 2, 1, 1 },
    };
    const struct world *w = *state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct policy_signed s = count(w, w->ruling, rows[i].files);
        assert_false(s.is_malformed);
        assert_int_equal(s.valid, rows[i].valid);
        assert_int_equal(s.others, rows[i].others);
        assert_int_equal(s.spoiled, rows[i].spoiled);
    }
    assert_int_equal(count(w, w->next, "next.carl.sig next.anna.sig").valid, 2);
}

static void names_say_who_is_missing(void **state)
{
    const struct world *w = *state;
    char text[100];
    struct policy_signed s = count(w, w->ruling, "next.bert.sig");
    policy_signers_names(w->ruling, s.signed_by, true, text, sizeof(text));
    assert_string_equal(text, "bert");
    policy_signers_names(w->ruling, s.signed_by, false, text, sizeof(text));
    assert_string_equal(text, "anna");
    policy_signers_names(w->ruling, 3, false, text, sizeof(text));
    assert_string_equal(text, "nobody");
}

static void a_file_that_is_cut_anywhere_never_counts_as_whole(void **state)
{
    const struct world *w = *state;
    size_t len, first;
    char *sigs = joined("next.anna.sig next.bert.sig", &len),
         *one = joined("next.anna.sig", &first);
    for (size_t n = 0; n < len; n++) {
        struct policy_signed s;
        policy_count_signatures(w->ruling, w->next_text, w->next_len, sigs, n, &s);
        assert_int_equal(s.is_malformed, n != 0 && n != first);
        assert_int_equal(s.valid, n == first ? 1 : 0);
    }
    free(sigs);
    free(one);
}

static void a_file_with_any_byte_changed_never_counts_as_whole(void **state)
{
    const struct world *w = *state;
    size_t len;
    char *sigs = joined("next.anna.sig next.bert.sig", &len);
    for (size_t i = 0; i < len; i++) {
        struct policy_signed s;
        sigs[i] ^= 1;
        policy_count_signatures(w->ruling, w->next_text, w->next_len, sigs, len, &s);
        assert_true(s.valid < 2);
        sigs[i] ^= 1;
    }
    free(sigs);
}

static void whoever_is_suspended_signs_nothing(void **state)
{
    const struct world *w = *state;
    struct policy_signed s;
    struct policy *p = parse(w->ruling_text, w->ruling_len);
    for (size_t i = 0; i < p->actor_count; i++)
        p->actors[i].suspended = strcmp(p->actors[i].name, "anna") == 0;
    s = count(w, p, "next.anna.sig next.bert.sig");
    assert_int_equal(s.valid, 1);
    assert_int_equal(s.others, 1);
    policy_free(p);
}

/* TEXT with the first FROM replaced by TO; the caller frees. */
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *out;
    if (at == NULL)
        fail_msg("not there: %s", from);
    assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    return out;
}

static void signers_that_cannot_sign_are_a_mistake(void **state)
{
    static const struct {
        const char *from, *to, *told;
    } rows[] = {
        { "quorum: 2", "quorum: 3", "3 signatures are demanded, and 2 persons can sign" },
        { "quorum: 2", "quorum: 0", "signers.quorum" },
        { "[anna, bert]", "[anna, anna]", "\"anna\" is listed twice" },
        { "[anna, bert]", "[anna, carl]", "\"carl\" has no key to sign with" },
        { "[anna, bert]", "[anna, dora]", "dora" },
        { "[anna, bert]", "[]", "signers.actors" },
        { "wait: 1h", "wait: 32d", "signers.wait" },
        { "place: US, keys", "place: US, suspended: true, keys", "2 signatures are demanded" },
        { "version: 1", "version: 1\nfollows: 12", "64 hex digits" },
    };
    const struct world *w = *state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        char *text = replaced(w->ruling_text, rows[i].from, rows[i].to);
        struct policy *p = NULL;
        struct mistakes m;
        mistakes_init(&m);
        assert_int_equal(policy_parse("policy", text, strlen(text), &p, &m), -RF_ECONFIG);
        bool is_told = false;
        for (size_t k = 0; k < m.count; k++)
            is_told = is_told || strstr(m.list[k].text, rows[i].told) != NULL;
        if (!is_told)
            fail_msg("\"%s\" is told as: %s", rows[i].told, m.list[0].text);
        mistakes_done(&m);
        free(text);
    }
}

/* ---- widening ------------------------------------------------------------------------------- */

#define HASH  "3123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "4123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct change {
    const char *from, *to, *what; /* what is told; NULL: it only takes away, or changes nothing */
} changes[] = {
    { "company: ", "company: New ", NULL },
    { "    department: analytics", "    suspended: true\n    department: analytics", NULL },
    { "handle: identity", "handle: {class: identity, mask: absent}", NULL },
    { "    subjects: 5\n", "    subjects: 6\n", "grants.rules.support.subjects" },
    { "        - {entities: [clipstream-us], departments: [security]}\n", "",
      "grants.rules.support.approvers" },
    { "rows: 1000,", "rows: 999,", NULL },
    { "rows: 1000,", "rows: 1001,", "limit of rows of a grant (1000 before, now 1001)" },
    { ", bytes: 1MB}", "}", "limit of bytes of a grant (1048576 before, now unlimited)" },
    { "      budget: {rows: 1000, bytes: 1MB}\n", "", "limit of " },
    { "    subjects: 5\n", "    subjects: 5\n      budget: {rows: 5}\n", NULL },
    { "chain: excluded", "chain: allowed", "grants.approvers.chain" },
    { "request_age: 24h", "request_age: 48h", "grants.request_age" },
    { "  find:\n    by:", "  bound: {legal_demand: {subjects: [" HASH "]}}\n  find:\n    by:",
      NULL },
    { "    review: 24h\n", "    review: 24h\n    open_at_most: 2\n",
      "grants.break_glass.open_at_most" },
    { "    manager: us_head_of_data\n", "", "actors.us_analyst" },
    { "    department: analytics", "    department: privacy", "actors.us_analyst" },
    { "actors:\n", "actors:\n  new_one: {kind: person, entity: clipstream-us, place: US}\n",
      "actors.new_one" },
    { "handle: identity", "handle: contact", "tables.app.users" },
    { "minimum: 20", "minimum: 19", "statistics." },
    { "minimum: 20", "minimum: 21", NULL },
    { "adult_age: 18", "adult_age: 17", "" },
    { "adult_age: 18", "adult_age: 19", NULL },
    { "home: masked, abroad: stats", "home: masked, abroad: masked", "" },
    { "home: masked, abroad: stats", "home: masked, abroad: none", NULL },
    { "\nversion: 1", "\nversion: 1\nrelease: {contact: checkpointed}", "release" },
};

static void what_widens_is_told_and_what_takes_away_is_not(void **state)
{
    char path[4200], what[POLICY_CHANGE_SIZE];
    struct err err;
    char *text;
    size_t len;
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/../../demo/policy.yaml", getenv("RF_VECTORS"));
    assert_int_equal(fd_read_file(path, 1024 * 1024, &text, &len, &err), 0);
    struct policy *old = parse(text, len);
    const struct policy_bytes before = { old, text, len };
    for (size_t i = 0; i < RF_COUNT(changes); i++) {
        const struct change *c = &changes[i];
        char *other = replaced(text, c->from, c->to);
        struct policy *new = parse(other, strlen(other));
        const struct policy_bytes after = { new, other, strlen(other) };
        int rc = widening_find(&before, &after, what, &err);
        if (rc != (c->what != NULL) || (rc == 1 && strstr(what, c->what) == NULL))
            fail_msg("\"%s\" to \"%s\": %d, %s", c->from, c->to, rc, what);
        policy_free(new);
        free(other);
    }
    policy_free(old);
    mem_free(text);
}

static void whoever_is_added_to_a_purpose_widens_it(void **state)
{
    static const char *const bounds[] = {
        "  bound: {legal_demand: {subjects: [" HASH "]}}\n  find:",
        "  bound: {legal_demand: {subjects: [" HASH ", " OTHER "]}}\n  find:", "  find:"
    };
    char path[4200], what[POLICY_CHANGE_SIZE], *text, *texts[3];
    struct policy *policies[3];
    struct policy_bytes of[3];
    struct err err;
    size_t len;
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/../../demo/policy.yaml", getenv("RF_VECTORS"));
    assert_int_equal(fd_read_file(path, 1024 * 1024, &text, &len, &err), 0);
    for (size_t i = 0; i < 3; i++) {
        texts[i] = replaced(text, "  find:", bounds[i]);
        policies[i] = parse(texts[i], strlen(texts[i]));
        of[i] = (struct policy_bytes){ policies[i], texts[i], strlen(texts[i]) };
    }
    assert_int_equal(widening_find(&of[0], &of[1], what, &err), 1);
    assert_string_equal(what, "grants.bound.legal_demand.subjects");
    assert_int_equal(widening_find(&of[0], &of[2], what, &err), 1);
    assert_string_equal(what, "grants.bound"); /* then it is for everybody */
    for (size_t i = 0; i < 3; i++) {
        policy_free(policies[i]);
        free(texts[i]);
    }
    mem_free(text);
}

static void new_signers_and_keys_widen_in_either_direction(void **state)
{
    const struct world *w = *state;
    char what[POLICY_CHANGE_SIZE];
    struct err err;
    const struct policy_bytes ruling = { w->ruling, w->ruling_text, w->ruling_len };
    const struct policy_bytes next = { w->next, w->next_text, w->next_len };
    assert_int_equal(widening_find(&ruling, &next, what, &err), 1);
    assert_string_equal(what, "actors.carl");
    assert_int_equal(widening_find(&next, &ruling, what, &err), 1);
    assert_int_equal(widening_find(&ruling, &ruling, what, &err), 0);
    char *text = replaced(w->ruling_text, "quorum: 2", "quorum: 1");
    struct policy *p = parse(text, strlen(text));
    const struct policy_bytes fewer = { p, text, strlen(text) };
    assert_int_equal(widening_find(&ruling, &fewer, what, &err), 1);
    assert_string_equal(what, "signers.quorum");
    assert_int_equal(widening_find(&fewer, &ruling, what, &err), 1);
    policy_free(p);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_count_once_each_with_the_keys_of_the_policy_before),
        cmocka_unit_test(names_say_who_is_missing),
        cmocka_unit_test(a_file_that_is_cut_anywhere_never_counts_as_whole),
        cmocka_unit_test(a_file_with_any_byte_changed_never_counts_as_whole),
        cmocka_unit_test(whoever_is_suspended_signs_nothing),
        cmocka_unit_test(signers_that_cannot_sign_are_a_mistake),
        cmocka_unit_test(what_widens_is_told_and_what_takes_away_is_not),
        cmocka_unit_test(whoever_is_added_to_a_purpose_widens_it),
        cmocka_unit_test(new_signers_and_keys_widen_in_either_direction),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
