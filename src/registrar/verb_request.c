/* `request` and `break-glass`. */
#include "registrar/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "enforce/database.h"
#include "ledger/revealed.h"
#include "registrar/day.h"
#include "registrar/tell.h"

static bool touches_honey(const struct matter *m, const struct named *named)
{
    bool touches = false;
    for (size_t i = 0; i < json_array_size(named->keys); i++) {
        const char *key = json_string_value(json_array_get(named->keys, i));
        touches = touches || (key != NULL && approval_is_honey(m->office->policy, m->region, key));
    }
    return touches;
}

int verb_refuse_nobody(struct matter *m)
{
    return matter_refuse(m, 404, "subject-unknown", "a person who is named does not exist");
}

int verb_check_names(struct matter *m, struct named *named)
{
    const struct command *c = &m->command;
    for (size_t i = 0; i < c->subject_count; i++) {
        const char *key = json_string_value(json_array_get(named->keys, i));
        if (key == NULL)
            return verb_refuse_nobody(m);
        if (strncmp(c->subjects[i], "h-", 2) != 0 && strcmp(c->subjects[i], key) != 0)
            return matter_refuse(m, 400, "subject-form",
                                 "a key is not written as the database has it");
        named->sensitive += approval_is_sensitive(m->office->policy, m->region, key);
        named->unbound += !approval_is_bound(m->office->policy, m->region, c->purpose, key);
    }
    return 0;
}

void named_done(struct named *named)
{
    mem_free(named->subjects);
    json_decref(named->keys);
    json_decref(named->lacking);
}

int verb_look_up(struct matter *m, struct named *named, bool *ret_nobody)
{
    const struct command *c = &m->command;
    *named = (struct named){ .subjects = matter_array(c->subjects, c->subject_count) };
    if (named->subjects == NULL)
        return verb_no_memory(m);
    const char *const values[] = { c->actor, named->subjects };
    PGresult *r;
    int rc = matter_query(m,
                          "SELECT to_json(keys), missing, minors,"
                          " ringfence.consent_lacking(keys)"
                          " FROM ringfence.request_facts($1, $2::text[])",
                          2, values, &r);
    if (rc < 0)
        return rc;
    named->minors = (size_t)strtoull(database_value(r, 0, 2), NULL, 10);
    named->keys = json_loads(database_value(r, 0, 0), JSON_DECODE_ANY, NULL);
    bool is_honey = touches_honey(m, named);
    if (is_honey)
        alert_honey(m);
    *ret_nobody = is_honey || strcmp(database_value(r, 0, 1), "0") != 0;
    rc = proof_read_consents(database_value(r, 0, 3), &named->lacking, named->consented,
                             &named->consented_count);
    PQclear(r);
    return rc < 0 ? verb_no_memory(m) : 0;
}

