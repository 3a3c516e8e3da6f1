#include "ledger/newest.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

int newest_hear(int fd, void *packet, size_t len)
{
    uint8_t bytes[NEWEST_LEN_MAX + 1]; /* one more: longer ones are seen */
    int news = 0;
    RF_ASSERT(len <= NEWEST_LEN_MAX);
    for (unsigned i = 0; i < NEWEST_A_CALL;) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return news;
        if (n <= 0) /* its last word counts, too; the end is heard the next time */
            return news == 1 ? news : -RF_EUNAVAIL;
        if ((size_t)n != len)
            return -RF_EPROTO;
        memcpy(packet, bytes, len);
        news = 1;
        i++;
    }
    return news;
}

int newest_tell(int fd, const void *packet, size_t len)
{
    ssize_t n;
    do
        n = send(fd, packet, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)len)
        return 0;
    return errno == EAGAIN || errno == ENOBUFS ? -RF_ETIMEOUT : -RF_EUNAVAIL;
}
