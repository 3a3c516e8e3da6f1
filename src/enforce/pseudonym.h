/* pseudonym.h - a keyed stand-in for a value, of the value's own type.
 *
 * Pseudonyms of one domain are equal where their values are equal, so joins work; they change with
 * the month. NULL stays NULL. */
#ifndef RF_ENFORCE_PSEUDONYM_H
#define RF_ENFORCE_PSEUDONYM_H

#include "enforce/catalog.h"
#include "enforce/sql.h"

enum { PSEUDONYM_DIGITS_MAX = 20 };

/* Append the expression for COLUMN of table alias `t`; the caller casts it to the column's type.
   DIGITS: hexadecimal digits of text pseudonyms in this column's domain. -RF_ECONFIG for types
   that have no pseudonyms; WHERE_NAME is "app.users.email", and the domain when the column names
   none. */
RF_CHECK int pseudonym_add(struct sql *s, const struct policy_column *column,
                           const struct catalog_column *fact, int digits, const char *where_name,
                           struct err *err);

/* Append " WHERE …" or " AND …" (BETWEEN) with what lets the extension look rows of table T up by
   the pseudonyms in its columns; nothing where the extension is not installed. */
void pseudonym_add_lookups(struct sql *s, const struct policy_table *t,
                           const struct catalog_table *fact, const char *between);

/* The same with other pseudonyms: keyed with SECRET, SQL of 32 bytes, whatever the month. "": the
   secret of the session's grant, which the extension reads; it makes the same ones. */
RF_CHECK int pseudonym_add_secret(struct sql *s, const struct policy_column *column,
                                  const struct catalog_column *fact, int digits,
                                  const char *where_name, const char *secret, struct err *err);

/* How pseudonyms of these columns compare: columns of one domain must agree. NULL: a type that has
   no pseudonyms. */
const char *pseudonym_family(enum column_kind kind);

/* The hexadecimal digits that fit the column: at most PSEUDONYM_DIGITS_MAX. */
int pseudonym_digits(const struct catalog_column *fact);

#endif
