/* Open addressing with a place after the other; a removal moves what follows back, so that there
 * are no marks of what was. Indexes of a log ascend and cannot be chosen to collide: spreading
 * them by a constant is enough. */
#include "verify/indexmap.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { PLACES_FIRST = 64 };

void indexmap_init(struct indexmap *m, size_t record_len)
{
    RF_ASSERT(record_len % sizeof(uint64_t) == 0);
    memset(m, 0, sizeof(*m));
    m->record_len = record_len;
}

void indexmap_done(struct indexmap *m)
{
    mem_free(m->place);
    memset(m, 0, sizeof(*m));
}

static size_t stride(const struct indexmap *m)
{
    return sizeof(uint64_t) + m->record_len;
}

static uint8_t *at(const struct indexmap *m, size_t i)
{
    return m->place + i * stride(m);
}

static uint64_t mark_of(const struct indexmap *m, size_t i)
{
    uint64_t mark;
    memcpy(&mark, at(m, i), sizeof(mark));
    return mark;
}

static size_t home(const struct indexmap *m, uint64_t mark)
{
    return (size_t)(mark * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (m->places - 1);
}

/* Where MARK is, or the free place where it belongs. */
static size_t seek(const struct indexmap *m, uint64_t mark)
{
    size_t i = home(m, mark);
    while (mark_of(m, i) != 0 && mark_of(m, i) != mark)
        i = (i + 1) & (m->places - 1);
    return i;
}

static bool grow(struct indexmap *m)
{
    struct indexmap wider = *m;
    wider.places = m->places > 0 ? 2 * m->places : PLACES_FIRST;
    wider.place = mem_zalloc(wider.places, stride(m));
    if (wider.place == NULL)
        return false;
    for (size_t i = 0; i < m->places; i++)
        if (mark_of(m, i) != 0)
            memcpy(at(&wider, seek(&wider, mark_of(m, i))), at(m, i), stride(m));
    mem_free(m->place);
    *m = wider;
    return true;
}

void *indexmap_put(struct indexmap *m, uint64_t index)
{
    uint64_t mark = index + 1;
    if (m->count + 1 > m->places / 3 * 2 && !grow(m))
        return NULL;
    size_t i = seek(m, mark);
    if (mark_of(m, i) == 0) {
        memset(at(m, i), 0, stride(m));
        memcpy(at(m, i), &mark, sizeof(mark));
        m->count++;
    }
    return at(m, i) + sizeof(mark);
}

void *indexmap_find(const struct indexmap *m, uint64_t index)
{
    if (m->count == 0)
        return NULL;
    size_t i = seek(m, index + 1);
    return mark_of(m, i) != 0 ? at(m, i) + sizeof(uint64_t) : NULL;
}

void indexmap_remove(struct indexmap *m, uint64_t index)
{
    if (m->count == 0)
        return;
    size_t hole = seek(m, index + 1), mask = m->places - 1;
    if (mark_of(m, hole) == 0)
        return;
    m->count--;
    for (size_t i = (hole + 1) & mask; mark_of(m, i) != 0; i = (i + 1) & mask) {
        size_t h = home(m, mark_of(m, i));
        if (((i - h) & mask) >= ((i - hole) & mask)) { /* the hole lies on its way */
            memcpy(at(m, hole), at(m, i), stride(m));
            hole = i;
        }
    }
    memset(at(m, hole), 0, stride(m));
}
