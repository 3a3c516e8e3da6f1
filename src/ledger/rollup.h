/* rollup.h - the services' counters as records: one per slot that changed, with running totals. */
#ifndef RF_LEDGER_ROLLUP_H
#define RF_LEDGER_ROLLUP_H

#include "ledger/clerk.h"
#include "ledger/journal.h"
#include "ledger/meter.h"

struct rollup;
struct policy;

/* METER is borrowed. */
RF_CHECK int rollup_new(const struct meter *meter, struct rollup **ret, struct err *err);
void rollup_free(struct rollup *r);

/* Append a record for each slot that changed since the last call, committing whenever a batch is
   full; the caller commits the rest. Totals are cumulative since METER was made, and carry its
   start id: records that a restarted ledger writes again add nothing. CLERK: NULL without a public
   log. */
RF_CHECK int rollup_write(struct rollup *r, struct journal *journal, struct clerk *clerk,
                          const struct policy *policy, int64_t now_ms, struct err *err);

#endif
