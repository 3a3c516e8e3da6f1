#include "priv/relay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/rd.h"
#include "wire/wr.h"

static int send_packet(int fd, struct buf *packet)
{
    ssize_t n;
    do
        n = send(fd, buf_at(packet), buf_len(packet), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    if (errno == EMSGSIZE)
        return -RF_ETOOBIG;
    return errno == EAGAIN || errno == ENOBUFS ? -RF_ETIMEOUT : -RF_EUNAVAIL;
}

/* What W wrote to PACKET, unless it failed; PACKET is done in any case. */
static int send_written(int fd, const struct wr *w, struct buf *packet)
{
    int rc = wr_done(w) ? send_packet(fd, packet) : -RF_ETOOBIG;
    buf_done(packet);
    return rc;
}

int relay_ask_send(int fd, const struct relay_ask *ask)
{
    struct buf packet;
    if (ask->command_len > RELAY_COMMAND_MAX || ask->signature_len > RELAY_SIGNATURE_MAX)
        return -RF_ETOOBIG;
    buf_init(&packet, RELAY_PACKET_MAX);
    struct wr w = wr_to(&packet);
    wr_u64(&w, ask->id);
    wr_u8(&w, ask->has_address);
    wr_bytes(&w, &ask->client, sizeof(ask->client));
    wr_bytes(&w, &ask->listener, sizeof(ask->listener));
    wr_str32(&w, ask->command, ask->command_len);
    wr_str32(&w, ask->signature, ask->signature_len);
    return send_written(fd, &w, &packet);
}

int relay_answer_send(int fd, const struct relay_answer *answer)
{
    struct buf packet;
    if (answer->json_len > RELAY_ANSWER_MAX)
        return -RF_ETOOBIG;
    buf_init(&packet, RELAY_PACKET_MAX);
    struct wr w = wr_to(&packet);
    wr_u64(&w, answer->id);
    wr_u16(&w, answer->status);
    wr_str32(&w, answer->json, answer->json_len);
    return send_written(fd, &w, &packet);
}

/* 1: one whole packet is all that is in BUF. */
static int receive_packet(int fd, struct buf *buf)
{
    ssize_t n;
    buf_clear(buf);
    uint8_t *room = buf_reserve(buf, RELAY_PACKET_MAX);
    if (room == NULL)
        return -RF_ENOMEM;
    do
        n = recv(fd, room, RELAY_PACKET_MAX, MSG_DONTWAIT | MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return -RF_EUNAVAIL;
    if (n > RELAY_PACKET_MAX)
        return -RF_EPROTO;
    buf_grew(buf, (size_t)n);
    return 1;
}

static void read_address(struct rd *r, struct in6_addr *ret)
{
    const uint8_t *bytes = rd_bytes(r, sizeof(*ret));
    if (bytes != NULL)
        memcpy(ret, bytes, sizeof(*ret));
}

int relay_ask_receive(int fd, struct buf *buf, struct relay_ask *ret)
{
    int rc = receive_packet(fd, buf);
    if (rc != 1)
        return rc;
    struct rd r = rd_of(buf_at(buf), buf_len(buf));
    struct relay_ask ask = { .id = rd_u64(&r) };
    uint8_t has_address = rd_u8(&r);
    ask.has_address = has_address == 1;
    read_address(&r, &ask.client);
    read_address(&r, &ask.listener);
    ask.command = rd_str32(&r, &ask.command_len);
    ask.signature = rd_str32(&r, &ask.signature_len);
    if (!rd_done(&r) || has_address > 1 || ask.command_len > RELAY_COMMAND_MAX ||
        ask.signature_len > RELAY_SIGNATURE_MAX)
        return -RF_EPROTO;
    *ret = ask;
    return 1;
}

int relay_answer_receive(int fd, struct buf *buf, struct relay_answer *ret)
{
    int rc = receive_packet(fd, buf);
    if (rc != 1)
        return rc;
    struct rd r = rd_of(buf_at(buf), buf_len(buf));
    struct relay_answer answer = { .id = rd_u64(&r) };
    answer.status = rd_u16(&r);
    answer.json = rd_str32(&r, &answer.json_len);
    if (!rd_done(&r) || answer.status < 200 || answer.status > 599 ||
        answer.json_len > RELAY_ANSWER_MAX)
        return -RF_EPROTO;
    *ret = answer;
    return 1;
}
