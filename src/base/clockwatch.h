/* clockwatch.h - is the wall clock to be believed? One bad second would bind the journal for good:
 * its minutes never go back (docs/formats/journal.md, section 4.1).
 *
 * Pure: times are arguments. The wall clock may step back, and forward to where it was before; what
 * it may not is get ahead of a clock that nobody sets by more than CLOCKWATCH_JUMP_MS at once. The
 * start of the gateway believes whatever the clock says: an operator stands behind it. Behind a
 * process that starts again stands nobody, so the supervisor hands on what it believed. */
#ifndef RF_BASE_CLOCKWATCH_H
#define RF_BASE_CLOCKWATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCKWATCH_JUMP_MS = 5 * 60 * 1000 };

struct clockwatch {
    bool has_begun;
    int64_t ahead_ms; /* the most that the wall clock was ahead of the other one, and believed */
};

/* Now it is WALL_MS by the one clock and BOOT_MS (clock_boot_ms()) by the other. False: it is not
   to be believed; *RET_JUMP_MS is how far it is ahead of what was believed. */
bool clockwatch_believes(struct clockwatch *w, int64_t wall_ms, int64_t boot_ms,
                         int64_t *ret_jump_ms);
/* The time: the wall clock's while that is believed, else what it would be by the other one. For
   what may come late, and must not come early. */
int64_t clockwatch_time_ms(struct clockwatch *w, int64_t wall_ms, int64_t boot_ms);

#endif
