/* mask.h - what stands in a masked view in place of one column, as a SQL expression.
 *
 * The expression has exactly the type, modifier and collation of the column, so a client cannot
 * tell from RowDescription that it looks at a mask. NULL stays NULL. No expression can fail for any
 * value of the column: an error would tell something about a row. */
#ifndef RF_ENFORCE_MASK_H
#define RF_ENFORCE_MASK_H

#include "enforce/catalog.h"
#include "enforce/sql.h"

/* Append the expression for COLUMN of table alias `t` (without a name for it).
   PSEUDONYM_DIGITS: hexadecimal digits of text pseudonyms in this column's domain.
   -RF_ECONFIG when the mask does not fit the type; WHERE_NAME is "app.users.email" for messages. */
RF_CHECK int mask_add(struct sql *s, const struct policy_column *column,
                      const struct catalog_column *fact, int pseudonym_digits,
                      const char *where_name, struct err *err);

/* For statistics: the dimension's own cut of a column. */
RF_CHECK int mask_add_dimension(struct sql *s, const struct policy_dimension *dimension,
                                const struct catalog_column *fact, const char *where_name,
                                struct err *err);

#endif
