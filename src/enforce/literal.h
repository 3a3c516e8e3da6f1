/* literal.h - one value from the policy as a constant of SQL that the server cannot refuse.
 *
 * A constant is evaluated when a person reads the view; by then it is too late to find that it is
 * no value of the column's type. So it is read here, as strictly as can be, when the policy is
 * compiled. */
#ifndef RF_ENFORCE_LITERAL_H
#define RF_ENFORCE_LITERAL_H

#include "enforce/catalog.h"
#include "enforce/sql.h"

/* Append VALUE as a constant that fits the column FACT (the caller casts it to the column's type).
   -RF_ECONFIG when it does not fit, or the type has no constants here (times of day, intervals,
   bytes, JSON, arrays); WHERE_NAME is "app.users.email" for messages. */
RF_CHECK int literal_add(struct sql *s, const char *value, const struct catalog_column *fact,
                         const char *where_name, struct err *err);

/* "2026-02-28": a day of the Gregorian calendar from year 1 to 9999. */
bool literal_is_date(const char *value);

#endif
