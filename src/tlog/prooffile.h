/* prooffile.h - a stand-alone proof of one entry (C2SP tlog-proof, v1). */
#ifndef RF_TLOG_PROOFFILE_H
#define RF_TLOG_PROOFFILE_H

#include "base/buf.h"
#include "tlog/proof.h"

struct prooffile {
    uint64_t index;
    struct proof proof;
    const char *checkpoint; /* the signed note; borrowed */
    size_t checkpoint_len;
};

RF_CHECK int prooffile_read(const char *bytes, size_t n, struct prooffile *ret, struct err *err);
RF_CHECK int prooffile_write(struct buf *to, const struct prooffile *p);

#endif
