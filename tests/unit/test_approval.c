#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "policy/approval.h"
#include "policy/mistakes.h"
#include "policy/seats.h"

#define NOW    INT64_C(1795780800000)
#define MINUTE INT64_C(60000)

/* ---- the known case ----------------------------------------------------------------------------

   An audit manager abroad asks for the whereabouts of two people and has it approved by his own
   chain. In this policy every rule is off, and it goes through; each test turns one rule on. */

struct part {
    const char *name, *off, *on;
};

enum {
    ASK_FROM,
    ASK_WHO,
    CLASSES,
    SUBJECTS,
    DURATION,
    AUTHORITY,
    APPROVER_FROM,
    CHAIN,
    DEPARTMENT,
    GROUP,
    SUSPENDED,
    PURPOSE,
    PART_COUNT
};

static const struct part parts[PART_COUNT] = {
    [ASK_FROM] = { "ask from", "from: anywhere", "from: home" },
    [ASK_WHO] = { "ask who", "", ", departments: [analytics]" },
    [CLASSES] = { "classes", "[identity, location]", "[identity]" },
    [SUBJECTS] = { "subjects", "2", "1" },
    [DURATION] = { "duration", "8h", "1h" },
    [AUTHORITY] = { "authority", "",
                    "  refused_authorities: [Another, Ministry of State Security]\n" },
    [APPROVER_FROM] = { "approvers from", "from: anywhere", "from: home" },
    [CHAIN] = { "chain", "chain: allowed", "chain: excluded" },
    [DEPARTMENT] = { "department", "department: any", "department: other" },
    [GROUP] = { "group", "{count: 2}", "{count: 2, departments: [privacy, audit]}" },
    [SUSPENDED] = { "suspended", "", ", suspended: true" },
    [PURPOSE] = { "purpose", "[security_incident, debugging]", "[debugging]" },
};

static struct policy *parse(const char *text)
{
    struct mistakes m;
    struct policy *p = NULL;
    mistakes_init(&m);
    if (policy_parse("policy.yaml", text, strlen(text), &p, &m) < 0)
        mistakes_print(&m, stderr);
    assert_non_null(p);
    mistakes_done(&m);
    return p;
}

/* The policy with part ON switched on; PART_COUNT: none. The two officers make every rule one that
   somebody could meet: a policy in which nobody could is no policy. */
static struct policy *case_policy(int on)
{
    char text[4000];
    const char *s[PART_COUNT];
    for (int i = 0; i < PART_COUNT; i++)
        s[i] = i == on ? parts[i].on : parts[i].off;
    int n = snprintf(
        text, sizeof(text),
        "version: 1\n"
        "company: Clipstream\n"
        "jurisdictions: {US: [US]}\n"
        "regions: {us: {jurisdiction: US, place: US}}\n"
        "entities: {us: {country: US}, cn: {country: CN}}\n"
        "purposes: [security_incident, debugging]\n"
        "actors:\n"
        "  us_head: {kind: person, entity: us, place: US, department: analytics}\n"
        "  us_privacy: {kind: person, entity: us, place: US, department: privacy}\n"
        "  us_privacy2: {kind: person, entity: us, place: US, department: privacy}\n"
        "  us_other: {kind: person, entity: us, place: US, department: other}\n"
        "  cn_top: {kind: person, entity: cn, place: CN, department: audit}\n"
        "  cn_head: {kind: person, entity: cn, place: CN, department: audit, manager: cn_top}\n"
        "  cn_manager: {kind: person, entity: cn, place: CN, department: audit,"
        " manager: cn_head%s}\n"
        "tables:\n"
        "  app.tags: {columns: {name: none}}\n"
        "grants:\n"
        "  approvers: {%s, %s, %s}\n"
        "  rules:\n"
        "    where:\n"
        "      purposes: %s\n"
        "      classes: %s\n"
        "      ask: {%s%s}\n"
        "      subjects: %s\n"
        "      duration: %s\n"
        "      approvers: [%s]\n"
        "%s",
        s[SUSPENDED], s[APPROVER_FROM], s[CHAIN], s[DEPARTMENT], s[PURPOSE], s[CLASSES],
        s[ASK_FROM], s[ASK_WHO], s[SUBJECTS], s[DURATION], s[GROUP], s[AUTHORITY]);
    assert_in_range(n, 1, sizeof(text) - 1);
    return parse(text);
}

static struct grant_ask case_ask(const struct policy *p)
{
    return (struct grant_ask){ .region = policy_region_find(p, "us"),
                               .actor = policy_actor_find(p, "cn_manager"),
                               .classes = 1U << CLASS_IDENTITY | 1U << CLASS_LOCATION,
                               .purpose = "security_incident",
                               .reference = "leak",
                               .authority = " ministry of state SECURITY ",
                               .subject_count = 2,
                               .seconds = 8 * 3600 };
}

static struct grant_vote vote_of(const struct policy *p, const char *name)
{
    return (struct grant_vote){ .actor = policy_actor_find(p, name),
                                .is_approval = true,
                                .at_ms = NOW };
}

/* What is said first: at the request, at a vote, or about them all. */
static enum grant_refusal case_outcome(const struct policy *p)
{
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = case_ask(p);
    struct grant_vote votes[] = { vote_of(p, "cn_top"), vote_of(p, "cn_head") };
    enum grant_refusal said = approval_may_ask(p, &ask, &rule);
    enum grant_refusal enough = REFUSAL_NONE;
    if (said != REFUSAL_NONE)
        return said;
    for (size_t i = 0; i < RF_COUNT(votes) && said == REFUSAL_NONE; i++)
        said = approval_may_vote(p, &ask, rule, &votes[i], votes, i);
    /* were a vote in the database all the same, it would count for nothing */
    enough = approval_is_enough(p, &ask, rule, votes, RF_COUNT(votes), NOW, NULL);
    assert_int_equal(enough, said == REFUSAL_NONE ? REFUSAL_NONE : REFUSAL_NOT_ENOUGH);
    return said;
}

