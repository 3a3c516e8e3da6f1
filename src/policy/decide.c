#include "policy/decide.h"

#include <string.h>

static const struct {
    const char *name;
    enum verdict verdict;
    const char *sqlstate;
    const char *sentence;
} rules[RULE_COUNT] = {
    [RULE_NONE] = { "none", VERDICT_DENY, "28000", "no rule allows this login" },
#define RULE(id, name, verdict, sqlstate, sentence) \
    [RULE_##id] = { name, VERDICT_##verdict, sqlstate, sentence },
#include "policy/tbl/rule.def"
#undef RULE
};

/* One of the places from which a session acts. */
struct source {
    struct place place;
    enum rule missing;        /* RULE_NONE, or why the place is not known */
    enum rule service_denied; /* what denies a service that may not act from there */
};

enum { SOURCE_NETWORK, SOURCE_LISTENER, SOURCE_IDENTITY, SOURCE_COUNT }; /* order of the record */

static bool is_set(struct place place)
{
    return place.code[0] != '\0';
}

/* A network or listener without a place of its own says what the identity says. */
static struct source source_of(const struct decide_facts *f, const struct policy_network *says,
                               enum rule missing)
{
    struct source s = { .missing = RULE_NONE };
    if (says != NULL)
        s.place = is_set(says->place) || f->actor == NULL ? says->place : f->actor->place;
    else if (!f->has_client_address)
        s.place = f->gateway_place;
    else
        s.missing = missing;
    return s;
}

static void find_sources(const struct decide_facts *f, struct source sources[SOURCE_COUNT])
{
    sources[SOURCE_NETWORK] = source_of(f, f->network, RULE_NETWORK_MISSING);
    sources[SOURCE_NETWORK].service_denied = RULE_SERVICE_NETWORK_PLACE;
    sources[SOURCE_LISTENER] = source_of(f, f->listener, RULE_LISTENER_MISSING);
    sources[SOURCE_LISTENER].service_denied = RULE_SERVICE_LISTENER_PLACE;
    sources[SOURCE_IDENTITY] = (struct source){ .service_denied = RULE_SERVICE_IDENTITY_PLACE };
    if (f->actor != NULL)
        sources[SOURCE_IDENTITY].place = f->actor->place;
    if (!is_set(sources[SOURCE_IDENTITY].place))
        sources[SOURCE_IDENTITY].missing = RULE_IDENTITY_PLACE_MISSING;
}

/* What is recorded about where: see the header. */
static void set_place(struct decision *d, const struct decide_facts *f,
                      const struct source sources[SOURCE_COUNT])
{
    d->at_home = f->region != NULL;
    d->place = sources[SOURCE_IDENTITY].place;
    for (int i = SOURCE_COUNT - 1; i >= 0; i--) {
        if (is_set(sources[i].place) && policy_is_home(f->region, sources[i].place))
            continue;
        d->at_home = false;
        if (is_set(sources[i].place))
            d->place = sources[i].place;
    }
}

static const struct policy_service_access *access_of(const struct decide_facts *f)
{
    for (size_t i = 0; i < f->actor->access_count; i++)
        if (f->actor->access[i].region == f->region)
            return &f->actor->access[i];
    return NULL;
}

static bool may_act_from(const struct policy_service_access *access, struct place place)
{
    for (size_t i = 0; i < access->from_count; i++)
        if (memcmp(access->from[i].code, place.code, sizeof(place.code)) == 0)
            return true;
    return false;
}

/* The first denial, or RULE_NONE. */
static enum rule service_denial(const struct policy_service_access *access,
                                const struct source sources[SOURCE_COUNT])
{
    if (access == NULL)
        return RULE_SERVICE_REGION;
    for (int i = 0; i < SOURCE_COUNT; i++)
        if (is_set(sources[i].place) && !may_act_from(access, sources[i].place))
            return sources[i].service_denied;
    return RULE_NONE;
}

static enum rule denial(const struct decide_facts *f, const struct decision *d,
                        const struct source sources[SOURCE_COUNT])
{
    if (f->actor == NULL)
        return RULE_ACTOR_UNKNOWN;
    if (f->actor->suspended || f->is_suspended)
        return RULE_ACTOR_SUSPENDED;
    if (f->region == NULL)
        return RULE_REGION_UNKNOWN;
    if (is_set(f->gateway_place) && !policy_is_home(f->region, f->gateway_place))
        return RULE_REGION_NOT_HERE;
    if (f->actor->kind == ACTOR_SERVICE)
        return service_denial(d->access, sources);
    return f->actor->kind == ACTOR_PERSON ? RULE_NONE : RULE_POLICY_BROKEN;
}

/* After all else: whoever is refused anyway does not hear about grants. */
static enum rule grant_denial(const struct policy *policy, const struct decide_facts *f,
                              const struct decision *d)
{
    if (f->grant == DECIDE_GRANT_NONE)
        return RULE_NONE;
    if (f->actor->kind != ACTOR_PERSON)
        return RULE_GRANT_PERSONS_ONLY;
    if (!d->at_home)
        return RULE_GRANT_AT_HOME_ONLY;
    if (policy->room_home != ROOM_MASKED)
        return RULE_GRANT_ROOM;
    switch (f->grant) {
    case DECIDE_GRANT_OPEN:
        return RULE_NONE;
    case DECIDE_GRANT_ENDED:
        return RULE_GRANT_ENDED;
    case DECIDE_GRANT_MISSING:
        return RULE_GRANT_MISSING;
    default:
        return RULE_GRANT_UNKNOWN;
    }
}

static enum rule missing_fact(const struct decide_facts *f,
                              const struct source sources[SOURCE_COUNT])
{
    if (!is_set(f->gateway_place))
        return RULE_GATEWAY_PLACE_MISSING;
    for (int i = 0; i < SOURCE_COUNT; i++)
        if (sources[i].missing != RULE_NONE)
            return sources[i].missing;
    return RULE_NONE;
}

static void allow(struct decision *d, const struct policy *policy, const struct decide_facts *f)
{
    if (f->grant != DECIDE_GRANT_NONE) {
        d->rule = RULE_PERSON_GRANTED;
        d->room = ROOM_GRANTED;
        return;
    }
    if (f->actor->kind == ACTOR_SERVICE) {
        d->rule = d->at_home ? RULE_SERVICE_AT_HOME : RULE_SERVICE_ABROAD;
        d->room = ROOM_CLEAR;
        return;
    }
    enum room room = d->at_home ? policy->room_home : policy->room_abroad;
    if (room == ROOM_MASKED || room == ROOM_STATS) {
        d->rule = d->at_home ? RULE_PERSON_AT_HOME : RULE_PERSON_ABROAD;
        d->room = room;
    } else {
        d->rule = room == ROOM_NONE ? RULE_PERSON_NO_ROOM : RULE_POLICY_BROKEN;
    }
}

struct decision decide_session(const struct policy *policy, const struct decide_facts *facts)
{
    struct source sources[SOURCE_COUNT];
    struct decision d = { .verdict = VERDICT_DENY };
    find_sources(facts, sources);
    set_place(&d, facts, sources);
    if (facts->actor != NULL && facts->region != NULL)
        d.access = access_of(facts);
    d.rule = denial(facts, &d, sources);
    if (d.rule == RULE_NONE)
        d.rule = missing_fact(facts, sources);
    if (d.rule == RULE_NONE)
        d.rule = grant_denial(policy, facts, &d);
    if (d.rule == RULE_NONE)
        allow(&d, policy, facts);
    d.verdict = rules[d.rule].verdict;
    if (d.verdict != VERDICT_ALLOW)
        d.access = NULL;
    return d;
}

static enum rule known(enum rule rule)
{
    return (unsigned)rule < RULE_COUNT ? rule : RULE_NONE;
}

const char *decide_rule_name(enum rule rule)
{
    return rules[known(rule)].name;
}

const char *decide_rule_sentence(enum rule rule)
{
    return rules[known(rule)].sentence;
}

const char *decide_rule_sqlstate(enum rule rule)
{
    return rules[known(rule)].sqlstate;
}

enum verdict decide_rule_verdict(enum rule rule)
{
    return rules[known(rule)].verdict;
}
