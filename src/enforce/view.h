/* view.h - the views of the rooms, as SQL. */
#ifndef RF_ENFORCE_VIEW_H
#define RF_ENFORCE_VIEW_H

#include "enforce/catalog.h"
#include "enforce/pseudonym.h"
#include "enforce/sql.h"

/* Append "CREATE VIEW masked.… AS SELECT …" for table number I of the policy. *RET_EMPTY is true,
   and nothing is appended, when no column of it is visible. */
RF_CHECK int view_add_masked(struct sql *s, const struct policy *p, const struct catalog *c,
                             size_t table, bool *ret_empty, struct err *err);

/* Append what stands in place of COLUMN of table number TABLE, whose rows are "t". KEY: what a
   grant's pseudonyms are made with, NULL in room masked. */
RF_CHECK int view_add_mask(struct sql *s, const struct policy *p, const struct catalog *c,
                           size_t table, const struct policy_column *column,
                           const struct catalog_column *fact, const struct pseudonym_key *key,
                           struct err *err);

/* Columns of one pseudonym domain are there to be joined: refuse a policy in which they would not
   compare, because one is a bigint and the other a text. */
RF_CHECK int view_check_domains(const struct policy *p, const struct catalog *c, struct err *err);

#endif
