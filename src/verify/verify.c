#include "verify/verify.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tlog/bundle.h"
#include "tlog/proof.h"
#include "tlog/tree.h"
#include "verify/stray.h"

enum { SETTLE_PAUSE_MS = 200 };

struct pass {
    struct source *from;
    const struct verify_options *options;
    struct verify_report *report;
    struct rules *rules;
    uint64_t size, announced; /* bundles that were */
    struct tree_edge edge;
    uint8_t hashes[TLOG_TILE_WIDTH][TLOG_HASH_LEN];
    struct bundle_entry entries[TLOG_TILE_WIDTH];
    struct note note;
    bool is_cut; /* some leaves are not known: what follows would be guesses */
    struct err *err;
};

int verify_report_new(struct verify_report **ret, struct err *err)
{
    struct verify_report *r = mem_zalloc(1, sizeof(*r));
    if (r == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    buf_init(&r->note, SOURCE_CHECKPOINT_MAX + 1);
    *ret = r;
    return 0;
}

void verify_report_free(struct verify_report *r)
{
    if (r == NULL)
        return;
    buf_done(&r->note);
    mem_free(r);
}

static void wrong(struct pass *p, const char *file, const char *what)
{
    findings_add(&p->report->findings, FINDING_TAMPERED, file, FINDING_NO_LEAF, "%s", what);
}

/* ---- checkpoint ----------------------------------------------------------------------------- */

/* The note in BYTES is the log's, and what it says is a checkpoint of it. */
static bool checkpoint_judge(struct buf *bytes, const struct key *key, struct note *note,
                             struct checkpoint *ret, struct findings *to)
{
    struct err why;
    struct checkpoint c;
    err_clear(&why);
    if (buf_len(bytes) > SOURCE_CHECKPOINT_MAX ||
        note_read((const char *)buf_at(bytes), buf_len(bytes), note, &why) < 0) {
        findings_add(to, FINDING_TAMPERED, "checkpoint", FINDING_NO_LEAF,
                     "is no signed note: %.200s", why.line);
        return false;
    }
    int rc = note_verify(note, key, NULL, &why);
    if (rc != 1) {
        findings_add(to, FINDING_TAMPERED, "checkpoint", FINDING_NO_LEAF,
                     rc == 0 ? "is not signed by the key of \"%.200s\""
                             : "the signature of \"%.200s\" does not hold",
                     key->name);
        return false;
    }
    if (checkpoint_read(note->text, note->text_len, &c, &why) < 0) {
        findings_add(to, FINDING_TAMPERED, "checkpoint", FINDING_NO_LEAF,
                     "is no checkpoint: %.200s", why.line);
        return false;
    }
    if (strcmp(c.origin, key->name) != 0) {
        findings_add(to, FINDING_TAMPERED, "checkpoint", FINDING_NO_LEAF, "is of origin \"%.200s\"",
                     c.origin);
        return false;
    }
    *ret = c;
    return true;
}

static int checkpoint_fetch(struct source *from, const struct key *key, struct note *note,
                            struct checkpoint *ret, struct buf *bytes, struct findings *to,
                            struct err *err)
{
    static const struct tlog_path path = { .file = TLOG_FILE_CHECKPOINT };
    struct source_file file;
    int rc = source_read(from, &path, &file, err);
    if (rc <= 0)
        return rc;
    buf_clear(bytes);
    if (buf_reserve(bytes, 1) == NULL || buf_append(bytes, file.bytes, file.len) < 0)
        return err_set(err, RF_ENOMEM, "out of memory");
    return checkpoint_judge(bytes, key, note, ret, to) ? 1 : 0;
}

int verify_checkpoint(struct source *from, const struct key *key, struct checkpoint *ret,
                      struct buf *bytes, struct findings *to, struct err *err)
{
    struct note *note = mem_zalloc(1, sizeof(*note));
    if (note == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = checkpoint_fetch(from, key, note, ret, bytes, to, err);
    mem_free(note);
    return rc;
}

/* 1: go on. 0: nothing to go on with. */
static int judge_checkpoint(struct pass *p)
{
    struct verify_report *r = p->report;
    const struct checkpoint *old = p->options->remembered;
    int rc = checkpoint_fetch(p->from, p->options->key, &p->note, &r->checkpoint, &r->note,
                              &r->findings, p->err);
    if (rc < 0 || (rc == 0 && r->findings.tampered > 0))
        return rc;
    if (rc == 0 && old == NULL)
        return err_set(p->err, RF_EUNAVAIL, "there is no checkpoint: not a log, or not one yet");
    if (rc == 0) {
        wrong(p, "checkpoint", "is gone, and a signed one was seen before");
        return 0;
    }
    witnessing_judge(&p->note, r->checkpoint.origin, &p->options->witnessing, &r->witnessing,
                     &r->findings);
    p->size = r->checkpoint.size;
    if (old != NULL && old->size > p->size)
        findings_add(&r->findings, FINDING_TAMPERED, "checkpoint", FINDING_NO_LEAF,
                     "has %" PRIu64 " leaves, and one with %" PRIu64 " was seen before", p->size,
                     old->size);
    return 1;
}

/* ---- tiles ---------------------------------------------------------------------------------- */

/* Read the file of PATH: 1; 0 with a finding. */
static int need(struct pass *p, const struct tlog_path *path, struct source_file *ret)
{
    int rc = source_read(p->from, path, ret, p->err);
    if (rc == 0)
        wrong(p, ret->path, "is not there");
    if (rc == 1)
        p->report->bytes += ret->len;
    return rc;
}

/* Compare the tile's file with WIDTH hashes that the leaves make. */
static int judge_tile(struct pass *p, unsigned level, uint64_t index, unsigned width,
                      const uint8_t (*hashes)[TLOG_HASH_LEN])
{
    const struct tlog_path path = {
        .file = TLOG_FILE_TILE, .level = level, .index = index, .width = width
    };
    struct source_file file;
    int rc = need(p, &path, &file);
    if (rc != 1)
        return rc;
    if (file.len != (size_t)file.width * TLOG_HASH_LEN) {
        findings_add(&p->report->findings, FINDING_TAMPERED, file.path, FINDING_NO_LEAF,
                     "has not %u hashes", file.width);
        return 0;
    }
    for (unsigned i = 0; i < width; i++) {
        if (memcmp(file.bytes + (size_t)i * TLOG_HASH_LEN, hashes[i], TLOG_HASH_LEN) == 0)
            continue;
        findings_add(&p->report->findings, FINDING_TAMPERED, file.path,
                     level == 0 ? index * TLOG_TILE_WIDTH + i : FINDING_NO_LEAF,
                     level == 0 ? "hash %u is not that of the leaf"
                                : "hash %u is not that of the tile below",
                     i);
        return 0; /* one a tile */
    }
    return 1;
}

static int on_tile(void *context, unsigned level, uint64_t index,
                   const uint8_t hashes[TLOG_TILE_WIDTH][TLOG_HASH_LEN])
{
    struct pass *p = context;
    int rc = level == 0 ? 0 /* was judged with its bundle */
                        : judge_tile(p, level, index, TLOG_TILE_WIDTH, hashes);
    return rc < 0 ? rc : 0;
}

static int judge_partial_tiles(struct pass *p)
{
    for (unsigned level = 1; level < TREE_LEVELS; level++) {
        unsigned width = p->edge.width[level];
        uint64_t index = tlog_level_count(p->size, level) / TLOG_TILE_WIDTH;
        int rc = width > 0 ? judge_tile(p, level, index, width, p->edge.hash[level]) : 1;
        if (rc < 0)
            return rc;
    }
    return 1;
}

/* ---- leaves --------------------------------------------------------------------------------- */

static void announce(struct pass *p)
{
    uint64_t bundles = (p->size + TLOG_TILE_WIDTH - 1) / TLOG_TILE_WIDTH;
    uint64_t now = p->edge.size / TLOG_TILE_WIDTH;
    if (p->announced < now)
        p->announced = now;
    while (p->announced < bundles && p->announced < now + SOURCE_AHEAD_MAX / 2 - 1) {
        struct tlog_path path = { .file = TLOG_FILE_ENTRIES, .index = p->announced };
        path.width = tlog_tile_width(p->size, 0, path.index);
        source_ahead(p->from, &path);
        path.file = TLOG_FILE_TILE;
        source_ahead(p->from, &path);
        p->announced++;
    }
}

static int judge_leaf(struct pass *p, uint64_t index, const struct bundle_entry *e)
{
    struct findings *to = &p->report->findings;
    struct logleaf leaf;
    if (logleaf_read(e->bytes, e->len, &leaf) < 0) {
        findings_add_leaf(to, FINDING_TAMPERED, index, "is no leaf in canonical form");
        p->is_cut = true;
        return 0;
    }
    int rc = p->is_cut ? 0 : rules_leaf(p->rules, index, &leaf, to, p->err);
    if (rc == 0 && p->options->on_leaf != NULL)
        rc = p->options->on_leaf(p->options->context, index, e->bytes, e->len, &leaf, p->err);
    return rc;
}

/* Was this the size that was seen before? Then its root must be that one. */
static void judge_remembered(struct pass *p)
{
    const struct checkpoint *old = p->options->remembered;
    uint8_t root[TLOG_HASH_LEN];
    if (old == NULL || old->size != p->edge.size)
        return;
    tree_edge_root(&p->edge, root);
    if (memcmp(root, old->root, sizeof(root)) != 0)
        findings_add(&p->report->findings, FINDING_TAMPERED, "checkpoint", FINDING_NO_LEAF,
                     "contradicts a signed one that was seen before: its first %" PRIu64
                     " leaves were others",
                     old->size);
}

/* The leaves of bundle INDEX: hashed, compared with their tile, read, judged, added. */
static int judge_bundle(struct pass *p, uint64_t index)
{
    struct tlog_path path = { .file = TLOG_FILE_ENTRIES, .index = index };
    struct source_file file;
    path.width = tlog_tile_width(p->size, 0, index);
    int rc = need(p, &path, &file);
    if (rc != 1)
        return rc;
    if (bundle_read(file.bytes, file.len, file.width, p->entries) < 0) {
        findings_add(&p->report->findings, FINDING_TAMPERED, file.path, FINDING_NO_LEAF,
                     "has not %u entries and nothing else", file.width);
        return 0;
    }
    for (unsigned i = 0; i < path.width; i++)
        tlog_leaf_hash(p->entries[i].bytes, p->entries[i].len, p->hashes[i]);
    rc = judge_tile(p, 0, index, path.width, p->hashes);
    for (unsigned i = 0; rc >= 0 && i < path.width; i++) {
        uint64_t leaf = index * TLOG_TILE_WIDTH + i;
        if (!p->options->hashes_only)
            rc = judge_leaf(p, leaf, &p->entries[i]);
        judge_remembered(p);
        if (rc >= 0)
            rc = tree_edge_add(&p->edge, p->hashes[i], on_tile, p);
        p->report->leaves++;
    }
    return rc < 0 ? rc : 1;
}

static int judge_leaves(struct pass *p)
{
    int rc = 1;
    while (rc == 1 && p->edge.size < p->size) {
        announce(p);
        rc = judge_bundle(p, p->edge.size / TLOG_TILE_WIDTH);
        if (p->options->on_progress != NULL)
            p->options->on_progress(p->options->context, p->edge.size, p->size);
    }
    if (rc != 1)
        return rc;
    judge_remembered(p);
    rc = judge_partial_tiles(p);
    if (rc < 0)
        return rc;
    uint8_t root[TLOG_HASH_LEN];
    tree_edge_root(&p->edge, root);
    if (memcmp(root, p->report->checkpoint.root, sizeof(root)) == 0)
        p->report->is_whole = true;
    else
        wrong(p, "checkpoint", "has another root than the leaves");
    return 1;
}

/* ---- what lies there beside ----------------------------------------------------------------- */

static void pause_ms(unsigned ms)
{
    const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    (void)nanosleep(&t, NULL);
}

/* Wait until the files beyond the checkpoint are named by a newer one; *RET_SIZE is its size. A
   writer makes tiles first and signs then. */
static int settle(struct pass *p, uint64_t *ret_size)
{
    struct checkpoint newer;
    struct findings *ignored = mem_zalloc(1, sizeof(*ignored));
    struct buf bytes;
    uint64_t beyond = 1;
    int rc = ignored == NULL ? err_set(p->err, RF_ENOMEM, "out of memory") : 0;
    buf_init(&bytes, SOURCE_CHECKPOINT_MAX + 1);
    for (unsigned waited = 0; rc >= 0 && beyond > 0 && waited < p->options->settle_ms;
         waited += SETTLE_PAUSE_MS) {
        pause_ms(SETTLE_PAUSE_MS);
        memset(ignored, 0, sizeof(*ignored));
        rc = verify_checkpoint(p->from, p->options->key, &newer, &bytes, ignored, p->err);
        if (rc == 1 && newer.size > *ret_size) {
            *ret_size = newer.size;
            rc = stray_judge(p->from, newer.size, false, ignored, &beyond, p->err);
        }
    }
    buf_done(&bytes);
    mem_free(ignored);
    return rc < 0 ? rc : 0;
}

static int judge_strays(struct pass *p)
{
    uint64_t beyond = 0, size = p->size;
    struct findings *to = &p->report->findings;
    if (!source_lists(p->from))
        return 0;
    int rc = stray_judge(p->from, size, p->options->settle_ms == 0, to, &beyond, p->err);
    if (rc < 0 || beyond == 0 || p->options->settle_ms == 0)
        return rc;
    rc = settle(p, &size);
    return rc < 0 ? rc : stray_judge(p->from, size, true, to, &beyond, p->err);
}

/* ---- the whole ------------------------------------------------------------------------------ */

int verify_log(struct source *from, const struct verify_options *options,
               struct verify_report *report, struct err *err)
{
    struct pass *p = mem_zalloc(1, sizeof(*p));
    if (p == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    p->from = from;
    p->options = options;
    p->report = report;
    p->err = err;
    tree_edge_init(&p->edge);
    int rc = rules_new(options->key, &p->rules, err);
    if (rc == 0)
        rc = judge_checkpoint(p);
    if (rc == 1)
        rc = judge_leaves(p);
    if (rc == 1)
        rc = judge_strays(p);
    if (p->rules != NULL)
        report->facts = *rules_facts(p->rules);
    rules_free(p->rules);
    mem_free(p);
    return rc < 0 ? rc : 0;
}

/* ---- one leaf ------------------------------------------------------------------------------- */

struct tiles {
    struct source *from;
    struct findings *to;
};

static int tile_of(void *context, unsigned level, uint64_t index, unsigned width,
                   uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *err)
{
    const struct tiles *t = context;
    const struct tlog_path path = {
        .file = TLOG_FILE_TILE, .level = level, .index = index, .width = width
    };
    struct source_file file;
    int rc = source_read(t->from, &path, &file, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || file.len != (size_t)file.width * TLOG_HASH_LEN) {
        findings_add(t->to, FINDING_TAMPERED, file.path, FINDING_NO_LEAF,
                     rc == 0 ? "is not there" : "has another length than its hashes");
        return -RF_ETAMPER;
    }
    memcpy(ret, file.bytes, (size_t)width * TLOG_HASH_LEN);
    return 0;
}

static int read_entry(struct source *from, uint64_t size, uint64_t index, struct buf *to,
                      struct findings *findings, struct err *err)
{
    struct tlog_path path = { .file = TLOG_FILE_ENTRIES, .index = index / TLOG_TILE_WIDTH };
    struct bundle_entry entries[TLOG_TILE_WIDTH];
    struct source_file file;
    path.width = tlog_tile_width(size, 0, path.index);
    int rc = source_read(from, &path, &file, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || bundle_read(file.bytes, file.len, file.width, entries) < 0) {
        findings_add(findings, FINDING_TAMPERED, file.path, index,
                     rc == 0 ? "is not there" : "is no bundle of entries");
        return 0;
    }
    const struct bundle_entry *e = &entries[index % TLOG_TILE_WIDTH];
    buf_clear(to);
    return buf_reserve(to, 1) != NULL && buf_append(to, e->bytes, e->len) == 0
               ? 1
               : err_set(err, RF_ENOMEM, "out of memory");
}

int verify_inclusion(struct source *from, const struct checkpoint *checkpoint, uint64_t index,
                     const void *leaf, size_t n, struct proof *ret, struct findings *findings,
                     struct err *err)
{
    struct tiles tiles = { .from = from, .to = findings };
    const struct tile_source source = { .tile = tile_of, .context = &tiles };
    uint8_t hash[TLOG_HASH_LEN];
    int rc = proof_inclusion(&source, index, checkpoint->size, ret, err);
    if (rc == -RF_ETAMPER)
        return 0;
    if (rc < 0)
        return rc;
    tlog_leaf_hash(leaf, n, hash);
    if (!proof_inclusion_holds(ret, index, checkpoint->size, hash, checkpoint->root)) {
        findings_add_leaf(findings, FINDING_TAMPERED, index,
                          "is not in the tree of the checkpoint, or tiles above it are wrong");
        return 0;
    }
    return 1;
}

int verify_leaf(struct source *from, const struct checkpoint *checkpoint, uint64_t index,
                struct buf *to, struct proof *ret, struct findings *findings, struct err *err)
{
    struct proof proof;
    if (index >= checkpoint->size)
        return err_set(err, RF_ENOTFOUND, "the log has %" PRIu64 " leaves, and none is %" PRIu64,
                       checkpoint->size, index);
    int rc = read_entry(from, checkpoint->size, index, to, findings, err);
    if (rc == 1)
        rc = verify_inclusion(from, checkpoint, index, buf_at(to), buf_len(to), &proof, findings,
                              err);
    if (rc == 1 && ret != NULL)
        *ret = proof;
    return rc;
}
