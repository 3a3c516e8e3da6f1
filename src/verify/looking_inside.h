/* looking_inside.h - shared by the files of looking.h only. */
#ifndef RF_VERIFY_LOOKING_INSIDE_H
#define RF_VERIFY_LOOKING_INSIDE_H

#include "ledger/claim.h"
#include "verify/looking.h"

struct kept_leaf {
    uint64_t index;
    uint8_t *bytes; /* owned */
    size_t len;
};

struct access {
    struct kept_leaf leaf;
    unsigned log; /* which of the region's */
    uint64_t epoch;
    uint64_t n;
    unsigned position;
    uint32_t minute;
    bool is_held; /* its purpose was not shown yet */
    uint8_t commitment[TAG_COMMITMENT_LEN];
    uint8_t *opening; /* NULL: not found yet */
    size_t opening_len;
};

/* One epoch in one log. */
struct span {
    uint64_t epoch;
    struct kept_leaf seal;
    bool is_sealed;
    uint64_t accesses;
    struct claim_neighbour *sides; /* LEFT and RIGHT of the absent tag; NULL: there are no tags */
};

struct looked_log {
    struct key key;
    struct source *source;
    struct checkpoint checkpoint;
    uint8_t *note;
    size_t note_len;
    struct kept_leaf genesis;
    struct kept_leaf *named;
    char (*named_origins)[KEY_NAME_MAX + 1];
    size_t named_count, named_room;
    bool has_predecessor, ended;
    bool is_covered;       /* its VRF key is the one that K comes from (claims.md, section 1) */
    uint64_t begins, ends; /* numbers of epochs */
    struct span *spans;
    size_t span_count, span_room;
};

struct looked_epoch {
    uint64_t number;
    char name[TAG_EPOCH_SIZE];
    uint8_t k[TAG_KEY_LEN], proof[VRF_PROOF_LEN];
    enum looking_verdict verdict;
    unsigned because; /* of which log */
    uint32_t held_from;
    uint64_t accesses;
};

struct looking {
    struct looking_options o;
    struct tag_period period;
    bool has_period;
    struct looked_log logs[CLAIM_LOGS_MAX];
    unsigned log_count;
    unsigned roster[CLAIM_LOGS_MAX]; /* after looking_settle() */
    struct looked_epoch *epochs;     /* ascending */
    size_t epoch_count, epoch_room;
    struct access *accesses;
    size_t access_count, access_room;
    size_t *shown; /* accesses in the order of the file */
    size_t shown_count;
    uint8_t (*tags)[TAG_LEN]; /* of the epoch that is being read */
    size_t tag_count, tag_room;
    uint8_t next[TAG_LEN]; /* the tag that his next access in it has */
};

struct looked_log *looking_present(struct looking *l);
struct looked_epoch *looking_epoch_find(struct looking *l, uint64_t number); /* NULL: none */
struct span *looking_span_find(const struct looked_log *log, uint64_t epoch);
/* Is LOG to be shown in EPOCH: it lived, and is covered? */
bool looking_shows(const struct looked_log *log, uint64_t epoch);

#endif
