#include "ledger/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/folder.h"
#include "ledger/logleaf.h"
#include "tlog/bundle.h"

/* Invariants:
 *   bundle holds the last size % 256 entries
 *   files below `synced` are on stable storage; whole tiles above may be
 *   unsynced[] names folders whose names are not flushed yet
 *   met[] names folders that this process has met: their own names are flushed, or in unsynced[];
 *         of any other, whoever made it may have ended before that
 */

enum {
    FOLDER_MODE = 0755,
    FILE_MODE = 0644,
    UNSYNCED_MAX = 32,
    MET_MAX = 64,   /* a ring: one that fell out costs a sync more */
    OLD_MAX = 1024, /* whole tiles whose partial ones wait to be removed */
    BUNDLE_BYTES_MAX = TLOG_TILE_WIDTH * (LOGLEAF_MAX + 2),
};

struct old_partials {
    struct tlog_path whole;
    int64_t since_ms;
};

struct store {
    int fd; /* of the folder */
    char directory[PATH_MAX];
    struct tree_edge edge;
    uint64_t synced;
    struct buf bundle;
    char unsynced[UNSYNCED_MAX][TLOG_PATH_SIZE]; /* relative; "" is the folder itself */
    size_t unsynced_count;
    char met[MET_MAX][TLOG_PATH_SIZE];
    size_t met_count;                 /* so far */
    struct old_partials old[OLD_MAX]; /* a ring: the oldest are forgotten, and stay on disk */
    size_t old_first, old_count;
};

/* ---- folders and files ---------------------------------------------------------------------- */

static int sync_folder(struct store *s, const char *path, struct err *err)
{
    int fd = openat(s->fd, path[0] != '\0' ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (fd < 0)
        return err_sys(err, "could not open folder \"%.200s/%s\"", s->directory, path);
    int synced = fsync(fd);
    if (FAULT("store.folder_sync")) {
        errno = EIO;
        synced = -1;
    }
    if (synced < 0)
        rc = err_sys(err, "could not sync folder \"%.200s/%s\"", s->directory, path);
    fd_close(&fd);
    return rc;
}

static int sync_folders(struct store *s, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->unsynced_count; i++)
        rc = sync_folder(s, s->unsynced[i], err);
    if (rc == 0)
        s->unsynced_count = 0;
    return rc;
}

/* The folder that PATH lies in will be flushed by the next store_sync(). */
static int note_folder(struct store *s, const char *path, struct err *err)
{
    char folder[TLOG_PATH_SIZE] = "";
    const char *end = strrchr(path, '/');
    if (end != NULL)
        memcpy(folder, path, (size_t)(end - path));
    for (size_t i = 0; i < s->unsynced_count; i++)
        if (strcmp(s->unsynced[i], folder) == 0)
            return 0;
    if (s->unsynced_count == UNSYNCED_MAX) {
        int rc = sync_folders(s, err);
        if (rc < 0)
            return rc;
    }
    memcpy(s->unsynced[s->unsynced_count++], folder, sizeof(folder));
    return 0;
}

static bool is_met(const struct store *s, const char *folder)
{
    for (size_t i = 0; i < s->met_count && i < MET_MAX; i++)
        if (strcmp(s->met[i], folder) == 0)
            return true;
    return false;
}

/* Make FOLDER, or meet it. */
static int make_folder(struct store *s, const char folder[TLOG_PATH_SIZE], struct err *err)
{
    if (is_met(s, folder))
        return 0;
    if (mkdirat(s->fd, folder, FOLDER_MODE) < 0 && errno != EEXIST)
        return err_sys(err, "could not make folder \"%.200s/%s\"", s->directory, folder);
    if (fchmodat(s->fd, folder, FOLDER_MODE, 0) < 0) /* whatever the umask is */
        return err_sys(err, "could not open up folder \"%.200s/%s\"", s->directory, folder);
    int rc = note_folder(s, folder, err);
    if (rc == 0)
        memcpy(s->met[s->met_count++ % MET_MAX], folder, TLOG_PATH_SIZE);
    return rc;
}

/* The folders above PATH. */
static int make_folders(struct store *s, const char *path, struct err *err)
{
    int rc = 0;
    for (const char *end = strchr(path, '/'); rc == 0 && end != NULL; end = strchr(end + 1, '/')) {
        char folder[TLOG_PATH_SIZE] = "";
        memcpy(folder, path, (size_t)(end - path));
        rc = make_folder(s, folder, err);
    }
    return rc;
}

static int write_all(int fd, const void *bytes, size_t n)
{
    if (FAULT("store.write")) { /* as a full disk does: a part is written, then no more */
        int rc = fd_write_all(fd, bytes, n / 2);
        errno = ENOSPC;
        return rc < 0 ? rc : -1;
    }
    return fd_write_all(fd, bytes, n);
}

