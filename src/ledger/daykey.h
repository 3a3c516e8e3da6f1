/* daykey.h - one key a UTC day, in STATE/keys/day/YYYY-MM-DD.key.
 *
 * Removing the file erases the private parts of that day for everybody; the journal stays valid.
 * Keys in memory are locked against swapping where the limits allow it, and wiped. */
#ifndef RF_LEDGER_DAYKEY_H
#define RF_LEDGER_DAYKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "ledger/seal.h"

struct daykey_store; /* remembers the key of one day at a time */

/* STATE_DIR and its folders must be there when keys are made (journal_open() makes them). */
RF_CHECK int daykey_open(const char *state_dir, struct daykey_store **ret, struct err *err);
void daykey_close(struct daykey_store *s);

/* The key of the day that MINUTE lies in, and its id; borrowed until the next call. daykey_make()
   makes it durable first when it is new. daykey_find(): 0, or -RF_ENOTFOUND without an error text
   when the file is gone; other codes: it cannot be read. */
RF_CHECK int daykey_make(struct daykey_store *s, uint32_t minute, const uint8_t **ret_key,
                         const uint8_t **ret_id, struct err *err);
RF_CHECK int daykey_find(struct daykey_store *s, uint32_t minute, const uint8_t **ret_key,
                         const uint8_t **ret_id, struct err *err);

/* Is there a file with the key of that day? Looks at the name alone. */
bool daykey_is_there(const struct daykey_store *s, uint32_t minute);

/* Overwrite the key of that day, remove its file and a copy that was never finished, all of it
   durable. 1; 0: there was none. Whoever holds it in memory still has it. */
RF_CHECK int daykey_destroy(struct daykey_store *s, uint32_t minute, struct err *err);

/* Was the memory locked? (RLIMIT_MEMLOCK may forbid it.) */
bool daykey_is_locked(const struct daykey_store *s);

#endif
