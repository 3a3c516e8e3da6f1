/* Portions of budgets between a database, controls and workers: whatever happens in whatever order,
 * no more is released than the budget, and nothing is lost but by a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/fd.h"
#include "priv/budget_table.h"

enum { GATEWAYS = 2, WORKERS = 2, DATABASE = 3, GRANT = 31, LIMIT = 1000 };

/* One gateway: its mappings outlive its processes. */
static struct gateway {
    int given, asked;
    struct budget_table *control, *workers[WORKERS];
    int cells[WORKERS]; /* -1: none */
} gateways[GATEWAYS];

static uint64_t taken, released; /* of the budget, in the database; to clients */
static bool is_crashed;          /* something may have been lost */

static void map(struct gateway *g)
{
    struct err err;
    assert_int_equal(budget_table_map_control(g->given, g->asked, &g->control, &err), 0);
    for (unsigned w = 0; w < WORKERS; w++) {
        assert_int_equal(budget_table_map_worker(g->given, g->asked, w, &g->workers[w], &err), 0);
        g->cells[w] = -1;
    }
}

static int begin(void **state)
{
    struct err err;
    (void)state;
    taken = released = 0;
    is_crashed = false;
    for (int i = 0; i < GATEWAYS; i++) {
        assert_int_equal(budget_table_create(&gateways[i].given, &gateways[i].asked, &err), 0);
        map(&gateways[i]);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (int i = 0; i < GATEWAYS; i++) {
        budget_table_unmap(gateways[i].control);
        for (unsigned w = 0; w < WORKERS; w++)
            budget_table_unmap(gateways[i].workers[w]);
        fd_close(&gateways[i].given);
        fd_close(&gateways[i].asked);
    }
    return 0;
}

/* ringfence.grant_budget_take(): all or nothing, and a sixteenth of what is left then. */
static uint64_t database_take(uint64_t need)
{
    uint64_t left = LIMIT - taken;
    if (need > left)
        return 0;
    uint64_t portion = need + (left - need) / 16;
    taken += portion;
    return portion;
}

/* What control does in a turn; CRASH: it dies between the two halves of the step that it comes to.
   Returns what was refused. */
static unsigned control_turn(struct gateway *g, int crash)
{
    struct budget_cell c;
    unsigned refused = 0;
    for (uint64_t at = 0; budget_table_next(g->control, WORKERS, DATABASE, &at, &c);) {
        assert_int_equal(c.grant, GRANT);
        if (c.back.rows > 0 || (c.turn & 1) == 0) {
            budget_table_take_back(g->control, &c);
            if (crash == 1) {
                is_crashed = true;
                return refused;
            }
            assert_true(c.back.rows <= taken);
            taken -= c.back.rows;
            continue;
        }
        struct budget_amount portion = { .rows = database_take(c.need.rows) };
        if (crash == 2 && portion.rows > 0) {
            is_crashed = true;
            return refused;
        }
        if (portion.rows > 0)
            budget_table_give(g->control, &c, portion);
        else
            refused += c.is_needed;
    }
    return refused;
}

static void control_restart(struct gateway *g)
{
    struct err err;
    budget_table_unmap(g->control);
    assert_int_equal(budget_table_map_control(g->given, g->asked, &g->control, &err), 0);
}

static void worker_claim(struct gateway *g, unsigned w)
{
    unsigned cell;
    if (budget_table_claim(g->workers[w], w, DATABASE, GRANT, &cell) == 0)
        g->cells[w] = (int)cell;
}

static bool worker_release(struct gateway *g, unsigned w, uint64_t n)
{
    struct budget_amount need = { .rows = n };
    unsigned cell = (unsigned)g->cells[w];
    if (budget_table_spend(g->workers[w], w, cell, need)) {
        released += n;
        budget_table_ask(g->workers[w], w, cell, BUDGET_NEED, (struct budget_amount){ 0 });
        budget_table_ask(g->workers[w], w, cell, BUDGET_HOPE, need);
        return true;
    }
    budget_table_ask(g->workers[w], w, cell, BUDGET_NEED, need);
    return false;
}

static void worker_leave(struct gateway *g, unsigned w)
{
    budget_table_leave(g->workers[w], w, (unsigned)g->cells[w]);
    g->cells[w] = -1;
}

/* Another process in its place. */
static void worker_crash(struct gateway *g, unsigned w)
{
    struct err err;
    budget_table_unmap(g->workers[w]);
    assert_int_equal(budget_table_map_worker(g->given, g->asked, w, &g->workers[w], &err), 0);
    budget_table_adopt(g->workers[w], w);
    g->cells[w] = -1;
}

static void step(bool crashes)
{
    struct gateway *g = &gateways[rand() % GATEWAYS];
    unsigned w = (unsigned)rand() % WORKERS;
    int what = rand() % 100;
    if (what < 40)
        (void)control_turn(g, crashes && rand() % 20 == 0 ? 1 + rand() % 2 : 0);
    else if (crashes && what < 42)
        worker_crash(g, w);
    else if (crashes && what < 44)
        control_restart(g);
    else if (g->cells[w] < 0)
        worker_claim(g, w);
    else if (what < 50)
        worker_leave(g, w);
    else if (what < 60)
        budget_table_give_back(g->workers[w], w, (unsigned)g->cells[w]);
    else
        (void)worker_release(g, w, 1 + (uint64_t)rand() % 40);
    assert_true(released <= taken);
    assert_true(taken <= LIMIT);
}

static void come_to_rest(void)
{
    for (int i = 0; i < GATEWAYS; i++) {
        for (unsigned w = 0; w < WORKERS; w++)
            if (gateways[i].cells[w] >= 0)
                worker_leave(&gateways[i], w);
        (void)control_turn(&gateways[i], 0);
    }
}

static void no_more_is_released_than_the_budget_in_any_order(void **state)
{
    for (int round = 0; round < 400; round++) {
        srand((unsigned)round);
        for (int i = 0; i < 300; i++)
            step(round % 2 == 1);
        come_to_rest();
        assert_true(released <= taken);
        if (!is_crashed) /* a worker's crash alone loses nothing: what it used stands in its cell */
            assert_int_equal(released, taken);
        assert_int_equal(end(state), 0);
        assert_int_equal(begin(state), 0);
    }
}

static void all_of_it_can_be_used(void **state)
{
    struct gateway *g = &gateways[0];
    (void)state;
    worker_claim(g, 0);
    worker_claim(&gateways[1], 1);
    for (int i = 0; i < 10000 && released < LIMIT; i++) {
        struct gateway *who = &gateways[i % 2];
        if (!worker_release(who, (unsigned)(i % 2), 1) && control_turn(who, 0) > 0)
            for (int k = 0; k < GATEWAYS; k++) { /* refused: the others give back what idles */
                budget_table_give_back(gateways[k].workers[k], (unsigned)k,
                                       (unsigned)gateways[k].cells[k]);
                (void)control_turn(&gateways[k], 0);
            }
    }
    assert_int_equal(released, LIMIT);
    assert_false(worker_release(g, 0, 1));
    assert_int_equal(control_turn(g, 0), 1);
}

static void a_cell_is_another_grants_when_control_has_answered(void **state)
{
    struct gateway *g = &gateways[0];
    unsigned cell, other;
    (void)state;
    worker_claim(g, 0);
    assert_false(worker_release(g, 0, 7));
    (void)control_turn(g, 0);
    assert_true(worker_release(g, 0, 7));
    cell = (unsigned)g->cells[0];
    worker_leave(g, 0);
    assert_int_equal(budget_table_claim(g->workers[0], 0, DATABASE, GRANT, &other), 0);
    assert_int_not_equal(cell, other); /* what is left in it is not taken back yet */
    (void)control_turn(g, 0);
    assert_int_equal(taken, 7);
    assert_int_equal(budget_table_claim(g->workers[0], 0, DATABASE, GRANT, &other), 0);
    assert_int_equal(cell, other);
    assert_int_equal(budget_table_balance(g->workers[0], 0, cell).rows, 0);
}

/* A worker that writes what it likes cannot have more taken back than it was given. */
static void what_was_not_given_is_not_taken_back(void **state)
{
    struct gateway *g = &gateways[0];
    struct budget_cell c;
    uint64_t at = 0;
    (void)state;
    worker_claim(g, 0);
    assert_false(worker_release(g, 0, 10));
    (void)control_turn(g, 0);
    uint64_t given = taken;
    budget_table_give_back(g->workers[0], 0, (unsigned)g->cells[0]);
    budget_table_ask(g->workers[0], 0, (unsigned)g->cells[0], BUDGET_NEED,
                     (struct budget_amount){ 0 });
    assert_true(budget_table_next(g->control, WORKERS, DATABASE, &at, &c));
    assert_int_equal(c.back.rows, given);
    budget_table_take_back(g->control, &c);
    at = 0;
    assert_false(budget_table_next(g->control, WORKERS, DATABASE, &at, &c)); /* once */
    assert_false(budget_table_spend(g->workers[0], 0, (unsigned)g->cells[0],
                                    (struct budget_amount){ .rows = 1 }));
}

static void another_database_is_somebody_elses(void **state)
{
    struct gateway *g = &gateways[0];
    struct budget_cell c;
    uint64_t at = 0;
    (void)state;
    worker_claim(g, 0);
    assert_false(worker_release(g, 0, 1));
    assert_false(budget_table_next(g->control, WORKERS, DATABASE + 1, &at, &c));
    at = 0;
    assert_true(budget_table_next(g->control, WORKERS, DATABASE, &at, &c));
    assert_true(c.is_needed);
    budget_table_use_up(g->control, &c);
    assert_true(budget_table_is_used_up(g->workers[0], 0, (unsigned)g->cells[0]));
    at = 0;
    assert_false(budget_table_next(g->control, WORKERS, DATABASE, &at, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_more_is_released_than_the_budget_in_any_order, begin,
                                        end),
        cmocka_unit_test_setup_teardown(all_of_it_can_be_used, begin, end),
        cmocka_unit_test_setup_teardown(a_cell_is_another_grants_when_control_has_answered, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_was_not_given_is_not_taken_back, begin, end),
        cmocka_unit_test_setup_teardown(another_database_is_somebody_elses, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
