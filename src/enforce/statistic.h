/* statistic.h - the views of room stats, as SQL. */
#ifndef RF_ENFORCE_STATISTIC_H
#define RF_ENFORCE_STATISTIC_H

#include "enforce/catalog.h"
#include "enforce/sql.h"

/* Append "CREATE VIEW stats.… AS SELECT …" for statistic number I. */
RF_CHECK int statistic_add_view(struct sql *s, const struct policy *p, const struct catalog *c,
                                size_t statistic, struct err *err);

/* CREATE OR REPLACE FUNCTION ringfence.statistic_figure(…), which all of them call: whoever may
   read a statistic must be allowed to execute it. */
extern const char statistic_figure_source[];
#define STATISTIC_FIGURE_ARGUMENTS \
    "bigint, text, double precision, double precision, double precision"

#endif
