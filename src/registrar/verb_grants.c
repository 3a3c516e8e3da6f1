/* `grants`: what somebody may know of. */
#include "registrar/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "enforce/database.h"

enum {
    LISTED_REFERENCE_MAX = 64 /* 120 requests fit one answer, whatever somebody wrote into them */
};

/* Why this person may see the request; NULL: he may not. */
static const char *shown_as(const struct matter *m, const struct file *f)
{
    const struct evidence_case *c = f->judged;
    const struct grant_vote vote = { .actor = m->actor,
                                     .is_from_home = m->where.at_home,
                                     .at_ms = clock_wall_ms() };
    if (c->ask.actor == m->actor)
        return "requester";
    if (c->rule == NULL)
        return NULL;
    return approval_may_vote(m->office->policy, &c->ask, c->rule, &vote, NULL, 0) == REFUSAL_NONE
               ? "approver"
               : NULL;
}

static json_t *amounts(int64_t rows, int64_t bytes, const struct policy_grant_rule *rule)
{
    json_t *both = json_object();
    if (rule->budget_rows > 0)
        (void)json_object_set_new(both, "rows", json_integer(rows));
    if (rule->budget_bytes > 0)
        (void)json_object_set_new(both, "bytes", json_integer(bytes));
    return both;
}

static int64_t left_of(int64_t limit, int64_t taken)
{
    return limit > taken ? limit - taken : 0;
}

/* The budget of a grant that is open, and what nobody has taken of it yet. */
static void describe_budget(const struct file *f, const PGresult *taken, json_t *one)
{
    const struct policy_grant_rule *rule = f->judged->rule;
    int64_t rows = 0, bytes = 0;
    if (rule == NULL || rule->budget_line == 0)
        return;
    (void)json_object_set_new(one, "budget", amounts(rule->budget_rows, rule->budget_bytes, rule));
    for (int row = 0; row < PQntuples(taken); row++)
        if (strtoull(database_value(taken, row, 0), NULL, 10) == f->proof.evidence.request) {
            rows = strtoll(database_value(taken, row, 1), NULL, 10);
            bytes = strtoll(database_value(taken, row, 2), NULL, 10);
        }
    if (strcmp(f->proof.state, "open") == 0)
        (void)json_object_set_new(one, "left",
                                  amounts(left_of(rule->budget_rows, rows),
                                          left_of(rule->budget_bytes, bytes), rule));
}

static json_t *describe(const struct matter *m, const struct file *f, const char *as)
{
    const struct evidence_case *c = f->judged;
    const struct evidence *e = &f->proof.evidence;
    json_t *classes = json_array();
    for (size_t i = 0; i < c->command.class_count; i++)
        (void)json_array_append_new(classes, json_string(c->command.classes[i]));
    json_t *one =
        json_pack("{s:I,s:s,s:s,s:s,s:s,s:o,s:I,s:I,s:I,s:I,s:b}", "request",
                  (json_int_t)e->request, "state", f->proof.state, "as", as, "requester",
                  e->asked.actor, "purpose", c->command.purpose, "classes", classes, "subjects",
                  (json_int_t)c->command.subject_count, "seconds", (json_int_t)c->command.seconds,
                  "requested", (json_int_t)(e->asked.at_ms / 1000), "votes",
                  (json_int_t)c->vote_count, "wanted",
                  c->rule != NULL && strcmp(f->proof.state, "waiting") == 0 &&
                      approval_is_wanted(m->office->policy, &c->ask, c->rule, m->actor, c->votes,
                                         c->vote_count, clock_wall_ms()));
    if (c->command.reference != NULL &&
        (m->command.request != 0 || strlen(c->command.reference) <= LISTED_REFERENCE_MAX))
        (void)json_object_set_new(one, "reference", json_string(c->command.reference));
    if (f->proof.has_grant)
        (void)json_object_set_new(one, "until", json_integer(f->proof.grant.ends_ms / 1000));
    if (m->command.request != 0) {
        (void)json_object_set_new(one, "text", json_string(e->asked.text));
        (void)json_object_set_new(one, "signature", json_string(e->asked.signature));
    }
    return one;
}

/* What holds back the notices of one grant, or would if another person said so, too. */
static void describe_holds(json_t *one, const PGresult *holds)
{
    json_int_t number = json_integer_value(json_object_get(one, "request"));
    for (int row = 0; row < PQntuples(holds); row++) {
        if (strtoll(database_value(holds, row, 0), NULL, 10) != number)
            continue;
        (void)json_object_set_new(one, database_true(holds, row, 2) ? "held_until" : "hold_asked",
                                  json_integer(strtoll(database_value(holds, row, 1), NULL, 10)));
    }
}

