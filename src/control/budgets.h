/* budgets.h - portions of the budgets of one region's grants, from its database to the workers.
 *
 *   a cell wants more      grant_budget_take()     given to it, or refused
 *   a cell gives back      noted as taken back     grant_budget_return()
 *   refused for long       grant_use_up()          its sessions hear it, everybody's end
 *
 * One question at a time, sent by grants.c over its line to the primary when nothing else is under
 * way there. What the database was asked for and did not answer counts as taken and given to
 * nobody. A refusal is not the end at once: somebody else may be about to give back what he does
 * not use (BUDGET_IDLE_MS), and the end of a grant is not undone. */
#ifndef RF_CONTROL_BUDGETS_H
#define RF_CONTROL_BUDGETS_H

#include <libpq-fe.h>

#include "priv/budget_table.h"
#include "priv/grant_table.h"

enum {
    BUDGETS_LOOK_MS = 20,      /* between two looks, while grants with a budget are open */
    BUDGETS_AGAIN_MS = 100,    /* after a question that was lost */
    BUDGETS_PATIENCE_MS = 700, /* how long a refusal must last */
    BUDGETS_AT_ONCE = 32,
    BUDGETS_QUESTION_SIZE = 6 * BUDGETS_AT_ONCE * 32 + 500
};

enum budgets_question { BUDGETS_NOTHING, BUDGETS_TAKE, BUDGETS_RETURN, BUDGETS_USE_UP };

struct budgets_refusal {
    struct budget_cell cell;
    int64_t since_ms;
    bool is_over; /* patience is */
};

struct budgets {
    struct budget_table *table;
    const struct grant_table *grants;
    unsigned workers, database;
    bool has_any; /* grants with a budget are open: set by whoever publishes them */
    uint64_t news;
    int64_t look_ms;
    enum budgets_question question; /* that is under way */
    struct budget_cell asked[BUDGETS_AT_ONCE];
    size_t asked_count;
    struct budgets_refusal refused[BUDGETS_AT_ONCE];
    size_t refused_count;
};

/* Borrows the tables. TABLE NULL: there are no budgets. */
void budgets_init(struct budgets *b, struct budget_table *table, const struct grant_table *grants,
                  unsigned workers, unsigned database);

int64_t budgets_due_ms(const struct budgets *b);

/* The next question; false: there is none now. It is under way until one of the next two. */
bool budgets_ask(struct budgets *b, char sql[BUDGETS_QUESTION_SIZE]);
/* ENDED has room for BUDGETS_AT_ONCE: the grants that are used up. Returns how many. */
size_t budgets_answer(struct budgets *b, const PGresult *r, uint64_t *ended);
void budgets_lost(struct budgets *b);

#endif
