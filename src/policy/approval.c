/* approval.c - who may ask, who may approve, and when it is enough.
 *
 * Every function begins with a refusal and has to find what allows: an actor that is not known, a
 * person without a department, a rule without approvers, a hash that could not be made all refuse.
 */
#include "policy/approval.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/consents.h"
#include "policy/seats.h"

enum { CLOCKS_DIFFER_MS = 60 * 1000 }; /* between two machines that are kept in time */

static const struct {
    const char *name;
    unsigned status;
    const char *sentence;
} refusals[REFUSAL_COUNT] = {
    [REFUSAL_NONE] = { "none", 200, "it is allowed" },
#define REFUSAL(id, name, status, sentence) [REFUSAL_##id] = { name, status, sentence },
#include "policy/tbl/grant_refusal.def"
#undef REFUSAL
};

/* -- asking -- */

static bool has_purpose(char *const *list, size_t count, const char *purpose)
{
    for (size_t i = 0; purpose != NULL && i < count; i++)
        if (strcmp(list[i], purpose) == 0)
            return true;
    return false;
}

/* Lengths of what is between the blanks at the ends of TEXT. */
static size_t trim(const char **text)
{
    *text += strspn(*text, " \t");
    size_t len = strlen(*text);
    while (len > 0 && ((*text)[len - 1] == ' ' || (*text)[len - 1] == '\t'))
        len--;
    return len;
}

static bool is_refused_authority(const struct policy_grants *g, const char *authority)
{
    if (authority == NULL)
        return false;
    size_t len = trim(&authority);
    for (size_t i = 0; i < g->refused_authority_count; i++) {
        const char *refused = g->refused_authorities[i];
        if (trim(&refused) == len && strncasecmp(refused, authority, len) == 0)
            return true;
    }
    return false;
}

static bool speaks_of(const struct policy_grant_rule *rule, const struct grant_ask *ask)
{
    return has_purpose(rule->purposes, rule->purpose_count, ask->purpose) &&
           (ask->classes & ~rule->classes) == 0;
}

/* What no rule can allow. */
static enum grant_refusal refusal_of_ask(const struct policy *p, const struct grant_ask *ask)
{
    if (ask->actor == NULL)
        return REFUSAL_REQUESTER_UNKNOWN;
    if (ask->actor->suspended || ask->is_suspended)
        return REFUSAL_REQUESTER_SUSPENDED;
    if (ask->actor->kind != ACTOR_PERSON)
        return REFUSAL_REQUESTER_NO_PERSON;
    if (!policy_has_purpose(p, ask->purpose))
        return REFUSAL_PURPOSE_UNKNOWN;
    if (ask->classes == 0)
        return REFUSAL_CLASS_UNKNOWN;
    if (is_refused_authority(p->grants, ask->authority))
        return REFUSAL_AUTHORITY_REFUSED;
    return REFUSAL_NONE;
}

static bool is_asked_from_home(const struct grant_ask *ask)
{
    return ask->is_from_home && policy_is_home(ask->region, ask->actor->place);
}

static bool has_consented(const struct grant_ask *ask, const struct policy_consent *consent)
{
    for (size_t i = 0; i < ask->consented_count; i++)
        if (policy_consent_is(consent, ask->consented[i]))
            return true;
    return false;
}

/* Those whom nobody has a reason to look at are shown to nobody. Sensitive persons: never by
   breaking the glass, and only where the policy names who must approve, too. A request for nobody
   is none. */
