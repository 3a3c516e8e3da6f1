#include "control/proofs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "control/proof.h"

/* Between the number of milliseconds that a time has here and the one that it has there. */
enum { ROUNDING_MS = 2 };

void proofs_init(struct proofs *p, const struct policy *policy, const struct policy_region *region)
{
    *p = (struct proofs){ .policy = policy,
                          .region = region,
                          .is_demanded = policy->grants->opened_by == GRANTS_BY_SIGNATURES };
}

void proofs_done(struct proofs *p)
{
    known_clear(&p->good);
}

void proofs_suspend(struct proofs *p, const char *const *suspended, size_t count)
{
    known_clear(&p->good);
    p->suspended = suspended;
    p->suspended_count = count;
}

bool proofs_has(const struct proofs *p, struct grant_entry *e)
{
    const struct grant_entry *good = known_find(&p->good, e->id);
    if (good == NULL || strcmp(good->role, e->role) != 0 || strcmp(good->actor, e->actor) != 0 ||
        strcmp(good->purpose, e->purpose) != 0 || good->subjects != e->subjects ||
        good->classes != e->classes || e->ends_wall_ms > good->ends_wall_ms)
        return false;
    memcpy(e->ref, good->ref, sizeof(e->ref));
    return true;
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
    if (!e->closed && proofs_room(p) && !proofs_has(p, &copy))
        p->asked[p->asked_count++] = e->id;
}

void proofs_put_again(struct proofs *p, const struct grant_entry *e)
{
    if (!e->closed && proofs_room(p))
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

/* Is this grant what people signed, under the rules of now? 0 and the entry's ref. */
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
    if (!proof->has_grant || strcmp(proof->grant.actor, e->actor) != 0 ||
        strcmp(proof->grant.purpose, e->purpose) != 0 || proof->grant.classes != e->classes ||
        proof->grant.key_count != e->subjects ||
        proof->grant.ends_ms + ROUNDING_MS < e->ends_wall_ms)
        return err_set(err, RF_ETAMPER, "the grant changed while it was looked at");
    if (!copy_ref(proof->grant_leaf, e->ref))
        return err_set(err, RF_EAUTH, "the grant is not on record");
    return evidence_covers(&judged, &proof->evidence, &proof->grant, err);
}

static bool take_one(struct proofs *p, const PGresult *answer, int *row, const struct known *known,
                     uint64_t *ret_id, struct err *err)
{
    struct proof proof;
    struct grant_entry e = { 0 };
    int rc = proof_read(answer, row, &proof, err);
    *ret_id = proof.evidence.request;
    const struct grant_entry *said = rc == 0 ? known_find(known, *ret_id) : NULL;
    if (rc == 0 && said != NULL) {
        e = *said;
        rc = judge(p, &proof, &e, err);
    }
    if (rc == 0 && said != NULL && known_put(&p->good, &e) < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory for grants");
    proof_done(&proof);
    return rc == 0;
}

static void mark(const struct proofs *p, uint64_t id, bool proven[PROOFS_AT_ONCE])
{
    for (size_t i = 0; i < p->asked_count; i++)
        proven[i] = proven[i] || p->asked[i] == id;
}

bool proofs_answer(struct proofs *p, const PGresult *answer, const struct known *known,
                   const char *alias)
{
    bool proven[PROOFS_AT_ONCE] = { false }, is_lost = false;
    for (int row = 0; row < PQntuples(answer);) {
        struct err err = { 0 };
        uint64_t id;
        if (take_one(p, answer, &row, known, &id, &err))
            mark(p, id, proven);
        else
            log_error("grant-not-proven", "database=%s grant=%" PRIu64 " reason=\"%s\"", alias, id,
                      err.line);
    }
    for (size_t i = 0; i < p->asked_count; i++) {
        if (proven[i])
            continue;
        is_lost = is_lost || known_find(&p->good, p->asked[i]) != NULL;
        known_drop(&p->good, p->asked[i]);
        if (known_find(known, p->asked[i]) != NULL)
            log_error("grant-not-shown",
                      "database=%s grant=%" PRIu64
                      " hint=\"nobody's signatures open it; it is being closed\"",
                      alias, p->asked[i]);
    }
    return is_lost;
}