static void the_known_case_goes_through_where_every_rule_is_off(void **state)
{
    struct policy *p = case_policy(PART_COUNT);
    (void)state;
    assert_int_equal(case_outcome(p), REFUSAL_NONE);
    policy_free(p);
}

static void the_known_case_is_refused_at_each_rule_with_all_others_off(void **state)
{
    static const struct {
        int part;
        enum grant_refusal said;
    } rows[] = {
        { ASK_FROM, REFUSAL_REQUESTER_ABROAD },
        { ASK_WHO, REFUSAL_REQUESTER_NOT_LISTED },
        { CLASSES, REFUSAL_NO_RULE },
        { PURPOSE, REFUSAL_NO_RULE },
        { SUBJECTS, REFUSAL_TOO_MANY_SUBJECTS },
        { DURATION, REFUSAL_TOO_LONG },
        { AUTHORITY, REFUSAL_AUTHORITY_REFUSED },
        { SUSPENDED, REFUSAL_REQUESTER_SUSPENDED },
        { APPROVER_FROM, REFUSAL_APPROVER_ABROAD },
        { CHAIN, REFUSAL_APPROVER_CHAIN },
        { DEPARTMENT, REFUSAL_APPROVER_DEPARTMENT },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct policy *p = case_policy(rows[i].part);
        enum grant_refusal said = case_outcome(p);
        if (said != rows[i].said)
            fail_msg("%s: %s instead of %s", parts[rows[i].part].name, approval_refusal_name(said),
                     approval_refusal_name(rows[i].said));
        policy_free(p);
    }
}

static void the_known_case_is_refused_where_the_rule_names_other_approvers(void **state)
{
    struct policy *p = case_policy(GROUP);
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = case_ask(p);
    struct grant_vote boss = vote_of(p, "us_other"), votes[2];
    (void)state;
    assert_int_equal(case_outcome(p), REFUSAL_NONE); /* the group has his department */
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    assert_int_equal(approval_may_vote(p, &ask, rule, &boss, NULL, 0), REFUSAL_APPROVER_NOT_LISTED);
    votes[0] = vote_of(p, "cn_head");
    votes[1] = boss;
    assert_int_equal(approval_is_enough(p, &ask, rule, votes, 2, NOW, NULL), REFUSAL_NOT_ENOUGH);
    policy_free(p);
}

