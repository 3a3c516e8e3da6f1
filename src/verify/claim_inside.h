/* claim_inside.h - what claim.c (deciding) and claim_read.c (the file) share. */
#ifndef RF_VERIFY_CLAIM_INSIDE_H
#define RF_VERIFY_CLAIM_INSIDE_H

#include "ledger/tag.h"
#include "policy/arena.h"
#include "tlog/key.h"
#include "verify/claim.h"
#include "verify/indexmap.h"
#include "verify/rules.h"

enum { CLAIM_FILTERS_MAX = 16, CLAIM_LOGS_MAX = 64, CLAIM_HELD_MAX = 4096 };

enum claim_home { CLAIM_HOME_ANY, CLAIM_HOME_YES, CLAIM_HOME_NO };

struct claim_filter {
    enum logleaf_key key;
    bool is_not; /* `unless` */
    const char *const *values;
    size_t count;
};

/* A leaf whose purpose is held and decides. */
struct claim_held {
    unsigned log;
    uint64_t index, least;
    uint64_t most;
};

struct claim {
    const char *name, *sentence, *grade;
    uint64_t types; /* a bit each */
    struct claim_filter filters[CLAIM_FILTERS_MAX];
    size_t filter_count;
    enum claim_home home;
    uint64_t with, without;   /* a bit each key */
    uint64_t fewer_approvals; /* than these count; 0: all do */
    bool sums, has_most, has_least, has_interval;
    enum logleaf_key of;
    uint64_t most, least;
    const char *epoch;
    uint64_t epoch_number; /* in the present log */
    bool has_epoch_number; /* it is an epoch of that log */
    uint32_t from, until;
    /* so far */
    uint64_t lower, upper;
    uint64_t sealed; /* logs in which the period has ended, a bit each */
    struct claim_leaf leaves[CLAIM_LEAVES_MAX];
    unsigned leaf_count;
    struct claim_held *held; /* of CLAIM_HELD_MAX, or NULL */
    unsigned held_count;
};

struct claims {
    struct arena arena;
    const char *const *home;
    size_t home_count;
    struct claim *list;
    size_t count;
    char origins[CLAIM_LOGS_MAX][KEY_NAME_MAX + 1];
    char period[RULES_WORD_SIZE]; /* how the present log names its epochs */
    struct tag_period tag_period; /* the same */
    uint64_t rollup;              /* minutes, of the present log; 0: not known */
    unsigned log_count;
    bool wants_approvals;                      /* some claim asks how many */
    struct indexmap approvals[CLAIM_LOGS_MAX]; /* u64, of each grant of a log */
};

#endif
