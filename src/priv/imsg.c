#include "priv/imsg.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "wire/rd.h"

enum { HEAD_LEN = 8 };

/* Room for the descriptors of one message, aligned as the kernel wants it. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * IMSG_FDS_MAX)];
};

static void put_u32(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)(v >> 24);
    to[1] = (uint8_t)(v >> 16);
    to[2] = (uint8_t)(v >> 8);
    to[3] = (uint8_t)v;
}

int imsg_send(int fd, enum imsg_type type, uint32_t arg, const void *payload, size_t len,
              const int *fds, size_t fd_count)
{
    uint8_t packet[HEAD_LEN + IMSG_PAYLOAD_MAX];
    union control control = { 0 };
    struct iovec iov = { .iov_base = packet };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (type <= IMSG_NONE || type >= IMSG_TYPE_COUNT || len > IMSG_PAYLOAD_MAX ||
        fd_count > IMSG_FDS_MAX) {
        errno = EINVAL;
        return -RF_EINVAL;
    }
    put_u32(packet, (uint32_t)type);
    put_u32(packet + 4, arg);
    if (len > 0)
        memcpy(packet + HEAD_LEN, payload, len);
    iov.iov_len = HEAD_LEN + len;
    if (fd_count > 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * fd_count);
    }
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -RF_ESYS : 0; /* a sequenced packet goes whole or not at all */
}

/* Takes every descriptor that came; more than a message may carry are closed and counted. */
static size_t take_fds(struct msghdr *msg, int fds[IMSG_FDS_MAX])
{
    size_t count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head != NULL; head = CMSG_NXTHDR(msg, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
            if (count < IMSG_FDS_MAX)
                fds[count] = fd;
            else
                fd_close(&fd);
            count++;
        }
    }
    return count;
}

int imsg_recv(int fd, struct imsg *ret)
{
    uint8_t packet[HEAD_LEN + IMSG_PAYLOAD_MAX];
    union control control = { 0 };
    struct iovec iov = { .iov_base = packet, .iov_len = sizeof(packet) };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes) };
    ssize_t n;

    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < IMSG_FDS_MAX; i++)
        ret->fds[i] = -1;
    do
        n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? 0 : -RF_ESYS;
    size_t fd_count = take_fds(&msg, ret->fds);
    if (n == 0 && fd_count == 0)
        return 0; /* nobody sends an empty packet: the other end is gone */
    struct rd r = rd_of(packet, (size_t)n);
    uint32_t type = rd_u32(&r);
    ret->arg = rd_u32(&r);
    if (r.bad || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || fd_count > IMSG_FDS_MAX ||
        type == IMSG_NONE || type >= IMSG_TYPE_COUNT) {
        imsg_close_fds(ret);
        return -RF_EPROTO;
    }
    ret->type = (enum imsg_type)type;
    ret->len = r.left;
    memcpy(ret->payload, r.at, r.left);
    return 1;
}

void imsg_close_fds(struct imsg *m)
{
    for (size_t i = 0; i < IMSG_FDS_MAX; i++)
        fd_close(&m->fds[i]);
}

const char *imsg_role_name(enum imsg_role role)
{
    static const char *const names[ROLE_COUNT] = {
        [ROLE_SUPERVISOR] = "supervisor", [ROLE_WORKER] = "worker",
        [ROLE_PARSER] = "parser",         [ROLE_LEDGER] = "ledger",
        [ROLE_CONTROL] = "control",       [ROLE_NOTARY] = "notary",
        [ROLE_COURIER] = "courier",       [ROLE_HUB] = "hub",
        [ROLE_REGISTRAR] = "registrar",   [ROLE_HERALD] = "herald",
        [ROLE_RUNNER] = "runner",
    };
    return role < ROLE_COUNT ? names[role] : "unknown";
}
