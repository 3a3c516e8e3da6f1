/* scram.h - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both sides, as computation over strings.
 *
 * RFC 5802 with the hash of RFC 7677, in the dialect of the PostgreSQL manual, "SASL
 * Authentication": the user name in client-first-message is ignored (the startup packet's counts),
 * an authorisation identity and mandatory extensions are refused, the channel binding type is
 * tls-server-end-point (RFC 5929). No sockets: the caller carries the bytes in SASL messages.
 *
 * Passwords: ASCII ones pass unchanged, as in PostgreSQL. Others are used as their raw UTF-8 bytes,
 * where PostgreSQL and libpq first apply SASLprep (RFC 4013: NFKC, some characters mapped or
 * dropped). The two agree whenever the password is already in that form, which is what keyboards
 * give; one that is not must be written normalised where this file computes (scram_client_new(),
 * scram_verifier_make()). Verifying a client is not touched: only a verifier is needed there. */
#ifndef RF_AUTH_SCRAM_H
#define RF_AUTH_SCRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SCRAM_MECHANISM      "SCRAM-SHA-256"
#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS"

enum {
    SCRAM_KEY_LEN = 32,
    SCRAM_SALT_LEN = 16,            /* what PostgreSQL makes, and we */
    SCRAM_SALT_MAX = 64,            /* what we believe */
    SCRAM_ITERATIONS = 4096,        /* what PostgreSQL makes by default, and we */
    SCRAM_ITERATIONS_MAX = 1000000, /* a server asking for more is refused: it costs our CPU */
    SCRAM_MESSAGE_MAX = 2048,
    SCRAM_VERIFIER_MAX = 256 /* as text, with its NUL */
};

/* --- Verifiers: "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", base64 inside
 * -------- */

struct scram_verifier {
    uint32_t iterations;
    size_t salt_len;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t stored_key[SCRAM_KEY_LEN];
    uint8_t server_key[SCRAM_KEY_LEN];
};

/* Parse LEN bytes. -RF_EINVAL, *RET untouched, for anything that is not exactly this form. */
RF_CHECK int scram_verifier_parse(const char *text, size_t len, struct scram_verifier *ret);

/* Make the verifier of PASSWORD with fresh salt; ITERATIONS 0 is SCRAM_ITERATIONS. */
RF_CHECK int scram_verifier_make(const char *password, uint32_t iterations,
                                 char ret[SCRAM_VERIFIER_MAX], struct err *err);

/* --- Steps -------------------------------------------------------------------------------------
 */

enum scram_step {
    SCRAM_FAILED,   /* the exchange is over; err says why; later steps fail too */
    SCRAM_CONTINUE, /* send what is in OUT, bring the answer to the next step */
    SCRAM_DONE      /* proven; what is in OUT still has to be sent */
};

/* --- Server ------------------------------------------------------------------------------------
 */

/* What unknown users are shown: the salt is HMAC(secret, user), so it is the same at every try and
   on every worker; the count is the one that real users have (credentials_mock()). */
struct scram_mock {
    uint8_t secret[32];
    uint32_t iterations;
};

struct scram_server;

/* VERIFIER is text as above, or NULL for an unknown user, who then walks the same path with the
   same work and always fails at the proof, with the same error. BINDING (copied) is the
   tls-server-end-point data of this connection, or NULL with 0 when there is no TLS: PLUS is then
   not offered. On 0 the caller owns *RET_SERVER. -RF_EINVAL: the verifier is malformed. */
RF_CHECK int scram_server_new(const char *verifier, const char *user, const struct scram_mock *mock,
                              const uint8_t *binding, size_t binding_len,
                              struct scram_server **ret_server);
void scram_server_free(struct scram_server *s); /* NULL is welcome */

/* The mechanism list of AuthenticationSASL: strings with their NULs and the final empty one. */
const char *scram_server_offer(const struct scram_server *s, size_t *ret_len);

/* One message of the client, LEN bytes at IN. The first call brings the MECHANISM of
   SASLInitialResponse (its data may be absent: IN NULL gives an empty challenge), later ones NULL.
   Appends the answer's SASL data to OUT: CONTINUE goes out as AuthenticationSASLContinue, DONE as
   AuthenticationSASLFinal. FAILED: err is -RF_EPROTO (malformed, out of order, downgraded) or
   -RF_EAUTH (wrong proof, which says nothing about the user); nothing was appended. */
RF_CHECK enum scram_step scram_server_step(struct scram_server *s, const char *mechanism,
                                           const uint8_t *in, size_t len, struct buf *out,
                                           struct err *err);

/* --- Client ------------------------------------------------------------------------------------
 */

/* Keys of one password for one salt and count, so that reconnecting costs no PBKDF2. Owned by the
   caller, one for each password; start it zeroed, end it with scram_cache_done(). */
struct scram_cache {
    uint32_t iterations; /* 0: empty */
    size_t salt_len;
    uint8_t salt[SCRAM_SALT_MAX];
    uint8_t client_key[SCRAM_KEY_LEN];
    uint8_t server_key[SCRAM_KEY_LEN];
};

void scram_cache_done(struct scram_cache *cache);

struct scram_client;

/* PASSWORD and BINDING (see above; NULL with 0 without TLS) are copied; CACHE is borrowed for the
   client's life and may be NULL. On 0 the caller owns *RET_CLIENT. */
RF_CHECK int scram_client_new(const char *password, const uint8_t *binding, size_t binding_len,
                              struct scram_cache *cache, struct scram_client **ret_client);
void scram_client_free(struct scram_client *c); /* NULL is welcome */

/* OFFER is the body of AuthenticationSASL after its code. Chooses PLUS when binding data was given
   and it is offered, says 'y' when it is not offered (the server then notices a downgrade).
   *RET_MECHANISM is a constant; OUT gets the data of SASLInitialResponse. CONTINUE or FAILED:
   -RF_EUNSUPP when the server offers neither mechanism. */
RF_CHECK enum scram_step scram_client_start(struct scram_client *c, const uint8_t *offer,
                                            size_t offer_len, const char **ret_mechanism,
                                            struct buf *out, struct err *err);

/* One message of the server: the data of AuthenticationSASLContinue gives CONTINUE and the data of
   SASLResponse in OUT, that of AuthenticationSASLFinal gives DONE once the server has proven that
   it knows the password too. AuthenticationOk before DONE must be refused by the caller. */
RF_CHECK enum scram_step scram_client_step(struct scram_client *c, const uint8_t *in, size_t len,
                                           struct buf *out, struct err *err);

#endif
