#include "ledger/dedupe.h"

#include <string.h>

void dedupe_init(struct dedupe *d)
{
    memset(d, 0, sizeof(*d));
}

struct dedupe_instance *dedupe_find(struct dedupe *d, uint64_t instance)
{
    for (unsigned i = 0; i < DEDUPE_INSTANCES_MAX; i++) {
        unsigned at = (d->last + i) % DEDUPE_INSTANCES_MAX;
        if (d->list[at].instance == instance) {
            d->last = at;
            d->list[at].used = ++d->tick;
            return &d->list[at];
        }
    }
    return NULL;
}

static struct dedupe_instance *oldest(struct dedupe *d)
{
    struct dedupe_instance *found = &d->list[0];
    for (unsigned i = 1; i < DEDUPE_INSTANCES_MAX; i++)
        if (d->list[i].used < found->used)
            found = &d->list[i]; /* a free row was never used */
    return found;
}

void dedupe_append(struct dedupe *d, uint64_t instance, uint64_t seq, uint64_t entry)
{
    struct dedupe_instance *row = dedupe_find(d, instance);
    if (row == NULL) {
        row = oldest(d);
        *row = (struct dedupe_instance){ .instance = instance, .used = ++d->tick };
    }
    row->appended = seq;
    row->entry = entry;
}

void dedupe_commit(struct dedupe *d)
{
    for (unsigned i = 0; i < DEDUPE_INSTANCES_MAX; i++)
        d->list[i].durable = d->list[i].appended;
}
