/* `consent-give`, `consent-withdraw`, `consent-show`: a consent on paper, written down by a person
 * whom the policy names; and what the clock brings to all consents.
 *
 * What services write down needs no command: they call functions of the database
 * (compile_consent.c), and what they did is added up here and put on record, a few seconds later.
 * A registrar that dies between saying a sum and forgetting it says it again. */
#include "registrar/verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "enforce/database.h"
#include "ledger/revealed.h"

enum { DETAIL_SIZE = 160, SOURCE_SIZE = 80 };

/* The columns of HISTORY_SQL. */
enum { AT_PURPOSE, AT_VERSION, AT_GIVEN, AT_UNTIL, AT_WITHDRAWN, AT_PARENTAL, AT_SOURCE, AT_LIVE };
#define SECONDS(column) "floor(extract(epoch FROM " column "))::bigint"
#define HISTORY_SQL                                                                  \
    "SELECT purpose, version, " SECONDS("given") ", " SECONDS("until") ", " SECONDS( \
        "withdrawn") ", parental, source, is_current FROM ringfence.consent_history($1)"

/* ---- who, and whose -------------------------------------------------------------------------- */

/* The one person who is named, of those whom M's actor may write about: *RET_KEY borrows from
   NAMED. */
static int find_person(struct matter *m, struct named *named, const char **ret_key)
{
    bool is_nobody = false;
    if (!policy_consent_signs(m->office->policy, m->region, m->actor, m->where.at_home))
        return matter_refuse(m, 403, "consent-signer",
                             "the policy lets other persons write down consents, and from home");
    if (m->command.subject_count != 1)
        return matter_refuse(m, 400, "one-person", "a consent is one person's");
    int rc = verb_look_up(m, named, &is_nobody);
    if (rc == 0 && is_nobody)
        rc = verb_refuse_nobody(m);
    if (rc == 0)
        rc = verb_check_names(m, named);
    if (rc == 0)
        *ret_key = json_string_value(json_array_get(named->keys, 0));
    return rc;
}

static int check_given(struct matter *m, const struct named *named)
{
    const struct command *c = &m->command;
    const struct policy_consent *consent = policy_consent_find(m->office->policy, c->purpose);
    bool is_minor = named->minors > 0, is_parental = c->parental != NULL;
    if (consent == NULL)
        return matter_refuse(m, 403, "consent-unknown",
                             "the policy knows no such purpose of consent");
    if (strcmp(consent->version, c->version) != 0)
        return matter_refuse(m, 403, "consent-version",
                             "the text has another version now, and a consent is to that one");
    if (is_minor && !consent->is_parental)
        return matter_refuse(m, 403, "consent-minor", "nobody can consent to this for a minor");
    if (is_minor != is_parental)
        return matter_refuse(m, 403, "consent-parental",
                             "a parent consents for a minor, and for a minor alone");
    return 0;
}

/* ---- on record ------------------------------------------------------------------------------- */

/* Whose it is stands in the private part. */
static int say(struct matter *m, const char *key, const char *purpose, const char *version,
               const char *verdict, char ref[RECORD_REF_SIZE])
{
    struct record record = matter_record(m, RECORD_CONSENT);
    struct buf revealed;
    RF_ASSERT(key != NULL);                   /* the database has found him */
    buf_init(&revealed, 4 * TAG_SUBJECT_MAX); /* every byte of a key may be escaped */
    if (revealed_put(&revealed, key, strlen(key), "consent") < 0 ||
        buf_append(&revealed, "", 1) < 0) {
        buf_wipe_done(&revealed);
        return verb_no_memory(m);
    }
    record.purpose = purpose;
    record.rule = version;
    record.verdict = verdict;
    record.subjects = 1;
    record.revealed = (const char *)buf_at(&revealed);
    record.text = m->text;
    record.signature = m->signature;
    int rc = matter_say(m, &record, ref);
    buf_wipe_done(&revealed);
    return rc;
}

static void source_of(const struct matter *m, char to[SOURCE_SIZE])
{
    (void)snprintf(to, SOURCE_SIZE, "person %s", m->actor->name);
}

/* ---- give ------------------------------------------------------------------------------------ */

