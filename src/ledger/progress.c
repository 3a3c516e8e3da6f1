#include "ledger/progress.h"

#include "ledger/newest.h"
#include "wire/rd.h"

enum { PACKET_LEN = 24 };

int progress_hear(int fd, struct progress *ret)
{
    uint8_t packet[PACKET_LEN];
    int rc = newest_hear(fd, packet, sizeof(packet));
    if (rc != 1)
        return rc;
    struct rd r = rd_of(packet, sizeof(packet));
    ret->committed = rd_u64(&r);
    ret->signed_ = rd_u64(&r);
    ret->witnessed = rd_u64(&r);
    return 1;
}

static void put(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (56 - 8 * i));
}

int progress_tell(int fd, const struct progress *progress)
{
    uint8_t packet[PACKET_LEN];
    put(packet, progress->committed);
    put(packet + 8, progress->signed_);
    put(packet + 16, progress->witnessed);
    return newest_tell(fd, packet, sizeof(packet));
}
