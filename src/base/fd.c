#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

void fd_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        (void)close(*fd); /* Linux releases the number even when close() reports an error */
    *fd = -1;
    errno = saved;
}

int fd_set_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -RF_ESYS;
    return 0;
}

int fd_set_cloexec(int fd, int on)
{
    return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -RF_ESYS : 0;
}

int fd_write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == ENOSPC || errno == EDQUOT ? -RF_EDISKFULL : -RF_EIO;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int read_all(int fd, const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                    struct err *err)
{
    size_t cap = 4096, len = 0;
    char *bytes = mem_zalloc(cap + 1, 1);
    if (bytes == NULL)
        return err_set(err, RF_ENOMEM, "out of memory while reading \"%s\"", path);
    for (;;) {
        if (len == cap) {
            char *grown = cap <= max ? mem_realloc(bytes, cap * 2 + 1) : NULL;
            if (grown == NULL) {
                mem_free_secret(bytes, len);
                return err_set(err, RF_ETOOBIG, "file \"%s\" is larger than %zu bytes", path, max);
            }
            bytes = grown;
            cap *= 2;
        }
        ssize_t n = read(fd, bytes + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            mem_free_secret(bytes, len);
            return err_sys(err, "could not read file \"%s\"", path);
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    bytes[len] = '\0';
    if (len > max) {
        mem_free_secret(bytes, len);
        return err_set(err, RF_ETOOBIG, "file \"%s\" is larger than %zu bytes", path, max);
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

static int read_checked(const char *path, mode_t forbidden, size_t max, char **ret_bytes,
                        size_t *ret_len, struct err *err)
{
    struct stat st;
    int rc, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(err, "could not open file \"%s\"", path);
    if (fstat(fd, &st) < 0) {
        rc = err_sys(err, "could not look at file \"%s\"", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = err_set(err, RF_ECONFIG, "\"%s\" is not a regular file", path);
    } else if ((st.st_mode & forbidden) != 0) {
        rc = err_set(err, RF_ECONFIG, "file \"%s\" holds a secret and others can read it", path);
        err_hint(err, "run: chmod 600 %s", path);
    } else {
        rc = read_all(fd, path, max, ret_bytes, ret_len, err);
    }
    fd_close(&fd);
    return rc;
}

int fd_read_file(const char *path, size_t max, char **ret_bytes, size_t *ret_len, struct err *err)
{
    return read_checked(path, 0, max, ret_bytes, ret_len, err);
}

int fd_read_secret(const char *path, size_t max, char **ret_bytes, size_t *ret_len, struct err *err)
{
    return read_checked(path, S_IRWXG | S_IRWXO, max, ret_bytes, ret_len, err);
}
