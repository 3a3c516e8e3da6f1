/* expression.h - {mask: expression, sql: "…"}: a mask in the policy author's own words.
 *
 * The text is not handed to the database. It is read here, in a small part of SQL, and written anew
 * from what was understood; so nothing can be in it but columns of the same row, constants, and
 * operators and functions of a closed list. Every one of these is built in, gives the same answer
 * for the same values whatever the session's settings, and cannot fail for any value: the error of
 * one row would print what the mask hides. There are no sub-selects, no other relations, no
 * aggregates, no set-returning functions, no casts that parse text.
 *
 *   constants   12, 'text', true, false, null, date '2026-01-31'
 *   columns     of the same table, listed in the policy
 *   operators   = <> < <= > >=, between, in (constants), like 'constant', is [not] null,
 *               and, or, not, case … end, ||, and of whole numbers + - * / %
 *   functions   lower, upper, left, right, length, btrim, split_part, strpos, starts_with,
 *               coalesce, nullif, greatest, least, host, family, and ::text
 *
 * Whole numbers are computed as bigint, with the largest value that can come out known beforehand:
 * what could overflow is refused. `/`, `%`, left, right and split_part take constants only.
 *
 * A reviewer reads an expression, but a slip must not undo what the classes promise. A column of
 * class none may show as it is. One of class contact, activity or payment may only be compared,
 * measured (length), divided by 2 or more, or show two characters (left, right), and no more than
 * two in one expression. The other classes have no harmless remainder: they may only be asked
 * whether they are null. */
#ifndef RF_ENFORCE_EXPRESSION_H
#define RF_ENFORCE_EXPRESSION_H

#include "enforce/catalog.h"
#include "enforce/sql.h"

/* Append what COLUMN's expression means, over table alias `t`; FACTS are its table's. The value
   fits the column FACT as it is, but the caller casts it to the very type. -RF_ECONFIG says what is
   not understood or not allowed, and where; WHERE_NAME is "app.users.email". */
RF_CHECK int expression_add(struct sql *s, const struct policy_column *column,
                            const struct catalog_table *facts, const struct catalog_column *fact,
                            const char *where_name, struct err *err);

#endif
