/* grants.h - what the policy says about who may see somebody by name: `grants`.
 *
 *   grants:
 *     opened_by: signatures       # or administrator; without `grants`: signatures, and no rule
 *     request_age: 24h            # a request that waits longer has lapsed
 *     approval_age: 1h            # an approval counts for so long before the grant opens
 *     approvers: {from: home, chain: excluded, department: other}
 *                                 # the defaults; or anywhere, allowed, any
 *     rules:
 *       support:
 *         purposes: [support_ticket]
 *         classes: [identity, contact]
 *         ask: {entities: [clipstream-us], departments: [analytics], actors: [], from: home}
 *         subjects: 5             # at most
 *         duration: 8h            # at most, up to 31d
 *         minors: refused         # or allowed
 *         reference: required     # or optional
 *         budget: {rows: 1000, bytes: 10MB}
 *                                 # of one grant, in all; without it: no limit
 *         approvers:              # every group; nobody counts twice; up to 8 groups of up to 8
 *           - {count: 1, departments: [privacy], entities: [], actors: []}
 *           - {count: 1, departments: [security]}
 *         consent: support_access # of `consents`: everybody named has given it, and not withdrawn
 *     break_glass: {purposes: [security_incident], classes: [...], ask: {...}, subjects: 5,
 *                   duration: 1h, minors: refused, reference: required, budget: {...},
 *                   review: 24h, open_at_most: 1, reviewers: [{...}]}
 *                                         # so many of one person before a review
 *     find: {by: {email: app.users.email, handle: app.users.handle, phone: app.users.phone},
 *            per_day: 20}
 *     refused_authorities: [NAME, ...]      # compared without case (of A to Z) and outer blanks
 *     sensitive: {subjects: [SHA-256 hex of "ringfence-sensitive@1\nREGION\nKEY\n", ...],
 *                 approvers: [{...}]}       # these, too
 *     bound: {employee_investigation: {subjects: [SHA-256 hex, ...]}}
 *                                           # as `sensitive`: this purpose is for those alone
 *     honey: [SHA-256 hex, ...]             # as `sensitive`: whoever touches one is suspended
 *     subjects_per_day: 50                  # persons that one actor's grants of a day may name
 *     denials: {per_day: 20}                # so many refused commands suspend; without it: none do
 *     notices: {to_subjects: on, hold: 90d} # a person hears of a grant when it is over, or never:
 *                                           # off; two officers hold that back, at most so long
 *     marks: {times: on, per_day: 20}       # clear times bear the grant's watermark, too (default:
 *                                           # off); how often one person may trace in a day
 *
 * An empty list of entities, departments or actors says nothing; several of them must all be met.
 */
#ifndef RF_POLICY_GRANTS_H
#define RF_POLICY_GRANTS_H

#include "policy/policy.h"

enum grants_opened_by { GRANTS_BY_SIGNATURES, GRANTS_BY_ADMINISTRATOR };

/* Some of the persons. */
struct policy_people {
    const struct policy_entity **entities;
    size_t entity_count;
    char **departments;
    size_t department_count;
    const struct policy_actor **actors;
    size_t actor_count;
    bool anywhere; /* `from: anywhere`; else at home by identity and network. Only in `ask` */
};

struct policy_approvers {
    int64_t count;
    struct policy_people who;
    unsigned line;
};

struct policy_consent; /* consents.h */

struct policy_grant_rule {
    char *name;
    char **purposes;
    size_t purpose_count;
    uint32_t classes; /* bits 1 << enum class_id */
    struct policy_people ask;
    int64_t subjects, duration_ms;
    bool minors_allowed, reference_optional;
    int64_t budget_rows, budget_bytes; /* of one grant; 0: no limit */
    unsigned budget_line;              /* 0: there is none */
    struct policy_approvers *approvers;
    size_t approver_count;                /* at least 1, but for break_glass: none */
    const struct policy_consent *consent; /* that each person named must have given; NULL: none */
    unsigned line;
};

struct policy_finder {
    char *by; /* "email", "phone", "handle" */
    char *schema, *table, *column;
    unsigned line;
};

/* A purpose for which nobody is shown but those of a register. */
struct policy_bound {
    char *purpose;
    char **subjects; /* 64 hex digits each */
    size_t subject_count;
    unsigned line;
};

struct policy_grants {
    enum grants_opened_by opened_by;
    int64_t request_age_ms, approval_age_ms;
    bool approvers_anywhere, chain_allowed, department_any;
    struct policy_grant_rule *rules;
    size_t rule_count;
    bool has_break_glass;
    struct policy_grant_rule break_glass; /* its approvers: who may review */
    int64_t review_ms, glass_open_at_most;
    struct policy_finder *finders;
    size_t finder_count;
    int64_t finds_per_day;
    char **refused_authorities;
    size_t refused_authority_count;
    char **sensitive; /* 64 hex digits each */
    size_t sensitive_count;
    struct policy_approvers *sensitive_approvers;
    size_t sensitive_approver_count;
    struct policy_bound *bound;
    size_t bound_count;
    char **honey; /* 64 hex digits each */
    size_t honey_count;
    int64_t subjects_per_day; /* 0: no limit */
    int64_t denials_per_day;  /* 0: nobody is suspended for what he was refused */
    bool is_silent;           /* persons are not told, `to_subjects: off` */
    int64_t hold_ms;          /* the longest time that a notice is held back */
    bool marks_times;         /* watermarks of clear times: policy/watermark.h */
    int64_t traces_per_day;
};

#endif
