#include "super/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static int in_use(struct flock *lock, const char *path, struct err *err)
{
    int rc = err_set(err, RF_EUNAVAIL, "another ringfenced, process %ld, runs in this run folder",
                     (long)lock->l_pid);
    err_detail(err, "it holds the lock of \"%s\"", path);
    err_hint(err, "stop it first, or give this one another run folder");
    return rc;
}

/* 1 locked and still the file at the path, 0 it was removed meanwhile: once more, or an error. */
static int lock_file(struct pidfile *p, struct err *err)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct stat held, named;
    if (fcntl(p->fd, F_SETLK, &lock) < 0) {
        if (errno != EACCES && errno != EAGAIN)
            return err_sys(err, "could not lock \"%s\"", p->path);
        if (fcntl(p->fd, F_GETLK, &lock) < 0)
            return err_sys(err, "could not look at the lock of \"%s\"", p->path);
        return lock.l_type == F_UNLCK ? 0 : in_use(&lock, p->path, err);
    }
    if (fstat(p->fd, &held) < 0)
        return err_sys(err, "could not look at \"%s\"", p->path);
    return stat(p->path, &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static int write_pid(struct pidfile *p, struct err *err)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(p->fd, 0) < 0 || fchmod(p->fd, 0644) < 0 ||
        fd_write_all(p->fd, text, (size_t)len) < 0)
        return err_sys(err, "could not write \"%s\"", p->path);
    return 0;
}

int pidfile_open(const char *run_dir, struct pidfile *ret, struct err *err)
{
    struct pidfile p = { .fd = -1 };
    int rc = 0;
    if (snprintf(p.path, sizeof(p.path), "%s/ringfenced.pid", run_dir) >= (int)sizeof(p.path))
        return err_set(err, RF_ECONFIG, "the path of the run folder is too long");
    while (rc == 0) { /* ends: each round somebody else's supervisor came or went */
        fd_close(&p.fd);
        p.fd = open(p.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        rc = p.fd < 0 ? err_sys(err, "could not open \"%s\"", p.path) : lock_file(&p, err);
    }
    if (rc > 0)
        rc = write_pid(&p, err);
    if (rc < 0) {
        fd_close(&p.fd);
        return rc;
    }
    *ret = p;
    return 0;
}

void pidfile_remove(struct pidfile *p)
{
    if (p->fd >= 0)
        (void)unlink(p->path); /* one that stays does no harm: the lock decides */
    fd_close(&p->fd);
}
