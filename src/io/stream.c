/* stream.c - the socket side is the same for clear and TLS: `queue` holds what the engine is
 * sending, `behind` what was written meanwhile. TLS stands between the owner and that queue with
 * two memory BIOs, so that both I/O engines see plain byte runs.
 *
 * Invariants: io.sending => queue is not empty and not touched; dead => nothing is sent any more.
 */
#include "io/stream.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "io/tls.h"
#include "io/tls_context.h"

enum { TLS_RECORD_MAX = 16384, SPLIT_MIN = 16384 };

struct stream_tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    bool established;
};

static void pump_tls(struct stream *s);
static int flush_tls(struct stream *s);

static void on_task(struct task *t)
{
    struct stream *s = RF_OWNER(t, struct stream, task);
    if (s->dead && !s->ended) {
        s->ended = true;
        s->ops->on_end(s, "connection broke while sending");
        return;
    }
    if (s->tls != NULL && !s->paused)
        pump_tls(s);
}

void stream_break(struct stream *s)
{
    s->dead = true;
    loop_task(s->io.loop, &s->task);
}

static void end(struct stream *s, const char *why)
{
    if (s->ended)
        return;
    s->ended = true;
    io_recv_stop(&s->io);
    s->ops->on_end(s, why);
}

static void on_recv(struct io *io, const uint8_t *bytes, ssize_t n)
{
    struct stream *s = RF_OWNER(io, struct stream, io);
    if (n <= 0) {
        end(s, n == 0 ? "peer closed the connection" : "connection broke");
        return;
    }
    if (s->tls == NULL) {
        s->ops->on_data(s, bytes, (size_t)n);
        return;
    }
    if (BIO_write(s->tls->in, bytes, (int)n) != (int)n) {
        end(s, "out of memory");
        return;
    }
    pump_tls(s);
}

/* Give the engine what has been queued; the queue is in place while a send is under way. */
static int push(struct stream *s)
{
    if (s->io.sending || s->io.connecting)
        return 0;
    if (buf_len(&s->queue) == 0) {
        struct buf swap = s->queue;
        s->queue = s->behind;
        s->behind = swap;
    }
    size_t len = buf_len(&s->queue);
    if (len == 0)
        return 0;
    ssize_t n = io_send(&s->io, buf_at(&s->queue), len);
    if (n < 0) {
        stream_break(s);
        return -RF_EIO;
    }
    if (n > 0)
        buf_consume(&s->queue, len);
    return 0;
}

static void on_sent(struct io *io, int result)
{
    struct stream *s = RF_OWNER(io, struct stream, io);
    if (result < 0) {
        stream_break(s);
        return;
    }
    buf_consume(&s->queue, buf_len(&s->queue));
    if (push(s) < 0 || stream_queued(s) > 0)
        return;
    if (s->finishing)
        (void)shutdown(s->io.fd, SHUT_WR); /* a broken connection says so by itself */
    if (s->ops->on_drained != NULL)
        s->ops->on_drained(s);
}

/* Bytes as they shall stand on the wire. */
static int send_bytes(struct stream *s, const uint8_t *bytes, size_t n)
{
    if (s->dead)
        return -RF_EIO;
    if (!s->io.sending && !s->io.connecting && stream_queued(s) == 0) {
        ssize_t sent = io_send_now(&s->io, bytes, n);
        if (sent < 0) {
            stream_break(s);
            return -RF_EIO;
        }
        bytes += sent;
        n -= (size_t)sent;
        if (n == 0)
            return 0;
    }
    int rc = buf_append(s->io.sending ? &s->behind : &s->queue, bytes, n);
    if (rc < 0) {
        stream_break(s);
        return rc;
    }
    return push(s);
}

static void on_connected(struct io *io, int result)
{
    struct stream *s = RF_OWNER(io, struct stream, io);
    if (result < 0) {
        end(s, strerrordesc_np(-result) != NULL ? strerrordesc_np(-result) : "could not connect");
        return;
    }
    if (!s->paused && io_recv_start(&s->io) < 0) {
        end(s, "out of memory");
        return;
    }
    s->ops->on_connected(s);
}

static const struct io_ops stream_io_ops = {
    .on_recv = on_recv,
    .on_sent = on_sent,
    .on_connected = on_connected,
};

void stream_init(struct stream *s, struct loop *l, const struct stream_ops *ops)
{
    *s = (struct stream){ .ops = ops, .task.fn = on_task };
    io_init(&s->io, l, &stream_io_ops);
    buf_init(&s->queue, STREAM_QUEUE_MAX);
    buf_init(&s->behind, STREAM_QUEUE_MAX);
}

