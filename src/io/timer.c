#include "io/timer.h"

#include <stddef.h>

/* Join two heaps; either may be NULL. Neither root has siblings. */
static struct timer *join(struct timer *a, struct timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (b->at_ms < a->at_ms) {
        struct timer *swap = a;
        a = b;
        b = swap;
    }
    b->before = a;
    b->next = a->child;
    if (a->child != NULL)
        a->child->before = b;
    a->child = b;
    return a;
}

static struct timer *detach(struct timer *t)
{
    t->next = t->before = NULL;
    return t;
}

/* Join a list of siblings into one heap: pairs from the left, then all from the right. */
static struct timer *join_siblings(struct timer *list)
{
    struct timer *pairs = NULL, *joined = NULL;
    while (list != NULL) {
        struct timer *a = list, *b = a->next;
        list = b != NULL ? b->next : NULL;
        a = join(detach(a), b != NULL ? detach(b) : NULL);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct timer *a = pairs;
        pairs = a->next;
        joined = join(joined, detach(a));
    }
    return joined;
}

void timer_unset(struct timer_heap *h, struct timer *t)
{
    if (!t->running)
        return;
    if (h->first == t) {
        h->first = join_siblings(t->child);
    } else {
        if (t->before->child == t)
            t->before->child = t->next;
        else
            t->before->next = t->next;
        if (t->next != NULL)
            t->next->before = t->before;
        h->first = join(h->first, join_siblings(t->child));
    }
    t->child = t->next = t->before = NULL;
    t->running = false;
}

void timer_set(struct timer_heap *h, struct timer *t, int64_t at_ms)
{
    timer_unset(h, t);
    t->at_ms = at_ms;
    t->running = true;
    h->first = join(h->first, t);
}

int64_t timer_next_ms(const struct timer_heap *h)
{
    return h->first != NULL ? h->first->at_ms : -1;
}

struct timer *timer_take_due(struct timer_heap *h, int64_t now_ms)
{
    struct timer *t = h->first;
    if (t == NULL || t->at_ms > now_ms)
        return NULL;
    timer_unset(h, t);
    return t;
}
