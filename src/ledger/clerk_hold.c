#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/clerk_inside.h"
#include "ledger/json.h"

/* A purpose that is held stands in a leaf as a commitment, and in its private part as
 * `held=SALT PURPOSE` under the key "detail". When the time is over a leaf opens it. */

static const char mark[] = "held=";

const struct policy_hold *hold_of(const struct policy *policy, const char *purpose)
{
    for (size_t i = 0; purpose != NULL && i < policy->hold_count; i++)
        if (strcmp(policy->holds[i].purpose, purpose) == 0)
            return &policy->holds[i];
    return NULL;
}

static int remember(struct clerk *c, const struct held_leaf *h)
{
    if (c->held_count == c->held_room) {
        size_t room = c->held_room == 0 ? 16 : 2 * c->held_room;
        struct held_leaf *held = mem_realloc(c->held, room * sizeof(*held));
        if (held == NULL)
            return -RF_ENOMEM;
        c->held = held;
        c->held_room = room;
    }
    c->held[c->held_count++] = *h;
    return 0;
}

int hold_restore(struct clerk *c, const struct held_leaf *h)
{
    return remember(c, h);
}

int hold_put(struct clerk *c, const struct policy *policy, const char *purpose,
             struct logleaf *leaf, char detail[HOLD_DETAIL_SIZE])
{
    uint8_t commitment[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1];
    detail[0] = '\0';
    if (hold_of(policy, purpose) == NULL) {
        logleaf_text(leaf, LEAF_KEY_PURPOSE, purpose);
        return 0;
    }
    struct held_leaf h = { .leaf = c->leaves };
    (void)snprintf(h.purpose, sizeof(h.purpose), "%s", purpose);
    randombytes_buf(h.salt, sizeof(h.salt));
    tag_held_of(h.salt, purpose, commitment);
    digest_hex(h.salt, sizeof(h.salt), hex);
    (void)snprintf(detail, HOLD_DETAIL_SIZE, "%s%s %s", mark, hex, purpose);
    memcpy(c->held_hash, commitment, sizeof(commitment)); /* as long as LEAF lives */
    logleaf_bytes(leaf, LEAF_KEY_HELD, c->held_hash, sizeof(c->held_hash));
    h.minute = UINT32_MAX; /* until it is written */
    return remember(c, &h);
}

void hold_settle(struct clerk *c, uint64_t leaf, uint32_t minute, bool is_written)
{
    struct held_leaf *last = c->held_count > 0 ? &c->held[c->held_count - 1] : NULL;
    if (last == NULL || last->leaf != leaf || last->minute != UINT32_MAX)
        return;
    if (is_written)
        last->minute = minute;
    else
        c->held_count--;
}

void hold_forget(struct clerk *c, const struct logleaf *opened)
{
    const char *origin;
    uint64_t index;
    size_t len;
    if (!logleaf_ref(opened, LEAF_KEY_REF, &index, &origin, &len))
        return;
    for (size_t i = 0; i < c->held_count; i++)
        if (c->held[i].leaf == index) {
            c->held[i] = c->held[--c->held_count];
            return;
        }
}

bool hold_is_due(const struct held_leaf *h, const struct policy *policy, uint32_t minute)
{
    const struct policy_hold *hold = hold_of(policy, h->purpose);
    int64_t ms = hold != NULL ? hold->hold_ms : 0; /* not held any more: due */
    return h->minute != UINT32_MAX && (int64_t)h->minute + ms / FRAME_MINUTE_MS <= minute;
}

/* `held=SALT PURPOSE` in the value of "detail". */
static bool detail_read(const void *private_part, size_t n, struct held_leaf *ret)
{
    struct json_reader r;
    struct json_field f;
    const size_t start = sizeof(mark) - 1, salt = 2 * DIGEST_LEN;
    size_t got;
    if (!json_open(&r, private_part, n))
        return false;
    while (json_next(&r, &f) == 1) {
        if (f.key_len != 6 || memcmp(f.key, "detail", 6) != 0 || f.value_len <= start + salt + 1 ||
            memcmp(f.value, mark, start) != 0)
            continue;
        size_t len = f.value_len - start - salt - 1;
        if (len > RECORD_WORD_MAX ||
            sodium_hex2bin(ret->salt, sizeof(ret->salt), f.value + start, salt, NULL, &got, NULL) !=
                0 ||
            got != sizeof(ret->salt))
            return false;
        memcpy(ret->purpose, f.value + start + salt + 1, len);
        ret->purpose[len] = '\0';
        return true;
    }
    return false;
}

int hold_replay(struct clerk *c, uint32_t minute, const void *private_part, size_t n)
{
    struct held_leaf h = { .leaf = c->leaves, .minute = minute };
    return detail_read(private_part, n, &h) ? remember(c, &h) : 0;
}
