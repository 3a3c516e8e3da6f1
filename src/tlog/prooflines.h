/* prooflines.h - what a stand-alone proof and a witness's request end with: the hashes of a proof,
 * a line each, a blank line, and a signed checkpoint to the end. */
#ifndef RF_TLOG_PROOFLINES_H
#define RF_TLOG_PROOFLINES_H

#include "base/buf.h"
#include "tlog/line.h"
#include "tlog/proof.h"

/* All of REST; the checkpoint is borrowed from it, not empty, and not looked into. -RF_EPROTO says
   in ERR what is wrong. */
RF_CHECK int prooflines_read(struct line rest, struct proof *ret, struct line *ret_checkpoint,
                             struct err *err);
/* Append HEAD, the proof's lines and CHECKPOINT, MAX bytes in all, or nothing. */
RF_CHECK int prooflines_write(struct buf *to, struct line head, const struct proof *p,
                              struct line checkpoint, size_t max);

#endif
