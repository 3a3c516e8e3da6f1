/* tamper - thousands of ways to spoil a log, each of which the verifier has to notice.
 *
 * usage: tamper [SEED]
 *
 * Makes honest logs in memory, checks that they hold, spoils a copy in one way at a time and
 * verifies it. Prints `{"KIND":COUNT,…}` and ends with 0 when everything was noticed at its place;
 * else a line for each that was not, and 1. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logmaker.h"
#include "memlog.h"
#include "tlog/bundle.h"
#include "tlog/checkpoint.h"
#include "verify/verify.h"

enum { ENTRIES_MAX = 2000, NOW = 1800000000, FAILURES_SHOWN = 40 };

struct entry {
    uint8_t *bytes;
    size_t n;
};

struct log {
    struct memlog files;
    struct entry entries[ENTRIES_MAX];
    size_t count;
};

static struct secret_key log_key, other_key, witness_keys[2];
static struct trust *trust;
static struct logmaker_options maker_options;
static uint64_t random_state = 1;
static unsigned failures;
static struct {
    const char *kind;
    unsigned count;
} kinds[64];

static uint64_t any(uint64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % below;
}

static void tally(const char *kind)
{
    for (size_t i = 0; i < RF_COUNT(kinds); i++) {
        if (kinds[i].kind == NULL)
            kinds[i].kind = kind;
        if (strcmp(kinds[i].kind, kind) == 0) {
            kinds[i].count++;
            return;
        }
    }
}

RF_PRINTF(1, 2) static void failed(const char *fmt, ...)
{
    va_list arguments;
    if (++failures > FAILURES_SHOWN)
        return;
    va_start(arguments, fmt);
    (void)vfprintf(stderr, fmt, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}

/* ---- making --------------------------------------------------------------------------------- */

static struct logmaker *maker(struct memlog *to)
{
    struct logmaker *m = NULL;
    maker_options = (struct logmaker_options){ .key = &log_key,
                                               .on_file = memlog_put,
                                               .context = to,
                                               .witness_count = 2,
                                               .witness_times = { NOW - 60, NOW - 60 } };
    memcpy(maker_options.witnesses, witness_keys, sizeof(witness_keys));
    RF_ASSERT(logmaker_new(&maker_options, &m) == 0);
    return m;
}

static void take_entries(struct log *l)
{
    struct bundle_entry found[TLOG_TILE_WIDTH];
    l->count = 0;
    for (uint64_t index = 0;; index++) {
        struct tlog_path path = { .file = TLOG_FILE_ENTRIES, .index = index, .width = 256 };
        char name[TLOG_PATH_SIZE];
        const struct memlog_file *f = NULL;
        for (; path.width > 0 && f == NULL; path.width--) {
            tlog_path_write(&path, name);
            f = memlog_find(&l->files, name);
        }
        if (f == NULL || bundle_read(f->bytes, f->n, path.width + 1, found) < 0)
            return;
        for (unsigned i = 0; i <= path.width; i++) {
            struct entry *e = &l->entries[l->count++];
            e->bytes = malloc(found[i].len + 1);
            RF_ASSERT(e->bytes != NULL);
            memcpy(e->bytes, found[i].bytes, found[i].len);
            e->n = found[i].len;
        }
    }
}

static void log_done(struct log *l)
{
    memlog_done(&l->files);
    for (size_t i = 0; i < l->count; i++)
        free(l->entries[i].bytes);
    free(l);
}

static struct log *log_of(const char *const *lines, size_t count)
{
    struct log *l = calloc(1, sizeof(*l));
    struct err err;
    RF_ASSERT(l != NULL);
    struct logmaker *m = maker(&l->files);
    for (size_t i = 0; i < count; i++)
        if (lines[i] != NULL && logmaker_line(m, lines[i], &err) < 0)
            failed("line %zu (%s): %s", i, lines[i], err.line);
    RF_ASSERT(logmaker_publish(m) == 0);
    logmaker_free(m);
    take_entries(l);
    return l;
}

/* The files of a log of these entries, signed. */
static void publish_entries(const struct entry *entries, size_t count, struct memlog *to)
{
    struct logmaker *m = maker(to);
    memlog_done(to);
    for (size_t i = 0; i < count; i++)
        RF_ASSERT(logmaker_bytes(m, entries[i].bytes, entries[i].n) == 0);
    RF_ASSERT(logmaker_publish(m) == 0);
    logmaker_free(m);
}

/* ---- judging -------------------------------------------------------------------------------- */

static struct verify_report *judge(struct memlog *files, const struct checkpoint *remembered)
{
    struct verify_options options = {
        .key = &log_key.key,
        .witnessing = { .trust = trust, .now_s = NOW, .max_age_s = 86400 },
        .remembered = remembered
    };
    struct source *source = memlog_source(files);
    struct verify_report *report = NULL;
    struct err err;
    RF_ASSERT(verify_report_new(&report, &err) == 0);
    int rc = verify_log(source, &options, report, &err);
    if (rc < 0) /* not an answer at all: told as one that is missing */
        findings_add(&report->findings, FINDING_WANTING, "", FINDING_NO_LEAF, "unreadable: %s",
                     err.line);
    source_close(source);
    return report;
}