static void nobody_approves_his_own_request_or_twice_whatever_is_off(void **state)
{
    struct policy *p = case_policy(PART_COUNT);
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = case_ask(p);
    struct grant_vote himself = vote_of(p, "cn_manager");
    struct grant_vote twice[] = { vote_of(p, "cn_head"), vote_of(p, "cn_head") };
    size_t missing;
    (void)state;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    assert_int_equal(approval_may_vote(p, &ask, rule, &himself, NULL, 0),
                     REFUSAL_APPROVER_REQUESTER);
    assert_int_equal(approval_may_vote(p, &ask, rule, &twice[1], twice, 1), REFUSAL_APPROVER_TWICE);
    assert_int_equal(approval_is_enough(p, &ask, rule, twice, 2, NOW, &missing),
                     REFUSAL_NOT_ENOUGH);
    assert_int_equal(missing, 1);
    twice[1].is_approval = false; /* but he may think better of it */
    assert_int_equal(approval_may_vote(p, &ask, rule, &twice[1], twice, 1), REFUSAL_NONE);
    assert_int_equal(approval_is_enough(p, &ask, rule, twice, 2, NOW, NULL), REFUSAL_DENIED);
    policy_free(p);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static const char office[] =
    "version: 1\n"
    "company: Clipstream\n"
    "jurisdictions: {US: [US], EU: [IE]}\n"
    "regions: {us: {jurisdiction: US, place: US}, eu: {jurisdiction: EU, place: IE}}\n"
    "entities: {us: {country: US}, ie: {country: IE}}\n"
    "purposes: [support_ticket, security_incident, legal_demand, child_safety]\n"
    "actors:\n"
    "  head: {kind: person, entity: us, place: US, department: analytics}\n"
    "  analyst: {kind: person, entity: us, place: US, department: analytics, manager: head}\n"
    "  away: {kind: person, entity: us, place: IE, department: analytics}\n"
    "  gone: {kind: person, entity: us, place: US, department: analytics, suspended: true}\n"
    "  privacy: {kind: person, entity: us, place: US, department: privacy}\n"
    "  security: {kind: person, entity: us, place: US, department: security}\n"
    "  counsel: {kind: person, entity: ie, place: US, department: legal}\n"
    "  drifter: {kind: person, entity: us, place: US}\n"
    "  app: {kind: service, entity: us, place: US, regions: {us: {from: [US], tables: read}}}\n"
    "tables:\n"
    "  app.tags: {columns: {name: none}}\n"
    "grants:\n"
    "  rules:\n"
    "    support: {purposes: [support_ticket], classes: [identity, contact],\n"
    "      ask: {departments: [analytics]}, subjects: 5, duration: 8h,\n"
    "      approvers: [{departments: [privacy]}, {departments: [security]}]}\n"
    "    wide: {purposes: [support_ticket], classes: [identity, contact, location],\n"
    "      ask: {actors: [head]}, subjects: 1, duration: 1h, minors: allowed,\n"
    "      reference: optional, approvers: [{count: 2}]}\n"
    "  break_glass: {purposes: [security_incident, child_safety], classes: [identity],\n"
    "    ask: {actors: [security]}, reviewers: [{actors: [privacy]}]}\n"
    "  refused_authorities: [Ministry of State Security]\n"
    "  sensitive:\n"
    "    subjects: [8de4a5acb4e0ed26a1c84f3b5cbb1d6ba1a7e7cf0b0f4d1f5f9c6f3f4f5f6f70]\n"
    "    approvers: [{entities: [ie]}]\n";

static struct grant_ask ask_of(const struct policy *p, const char *name)
{
    return (struct grant_ask){ .region = policy_region_find(p, "us"),
                               .actor = policy_actor_find(p, name),
                               .is_from_home = true,
                               .classes = 1U << CLASS_IDENTITY,
                               .purpose = "support_ticket",
                               .reference = "T-1",
                               .subject_count = 1,
                               .seconds = 3600 };
}

static void what_is_asked_is_refused_for_its_reason(void **state)
{
    struct policy *p = parse(office);
    const struct policy_grant_rule *rule = NULL;
    const struct grant_ask good = ask_of(p, "analyst");
    struct grant_ask ask = good;
    (void)state;
#define SAID(change, refusal) \
    ask = good;               \
    change;                   \
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_##refusal)
    SAID(, NONE);
    assert_string_equal(rule->name, "support");
    rule = NULL;
    SAID(ask.actor = NULL, REQUESTER_UNKNOWN);
    SAID(ask.actor = policy_actor_find(p, "gone"), REQUESTER_SUSPENDED);
    SAID(ask.actor = policy_actor_find(p, "app"), REQUESTER_NO_PERSON);
    SAID(ask.purpose = "curiosity", PURPOSE_UNKNOWN);
    SAID(ask.purpose = NULL, PURPOSE_UNKNOWN);
    SAID(ask.classes = 0, CLASS_UNKNOWN);
    SAID(ask.classes |= 1U << CLASS_GRAPH, NO_RULE);
    SAID(ask.purpose = "legal_demand", NO_RULE);
    SAID(ask.actor = policy_actor_find(p, "privacy"), REQUESTER_NOT_LISTED);
    SAID(ask.actor = policy_actor_find(p, "away"), REQUESTER_ABROAD);
    SAID(ask.is_from_home = false, REQUESTER_ABROAD);
    SAID(ask.region = policy_region_find(p, "eu"), REQUESTER_ABROAD);
    SAID(ask.subject_count = 6, TOO_MANY_SUBJECTS);
    SAID(ask.subject_count = 0, TOO_MANY_SUBJECTS);
    SAID(ask.subject_count = SIZE_MAX, TOO_MANY_SUBJECTS);
    SAID(ask.seconds = 8 * 3600 + 1, TOO_LONG);
    SAID(ask.seconds = 0, TOO_LONG);
    SAID(ask.seconds = INT64_MAX, TOO_LONG);
    SAID(ask.minor_count = 1, MINOR);
    SAID(ask.honey_count = 1, SENSITIVE);
    SAID(ask.unbound_count = 1, PURPOSE_BOUND);
    SAID(ask.unbound_count = ask.minor_count = ask.honey_count = 1, PURPOSE_BOUND);
    SAID(ask.is_suspended = true, REQUESTER_SUSPENDED);
    SAID(ask.reference = NULL, REFERENCE_MISSING);
    SAID(ask.reference = "", REFERENCE_MISSING);
    SAID(ask.authority = "\tMINISTRY of State Security", AUTHORITY_REFUSED);
    assert_null(rule); /* it is not touched by a refusal */
    SAID(ask.authority = "Ministry of State Security 2", NONE);
    policy_free(p);
}

static void what_a_suspended_person_approved_counts_nothing(void **state)
{
    struct policy *p = case_policy(PART_COUNT);
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = case_ask(p);
    struct grant_vote votes[] = { vote_of(p, "cn_top"), vote_of(p, "cn_head") };
    (void)state;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    assert_int_equal(approval_is_enough(p, &ask, rule, votes, 2, NOW, NULL), REFUSAL_NONE);
    votes[1].is_suspended = true;
    assert_int_equal(approval_may_vote(p, &ask, rule, &votes[1], NULL, 0),
                     REFUSAL_APPROVER_SUSPENDED);
    assert_int_equal(approval_is_enough(p, &ask, rule, votes, 2, NOW, NULL), REFUSAL_NOT_ENOUGH);
    policy_free(p);
}

static void a_suspension_is_lifted_by_others_at_home_outside_the_chain(void **state)
{
    struct policy *p = parse(office);
    const struct policy_region *us = policy_region_find(p, "us");
    const struct policy_actor *analyst = policy_actor_find(p, "analyst");
    static const struct {
        const char *voter;
        enum grant_refusal said;
    } rows[] = {
        { "privacy", REFUSAL_NONE },
        { "counsel", REFUSAL_NONE }, /* of another entity, and here */
        { "analyst", REFUSAL_APPROVER_REQUESTER },
        { "head", REFUSAL_APPROVER_CHAIN },
        { "away", REFUSAL_APPROVER_ABROAD },
        { "gone", REFUSAL_APPROVER_SUSPENDED },
        { "app", REFUSAL_APPROVER_NO_PERSON },
        { "nobody", REFUSAL_APPROVER_UNKNOWN },
    };
    (void)state;
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct grant_vote vote = vote_of(p, rows[i].voter);
        vote.is_from_home = true;
        assert_int_equal(approval_may_lift(us, analyst, &vote), rows[i].said);
    }
    struct grant_vote vote = vote_of(p, "privacy");
    assert_int_equal(approval_may_lift(us, analyst, &vote), REFUSAL_APPROVER_ABROAD);
    vote.is_from_home = vote.is_suspended = true;
    assert_int_equal(approval_may_lift(us, analyst, &vote), REFUSAL_APPROVER_SUSPENDED);
    vote = vote_of(p, "analyst");
    vote.is_from_home = true;
    assert_int_equal(approval_may_lift(us, policy_actor_find(p, "head"), &vote),
                     REFUSAL_APPROVER_CHAIN);
    assert_int_equal(approval_may_lift(us, NULL, &vote), REFUSAL_REQUESTER_UNKNOWN);
    policy_free(p);
}

