#include "ledger/repeat.h"

#include <string.h>

#include "base/mem.h"

/* Open addressing with linear probing; capacity > 0 => a free slot exists. Keys are digests, so a
 * part of one is a hash. */

enum { CAPACITY_FIRST = 256 };

void repeat_done(struct repeat_set *s)
{
    mem_free(s->slots);
    *s = (struct repeat_set){ .slots = NULL };
}

void repeat_enter(struct repeat_set *s, uint32_t minute, uint64_t epoch)
{
    uint64_t period = epoch << 32 | minute / REPEAT_MINUTES;
    if (period == s->period)
        return;
    repeat_done(s);
    s->period = period;
}

static struct iovec text_piece(const char *text)
{
    return text != NULL ? digest_piece(text, strlen(text) + 1) : digest_piece("", 1);
}

void repeat_key_of(const struct repeat_what *what, uint8_t ret[REPEAT_KEY_LEN])
{
    const struct iovec pieces[] = { digest_piece(&what->grant, sizeof(what->grant)),
                                    text_piece(what->database),
                                    text_piece(what->entity),
                                    text_piece(what->place),
                                    text_piece(what->room),
                                    digest_piece(what->subject, what->subject_len) };
    uint8_t digest[DIGEST_LEN];
    digest_pieces(pieces, RF_COUNT(pieces), digest);
    memcpy(ret, digest, REPEAT_KEY_LEN);
}

static struct repeat_slot *slot_of(const struct repeat_set *s, const uint8_t key[REPEAT_KEY_LEN])
{
    uint64_t hash;
    memcpy(&hash, key, sizeof(hash));
    size_t at = (size_t)hash & (s->capacity - 1);
    while (s->slots[at].classes != 0 && memcmp(s->slots[at].key, key, REPEAT_KEY_LEN) != 0)
        at = (at + 1) & (s->capacity - 1);
    return &s->slots[at];
}

uint32_t repeat_shown(const struct repeat_set *s, const uint8_t key[REPEAT_KEY_LEN])
{
    return s->capacity > 0 ? slot_of(s, key)->classes : 0;
}

static bool grow(struct repeat_set *s)
{
    struct repeat_set larger = *s;
    larger.capacity = s->capacity == 0 ? CAPACITY_FIRST : 2 * s->capacity;
    larger.slots = larger.capacity <= 2 * (size_t)REPEAT_MAX
                       ? mem_zalloc(larger.capacity, sizeof(*larger.slots))
                       : NULL;
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < s->capacity; i++)
        if (s->slots[i].classes != 0)
            *slot_of(&larger, s->slots[i].key) = s->slots[i];
    mem_free(s->slots);
    *s = larger;
    return true;
}

void repeat_note(struct repeat_set *s, const uint8_t key[REPEAT_KEY_LEN], uint32_t classes)
{
    if (repeat_shown(s, key) == 0 && s->count >= s->capacity / 2 && !grow(s))
        return; /* whoever is in it already needs no room */
    struct repeat_slot *slot = slot_of(s, key);
    s->count += slot->classes == 0 && classes != 0;
    memcpy(slot->key, key, REPEAT_KEY_LEN);
    slot->classes |= classes;
}
