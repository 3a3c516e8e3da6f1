/* widening.h - does another policy let anybody see or do more? What `plan` calls widening, in any
 * region, and all that policy/policy_change.h takes for it. */
#ifndef RF_ENFORCE_WIDENING_H
#define RF_ENFORCE_WIDENING_H

#include "policy/policy_change.h"

/* 1: it does, or may, and WHAT says where first; 0: it only takes away; -RF_ENOMEM. */
RF_CHECK int widening_find(const struct policy_bytes *old, const struct policy_bytes *new,
                           char what[POLICY_CHANGE_SIZE], struct err *err);

#endif
