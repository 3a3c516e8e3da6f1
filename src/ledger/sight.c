#include "ledger/sight.h"

#include <string.h>

#include "ledger/newest.h"
#include "wire/rd.h"

enum { PACKET_LEN = 1 + 8 + DIGEST_LEN + KEY_SIGNATURE_LEN };

int sight_hear(int fd, struct sight *ret)
{
    uint8_t packet[PACKET_LEN];
    int rc = newest_hear(fd, packet, sizeof(packet));
    if (rc != 1)
        return rc;
    struct rd r = rd_of(packet, sizeof(packet));
    uint8_t answered = rd_u8(&r);
    if (answered > 1)
        return -RF_EPROTO;
    *ret = (struct sight){ .is_answered = answered == 1, .size = rd_u64(&r) };
    memcpy(ret->root, rd_bytes(&r, DIGEST_LEN), DIGEST_LEN);
    memcpy(ret->signature, rd_bytes(&r, KEY_SIGNATURE_LEN), KEY_SIGNATURE_LEN);
    return 1;
}

int sight_tell(int fd, const struct sight *sight)
{
    uint8_t packet[PACKET_LEN] = { sight->is_answered };
    for (int i = 0; i < 8; i++)
        packet[1 + i] = (uint8_t)(sight->size >> (56 - 8 * i));
    memcpy(packet + 9, sight->root, DIGEST_LEN);
    memcpy(packet + 9 + DIGEST_LEN, sight->signature, KEY_SIGNATURE_LEN);
    return newest_tell(fd, packet, sizeof(packet));
}

int sight_sign(const struct checkpoint *c, const struct secret_key *key, struct sight *ret)
{
    char text[CHECKPOINT_TEXT_SIZE];
    *ret = (struct sight){ .is_answered = true, .size = c->size };
    memcpy(ret->root, c->root, sizeof(ret->root));
    return key_sign(key, text, checkpoint_write(c, text), ret->signature);
}

bool sight_holds(const struct sight *sight, const struct key *key, struct checkpoint *ret)
{
    char text[CHECKPOINT_TEXT_SIZE];
    struct checkpoint c = { .size = sight->size };
    memcpy(c.origin, key->name, sizeof(c.origin));
    memcpy(c.root, sight->root, sizeof(c.root));
    if (!key_verify(key, text, checkpoint_write(&c, text), sight->signature))
        return false;
    *ret = c;
    return true;
}
