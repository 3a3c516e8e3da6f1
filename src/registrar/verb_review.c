/* `review` of what was done by breaking the glass. */
#include "registrar/verb.h"

#include <string.h>

#include "base/clock.h"

static int add_review(struct matter *m, const struct file *f)
{
    const struct command *c = &m->command;
    char number[NUMBER_SIZE], ref[RECORD_REF_SIZE];
    PGresult *r = NULL;
    verb_number(number, (int64_t)c->request);
    struct record record = matter_record(m, RECORD_REVIEW);
    record.grant = c->request;
    record.request_ref = f->proof.evidence.asked.leaf;
    record.verdict = c->verdict;
    record.text = m->text;
    record.signature = m->signature;
    const char *const values[] = { number, c->actor, verb_truth(strcmp(c->verdict, "proper") == 0),
                                   m->text, m->signature };
    int rc = matter_say(m, &record, ref);
    if (rc == 0)
        rc = matter_query(m, "SELECT ringfence.review_add($1::bigint, $2, $3::boolean, $4, $5)",
                          RF_COUNT(values), values, &r);
    if (rc < 0)
        return rc;
    PQclear(r);
    return verb_state(m, c->request, f->proof.state);
}

int verb_review(struct matter *m)
{
    struct file f;
    const struct grant_vote vote = { .actor = m->actor,
                                     .is_from_home = m->where.at_home,
                                     .at_ms = clock_wall_ms() };
    int rc = verb_file(m, &f);
    if (rc == 0 && !f.judged->ask.is_break_glass)
        rc = matter_refuse(m, 409, "state", "only what was done by breaking the glass is reviewed");
    if (rc == 0 && !f.proof.has_grant)
        rc = matter_refuse(m, 409, "state", "nothing was opened that could be reviewed");
    if (rc == 0) {
        enum grant_refusal refusal = approval_may_review(m->office->policy, &f.judged->ask, &vote);
        rc = refusal != REFUSAL_NONE ? matter_deny(m, refusal) : add_review(m, &f);
    }
    file_close(&f);
    return rc;
}
