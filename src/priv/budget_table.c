#include "priv/budget_table.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

enum { PAGE = 4096 };

/* What each side writes of one cell; a cache line, so that workers do not share one. */
struct asked_cell {
    _Atomic uint64_t turn, database, grant; /* whose that turn is */
    _Atomic uint64_t asked_rows, asked_bytes;
    _Atomic uint64_t used_rows, used_bytes;
    _Atomic uint64_t back_rows, back_bytes;
    _Atomic uint64_t hoped_rows, hoped_bytes;
    uint64_t pad[5];
};

struct given_cell {
    _Atomic uint64_t turn, database, grant; /* as the worker said when the turn began */
    _Atomic uint64_t given_rows, given_bytes;
    _Atomic uint64_t taken_rows, taken_bytes;
    _Atomic uint64_t is_used_up;
};

/* Of one worker: whole pages, because it maps nothing else. */
struct asking {
    _Atomic uint64_t news;
    _Atomic uint64_t reach; /* no cell from here on was ever used */
    uint64_t pad[PAGE / 8 - 2];
    struct asked_cell cells[BUDGET_CELLS];
};
_Static_assert(sizeof(struct asking) % PAGE == 0, "a worker's part can be mapped alone");

struct giving {
    struct given_cell cells[BUDGET_WORKERS_MAX][BUDGET_CELLS];
};

struct budget_table {
    struct asking *asking; /* COUNT of them, of the workers from FIRST on */
    unsigned first, count;
    struct giving *giving;
};

static struct asking *asking(const struct budget_table *t, unsigned worker)
{
    RF_ASSERT(worker >= t->first && worker - t->first < t->count);
    return &t->asking[worker - t->first];
}

static struct asked_cell *asked(const struct budget_table *t, unsigned worker, unsigned cell)
{
    return &asking(t, worker)->cells[cell];
}

static uint64_t get(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_acquire);
}

static void set(_Atomic uint64_t *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_release);
}

/* Whatever a worker that was taken over writes: never below zero. */
static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static bool is_odd(uint64_t turn)
{
    return (turn & 1) != 0;
}

/* ---- the mappings ---- */

