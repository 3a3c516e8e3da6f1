/* consents.h - what persons may consent to, and who may write it down: `consents`.
 *
 *   consents:
 *     recorded_by: [app_us]                   # services that call ringfence.consent_give()
 *     signed_by: {departments: [privacy]}     # persons who record one on paper; or entities,
 * actors purposes: precise_location: {version: "2026-03", valid: 365d, minors: parental} # minors:
 * refused (the default) or parental
 *
 * A consent is to one version of the text that somebody was shown: another version here ends all
 * those to the one before. Rules for what comes in (`unless_consent`) and for grants (`consent`)
 * name these purposes. */
#ifndef RF_POLICY_CONSENTS_H
#define RF_POLICY_CONSENTS_H

#include "policy/grants.h"

enum { CONSENT_PURPOSES_MAX = 64 };

struct policy_consent {
    char *name;
    char *version;
    int64_t valid_ms;
    bool is_parental; /* a parent may consent for a minor; else nobody can */
    unsigned line;
};

struct policy_consents {
    struct policy_consent *purposes;
    size_t purpose_count;
    const struct policy_actor **recorders; /* services */
    size_t recorder_count;
    bool has_signers;
    struct policy_people signers; /* at home by identity and network, always */
    unsigned line;                /* 0: the policy has no such section */
};

/* Is TEXT "PURPOSE VERSION" of C? */
bool policy_consent_is(const struct policy_consent *c, const char *text);

/* NULL: the policy knows no such purpose of consent. */
const struct policy_consent *policy_consent_find(const struct policy *p, const char *name);

/* May this person, who acts from home or not, record a consent in REGION? */
bool policy_consent_signs(const struct policy *p, const struct policy_region *region,
                          const struct policy_actor *actor, bool is_from_home);

#endif
