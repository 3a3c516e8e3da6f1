#include "ledger/tag_set.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/treehead.h"

/* Open addressing with linear probing. Invariants: capacity > 0 => a free slot exists, so that
 * every search ends; a tag stands at its home slot or behind it without a free slot between. */

enum { CAPACITY_FIRST = 1024, DRAWERS = 1 << 16 };

_Static_assert(TAG_SET_SEED_LEN == crypto_shorthash_KEYBYTES, "seed");

static const uint8_t free_slot[TAG_LEN];

static bool is_free(const uint8_t slot[TAG_LEN])
{
    return memcmp(slot, free_slot, TAG_LEN) == 0;
}

void tag_set_init(struct tag_set *s)
{
    *s = (struct tag_set){ .slots = NULL };
    randombytes_buf(s->seed, sizeof(s->seed));
}

void tag_set_done(struct tag_set *s)
{
    mem_free(s->slots);
    tag_set_init(s);
}

static size_t home_of(const struct tag_set *s, const uint8_t tag[TAG_LEN])
{
    uint64_t hash;
    crypto_shorthash((uint8_t *)&hash, tag, TAG_LEN, s->seed);
    return (size_t)hash & (s->capacity - 1);
}

/* Where TAG stands, or the free slot where it would. */
static size_t slot_of(const struct tag_set *s, const uint8_t tag[TAG_LEN])
{
    size_t at = home_of(s, tag);
    while (!is_free(s->slots[at]) && memcmp(s->slots[at], tag, TAG_LEN) != 0)
        at = (at + 1) & (s->capacity - 1);
    return at;
}

static int grow(struct tag_set *s)
{
    struct tag_set larger = *s;
    larger.capacity = s->capacity == 0 ? CAPACITY_FIRST : 2 * s->capacity;
    larger.slots = mem_zalloc(larger.capacity, TAG_LEN);
    if (larger.slots == NULL)
        return -RF_ENOMEM;
    for (size_t i = 0; i < s->capacity; i++)
        if (!is_free(s->slots[i]))
            memcpy(larger.slots[slot_of(&larger, s->slots[i])], s->slots[i], TAG_LEN);
    mem_free(s->slots);
    *s = larger;
    return 0;
}

int tag_set_add(struct tag_set *s, const uint8_t tag[TAG_LEN])
{
    if (is_free(tag))
        return -RF_EINVAL;
    if (tag_set_contains(s, tag))
        return 0;
    if (s->count >= TAG_SET_MAX)
        return -RF_ETOOBIG;
    if (s->count >= s->capacity / 4 * 3 && grow(s) < 0)
        return -RF_ENOMEM;
    memcpy(s->slots[slot_of(s, tag)], tag, TAG_LEN);
    s->count++;
    return 1;
}

bool tag_set_contains(const struct tag_set *s, const uint8_t tag[TAG_LEN])
{
    return s->capacity > 0 && !is_free(tag) && !is_free(s->slots[slot_of(s, tag)]);
}

/* Whatever stands behind the gap and could not be reached over it moves into it (Knuth, vol. 3,
   6.4, algorithm R): no marks of removed tags stay behind. */
void tag_set_remove(struct tag_set *s, const uint8_t tag[TAG_LEN])
{
    RF_ASSERT(tag_set_contains(s, tag));
    size_t mask = s->capacity - 1, gap = slot_of(s, tag);
    for (size_t at = (gap + 1) & mask; !is_free(s->slots[at]); at = (at + 1) & mask) {
        size_t home = home_of(s, s->slots[at]);
        if (((at - home) & mask) < ((at - gap) & mask))
            continue; /* its home lies behind the gap */
        memcpy(s->slots[gap], s->slots[at], TAG_LEN);
        gap = at;
    }
    memset(s->slots[gap], 0, TAG_LEN);
    s->count--;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, TAG_LEN);
}

static size_t drawer_of(const uint8_t tag[TAG_LEN])
{
    return (size_t)tag[0] << 8 | tag[1];
}

/* Into drawers by the first two bytes, then each drawer: tags are MACs and lie evenly. Those of a
   log that somebody made up may all lie in one; then this is a sort like any other. ENDS begins
   with zeros. */
static void sort_drawers(const struct tag_set *s, size_t ends[DRAWERS + 1],
                         uint8_t (*list)[TAG_LEN])
{
    size_t begin = 0;
    for (size_t i = 0; i < s->capacity; i++)
        if (!is_free(s->slots[i]))
            ends[drawer_of(s->slots[i]) + 1]++;
    for (size_t d = 1; d < DRAWERS; d++)
        ends[d] += ends[d - 1];
    /* ends[d] is where drawer D begins, and moves to its end */
    for (size_t i = 0; i < s->capacity; i++)
        if (!is_free(s->slots[i]))
            memcpy(list[ends[drawer_of(s->slots[i])]++], s->slots[i], TAG_LEN);
    for (size_t d = 0; d < DRAWERS; begin = ends[d++])
        qsort(list[begin], ends[d] - begin, TAG_LEN, compare);
}

static void sort_plainly(const struct tag_set *s, uint8_t (*list)[TAG_LEN])
{
    size_t count = 0;
    for (size_t i = 0; i < s->capacity; i++)
        if (!is_free(s->slots[i]))
            memcpy(list[count++], s->slots[i], TAG_LEN);
    qsort(list, count, TAG_LEN, compare);
}

uint8_t (*tag_set_sorted(const struct tag_set *s))[TAG_LEN]
{
    uint8_t(*list)[TAG_LEN] = mem_zalloc(s->count > 0 ? s->count : 1, TAG_LEN);
    /* most epochs have few, and a gateway that was off for long seals thousands of them at once */
    size_t *ends =
        list != NULL && s->count >= DRAWERS ? mem_zalloc(DRAWERS + 1, sizeof(*ends)) : NULL;
    if (ends != NULL)
        sort_drawers(s, ends, list);
    else if (list != NULL)
        sort_plainly(s, list);
    mem_free(ends);
    return list;
}

void tag_set_root_of(const uint8_t (*sorted)[TAG_LEN], size_t count, uint8_t ret[DIGEST_LEN])
{
    struct treehead head;
    treehead_init(&head);
    for (size_t i = 0; i < count; i++)
        treehead_add(&head, sorted[i], TAG_LEN);
    treehead_root(&head, ret);
}
