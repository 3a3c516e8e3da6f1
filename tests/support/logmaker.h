/* logmaker.h - logs made to order: honest ones, and such as only a liar would make.
 *
 * Leaves are given as structs, as lines of text or as bytes; what a line does not say is filled in
 * (minute, id, region, commitment, counts and roots of seals, signatures of successions), and what
 * it says is taken, right or wrong. Files come out as they become complete, so that a log of any
 * length can be made in little memory. Nothing of src/verify is used: what judges logs is not to be
 * tested by itself.
 *
 * A line is a type and `key=value` pairs between blanks (`%XX` in a value is that byte):
 *     genesis epoch=month rollup=60 seal=1440
 *     start
 *     grant minute=+1 grant=7 entity=clipstream-us place=US purpose=abuse_report classes=identity
 *           subjects=1 until=29930000 policy_ref=1                       (all on one line)
 *     disclosure grant=7 grant_ref=2 … tags=3         three fresh tags; or tags=@a,@b: of these
 *     request … ; approval … request_ref=2 verdict=approve ; grant … request_ref=2
 * approval_refs=3,4 grant … by=                                     neither a request nor an
 * administrator words seal of=epoch `minute` is a number since 1970 or `+N`; a reference is `N` for
 * this log or `N%20ORIGIN`; a hash is 64 hex digits or a word that is hashed. A line that begins
 * with `{` is a leaf byte for byte; empty lines and such with `#` are nothing; `publish` is
 * logmaker_publish().
 */
#ifndef RF_TESTS_LOGMAKER_H
#define RF_TESTS_LOGMAKER_H

#include "base/buf.h"
#include "ledger/logleaf.h"
#include "tlog/key.h"

enum { LOGMAKER_WITNESSES_MAX = 8 };

/* A file of the log, below its prefix. */
typedef int logmaker_file_fn(void *context, const char *path, const void *bytes, size_t n);

struct logmaker_options {
    const struct secret_key *key;
    struct secret_key witnesses[LOGMAKER_WITNESSES_MAX]; /* of type KEY_COSIGNATURE */
    uint64_t witness_times[LOGMAKER_WITNESSES_MAX];
    unsigned witness_count;
    uint32_t minute; /* of the first leaf; 0: 2026-11-22T10:00Z */
    logmaker_file_fn *on_file;
    void *context;
};

struct logmaker;

/* OPTIONS is borrowed for life, and may be changed between calls. */
RF_CHECK int logmaker_new(const struct logmaker_options *options, struct logmaker **ret);
void logmaker_free(struct logmaker *m);

RF_CHECK int logmaker_line(struct logmaker *m, const char *line, struct err *err);
RF_CHECK int logmaker_leaf(struct logmaker *m, struct logleaf *leaf);
RF_CHECK int logmaker_bytes(struct logmaker *m, const void *bytes, size_t n);
/* Partial tiles of the present size, and the checkpoint with its cosignatures. */
RF_CHECK int logmaker_publish(struct logmaker *m);
uint64_t logmaker_size(const struct logmaker *m);
/* The minute that is LATER minutes behind the last leaf's, and the epoch that it lies in. */
uint32_t logmaker_epoch(const struct logmaker *m, uint32_t later, char ret[24]);

/* An on_file: CONTEXT is the path of a folder, a char array. */
int logmaker_write_file(void *context, const char *path, const void *bytes, size_t n);

#endif
