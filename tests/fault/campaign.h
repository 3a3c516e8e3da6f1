/* campaign.h - a scenario again and again, each time with another of its fallible calls failing.
 *
 * A scenario is a function that goes through something from nothing to nothing: what it made is
 * gone when it returns. It may fail when a call of it failed, it must not when none did, and it
 * must never leave a block behind, whichever call it was. What else must hold it asserts itself. */
#ifndef RF_TEST_FAULT_CAMPAIGN_H
#define RF_TEST_FAULT_CAMPAIGN_H

#include <stdbool.h>

/* 0, or a negative RF_E… code. */
typedef int campaign_fn(void *arg);

/* Which pass through the point is to fail in this run (0: none), and how many there have been. The
   scenario's fault_hit() keeps count (campaign_hit()), or the scenario does. */
extern unsigned long campaign_at, campaign_passes;
extern const char *campaign_point;

bool campaign_hit(const char *name);

/* Let every STEP-th pass through POINT fail, one a run. Writes one line of TAP. */
void campaign_run(const char *name, campaign_fn *fn, void *arg, const char *point,
                  unsigned long step);

/* The plan, and the exit status. */
int campaign_end(void);

#endif
