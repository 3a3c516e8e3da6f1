/* What each verb does. A verb returns 0 with the matter answered, or a negative code with it
 * answered likewise: by matter_refuse() and its like. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "enforce/database.h"
#include "ledger/revealed.h"
#include "registrar/office.h"

enum {
    NUMBER_SIZE = 24,
    TIME_SIZE = 32,
    CLASSES_SIZE = 128,
    LISTED_REFERENCE_MAX = 64 /* 200 requests fit one answer, whatever somebody wrote into them */
};

static void number_text(char to[NUMBER_SIZE], int64_t n)
{
    (void)snprintf(to, NUMBER_SIZE, "%" PRId64, n);
}

/* "identity,contact" */
static void class_list(const struct command *c, char to[CLASSES_SIZE])
{
    size_t n = 0;
    to[0] = '\0';
    for (size_t i = 0; i < c->class_count && n < CLASSES_SIZE; i++)
        n += (size_t)snprintf(to + n, CLASSES_SIZE - n, "%s%s", i > 0 ? "," : "", c->classes[i]);
}

static const char *truth(bool is_so)
{
    return is_so ? "true" : "false";
}

static int answer_state(struct matter *m, uint64_t request, const char *state)
{
    m->status = 200;
    m->answer = json_pack("{s:I,s:s}", "request", (json_int_t)request, "state", state);
    return 0;
}

static int out_of_memory(struct matter *m)
{
    struct err err = { 0 };
    (void)err_set(&err, RF_ENOMEM, "out of memory for a command");
    return matter_fail(m, &err);
}

/* ---- evidence ------------------------------------------------------------------------------- */

/* Everything that is kept about one request. */
struct file {
    PGresult *rows;
    struct proof proof;
    struct evidence_case *judged; /* large */
    enum grant_refusal refusal;   /* of evidence_judge() */
};

static void file_close(struct file *f)
{
    proof_done(&f->proof);
    PQclear(f->rows);
    mem_free(f->judged);
    *f = (struct file){ 0 };
}

