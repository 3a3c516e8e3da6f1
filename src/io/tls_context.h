/* tls_context.h - what tls.c and stream.c share; nobody else sees OpenSSL. */
#ifndef RF_IO_TLS_CONTEXT_H
#define RF_IO_TLS_CONTEXT_H

#include <stdbool.h>

#include <openssl/types.h>

struct tls_context {
    SSL_CTX *ctx;
    bool verifies; /* client side: the server must prove its name */
};

#endif
