#include "control/budgets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "enforce/database.h"

#define NEED_MAX (UINT64_C(1) << 50)

void budgets_init(struct budgets *b, struct budget_table *table, const struct grant_table *grants,
                  unsigned workers, unsigned database)
{
    *b = (struct budgets){
        .table = table, .grants = grants, .workers = workers, .database = database
    };
}

int64_t budgets_due_ms(const struct budgets *b)
{
    return b->table != NULL && (b->has_any || b->refused_count > 0) ? b->look_ms : INT64_MAX;
}

/* ---- refusals ---- */

static bool is_same(const struct budget_cell *a, const struct budget_cell *b)
{
    return a->worker == b->worker && a->cell == b->cell && a->turn == b->turn;
}

static void forget_refusal(struct budgets *b, const struct budget_cell *c)
{
    for (size_t i = 0; i < b->refused_count; i++)
        if (is_same(&b->refused[i].cell, c))
            b->refused[i--] = b->refused[--b->refused_count];
}

/* Of what is only hoped for nothing is remembered. More at once than there is room for wait until
   there is. */
static void note_refusal(struct budgets *b, const struct budget_cell *c, int64_t now_ms)
{
    if (!c->is_needed) {
        forget_refusal(b, c);
        return;
    }
    for (size_t i = 0; i < b->refused_count; i++)
        if (is_same(&b->refused[i].cell, c)) {
            b->refused[i].is_over = now_ms - b->refused[i].since_ms >= BUDGETS_PATIENCE_MS;
            return;
        }
    if (b->refused_count < BUDGETS_AT_ONCE)
        b->refused[b->refused_count++] = (struct budgets_refusal){ .cell = *c, .since_ms = now_ms };
}

/* Of whoever does not want any more what he was refused. */
static void drop_old_refusals(struct budgets *b, int64_t now_ms)
{
    for (size_t i = 0; i < b->refused_count; i++)
        if (now_ms - b->refused[i].since_ms > 3 * BUDGETS_PATIENCE_MS)
            b->refused[i--] = b->refused[--b->refused_count];
}

/* ---- questions ---- */

/* Sorted by grant: the database locks them in this order. False: there is no room. */
static bool put(struct budgets *b, const struct budget_cell *c)
{
    if (b->asked_count == BUDGETS_AT_ONCE)
        return false;
    size_t at = b->asked_count++;
    for (; at > 0 && b->asked[at - 1].grant > c->grant; at--)
        b->asked[at] = b->asked[at - 1];
    b->asked[at] = *c;
    return true;
}

static void put_number(char *sql, size_t *n, uint64_t number)
{
    if (number == BUDGET_UNLIMITED || number > INT64_MAX)
        *n += (size_t)snprintf(sql + *n, BUDGETS_QUESTION_SIZE - *n, "NULL");
    else
        *n += (size_t)snprintf(sql + *n, BUDGETS_QUESTION_SIZE - *n, "%" PRIu64, number);
}

/* What C may ask for: of a grant that is open, as far as there is a budget; false: nothing. Numbers
   that only a worker which was taken over can mean would be an error in the database. */
static bool trim(const struct budgets *b, struct budget_cell *c, struct grant_entry *ret)
{
    if (grant_table_look(b->grants, b->database, c->grant, ret) != 1 || ret->closed ||
        c->need.rows > NEED_MAX || c->need.bytes > NEED_MAX)
        return false;
    if (ret->rows == BUDGET_UNLIMITED)
        c->need.rows = 0;
    if (ret->bytes == BUDGET_UNLIMITED)
        c->need.bytes = 0;
    return c->need.rows > 0 || c->need.bytes > 0;
}

static void begin_list(char *sql, size_t *n, const char *head)
{
    /* what a server forgets in a crash is given twice, whatever it is configured to */
    *n = (size_t)snprintf(sql, BUDGETS_QUESTION_SIZE,
                          "SET LOCAL lock_timeout = '500ms'; SET LOCAL synchronous_commit = on;%s",
                          head);
}

static void write_take(struct budgets *b, char *sql)
{
    size_t n;
    struct grant_entry e;
    begin_list(sql, &n, "SELECT u.n, t.* FROM (VALUES ");
    for (size_t i = 0; i < b->asked_count; i++) {
        struct budget_cell *c = &b->asked[i];
        bool is_open = trim(b, c, &e);
        const uint64_t columns[] = {
            i, c->grant, is_open ? e.rows : 0, is_open ? e.bytes : 0, c->need.rows, c->need.bytes
        };
        for (size_t k = 0; k < RF_COUNT(columns); k++) {
            n += (size_t)snprintf(sql + n, BUDGETS_QUESTION_SIZE - n, "%s",
                                  k > 0   ? ","
                                  : i > 0 ? ",("
                                          : "(");
            put_number(sql, &n, columns[k]);
            n += (size_t)snprintf(sql + n, BUDGETS_QUESTION_SIZE - n, "::bigint");
        }
        n += (size_t)snprintf(sql + n, BUDGETS_QUESTION_SIZE - n, ")");
    }
    (void)snprintf(sql + n, BUDGETS_QUESTION_SIZE - n,
                   ") u(n, id, rl, bl, rn, bn),"
                   " LATERAL ringfence.grant_budget_take(u.id, u.rl, u.bl, u.rn, u.bn) t");
}

