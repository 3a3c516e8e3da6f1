#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"

enum { FD_MAX = 256, RECORDS_MAX = 20000, TRACE_BYTES_MAX = 64 << 20, INODES_MAX = 20000 };

static const char *folder;
static enum disk_fault fault;
static unsigned long fault_at, calls;
static const char *hit = "";
static bool is_tracing, is_liar;

static struct disk_record *records;
static size_t record_count;
static uint8_t *trace_bytes;
static size_t trace_len;
static struct {
    ino_t ino;
    int inode;
} inodes[INODES_MAX];
static int inode_count;
static off_t offsets[FD_MAX];

const char *disk_fault_name(enum disk_fault f)
{
    static const char *const names[] = { "none",        "eio",       "full",      "short",
                                         "kill before", "kill half", "kill after" };
    return names[f];
}

void disk_arm(const char *below, enum disk_fault what, unsigned long at)
{
    folder = below;
    fault = what;
    fault_at = at;
    calls = 0;
    hit = "";
}

void disk_disarm(void)
{
    folder = NULL;
}

unsigned long disk_calls(void)
{
    return calls;
}

const char *disk_hit(void)
{
    return hit;
}

/* ---- which path is meant -------------------------------------------------------------------- */

static bool below_of(const char *path, char ret[PATH_MAX])
{
    size_t n = folder != NULL ? strlen(folder) : 0;
    if (n == 0 || strncmp(path, folder, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return false;
    (void)snprintf(ret, PATH_MAX, "%s", path + n + (path[n] == '/'));
    return true;
}

static bool below_fd(int fd, char ret[PATH_MAX])
{
    char link[64], path[PATH_MAX];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = folder != NULL ? readlink(link, path, sizeof(path) - 1) : -1;
    if (n <= 0)
        return false;
    path[n] = '\0';
    return below_of(path, ret);
}

static bool below_at(int fd, const char *name, char ret[PATH_MAX])
{
    char base[PATH_MAX];
    if (fd == AT_FDCWD || name[0] == '/')
        return below_of(name, ret);
    if (!below_fd(fd, base))
        return false;
    int n = strcmp(name, ".") == 0 ? snprintf(ret, PATH_MAX, "%s", base)
                                   : snprintf(ret, PATH_MAX, "%.2000s%s%.1000s", base,
                                              base[0] != '\0' ? "/" : "", name);
    return n > 0 && n < PATH_MAX;
}

/* ---- faults --------------------------------------------------------------------------------- */

enum kind { KIND_LOOKS, KIND_NEEDS_ROOM, KIND_WRITES };

/* What becomes of this call: it is done, fails with errno set, or is a write of half its bytes. */
enum fate { FATE_DONE, FATE_FAILS, FATE_HALF, FATE_HALF_AND_KILL, FATE_KILL_AFTER };

static enum fate fate_of(const char *name, enum kind kind)
{
    calls++;
    bool is_it = fault_at != 0 && calls == fault_at;
    if (fault == DISK_FULL && fault_at != 0 && calls >= fault_at && kind != KIND_LOOKS) {
        hit = name;
        errno = ENOSPC;
        return FATE_FAILS;
    }
    if (!is_it)
        return FATE_DONE;
    hit = name;
    switch (fault) {
    case DISK_EIO:
        errno = EIO;
        return FATE_FAILS;
    case DISK_SHORT:
        return kind == KIND_WRITES ? FATE_HALF : FATE_DONE;
    case DISK_KILL_BEFORE:
        _exit(0);
    case DISK_KILL_HALF:
        return kind == KIND_WRITES ? FATE_HALF_AND_KILL : FATE_DONE;
    case DISK_KILL_AFTER:
        return FATE_KILL_AFTER;
    default:
        return FATE_DONE;
    }
}

static void after(enum fate fate)
{
    if (fate == FATE_KILL_AFTER || fate == FATE_HALF_AND_KILL)
        _exit(0);
}

/* ---- the trace ------------------------------------------------------------------------------ */

void disk_trace_begin(const char *below, bool lies)
{
    is_liar = lies;
    disk_arm(below, DISK_NONE, 0);
    if (records == NULL) {
        records = calloc(RECORDS_MAX, sizeof(*records));
        trace_bytes = malloc(TRACE_BYTES_MAX);
        if (records == NULL || trace_bytes == NULL)
            abort();
    }
    record_count = trace_len = 0;
    inode_count = 0;
    is_tracing = true;
}

size_t disk_trace_end(const struct disk_record **ret)
{
    is_tracing = false;
    disk_disarm();
    *ret = records;
    return record_count;
}

static struct disk_record *record(enum disk_event event, int inode)
{
    if (record_count == RECORDS_MAX)
        abort();
    struct disk_record *r = &records[record_count++];
    *r = (struct disk_record){ .event = event, .inode = inode };
    return r;
}

void disk_mark(int what)
{
    if (is_tracing)
        (void)record(DISK_MARK, what);
}

/* Numbers of our own: the system uses its own again. The folder is 0, new ones from 1. */
static int inode_new(ino_t ino)
{
    if (inode_count == INODES_MAX)
        abort();
    inodes[inode_count].ino = ino;
    inodes[inode_count].inode = inode_count + 1;
    return inodes[inode_count++].inode;
}

static int inode_of(int fd)
{
    struct stat st, root;
    if (fstat(fd, &st) < 0 || stat(folder, &root) < 0)
        abort();
    if (st.st_ino == root.st_ino)
        return 0;
    for (int i = inode_count; i-- > 0;)
        if (inodes[i].ino == st.st_ino)
            return inodes[i].inode;
    return -1; /* was there before the trace */
}

static void trace_path(enum disk_event event, int inode, const char *path, const char *second)
{
    if (!is_tracing)
        return;
    struct disk_record *r = record(event, inode);
    (void)snprintf(r->path, sizeof(r->path), "%s", path);
    (void)snprintf(r->second, sizeof(r->second), "%s", second);
}

static void trace_write(int fd, uint64_t offset, const void *bytes, size_t n)
{
    if (!is_tracing)
        return;
    struct disk_record *r = record(DISK_WRITE, inode_of(fd));
    if (trace_len + n > TRACE_BYTES_MAX)
        abort();
    memcpy(trace_bytes + trace_len, bytes, n);
    r->bytes = trace_bytes + trace_len;
    r->len = n;
    r->offset = offset;
    trace_len += n;
}

static void trace_opened(int fd, const char *path, int flags, bool was_there)
{
    struct stat st;
    if (fd < 0 || fd >= FD_MAX || !is_tracing)
        return;
    if (fstat(fd, &st) < 0)
        abort();
    offsets[fd] = (flags & O_APPEND) != 0 ? st.st_size : 0;
    if (!was_there)
        trace_path(DISK_CREATE, inode_new(st.st_ino), path, "");
    else if ((flags & O_TRUNC) != 0) {
        struct disk_record *r = record(DISK_TRUNCATE, inode_of(fd));
        r->offset = 0;
    }
}

/* ---- the calls ------------------------------------------------------------------------------ */

/* The linker makes __wrap_X of what the libraries call X, and X of what is called __real_X here. */
#define WRAPPED(type, name, arguments) \
    type __real_##name arguments;      \
    type __wrap_##name arguments;      \
    type __wrap_##name arguments

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_openat64(int at, const char *path, int flags, ...);
int __wrap_openat64(int at, const char *path, int flags, ...);

static int open_any(int at, const char *path, int flags, mode_t mode)
{
    char name[PATH_MAX];
    struct stat st;
    if (!below_at(at, path, name))
        return __real_openat64(at, path, flags, mode);
    bool was_there = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    enum fate fate =
        fate_of("open", (flags & O_CREAT) != 0 && !was_there ? KIND_NEEDS_ROOM : KIND_LOOKS);
    if (fate == FATE_FAILS)
        return -1;
    int fd = __real_openat64(at, path, flags, mode);
    int saved = errno;
    trace_opened(fd, name, flags, was_there);
    after(fate);
    errno = saved;
    return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
    return (flags & O_CREAT) != 0 ? (mode_t)va_arg(ap, int) : 0;
}

int __wrap_open64(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    return open_any(AT_FDCWD, path, flags, mode);
}

int __wrap_openat64(int at, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    return open_any(at, path, flags, mode);
}

WRAPPED(ssize_t, write, (int fd, const void *bytes, size_t n))
{
    char name[PATH_MAX];
    if (fd >= FD_MAX || !below_fd(fd, name))
        return __real_write(fd, bytes, n);
    enum fate fate = fate_of("write", KIND_WRITES);
    if (fate == FATE_FAILS)
        return -1;
    if ((fate == FATE_HALF || fate == FATE_HALF_AND_KILL) && n > 1)
        n /= 2;
    ssize_t rc = __real_write(fd, bytes, n);
    if (rc > 0) {
        trace_write(fd, (uint64_t)offsets[fd], bytes, (size_t)rc);
        offsets[fd] += rc;
    }
    after(fate);
    return rc;
}

WRAPPED(ssize_t, pwrite64, (int fd, const void *bytes, size_t n, off_t offset))
{
    char name[PATH_MAX];
    if (!below_fd(fd, name))
        return __real_pwrite64(fd, bytes, n, offset);
    enum fate fate = fate_of("pwrite", KIND_WRITES);
    if (fate == FATE_FAILS)
        return -1;
    if ((fate == FATE_HALF || fate == FATE_HALF_AND_KILL) && n > 1)
        n /= 2;
    ssize_t rc = __real_pwrite64(fd, bytes, n, offset);
    if (rc > 0)
        trace_write(fd, (uint64_t)offset, bytes, (size_t)rc);
    after(fate);
    return rc;
}

/* In memory a sync of a disk is nothing: what it would have done is in the trace. */
static int sync_any(int fd, const char *what)
{
    char name[PATH_MAX];
    if (!below_fd(fd, name))
        return fsync(fd);
    enum fate fate = fate_of(what, KIND_LOOKS);
    if (fate == FATE_FAILS)
        return -1;
    if (is_tracing && !is_liar)
        (void)record(DISK_SYNC, inode_of(fd));
    after(fate);
    return 0;
}

WRAPPED(int, fsync, (int fd))
{
    char name[PATH_MAX];
    return below_fd(fd, name) ? sync_any(fd, "fsync") : __real_fsync(fd);
}

WRAPPED(int, fdatasync, (int fd))
{
    char name[PATH_MAX];
    return below_fd(fd, name) ? sync_any(fd, "fdatasync") : __real_fdatasync(fd);
}

WRAPPED(int, renameat, (int from_at, const char *from, int to_at, const char *to))
{
    char a[PATH_MAX], b[PATH_MAX];
    if (!below_at(from_at, from, a) || !below_at(to_at, to, b))
        return __real_renameat(from_at, from, to_at, to);
    enum fate fate = fate_of("rename", KIND_NEEDS_ROOM);
    if (fate == FATE_FAILS)
        return -1;
    int rc = __real_renameat(from_at, from, to_at, to);
    if (rc == 0)
        trace_path(DISK_RENAME, 0, a, b);
    after(fate);
    return rc;
}

WRAPPED(int, rename, (const char *from, const char *to))
{
    return __wrap_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

WRAPPED(int, mkdirat, (int at, const char *path, mode_t mode))
{
    char name[PATH_MAX];
    struct stat st;
    if (!below_at(at, path, name))
        return __real_mkdirat(at, path, mode);
    bool was_there = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    enum fate fate = fate_of("mkdir", was_there ? KIND_LOOKS : KIND_NEEDS_ROOM);
    if (fate == FATE_FAILS)
        return -1;
    int rc = __real_mkdirat(at, path, mode);
    int saved = errno;
    if (rc == 0 && is_tracing) {
        if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            abort();
        trace_path(DISK_MKDIR, inode_new(st.st_ino), name, "");
    }
    after(fate);
    errno = saved;
    return rc;
}

WRAPPED(int, mkdir, (const char *path, mode_t mode))
{
    return __wrap_mkdirat(AT_FDCWD, path, mode);
}

WRAPPED(int, unlinkat, (int at, const char *path, int flags))
{
    char name[PATH_MAX];
    if (!below_at(at, path, name))
        return __real_unlinkat(at, path, flags);
    if (faccessat(at, path, F_OK, 0) < 0) { /* collecting tries each name that there may be */
        errno = ENOENT;
        return -1;
    }
    enum fate fate = fate_of("unlink", KIND_LOOKS);
    if (fate == FATE_FAILS)
        return -1;
    int rc = __real_unlinkat(at, path, flags);
    if (rc == 0)
        trace_path(DISK_UNLINK, 0, name, "");
    after(fate);
    return rc;
}

WRAPPED(int, unlink, (const char *path))
{
    return __wrap_unlinkat(AT_FDCWD, path, 0);
}

WRAPPED(int, ftruncate64, (int fd, off_t len))
{
    char name[PATH_MAX];
    if (!below_fd(fd, name))
        return __real_ftruncate64(fd, len);
    enum fate fate = fate_of("ftruncate", KIND_LOOKS);
    if (fate == FATE_FAILS)
        return -1;
    int rc = __real_ftruncate64(fd, len);
    if (rc == 0 && is_tracing) {
        struct disk_record *r = record(DISK_TRUNCATE, inode_of(fd));
        r->offset = (uint64_t)len;
    }
    after(fate);
    return rc;
}

WRAPPED(int, fchmod, (int fd, mode_t mode))
{
    char name[PATH_MAX];
    if (!below_fd(fd, name))
        return __real_fchmod(fd, mode);
    enum fate fate = fate_of("fchmod", KIND_LOOKS);
    int rc = fate == FATE_FAILS ? -1 : __real_fchmod(fd, mode);
    after(fate);
    return rc;
}

WRAPPED(int, fchmodat, (int at, const char *path, mode_t mode, int flags))
{
    char name[PATH_MAX];
    if (!below_at(at, path, name))
        return __real_fchmodat(at, path, mode, flags);
    enum fate fate = fate_of("fchmod", KIND_LOOKS);
    int rc = fate == FATE_FAILS ? -1 : __real_fchmodat(at, path, mode, flags);
    after(fate);
    return rc;
}

WRAPPED(int, flock, (int fd, int operation))
{
    char name[PATH_MAX];
    if (!below_fd(fd, name))
        return __real_flock(fd, operation);
    enum fate fate = fate_of("flock", KIND_LOOKS);
    int rc = fate == FATE_FAILS ? -1 : __real_flock(fd, operation);
    after(fate);
    return rc;
}
