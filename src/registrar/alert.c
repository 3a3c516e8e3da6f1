#include "registrar/alert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "enforce/database.h"
#include "policy/alerts.h"
#include "registrar/verb.h"

enum {
    NEWS_MS = 1000,   /* for a piece of news; commands wait meanwhile */
    NEWS_A_TURN = 50, /* so many, then commands */
    KEYS_MAX = COMMAND_LIST_MAX,
    DAY_MS = 24 * 60 * 60 * 1000,
};

/* The columns of alert_act(), and of alert_list(). */
enum { AT_RULE, AT_SUSPENDS, AT_NEW };
enum { LIST_ID, LIST_RULE, LIST_ACTOR, LIST_SINCE, LIST_REQUEST, LIST_TIMES, LIST_OPEN };

#define LIST_SQL                                                                           \
    "SELECT id, rule, actor, floor(extract(epoch FROM at))::bigint, coalesce(request, 0)," \
    " times, is_open FROM ringfence.alert_list($1::bigint)"

/* ---- raising -------------------------------------------------------------------------------- */

/* Something that was done. */
struct deed {
    const char *event;
    const json_t *keys; /* NULL: nobody's */
    uint64_t request, rows;
};

/* On record, once: where the database then fails, the next try finds it said. */
static int say_alert(struct matter *m, const struct deed *d, const char *rule, struct err *err)
{
    struct alert_said *said = &m->office->said;
    int64_t today = clock_wall_ms() / DAY_MS;
    if (said->day == today && said->request == d->request && strcmp(said->rule, rule) == 0 &&
        strcmp(said->actor, m->actor->name) == 0 && strcmp(said->region, m->region->name) == 0)
        return 0;
    struct record record = matter_record(m, RECORD_ALERT);
    record.rule = rule;
    record.grant = d->request;
    record.detail = d->event;
    *said = (struct alert_said){ .request = d->request };
    int rc = voice_say(m->office->voice, &record, OFFICE_LEDGER_MS, said->ref, err);
    if (rc < 0)
        return rc;
    (void)snprintf(said->region, sizeof(said->region), "%s", m->region->name);
    (void)snprintf(said->actor, sizeof(said->actor), "%s", m->actor->name);
    (void)snprintf(said->rule, sizeof(said->rule), "%s", rule);
    said->day = today;
    return 0;
}

/* On record before anything else happens; it names no person but the one who did it. */
static int raise_alert(struct matter *m, const struct deed *d, const char *rule, struct err *err)
{
    char number[NUMBER_SIZE];
    const char *const values[] = { rule, m->actor->name, d->request != 0 ? number : NULL,
                                   m->office->said.ref };
    PGresult *r = NULL;
    verb_number(number, (int64_t)d->request);
    int rc = say_alert(m, d, rule, err);
    if (rc == 0)
        rc = line_ask(m->line, "SELECT ringfence.alert_add($1, $2, $3::bigint, $4)",
                      RF_COUNT(values), values, &r, err);
    if (rc < 0)
        return rc;
    m->office->said.day = 0;
    log_warn("alert-raised", "region=%s rule=%s", m->region->name, rule);
    PQclear(r);
    return 0;
}

/* {"8","9"}: those who exist. */
static char *keys_of(const json_t *keys)
{
    const char *texts[KEYS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(keys) && count < KEYS_MAX; i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        if (key != NULL)
            texts[count++] = key;
    }
    return matter_array(texts, count);
}

