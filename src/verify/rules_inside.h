/* rules_inside.h - shared by the files of rules.h only. */
#ifndef RF_VERIFY_RULES_INSIDE_H
#define RF_VERIFY_RULES_INSIDE_H

#include <sodium.h>

#include "ledger/tag.h"
#include "ledger/tag_set.h"
#include "verify/indexmap.h"
#include "verify/rules.h"

struct grant {
    uint64_t number;
    uint64_t entity, purpose; /* word_hash(); purpose 0: held, and nothing has shown it */
    uint64_t request;         /* leaf that it refers to, plus 1; 0: none of this log */
    uint32_t classes;         /* class_bits() */
    uint32_t until;
    uint32_t waiting; /* leaves of it, itself too, whose holds no `opened` has ended */
    bool is_ended;
    uint8_t content[TAG_LEN]; /* of what it says: content_of() */
};

struct request {
    uint64_t number;
    uint64_t entity, purpose; /* as of a grant; the purpose is also what its grant shows */
    uint64_t subjects;
    uint64_t grant, denial; /* leaves, plus 1; 0: none */
    uint32_t classes;
    bool is_breakglass, is_reviewed, is_over; /* its grant has ended */
};

struct approval {
    uint64_t request; /* its leaf */
    bool is_approve;
};

struct held {
    uint8_t hash[DIGEST_LEN];
    uint64_t grant;   /* leaf of the grant it belongs to, plus 1; 0: none of this log */
    uint64_t request; /* is it that, then its leaf, plus 1 */
};

/* Since the last seal of a kind. */
struct count {
    uint64_t leaves, disclosures;
};

struct rules {
    struct key key;
    char vkey[KEY_VKEY_SIZE];
    struct rules_facts facts;
    struct tag_period period;
    uint64_t rollup, seal;
    uint64_t seal_due;                 /* minute of the next interval seal */
    uint64_t epoch;                    /* number of the one that no seal has closed */
    char epoch_name[RULES_EPOCH_SIZE]; /* of the leaf at hand */
    uint32_t epoch_minute;             /* that EPOCH_NAME was made of */
    struct count in_interval, in_epoch;
    struct tag_set tags, groups;
    struct tag_set ended; /* what grants said that have ended */
    uint8_t word_key[crypto_shorthash_KEYBYTES];
    uint32_t from, until; /* of the roll-ups last seen */
    struct indexmap grants, holds, requests, approvals;
    uint64_t *policies; /* indexes of `start` and `policy` leaves, ascending */
    size_t policy_count, policy_room;
    uint8_t policy[DIGEST_LEN], waiting[DIGEST_LEN]; /* that rules; that was announced last */
    uint64_t quorum;       /* signatures that the one that rules demands of the next; 0: none */
    uint64_t waiting_from; /* minute; 0: none was announced */
    bool is_ended;         /* a `successor` was seen */
    bool is_early;         /* a roll-up was seen whose interval had not ended, at: */
    uint64_t early_at;
    /* of the leaf at hand */
    uint64_t index;
    struct findings *to;
};

typedef int rules_judge_fn(struct rules *r, const struct logleaf *l);

/* Leaves of grants, and what is said under them (rules_grant.c). */
rules_judge_fn rules_on_request, rules_on_approval, rules_on_review, rules_on_grant,
    rules_on_revoke, rules_on_disclosure, rules_on_find, rules_on_opened;

/* The leaf at hand is not what a log that nobody touched has. */
RF_PRINTF(2, 3) void rules_wrong(struct rules *r, const char *fmt, ...);

/* The text of a key into an array that is large enough for its form; "" when it is not there. */
void rules_text_of(const struct logleaf *l, enum logleaf_key key, char *ret, size_t size);
uint64_t rules_number_of(const struct logleaf *l, enum logleaf_key key); /* 0: it is not there */

#endif
