/* budget.h - how much of an answer may still be released under a grant.
 *
 * The budget of a grant is one number of its region; this worker has portions of it, for all its
 * sessions under that grant together (priv/budget_table.h). Before a part of an answer leaves, its
 * rows and bytes are taken off what the worker has. If that is not enough it asks for more and the
 * part stays held, as it does for a record; when control says that nothing is left the session ends
 * and the part never leaves.
 *
 * Grants without a budget have none of this: nothing is written, nothing is looked up. */
#ifndef RF_GATE_BUDGET_H
#define RF_GATE_BUDGET_H

#include "base/err.h"
#include "priv/budget_table.h"

struct grant;
struct session;
struct worker;

enum {
    BUDGET_TICK_MS = 10,  /* while somebody waits for a portion */
    BUDGET_IDLE_MS = 300, /* then what is not used goes back */
    BUDGET_SENTENCE_SIZE = 80
};

struct budget; /* of the worker, for one grant */

enum budget_answer { BUDGET_GOOD, BUDGET_WAITING, BUDGET_USED_UP };

/* S, whose grant has been entered, shares what the worker has of its budget, and hopes for a first
   portion. Harmless without a budget. -RF_ENOMEM: neither memory nor a cell. */
RF_CHECK int budget_enter(struct session *s);
void budget_leave(struct session *s); /* harmless */

/* Take NEED. WAITING: to be asked again; budget_on_tick() does. */
enum budget_answer budget_take(struct session *s, struct budget_amount need);

/* "53400": the budget of this grant, which NEED goes beyond. */
void budget_error(const struct session *s, struct budget_amount need, struct err *ret);

/* Does anybody wait? And the same for the worker's timer: what idles goes back, and whoever was
   told to wait is to ask again. */
bool budget_is_awaited(const struct worker *w);
bool budget_on_tick(struct worker *w, int64_t now_ms);

/* "50 rows and 1048576 bytes", or "". */
void budget_words(struct budget_amount budget, char out[BUDGET_SENTENCE_SIZE]);

#endif