static enum grant_refusal refusal_of_rule(const struct policy *p, const struct grant_ask *ask,
                                          const struct policy_grant_rule *rule)
{
    if (!seats_fit(&rule->ask, ask->actor))
        return REFUSAL_REQUESTER_NOT_LISTED;
    if (!rule->ask.anywhere && !is_asked_from_home(ask))
        return REFUSAL_REQUESTER_ABROAD;
    if (ask->subject_count == 0 || ask->subject_count > (uint64_t)rule->subjects)
        return REFUSAL_TOO_MANY_SUBJECTS;
    if (ask->seconds <= 0 || ask->seconds > rule->duration_ms / 1000)
        return REFUSAL_TOO_LONG;
    if (ask->unbound_count > 0) /* before what would say more of those whom it is not for */
        return REFUSAL_PURPOSE_BOUND;
    if (ask->minor_count > 0 && !rule->minors_allowed)
        return REFUSAL_MINOR;
    if (ask->honey_count > 0)
        return REFUSAL_SENSITIVE;
    if (ask->sensitive_count > 0 &&
        (ask->is_break_glass || p->grants->sensitive_approver_count == 0))
        return REFUSAL_SENSITIVE;
    if (!rule->reference_optional && (ask->reference == NULL || ask->reference[0] == '\0'))
        return REFUSAL_REFERENCE_MISSING;
    if (rule->consent != NULL && !has_consented(ask, rule->consent))
        return REFUSAL_CONSENT_MISSING;
    return REFUSAL_NONE;
}

enum grant_refusal approval_may_ask(const struct policy *p, const struct grant_ask *ask,
                                    const struct policy_grant_rule **ret)
{
    const struct policy_grants *g = p->grants;
    const struct policy_grant_rule *rules = ask->is_break_glass ? &g->break_glass : g->rules;
    size_t count = ask->is_break_glass ? (size_t)g->has_break_glass : g->rule_count;
    enum grant_refusal first = refusal_of_ask(p, ask);
    if (first != REFUSAL_NONE)
        return first;
    for (size_t i = 0; i < count; i++) {
        if (!speaks_of(&rules[i], ask))
            continue;
        enum grant_refusal refusal = refusal_of_rule(p, ask, &rules[i]);
        if (refusal == REFUSAL_NONE) {
            *ret = &rules[i];
            return REFUSAL_NONE;
        }
        first = first == REFUSAL_NONE ? refusal : first;
    }
    return first == REFUSAL_NONE ? REFUSAL_NO_RULE : first;
}

/* -- approving -- */

/* Is SUPERIOR the manager of ACTOR, or a manager of his managers? Chains end: policy_check(). */
static bool is_above(const struct policy_actor *superior, const struct policy_actor *actor)
{
    for (const struct policy_actor *a = actor->superior; a != NULL; a = a->superior)
        if (a == superior)
            return true;
    return false;
}

/* Whoever has no department is not known to be of another. */
static bool is_of_another_department(const struct policy_actor *a, const struct policy_actor *b)
{
    return a->department != NULL && b->department != NULL &&
           strcmp(a->department, b->department) != 0;
}

/* Everything about the voter but where he is listed, and what he said before. */
static enum grant_refusal refusal_of_voter(const struct policy *p, const struct grant_ask *ask,
                                           const struct grant_vote *vote)
{
    const struct policy_grants *g = p->grants;
    const struct policy_actor *voter = vote->actor, *requester = ask->actor;
    if (requester == NULL) /* nobody can tell who is in his chain */
        return REFUSAL_REQUESTER_UNKNOWN;
    if (voter == NULL)
        return REFUSAL_APPROVER_UNKNOWN;
    if (voter->suspended || vote->is_suspended)
        return REFUSAL_APPROVER_SUSPENDED;
    if (voter->kind != ACTOR_PERSON)
        return REFUSAL_APPROVER_NO_PERSON;
    if (voter == requester)
        return REFUSAL_APPROVER_REQUESTER;
    if (!g->approvers_anywhere &&
        !(vote->is_from_home && policy_is_home(ask->region, voter->place)))
        return REFUSAL_APPROVER_ABROAD;
    if (!g->chain_allowed && (is_above(voter, requester) || is_above(requester, voter)))
        return REFUSAL_APPROVER_CHAIN;
    if (!g->department_any && !is_of_another_department(voter, requester))
        return REFUSAL_APPROVER_DEPARTMENT;
    return REFUSAL_NONE;
}

static bool is_in_a_group(const struct policy_approvers *groups, size_t count,
                          const struct policy_actor *actor)
{
    for (size_t i = 0; i < count; i++)
        if (seats_fit(&groups[i].who, actor))
            return true;
    return false;
}

