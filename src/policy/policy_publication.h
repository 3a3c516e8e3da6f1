/* policy_publication.h - sections `publication` and `release` of the policy: who may read the
 * log, what it may say when, and how far a record must be before a class leaves. */
#ifndef RF_POLICY_POLICY_PUBLICATION_H
#define RF_POLICY_POLICY_PUBLICATION_H

#include "policy/field.h"

extern const struct field_shape publication_shape, release_shape; /* of struct policy */

/* Held purposes are the policy's. */
struct policy;
void policy_publication_check(struct field_reader *r, const struct policy *p);

#endif