void stream_open(struct stream *s, int fd)
{
    io_open(&s->io, fd);
    if (io_recv_start(&s->io) < 0)
        stream_break(s);
}

int stream_connect(struct stream *s, int fd, const struct sockaddr *a, socklen_t len)
{
    io_open(&s->io, fd);
    return io_connect(&s->io, a, len);
}

void stream_abort(struct stream *s)
{
    const struct linger none = { .l_onoff = 1, .l_linger = 0 };
    if (s->io.fd >= 0)
        (void)setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    s->dead = true; /* no close_notify either */
}

void stream_close(struct stream *s)
{
    loop_task_cancel(s->io.loop, &s->task);
    if (s->io.fd >= 0 && s->tls != NULL && s->tls->established && !s->dead && !s->finishing) {
        (void)SSL_shutdown(s->tls->ssl); /* a close_notify, if the socket takes it at once */
        ERR_clear_error();
        (void)flush_tls(s);
        loop_task_cancel(s->io.loop, &s->task);
    }
    io_close(&s->io);
    buf_wipe_done(&s->queue);
    buf_wipe_done(&s->behind);
    if (s->tls != NULL) {
        SSL_free(s->tls->ssl);
        mem_free(s->tls);
        s->tls = NULL;
    }
    s->ended = s->dead = true;
}

void stream_finish(struct stream *s)
{
    if (s->dead || s->finishing || s->io.fd < 0)
        return;
    s->finishing = true;
    if (s->tls != NULL && s->tls->established) {
        (void)SSL_shutdown(s->tls->ssl); /* our half: the peer's need not be waited for */
        ERR_clear_error();
        if (flush_tls(s) < 0)
            return;
    }
    if (stream_queued(s) == 0)
        (void)shutdown(s->io.fd, SHUT_WR); /* likewise */
}

size_t stream_queued(const struct stream *s)
{
    return buf_len(&s->queue) + buf_len(&s->behind);
}

