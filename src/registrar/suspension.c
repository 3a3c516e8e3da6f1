#include "registrar/suspension.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "enforce/database.h"
#include "policy/alerts.h"
#include "priv/grant_table.h"
#include "registrar/office.h"

/* `grants` describes so many: its answer has an end, and whoever is lifted makes room. */
enum { DESCRIBED_MAX = 200 };

/* The columns of `rows`. */
enum { AT_ACTOR, AT_SINCE, AT_REASON, AT_VOTERS };

/* ---- who it is ------------------------------------------------------------------------------ */

int suspensions_read(struct suspensions *s, struct line *line, struct err *err)
{
    static const char sql[] = "SELECT actor, floor(extract(epoch FROM since))::bigint, reason,"
                              " to_json(voters) FROM ringfence.suspensions()";
    *s = (struct suspensions){ .rows = NULL };
    int rc = line_ask(line, sql, 0, NULL, &s->rows, err);
    if (rc < 0)
        return rc;
    size_t count = (size_t)PQntuples(s->rows);
    if ((s->names = mem_zalloc(count + 1, sizeof(*s->names))) == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for who is suspended");
    for (size_t i = 0; i < count; i++)
        s->names[i] = database_value(s->rows, (int)i, AT_ACTOR);
    s->count = count;
    return 0;
}

void suspensions_done(struct suspensions *s)
{
    mem_free(s->names);
    PQclear(s->rows);
    *s = (struct suspensions){ .rows = NULL };
}

static int row_of(const struct suspensions *s, const char *actor)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->names[i], actor) == 0)
            return (int)i;
    return -1;
}

bool suspensions_names(const struct suspensions *s, const char *actor)
{
    return row_of(s, actor) >= 0;
}

bool suspensions_are_all(const struct suspensions *s)
{
    return s->count > GRANT_SUSPENDED_MAX;
}

/* ---- suspending ----------------------------------------------------------------------------- */

static int suspend(struct matter *m, const char *reason, struct err *err)
{
    char ref[RECORD_REF_SIZE];
    const char *const values[] = { m->actor->name, reason, ref };
    PGresult *r;
    struct record record = matter_record(m, RECORD_SUSPENSION);
    record.rule = reason;
    record.detail = command_verb_name(m->command.verb);
    record.text = m->text;
    record.signature = m->signature;
    int rc = voice_say(m->office->voice, &record, OFFICE_LEDGER_MS, ref, err);
    if (rc == 0)
        rc = line_ask(m->line, "SELECT ringfence.suspend($1, $2, $3)", 3, values, &r, err);
    if (rc == 0)
        PQclear(r);
    return rc;
}

void suspend_actor(struct matter *m, const char *reason)
{
    struct err err = { 0 };
    if (m->is_suspended)
        return;
    if (suspend(m, reason, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "not-suspended", &err);
        return;
    }
    m->is_suspended = true;
    log_warn("actor-suspended", "region=%s reason=%s", m->region->name, reason);
}

void suspension_count(struct matter *m)
{
    int64_t most = m->office->policy->grants->denials_per_day;
    const char *const values[] = { m->command.actor };
    struct err err = { 0 };
    PGresult *r;
    bool is_alert = alerts_has(m->office->policy->alerts, ALERT_DENIED);
    if ((most == 0 && !is_alert) || m->is_suspended)
        return;
    if (line_ask(m->line, "SELECT ringfence.refusal_add($1)", 1, values, &r, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "refusal-not-counted", &err);
        return;
    }
    int64_t count = strtoll(database_value(r, 0, 0), NULL, 10);
    PQclear(r);
    alert_refusal(m);
    if (most > 0 && count >= most)
        suspend_actor(m, "denials");
}

/* ---- lifting -------------------------------------------------------------------------------- */

static struct grant_vote vote_of(const struct matter *m)
{
    return (struct grant_vote){ .actor = m->actor,
                                .is_from_home = m->where.at_home,
                                .is_suspended = m->is_suspended,
                                .is_approval = true,
                                .at_ms = clock_wall_ms() };
}

static bool has_voted(const struct matter *m, int row)
{
    json_t *voters = json_loads(database_value(m->suspensions.rows, row, AT_VOTERS), 0, NULL);
    bool has = voters == NULL; /* nobody can tell */
    for (size_t i = 0; i < json_array_size(voters); i++) {
        const char *voter = json_string_value(json_array_get(voters, i));
        has = has || voter == NULL || strcmp(voter, m->command.actor) == 0;
    }
    json_decref(voters);
    return has;
}

static int check_lift(struct matter *m)
{
    const struct policy_actor *actor = policy_actor_find(m->office->policy, m->command.person);
    const struct grant_vote vote = vote_of(m);
    int row = row_of(&m->suspensions, m->command.person);
    if (actor == NULL)
        return matter_refuse(m, 404, "person-unknown", "the policy knows nobody of this name");
    enum grant_refusal refusal = approval_may_lift(m->region, actor, &vote);
    if (refusal != REFUSAL_NONE)
        return matter_deny(m, refusal);
    if (row < 0)
        return matter_refuse(m, 409, "not-suspended", "this person is not suspended here");
    return has_voted(m, row) ? matter_deny(m, REFUSAL_APPROVER_TWICE) : 0;
}

static int add_lift(struct matter *m, const char *ref)
{
    const struct command *c = &m->command;
    PGresult *r;
    const char *const values[] = { c->person, c->actor, m->text, m->signature, ref };
    int rc = matter_query(m, "SELECT ringfence.lift_add($1, $2, $3, $4, $5)", RF_COUNT(values),
                          values, &r);
    if (rc < 0)
        return rc;
    json_int_t votes = strtoll(database_value(r, 0, 0), NULL, 10);
    PQclear(r);
    m->status = 200;
    m->answer = json_pack("{s:s,s:s,s:I}", "person", c->person, "state",
                          votes >= APPROVAL_LIFT_VOTES ? "lifted" : "suspended", "votes", votes);
    return 0;
}

int verb_lift(struct matter *m)
{
    char ref[RECORD_REF_SIZE];
    int rc = check_lift(m);
    if (rc < 0)
        return rc;
    struct record record = matter_record(m, RECORD_LIFTING);
    record.detail = m->command.person;
    record.text = m->text;
    record.signature = m->signature;
    rc = matter_say(m, &record, ref);
    return rc < 0 ? rc : add_lift(m, ref);
}

json_t *suspensions_describe(const struct matter *m)
{
    const struct grant_vote vote = vote_of(m);
    const PGresult *rows = m->suspensions.rows;
    json_t *list = json_array();
    for (size_t i = 0; i < m->suspensions.count && json_array_size(list) < DESCRIBED_MAX; i++) {
        const char *name = m->suspensions.names[i];
        if (approval_may_lift(m->region, policy_actor_find(m->office->policy, name), &vote) !=
            REFUSAL_NONE)
            continue;
        json_t *voters = json_loads(database_value(rows, (int)i, AT_VOTERS), 0, NULL);
        json_int_t since = strtoll(database_value(rows, (int)i, AT_SINCE), NULL, 10);
        (void)json_array_append_new(list,
                                    json_pack("{s:s,s:I,s:s,s:I}", "person", name, "since", since,
                                              "reason", database_value(rows, (int)i, AT_REASON),
                                              "votes", (json_int_t)json_array_size(voters)));
        json_decref(voters);
    }
    return list;
}
