/* policy_alerts.h - the key `alerts` of a policy file: its tables, and what is wrong with it. */
#ifndef RF_POLICY_POLICY_ALERTS_H
#define RF_POLICY_POLICY_ALERTS_H

#include "policy/alerts.h"
#include "policy/field.h"

extern const struct policy_alerts policy_alerts_initial;

/* Reads into `alerts` of the struct policy that RECORD is; it points to memory with the above. */
void policy_alerts_read(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record);

/* After the walk and policy_check(). */
void policy_alerts_check(struct field_reader *r, const struct policy *p);

#endif
