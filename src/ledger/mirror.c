#include "ledger/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "ledger/folder.h"
#include "ledger/scan.h"
#include "ledger/segment.h"

/* Both folders get the same bytes in the same order, and a batch is acknowledged when both have it
 * on stable storage. So after a crash what is whole in one is a beginning of what is whole in the
 * other, and whatever either has beyond that was written and not acknowledged: keeping it is right,
 * as it is with one folder. Of a segment with a later one behind it only length and header are
 * compared, of the last two all bytes; `ringfence log check` reads the rest. */

enum { CHUNK = 256 * 1024 };

struct mirror {
    char folder[PATH_MAX];
    int lock_fd, fd;
};

/* What is whole in a folder: entries of its segments up to LEN bytes of the last one. */
struct side {
    const char *folder;
    struct segment_list list;
    uint64_t len, torn;
};

/* ---- looking -------------------------------------------------------------------------------- */

static int open_of(const struct side *s, size_t i, int flags, char path[PATH_MAX], int *ret,
                   struct err *err)
{
    segment_path(s->folder, s->list.first[i], "", path);
    *ret = open(path, flags | O_NOFOLLOW | O_CLOEXEC);
    return *ret < 0 ? err_sys(err, "could not open \"%s\"", path) : 0;
}

/* What is read from here on is what the disk has (journal.c, last_segment_settle()). */
static int settle(const struct side *s, struct err *err)
{
    char path[PATH_MAX];
    int fd = -1, rc = open_of(s, s->list.count - 1, O_WRONLY, path, &fd, err);
    if (rc == 0 && fdatasync(fd) < 0)
        rc = err_sys(err, "could not sync \"%s\"", path);
    if (rc == 0)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* a wish */
    fd_close(&fd);
    return rc < 0 ? rc : folder_sync(s->folder, err);
}

static int side_read(struct side *s, const char *name, struct err *err)
{
    struct scan *scan = NULL;
    struct frame_entry entry;
    uint64_t offset;
    int rc = segment_list_read(s->folder, true, &s->list, err);
    if (rc < 0 || s->list.count == 0)
        return rc;
    rc = settle(s, err);
    if (rc < 0)
        return rc;
    rc = scan_open(s->folder, s->list.first[s->list.count > 1 ? s->list.count - 2 : 0], &scan, err);
    if (rc < 0)
        return rc;
    const struct scan_state *at = scan_state(scan);
    if (strcmp(at->header.name, name) != 0) {
        rc = err_set(err, RF_ECONFIG, "journal \"%.200s\" belongs to gateway \"%s\", not \"%s\"",
                     s->folder, at->header.name, name);
        err_hint(err, "a gateway keeps its name for life, and so does the copy of its journal");
    }
    while (rc >= 0 && (rc = scan_next(scan, &entry, &offset, err)) == 1)
        continue;
    s->len = at->offset;
    s->torn = at->torn;
    scan_close(scan);
    return rc;
}

static int differ(const struct side *a, const struct side *b, uint64_t first, uint64_t offset,
                  struct err *err)
{
    (void)err_set(err, RF_ETAMPER,
                  "journal \"%.150s\" and its copy \"%.150s\" differ in segment %020" PRIu64
                  " at offset %" PRIu64,
                  a->folder, b->folder, first, offset);
    err_hint(err, "copy both away, find out with \"ringfence log check\" which of them is right, "
                  "and move the other one away: it is made again");
    return -RF_ETAMPER;
}

/* Up to N bytes, fewer only at the end of the file. */
static int read_at(int fd, uint64_t offset, uint8_t *to, size_t n, size_t *ret, const char *path,
                   struct err *err)
{
    size_t got = 0;
    while (got < n) {
        ssize_t m = pread(fd, to + got, n - got, (off_t)(offset + got));
        if (m < 0 && errno == EINTR)
            continue;
        if (m < 0)
            return err_sys(err, "could not read \"%s\"", path);
        if (m == 0)
            break;
        got += (size_t)m;
    }
    *ret = got;
    return 0;
}

