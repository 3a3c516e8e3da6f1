#include "enforce/widening.h"

#include <stdio.h>

#include "enforce/exposure.h"

struct finding {
    char *what;
    bool any;
};

/* A change that is neither more nor less is read like a widening. */
static void tell(void *context, enum exposure_change change, const char *words)
{
    struct finding *f = context;
    if (change == EXPOSURE_NARROWS || f->any)
        return;
    f->any = true;
    (void)snprintf(f->what, POLICY_CHANGE_SIZE, "%s", words);
}

static int compare_region(const struct policy *old, const struct policy_region *old_region,
                          const struct policy *new, const struct policy_region *new_region,
                          struct finding *found, struct err *err)
{
    struct exposures before, after;
    exposures_init(&before);
    exposures_init(&after);
    int rc = exposures_of_policy(&before, old, old_region, err);
    if (rc == 0)
        rc = exposures_of_policy(&after, new, new_region, err);
    if (rc == 0)
        rc = exposures_compare(&before, &after, tell, found, err);
    exposures_done(&before);
    exposures_done(&after);
    return rc;
}

/* A region of one of the two alone is a change of `regions`, which policy_change_widens() tells. */
int widening_find(const struct policy_bytes *old, const struct policy_bytes *new,
                  char what[POLICY_CHANGE_SIZE], struct err *err)
{
    struct finding found = { .what = what };
    int rc = policy_change_widens(old, new, what);
    if (rc < 0)
        return err_set(err, RF_ENOMEM, "out of memory while comparing policies");
    for (size_t i = 0; rc == 0 && i < new->policy->region_count && !found.any; i++) {
        const struct policy_region *region = &new->policy->regions[i];
        const struct policy_region *before = policy_region_find(old->policy, region->name);
        if (before != NULL)
            rc = compare_region(old->policy, before, new->policy, region, &found, err);
    }
    return rc != 0 ? rc : found.any ? 1 : 0;
}
