#include "policy/seats.h"

#include <string.h>

#include "base/attr.h"

void seats_add(struct seats *s, const struct policy_approvers *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < groups[i].count; k++) {
            RF_ASSERT(s->count < SEATS_MAX);
            s->groups[s->count++] = &groups[i];
        }
    }
}

static bool is_one_of(char *const *list, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (text != NULL && strcmp(list[i], text) == 0)
            return true;
    return false;
}

static bool is_listed(const void *const *list, size_t count, const void *object)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == object)
            return true;
    return false;
}

bool seats_fit(const struct policy_people *people, const struct policy_actor *actor)
{
    const struct policy_people *p = people;
    if (p->entity_count > 0 &&
        !is_listed((const void *const *)p->entities, p->entity_count, actor->entity))
        return false;
    if (p->department_count > 0 &&
        !is_one_of(p->departments, p->department_count, actor->department))
        return false;
    return p->actor_count == 0 || is_listed((const void *const *)p->actors, p->actor_count, actor);
}

/* TRIED: places that are being cleared already, or cannot be. At most COUNT calls deep. */
static bool take(struct seats *s, const struct policy_actor *who, bool tried[SEATS_MAX])
{
    for (size_t i = 0; i < s->count; i++) {
        if (tried[i] || !seats_fit(&s->groups[i]->who, who))
            continue;
        tried[i] = true;
        if (s->taken[i] == NULL || take(s, s->taken[i], tried)) {
            s->taken[i] = who;
            return true;
        }
    }
    return false;
}

bool seats_take(struct seats *s, const struct policy_actor *who)
{
    bool tried[SEATS_MAX] = { false };
    return take(s, who, tried);
}

size_t seats_empty(const struct seats *s)
{
    size_t empty = 0;
    for (size_t i = 0; i < s->count; i++)
        empty += s->taken[i] == NULL;
    return empty;
}