/* Does FILE, or the tile or bundle of the same leaves, stand among the findings? */
static bool names(const struct findings *f, const char *file)
{
    const char *number = strrchr(file, '/');
    if (file[0] == '\0')
        return true;
    for (unsigned i = 0; i < f->count; i++) {
        if (strcmp(f->list[i].file, file) == 0)
            return true;
        /* leaves are named with their whole bundle, and a bundle is told by its hashes */
        if (strncmp(file, "tile/entries/", 13) == 0 &&
            (strncmp(f->list[i].file, "tile/0/", 7) == 0 ||
             strncmp(f->list[i].file, "tile/entries/", 13) == 0))
            return true;
        if (strncmp(file, "tile/0/", 7) == 0 && number != NULL &&
            strncmp(f->list[i].file, "tile/0/", 7) == 0)
            return true;
    }
    return false;
}

static void expect_tampered(const char *kind, struct memlog *files,
                            const struct checkpoint *remembered, const char *file, const char *what)
{
    struct verify_report *r = judge(files, remembered);
    tally(kind);
    if (r->findings.tampered == 0)
        failed("%s was not noticed: %s %s (%s)", kind, file, what,
               r->findings.count > 0 ? r->findings.list[0].text : "nothing found");
    else if (!names(&r->findings, file))
        failed("%s was noticed elsewhere: %s %s (%s: %s)", kind, file, what,
               r->findings.list[0].file, r->findings.list[0].text);
    verify_report_free(r);
}

static void expect(const char *kind, struct memlog *files, const struct checkpoint *remembered,
                   int status)
{
    struct verify_report *r = judge(files, remembered);
    tally(kind);
    if (findings_exit_status(&r->findings) != status)
        failed("%s ends with %d and not %d (%s: %s)", kind, findings_exit_status(&r->findings),
               status, r->findings.count > 0 ? r->findings.list[0].file : "",
               r->findings.count > 0 ? r->findings.list[0].text : "nothing found");
    verify_report_free(r);
}

static struct checkpoint checkpoint_of(struct memlog *files)
{
    struct verify_report *r = judge(files, NULL);
    struct checkpoint c = r->checkpoint;
    verify_report_free(r);
    return c;
}

/* ---- files ---------------------------------------------------------------------------------- */

static bool is_older(const struct log *l, const struct memlog_file *f)
{
    struct tlog_path path;
    return tlog_path_read(f->path, strlen(f->path), &path) == 0 &&
           path.file != TLOG_FILE_CHECKPOINT &&
           path.width <
               tlog_tile_width(l->count, path.file == TLOG_FILE_TILE ? path.level : 0, path.index);
}

/* Where the cosignatures begin: from there on a flip may make a line of nobody we know. */
static size_t cosignatures_at(const struct memlog_file *f)
{
    const char *text = (const char *)f->bytes;
    const char *blank = memmem(text, f->n, "\n\n", 2);
    const char *end =
        blank != NULL ? memchr(blank + 2, '\n', f->n - (size_t)(blank + 2 - text)) : NULL;
    return end != NULL ? (size_t)(end + 1 - text) : f->n;
}

static void flip(struct memlog *m, size_t file, size_t at, unsigned bit)
{
    struct memlog_file *f = &m->files[file];
    char what[64];
    bool is_cosignature = strcmp(f->path, "checkpoint") == 0 && at >= cosignatures_at(f);
    (void)snprintf(what, sizeof(what), "byte %zu bit %u", at, bit);
    f->bytes[at] ^= (uint8_t)(1 << bit);
    if (is_cosignature) {
        struct verify_report *r = judge(m, NULL);
        tally("flip in a cosignature");
        if (findings_exit_status(&r->findings) == 0)
            failed("flip in a cosignature was not noticed: %s", what);
        verify_report_free(r);
    } else {
        expect_tampered("flip", m, NULL, f->path, what);
    }
    f->bytes[at] ^= (uint8_t)(1 << bit);
}

/* One bit of every byte, or COUNT of them. */
static void flips(struct log *l, unsigned count)
{
    for (size_t i = 0; count == 0 && i < l->files.count; i++)
        for (size_t at = 0; at < l->files.files[i].n; at++)
            flip(&l->files, i, at, (unsigned)any(8));
    for (unsigned i = 0; i < count; i++) {
        size_t file = any(l->files.count);
        if (l->files.files[file].n > 0)
            flip(&l->files, file, any(l->files.files[file].n), (unsigned)any(8));
    }
}

static void lengths(const struct log *l)
{
    static const uint8_t more[40] = { 'x' };
    struct memlog m = { 0 };
    for (size_t i = 0; i < l->files.count; i++)
        for (unsigned k = 0; k < 12; k++) {
            memlog_copy(&l->files, &m);
            struct memlog_file *f = &m.files[i];
            uint8_t *wider = calloc(1, f->n + sizeof(more));
            RF_ASSERT(wider != NULL);
            memcpy(wider, f->bytes, f->n);
            size_t n = k < 6 ? any(f->n) : f->n + 1 + any(sizeof(more) - 1);
            (void)memlog_put(&m, f->path, wider, n);
            free(wider);
            expect_tampered(k < 6 ? "truncated" : "extended", &m, NULL, f->path, "");
        }
    memlog_done(&m);
}

