/* The table of verbs, and what several of them share. */
#include "registrar/verb.h"

#include <inttypes.h>
#include <stdio.h>

void verb_number(char to[NUMBER_SIZE], int64_t n)
{
    (void)snprintf(to, NUMBER_SIZE, "%" PRId64, n);
}

/* "identity,contact" */
void verb_classes(const struct command *c, char to[CLASSES_SIZE])
{
    size_t n = 0;
    to[0] = '\0';
    for (size_t i = 0; i < c->class_count && n < CLASSES_SIZE; i++)
        n += (size_t)snprintf(to + n, CLASSES_SIZE - n, "%s%s", i > 0 ? "," : "", c->classes[i]);
}

const char *verb_truth(bool is_so)
{
    return is_so ? "true" : "false";
}

int verb_state(struct matter *m, uint64_t request, const char *state)
{
    m->status = 200;
    m->answer = json_pack("{s:I,s:s}", "request", (json_int_t)request, "state", state);
    return 0;
}

int verb_no_memory(struct matter *m)
{
    struct err err = { 0 };
    (void)err_set(&err, RF_ENOMEM, "out of memory for a command");
    return matter_fail(m, &err);
}

/* Whoever sees a signed text can post it again, and not more: only the first time does anything,
   and says anything about its signer. So it stands before all else, and what comes of the command
   later makes no difference: it is used up by a refusal, and by a 503. */
static int use_nonce(struct matter *m)
{
    char expires[NUMBER_SIZE];
    const char *const values[] = { m->command.nonce, expires };
    PGresult *r;
    verb_number(expires, m->command.expires_s);
    int rc = matter_query(m, "SELECT ringfence.command_use($1, to_timestamp($2::bigint))", 2,
                          values, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}

struct grant_ask verb_ask(const struct matter *m, const struct named *named)
{
    const struct command *c = &m->command;
    struct grant_ask ask = { .region = m->region,
                             .actor = m->actor,
                             .is_from_home = m->where.at_home,
                             .is_break_glass = c->verb == COMMAND_BREAK_GLASS,
                             .classes = evidence_classes(c),
                             .purpose = c->purpose,
                             .reference = c->reference,
                             .authority = c->authority,
                             .subject_count = c->subject_count,
                             .minor_count = named->minors,
                             .sensitive_count = named->sensitive,
                             .unbound_count = named->unbound,
                             .seconds = c->seconds,
                             .consented = named->consented,
                             .consented_count = named->consented_count };
    return ask;
}

/* Nobody knows yet who has consented. A rule looks at that last, so whoever is refused for nothing
   else may ask; of several rules, another one's refusal says nothing against this. */
enum grant_refusal verb_judge_asker(const struct matter *m, const struct grant_ask *asked)
{
    const struct policy_consents *c = m->office->policy->consents;
    const struct policy_grant_rule *rule = NULL;
    static char all[CONSENT_PURPOSES_MAX][2 * RECORD_WORD_MAX + 2];
    const char *consented[CONSENT_PURPOSES_MAX];
    struct grant_ask ask = *asked;
    for (size_t i = 0; i < c->purpose_count; i++) {
        (void)snprintf(all[i], sizeof(all[i]), "%s %s", c->purposes[i].name,
                       c->purposes[i].version);
        consented[i] = all[i];
    }
    ask.consented = consented;
    ask.consented_count = c->purpose_count;
    return approval_may_ask(m->office->policy, &ask, &rule);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Whoever is suspended gives no command at all, not even one that would take something from him.
   When so many are that everybody is, those who are not named can still say that it may end, and
   see for whom: nobody else could. */
static int check_suspended(struct matter *m)
{
    struct err err = { 0 };
    enum command_verb verb = m->command.verb;
    if (suspensions_read(&m->suspensions, m->line, &err) < 0)
        return matter_fail(m, &err);
    m->is_suspended =
        suspensions_names(&m->suspensions, m->command.actor) ||
        (suspensions_are_all(&m->suspensions) && verb != COMMAND_LIFT && verb != COMMAND_GRANTS);
    if (!m->is_suspended)
        return 0;
    return matter_deny(m, verb == COMMAND_APPROVE || verb == COMMAND_DENY ||
                                  verb == COMMAND_REVIEW || verb == COMMAND_LIFT ||
                                  verb == COMMAND_REVIEW_ALERT || verb == COMMAND_HOLD ||
                                  verb == COMMAND_TRACE
                              ? REFUSAL_APPROVER_SUSPENDED
                              : REFUSAL_REQUESTER_SUSPENDED);
}

/* Consents have nothing to do with who opens grants. */
static bool is_of_consent(const struct matter *m)
{
    return m->command.verb == COMMAND_CONSENT_GIVE || m->command.verb == COMMAND_CONSENT_WITHDRAW ||
           m->command.verb == COMMAND_CONSENT_SHOW;
}

void verb_answer(struct matter *m)
{
    static int (*const verbs[COMMAND_VERB_COUNT])(struct matter * m) = {
        [COMMAND_FIND] = verb_find,
        [COMMAND_REQUEST] = verb_request,
        [COMMAND_BREAK_GLASS] = verb_request,
        [COMMAND_APPROVE] = verb_vote,
        [COMMAND_DENY] = verb_vote,
        [COMMAND_REVOKE] = verb_revoke,
        [COMMAND_REVIEW] = verb_review,
        [COMMAND_GRANTS] = verb_grants,
        [COMMAND_LIFT] = verb_lift,
        [COMMAND_REVIEW_ALERT] = verb_review_alert,
        [COMMAND_HOLD] = verb_hold,
        [COMMAND_TRACE] = verb_trace,
        [COMMAND_CONSENT_GIVE] = verb_consent_give,
        [COMMAND_CONSENT_WITHDRAW] = verb_consent_withdraw,
        [COMMAND_CONSENT_SHOW] = verb_consent_show,
    };
    if (use_nonce(m) < 0)
        return;
    if (m->office->policy->grants->opened_by != GRANTS_BY_SIGNATURES && !is_of_consent(m)) {
        (void)matter_refuse(m, 403, "opened-by-administrator",
                            "the policy lets an administrator open grants, not signatures");
        return;
    }
    if (check_suspended(m) < 0)
        return;
    if (verbs[m->command.verb] == NULL || verbs[m->command.verb](m) < 0)
        RF_ASSERT(m->status >= 400 || m->answer == NULL);
}