/* PATH has these bytes, on stable storage but for its name. */
static int place_file(struct store *s, const char *path, const void *bytes, size_t n,
                      struct err *err)
{
    char fresh[TLOG_PATH_SIZE + 8];
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    int rc = 0;
    int fd = openat(s->fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return err_sys(err, "could not create \"%.200s/%s\"", s->directory, fresh);
    int synced = 0;
    if (fchmod(fd, FILE_MODE) < 0 || write_all(fd, bytes, n) < 0)
        rc = err_sys(err, "could not write \"%.200s/%s\"", s->directory, fresh);
    else if ((synced = fsync(fd)) < 0 || FAULT("store.sync")) {
        errno = synced < 0 ? errno : EIO;
        rc = err_sys(err, "could not sync \"%.200s/%s\"", s->directory, fresh);
    } else if (renameat(s->fd, fresh, s->fd, path) < 0)
        rc = err_sys(err, "could not rename \"%.200s/%s\"", s->directory, fresh);
    fd_close(&fd);
    return rc < 0 ? rc : note_folder(s, path, err);
}

/* The bytes of PATH, at most MAX: 0, -RF_ENOTFOUND without a text when it is not there. */
static int read_file(struct store *s, const char *path, void *bytes, size_t max, size_t *ret_n,
                     struct err *err)
{
    int rc = 0, fd = openat(s->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -RF_ENOTFOUND;
    if (fd < 0)
        return err_sys(err, "could not open \"%.200s/%s\"", s->directory, path);
    size_t got = 0;
    while (got < max) {
        ssize_t n = pread(fd, (uint8_t *)bytes + got, max - got, (off_t)got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(err, "could not read \"%.200s/%s\"", s->directory, path);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    fd_close(&fd);
    *ret_n = got;
    return rc;
}

/* Write PATH, or see that it holds the very same. */
static int ensure_file(struct store *s, const struct tlog_path *path, const void *bytes, size_t n,
                       struct err *err)
{
    char name[TLOG_PATH_SIZE];
    size_t got;
    tlog_path_write(path, name);
    int rc = make_folders(s, name, err);
    if (rc < 0)
        return rc;
    uint8_t *there = mem_zalloc(n + 1, 1);
    if (there == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    rc = read_file(s, name, there, n + 1, &got, err);
    bool same = rc == 0 && got == n && memcmp(there, bytes, n) == 0;
    mem_free(there);
    if (rc == -RF_ENOTFOUND)
        return place_file(s, name, bytes, n, err);
    if (rc < 0 || same) /* its name may not be flushed: a crash lies between */
        return rc < 0 ? rc : note_folder(s, name, err);
    (void)err_set(err, RF_ETAMPER, "\"%.200s/%s\" is not what the journal makes of it",
                  s->directory, name);
    err_hint(err, "the folder was changed, or belongs to another log: nothing more is signed; copy "
                  "it away, find out why, and let the log be made again in an empty folder");
    return -RF_ETAMPER;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int refuse_second(const char *directory, struct err *err)
{
    if (errno != EWOULDBLOCK)
        return err_sys(err, "could not lock folder \"%.200s\"", directory);
    (void)err_set(err, RF_EUNAVAIL, "\"%.200s\" is written by another process", directory);
    err_hint(err, "each log has a folder of its own; is a second gateway running with this one?");
    return -RF_EUNAVAIL;
}

int store_open(const char *directory, struct store **ret, struct err *err)
{
    struct store *s = mem_zalloc(1, sizeof(*s));
    int rc = 0;
    if (s == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    s->fd = -1;
    buf_init(&s->bundle, BUNDLE_BYTES_MAX);
    tree_edge_init(&s->edge);
    if (snprintf(s->directory, sizeof(s->directory), "%s", directory) >= PATH_MAX)
        rc = err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", directory);
    else if (mkdir(directory, FOLDER_MODE) < 0 && errno != EEXIST)
        rc = err_sys(err, "could not make folder \"%.200s\"", directory);
    else if ((rc = folder_sync_above(s->directory, err)) < 0)
        ;
    else if ((s->fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = err_sys(err, "could not open folder \"%.200s\"", directory);
    else if (fchmod(s->fd, FOLDER_MODE) < 0)
        rc = err_sys(err, "could not open up folder \"%.200s\"", directory);
    else if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
        rc = refuse_second(directory, err);
    if (rc < 0) {
        store_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    fd_close(&s->fd);
    buf_done(&s->bundle);
    mem_free(s);
}

static void store_empty(struct store *s)
{
    tree_edge_init(&s->edge);
    buf_clear(&s->bundle);
    s->synced = 0;
}

static int missing(struct store *s, const struct tlog_path *path, struct err *err)
{
    char name[TLOG_PATH_SIZE];
    tlog_path_write(path, name);
    return err_set(err, RF_ENOTFOUND, "\"%.200s/%s\" is missing or damaged", s->directory, name);
}

/* The last, incomplete tile of LEVEL. */
static int load_level(struct store *s, uint64_t size, unsigned level, struct err *err)
{
    uint64_t count = tlog_level_count(size, level);
    struct tlog_path path = { .file = TLOG_FILE_TILE,
                              .level = level,
                              .index = count / TLOG_TILE_WIDTH,
                              .width = (unsigned)(count % TLOG_TILE_WIDTH) };
    char name[TLOG_PATH_SIZE];
    size_t n, wanted = path.width * (size_t)TLOG_HASH_LEN;
    s->edge.width[level] = path.width;
    if (path.width == 0)
        return 0;
    tlog_path_write(&path, name);
    int rc = read_file(s, name, s->edge.hash[level], sizeof(s->edge.hash[level]), &n, err);
    return rc == -RF_ENOTFOUND || (rc == 0 && n != wanted) ? missing(s, &path, err) : rc;
}

/* The entries behind the last whole bundle, and do they have the hashes of the tile? */
static int load_bundle(struct store *s, uint64_t size, struct err *err)
{
    struct bundle_entry entries[TLOG_TILE_WIDTH];
    struct tlog_path path = { .file = TLOG_FILE_ENTRIES,
                              .index = size / TLOG_TILE_WIDTH,
                              .width = (unsigned)(size % TLOG_TILE_WIDTH) };
    char name[TLOG_PATH_SIZE];
    uint8_t hash[TLOG_HASH_LEN];
    size_t n;
    buf_clear(&s->bundle);
    if (path.width == 0)
        return 0;
    tlog_path_write(&path, name);
    uint8_t *to = buf_reserve(&s->bundle, BUNDLE_BYTES_MAX);
    if (to == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = read_file(s, name, to, BUNDLE_BYTES_MAX, &n, err);
    if (rc < 0)
        return rc == -RF_ENOTFOUND ? missing(s, &path, err) : rc;
    buf_grew(&s->bundle, n);
    if (bundle_read(buf_at(&s->bundle), n, path.width, entries) < 0)
        return missing(s, &path, err);
    for (unsigned i = 0; i < path.width; i++) {
        tlog_leaf_hash(entries[i].bytes, entries[i].len, hash);
        if (memcmp(hash, s->edge.hash[0][i], sizeof(hash)) != 0)
            return missing(s, &path, err);
    }
    return 0;
}

int store_load(struct store *s, uint64_t size, struct err *err)
{
    int rc = 0;
    store_empty(s);
    for (unsigned level = 0; rc == 0 && level < TREE_LEVELS; level++)
        rc = load_level(s, size, level, err);
    if (rc == 0)
        rc = load_bundle(s, size, err);
    if (rc < 0) {
        store_empty(s);
        return rc;
    }
    s->edge.size = s->synced = size;
    return 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void remember_old(struct store *s, const struct tlog_path *whole)
{
    if (s->old_count == OLD_MAX) {
        s->old_first = (s->old_first + 1) % OLD_MAX;
        s->old_count--;
    }
    s->old[(s->old_first + s->old_count++) % OLD_MAX] =
        (struct old_partials){ .whole = *whole, .since_ms = clock_mono_ms() };
}

struct tile_writer {
    struct store *store;
    struct err *err;
};

static int write_tile(void *context, unsigned level, uint64_t index,
                      const uint8_t hashes[TLOG_TILE_WIDTH][TLOG_HASH_LEN])
{
    const struct tile_writer *w = context;
    const struct tlog_path path = {
        .file = TLOG_FILE_TILE, .level = level, .index = index, .width = TLOG_TILE_WIDTH
    };
    remember_old(w->store, &path);
    return ensure_file(w->store, &path, hashes, TLOG_TILE_WIDTH * (size_t)TLOG_HASH_LEN, w->err);
}

int store_append(struct store *s, const void *leaf, size_t n, struct err *err)
{
    struct tile_writer writer = { s, err };
    uint8_t hash[TLOG_HASH_LEN];
    tlog_leaf_hash(leaf, n, hash);
    int rc = bundle_entry_write(&s->bundle, leaf, n);
    if (rc < 0)
        return err_set(err, (enum err_code) - rc, "could not put leaf %llu into its bundle",
                       (unsigned long long)s->edge.size);
    if ((s->edge.size + 1) % TLOG_TILE_WIDTH == 0) { /* before its hashes: bundles come first */
        const struct tlog_path path = { .file = TLOG_FILE_ENTRIES,
                                        .index = s->edge.size / TLOG_TILE_WIDTH,
                                        .width = TLOG_TILE_WIDTH };
        rc = ensure_file(s, &path, buf_at(&s->bundle), buf_len(&s->bundle), err);
        if (rc < 0)
            return rc;
        remember_old(s, &path);
        buf_clear(&s->bundle);
    }
    return tree_edge_add(&s->edge, hash, write_tile, &writer);
}

/* The incomplete last bundle and tiles, where they grew. */
static int write_partials(struct store *s, struct err *err)
{
    struct tlog_path path = { .file = TLOG_FILE_ENTRIES,
                              .index = s->edge.size / TLOG_TILE_WIDTH,
                              .width = (unsigned)(s->edge.size % TLOG_TILE_WIDTH) };
    int rc = 0;
    if (path.width > 0)
        rc = ensure_file(s, &path, buf_at(&s->bundle), buf_len(&s->bundle), err);
    for (unsigned level = 0; rc == 0 && level < TREE_LEVELS; level++) {
        uint64_t count = tlog_level_count(s->edge.size, level);
        path = (struct tlog_path){ .file = TLOG_FILE_TILE,
                                   .level = level,
                                   .index = count / TLOG_TILE_WIDTH,
                                   .width = s->edge.width[level] };
        if (path.width > 0 && count != tlog_level_count(s->synced, level))
            rc =
                ensure_file(s, &path, s->edge.hash[level], path.width * (size_t)TLOG_HASH_LEN, err);
    }
    return rc;
}

int store_sync(struct store *s, struct err *err)
{
    if (s->edge.size == s->synced)
        return 0;
    int rc = write_partials(s, err);
    if (rc == 0)
        rc = sync_folders(s, err);
    if (rc == 0)
        s->synced = s->edge.size;
    return rc;
}

uint64_t store_size(const struct store *s)
{
    return s->edge.size;
}

void store_root(const struct store *s, uint8_t ret[TLOG_HASH_LEN])
{
    tree_edge_root(&s->edge, ret);
}

static int read_tile(void *context, unsigned level, uint64_t index, unsigned width,
                     uint8_t ret[TLOG_TILE_WIDTH][TLOG_HASH_LEN], struct err *err)
{
    struct store *s = context;
    const struct tlog_path path = {
        .file = TLOG_FILE_TILE, .level = level, .index = index, .width = width
    };
    char name[TLOG_PATH_SIZE];
    size_t n;
    tlog_path_write(&path, name);
    int rc = read_file(s, name, ret, TLOG_TILE_WIDTH * (size_t)TLOG_HASH_LEN, &n, err);
    return rc == -RF_ENOTFOUND || (rc == 0 && n != width * (size_t)TLOG_HASH_LEN)
               ? missing(s, &path, err)
               : rc;
}

struct tile_source store_source(struct store *s)
{
    return (struct tile_source){ .tile = read_tile, .context = s };
}

int store_publish(struct store *s, const void *note, size_t n, struct err *err)
{
    int rc = place_file(s, "checkpoint", note, n, err);
    return rc < 0 ? rc : sync_folders(s, err);
}

int store_published(struct store *s, struct buf *to, struct err *err)
{
    enum { CHECKPOINT_FILE_MAX = 128 * 1024 };
    size_t n = 0;
    uint8_t *room = buf_reserve(to, CHECKPOINT_FILE_MAX);
    if (room == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = read_file(s, "checkpoint", room, CHECKPOINT_FILE_MAX, &n, err);
    if (rc == 0)
        buf_grew(to, n);
    return rc == -RF_ENOTFOUND ? 0 : rc;
}

void store_collect(struct store *s, int64_t now_ms, int64_t keep_ms)
{
    char whole[TLOG_PATH_SIZE], folder[TLOG_PATH_SIZE + 4], name[TLOG_PATH_SIZE + 16];
    for (; s->old_count > 0 && s->old[s->old_first].since_ms <= now_ms - keep_ms; s->old_count--) {
        tlog_path_write(&s->old[s->old_first].whole, whole);
        (void)snprintf(folder, sizeof(folder), "%s.p", whole);
        for (unsigned width = 1; width < TLOG_TILE_WIDTH; width++) {
            (void)snprintf(name, sizeof(name), "%s/%u", folder, width);
            (void)unlinkat(s->fd, name, 0);
            (void)snprintf(name, sizeof(name), "%s/%u.new", folder, width); /* of a crash */
            (void)unlinkat(s->fd, name, 0);
        }
        (void)unlinkat(s->fd, folder, AT_REMOVEDIR);
        s->old_first = (s->old_first + 1) % OLD_MAX;
    }
}
