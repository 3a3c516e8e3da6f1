#include "registrar/tell.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registrar/verb.h"

static bool is_suspended(const struct tell *t, const struct policy_actor *actor)
{
    for (size_t i = 0; i < t->suspended_count; i++)
        if (strcmp(t->suspended[i], actor->name) == 0)
            return true;
    return false;
}

/* From home, with a key, and not suspended: then his word would count now. */
static bool is_wanted(const struct tell *t, const struct policy_actor *actor)
{
    const struct grant_vote vote = {
        .actor = actor, .is_from_home = true, .is_approval = true, .at_ms = clock_wall_ms()
    };
    if (actor->key_count == 0 || is_suspended(t, actor))
        return false;
    return t->ask->is_break_glass ? approval_may_review(t->policy, t->ask, &vote) == REFUSAL_NONE
                                  : approval_is_wanted(t->policy, t->ask, t->rule, actor, t->votes,
                                                       t->vote_count, vote.at_ms);
}

/* Their names as an array; the caller's to free. NULL: out of memory. */
static char *names_of_wanted(const struct tell *t)
{
    size_t count = 0;
    const char **names = mem_zalloc(t->policy->actor_count + 1, sizeof(*names));
    if (names == NULL)
        return NULL;
    for (size_t i = 0; i < t->policy->actor_count; i++)
        if (is_wanted(t, &t->policy->actors[i]))
            names[count++] = t->policy->actors[i].name;
    char *array = matter_array(names, count);
    mem_free(names);
    return array;
}

int tell_request(const struct tell *t, struct line *line, uint64_t request, struct err *err)
{
    const struct policy_actor *actor = t->ask->actor;
    char number[NUMBER_SIZE];
    char *names = names_of_wanted(t);
    PGresult *r;
    if (names == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for who can approve");
    verb_number(number, (int64_t)request);
    const char *const values[] = { number,
                                   actor->entity != NULL ? actor->entity->name : NULL,
                                   actor->place.code,
                                   t->ask->authority,
                                   names,
                                   verb_truth(!t->policy->grants->is_silent) };
    int rc = line_ask(line,
                      "SELECT ringfence.request_tell($1::bigint, $2, $3, $4, $5::text[],"
                      " $6::boolean)",
                      RF_COUNT(values), values, &r, err);
    if (rc == 0)
        PQclear(r);
    mem_free(names);
    return rc;
}
