#include "ledger/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fd.h"

int folder_sync(const char *path, struct err *err)
{
    int rc = 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, "could not open folder \"%s\"", path);
    int synced = fsync(fd);
    if (FAULT("folder.sync")) {
        errno = EIO;
        synced = -1;
    }
    if (synced < 0)
        rc = err_sys(err, "could not sync folder \"%s\"", path);
    fd_close(&fd);
    return rc;
}

int folder_sync_above(const char *path, struct err *err)
{
    char parent[PATH_MAX];
    if (snprintf(parent, sizeof(parent), "%s", path) >= PATH_MAX)
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", path);
    char *end = parent + strlen(parent);
    while (end > parent + 1 && end[-1] == '/')
        *--end = '\0';
    end = strrchr(parent, '/');
    if (end == NULL)
        return folder_sync(".", err);
    end[end == parent ? 1 : 0] = '\0';
    return access(parent, R_OK) < 0 && errno == EACCES ? 0 : folder_sync(parent, err);
}

int folder_make(const char *parent, const char *name, struct err *err)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", parent, name);
    if (n < 0 || n >= PATH_MAX)
        return err_set(err, RF_ETOOBIG, "path \"%.100s…\" is too long", parent);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_sys(err, "could not make folder \"%s\"", path);
    struct stat st;
    if (stat(path, &st) < 0)
        return err_sys(err, "could not look at folder \"%s\"", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, RF_ECONFIG, "\"%s\" is not a folder", path);
    return folder_sync(parent, err); /* also one that was there: whoever made it may have ended
                                        before its name was on disk */
}

int folder_place_file(const char *folder, const char *fresh, const char *path, const void *bytes,
                      size_t n, struct err *err)
{
    int rc = 0, fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, "could not create file \"%s\"", fresh);
    if (fchmod(fd, 0600) < 0 || fd_write_all(fd, bytes, n) < 0)
        rc = err_sys(err, "could not write file \"%s\"", fresh);
    else if (fsync(fd) < 0)
        rc = err_sys(err, "could not sync file \"%s\"", fresh);
    else if (rename(fresh, path) < 0)
        rc = err_sys(err, "could not rename file \"%s\"", fresh);
    fd_close(&fd);
    return rc < 0 ? rc : folder_sync(folder, err);
}
