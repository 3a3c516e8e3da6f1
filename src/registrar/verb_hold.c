/* `hold`: two persons say that the persons of a grant hear of it later. */
#include "registrar/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "enforce/database.h"

/* May he say that, about just this request? */
static int check_hold(struct matter *m, const struct file *f)
{
    const struct policy_grants *g = m->office->policy->grants;
    const struct grant_vote vote = { .actor = m->actor,
                                     .is_from_home = m->where.at_home,
                                     .is_suspended = m->is_suspended,
                                     .at_ms = clock_wall_ms() };
    /* also where it could not be asked for any more, as that of somebody who is suspended since */
    const struct policy_grant_rule *rule = f->judged->rule;
    if (rule == NULL)
        rule = approval_rule_find(m->office->policy, f->proof.rule);
    enum grant_refusal refusal = approval_may_hold(m->office->policy, &f->judged->ask, rule, &vote);
    if (refusal != REFUSAL_NONE)
        return matter_deny(m, refusal);
    int64_t left_ms = m->command.until_s * 1000 - clock_wall_ms();
    if (left_ms <= 0)
        return matter_refuse(m, 400, "hold-over", "a hold ends in the future");
    return left_ms > g->hold_ms
               ? matter_refuse(m, 403, "hold-too-long", "the policy allows a shorter hold")
               : 0;
}

static int record_hold(struct matter *m, char ref[RECORD_REF_SIZE])
{
    struct record record = matter_record(m, RECORD_HOLD);
    record.grant = m->command.request;
    record.until = (uint64_t)m->command.until_s * 1000;
    record.text = m->text;
    record.signature = m->signature;
    return matter_say(m, &record, ref);
}

/* What hold_check() and hold_add() are told, in their order. */
struct hold_values {
    char number[NUMBER_SIZE], until[NUMBER_SIZE], age[TIME_SIZE], most[TIME_SIZE];
};

static void fill_values(const struct matter *m, struct hold_values *v)
{
    const struct policy_grants *g = m->office->policy->grants;
    verb_number(v->number, (int64_t)m->command.request);
    verb_number(v->until, m->command.until_s);
    (void)snprintf(v->age, sizeof(v->age), "%" PRId64 " ms", g->approval_age_ms);
    (void)snprintf(v->most, sizeof(v->most), "%" PRId64 " ms", g->hold_ms);
}

/* Would the database take it? Before it is on record. */
static int try_hold(struct matter *m)
{
    struct hold_values v;
    PGresult *r;
    fill_values(m, &v);
    const char *const values[] = { v.number, v.until, m->command.actor, v.age, v.most };
    int rc = matter_query(m,
                          "SELECT ringfence.hold_check($1::bigint, to_timestamp($2::bigint), $3,"
                          " $4::interval, $5::interval)",
                          RF_COUNT(values), values, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}

static int add_hold(struct matter *m, const char *ref)
{
    const struct command *c = &m->command;
    struct hold_values v;
    PGresult *r;
    fill_values(m, &v);
    const char *const values[] = { v.number,     v.until, c->actor, m->text,
                                   m->signature, ref,     v.age,    v.most };
    int rc = matter_query(m,
                          "SELECT ringfence.hold_add($1::bigint, to_timestamp($2::bigint), $3, $4,"
                          " $5, $6, $7::interval, $8::interval)",
                          RF_COUNT(values), values, &r);
    if (rc < 0)
        return rc;
    json_int_t votes = strtoll(database_value(r, 0, 0), NULL, 10);
    PQclear(r);
    m->status = 200;
    m->answer = json_pack("{s:I,s:s,s:I,s:I}", "request", (json_int_t)c->request, "state",
                          votes >= APPROVAL_HOLD_VOTES ? "held" : "asked", "until",
                          (json_int_t)c->until_s, "votes", votes);
    return 0;
}

int verb_hold(struct matter *m)
{
    char ref[RECORD_REF_SIZE];
    struct file f;
    int rc = verb_file(m, &f);
    if (rc == 0)
        rc = check_hold(m, &f);
    file_close(&f);
    if (rc == 0)
        rc = try_hold(m);
    if (rc == 0)
        rc = record_hold(m, ref);
    return rc == 0 ? add_hold(m, ref) : rc;
}
