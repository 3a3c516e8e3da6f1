#include "auth/throttle.h"

#include <string.h>

#include <openssl/rand.h>

#include "base/err.h"
#include "base/mem.h"

/* A balance counts in units of which a minute's millisecond brings `per_minute`: a token is 60000
   units and nothing is ever rounded. It may sink below zero, to one more minute's allowance,
   because many logins can be under way before the first of them fails. */
enum { TOKEN = 60000, NONE = -1, WORDS = 4 };

struct bucket {
    uint32_t address[WORDS];
    int64_t balance;
    int64_t at_ms; /* when the balance was right */
    int32_t chain; /* next of the same hash */
    int32_t older, newer;
};

struct throttle {
    uint32_t per_minute;
    size_t room, used;
    size_t chain_count; /* a power of two */
    int32_t *chains;
    int32_t oldest, newest;
    uint64_t seed[WORDS]; /* who floods must not choose the chains */
    struct bucket buckets[];
};

int throttle_new(uint32_t per_minute, size_t addresses, struct throttle **ret_throttle)
{
    if (addresses < 1 || addresses > 1 << 24)
        return -RF_EINVAL;
    size_t chain_count = 1;
    while (chain_count < addresses)
        chain_count *= 2;
    struct throttle *t = mem_zalloc(1, sizeof(*t) + addresses * sizeof(struct bucket));
    if (t == NULL)
        return -RF_ENOMEM;
    t->chains = mem_zalloc(chain_count, sizeof(*t->chains));
    if (t->chains == NULL || RAND_bytes((unsigned char *)t->seed, sizeof(t->seed)) != 1) {
        throttle_free(t);
        return -RF_ENOMEM;
    }
    for (size_t i = 0; i < chain_count; i++)
        t->chains[i] = NONE;
    t->chain_count = chain_count;
    t->room = addresses;
    t->oldest = t->newest = NONE;
    t->per_minute = per_minute;
    *ret_throttle = t;
    return 0;
}

void throttle_free(struct throttle *t)
{
    if (t == NULL)
        return;
    mem_free(t->chains);
    mem_free(t);
}

void throttle_set_rate(struct throttle *t, uint32_t per_minute)
{
    t->per_minute = per_minute;
}

static int64_t full(const struct throttle *t)
{
    return (int64_t)t->per_minute * TOKEN;
}

/* What counts as one client. */
static void address_cut(const struct in6_addr *address, uint32_t ret[WORDS])
{
    memcpy(ret, address, WORDS * sizeof(*ret));
    if (!IN6_IS_ADDR_V4MAPPED(address))
        ret[2] = ret[3] = 0;
}

/* Pairwise multiplication with random addends: universal, so no set of addresses is bad for it. */
static int32_t *chain_of(struct throttle *t, const uint32_t address[WORDS])
{
    uint64_t h = (t->seed[0] + address[0]) * (t->seed[1] + address[1]) +
                 (t->seed[2] + address[2]) * (t->seed[3] + address[3]);
    return &t->chains[(h >> 32) & (t->chain_count - 1)];
}

static int32_t find(struct throttle *t, const uint32_t address[WORDS])
{
    int32_t i = *chain_of(t, address);
    while (i != NONE && memcmp(t->buckets[i].address, address, sizeof(t->buckets[i].address)) != 0)
        i = t->buckets[i].chain;
    return i;
}

static void age_unlink(struct throttle *t, int32_t i)
{
    struct bucket *b = &t->buckets[i];
    *(b->older != NONE ? &t->buckets[b->older].newer : &t->oldest) = b->newer;
    *(b->newer != NONE ? &t->buckets[b->newer].older : &t->newest) = b->older;
}

static void age_append(struct throttle *t, int32_t i)
{
    struct bucket *b = &t->buckets[i];
    b->older = t->newest;
    b->newer = NONE;
    *(t->newest != NONE ? &t->buckets[t->newest].newer : &t->oldest) = i;
    t->newest = i;
}

/* A bucket for a new address: a fresh one, or the one that failed longest ago. */
static int32_t take(struct throttle *t, const uint32_t address[WORDS], int64_t now_ms)
{
    int32_t i = (int32_t)t->used;
    if (t->used < t->room) {
        t->used++;
    } else {
        i = t->oldest;
        age_unlink(t, i);
        int32_t *link = chain_of(t, t->buckets[i].address);
        while (*link != i)
            link = &t->buckets[*link].chain;
        *link = t->buckets[i].chain;
    }
    struct bucket *b = &t->buckets[i];
    int32_t *chain = chain_of(t, address);
    *b = (struct bucket){ .balance = full(t), .at_ms = now_ms, .chain = *chain };
    memcpy(b->address, address, sizeof(b->address));
    *chain = i;
    age_append(t, i);
    return i;
}

static void refill(const struct throttle *t, struct bucket *b, int64_t now_ms)
{
    int64_t passed = now_ms - b->at_ms;
    if (passed <= 0)
        return;
    b->at_ms = now_ms;
    if (passed >= (int64_t)2 * TOKEN) /* two minutes fill even the deepest debt */
        b->balance = full(t);
    else
        b->balance += passed * t->per_minute;
    if (b->balance > full(t))
        b->balance = full(t);
}

int64_t throttle_wait_ms(struct throttle *t, const struct in6_addr *address, int64_t now_ms)
{
    uint32_t cut[WORDS];
    if (t->per_minute == 0)
        return 0;
    address_cut(address, cut);
    int32_t i = find(t, cut);
    if (i == NONE)
        return 0;
    struct bucket *b = &t->buckets[i];
    refill(t, b, now_ms);
    int64_t missing = TOKEN - b->balance;
    return missing <= 0 ? 0 : (missing + t->per_minute - 1) / t->per_minute;
}

bool throttle_allows(struct throttle *t, const struct in6_addr *address, int64_t now_ms)
{
    return throttle_wait_ms(t, address, now_ms) == 0;
}

void throttle_failed(struct throttle *t, const struct in6_addr *address, int64_t now_ms)
{
    uint32_t cut[WORDS];
    if (t->per_minute == 0)
        return;
    address_cut(address, cut);
    int32_t i = find(t, cut);
    if (i == NONE) {
        i = take(t, cut, now_ms);
    } else {
        age_unlink(t, i);
        age_append(t, i);
    }
    struct bucket *b = &t->buckets[i];
    refill(t, b, now_ms);
    b->balance -= TOKEN;
    if (b->balance < -full(t))
        b->balance = -full(t);
}