static int give(struct matter *m, const char *key)
{
    const struct command *c = &m->command;
    char ref[RECORD_REF_SIZE], source[SOURCE_SIZE];
    PGresult *r = NULL;
    source_of(m, source);
    const char *const values[] = { key,    c->purpose, c->version, verb_truth(c->parental != NULL),
                                   source, ref };
    /* the database may know another version, by an older `apply`: asked before it is on record */
    int rc =
        matter_query(m, "SELECT ringfence.consent_check($1, $2, $3, $4::boolean)", 4, values, &r);
    if (rc < 0)
        return rc;
    PQclear(r);
    r = NULL;
    rc = say(m, key, c->purpose, c->version, "given", ref);
    if (rc == 0)
        rc = matter_query(m,
                          "SELECT " SECONDS("ringfence.consent_add($1, $2, $3, $4::boolean, $5,"
                                            " $6)"),
                          RF_COUNT(values), values, &r);
    if (rc < 0)
        return rc;
    m->status = 200;
    m->answer =
        json_pack("{s:s,s:s,s:s,s:I}", "purpose", c->purpose, "state", "given", "version",
                  c->version, "until", (json_int_t)strtoll(database_value(r, 0, 0), NULL, 10));
    PQclear(r);
    return 0;
}

int verb_consent_give(struct matter *m)
{
    struct named named = { 0 };
    const char *key = NULL;
    int rc = find_person(m, &named, &key);
    if (rc == 0)
        rc = check_given(m, &named);
    if (rc == 0)
        rc = give(m, key);
    named_done(&named);
    return rc;
}

/* ---- withdraw -------------------------------------------------------------------------------- */

/* The version that somebody consented to, and that holds: the caller clears *RET_ROWS, from which
 *RET_VERSION borrows. */
static int find_given(struct matter *m, const char *key, PGresult **ret_rows,
                      const char **ret_version)
{
    const char *const values[] = { key };
    int rc = matter_query(m, HISTORY_SQL, 1, values, ret_rows);
    if (rc < 0)
        return rc;
    for (int row = 0; row < PQntuples(*ret_rows); row++)
        if (database_true(*ret_rows, row, AT_LIVE) &&
            strcmp(database_value(*ret_rows, row, AT_PURPOSE), m->command.purpose) == 0) {
            *ret_version = database_value(*ret_rows, row, AT_VERSION);
            return 0;
        }
    return matter_refuse(m, 409, "consent-not-given",
                         "this person has not consented to this, or not any more");
}

static int withdraw(struct matter *m, const char *key, const char *version)
{
    const struct command *c = &m->command;
    char ref[RECORD_REF_SIZE], source[SOURCE_SIZE];
    const char *const values[] = { key, c->purpose, source };
    PGresult *r = NULL;
    source_of(m, source);
    int rc = say(m, key, c->purpose, version, "withdrawn", ref);
    if (rc == 0)
        rc = matter_query(m, "SELECT ringfence.consent_end($1, $2, $3)", RF_COUNT(values), values,
                          &r);
    if (rc < 0)
        return rc;
    PQclear(r);
    m->status = 200;
    m->answer =
        json_pack("{s:s,s:s,s:s}", "purpose", c->purpose, "state", "withdrawn", "version", version);
    return 0;
}

int verb_consent_withdraw(struct matter *m)
{
    struct named named = { 0 };
    const char *key = NULL, *version = NULL;
    PGresult *rows = NULL;
    int rc = find_person(m, &named, &key);
    if (rc == 0)
        rc = find_given(m, key, &rows, &version);
    if (rc == 0)
        rc = withdraw(m, key, version);
    PQclear(rows);
    named_done(&named);
    return rc;
}

/* ---- show ------------------------------------------------------------------------------------ */

static json_t *describe(const struct policy *p, const PGresult *r, int row)
{
    const char *purpose = database_value(r, row, AT_PURPOSE);
    const char *version = database_value(r, row, AT_VERSION);
    const struct policy_consent *consent = policy_consent_find(p, purpose);
    bool is_current =
        database_true(r, row, AT_LIVE) && consent != NULL && strcmp(consent->version, version) == 0;
    json_t *one =
        json_pack("{s:s,s:s,s:I,s:I,s:b,s:s,s:b}", "purpose", purpose, "version", version, "given",
                  (json_int_t)strtoll(database_value(r, row, AT_GIVEN), NULL, 10), "until",
                  (json_int_t)strtoll(database_value(r, row, AT_UNTIL), NULL, 10), "parental",
                  (int)database_true(r, row, AT_PARENTAL), "source",
                  database_value(r, row, AT_SOURCE), "current", (int)is_current);
    if (one != NULL && !PQgetisnull(r, row, AT_WITHDRAWN))
        (void)json_object_set_new(one, "withdrawn",
                                  json_integer(
                                      strtoll(database_value(r, row, AT_WITHDRAWN), NULL, 10)));
    return one;
}

