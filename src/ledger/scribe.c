#include "ledger/scribe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/folder.h"
#include "ledger/leaf.h"
#include "ledger/scan.h"
#include "ledger/segment.h"
#include "ledger/store.h"
#include "tlog/note.h"

/* STATE/notary/head: `journal N CHAIN`, a line feed, and the signed checkpoint whose tree holds the
 * leaves among the journal's first N entries; CHAIN is the journal's chain value after those, in
 * hex. A journal that does not have it there is not the one that was signed for.
 *
 * Invariants:
 *   a checkpoint leaves this process  =>  it is in `head`, and its tree in the public files, on
 *                                         stable storage
 *   store_size() < past.size          =>  nothing is signed
 *   chain is that of the journal after its first `next` entries
 *   is_over                           =>  nothing is read, written or signed any more
 */

enum {
    HEAD_MAX = 64 * 1024,
    KEEP_PARTIALS_MS = 5 * 60 * 1000,
    HELD_MAX = 32,
    LEAVES_A_ROUND = 32 * 1024, /* then a checkpoint, so that nobody waits for all of a backlog */
};

const char scribe_tamper_hint[] =
    "nothing more is signed under this origin: stop the gateway, copy its state and the log's "
    "folder "
    "away, find out what was rolled back or changed, and see \"When the log refuses to go on\" in "
    "docs/keys.md";

struct scribe {
    char folder[PATH_MAX], journal[PATH_MAX];
    const struct secret_key *key;
    int64_t delay_ms, due_ms;
    int lock_fd;
    struct store *store;
    struct scan *scan;
    bool has_entry; /* `entry` was read and not worked in: it is too young */
    struct frame_entry entry;
    uint64_t next; /* the journal's entry that comes next */
    uint8_t chain[DIGEST_LEN];
    uint64_t covered; /* entries of the journal in the present checkpoint's tree */
    bool has_note;
    bool is_whole; /* the public files hold the tree of `present` */
    struct checkpoint present;
    struct buf note;
    struct checkpoint held[HELD_MAX]; /* that this log must hold and has not reached yet */
    size_t held_count;
    uint64_t past; /* size of the largest that it must hold; 0: none */
    uint64_t published;
    bool is_over;
};

static int over(struct scribe *s, struct err *err)
{
    s->is_over = true;
    err_hint(err, "%s", scribe_tamper_hint);
    return -RF_ETAMPER;
}

/* ---- what must be held ---------------------------------------------------------------------- */

static int contradicts(struct scribe *s, uint64_t size, struct err *err)
{
    (void)err_set(err, RF_ETAMPER,
                  "the journal makes another tree of %" PRIu64 " leaves than was signed before",
                  size);
    return over(s, err);
}

/* The store has the size of some: is it the same tree? */
static int meet_past(struct scribe *s, struct err *err)
{
    uint8_t root[TLOG_HASH_LEN];
    uint64_t size = store_size(s->store);
    for (size_t i = 0; i < s->held_count;) {
        if (s->held[i].size != size) {
            i++;
            continue;
        }
        store_root(s->store, root);
        if (memcmp(root, s->held[i].root, sizeof(root)) != 0)
            return contradicts(s, size, err);
        s->held[i] = s->held[--s->held_count];
    }
    return 0;
}

/* Should there be no room, a smaller one is given up: the largest decides what may be signed. */
static void hold(struct scribe *s, const struct checkpoint *c)
{
    size_t least = 0;
    if (c->size > s->past)
        s->past = c->size;
    for (size_t i = 0; i < s->held_count; i++) {
        if (s->held[i].size == c->size && memcmp(s->held[i].root, c->root, sizeof(c->root)) == 0)
            return;
        least = s->held[i].size < s->held[least].size ? i : least;
    }
    if (s->held_count < HELD_MAX)
        s->held[s->held_count++] = *c;
    else if (s->held[least].size < c->size)
        s->held[least] = *c;
}

