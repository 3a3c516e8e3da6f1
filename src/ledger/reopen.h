/* reopen.h - private parts of leaves of the public log, by the leaves' numbers, out of a gateway's
 * state folder. Reads only, also while the gateway writes. */
#ifndef RF_LEDGER_REOPEN_H
#define RF_LEDGER_REOPEN_H

#include "base/err.h"
#include "ledger/frame.h"
#include "tlog/key.h"

/* A leaf that is wanted. LEN > 0: it has these BYTES in the public log (borrowed), and none but
   that one is told. The number alone rests on whoever wrote the private store. */
struct reopen_wanted {
    uint64_t leaf;
    const void *bytes;
    size_t len;
};

/* One leaf that was asked for. PRIVATE_PART is NULL where it is sealed: its day's key is gone.
   Everything is borrowed. A failure ends the reading with that code. */
typedef int reopen_fn(void *context, uint64_t leaf, const struct frame_entry *entry,
                      const void *private_part, size_t n, struct err *err);

/* The leaves in WANTED (ascending, COUNT of them), in order; those that are not there (yet) are
   left out. -RF_ETAMPER: damage, a private part that does not answer to its leaf, or a leaf that
   the journal has otherwise than the public log. */
RF_CHECK int reopen_leaves(const char *state_dir, const struct reopen_wanted *wanted, size_t count,
                           reopen_fn *on_leaf, void *context, struct err *err);

/* The name of the log whose leaves are in that folder's journal; "" when it has none.
   -RF_ENOTFOUND: there is no journal. */
RF_CHECK int reopen_origin(const char *state_dir, char ret[KEY_NAME_MAX + 1], struct err *err);

#endif
