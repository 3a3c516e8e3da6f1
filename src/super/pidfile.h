/* pidfile.h - one supervisor a run folder: a file with its process id, locked while it lives.
 *
 * The lock decides, not the number in the file: a file left by a killed supervisor is no obstacle.
 * It is a POSIX record lock, which children do not inherit through fork. */
#ifndef RF_SUPER_PIDFILE_H
#define RF_SUPER_PIDFILE_H

#include <limits.h>

#include "base/err.h"

struct pidfile {
    int fd;
    char path[PATH_MAX];
};

/* Make and lock RUN_DIR/ringfenced.pid. -RF_EUNAVAIL when a running supervisor holds it. */
RF_CHECK int pidfile_open(const char *run_dir, struct pidfile *ret, struct err *err);
void pidfile_remove(struct pidfile *p); /* and let go of the lock */

#endif
