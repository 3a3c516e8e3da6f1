/* selfcheck.h - questions to a database that must have no answer (tbl/check.def). */
#ifndef RF_ENFORCE_SELFCHECK_H
#define RF_ENFORCE_SELFCHECK_H

#include <stddef.h>

#include "enforce/database.h"

/* Called once a finding; both strings are borrowed for the call. OBJECT names roles and relations
   of the database, never data. */
typedef void selfcheck_fault_fn(void *context, const char *check, const char *object);

/* Ask all of them, in one query. *RET_FAULTS counts what ON_FAULT was told. */
RF_CHECK int selfcheck_run(struct database *db, selfcheck_fault_fn *on_fault, void *context,
                           size_t *ret_faults, struct err *err);

/* The same for what is no fault and should be known: ways round the policy that a company may have
   reasons for, and settings by which personal values reach the server's log. */
RF_CHECK int selfcheck_warn(struct database *db, selfcheck_fault_fn *on_warning, void *context,
                            size_t *ret_warnings, struct err *err);

#endif
