#include "herald/order.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/rd.h"
#include "wire/wr.h"

/* u64 ticket, u32 hook, str32 kind, str32 body; u64 ticket, u8 result, u8 status */

static int send_packet(int fd, const void *bytes, size_t n)
{
    ssize_t sent;
    do
        sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) /* a sequenced packet goes whole or not at all */
        return 0;
    return errno == EAGAIN || errno == ENOBUFS ? -RF_ETIMEOUT
           : errno == EMSGSIZE                 ? -RF_ETOOBIG
                                               : -RF_EUNAVAIL;
}

/* Bytes received; 0: nothing is there; negative. */
static ssize_t receive_packet(int fd, void *to, size_t max)
{
    ssize_t n;
    do
        n = recv(fd, to, max, MSG_DONTWAIT | MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -RF_EUNAVAIL;
    if (n == 0)
        return -RF_EUNAVAIL;
    return (size_t)n > max ? -RF_EPROTO : n;
}

int order_send(int fd, const struct order *o)
{
    struct buf b;
    if (o->body_len > ORDER_BODY_MAX)
        return -RF_ETOOBIG;
    buf_init(&b, ORDER_PACKET_MAX);
    struct wr w = wr_to(&b);
    wr_u64(&w, o->ticket);
    wr_u32(&w, o->hook);
    wr_str32(&w, o->kind, strlen(o->kind));
    wr_str32(&w, o->body, o->body_len);
    int rc = wr_done(&w) ? send_packet(fd, buf_at(&b), buf_len(&b)) : -RF_ENOMEM;
    buf_wipe_done(&b);
    return rc;
}

int order_answer_send(int fd, const struct order_answer *a)
{
    struct buf b;
    buf_init(&b, ORDER_PACKET_MAX);
    struct wr w = wr_to(&b);
    wr_u64(&w, a->ticket);
    wr_u8(&w, (uint8_t)a->result);
    wr_u8(&w, a->status);
    int rc = wr_done(&w) ? send_packet(fd, buf_at(&b), buf_len(&b)) : -RF_ENOMEM;
    buf_done(&b);
    return rc;
}

/* It becomes a variable of an environment. */
static bool is_kind(const char *text, size_t n)
{
    return n > 0 && n < ORDER_KIND_SIZE && strspn(text, "abcdefghijklmnopqrstuvwxyz_") >= n;
}

int order_receive(int fd, struct buf *buf, struct order *ret)
{
    struct order o = { 0 };
    size_t kind_len = 0;
    buf_clear(buf);
    uint8_t *room = buf_reserve(buf, ORDER_PACKET_MAX);
    if (room == NULL)
        return -RF_ENOMEM;
    ssize_t n = receive_packet(fd, room, ORDER_PACKET_MAX);
    if (n <= 0)
        return (int)n;
    buf_grew(buf, (size_t)n);
    struct rd r = rd_of(room, (size_t)n);
    o.ticket = rd_u64(&r);
    o.hook = rd_u32(&r);
    const char *kind = rd_str32(&r, &kind_len);
    o.body = rd_str32(&r, &o.body_len);
    if (!rd_done(&r) || o.body_len > ORDER_BODY_MAX || !is_kind(kind, kind_len))
        return -RF_EPROTO;
    memcpy(o.kind, kind, kind_len);
    *ret = o;
    return 1;
}

int order_answer_receive(int fd, struct order_answer *ret)
{
    uint8_t packet[16];
    ssize_t n = receive_packet(fd, packet, sizeof(packet));
    if (n <= 0)
        return (int)n;
    struct rd r = rd_of(packet, (size_t)n);
    struct order_answer a = { .ticket = rd_u64(&r) };
    uint8_t result = rd_u8(&r);
    a.status = rd_u8(&r);
    if (!rd_done(&r) || result >= ORDER_RESULT_COUNT)
        return -RF_EPROTO;
    a.result = (enum order_result)result;
    *ret = a;
    return 1;
}