/* At the opening it is counted again; now it spares approvers what could not open. */
static int check_day(struct matter *m, const struct named *named)
{
    const char *keys[COMMAND_LIST_MAX];
    struct err err = { 0 };
    bool has_room;
    size_t count = json_array_size(named->keys);
    for (size_t i = 0; i < count && i < COMMAND_LIST_MAX; i++)
        keys[i] = json_string_value(json_array_get(named->keys, i));
    if (day_has_room(m->office->policy->grants, m->line, m->command.actor, keys, count, &has_room,
                     &err) < 0)
        return matter_fail(m, &err);
    return has_room ? 0 : matter_deny(m, REFUSAL_SUBJECTS_PER_DAY);
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

/* The database counts broken glass that is not reviewed: two at once are not both the last. */
static bool is_unreviewed(const struct err *err)
{
    return strcmp(err_state_of(err), "53400") == 0 &&
           strcmp(err->detail, "break_glass_unreviewed") == 0;
}

static int add_request(struct matter *m, const struct named *named,
                       const struct policy_grant_rule *rule, uint64_t *ret)
{
    const struct command *c = &m->command;
    char seconds[NUMBER_SIZE], unreviewed_max[NUMBER_SIZE];
    struct err err = { 0 };
    char *classes = matter_array(c->classes, c->class_count);
    PGresult *r;
    if (classes == NULL)
        return verb_no_memory(m);
    verb_number(seconds, c->seconds);
    verb_number(unreviewed_max, m->office->policy->grants->glass_open_at_most);
    const char *const values[] = { c->actor,
                                   rule->name,
                                   c->purpose,
                                   classes,
                                   named->subjects,
                                   seconds,
                                   verb_truth(c->verb == COMMAND_BREAK_GLASS),
                                   verb_truth(m->where.at_home),
                                   m->text,
                                   m->signature,
                                   m->office->config->name,
                                   unreviewed_max };
    int rc = line_ask(m->line,
                      "SELECT id FROM ringfence.request_add($1, $2, $3, $4::text[], $5::text[],"
                      " $6::bigint, $7::boolean, $8::boolean, $9, $10, $11, $12::bigint)",
                      RF_COUNT(values), values, &r, &err);
    mem_free(classes);
    if (rc < 0)
        return is_unreviewed(&err) ? matter_deny(m, REFUSAL_REVIEW_MISSING) : matter_fail(m, &err);
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
    verb_classes(c, classes);
    buf_init(&revealed, RECORD_MAX);
    if (put_named(named, classes, &revealed) < 0) {
        buf_wipe_done(&revealed);
        return verb_no_memory(m);
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

static int tell_asked(struct matter *m, const struct grant_ask *ask,
                      const struct policy_grant_rule *rule, uint64_t id)
{
    const struct tell tell = { .policy = m->office->policy,
                               .ask = ask,
                               .rule = rule,
                               .suspended = m->suspensions.names,
                               .suspended_count = m->suspensions.count };
    struct err err = { 0 };
    return tell_request(&tell, m->line, id, &err) < 0 ? matter_fail(m, &err) : 0;
}

/* How many have not given which consent, and not who. */
static json_t *describe_lacking(const struct named *named)
{
    json_t *all = json_object(), *from = named->lacking;
    for (void *at = json_object_iter(from); at != NULL; at = json_object_iter_next(from, at)) {
        const char *name = json_object_iter_key(at);
        char purpose[COMMAND_VALUE_MAX];
        (void)snprintf(purpose, sizeof(purpose), "%.*s", (int)strcspn(name, " "), name);
        if (json_integer_value(json_object_iter_value(at)) > 0)
            (void)json_object_set(all, purpose, json_object_iter_value(at));
    }
    return all;
}

static int deny_for_consent(struct matter *m, const struct named *named)
{
    int rc = matter_deny(m, REFUSAL_CONSENT_MISSING);
    (void)json_object_set_new(json_object_get(m->answer, "error"), "lacking",
                              describe_lacking(named));
    return rc;
}

static int ask_for(struct matter *m, const struct named *named)
{
    const struct policy_grant_rule *rule = NULL;
    const struct grant_ask ask = verb_ask(m, named);
    char ref[RECORD_REF_SIZE];
    uint64_t id = 0;
    enum grant_refusal refusal = approval_may_ask(m->office->policy, &ask, &rule);
    if (refusal == REFUSAL_CONSENT_MISSING)
        return deny_for_consent(m, named);
    if (refusal != REFUSAL_NONE)
        return matter_deny(m, refusal);
    int rc = ask.is_break_glass ? check_reviews(m) : 0;
    if (rc == 0)
        rc = check_day(m, named);
    if (rc == 0)
        rc = add_request(m, named, rule, &id);
    if (rc == 0)
        rc = tell_asked(m, &ask, rule, id); /* before the step of which it is told */
    if (rc == 0)
        rc = record_request(m, named, rule, id, ref);
    if (rc == 0)
        rc = alert_look(m, "request", named->keys, id);
    if (rc == 0)
        rc = verb_move(m, id, ask.is_break_glass ? "break" : "logged", ref);
    if (rc < 0)
        return rc;
    return ask.is_break_glass ? verb_open_now(m, id, NULL) : verb_state(m, id, "waiting");
}

/* Whoever may not ask, whoever is named, does not learn who there is, who is a child or sensitive:
   his refusal goes before all that is found out. */
static enum grant_refusal judge_asker(const struct matter *m)
{
    const struct named nobody = { 0 };
    const struct grant_ask ask = verb_ask(m, &nobody);
    return verb_judge_asker(m, &ask);
}

int verb_request(struct matter *m)
{
    struct named named = { 0 };
    bool is_nobody = false;
    enum grant_refusal refusal = judge_asker(m);
    int rc = verb_look_up(m, &named, &is_nobody);
    if (rc == 0 && refusal != REFUSAL_NONE)
        rc = matter_deny(m, refusal);
    else if (rc == 0 && is_nobody)
        rc = verb_refuse_nobody(m);
    if (rc == 0)
        rc = verb_check_names(m, &named);
    if (rc == 0)
        rc = ask_for(m, &named);
    named_done(&named);
    return rc;
}
