/* prooffile.h - a stand-alone proof of one entry (C2SP tlog-proof, v1). */
#ifndef RF_TLOG_PROOFFILE_H
#define RF_TLOG_PROOFFILE_H

#include "base/buf.h"
#include "tlog/proof.h"

enum { PROOFFILE_EXTRA_MAX = 4096, PROOFFILE_MAX = 256 * 1024 };

struct prooffile {
    uint64_t index;
    const char *extra; /* base64 as in the file, borrowed; nobody vouches for it */
    size_t extra_len;  /* 0: none; at most PROOFFILE_EXTRA_MAX */
    struct proof proof;
    const char *checkpoint; /* the signed note; borrowed, not looked into */
    size_t checkpoint_len;
};

/* -RF_EPROTO says in ERR what is wrong. */
RF_CHECK int prooffile_read(const char *bytes, size_t n, struct prooffile *ret, struct err *err);
/* Appends all of it or nothing. */
RF_CHECK int prooffile_write(struct buf *to, const struct prooffile *p);

#endif