static void drops_and_swaps(struct log *l)
{
    struct memlog m = { 0 };
    for (size_t i = 0; i < l->files.count; i++) {
        const char *path = l->files.files[i].path;
        memlog_copy(&l->files, &m);
        memlog_remove(&m, path);
        if (is_older(l, &l->files.files[i]))
            expect("older partial tile dropped (legal)", &m, NULL, 0);
        else if (strcmp(path, "checkpoint") != 0)
            expect_tampered("file dropped", &m, NULL, path, "");
        else {
            const struct checkpoint c = checkpoint_of(&l->files);
            expect_tampered("checkpoint dropped, remembered", &m, &c, path, "");
        }
        for (size_t k = 0; k < l->files.count; k++) {
            const struct memlog_file *other = &l->files.files[k];
            if (k == i || (other->n == l->files.files[i].n &&
                           memcmp(other->bytes, l->files.files[i].bytes, other->n) == 0))
                continue;
            memlog_copy(&l->files, &m);
            (void)memlog_put(&m, path, other->bytes, other->n);
            expect_tampered("file replaced by another", &m, NULL, path, other->path);
        }
    }
    memlog_done(&m);
}

static void extra_files(const struct log *l)
{
    static const char *const names[] = {
        "tile/x",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/999",
        "tile/9/000.p/1",
        "tile/63/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/data/000",
        "tile/entries/x1/000",
        "tile/entries/999.p/3",
        "tile/entries/000.p/a",
        "tile/0/000.bak",
        "tile/7/000",
        "tile/.hidden",
        "tile/entries/000.p/1.tmp",
        "tile/0/000.new.new",
        "tile/index.html",
    };
    struct memlog m = { 0 };
    for (size_t i = 0; i < RF_COUNT(names); i++) {
        memlog_copy(&l->files, &m);
        (void)memlog_put(&m, names[i], l->files.files[0].bytes, 32);
        expect_tampered("extra file", &m, NULL, names[i], "");
    }
    for (unsigned i = 0; i < 100; i++) { /* wider than the size, or a later one */
        char name[64];
        unsigned width = (unsigned)(l->count % 256 + 1 + any(255 - l->count % 256));
        (void)snprintf(name, sizeof(name),
                       any(2) == 0 ? "tile/0/%03zu.p/%u" : "tile/entries/%03zu.p/%u",
                       l->count / 256 + any(2), width);
        memlog_copy(&l->files, &m);
        (void)memlog_put(&m, name, l->files.files[0].bytes, l->files.files[0].n);
        expect_tampered("file beyond the size", &m, NULL, name, "");
    }
    memlog_copy(&l->files, &m);
    (void)memlog_put(&m, "tile/0/000.new", "x", 1);
    expect("unfinished file of a writer (legal)", &m, NULL, 0);
    memlog_done(&m);
}

/* ---- leaves --------------------------------------------------------------------------------- */

/* The entries of L with one change: which is for KIND. */
enum change { CHANGE_DROP, CHANGE_SWAP, CHANGE_DOUBLE, CHANGE_CUT, CHANGE_BIT, CHANGE_COUNT };

static const char *const change_names[] = { "leaf dropped", "leaves swapped", "leaf doubled",
                                            "end cut off", "leaf changed" };

static size_t changed(const struct log *l, enum change change, size_t at, struct entry *to)
{
    size_t n = l->count;
    memcpy(to, l->entries, n * sizeof(*to));
    switch (change) {
    case CHANGE_DROP:
        memmove(to + at, to + at + 1, (n - at - 1) * sizeof(*to));
        return n - 1;
    case CHANGE_SWAP: {
        size_t other = (at + 1 + any(n - 1)) % n;
        to[at] = l->entries[other];
        to[other] = l->entries[at];
        return n;
    }
    case CHANGE_DOUBLE:
        memmove(to + at + 1, to + at, (n - at) * sizeof(*to));
        return n + 1;
    case CHANGE_CUT:
        return at;
    default:
        return n;
    }
}

/* Tiles and bundles made anew, with the old checkpoint; and signed anew for somebody who remembers
   the old one. */
static void leaf_changes(struct log *l, unsigned rounds)
{
    static struct entry entries[ENTRIES_MAX];
    struct memlog m = { 0 };
    const struct checkpoint before = checkpoint_of(&l->files);
    const struct memlog_file old = *memlog_find(&l->files, "checkpoint");
    for (unsigned i = 0; i < rounds; i++) {
        enum change change = (enum change)(i % CHANGE_COUNT);
        size_t at = any(l->count);
        char what[64];
        uint8_t *bytes = NULL;
        size_t n = changed(l, change, at, entries);
        if (change == CHANGE_BIT) {
            bytes = malloc(entries[at].n);
            RF_ASSERT(bytes != NULL);
            memcpy(bytes, entries[at].bytes, entries[at].n);
            bytes[any(entries[at].n)] ^= (uint8_t)(1 << any(8));
            entries[at].bytes = bytes;
        }
        (void)snprintf(what, sizeof(what), "%s at %zu", change_names[change], at);
        publish_entries(entries, n, &m);
        expect_tampered("signed anew, another remembered", &m, &before, "", what);
        (void)memlog_put(&m, "checkpoint", old.bytes, old.n);
        expect_tampered("tiles anew, old signature", &m, NULL, "", what);
        free(bytes);
    }
    memlog_done(&m);
}

