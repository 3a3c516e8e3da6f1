#include "control/known.h"

#include <string.h>

#include "base/mem.h"

enum { FIRST_CAP = 64, HOLES_MIN = 64 };

static bool is_hole(const struct grant_entry *e)
{
    return e->role[0] == '\0';
}

void known_clear(struct known *k)
{
    mem_free(k->list);
    *k = (struct known){ 0 };
}

/* Where ID is, or would be. */
static size_t place_of(const struct known *k, uint64_t id)
{
    size_t from = 0, to = k->count;
    if (to > 0 && k->list[to - 1].id < id)
        return to;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (k->list[middle].id < id)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static int grow(struct known *k)
{
    size_t cap = k->cap > 0 ? k->cap * 2 : FIRST_CAP;
    struct grant_entry *more = mem_zalloc(cap, sizeof(*more));
    if (more == NULL)
        return -RF_ENOMEM;
    if (k->count > 0)
        memcpy(more, k->list, k->count * sizeof(*more));
    mem_free(k->list);
    k->list = more;
    k->cap = cap;
    return 0;
}

int known_put(struct known *k, const struct grant_entry *e)
{
    size_t at = place_of(k, e->id);
    if (at < k->count && k->list[at].id == e->id) {
        k->holes -= is_hole(&k->list[at]);
        k->list[at] = *e;
        return 0;
    }
    if (k->count == k->cap && grow(k) < 0)
        return -RF_ENOMEM;
    memmove(k->list + at + 1, k->list + at, (k->count - at) * sizeof(*k->list));
    k->list[at] = *e;
    k->count++;
    return 0;
}

void known_drop(struct known *k, uint64_t id)
{
    struct grant_entry *e = known_find(k, id);
    if (e == NULL)
        return;
    e->role[0] = '\0';
    if (++k->holes < HOLES_MIN || k->holes < k->count / 2)
        return;
    size_t left = 0;
    for (size_t i = 0; i < k->count; i++)
        if (!is_hole(&k->list[i]))
            k->list[left++] = k->list[i];
    k->count = left;
    k->holes = 0;
}

struct grant_entry *known_find(const struct known *k, uint64_t id)
{
    size_t at = place_of(k, id);
    if (at == k->count || k->list[at].id != id || is_hole(&k->list[at]))
        return NULL;
    return &k->list[at];
}

struct grant_entry *known_next(const struct known *k, size_t *at)
{
    while (*at < k->count) {
        struct grant_entry *e = &k->list[(*at)++];
        if (!is_hole(e))
            return e;
    }
    return NULL;
}
