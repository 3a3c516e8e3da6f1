#include "control/proofs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "control/proof.h"
#include "priv/budget_table.h"

/* Between the number of milliseconds that a time has here and the one that it has there. */
enum { ROUNDING_MS = 2 };

void proofs_init(struct proofs *p, const struct policy *policy, const struct policy_region *region)
{
    *p = (struct proofs){ .policy = policy,
                          .region = region,
                          .is_demanded = policy->grants->opened_by == GRANTS_BY_SIGNATURES };
}

static void forget_all(struct proofs *p)
{
    known_clear(&p->good);
    known_clear(&p->bad);
    known_clear(&p->doubts);
    known_clear(&p->old_doubts);
}

void proofs_done(struct proofs *p)
{
    forget_all(p);
}

void proofs_suspend(struct proofs *p, const char *const *suspended, size_t count)
{
    forget_all(p);
    p->suspended = suspended;
    p->suspended_count = count;
}

/* Are these the words that were judged? */
static bool is_same(const struct grant_entry *judged, const struct grant_entry *e)
{
    return strcmp(judged->role, e->role) == 0 && strcmp(judged->actor, e->actor) == 0 &&
           strcmp(judged->purpose, e->purpose) == 0 && judged->subjects == e->subjects &&
           judged->classes == e->classes && e->ends_wall_ms <= judged->ends_wall_ms;
}

enum proofs_verdict proofs_verdict(const struct proofs *p, struct grant_entry *e)
{
    if (!p->is_demanded)
        return PROOFS_GOOD;
    const struct grant_entry *good = known_find(&p->good, e->id);
    if (good != NULL && is_same(good, e)) {
        memcpy(e->ref, good->ref, sizeof(e->ref));
        e->rows = good->rows;
        e->bytes = good->bytes;
        return PROOFS_GOOD;
    }
    const struct grant_entry *bad = known_find(&p->bad, e->id);
    return bad != NULL && is_same(bad, e) ? PROOFS_BAD : PROOFS_UNJUDGED;
}

void proofs_forget(struct proofs *p, uint64_t id)
{
    known_drop(&p->good, id);
    known_drop(&p->bad, id);
    known_drop(&p->doubts, id);
    known_drop(&p->old_doubts, id);
}

static void keep(struct known *of, const struct known *known)
{
    const struct grant_entry *e;
    size_t at = 0;
    while ((e = known_next(of, &at)) !=
           NULL) /* one that a hole's end moves past us goes next time */
        if (known_find(known, e->id) == NULL)
            known_drop(of, e->id);
}

void proofs_keep(struct proofs *p, const struct known *known)
{
    keep(&p->good, known);
    keep(&p->bad, known);
}

void proofs_new_list(struct proofs *p)
{
    known_clear(&p->old_doubts);
    p->old_doubts = p->doubts;
    p->doubts = (struct known){ 0 };
}

/* ---- one question --------------------------------------------------------------------------- */

void proofs_begin(struct proofs *p)
{
    p->asked_count = 0;
}

bool proofs_room(const struct proofs *p)
{
    return p->asked_count < PROOFS_AT_ONCE;
}

void proofs_put(struct proofs *p, const struct grant_entry *e)
{
    struct grant_entry copy = *e;
    if (!e->closed && proofs_verdict(p, &copy) == PROOFS_UNJUDGED)
        proofs_put_again(p, e);
}

static bool is_asked(const struct proofs *p, uint64_t id)
{
    for (size_t i = 0; i < p->asked_count; i++)
        if (p->asked[i] == id)
            return true;
    return false;
}

void proofs_put_again(struct proofs *p, const struct grant_entry *e)
{
    if (!e->closed && proofs_room(p) && !is_asked(p, e->id))
        p->asked[p->asked_count++] = e->id;
}

void proofs_question(const struct proofs *p, char sql[PROOFS_QUESTION_SIZE])
{
    size_t n = (size_t)snprintf(sql, PROOFS_QUESTION_SIZE, "SET LOCAL lock_timeout = '500ms';%s'{",
                                PROOF_SQL);
    for (size_t i = 0; i < p->asked_count; i++)
        n += (size_t)snprintf(sql + n, PROOFS_QUESTION_SIZE - n, "%s%" PRIu64, i > 0 ? "," : "",
                              p->asked[i]);
    (void)snprintf(sql + n, PROOFS_QUESTION_SIZE - n, "}'::bigint[])");
}

/* ---- its answer ----------------------------------------------------------------------------- */

static bool copy_ref(const char *ref, char to[GRANT_REF_SIZE])
{
    size_t len = ref != NULL ? strlen(ref) : 0;
    if (len == 0 || len >= GRANT_REF_SIZE)
        return false;
    memcpy(to, ref, len + 1);
    return true;
}

static uint64_t budget_of(int64_t limit)
{
    return limit > 0 ? (uint64_t)limit : BUDGET_UNLIMITED;
}