/* Signed anew and nobody remembers: what seals count cannot be dropped or doubled. */
static void sealed_leaves(struct log *l)
{
    static struct entry entries[ENTRIES_MAX];
    struct memlog m = { 0 };
    char what[64];
    for (size_t at = 0; at + 2 < l->count; at++) /* the last two are seals */
        for (int k = 0; k < 2; k++) {
            enum change change = k == 0 ? CHANGE_DROP : CHANGE_DOUBLE;
            (void)snprintf(what, sizeof(what), "%s at %zu", change_names[change], at);
            publish_entries(entries, changed(l, change, at, entries), &m);
            expect_tampered("signed anew, counts of seals", &m, NULL, "", what);
        }
    memlog_done(&m);
}

/* ---- what a liar who holds the key would write ---------------------------------------------- */

#define GRANT                                                                              \
    "grant=7 entity=clipstream-us place=US purpose=abuse_report classes=identity,contact " \
    "subjects=2"
#define SHOWN "disclosure room=granted grant=7 entity=clipstream-us place=US purpose=abuse_report"

static const char *const honest[] = {
    /* 0 */ "genesis epoch=60m rollup=5 seal=1440",
    /* 1 */
    "member origin=log.example.com/us-2 "
    "key=log.example.com/us-2+dd18e138+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
    /* 2 */ "start minute=+1",
    /* 3 */ "grant minute=+1 " GRANT " until=29922600 policy_ref=2",
    /* 4 */ SHOWN " grant_ref=3 classes=identity tags=@a,@b,@c",
    /* 5 */ "policy minute=+1",
    /* 6 */ SHOWN " grant_ref=3 classes=identity,contact tags=@d",
    /* 7 */
    "session minute=+3 from=29922360 until=29922365 room=masked entity=clipstream-us place=US "
    "actor_kind=person rows=512 sessions=3",
    /* 8 */
    "transfer from=29922360 until=29922365 room=masked entity=clipstream-cn place=CN rows=64",
    /* 9 */ "denial from=29922360 until=29922365 denials=2",
    /* 10 */ "seal of=interval",
    /* 11 */
    "grant minute=+1 grant=8 entity=clipstream-us place=US held=h classes=identity subjects=1 "
    "until=29922600 policy_ref=5",
    /* 12 */ "session minute=+5 from=29922365 until=29922370 room=masked few=1",
    /* 13 */ "revoke grant=7 grant_ref=3 rule=expired",
    /* 14 */ "seal of=epoch minute=+60",
    /* 15 */
    "disclosure room=granted grant=8 grant_ref=11 entity=clipstream-us place=US held=x "
    "classes=identity tags=@a",
    /* 16 */ "seal of=interval",
    /* 17 */ "seal of=epoch minute=+60",
};

enum { DELETE = -1, INSERT = 1 };

