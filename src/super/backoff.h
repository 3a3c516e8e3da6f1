/* backoff.h - how long a child that died waits for its next start. Pure: times are arguments.
 *
 * The first death costs nothing. Deaths in a row, each within BACKOFF_CALM_MS of its start, wait
 * longer each time up to a ceiling: some seconds, or half a second for the parser, which hostile
 * text may kill at will and which costs nothing to start (a long wait would hand whoever does that
 * a way to keep everybody else waiting). */
#ifndef RF_SUPER_BACKOFF_H
#define RF_SUPER_BACKOFF_H

#include <stdint.h>

#include "priv/imsg.h"

enum { BACKOFF_CALM_MS = 30 * 1000 };

struct backoff {
    unsigned quick_deaths; /* in a row */
};

/* Milliseconds from DIED_MS until the next start. */
int64_t backoff_after_death(struct backoff *b, enum imsg_role role, int64_t started_ms,
                            int64_t died_ms);

#endif