/* Did people sign for this grant, under the rules of now? 0 and the budget of E. */
static int judge(const struct proofs *p, struct proof *proof, struct grant_entry *e,
                 struct err *err)
{
    static struct evidence_case judged; /* large */
    size_t missing;
    proof->evidence.suspended = p->suspended;
    proof->evidence.suspended_count = p->suspended_count;
    enum grant_refusal refusal =
        evidence_judge(p->policy, p->region, &proof->evidence, &judged, err);
    if (refusal == REFUSAL_COUNT)
        return -err->code;
    if (refusal == REFUSAL_NONE) {
        int64_t opened_ms = evidence_opened_ms(&judged, &proof->grant);
        refusal = evidence_is_enough(p->policy, &judged, opened_ms, &missing);
    }
    if (refusal != REFUSAL_NONE)
        return err_set(err, RF_EDENIED, "%s", approval_refusal_sentence(refusal));
    if (!proof->has_grant)
        return err_set(err, RF_ETAMPER, "there is no such grant");
    e->rows = budget_of(judged.rule->budget_rows);
    e->bytes = budget_of(judged.rule->budget_bytes);
    return evidence_covers(&judged, &proof->evidence, &proof->grant, err);
}

/* Does the grant look as the list of grants said? */
static bool is_as_listed(const struct proof *proof, const struct grant_entry *e)
{
    return strcmp(proof->state, "open") == 0 && proof->has_grant &&
           strcmp(proof->grant.actor, e->actor) == 0 &&
           strcmp(proof->grant.purpose, e->purpose) == 0 && proof->grant.classes == e->classes &&
           proof->grant.key_count == e->subjects &&
           proof->grant.ends_ms + ROUNDING_MS >= e->ends_wall_ms;
}

/* Not what was signed, or who may sign, but this process or this host. */
static bool is_failure(int code)
{
    return code == RF_ENOMEM || (code != RF_ETAMPER && err_category_of(code) == ERR_SYSTEM) ||
           code == RF_EBUG;
}

static int note(struct known *k, const struct grant_entry *e, struct err *err)
{
    return known_put(k, e) < 0 ? err_set(err, RF_ENOMEM, "out of memory for grants") : 0;
}

/* The next grant of the answer, *RET_ID. 0, or what it lacks; *RET_IS_AS_LISTED is false where the
   list of grants says something else of it. */
static int take_one(struct proofs *p, const PGresult *answer, int *row, const struct known *known,
                    uint64_t *ret_id, bool *ret_is_as_listed, struct err *err)
{
    struct proof proof;
    int rc = proof_read(answer, row, &proof, err);
    *ret_id = proof.evidence.request;
    *ret_is_as_listed = true;
    const struct grant_entry *said = known_find(known, *ret_id);
    if (rc == 0 && said != NULL) {
        struct grant_entry e = *said;
        *ret_is_as_listed = is_as_listed(&proof, said);
        rc = judge(p, &proof, &e, err);
        if (rc == 0 && !*ret_is_as_listed)
            rc = err_set(err, RF_ETAMPER, "the grant is another than its database lists");
        if (rc == 0 && !copy_ref(proof.grant_leaf, e.ref))
            rc = err_set(err, RF_EAUTH, "the grant is not on record");
        if (rc == 0)
            rc = note(&p->good, &e, err);
        if (rc == 0)
            known_drop(&p->bad, *ret_id);
    }
    proof_done(&proof);
    return rc;
}

static void complain(struct proofs *p, const char *alias, uint64_t id, const char *why)
{
    if (!p->has_complained)
        log_error("grant-not-judged",
                  "database=%s grant=%" PRIu64
                  " reason=\"%s\" hint=\"it is withheld, and asked for again\"",
                  alias, id, why);
    p->has_complained = true;
}

/* What is not good, for the reason in ERR. */
static void take_away(struct proofs *p, const struct grant_entry *e, bool is_as_listed,
                      const struct err *err, const char *alias)
{
    struct err why;
    bool is_doubt = !is_as_listed && known_find(&p->old_doubts, e->id) == NULL;
    struct known *to = is_doubt ? &p->doubts : &p->bad;
    known_drop(&p->good, e->id);
    if (is_failure(err->code)) {
        complain(p, alias, e->id, err->line);
    } else if (note(to, e, &why) < 0) {
        complain(p, alias, e->id, why.line);
    } else if (!is_doubt) {
        log_error("grant-not-proven", "database=%s grant=%" PRIu64 " reason=\"%s\"", alias, e->id,
                  err->line);
        log_error("grant-not-shown",
                  "database=%s grant=%" PRIu64
                  " hint=\"nobody's signatures open it; it is being closed\"",
                  alias, e->id);
    }
}

static void mark(const struct proofs *p, uint64_t id, bool is_seen[PROOFS_AT_ONCE])
{
    for (size_t i = 0; i < p->asked_count; i++)
        is_seen[i] = is_seen[i] || p->asked[i] == id;
}

void proofs_answer(struct proofs *p, const PGresult *answer, const struct known *known,
                   const char *alias)
{
    bool is_seen[PROOFS_AT_ONCE] = { false }, is_as_listed;
    struct err err = { 0 };
    uint64_t id;
    if (answer == NULL) {
        complain(p, alias, p->asked[0], "the database gave no answer");
        return;
    }
    for (int row = 0; row < PQntuples(answer);) {
        int rc = take_one(p, answer, &row, known, &id, &is_as_listed, &err);
        const struct grant_entry *e = known_find(known, id);
        mark(p, id, is_seen);
        if (rc < 0 && e != NULL)
            take_away(p, e, is_as_listed, &err, alias);
    }
    (void)err_set(&err, RF_EAUTH, "nobody asked for it");
    for (size_t i = 0; i < p->asked_count; i++) {
        const struct grant_entry *e = known_find(known, p->asked[i]);
        if (!is_seen[i] && e != NULL)
            take_away(p, e, true, &err, alias);
    }
}
