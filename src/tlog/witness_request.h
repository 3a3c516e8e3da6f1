/* witness_request.h - the body of `add-checkpoint` (C2SP tlog-witness). */
#ifndef RF_TLOG_WITNESS_REQUEST_H
#define RF_TLOG_WITNESS_REQUEST_H

#include "base/buf.h"
#include "tlog/proof.h"

enum { WITNESS_REQUEST_MAX = 16 * 1024 };

struct witness_request {
    uint64_t old_size;
    struct proof proof;
    const char *checkpoint; /* the signed note; borrowed, not looked into */
    size_t checkpoint_len;
};

/* The form alone: whether old size, proof and checkpoint fit together is for the caller to answer,
   with other status codes. -RF_EPROTO; *RET may hold part of it then. */
RF_CHECK int witness_request_read(const char *bytes, size_t n, struct witness_request *ret,
                                  struct err *err);
/* Appends all of it or nothing. */
RF_CHECK int witness_request_write(struct buf *to, const struct witness_request *r);

#endif
