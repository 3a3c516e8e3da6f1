/* Opening a grant: everything that is kept about its request is judged anew, the grant is put on
 * record, and then it is there. */
#include "registrar/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "registrar/day.h"
#include "registrar/tell.h"

/* ---- what is kept ---------------------------------------------------------------------------- */

void file_close(struct file *f)
{
    proof_done(&f->proof);
    PQclear(f->rows);
    mem_free(f->judged);
    *f = (struct file){ 0 };
}

/* -RF_ENOTFOUND; other codes as line_ask(). The caller closes it in any case. */
int file_open(struct file *f, const struct policy *p, const struct policy_region *region,
              struct line *line, const struct suspensions *suspended, uint64_t request,
              struct err *err)
{
    char list[NUMBER_SIZE + 2], number[NUMBER_SIZE];
    const char *const values[] = { list };
    int row = 0;
    *f = (struct file){ 0 };
    verb_number(number, (int64_t)request);
    (void)snprintf(list, sizeof(list), "{%s}", number);
    int rc = line_ask(line, PROOF_SQL "$1::bigint[])", 1, values, &f->rows, err);
    if (rc < 0)
        return rc;
    if (PQntuples(f->rows) == 0)
        return err_set(err, RF_ENOTFOUND, "there is no request %s", number);
    if ((f->judged = mem_zalloc(1, sizeof(*f->judged))) == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a request");
    rc = proof_read(f->rows, &row, &f->proof, err);
    f->proof.evidence.suspended = suspended->names;
    f->proof.evidence.suspended_count = suspended->count;
    if (rc == 0)
        f->refusal = evidence_judge(p, region, &f->proof.evidence, f->judged, err);
    if (rc == 0 && f->refusal == REFUSAL_COUNT) /* somebody changed what was signed */
        log_err(LOG_LEVEL_ERROR, "evidence-false", err);
    return rc;
}

/* The same for a verb, with errors answered. */
int verb_file(struct matter *m, struct file *f)
{
    struct err err = { 0 };
    int rc = file_open(f, m->office->policy, m->region, m->line, &m->suspensions,
                       m->command.request, &err);
    if (rc == -RF_ENOTFOUND)
        return matter_refuse(m, 404, "not-found", "there is no such request in this region");
    if (rc < 0)
        return matter_fail(m, &err);
    if (f->refusal == REFUSAL_COUNT)
        return matter_refuse(m, 409, "evidence-false",
                             "what the database keeps of this request is not what was signed");
    return 0;
}

/* ---- the grant ------------------------------------------------------------------------------- */

/* The refs of the approvals, commas between; what leavers and suspended persons said is none. */
static int approval_refs(const struct evidence_case *c, char *to, size_t size)
{
    size_t n = 0;
    to[0] = '\0';
    for (size_t i = 0; i < c->vote_count; i++) {
        if (!c->votes[i].is_approval || c->votes[i].is_suspended)
            continue;
        int added = snprintf(to + n, size - n, "%s%s", n > 0 ? "," : "", c->vote_leaves[i]);
        if (added < 0 || (size_t)added >= size - n)
            return -RF_ETOOBIG;
        n += (size_t)added;
    }
    return 0;
}

static int record_grant(struct office *o, const struct policy_region *region,
                        const struct line *line, const struct file *f, char ref[RECORD_REF_SIZE],
                        struct err *err)
{
    static char refs[RECORD_REFS_MAX];
    char classes[CLASSES_SIZE];
    const struct evidence_case *c = f->judged;
    const struct policy_actor *actor = c->ask.actor;
    verb_classes(&c->command, classes);
    if (approval_refs(c, refs, sizeof(refs)) < 0)
        return err_set(err, RF_ETOOBIG, "too many approvals");
    struct record record = { .kind = RECORD_GRANT,
                             .wall_ms = clock_wall_ms(),
                             .region = region->name,
                             .entity = actor->entity != NULL ? actor->entity->name : NULL,
                             .place = actor->place.code,
                             .actor_kind = "person",
                             .actor = actor->name,
                             .database = line->database->alias,
                             .purpose = c->command.purpose,
                             .classes = classes,
                             .rule = c->rule->name,
                             .subjects = c->command.subject_count,
                             .grant = f->proof.evidence.request,
                             .until = (uint64_t)(clock_wall_ms() + c->command.seconds * 1000),
                             .request_ref = f->proof.evidence.asked.leaf,
                             .approval_refs = refs };
    return voice_say(o->voice, &record, OFFICE_LEDGER_MS, ref, err);
}

/* What is approved and can never open lapses now: it would be tried again every second, and each
   time a grant would go on record that nobody gets. -RF_EDENIED. */
static int let_lapse(struct line *line, const char *number, struct err *err)
{
    const char *const values[] = { number };
    struct err why = { 0 };
    PGresult *r;
    if (line_ask(line, "SELECT ringfence.request_move($1::bigint, 'lapse', NULL)", 1, values, &r,
                 &why) == 0)
        PQclear(r);
    else
        log_err(LOG_LEVEL_WARN, "not-lapsed", &why);
    return err_set(err, RF_EDENIED, "request %s can not be opened as it is: it has lapsed", number);
}

/* Did the database refuse for a reason that stays: somebody who is named is gone, the day has too
   many persons, or an argument is not possible (compile_request.c)? */
static bool is_final(int rc, const struct err *err)
{
    const char *state = err_state_of(err);
    return rc == -RF_EDATABASE && (strcmp(state, "02000") == 0 || strcmp(state, "22023") == 0 ||
                                   strcmp(state, "53400") == 0);
}

static int tell_opening(struct office *o, struct line *line, const struct file *f, struct err *err)
{
    const struct tell tell = { .policy = o->policy,
                               .ask = &f->judged->ask,
                               .rule = f->judged->rule,
                               .votes = f->judged->votes,
                               .vote_count = f->judged->vote_count,
                               .suspended = f->proof.evidence.suspended,
                               .suspended_count = f->proof.evidence.suspended_count };
    return tell_request(&tell, line, f->proof.evidence.request, err);
}

/* What F says goes on record and is opened; what can never be, lapses. */
static int open_judged(struct office *o, const struct policy_region *region, struct line *line,
                       const struct file *f, struct err *err)
{
    char ref[RECORD_REF_SIZE], number[NUMBER_SIZE], per_day[NUMBER_SIZE];
    const struct policy_grants *g = o->policy->grants;
    const char *const values[] = { number, ref, g->subjects_per_day > 0 ? per_day : NULL };
    PGresult *r;
    size_t missing;
    bool has_room;
    verb_number(number, (int64_t)f->proof.evidence.request);
    verb_number(per_day, g->subjects_per_day);
    if (f->refusal != REFUSAL_NONE ||
        evidence_is_enough(o->policy, f->judged, clock_wall_ms(), &missing) != REFUSAL_NONE)
        return let_lapse(line, number, err); /* votes are over, and approvals only grow older */
    int rc = day_has_room(g, line, f->judged->command.actor, f->proof.evidence.keys,
                          f->proof.evidence.key_count, &has_room, err);
    if (rc == 0 && !has_room)
        return let_lapse(line, number, err); /* before it stands on record as a grant */
    if (rc == 0)
        rc = tell_opening(o, line, f, err); /* by the policy that opens it */
    if (rc == 0)
        rc = record_grant(o, region, line, f, ref, err);
    if (rc < 0)
        return rc;
    rc = line_ask(line, "SELECT ringfence.request_open_within($1::bigint, $2, $3::integer)", 3,
                  values, &r, err);
    if (rc == 0)
        PQclear(r);
    else if (is_final(rc, err))
        rc = let_lapse(line, number, err);
    return rc;
}

int verb_open(struct office *o, const struct policy_region *region, struct line *line,
              uint64_t request, struct err *err)
{
    char number[NUMBER_SIZE];
    struct suspensions suspended;
    struct file f = { .rows = NULL };
    verb_number(number, (int64_t)request);
    int rc = suspensions_read(&suspended, line, err);
    if (rc == 0)
        rc = file_open(&f, o->policy, region, line, &suspended, request, err);
    if (rc == 0 && strcmp(f.proof.state, "approved") != 0)
        rc = err_set(err, RF_EINVAL, "request %s is not approved any more", number);
    if (rc == 0 && suspensions_are_all(&suspended)) /* whoever asked for it is, too */
        rc = let_lapse(line, number, err);
    if (rc == 0)
        rc = open_judged(o, region, line, &f, err);
    file_close(&f);
    suspensions_done(&suspended);
    return rc;
}

int verb_open_now(struct matter *m, uint64_t request, const struct file *f)
{
    struct err err = { 0 };
    int rc = f != NULL ? open_judged(m->office, m->region, m->line, f, &err)
                       : verb_open(m->office, m->region, m->line, request, &err);
    if (rc == 0)
        return verb_state(m, request, "open");
    log_err(LOG_LEVEL_WARN, "not-opened", &err);
    return verb_state(m, request, rc == -RF_EDENIED ? "lapsed" : "approved");
}

int verb_move(struct matter *m, uint64_t request, const char *event, const char *leaf)
{
    char number[NUMBER_SIZE];
    const char *const values[] = { number, event, leaf };
    PGresult *r;
    verb_number(number, (int64_t)request);
    int rc = matter_query(m, "SELECT ringfence.request_move($1::bigint, $2, $3)", 3, values, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}