/* The first LEN bytes of segment I are the same in both. */
static int compare(const struct side *a, const struct side *b, size_t i, uint64_t len,
                   struct err *err)
{
    char path_a[PATH_MAX], path_b[PATH_MAX];
    int fd_a = -1, fd_b = -1;
    uint8_t *bytes = mem_zalloc(2, CHUNK);
    if (bytes == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = open_of(a, i, O_RDONLY, path_a, &fd_a, err);
    if (rc == 0)
        rc = open_of(b, i, O_RDONLY, path_b, &fd_b, err);
    for (uint64_t at = 0; rc == 0 && at < len; at += CHUNK) {
        size_t n = len - at < CHUNK ? (size_t)(len - at) : CHUNK, got_a, got_b;
        rc = read_at(fd_a, at, bytes, n, &got_a, path_a, err);
        if (rc == 0)
            rc = read_at(fd_b, at, bytes + CHUNK, n, &got_b, path_b, err);
        if (rc == 0 && (got_a != n || got_b != n || memcmp(bytes, bytes + CHUNK, n) != 0))
            rc = differ(a, b, a->list.first[i], at, err);
    }
    fd_close(&fd_a);
    fd_close(&fd_b);
    mem_free(bytes);
    return rc;
}

static int length_of(const struct side *s, size_t i, uint64_t *ret, struct err *err)
{
    char path[PATH_MAX];
    struct stat st;
    segment_path(s->folder, s->list.first[i], "", path);
    if (stat(path, &st) < 0)
        return err_sys(err, "could not look at \"%s\"", path);
    *ret = i + 1 < s->list.count ? (uint64_t)st.st_size : s->len;
    return 0;
}

/* Is what BRIEF has a beginning of what the other has? In BRIEF's last segment, too: one that the
   other closed earlier than that went on another way. */
static int is_beginning(const struct side *a, const struct side *b, const struct side *brief,
                        struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < brief->list.count; i++) {
        uint64_t len_a = 0, len_b = 0;
        bool is_last = i + 1 == brief->list.count;
        if (a->list.first[i] != b->list.first[i])
            return differ(a, b, a->list.first[i], 0, err);
        rc = length_of(a, i, &len_a, err);
        if (rc == 0)
            rc = length_of(b, i, &len_b, err);
        uint64_t len = len_a < len_b ? len_a : len_b;
        bool goes_on = is_last && (brief == a ? len_a < len_b : len_b < len_a);
        if (rc == 0 && len_a != len_b && !goes_on)
            rc = differ(a, b, a->list.first[i], len, err);
        uint64_t most =
            i + 2 < brief->list.count && len > FRAME_HEADER_MAX ? FRAME_HEADER_MAX : len;
        if (rc == 0)
            rc = compare(a, b, i, most, err);
    }
    return rc;
}

/* ---- making them agree ---------------------------------------------------------------------- */

static int cut(const struct side *s, struct err *err)
{
    char path[PATH_MAX];
    int fd = -1;
    if (s->torn == 0)
        return 0;
    int rc = open_of(s, s->list.count - 1, O_WRONLY, path, &fd, err);
    if (rc == 0 && (ftruncate(fd, (off_t)s->len) < 0 || fsync(fd) < 0))
        rc = err_sys(err, "could not cut the torn tail of \"%s\"", path);
    fd_close(&fd);
    return rc;
}

