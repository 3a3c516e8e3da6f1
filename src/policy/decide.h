/* decide.h - may this actor open a session here, and in which room? One pure function.
 *
 * Starts from deny; answers allow, deny or missing fact, with the rule that decided, for the
 * record. Places (DESIGN 2): identity, network and listener each may give one; the rules are
 * evaluated for each and any denial denies; the recorded place is the first one not at home, in the
 * order network, listener, identity (identity's when all are at home). A unix socket is a network
 * and a listener at the gateway's own place. Several rules may say no at once: denials go before
 * missing facts, the actor's before the region's before the places' before the grant's.
 * A grant opens room `granted` to persons whose room is `masked`, with every place at home. */
#ifndef RF_POLICY_DECIDE_H
#define RF_POLICY_DECIDE_H

#include "policy/policy.h"

enum verdict { VERDICT_DENY, VERDICT_MISSING, VERDICT_ALLOW };

/* tbl/rule.def: RULE(id, name in records, verdict, sqlstate, sentence for the client) */
enum rule {
    RULE_NONE,
#define RULE(id, name, verdict, sqlstate, sentence) RULE_##id,
#include "policy/tbl/rule.def"
#undef RULE
    RULE_COUNT
};

/* The grant that the session asks for, or runs under. A grant of somebody else is UNKNOWN. */
enum decide_grant {
    DECIDE_GRANT_NONE, /* it asks for none */
    DECIDE_GRANT_UNKNOWN,
    DECIDE_GRANT_ENDED,
    DECIDE_GRANT_OPEN,
    DECIDE_GRANT_MISSING /* nobody can say at the moment */
};

struct decide_facts {
    const struct policy_actor *actor;      /* NULL: unknown */
    const struct policy_region *region;    /* NULL: this gateway serves no such region */
    struct place gateway_place;            /* of this host: serves only regions that are at home */
    const struct policy_network *network;  /* NULL: address is in no listed network */
    const struct policy_network *listener; /* NULL: listener is not in the policy */
    enum decide_grant grant;
    bool is_suspended;       /* in this region, beside what the policy says */
    bool has_client_address; /* false: unix socket; network and listener may be NULL */
};

struct decision {
    enum verdict verdict;
    enum rule rule;
    enum room room;                             /* ROOM_NONE unless allowed */
    struct place place;                         /* to be recorded; empty when nothing is known */
    bool at_home;                               /* all places are in the region's home */
    const struct policy_service_access *access; /* services; borrowed from the policy */
};

struct decision decide_session(const struct policy *policy, const struct decide_facts *facts);

const char *decide_rule_name(enum rule rule);     /* "actor-unknown", for the record */
const char *decide_rule_sentence(enum rule rule); /* for the client */
const char *decide_rule_sqlstate(enum rule rule);
enum verdict decide_rule_verdict(enum rule rule);

#endif