static void notices_are_held_back_by_whoever_may_approve_at_home_outside_the_chain(void **state)
{
    struct policy *p = parse(office);
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = ask_of(p, "analyst");
    struct grant_vote vote = vote_of(p, "privacy");
    (void)state;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    vote.is_from_home = true;
    assert_int_equal(approval_may_hold(p, &ask, rule, &vote), REFUSAL_NONE);
    assert_int_equal(approval_may_hold(p, &ask, NULL, &vote), REFUSAL_APPROVER_NOT_LISTED);
    vote.is_from_home = false;
    assert_int_equal(approval_may_hold(p, &ask, rule, &vote), REFUSAL_APPROVER_ABROAD);
    vote.is_from_home = vote.is_suspended = true;
    assert_int_equal(approval_may_hold(p, &ask, rule, &vote), REFUSAL_APPROVER_SUSPENDED);
    vote = vote_of(p, "analyst");
    vote.is_from_home = true;
    assert_int_equal(approval_may_hold(p, &ask, rule, &vote), REFUSAL_APPROVER_REQUESTER);
    vote = vote_of(p, "head");
    vote.is_from_home = true;
    assert_int_equal(approval_may_hold(p, &ask, rule, &vote), REFUSAL_APPROVER_CHAIN);
    ask = ask_of(p, "security");
    ask.is_break_glass = true; /* its reviewers */
    vote = vote_of(p, "privacy");
    vote.is_from_home = true;
    assert_int_equal(approval_may_hold(p, &ask, &p->grants->break_glass, &vote), REFUSAL_NONE);
    policy_free(p);
}

static void values_are_traced_by_approvers_at_home(void **state)
{
    struct policy *p = parse(office);
    const struct policy_region *us = policy_region_find(p, "us");
    static const struct {
        const char *who;
        enum grant_refusal said;
    } rows[] = {
        { "privacy", REFUSAL_NONE },
        { "security", REFUSAL_NONE },
        { "counsel", REFUSAL_NONE }, /* of sensitive persons */
        { "analyst", REFUSAL_TRACER_NOT_LISTED },
        { "away", REFUSAL_APPROVER_ABROAD },
        { "gone", REFUSAL_APPROVER_SUSPENDED },
        { "app", REFUSAL_APPROVER_NO_PERSON },
        { "nobody", REFUSAL_APPROVER_UNKNOWN },
    };
    (void)state;
    p->grants->rules[1].approver_count = 0; /* it lets everybody approve */
    for (size_t i = 0; i < RF_COUNT(rows); i++) {
        struct grant_vote vote = vote_of(p, rows[i].who);
        vote.is_from_home = true;
        assert_int_equal(approval_may_trace(p, us, &vote), rows[i].said);
    }
    struct grant_vote vote = vote_of(p, "privacy");
    assert_int_equal(approval_may_trace(p, us, &vote), REFUSAL_APPROVER_ABROAD);
    vote.is_from_home = vote.is_suspended = true;
    assert_int_equal(approval_may_trace(p, us, &vote), REFUSAL_APPROVER_SUSPENDED);
    policy_free(p);
}

static void of_several_rules_any_may_allow_and_the_first_says_why_not(void **state)
{
    struct policy *p = parse(office);
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = ask_of(p, "head");
    (void)state;
    ask.minor_count = 1; /* refused by `support`, allowed by `wide` */
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    assert_string_equal(rule->name, "wide");
    ask.subject_count = 2; /* too many for `wide` */
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_MINOR);
    policy_free(p);
}

static void the_glass_is_broken_by_whoever_is_named_and_never_for_the_sensitive(void **state)
{
    struct policy *p = parse(office);
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = ask_of(p, "security");
    struct grant_vote vote = vote_of(p, "privacy");
    (void)state;
    ask.is_break_glass = true;
    ask.purpose = "security_incident";
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    assert_ptr_equal(rule, &p->grants->break_glass);
    assert_ptr_equal(approval_rule_find(p, "break-glass"), rule);
    assert_int_equal(approval_is_enough(p, &ask, rule, NULL, 0, NOW, NULL), REFUSAL_NONE);
    ask.is_break_glass = false; /* the same row in a database that somebody edited */
    assert_int_equal(approval_is_enough(p, &ask, rule, NULL, 0, NOW, NULL), REFUSAL_NOT_ENOUGH);
    ask.is_break_glass = true;
    assert_int_equal(approval_is_enough(p, &ask, &p->grants->rules[0], NULL, 0, NOW, NULL),
                     REFUSAL_NOT_ENOUGH);
    vote.is_from_home = true;
    assert_int_equal(approval_may_vote(p, &ask, rule, &vote, NULL, 0), REFUSAL_APPROVER_NOT_LISTED);
    assert_int_equal(approval_may_review(p, &ask, &vote), REFUSAL_NONE);
    vote.actor = ask.actor;
    assert_int_equal(approval_may_review(p, &ask, &vote), REFUSAL_APPROVER_REQUESTER);
    vote.actor = policy_actor_find(p, "head");
    assert_int_equal(approval_may_review(p, &ask, &vote), REFUSAL_APPROVER_NOT_LISTED);
    ask.sensitive_count = 1;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_SENSITIVE);
    assert_int_equal(approval_is_enough(p, &ask, rule, NULL, 0, NOW, NULL), REFUSAL_NOT_ENOUGH);
    ask.sensitive_count = 0;
    ask.subject_count = 6;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_TOO_MANY_SUBJECTS);
    ask.subject_count = 1;
    ask.actor = policy_actor_find(p, "analyst");
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_REQUESTER_NOT_LISTED);
    p->grants->has_break_glass = false;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NO_RULE);
    assert_null(approval_rule_find(p, "break-glass"));
    policy_free(p);
}

