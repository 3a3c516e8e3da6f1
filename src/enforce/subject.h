/* subject.h - whose rows a table holds, and the condition that leaves children's rows out, and
 * those that are kept no longer. */
#ifndef RF_ENFORCE_SUBJECT_H
#define RF_ENFORCE_SUBJECT_H

#include "enforce/catalog.h"
#include "enforce/sql.h"

/* Whether the masked view of a table leaves out rows: does it lead to subjects with a birth date,
   or has it a time to be kept? */
bool subject_leaves_rows_out(const struct policy *p, const struct catalog *c, size_t table);

/* The column of `s->through` that `s->column` of T is equal to: as the policy says, else as the one
   foreign key says. NULL: neither does. *RET_PROVEN: a foreign key says that the row exists. */
const char *subject_through_key(const struct policy *p, const struct catalog *c,
                                const struct policy_table *t, const struct policy_subject *s,
                                bool *ret_proven);

/* Append the time before which rows are kept no longer, to compare with a column of the kind of
   FACT: the same for views and for deletion. */
void subject_add_limit(struct sql *s, const struct catalog_column *fact, int64_t days);

/* Append " WHERE …" on table alias `t` that leaves out children's rows and expired ones, or nothing
   where there are none to leave out. -RF_ECONFIG when the policy's birth date, or the column of its
   retention, is none. */
RF_CHECK int subject_add_condition(struct sql *s, const struct policy *p, const struct catalog *c,
                                   size_t table, struct err *err);

/* The same for views whose readers must not get rows in the order of an index on the real keys. */
RF_CHECK int subject_add_condition_unordered(struct sql *s, const struct policy *p,
                                             const struct catalog *c, size_t table,
                                             struct err *err);

/* For room granted, which has conditions of its own: */

/* Is this column of T itself a subject's key? */
bool subject_is_key(const struct policy_table *t, const struct catalog_column *fact);

/* The subjects' own table, by which children are told; NULL: the policy has none. */
const struct policy_table *subject_own_table(const struct policy *p);

/* Append "ALIAS.BIRTHDATE is at most the day on which today's new adults were born". */
void subject_add_adult(struct sql *s, const struct policy *p, const struct catalog *c,
                       const char *alias, const char *birthdate);

/* Append "t.column >= …", the condition of the table's retention, if it has one. Returns how many
   conditions that were, or -RF_ECONFIG. */
RF_CHECK int subject_add_retention(struct sql *s, const struct policy_table *t,
                                   const struct catalog_table *fact, struct err *err);

#endif