/* -RF_ENOTFOUND; other codes as line_ask(). The caller closes it in any case. */
static int file_open(struct file *f, const struct policy *p, const struct policy_region *region,
                     struct line *line, const struct suspensions *suspended, uint64_t request,
                     struct err *err)
{
    char list[NUMBER_SIZE + 2], number[NUMBER_SIZE];
    const char *const values[] = { list };
    int row = 0;
    *f = (struct file){ 0 };
    number_text(number, (int64_t)request);
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
static int open_file(struct matter *m, struct file *f)
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

/* ---- the grant ------------------------------------------------------------------------------ */

/* The refs of the votes that count, commas between. */
static int approval_refs(const struct evidence *e, char *to, size_t size)
{
    size_t n = 0;
    to[0] = '\0';
    for (size_t i = 0; i < e->vote_count; i++) {
        if (e->votes[i].leaf == NULL)
            continue;
        int added = snprintf(to + n, size - n, "%s%s", n > 0 ? "," : "", e->votes[i].leaf);
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
    class_list(&c->command, classes);
    if (approval_refs(&f->proof.evidence, refs, sizeof(refs)) < 0)
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

/* Did the database refuse for a reason that stays: somebody who is named is gone, or an argument is
   not possible (compile_request.c)? */
static bool is_final(int rc, const struct err *err)
{
    const char *state = err_state_of(err);
    return rc == -RF_EDATABASE && (strcmp(state, "02000") == 0 || strcmp(state, "22023") == 0);
}

int verb_open(struct office *o, const struct policy_region *region, struct line *line,
              uint64_t request, struct err *err)
{
    char ref[RECORD_REF_SIZE], number[NUMBER_SIZE];
    const char *const values[] = { number, ref };
    struct suspensions suspended;
    struct file f = { .rows = NULL };
    PGresult *r;
    size_t missing;
    number_text(number, (int64_t)request);
    int rc = suspensions_read(&suspended, line, err);
    if (rc == 0)
        rc = file_open(&f, o->policy, region, line, &suspended, request, err);
    if (rc == 0 && strcmp(f.proof.state, "approved") != 0)
        rc = err_set(err, RF_EINVAL, "request %s is not approved any more", number);
    if (rc == 0 &&
        (f.refusal != REFUSAL_NONE ||
         evidence_is_enough(o->policy, f.judged, clock_wall_ms(), &missing) != REFUSAL_NONE))
        rc = let_lapse(line, number, err); /* votes are over, and approvals only grow older */
    if (rc == 0)
        rc = record_grant(o, region, line, &f, ref, err);
    if (rc == 0) {
        rc = line_ask(line, "SELECT ringfence.request_open($1::bigint, $2)", 2, values, &r, err);
        if (rc == 0)
            PQclear(r);
        else if (is_final(rc, err))
            rc = let_lapse(line, number, err);
    }
    file_close(&f);
    suspensions_done(&suspended);
    return rc;
}

/* Open what was just approved. Should that fail, it is done in a while; the answer says so. */
static int open_now(struct matter *m, uint64_t request)
{
    struct err err = { 0 };
    int rc = verb_open(m->office, m->region, m->line, request, &err);
    if (rc == 0)
        return answer_state(m, request, "open");
    log_err(LOG_LEVEL_WARN, "not-opened", &err);
    return answer_state(m, request, rc == -RF_EDENIED ? "lapsed" : "approved");
}

static int move(struct matter *m, uint64_t request, const char *event, const char *leaf)
{
    char number[NUMBER_SIZE];
    const char *const values[] = { number, event, leaf };
    PGresult *r;
    number_text(number, (int64_t)request);
    int rc = matter_query(m, "SELECT ringfence.request_move($1::bigint, $2, $3)", 3, values, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}

/* ---- request, break-glass ------------------------------------------------------------------- */

/* What the database knows of those who are named. */
struct named {
    char *subjects; /* as an array */
    json_t *keys;   /* as the database has them */
    size_t minors, sensitive;
};

static bool touches_honey(const struct matter *m, const struct named *named)
{
    bool touches = false;
    for (size_t i = 0; i < json_array_size(named->keys); i++) {
        const char *key = json_string_value(json_array_get(named->keys, i));
        touches = touches || (key != NULL && approval_is_honey(m->office->policy, m->region, key));
    }
    return touches;
}

static int refuse_nobody(struct matter *m)
{
    return matter_refuse(m, 404, "subject-unknown", "a person who is named does not exist");
}

/* A person is named by his key just as the database writes it, or by a handle. */
static int check_names(struct matter *m, struct named *named)
{
    const struct command *c = &m->command;
    for (size_t i = 0; i < c->subject_count; i++) {
        const char *key = json_string_value(json_array_get(named->keys, i));
        if (key == NULL)
            return refuse_nobody(m);
        if (strncmp(c->subjects[i], "h-", 2) != 0 && strcmp(c->subjects[i], key) != 0)
            return matter_refuse(m, 400, "subject-form",
                                 "a key is not written as the database has it");
        named->sensitive += approval_is_sensitive(m->office->policy, m->region, key);
    }
    return 0;
}

static int find_named(struct matter *m, struct named *named)
{
    const struct command *c = &m->command;
    *named = (struct named){ .subjects = matter_array(c->subjects, c->subject_count) };
    if (named->subjects == NULL)
        return out_of_memory(m);
    const char *const values[] = { c->actor, named->subjects };
    PGresult *r;
    int rc = matter_query(m,
                          "SELECT to_json(keys), missing, minors"
                          " FROM ringfence.request_facts($1, $2::text[])",
                          2, values, &r);
    if (rc < 0)
        return rc;
    named->minors = (size_t)strtoull(database_value(r, 0, 2), NULL, 10);
    named->keys = json_loads(database_value(r, 0, 0), JSON_DECODE_ANY, NULL);
    bool is_honey = touches_honey(m, named);
    if (is_honey)
        suspend_actor(m, "honey");
    if (is_honey || strcmp(database_value(r, 0, 1), "0") != 0)
        rc = refuse_nobody(m);
    else
        rc = check_names(m, named);
    PQclear(r);
    return rc;
}

static struct grant_ask ask_of(const struct matter *m, const struct named *named)
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
                             .seconds = c->seconds };
    return ask;
}

/* Whoever broke the glass before, and nobody has looked at it in time. */
static int check_reviews(struct matter *m)
{
    char age[TIME_SIZE];
    const char *const values[] = { m->command.actor, age };
    PGresult *r;
    (void)snprintf(age, sizeof(age), "%" PRId64 " ms", m->office->policy->grants->review_ms);
    int rc = matter_query(m, "SELECT ringfence.reviews_due($1, $2::interval)", 2, values, &r);
    if (rc < 0)
        return rc;
    bool is_due = strcmp(database_value(r, 0, 0), "0") != 0;
    PQclear(r);
    return is_due ? matter_deny(m, REFUSAL_REVIEW_DUE) : 0;
}

static int add_request(struct matter *m, const struct named *named,
                       const struct policy_grant_rule *rule, uint64_t *ret)
{
    const struct command *c = &m->command;
    char seconds[NUMBER_SIZE], expires[NUMBER_SIZE];
    char *classes = matter_array(c->classes, c->class_count);
    PGresult *r;
    if (classes == NULL)
        return out_of_memory(m);
    number_text(seconds, c->seconds);
    number_text(expires, c->expires_s);
    const char *const values[] = { c->actor,
                                   rule->name,
                                   c->purpose,
                                   classes,
                                   named->subjects,
                                   seconds,
                                   truth(c->verb == COMMAND_BREAK_GLASS),
                                   truth(m->where.at_home),
                                   m->text,
                                   m->signature,
                                   c->nonce,
                                   expires,
                                   m->office->config->name };
    int rc = matter_query(m,
                          "SELECT id FROM ringfence.request_add($1, $2, $3, $4::text[], $5::text[],"
                          " $6::bigint, $7::boolean, $8::boolean, $9, $10, $11,"
                          " to_timestamp($12::bigint), $13)",
                          RF_COUNT(values), values, &r);
    mem_free(classes);
    if (rc < 0)
        return rc;
    *ret = strtoull(database_value(r, 0, 0), NULL, 10);
    PQclear(r);
    return 0;
}

/* "KEY CLASSES KEY CLASSES …", as disclosures have it: a handle would say nobody to who opens it.
 */
static int put_named(const struct named *named, const char *classes, struct buf *to)
{
    int rc = 0;
    for (size_t i = 0; i < json_array_size(named->keys) && rc == 0; i++) {
        const json_t *key = json_array_get(named->keys, i);
        rc = revealed_put(to, json_string_value(key), json_string_length(key), classes);
    }
    return rc < 0 ? rc : buf_append(to, "", 1);
}

static int record_request(struct matter *m, const struct named *named,
                          const struct policy_grant_rule *rule, uint64_t id,
                          char ref[RECORD_REF_SIZE])
{
    const struct command *c = &m->command;
    char classes[CLASSES_SIZE];
    bool breaks = c->verb == COMMAND_BREAK_GLASS;
    struct record record = matter_record(m, breaks ? RECORD_BREAKGLASS : RECORD_REQUEST);
    struct buf revealed;
    class_list(c, classes);
    buf_init(&revealed, RECORD_MAX);
    if (put_named(named, classes, &revealed) < 0) {
        buf_wipe_done(&revealed);
        return out_of_memory(m);
    }
    record.revealed = (const char *)buf_at(&revealed);
    record.purpose = c->purpose;
    record.classes = classes;
    record.subjects = c->subject_count;
    record.rule = rule->name;
    record.grant = id;
    record.text = m->text;
    record.signature = m->signature;
    int rc = matter_say(m, &record, ref);
    buf_wipe_done(&revealed);
    return rc;
}

static int ask_for(struct matter *m, const struct named *named)
{
    const struct policy_grant_rule *rule = NULL;
    const struct grant_ask ask = ask_of(m, named);
    char ref[RECORD_REF_SIZE];
    uint64_t id = 0;
    enum grant_refusal refusal = approval_may_ask(m->office->policy, &ask, &rule);
    if (refusal != REFUSAL_NONE)
        return matter_deny(m, refusal);
    int rc = ask.is_break_glass ? check_reviews(m) : 0;
    if (rc == 0)
        rc = add_request(m, named, rule, &id);
    if (rc == 0)
        rc = record_request(m, named, rule, id, ref);
    if (rc == 0)
        rc = move(m, id, ask.is_break_glass ? "break" : "logged", ref);
    if (rc < 0)
        return rc;
    return ask.is_break_glass ? open_now(m, id) : answer_state(m, id, "waiting");
}

/* Whoever may not ask, whoever is named, does not learn who there is, who is a child or sensitive.
 */
static int check_asker(struct matter *m)
{
    const struct policy_grant_rule *rule = NULL;
    const struct named nobody = { 0 };
    const struct grant_ask ask = ask_of(m, &nobody);
    enum grant_refusal refusal = approval_may_ask(m->office->policy, &ask, &rule);
    return refusal != REFUSAL_NONE ? matter_deny(m, refusal) : 0;
}

static int verb_request(struct matter *m)
{
    struct named named = { 0 };
    int rc = check_asker(m);
    if (rc == 0)
        rc = find_named(m, &named);
    if (rc == 0)
        rc = ask_for(m, &named);
    mem_free(named.subjects);
    json_decref(named.keys);
    return rc;
}

/* ---- approve, deny -------------------------------------------------------------------------- */

static int add_vote(struct matter *m)
{
    const struct command *c = &m->command;
    char number[NUMBER_SIZE], expires[NUMBER_SIZE];
    PGresult *r;
    number_text(number, (int64_t)c->request);
    number_text(expires, c->expires_s);
    const char *const values[] = { number,
                                   c->actor,
                                   truth(c->verb == COMMAND_APPROVE),
                                   truth(m->where.at_home),
                                   m->text,
                                   m->signature,
                                   c->nonce,
                                   expires,
                                   m->office->config->name };
    int rc = matter_query(m,
                          "SELECT ringfence.approval_add($1::bigint, $2, $3::boolean, $4::boolean,"
                          " $5, $6, $7, to_timestamp($8::bigint), $9)",
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
    number_text(number, (int64_t)c->request);
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
    if (f->refusal != REFUSAL_NONE) /* the policy changed */
        return matter_deny(m, f->refusal);
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

/* With this vote it may be enough. */
static int count_votes(struct matter *m)
{
    struct file f;
    size_t missing = 0;
    uint64_t id = m->command.request;
    int rc = open_file(m, &f);
    bool is_enough =
        rc == 0 && f.refusal == REFUSAL_NONE &&
        evidence_is_enough(m->office->policy, f.judged, clock_wall_ms(), &missing) == REFUSAL_NONE;
    file_close(&f);
    if (rc < 0)
        return rc;
    if (!is_enough)
        return answer_state(m, id, "waiting");
    rc = move(m, id, "complete", NULL);
    return rc < 0 ? rc : open_now(m, id);
}

static int verb_vote(struct matter *m)
{
    char ref[RECORD_REF_SIZE];
    struct file f;
    int rc = open_file(m, &f);
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
    rc = move(m, m->command.request, "deny", ref);
    return rc < 0 ? rc : answer_state(m, m->command.request, "denied");
}

/* ---- revoke --------------------------------------------------------------------------------- */

static int use_nonce(struct matter *m)
{
    char expires[NUMBER_SIZE];
    const char *const values[] = { m->command.nonce, expires };
    PGresult *r;
    number_text(expires, m->command.expires_s);
    int rc = matter_query(m, "SELECT ringfence.command_use($1, to_timestamp($2::bigint))", 2,
                          values, &r);
    if (rc == 0)
        PQclear(r);
    return rc;
}

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
    number_text(number, (int64_t)m->command.request);
    int rc = matter_query(m, "SELECT ringfence.request_revoke($1::bigint)", 1, values, &r);
    if (rc < 0)
        return rc;
    PQclear(r);
    return answer_state(m, m->command.request, "revoked");
}

static int verb_revoke(struct matter *m)
{
    struct file f;
    int rc = open_file(m, &f);
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
    rc = use_nonce(m);
    if (rc == 0 && is_open)
        return end_grant(m);
    if (rc == 0)
        rc = move(m, m->command.request, "withdraw", NULL);
    return rc < 0 ? rc : answer_state(m, m->command.request, "withdrawn");
}

/* ---- find ----------------------------------------------------------------------------------- */

/* Whoever could ask for somebody for this purpose may look for him. */
static enum grant_refusal may_find(const struct matter *m)
{
    const struct policy_grants *g = m->office->policy->grants;
    enum grant_refusal first = REFUSAL_NONE;
    for (size_t i = 0; i < g->rule_count; i++) {
        const struct policy_grant_rule *rule = NULL;
        struct named nobody = { 0 };
        struct grant_ask ask = ask_of(m, &nobody);
        ask.subject_count = 1;
        ask.seconds = 60;
        ask.classes = g->rules[i].classes;
        enum grant_refusal refusal = approval_may_ask(m->office->policy, &ask, &rule);
        if (refusal == REFUSAL_NONE)
            return REFUSAL_NONE;
        if (first == REFUSAL_NONE || first == REFUSAL_NO_RULE)
            first = refusal;
    }
    return first != REFUSAL_NONE ? first : REFUSAL_NO_RULE;
}

static bool has_finder(const struct matter *m)
{
    const struct policy_grants *g = m->office->policy->grants;
    for (size_t i = 0; i < g->finder_count; i++)
        if (strcmp(g->finders[i].by, m->command.by) == 0)
            return true;
    return false;
}

/* Found or not, the same is done and said. */
static int record_find(struct matter *m, const PGresult *r)
{
    char ref[RECORD_REF_SIZE];
    struct record record = matter_record(m, RECORD_FIND);
    const char *key = database_value(r, 0, 1);
    struct buf revealed;
    buf_init(&revealed, 4 * TAG_SUBJECT_MAX); /* every byte of a key may be escaped */
    if (revealed_put(&revealed, key, strlen(key), "find") < 0 || buf_append(&revealed, "", 1) < 0) {
        buf_wipe_done(&revealed);
        return matter_refuse(m, 503, "memory", "there is no memory for this at the moment");
    }
    record.purpose = m->command.purpose;
    record.revealed = key[0] != '\0' ? (const char *)buf_at(&revealed) : "";
    record.subjects = key[0] != '\0';
    record.text = m->text;
    record.signature = m->signature;
    int rc = matter_say(m, &record, ref);
    buf_wipe_done(&revealed);
    return rc;
}

static bool found_honey(const struct matter *m, const PGresult *r)
{
    const char *key = database_value(r, 0, 1);
    return key[0] != '\0' && approval_is_honey(m->office->policy, m->region, key);
}

static int verb_find(struct matter *m)
{
    const struct policy_grants *g = m->office->policy->grants;
    const struct command *c = &m->command;
    char per_day[NUMBER_SIZE];
    const char *const values[] = { c->actor, c->by, c->value, per_day };
    PGresult *r;
    enum grant_refusal refusal = may_find(m);
    if (refusal != REFUSAL_NONE)
        return matter_deny(m, refusal);
    if (!has_finder(m))
        return matter_refuse(m, 404, "find-by", "the policy lets nobody be found by this");
    number_text(per_day, g->finds_per_day);
    int rc = use_nonce(m);
    if (rc == 0)
        rc = matter_query(m,
                          "SELECT handle, key FROM ringfence.find_subject($1, $2, $3, $4::integer)",
                          4, values, &r);
    if (rc < 0)
        return rc;
    rc = record_find(m, r);
    if (rc == 0) {
        m->status = 200;
        m->answer = json_pack("{s:s}", "handle", database_value(r, 0, 0));
        if (found_honey(m, r))
            suspend_actor(m, "honey");
    }
    PQclear(r);
    return rc;
}

/* ---- grants --------------------------------------------------------------------------------- */

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

/* Those of ROWS that he may see. */
static json_t *describe_all(struct matter *m, const PGresult *rows)
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
            if (as != NULL)
                (void)json_array_append_new(list, describe(m, &f, as));
        }
        proof_done(&f.proof);
    }
    mem_free(f.judged);
    return list;
}

