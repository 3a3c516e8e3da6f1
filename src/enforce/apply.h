/* apply.h - make a region's database hold the policy: look, compile, run, look again.
 *
 * Everything happens in one transaction under an advisory lock, so two applies do not mix and a
 * failed one leaves no trace. It ends with its own proof: the script compiled from the result must
 * be empty and the self-check must find nothing, or all of it is rolled back. */
#ifndef RF_ENFORCE_APPLY_H
#define RF_ENFORCE_APPLY_H

#include "enforce/compile.h"
#include "enforce/database.h"

enum { APPLY_TIMEOUT_MS = 10 * 60 * 1000 };

/* The advisory lock of every apply and migrate: "ringfenc" as a number; the second key leaves room
   for other locks of ours. */
#define APPLY_LOCK "1919510113, 1"

/* Is DB a superuser's connection to a primary? -RF_EPRIV, -RF_EDATABASE. */
RF_CHECK int apply_check_rights(struct database *db, struct err *err);

/* What would have to change now, appended to SCRIPT. Changes nothing. Call it inside a transaction
   that sees one state. */
RF_CHECK int apply_plan(struct database *db, const struct policy *p,
                        const struct policy_region *region, struct script *script, struct err *err);

/* The same in a read-only transaction of its own that sees one state; good on a standby. */
RF_CHECK int apply_look(struct database *db, const struct policy *p,
                        const struct policy_region *region, struct script *script, struct err *err);

/* Change it. *RET_STEPS counts the statements (0: the database already held the policy). Needs a
   superuser. Errors name the step and carry the SQLSTATE. */
RF_CHECK int apply_run(struct database *db, const struct policy *p,
                       const struct policy_region *region, size_t *ret_steps, struct err *err);

#endif
