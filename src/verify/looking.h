/* looking.h - who looked at one person: his accesses out of all public logs of a region, and the
 * claim file that proves them (docs/formats/claims.md).
 *
 * Order of calls: looking_new(); for each log looking_log(), its leaves in order through
 * looking_leaf() while it is verified, looking_log_end(); when all are there looking_settle(); then
 * each access of looking_access() gets its opening by looking_open() or looking_search(); then
 * looking_write(). One pass over the leaves: of a log is kept what the file will show, and the tags
 * of the epoch that is being read. digest_init() and sodium_init() come first.
 *
 * What is in here is the person's own, and the VRF key is the region's secret: all of it is wiped.
 */
#ifndef RF_VERIFY_LOOKING_H
#define RF_VERIFY_LOOKING_H

#include "ledger/tag.h"
#include "verify/verify.h"

struct looking;

struct looking_options { /* borrowed for life, but for the secret */
    const char *region;
    const void *subject;
    size_t subject_len;
    uint8_t secret[VRF_SECRET_LEN];
    const char *const *epochs; /* only these; none: all that can be */
    size_t epoch_count;
};

/* -RF_EINVAL: no such subject or region. */
RF_CHECK int looking_new(const struct looking_options *o, struct looking **ret, struct err *err);
void looking_free(struct looking *l);

/* KEY is copied, SOURCE borrowed for life. */
RF_CHECK int looking_log(struct looking *l, const struct key *key, struct source *source,
                         struct err *err);
verify_leaf_fn looking_leaf; /* its context is the struct looking */
/* REPORT is of the whole log, without a sign of tampering. */
RF_CHECK int looking_log_end(struct looking *l, const struct verify_report *report,
                             struct err *err);

/* The roster in its order, and which epochs can be shown. -RF_ENOTFOUND: a log of the roster was
   not given, or more than one is nobody's. -RF_ETAMPER: the logs contradict each other. */
RF_CHECK int looking_settle(struct looking *l, struct err *err);

enum looking_verdict {
    LOOKING_SHOWN,
    LOOKING_OPEN,   /* a log of the roster that lives in it has not sealed it */
    LOOKING_HELD,   /* an access of his has a purpose that is still held */
    LOOKING_UNKNOWN /* asked for by name, and no log lived in it */
};
struct looking_epoch {
    const char *name;
    enum looking_verdict verdict;
    const char *log;    /* because of which it is not shown */
    uint32_t held_from; /* LOOKING_HELD: minute of the newest access that is held */
    uint64_t accesses;  /* in all logs */
};
size_t looking_epoch_count(const struct looking *l);
struct looking_epoch looking_epoch(const struct looking *l, size_t i);

size_t looking_log_count(const struct looking *l); /* after looking_settle(): the roster */
const struct key *looking_log_key(const struct looking *l, size_t i);

/* Of the epochs that are shown, in the order of the file. */
struct looking_access {
    const char *origin, *epoch;
    uint64_t leaf;        /* its index */
    const uint8_t *bytes; /* of the leaf */
    size_t len;
    unsigned position; /* among the leaf's items */
    uint32_t minute;
    bool is_open;
};
size_t looking_access_count(const struct looking *l);
struct looking_access looking_access(const struct looking *l, size_t i);

/* The access was to CLASSES at TIME_MS: 1 when that is what its leaf commits to, else 0. */
RF_CHECK int looking_open(struct looking *l, size_t i, const char *classes, int64_t time_ms,
                          struct err *err);
/* Find both by trying: the milliseconds around the leaf's minute, and the sets of its classes. 1,
   or 0 when nothing answers, after a minute or two when the leaf has all classes. For an access
   whose private part is not here, or no more: with K its commitment hides nothing that the leaf
   does not nearly say. */
RF_CHECK int looking_search(struct looking *l, size_t i, struct err *err);

/* Append the claim file. Every shown access is open. -RF_ETOOBIG: name fewer epochs. */
RF_CHECK int looking_write(struct looking *l, struct buf *to, struct err *err);

#endif
