/* fault.h - named places where a test can make the next call fail.
 *
 * `if (FAULT("journal.sync")) { errno = EIO; … }` is false and free unless the build was configured
 * with -Dfault=true. Then RF_FAULT=NAME:N[,NAME:N…] in the environment makes the Nth pass (from 1)
 * through NAME fail, and every later one too when N carries a trailing '+'. */
#ifndef RF_BASE_FAULT_H
#define RF_BASE_FAULT_H

#include <stdbool.h>

#ifdef RF_FAULTS
bool fault_hit(const char *name);
/* For unit tests: replaces the environment's list; SPEC is copied, NULL clears. */
void fault_arm(const char *spec);
#    define FAULT(name) fault_hit(name)
#else
#    define FAULT(name) false
#endif

#endif
