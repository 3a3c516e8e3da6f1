/* approval.h - may this be asked, may he approve, is it enough? Pure functions over the policy.
 *
 * The same functions decide when a command comes (registrar) and when a grant is shown to workers
 * (control), so that what the database says in between counts for nothing. */
#ifndef RF_POLICY_APPROVAL_H
#define RF_POLICY_APPROVAL_H

#include "policy/grants.h"

/* tbl/grant_refusal.def: REFUSAL(ID, name in records, HTTP status, sentence for the client) */
enum grant_refusal {
    REFUSAL_NONE, /* it is allowed */
#define REFUSAL(id, name, status, sentence) REFUSAL_##id,
#include "policy/tbl/grant_refusal.def"
#undef REFUSAL
    REFUSAL_COUNT
};

enum { APPROVAL_VOTES_MAX = 64 };

struct grant_ask {
    const struct policy_region *region;
    const struct policy_actor *actor; /* NULL: unknown */
    bool is_from_home;                /* by network and listener; identity is looked at here */
    bool is_break_glass;
    uint32_t classes;                            /* bits; 0: one of them is unknown */
    const char *purpose, *reference, *authority; /* NULL: not said */
    size_t subject_count, minor_count, sensitive_count;
    size_t honey_count;   /* of the persons, those whom nobody has a reason to look at */
    size_t unbound_count; /* of the persons, those whom the purpose is not for */
    bool is_suspended;    /* the actor, in this region; the policy's word is looked at here */
    int64_t seconds;
    const char *const *consented; /* "PURPOSE VERSION": what every person has consented to */
    size_t consented_count;
};

struct grant_vote {
    const struct policy_actor *actor; /* NULL: unknown */
    bool is_from_home;
    bool is_suspended; /* in this region, now: what he said before counts nothing either */
    bool is_approval;  /* else a denial: whoever may approve may deny, too, as often as he likes */
    int64_t at_ms;     /* wall clock */
};

/* The rule under which ASK may be asked: *RET, or why not. Of several rules the first one that has
   purpose and classes decides what is said. The requester must be a person, not suspended, based at
   home unless the rule says otherwise. */
enum grant_refusal approval_may_ask(const struct policy *p, const struct grant_ask *ask,
                                    const struct policy_grant_rule **ret);

/* May VOTE be cast for ASK, which came under RULE, after the COUNT votes BEFORE? He must be a
   person, not suspended, not the requester, at home by identity and network, not above or below the
   requester in the chain of command (managers of managers on either side), not of his department,
   not have voted before, and belong to a group that the rule (or the register of sensitive
   subjects) asks for; home, chain and department unless the policy says so, the others always.
   Whoever has no department is not known to be of another. Nobody votes where the glass is broken.
 */
enum grant_refusal approval_may_vote(const struct policy *p, const struct grant_ask *ask,
                                     const struct policy_grant_rule *rule,
                                     const struct grant_vote *vote, const struct grant_vote *before,
                                     size_t count);

/* Are these votes enough at NOW? REFUSAL_NONE; REFUSAL_DENIED when one of them denies;
   REFUSAL_NOT_ENOUGH, and then *RET_MISSING (may be NULL) is how many groups' places are empty.
   Every vote is judged again, and those that may not have been cast or are too old count nothing;
   denials do not grow old, and clocks of two machines may differ by a minute. No approval that is
   left out makes it enough. The glass is broken without approvals: then only RULE is looked at.
   A voter who fits several groups fills one place: the best assignment is looked for. */
enum grant_refusal approval_is_enough(const struct policy *p, const struct grant_ask *ask,
                                      const struct policy_grant_rule *rule,
                                      const struct grant_vote *votes, size_t count, int64_t now_ms,
                                      size_t *ret_missing);

/* Could he cast a vote that fills an empty place, from home, with a key? For "who can approve now".
 */
bool approval_is_wanted(const struct policy *p, const struct grant_ask *ask,
                        const struct policy_grant_rule *rule, const struct policy_actor *actor,
                        const struct grant_vote *votes, size_t count, int64_t now_ms);

/* May ACTOR say whether what was done by breaking the glass was proper? */
enum grant_refusal approval_may_review(const struct policy *p, const struct grant_ask *ask,
                                       const struct grant_vote *vote);

/* May VOTE help to hold back what the persons of ASK, which came under RULE (NULL: under none any
   more), are to be told? He must be one who may approve it, or where the glass was broken review
   it, and at home and outside the requester's chain of command whatever the policy says about
   approvers. That two of them are needed is elsewhere. */
enum { APPROVAL_HOLD_VOTES = 2 };
enum grant_refusal approval_may_hold(const struct policy *p, const struct grant_ask *ask,
                                     const struct policy_grant_rule *rule,
                                     const struct grant_vote *vote);

/* May VOTE help to lift the suspension of ACTOR in REGION? He must be a person, not suspended
   himself, not ACTOR, at home by identity and network, and not above or below ACTOR in the chain of
   command, whatever the policy says about approvers. That two of them are needed is elsewhere. */
enum { APPROVAL_LIFT_VOTES = 2 };
enum grant_refusal approval_may_lift(const struct policy_region *region,
                                     const struct policy_actor *actor,
                                     const struct grant_vote *vote);

/* May VOTE's person trace values to the grants of REGION? Whoever is listed as an approver of any
   rule or of sensitive persons, or as a reviewer; not suspended, and at home by identity and
   network, whatever the policy says about approvers. */
enum grant_refusal approval_may_trace(const struct policy *p, const struct policy_region *region,
                                      const struct grant_vote *vote);

bool approval_is_sensitive(const struct policy *p, const struct policy_region *region,
                           const char *key);
bool approval_is_honey(const struct policy *p, const struct policy_region *region, const char *key);

/* May the person of KEY be shown for PURPOSE? False where `grants.bound` keeps a register for it in
   which he is not; without a register it is for everybody. */
bool approval_is_bound(const struct policy *p, const struct policy_region *region,
                       const char *purpose, const char *key);

/* By name, or of break_glass for "break-glass"; NULL. */
const struct policy_grant_rule *approval_rule_find(const struct policy *p, const char *name);

/* Bit of the class of that name; 0: none of the policy's. */
uint32_t approval_class_bit(const char *name);

const char *approval_refusal_name(enum grant_refusal r);
const char *approval_refusal_sentence(enum grant_refusal r);
unsigned approval_refusal_status(enum grant_refusal r);

#endif
