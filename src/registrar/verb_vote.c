/* `approve`, `deny` and `revoke`. */
#include "registrar/verb.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "registrar/tell.h"

static int add_vote(struct matter *m)
{
    const struct command *c = &m->command;
    char number[NUMBER_SIZE];
    PGresult *r;
    verb_number(number, (int64_t)c->request);
    const char *const values[] = { number,
                                   c->actor,
                                   verb_truth(c->verb == COMMAND_APPROVE),
                                   verb_truth(m->where.at_home),
                                   m->text,
                                   m->signature,
                                   m->office->config->name };
    int rc = matter_query(m,
                          "SELECT ringfence.approval_add($1::bigint, $2, $3::boolean, $4::boolean,"
                          " $5, $6, $7)",
                          RF_COUNT(values), values, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}

static int record_vote(struct matter *m, const struct file *f, char ref[RECORD_REF_SIZE])
{
    char number[NUMBER_SIZE];
    const struct command *c = &m->command;
    const char *const values[] = { number, c->actor, ref };
    PGresult *r;
    struct record record = matter_record(m, RECORD_APPROVAL);
    record.grant = c->request;
    record.request_ref = f->proof.evidence.asked.leaf;
    record.verdict = command_verb_name(c->verb);
    record.text = m->text;
    record.signature = m->signature;
    int rc = matter_say(m, &record, ref);
    if (rc < 0)
        return rc;
    verb_number(number, (int64_t)c->request);
    rc = matter_query(m, "SELECT ringfence.approval_logged($1::bigint, $2, $3)", 3, values, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}

/* May he say that, about just this request? */
static int check_vote(struct matter *m, const struct file *f)
{
    const struct command *c = &m->command;
    const struct evidence_case *judged = f->judged;
    if (strcmp(f->proof.state, "waiting") != 0)
        return matter_refuse(m, 409, "state", "the request does not wait for approvals any more");
    if (f->refusal != REFUSAL_NONE) /* the policy changed, or the requester: it is not his doing */
        return matter_refuse(m, 409, approval_refusal_name(f->refusal),
                             approval_refusal_sentence(f->refusal));
    if (!command_is_about(c, &judged->command, judged->digest))
        return matter_refuse(m, 400, "another-request",
                             "what was signed is not about the request of this number");
    const struct grant_vote vote = { .actor = m->actor,
                                     .is_from_home = m->where.at_home,
                                     .is_approval = c->verb == COMMAND_APPROVE,
                                     .at_ms = clock_wall_ms() };
    enum grant_refusal refusal = approval_may_vote(m->office->policy, &judged->ask, judged->rule,
                                                   &vote, judged->votes, judged->vote_count);
    return refusal != REFUSAL_NONE ? matter_deny(m, refusal) : 0;
}

/* It still waits, and for others than before. The vote counts whether or not they hear of it. */
static void tell_waiting(struct matter *m, const struct file *f)
{
    const struct tell tell = { .policy = m->office->policy,
                               .ask = &f->judged->ask,
                               .rule = f->judged->rule,
                               .votes = f->judged->votes,
                               .vote_count = f->judged->vote_count,
                               .suspended = m->suspensions.names,
                               .suspended_count = m->suspensions.count };
    struct err err = { 0 };
    if (tell_request(&tell, m->line, m->command.request, &err) < 0)
        log_err(LOG_LEVEL_WARN, "not-told", &err);
}

/* With this vote it may be enough. Read anew, since it is on record only now, as others that came
   meanwhile at another gateway are; and opened as it was read: what the database knows by then
   besides (a denial, a suspension) it looks at itself. */
static int count_votes(struct matter *m)
{
    struct file f;
    size_t missing = 0;
    uint64_t id = m->command.request;
    int rc = verb_file(m, &f);
    bool is_enough =
        rc == 0 && f.refusal == REFUSAL_NONE &&
        evidence_is_enough(m->office->policy, f.judged, clock_wall_ms(), &missing) == REFUSAL_NONE;
    if (rc == 0 && !is_enough && f.refusal == REFUSAL_NONE)
        tell_waiting(m, &f);
    if (rc == 0 && is_enough)
        rc = verb_move(m, id, "complete", NULL);
    if (rc == 0)
        rc = is_enough ? verb_open_now(m, id, &f) : verb_state(m, id, "waiting");
    file_close(&f);
    return rc;
}

int verb_vote(struct matter *m)
{
    char ref[RECORD_REF_SIZE];
    struct file f;
    int rc = verb_file(m, &f);
    if (rc == 0)
        rc = check_vote(m, &f);
    if (rc == 0)
        rc = add_vote(m);
    if (rc == 0)
        rc = record_vote(m, &f, ref);
    file_close(&f);
    if (rc < 0)
        return rc;
    if (m->command.verb == COMMAND_APPROVE)
        return count_votes(m);
    rc = verb_move(m, m->command.request, "deny", ref);
    return rc < 0 ? rc : verb_state(m, m->command.request, "denied");
}

/* ---- revoke --------------------------------------------------------------------------------- */

/* His own, or one that he could have approved: whether he did or not. */
static enum grant_refusal may_end(const struct matter *m, const struct file *f)
{
    const struct evidence_case *judged = f->judged;
    const struct grant_vote vote = { .actor = m->actor,
                                     .is_from_home = m->where.at_home,
                                     .at_ms = clock_wall_ms() };
    if (judged->ask.actor == m->actor)
        return REFUSAL_NONE;
    return judged->rule == NULL
               ? REFUSAL_APPROVER_NOT_LISTED
               : approval_may_vote(m->office->policy, &judged->ask, judged->rule, &vote, NULL, 0);
}

static int end_grant(struct matter *m)
{
    char number[NUMBER_SIZE];
    const char *const values[] = { number };
    PGresult *r;
    verb_number(number, (int64_t)m->command.request);
    int rc = matter_query(m, "SELECT ringfence.request_revoke($1::bigint)", 1, values, &r);
    if (rc < 0)
        return rc;
    PQclear(r);
    return verb_state(m, m->command.request, "revoked");
}

int verb_revoke(struct matter *m)
{
    struct file f;
    int rc = verb_file(m, &f);
    bool is_open = rc == 0 && strcmp(f.proof.state, "open") == 0;
    enum grant_refusal refusal = rc == 0 ? may_end(m, &f) : REFUSAL_NONE;
    bool is_own = rc == 0 && f.judged->ask.actor == m->actor;
    file_close(&f);
    if (rc < 0)
        return rc;
    if (refusal != REFUSAL_NONE)
        return matter_deny(m, refusal);
    if (!is_open && !is_own)
        return matter_refuse(m, 409, "state", "there is nothing to revoke: deny it instead");
    if (is_open)
        return end_grant(m);
    rc = verb_move(m, m->command.request, "withdraw", NULL);
    return rc < 0 ? rc : verb_state(m, m->command.request, "withdrawn");
}
