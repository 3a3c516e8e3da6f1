/* loop.h - the door to the kernel: start an operation, be called when it is complete.
 *
 * The shape is that of completions, so that epoll (epoll.c) and io_uring fit behind the same door:
 * the loop does the reading and writing, owners see results only.
 *   receive  multishot: bytes arrive in a buffer of the loop, valid during the callback
 *   send     one at a time; the bytes stay in place until on_sent
 *   accept, connect, timers, and tasks that run once before the loop sleeps again
 * Callbacks may close any io, their own too, and free its owner; nothing is called after
 * io_close(). One thread; no locks. */
#ifndef RF_IO_LOOP_H
#define RF_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/err.h"
#include "io/timer.h"

enum { LOOP_RECV_MAX = 256 * 1024 };

struct loop;
struct io;

struct io_ops {
    /* N > 0 bytes; 0: the peer closed its side; < 0: -errno. */
    void (*on_recv)(struct io *io, const uint8_t *bytes, ssize_t n);
    /* A send that io_send() did not finish: all LEN bytes are out (0), or -errno. */
    void (*on_sent)(struct io *io, int result);
    void (*on_connected)(struct io *io, int result); /* 0 or -errno */
    /* The owner of FD is now the callee. Negative: -errno, there is no descriptor or no memory for
       it, and the connection waits; the callee stops accepting for a while. */
    void (*on_accept)(struct io *io, int fd);
    /* The socket has a message to be taken with a call of the owner's own (descriptors in
       ancillary data); used by io_watch() alone. */
    void (*on_readable)(struct io *io);
};

/* Lives inside its owner; all fields belong to the engine. */
struct io {
    int fd; /* -1: closed */
    uint8_t receiving, sending, connecting, accepting, watching, registered;
    uint32_t interest;
    const uint8_t *send_at;
    size_t send_left;
    const struct io_ops *ops;
    struct loop *loop;
};

struct task;
typedef void task_fn(struct task *t);
struct task {
    task_fn *fn;
    struct task *next;
    bool queued;
};

RF_CHECK int loop_new(struct loop **ret_loop, struct err *err);
void loop_free(struct loop *l);
RF_CHECK int loop_run(struct loop *l, struct err *err);  /* until loop_stop() */
RF_CHECK int loop_turn(struct loop *l, struct err *err); /* wait once and serve what happened */
void loop_stop(struct loop *l);
int64_t loop_now_ms(const struct loop *l); /* monotonic, as of this turn of the loop */

/* Call T->fn once, after the callbacks of this turn. */
void loop_task(struct loop *l, struct task *t);
void loop_task_cancel(struct loop *l, struct task *t);

/* Start or move T to AFTER_MS from now. */
void loop_timer(struct loop *l, struct timer *t, int64_t after_ms);
void loop_timer_stop(struct loop *l, struct timer *t);

/* Take over FD (non-blocking). io_close() closes it; harmless twice. */
void io_init(struct io *io, struct loop *l, const struct io_ops *ops);
void io_open(struct io *io, int fd);
void io_close(struct io *io);

RF_CHECK int io_recv_start(struct io *io);
void io_recv_stop(struct io *io);

/* Send LEN bytes. Returns LEN when all are out; otherwise the engine keeps BYTES until on_sent and
   0 is returned; -errno when the socket is broken. One send at a time. */
RF_CHECK ssize_t io_send(struct io *io, const void *bytes, size_t len);

/* As much as goes out at once from memory that will not stay: 0..LEN, or -errno. Not while a send
   is under way. */
RF_CHECK ssize_t io_send_now(struct io *io, const void *bytes, size_t len);

/* Start connecting the socket that io_open() was given; on_connected follows, never from inside. */
RF_CHECK int io_connect(struct io *io, const struct sockaddr *address, socklen_t len);

RF_CHECK int io_accept_start(struct io *io);
void io_accept_stop(struct io *io);
RF_CHECK int io_watch(struct io *io);

#endif
