/* timer.h - deadlines in a pairing heap; a timer lives inside its owner, so starting one cannot
 * fail (Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", 1986). */
#ifndef RF_IO_TIMER_H
#define RF_IO_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct timer;
typedef void timer_fn(struct timer *t);

struct timer {
    timer_fn *fn;
    int64_t at_ms;                       /* clock_mono_ms() */
    struct timer *child, *next, *before; /* before: the left sibling, or the parent */
    bool running;
};

struct timer_heap {
    struct timer *first;
};

void timer_set(struct timer_heap *h, struct timer *t, int64_t at_ms); /* start or move */
void timer_unset(struct timer_heap *h, struct timer *t); /* harmless when not running */

/* The earliest deadline, or -1. */
int64_t timer_next_ms(const struct timer_heap *h);

/* Take the earliest timer that is due at NOW_MS off the heap, or NULL. */
struct timer *timer_take_due(struct timer_heap *h, int64_t now_ms);

#endif
