/* stream.h - bytes to and from one peer, in clear or through TLS, with back-pressure.
 *
 * Lives inside its owner. What arrives is handed over at once and must be taken whole; an owner who
 * cannot go on says stream_pause(). What is written goes out at once as far as the socket takes it;
 * the rest is queued here, and an owner who reads from elsewhere to write here stops when
 * stream_queued() passes its own mark and goes on at on_drained. No callback comes after
 * stream_close(), and none from inside stream_write(). */
#ifndef RF_IO_STREAM_H
#define RF_IO_STREAM_H

#include "base/buf.h"
#include "io/loop.h"

struct tls_context;
struct stream;
struct stream_tls;

enum { STREAM_QUEUE_MAX = 64 * 1024 * 1024 };

struct stream_ops {
    void (*on_data)(struct stream *s, const uint8_t *bytes, size_t n);
    /* The peer ended or the connection broke; WHY is a short constant text. The owner closes. */
    void (*on_end)(struct stream *s, const char *why);
    void (*on_drained)(struct stream *s);   /* the queue became empty */
    void (*on_connected)(struct stream *s); /* connect and, after stream_tls_…(), the handshake */
};

struct stream {
    struct io io;
    const struct stream_ops *ops;
    struct stream_tls *tls; /* NULL in clear */
    struct buf queue;       /* bytes for the socket: kept in place while a send is under way */
    struct buf behind;      /* written meanwhile */
    struct task task;
    bool paused, ended, dead;
    bool finishing; /* stream_finish(): shut down when the queue is empty */
};

void stream_init(struct stream *s, struct loop *l, const struct stream_ops *ops);
void stream_open(struct stream *s, int fd); /* connected; starts receiving */
RF_CHECK int stream_connect(struct stream *s, int fd, const struct sockaddr *a, socklen_t len);
void stream_close(struct stream *s); /* at once; frees everything; harmless twice */

/* 0, or negative when the connection is beyond repair (on_end follows on the next turn). */
RF_CHECK int stream_write(struct stream *s, const void *bytes, size_t n);
size_t stream_queued(const struct stream *s);

/* Nothing more will be written: once the queue is out, tell the peer (TLS: close_notify first) and
   go on receiving. A close with unread bytes in the socket would reset the connection, and could
   take the last words with it. */
void stream_finish(struct stream *s);

/* The connection is of no use any more: on_end follows from a fresh stack. */
void stream_break(struct stream *s);

/* Closing will drop what the peer has not taken yet, in the kernel's buffers too: a reset. */
void stream_abort(struct stream *s);

void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Go over to TLS. FIRST are bytes already received that belong to the handshake (may be none).
   on_connected when it is done, on_end when it failed. */
RF_CHECK int stream_tls_accept(struct stream *s, const struct tls_context *c, const void *first,
                               size_t n, struct err *err);
RF_CHECK int stream_tls_connect(struct stream *s, const struct tls_context *c, const char *host,
                                struct err *err);
bool stream_is_tls(const struct stream *s);

/* Facts of an established TLS stream. */
/* tls-server-end-point (RFC 5929, 4): hash of the server's certificate; 0 when there is none. */
size_t stream_tls_binding(const struct stream *s, uint8_t out[64]);
/* Common name of the peer's verified certificate; "" when it showed none. */
void stream_tls_peer_cn(const struct stream *s, char *out, size_t out_len);
/* The protocol that ALPN chose is PostgreSQL's. */
bool stream_tls_has_alpn(const struct stream *s);

#endif