static int judge(struct matter *m, const struct deed *d, PGresult **ret, struct err *err)
{
    const struct policy_actor *a = m->actor;
    char rows[NUMBER_SIZE];
    char *keys = keys_of(d->keys);
    if (keys == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for alerts");
    const char *const values[] = { d->event,
                                   a->name,
                                   a->entity != NULL ? a->entity->name : "",
                                   a->department != NULL ? a->department : "",
                                   a->place.code,
                                   m->where.place.code,
                                   keys,
                                   rows };
    verb_number(rows, (int64_t)d->rows);
    int rc = line_ask(m->line,
                      "SELECT rule, suspends, is_new FROM ringfence.alert_act($1, $2, $3, $4, $5,"
                      " $6, $7::text[], $8::bigint)",
                      RF_COUNT(values), values, ret, err);
    mem_free(keys);
    return rc;
}

/* What follows from JUDGED. Whoever is to be suspended is so also when his alert cannot come on
   record. */
static int follow(struct matter *m, const struct deed *d, const PGresult *judged, struct err *err)
{
    int rc = 0;
    for (int row = 0; row < PQntuples(judged); row++) {
        const char *rule = database_value(judged, row, AT_RULE);
        struct err why = { 0 };
        int raised = database_true(judged, row, AT_NEW) ? raise_alert(m, d, rule, &why) : 0;
        if (database_true(judged, row, AT_SUSPENDS))
            suspend_actor(m, rule);
        if (raised < 0 && rc == 0) {
            *err = why;
            rc = raised;
        }
    }
    return rc;
}

static int act(struct matter *m, const struct deed *d, struct err *err)
{
    PGresult *judged = NULL;
    int rc = judge(m, d, &judged, err);
    if (rc == 0)
        rc = follow(m, d, judged, err);
    PQclear(judged);
    return rc;
}

int alert_look(struct matter *m, const char *event, const json_t *keys, uint64_t request)
{
    const struct deed d = { .event = event, .keys = keys, .request = request };
    struct err err = { 0 };
    if (act(m, &d, &err) == 0)
        return 0;
    log_err(LOG_LEVEL_ERROR, "alerts-not-judged", &err);
    return matter_refuse(m, 503, "alerts",
                         "the rules about alerts could not be asked, so this counts for nothing: "
                         "try again");
}

static void act_anyway(struct matter *m, const char *event)
{
    const struct deed d = { .event = event };
    struct err err = { 0 };
    if (act(m, &d, &err) < 0)
        log_err(LOG_LEVEL_ERROR, "alerts-not-judged", &err);
}

void alert_refusal(struct matter *m)
{
    act_anyway(m, "refusal");
}

void alert_honey(struct matter *m)
{
    act_anyway(m, alerts_name(ALERT_HONEY));
    suspend_actor(m, alerts_name(ALERT_HONEY));
}

/* ---- what workers say ----------------------------------------------------------------------- */

/* The parts of a command that there are without one. False: it is of nobody and nowhere here. */
static bool matter_of_news(struct office *o, const struct record_news *news, struct matter *m)
{
    const struct config *c = o->config;
    memset(m, 0, sizeof(*m));
    m->office = o;
    m->region = policy_region_find(o->policy, news->region);
    m->actor = policy_actor_find(o->policy, news->actor);
    (void)memcpy(m->where.place.code, news->place, strlen(news->place) == 2 ? 3 : 0);
    for (size_t i = 0; m->line == NULL && i < c->database_count && i < OFFICE_REGIONS_MAX; i++)
        if (strcmp(c->databases[i].region, news->region) == 0) {
            m->line = &o->lines[i];
            m->line->database = &c->databases[i];
        }
    return m->region != NULL && m->actor != NULL && m->actor->kind == ACTOR_PERSON &&
           m->line != NULL && m->line->database->primary_count > 0;
}

/* Rows that are judged are counted for good: the piece is taken whatever comes of the alert, whose
   rule the next rows meet again. A forgery adds to no sum and is heard again until its alert is on
   record. */
static int act_on_news(struct matter *m, const struct deed *d, bool is_counted, struct err *err)
{
    PGresult *judged = NULL;
    int rc = judge(m, d, &judged, err);
    if (rc == 0 && is_counted)
        voice_news_taken(m->office->voice);
    if (rc == 0)
        rc = follow(m, d, judged, err);
    PQclear(judged);
    return rc;
}

/* AWAY: a bit for each line that has failed in this turn. It is not tried again: each try may keep
   commands waiting for as long as a line waits. */
static int work_in(struct office *o, const struct record_news *news, uint64_t *away,
                   struct err *err)
{
    static struct matter m; /* large, and there is one registrar */
    const struct deed d = { .event = news->kind == RECORD_NEWS_ROWS ? "rows" : "forged",
                            .rows = news->kind == RECORD_NEWS_ROWS ? news->count : 0 };
    if (!matter_of_news(o, news, &m)) {
        log_warn("news-of-nobody", "reason=\"workers speak of somebody whom the policy has not\"");
        voice_news_taken(o->voice);
        return 0;
    }
    uint64_t bit = UINT64_C(1) << (m.line - o->lines);
    if ((*away & bit) != 0)
        return -RF_EUNAVAIL;
    int rc = line_ready(m.line, err);
    if (rc == 0)
        rc = suspensions_read(&m.suspensions, m.line, err);
    if (rc == 0) {
        m.is_suspended = suspensions_names(&m.suspensions, m.actor->name);
        rc = act_on_news(&m, &d, news->kind == RECORD_NEWS_ROWS, err);
    }
    suspensions_done(&m.suspensions);
    if (rc < 0)
        *away |= bit;
    else
        voice_news_taken(o->voice);
    return rc;
}

/* A piece that could not be worked in is given again, after those of others. */
void alert_hear(struct office *o)
{
    struct record_news news;
    struct err err = { 0 };
    uint64_t away = 0;
    int rc = 1;
    for (int i = 0; rc == 1 && i < NEWS_A_TURN; i++) {
        rc = voice_news(o->voice, NEWS_MS, &news, &err);
        if (rc == 1)
            (void)work_in(o, &news, &away, &err); /* AWAY has it */
    }
    bool is_deaf = rc < 0 || away != 0;
    if (is_deaf && !o->is_deaf) /* once, and not each second */
        log_err(LOG_LEVEL_WARN, "news-not-heard", &err);
    o->is_deaf = is_deaf;
}

/* ---- reviewing ------------------------------------------------------------------------------ */

/* Whoever may help to lift his suspension may say what is to be thought of him, too. Of somebody
   whom the policy has no more, nobody is above or below. */
static enum grant_refusal may_review(const struct matter *m, const char *actor)
{
    static const struct policy_actor leaver = { .kind = ACTOR_PERSON };
    const struct policy_actor *known = policy_actor_find(m->office->policy, actor);
    const struct grant_vote vote = { .actor = m->actor,
                                     .is_from_home = m->where.at_home,
                                     .is_suspended = m->is_suspended,
                                     .is_approval = true,
                                     .at_ms = clock_wall_ms() };
    return approval_may_lift(m->region, known != NULL ? known : &leaver, &vote);
}

static json_t *describe(const PGresult *r, int row)
{
    json_int_t request = strtoll(database_value(r, row, LIST_REQUEST), NULL, 10);
    json_t *one =
        json_pack("{s:I,s:s,s:s,s:I,s:I}", "alert",
                  (json_int_t)strtoll(database_value(r, row, LIST_ID), NULL, 10), "rule",
                  database_value(r, row, LIST_RULE), "person", database_value(r, row, LIST_ACTOR),
                  "since", (json_int_t)strtoll(database_value(r, row, LIST_SINCE), NULL, 10),
                  "times", (json_int_t)strtoll(database_value(r, row, LIST_TIMES), NULL, 10));
    if (request > 0)
        (void)json_object_set_new(one, "request", json_integer(request));
    return one;
}

json_t *alerts_describe(struct matter *m)
{
    const char *const values[] = { NULL };
    json_t *list = json_array();
    struct err err = { 0 };
    PGresult *r = NULL;
    if (line_ask(m->line, LIST_SQL, 1, values, &r, &err) < 0) {
        log_err(LOG_LEVEL_WARN, "alerts-not-listed", &err);
        return list;
    }
    for (int row = 0; row < PQntuples(r); row++)
        if (may_review(m, database_value(r, row, LIST_ACTOR)) == REFUSAL_NONE)
            (void)json_array_append_new(list, describe(r, row));
    PQclear(r);
    return list;
}

/* May he review the alert of ROW? */
static int check_review(struct matter *m, const PGresult *r)
{
    if (PQntuples(r) == 0)
        return matter_refuse(m, 404, "not-found", "there is no such alert in this region");
    enum grant_refusal refusal = may_review(m, database_value(r, 0, LIST_ACTOR));
    if (refusal != REFUSAL_NONE)
        return matter_deny(m, refusal);
    return database_true(r, 0, LIST_OPEN)
               ? 0
               : matter_refuse(m, 409, "state", "this alert was reviewed before");
}

static int add_review(struct matter *m, const PGresult *of, const char *number)
{
    const struct command *c = &m->command;
    char ref[RECORD_REF_SIZE];
    PGresult *r = NULL;
    struct record record = matter_record(m, RECORD_ALERT_REVIEW);
    record.rule = database_value(of, 0, LIST_RULE);
    record.verdict = c->verdict;
    record.detail = database_value(of, 0, LIST_ACTOR);
    record.text = m->text;
    record.signature = m->signature;
    int rc = matter_say(m, &record, ref);
    const char *const values[] = {
        number, c->actor, verb_truth(strcmp(c->verdict, "proper") == 0), m->text, m->signature, ref
    };
    if (rc == 0)
        rc = matter_query(m,
                          "SELECT ringfence.alert_review($1::bigint, $2, $3::boolean, $4, $5, $6)",
                          RF_COUNT(values), values, &r);
    if (rc < 0)
        return rc;
    PQclear(r);
    m->status = 200;
    m->answer = json_pack("{s:I,s:s}", "alert", (json_int_t)c->alert, "verdict", c->verdict);
    return 0;
}

int verb_review_alert(struct matter *m)
{
    char number[NUMBER_SIZE];
    const char *const values[] = { number };
    PGresult *r = NULL;
    verb_number(number, (int64_t)m->command.alert);
    int rc = matter_query(m, LIST_SQL, 1, values, &r);
    if (rc == 0)
        rc = check_review(m, r);
    if (rc == 0)
        rc = add_review(m, r, number);
    PQclear(r);
    return rc;
}
