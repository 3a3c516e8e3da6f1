/* sqlite_faults.h - SQLite's calls to the system and its allocations, counted and made to fail.
 *
 * Points "sqlite.io" (everything that a file or a name of a file is asked) and "sqlite.alloc" of
 * campaign.h. Our code is as it is: a file layer of the same name as SQLite's own stands before it.
 */
#ifndef RF_TEST_FAULT_SQLITE_FAULTS_H
#define RF_TEST_FAULT_SQLITE_FAULTS_H

#include <stdbool.h>

#include "base/attr.h"

/* Once, before anything else of SQLite. 0, or SQLite's code. */
RF_CHECK int sqlite_faults_begin(void);

/* In a process of its own: do not let "sqlite.io" fail, but end the process there. */
extern bool sqlite_faults_kill;

#endif
