#include "super/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* A path, or an abstract name that is written with '@' for its leading NUL. */
static int connect_to(const char *name)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t len = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(to.sun_path)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(to.sun_path, name, len);
    if (name[0] == '@')
        to.sun_path[0] = '\0';
    /* an abstract name has no end but the address's length */
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '@' ? 0 : 1));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, size) < 0)
        fd_close(&fd);
    return fd;
}

void notify_open(struct notify *n)
{
    const char *socket_name = getenv("NOTIFY_SOCKET");
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    *n = (struct notify){ .fd = -1 };
    if (socket_name != NULL) {
        n->fd = connect_to(socket_name);
        if (n->fd < 0)
            log_warn("notify-failed", "reason=\"%s\"", strerrordesc_np(errno));
    }
    if (n->fd >= 0 && usec != NULL && (pid == NULL || strtol(pid, NULL, 10) == (long)getpid())) {
        long long interval = strtoll(usec, NULL, 10);
        if (interval >= 2000 && interval / 1000 < INT32_MAX)
            n->watchdog_ms = interval / 2000; /* twice as often as asked, as the manual advises */
    }
    (void)unsetenv("NOTIFY_SOCKET"); /* these cannot fail for well-formed names */
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
    fd_close(&n->fd);
}

void notify_send(struct notify *n, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (n->fd < 0)
        return;
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (len > 0 && (size_t)len < sizeof(text))
        (void)send(n->fd, text, (size_t)len, MSG_NOSIGNAL); /* dropped: see the header */
}

int64_t notify_watchdog(struct notify *n, int64_t now_ms)
{
    if (n->watchdog_ms == 0)
        return -1;
    if (now_ms >= n->next_sign_ms) {
        notify_send(n, "WATCHDOG=1");
        n->next_sign_ms = now_ms + n->watchdog_ms;
    }
    return n->next_sign_ms - now_ms;
}
