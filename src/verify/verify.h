/* verify.h - judging a whole public log by nothing but public files (docs/formats/log.md).
 *
 * One pass, in memory that does not grow with the log but for what rules.h says. Read are the
 * checkpoint, then every bundle with its level-0 tile; higher tiles as the tree that is built from
 * the leaves completes them. What is found out later is not needed earlier, so a leaf is given away
 * (on_leaf) once its hash is that of its tile; that the tiles belong to the checkpoint is known at
 * the end. Whoever acts on leaves waits for the end. */
#ifndef RF_VERIFY_VERIFY_H
#define RF_VERIFY_VERIFY_H

#include "ledger/logleaf.h"
#include "tlog/checkpoint.h"
#include "verify/rules.h"
#include "verify/source.h"
#include "verify/witnessing.h"

/* A canonical leaf, borrowed. A failure ends the verification with that code. */
typedef int verify_leaf_fn(void *context, uint64_t index, const void *bytes, size_t n,
                           const struct logleaf *leaf, struct err *err);
typedef void verify_progress_fn(void *context, uint64_t done, uint64_t size);

struct verify_options {
    const struct key *key; /* of the log; its name is the origin */
    struct witnessing_options witnessing;
    const struct checkpoint *remembered; /* NULL: this log was never seen */
    bool hashes_only;                    /* leaves are bytes: no reading, no rules */
    unsigned settle_ms; /* how long a writer may take to publish files that lie there already */
    verify_leaf_fn *on_leaf; /* NULL, like the next */
    verify_progress_fn *on_progress;
    void *context;
};

struct verify_report {
    struct findings findings;
    struct checkpoint checkpoint; /* all zero: there was none, or it was not the log's */
    struct buf note;              /* its file */
    struct witnessing_report witnessing;
    struct rules_facts facts;
    uint64_t leaves, bytes; /* that were read */
    bool is_whole;          /* the leaves are those of the checkpoint */
};

RF_CHECK int verify_report_new(struct verify_report **ret, struct err *err);
void verify_report_free(struct verify_report *r);

/* 0: judged, and REPORT (fresh) says what was found. Negative: it could not be read, or ON_LEAF
   failed. */
RF_CHECK int verify_log(struct source *from, const struct verify_options *options,
                        struct verify_report *report, struct err *err);

/* The checkpoint alone: 1 and RET when it is there and signed by KEY; 0 with what is wrong in TO
   (or nothing there); negative: cannot be read. BYTES gets the file. */
RF_CHECK int verify_checkpoint(struct source *from, const struct key *key, struct checkpoint *ret,
                               struct buf *bytes, struct findings *to, struct err *err);

/* Leaf INDEX of the tree of CHECKPOINT into TO, and in RET (may be NULL) why it is in it. 1; 0 with
   what is wrong in FINDINGS; negative. */
struct proof;
RF_CHECK int verify_leaf(struct source *from, const struct checkpoint *checkpoint, uint64_t index,
                         struct buf *to, struct proof *ret, struct findings *findings,
                         struct err *err);
/* The same for a leaf that is at hand: N bytes at LEAF. */
RF_CHECK int verify_inclusion(struct source *from, const struct checkpoint *checkpoint,
                              uint64_t index, const void *leaf, size_t n, struct proof *ret,
                              struct findings *findings, struct err *err);

#endif
