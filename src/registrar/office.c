#include "registrar/office.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "enforce/database.h"
#include "policy/consents.h"
#include "registrar/verb.h"

enum { SLACK_S = 30 }; /* between the clocks of a client and ours */

/* ---- answers -------------------------------------------------------------------------------- */

static void answer_error(struct matter *m, unsigned status, const char *rule, const char *message)
{
    json_decref(m->answer);
    m->status = status;
    m->answer = json_pack("{s:{s:s,s:s}}", "error", "rule", rule, "message", message);
}

struct record matter_record(const struct matter *m, enum record_kind kind)
{
    return (struct record){ .kind = kind,
                            .wall_ms = clock_wall_ms(),
                            .region = m->region->name,
                            .entity = m->actor->entity != NULL ? m->actor->entity->name : NULL,
                            .place = m->where.place.code,
                            .actor_kind = "person",
                            .actor = m->actor->name,
                            .client = m->client,
                            .database = m->line->database->alias };
}

int matter_say(struct matter *m, const struct record *record, char ref[RECORD_REF_SIZE])
{
    struct err err = { 0 };
    int rc = voice_say(m->office->voice, record, OFFICE_LEDGER_MS, ref, &err);
    if (rc == 0)
        return 0;
    log_err(LOG_LEVEL_ERROR, "not-on-record", &err);
    answer_error(m, 503, "ledger",
                 "this could not be put on record, so it counts for nothing: try again");
    return -RF_EUNAVAIL;
}

/* A record takes words; what somebody signed may be anything, and his refusal goes on record all
   the same, without it. */
static const char *known_purpose(const struct matter *m)
{
    const struct policy *p = m->office->policy;
    const char *purpose = m->command.purpose;
    return purpose != NULL &&
                   (policy_has_purpose(p, purpose) || policy_consent_find(p, purpose) != NULL)
               ? purpose
               : NULL;
}

/* Whoever the policy knows is on record with what he was refused. Should that fail, the refusal
   stands, and nothing else has been done. */
static void record_refusal(struct matter *m, const char *rule)
{
    char ref[RECORD_REF_SIZE], detail[64];
    struct err err = { 0 };
    if (m->actor == NULL || m->line == NULL)
        return;
    struct record record = matter_record(m, RECORD_DENIAL);
    (void)snprintf(detail, sizeof(detail), "%s %" PRIu64, command_verb_name(m->command.verb),
                   m->command.request); /* not as its grant: nothing is done under it */
    record.rule = rule;
    record.purpose = known_purpose(m);
    record.detail = detail;
    if (voice_say(m->office->voice, &record, OFFICE_LEDGER_MS, ref, &err) < 0)
        log_err(LOG_LEVEL_ERROR, "refusal-not-on-record", &err);
}

static int refuse(struct matter *m, unsigned status, const char *rule, const char *message)
{
    record_refusal(m, rule);
    answer_error(m, status, rule, message);
    return -RF_EDENIED;
}

/* Others than these may come of a clock or a race, as what the database refuses may: they are not
   counted against anybody. */
int matter_refuse(struct matter *m, unsigned status, const char *rule, const char *message)
{
    if (m->actor != NULL && (status == 403 || status == 404))
        suspension_count(m);
    return refuse(m, status, rule, message);
}

int matter_deny(struct matter *m, enum grant_refusal refusal)
{
    return matter_refuse(m, approval_refusal_status(refusal), approval_refusal_name(refusal),
                         approval_refusal_sentence(refusal));
}

int matter_fail(struct matter *m, const struct err *err)
{
    static const struct {
        const char *state, *constraint; /* "": any */
        unsigned status;
        const char *rule, *message;
    } states[] = {
        { "02000", "", 404, "not-found", "there is no such request or person" },
        { "22023", "", 403, "not-possible", "the database of this region does not allow this" },
        { "55000", "", 409, "state", "the request is in a state that does not allow this" },
        { "23505", "command_nonce_pkey", 401, "used-before",
          "this command was used before: sign it anew" },
        { "23505", "", 403, "approver-twice", "nobody says the same about a request twice" },
        { "53400", "", 429, "too-many", "too many of these today" },
    };
    for (size_t i = 0; i < RF_COUNT(states); i++)
        if (strcmp(err_state_of(err), states[i].state) == 0 &&
            (states[i].constraint[0] == '\0' || strcmp(err->detail, states[i].constraint) == 0))
            return refuse(m, states[i].status, states[i].rule, states[i].message);
    log_err(LOG_LEVEL_ERROR, "command-failed", err);
    answer_error(m, 503, "database",
                 "the database of this region cannot answer: ask `grants` what became of it");
    return -RF_EUNAVAIL;
}

