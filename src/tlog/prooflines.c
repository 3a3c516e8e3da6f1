#include "tlog/prooflines.h"

#include "base/base64.h"

int prooflines_read(struct line rest, struct proof *ret, struct line *ret_checkpoint,
                    struct err *err)
{
    struct line line;
    ret->count = 0;
    for (;;) {
        if (!line_cut(&rest, &line))
            return err_set(err, RF_EPROTO, "proof has no blank line behind its hashes");
        if (line.len == 0)
            break;
        if (ret->count == PROOF_MAX)
            return err_set(err, RF_EPROTO, "proof has more than %d hashes", PROOF_MAX);
        if (!line_hash(line, ret->hash[ret->count]))
            return err_set(err, RF_EPROTO, "hash %u of the proof is not base64 of 32 bytes",
                           ret->count + 1);
        ret->count++;
    }
    if (rest.len == 0)
        return err_set(err, RF_EPROTO, "no checkpoint follows the proof");
    *ret_checkpoint = rest;
    return 0;
}

int prooflines_write(struct buf *to, struct line head, const struct proof *p,
                     struct line checkpoint, size_t max)
{
    char hashes[PROOF_MAX * (LINE_HASH_LEN + 1) + 2];
    size_t at = 0;
    if (p->count > PROOF_MAX || checkpoint.len == 0)
        return -RF_EINVAL;
    for (unsigned i = 0; i < p->count; i++) {
        at += base64_encode(p->hash[i], TLOG_HASH_LEN, hashes + at);
        hashes[at++] = '\n';
    }
    hashes[at++] = '\n';
    if (checkpoint.len > max || head.len + at > max - checkpoint.len)
        return -RF_ETOOBIG;
    int rc = buf_ensure(to, head.len + at + checkpoint.len);
    if (rc == 0)
        rc = buf_append(to, head.at, head.len);
    if (rc == 0)
        rc = buf_append(to, hashes, at);
    return rc < 0 ? rc : buf_append(to, checkpoint.at, checkpoint.len);
}
