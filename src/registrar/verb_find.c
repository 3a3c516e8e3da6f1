/* `find`: the same is done and said whether there is somebody or not. */
#include "registrar/verb.h"

#include <string.h>

#include "enforce/database.h"
#include "ledger/revealed.h"

/* Whoever could ask for somebody for this purpose may look for him. */
static enum grant_refusal may_find(const struct matter *m)
{
    const struct policy_grants *g = m->office->policy->grants;
    enum grant_refusal first = REFUSAL_NONE;
    for (size_t i = 0; i < g->rule_count; i++) {
        struct named nobody = { 0 };
        struct grant_ask ask = verb_ask(m, &nobody);
        ask.subject_count = 1;
        ask.seconds = 60;
        ask.classes = g->rules[i].classes;
        enum grant_refusal refusal = verb_judge_asker(m, &ask);
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

static int look(struct matter *m, const PGresult *r)
{
    const char *key = database_value(r, 0, 1);
    json_t *keys = json_array();
    if (key[0] != '\0')
        (void)json_array_append_new(keys, json_string(key));
    int rc = alert_look(m, "find", keys, 0);
    json_decref(keys);
    return rc;
}

static bool found_honey(const struct matter *m, const PGresult *r)
{
    const char *key = database_value(r, 0, 1);
    return key[0] != '\0' && approval_is_honey(m->office->policy, m->region, key);
}

int verb_find(struct matter *m)
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
    verb_number(per_day, g->finds_per_day);
    int rc =
        matter_query(m, "SELECT handle, key FROM ringfence.find_subject($1, $2, $3, $4::integer)",
                     4, values, &r);
    if (rc < 0)
        return rc;
    rc = record_find(m, r);
    if (rc == 0)
        rc = look(m, r);
    if (rc == 0) {
        m->status = 200;
        m->answer = json_pack("{s:s}", "handle", database_value(r, 0, 0));
        if (found_honey(m, r))
            alert_honey(m);
    }
    PQclear(r);
    return rc;
}