int matter_query(struct matter *m, const char *sql, size_t count, const char *const *values,
                 PGresult **ret)
{
    struct err err = { 0 };
    int rc = line_ask(m->line, sql, count, values, ret, &err);
    return rc < 0 ? matter_fail(m, &err) : 0;
}

char *matter_array(const char *const *texts, size_t count)
{
    size_t size = 3;
    for (size_t i = 0; i < count; i++)
        size += 2 * strlen(texts[i]) + 3;
    char *array = mem_zalloc(1, size), *to = array;
    if (array == NULL)
        return NULL;
    *to++ = '{';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *to++ = ',';
        *to++ = '"';
        for (const char *at = texts[i]; *at != '\0'; at++) {
            if (*at == '"' || *at == '\\')
                *to++ = '\\';
            *to++ = *at;
        }
        *to++ = '"';
    }
    *to++ = '}';
    return array;
}

/* ---- who, where, when ----------------------------------------------------------------------- */

static bool find_line(struct matter *m)
{
    const struct config *c = m->office->config;
    for (size_t i = 0; i < c->database_count && i < OFFICE_REGIONS_MAX; i++)
        if (strcmp(c->databases[i].region, m->region->name) == 0) {
            m->line = &m->office->lines[i];
            m->line->database = &c->databases[i];
            return true;
        }
    return false;
}

/* As sessions are: the network of the client, the address it came to, the identity. But through a
   unix socket comes whoever a proxy on this host lets in, from anywhere: nobody is at home there.
 */
static void find_place(struct matter *m)
{
    const struct policy *p = m->office->policy;
    const struct relay_ask *ask = m->ask;
    struct decide_facts facts = { .actor = m->actor,
                                  .region = m->region,
                                  .gateway_place = m->office->config->place,
                                  .has_client_address = true };
    if (ask->has_address) {
        facts.network = policy_network_of(p->networks, p->network_count, &ask->client);
        facts.listener = policy_network_of(p->listeners, p->listener_count, &ask->listener);
        (void)inet_ntop(AF_INET6, &ask->client, m->client, sizeof(m->client));
    }
    m->where = decide_session(p, &facts);
}

static int take_text(struct matter *m)
{
    const struct relay_ask *ask = m->ask;
    if (ask->command_len > COMMAND_MAX || ask->signature_len > RELAY_SIGNATURE_MAX ||
        memchr(ask->command, '\0', ask->command_len) != NULL ||
        memchr(ask->signature, '\0', ask->signature_len) != NULL)
        return matter_refuse(m, 400, "not-a-command", "this is no command");
    memcpy(m->text, ask->command, ask->command_len);
    m->text[ask->command_len] = '\0';
    memcpy(m->signature, ask->signature, ask->signature_len);
    m->signature[ask->signature_len] = '\0';
    return 0;
}

/* Which region the text names, before anything else is believed of it. */
static int find_region(struct matter *m)
{
    struct err err = { 0 };
    if (command_read(m->text, strlen(m->text), m->copy, &m->command, &err) < 0) {
        answer_error(m, 400, "not-a-command", err.line);
        return -RF_EDENIED;
    }
    m->region = policy_region_find(m->office->policy, m->command.region);
    if (m->region == NULL || !find_line(m))
        return matter_refuse(m, 404, "region-unknown", "no such region here: is its name right?");
    return 0;
}

/* Strangers hear one answer, whatever it is that does not fit. */
static int find_signer(struct matter *m)
{
    const struct policy *p = m->office->policy;
    struct err err = { 0 };
    int rc = evidence_read_text(p, m->region, m->text, strlen(m->text), m->signature,
                                strlen(m->signature), m->copy, &m->command, &err);
    if (rc < 0) {
        log_warn("signature-refused", "region=%s verb=%s reason=\"%s\"", m->region->name,
                 command_verb_name(m->command.verb), err.line);
        answer_error(m, 401, "signature",
                     "the signature is not by a key that the policy lists for this person");
        return -RF_EAUTH;
    }
    m->actor = policy_actor_find(p, m->command.actor);
    find_place(m);
    int64_t left_s = m->command.expires_s - clock_wall_ms() / 1000;
    if (left_s < -SLACK_S)
        return matter_refuse(m, 401, "expired", "this command has expired: sign it anew");
    if (left_s > COMMAND_AHEAD_S + SLACK_S)
        return matter_refuse(m, 401, "expires-late",
                             "a command ends within ten minutes: are the clocks right?");
    return 0;
}