/* What breaks the glass is approved by nobody: the groups of that rule review it. */
static bool is_listed(const struct policy *p, const struct grant_ask *ask,
                      const struct policy_grant_rule *rule, const struct policy_actor *voter)
{
    const struct policy_grants *g = p->grants;
    if (ask->is_break_glass || rule == &g->break_glass)
        return false;
    return is_in_a_group(rule->approvers, rule->approver_count, voter) ||
           (ask->sensitive_count > 0 &&
            is_in_a_group(g->sensitive_approvers, g->sensitive_approver_count, voter));
}

static bool has_voted(const struct policy_actor *actor, const struct grant_vote *votes,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (votes[i].actor == actor)
            return true;
    return false;
}

enum grant_refusal approval_may_vote(const struct policy *p, const struct grant_ask *ask,
                                     const struct policy_grant_rule *rule,
                                     const struct grant_vote *vote, const struct grant_vote *before,
                                     size_t count)
{
    enum grant_refusal refusal = refusal_of_voter(p, ask, vote);
    if (refusal != REFUSAL_NONE)
        return refusal;
    if (vote->is_approval && has_voted(vote->actor, before, count))
        return REFUSAL_APPROVER_TWICE;
    return is_listed(p, ask, rule, vote->actor) ? REFUSAL_NONE : REFUSAL_APPROVER_NOT_LISTED;
}

/* -- enough -- */

/* Looked at without those before it: an approval that never counted does not spoil a good one, and
   so no approval that is taken away opens anything. */
static bool counts(const struct policy *p, const struct grant_ask *ask,
                   const struct policy_grant_rule *rule, const struct grant_vote *vote)
{
    return approval_may_vote(p, ask, rule, vote, NULL, 0) == REFUSAL_NONE;
}

static bool is_fresh(const struct policy *p, const struct grant_vote *vote, int64_t now_ms)
{
    return vote->at_ms <= now_ms + CLOCKS_DIFFER_MS &&
           vote->at_ms >= now_ms - p->grants->approval_age_ms;
}

/* The places of RULE, taken by those whose approval counts. */
static void seat(const struct policy *p, const struct grant_ask *ask,
                 const struct policy_grant_rule *rule, const struct grant_vote *votes, size_t count,
                 int64_t now_ms, struct seats *s)
{
    const struct policy_actor *seen[APPROVAL_VOTES_MAX];
    size_t seen_count = 0;
    seats_add(s, rule->approvers, rule->approver_count);
    if (ask->sensitive_count > 0)
        seats_add(s, p->grants->sensitive_approvers, p->grants->sensitive_approver_count);
    for (size_t i = 0; i < count; i++) {
        const struct grant_vote *vote = &votes[i];
        bool is_new = true;
        if (!vote->is_approval || !is_fresh(p, vote, now_ms) || !counts(p, ask, rule, vote))
            continue;
        for (size_t k = 0; k < seen_count; k++)
            is_new = is_new && seen[k] != vote->actor;
        if (!is_new || seen_count == APPROVAL_VOTES_MAX)
            continue;
        seen[seen_count++] = vote->actor;
        (void)seats_take(s, vote->actor); /* not needed where he fits: then the place stays his */
    }
}

static bool is_denied(const struct policy *p, const struct grant_ask *ask,
                      const struct policy_grant_rule *rule, const struct grant_vote *votes,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!votes[i].is_approval && counts(p, ask, rule, &votes[i]))
            return true;
    return false;
}

/* Do ASK and RULE belong together, and does RULE say who decides? */
static bool can_be_enough(const struct policy *p, const struct grant_ask *ask,
                          const struct policy_grant_rule *rule)
{
    if (ask->is_break_glass)
        return rule == &p->grants->break_glass && ask->sensitive_count == 0;
    return rule != &p->grants->break_glass && rule->approver_count > 0 &&
           (ask->sensitive_count == 0 || p->grants->sensitive_approver_count > 0);
}

