/* sweep.h - the locations that somebody has left behind who turns out to be a child. */
#ifndef RF_ENFORCE_SWEEP_H
#define RF_ENFORCE_SWEEP_H

#include "enforce/compiler.h"

/* Append statements of plpgsql, for a trigger AFTER INSERT OR UPDATE of SUBJECTS whose row NEW is a
 * child's, with the rights of rf_owner and search_path pg_catalog: columns of class location become
 * NULL in all rows of this subject, in every table whose key leads to him, unless they are NOT
 * NULL.
 *
 * It catches what the ingest triggers could not know: rows from before, from the same statement,
 * and from transactions that have not ended yet, for which it waits: they hold the subject's row by
 * their foreign key (FOR KEY SHARE), and FOR UPDATE conflicts with that. */
void sweep_add(struct sql *s, struct compiler *k, const struct policy_table *subjects);

#endif
