#include "tlog/prooffile.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "tlog/prooflines.h"

static const char first_line[] = "c2sp.org/tlog-proof@v1";

static bool is_extra(struct line text)
{
    uint8_t bytes[PROOFFILE_EXTRA_MAX]; /* more than it decodes to */
    size_t n;
    return text.len > 0 && text.len <= PROOFFILE_EXTRA_MAX &&
           base64_decode(text.at, text.len, bytes, sizeof(bytes), &n) == 0;
}

int prooffile_read(const char *bytes, size_t n, struct prooffile *ret, struct err *err)
{
    struct line rest = { bytes, n }, line, checkpoint;
    struct prooffile p = { .index = 0 };
    if (n > PROOFFILE_MAX)
        return err_set(err, RF_EPROTO, "proof is larger than %d bytes", PROOFFILE_MAX);
    if (!line_cut(&rest, &line) || !line_is(line, first_line))
        return err_set(err, RF_EPROTO, "proof does not begin with \"%s\"", first_line);
    if (!line_cut(&rest, &line))
        return err_set(err, RF_EPROTO, "proof ends after its first line");
    if (line_skip(&line, "extra ")) {
        if (!is_extra(line))
            return err_set(err, RF_EPROTO, "extra data of the proof is not base64 of %d bytes",
                           PROOFFILE_EXTRA_MAX);
        p.extra = line.at;
        p.extra_len = line.len;
        if (!line_cut(&rest, &line))
            return err_set(err, RF_EPROTO, "proof ends after its extra data");
    }
    if (!line_skip(&line, "index ") || !line_number(line, &p.index))
        return err_set(err, RF_EPROTO, "proof does not say of which index");
    int rc = prooflines_read(rest, &p.proof, &checkpoint, err);
    if (rc < 0)
        return rc;
    p.checkpoint = checkpoint.at;
    p.checkpoint_len = checkpoint.len;
    *ret = p;
    return 0;
}

int prooffile_write(struct buf *to, const struct prooffile *p)
{
    char head[sizeof(first_line) + 7 + PROOFFILE_EXTRA_MAX + 7 + LINE_NUMBER_SIZE + 1];
    struct line extra = { p->extra, p->extra_len };
    if (p->index > LINE_NUMBER_MAX || (extra.len > 0 && !is_extra(extra)))
        return -RF_EINVAL;
    int n = snprintf(head, sizeof(head), "%s\n%s%.*s%sindex %llu\n", first_line,
                     extra.len > 0 ? "extra " : "", (int)extra.len, extra.len > 0 ? extra.at : "",
                     extra.len > 0 ? "\n" : "", (unsigned long long)p->index);
    return prooflines_write(to, (struct line){ head, (size_t)n }, &p->proof,
                            (struct line){ p->checkpoint, p->checkpoint_len }, PROOFFILE_MAX);
}
