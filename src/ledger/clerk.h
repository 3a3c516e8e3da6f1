/* clerk.h - what of the journal becomes public: which records are leaves of the log, and the sums
 * of all others (docs/formats/log.md).
 *
 * The clerk stands between the desk and the journal. It has no storage of its own: everything it
 * knows is in the journal's open parts, and clerk_replay() reads them again after a start. Leaves
 * come out in the order of section 4: an epoch's seal before anything of the next, roll-ups, a seal
 * of the interval, then what is happening.
 *
 * A gateway without a public log has no clerk: its records go straight into the journal. */
#ifndef RF_LEDGER_CLERK_H
#define RF_LEDGER_CLERK_H

#include "ledger/journal.h"
#include "policy/config.h"
#include "tlog/key.h"

struct clerk;
struct grant_table;

/* JOURNAL and GRANTS (NULL: none are known) are borrowed. CONFIG has a section `ledger`; keys are
   loaded from the files that it names. Snapshots are kept in its STATE/clerk, which is made. */
RF_CHECK int clerk_new(struct journal *journal, const struct config *config,
                       const struct grant_table *grants, struct clerk **ret, struct err *err);
void clerk_free(struct clerk *c);

/* Read what is there. -RF_ECONFIG: the log's first leaf names another origin, key, region, epoch or
   interval than the configuration. */
RF_CHECK int clerk_replay(struct clerk *c, const struct policy *policy, struct err *err);

/* Put SAID down, as a record or as a leaf; see journal_append(), which is all there is to it
   without a clerk (NULL). JOURNAL is the clerk's. */
RF_CHECK int clerk_append(struct clerk *c, struct journal *journal, const struct policy *policy,
                          const struct record *said, uint64_t instance, uint64_t seq,
                          int64_t now_ms, struct err *err);

/* Where it stands: `INDEX ORIGIN` of its leaf, or `ENTRY journal`; C may be NULL. Of the record of
   KIND that was appended last; or of the one that is ENTRY of the journal, while nothing is
   appended and not committed. */
void clerk_ref_last(const struct clerk *c, const struct journal *journal, enum record_kind kind,
                    char ret[RECORD_REF_SIZE]);
RF_CHECK int clerk_ref_of(const struct clerk *c, const struct journal *journal, uint64_t entry,
                          char ret[RECORD_REF_SIZE], struct err *err);

/* The daemon starts, or reads other rules: DETAIL is the private part's, digests in hex. */
struct clerk_start {
    bool is_reload;
    const uint8_t *binary, *libraries; /* SHA-256; not for a reload */
    const char *detail;
    const uint8_t *session; /* RECORD_SESSION_ID_LEN bytes */
    unsigned signatures; /* of the policy before's signers; 0: that named none, or it is the same */
    const char *signed_by; /* they themselves, for the private part; may be NULL */
    const uint8_t *waits;  /* SHA-256 of another policy, which rules: */
    uint32_t from;         /* minute; the leaf is about it alone, and its signatures */
};
RF_CHECK int clerk_start(struct clerk *c, const struct policy *policy,
                         const struct clerk_start *what, int64_t now_ms, struct err *err);

/* May a start write that POLICY rules with so many SIGNATURES of those whom the policy with the
   digest BY names? Not if the one that its log names last demands more of another one: then
   somebody has put the state folder back, or emptied it. Signatures for any other policy than that
   one count nothing: he could bring his own. 0, or -RF_ECONFIG. */
RF_CHECK int clerk_may_rule(const struct clerk *c, const struct policy *policy,
                            const uint8_t by[32], unsigned signatures, struct err *err);

/* What is due by the clock: roll-ups, seals, ends of grants. */
RF_CHECK int clerk_tick(struct clerk *c, const struct policy *policy, int64_t now_ms,
                        struct err *err);
int64_t clerk_due_ms(const struct clerk *c); /* wall clock; INT64_MAX: nothing is due by itself */

/* ---- the roster, and the end of the log (clerk_end.c): for an operator, while no gateway runs
 * ---- */

/* Make another log of the region known. -RF_EINVAL: it is this log, the one before it, or known
   already. */
RF_CHECK int clerk_member(struct clerk *c, const struct policy *policy, const struct key *member,
                          int64_t now_ms, struct err *err);

/* End the log, whose key is KEY: sums of what is going on, `successor`, the seals of its last epoch
   and interval. Nothing can follow. Durable when this returned 0; after a crash on the way, or
   after the end, the same call with the same NEXT completes it. */
RF_CHECK int clerk_end_log(struct clerk *c, const struct policy *policy,
                           const struct secret_key *key, const struct key *next, int64_t now_ms,
                           struct err *err);

struct clerk_end {
    char origin[KEY_NAME_MAX + 1], vkey[KEY_VKEY_SIZE]; /* of the next log */
    uint64_t leaf;                                      /* index of the `successor` */
    bool has_epoch_seal, has_interval_seal;             /* behind it: then the end is whole */
};
const struct clerk_end *clerk_ended(const struct clerk *c); /* NULL: the log goes on */
/* 0, or -RF_ECONFIG: the log has ended, and ERR says what to do. */
RF_CHECK int clerk_goes_on(const struct clerk *c, struct err *err);
uint64_t clerk_leaves(const struct clerk *c); /* of the journal so far */
size_t clerk_held(const struct clerk *c);     /* leaves whose purposes no `opened` has shown yet */

/* Put down what the clerk knows, so that a start reads little of the journal (clerk_snapshot.c).
   Happens by itself now and then; nothing depends on it. C may be NULL. */
void clerk_snapshot(struct clerk *c);

/* journal_commit() succeeded. C may be NULL. */
void clerk_committed(struct clerk *c);

#endif
