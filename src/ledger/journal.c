#include "ledger/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/daykey.h"
#include "ledger/folder.h"
#include "ledger/frame.h"
#include "ledger/leaf.h"
#include "ledger/mirror.h"
#include "ledger/scan.h"
#include "ledger/segment.h"

/* Invariants:
 *   dead            => no byte is written and no sync is tried, for ever
 *   batch empty     => index and chain are those of the disk
 *   a batch lies whole in one segment
 *   with a copy: both have the batch on stable storage before it is acknowledged
 *   minute never decreases, also over a restart: entries keep their order when the clock does not
 *
 * Why death: after a failed fsync the kernel may have dropped the dirty pages and marked them
 * clean; a second fsync would then report success for bytes that are on no disk. */

enum { CHANCES = 32 };

/* What an entry needs of chance. */
struct entry_chance {
    uint8_t id[LEAF_ID_LEN], salt[SEAL_SALT_LEN], nonce[SEAL_NONCE_LEN];
};

struct journal {
    char folder[PATH_MAX];
    struct frame_header header; /* of the present segment; its chain and first belong to that */
    uint8_t chain[DIGEST_LEN];  /* after the last entry of the batch */
    uint64_t index;             /* of the next entry */
    uint64_t batch_first;       /* index of the batch's first entry */
    uint8_t batch_chain[DIGEST_LEN]; /* before it */
    uint32_t minute;
    uint64_t offset; /* end of what is in the present segment */
    uint64_t segment_max;
    int lock_fd, fd;
    struct mirror *mirror; /* NULL: there is no copy */
    struct daykey_store *keys;
    struct buf batch, leaf, detail, sealed;
    struct entry_chance
        chances[CHANCES]; /* drawn in one system call; each is used once, and wiped */
    unsigned chances_left;
    struct dedupe dedupe;
    bool is_dead;
    struct err death;
};

static int die(struct journal *j, struct err *err)
{
    struct err reason = *err; /* ERR may be what we fill */
    j->is_dead = true;
    j->death = reason;
    buf_clear(&j->batch); /* a batch that stays full would stop the reading of everybody */
    return -reason.code;
}

