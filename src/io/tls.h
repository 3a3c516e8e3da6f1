/* tls.h - TLS contexts: certificates, versions, verification (OpenSSL 3). */
#ifndef RF_IO_TLS_H
#define RF_IO_TLS_H

#include "base/err.h"

struct tls_context;

/* For clients of ours: CERTIFICATE chain and KEY in PEM files; CLIENT_CA may be NULL (no client
   certificates asked for). TLS 1.2 and 1.3, ALPN "postgresql" (PostgreSQL manual 55.2.11). */
RF_CHECK int tls_server_new(const char *certificate, const char *key, const char *client_ca,
                            struct tls_context **ret, struct err *err);

/* Towards databases. CA NULL: the peer's certificate is not verified (mode `require`). CERTIFICATE
   and KEY may be NULL. */
RF_CHECK int tls_client_new(const char *ca, const char *certificate, const char *key,
                            struct tls_context **ret, struct err *err);

/* Connections that have begun keep what they need of it: a reload may free it at any time. */
void tls_context_free(struct tls_context *c);

#endif
