#include "tlog/witness_request.h"

#include <stdio.h>

#include "tlog/prooflines.h"

int witness_request_read(const char *bytes, size_t n, struct witness_request *ret, struct err *err)
{
    struct line rest = { bytes, n }, line, checkpoint;
    if (n > WITNESS_REQUEST_MAX)
        return err_set(err, RF_EPROTO, "request is larger than %d bytes", WITNESS_REQUEST_MAX);
    if (!line_cut(&rest, &line) || !line_skip(&line, "old ") || !line_number(line, &ret->old_size))
        return err_set(err, RF_EPROTO, "request does not begin with \"old\" and a size");
    int rc = prooflines_read(rest, &ret->proof, &checkpoint, err);
    if (rc < 0)
        return rc;
    ret->checkpoint = checkpoint.at;
    ret->checkpoint_len = checkpoint.len;
    return 0;
}

int witness_request_write(struct buf *to, const struct witness_request *r)
{
    char head[4 + LINE_NUMBER_SIZE + 1];
    if (r->old_size > LINE_NUMBER_MAX)
        return -RF_EINVAL;
    int n = snprintf(head, sizeof(head), "old %llu\n", (unsigned long long)r->old_size);
    return prooflines_write(to, (struct line){ head, (size_t)n }, &r->proof,
                            (struct line){ r->checkpoint, r->checkpoint_len }, WITNESS_REQUEST_MAX);
}