static void sensitive_persons_take_an_approver_more(void **state)
{
    struct policy *p = parse(office);
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = ask_of(p, "analyst");
    struct grant_vote votes[] = { vote_of(p, "privacy"), vote_of(p, "security"),
                                  vote_of(p, "counsel") };
    size_t missing;
    (void)state;
    for (size_t i = 0; i < RF_COUNT(votes); i++)
        votes[i].is_from_home = true;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    assert_int_equal(approval_may_vote(p, &ask, rule, &votes[2], NULL, 0),
                     REFUSAL_APPROVER_NOT_LISTED);
    assert_int_equal(approval_is_enough(p, &ask, rule, votes, 2, NOW, NULL), REFUSAL_NONE);
    ask.sensitive_count = 1;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    assert_int_equal(approval_may_vote(p, &ask, rule, &votes[2], votes, 2), REFUSAL_NONE);
    assert_int_equal(approval_is_enough(p, &ask, rule, votes, 2, NOW, &missing),
                     REFUSAL_NOT_ENOUGH);
    assert_int_equal(missing, 1);
    assert_int_equal(approval_is_enough(p, &ask, rule, votes, 3, NOW, NULL), REFUSAL_NONE);
    p->grants->sensitive_approver_count = 0;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_SENSITIVE);
    assert_int_equal(approval_is_enough(p, &ask, rule, votes, 2, NOW, NULL), REFUSAL_NOT_ENOUGH);
    policy_free(p);
}

/* printf 'ringfence-sensitive@1\nus\n42\n' | sha256sum */
static void the_register_knows_a_person_by_region_and_key(void **state)
{
    static char hash[] = "4869ec225227a45e601a140ba3f70fde063538349c51aa68d58a02a091474176";
    char *list[] = { hash };
    struct policy *p = parse(office);
    const struct policy_region *us = policy_region_find(p, "us");
    (void)state;
    p->grants->sensitive = list;
    assert_true(approval_is_sensitive(p, us, "42"));
    assert_false(approval_is_sensitive(p, us, "43"));
    assert_false(approval_is_sensitive(p, us, ""));
    assert_false(approval_is_sensitive(p, policy_region_find(p, "eu"), "42"));
    p->grants->sensitive_count = 0;
    assert_false(approval_is_sensitive(p, us, "42"));
    assert_false(approval_is_honey(p, us, "42"));
    p->grants->honey = list; /* by the same hash */
    p->grants->honey_count = 1;
    assert_true(approval_is_honey(p, us, "42"));
    assert_false(approval_is_honey(p, us, "43"));
    policy_free(p);
}

/* Of the register of sensitive persons, whose hash is the same. */
static void a_purpose_is_bound_to_those_of_its_register(void **state)
{
    static char hash[] = "4869ec225227a45e601a140ba3f70fde063538349c51aa68d58a02a091474176";
    static char purpose[] = "support_ticket";
    char *list[] = { hash };
    struct policy_bound bound = { .purpose = purpose, .subjects = list, .subject_count = 1 };
    struct policy *p = parse(office);
    const struct policy_region *us = policy_region_find(p, "us");
    (void)state;
    assert_true(approval_is_bound(p, us, "support_ticket", "43")); /* no register, no bounds */
    p->grants->bound = &bound;
    p->grants->bound_count = 1;
    assert_true(approval_is_bound(p, us, "support_ticket", "42"));
    assert_false(approval_is_bound(p, us, "support_ticket", "43"));
    assert_false(approval_is_bound(p, us, "support_ticket", ""));
    assert_false(approval_is_bound(p, policy_region_find(p, "eu"), "support_ticket", "42"));
    assert_true(approval_is_bound(p, us, "legal_demand", "43"));
    bound.subject_count = 0;
    assert_false(approval_is_bound(p, us, "support_ticket", "42"));
    policy_free(p);
}

static void whoever_is_wanted_could_fill_an_empty_place(void **state)
{
    struct policy *p = parse(office);
    const struct policy_grant_rule *rule = NULL;
    struct grant_ask ask = ask_of(p, "analyst");
    struct grant_vote votes[] = { vote_of(p, "privacy") };
    struct policy_actor *security = &p->actors[5], *privacy = &p->actors[4];
    (void)state;
    assert_string_equal(security->name, "security");
    assert_string_equal(privacy->name, "privacy");
    votes[0].is_from_home = true;
    assert_int_equal(approval_may_ask(p, &ask, &rule), REFUSAL_NONE);
    assert_false(approval_is_wanted(p, &ask, rule, security, votes, 1, NOW)); /* has no key */
    security->key_count = privacy->key_count = 1;
    assert_true(approval_is_wanted(p, &ask, rule, security, votes, 1, NOW));
    assert_true(approval_is_wanted(p, &ask, rule, privacy, votes, 0, NOW));
    assert_false(approval_is_wanted(p, &ask, rule, privacy, votes, 1, NOW));
    assert_false(approval_is_wanted(p, &ask, rule, ask.actor, votes, 0, NOW));
    assert_false(approval_is_wanted(p, &ask, rule, NULL, votes, 0, NOW));
    votes[0].is_approval = false;
    assert_false(approval_is_wanted(p, &ask, rule, security, votes, 1, NOW));
    policy_free(p);
}

static void names_of_rules_and_classes_are_whole(void **state)
{
    struct policy *p = parse(office);
    (void)state;
    assert_string_equal(approval_rule_find(p, "wide")->name, "wide");
    assert_null(approval_rule_find(p, "wid"));
    assert_null(approval_rule_find(p, ""));
    assert_int_equal(approval_class_bit("contact"), 1U << CLASS_CONTACT);
    assert_int_equal(approval_class_bit("child"), 1U << CLASS_CHILD);
    assert_int_equal(approval_class_bit("none"), 0);
    assert_int_equal(approval_class_bit("unset"), 0);
    assert_int_equal(approval_class_bit("Contact"), 0);
    for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
        assert_true(approval_refusal_name((enum grant_refusal)r)[0] != '\0');
        assert_true(approval_refusal_sentence((enum grant_refusal)r)[0] != '\0');
        assert_int_equal(approval_refusal_status((enum grant_refusal)r),
                         r == REFUSAL_SUBJECTS_PER_DAY ? 429 : 403);
    }
    policy_free(p);
}

/* ---- small worlds, all of them -----------------------------------------------------------------

   A world is made by hand, so that a million of them can be made. What is expected comes from the
   numbers of which it was made, by trying out every way to seat people. */

