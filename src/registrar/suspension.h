/* suspension.h - who may do nothing more in a region, what makes it so, and how it ends.
 *
 *   a honey subject is named or found ─┐
 *   refused too often in a day ────────┴─▶ on record ─▶ suspended ─▶ two others lift it, each on
 * record
 *
 * A suspension takes nobody's consent, lifting it takes two. Whoever touched a honey subject hears
 * what he would have heard about nobody; that he is suspended he hears with his next command. */
#ifndef RF_REGISTRAR_SUSPENSION_H
#define RF_REGISTRAR_SUSPENSION_H

#include <jansson.h>

#include "policy/policy.h"
#include "registrar/line.h"

struct matter;

/* Those who are suspended in a region. */
struct suspensions {
    PGresult *rows;
    const char **names; /* of COUNT actors */
    size_t count;
};

/* Call suspensions_done() in any case. Codes as line_ask(), -RF_ENOMEM. */
RF_CHECK int suspensions_read(struct suspensions *s, struct line *line, struct err *err);
void suspensions_done(struct suspensions *s);
bool suspensions_names(const struct suspensions *s, const char *actor);
/* There are more than control and workers keep (priv/grant_table.h): everybody is suspended. */
bool suspensions_are_all(const struct suspensions *s);

/* Whoever gave the command is suspended from now on. Should that fail, it is logged, and the
   command is refused as it would be. REASON: "denials", or a rule of policy/tbl/alert.def. */
void suspend_actor(struct matter *m, const char *reason);

/* A command was refused to him by a rule, or named nobody: is it one too many for a day? */
void suspension_count(struct matter *m);

/* What M's actor may help to lift: [{"person":…,"since":…,"reason":…,"votes":N}]. */
json_t *suspensions_describe(const struct matter *m);

/* The verb `lift`. */
RF_CHECK int verb_lift(struct matter *m);

#endif
