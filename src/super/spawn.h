/* spawn.h - one child: a fresh exec of this very program with one socket and nothing else. */
#ifndef RF_SUPER_SPAWN_H
#define RF_SUPER_SPAWN_H

#include <sys/types.h>

#include "base/err.h"
#include "priv/imsg.h"

/* A descriptor of the running program, so that a restarted child is the same program even after an
   upgrade replaced the file. */
RF_CHECK int spawn_open_program(int *ret_fd, struct err *err);

/* Start PROGRAM_FD as ROLE and INDEX with IMSG_FD (stays the caller's) as its descriptor 3,
   standard error kept, no other descriptor, default signals, no core dumps, umask 077, the role's
   limits, an environment of a few harmless names, and death with this process. */
RF_CHECK int spawn_child(int program_fd, enum imsg_role role, unsigned index, int imsg_fd,
                         pid_t *ret_pid, struct err *err);

#endif
