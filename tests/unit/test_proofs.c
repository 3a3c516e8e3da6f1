/* What becomes of a grant by what its database answers, and when something of ours fails. Who may
   sign for what is test_evidence.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/proof.h"
#include "control/proofs.h"
#include "policy/grants.h"

enum { COLUMNS = 20 };
enum {
    AT_REQUEST = 0,
    AT_STATE = 1,
    AT_KIND = 2,
    AT_KEYS = 11,
    AT_SALTS = 12,
    AT_GRANT_ACTOR = 14,
    AT_GRANT_KEYS = 17,
    AT_GRANT_ENDS = 18,
    AT_LACKING = 19
};

static bool is_memory_gone, is_json_gone;
void *__wrap_mem_zalloc(size_t count, size_t size);
void *__real_mem_zalloc(size_t count, size_t size);

void *__wrap_mem_zalloc(size_t count, size_t size)
{
    return is_memory_gone ? NULL : __real_mem_zalloc(count, size);
}

static void *json_memory(size_t size)
{
    return is_json_gone ? NULL : malloc(size);
}

static struct policy_grants rules = { .opened_by = GRANTS_BY_SIGNATURES };
static struct policy policy = { .grants = &rules };
static struct policy_region region = { .name = "us" };
static struct proofs proofs;
static struct known list;

static struct grant_entry grant(uint64_t id)
{
    struct grant_entry e;
    memset(&e, 0, sizeof(e));
    e.id = id;
    e.subjects = 1;
    e.ends_wall_ms = 1000;
    (void)snprintf(e.role, sizeof(e.role), "rf_g_%016llx", (unsigned long long)id);
    return e;
}

static int begin(void **state)
{
    (void)state;
    proofs_init(&proofs, &policy, &region);
    for (uint64_t id = 31; id <= 33; id++) {
        struct grant_entry e = grant(id);
        if (known_put(&list, &e) < 0)
            return -1;
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    is_memory_gone = false;
    proofs_done(&proofs);
    known_clear(&list);
    return 0;
}

static void ask(uint64_t id)
{
    struct grant_entry e = grant(id);
    proofs_begin(&proofs);
    proofs_put_again(&proofs, &e);
}

static enum proofs_verdict verdict(uint64_t id)
{
    struct grant_entry e = grant(id);
    return proofs_verdict(&proofs, &e);
}

/* One request in STATE, as the grants here are listed; it is not on record, so that nobody signed.
 */
static PGresult *answer(const char *id, const char *state)
{
    static char name[] = "column";
    const char *const values[COLUMNS] = { [AT_REQUEST] = id,           [AT_STATE] = state,
                                          [AT_KIND] = "request",       [AT_KEYS] = "[]",
                                          [AT_SALTS] = "[]",           [AT_GRANT_ACTOR] = "",
                                          [AT_GRANT_KEYS] = "[\"8\"]", [AT_GRANT_ENDS] = "1000",
                                          [AT_LACKING] = "{}" };
    PGresAttDesc columns[COLUMNS];
    PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    memset(columns, 0, sizeof(columns));
    for (int i = 0; i < COLUMNS; i++)
        columns[i].name = name;
    assert_int_equal(PQsetResultAttrs(r, COLUMNS, columns), 1);
    for (int i = 0; id != NULL && i < COLUMNS; i++) {
        char text[32];
        int len = values[i] != NULL ? snprintf(text, sizeof(text), "%s", values[i]) : -1;
        assert_int_equal(PQsetvalue(r, 0, i, len < 0 ? NULL : text, len), 1);
    }
    return r;
}

static void hear(const char *id, const char *state)
{
    PGresult *r = answer(id, state);
    proofs_answer(&proofs, r, &list, "us");
    PQclear(r);
}

static void what_nobody_signed_for_is_bad(void **state)
{
    (void)state;
    ask(31);
    hear("31", "open");
    assert_int_equal(verdict(31), PROOFS_BAD);
    ask(32);
    hear(NULL, NULL); /* the database knows of no request */
    assert_int_equal(verdict(32), PROOFS_BAD);
    assert_int_equal(verdict(33), PROOFS_UNJUDGED);
}

static void a_question_without_an_answer_judges_nobody(void **state)
{
    (void)state;
    ask(31);
    proofs_answer(&proofs, NULL, &list, "us");
    assert_int_equal(verdict(31), PROOFS_UNJUDGED);
}

static void want_of_memory_judges_nobody(void **state)
{
    (void)state;
    ask(31);
    is_memory_gone = true; /* to keep what was judged */
    hear("31", "open");
    is_memory_gone = false;
    assert_int_equal(verdict(31), PROOFS_UNJUDGED);
    json_set_alloc_funcs(json_memory, free); /* to read it */
    is_json_gone = true;
    hear("31", "open");
    is_json_gone = false;
    assert_int_equal(verdict(31), PROOFS_UNJUDGED);
    ask(31);
    hear("31", "open");
    assert_int_equal(verdict(31), PROOFS_BAD);
}

static void what_ended_behind_the_list_is_looked_at_once_more(void **state)
{
    (void)state;
    ask(31);
    hear("31", "revoked");
    assert_int_equal(verdict(31), PROOFS_UNJUDGED);
    ask(31);
    hear("31", "revoked"); /* the list is the same: nothing new is known */
    assert_int_equal(verdict(31), PROOFS_UNJUDGED);
    proofs_new_list(&proofs);
    ask(31);
    hear("31", "revoked"); /* the new list has it still: the database contradicts itself */
    assert_int_equal(verdict(31), PROOFS_BAD);
}

static void what_is_not_listed_any_more_is_no_matter(void **state)
{
    (void)state;
    ask(31);
    known_drop(&list, 31);
    hear("31", "open");
    assert_int_equal(verdict(31), PROOFS_UNJUDGED);
    assert_int_equal(proofs.bad.count, 0);
}

static void what_is_gone_is_forgotten(void **state)
{
    (void)state;
    for (uint64_t id = 31; id <= 33; id++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
        ask(id);
        hear(text, "open");
    }
    proofs_forget(&proofs, 31);
    assert_int_equal(verdict(31), PROOFS_UNJUDGED);
    known_drop(&list, 32);
    proofs_keep(&proofs, &list);
    assert_int_equal(verdict(32), PROOFS_UNJUDGED);
    assert_int_equal(verdict(33), PROOFS_BAD);
}

static void other_words_are_another_grant(void **state)
{
    struct grant_entry e = grant(31);
    (void)state;
    ask(31);
    hear("31", "open");
    e.classes = 8;
    assert_int_equal(proofs_verdict(&proofs, &e), PROOFS_UNJUDGED);
    proofs_suspend(&proofs, NULL, 0);
    assert_int_equal(verdict(31), PROOFS_UNJUDGED);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        ONE(what_nobody_signed_for_is_bad),
        ONE(a_question_without_an_answer_judges_nobody),
        ONE(want_of_memory_judges_nobody),
        ONE(what_ended_behind_the_list_is_looked_at_once_more),
        ONE(what_is_not_listed_any_more_is_no_matter),
        ONE(what_is_gone_is_forgotten),
        ONE(other_words_are_another_grant),
    };
    return cmocka_run_group_tests_name("proofs", tests, NULL, NULL);
}