enum grant_refusal approval_is_enough(const struct policy *p, const struct grant_ask *ask,
                                      const struct policy_grant_rule *rule,
                                      const struct grant_vote *votes, size_t count, int64_t now_ms,
                                      size_t *ret_missing)
{
    struct seats s = { .count = 0 };
    size_t missing = 1;
    bool is_possible = can_be_enough(p, ask, rule);
    if (ret_missing != NULL)
        *ret_missing = 0;
    if (is_denied(p, ask, rule, votes, count))
        return REFUSAL_DENIED;
    if (is_possible && ask->is_break_glass)
        return REFUSAL_NONE;
    if (is_possible) {
        seat(p, ask, rule, votes, count, now_ms, &s);
        missing = seats_empty(&s);
    }
    if (ret_missing != NULL)
        *ret_missing = missing;
    return missing == 0 ? REFUSAL_NONE : REFUSAL_NOT_ENOUGH;
}

bool approval_is_wanted(const struct policy *p, const struct grant_ask *ask,
                        const struct policy_grant_rule *rule, const struct policy_actor *actor,
                        const struct grant_vote *votes, size_t count, int64_t now_ms)
{
    struct seats s = { .count = 0 };
    struct grant_vote vote = {
        .actor = actor, .is_from_home = true, .is_approval = true, .at_ms = now_ms
    };
    if (actor == NULL || actor->key_count == 0 || !can_be_enough(p, ask, rule) ||
        is_denied(p, ask, rule, votes, count) ||
        approval_may_vote(p, ask, rule, &vote, votes, count) != REFUSAL_NONE)
        return false;
    seat(p, ask, rule, votes, count, now_ms, &s);
    return seats_take(&s, actor);
}

enum grant_refusal approval_may_review(const struct policy *p, const struct grant_ask *ask,
                                       const struct grant_vote *vote)
{
    const struct policy_grant_rule *rule = &p->grants->break_glass;
    enum grant_refusal refusal = refusal_of_voter(p, ask, vote);
    if (refusal != REFUSAL_NONE)
        return refusal;
    return p->grants->has_break_glass &&
                   is_in_a_group(rule->approvers, rule->approver_count, vote->actor)
               ? REFUSAL_NONE
               : REFUSAL_APPROVER_NOT_LISTED;
}

/* -- lifting a suspension -- */

enum grant_refusal approval_may_lift(const struct policy_region *region,
                                     const struct policy_actor *actor,
                                     const struct grant_vote *vote)
{
    const struct policy_actor *voter = vote->actor;
    if (actor == NULL) /* nobody can tell who is in his chain */
        return REFUSAL_REQUESTER_UNKNOWN;
    if (voter == NULL)
        return REFUSAL_APPROVER_UNKNOWN;
    if (voter->suspended || vote->is_suspended)
        return REFUSAL_APPROVER_SUSPENDED;
    if (voter->kind != ACTOR_PERSON)
        return REFUSAL_APPROVER_NO_PERSON;
    if (voter == actor)
        return REFUSAL_APPROVER_REQUESTER;
    if (!vote->is_from_home || !policy_is_home(region, voter->place))
        return REFUSAL_APPROVER_ABROAD;
    if (is_above(voter, actor) || is_above(actor, voter))
        return REFUSAL_APPROVER_CHAIN;
    return REFUSAL_NONE;
}

/* -- holding back notices -- */

enum grant_refusal approval_may_hold(const struct policy *p, const struct grant_ask *ask,
                                     const struct policy_grant_rule *rule,
                                     const struct grant_vote *vote)
{
    enum grant_refusal refusal = approval_may_lift(ask->region, ask->actor, vote);
    if (refusal != REFUSAL_NONE)
        return refusal;
    if (ask->is_break_glass)
        return approval_may_review(p, ask, vote);
    return rule == NULL ? REFUSAL_APPROVER_NOT_LISTED
                        : approval_may_vote(p, ask, rule, vote, NULL, 0);
}

/* -- tracing -- */

static bool is_an_approver(const struct policy_grants *g, const struct policy_actor *actor)
{
    for (size_t i = 0; i < g->rule_count; i++)
        if (is_in_a_group(g->rules[i].approvers, g->rules[i].approver_count, actor))
            return true;
    return is_in_a_group(g->sensitive_approvers, g->sensitive_approver_count, actor) ||
           (g->has_break_glass &&
            is_in_a_group(g->break_glass.approvers, g->break_glass.approver_count, actor));
}