static int verb_grants(struct matter *m)
{
    static const char sql[] =
        PROOF_SQL "(SELECT coalesce(array_agg(l.request), '{}') FROM (SELECT request FROM"
                  " (SELECT request, row_number() OVER (PARTITION BY requester ORDER BY"
                  " request DESC) AS n FROM ringfence.request_list($1, true, $2::bigint)) o"
                  " ORDER BY n, request DESC LIMIT 200) l))"; /* nobody hides those of others */
    char number[NUMBER_SIZE];
    const char *const values[] = { m->command.actor, m->command.request != 0 ? number : NULL };
    PGresult *r;
    number_text(number, (int64_t)m->command.request);
    int rc = use_nonce(m);
    if (rc == 0)
        rc = matter_query(m, sql, 2, values, &r);
    if (rc < 0)
        return rc;
    json_t *list = describe_all(m, r);
    PQclear(r);
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
    return 0;
}

/* ---- review --------------------------------------------------------------------------------- */

static int add_review(struct matter *m, const struct file *f)
{
    const struct command *c = &m->command;
    char number[NUMBER_SIZE], ref[RECORD_REF_SIZE];
    PGresult *r;
    number_text(number, (int64_t)c->request);
    struct record record = matter_record(m, RECORD_REVIEW);
    record.grant = c->request;
    record.request_ref = f->proof.evidence.asked.leaf;
    record.verdict = c->verdict;
    record.text = m->text;
    record.signature = m->signature;
    const char *const values[] = { number, c->actor, truth(strcmp(c->verdict, "proper") == 0),
                                   m->text, m->signature };
    int rc = use_nonce(m); /* first: what comes twice is not to be on record twice */
    if (rc == 0)
        rc = matter_say(m, &record, ref);
    if (rc == 0)
        rc = matter_query(m, "SELECT ringfence.review_add($1::bigint, $2, $3::boolean, $4, $5)",
                          RF_COUNT(values), values, &r);
    if (rc < 0)
        return rc;
    PQclear(r);
    return answer_state(m, c->request, f->proof.state);
}