/* One line replaced, left out, or put in front; the finding names the leaf AT (when it is one). */
static const struct lie {
    const char *what;
    int line, insert; /* INSERT: before that line */
    const char *text; /* NULL: left out */
    int at;           /* the leaf that is named; -1: any */
} lies[] = {
    { "no genesis", 0, 0, NULL, 0 },
    { "a second genesis", 3, INSERT, "genesis epoch=60m", 3 },
    { "genesis of another origin", 0, 0, "genesis epoch=60m rollup=5 origin=log.example.org/x", 0 },
    { "genesis of another key", 0, 0, "genesis epoch=60m rollup=5 key=log.example.com/us+00+AQ",
      0 },
    { "genesis with a strange epoch", 0, 0, "genesis epoch=week rollup=5", 0 },
    { "genesis with epochs of no minutes", 0, 0, "genesis epoch=0m rollup=5", 0 },
    { "genesis with a predecessor that did not sign", 0, 0,
      "genesis epoch=60m rollup=5 predecessor=5%20log.example.com/old signature=00", 0 },
    { "a member twice", 2, INSERT,
      "member origin=log.example.com/us-2 "
      "key=log.example.com/us-2+dd18e138+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
      2 },
    { "a member without a key", 1, 0, "member origin=log.example.com/us-2 key=x", 1 },
    { "another region", 5, 0, "policy minute=+1 region=eu-dublin", 5 },
    { "minute going back", 5, 0, "policy minute=29922359", 5 },
    { "policy_ref to nothing", 3, 0, "grant minute=+1 " GRANT " until=29922600 policy_ref=1", 3 },
    { "policy_ref forwards", 3, 0, "grant minute=+1 " GRANT " until=29922600 policy_ref=5", 3 },
    { "policy_ref to itself", 3, 0, "grant minute=+1 " GRANT " until=29922600 policy_ref=3", 3 },
    { "policy_ref that is none", 3, 0, "grant minute=+1 " GRANT " until=29922600 policy_ref=x%20y",
      3 },
    { "orphan grant_ref", 4, 0, SHOWN " grant_ref=2 classes=identity tags=@a,@b,@c", 4 },
    { "grant_ref forwards", 4, 0, SHOWN " grant_ref=11 classes=identity tags=@a,@b,@c", 4 },
    { "grant_ref beyond the log", 4, 0, SHOWN " grant_ref=99 classes=identity tags=@a,@b,@c", 4 },
    { "another grant's number", 4, 0,
      "disclosure room=granted grant=9 entity=clipstream-us place=US purpose=abuse_report "
      "grant_ref=3 "
      "classes=identity tags=@a,@b,@c",
      4 },
    { "classes beyond the grant", 4, 0, SHOWN " grant_ref=3 classes=identity,payment tags=@a,@b,@c",
      4 },
    { "a class that only begins like the grant's", 4, 0,
      SHOWN " grant_ref=3 classes=ident tags=@a,@b,@c", 4 },
    { "another purpose", 4, 0,
      "disclosure room=granted grant=7 place=US purpose=debugging grant_ref=3 classes=identity "
      "tags=@a",
      4 },
    { "one tag hidden", 4, 0, SHOWN " grant_ref=3 classes=identity tags=@a,@b", -1 },
    { "one tag changed", 4, 0, SHOWN " grant_ref=3 classes=identity tags=@a,@b,@z", -1 },
    { "two tags equal in one leaf", 4, 0, SHOWN " grant_ref=3 classes=identity tags=@a,@b,@a", 4 },
    { "two tags equal in two leaves", 6, 0, SHOWN " grant_ref=3 classes=identity,contact tags=@a",
      6 },
    { "an access hidden", 6, 0, NULL, -1 },
    { "an access that no seal counts", 10, INSERT, SHOWN " grant_ref=3 classes=contact tags=@q",
      -1 },
    { "another epoch", 6, 0, SHOWN " grant_ref=3 classes=identity tags=@d epoch=60m-1", 6 },
    { "ended grant used", 14, INSERT, SHOWN " grant_ref=3 classes=identity tags=@q", 14 },
    { "a grant that ends twice", 14, INSERT, "revoke grant=7 grant_ref=3 rule=revoked", 14 },
    { "a revoke of no grant", 13, 0, "revoke grant=7 grant_ref=5 rule=expired", 13 },
    { "a revoke of another number", 13, 0, "revoke grant=9 grant_ref=3 rule=expired", 13 },
    { "an interval that ends first", 7, 0,
      "session minute=+3 from=29922365 until=29922360 room=masked", 7 },
    { "an interval of odd minutes", 7, 0,
      "session minute=+3 from=29922361 until=29922364 room=masked", 7 },
    { "an interval to come", 7, 0, "session minute=+3 from=29922365 until=29922370 room=masked",
      7 },
    { "an interval that overlaps", 12, 0,
      "session minute=+5 from=29922360 until=29922370 room=masked", 12 },
    { "an earlier interval", 12, 0, "session minute=+5 from=29922355 until=29922360 room=masked",
      12 },
    { "a group twice", 9, INSERT,
      "transfer from=29922360 until=29922365 room=masked entity=clipstream-cn place=CN rows=1", 9 },
    { "an epoch without its seal", 14, 0, NULL, -1 },
    { "a leaf of the next epoch before the seal", 14, INSERT, "policy minute=+60", 14 },
    { "a seal of an epoch that has not ended", 14, 0, "seal of=epoch minute=+1", 14 },
    { "a seal of a later epoch", 14, 0, "seal of=epoch minute=+60 epoch=60m-498707", 14 },
    { "a seal of an earlier epoch", 17, 0, "seal of=epoch minute=+60 epoch=60m-498705", 17 },
    { "a seal of no epoch", 14, 0, "seal of=epoch minute=+60 epoch=2026-11", 14 },
    { "a seal of nothing", 10, 0, "seal of=day", 10 },
    { "a seal that counts fewer leaves", 10, 0, "seal of=interval leaves=9", 10 },
    { "a seal that counts more leaves", 10, 0, "seal of=interval leaves=11", 10 },
    { "a seal that counts fewer disclosures", 10, 0, "seal of=interval disclosures=1", 10 },
    { "a seal that counts more disclosures", 10, 0, "seal of=interval disclosures=3", 10 },
    { "an epoch that nobody seals", 17, 0, "seal of=epoch minute=+60 epoch=60m-498708", 17 },
    { "an epoch's seal that counts fewer leaves", 14, 0, "seal of=epoch minute=+60 leaves=13", 14 },
    { "an epoch's seal that counts fewer disclosures", 14, 0,
      "seal of=epoch minute=+60 disclosures=1", 14 },
    { "an epoch's seal that counts fewer tags", 14, 0, "seal of=epoch minute=+60 tags=3", 14 },
    { "an epoch's seal with another root", 14, 0, "seal of=epoch minute=+60 tags_root=x", 14 },
    { "an epoch's seal with a chain", 14, 0, "seal of=epoch minute=+60 chain=x", 14 },
    { "an interval's seal with tags", 10, 0, "seal of=interval tags=4 tags_root=x epoch=60m-498706",
      10 },
    { "a second seal of an epoch", 15, INSERT, "seal of=epoch epoch=60m-498706", 15 },
    { "opened: not held", 16, INSERT, "opened ref=3 purpose=abuse_report salt=s", 16 },
    { "opened: another purpose", 16, INSERT, "opened ref=15 purpose=abuse_report salt=s", 16 },
    { "a stretch without its seal", 0, 0, "genesis epoch=60m rollup=5 seal=10", 13 },
    { "a long time without a seal", 5, 0, "policy minute=+1600", 5 },
    { "a roll-up of two intervals", 7, 0,
      "session minute=+7 from=29922360 until=29922370 room=masked", 7 },
    { "few that is many", 12, 0, "session minute=+5 from=29922365 until=29922370 room=masked few=9",
      12 },
    { "a sum of no alerts and no reviews", 10, INSERT,
      "alert from=29922360 until=29922365 rule=habit", 10 },
    { "few, and yet told", 12, 0,
      "session minute=+5 from=29922365 until=29922370 room=masked few=1 rows=1024", 12 },
    { "an end of a grant for a reason of its own", 13, 0,
      "revoke grant=7 grant_ref=3 rule=Anna%20Smith%20looked", 13 },
    { "another entity than the grant's", 4, 0,
      "disclosure room=granted grant=7 grant_ref=3 entity=clipstream-cn place=US "
      "purpose=abuse_report classes=identity tags=@a",
      4 },
    { "another room than granted", 4, 0,
      "disclosure room=masked grant=7 grant_ref=3 entity=clipstream-us place=US "
      "purpose=abuse_report classes=identity tags=@a",
      4 },
    { "classes that nobody knows", 3, 0,
      "grant minute=+1 grant=7 entity=clipstream-us place=US purpose=abuse_report "
      "classes=identity,address subjects=2 until=29922600 policy_ref=2",
      3 },
    { "classes in another order", 3, 0,
      "grant minute=+1 grant=7 entity=clipstream-us place=US purpose=abuse_report "
      "classes=contact,identity subjects=2 until=29922600 policy_ref=2",
      3 },
    { "a class twice", 4, 0, SHOWN " grant_ref=3 classes=identity,identity tags=@a", 4 },
    { "classes with a comma behind", 4, 0, SHOWN " grant_ref=3 classes=identity, tags=@a", 4 },
    { "successor that is not the end", 16, INSERT,
      "successor origin=log.example.com/us-2 "
      "key=log.example.com/us-2+dd18e138+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4\npolicy",
      -1 },
    { "successor that is not signed", 16, INSERT,
      "successor origin=log.example.com/us-2 signature=00 "
      "key=log.example.com/us-2+dd18e138+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
      16 },
};

