#include "io/tls.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "io/tls_context.h"

/* RFC 7301, 3.1: each name behind its length. */
static const unsigned char alpn_names[] = "\x0apostgresql";

static int fail(struct err *err, const char *what, const char *path)
{
    char reason[200];
    unsigned long code = ERR_peek_last_error();
    ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    int rc = err_set(err, RF_ECONFIG, "%s \"%s\"", what, path != NULL ? path : "");
    err_detail(err, "%s", reason);
    return rc;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned int in_len, void *arg)
{
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)arg;
    /* "If the client offers ALPN without our protocol, refuse" is what PostgreSQL does, too: it
       keeps cross-protocol attacks out. */
    if (SSL_select_next_proto(&chosen, out_len, alpn_names, sizeof(alpn_names) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int load_pair(SSL_CTX *ctx, const char *certificate, const char *key, struct err *err)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
        return fail(err, "could not load certificate file", certificate);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return fail(err, "could not load private key file", key);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return fail(err, "private key does not belong to certificate", certificate);
    return 0;
}

static int context_new(const SSL_METHOD *method, struct tls_context **ret, struct err *err)
{
    struct tls_context *c = mem_zalloc(1, sizeof(*c));
    if (c == NULL)
        return err_set(err, RF_ENOMEM, "out of memory for a TLS context");
    c->ctx = SSL_CTX_new(method);
    if (c->ctx == NULL || SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) != 1) {
        tls_context_free(c);
        return err_set(err, RF_ENOMEM, "could not make a TLS context");
    }
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    *ret = c;
    return 0;
}

int tls_server_new(const char *certificate, const char *key, const char *client_ca,
                   struct tls_context **ret, struct err *err)
{
    struct tls_context *c = NULL;
    int rc = context_new(TLS_server_method(), &c, err);
    if (rc < 0)
        return rc;
    rc = load_pair(c->ctx, certificate, key, err);
    if (rc == 0 && client_ca != NULL) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
        if (names == NULL || SSL_CTX_load_verify_file(c->ctx, client_ca) != 1) {
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            rc = fail(err, "could not load certificate authority file", client_ca);
        } else {
            SSL_CTX_set_client_CA_list(c->ctx, names);
            SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
        }
    }
    if (rc < 0) {
        tls_context_free(c);
        return rc;
    }
    SSL_CTX_set_alpn_select_cb(c->ctx, on_alpn, NULL);
    *ret = c;
    return 0;
}

int tls_client_new(const char *ca, const char *certificate, const char *key,
                   struct tls_context **ret, struct err *err)
{
    struct tls_context *c = NULL;
    int rc = context_new(TLS_client_method(), &c, err);
    if (rc < 0)
        return rc;
    if (certificate != NULL && key != NULL)
        rc = load_pair(c->ctx, certificate, key, err);
    if (rc == 0 && ca != NULL) {
        if (SSL_CTX_load_verify_file(c->ctx, ca) != 1)
            rc = fail(err, "could not load certificate authority file", ca);
        else
            SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
        c->verifies = true;
    }
    if (rc == 0 && SSL_CTX_set_alpn_protos(c->ctx, alpn_names, sizeof(alpn_names) - 1) != 0)
        rc = err_set(err, RF_ENOMEM, "out of memory for a TLS context");
    if (rc < 0) {
        tls_context_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void tls_context_free(struct tls_context *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ctx);
    mem_free(c);
}