static int show(struct matter *m, const char *key)
{
    char ref[RECORD_REF_SIZE];
    const char *const values[] = { key };
    PGresult *r = NULL;
    int rc = say(m, key, NULL, NULL, "shown", ref);
    if (rc == 0)
        rc = matter_query(m, HISTORY_SQL, 1, values, &r);
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (int row = 0; row < PQntuples(r); row++)
        (void)json_array_append_new(list, describe(m->office->policy, r, row));
    PQclear(r);
    m->status = 200;
    m->answer = json_pack("{s:o}", "consents", list);
    return 0;
}

int verb_consent_show(struct matter *m)
{
    struct named named = { 0 };
    const char *key = NULL;
    int rc = find_person(m, &named, &key);
    if (rc == 0)
        rc = show(m, key);
    named_done(&named);
    return rc;
}

/* ---- by the clock ---------------------------------------------------------------------------- */

static bool grants_ask_for_consent(const struct policy *p)
{
    for (size_t i = 0; i < p->grants->rule_count; i++)
        if (p->grants->rules[i].consent != NULL)
            return true;
    return false;
}

static void sweep(struct line *line)
{
    struct err err = { 0 };
    PGresult *r;
    if (line_ask(line, "SELECT ringfence.consent_sweep()", 0, NULL, &r, &err) < 0) {
        log_err(LOG_LEVEL_ERROR, "consents-not-swept", &err);
        return;
    }
    int64_t ended = strtoll(database_value(r, 0, 0), NULL, 10);
    PQclear(r);
    if (ended > 0)
        log_info("grants-without-consent", "database=%s revoked=%" PRId64, line->database->alias,
                 ended);
}

/* One sum on record, and then forgotten. */
static int say_sum(struct office *o, const struct policy_region *region, struct line *line,
                   const PGresult *sums, int row, struct err *err)
{
    char ref[RECORD_REF_SIZE], detail[DETAIL_SIZE];
    const char *const values[] = { database_value(sums, row, 0) };
    const char *purpose = database_value(sums, row, 1), *version = database_value(sums, row, 2);
    PGresult *r;
    (void)snprintf(detail, sizeof(detail), "%s %s", purpose, version);
    struct record record = { .kind = RECORD_CONSENT,
                             .wall_ms = clock_wall_ms(),
                             .region = region->name,
                             .actor_kind = "service",
                             .database = line->database->alias,
                             .purpose = purpose,
                             .rule = version,
                             .verdict = database_true(sums, row, 3) ? "given" : "withdrawn",
                             .subjects = strtoull(database_value(sums, row, 4), NULL, 10),
                             .detail = detail };
    int rc = voice_say(o->voice, &record, OFFICE_LEDGER_MS, ref, err);
    if (rc == 0)
        rc = line_ask(line, "SELECT ringfence.consent_said($1::uuid)", 1, values, &r, err);
    if (rc == 0)
        PQclear(r);
    return rc;
}

static void say_sums(struct office *o, const struct policy_region *region, struct line *line)
{
    const char *const values[] = { o->config->name };
    struct err err = { 0 };
    PGresult *sums = NULL;
    int rc = line_ask(line,
                      "SELECT id, purpose, version, is_given, count FROM"
                      " ringfence.consent_sums($1)",
                      1, values, &sums, &err);
    for (int row = 0; rc == 0 && row < PQntuples(sums); row++)
        rc = say_sum(o, region, line, sums, row, &err);
    if (rc < 0)
        log_err(LOG_LEVEL_WARN, "consents-not-on-record", &err);
    PQclear(sums);
}

void consent_tend(struct office *o, const struct policy_region *region, struct line *line,
                  bool is_due)
{
    if (grants_ask_for_consent(o->policy))
        sweep(line);
    if (is_due)
        say_sums(o, region, line);
}
