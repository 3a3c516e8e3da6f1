/* source_folder.c - a log in a folder, and copies of a log that grow in one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "verify/source.h"

struct folder {
    int fd;
    char path[PATH_MAX];
};

/* ---- reading -------------------------------------------------------------------------------- */

static int read_open(int fd, const char *path, size_t max, struct buf *to, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, RF_EIO, "cannot read \"%.200s\": not a regular file", path);
    while (buf_len(to) <= max) {
        /* one byte more than there should be: a file that ends is asked once */
        size_t left = max + 1 - buf_len(to);
        size_t room = (uint64_t)st.st_size + 1 < left ? (size_t)st.st_size + 1 : left;
        uint8_t *at = buf_reserve(to, room);
        if (at == NULL)
            return err_set(err, RF_ENOMEM, "out of memory");
        ssize_t n = read(fd, at, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "could not read \"%.200s\"", path);
        if (n == 0)
            break;
        buf_grew(to, (size_t)n);
    }
    return 1;
}

static int folder_read(void *context, const char *path, size_t max, struct buf *to, struct err *err)
{
    const struct folder *f = context;
    int fd = openat(f->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : err_sys(err, "could not open \"%.200s/%s\"", f->path, path);
    int rc = read_open(fd, path, max, to, err);
    fd_close(&fd);
    return rc;
}

/* ---- listing -------------------------------------------------------------------------------- */

struct listing {
    source_name_fn *on_name;
    void *context;
    struct err *err;
};

static int list_below(const struct listing *l, int parent, char *path, size_t len);

static int list_one(const struct listing *l, int fd, const struct dirent *d, char *path, size_t len)
{
    struct stat st;
    int n = snprintf(path + len, PATH_MAX - len, "/%s", d->d_name);
    if (n < 0 || (size_t)n >= PATH_MAX - len)
        return err_set(l->err, RF_ETOOBIG, "path below \"%.100s\" is too long", path);
    if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(l->err, "could not look at \"%.200s\"", path);
    if (S_ISDIR(st.st_mode))
        return list_below(l, fd, path, len + (size_t)n);
    return l->on_name(l->context, path, S_ISREG(st.st_mode));
}

/* PATH (LEN characters, in an array of PATH_MAX) names the folder; its last part lies in PARENT. */
static int list_below(const struct listing *l, int parent, char *path, size_t len)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const struct dirent *d;
    int rc = 0, fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        rc = errno == ENOENT ? 0 : err_sys(l->err, "could not list \"%.200s\"", path);
        fd_close(&fd);
        return rc;
    }
    while (rc == 0 && (errno = 0, d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            rc = list_one(l, fd, d, path, len);
        path[len] = '\0';
    }
    if (rc == 0 && errno != 0)
        rc = err_sys(l->err, "could not list \"%.200s\"", path);
    (void)closedir(dir);
    return rc;
}

static int folder_list(void *context, source_name_fn *on_name, void *name_context, struct err *err)
{
    const struct folder *f = context;
    const struct listing l = { .on_name = on_name, .context = name_context, .err = err };
    char path[PATH_MAX] = "tile";
    return list_below(&l, f->fd, path, strlen(path));
}

static void folder_close(void *context)
{
    struct folder *f = context;
    fd_close(&f->fd);
    mem_free(f);
}

static int folder_new(const char *path, struct folder **ret, struct err *err)
{
    struct folder *f = mem_zalloc(1, sizeof(*f));
    if (f == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0 || strlen(path) >= sizeof(f->path)) {
        int rc = err_sys(err, "could not open folder \"%.200s\"", path);
        folder_close(f);
        return rc;
    }
    (void)snprintf(f->path, sizeof(f->path), "%s", path);
    *ret = f;
    return 0;
}

int source_folder_open(const char *folder, struct source **ret, struct err *err)
{
    static const struct source_ops ops = { .read = folder_read,
                                           .list = folder_list,
                                           .close = folder_close };
    struct folder *f = NULL;
    int rc = folder_new(folder, &f, err);
    return rc < 0 ? rc : source_new(&ops, f, ret, err);
}

/* ---- a copy that grows ---------------------------------------------------------------------- */

static int make_folders(char *path, size_t from, struct err *err)
{
    for (char *at = strchr(path + from, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        bool made = at == path || mkdir(path, 0777) == 0 || errno == EEXIST;
        *at = '/';
        if (!made)
            return err_sys(err, "could not make a folder for \"%.200s\"", path);
    }
    return 0;
}

int source_keep(const char *folder, const char *path, const void *bytes, size_t n, struct err *err)
{
    char name[PATH_MAX], fresh[PATH_MAX];
    if ((size_t)snprintf(name, sizeof(name), "%s/%s", folder, path) >= sizeof(name) - 8)
        return err_set(err, RF_ETOOBIG, "path of the copy is too long");
    (void)snprintf(fresh, sizeof(fresh), "%.*s.new", PATH_MAX - 8, name);
    int rc = make_folders(fresh, 0, err);
    if (rc < 0)
        return rc;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 || fd_write_all(fd, bytes, n) < 0 || fsync(fd) < 0 || rename(fresh, name) < 0)
        rc = err_sys(err, "could not write \"%.200s\"", name);
    fd_close(&fd);
    return rc;
}

struct copy {
    struct source *from;
    struct folder *folder;
};

static int copy_read(void *context, const char *path, size_t max, struct buf *to, struct err *err)
{
    const struct copy *c = context;
    int rc = strcmp(path, "checkpoint") == 0 ? 0 : folder_read(c->folder, path, max, to, err);
    if (rc != 0)
        return rc;
    rc = source_fetch(c->from, path, max, to, err);
    if (rc == 1 && strcmp(path, "checkpoint") != 0 && buf_len(to) <= max) {
        int kept = source_keep(c->folder->path, path, buf_at(to), buf_len(to), err);
        rc = kept < 0 ? kept : rc;
    }
    return rc;
}

static void copy_ahead(void *context, const char *path, size_t max)
{
    const struct copy *c = context;
    if (faccessat(c->folder->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        source_announce(c->from, path, max);
}

static void copy_close(void *context)
{
    struct copy *c = context;
    folder_close(c->folder);
    mem_free(c);
}

int source_copy_open(struct source *from, const char *folder, struct source **ret, struct err *err)
{
    static const struct source_ops ops = { .read = copy_read,
                                           .ahead = copy_ahead,
                                           .close = copy_close };
    struct copy *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(err, RF_ENOMEM, "out of memory");
    int rc = mkdir(folder, 0777) == 0 || errno == EEXIST
                 ? folder_new(folder, &c->folder, err)
                 : err_sys(err, "could not make folder \"%.200s\"", folder);
    if (rc < 0) {
        mem_free(c);
        return rc;
    }
    c->from = from;
    return source_new(&ops, c, ret, err);
}
