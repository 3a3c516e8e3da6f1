/* fit.h - does the policy fit the tables that are there?
 *
 * What no look at the file alone can tell: tables and columns that are missing, masks that do not
 * suit a type, expressions that are not allowed, keys that do not lead to one person. Every mistake
 * is told, at the line of the policy, with what was expected and what to do. */
#ifndef RF_ENFORCE_FIT_H
#define RF_ENFORCE_FIT_H

#include "enforce/catalog.h"

struct mistakes;

/* 0 when there was a mistake to tell, too; -RF_ENOMEM and such. */
RF_CHECK int fit_check(const struct policy *p, const struct catalog *c, struct mistakes *mistakes,
                       struct err *err);

#endif