enum { VOTERS = 4, GROUPS = 3 };

static char department_own[] = "own", department_other[] = "other";

struct world {
    struct policy_jurisdiction home;
    struct place countries[1];
    struct policy_region region;
    struct policy_actor requester, superior, voters[VOTERS];
    struct policy_approvers groups[GROUPS];
    const struct policy_actor *members[GROUPS][VOTERS + 1];
    struct policy_grants grants;
    struct policy_grant_rule rule;
    struct policy policy;
    struct grant_ask ask;
    struct grant_vote votes[VOTERS];
};

static void make_world(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->countries[0] = (struct place){ "US" };
    w->home = (struct policy_jurisdiction){ .countries = w->countries, .country_count = 1 };
    w->region = (struct policy_region){ .home = &w->home };
    w->superior = (struct policy_actor){ .kind = ACTOR_PERSON };
    w->requester = (struct policy_actor){ .kind = ACTOR_PERSON,
                                          .place = { "US" },
                                          .department = department_own,
                                          .superior = &w->superior };
    for (int i = 0; i < VOTERS; i++) {
        w->voters[i] = (struct policy_actor){ .kind = ACTOR_PERSON,
                                              .place = { "US" },
                                              .department = department_other };
        w->votes[i] = (struct grant_vote){
            .actor = &w->voters[i], .is_from_home = true, .is_approval = true, .at_ms = NOW
        };
    }
    for (int g = 0; g < GROUPS; g++)
        w->groups[g] = (struct policy_approvers){ .count = 1 };
    w->rule = (struct policy_grant_rule){ .approvers = w->groups, .approver_count = GROUPS };
    w->grants = (struct policy_grants){ .approval_age_ms = 10 * MINUTE };
    w->policy = (struct policy){ .grants = &w->grants };
    w->ask = (struct grant_ask){ .region = &w->region, .actor = &w->requester };
}

/* Voter I belongs to the groups of the bits MASK. An empty list would be everybody: the requester
   stands in every list, who may not vote. */
static void set_members(struct world *w, const unsigned masks[VOTERS])
{
    for (int g = 0; g < GROUPS; g++) {
        size_t count = 0;
        w->members[g][count++] = &w->requester;
        for (int i = 0; i < VOTERS; i++)
            if ((masks[i] & 1U << g) != 0)
                w->members[g][count++] = &w->voters[i];
        w->groups[g].who = (struct policy_people){ .actors = w->members[g], .actor_count = count };
    }
}

/* -- the oracle: people are tried at places in every order -- */

/* How many places from PLACE on can be filled by those of GOOD who are not in USED? */
static size_t oracle_fill(const int *places, size_t count, const unsigned masks[VOTERS],
                          unsigned good, unsigned used)
{
    if (count == 0)
        return 0;
    size_t best = oracle_fill(places + 1, count - 1, masks, good, used);
    for (unsigned i = 0; i < VOTERS; i++) {
        bool can = (good & ~used & 1U << i) != 0 && (masks[i] >> places[0] & 1U) != 0;
        size_t with = can ? 1 + oracle_fill(places + 1, count - 1, masks, good, used | 1U << i) : 0;
        best = with > best ? with : best;
    }
    return best;
}

static size_t oracle_missing(const int counts[GROUPS], size_t groups, const unsigned masks[VOTERS],
                             unsigned good)
{
    int places[GROUPS * 2];
    size_t count = 0;
    for (size_t g = 0; g < groups; g++)
        for (int k = 0; k < counts[g]; k++)
            places[count++] = (int)g;
    return count - oracle_fill(places, count, masks, good, 0);
}

/* All ways to have 1 to 3 groups of 1 or 2 places: CONFIG from 0 to 13. */
enum { CONFIGS = 14 };

static size_t set_config(struct world *w, int config, int counts[GROUPS])
{
    size_t groups = config < 2 ? 1 : config < 6 ? 2 : 3;
    int bits = config < 2 ? config : config < 6 ? config - 2 : config - 6;
    for (size_t g = 0; g < groups; g++) {
        counts[g] = 1 + (bits >> g & 1);
        w->groups[g].count = counts[g];
    }
    w->rule.approver_count = groups;
    return groups;
}

static void check_enough(const struct world *w, bool is_denied, size_t missing, const char *what,
                         unsigned number)
{
    size_t told = 99;
    enum grant_refusal said =
        approval_is_enough(&w->policy, &w->ask, &w->rule, w->votes, VOTERS, NOW, &told);
    enum grant_refusal expected = is_denied      ? REFUSAL_DENIED
                                  : missing == 0 ? REFUSAL_NONE
                                                 : REFUSAL_NOT_ENOUGH;
    if (said != expected || (!is_denied && told != missing))
        fail_msg("%s, world %u: %s with %zu missing, expected %s with %zu", what, number,
                 approval_refusal_name(said), told, approval_refusal_name(expected), missing);
}

/* 14 rules, 4 voters of 8 memberships each, each there or abroad: 917,504 worlds. */
static void groups_are_filled_as_well_as_they_can_be(void **state)
{
    struct world w;
    unsigned masks[VOTERS];
    (void)state;
    make_world(&w);
    for (unsigned number = 0; number < 1U << 16; number++) {
        unsigned good = 0;
        for (unsigned i = 0; i < VOTERS; i++) {
            unsigned kind = number >> 4 * i & 15;
            masks[i] = kind & 7;
            w.votes[i].is_from_home = (kind & 8) != 0;
            good |= (kind >> 3 & 1) << i;
        }
        set_members(&w, masks);
        for (int config = 0; config < CONFIGS; config++) {
            int counts[GROUPS];
            size_t groups = set_config(&w, config, counts);
            check_enough(&w, false, oracle_missing(counts, groups, masks, good), "members", number);
        }
    }
}

/* Two groups; each voter approves, approves too early, too far ahead of the clock, or denies. A
   denial by somebody who is in no group is none. */
