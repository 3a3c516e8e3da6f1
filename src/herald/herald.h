/* herald.h - the process that tells hooks what has happened (docs/decisions/0025).
 *
 * It empties the outbox of each region's database: asks as rf_herald what each hook is to get next,
 * posts it or has the runner run it, and says what came of it. Everything is delivered at least
 * once: what it had in hand when it died is tried again when the lease on it is over, by whichever
 * gateway of the region asks first. A hook that hangs keeps nobody but itself waiting. */
#ifndef RF_HERALD_HERALD_H
#define RF_HERALD_HERALD_H

/* The role's main: serves until the supervisor says stop or is gone. Returns an exit status. */
int herald_main(int imsg_fd);

#endif
