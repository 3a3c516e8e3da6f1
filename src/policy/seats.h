/* seats.h - the places that approvers fill: each group of a rule has as many as it counts.
 *
 * Whoever fits several groups sits in one place. People come one after the other; those who sit
 * make room for a newcomer where they fit another empty place (augmenting paths), so that as many
 * places are filled as can be, whatever the order. */
#ifndef RF_POLICY_SEATS_H
#define RF_POLICY_SEATS_H

#include "policy/grants.h"

enum {
    SEATS_GROUPS_MAX = 8,
    SEATS_COUNT_MAX = 8,
    SEATS_MAX = 2 * SEATS_GROUPS_MAX * SEATS_COUNT_MAX
};

struct seats {
    const struct policy_approvers *groups[SEATS_MAX];
    const struct policy_actor *taken[SEATS_MAX]; /* NULL: empty */
    size_t count;
};

/* Add the places of COUNT groups, at most SEATS_GROUPS_MAX of at most SEATS_COUNT_MAX places; twice
   at most. S begins as zero. */
void seats_add(struct seats *s, const struct policy_approvers *groups, size_t count);

/* Find a place for WHO, who has none yet. False: he fits none, or others are needed there. */
bool seats_take(struct seats *s, const struct policy_actor *who);

size_t seats_empty(const struct seats *s);

/* Is ACTOR one of these people? A list without elements says nothing; the others must all be met.
 */
bool seats_fit(const struct policy_people *people, const struct policy_actor *actor);

#endif