static int create(const char *name, size_t size, int *ret_fd, struct err *err)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not create the table of budgets");
    if (ftruncate(fd, (off_t)size) < 0) {
        int rc = err_sys(err, "could not size the table of budgets");
        fd_close(&fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int budget_table_create(int *ret_given, int *ret_asked, struct err *err)
{
    int given = -1;
    int rc = create("ringfence-given", sizeof(struct giving), &given, err);
    if (rc == 0)
        rc = create("ringfence-asked", BUDGET_WORKERS_MAX * sizeof(struct asking), ret_asked, err);
    if (rc < 0)
        fd_close(&given);
    else
        *ret_given = given;
    return rc;
}

static void *map(int fd, bool writes, size_t size, off_t at)
{
    void *mapped =
        mmap(NULL, size, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, at);
    return mapped != MAP_FAILED ? mapped : NULL;
}

static int map_both(int given_fd, int asked_fd, bool is_control, unsigned first, unsigned count,
                    struct budget_table **ret, struct err *err)
{
    struct budget_table *t = mem_zalloc(1, sizeof(*t));
    if (t == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for the table of budgets");
    t->first = first;
    t->count = count;
    t->giving = map(given_fd, is_control, sizeof(*t->giving), 0);
    t->asking =
        map(asked_fd, !is_control, count * sizeof(*t->asking), (off_t)(first * sizeof(*t->asking)));
    if (t->giving == NULL || t->asking == NULL) {
        int rc = err_sys(err, "could not map the table of budgets");
        budget_table_unmap(t);
        return rc;
    }
    *ret = t;
    return 0;
}

int budget_table_map_worker(int given_fd, int asked_fd, unsigned worker, struct budget_table **ret,
                            struct err *err)
{
    RF_ASSERT(worker < BUDGET_WORKERS_MAX);
    return map_both(given_fd, asked_fd, false, worker, 1, ret, err);
}

int budget_table_map_control(int given_fd, int asked_fd, struct budget_table **ret, struct err *err)
{
    return map_both(given_fd, asked_fd, true, 0, BUDGET_WORKERS_MAX, ret, err);
}

void budget_table_unmap(struct budget_table *t)
{
    if (t == NULL)
        return;
    if (t->giving != NULL)
        (void)munmap(t->giving, sizeof(*t->giving));
    if (t->asking != NULL)
        (void)munmap(t->asking, t->count * sizeof(*t->asking));
    mem_free(t);
}

/* ---- a worker ---- */

static void tell(struct budget_table *t, unsigned worker)
{
    set(&asking(t, worker)->news, get(&asking(t, worker)->news) + 1);
}

void budget_table_adopt(struct budget_table *t, unsigned worker)
{
    uint64_t reach = get(&asking(t, worker)->reach);
    for (unsigned i = 0; i < reach && i < BUDGET_CELLS; i++)
        if (is_odd(get(&asked(t, worker, i)->turn)))
            budget_table_leave(t, worker, i);
}

int budget_table_claim(struct budget_table *t, unsigned worker, unsigned database, uint64_t grant,
                       unsigned *ret_cell)
{
    for (unsigned i = 0; i < BUDGET_CELLS; i++) {
        struct asked_cell *c = asked(t, worker, i);
        uint64_t turn = get(&c->turn);
        if (is_odd(turn) || get(&t->giving->cells[worker][i].turn) != turn)
            continue;
        _Atomic uint64_t *const fresh[] = { &c->asked_rows, &c->asked_bytes, &c->used_rows,
                                            &c->used_bytes, &c->back_rows,   &c->back_bytes,
                                            &c->hoped_rows, &c->hoped_bytes };
        for (size_t k = 0; k < RF_COUNT(fresh); k++)
            set(fresh[k], 0);
        set(&c->grant, grant);
        set(&c->database, database);
        set(&c->turn, turn + 1);
        if (get(&asking(t, worker)->reach) <= i)
            set(&asking(t, worker)->reach, i + 1);
        tell(t, worker);
        *ret_cell = i;
        return 0;
    }
    return -RF_ETOOMANY;
}

void budget_table_leave(struct budget_table *t, unsigned worker, unsigned cell)
{
    struct asked_cell *c = asked(t, worker, cell);
    set(&c->turn, get(&c->turn) + 1);
    tell(t, worker);
}

struct budget_amount budget_table_balance(const struct budget_table *t, unsigned worker,
                                          unsigned cell)
{
    const struct asked_cell *a = asked(t, worker, cell);
    const struct given_cell *g = &t->giving->cells[worker][cell];
    struct budget_amount left = { 0 };
    if (get(&g->turn) != get(&a->turn))
        return left; /* control has not seen yet whose it is */
    left.rows = minus(get(&g->given_rows), get(&a->used_rows) + get(&a->back_rows));
    left.bytes = minus(get(&g->given_bytes), get(&a->used_bytes) + get(&a->back_bytes));
    return left;
}

bool budget_table_spend(struct budget_table *t, unsigned worker, unsigned cell,
                        struct budget_amount need)
{
    struct asked_cell *a = asked(t, worker, cell);
    struct budget_amount left = budget_table_balance(t, worker, cell);
    if (left.rows < need.rows || left.bytes < need.bytes)
        return false;
    set(&a->used_rows, get(&a->used_rows) + need.rows);
    set(&a->used_bytes, get(&a->used_bytes) + need.bytes);
    return true;
}

void budget_table_ask(struct budget_table *t, unsigned worker, unsigned cell, enum budget_wish wish,
                      struct budget_amount need)
{
    struct asked_cell *a = asked(t, worker, cell);
    _Atomic uint64_t *to_rows = wish == BUDGET_NEED ? &a->asked_rows : &a->hoped_rows;
    _Atomic uint64_t *to_bytes = wish == BUDGET_NEED ? &a->asked_bytes : &a->hoped_bytes;
    uint64_t rows = need.rows == 0 ? 0 : get(&a->used_rows) + get(&a->back_rows) + need.rows;
    uint64_t bytes = need.bytes == 0 ? 0 : get(&a->used_bytes) + get(&a->back_bytes) + need.bytes;
    if (get(to_rows) == rows && get(to_bytes) == bytes)
        return;
    set(to_rows, rows);
    set(to_bytes, bytes);
    tell(t, worker);
}

void budget_table_give_back(struct budget_table *t, unsigned worker, unsigned cell)
{
    static const struct budget_amount nothing;
    struct asked_cell *a = asked(t, worker, cell);
    struct budget_amount left = budget_table_balance(t, worker, cell);
    budget_table_ask(t, worker, cell, BUDGET_HOPE, nothing);
    if (left.rows == 0 && left.bytes == 0)
        return;
    set(&a->back_rows, get(&a->back_rows) + left.rows);
    set(&a->back_bytes, get(&a->back_bytes) + left.bytes);
    tell(t, worker);
}

bool budget_table_is_used_up(const struct budget_table *t, unsigned worker, unsigned cell)
{
    const struct given_cell *g = &t->giving->cells[worker][cell];
    return get(&g->turn) == get(&asked(t, worker, cell)->turn) && get(&g->is_used_up) != 0;
}

/* ---- control ---- */

uint64_t budget_table_news(const struct budget_table *t, unsigned workers)
{
    uint64_t sum = 0; /* each only grows: so does their sum */
    for (unsigned w = 0; w < workers && w < BUDGET_WORKERS_MAX; w++)
        sum += get(&asking(t, w)->news);
    return sum;
}

static void begin_turn(struct given_cell *g, const struct budget_cell *c, unsigned database)
{
    set(&g->database, database);
    set(&g->grant, c->grant);
    set(&g->given_rows, 0);
    set(&g->given_bytes, 0);
    set(&g->taken_rows, 0);
    set(&g->taken_bytes, 0);
    set(&g->is_used_up, 0);
    set(&g->turn, c->turn);
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What is to be taken back of GIVEN: in a turn, what was said; behind it, all that was not used. */
static uint64_t back_of(uint64_t given, uint64_t used, uint64_t back, uint64_t taken, bool is_over)
{
    uint64_t unused = minus(given, used);
    return minus(is_over ? unused : least(back, unused), taken);
}

/* The turn of C that WORKER is in has been seen, or is now; false: the cell is not DATABASE's. */
static bool meet(struct budget_table *t, struct budget_cell *c, unsigned database)
{
    const struct asked_cell *a = asked(t, c->worker, c->cell);
    struct given_cell *g = &t->giving->cells[c->worker][c->cell];
    uint64_t answered = get(&g->turn);
    c->turn = get(&a->turn);
    c->grant = get(&a->grant);
    bool is_new = answered != c->turn && (is_odd(c->turn) || answered + 1 != c->turn);
    if (is_new && get(&a->database) != database)
        return false;
    if (is_new)
        begin_turn(g, c, database);
    c->grant = get(&g->grant);
    return c->turn != 0 && get(&g->database) == database;
}

/* False: there is nothing to do. */
static bool look(const struct budget_table *t, struct budget_cell *c)
{
    const struct asked_cell *a = asked(t, c->worker, c->cell);
    const struct given_cell *g = &t->giving->cells[c->worker][c->cell];
    uint64_t given_rows = get(&g->given_rows), given_bytes = get(&g->given_bytes);
    bool is_over = !is_odd(c->turn);
    c->back.rows =
        back_of(given_rows, get(&a->used_rows), get(&a->back_rows), get(&g->taken_rows), is_over);
    c->back.bytes = back_of(given_bytes, get(&a->used_bytes), get(&a->back_bytes),
                            get(&g->taken_bytes), is_over);
    if (is_over)
        return get(&g->turn) != c->turn;
    uint64_t rows = get(&a->asked_rows), bytes = get(&a->asked_bytes);
    c->is_needed = rows > given_rows || bytes > given_bytes;
    c->need.rows = minus(most(rows, get(&a->hoped_rows)), given_rows);
    c->need.bytes = minus(most(bytes, get(&a->hoped_bytes)), given_bytes);
    if (get(&g->is_used_up) != 0)
        c->need = (struct budget_amount){ 0 };
    return c->need.rows + c->need.bytes + c->back.rows + c->back.bytes > 0;
}

bool budget_table_next(struct budget_table *t, unsigned workers, unsigned database, uint64_t *at,
                       struct budget_cell *ret)
{
    while (*at / BUDGET_CELLS < workers && *at / BUDGET_CELLS < BUDGET_WORKERS_MAX) {
        struct budget_cell c = { .worker = (unsigned)(*at / BUDGET_CELLS),
                                 .cell = (unsigned)(*at % BUDGET_CELLS) };
        if (c.cell >= get(&asking(t, c.worker)->reach)) {
            *at = (uint64_t)(c.worker + 1) * BUDGET_CELLS;
            continue;
        }
        (*at)++;
        if (meet(t, &c, database) && look(t, &c)) {
            *ret = c;
            return true;
        }
    }
    return false;
}

void budget_table_give(struct budget_table *t, const struct budget_cell *c,
                       struct budget_amount portion)
{
    struct given_cell *g = &t->giving->cells[c->worker][c->cell];
    if (get(&g->turn) != c->turn)
        return;
    set(&g->given_rows, get(&g->given_rows) + portion.rows);
    set(&g->given_bytes, get(&g->given_bytes) + portion.bytes);
}

void budget_table_take_back(struct budget_table *t, const struct budget_cell *c)
{
    struct given_cell *g = &t->giving->cells[c->worker][c->cell];
    set(&g->taken_rows, get(&g->taken_rows) + c->back.rows);
    set(&g->taken_bytes, get(&g->taken_bytes) + c->back.bytes);
    if (!is_odd(c->turn))
        set(&g->turn, c->turn);
}

void budget_table_use_up(struct budget_table *t, const struct budget_cell *c)
{
    struct given_cell *g = &t->giving->cells[c->worker][c->cell];
    if (get(&g->turn) == c->turn)
        set(&g->is_used_up, 1);
}
