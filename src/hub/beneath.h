/* beneath.h - opens files below a folder and nowhere else: no symbolic link is followed. */
#ifndef RF_HUB_BENEATH_H
#define RF_HUB_BENEATH_H

#include "base/attr.h"

/* How it is done: one system call (openat2(2), Linux 5.6, where our own filter lets it through), or
   a step for each folder on the way, which every kernel can. */
enum beneath_way { BENEATH_BEST, BENEATH_BY_STEPS };

/* Open the regular file PATH (relative, no empty, `.` or `..` part) below FOLDER_FD for reading. A
   descriptor that the caller owns, or -1 with errno: ENOENT for whatever is not there or is not a
   regular file, others for trouble of this host. */
RF_CHECK int beneath_open(int folder_fd, const char *path, enum beneath_way way);

#endif