static int verb_review(struct matter *m)
{
    struct file f;
    const struct grant_vote vote = { .actor = m->actor,
                                     .is_from_home = m->where.at_home,
                                     .at_ms = clock_wall_ms() };
    int rc = open_file(m, &f);
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

/* ---- the table ------------------------------------------------------------------------------ */

/* Whoever is suspended gives no command at all, not even one that would take something from him. */
static int check_suspended(struct matter *m)
{
    struct err err = { 0 };
    enum command_verb verb = m->command.verb;
    if (suspensions_read(&m->suspensions, m->line, &err) < 0)
        return matter_fail(m, &err);
    m->is_suspended = suspensions_has(&m->suspensions, m->command.actor);
    if (!m->is_suspended)
        return 0;
    return matter_deny(m, verb == COMMAND_APPROVE || verb == COMMAND_DENY ||
                                  verb == COMMAND_REVIEW || verb == COMMAND_LIFT
                              ? REFUSAL_APPROVER_SUSPENDED
                              : REFUSAL_REQUESTER_SUSPENDED);
}

void verb_answer(struct matter *m)
{
    static int (*const verbs[COMMAND_VERB_COUNT])(struct matter * m) = {
        [COMMAND_FIND] = verb_find,           [COMMAND_REQUEST] = verb_request,
        [COMMAND_BREAK_GLASS] = verb_request, [COMMAND_APPROVE] = verb_vote,
        [COMMAND_DENY] = verb_vote,           [COMMAND_REVOKE] = verb_revoke,
        [COMMAND_REVIEW] = verb_review,       [COMMAND_GRANTS] = verb_grants,
        [COMMAND_LIFT] = verb_lift,
    };
    if (m->office->policy->grants->opened_by != GRANTS_BY_SIGNATURES) {
        (void)matter_refuse(m, 403, "opened-by-administrator",
                            "the policy lets an administrator open grants, not signatures");
        return;
    }
    if (check_suspended(m) < 0)
        return;
    if (verbs[m->command.verb] == NULL || verbs[m->command.verb](m) < 0)
        RF_ASSERT(m->status >= 400 || m->answer == NULL);
}