/* Those of ROWS that he may see. */
static json_t *describe_all(struct matter *m, const PGresult *rows, const PGresult *holds,
                            const PGresult *taken)
{
    json_t *list = json_array();
    struct err err = { 0 };
    struct file f = { .judged = mem_zalloc(1, sizeof(*f.judged)) };
    for (int row = 0; f.judged != NULL && row < PQntuples(rows);) {
        bool is_read = proof_read(rows, &row, &f.proof, &err) == 0;
        f.proof.evidence.suspended = m->suspensions.names;
        f.proof.evidence.suspended_count = m->suspensions.count;
        if (is_read && evidence_judge(m->office->policy, m->region, &f.proof.evidence, f.judged,
                                      &err) != REFUSAL_COUNT) {
            const char *as = shown_as(m, &f);
            json_t *one = as != NULL ? describe(m, &f, as) : NULL;
            if (one != NULL && strcmp(as, "requester") != 0)
                describe_holds(one, holds);
            if (one != NULL)
                describe_budget(&f, taken, one);
            if (one != NULL)
                (void)json_array_append_new(list, one);
        }
        proof_done(&f.proof);
    }
    mem_free(f.judged);
    return list;
}

static int read_holds(struct matter *m, PGresult **ret)
{
    char age[TIME_SIZE];
    const char *const values[] = { age };
    (void)snprintf(age, sizeof(age), "%" PRId64 " ms", m->office->policy->grants->approval_age_ms);
    return matter_query(m,
                        "SELECT request, floor(extract(epoch FROM until))::bigint, stands"
                        " FROM ringfence.holds($1::interval)",
                        1, values, ret);
}

/* What was taken of the budgets of those who are in ROWS. */
static int read_taken(struct matter *m, const PGresult *rows, PGresult **ret)
{
    static const char empty[] = "{}";
    size_t size = sizeof(empty) + (size_t)PQntuples(rows) * NUMBER_SIZE, n = 1;
    char *list = mem_zalloc(1, size);
    if (list == NULL)
        return verb_no_memory(m);
    const char *before = "";
    (void)snprintf(list, size, "{");
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *number = database_value(rows, row, 0);
        if (strcmp(number, before) != 0) /* a request is followed by its votes */
            n += (size_t)snprintf(list + n, size - n, "%s%s", n > 1 ? "," : "", number);
        before = number;
    }
    (void)snprintf(list + n, size - n, "}");
    const char *const values[] = { list };
    int rc = matter_query(m,
                          "SELECT id, rows_taken, bytes_taken"
                          " FROM ringfence.grant_budget_read($1::bigint[])",
                          1, values, ret);
    mem_free(list);
    return rc;
}

int verb_grants(struct matter *m)
{
    static const char sql[] =
        PROOF_SQL "(SELECT coalesce(array_agg(l.request), '{}') FROM (SELECT request FROM"
                  " (SELECT request, row_number() OVER (PARTITION BY requester ORDER BY"
                  " request DESC) AS n FROM ringfence.request_list($1, true, $2::bigint)) o"
                  " ORDER BY n, request DESC LIMIT 120) l))"; /* nobody hides those of others */
    char number[NUMBER_SIZE];
    const char *const values[] = { m->command.actor, m->command.request != 0 ? number : NULL };
    PGresult *r = NULL, *holds = NULL, *taken = NULL;
    verb_number(number, (int64_t)m->command.request);
    int rc = matter_query(m, sql, 2, values, &r);
    if (rc == 0)
        rc = read_holds(m, &holds);
    if (rc == 0)
        rc = read_taken(m, r, &taken);
    json_t *list = rc == 0 ? describe_all(m, r, holds, taken) : NULL;
    PQclear(r);
    PQclear(holds);
    PQclear(taken);
    if (rc < 0)
        return rc;
    if (m->command.request != 0 && json_array_size(list) == 0) {
        json_decref(list);
        return matter_refuse(m, 404, "not-found", "there is no such request that you may see");
    }
    m->status = 200;
    m->answer = json_pack("{s:o}", "requests", list);
    json_t *suspended = suspensions_describe(m);
    if (json_array_size(suspended) > 0)
        (void)json_object_set(m->answer, "suspended", suspended);
    json_decref(suspended);
    json_t *alerts = alerts_describe(m);
    if (json_array_size(alerts) > 0)
        (void)json_object_set(m->answer, "alerts", alerts);
    json_decref(alerts);
    return 0;
}