static void tell_lie(const struct lie *lie)
{
    const char *lines[RF_COUNT(honest) + 2];
    char copy[600];
    size_t n = 0;
    for (size_t i = 0; i < RF_COUNT(honest); i++) {
        if ((int)i == lie->line) {
            const char *second = lie->text != NULL ? strchr(lie->text, '\n') : NULL;
            (void)snprintf(copy, sizeof(copy), "%.*s",
                           (int)(second != NULL ? second - lie->text : 599),
                           lie->text != NULL ? lie->text : "");
            lines[n++] = copy;
            if (second != NULL)
                lines[n++] = second + 1;
            if (lie->insert != INSERT)
                continue;
        }
        lines[n++] = honest[i];
    }
    /* Seals are those of the honest log where the lie is about what they sum up. */
    static struct entry entries[ENTRIES_MAX];
    struct log *l = log_of(lines, n), *truth = log_of(honest, RF_COUNT(honest));
    bool hides = strstr(lie->what, "hidden") != NULL ||
                 strstr(lie->what, "no seal counts") != NULL ||
                 strcmp(lie->what, "one tag changed") == 0;
    size_t count = l->count;
    memcpy(entries, l->entries, count * sizeof(*entries));
    for (size_t i = 0; hides && i < count; i++)
        if (memmem(entries[i].bytes, entries[i].n, "\"type\":\"seal\"", 13) != NULL)
            entries[i] = truth->entries[i + truth->count - count];
    struct memlog m = { 0 };
    publish_entries(entries, count, &m);
    struct verify_report *r = judge(&m, NULL);
    bool named = lie->at < 0;
    for (unsigned i = 0; i < r->findings.count; i++)
        named = named || (r->findings.list[i].grade == FINDING_TAMPERED &&
                          r->findings.list[i].leaf == (uint64_t)lie->at);
    tally("lie of the key's holder");
    if (r->findings.tampered == 0 || !named)
        failed("lie \"%s\": %s (%s)", lie->what,
               r->findings.tampered == 0 ? "was not noticed" : "was noticed elsewhere",
               r->findings.count > 0 ? r->findings.list[0].text : "nothing found");
    verify_report_free(r);
    memlog_done(&m);
    log_done(l);
    log_done(truth);
}

