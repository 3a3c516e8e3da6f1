/* opening.h - one entry judged and, where the key is there, its private part read. */
#ifndef RF_LEDGER_OPENING_H
#define RF_LEDGER_OPENING_H

#include "base/buf.h"
#include "ledger/daykey.h"
#include "ledger/frame.h"
#include "ledger/leaf.h"

/* The public part is canonical and belongs to this entry: 0, or -RF_ETAMPER and why. */
RF_CHECK int opening_leaf(const struct frame_entry *entry, struct leaf *ret, struct err *err);

/* Put salt and private part of ENTRY into TO (emptied first): the private part begins at
   SEAL_SALT_LEN. NAME: of the gateway; LEAF: what opening_leaf() gave. 1: opened, answers to its
   commitment and is canonical. 0: the key is not there. -RF_ETAMPER: it should open and does not.
   Other codes: the key cannot be read. */
RF_CHECK int opening_private(struct daykey_store *keys, const char *name,
                             const struct frame_entry *entry, const struct leaf *leaf,
                             struct buf *to, struct err *err);

#endif