/* What is given back counts here first: should the question be lost, so is the portion. */
static void write_return(struct budgets *b, char *sql)
{
    size_t n;
    begin_list(sql, &n, "SELECT count(*) FROM (VALUES ");
    for (size_t i = 0; i < b->asked_count; i++) {
        const struct budget_cell *c = &b->asked[i];
        budget_table_take_back(b->table, c);
        n += (size_t)snprintf(sql + n, BUDGETS_QUESTION_SIZE - n,
                              "%s(%" PRIu64 "::bigint,%" PRIu64 "::bigint,%" PRIu64 "::bigint)",
                              i > 0 ? "," : "", c->grant, c->back.rows, c->back.bytes);
    }
    (void)snprintf(sql + n, BUDGETS_QUESTION_SIZE - n,
                   ") u(id, r, b), LATERAL ringfence.grant_budget_return(u.id, u.r, u.b) t");
}

/* Of one grant alone: its request is locked before the counter of grants, and that stays locked. */
static void write_use_up(struct budgets *b, char *sql)
{
    size_t n;
    const struct budget_cell c = b->asked[0];
    budget_table_use_up(b->table, &c);
    forget_refusal(b, &c);
    begin_list(sql, &n, "SELECT ");
    (void)snprintf(sql + n, BUDGETS_QUESTION_SIZE - n,
                   "%" PRIu64 ", ringfence.grant_use_up(%" PRIu64 ")", c.grant, c.grant);
}

/* Cells that give something back, or else those that want something. */
static enum budgets_question gather(struct budgets *b)
{
    struct budget_cell c;
    struct grant_entry e;
    enum budgets_question what = BUDGETS_NOTHING;
    for (uint64_t at = 0; budget_table_next(b->table, b->workers, b->database, &at, &c);) {
        bool gives = c.back.rows > 0 || c.back.bytes > 0 || (c.turn & 1) == 0;
        if (!gives && !trim(b, &c, &e))
            continue;
        if (gives && what != BUDGETS_RETURN)
            b->asked_count = 0;
        if (gives)
            what = BUDGETS_RETURN;
        else if (what == BUDGETS_NOTHING)
            what = BUDGETS_TAKE;
        if (gives == (what == BUDGETS_RETURN) && !put(b, &c))
            break;
    }
    return what;
}

bool budgets_ask(struct budgets *b, char sql[BUDGETS_QUESTION_SIZE])
{
    int64_t now_ms = clock_mono_ms();
    if (b->table == NULL || now_ms < budgets_due_ms(b))
        return false;
    b->look_ms = now_ms + BUDGETS_LOOK_MS;
    b->asked_count = 0;
    drop_old_refusals(b, now_ms);
    for (size_t i = 0; i < b->refused_count && b->asked_count == 0; i++)
        if (b->refused[i].is_over)
            (void)put(b, &b->refused[i].cell);
    b->question = b->asked_count > 0 ? BUDGETS_USE_UP : BUDGETS_NOTHING;
    uint64_t news = budget_table_news(b->table, b->workers);
    if (b->question == BUDGETS_NOTHING && (news != b->news || b->refused_count > 0))
        b->question = gather(b);
    if (b->question == BUDGETS_NOTHING)
        b->news = news; /* as of before the look */
    else if (b->question == BUDGETS_TAKE)
        write_take(b, sql);
    else if (b->question == BUDGETS_RETURN)
        write_return(b, sql);
    else
        write_use_up(b, sql);
    return b->question != BUDGETS_NOTHING;
}

/* ---- answers ---- */

static uint64_t number(const PGresult *r, int row, int column)
{
    return strtoull(database_value(r, row, column), NULL, 10);
}

static void take(struct budgets *b, const PGresult *r)
{
    int64_t now_ms = clock_mono_ms();
    for (int row = 0; row < PQntuples(r); row++) {
        uint64_t i = number(r, row, 0);
        if (i >= b->asked_count)
            continue;
        const struct budget_cell *c = &b->asked[i];
        struct budget_amount portion = { number(r, row, 1), number(r, row, 2) };
        if (portion.rows >= c->need.rows && portion.bytes >= c->need.bytes) {
            budget_table_give(b->table, c, portion);
            forget_refusal(b, c);
        } else {
            note_refusal(b, c, now_ms);
        }
    }
}

size_t budgets_answer(struct budgets *b, const PGresult *r, uint64_t *ended)
{
    size_t count = 0;
    enum budgets_question what = b->question;
    b->question = BUDGETS_NOTHING;
    if (what == BUDGETS_TAKE)
        take(b, r);
    for (int row = 0; what == BUDGETS_USE_UP && row < PQntuples(r); row++)
        if (database_true(r, row, 1) && count < BUDGETS_AT_ONCE)
            ended[count++] = number(r, row, 0);
    for (size_t i = 0; i < count; i++)
        log_info("grant-used-up", "grant=%" PRIu64, ended[i]);
    return count;
}

void budgets_lost(struct budgets *b)
{
    b->question = BUDGETS_NOTHING;
    b->look_ms = clock_mono_ms() + BUDGETS_AGAIN_MS;
}
