/* policy_keys.h - the keys with which persons sign: `keys` of an actor. */
#ifndef RF_POLICY_POLICY_KEYS_H
#define RF_POLICY_POLICY_KEYS_H

#include "policy/field.h"
#include "policy/policy.h"

/* Of one element, into a struct ssh_key; the list may have POLICY_KEYS_MAX. */
enum { POLICY_KEYS_MAX = 8 };
extern const struct field_shape policy_key_shape;

/* After the walk: only persons have keys, and no key belongs to two of them. */
void policy_keys_check(struct field_reader *r, const struct policy *p);

#endif