int scribe_must_hold(struct scribe *s, const struct checkpoint *c, struct err *err)
{
    uint8_t root[TLOG_HASH_LEN];
    uint64_t size = store_size(s->store);
    if (strcmp(c->origin, s->key->key.name) != 0)
        return err_set(err, RF_EINVAL, "a checkpoint of another log");
    if (s->is_over)
        return err_set(err, RF_ETAMPER, "the log's past cannot be held");
    if (c->size == 0)
        return 0;
    if (c->size > size) {
        hold(s, c);
        return 0;
    }
    struct tile_source source = store_source(s->store);
    int rc = proof_root(&source, c->size, size, root, err);
    if (rc < 0)
        return rc;
    if (memcmp(root, c->root, sizeof(root)) == 0)
        return 0;
    (void)err_set(err, RF_ETAMPER, "somebody has another tree of %" PRIu64 " leaves of this log",
                  c->size);
    return over(s, err);
}

/* A note of our own: its checkpoint, or -RF_ETAMPER. */
static int read_own(const struct scribe *s, const char *what, const char *bytes, size_t n,
                    struct checkpoint *ret, struct err *err)
{
    struct note *note = mem_zalloc(1, sizeof(*note));
    struct err why = { 0 };
    if (note == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = note_read(bytes, n, note, &why);
    if (rc == 0 && note_verify(note, &s->key->key, NULL, &why) != 1)
        rc = err_set(&why, RF_ETAMPER, "not signed by \"%.100s\"", s->key->key.name);
    if (rc == 0)
        rc = checkpoint_read(note->text, note->text_len, ret, &why);
    if (rc == 0 && strcmp(ret->origin, s->key->key.name) != 0)
        rc = err_set(&why, RF_ETAMPER, "of another log");
    mem_free(note);
    if (rc == 0 || rc == -RF_ENOMEM)
        return rc;
    (void)err_set(err, RF_ETAMPER, "%s is no checkpoint of this log: %s", what, why.line);
    return -RF_ETAMPER;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int lock_take(struct scribe *s, struct err *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.*s/lock", PATH_MAX - 16, s->folder);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return err_sys(err, "could not open \"%s\"", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_sys(err, "could not lock \"%s\"", path);
    (void)err_set(err, RF_EUNAVAIL, "the log of \"%.200s\" is written by another process",
                  s->folder);
    err_hint(err, "is a second gateway running with the same state folder?");
    return -RF_EUNAVAIL;
}

/* Take over what was remembered: the signed note and where the journal stood. */
static int read_head(struct scribe *s, struct err *err)
{
    char path[PATH_MAX], *text = NULL, *end;
    size_t len, chain_len = 0;
    (void)snprintf(path, sizeof(path), "%.*s/head", PATH_MAX - 16, s->folder);
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    int rc = fd_read_file(path, HEAD_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    char *line = strchr(text, '\n');
    if (strncmp(text, "journal ", 8) != 0 || line == NULL) {
        rc = err_set(err, RF_ETAMPER, "\"%.200s\" is damaged", path);
        goto out;
    }
    s->covered = strtoull(text + 8, &end, 10);
    if (end == text + 8 || *end != ' ' || line - end != 2 * DIGEST_LEN + 1 ||
        sodium_hex2bin(s->chain, sizeof(s->chain), end + 1, 2 * DIGEST_LEN, NULL, &chain_len,
                       NULL) != 0 ||
        chain_len != sizeof(s->chain)) {
        rc = err_set(err, RF_ETAMPER, "\"%.200s\" is damaged", path);
        goto out;
    }
    size_t note_len = len - (size_t)(line + 1 - text);
    rc = read_own(s, "what was remembered", line + 1, note_len, &s->present, err);
    if (rc == 0 && buf_append(&s->note, line + 1, note_len) < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory");
    s->has_note = rc == 0;
out:
    mem_free(text);
    return rc;
}

/* The published checkpoint into *RET; its size is 0 when there is none. */
static int read_published(struct scribe *s, struct checkpoint *ret, struct err *err)
{
    struct buf bytes;
    *ret = (struct checkpoint){ 0 };
    buf_init(&bytes, 128 * 1024);
    int rc = store_published(s->store, &bytes, err);
    if (rc == 0 && buf_len(&bytes) > 0)
        rc = read_own(s, "the published file", (const char *)buf_at(&bytes), buf_len(&bytes), ret,
                      err);
    if (rc == 0 && ret->size > 0) {
        s->published = ret->size;
        hold(s, ret);
    }
    buf_done(&bytes);
    return rc;
}

/* ---- the journal ---------------------------------------------------------------------------- */

static int rolled_back(struct scribe *s, uint64_t entries, struct err *err)
{
    (void)err_set(err, RF_ETAMPER,
                  "the journal has %" PRIu64 " entries, and %" PRIu64
                  " were signed for: it was rolled back",
                  entries, s->next);
    return over(s, err);
}

/* Read on at entry `next`; what lies before must be what was read before. */
static int position(struct scribe *s, struct err *err)
{
    struct frame_entry entry;
    uint64_t offset;
    s->has_entry = false;
    scan_close(s->scan);
    s->scan = NULL;
    if (s->next > 0 && access(s->journal, F_OK) < 0 && errno == ENOENT)
        return rolled_back(s, 0, err);
    int rc = scan_open(s->journal, s->next > 0 ? s->next - 1 : 0, &s->scan, err);
    if (rc == -RF_ENOTFOUND && s->next > 0)
        return rolled_back(s, 0, err);
    while (rc == 0 && scan_state(s->scan)->index < s->next) {
        rc = scan_next(s->scan, &entry, &offset, err);
        if (rc == 0)
            return rolled_back(s, scan_state(s->scan)->index, err);
        rc = rc == 1 ? 0 : rc;
    }
    if (rc == 0 && s->next > 0 &&
        memcmp(scan_state(s->scan)->chain, s->chain, sizeof(s->chain)) != 0) {
        (void)err_set(err, RF_ETAMPER,
                      "the journal's first %" PRIu64 " entries are not those that were signed for",
                      s->next);
        return over(s, err);
    }
    return rc == -RF_ETAMPER ? over(s, err) : rc;
}

void scribe_read_again(struct scribe *s)
{
    s->has_entry = false;
    scan_close(s->scan);
    s->scan = NULL;
}

/* ---- taking up ------------------------------------------------------------------------------ */

/* The journal makes the whole tree again, and every file is compared. */
static int begin_anew(struct scribe *s, struct err *err)
{
    scribe_read_again(s);
    s->covered = s->next = 0;
    s->is_whole = false;
    return store_load(s->store, 0, err);
}

/* The tree of the remembered checkpoint from the public files. -RF_ENOTFOUND: it is not there, or
   it is not that one. */
static int load_tree(struct scribe *s, const struct checkpoint *published, struct err *err)
{
    uint8_t root[TLOG_HASH_LEN];
    int rc = store_load(s->store, s->present.size, err);
    if (rc < 0)
        return rc;
    store_root(s->store, root);
    if (memcmp(root, s->present.root, sizeof(root)) != 0)
        return -RF_ENOTFOUND;
    return published->size > 0 ? scribe_must_hold(s, published, err) : 0;
}

static int take_up(struct scribe *s, struct err *err)
{
    struct checkpoint published;
    int rc = read_head(s, err);
    if (rc == 0)
        rc = read_published(s, &published, err);
    if (rc < 0 || !s->has_note)
        return rc;
    s->next = s->covered;
    rc = position(s, err);
    if (rc < 0)
        return rc;
    hold(s, &s->present);
    rc = load_tree(s, &published, err);
    if (rc == -RF_ENOTFOUND)
        return begin_anew(s, err);
    s->is_whole = rc == 0;
    return rc;
}

int scribe_open(const struct scribe_options *options, struct scribe **ret, struct err *err)
{
    struct scribe *s = mem_zalloc(1, sizeof(*s));
    if (s == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    *s = (struct scribe){ .key = options->key, .delay_ms = options->delay_ms, .lock_fd = -1 };
    buf_init(&s->note, HEAD_MAX);
    int rc = folder_make(options->state_dir, "notary", err);
    if (rc == 0)
        rc = segment_folder(options->state_dir, s->journal, err);
    if (rc == 0 &&
        snprintf(s->folder, sizeof(s->folder), "%s/notary", options->state_dir) >= PATH_MAX - 32)
        rc = err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", options->state_dir);
    if (rc == 0)
        rc = lock_take(s, err);
    if (rc == 0)
        rc = store_open(options->directory, &s->store, err);
    if (rc == 0)
        rc = take_up(s, err);
    if (rc == 0)
        rc = meet_past(s, err);
    if (rc < 0) {
        scribe_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void scribe_close(struct scribe *s)
{
    if (s == NULL)
        return;
    scan_close(s->scan);
    store_close(s->store);
    buf_done(&s->note);
    fd_close(&s->lock_fd);
    mem_free(s);
}

void scribe_set_delay(struct scribe *s, int64_t delay_ms)
{
    s->delay_ms = delay_ms;
    s->due_ms = 0; /* looked at again */
}

/* ---- going on ------------------------------------------------------------------------------- */

/* The entry that comes next in s->entry: 1, or 0 when there is none yet. */
static int next_entry(struct scribe *s, struct err *err)
{
    uint64_t offset;
    if (s->has_entry)
        return 1;
    int rc = s->scan == NULL ? position(s, err) : 0;
    if (rc == 0)
        rc = scan_next(s->scan, &s->entry, &offset, err);
    s->has_entry = rc == 1;
    return rc;
}

/* One leaf into the tree. */
static int add_leaf(struct scribe *s, struct err *err)
{
    int rc = store_append(s->store, s->entry.leaf, s->entry.leaf_len, err);
    if (rc == -RF_ETAMPER)
        return over(s, err);
    return rc < 0 ? rc : meet_past(s, err);
}

static int read_on(struct scribe *s, uint64_t committed, int64_t wall_ms, struct err *err)
{
    uint64_t most = store_size(s->store) + LEAVES_A_ROUND;
    if (store_size(s->store) < s->present.size && most > s->present.size)
        most = s->present.size; /* its partial tiles are compared, too */
    s->due_ms = 0;
    while (s->next < committed && store_size(s->store) < most) {
        struct leaf leaf;
        int rc = next_entry(s, err);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            (void)err_set(err, RF_ETAMPER,
                          "the journal has %" PRIu64 " entries, and %" PRIu64 " were committed",
                          s->next, committed);
            return over(s, err);
        }
        if (leaf_read(s->entry.leaf, s->entry.leaf_len, &leaf) < 0) {
            (void)err_set(err, RF_ETAMPER, "entry %" PRIu64 " of the journal is not canonical",
                          s->entry.index);
            return over(s, err);
        }
        int64_t due_ms = (int64_t)s->entry.minute * FRAME_MINUTE_MS + s->delay_ms;
        if (leaf.type != LEAF_NONE && s->delay_ms > 0 && due_ms > wall_ms) {
            s->due_ms = due_ms;
            return 0;
        }
        rc = leaf.type != LEAF_NONE ? add_leaf(s, err) : 0;
        if (rc < 0)
            return rc;
        s->has_entry = false;
        memcpy(s->chain, s->entry.chain, sizeof(s->chain));
        s->next++;
    }
    return 0;
}

static int write_head(struct scribe *s, const char *note, size_t len, struct err *err)
{
    char fresh[PATH_MAX], path[PATH_MAX], line[40 + 2 * DIGEST_LEN], chain[2 * DIGEST_LEN + 1];
    struct buf bytes;
    (void)snprintf(path, sizeof(path), "%.*s/head", PATH_MAX - 16, s->folder);
    (void)snprintf(fresh, sizeof(fresh), "%.*s/head.new", PATH_MAX - 16, s->folder);
    digest_hex(s->chain, sizeof(s->chain), chain);
    int line_len = snprintf(line, sizeof(line), "journal %" PRIu64 " %s\n", s->next, chain);
    buf_init(&bytes, HEAD_MAX);
    int rc = buf_append(&bytes, line, (size_t)line_len);
    if (rc == 0)
        rc = buf_append(&bytes, note, len);
    if (rc < 0)
        rc = err_set(err, RF_ENOMEM, "out of memory");
    else
        rc = folder_place_file(s->folder, fresh, path, buf_at(&bytes), buf_len(&bytes), err);
    buf_done(&bytes);
    return rc;
}

static int sign(struct scribe *s, struct err *err)
{
    char text[CHECKPOINT_TEXT_SIZE];
    struct checkpoint c = { .size = store_size(s->store) };
    struct buf note;
    memcpy(c.origin, s->key->key.name, sizeof(c.origin));
    store_root(s->store, c.root);
    RF_ASSERT(c.size >= s->past && c.size >= s->present.size);
    buf_init(&note, HEAD_MAX);
    size_t len = checkpoint_write(&c, text);
    int rc = note_sign(&note, text, len, s->key, err);
    if (rc == 0)
        rc = write_head(s, (const char *)buf_at(&note), buf_len(&note), err);
    if (rc == 0) {
        buf_done(&s->note);
        s->note = note;
        s->present = c;
        s->past = c.size;
        s->has_note = s->is_whole = true;
        s->covered = s->next;
        return 1;
    }
    buf_done(&note);
    return rc;
}

int scribe_advance(struct scribe *s, uint64_t committed, int64_t wall_ms, struct err *err)
{
    if (s->is_over)
        return err_set(err, RF_ETAMPER, "the log's past cannot be held");
    int rc = read_on(s, committed, wall_ms, err);
    if (rc < 0)
        return rc;
    /* A past that is still ahead: nothing is signed on the way to it, and no partial tile of ours
       is left in a folder that may be newer than we are. */
    if (store_size(s->store) < s->past)
        return 0;
    rc = store_sync(s->store, err);
    if (rc < 0)
        return rc;
    s->is_whole = s->has_note;
    if (s->has_note && store_size(s->store) == s->present.size) {
        s->covered = s->next; /* records only */
        return 0;
    }
    return store_size(s->store) == 0 ? 0 : sign(s, err);
}

const char *scribe_note(const struct scribe *s, size_t *ret_len)
{
    *ret_len = s->note.end - s->note.off;
    return s->is_whole && s->present.size >= s->past ? (const char *)s->note.data + s->note.off
                                                     : NULL;
}

const struct checkpoint *scribe_checkpoint(const struct scribe *s)
{
    return &s->present;
}

uint64_t scribe_next(const struct scribe *s)
{
    return s->next;
}

bool scribe_is_behind(const struct scribe *s, uint64_t *ret_size, uint64_t *ret_past)
{
    *ret_size = store_size(s->store);
    *ret_past = s->past;
    return *ret_size < *ret_past;
}

uint64_t scribe_covered(const struct scribe *s)
{
    return s->covered;
}

int64_t scribe_due_ms(const struct scribe *s)
{
    return s->due_ms;
}

struct tile_source scribe_source(struct scribe *s)
{
    return store_source(s->store);
}

int scribe_publish(struct scribe *s, const void *lines, size_t n, struct err *err)
{
    struct buf bytes;
    buf_init(&bytes, NOTE_MAX);
    int rc = buf_append(&bytes, buf_at(&s->note), buf_len(&s->note));
    if (rc == 0)
        rc = buf_append(&bytes, lines, n);
    if (rc < 0)
        rc = err_set(err, (enum err_code) - rc, "could not make the checkpoint's file");
    else
        rc = store_publish(s->store, buf_at(&bytes), buf_len(&bytes), err);
    if (rc == 0)
        s->published = s->present.size;
    buf_done(&bytes);
    return rc;
}

uint64_t scribe_published_size(const struct scribe *s)
{
    return s->published;
}

void scribe_collect(struct scribe *s, int64_t now_ms)
{
    store_collect(s->store, now_ms, KEEP_PARTIALS_MS);
}

int scribe_remember(struct scribe *s, const char *name, const void *bytes, size_t n,
                    struct err *err)
{
    char fresh[PATH_MAX], path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.*s/%.20s", PATH_MAX - 32, s->folder, name);
    (void)snprintf(fresh, sizeof(fresh), "%.*s/%.20s.new", PATH_MAX - 32, s->folder, name);
    return folder_place_file(s->folder, fresh, path, bytes, n, err);
}
