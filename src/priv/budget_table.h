/* budget_table.h - what workers ask of the budgets of grants, and what control has given them.
 *
 * The budget of a grant is one number of its region's database. Control takes portions of it there
 * and gives them to workers, each by a cell of the worker's own:
 *
 *   worker writes   asked    how much it wants to have been given in all
 *                   used     how much it has released, or is about to
 *                   back     how much of what it was given it will not use
 *   control writes  given    how much it was given in all
 *                   taken    how much of `back` control has taken back
 *
 * All of these only grow while a cell serves one grant, and each has one writer, so that nothing is
 * ever locked. What a worker may still release is given - used - back. What must be true:
 *
 *   used + back <= given        the worker looks before it releases
 *   given is raised after the database has counted it; `taken` before the database hears of it:
 *   whoever dies in between loses a portion, and nobody releases more than the budget
 *
 * A cell serves one grant after the other. `turn` is odd while it does; control answers with the
 * same number, and until it has, the cell is neither used nor claimed again. A worker that is
 * started in the place of a dead one ends all turns of that one: what was given and not used then
 * goes back.
 *
 * There are two mappings: the answers, which workers map read-only, and the asking, of which each
 * writes its own part. A worker that was taken over needs no budget to release what it gets hold
 * of; but it cannot make control give away more than was taken from the database for it, nor hand
 * others what it has used itself: `back` counts as far as it was given. */
#ifndef RF_PRIV_BUDGET_TABLE_H
#define RF_PRIV_BUDGET_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "priv/lease.h"

enum { BUDGET_WORKERS_MAX = 128, BUDGET_CELLS = 4096 };

/* Of something that has no budget. */
#define BUDGET_UNLIMITED UINT64_MAX

struct budget_amount {
    uint64_t rows, bytes;
};

struct budget_table; /* both mappings */

/* Two new mappings: *RET_GIVEN and *RET_ASKED are the caller's. lease_open_read() makes the
   workers' one of the first. */
RF_CHECK int budget_table_create(int *ret_given, int *ret_asked, struct err *err);

/* Of the asking a worker maps its own part, and closes the descriptor: there is no way to others'.
 */
RF_CHECK int budget_table_map_worker(int given_fd, int asked_fd, unsigned worker,
                                     struct budget_table **ret, struct err *err);
RF_CHECK int budget_table_map_control(int given_fd, int asked_fd, struct budget_table **ret,
                                      struct err *err);
void budget_table_unmap(struct budget_table *t); /* NULL is welcome */

/* ---- a worker, of its own cells alone ---- */

/* End what a worker that was WORKER before has left. Once, before everything else. */
void budget_table_adopt(struct budget_table *t, unsigned worker);

/* A free cell becomes that grant's; *RET_CELL. -RF_ETOOMANY: all are in use. */
RF_CHECK int budget_table_claim(struct budget_table *t, unsigned worker, unsigned database,
                                uint64_t grant, unsigned *ret_cell);
/* Nothing of that grant is released any more by it. */
void budget_table_leave(struct budget_table *t, unsigned worker, unsigned cell);

/* What it may still release. */
struct budget_amount budget_table_balance(const struct budget_table *t, unsigned worker,
                                          unsigned cell);
/* Take NEED off the balance; false, and nothing has happened: there is not as much. */
bool budget_table_spend(struct budget_table *t, unsigned worker, unsigned cell,
                        struct budget_amount need);
/* Say that NEED is wanted, beyond what was used (zero: no more than there is). HOPE: it would be
   welcome, and when it is not there nothing is to happen. */
enum budget_wish { BUDGET_HOPE, BUDGET_NEED };
void budget_table_ask(struct budget_table *t, unsigned worker, unsigned cell, enum budget_wish wish,
                      struct budget_amount need);
/* Give back all that is left. */
void budget_table_give_back(struct budget_table *t, unsigned worker, unsigned cell);

/* Has control said that the budget is used up? */
bool budget_table_is_used_up(const struct budget_table *t, unsigned worker, unsigned cell);

/* ---- control ---- */

/* Changes when a worker of the first WORKERS has asked for something, or wants to give back. */
uint64_t budget_table_news(const struct budget_table *t, unsigned workers);

/* A cell as control sees it. */
struct budget_cell {
    unsigned worker, cell;
    uint64_t turn, grant;
    struct budget_amount need; /* wanted and not given */
    bool is_needed;            /* and not only hoped for */
    struct budget_amount back; /* to be taken back */
};

/* The next cell of DATABASE from *AT on (0 at first) that wants something; false at the end. New
   turns are answered on the way. */
bool budget_table_next(struct budget_table *t, unsigned workers, unsigned database, uint64_t *at,
                       struct budget_cell *ret);

/* The database has counted this for the cell. Harmless when its turn is over: then it is lost. */
void budget_table_give(struct budget_table *t, const struct budget_cell *c,
                       struct budget_amount portion);
/* What the cell gives back is control's from now on, and a turn that is over is answered. */
void budget_table_take_back(struct budget_table *t, const struct budget_cell *c);
void budget_table_use_up(struct budget_table *t, const struct budget_cell *c);

#endif
