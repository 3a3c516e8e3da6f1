/* fd.h - file descriptors that are closed once, and whole reads and writes. */
#ifndef RF_BASE_FD_H
#define RF_BASE_FD_H

#include <sys/types.h>

#include "base/err.h"

/* Close *FD unless it is negative, and make it -1. Keeps errno. */
void fd_close(int *fd);

RF_CHECK int fd_set_nonblock(int fd);
RF_CHECK int fd_set_cloexec(int fd, int on);

/* Write all LEN bytes to a blocking descriptor; 0 or a negative code (errno is set). */
RF_CHECK int fd_write_all(int fd, const void *bytes, size_t len);

/* Read a whole regular file of at most MAX bytes into fresh memory, NUL-terminated for convenience;
   refuses symbolic links in the last component. The caller owns *RET_BYTES. */
RF_CHECK int fd_read_file(const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                          struct err *err);

/* The same for a secret: refused when group or others may read or write it (RF_ECONFIG). */
RF_CHECK int fd_read_secret(const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                            struct err *err);

#endif
