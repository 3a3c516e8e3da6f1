/* granted.h - the views of room granted: the rows of the subjects that one grant names. */
#ifndef RF_ENFORCE_GRANTED_H
#define RF_ENFORCE_GRANTED_H

#include "enforce/catalog.h"
#include "enforce/sql.h"

/* Whether room granted shows this table: some column has a class, and is not absent everywhere. */
bool granted_has_view(const struct policy_table *t);

/* Append "CREATE VIEW granted.… AS SELECT …" for table number TABLE, which has a view. */
RF_CHECK int granted_add_view(struct sql *s, const struct policy *p, const struct catalog *c,
                              size_t table, struct err *err);

/* Append the text VALUE (SQL) cast to what the key column compares with by its index. */
void granted_add_key(struct sql *s, const struct catalog_column *key, const char *value);

#endif