/* Segment I of FROM into TO, from offset AT on; it is there already unless AT is 0. */
static int complete_one(const struct side *from, const char *to, size_t i, uint64_t at,
                        struct err *err)
{
    char path_from[PATH_MAX], path[PATH_MAX], fresh[PATH_MAX];
    int in = -1, out = -1;
    uint64_t len = 0;
    uint8_t *bytes = mem_zalloc(1, CHUNK);
    if (bytes == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    segment_path(to, from->list.first[i], "", path);
    segment_path(to, from->list.first[i], ".new", fresh);
    const char *target = at == 0 ? fresh : path;
    int rc = length_of(from, i, &len, err);
    if (rc == 0)
        rc = open_of(from, i, O_RDONLY, path_from, &in, err);
    if (rc == 0) {
        out = open(target, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | (at == 0 ? O_CREAT | O_TRUNC : 0),
                   0600);
        rc = out < 0 ? err_sys(err, "could not open \"%s\"", target) : 0;
    }
    for (size_t got = 0; rc == 0 && at < len; at += got) {
        size_t n = len - at < CHUNK ? (size_t)(len - at) : CHUNK;
        rc = read_at(in, at, bytes, n, &got, path_from, err);
        if (rc == 0 && (got < n || pwrite(out, bytes, n, (off_t)at) != (ssize_t)n))
            rc = err_sys(err, "could not write \"%s\"", target);
    }
    if (rc == 0 && fsync(out) < 0)
        rc = err_sys(err, "could not sync \"%s\"", target);
    if (rc == 0 && target == fresh && rename(fresh, path) < 0)
        rc = err_sys(err, "could not rename \"%s\"", fresh);
    if (rc == 0) /* before the next: a gap between segments is no beginning of anything */
        rc = folder_sync(to, err);
    fd_close(&in);
    fd_close(&out);
    mem_free(bytes);
    return rc;
}

static int complete(const struct side *from, const struct side *to, struct err *err)
{
    size_t first = to->list.count > 0 ? to->list.count - 1 : 0;
    int rc = 0;
    for (size_t i = first; rc == 0 && i < from->list.count; i++)
        rc = complete_one(from, to->folder, i, i < to->list.count ? to->len : 0, err);
    return rc;
}

/* Which of the two is shorter. */
static bool is_shorter(const struct side *a, const struct side *b)
{
    return a->list.count != b->list.count ? a->list.count < b->list.count : a->len < b->len;
}

static int agree(const char *folder, const char *journal, const char *name, uint64_t *ret_cut,
                 struct err *err)
{
    struct side own = { .folder = journal }, copy = { .folder = folder };
    int rc = side_read(&own, name, err);
    if (rc == 0)
        rc = side_read(&copy, name, err);
    const struct side *brief = is_shorter(&own, &copy) ? &own : &copy;
    if (rc == 0)
        rc = is_beginning(&own, &copy, brief, err);
    if (rc == 0)
        rc = cut(&own, err);
    if (rc == 0)
        rc = cut(&copy, err);
    if (rc == 0)
        rc = complete(brief == &own ? &copy : &own, brief, err);
    *ret_cut = own.torn;
    segment_list_done(&own.list);
    segment_list_done(&copy.list);
    return rc;
}

/* ---- the copy ------------------------------------------------------------------------------- */

static int lock_take(struct mirror *m, struct err *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%.*s/lock", PATH_MAX - 16, m->folder);
    m->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (m->lock_fd < 0)
        return err_sys(err, "could not open \"%s\"", path);
    if (flock(m->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_sys(err, "could not lock \"%s\"", path);
    (void)err_set(err, RF_EUNAVAIL, "journal \"%.200s\" is in use by another process", m->folder);
    err_hint(err, "each gateway's copy has a folder of its own");
    return -RF_EUNAVAIL;
}

int mirror_open(const char *folder, const char *journal, const char *name, struct mirror **ret,
                uint64_t *ret_cut, struct err *err)
{
    struct mirror *m = mem_zalloc(1, sizeof(*m));
    int rc = 0;
    if (m == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    m->lock_fd = m->fd = -1;
    if (snprintf(m->folder, sizeof(m->folder), "%s", folder) >= PATH_MAX - 48)
        rc = err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", folder);
    else if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        rc = err_sys(err, "could not make folder \"%s\"", folder);
    if (rc == 0)
        rc = folder_sync_above(folder, err);
    if (rc == 0)
        rc = lock_take(m, err);
    if (rc == 0)
        rc = agree(m->folder, journal, name, ret_cut, err);
    if (rc < 0) {
        mirror_close(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void mirror_close(struct mirror *m)
{
    if (m == NULL)
        return;
    fd_close(&m->fd);
    fd_close(&m->lock_fd);
    mem_free(m);
}

int mirror_resume(struct mirror *m, uint64_t first, struct err *err)
{
    char path[PATH_MAX];
    segment_path(m->folder, first, "", path);
    fd_close(&m->fd);
    m->fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    return m->fd < 0 ? err_sys(err, "could not open \"%s\"", path) : 0;
}

int mirror_begin(struct mirror *m, uint64_t first, const void *bytes, size_t n, struct err *err)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    segment_path(m->folder, first, "", path);
    segment_path(m->folder, first, ".new", fresh);
    int rc = folder_place_file(m->folder, fresh, path, bytes, n, err);
    return rc < 0 ? rc : mirror_resume(m, first, err);
}

int mirror_write(struct mirror *m, const void *bytes, size_t n, uint64_t offset, struct err *err)
{
    bool fails = FAULT("mirror.write");
    ssize_t done;
    do
        done = pwrite(m->fd, bytes, fails ? n / 2 : n, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (fails) {
        errno = ENOSPC;
        done = -1;
    }
    if (done < 0)
        return err_sys(err, "could not write the copy of the journal in \"%.200s\"", m->folder);
    return (size_t)done < n
               ? err_set(err, RF_EDISKFULL,
                         "could not write the copy of the journal in \"%.200s\": %zd of %zu bytes",
                         m->folder, done, n)
               : 0;
}

int mirror_sync(struct mirror *m, struct err *err)
{
    int rc = fdatasync(m->fd);
    if (FAULT("mirror.sync")) {
        errno = EIO;
        rc = -1;
    }
    return rc < 0 ? err_sys(err, "could not sync the copy of the journal in \"%.200s\"", m->folder)
                  : 0;
}