static void one_denial_is_enough_and_old_approvals_are_not(void **state)
{
    struct world w;
    unsigned masks[VOTERS];
    (void)state;
    make_world(&w);
    for (unsigned number = 0; number < 1U << 16; number++) {
        unsigned good = 0;
        for (unsigned i = 0; i < VOTERS; i++) {
            unsigned kind = number >> 4 * i & 15;
            masks[i] = kind & 3;
            w.votes[i].is_approval = kind >> 2 != 3;
            w.votes[i].at_ms = kind >> 2 == 1   ? NOW - 10 * MINUTE - 1
                               : kind >> 2 == 2 ? NOW + MINUTE + 1
                               : kind >> 2 == 3 ? NOW - 1000 * MINUTE
                                                : NOW - (int64_t)(i % 2) * 10 * MINUTE;
            good |= (unsigned)(kind >> 2 == 0) << i;
        }
        set_members(&w, masks);
        for (int config = 0; config < 6; config++) {
            int counts[GROUPS];
            size_t groups = set_config(&w, config, counts);
            bool is_denied = false;
            for (int i = 0; i < VOTERS; i++)
                is_denied |= !w.votes[i].is_approval && (masks[i] & (groups == 1 ? 1U : 3U)) != 0;
            check_enough(&w, is_denied, oracle_missing(counts, groups, masks, good), "votes",
                         number);
        }
    }
}

/* Four votes of up to four persons in every way: 256 ways, 256 memberships, 6 rules. */
static void nobody_counts_twice_however_often_he_votes(void **state)
{
    struct world w;
    unsigned masks[VOTERS];
    (void)state;
    make_world(&w);
    for (unsigned number = 0; number < 1U << 16; number++) {
        unsigned good = 0;
        for (unsigned i = 0; i < VOTERS; i++) {
            unsigned who = number >> (8 + 2 * i) & 3;
            masks[i] = number >> 2 * i & 3;
            w.votes[i].actor = &w.voters[who];
            good |= 1U << who;
        }
        set_members(&w, masks);
        for (int config = 0; config < 6; config++) {
            int counts[GROUPS];
            size_t groups = set_config(&w, config, counts);
            check_enough(&w, false, oracle_missing(counts, groups, masks, good), "twice", number);
        }
    }
}

/* Every world of two groups in which somebody approves: without one of the approvals it is not
   enough unless it was with it. Votes: good, from abroad, by one who voted before, or a denial. */
static void no_approval_that_is_taken_away_opens(void **state)
{
    struct world w;
    unsigned masks[VOTERS];
    (void)state;
    make_world(&w);
    for (unsigned number = 0; number < 1U << 16; number++) {
        int counts[GROUPS];
        for (unsigned i = 0; i < VOTERS; i++) {
            unsigned kind = number >> 4 * i & 15;
            masks[i] = kind & 3;
            w.votes[i] = (struct grant_vote){ .actor = &w.voters[kind >> 2 == 2 ? 0 : i],
                                              .is_from_home = kind >> 2 != 1,
                                              .is_approval = kind >> 2 != 3,
                                              .at_ms = NOW };
        }
        set_members(&w, masks);
        (void)set_config(&w, (int)(number % 6), counts);
        bool is_open = approval_is_enough(&w.policy, &w.ask, &w.rule, w.votes, VOTERS, NOW, NULL) ==
                       REFUSAL_NONE;
        for (int i = 0; i < VOTERS; i++) {
            struct grant_vote fewer[VOTERS];
            if (!w.votes[i].is_approval)
                continue;
            for (int k = 0, n = 0; k < VOTERS; k++)
                if (k != i)
                    fewer[n++] = w.votes[k];
            bool opens = approval_is_enough(&w.policy, &w.ask, &w.rule, fewer, VOTERS - 1, NOW,
                                            NULL) == REFUSAL_NONE;
            if (opens && !is_open)
                fail_msg("world %u: without vote %d it is enough", number, i);
        }
    }
}

/* -- one voter, everything about him -- */

enum relation { APART, HIMSELF, ABOVE, HIGH_ABOVE, BELOW, FAR_BELOW, RELATION_COUNT };

struct person {
    bool is_service, is_suspended, is_based_home, is_from_home, is_member, is_unknown;
    enum relation relation;
    int department; /* 0 another, 1 the requester's, 2 none */
    bool anywhere, chain_allowed, department_any;
};

/* Every combination has a number below PERSON_COUNT. */
enum { PERSON_COUNT = 64 * RELATION_COUNT * 3 * 8 };

static struct person person_of(unsigned n)
{
    struct person s = { .is_service = n & 1,
                        .is_suspended = n >> 1 & 1,
                        .is_based_home = n >> 2 & 1,
                        .is_from_home = n >> 3 & 1,
                        .is_member = n >> 4 & 1,
                        .is_unknown = n >> 5 & 1 };
    n /= 64;
    s.relation = (enum relation)(n % RELATION_COUNT);
    n /= RELATION_COUNT;
    s.department = (int)(n % 3);
    n /= 3;
    s.anywhere = n & 1;
    s.chain_allowed = n >> 1 & 1;
    s.department_any = n >> 2 & 1;
    return s;
}

static enum grant_refusal judge(const struct person *s)
{
    struct world w;
    make_world(&w);
    struct policy_actor *voter = &w.voters[0], *between = &w.voters[1];
    struct policy_actor *about = s->relation == HIMSELF ? &w.requester : voter;
    w.requester.superior = s->relation == ABOVE        ? voter
                           : s->relation == HIGH_ABOVE ? between
                                                       : NULL;
    between->superior = s->relation == HIGH_ABOVE  ? voter
                        : s->relation == FAR_BELOW ? &w.requester
                                                   : NULL;
    voter->superior = s->relation == BELOW       ? &w.requester
                      : s->relation == FAR_BELOW ? between
                                                 : NULL;
    about->kind = s->is_service ? ACTOR_SERVICE : ACTOR_PERSON;
    about->suspended = s->is_suspended;
    about->place = s->is_based_home ? (struct place){ "US" } : (struct place){ "CN" };
    if (about == voter)
        voter->department = s->department == 0   ? department_other
                            : s->department == 1 ? department_own
                                                 : NULL;
    const struct policy_actor *members[] = { s->is_member ? about : between };
    for (int g = 0; g < GROUPS; g++)
        w.groups[g].who = (struct policy_people){ .actors = members, .actor_count = 1 };
    w.grants.approvers_anywhere = s->anywhere;
    w.grants.chain_allowed = s->chain_allowed;
    w.grants.department_any = s->department_any;
    struct grant_vote vote = { .actor = s->is_unknown ? NULL : about,
                               .is_from_home = s->is_from_home,
                               .is_approval = true };
    return approval_may_vote(&w.policy, &w.ask, &w.rule, &vote, NULL, 0);
}

