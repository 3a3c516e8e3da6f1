/* campaign.c - counting, failing, and watching the blocks that mem.c hands out. */
#include "campaign.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"

enum { BLOCKS_MAX = 1 << 20 };

unsigned long campaign_at, campaign_passes;
const char *campaign_point = "";

static struct {
    const char *name;
    unsigned count, failed;
} tests;

/* ---- blocks ---- */

void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void __wrap_free(void *ptr);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void __real_free(void *ptr);

/* Open addressing, linear probing; blocks that others allocated are not in it and do not count. */
static uintptr_t blocks[BLOCKS_MAX];
static unsigned long block_count;

static size_t home_of(uintptr_t block)
{
    return (size_t)((block >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 44) % BLOCKS_MAX;
}

static void block_add(void *ptr)
{
    size_t i = home_of((uintptr_t)ptr);
    if (ptr == NULL)
        return;
    RF_ASSERT(block_count < BLOCKS_MAX / 2);
    while (blocks[i] != 0)
        i = (i + 1) % BLOCKS_MAX;
    blocks[i] = (uintptr_t)ptr;
    block_count++;
}

static void block_remove(uintptr_t block)
{
    size_t i = home_of(block);
    if (block == 0)
        return;
    while (blocks[i] != 0 && blocks[i] != block)
        i = (i + 1) % BLOCKS_MAX;
    if (blocks[i] == 0)
        return;
    blocks[i] = 0;
    block_count--;
    /* those behind it may have been pushed on by it: put them in again */
    for (i = (i + 1) % BLOCKS_MAX; blocks[i] != 0; i = (i + 1) % BLOCKS_MAX) {
        uintptr_t moved = blocks[i];
        size_t to = home_of(moved);
        blocks[i] = 0;
        while (blocks[to] != 0)
            to = (to + 1) % BLOCKS_MAX;
        blocks[to] = moved;
    }
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *ptr = __real_calloc(count, size);
    block_add(ptr);
    return ptr;
}

void *__wrap_realloc(void *ptr, size_t size)
{
    uintptr_t before = (uintptr_t)ptr;
    void *after = __real_realloc(ptr, size);
    if (after != NULL || size == 0)
        block_remove(before);
    block_add(after);
    return after;
}

void __wrap_free(void *ptr)
{
    block_remove((uintptr_t)ptr);
    __real_free(ptr);
}

/* ---- runs ---- */

bool campaign_hit(const char *name)
{
    return strcmp(name, campaign_point) == 0 && ++campaign_passes == campaign_at;
}

static void on_abort(int number)
{
    char line[256];
    int n =
        snprintf(line, sizeof(line), "not ok %u - %s: ended the process when %s failed at %lu\n",
                 tests.count + 1, tests.name, campaign_point, campaign_at);
    (void)fflush(stdout);
    if (n > 0 && write(STDOUT_FILENO, line, (size_t)n) < 0)
        n = 0;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static int run_once(campaign_fn *fn, void *arg, unsigned long at)
{
    campaign_at = at;
    campaign_passes = 0;
    return fn(arg);
}

/* What went wrong at AT, or NULL. */
static const char *fails_well(campaign_fn *fn, void *arg, unsigned long at)
{
    unsigned long before = block_count;
    int rc = run_once(fn, arg, at);
    if (block_count != before)
        return "left blocks behind";
    if (rc < 0 && (at == 0 || campaign_passes < at))
        return "failed though nothing did";
    return NULL;
}

void campaign_run(const char *name, campaign_fn *fn, void *arg, const char *point,
                  unsigned long step)
{
    const char *wrong = NULL;
    unsigned long at = 0, runs = 0;
    tests.name = name;
    campaign_point = point;
    (void)signal(SIGABRT, on_abort);
    (void)run_once(fn, arg, 0); /* what is made once a process */
    wrong = fails_well(fn, arg, 0);
    unsigned long passes = campaign_passes;
    for (at = 1; wrong == NULL && at <= passes; at += step, runs++) {
        wrong = fails_well(fn, arg, at);
        if (campaign_passes > passes)
            passes = campaign_passes; /* the way around a failure may be longer */
        if (wrong != NULL)
            break;
    }
    tests.count++;
    tests.failed += wrong != NULL;
    if (wrong != NULL)
        printf("not ok %u - %s: %s when %s failed at %lu\n", tests.count, name, wrong, point, at);
    else
        printf("ok %u - %s: %s failed at %lu of %lu\n", tests.count, name, point, runs, passes);
    (void)fflush(stdout);
}

int campaign_end(void)
{
    printf("1..%u\n", tests.count);
    return tests.failed == 0 ? 0 : 1;
}
