/* compile.h - from a policy and what is in the database to what has to change there.
 *
 * A pure function: the same policy and facts give the same script, and a database that holds the
 * policy gives an empty one. So one function serves `apply` (run it), `--print` (show it) and
 * control's hourly look for drift (it must be empty). What it makes, and why, stands in
 * docs/enforcement.md. */
#ifndef RF_ENFORCE_COMPILE_H
#define RF_ENFORCE_COMPILE_H

#include "enforce/catalog.h"
#include "enforce/script.h"
#include "policy/policy.h"

/* Append to SCRIPT (initialised, empty). Errors are the policy's or the database's:
   -RF_ECONFIG: the policy names what is not there or cannot be masked so; -RF_EDATABASE: a role or
   schema is in the way. SCRIPT is then of no use but to script_done(). */
RF_CHECK int compile_region(const struct policy *p, const struct policy_region *region,
                            const struct catalog *c, struct script *script, struct err *err);

#endif
