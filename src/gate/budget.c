#include "gate/budget.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/grant.h"
#include "gate/session.h"
#include "gate/worker.h"

struct budget {
    uint64_t grant;
    unsigned database, cell, sessions;
    struct budget_amount limit; /* of the grant, when its portion was asked for */
    int64_t used_ms;            /* when something was taken, or waited for, last */
    bool waits, is_idle;        /* waits: since the last tick somebody was told to */
    struct budget *next;
};

/* ---- of a worker ---- */

static bool is_limited(const struct grant *g)
{
    return g->entry.rows != BUDGET_UNLIMITED || g->entry.bytes != BUDGET_UNLIMITED;
}

static struct budget *find(const struct worker *w, const struct grant *g)
{
    struct budget *b = w->first_budget;
    while (b != NULL && (b->grant != g->entry.id || b->database != g->database))
        b = b->next;
    return b;
}

static struct budget *make(struct worker *w, const struct grant *g)
{
    struct budget *b = mem_zalloc(1, sizeof(*b));
    if (b == NULL)
        return NULL;
    b->grant = g->entry.id;
    b->database = g->database;
    b->limit = (struct budget_amount){ g->entry.rows, g->entry.bytes };
    if (budget_table_claim(w->budgets, w->child.index, b->database, b->grant, &b->cell) < 0) {
        log_error("budget-without-place", "grant=%" PRIu64, b->grant);
        mem_free(b);
        return NULL;
    }
    b->next = w->first_budget;
    w->first_budget = b;
    return b;
}

static void drop(struct worker *w, struct budget *b)
{
    struct budget **link = &w->first_budget;
    while (*link != b)
        link = &(*link)->next;
    *link = b->next;
    budget_table_leave(w->budgets, w->child.index, b->cell);
    mem_free(b);
}

/* ---- of a session ---- */

/* What the budget says nothing of is not counted. */
static struct budget_amount limited(const struct grant *g, struct budget_amount a)
{
    if (g->entry.rows == BUDGET_UNLIMITED)
        a.rows = 0;
    if (g->entry.bytes == BUDGET_UNLIMITED)
        a.bytes = 0;
    return a;
}

static void ask(const struct worker *w, const struct budget *b, enum budget_wish wish,
                struct budget_amount need)
{
    budget_table_ask(w->budgets, w->child.index, b->cell, wish, need);
}

int budget_enter(struct session *s)
{
    static const struct budget_amount some = { 1, 1 };
    struct grant *g = s->grant;
    struct worker *w = s->worker;
    if (!is_limited(g))
        return 0;
    g->budget = find(w, g);
    if (g->budget == NULL)
        g->budget = make(w, g);
    if (g->budget == NULL)
        return -RF_ENOMEM;
    g->budget->sessions++;
    g->budget->used_ms = clock_mono_ms();
    g->budget->is_idle = false;
    ask(w, g->budget, BUDGET_HOPE, limited(g, some));
    return 0;
}

/* Whoever else waits for more says so again in a moment. */
void budget_leave(struct session *s)
{
    static const struct budget_amount nothing;
    struct budget *b = s->grant->budget;
    s->grant->budget = NULL;
    if (b == NULL)
        return;
    ask(s->worker, b, BUDGET_NEED, nothing);
    if (--b->sessions == 0)
        drop(s->worker, b);
}

/* What was given under a larger budget is not spent under a smaller one. */
static void heed_limit(struct worker *w, struct budget *b, const struct grant *g)
{
    if (b->limit.rows == g->entry.rows && b->limit.bytes == g->entry.bytes)
        return;
    b->limit = (struct budget_amount){ g->entry.rows, g->entry.bytes };
    budget_table_give_back(w->budgets, w->child.index, b->cell);
}

enum budget_answer budget_take(struct session *s, struct budget_amount need)
{
    static const struct budget_amount nothing;
    struct grant *g = s->grant;
    struct worker *w = s->worker;
    if (g == NULL || !is_limited(g))
        return BUDGET_GOOD;
    need = limited(g, need);
    if (need.rows == 0 && need.bytes == 0)
        return BUDGET_GOOD;
    if (g->budget == NULL && budget_enter(s) < 0) /* a reload has set a budget */
        return BUDGET_WAITING;
    struct budget *b = g->budget;
    heed_limit(w, b, g);
    b->used_ms = clock_mono_ms();
    b->is_idle = false;
    if (budget_table_spend(w->budgets, w->child.index, b->cell, need)) {
        ask(w, b, BUDGET_NEED, nothing);
        ask(w, b, BUDGET_HOPE, need); /* the next part may be as large */
        return BUDGET_GOOD;
    }
    if (budget_table_is_used_up(w->budgets, w->child.index, b->cell))
        return BUDGET_USED_UP;
    ask(w, b, BUDGET_NEED, need);
    b->waits = true;
    loop_timer(w->loop, &w->grant_timer, BUDGET_TICK_MS);
    return BUDGET_WAITING;
}

bool budget_is_awaited(const struct worker *w)
{
    const struct budget *b = w->first_budget;
    while (b != NULL && !b->waits)
        b = b->next;
    return b != NULL;
}

bool budget_on_tick(struct worker *w, int64_t now_ms)
{
    bool any_waits = budget_is_awaited(w);
    for (struct budget *b = w->first_budget; b != NULL; b = b->next) {
        b->waits = false;
        if (!b->is_idle && now_ms - b->used_ms >= BUDGET_IDLE_MS) {
            budget_table_give_back(w->budgets, w->child.index, b->cell);
            b->is_idle = true;
        }
    }
    return any_waits;
}

/* ---- words ---- */

void budget_words(struct budget_amount budget, char out[BUDGET_SENTENCE_SIZE])
{
    bool has_rows = budget.rows != BUDGET_UNLIMITED, has_bytes = budget.bytes != BUDGET_UNLIMITED;
    char rows[32] = "", bytes[32] = "";
    if (has_rows)
        (void)snprintf(rows, sizeof(rows), "%" PRIu64 " row%s", budget.rows,
                       budget.rows == 1 ? "" : "s");
    if (has_bytes)
        (void)snprintf(bytes, sizeof(bytes), "%" PRIu64 " bytes", budget.bytes);
    (void)snprintf(out, BUDGET_SENTENCE_SIZE, "%s%s%s", rows, has_rows && has_bytes ? " and " : "",
                   bytes);
}

void budget_error(const struct session *s, struct budget_amount need, struct err *ret)
{
    char budget[BUDGET_SENTENCE_SIZE];
    const struct grant *g = s->grant;
    budget_words((struct budget_amount){ g->entry.rows, g->entry.bytes }, budget);
    (void)err_set(ret, RF_EDENIED,
                  "the budget of grant %llu, %s in all, is used up: %llu row%s and %llu bytes "
                  "more were not released",
                  (unsigned long long)g->entry.id, budget, (unsigned long long)need.rows,
                  need.rows == 1 ? "" : "s", (unsigned long long)need.bytes);
    err_sqlstate(ret, "53400");
    err_hint(ret, "the grant has ended; ask for another one, or for less at once");
}
