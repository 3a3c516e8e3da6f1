#include "ledger/progress.h"

#include <errno.h>
#include <sys/socket.h>

#include "wire/rd.h"

enum { PACKET_LEN = 24 };

int progress_hear(int fd, struct progress *ret)
{
    uint8_t packet[PACKET_LEN + 1];
    int news = 0;
    for (;;) {
        ssize_t n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return news;
        if (n <= 0) /* its last word counts, too; the end is heard the next time */
            return news == 1 ? news : -RF_EUNAVAIL;
        struct rd r = rd_of(packet, (size_t)n);
        struct progress p = { 0 };
        p.committed = rd_u64(&r);
        p.signed_ = rd_u64(&r);
        p.witnessed = rd_u64(&r);
        if (!rd_done(&r))
            return -RF_EPROTO;
        *ret = p;
        news = 1;
    }
}

static void put(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (56 - 8 * i));
}

int progress_tell(int fd, const struct progress *progress)
{
    uint8_t packet[PACKET_LEN];
    ssize_t n;
    put(packet, progress->committed);
    put(packet + 8, progress->signed_);
    put(packet + 16, progress->witnessed);
    do
        n = send(fd, packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == PACKET_LEN)
        return 0;
    return errno == EAGAIN || errno == ENOBUFS ? -RF_ETIMEOUT : -RF_EUNAVAIL;
}
