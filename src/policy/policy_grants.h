/* policy_grants.h - the key `grants` of a policy file: its tables, and what is wrong with it. */
#ifndef RF_POLICY_POLICY_GRANTS_H
#define RF_POLICY_POLICY_GRANTS_H

#include "policy/field.h"
#include "policy/grants.h"

/* What holds where the file says nothing: nobody gets a grant. */
extern const struct policy_grants policy_grants_initial;

/* Elements of lists of names; other keys have such lists, too. */
extern const struct field_shape policy_entity_name_shape, policy_department_name_shape;

/* Reads into `grants` of the struct policy that RECORD is; it points to memory with the above. */
void policy_grants_read(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, void *record);

/* The lists `entities`, `departments` and `actors` of NODE. */
void policy_people_read(struct field_reader *r, const struct field_at *at,
                        const struct yaml_node *node, struct policy_people *ret);

/* After the walk and policy_check(): tell what no single key shows to be wrong, and which rule
   nobody could ever meet (policy_grants_check.c). */
void policy_grants_check(struct field_reader *r, const struct policy *p);

#endif
