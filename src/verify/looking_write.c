/* looking_write.c - the claim file: what was kept, each leaf with why it is in its checkpoint. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "verify/looking_inside.h"

struct writing {
    struct looking *looking;
    struct claim_writer to;
    struct claim_line line;
    struct findings findings; /* of tiles that do not fit, found when the log was read already */
    size_t shown;             /* the next access of the file */
    struct err *err;
};

static int put(struct writing *w, enum claim_word word)
{
    w->line.word = word;
    int rc = claim_write(&w->to, &w->line);
    if (rc == -RF_ETOOBIG) {
        (void)err_set(w->err, RF_ETOOBIG, "the claim file would be larger than %d bytes",
                      CLAIM_MAX);
        err_hint(w->err, "name fewer epochs with --epoch");
        return rc;
    }
    return rc == 0 ? 0 : err_set(w->err, (enum err_code) - rc, "could not write a claim file");
}

static int put_text(struct writing *w, enum claim_word word, const char *text)
{
    (void)snprintf(w->line.text, sizeof(w->line.text), "%s", text);
    return put(w, word);
}

/* A line with LEAF of LOG and its proof. */
static int put_leaf(struct writing *w, enum claim_word word, const struct looked_log *log,
                    const struct kept_leaf *leaf)
{
    int rc = verify_inclusion(log->source, &log->checkpoint, leaf->index, leaf->bytes, leaf->len,
                              &w->line.proof, &w->findings, w->err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(w->err, RF_ETAMPER, "log \"%.200s\": \"%.100s\" %.100s", log->key.name,
                       w->findings.list[0].file, w->findings.list[0].text);
    memcpy(w->line.leaf, leaf->bytes, leaf->len);
    w->line.leaf_len = leaf->len;
    w->line.index = leaf->index;
    return put(w, word);
}

static int put_log(struct writing *w, const struct looked_log *log)
{
    int rc = put_text(w, CLAIM_LOG, log->key.name);
    if (rc == 0) {
        memcpy(w->line.checkpoint, log->note, log->note_len);
        w->line.checkpoint_len = log->note_len;
        rc = put(w, CLAIM_CHECKPOINT);
    }
    if (rc == 0)
        rc = put_leaf(w, CLAIM_GENESIS, log, &log->genesis);
    for (size_t i = 0; rc == 0 && i < log->named_count; i++)
        rc = put_leaf(w, CLAIM_NAMED, log, &log->named[i]);
    return rc;
}

/* ---- grants --------------------------------------------------------------------------------- */

/* The grant of LOG that A is under; false: none of this log. */
static bool grant_of(const struct looked_log *log, const struct access *a, uint64_t *ret)
{
    struct logleaf leaf;
    const char *origin;
    size_t len;
    return logleaf_read(a->leaf.bytes, a->leaf.len, &leaf) == 0 &&
           logleaf_ref(&leaf, LEAF_KEY_GRANT_REF, ret, &origin, &len) &&
           len == strlen(log->key.name) && memcmp(origin, log->key.name, len) == 0;
}

static int by_index(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static int put_grant(struct writing *w, const struct looked_log *log, uint64_t index)
{
    struct buf bytes;
    struct kept_leaf leaf = { .index = index };
    buf_init(&bytes, LOGLEAF_MAX);
    int rc = verify_leaf(log->source, &log->checkpoint, index, &bytes, NULL, &w->findings, w->err);
    if (rc == 0)
        rc = err_set(w->err, RF_ETAMPER, "log \"%.200s\" lacks a grant that a leaf of it names",
                     log->key.name);
    if (rc == 1) {
        leaf.bytes = buf_at(&bytes);
        leaf.len = buf_len(&bytes);
        rc = put_leaf(w, CLAIM_GRANT, log, &leaf);
    }
    buf_done(&bytes);
    return rc;
}

/* Each grant of the accesses that come next, once: how many approved it stands in its leaf. */
static int put_grants(struct writing *w, const struct looked_log *log, uint64_t epoch)
{
    const struct looking *l = w->looking;
    size_t end = w->shown, count = 0;
    int rc = 0;
    while (end < l->shown_count && &l->logs[l->accesses[l->shown[end]].log] == log &&
           l->accesses[l->shown[end]].epoch == epoch)
        end++;
    uint64_t *grants = mem_zalloc(end - w->shown + 1, sizeof(*grants));
    if (grants == NULL)
        return err_set(w->err, RF_ENOMEM, "out of memory");
    for (size_t i = w->shown; i < end; i++)
        count += grant_of(log, &l->accesses[l->shown[i]], &grants[count]);
    qsort(grants, count, sizeof(*grants), by_index);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (i == 0 || grants[i] != grants[i - 1])
            rc = put_grant(w, log, grants[i]);
    mem_free(grants);
    return rc;
}

static int put_accesses(struct writing *w, const struct looked_log *log, uint64_t epoch)
{
    struct looking *l = w->looking;
    int rc = 0;
    for (; rc == 0 && w->shown < l->shown_count; w->shown++) {
        const struct access *a = &l->accesses[l->shown[w->shown]];
        if (&l->logs[a->log] != log || a->epoch != epoch)
            break;
        if (a->opening == NULL)
            return err_set(w->err, RF_EINVAL, "an access has no opening");
        memcpy(w->line.access, a->opening, a->opening_len);
        w->line.access_len = a->opening_len;
        w->line.n = a->n;
        rc = put_leaf(w, CLAIM_ACCESS, log, &a->leaf);
    }
    return rc;
}

static int put_span(struct writing *w, const struct looked_log *log, uint64_t epoch)
{
    const struct span *s = looking_span_find(log, epoch);
    int rc = put_text(w, CLAIM_IN, log->key.name);
    if (rc == 0)
        rc = put_leaf(w, CLAIM_SEAL, log, &s->seal);
    if (rc == 0)
        rc = put_grants(w, log, epoch);
    if (rc == 0)
        rc = put_accesses(w, log, epoch);
    if (rc < 0)
        return rc;
    if (s->sides == NULL)
        return put(w, CLAIM_NONE);
    w->line.left = s->sides[0];
    w->line.right = s->sides[1];
    return put(w, CLAIM_ABSENT);
}

static int put_epoch(struct writing *w, const struct looked_epoch *e)
{
    struct looking *l = w->looking;
    int rc = put_text(w, CLAIM_EPOCH, e->name);
    memcpy(w->line.key, e->k, sizeof(e->k));
    memcpy(w->line.vrf_proof, e->proof, sizeof(e->proof));
    if (rc == 0)
        rc = put(w, CLAIM_K);
    for (unsigned i = 0; rc == 0 && i < l->log_count; i++)
        if (looking_shows(&l->logs[l->roster[i]], e->number))
            rc = put_span(w, &l->logs[l->roster[i]], e->number);
    return rc;
}

static int put_all(struct writing *w)
{
    struct looking *l = w->looking;
    int rc = put(w, CLAIM_HEAD);
    if (rc == 0)
        rc = put_text(w, CLAIM_REGION, l->o.region);
    memcpy(w->line.subject, l->o.subject, l->o.subject_len);
    w->line.subject_len = l->o.subject_len;
    if (rc == 0)
        rc = put(w, CLAIM_SUBJECT);
    if (rc == 0 && vrf_public_of(l->o.secret, w->line.key) < 0)
        rc = err_set(w->err, RF_EINVAL, "the VRF key is none");
    if (rc == 0)
        rc = put(w, CLAIM_VRF);
    for (unsigned i = 0; rc == 0 && i < l->log_count; i++)
        rc = put_log(w, &l->logs[l->roster[i]]);
    for (size_t i = 0; rc == 0 && i < l->epoch_count; i++)
        if (l->epochs[i].verdict == LOOKING_SHOWN)
            rc = put_epoch(w, &l->epochs[i]);
    return rc == 0 ? put(w, CLAIM_END) : rc;
}

int looking_write(struct looking *l, struct buf *to, struct err *err)
{
    struct writing *w = mem_zalloc(1, sizeof(*w));
    if (w == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    w->looking = l;
    w->to = claim_write_begin(to);
    w->err = err;
    int rc = put_all(w);
    mem_free_secret(w, sizeof(*w));
    return rc;
}
