/* day.h - how many persons the grants of one actor name that he opened today (UTC). */
#ifndef RF_REGISTRAR_DAY_H
#define RF_REGISTRAR_DAY_H

#include "policy/grants.h"
#include "registrar/line.h"

/* With the COUNT persons of KEYS, are they no more than the policy allows? At the opening the
   database counts again, with everybody else's openings kept out. Codes of line_ask(). */
RF_CHECK int day_has_room(const struct policy_grants *g, struct line *line, const char *actor,
                          const char *const *keys, size_t count, bool *ret, struct err *err);

#endif