static int refuse(const struct journal *j, struct err *err)
{
    if (err != NULL)
        *err = j->death;
    return -j->death.code;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* A hand-over between two starts of the daemon may overlap a little, so the lock is waited for. */
static int lock_take(struct journal *j, int wait_ms, struct err *err)
{
    char path[PATH_MAX];
    int64_t until = clock_mono_ms() + wait_ms;
    (void)snprintf(path, sizeof(path), "%.*s/lock", PATH_MAX - 48, j->folder);
    j->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (j->lock_fd < 0)
        return err_sys(err, "could not open \"%s\"", path);
    while (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_sys(err, "could not lock \"%s\"", path);
        if (clock_mono_ms() >= until) {
            (void)err_set(err, RF_EUNAVAIL, "journal \"%.200s\" is in use by another process",
                          j->folder);
            err_hint(err, "is a second gateway running with the same state folder?");
            return -RF_EUNAVAIL;
        }
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

static int folders_make(const char *state_dir, struct err *err)
{
    char keys[PATH_MAX];
    if (mkdir(state_dir, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "could not make folder \"%s\"", state_dir);
    int n = snprintf(keys, sizeof(keys), "%s/keys", state_dir);
    if (n < 0 || n >= PATH_MAX)
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", state_dir);
    int rc = folder_make(state_dir, "journal", err);
    if (rc == 0)
        rc = folder_make(state_dir, "keys", err);
    return rc == 0 ? folder_make(keys, "day", err) : rc;
}

/* A new segment that begins with the entry of INDEX and CHAIN. Everything of it is durable before
   it becomes the present one. */
static int segment_begin(struct journal *j, uint64_t index, const uint8_t chain[DIGEST_LEN],
                         struct err *err)
{
    char fresh[PATH_MAX], path[PATH_MAX];
    struct frame_header header = j->header;
    struct buf bytes;
    int fd = -1;
    header.first = index;
    memcpy(header.chain, chain, sizeof(header.chain));
    segment_path(j->folder, index, ".new", fresh);
    segment_path(j->folder, index, "", path);
    buf_init(&bytes, FRAME_HEADER_MAX);
    int rc = frame_header_write(&bytes, &header);
    if (rc < 0) {
        rc = err_set(err, (enum err_code) - rc, "could not make a segment's header");
        goto out;
    }
    if (FAULT("journal.rotate")) {
        errno = ENOSPC;
        rc = err_sys(err, "could not create \"%s\"", path);
        goto out;
    }
    rc = folder_place_file(j->folder, fresh, path, buf_at(&bytes), buf_len(&bytes), err);
    if (rc == 0 && j->mirror != NULL)
        rc = mirror_begin(j->mirror, index, buf_at(&bytes), buf_len(&bytes), err);
    if (rc < 0)
        goto out;
    fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        rc = err_sys(err, "could not open \"%s\"", path);
        goto out;
    }
    fd_close(&j->fd);
    j->fd = fd;
    fd = -1;
    j->header = header;
    j->offset = buf_len(&bytes);
out:
    fd_close(&fd);
    buf_done(&bytes);
    return rc;
}

static int journal_begin(struct journal *j, const char *name, struct err *err)
{
    memcpy(j->header.name, name, strlen(name) + 1);
    randombytes_buf(j->header.journal_id, sizeof(j->header.journal_id));
    frame_first_chain(j->header.journal_id, name, j->chain);
    return segment_begin(j, 0, j->chain, err);
}

/* Sync what the last process left in the page cache, then forget it: after a failed sync the cache
   may hold, as clean, what the disk never got. What is read from here on is what the disk has. */
static int last_segment_settle(struct journal *j, uint64_t first, struct err *err)
{
    char path[PATH_MAX];
    segment_path(j->folder, first, "", path);
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not open \"%s\"", path);
    j->fd = fd;
    int synced = fdatasync(fd);
    if (FAULT("journal.settle")) {
        errno = EIO;
        synced = -1;
    }
    if (synced < 0)
        return err_sys(err, "could not sync \"%s\"", path);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* a wish; failure changes nothing */
    return 0;
}

static int tail_cut(struct journal *j, const struct scan_state *at, struct journal_found *found,
                    struct err *err)
{
    if (at->torn == 0)
        return 0;
    if (ftruncate(j->fd, (off_t)at->offset) < 0 || fsync(j->fd) < 0)
        return err_sys(err, "could not cut the torn tail of \"%s\"", at->path);
    found->cut_bytes = at->torn;
    found->cut_at = at->offset;
    (void)snprintf(found->cut_path, sizeof(found->cut_path), "%s", at->path);
    return 0;
}

/* Older segments are checked by their headers only: a scan that opens them and stops. */
static int headers_check(const char *folder, const struct segment_list *list,
                         const struct frame_header *header, struct err *err)
{
    for (size_t i = 0; i + 2 < list->count; i++) {
        struct scan *scan = NULL;
        int rc = scan_open(folder, list->first[i], &scan, err);
        if (rc < 0)
            return rc;
        const struct scan_state *at = scan_state(scan);
        if (strcmp(at->header.name, header->name) != 0 ||
            memcmp(at->header.journal_id, header->journal_id, sizeof(header->journal_id)) != 0)
            rc = err_set(err, RF_ETAMPER, "journal is damaged: \"%.200s\" is of another journal",
                         at->path);
        scan_close(scan);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int name_check(const struct journal *j, const char *has, const char *name, struct err *err)
{
    if (strcmp(has, name) == 0)
        return 0;
    (void)err_set(err, RF_ECONFIG, "journal \"%.200s\" belongs to gateway \"%s\", not \"%s\"",
                  j->folder, has, name);
    err_hint(err, "a gateway keeps its name for life; give the new one a state folder of its own");
    return -RF_ECONFIG;
}

/* Read all entries of the last two segments; *J continues after the last one. Nothing is changed
   before everything was found good. */
static int replay(struct journal *j, const char *name, const struct segment_list *list,
                  struct journal_found *found, struct err *err)
{
    struct scan *scan = NULL;
    struct frame_entry entry;
    uint64_t offset;
    int rc = scan_open(j->folder, list->first[list->count > 1 ? list->count - 2 : 0], &scan, err);
    if (rc < 0)
        return rc;
    const struct scan_state *at = scan_state(scan);
    rc = name_check(j, at->header.name, name, err);
    if (rc == 0)
        rc = headers_check(j->folder, list, &at->header, err);
    if (rc < 0)
        goto out;
    while ((rc = scan_next(scan, &entry, &offset, err)) == 1)
        if (entry.instance != 0)
            dedupe_append(&j->dedupe, entry.instance, entry.seq, entry.index);
    if (rc == 0)
        rc = tail_cut(j, at, found, err);
    if (rc < 0)
        goto out;
    j->header = at->header;
    memcpy(j->chain, at->chain, sizeof(j->chain));
    j->index = found->entries = at->index;
    j->minute = at->minute;
    j->offset = at->offset;
    found->checked = at->segments;
    dedupe_commit(&j->dedupe);
out:
    scan_close(scan);
    return rc;
}

static int recover(struct journal *j, const char *name, struct journal_found *found,
                   struct err *err)
{
    struct segment_list list;
    int rc = segment_list_read(j->folder, true, &list, err);
    if (rc == 0 && list.count == 0) {
        rc = journal_begin(j, name, err);
        goto out;
    }
    if (rc == 0)
        rc = last_segment_settle(j, list.first[list.count - 1], err);
    if (rc == 0)
        rc = replay(j, name, &list, found, err);
    if (rc == 0 && j->mirror != NULL)
        rc = mirror_resume(j->mirror, list.first[list.count - 1], err);
    if (rc == 0)
        rc = folder_sync(j->folder, err);
out:
    segment_list_done(&list);
    return rc;
}

int journal_open(const struct journal_options *options, struct journal **ret,
                 struct journal_found *ret_found, struct err *err)
{
    struct journal_found found = { 0 };
    uint64_t copy_cut = 0;
    size_t name_len = strlen(options->name);
    if (name_len == 0 || name_len > FRAME_NAME_MAX)
        return err_set(err, RF_EINVAL, "name of the gateway has %zu bytes", name_len);
    struct journal *j = mem_zalloc(1, sizeof(*j));
    if (j == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    j->lock_fd = j->fd = -1;
    j->segment_max = options->segment_max > 0 ? options->segment_max : JOURNAL_SEGMENT_MAX;
    dedupe_init(&j->dedupe);
    buf_init(&j->batch, JOURNAL_BATCH_MAX + FRAME_ENTRY_MAX);
    buf_init(&j->leaf, LEAF_MAX);
    buf_init(&j->detail, LEAF_DETAIL_MAX);
    buf_init(&j->sealed, FRAME_LENGTH_MAX);
    int rc = digest_init(err);
    if (rc == 0 && FAULT("journal.open")) {
        errno = EIO;
        rc = err_sys(err, "could not open journal of \"%s\"", options->name);
    }
    if (rc == 0)
        rc = segment_folder(options->state_dir, j->folder, err);
    if (rc == 0)
        rc = folders_make(options->state_dir, err);
    if (rc == 0)
        rc = lock_take(j, options->lock_wait_ms, err);
    if (rc == 0)
        rc = daykey_open(options->state_dir, &j->keys, err);
    if (rc == 0 && options->copy_dir != NULL)
        rc = mirror_open(options->copy_dir, j->folder, options->name, &j->mirror, &copy_cut, err);
    if (rc == 0)
        rc = recover(j, options->name, &found, err);
    if (rc == 0 && copy_cut > 0) { /* before our own look */
        found.cut_bytes = copy_cut;
        found.cut_at = j->offset;
        segment_path(j->folder, j->header.first, "", found.cut_path);
    }
    if (rc < 0) {
        journal_close(j);
        return rc;
    }
    *ret = j;
    *ret_found = found;
    return 0;
}

void journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    fd_close(&j->fd);
    fd_close(&j->lock_fd);
    mirror_close(j->mirror);
    daykey_close(j->keys);
    buf_done(&j->batch);
    buf_done(&j->leaf);
    buf_wipe_done(&j->detail);
    buf_done(&j->sealed);
    mem_free_secret(j, sizeof(*j));
}

/* ---- writing -------------------------------------------------------------------------------- */

/* What stands in the open part: a record of the journal's own, or a leaf of the public log. */
struct open_part {
    const struct record *published;
    struct logleaf *leaf;
};

static int open_part_write(struct journal *j, const struct open_part *part, uint32_t minute,
                           const struct entry_chance *chance, const uint8_t commitment[DIGEST_LEN])
{
    if (part->leaf == NULL)
        return leaf_write(&j->leaf, part->published, minute, chance->id, commitment);
    part->leaf->minute = minute;
    memcpy(part->leaf->id, chance->id, sizeof(part->leaf->id));
    memcpy(part->leaf->commitment, commitment, DIGEST_LEN);
    return logleaf_write(&j->leaf, part->leaf);
}

/* Fill j->leaf and j->sealed; j->detail holds the private part. */
static int parts_make(struct journal *j, const struct open_part *part, uint32_t minute,
                      const uint8_t *key)
{
    uint8_t commitment[DIGEST_LEN];
    if (j->chances_left == 0) {
        randombytes_buf(j->chances, sizeof(j->chances));
        j->chances_left = CHANCES;
    }
    struct entry_chance chance = j->chances[--j->chances_left];
    sodium_memzero(&j->chances[j->chances_left], sizeof(chance));
    buf_clear(&j->leaf);
    buf_clear(&j->sealed);
    seal_commitment(chance.salt, buf_at(&j->detail), buf_len(&j->detail), commitment);
    int rc = open_part_write(j, part, minute, &chance, commitment);
    if (rc < 0)
        return rc; /* that chance is lost: nothing of it was written */
    const struct seal_context context = { .index = j->index,
                                          .name = j->header.name,
                                          .leaf = buf_at(&j->leaf),
                                          .leaf_len = buf_len(&j->leaf) };
    rc = seal_close(&j->sealed, &context, key, chance.nonce, chance.salt, buf_at(&j->detail),
                    buf_len(&j->detail));
    sodium_memzero(&chance, sizeof(chance));
    return rc;
}

uint32_t journal_minute(const struct journal *j, int64_t now_ms)
{
    int64_t minute = now_ms < 0 ? 0 : now_ms / FRAME_MINUTE_MS;
    if (minute > UINT32_MAX)
        minute = UINT32_MAX;
    return minute > j->minute ? (uint32_t)minute : j->minute;
}

/* One more entry in the batch; j->detail holds its private part. */
static int entry_append(struct journal *j, const struct open_part *part, uint64_t instance,
                        uint64_t seq, int64_t now_ms, struct err *err)
{
    struct err own, *why = err != NULL ? err : &own;
    const uint8_t *key, *key_id;
    uint32_t minute = journal_minute(j, now_ms);
    int rc = daykey_make(j->keys, minute, &key, &key_id, why);
    if (rc < 0)
        return die(j, why);
    rc = parts_make(j, part, minute, key);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not make an entry");
    struct frame_entry entry = { .index = j->index,
                                 .minute = minute,
                                 .instance = instance,
                                 .seq = seq,
                                 .leaf = buf_at(&j->leaf),
                                 .leaf_len = buf_len(&j->leaf),
                                 .sealed = buf_at(&j->sealed),
                                 .sealed_len = buf_len(&j->sealed) };
    memcpy(entry.key_id, key_id, sizeof(entry.key_id));
    if (buf_len(&j->batch) == 0) {
        j->batch_first = j->index;
        memcpy(j->batch_chain, j->chain, sizeof(j->batch_chain));
    }
    rc = frame_entry_write(&j->batch, &entry, j->chain);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not make an entry");
    j->index++;
    j->minute = minute;
    if (instance != 0)
        dedupe_append(&j->dedupe, instance, seq, entry.index);
    return 0;
}

int journal_append(struct journal *j, const struct policy *policy, const struct record *said,
                   uint64_t instance, uint64_t seq, int64_t now_ms, struct err *err)
{
    struct record published;
    if (j->is_dead)
        return refuse(j, err);
    buf_clear(&j->detail);
    leaf_publish(policy, said, &published);
    int rc = leaf_detail_write(&j->detail, said, &published);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not make an entry");
    const struct open_part part = { .published = &published };
    return entry_append(j, &part, instance, seq, now_ms, err);
}

int journal_append_leaf(struct journal *j, struct logleaf *leaf, const void *detail, size_t len,
                        uint64_t instance, uint64_t seq, int64_t now_ms, struct err *err)
{
    if (j->is_dead)
        return refuse(j, err);
    buf_clear(&j->detail);
    int rc = buf_append(&j->detail, detail, len);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not make an entry");
    const struct open_part part = { .leaf = leaf };
    return entry_append(j, &part, instance, seq, now_ms, err);
}

/* One write. A short one is a failure too: on a regular file it means a full disk or worse. */
static int batch_write(struct journal *j, struct err *err)
{
    size_t len = buf_len(&j->batch);
    bool fails = FAULT("journal.write"); /* as a full disk does: a part is written, then no more */
    ssize_t n;
    do
        n = pwrite(j->fd, buf_at(&j->batch), fails ? len / 2 : len, (off_t)j->offset);
    while (n < 0 && errno == EINTR);
    if (fails) {
        errno = ENOSPC;
        n = -1;
    }
    if (n < 0)
        return err_sys(err, "could not write the journal");
    if ((size_t)n < len)
        return err_set(err, RF_EDISKFULL, "could not write the journal: %zd of %zu bytes", n, len);
    return 0;
}

static int batch_sync(struct journal *j, struct err *err)
{
    int rc = fdatasync(j->fd);
    if (FAULT("journal.sync")) {
        errno = EIO;
        rc = -1;
    }
    return rc < 0 ? err_sys(err, "could not sync the journal") : 0;
}

int journal_commit(struct journal *j, struct err *err)
{
    struct err own, *why = err != NULL ? err : &own;
    int rc = 0;
    if (j->is_dead)
        return refuse(j, err);
    size_t len = buf_len(&j->batch);
    if (len == 0)
        return 0;
    if (j->offset + len > j->segment_max && j->header.first != j->batch_first)
        rc = segment_begin(j, j->batch_first, j->batch_chain, why);
    if (rc == 0)
        rc = batch_write(j, why);
    if (rc == 0 && j->mirror != NULL)
        rc = mirror_write(j->mirror, buf_at(&j->batch), len, j->offset, why);
    if (rc == 0)
        rc = batch_sync(j, why);
    if (rc == 0 && j->mirror != NULL)
        rc = mirror_sync(j->mirror, why);
    if (rc < 0)
        return die(j, why);
    j->offset += len;
    buf_clear(&j->batch);
    dedupe_commit(&j->dedupe);
    return 0;
}

size_t journal_pending(const struct journal *j)
{
    return buf_len(&j->batch);
}

uint64_t journal_next_index(const struct journal *j)
{
    return j->index;
}

const struct err *journal_death(const struct journal *j)
{
    return j->is_dead ? &j->death : NULL;
}

void journal_chain(const struct journal *j, uint8_t ret[DIGEST_LEN])
{
    memcpy(ret, j->chain, DIGEST_LEN);
}

const char *journal_folder(const struct journal *j)
{
    return j->folder;
}

struct daykey_store *journal_keys(struct journal *j)
{
    return j->keys;
}

struct dedupe *journal_dedupe(struct journal *j)
{
    return &j->dedupe;
}

bool journal_keys_locked(const struct journal *j)
{
    return daykey_is_locked(j->keys);
}