static int find_database(struct matter *m)
{
    struct err err = { 0 };
    if (line_ready(m->line, &err) == 0)
        return 0;
    log_err(LOG_LEVEL_WARN, "database-away", &err);
    answer_error(m, 503, "database", "the database of this region cannot be reached: try again");
    return -RF_EUNAVAIL;
}

void office_answer(struct office *o, const struct relay_ask *ask, struct matter *m)
{
    memset(m, 0, sizeof(*m));
    m->office = o;
    m->ask = ask;
    if (take_text(m) == 0 && find_region(m) == 0 && find_signer(m) == 0 && find_database(m) == 0)
        verb_answer(m);
    suspensions_done(&m->suspensions);
    log_info("command", "verb=%s status=%u", command_verb_name(m->command.verb), m->status);
}

/* ---- life ----------------------------------------------------------------------------------- */

void office_init(struct office *o, const struct config *config, const struct policy *policy)
{
    *o = (struct office){ .config = config, .policy = policy };
}

void office_done(struct office *o)
{
    for (size_t i = 0; i < OFFICE_REGIONS_MAX; i++)
        line_close(&o->lines[i]);
}

/* ---- what is due by the clock --------------------------------------------------------------- */

/* Approved here or elsewhere and not opened by whoever took the last approval: he died. */
static void open_left(struct office *o, const struct policy_region *region, struct line *l)
{
    static const char sql[] = "SELECT ringfence.requests_left(interval '15 s')";
    struct err err = { 0 };
    PGresult *r;
    if (line_ask(l, sql, 0, NULL, &r, &err) < 0)
        return;
    for (int row = 0; row < PQntuples(r); row++) {
        uint64_t id = strtoull(database_value(r, row, 0), NULL, 10);
        if (verb_open(o, region, l, id, &err) < 0)
            log_err(LOG_LEVEL_WARN, "not-opened", &err);
    }
    PQclear(r);
}

static void tend_grants(struct office *o, const struct policy_region *region, struct line *l)
{
    struct err err = { 0 };
    char age[32];
    const char *const values[] = { age };
    PGresult *r;
    (void)snprintf(age, sizeof(age), "%" PRId64 " ms", o->policy->grants->request_age_ms);
    if (line_ask(l, "SELECT ringfence.request_sweep($1::interval, interval '1 min')", 1, values, &r,
                 &err) < 0) {
        log_err(LOG_LEVEL_WARN, "sweep-failed", &err);
        return;
    }
    PQclear(r);
    open_left(o, region, l);
}

static void tend_region(struct office *o, const struct policy_region *region, struct line *l,
                        bool is_due)
{
    struct err err = { 0 };
    if (line_ready(l, &err) < 0) {
        log_err(LOG_LEVEL_DEBUG, "database-away", &err);
        return;
    }
    if (o->policy->consents->line != 0)
        consent_tend(o, region, l, is_due);
    if (o->policy->grants->opened_by == GRANTS_BY_SIGNATURES)
        tend_grants(o, region, l);
}

void office_tend(struct office *o)
{
    const struct config *c = o->config;
    bool is_due = clock_mono_ms() >= o->consents_ms;
    if (o->policy->grants->opened_by != GRANTS_BY_SIGNATURES && o->policy->consents->line == 0)
        return;
    if (is_due)
        o->consents_ms = clock_mono_ms() + OFFICE_CONSENTS_MS;
    for (size_t i = 0; i < c->database_count && i < OFFICE_REGIONS_MAX; i++) {
        const struct policy_region *region = policy_region_find(o->policy, c->databases[i].region);
        o->lines[i].database = &c->databases[i];
        if (region != NULL && c->databases[i].primary_count > 0)
            tend_region(o, region, &o->lines[i], is_due);
    }
    if (o->policy->grants->opened_by == GRANTS_BY_SIGNATURES)
        alert_hear(o); /* else nobody could review what it raises */
}
