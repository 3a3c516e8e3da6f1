/* coarse.h - the coarse form of a value that comes in, as SQL over row NEW of a trigger.
 *
 * Rounded to the nearest multiple of the step, so that what is coarse already stays as it is: the
 * multiple of a decimal step is the double that everybody writes (52.5, not 52.50000000000001).
 * Whole numbers are cut towards zero, which never overflows. Every name of the text is qualified:
 * it runs with another role's rights under the search_path of whoever writes. */
#ifndef RF_ENFORCE_COARSE_H
#define RF_ENFORCE_COARSE_H

#include "enforce/catalog.h"
#include "enforce/sql.h"
#include "policy/policy_ingest.h"

/* An operator of PostgreSQL's own, whatever the search_path is. */
#define OP(sign) " OPERATOR(pg_catalog." sign ") "

/* -RF_ECONFIG when RULE does not fit the type of the column; WHERE_NAME: "app.locations.lat". */
RF_CHECK int coarse_check(const struct policy_ingest *rule, const struct catalog_column *fact,
                          const char *where_name, struct err *err);

/* True when the coarse form takes functions of schema ringfence, so that it can only be had inside
   a trigger's function and not in its WHEN. */
bool coarse_needs_function(const struct policy_ingest *rule, const struct catalog_column *fact);

/* True for texts and JSON, where a value may be one that cannot be read as a place. */
bool coarse_may_fail(const struct policy_ingest *rule, const struct catalog_column *fact);

/* True when extension ringfence makes it coarse, too (extension/ingest.c): no domains. */
bool coarse_is_native(const struct policy_ingest *rule, const struct catalog_column *fact);

/* Append the value of NEW.column made coarse; NULL for NULL, and for a text or JSON that cannot be
   read as a place. */
void coarse_add_value(struct sql *s, const struct policy_ingest *rule,
                      const struct catalog_column *fact);

/* Append a condition: NEW.column is finer than the rule has it. NULL for NULL. */
void coarse_add_is_finer(struct sql *s, const struct policy_ingest *rule,
                         const struct catalog_column *fact);

/* "to multiples of 0.1", "to /24 or /48", for messages and counters. */
enum { COARSE_WORDS_SIZE = 64 };
const char *coarse_words(const struct policy_ingest *rule, char out[COARSE_WORDS_SIZE]);

/* The schema of PostGIS when the column is of its type geometry or geography; else NULL, or an
   empty string in OUT. */
const char *coarse_postgis_schema(const struct catalog_column *fact, char out[64]);

/* CREATE FUNCTION of ringfence.coarse_number(text, …), coarse_text, coarse_json. */
extern const char coarse_number_source[], coarse_text_source[], coarse_json_source[];

#endif
