/* exposure.h - what a policy lets whom see in one region, as facts that can be compared.
 *
 * `ringfence apply` writes the facts beside the views (table ringfence.exposure); `ringfence plan`
 * compares them with those of the new policy and says in words what widens and what narrows. They
 * are for people who review a change: PostgreSQL enforces the views, not this list. */
#ifndef RF_ENFORCE_EXPOSURE_H
#define RF_ENFORCE_EXPOSURE_H

#include "enforce/database.h"
#include "enforce/sql.h"
#include "policy/arena.h"
#include "policy/policy.h"

/* KIND, WHO and OBJECT name a fact; LEVEL and SHOWN say what it is. Of two facts of one name the
   one with the higher level shows more. */
struct exposure {
    const char *kind;     /* see tbl/exposure.def */
    const char *who;      /* "department analytics in US", "room masked", "service app_us" */
    const char *object;   /* "app.users.email", "us_analyst", "masked" */
    const char *class_id; /* of a column: "location"; else "" */
    const char *shown;    /* "pseudonym", "by day; groups of 20", "write" */
    int64_t level;
};

struct exposures {
    struct arena arena;
    struct exposure *list; /* sorted by kind, who, object */
    size_t count, cap;
};

void exposures_init(struct exposures *e);
void exposures_done(struct exposures *e);

/* Those of P in REGION. E is initialised and empty, here and below. -RF_ENOMEM. */
RF_CHECK int exposures_of_policy(struct exposures *e, const struct policy *p,
                                 const struct policy_region *region, struct err *err);

/* Those that the last apply wrote down; none where there was no apply. */
RF_CHECK int exposures_read(struct exposures *e, struct database *db, struct err *err);

/* Append the statements' text that replaces what is written down by E. */
void exposures_add_delete(struct sql *s);
void exposures_add_insert(struct sql *s, const struct exposures *e);

enum exposure_change {
    EXPOSURE_WIDENS,
    EXPOSURE_CHANGES, /* neither more nor less, as far as levels tell: to be read like a widening */
    EXPOSURE_NARROWS
};
const char *exposure_change_name(enum exposure_change change); /* "widens", … */

/* Tell WORDS, one sentence a call, how NEW differs from OLD: widenings first. -RF_ENOMEM. */
RF_CHECK int exposures_compare(const struct exposures *old, const struct exposures *new,
                               void (*tell)(void *context, enum exposure_change change,
                                            const char *words),
                               void *context, struct err *err);

#endif
