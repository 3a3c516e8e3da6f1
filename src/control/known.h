/* known.h - the grants of which one server has told control, in the order of their numbers.
 *
 * Filled by one list of all, kept by lists of what has changed. Numbers grow, so what is new comes
 * at the end and finding is bisection; one that is gone leaves a hole until there are many. */
#ifndef RF_CONTROL_KNOWN_H
#define RF_CONTROL_KNOWN_H

#include "priv/grant_table.h"

/* Zero is empty. Holes have the number, and no role. */
struct known {
    struct grant_entry *list;
    size_t count, cap, holes;
};

void known_clear(struct known *k);

/* Put or replace. -RF_ENOMEM. */
RF_CHECK int known_put(struct known *k, const struct grant_entry *e);
void known_drop(struct known *k, uint64_t id); /* harmless when it is not there */

/* NULL: not there. Valid until the next change. */
struct grant_entry *known_find(const struct known *k, uint64_t id);

/* The next one that is there from index *AT on, which is moved behind it; NULL at the end. */
struct grant_entry *known_next(const struct known *k, size_t *at);

#endif
