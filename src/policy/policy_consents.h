/* policy_consents.h - the key `consents` of a policy file: its tables, and what is wrong with it.
 */
#ifndef RF_POLICY_POLICY_CONSENTS_H
#define RF_POLICY_POLICY_CONSENTS_H

#include "policy/consents.h"
#include "policy/field.h"

/* Reads into `consents` of the struct policy that RECORD is; it points to zeroed memory. */
void policy_consents_read(struct field_reader *r, const struct field_at *at,
                          const struct yaml_node *node, void *record);

/* After the walk: set the pointers of those who name a purpose of consent (with the other names of
   policy_check()), and tell what no single key shows to be wrong. */
void policy_consents_resolve(struct field_reader *r, const struct policy *p);
void policy_consents_check(struct field_reader *r, const struct policy *p);

#endif