/* Each leaf's bytes written in a way that its writer would not have chosen. */
static void other_spellings(const struct log *l)
{
    static const struct {
        const char *from, *to;
    } edits[] = {
        { "{\"v\":1,", "{ \"v\":1," },
        { "{\"v\":1,", "{\"v\":2," },
        { "{\"v\":1,", "{\"v\":\"1\"," },
        { "{\"v\":1,", "{\"v\":01," },
        { "{\"v\":1,", "{\"v\":1.0," },
        { "{\"v\":1,", "{" },
        { "{\"v\":1,", "{\"v\":1,\"v\":1," },
        { "{\"v\":1,", "{\"v\":1,\"x\":1," },
        { "\"d\":\"", "\"e\":\"" },
        { "\"d\":\"", "\"unknown\":1,\"d\":\"" },
        { "\"d\":\"", "\"zz\":\"a\",\"d\":\"" },
        { "\"region\":\"us", "\"region\":\"\\u0075s" },
        { "\"region\":\"us", "\"region\":\"\xc3\xbcs" },
        { "\"region\":\"us-virginia\",", "" },
        { "\"id\":\"", "\"id\":\"Z" },
        { "\"minute\":\"2026", "\"minute\":\"+026" },
        { "Z\",\"id\"", "\",\"id\"" },
        { "\"type\":\"", "\"type\":\"x" },
        { "\"}", "\"} " },
        { "\"}", "\",\"f\":1}" },
        { "\"}", "\"" },
        { "\"v\":1,\"type\"", "\"type\"" },
    };
    static struct entry entries[ENTRIES_MAX];
    struct memlog m = { 0 };
    for (size_t at = 0; at < l->count; at++)
        for (size_t i = 0; i < RF_COUNT(edits); i++) {
            const struct entry *e = &l->entries[at];
            size_t from = strlen(edits[i].from), to = strlen(edits[i].to);
            uint8_t *place = memmem(e->bytes, e->n, edits[i].from, from);
            if (edits[i].from[1] == '}')
                place = e->bytes + e->n - 2;
            if (place == NULL)
                continue;
            uint8_t bytes[8192];
            size_t before = (size_t)(place - e->bytes), n = before;
            memcpy(bytes, e->bytes, before);
            memcpy(bytes + n, edits[i].to, to);
            n += to;
            memcpy(bytes + n, place + from, e->n - before - from);
            n += e->n - before - from;
            memcpy(entries, l->entries, l->count * sizeof(*entries));
            entries[at] = (struct entry){ bytes, n };
            publish_entries(entries, l->count, &m);
            expect_tampered("leaf spelled otherwise", &m, NULL, "tile/entries/000", edits[i].to);
        }
    memlog_done(&m);
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

/* Every size before, and forks of it, for somebody who saw the present one. */
static void turned_back(struct log *l)
{
    struct memlog m = { 0 };
    const struct checkpoint now = checkpoint_of(&l->files);
    for (size_t size = 1; size < l->count; size++) {
        publish_entries(l->entries, size, &m);
        expect_tampered("turned back, remembered", &m, &now, "checkpoint", "");
        const struct memlog_file *old = memlog_find(&m, "checkpoint");
        struct memlog_file kept = *old;
        kept.bytes = malloc(old->n);
        RF_ASSERT(kept.bytes != NULL);
        memcpy(kept.bytes, old->bytes, old->n);
        memlog_copy(&l->files, &m);
        (void)memlog_put(&m, "checkpoint", kept.bytes, kept.n);
        expect_tampered("old checkpoint over newer files", &m, NULL, "", "");
        free(kept.bytes);
        struct checkpoint before;
        publish_entries(l->entries, size, &m);
        before = checkpoint_of(&m);
        expect("grown since it was remembered (legal)", &l->files, &before, 0);
        before.root[any(32)] ^= (uint8_t)(1 << any(8));
        expect_tampered("fork of what was remembered", &l->files, &before, "checkpoint", "");
    }
    memlog_done(&m);
}

/* The checkpoint's text with other signature lines. */
static const struct signing {
    const char *kind;
    int status;
    /* by whom: the log, somebody else, somebody else of its name, the log over another text */
    enum { BY_LOG, BY_OTHER, BY_NAMESAKE, BY_LOG_ELSEWHERE, BY_NOBODY } by;
    /* each witness */
    enum {
        COSIGNED,
        COSIGNED_LONG_AGO,
        COSIGNED_ELSEWHERE,
        COSIGNED_TWICE,
        NOT_COSIGNED
    } cosigned[2];
} signings[] = {
    { "signed as it should be (legal)", 0, BY_LOG, { COSIGNED, COSIGNED } },
    { "signed by another key", 4, BY_OTHER, { COSIGNED, COSIGNED } },
    { "signed by another key of that name", 4, BY_NAMESAKE, { COSIGNED, COSIGNED } },
    { "signature of another checkpoint", 4, BY_LOG_ELSEWHERE, { COSIGNED, COSIGNED } },
    { "signature stripped", 4, BY_NOBODY, { COSIGNED, COSIGNED } },
    { "cosignatures stripped", 1, BY_LOG, { NOT_COSIGNED, NOT_COSIGNED } },
    { "one cosignature stripped", 1, BY_LOG, { COSIGNED, NOT_COSIGNED } },
    { "cosignatures stale", 1, BY_LOG, { COSIGNED_LONG_AGO, COSIGNED_LONG_AGO } },
    { "cosignature of another checkpoint", 4, BY_LOG, { COSIGNED_ELSEWHERE, COSIGNED } },
    { "cosignature twice", 4, BY_LOG, { COSIGNED_TWICE, COSIGNED } },
};

static void sign(const struct signing *s, const char *text, size_t n, struct buf *to)
{
    struct secret_key namesake;
    struct err err;
    char other[512];
    int len = snprintf(other, sizeof(other), "%.*s", (int)n, text);
    other[strlen("log.example.com/us\n")] = '9'; /* another size */
    RF_ASSERT(secret_key_make(log_key.key.name, KEY_ED25519, other_key.seed, &namesake, &err) == 0);
    const struct secret_key *by = s->by == BY_OTHER      ? &other_key
                                  : s->by == BY_NAMESAKE ? &namesake
                                                         : &log_key;
    buf_clear(to);
    if (s->by == BY_NOBODY) {
        RF_ASSERT(buf_append(to, text, n) == 0 && buf_append(to, "\n", 1) == 0);
    } else if (s->by == BY_LOG_ELSEWHERE) {
        RF_ASSERT(note_sign(to, other, (size_t)len, by, &err) == 0);
        memcpy(buf_at(to), text, n);
    } else {
        RF_ASSERT(note_sign(to, text, n, by, &err) == 0);
    }
    for (int i = 0; i < 2; i++)
        for (int k = 0;
             s->cosigned[i] != NOT_COSIGNED && k < (s->cosigned[i] == COSIGNED_TWICE) + 1; k++)
            RF_ASSERT(note_cosign(to, s->cosigned[i] == COSIGNED_ELSEWHERE ? other : text, n,
                                  s->cosigned[i] == COSIGNED_LONG_AGO ? NOW - 90000 : NOW - 5,
                                  &witness_keys[i], &err) == 0);
}

static void signatures(const struct log *l)
{
    const struct memlog_file *f = memlog_find(&l->files, "checkpoint");
    const char *text = (const char *)f->bytes, *blank = memmem(text, f->n, "\n\n", 2);
    struct memlog m = { 0 };
    struct buf b;
    buf_init(&b, NOTE_MAX);
    for (size_t i = 0; i < RF_COUNT(signings); i++) {
        sign(&signings[i], text, (size_t)(blank + 1 - text), &b);
        memlog_copy(&l->files, &m);
        (void)memlog_put(&m, "checkpoint", buf_at(&b), buf_len(&b));
        expect(signings[i].kind, &m, NULL, signings[i].status);
    }
    buf_done(&b);
    memlog_done(&m);
}

/* ---- main ----------------------------------------------------------------------------------- */

static void make_keys(void)
{
    uint8_t seed[KEY_SEED_LEN] = { 1 };
    char policy[1024], vkey[2][KEY_VKEY_SIZE];
    struct err err;
    RF_ASSERT(secret_key_make("log.example.com/us", KEY_ED25519, seed, &log_key, &err) == 0);
    seed[0] = 2;
    RF_ASSERT(secret_key_make("log.example.com/us-x", KEY_ED25519, seed, &other_key, &err) == 0);
    for (int i = 0; i < 2; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "witness-%d.example.net/w", i);
        seed[0] = (uint8_t)(3 + i);
        RF_ASSERT(secret_key_make(name, KEY_COSIGNATURE, seed, &witness_keys[i], &err) == 0);
        key_write(&witness_keys[i].key, vkey[i]);
    }
    int n =
        snprintf(policy, sizeof(policy),
                 "witness a %s\nwitness b %s\ngroup both all a b\nquorum both\n", vkey[0], vkey[1]);
    trust = calloc(1, sizeof(*trust));
    RF_ASSERT(trust != NULL && trust_read(policy, (size_t)n, trust, &err) == 0);
}

