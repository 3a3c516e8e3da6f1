#include "hub/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    OPEN_FILE = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK /* no wait for a FIFO */,
    OPEN_FOLDER = O_PATH | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY,
    NAME_LEN_MAX = 64, /* of one part */
};

static int open_at_once(int folder_fd, const char *path)
{
    const struct open_how how = {
        .flags = OPEN_FILE, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
    };
    return (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof(how));
}

static bool is_name(const char *part, size_t len)
{
    return len > 0 && len <= NAME_LEN_MAX && strncmp(part, ".", len) != 0 &&
           strncmp(part, "..", len) != 0;
}

static int open_by_steps(int folder_fd, const char *path)
{
    char part[NAME_LEN_MAX + 1];
    int at = folder_fd, own = -1;
    for (;;) {
        size_t len = strcspn(path, "/");
        if (!is_name(path, len)) {
            fd_close(&own);
            errno = ENOENT;
            return -1;
        }
        memcpy(part, path, len);
        part[len] = '\0';
        bool is_last = path[len] == '\0';
        int fd = openat(at, part, is_last ? OPEN_FILE : OPEN_FOLDER);
        fd_close(&own);
        if (fd < 0 || is_last)
            return fd;
        at = own = fd;
        path += len + 1;
    }
}

/* Everything that a stranger's choice of a name can bring about is "not there": a reader falls back
   from a partial tile that was collected to the whole one only then. */
static bool is_absence(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EXDEV ||
           error == EACCES || error == ENAMETOOLONG || error == ENXIO || error == EISDIR;
}

int beneath_open(int folder_fd, const char *path, enum beneath_way way)
{
    static bool is_missing; /* the call, in this kernel or under our filter */
    struct stat st;
    int fd = -1;
    if (way == BENEATH_BEST && !is_missing) {
        fd = open_at_once(folder_fd, path);
        is_missing = fd < 0 && errno == ENOSYS;
    }
    if (way == BENEATH_BY_STEPS || is_missing)
        fd = open_by_steps(folder_fd, path);
    if (fd < 0) {
        errno = is_absence(errno) ? ENOENT : errno;
        return -1;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        fd_close(&fd);
        errno = ENOENT;
    }
    return fd;
}
