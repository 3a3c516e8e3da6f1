/* office.h - one signed command, from its bytes to its answer.
 *
 *   read, signed by whom, from where ─▶ what the verb needs ─▶ on record ─▶ the database moves
 *
 * Every refusal of somebody whom the policy knows is put on record, too. Nothing here outlives a
 * command but connections. */
#ifndef RF_REGISTRAR_OFFICE_H
#define RF_REGISTRAR_OFFICE_H

#include <jansson.h>

#include "control/proof.h"
#include "ledger/voice.h"
#include "policy/decide.h"
#include "priv/relay.h"
#include "registrar/alert.h"
#include "registrar/line.h"
#include "registrar/suspension.h"

enum { OFFICE_LEDGER_MS = 5000, OFFICE_REGIONS_MAX = 64, OFFICE_CONSENTS_MS = 5000 };

struct office {
    const struct config *config;           /* borrowed */
    const struct policy *policy;           /* borrowed */
    struct voice *voice;                   /* borrowed */
    struct line lines[OFFICE_REGIONS_MAX]; /* by the configuration's databases */
    bool is_deaf;                          /* it was said that there is no news to be had */
    struct alert_said said;
    int64_t consents_ms; /* monotonic: when sums of consents are due */
};

/* A command that is being answered. */
struct matter {
    struct office *office;
    const struct relay_ask *ask;
    const struct policy_region *region;
    const struct policy_actor *actor;
    struct line *line;
    struct command command;
    char text[COMMAND_MAX + 1]; /* as it came, with a NUL */
    char copy[COMMAND_MAX + 1]; /* the strings of `command` */
    char signature[RELAY_SIGNATURE_MAX + 1];
    char client[64]; /* address, for the private part of records */
    struct decision where;
    struct suspensions suspensions; /* of the region, when the command came */
    bool is_suspended;              /* the actor: then, or by this command */
    unsigned status;
    json_t *answer; /* the caller's to release; NULL: out of memory */
};

void office_init(struct office *o, const struct config *config, const struct policy *policy);
void office_done(struct office *o);

/* Answer ASK: M->status and M->answer are set. */
void office_answer(struct office *o, const struct relay_ask *ask, struct matter *m);

/* What is due by the clock: requests lapse, what was approved and not opened is opened. */
void office_tend(struct office *o);

/* ---- for verbs ---- */

/* The answer is an error; returns -RF_EDENIED. RULE and MESSAGE are literals. */
int matter_refuse(struct matter *m, unsigned status, const char *rule, const char *message);
/* The same for a rule of the policy; on record. */
int matter_deny(struct matter *m, enum grant_refusal refusal);
/* The same for what failed below: ERR says what. */
int matter_fail(struct matter *m, const struct err *err);

/* A record about this command; the caller adds what its kind needs. */
struct record matter_record(const struct matter *m, enum record_kind kind);
/* Put it on record, and hear where. */
RF_CHECK int matter_say(struct matter *m, const struct record *record, char ref[RECORD_REF_SIZE]);

/* line_ask() with its errors answered. */
RF_CHECK int matter_query(struct matter *m, const char *sql, size_t count,
                          const char *const *values, PGresult **ret);

/* {"a","b"} as PostgreSQL reads an array of texts; the caller frees it with mem_free(). */
RF_CHECK char *matter_array(const char *const *texts, size_t count);

/* verbs.c, verb_open.c */
void verb_answer(struct matter *m);
RF_CHECK int verb_open(struct office *o, const struct policy_region *region, struct line *line,
                       uint64_t request, struct err *err);

#endif
