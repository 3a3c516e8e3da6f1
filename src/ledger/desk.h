/* desk.h - the conversation with each worker or registrar, over bytes: no sockets, no loop, no
 * clock of its own.
 *
 *             HELLO            RECORD                                       AWAITED
 *   NEW      -> OPEN, WELCOME  -> CLOSED                                    -> CLOSED
 *   OPEN     -> CLOSED         append it, or know it already; a gap -> CLOSED  the batch is due
 *            and NEWS, of a registrar: what workers have said meanwhile (tally.h)
 *   REFUSED  -> CLOSED         dropped                                      dropped
 *
 * When the journal is dead, NEW goes to REFUSED by HELLO, and OPEN by desk_commit(), each with one
 * REFUSED message; a worker that connects anew is refused anew. Acknowledgements are cumulative,
 * and there is at most one in the output, so that a worker which does not read costs nothing.
 *
 * A registrar hears, behind the acknowledgement, where his record stands (RECORD_ANSWER_LEAF), and
 * sends the next one then: one that comes earlier ends the conversation. Each sends what is his: a
 * registrar the kinds of record_is_of_registrar() and refusals, a worker all others. Who is there
 * is told by the supervisor's socket, and never by the name in HELLO. */
#ifndef RF_LEDGER_DESK_H
#define RF_LEDGER_DESK_H

#include "base/buf.h"
#include "ledger/clerk.h"
#include "ledger/journal.h"

struct desk;
struct desk_worker;
struct policy;

enum {
    DESK_WORKERS_MAX = 2 * 136, /* each may be there twice while it is being replaced */
    DESK_PATIENCE_MS = 5
};

/* JOURNAL, CLERK (NULL: there is no public log) and POLICY are borrowed. Without a journal (NULL)
   everybody is refused for REASON. */
RF_CHECK int desk_new(struct journal *journal, struct clerk *clerk, const struct policy *policy,
                      const char *reason, struct desk **ret, struct err *err);
void desk_free(struct desk *d); /* with its workers */
void desk_set_policy(struct desk *d, const struct policy *policy);

enum desk_guest { DESK_WORKER, DESK_REGISTRAR };
RF_CHECK int desk_worker_new(struct desk *d, enum desk_guest guest, struct desk_worker **ret,
                             struct err *err);
void desk_worker_free(struct desk_worker *w);

/* Where the next bytes of the worker may be put, and how many (0: work in what is there first);
   desk_fed() says how many came. */
uint8_t *desk_room(struct desk_worker *w, size_t *ret_len);
void desk_fed(struct desk_worker *w, size_t n);

/* Work in whole messages until there is none or the batch is full. A failure (RF_EPROTO, RF_ENOMEM)
   ends that worker's conversation: free it. */
RF_CHECK int desk_work(struct desk_worker *w, int64_t now_ms, struct err *err);
bool desk_is_full(const struct desk *d);            /* the batch is: commit before working on */
bool desk_has_message(const struct desk_worker *w); /* a whole one waits */

/* When the batch is to be committed, on the monotonic clock that says NOW_MS: at once, or, as long
   as it holds nothing but statements for which nobody waits, DESK_PATIENCE_MS after this was first
   asked about it (docs/decisions/0020). The answer to a statement brings a record of its own, and
   one sync makes both durable. */
int64_t desk_due_ms(struct desk *d, int64_t now_ms);

/* Make everything durable and note what can be acknowledged. On failure everybody is refused; the
   reason is given once, then -RF_EUNAVAIL. */
RF_CHECK int desk_commit(struct desk *d, struct err *err);

/* From now on everybody is refused with WHY. Whatever was appended is committed before. */
void desk_refuse(struct desk *d, const struct err *why);

/* Put what is due into the output, and give it: the caller sends and consumes. */
struct buf *desk_answer(struct desk_worker *w);

/* The public log holds the journal's first SIGNED and WITNESSED entries: workers hear it with their
   next answers. */
void desk_reached(struct desk *d, uint64_t signed_entries, uint64_t witnessed_entries);

const char *desk_worker_name(const struct desk_worker *w); /* "" before HELLO */

#endif
