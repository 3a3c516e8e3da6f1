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

/* What a grant's own pseudonyms are made with: SQL of 32 bytes each. "" for both: those of the
   session's grant, which the extension reads; it makes the same ones. */
struct pseudonym_key {
    const char *secret, *watermark;
};

/* The same with other pseudonyms, whatever the month: keyed with the grant's secret, and with its
   watermark in the last six or seven hexadecimal digits where there are 16 or more
   (policy/watermark.h). */
RF_CHECK int pseudonym_add_under(struct sql *s, const struct policy_column *column,
                                 const struct catalog_column *fact, int digits,
                                 const char *where_name, const struct pseudonym_key *key,
                                 struct err *err);

/* Append column NAME of `t`, of a kind of time, with the watermark in its microseconds. */
void pseudonym_add_time(struct sql *s, const struct catalog_column *fact,
                        const struct pseudonym_key *key);
/* Is it of a type with room for one? */
bool pseudonym_has_time(const struct catalog_column *fact);

/* How pseudonyms of these columns compare: columns of one domain must agree. NULL: a type that has
   no pseudonyms. */
const char *pseudonym_family(enum column_kind kind);

/* The hexadecimal digits that fit the column: at most PSEUDONYM_DIGITS_MAX. */
int pseudonym_digits(const struct catalog_column *fact);

#endif
