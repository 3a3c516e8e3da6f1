/* notify.h - tells systemd how it goes: sd_notify(3)'s datagrams, without its library.
 *
 * Without $NOTIFY_SOCKET every call does nothing. A message that cannot be sent is dropped: the
 * service manager has its own time limits. */
#ifndef RF_SUPER_NOTIFY_H
#define RF_SUPER_NOTIFY_H

#include <stdint.h>

#include "base/err.h"

struct notify {
    int fd;              /* connected datagram socket, or -1 */
    int64_t watchdog_ms; /* send a sign of life this often; 0: not asked for */
    int64_t next_sign_ms;
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* "READY=1\nSTATUS=serving" */
void notify_send(struct notify *n, const char *fmt, ...) RF_PRINTF(2, 3);

/* A sign of life when it is due. Returns milliseconds until the next one, -1 for never. */
int64_t notify_watchdog(struct notify *n, int64_t now_ms);

#endif