/* Some hundred leaves: more than one tile, and a level above. */
static struct log *long_log(size_t leaves)
{
    struct log *l = calloc(1, sizeof(*l));
    struct err err;
    RF_ASSERT(l != NULL);
    struct logmaker *m = maker(&l->files);
    for (size_t i = 0; i < 4; i++)
        RF_ASSERT(logmaker_line(m, honest[i], &err) == 0);
    for (size_t i = 4; i < leaves; i++) {
        const char *line = i % 20 == 0 ? "seal of=interval minute=+1"
                                       : SHOWN " grant_ref=3 classes=identity tags=2";
        if (logmaker_line(m, line, &err) < 0)
            failed("long log: %s", err.line);
        if (i == 260 || i == 300)
            RF_ASSERT(logmaker_publish(m) == 0);
    }
    RF_ASSERT(logmaker_publish(m) == 0);
    logmaker_free(m);
    take_entries(l);
    return l;
}

int main(int argc, char **argv)
{
    struct err err;
    if (argc > 1)
        random_state = strtoull(argv[1], NULL, 10);
    RF_ASSERT(digest_init(&err) == 0);
    make_keys();
    const char *published[RF_COUNT(honest) + 2]; /* with older partial tiles */
    memcpy(published, honest, 5 * sizeof(*honest));
    published[5] = "publish";
    memcpy(published + 6, honest + 5, (RF_COUNT(honest) - 5) * sizeof(*honest));
    struct log *small = log_of(published, RF_COUNT(honest) + 1), *large = long_log(600);
    expect("honest", &small->files, NULL, 0);
    expect("honest", &large->files, NULL, 0);
    if (failures > 0)
        return 1;
    flips(small, 0);
    flips(large, 600);
    lengths(small);
    lengths(large);
    drops_and_swaps(small);
    drops_and_swaps(large);
    extra_files(small);
    extra_files(large);
    leaf_changes(small, 1000);
    leaf_changes(large, 100);
    sealed_leaves(small);
    for (size_t i = 0; i < RF_COUNT(lies); i++)
        tell_lie(&lies[i]);
    other_spellings(small);
    turned_back(small);
    signatures(small);
    log_done(small);
    log_done(large);
    free(trust);
    (void)putchar('{');
    for (size_t i = 0; i < RF_COUNT(kinds) && kinds[i].kind != NULL; i++)
        (void)printf("%s\"%s\":%u", i > 0 ? "," : "", kinds[i].kind, kinds[i].count);
    (void)printf("}\n");
    return failures > 0 ? 1 : 0;
}
