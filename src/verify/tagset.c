#include "verify/tagset.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/treehead.h"

enum { PLACES_FIRST = 256, PLACES_KEPT = 65536 };

static const uint8_t zero[LOGLEAF_TAG_LEN];

void tagset_init(struct tagset *s)
{
    memset(s, 0, sizeof(*s));
    randombytes_buf(s->key, sizeof(s->key));
}

void tagset_done(struct tagset *s)
{
    mem_free(s->place);
    memset(s, 0, sizeof(*s));
}

void tagset_clear(struct tagset *s)
{
    if (s->places > PLACES_KEPT) {
        mem_free(s->place);
        s->place = NULL;
        s->places = 0;
    }
    if (s->place != NULL && s->count > 0)
        memset(s->place, 0, s->places * LOGLEAF_TAG_LEN);
    s->count = 0;
    s->has_zero = false;
}

uint64_t tagset_count(const struct tagset *s)
{
    return s->count + (s->has_zero ? 1 : 0);
}

/* The place of TAG, or the free one where it belongs. */
static uint8_t *find(const struct tagset *s, const uint8_t tag[LOGLEAF_TAG_LEN])
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t at;
    _Static_assert(crypto_shorthash_BYTES == sizeof(at), "a hash of one word");
    (void)crypto_shorthash(hash, tag, LOGLEAF_TAG_LEN, s->key);
    memcpy(&at, hash, sizeof(at));
    for (at &= s->places - 1;; at = (at + 1) & (s->places - 1))
        if (memcmp(s->place[at], zero, LOGLEAF_TAG_LEN) == 0 ||
            memcmp(s->place[at], tag, LOGLEAF_TAG_LEN) == 0)
            return s->place[at];
}

static int grow(struct tagset *s)
{
    struct tagset wider = *s;
    wider.places = s->places > 0 ? 2 * s->places : PLACES_FIRST;
    wider.place = mem_zalloc(wider.places, LOGLEAF_TAG_LEN);
    if (wider.place == NULL)
        return -RF_ENOMEM;
    for (size_t i = 0; i < s->places; i++)
        if (memcmp(s->place[i], zero, LOGLEAF_TAG_LEN) != 0)
            memcpy(find(&wider, s->place[i]), s->place[i], LOGLEAF_TAG_LEN);
    mem_free(s->place);
    *s = wider;
    return 0;
}

int tagset_add(struct tagset *s, const uint8_t tag[LOGLEAF_TAG_LEN])
{
    if (memcmp(tag, zero, LOGLEAF_TAG_LEN) == 0) {
        bool was_there = s->has_zero;
        s->has_zero = true;
        return was_there ? 0 : 1;
    }
    if (s->count + 1 > s->places / 4 * 3) {
        int rc = grow(s);
        if (rc < 0)
            return rc;
    }
    uint8_t *at = find(s, tag);
    if (memcmp(at, tag, LOGLEAF_TAG_LEN) == 0)
        return 0;
    memcpy(at, tag, LOGLEAF_TAG_LEN);
    s->count++;
    return 1;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, LOGLEAF_TAG_LEN);
}

/* What is there is moved to the front and sorted there: it costs no memory. */
void tagset_root(struct tagset *s, uint8_t ret[DIGEST_LEN])
{
    struct treehead tree;
    size_t kept = 0;
    treehead_init(&tree);
    if (s->has_zero)
        treehead_add(&tree, zero, LOGLEAF_TAG_LEN);
    for (size_t i = 0; i < s->places; i++)
        if (memcmp(s->place[i], zero, LOGLEAF_TAG_LEN) != 0)
            memmove(s->place[kept++], s->place[i], LOGLEAF_TAG_LEN);
    if (kept > 0)
        qsort(s->place, kept, LOGLEAF_TAG_LEN, compare);
    for (size_t i = 0; i < kept; i++)
        treehead_add(&tree, s->place[i], LOGLEAF_TAG_LEN);
    treehead_root(&tree, ret);
    tagset_clear(s);
}
