/* journal.h - the one writer of the journal (docs/formats/journal.md, sections 4 and 5).
 *
 * Order of calls: journal_open(), then journal_append() any number of times and one
 * journal_commit(), again and again. What was appended is on disk only once journal_commit()
 * returned 0. After the first failure of a commit or of a day's key the journal is dead: every
 * further call fails with the same reason and nothing is ever written or synced again. One writer
 * at a time: a lock is held until journal_close() or the end of the process. Not for threads. */
#ifndef RF_LEDGER_JOURNAL_H
#define RF_LEDGER_JOURNAL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "ledger/daykey.h"
#include "ledger/dedupe.h"
#include "ledger/logleaf.h"
#include "ledger/record.h"

struct journal;
struct policy;

enum { JOURNAL_SEGMENT_MAX = 64 * 1024 * 1024, JOURNAL_BATCH_MAX = 1024 * 1024 };

struct journal_options {
    const char *state_dir; /* made when it is not there; its parent is not */
    const char *name;      /* of the gateway */
    const char *copy_dir;  /* of a second, synchronous copy; NULL: there is none */
    uint64_t segment_max;  /* bytes; 0: JOURNAL_SEGMENT_MAX */
    int lock_wait_ms;      /* how long to wait for another holder of the lock to go away */
};

/* What was there. */
struct journal_found {
    uint64_t entries;   /* in the journal: the index of the next one */
    size_t checked;     /* segments that were read whole */
    uint64_t cut_bytes; /* of a torn tail */
    uint64_t cut_at;
    char cut_path[PATH_MAX];
};

/* Lock, recover, and get ready to write. Fails with RF_EUNAVAIL while another process holds the
   lock, RF_ETAMPER for damage (nothing was changed then), RF_ECONFIG for the journal of another
   gateway, and with what the system says. */
RF_CHECK int journal_open(const struct journal_options *options, struct journal **ret,
                          struct journal_found *ret_found, struct err *err);
void journal_close(struct journal *j); /* what was not committed is dropped; NULL is welcome */

/* Make an entry of SAID as message SEQ of INSTANCE (both 0: the ledger's own). NOW_MS: wall clock.
   -RF_ENOMEM and -RF_ETOOBIG leave the journal alive and as it was. */
RF_CHECK int journal_append(struct journal *j, const struct policy *policy,
                            const struct record *said, uint64_t instance, uint64_t seq,
                            int64_t now_ms, struct err *err);
/* The same for a leaf of the public log (docs/formats/log.md): minute, id and commitment of LEAF
   are set here, DETAIL is its private part. -RF_EINVAL: the leaf is not well-formed. */
RF_CHECK int journal_append_leaf(struct journal *j, struct logleaf *leaf, const void *detail,
                                 size_t len, uint64_t instance, uint64_t seq, int64_t now_ms,
                                 struct err *err);
RF_CHECK int journal_commit(struct journal *j, struct err *err);

size_t journal_pending(const struct journal *j);      /* bytes appended and not committed */
uint64_t journal_next_index(const struct journal *j); /* counts what is pending */
uint32_t journal_minute(const struct journal *j, int64_t now_ms); /* that an entry would get */
/* The chain value before the next entry. */
void journal_chain(const struct journal *j, uint8_t ret[DIGEST_LEN]);
const char *journal_folder(const struct journal *j);
struct daykey_store *journal_keys(struct journal *j);
const struct err *journal_death(const struct journal *j); /* NULL while alive */
struct dedupe *journal_dedupe(struct journal *j);
bool journal_keys_locked(const struct journal *j);

#endif
