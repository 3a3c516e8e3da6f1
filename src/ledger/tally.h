/* tally.h - what the ledger hears from workers, and a registrar should know: how many rows were
 * released to whom, and who has forged a message about disclosures.
 *
 *     workers' records ─▶ tally_note() ─▶ summed up by region, actor and what
 *                                           │ a registrar asks, a few times a minute
 *                          tally_next() ◀───┘ one at a time; a number takes it away
 *
 * It is given again until it has been taken, so a registrar that dies loses nothing. A ledger that
 * dies does: the journal has it. Rows beyond TALLY_MAX actors are not summed up. */
#ifndef RF_LEDGER_TALLY_H
#define RF_LEDGER_TALLY_H

#include "ledger/record.h"

enum { TALLY_MAX = 4096 };

struct tally;

RF_CHECK int tally_new(struct tally **ret, struct err *err);
void tally_free(struct tally *t); /* NULL is welcome */

/* RECORD is appended. Of persons alone. */
void tally_note(struct tally *t, const struct record *record);

/* What was given as number TAKEN (0: nothing was) is done with. The next one, or false: there is
   none. Texts of *RET borrow until the next call. */
bool tally_next(struct tally *t, uint64_t taken, struct record_news *ret);

#endif
