/* role.h - the names of the database roles and rooms, in one place. */
#ifndef RF_ENFORCE_ROLE_H
#define RF_ENFORCE_ROLE_H

#include "policy/policy.h"

#define ROLE_NAME_OWNER  "rf_owner"  /* owns schema ringfence and what is in it */
#define ROLE_NAME_VIEW   "rf_view"   /* owns the views, reads the listed tables */
#define ROLE_NAME_ADMIN  "rf_admin"  /* owns the functions that open and end grants; no login */
#define ROLE_NAME_MASKED "rf_masked" /* may read the views of room masked (and the statistics) */
#define ROLE_NAME_STATS  "rf_stats"  /* may read the views of room stats */
#define ROLE_NAME_GRANTED                                                                          \
    "rf_granted"                        /* may read the views of room granted: the roles of grants \
                                         */
#define ROLE_NAME_PERSON    "rf_person" /* every login of a person */
#define ROLE_NAME_SERVICE   "rf_service"   /* every login of a service */
#define ROLE_NAME_FUNCTION  "rf_function"  /* may call what PostgreSQL lets everybody call */
#define ROLE_NAME_EVERYBODY "rf_everybody" /* every role that is nobody's in the policy */
#define ROLE_NAME_CONTROL   "rf_control"   /* the control process */
#define ROLE_NAME_REGISTRAR "rf_registrar" /* the registrar process: functions of requests */
#define ROLE_NAME_HERALD    "rf_herald"    /* the herald process: the outbox */

#define ROLE_PATTERN_GRANT "^rf_g_[0-9a-f]{16}$" /* the role of one grant: a regular expression */

/* SQL: "lasting(oid)", the roles that are no grant's, of which there are few where grants may be
   100,000. A bound on a repetition makes a regular expression three times as dear, so the length is
   asked beside it. */
#define LASTING_ROLES                                        \
    "lasting(oid) AS MATERIALIZED (SELECT oid FROM pg_roles" \
    " WHERE NOT (rolname ~ '^rf_g_[0-9a-f]+$' AND octet_length(CAST(rolname AS text)) = 21))"
#define IS_OF_GRANT(oid) "(" oid " IN (SELECT oid FROM lasting)) IS NOT TRUE"

#define SCHEMA_OWN     "ringfence"
#define SCHEMA_NATIVE  "ringfence_native" /* of the extension, where it is installed */
#define SCHEMA_MASKED  "masked"
#define SCHEMA_STATS   "stats"
#define SCHEMA_GRANTED "granted"

enum { ROLE_NAME_SIZE = 256 };

/* "NAME.masked" into OUT (clipped when it does not fit: sql.h refuses names that long). */
const char *role_of_person(char out[ROLE_NAME_SIZE], const char *actor, enum room room);

/* Does this person need a role for ROOM in REGION? The room abroad always (his network may be
   anywhere), the room at home only when his identity can be at home. */
bool role_person_needs(const struct policy *p, const struct policy_region *region,
                       const struct policy_actor *actor, enum room room);

/* This service's rights in REGION, or NULL. */
const struct policy_service_access *role_service_access(const struct policy_actor *actor,
                                                        const struct policy_region *region);

/* May a policy's actor have this name as its role? Not ours, not PostgreSQL's. */
bool role_name_is_free(const char *name);

#endif