enum grant_refusal approval_may_trace(const struct policy *p, const struct policy_region *region,
                                      const struct grant_vote *vote)
{
    const struct policy_actor *actor = vote->actor;
    if (actor == NULL)
        return REFUSAL_APPROVER_UNKNOWN;
    if (actor->suspended || vote->is_suspended)
        return REFUSAL_APPROVER_SUSPENDED;
    if (actor->kind != ACTOR_PERSON)
        return REFUSAL_APPROVER_NO_PERSON;
    if (!vote->is_from_home || !policy_is_home(region, actor->place))
        return REFUSAL_APPROVER_ABROAD;
    return is_an_approver(p->grants, actor) ? REFUSAL_NONE : REFUSAL_TRACER_NOT_LISTED;
}

/* -- the registers of sensitive persons, of honey, and of whom a purpose is for -- */

/* False: out of memory. */
static bool sensitive_hash(const char *region, const char *key, char ret[2 * 32 + 1])
{
    static const char head[] = "ringfence-sensitive@1\n";
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, head, strlen(head)) == 1 &&
                EVP_DigestUpdate(md, region, strlen(region)) == 1 &&
                EVP_DigestUpdate(md, "\n", 1) == 1 && EVP_DigestUpdate(md, key, strlen(key)) == 1 &&
                EVP_DigestUpdate(md, "\n", 1) == 1 && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    for (size_t i = 0; good && i < 32; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    return good;
}

/* UNKNOWN: what is said when the hash could not be made, which is to be the narrower of the two. */
static bool is_listed_by_hash(char *const *hashes, size_t count, const struct policy_region *region,
                              const char *key, bool unknown)
{
    char hash[2 * 32 + 1];
    if (count == 0)
        return false;
    if (!sensitive_hash(region->name, key, hash))
        return unknown;
    for (size_t i = 0; i < count; i++)
        if (strcmp(hashes[i], hash) == 0)
            return true;
    return false;
}

bool approval_is_sensitive(const struct policy *p, const struct policy_region *region,
                           const char *key)
{
    return is_listed_by_hash(p->grants->sensitive, p->grants->sensitive_count, region, key, true);
}

bool approval_is_honey(const struct policy *p, const struct policy_region *region, const char *key)
{
    return is_listed_by_hash(p->grants->honey, p->grants->honey_count, region, key, true);
}

bool approval_is_bound(const struct policy *p, const struct policy_region *region,
                       const char *purpose, const char *key)
{
    const struct policy_grants *g = p->grants;
    for (size_t i = 0; purpose != NULL && i < g->bound_count; i++)
        if (strcmp(g->bound[i].purpose, purpose) == 0)
            return is_listed_by_hash(g->bound[i].subjects, g->bound[i].subject_count, region, key,
                                     false);
    return true;
}

/* -- names -- */

const struct policy_grant_rule *approval_rule_find(const struct policy *p, const char *name)
{
    const struct policy_grants *g = p->grants;
    if (g->has_break_glass && strcmp(name, g->break_glass.name) == 0)
        return &g->break_glass;
    for (size_t i = 0; i < g->rule_count; i++)
        if (strcmp(g->rules[i].name, name) == 0)
            return &g->rules[i];
    return NULL;
}

uint32_t approval_class_bit(const char *name)
{
    for (unsigned i = CLASS_IDENTITY; i < CLASS_COUNT; i++)
        if (strcmp(policy_class_name((enum class_id)i), name) == 0)
            return 1U << i;
    return 0;
}

static enum grant_refusal known(enum grant_refusal r)
{
    return (unsigned)r < REFUSAL_COUNT ? r : REFUSAL_NO_RULE;
}

const char *approval_refusal_name(enum grant_refusal r)
{
    return refusals[known(r)].name;
}

const char *approval_refusal_sentence(enum grant_refusal r)
{
    return refusals[known(r)].sentence;
}

unsigned approval_refusal_status(enum grant_refusal r)
{
    return refusals[known(r)].status;
}
