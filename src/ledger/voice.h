/* voice.h - how the registrar puts things on record: one record at a time, and it waits.
 *
 *     voice_say() sends the record and waits for two answers: that it is durable, and where it
 *     stands. Neither before the other, and nothing else is sent meanwhile.
 *
 * What was said once is said. When the answer does not come in time, or the ledger dies on the way,
 * nobody knows whether the record is in the journal: it stays here, and is settled before anything
 * else is sent, on the same stream or, after voice_relink(), on a new one, where the ledger tells a
 * record that it has from one that it has not. So there is none twice, and none is lost while this
 * process lives. Blocks up to its time limit; not for an event loop. */
#ifndef RF_LEDGER_VOICE_H
#define RF_LEDGER_VOICE_H

#include "ledger/record.h"

struct voice;

/* FD is a stream to the ledger, borrowed until voice_relink() or voice_close(), or -1: there is
   none yet. INSTANCE: random, not 0, another one for each process. NAME: "registrar-N". */
RF_CHECK int voice_open(int fd, uint64_t instance, const char *name, struct voice **ret,
                        struct err *err);
void voice_close(struct voice *v); /* NULL is welcome; wipes */

/* Go on over FD: the one before is of a ledger that is gone, and is not used any more. */
void voice_relink(struct voice *v, int fd);

/* 0: RECORD is durable and stands at RET_REF. -RF_ETIMEOUT after TIMEOUT_MS. -RF_EUNAVAIL: the
   ledger refuses (ERR has its reason) or is gone, and so it stays until voice_relink(). After
   either one voice_is_pending() tells whether any of RECORD has left: if not, it was not said.
   Nothing was said with -RF_EINVAL and -RF_ETOOBIG (record_write()) and -RF_ENOMEM. What is pending
   from an earlier call is settled first, within the same time; where that fails, nothing of RECORD
   was taken, and what is pending is still the earlier one. */
RF_CHECK int voice_say(struct voice *v, const struct record *record, int timeout_ms,
                       char ret_ref[RECORD_REF_SIZE], struct err *err);

/* What workers have said, one piece of news at a time: 1 and *RET, which borrows until the next
   call; 0: there is none; codes as voice_say(). A piece that the next call does not find taken has
   its turn again after the others. */
RF_CHECK int voice_news(struct voice *v, int timeout_ms, struct record_news *ret, struct err *err);
void voice_news_taken(struct voice *v); /* the one that was given last */

bool voice_is_pending(const struct voice *v);
/* Settle what is pending and say where it stands. -RF_ENOTFOUND: nothing is. Else as above. */
RF_CHECK int voice_settle(struct voice *v, int timeout_ms, char ret_ref[RECORD_REF_SIZE],
                          struct err *err);

#endif
