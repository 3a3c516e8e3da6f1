/* alert.h - what somebody does that somebody else should look at (policy/alerts.h).
 *
 *   find, request, refusal, honey ─┐  the region's database judges  ┌─▶ an alert, on record
 *   rows, forged: said by workers ─┴─────────────────────────────────┴─▶ suspended, if the rule
 * says so
 *
 * The one who did it is not told. One alert of a rule, person and day is open at most; it is closed
 * by somebody else, by the verb `review-alert`. */
#ifndef RF_REGISTRAR_ALERT_H
#define RF_REGISTRAR_ALERT_H

#include <jansson.h>

#include "ledger/record.h"
#include "registrar/line.h"

struct matter;
struct office;

/* M's actor has found (EVENT "find") or asked for ("request") those of KEYS, an array; what is NULL
   there is nobody. REQUEST: its number, or 0. Should it not be judged, or an alert not come on
   record, the command is refused. */
RF_CHECK int alert_look(struct matter *m, const char *event, const json_t *keys, uint64_t request);

/* A rule refused M's actor something. Failures are logged: the refusal stands anyway. */
void alert_refusal(struct matter *m);

/* M's actor has named or found a honey subject: he is suspended, also where no alert can be raised.
 */
void alert_honey(struct matter *m);

/* The last alert that is on record and that the database did not enter: the next try enters it
   under the same record. */
struct alert_said {
    char region[RECORD_WORD_MAX + 1], actor[RECORD_WORD_MAX + 1], rule[RECORD_WORD_MAX + 1];
    char ref[RECORD_REF_SIZE];
    uint64_t request;
    int64_t day; /* UTC, since 1970; 0: there is none */
};

/* What workers have said meanwhile. */
void alert_hear(struct office *o);

/* Open alerts that M's actor may review: [{"alert":N,"rule":…,"person":…,"since":…,"times":N,…}].
   An empty list on failure, which is logged. */
json_t *alerts_describe(struct matter *m);

/* The verb `review-alert`. */
RF_CHECK int verb_review_alert(struct matter *m);

#endif
