/* policy_check.h - what no single key of a policy shows to be wrong. */
#ifndef RF_POLICY_POLICY_CHECK_H
#define RF_POLICY_POLICY_CHECK_H

#include "policy/policy.h"

struct field_reader;

/* What names in the file may refer to; zero is none. */
enum policy_target {
    TARGET_NONE,
    TARGET_JURISDICTION,
    TARGET_REGION,
    TARGET_ENTITY,
    TARGET_ACTOR,
    TARGET_TABLE,
    TARGET_PURPOSE,
    TARGET_DEPARTMENT,
    TARGET_CONSENT
};

/* After the walk: set the pointers between objects, fill in the defaults that depend on other keys
   (masks of classes, pseudonym domains), and tell every contradiction. Copes with a policy that is
   full of holes because of earlier mistakes. */
void policy_check(struct field_reader *r, struct policy *p);

/* The tables and statistics part of it (policy_check_tables.c). */
void policy_check_tables(struct field_reader *r, struct policy *p);

#endif
