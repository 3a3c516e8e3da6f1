/* migrate.h - out of the way of an application's migration, and back again.
 *
 * PostgreSQL refuses to drop or retype a column that a view or a trigger's condition depends on. So
 * what ringfence made on top of the tables is taken away, the migration runs over a connection of
 * its own, and apply_run() makes everything anew. In between nobody is shown a database that does
 * not hold the policy:
 *   - taking away is one transaction, which also takes from persons the right to connect and from
 *     gateways the function by which they know that a server may serve persons: their leases end
 *     within seconds, on standbys as soon as these have replayed it; sessions that are open there
 *     have no view any more and are ended where the standby is named;
 *   - only apply gives these back, in the transaction that ends with its own proof.
 * So a run that dies anywhere leaves either what was there before or a database that serves no
 * person until `ringfence apply` or another migrate has ended well. The residency of rows stays
 * guarded all the time, and so do the ingest rules unless they are lifted. */
#ifndef RF_ENFORCE_MIGRATE_H
#define RF_ENFORCE_MIGRATE_H

#include <stdbool.h>

#include "enforce/database.h"

enum { MIGRATE_REPLAY_MS = 30 * 1000, MIGRATE_LEASE_MS = 2000 };

/* Take the lock that every apply takes and keep it as long as DB's session lives. */
RF_CHECK int migrate_lock(struct database *db, struct err *err);

/* Take everything of ours away that depends on tables; with LIFT_INGEST the ingest rules, too.
   *RET_COUNT: views and triggers. Nothing is changed on failure. A database that was never applied
   to has nothing to take away. */
RF_CHECK int migrate_clear(struct database *db, bool lift_ingest, size_t *ret_count,
                           struct err *err);

/* Wait until persons are out: sessions on this server ended, standbys have replayed the clearing,
   leases have run out. -RF_ETIMEOUT when a standby stays behind for MIGRATE_REPLAY_MS. */
RF_CHECK int migrate_await_persons(struct database *db, struct err *err);

/* End the sessions of persons on this server, a standby that has replayed the clearing. */
RF_CHECK int migrate_end_sessions(struct database *db, struct err *err);

#endif
