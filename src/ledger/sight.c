#include "ledger/sight.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/rd.h"

enum { PACKET_LEN = 1 + 8 + DIGEST_LEN };

int sight_hear(int fd, struct sight *ret)
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
        uint8_t answered = rd_u8(&r);
        uint64_t size = rd_u64(&r);
        const uint8_t *root = rd_bytes(&r, DIGEST_LEN);
        if (!rd_done(&r) || answered > 1)
            return -RF_EPROTO;
        *ret = (struct sight){ .is_answered = answered == 1, .size = size };
        memcpy(ret->root, root, DIGEST_LEN);
        news = 1;
    }
}

int sight_tell(int fd, const struct sight *sight)
{
    uint8_t packet[PACKET_LEN] = { sight->is_answered };
    ssize_t n;
    for (int i = 0; i < 8; i++)
        packet[1 + i] = (uint8_t)(sight->size >> (56 - 8 * i));
    memcpy(packet + 9, sight->root, DIGEST_LEN);
    do
        n = send(fd, packet, sizeof(packet), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == PACKET_LEN)
        return 0;
    return errno == EAGAIN || errno == ENOBUFS ? -RF_ETIMEOUT : -RF_EUNAVAIL;
}
