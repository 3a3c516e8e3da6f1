/* tally.h - what the ledger hears from workers, and a registrar should know: how many rows were
 * released to whom, and who has forged a message about disclosures.
 *
 *     workers' records ─▶ tally_note() ─▶ summed up by region, actor and what
 *                                           │ a registrar asks, a few times a minute
 *                          tally_next() ◀───┘ one at a time; a number takes it away
 *
 * What was given and not taken by the next question has its turn again after the others, under
 * another number: a registrar that dies loses nothing, and a region whose database is away holds up
 * no other. A ledger that dies does lose it: the journal has it. A place is free again when all of
 * it was taken; what finds no place among TALLY_MAX is not summed up. */
#ifndef RF_LEDGER_TALLY_H
#define RF_LEDGER_TALLY_H

#include "ledger/record.h"

enum { TALLY_MAX = 4096 };

struct tally;

RF_CHECK int tally_new(struct tally **ret, struct err *err);
void tally_free(struct tally *t); /* NULL is welcome */

/* RECORD is appended. The caller has seen that its actor is a person whom the policy knows, in one
   of its regions: invented names would take up the places of others. */
void tally_note(struct tally *t, const struct record *record);

/* What was given last is done with where TAKEN is its number, else it waits for another turn. The
   next one, or false: there is none. Texts of *RET borrow until the next call. */
bool tally_next(struct tally *t, uint64_t taken, struct record_news *ret);

#endif
