/* rules.h - how the leaves of one log must fit together (docs/formats/log.md, section 4).
 *
 * Pure, leaf after leaf. What is remembered: the tags of the present epoch (tag_set.h), the groups
 * of the present interval, 104 bytes a grant that is open or has something held, 80 a leaf whose
 * hold goes on, 32 a grant that has ended (of the last 16 million), 8 a `start` or `policy`, 96 a
 * request, 16 an approval: nobody knows when the last leaf has spoken of one. */
#ifndef RF_VERIFY_RULES_H
#define RF_VERIFY_RULES_H

#include "ledger/logleaf.h"
#include "tlog/key.h"
#include "verify/finding.h"

enum {
    RULES_MEMBERS_MAX = 64,
    RULES_FOREIGN_MAX = 256,
    RULES_WORD_SIZE = 64,
    RULES_EPOCH_SIZE = 24
};

struct rules;

/* A log that this one names: by `member`, as the next one, or as the one before. */
struct rules_log {
    char origin[KEY_NAME_MAX + 1];
    char vkey[KEY_VKEY_SIZE]; /* "" for the one before */
    uint64_t leaf;            /* that names it; for the one before: its `successor` leaf */
};

/* A leaf of another log that this one refers to. */
struct rules_foreign {
    char origin[KEY_NAME_MAX + 1];
    uint64_t index;
    enum logleaf_key key; /* GRANT_REF, REQUEST_REF, APPROVAL_REFS, POLICY_REF or REF */
    uint64_t grant;       /* its number, for the first three */
    uint64_t leaf;        /* of this log: the first that refers to it so */
};

/* What makes a grant true. */
enum rules_evidence {
    EVIDENCE_NONE,          /* nothing: wanting */
    EVIDENCE_SIGNATURES,    /* a request and its approvals */
    EVIDENCE_BREAKGLASS,    /* a `breakglass` alone */
    EVIDENCE_ADMINISTRATOR, /* as the policy allows */
    EVIDENCE_ELSEWHERE,     /* another log tells of it, and has it */
    EVIDENCE_COUNT
};

struct rules_facts {
    char region[RULES_WORD_SIZE];
    uint8_t vrf[DIGEST_LEN];
    struct rules_log members[RULES_MEMBERS_MAX];
    unsigned member_count;
    struct rules_log successor, predecessor; /* origin "": none */
    uint64_t of_type[LEAF_TYPE_COUNT];
    uint64_t orphans;                                /* disclosures without a grant */
    uint64_t elsewhere;                              /* references to other logs */
    struct rules_foreign foreign[RULES_FOREIGN_MAX]; /* the first different ones of them */
    unsigned foreign_count;
    uint64_t open_grants, tags;
    uint64_t grants[EVIDENCE_COUNT];
    uint64_t unreviewed; /* `breakglass` leaves without a `review` in this log */
    uint32_t minute;     /* of the last leaf */
};

/* KEY (of the log) is copied. */
RF_CHECK int rules_new(const struct key *key, struct rules **ret, struct err *err);
void rules_free(struct rules *r);

/* Judge leaf INDEX; indexes come from 0, one after another. Fails for want of memory alone. */
RF_CHECK int rules_leaf(struct rules *r, uint64_t index, const struct logleaf *leaf,
                        struct findings *to, struct err *err);

const struct rules_facts *rules_facts(const struct rules *r);

/* Why GRANT is not what REQUEST (a `request`, `breakglass`, or another log's leaf of the same
   grant) asked for, or NULL. What is held on either side is not compared; nor are, with
   HAS_NEW_RULES between them, entity and purpose, whose names may be others. */
const char *rules_disagree(const struct logleaf *grant, const struct logleaf *request,
                           bool has_new_rules);

/* The epoch that MINUTE lies in, for the `epoch` of a genesis (`month`, `Nm`). False: it is none.
 */
bool rules_epoch(const char *period, size_t len, uint32_t minute, char ret[RULES_EPOCH_SIZE]);

#endif
