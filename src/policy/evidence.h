/* evidence.h - what people signed about one grant, judged by the policy that rules now.
 *
 * The bytes come from the region's database, whose word is not taken: each text is verified with
 * the keys that the policy lists, and what the database says beside it (who, when, from where) must
 * not contradict it. Pure. */
#ifndef RF_POLICY_EVIDENCE_H
#define RF_POLICY_EVIDENCE_H

#include "policy/approval.h"
#include "policy/consents.h"
#include "sign/command.h"

/* One signed text, as it is kept. Strings are borrowed. */
struct evidence_text {
    const char *actor, *text, *signature;
    bool is_from_home; /* by network and listener, when it came */
    int64_t at_ms;     /* wall clock, of the database */
    const char *leaf;  /* ref of its leaf; NULL: it is not on record, and counts for nothing */
};

struct evidence {
    uint64_t request;
    struct evidence_text asked;
    const char *keys[COMMAND_LIST_MAX];  /* of the persons, in the order in which they are named */
    const char *salts[COMMAND_LIST_MAX]; /* "" where the person is named by the key itself */
    size_t key_count;
    size_t minor_count;
    struct evidence_text votes[APPROVAL_VOTES_MAX];
    size_t vote_count;
    const char *const *suspended; /* actors of the region, at the moment */
    size_t suspended_count;
    const char *consented[CONSENT_PURPOSES_MAX]; /* as in struct grant_ask */
    size_t consented_count;
};

/* What the grant in the database says of itself. */
struct evidence_grant {
    const char *actor, *purpose;
    uint32_t classes;
    int64_t ends_ms;
    const char *keys[COMMAND_LIST_MAX];
    size_t key_count;
};

/* EVIDENCE as the policy sees it. Large; borrows from the evidence. */
struct evidence_case {
    char copy[COMMAND_MAX + 1], vote_copy[COMMAND_MAX + 1];
    char digest[65]; /* of the request's text */
    struct command command;
    struct grant_ask ask;
    const struct policy_grant_rule *rule;
    struct grant_vote votes[APPROVAL_VOTES_MAX]; /* those on record */
    const char *vote_leaves[APPROVAL_VOTES_MAX]; /* and the refs of their leaves */
    size_t vote_count;
};

/* Bits of the classes that C names; 0: one of them is none, or they are not in the policy's order.
 */
uint32_t evidence_classes(const struct command *c);

/* The text says what ACTOR signed: it is well-formed, of REGION, by one of his keys. 0 and *RET,
   which borrows from COPY; -RF_EPROTO; -RF_ENOTFOUND: the policy lists no such key for him (no
   signature is verified then); -RF_EAUTH. */
RF_CHECK int evidence_read_text(const struct policy *p, const struct policy_region *region,
                                const char *text, size_t n, const char *signature,
                                size_t signature_len, char *copy, struct command *ret,
                                struct err *err);

/* Verify all texts. An approval by a key that the policy lists no more, or of somebody whom it does
   not know any more, counts nothing; a denial like that stops it all, since nobody can tell that it
   was none. REFUSAL_NONE and *RET; another refusal when the rules do not allow to ask; with
   REFUSAL_COUNT the evidence is false, and ERR says how. */
enum grant_refusal evidence_judge(const struct policy *p, const struct policy_region *region,
                                  const struct evidence *e, struct evidence_case *ret,
                                  struct err *err);

/* Is the case enough for a grant that opens at NOW? REFUSAL_NOT_ENOUGH with *RET_MISSING. */
enum grant_refusal evidence_is_enough(const struct policy *p, const struct evidence_case *c,
                                      int64_t now_ms, size_t *ret_missing);

/* Does GRANT give what was asked for, to whom asked for it, no longer and about nobody else? 0, or
   -RF_ETAMPER with what differs. */
RF_CHECK int evidence_covers(const struct evidence_case *c, const struct evidence *e,
                             const struct evidence_grant *grant, struct err *err);

/* When it opened, by its end and the time that was asked for. */
int64_t evidence_opened_ms(const struct evidence_case *c, const struct evidence_grant *grant);

/* The handle by which `find` names the person of KEY: "h-" and 32 hex digits, RET has room for 35.
 */
enum { EVIDENCE_HANDLE_SIZE = 2 + 32 + 1 };
void evidence_handle(const char *key, const char *salt, char ret[EVIDENCE_HANDLE_SIZE]);

#endif