/* The reasons against him, as bits. */
static uint64_t reasons_against(const struct person *s)
{
    uint64_t r = 0;
    bool is_chain = s->relation != APART && s->relation != HIMSELF;
    bool is_same = s->relation == HIMSELF || s->department == 1;
    if (s->is_unknown)
        return UINT64_C(1) << REFUSAL_APPROVER_UNKNOWN;
#define AGAINST(condition, id) r |= (condition) ? UINT64_C(1) << REFUSAL_APPROVER_##id : 0
    AGAINST(s->is_service, NO_PERSON);
    AGAINST(s->is_suspended, SUSPENDED);
    AGAINST(s->relation == HIMSELF, REQUESTER);
    AGAINST((!s->is_based_home || !s->is_from_home) && !s->anywhere, ABROAD);
    AGAINST(is_chain && !s->chain_allowed, CHAIN);
    AGAINST((is_same || s->department == 2) && !s->department_any, DEPARTMENT);
    AGAINST(!s->is_member, NOT_LISTED);
    return r;
}

static void every_voter_is_judged_for_what_he_is(void **state)
{
    (void)state;
    for (unsigned n = 0; n < PERSON_COUNT; n++) {
        struct person s = person_of(n);
        uint64_t against = reasons_against(&s);
        enum grant_refusal said = judge(&s);
        bool is_right = said == REFUSAL_NONE ? against == 0 : (against >> said & 1) != 0;
        if (!is_right)
            fail_msg("person %u: %s, of %llx", n, approval_refusal_name(said),
                     (unsigned long long)against);
    }
}

/* Whoever is taken farther away, made another's superior or suspended gains nothing by it. */
static void no_distance_that_grows_opens(void **state)
{
    (void)state;
    for (unsigned n = 0; n < PERSON_COUNT; n++) {
        struct person s = person_of(n), far[10];
        size_t count = 0;
        if (judge(&s) == REFUSAL_NONE)
            continue;
#define FARTHER(change)    \
    do {                   \
        far[count] = s;    \
        far[count].change; \
        count++;           \
    } while (0)
        FARTHER(is_service = true);
        FARTHER(is_suspended = true);
        FARTHER(is_based_home = false);
        FARTHER(is_from_home = false);
        FARTHER(is_member = false);
        FARTHER(is_unknown = true);
        FARTHER(anywhere = false);
        FARTHER(chain_allowed = false);
        FARTHER(department_any = false);
        for (size_t i = 0; i < count; i++)
            if (judge(&far[i]) == REFUSAL_NONE)
                fail_msg("person %u, change %zu: now he may", n, i);
    }
}

static void a_rule_without_approvers_is_never_enough(void **state)
{
    struct world w;
    size_t missing = 0;
    (void)state;
    make_world(&w);
    w.rule.approver_count = 0;
    assert_int_equal(approval_is_enough(&w.policy, &w.ask, &w.rule, w.votes, VOTERS, NOW, &missing),
                     REFUSAL_NOT_ENOUGH);
    assert_int_equal(missing, 1);
    w.ask.actor = NULL;
    w.rule.approver_count = 1;
    assert_int_equal(approval_is_enough(&w.policy, &w.ask, &w.rule, w.votes, VOTERS, NOW, NULL),
                     REFUSAL_NOT_ENOUGH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_case_goes_through_where_every_rule_is_off),
        cmocka_unit_test(the_known_case_is_refused_at_each_rule_with_all_others_off),
        cmocka_unit_test(the_known_case_is_refused_where_the_rule_names_other_approvers),
        cmocka_unit_test(nobody_approves_his_own_request_or_twice_whatever_is_off),
        cmocka_unit_test(what_is_asked_is_refused_for_its_reason),
        cmocka_unit_test(notices_are_held_back_by_whoever_may_approve_at_home_outside_the_chain),
        cmocka_unit_test(values_are_traced_by_approvers_at_home),
        cmocka_unit_test(of_several_rules_any_may_allow_and_the_first_says_why_not),
        cmocka_unit_test(the_glass_is_broken_by_whoever_is_named_and_never_for_the_sensitive),
        cmocka_unit_test(sensitive_persons_take_an_approver_more),
        cmocka_unit_test(a_purpose_is_bound_to_those_of_its_register),
        cmocka_unit_test(the_register_knows_a_person_by_region_and_key),
        cmocka_unit_test(whoever_is_wanted_could_fill_an_empty_place),
        cmocka_unit_test(names_of_rules_and_classes_are_whole),
        cmocka_unit_test(groups_are_filled_as_well_as_they_can_be),
        cmocka_unit_test(one_denial_is_enough_and_old_approvals_are_not),
        cmocka_unit_test(what_a_suspended_person_approved_counts_nothing),
        cmocka_unit_test(a_suspension_is_lifted_by_others_at_home_outside_the_chain),
        cmocka_unit_test(nobody_counts_twice_however_often_he_votes),
        cmocka_unit_test(no_approval_that_is_taken_away_opens),
        cmocka_unit_test(every_voter_is_judged_for_what_he_is),
        cmocka_unit_test(no_distance_that_grows_opens),
        cmocka_unit_test(a_rule_without_approvers_is_never_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