int stream_write(struct stream *s, const void *bytes, size_t n)
{
    if (s->tls == NULL)
        return send_bytes(s, bytes, n);
    const uint8_t *at = bytes;
    while (n > 0) {
        size_t part = n < INT32_MAX ? n : INT32_MAX;
        size_t written = 0;
        if (SSL_write_ex(s->tls->ssl, at, part, &written) != 1 || written == 0) {
            ERR_clear_error();
            stream_break(s);
            return -RF_EIO;
        }
        at += written;
        n -= written;
        if (BIO_ctrl_pending(s->tls->out) >= SPLIT_MIN || n == 0) {
            int rc = flush_tls(s);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

void stream_pause(struct stream *s)
{
    if (s->paused)
        return;
    s->paused = true;
    if (s->io.fd >= 0)
        io_recv_stop(&s->io);
}

void stream_resume(struct stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (s->ended || s->io.fd < 0)
        return;
    if (io_recv_start(&s->io) < 0) {
        stream_break(s);
        return;
    }
    if (s->tls != NULL)
        loop_task(s->io.loop, &s->task); /* clear bytes may wait inside OpenSSL */
}

/* ---- TLS ---- */

/* Hand the records that OpenSSL has made to the socket. */
static int flush_tls(struct stream *s)
{
    char *bytes = NULL;
    long n = BIO_get_mem_data(s->tls->out, &bytes);
    if (n <= 0)
        return 0;
    int rc = send_bytes(s, (const uint8_t *)bytes, (size_t)n);
    (void)BIO_reset(s->tls->out);
    return rc;
}

/* True when the handshake is done; otherwise more bytes are needed or the stream has ended. */
static bool handshake(struct stream *s)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(s->tls->ssl);
    int why = SSL_get_error(s->tls->ssl, rc);
    if (flush_tls(s) < 0)
        return false;
    if (rc == 1) {
        s->tls->established = true;
        return true;
    }
    if (why != SSL_ERROR_WANT_READ) {
        ERR_clear_error();
        end(s, "TLS handshake failed");
    }
    return false;
}

/* Read clear bytes out of what has arrived: one record, then the next from a fresh stack. */
static void pump_tls(struct stream *s)
{
    uint8_t clear[TLS_RECORD_MAX];
    struct stream_tls *t = s->tls;
    if (s->ended)
        return;
    if (!t->established) {
        if (!handshake(s))
            return;
        loop_task(s->io.loop, &s->task); /* application data may have come along */
        s->ops->on_connected(s);
        return;
    }
    if (!s->paused) {
        size_t n = 0;
        ERR_clear_error();
        if (SSL_read_ex(t->ssl, clear, sizeof(clear), &n) == 1) {
            struct io *io = &s->io;
            loop_task(io->loop, &s->task); /* go on from a fresh stack: the owner may be gone */
            s->ops->on_data(s, clear, n);
            explicit_bzero(clear, n);
            return;
        }
        int why = SSL_get_error(t->ssl, 0);
        if (why == SSL_ERROR_WANT_READ)
            (void)flush_tls(s); /* key updates and the like */
        else
            end(s, why == SSL_ERROR_ZERO_RETURN ? "peer closed the connection" : "TLS failed");
    }
}

static int tls_begin(struct stream *s, const struct tls_context *c, struct err *err)
{
    struct stream_tls *t = mem_zalloc(1, sizeof(*t));
    if (t != NULL)
        t->ssl = SSL_new(c->ctx);
    if (t == NULL || t->ssl == NULL)
        goto nomem;
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->in == NULL || t->out == NULL) {
        BIO_free(t->in);
        BIO_free(t->out);
        goto nomem;
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    s->tls = t;
    return 0;
nomem:
    if (t != NULL)
        SSL_free(t->ssl);
    mem_free(t);
    ERR_clear_error();
    return err_set(err, RF_ENOMEM, "out of memory for TLS");
}

int stream_tls_accept(struct stream *s, const struct tls_context *c, const void *first, size_t n,
                      struct err *err)
{
    int rc = tls_begin(s, c, err);
    if (rc < 0)
        return rc;
    SSL_set_accept_state(s->tls->ssl);
    if (n > 0 && BIO_write(s->tls->in, first, (int)n) != (int)n)
        return err_set(err, RF_ENOMEM, "out of memory for TLS");
    loop_task(s->io.loop, &s->task);
    return 0;
}

int stream_tls_connect(struct stream *s, const struct tls_context *c, const char *host,
                       struct err *err)
{
    int rc = tls_begin(s, c, err);
    if (rc < 0)
        return rc;
    SSL_set_connect_state(s->tls->ssl);
    if (c->verifies) {
        X509_VERIFY_PARAM *p = SSL_get0_param(s->tls->ssl);
        int ok = X509_VERIFY_PARAM_set1_ip_asc(p, host); /* an address is not a DNS name */
        if (ok != 1) {
            ok = X509_VERIFY_PARAM_set1_host(p, host, 0);
            if (ok == 1 && SSL_set_tlsext_host_name(s->tls->ssl, host) != 1)
                ok = 0;
        }
        ERR_clear_error();
        if (ok != 1)
            return err_set(err, RF_ENOMEM, "could not set the name to verify");
    }
    loop_task(s->io.loop, &s->task);
    return 0;
}

bool stream_is_tls(const struct stream *s)
{
    return s->tls != NULL && s->tls->established;
}

size_t stream_tls_binding(const struct stream *s, uint8_t out[64])
{
    if (!stream_is_tls(s))
        return 0;
    X509 *certificate = SSL_is_server(s->tls->ssl) ? SSL_get_certificate(s->tls->ssl)
                                                   : SSL_get0_peer_certificate(s->tls->ssl);
    int digest_nid = NID_undef;
    unsigned len = 0;
    if (certificate == NULL ||
        X509_get_signature_info(certificate, &digest_nid, NULL, NULL, NULL) != 1)
        return 0;
    /* RFC 5929: MD5 and SHA-1 signatures hash with SHA-256; so do those that name no digest, as
       PostgreSQL decides it. */
    const EVP_MD *md = digest_nid == NID_md5 || digest_nid == NID_sha1 || digest_nid == NID_undef
                           ? EVP_sha256()
                           : EVP_get_digestbynid(digest_nid);
    if (md == NULL || X509_digest(certificate, md, out, &len) != 1)
        return 0;
    return len;
}

void stream_tls_peer_cn(const struct stream *s, char *out, size_t out_len)
{
    out[0] = '\0';
    if (!stream_is_tls(s))
        return;
    X509 *certificate = SSL_get0_peer_certificate(s->tls->ssl);
    if (certificate == NULL || SSL_get_verify_result(s->tls->ssl) != X509_V_OK)
        return;
    const X509_NAME *name = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, at) >= 0)
        return; /* none, or several: no one name */
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (len > 0 && (size_t)len < out_len && memchr(utf8, 0, (size_t)len) == NULL) {
        memcpy(out, utf8, (size_t)len);
        out[len] = '\0';
    }
    OPENSSL_free(utf8);
}

bool stream_tls_has_alpn(const struct stream *s)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    if (s->tls != NULL)
        SSL_get0_alpn_selected(s->tls->ssl, &name, &len);
    return len == 10 && memcmp(name, "postgresql", 10) == 0;
}
